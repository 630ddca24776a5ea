//! Readers: a pool of connections, each call in a snapshot of its own.

use super::connection::{self, Mode};
use super::filter::Filling;
use super::keys::{Hasher, Tail, candidates};
use super::resource;
use super::terms::TermTail;
use crate::IndexError;
use crate::error::Doing;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use vna_dicom::{Level, PublicId};

/// Connections for reading. More than `keep` exist only while more than that read at once.
pub(crate) struct Readers {
    path: PathBuf,
    vfs: Option<String>,
    cache_bytes: u64,
    keep: usize,
    idle: Mutex<Vec<Connection>>,
    tail: Arc<Tail>,
    terms: Arc<TermTail>,
    pub(crate) hasher: Hasher,
}

/// A snapshot of the index.
pub(crate) struct Snapshot<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) tail: &'c Tail,
    pub(crate) terms: &'c TermTail,
    pub(crate) hasher: Hasher,
}

impl Readers {
    pub(crate) fn new(
        path: PathBuf,
        vfs: Option<String>,
        cache_bytes: u64,
        keep: usize,
        tail: Arc<Tail>,
        terms: Arc<TermTail>,
        hasher: Hasher,
    ) -> Self {
        Readers {
            path,
            vfs,
            cache_bytes,
            keep,
            idle: Mutex::new(Vec::new()),
            tail,
            terms,
            hasher,
        }
    }

    /// Starts to fill a filter of the keys in the table.
    pub(crate) fn fill_filter(&self, keys: u64, max_bytes: u64) -> Result<Filling, IndexError> {
        Filling::start(
            self.path.clone(),
            self.vfs.clone(),
            Arc::clone(&self.tail),
            keys,
            max_bytes,
        )
    }

    /// Whether there may be a resource of this public id; reads no page, so it is the quick answer for what is new.
    pub(crate) fn may_know(&self, tenant: i64, id: &PublicId) -> bool {
        self.tail.may_know(self.hasher.public_id(tenant, id))
    }

    /// Runs `work` on one snapshot.
    pub(crate) fn read<T>(
        &self,
        mut work: impl FnMut(&Snapshot<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open(
                &self.path,
                self.vfs.as_deref(),
                Mode::Read,
                self.cache_bytes,
            )?,
        };
        let result = self.in_snapshot(&connection, &mut work);
        let mut idle = self.idle.lock();
        if idle.len() < self.keep && connection.is_autocommit() {
            idle.push(connection);
        }
        result
    }

    /// The same; statements that still run at `until` end with [`IndexError::Deadline`].
    pub(crate) fn read_until<T>(
        &self,
        until: Option<Instant>,
        mut work: impl FnMut(&Snapshot<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let Some(until) = until else {
            return self.read(work);
        };
        self.read(|snapshot| {
            let connection = snapshot.connection;
            let late = move || Instant::now() >= until;
            connection.progress_handler(STEPS_PER_LOOK, Some(late));
            let result = work(snapshot);
            connection.progress_handler(0, None::<fn() -> bool>);
            result
        })
    }

    fn in_snapshot<T>(
        &self,
        connection: &Connection,
        work: &mut impl FnMut(&Snapshot<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let run = |sql| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(()))
                .doing("reading a snapshot")
        };
        loop {
            let epoch = (self.tail.epoch(), self.terms.epoch());
            run("BEGIN")?;
            let snapshot = Snapshot {
                connection,
                tail: &self.tail,
                terms: &self.terms,
                hasher: self.hasher,
            };
            let result = work(&snapshot);
            run("ROLLBACK")?;
            // Keys that left memory since may be in the table behind our snapshot: see keys.rs (3).
            if (self.tail.epoch(), self.terms.epoch()) == epoch {
                return result;
            }
        }
    }
}

/// Steps of SQLite's machine between two looks at the clock; some 50 us.
const STEPS_PER_LOOK: i32 = 2_000;

impl Snapshot<'_> {
    /// The live resource of this public id.
    pub(crate) fn resolve(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<resource::Found>, IndexError> {
        let hash = self.hasher.public_id(tenant, id);
        for candidate in candidates(self.connection, self.tail, hash)? {
            let found = resource::find(self.connection, tenant, level, candidate, id)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
