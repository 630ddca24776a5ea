//! The bytes of a data set by position, also where they are stored deflated.

use super::{PIECE_BYTES, ReadAt};
use crate::DicomError;
use crate::deflate::check_ratio;
use flate2::{Decompress, FlushDecompress, Status};

/// A data set whose bytes are read in ascending order, but for those of the last piece.
#[derive(Debug)]
pub(super) struct DataSetBytes {
    /// Where the data set begins in the source.
    offset: u64,
    /// The last piece, and where it begins.
    piece: Vec<u8>,
    piece_at: u64,
    inflation: Option<Box<Inflation>>,
}

/// How far a deflated data set was inflated.
#[derive(Debug)]
struct Inflation {
    stream: Decompress,
    /// Deflated bytes, and where the next ones are in the source.
    input: Vec<u8>,
    used: usize,
    input_at: u64,
    /// Whether nothing more comes.
    ended: bool,
}

impl DataSetBytes {
    /// For a data set that begins at byte `offset` of a source.
    pub fn new(offset: u64, deflated: bool) -> Self {
        DataSetBytes {
            offset,
            piece: Vec::new(),
            piece_at: 0,
            inflation: deflated.then(|| {
                Box::new(Inflation {
                    stream: Decompress::new(false),
                    input: Vec::new(),
                    used: 0,
                    input_at: offset,
                    ended: false,
                })
            }),
        }
    }

    /// The position of its first byte: inflated bytes are counted from the first one, others from the beginning of the
    /// source.
    pub fn start(&self) -> u64 {
        if self.inflation.is_some() {
            0
        } else {
            self.offset
        }
    }

    /// A position that no byte is behind.
    pub fn end<S: ReadAt>(&self, source: &S) -> u64 {
        if self.inflation.is_some() {
            u64::MAX
        } else {
            source.size()
        }
    }

    /// The position behind the last byte.
    pub fn find_end<S: ReadAt>(&mut self, source: &S) -> Result<u64, S::Error> {
        let Some(inflation) = &mut self.inflation else {
            return Ok(source.size());
        };
        inflation.pass(source, u64::MAX)
    }

    /// Reads the next piece, at most `length` bytes at `offset`, and keeps it; empty at the end.
    pub fn piece<S: ReadAt>(
        &mut self,
        source: &S,
        offset: u64,
        length: usize,
    ) -> Result<&[u8], S::Error> {
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(length, 0);
        let count = self.read_at(source, &mut piece, offset)?;
        piece.truncate(count);
        self.piece = piece;
        self.piece_at = offset;
        Ok(&self.piece)
    }

    /// Reads at `offset`; fewer bytes than `buffer` takes only at the end.
    pub fn read_at<S: ReadAt>(
        &mut self,
        source: &S,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<usize, S::Error> {
        let Some(inflation) = &mut self.inflation else {
            return source.read_at(buffer, offset);
        };
        let mut filled = 0;
        let in_piece = offset
            .checked_sub(self.piece_at)
            .and_then(|at| self.piece.get(usize::try_from(at).ok()?..));
        if let Some(kept) = in_piece {
            filled = kept.len().min(buffer.len());
            buffer[..filled].copy_from_slice(&kept[..filled]);
        }
        if filled < buffer.len() {
            inflation.pass(source, offset + filled as u64)?;
            filled += inflation.inflate(source, &mut buffer[filled..])?;
        }
        Ok(filled)
    }
}

impl Inflation {
    /// Passes over what lies before `offset`, as far as there is any, and returns where it stands.
    fn pass<S: ReadAt>(&mut self, source: &S, offset: u64) -> Result<u64, S::Error> {
        let mut scratch = Vec::new();
        while self.stream.total_out() < offset {
            scratch.resize(PIECE_BYTES, 0);
            let left = usize::try_from(offset - self.stream.total_out()).unwrap_or(usize::MAX);
            let count = left.min(PIECE_BYTES);
            if self.inflate(source, &mut scratch[..count])? == 0 {
                break;
            }
        }
        Ok(self.stream.total_out())
    }

    fn inflate<S: ReadAt>(&mut self, source: &S, buffer: &mut [u8]) -> Result<usize, S::Error> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            if self.used == self.input.len() {
                self.input.resize(PIECE_BYTES, 0);
                let count = source.read_at(&mut self.input, self.input_at)?;
                self.input.truncate(count);
                self.input_at += count as u64;
                self.used = 0;
            }
            let (took, made) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(
                &self.input[self.used..],
                &mut buffer[filled..],
                FlushDecompress::None,
            );
            let took = self.stream.total_in() - took;
            let made = self.stream.total_out() - made;
            // Both are lengths of slices.
            self.used += usize::try_from(took).unwrap_or(usize::MAX);
            filled += usize::try_from(made).unwrap_or(usize::MAX);
            check_ratio(self.stream.total_in(), self.stream.total_out())?;
            match status {
                Ok(Status::StreamEnd) => self.ended = true,
                // A stream without an end: the elements tell whether anything is missing.
                Ok(_) => self.ended = took == 0 && made == 0,
                Err(_) if made > 0 => {} // what came out before the fault is good
                Err(_) => {
                    let offset = self.stream.total_out();
                    return Err(DicomError::Inflate { offset }.into());
                }
            }
        }
        Ok(filled)
    }
}
