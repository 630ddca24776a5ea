//! De-identification profiles (PS3.15 E): what becomes of each attribute.
//!
//! The walk over a data set belongs to [`Recipe::apply`](super::Recipe::apply): it asks for the action at each place, goes
//! into the items of sequences that stay, and replaces UIDs. A profile decides, and makes the values that take the place
//! of others.

use super::{EditError, Key};
use crate::{CharacterSet, DataElement, DataSet, Tag, Vr};

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
    /// Who reserved its block, if it is private.
    pub creator: Option<&'a str>,
}

/// What made-up values are made from.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// The secret.
    pub key: &'a Key,
    /// The character set of the data set that the attribute stands in.
    pub character_set: &'a CharacterSet,
}

/// A profile with its options, compiled.
#[derive(Clone, Debug)]
pub struct Profile {}

impl Profile {
    /// The profile of an edition of PS3.15, such as `2023b`, with the options of that name.
    ///
    /// # Errors
    ///
    /// [`EditError::Profile`] if there is no such edition or option.
    pub fn new(version: &str, _options: &[String]) -> Result<Profile, EditError> {
        Err(EditError::Profile {
            problem: format!("no profile of PS3.15 {version:?} is known"),
        })
    }

    /// What is done at a place.
    #[must_use]
    pub fn action(&self, _place: &Place<'_>) -> Action {
        Action::Remove
    }

    /// The element with a made-up value of its VR ([`Action::Dummy`]), or without a value where none can be made up. Not
    /// asked for sequences with items.
    #[must_use]
    pub fn dummy(
        &self,
        _place: &Place<'_>,
        old: &DataElement,
        _making: &Making<'_>,
    ) -> DataElement {
        DataElement::new(old.tag, old.vr, [])
    }

    /// The element with what may stay of its value ([`Action::Clean`]); `None` if nothing may. Not asked for sequences.
    #[must_use]
    pub fn clean(
        &self,
        _place: &Place<'_>,
        _old: &DataElement,
        _making: &Making<'_>,
    ) -> Option<DataElement> {
        None
    }

    /// Says in the outermost data set what was done, after all else: (0012,0062), (0012,0063), (0012,0064), (0028,0303).
    pub fn declare(&self, _data_set: &mut DataSet) {}
}
