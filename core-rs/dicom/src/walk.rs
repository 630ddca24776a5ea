//! One pass over the elements of a data set, without recursion and without going back (PS3.5 §7).
//!
//! (1) `position` only grows; what lies before it is never looked at again.
//! (2) The stack alternates data set, items, data set, ...; its length is bounded by `MAX_DEPTH`.
//! (3) A frame never ends beyond the frame around it, so skipping a value never leaves its parent.
//! (4) Nothing is allocated but stack frames: values are reported by position.

use crate::element::{
    Element, Window, contradicts, holds_fragments, is_pixel_data, read_fields, read_tag, read_u32,
    truncated,
};
use crate::private::{Blocks, Needs};
use crate::syntax::Encoding;
use crate::{Budget, DicomError, MAX_DEPTH, MAX_ELEMENTS, Tag, Vr, tags};

/// What to do with an element that was just reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Go on behind its value; of a sequence report nothing.
    Over,
    /// Go on with its items, fragments or elements, if it has any.
    Into,
    /// Report it again when all of its value is at hand.
    Await,
    /// End here.
    Stop,
}

/// Takes the elements of a walk.
pub(crate) trait Sink {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError>;
}

/// How a walk, or a part of one, ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The window has to reach to this byte of the input.
    NeedMore(u64),
    /// The data set is at its end.
    End,
    /// The sink said so.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Elements: the data set or an item.
    DataSet,
    /// Items of a sequence.
    Items,
    /// Fragments of encapsulated pixel data.
    Fragments,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where it ends, or at the latest must end.
    end: u64,
    what: What,
    /// Whether a delimiter ends it, rather than its length.
    open: bool,
    encoding: Encoding,
    /// Inside UN of undefined length: implicit VR by the standard, explicit by some writers.
    foreign: bool,
}

/// A walk, between two windows.
#[derive(Debug)]
pub(crate) struct Walker {
    position: u64,
    stack: Vec<Frame>,
    /// Frames from this number on are not reported.
    quiet_from: usize,
    elements: usize,
    /// Whether the encoding was compared with the first element.
    encoding_checked: bool,
    /// Header and end of the value that was skipped last: names the culprit if the input ends inside.
    skipped: (u64, u64),
    last_top_tag: Tag,
    /// Where private elements stand whose VR is configured; `None` if none is.
    private: Option<Box<Blocks>>,
}

/// A header, and what frame its value opens if it has undefined length.
enum Header {
    Element(Element),
    /// The input has to reach to here first.
    NeedMore(u64),
    /// A delimiter of 8 bytes.
    Delimiter(Tag),
    /// Only padding is left.
    Trailing,
}

impl Walker {
    pub fn new(position: u64, encoding: Encoding) -> Self {
        let top = Frame {
            end: u64::MAX,
            what: What::DataSet,
            open: false,
            encoding,
            foreign: false,
        };
        Walker {
            position,
            stack: vec![top],
            quiet_from: usize::MAX,
            elements: 0,
            encoding_checked: false,
            skipped: (position, position),
            last_top_tag: Tag(0, 0),
            private: Blocks::configured(),
        }
    }

    /// Where the walk stands: nothing before it is needed again.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The encoding of the data set, after its first element was compared with what was declared.
    pub fn encoding(&self) -> Encoding {
        self.stack
            .first()
            .map_or(Encoding::ExplicitLittle, |top| top.encoding)
    }

    /// Goes on until the window or the data set is at its end, or the sink has enough.
    pub fn run<S: Sink>(
        &mut self,
        window: Window<'_>,
        sink: &mut S,
    ) -> Result<Outcome, DicomError> {
        loop {
            let Some(&frame) = self.stack.last() else {
                return Ok(Outcome::End);
            };
            if self.position >= frame.end {
                self.pop();
                continue;
            }
            let rest = window.from(self.position);
            if rest.len() < 8 {
                return self.at_end_of_window(window, rest.len());
            }
            let step = match frame.what {
                What::DataSet => self.element(frame, rest, window, sink)?,
                What::Items | What::Fragments => self.item(frame, rest, window, sink)?,
            };
            if let Some(outcome) = step {
                return Ok(outcome);
            }
        }
    }

    fn at_end_of_window(&self, window: Window<'_>, rest: usize) -> Result<Outcome, DicomError> {
        if !window.complete {
            return Ok(Outcome::NeedMore(self.position + 8));
        }
        if self.position > window.end() {
            let (offset, end) = self.skipped;
            return Err(truncated("element", offset, end - offset, window));
        }
        if self.stack.len() == 1 {
            // Fewer than 8 bytes are no element: padding of some media, ignored as other readers do.
            return Ok(Outcome::End);
        }
        let what = if rest == 0 {
            "delimiter of an open sequence"
        } else {
            "element header"
        };
        Err(truncated(what, self.position, 8, window))
    }

