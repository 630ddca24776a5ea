//! C-FIND matching of one key against one stored value (PS3.4 §C.2.2.2).

use crate::normal::{date, fold, pn_groups, time_range_us};
use crate::similar::SimilarName;
use crate::{Case, Key};
use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;
use vna_dicom::{Tag, Vr, dictionary_vr, tags as t};

/// What a key asks for, ready to be compared.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Matcher {
    /// Anything, also nothing.
    Universal,
    /// Anything that is there.
    Present,
    /// One of these, exactly (UIDs).
    OneOf(BTreeSet<String>),
    /// One of these patterns for one of the values.
    Text(Texts),
    /// The whole value, for VRs in which `\` is a character, and for identifiers.
    WholeText(Texts),
    /// A person name, as one of these.
    Name {
        names: Vec<NamePattern>,
        case_sensitive: bool,
    },
    /// A person name, as one of these or similar to it.
    SimilarName(Vec<SimilarName>),
    /// A number, or its text.
    Number(Vec<String>),
    /// A span of days, as yyyymmdd.
    Date(Vec<(i64, i64)>),
    /// A span of time, in microseconds of the day.
    Time(Vec<(i64, i64)>),
    /// A span of moments, in microseconds of local time since year 0.
    DateTime(Vec<(i64, i64)>),
}

/// Texts to find; long lists are of texts without wildcards, which are looked up rather than tried one by one.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Texts {
    exact: BTreeSet<String>,
    wild: Vec<Pattern>,
    /// Compared without case and accents.
    folded: bool,
}

impl Texts {
    fn new<'a>(texts: impl Iterator<Item = &'a str>, folded: bool) -> Texts {
        let mut all = Texts {
            exact: BTreeSet::new(),
            wild: Vec::new(),
            folded,
        };
        for text in texts {
            let text = if folded { fold(text) } else { text.to_owned() };
            if text.contains(['*', '?']) {
                all.wild.push(Pattern::new(&text));
            } else {
                all.exact.insert(text);
            }
        }
        all
    }

    fn matches(&self, text: &str) -> bool {
        if self.folded {
            self.has(&fold(text))
        } else {
            self.has(text)
        }
    }

    /// Whether a text that is already in the form of these matches.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.exact.contains(text) || self.wild.iter().any(|pattern| pattern.matches(text))
    }

    /// The texts, if none has a wildcard and they are compared exactly.
    pub(crate) fn exact(&self) -> Option<&BTreeSet<String>> {
        (self.wild.is_empty() && !self.folded).then_some(&self.exact)
    }

    /// Folded texts that match all that these do.
    pub(crate) fn prefilter(&self) -> Texts {
        let patterns = self.wild.iter().map(|pattern| match self.folded {
            true => pattern.clone(),
            false => pattern.folded_loosely(),
        });
        Texts {
            exact: self.exact.iter().map(|text| fold(text)).collect(),
            wild: patterns.collect(),
            folded: true,
        }
    }

    /// Folded texts, from patterns for such.
    pub(crate) fn folded(patterns: Vec<Pattern>) -> Texts {
        let (wild, plain): (Vec<_>, Vec<_>) = patterns.into_iter().partition(Pattern::is_wild);
        Texts {
            exact: plain
                .into_iter()
                .map(|text| text.characters.iter().collect())
                .collect(),
            wild,
            folded: true,
        }
    }

    /// Those without a wildcard, and those with one.
    pub(crate) fn parts(&self) -> (&BTreeSet<String>, &[Pattern]) {
        (&self.exact, &self.wild)
    }
}

/// A person name to find: for each component group asked for, what it must be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct NamePattern {
    /// One: any group of the stored name may match. More: each that is not empty must match its own.
    pub(crate) groups: Vec<Option<Pattern>>,
}

