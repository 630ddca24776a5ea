//! Answers of readers: lists, relatives, metadata, statistics, places of bytes.

use super::compile::{join_above, join_below};
use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::resource;
use super::source::{in_view, table};
use super::write;
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::json::Json;
use crate::{BlobRow, Encoded, IndexError, Located, Page, Shape, Statistics};
use rusqlite::{Row, params};
use std::collections::HashMap;
use vna_dicom::{Level, PublicId};

/// `limit` of a page as SQL takes it.
pub(crate) fn sql_limit(page: Page) -> (i64, i64) {
    let limit = if page.limit == 0 {
        i64::MAX
    } else {
        i64::try_from(page.limit).unwrap_or(i64::MAX)
    };
    (limit, i64::try_from(page.since).unwrap_or(i64::MAX))
}

/// The resources of a level, a page of them.
pub(crate) fn list(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    page: Page,
    shape: Option<&Shape>,
) -> Result<Vec<u8>, IndexError> {
    let own = table(level);
    let above = || Level::ALL.into_iter().rev().filter(move |at| *at < level);
    let mut sql = format!("SELECT {own}.id, {own}.public_id FROM {own}");
    above().for_each(|at| sql.push_str(join_above(at)));
    sql.push_str(&format!(" WHERE {own}.tenant = ?1 AND {own}.state = 0"));
    above().for_each(|at| sql.push_str(&format!(" AND {}.state = 0", table(at))));
    sql.push_str(&format!(" ORDER BY {own}.id LIMIT ?2 OFFSET ?3"));
    let (limit, since) = sql_limit(page);
    array(snapshot, &sql, (tenant, limit, since), level, shape)
}

/// The ids, or objects, that a statement gives.
fn array(
    snapshot: &Snapshot<'_>,
    sql: &str,
    values: impl rusqlite::Params,
    level: Level,
    shape: Option<&Shape>,
) -> Result<Vec<u8>, IndexError> {
    const DOING: &str = "listing resources";
    let mut statement = snapshot.connection.prepare_cached(sql).doing(DOING)?;
    let mut rows = statement.query(values).doing(DOING)?;
    let mut json = Json::new();
    let mut ids: Vec<i64> = Vec::new();
    json.open(b'[');
    while let Some(row) = rows.next().doing(DOING)? {
        if shape.is_some() {
            ids.push(row.get(0).doing(DOING)?);
        } else {
            json.id(&resource::public_id(row, 1)?);
            json.check_size()?;
        }
    }
    if let Some(shape) = shape {
        return write::array(snapshot, level, &ids, shape, &HashMap::new());
    }
    json.close(b']');
    Ok(json.finish())
}

pub(crate) fn single(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    shape: &Shape,
) -> Result<Option<Vec<u8>>, IndexError> {
    match snapshot.resolve(tenant, level, id)? {
        Some(found) => write::object(snapshot, level, found.id, shape),
        None => Ok(None),
    }
}

/// The live resources of level `below` under the resource `?1` of level `above`, as the end of a statement.
fn below(above: Level, below: Level) -> String {
    let lowest = above.child().unwrap_or(above);
    let path = || {
        Level::ALL
            .into_iter()
            .filter(move |at| *at > above && *at <= below)
    };
    let mut sql = format!("FROM {}", table(lowest));
    for at in path().filter(|at| *at > lowest) {
        sql.push_str(join_below(at));
    }
    sql.push_str(&format!(" WHERE {}.{} = ?1", table(lowest), table(above)));
    path().for_each(|at| sql.push_str(&format!(" AND {}.state = 0", table(at))));
    sql
}

/// A statement for them: id, public id.
fn below_sql(above: Level, lower: Level) -> String {
    let own = table(lower);
    format!(
        "SELECT {own}.id, {own}.public_id {} ORDER BY {own}.id LIMIT ?2 OFFSET ?3",
        below(above, lower)
    )
}

/// The number of the resource at `at`, which is this one or one above.
pub(crate) fn number(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    at: Level,
) -> Result<Option<i64>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let (mut level, mut id, mut parent) = (level, found.id, found.parent);
    while level > at {
        let Some(above) = level.parent() else { break };
        let Some((_, found)) = resource::row(snapshot.connection, above, parent)? else {
            return Ok(None);
        };
        (level, id, parent) = (above, found.id, found.parent);
    }
    Ok(Some(id))
}

pub(crate) fn related(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    related: Level,
    shape: Option<&Shape>,
) -> Result<Option<Vec<u8>>, IndexError> {
    if related > level {
        let Some(found) = snapshot.resolve(tenant, level, id)? else {
            return Ok(None);
        };
        let sql = below_sql(level, related);
        let values = (found.id, i64::MAX, 0);
        return array(snapshot, &sql, values, related, shape).map(Some);
    }
    let whole = Shape::whole();
    match number(snapshot, tenant, level, id, related)? {
        Some(number) => write::object(snapshot, related, number, shape.unwrap_or(&whole)),
        None => Ok(None),
    }
}

