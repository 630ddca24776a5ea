//! Notes in the model: what a resource has of them, how often each was changed, and what a deletion took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vna_dicom::{Level, PublicId};
use vna_index::{NoteContent, NoteId, Subject};
use vna_node::{Archive, ArchiveError, Condition, DEFAULT_TENANT, Revision, md5_of};

use super::{Done, Trouble, World, stopped_or};
use crate::common::Who;

/// A note, by what it is on.
type Key = (Level, String, Subject);

/// What a note says, and how often it was changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    revision: u64,
    content: Vec<u8>,
}

/// What is known of notes.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What may be noted: several things, if a request that was never answered decided it. `None`: nothing.
    may_be: BTreeMap<Key, BTreeSet<Option<Said>>>,
    /// What deletions took with its resource and what comes back with it, the last one last.
    taken: BTreeMap<Key, Vec<Said>>,
}

fn note(level: Level, of: Who, subject: Subject) -> NoteId {
    NoteId {
        tenant: DEFAULT_TENANT,
        level,
        public_id: of.public_id(level),
        subject,
    }
}

fn key(id: &NoteId) -> Key {
    (id.level, id.public_id.to_string(), id.subject.clone())
}

/// A note that says only that it is there.
fn there() -> Option<Said> {
    let content = Vec::new();
    Some(Said {
        revision: 0,
        content,
    })
}

/// What a note becomes that says something else now.
fn changed(before: Option<&Said>, content: &[u8]) -> Option<Said> {
    Some(Said {
        revision: before.map_or(0, |before| before.revision + 1),
        content: content.to_vec(),
    })
}

/// A change on which nothing depends.
fn anyhow() -> Condition {
    Condition::Revision {
        must_be: false,
        named: None,
    }
}

/// Notes something with the archive: metadata, or an attachment.
fn put(
    archive: &Arc<Archive>,
    id: &NoteId,
    content: &[u8],
    condition: Condition,
) -> Result<Revision, Arc<ArchiveError>> {
    match id.subject {
        Subject::Metadata(number) => {
            let of = (id.tenant, id.level, id.public_id);
            archive.put_metadata(of, &number.to_string(), content.to_vec(), condition)
        }
        Subject::Attachment(number) => {
            let name = number.to_string();
            let mut writer =
                archive.new_attachment(id.tenant, id.level, &id.public_id, &name, condition)?;
            for piece in content.chunks(1000) {
                writer.write(piece)?;
            }
            writer.finish()
        }
        _ => panic!("{id:?} has no content"),
    }
}

/// What the archive says of a note; `Err` if its resource is not there.
fn found(archive: &Archive, id: &NoteId) -> Result<Option<Said>, ArchiveError> {
    let Some(found) = archive.note(id)? else {
        return Ok(None);
    };
    let content = match (found.note.content, &id.subject) {
        (NoteContent::Bytes(_), Subject::Attachment(number)) => {
            let name = number.to_string();
            archive.verify_attachment(id.tenant, id.level, &id.public_id, &name)?;
            let opened = archive.open_attachment(id.tenant, id.level, &id.public_id, &name)?;
            let mut content = vec![0; usize::try_from(opened.info.uncompressed_size).unwrap()];
            let read = opened.reader.read_at(&mut content, 0)?;
            content.truncate(read);
            content
        }
        (NoteContent::Value(value), _) => value,
        _ => Vec::new(),
    };
    Ok(Some(Said {
        revision: found.note.revision,
        content,
    }))
}

impl World {
    /// Gives a resource that is there a label.
    pub fn label(&mut self, level: Level, of: Who, text: &str) -> Done {
        let id = note(level, of, Subject::Label(text.to_owned()));
        let answer = self.archive().put_label(&id);
        self.noted(&id, |_| there(), answer)
    }

    /// Gives a label to what is not there.
    pub fn label_refused(&mut self, level: Level, of: Who, text: &str) -> Done {
        let id = note(level, of, Subject::Label(text.to_owned()));
        (self.notes.may_be).insert(key(&id), BTreeSet::from([None]));
        match self.archive().put_label(&id) {
            Err(_) if self.disk.is_cut() => Err(Trouble::Stopped),
            Err(error) if matches!(*error, ArchiveError::NotFound { .. }) => Ok(()),
            other => Err(Trouble::Violation(format!("a refused label: {other:?}"))),
        }
    }

    /// Takes a label from a resource that is there.
    pub fn unlabel(&mut self, level: Level, of: Who, text: &str) -> Done {
        let id = note(level, of, Subject::Label(text.to_owned()));
        let answer = self.archive().take_label(&id);
        self.noted(&id, |_| None, answer)
    }

