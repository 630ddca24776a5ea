//! What was deleted and can be brought back: its rows are still there, and so are its bytes.
//!
//! An instance belongs to the deletion that hid it: that of the nearest deleted resource from itself upwards, since
//! only what is live can be deleted.

use super::answers::{BLOB_COLUMNS, blob, sql_limit};
use super::keys::candidates;
use super::read::Snapshot;
use super::resource::public_id;
use super::tags::Tags;
use super::writer::SUPERSEDED;
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::{Deleted, DeletedInstance, DeletedMark, DeletionOf, IndexError, Lsn, Origin, Page};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use vna_dicom::{Level, PublicId, Tag, tags as t};

const DOING: &str = "reading what was deleted";

/// All instances with what is above them and the entry of the deletion that hid them.
const HIDDEN: &str = "instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study
     JOIN patient ON patient.id = study.patient
     JOIN purge ON purge.resource = CASE 4 WHEN instance.state THEN instance.id WHEN series.state THEN series.id
                                           WHEN study.state THEN study.id WHEN patient.state THEN patient.id END";

/// Whether the instance was a kept version, not the live one.
const IS_VERSION: &str = "(instance.state = 1 OR purge.was = 1)";

/// A kept version goes when its time has come, deleted or not.
const IS_KEPT: &str =
    "purge.due_us > ?2 AND (instance.expires_us IS NULL OR instance.expires_us > ?2)";

pub(crate) fn oldest(snapshot: &Snapshot<'_>) -> Result<Option<Lsn>, IndexError> {
    let oldest: Option<i64> = snapshot
        .connection
        .prepare_cached("SELECT min(lsn) FROM purge")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .doing(DOING)?;
    Ok(oldest.map(Unsigned::unsigned))
}

pub(crate) fn list(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    now_us: i64,
    page: Page,
) -> Result<Vec<Deleted>, IndexError> {
    let (limit, since) = sql_limit(page);
    let mut statement = snapshot
        .connection
        .prepare_cached(
            "SELECT resource, level, purge.lsn, deleted_us, due_us,
                    coalesce(patient.tenant, study.tenant, series.tenant, instance.tenant) AS owner
             FROM purge LEFT JOIN patient ON level = 0 AND patient.id = resource
                        LEFT JOIN study ON level = 1 AND study.id = resource
                        LEFT JOIN series ON level = 2 AND series.id = resource
                        LEFT JOIN instance ON level = 3 AND instance.id = resource
             WHERE due_us > ?2 AND was <> ?3 AND owner = ?1 ORDER BY purge.lsn DESC LIMIT ?4 OFFSET ?5",
        )
        .doing(DOING)?;
    let mut rows = statement
        .query(params![tenant, now_us, SUPERSEDED, limit, since])
        .doing(DOING)?;
    let mut deleted = Vec::new();
    while let Some(row) = rows.next().doing(DOING)? {
        let level = level(row, 1)?;
        let found = describe(snapshot, level, row.get(0).doing(DOING)?)?;
        deleted.push(Deleted {
            deletion: row.get::<_, i64>(2).doing(DOING)?.unsigned(),
            level,
            public_id: found.public_id,
            deleted_us: row.get(3).doing(DOING)?,
            until_us: row.get(4).doing(DOING)?,
            instances: found.instances,
            stored_bytes: found.stored_bytes,
            tags: found.tags,
        });
    }
    Ok(deleted)
}

fn level(row: &Row<'_>, column: usize) -> Result<Level, IndexError> {
    let level: i64 = row.get(column).doing(DOING)?;
    usize::try_from(level)
        .ok()
        .and_then(|at| Level::ALL.get(at).copied())
        .ok_or_else(|| IndexError::BadRow {
            table: "purge",
            column: "level",
            found: level.to_string(),
        })
}

/// A resource in whatever state.
struct Described {
    public_id: PublicId,
    instances: u64,
    stored_bytes: u64,
    /// Those of all levels from the patient down to its own.
    tags: Vec<(Tag, String)>,
}

