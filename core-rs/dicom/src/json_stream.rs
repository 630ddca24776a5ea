//! The tags of an instance as JSON, from a file that is read in parts and not held.
//!
//! Long values and pixel data are not given, so they need not be read: what is held are the elements and their short
//! values, within [`MAX_TAGS_BYTES`].

use crate::element::{Window, is_pixel_data};
use crate::input::Input;
use crate::stream::{Fed, Unread};
use crate::syntax::Encoding;
use crate::walk::{Outcome, Sink, Step};
use crate::{Budget, DicomError, Element, MAX_TAGS_BYTES, Scan, TagsOptions, Vr, scan_json};
use std::borrow::Cow;

/// The longest header of an element (PS3.5 §7.1.2). Values begin behind so many bytes, as in a file.
const HEADER_BYTES: usize = 12;

/// A text or number that takes more bytes than so many for each that may be given is too long however it is encoded: a
/// number of 8 bytes takes a digit and a separator at least, a character no more than 4 bytes.
const BYTES_PER_SHOWN: usize = 8;

/// Values up to this are kept whatever the options say: the JSON depends on character sets and private creators.
const SHORT_BYTES: usize = 256;

/// Writes the tags of an instance from the parts of its file.
///
/// ```
/// # use vna_dicom::{TagsOptions, TagsStream, tags_json, write_file_meta, FileMetaFields};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: "1.2.840.10008.1.2.1", ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x60\x00CS\x02\x00CT\x42\x00\x11\x00OB\x00\x00\x10\x27\x00\x00");
/// # file.extend([7; 10_000]);
/// let options = TagsOptions::default();
/// let mut stream = TagsStream::new(&options);
/// let (mut at, mut read) = (0, 0);
/// while !stream.is_done() && at < file.len() {
///     let part = &file[at..file.len().min(at + 100)];
///     read += part.len();
///     stream.push(part)?;
///     at = stream.skip(file.len() as u64) as usize;
/// }
/// assert_eq!(stream.finish()?, tags_json(&file, &options)?);
/// assert!(read < file.len(), "the document was stepped over");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
#[derive(Debug)]
pub struct TagsStream<'a> {
    options: &'a TagsOptions<'a>,
    input: Input,
    kept: Kept<'a>,
    unread: Unread,
    done: bool,
}

/// The elements, and the values that may be given.
#[derive(Debug)]
struct Kept<'a> {
    options: &'a TagsOptions<'a>,
    elements: Vec<Element>,
    values: Vec<u8>,
}

impl<'a> TagsStream<'a> {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn new(options: &'a TagsOptions<'a>) -> Self {
        TagsStream {
            options,
            input: Input::file(),
            kept: Kept {
                options,
                elements: Vec::new(),
                values: vec![0; HEADER_BYTES],
            },
            unread: Unread::default(),
            done: false,
        }
    }

    /// Takes the next part. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`crate::scan`]; [`Budget::Tags`] if there is more to give than may be held.
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        if self.done {
            self.unread.pass(part);
            return Ok(());
        }
        let (input, kept) = (&mut self.input, &mut self.kept);
        let done = self
            .unread
            .feed(part, |window| advance(input, kept, window))?;
        self.done = done.is_some();
        Ok(())
    }

    /// Whether nothing more is needed of the file.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Steps over what is not needed, and returns the offset in the file that the next part begins at. `file_bytes` is
    /// how long the file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.unread.skip(file_bytes)
    }

    /// Writes the JSON of [`crate::tags_json`], once all parts were given.
    ///
    /// # Errors
    ///
    /// As [`TagsStream::push`]; [`DicomError::Truncated`] if the file ends inside an element.
    pub fn finish(mut self) -> Result<Vec<u8>, DicomError> {
        if !self.done {
            advance(&mut self.input, &mut self.kept, self.unread.last())?;
        }
        let scan = Scan {
            meta: None,
            transfer_syntax_uid: self.input.transfer_syntax_uid().to_owned(),
            encoding: self.input.encoding().unwrap_or(Encoding::ExplicitLittle),
            data: Cow::Owned(self.kept.values),
            data_set_offset: 0,
            elements: self.kept.elements,
        };
        Ok(scan_json(&scan, self.options))
    }
}

fn advance(
    input: &mut Input,
    kept: &mut Kept<'_>,
    window: Window<'_>,
) -> Result<Fed<()>, DicomError> {
    Ok(match input.run(window, kept)? {
        Outcome::NeedMore(to) => Fed::NeedMore {
            from: input.position(),
            to,
        },
        Outcome::End | Outcome::Stopped => Fed::Done(()),
    })
}

impl Kept<'_> {
    /// Whether the value may be given, or says how others are to be read.
    fn wants(&self, element: &Element, length: u64) -> bool {
        if element.is_item() || element.vr == Vr::SQ {
            return false;
        }
        let shown = self.options.longest_value.saturating_mul(BYTES_PER_SHOWN);
        let short = length <= shown.max(SHORT_BYTES) as u64;
        let pixels = element.depth == 0 && is_pixel_data(element.tag);
        short && !pixels || self.options.ignore_length.contains(&element.tag)
    }
}

impl Sink for Kept<'_> {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        let held = self.values.len() + (self.elements.len() + 1) * size_of::<Element>();
        let wanted = element
            .length()
            .filter(|length| self.wants(element, *length));
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
        Ok(if pixels && !self.options.whole {
            Step::Stop
        } else {
            Step::Into
        })
    }
}