    /// Protects a patient that is there from recycling, or no longer.
    pub fn protect(&mut self, patient: Who, is_protected: bool) -> Done {
        let id = note(Level::Patient, patient, Subject::Protection);
        let answer = (self.archive()).protect(DEFAULT_TENANT, &id.public_id, is_protected);
        self.noted(&id, |_| there().filter(|_| is_protected), answer)
    }

    /// Gives a resource that is there metadata or an attachment, in place of what it has of that type.
    pub fn put(&mut self, level: Level, of: Who, subject: &Subject, content: &[u8]) -> Done {
        let id = note(level, of, subject.clone());
        let answer = put(self.archive(), &id, content, anyhow());
        self.noted(&id, |before| changed(before, content), answer)
    }

    /// The same by one who has seen another revision than there is.
    pub fn put_refused(&mut self, level: Level, of: Who, subject: &Subject) -> Done {
        let id = note(level, of, subject.clone());
        let condition = Condition::Revision {
            must_be: true,
            named: Some(Revision {
                number: 1000,
                md5: String::new(),
            }),
        };
        match put(self.archive(), &id, b"never", condition) {
            Err(_) if self.disk.is_cut() => Err(Trouble::Stopped),
            Err(error) if matches!(*error, ArchiveError::Revision { .. }) => self.check(),
            other => Err(Trouble::Violation(format!("a refused note: {other:?}"))),
        }
    }

    /// Stores what there is of an attachment compressed, or plain again.
    pub fn compress(&mut self, level: Level, of: Who, number: i64, is_compressed: bool) -> Done {
        let id = note(level, of, Subject::Attachment(number));
        let name = number.to_string();
        let answer = self.archive().recompress_attachment(
            id.tenant,
            level,
            &id.public_id,
            &name,
            is_compressed,
        );
        let becomes = |before: Option<&Said>| changed(before, &before.expect("is there").content);
        self.noted(&id, becomes, answer)
    }

    /// Takes metadata or an attachment from a resource that has it.
    pub fn take(&mut self, level: Level, of: Who, subject: &Subject) -> Done {
        let id = note(level, of, subject.clone());
        let of = (id.tenant, id.level, id.public_id);
        let archive = self.archive();
        let answer = match subject {
            Subject::Metadata(number) => archive.take_metadata(of, &number.to_string(), anyhow()),
            Subject::Attachment(number) => {
                archive.take_attachment(of, &number.to_string(), anyhow())
            }
            other => panic!("{other:?} is taken otherwise"),
        };
        self.noted(&id, |_| None, answer)
    }

    fn noted<T>(
        &mut self,
        id: &NoteId,
        becomes: impl Fn(Option<&Said>) -> Option<Said>,
        answer: Result<T, Arc<ArchiveError>>,
    ) -> Done {
        let unheard_of = || BTreeSet::from([None]);
        let may_be = self.notes.may_be.entry(key(id)).or_insert_with(unheard_of);
        let after = may_be.iter().map(|before| becomes(before.as_ref()));
        let after: BTreeSet<_> = after.collect();
        match &answer {
            Ok(_) => *may_be = after,
            Err(_) => may_be.extend(after), // never answered: as before, or as was asked
        }
        stopped_or(&self.disk, "noting", answer).map(drop)
    }

    /// Whether a patient may be protected, and whether it certainly is.
    pub(super) fn is_protected(&self, patient: u8) -> (bool, bool) {
        let id = note(Level::Patient, Who(patient, 1, 1, 1), Subject::Protection);
        match self.notes.may_be.get(&key(&id)) {
            None => (false, false),
            Some(may_be) => (
                may_be.iter().any(Option::is_some),
                may_be.iter().all(Option::is_some),
            ),
        }
    }

    /// Notes go with what there is nothing of any more. Called when the fates say so for certain.
    pub(super) fn notes_after_deletion(&mut self) {
        let there = self.resources();
        for (key, may_be) in &mut self.notes.may_be {
            if there.contains(&(key.0, key.1.clone())) {
                continue;
            }
            let before = std::mem::replace(may_be, BTreeSet::from([None]));
            if self.undelete_hours > 0 {
                let taken = self.notes.taken.entry(key.clone()).or_default();
                taken.extend(before.into_iter().flatten());
            }
        }
        self.notes.taken.retain(|_, taken| !taken.is_empty());
    }

