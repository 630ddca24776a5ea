//! Deletion: hide the root at once, remove the rows in slices.

use super::awaited;
use super::extra;
use super::keys::{KeyKind, candidates};
use super::note;
use super::resource::{find, row};
use super::terms;
use super::writer::{DELETED, LIVE, SUPERSEDED, Transaction, first_seq};
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::{Deletion, Erasure, FreedBlob, IndexError, Outcome};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Instant;
use vna_dicom::{Level, PublicId};

/// Instances that a purge reads at once; it looks at the clock after each.
const PURGE_ROWS: i64 = 64;

/// Hides a resource, and with it parents that become empty. All counters are right with this transaction, but
/// for those of kept versions below a patient, study or series, which follow with the rows.
pub(crate) fn apply(
    transaction: &mut Transaction<'_>,
    deletion: &Deletion,
) -> Result<Outcome, IndexError> {
    let connection = transaction.connection;
    let hash = transaction
        .hasher
        .public_id(deletion.tenant, &deletion.public_id);
    let mut target = None;
    for id in candidates(connection, transaction.tail, hash)? {
        target = find(
            connection,
            deletion.tenant,
            deletion.level,
            id,
            &deletion.public_id,
        )?;
        if target.is_some() {
            break;
        }
    }
    let Some(target) = target else {
        return Ok(Outcome::NotFound);
    };
    let (mut root, mut level) = (target, deletion.level);
    let mut remaining = None;
    while let Some(above) = level.parent() {
        let Some((_, parent)) = row(connection, above, root.parent)? else {
            break;
        };
        if parent.children > 1 {
            remaining = Some((above, parent));
            break;
        }
        (root, level) = (parent, above);
    }
    hide(transaction, deletion, level, root.id, LIVE)?;
    if level == Level::Instance {
        hide_versions(transaction, deletion, root.id)?;
    }
    let mut above = remaining;
    while let Some((level, parent)) = above {
        let counts = match level {
            Level::Patient => transaction.pending.patient(parent.id),
            Level::Study => transaction.pending.study(parent.id),
            _ => transaction.pending.series(parent.id),
        };
        counts.studies -= root.studies;
        counts.series -= root.series;
        counts.instances -= root.instances;
        counts.stored_bytes -= root.stored_bytes;
        counts.plain_bytes -= root.plain_bytes;
        counts.attached_stored -= root.attached_stored;
        counts.attached_plain -= root.attached_plain;
        above = match level.parent() {
            Some(level) => row(connection, level, parent.parent)?.map(|(_, found)| (level, found)),
            None => None,
        };
    }
    let counts = transaction.pending.tenant(deletion.tenant);
    counts.patients -= i64::from(level == Level::Patient);
    counts.studies -= root.studies;
    counts.series -= root.series;
    counts.instances -= root.instances;
    counts.stored_bytes -= root.stored_bytes;
    counts.plain_bytes -= root.plain_bytes;
    counts.attached_stored -= root.attached_stored;
    counts.attached_plain -= root.attached_plain;
    transaction.pending.flush(connection)?;
    Ok(Outcome::Deleted {
        remaining_ancestor: remaining.map(|(level, found)| (level, found.public_id)),
        instances: target.instances.unsigned(),
    })
}

/// Hides a resource that was in state `was`. When its rows may go follows from the deletion alone: after any replay
/// it is the same time.
fn hide(
    transaction: &mut Transaction<'_>,
    deletion: &Deletion,
    level: Level,
    id: i64,
    was: i64,
) -> Result<(), IndexError> {
    const DOING: &str = "hiding a resource";
    let sql = match level {
        Level::Patient => "UPDATE patient SET state = ?2 WHERE id = ?1",
        Level::Study => "UPDATE study SET state = ?2 WHERE id = ?1",
        Level::Series => "UPDATE series SET state = ?2 WHERE id = ?1",
        Level::Instance => "UPDATE instance SET state = ?2, expires_us = NULL WHERE id = ?1",
    };
    let connection = transaction.connection;
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![id, DELETED]))
        .doing(DOING)?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO purge (resource, level, lsn, deleted_us, due_us, was)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                level as i64,
                deletion.lsn.signed(),
                deletion.at_us,
                due_us(deletion),
                was
            ])
        })
        .doing(DOING)?;
    Ok(())
}

