//! Reading a search: its path and query (PS3.18 §8.3.4, §10.6.1).

use std::borrow::Cow;

use vna_dicom::{
    Level, Tag, Vr, attribute_level, dictionary_vr, entry, keyword, tag_for_keyword, tags as t,
};
use vna_index::{is_indexed, is_well_formed};

use crate::cfind::{Asks, RequestedKey, Zone};
use crate::find::{FindProblem, Wrong, shown};

/// Keys of a search: each is a column of the statement, of which SQLite takes 2,000.
const MAX_KEYS: usize = 256;

/// Attributes that are to be included. There are some 5,000 in the standard; nobody lists all of them.
const MAX_INCLUDED: usize = 1_000;

/// Sequences around an attribute; those of the standard do not go so deep.
const MAX_DEPTH: usize = 16;

/// What two quotation marks stand for, where empty value matching is asked for (PS3.4 §C.2.2.2.7).
const EMPTY: &str = "\"\"";

/// What a path searches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchTarget {
    /// What is looked for: studies, series or instances.
    pub level: Level,
    /// In which study.
    pub study: Option<String>,
    /// In which series.
    pub series: Option<String>,
}

/// A search, read.
#[derive(Clone, PartialEq, Debug)]
pub struct WebSearch {
    pub(super) level: Level,
    /// Attributes that must match, or are named as if, by tag.
    pub(super) keys: Vec<RequestedKey>,
    /// Attributes that results have besides.
    pub(super) included: Vec<RequestedKey>,
    pub(super) include_all: bool,
    /// Names that are similar match too.
    pub(super) fuzzy: bool,
    /// Attributes that must have no value.
    pub(super) empties: Vec<Tag>,
    /// The time zone of dates and times to match; without, each is in that of the data set.
    pub(super) zone: Option<Zone>,
    pub(super) offset: u64,
    pub(super) limit: Option<u64>,
    /// Path and keys contradict each other: nothing matches.
    pub(super) is_empty: bool,
    /// What is not done as asked.
    pub(super) warnings: Vec<String>,
}

/// The parameters of a query, before their meaning together is known.
#[derive(Default)]
struct Parameters<'q> {
    matches: Vec<(Vec<Tag>, Cow<'q, str>)>,
    included: Vec<Vec<Tag>>,
    include_all: bool,
    fuzzy: bool,
    empty_values: bool,
    offset: u64,
    limit: Option<u64>,
    warnings: Vec<String>,
}

impl WebSearch {
    /// Reads a search; `query` is what stands behind the question mark, as it was sent.
    ///
    /// # Errors
    ///
    /// [`FindProblem`] names the parameter that is wrong.
    pub fn read(target: SearchTarget, query: &str) -> Result<WebSearch, FindProblem> {
        let parameters = Parameters::read(query)?;
        let mut search = WebSearch {
            level: target.level,
            keys: Vec::new(),
            included: Vec::new(),
            include_all: parameters.include_all,
            fuzzy: parameters.fuzzy,
            empties: Vec::new(),
            zone: None,
            offset: parameters.offset,
            limit: parameters.limit,
            is_empty: false,
            warnings: parameters.warnings,
        };
        for (path, value) in &parameters.matches {
            search.add_key(path, value, parameters.empty_values)?;
        }
        for (tag, uid) in [
            (t::STUDY_INSTANCE_UID, target.study),
            (t::SERIES_INSTANCE_UID, target.series),
        ] {
            if let Some(uid) = uid {
                search.lies_in(tag, uid);
            }
        }
        for path in &parameters.included {
            search.include(path);
        }
        search.name_creators();
        search.keys.sort_by_key(|key| key.tag);
        Ok(search)
    }

    /// Whether the index answers it alone, and at once: by keys that it looks up, and a page of bounded length.
    pub(crate) fn is_plain(&self) -> bool {
        let is_exact = |key: &RequestedKey| match &key.asks {
            Asks::Value(value) => {
                let is_looked_up = matches!(
                    key.tag,
                    t::PATIENT_ID
                        | t::ACCESSION_NUMBER
                        | t::STUDY_INSTANCE_UID
                        | t::SERIES_INSTANCE_UID
                        | t::SOP_INSTANCE_UID
                );
                value.is_empty() || is_looked_up && !value.contains(['*', '?'])
            }
            Asks::Item(_) | Asks::Bulk => !key.is_matching(),
        };
        !self.fuzzy && self.empties.is_empty() && self.keys.iter().all(is_exact)
    }

