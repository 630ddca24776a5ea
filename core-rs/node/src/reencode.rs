//! Stored files in another transfer syntax.

use std::sync::Arc;

use vna_dicom::{ReadAt, Reencoded};

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

/// A stored file to be read in `transfer_syntax_uid`: its headers are written anew, its long values read where they
/// are. Walks through the file once; memory grows neither with it nor with the number of its elements.
///
/// # Errors
///
/// What the store says, or [`Reencoded::new`] of what is stored: `transcode.unsupported` if it takes a codec.
pub fn reencode_stored(
    reader: Arc<StoredFile>,
    transfer_syntax_uid: &str,
) -> Result<Reencoded<StoredBlob>, ArchiveError> {
    Reencoded::new(StoredBlob(reader), transfer_syntax_uid)
}
