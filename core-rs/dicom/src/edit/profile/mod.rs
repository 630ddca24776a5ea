//! De-identification profiles (PS3.15 E): what becomes of each attribute.
//!
//! The walk over a data set belongs to [`Recipe::apply`](super::Recipe::apply): it asks for the action at each place, goes
//! into the items of sequences that stay, and replaces UIDs. A profile decides, and makes the values that take the place
//! of others.
//!
//! What always holds:
//! (1) Of what has a row in Table E.1-1 of the edition, nothing stays that no option keeps.
//! (2) What nobody can judge goes: private elements that are not known to be safe, elements that no dictionary has, sequences
//!     that cannot be read as such.
//! (3) What is made up is a function of key and old value, or is constant.

mod declare;
mod made_up;
mod options;
mod safe_private;
mod table;

pub use made_up::subject;
pub use options::{Choice, Dates};

use super::{EditError, Key};
use crate::{CharacterSet, DataElement, Tag, Value, Vr, dictionary_vr, entry};
use options::Options;
use table::{Cell, Column, Kind, Row, Tables};

/// What is done with an attribute (PS3.15 Table E.1-1a), the combinations decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// K: it stays; items of a sequence are gone through.
    Keep,
    /// X: it goes.
    Remove,
    /// Z: it stays without a value.
    Empty,
    /// D: it gets a made-up value; items of a sequence are gone through.
    Dummy,
    /// C: it keeps what says nothing of a person; items of a sequence are gone through.
    Clean,
    /// U: its UIDs get others, the same for the same.
    NewUid,
}

/// Where an attribute stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The sequences around it, from the outermost on.
    pub sequences: &'a [Tag],
    /// Its tag.
    pub tag: Tag,
    /// Its VR, where that is known: of UN what the dictionary says.
    pub vr: Vr,
    /// Who reserved its block, if it is private; of an element that reserves one, its own value.
    pub creator: Option<&'a str>,
    /// The SOP class of the outermost data set; empty if it has none.
    pub sop_class_uid: &'a str,
}

/// What made-up values are made from.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// The secret.
    pub key: &'a Key,
    /// The character set of the data set that the attribute stands in.
    pub character_set: &'a CharacterSet,
    /// Whom the instance is about: [`subject`] of the outermost data set, as it was.
    pub subject: &'a [u8],
}

/// A profile with its options, compiled.
#[derive(Clone, Debug)]
pub struct Profile {
    edition: usize,
    options: Options,
    tables: &'static Tables,
}

/// What is around an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing that the profile replaces.
    Plain,
    /// A sequence that is replaced by a made-up one: its shape is left, no value that says something.
    MadeUp,
    /// A sequence that is cleaned: what is coded or measured is left, no text.
    Cleaned,
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tables")
    }
}

impl Profile {
    /// The profile of an edition of PS3.15, such as `2023b`, with the options of these names: see [`Choice`].
    ///
    /// # Errors
    ///
    /// [`EditError::Profile`] if there is no such edition or option, if options contradict each other, or if one would ask
    /// for a judgement of text or pixels that no program of ours can give.
    pub fn new(version: &str, options: &[String]) -> Result<Profile, EditError> {
        let edition = table::EDITIONS
            .iter()
            .position(|edition| *edition == version);
        let edition = edition.ok_or_else(|| EditError::Profile {
            problem: format!(
                "no profile of PS3.15 {:?} is known; there are {}",
                version.chars().take(16).collect::<String>(),
                table::EDITIONS.join(", ")
            ),
        })?;
        Ok(Profile {
            edition,
            options: Options::read(options)?,
            tables: Tables::get(),
        })
    }

    /// What is done at a place.
    #[must_use]
    pub fn action(&self, place: &Place<'_>) -> Action {
        let tag = place.tag;
        if tag.is_private() {
            let safe = self.options.has(Choice::RetainSafePrivate)
                && place.vr != Vr::SQ
                && safe_private::is_safe(tag, place.creator.unwrap_or_default());
            return if safe { Action::Keep } else { Action::Remove };
        }
        let own = self.row(tag).map(|row| self.decide(row, place));
        match self.around(place) {
            _ if tag.is_group_length() => Action::Remove, // it would no longer be true
            Around::Plain => own.unwrap_or_else(|| self.without_row(tag)),
            Around::MadeUp => own.unwrap_or_else(|| self.made_up(place)),
            Around::Cleaned => own.unwrap_or_else(|| self.cleaned(place)),
        }
    }

