//! Tags that an operator wants to be indexed beside those that every index has: named by the settings, or at run time.
//!
//! 1. What was named at run time is in a file beside the index, so that an index that is built anew has it too.
//! 2. Both are known before the first head is read, be it of an arrival or of a record that is replayed.
//! 3. Until all resources have been read again for a tag, searches compare it with stored headers: they take longer, and
//!    find the same.

use std::io::IoSlice;
use std::path::PathBuf;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vna_dicom::{
    Instance, Level, PublicId, Tag, attribute_level, keyword, main_tags, set_extra_tags,
};
use vna_index::Page;
use vna_io::{Disk, Open, SyncSite};

use crate::archive::Archive;
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::find::{FindProblem, Wrong, level_named, tag_named};
use crate::ground::INDEX_FOLDER;
use crate::replay::read_head_of;
use crate::settings::Settings;

const FILE: &str = "extra-tags.json";
const UNFINISHED: &str = "extra-tags.new";

/// The file of a hundred tags of each level has some 20 kB.
const MAX_FILE_BYTES: u64 = 1 << 20;

const SYNC_FILE: SyncSite = SyncSite("index_tags.file");
const SYNC_NAME: SyncSite = SyncSite("index_tags.name");

/// Resources that one step of reconstruction looks at.
const AT_ONCE: u64 = 256;

/// Held from the reading of the list to its writing. There is one list a process.
static CHANGING: Mutex<()> = Mutex::new(());

/// A tag of a level, as the file and clients have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamedTag {
    /// `Patient`, `Study`, `Series` or `Instance`.
    pub level: String,
    /// `gggg,eeee`.
    pub tag: String,
}

/// A tag that is indexed beside the usual ones, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IndexTag {
    /// The tag.
    #[serde(flatten)]
    pub named: NamedTag,
    /// Its keyword, empty if it has none.
    pub name: String,
    /// Whether the settings name it; else it was named at run time.
    pub configured: bool,
    /// How far it is, in the numbers of resources: complete if both are alike.
    pub filled: u64,
    /// What is to be read again for it.
    pub due: u64,
}

/// How far a step of reconstruction came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reconstructed {
    /// Resources whose tags were written anew.
    pub resources: u64,
    /// Those of which no file could be read.
    pub unreadable: u64,
    /// Whether there is more to do.
    pub more: bool,
}

impl NamedTag {
    fn new(level: Level, tag: Tag) -> Self {
        NamedTag {
            level: level.as_str().to_owned(),
            tag: format!("{:04x},{:04x}", tag.0, tag.1),
        }
    }

    fn parsed(&self) -> Option<(Level, Tag)> {
        Some((level_named(&self.level)?, tag_named(&self.tag)?))
    }
}

