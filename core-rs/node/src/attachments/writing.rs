//! Attachments, written: into memory, and when they get long into a file of their own.

use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress, Status};
use md5::{Digest as _, Md5};
use vna_index::{Attached, NoteId};
use vna_store::LargeBlobWriter;

use crate::archive::Archive;
use crate::committer::File;
use crate::error::ArchiveError;
use crate::notes::{Condition, Revision};

/// Writes an attachment. Dropped before [`finish`](Self::finish) it leaves nothing.
pub struct AttachmentWriter {
    archive: Arc<Archive>,
    id: NoteId,
    condition: Condition,
    size: u64,
    md5: Md5,
    kept: Kept,
    compression: Option<Deflating>,
}

/// What is stored, as far as it is written.
#[derive(Default)]
struct Kept {
    held: Vec<u8>,
    large: Option<LargeBlobWriter>,
}

struct Deflating {
    stream: Compress,
    /// Of what is stored.
    md5: Md5,
    output: Vec<u8>,
}

impl AttachmentWriter {
    pub(super) fn new(archive: Arc<Archive>, id: NoteId, condition: Condition) -> Self {
        Self {
            archive,
            id,
            condition,
            size: 0,
            md5: Md5::new(),
            kept: Kept::default(),
            compression: None,
        }
    }

    /// Stores what will be written compressed; it has `size` bytes.
    pub(super) fn compress(&mut self, size: u64) {
        let length = size.to_le_bytes();
        self.kept.held.extend_from_slice(&length);
        self.compression = Some(Deflating {
            stream: Compress::new(Compression::default(), true),
            md5: Md5::new_with_prefix(length),
            output: Vec::with_capacity(64 << 10),
        });
    }

    /// Bytes that it holds in memory at most, beside the piece at hand.
    #[must_use]
    pub fn max_held_bytes(&self) -> u64 {
        self.archive.settings().storage.large_object_bytes
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    ///
    /// What the store says, such as that there is no room. The writer is of no use afterwards.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.size += bytes.len() as u64;
        self.md5.update(bytes);
        match &mut self.compression {
            None => self.kept.write(&self.archive, bytes),
            Some(deflating) => {
                deflating.push(bytes, FlushCompress::None, &self.archive, &mut self.kept)
            }
        }
    }

    /// Attaches what was written, and gives what it is now.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Revision`] if the condition does not hold, [`ArchiveError::NotFound`] if the resource is gone;
    /// what log and index say.
    pub fn finish(mut self) -> Result<Revision, Arc<ArchiveError>> {
        let stored_md5 = match self.compression.take() {
            None => None,
            Some(mut deflating) => {
                deflating.push(&[], FlushCompress::Finish, &self.archive, &mut self.kept)?;
                Some(deflating.md5.finalize().into())
            }
        };
        let attached = Attached {
            size: self.size,
            md5: self.md5.finalize().into(),
            stored_md5,
        };
        let file = self.kept.finish()?;
        self.archive.attach(self.id, attached, file, self.condition)
    }
}

impl Kept {
    fn write(&mut self, archive: &Archive, bytes: &[u8]) -> Result<(), ArchiveError> {
        if let Some(large) = &mut self.large {
            return Ok(large.write(bytes)?);
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() as u64 > archive.settings().storage.large_object_bytes {
            let mut large = archive.log().new_large_blob()?;
            large.write(&std::mem::take(&mut self.held))?;
            self.large = Some(large);
        }
        Ok(())
    }

    fn finish(self) -> Result<File, ArchiveError> {
        Ok(match self.large {
            Some(large) => File::Large(large.finish()?),
            None => File::in_memory(self.held),
        })
    }
}

impl Deflating {
    fn push(
        &mut self,
        mut bytes: &[u8],
        flush: FlushCompress,
        archive: &Archive,
        kept: &mut Kept,
    ) -> Result<(), ArchiveError> {
        loop {
            self.output.clear();
            let taken = self.stream.total_in();
            let status = self
                .stream
                .compress_vec(bytes, &mut self.output, flush)
                .map_err(|error| ArchiveError::Io {
                    doing: "compressing an attachment",
                    source: error.into(),
                })?;
            let taken = usize::try_from(self.stream.total_in() - taken).unwrap_or(0);
            bytes = &bytes[taken..];
            self.md5.update(&self.output);
            kept.write(archive, &self.output)?;
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => bytes.is_empty() && self.output.len() < self.output.capacity(),
            };
            if is_done {
                return Ok(());
            }
        }
    }
}
