//! Writes the Native DICOM Model (PS3.19 Annex A.1).

use super::value::{Number, groups, not_finite};
use super::walk::{Creator, Writer};
use crate::base64;
use crate::dictionary::keyword;
use crate::{Tag, Vr};
use std::io::Write;

/// The elements of the component groups of a person name, and of the components of each.
pub(crate) const COMPONENT_GROUPS: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];
pub(crate) const COMPONENTS: [&str; 5] = [
    "FamilyName",
    "GivenName",
    "MiddleName",
    "NamePrefix",
    "NameSuffix",
];

pub(crate) struct XmlWriter {
    out: Vec<u8>,
}

impl XmlWriter {
    pub fn new(capacity: usize) -> Self {
        Self::behind(Vec::with_capacity(capacity * 2 + 256))
    }

    /// Writes behind what is there.
    pub fn behind(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel \
              xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\" xml:space=\"preserve\">",
        );
        XmlWriter { out }
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Text between tags or quotes. What XML 1.0 has no way to say, most control characters, becomes U+FFFD.
    fn escaped(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(needs_escape) {
            self.push(&rest[..at]);
            let character = rest[at..].chars().next().unwrap_or_default();
            match character {
                '&' => self.push("&amp;"),
                '<' => self.push("&lt;"),
                '>' => self.push("&gt;"),
                '"' => self.push("&quot;"),
                // A reader makes one line end of CR LF, and spaces of all in attributes, unless they are spelled out.
                '\t' => self.push("&#9;"),
                '\n' => self.push("&#10;"),
                '\r' => self.push("&#13;"),
                _ => self.push("\u{FFFD}"),
            }
            rest = &rest[at + character.len_utf8()..];
        }
        self.push(rest);
    }

    fn element(&mut self, name: &str, text: &str) {
        self.push("<");
        self.push(name);
        self.push(">");
        self.escaped(text);
        self.push("</");
        self.push(name);
        self.push(">");
    }

    fn text(&mut self, number: usize, text: &str) {
        // Writing to a Vec does not fail.
        if text.is_empty() {
            let _ = write!(self.out, "<Value number=\"{number}\"/>");
            return;
        }
        let _ = write!(self.out, "<Value number=\"{number}\">");
        self.escaped(text);
        self.push("</Value>");
    }

    fn name(&mut self, number: usize, name: &str) {
        let _ = write!(self.out, "<PersonName number=\"{number}\">");
        let all = COMPONENT_GROUPS.iter().zip(groups(name));
        for (group, text) in all.filter(|(_, text)| !text.is_empty()) {
            let _ = write!(self.out, "<{group}>");
            let components = COMPONENTS.iter().zip(text.splitn(COMPONENTS.len(), '^'));
            for (component, text) in components.filter(|(_, text)| !text.is_empty()) {
                self.element(component, text);
            }
            let _ = write!(self.out, "</{group}>");
        }
        self.push("</PersonName>");
    }

    fn number(&mut self, number: usize, value: Number) {
        let _ = write!(self.out, "<Value number=\"{number}\">");
        let _ = match value {
            Number::Unsigned(n) => write!(self.out, "{n}"),
            Number::Signed(n) => write!(self.out, "{n}"),
            Number::Float(n) if n.is_finite() => write!(self.out, "{n:?}"),
            Number::Float(n) => write!(self.out, "{}", not_finite(n)),
            Number::Tag(tag) => write!(self.out, "{:08X}", tag.to_u32()),
        };
        self.push("</Value>");
    }
}

fn needs_escape(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"' | '\0'..=' ' if c != ' ')
        || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

impl Writer for XmlWriter {
    const CREATORS: bool = true;

    /// A private element is named by its creator: the digits of its block are 00 then, if the name alone tells which
    /// it is.
    fn open(&mut self, tag: Tag, vr: Vr, creator: Option<Creator<'_>>) {
        let by_name = creator.is_some_and(|creator| creator.is_first);
        let shown = if by_name {
            Tag(tag.0, tag.1 & 0xFF)
        } else {
            tag
        };
        let _ = write!(
            self.out,
            "<DicomAttribute tag=\"{:08X}\" vr=\"{vr}\"",
            shown.to_u32()
        );
        if let Some(keyword) = keyword(tag) {
            let _ = write!(self.out, " keyword=\"{keyword}\"");
        }
        if let Some(creator) = creator {
            self.push(" privateCreator=\"");
            self.escaped(creator.name);
            self.push("\"");
        }
        self.push(">");
    }

    fn close(&mut self) {
        self.push("</DicomAttribute>");
    }

    fn bulk(&mut self, uri: &str) {
        self.push("<BulkData uri=\"");
        self.escaped(uri);
        self.push("\"/>");
    }

    fn binary(&mut self, bytes: &[u8]) {
        self.push("<InlineBinary>");
        base64::encode(&mut self.out, bytes);
        self.push("</InlineBinary>");
    }

    fn texts<'t>(&mut self, vr: Vr, texts: impl Iterator<Item = &'t str>) {
        for (i, text) in texts.enumerate() {
            if vr == Vr::PN {
                self.name(i + 1, text);
            } else {
                self.text(i + 1, text);
            }
        }
    }

    fn numbers(&mut self, numbers: impl Iterator<Item = Number>) {
        for (i, number) in numbers.enumerate() {
            self.number(i + 1, number);
        }
    }

    fn open_items(&mut self) {}

    fn close_items(&mut self) {}

    fn open_item(&mut self, index: usize) {
        let _ = write!(self.out, "<Item number=\"{}\">", index + 1);
    }

    fn close_item(&mut self) {
        self.push("</Item>");
    }

    fn finish(mut self) -> Vec<u8> {
        self.push("</NativeDicomModel>\n");
        self.out
    }
}
