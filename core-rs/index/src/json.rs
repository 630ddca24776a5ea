//! Writing JSON into bytes.

use crate::{IndexError, time};
use vna_dicom::{PublicId, Tag};

/// The longest answer in bytes, some 250,000 studies with all that is told of them: whoever wants more asks for pages.
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// Bytes of JSON in the making. Who calls it keeps objects and arrays balanced.
#[derive(Default)]
pub(crate) struct Json {
    bytes: Vec<u8>,
    /// The next value or name is the first of its object or array.
    first: bool,
}

impl Json {
    pub(crate) fn new() -> Self {
        Json {
            bytes: Vec::new(),
            first: true,
        }
    }

    fn separate(&mut self) {
        if self.first {
            self.first = false;
        } else {
            self.bytes.push(b',');
        }
    }

    pub(crate) fn open(&mut self, bracket: u8) {
        self.separate();
        self.bytes.push(bracket);
        self.first = true;
    }

    pub(crate) fn close(&mut self, bracket: u8) {
        self.bytes.push(bracket);
        self.first = false;
    }

    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.separate();
        quote(name, &mut self.bytes);
        self.bytes.push(b':');
        self.first = true;
        self
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.separate();
        quote(text, &mut self.bytes);
    }

    /// A value that needs no escapes.
    pub(crate) fn display(&mut self, value: impl std::fmt::Display) {
        use std::io::Write;
        self.separate();
        // Writing to a Vec cannot fail.
        let _ = write!(self.bytes, "\"{value}\"");
    }

    /// The id of a resource: what lists are made of, so without the way through a formatter.
    pub(crate) fn id(&mut self, id: &PublicId) {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(&id.text());
        self.bytes.push(b'"');
    }

    /// Where a resource is: `/` `folder` `/` its id.
    pub(crate) fn path(&mut self, folder: &str, id: &PublicId) {
        self.separate();
        self.bytes.extend_from_slice(b"\"/");
        self.bytes.extend_from_slice(folder.as_bytes());
        self.bytes.push(b'/');
        self.bytes.extend_from_slice(&id.text());
        self.bytes.push(b'"');
    }

    pub(crate) fn number(&mut self, number: impl Into<i64>) {
        use std::io::Write;
        self.separate();
        let _ = write!(self.bytes, "{}", number.into());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.separate();
        self.bytes
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn null(&mut self) {
        self.separate();
        self.bytes.extend_from_slice(b"null");
    }

    /// A moment as `yyyymmddThhmmss`.
    pub(crate) fn moment(&mut self, us: i64) {
        let mut text = String::with_capacity(15);
        time::write_compact(us, &mut text);
        self.display(text);
    }

    /// The name of a tag by its number, `gggg,eeee`.
    pub(crate) fn tag_name(&mut self, tag: Tag) -> &mut Self {
        self.display(format_args!("{:04x},{:04x}", tag.0, tag.1));
        self.bytes.push(b':');
        self.first = true;
        self
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.bytes.extend_from_slice(json);
    }

    /// Refuses an answer that grows too long.
    pub(crate) fn check_size(&self) -> Result<(), IndexError> {
        if self.bytes.len() <= MAX_BYTES {
            return Ok(());
        }
        Err(IndexError::BadQuery {
            problem: format!(
                "the answer is longer than {MAX_BYTES} bytes; ask for it in pages, with since and limit"
            ),
        })
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

fn quote(text: &str, into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1F => b"",
            _ => continue,
        };
        into.extend_from_slice(&bytes[plain..i]);
        plain = i + 1;
        if escape.is_empty() {
            into.extend_from_slice(b"\\u00");
            into.push(DIGITS[usize::from(byte >> 4)]);
            into.push(DIGITS[usize::from(byte & 15)]);
        } else {
            into.extend_from_slice(escape);
        }
    }
    into.extend_from_slice(&bytes[plain..]);
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_reads_back_as_itself(text in any::<String>()) {
            let mut json = Json::new();
            json.text(&text);
            let bytes = json.finish();
            prop_assert_eq!(serde_json::from_slice::<String>(&bytes).expect("valid"), text);
        }
    }

    #[test]
    fn nested_values_are_separated_by_commas_only() {
        let mut json = Json::new();
        json.open(b'{');
        json.name("a").number(1);
        json.name("b").open(b'[');
        json.text("x");
        json.open(b'{');
        json.close(b'}');
        json.null();
        json.close(b']');
        json.name("c").bool(true);
        json.close(b'}');
        assert_eq!(json.finish(), br#"{"a":1,"b":["x",{},null],"c":true}"#);
    }
}
