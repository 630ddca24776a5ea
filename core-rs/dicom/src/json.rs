//! The tags of an instance as JSON, in the three forms that REST clients ask for.
//!
//! Written straight from the scan into one buffer. Long values and binary ones are not given: clients fetch them by
//! their own route.

use crate::ambiguous::holds_pixel_values;
use crate::charset::CharacterSet;
use crate::dictionary::keyword;
use crate::private::{is_configured, private_entry};
use crate::scan::{Extent, Scan, scan, scan_data_set};
use crate::syntax::Encoding;
use crate::text::{effective_vr, push_numbers, whole_text};
use crate::{DicomError, EXPLICIT_VR_LITTLE_ENDIAN, Element, Tag, Vr, read_file_meta, tags};
use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;

/// Which of the forms to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TagsForm {
    /// `{"0008,0060": {"Name": "Modality", "Type": "String", "Value": "CT"}}`
    #[default]
    Full,
    /// `{"0008,0060": "CT"}`
    Short,
    /// `{"Modality": "CT"}`
    Simplified,
}

/// What to write of a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagsOptions<'a> {
    /// The form.
    pub form: TagsForm,
    /// Longest value in bytes of UTF-8 that is given; longer ones are marked `TooLong`.
    pub longest_value: usize,
    /// Elements that are given however long they are.
    pub ignore_length: &'a [Tag],
    /// Also what stands behind the pixel data.
    pub whole: bool,
    /// The only elements of the data set that are given, by ascending tag; `None`: all. Those of items always are.
    pub only: Option<&'a [Tag]>,
}

/// What clients are used to: they fetch a longer value by its own route.
pub const LONGEST_JSON_VALUE: usize = 256;

impl Default for TagsOptions<'_> {
    fn default() -> Self {
        TagsOptions {
            form: TagsForm::Full,
            longest_value: LONGEST_JSON_VALUE,
            ignore_length: &[],
            whole: false,
            only: None,
        }
    }
}

/// The tags of a whole Part 10 file as one JSON object, without its File Meta Information.
///
/// An element that stands twice is given once, as it stands first. In the simplified form so are two elements of one
/// name, such as private ones that no dictionary names.
///
/// # Errors
///
/// As [`crate::scan`].
pub fn tags_json(file: &[u8], options: &TagsOptions<'_>) -> Result<Vec<u8>, DicomError> {
    let extent = if options.whole {
        Extent::All
    } else {
        Extent::ToPixelData
    };
    Ok(scan_json(&scan(file, extent)?, options))
}

/// The File Meta Information of a file as one JSON object, which is empty if it has none. `head` is the beginning of the
/// file, at least up to its data set.
///
/// # Errors
///
/// As [`crate::read_file_meta`], and [`crate::scan`] of what it holds.
pub fn header_json(head: &[u8], options: &TagsOptions<'_>) -> Result<Vec<u8>, DicomError> {
    let Some(meta) = read_file_meta(head)? else {
        return Ok(b"{}".to_vec());
    };
    let end = usize::try_from(meta.data_set_offset).unwrap_or(usize::MAX);
    let group = head.get(..end).unwrap_or(head);
    let scan = scan_data_set(
        group,
        EXPLICIT_VR_LITTLE_ENDIAN,
        meta.meta_offset,
        Extent::All,
    )?;
    Ok(scan_json(&scan, options))
}

/// The same of a scan that has reported nested elements.
#[must_use]
pub fn scan_json(scan: &Scan<'_>, options: &TagsOptions<'_>) -> Vec<u8> {
    written(scan, options, None).out
}

/// The same, and where in it the members of the object are that are texts or numbers.
#[must_use]
pub(crate) fn scan_members(scan: &Scan<'_>, options: &TagsOptions<'_>) -> (Vec<u8>, Vec<Member>) {
    let writer = written(scan, options, Some(Vec::new()));
    (writer.out, writer.members.unwrap_or_default())
}

/// A member of a JSON object: its element, and its name and value in the text.
pub(crate) type Member = (Tag, Range<usize>);

fn written<'a>(
    scan: &'a Scan<'a>,
    options: &'a TagsOptions<'a>,
    members: Option<Vec<Member>>,
) -> Writer<'a> {
    // About what an element takes in the full form; a few bytes of input make one.
    let per_element = if options.form == TagsForm::Full {
        96
    } else {
        48
    };
    let mut writer = Writer {
        scan,
        options,
        out: Vec::with_capacity(scan.elements.len() * per_element),
        next: 0,
        number: String::new(),
        signed: is_signed(scan),
        members,
    };
    writer.data_set(0, CharacterSet::default());
    writer
}

