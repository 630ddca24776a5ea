//! Writes the elements that a walk passes in another encoding.

use super::inflating::DataSetBytes;
use super::revision::Edits;
use super::{PIECE_BYTES, ReadAt, Rewriting};
use crate::ambiguous::Pixels;
use crate::element::{UNDEFINED, Window, holds_fragments};
use crate::encode::{
    is_big, padded_length, padding, push_header, push_item, shows_by_length, swap, swap_unit,
    written_vr,
};
use crate::stream::{Fed, Unread};
use crate::syntax::Encoding;
use crate::walk::{Outcome, Sink, Step, Walker};
use crate::{DicomError, Element, EncodeProblem, Tag, Vr, tags};
use std::ops::Range;
use std::sync::Arc;

/// Values up to this are copied; a longer one is an extent of the input, which costs a read of its own.
const MAX_COPIED_BYTES: u64 = 4 << 10;

/// What is read behind a value that was stepped over.
const FIRST_PIECE_BYTES: usize = 4 << 10;

/// A part of what leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// These bytes.
    Written(Vec<u8>),
    /// Bytes of the input, with the byte order of units of `unit` bytes turned; 1 leaves them as they are.
    Extent { range: Range<u64>, unit: usize },
    /// So many bytes of new pixel data.
    Pixels(u64),
}

/// Takes a data set in pieces and gives its parts.
#[derive(Debug)]
pub(super) struct Reencoder {
    walker: Walker,
    unread: Unread,
    rewriter: Rewriter,
    done: bool,
    /// How much was read at once, and up to where.
    piece_bytes: usize,
    read_to: u64,
}

impl Reencoder {
    /// For a data set that begins at byte `offset` of an input. `pixels` is what it says of its pixels, if that is known.
    pub fn new(offset: u64, rewriting: &Rewriting, pixels: Pixels) -> Self {
        let edits = Arc::clone(&rewriting.edits);
        Reencoder {
            walker: Walker::new(offset, rewriting.from),
            unread: Unread::from_offset(offset),
            rewriter: Rewriter {
                to: rewriting.to,
                uniform: edits.is_empty(),
                edits,
                edited: 0,
                open: 0,
                pixels: vec![pixels],
                out: Vec::new(),
                parts: Vec::new(),
                length: 0,
                sop_class_uid: Vec::new(),
                sop_instance_uid: Vec::new(),
            },
            done: false,
            piece_bytes: PIECE_BYTES,
            read_to: offset,
        }
    }

    /// Takes the next piece of the data set, or learns that there is none. Steps over what is not looked at.
    pub fn go_on<S: ReadAt>(
        &mut self,
        source: &S,
        bytes: &mut DataSetBytes,
    ) -> Result<(), S::Error> {
        let at = self.unread.skip(bytes.end(source));
        // Behind a value that was stepped over, as between fragments, another such one may follow.
        self.piece_bytes = if at == self.read_to {
            (2 * self.piece_bytes).min(PIECE_BYTES)
        } else {
            FIRST_PIECE_BYTES
        };
        let piece = bytes.piece(source, at, self.piece_bytes)?;
        self.read_to = at + piece.len() as u64;
        let (walker, rewriter) = (&mut self.walker, &mut self.rewriter);
        let done = if piece.is_empty() {
            self.unread.end_at(bytes.find_end(source)?);
            walk(walker, rewriter, self.unread.last())?;
            true
        } else {
            let fed = |window: Window<'_>| walk(walker, rewriter, window);
            self.unread.feed(piece, fed)?.is_some()
        };
        if done {
            self.done = true;
            self.rewriter.end()?;
        }
        Ok(())
    }

    /// Whether the data set was read to its end.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The parts since the last call.
    pub fn take_parts(&mut self) -> Vec<Part> {
        self.rewriter.flush();
        std::mem::take(&mut self.rewriter.parts)
    }

    /// What was learnt of the data set.
    pub fn into_rewriter(self) -> Rewriter {
        self.rewriter
    }
}

