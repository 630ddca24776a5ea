//! Data sets that are rows of a table: answers of searches.

use super::json::JsonWriter;
use super::walk::{Creators, UTF_8, Walk, Writer};
use super::xml::XmlWriter;
use super::{Model, ModelOptions};
use crate::{CharacterSet, DataElement, Tag, Vr};

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub enum RowValue<'a> {
    /// The attribute is there, without a value.
    Empty,
    /// A text, values separated by `\`; of binary VRs their numbers in decimal.
    Text(&'a str),
    /// An element of a data set, whose texts are UTF-8.
    Element(&'a DataElement),
}

/// Writes a data set of these attributes, which are sorted by tag, behind what `out` has.
///
/// ```
/// # use vna_dicom::{Model, RowValue, Tag, Vr, write_row};
/// let mut out = Vec::new();
/// let row = [(Tag(0x0008, 0x0060), Vr::CS, RowValue::Text("CT")), (Tag(0x0020, 0x0010), Vr::SH, RowValue::Empty)];
/// write_row(&mut out, Model::Json, row);
/// assert_eq!(out, br#"{"00080060":{"vr":"CS","Value":["CT"]},"00200010":{"vr":"SH"}}"#);
/// ```
pub fn write_row<'a>(
    out: &mut Vec<u8>,
    model: Model,
    row: impl IntoIterator<Item = (Tag, Vr, RowValue<'a>)>,
) {
    let options = ModelOptions {
        bulk_threshold: u64::MAX,
        ..ModelOptions::default()
    };
    let behind = std::mem::take(out);
    *out = match model {
        Model::Json => rows(Walk::new(JsonWriter::behind(behind), &options), row),
        Model::Xml => rows(Walk::new(XmlWriter::behind(behind), &options), row),
    };
}

fn rows<'a, W: Writer>(
    mut walk: Walk<'_, W>,
    row: impl IntoIterator<Item = (Tag, Vr, RowValue<'a>)>,
) -> Vec<u8> {
    let mut creators = Creators::new();
    let mut charset = CharacterSet::from_terms(UTF_8);
    for (tag, vr, value) in row {
        match value {
            RowValue::Empty => walk.text_element(tag, vr, ""),
            RowValue::Text(text) => walk.text_element(tag, vr, text),
            RowValue::Element(element) => walk.element(element, &mut creators, &mut charset),
        }
    }
    walk.finish()
}
