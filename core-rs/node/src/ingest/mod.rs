//! How bytes get in by HTTP and from disks: whatever form they come in, each DICOM file in them goes the same way.
//!
//! (1) A file is stored when it is whole and was found to be what its form says (sums, lengths), or not at all.
//! (2) In memory are at most the piece at hand, one object up to `storage.large_object_bytes`, and as much again that
//!     waits for its sync; a larger object is written to the disk as it comes. A ZIP archive is written to the disk
//!     first, since its directory is at its end.
//! (3) A file that cannot be stored says why, and does not keep those beside it from being stored.

mod error;
mod import;
pub(crate) mod inflate;
mod item;
pub(crate) mod multipart;
pub(crate) mod object;
pub(crate) mod pending;
mod report;
mod spool;
mod unpack;
pub(crate) mod upload;
mod zip;

pub use error::{Refusal, UploadError};
pub use import::{import_entries, import_files};
pub use report::Report;
pub(crate) use spool::sweep;
pub use upload::{Done, Head, Upload};
