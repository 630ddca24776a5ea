//! The one writer: entries of the log become rows.

use super::keys::{self, Hasher, KeyKind, Tail, candidates};
use super::place::{self, Made, Places, SeriesEntry};
use super::terms::{self, TermTail};
use super::{connection, delete, maintain, resource};
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::identity::{instance_id, qualified_patient_id};
use crate::{
    Arrival, BlobRow, ChangeType, DuplicatePolicy, Entry, Event, FreedBlob, Ids, IndexError, Lsn,
    Origin, Outcome,
};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
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

/// What a resource gained (or lost) in a transaction.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) patients: i64,
    pub(crate) studies: i64,
    pub(crate) series: i64,
    pub(crate) instances: i64,
    pub(crate) stored_bytes: i64,
    pub(crate) plain_bytes: i64,
    pub(crate) versions: i64,
    pub(crate) version_bytes: i64,
    /// Of the tenant.
    pub(crate) last_seq: i64,
    /// Of patient, study and series: the last arrival, 0 for none.
    pub(crate) last_update_us: i64,
}

/// Sums of a transaction, so that each row above many instances is written once.
#[derive(Default)]
pub(crate) struct Pending {
    tenants: HashMap<i64, Counts>,
    patients: HashMap<i64, Counts>,
    studies: HashMap<i64, Counts>,
    series: HashMap<i64, Counts>,
}

impl Pending {
    pub(crate) fn tenant(&mut self, id: i64) -> &mut Counts {
        self.tenants.entry(id).or_default()
    }
    pub(crate) fn patient(&mut self, id: i64) -> &mut Counts {
        self.patients.entry(id).or_default()
    }
    pub(crate) fn study(&mut self, id: i64) -> &mut Counts {
        self.studies.entry(id).or_default()
    }
    pub(crate) fn series(&mut self, id: i64) -> &mut Counts {
        self.series.entry(id).or_default()
    }

    /// Changes the sums of all that lies above an instance.
    fn each_above(&mut self, series: &SeriesEntry, tenant: i64, change: impl Fn(&mut Counts)) {
        change(self.series(series.id));
        change(self.study(series.study.id));
        change(self.patient(series.patient.id));
        change(self.tenant(tenant));
    }

