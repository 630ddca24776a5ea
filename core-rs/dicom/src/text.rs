//! From the bytes of a value to text: padding, numbers, several values (PS3.5 §6.2, §6.4).

use crate::charset::CharacterSet;
use crate::syntax::Encoding;
use crate::{Element, Tag, Vr, dictionary_vr};
use std::borrow::Cow;
use std::fmt::Write;

/// The VR to read a value with: as written, unless that says nothing.
pub(crate) fn effective_vr(tag: Tag, written: Vr) -> Vr {
    if written.is_known() && written != Vr::UN {
        written
    } else {
        dictionary_vr(tag)
    }
}

/// The value as UTF-8: padding trimmed, values joined by `\`, binary numbers in decimal.
///
/// `None` for what has no textual form: sequences, unknown and bulk binary VRs.
pub(crate) fn value_text(
    element: &Element,
    value: &[u8],
    charset: &CharacterSet,
) -> Option<String> {
    let vr = effective_vr(element.tag, element.vr);
    if vr.is_text() {
        return Some(text(vr, value, charset).into_owned());
    }
    let mut out = String::new();
    push_numbers(
        &mut out,
        vr,
        value,
        element.encoding == Encoding::ExplicitBig,
    )
    .then_some(out)
}

/// A text value, decoded and trimmed.
pub(crate) fn text<'a>(vr: Vr, value: &'a [u8], charset: &CharacterSet) -> Cow<'a, str> {
    trim(vr, decode(vr, value, charset))
}

/// A text value, decoded and trimmed as a whole: padding inside, between several values, stays.
pub(crate) fn whole_text<'a>(vr: Vr, value: &'a [u8], charset: &CharacterSet) -> Cow<'a, str> {
    let text = decode(vr, value, charset);
    if vr.is_multi_valued_text() {
        trim_ends(text)
    } else {
        trim(vr, text)
    }
}

fn decode<'a>(vr: Vr, value: &'a [u8], charset: &CharacterSet) -> Cow<'a, str> {
    if vr.uses_character_set() {
        charset.decode(value, vr)
    } else {
        String::from_utf8_lossy(value)
    }
}

/// Removes padding: in long texts the trailing, elsewhere that around each value (PS3.5 §6.2).
fn trim(vr: Vr, text: Cow<'_, str>) -> Cow<'_, str> {
    if !vr.is_multi_valued_text() {
        let end = text.trim_end_matches(is_padding).len();
        return cut(text, 0, end);
    }
    if text.contains('\\')
        && text
            .split('\\')
            .any(|value| value.trim_matches(is_padding).len() != value.len())
    {
        let values: Vec<_> = text
            .split('\\')
            .map(|value| value.trim_matches(is_padding))
            .collect();
        return Cow::Owned(values.join("\\"));
    }
    trim_ends(text)
}

fn trim_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    let start = text.len() - text.trim_start_matches(is_padding).len();
    let end = text.trim_end_matches(is_padding).len();
    cut(text, start.min(end), end)
}

