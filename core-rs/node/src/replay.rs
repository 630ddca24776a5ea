//! The index catches up with the log: the tail that a power cut took from it, or all of it.

use vna_dicom::{HeaderReader, Instance, Progress};
use vna_index::{Deletion, Entry, Index};
use vna_store::{BlobReader, BlobRef, Log, Record, RecordKind, Replayed as FromLog, StoreError};

use crate::arrival::{ArrivalHeader, DeletionHeader};
use crate::entries::{arrival_entry, freed_by};
use crate::error::ArchiveError;
use crate::housekeeping::Trash;

/// Heads end well before this in nearly all objects, so that one read does.
const HEAD_BYTES: usize = 64 << 10;

/// Records applied in one transaction.
const GROUP_RECORDS: usize = 512;

/// What the index had to catch up with.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Records applied.
    pub records: u64,
    /// Records that could not be, each with its reason. Their bytes stay where they are.
    pub skipped: Vec<Skipped>,
}

/// A record that the index could not take.
#[derive(Debug)]
pub struct Skipped {
    /// Its position in the log.
    pub lsn: u64,
    /// Why.
    pub reason: String,
}

/// Applies every record that `index` does not cover, in the order of the log.
///
/// `progress` is called with the position after each group.
///
/// # Errors
///
/// What log and index say. A single record that cannot be read is skipped and told of: it must not keep
/// the archive from opening.
pub fn replay_tail(
    log: &Log,
    index: &dyn Index,
    trash: &Trash,
    progress: &mut dyn FnMut(u64),
) -> Result<Replayed, ArchiveError> {
    let mut replayed = Replayed::default();
    let mut group = Vec::with_capacity(GROUP_RECORDS);
    let from = index.covered_lsn() + 1;
    log.replay(from, |item| -> Result<(), ArchiveError> {
        let record = match item {
            FromLog::Record(record) => record,
            FromLog::Damaged(damage) => {
                let lsn = damage.lsn.unwrap_or(0);
                replayed.skipped.push(Skipped {
                    lsn,
                    reason: damage.to_string(),
                });
                return Ok(());
            }
        };
        match entry_of(log, &record) {
            Ok(Some(entry)) => group.push(entry),
            Ok(None) => {}
            // Compaction or a deletion took the bytes; the deed that killed them follows.
            Err(ArchiveError::Store(StoreError::Gone { .. })) => {}
            Err(error) => {
                let reason = error.to_string();
                replayed.skipped.push(Skipped {
                    lsn: record.lsn,
                    reason,
                });
            }
        }
        if group.len() == GROUP_RECORDS {
            apply(index, trash, &mut group, &mut replayed)?;
            progress(record.lsn);
        }
        Ok(())
    })?;
    apply(index, trash, &mut group, &mut replayed)?;
    Ok(replayed)
}

fn apply(
    index: &dyn Index,
    trash: &Trash,
    group: &mut Vec<Entry>,
    replayed: &mut Replayed,
) -> Result<(), ArchiveError> {
    if group.is_empty() {
        return Ok(());
    }
    for outcome in index.apply(group)? {
        trash.put(freed_by(&outcome));
    }
    replayed.records += group.len() as u64;
    group.clear();
    Ok(())
}

/// The entry that a record stands for; `None` for records that only the store knows.
fn entry_of(log: &Log, record: &Record<'_>) -> Result<Option<Entry>, ArchiveError> {
    let lsn = record.lsn;
    let unreadable = |problem: String| ArchiveError::Record { lsn, problem };
    match (record.kind, &record.blob) {
        (RecordKind::ARRIVAL, Some(blob)) => {
            let header: ArrivalHeader = serde_json::from_slice(record.header)
                .map_err(|error| unreadable(error.to_string()))?;
            let instance = read_head(log, blob)?;
            Ok(Some(arrival_entry(lsn, header, instance, blob)))
        }
        (RecordKind::ARRIVAL, None) => Err(unreadable("an arrival without a blob".into())),
        (RecordKind::DELETE, _) => {
            let header: DeletionHeader = serde_json::from_slice(record.header)
                .map_err(|error| unreadable(error.to_string()))?;
            let Some((level, public_id)) = header.resource() else {
                return Err(unreadable(format!(
                    "a deletion of {} {:?}, which is no resource",
                    header.level, header.public_id
                )));
            };
            let (tenant, at_us) = (header.tenant, header.at_us);
            Ok(Some(Entry::Deletion(Deletion {
                lsn,
                tenant,
                level,
                public_id,
                at_us,
            })))
        }
        _ => Ok(None),
    }
}

fn read_head(log: &Log, blob: &BlobRef) -> Result<Instance, ArchiveError> {
    read_head_of(&log.open_blob(blob)?, blob.size)
}

/// Reads the head of a stored file, and no more than that.
pub(crate) fn read_head_of(reader: &BlobReader, size: u64) -> Result<Instance, ArchiveError> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut prefix = Vec::new();
    let mut wanted = HEAD_BYTES;
    let mut head = HeaderReader::for_file();
    loop {
        let start = prefix.len();
        prefix.resize(wanted.min(size), 0);
        let read = reader.read_at(&mut prefix[start..], start as u64)?;
        prefix.truncate(start + read); // shorter than its record says: the reader of the head tells where
        match head.advance(
            &prefix,
            prefix.len() < wanted.min(size) || prefix.len() == size,
        )? {
            Progress::Done(instance) => return Ok(instance),
            Progress::NeedMore { at_least } => wanted = at_least.max(prefix.len() * 2),
        }
    }
}
