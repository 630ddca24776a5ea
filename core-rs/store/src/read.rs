//! Reading blobs: the same for an open segment, a pack and a file of its own.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use vna_io::DiskFile;

use crate::error::{Damage, DamageKind, StoreError};
use crate::format::{Holds, RecordHeader};
use crate::handles::FileId;
use crate::scan::Reader;
use crate::shared::Shared;
use crate::types::{BlobKey, BlobRef, Digest, Encoding, Place};

/// How much of a record is read to know its header, in bytes.
const HEADER_AHEAD_BYTES: usize = 512;

/// Reads what is kept of one blob: its bytes, or the other form that its [`encoding`](BlobRef::encoding) stands for.
/// It keeps its file open: what is reclaimed meanwhile can still be read.
#[derive(Clone)]
pub struct BlobReader {
    file: Arc<dyn DiskFile>,
    start: u64,
    blob: BlobRef,
    /// Of what is kept; `None` if only the record knows it.
    digest: Option<Digest>,
}

impl BlobReader {
    pub(crate) fn open(shared: &Shared, blob: &BlobRef) -> Result<BlobReader, StoreError> {
        match blob.place {
            Place::Segment { segment, offset } => Self::in_segment(shared, blob, segment, offset),
            Place::File { segment, offset } => Self::in_file(shared, blob, segment, offset),
        }
    }

    fn in_segment(
        shared: &Shared,
        blob: &BlobRef,
        segment: u64,
        offset: u64,
    ) -> Result<BlobReader, StoreError> {
        let (file, header) = record_of(shared, blob)?;
        if header.holds != Holds::Blob || !is_as_referred(blob, &header) {
            let (lsn, key, kind) = (None, Some(blob.key), DamageKind::Header);
            return Err(StoreError::Damaged(Damage {
                segment,
                offset,
                lsn,
                key,
                kind,
            }));
        }
        let start = offset + header.body_at();
        Ok(BlobReader {
            file,
            start,
            blob: *blob,
            digest: Some(header.stored_digest()),
        })
    }

