//! The one reader of stored files: whatever form the store keeps them in, it gives the bytes that were received, or those
//! that an operator let take their place.

use std::sync::Arc;

use vna_codec::Codecs;
use vna_store::{BlobReader, BlobRef, Digest, Encoding, Log};

use crate::error::ArchiveError;
use crate::recompress::{Container, file_bytes, is_instead};
use crate::settings::Settings;
use crate::unpacked::Unpacked;

/// Opens stored files.
pub struct StoredFiles {
    log: Arc<Log>,
    codecs: Arc<Codecs>,
    unpacked: Unpacked,
}

impl StoredFiles {
    pub(crate) fn new(log: Arc<Log>, settings: &Settings) -> Self {
        StoredFiles {
            log,
            codecs: Arc::new(Codecs::new(settings.codecs.to_codec_settings())),
            unpacked: Unpacked::new(settings.limits.unpacked_cache_bytes),
        }
    }

    /// The log that they are in.
    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// What recompressed files are read with.
    pub(crate) fn codecs(&self) -> &Arc<Codecs> {
        &self.codecs
    }

    /// What is kept unpacked for the next reader.
    pub(crate) fn unpacked(&self) -> &Unpacked {
        &self.unpacked
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Those of [`Log::open_blob`].
    pub fn open(self: &Arc<Self>, blob: &BlobRef) -> Result<StoredFile, ArchiveError> {
        self.of_reader(self.log.open_blob(blob)?)
    }

    /// The file whose stored form is read by `reader`.
    pub(crate) fn of_reader(
        self: &Arc<Self>,
        reader: BlobReader,
    ) -> Result<StoredFile, ArchiveError> {
        let encoding = reader.blob().encoding;
        if encoding == Encoding::PLAIN || is_instead(encoding) {
            let reader = self.log.with_stored_digest(reader)?;
            let packed = None;
            return Ok(StoredFile { reader, packed });
        }
        let container = self.container(&reader)?;
        let files = Arc::clone(self);
        let packed = Some(Packed { container, files });
        Ok(StoredFile { reader, packed })
    }

    fn container(&self, reader: &BlobReader) -> Result<Arc<Container>, ArchiveError> {
        let blob = reader.blob();
        if let Some(found) = self.unpacked.container(blob) {
            return Ok(found);
        }
        let container = Arc::new(Container::open(reader, blob.size)?);
        self.unpacked.keep_container(blob, &container);
        Ok(container)
    }
}

/// A stored file, held open: what is reclaimed, moved or recompressed meanwhile can still be read.
pub struct StoredFile {
    reader: BlobReader,
    /// If it was recompressed.
    packed: Option<Packed>,
}

/// Reads at a position of what is kept, and tells whether it could.
type ReadDirect<'a> = dyn Fn(&mut [u8], u64) -> Result<bool, ArchiveError> + 'a;

struct Packed {
    container: Arc<Container>,
    files: Arc<StoredFiles>,
}

impl StoredFile {
    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        file_bytes(self.reader.blob())
    }

    /// The digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match (&self.packed, self.reader.stored_digest()) {
            (None, Some(digest)) => digest,
            _ => self.reader.blob().digest,
        }
    }

    /// What is read.
    #[must_use]
    pub fn blob(&self) -> &BlobRef {
        self.reader.blob()
    }

    /// Reads at `offset` of the file; fewer bytes than asked only at its end.
    ///
    /// # Errors
    ///
    /// What the store says; of a recompressed file, what the codec says.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match &self.packed {
            None => Ok(self.reader.read_at(buffer, offset)?),
            Some(packed) => {
                let direct = |buffer: &mut [u8], at| {
                    self.reader.read_at(buffer, at)?;
                    Ok(true)
                };
                self.gather(packed, buffer, offset, &direct, true)
                    .map(|read| read.unwrap_or(0))
            }
        }
    }

    /// The same, for what is not likely to be read again soon: it need not be kept in memory.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](StoredFile::read_at).
    pub fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match &self.packed {
            None => Ok(self.reader.read_once_at(buffer, offset)?),
            Some(_) => self.read_at(buffer, offset), // what is unpacked is kept until it is read on
        }
    }

    /// The same if it need not wait, neither for the disk nor for a codec; `None` if it would have to.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](StoredFile::read_at).
    pub fn read_cached_at(
        &self,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<Option<usize>, ArchiveError> {
        match &self.packed {
            None => Ok(self.reader.read_cached_at(buffer, offset)?),
            Some(packed) => {
                let direct = |buffer: &mut [u8], at| {
                    let read = self.reader.read_cached_at(buffer, at)?;
                    Ok(read == Some(buffer.len()))
                };
                self.gather(packed, buffer, offset, &direct, false)
            }
        }
    }

    /// The whole file. For files known to be small.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](StoredFile::read_at); if there is not so much memory.
    pub fn read_all(&self) -> Result<Vec<u8>, ArchiveError> {
        if self.packed.is_none() {
            return Ok(self.reader.read_all()?);
        }
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| ArchiveError::Io {
                doing: "reading a stored file",
                source: std::io::ErrorKind::OutOfMemory.into(),
            })?;
        bytes.resize(size, 0);
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Compares all of its bytes, as they come back, with the digest of what was received, or of what took its place.
    ///
    /// # Errors
    ///
    /// That they differ, or those of [`read_at`](StoredFile::read_at).
    pub fn verify(&self) -> Result<(), ArchiveError> {
        let Some(Packed { container, files }) = &self.packed else {
            return Ok(self.reader.verify()?);
        };
        // From what is stored, and not from what was unpacked before.
        match container.digest(&self.reader, &files.codecs)? == self.digest() {
            true => Ok(()),
            false => Err(ArchiveError::Store(self.reader.damage())),
        }
    }

    /// Puts together what the parts hold. `direct` reads what is kept as it is, and tells whether it could; `None` if not,
    /// or if a part would have to be unpacked and `may_wait` is false.
    fn gather(
        &self,
        packed: &Packed,
        buffer: &mut [u8],
        offset: u64,
        direct: &ReadDirect<'_>,
        may_wait: bool,
    ) -> Result<Option<usize>, ArchiveError> {
        let (container, files, blob) = (&packed.container, &packed.files, self.blob());
        let left = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            let Some(index) = container.part_at(at) else {
                return Err(ArchiveError::Store(self.reader.damage()));
            };
            let part = &container.parts()[index];
            let within = at - part.plain_at;
            let rest = usize::try_from(part.plain_bytes - within).unwrap_or(usize::MAX);
            let piece = &mut buffer[done..wanted];
            let length = piece.len().min(rest);
            let piece = &mut piece[..length];
            if part.is_plain() {
                if !direct(piece, part.stored_at + within)? {
                    return Ok(None);
                }
            } else {
                let bytes = match files.unpacked.part(blob, index) {
                    Some(bytes) => bytes,
                    None if !may_wait => return Ok(None),
                    None => {
                        let bytes = container.read_part(&self.reader, part, &files.codecs)?;
                        files.unpacked.keep_part(blob, index, bytes)
                    }
                };
                let start = usize::try_from(within).unwrap_or(usize::MAX);
                piece.copy_from_slice(&bytes[start..start + length]);
            }
            done += length;
        }
        Ok(Some(done))
    }
}
