//! Building an index from the log, beside the one that is there or was.

use super::connection::{self, Mode};
use super::{Options, SqliteIndex};
use crate::error::Doing;
use crate::{Entry, Index, IndexError, Lsn, Outcome};
use rusqlite::Connection;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An index in the making. Its file has another name until [`Rebuild::finish`]; if it is dropped before, or the
/// power fails, the old index is as it was.
///
/// Nothing is synced and no journal is written on the way, so entries go in faster than into a live index.
pub struct Rebuild {
    index: SqliteIndex,
    path: PathBuf,
    options: Options,
}

/// `path` with something behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<(), IndexError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing("removing an index that was not finished")
        }
        _ => Ok(()),
    }
}

impl Rebuild {
    /// Begins to build what will be the index at `path`.
    ///
    /// # Errors
    ///
    /// [`IndexError::Io`] and [`IndexError::Engine`] if the file cannot be made.
    pub fn begin(path: &Path, options: Options) -> Result<Rebuild, IndexError> {
        let new = beside(path, ".new");
        remove(&new)?;
        let bulk = Options {
            writer_cache_bytes: options.writer_cache_bytes.max(64 << 20),
            ..options
        };
        let index = SqliteIndex::open_with(&new, None, bulk, Mode::Bulk)?;
        Ok(Rebuild {
            index,
            path: path.to_owned(),
            options,
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
            .any(|entry| matches!(entry, Entry::Deletion(_)))
        {
            while self.index.maintain(Duration::from_secs(1))?.more {}
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
    /// Labels, metadata and attachments that are not in the log are not in it.
    ///
    /// # Errors
    ///
    /// Those of the engine and of the file system; the old index is then as it was.
    pub fn finish(self) -> Result<SqliteIndex, IndexError> {
        const DOING: &str = "finishing a new index";
        let Rebuild {
            index,
            path,
            options,
        } = self;
        while index.maintain(Duration::from_secs(1))?.more {}
        drop(index);
        let new = beside(&path, ".new");
        // Into the mode that it is used in, so that no reader finds it without a write-ahead log.
        let connection: Connection = connection::open(&new, None, Mode::Write, 1 << 20)?;
        connection
            .close()
            .map_err(|(_, error)| error)
            .doing(DOING)?;
        std::fs::File::open(&new)
            .and_then(|file| file.sync_all())
            .doing(DOING)?;
        // The log of the old file must not be taken for one of the new file.
        remove(&beside(&path, "-wal"))?;
        remove(&beside(&path, "-shm"))?;
        std::fs::rename(&new, &path).doing(DOING)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .doing(DOING)?;
        SqliteIndex::open(&path, options)
    }
}