fn walk(
    walker: &mut Walker,
    rewriter: &mut Rewriter,
    window: Window<'_>,
) -> Result<Fed<()>, DicomError> {
    Ok(match walker.run(window, rewriter)? {
        Outcome::NeedMore(to) => Fed::NeedMore {
            from: walker.position(),
            to,
        },
        Outcome::End | Outcome::Stopped => Fed::Done(()),
    })
}

/// The state between two elements.
///
/// Items and sequences are counted as they nest: an element at depth d stands in 2d of them, an item in one less. So
/// the number that are open says of each whether it is an item or a sequence.
#[derive(Debug)]
pub(super) struct Rewriter {
    to: Encoding,
    edits: Arc<Edits>,
    /// How many of the edits are made.
    edited: usize,
    /// How many sequences and items are open.
    open: usize,
    /// What the data sets from the outermost to the one at hand say of their pixels.
    pixels: Vec<Pixels>,
    out: Vec<u8>,
    parts: Vec<Part>,
    /// Bytes of all parts so far.
    pub length: u64,
    /// Whether all elements are encoded as they shall be.
    pub uniform: bool,
    /// (0008,0016) and (0008,0018) as they stand there.
    pub sop_class_uid: Vec<u8>,
    pub sop_instance_uid: Vec<u8>,
}

impl Sink for Rewriter {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        if element.is_item() {
            self.item(element);
            return Ok(Step::Into);
        }
        let tag = element.tag;
        if element.depth == 0 && self.edit(tag)? {
            return Ok(Step::Over);
        }
        let Some(length) = element.length().filter(|_| element.vr != Vr::SQ) else {
            self.sequence(element)?;
            return Ok(Step::Into);
        };
        let value = window.value(element).filter(|_| length <= MAX_COPIED_BYTES);
        if value.is_none() && length <= MAX_COPIED_BYTES {
            return Ok(Step::Await);
        }
        self.uniform &= element.encoding == self.to;
        self.close(2 * usize::from(element.depth));
        if tag.is_group_length() {
            return Ok(Step::Over); // it counts bytes of an encoding that is left
        }
        self.check_group(tag)?;
        match value.and_then(|value| self.edits.revised(tag, value)) {
            Some(value) => self.value(element, value.len() as u64, Some(&value))?,
            None => self.value(element, length, value)?,
        }
        Ok(Step::Over)
    }
}

impl Rewriter {
    /// What the outermost data set says of its pixels.
    pub fn pixels(&self) -> Pixels {
        self.pixels.first().copied().unwrap_or_default()
    }

    /// Makes the edits up to an element of the outermost data set; whether they take its place.
    fn edit(&mut self, tag: Tag) -> Result<bool, DicomError> {
        if self.edits.is_empty() {
            return Ok(false);
        }
        self.close(0);
        let edits = Arc::clone(&self.edits);
        self.edited = edits.write_before(&mut self.out, self.to, self.edited, Some(tag))?;
        if let Some(length) = edits.write_pixel_header(&mut self.out, self.to, tag) {
            self.flush();
            self.length += length;
            self.parts.push(Part::Pixels(length));
            return Ok(true);
        }
        Ok(edits.change(tag))
    }

    /// Ends the data set.
    fn end(&mut self) -> Result<(), DicomError> {
        self.close(0);
        let edits = Arc::clone(&self.edits);
        self.edited = edits.write_before(&mut self.out, self.to, self.edited, None)?;
        self.flush();
        if let Some(uid) = edits.value(tags::SOP_INSTANCE_UID) {
            self.sop_instance_uid = uid.to_vec();
        }
        Ok(())
    }

    fn item(&mut self, element: &Element) {
        let depth = usize::from(element.depth);
        self.uniform &= element.encoding == self.to;
        self.close(2 * depth - 1);
        self.pixels.truncate(depth);
        let around = self.pixels.last().copied().unwrap_or_default();
        self.pixels.push(around);
        let header = |out: &mut _, to, length| push_item(out, to, tags::ITEM, length);
        self.begin(header, element.raw_length == 0);
    }