/// From when on the rows may go; 0: at once, whatever the clock says.
fn due_us(deletion: &Deletion) -> i64 {
    match deletion.keep_us {
        ..=0 => 0,
        keep_us => deletion.at_us.saturating_add(keep_us).max(1),
    }
}

/// Lets what deletions kept go with the next purge.
pub(crate) fn erase(
    transaction: &mut Transaction<'_>,
    erasure: &Erasure,
) -> Result<Outcome, IndexError> {
    let mut erased = 0;
    let mut statement = transaction
        .connection
        .prepare_cached("UPDATE purge SET due_us = 0 WHERE lsn = ?1")
        .doing("erasing what deletions kept")?;
    for lsn in &erasure.deletions {
        let rows = statement
            .execute(params![lsn.signed()])
            .doing("erasing what deletions kept")?;
        erased += u64::from(rows > 0);
    }
    Ok(Outcome::Erased { deletions: erased })
}

/// An instance goes with the versions that are kept of it.
fn hide_versions(
    transaction: &mut Transaction<'_>,
    deletion: &Deletion,
    instance: i64,
) -> Result<(), IndexError> {
    const DOING: &str = "hiding the versions of an instance";
    let tenant = deletion.tenant;
    let connection = transaction.connection;
    let (series, uid): (i64, String) = connection
        .prepare_cached("SELECT series, sop_uid FROM instance WHERE id = ?1")
        .and_then(|mut statement| {
            statement.query_row(params![instance], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .doing(DOING)?;
    let hash = transaction.hasher.text(tenant, KeyKind::SopUid, &uid);
    for id in candidates(connection, transaction.tail, hash)? {
        let stored: Option<i64> = connection
            .prepare_cached(
                "SELECT stored_size FROM instance JOIN blob ON blob.id = instance.blob
                 WHERE instance.id = ?1 AND series = ?2 AND sop_uid = ?3 AND state = ?4",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![id, series, uid, SUPERSEDED], |row| row.get(0))
                    .optional()
            })
            .doing(DOING)?;
        if let Some(stored) = stored {
            hide(transaction, deletion, Level::Instance, id, SUPERSEDED)?;
            let counts = transaction.pending.tenant(tenant);
            counts.versions -= 1;
            counts.version_bytes -= stored;
        }
    }
    Ok(())
}

/// Removes rows of hidden resources that are due until there are none or the time is up; says whether some are left.
pub(crate) fn purge(
    transaction: &mut Transaction<'_>,
    deadline: Instant,
    now_us: i64,
    freed: &mut Vec<FreedBlob>,
) -> Result<bool, IndexError> {
    const DOING: &str = "reading what to purge";
    loop {
        let root: Option<(i64, i64)> = transaction
            .connection
            .prepare_cached("SELECT resource, level FROM purge WHERE due_us <= ?1 LIMIT 1")
            .and_then(|mut statement| {
                statement
                    .query_row(params![now_us.max(0)], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .doing(DOING)?;
        let Some((id, level)) = root else {
            return Ok(false);
        };
        let level = usize::try_from(level)
            .ok()
            .and_then(|at| Level::ALL.get(at).copied())
            .ok_or_else(|| IndexError::BadRow {
                table: "purge",
                column: "level",
                found: level.to_string(),
            })?;
        if !purge_tree(transaction, level, id, deadline, freed)? {
            return Ok(true);
        }
        transaction
            .connection
            .prepare_cached("DELETE FROM purge WHERE resource = ?1")
            .and_then(|mut statement| statement.execute(params![id]))
            .doing(DOING)?;
        if Instant::now() >= deadline {
            return Ok(true);
        }
    }
}

/// Removes a resource and all below it, from below; false if the time was up before the end.
fn purge_tree(
    transaction: &mut Transaction<'_>,
    level: Level,
    id: i64,
    deadline: Instant,
    freed: &mut Vec<FreedBlob>,
) -> Result<bool, IndexError> {
    let children = match level {
        Level::Patient => "SELECT id FROM study WHERE patient = ?1 LIMIT ?2",
        Level::Study => "SELECT id FROM series WHERE study = ?1 LIMIT ?2",
        Level::Series => "SELECT id FROM instance WHERE series = ?1 LIMIT ?2",
        Level::Instance => {
            remove_instance(transaction, id, freed)?;
            return Ok(true);
        }
    };
    let below = level.child().unwrap_or(Level::Instance);
    loop {
        let ids = transaction
            .connection
            .prepare_cached(children)
            .and_then(|mut statement| {
                statement
                    .query_map(params![id, PURGE_ROWS], |row| row.get(0))?
                    .collect::<Result<Vec<i64>, _>>()
            })
            .doing("reading what lies below a resource")?;
        if ids.is_empty() {
            remove_parent(transaction, level, id, freed)?;
            return Ok(true);
        }
        for child in ids {
            if !purge_tree(transaction, below, child, deadline, freed)?
                || Instant::now() >= deadline
            {
                return Ok(false);
            }
        }
    }
}

/// Removes an instance row and all that belongs to it.
pub(crate) fn remove_instance(
    transaction: &mut Transaction<'_>,
    id: i64,
    freed: &mut Vec<FreedBlob>,
) -> Result<(), IndexError> {
    const DOING: &str = "removing an instance";
    let connection = transaction.connection;
    let row = connection
        .prepare_cached(
            "DELETE FROM instance WHERE id = ?1 RETURNING tenant, state, public_id, sop_uid, blob, lsn",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![id], |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, i64>(1)?,
                        PublicId(row.get(2)?),
                        row.get::<_, String>(3)?,
                        row.get::<_, i64>(4)?,
                        row.get::<_, i64>(5)?,
                    ))
                })
                .optional()
        })
        .doing(DOING)?;
    let Some((tenant, state, public_id, uid, blob, lsn)) = row else {
        return Ok(()); // removed with its series before its own turn came
    };
    note::lose_ground(connection, id)?;
    let hasher = transaction.hasher;
    transaction
        .tail
        .remove(connection, hasher.public_id(tenant, &public_id), id)?;
    transaction
        .tail
        .remove(connection, hasher.text(tenant, KeyKind::SopUid, &uid), id)?;
    let stored = release(connection, blob, freed)?;
    if state == SUPERSEDED {
        let counts = transaction.pending.tenant(tenant);
        counts.versions -= 1;
        counts.version_bytes -= stored;
    }
    remove_extras(connection, id, lsn, freed)
}

