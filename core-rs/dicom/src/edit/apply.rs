//! The walk that applies a recipe.

use super::private::Creators;
use super::profile::{self, Action, Making, Place};
use super::recipe::{IDENTIFIERS, Identity, Recipe};
use super::rules::{Done, Rule, Rules, within};
use super::value::{Form, NewValue};
use super::{EditError, Scope, originals, text};
use crate::ambiguous::Pixels;
use crate::encode::belongs_into_data_set;
use crate::text::effective_vr;
use crate::{
    Budget, CharacterSet, DataElement, DataSet, DicomError, Level, MAX_DEPTH, Tag, TextSet, Value,
    Vr, tags,
};

/// What was done to a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Attributes that have another value than before, are gone or new; one that holds such ones counts too.
    pub changed: usize,
}

impl Recipe {
    /// Does it to a data set, of which the elements behind the pixel data are a part. UIDs of `scope` follow wherever they
    /// stand.
    ///
    /// Texts are written in the character set of the data set, or item, that they stand in; if that cannot hold them, all
    /// of its texts are written in UTF-8.
    ///
    /// # Errors
    ///
    /// - [`EditError::Value`] if a new value is none of the VR that the data set gives its attribute.
    /// - [`EditError::Dicom`] if sequences are nested deeper than [`MAX_DEPTH`]. The data set is then in an unknown state.
    pub fn apply(&self, data_set: &mut DataSet, scope: &Scope) -> Result<Applied, EditError> {
        let mut walk = Walk {
            recipe: self,
            scope,
            sequences: Vec::new(),
            subject: profile::subject(data_set),
            sop_class_uid: sop_class_uid(data_set),
            changed: 0,
            originals: self.original_attributes.is_some().then(DataSet::new),
        };
        let around = Around::default();
        walk.data_set(data_set, &[&self.rules], &around)?;
        if let Some(profile) = &self.profile {
            let terms = text::own_terms(data_set).unwrap_or_default();
            let character_set = CharacterSet::from_terms(&terms);
            let making = walk.making(&character_set);
            if let Some(making) = making {
                profile.declare(data_set, &making, self.is_exact());
            }
        }
        let changed = walk.changed;
        if let (Some(what), Some(old)) = (&self.original_attributes, walk.originals) {
            originals::tell(data_set, what, old);
        }
        Ok(Applied { changed })
    }
}

/// What an item takes from the data set around it.
#[derive(Clone, Default)]
struct Around {
    terms: String,
    pixels: Pixels,
}

struct Walk<'a> {
    recipe: &'a Recipe,
    scope: &'a Scope,
    /// The sequences around the data set at hand.
    sequences: Vec<Tag>,
    /// Whom the instance is of, and what it is.
    subject: Vec<u8>,
    sop_class_uid: String,
    changed: usize,
    /// What attributes of the outermost data set were.
    originals: Option<DataSet>,
}