fn folder(settings: &Settings) -> PathBuf {
    settings.storage.root.join(INDEX_FOLDER)
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> ArchiveError {
    move |source| ArchiveError::Io { doing, source }
}

/// The tags that were named at run time; one that this program does not know any more is left out.
fn named_at_run_time(
    disk: &dyn Disk,
    settings: &Settings,
) -> Result<Vec<(Level, Tag)>, ArchiveError> {
    let path = folder(settings).join(FILE);
    let reading = io("reading which tags are indexed");
    if !disk.exists(&path).map_err(&reading)? {
        return Ok(Vec::new());
    }
    let file = disk.open(&path, Open::Read).map_err(&reading)?;
    let length = file.len().map_err(&reading)?.min(MAX_FILE_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0).map_err(&reading)?;
    bytes.truncate(read);
    let named: Vec<NamedTag> =
        serde_json::from_slice(&bytes).map_err(|error| ArchiveError::Setting {
            key: "index/extra-tags.json",
            problem: format!("is no list of tags: {error}"),
        })?;
    Ok(named.iter().filter_map(NamedTag::parsed).collect())
}

fn write_named(
    disk: &dyn Disk,
    settings: &Settings,
    tags: &[(Level, Tag)],
) -> Result<(), ArchiveError> {
    let writing = io("writing which tags are indexed");
    let named: Vec<_> = tags
        .iter()
        .map(|(level, tag)| NamedTag::new(*level, *tag))
        .collect();
    let bytes = serde_json::to_vec(&named).expect("texts have a JSON form");
    let (new, path) = (
        folder(settings).join(UNFINISHED),
        folder(settings).join(FILE),
    );
    let file = disk.open(&new, Open::Create).map_err(&writing)?;
    file.set_len(0)
        .and_then(|()| file.write_all_at(&[IoSlice::new(&bytes)], 0))
        .and_then(|()| file.sync_data(SYNC_FILE))
        .and_then(|()| disk.rename(&new, &path))
        .and_then(|()| disk.sync_dir(&folder(settings), SYNC_NAME))
        .map_err(&writing)
}

/// The tags that the settings name.
fn configured(settings: &Settings) -> Result<Vec<(Level, Tag)>, ArchiveError> {
    let extra = &settings.index;
    let levels = [
        (Level::Patient, &extra.patient_tags),
        (Level::Study, &extra.study_tags),
        (Level::Series, &extra.series_tags),
        (Level::Instance, &extra.instance_tags),
    ];
    let mut tags = Vec::new();
    for (level, names) in levels {
        for name in names {
            let tag = tag_named(name)
                .ok_or_else(|| refused(format!("names {name:?}, which is no tag")))?;
            // Configurations name what is indexed anyway.
            if !main_tags(level).contains(&tag) {
                tags.push((level, tag));
            }
        }
    }
    Ok(tags)
}

fn refused(problem: String) -> ArchiveError {
    ArchiveError::Setting {
        key: "index",
        problem,
    }
}

/// Lets heads be read for the tags that are wanted: (2).
///
/// # Errors
///
/// [`ArchiveError::Setting`] if one cannot be indexed.
pub(crate) fn install(disk: &dyn Disk, settings: &Settings) -> Result<(), ArchiveError> {
    let mut tags = configured(settings)?;
    tags.extend(named_at_run_time(disk, settings)?);
    set_extra_tags(tags).map_err(|error| refused(format!("cannot be: {error}")))
}

impl Archive {
    /// The tags that are indexed beside the usual ones, and how far each is.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn index_tags(&self) -> Result<Vec<IndexTag>, ArchiveError> {
        let configured = configured(self.settings())?;
        let tags = self.index().extra_tags()?;
        let shown = tags.into_iter().map(|known| IndexTag {
            named: NamedTag::new(known.level, known.tag),
            name: keyword(known.tag).unwrap_or_default().to_owned(),
            configured: configured.contains(&(known.level, known.tag)),
            filled: known.filled,
            due: known.due,
        });
        Ok(shown.collect())
    }

    /// Lets a tag be indexed from now on, at the level of what it describes if none is named.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Find`] if there is no such tag or level, or it cannot be indexed; what disk and index say.
    pub fn add_index_tag(&self, name: &str, level: Option<&str>) -> Result<(), ArchiveError> {
        let (level, tag) = wanted(name, level)?;
        let _changing = CHANGING.lock();
        let mut tags = named_at_run_time(self.disk(), self.settings())?;
        if tags.contains(&(level, tag)) {
            return Ok(());
        }
        tags.push((level, tag));
        self.set_index_tags(&tags)
    }

    /// Lets a tag be indexed no more that was named at run time.
    ///
    /// # Errors
    ///
    /// As [`add_index_tag`](Self::add_index_tag); [`ArchiveError::Find`] also if it was not named at run time.
    pub fn remove_index_tag(&self, name: &str, level: Option<&str>) -> Result<(), ArchiveError> {
        let (level, tag) = wanted(name, level)?;
        let _changing = CHANGING.lock();
        let mut tags = named_at_run_time(self.disk(), self.settings())?;
        let before = tags.len();
        tags.retain(|known| *known != (level, tag));
        if tags.len() == before {
            let text = format!(
                "{tag} of a {} was not added at run time; [index] of the settings may name it",
                level.as_str()
            );
            return Err(FindProblem::new(Wrong::Range, text).into());
        }
        self.set_index_tags(&tags)
    }

    fn set_index_tags(&self, tags: &[(Level, Tag)]) -> Result<(), ArchiveError> {
        let mut all = configured(self.settings())?;
        all.extend(tags);
        // Refused before it is written. Heads are read for it from now on: those that are being read say that they were
        // not.
        set_extra_tags(all).map_err(|error| FindProblem::new(Wrong::Range, error.to_string()))?;
        write_named(self.disk(), self.settings(), tags)?;
        Ok(self.index().adopt_extra_tags()?)
    }

    /// Reads at most `count` resources again for tags that are not complete; whether there are more.
    ///
    /// # Errors
    ///
    /// What the index says. A file that cannot be read has no values.
    pub fn fill_index_tags(&self, count: usize) -> Result<bool, ArchiveError> {
        let Some(unfilled) = self.index().unfilled(count)? else {
            return Ok(false);
        };
        let (read, _) = self.read_heads(unfilled.level, &unfilled.ids)?;
        self.index().fill(&unfilled, &read)?;
        Ok(true)
    }

    /// The heads of the first instances of resources, and how many could not be read.
    fn read_heads(
        &self,
        level: Level,
        ids: &[i64],
    ) -> Result<(Vec<(i64, Instance)>, u64), ArchiveError> {
        let mut read = Vec::new();
        let mut unreadable = 0;
        for (id, located) in self.index().first_instances(level, ids, None)? {
            let head = self
                .files()
                .open(&blob_ref(&located.blob)?)
                .and_then(|file| read_head_of(&file, located.file_size));
            match head {
                Ok(instance) => read.push((id, instance)),
                Err(error) => {
                    unreadable += 1;
                    tracing::warn!(
                        code = error.code(),
                        instance = %located.instance,
                        "the tags of an instance cannot be read again: {error}"
                    );
                }
            }
        }
        Ok((read, unreadable))
    }

    /// Writes the tags of a resource, of those above it and of those below it anew, each from the file of its first
    /// instance; a step, of which `after` is the number of resources below that were looked at before. With `only_this`
    /// those above and below stay as they are.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if there is no such resource; what the index says.
    pub fn reconstruct(
        &self,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
        after: u64,
        only_this: bool,
    ) -> Result<Reconstructed, ArchiveError> {
        let index = self.index();
        let mut done = Reconstructed {
            resources: 0,
            unreadable: 0,
            more: false,
        };
        if after == 0 {
            for at in Level::ALL.into_iter().filter(|at| *at <= level) {
                if only_this && at != level {
                    continue;
                }
                let number = index.number(tenant, level, public_id, at)?;
                let number = number.ok_or(ArchiveError::NotFound {
                    level,
                    public_id: *public_id,
                })?;
                self.retag(at, &[number], &mut done)?;
            }
        }
        for at in Level::ALL
            .into_iter()
            .filter(|at| *at > level && !only_this)
        {
            let mut query = vna_index::Query::all(tenant, at);
            query.parents = vec![(level, *public_id)];
            query.page = Page {
                since: after,
                limit: AT_ONCE,
            };
            let found = index.find(&query)?.resources;
            done.more |= found.len() as u64 == AT_ONCE;
            self.retag(at, &found, &mut done)?;
        }
        if !done.more {
            // Not in the log: a power cut must not take it back.
            index.checkpoint()?;
        }
        Ok(done)
    }

    fn retag(
        &self,
        level: Level,
        ids: &[i64],
        done: &mut Reconstructed,
    ) -> Result<(), ArchiveError> {
        let (read, unreadable) = self.read_heads(level, ids)?;
        self.index().retag(level, &read)?;
        done.resources += read.len() as u64;
        done.unreadable += unreadable;
        Ok(())
    }
}

fn wanted(name: &str, level: Option<&str>) -> Result<(Level, Tag), FindProblem> {
    let tag = tag_named(name).ok_or_else(|| FindProblem::tag("Tag", name))?;
    let level = match level {
        None => attribute_level(tag),
        Some(level) => level_named(level).ok_or_else(|| {
            let text = format!("Level is {level:?}; it takes Patient, Study, Series or Instance");
            FindProblem::new(Wrong::Range, text)
        })?,
    };
    Ok((level, tag))
}
