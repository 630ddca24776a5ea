//! Reading the log in order.

use std::io;

use parking_lot::Mutex;
use vna_io::DiskFile;

use crate::error::{Damage, DamageKind, StoreError};
use crate::format::{Entry, Footer, Holds, decode_index};
use crate::scan::{Reader, Scan};
use crate::segments::{Contents, Segment};
use crate::shared::Shared;
use crate::types::{Lsn, Record, RecordKind};

/// Records that lie closer than this, in bytes, are read together.
const CLOSE_BYTES: usize = 64 << 10;
/// What is read for a record whose next one is farther away.
const ALONE_BYTES: usize = 1 << 10;

/// One record of the log, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed<'a> {
    /// A record.
    Record(Record<'a>),
    /// A piece of the log that cannot be read. The rest goes on.
    Damaged(Damage),
}

/// Gives `each` every segment with records from `from` on, in their order. No pack is dropped or
/// compacted while `each` has one; between, it may be, so the next is looked up by position.
pub fn walk<E: From<StoreError>>(
    shared: &Shared,
    maintenance: &Mutex<()>,
    mut from: Lsn,
    mut each: impl FnMut(&Segment, Lsn) -> Result<(), E>,
) -> Result<(), E> {
    let last = shared
        .segments
        .in_order()
        .last()
        .map_or(0, |segment| segment.last_lsn());
    while from <= last {
        let _none_is_dropped = maintenance.lock();
        let segments = shared.segments.in_order();
        let Some(segment) = segments.iter().find(|segment| segment.last_lsn() >= from) else {
            break;
        };
        let after = segment.last_lsn() + 1;
        each(segment, from)?;
        from = after;
    }
    Ok(())
}

/// Every record from `from` on, in order.
pub fn replay<E: From<StoreError>>(
    shared: &Shared,
    maintenance: &Mutex<()>,
    from: Lsn,
    mut each: impl FnMut(Replayed<'_>) -> Result<(), E>,
) -> Result<(), E> {
    walk(shared, maintenance, from, |segment, from| {
        let (entries, damages) = load_entries(shared, segment)?;
        for damage in damages {
            each(Replayed::Damaged(damage))?;
        }
        let first = entries.partition_point(|entry| entry.lsn < from);
        let file = shared.segment_file(segment).map_err(StoreError::Io)?;
        let mut reader = Reader::new(&*file);
        for (index, entry) in entries.iter().enumerate().skip(first) {
            if entry.kind.0 >= RecordKind::FIRST_RESERVED.0 {
                continue;
            }
            let next = entries.get(index + 1).map_or(u64::MAX, |next| next.offset);
            each(read_entry(segment, &mut reader, entry, next).map_err(StoreError::Io)?)?;
        }
        Ok(())
    })
}

fn read_entry<'a>(
    segment: &Segment,
    reader: &'a mut Reader<'_>,
    entry: &Entry,
    next: u64,
) -> io::Result<Replayed<'a>> {
    let is_close = next - entry.offset <= CLOSE_BYTES as u64;
    let ahead = if is_close { CLOSE_BYTES } else { ALONE_BYTES };
    let record = reader.record(&segment.header.salt, entry.offset, ahead)?;
    Ok(match record {
        Ok((header, caller)) if header.lsn == entry.lsn && header.key == entry.key => {
            Replayed::Record(Record {
                lsn: header.lsn,
                kind: header.kind,
                header: caller,
                blob: header.blob(segment.id(), entry.offset),
            })
        }
        _ => Replayed::Damaged(damage_of(segment, entry, DamageKind::Header)),
    })
}

pub fn damage_of(segment: &Segment, entry: &Entry, kind: DamageKind) -> Damage {
    let key = (entry.holds != Holds::Nothing).then_some(entry.key);
    Damage {
        segment: segment.id(),
        offset: entry.offset,
        lsn: Some(entry.lsn),
        key,
        kind,
    }
}

/// The entries of a segment; if its index is damaged, what can be found without, and the damage.
pub fn load_entries(
    shared: &Shared,
    segment: &Segment,
) -> Result<(Vec<Entry>, Vec<Damage>), StoreError> {
    let footer = match &*segment.contents.read() {
        Contents::Listed { entries, .. } => return Ok((entries.clone(), Vec::new())),
        Contents::Sealed(footer) => footer.clone(),
    };
    let file = shared.segment_file(segment)?;
    if let Some(entries) = read_index(&*file, &footer)? {
        return Ok((entries, Vec::new()));
    }
    let (header, stop) = (&segment.header, footer.index_at);
    let scan = Scan {
        file: &*file,
        header,
        stop,
        all_acknowledged: true,
        known_good: 0,
    };
    let found = scan.run()?;
    let damage = Damage {
        segment: segment.id(),
        offset: footer.index_at,
        lsn: None,
        key: None,
        kind: DamageKind::Index,
    };
    Ok((found.entries, [vec![damage], found.damages].concat()))
}

/// The entries of a pack's index; `None` if it is damaged.
pub fn read_index(file: &dyn DiskFile, footer: &Footer) -> io::Result<Option<Vec<Entry>>> {
    // The footer was checked against the file's length, so the index is not longer than the file.
    let length = footer
        .index_bytes()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(0);
    let mut index = vec![0; length];
    let read = file.read_at(&mut index, footer.index_at)?;
    Ok(decode_index(&index[..read], footer.index_digest))
}