/// A text with wildcards: `*` for any characters, `?` for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    characters: Vec<char>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Pattern {
        Pattern {
            characters: text.chars().collect(),
        }
    }

    fn is_wild(&self) -> bool {
        self.characters.iter().any(|c| matches!(c, '*' | '?'))
    }

    /// The pattern for folded texts.
    pub(crate) fn folded(&self) -> Pattern {
        Pattern::new(&fold(&self.characters.iter().collect::<String>()))
    }

    /// A pattern for folded texts that matches what this one does, and perhaps more: where one character is asked for,
    /// it may be two when it is folded, or none.
    pub(crate) fn folded_loosely(&self) -> Pattern {
        let characters = self.characters.iter();
        let any: String = characters
            .map(|c| if *c == '?' { '*' } else { *c })
            .collect();
        Pattern::new(&fold(&any))
    }

    /// What comes before the first wildcard.
    pub(crate) fn prefix(&self) -> String {
        self.characters
            .iter()
            .take_while(|c| !matches!(c, '*' | '?'))
            .collect()
    }

    /// The texts between wildcards.
    pub(crate) fn pieces(&self) -> Vec<String> {
        self.characters
            .split(|c| matches!(c, '*' | '?'))
            .filter(|piece| !piece.is_empty())
            .map(|piece| piece.iter().collect())
            .collect()
    }

    /// Whether a text is matched whole. Takes at most (length of text) x (length of pattern) steps.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let pattern = &self.characters;
        let mut rest = text.chars();
        let mut at = 0;
        // Where to go on after the last `*`: the pattern behind it, and the text it has not taken yet.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if pattern.get(at) == Some(&'*') {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            match (pattern.get(at), ahead.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if *wanted == '?' || *wanted == found => {
                    rest = ahead;
                    at += 1;
                }
                _ => {
                    let Some((behind, mut from)) = retry else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    at = behind;
                    rest = from.clone();
                    retry = Some((behind, from));
                }
            }
        }
    }
}

/// Tags of one value, in which `\` is no separator: identifiers.
pub(crate) fn is_identifier(tag: Tag) -> bool {
    matches!(tag, t::PATIENT_ID | t::ACCESSION_NUMBER)
}

impl Matcher {
    /// Reads the value of a key; the VR is the dictionary's.
    pub(crate) fn new(tag: Tag, value: &str, case: Case) -> Matcher {
        Matcher::with_vr(tag, dictionary_vr(tag), value, case)
    }

    /// Reads the value of a key for an element of this VR.
    ///
    /// A date or time that is none can match nothing of that kind; the text is then compared as it is, so that
    /// odd stored values can still be found.
    pub(crate) fn with_vr(tag: Tag, vr: Vr, value: &str, case: Case) -> Matcher {
        let value = value.trim_matches(|c: char| c == ' ' || c == '\0');
        if value.is_empty() {
            return Matcher::Universal;
        }
        let parts = || {
            value
                .split('\\')
                .map(str::trim)
                .filter(|part| !part.is_empty())
        };
        if vr == Vr::UI {
            return Matcher::OneOf(parts().map(str::to_owned).collect());
        }
        if parts().any(|part| part.chars().all(|c| c == '*')) {
            return Matcher::Universal;
        }
        let texts = || Texts::new(parts(), case == Case::Ignored);
        match vr {
            Vr::PN if case == Case::Fuzzy => {
                Matcher::SimilarName(parts().map(SimilarName::new).collect())
            }
            Vr::PN => {
                let case_sensitive = case == Case::Exact;
                let names = parts()
                    .map(|part| NamePattern::new(part, case_sensitive))
                    .collect();
                Matcher::Name {
                    names,
                    case_sensitive,
                }
            }
            Vr::DA => match parts()
                .map(|part| span(part, |text| date(text).map(|day| (day, day))))
                .collect()
            {
                Some(spans) => Matcher::Date(spans),
                None => Matcher::Text(texts()),
            },
            Vr::TM => match parts().map(|part| span(part, time_range_us)).collect() {
                Some(spans) => Matcher::Time(spans),
                None => Matcher::Text(texts()),
            },
            Vr::DT => match parts().map(|part| span(part, moment_range)).collect() {
                Some(spans) => Matcher::DateTime(spans),
                None => Matcher::Text(texts()),
            },
            Vr::IS | Vr::DS if !value.contains(['*', '?']) => {
                Matcher::Number(parts().map(str::to_owned).collect())
            }
            // The stored one has become a text of many digits: 0.1 of an FL is 0.10000000149011612.
            _ if vr.is_number() && value.contains(['*', '?']) => Matcher::Text(texts()),
            Vr::FL => Matcher::Number(parts().map(as_single).collect()),
            Vr::FD => Matcher::Number(parts().map(str::to_owned).collect()),
            // Those of 64 bits have more digits than a double.
            vr if vr.is_number() && vr != Vr::AT => {
                Matcher::OneOf(parts().map(as_integer).collect())
            }
            Vr::LT | Vr::ST | Vr::UT | Vr::UR => {
                Matcher::WholeText(Texts::new(std::iter::once(value), case == Case::Ignored))
            }
            _ if is_identifier(tag) => Matcher::WholeText(texts()),
            _ => Matcher::Text(texts()),
        }
    }

