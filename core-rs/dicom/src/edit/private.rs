//! Private attributes and who reserved their blocks (PS3.5 §7.8.1).

use super::rules::{Done, Rule, Rules, place};
use crate::{DataElement, DataSet, Tag, Value, Vr};
use std::collections::BTreeMap;

/// The private creators of one data set.
pub(super) struct Creators<'a> {
    /// By group and block.
    there: BTreeMap<(u16, u16), String>,
    /// Blocks that were reserved for what is new.
    new: Vec<DataElement>,
    /// Whose attributes the recipe means.
    meant: Option<&'a str>,
}

impl<'a> Creators<'a> {
    pub fn of(data_set: &DataSet, meant: Option<&'a str>) -> Self {
        let creators = data_set.elements().iter().filter_map(|element| {
            let Value::Bytes(value) = &element.value else {
                return None;
            };
            let tag = element.tag;
            let name = String::from_utf8_lossy(value);
            let name = name.trim_matches([' ', '\0']).to_owned();
            tag.is_private_creator().then_some(((tag.0, tag.1), name))
        });
        Creators {
            there: creators.collect(),
            new: Vec::new(),
            meant,
        }
    }

    /// Who reserved the block of an element.
    pub fn of_element(&self, tag: Tag) -> Option<&str> {
        let key = (tag.0, tag.1 >> 8);
        let is_in_block = tag.is_private() && tag.1 >= 0x1000;
        self.there
            .get(&key)
            .filter(|_| is_in_block)
            .map(String::as_str)
    }

    /// The rules of an element. If the recipe says whose attributes it means, values of others are not replaced.
    pub fn rules<'r>(&self, active: &[&'r Rules], tag: Tag) -> Vec<&'r Rule> {
        if active.iter().all(|rules| rules.is_empty()) {
            return Vec::new();
        }
        let Some(meant) = self.meant.filter(|_| tag.is_private() && tag.1 >= 0x1000) else {
            return active.iter().filter_map(|rules| rules.get(tag)).collect();
        };
        let is_meant = self.of_element(tag) == Some(meant);
        let fits = |rule: &&Rule| {
            let is_it = rule.tag == tag && !matches!(rule.done, Some(Done::Replaced(_)));
            is_meant || is_it
        };
        let found = active
            .iter()
            .filter_map(|rules| rules.get(place(tag, true)));
        found.filter(fits).collect()
    }

    /// The tag that a new attribute gets; for a private one of a creator that the recipe names, in its block, which is
    /// reserved if there is none. `None` if all of its group are.
    pub fn reserve(&mut self, tag: Tag) -> Option<Tag> {
        let Some(meant) = self.meant.filter(|_| tag.is_private() && tag.1 >= 0x1000) else {
            return Some(tag);
        };
        let wanted = tag.1 >> 8;
        let is_its = |block: u16| {
            self.there
                .get(&(tag.0, block))
                .is_some_and(|name| name == meant)
        };
        let is_free = |block: u16| !self.there.contains_key(&(tag.0, block));
        let blocks = || 0x0010..=0x00FF;
        let of_it = Some(wanted)
            .filter(|block| is_its(*block))
            .or_else(|| blocks().find(|block| is_its(*block)));
        let block = match of_it {
            Some(block) => block,
            None => {
                let block = Some(wanted)
                    .filter(|block| is_free(*block))
                    .or_else(|| blocks().find(|block| is_free(*block)))?;
                self.there.insert((tag.0, block), meant.to_owned());
                let creator = Tag(tag.0, block);
                self.new.push(DataElement::new(creator, Vr::LO, meant));
                block
            }
        };
        Some(Tag(tag.0, block << 8 | tag.1 & 0x00FF))
    }

    /// Adds creators of new blocks, and takes those out whose blocks have become empty.
    pub fn keep_those_of(self, elements: &mut Vec<DataElement>, private_ones_go: bool) {
        elements.extend(self.new);
        if !private_ones_go {
            return;
        }
        let mut used: Vec<(u16, u16)> = elements
            .iter()
            .filter(|element| element.tag.is_private() && element.tag.1 >= 0x1000)
            .map(|element| (element.tag.0, element.tag.1 >> 8))
            .collect();
        used.sort_unstable();
        elements.retain(|element| {
            let tag = element.tag;
            !tag.is_private_creator() || used.binary_search(&(tag.0, tag.1)).is_ok()
        });
    }
}
