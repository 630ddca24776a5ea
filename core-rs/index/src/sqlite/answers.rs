//! Answers of readers: lists, relatives, metadata, statistics, places of bytes.

use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::resource::{self, one};
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::json::Json;
use crate::{BlobRow, IndexError, Located, Page, Statistics, View};
use rusqlite::{OptionalExtension, Row, params};
use vna_dicom::{Level, PublicId, main_tags};

/// `limit` of a page as SQL takes it.
pub(crate) fn sql_limit(page: Page) -> (i64, i64) {
    let limit = if page.limit == 0 {
        i64::MAX
    } else {
        i64::try_from(page.limit).unwrap_or(i64::MAX)
    };
    (limit, i64::try_from(page.since).unwrap_or(i64::MAX))
}

pub(crate) fn list(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    page: Page,
    expand: Option<View>,
) -> Result<Vec<u8>, IndexError> {
    let sql = match level {
        Level::Patient => {
            "SELECT id, public_id FROM patient WHERE tenant = ?1 AND state = 0 ORDER BY id LIMIT ?2 OFFSET ?3"
        }
        Level::Study => {
            "SELECT study.id, study.public_id FROM study CROSS JOIN patient ON patient.id = study.patient
             WHERE study.tenant = ?1 AND study.state = 0 AND patient.state = 0
             ORDER BY study.id LIMIT ?2 OFFSET ?3"
        }
        Level::Series => {
            "SELECT series.id, series.public_id
             FROM series CROSS JOIN study ON study.id = series.study
                  CROSS JOIN patient ON patient.id = study.patient
             WHERE series.tenant = ?1 AND series.state = 0 AND study.state = 0 AND patient.state = 0
             ORDER BY series.id LIMIT ?2 OFFSET ?3"
        }
        Level::Instance => {
            "SELECT instance.id, instance.public_id
             FROM instance CROSS JOIN series ON series.id = instance.series
                  CROSS JOIN study ON study.id = series.study
                  CROSS JOIN patient ON patient.id = study.patient
             WHERE instance.tenant = ?1 AND instance.state = 0 AND series.state = 0 AND study.state = 0
               AND patient.state = 0
             ORDER BY instance.id LIMIT ?2 OFFSET ?3"
        }
    };
    let (limit, since) = sql_limit(page);
    array(snapshot, sql, (tenant, limit, since), level, expand)
}

/// The ids, or objects, that a statement gives.
fn array(
    snapshot: &Snapshot<'_>,
    sql: &str,
    values: impl rusqlite::Params,
    level: Level,
    expand: Option<View>,
) -> Result<Vec<u8>, IndexError> {
    const DOING: &str = "listing resources";
    let mut statement = snapshot.connection.prepare_cached(sql).doing(DOING)?;
    let mut rows = statement.query(values).doing(DOING)?;
    let mut json = Json::new();
    json.open(b'[');
    while let Some(row) = rows.next().doing(DOING)? {
        match expand {
            Some(view) => {
                resource::write(
                    snapshot.connection,
                    level,
                    row.get(0).doing(DOING)?,
                    view,
                    &mut json,
                )?;
            }
            None => json.display(resource::public_id(row, 1)?),
        }
    }
    json.close(b']');
    Ok(json.finish())
}

pub(crate) fn single(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    view: View,
) -> Result<Option<Vec<u8>>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let mut json = Json::new();
    resource::write(snapshot.connection, level, found.id, view, &mut json)?;
    Ok(Some(json.finish()))
}

