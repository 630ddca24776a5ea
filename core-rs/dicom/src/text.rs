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
    let decoded = if vr.uses_character_set() {
        charset.decode(value, vr)
    } else {
        String::from_utf8_lossy(value)
    };
    trim(vr, decoded)
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
    match &vr.0 {
        b"US" => numbers!(u16),
        b"SS" => numbers!(i16),
        b"UL" => numbers!(u32),
        b"SL" => numbers!(i32),
        b"UV" => numbers!(u64),
        b"SV" => numbers!(i64),
        b"FL" => numbers!(f32),
        b"FD" => numbers!(f64),
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
                let _ = write!(out, "{separator}{:04x}{:04x}", half(0), half(2));
            }
        }
        _ => return false,
    }
    true
}