fn describe(snapshot: &Snapshot<'_>, level: Level, id: i64) -> Result<Described, IndexError> {
    let sql = match level {
        Level::Patient => {
            "SELECT patient.public_id, instances, stored_bytes, patient.tags, NULL, NULL, NULL, '', '', ''
             FROM patient WHERE id = ?1"
        }
        Level::Study => {
            "SELECT study.public_id, study.instances, study.stored_bytes, patient.tags, study.tags, NULL, NULL,
                    study_uid, '', ''
             FROM study JOIN patient ON patient.id = study.patient WHERE study.id = ?1"
        }
        Level::Series => {
            "SELECT series.public_id, series.instances, series.stored_bytes, patient.tags, study.tags, series.tags,
                    NULL, study_uid, series_uid, ''
             FROM series JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
             WHERE series.id = ?1"
        }
        Level::Instance => {
            "SELECT instance.public_id, 1, blob.stored_size, patient.tags, study.tags, series.tags, instance.tags,
                    study_uid, series_uid, sop_uid
             FROM instance JOIN blob ON blob.id = instance.blob JOIN series ON series.id = instance.series
                  JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
             WHERE instance.id = ?1"
        }
    };
    let mut statement = snapshot.connection.prepare_cached(sql).doing(DOING)?;
    let mut rows = statement.query(params![id]).doing(DOING)?;
    let row = rows
        .next()
        .doing(DOING)?
        .ok_or_else(|| IndexError::BadRow {
            table: "purge",
            column: "resource",
            found: id.to_string(),
        })?;
    let mut tags = BTreeMap::new();
    for column in 3..7 {
        let packed: Option<Vec<u8>> = row.get(column).doing(DOING)?;
        for tag in Tags::new(packed.as_deref().unwrap_or_default()) {
            let (tag, value) = tag?;
            tags.entry(tag).or_insert_with(|| value.to_owned());
        }
    }
    let uids = [
        t::STUDY_INSTANCE_UID,
        t::SERIES_INSTANCE_UID,
        t::SOP_INSTANCE_UID,
    ];
    for (tag, column) in uids.into_iter().zip(7..) {
        let uid: String = row.get(column).doing(DOING)?;
        if !uid.is_empty() {
            tags.insert(tag, uid);
        }
    }
    let (instances, bytes): (i64, i64) = (row.get(1).doing(DOING)?, row.get(2).doing(DOING)?);
    Ok(Described {
        public_id: public_id(row, 0)?,
        instances: instances.unsigned(),
        stored_bytes: bytes.unsigned(),
        tags: tags.into_iter().collect(),
    })
}

/// The rows of a public id, in whatever state: level and row id.
fn rows_of(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    id: &PublicId,
) -> Result<Vec<(Level, i64)>, IndexError> {
    let mut found = Vec::new();
    for candidate in candidates(
        snapshot.connection,
        snapshot.tail,
        snapshot.hasher.public_id(tenant, id),
    )? {
        for level in Level::ALL {
            let sql = match level {
                Level::Patient => {
                    "SELECT 1 FROM patient WHERE id = ?1 AND tenant = ?2 AND public_id = ?3"
                }
                Level::Study => {
                    "SELECT 1 FROM study WHERE id = ?1 AND tenant = ?2 AND public_id = ?3"
                }
                Level::Series => {
                    "SELECT 1 FROM series WHERE id = ?1 AND tenant = ?2 AND public_id = ?3"
                }
                Level::Instance => {
                    "SELECT 1 FROM instance WHERE id = ?1 AND tenant = ?2 AND public_id = ?3"
                }
            };
            let is_there = snapshot
                .connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.exists(params![candidate, tenant, id.0]))
                .doing(DOING)?;
            if is_there {
                found.push((level, candidate));
                break; // ids are of one sequence for all levels
            }
        }
    }
    Ok(found)
}

/// The column that ties an instance to the resource that it is or is in.
const fn tie(level: Level) -> &'static str {
    match level {
        Level::Patient => "study.patient",
        Level::Study => "series.study",
        Level::Series => "instance.series",
        Level::Instance => "instance.id",
    }
}

