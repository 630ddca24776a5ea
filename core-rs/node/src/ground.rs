//! What an archive stands on, opened and brought together: lock, index and log.
//!
//! ```text
//! root/lock          held while a process has the archive open
//! root/index/        SQLite; can be deleted, and is built anew from the log
//! root/log/          segments, packs, large blobs: the archive itself
//! ```

use std::path::Path;
use std::sync::Arc;

use vna_index::{Entry, Index, Options, Rebuild, SqliteIndex, Statistics};
use vna_io::{Disk, DiskFile, Open};
use vna_store::{BlobKey, Encoding, LiveCounts, Log, LogOptions, Place, Recovery};

use crate::arrival::now_us;
use crate::entries::LOCAL_STORE;
use crate::error::ArchiveError;
use crate::housekeeping::{Keeper, Trash, report};
use crate::ingest;
use crate::notes::{directly, write_again};
use crate::replay::{Replayed, replay};
use crate::settings::Settings;
use crate::stored_file::StoredFiles;

pub(crate) const LOG_FOLDER: &str = "log";
pub(crate) const INDEX_FOLDER: &str = "index";
pub(crate) const INDEX_FILE: &str = "index.db";

/// Reading connections of the index, each with a cache of its own.
const INDEX_READERS: usize = 4;

/// Lock, index and log of one archive.
pub(crate) struct Ground {
    pub(crate) lock: Arc<dyn DiskFile>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) log: Arc<Log>,
    pub(crate) files: Arc<StoredFiles>,
    pub(crate) recovery: Recovery,
}

impl Ground {
    /// Opens all three; what is missing is made.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Locked`], [`ArchiveError::LogTooShort`], [`ArchiveError::IndexTooOld`],
    /// [`ArchiveError::Dictionary`], or what index and log say.
    pub(crate) fn open(disk: &Arc<dyn Disk>, settings: &Settings) -> Result<Self, ArchiveError> {
        settings.dictionary.install()?;
        settings.notes.install();
        let root = &settings.storage.root;
        let lock = lock(&**disk, root)?;
        sweep_uploads(&**disk, root)?;
        let index = open_index(disk, settings)?;
        let covered = index.covered_lsn();
        let (log, recovery) = open_log(disk, settings, covered)?;
        if let Some(lost_from) = recovery.lost_from {
            return Err(ArchiveError::LogTooShort { lost_from, covered });
        }
        if covered != 0 && covered < recovery.horizon {
            return Err(ArchiveError::IndexTooOld {
                covered,
                horizon: recovery.horizon,
            });
        }
        let files = Arc::new(StoredFiles::new(Arc::clone(&log), settings));
        Ok(Self {
            lock,
            index,
            log,
            files,
            recovery,
        })
    }

    /// Lets the index catch up with the log, then tells the log what is live and finishes what a crash
    /// interrupted. `progress` gets the log position now and then.
    pub(crate) fn catch_up(&self, progress: &mut dyn FnMut(u64)) -> Result<Replayed, ArchiveError> {
        let from = self.index.covered_lsn() + 1;
        let apply = |entries: &[Entry]| self.index.apply(entries);
        // What this frees has no row any more, so it is not counted as live below: it must not go to the trash, where
        // it would be taken off once more.
        let nobodys = Trash::default();
        let replayed = replay(&self.files, from, &apply, &nobodys, progress)?;
        self.index.cover(self.log.last_lsn())?;
        for skipped in &replayed.skipped {
            tracing::error!("skipped: {skipped}");
        }
        let recorder = directly(Arc::clone(&self.log), Arc::clone(&self.index));
        let notes = write_again(&*self.index, &self.files, &recorder);
        self.log.set_live(&self.live_counts()?);
        if notes.is_err() {
            report(notes);
            return Ok(replayed); // no bytes go before that is done
        }
        let keeper = Keeper::new(
            Arc::clone(&self.files),
            Arc::clone(&self.index),
            Arc::default(),
            recorder,
        );
        for info in self.log.segments() {
            let unfinished = &self.recovery.unfinished_compactions;
            if unfinished.iter().any(|(pack, _)| *pack == info.segment) {
                report(keeper.compact_pack(&info, None).map(|_| ())); // both packs may stay for now
            }
        }
        report(self.sweep());
        Ok(replayed)
    }

    /// What of each segment the index refers to.
    fn live_counts(&self) -> Result<LiveCounts, ArchiveError> {
        let mut counts = LiveCounts::new();
        for (column, blobs, bytes) in self.index.live_by_unit(LOCAL_STORE)? {
            let is_inline = column >= 0;
            let Some(place) = Place::from_columns(column, 0) else {
                return Err(ArchiveError::Row { place: (column, 0) });
            };
            let live = counts.entry(place.segment()).or_default();
            live.records += blobs;
            live.bytes += if is_inline { bytes } else { 0 };
        }
        Ok(counts)
    }

