//! Structured reports (PS3.3 §A.35, §C.17.3) as documents that people read: HTML, XHTML and plain text.
//!
//! 1. What a report says gets into a document as text alone: it is escaped where it is written, and what is no character of
//!    a document (XML 1.0 §2.2) is left out. The one kind of address is made of our own root and of UIDs.
//! 2. Nothing is followed: a reference to another place of the report is a link, so that no report is endless.
//! 3. Depth, number of content items and length of the document have bounds.

#![forbid(unsafe_code)]

mod attributes;
mod content;
mod head;
mod html;
mod references;
mod text;
mod words;

use std::fmt;

use vna_dicom::DataSet;

/// Most content items of a report: those of computer-aided detection have some thousands.
pub const MAX_ITEMS: usize = 200_000;

/// Deepest nesting of content items: real ones have less than ten levels.
pub const MAX_LEVELS: usize = 64;

/// Longest document.
pub const MAX_DOCUMENT_BYTES: usize = 32 << 20;

/// The form of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportForm {
    /// HTML 5.
    Html,
    /// The same document as XML: XHTML.
    Xml,
    /// Plain text.
    Text,
}

/// Why there is no document. Nothing in it comes from the report but numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReportError {
    /// The data set has no content that could be shown.
    NoReport,
    /// It is more than the bounds allow.
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

impl ReportError {
    /// The stable name of it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ReportError::NoReport => "report.none",
            ReportError::Limit { .. } => "report.limit",
        }
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportError::NoReport => {
                f.write_str("the object has no root content item (0040,A040) and is no report")
            }
            ReportError::Limit { what, limit } => {
                write!(
                    f,
                    "the report has more {what} than the {limit} that are shown"
                )
            }
        }
    }
}

impl std::error::Error for ReportError {}

/// The document of a report. `root_url` is the address of the studies service, below which links to images go.
///
/// # Errors
///
/// [`ReportError`].
pub fn document(
    data_set: &DataSet,
    form: ReportForm,
    root_url: &str,
) -> Result<String, ReportError> {
    let report = head::read(data_set, root_url)?;
    match form {
        ReportForm::Html => html::write(&report, false),
        ReportForm::Xml => html::write(&report, true),
        ReportForm::Text => text::write(&report),
    }
}

/// Grows up to [`MAX_DOCUMENT_BYTES`].
struct Document {
    text: String,
}

impl Document {
    fn new() -> Self {
        Document {
            text: String::new(),
        }
    }

    fn push(&mut self, text: &str) -> Result<(), ReportError> {
        if self.text.len() + text.len() > MAX_DOCUMENT_BYTES {
            return Err(ReportError::Limit {
                what: "bytes of text",
                limit: MAX_DOCUMENT_BYTES,
            });
        }
        self.text.push_str(text);
        Ok(())
    }
}
