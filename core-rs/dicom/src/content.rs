//! One place of a data set: the elements of an item, the parts of an element, or where its value lies.
//!
//! The file is read in parts and up to that place only; nothing is held but the tags of one item.

use crate::element::Window;
use crate::encode::swap_unit;
use crate::parts::Parts;
use crate::syntax::Encoding;
use crate::text::effective_vr;
use crate::walk::{Sink, Step};
use crate::{
    Budget, DicomError, Element, MAX_DEPTH, MAX_TAGS_BYTES, Tag, Vr, tag_for_keyword, tags,
};
use std::fmt;
use std::str::FromStr;

/// The way to a place in a data set: tags, and between two of them the number of an item from 0 on.
///
/// Written `/00081140/0/00081155`; read also with `0008-1140` and keywords, as REST clients name elements. It may end at
/// an item, or at a fragment of encapsulated pixel data.
///
/// ```
/// # use vna_dicom::ElementPath;
/// let path: ElementPath = "ReferencedImageSequence/0/0008-1155".parse()?;
/// assert_eq!(path.to_string(), "/00081140/0/00081155");
/// # Ok::<(), vna_dicom::ParsePathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ElementPath {
    steps: Vec<(Tag, Option<usize>)>,
}

/// A text that is no [`ElementPath`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParsePathError {
    /// Where a tag must stand is none, nor a keyword.
    Tag {
        /// The beginning of what is there.
        found: String,
    },
    /// Where the number of an item must stand is none.
    Number {
        /// The beginning of what is there.
        found: String,
    },
    /// More steps than sequences can be nested.
    TooDeep,
}

impl fmt::Display for ParsePathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParsePathError::Tag { found } => write!(
                f,
                "{found:?} is no tag; 0010-0010, 00100010 and PatientName are"
            ),
            ParsePathError::Number { found } => {
                write!(f, "{found:?} is no number of an item; they count from 0")
            }
            ParsePathError::TooDeep => write!(f, "more than {MAX_DEPTH} nested sequences"),
        }
    }
}

impl std::error::Error for ParsePathError {}

impl FromStr for ElementPath {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        let clip = |segment: &str| segment.chars().take(64).collect();
        let mut steps = Vec::new();
        let mut segments = text.split('/').filter(|segment| !segment.is_empty());
        while let Some(segment) = segments.next() {
            if steps.len() > MAX_DEPTH {
                return Err(ParsePathError::TooDeep);
            }
            let tag = Tag::parse(segment).or_else(|| tag_for_keyword(segment));
            let tag = tag.ok_or_else(|| ParsePathError::Tag {
                found: clip(segment),
            })?;
            let index = segments.next().map(|segment| {
                let is_number = segment.bytes().all(|byte| byte.is_ascii_digit());
                let number = segment.parse().ok().filter(|_| is_number);
                number.ok_or_else(|| ParsePathError::Number {
                    found: clip(segment),
                })
            });
            steps.push((tag, index.transpose()?));
        }
        Ok(ElementPath { steps })
    }
}

impl fmt::Display for ElementPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (tag, index) in &self.steps {
            write!(f, "/{:08x}", tag.to_u32())?;
            if let Some(index) = index {
                write!(f, "/{index}")?;
            }
        }
        Ok(())
    }
}

/// What is at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// The elements of the data set, or of an item.
    Elements(Vec<Tag>),
    /// Items of a sequence.
    Items(usize),
    /// Fragments of encapsulated pixel data, the Basic Offset Table among them.
    Fragments(usize),
    /// Native pixel data. It counts as the one fragment of itself, number 0, so that clients need not tell it from
    /// encapsulated ones.
    NativePixelData(ValuePlace),
    /// Where a value lies.
    Value(ValuePlace),
}

/// Where a value lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValuePlace {
    /// The element; (FFFE,E000) for a fragment.
    pub tag: Tag,
    /// Where the value begins in the file, or in the inflated data set of a deflated one.
    pub offset: u64,
    /// Its bytes, padding included.
    pub length: u64,
    /// Bytes that change places on the way to little endian; 1 if it is that, or has no byte order.
    pub swap_unit: usize,
    /// The value itself, if it was to be held.
    pub held: Option<Vec<u8>>,
}

/// Finds a place in a file that is read in parts.
///
/// ```
/// # use vna_dicom::{Content, ContentStream, write_file_meta, FileMetaFields};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: "1.2.840.10008.1.2.1", ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x60\x00CS\x02\x00CT\x42\x00\x11\x00OB\x00\x00\x10\x27\x00\x00");
/// # file.extend([7; 10_000]);
/// let mut stream = ContentStream::new("EncapsulatedDocument".parse()?, false);
/// let mut at = 0;
/// while !stream.is_done() && at < file.len() {
///     stream.push(&file[at..file.len().min(at + 100)])?;
///     at = stream.skip(file.len() as u64) as usize;
/// }
/// let Some(Content::Value(place)) = stream.finish()? else { panic!("it has a value") };
/// assert_eq!((place.offset, place.length), (file.len() as u64 - 10_000, 10_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ContentStream {
    parts: Parts<Finder>,
}

impl ContentStream {
    /// For a Part 10 file, with or without preamble and meta information.
    ///
    /// With `hold` a value is held: in a deflated file its place says nothing.
    #[must_use]
    pub fn new(path: ElementPath, hold: bool) -> Self {
        let state = if path.steps.is_empty() {
            State::Listing { depth: 0 }
        } else {
            State::Searching
        };
        let found = path.steps.is_empty().then(|| Content::Elements(Vec::new()));
        ContentStream {
            parts: Parts::of_file(Finder {
                path,
                hold,
                level: 0,
                state,
                found,
            }),
        }
    }

