//! What each result has, and where it comes from.

use vna_dicom::{
    Level, Tag, Vr, attribute_level, dictionary_vr, main_tags, module_tags, tags as t,
};
use vna_index::is_indexed;

use super::RETRIEVE_URL;
use super::attributes::{ALL_OF_INSTANCE, REQUEST_ATTRIBUTES, REQUEST_ITEM, if_known, required};
use super::parameters::{self, WebSearch, universal};
use crate::cfind::{Asks, Column, Place, RequestedKey, Search, is_computed};

/// An attribute of every result.
pub(super) struct Field {
    pub source: Source,
    /// It is there without a value too.
    pub is_required: bool,
}

pub(super) enum Source {
    Column(Column),
    RetrieveUrl,
}

impl Field {
    pub fn tag(&self) -> Tag {
        match &self.source {
            Source::Column(column) => column.tag,
            Source::RetrieveUrl => RETRIEVE_URL,
        }
    }

    pub fn vr(&self) -> Vr {
        match &self.source {
            Source::Column(column) => column.vr,
            Source::RetrieveUrl => Vr::UR,
        }
    }
}

/// The attributes, and what must be fetched for them.
#[derive(Default)]
pub(super) struct Fields {
    /// Sorted by tag.
    pub fields: Vec<Field>,
    /// What the index is asked for.
    pub tags: Vec<Tag>,
    /// What is read of the first instance of each result.
    pub from_headers: Vec<(Tag, Option<String>)>,
}

/// What is asked for of an attribute.
struct Wanted {
    key: RequestedKey,
    is_required: bool,
}

impl Fields {
    pub fn of(asked: &WebSearch, search: &Search) -> Fields {
        let mut found = Fields::default();
        for tag in [
            t::STUDY_INSTANCE_UID,
            t::SERIES_INSTANCE_UID,
            t::SOP_INSTANCE_UID,
        ] {
            if is_indexed(asked.level, tag) {
                found.at(tag);
            }
        }
        for wanted in wanted(asked) {
            found.add(asked.level, wanted);
        }
        for tag in search.compared().collect::<Vec<_>>() {
            found.at(tag);
        }
        let compared = search.compared_in_headers().map(|tag| (tag, None));
        found.from_headers.extend(compared);
        for tag in &asked.empties {
            // Of a sequence the index has no text, whatever is in it.
            if is_indexed(asked.level, *tag) && dictionary_vr(*tag) != Vr::SQ {
                found.at(*tag);
            } else {
                found.from_headers.push((*tag, None));
            }
        }
        found.fields.sort_by_key(Field::tag);
        found
    }

    /// Where the index tells a tag.
    fn at(&mut self, tag: Tag) -> usize {
        let known = self.tags.iter().position(|one| *one == tag);
        known.unwrap_or_else(|| {
            self.tags.push(tag);
            self.tags.len() - 1
        })
    }

    fn add(&mut self, level: Level, wanted: Wanted) {
        let Wanted { key, is_required } = wanted;
        let tag = key.tag;
        let is_plain = key.creator.is_none() && (key.vr.is_text() || key.vr.is_number());
        let source = if tag == RETRIEVE_URL {
            Source::RetrieveUrl
        } else if tag == t::SPECIFIC_CHARACTER_SET {
            // Of the answer: all that is read is told in UTF-8.
            Source::Column(Column::fixed(tag, key.vr, "ISO_IR 192"))
        } else if let (true, Asks::Value(name)) = (tag.is_private_creator(), &key.asks)
            && !name.is_empty()
        {
            // The block is that of the request, wherever it is in the file.
            Source::Column(Column::fixed(tag, key.vr, name.as_str()))
        } else if is_plain && is_indexed(level, tag) {
            let at = self.at(tag);
            Source::Column(Column::of_key(&key, Place::Index(at)))
        } else if is_computed(tag) {
            Source::Column(Column::of_key(&key, Place::Nowhere))
        } else {
            self.from_headers.push((tag, key.creator.clone()));
            Source::Column(Column::of_key(&key, Place::Own))
        };
        self.fields.push(Field {
            source,
            is_required,
        });
    }
}

/// All attributes that results have, each once.
fn wanted(asked: &WebSearch) -> Vec<Wanted> {
    let level = asked.level;
    let mut all: Vec<Wanted> = Vec::new();
    let mut add = |key: RequestedKey, is_required: bool| match all
        .iter_mut()
        .find(|known| known.key.tag == key.tag)
    {
        None => all.push(Wanted { key, is_required }),
        Some(known) => {
            known.is_required |= is_required;
            join(&mut known.key, key);
        }
    };
    // What was asked for goes first: its items are those that match.
    for key in asked.keys.iter().chain(&asked.included) {
        if parameters::is_shown(level, key.tag) {
            if let Some(creator) = creator_of(key) {
                add(creator, false);
            }
            add(key.clone(), true);
        }
    }
    // Of the levels above too where the path names them, which the standard leaves open: clients of Orthanc are used to it.
    let levels = Level::ALL.into_iter().skip(1);
    for at in levels.filter(|at| *at <= level) {
        required(at)
            .iter()
            .for_each(|tag| add(universal(*tag), true));
        for tag in if_known(at) {
            add(default_of(*tag), false);
        }
    }
    add(universal(RETRIEVE_URL), true);
    if asked.include_all {
        for tag in all_of(level) {
            add(universal(tag), false);
        }
    }
    all
}

/// An attribute as an answer has it if nothing else is asked for.
fn default_of(tag: Tag) -> RequestedKey {
    let mut key = universal(tag);
    if tag == REQUEST_ATTRIBUTES {
        key.asks = Asks::Item(REQUEST_ITEM.iter().map(|tag| universal(*tag)).collect());
    }
    key
}

/// The element that says whose a private one is.
fn creator_of(key: &RequestedKey) -> Option<RequestedKey> {
    Some(RequestedKey {
        vr: Vr::LO,
        asks: Asks::Value(key.creator.clone().unwrap_or_default()),
        ..universal(parameters::block(key)?)
    })
}

/// Adds what another key for the same attribute asks for of its items. Whole items have all of it.
fn join(known: &mut RequestedKey, other: RequestedKey) {
    let (Asks::Item(known), Asks::Item(other)) = (&mut known.asks, other.asks) else {
        return;
    };
    if known.is_empty() || other.is_empty() {
        known.clear();
        return;
    }
    for key in other {
        match known.iter_mut().find(|one| one.tag == key.tag) {
            None => known.push(key),
            Some(one) => join(one, key),
        }
    }
    known.sort_by_key(|key| key.tag);
}

/// What `includefield=all` adds at a level: attributes of it and of the levels above.
fn all_of(level: Level) -> impl Iterator<Item = Tag> {
    let levels = Level::ALL.into_iter().filter(move |at| *at <= level);
    let tags = levels.flat_map(|at| main_tags(at).iter().chain(module_tags(at)).copied());
    let tags = tags.filter(move |tag| attribute_level(*tag) <= level);
    let of_instance = ALL_OF_INSTANCE.iter().copied();
    tags.chain(of_instance.filter(move |_| level == Level::Instance))
        .filter(|tag| dictionary_vr(*tag) != Vr::UN && *tag != t::SPECIFIC_CHARACTER_SET)
}
