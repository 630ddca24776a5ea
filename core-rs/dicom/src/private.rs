//! Private data elements that the configuration names (PS3.5 §7.8): the dictionary beyond PS3.6.
//!
//! There is one such dictionary a process, as there is one of the standard's. Where none is configured, all that it
//! costs is to see that.

use crate::element::Window;
use crate::{Element, Encoding, Entry, Repeats, Tag, Vr, tag_for_keyword};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Longest private creator that is looked at: LO has 64 characters, some of four bytes.
const MAX_CREATOR_BYTES: u64 = 256;

/// Most blocks that known creators may have reserved around one element. Devices reserve a few in each data set; the
/// bound keeps hostile ones from making each look-up long.
const MAX_BLOCKS: usize = 256;

/// A private data element, as the configuration describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrivateElement<'a> {
    /// Its tag in any block: of the element number only the last two digits count.
    pub tag: Tag,
    /// Its VR.
    pub vr: Vr,
    /// What clients call it.
    pub name: &'a str,
    /// The private creator that reserves its block.
    pub creator: &'a str,
}

/// Why a private dictionary cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrivateDictionaryError {
    /// The element.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for PrivateDictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PrivateDictionaryError { name, problem } = self;
        write!(f, "dictionary.private: {name:?} {problem}")
    }
}

impl std::error::Error for PrivateDictionaryError {}

/// What is configured. Entries are found by place: number of the creator, group, last byte of the element.
#[derive(PartialEq, Eq, Debug)]
struct PrivateDictionary {
    creators: Vec<&'static str>,
    entries: Vec<((usize, u16, u8), Entry)>,
}

static IS_CONFIGURED: AtomicBool = AtomicBool::new(false);
static CONFIGURED: RwLock<Option<&'static PrivateDictionary>> = RwLock::new(None);

fn configured() -> Option<&'static PrivateDictionary> {
    if !IS_CONFIGURED.load(Ordering::Acquire) {
        return None;
    }
    *CONFIGURED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether private elements are configured at all.
pub(crate) fn is_configured() -> bool {
    IS_CONFIGURED.load(Ordering::Acquire)
}

/// Makes these the private elements that all readers of this process know by VR and name, in place of those before.
///
/// A dictionary that differs from the one before stays in memory until the process ends: it is set when a process
/// starts.
///
/// # Errors
///
/// [`PrivateDictionaryError`] if a tag is not private, a VR is none of PS3.5, a name is empty or one of PS3.6, or two
/// elements have one name or one place.
pub fn set_private_dictionary<'a>(
    elements: impl IntoIterator<Item = PrivateElement<'a>>,
) -> Result<(), PrivateDictionaryError> {
    let dictionary = PrivateDictionary::new(elements)?;
    let mut current = CONFIGURED.write().unwrap_or_else(PoisonError::into_inner);
    let is_empty = dictionary.entries.is_empty();
    if is_empty {
        *current = None;
    } else if current.is_none_or(|current| *current != dictionary) {
        *current = Some(Box::leak(Box::new(dictionary)));
    }
    IS_CONFIGURED.store(!is_empty, Ordering::Release);
    Ok(())
}

/// The entry of a private element whose block `creator` has reserved, if it is configured.
#[must_use]
pub fn private_entry(tag: Tag, creator: &str) -> Option<&'static Entry> {
    let dictionary = configured()?;
    dictionary.entry(dictionary.creator(creator.as_bytes())?, tag)
}

/// The element of a configured name: in the block that is configured, or in the first one.
pub(crate) fn private_tag_for_name(name: &str) -> Option<Tag> {
    let mut entries = configured()?.entries.iter();
    let (_, entry) = entries.find(|(_, entry)| entry.keyword == name)?;
    Some(entry.tag)
}

