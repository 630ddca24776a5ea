//! Values that take the place of others.

use super::{Making, PATIENT_ID, PATIENT_NAME, Place};
use crate::{DataElement, DataSet, Tag, Value, Vr, tags};

const CODING_SCHEME_DESIGNATOR: Tag = Tag(0x0008, 0x0102);
const REASON_FOR_MODIFICATION: Tag = Tag(0x0400, 0x0565);

/// Dates are shifted by up to ten years: further than memory reaches, near enough for what depends on the time.
const MOST_DAYS: u64 = 3650;

/// Whom an instance is about, for what has to be the same in all of one patient's: the Patient ID, or else the name, or else
/// the study.
#[must_use]
pub fn subject(data_set: &DataSet) -> Vec<u8> {
    let value = |tag| match data_set.get(tag).map(|element| &element.value) {
        Some(Value::Bytes(bytes)) => trimmed(bytes),
        _ => &[],
    };
    [PATIENT_ID, PATIENT_NAME, tags::STUDY_INSTANCE_UID]
        .into_iter()
        .map(value)
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_vec()
}

/// A value of the VR that says nothing, or an identity that is a function of key and patient.
pub(super) fn value(place: &Place<'_>, old: &DataElement, making: &Making<'_>) -> DataElement {
    let vr = place.vr;
    if vr == Vr::SQ {
        return DataElement::sequence(place.tag, Vec::new());
    }
    let bytes = match &old.value {
        Value::Bytes(bytes) => bytes.as_slice(),
        _ => &[],
    };
    let value = match place.tag {
        PATIENT_ID => patient_id(bytes, making).into_bytes(),
        PATIENT_NAME => patient_name(making).into_bytes(),
        CODING_SCHEME_DESIGNATOR => b"99ANON".to_vec(), // 99 begins private ones (PS3.3 §8.2)
        REASON_FOR_MODIFICATION => b"COERCE".to_vec(), // PS3.3 §C.12.1.1.9 has no other that would be true
        _ => of_vr(vr, bytes, making),
    };
    DataElement::new(place.tag, vr, value)
}

/// A Patient ID that looks like a UUID, as clients of Orthanc know it.
pub(super) fn patient_id(old: &[u8], making: &Making<'_>) -> String {
    let old = trimmed(old);
    let old = if old.is_empty() { making.subject } else { old };
    let mut bytes = making.key.digest("patient id", old);
    bytes[6] = bytes[6] & 0x0F | 0x40; // RFC 9562: version 4, its variant
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// A name of the patient: the same however it was spelled.
pub(super) fn patient_name(making: &Making<'_>) -> String {
    let digest = making.key.digest("patient name", making.subject);
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    format!("Anonymized{number}")
}

fn of_vr(vr: Vr, old: &[u8], making: &Making<'_>) -> Vec<u8> {
    let text = match vr {
        Vr::AE | Vr::CS => "ANONYMIZED",
        Vr::AS => "000Y",
        Vr::DA => "19000101",
        Vr::DT => "19000101000000",
        Vr::TM => "000000",
        Vr::UR => "http://anonymized.invalid/", // RFC 2606 keeps the name free
        Vr::DS | Vr::IS => return zeros(old),
        Vr::UI => {
            return each(old, |uid| {
                making.key.uid(&String::from_utf8_lossy(uid)).into()
            });
        }
        _ if vr.is_text() => "Anonymized",
        _ => return vec![0; binary_length(vr, old)],
    };
    text.into()
}

/// As many zeros as there are numbers.
fn zeros(old: &[u8]) -> Vec<u8> {
    each(old, |_| b"0".to_vec())
}

/// Numbers stay as many as they are; of bulk data one unit is left, of bytes an even number.
fn binary_length(vr: Vr, old: &[u8]) -> usize {
    match vr.unit() {
        Some(unit) if vr.is_number() => (old.len() / unit * unit).max(unit),
        Some(unit) => unit.max(2),
        None => 2,
    }
}

/// The dates of an element, shifted; a made-up value if one of them is no date. `None` where nobody could tell.
pub(super) fn shifted(
    place: &Place<'_>,
    old: &DataElement,
    making: &Making<'_>,
) -> Option<DataElement> {
    let Value::Bytes(bytes) = &old.value else {
        return None;
    };
    if trimmed(bytes).is_empty() {
        return Some(DataElement::new(place.tag, place.vr, []));
    }
    let days = days(making);
    let mut all = Vec::new();
    for text in bytes.split(|byte| *byte == b'\\') {
        let text = std::str::from_utf8(trimmed(text)).ok();
        let new = text.and_then(|text| match place.vr {
            _ if text.is_empty() => Some(String::new()),
            Vr::TM => is_time(text).then(|| text.to_owned()),
            Vr::DA => shifted_date(text, days),
            _ => shifted_date_time(text, days),
        });
        match new {
            Some(new) => all.push(new),
            None => return Some(value(place, old, making)),
        }
    }
    Some(DataElement::new(place.tag, place.vr, all.join("\\")))
}

/// An AE title for each, the same for the same.
pub(super) fn ae_title(old: &DataElement, making: &Making<'_>) -> DataElement {
    let Value::Bytes(bytes) = &old.value else {
        return DataElement::new(old.tag, Vr::AE, []);
    };
    let title = |title: &[u8]| {
        let digest = making.key.digest("ae title", title);
        let hex: String = digest[..6]
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        format!("AE{hex}").into_bytes()
    };
    DataElement::new(old.tag, Vr::AE, each(bytes, title))
}

/// A time zone, if it is one.
pub(super) fn timezone(old: &DataElement) -> Option<DataElement> {
    let Value::Bytes(bytes) = &old.value else {
        return None;
    };
    let zone = trimmed(bytes);
    is_zone(zone).then(|| DataElement::new(old.tag, Vr::SH, zone))
}

fn is_zone(zone: &[u8]) -> bool {
    zone.len() == 5 && matches!(zone[0], b'+' | b'-') && zone[1..].iter().all(u8::is_ascii_digit)
}

/// The values of `old`, each by its new one; an empty one stays so.
fn each(old: &[u8], new: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let values = old.split(|byte| *byte == b'\\').map(trimmed);
    let new = values.map(|value| {
        if value.is_empty() {
            Vec::new()
        } else {
            new(value)
        }
    });
    new.collect::<Vec<_>>().join(&b'\\')
}

/// Without what stands behind a NUL, and without the spaces around.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes[..end.unwrap_or(bytes.len())].trim_ascii()
}

