//! Errors of the core as the exceptions of `vna/errors.py`, where each is declared once.

use pyo3::PyErr;
use pyo3::exceptions::PyConnectionError;
use vna_codec::CodecError;
use vna_dicom::edit::EditError;
use vna_dicom::{DicomError, Level};
use vna_index::IndexError;
use vna_node::dimse::{PeerError, abort_source};
use vna_node::{
    ArchiveError, IdentifierProblem, MakingProblem, PictureProblem, Refusal, UploadError, Wrong,
};
use vna_store::StoreError;
use vna_ul::AssociateRj;

pyo3::import_exception!(vna.errors, AlreadyOpen);
pyo3::import_exception!(vna.errors, AssociationAborted);
pyo3::import_exception!(vna.errors, AssociationRejected);
pyo3::import_exception!(vna.errors, BadBody);
pyo3::import_exception!(vna.errors, BadParameter);
pyo3::import_exception!(vna.errors, BadRequest);
pyo3::import_exception!(vna.errors, Busy);
pyo3::import_exception!(vna.errors, Conflict);
pyo3::import_exception!(vna.errors, ContextRefused);
pyo3::import_exception!(vna.errors, DeadlineExceeded);
pyo3::import_exception!(vna.errors, EncodingError);
pyo3::import_exception!(vna.errors, IdentifierMismatch);
pyo3::import_exception!(vna.errors, NotAllowed);
pyo3::import_exception!(vna.errors, NotFound);
pyo3::import_exception!(vna.errors, NotImplementedYet);
pyo3::import_exception!(vna.errors, OutOfRange);
pyo3::import_exception!(vna.errors, OutOfStorage);
pyo3::import_exception!(vna.errors, PeerClosed);
pyo3::import_exception!(vna.errors, PeerProtocolError);
pyo3::import_exception!(vna.errors, PeerTimeout);
pyo3::import_exception!(vna.errors, PeerTlsFailed);
pyo3::import_exception!(vna.errors, PeerUnreachable);
pyo3::import_exception!(vna.errors, ReadOnly);
pyo3::import_exception!(vna.errors, RequestTimeout);
pyo3::import_exception!(vna.errors, SettingsError);
pyo3::import_exception!(vna.errors, SopClassMismatch);
pyo3::import_exception!(vna.errors, StorageDamaged);
pyo3::import_exception!(vna.errors, StorageFailed);
pyo3::import_exception!(vna.errors, TooLarge);
pyo3::import_exception!(vna.errors, UnsupportedImage);
pyo3::import_exception!(vna.errors, UnsupportedMediaType);
pyo3::import_exception!(vna.errors, UnknownTag);
pyo3::import_exception!(vna.errors, UnknownItem);

/// What can go wrong on the way between Python and the core.
#[derive(Debug)]
pub enum BoundaryError {
    /// The archive refused or failed.
    Archive(ArchiveError),
    /// The same, for all of a group.
    Shared(std::sync::Arc<ArchiveError>),
    /// A text that is asked for as a public id, and is none.
    NoSuchId {
        /// The level that was asked.
        level: Level,
        /// The beginning of the text.
        text: String,
    },
    /// An argument is not what the signature says.
    Argument(String),
    /// The archive stopped before it answered.
    Stopped,
    /// The client of an HTTP request closed the connection.
    ClientGone,
    /// The client of an HTTP request sends nothing, or next to nothing.
    Stalled {
        /// Bytes that came in the time.
        bytes: u64,
        /// The time, in seconds.
        timeout_s: f64,
        /// How many should have come.
        least: u64,
    },
    /// The association of a DIMSE request is over, or the request was answered.
    AssociationOver,
    /// A remote node did not do what it was asked for.
    Peer(PeerError),
    /// A remote node takes no instance such as the one that was to be sent.
    Unsendable(String),
}

impl From<ArchiveError> for BoundaryError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<DicomError> for BoundaryError {
    fn from(error: DicomError) -> Self {
        Self::Archive(error.into())
    }
}

