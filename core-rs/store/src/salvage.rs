//! What is damaged: its bytes are copied where nothing reclaims them, and what of it is good is found.
//!
//! A copy in `quarantine/` is complete and durable under its final name before it is reported: only then may a pack be
//! written again without the piece, or an index go on that could not take it.

use std::io::{self, IoSlice};
use std::sync::Arc;

use vna_io::{DiskFile, Open};

use crate::error::{Damage, DamageKind, StoreError};
use crate::format::{Entry, HEADER_BYTES_AT, Holds, RECORD_HEADER_BYTES};
use crate::handles::FileId;
use crate::paths::blob_name;
use crate::replay::load_entries;
use crate::scan::MAX_HEADER_BYTES;
use crate::segments::Segment;
use crate::shared::Shared;
use crate::sites;
use crate::types::{BlobKey, BlobRef, Digest, Encoding, Place};

/// What is copied at once, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Places that are tried since the caller takes them for the beginning of a blob: each costs a look at the whole of it.
const MAX_GUESSES: usize = 4;

/// Bytes that were set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The file, below the store's folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Copies what is damaged; `None` if nothing is left of it, or if it is an index, which is made of the records.
pub fn set_aside(shared: &Shared, damage: &Damage) -> Result<Option<Aside>, StoreError> {
    let Some(segment) = shared.segments.get(damage.segment) else {
        return Ok(None);
    };
    let until = match damage.kind {
        DamageKind::Index | DamageKind::FileMissing => return Ok(None),
        DamageKind::Unreadable { until } => until,
        DamageKind::Header | DamageKind::Body | DamageKind::Truncated => {
            let (entries, _) = load_entries(shared, &segment)?;
            let at = entries.partition_point(|entry| entry.offset < damage.offset);
            let entry = entries.get(at).filter(|e| e.offset == damage.offset);
            if let Some(entry) = entry.filter(|e| e.holds == Holds::File)
                && damage.kind != DamageKind::Header
            {
                return blob_file(shared, &entry.key, entry.encoding);
            }
            let next = entries.get(at + usize::from(entry.is_some()));
            next.map_or_else(|| segment.end(), |next| next.offset)
        }
    };
    piece(shared, &segment, damage.offset, until)
}

/// Copies the record of a blob, or its file.
pub fn set_aside_blob(shared: &Shared, blob: &BlobRef) -> Result<Option<Aside>, StoreError> {
    match blob.place {
        Place::File { .. } => blob_file(shared, &blob.key, blob.encoding),
        Place::Segment { segment, offset } => {
            let (lsn, key, kind) = (None, Some(blob.key), DamageKind::Body);
            let damage = Damage {
                segment,
                offset,
                lsn,
                key,
                kind,
            };
            set_aside(shared, &damage)
        }
    }
}