struct Writer<'a> {
    scan: &'a Scan<'a>,
    options: &'a TagsOptions<'a>,
    out: Vec<u8>,
    /// The next element of the scan.
    next: usize,
    /// Reused for numbers.
    number: String,
    /// Whether pixel values are signed.
    signed: bool,
    /// Of the outermost data set, those with a text; `None` if nobody asked.
    members: Option<Vec<Member>>,
}

/// What Pixel Representation says of the image.
pub(crate) fn is_signed(scan: &Scan<'_>) -> bool {
    let mut top = scan.elements.iter().filter(|element| element.depth == 0);
    top.find(|element| element.tag == tags::PIXEL_REPRESENTATION)
        .is_some_and(|element| scan.value(element).iter().take(2).any(|byte| *byte == 1))
}

/// Which elements of a data set were written: a count of none while they rise, as PS3.5 §7.1 has them.
#[derive(Default)]
pub(crate) struct Written {
    last: Option<Tag>,
    all: Vec<Tag>,
    unordered: Option<HashSet<Tag>>,
    names: HashSet<&'static str>,
}

impl Written {
    /// Whether `tag` is new.
    pub fn insert(&mut self, tag: Tag) -> bool {
        if let Some(all) = &mut self.unordered {
            return all.insert(tag);
        }
        if self.last.is_none_or(|last| last < tag) {
            self.last = Some(tag);
            self.all.push(tag);
            return true;
        }
        let mut all: HashSet<Tag> = self.all.drain(..).collect();
        let new = all.insert(tag);
        self.unordered = Some(all);
        new
    }
}

