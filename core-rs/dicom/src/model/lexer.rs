//! The tokens of JSON (RFC 8259), one by one from a text in memory.
//!
//! Numbers keep their digits, which a decimal string needs, and nothing is built that nobody asked for. Beyond the RFC the
//! tokens `NaN`, `Infinity` and `-Infinity` count as numbers, as several libraries write them.

use crate::MAX_DEPTH;
use std::borrow::Cow;

/// What is not there, and where it was looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unexpected {
    pub wanted: &'static str,
    pub offset: usize,
}

pub(crate) type Result<T> = std::result::Result<T, Unexpected>;

/// Deepest nesting of what is stepped over: that of a data set, which has three levels for each sequence.
const MAX_SKIPPED_DEPTH: usize = 3 * MAX_DEPTH + 3;

/// A place in a text.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Lexer {
            text,
            // Not allowed, and sent all the same.
            at: if text.starts_with('\u{FEFF}') { 3 } else { 0 },
        }
    }

    /// Where the next token begins.
    pub fn offset(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// The first byte of the next token; `None` at the end.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    pub fn unexpected<T>(&self, wanted: &'static str) -> Result<T> {
        Err(Unexpected {
            wanted,
            offset: self.at,
        })
    }

    /// Takes one character of punctuation.
    pub fn punctuation(&mut self, byte: u8, wanted: &'static str) -> Result<()> {
        if self.peek() != Some(byte) {
            return self.unexpected(wanted);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes what opens an array or an object, and tells whether there is something in it.
    pub fn open(&mut self, opening: u8, closing: u8, wanted: &'static str) -> Result<bool> {
        self.punctuation(opening, wanted)?;
        if self.peek() == Some(closing) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes what stands behind a member or a value, and tells whether another follows.
    pub fn more(&mut self, closing: u8) -> Result<bool> {
        let next = self.peek();
        if next != Some(b',') && next != Some(closing) {
            return self.unexpected(if closing == b'}' {
                "',' or '}'"
            } else {
                "',' or ']'"
            });
        }
        self.at += 1;
        Ok(next == Some(b','))
    }

    /// Takes the name of a member and the colon.
    pub fn name(&mut self) -> Result<Cow<'a, str>> {
        let name = self.string("the name of a member")?;
        self.punctuation(b':', "':'")?;
        Ok(name)
    }

    /// Takes a string.
    pub fn string(&mut self, wanted: &'static str) -> Result<Cow<'a, str>> {
        self.punctuation(b'"', wanted)?;
        let text = self.text;
        let start = self.at;
        self.run();
        let first = &text[start..self.at];
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(first));
        }
        let mut out = first.to_owned();
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return self.unexpected("a control character written as escape"),
                None => return self.unexpected("the end of a string"),
            }
            let start = self.at;
            self.run();
            out.push_str(&text[start..self.at]);
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes on to the next byte that is no character of its own in a string.
    fn run(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        self.at += rest.iter().position(special).unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char> {
        let wanted = "an escape sequence of JSON";
        let begin = self.at;
        self.at += 2;
        let character = match self.text.as_bytes().get(begin + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => match self.unit().map(|unit| self.character(unit)) {
                Some(Some(character)) => character,
                _ => {
                    self.at = begin;
                    return self.unexpected("four hexadecimal digits of a character");
                }
            },
            _ => {
                self.at = begin;
                return self.unexpected(wanted);
            }
        };
        Ok(character)
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        let text = std::str::from_utf8(digits).ok()?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(text, 16).ok()
    }

    /// The character of a unit of UTF-16, or of it and the next one.
    fn character(&mut self, unit: u32) -> Option<char> {
        if !(0xD800..0xDC00).contains(&unit) {
            return char::from_u32(unit);
        }
        if self.text.as_bytes().get(self.at..self.at + 2)? != b"\\u" {
            return None;
        }
        self.at += 2;
        let low = self.unit().filter(|low| (0xDC00..0xE000).contains(low))?;
        char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
    }

    /// Takes a number, as it is written.
    pub fn number(&mut self) -> Result<&'a str> {
        self.peek();
        let rest = &self.text[self.at..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest
            .bytes()
            .position(|byte| !is_part(&byte))
            .unwrap_or(rest.len());
        let token = &rest[..length];
        if !is_number(token) {
            return self.unexpected("a number");
        }
        self.at += length;
        Ok(token)
    }

    /// Takes `null` if that is what comes.
    pub fn null(&mut self) -> Result<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word("null").map(|()| true)
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return self.unexpected(word);
        }
        self.at += word.len();
        Ok(())
    }

    /// Steps over a value of any kind.
    pub fn skip(&mut self) -> Result<()> {
        let mut closing = Vec::new();
        loop {
            let opened = match self.peek() {
                Some(b'{') => self.open(b'{', b'}', "'{'")?.then_some(b'}'),
                Some(b'[') => self.open(b'[', b']', "'['")?.then_some(b']'),
                Some(b'"') => self.string("a string").map(|_| None)?,
                Some(b't') => self.word("true").map(|()| None)?,
                Some(b'f') => self.word("false").map(|()| None)?,
                Some(b'n') => self.word("null").map(|()| None)?,
                _ => self.number().map(|_| None)?,
            };
            if let Some(close) = opened {
                if closing.len() == MAX_SKIPPED_DEPTH {
                    return self.unexpected("less nesting");
                }
                closing.push(close);
            } else {
                loop {
                    match closing.last() {
                        None => return Ok(()),
                        Some(&close) if self.more(close)? => break,
                        Some(_) => drop(closing.pop()),
                    }
                }
            }
            if closing.last() == Some(&b'}') {
                self.name()?;
            }
        }
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.unexpected("the end"),
        }
    }
}