fn blob_file(
    shared: &Shared,
    key: &BlobKey,
    encoding: Encoding,
) -> Result<Option<Aside>, StoreError> {
    let path = shared.paths.blob(key, encoding);
    let id = FileId::Blob(*key, encoding);
    let file = match shared.handles.get(&*shared.disk, id, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = file.len()?;
    copy(shared, &*file, 0, length, &blob_name(key, encoding))
}

fn piece(
    shared: &Shared,
    segment: &Segment,
    from: u64,
    until: u64,
) -> Result<Option<Aside>, StoreError> {
    let file = shared.segment_file(segment)?;
    let until = until.min(file.len()?);
    let name = format!("{:016x}-{from}.piece", segment.id());
    copy(shared, &*file, from, until, &name)
}

fn copy(
    shared: &Shared,
    source: &dyn DiskFile,
    from: u64,
    until: u64,
    name: &str,
) -> Result<Option<Aside>, StoreError> {
    let (folder, bytes) = (shared.paths.quarantine(), until.saturating_sub(from));
    let path = folder.join(name);
    let aside = Aside {
        name: format!("quarantine/{name}"),
        bytes,
    };
    if shared.disk.exists(&path)? && shared.disk.open(&path, Open::Read)?.len()? == bytes {
        return Ok(Some(aside)); // the same damage, found before
    }
    if !holds_anything(source, from, until)? {
        return Ok(None);
    }
    shared.disk.create_dir_all(&folder)?;
    let partial = folder.join(format!("{name}.part"));
    let target = shared.disk.open(&partial, Open::Create)?;
    target.set_len(0)?;
    each_chunk(source, from, until, &mut |at, chunk| {
        target.write_all_at(&[IoSlice::new(chunk)], at - from)
    })?;
    target.sync_data(sites::ASIDE_BYTES)?;
    shared.disk.rename(&partial, &path)?;
    shared.disk.sync_dir(&folder, sites::ASIDE_NAME)?;
    Ok(Some(aside))
}

/// Whether there is a byte that is not zero: a segment that was cut short is filled up with zeros.
fn holds_anything(source: &dyn DiskFile, from: u64, until: u64) -> io::Result<bool> {
    let mut found = false;
    each_chunk(source, from, until, &mut |_, chunk| {
        found |= chunk.iter().any(|byte| *byte != 0);
        Ok(())
    })?;
    Ok(found)
}

fn each_chunk(
    source: &dyn DiskFile,
    from: u64,
    until: u64,
    each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = from;
    while at < until {
        let left = usize::try_from(until - at).unwrap_or(CHUNK_BYTES);
        let read = source.read_at(&mut buffer[..left.min(CHUNK_BYTES)], at)?;
        if read == 0 {
            break;
        }
        each(at, &buffer[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// The bytes of a blob whose record's header is damaged, if they match the digest that the caller knows; `None` if not.
pub fn salvage(
    shared: &Shared,
    blob: &BlobRef,
    guess: &dyn Fn(&[u8]) -> Vec<usize>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Place::Segment { segment, offset } = blob.place else {
        return Ok(None);
    };
    // What is kept in another form has a digest of its own, which is in the record alone.
    let is_plain = blob.encoding == Encoding::PLAIN;
    if !is_plain || blob.size > shared.options.max_inline_bytes() {
        return Ok(None);
    }
    let (file, entries) = match shared.segments.get(segment) {
        Some(segment) => (
            shared.segment_file(&segment)?,
            load_entries(shared, &segment)?.0,
        ),
        None => match quarantined(shared, segment)? {
            Some(file) => (file, Vec::new()),
            None => return Ok(None),
        },
    };
    let longest = RECORD_HEADER_BYTES + MAX_HEADER_BYTES;
    let mut bytes = vec![0; longest + usize::try_from(blob.size).unwrap_or(0)];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    let size = usize::try_from(blob.size).unwrap_or(usize::MAX);
    let head = &bytes[..bytes.len().min(longest)];
    let guessed = guess(head).into_iter().take(MAX_GUESSES);
    for start in starts(&entries, blob, head).into_iter().chain(guessed) {
        let found = start
            .checked_add(size)
            .and_then(|end| bytes.get(start..end))
            .filter(|found| Digest::of(found) == blob.digest);
        if let Some(found) = found {
            return Ok(Some(found.to_vec()));
        }
    }
    Ok(None)
}

/// Where the blob may start in its record: as the pack's index says, or as the damaged header does.
fn starts(entries: &[Entry], blob: &BlobRef, record: &[u8]) -> Vec<usize> {
    let is_it = |entry: &&Entry| entry.offset == blob.place.offset() && entry.key == blob.key;
    let listed = entries.iter().find(is_it).map(|entry| entry.header_bytes);
    let claimed = record
        .get(HEADER_BYTES_AT..HEADER_BYTES_AT + 4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let by_header = listed.into_iter().chain(claimed);
    let by_header = by_header.filter_map(|bytes| usize::try_from(bytes).ok());
    by_header
        .map(|bytes| bytes.saturating_add(RECORD_HEADER_BYTES))
        .collect()
}

/// The file of a segment that opening moved away since its header cannot be read.
fn quarantined(shared: &Shared, segment: u64) -> Result<Option<Arc<dyn DiskFile>>, StoreError> {
    let path = shared
        .paths
        .quarantine()
        .join(format!("{segment:016x}.seg"));
    match shared.disk.open(&path, Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => Ok(Some(file?)),
    }
}