    /// Whether a value that stays may do so; of a text, nothing stays that stands behind a NUL, where no reader looks. Not
    /// asked for sequences with items.
    #[must_use]
    pub fn keep(&self, place: &Place<'_>, value: &mut Value) -> bool {
        let Value::Bytes(bytes) = value else {
            // What is too long to be looked at: pixels and numbers, but no code, name or date is that long.
            let no_text = !place.vr.is_text() || matches!(place.vr, Vr::DS | Vr::IS);
            return no_text && !place.tag.is_private();
        };
        if place.tag.is_private() {
            let creator = place.creator.unwrap_or_default();
            return safe_private::is_plausible(place.tag, creator, bytes);
        }
        // (2): the items of a sequence that came as UN of defined length, or with a VR that is none, are not seen.
        if dictionary_vr(place.tag) == Vr::SQ {
            return bytes.is_empty();
        }
        if place.vr.is_text() {
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                bytes.truncate(end);
            }
        }
        true
    }

    /// Whether UIDs stay as they are.
    #[must_use]
    pub fn retains_uids(&self) -> bool {
        self.options.has(Choice::RetainUids)
    }

    /// The element with a made-up value of its VR ([`Action::Dummy`]), or without a value where none can be made up. Not
    /// asked for sequences with items.
    #[must_use]
    pub fn dummy(&self, place: &Place<'_>, old: &DataElement, making: &Making<'_>) -> DataElement {
        made_up::value(place, old, making)
    }

    /// The element with what may stay of its value ([`Action::Clean`]); `None` if nothing may. Not asked for sequences.
    #[must_use]
    pub fn clean(
        &self,
        place: &Place<'_>,
        old: &DataElement,
        making: &Making<'_>,
    ) -> Option<DataElement> {
        match place.vr {
            Vr::DA | Vr::DT | Vr::TM => made_up::shifted(place, old, making),
            Vr::AE => Some(made_up::ae_title(old, making)),
            _ if place.tag == TIMEZONE_OFFSET => made_up::timezone(old),
            _ => None,
        }
    }

    /// The row of an attribute, if the edition has it.
    fn row(&self, tag: Tag) -> Option<&'static Row> {
        let row = self.tables.row(tag)?;
        (row.edition <= self.edition).then_some(row)
    }

    /// The action of a row. Of several options that say something, changing dates goes before keeping (a calibration date is
    /// of the device too), and keeping before cleaning.
    fn decide(&self, row: &Row, place: &Place<'_>) -> Action {
        let dates = self.options.dates();
        if dates == Dates::Modified && row.option(Column::ModifiedDates) == Cell::C {
            return Action::Clean;
        }
        let kept = [
            (Choice::RetainUids, Column::Uids),
            (Choice::RetainDeviceIdentity, Column::Device),
            (Choice::RetainInstitutionIdentity, Column::Institution),
            (Choice::RetainPatientCharacteristics, Column::Patient),
            (Choice::RetainFullDates, Column::FullDates),
        ];
        let asked = |(choice, _): &(Choice, Column)| self.options.has(*choice);
        let mut said = kept
            .iter()
            .filter(|one| asked(one))
            .map(|(_, column)| row.option(*column));
        if said.clone().any(|cell| cell == Cell::K) {
            return Action::Keep;
        }
        // Texts are not cleaned, since that takes judgement: they are gone instead.
        if place.vr == Vr::AE && said.any(|cell| cell == Cell::C) {
            return Action::Clean;
        }
        let cleaned = [
            (Choice::CleanStructuredContent, Column::StructuredContent),
            (Choice::CleanGraphics, Column::Graphics),
        ];
        let cleans = |(choice, column): &(Choice, Column)| {
            self.options.has(*choice) && row.option(*column) == Cell::C
        };
        if dictionary_vr(place.tag) == Vr::SQ && cleaned.iter().any(cleans) {
            return Action::Clean;
        }
        self.basic(row.basic, place)
    }

    /// The action of the profile itself. Where the type of the attribute decides, its IOD says which it is of; within items,
    /// and of an unknown class, the strictest is taken, which is right for all. What would have to go although its IOD
    /// cannot do without is made up.
    fn basic(&self, cell: Cell, place: &Place<'_>) -> Action {
        use Kind::{Optional, There, ThereIf, Valued, ValuedIf};
        let outermost = place.sequences.is_empty();
        let kind = outermost.then(|| self.tables.kind(place.tag, place.sop_class_uid));
        let is_sequence = dictionary_vr(place.tag) == Vr::SQ;
        let made_up = if dictionary_vr(place.tag) == Vr::UI {
            Action::NewUid
        } else {
            Action::Dummy
        };
        match (cell, kind.flatten()) {
            // A made-up identity keeps what belongs together together.
            _ if place.tag == PATIENT_ID || place.tag == PATIENT_NAME => Action::Dummy,
            (Cell::X, Some(Valued)) | (Cell::Z, Some(Valued | ValuedIf)) => made_up,
            (Cell::X, Some(There)) => Action::Empty,
            (Cell::X, _) => Action::Remove,
            (Cell::XorZ | Cell::XorD | Cell::XorZorD, Some(Optional)) => Action::Remove,
            (Cell::XorZorD, Some(There | ThereIf)) => Action::Empty,
            (Cell::ZorD, Some(There | ThereIf | Optional)) => Action::Empty,
            (Cell::Z | Cell::XorZ, _) => Action::Empty,
            (Cell::D | Cell::XorD | Cell::ZorD | Cell::XorZorD, _) => made_up,
            // UIDs within a sequence have rows of their own.
            (Cell::U | Cell::XorZorU, _) if is_sequence => Action::Keep,
            (Cell::U | Cell::XorZorU, _) => Action::NewUid,
            (Cell::K, _) => Action::Keep,
            (Cell::C | Cell::Blank, _) => Action::Remove,
        }
    }

    /// The action for what has no row.
    fn without_row(&self, tag: Tag) -> Action {
        if entry(tag).is_some() {
            Action::Keep
        } else {
            Action::Remove // (2)
        }
    }

    fn around(&self, place: &Place<'_>) -> Around {
        let mut around = Around::Plain;
        for (depth, sequence) in place.sequences.iter().enumerate() {
            let Some(row) = self.row(*sequence) else {
                continue;
            };
            let place = Place {
                sequences: &place.sequences[..depth],
                tag: *sequence,
                vr: Vr::SQ,
                ..*place
            };
            match self.decide(row, &place) {
                Action::Dummy => return Around::MadeUp,
                Action::Clean => around = Around::Cleaned,
                _ => {}
            }
        }
        around
    }

    /// The action within a sequence that is made up, for what has no row: enumerated values and references are its shape.
    fn made_up(&self, place: &Place<'_>) -> Action {
        match dictionary_vr(place.tag) {
            Vr::UN => Action::Remove,
            Vr::UI if names_a_class(place.tag) || self.options.has(Choice::RetainUids) => {
                Action::Keep
            }
            Vr::UI => Action::NewUid,
            Vr::SQ | Vr::CS | Vr::IS | Vr::AT => Action::Keep,
            Vr::SS | Vr::US | Vr::SL | Vr::UL | Vr::SV | Vr::UV => Action::Keep,
            _ => Action::Dummy,
        }
    }

    /// The action within a sequence that is cleaned, for what has no row.
    fn cleaned(&self, place: &Place<'_>) -> Action {
        let vr = dictionary_vr(place.tag);
        match vr {
            Vr::UN => Action::Remove,
            Vr::CS | Vr::DS | Vr::IS => Action::Keep,
            Vr::UI => self.made_up(place),
            _ if is_of_a_code(place.tag) => Action::Keep,
            _ if vr.is_text() || vr.unit() == Some(1) => Action::Dummy,
            _ => Action::Keep,
        }
    }
}

