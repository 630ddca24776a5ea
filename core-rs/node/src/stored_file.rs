//! The one reader of stored files: whatever form the store keeps them in, it gives the bytes that were received.

use std::sync::Arc;

use vna_store::{BlobReader, BlobRef, Log};

use crate::error::ArchiveError;

/// A stored file, held open: what is reclaimed, moved or recompressed meanwhile can still be read.
pub struct StoredFile {
    reader: BlobReader,
}

/// Opens stored files.
pub struct StoredFiles {
    log: Arc<Log>,
}

impl StoredFiles {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        StoredFiles { log }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Those of [`Log::open_blob`].
    pub fn open(&self, blob: &BlobRef) -> Result<StoredFile, ArchiveError> {
        let reader = self.log.open_blob(blob)?;
        Ok(StoredFile { reader })
    }
}

impl StoredFile {
    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.reader.size()
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
    /// What the store says.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        Ok(self.reader.read_at(buffer, offset)?)
    }

    /// The same, for what is not likely to be read again soon: it need not be kept in memory.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](StoredFile::read_at).
    pub fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        Ok(self.reader.read_once_at(buffer, offset)?)
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
        Ok(self.reader.read_cached_at(buffer, offset)?)
    }

    /// The whole file. For files known to be small.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](StoredFile::read_at); if there is not so much memory.
    pub fn read_all(&self) -> Result<Vec<u8>, ArchiveError> {
        Ok(self.reader.read_all()?)
    }

    /// Compares all of its bytes with the digest of what was received.
    ///
    /// # Errors
    ///
    /// That they differ, or those of [`read_at`](StoredFile::read_at).
    pub fn verify(&self) -> Result<(), ArchiveError> {
        Ok(self.reader.verify()?)
    }
}
