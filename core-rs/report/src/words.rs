//! Values as people write them: names, dates, times, codes, measurements.

use vna_dicom::Tag;

use crate::attributes::Attributes;

const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
const CODING_SCHEME_DESIGNATOR: Tag = Tag(0x0008, 0x0102);
const CODE_MEANING: Tag = Tag(0x0008, 0x0104);
const LONG_CODE_VALUE: Tag = Tag(0x0008, 0x0119);
const URN_CODE_VALUE: Tag = Tag(0x0008, 0x0120);
const UNITS: Tag = Tag(0x0040, 0x08EA);
const MEASURED_VALUE_SEQUENCE: Tag = Tag(0x0040, 0xA300);
const NUMERIC_VALUE_QUALIFIER: Tag = Tag(0x0040, 0xA301);
const NUMERIC_VALUE: Tag = Tag(0x0040, 0xA30A);

/// A coded entry (PS3.3 §8): what it means, and what it is called by programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Code {
    pub meaning: String,
    pub value: String,
    pub scheme: String,
}

impl Code {
    /// The first item of a sequence.
    pub fn read(of: &Attributes<'_>, sequence: Tag) -> Option<Code> {
        let item = of.item(sequence)?;
        let values = [CODE_VALUE, LONG_CODE_VALUE, URN_CODE_VALUE];
        let value = values
            .iter()
            .map(|tag| item.text(*tag))
            .find(|it| !it.is_empty());
        let code = Code {
            meaning: item.text(CODE_MEANING),
            value: value.unwrap_or_default(),
            scheme: item.text(CODING_SCHEME_DESIGNATOR),
        };
        (code != Code::default()).then_some(code)
    }

    /// What people read.
    pub fn shown(&self) -> String {
        match self.meaning.is_empty() {
            true => self.told(),
            false => self.meaning.clone(),
        }
    }

    /// What programs read.
    pub fn told(&self) -> String {
        match self.scheme.is_empty() {
            true => self.value.clone(),
            false => format!("{}, {}", self.value, self.scheme),
        }
    }
}

/// A number with its unit, or why there is none (PS3.3 §C.18.1).
pub(crate) fn measurement(item: &Attributes<'_>) -> String {
    let qualifier = Code::read(item, NUMERIC_VALUE_QUALIFIER).map(|code| code.shown());
    let Some(measured) = item.item(MEASURED_VALUE_SEQUENCE) else {
        return qualifier.unwrap_or_else(|| "no value".to_owned());
    };
    let mut shown = measured.text(NUMERIC_VALUE).replace('\\', ", ");
    let unit = Code::read(&measured, UNITS)
        .map(|code| unit(&code))
        .unwrap_or_default();
    for more in [
        unit,
        qualifier.map(|it| format!("({it})")).unwrap_or_default(),
    ] {
        if !more.is_empty() {
            shown = format!("{shown} {more}");
        }
    }
    shown
}

/// UCUM has most units as they are written; 1 is that there is none, braces are around remarks, and in brackets are those
/// that it had to find letters for, [hnsf'U].
///
/// Of other schemes what looks like a symbol is one, as in reports that are older than UCUM.
fn unit(code: &Code) -> String {
    if code.scheme != "UCUM" {
        return match is_symbol(&code.value) {
            true => code.value.clone(),
            false => code.shown(),
        };
    }
    match code.value.as_str() {
        "1" => String::new(),
        value if value.starts_with('{') && value.ends_with('}') => {
            value[1..value.len() - 1].to_owned()
        }
        value if value.is_empty() || value.contains('[') => code.shown(),
        value => value.to_owned(),
    }
}

fn is_symbol(value: &str) -> bool {
    let begins = value.starts_with(|it: char| it.is_ascii_alphabetic() || it == '%');
    begins && value.len() <= 8 && !value.contains(['-', '_', ' '])
}

/// A person's name (PS3.5 §6.2.1): the family name first, further groups in brackets.
pub(crate) fn name(text: &str) -> String {
    let mut groups = text.split('=').map(|group| {
        let mut parts = group.split('^').map(str::trim);
        let family = parts.next().unwrap_or_default();
        let parts: Vec<_> = parts.collect();
        let part = |at: usize| parts.get(at).copied().unwrap_or_default();
        let given = [part(2), part(0), part(1), part(3)];
        let given: Vec<_> = given.into_iter().filter(|part| !part.is_empty()).collect();
        match (family, given.is_empty()) {
            ("", _) => given.join(" "),
            (_, true) => family.to_owned(),
            (_, false) => format!("{family}, {}", given.join(" ")),
        }
    });
    let first = groups.next().unwrap_or_default();
    let others: Vec<_> = groups.filter(|group| !group.is_empty()).collect();
    match (first.as_str(), others.is_empty()) {
        (_, true) => first,
        ("", false) => others.join("; "),
        _ => format!("{first} ({})", others.join("; ")),
    }
}

