//! What is wrong with an identifier, and the DIMSE statuses of failed queries (PS3.4 §C.4.1.1.4).

use std::fmt;

use vna_index::IndexError;
use vna_store::StoreError;

use crate::error::ArchiveError;

/// Why an identifier asks for nothing that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IdentifierProblem {
    /// It is none of this SOP class: a level that the model has not, or a unique key that the level needs.
    Mismatch(String),
    /// It is no data set, or its keys are none.
    Malformed(String),
    /// It holds more than an identifier may.
    TooLarge(String),
}

impl IdentifierProblem {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mismatch(_) => "identifier.mismatch",
            Self::Malformed(_) => "identifier.malformed",
            Self::TooLarge(_) => "identifier.too_large",
        }
    }

    /// The status of the response.
    #[must_use]
    pub fn dimse_status(&self) -> u16 {
        match self {
            Self::Mismatch(_) => MISMATCH,
            Self::Malformed(_) => UNABLE_TO_PROCESS,
            Self::TooLarge(_) => OUT_OF_RESOURCES,
        }
    }
}

impl fmt::Display for IdentifierProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Mismatch(text) | Self::Malformed(text) | Self::TooLarge(text)) = self;
        write!(f, "identifier: {text}")
    }
}

const OUT_OF_RESOURCES: u16 = 0xA700;
const MISMATCH: u16 = 0xA900;
const UNABLE_TO_PROCESS: u16 = 0xC000;

/// The status that a C-FIND which failed of `error` ends with.
#[must_use]
pub fn find_status(error: &ArchiveError) -> u16 {
    match error {
        ArchiveError::Identifier(problem) => problem.dimse_status(),
        ArchiveError::Shared(error) => find_status(error),
        ArchiveError::Stopped
        | ArchiveError::Io { .. }
        | ArchiveError::Index(IndexError::Full | IndexError::Deadline)
        | ArchiveError::Store(StoreError::Full { .. }) => OUT_OF_RESOURCES,
        _ => UNABLE_TO_PROCESS,
    }
}