    /// Whether it takes little to answer: what keys look up is few studies and series, but may be many instances, and what
    /// nothing restricts is looked at from its beginning.
    pub(crate) fn is_short(&self, most: u64) -> bool {
        let is_restricted = self.keys.iter().any(RequestedKey::is_matching);
        let limit = self.limit.unwrap_or(u64::MAX);
        match (is_restricted, self.level) {
            (true, Level::Instance) => limit <= most,
            (true, _) => true,
            (false, _) => limit.saturating_add(self.offset) <= most,
        }
    }

    /// Whether no stored file is opened for it.
    pub(crate) fn is_at_hand(&self) -> bool {
        let is_indexed = |key: &RequestedKey| is_indexed(Level::Study, key.tag);
        self.level == Level::Study
            && !self.include_all
            && self.included.iter().chain(&self.keys).all(is_indexed)
    }

    fn add_key(
        &mut self,
        path: &[Tag],
        value: &str,
        empty_values: bool,
    ) -> Result<(), FindProblem> {
        let (Some(first), Some(last)) = (path.first(), path.last()) else {
            return Ok(());
        };
        if *last == t::SPECIFIC_CHARACTER_SET {
            return Ok(()); // never matched (PS3.4 §C.2.2.2)
        }
        if path == [t::TIMEZONE_OFFSET_FROM_UTC] && !value.is_empty() && value != EMPTY {
            self.zone = Some(zone(value)?);
            self.keys.push(universal(*first));
            return Ok(());
        }
        if empty_values && value == EMPTY {
            if path.len() > 1 {
                let text = format!(
                    "{} is to be empty; that can be asked for of attributes outside of sequences",
                    named(path)
                );
                return Err(FindProblem::new(Wrong::Range, text));
            }
            self.empties.push(*first);
            self.keys.push(universal(*first));
            return Ok(());
        }
        let key = self.key(path, value)?;
        match self.keys.iter_mut().find(|known| known.tag == *first) {
            None => self.keys.push(key),
            Some(known) => join(known, key, path)?,
        }
        Ok(())
    }

    /// The key of a value, inside of the sequences of its path.
    fn key(&mut self, path: &[Tag], value: &str) -> Result<RequestedKey, FindProblem> {
        let Some((last, around)) = path.split_last() else {
            return Err(FindProblem::new(Wrong::Request, "an attribute has no name"));
        };
        let mut key = universal(*last);
        key.asks = match key.vr {
            Vr::SQ if value.is_empty() => Asks::Item(Vec::new()),
            Vr::SQ => {
                let text = format!(
                    "{} is a sequence; what is matched is an attribute of its items, as in {}.CodeValue",
                    named(path),
                    named(path)
                );
                return Err(FindProblem::new(Wrong::Range, text));
            }
            vr if vr.is_text() || vr.is_number() || last.is_private() => {
                Asks::Value(value_of(vr, value, path)?)
            }
            _ if value.is_empty() => Asks::Value(String::new()),
            vr => {
                self.warnings.push(format!(
                    "{} has the VR {vr}, which is not matched",
                    named(path)
                ));
                Asks::Bulk
            }
        };
        for sequence in around.iter().rev() {
            key = RequestedKey {
                vr: Vr::SQ,
                asks: Asks::Item(vec![key]),
                ..universal(*sequence)
            };
        }
        Ok(key)
    }

    /// Restricts what is searched to what the path names.
    fn lies_in(&mut self, tag: Tag, uid: String) {
        let Some(known) = self.keys.iter_mut().find(|known| known.tag == tag) else {
            let asks = Asks::Value(uid);
            return self.keys.push(RequestedKey {
                asks,
                ..universal(tag)
            });
        };
        if let Asks::Value(value) = &known.asks {
            let is_in = value.split('\\').any(|one| one.trim() == uid);
            self.is_empty |= known.is_matching() && !is_in;
        }
        known.asks = Asks::Value(uid);
    }

    fn include(&mut self, path: &[Tag]) {
        let Some((last, around)) = path.split_last() else {
            return;
        };
        let mut key = universal(*last);
        for sequence in around.iter().rev() {
            key = RequestedKey {
                vr: Vr::SQ,
                asks: Asks::Item(vec![key]),
                ..universal(*sequence)
            };
        }
        if !is_shown(self.level, key.tag) {
            self.warnings.push(format!(
                "{} is no attribute of {}, and is not included",
                named(path),
                self.level.plural()
            ));
            return;
        }
        self.included.push(key);
    }

