//! Names of persons that are similar (fuzzy semantic matching, PS3.4 §C.2.2.2.1.1).

use crate::matching::{NamePattern, Pattern};
use crate::normal::fold;

/// A person name to find, or one that is like it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SimilarName {
    literal: NamePattern,
    words: Vec<Word>,
}

/// A word of a name: a name component may have several.
#[derive(Clone, PartialEq, Debug)]
struct Word {
    pattern: Pattern,
    sound: Option<Sound>,
}

/// A first letter and the kinds of the three consonants behind it: American Soundex, but that first letters which sound
/// alike (C, K and Q; S and Z; F, V and Ph) are one.
type Sound = [u8; 4];

impl SimilarName {
    pub(crate) fn new(text: &str) -> SimilarName {
        let folded = fold(text);
        let words = words(&folded).map(|word| {
            let plain = word.replace(['*', '?'], "");
            let is_wild = plain.len() != word.len();
            // Who writes a part of a word means all that begin so.
            let pattern = if is_wild {
                word.to_owned()
            } else {
                format!("{word}*")
            };
            Word {
                pattern: Pattern::new(&pattern),
                sound: sound(&plain),
            }
        });
        SimilarName {
            literal: NamePattern::new(text, false),
            words: words.collect(),
        }
    }

    /// How many things are compared with each name.
    pub(crate) fn tries(&self) -> usize {
        1 + self.words.len()
    }

    /// Whether a name matches, by its folded component groups.
    pub(crate) fn matches(&self, groups: &[String]) -> bool {
        if self.literal.matches(groups) {
            return true;
        }
        let stored = || groups.iter().flat_map(|group| words(group));
        !self.words.is_empty()
            && self
                .words
                .iter()
                .all(|wanted| stored().any(|word| wanted.matches(word)))
    }
}

impl Word {
    fn matches(&self, word: &str) -> bool {
        self.pattern.matches(word) || self.sound.is_some() && self.sound == sound(word)
    }
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| matches!(c, '^' | '=' | ',' | '-' | '.') || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// How a folded word sounds; `None` if it is not of the letters a to z, or but one of them: initials sound like nothing.
fn sound(word: &str) -> Option<Sound> {
    let letters = word.as_bytes();
    if letters.len() < 2 || !letters.iter().all(u8::is_ascii_lowercase) {
        return None;
    }
    let first = match letters {
        [b'k' | b'q', ..] => b'c',
        [b'z', ..] => b's',
        [b'v', ..] | [b'p', b'h', ..] => b'f',
        [other, ..] => *other,
        [] => return None,
    };
    let mut sound = [first, b'0', b'0', b'0'];
    let mut at = 1;
    let mut last = kind(letters[0]);
    for letter in &letters[1..] {
        let this = kind(*letter);
        if let Some(digit) = this.filter(|_| this != last) {
            sound[at] = digit;
            at += 1;
            if at == sound.len() {
                break;
            }
        }
        // Letters of one kind count once, also around an h or w.
        if !matches!(letter, b'h' | b'w') {
            last = this;
        }
    }
    Some(sound)
}

/// The kind of a consonant; `None` of a vowel, and of h, w and y.
fn kind(letter: u8) -> Option<u8> {
    Some(match letter {
        b'b' | b'f' | b'p' | b'v' => b'1',
        b'c' | b'g' | b'j' | b'k' | b'q' | b's' | b'x' | b'z' => b'2',
        b'd' | b't' => b'3',
        b'l' => b'4',
        b'm' | b'n' => b'5',
        b'r' => b'6',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::pn_groups;

    fn matches(key: &str, name: &str) -> bool {
        SimilarName::new(key).matches(&pn_groups(name, fold))
    }

    #[test]
    fn words_sound_as_american_soundex_has_it() {
        for (word, expected) in [
            ("robert", "r163"),
            ("rupert", "r163"),
            ("ashcraft", "a261"),
            ("tymczak", "t522"),
            ("pfister", "p236"),
            ("honeyman", "h555"),
            ("lee", "l000"),
        ] {
            assert_eq!(
                sound(word).as_ref().map(|s| &s[..]),
                Some(expected.as_bytes()),
                "{word}"
            );
        }
        assert_eq!(sound("j"), None);
        assert_eq!(sound("山田"), None);
    }

    #[test]
    fn similar_names_are_found_in_any_order() {
        for (key, name) in [
            ("Mueller", "Müller^Hans"),
            ("hans mueller", "Müller^Hans"),
            ("Meier^J", "Mayer^Jakob"),
            ("doe", "Doe^John"),
            ("konform anna", "Conform^Anna"),
            ("Stefan", "Doe^Stephan"),
            ("*doe*", "Doe^John"),
            ("jo", "Doe^John"),
            ("D*n", "Doe^John"),
            ("山田", "Yamada^Tarou=山田^太郎"),
        ] {
            assert!(matches(key, name), "{key} {name}");
        }
        for (key, name) in [
            ("mueller", "Doe^John"),
            ("doe jane", "Doe^Mary"),
            ("j", "Doe^Mary"),
        ] {
            assert!(!matches(key, name), "{key} {name}");
        }
    }
}
