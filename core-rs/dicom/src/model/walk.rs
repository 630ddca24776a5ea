//! The one walk that both models are written by.

use super::value::{Number, numbers, parsed};
use super::{ModelOptions, may_be_bulk};
use crate::ambiguous::Pixels;
use crate::charset::CharacterSet;
use crate::encode::{belongs_into_data_set, swap, swap_unit};
use crate::json::Written;
use crate::syntax::Encoding;
use crate::text::{effective_vr, text};
use crate::{DataElement, DataSet, Element, Scan, Tag, Value, Vr, tags};
use std::borrow::Cow;
use std::fmt::Write;

/// The Specific Character Set of what is UTF-8 (PS3.3 §C.12.1.1.2).
pub(crate) const UTF_8: &str = "ISO_IR 192";

/// Writes one of the models.
pub(crate) trait Writer {
    /// Whether private attributes are given their creator.
    const CREATORS: bool;

    /// Opens an attribute; it is closed by [`Writer::close`], with at most one of the others between.
    fn open(&mut self, tag: Tag, vr: Vr, creator: Option<Creator<'_>>);
    fn close(&mut self);
    /// The value is at `uri`.
    fn bulk(&mut self, uri: &str);
    /// Bytes in Explicit VR Little Endian.
    fn binary(&mut self, bytes: &[u8]);
    /// One text or more, empty ones among them.
    fn texts<'t>(&mut self, vr: Vr, texts: impl Iterator<Item = &'t str>);
    /// One number or more.
    fn numbers(&mut self, numbers: impl Iterator<Item = Number>);
    /// Between these and `close`: the items of a sequence that has some.
    fn open_items(&mut self);
    fn close_items(&mut self);
    /// Around the attributes of an item; `index` counts from 0.
    fn open_item(&mut self, index: usize);
    fn close_item(&mut self);
    /// The document.
    fn finish(self) -> Vec<u8>;
}

/// Who reserved the block of a private element (PS3.5 §7.8.1).
#[derive(Clone, Copy)]
pub(crate) struct Creator<'a> {
    pub name: &'a str,
    /// Whether the name is enough to find the block, because it has reserved no other before.
    pub is_first: bool,
}

/// A walk over a data set.
pub(crate) struct Walk<'a, W> {
    writer: W,
    options: &'a ModelOptions<'a>,
    /// The path to the data set at hand, as a URI of bulk data has it behind its prefix.
    path: String,
}

/// What is known of an element but its value.
struct Head<'a> {
    tag: Tag,
    /// What the value is read by.
    vr: Vr,
    creator: Option<Creator<'a>>,
}

/// Private creators of one data set: the element, and its text.
pub(super) type Creators = Vec<(Tag, String)>;

/// What a data set has from those around it, unless it says something else.
#[derive(Clone, Copy, Default)]
struct Around {
    charset: CharacterSet,
    pixels: Pixels,
}

/// Where a data set is read on.
struct Cursor<'s> {
    scan: &'s Scan<'s>,
    next: usize,
}

impl<'s> Cursor<'s> {
    fn peek(&self) -> Option<&'s Element> {
        self.scan.elements.get(self.next)
    }

    /// The next element, if it belongs to a data set at `depth`.
    fn element(&mut self, depth: u16) -> Option<&'s Element> {
        let element = self.peek()?;
        (element.depth == depth && !element.is_item()).then(|| {
            self.next += 1;
            element
        })
    }

    /// The next item or fragment of a sequence at `depth`.
    fn item(&mut self, depth: u16) -> Option<&'s Element> {
        let item = self.peek().filter(|next| next.depth == depth + 1)?;
        self.next += 1;
        Some(item)
    }

    fn skip_items(&mut self, depth: u16) {
        while self.peek().is_some_and(|next| next.depth > depth) {
            self.next += 1;
        }
    }

    /// Whether the element just read is declared to be a sequence, or turned out to hold items.
    fn is_sequence(&self, element: &Element) -> bool {
        let holds_items = |next: &Element| next.depth > element.depth && next.vr == Vr([0, 0]);
        element.is_declared_sequence() || self.peek().is_some_and(holds_items)
    }
}

impl<'a, W: Writer> Walk<'a, W> {
    pub fn new(writer: W, options: &'a ModelOptions<'a>) -> Self {
        Walk {
            writer,
            options,
            path: String::new(),
        }
    }

