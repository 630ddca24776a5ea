//! Labels: given and taken by requests and by AE titles that are views.

use std::sync::Arc;

use vna_dicom::{Level, PublicId};
use vna_index::{Note, NoteContent, NoteId, Outcome, Subject};

use crate::archive::Archive;
use crate::arrival::now_us;
use crate::committer::Deed;
use crate::error::ArchiveError;
use crate::find::{FindProblem, Wrong, shown};
use crate::notes::{NewNote, TakenNote, not_found};

/// Longest label that clients of Orthanc can use.
pub const MAX_LABEL_BYTES: usize = 64;

/// Refuses what is no label: 1 to 64 letters of ASCII, digits, `_` and `-`.
///
/// # Errors
///
/// [`ArchiveError::Find`], out of range.
pub fn check_label(label: &str) -> Result<(), ArchiveError> {
    let is_label = (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_label {
        return Ok(());
    }
    let text = format!(
        "a label has 1 to {MAX_LABEL_BYTES} letters A to Z and a to z, digits, _ and -; {} is none",
        shown(label)
    );
    Err(FindProblem::new(Wrong::Range, text).into())
}

impl Archive {
    /// Gives a resource a label; when this returns it is durable.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Find`] if it is none, [`ArchiveError::NotFound`] if the resource is not there; what log and
    /// index say.
    pub fn put_label(&self, label: &NoteId) -> Result<(), Arc<ArchiveError>> {
        if self.has_label(label)? {
            return Ok(()); // nothing to record
        }
        let note = Note {
            id: label.clone(),
            revision: 0,
            content: NoteContent::Nothing,
        };
        match self.record(Deed::Noting(Box::new(NewNote::small(note, None))))? {
            Outcome::Noted { .. } => Ok(()),
            _ => Err(Arc::new(not_found(label))),
        }
    }

    /// Takes a label from a resource, if it has it.
    ///
    /// # Errors
    ///
    /// As [`put_label`](Self::put_label).
    pub fn take_label(&self, label: &NoteId) -> Result<(), Arc<ArchiveError>> {
        if !self.has_label(label)? {
            return Ok(());
        }
        let taken = TakenNote {
            id: label.clone(),
            at_us: now_us(),
            condition: None,
        };
        match self.record(Deed::Unnoting(Box::new(taken)))? {
            Outcome::Unnoted { .. } => Ok(()),
            _ => Err(Arc::new(not_found(label))),
        }
    }

    /// Whether a resource has a label.
    ///
    /// # Errors
    ///
    /// As [`put_label`](Self::put_label).
    pub fn has_label(&self, label: &NoteId) -> Result<bool, ArchiveError> {
        match &label.subject {
            Subject::Label(text) => check_label(text)?,
            other => {
                let text = format!("{other:?} is no label");
                return Err(FindProblem::new(Wrong::Range, text).into());
            }
        }
        Ok(self.note(label)?.is_some())
    }

    /// The labels of a resource, sorted.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if it is not there; what the index says.
    pub fn labels(
        &self,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
    ) -> Result<Vec<String>, ArchiveError> {
        let labels = self.index().labels(tenant, level, public_id)?;
        labels.ok_or(ArchiveError::NotFound {
            level,
            public_id: *public_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_words() {
        for label in ["a", "A-1_z", &"x".repeat(64)] {
            assert!(check_label(label).is_ok(), "{label}");
        }
        for text in ["", "a b", "a.b", "é", "a/b", "a\\b", &"x".repeat(65)] {
            let error = check_label(text).expect_err("is refused");
            assert_eq!(error.code(), "request.out_of_range", "{text}");
        }
    }
}
