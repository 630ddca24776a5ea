//! The tags of an instance as JSON, from a file that is read in parts and not held.
//!
//! Long values and pixel data are not given, so they need not be read: what is held are the elements and their short
//! values, within [`MAX_TAGS_BYTES`].

use crate::element::is_pixel_data;
use crate::json::{Member, scan_members};
use crate::partial::{Keep, PartialScan};
use crate::{DicomError, Element, Tag, TagsOptions, scan_json};
use std::ops::Range;

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
    scan: PartialScan<&'a TagsOptions<'a>>,
}

impl<'a> TagsStream<'a> {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn new(options: &'a TagsOptions<'a>) -> Self {
        TagsStream {
            scan: PartialScan::new(options),
        }
    }

    /// Takes the next part. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`crate::scan`]; [`crate::Budget::Tags`] if there is more to give than may be held.
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        self.scan.push(part)
    }

    /// Whether nothing more is needed of the file.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.scan.is_done()
    }

    /// Steps over what is not needed, and returns the offset in the file that the next part begins at. `file_bytes` is
    /// how long the file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.scan.skip(file_bytes)
    }

    /// Writes the JSON of [`crate::tags_json`], once all parts were given.
    ///
    /// # Errors
    ///
    /// As [`TagsStream::push`]; [`DicomError::Truncated`] if the file ends inside an element.
    pub fn finish(self) -> Result<Vec<u8>, DicomError> {
        let (scan, options) = self.scan.finish()?;
        Ok(scan_json(&scan, options))
    }
}

/// What the tags of several instances have in common: texts and numbers that all of them give alike.
///
/// Memory is that of the first, and shrinks.
#[derive(Debug, Default)]
pub struct SharedTags {
    /// Name and value of each member, by ascending tag; `None` before the first instance.
    members: Option<Vec<(Tag, Vec<u8>)>>,
}

impl SharedTags {
    /// Takes the tags of the next instance, whose parts were all given.
    ///
    /// # Errors
    ///
    /// As [`TagsStream::finish`].
    pub fn add(&mut self, stream: TagsStream<'_>) -> Result<(), DicomError> {
        let (scan, options) = stream.scan.finish()?;
        let (text, mut members) = scan_members(&scan, options);
        members.sort_by_key(|(tag, _)| *tag);
        let shown = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
        match &mut self.members {
            None => {
                let own = |(tag, range): &Member| (*tag, shown(range).to_vec());
                self.members = Some(members.iter().map(own).collect());
            }
            Some(shared) => shared.retain(|(tag, member)| {
                let found = members.binary_search_by_key(tag, |(tag, _)| *tag);
                found.is_ok_and(|at| shown(&members[at].1) == member)
            }),
        }
        Ok(())
    }

    /// Whether nothing is left that others could share.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.as_ref().is_some_and(Vec::is_empty)
    }

    /// Writes them in the form of their instances.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let members = self.members.unwrap_or_default();
        let members: Vec<_> = members.into_iter().map(|(_, member)| member).collect();
        [&b"{"[..], &members.join(&b','), b"}"].concat()
    }
}

impl Keep for &TagsOptions<'_> {
    /// Whether the value may be given, or says how others are to be read.
    fn value(&self, element: &Element, length: u64) -> bool {
        let shown = self.longest_value.saturating_mul(BYTES_PER_SHOWN);
        let short = length <= shown.max(SHORT_BYTES) as u64;
        let pixels = element.depth == 0 && is_pixel_data(element.tag);
        short && !pixels || self.ignore_length.contains(&element.tag)
    }

    fn whole(&self) -> bool {
        self.whole
    }
}