const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const TIMEZONE_OFFSET: Tag = Tag(0x0008, 0x0201);

/// Whether the attribute is one of a coded entry (PS3.3 §8.8).
fn is_of_a_code(tag: Tag) -> bool {
    matches!(
        tag,
        Tag(
            0x0008,
            0x0100 | 0x0102 | 0x0103 | 0x0104 | 0x0105 | 0x0119 | 0x0120
        )
    )
}

/// Whether UIDs of the attribute name a SOP class, a transfer syntax or a coding scheme, which is nobody's.
fn names_a_class(tag: Tag) -> bool {
    matches!(
        tag,
        Tag(
            0x0008,
            0x0016 | 0x001A | 0x001B | 0x0062 | 0x010C | 0x010D | 0x0117 | 0x0118 | 0x1150 | 0x115A
        )
    )
}

/// What stays of the value of Specific Character Set (0008,0005): its terms, by their form.
#[must_use]
pub fn character_set_terms(value: &[u8]) -> Vec<u8> {
    let is_term = |term: &&[u8]| {
        let number = [&b"ISO_IR "[..], b"ISO 2022 IR "]
            .iter()
            .find_map(|form| term.strip_prefix(*form));
        let is_number = |number: &[u8]| {
            (1..=3).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
        };
        number.is_some_and(is_number) || matches!(*term, b"GB18030" | b"GBK")
    };
    let terms = value.split(|byte| *byte == b'\\').map(<[u8]>::trim_ascii);
    let known = terms.map(|term| if is_term(&term) { term } else { &[] });
    known.collect::<Vec<_>>().join(&b'\\')
}

/// Whether a UID is one that the standard defines, such as a SOP class, a frame of reference of an atlas or a colour palette:
/// it says nothing of anybody, and others have to find it.
///
/// Those that devices made up under the standard's root, as some do, are longer than any that is defined.
#[must_use]
pub fn is_well_known(uid: &[u8]) -> bool {
    const LONGEST: usize = 32;
    uid.starts_with(b"1.2.840.10008.") && uid.len() <= LONGEST
}

#[cfg(test)]
mod tests;
