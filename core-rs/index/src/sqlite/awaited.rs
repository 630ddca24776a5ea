//! Changes that are awaited: that a patient, study or series went quiet, that a series has all that it announced.
//!
//! 1. What arrives lets all above it await their Stable change, in the transaction of its own rows: no crash forgets one.
//! 2. A row is written when a resource ceases to be quiet, not with each arrival. When it is due the last arrival is looked
//!    up, and the row put off if that was later. So ingest touches the ends of two small trees, and a resource that
//!    receives for long costs a look at each period of quiet that it could have had.
//! 3. A change is told by a record of the log, and the transaction that tells it takes the row: none is told twice.

use super::read::Snapshot;
use super::resource;
use super::writer::Transaction;
use crate::error::Doing;
use crate::{ChangeType, Due, Event, IndexError};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashSet;
use vna_dicom::{Level, PublicId};

const DOING: &str = "looking for changes that are due";

/// Resources that the writer knows to await their Stable change, at most; a forgotten one costs a look at the table.
const REMEMBERED: usize = 100_000;

/// The change that tells that a resource of a level went quiet; instances have none.
pub(crate) const fn stable(level: Level) -> Option<ChangeType> {
    match level {
        Level::Patient => Some(ChangeType::StablePatient),
        Level::Study => Some(ChangeType::StableStudy),
        Level::Series => Some(ChangeType::StableSeries),
        Level::Instance => None,
    }
}

const fn level_of(change: ChangeType) -> Option<Level> {
    match change {
        ChangeType::StablePatient => Some(Level::Patient),
        ChangeType::StableStudy => Some(Level::Study),
        ChangeType::StableSeries | ChangeType::CompletedSeries => Some(Level::Series),
        _ => None,
    }
}

/// SQL: whether a resource of a level is quiet, by the column that has its number.
pub(crate) fn is_stable_sql(level: Level, id: &str) -> Option<String> {
    let change = stable(level)?.number();
    Some(format!(
        "NOT EXISTS (SELECT 1 FROM awaited WHERE awaited.resource = {id} AND awaited.change = {change})"
    ))
}

/// Something arrived below a resource: (1), (2).
pub(crate) fn arrived(
    connection: &Connection,
    known: &mut HashSet<i64>,
    resource: i64,
    change: ChangeType,
    at_us: i64,
) -> Result<(), IndexError> {
    if known.contains(&resource) {
        return Ok(());
    }
    if known.len() >= REMEMBERED {
        known.clear();
    }
    add(connection, resource, change, at_us)?;
    known.insert(resource);
    Ok(())
}

/// A series has as many instances as it announced; whether they are the right ones is looked at when it is told.
pub(crate) fn filled(connection: &Connection, series: i64) -> Result<(), IndexError> {
    add(connection, series, ChangeType::CompletedSeries, 0)
}

fn add(
    connection: &Connection,
    resource: i64,
    change: ChangeType,
    since_us: i64,
) -> Result<(), IndexError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO awaited (resource, change, since_us) VALUES (?1, ?2, ?3)",
        )
        .and_then(|mut statement| statement.execute(params![resource, change.number(), since_us]))
        .doing("noting that a change is awaited")?;
    Ok(())
}

fn take(connection: &Connection, resource: i64, change: ChangeType) -> Result<(), IndexError> {
    connection
        .prepare_cached("DELETE FROM awaited WHERE resource = ?1 AND change = ?2")
        .and_then(|mut statement| statement.execute(params![resource, change.number()]))
        .doing("noting that a change is not awaited any more")?;
    Ok(())
}

/// The row of a resource goes.
pub(crate) fn forget(
    transaction: &mut Transaction<'_>,
    level: Level,
    id: i64,
) -> Result<(), IndexError> {
    const DOING: &str = "forgetting what is awaited of a resource";
    let connection = transaction.connection;
    connection
        .prepare_cached("DELETE FROM awaited WHERE resource = ?1")
        .and_then(|mut statement| statement.execute(params![id]))
        .doing(DOING)?;
    transaction.pending.awaiting.remove(&id);
    if level == Level::Patient {
        connection
            .prepare_cached("DELETE FROM spared WHERE patient = ?1")
            .and_then(|mut statement| statement.execute(params![id]))
            .doing(DOING)?;
    }
    Ok(())
}

/// Whether an event may be told of a resource: one that tells of quiet holds if nothing arrived since. Takes the row of
/// the change that it is.
pub(crate) fn settle(
    transaction: &mut Transaction<'_>,
    event: &Event,
    id: i64,
) -> Result<bool, IndexError> {
    if level_of(event.change).is_none() {
        return Ok(true);
    }
    // What arrived before it in this transaction counts.
    transaction.pending.flush(transaction.connection)?;
    let connection = transaction.connection;
    if let Some(as_of_us) = event.as_of_us {
        let last = state(connection, event.level, id)?.map(|state| state.last_update_us);
        if last.is_none_or(|last| last > as_of_us) {
            return Ok(false);
        }
    }
    take(connection, id, event.change)?;
    if event.change != ChangeType::CompletedSeries {
        transaction.pending.awaiting.remove(&id);
    }
    Ok(true)
}

