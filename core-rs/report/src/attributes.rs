//! Values of a data set as texts.

use vna_dicom::{CharacterSet, DataSet, Tag, Value, tags};

/// A data set or item, with the character set that holds in it.
#[derive(Clone)]
pub(crate) struct Attributes<'a> {
    data_set: &'a DataSet,
    charset: CharacterSet,
}

impl<'a> Attributes<'a> {
    /// Of the data set of an instance.
    pub fn of_instance(data_set: &'a DataSet) -> Self {
        Attributes::within(data_set, &CharacterSet::default())
    }

    /// An item has the character set of what it is in, unless it has its own (PS3.3 §C.12.1.1.2).
    fn within(data_set: &'a DataSet, outer: &CharacterSet) -> Self {
        let own = match data_set
            .get(tags::SPECIFIC_CHARACTER_SET)
            .map(|it| &it.value)
        {
            Some(Value::Bytes(terms)) if !terms.is_empty() => Some(CharacterSet::from_value(terms)),
            _ => None,
        };
        Attributes {
            data_set,
            charset: own.unwrap_or(*outer),
        }
    }

    /// The value as text, several joined by `\`; empty if there is none.
    pub fn text(&self, tag: Tag) -> String {
        let text = self
            .data_set
            .get(tag)
            .and_then(|element| element.text(&self.charset));
        let text = text.unwrap_or_default();
        text.trim_matches([' ', '\0', '\r', '\n', '\t']).to_owned()
    }

    /// The items of a sequence.
    pub fn items(&self, tag: Tag) -> impl Iterator<Item = Attributes<'a>> + use<'a> {
        let items = match self.data_set.get(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items.as_slice(),
            _ => &[],
        };
        let charset = self.charset;
        items
            .iter()
            .map(move |item| Attributes::within(item, &charset))
    }

    /// The first item of a sequence.
    pub fn item(&self, tag: Tag) -> Option<Attributes<'a>> {
        self.items(tag).next()
    }
}
