//! What attributes were before a modification (PS3.3 §C.12.1.1.9).

use super::OriginalAttributes;
use crate::{DataElement, DataSet, Tag, Value, Vr, tags};

const ORIGINAL_ATTRIBUTES_SEQUENCE: Tag = Tag(0x0400, 0x0561);
const MODIFIED_ATTRIBUTES_SEQUENCE: Tag = Tag(0x0400, 0x0550);
const ATTRIBUTE_MODIFICATION_DATE_TIME: Tag = Tag(0x0400, 0x0562);
const MODIFYING_SYSTEM: Tag = Tag(0x0400, 0x0563);
const SOURCE_OF_PREVIOUS_VALUES: Tag = Tag(0x0400, 0x0564);
const REASON_FOR_THE_ATTRIBUTE_MODIFICATION: Tag = Tag(0x0400, 0x0565);

/// Adds an item of Original Attributes Sequence with what was there, if anything was.
///
/// Bulk values are not told, nor the character set: the texts are in the one that the data set has now.
pub(super) fn tell(data_set: &mut DataSet, what: &OriginalAttributes, old: DataSet) {
    let is_told = |element: &DataElement| {
        let is_here = matches!(element.value, Value::Bytes(_) | Value::Items(_));
        is_here && element.tag != tags::SPECIFIC_CHARACTER_SET && element.tag.0 != 0x7FE0
    };
    let old: DataSet = old.into_iter().filter(is_told).collect();
    if old.elements().is_empty() {
        return;
    }
    let item = [
        DataElement::sequence(MODIFIED_ATTRIBUTES_SEQUENCE, vec![old]),
        DataElement::new(ATTRIBUTE_MODIFICATION_DATE_TIME, Vr::DT, what.at.as_bytes()),
        DataElement::new(MODIFYING_SYSTEM, Vr::LO, what.system.as_bytes()),
        DataElement::new(SOURCE_OF_PREVIOUS_VALUES, Vr::LO, what.source.as_bytes()),
        DataElement::new(
            REASON_FOR_THE_ATTRIBUTE_MODIFICATION,
            Vr::CS,
            what.reason.as_bytes(),
        ),
    ];
    let mut items = match data_set.remove(ORIGINAL_ATTRIBUTES_SEQUENCE) {
        Some(DataElement {
            value: Value::Items(items),
            ..
        }) => items,
        _ => Vec::new(),
    };
    items.push(item.into_iter().collect());
    data_set.insert(DataElement::sequence(ORIGINAL_ATTRIBUTES_SEQUENCE, items));
}
