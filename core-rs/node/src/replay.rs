//! The index catches up with the log: the tail that a power cut took from it, or all of it.

use std::fmt;
use std::sync::Arc;

use vna_dicom::{HeaderReader, Instance, Progress};
use vna_index::{Deletion, Entry, Erasure, Event, IndexError, Noting, Outcome, Unnoting};
use vna_store::{Lsn, Place, Record, RecordKind, Replayed as FromLog, StoreError};

use crate::arrival::{ArrivalHeader, DeletionHeader, ErasureHeader, EventHeader};
use crate::entries::{arrival_entry, blob_row, freed_by};
use crate::error::ArchiveError;
use crate::housekeeping::Trash;
use crate::note_header::NoteHeader;
use crate::stored_file::{StoredFile, StoredFiles};

/// Heads end well before this in nearly all objects, so that one read does.
const HEAD_BYTES: usize = 64 << 10;

/// Records applied in one transaction.
const GROUP_RECORDS: usize = 512;

/// What the index had to catch up with.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Records applied.
    pub records: u64,
    /// Records that could not be, each with its reason.
    pub skipped: Vec<Skipped>,
    /// Arrivals and attachments whose bytes a deletion or a compaction had taken already.
    pub gone: u64,
}

/// A record that the index could not take.
#[derive(Debug)]
pub struct Skipped {
    /// Its position in the log.
    pub lsn: u64,
    /// Why.
    pub reason: String,
    /// The copy of its bytes, below the log's folder; `None` if nothing is left of them.
    pub aside: Option<String>,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log record {}: {}", self.lsn, self.reason)?;
        match &self.aside {
            Some(name) => write!(f, "; its bytes are kept as {name}"),
            None => Ok(()),
        }
    }
}

/// Takes groups of entries: an index, or one in the making.
pub(crate) type Apply<'a> = &'a dyn Fn(&[Entry]) -> Result<Vec<Outcome>, IndexError>;

/// Hands every record from position `from` on to `apply`, in the order of the log. Blobs that this leaves without
/// a row go to `trash`; `progress` is called with the position after each group.
///
/// # Errors
///
/// What the log and `apply` say. A single record that is damaged, or not what this release takes for an instance,
/// is skipped, set aside and told of: it must not keep the archive from opening, and has no row that would keep its
/// bytes from a compaction. What the disk may give the next time is an error: it must not be passed by.
pub(crate) fn replay(
    files: &Arc<StoredFiles>,
    from: Lsn,
    apply: Apply<'_>,
    trash: &Trash,
    progress: &mut dyn FnMut(Lsn),
) -> Result<Replayed, ArchiveError> {
    let log = files.log();
    let (mut records, mut gone, mut skipped) = (0, 0, Vec::new());
    let mut group = Vec::with_capacity(GROUP_RECORDS);
    let mut flush = |group: &mut Vec<Entry>| -> Result<(), ArchiveError> {
        for outcome in apply(group)? {
            trash.put(freed_by(&outcome));
        }
        records += group.len() as u64;
        group.clear();
        Ok(())
    };
    log.replay(from, |item| -> Result<(), ArchiveError> {
        let (lsn, entry) = match &item {
            FromLog::Record(record) => (record.lsn, entry_of(files, record)),
            FromLog::Damaged(damage) => (
                damage.lsn.unwrap_or(0),
                Err(StoreError::Damaged(*damage).into()),
            ),
        };
        match entry {
            Ok(Some(entry)) => group.push(entry),
            Ok(None) => {}
            // Compaction or a deletion took the bytes; the deed that killed them follows.
            Err(ArchiveError::Store(StoreError::Gone { .. })) => gone += 1,
            Err(error) if !is_of_the_record(&error) => return Err(error),
            Err(error) => {
                let aside = match &item {
                    FromLog::Damaged(damage) => log.set_aside(damage)?,
                    FromLog::Record(record) => match &record.blob {
                        Some(blob) => log.set_aside_blob(blob)?,
                        None => None,
                    },
                };
                skipped.push(Skipped {
                    lsn,
                    reason: error.to_string(),
                    aside: aside.map(|aside| aside.name),
                });
            }
        }
        if group.len() == GROUP_RECORDS {
            flush(&mut group)?;
            progress(lsn);
        }
        Ok(())
    })?;
    flush(&mut group)?;
    Ok(Replayed {
        records,
        skipped,
        gone,
    })
}

