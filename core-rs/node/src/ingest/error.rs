//! What is wrong with an upload, or with one of the files in it.

use std::fmt;

/// Why an upload, or a file in it, cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadError {
    /// There is not one byte.
    Empty,
    /// The file is the table of contents of a medium (PS3.10 §8), which is no instance.
    Directory,
    /// More files than `uploads.max_entries`.
    Entries {
        /// The setting.
        limit: u64,
    },
    /// A file is longer than `uploads.max_object_bytes`.
    ObjectBytes {
        /// The setting.
        limit: u64,
    },
    /// A part of metadata is longer than any is read; what is long in a data set is bulk data (PS3.18 §8.6.1.2).
    MetadataBytes {
        /// The bound.
        limit: u64,
    },
    /// All files together are longer than `uploads.max_unpacked_bytes`.
    UnpackedBytes {
        /// The setting.
        limit: u64,
    },
    /// More bytes came out than `uploads.max_ratio` allows for those that went in.
    Ratio {
        /// Bytes that went in.
        packed: u64,
        /// The setting.
        limit: u64,
    },
    /// A gzip stream is damaged, or ends early.
    Gzip {
        /// Whether it only ends early.
        is_cut: bool,
        /// How many of its bytes were taken before.
        offset: u64,
    },
    /// A multipart body is not one.
    Multipart {
        /// A stable name for programs.
        code: &'static str,
        /// Where in the body.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// A ZIP archive, or an entry of it, is not one.
    Zip {
        /// A stable name for programs.
        code: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A form that is not read: another method of packing, an encrypted entry, an archive in an archive.
    Unsupported {
        /// A stable name for programs.
        code: &'static str,
        /// What was found, and what would be read.
        problem: String,
    },
    /// An instance is of another study than the one that it was sent to (PS3.18 §10.5.1.1).
    OtherStudy {
        /// The Study Instance UID of the path.
        wanted: String,
        /// The one of the instance.
        found: String,
    },
    /// Metadata and bulk data do not make an instance (PS3.18 §10.5.1.4).
    Unjoined {
        /// A stable name for programs.
        code: &'static str,
        /// What is missing or does not fit.
        problem: String,
    },
    /// A file to import cannot be read.
    Source {
        /// What the system said.
        problem: String,
    },
}

/// Which kind of refusal an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are no DICOM file.
    NotDicom,
    /// The bytes are not in the form that they claim.
    Malformed,
    /// Over a bound.
    TooLarge,
    /// A form that we do not read.
    Unsupported,
    /// It contradicts the place that it was sent to.
    Conflict,
    /// The bytes could not be had.
    Unreadable,
}

impl UploadError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "body.empty",
            Self::Directory => "file.dicomdir",
            Self::Entries { .. } => "uploads.max_entries",
            Self::ObjectBytes { .. } => "uploads.max_object_bytes",
            Self::MetadataBytes { .. } => "metadata.too_long",
            Self::UnpackedBytes { .. } => "uploads.max_unpacked_bytes",
            Self::Ratio { .. } => "uploads.max_ratio",
            Self::Gzip { is_cut: true, .. } => "gzip.truncated",
            Self::Gzip { .. } => "gzip.invalid",
            Self::Multipart { code, .. }
            | Self::Zip { code, .. }
            | Self::Unsupported { code, .. }
            | Self::Unjoined { code, .. } => code,
            Self::OtherStudy { .. } => "study.other",
            Self::Source { .. } => "file.unreadable",
        }
    }

    /// Which kind of refusal it is.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Empty | Self::Directory => Refusal::NotDicom,
            Self::Entries { .. }
            | Self::ObjectBytes { .. }
            | Self::MetadataBytes { .. }
            | Self::UnpackedBytes { .. }
            | Self::Ratio { .. } => Refusal::TooLarge,
            Self::Gzip { .. }
            | Self::Multipart { .. }
            | Self::Zip { .. }
            | Self::Unjoined { .. } => Refusal::Malformed,
            Self::OtherStudy { .. } => Refusal::Conflict,
            Self::Unsupported { .. } => Refusal::Unsupported,
            Self::Source { .. } => Refusal::Unreadable,
        }
    }

    /// Whether it speaks of one file, so that those beside it can be stored all the same.
    pub(crate) fn is_of_one_file(&self) -> bool {
        match self {
            Self::Entries { .. } | Self::UnpackedBytes { .. } | Self::Multipart { .. } => false,
            Self::Empty
            | Self::Directory
            | Self::ObjectBytes { .. }
            | Self::MetadataBytes { .. }
            | Self::Ratio { .. }
            | Self::Gzip { .. }
            | Self::Zip { .. }
            | Self::Unsupported { .. }
            | Self::OtherStudy { .. }
            | Self::Unjoined { .. }
            | Self::Source { .. } => true,
        }
    }

    /// Whether whoever sent the file need not be told: it was never meant to be stored.
    pub(crate) fn is_passed_over(&self) -> bool {
        matches!(self, Self::Directory)
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("0 bytes; a DICOM file has more"),
            Self::Directory => {
                f.write_str("a DICOMDIR lists the files of a medium and is none of them")
            }
            Self::Entries { limit } => {
                write!(f, "more than {limit} files (uploads.max_entries)")
            }
            Self::ObjectBytes { limit } => {
                write!(
                    f,
                    "a file of more than {limit} bytes (uploads.max_object_bytes)"
                )
            }
            Self::MetadataBytes { limit } => write!(
                f,
                "a part of metadata of more than {} MiB; what is long in it is sent as bulk data",
                limit >> 20
            ),
            Self::UnpackedBytes { limit } => write!(
                f,
                "more than {limit} bytes unpacked (uploads.max_unpacked_bytes)"
            ),
            Self::Ratio { packed, limit } => write!(
                f,
                "{packed} packed bytes make more than {limit} times as many (uploads.max_ratio)"
            ),
            Self::Gzip {
                is_cut: true,
                offset,
            } => write!(f, "gzip stream ends early, after {offset} bytes"),
            Self::Gzip { offset, .. } => write!(f, "no gzip stream near byte {offset}"),
            Self::Multipart {
                offset, problem, ..
            } => write!(f, "multipart body, byte {offset}: {problem}"),
            Self::OtherStudy { wanted, found } => {
                write!(f, "sent to study {wanted}, is of study {found}")
            }
            Self::Zip { problem, .. }
            | Self::Unjoined { problem, .. }
            | Self::Unsupported { problem, .. }
            | Self::Source { problem } => f.write_str(problem),
        }
    }
}
