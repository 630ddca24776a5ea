//! The data set as it leaves, byte by byte, before it is deflated.

use super::inflating::DataSetBytes;
use super::rewriter::{Part, Reencoder};
use super::{PixelStream, ReadAt};
use crate::DicomError;
use crate::encode::swap;
use std::collections::VecDeque;

/// A data set that is read from its beginning to its end.
pub(super) struct Body<E> {
    bytes: DataSetBytes,
    form: Form<E>,
}

enum Form<E> {
    /// As it is, from here on.
    Unchanged(u64),
    /// Written anew.
    Rewritten(Box<Rewritten<E>>),
}

struct Rewritten<E> {
    reencoder: Reencoder,
    /// What is still to be given.
    parts: VecDeque<Part>,
    /// How much of the first part was given, if that is written.
    given: usize,
    pixels: Option<Box<dyn PixelStream<E>>>,
}

impl<E: From<DicomError>> Body<E> {
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
        reencoder: Reencoder,
        pixels: Option<Box<dyn PixelStream<E>>>,
    ) -> Self {
        Body {
            bytes,
            form: Form::Rewritten(Box::new(Rewritten {
                reencoder,
                parts: VecDeque::new(),
                given: 0,
                pixels,
            })),
        }
    }

    /// Reads on; 0 at the end only.
    pub fn read<S: ReadAt<Error = E>>(
        &mut self,
        source: &S,
        buffer: &mut [u8],
    ) -> Result<usize, E> {
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

impl<E: From<DicomError>> Rewritten<E> {
    fn read<S: ReadAt<Error = E>>(
        &mut self,
        source: &S,
        bytes: &mut DataSetBytes,
        buffer: &mut [u8],
    ) -> Result<usize, E> {
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
                Some(Part::Pixels(0)) => {
                    self.parts.pop_front();
                }
                Some(Part::Pixels(left)) => {
                    let room = usize::try_from(*left).unwrap_or(usize::MAX);
                    let room = room.min(buffer.len());
                    let count = match &mut self.pixels {
                        Some(pixels) => pixels.read(&mut buffer[..room])?,
                        None => 0,
                    };
                    if count < room {
                        return Err(truncated("pixel data", 0, *left, count));
                    }
                    *left -= count as u64;
                    return Ok(count);
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
    let needed = buffer.len() as u64;
    Err(truncated("value", offset, needed, available))
}

fn truncated<E: From<DicomError>>(
    what: &'static str,
    offset: u64,
    needed: u64,
    available: usize,
) -> E {
    DicomError::Truncated {
        what,
        offset,
        needed,
        available: available as u64,
    }
    .into()
}