/// A statement for the live resources of level `below` under a resource of level `above`: id, public id.
fn below_sql(above: Level, below: Level) -> String {
    let column = match above {
        Level::Patient => "study.patient",
        Level::Study => "series.study",
        Level::Series | Level::Instance => "instance.series",
    };
    let joins = match (above, below) {
        (Level::Patient, Level::Series) => "study JOIN series ON series.study = study.id",
        (Level::Patient, Level::Instance) => {
            "study JOIN series ON series.study = study.id JOIN instance ON instance.series = series.id"
        }
        (Level::Study, Level::Instance) => "series JOIN instance ON instance.series = series.id",
        (_, Level::Study) => "study",
        (_, Level::Series) => "series",
        _ => "instance",
    };
    let table = table(below);
    let mut sql = format!("SELECT {table}.id, {table}.public_id FROM {joins} WHERE {column} = ?1");
    for level in Level::ALL
        .into_iter()
        .filter(|level| *level > above && *level <= below)
    {
        sql.push_str(&format!(" AND {}.state = 0", self::table(level)));
    }
    sql.push_str(&format!(" ORDER BY {table}.id LIMIT ?2 OFFSET ?3"));
    sql
}

fn table(level: Level) -> &'static str {
    match level {
        Level::Patient => "patient",
        Level::Study => "study",
        Level::Series => "series",
        Level::Instance => "instance",
    }
}

pub(crate) fn related(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    related: Level,
    expand: bool,
    view: View,
) -> Result<Option<Vec<u8>>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    if related > level {
        let sql = below_sql(level, related);
        let values = (found.id, i64::MAX, 0);
        return array(snapshot, &sql, values, related, expand.then_some(view)).map(Some);
    }
    let (mut at, mut id, mut parent) = (level, found.id, found.parent);
    while at > related {
        let Some(above) = at.parent() else { break };
        let Some((_, found)) = resource::row(snapshot.connection, above, parent)? else {
            return Ok(None);
        };
        (at, id, parent) = (above, found.id, found.parent);
    }
    let mut json = Json::new();
    resource::write(snapshot.connection, at, id, view, &mut json)?;
    Ok(Some(json.finish()))
}

pub(crate) fn statistics(snapshot: &Snapshot<'_>, tenant: i64) -> Result<Statistics, IndexError> {
    let statistics = snapshot
        .connection
        .prepare_cached(
            "SELECT patients, studies, series, instances, stored_bytes, plain_bytes, versions, version_bytes
             FROM tenant WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![tenant], |row| {
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
                    })
                })
                .optional()
        })
        .doing("reading the statistics")?;
    Ok(statistics.unwrap_or_default())
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
    write_size(&mut json, "TotalDiskSize", s.stored_bytes.signed());
    write_size(&mut json, "TotalUncompressedSize", s.plain_bytes.signed());
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
    write_size(&mut json, "DiskSize", found.stored_bytes);
    write_size(&mut json, "UncompressedSize", found.plain_bytes);
    json.close(b'}');
    Ok(Some(json.finish()))
}

/// Names of the metadata types that are stored by number; others show their number.
fn metadata_name(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "IndexInSeries",
        2 => "ReceptionDate",
        3 => "RemoteAET",
        4 => "ExpectedNumberOfInstances",
        5 => "ModifiedFrom",
        6 => "AnonymizedFrom",
        7 => "LastUpdate",
        8 => "Origin",
        9 => "TransferSyntax",
        10 => "SopClassUid",
        11 => "RemoteIP",
        12 => "CalledAET",
        13 => "HttpUsername",
        14 => "PixelDataOffset",
        15 => "MainDicomTagsSignature",
        16 => "MainDicomSequences",
        17 => "PixelDataVR",
        _ => return None,
    })
}

