//! Values one by one, as both models give them.

use crate::{Tag, Vr};
use std::borrow::Cow;

/// A binary number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Tag(Tag),
}

/// The numbers of a value of a binary VR; none of another VR. Bytes beyond the last whole number are left out.
pub(crate) fn numbers(vr: Vr, value: &[u8], big: bool) -> impl Iterator<Item = Number> {
    let unit = vr.unit().filter(|_| vr.is_number());
    let value = if unit.is_some() { value } else { &[] };
    value
        .chunks_exact(unit.unwrap_or(1))
        .map(move |bytes| number(vr, bytes, big))
}

fn number(vr: Vr, bytes: &[u8], big: bool) -> Number {
    let mut word = [0; 8]; // the number, least significant byte first
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    if big {
        word[..bytes.len()].reverse();
    }
    let [a, b, c, d, ..] = word;
    let (half, whole) = ([a, b], [a, b, c, d]);
    match &vr.0 {
        b"US" => Number::Unsigned(u16::from_le_bytes(half).into()),
        b"SS" => Number::Signed(i16::from_le_bytes(half).into()),
        b"UL" => Number::Unsigned(u32::from_le_bytes(whole).into()),
        b"SL" => Number::Signed(i32::from_le_bytes(whole).into()),
        b"UV" => Number::Unsigned(u64::from_le_bytes(word)),
        b"SV" => Number::Signed(i64::from_le_bytes(word)),
        b"FL" => Number::Float(f32::from_le_bytes(whole).into()),
        b"FD" => Number::Float(f64::from_le_bytes(word)),
        // Two numbers of their own; turned as one, they have changed places.
        _ if big => Number::Tag(Tag(u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b]))),
        _ => Number::Tag(Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))),
    }
}

/// A number of a binary VR that is written in decimal; `None` if it is none.
pub(crate) fn parsed(vr: Vr, text: &str) -> Option<Number> {
    let text = text.trim();
    match &vr.0 {
        b"US" | b"UL" | b"UV" => text.parse().ok().map(Number::Unsigned),
        b"SS" | b"SL" | b"SV" => text.parse().ok().map(Number::Signed),
        b"FL" | b"FD" => text.parse().ok().map(Number::Float),
        _ => None,
    }
}

/// The text of a number that is not finite, in the spelling that programs read most widely.
pub(crate) fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Digits of a decimal that every double tells apart.
const EXACT_DIGITS: usize = 15;

/// A DS or IS as a JSON number of the same value, to the last digit and with the digits it has; `None` where that cannot
/// be: PS3.18 §F.2.3 then has a string.
///
/// JSON wants a digit on both sides of the point, no plus sign and no leading zeros, which DS may have.
pub(crate) fn json_number(vr: Vr, text: &str) -> Option<Cow<'_, str>> {
    let parts = Decimal::parse(text)?;
    if vr == Vr::IS && !parts.is_integer() || parts.digits() > EXACT_DIGITS {
        return None;
    }
    // `1E400` is a DS of an allowed form, and no double.
    if !text.parse::<f64>().is_ok_and(f64::is_finite) {
        return None;
    }
    Some(parts.json(text))
}

/// A decimal taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    integer: &'a str,
    /// What is behind the point, which may be nothing.
    fraction: Option<&'a str>,
    exponent: Option<&'a str>,
}

impl<'a> Decimal<'a> {
    /// Reads what PS3.5 §6.2 allows in DS.
    pub fn parse(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (integer, fraction) = match mantissa.split_once('.') {
            Some((integer, fraction)) => (integer, Some(fraction)),
            None => (mantissa, None),
        };
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let has_digits = !integer.is_empty() || fraction.is_some_and(|text| !text.is_empty());
        let exponent_is_one = exponent.is_none_or(|text| {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            !digits.is_empty() && are_digits(digits)
        });
        let whole = has_digits
            && exponent_is_one
            && are_digits(integer)
            && are_digits(fraction.unwrap_or_default());
        whole.then_some(Decimal {
            negative: text.starts_with('-'),
            integer,
            fraction,
            exponent,
        })
    }

    /// Whether it is written without point and exponent.
    pub fn is_integer(&self) -> bool {
        self.fraction.is_none() && self.exponent.is_none()
    }

    /// Its significant digits.
    fn digits(&self) -> usize {
        let fraction = self.fraction.unwrap_or_default();
        let integer = self.integer.trim_start_matches('0');
        if integer.is_empty() {
            fraction.trim_start_matches('0').len()
        } else {
            integer.len() + fraction.len()
        }
    }