impl Walk<'_> {
    fn data_set(
        &mut self,
        data_set: &mut DataSet,
        active: &[&Rules],
        around: &Around,
    ) -> Result<(), EditError> {
        if self.sequences.len() > MAX_DEPTH {
            return Err(EditError::Dicom(DicomError::Budget {
                budget: Budget::Depth,
                offset: 0,
            }));
        }
        let mut here = self.here(data_set, active, around);
        self.prepare_texts(data_set, active, &mut here)?;
        let mut creators = Creators::of(data_set, self.recipe.private_creator.as_deref());
        let old = std::mem::take(data_set);
        let mut new = Vec::with_capacity(old.elements().len() + 4);
        let mut met: Vec<*const Rule> = Vec::new();
        for element in old {
            // Group lengths are retired, and wrong once anything has another length; elements of groups that no data set
            // has (PS3.10 §7.1) would be taken for File Meta Information or for the end of an item.
            if element.tag.is_group_length() || !belongs_into_data_set(element.tag) {
                continue;
            }
            let rules = creators.rules(active, element.tag);
            met.extend(rules.iter().map(|rule| std::ptr::from_ref(*rule)));
            if let Some(element) = self.element(element, &rules, &creators, &here)? {
                new.push(element);
            }
        }
        for rule in active.iter().flat_map(|rules| rules.iter()) {
            if let Some(Done::Replaced(value)) = &rule.done
                && !met.contains(&std::ptr::from_ref(rule))
                && let Some(element) = self.absent(rule.tag, value, &mut creators, &here)?
            {
                new.push(element);
            }
        }
        creators.keep_those_of(&mut new, self.recipe.removes_private());
        *data_set = new.into_iter().collect();
        Ok(())
    }

    /// What the data set at hand says for all in it.
    fn here(&self, data_set: &DataSet, active: &[&Rules], around: &Around) -> Around {
        let mut here = around.clone();
        if let Some(terms) = text::own_terms(data_set) {
            here.terms = terms;
        }
        for element in data_set.elements() {
            if let Value::Bytes(value) = &element.value {
                here.pixels.note(element.tag, value);
            }
        }
        // What they will be, if they are replaced.
        for tag in [tags::BITS_ALLOCATED, tags::PIXEL_REPRESENTATION] {
            if let Some(Done::Replaced(value)) = done(&rules_of(active, tag))
                && let Some(element) = value.element(tag, Some(Vr::US), &here.form())
                && let Value::Bytes(value) = &element.value
            {
                here.pixels.note(tag, value);
            }
        }
        here
    }

    /// Brings the texts that are there into the character set that they are to have: the one that is asked for, or UTF-8
    /// if the one that is there cannot hold what is new.
    fn prepare_texts(
        &mut self,
        data_set: &mut DataSet,
        active: &[&Rules],
        here: &mut Around,
    ) -> Result<(), EditError> {
        let asked = match done(&rules_of(active, tags::SPECIFIC_CHARACTER_SET)) {
            Some(Done::Replaced(NewValue::Text(terms))) => Some(terms.as_str()),
            Some(Done::Removed) if text::is_ascii(data_set) => Some(""),
            _ => None,
        };
        let new_texts = new_texts(active);
        let fit = |terms: &str| {
            let form = Form {
                pixels: here.pixels,
                terms,
            };
            let fits = |(tag, value): &(Tag, &NewValue)| value.element(*tag, None, &form).is_some();
            new_texts.iter().all(fits)
        };
        let from = CharacterSet::from_terms(&here.terms);
        match asked {
            Some(terms) if terms != here.terms && fit(terms) => {
                let converted = match TextSet::from_terms(terms) {
                    Some(set) => text::convert(data_set, &from, set, terms),
                    None => text::is_ascii(data_set),
                };
                if converted {
                    data_set.insert(DataElement::new(
                        tags::SPECIFIC_CHARACTER_SET,
                        Vr::CS,
                        terms,
                    ));
                    if terms.is_empty() {
                        data_set.remove(tags::SPECIFIC_CHARACTER_SET);
                    }
                    terms.clone_into(&mut here.terms);
                    self.changed += 1;
                    return Ok(());
                }
            }
            None if fit(&here.terms) => return Ok(()),
            Some(terms) if terms == here.terms && fit(terms) => return Ok(()),
            _ => {}
        }
        let utf_8 = TextSet::UTF_8.term();
        if !fit(utf_8) {
            return Err(self.misfit(&new_texts, here));
        }
        text::convert(data_set, &from, TextSet::UTF_8, utf_8);
        utf_8.clone_into(&mut here.terms);
        self.changed += 1;
        Ok(())
    }

    /// Which of the new values is none, whatever the character set.
    fn misfit(&self, new: &[(Tag, &NewValue)], here: &Around) -> EditError {
        let form = Form {
            pixels: here.pixels,
            terms: TextSet::UTF_8.term(),
        };
        let misfit = new
            .iter()
            .find(|(tag, value)| value.element(*tag, None, &form).is_none());
        EditError::Value {
            tag: misfit.map_or(tags::SPECIFIC_CHARACTER_SET, |(tag, _)| *tag),
            wanted: "a value of its VR",
        }
    }

    /// What becomes of an element that is there.
    fn element(
        &mut self,
        mut element: DataElement,
        rules: &[&Rule],
        creators: &Creators,
        here: &Around,
    ) -> Result<Option<DataElement>, EditError> {
        let tag = element.tag;
        if tag == tags::SPECIFIC_CHARACTER_SET {
            // `prepare_texts` has seen to what it says; but anything may stand there.
            if let (Some(_), Value::Bytes(value)) = (&self.recipe.profile, &mut element.value) {
                *value = profile::character_set_terms(value);
            }
            return Ok(Some(element));
        }
        match done(rules) {
            Some(Done::Kept) => return Ok(Some(element)),
            Some(Done::Removed) => {
                self.note(&element);
                return Ok(None);
            }
            Some(Done::Replaced(value)) => {
                let new = value.element(tag, Some(element.vr), &here.form());
                let new = new.ok_or(EditError::Value {
                    tag,
                    wanted: "a value of its VR",
                })?;
                if new != element {
                    self.note(&element);
                }
                return Ok(Some(new));
            }
            None => {}
        }
        if tag.is_private_creator() {
            return Ok(Some(element)); // it goes with what is in its block
        }
        let holds_something = rules.iter().any(|rule| rule.holds_something());
        if tag.is_private() && self.recipe.remove_private && !holds_something {
            self.note(&element);
            return Ok(None);
        }
        if let Some(new) = self.identity(&element) {
            self.note(&element);
            element.value = Value::Bytes(new.into_bytes());
            return Ok(Some(element));
        }
        let action = self.action(&element, creators, holds_something);
        match (action, &mut element.value) {
            (Action::Remove, _) => {
                self.note(&element);
                Ok(None)
            }
            (Action::Empty, value) => {
                let empty = match value {
                    Value::Items(_) => Value::Items(Vec::new()),
                    _ => Value::Bytes(Vec::new()),
                };
                if !value.is_empty() {
                    self.changed += 1;
                }
                *value = empty;
                Ok(Some(element))
            }
            (_, Value::Items(_)) => {
                self.items(&mut element, rules, here)?;
                Ok(Some(element))
            }
            (Action::Dummy | Action::Clean, _) => Ok(self.made_up(action, element, creators, here)),
            (Action::Keep | Action::NewUid, _) => {
                self.follow(&mut element, action == Action::NewUid);
                let is_asked_for = element.tag.is_private() && self.recipe.keep_private;
                if let (Some(profile), false) = (&self.recipe.profile, is_asked_for) {
                    let DataElement { tag, vr, .. } = element;
                    let place = self.place(tag, vr, creators);
                    if !profile.keep(&place, &mut element.value) {
                        self.changed += 1;
                        return Ok(None);
                    }
                }
                Ok(Some(element))
            }
        }
    }

    fn items(
        &mut self,
        element: &mut DataElement,
        rules: &[&Rule],
        here: &Around,
    ) -> Result<(), EditError> {
        let outermost = self.sequences.is_empty() && self.originals.is_some();
        let before = outermost.then(|| element.clone());
        let changed = self.changed;
        if let Value::Items(items) = &mut element.value {
            self.sequences.push(element.tag);
            for (number, item) in items.iter_mut().enumerate() {
                self.data_set(item, &within(rules, number), here)?;
            }
            self.sequences.pop();
        }
        if self.changed > changed {
            if let (Some(before), Some(originals)) = (before, &mut self.originals) {
                originals.insert(before);
            }
            self.changed += 1;
        }
        Ok(())
    }

    /// What the profile says, of which a sequence that holds what is kept or replaced is not removed.
    fn action(&self, element: &DataElement, creators: &Creators, holds: bool) -> Action {
        let Some(profile) = &self.recipe.profile else {
            return Action::Keep;
        };
        if element.tag.is_private() && self.recipe.keep_private {
            return Action::Keep;
        }
        match profile.action(&self.place(element.tag, element.vr, creators)) {
            Action::Remove | Action::Empty if holds => Action::Clean,
            action => action,
        }
    }

    fn place<'p>(&'p self, tag: Tag, vr: Vr, creators: &'p Creators) -> Place<'p> {
        Place {
            sequences: &self.sequences,
            tag,
            vr: effective_vr(tag, vr),
            creator: creators.of_element(tag),
            sop_class_uid: &self.sop_class_uid,
        }
    }

    fn making<'p>(&'p self, character_set: &'p CharacterSet) -> Option<Making<'p>> {
        self.recipe.key.as_ref().map(|key| Making {
            key,
            character_set,
            subject: &self.subject,
        })
    }

    fn made_up(
        &mut self,
        action: Action,
        element: DataElement,
        creators: &Creators,
        here: &Around,
    ) -> Option<DataElement> {
        let character_set = CharacterSet::from_terms(&here.terms);
        let making = self.making(&character_set);
        let (Some(profile), Some(making)) = (&self.recipe.profile, making) else {
            return Some(element);
        };
        let place = self.place(element.tag, element.vr, creators);
        let made = match action {
            Action::Clean => profile.clean(&place, &element, &making),
            _ => Some(profile.dummy(&place, &element, &making)),
        };
        if made.as_ref() != Some(&element) {
            self.changed += 1;
        }
        made
    }

    /// The new identifier of patient, study, series or instance, if the element is that of the outermost data set.
    fn identity(&self, element: &DataElement) -> Option<String> {
        let level = IDENTIFIERS
            .iter()
            .position(|identifier| *identifier == element.tag && self.sequences.is_empty())?;
        let key = self.recipe.key.as_ref()?;
        let Value::Bytes(old) = &element.value else {
            return None;
        };
        let old = String::from_utf8_lossy(old);
        let old = crate::public_id::strip(&old);
        match (&self.recipe.identities[level], level) {
            (Identity::New, 0) if self.recipe.profile.is_some() => None, // the profile makes one up
            (Identity::New, 0) => {
                let digest = u128::from_be_bytes(key.digest("patient", old.as_bytes()));
                Some(format!("{digest:032x}"))
            }
            (Identity::New, _) => Some(key.uid(old)),
            (Identity::Kept | Identity::Replaced(_), _) => None,
        }
    }

    /// Gives UIDs of the scope what takes their place, and with `all` those of no standard too.
    fn follow(&mut self, element: &mut DataElement, all: bool) {
        let is_uid = effective_vr(element.tag, element.vr) == Vr::UI;
        let identifies = self.sequences.is_empty() && IDENTIFIERS.contains(&element.tag);
        if !is_uid || identifies {
            return; // an identifier that is neither new nor replaced is kept
        }
        let Value::Bytes(value) = &mut element.value else {
            return;
        };
        let text = String::from_utf8_lossy(value);
        let mut is_other = false;
        let uids: Vec<String> = text
            .split('\\')
            .map(crate::public_id::strip)
            .map(|uid| match self.other_uid(uid, all) {
                Some(other) => {
                    is_other |= other != uid;
                    other
                }
                None => uid.to_owned(),
            })
            .collect();
        if is_other {
            let joined = uids.join("\\").into_bytes();
            let old = std::mem::replace(value, joined);
            let old = DataElement::new(element.tag, element.vr, old);
            self.note(&old);
        }
    }

    fn other_uid(&self, uid: &str, all: bool) -> Option<String> {
        if uid.is_empty() {
            return None;
        }
        let key = self.recipe.key.as_ref();
        match self.scope.level_of(uid) {
            Some(Level::Patient) => None,
            Some(level) => match &self.recipe.identities[level as usize] {
                Identity::Kept => None,
                Identity::New => key.map(|key| key.uid(uid)),
                Identity::Replaced(other) => Some(other.clone()),
            },
            None if all && !profile::is_well_known(uid.as_bytes()) => key.map(|key| key.uid(uid)),
            None => None,
        }
    }

    /// A new element where none is.
    fn absent(
        &mut self,
        tag: Tag,
        value: &NewValue,
        creators: &mut Creators,
        here: &Around,
    ) -> Result<Option<DataElement>, EditError> {
        if tag == tags::SPECIFIC_CHARACTER_SET || tag.is_group_length() || tag.0 == 0x0002 {
            return Ok(None);
        }
        let Some(tag) = creators.reserve(tag) else {
            return Err(EditError::Value {
                tag,
                wanted: "in a group that has a block left for its private creator",
            });
        };
        self.changed += 1;
        let element = value.element(tag, None, &here.form());
        element.map(Some).ok_or(EditError::Value {
            tag,
            wanted: "a value of its VR",
        })
    }

    /// Counts a change, and keeps what was there if that is to be told.
    fn note(&mut self, old: &DataElement) {
        self.changed += 1;
        if self.sequences.is_empty()
            && let Some(originals) = &mut self.originals
        {
            originals.insert(old.clone());
        }
    }
}

