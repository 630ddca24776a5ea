//! The data dictionary (PS3.6) in a form for one look-up an element, by tag or by keyword.
//!
//! The tables are made at compile time, so they cost no start-up time, no private memory and nothing of who asks first.

use crate::{Tag, Vr};

/// What PS3.6 says of a data element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The element, with 00 for the digits `xx` of a repeating group.
    pub tag: Tag,
    /// Its VR; of two that the standard allows, the one that an implicit VR data set is read with (PS3.5 §A.1).
    pub vr: Vr,
    /// Which further elements share the entry.
    pub repeats: Repeats,
    /// Its keyword.
    pub keyword: &'static str,
}

/// Which elements one entry of PS3.6 describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeats {
    /// One.
    One,
    /// That element of every even group `ggxx`, such as overlays in 6000-60FE (PS3.5 §7.6).
    Groups,
    /// All elements `eexx` of that group.
    Elements,
}

/// The keyword of a standard data element, such as `PatientName`; `None` for private and unknown ones. What a private
/// one is called depends on its creator: see [`crate::private_entry`].
#[must_use]
pub fn keyword(tag: Tag) -> Option<&'static str> {
    entry(tag).map(|entry| entry.keyword)
}

/// The element of a keyword, or of a name that [`crate::set_private_dictionary`] has given a private one; the inverse of
/// [`keyword`] but for these, and for repeating groups, which give their first.
#[must_use]
pub fn tag_for_keyword(keyword: &str) -> Option<Tag> {
    standard_tag(keyword).or_else(|| crate::private::private_tag_for_name(keyword))
}

const fn standard_tag(keyword: &str) -> Option<Tag> {
    let mut at = keyword_slot(keyword);
    while BY_KEYWORD[at] != EMPTY {
        let entry = &ENTRIES[BY_KEYWORD[at] as usize];
        if is_same(entry.keyword.as_bytes(), keyword.as_bytes()) {
            return Some(entry.tag);
        }
        at = (at + 1) % SLOTS;
    }
    None
}

/// As `==`, which is not for tables that are made at compile time.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// The VR of a standard data element; `UN` for unknown ones, `LO` for private creators, `UL` for group lengths.
#[must_use]
pub fn dictionary_vr(tag: Tag) -> Vr {
    match entry(tag) {
        Some(entry) => entry.vr,
        None if tag.is_group_length() => Vr::UL,
        None if tag.is_private_creator() => Vr::LO,
        None => Vr::UN,
    }
}

/// The entry of a standard data element, repeating groups included.
#[must_use]
pub fn entry(tag: Tag) -> Option<&'static Entry> {
    if tag.is_private() {
        return None;
    }
    exact(tag)
        .or_else(|| {
            exact(Tag(tag.0 & 0xFF00, tag.1)).filter(|entry| entry.repeats == Repeats::Groups)
        })
        .or_else(|| {
            exact(Tag(tag.0, tag.1 & 0xFF00)).filter(|entry| entry.repeats == Repeats::Elements)
        })
}

fn exact(tag: Tag) -> Option<&'static Entry> {
    let mut at = slot(tag);
    loop {
        let entry = ENTRIES.get(usize::from(BY_TAG[at]))?; // an empty slot is past the end
        if entry.tag == tag {
            return Some(entry);
        }
        at = (at + 1) % SLOTS;
    }
}

// Open addressing at a third of its capacity: one multiplication and, nearly always, one probe.
const SLOTS: usize = 1 << 14;
const EMPTY: u16 = u16::MAX;
static BY_TAG: [u16; SLOTS] = by_tag();
static BY_KEYWORD: [u16; SLOTS] = by_keyword();

const fn slot(tag: Tag) -> usize {
    // Fibonacci hashing: the upper bits are the well mixed ones.
    (tag.to_u32().wrapping_mul(0x9E37_79B1) >> 18) as usize
}

