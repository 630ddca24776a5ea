//! The head of an instance from a whole file or from a growing prefix of one.

use crate::{DicomError, Instance};

/// How far a [`HeaderReader`] is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Call again when the prefix holds this many bytes, or is complete.
    NeedMore {
        /// Length of the prefix that the next step takes.
        at_least: usize,
    },
    /// All up to the pixel data, or to the end, is read.
    Done(Instance),
}

/// Reads the head of an instance from a growing prefix, without going back over what it has passed.
#[derive(Debug)]
pub struct HeaderReader {
    position: usize,
}

impl HeaderReader {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn for_file() -> Self {
        HeaderReader { position: 0 }
    }

    /// For a bare data set, as C-STORE carries it.
    #[must_use]
    pub fn for_data_set(transfer_syntax_uid: &str) -> Self {
        let _ = transfer_syntax_uid;
        HeaderReader { position: 0 }
    }

    /// Reads on. `prefix` begins at byte 0 of the input each time; `complete` says that nothing follows it.
    ///
    /// # Errors
    ///
    /// Whatever [`DicomError`] names.
    pub fn advance(&mut self, prefix: &[u8], complete: bool) -> Result<Progress, DicomError> {
        let _ = complete;
        self.position = prefix.len();
        Err(DicomError::NotDicom { found: "an input" })
    }
}

/// Reads the head of a whole file.
///
/// # Errors
///
/// As [`HeaderReader::advance`].
pub fn read_instance(file: &[u8]) -> Result<Instance, DicomError> {
    match HeaderReader::for_file().advance(file, true)? {
        Progress::Done(instance) => Ok(instance),
        Progress::NeedMore { .. } => Err(DicomError::NotDicom {
            found: "an incomplete file",
        }),
    }
}
