//! A data set in memory: what is edited, or read from JSON and XML, before it is encoded.
//!
//! Stored objects are never held like this: they are scanned in place. This is for headers, and for what a client sent in
//! another form.

mod read;
mod write;

pub(crate) use read::{choose_vrs, read_meta};
pub use write::DataSetWriter;
pub(crate) use write::{Piece, write_element, write_meta, write_pieces};

use crate::text::{effective_vr, push_numbers, text};
use crate::{CharacterSet, Tag, Vr};

/// Data elements in the order of their tags, each tag once (PS3.5 §7.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DataSet {
    elements: Vec<DataElement>,
}

/// A data element (PS3.5 §7.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataElement {
    /// The tag.
    pub tag: Tag,
    /// The VR that it is written with; [`Vr::SQ`] where the value is [`Value::Items`].
    pub vr: Vr,
    /// The value.
    pub value: Value,
}

/// The value of a data element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// As Explicit VR Little Endian has it, without padding: numbers little endian, texts in the data set's Specific
    /// Character Set.
    Bytes(Vec<u8>),
    /// The items of a sequence.
    Items(Vec<DataSet>),
    /// Fragments of encapsulated pixel data (PS3.5 §A.4); the first is the Basic Offset Table.
    Fragments(Vec<Vec<u8>>),
    /// The value is elsewhere (PS3.18 §F.2.6): to be resolved before it can be encoded.
    BulkDataUri(String),
    /// The value is in the file that the data set was read from, too long to be held: see [`crate::edit`].
    Stored(StoredValue),
}

/// Where a file has a value, in the encoding that it has there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredValue {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// Whether these are fragments and their delimiter (PS3.5 §A.4), so that its length is undefined.
    pub encapsulated: bool,
}

/// A Part 10 file in memory (PS3.10 §7).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DicomFile {
    /// How the data set is encoded in the file, whatever `meta` says.
    pub transfer_syntax_uid: String,
    /// The elements of group 0002.
    pub meta: DataSet,
    /// The data set.
    pub data_set: DataSet,
}

impl DataElement {
    /// An element whose value is no sequence; see [`Value::Bytes`].
    #[must_use]
    pub fn new(tag: Tag, vr: Vr, value: impl Into<Vec<u8>>) -> Self {
        DataElement {
            tag,
            vr,
            value: Value::Bytes(value.into()),
        }
    }

    /// A sequence.
    #[must_use]
    pub fn sequence(tag: Tag, items: Vec<DataSet>) -> Self {
        DataElement {
            tag,
            vr: Vr::SQ,
            value: Value::Items(items),
        }
    }

    /// The value as UTF-8: texts without padding, binary numbers in decimal, several joined by `\`. `None` for what
    /// has no textual form: sequences, fragments, unknown and bulk binary VRs.
    #[must_use]
    pub fn text(&self, charset: &CharacterSet) -> Option<String> {
        let Value::Bytes(value) = &self.value else {
            return None;
        };
        let vr = effective_vr(self.tag, self.vr);
        if vr.is_text() {
            return Some(text(vr, value, charset).into_owned());
        }
        let mut out = String::new();
        push_numbers(&mut out, vr, value, false).then_some(out)
    }
}

impl Value {
    /// Whether there is no value (PS3.5 §7.4.3).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Bytes(value) => value.is_empty(),
            Value::Items(items) => items.is_empty(),
            Value::Fragments(fragments) => fragments.is_empty(),
            Value::BulkDataUri(_) => false,
            Value::Stored(value) => value.length == 0,
        }
    }
}

impl FromIterator<DataElement> for DataSet {
    /// Takes elements in any order; of those with one tag the first counts.
    ///
    /// [`DataSet::insert`] does the same for one element, but moves all that are behind it: what comes from outside is
    /// better collected.
    fn from_iter<I: IntoIterator<Item = DataElement>>(elements: I) -> Self {
        let mut elements: Vec<_> = elements.into_iter().collect();
        // Nearly all come in order, which this sees in one pass.
        elements.sort_by_key(|element| element.tag);
        elements.dedup_by_key(|element| element.tag);
        DataSet { elements }
    }
}

impl IntoIterator for DataSet {
    type Item = DataElement;
    type IntoIter = std::vec::IntoIter<DataElement>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.into_iter()
    }
}

impl DataSet {
    /// An empty data set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The elements, by ascending tag.
    #[must_use]
    pub fn elements(&self) -> &[DataElement] {
        &self.elements
    }

    /// The elements, by ascending tag, for changing their values.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = (Tag, &mut Vr, &mut Value)> {
        self.elements
            .iter_mut()
            .map(|element| (element.tag, &mut element.vr, &mut element.value))
    }

    /// The element of that tag.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&DataElement> {
        let at = self.find(tag).ok()?;
        self.elements.get(at)
    }

    /// Puts an element in its place and returns the one that it takes the place of.
    pub fn insert(&mut self, element: DataElement) -> Option<DataElement> {
        // Nearly all come in order.
        if self
            .elements
            .last()
            .is_none_or(|last| last.tag < element.tag)
        {
            self.elements.push(element);
            return None;
        }
        match self.find(element.tag) {
            Ok(at) => Some(std::mem::replace(&mut self.elements[at], element)),
            Err(at) => {
                self.elements.insert(at, element);
                None
            }
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) -> Option<DataElement> {
        let at = self.find(tag).ok()?;
        Some(self.elements.remove(at))
    }

    fn find(&self, tag: Tag) -> Result<usize, usize> {
        self.elements
            .binary_search_by_key(&tag, |element| element.tag)
    }
}