    pub(crate) fn flush(&mut self, connection: &Connection) -> Result<(), IndexError> {
        const DOING: &str = "updating counters";
        for (id, c) in self.tenants.drain() {
            connection
                .prepare_cached(
                    "INSERT INTO tenant (id, patients, studies, series, instances, stored_bytes, plain_bytes,
                                         versions, version_bytes, last_seq)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                     ON CONFLICT (id) DO UPDATE SET
                        patients = patients + ?2, studies = studies + ?3, series = series + ?4,
                        instances = instances + ?5, stored_bytes = stored_bytes + ?6,
                        plain_bytes = plain_bytes + ?7, versions = versions + ?8,
                        version_bytes = version_bytes + ?9, last_seq = max(last_seq, ?10)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        id,
                        c.patients,
                        c.studies,
                        c.series,
                        c.instances,
                        c.stored_bytes,
                        c.plain_bytes,
                        c.versions,
                        c.version_bytes,
                        c.last_seq
                    ])
                })
                .doing(DOING)?;
        }
        for (id, c) in self.patients.drain() {
            connection
                .prepare_cached(
                    "UPDATE patient SET studies = studies + ?2, series = series + ?3,
                        instances = instances + ?4, stored_bytes = stored_bytes + ?5,
                        plain_bytes = plain_bytes + ?6, last_update_us = max(last_update_us, ?7)
                     WHERE id = ?1",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        id,
                        c.studies,
                        c.series,
                        c.instances,
                        c.stored_bytes,
                        c.plain_bytes,
                        c.last_update_us
                    ])
                })
                .doing(DOING)?;
        }
        for (id, c) in self.studies.drain() {
            connection
                .prepare_cached(
                    "UPDATE study SET series = series + ?2, instances = instances + ?3,
                        stored_bytes = stored_bytes + ?4, plain_bytes = plain_bytes + ?5,
                        last_update_us = max(last_update_us, ?6)
                     WHERE id = ?1",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        id,
                        c.series,
                        c.instances,
                        c.stored_bytes,
                        c.plain_bytes,
                        c.last_update_us
                    ])
                })
                .doing(DOING)?;
        }
        for (id, c) in self.series.drain() {
            connection
                .prepare_cached(
                    "UPDATE series SET instances = instances + ?2, stored_bytes = stored_bytes + ?3,
                        plain_bytes = plain_bytes + ?4, last_update_us = max(last_update_us, ?5)
                     WHERE id = ?1",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        id,
                        c.instances,
                        c.stored_bytes,
                        c.plain_bytes,
                        c.last_update_us
                    ])
                })
                .doing(DOING)?;
        }
        Ok(())
    }
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
            pending: Pending::default(),
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
            ..
        } = transaction;
        self.packed = packed;
        match result {
            Ok(value) => {
                self.meta = meta;
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
            number(
                covered.saturating_mul(CHANGES_PER_LSN.unsigned()),
                "log position",
            )?;
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
                    Entry::Event(event) => transaction.event(event)?,
                });
            }
            transaction.meta.covered = covered;
            Ok(outcomes)
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
        connection::set_synced(&self.connection, false)?;
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

    fn arrival(&mut self, arrival: &Arrival) -> Result<Outcome, IndexError> {
        let identity = &arrival.instance.identity;
        place::check_identity(identity, arrival.lsn)?;
        let (series, made) = place::place(self, arrival)?;
        let qualified = qualified_patient_id(&identity.patient_id, &identity.issuer_of_patient_id);
        let ids = Ids {
            patient: series.patient.public_id,
            study: series.study.public_id,
            series: series.public_id,
            instance: instance_id(&qualified, identity),
        };
        let hash = self
            .hasher
            .text(arrival.tenant, KeyKind::SopUid, &identity.sop_instance_uid);
        let (mut live, mut versions, mut elsewhere) = (None, Vec::new(), false);
        for id in candidates(self.connection, self.tail, hash)? {
            match self.twin(id, arrival)? {
                Some(twin) if twin.series != series.id => elsewhere |= twin.state == LIVE,
                Some(twin) if twin.state == LIVE => live = Some(twin),
                Some(twin) if twin.state == SUPERSEDED => versions.push(twin),
                _ => {}
            }
        }
        let conflict = elsewhere || series.conflict || series.study.conflict;
        let Some(live) = live else {
            let new = NewRow {
                version: 1,
                state: LIVE,
                expires_us: None,
                conflict: elsewhere,
            };
            let id = self.insert(arrival, &series, &ids, hash, new)?;
            self.tell_new(arrival, &series, id, made)?;
            return Ok(Outcome::Stored { ids, conflict });
        };
        let same = live.digest == arrival.blob.digest && live.plain_size == arrival.blob.plain_size;
        if same && arrival.policy != DuplicatePolicy::Always {
            return Ok(Outcome::AlreadyStored {
                ids,
                freed: FreedBlob::from(&arrival.blob),
            });
        }
        let last = versions
            .iter()
            .map(|twin| twin.version)
            .max()
            .unwrap_or(0)
            .max(live.version);
        let expires_us = arrival.received_us.saturating_add(arrival.keep_versions_us);
        if arrival.policy == DuplicatePolicy::Never {
            let kept = versions.iter().find(|twin| {
                twin.digest == arrival.blob.digest && twin.plain_size == arrival.blob.plain_size
            });
            if let Some(kept) = kept {
                return Ok(Outcome::KeptAsVersion {
                    ids,
                    version: kept.version,
                    expires_us: kept.expires_us.unwrap_or(expires_us),
                    freed: Some(FreedBlob::from(&arrival.blob)),
                });
            }
            let version = last + 1;
            let new = NewRow {
                version,
                state: SUPERSEDED,
                expires_us: Some(expires_us),
                conflict: elsewhere,
            };
            self.insert(arrival, &series, &ids, hash, new)?;
            return Ok(Outcome::KeptAsVersion {
                ids,
                version,
                expires_us,
                freed: None,
            });
        }
        let freed = self.supersede(&live, same, expires_us, &series, arrival)?;
        let version = last + 1;
        let new = NewRow {
            version,
            state: LIVE,
            expires_us: None,
            conflict: elsewhere,
        };
        let id = self.insert(arrival, &series, &ids, hash, new)?;
        self.tell_new(arrival, &series, id, made)?;
        Ok(Outcome::Superseded {
            ids,
            version,
            conflict,
            freed,
        })
    }

    /// The row `id`, if it has the SOP Instance UID of the arrival and nothing above it is deleted.
    fn twin(&self, id: i64, arrival: &Arrival) -> Result<Option<Twin>, IndexError> {
        self.connection
            .prepare_cached(
                "SELECT instance.id, instance.state, instance.series, version, expires_us, digest,
                        plain_size, stored_size
                 FROM instance JOIN series ON series.id = instance.series
                      JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
                      JOIN blob ON blob.id = instance.blob
                 WHERE instance.id = ?1 AND instance.tenant = ?2 AND sop_uid = ?3
                   AND series.state = 0 AND study.state = 0 AND patient.state = 0",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![id, arrival.tenant, arrival.instance.identity.sop_instance_uid],
                        |row| {
                            Ok(Twin {
                                id: row.get(0)?,
                                state: row.get(1)?,
                                series: row.get(2)?,
                                version: row.get(3)?,
                                expires_us: row.get(4)?,
                                digest: row.get(5)?,
                                plain_size: row.get::<_, i64>(6)?.unsigned(),
                                stored_size: row.get(7)?,
                            })
                        },
                    )
                    .optional()
            })
            .doing("comparing with an instance of the same UID")
    }

    /// Takes the live row out of the way of a new one: to a version for a while, or out at once if the bytes
    /// are the same.
    fn supersede(
        &mut self,
        live: &Twin,
        same: bool,
        expires_us: i64,
        series: &SeriesEntry,
        arrival: &Arrival,
    ) -> Result<Option<FreedBlob>, IndexError> {
        self.pending.each_above(series, arrival.tenant, |counts| {
            counts.instances -= 1;
            counts.stored_bytes -= live.stored_size;
            counts.plain_bytes -= live.plain_size.signed();
        });
        if same {
            let mut freed = Vec::new();
            delete::remove_instance(self, live.id, &mut freed)?;
            return Ok(freed.pop());
        }
        let tenant = self.pending.tenant(arrival.tenant);
        tenant.versions += 1;
        tenant.version_bytes += live.stored_size;
        self.connection
            .prepare_cached("UPDATE instance SET state = ?2, expires_us = ?3 WHERE id = ?1")
            .and_then(|mut statement| statement.execute(params![live.id, SUPERSEDED, expires_us]))
            .doing("superseding an instance")?;
        Ok(None)
    }

    fn insert(
        &mut self,
        arrival: &Arrival,
        series: &SeriesEntry,
        ids: &Ids,
        hash: i64,
        new: NewRow,
    ) -> Result<i64, IndexError> {
        let instance = &arrival.instance;
        let identity = &instance.identity;
        let id = self.new_id();
        let blob = self.insert_blob(&arrival.blob)?;
        let sop_class = self.word(&identity.sop_class_uid)?;
        let syntax = self.word(&instance.transfer_syntax_uid)?;
        let origin = self.origin(&arrival.origin)?;
        let pixel_offset = match &instance.pixel_data {
            Some(pixel_data) => Some(number(pixel_data.element_offset, "pixel data offset")?),
            None => None,
        };
        place::pack_level(arrival, Level::Instance, &mut self.packed);
        self.connection
            .prepare_cached(
                "INSERT INTO instance (id, tenant, state, version, conflict, series, sop_uid, public_id,
                                       sop_class, syntax, index_in_series, frames, blob, file_size,
                                       data_set_offset, pixel_offset, origin, received_us, expires_us, lsn, tags)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                         ?20, ?21)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    id,
                    arrival.tenant,
                    new.state,
                    new.version,
                    new.conflict,
                    series.id,
                    identity.sop_instance_uid,
                    ids.instance.0,
                    sop_class,
                    syntax,
                    index_in_series(arrival),
                    instance.number_of_frames,
                    blob,
                    arrival.file_size.signed(),
                    instance.data_set_offset.signed(),
                    pixel_offset,
                    origin,
                    arrival.received_us,
                    new.expires_us,
                    arrival.lsn.signed(),
                    self.packed,
                ])
            })
            .doing("adding an instance")?;
        self.add_key(hash, id);
        self.add_key(self.hasher.public_id(arrival.tenant, &ids.instance), id);
        if new.state != LIVE {
            let tenant = self.pending.tenant(arrival.tenant);
            tenant.versions += 1;
            tenant.version_bytes += number(arrival.blob.stored_size, "stored size")?;
            return Ok(id);
        }
        let stored = number(arrival.blob.stored_size, "stored size")?;
        let plain = number(arrival.blob.plain_size, "plain size")?;
        self.pending.each_above(series, arrival.tenant, |counts| {
            counts.instances += 1;
            counts.stored_bytes += stored;
            counts.plain_bytes += plain;
            counts.last_update_us = counts.last_update_us.max(arrival.received_us);
        });
        let mut classes = series.classes.lock();
        if !classes.contains(&sop_class) {
            self.connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO series_class (series, sop_class) VALUES (?1, ?2)",
                )
                .and_then(|mut statement| statement.execute(params![series.id, sop_class]))
                .doing("noting a SOP class")?;
            classes.push(sop_class);
        }
        Ok(id)
    }

    fn insert_blob(&mut self, blob: &BlobRow) -> Result<i64, IndexError> {
        let id = self.meta.next_blob;
        self.meta.next_blob += 1;
        self.connection
            .prepare_cached(
                "INSERT INTO blob (id, store, key, place_a, place_b, stored_size, plain_size, encoding, digest,
                                   availability, refs)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    id,
                    blob.store,
                    blob.key,
                    blob.place_a,
                    blob.place_b,
                    blob.stored_size.signed(),
                    blob.plain_size.signed(),
                    blob.encoding,
                    blob.digest,
                    blob.availability,
                ])
            })
            .doing("adding a blob")?;
        Ok(id)
    }

    fn tell_new(
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
                self.tell(
                    seq,
                    arrival.tenant,
                    change,
                    level,
                    resource,
                    arrival.received_us,
                )?;
                seq += 1;
            }
        }
        Ok(())
    }

    fn tell(
        &mut self,
        seq: i64,
        tenant: i64,
        change: ChangeType,
        level: Level,
        resource: i64,
        at_us: i64,
    ) -> Result<(), IndexError> {
        self.connection
            .prepare_cached(
                "INSERT INTO change (seq, tenant, type, level, resource, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut statement| {
                statement.execute(params![seq, tenant, change.number(), level as i64, resource, at_us])
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
            if found.is_some() {
                let seq = first_seq(event.lsn);
                self.tell(
                    seq,
                    event.tenant,
                    event.change,
                    event.level,
                    id,
                    event.at_us,
                )?;
                return Ok(Outcome::Recorded);
            }
        }
        Ok(Outcome::NotFound)
    }

    fn word(&mut self, text: &str) -> Result<i64, IndexError> {
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

    fn origin(&mut self, origin: &Origin) -> Result<i64, IndexError> {
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

/// An instance that has the SOP Instance UID of an arrival.
struct Twin {
    id: i64,
    state: i64,
    series: i64,
    version: i64,
    expires_us: Option<i64>,
    digest: [u8; 16],
    plain_size: u64,
    stored_size: i64,
}

struct NewRow {
    version: i64,
    state: i64,
    expires_us: Option<i64>,
    conflict: bool,
}

/// The first change number of a log position; the first position is 1.
pub(crate) fn first_seq(lsn: Lsn) -> i64 {
    (lsn.signed() - 1) * CHANGES_PER_LSN + 1
}

/// What clients know as IndexInSeries.
fn index_in_series(arrival: &Arrival) -> Option<i64> {
    let number = |tag| arrival.instance.tag(tag)?.trim().parse::<i64>().ok();
    number(vna_dicom::tags::INSTANCE_NUMBER).or_else(|| number(vna_dicom::Tag(0x0054, 0x1330)))
}

pub(crate) fn number(value: u64, name: &'static str) -> Result<i64, IndexError> {
    i64::try_from(value).map_err(|_| IndexError::OutOfRange { name, found: value })
}
