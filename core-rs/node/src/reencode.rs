//! Stored files as those read them who write them anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> Result<Option<usize>, ArchiveError> {
        self.0.read_cached_at(buffer, at)
    }
}

/// The head of a stored file, as long as all that is read of it is at hand and takes no time: anything else is an error.
pub(crate) struct HeadAtHand {
    blob: StoredBlob,
    reads: AtomicU32,
}

impl HeadAtHand {
    /// Of how many reads a head consists that has not many fragments.
    const READS: u32 = 64;

    pub fn new(blob: StoredBlob) -> Self {
        HeadAtHand {
            blob,
            reads: AtomicU32::new(0),
        }
    }
}

impl ReadAt for HeadAtHand {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.blob.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        let read = match self.reads.fetch_add(1, Ordering::Relaxed) < Self::READS {
            true => self.blob.read_cached_at(buffer, offset)?,
            false => None,
        };
        read.ok_or_else(|| ArchiveError::Io {
            doing: "reading what is at hand",
            source: std::io::ErrorKind::WouldBlock.into(),
        })
    }
}