    #[inline]
    fn element<S: Sink>(
        &mut self,
        frame: Frame,
        rest: &[u8],
        window: Window<'_>,
        sink: &mut S,
    ) -> Result<Option<Outcome>, DicomError> {
        let mut element = match self.header(frame, rest, window)? {
            Header::Element(element) => element,
            Header::NeedMore(at_least) => return Ok(Some(Outcome::NeedMore(at_least))),
            Header::Trailing => return Ok(Some(Outcome::End)),
            Header::Delimiter(tags::ITEM_DELIMITATION_ITEM) if frame.open => {
                self.position += 8;
                self.pop();
                return Ok(None);
            }
            // The item was never closed; the frame around it takes the sequence's delimiter.
            Header::Delimiter(tags::SEQUENCE_DELIMITATION_ITEM) if frame.open => {
                self.pop();
                return Ok(None);
            }
            // Closed twice; there is nothing else that it could mean.
            Header::Delimiter(tags::SEQUENCE_DELIMITATION_ITEM)
                if self.stack.len() == 1 && rest[4..8] == [0; 4] =>
            {
                self.position += 8;
                return Ok(None);
            }
            Header::Delimiter(tag) => {
                return Err(DicomError::UnexpectedItem {
                    tag,
                    offset: self.position,
                });
            }
        };
        if let Some(blocks) = self.private.as_mut().filter(|_| element.tag.is_private()) {
            if let Err(Needs(at_least)) = blocks.meet(&mut element, self.stack.len(), window) {
                return Ok(Some(Outcome::NeedMore(at_least)));
            }
        }
        let inner = match element.end() {
            Some(end) if end > frame.end => return Err(self.beyond(&element, end, frame)),
            Some(_) if element.vr != Vr::SQ => None,
            Some(end) => Some(Frame {
                end,
                what: What::Items,
                open: false,
                encoding: element.encoding,
                foreign: frame.foreign || element.encoding != frame.encoding,
            }),
            None => match self.open_frame(&element, frame, window)? {
                Some(inner) => Some(inner),
                None => return Ok(Some(Outcome::NeedMore(element.value_offset + 8))),
            },
        };
        let step = self.report(&element, window, sink)?;
        self.go_on(&element, inner, step, window)
    }

    /// What an element of undefined length holds; `None` if the next bytes have to tell and are not there yet.
    fn open_frame(
        &self,
        element: &Element,
        frame: Frame,
        window: Window<'_>,
    ) -> Result<Option<Frame>, DicomError> {
        let items = Frame {
            what: What::Items,
            open: true,
            encoding: element.encoding,
            ..frame
        };
        if element.vr == Vr::SQ {
            return Ok(Some(items));
        }
        if is_pixel_data(element.tag) {
            return Ok(Some(Frame {
                what: What::Fragments,
                ..items
            }));
        }
        if element.vr == Vr::UN {
            // A sequence, encoded in implicit VR little endian whatever is around it (PS3.5 §6.2.2).
            let foreign = frame.encoding != Encoding::ImplicitLittle;
            return Ok(Some(Frame {
                encoding: Encoding::ImplicitLittle,
                foreign,
                ..items
            }));
        }
        let Some(next) = window.from(element.value_offset).get(..8) else {
            if window.complete {
                return Err(truncated("item", element.value_offset, 8, window));
            }
            return Ok(None);
        };
        if read_tag(next, frame.encoding).0 != 0xFFFE {
            return Err(DicomError::UndefinedLength {
                tag: element.tag,
                vr: element.vr,
                offset: element.offset(),
            });
        }
        let fragments = holds_fragments(element.tag, element.vr);
        Ok(Some(Frame {
            what: if fragments {
                What::Fragments
            } else {
                What::Items
            },
            ..items
        }))
    }

    fn item<S: Sink>(
        &mut self,
        frame: Frame,
        rest: &[u8],
        window: Window<'_>,
        sink: &mut S,
    ) -> Result<Option<Outcome>, DicomError> {
        let big = frame.encoding == Encoding::ExplicitBig;
        let tag = read_tag(rest, frame.encoding);
        if tag == tags::SEQUENCE_DELIMITATION_ITEM {
            self.position += 8;
            if frame.open {
                self.pop();
            }
            return Ok(None);
        }
        if tag != tags::ITEM {
            return Err(DicomError::ItemExpected {
                tag,
                offset: self.position,
            });
        }
        let fragment = frame.what == What::Fragments;
        let element = Element {
            tag,
            vr: if fragment { Vr::OB } else { Vr([0, 0]) },
            depth: self.depth(),
            header_length: 8,
            value_offset: self.position + 8,
            raw_length: read_u32([rest[4], rest[5], rest[6], rest[7]], big),
            encoding: frame.encoding,
        };
        let inner = match element.end() {
            Some(end) if end > frame.end => return Err(self.beyond(&element, end, frame)),
            Some(_) if fragment => None,
            Some(end) => Some(Frame {
                end,
                what: What::DataSet,
                open: false,
                ..frame
            }),
            None if fragment => {
                return Err(DicomError::UndefinedLength {
                    tag,
                    vr: Vr::OB,
                    offset: self.position,
                });
            }
            None => Some(Frame {
                what: What::DataSet,
                open: true,
                ..frame
            }),
        };
        let inner = match inner {
            Some(inner) if inner.foreign => match self.foreign_encoding(inner, window) {
                Some(inner) => Some(inner),
                None => return Ok(Some(Outcome::NeedMore(element.value_offset + 8))),
            },
            inner => inner,
        };
        let step = self.report(&element, window, sink)?;
        self.go_on(&element, inner, step, window)
    }

