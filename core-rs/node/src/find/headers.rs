//! Keys that are compared with the headers of stored instances.

use std::time::Instant;

use vna_dicom::{Level, SelectStream, Selected, Tag};
use vna_index::{HeaderKeys, IndexError, Key, Located, Query};
use vna_store::StoreError;

use crate::archive::Archive;
use crate::cfind::{HeaderNeeds, Keys, Outcome, Reading};
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::stored_file::StoredFile;

/// Resources whose first instances are looked up at a time.
const LOCATED_AT_ONCE: usize = 256;

/// Bytes read at once. Most headers are shorter, and stepping over a long value costs no more than this.
const READ_BYTES: usize = 16 << 10;

/// Headers that the disk is told of before the first of them is read: enough to keep it busy, and not much if it turns out
/// that the search is at its end.
pub(crate) const AHEAD: usize = 64;

/// Compares resources with keys.
pub(super) struct Headers<'a> {
    archive: &'a Archive,
    tenant: i64,
    level: Level,
    needs: HeaderNeeds,
    until: Instant,
}

impl<'a> Headers<'a> {
    pub(super) fn new(
        archive: &'a Archive,
        query: &Query,
        keys: &HeaderKeys,
        until: Instant,
    ) -> Headers<'a> {
        let keys_of = |keys: &[Key]| Keys::of_values(keys, query.case);
        let below = keys.below.as_ref();
        Headers {
            archive,
            tenant: query.tenant,
            level: query.level,
            needs: HeaderNeeds::new(
                keys_of(&keys.own),
                below.map(|(level, keys)| (*level, keys_of(keys))),
            ),
            until,
        }
    }

    /// Hands the candidates that match to `visit`, in their order, as long as it wants more.
    pub(super) fn each_match(
        &mut self,
        candidates: &[i64],
        mut visit: impl FnMut(i64) -> bool,
    ) -> Result<(), ArchiveError> {
        let reading = Reading {
            archive: self.archive,
            tenant: self.tenant,
            level: self.level,
            study_label: None,
            until: self.until,
            pause: None,
        };
        for chunk in candidates.chunks(LOCATED_AT_ONCE) {
            check_time(self.until)?;
            let mut firsts = self.needs.first_instances(reading, chunk)?;
            for id in chunk {
                let read = self.needs.read(reading, *id, firsts.get(reading, *id))?;
                if matches!(read, Outcome::Matches(_)) && !visit(*id) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn check_time(until: Instant) -> Result<(), ArchiveError> {
    if Instant::now() >= until {
        return Err(IndexError::Deadline.into());
    }
    Ok(())
}

/// Reads elements of a stored instance; `None` if it has gone, or no longer reads as DICOM.
pub(crate) fn select(
    archive: &Archive,
    tenant: i64,
    located: &Located,
    wanted: &[Tag],
) -> Result<Option<Selected>, ArchiveError> {
    let Some((size, reader)) = open(archive, tenant, located)? else {
        return Ok(None);
    };
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(size).unwrap_or(READ_BYTES))];
    let mut stream = SelectStream::new(wanted);
    let mut at = 0;
    while at < size && !stream.is_done() {
        let read = reader.read_at(&mut buffer, at)?;
        if read == 0 || stream.push(&buffer[..read]).is_err() {
            break;
        }
        at = stream.skip(size);
    }
    Ok(stream.finish().ok())
}

/// Says that elements of an instance are read soon: a search reads many headers, and the disk is not idle between them.
pub(crate) fn will_select(archive: &Archive, located: &Located) {
    archive.will_read(located, READ_BYTES as u64);
}

/// Instances whose elements are read one after the other.
pub(crate) fn one_by_one<'a>(
    archive: &'a Archive,
    all: &'a [(i64, Located)],
) -> impl Iterator<Item = &'a (i64, Located)> {
    all.iter().enumerate().map(move |(at, one)| {
        if at % AHEAD == 0 {
            let next = all[at..].iter().take(AHEAD);
            next.for_each(|(_, located)| will_select(archive, located));
        }
        one
    })
}

/// Opens the bytes of an instance, wherever a compaction moved them.
fn open(
    archive: &Archive,
    tenant: i64,
    located: &Located,
) -> Result<Option<(u64, StoredFile)>, ArchiveError> {
    match archive.files().open(&blob_ref(&located.blob)?) {
        Ok(reader) => Ok(Some((located.file_size, reader))),
        Err(ArchiveError::Store(StoreError::Gone { .. })) => {
            let found = archive.open_file(tenant, &located.instance)?;
            Ok(found.map(|(located, reader)| (located.file_size, reader)))
        }
        Err(error) => Err(error),
    }
}
