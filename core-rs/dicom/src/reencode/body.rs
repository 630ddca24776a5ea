//! The data set as it leaves, byte by byte, before it is deflated.

use super::ReadAt;
use super::inflating::DataSetBytes;
use super::rewriter::{Part, Reencoder};
use crate::DicomError;
use crate::ambiguous::Pixels;
use crate::encode::swap;
use crate::syntax::Encoding;
use std::collections::VecDeque;

/// A data set that is read from its beginning to its end.
#[derive(Debug)]
pub(super) struct Body {
    bytes: DataSetBytes,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// As it is, from here on.
    Unchanged(u64),
    /// Written anew.
    Rewritten(Box<Rewritten>),
}

#[derive(Debug)]
struct Rewritten {
    reencoder: Reencoder,
    /// What is still to be given.
    parts: VecDeque<Part>,
    /// How much of the first part was given, if that is written.
    given: usize,
}

impl Body {
    /// The bytes of the source from `offset` on.
    pub fn stored(offset: u64) -> Self {
        Body::unchanged(DataSetBytes::new(offset, false), offset)
    }

    /// The data set as it is.
    pub fn unchanged(bytes: DataSetBytes, begin: u64) -> Self {
        Body {
            bytes,
            form: Form::Unchanged(begin),
        }
    }

    /// The data set in another encoding.
    pub fn rewritten(
        bytes: DataSetBytes,
        begin: u64,
        from: Encoding,
        to: Encoding,
        pixels: Pixels,
    ) -> Self {
        Body {
            bytes,
            form: Form::Rewritten(Box::new(Rewritten {
                reencoder: Reencoder::new(begin, from, to, pixels),
                parts: VecDeque::new(),
                given: 0,
            })),
        }
    }

    /// Reads on; 0 at the end only.
    pub fn read<S: ReadAt>(&mut self, source: &S, buffer: &mut [u8]) -> Result<usize, S::Error> {
        match &mut self.form {
            Form::Unchanged(at) => {
                let count = self.bytes.read_at(source, buffer, *at)?;
                *at += count as u64;
                Ok(count)
            }
            Form::Rewritten(rewritten) => rewritten.read(source, &mut self.bytes, buffer),
        }
    }
}

impl Rewritten {
    fn read<S: ReadAt>(
        &mut self,
        source: &S,
        bytes: &mut DataSetBytes,
        buffer: &mut [u8],
    ) -> Result<usize, S::Error> {
        loop {
            match self.parts.front_mut() {
                Some(Part::Written(written)) => {
                    let rest = &written[self.given..];
                    let count = rest.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&rest[..count]);
                    self.given += count;
                    if self.given == written.len() {
                        self.given = 0;
                        self.parts.pop_front();
                    }
                    return Ok(count);
                }
                Some(Part::Extent { range, .. }) if range.is_empty() => {
                    self.parts.pop_front();
                }
                Some(Part::Extent { range, unit }) => {
                    let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                    let room = buffer.len().min(left);
                    if room < *unit && room < left {
                        // A unit is given whole or not at all, so this one is turned first.
                        let mut turned = vec![0; left.min(*unit)];
                        read_exact(source, bytes, &mut turned, range.start)?;
                        swap(&mut turned, *unit);
                        range.start += turned.len() as u64;
                        self.parts.push_front(Part::Written(turned));
                        continue;
                    }
                    let whole = if room == left {
                        room
                    } else {
                        room - room % *unit
                    };
                    read_exact(source, bytes, &mut buffer[..whole], range.start)?;
                    swap(&mut buffer[..whole], *unit);
                    range.start += whole as u64;
                    return Ok(whole);
                }
                None if self.reencoder.is_done() => return Ok(0),
                None => {
                    self.reencoder.go_on(source, bytes)?;
                    self.parts.extend(self.reencoder.take_parts());
                }
            }
        }
    }
}

fn read_exact<S: ReadAt>(
    source: &S,
    bytes: &mut DataSetBytes,
    buffer: &mut [u8],
    offset: u64,
) -> Result<(), S::Error> {
    let available = bytes.read_at(source, buffer, offset)?;
    if available == buffer.len() {
        return Ok(());
    }
    // The survey has seen it, so the source is another one than it was.
    Err(DicomError::Truncated {
        what: "value",
        offset,
        needed: buffer.len() as u64,
        available: available as u64,
    }
    .into())
}
