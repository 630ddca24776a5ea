//! The one writer: entries of the log become rows.

use super::counts::Pending;
use super::keys::{self, Hasher, Tail, candidates};
use super::place::{Made, Places, SeriesEntry};
use super::terms::{self, TermTail};
use super::{awaited, connection, delete, maintain, resource};
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::{Arrival, ChangeType, Entry, Event, FreedBlob, IndexError, Lsn, Origin, Outcome};
use rusqlite::{Connection, params};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use vna_dicom::Level;

/// States of rows; see the schema.
pub(crate) const LIVE: i64 = 0;
pub(crate) const SUPERSEDED: i64 = 1;
pub(crate) const DELETED: i64 = 4;

/// Texts and origins that the writer knows without asking. Both repeat; the bound stops a sender that invents
/// a new one each time.
const REMEMBERED_WORDS: usize = 4096;

/// Change numbers for each log position: an arrival tells of at most instance, series, study and patient.
const CHANGES_PER_LSN: i64 = 4;

/// What a row of the change feed says beside its number and tenant.
pub(crate) struct ChangeRow {
    pub(crate) change: ChangeType,
    pub(crate) level: Level,
    pub(crate) resource: i64,
    pub(crate) at_us: i64,
    /// The record of an event.
    pub(crate) blob: Option<i64>,
}

/// The row `meta`, as the writer keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) covered: Lsn,
    pub(crate) next_id: i64,
    pub(crate) next_blob: i64,
    pub(crate) keyed_to: i64,
    pub(crate) termed_to: i64,
    pub(crate) grammed_to: i64,
    pub(crate) syncs: i64,
}

/// All that belongs to the one writing connection.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) tail: Arc<Tail>,
    pub(crate) terms: Arc<TermTail>,
    pub(crate) meta: Meta,
    pub(crate) hasher: Hasher,
    pub(crate) run_keys: usize,
    grams_from: u64,
    places: Places,
    words: HashMap<String, i64>,
    origins: HashMap<Origin, i64>,
    packed: Vec<u8>,
    /// Resources that await their Stable change.
    awaiting: HashSet<i64>,
    broken: bool,
}

/// A writing transaction and what it shares with the writer.
pub(crate) struct Transaction<'w> {
    pub(crate) connection: &'w Connection,
    pub(crate) tail: &'w Tail,
    pub(crate) terms: &'w TermTail,
    pub(crate) hasher: Hasher,
    pub(crate) meta: Meta,
    pub(crate) places: &'w mut Places,
    pub(crate) pending: Pending,
    pub(crate) packed: Vec<u8>,
    words: &'w mut HashMap<String, i64>,
    origins: &'w mut HashMap<Origin, i64>,
    new_keys: Vec<(i64, i64)>,
    /// Terms that this transaction added.
    pub(crate) new_terms: usize,
    pub(crate) grams_from: u64,
}

impl Writer {
    pub(crate) fn open(
        connection: Connection,
        tail: Arc<Tail>,
        terms: Arc<TermTail>,
        run_keys: usize,
        grams_from: u64,
    ) -> Result<Writer, IndexError> {
        let (meta, seed) = connection
            .query_row(
                "SELECT covered_lsn, next_id, next_blob, keyed_to, termed_to, grammed_to, key_seed, syncs FROM meta",
                [],
                |row| {
                    let meta = Meta {
                        covered: row.get::<_, i64>(0)?.unsigned(),
                        next_id: row.get(1)?,
                        next_blob: row.get(2)?,
                        keyed_to: row.get(3)?,
                        termed_to: row.get(4)?,
                        grammed_to: row.get(5)?,
                        syncs: row.get(7)?,
                    };
                    Ok((meta, row.get::<_, i64>(6)?.unsigned()))
                },
            )
            .doing("reading the state of the index")?;
        let hasher = Hasher { seed };
        keys::load(&connection, &tail, hasher, meta.keyed_to)?;
        terms::load(&connection, &terms, meta.termed_to)?;
        Ok(Writer {
            connection,
            tail,
            terms,
            meta,
            hasher,
            run_keys,
            grams_from,
            places: Places::new(seed),
            words: HashMap::new(),
            origins: HashMap::new(),
            packed: Vec::new(),
            awaiting: HashSet::new(),
            broken: false,
        })
    }