fn remove_parent(
    transaction: &mut Transaction<'_>,
    level: Level,
    id: i64,
    freed: &mut Vec<FreedBlob>,
) -> Result<(), IndexError> {
    const DOING: &str = "removing a resource";
    let connection = transaction.connection;
    let (sql, kind) = match level {
        Level::Patient => (
            "DELETE FROM patient WHERE id = ?1 RETURNING tenant, public_id, patient_id, created_lsn, ''",
            KeyKind::PatientId,
        ),
        Level::Study => (
            "DELETE FROM study WHERE id = ?1 RETURNING tenant, public_id, study_uid, created_lsn, accession",
            KeyKind::StudyUid,
        ),
        _ => (
            "DELETE FROM series WHERE id = ?1 RETURNING tenant, public_id, series_uid, created_lsn, ''",
            KeyKind::SeriesUid,
        ),
    };
    if level != Level::Series {
        terms::remove(connection, transaction.terms, level, id)?;
    }
    let row = connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![id], |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        PublicId(row.get(1)?),
                        row.get::<_, String>(2)?,
                        row.get::<_, i64>(3)?,
                        row.get::<_, String>(4)?,
                    ))
                })
                .optional()
        })
        .doing(DOING)?;
    let Some((tenant, public_id, identifier, lsn, accession)) = row else {
        return Ok(());
    };
    let hasher = transaction.hasher;
    transaction
        .tail
        .remove(connection, hasher.public_id(tenant, &public_id), id)?;
    transaction
        .tail
        .remove(connection, hasher.text(tenant, kind, &identifier), id)?;
    if !accession.is_empty() {
        transaction.tail.remove(
            connection,
            hasher.text(tenant, KeyKind::Accession, &accession),
            id,
        )?;
    }
    if level == Level::Series {
        connection
            .prepare_cached("DELETE FROM series_class WHERE series = ?1")
            .and_then(|mut statement| statement.execute(params![id]))
            .doing(DOING)?;
    }
    awaited::forget(transaction, level, id)?;
    remove_extras(connection, id, lsn, freed)
}