impl PrivateDictionary {
    fn new<'a>(
        elements: impl IntoIterator<Item = PrivateElement<'a>>,
    ) -> Result<Self, PrivateDictionaryError> {
        let mut dictionary = PrivateDictionary {
            creators: Vec::new(),
            entries: Vec::new(),
        };
        for element in elements {
            dictionary.add(element).map_err(|problem| {
                let name = element.name.to_owned();
                PrivateDictionaryError { name, problem }
            })?;
        }
        Ok(dictionary)
    }

    fn add(&mut self, element: PrivateElement<'_>) -> Result<(), &'static str> {
        let PrivateElement { tag, vr, name, .. } = element;
        let creator = element.creator.trim();
        if !tag.is_private() {
            return Err("has a tag of an even group; private groups are odd");
        }
        if !vr.is_known() {
            return Err("has a VR that PS3.5 does not know");
        }
        if name.is_empty() || creator.is_empty() {
            return Err("needs a name and a creator");
        }
        if tag_for_keyword_of_standard(name) {
            return Err("is the name of an element of PS3.6");
        }
        if self.entries.iter().any(|(_, entry)| entry.keyword == name) {
            return Err("is the name of two elements");
        }
        let creator = match self.creator(creator.as_bytes()) {
            Some(known) => known,
            None => {
                self.creators.push(Box::leak(Box::from(creator)));
                self.creators.len() - 1
            }
        };
        let place = (creator, tag.0, low_byte(tag));
        let Err(at) = self
            .entries
            .binary_search_by_key(&place, |(place, _)| *place)
        else {
            return Err("has the tag and creator of another one");
        };
        let block = if tag.1 < 0x1000 {
            0x1000
        } else {
            tag.1 & 0xFF00
        };
        let entry = Entry {
            tag: Tag(tag.0, block | u16::from(low_byte(tag))),
            vr,
            repeats: Repeats::One,
            keyword: Box::leak(Box::from(name)),
        };
        self.entries.insert(at, (place, entry));
        Ok(())
    }

    fn creator(&self, name: &[u8]) -> Option<usize> {
        let name = name.trim_ascii();
        let end = name.iter().rposition(|byte| *byte != 0)? + 1;
        let name = name[..end].trim_ascii();
        self.creators
            .iter()
            .position(|creator| creator.as_bytes() == name)
    }

    fn entry(&self, creator: usize, tag: Tag) -> Option<&Entry> {
        if tag.1 < 0x1000 {
            return None;
        }
        let place = (creator, tag.0, low_byte(tag));
        let at = self
            .entries
            .binary_search_by_key(&place, |(place, _)| *place);
        self.entries.get(at.ok()?).map(|(_, entry)| entry)
    }
}

fn tag_for_keyword_of_standard(name: &str) -> bool {
    tag_for_keyword(name).is_some_and(|tag| !tag.is_private())
}

fn low_byte(tag: Tag) -> u8 {
    tag.1.to_le_bytes()[0]
}

/// The blocks that known creators have reserved in the data sets around a place, during a walk.
#[derive(Debug)]
pub(crate) struct Blocks {
    dictionary: &'static PrivateDictionary,
    reserved: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// How deep the data set is that it counts in.
    level: usize,
    group: u16,
    number: u16,
    creator: usize,
}

/// What the window has to reach before an element is known.
pub(crate) struct Needs(pub u64);

impl Blocks {
    /// To begin a walk with; `None` if no private elements are configured.
    pub fn configured() -> Option<Box<Self>> {
        Some(Box::new(Blocks {
            dictionary: configured()?,
            reserved: Vec::new(),
        }))
    }

    /// Forgets the blocks of data sets that are deeper than `level`.
    pub fn leave(&mut self, level: usize) {
        while self
            .reserved
            .last()
            .is_some_and(|block| block.level > level)
        {
            self.reserved.pop();
        }
    }

    /// Takes note of a private creator, or gives an element that has no VR, or UN, the one that is configured.
    pub fn meet(
        &mut self,
        element: &mut Element,
        level: usize,
        window: Window<'_>,
    ) -> Result<(), Needs> {
        let Some(length) = element.length() else {
            return Ok(()); // UN of undefined length is a sequence anyway
        };
        if element.tag.is_private_creator() {
            if length > MAX_CREATOR_BYTES {
                return Ok(());
            }
            return match window.value(element) {
                Some(name) => {
                    self.reserve(element.tag, level, name);
                    Ok(())
                }
                None if window.complete => Ok(()), // cut off, which the walk tells
                None => Err(Needs(element.value_offset + length)),
            };
        }
        let Some(entry) = self.entry(element, level) else {
            return Ok(());
        };
        if entry.vr == Vr::SQ && length > 0 {
            // What does not begin as a sequence stays what it is: the configuration is not always right.
            match window.from(element.value_offset).get(..4) {
                Some(b"\xFE\xFF\x00\xE0") => {}
                None if !window.complete => return Err(Needs(element.value_offset + 4)),
                _ => return Ok(()),
            }
        }
        element.vr = entry.vr;
        element.encoding = Encoding::ImplicitLittle; // the encoding of UN (PS3.5 §6.2.2)
        Ok(())
    }

    fn reserve(&mut self, tag: Tag, level: usize, name: &[u8]) {
        let (group, number) = (tag.0, tag.1);
        let same =
            |block: &Block| (block.level, block.group, block.number) == (level, group, number);
        self.reserved.retain(|block| !same(block));
        let known = self
            .dictionary
            .creator(name)
            .filter(|_| self.reserved.len() < MAX_BLOCKS);
        if let Some(creator) = known {
            self.reserved.push(Block {
                level,
                group,
                number,
                creator,
            });
        }
    }

    fn entry(&self, element: &Element, level: usize) -> Option<&'static Entry> {
        if element.vr != Vr::UN {
            return None;
        }
        let (group, number) = (element.tag.0, element.tag.1 >> 8);
        let block = self
            .reserved
            .iter()
            .rev()
            .take_while(|block| block.level == level);
        let mut found = block.filter(|block| (block.group, block.number) == (group, number));
        self.dictionary.entry(found.next()?.creator, element.tag)
    }
}