    /// Writes the elements of a scan.
    pub fn scan(mut self, scan: &Scan<'_>) -> Vec<u8> {
        let mut cursor = Cursor { scan, next: 0 };
        self.scanned(&mut cursor, 0, Around::default());
        self.writer.finish()
    }

    /// Writes a data set in memory.
    pub fn data_set(mut self, data_set: &DataSet) -> Vec<u8> {
        self.elements(data_set, CharacterSet::default());
        self.writer.finish()
    }

    /// Writes one data set of a scan. Recursion goes as deep as the scan did, `MAX_DEPTH`.
    fn scanned(&mut self, cursor: &mut Cursor<'_>, depth: u16, mut around: Around) {
        let mut written = Written::default();
        let mut creators = Creators::new();
        while let Some(element) = cursor.element(depth) {
            let value = cursor.scan.value(element);
            let value_at_hand = element.length() == Some(value.len() as u64);
            // PS3.5 §6.2.2: what is in UN is little endian.
            let big = element.encoding == Encoding::ExplicitBig && element.vr != Vr::UN;
            if element.tag == tags::SPECIFIC_CHARACTER_SET {
                around.charset = CharacterSet::from_value(value);
            }
            if !is_shown(element.tag) || !written.insert(element.tag) {
                cursor.skip_items(depth);
                continue;
            }
            note_creator::<W>(&mut creators, element.tag, value, &around.charset);
            let mut head = Head {
                tag: element.tag,
                vr: shown_vr(element.tag, element.vr),
                creator: creator(&creators, element.tag),
            };
            if cursor.is_sequence(element) {
                head.vr = Vr::SQ;
                self.open(&head);
                self.scanned_items(cursor, element, around);
                self.writer.close();
                continue;
            }
            cursor.skip_items(depth);
            if element.vr == Vr::US {
                around
                    .pixels
                    .note(element.tag, &little_endian(Vr::US, value, big));
            }
            if element.encoding == Encoding::ImplicitLittle {
                head.vr = around.pixels.choose(element.tag, head.vr);
            }
            self.leaf(&head, value_at_hand.then_some(value), big, &around.charset);
        }
    }

    fn scanned_items(&mut self, cursor: &mut Cursor<'_>, sequence: &Element, around: Around) {
        let mut index = 0;
        while let Some(item) = cursor.item(sequence.depth) {
            if index == 0 {
                self.writer.open_items();
            }
            let behind = self.enter(sequence.tag, index);
            self.scanned(cursor, item.depth, around);
            self.leave(behind);
            index += 1;
        }
        if index > 0 {
            self.writer.close_items();
        }
    }

    /// Writes one data set in memory.
    fn elements(&mut self, data_set: &DataSet, mut charset: CharacterSet) {
        let mut creators = Creators::new();
        for element in data_set.elements() {
            self.element(element, &mut creators, &mut charset);
        }
    }

    /// Writes the next element of a data set in memory.
    pub(super) fn element(
        &mut self,
        element: &DataElement,
        creators: &mut Creators,
        charset: &mut CharacterSet,
    ) {
        let tag = element.tag;
        if let Value::Bytes(value) = &element.value {
            if tag == tags::SPECIFIC_CHARACTER_SET {
                *charset = CharacterSet::from_value(value);
            }
            note_creator::<W>(creators, tag, value, charset);
        }
        if !is_shown(tag) {
            return;
        }
        let items = matches!(element.value, Value::Items(_));
        let vr = if items {
            Vr::SQ
        } else {
            shown_vr(tag, element.vr)
        };
        let head = Head {
            tag,
            vr,
            creator: creator(creators, tag),
        };
        match &element.value {
            Value::Bytes(value) => self.leaf(&head, Some(value), false, charset),
            Value::Fragments(_) | Value::Stored(_) => self.leaf(&head, None, false, charset),
            Value::BulkDataUri(uri) => {
                self.open(&head);
                self.writer.bulk(uri);
                self.writer.close();
            }
            Value::Items(items) => {
                self.open(&head);
                self.items(tag, items, *charset);
                self.writer.close();
            }
        }
    }

    /// Writes an element whose value is text already, also where its VR is of numbers: of these, those that are none
    /// are left out.
    pub(super) fn text_element(&mut self, tag: Tag, vr: Vr, text: &str) {
        self.writer.open(tag, vr, None);
        if vr.is_number() {
            let mut numbers = text
                .split('\\')
                .filter_map(|one| parsed(vr, one))
                .peekable();
            if numbers.peek().is_some() {
                self.writer.numbers(numbers);
            }
        } else {
            self.texts(vr, text);
        }
        self.writer.close();
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.writer.finish()
    }

