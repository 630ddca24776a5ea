//! A scan of a file that is read in parts: its elements, and of their values those that are wanted.
//!
//! Long values are stepped over, so the file need not be read whole: memory and reads grow with what is wanted of it.

use crate::element::{Window, is_pixel_data};
use crate::parts::Parts;
use crate::syntax::Encoding;
use crate::walk::{Sink, Step};
use crate::{Budget, DicomError, Element, MAX_TAGS_BYTES, Scan, Vr};
use std::borrow::Cow;

/// The longest header of an element (PS3.5 §7.1.2). Values begin behind so many bytes, as in a file.
const HEADER_BYTES: usize = 12;

/// What of a file is kept.
pub(crate) trait Keep {
    /// Whether the value of an element, `length` bytes, is kept. Items and sequences are not asked for.
    fn value(&self, element: &Element, length: u64) -> bool;

    /// Whether also what stands behind the pixel data.
    fn whole(&self) -> bool;
}

/// The scan, between two parts of the file.
#[derive(Debug)]
pub(crate) struct PartialScan<K> {
    parts: Parts<Kept<K>>,
}

/// The elements, and the values that are kept.
#[derive(Debug)]
struct Kept<K> {
    keep: K,
    elements: Vec<Element>,
    values: Vec<u8>,
}

impl<K: Keep> PartialScan<K> {
    /// For a Part 10 file, with or without preamble and meta information.
    pub fn new(keep: K) -> Self {
        PartialScan {
            parts: Parts::of_file(Kept {
                keep,
                elements: Vec::new(),
                values: vec![0; HEADER_BYTES],
            }),
        }
    }

    /// Takes the next part. After an error the scan is spent.
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        self.parts.push(part)
    }

    /// Whether nothing more is needed of the file.
    pub fn is_done(&self) -> bool {
        self.parts.is_done()
    }

    /// Steps over what is not needed, and returns the offset in the file that the next part begins at. `file_bytes` is
    /// how long the file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.parts.skip(file_bytes)
    }

    /// The scan, once all parts were given, and who decided on it. Values that were not kept are empty, whatever length
    /// their elements have.
    pub fn finish(mut self) -> Result<(Scan<'static>, K), DicomError> {
        self.parts.finish()?;
        let Parts { input, sink, .. } = self.parts;
        let scan = Scan {
            meta: None,
            transfer_syntax_uid: input.transfer_syntax_uid().to_owned(),
            encoding: input.encoding().unwrap_or(Encoding::ExplicitLittle),
            data: Cow::Owned(sink.values),
            data_set_offset: 0,
            elements: sink.elements,
        };
        Ok((scan, sink.keep))
    }
}

impl<K: Keep> Sink for Kept<K> {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        let held = self.values.len() + (self.elements.len() + 1) * size_of::<Element>();
        let wanted = element.length().filter(|length| {
            !element.is_item() && element.vr != Vr::SQ && self.keep.value(element, *length)
        });
        if held as u64 + wanted.unwrap_or(0) > MAX_TAGS_BYTES as u64 {
            return Err(DicomError::Budget {
                budget: Budget::Tags,
                offset: element.offset(),
            });
        }
        // The offset of a value that is left out lies beyond all that are kept.
        let mut value_offset = u64::MAX;
        if wanted.is_some() {
            let Some(value) = window.value(element) else {
                return Ok(Step::Await);
            };
            value_offset = self.values.len() as u64;
            self.values.extend_from_slice(value);
        }
        self.elements.push(Element {
            value_offset,
            ..*element
        });
        let pixels = element.depth == 0 && is_pixel_data(element.tag);
        Ok(match pixels {
            true if !self.keep.whole() => Step::Stop,
            true => Step::Over, // no form tells fragments one by one
            false => Step::Into,
        })
    }
}
