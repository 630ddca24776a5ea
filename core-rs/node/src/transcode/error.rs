//! Why an object cannot be brought into another transfer syntax.

use std::fmt;

/// Why an object cannot be brought into another transfer syntax.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TranscodeProblem {
    /// No codec reads the one or writes the other: video, and what is not known.
    Syntax {
        /// The transfer syntax that it is in.
        from: String,
        /// The one that it would have to be in.
        to: String,
    },
    /// There is nothing to compress.
    NoPixelData {
        /// The transfer syntax that is wanted.
        to: String,
    },
    /// Float and Double Float Pixel Data are never encapsulated (PS3.3 §C.7.6.24, PS3.5 §A.4).
    FloatPixelData {
        /// The transfer syntax that is wanted.
        to: String,
    },
    /// Compression with loss makes another instance, which the caller does not allow.
    NewUid {
        /// The transfer syntax that is wanted.
        to: String,
    },
    /// Indexes into a palette have no neighbours that they could be taken for.
    LossyPalette {
        /// The transfer syntax that is wanted.
        to: String,
    },
    /// Frames of one instance are of one kind (PS3.3 §C.7.6.3); these are not.
    FrameDiffers {
        /// The frame, counted from 1.
        frame: usize,
        /// In what.
        what: &'static str,
    },
    /// Nobody waits for it any more.
    Abandoned,
    /// Native pixel data has a length of 32 bits (PS3.5 §7.1.1).
    TooLong {
        /// Bytes that it would have.
        bytes: u64,
    },
}

impl TranscodeProblem {
    /// The stable name of it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "transcode.unsupported",
            Self::NoPixelData { .. } => "transcode.no_pixel_data",
            Self::FloatPixelData { .. } => "transcode.float",
            Self::NewUid { .. } => "transcode.new_uid",
            Self::LossyPalette { .. } => "transcode.palette",
            Self::FrameDiffers { .. } => "transcode.frames",
            Self::Abandoned => "transcode.abandoned",
            Self::TooLong { .. } => "transcode.too_long",
        }
    }
}

impl fmt::Display for TranscodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { from, to } => {
                write!(f, "there is no way from transfer syntax {from} to {to}")
            }
            Self::NoPixelData { to } => write!(
                f,
                "it has no pixel data, and transfer syntax {to} is for pixel data"
            ),
            Self::FloatPixelData { to } => write!(
                f,
                "its pixel data is floating point, which transfer syntax {to} does not hold"
            ),
            Self::NewUid { to } => write!(
                f,
                "transfer syntax {to} compresses with loss, which makes another instance with a UID of its own"
            ),
            Self::LossyPalette { to } => write!(
                f,
                "its pixels are indexes into a palette, and transfer syntax {to} would change them"
            ),
            Self::FrameDiffers { frame, what } => {
                write!(f, "frame {frame} has another {what} than the first")
            }
            Self::Abandoned => f.write_str("it was given up, since nobody waits for it any more"),
            Self::TooLong { bytes } => write!(
                f,
                "{bytes} bytes of pixel data are more than an uncompressed transfer syntax holds"
            ),
        }
    }
}

impl std::error::Error for TranscodeProblem {}
