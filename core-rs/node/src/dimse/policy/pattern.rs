//! UIDs with wildcards.

/// A UID in which `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether `uid` is what the pattern means.
    #[must_use]
    pub fn matches(&self, uid: &str) -> bool {
        let (pattern, uid) = (self.0.as_bytes(), uid.as_bytes());
        let (mut p, mut u) = (0, 0);
        // Where the last `*` is, and how much of the UID it has taken: if the rest does not fit, it takes one more.
        let mut star = None;
        while u < uid.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, u));
                    p += 1;
                }
                Some(&c) if c == b'?' || c == uid[u] => (p, u) = (p + 1, u + 1),
                _ => {
                    let Some((at, taken)) = star else {
                        return false;
                    };
                    star = Some((at, taken + 1));
                    (p, u) = (at + 1, taken + 1);
                }
            }
        }
        pattern[p..].iter().all(|c| *c == b'*')
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Pattern {
        Pattern(text.trim().to_owned())
    }
}

/// Whether one of the patterns means `uid`.
pub(super) fn any(patterns: &[Pattern], uid: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_a_question_mark_for_one() {
        let matches = |pattern: &str, uid| Pattern::from(pattern).matches(uid);
        assert!(matches("1.2.3", "1.2.3") && !matches("1.2.3", "1.2.34"));
        assert!(
            matches("1.2.*", "1.2.3.4") && matches("1.2.*", "1.2.") && !matches("1.2.*", "1.2")
        );
        assert!(matches("*", "") && matches("*", "1.2") && !matches("", "1"));
        assert!(matches("1.*.4.*0", "1.2.4.50.4.90") && !matches("1.*.4.*0", "1.2.4.51"));
        assert!(
            matches("1.2.?", "1.2.3") && !matches("1.2.?", "1.2.") && !matches("1.2.?", "1.2.34")
        );
    }
}