    fn sequence(&mut self, element: &Element) -> Result<(), DicomError> {
        if element.length().is_none() && holds_fragments(element.tag, element.vr) {
            return Err(DicomError::Unencodable {
                tag: element.tag,
                problem: EncodeProblem::Encapsulated,
            });
        }
        self.uniform &= element.encoding == self.to;
        self.close(2 * usize::from(element.depth));
        self.check_group(element.tag)?;
        let header = |out: &mut _, to, length| push_header(out, to, element.tag, Vr::SQ, length);
        let is_empty = element.raw_length == 0 && !shows_by_length(self.to, element.tag);
        self.begin(header, is_empty);
        Ok(())
    }

    /// Opens an item or a sequence. What is in it has another length now, which is not known before its end.
    fn begin(&mut self, header: impl Fn(&mut Vec<u8>, Encoding, u32), is_empty: bool) {
        if is_empty {
            header(&mut self.out, self.to, 0);
        } else {
            header(&mut self.out, self.to, UNDEFINED);
            self.open += 1;
        }
    }

    /// Ends items and sequences until so many are open.
    fn close(&mut self, open: usize) {
        while self.open > open {
            self.open -= 1;
            let tag = if self.open % 2 == 1 {
                tags::ITEM_DELIMITATION_ITEM
            } else {
                tags::SEQUENCE_DELIMITATION_ITEM
            };
            push_item(&mut self.out, self.to, tag, 0);
        }
    }

    /// Group 0002 behind the first element is read as what it is; before it, it would be taken for File Meta Information.
    fn check_group(&self, tag: Tag) -> Result<(), DicomError> {
        if tag.0 != 0x0002 || self.length > 0 || !self.out.is_empty() {
            return Ok(());
        }
        Err(DicomError::Unencodable {
            tag,
            problem: EncodeProblem::Group,
        })
    }

    fn value(
        &mut self,
        element: &Element,
        length: u64,
        value: Option<&[u8]>,
    ) -> Result<(), DicomError> {
        let tag = element.tag;
        let from_big = is_big(element.encoding, element.vr);
        if let Some(value) = value {
            self.note(element, value, from_big);
        }
        let pixels = self.pixels.last().copied().unwrap_or_default();
        let vr = if element.encoding == Encoding::ImplicitLittle {
            pixels.choose(tag, element.vr)
        } else {
            element.vr
        };
        let padded = padded_length(tag, length)?;
        let written = written_vr(self.to, vr, padded);
        push_header(&mut self.out, self.to, tag, written, padded);
        let unit = if from_big == is_big(self.to, written) {
            1
        } else {
            swap_unit(vr)
        };
        if let Some(value) = value {
            let start = self.out.len();
            self.out.extend_from_slice(value);
            swap(&mut self.out[start..], unit);
        } else {
            self.flush();
            self.length += length;
            let range = element.value_offset..element.value_offset + length;
            self.parts.push(Part::Extent { range, unit });
        }
        if length % 2 == 1 {
            self.out.push(padding(vr));
        }
        Ok(())
    }

    fn note(&mut self, element: &Element, value: &[u8], big: bool) {
        let mut word = [0; 2];
        if let Some(first) = value.first_chunk::<2>() {
            word = *first;
            if big {
                word.reverse();
            }
        }
        if let Some(pixels) = self.pixels.get_mut(usize::from(element.depth)) {
            pixels.note(element.tag, &word);
        }
        let uid = match (element.depth, element.tag) {
            (0, tags::SOP_CLASS_UID) => &mut self.sop_class_uid,
            (0, tags::SOP_INSTANCE_UID) => &mut self.sop_instance_uid,
            _ => return,
        };
        if uid.is_empty() {
            *uid = crate::encode::without_padding(Vr::UI, value).to_vec();
        }
    }

    /// Makes a part of what was written.
    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.length += self.out.len() as u64;
            self.parts
                .push(Part::Written(std::mem::take(&mut self.out)));
        }
    }
}
