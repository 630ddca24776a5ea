//! Stored files as those read them who write them anew.

use std::sync::Arc;

use vna_dicom::ReadAt;

use crate::error::ArchiveError;
use crate::stored_file::StoredFile;

/// A stored file, as the re-encoder reads it.
#[derive(Clone)]
pub struct StoredBlob(Arc<StoredFile>);

impl StoredBlob {
    /// The blob behind `reader`.
    #[must_use]
    pub fn new(reader: Arc<StoredFile>) -> Self {
        StoredBlob(reader)
    }
}

impl ReadAt for StoredBlob {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        self.0.read_at(buffer, offset)
    }
}