    /// Takes private creators among the keys as the names of the blocks of the others.
    fn name_creators(&mut self) {
        let blocks: Vec<Tag> = self
            .keys
            .iter()
            .chain(&self.included)
            .filter_map(block)
            .collect();
        let (creators, keys): (Vec<_>, Vec<_>) = std::mem::take(&mut self.keys)
            .into_iter()
            .partition(|key| key.is_matching() && blocks.contains(&key.tag));
        self.keys = keys;
        let creators: Vec<(Tag, &String)> = creators
            .iter()
            .filter_map(|key| match &key.asks {
                Asks::Value(name) => Some((key.tag, name)),
                Asks::Item(_) | Asks::Bulk => None,
            })
            .collect();
        for key in self.keys.iter_mut().chain(&mut self.included) {
            let named = creators.iter().find(|(tag, _)| block(key) == Some(*tag));
            key.creator = named.map(|(_, name)| (*name).clone());
        }
    }
}

impl<'q> Parameters<'q> {
    fn read(query: &'q str) -> Result<Parameters<'q>, FindProblem> {
        let mut found = Parameters::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            match name.as_ref() {
                "limit" => found.limit = Some(number("limit", &value)?),
                "offset" => found.offset = number("offset", &value)?,
                "fuzzymatching" => found.fuzzy = flag("fuzzymatching", &value)?,
                "emptyvaluematching" => found.empty_values = flag("emptyvaluematching", &value)?,
                // Several values of a key are always alternatives.
                "multiplevaluematching" => drop(flag("multiplevaluematching", &value)?),
                "includefield" => found.include(&value)?,
                // The representation is chosen already.
                "accept" | "charset" => {}
                // Attributes begin with a capital letter or are eight digits; the rest is not of this standard.
                other
                    if other.starts_with(|c: char| {
                        !c.is_ascii_alphanumeric() || c.is_ascii_lowercase()
                    }) && !is_tag(other.split('.').next().unwrap_or_default()) =>
                {
                    let text = format!("There is no parameter {}; it is ignored", shown(other));
                    found.warnings.push(text);
                }
                other => {
                    if found.matches.len() == MAX_KEYS {
                        let text = format!("the query has over {MAX_KEYS} attributes to match");
                        return Err(FindProblem::new(Wrong::Range, text));
                    }
                    found.matches.push((path(other)?, value));
                }
            }
        }
        Ok(found)
    }

    fn include(&mut self, value: &str) -> Result<(), FindProblem> {
        for name in value
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            if name == "all" {
                self.include_all = true;
                continue;
            }
            if self.included.len() == MAX_INCLUDED {
                let text = format!("includefield names over {MAX_INCLUDED} attributes");
                return Err(FindProblem::new(Wrong::Range, text));
            }
            self.included.push(path(name)?);
        }
        Ok(())
    }
}

/// The element that names the creator of a private one (PS3.5 §7.8.1).
pub(super) fn block(key: &RequestedKey) -> Option<Tag> {
    let tag = key.tag;
    (tag.is_private() && tag.1 >= 0x1000).then_some(Tag(tag.0, tag.1 >> 8))
}

/// A key that anything matches.
pub(super) fn universal(tag: Tag) -> RequestedKey {
    let vr = dictionary_vr(tag);
    RequestedKey {
        tag,
        vr,
        creator: None,
        asks: match vr {
            Vr::SQ => Asks::Item(Vec::new()),
            _ => Asks::Value(String::new()),
        },
    }
}

/// Whether results of a level have the attribute: those of lower levels have many values.
pub(super) fn is_shown(level: Level, tag: Tag) -> bool {
    tag.is_private() || attribute_level(tag) <= level || is_indexed(level, tag)
}