    /// Runs `work` in a transaction; what it changed in memory is undone if it fails.
    pub(crate) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        if self.broken {
            return Err(IndexError::Broken);
        }
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .doing("beginning a transaction")?;
        let mut transaction = Transaction {
            connection: &self.connection,
            tail: &self.tail,
            terms: &self.terms,
            hasher: self.hasher,
            meta: self.meta,
            places: &mut self.places,
            pending: Pending::knowing(std::mem::take(&mut self.awaiting)),
            packed: std::mem::take(&mut self.packed),
            words: &mut self.words,
            origins: &mut self.origins,
            new_keys: Vec::new(),
            new_terms: 0,
            grams_from: self.grams_from,
        };
        let result = work(&mut transaction).and_then(|value| {
            transaction.finish(self.run_keys)?;
            Ok(value)
        });
        let result = result.and_then(|value| {
            self.connection
                .execute_batch("COMMIT")
                .doing("committing")?;
            Ok(value)
        });
        let Transaction {
            meta,
            new_keys,
            packed,
            new_terms,
            pending,
            ..
        } = transaction;
        self.packed = packed;
        match result {
            Ok(value) => {
                self.meta = meta;
                self.awaiting = pending.awaiting;
                self.tail.settle(None);
                self.terms.settle(None);
                Ok(value)
            }
            Err(error) => {
                self.tail.retract(&new_keys);
                self.tail.settle(Some(self.meta.next_id - 1));
                self.terms.retract(new_terms);
                self.terms.settle(Some(self.meta.next_id - 1));
                self.places.clear();
                self.words.clear();
                self.origins.clear();
                // A failed commit may have ended the transaction itself; one that cannot be ended leaves the
                // connection unusable.
                if !self.connection.is_autocommit()
                    && self.connection.execute_batch("ROLLBACK").is_err()
                {
                    self.broken = true;
                }
                Err(error)
            }
        }
    }

    pub(crate) fn apply(&mut self, entries: &[Entry]) -> Result<Vec<Outcome>, IndexError> {
        let mut covered = self.meta.covered;
        for entry in entries {
            if entry.lsn() <= covered {
                return Err(IndexError::LsnOrder {
                    found: entry.lsn(),
                    covered,
                });
            }
            covered = entry.lsn();
            check_lsn(covered)?;
        }
        self.transaction(|transaction| {
            let mut outcomes = Vec::with_capacity(entries.len());
            for entry in entries {
                outcomes.push(match entry {
                    Entry::Arrival(arrival) => transaction.arrival(arrival)?,
                    Entry::Deletion(deletion) => {
                        transaction.pending.flush(transaction.connection)?;
                        transaction.places.clear();
                        delete::apply(transaction, deletion)?
                    }
                    Entry::Erasure(erasure) => delete::erase(transaction, erasure)?,
                    Entry::Event(event) => transaction.event(event)?,
                    Entry::Noting(noting) => transaction.note(noting)?,
                    Entry::Unnoting(unnoting) => transaction.take_note(unnoting)?,
                });
            }
            transaction.meta.covered = covered;
            Ok(outcomes)
        })
    }

    /// Takes note that the log up to `lsn` held nothing more for the index.
    pub(crate) fn cover(&mut self, lsn: Lsn) -> Result<(), IndexError> {
        if lsn <= self.meta.covered {
            return Ok(());
        }
        check_lsn(lsn)?;
        self.transaction(|transaction| {
            transaction.meta.covered = lsn;
            Ok(())
        })
    }

    /// Makes all commits so far durable: a commit with a sync of the write-ahead log, which holds them all.
    ///
    /// It has to change a page: SQLite writes, and syncs, nothing for an update to equal values.
    pub(crate) fn sync(&mut self) -> Result<Lsn, IndexError> {
        self.synced(|transaction| {
            transaction.meta.syncs = transaction.meta.syncs.wrapping_add(1);
            Ok(())
        })?;
        Ok(self.meta.covered)
    }

    /// A transaction whose commit is synced.
    pub(crate) fn synced<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        connection::set_synced(&self.connection, true)?;
        let result = self.transaction(work);
        // If this fails, later commits are synced as well: slower, and no reason to deny the one just made.
        let _ = connection::set_synced(&self.connection, false);
        result
    }
}