/// The metadata of a resource, by number.
pub(crate) fn metadata(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Option<Vec<(i64, String)>>, IndexError> {
    match snapshot.resolve(tenant, level, id)? {
        Some(found) => write::metadata(snapshot, level, found.id),
        None => Ok(None),
    }
}

/// What a tenant's archive holds.
pub(crate) fn statistics(snapshot: &Snapshot<'_>, tenant: i64) -> Result<Statistics, IndexError> {
    sums(snapshot, "WHERE id = ?1", params![tenant])
}

/// What the archives of all tenants hold together.
pub(crate) fn totals(snapshot: &Snapshot<'_>) -> Result<Statistics, IndexError> {
    sums(snapshot, "", params![])
}

/// What is kept in encodings from `encoding` on.
pub(crate) fn encoded_from(snapshot: &Snapshot<'_>, encoding: i64) -> Result<Encoded, IndexError> {
    snapshot
        .connection
        .query_row(
            "SELECT count(*), coalesce(sum(plain_size), 0), coalesce(sum(stored_size), 0) FROM blob
             WHERE encoding >= ?1",
            params![encoding],
            |row| {
                let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned());
                Ok(Encoded {
                    blobs: number(0)?,
                    plain_bytes: number(1)?,
                    stored_bytes: number(2)?,
                })
            },
        )
        .doing("counting blobs by their encoding")
}

fn sums(
    snapshot: &Snapshot<'_>,
    whose: &str,
    parameters: impl rusqlite::Params,
) -> Result<Statistics, IndexError> {
    let columns = [
        "patients",
        "studies",
        "series",
        "instances",
        "stored_bytes",
        "plain_bytes",
        "versions",
        "version_bytes",
        "attached_stored",
        "attached_plain",
    ]
    .map(|column| format!("coalesce(sum({column}), 0)"))
    .join(", ");
    snapshot
        .connection
        .prepare_cached(&format!("SELECT {columns} FROM tenant {whose}"))
        .and_then(|mut statement| {
            statement.query_row(parameters, |row| {
                let count = |at| row.get::<_, i64>(at).map(Unsigned::unsigned);
                Ok(Statistics {
                    patients: count(0)?,
                    studies: count(1)?,
                    series: count(2)?,
                    instances: count(3)?,
                    stored_bytes: count(4)?,
                    plain_bytes: count(5)?,
                    versions: count(6)?,
                    version_bytes: count(7)?,
                    attached_stored_bytes: count(8)?,
                    attached_plain_bytes: count(9)?,
                })
            })
        })
        .doing("reading the statistics")
}

const MEBIBYTE: i64 = 1 << 20;

fn write_size(json: &mut Json, name: &str, bytes: i64) {
    json.name(name).display(bytes);
    json.name(&format!("{name}MB")).number(bytes / MEBIBYTE);
}

pub(crate) fn statistics_json(snapshot: &Snapshot<'_>, tenant: i64) -> Result<Vec<u8>, IndexError> {
    let s = statistics(snapshot, tenant)?;
    let mut json = Json::new();
    json.open(b'{');
    json.name("CountInstances").number(s.instances.signed());
    json.name("CountPatients").number(s.patients.signed());
    json.name("CountSeries").number(s.series.signed());
    json.name("CountStudies").number(s.studies.signed());
    let disk = s.stored_bytes.saturating_add(s.attached_stored_bytes);
    let uncompressed = s.plain_bytes.saturating_add(s.attached_plain_bytes);
    write_size(&mut json, "TotalDiskSize", disk.signed());
    write_size(&mut json, "TotalUncompressedSize", uncompressed.signed());
    json.close(b'}');
    Ok(json.finish())
}

pub(crate) fn resource_statistics(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Option<Vec<u8>>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let mut json = Json::new();
    json.open(b'{');
    if level < Level::Instance {
        json.name("CountInstances").number(found.instances);
    }
    if level < Level::Series {
        json.name("CountSeries").number(found.series);
    }
    if level < Level::Study {
        json.name("CountStudies").number(found.studies);
    }
    write_size(&mut json, "DicomDiskSize", found.stored_bytes);
    write_size(&mut json, "DicomUncompressedSize", found.plain_bytes);
    let disk = found.stored_bytes.saturating_add(found.attached_stored);
    let uncompressed = found.plain_bytes.saturating_add(found.attached_plain);
    write_size(&mut json, "DiskSize", disk);
    write_size(&mut json, "UncompressedSize", uncompressed);
    json.close(b'}');
    Ok(Some(json.finish()))
}