/// By how many days the dates of the instance go back: from 1 on, so that no date stays.
fn days(making: &Making<'_>) -> i64 {
    let digest = making.key.digest("days", making.subject);
    let [number @ .., _, _, _, _, _, _, _, _] = digest;
    let days = u64::from_be_bytes(number) % MOST_DAYS + 1;
    i64::try_from(days).unwrap_or(1) // it is at most MOST_DAYS
}

/// Whether a text is a TM: `HHMMSS.FFFFFF` or its beginning, or with the colons of ACR-NEMA.
fn is_time(text: &str) -> bool {
    let digits = text.replace(':', "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, "0"));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(whole.len(), 2 | 4 | 6)
        && (1..=6).contains(&fraction.len())
        && all_digits(whole)
        && all_digits(fraction)
}

/// `YYYYMMDD`, or `YYYY.MM.DD` as ACR-NEMA had it, so many days earlier.
fn shifted_date(text: &str, days: i64) -> Option<String> {
    let digits = match text.as_bytes() {
        [_, _, _, _, b'.', _, _, b'.', _, _] => text.replace('.', ""),
        _ => text.to_owned(),
    };
    let (year, month, day) = (
        number(&digits, 0, 4)?,
        number(&digits, 4, 6)?,
        number(&digits, 6, 8)?,
    );
    if digits.len() != 8 {
        return None;
    }
    let (year, month, day) = earlier(year, month, day, days)?;
    Some(format!("{year:04}{month:02}{day:02}"))
}

/// `YYYYMMDDHHMMSS.FFFFFF&ZZXX` or a beginning of it, so many days earlier, as precise as it was.
fn shifted_date_time(text: &str, days: i64) -> Option<String> {
    let at = text.find(['+', '-']).unwrap_or(text.len());
    let (moment, zone) = text.split_at(at);
    if !zone.is_empty() && !is_zone(zone.as_bytes()) {
        return None;
    }
    let (date, time) = moment.split_at_checked(8).unwrap_or((moment, ""));
    if !time.is_empty() && !is_time(time) {
        return None;
    }
    // A month or a year is taken by its middle.
    let month = if date.len() > 4 {
        number(date, 4, 6)?
    } else {
        7
    };
    let day = if date.len() > 6 {
        number(date, 6, 8)?
    } else {
        15
    };
    let (year, month, day) = earlier(number(date, 0, 4)?, month, day, days)?;
    let mut shifted = format!("{year:04}{month:02}{day:02}");
    shifted.truncate(date.len());
    Some(shifted + time + zone)
}

/// The number that stands in some bytes of a text, which are digits.
fn number(text: &str, from: usize, to: usize) -> Option<i64> {
    let digits = text.get(from..to)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok())?
}

