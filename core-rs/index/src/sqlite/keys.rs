//! Look-up by identifier: a table of hashes that is written in sorted runs.
//!
//! UIDs and public ids are random. In a B-tree that takes each at once, every new instance dirties a page of
//! its own for each index once the tree has outgrown a transaction, and ingest slows down as the archive
//! grows. So new keys stay in memory, sorted, and go to the table a run at a time: each page is then written
//! once for many keys.
//!
//! 1. Every live resource's keys are in the table, in the frozen run or in the active one; those of resources
//!    up to `meta.keyed_to` are in the table. A start reads the keys of the rows behind it again.
//! 2. A hash is a hint: who finds a resource by it compares the row, in the snapshot that it reads from.
//! 3. A run leaves memory after the transaction that completed it in the table. [`Tail::epoch`] changes then,
//!    so a reader whose snapshot is older than the change knows that it has to look again.

use super::filter::Filter;
use crate::bits::Signed;
use crate::error::Doing;
use crate::{IndexError, PublicId};
use parking_lot::RwLock;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Keys in a run, about 47,000 instances with all above them. The memory is at most twice this number times
/// about 40 bytes; the larger a run, the more keys share a page write.
pub(crate) const RUN_KEYS: usize = 128 * 1024;

/// Keys merged for each new one while a run is frozen, in percent. More than 100, so that a run is in the table
/// before the next is full; not much more, so that the cost is even.
const MERGE_PERCENT: usize = 150;

/// What an identifier identifies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyKind {
    PublicId = 1,
    PatientId = 2,
    StudyUid = 3,
    SeriesUid = 4,
    SopUid = 5,
    Accession = 6,
}

/// Hashes identifiers; the seed is a secret of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    pub(crate) seed: u64,
}

