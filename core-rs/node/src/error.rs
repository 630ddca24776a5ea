//! Why the archive refused or failed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use vna_codec::CodecError;
use vna_dicom::edit::EditError;
use vna_dicom::{DicomError, Level, PrivateDictionaryError, PublicId};
use vna_image::FormatError;
use vna_index::IndexError;
use vna_store::StoreError;

use crate::archives::MakingProblem;
use crate::cfind::IdentifierProblem;
use crate::find::FindProblem;
use crate::ingest::UploadError;
use crate::pictures::PictureProblem;
use crate::tls::TlsProblem;
use crate::transcode::TranscodeProblem;

/// Why the archive did not do what it was asked for.
#[derive(Debug)]
pub enum ArchiveError {
    /// The bytes are no DICOM that we can vouch for.
    Dicom(DicomError),
    /// A recipe is none, or cannot be applied to an instance.
    Edit(EditError),
    /// The log or a blob failed.
    Store(StoreError),
    /// The index failed.
    Index(IndexError),
    /// The file system failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the archive open.
    Locked {
        /// The archive's folder.
        root: PathBuf,
    },
    /// The log ends before what the index covers: acknowledged records are missing.
    LogTooShort {
        /// The first position that is missing.
        lost_from: u64,
        /// What the index covers.
        covered: u64,
    },
    /// The index is a copy from before deletions that the log does not hold any more.
    IndexTooOld {
        /// What the index covers.
        covered: u64,
        /// What it would have to cover.
        horizon: u64,
    },
    /// There is no such resource.
    NotFound {
        /// The level that was asked.
        level: Level,
        /// The id that was asked for.
        public_id: PublicId,
    },
    /// The data set is not the one that the C-STORE request names (PS3.7 §9.1.1).
    UidMismatch {
        /// Which UID differs.
        attribute: &'static str,
        /// What the command says.
        command: String,
        /// What the data set says.
        data_set: String,
    },
    /// A data set over C-STORE begins with File Meta Information, which belongs to files (PS3.10 §7.1): read as the
    /// file's own it would override what the association agreed on.
    MetaInDataSet {
        /// Bytes of it.
        bytes: u64,
    },
    /// A note was changed by somebody else since it was read, or is there already.
    Revision {
        /// What was named, and what is there.
        problem: String,
    },
    /// A resource has no such note.
    NoNote {
        /// Which resource, and which note.
        problem: String,
    },
    /// Users cannot change notes of this type.
    SystemNote {
        /// Which type, and which they can.
        problem: String,
    },
    /// What is stored of an attachment is not what was attached.
    BadAttachment {
        /// What is wrong with it.
        problem: String,
    },
    /// A row points at a place that the store does not know.
    Row {
        /// The row's two numbers.
        place: (i64, i64),
    },
    /// A log record cannot be read back as what it says it is.
    Record {
        /// Its position.
        lsn: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The index could not follow the log; it catches up at the next start.
    Behind,
    /// An upload, or a file in it, is not one that can be taken.
    Upload(UploadError),
    /// What others of the same upload or group failed of too.
    Shared(Arc<ArchiveError>),
    /// The private dictionary contradicts itself or the standard.
    Dictionary(PrivateDictionaryError),
    /// The policy table is not one.
    Policy {
        /// What is wrong with it.
        problem: String,
    },
    /// A setting has a value that it cannot have.
    Setting {
        /// Its key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS cannot be used.
    Tls(TlsProblem),
    /// A search is none.
    Find(FindProblem),
    /// The identifier of a query or retrieve is none.
    Identifier(IdentifierProblem),
    /// A frame could not be decoded or encoded.
    Codec(CodecError),
    /// What is stored is not an image that can be read.
    Image(FormatError),
    /// It cannot be brought into another transfer syntax.
    Transcode(TranscodeProblem),
    /// There is no picture.
    Picture(PictureProblem),
    /// A ZIP archive cannot be made.
    Making(MakingProblem),
    /// A bound of the archive has no room for it.
    Room {
        /// Which, and why nothing makes room.
        problem: String,
    },
    /// The archive takes nothing in, and changes and deletes nothing.
    ReadOnly,
    /// The archive is stopping.
    Stopped,
}

impl ArchiveError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dicom(error) => error.code(),
            Self::Edit(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Index(error) => error.code(),
            Self::Io { .. } => "archive.io",
            Self::Locked { .. } => "storage.locked",
            Self::LogTooShort { .. } => "log.too_short",
            Self::IndexTooOld { .. } => "index.too_old",
            Self::NotFound { .. } => "not_found",
            Self::UidMismatch { .. } => "sop_class.mismatch",
            Self::MetaInDataSet { .. } => "data_set.file_meta",
            Self::Revision { .. } => "conflict.revision",
            Self::NoNote { .. } => "not_found.note",
            Self::SystemNote { .. } => "not_allowed.system",
            Self::BadAttachment { .. } => "attachment.damaged",
            Self::Row { .. } => "index.row",
            Self::Record { .. } => "log.record",
            Self::Behind => "index.behind",
            Self::Upload(error) => error.code(),
            Self::Shared(error) => error.code(),
            Self::Dictionary(_) => "settings",
            Self::Policy { .. } => "policy",
            Self::Setting { .. } => "settings",
            Self::Tls(_) => "settings.tls",
            Self::Find(problem) => problem.code(),
            Self::Identifier(problem) => problem.code(),
            Self::Codec(error) => error.code(),
            Self::Image(_) => "image.none",
            Self::Transcode(problem) => problem.code(),
            Self::Picture(problem) => problem.code(),
            Self::Making(problem) => problem.code(),
            Self::Room { .. } => "storage.full",
            Self::ReadOnly => "storage.read_only",
            Self::Stopped => "archive.stopped",
        }
    }
}

