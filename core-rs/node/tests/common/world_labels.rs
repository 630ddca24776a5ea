//! Labels in the model: which a resource has, and what a deletion took of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vna_dicom::{Level, PublicId};
use vna_index::{NoteId, Subject};
use vna_node::{ArchiveError, DEFAULT_TENANT};

use super::{Done, Trouble, World, stopped_or};
use crate::common::Who;

/// A label, by what it is on.
type Key = (Level, String, String);

/// What is known of labels.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Whether the resource may have it: both, if a request that was never answered decided it.
    may_have: BTreeMap<Key, BTreeSet<bool>>,
    /// Those that deletions took with their resources, and that come back with them.
    taken: BTreeSet<Key>,
}

fn label(level: Level, of: Who, text: &str) -> NoteId {
    NoteId::label(DEFAULT_TENANT, level, of.public_id(level), text)
}

fn key(label: &NoteId) -> Key {
    let Subject::Label(text) = &label.subject else {
        panic!("{label:?} is no label");
    };
    (label.level, label.public_id.to_string(), text.clone())
}

impl World {
    /// Gives a resource that is there a label.
    pub fn label(&mut self, level: Level, of: Who, text: &str) -> Done {
        let label = label(level, of, text);
        let answer = self.archive().put_label(&label);
        self.labelled(&label, true, answer)
    }

    /// Gives a label to what is not there.
    pub fn label_refused(&mut self, level: Level, of: Who, text: &str) -> Done {
        let label = label(level, of, text);
        self.labels
            .may_have
            .insert(key(&label), BTreeSet::from([false]));
        match self.archive().put_label(&label) {
            Err(_) if self.disk.is_cut() => Err(Trouble::Stopped),
            Err(error) if matches!(*error, ArchiveError::NotFound { .. }) => Ok(()),
            other => Err(Trouble::Violation(format!("a refused label: {other:?}"))),
        }
    }

    /// Takes a label from a resource that is there.
    pub fn unlabel(&mut self, level: Level, of: Who, text: &str) -> Done {
        let label = label(level, of, text);
        let answer = self.archive().take_label(&label);
        self.labelled(&label, false, answer)
    }

    fn labelled(
        &mut self,
        label: &NoteId,
        has: bool,
        answer: Result<(), Arc<ArchiveError>>,
    ) -> Done {
        let was_known = self.labels.may_have.contains_key(&key(label));
        let before = self.labels.may_have.entry(key(label)).or_default();
        match &answer {
            Ok(()) => *before = BTreeSet::from([has]),
            // Never answered: it has it as before, or as was asked.
            Err(_) if was_known => drop(before.insert(has)),
            Err(_) => before.extend([false, has]),
        }
        stopped_or(&self.disk, "labelling", answer)
    }

    /// Labels go with what a deletion left nothing of. Called when the fates say so.
    pub(super) fn labels_after_deletion(&mut self, is_answered: bool) {
        let there = self.resources();
        for (key, may_have) in &mut self.labels.may_have {
            if there.contains(&(key.0, key.1.clone())) {
                continue;
            }
            if may_have.contains(&true) {
                self.labels.taken.insert(key.clone());
            }
            match is_answered {
                true => *may_have = BTreeSet::from([false]),
                false => {
                    may_have.insert(false);
                }
            }
        }
    }

    /// Labels come back with what comes back.
    pub(super) fn labels_after_undeletion(&mut self, is_answered: bool) {
        let there = self.resources();
        for key in self.labels.taken.clone() {
            if !there.contains(&(key.0, key.1.clone())) {
                continue;
            }
            // After cuts nobody knows any more what of it was taken, and by which deletion.
            let may_have = self.labels.may_have.entry(key.clone()).or_default();
            match is_answered && !self.is_unsure {
                true => *may_have = BTreeSet::from([true]),
                false => may_have.extend([true, false]),
            }
            if is_answered {
                self.labels.taken.remove(&key);
            }
        }
    }

    /// What was deleted cannot be brought back any more, or not all of it.
    pub(super) fn labels_after_erasure(&mut self) {
        self.labels.taken.clear();
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

    /// Holds the labels that the archive shows against the model.
    pub(super) fn check_labels(&mut self) -> Done {
        let archive = self.archive.as_ref().expect("the archive is open");
        let mut all = BTreeSet::new();
        for ((level, id, text), may_have) in &mut self.labels.may_have {
            let id: PublicId = id.parse().expect("is an id");
            let found = archive.index().labels(DEFAULT_TENANT, *level, &id);
            let found = stopped_or(&self.disk, "reading labels", found)?;
            let has = found.is_some_and(|labels| labels.contains(text));
            if !may_have.contains(&has) {
                return Err(Trouble::Violation(format!(
                    "{level} {id} has label {text}: {has}"
                )));
            }
            all.extend(has.then(|| text.clone()));
            *may_have = BTreeSet::from([has]);
        }
        let listed = archive.index().all_labels(DEFAULT_TENANT);
        let listed = stopped_or(&self.disk, "listing labels", listed)?;
        match listed.iter().eq(&all) {
            true => Ok(()),
            false => Err(Trouble::Violation(format!(
                "labels are {all:?}, listed {listed:?}"
            ))),
        }
    }
}