impl From<PeerError> for BoundaryError {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

impl From<std::sync::Arc<ArchiveError>> for BoundaryError {
    fn from(error: std::sync::Arc<ArchiveError>) -> Self {
        Self::Shared(error)
    }
}

impl From<BoundaryError> for PyErr {
    fn from(error: BoundaryError) -> PyErr {
        match error {
            BoundaryError::Archive(error) => archive_error(&error),
            BoundaryError::Shared(error) => archive_error(&error),
            BoundaryError::NoSuchId { level, text } => {
                NotFound::new_err((format!("no {level} has the id {text:?}"), "not_found"))
            }
            BoundaryError::Argument(problem) => BadRequest::new_err((problem, "request.bad")),
            BoundaryError::ClientGone => {
                PyConnectionError::new_err("the client has closed the connection")
            }
            BoundaryError::Stalled {
                bytes,
                timeout_s,
                least,
            } => RequestTimeout::new_err((
                format!(
                    "{bytes} bytes of the body came within {timeout_s} s (http.body_timeout_s); it takes \
                     {least}, or its end"
                ),
                "request.timeout",
            )),
            BoundaryError::AssociationOver => {
                PyConnectionError::new_err("the association is over, or the request was answered")
            }
            BoundaryError::Peer(error) => peer_error(&error),
            BoundaryError::Unsendable(why) => ContextRefused::new_err((why, "context.refused")),
            BoundaryError::Stopped => Busy::new_err(("the archive is stopping", "archive.stopped")),
        }
    }
}

fn peer_error(error: &PeerError) -> PyErr {
    let (message, code) = (error.to_string(), error.code());
    match error {
        PeerError::Spec { .. } => BadRequest::new_err((message, code)),
        PeerError::Unreachable { .. } => PeerUnreachable::new_err((message, code)),
        PeerError::TimedOut { .. } => PeerTimeout::new_err((message, code)),
        PeerError::Rejected(rejection) => {
            let AssociateRj {
                result,
                source,
                reason,
            } = rejection;
            AssociationRejected::new_err((message, code, *result, *source, *reason))
        }
        PeerError::Aborted(abort) => {
            AssociationAborted::new_err((message, code, abort_source(*abort), abort.reason))
        }
        PeerError::Closed { .. } | PeerError::Released | PeerError::NotOpen => {
            PeerClosed::new_err((message, code))
        }
        PeerError::Tls { .. } => PeerTlsFailed::new_err((message, code)),
        PeerError::Protocol(_)
        | PeerError::Unexpected { .. }
        | PeerError::DataSetTooLong { .. } => PeerProtocolError::new_err((message, code)),
        PeerError::ContextRefused { .. } => ContextRefused::new_err((message, code)),
    }
}

fn archive_error(error: &ArchiveError) -> PyErr {
    let (message, code) = (error.to_string(), error.code());
    // No `_` arm: a new error does not compile until it has chosen its exception.
    match error {
        ArchiveError::Dicom(DicomError::Transcode { .. }) => {
            NotImplementedYet::new_err((message, code))
        }
        ArchiveError::Dicom(inner) => EncodingError::new_err((message, code, inner.offset())),
        ArchiveError::Edit(inner) => edit_error(inner, message, code),
        ArchiveError::Store(inner) => store_error(inner, message, code),
        ArchiveError::Index(inner) => index_error(inner, message, code),
        ArchiveError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            OutOfStorage::new_err((message, code))
        }
        ArchiveError::Io { .. }
        | ArchiveError::LogTooShort { .. }
        | ArchiveError::IndexTooOld { .. }
        | ArchiveError::Row { .. }
        | ArchiveError::Record { .. }
        | ArchiveError::Behind => StorageFailed::new_err((message, code)),
        ArchiveError::BadAttachment { .. } => StorageDamaged::new_err((message, code)),
        ArchiveError::Locked { .. } => AlreadyOpen::new_err((message, code)),
        ArchiveError::NotFound { .. } | ArchiveError::NoNote { .. } => {
            NotFound::new_err((message, code))
        }
        ArchiveError::Revision { .. } => Conflict::new_err((message, code)),
        ArchiveError::SystemNote { .. } => NotAllowed::new_err((message, code)),
        ArchiveError::MetaInDataSet { .. } => EncodingError::new_err((message, code)),
        ArchiveError::UidMismatch { .. } => SopClassMismatch::new_err((message, code)),
        ArchiveError::Upload(inner) => upload_error(inner, message, code),
        ArchiveError::Shared(inner) => archive_error(inner),
        ArchiveError::Dictionary(_)
        | ArchiveError::Policy { .. }
        | ArchiveError::Setting { .. }
        | ArchiveError::Tls(_) => SettingsError::new_err((message, code)),
        ArchiveError::Find(problem) => match problem.wrong {
            Wrong::Request => BadRequest::new_err((message, code)),
            Wrong::Range => OutOfRange::new_err((message, code)),
            Wrong::Tag => UnknownTag::new_err((message, code)),
            Wrong::Metadata => UnknownItem::new_err((message, code)),
            Wrong::TooLarge => TooLarge::new_err((message, code)),
        },
        ArchiveError::Identifier(problem) => match problem {
            IdentifierProblem::Mismatch(_) => IdentifierMismatch::new_err((message, code)),
            IdentifierProblem::Malformed(_) => EncodingError::new_err((message, code)),
            IdentifierProblem::TooLarge(_) => TooLarge::new_err((message, code)),
        },
        ArchiveError::Codec(CodecError::Unavailable { .. }) => Busy::new_err((message, code)),
        ArchiveError::Codec(_) | ArchiveError::Image(_) | ArchiveError::Transcode(_) => {
            UnsupportedImage::new_err((message, code))
        }
        ArchiveError::Picture(problem) => match problem {
            PictureProblem::NoSuchFrame { .. } | PictureProblem::NoSuchFrameNumber { .. } => {
                UnknownItem::new_err((message, code))
            }
            PictureProblem::Busy => Busy::new_err((message, code)),
            PictureProblem::NoImage { .. }
            | PictureProblem::Video { .. }
            | PictureProblem::Elsewhere { .. }
            | PictureProblem::Image(_)
            | PictureProblem::Report(_)
            | PictureProblem::Unlike { .. }
            | PictureProblem::TooLarge { .. } => UnsupportedImage::new_err((message, code)),
        },
        ArchiveError::Making(problem) => match problem {
            // As clients of Orthanc tell them apart: an item of a level, or a resource of any.
            MakingProblem::NoSuchResource { level: Some(_), .. } => {
                UnknownItem::new_err((message, code))
            }
            MakingProblem::NoSuchResource { level: None, .. } => NotFound::new_err((message, code)),
            MakingProblem::InstanceGone { .. } | MakingProblem::RowGone => {
                StorageFailed::new_err((message, code))
            }
            MakingProblem::DirectoryTooLong => BadRequest::new_err((message, code)),
            MakingProblem::Busy => Busy::new_err((message, code)),
            MakingProblem::TooLong { .. } => OutOfStorage::new_err((message, code)),
        },
        ArchiveError::Room { .. } => OutOfStorage::new_err((message, code)),
        ArchiveError::ReadOnly => ReadOnly::new_err((message, code)),
        ArchiveError::Stopped => Busy::new_err((message, code)),
    }
}