/// Adds a key for the same attribute, or for another one of the same item.
fn join(known: &mut RequestedKey, other: RequestedKey, path: &[Tag]) -> Result<(), FindProblem> {
    match (&mut known.asks, other.asks) {
        (Asks::Item(known), Asks::Item(keys)) => {
            for key in keys {
                match known.iter_mut().find(|one| one.tag == key.tag) {
                    None => known.push(key),
                    Some(one) => join(one, key, path)?,
                }
            }
            known.sort_by_key(|key| key.tag);
            Ok(())
        }
        // A list may be repeated rather than written with commas.
        (Asks::Value(known), Asks::Value(value)) if is_list(other.vr) => {
            if known.is_empty() || value.is_empty() {
                known.clear();
            } else {
                known.push('\\');
                known.push_str(&value);
            }
            Ok(())
        }
        _ => {
            let text = format!(
                "{} is there twice; an attribute is matched once",
                named(path)
            );
            Err(FindProblem::new(Wrong::Request, text))
        }
    }
}

/// Whether values are separated by commas too: UIDs (PS3.18 §8.3.4.1), and codes, which have no commas either.
fn is_list(vr: Vr) -> bool {
    matches!(vr, Vr::UI | Vr::CS)
}

/// The value to match, as a C-FIND identifier has it.
fn value_of(vr: Vr, value: &str, path: &[Tag]) -> Result<String, FindProblem> {
    let value = match vr {
        vr if is_list(vr) => value.replace(',', "\\"),
        // A plus sign that was not escaped reads as a space.
        Vr::DT => value.replace(' ', "+"),
        _ => value.to_owned(),
    };
    if is_well_formed(vr, &value) {
        return Ok(value);
    }
    let form = match vr {
        Vr::DA => "a date YYYYMMDD, or a range of two with - between them",
        Vr::TM => "a time HHMMSS, or a range of two with - between them",
        Vr::DT => "a moment YYYYMMDDHHMMSS, or a range of two with - between them",
        Vr::UI => "UIDs, commas between them",
        _ => "numbers",
    };
    // The value itself stays out of the message, which is logged: it may be a patient's.
    let text = format!("{} has the VR {vr}; it takes {form}", named(path));
    Err(FindProblem::new(Wrong::Range, text))
}

/// The time zone that dates and times of the search are in (PS3.18 §8.3.4.1.1).
fn zone(value: &str) -> Result<Zone, FindProblem> {
    // A plus sign that was not escaped reads as a space.
    Zone::new(&value.replace(' ', "+")).ok_or_else(|| {
        let text = format!(
            "TimezoneOffsetFromUTC is {}; it has the form +hhmm or -hhmm",
            shown(value)
        );
        FindProblem::new(Wrong::Range, text)
    })
}

/// The attribute that a parameter names: keywords or tags, from the outermost sequence inwards.
fn path(name: &str) -> Result<Vec<Tag>, FindProblem> {
    let tags: Option<Vec<Tag>> = name.split('.').take(MAX_DEPTH + 1).map(attribute).collect();
    let tags = tags.ok_or_else(|| {
        let text = format!(
            "there is no attribute {}; it takes keywords of PS3.6 or tags of eight digits, periods between those of \
             sequences and what is in them",
            shown(name)
        );
        FindProblem::new(Wrong::Tag, text)
    })?;
    if tags.len() > MAX_DEPTH {
        let text = format!("an attribute lies in over {MAX_DEPTH} sequences");
        return Err(FindProblem::new(Wrong::Range, text));
    }
    let (_, around) = tags
        .split_last()
        .unwrap_or((&t::SPECIFIC_CHARACTER_SET, &[]));
    let is_sequence = |tag: &Tag| dictionary_vr(*tag) == Vr::SQ || tag.is_private();
    if let Some(wrong) = around.iter().find(|tag| !is_sequence(tag)) {
        let text = format!("{} is no sequence: nothing is in it", named(&[*wrong]));
        return Err(FindProblem::new(Wrong::Tag, text));
    }
    Ok(tags)
}

/// The tag of a keyword or of eight hexadecimal digits, if there is such an attribute.
fn attribute(name: &str) -> Option<Tag> {
    if let Some(tag) = tag_for_keyword(name) {
        return may_be_asked(tag).then_some(tag);
    }
    if !is_tag(name) {
        return None;
    }
    let half = |digits: &str| u16::from_str_radix(digits, 16).ok();
    let tag = Tag(half(&name[..4])?, half(&name[4..])?);
    (may_be_asked(tag) && (tag.is_private() || entry(tag).is_some())).then_some(tag)
}

