//! Another form for blobs: what a pack that is written again takes instead of the bytes that it had.
//!
//! The store neither knows the forms nor looks into them. It keeps key, position, header and digest of the record, and
//! beside them the length of the blob and the digest of what is kept now.

use std::io::{self, IoSlice};
use std::sync::Arc;

use vna_io::{DiskFile, Open};

use crate::error::StoreError;
use crate::format::{Entry, Holds};
use crate::read::BlobReader;
use crate::replay::load_entries;
use crate::scan::Reader;
use crate::segments::Segment;
use crate::shared::{Shared, is_full};
use crate::sites;
use crate::types::{BlobKey, BlobRef, Digest, Digester, Encoding, Record, RecordKind};

/// Gives blobs another form. It is called from several threads at once.
pub trait Recoder: Sync {
    /// The form that it gives.
    fn encoding(&self) -> Encoding;

    /// Which kind of record has blobs that it is for.
    fn kind(&self) -> RecordKind {
        RecordKind::ARRIVAL
    }

    /// How many threads it is called from.
    fn parallel(&self) -> usize {
        1
    }

    /// Writes the other form of what `source` reads to `into`, and has made sure, by reading it from there, that the
    /// blob comes back from it bit for bit: the bytes that it had are gone soon.
    ///
    /// # Errors
    ///
    /// What keeps the whole pack from being written again; a blob that cannot be given the form is
    /// [`Recoded::Unchanged`].
    fn recode(
        &self,
        record: &Record<'_>,
        source: &BlobReader,
        into: &mut Replacement,
    ) -> Result<Recoded, StoreError>;
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recoded {
    /// What was written takes the place of what is there.
    Replaced,
    /// It stays as it is, and is not to be asked for again in this form.
    Unchanged,
    /// It stays as it is for now.
    Later,
}

/// The other form of a blob as it is written.
pub struct Replacement {
    place: ReplacementPlace,
    size: u64,
    digester: Digester,
}

enum ReplacementPlace {
    Memory(Vec<u8>),
    File(Arc<Shared>, Arc<dyn DiskFile>, BlobKey),
}

impl Replacement {
    pub(crate) fn in_memory() -> Replacement {
        Replacement::new(ReplacementPlace::Memory(Vec::new()))
    }

    /// In the file that a blob of this key is to have.
    pub(crate) fn in_file(shared: &Arc<Shared>, key: BlobKey) -> io::Result<Replacement> {
        let path = shared.paths.incoming_blob(&key);
        let file = shared.disk.open(&path, Open::Create)?;
        file.set_len(0)?;
        let place = ReplacementPlace::File(Arc::clone(shared), file, key);
        Ok(Replacement::new(place))
    }

    fn new(place: ReplacementPlace) -> Replacement {
        Replacement {
            place,
            size: 0,
            digester: Digester::new(),
        }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], or the system's refusal.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        match &mut self.place {
            ReplacementPlace::Memory(memory) => memory.extend_from_slice(bytes),
            ReplacementPlace::File(shared, file, _) => {
                shared.check_room(length)?;
                file.write_all_at(&[IoSlice::new(bytes)], self.size)
                    .map_err(|error| match is_full(&error) {
                        true => shared.full(length),
                        false => StoreError::Io(error),
                    })?;
            }
        }
        self.digester.update(bytes);
        self.size += length;
        Ok(())
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads at `offset` of what was written; fewer bytes than asked only at its end.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        match &self.place {
            ReplacementPlace::Memory(memory) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = memory.get(at..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            ReplacementPlace::File(_, file, _) => Ok(file.read_at(buffer, offset)?),
        }
    }

    /// Makes a file durable under its final name; gives the length and digest of what was written, and the bytes that go
    /// into the record.
    pub(crate) fn finish(
        mut self,
        encoding: Encoding,
    ) -> Result<(u64, Digest, Vec<u8>), StoreError> {
        let (size, digest) = (self.size, self.digester.finish());
        let bytes = match &mut self.place {
            ReplacementPlace::Memory(memory) => std::mem::take(memory),
            ReplacementPlace::File(shared, file, key) => {
                file.sync_data(sites::BLOB_BYTES)?;
                let folder = shared.paths.blob_folder(key);
                let path = shared.paths.blob(key, encoding);
                shared
                    .disk
                    .rename(&shared.paths.incoming_blob(key), &path)?;
                shared.disk.sync_dir(&folder, sites::BLOB_NAME)?;
                Vec::new()
            }
        };
        Ok((size, digest, bytes))
    }