    /// Some writers put explicit VR into UN of undefined length. Read as implicit VR, a known VR would be a
    /// length above 16 kB, which the first element of an item of private data hardly has.
    /// `None` if the first element is not there yet.
    fn foreign_encoding(&self, frame: Frame, window: Window<'_>) -> Option<Frame> {
        let first = window.from(self.position + 8);
        if first.len() < 8 && !window.complete {
            return None;
        }
        let vr = first.get(4..6).map(|vr| Vr([vr[0], vr[1]]));
        Some(match vr {
            Some(vr) if vr.is_known() => Frame {
                encoding: Encoding::ExplicitLittle,
                ..frame
            },
            _ => frame,
        })
    }

    #[inline]
    fn report<S: Sink>(
        &self,
        element: &Element,
        window: Window<'_>,
        sink: &mut S,
    ) -> Result<Step, DicomError> {
        if self.stack.len() >= self.quiet_from {
            Ok(Step::Over)
        } else {
            sink.visit(element, window)
        }
    }

    /// Moves behind the header or behind the value.
    #[inline]
    fn go_on(
        &mut self,
        element: &Element,
        inner: Option<Frame>,
        step: Step,
        window: Window<'_>,
    ) -> Result<Option<Outcome>, DicomError> {
        if step == Step::Stop {
            return Ok(Some(Outcome::Stopped));
        }
        if let Some(end) = element.end() {
            if window.complete && end > window.end() {
                let needed = end - element.offset();
                return Err(truncated("element", element.offset(), needed, window));
            }
            if step == Step::Await && end > window.end() {
                return Ok(Some(Outcome::NeedMore(end)));
            }
            self.count()?;
            if step != Step::Into || inner.is_none() {
                self.skipped = (element.offset(), end);
                self.position = end;
                return Ok(None);
            }
        } else {
            self.count()?;
        }
        if let Some(inner) = inner {
            if step != Step::Into && self.quiet_from == usize::MAX {
                self.quiet_from = self.stack.len() + 1;
            }
            if self.stack.len() / 2 >= MAX_DEPTH {
                return Err(DicomError::Budget {
                    budget: Budget::Depth,
                    offset: self.position,
                });
            }
            self.stack.push(inner);
        }
        self.position = element.value_offset;
        Ok(None)
    }

    fn pop(&mut self) {
        self.stack.pop();
        if let Some(blocks) = &mut self.private {
            blocks.leave(self.stack.len());
        }
        if self.stack.len() < self.quiet_from {
            self.quiet_from = usize::MAX;
        }
    }

    #[inline]
    fn header(
        &mut self,
        frame: Frame,
        rest: &[u8],
        window: Window<'_>,
    ) -> Result<Header, DicomError> {
        let tag = read_tag(rest, frame.encoding);
        if tag.0 == 0xFFFE {
            return Ok(Header::Delimiter(tag));
        }
        let top = self.stack.len() == 1;
        if top && !self.encoding_checked {
            self.encoding_checked = true;
            if let Some(other) = contradicts(frame.encoding, rest) {
                self.stack[0].encoding = other;
                return self.header(
                    Frame {
                        encoding: other,
                        ..frame
                    },
                    rest,
                    window,
                );
            }
        }
        if top {
            if tag == Tag(0, 0) && self.last_top_tag > tag && rest[4..8] == [0; 4] {
                return Ok(Header::Trailing); // zeros up to the end of a sector
            }
            self.last_top_tag = tag;
        }
        let (vr, header_length, raw_length, encoding) = match read_fields(frame.encoding, tag, rest)
        {
            Ok(fields) => fields,
            Err(needed) if window.complete => {
                return Err(truncated("element header", self.position, needed, window));
            }
            Err(needed) => return Ok(Header::NeedMore(self.position + needed)),
        };
        Ok(Header::Element(Element {
            tag,
            vr,
            depth: self.depth(),
            header_length,
            value_offset: self.position + u64::from(header_length),
            raw_length,
            encoding,
        }))
    }

    fn count(&mut self) -> Result<(), DicomError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(DicomError::Budget {
                budget: Budget::Elements,
                offset: self.position,
            });
        }
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, reason = "(2) bounds the stack")]
    fn depth(&self) -> u16 {
        (self.stack.len() / 2) as u16
    }

    fn beyond(&self, element: &Element, end: u64, frame: Frame) -> DicomError {
        DicomError::BeyondParent {
            tag: element.tag,
            offset: element.offset(),
            end,
            parent_end: frame.end,
        }
    }
}