/// When a change is due first, if it is awaited for no time.
pub(crate) fn next(snapshot: &Snapshot<'_>) -> Result<Option<i64>, IndexError> {
    snapshot
        .connection
        .prepare_cached("SELECT min(since_us) FROM awaited")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .doing(DOING)
}

/// Changes of what was quiet since `before_us`, at most `limit`; puts off the others that seemed so: (2).
pub(crate) fn due(
    transaction: &mut Transaction<'_>,
    before_us: i64,
    limit: u64,
) -> Result<Vec<Due>, IndexError> {
    let connection = transaction.connection;
    let rows = connection
        .prepare_cached(
            // What is below is told before what it is in.
            "SELECT resource, change FROM awaited WHERE since_us <= ?1 ORDER BY since_us, change DESC LIMIT ?2",
        )
        .and_then(|mut statement| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement
                .query_map(params![before_us, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(i64, i64)>, _>>()
        })
        .doing(DOING)?;
    let mut due = Vec::new();
    for (id, number) in rows {
        let change = ChangeType::from_number(number)?;
        let Some(level) = level_of(change) else {
            take(connection, id, change)?;
            continue;
        };
        let Some(state) = state(connection, level, id)? else {
            take(connection, id, change)?; // deleted; brought back, it arrives anew
            transaction.pending.awaiting.remove(&id);
            continue;
        };
        let is_complete_told = change == ChangeType::CompletedSeries;
        if is_complete_told && !is_complete(connection, id)? {
            take(connection, id, change)?;
            continue;
        }
        if !is_complete_told && state.last_update_us > before_us {
            put_off(connection, id, change, state.last_update_us)?;
            continue;
        }
        due.push(Due {
            tenant: state.tenant,
            change,
            level,
            public_id: state.public_id,
            as_of_us: (!is_complete_told).then_some(state.last_update_us),
        });
    }
    Ok(due)
}

fn put_off(
    connection: &Connection,
    id: i64,
    change: ChangeType,
    since_us: i64,
) -> Result<(), IndexError> {
    connection
        .prepare_cached("UPDATE awaited SET since_us = ?3 WHERE resource = ?1 AND change = ?2")
        .and_then(|mut statement| statement.execute(params![id, change.number(), since_us]))
        .doing("putting off a change")?;
    Ok(())
}

/// What is looked at of a live resource.
struct State {
    tenant: i64,
    public_id: PublicId,
    last_update_us: i64,
}

fn state(connection: &Connection, level: Level, id: i64) -> Result<Option<State>, IndexError> {
    let sql = match level {
        Level::Patient => {
            "SELECT tenant, public_id, last_update_us FROM patient WHERE id = ?1 AND state = 0"
        }
        Level::Study => {
            "SELECT study.tenant, study.public_id, study.last_update_us
             FROM study JOIN patient ON patient.id = study.patient
             WHERE study.id = ?1 AND study.state = 0 AND patient.state = 0"
        }
        Level::Series | Level::Instance => {
            "SELECT series.tenant, series.public_id, series.last_update_us
             FROM series JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
             WHERE series.id = ?1 AND series.state = 0 AND study.state = 0 AND patient.state = 0"
        }
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![id], |row| {
                    Ok(State {
                        tenant: row.get(0)?,
                        public_id: PublicId(row.get(1)?),
                        last_update_us: row.get(2)?,
                    })
                })
                .optional()
        })
        .doing(DOING)
}

fn is_complete(connection: &Connection, series: i64) -> Result<bool, IndexError> {
    connection
        .prepare_cached(
            // The numbers from 1 on, each once: what `vna_status` calls Complete.
            "SELECT (SELECT count(*) = expected AND count(DISTINCT index_in_series) = expected
                            AND min(index_in_series) = 1 AND max(index_in_series) = expected
                     FROM instance WHERE instance.series = series.id AND instance.state = 0)
             FROM series WHERE id = ?1 AND expected IS NOT NULL",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![series], |row| row.get::<_, Option<bool>>(0))
                .optional()
        })
        .map(|found| found.flatten().unwrap_or(false))
        .doing("looking whether a series is complete")
}

/// Whether a resource is quiet; `None` if it is not there.
pub(crate) fn is_stable(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Option<bool>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let Some(condition) = is_stable_sql(level, "?1") else {
        return Ok(Some(true));
    };
    snapshot
        .connection
        .prepare_cached(&format!("SELECT {condition}"))
        .and_then(|mut statement| statement.query_row(params![found.id], |row| row.get(0)))
        .map(Some)
        .doing("looking whether a resource is stable")
}

/// Lets a resource await its Stable change as if something had arrived; `None` if it is not there, or an instance.
pub(crate) fn unsettle(
    transaction: &mut Transaction<'_>,
    tenant: i64,
    level: Level,
    public_id: &PublicId,
    now_us: i64,
) -> Result<Option<()>, IndexError> {
    let hash = transaction.hasher.public_id(tenant, public_id);
    let connection = transaction.connection;
    for id in super::keys::candidates(connection, transaction.tail, hash)? {
        let found = resource::find(connection, tenant, level, id, public_id)?;
        if let (Some(found), Some(change)) = (found, stable(level)) {
            add(connection, found.id, change, now_us)?;
            return Ok(Some(()));
        }
    }
    Ok(None)
}