impl Transaction<'_> {
    pub(crate) fn new_id(&mut self) -> i64 {
        let id = self.meta.next_id;
        self.meta.next_id += 1;
        id
    }

    pub(crate) fn add_key(&mut self, hash: i64, resource: i64) {
        self.tail.insert(hash, resource);
        self.new_keys.push((hash, resource));
    }

    fn finish(&mut self, run_keys: usize) -> Result<(), IndexError> {
        self.pending.flush(self.connection)?;
        let last_id = self.meta.next_id - 1;
        if let Some(keyed_to) =
            self.tail
                .merge(self.connection, self.new_keys.len(), last_id, run_keys)?
        {
            self.meta.keyed_to = keyed_to;
        }
        maintain::keep_up(self)?;
        let meta = &self.meta;
        self.connection
            .prepare_cached(
                "UPDATE meta SET covered_lsn = ?1, next_id = ?2, next_blob = ?3, keyed_to = ?4,
                                 termed_to = ?5, grammed_to = ?6, syncs = ?7",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    meta.covered.signed(),
                    meta.next_id,
                    meta.next_blob,
                    meta.keyed_to,
                    meta.termed_to,
                    meta.grammed_to,
                    meta.syncs
                ])
            })
            .doing("updating the state of the index")?;
        Ok(())
    }

    pub(crate) fn tell_new(
        &mut self,
        arrival: &Arrival,
        series: &SeriesEntry,
        instance: i64,
        made: Made,
    ) -> Result<(), IndexError> {
        let first = first_seq(arrival.lsn);
        let changes = [
            (true, ChangeType::NewInstance, Level::Instance, instance),
            (made.series, ChangeType::NewSeries, Level::Series, series.id),
            (
                made.study,
                ChangeType::NewStudy,
                Level::Study,
                series.study.id,
            ),
            (
                made.patient,
                ChangeType::NewPatient,
                Level::Patient,
                series.patient.id,
            ),
        ];
        let mut seq = first;
        for (happened, change, level, resource) in changes {
            if happened {
                let at_us = arrival.received_us;
                let row = ChangeRow {
                    change,
                    level,
                    resource,
                    at_us,
                    blob: None,
                };
                self.tell(seq, arrival.tenant, row)?;
                seq += 1;
            }
        }
        Ok(())
    }

    pub(crate) fn tell(&mut self, seq: i64, tenant: i64, row: ChangeRow) -> Result<(), IndexError> {
        self.connection
            .prepare_cached(
                "INSERT INTO change (seq, tenant, type, level, resource, at_us, blob)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    seq,
                    tenant,
                    row.change.number(),
                    row.level as i64,
                    row.resource,
                    row.at_us,
                    row.blob
                ])
            })
            .doing("telling a change")?;
        let counts = self.pending.tenant(tenant);
        counts.last_seq = counts.last_seq.max(seq);
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<Outcome, IndexError> {
        let hash = self.hasher.public_id(event.tenant, &event.public_id);
        for id in candidates(self.connection, self.tail, hash)? {
            let found = resource::find(
                self.connection,
                event.tenant,
                event.level,
                id,
                &event.public_id,
            )?;
            if found.is_some() && awaited::settle(self, event, id)? {
                let seq = first_seq(event.lsn);
                let row = ChangeRow {
                    change: event.change,
                    level: event.level,
                    resource: id,
                    at_us: event.at_us,
                    blob: Some(self.insert_blob(&event.blob)?),
                };
                self.tell(seq, event.tenant, row)?;
                return Ok(Outcome::Recorded);
            }
        }
        Ok(Outcome::NotRecorded {
            freed: FreedBlob::from(&event.blob),
        })
    }

    pub(crate) fn word(&mut self, text: &str) -> Result<i64, IndexError> {
        const DOING: &str = "adding a word";
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO word (text) VALUES (?1)")
            .and_then(|mut statement| statement.execute(params![text]))
            .doing(DOING)?;
        let id = self
            .connection
            .prepare_cached("SELECT id FROM word WHERE text = ?1")
            .and_then(|mut statement| statement.query_row(params![text], |row| row.get(0)))
            .doing(DOING)?;
        if self.words.len() >= REMEMBERED_WORDS {
            self.words.clear();
        }
        self.words.insert(text.to_owned(), id);
        Ok(id)
    }

    pub(crate) fn origin(&mut self, origin: &Origin) -> Result<i64, IndexError> {
        const DOING: &str = "adding an origin";
        if let Some(id) = self.origins.get(origin) {
            return Ok(*id);
        }
        let Origin {
            way_in,
            calling_ae_title,
            called_ae_title,
            address,
            user,
        } = origin;
        let values = params![way_in, calling_ae_title, called_ae_title, address, user];
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO origin (way_in, calling_ae, called_ae, address, user)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut statement| statement.execute(values))
            .doing(DOING)?;
        let id = self
            .connection
            .prepare_cached(
                "SELECT id FROM origin WHERE way_in = ?1 AND calling_ae = ?2 AND called_ae = ?3
                                         AND address = ?4 AND user = ?5",
            )
            .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
            .doing(DOING)?;
        if self.origins.len() >= REMEMBERED_WORDS {
            self.origins.clear();
        }
        self.origins.insert(origin.clone(), id);
        Ok(id)
    }
}

/// The first change number of a log position; the first position is 1.
pub(crate) fn first_seq(lsn: Lsn) -> i64 {
    (lsn.signed() - 1) * CHANGES_PER_LSN + 1
}

/// Change numbers follow from log positions and have to fit.
fn check_lsn(lsn: Lsn) -> Result<(), IndexError> {
    let last_seq = lsn.saturating_mul(CHANGES_PER_LSN.unsigned());
    number(last_seq, "log position").map(|_| ())
}

pub(crate) fn number(value: u64, name: &'static str) -> Result<i64, IndexError> {
    i64::try_from(value).map_err(|_| IndexError::OutOfRange { name, found: value })
}