fn cut(text: Cow<'_, str>, start: usize, end: usize) -> Cow<'_, str> {
    if start == 0 && end == text.len() {
        return text;
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
        Cow::Owned(text) => Cow::Owned(text[start..end].to_owned()),
    }
}

fn is_padding(c: char) -> bool {
    c == ' ' || c == '\0'
}

/// Appends the numbers of a binary value in decimal, `\` between them; false if the VR holds no numbers.
///
/// Bytes beyond the last whole number are left out.
pub(crate) fn push_numbers(out: &mut String, vr: Vr, value: &[u8], big: bool) -> bool {
    macro_rules! numbers {
        ($type:ty) => {
            for (i, bytes) in value.chunks_exact(size_of::<$type>()).enumerate() {
                let bytes = bytes.try_into().unwrap_or_default();
                let number = if big {
                    <$type>::from_be_bytes(bytes)
                } else {
                    <$type>::from_le_bytes(bytes)
                };
                let separator = if i == 0 { "" } else { "\\" };
                // Writing to a String does not fail.
                let _ = write!(out, "{separator}{number}");
            }
        };
    }
    macro_rules! floats {
        ($type:ty) => {
            for (i, bytes) in value.chunks_exact(size_of::<$type>()).enumerate() {
                let bytes = bytes.try_into().unwrap_or_default();
                let number = if big {
                    <$type>::from_be_bytes(bytes)
                } else {
                    <$type>::from_le_bytes(bytes)
                };
                out.push_str(if i == 0 { "" } else { "\\" });
                push_float(out, f64::from(number));
            }
        };
    }
    match &vr.0 {
        b"US" => numbers!(u16),
        b"SS" => numbers!(i16),
        b"UL" => numbers!(u32),
        b"SL" => numbers!(i32),
        b"UV" => numbers!(u64),
        b"SV" => numbers!(i64),
        b"FL" => floats!(f32),
        b"FD" => floats!(f64),
        b"AT" => {
            for (i, bytes) in value.chunks_exact(4).enumerate() {
                let half = |at: usize| {
                    let pair = [bytes[at], bytes[at + 1]];
                    if big {
                        u16::from_be_bytes(pair)
                    } else {
                        u16::from_le_bytes(pair)
                    }
                };
                let separator = if i == 0 { "" } else { "\\" };
                let _ = write!(out, "{separator}{:04x},{:04x}", half(0), half(2));
            }
        }
        _ => return false,
    }
    true
}

/// Appends a number with the 17 digits that tell every double apart, trailing zeros left out, with an exponent below
/// 1e-4 and from 1e17 on: the form that clients of other servers know.
fn push_float(out: &mut String, number: f64) {
    if !number.is_finite() {
        // No VR has a text for them; these are what C prints.
        out.push_str(if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        });
        return;
    }
    let scientific = format!("{number:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shorten = |digits: &str| {
        digits
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    };
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        let fixed = format!("{number:.decimals$}");
        out.push_str(&if decimals > 0 { shorten(&fixed) } else { fixed });
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{}e{sign}{:02}", shorten(mantissa), exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(vr: Vr, value: &[u8], big: bool) -> String {
        let mut out = String::new();
        assert!(push_numbers(&mut out, vr, value, big));
        out
    }

    #[test]
    fn numbers_are_decimal_in_both_byte_orders() {
        assert_eq!(numbers(Vr::US, &[0, 2, 1, 0], false), "512\\1");
        assert_eq!(numbers(Vr::US, &[2, 0, 0, 1, 9], true), "512\\1"); // the odd byte is no number
        assert_eq!(numbers(Vr::SS, &[0xFF, 0xFF], false), "-1");
        assert_eq!(
            numbers(Vr::AT, &[0x04, 0x30, 0x0C, 0x00], false),
            "3004,000c"
        );
        assert_eq!(numbers(Vr::SV, &(-5i64).to_be_bytes(), true), "-5");
        assert_eq!(numbers(Vr::UL, &[], false), "");
        assert!(!push_numbers(&mut String::new(), Vr::OB, &[1, 2], false));
    }

    #[test]
    fn floats_have_the_digits_that_other_servers_print() {
        // As printf("%.17g") gives them.
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-718.5, "-718.5"),
            (0.1, "0.10000000000000001"),
            (862_399_761.111_079, "862399761.11107898"),
            (f64::from(-75.7f32), "-75.699996948242188"),
            (1e17, "1e+17"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (12_345_678_901_234_568.0, "12345678901234568"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.2500000000000001e-05"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(numbers(Vr::FD, &number.to_le_bytes(), false), text);
        }
    }

    #[test]
    fn padding_is_trimmed_around_each_value_but_long_texts_keep_their_beginning() {
        let ascii = CharacterSet::default();
        assert_eq!(
            text(Vr::CS, b"ORIGINAL \\PRIMARY ", &ascii),
            "ORIGINAL\\PRIMARY"
        );
        assert_eq!(text(Vr::UI, b"1.2.3\0", &ascii), "1.2.3");
        assert_eq!(text(Vr::LT, b"  indented \\ ", &ascii), "  indented \\");
        assert_eq!(text(Vr::LO, b"   ", &ascii), "");
        assert_eq!(whole_text(Vr::CS, b" A \\B ", &ascii), "A \\B");
        assert_eq!(whole_text(Vr::UT, b"  indented ", &ascii), "  indented");
    }
}
