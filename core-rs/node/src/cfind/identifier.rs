//! Reading an identifier: what is asked for, in which character set and time zone (PS3.4 §C.4.1.1.3).

use vna_dicom::{
    CharacterSet, DataElement, DataSet, Level, Tag, TextSet, TransferSyntax, Value, Vr,
    dictionary_vr, keyword, tags as t,
};

use vna_index::is_universal;

use super::keys::element_text;
use super::problem::IdentifierProblem;

/// Most bytes of an identifier: some 60,000 UIDs.
const MAX_IDENTIFIER_BYTES: usize = 4 << 20;

/// Most bytes of one that is deflated: what they may inflate to is bounded by a ratio.
const MAX_DEFLATED_BYTES: usize = 64 << 10;

/// Most keys, those inside of sequences too. There are some 5,000 attributes in the standard; nobody asks for all.
const MAX_KEYS: usize = 4_096;

pub(super) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
pub(super) const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);

/// A request, read.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Identifier {
    /// (0008,0052); a worklist has none.
    pub level: Option<String>,
    /// The keys, by ascending tag: without the level, the character set, the time zone, and private creators.
    pub keys: Vec<RequestedKey>,
    /// The private creators among the keys, as they are to be repeated.
    pub creators: Vec<(Tag, String)>,
    /// The character set that the requestor writes, if answers can be written in it.
    pub text_set: Option<TextSet>,
    /// (0008,0201) Timezone Offset From UTC.
    pub offset_from_utc: Option<String>,
    /// Whether it is there, with a value or without.
    pub asks_for_offset: bool,
}

/// An attribute that is asked for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RequestedKey {
    /// In the block that the requestor chose, if it is private.
    pub tag: Tag,
    /// As the dictionary has it, else as the requestor wrote it.
    pub vr: Vr,
    /// The private creator of its block.
    pub creator: Option<String>,
    /// What is asked for.
    pub asks: Asks,
}

/// What is asked for of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Asks {
    /// A value that matches; empty: any, also none.
    Value(String),
    /// An item that matches these keys (PS3.4 §C.2.2.2.6); empty: any items, also none.
    Item(Vec<RequestedKey>),
    /// A value that cannot be compared; it counts as empty.
    Bulk,
}

impl RequestedKey {
    /// Whether it restricts what matches.
    pub fn is_matching(&self) -> bool {
        match &self.asks {
            Asks::Value(value) => !is_universal(self.tag, self.vr, value),
            Asks::Item(keys) => keys.iter().any(RequestedKey::is_matching),
            Asks::Bulk => false,
        }
    }
}

impl Identifier {
    /// Reads an identifier.
    ///
    /// # Errors
    ///
    /// [`IdentifierProblem`] names the element that is wrong.
    pub fn read(bytes: &[u8], transfer_syntax_uid: &str) -> Result<Identifier, IdentifierProblem> {
        let deflated = TransferSyntax::from_uid(transfer_syntax_uid).deflated;
        let most = if deflated {
            MAX_DEFLATED_BYTES
        } else {
            MAX_IDENTIFIER_BYTES
        };
        if bytes.len() > most {
            let text = format!("has {} bytes, at most {most} are read", bytes.len());
            return Err(IdentifierProblem::TooLarge(text));
        }
        let data_set = DataSet::read(bytes, transfer_syntax_uid)
            .map_err(|error| IdentifierProblem::Malformed(error.to_string()))?;
        let mut identifier = Identifier::default();
        let ascii = |tag| {
            let found: Option<&DataElement> = data_set.get(tag);
            found.and_then(|element| element.text(&CharacterSet::default()))
        };
        let terms = ascii(t::SPECIFIC_CHARACTER_SET).unwrap_or_default();
        identifier.text_set = TextSet::from_terms(&terms);
        identifier.level = ascii(QUERY_RETRIEVE_LEVEL);
        identifier.offset_from_utc =
            ascii(t::TIMEZONE_OFFSET_FROM_UTC).filter(|offset| !offset.is_empty());
        identifier.asks_for_offset = data_set.get(t::TIMEZONE_OFFSET_FROM_UTC).is_some();
        identifier.creators = creators(&data_set, &CharacterSet::from_terms(&terms));
        let mut budget = MAX_KEYS;
        identifier.keys = keys(&data_set, CharacterSet::from_terms(&terms), &mut budget)?;
        Ok(identifier)
    }

    /// The level of the hierarchy that is asked for.
    ///
    /// # Errors
    ///
    /// [`IdentifierProblem::Mismatch`] if it is missing, or none that there is.
    pub fn level(&self) -> Result<Level, IdentifierProblem> {
        let wrong = |found: String| {
            let text = format!(
                "{QUERY_RETRIEVE_LEVEL} Query/Retrieve Level {found}; it is PATIENT, STUDY, SERIES or IMAGE"
            );
            IdentifierProblem::Mismatch(text)
        };
        match self.level.as_deref() {
            Some("PATIENT") => Ok(Level::Patient),
            Some("STUDY") => Ok(Level::Study),
            Some("SERIES") => Ok(Level::Series),
            Some("IMAGE") => Ok(Level::Instance),
            None | Some("") => Err(wrong("is missing".into())),
            Some(other) => Err(wrong(format!("is {}", shown(other)))),
        }
    }