/// Several names, one after the other.
pub(crate) fn names(text: &str) -> String {
    let names: Vec<_> = text
        .split('\\')
        .map(name)
        .filter(|it| !it.is_empty())
        .collect();
    names.join("; ")
}

/// A date as ISO 8601 has it; what is none stays as it is.
pub(crate) fn date(text: &str) -> String {
    match digits(text) {
        Some(it) if it.len() == 8 => format!("{}-{}-{}", &it[..4], &it[4..6], &it[6..]),
        Some(it) if it.len() == 6 => format!("{}-{}", &it[..4], &it[4..]),
        _ => text.to_owned(),
    }
}

/// A time without what is below a second.
pub(crate) fn time(text: &str) -> String {
    let whole = text.split('.').next().unwrap_or_default();
    match digits(whole) {
        Some(it) if it.len() >= 6 => format!("{}:{}:{}", &it[..2], &it[2..4], &it[4..6]),
        Some(it) if it.len() == 4 => format!("{}:{}", &it[..2], &it[2..]),
        _ => text.to_owned(),
    }
}

/// A date and a time, with an offset from UTC if it is said.
pub(crate) fn date_time(text: &str) -> String {
    let at = text.find(['+', '-']).unwrap_or(text.len());
    let (moment, offset) = text.split_at(at);
    let whole = moment.split('.').next().unwrap_or_default();
    let Some(it) = digits(whole) else {
        return text.to_owned();
    };
    if it.len() <= 8 {
        return date(it);
    }
    let shown = format!("{} {}", date(&it[..8]), time(&it[8..]));
    match digits(offset.get(1..).unwrap_or_default()) {
        Some(zone) if zone.len() == 4 => {
            format!("{shown} {}{}:{}", &offset[..1], &zone[..2], &zone[2..])
        }
        _ => shown,
    }
}

fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_family() {
        assert_eq!(name("Doe^Jane^Q^Dr.^PhD"), "Doe, Dr. Jane Q PhD");
        assert_eq!(name("Doe"), "Doe");
        assert_eq!(name("^Jane"), "Jane");
        assert_eq!(
            name("Yamada^Tarou=山田^太郎=やまだ^たろう"),
            "Yamada, Tarou (山田, 太郎; やまだ, たろう)"
        );
        assert_eq!(name("=山田^太郎"), "山田, 太郎");
        assert_eq!(names("A^B\\C"), "A, B; C");
    }

    #[test]
    fn dates_and_times_are_those_of_iso_8601() {
        assert_eq!(date("20240115"), "2024-01-15");
        assert_eq!(date("1.1.2024"), "1.1.2024");
        assert_eq!(time("101530.25"), "10:15:30");
        assert_eq!(time("1015"), "10:15");
        assert_eq!(
            date_time("20240302101010.123456+0100"),
            "2024-03-02 10:10:10 +01:00"
        );
        assert_eq!(date_time("202403021010"), "2024-03-02 10:10");
        assert_eq!(date_time("20240302"), "2024-03-02");
        for odd in ["", "2024", "äöü", "2024030210é", "+", "20240302+é"] {
            let _ = (date(odd), time(odd), date_time(odd));
        }
    }

    #[test]
    fn units_are_as_they_are_written() {
        let of = |value: &str, scheme: &str| {
            unit(&Code {
                meaning: "meaning".to_owned(),
                value: value.to_owned(),
                scheme: scheme.to_owned(),
            })
        };
        assert_eq!(of("mm2", "UCUM"), "mm2");
        assert_eq!(of("1", "UCUM"), "");
        assert_eq!(of("{ratio}", "UCUM"), "ratio");
        assert_eq!(of("[hnsf'U]", "UCUM"), "meaning");
        assert_eq!(of("{", "UCUM"), "{");
        assert_eq!(of("cm", "99LOCAL"), "cm");
        assert_eq!(of("G-A22A", "SRT"), "meaning");
    }
}