/// Where the search for a keyword begins: by FNV-1a, mixed once more.
const fn keyword_slot(keyword: &str) -> usize {
    let keyword = keyword.as_bytes();
    let (mut hash, mut at) = (0x811C_9DC5_u32, 0);
    while at < keyword.len() {
        hash = (hash ^ keyword[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash.wrapping_mul(0x9E37_79B1) >> 18) as usize
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the table has fewer than 65535 entries, asserted"
)]
const fn by_tag() -> [u16; SLOTS] {
    assert!(ENTRIES.len() < SLOTS / 2);
    let mut slots = [EMPTY; SLOTS];
    let mut i = 0;
    while i < ENTRIES.len() {
        let mut at = slot(ENTRIES[i].tag);
        while slots[at] != EMPTY {
            at = (at + 1) % SLOTS;
        }
        slots[at] = i as u16;
        i += 1;
    }
    slots
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the table has fewer than 65535 entries, asserted above"
)]
const fn by_keyword() -> [u16; SLOTS] {
    let mut slots = [EMPTY; SLOTS];
    let mut i = 0;
    while i < ENTRIES.len() {
        let mut at = keyword_slot(ENTRIES[i].keyword);
        while slots[at] != EMPTY {
            at = (at + 1) % SLOTS;
        }
        slots[at] = i as u16;
        i += 1;
    }
    slots
}

macro_rules! table {
    ($($group:literal $element:literal $vr:ident $repeats:ident $keyword:ident)*) => {
        const COUNT: usize = [$($element as u16),*].len();
        static ENTRIES: [Entry; COUNT] = [$(Entry {
            tag: Tag($group, $element),
            vr: Vr::$vr,
            repeats: Repeats::$repeats,
            keyword: stringify!($keyword),
        }),*];
    };
}

include!("dictionary_table.rs");

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
    use dicom_dictionary_std::StandardDataDictionary;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_agrees_with_the_crate_that_it_is_made_from() {
        let groups: BTreeSet<u16> = ENTRIES.iter().map(|entry| entry.tag.0).collect();
        assert!(ENTRIES.len() > 5000 && groups.len() > 30);
        // Beside every group of the table also members of repeating groups and groups that nobody defined.
        for group in groups
            .into_iter()
            .chain([0x6002, 0x60FE, 0x5010, 0x5002, 0x0006, 0x4FFE])
        {
            for element in 0..=u16::MAX {
                let tag = Tag(group, element);
                let theirs = StandardDataDictionary
                    .by_tag(dicom_core::Tag(group, element))
                    .map(|entry| entry.alias())
                    .filter(|alias| !alias.starts_with("Generic"));
                assert_eq!(keyword(tag), theirs, "{tag}");
            }
        }
    }

    #[test]
    fn keywords_lead_back_to_their_tags() {
        for entry in &ENTRIES {
            let found = tag_for_keyword(entry.keyword).expect("every keyword is found");
            assert_eq!(keyword(found), Some(entry.keyword));
        }
        assert_eq!(tag_for_keyword("PatientName"), Some(Tag(0x0010, 0x0010)));
        assert_eq!(tag_for_keyword("patientname"), None);
        assert_eq!(tag_for_keyword(""), None);
        assert_eq!(tag_for_keyword("PatientNam"), None);
        assert_eq!(tag_for_keyword("PatientNames"), None);
    }

    #[test]
    fn who_asks_first_for_a_keyword_waits_for_no_table() {
        // Found when this is compiled: there is nothing that a first look-up would have to make.
        const FOUND: Option<Tag> = standard_tag("PatientID");
        assert_eq!(FOUND, Some(Tag(0x0010, 0x0020)));
        // Nor is there a long way to any of them.
        let probes = |entry: &Entry| {
            let from = keyword_slot(entry.keyword);
            let is_it = |at: &usize| {
                let found = ENTRIES.get(usize::from(BY_KEYWORD[at % SLOTS]));
                found.is_some_and(|found| found.tag == entry.tag)
            };
            (from..from + SLOTS).position(|at| is_it(&at))
        };
        let longest = ENTRIES.iter().filter_map(probes).max();
        assert!(longest.is_some_and(|longest| longest < 32), "{longest:?}");
    }

    #[test]
    fn elements_outside_the_dictionary_have_a_vr_all_the_same() {
        assert_eq!(dictionary_vr(Tag(0x0009, 0x0010)), Vr::LO);
        assert_eq!(dictionary_vr(Tag(0x0009, 0x1001)), Vr::UN);
        assert_eq!(dictionary_vr(Tag(0x0008, 0x0000)), Vr::UL);
        assert_eq!(dictionary_vr(Tag(0x6002, 0x3000)), Vr::OW);
        assert_eq!(dictionary_vr(Tag(0x0020, 0x31AB)), Vr::CS);
        assert_eq!(dictionary_vr(Tag(0x7FE0, 0x0010)), Vr::OW);
    }
}
