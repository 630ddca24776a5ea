//! Text in the character sets of DICOM (PS3.5 §6.1, PS3.3 §C.12.1.1.2), decoded to UTF-8.
//!
//! Single-byte sets and the multi-byte sets of East Asia come from `encoding_rs`; the code extensions of ISO 2022,
//! as DICOM profiles them, are done here. Bytes that a set does not define become U+FFFD.

mod encode;

pub use encode::TextSet;

use crate::Vr;
use encoding_rs::Encoding;
use std::borrow::Cow;

/// The meaning of Specific Character Set (0008,0005).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CharacterSet {
    /// The sets at the beginning of a value and behind every delimiter.
    initial: State,
    /// The first set declared for G1. Some writers designate it once a value, or never.
    declared_g1: Option<G1>,
    /// UTF-8, GB18030 or GBK: no code extensions, one decoder for all of the value.
    whole: Option<&'static Encoding>,
}

/// What the bytes 20-7F and A0-FF mean now.
#[derive(Clone, Copy, PartialEq, Debug)]
struct State {
    g0: G0,
    g1: Option<G1>,
}

/// Sets for bytes 20-7F.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum G0 {
    /// ISO-IR 6.
    Ascii,
    /// ISO-IR 14, the romaji of JIS X 0201: ASCII but for the yen sign, which is `\` here, and the overline.
    Romaji,
    /// ISO-IR 87, two bytes.
    JisX0208,
    /// ISO-IR 159, two bytes.
    JisX0212,
}

/// Sets for bytes A0-FF.
#[derive(Clone, Copy, PartialEq, Debug)]
enum G1 {
    /// ISO-IR 100, for which `encoding_rs` has windows-1252 only.
    Latin1,
    /// ISO-IR 13.
    Katakana,
    /// The upper half of a single-byte set.
    Single(&'static Encoding),
    /// A set of 94 x 94 characters, as the EUC form that uses it.
    Double(&'static Encoding),
}

const ESCAPE: u8 = 0x1B;

impl Default for CharacterSet {
    /// The default repertoire, ISO-IR 6. Bytes above 7F, which it does not define, read as ISO-IR 100: that is what
    /// writers that forget to say so mean most often.
    fn default() -> Self {
        CharacterSet {
            initial: State {
                g0: G0::Ascii,
                g1: Some(G1::Latin1),
            },
            declared_g1: None,
            whole: None,
        }
    }
}

impl CharacterSet {
    /// From the bytes of (0008,0005). Terms that PS3.3 does not define count as absent.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Self {
        Self::from_terms(&String::from_utf8_lossy(value))
    }

    /// From the text of (0008,0005), values separated by `\`.
    #[must_use]
    pub fn from_terms(terms: &str) -> Self {
        let mut terms = terms.split('\\').map(term);
        let first = terms.next().unwrap_or(Term::Default);
        let others = || terms.clone();
        let g1_of = |term| match term {
            Term::Latin1 => Some(G1::Latin1),
            Term::Katakana => Some(G1::Katakana),
            Term::Single(encoding) => Some(G1::Single(encoding)),
            Term::Double(encoding) => Some(G1::Double(encoding)),
            Term::Default | Term::G0 | Term::Whole(_) => None,
        };
        let declared_g1 = g1_of(first).or_else(|| others().find_map(g1_of));
        let initial = match first {
            Term::Whole(encoding) => {
                return CharacterSet {
                    whole: Some(encoding),
                    ..CharacterSet::default()
                };
            }
            Term::Default if others().next().is_none() => return CharacterSet::default(),
            Term::Katakana => State {
                g0: G0::Romaji,
                g1: g1_of(first),
            },
            Term::Default | Term::G0 | Term::Latin1 | Term::Single(_) | Term::Double(_) => State {
                g0: G0::Ascii,
                g1: g1_of(first),
            },
        };
        CharacterSet {
            initial,
            declared_g1,
            whole: None,
        }
    }

    /// Decodes the value of an element of the given VR, delimiters and padding included.
    #[must_use]
    pub fn decode<'a>(&self, value: &'a [u8], vr: Vr) -> Cow<'a, str> {
        if value.is_ascii() && self.initial.g0 == G0::Ascii && !value.contains(&ESCAPE) {
            return String::from_utf8_lossy(value);
        }
        match self.whole {
            Some(encoding) => encoding.decode_without_bom_handling(value).0,
            None => Cow::Owned(Decoder::new(self, vr).decode(value)),
        }
    }
}

