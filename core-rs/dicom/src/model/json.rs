//! Writes the DICOM JSON Model (PS3.18 Annex F).

use super::value::{Number, groups, json_number, not_finite};
use super::walk::{Creator, Writer};
use crate::base64;
use crate::json::push_json_string;
use crate::{Tag, Vr};
use std::io::Write;

/// Beyond these a double, which is what most programs read numbers as, has no place for every integer: PS3.18 §F.2.3
/// allows strings for SV and UV.
const EXACT_INTEGERS: u64 = (1 << 53) - 1;

const COMPONENT_GROUPS: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];

pub(crate) struct JsonWriter {
    out: Vec<u8>,
}

impl JsonWriter {
    pub fn new(capacity: usize) -> Self {
        Self::behind(Vec::with_capacity(capacity + 2))
    }

    /// Writes behind what is there.
    pub fn behind(mut out: Vec<u8>) -> Self {
        out.push(b'{');
        JsonWriter { out }
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn comma_unless_first(&mut self, opening: u8) {
        if self.out.last() != Some(&opening) {
            self.out.push(b',');
        }
    }

    fn array<T>(&mut self, values: impl Iterator<Item = T>, mut value: impl FnMut(&mut Self, T)) {
        self.push(",\"Value\":[");
        for (i, one) in values.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            value(self, one);
        }
        self.out.push(b']');
    }

    fn text(&mut self, vr: Vr, text: &str) {
        if text.is_empty() {
            return self.push("null"); // PS3.18 §F.2.5
        }
        let number = match vr {
            Vr::DS | Vr::IS => json_number(vr, text),
            _ => None,
        };
        match number {
            Some(number) => self.push(&number),
            None => push_json_string(&mut self.out, text),
        }
    }

    fn name(&mut self, name: &str) {
        if name.is_empty() {
            return self.push("null");
        }
        self.out.push(b'{');
        let groups = COMPONENT_GROUPS.iter().zip(groups(name));
        for (group, text) in groups.filter(|(_, text)| !text.is_empty()) {
            self.comma_unless_first(b'{');
            push_json_string(&mut self.out, group);
            self.out.push(b':');
            push_json_string(&mut self.out, text);
        }
        self.out.push(b'}');
    }

    fn number(&mut self, number: Number) {
        // Writing to a Vec does not fail.
        let _ = match number {
            Number::Unsigned(n) if n > EXACT_INTEGERS => write!(self.out, "\"{n}\""),
            Number::Signed(n) if n.unsigned_abs() > EXACT_INTEGERS => {
                write!(self.out, "\"{n}\"")
            }
            Number::Unsigned(n) => write!(self.out, "{n}"),
            Number::Signed(n) => write!(self.out, "{n}"),
            // The shortest decimal that is this double and no other.
            Number::Float(n) if n.is_finite() => write!(self.out, "{n:?}"),
            Number::Float(n) => write!(self.out, "\"{}\"", not_finite(n)),
            Number::Tag(tag) => write!(self.out, "\"{:08X}\"", tag.to_u32()),
        };
    }
}

impl Writer for JsonWriter {
    const CREATORS: bool = false;

    fn open(&mut self, tag: Tag, vr: Vr, _: Option<Creator<'_>>) {
        self.comma_unless_first(b'{');
        // Writing to a Vec does not fail.
        let _ = write!(self.out, "\"{:08X}\":{{\"vr\":\"{vr}\"", tag.to_u32());
    }

    fn close(&mut self) {
        self.out.push(b'}');
    }

    fn bulk(&mut self, uri: &str) {
        self.push(",\"BulkDataURI\":");
        push_json_string(&mut self.out, uri);
    }

    fn binary(&mut self, bytes: &[u8]) {
        self.push(",\"InlineBinary\":\"");
        base64::encode(&mut self.out, bytes);
        self.out.push(b'"');
    }

    fn texts<'t>(&mut self, vr: Vr, texts: impl Iterator<Item = &'t str>) {
        if vr == Vr::PN {
            self.array(texts, |writer, name| writer.name(name));
        } else {
            self.array(texts, |writer, text| writer.text(vr, text));
        }
    }

    fn numbers(&mut self, numbers: impl Iterator<Item = Number>) {
        self.array(numbers, JsonWriter::number);
    }

    fn open_items(&mut self) {
        self.push(",\"Value\":[");
    }

    fn close_items(&mut self) {
        self.out.push(b']');
    }

    fn open_item(&mut self, _: usize) {
        self.comma_unless_first(b'[');
        self.out.push(b'{');
    }

    fn close_item(&mut self) {
        self.out.push(b'}');
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}