fn is_tag(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether data sets have it: what stands before them, around items, or counts bytes is no attribute.
fn may_be_asked(tag: Tag) -> bool {
    tag.0 >= 0x0008 && tag.0 < 0xFFFE && !tag.is_group_length()
}

fn named(path: &[Tag]) -> String {
    let names = path.iter().map(|tag| match keyword(*tag) {
        Some(keyword) => keyword.to_owned(),
        None => format!("{:08X}", tag.to_u32()),
    });
    names.collect::<Vec<_>>().join(".")
}

fn number(name: &str, value: &str) -> Result<u64, FindProblem> {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| is_plain).ok_or_else(|| {
        let text = format!("{name} is {}; it takes a number from 0 on", shown(value));
        FindProblem::new(Wrong::Range, text)
    })
}

fn flag(name: &str, value: &str) -> Result<bool, FindProblem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            let text = format!("{name} is {}; it takes true or false", shown(other));
            Err(FindProblem::new(Wrong::Range, text))
        }
    }
}

/// A part of a query without its escapes (RFC 3986 §2.1); `+` is a space, as forms have it.
fn decoded(text: &str) -> Result<Cow<'_, str>, FindProblem> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let wrong = || {
        let text = format!(
            "the query has an escape that is none, or no UTF-8, in {}",
            shown(text)
        );
        FindProblem::new(Wrong::Request, text)
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| (*digit as char).to_digit(16));
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high << 4 | low).map_err(|_| wrong())?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> Result<WebSearch, FindProblem> {
        let target = SearchTarget {
            level: Level::Series,
            study: Some("1.2".into()),
            series: None,
        };
        WebSearch::read(target, query)
    }

    fn value(search: &WebSearch, tag: Tag) -> &Asks {
        let found = search.keys.iter().find(|key| key.tag == tag);
        &found.expect("the key").asks
    }

    #[test]
    fn attributes_are_named_by_keyword_tag_and_path() {
        let query = "Modality=CT,MR&00400275.00400009=SPS1&RequestAttributesSequence.RequestedProcedureID=R%2B1";
        let search = read(query).expect("a search");
        assert_eq!(value(&search, t::MODALITY), &Asks::Value("CT\\MR".into()));
        let Asks::Item(keys) = value(&search, Tag(0x0040, 0x0275)) else {
            panic!("an item");
        };
        let values: Vec<_> = keys.iter().map(|key| (key.tag, key.asks.clone())).collect();
        assert_eq!(
            values,
            [
                (Tag(0x0040, 0x0009), Asks::Value("SPS1".into())),
                (Tag(0x0040, 0x1001), Asks::Value("R+1".into())),
            ]
        );
    }

    #[test]
    fn a_private_creator_names_the_block_of_the_others() {
        let search = read("00110010=ACME&00111001=x&includefield=00111002").expect("a search");
        let creators = search.keys.iter().chain(&search.included);
        let creators: Vec<_> = creators
            .filter(|key| key.tag.is_private())
            .map(|key| (key.tag, key.creator.as_deref()))
            .collect();
        assert_eq!(
            creators,
            [
                (Tag(0x0011, 0x1001), Some("ACME")),
                (Tag(0x0011, 0x1002), Some("ACME")),
            ]
        );
    }

    #[test]
    fn a_time_zone_is_that_of_the_search_and_not_matched() {
        for query in ["TimezoneOffsetFromUTC=%2B0200", "00080201=+0200"] {
            let search = read(query).expect("a search");
            assert_eq!(search.zone, Zone::new("+0200"), "{query}");
            assert!(
                search
                    .keys
                    .iter()
                    .all(|key| key.tag == t::STUDY_INSTANCE_UID || !key.is_matching())
            );
        }
        assert!(read("TimezoneOffsetFromUTC=Berlin").is_err());
        assert_eq!(read("TimezoneOffsetFromUTC=").expect("a search").zone, None);
    }

    #[test]
    fn what_lies_elsewhere_is_not_found() {
        assert!(!read("StudyInstanceUID=1.2,1.3").expect("a search").is_empty);
        assert!(!read("StudyInstanceUID=").expect("a search").is_empty);
        assert!(read("StudyInstanceUID=1.3").expect("a search").is_empty);
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in any::<String>()) {
            let _ = read(&query);
        }

        #[test]
        fn any_attribute_is_read_or_refused(
            name in "([0-9A-Fa-f]{7,9}|[A-Z][a-z]{1,5}|PatientName|00400275)([.](00400009|CodeValue|é))?",
            value in "[0-9*?,\\\\%+ a-]{0,12}",
        ) {
            let _ = read(&format!("{name}={value}&includefield={name}"));
        }
    }
}