pub(crate) fn lookup(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    identifier: &str,
) -> Result<Vec<u8>, IndexError> {
    const DOING: &str = "looking up an identifier";
    let mut json = Json::new();
    json.open(b'[');
    for (level, kind, sql) in [
        (
            Level::Patient,
            KeyKind::PatientId,
            "SELECT 1 FROM patient WHERE id = ?1 AND patient_id = ?2",
        ),
        (
            Level::Study,
            KeyKind::StudyUid,
            "SELECT 1 FROM study WHERE id = ?1 AND study_uid = ?2",
        ),
        (
            Level::Series,
            KeyKind::SeriesUid,
            "SELECT 1 FROM series WHERE id = ?1 AND series_uid = ?2",
        ),
        (
            Level::Instance,
            KeyKind::SopUid,
            "SELECT 1 FROM instance WHERE id = ?1 AND sop_uid = ?2",
        ),
    ] {
        let hash = snapshot.hasher.text(tenant, kind, identifier);
        for id in candidates(snapshot.connection, snapshot.tail, hash)? {
            let right = snapshot
                .connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.exists(params![id, identifier]))
                .doing(DOING)?;
            let found = if right {
                resource::row(snapshot.connection, level, id)?
            } else {
                None
            };
            if let Some((_, found)) = found.filter(|(owner, _)| *owner == tenant) {
                json.open(b'{');
                json.name("ID").display(found.public_id);
                json.name("Path")
                    .display(format_args!("/{}/{}", level.plural(), found.public_id));
                json.name("Type").text(level.as_str());
                json.close(b'}');
            }
        }
    }
    json.close(b']');
    Ok(json.finish())
}

pub(crate) const BLOB_COLUMNS: &str = "blob.store, blob.key, blob.place_a, blob.place_b, blob.stored_size, \
                            blob.plain_size, blob.encoding, blob.digest, blob.availability";

pub(crate) fn blob(row: &Row<'_>) -> Result<BlobRow, rusqlite::Error> {
    Ok(BlobRow {
        store: row.get(0)?,
        key: row.get(1)?,
        place_a: row.get(2)?,
        place_b: row.get(3)?,
        stored_size: row.get::<_, i64>(4)?.unsigned(),
        plain_size: row.get::<_, i64>(5)?.unsigned(),
        encoding: row.get(6)?,
        digest: row.get(7)?,
        availability: row.get(8)?,
    })
}

pub(crate) fn located(row: &Row<'_>) -> Result<Located, rusqlite::Error> {
    Ok(Located {
        blob: blob(row)?,
        instance: PublicId(row.get(9)?),
        file_size: row.get::<_, i64>(10)?.unsigned(),
        sop_instance_uid: row.get(11)?,
        sop_class_uid: row.get(12)?,
        transfer_syntax_uid: row.get(13)?,
        data_set_offset: row.get::<_, i64>(14)?.unsigned(),
        pixel_data_offset: row.get::<_, Option<i64>>(15)?.map(Unsigned::unsigned),
        number_of_frames: row.get(16)?,
        received_us: row.get(17)?,
    })
}

/// Columns that [`located`] reads.
pub(crate) const LOCATED_COLUMNS: usize = 18;

pub(crate) fn located_sql(source: &str, more: &str) -> String {
    format!(
        "SELECT {BLOB_COLUMNS}, instance.public_id, instance.file_size, instance.sop_uid, sop_class.text,
                syntax.text, instance.data_set_offset, instance.pixel_offset, instance.frames,
                instance.received_us{more}
         FROM {source} JOIN instance ON instance.id = chosen.id JOIN blob ON blob.id = instance.blob
              JOIN word AS sop_class ON sop_class.id = instance.sop_class
              JOIN word AS syntax ON syntax.id = instance.syntax"
    )
}

pub(crate) fn locate(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    instance: &PublicId,
) -> Result<Option<Located>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, Level::Instance, instance)? else {
        return Ok(None);
    };
    snapshot
        .connection
        .prepare_cached(&located_sql("(SELECT ?1 AS id) AS chosen", ""))
        .and_then(|mut statement| statement.query_row(params![found.id], located))
        .map(Some)
        .doing("locating an instance")
}

