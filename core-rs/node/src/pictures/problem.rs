//! Why there is no picture.

use std::fmt;

use vna_image::ImageError;
use vna_report::ReportError;

/// Why there is no picture. Nothing in it comes from the data set but numbers, UIDs and code strings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PictureProblem {
    /// The object is no image.
    NoImage {
        /// What it is, as a noun with its article.
        what: &'static str,
        /// How to get at it.
        instead: &'static str,
    },
    /// The pixel data is a video stream.
    Video {
        /// Its transfer syntax.
        transfer_syntax_uid: String,
    },
    /// The pixel data is not in the file, but at another place (JPIP).
    Elsewhere {
        /// The transfer syntax that says so.
        transfer_syntax_uid: String,
    },
    /// There is no such frame.
    NoSuchFrame {
        /// The one asked for, counted from 0.
        frame: u64,
        /// How many there are.
        frames: u64,
    },
    /// The same, said to who counts frames from 1, as DICOM does.
    NoSuchFrameNumber {
        /// The one asked for.
        number: u64,
        /// How many there are.
        frames: u64,
    },
    /// The frame does not become a picture, or not such a one.
    Image(ImageError),
    /// The report does not become a document.
    Report(ReportError),
    /// Frames that are to be one array differ.
    Unlike {
        /// In what.
        what: &'static str,
    },
    /// It takes more memory than all pictures together may have.
    TooLarge {
        /// Bytes that it takes.
        needed: u64,
        /// `pictures.memory_bytes`.
        total: u64,
    },
    /// Others hold the memory that it takes.
    Busy,
}

impl PictureProblem {
    /// The stable name of it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PictureProblem::NoImage { .. } => "picture.no_image",
            PictureProblem::Video { .. } => "picture.video",
            PictureProblem::Elsewhere { .. } => "picture.elsewhere",
            PictureProblem::NoSuchFrame { .. } | PictureProblem::NoSuchFrameNumber { .. } => {
                "picture.frame"
            }
            PictureProblem::Image(error) => error.code(),
            PictureProblem::Report(error) => error.code(),
            PictureProblem::Unlike { .. } => "picture.unlike",
            PictureProblem::TooLarge { .. } => "picture.too_large",
            PictureProblem::Busy => "busy",
        }
    }
}

impl fmt::Display for PictureProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PictureProblem::NoImage { what, instead } => {
                write!(f, "there is no picture of {what}; {instead}")
            }
            PictureProblem::Video {
                transfer_syntax_uid,
            } => write!(
                f,
                "the pixel data is a video stream ({transfer_syntax_uid}): give it to a player; \
                 frames/0/raw is the stream"
            ),
            PictureProblem::Elsewhere {
                transfer_syntax_uid,
            } => write!(
                f,
                "the file has no pixel data but refers to another server ({transfer_syntax_uid}, \
                 Pixel Data Provider URL (0028,7FE0))"
            ),
            PictureProblem::NoSuchFrame { frame, frames: 1 } => {
                write!(f, "there is no frame {frame}; the image has one, frame 0")
            }
            PictureProblem::NoSuchFrame { frame, frames } => write!(
                f,
                "there is no frame {frame}; the image has {frames}, counted from 0"
            ),
            PictureProblem::NoSuchFrameNumber { number, frames } => {
                write!(f, "there is no frame {number}; the image has {frames}")
            }
            PictureProblem::Image(error) => error.fmt(f),
            PictureProblem::Report(error) => error.fmt(f),
            PictureProblem::Unlike { what } => {
                write!(
                    f,
                    "frames of the series differ in {what} and cannot be one array"
                )
            }
            PictureProblem::TooLarge { needed, total } => write!(
                f,
                "the picture takes {needed} bytes of memory, {total} are allowed \
                 (pictures.memory_bytes)"
            ),
            PictureProblem::Busy => f.write_str(
                "other pictures hold the memory that this one takes (pictures.memory_bytes); \
                 ask again later",
            ),
        }
    }
}

impl std::error::Error for PictureProblem {}

impl From<ReportError> for PictureProblem {
    fn from(error: ReportError) -> Self {
        PictureProblem::Report(error)
    }
}

impl From<ImageError> for PictureProblem {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::NoSuchFrame { frame, frames } => PictureProblem::NoSuchFrame {
                frame: frame as u64,
                frames: frames as u64,
            },
            error => PictureProblem::Image(error),
        }
    }
}