    /// How many things are tried one after the other for each value.
    pub(crate) fn tries(&self) -> usize {
        match self {
            Matcher::Universal | Matcher::Present | Matcher::OneOf(_) => 1,
            Matcher::Text(texts) | Matcher::WholeText(texts) => texts.wild.len(),
            Matcher::Name { names, .. } => names.len(),
            Matcher::SimilarName(names) => names.iter().map(SimilarName::tries).sum(),
            Matcher::Number(all) => all.len(),
            Matcher::Date(spans) | Matcher::Time(spans) | Matcher::DateTime(spans) => spans.len(),
        }
    }

    /// Whether a stored value matches; `None`: the attribute is absent.
    pub(crate) fn matches(&self, value: Option<&str>) -> bool {
        if *self == Matcher::Universal {
            return true;
        }
        let Some(value) = value.map(|value| value.trim_matches(|c: char| c == ' ' || c == '\0'))
        else {
            return false;
        };
        let any = |test: &dyn Fn(&str) -> bool| value.split('\\').any(|one| test(one.trim()));
        match self {
            Matcher::Universal | Matcher::Present => true,
            Matcher::OneOf(wanted) => any(&|one| wanted.contains(one)),
            Matcher::Text(texts) => any(&|one| texts.matches(one)),
            Matcher::WholeText(texts) => texts.matches(value),
            Matcher::Name {
                names,
                case_sensitive,
            } => any(&|one| {
                let groups = pn_groups(one, name_form(*case_sensitive));
                names.iter().any(|name| name.matches(&groups))
            }),
            Matcher::SimilarName(names) => any(&|one| {
                let groups = pn_groups(one, fold);
                names.iter().any(|name| name.matches(&groups))
            }),
            Matcher::Number(wanted) => any(&|one| wanted.iter().any(|text| same_number(text, one))),
            Matcher::Date(spans) => any(&|one| date(one).is_some_and(|day| within(spans, day))),
            Matcher::Time(spans) => {
                any(&|one| time_range_us(one).is_some_and(|(first, _)| within(spans, first)))
            }
            Matcher::DateTime(spans) => {
                any(&|one| moment_range(one).is_some_and(|(first, _)| within(spans, first)))
            }
        }
    }
}

/// The form in which names are compared.
pub(crate) fn name_form(case_sensitive: bool) -> fn(&str) -> String {
    if case_sensitive {
        |text| text.nfc().collect()
    } else {
        fold
    }
}

impl NamePattern {
    pub(crate) fn new(text: &str, case_sensitive: bool) -> NamePattern {
        let groups = pn_groups(text, name_form(case_sensitive))
            .iter()
            .map(|group| (!group.is_empty()).then(|| Pattern::new(group)))
            .collect();
        NamePattern { groups }
    }

