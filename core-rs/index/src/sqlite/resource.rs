//! Resources as rows, and as `GET /{level}/{id}` shows them.

use super::place::own_uid;
use super::tags::Tags;
use crate::error::Doing;
use crate::json::Json;
use crate::{IndexError, View};
use rusqlite::{Connection, OptionalExtension, Row, params};
use vna_dicom::{Level, PublicId, Tag, keyword, main_tags};

/// A live resource and what it adds up to.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) public_id: PublicId,
    /// The resource above; 0 for a patient.
    pub(crate) parent: i64,
    /// Live resources one level below.
    pub(crate) children: i64,
    pub(crate) studies: i64,
    pub(crate) series: i64,
    pub(crate) instances: i64,
    pub(crate) stored_bytes: i64,
    pub(crate) plain_bytes: i64,
}

/// The resource `id`, if it is of this level, has this public id and is live.
pub(crate) fn find(
    connection: &Connection,
    tenant: i64,
    level: Level,
    id: i64,
    public_id: &PublicId,
) -> Result<Option<Found>, IndexError> {
    Ok(row(connection, level, id)?
        .filter(|(owner, found)| *owner == tenant && found.public_id == *public_id)
        .map(|(_, found)| found))
}

pub(crate) fn row(
    connection: &Connection,
    level: Level,
    id: i64,
) -> Result<Option<(i64, Found)>, IndexError> {
    let sql = match level {
        Level::Patient => {
            "SELECT tenant, public_id, 0, studies, studies, series, instances, stored_bytes, plain_bytes
             FROM patient WHERE id = ?1 AND state = 0"
        }
        Level::Study => {
            "SELECT study.tenant, study.public_id, patient.id, study.series, 1, study.series, study.instances,
                    study.stored_bytes, study.plain_bytes
             FROM study JOIN patient ON patient.id = study.patient
             WHERE study.id = ?1 AND study.state = 0 AND patient.state = 0"
        }
        Level::Series => {
            "SELECT series.tenant, series.public_id, study.id, series.instances, 0, 1, series.instances,
                    series.stored_bytes, series.plain_bytes
             FROM series JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
             WHERE series.id = ?1 AND series.state = 0 AND study.state = 0 AND patient.state = 0"
        }
        Level::Instance => {
            "SELECT instance.tenant, instance.public_id, series.id, 0, 0, 0, 1, blob.stored_size, blob.plain_size
             FROM instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study
                  JOIN patient ON patient.id = study.patient JOIN blob ON blob.id = instance.blob
             WHERE instance.id = ?1 AND instance.state = 0 AND series.state = 0 AND study.state = 0
               AND patient.state = 0"
        }
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![id], |row| {
                    let found = Found {
                        id,
                        public_id: PublicId(row.get(1)?),
                        parent: row.get(2)?,
                        children: row.get(3)?,
                        studies: row.get(4)?,
                        series: row.get(5)?,
                        instances: row.get(6)?,
                        stored_bytes: row.get(7)?,
                        plain_bytes: row.get(8)?,
                    };
                    Ok((row.get(0)?, found))
                })
                .optional()
        })
        .doing("finding a resource")
}

/// The statement that gives the live children of a resource, in the order of arrival.
pub(crate) fn children_sql(level: Level) -> Option<&'static str> {
    match level {
        Level::Patient => {
            Some("SELECT public_id FROM study WHERE patient = ?1 AND state = 0 ORDER BY id")
        }
        Level::Study => {
            Some("SELECT public_id FROM series WHERE study = ?1 AND state = 0 ORDER BY id")
        }
        Level::Series => {
            Some("SELECT public_id FROM instance WHERE series = ?1 AND state = 0 ORDER BY id")
        }
        Level::Instance => None,
    }
}

/// Writes a live resource as one JSON object, members in the order of their names.
pub(crate) fn write(
    connection: &Connection,
    level: Level,
    id: i64,
    view: View,
    json: &mut Json,
) -> Result<(), IndexError> {
    match level {
        Level::Patient => write_patient(connection, id, view, json),
        Level::Study => write_study(connection, id, view, json),
        Level::Series => write_series(connection, id, view, json),
        Level::Instance => write_instance(connection, id, json),
    }
}

fn write_patient(
    connection: &Connection,
    id: i64,
    view: View,
    json: &mut Json,
) -> Result<(), IndexError> {
    one(
        connection,
        "SELECT public_id, last_update_us, tags FROM patient WHERE id = ?1",
        id,
        |row| {
            json.open(b'{');
            write_origin_of_copy(connection, id, json, MetadataType::AnonymizedFrom)?;
            json.name("ID").display(public_id(row, 0)?);
            write_common(connection, id, row.get(1).doing(READING)?, view, json)?;
            json.name("MainDicomTags");
            write_tags(packed(row, 2)?, Level::Patient, None, json)?;
            write_origin_of_copy(connection, id, json, MetadataType::ModifiedFrom)?;
            json.name("Studies");
            write_children(connection, Level::Patient, id, json)?;
            json.name("Type").text("Patient");
            json.close(b'}');
            Ok(())
        },
    )
}

