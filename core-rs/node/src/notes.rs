//! Notes of resources, kept in the log: labels, metadata, attachments, protection.
//!
//! 1. Who changes a note may say which revision he has seen; of two who have seen the same one, one is refused. Notes
//!    are decided by the thread that appends, when the index has taken all that was appended before: nothing comes
//!    between a decision and its record. What is recorded is decided, its revision too, so a replay decides nothing.
//! 2. The index promises that a note's record stands behind the arrival of an instance of its resource, and tells of
//!    notes for which that is no longer so. [`write_again`] records those once more; housekeeping does it before bytes
//!    go that rows need no more.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Seen;
use std::sync::Arc;
use std::sync::mpsc;

use md5::{Digest as _, Md5};
use vna_dicom::{Level, PublicId};
use vna_index::{
    Index, Note, NoteContent, NoteId, Outcome, RecordedNote, Subject, attachment_number,
    metadata_number,
};
use vna_store::Log;

use crate::archive::Archive;
use crate::arrival::now_us;
use crate::attachments::changeable;
use crate::committer::{Committer, Deed, File, Work, append};
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::find::{FindProblem, Wrong};
use crate::note_header::hex;
use crate::stored_file::{StoredFile, StoredFiles};
use crate::undelete::copy_large;

/// Longest value of metadata: rows of the index hold it.
const MAX_METADATA_BYTES: usize = 16 << 20;

/// Notes that are recorded at a time.
const AT_ONCE: usize = 256;

/// A state of a note, as clients name it: `"number-md5"` in an ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// How often it was changed since it was made.
    pub number: u64,
    /// MD5 of what it says, in hexadecimal digits.
    pub md5: String,
}

/// On what a change of a note depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// What is there is the one that was named; unless it `must_be`, none needs to be named. What is not there can be
    /// made in any case.
    Revision {
        /// Whether one must be named.
        must_be: bool,
        /// The one that was named.
        named: Option<Revision>,
    },
    /// There is none.
    Absent,
}

/// A note on its way into the log.
pub(crate) struct NewNote {
    /// Its revision is decided when it is appended, if there is a condition.
    pub note: Note,
    /// What it says, as the record keeps it.
    pub file: File,
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// It was there before, and nothing has changed.
    pub again: bool,
    /// `None`: it was decided before.
    pub condition: Option<Condition>,
}

/// A note on its way out.
pub(crate) struct TakenNote {
    pub id: NoteId,
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// `None`: it was decided before.
    pub condition: Option<Condition>,
}

/// MD5 of some bytes.
#[must_use]
pub fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The revision of a note.
pub(crate) fn revision_of(note: &Note) -> Revision {
    let md5 = match &note.content {
        NoteContent::Nothing => md5_of(b""),
        NoteContent::Value(value) => md5_of(value),
        NoteContent::Bytes(attached) => attached.md5,
    };
    Revision {
        number: note.revision,
        md5: hex(&md5),
    }
}

/// What the record of a small note keeps.
fn said(note: &Note) -> Vec<u8> {
    match (&note.id.subject, &note.content) {
        (Subject::Label(label), _) => label.clone().into_bytes(),
        (_, NoteContent::Value(value)) => value.clone(),
        _ => b"1".to_vec(),
    }
}

impl NewNote {
    /// One whose record keeps what the note itself has.
    pub(crate) fn small(note: Note, condition: Option<Condition>) -> Self {
        Self {
            file: File::in_memory(said(&note)),
            note,
            at_us: now_us(),
            again: false,
            condition,
        }
    }
}

/// Answers those whose condition does not hold, or whose resource is not there; gives the others, decided: (1). Called
/// when the index has taken all that was appended before.
pub(crate) fn decide(index: &dyn Index, group: Vec<Work>) -> Vec<Work> {
    let mut seen: HashMap<NoteId, Option<Revision>> = HashMap::new();
    let mut decided = Vec::with_capacity(group.len());
    for mut work in group {
        match decide_one(index, &mut work.deed, &mut seen) {
            Ok(()) => decided.push(work),
            Err(error) => (work.reply)(Err(Arc::new(error))),
        }
    }
    decided
}