pub(crate) fn locate_below(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    page: Page,
) -> Result<Option<Vec<Located>>, IndexError> {
    if level == Level::Instance {
        let located = locate(snapshot, tenant, id)?;
        return Ok(located.map(|located| {
            if page.since == 0 {
                vec![located]
            } else {
                Vec::new()
            }
        }));
    }
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let chosen = format!("({}) AS chosen", below_sql(level, Level::Instance));
    let (limit, since) = sql_limit(page);
    snapshot
        .connection
        .prepare_cached(&format!("{} ORDER BY chosen.id", located_sql(&chosen, "")))
        .and_then(|mut statement| {
            statement
                .query_map(params![found.id, limit, since], located)?
                .collect::<Result<Vec<_>, _>>()
        })
        .map(Some)
        .doing("locating instances")
}

/// The first live instance of a resource in the order of arrival, as an expression.
fn first_instance(level: Level, id: &str, study_label: Option<&str>) -> String {
    let first = |series: &str| {
        format!(
            "(SELECT first.id FROM instance AS first WHERE first.series = {series} AND first.state = 0
              ORDER BY first.id LIMIT 1)"
        )
    };
    match level {
        Level::Instance => id.to_owned(),
        Level::Series => first(id),
        Level::Study => format!(
            "(SELECT min({}) FROM series AS s WHERE s.study = {id} AND s.state = 0)",
            first("s.id")
        ),
        Level::Patient => format!(
            "(SELECT min({}) FROM study AS u JOIN series AS s ON s.study = u.id
              WHERE u.patient = {id} AND u.state = 0 AND s.state = 0{})",
            first("s.id"),
            in_view("u", study_label)
        ),
    }
}

/// What lies where of `chosen`, a table of numbers and instances.
fn located_of(
    snapshot: &Snapshot<'_>,
    chosen: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<(i64, Located)>, IndexError> {
    let sql = located_sql(&format!("({chosen}) AS chosen"), ", chosen.number");
    snapshot
        .connection
        .prepare_cached(&format!("{sql} ORDER BY chosen.number"))
        .and_then(|mut statement| {
            statement
                .query_map(values, |row| Ok((row.get(LOCATED_COLUMNS)?, located(row)?)))?
                .collect::<Result<Vec<_>, _>>()
        })
        .doing("locating first instances")
}

/// For each resource that has one, its number and its first instance.
pub(crate) fn first_instances(
    snapshot: &Snapshot<'_>,
    level: Level,
    ids: &[i64],
    study_label: Option<&str>,
) -> Result<Vec<(i64, Located)>, IndexError> {
    let first = first_instance(level, "list.value", study_label);
    let chosen = format!("SELECT list.value AS number, {first} AS id FROM rarray(?1) AS list");
    located_of(snapshot, &chosen, params![super::candidates::array(ids)])
}

/// The same for resources of level `at` under one of `level`, behind the number `after`.
pub(crate) fn first_instances_below(
    snapshot: &Snapshot<'_>,
    (level, id): (Level, i64),
    at: Level,
    after: i64,
    limit: u64,
    study_label: Option<&str>,
) -> Result<Vec<(i64, Located)>, IndexError> {
    let (limit, _) = sql_limit(Page { since: 0, limit });
    let own = table(at);
    let first = first_instance(at, &format!("{own}.id"), study_label);
    // Of other levels all is of one study.
    let label = study_label.filter(|_| level == Level::Patient);
    let chosen = format!(
        "SELECT {own}.id AS number, {first} AS id {}{} AND {own}.id > ?2 ORDER BY {own}.id LIMIT ?3",
        below(level, at),
        in_view("study", label)
    );
    located_of(snapshot, &chosen, params![id, after, limit])
}

pub(crate) fn blobs_in(
    snapshot: &Snapshot<'_>,
    store: i64,
    place_a: i64,
) -> Result<Vec<BlobRow>, IndexError> {
    snapshot
        .connection
        .prepare_cached(&format!(
            "SELECT {BLOB_COLUMNS} FROM blob WHERE store = ?1 AND place_a = ?2 ORDER BY place_b"
        ))
        .and_then(|mut statement| {
            statement
                .query_map(params![store, place_a], blob)?
                .collect::<Result<Vec<_>, _>>()
        })
        .doing("listing the blobs of a segment")
}

/// Blobs and stored bytes that rows need, by the unit that holds them.
pub(crate) fn live_by_unit(
    snapshot: &Snapshot<'_>,
    store: i64,
) -> Result<Vec<(i64, u64, u64)>, IndexError> {
    snapshot
        .connection
        .prepare_cached(
            "SELECT place_a, count(*), sum(stored_size) FROM blob WHERE store = ?1 AND refs > 0
             GROUP BY place_a ORDER BY place_a",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![store], |row| {
                    let (blobs, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
                    Ok((row.get(0)?, blobs.unsigned(), bytes.unsigned()))
                })?
                .collect::<Result<Vec<_>, _>>()
        })
        .doing("counting what is live in each segment")
}