impl Around {
    fn form(&self) -> Form<'_> {
        Form {
            pixels: self.pixels,
            terms: &self.terms,
        }
    }
}

impl Recipe {
    /// Whether nothing stays that the profile would not leave.
    fn is_exact(&self) -> bool {
        !self.keep_private && !self.rules.keep_something()
    }

    /// Whether private attributes may have gone whose creators are of no use then.
    fn removes_private(&self) -> bool {
        self.remove_private || self.profile.is_some()
    }
}

/// (0008,0016), empty if absent.
fn sop_class_uid(data_set: &DataSet) -> String {
    let element = data_set.get(tags::SOP_CLASS_UID);
    let text = element.and_then(|element| element.text(&CharacterSet::default()));
    text.unwrap_or_default()
}

/// The rules of a standard attribute.
fn rules_of<'a>(active: &[&'a Rules], tag: Tag) -> Vec<&'a Rule> {
    active.iter().filter_map(|rules| rules.get(tag)).collect()
}

/// What is done with an attribute: kept before replaced before removed, and as the first rule says before the others.
fn done<'a>(rules: &[&'a Rule]) -> Option<&'a Done> {
    let said = || rules.iter().filter_map(|rule| rule.done.as_ref());
    said()
        .find(|done| **done == Done::Kept)
        .or_else(|| said().find(|done| matches!(done, Done::Replaced(_))))
        .or_else(|| said().next())
}

/// The values that are new in one data set.
fn new_texts<'a>(active: &[&'a Rules]) -> Vec<(Tag, &'a NewValue)> {
    let replaced = |rule: &'a Rule| match &rule.done {
        Some(Done::Replaced(value)) => Some((rule.tag, value)),
        _ => None,
    };
    let rules = active.iter().flat_map(|rules| rules.iter());
    rules.filter_map(replaced).collect()
}