    /// The key of a tag.
    pub fn key(&self, tag: Tag) -> Option<&RequestedKey> {
        let at = self.keys.binary_search_by_key(&tag, |key| key.tag);
        at.ok().map(|at| &self.keys[at])
    }

    /// The value of a key; empty if it is not there.
    pub fn value(&self, tag: Tag) -> &str {
        match self.key(tag).map(|key| &key.asks) {
            Some(Asks::Value(value)) => value,
            _ => "",
        }
    }
}

/// The private creators of a data set.
pub(super) fn creators(data_set: &DataSet, charset: &CharacterSet) -> Vec<(Tag, String)> {
    let creators = data_set
        .elements()
        .iter()
        .filter(|element| element.tag.is_private_creator());
    creators
        .filter_map(|element| {
            // Implicit VR leaves it UN where no dictionary has it.
            let as_text = DataElement {
                vr: Vr::LO,
                ..element.clone()
            };
            Some((element.tag, as_text.text(charset)?))
        })
        .collect()
}

fn keys(
    data_set: &DataSet,
    around: CharacterSet,
    budget: &mut usize,
) -> Result<Vec<RequestedKey>, IdentifierProblem> {
    let own = data_set.get(t::SPECIFIC_CHARACTER_SET);
    let own = own.and_then(|element| element.text(&around));
    let charset = own.map_or(around, |terms| CharacterSet::from_terms(&terms));
    let creators = creators(data_set, &charset);
    let mut keys = Vec::new();
    for element in data_set.elements() {
        let tag = element.tag;
        let is_context = matches!(
            tag,
            t::SPECIFIC_CHARACTER_SET | QUERY_RETRIEVE_LEVEL | t::TIMEZONE_OFFSET_FROM_UTC
        );
        if is_context || tag.is_group_length() || tag.is_private_creator() {
            continue;
        }
        *budget = budget.checked_sub(1).ok_or_else(|| {
            let text = format!("{tag} is one more key than the {MAX_KEYS} that are read");
            IdentifierProblem::TooLarge(text)
        })?;
        let block = Tag(tag.0, tag.1 >> 8);
        let creator = creators
            .iter()
            .find(|(at, _)| tag.is_private() && *at == block);
        keys.push(RequestedKey {
            tag,
            vr: key_vr(element),
            creator: creator.map(|(_, name)| name.clone()),
            asks: asks(element, &charset, budget)?,
        });
    }
    Ok(keys)
}

/// The VR to compare and to answer with.
fn key_vr(element: &DataElement) -> Vr {
    match dictionary_vr(element.tag) {
        Vr::UN => element.vr,
        defined => defined,
    }
}

fn asks(
    element: &DataElement,
    charset: &CharacterSet,
    budget: &mut usize,
) -> Result<Asks, IdentifierProblem> {
    let tag = element.tag;
    let vr = key_vr(element);
    let wrong = |found: &str| {
        let name = keyword(tag).unwrap_or("private");
        IdentifierProblem::Malformed(format!("{tag} {name} {found}"))
    };
    match &element.value {
        Value::Items(_) if vr != Vr::SQ => Err(wrong(&format!("is a sequence; its VR is {vr}"))),
        Value::Items(items) => match items.as_slice() {
            [] => Ok(Asks::Item(Vec::new())),
            [item] => Ok(Asks::Item(keys(item, *charset, budget)?)),
            more => Err(wrong(&format!("has {} items; a key has one", more.len()))),
        },
        Value::Bytes(value) if value.is_empty() => Ok(match vr {
            Vr::SQ => Asks::Item(Vec::new()),
            _ => Asks::Value(String::new()),
        }),
        Value::Bytes(_) if vr == Vr::SQ => {
            Err(wrong(&format!("is {}, not a sequence", element.vr)))
        }
        Value::Bytes(_) => {
            let written = element.vr;
            let is_of_another_kind = written != Vr::UN
                && (written.is_text() != vr.is_text() || written.is_number() != vr.is_number());
            if is_of_another_kind {
                return Err(wrong(&format!("has the VR {written}; it is {vr}")));
            }
            let as_defined = DataElement {
                vr: if written.is_number() { written } else { vr },
                ..element.clone()
            };
            Ok(match element_text(&as_defined, charset) {
                Some((_, text)) => Asks::Value(text),
                None => Asks::Bulk,
            })
        }
        Value::Fragments(_) | Value::BulkDataUri(_) | Value::Stored(_) => {
            Err(wrong("is encapsulated; no key is"))
        }
    }
}

/// A text of a peer, as a message repeats it.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    format!("{short:?}")
}
