//! New values, as a recipe gives them.

use super::EditError;
use super::path::named_tag;
use crate::ambiguous::Pixels;
use crate::encode::belongs_into_data_set;
use crate::{DataElement, Tag, TextSet, Value, Vr, dictionary_vr};
use serde_json::Value as Json;

/// A value that takes the place of what is there.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum NewValue {
    /// In the form that the VR asks for: texts as they are, numbers in decimal, `\` between several.
    Text(String),
    /// The bytes of a `data:` URI.
    Bytes(Vec<u8>),
    /// Items, each with its attributes.
    Items(Vec<Vec<(Tag, NewValue)>>),
}

/// What a new value is written with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form<'a> {
    /// What the data set says of its pixels: some VRs follow from it.
    pub pixels: Pixels,
    /// Specific Character Set (0008,0005) of the data set.
    pub terms: &'a str,
}

impl NewValue {
    /// Reads the new value of an attribute, and sees whether it is one. Nothing, and an empty text, are no value.
    pub fn read(tag: Tag, json: &Json) -> Result<NewValue, EditError> {
        let wrong_type = |wanted| EditError::Type {
            at: crate::keyword(tag).map_or_else(|| tag.to_string(), str::to_owned),
            wanted,
        };
        if !belongs_into_data_set(tag) && tag.0 != 0x0002 {
            return Err(EditError::Path {
                problem: format!("{tag} has no place in a data set"),
            });
        }
        let vr = dictionary_vr(tag);
        match json {
            Json::Null => Ok(NewValue::Text(String::new())),
            Json::String(text) => Self::of_text(tag, vr, text),
            Json::Array(items) if matches!(vr, Vr::SQ | Vr::UN) => {
                let item = |item: &Json| match item {
                    Json::Object(members) => members
                        .iter()
                        .map(|(name, value)| {
                            let tag = named_tag(name)?;
                            Ok((tag, NewValue::read(tag, value)?))
                        })
                        .collect(),
                    _ => Err(wrong_type("a list of items, each an object of attributes")),
                };
                let items = items.iter().map(item).collect::<Result<_, _>>()?;
                Ok(NewValue::Items(items))
            }
            _ if vr == Vr::SQ => Err(wrong_type("a list of items")),
            _ => Err(wrong_type("a text")),
        }
    }

    fn of_text(tag: Tag, vr: Vr, text: &str) -> Result<NewValue, EditError> {
        let value = |wanted| EditError::Value { tag, wanted };
        if let Some(base64) = data_uri(text) {
            let bytes = crate::base64::decode(base64.as_bytes()).ok_or(value("Base64"))?;
            let unit = if vr.is_number() {
                vr.unit().unwrap_or(1)
            } else {
                1
            };
            if vr == Vr::SQ || bytes.len() % unit != 0 {
                return Err(value("a value of its VR"));
            }
            return Ok(NewValue::Bytes(bytes));
        }
        if vr == Vr::SQ && !text.is_empty() {
            return Err(value("a list of items"));
        }
        if vr.is_number() && numbers(vr, text).is_none() {
            return Err(value("numbers that its VR holds, with \\ between several"));
        }
        if vr.is_text() && !vr.uses_character_set() && vr != Vr::UR && !text.is_ascii() {
            return Err(value("of the default repertoire, as all of its VR are"));
        }
        Ok(NewValue::Text(text.to_owned()))
    }

    /// The element of that tag; `None` if the character set cannot hold it. `there` is the VR of what it takes the place of.
    pub fn element(&self, tag: Tag, there: Option<Vr>, form: &Form<'_>) -> Option<DataElement> {
        let vr = self.vr(tag, there, form.pixels);
        let value = match self {
            NewValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
            NewValue::Text(text) if text.is_empty() && vr == Vr::SQ => Value::Items(Vec::new()),
            NewValue::Text(text) => Value::Bytes(encode(vr, text, form.terms)?),
            NewValue::Items(items) => {
                let item = |item: &Vec<(Tag, NewValue)>| {
                    let element = |(tag, value): &(Tag, NewValue)| value.element(*tag, None, form);
                    item.iter().map(element).collect()
                };
                Value::Items(items.iter().map(item).collect::<Option<_>>()?)
            }
        };
        Some(DataElement { tag, vr, value })
    }

    /// The VR that it is written with: that of the standard, of a private element that of what is there.
    fn vr(&self, tag: Tag, there: Option<Vr>, pixels: Pixels) -> Vr {
        if matches!(self, NewValue::Items(_)) {
            return Vr::SQ;
        }
        let standard = dictionary_vr(tag);
        let there = there.filter(|vr| vr.is_known() && *vr != Vr::SQ);
        match standard {
            Vr::UN => there.unwrap_or(Vr::UN),
            // One of two that the standard allows: what is there has decided.
            Vr::US | Vr::OW => match there {
                Some(vr @ (Vr::US | Vr::SS | Vr::OB | Vr::OW)) => vr,
                _ => pixels.choose(tag, standard),
            },
            vr => vr,
        }
    }
}

/// The Base64 of a `data:` URI (RFC 2397) with a media type; other texts that begin like one are texts.
fn data_uri(text: &str) -> Option<&str> {
    let (media_type, base64) = text.strip_prefix("data:")?.split_once(";base64,")?;
    let is_one = !media_type.is_empty() && !media_type.contains([',', ' ']);
    is_one.then_some(base64)
}