    /// Removes what was written.
    pub(crate) fn give_up(self) {
        if let ReplacementPlace::File(shared, _, key) = &self.place {
            // If this fails, the next opening does it.
            drop(shared.disk.remove(&shared.paths.incoming_blob(key)));
        }
    }
}

/// What a recoder made of a blob, before anything is replaced.
pub struct Attempt {
    pub blob: BlobRef,
    pub became: Recoded,
    pub into: Replacement,
}

/// Asks for another form of one blob; `None` if it is not to be asked for, or cannot be read.
pub fn attempt(
    shared: &Arc<Shared>,
    segment: &Segment,
    entry: &Entry,
    recoder: &dyn Recoder,
) -> Result<Option<Attempt>, StoreError> {
    if !is_untried(entry, recoder.kind(), recoder.encoding()) {
        return Ok(None);
    }
    let file = shared.segment_file(segment)?;
    let mut reader = Reader::new(&*file);
    let record = reader.record(&segment.header.salt, entry.offset, 0)?;
    let Some((header, caller)) = record.ok().filter(|(header, _)| header.lsn == entry.lsn) else {
        return Ok(None);
    };
    let Some(blob) = header.blob(segment.id(), entry.offset) else {
        return Ok(None);
    };
    let source = match BlobReader::open(shared, &blob) {
        Err(StoreError::Gone { .. } | StoreError::Damaged(_)) => return Ok(None),
        opened => opened?.with_digest(header.stored_digest()),
    };
    let mut into = match entry.holds {
        Holds::File => Replacement::in_file(shared, entry.key)?,
        Holds::Blob | Holds::Nothing => Replacement::in_memory(),
    };
    let record = Record {
        lsn: header.lsn,
        kind: header.kind,
        header: caller,
        blob: Some(blob),
    };
    match recoder.recode(&record, &source, &mut into) {
        Ok(became) => Ok(Some(Attempt { blob, became, into })),
        Err(error) => {
            into.give_up();
            Err(error)
        }
    }
}

/// Asks for another form of some blobs of a segment, spread evenly over it, and keeps none of them.
pub fn sample(
    shared: &Arc<Shared>,
    segment: u64,
    recoder: &dyn Recoder,
    most: usize,
    longest: u64,
) -> Result<(), StoreError> {
    let Some(segment) = shared.segments.get(segment) else {
        return Ok(());
    };
    let (mut entries, _) = load_entries(shared, &segment)?;
    entries.retain(|entry| {
        is_untried(entry, recoder.kind(), recoder.encoding()) && entry.body_bytes <= longest
    });
    let step = entries.len().div_ceil(most.max(1)).max(1);
    for entry in entries.iter().step_by(step) {
        if let Some(attempt) = attempt(shared, &segment, entry, recoder)? {
            attempt.into.give_up();
        }
    }
    Ok(())
}

/// Whether a blob is to be asked for in this form.
pub fn is_untried(entry: &Entry, kind: RecordKind, encoding: Encoding) -> bool {
    entry.holds != Holds::Nothing
        && entry.kind == kind
        && entry.encoding != encoding
        && entry.tried != encoding
}

/// What of a pack was not tried in a form yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untried {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes as they are kept.
    pub bytes: u64,
    /// The headers of the first and the last of their records.
    pub first: Vec<u8>,
    /// See `first`.
    pub last: Vec<u8>,
}

pub fn untried(
    shared: &Shared,
    segment: u64,
    kind: RecordKind,
    encoding: Encoding,
) -> Result<Untried, StoreError> {
    let Some(segment) = shared.segments.get(segment) else {
        return Ok(Untried::default());
    };
    let (mut entries, _) = load_entries(shared, &segment)?;
    entries.retain(|entry| is_untried(entry, kind, encoding));
    let file = shared.segment_file(&segment)?;
    let mut reader = Reader::new(&*file);
    let mut header_of = |entry: Option<&Entry>| -> Result<Vec<u8>, StoreError> {
        let Some(entry) = entry else {
            return Ok(Vec::new());
        };
        let record = reader.record(&segment.header.salt, entry.offset, 0)?;
        Ok(record.map_or_else(|_| Vec::new(), |(_, caller)| caller.to_vec()))
    };
    Ok(Untried {
        blobs: entries.len() as u64,
        bytes: entries.iter().map(|entry| entry.body_bytes).sum(),
        first: header_of(entries.first())?,
        last: header_of(entries.last())?,
    })
}