impl ArchiveError {
    /// Whether it speaks of one file alone, so that others beside it can be stored.
    #[must_use]
    pub fn is_of_one_file(&self) -> bool {
        match self {
            Self::Dicom(_)
            | Self::Edit(_)
            | Self::UidMismatch { .. }
            | Self::MetaInDataSet { .. }
            | Self::Codec(_)
            | Self::Image(_)
            | Self::Transcode(_)
            | Self::Picture(_)
            | Self::Store(StoreError::TooLarge { .. })
            | Self::Index(IndexError::EmptyUid { .. }) => true,
            Self::Upload(error) => error.is_of_one_file(),
            Self::Shared(error) => error.is_of_one_file(),
            _ => false,
        }
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dicom(error) => error.fmt(f),
            Self::Edit(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Index(error) => error.fmt(f),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Locked { root } => write!(
                f,
                "{} is open in another process; stop that one, or point storage.root elsewhere",
                root.display()
            ),
            Self::LogTooShort { lost_from, covered } => write!(
                f,
                "the index covers the log up to record {covered}, but records from {lost_from} on are missing: \
                 bring back the log that belongs to it, or run vna reindex to go on without them"
            ),
            Self::IndexTooOld { covered, horizon } => write!(
                f,
                "the index covers the log up to record {covered} and would have to cover {horizon}: run vna reindex"
            ),
            Self::NotFound { level, public_id } => write!(f, "no {level} has the id {public_id}"),
            Self::UidMismatch {
                attribute,
                command,
                data_set,
            } => write!(
                f,
                "the command says {attribute} {command}, the data set says {data_set}"
            ),
            Self::MetaInDataSet { bytes } => write!(
                f,
                "the data set begins with {bytes} bytes of group 0002, which only files have"
            ),
            Self::Revision { problem }
            | Self::NoNote { problem }
            | Self::SystemNote { problem }
            | Self::BadAttachment { problem } => f.write_str(problem),
            Self::Row { place: (a, b) } => {
                write!(
                    f,
                    "the index points at place {a}, {b}, which no store has; run vna reindex"
                )
            }
            Self::Record { lsn, problem } => write!(f, "log record {lsn}: {problem}"),
            Self::Behind => {
                f.write_str("the index failed and is behind the log; restart to let it catch up")
            }
            Self::Upload(error) => error.fmt(f),
            Self::Shared(error) => error.fmt(f),
            Self::Dictionary(error) => error.fmt(f),
            Self::Policy { problem } => write!(f, "policy table: {problem}"),
            Self::Setting { key, problem } => write!(f, "{key} {problem}"),
            Self::Tls(problem) => problem.fmt(f),
            Self::Find(problem) => problem.fmt(f),
            Self::Identifier(problem) => problem.fmt(f),
            Self::Codec(error) => error.fmt(f),
            Self::Image(error) => error.fmt(f),
            Self::Transcode(problem) => problem.fmt(f),
            Self::Picture(problem) => problem.fmt(f),
            Self::Making(problem) => problem.fmt(f),
            Self::Room { problem } => f.write_str(problem),
            Self::ReadOnly => f.write_str("the archive is read-only (storage.read_only)"),
            Self::Stopped => f.write_str("the archive is stopping"),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Dicom(error) => Some(error),
            Self::Edit(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Index(error) => Some(error),
            Self::Io { source, .. } => Some(source),
            Self::Shared(error) => error.source(),
            _ => None,
        }
    }
}

impl From<EditError> for ArchiveError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Dicom(error) => Self::Dicom(error),
            error => Self::Edit(error),
        }
    }
}

impl From<DicomError> for ArchiveError {
    fn from(error: DicomError) -> Self {
        Self::Dicom(error)
    }
}

impl From<CodecError> for ArchiveError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<FormatError> for ArchiveError {
    fn from(error: FormatError) -> Self {
        Self::Image(error)
    }
}

impl From<PictureProblem> for ArchiveError {
    fn from(problem: PictureProblem) -> Self {
        Self::Picture(problem)
    }
}

impl From<TlsProblem> for ArchiveError {
    fn from(problem: TlsProblem) -> Self {
        Self::Tls(problem)
    }
}

impl From<UploadError> for ArchiveError {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FindProblem> for ArchiveError {
    fn from(problem: FindProblem) -> Self {
        Self::Find(problem)
    }
}

impl From<IdentifierProblem> for ArchiveError {
    fn from(problem: IdentifierProblem) -> Self {
        Self::Identifier(problem)
    }
}

impl From<IndexError> for ArchiveError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}