/// Removes a resource's changes and notes.
fn remove_extras(
    connection: &Connection,
    id: i64,
    lsn: i64,
    freed: &mut Vec<FreedBlob>,
) -> Result<(), IndexError> {
    const DOING: &str = "removing what belongs to a resource";
    extra::forget(connection, id)?;
    let first = first_seq(lsn.unsigned());
    connection
        .prepare_cached("DELETE FROM change WHERE seq BETWEEN ?1 AND ?1 + 3 AND resource = ?2")
        .and_then(|mut statement| statement.execute(params![first, id]))
        .doing(DOING)?;
    let told = connection
        .prepare_cached("DELETE FROM change WHERE resource = ?1 AND type > 3 RETURNING blob")
        .and_then(|mut statement| {
            statement
                .query_map(params![id], |row| row.get(0))?
                .collect::<Result<Vec<Option<i64>>, _>>()
        })
        .doing(DOING)?;
    for blob in told.into_iter().flatten() {
        release(connection, blob, freed)?;
    }
    note::remove_all(connection, id, freed)
}

/// Takes one reference from a blob; without any, its row goes. Gives its stored size.
pub(crate) fn release(
    connection: &Connection,
    blob: i64,
    freed: &mut Vec<FreedBlob>,
) -> Result<i64, IndexError> {
    const DOING: &str = "releasing a blob";
    let row = connection
        .prepare_cached(
            "UPDATE blob SET refs = refs - 1 WHERE id = ?1
             RETURNING refs, store, key, place_a, place_b, stored_size",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![blob], |row| {
                    let free = FreedBlob {
                        store: row.get(1)?,
                        key: row.get(2)?,
                        place_a: row.get(3)?,
                        place_b: row.get(4)?,
                        stored_size: row.get::<_, i64>(5)?.unsigned(),
                    };
                    Ok((row.get::<_, i64>(0)?, free))
                })
                .optional()
        })
        .doing(DOING)?;
    let Some((refs, free)) = row else {
        return Ok(0);
    };
    let stored = free.stored_size.signed();
    if refs <= 0 {
        connection
            .prepare_cached("DELETE FROM blob WHERE id = ?1")
            .and_then(|mut statement| statement.execute(params![blob]))
            .doing(DOING)?;
        freed.push(free);
    }
    Ok(stored)
}

/// Removes versions whose time has come.
pub(crate) fn expire(
    transaction: &mut Transaction<'_>,
    now_us: i64,
    limit: u64,
) -> Result<Vec<FreedBlob>, IndexError> {
    let ids = transaction
        .connection
        .prepare_cached(
            "SELECT id FROM instance WHERE expires_us <= ?1 AND state <> ?3 ORDER BY expires_us LIMIT ?2",
        )
        .and_then(|mut statement| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement
                .query_map(params![now_us, limit, LIVE], |row| row.get(0))?
                .collect::<Result<Vec<i64>, _>>()
        })
        .doing("looking for expired versions")?;
    let mut freed = Vec::new();
    for id in ids {
        remove_instance(transaction, id, &mut freed)?;
    }
    Ok(freed)
}