    /// Takes the next part. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`crate::scan`]; [`Budget::Tags`] if there is more to hold than [`MAX_TAGS_BYTES`].
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

    /// What is at the place, once all parts were given; `None` if there is no such place.
    ///
    /// # Errors
    ///
    /// As [`ContentStream::push`]; [`DicomError::Truncated`] if the file ends before the place is decided.
    pub fn finish(mut self) -> Result<Option<Content>, DicomError> {
        self.parts.finish()?;
        Ok(self.parts.sink.found)
    }
}

#[derive(Debug)]
struct Finder {
    path: ElementPath,
    hold: bool,
    /// How many steps are taken: as deep is the data set at hand.
    level: usize,
    state: State,
    found: Option<Content>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// For the element of the next step.
    Searching,
    /// In the items of it, of which so many have passed.
    Counting { depth: u16, passed: usize },
    /// In the data set that was asked for.
    Listing { depth: u16 },
}

impl Finder {
    /// The element of the step at hand.
    fn element(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        let (_, index) = self.path.steps[self.level];
        if element.vr == Vr::SQ || element.length().is_none() {
            self.state = State::Counting {
                depth: element.depth,
                passed: 0,
            };
            if index.is_none() {
                self.found = Some(Content::Items(0));
            }
            return Ok(Step::Into);
        }
        let is_last = self.level + 1 == self.path.steps.len();
        let is_pixel_data = element.tag == tags::PIXEL_DATA;
        if !is_last || !matches!((is_pixel_data, index), (_, None) | (true, Some(0))) {
            return Ok(Step::Stop);
        }
        let Some(place) = self.value(element, window)? else {
            return Ok(Step::Await);
        };
        self.found = Some(if is_pixel_data && index.is_none() {
            Content::NativePixelData(place)
        } else {
            Content::Value(place)
        });
        Ok(Step::Stop)
    }

    /// Where the value is; `None` if it is to be held and not all there.
    fn value(
        &self,
        element: &Element,
        window: Window<'_>,
    ) -> Result<Option<ValuePlace>, DicomError> {
        let length = element.length().unwrap_or(0);
        let held = if self.hold {
            if length > MAX_TAGS_BYTES as u64 {
                return Err(DicomError::Budget {
                    budget: Budget::Tags,
                    offset: element.offset(),
                });
            }
            match window.value(element) {
                Some(value) => Some(value.to_vec()),
                None => return Ok(None),
            }
        } else {
            None
        };
        let big = element.encoding == Encoding::ExplicitBig && element.vr != Vr::UN;
        let vr = effective_vr(element.tag, element.vr);
        Ok(Some(ValuePlace {
            tag: element.tag,
            offset: element.value_offset,
            length,
            swap_unit: if big && !element.is_item() {
                swap_unit(vr)
            } else {
                1
            },
            held,
        }))
    }

    /// An item or a fragment of the element of the step at hand.
    fn part(
        &mut self,
        item: &Element,
        passed: usize,
        window: Window<'_>,
    ) -> Result<Step, DicomError> {
        let (_, index) = self.path.steps[self.level];
        let is_fragment = item.vr == Vr::OB;
        self.state = State::Counting {
            depth: item.depth - 1,
            passed: passed + 1,
        };
        let Some(index) = index else {
            let count = passed + 1;
            self.found = Some(if is_fragment {
                Content::Fragments(count)
            } else {
                Content::Items(count)
            });
            return Ok(Step::Over);
        };
        if passed < index {
            return Ok(Step::Over);
        }
        let is_last = self.level + 1 == self.path.steps.len();
        if is_fragment {
            if is_last {
                let Some(place) = self.value(item, window)? else {
                    self.state = State::Counting {
                        depth: item.depth - 1,
                        passed, // it comes again
                    };
                    return Ok(Step::Await);
                };
                self.found = Some(Content::Value(place));
            }
            return Ok(Step::Stop);
        }
        self.level += 1;
        if is_last {
            self.found = Some(Content::Elements(Vec::new()));
            self.state = State::Listing { depth: item.depth };
        } else {
            self.state = State::Searching;
        }
        Ok(Step::Into)
    }
}

impl Sink for Finder {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        match self.state {
            State::Searching => {
                // The data set at hand is as deep as steps were taken; what is not in it any more ends the search.
                if usize::from(element.depth) != self.level || element.is_item() {
                    return Ok(Step::Stop);
                }
                if element.tag == self.path.steps[self.level].0 {
                    return self.element(element, window);
                }
                Ok(Step::Over)
            }
            State::Counting { depth, passed } => {
                if element.depth != depth + 1 || !element.is_item() {
                    return Ok(Step::Stop);
                }
                self.part(element, passed, window)
            }
            State::Listing { depth } => {
                if element.depth != depth || element.is_item() {
                    return Ok(Step::Stop);
                }
                if let Some(Content::Elements(tags)) = &mut self.found {
                    if (tags.len() + 1) * size_of::<Tag>() > MAX_TAGS_BYTES {
                        return Err(DicomError::Budget {
                            budget: Budget::Tags,
                            offset: element.offset(),
                        });
                    }
                    tags.push(element.tag);
                }
                Ok(Step::Over)
            }
        }
    }
}