    pub(crate) fn matches(&self, stored: &[String]) -> bool {
        match self.groups.as_slice() {
            [Some(only)] => stored
                .iter()
                .any(|group| !group.is_empty() && only.matches(group)),
            groups => groups.iter().enumerate().all(|(i, wanted)| match wanted {
                Some(wanted) => wanted.matches(stored.get(i).map_or("", String::as_str)),
                None => true,
            }),
        }
    }
}

fn within(spans: &[(i64, i64)], value: i64) -> bool {
    spans
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&value))
}

/// A number as a value of the VR FL can hold it.
fn as_single(text: &str) -> String {
    match text.parse::<f32>() {
        Ok(number) => format!("{:e}", f64::from(number)),
        Err(_) => text.to_owned(),
    }
}

/// An integer as a stored one is written.
fn as_integer(text: &str) -> String {
    match text.parse::<i128>() {
        Ok(number) => number.to_string(),
        Err(_) => text.to_owned(),
    }
}

fn same_number(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// `first-last`, `first-`, `-last` or one value; each bound is itself a span (`10` is an hour).
fn span(text: &str, read: impl Fn(&str) -> Option<(i64, i64)>) -> Option<(i64, i64)> {
    if let Some(one) = read(text) {
        return Some(one);
    }
    // A zone `-0500` has a minus too: the one that splits the text into two readable parts is meant.
    text.match_indices('-').find_map(|(at, _)| {
        let (first, last) = (text[..at].trim(), text[at + 1..].trim());
        if first.is_empty() && last.is_empty() {
            return None;
        }
        let low = if first.is_empty() {
            Some(i64::MIN)
        } else {
            read(first).map(|(low, _)| low)
        };
        let high = if last.is_empty() {
            Some(i64::MAX)
        } else {
            read(last).map(|(_, high)| high)
        };
        Some((low?, high?))
    })
}

const DAY_US: i64 = 86_400_000_000;

/// The first and last microsecond that a DT value may mean. An offset from UTC, where it is given, is taken off;
/// where it is not, the value counts as it is.
fn moment_range(text: &str) -> Option<(i64, i64)> {
    let text = text.trim();
    let zone_at = text
        .rfind(['+', '-'])
        .filter(|at| *at >= 4 && text.len() == at + 5);
    let (local, shift) = match zone_at {
        Some(at) => {
            let minutes: i64 = text[at + 1..]
                .parse()
                .ok()
                .filter(|zone| (0..=1400).contains(zone))?;
            let minutes = minutes / 100 * 60 + minutes % 100;
            let shift = if text.as_bytes()[at] == b'-' {
                -minutes
            } else {
                minutes
            };
            (&text[..at], shift * 60_000_000)
        }
        None => (text, 0),
    };
    if !local.is_ascii() || local.len() < 4 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = local.get(from..to)?;
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse().ok())
            .flatten()
    };
    let year = number(0, 4)?;
    // Days need not be those of the calendar: only their order matters, and gaps between months do no harm.
    let day = |year: i64, month: i64, day: i64| ((year * 12 + month) * 31 + day) * DAY_US;
    let (first, last) = match local.len() {
        4 => (day(year, 0, 0), day(year + 1, 0, 0) - 1),
        6 => {
            let month = number(4, 6).filter(|month| (1..=12).contains(month))?;
            (day(year, month - 1, 0), day(year, month, 0) - 1)
        }
        _ => {
            date(local.get(..8)?)?;
            let start = day(year, number(4, 6)? - 1, number(6, 8)? - 1);
            if local.len() == 8 {
                (start, start + DAY_US - 1)
            } else {
                let (low, high) = time_range_us(&local[8..])?;
                (start + low, start + high)
            }
        }
    };
    Some((first - shift, last - shift))
}

/// A key that is compared with values of stored headers: `*`, `?`, lists with `\`, ranges with `-`
/// (PS3.4 §C.2.2.2).
///
/// For keys of [`HeaderKeys`](crate::HeaderKeys).
#[derive(Clone, Debug)]
pub struct KeyMatcher {
    key: Key,
    case: Case,
    /// For the VR of the dictionary, and for others as they come.
    matchers: Vec<(Vr, Matcher)>,
}