pub(crate) fn metadata(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Option<Vec<u8>>, IndexError> {
    const DOING: &str = "reading metadata";
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let mut values: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| values.push((name.to_owned(), value));
    let signature: Vec<String> = main_tags(level)
        .iter()
        .map(|tag| format!("{:04x},{:04x}", tag.0, tag.1))
        .collect();
    add("MainDicomTagsSignature", signature.join(";"));
    match level {
        Level::Patient => add("LastUpdate", last_update(snapshot, "patient", found.id)?),
        Level::Study => add("LastUpdate", last_update(snapshot, "study", found.id)?),
        Level::Series => {
            add("LastUpdate", last_update(snapshot, "series", found.id)?);
            const SQL: &str = "SELECT expected, (SELECT calling_ae FROM instance
                                   JOIN origin ON origin.id = instance.origin
                                   WHERE instance.series = series.id ORDER BY instance.id LIMIT 1)
                               FROM series WHERE id = ?1";
            one(snapshot.connection, SQL, found.id, |row| {
                if let Some(expected) = row.get::<_, Option<i64>>(0).doing(DOING)? {
                    add("ExpectedNumberOfInstances", expected.to_string());
                }
                add(
                    "RemoteAET",
                    row.get::<_, Option<String>>(1)
                        .doing(DOING)?
                        .unwrap_or_default(),
                );
                Ok(())
            })?;
        }
        Level::Instance => instance_metadata(snapshot, found.id, &mut add)?,
    }
    let mut statement = snapshot
        .connection
        .prepare_cached("SELECT type, value FROM metadata WHERE resource = ?1")
        .doing(DOING)?;
    let mut rows = statement.query(params![found.id]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        let number: i64 = row.get(0).doing(DOING)?;
        let name = metadata_name(number).map_or_else(|| number.to_string(), str::to_owned);
        values.push((name, row.get(1).doing(DOING)?));
    }
    values.sort();
    let mut json = Json::new();
    json.open(b'{');
    for (name, value) in &values {
        json.name(name).text(value);
    }
    json.close(b'}');
    Ok(Some(json.finish()))
}

fn last_update(snapshot: &Snapshot<'_>, table: &str, id: i64) -> Result<String, IndexError> {
    let sql = format!("SELECT last_update_us FROM {table} WHERE id = ?1");
    one(snapshot.connection, &sql, id, |row| {
        let mut text = String::new();
        crate::time::write_compact(row.get(0).doing("reading a time")?, &mut text);
        Ok(text)
    })
}

fn instance_metadata(
    snapshot: &Snapshot<'_>,
    id: i64,
    add: &mut impl FnMut(&str, String),
) -> Result<(), IndexError> {
    const DOING: &str = "reading metadata of an instance";
    const SQL: &str =
        "SELECT index_in_series, received_us, pixel_offset, sop_class.text, syntax.text, way_in,
                              calling_ae, called_ae, address, user
                       FROM instance JOIN word AS sop_class ON sop_class.id = instance.sop_class
                            JOIN word AS syntax ON syntax.id = instance.syntax
                            JOIN origin ON origin.id = instance.origin
                       WHERE instance.id = ?1";
    one(snapshot.connection, SQL, id, |row| {
        let text = |at| row.get::<_, String>(at).doing(DOING);
        if let Some(index) = row.get::<_, Option<i64>>(0).doing(DOING)? {
            add("IndexInSeries", index.to_string());
        }
        let mut received = String::new();
        crate::time::write_compact(row.get(1).doing(DOING)?, &mut received);
        add("ReceptionDate", received);
        if let Some(offset) = row.get::<_, Option<i64>>(2).doing(DOING)? {
            add("PixelDataOffset", offset.to_string());
        }
        add("SopClassUid", text(3)?);
        add("TransferSyntax", text(4)?);
        let way_in = text(5)?;
        if way_in == "DicomProtocol" {
            add("CalledAET", text(7)?);
        } else {
            add("HttpUsername", text(9)?);
        }
        add("Origin", way_in);
        add("RemoteAET", text(6)?);
        add("RemoteIP", text(8)?);
        Ok(())
    })
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

fn located(row: &Row<'_>) -> Result<Located, rusqlite::Error> {
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

fn located_sql(source: &str) -> String {
    format!(
        "SELECT {BLOB_COLUMNS}, instance.public_id, instance.file_size, instance.sop_uid, sop_class.text,
                syntax.text, instance.data_set_offset, instance.pixel_offset, instance.frames,
                instance.received_us
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
        .prepare_cached(&located_sql("(SELECT ?1 AS id) AS chosen"))
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
        .prepare_cached(&format!("{} ORDER BY chosen.id", located_sql(&chosen)))
        .and_then(|mut statement| {
            statement
                .query_map(params![found.id, limit, since], located)?
                .collect::<Result<Vec<_>, _>>()
        })
        .map(Some)
        .doing("locating instances")
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
