//! Single elements of a stored file: their values as text, for comparing, and as JSON, for showing.
//!
//! The file is read in parts, up to the last element that is asked for or to the pixel data; other values are stepped over.

use crate::charset::CharacterSet;
use crate::element::{Window, is_pixel_data};
use crate::parts::Parts;
use crate::syntax::Encoding;
use crate::text::{effective_vr, text, value_text};
use crate::walk::{Sink, Step};
use crate::{
    Budget, DataSet, DicomError, Element, Scan, Tag, TagsForm, TagsOptions, Vr, scan_json, tags,
};
use std::borrow::Cow;

/// Longest value that is read. It is as long as any that the index would take; longer ones are not compared and not
/// shown.
pub const MAX_SELECTED_VALUE_BYTES: usize = crate::MAX_INDEXED_VALUE_BYTES;

/// Most bytes of all that is held for one file: elements, and values of sequences too.
pub const MAX_SELECTED_BYTES: usize = 4 << 20;

/// Where values begin, behind an imaginary header.
const HEADER_BYTES: usize = 12;

/// Reads single top-level elements from the parts of a file.
///
/// ```
/// # use vna_dicom::{SelectStream, Tag, Vr, write_file_meta, FileMetaFields};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: "1.2.840.10008.1.2.1", ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x60\x00CS\x02\x00CT\x28\x00\x10\x00US\x02\x00\x00\x02\x28\x00\x11\x00US\x02\x00\x00\x02");
/// let wanted = [Tag(0x0008, 0x0060), Tag(0x0028, 0x0010)];
/// let mut stream = SelectStream::new(&wanted);
/// let mut at = 0;
/// while !stream.is_done() && at < file.len() {
///     let part = &file[at..file.len().min(at + 100)];
///     stream.push(part)?;
///     at = stream.skip(file.len() as u64) as usize;
/// }
/// let selected = stream.finish()?;
/// assert_eq!(selected.text(Tag(0x0008, 0x0060)), Some((Vr::CS, "CT".into())));
/// assert_eq!(selected.text(Tag(0x0028, 0x0010)), Some((Vr::US, "512".into())));
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
#[derive(Debug)]
pub struct SelectStream {
    parts: Parts<Kept>,
}

/// What was asked for, and what the reading of it depends on.
#[derive(Debug)]
struct Kept {
    /// Sorted.
    wanted: Vec<Tag>,
    last: Tag,
    elements: Vec<Element>,
    values: Vec<u8>,
    /// Whether the elements that pass are in a sequence that is asked for.
    inside: bool,
}

/// The elements that a file has of those that were asked for.
#[derive(Debug)]
pub struct Selected {
    elements: Vec<Element>,
    values: Vec<u8>,
    encoding: Encoding,
    transfer_syntax_uid: String,
    charset: CharacterSet,
}

impl SelectStream {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn new(wanted: &[Tag]) -> SelectStream {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        SelectStream {
            parts: Parts::of_file(Kept {
                last: wanted.last().copied().unwrap_or(Tag(0, 0)),
                wanted,
                elements: Vec::new(),
                values: vec![0; HEADER_BYTES],
                inside: false,
            }),
        }
    }

    /// Takes the next part. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`crate::scan`]; [`Budget::Tags`] if what is asked for takes more than [`MAX_SELECTED_BYTES`].
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        self.parts.push(part)
    }

    /// Whether nothing more is needed of the file.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.parts.is_done()
    }

    /// Steps over what is not needed, and returns the offset in the file that the next part begins at. `file_bytes` is
    /// how long the file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.parts.skip(file_bytes)
    }

    /// What was found, once all parts were given.
    ///
    /// # Errors
    ///
    /// As [`SelectStream::push`]; [`DicomError::Truncated`] if the file ends inside an element.
    pub fn finish(mut self) -> Result<Selected, DicomError> {
        self.parts.finish()?;
        let Parts { input, sink, .. } = self.parts;
        let Kept {
            elements, values, ..
        } = sink;
        let mut selected = Selected {
            elements,
            values,
            encoding: input.encoding().unwrap_or(Encoding::ExplicitLittle),
            transfer_syntax_uid: input.transfer_syntax_uid().to_owned(),
            charset: CharacterSet::default(),
        };
        if let Some(element) = selected.element(tags::SPECIFIC_CHARACTER_SET) {
            selected.charset = CharacterSet::from_value(selected.value(&element));
        }
        Ok(selected)
    }
}

/// What the JSON of other elements depends on.
fn is_context(tag: Tag) -> bool {
    matches!(
        tag,
        tags::SPECIFIC_CHARACTER_SET | tags::PIXEL_REPRESENTATION
    ) || tag.is_private_creator()
}

