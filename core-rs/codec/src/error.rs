//! Why a frame could not be decoded or encoded.

use std::fmt;

/// Why a frame could not be decoded or encoded. Nothing in it comes from the data set but numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodecError {
    /// The codestream is broken, or ends too early.
    Corrupt {
        /// The codec.
        codec: &'static str,
        /// What is wrong, by the codec's own words where it has any.
        reason: String,
    },
    /// The codestream is not what the data set says it is.
    Mismatch {
        /// Which property differs.
        what: &'static str,
        /// What the data set says.
        expected: u64,
        /// What the codestream says.
        found: u64,
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
    /// No codec does this.
    Unsupported {
        /// What it would have to do.
        what: String,
    },
    /// The process that ran the codec ended, or took too long: this frame is lost, nothing else.
    Helper {
        /// What became of it.
        reason: String,
    },
    /// The system gives no process or no memory now: the frame may be good, and can be tried again.
    Unavailable {
        /// What it does not give.
        reason: String,
    },
}

impl CodecError {
    /// The stable name of it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            CodecError::Corrupt { .. } => "codec.corrupt",
            CodecError::Mismatch { .. } => "codec.mismatch",
            CodecError::Limit { .. } => "codec.limit",
            CodecError::Unsupported { .. } => "codec.unsupported",
            CodecError::Helper { .. } => "codec.helper",
            CodecError::Unavailable { .. } => "codec.unavailable",
        }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Corrupt { codec, reason } => {
                write!(f, "broken {codec} codestream: {reason}")
            }
            CodecError::Mismatch {
                what,
                expected,
                found,
            } => write!(
                f,
                "{what}: the data set says {expected}, its pixel data {found}"
            ),
            CodecError::Limit { what, found, limit } => {
                write!(f, "{found} {what} are more than the {limit} allowed")
            }
            CodecError::Unsupported { what } => write!(f, "no codec for {what}"),
            CodecError::Helper { reason } | CodecError::Unavailable { reason } => {
                write!(f, "the codec's process {reason}")
            }
        }
    }
}

impl std::error::Error for CodecError {}