    fn json(&self, text: &'a str) -> Cow<'a, str> {
        let integer = match self.integer.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        let fraction = self.fraction.filter(|digits| !digits.is_empty());
        if integer == self.integer && fraction == self.fraction && !text.starts_with('+') {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() + 1);
        out.push_str(if self.negative { "-" } else { "" });
        out.push_str(integer);
        if let Some(fraction) = fraction {
            out.push('.');
            out.push_str(fraction);
        }
        if let Some(exponent) = self.exponent {
            out.push('e');
            out.push_str(exponent);
        }
        Cow::Owned(out)
    }
}

/// Longest DS (PS3.5 §6.2).
const MAX_DS_CHARACTERS: usize = 16;

/// A JSON number as a DS: as it stands if that is short enough, else rounded as little as the 16 characters allow.
pub(crate) fn decimal_string(token: &str) -> Option<Cow<'_, str>> {
    if token.len() <= MAX_DS_CHARACTERS {
        return Some(Cow::Borrowed(token));
    }
    let number: f64 = token
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())?;
    let shortest = [format!("{number}"), format!("{number:e}")];
    let rounded = (0..MAX_DS_CHARACTERS).rev().flat_map(|digits| {
        // The more digits a form can show, the better; a plain one needs no exponent.
        [format!("{number:.digits$}"), format!("{number:.digits$e}")]
    });
    let fits = |text: &String| text.len() <= MAX_DS_CHARACTERS;
    let by_error = |a: &String, b: &String| {
        let error = |text: &str| {
            text.parse()
                .map_or(f64::INFINITY, |n: f64| (n - number).abs())
        };
        error(a).total_cmp(&error(b))
    };
    shortest
        .into_iter()
        .chain(rounded)
        .filter(fits)
        .min_by(by_error)
        .map(Cow::Owned)
}

/// The component groups of a person name: alphabetic, ideographic, phonetic (PS3.5 §6.2.1).
pub(crate) fn groups(name: &str) -> [&str; 3] {
    let mut groups = name.splitn(3, '=');
    [(); 3].map(|()| groups.next().unwrap_or_default())
}

/// The person name of these groups.
pub(crate) fn join_groups(groups: [&str; 3]) -> String {
    groups.join("=").trim_end_matches('=').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_string_is_a_number_where_json_can_have_it() {
        for (text, number) in [
            ("0.10", "0.10"),
            ("-12.5E+3", "-12.5E+3"),
            ("+1", "1"),
            ("007", "7"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1.", "1"),
            ("00.e5", "0e5"),
            ("-0", "-0"),
            ("123456789012345", "123456789012345"),
        ] {
            assert_eq!(json_number(Vr::DS, text).as_deref(), Some(number), "{text}");
        }
        for text in [
            "",
            ".",
            "+",
            "1,5",
            "1e",
            "0x10",
            "1 2",
            "NaN",
            "inf",
            "1E400",
            "1234567890123456",
            "--1",
            "１",
        ] {
            assert_eq!(json_number(Vr::DS, text), None, "{text}");
        }
        assert_eq!(json_number(Vr::IS, "+0012").as_deref(), Some("12"));
        assert_eq!(json_number(Vr::IS, "1.0"), None);
        assert_eq!(json_number(Vr::IS, "1e2"), None);
    }

    #[test]
    fn a_number_of_many_digits_is_rounded_to_what_ds_can_hold() {
        for (token, text) in [
            ("0.30000000000000004", "0.30000000000000"),
            ("-0.30000000000000004", "-0.3000000000000"),
            ("1234567890.12345678", "1234567890.12346"),
            ("0.000000000000000000012", "1.2e-20"),
            ("100000000000000000000", "1e20"),
            ("1e-0000000000000000001", "0.1"),
        ] {
            let found = decimal_string(token).expect("finite");
            assert!(found.len() <= 16, "{found}");
            let (found, text): (f64, f64) = (found.parse().unwrap(), text.parse().unwrap());
            assert!(
                (found - text).abs() <= text.abs() * 1e-12,
                "{token}: {found}"
            );
        }
        assert_eq!(decimal_string("1e40000000000000000"), None);
    }

    proptest! {
        #[test]
        fn a_number_keeps_its_value(text in "[+-]?[0-9]{0,4}(\\.[0-9]{0,5})?([eE][+-]?[0-9]{1,2})?") {
            if let Some(number) = json_number(Vr::DS, &text) {
                serde_json::from_str::<serde_json::Number>(&number).expect("a JSON number");
                // (That library may read the last digit of a double wrongly.)
                let read = |text: &str| text.parse::<f64>().expect("a decimal");
                prop_assert_eq!(read(&number), read(&text));
            } else {
                prop_assert!(!text.bytes().any(|b| b.is_ascii_digit()) || text.parse::<f64>().is_err());
            }
        }
    }

    #[test]
    fn names_have_three_groups_at_most() {
        assert_eq!(groups("A^B=C"), ["A^B", "C", ""]);
        assert_eq!(groups("A=B=C=D"), ["A", "B", "C=D"]);
        for name in ["", "A", "A=B", "=B", "==C", "A==C"] {
            assert_eq!(join_groups(groups(name)), name);
        }
    }

    #[test]
    fn numbers_are_read_in_both_byte_orders() {
        let read = |vr, bytes: &[u8], big| numbers(vr, bytes, big).collect::<Vec<_>>();
        assert_eq!(read(Vr::US, &[1, 2, 3], true), [Number::Unsigned(0x0102)]);
        assert_eq!(read(Vr::SS, &[0xFE, 0xFF], false), [Number::Signed(-2)]);
        let tag = Number::Tag(Tag(0x0018, 0x1063));
        assert_eq!(read(Vr::AT, &[0x18, 0, 0x63, 0x10], false), [tag]);
        assert_eq!(read(Vr::AT, &[0, 0x18, 0x10, 0x63], true), [tag]);
        assert_eq!(
            read(Vr::FL, &1.5f32.to_be_bytes(), true),
            [Number::Float(1.5)]
        );
        assert_eq!(read(Vr::OB, &[1, 2], false), []);
    }
}
