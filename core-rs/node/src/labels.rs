//! Labels: given and taken by requests and by AE titles that are views, kept in the log.
//!
//! The index promises that a label's record stands behind the arrival of an instance of its resource, and tells of
//! labels for which that is no longer so. [`write_again`] records those once more; housekeeping does it before bytes
//! go that rows need no more.

use std::sync::Arc;
use std::sync::mpsc;

use vna_dicom::{Level, PublicId};
use vna_index::{Index, Label, Outcome};

use crate::archive::Archive;
use crate::arrival::now_us;
use crate::committer::{Committer, Deed, Work, append};
use crate::error::ArchiveError;
use crate::find::{FindProblem, Wrong, shown};

/// Longest label that clients of Orthanc can use.
pub const MAX_LABEL_BYTES: usize = 64;

/// Labels that are recorded at a time.
const AT_ONCE: usize = 256;

/// Records labels once more. What it frees has no row any more.
pub(crate) type Recorder = Box<dyn Fn(Vec<Label>) -> Result<(), ArchiveError> + Send + Sync>;

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
    pub fn put_label(&self, label: &Label) -> Result<(), Arc<ArchiveError>> {
        if self.has_label(label)? {
            return Ok(()); // nothing to record
        }
        match self.record(Deed::Labelling {
            label: label.clone(),
            at_us: now_us(),
            again: false,
        })? {
            Outcome::Labelled { .. } => Ok(()),
            _ => Err(Arc::new(not_found(label))),
        }
    }

    /// Takes a label from a resource, if it has it.
    ///
    /// # Errors
    ///
    /// As [`put_label`](Self::put_label).
    pub fn take_label(&self, label: &Label) -> Result<(), Arc<ArchiveError>> {
        if !self.has_label(label)? {
            return Ok(());
        }
        match self.record(Deed::Unlabelling {
            label: label.clone(),
            at_us: now_us(),
        })? {
            Outcome::Unlabelled { .. } => Ok(()),
            _ => Err(Arc::new(not_found(label))),
        }
    }

    /// Whether a resource has a label.
    ///
    /// # Errors
    ///
    /// As [`put_label`](Self::put_label).
    pub fn has_label(&self, label: &Label) -> Result<bool, ArchiveError> {
        check_label(&label.label)?;
        let labels = self.labels(label.tenant, label.level, &label.public_id)?;
        Ok(labels.contains(&label.label))
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

fn not_found(label: &Label) -> ArchiveError {
    ArchiveError::NotFound {
        level: label.level,
        public_id: label.public_id,
    }
}

/// The deed that records a label once more.
pub(crate) fn once_more(label: Label) -> Deed {
    Deed::Labelling {
        label,
        at_us: now_us(),
        again: true,
    }
}

/// Through the committer of an open archive.
pub(crate) fn through(committer: Arc<Committer>) -> Recorder {
    Box::new(move |labels| {
        let (reply, answers) = mpsc::channel();
        for label in labels {
            let reply = reply.clone();
            committer.submit(Work {
                deed: once_more(label),
                reply: Box::new(move |answer| drop(reply.send(answer))),
            });
        }
        drop(reply);
        for answer in answers {
            answer.map_err(ArchiveError::Shared)?;
        }
        Ok(())
    })
}

/// Into log and index that nobody else has open. The records that it frees are marked dead when what is live is
/// counted the next time.
pub(crate) fn directly(log: Arc<vna_store::Log>, index: Arc<dyn Index>) -> Recorder {
    Box::new(move |labels| {
        let entries = append(&log, labels.into_iter().map(once_more).collect())?;
        index.apply(&entries)?;
        Ok(())
    })
}

/// Records the labels once more that have lost their ground.
pub(crate) fn write_again(index: &dyn Index, recorder: &Recorder) -> Result<(), ArchiveError> {
    let mut before = Vec::new();
    loop {
        let labels = index.unfounded_labels(AT_ONCE)?;
        if labels.is_empty() {
            return Ok(());
        }
        if labels == before {
            // What did not help once does not help again; `vna check` tells more.
            tracing::error!(
                labels = labels.len(),
                "the index contradicts itself: labels without ground"
            );
            return Ok(());
        }
        before.clone_from(&labels);
        recorder(labels)?;
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