    fn items(&mut self, sequence: Tag, items: &[DataSet], charset: CharacterSet) {
        if items.is_empty() {
            return;
        }
        self.writer.open_items();
        for (index, item) in items.iter().enumerate() {
            let behind = self.enter(sequence, index);
            self.elements(item, charset);
            self.leave(behind);
        }
        self.writer.close_items();
    }

    fn open(&mut self, head: &Head<'_>) {
        self.writer.open(head.tag, head.vr, head.creator);
    }

    /// Goes into an item; returns how long the path was before.
    fn enter(&mut self, sequence: Tag, index: usize) -> usize {
        let behind = self.path.len();
        // Writing to a String does not fail.
        let _ = write!(self.path, "/{:08x}/{index}", sequence.to_u32());
        self.writer.open_item(index);
        behind
    }

    fn leave(&mut self, behind: usize) {
        self.path.truncate(behind);
        self.writer.close_item();
    }

    /// Writes an element that is no sequence. `value` is `None` if it is not at hand, or fragments.
    fn leaf(&mut self, head: &Head<'_>, value: Option<&[u8]>, big: bool, charset: &CharacterSet) {
        let mut vr = head.vr;
        let depth = self.path.len(); // more than 0 in items
        let value = value.filter(|_| !self.options.ends_at(head.tag, depth));
        let Some(value) =
            value.filter(|value| !self.options.is_bulk(head.tag, vr, value.len() as u64))
        else {
            if !may_be_bulk(vr) {
                vr = Vr::UN; // only where it has undefined length, which its VR forbids
            }
            self.writer.open(head.tag, vr, head.creator);
            let uri = format!(
                "{}{}/{:08x}",
                self.options.bulk_uri,
                self.path,
                head.tag.to_u32()
            );
            self.writer.bulk(&uri);
            return self.writer.close();
        };
        self.open(head);
        if head.tag == tags::SPECIFIC_CHARACTER_SET {
            self.writer.texts(vr, std::iter::once(UTF_8));
        } else if vr.is_text() {
            self.texts(vr, &text(vr, value, charset));
        } else if vr.is_number() {
            if value.len() >= vr.unit().unwrap_or(1) {
                self.writer.numbers(numbers(vr, value, big));
            }
        } else if !value.is_empty() {
            self.writer.binary(&little_endian(vr, value, big));
        }
        self.writer.close();
    }

    fn texts(&mut self, vr: Vr, text: &str) {
        if text.is_empty() {
        } else if vr.is_multi_valued_text() {
            self.writer.texts(vr, text.split('\\'));
        } else {
            self.writer.texts(vr, std::iter::once(text));
        }
    }
}

/// Whether a model has the element: not group lengths (PS3.18 §F.2.2), nor what some writers put into a data set though
/// it stands before one or around items.
fn is_shown(tag: Tag) -> bool {
    !tag.is_group_length() && belongs_into_data_set(tag)
}

/// The VR of a value that is no sequence, though the dictionary may say so of UN.
fn shown_vr(tag: Tag, written: Vr) -> Vr {
    match effective_vr(tag, written) {
        Vr::SQ => Vr::UN,
        vr => vr,
    }
}

fn little_endian(vr: Vr, value: &[u8], big: bool) -> Cow<'_, [u8]> {
    let unit = swap_unit(vr);
    if !big || unit == 1 {
        return Cow::Borrowed(value);
    }
    let mut turned = value.to_vec();
    swap(&mut turned, unit);
    Cow::Owned(turned)
}

fn note_creator<W: Writer>(creators: &mut Creators, tag: Tag, value: &[u8], set: &CharacterSet) {
    if W::CREATORS && tag.is_private_creator() {
        creators.push((tag, text(Vr::LO, value, set).into_owned()));
    }
}

fn creator(creators: &Creators, tag: Tag) -> Option<Creator<'_>> {
    if !tag.is_private() || tag.1 < 0x1000 {
        return None;
    }
    let block = Tag(tag.0, tag.1 >> 8);
    let (_, name) = creators.iter().find(|(creator, _)| *creator == block)?;
    let first = creators
        .iter()
        .find(|(creator, text)| creator.0 == tag.0 && text == name)?;
    (!name.is_empty()).then_some(Creator {
        name,
        is_first: first.0 == block,
    })
}
