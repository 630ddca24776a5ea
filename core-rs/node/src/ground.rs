//! What an archive stands on, opened and brought together: lock, index and log.
//!
//! ```text
//! root/lock          held while a process has the archive open
//! root/index/        SQLite; can be deleted, and is built anew from the log
//! root/log/          segments, packs, large blobs: the archive itself
//! ```

use std::path::Path;
use std::sync::Arc;

use vna_index::{Index, Options, SqliteIndex};
use vna_io::{Disk, DiskFile, Open};
use vna_store::{LiveCount, LiveCounts, Log, LogOptions, Recovery};

use crate::entries::{LOCAL_STORE, file_column, inline_column};
use crate::error::ArchiveError;
use crate::housekeeping::{Keeper, Trash};
use crate::replay::{Replayed, replay_tail};
use crate::settings::Settings;

/// Lock, index and log of one archive.
pub(crate) struct Ground {
    pub(crate) lock: Arc<dyn DiskFile>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) log: Arc<Log>,
    pub(crate) trash: Arc<Trash>,
    pub(crate) recovery: Recovery,
}

impl Ground {
    /// Opens all three; what is missing is made.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Locked`], [`ArchiveError::LogTooShort`], [`ArchiveError::IndexTooOld`], or what index and
    /// log say.
    pub(crate) fn open(disk: &Arc<dyn Disk>, settings: &Settings) -> Result<Self, ArchiveError> {
        let root = &settings.storage.root;
        let lock = lock(&**disk, root)?;
        let index = open_index(disk, settings)?;
        let covered = index.covered_lsn();
        let options = LogOptions {
            segment_bytes: settings.storage.segment_bytes,
            large_blob_bytes: settings.storage.large_object_bytes,
            known_good_lsn: covered,
            ..LogOptions::default()
        };
        let (log, recovery) = Log::open(Arc::clone(disk), &root.join("log"), options)?;
        for damage in &recovery.damages {
            tracing::error!(code = damage.code(), "the log is damaged: {damage}");
        }
        if let Some(lost_from) = recovery.lost_from {
            return Err(ArchiveError::LogTooShort { lost_from, covered });
        }
        if covered != 0 && covered < recovery.horizon {
            return Err(ArchiveError::IndexTooOld {
                covered,
                horizon: recovery.horizon,
            });
        }
        let trash = Arc::new(Trash::default());
        Ok(Self {
            lock,
            index,
            log: Arc::new(log),
            trash,
            recovery,
        })
    }

    /// Lets the index catch up with the log, then tells the log what is live and finishes what a crash
    /// interrupted. `progress` gets the log position now and then.
    pub(crate) fn catch_up(&self, progress: &mut dyn FnMut(u64)) -> Result<Replayed, ArchiveError> {
        let replayed = replay_tail(&self.log, &*self.index, &self.trash, progress)?;
        for skipped in &replayed.skipped {
            tracing::error!(lsn = skipped.lsn, "log record skipped: {}", skipped.reason);
        }
        self.log.set_live(&self.live_counts()?);
        let keeper = Keeper {
            log: Arc::clone(&self.log),
            index: Arc::clone(&self.index),
            trash: Arc::clone(&self.trash),
        };
        for (pack, _) in &self.recovery.unfinished_compactions {
            keeper.compact_pack(*pack)?;
        }
        self.sweep()?;
        Ok(replayed)
    }

    /// What of each segment the index refers to.
    fn live_counts(&self) -> Result<LiveCounts, ArchiveError> {
        let mut counts = LiveCounts::new();
        for info in self.log.segments() {
            let segment = info.segment;
            let mut live = LiveCount::default();
            for row in self.index.blobs_in(LOCAL_STORE, inline_column(segment))? {
                live.records += 1;
                live.bytes += row.stored_size;
            }
            live.records += self
                .index
                .blobs_in(LOCAL_STORE, file_column(segment))?
                .len() as u64;
            counts.insert(segment, live);
        }
        Ok(counts)
    }

    /// Large blobs that no row points at go; files that no record names are set aside.
    fn sweep(&self) -> Result<(), ArchiveError> {
        let mut live = std::collections::HashSet::new();
        for info in self.log.segments() {
            let rows = self
                .index
                .blobs_in(LOCAL_STORE, file_column(info.segment))?;
            live.extend(rows.into_iter().map(|row| row.key));
        }
        let sweep = self.log.sweep(&|key| live.contains(&key.0))?;
        for name in &sweep.quarantined {
            tracing::warn!(
                file = name,
                "moved to quarantine: no log record names this file"
            );
        }
        Ok(())
    }
}

fn lock(disk: &dyn Disk, root: &Path) -> Result<Arc<dyn DiskFile>, ArchiveError> {
    let doing = |doing| move |source| ArchiveError::Io { doing, source };
    disk.create_dir_all(root)
        .map_err(doing("making storage.root"))?;
    let file = disk
        .open(&root.join("lock"), Open::Create)
        .map_err(doing("opening the lock file"))?;
    match file.try_lock().map_err(doing("locking the archive"))? {
        true => Ok(file),
        false => Err(ArchiveError::Locked {
            root: root.to_path_buf(),
        }),
    }
}

const INDEX_FOLDER: &str = "index";
const INDEX_FILE: &str = "index.db";

/// Reading connections of the index, each with a cache of its own.
const INDEX_READERS: usize = 4;

fn open_index(disk: &Arc<dyn Disk>, settings: &Settings) -> Result<Arc<dyn Index>, ArchiveError> {
    let folder = settings.storage.root.join(INDEX_FOLDER);
    disk.create_dir_all(&folder)
        .map_err(|source| ArchiveError::Io {
            doing: "making the index's folder",
            source,
        })?;
    // The writer touches most: every arrival reads and writes pages all over the file.
    let cache = settings.limits.index_cache_bytes;
    let options = Options {
        writer_cache_bytes: cache / 2,
        reader_cache_bytes: cache / 2 / INDEX_READERS as u64,
        readers: INDEX_READERS,
        ..Options::default()
    };
    let path = folder.join(INDEX_FILE);
    let index = match disk.is_of_the_system() {
        true => SqliteIndex::open_or_create(&path, options)?,
        false => SqliteIndex::open_or_create_on(Arc::clone(disk), &path, options)?,
    };
    Ok(Arc::new(index))
}

/// Removes the index of an archive that nobody has open: it can be built anew from the log.
pub(crate) fn remove_index(disk: &Arc<dyn Disk>, settings: &Settings) -> Result<(), ArchiveError> {
    let root = &settings.storage.root;
    let _lock = lock(&**disk, root)?;
    let folder = root.join(INDEX_FOLDER);
    let removing = |source| ArchiveError::Io {
        doing: "removing the old index",
        source,
    };
    if !disk.exists(&folder).map_err(removing)? {
        return Ok(());
    }
    for name in disk.list(&folder).map_err(removing)? {
        if name.starts_with(INDEX_FILE) {
            disk.remove(&folder.join(name)).map_err(removing)?;
        }
    }
    Ok(())
}
