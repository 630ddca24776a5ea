//! Notes whose records are damaged or gone: the index knows what most of them said.

use std::sync::Arc;

use vna_index::{NoteContent, NoteId, RecordedNote, Subject};
use vna_store::Log;

use super::{Repair, is_whole};
use crate::arrival::now_us;
use crate::committer::{Deed, append};
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::notes::{TakenNote, once_more};
use crate::stored_file::StoredFiles;

impl Repair<'_> {
    /// Records notes again that the index knows and the log does not; an attachment whose bytes are lost is told, and
    /// taken if that is accepted.
    pub(super) fn restore_notes(
        &mut self,
        files: &Arc<StoredFiles>,
        notes: Vec<RecordedNote>,
    ) -> Result<(), ArchiveError> {
        let (mut known, mut lost) = (Vec::new(), Vec::new());
        for found in notes {
            match self.has_bytes(files, &found)? {
                true => known.push(found),
                false => lost.push(found.note.id),
            }
        }
        let what = format!(
            "{} notes (labels, metadata, attachments) of which the record is damaged: recorded again",
            known.len()
        );
        if !known.is_empty() && self.does(what) {
            for found in known {
                append(files.log(), vec![once_more(files, found)?])?;
            }
        }
        self.give_up_notes(files.log(), lost)
    }

    fn has_bytes(
        &self,
        files: &Arc<StoredFiles>,
        found: &RecordedNote,
    ) -> Result<bool, ArchiveError> {
        match (&found.note.content, &found.blob) {
            (NoteContent::Bytes(_), Some(blob)) => {
                let blob = blob_ref(blob)?;
                // What is salvaged without its record begins as a DICOM file does; this does not.
                let is_there = files.log().check_record(&blob).is_ok();
                Ok(is_there && is_whole(files, &blob)?)
            }
            _ => Ok(true),
        }
    }

    fn give_up_notes(&mut self, log: &Log, lost: Vec<NoteId>) -> Result<(), ArchiveError> {
        for id in lost {
            let Subject::Attachment(number) = id.subject else {
                continue;
            };
            let (level, public_id) = (id.level.as_str(), id.public_id);
            let what = format!("attachment {number} of {level} {public_id} is lost");
            if !self.options.accept_loss {
                self.report.left.push(format!(
                    "{what}: to be attached again, or given up with --accept-loss"
                ));
                continue;
            }
            if self.does(format!("{what} and given up: taken")) {
                let taken = TakenNote {
                    id,
                    at_us: now_us(),
                    condition: None,
                };
                append(log, vec![Deed::Unnoting(Box::new(taken))])?;
            }
        }
        Ok(())
    }
}