    /// Notes come back with what comes back.
    pub(super) fn notes_after_undeletion(&mut self, is_answered: bool) {
        let there = self.resources();
        for (key, taken) in self.notes.taken.clone() {
            if !there.contains(&(key.0, key.1.clone())) {
                continue;
            }
            // After cuts nobody knows any more what of it was taken, and by which deletion.
            let may_be = self.notes.may_be.entry(key.clone()).or_default();
            match is_answered && !self.is_unsure {
                true if may_be.iter().all(Option::is_none) => {
                    *may_be = BTreeSet::from([taken.last().cloned()]);
                }
                true => {} // what was noted since stays
                false => {
                    may_be.extend(taken.into_iter().map(Some));
                    may_be.insert(None);
                }
            }
            if is_answered {
                self.notes.taken.remove(&key);
            }
        }
    }

    /// What was deleted cannot be brought back any more, or not all of it.
    pub(super) fn notes_after_erasure(&mut self) {
        self.notes.taken.clear();
    }

    /// Every resource that may be there.
    fn resources(&self) -> BTreeSet<(Level, String)> {
        let live = self
            .fates
            .iter()
            .filter(|(_, fate)| fate.may_be.iter().any(Option::is_some));
        live.flat_map(|(who, _)| Level::ALL.map(|level| (level, who.public_id(level).to_string())))
            .collect()
    }

    /// Holds the notes that the archive shows against the model. What instances there are is known by now: a note is
    /// there with its resource, whatever a request that was never answered did to that, and goes with it.
    pub(super) fn check_notes(&mut self) -> Done {
        self.notes_after_deletion();
        let there = self.resources();
        let archive = self.archive.as_ref().expect("the archive is open");
        for (key, may_be) in &mut self.notes.may_be {
            let (level, id, subject) = key.clone();
            let public_id: PublicId = id.parse().expect("is an id");
            let note = NoteId {
                tenant: DEFAULT_TENANT,
                level,
                public_id,
                subject,
            };
            let found = match found(archive, &note) {
                Err(ArchiveError::NotFound { .. }) if !there.contains(&(level, id)) => None,
                found => stopped_or(&self.disk, "reading a note", found)?,
            };
            if !may_be.contains(&found) {
                return Err(Trouble::Violation(format!(
                    "{key:?} is {}, which is none of the {} that it may be",
                    described(found.as_ref()),
                    may_be.len()
                )));
            }
            *may_be = BTreeSet::from([found]);
        }
        self.check_lists_of_notes(&there)
    }

    /// Nothing is listed that is not there, and nothing that is there is missing.
    fn check_lists_of_notes(&self, there: &BTreeSet<(Level, String)>) -> Done {
        let of = |level: Level, id: &str| {
            let noted = self
                .notes
                .may_be
                .iter()
                .filter(|(_, is)| !is.contains(&None));
            let noted = noted.filter(move |(key, _)| key.0 == level && key.1 == id);
            noted.map(|(key, _)| key.2.clone()).collect::<Vec<_>>()
        };
        let index = self.archive().index();
        for (level, id) in there {
            let public_id: PublicId = id.parse().expect("is an id");
            let found = index.attachments(DEFAULT_TENANT, *level, &public_id);
            let found = stopped_or(&self.disk, "listing attachments", found)?.unwrap_or_default();
            let listed: Vec<_> = found.into_iter().map(|one| one.note.id.subject).collect();
            let is_attachment = |subject: &Subject| matches!(subject, Subject::Attachment(_));
            let expected: Vec<_> = of(*level, id).into_iter().filter(is_attachment).collect();
            if listed != expected {
                return Err(Trouble::Violation(format!(
                    "attachments of {level} {id} are {expected:?}, listed {listed:?}"
                )));
            }
        }
        let labels = self
            .notes
            .may_be
            .iter()
            .filter(|(_, is)| !is.contains(&None));
        let labels: BTreeSet<_> = labels
            .filter_map(|(key, _)| match &key.2 {
                Subject::Label(label) => Some(label.clone()),
                _ => None,
            })
            .collect();
        let listed = index.all_labels(DEFAULT_TENANT);
        let listed = stopped_or(&self.disk, "listing labels", listed)?;
        match listed.iter().eq(&labels) {
            true => Ok(()),
            false => Err(Trouble::Violation(format!(
                "labels are {labels:?}, listed {listed:?}"
            ))),
        }
    }
}

fn described(found: Option<&Said>) -> String {
    match found {
        None => "not there".into(),
        Some(said) => format!(
            "revision {} of {} bytes with MD5 {:?}",
            said.revision,
            said.content.len(),
            md5_of(&said.content)
        ),
    }
}
