//! Data sets in another character set (PS3.3 §C.12.1.1.2, PS3.5 §6.1.2.3).

use crate::text::effective_vr;
use crate::{CharacterSet, DataElement, DataSet, TextSet, Value, Vr, tags};

/// The terms of a data set's own Specific Character Set, if it has one.
pub(super) fn own_terms(data_set: &DataSet) -> Option<String> {
    let element = data_set.get(tags::SPECIFIC_CHARACTER_SET)?;
    match &element.value {
        Value::Bytes(terms) => Some(String::from_utf8_lossy(terms).into_owned()),
        _ => None,
    }
}

/// Writes the texts of a data set in another character set, and says so in it. Items that have a character set of their
/// own keep that. If the new one cannot hold all, nothing is changed, and `false` is returned; UTF-8 holds all.
pub(super) fn convert(
    data_set: &mut DataSet,
    from: &CharacterSet,
    to: TextSet,
    term: &str,
) -> bool {
    if to != TextSet::UTF_8 && !holds(data_set, from, to) {
        return false;
    }
    rewrite(data_set, from, to);
    data_set.insert(DataElement::new(tags::SPECIFIC_CHARACTER_SET, Vr::CS, term));
    true
}

/// Whether all texts are ASCII, so that any character set reads them alike.
pub(super) fn is_ascii(data_set: &DataSet) -> bool {
    data_set
        .elements()
        .iter()
        .all(|element| match &element.value {
            Value::Bytes(value) => !is_text(element) || value.is_ascii() && !value.contains(&0x1B),
            Value::Items(items) => items
                .iter()
                .all(|item| own_terms(item).is_some() || is_ascii(item)),
            _ => true,
        })
}

fn is_text(element: &DataElement) -> bool {
    effective_vr(element.tag, element.vr).uses_character_set()
}

fn holds(data_set: &DataSet, from: &CharacterSet, to: TextSet) -> bool {
    data_set
        .elements()
        .iter()
        .all(|element| match &element.value {
            Value::Bytes(value) if is_text(element) => {
                let vr = effective_vr(element.tag, element.vr);
                to.encode(&from.decode(value, vr), vr).is_some()
            }
            Value::Items(items) => items
                .iter()
                .all(|item| own_terms(item).is_some() || holds(item, from, to)),
            _ => true,
        })
}

fn rewrite(data_set: &mut DataSet, from: &CharacterSet, to: TextSet) {
    for (tag, vr, value) in data_set.elements_mut() {
        match value {
            Value::Bytes(bytes) => {
                let vr = effective_vr(tag, *vr);
                if !vr.uses_character_set() {
                    continue;
                }
                let text = from.decode(bytes, vr);
                let written = to.encode(&text, vr).map(|written| written.into_owned());
                if let Some(written) = written {
                    *bytes = written;
                }
            }
            Value::Items(items) => {
                for item in items.iter_mut().filter(|item| own_terms(item).is_none()) {
                    rewrite(item, from, to);
                }
            }
            _ => {}
        }
    }
}