fn write_study(
    connection: &Connection,
    id: i64,
    view: View,
    json: &mut Json,
) -> Result<(), IndexError> {
    const SQL: &str =
        "SELECT study.public_id, study.last_update_us, study.tags, study_uid, patient.public_id,
                              patient.tags
                       FROM study JOIN patient ON patient.id = study.patient WHERE study.id = ?1";
    one(connection, SQL, id, |row| {
        json.open(b'{');
        write_origin_of_copy(connection, id, json, MetadataType::AnonymizedFrom)?;
        json.name("ID").display(public_id(row, 0)?);
        write_common(connection, id, row.get(1).doing(READING)?, view, json)?;
        json.name("MainDicomTags");
        write_tags(packed(row, 2)?, Level::Study, Some(text(row, 3)?), json)?;
        write_origin_of_copy(connection, id, json, MetadataType::ModifiedFrom)?;
        json.name("ParentPatient").display(public_id(row, 4)?);
        json.name("PatientMainDicomTags");
        write_tags(packed(row, 5)?, Level::Patient, None, json)?;
        json.name("Series");
        write_children(connection, Level::Study, id, json)?;
        json.name("Type").text("Study");
        json.close(b'}');
        Ok(())
    })
}

fn write_series(
    connection: &Connection,
    id: i64,
    view: View,
    json: &mut Json,
) -> Result<(), IndexError> {
    const SQL: &str =
        "SELECT series.public_id, series.last_update_us, series.tags, series_uid, study.public_id,
                              expected
                       FROM series JOIN study ON study.id = series.study WHERE series.id = ?1";
    one(connection, SQL, id, |row| {
        let expected: Option<i64> = row.get(5).doing(READING)?;
        json.open(b'{');
        write_origin_of_copy(connection, id, json, MetadataType::AnonymizedFrom)?;
        json.name("ExpectedNumberOfInstances");
        match expected {
            Some(expected) => json.number(expected),
            None => json.null(),
        }
        json.name("ID").display(public_id(row, 0)?);
        json.name("Instances");
        write_children(connection, Level::Series, id, json)?;
        write_common(connection, id, row.get(1).doing(READING)?, view, json)?;
        json.name("MainDicomTags");
        write_tags(packed(row, 2)?, Level::Series, Some(text(row, 3)?), json)?;
        write_origin_of_copy(connection, id, json, MetadataType::ModifiedFrom)?;
        json.name("ParentStudy").display(public_id(row, 4)?);
        json.name("Status")
            .text(series_status(connection, id, expected)?);
        json.name("Type").text("Series");
        json.close(b'}');
        Ok(())
    })
}

fn write_instance(connection: &Connection, id: i64, json: &mut Json) -> Result<(), IndexError> {
    const SQL: &str =
        "SELECT instance.public_id, file_size, blob.key, index_in_series, instance.tags, sop_uid,
                              series.public_id
                       FROM instance JOIN blob ON blob.id = instance.blob
                            JOIN series ON series.id = instance.series
                       WHERE instance.id = ?1";
    one(connection, SQL, id, |row| {
        json.open(b'{');
        write_origin_of_copy(connection, id, json, MetadataType::AnonymizedFrom)?;
        json.name("FileSize")
            .number(row.get::<_, i64>(1).doing(READING)?);
        json.name("FileUuid")
            .display(Uuid(row.get(2).doing(READING)?));
        json.name("ID").display(public_id(row, 0)?);
        json.name("IndexInSeries");
        match row.get::<_, Option<i64>>(3).doing(READING)? {
            Some(index) if index >= 0 => json.number(index),
            _ => json.null(),
        }
        json.name("Labels");
        write_labels(connection, id, json)?;
        json.name("MainDicomTags");
        write_tags(packed(row, 4)?, Level::Instance, Some(text(row, 5)?), json)?;
        write_origin_of_copy(connection, id, json, MetadataType::ModifiedFrom)?;
        json.name("ParentSeries").display(public_id(row, 6)?);
        json.name("Type").text("Instance");
        json.close(b'}');
        Ok(())
    })
}