impl<'a> Writer<'a> {
    /// Writes the elements of one data set. Recursion goes as deep as the scan did, `MAX_DEPTH`.
    fn data_set(&mut self, depth: u16, charset: CharacterSet) {
        let mut charset = charset;
        let mut written = Written::default();
        let mut creators: Vec<(Tag, &'a Element)> = Vec::new();
        let mut first = true;
        self.out.push(b'{');
        while let Some(element) = self.element_at(depth) {
            self.next += 1;
            if element.tag == tags::SPECIFIC_CHARACTER_SET {
                charset = CharacterSet::from_value(self.scan.value(element));
            }
            if element.tag.is_private_creator() {
                creators.push((element.tag, element));
            }
            if !self.is_asked_for(depth, element.tag) {
                self.skip_items(depth);
                continue;
            }
            let creator = self.creator(&creators, element.tag, &charset);
            let name = name(element.tag, creator.as_deref());
            let named_twice =
                self.options.form == TagsForm::Simplified && !written.names.insert(name);
            if !written.insert(element.tag) || named_twice {
                self.skip_items(depth);
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            let from = self.out.len();
            let has_text = self.member(element, name, creator.as_deref(), depth, &charset);
            if let Some(members) = self.members.as_mut().filter(|_| depth == 0 && has_text) {
                members.push((element.tag, from..self.out.len()));
            }
        }
        self.out.push(b'}');
    }

    fn is_asked_for(&self, depth: u16, tag: Tag) -> bool {
        let listed = |only: &[Tag]| only.binary_search(&tag).is_ok();
        depth > 0 || self.options.only.is_none_or(listed)
    }

    /// The next element, if it belongs to a data set at `depth`.
    fn element_at(&self, depth: u16) -> Option<&'a Element> {
        let scan: &'a Scan<'a> = self.scan;
        scan.elements
            .get(self.next)
            .filter(|element| element.depth == depth && !element.is_item())
    }

    fn skip_items(&mut self, depth: u16) {
        while self
            .scan
            .elements
            .get(self.next)
            .is_some_and(|element| element.depth > depth)
        {
            self.next += 1;
        }
    }

    /// Who reserved the block of a private element (PS3.5 §7.8.1).
    fn creator(
        &self,
        creators: &[(Tag, &Element)],
        tag: Tag,
        charset: &CharacterSet,
    ) -> Option<String> {
        let is_shown = self.options.form == TagsForm::Full || is_configured();
        if !tag.is_private() || tag.1 < 0x1000 || !is_shown {
            return None;
        }
        let block = Tag(tag.0, tag.1 >> 8);
        let (_, element) = creators
            .iter()
            .rev()
            .find(|(creator, _)| *creator == block)?;
        let name = whole_text(Vr::LO, self.scan.value(element), charset).into_owned();
        (!name.is_empty()).then_some(name)
    }

    /// Writes one member, and tells whether its value is a text.
    fn member(
        &mut self,
        element: &'a Element,
        name: &str,
        creator: Option<&str>,
        depth: u16,
        charset: &CharacterSet,
    ) -> bool {
        match self.options.form {
            TagsForm::Simplified => self.string(name),
            TagsForm::Full | TagsForm::Short => {
                // Writing to a Vec does not fail.
                let _ = write!(self.out, "\"{:04x},{:04x}\"", element.tag.0, element.tag.1);
            }
        }
        self.out.push(b':');
        let full = self.options.form == TagsForm::Full;
        if full {
            self.out.extend_from_slice(b"{\"Name\":");
            self.string(name);
            if let Some(creator) = creator {
                self.out.extend_from_slice(b",\"PrivateCreator\":");
                self.string(creator);
            }
            self.out.extend_from_slice(b",\"Type\":\"");
        }
        let is_sequence = self.is_sequence(element);
        let begin = self.out.len();
        if is_sequence {
            if full {
                self.out.extend_from_slice(b"Sequence\",\"Value\":");
            }
            self.items(depth, charset);
        } else {
            self.value(element, charset);
            self.skip_items(depth);
        }
        let is_null = self.out[begin..].ends_with(b"null");
        if full {
            self.out.push(b'}');
        }
        !is_sequence && !is_null
    }

    /// Declared to be one, or of undefined length and turned out to hold items.
    fn is_sequence(&self, element: &Element) -> bool {
        let next = self.scan.elements.get(self.next);
        element.is_declared_sequence()
            || next.is_some_and(|next| next.depth > element.depth && next.vr == Vr([0, 0]))
    }

    fn items(&mut self, depth: u16, charset: &CharacterSet) {
        self.out.push(b'[');
        let mut first = true;
        while let Some(item) = self
            .scan
            .elements
            .get(self.next)
            .filter(|next| next.depth == depth + 1)
        {
            self.next += 1;
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.data_set(item.depth, *charset);
        }
        self.out.push(b']');
    }

    fn value(&mut self, element: &Element, charset: &CharacterSet) {
        let value = self.scan.value(element);
        // A stream leaves out what is too long for any of the forms.
        let left_out = element
            .length()
            .is_some_and(|length| length > value.len() as u64);
        let mut vr = effective_vr(element.tag, element.vr);
        if self.signed
            && element.encoding == Encoding::ImplicitLittle
            && holds_pixel_values(element.tag)
        {
            vr = Vr::SS; // in implicit VR the dictionary alone says US (PS3.5 §A.1)
        }
        let too_long = |length: usize| {
            length > self.options.longest_value
                && !self.options.ignore_length.contains(&element.tag)
        };
        if left_out && (vr.is_text() || vr.is_number()) {
            return self.scalar("TooLong", None);
        }
        if vr.is_text() {
            // Four bytes of any set give at least one of UTF-8, so a value this long need not be decoded.
            if too_long(value.len() / 4) {
                return self.scalar("TooLong", None);
            }
            let text = whole_text(vr, value, charset);
            let shown = (!too_long(text.len())).then_some(text.as_ref());
            return self.scalar(if shown.is_some() { "String" } else { "TooLong" }, shown);
        }
        // The shortest number takes a digit and a separator, so a value this long need not be printed.
        let unit = vr.unit().filter(|_| vr.is_number());
        if unit.is_some_and(|unit| too_long(value.len() / unit * 2)) {
            return self.scalar("TooLong", None);
        }
        let mut number = std::mem::take(&mut self.number);
        number.clear();
        let big = element.encoding == Encoding::ExplicitBig;
        let is_number = push_numbers(&mut number, vr, value, big) && !number.is_empty();
        match is_number {
            true if too_long(number.len()) => self.scalar("TooLong", None),
            true => self.scalar("String", Some(&number)),
            false => self.scalar("Null", None),
        }
        self.number = number;
    }

    /// Writes a value that is no sequence: behind `"Type":"` in the full form, alone in the others.
    fn scalar(&mut self, kind: &str, value: Option<&str>) {
        if self.options.form == TagsForm::Full {
            self.out.extend_from_slice(kind.as_bytes());
            self.out.extend_from_slice(b"\",\"Value\":");
        }
        match value {
            Some(value) => self.string(value),
            None => self.out.extend_from_slice(b"null"),
        }
    }

    fn string(&mut self, text: &str) {
        push_json_string(&mut self.out, text);
    }
}

/// Appends `text` as a JSON string (RFC 8259 §7).
pub(crate) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
    {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // Writing to a Vec does not fail.
            control => drop(write!(out, "\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The name that clients know an element by.
fn name(tag: Tag, creator: Option<&str>) -> &'static str {
    if let Some(entry) = creator.and_then(|creator| private_entry(tag, creator)) {
        return entry.keyword;
    }
    match keyword(tag) {
        Some(keyword) => keyword,
        None if tag.is_private_creator() => "PrivateCreator",
        None if tag.is_group_length() && tag.is_private() => "PrivateGroupLength",
        None if tag.is_group_length() => "GenericGroupLength",
        None => "Unknown Tag & Data",
    }
}