impl Hasher {
    pub(crate) fn text(self, tenant: i64, kind: KeyKind, text: &str) -> i64 {
        let salt = (tenant as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((kind as u64) << 56);
        xxh3_64_with_seed(text.as_bytes(), self.seed ^ salt).signed()
    }

    pub(crate) fn public_id(self, tenant: i64, id: &PublicId) -> i64 {
        let salt = (tenant as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ ((KeyKind::PublicId as u64) << 56);
        xxh3_64_with_seed(&id.0, self.seed ^ salt).signed()
    }
}

#[derive(Default)]
struct Runs {
    active: BTreeSet<(i64, i64)>,
    /// Sorted; `None` where the resource went before its turn.
    frozen: Vec<(i64, Option<i64>)>,
    /// How many of `frozen` are in the table by a committed or the running transaction.
    merged: usize,
    /// The last resource whose keys are in `frozen`.
    frozen_to: i64,
}

/// The keys that are not in the table yet, shared by writer and readers.
#[derive(Default)]
pub(crate) struct Tail {
    runs: RwLock<Runs>,
    epoch: AtomicU64,
    filters: RwLock<Filters>,
}

/// See filter.rs.
#[derive(Default)]
struct Filters {
    current: Option<Arc<Filter>>,
    filling: Option<Arc<Filter>>,
}

impl Tail {
    /// Changes whenever keys left memory.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// From now on the writer adds to this filter what it adds to the table.
    pub(crate) fn fill(&self, filter: Arc<Filter>) {
        self.filters.write().filling = Some(filter);
    }

    /// A filter has all of the table, or could not be filled.
    pub(crate) fn filled(&self, filter: Option<Arc<Filter>>) {
        let mut filters = self.filters.write();
        filters.filling = None;
        if filter.is_some() {
            filters.current = filter;
        }
    }

    /// Whether the table may have this hash.
    fn may_have(&self, hash: i64) -> bool {
        self.filters
            .read()
            .current
            .as_ref()
            .is_none_or(|filter| filter.may_contain(hash))
    }

    /// Whether any committed resource may have this hash. Memory first: a key is in the filter before it leaves memory.
    pub(crate) fn may_know(&self, hash: i64) -> bool {
        let mut found = Vec::new();
        self.find(hash, &mut found);
        !found.is_empty() || self.may_have(hash)
    }

    pub(crate) fn insert(&self, hash: i64, resource: i64) {
        self.runs.write().active.insert((hash, resource));
    }

    /// Adds a key of a resource that may be in the table already, to the table.
    pub(crate) fn put(
        &self,
        connection: &Connection,
        hash: i64,
        resource: i64,
    ) -> Result<(), IndexError> {
        let filters = self.filters.read();
        let filters = [filters.current.as_deref(), filters.filling.as_deref()];
        let filters = filters.iter().flatten();
        filters.for_each(|filter| filter.insert(hash));
        connection
            .prepare_cached("INSERT OR IGNORE INTO key (hash, resource) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![hash, resource]))
            .doing("adding a key")?;
        Ok(())
    }

    /// Takes back keys of a transaction that failed.
    pub(crate) fn retract(&self, keys: &[(i64, i64)]) {
        let mut runs = self.runs.write();
        for key in keys {
            runs.active.remove(key);
        }
    }

    /// Adds the resources in memory that may have this hash.
    pub(crate) fn find(&self, hash: i64, found: &mut Vec<i64>) {
        let runs = self.runs.read();
        found.extend(
            runs.active
                .range((hash, i64::MIN)..=(hash, i64::MAX))
                .map(|(_, resource)| *resource),
        );
        let start = runs.frozen.partition_point(|(at, _)| *at < hash);
        let frozen = runs.frozen[start..]
            .iter()
            .take_while(|(at, _)| *at == hash);
        for resource in frozen.filter_map(|(_, resource)| *resource) {
            if !found.contains(&resource) {
                found.push(resource);
            }
        }
    }

    /// Forgets a key, in memory and in the table.
    pub(crate) fn remove(
        &self,
        connection: &Connection,
        hash: i64,
        resource: i64,
    ) -> Result<(), IndexError> {
        const DOING: &str = "removing a key";
        let mut runs = self.runs.write();
        if runs.active.remove(&(hash, resource)) {
            return Ok(());
        }
        let start = runs.frozen.partition_point(|(at, _)| *at < hash);
        for (at, slot) in &mut runs.frozen[start..] {
            if *at != hash {
                break;
            }
            if *slot == Some(resource) {
                *slot = None; // not merged any more; if it was, the statement below finds it
            }
        }
        drop(runs);
        connection
            .prepare_cached("DELETE FROM key WHERE hash = ?1 AND resource = ?2")
            .and_then(|mut statement| statement.execute(params![hash, resource]))
            .doing(DOING)?;
        Ok(())
    }

    /// Merges a share of the frozen run, in proportion to `new` keys, within the writer's transaction.
    ///
    /// Gives what `meta.keyed_to` becomes if the run is complete with this transaction; the caller calls
    /// [`Tail::settle`] after the commit.
    pub(crate) fn merge(
        &self,
        connection: &Connection,
        new: usize,
        last_id: i64,
        run_keys: usize,
    ) -> Result<Option<i64>, IndexError> {
        const DOING: &str = "merging keys";
        let mut runs = self.runs.write();
        if runs.frozen.is_empty() {
            if runs.active.len() < run_keys {
                return Ok(None);
            }
            let active = std::mem::take(&mut runs.active);
            runs.frozen = active
                .into_iter()
                .map(|(hash, id)| (hash, Some(id)))
                .collect();
            runs.merged = 0;
            runs.frozen_to = last_id;
        }
        drop(runs); // readers go on while pages are written; only this thread changes `frozen`
        let runs = self.runs.read();
        let from = runs.merged;
        let to = runs
            .frozen
            .len()
            .min(from + new.saturating_mul(MERGE_PERCENT) / 100 + 1);
        let mut statement = connection
            .prepare_cached("INSERT OR IGNORE INTO key (hash, resource) VALUES (?1, ?2)")
            .doing(DOING)?;
        let filters = self.filters.read();
        let filters = [filters.current.as_deref(), filters.filling.as_deref()];
        for (hash, resource) in &runs.frozen[from..to] {
            if let Some(resource) = resource {
                filters
                    .iter()
                    .flatten()
                    .for_each(|filter| filter.insert(*hash));
                statement.execute(params![hash, resource]).doing(DOING)?;
            }
        }
        let complete = to == runs.frozen.len();
        let frozen_to = runs.frozen_to;
        drop(runs);
        self.runs.write().merged = to;
        Ok(complete.then_some(frozen_to))
    }

    /// Ends a transaction: after a commit that completed the run, it leaves memory (3); after a failure (with the
    /// last id that is committed), its merge starts again; what is in the table by then is ignored.
    pub(crate) fn settle(&self, failed: Option<i64>) {
        let mut runs = self.runs.write();
        if let Some(last_id) = failed {
            runs.merged = 0;
            runs.frozen_to = runs.frozen_to.min(last_id); // ids behind it are given out again
        } else if !runs.frozen.is_empty() && runs.merged == runs.frozen.len() {
            runs.frozen = Vec::new();
            runs.merged = 0;
            drop(runs);
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The resources that may have this hash, as `connection` sees them.
pub(crate) fn candidates(
    connection: &Connection,
    tail: &Tail,
    hash: i64,
) -> Result<Vec<i64>, IndexError> {
    const DOING: &str = "looking up a key";
    let mut found = Vec::new();
    if tail.may_have(hash) {
        let mut statement = connection
            .prepare_cached("SELECT resource FROM key WHERE hash = ?1")
            .doing(DOING)?;
        let mut rows = statement.query(params![hash]).doing(DOING)?;
        while let Some(row) = rows.next().doing(DOING)? {
            found.push(row.get(0).doing(DOING)?);
        }
    }
    tail.find(hash, &mut found);
    Ok(found)
}

/// Reads the keys of all resources behind `keyed_to` into memory (1).
pub(crate) fn load(
    connection: &Connection,
    tail: &Tail,
    hasher: Hasher,
    keyed_to: i64,
) -> Result<(), IndexError> {
    const DOING: &str = "loading keys";
    let load = |sql: &str, kinds: &[KeyKind]| -> Result<(), rusqlite::Error> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(params![keyed_to])?;
        while let Some(row) = rows.next()? {
            let (id, tenant, public_id): (i64, i64, [u8; 20]) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            tail.insert(hasher.public_id(tenant, &PublicId(public_id)), id);
            for (i, kind) in kinds.iter().enumerate() {
                let text = row.get_ref(3 + i)?.as_str()?;
                if !text.is_empty() || *kind != KeyKind::Accession {
                    tail.insert(hasher.text(tenant, *kind, text), id);
                }
            }
        }
        Ok(())
    };
    load(
        "SELECT id, tenant, public_id, patient_id FROM patient WHERE id > ?1",
        &[KeyKind::PatientId],
    )
    .doing(DOING)?;
    load(
        "SELECT id, tenant, public_id, study_uid, accession FROM study WHERE id > ?1",
        &[KeyKind::StudyUid, KeyKind::Accession],
    )
    .doing(DOING)?;
    load(
        "SELECT id, tenant, public_id, series_uid FROM series WHERE id > ?1",
        &[KeyKind::SeriesUid],
    )
    .doing(DOING)?;
    load(
        "SELECT id, tenant, public_id, sop_uid FROM instance WHERE id > ?1",
        &[KeyKind::SopUid],
    )
    .doing(DOING)
}
