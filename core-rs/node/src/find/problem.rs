//! What is wrong with a search.

use std::fmt;

/// Why a search is none, with what would have been right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindProblem {
    /// Of what kind.
    pub wrong: Wrong,
    /// What was found, and what would have been right.
    pub text: String,
}

/// Kinds of mistakes, as clients tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A field is missing, of another type, or none that there is.
    Request,
    /// A value is none of those that a field takes.
    Range,
    /// No tag has this name or number.
    Tag,
    /// No metadata type has this name or number.
    Metadata,
    /// There is more to tell than an answer may hold.
    TooLarge,
}

impl FindProblem {
    pub(crate) fn new(wrong: Wrong, text: impl Into<String>) -> FindProblem {
        FindProblem {
            wrong,
            text: text.into(),
        }
    }

    pub(crate) fn tag(field: &str, name: &str) -> FindProblem {
        let text = format!(
            "{field}: Unknown DICOM tag {}; it takes a keyword of PS3.6, or gggg,eeee",
            shown(name)
        );
        FindProblem::new(Wrong::Tag, text)
    }

    pub(super) fn too_long(limit: usize) -> FindProblem {
        let text = format!(
            "the answer is longer than {limit} bytes; ask for it in pages, with since and limit"
        );
        FindProblem::new(Wrong::Request, text)
    }

    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.wrong {
            Wrong::Request => "request.bad",
            Wrong::Range => "request.out_of_range",
            Wrong::Tag => "request.unknown_tag",
            Wrong::Metadata => "request.unknown_metadata",
            Wrong::TooLarge => "request.answer_too_large",
        }
    }
}

impl fmt::Display for FindProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text of a client, as a message repeats it.
pub(crate) fn shown(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    format!("{short:?}")
}