impl KeyMatcher {
    /// Reads a key.
    #[must_use]
    pub fn new(key: &Key, case: Case) -> KeyMatcher {
        KeyMatcher {
            key: key.clone(),
            case,
            matchers: Vec::new(),
        }
    }

    /// The element.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.key.tag
    }

    /// Whether `value`, stored with this VR, matches. `None` is an absent attribute; only an empty or `*` key matches
    /// that.
    #[must_use]
    pub fn matches(&mut self, vr: Vr, value: Option<&str>) -> bool {
        if let Some((_, matcher)) = self.matchers.iter().find(|(known, _)| *known == vr) {
            return matcher.matches(value);
        }
        let matcher = Matcher::with_vr(self.key.tag, vr, &self.key.value, self.case);
        let matches = matcher.matches(value);
        if self.matchers.len() < MAX_VRS {
            self.matchers.push((vr, matcher));
        }
        matches
    }
}

/// VRs with which one element is stored. There is one; private elements may have been written as UN besides.
const MAX_VRS: usize = 4;

/// Whether a key for an element of this VR matches anything, also nothing (PS3.4 §C.2.2.2.3).
#[must_use]
pub fn is_universal(tag: Tag, vr: Vr, key: &str) -> bool {
    Matcher::with_vr(tag, vr, key, Case::Standard) == Matcher::Universal
}

