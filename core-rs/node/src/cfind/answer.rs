//! Answers: what was asked for, in the order of the tags, encoded (PS3.4 §C.4.1.1.3.2).

use std::borrow::Cow;

use vna_dicom::{
    CharacterSet, DataElement, DataSet, DataSetWriter, DicomError, Tag, TextSet, Value, Vr,
    dictionary_vr, tags as t,
};
use vna_index::{Case, ValueRow};

use super::headers::{Header, Headers};
use super::identifier::{Asks, Identifier, RequestedKey};
use super::keys::{Keys, character_set, element};

/// An element of every answer.
pub(crate) struct Column {
    pub tag: Tag,
    pub vr: Vr,
    pub creator: Option<String>,
    /// What is asked for of the items of a sequence; empty: all that they hold.
    pub items: Vec<RequestedKey>,
    pub place: Place,
}

/// Where the value of an element comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// The same in all answers.
    Fixed(String),
    /// The index: which of the values that it is asked for.
    Index(usize),
    /// The first instance of the resource.
    Own,
    /// The first instance of a resource below that matches.
    Below,
    /// Nobody has it.
    Nowhere,
}

/// A value of an answer.
pub(crate) enum Cell<'a> {
    Empty,
    Text(Cow<'a, str>),
    /// Its texts are UTF-8.
    Stored(DataElement),
}

impl Column {
    pub fn fixed(tag: Tag, vr: Vr, text: impl Into<String>) -> Column {
        Column {
            tag,
            vr,
            creator: None,
            items: Vec::new(),
            place: Place::Fixed(text.into()),
        }
    }

    pub fn of_key(key: &RequestedKey, place: Place) -> Column {
        Column {
            tag: key.tag,
            vr: key.vr,
            creator: key.creator.clone(),
            items: match &key.asks {
                Asks::Item(keys) => keys.clone(),
                Asks::Value(_) | Asks::Bulk => Vec::new(),
            },
            place,
        }
    }
}

/// Writes answers.
pub(super) struct Answers {
    transfer_syntax_uid: String,
    /// Sorted by tag.
    columns: Vec<Column>,
    /// The set that the requestor writes.
    preferred: Option<TextSet>,
}

/// What the index and the headers say of one resource.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub row: Option<ValueRow<'a>>,
    pub headers: &'a Headers,
}

impl Answers {
    pub fn new(
        identifier: &Identifier,
        mut columns: Vec<Column>,
        transfer_syntax_uid: &str,
    ) -> Answers {
        let creators = identifier.creators.iter();
        columns.extend(creators.map(|(tag, name)| Column::fixed(*tag, Vr::LO, name.as_str())));
        columns.sort_by_key(|column| column.tag);
        columns.dedup_by_key(|column| column.tag);
        Answers {
            transfer_syntax_uid: transfer_syntax_uid.to_owned(),
            columns,
            preferred: identifier.text_set,
        }
    }