    /// Large blobs that no row points at go; files that no record names are set aside.
    fn sweep(&self) -> Result<(), ArchiveError> {
        let mut live = std::collections::HashSet::new();
        // By what rows say and not by the segments that are there: if one is missing, its files are all that is left.
        let columns = self.index.live_by_unit(LOCAL_STORE)?;
        for (column, _, _) in columns.iter().filter(|(column, _, _)| *column < 0) {
            let rows = self.index.blobs_in(LOCAL_STORE, *column)?;
            live.extend(rows.into_iter().map(|row| (row.key, row.encoding)));
        }
        let is_live =
            |key: &BlobKey, encoding: Encoding| live.contains(&(key.0, encoding.0.into()));
        let sweep = self.log.sweep(&is_live)?;
        for name in &sweep.quarantined {
            tracing::warn!(
                file = name,
                "moved to quarantine: no log record names this file"
            );
        }
        Ok(())
    }
}

fn sweep_uploads(disk: &dyn Disk, root: &Path) -> Result<(), ArchiveError> {
    ingest::sweep(disk, root).map_err(|source| ArchiveError::Io {
        doing: "removing what a crash left of uploads",
        source,
    })
}

pub(crate) fn lock(disk: &dyn Disk, root: &Path) -> Result<Arc<dyn DiskFile>, ArchiveError> {
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

/// Opens the log. Records that the index covers were checked before.
pub(crate) fn open_log(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    covered: u64,
) -> Result<(Arc<Log>, Recovery), ArchiveError> {
    let options = LogOptions {
        segment_bytes: settings.storage.segment_bytes,
        large_blob_bytes: settings.storage.large_object_bytes,
        known_good_lsn: covered,
        ..LogOptions::default()
    };
    let folder = settings.storage.root.join(LOG_FOLDER);
    let (log, recovery) = Log::open(Arc::clone(disk), &folder, options)?;
    for damage in &recovery.damages {
        tracing::error!(code = damage.code(), "the log is damaged: {damage}");
    }
    Ok((Arc::new(log), recovery))
}

fn index_options(settings: &Settings) -> Options {
    // The writer touches most: every arrival reads and writes pages all over the file.
    let cache = settings.limits.index_cache_bytes;
    Options {
        writer_cache_bytes: cache / 2,
        reader_cache_bytes: cache / 2 / INDEX_READERS as u64,
        readers: INDEX_READERS,
        ..Options::default()
    }
}

pub(crate) fn open_index(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
) -> Result<Arc<dyn Index>, ArchiveError> {
    let folder = settings.storage.root.join(INDEX_FOLDER);
    disk.create_dir_all(&folder)
        .map_err(|source| ArchiveError::Io {
            doing: "making the index's folder",
            source,
        })?;
    crate::index_tags::install(&**disk, settings)?;
    let (path, options) = (folder.join(INDEX_FILE), index_options(settings));
    let index = match disk.is_of_the_system() {
        true => SqliteIndex::open_or_create(&path, options)?,
        false => SqliteIndex::open_or_create_on(Arc::clone(disk), &path, options)?,
    };
    Ok(Arc::new(index))
}

/// Builds the index of an archive that nobody has open anew, beside the old one, which stays until the new one is
/// complete. `progress` gets the log position and its end.
pub(crate) fn rebuild_index(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Replayed, Statistics), ArchiveError> {
    settings.dictionary.install()?;
    crate::index_tags::install(&**disk, settings)?;
    let _lock = lock(&**disk, &settings.storage.root)?;
    let (log, _) = open_log(disk, settings, 0)?;
    let folder = settings.storage.root.join(INDEX_FOLDER);
    disk.create_dir_all(&folder)
        .map_err(|source| ArchiveError::Io {
            doing: "making the index's folder",
            source,
        })?;
    let (path, options) = (folder.join(INDEX_FILE), index_options(settings));
    let rebuild = match disk.is_of_the_system() {
        true => Rebuild::begin(&path, options, now_us())?,
        false => Rebuild::begin_on(Arc::clone(disk), &path, options, now_us())?,
    };
    let (end, trash) = (log.last_lsn(), Trash::default());
    let apply = |entries: &[Entry]| rebuild.apply(entries);
    let files = Arc::new(StoredFiles::new(Arc::clone(&log), settings));
    let replayed = replay(&files, 1, &apply, &trash, &mut |lsn| progress(lsn, end))?;
    rebuild.cover(end)?;
    let held = rebuild.finish()?.totals()?;
    Ok((replayed, held))
}