fn edit_error(error: &EditError, message: String, code: &'static str) -> PyErr {
    match error {
        EditError::Recipe { .. } | EditError::NeedsForce { .. } | EditError::Needed { .. } => {
            BadRequest::new_err((message, code))
        }
        EditError::Type { .. } => BadParameter::new_err((message, code)),
        EditError::UnknownTag { .. } => UnknownTag::new_err((message, code)),
        EditError::Path { .. } | EditError::Profile { .. } => OutOfRange::new_err((message, code)),
        EditError::Value { .. } => BadBody::new_err((message, code)),
        EditError::Scope => TooLarge::new_err((message, code)),
        EditError::Dicom(inner) => EncodingError::new_err((message, code, inner.offset())),
    }
}

fn upload_error(error: &UploadError, message: String, code: &'static str) -> PyErr {
    match error.refusal() {
        Refusal::NotDicom => EncodingError::new_err((message, code, 0)),
        Refusal::Malformed => BadRequest::new_err((message, code)),
        Refusal::TooLarge => TooLarge::new_err((message, code)),
        Refusal::Conflict => Conflict::new_err((message, code)),
        Refusal::Unsupported => UnsupportedMediaType::new_err((message, code)),
        Refusal::Unreadable => StorageFailed::new_err((message, code)),
    }
}

fn store_error(error: &StoreError, message: String, code: &'static str) -> PyErr {
    match error {
        StoreError::Full { .. } => OutOfStorage::new_err((message, code)),
        StoreError::Locked { .. } => AlreadyOpen::new_err((message, code)),
        StoreError::TooLarge { .. } => EncodingError::new_err((message, code)),
        StoreError::Damaged(_) => StorageDamaged::new_err((message, code, error.offset())),
        StoreError::Io(_)
        | StoreError::GroupFailed(_)
        | StoreError::Gone { .. }
        | StoreError::OtherBlob { .. }
        | StoreError::Version { .. }
        | StoreError::Foreign { .. }
        | StoreError::ReservedKind(_)
        | StoreError::NotAPack { .. }
        | StoreError::NotCovered { .. } => StorageFailed::new_err((message, code, error.offset())),
    }
}

fn index_error(error: &IndexError, message: String, code: &'static str) -> PyErr {
    match error {
        IndexError::Full => OutOfStorage::new_err((message, code)),
        IndexError::BadQuery { .. } => BadRequest::new_err((message, code)),
        IndexError::Deadline => DeadlineExceeded::new_err((message, code)),
        IndexError::EmptyUid { .. } => EncodingError::new_err((message, code)),
        IndexError::Corrupt { .. }
        | IndexError::Missing { .. }
        | IndexError::SchemaTooNew { .. }
        | IndexError::LsnOrder { .. }
        | IndexError::BadRow { .. }
        | IndexError::OutOfRange { .. }
        | IndexError::Engine { .. }
        | IndexError::Io { .. }
        | IndexError::Broken => StorageFailed::new_err((message, code)),
    }
}
