//! What changes in a data set while it is written anew, beside its encoding.

use crate::data_set::write_element;
use crate::element::UNDEFINED;
use crate::encode::{padded_length, push_header};
use crate::syntax::Encoding;
use crate::{DataElement, DataSet, DicomError, Tag, Value, Vr, tags};
use std::sync::Arc;

/// Frame Type (0008,9007), of which each functional group of an enhanced image has its own (PS3.3 §C.8.16.1).
const FRAME_TYPE: Tag = Tag(0x0008, 0x9007);

/// The value of pixel data as it is to be written, read from its beginning to its end.
pub trait PixelStream<E>: Send {
    /// Reads on; fewer bytes than `buffer` takes only at the end, where it is 0.
    ///
    /// # Errors
    ///
    /// What keeps the bytes from being made.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, E>;
}

/// Pixel Data (7FE0,0010) that takes the place of what is there.
pub struct NewPixelData<E> {
    /// Its VR; encapsulated it is OB (PS3.5 §A.4).
    pub vr: Vr,
    /// Whether `stream` gives items and their delimiter, so that the element has undefined length.
    pub encapsulated: bool,
    /// Bytes that `stream` gives: an even number.
    pub length: u64,
    /// The value.
    pub stream: Box<dyn PixelStream<E>>,
}

/// The value of new pixel data.
pub(super) type Stream<E> = Box<dyn PixelStream<E>>;

/// Changes of the outermost data set.
pub struct Revision<E> {
    /// Elements that are added, or take the place of those of their tags.
    pub elements: DataSet,
    /// Tags whose elements are left out.
    pub without: Vec<Tag>,
    /// Whether what each Frame Type (0008,9007) calls ORIGINAL is DERIVED from now on, at any depth.
    pub derived: bool,
    /// The pixel data.
    pub pixel_data: Option<NewPixelData<E>>,
}

/// Changes as the rewriter makes them.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// By ascending tag: what is written, or that nothing is.
    elements: Vec<(Tag, Option<DataElement>)>,
    derived: bool,
    /// Header and length of the new pixel data.
    pixel_data: Option<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    vr: Vr,
    encapsulated: bool,
    length: u64,
}

impl<E> Default for Revision<E> {
    fn default() -> Self {
        Revision {
            elements: DataSet::new(),
            without: Vec::new(),
            derived: false,
            pixel_data: None,
        }
    }
}

impl<E> Revision<E> {
    pub(super) fn into_parts(self) -> Result<(Arc<Edits>, Option<Stream<E>>), DicomError> {
        let mut elements: Vec<_> = self.without.into_iter().map(|tag| (tag, None)).collect();
        let new = self.elements.into_iter();
        elements.extend(new.map(|element| (element.tag, Some(element))));
        elements.sort_by_key(|(tag, element)| (*tag, element.is_none()));
        elements.dedup_by_key(|(tag, _)| *tag); // what is written counts
        let (place, stream) = match self.pixel_data {
            None => (None, None),
            Some(new) => {
                if !new.encapsulated {
                    padded_length(tags::PIXEL_DATA, new.length)?;
                }
                let place = Place {
                    vr: new.vr,
                    encapsulated: new.encapsulated,
                    length: new.length,
                };
                (Some(place), Some(new.stream))
            }
        };
        let edits = Edits {
            elements,
            derived: self.derived,
            pixel_data: place,
        };
        Ok((Arc::new(edits), stream))
    }
}

impl Edits {
    pub fn none() -> Arc<Edits> {
        Arc::default()
    }

    pub fn is_empty(&self) -> bool {
        self.elements.is_empty() && !self.derived && self.pixel_data.is_none()
    }

    /// Whether the element of a tag changes.
    pub fn change(&self, tag: Tag) -> bool {
        let found = self.elements.binary_search_by_key(&tag, |(tag, _)| *tag);
        found.is_ok()
    }

    /// The value of an element that is written.
    pub fn value(&self, tag: Tag) -> Option<&[u8]> {
        let found = self.elements.binary_search_by_key(&tag, |(tag, _)| *tag);
        match &self.elements[found.ok()?].1.as_ref()?.value {
            Value::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// Writes what comes before `tag`, or with `None` all, of what is not written yet: from number `next` on. Gives
    /// the number that is next.
    pub fn write_before(
        &self,
        out: &mut Vec<u8>,
        to: Encoding,
        mut next: usize,
        tag: Option<Tag>,
    ) -> Result<usize, DicomError> {
        while let Some((edited, element)) = self.elements.get(next) {
            if tag.is_some_and(|tag| *edited > tag) {
                break;
            }
            if let Some(element) = element {
                write_element(out, to, element)?;
            }
            next += 1;
        }
        Ok(next)
    }

    /// Writes the header of the new pixel data, and gives the length of its value; `None` if `tag` is not that of pixel
    /// data, or it stays.
    pub fn write_pixel_header(&self, out: &mut Vec<u8>, to: Encoding, tag: Tag) -> Option<u64> {
        let place = self.pixel_data.filter(|_| tag == tags::PIXEL_DATA)?;
        let length = if place.encapsulated {
            UNDEFINED
        } else {
            u32::try_from(place.length).unwrap_or(UNDEFINED) // `Revision::into_parts` has seen that it fits
        };
        push_header(out, to, tag, place.vr, length);
        Some(place.length)
    }

    /// The value that takes the place of one within the data set.
    pub fn revised(&self, tag: Tag, value: &[u8]) -> Option<Vec<u8>> {
        let rest = value.strip_prefix(b"ORIGINAL")?;
        if !self.derived || tag != FRAME_TYPE {
            return None;
        }
        let mut derived = b"DERIVED".to_vec();
        derived.extend_from_slice(rest.trim_ascii_end());
        Some(derived)
    }
}
