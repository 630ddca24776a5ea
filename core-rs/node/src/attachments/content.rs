//! Attachments, read: as they are stored, and as they are.

use std::collections::HashMap;

use flate2::{Decompress, FlushDecompress, Status};
use md5::{Digest as _, Md5};
use parking_lot::Mutex;

use super::PIECE_BYTES;
use crate::error::ArchiveError;
use crate::note_header::hex;
use crate::stored_file::StoredFile;

/// Bytes of the length before a zlib stream.
pub(super) const LENGTH_BYTES: u64 = 8;

/// Sums that are remembered: some 64 bytes each.
const REMEMBERED_MD5S: usize = 16_384;

/// Digest and size of a file.
type FileKey = ([u8; 16], u64);

/// MD5 sums of files, by digest and size; forgotten all together when there are too many.
#[derive(Default)]
pub(crate) struct Md5Cache(HashMap<FileKey, [u8; 16]>);

impl Md5Cache {
    pub(super) fn get(&self, key: &FileKey) -> Option<[u8; 16]> {
        self.0.get(key).copied()
    }

    pub(super) fn put(&mut self, key: FileKey, md5: [u8; 16]) {
        if self.0.len() >= REMEMBERED_MD5S {
            self.0.clear();
        }
        self.0.insert(key, md5);
    }
}

/// Reads the bytes of an attachment.
pub struct AttachmentReader {
    file: StoredFile,
    size: u64,
    /// If what is stored is compressed: where the last reader came to.
    inflating: Option<Mutex<Inflating>>,
}

impl AttachmentReader {
    pub(super) fn new(file: StoredFile, size: u64, is_compressed: bool) -> Self {
        Self {
            inflating: is_compressed.then(|| Mutex::new(Inflating::new())),
            file,
            size,
        }
    }

    /// Reads at `offset` of what it is; fewer bytes than asked only at its end.
    ///
    /// # Errors
    ///
    /// What the store says; [`ArchiveError::BadAttachment`] if what is stored is not what it should be.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match &self.inflating {
            None => self.file.read_at(buffer, offset),
            Some(inflating) => {
                let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(left);
                let mut inflating = inflating.lock();
                if inflating.given > offset {
                    *inflating = Inflating::new();
                }
                inflating.skip(&self.file, offset)?;
                inflating.fill(&self.file, &mut buffer[..wanted])?;
                Ok(wanted)
            }
        }
    }

    /// Reads at `offset` of what is stored.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn read_stored_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        self.file.read_at(buffer, offset)
    }

    /// Compares what is stored with its digest.
    pub(super) fn verify_stored(&self) -> Result<(), ArchiveError> {
        self.file.verify()
    }

    /// MD5 of what is stored, or of what it is.
    pub(super) fn md5(&self, stored: bool) -> Result<String, ArchiveError> {
        let md5 = match stored {
            true => md5_of_file(&self.file)?,
            false => md5_by(|piece, at| self.read_at(piece, at))?,
        };
        Ok(hex(&md5))
    }
}

pub(super) fn md5_of_file(file: &StoredFile) -> Result<[u8; 16], ArchiveError> {
    md5_by(|piece, at| file.read_at(piece, at))
}

fn md5_by(
    mut read: impl FnMut(&mut [u8], u64) -> Result<usize, ArchiveError>,
) -> Result<[u8; 16], ArchiveError> {
    let (mut md5, mut at) = (Md5::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = read(&mut piece, at)?;
        if read == 0 {
            return Ok(md5.finalize().into());
        }
        md5.update(&piece[..read]);
        at += read as u64;
    }
}

/// A zlib stream that is read forward. It gives as many bytes as the note says that there are, and no more: what it
/// holds cannot make more of itself.
struct Inflating {
    stream: Decompress,
    /// What was read and not inflated.
    input: Vec<u8>,
    used: usize,
    /// Where the next input is.
    read: u64,
    /// Bytes that were given.
    given: u64,
}

impl Inflating {
    fn new() -> Self {
        Self {
            stream: Decompress::new(true),
            input: Vec::new(),
            used: 0,
            read: LENGTH_BYTES,
            given: 0,
        }
    }

    fn skip(&mut self, file: &StoredFile, offset: u64) -> Result<(), ArchiveError> {
        let mut piece = vec![0; PIECE_BYTES.min(64 << 10)];
        while self.given < offset {
            let left = usize::try_from(offset - self.given).unwrap_or(usize::MAX);
            let length = piece.len().min(left);
            self.fill(file, &mut piece[..length])?;
        }
        Ok(())
    }

    /// Fills all of `buffer`.
    fn fill(&mut self, file: &StoredFile, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        let bad = |problem: &str| ArchiveError::BadAttachment {
            problem: problem.to_owned(),
        };
        let mut filled = 0;
        while filled < buffer.len() {
            if self.used == self.input.len() {
                self.input.resize(64 << 10, 0);
                let read = file.read_at(&mut self.input, self.read)?;
                self.input.truncate(read);
                (self.used, self.read) = (0, self.read + read as u64);
            }
            let (taken, made) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(
                    &self.input[self.used..],
                    &mut buffer[filled..],
                    FlushDecompress::None,
                )
                .map_err(|_| bad("what is stored of it is no zlib stream"))?;
            let step = |total: u64, before: u64| usize::try_from(total - before).unwrap_or(0);
            self.used += step(self.stream.total_in(), taken);
            let made = step(self.stream.total_out(), made);
            filled += made;
            self.given += made as u64;
            let is_over = status == Status::StreamEnd || (self.input.is_empty() && made == 0);
            if is_over && filled < buffer.len() {
                return Err(bad("what is stored of it ends early"));
            }
        }
        Ok(())
    }
}