/// What one value of (0008,0005) stands for.
#[derive(Clone, Copy)]
enum Term {
    Default,
    Latin1,
    Katakana,
    Single(&'static Encoding),
    /// Two bytes a character, in G1.
    Double(&'static Encoding),
    /// Two bytes a character, in G0: only by escape sequence.
    G0,
    Whole(&'static Encoding),
}

/// The letters and digits of a term.
fn canonical(term: &str) -> String {
    let letters = term.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_uppercase()).collect()
}

/// Reads a defined term; also the misspellings in use, such as `ISO-IR 100`, `ISO 2022-IR 100`, `ISO_IR100`.
fn term(text: &str) -> Term {
    let letters = canonical(text);
    match letters.as_str() {
        "GB18030" => return Term::Whole(encoding_rs::GB18030),
        "GBK" | "GB2312" => return Term::Whole(encoding_rs::GBK),
        "UTF8" => return Term::Whole(encoding_rs::UTF_8),
        _ => {}
    }
    let number = letters
        .strip_prefix("ISO2022IR")
        .or_else(|| letters.strip_prefix("ISO2022"))
        .or_else(|| letters.strip_prefix("ISOIR"));
    match number.unwrap_or_default() {
        "13" => Term::Katakana,
        "100" => Term::Latin1,
        "101" => Term::Single(encoding_rs::ISO_8859_2),
        "109" => Term::Single(encoding_rs::ISO_8859_3),
        "110" => Term::Single(encoding_rs::ISO_8859_4),
        "126" => Term::Single(encoding_rs::ISO_8859_7),
        "127" => Term::Single(encoding_rs::ISO_8859_6),
        "138" => Term::Single(encoding_rs::ISO_8859_8),
        "144" => Term::Single(encoding_rs::ISO_8859_5),
        "148" => Term::Single(encoding_rs::WINDOWS_1254),
        "166" => Term::Single(encoding_rs::WINDOWS_874),
        "203" => Term::Single(encoding_rs::ISO_8859_15),
        "58" => Term::Double(encoding_rs::GBK),
        "149" => Term::Double(encoding_rs::EUC_KR),
        "87" | "159" => Term::G0,
        "192" => Term::Whole(encoding_rs::UTF_8),
        _ => Term::Default,
    }
}

/// One value on its way to UTF-8.
struct Decoder<'a> {
    set: &'a CharacterSet,
    state: State,
    last_g1: Option<G1>,
    is_person_name: bool,
    backslash_delimits: bool,
    out: String,
}

impl<'a> Decoder<'a> {
    fn new(set: &'a CharacterSet, vr: Vr) -> Self {
        Decoder {
            set,
            state: set.initial,
            last_g1: set.declared_g1,
            is_person_name: vr == Vr::PN,
            backslash_delimits: vr.is_multi_valued_text(),
            out: String::new(),
        }
    }

    fn decode(mut self, value: &[u8]) -> String {
        let mut rest = value;
        while let Some(&byte) = rest.first() {
            let used = match byte {
                ESCAPE => self.escape(rest),
                0x00..0x20 | 0x7F => self.delimiter(byte),
                0x20..0x7F => match self.state.g0 {
                    G0::JisX0208 | G0::JisX0212 => self.double_g0(rest),
                    G0::Ascii | G0::Romaji => self.single_g0(byte),
                },
                0x80.. => self.upper(rest),
            };
            rest = &rest[used..];
        }
        self.out
    }

    /// Control characters and delimiters switch back to the initial sets (PS3.5 §6.1.2.5.3).
    fn delimiter(&mut self, byte: u8) -> usize {
        self.state = self.set.initial;
        self.out.push(char::from(byte));
        1
    }

    fn single_g0(&mut self, byte: u8) -> usize {
        match byte {
            b'\\' if self.backslash_delimits => return self.delimiter(byte),
            b'^' | b'=' if self.is_person_name => return self.delimiter(byte),
            b'~' if self.state.g0 == G0::Romaji => self.out.push('\u{203E}'),
            b'\\' if self.state.g0 == G0::Romaji => self.out.push('\u{A5}'),
            _ => self.out.push(char::from(byte)),
        }
        1
    }

    fn double_g0(&mut self, rest: &[u8]) -> usize {
        let [lead, trail @ 0x21..0x7F, ..] = *rest else {
            self.out.push(if rest[0] == b' ' {
                ' '
            } else {
                char::REPLACEMENT_CHARACTER
            });
            return 1;
        };
        if lead == b' ' {
            self.out.push(' '); // no set of 94 x 94 has a space; writers pad with it
            return 1;
        }
        let (lead, trail) = (lead | 0x80, trail | 0x80);
        if self.state.g0 == G0::JisX0212 {
            self.push_decoded(encoding_rs::EUC_JP, &[0x8F, lead, trail]);
        } else {
            match jis_x0208_of_unicode(lead, trail) {
                Some(character) => self.out.push(character),
                None => self.push_decoded(encoding_rs::EUC_JP, &[lead, trail]),
            }
        }
        2
    }

