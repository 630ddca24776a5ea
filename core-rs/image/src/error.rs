//! Why there is no picture.

use std::fmt;

use vna_codec::CodecError;
use vna_dicom::Tag;

/// Why a data set has no frames that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormatError {
    /// An attribute that the pixels need is not there.
    Missing {
        /// Its tag.
        tag: Tag,
    },
    /// An attribute has a value that pixels cannot have.
    Wrong {
        /// Its tag.
        tag: Tag,
        /// The value.
        value: String,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Missing { tag } => write!(f, "{tag} is missing"),
            FormatError::Wrong { tag, value } => write!(f, "{tag} cannot be {value}"),
        }
    }
}

impl std::error::Error for FormatError {}

/// Why a frame did not become a picture. Nothing in it comes from the data set but numbers and code strings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageError {
    /// The data set does not describe an image.
    Format(FormatError),
    /// There is no such frame.
    NoSuchFrame {
        /// The frame asked for, counted from 0.
        frame: usize,
        /// How many there are.
        frames: usize,
    },
    /// A decoded frame has fewer bytes than its format says.
    Samples {
        /// Bytes that the format says.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A look-up table, palette, overlay or annotation is not what its attributes say.
    Table {
        /// The attribute that is wrong.
        tag: Tag,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is more than the limits allow.
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// What was asked for makes no sense.
    Request {
        /// Why.
        problem: &'static str,
    },
    /// The picture cannot be written in this form.
    Encode {
        /// The form and why.
        problem: String,
    },
}

impl ImageError {
    /// The stable name of it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ImageError::Format(_) => "image.format",
            ImageError::NoSuchFrame { .. } => "image.frame",
            ImageError::Samples { .. } => "image.samples",
            ImageError::Table { .. } => "image.table",
            ImageError::Limit { .. } => "image.limit",
            ImageError::Request { .. } => "image.request",
            ImageError::Encode { .. } => "image.encode",
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::Format(error) => error.fmt(f),
            ImageError::NoSuchFrame { frame, frames } => {
                write!(f, "frame {} of an image with {frames}", frame + 1)
            }
            ImageError::Samples { expected, found } => {
                write!(f, "a frame has {found} bytes, its format says {expected}")
            }
            ImageError::Table { tag, problem } => write!(f, "{tag}: {problem}"),
            ImageError::Limit { what, found, limit } => {
                write!(f, "{found} {what} are more than the {limit} allowed")
            }
            ImageError::Request { problem } => f.write_str(problem),
            ImageError::Encode { problem } => f.write_str(problem),
        }
    }
}

impl std::error::Error for ImageError {}

impl From<FormatError> for ImageError {
    fn from(error: FormatError) -> Self {
        ImageError::Format(error)
    }
}

impl From<CodecError> for ImageError {
    fn from(error: CodecError) -> Self {
        ImageError::Encode {
            problem: error.to_string(),
        }
    }
}
