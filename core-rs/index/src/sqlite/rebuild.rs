//! Building an index from the log, beside the one that is there or was.
//!
//! 1. Until the new index is complete and durable, the old one is as it was.
//! 2. A database is never without the write-ahead log that belongs to it, nor with one that does not: the old
//!    database is gone for certain before its log goes, and the old log before the new database gets its name.
//!    Between the two there is no index at all, which is built anew from the log of the archive.
//! 3. When [`Rebuild::finish`] has returned, no power cut brings back the old index or none.

use super::connection::{self, Mode};
use super::vfs::Shim;
use super::{Options, SqliteIndex};
use crate::error::Doing;
use crate::{Entry, Index, IndexError, Lsn, Outcome};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vna_io::{Disk, Open, RealDisk, SyncSite};

const SYNC_NEW: SyncSite = SyncSite("index.rebuilt");
const SYNC_OLD_GONE: SyncSite = SyncSite("index.old_gone");
const SYNC_OLD_LOG_GONE: SyncSite = SyncSite("index.old_log_gone");
const SYNC_NAME: SyncSite = SyncSite("index.rebuilt_name");

/// What SQLite keeps beside a database: the write-ahead log, its shared memory, the rollback journal.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

const DOING: &str = "finishing a new index";

/// An index in the making. Its file has another name until [`Rebuild::finish`]; if it is dropped before, or the
/// power fails, the old index is as it was.
///
/// Nothing is synced and no journal is written on the way, so entries go in faster than into a live index.
pub struct Rebuild {
    index: SqliteIndex,
    ground: Ground,
    path: PathBuf,
    options: Options,
    /// What deletions kept until then is not carried along.
    now_us: i64,
}

/// Where the files are.
struct Ground {
    disk: Arc<dyn Disk>,
    /// SQLite's own files are those of the disk: it need not go through us.
    direct: bool,
}

/// `path` with something behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Ground {
    fn shim(&self) -> Option<Shim> {
        (!self.direct).then(|| Shim::register(Arc::clone(&self.disk)))
    }

    /// Removes a file that may be there.
    fn remove(&self, path: &Path) -> Result<(), IndexError> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).doing("removing an index that is not needed")
            }
            _ => Ok(()),
        }
    }

    fn remove_beside(&self, path: &Path) -> Result<(), IndexError> {
        BESIDE
            .iter()
            .try_for_each(|suffix| self.remove(&beside(path, suffix)))
    }

    /// Makes the names in the folder of `path` durable.
    fn sync_folder(&self, path: &Path, site: SyncSite) -> Result<(), IndexError> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        self.disk
            .sync_dir(folder.unwrap_or(Path::new(".")), site)
            .doing(DOING)
    }

    /// Makes a complete database that nobody has open durable, ready for use.
    fn settle(&self, new: &Path) -> Result<(), IndexError> {
        let shim = self.shim();
        let vfs = shim.as_ref().map(Shim::name);
        // Into the mode that it is used in, so that no reader finds it without a write-ahead log.
        connection::open(new, vfs, Mode::Write, 1 << 20)?
            .close()
            .map_err(|(_, error)| error)
            .doing(DOING)?;
        self.disk
            .open(new, Open::Write)
            .and_then(|file| file.sync_data(SYNC_NEW))
            .doing(DOING)
    }

    /// Puts the durable database `new` in the place of the one at `path`: (2), (3).
    fn replace(&self, path: &Path, new: &Path) -> Result<(), IndexError> {
        self.remove(path)?;
        self.sync_folder(path, SYNC_OLD_GONE)?;
        self.remove_beside(path)?;
        self.sync_folder(path, SYNC_OLD_LOG_GONE)?;
        self.disk.rename(new, path).doing(DOING)?;
        self.sync_folder(path, SYNC_NAME)
    }
}

impl Rebuild {
    /// Begins to build what will be the index at `path`. What was deleted and was kept until `now_us` at the most
    /// is not carried along.
    ///
    /// # Errors
    ///
    /// [`IndexError::Io`] and [`IndexError::Engine`] if the file cannot be made.
    pub fn begin(path: &Path, options: Options, now_us: i64) -> Result<Rebuild, IndexError> {
        let ground = Ground {
            disk: Arc::new(RealDisk),
            direct: true,
        };
        Self::begin_with(ground, path, options, now_us)
    }

    /// As [`begin`](Self::begin), on another disk than the real one: every byte goes through `disk`. For tests.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin).
    pub fn begin_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: Options,
        now_us: i64,
    ) -> Result<Rebuild, IndexError> {
        let ground = Ground {
            disk,
            direct: false,
        };
        Self::begin_with(ground, path, options, now_us)
    }

    fn begin_with(
        ground: Ground,
        path: &Path,
        options: Options,
        now_us: i64,
    ) -> Result<Rebuild, IndexError> {
        let new = beside(path, ".new");
        ground.remove(&new)?;
        ground.remove_beside(&new)?;
        let bulk = Options {
            writer_cache_bytes: options.writer_cache_bytes.max(64 << 20),
            ..options
        };
        let index = SqliteIndex::open_with(&new, ground.shim(), bulk, Mode::Bulk)?;
        Ok(Rebuild {
            index,
            ground,
            path: path.to_owned(),
            options,
            now_us,
        })
    }

    /// Takes the next entries of the log; large groups are faster.
    ///
    /// # Errors
    ///
    /// Those of [`Index::apply`].
    pub fn apply(&self, entries: &[Entry]) -> Result<Vec<Outcome>, IndexError> {
        let outcomes = self.index.apply(entries)?;
        // Rows of what was deleted would only be carried along.
        if entries
            .iter()
            .any(|entry| matches!(entry, Entry::Deletion(_) | Entry::Erasure(_)))
        {
            while self
                .index
                .maintain(Duration::from_secs(1), self.now_us)?
                .more
            {}
        }
        Ok(outcomes)
    }

    /// As [`Index::cover`]: says that the log up to `lsn` held nothing more for the index.
    ///
    /// # Errors
    ///
    /// Those of [`Index::cover`].
    pub fn cover(&self, lsn: Lsn) -> Result<(), IndexError> {
        self.index.cover(lsn)
    }

    /// Makes it durable, puts it in the place of the old index and opens it.
    ///
    /// # Errors
    ///
    /// Those of the engine and of the file system. The old index is then as it was, or there is none.
    pub fn finish(self) -> Result<SqliteIndex, IndexError> {
        let Rebuild {
            index,
            ground,
            path,
            options,
            now_us,
        } = self;
        while index.maintain(Duration::from_secs(1), now_us)?.more {}
        drop(index);
        let new = beside(&path, ".new");
        ground.settle(&new)?;
        ground.replace(&path, &new)?;
        SqliteIndex::open_with(&path, ground.shim(), options, Mode::Write)
    }
}