    /// A blob's own file has its key as name, and keys are not used twice, so the record need not
    /// be asked.
    fn in_file(
        shared: &Shared,
        blob: &BlobRef,
        segment: u64,
        offset: u64,
    ) -> Result<BlobReader, StoreError> {
        let path = shared.paths.blob(&blob.key, blob.encoding);
        let id = FileId::Blob(blob.key, blob.encoding);
        let file = match shared.handles.get(&*shared.disk, id, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::Gone {
                    key: blob.key,
                    segment,
                });
            }
            file => file?,
        };
        if file.len()? < blob.stored_size {
            let (lsn, key, kind) = (None, Some(blob.key), DamageKind::Truncated);
            return Err(StoreError::Damaged(Damage {
                segment,
                offset,
                lsn,
                key,
                kind,
            }));
        }
        Ok(BlobReader {
            file,
            start: 0,
            blob: *blob,
            digest: (blob.encoding == Encoding::PLAIN).then_some(blob.digest),
        })
    }

    /// Length of what is kept, in bytes.
    pub fn stored_size(&self) -> u64 {
        self.blob.stored_size
    }

    /// What is read.
    pub fn blob(&self) -> &BlobRef {
        &self.blob
    }

    /// Reads at `offset` of what is kept; fewer bytes than asked only at its end.
    ///
    /// # Errors
    ///
    /// [`DamageKind::Truncated`] if the file ends before the blob does, or the system's refusal.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        let left = usize::try_from(self.stored_size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = match wanted {
            0 => 0,
            _ => self
                .file
                .read_at(&mut buffer[..wanted], self.start + offset)?,
        };
        if read < wanted {
            return Err(self.damaged(DamageKind::Truncated));
        }
        Ok(read)
    }

    /// The same, for what is not likely to be read again soon: it need not be kept in memory.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](BlobReader::read_at).
    pub fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        let left = usize::try_from(self.stored_size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let at = self.start + offset;
        let read = match wanted {
            0 => 0,
            _ => self.file.read_once_at(&mut buffer[..wanted], at)?,
        };
        if read < wanted {
            return Err(self.damaged(DamageKind::Truncated));
        }
        Ok(read)
    }

    /// The same if it need not wait for the disk; `None` if it would have to.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](BlobReader::read_at).
    pub fn read_cached_at(
        &self,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<Option<usize>, StoreError> {
        let left = usize::try_from(self.stored_size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(Some(0));
        }
        let at = self.start + offset;
        Ok(self.file.read_cached_at(&mut buffer[..wanted], at)?)
    }

    /// All that is kept. For blobs known to be small; the length is that of the reference.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](BlobReader::read_at); [`io::ErrorKind::OutOfMemory`] if there is not so
    /// much memory.
    pub fn read_all(&self) -> Result<Vec<u8>, StoreError> {
        let size = usize::try_from(self.stored_size()).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        bytes.resize(size, 0);
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Compares what is kept with its digest. That of a blob in a file of its own and in another form than the plain
    /// one is in its record alone: such a one is only compared where the record is at hand, as [`Log::verify`] does.
    ///
    /// # Errors
    ///
    /// [`DamageKind::Body`] or [`DamageKind::Truncated`], or the system's refusal.
    ///
    /// [`Log::verify`]: crate::Log::verify
    pub fn verify(&self) -> Result<(), StoreError> {
        let wanted = self.digest;
        match Reader::new(&*self.file).digest(self.start, self.stored_size())? {
            None => Err(self.damaged(DamageKind::Truncated)),
            Some(digest) if wanted.is_some_and(|wanted| digest != wanted) => {
                Err(self.damaged(DamageKind::Body))
            }
            Some(_) => Ok(()),
        }
    }

    /// The digest of what is kept, if it is known without the record.
    pub fn stored_digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same reader, which knows the digest of what is kept.
    pub(crate) fn with_digest(self, digest: Digest) -> BlobReader {
        BlobReader {
            digest: Some(digest),
            ..self
        }
    }

    /// The error that tells of damage to this blob.
    pub fn damage(&self) -> StoreError {
        self.damaged(DamageKind::Body)
    }

    fn damaged(&self, kind: DamageKind) -> StoreError {
        let (segment, offset) = (self.blob.place.segment(), self.blob.place.offset());
        StoreError::Damaged(Damage {
            segment,
            offset,
            lsn: None,
            key: Some(self.blob.key),
            kind,
        })
    }
}

/// Says that the first bytes of a blob are read soon, with what is read to find them.
pub(crate) fn will_read(shared: &Shared, blob: &BlobRef, bytes: u64) {
    let bytes = bytes.min(blob.stored_size);
    match blob.place {
        Place::Segment { segment, offset } => {
            let segment = shared.segments.get(segment);
            if let Some(Ok(file)) = segment.map(|segment| shared.segment_file(&segment)) {
                file.will_read(offset, HEADER_AHEAD_BYTES as u64 + bytes);
            }
        }
        Place::File { .. } => {
            let path = shared.paths.blob(&blob.key, blob.encoding);
            let id = FileId::Blob(blob.key, blob.encoding);
            if let Ok(file) = shared.handles.get(&*shared.disk, id, &path) {
                file.will_read(0, bytes);
            }
        }
    }
}

/// The record of a blob, whose key was compared, and the segment's file.
pub(crate) fn record_of(
    shared: &Shared,
    blob: &BlobRef,
) -> Result<(Arc<dyn DiskFile>, RecordHeader), StoreError> {
    let (file, header) = record_at(shared, blob.key, blob.place)?;
    check_key(blob, &header)?; // (5)
    Ok((file, header))
}

/// The blob `key` whose record is at `place`, as the record says.
pub(crate) fn blob_at(shared: &Shared, key: BlobKey, place: Place) -> Result<BlobRef, StoreError> {
    let (_, header) = record_at(shared, key, place)?;
    let (segment, offset) = (place.segment(), place.offset());
    header
        .blob(segment, offset)
        .filter(|blob| blob.key == key)
        .ok_or(StoreError::OtherBlob {
            wanted: key,
            found: header.key,
            segment,
            offset,
        })
}

/// The record at `place`, which is to be that of the blob `key`, and the segment's file.
fn record_at(
    shared: &Shared,
    key: BlobKey,
    place: Place,
) -> Result<(Arc<dyn DiskFile>, RecordHeader), StoreError> {
    let (segment_id, offset) = (place.segment(), place.offset());
    let gone = StoreError::Gone {
        key,
        segment: segment_id,
    };
    let Some(segment) = shared.segments.get(segment_id) else {
        return Err(gone);
    };
    let file = match shared.segment_file(&segment) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(gone),
        file => file?,
    };
    let mut reader = Reader::new(&*file);
    let record = reader.record(&segment.header.salt, offset, HEADER_AHEAD_BYTES)?;
    let Ok((header, _)) = record else {
        let (lsn, key, kind) = (None, Some(key), DamageKind::Header);
        return Err(StoreError::Damaged(Damage {
            segment: segment_id,
            offset,
            lsn,
            key,
            kind,
        }));
    };
    Ok((file, header))
}

/// Whether the blob is kept as the reference says.
fn is_as_referred(blob: &BlobRef, header: &RecordHeader) -> bool {
    header.encoding() == blob.encoding
        && header.body_bytes == blob.stored_size
        && header.plain_bytes() == blob.size
}

fn check_key(blob: &BlobRef, header: &RecordHeader) -> Result<(), StoreError> {
    if header.key == blob.key && header.digest == blob.digest {
        return Ok(());
    }
    Err(StoreError::OtherBlob {
        wanted: blob.key,
        found: header.key,
        segment: blob.place.segment(),
        offset: blob.place.offset(),
    })
}