fn decide_one(
    index: &dyn Index,
    deed: &mut Deed,
    seen: &mut HashMap<NoteId, Option<Revision>>,
) -> Result<(), ArchiveError> {
    let (id, condition) = match deed {
        Deed::Noting(new) => (new.note.id.clone(), new.condition.take()),
        Deed::Unnoting(taken) => (taken.id.clone(), taken.condition.take()),
        _ => return Ok(()),
    };
    let Some(condition) = condition else {
        return Ok(());
    };
    let current = match seen.entry(id.clone()) {
        Seen::Occupied(seen) => seen.into_mut(),
        Seen::Vacant(unseen) => {
            let found = index.note(&id)?.ok_or_else(|| not_found(&id))?;
            unseen.insert(found.map(|found| revision_of(&found.note)))
        }
    };
    check(&id, &condition, current.as_ref())?;
    match deed {
        Deed::Noting(new) => {
            if condition != Condition::Absent {
                new.note.revision = current.as_ref().map_or(0, |current| current.number + 1);
            }
            *current = Some(revision_of(&new.note));
        }
        _ if current.is_none() => return Err(not_there(&id)),
        _ => *current = None,
    }
    Ok(())
}

impl Condition {
    /// Whether a note may be changed that is `current` now.
    pub(crate) fn check(
        &self,
        id: &NoteId,
        current: Option<&Revision>,
    ) -> Result<(), ArchiveError> {
        check(id, self, current)
    }
}

fn check(
    id: &NoteId,
    condition: &Condition,
    current: Option<&Revision>,
) -> Result<(), ArchiveError> {
    let Some(current) = current else {
        return Ok(());
    };
    let found = || format!("\"{}-{}\"", current.number, current.md5);
    let problem = match condition {
        Condition::Revision {
            named: None,
            must_be: false,
        } => return Ok(()),
        Condition::Revision {
            named: Some(named), ..
        } if named == current => return Ok(()),
        Condition::Revision { named: None, .. } => format!(
            "no revision was named (If-Match); it is {}, and notes.check_revisions asks for it",
            found()
        ),
        Condition::Revision {
            named: Some(named), ..
        } => format!(
            "revision \"{}-{}\" was named (If-Match); it is {}: read it again before changing it",
            named.number,
            named.md5,
            found()
        ),
        Condition::Absent => "it is there already".to_owned(),
    };
    Err(ArchiveError::Revision {
        problem: format!("{} of the {}: {problem}", subject(id), id.level.as_str()),
    })
}

fn subject(id: &NoteId) -> String {
    match &id.subject {
        Subject::Label(label) => format!("label {label}"),
        Subject::Metadata(number) => format!("metadata {number}"),
        Subject::Attachment(number) => format!("attachment {number}"),
        Subject::Protection => "protection".to_owned(),
    }
}

pub(crate) fn not_found(id: &NoteId) -> ArchiveError {
    ArchiveError::NotFound {
        level: id.level,
        public_id: id.public_id,
    }
}

pub(crate) fn not_there(id: &NoteId) -> ArchiveError {
    ArchiveError::NoNote {
        problem: format!("the {} has no {}", id.level.as_str(), subject(id)),
    }
}

impl Archive {
    /// A note of a resource, if it has it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if there is no such resource; what the index says.
    pub fn note(&self, id: &NoteId) -> Result<Option<RecordedNote>, ArchiveError> {
        self.index().note(id)?.ok_or_else(|| not_found(id))
    }

    /// Gives a resource metadata of a type of users that is given by name or number, in place of what it had of that
    /// type; when this returns it is durable.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::SystemNote`] or [`ArchiveError::Find`] if users have no such type, [`ArchiveError::Revision`] if the condition does not hold, [`ArchiveError::NotFound`] if the resource is not
    /// there; what log and index say.
    pub fn put_metadata(
        &self,
        (tenant, level, public_id): (i64, Level, PublicId),
        name: &str,
        value: Vec<u8>,
        condition: Condition,
    ) -> Result<Revision, Arc<ArchiveError>> {
        let number = changeable(name, metadata_number(name))?;
        if value.len() > MAX_METADATA_BYTES {
            let text = format!(
                "metadata has at most {MAX_METADATA_BYTES} bytes; this has {}: attach it",
                value.len()
            );
            return Err(Arc::new(FindProblem::new(Wrong::Range, text).into()));
        }
        let note = Note {
            id: NoteId {
                tenant,
                level,
                public_id,
                subject: Subject::Metadata(number),
            },
            revision: 0,
            content: NoteContent::Value(value),
        };
        self.put_note(NewNote::small(note, Some(condition)))
    }