/// The grammar of RFC 8259 §6, and the three names.
fn is_number(token: &str) -> bool {
    if matches!(token, "NaN" | "Infinity" | "-Infinity") {
        return true;
    }
    let rest = token.strip_prefix('-').unwrap_or(token);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let integer = digits(rest);
    if integer == 0 || integer > 1 && rest.starts_with('0') {
        return false;
    }
    let mut rest = &rest[integer..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skipped(text: &str) -> Result<()> {
        let mut lexer = Lexer::new(text);
        lexer.skip()?;
        lexer.end()
    }

    proptest! {
        #[test]
        fn the_grammar_is_that_of_another_reader(
            text in "[\\[\\]{}:, \"ab0-9.eE+\\-\\\\u\u{1F600}\t]{0,12}"
        ) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(skipped(&text).is_ok(), theirs);
        }

        #[test]
        fn strings_are_those_of_another_writer(text: String) {
            let json = serde_json::to_string(&text).expect("a string");
            let mut lexer = Lexer::new(&json);
            prop_assert_eq!(lexer.string("a string").expect("a string"), text);
            prop_assert_eq!(lexer.end(), Ok(()));
        }

        #[test]
        fn escapes_are_those_of_another_reader(text in "(\\\\[\"\\\\/bfnrtux]|\\\\u[0-9dDaA8cC]{3,4}|[a-c]){0,6}") {
            let json = format!("\"{text}\"");
            let theirs: Option<String> = serde_json::from_str(&json).ok();
            let mut lexer = Lexer::new(&json);
            let ours = lexer.string("a string").and_then(|text| lexer.end().map(|()| text.into_owned()));
            prop_assert_eq!(ours.ok(), theirs);
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        for text in [
            "0",
            "-0",
            "0.10",
            "1E+05",
            "NaN",
            "Infinity",
            "-Infinity",
            "12345678901234567890",
        ] {
            assert_eq!(Lexer::new(text).number(), Ok(text));
        }
        for text in [
            "", "-", "01", "1.", ".5", "1e", "+1", "0x1", "nan", "1a", "--1",
        ] {
            assert!(Lexer::new(text).number().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_stepped_over_may_not_be_deeper_than_a_data_set() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(skipped(&nested(MAX_SKIPPED_DEPTH)), Ok(()));
        let unexpected = skipped(&nested(1_000_000)).expect_err("too deep");
        assert_eq!(unexpected.wanted, "less nesting");
    }
}