/// Whether a key for an element of this VR is what such an element can match: a date, a time or a range of them, a
/// number, a UID. Texts are anything.
#[must_use]
pub fn is_well_formed(vr: Vr, key: &str) -> bool {
    let parts = || {
        key.split('\\')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    let is_any = |part: &str| part.chars().all(|c| c == '*');
    match vr {
        Vr::UI => parts().all(|part| {
            let is_uid = |c: char| c.is_ascii_digit() || c == '.';
            is_any(part) || part.len() <= MAX_UID && part.chars().all(is_uid)
        }),
        Vr::DA | Vr::TM | Vr::DT => !matches!(
            Matcher::with_vr(NO_TAG, vr, key, Case::Standard),
            Matcher::Text(_)
        ),
        Vr::IS | Vr::DS => parts().all(|part| part.contains(['*', '?']) || is_number(part)),
        vr if vr.is_number() && vr != Vr::AT => parts().all(|part| is_any(part) || is_number(part)),
        _ => true,
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Longest UID (PS3.5 §9.1).
const MAX_UID: usize = 64;

/// Where only the VR says how a value is compared.
const NO_TAG: Tag = Tag(0, 0);

/// Whether `value`, stored for `tag`, matches a key as C-FIND writes it; the VR is the dictionary's. For one comparison;
/// for many see [`KeyMatcher`].
#[must_use]
pub fn key_matches(tag: Tag, key: &str, value: Option<&str>, case: Case) -> bool {
    Matcher::new(tag, key, case).matches(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: Tag = t::PATIENT_NAME;
    const DESCRIPTION: Tag = t::STUDY_DESCRIPTION;

    fn yes(tag: Tag, key: &str, value: &str) -> bool {
        key_matches(tag, key, Some(value), Case::Standard)
    }

    #[test]
    fn universal_keys_match_even_what_is_absent() {
        for key in ["", " ", "*", "**"] {
            assert!(
                key_matches(DESCRIPTION, key, None, Case::Standard),
                "{key:?}"
            );
        }
        assert!(!key_matches(DESCRIPTION, "?*", None, Case::Standard));
    }

    #[test]
    fn texts_are_compared_exactly_and_with_wildcards() {
        assert!(yes(DESCRIPTION, "Chest CT", "Chest CT "));
        assert!(!yes(DESCRIPTION, "chest ct", "Chest CT"));
        assert!(yes(DESCRIPTION, "Ch*t ?T", "Chest CT"));
        assert!(yes(DESCRIPTION, "*est*", "Chest CT"));
        assert!(!yes(DESCRIPTION, "*est", "Chest CT"));
        assert!(yes(DESCRIPTION, "Abdomen\\Chest*", "Chest CT"));
        assert!(yes(t::OPERATORS_NAME, "Roe*", "Doe^J\\Roe^K"));
        assert!(yes(t::PATIENT_ID, "a?c", "abc"));
        assert!(!yes(t::PATIENT_ID, "ABC", "abc"));
    }

    #[test]
    fn names_ignore_case_and_accents_unless_asked_not_to() {
        assert!(yes(NAME, "muller^hans", "Müller^Hans"));
        assert!(yes(NAME, "MÜLLER*", "Mueller^X=muller^x"));
        assert!(!yes(NAME, "muller", "Müller^Hans"));
        assert!(!key_matches(
            NAME,
            "müller*",
            Some("Müller^Hans"),
            Case::Exact
        ));
        assert!(key_matches(
            NAME,
            "Müller*",
            Some("Müller^Hans"),
            Case::Exact
        ));
        assert!(yes(NAME, "Doe^John^^", "Doe^John"));
        assert!(yes(NAME, "doe ^john", "Doe^ John"));
    }

    #[test]
    fn case_and_accents_can_be_ignored_in_all_texts_but_uids() {
        let ignored =
            |tag, key: &str, value: &str| key_matches(tag, key, Some(value), Case::Ignored);
        assert!(ignored(DESCRIPTION, "CHEST*", "Chest CT"));
        assert!(ignored(DESCRIPTION, "Schädel\\thorax", "SCHADEL"));
        assert!(ignored(t::PATIENT_ID, "abc", "ABC"));
        assert!(ignored(t::MODALITY, "c?", "CT"));
        assert!(!ignored(t::STUDY_INSTANCE_UID, "1.2.A", "1.2.a"));
    }

    #[test]
    fn the_stored_vr_says_how_a_private_element_is_compared() {
        let key = Key {
            tag: Tag(0x0009, 0x1001),
            value: "20040101-20040131".into(),
        };
        let mut matcher = KeyMatcher::new(&key, Case::Standard);
        assert!(matcher.matches(Vr::DA, Some("20040119")));
        assert!(!matcher.matches(Vr::LO, Some("20040119")));
        assert!(!matcher.matches(Vr::DA, None));
        assert!(matcher.matches(Vr::LO, Some("20040101-20040131")));
    }

    #[test]
    fn names_match_by_component_group() {
        let stored = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        for key in [
            "yamada^tarou",
            "山田*",
            "*太郎",
            "やまだ^*",
            "yamada*=山田*",
            "=山田^太郎",
            "==やまだ*",
        ] {
            assert!(yes(NAME, key, stored), "{key}");
        }
        // An empty group asks for nothing, but says which group the others are.
        for key in ["山田*=", "tarou*", "=やまだ*", "yamada*=佐藤*"] {
            assert!(!yes(NAME, key, stored), "{key}");
        }
    }

    #[test]
    fn dates_and_times_are_spans() {
        let date = t::STUDY_DATE;
        assert!(yes(date, "20040119", "2004.01.19"));
        assert!(yes(date, "20040101-20040131", "20040119"));
        assert!(yes(date, "-20040119", "20040119"));
        assert!(yes(date, "20040119-", "20040119"));
        assert!(!yes(date, "20040120-", "20040119"));
        assert!(!yes(date, "20040101-20040131", ""));
        let time = t::STUDY_TIME;
        assert!(yes(time, "0700-0800", "072730.5"));
        assert!(yes(time, "07-07", "075959.999999"));
        assert!(yes(time, "0727", "072730"));
        assert!(!yes(time, "072731-", "072730"));
        let moment = Tag(0x0008, 0x002A);
        assert!(yes(moment, "20040119-20040120", "20040120235959.5"));
        assert!(yes(moment, "200401190700-", "20040119080000+0100"));
        assert!(!yes(moment, "200401190701-", "20040119080000+0100"));
        assert!(yes(
            moment,
            "20040119070000-0500-20040119080000-0500",
            "20040119123000+0000"
        ));
    }

    #[test]
    fn numbers_are_the_same_in_other_words() {
        assert!(yes(t::INSTANCE_NUMBER, "7", "007"));
        assert!(yes(t::INSTANCE_NUMBER, "5\\7", "7"));
        assert!(!yes(t::INSTANCE_NUMBER, "7", "70"));
        assert!(yes(t::INSTANCE_NUMBER, "7*", "70"));
    }

    #[test]
    fn binary_numbers_are_compared_as_what_they_can_hold() {
        let matches = |vr, key, value| {
            let key = Matcher::with_vr(NO_TAG, vr, key, Case::Standard);
            key.matches(Some(value))
        };
        assert!(matches(Vr::FL, "0.1", "0.10000000149011612"));
        assert!(!matches(Vr::FL, "0.1", "0.10000000894069672"));
        assert!(matches(
            Vr::FL,
            "2.063777097632973e+16",
            "20637770976329728"
        ));
        assert!(matches(Vr::FD, "0.3", "0.29999999999999999"));
        assert!(matches(
            Vr::FD,
            "-6.6970733811873864e+16",
            "-66970733811873864"
        ));
        assert!(matches(Vr::US, "0064", "64"));
        assert!(matches(Vr::US, "*6?", "64"));
        assert!(matches(Vr::US, "1\\64", "512\\64"));
        assert!(!matches(Vr::UV, "9007199254740993", "9007199254740992"));
    }

    #[test]
    fn keys_that_nothing_of_their_kind_can_match_are_told_apart() {
        for (vr, key) in [
            (Vr::DA, "20040101-20040131"),
            (Vr::DA, "-2004.01.31"),
            (Vr::DA, "20040101\\20050101"),
            (Vr::DA, "*"),
            (Vr::DA, ""),
            (Vr::TM, "07-0830"),
            (Vr::DT, "2004-20040131101500+0100"),
            (Vr::IS, "1\\2*"),
            (Vr::US, "512"),
            (Vr::UI, "1.2\\1.3"),
            (Vr::UI, "*"),
            (Vr::LO, "anything - *"),
        ] {
            assert!(is_well_formed(vr, key), "{vr} {key}");
        }
        for (vr, key) in [
            (Vr::DA, "yesterday"),
            (Vr::DA, "20041301"),
            (Vr::DA, "2004*"),
            (Vr::DA, "-"),
            (Vr::TM, "2561"),
            (Vr::DT, "99"),
            (Vr::IS, "one"),
            (Vr::DS, "inf"),
            (Vr::US, "0x10"),
            (Vr::UI, "1.2.*"),
            (Vr::UI, "study"),
        ] {
            assert!(!is_well_formed(vr, key), "{vr} {key}");
        }
    }

    #[test]
    fn uids_are_lists_without_wildcards() {
        assert!(yes(t::STUDY_INSTANCE_UID, "1.2\\1.3", "1.3"));
        assert!(!yes(t::STUDY_INSTANCE_UID, "1.*", "1.3"));
    }

    /// The definition, slowly.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                slow(&pattern[1..], text) || (!text.is_empty() && slow(pattern, &text[1..]))
            }
            (Some('?'), Some(_)) => slow(&pattern[1..], &text[1..]),
            (Some(a), Some(b)) if a == b => slow(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_by_their_definition(pattern in "[ab*?ä]{0,8}", text in "[abä]{0,10}") {
            let expected = slow(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), expected);
        }

        #[test]
        fn any_key_and_value_can_be_compared(key in any::<String>(), value in any::<String>(), case in prop_oneof![Just(Case::Standard), Just(Case::Ignored), Just(Case::Exact)]) {
            for tag in [NAME, DESCRIPTION, t::STUDY_DATE, t::STUDY_TIME, Tag(0x0008, 0x002A), t::INSTANCE_NUMBER] {
                let _ = key_matches(tag, &key, Some(&value), case);
            }
        }
    }
}