impl Kept {
    fn is_wanted(&self, tag: Tag) -> bool {
        self.wanted.binary_search(&tag).is_ok()
    }
}

impl Sink for Kept {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        if element.depth == 0 {
            self.inside = self.is_wanted(element.tag);
            // Tags are sorted (PS3.5 §7.1), so nothing more is to come.
            if element.tag > self.last || is_pixel_data(element.tag) {
                return Ok(Step::Stop);
            }
            if !self.inside && !is_context(element.tag) {
                return Ok(Step::Over);
            }
        }
        let length = element
            .length()
            .filter(|length| *length <= MAX_SELECTED_VALUE_BYTES as u64)
            .filter(|_| !element.is_item() && element.vr != Vr::SQ);
        let held = self.values.len() + (self.elements.len() + 1) * size_of::<Element>();
        if held as u64 + length.unwrap_or(0) > MAX_SELECTED_BYTES as u64 {
            return Err(DicomError::Budget {
                budget: Budget::Tags,
                offset: element.offset(),
            });
        }
        // The offset of a value that is left out lies beyond all that are kept.
        let mut value_offset = u64::MAX;
        if length.is_some() {
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
        Ok(Step::Into)
    }
}

impl Selected {
    fn element(&self, tag: Tag) -> Option<Element> {
        let mut top = self.elements.iter().filter(|element| element.depth == 0);
        top.find(|element| element.tag == tag).copied()
    }

    fn value(&self, element: &Element) -> &[u8] {
        let bytes = || {
            let start = usize::try_from(element.value_offset).ok()?;
            let length = usize::try_from(element.length()?).ok()?;
            self.values.get(start..start.checked_add(length)?)
        };
        bytes().unwrap_or(&[])
    }

    /// The value of an element as text, and its VR; `None` if it is not there, or has no text.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<(Vr, String)> {
        let element = self.element(tag)?;
        if element.value_offset == u64::MAX {
            return None;
        }
        let value = self.value(&element);
        let vr = effective_vr(tag, element.vr);
        if vr == Vr::UN {
            // What nobody describes counts as text if it could be printed.
            let found = text(Vr::LO, value, &self.charset);
            let is_text = !found.chars().any(|c| c.is_control() || c == '\u{FFFD}');
            return is_text.then(|| (vr, found.into_owned()));
        }
        Some((vr, value_text(&element, value, &self.charset)?))
    }

    /// What was selected, in memory; values that were too long to be read are left out.
    #[must_use]
    pub fn to_data_set(&self) -> DataSet {
        let is_held = |element: &&Element| {
            element.value_offset != u64::MAX
                || element.is_item()
                || element.length().is_none()
                || element.vr == Vr::SQ
        };
        let elements = self.elements.iter().filter(is_held).copied().collect();
        self.scan(elements).to_data_set()
    }

    /// The character set of its texts.
    #[must_use]
    pub const fn character_set(&self) -> &CharacterSet {
        &self.charset
    }

    /// An element as [`scan_json`] writes it: its value, or in the full form the object that describes it. `None` if
    /// the file has none.
    #[must_use]
    pub fn json(&self, tag: Tag, form: TagsForm) -> Option<Vec<u8>> {
        let at = self
            .elements
            .iter()
            .position(|element| element.depth == 0 && element.tag == tag)?;
        // By name, two private creators would be one member.
        let is_needed =
            |tag: Tag| is_context(tag) && (form == TagsForm::Full || !tag.is_private_creator());
        let mut elements: Vec<Element> = self.elements[..at]
            .iter()
            .filter(|element| element.depth == 0 && is_needed(element.tag))
            .copied()
            .collect();
        let context = self.object(elements.clone(), form);
        elements.push(self.elements[at]);
        let items = self.elements[at + 1..].iter();
        elements.extend(items.take_while(|element| element.depth > 0));
        let whole = self.object(elements, form);
        // The last member is what the context has not.
        let member = whole.get(context.len() - 1..whole.len() - 1)?;
        let value = member.windows(2).position(|pair| pair == b"\":")?;
        Some(member[value + 2..].to_vec())
    }

    fn scan(&self, elements: Vec<Element>) -> Scan<'_> {
        Scan {
            meta: None,
            transfer_syntax_uid: self.transfer_syntax_uid.clone(),
            encoding: self.encoding,
            data: Cow::Borrowed(&self.values),
            data_set_offset: 0,
            elements,
        }
    }

    /// Some of the elements as one object.
    fn object(&self, elements: Vec<Element>, form: TagsForm) -> Vec<u8> {
        let scan = self.scan(elements);
        let options = TagsOptions {
            form,
            longest_value: MAX_SELECTED_VALUE_BYTES,
            ..TagsOptions::default()
        };
        scan_json(&scan, &options)
    }
}
