//! Keys that are compared with a data set: headers of stored instances, and items of a worklist.
//!
//! The rules for one value are the index's; what is added here is where the value is: in items (PS3.4 §C.2.2.2.6), and in
//! private blocks that each data set may number anew (PS3.5 §7.8).

use vna_dicom::{CharacterSet, DataElement, DataSet, Tag, Value, Vr, dictionary_vr, tags as t};
use vna_index::{Case, Key, KeyMatcher};

use super::identifier::{Asks, RequestedKey};

/// Keys that must match all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    keys: Vec<OneKey>,
}

#[derive(Clone, Debug)]
struct OneKey {
    tag: Tag,
    creator: Option<String>,
    asks: AsksOne,
}

#[derive(Clone, Debug)]
enum AsksOne {
    Value(KeyMatcher),
    Item(Keys),
}

impl Keys {
    /// Keys of single values.
    pub(crate) fn of_values(keys: &[Key], case: Case) -> Keys {
        let keys = keys.iter().map(|key| OneKey {
            tag: key.tag,
            creator: None,
            asks: AsksOne::Value(KeyMatcher::new(key, case)),
        });
        Keys {
            keys: keys.collect(),
        }
    }

    /// Those of the keys that restrict what matches.
    pub(super) fn requested<'a>(
        keys: impl IntoIterator<Item = &'a RequestedKey>,
        case: Case,
    ) -> Keys {
        let matching = keys.into_iter().filter(|key| key.is_matching());
        let keys = matching.filter_map(|key| {
            let asks = match &key.asks {
                Asks::Value(value) => {
                    let (tag, value) = (key.tag, value.clone());
                    AsksOne::Value(KeyMatcher::new(&Key { tag, value }, case))
                }
                Asks::Item(keys) => AsksOne::Item(Keys::requested(keys, case)),
                Asks::Bulk => return None,
            };
            Some(OneKey {
                tag: key.tag,
                creator: key.creator.clone(),
                asks,
            })
        });
        Keys {
            keys: keys.collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What must be read of a file; private tags as the requestor has them.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (Tag, Option<&str>)> {
        self.keys
            .iter()
            .map(|key| (key.tag, key.creator.as_deref()))
    }

    /// Whether a data set matches all of them.
    pub(crate) fn match_all(&mut self, data_set: &DataSet, around: &CharacterSet) -> bool {
        if self.keys.is_empty() {
            return true;
        }
        let charset = character_set(data_set, around);
        self.keys
            .iter_mut()
            .all(|key| key.matches(data_set, &charset))
    }
}

impl OneKey {
    fn matches(&mut self, data_set: &DataSet, charset: &CharacterSet) -> bool {
        let found = element(data_set, self.tag, self.creator.as_deref(), charset);
        match &mut self.asks {
            AsksOne::Value(matcher) => match found.and_then(|found| element_text(found, charset)) {
                Some((vr, text)) => matcher.matches(vr, Some(&text)),
                None => matcher.matches(dictionary_vr(self.tag), None),
            },
            AsksOne::Item(keys) => match found.map(|found| &found.value) {
                Some(Value::Items(items)) => items.iter().any(|item| keys.match_all(item, charset)),
                _ => false,
            },
        }
    }
}

/// The character set of a data set: its own, or that of the one around it.
pub(crate) fn character_set(data_set: &DataSet, around: &CharacterSet) -> CharacterSet {
    let own = data_set.get(t::SPECIFIC_CHARACTER_SET);
    let terms = own.and_then(|element| element.text(around));
    terms.map_or(*around, |terms| CharacterSet::from_terms(&terms))
}

/// The element of a tag; of a private one, in the block that its creator has in this data set.
pub(crate) fn element<'d>(
    data_set: &'d DataSet,
    tag: Tag,
    creator: Option<&str>,
    charset: &CharacterSet,
) -> Option<&'d DataElement> {
    match creator {
        Some(creator) => data_set.get(in_block_of(data_set, tag, creator, charset)?),
        None => data_set.get(tag),
    }
}

/// The tag that a private element of this creator has in a data set.
pub(crate) fn in_block_of(
    data_set: &DataSet,
    tag: Tag,
    creator: &str,
    charset: &CharacterSet,
) -> Option<Tag> {
    let mut creators = super::identifier::creators(data_set, charset).into_iter();
    let (block, _) = creators.find(|(at, name)| at.0 == tag.0 && name == creator)?;
    Some(Tag(tag.0, block.1 << 8 | tag.1 & 0xFF))
}

/// The value of an element as text, and its VR; `None` for what has no text. What nobody describes counts as text if it
/// could be printed.
pub(crate) fn element_text(element: &DataElement, charset: &CharacterSet) -> Option<(Vr, String)> {
    let vr = match element.vr {
        Vr::UN => dictionary_vr(element.tag),
        vr => vr,
    };
    if vr != Vr::UN {
        return Some((vr, element.text(charset)?));
    }
    let as_text = DataElement {
        vr: Vr::LO,
        ..element.clone()
    };
    let found = as_text.text(charset)?;
    let is_text = !found.chars().any(|c| c.is_control() || c == '\u{FFFD}');
    is_text.then_some((vr, found))
}
