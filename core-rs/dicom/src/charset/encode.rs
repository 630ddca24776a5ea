//! Text to the bytes of a character set: for those without code extensions (PS3.3 §C.12.1.1.2).

use super::{CharacterSet, Term, term};
use crate::Vr;
use encoding_rs::Encoding;
use std::borrow::Cow;

/// A character set that texts can be written in: one that needs no escape sequences.
///
/// ```
/// # use vna_dicom::{TextSet, Vr};
/// let greek = TextSet::from_terms("ISO_IR 126").expect("has no code extensions");
/// assert_eq!(greek.encode("Διον", Vr::LO).as_deref(), Some(&b"\xC4\xE9\xEF\xED"[..]));
/// assert_eq!(greek.encode("山田", Vr::LO), None);
/// assert_eq!(TextSet::UTF_8.term(), "ISO_IR 192");
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TextSet {
    term: &'static str,
    encoder: Encoder,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Encoder {
    Utf8,
    Latin1,
    Other(&'static Encoding),
}

/// The defined terms, as they are written.
const TERMS: &[&str] = &[
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 126",
    "ISO_IR 127",
    "ISO_IR 138",
    "ISO_IR 144",
    "ISO_IR 148",
    "ISO_IR 166",
    "ISO_IR 203",
    "ISO_IR 192",
    "GB18030",
    "GBK",
];

impl TextSet {
    /// UTF-8, which has all characters.
    pub const UTF_8: TextSet = TextSet {
        term: "ISO_IR 192",
        encoder: Encoder::Utf8,
    };

    /// Latin alphabet no. 1, which nearly all readers know.
    pub const LATIN_1: TextSet = TextSet {
        term: "ISO_IR 100",
        encoder: Encoder::Latin1,
    };

    /// The set of a value of (0008,0005); `None` for the default repertoire, for sets of code extensions, and for terms
    /// that PS3.3 does not define.
    #[must_use]
    pub fn from_terms(terms: &str) -> Option<TextSet> {
        let encoder = |text| match term(text) {
            Term::Latin1 => Some(Encoder::Latin1),
            Term::Single(encoding) => Some(Encoder::Other(encoding)),
            Term::Whole(encoding) if encoding == encoding_rs::UTF_8 => Some(Encoder::Utf8),
            Term::Whole(encoding) => Some(Encoder::Other(encoding)),
            Term::Default | Term::Katakana | Term::Double(_) | Term::G0 => None,
        };
        if terms.contains('\\') {
            return None;
        }
        let found = encoder(terms)?;
        let term = TERMS.iter().find(|term| encoder(term) == Some(found))?;
        Some(TextSet {
            term,
            encoder: found,
        })
    }

    /// The defined term for (0008,0005).
    #[must_use]
    pub const fn term(&self) -> &'static str {
        self.term
    }

    /// The bytes of a text; `None` if the set cannot hold it, so that a reader would see another text.
    #[must_use]
    pub fn encode<'a>(&self, text: &'a str, vr: Vr) -> Option<Cow<'a, [u8]>> {
        if text.is_ascii() || self.encoder == Encoder::Utf8 {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        let encoding = match self.encoder {
            Encoder::Utf8 => return None,
            Encoder::Latin1 => {
                let bytes = text.chars().map(|c| u8::try_from(c).ok());
                return bytes.collect::<Option<Vec<u8>>>().map(Cow::Owned);
            }
            Encoder::Other(encoding) => encoding,
        };
        let (bytes, _, lossy) = encoding.encode(text);
        if lossy {
            return None;
        }
        // The encoder is for the web's relatives of some sets, which have characters that the sets have not.
        let read = CharacterSet::from_terms(self.term).decode(&bytes, vr) == text;
        read.then(|| Cow::Owned(bytes.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_term_is_the_set_that_it_names() {
        for term in TERMS {
            let set = TextSet::from_terms(term).expect("is defined");
            assert_eq!(set.term(), *term);
        }
        assert_eq!(TextSet::from_terms("ISO_IR 192"), Some(TextSet::UTF_8));
        assert_eq!(TextSet::from_terms("ISO_IR 100"), Some(TextSet::LATIN_1));
        for other in [
            "",
            "ISO_IR 6",
            "ISO_IR 13",
            "\\ISO 2022 IR 87",
            "ISO 2022 IR 149",
            "FOO",
        ] {
            assert_eq!(TextSet::from_terms(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_a_set_holds_is_read_back(text in "[a-zA-Z ^äöüßéÀŁłΑβГд山田김李ไทยאבعر€ǅ\u{80}-\u{ff}]{0,12}", at in 0..TERMS.len()) {
            let set = TextSet::from_terms(TERMS[at]).expect("is defined");
            if let Some(bytes) = set.encode(&text, Vr::LT) {
                let read = CharacterSet::from_terms(set.term()).decode(&bytes, Vr::LT).into_owned();
                prop_assert_eq!(read, text.clone());
            }
        }
    }
}