    /// Appends an answer; `moved` are texts of the index that are shown in another time zone.
    ///
    /// # Errors
    ///
    /// [`DicomError`] if a stored value cannot be written in this transfer syntax; `out` is then as it was.
    pub fn write(
        &self,
        sources: Sources<'_>,
        moved: &[(usize, String)],
        out: &mut Vec<u8>,
    ) -> Result<(), DicomError> {
        let cells: Vec<Cell<'_>> = self
            .columns
            .iter()
            .map(|column| cell(column, sources, moved))
            .collect();
        let set = self.set_of(&cells);
        let start = out.len();
        let mut writer = DataSetWriter::new(out, &self.transfer_syntax_uid);
        let written = self.elements(&mut writer, &cells, set);
        writer.finish();
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn elements(
        &self,
        writer: &mut DataSetWriter<'_>,
        cells: &[Cell<'_>],
        set: Option<TextSet>,
    ) -> Result<(), DicomError> {
        let mut set_is_told = set.is_none();
        let set_or_ascii = set.unwrap_or(TextSet::UTF_8);
        for (column, cell) in self.columns.iter().zip(cells) {
            if !set_is_told && column.tag > t::SPECIFIC_CHARACTER_SET {
                writer.bytes(
                    t::SPECIFIC_CHARACTER_SET,
                    Vr::CS,
                    set_or_ascii.term().as_bytes(),
                )?;
                set_is_told = true;
            }
            match cell {
                Cell::Empty => writer.bytes(column.tag, column.vr, b"")?,
                Cell::Text(text) => {
                    writer.bytes(column.tag, column.vr, &bytes(column.vr, text, set_or_ascii))?
                }
                Cell::Stored(stored) if set.is_none_or(|set| set == TextSet::UTF_8) => {
                    writer.element(stored)?
                }
                Cell::Stored(stored) => writer.element(&encoded(stored, set_or_ascii))?,
            }
        }
        Ok(())
    }

    /// The character set of an answer; `None` if ASCII is enough. What the requestor writes is what it reads most surely;
    /// then the sets follow that most readers know.
    fn set_of(&self, cells: &[Cell<'_>]) -> Option<TextSet> {
        let holds = |set: Option<TextSet>| {
            self.columns
                .iter()
                .zip(cells)
                .all(|(column, cell)| match cell {
                    Cell::Empty => true,
                    Cell::Text(text) => holds_text(column.vr, text, set),
                    Cell::Stored(stored) => holds_stored(stored, set),
                })
        };
        if holds(None) {
            return None;
        }
        let known = [self.preferred, Some(TextSet::LATIN_1)];
        let found = known.into_iter().flatten().find(|set| holds(Some(*set)));
        Some(found.unwrap_or(TextSet::UTF_8))
    }
}

/// Whether a set, or ASCII, has all characters of a text.
fn holds_text(vr: Vr, text: &str, set: Option<TextSet>) -> bool {
    text.is_ascii()
        || !vr.uses_character_set()
        || set.is_some_and(|set| set.encode(text, vr).is_some())
}

fn holds_stored(element: &DataElement, set: Option<TextSet>) -> bool {
    match &element.value {
        Value::Items(items) => items
            .iter()
            .flat_map(DataSet::elements)
            .all(|inner| holds_stored(inner, set)),
        Value::Bytes(bytes) if element.vr.uses_character_set() => {
            std::str::from_utf8(bytes).map_or(true, |text| holds_text(element.vr, text, set))
        }
        Value::Bytes(_) | Value::Fragments(_) | Value::BulkDataUri(_) | Value::Stored(_) => true,
    }
}

pub(crate) fn cell<'a>(
    column: &'a Column,
    sources: Sources<'a>,
    moved: &[(usize, String)],
) -> Cell<'a> {
    match &column.place {
        Place::Fixed(text) => Cell::Text(Cow::Borrowed(text)),
        Place::Index(at) => {
            if let Some((_, text)) = moved.iter().find(|(moved, _)| moved == at) {
                return Cell::Text(Cow::Owned(text.clone()));
            }
            let found = sources.row.and_then(|row| row.get(*at));
            found.map_or(Cell::Empty, |text| Cell::Text(Cow::Borrowed(text)))
        }
        Place::Own => stored(column, sources.headers.own.as_ref()),
        Place::Below => stored(column, sources.headers.below.as_ref()),
        Place::Nowhere => Cell::Empty,
    }
}

fn stored<'a>(column: &Column, header: Option<&Header>) -> Cell<'a> {
    let Some(header) = header else {
        return Cell::Empty;
    };
    match shown(&header.data_set, &header.charset, column) {
        Some(element) => Cell::Stored(element),
        None => Cell::Empty,
    }
}

/// An element of a data set as it is shown: its texts in UTF-8, under the tag that was asked for.
fn shown(data_set: &DataSet, charset: &CharacterSet, column: &Column) -> Option<DataElement> {
    let found = element(data_set, column.tag, column.creator.as_deref(), charset)?;
    let mut shown = match &found.value {
        Value::Items(items) if !column.items.is_empty() => {
            DataElement::sequence(found.tag, matching_items(items, charset, &column.items))
        }
        Value::Items(_) | Value::Bytes(_) => in_utf8(found, charset),
        Value::Fragments(_) | Value::BulkDataUri(_) | Value::Stored(_) => return None,
    };
    shown.tag = column.tag;
    Some(shown)
}

/// The items that match, with what is asked for of each (PS3.4 §C.2.2.2.6).
fn matching_items(
    items: &[DataSet],
    around: &CharacterSet,
    asked: &[RequestedKey],
) -> Vec<DataSet> {
    let mut keys = Keys::requested(asked, Case::Standard);
    let matching = items.iter().filter(|item| keys.match_all(item, around));
    let shown = matching.map(|item| {
        let charset = character_set(item, around);
        let elements = asked.iter().map(|key| {
            let column = Column::of_key(key, Place::Own);
            let nothing = || match key.vr {
                Vr::SQ => DataElement::sequence(key.tag, Vec::new()),
                vr => DataElement::new(key.tag, vr, ""),
            };
            shown(item, &charset, &column).unwrap_or_else(nothing)
        });
        elements.collect()
    });
    shown.collect()
}

/// An element with its texts in UTF-8. Inner character sets, which then are wrong, go.
fn in_utf8(element: &DataElement, charset: &CharacterSet) -> DataElement {
    let vr = match element.vr {
        Vr::UN => dictionary_vr(element.tag),
        vr => vr,
    };
    let value = match &element.value {
        Value::Items(items) => Value::Items(
            items
                .iter()
                .map(|item| {
                    let charset = character_set(item, charset);
                    let others = item
                        .elements()
                        .iter()
                        .filter(|inner| inner.tag != t::SPECIFIC_CHARACTER_SET);
                    others.map(|inner| in_utf8(inner, &charset)).collect()
                })
                .collect(),
        ),
        Value::Bytes(bytes) if vr.uses_character_set() => {
            Value::Bytes(charset.decode(bytes, vr).into_owned().into_bytes())
        }
        other => other.clone(),
    };
    DataElement {
        tag: element.tag,
        vr,
        value,
    }
}

/// An element whose texts are UTF-8, with texts in another set.
fn encoded(element: &DataElement, set: TextSet) -> DataElement {
    let value = match &element.value {
        Value::Items(items) => Value::Items(
            items
                .iter()
                .map(|item| {
                    item.elements()
                        .iter()
                        .map(|inner| encoded(inner, set))
                        .collect()
                })
                .collect(),
        ),
        Value::Bytes(utf8) if element.vr.uses_character_set() => {
            let text = String::from_utf8_lossy(utf8);
            Value::Bytes(bytes(element.vr, &text, set).into_owned())
        }
        other => other.clone(),
    };
    DataElement {
        tag: element.tag,
        vr: element.vr,
        value,
    }
}

/// The bytes of a text of the index: numbers too are texts there.
fn bytes(vr: Vr, text: &str, set: TextSet) -> Cow<'_, [u8]> {
    if vr.is_number() {
        return Cow::Owned(numbers(vr, text));
    }
    if text.is_ascii() {
        return Cow::Borrowed(text.as_bytes());
    }
    if vr.uses_character_set() {
        return set
            .encode(text, vr)
            .unwrap_or(Cow::Borrowed(text.as_bytes()));
    }
    // No such character is allowed here; what was stored cannot be said otherwise.
    let plain = text
        .chars()
        .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'));
    Cow::Owned(plain.collect())
}

/// Numbers in decimal as binary ones, little endian; none if one is no number.
fn numbers(vr: Vr, text: &str) -> Vec<u8> {
    fn all<T: std::str::FromStr, const N: usize>(
        text: &str,
        bytes: impl Fn(T) -> [u8; N],
    ) -> Vec<u8> {
        let numbers = text
            .split('\\')
            .map(|one| one.trim().parse::<T>().ok().map(&bytes));
        let numbers: Option<Vec<[u8; N]>> = numbers.collect();
        numbers.map_or_else(Vec::new, |numbers| numbers.concat())
    }
    match &vr.0 {
        b"US" => all(text, u16::to_le_bytes),
        b"SS" => all(text, i16::to_le_bytes),
        b"UL" => all(text, u32::to_le_bytes),
        b"SL" => all(text, i32::to_le_bytes),
        b"UV" => all(text, u64::to_le_bytes),
        b"SV" => all(text, i64::to_le_bytes),
        b"FL" => all(text, f32::to_le_bytes),
        b"FD" => all(text, f64::to_le_bytes),
        _ => Vec::new(),
    }
}
