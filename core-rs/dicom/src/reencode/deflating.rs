//! A data set deflated while it leaves (PS3.5 §A.5).

use super::body::Body;
use super::{PIECE_BYTES, ReadAt};
use crate::DicomError;
use flate2::{Compress, Compression, FlushCompress, Status};

/// The deflate stream, between two reads.
#[derive(Debug)]
pub(super) struct Deflating {
    stream: Compress,
    /// Bytes to deflate, and how many of them are.
    input: Vec<u8>,
    used: usize,
    /// Whether nothing follows `input`.
    complete: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    /// The stream has ended; a NUL makes its length even.
    Pad,
    Ended,
}

impl Default for Deflating {
    fn default() -> Self {
        Deflating {
            stream: Compress::new(Compression::default(), false),
            input: Vec::new(),
            used: 0,
            complete: false,
            state: State::Running,
        }
    }
}

impl Deflating {
    /// Reads on; 0 at the end only.
    pub fn read<S: ReadAt>(
        &mut self,
        body: &mut Body<S::Error>,
        source: &S,
        buffer: &mut [u8],
    ) -> Result<usize, S::Error> {
        loop {
            match self.state {
                State::Running => {}
                State::Pad => {
                    buffer[0] = 0;
                    self.state = State::Ended;
                    return Ok(1);
                }
                State::Ended => return Ok(0),
            }
            if self.used == self.input.len() && !self.complete {
                self.input.resize(PIECE_BYTES, 0);
                let count = body.read(source, &mut self.input)?;
                self.input.truncate(count);
                self.used = 0;
                self.complete = count == 0;
            }
            let made = self.deflate(buffer)?;
            if made > 0 {
                return Ok(made);
            }
        }
    }

    fn deflate(&mut self, buffer: &mut [u8]) -> Result<usize, DicomError> {
        let flush = if self.complete {
            FlushCompress::Finish
        } else {
            FlushCompress::None
        };
        let (took, made) = (self.stream.total_in(), self.stream.total_out());
        let status = self
            .stream
            .compress(&self.input[self.used..], buffer, flush);
        let took = self.stream.total_in() - took;
        let made = self.stream.total_out() - made;
        self.used += usize::try_from(took).unwrap_or(usize::MAX);
        match status {
            Ok(Status::StreamEnd) if self.stream.total_out() % 2 == 1 => self.state = State::Pad,
            Ok(Status::StreamEnd) => self.state = State::Ended,
            Ok(Status::Ok | Status::BufError) => {}
            // Deflating has no way to fail but a misuse of the stream.
            Err(_) => {
                let offset = self.stream.total_in();
                return Err(DicomError::Inflate { offset });
            }
        }
        // Both are lengths of slices.
        Ok(usize::try_from(made).unwrap_or(usize::MAX))
    }
}