    fn upper(&mut self, rest: &[u8]) -> usize {
        let byte = rest[0];
        match self.state.g1.or(self.last_g1) {
            // No set is declared at all: as in the default repertoire.
            None | Some(G1::Latin1) => self.out.push(char::from(byte)),
            Some(G1::Katakana) => self.out.push(match byte {
                0xA1..=0xDF => char::from_u32(0xFF61 + u32::from(byte) - 0xA1).unwrap_or_default(),
                _ => char::REPLACEMENT_CHARACTER,
            }),
            Some(G1::Single(_)) if byte < 0xA0 => self.out.push(char::from(byte)), // C1, in no ISO 8859 part
            Some(G1::Single(encoding)) => self.push_decoded(encoding, &[byte]),
            Some(G1::Double(encoding)) => {
                if let [0xA1..=0xFE, trail @ 0xA1..=0xFE, ..] = *rest {
                    self.push_decoded(encoding, &[byte, trail]);
                    return 2;
                }
                self.out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        1
    }

    fn push_decoded(&mut self, encoding: &'static Encoding, bytes: &[u8]) {
        self.out
            .push_str(&encoding.decode_without_bom_handling(bytes).0);
    }

    /// The escape sequences of PS3.3 Tables C.12-3 and C.12-4; of an unknown one the ESC alone is dropped.
    fn escape(&mut self, rest: &[u8]) -> usize {
        let single = |set| Some(G1::Single(set));
        match rest[1..] {
            [b'(', b'B', ..] => self.state.g0 = G0::Ascii,
            [b'(', b'J', ..] => self.state.g0 = G0::Romaji,
            [b'$', b'B' | b'@', ..] => self.state.g0 = G0::JisX0208,
            [b'$', b'(', b'D', ..] => {
                self.state.g0 = G0::JisX0212;
                return 4;
            }
            [b'$', b'(', b'B', ..] => {
                self.state.g0 = G0::JisX0208;
                return 4;
            }
            [b'$', b')', set @ (b'A' | b'C'), ..] => {
                let set = if set == b'A' {
                    encoding_rs::GBK
                } else {
                    encoding_rs::EUC_KR
                };
                self.state.g1 = Some(G1::Double(set));
                self.last_g1 = self.state.g1;
                return 4;
            }
            [b')', b'I', ..] => self.state.g1 = Some(G1::Katakana),
            [b'-', b'A', ..] => self.state.g1 = Some(G1::Latin1),
            [b'-', b'B', ..] => self.state.g1 = single(encoding_rs::ISO_8859_2),
            [b'-', b'C', ..] => self.state.g1 = single(encoding_rs::ISO_8859_3),
            [b'-', b'D', ..] => self.state.g1 = single(encoding_rs::ISO_8859_4),
            [b'-', b'F', ..] => self.state.g1 = single(encoding_rs::ISO_8859_7),
            [b'-', b'G', ..] => self.state.g1 = single(encoding_rs::ISO_8859_6),
            [b'-', b'H', ..] => self.state.g1 = single(encoding_rs::ISO_8859_8),
            [b'-', b'L', ..] => self.state.g1 = single(encoding_rs::ISO_8859_5),
            [b'-', b'M', ..] => self.state.g1 = single(encoding_rs::WINDOWS_1254),
            [b'-', b'T', ..] => self.state.g1 = single(encoding_rs::WINDOWS_874),
            [b'-', b'b', ..] => self.state.g1 = single(encoding_rs::ISO_8859_15),
            _ => {
                self.out.push(char::REPLACEMENT_CHARACTER);
                return 1;
            }
        }
        3
    }
}

/// The characters of JIS X 0208 that `encoding_rs`, as the web does, maps to full-width forms instead of those of
/// the Unicode Consortium's table (bytes in EUC form).
fn jis_x0208_of_unicode(lead: u8, trail: u8) -> Option<char> {
    Some(match (lead, trail) {
        (0xA1, 0xC1) => '\u{301C}',
        (0xA1, 0xC2) => '\u{2016}',
        (0xA1, 0xDD) => '\u{2212}',
        (0xA1, 0xF1) => '\u{A2}',
        (0xA1, 0xF2) => '\u{A3}',
        (0xA2, 0xCC) => '\u{AC}',
        _ => return None,
    })
}