/// The day that is so many days earlier in the Gregorian calendar; `None` for what is no day, and before the year 1.
fn earlier(year: i64, month: i64, day: i64, days: i64) -> Option<(i64, i64, i64)> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let moved = day_number(year, month, day) - days;
    // From the number of a day to the day: the year that holds it, then the month.
    let mut year = moved.div_euclid(366) + 1;
    while day_number(year + 1, 1, 1) <= moved {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| day_number(year, *month, 1) <= moved)?;
    (year >= 1).then(|| (year, month, moved - day_number(year, month, 1) + 1))
}

/// Days from the first of January of the year 1.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let months = (1..month)
        .map(|month| days_in_month(year, month))
        .sum::<i64>();
    before * 365 + leap_days + months + day - 1
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CharacterSet;
    use crate::edit::Key;

    fn making<'a>(key: &'a Key, character_set: &'a CharacterSet) -> Making<'a> {
        Making {
            key,
            character_set,
            subject: b"P1",
        }
    }

    fn with_making<T>(work: impl FnOnce(&Making<'_>) -> T) -> T {
        let key = Key::from_hex("00112233445566778899aabbccddeeff").expect("is one");
        work(&making(&key, &CharacterSet::default()))
    }

    fn place(tag: Tag, vr: Vr) -> Place<'static> {
        Place {
            sequences: &[],
            tag,
            vr,
            creator: None,
            sop_class_uid: "",
        }
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (date, days, expected) in [
            ("20240301", 1, "20240229"),
            ("20230301", 1, "20230228"),
            ("20000101", 1, "19991231"),
            ("19000301", 1, "19000228"),
            ("20240229", 366, "20230228"),
            ("20241231", 3650, "20150103"),
            ("2024.03.01", 1, "20240229"),
        ] {
            assert_eq!(
                shifted_date(date, days).as_deref(),
                Some(expected),
                "{date}"
            );
        }
        for text in [
            "20230229",
            "20231301",
            "2023010",
            "202301011",
            "2023010x",
            "00010101",
            "+0230101",
        ] {
            assert_eq!(shifted_date(text, 1), None, "{text}");
        }
    }

    #[test]
    fn moments_are_shifted_as_precisely_as_they_are_given() {
        for (text, expected) in [
            ("20240301101112.25+0100", Some("20240229101112.25+0100")),
            ("2024030110", Some("2024022910")),
            ("202403", Some("202403")),
            ("2024", Some("2024")),
            ("20240301DOE^JOHN", None),
            ("20240301101112.25 JOHN", None),
            ("20240301+01000", None),
            ("x", None),
        ] {
            assert_eq!(shifted_date_time(text, 1).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_made_up_instead() {
        with_making(|making| {
            let at = place(Tag(0x0008, 0x0020), Vr::DA);
            let shift = |text: &str| {
                let old = DataElement::new(at.tag, at.vr, text);
                shifted(&at, &old, making).expect("a date").value
            };
            assert_eq!(shift("DOE^JOHN"), Value::Bytes(b"19000101".to_vec()));
            assert_eq!(shift(""), Value::Bytes(Vec::new()));
            let Value::Bytes(two) = shift("20240301\\20240302") else {
                panic!("bytes");
            };
            assert_eq!(two.len(), 17);
            assert_ne!(&two[..8], b"20240301");
        });
    }

    #[test]
    fn identities_are_functions_of_key_and_patient() {
        with_making(|making| {
            let id = patient_id(b"P1 ", making);
            assert_eq!(id, patient_id(b"P1", making));
            assert_eq!(
                id,
                patient_id(b"", making),
                "the subject has the same Patient ID"
            );
            assert_ne!(id, patient_id(b"P2", making));
            assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
            assert!(patient_name(making).starts_with("Anonymized"));
        });
    }

    #[test]
    fn every_vr_has_a_value_that_says_nothing() {
        with_making(|making| {
            for vr in Vr::ALL {
                let at = place(Tag(0x0008, 0x9999), *vr);
                let old = DataElement::new(at.tag, *vr, "SECRET12\\SECRET12");
                let new = value(&at, &old, making);
                assert_eq!(new.vr, *vr);
                match new.value {
                    Value::Items(items) => assert!(items.is_empty()),
                    Value::Bytes(bytes) => {
                        assert!(!bytes.is_empty(), "{vr:?}");
                        assert!(!bytes.windows(6).any(|part| part == b"SECRET"), "{vr:?}");
                        assert_eq!(bytes.len() % vr.unit().unwrap_or(1), 0, "{vr:?}");
                    }
                    _ => panic!("{vr:?}"),
                }
            }
        });
    }
}
