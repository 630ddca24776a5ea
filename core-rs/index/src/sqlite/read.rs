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
        let result = loop {
            let epoch = (self.tail.epoch(), self.terms.epoch());
            connection
                .execute_batch("BEGIN")
                .doing("beginning to read")?;
            let snapshot = Snapshot {
                connection: &connection,
                tail: &self.tail,
                terms: &self.terms,
                hasher: self.hasher,
            };
            let result = work(&snapshot);
            connection
                .execute_batch("ROLLBACK")
                .doing("ending to read")?;
            // Keys that left memory since may be in the table behind our snapshot: see keys.rs (3).
            if (self.tail.epoch(), self.terms.epoch()) == epoch {
                break result;
            }
        };
        let mut idle = self.idle.lock();
        if idle.len() < self.keep {
            idle.push(connection);
        }
        result
    }
}

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