    /// Takes metadata of a type of users from a resource.
    ///
    /// # Errors
    ///
    /// Those of [`put_metadata`](Self::put_metadata); [`ArchiveError::NoNote`] if it has none of that type.
    pub fn take_metadata(
        &self,
        of: (i64, Level, PublicId),
        name: &str,
        condition: Condition,
    ) -> Result<(), Arc<ArchiveError>> {
        let subject = Subject::Metadata(changeable(name, metadata_number(name))?);
        self.take_note(of, subject, condition)
    }

    /// Takes an attachment of a type of users from a resource.
    ///
    /// # Errors
    ///
    /// Those of [`take_metadata`](Self::take_metadata).
    pub fn take_attachment(
        &self,
        of: (i64, Level, PublicId),
        name: &str,
        condition: Condition,
    ) -> Result<(), Arc<ArchiveError>> {
        let subject = Subject::Attachment(changeable(name, attachment_number(name))?);
        self.take_note(of, subject, condition)
    }

    fn take_note(
        &self,
        (tenant, level, public_id): (i64, Level, PublicId),
        subject: Subject,
        condition: Condition,
    ) -> Result<(), Arc<ArchiveError>> {
        let id = NoteId {
            tenant,
            level,
            public_id,
            subject,
        };
        let taken = TakenNote {
            id: id.clone(),
            at_us: now_us(),
            condition: Some(condition),
        };
        match self.record(Deed::Unnoting(Box::new(taken)))? {
            Outcome::Unnoted { .. } => Ok(()),
            _ => Err(Arc::new(not_found(&id))),
        }
    }

    /// Protects a patient from recycling, or lets it go with the others again.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if it is not there; what log and index say.
    pub fn protect(
        &self,
        tenant: i64,
        patient: &PublicId,
        is_protected: bool,
    ) -> Result<(), Arc<ArchiveError>> {
        let id = NoteId {
            tenant,
            level: Level::Patient,
            public_id: *patient,
            subject: Subject::Protection,
        };
        if self.note(&id)?.is_some() == is_protected {
            return Ok(());
        }
        let outcome = match is_protected {
            true => {
                let note = Note {
                    id: id.clone(),
                    revision: 0,
                    content: NoteContent::Nothing,
                };
                self.record(Deed::Noting(Box::new(NewNote::small(note, None))))?
            }
            false => {
                let (id, at_us, condition) = (id.clone(), now_us(), None);
                let taken = TakenNote {
                    id,
                    at_us,
                    condition,
                };
                self.record(Deed::Unnoting(Box::new(taken)))?
            }
        };
        match outcome {
            Outcome::Noted { .. } | Outcome::Unnoted { .. } => Ok(()),
            _ => Err(Arc::new(not_found(&id))),
        }
    }

    /// Records a note, and gives what it is now.
    pub(crate) fn put_note(&self, mut new: NewNote) -> Result<Revision, Arc<ArchiveError>> {
        let header = crate::note_header::NoteHeader::of_note(&new.note, new.at_us);
        // One that no group can take must not fail a group of others.
        self.log()
            .check(new.file.buffered_bytes(), header.to_bytes().len())
            .map_err(ArchiveError::from)?;
        let (id, mut put) = (new.note.id.clone(), revision_of(&new.note));
        if !new.again {
            new.at_us = now_us();
        }
        match self.record(Deed::Noting(Box::new(new)))? {
            Outcome::Noted { revision, .. } => {
                put.number = revision;
                Ok(put)
            }
            _ => Err(Arc::new(not_found(&id))),
        }
    }
}

/// Records notes once more. What it frees has no row any more.
pub(crate) type Recorder = Box<dyn Fn(Vec<Deed>) -> Result<(), ArchiveError> + Send + Sync>;

