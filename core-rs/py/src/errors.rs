//! Errors of the core as the exceptions of `vna/errors.py`, where each is declared once.

use pyo3::PyErr;
use vna_dicom::DicomError;
use vna_node::ArchiveError;

pyo3::import_exception!(vna.errors, AlreadyOpen);
pyo3::import_exception!(vna.errors, BadRequest);
pyo3::import_exception!(vna.errors, Busy);
pyo3::import_exception!(vna.errors, EncodingError);
pyo3::import_exception!(vna.errors, NotFound);
pyo3::import_exception!(vna.errors, OutOfStorage);
pyo3::import_exception!(vna.errors, SettingsError);
pyo3::import_exception!(vna.errors, SopClassMismatch);
pyo3::import_exception!(vna.errors, StorageFailed);

/// What can go wrong on the way between Python and the core.
#[derive(Debug)]
pub enum BoundaryError {
    /// The archive refused or failed.
    Archive(ArchiveError),
    /// An argument is not what the signature says.
    Argument(String),
    /// The archive stopped before it answered.
    Stopped,
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
