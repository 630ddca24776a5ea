//! What a recipe does with single attributes, as a tree that follows the items of a data set.

use super::value::NewValue;
use super::{EditPath, Items};
use crate::Tag;

/// What is done with one attribute. Of several for one attribute the first in this order counts.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Done {
    /// It stays as it is, with all that is in it.
    Kept,
    /// It gets another value.
    Replaced(NewValue),
    /// It goes.
    Removed,
}

/// The rules of one data set, and through them of those in it.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

/// The rule of one attribute.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rule {
    /// Of private attributes whose creator the recipe knows, the element number without its block.
    place: Tag,
    /// As it was written.
    pub tag: Tag,
    /// What is done with it, if it is not only what is in it.
    pub done: Option<Done>,
    /// What is done within its items.
    pub items: Vec<(Items, Rules)>,
}

impl Done {
    fn rank(&self) -> u8 {
        match self {
            Done::Kept => 0,
            Done::Replaced(_) => 1,
            Done::Removed => 2,
        }
    }
}

/// The tag that an attribute is found by: if its creator is known, whatever block that has.
pub(super) fn place(tag: Tag, creator_is_known: bool) -> Tag {
    if creator_is_known && tag.is_private() && tag.1 >= 0x1000 {
        Tag(tag.0, tag.1 & 0x00FF)
    } else {
        tag
    }
}

impl Rules {
    pub fn add(&mut self, path: &EditPath, done: Done, creator_is_known: bool) {
        let mut rules = self;
        for (tag, items) in &path.sequences {
            let rule = rules.rule(*tag, creator_is_known);
            let at = match rule.items.iter().position(|(there, _)| there == items) {
                Some(at) => at,
                None => {
                    // The one that means a single item goes before the one that means all.
                    let at = rule.items.partition_point(|(there, _)| there < items);
                    rule.items.insert(at, (*items, Rules::default()));
                    at
                }
            };
            rules = &mut rule.items[at].1;
        }
        let rule = rules.rule(path.tag, creator_is_known);
        if rule
            .done
            .as_ref()
            .is_none_or(|there| done.rank() < there.rank())
        {
            rule.done = Some(done);
        }
    }

    fn rule(&mut self, tag: Tag, creator_is_known: bool) -> &mut Rule {
        let place = place(tag, creator_is_known);
        let at = match self.find(place) {
            Ok(at) => at,
            Err(at) => {
                let rule = Rule {
                    place,
                    tag,
                    done: None,
                    items: Vec::new(),
                };
                self.rules.insert(at, rule);
                at
            }
        };
        &mut self.rules[at]
    }

    fn find(&self, place: Tag) -> Result<usize, usize> {
        self.rules.binary_search_by_key(&place, |rule| rule.place)
    }

    /// The rule of the attribute at that [`place`].
    pub fn get(&self, place: Tag) -> Option<&Rule> {
        self.find(place).ok().map(|at| &self.rules[at])
    }

    /// All rules, by ascending place.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether anything here or below is kept.
    pub fn keep_something(&self) -> bool {
        self.rules.iter().any(|rule| {
            let below = || rule.items.iter().any(|(_, rules)| rules.keep_something());
            rule.done == Some(Done::Kept) || below()
        })
    }

    /// Whether anything here or below is kept or replaced, so that what is around it must stay.
    pub fn hold_something(&self) -> bool {
        self.rules.iter().any(|rule| {
            matches!(rule.done, Some(Done::Kept | Done::Replaced(_))) || rule.holds_something()
        })
    }
}

impl Rule {
    /// Whether anything within its items is kept or replaced.
    pub fn holds_something(&self) -> bool {
        self.items.iter().any(|(_, rules)| rules.hold_something())
    }
}

/// The rules that are in force in item `number` of a sequence, those that mean it alone first.
pub(super) fn within<'a>(rules: &[&'a Rule], number: usize) -> Vec<&'a Rules> {
    let mut found: Vec<_> = rules
        .iter()
        .flat_map(|rule| &rule.items)
        .filter(|(items, _)| items.have(number))
        .collect();
    found.sort_by_key(|(items, _)| *items);
    found.into_iter().map(|(_, rules)| rules).collect()
}
