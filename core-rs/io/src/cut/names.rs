//! The names on the disk: what readers see, what is durable, and the changes between.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Survival;
use super::random::Random;
use crate::memory::{is_root, is_same_folder, refuse};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Folder,
    /// A file, by its number.
    File(usize),
}

#[derive(Clone, Default)]
pub struct Names {
    current: BTreeMap<PathBuf, Entry>,
    durable: BTreeMap<PathBuf, Entry>,
    pending: Vec<Change>,
}

/// One name that was given or taken, and is not durable.
#[derive(Clone)]
struct Change {
    path: PathBuf,
    /// What the name stands for now; `None` if it was taken.
    entry: Option<Entry>,
    operation: u64,
    /// The new name, if a rename took this one: the file is never without both.
    moved_to: Option<PathBuf>,
}

impl Names {
    pub fn get(&self, path: &Path) -> Option<Entry> {
        if is_root(path) {
            Some(Entry::Folder)
        } else {
            self.current.get(path).copied()
        }
    }

    /// The files that have a name.
    pub fn files(&self) -> impl Iterator<Item = usize> {
        self.current.values().filter_map(|entry| match entry {
            Entry::File(file) => Some(*file),
            Entry::Folder => None,
        })
    }

    pub fn check_parent(&self, path: &Path, operation: &str) -> io::Result<()> {
        if path
            .parent()
            .is_some_and(|parent| self.get(parent) == Some(Entry::Folder))
        {
            Ok(())
        } else {
            Err(refuse(ErrorKind::NotFound, operation, path))
        }
    }

    pub fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        if self.get(folder) != Some(Entry::Folder) {
            return Err(refuse(ErrorKind::NotFound, "list", folder));
        }
        let children = self
            .current
            .keys()
            .filter(|path| path.parent() == Some(folder));
        Ok(children
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    pub fn link(&mut self, path: &Path, entry: Entry, operation: u64) {
        self.current.insert(path.to_path_buf(), entry);
        let (path, entry) = (path.to_path_buf(), Some(entry));
        self.pending.push(Change {
            path,
            entry,
            operation,
            moved_to: None,
        });
    }

    pub fn unlink(&mut self, path: &Path, operation: u64) -> io::Result<()> {
        match self.get(path) {
            Some(Entry::File(_)) => {}
            Some(Entry::Folder) => return Err(refuse(ErrorKind::IsADirectory, "remove", path)),
            None => return Err(refuse(ErrorKind::NotFound, "remove", path)),
        }
        self.current.remove(path);
        let path = path.to_path_buf();
        self.pending.push(Change {
            path,
            entry: None,
            operation,
            moved_to: None,
        });
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path, operation: u64) -> io::Result<()> {
        self.check_parent(to, "rename to")?;
        let Some(entry @ Entry::File(_)) = self.get(from) else {
            return Err(refuse(ErrorKind::NotFound, "rename", from));
        };
        if self.get(to) == Some(Entry::Folder) {
            return Err(refuse(ErrorKind::IsADirectory, "rename to", to));
        }
        self.link(to, entry, operation);
        self.current.remove(from);
        let (path, moved_to) = (from.to_path_buf(), Some(to.to_path_buf()));
        self.pending.push(Change {
            path,
            entry: None,
            operation,
            moved_to,
        });
        Ok(())
    }

    /// Makes every change of a name in `folder` durable, and with the loss of a name by a rename
    /// the name that it became.
    pub fn sync(&mut self, folder: &Path) {
        let pending = std::mem::take(&mut self.pending);
        let here = |path: &Path| is_child(path, folder);
        let is_pulled = |change: &Change| {
            change.entry.is_some()
                && pending.iter().any(|other| {
                    other.operation == change.operation
                        && other.moved_to.is_some()
                        && here(&other.path)
                })
        };
        let mut left: Vec<Change> = Vec::new();
        for change in &pending {
            if here(&change.path) || is_pulled(change) {
                apply(&mut self.durable, change);
                // What happened to the same name before is overtaken.
                left.retain(|earlier| earlier.path != change.path);
            } else {
                left.push(change.clone());
            }
        }
        self.pending = left;
    }

    pub fn survive(&self, survival: Survival, random: &mut Random) -> Names {
        let mut names = self.durable.clone();
        let fate = match survival {
            Survival::Everything => 0,
            Survival::Nothing => 1,
            Survival::Seeded(_) => random.below(5),
        };
        let moment = random.below(self.pending.len() + 1);
        let mut last_link = (0, false);
        for (index, change) in self.pending.iter().enumerate() {
            let kept = match fate {
                0 => true,
                1 => false,
                2 => index < moment,
                _ => random.coin(),
            };
            // A rename may leave both names behind, but never none.
            let lost = change.moved_to.is_some() && last_link == (change.operation, false);
            if kept && !lost {
                apply(&mut names, change);
            }
            if change.entry.is_some() {
                last_link = (change.operation, kept);
            }
        }
        drop_orphans(&mut names);
        Names {
            durable: names.clone(),
            current: names,
            pending: Vec::new(),
        }
    }
}

fn is_child(path: &Path, folder: &Path) -> bool {
    path.parent()
        .is_some_and(|parent| is_same_folder(parent, folder))
}

fn apply(names: &mut BTreeMap<PathBuf, Entry>, change: &Change) {
    match change.entry {
        Some(entry) => names.insert(change.path.clone(), entry),
        None => names.remove(&change.path),
    };
}

/// Drops what lies in folders that are not there.
fn drop_orphans(names: &mut BTreeMap<PathBuf, Entry>) {
    let folders: Vec<PathBuf> = names
        .iter()
        .filter(|(_, entry)| **entry == Entry::Folder)
        .map(|(path, _)| path.clone())
        .collect();
    let is_there = |path: &Path| is_root(path) || folders.iter().any(|folder| folder == path);
    names.retain(|path, _| path.ancestors().skip(1).all(is_there));
}