/// Whether the record itself is at fault, so that it would be no better the next time.
fn is_of_the_record(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Dicom(_)
            | ArchiveError::Record { .. }
            | ArchiveError::Store(StoreError::Damaged(_) | StoreError::OtherBlob { .. })
    )
}

/// The entry that a record stands for; `None` for records that only the store knows.
fn entry_of(files: &Arc<StoredFiles>, record: &Record<'_>) -> Result<Option<Entry>, ArchiveError> {
    let lsn = record.lsn;
    let unreadable = |problem: String| ArchiveError::Record { lsn, problem };
    match (record.kind, &record.blob) {
        (RecordKind::ARRIVAL, Some(blob)) => {
            let header: ArrivalHeader = serde_json::from_slice(record.header)
                .map_err(|error| unreadable(error.to_string()))?;
            let file = files.open(blob)?;
            let instance = read_head_of(&file, file.size())?;
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
            Ok(Some(Entry::Deletion(Deletion {
                lsn,
                tenant: header.tenant,
                level,
                public_id,
                at_us: header.at_us,
                keep_us: header.keep_us,
            })))
        }
        (RecordKind::ERASE, _) => {
            let ErasureHeader { deletions, .. } = serde_json::from_slice(record.header)
                .map_err(|error| unreadable(error.to_string()))?;
            Ok(Some(Entry::Erasure(Erasure { lsn, deletions })))
        }
        (RecordKind::NOTE | RecordKind::NOTE_AGAIN, Some(blob)) => {
            let header = note_header(record)?;
            if matches!(blob.place, Place::File { .. }) {
                files.open(blob)?; // what nobody needed any more went before its record did
            }
            let value = || files.open(blob)?.read_all();
            let note = header.note(value)?;
            Ok(Some(Entry::Noting(Box::new(Noting {
                lsn,
                note: note.ok_or_else(|| no_note(record, &header))?,
                blob: blob_row(blob),
                at_us: header.at_us,
                again: record.kind == RecordKind::NOTE_AGAIN,
            }))))
        }
        (RecordKind::NOTE | RecordKind::NOTE_AGAIN, None) => {
            Err(unreadable("a note without a blob".into()))
        }
        (RecordKind::UNNOTE, _) => {
            let header = note_header(record)?;
            Ok(Some(Entry::Unnoting(Unnoting {
                lsn,
                id: header.id().ok_or_else(|| no_note(record, &header))?,
                at_us: header.at_us,
            })))
        }
        (RecordKind::EVENT, Some(blob)) => {
            let header: EventHeader = serde_json::from_slice(record.header)
                .map_err(|error| unreadable(error.to_string()))?;
            let (Some((level, public_id)), Some(change)) = (header.resource(), header.change())
            else {
                return Err(unreadable(format!(
                    "an event {:?} of {} {:?}, which this release does not know",
                    header.change, header.level, header.public_id
                )));
            };
            Ok(Some(Entry::Event(Box::new(Event {
                lsn,
                tenant: header.tenant,
                change,
                level,
                public_id,
                at_us: header.at_us,
                as_of_us: header.as_of_us,
                blob: blob_row(blob),
            }))))
        }
        (RecordKind::EVENT, None) => Err(unreadable("an event without a blob".into())),
        _ => Ok(None),
    }
}

fn note_header(record: &Record<'_>) -> Result<NoteHeader, ArchiveError> {
    let lsn = record.lsn;
    serde_json::from_slice(record.header).map_err(|error| ArchiveError::Record {
        lsn,
        problem: error.to_string(),
    })
}

fn no_note(record: &Record<'_>, header: &NoteHeader) -> ArchiveError {
    ArchiveError::Record {
        lsn: record.lsn,
        problem: format!(
            "a note of {} {:?}, which is no resource or has none such",
            header.level, header.public_id
        ),
    }
}

/// Reads the head of a stored file, and no more than that.
pub(crate) fn read_head_of(reader: &StoredFile, size: u64) -> Result<Instance, ArchiveError> {
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
