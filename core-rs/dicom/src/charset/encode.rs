//! Text to the bytes of a character set (PS3.3 §C.12.1.1.2): of those with code extensions, the usual ones of Japan and
//! Korea. For Chinese there are sets without, which more readers read rightly.

use super::{CharacterSet, Term, canonical, term};
use crate::Vr;
use encoding_rs::Encoding;
use std::borrow::Cow;

/// A character set that texts can be written in.
///
/// ```
/// # use vna_dicom::{TextSet, Vr};
/// let greek = TextSet::from_terms("ISO_IR 126").expect("is one");
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
    Escaped(&'static Escaped),
}

/// A set of 94 x 94 characters beside ASCII, which an escape sequence switches to.
#[derive(PartialEq, Debug)]
struct Escaped {
    /// What designates it (PS3.3 Table C.12-4).
    escape: &'static [u8],
    /// The EUC form of it.
    encoding: &'static Encoding,
    /// Whether it takes the place of ASCII, in G0.
    in_g0: bool,
}

const JIS_X0208: Escaped = Escaped {
    escape: b"\x1B$B",
    encoding: encoding_rs::EUC_JP,
    in_g0: true,
};

const KS_X1001: Escaped = Escaped {
    escape: b"\x1B$)C",
    encoding: encoding_rs::EUC_KR,
    in_g0: false,
};

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

    /// The set of a value of (0008,0005); `None` for the default repertoire, for other combinations of sets than ASCII or
    /// romaji with JIS X 0208 or KS X 1001, and for terms that PS3.3 does not define.
    #[must_use]
    pub fn from_terms(terms: &str) -> Option<TextSet> {
        let encoder = |text| match term(text) {
            Term::Latin1 => Some(Encoder::Latin1),
            Term::Single(encoding) => Some(Encoder::Other(encoding)),
            Term::Whole(encoding) if encoding == encoding_rs::UTF_8 => Some(Encoder::Utf8),
            Term::Whole(encoding) => Some(Encoder::Other(encoding)),
            Term::Default | Term::Katakana | Term::Double(_) | Term::G0 => None,
        };
        if let Some((first, second)) = terms.split_once('\\') {
            return escaped(first, second);
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
        let bytes = match self.encoder {
            Encoder::Utf8 => return None,
            Encoder::Latin1 => {
                let bytes = text.chars().map(|c| u8::try_from(c).ok());
                return bytes.collect::<Option<Vec<u8>>>().map(Cow::Owned);
            }
            Encoder::Escaped(set) => set.encode(text, vr)?,
            Encoder::Other(encoding) => {
                let (bytes, _, lossy) = encoding.encode(text);
                if lossy {
                    return None;
                }
                bytes.into_owned()
            }
        };
        // The encoders are for the web's relatives of some sets, which have characters that the sets have not.
        let read = CharacterSet::from_terms(self.term).decode(&bytes, vr) == text;
        read.then_some(Cow::Owned(bytes))
    }
}

/// ASCII and a set of two bytes. Who writes romaji reads ASCII.
fn escaped(first: &str, second: &str) -> Option<TextSet> {
    let (term, set, with_romaji) = match canonical(second).as_str() {
        "ISO2022IR87" => ("\\ISO 2022 IR 87", &JIS_X0208, true),
        "ISO2022IR149" => ("\\ISO 2022 IR 149", &KS_X1001, false),
        _ => return None,
    };
    let fits = match canonical(first).as_str() {
        "" | "ISO2022IR6" => true,
        "ISO2022IR13" => with_romaji,
        _ => false,
    };
    fits.then_some(TextSet {
        term,
        encoder: Encoder::Escaped(set),
    })
}

impl Escaped {
    /// The bytes of a text, ASCII again at each delimiter and at the end (PS3.5 §6.1.2.5.3).
    fn encode(&self, text: &str, vr: Vr) -> Option<Vec<u8>> {
        const TO_ASCII: &[u8] = b"\x1B(B";
        let (mut out, mut is_on) = (Vec::with_capacity(2 * text.len()), false);
        for c in text.chars() {
            if let Some(byte) = u8::try_from(c).ok().filter(u8::is_ascii) {
                if self.in_g0 && is_on {
                    out.extend_from_slice(TO_ASCII);
                    is_on = false;
                }
                out.push(byte);
                let delimits = match byte {
                    super::ESCAPE => return None,
                    b'\\' => vr.is_multi_valued_text(),
                    b'^' | b'=' => vr == Vr::PN,
                    _ => byte.is_ascii_control(),
                };
                is_on &= !delimits;
                continue;
            }
            let mut utf8 = [0; 4];
            let (bytes, _, _) = self.encoding.encode(c.encode_utf8(&mut utf8));
            let [lead @ 0xA1..=0xFE, trail @ 0xA1..=0xFE] = *bytes else {
                return None;
            };
            if !is_on {
                out.extend_from_slice(self.escape);
                is_on = true;
            }
            out.extend(if self.in_g0 {
                [lead & 0x7F, trail & 0x7F]
            } else {
                [lead, trail]
            });
        }
        if self.in_g0 && is_on {
            out.extend_from_slice(TO_ASCII);
        }
        Some(out)
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
        assert_eq!(
            TextSet::from_terms("ISO 2022 IR 13\\ISO 2022 IR 87").map(|set| set.term()),
            Some("\\ISO 2022 IR 87")
        );
        for other in [
            "",
            "ISO_IR 6",
            "ISO_IR 13",
            "ISO 2022 IR 100\\ISO 2022 IR 87",
            "\\ISO 2022 IR 87\\ISO 2022 IR 149",
            "ISO 2022 IR 149",
            "FOO",
        ] {
            assert_eq!(TextSet::from_terms(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_written_as_the_examples_of_the_standard() {
        // PS3.5 §H.3.1 and §I.2.
        let japanese = TextSet::from_terms("\\ISO 2022 IR 87").expect("is one");
        assert_eq!(
            japanese.encode("Yamada^Tarou=山田^太郎", Vr::PN).as_deref(),
            Some(&b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B"[..])
        );
        let korean = TextSet::from_terms("\\ISO 2022 IR 149").expect("is one");
        assert_eq!(
            korean.encode("Hong^Gildong=洪^吉洞", Vr::PN).as_deref(),
            Some(&b"Hong^Gildong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7"[..])
        );
        assert_eq!(korean.encode("Müller", Vr::PN), None);
    }

    proptest! {
        #[test]
        fn what_a_set_holds_is_read_back(text in "[a-zA-Z ^äöüßéÀŁłΑβГд山田김李ไทยאבعر€ǅ\u{80}-\u{ff}]{0,12}", at in 0..TERMS.len() + 2, name in any::<bool>()) {
            let escaped = ["\\ISO 2022 IR 87", "ISO 2022 IR 6\\ISO 2022 IR 149"];
            let set = TextSet::from_terms(TERMS.iter().chain(&escaped).nth(at).expect("is there")).expect("is defined");
            let vr = if name { Vr::PN } else { Vr::LT };
            if let Some(bytes) = set.encode(&text, vr) {
                let read = CharacterSet::from_terms(set.term()).decode(&bytes, vr).into_owned();
                prop_assert_eq!(read, text.clone());
            }
        }
    }
}