/// The bytes of a text in a VR. `None` if the character set cannot hold it, or what are no numbers: those of private VRs,
/// which no recipe knows before.
fn encode(vr: Vr, text: &str, terms: &str) -> Option<Vec<u8>> {
    if vr.is_number() {
        return numbers(vr, text);
    }
    if text.is_ascii() || !(vr.uses_character_set() || vr == Vr::UN) {
        return Some(text.as_bytes().to_vec());
    }
    let set = TextSet::from_terms(terms)?;
    set.encode(text, vr).map(|bytes| bytes.into_owned())
}

/// Binary numbers, little endian. US and SS hold what either holds, since the standard leaves the choice for some
/// attributes.
fn numbers(vr: Vr, text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if text.trim().is_empty() {
        return Some(out);
    }
    for number in text.split('\\').map(str::trim) {
        match &vr.0 {
            b"US" | b"SS" => {
                let number: i32 = number.parse().ok()?;
                let unsigned = u16::try_from(number).ok();
                let signed = i16::try_from(number).ok();
                out.extend(match (unsigned, signed) {
                    (Some(number), _) => number.to_le_bytes(),
                    (None, Some(number)) => number.to_le_bytes(),
                    (None, None) => return None,
                });
            }
            b"UL" => out.extend(number.parse::<u32>().ok()?.to_le_bytes()),
            b"SL" => out.extend(number.parse::<i32>().ok()?.to_le_bytes()),
            b"UV" => out.extend(number.parse::<u64>().ok()?.to_le_bytes()),
            b"SV" => out.extend(number.parse::<i64>().ok()?.to_le_bytes()),
            b"FL" => out.extend(number.parse::<f32>().ok()?.to_le_bytes()),
            b"FD" => out.extend(number.parse::<f64>().ok()?.to_le_bytes()),
            b"AT" => {
                let tag = Tag::parse(number)?;
                out.extend(tag.0.to_le_bytes());
                out.extend(tag.1.to_le_bytes());
            }
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags;
    use serde_json::json;

    fn element(tag: Tag, json: &Json, terms: &str) -> Option<DataElement> {
        let form = Form {
            pixels: Pixels::default(),
            terms,
        };
        NewValue::read(tag, json)
            .expect("is one")
            .element(tag, None, &form)
    }

    #[test]
    fn texts_and_numbers_become_values_of_their_vr() {
        for (tag, json, vr, value) in [
            (tags::PATIENT_NAME, json!("Doe"), Vr::PN, &b"Doe"[..]),
            (tags::PATIENT_NAME, json!(null), Vr::PN, b""),
            (tags::ROWS, json!("1\\2"), Vr::US, b"\x01\0\x02\0"),
            (tags::ROWS, json!("-1"), Vr::US, b"\xFF\xFF"),
            (tags::ROWS, json!(""), Vr::US, b""),
            (
                Tag(0x0028, 0x0009),
                json!("0018,1063"),
                Vr::AT,
                b"\x18\0\x63\x10",
            ),
            (Tag(0x0009, 0x1001), json!("x"), Vr::UN, b"x"),
            (
                Tag(0x0042, 0x0011),
                json!("data:application/pdf;base64,QUJD"),
                Vr::OB,
                b"ABC",
            ),
            (
                tags::PATIENT_NAME,
                json!("data:;base64,QUJD"),
                Vr::PN,
                b"data:;base64,QUJD",
            ),
        ] {
            let found = element(tag, &json, "").expect("is held");
            assert_eq!(found, DataElement::new(tag, vr, value), "{tag} {json}");
        }
    }

    #[test]
    fn texts_are_written_in_the_character_set_or_not_at_all() {
        let name = json!("é");
        let held = |terms| element(tags::PATIENT_NAME, &name, terms).map(|element| element.value);
        assert_eq!(held("ISO_IR 100"), Some(Value::Bytes(b"\xE9".to_vec())));
        assert_eq!(held("ISO_IR 192"), Some(Value::Bytes("é".into())));
        assert_eq!((held(""), held("ISO_IR 144")), (None, None));
    }

    #[test]
    fn what_an_attribute_cannot_have_is_refused() {
        let sequence = Tag(0x0040, 0x0275);
        for (tag, json, code) in [
            (tags::PATIENT_NAME, json!(12), "edit.type"),
            (tags::PATIENT_NAME, json!(["a"]), "edit.type"),
            (tags::PATIENT_NAME, json!({"a": "b"}), "edit.type"),
            (tags::ROWS, json!("abc"), "edit.value"),
            (tags::ROWS, json!("70000"), "edit.value"),
            (tags::ROWS, json!("data:a/b;base64,AAEC"), "edit.value"),
            (tags::PATIENT_ID, json!("data:a/b;base64,!"), "edit.value"),
            (tags::MODALITY, json!("é"), "edit.value"),
            (sequence, json!("x"), "edit.value"),
            (sequence, json!(["x"]), "edit.type"),
            (sequence, json!({"PatientID": "x"}), "edit.type"),
            (sequence, json!([{"Foo": "x"}]), "edit.tag"),
            (sequence, json!([{"Rows": "x"}]), "edit.value"),
            (Tag(0xFFFE, 0xE000), json!("x"), "edit.path"),
        ] {
            let error = NewValue::read(tag, &json).expect_err("is none");
            assert_eq!(error.code(), code, "{tag} {json}");
        }
    }
}
