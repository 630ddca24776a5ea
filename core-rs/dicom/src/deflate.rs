//! Inflates a deflated data set piece by piece (PS3.5 §A.5): a raw deflate stream, RFC 1951.
//!
//! (1) Never more is inflated than the reader of the elements asks for, plus one piece.
//! (2) Inflated bytes are bounded in number and in relation to the deflated ones.

use crate::element::Window;
use crate::walk::{Outcome, Sink, Walker};
use crate::{Budget, DicomError, MAX_INFLATE_RATIO, MAX_INFLATED_BYTES};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Bytes inflated at once.
const PIECE: usize = 64 << 10;

/// So many bytes may come of any input: a few elements with padding deflate very well.
const FREE_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Inflater {
    stream: Decompress,
    /// How much of the input is used up.
    input_offset: u64,
    deflated_bytes: u64,
    /// Inflated bytes that are still needed.
    window: Vec<u8>,
    /// What `window` begins with, counted from the first inflated byte.
    base: u64,
    finished: bool,
    /// How much was inflated when the stream turned out to be broken.
    broken_after: Option<u64>,
    /// Whether passed bytes stay in `window`.
    keep: bool,
}

impl Inflater {
    /// For a stream that begins at byte `input_offset` of the input.
    pub fn new(input_offset: u64) -> Self {
        Inflater {
            stream: Decompress::new(false),
            input_offset,
            deflated_bytes: 0,
            window: Vec::new(),
            base: 0,
            finished: false,
            broken_after: None,
            keep: false,
        }
    }

    /// The same, keeping all that was inflated for [`Inflater::into_inflated`].
    pub fn keeping(input_offset: u64) -> Self {
        Inflater {
            keep: true,
            ..Inflater::new(input_offset)
        }
    }

    /// What was inflated.
    pub fn into_inflated(self) -> Vec<u8> {
        self.window
    }

    /// Nothing before this byte of the input is needed again.
    pub fn position(&self) -> u64 {
        self.input_offset
    }

    /// Walks on as far as `input` allows.
    pub fn run<S: Sink>(
        &mut self,
        walker: &mut Walker,
        input: Window<'_>,
        sink: &mut S,
    ) -> Result<Outcome, DicomError> {
        loop {
            let window = Window {
                bytes: &self.window,
                base: self.base,
                complete: self.finished,
            };
            match walker.run(window, sink)? {
                Outcome::NeedMore(_) => {}
                end => return Ok(end),
            }
            self.discard(walker.position());
            if !self.inflate(input.from(self.input_offset))? {
                if !input.complete {
                    return Ok(Outcome::NeedMore(input.end() + 1));
                }
                // A stream without an end: the elements tell whether anything is missing.
                self.finished = true;
            }
        }
    }

    /// Drops what lies before `position`.
    fn discard(&mut self, position: u64) {
        if self.keep {
            return;
        }
        let passed = position
            .saturating_sub(self.base)
            .min(self.window.len() as u64);
        self.window
            .drain(..usize::try_from(passed).unwrap_or(usize::MAX));
        self.base += passed;
    }

    /// Inflates one piece of `input`, which follows what is used up; false if it has nothing more to give.
    fn inflate(&mut self, input: &[u8]) -> Result<bool, DicomError> {
        if let Some(offset) = self.broken_after {
            return Err(DicomError::Inflate { offset });
        }
        let (used, made) = (self.stream.total_in(), self.stream.total_out());
        self.window.reserve(PIECE);
        let status = self
            .stream
            .decompress_vec(input, &mut self.window, FlushDecompress::None);
        let used = self.stream.total_in() - used;
        self.input_offset += used;
        self.deflated_bytes += used;
        self.check_budgets()?;
        match status {
            Ok(Status::StreamEnd) => self.finished = true,
            Ok(Status::Ok | Status::BufError) => {
                return Ok(used > 0 || self.stream.total_out() > made);
            }
            // What came out before the fault is good; the fault counts once more is needed, so that
            // it does not depend on the sizes of the pieces that the input arrives in.
            Err(_) => self.broken_after = Some(self.stream.total_out()),
        }
        Ok(true)
    }

    fn check_budgets(&self) -> Result<(), DicomError> {
        let inflated = self.stream.total_out();
        if inflated > MAX_INFLATED_BYTES {
            return Err(DicomError::Budget {
                budget: Budget::Inflated,
                offset: inflated,
            });
        }
        check_ratio(self.deflated_bytes, inflated)
    }
}

/// Refuses what was made to inflate to very much (2).
pub(crate) fn check_ratio(deflated: u64, inflated: u64) -> Result<(), DicomError> {
    if inflated <= FREE_BYTES + deflated * MAX_INFLATE_RATIO {
        return Ok(());
    }
    Err(DicomError::Budget {
        budget: Budget::InflateRatio,
        offset: inflated,
    })
}

/// Appends `plain` as one deflate stream, padded to even length (PS3.5 §A.5).
pub(crate) fn deflate(out: &mut Vec<u8>, plain: &[u8]) {
    let mut stream = Compress::new(Compression::default(), false);
    let start = out.len();
    let mut used = 0;
    loop {
        out.reserve(PIECE);
        let status = stream.compress_vec(&plain[used..], out, FlushCompress::Finish);
        used = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        // Deflating from memory has no way to fail: an error would end the loop like its end.
        if !matches!(status, Ok(Status::Ok | Status::BufError)) {
            break;
        }
    }
    if (out.len() - start) % 2 == 1 {
        out.push(0);
    }
}
