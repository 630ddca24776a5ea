//! Counters of tenants, patients, studies and series, summed over a transaction.

use super::awaited;
use super::place::SeriesEntry;
use crate::error::Doing;
use crate::{ChangeType, IndexError};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{HashMap, HashSet};

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
    pub(crate) attached_stored: i64,
    pub(crate) attached_plain: i64,
    /// Of the tenant.
    pub(crate) last_seq: i64,
    /// Of patient, study and series: the last arrival, 0 for none.
    pub(crate) last_update_us: i64,
}

/// Sums of a transaction, so that each row above many instances is written once.
#[derive(Default)]
pub(crate) struct Pending {
    /// Resources that are known to await their Stable change.
    pub(crate) awaiting: HashSet<i64>,
    tenants: HashMap<i64, Counts>,
    patients: HashMap<i64, Counts>,
    studies: HashMap<i64, Counts>,
    series: HashMap<i64, Counts>,
}

impl Pending {
    /// No sums yet.
    pub(crate) fn knowing(awaiting: HashSet<i64>) -> Self {
        Pending {
            awaiting,
            ..Pending::default()
        }
    }

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
    pub(crate) fn each_above(
        &mut self,
        series: &SeriesEntry,
        tenant: i64,
        change: impl Fn(&mut Counts),
    ) {
        change(self.series(series.id));
        change(self.study(series.study.id));
        change(self.patient(series.patient.id));
        change(self.tenant(tenant));
    }

    pub(crate) fn flush(&mut self, connection: &Connection) -> Result<(), IndexError> {
        const DOING: &str = "updating counters";
        let awaiting = &mut self.awaiting;
        let mut arrived = |id, change, at_us| match at_us {
            0 => Ok(()), // only counters changed
            at_us => awaited::arrived(connection, awaiting, id, change, at_us),
        };
        for (id, c) in self.tenants.drain() {
            connection
                .prepare_cached(
                    "INSERT INTO tenant (id, patients, studies, series, instances, stored_bytes, plain_bytes,
                                         versions, version_bytes, last_seq, attached_stored, attached_plain)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                     ON CONFLICT (id) DO UPDATE SET
                        patients = patients + ?2, studies = studies + ?3, series = series + ?4,
                        instances = instances + ?5, stored_bytes = stored_bytes + ?6,
                        plain_bytes = plain_bytes + ?7, versions = versions + ?8,
                        version_bytes = version_bytes + ?9, last_seq = max(last_seq, ?10),
                        attached_stored = attached_stored + ?11, attached_plain = attached_plain + ?12",
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
                        c.last_seq,
                        c.attached_stored,
                        c.attached_plain
                    ])
                })
                .doing(DOING)?;
        }
        for (id, c) in self.patients.drain() {
            connection
                .prepare_cached(
                    "UPDATE patient SET studies = studies + ?2, series = series + ?3,
                        instances = instances + ?4, stored_bytes = stored_bytes + ?5,
                        plain_bytes = plain_bytes + ?6, last_update_us = max(last_update_us, ?7),
                        attached_stored = attached_stored + ?8, attached_plain = attached_plain + ?9
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
                        c.last_update_us,
                        c.attached_stored,
                        c.attached_plain
                    ])
                })
                .doing(DOING)?;
            arrived(id, ChangeType::StablePatient, c.last_update_us)?;
        }
        for (id, c) in self.studies.drain() {
            connection
                .prepare_cached(
                    "UPDATE study SET series = series + ?2, instances = instances + ?3,
                        stored_bytes = stored_bytes + ?4, plain_bytes = plain_bytes + ?5,
                        last_update_us = max(last_update_us, ?6), attached_stored = attached_stored + ?7,
                        attached_plain = attached_plain + ?8
                     WHERE id = ?1",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        id,
                        c.series,
                        c.instances,
                        c.stored_bytes,
                        c.plain_bytes,
                        c.last_update_us,
                        c.attached_stored,
                        c.attached_plain
                    ])
                })
                .doing(DOING)?;
            arrived(id, ChangeType::StableStudy, c.last_update_us)?;
        }
        for (id, c) in self.series.drain() {
            let is_filled: Option<Option<bool>> = connection
                .prepare_cached(
                    "UPDATE series SET instances = instances + ?2, stored_bytes = stored_bytes + ?3,
                        plain_bytes = plain_bytes + ?4, last_update_us = max(last_update_us, ?5),
                        attached_stored = attached_stored + ?6, attached_plain = attached_plain + ?7
                     WHERE id = ?1 RETURNING instances = expected",
                )
                .and_then(|mut statement| {
                    let sums = params![
                        id,
                        c.instances,
                        c.stored_bytes,
                        c.plain_bytes,
                        c.last_update_us,
                        c.attached_stored,
                        c.attached_plain
                    ];
                    statement.query_row(sums, |row| row.get(0)).optional()
                })
                .doing(DOING)?;
            arrived(id, ChangeType::StableSeries, c.last_update_us)?;
            if c.last_update_us > 0 && is_filled.flatten() == Some(true) {
                awaited::filled(connection, id)?;
            }
        }
        Ok(())
    }
}