pub(crate) fn deletions_of(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    id: &PublicId,
    now_us: i64,
) -> Result<Vec<DeletionOf>, IndexError> {
    // How many of the current instances that each deletion took are of this resource.
    let mut taken: BTreeMap<Lsn, u64> = BTreeMap::new();
    for (level, row) in rows_of(snapshot, tenant, id)? {
        let sql = format!(
            "SELECT purge.lsn, sum(NOT {IS_VERSION}) FROM {HIDDEN} WHERE {} = ?1 AND {IS_KEPT} GROUP BY purge.lsn",
            tie(level)
        );
        let mut statement = snapshot.connection.prepare_cached(&sql).doing(DOING)?;
        let mut rows = statement.query(params![row, now_us]).doing(DOING)?;
        while let Some(row) = rows.next().doing(DOING)? {
            let (lsn, count): (i64, i64) = (row.get(0).doing(DOING)?, row.get(1).doing(DOING)?);
            *taken.entry(lsn.unsigned()).or_default() += count.unsigned();
        }
    }
    let mut deletions = Vec::new();
    for (deletion, count) in taken.into_iter().rev() {
        let is_whole = instances_of(snapshot, deletion)? == Some(count);
        deletions.push(DeletionOf { deletion, is_whole });
    }
    Ok(deletions)
}

/// Instances that were live below what a deletion took.
fn instances_of(snapshot: &Snapshot<'_>, deletion: Lsn) -> Result<Option<u64>, IndexError> {
    let root: Option<(i64, i64)> = snapshot
        .connection
        .prepare_cached("SELECT resource, level FROM purge WHERE lsn = ?1 AND was <> ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![deletion.signed(), SUPERSEDED], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
        })
        .doing(DOING)?;
    let Some((resource, level)) = root else {
        return Ok(None);
    };
    let level = usize::try_from(level)
        .ok()
        .and_then(|at| Level::ALL.get(at).copied());
    match level {
        Some(level) => Ok(Some(describe(snapshot, level, resource)?.instances)),
        None => Ok(None),
    }
}

pub(crate) fn instances(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    id: &PublicId,
    deletion: Lsn,
    after: DeletedMark,
    limit: u64,
    now_us: i64,
) -> Result<Vec<DeletedInstance>, IndexError> {
    let mut found = Vec::new();
    for (level, row) in rows_of(snapshot, tenant, id)? {
        let sql = format!(
            "SELECT {BLOB_COLUMNS}, {IS_VERSION} AS is_version, instance.id, instance.public_id, way_in, calling_ae,
                    called_ae, address, user, issuer
             FROM {HIDDEN} JOIN blob ON blob.id = instance.blob JOIN origin ON origin.id = instance.origin
             WHERE {} = ?1 AND {IS_KEPT} AND purge.lsn = ?3 AND (is_version, instance.id) > (?4, ?5)
             ORDER BY is_version, instance.id LIMIT ?6",
            tie(level)
        );
        let rows = snapshot
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                let (limit, lsn) = (i64::try_from(limit).unwrap_or(i64::MAX), deletion.signed());
                statement
                    .query_map(
                        params![row, now_us, lsn, after.is_version, after.id, limit],
                        deleted_instance,
                    )?
                    .collect::<Result<Vec<_>, _>>()
            })
            .doing(DOING)?;
        found.extend(rows);
    }
    found.sort_by_key(|instance| (instance.mark.is_version, instance.mark.id));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

fn deleted_instance(row: &Row<'_>) -> Result<DeletedInstance, rusqlite::Error> {
    Ok(DeletedInstance {
        blob: blob(row)?,
        mark: DeletedMark {
            is_version: row.get(9)?,
            id: row.get(10)?,
        },
        public_id: PublicId(row.get(11)?),
        origin: Origin {
            way_in: row.get(12)?,
            calling_ae_title: row.get(13)?,
            called_ae_title: row.get(14)?,
            address: row.get(15)?,
            user: row.get(16)?,
        },
        issuer_of_patient_id: row.get(17)?,
    })
}