/// Whether a series has what its first instance announced: the numbers from 1 to that. Instances without a number
/// say nothing.
fn series_status(
    connection: &Connection,
    id: i64,
    expected: Option<i64>,
) -> Result<&'static str, IndexError> {
    let Some(expected) = expected else {
        return Ok("Unknown");
    };
    let (distinct, lowest, highest): (i64, Option<i64>, Option<i64>) = connection
        .prepare_cached(
            "SELECT count(DISTINCT index_in_series), min(index_in_series), max(index_in_series)
             FROM instance WHERE series = ?1 AND state = 0",
        )
        .and_then(|mut statement| {
            statement.query_row(params![id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
        })
        .doing(READING)?;
    Ok(
        if lowest.is_some_and(|low| low < 1) || highest.is_some_and(|high| high > expected) {
            "Inconsistent"
        } else if distinct == expected {
            "Complete"
        } else {
            "Missing"
        },
    )
}

const READING: &str = "reading a resource";

#[derive(Clone, Copy)]
enum MetadataType {
    ModifiedFrom = 5,
    AnonymizedFrom = 6,
}

fn write_origin_of_copy(
    connection: &Connection,
    id: i64,
    json: &mut Json,
    which: MetadataType,
) -> Result<(), IndexError> {
    let value: Option<String> = connection
        .prepare_cached("SELECT value FROM metadata WHERE resource = ?1 AND type = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![id, which as i64], |row| row.get(0))
                .optional()
        })
        .doing(READING)?;
    if let Some(value) = value {
        let name = match which {
            MetadataType::ModifiedFrom => "ModifiedFrom",
            MetadataType::AnonymizedFrom => "AnonymizedFrom",
        };
        json.name(name).text(&value);
    }
    Ok(())
}

/// IsStable, Labels, LastUpdate.
fn write_common(
    connection: &Connection,
    id: i64,
    last_update_us: i64,
    view: View,
    json: &mut Json,
) -> Result<(), IndexError> {
    json.name("IsStable")
        .bool(view.now_us.saturating_sub(last_update_us) >= view.stable_age_us);
    json.name("Labels");
    write_labels(connection, id, json)?;
    json.name("LastUpdate").moment(last_update_us);
    Ok(())
}

fn write_labels(connection: &Connection, id: i64, json: &mut Json) -> Result<(), IndexError> {
    let mut statement = connection
        .prepare_cached("SELECT label FROM label WHERE resource = ?1 ORDER BY label")
        .doing(READING)?;
    let mut rows = statement.query(params![id]).doing(READING)?;
    json.open(b'[');
    while let Some(row) = rows.next().doing(READING)? {
        json.text(text(row, 0)?);
    }
    json.close(b']');
    Ok(())
}

/// Writes the public ids of the children as an array.
fn write_children(
    connection: &Connection,
    level: Level,
    id: i64,
    json: &mut Json,
) -> Result<(), IndexError> {
    json.open(b'[');
    if let Some(sql) = children_sql(level) {
        let mut statement = connection.prepare_cached(sql).doing(READING)?;
        let mut rows = statement.query(params![id]).doing(READING)?;
        while let Some(row) = rows.next().doing(READING)? {
            json.display(public_id(row, 0)?);
        }
    }
    json.close(b']');
    Ok(())
}

/// Writes the tags of a level by keyword, in the order of the keywords.
fn write_tags(
    packed: &[u8],
    level: Level,
    uid: Option<&str>,
    json: &mut Json,
) -> Result<(), IndexError> {
    let keep = main_tags(level);
    let mut tags: Vec<(&str, &str)> = Vec::with_capacity(keep.len());
    let mut add = |tag: Tag, value| {
        if let Some(name) = keyword(tag).filter(|_| keep.binary_search(&tag).is_ok()) {
            tags.push((name, value));
        }
    };
    if let (Some(tag), Some(uid)) = (own_uid(level), uid) {
        add(tag, uid);
    }
    for item in Tags::new(packed) {
        let (tag, value) = item?;
        add(tag, value);
    }
    tags.sort_unstable();
    json.open(b'{');
    for (name, value) in tags {
        json.name(name).text(value);
    }
    json.close(b'}');
    Ok(())
}

/// Runs a statement that gives one row for an id and hands it on.
pub(crate) fn one<T>(
    connection: &Connection,
    sql: &str,
    id: i64,
    work: impl FnOnce(&Row<'_>) -> Result<T, IndexError>,
) -> Result<T, IndexError> {
    let mut statement = connection.prepare_cached(sql).doing(READING)?;
    let mut rows = statement.query(params![id]).doing(READING)?;
    match rows.next().doing(READING)? {
        Some(row) => work(row),
        None => Err(IndexError::Corrupt {
            found: format!("resource {id} has no row"),
        }),
    }
}

pub(crate) fn public_id(row: &Row<'_>, at: usize) -> Result<PublicId, IndexError> {
    Ok(PublicId(row.get(at).doing(READING)?))
}

pub(crate) fn text<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r str, IndexError> {
    row.get_ref(at)
        .doing(READING)?
        .as_str()
        .map_err(|_| IndexError::BadRow {
            table: "resource",
            column: "text",
            found: "another type".into(),
        })
}

pub(crate) fn packed<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r [u8], IndexError> {
    row.get_ref(at)
        .doing(READING)?
        .as_blob()
        .map_err(|_| IndexError::BadRow {
            table: "resource",
            column: "tags",
            found: "another type".into(),
        })
}

/// A blob key in the form of a UUID.
struct Uuid([u8; 16]);

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