/// Through the committer of an open archive.
pub(crate) fn through(committer: Arc<Committer>) -> Recorder {
    Box::new(move |deeds| {
        let (reply, answers) = mpsc::channel();
        for deed in deeds {
            let reply = reply.clone();
            let reply = Box::new(move |answer| drop(reply.send(answer)));
            committer.submit(Work::new(deed, reply));
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
pub(crate) fn directly(log: Arc<Log>, index: Arc<dyn Index>) -> Recorder {
    Box::new(move |deeds| {
        let entries = append(&log, deeds)?;
        index.apply(&entries)?;
        Ok(())
    })
}

/// The deed that records a note once more: a copy of what its record keeps.
///
/// # Errors
///
/// What the log says of the bytes of an attachment.
pub(crate) fn once_more(
    files: &Arc<StoredFiles>,
    recorded: RecordedNote,
) -> Result<Deed, ArchiveError> {
    let RecordedNote { note, blob } = recorded;
    let file = match (&note.content, blob) {
        (NoteContent::Bytes(_), Some(blob)) => copy(files, &files.open(&blob_ref(&blob)?)?)?,
        _ => File::in_memory(said(&note)),
    };
    Ok(Deed::Noting(Box::new(NewNote {
        note,
        file,
        at_us: now_us(),
        again: true,
        condition: None,
    })))
}

/// The same bytes once more, in memory or in a file of their own as they are now. They are compared with their digest:
/// damage must not get a digest of its own.
pub(crate) fn copy(files: &Arc<StoredFiles>, reader: &StoredFile) -> Result<File, ArchiveError> {
    if matches!(reader.blob().place, vna_store::Place::File { .. }) {
        return Ok(File::Large(copy_large(files.log(), reader)?));
    }
    let bytes = reader.read_all()?;
    if vna_store::Digest::of(&bytes) != reader.blob().digest {
        reader.verify()?; // tells what is wrong
    }
    Ok(File::in_memory(bytes))
}

/// Records the notes once more that have lost their ground: (2).
pub(crate) fn write_again(
    index: &dyn Index,
    files: &Arc<StoredFiles>,
    recorder: &Recorder,
) -> Result<(), ArchiveError> {
    let mut before = Vec::new();
    loop {
        let notes = index.unfounded_notes(AT_ONCE)?;
        if notes.is_empty() {
            return Ok(());
        }
        if notes == before {
            // What did not help once does not help again; `vna check` tells more.
            tracing::error!(
                notes = notes.len(),
                "the index contradicts itself: notes without ground"
            );
            return Ok(());
        }
        before.clone_from(&notes);
        let (attached, small): (Vec<_>, Vec<_>) = notes
            .into_iter()
            .partition(|found| matches!(found.note.content, NoteContent::Bytes(_)));
        let small: Result<Vec<Deed>, _> = small
            .into_iter()
            .map(|found| once_more(files, found))
            .collect();
        recorder(small?)?;
        // One at a time in memory.
        for found in attached {
            recorder(vec![once_more(files, found)?])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64, md5: &str) -> Revision {
        Revision {
            number,
            md5: md5.into(),
        }
    }

    #[test]
    fn what_is_there_is_changed_by_who_has_seen_it() {
        let id = NoteId {
            tenant: 1,
            level: Level::Study,
            public_id: PublicId::study("P", "1"),
            subject: Subject::Metadata(1024),
        };
        let current = revision(2, "aa");
        let named = |must_be, number, md5| Condition::Revision {
            must_be,
            named: Some(revision(number, md5)),
        };
        let none = |must_be| Condition::Revision {
            must_be,
            named: None,
        };
        for (condition, there, absent) in [
            (none(false), true, true),
            (none(true), false, true),
            (named(true, 2, "aa"), true, true),
            (named(false, 2, "aa"), true, true),
            (named(true, 2, "bb"), false, true),
            (named(false, 1, "aa"), false, true),
            (Condition::Absent, false, true),
        ] {
            assert_eq!(
                check(&id, &condition, Some(&current)).is_ok(),
                there,
                "{condition:?}"
            );
            assert_eq!(
                check(&id, &condition, None).is_ok(),
                absent,
                "{condition:?}"
            );
        }
    }
}
