//! Resources as rows.

use crate::IndexError;
use crate::error::Doing;
use rusqlite::{Connection, OptionalExtension, Row, params};
use vna_dicom::{Level, PublicId};

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
    /// Of attachments of users, here and below.
    pub(crate) attached_stored: i64,
    pub(crate) attached_plain: i64,
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
            "SELECT tenant, public_id, 0, studies, studies, series, instances, stored_bytes, plain_bytes,
                    attached_stored, attached_plain
             FROM patient WHERE id = ?1 AND state = 0"
        }
        Level::Study => {
            "SELECT study.tenant, study.public_id, patient.id, study.series, 1, study.series, study.instances,
                    study.stored_bytes, study.plain_bytes, study.attached_stored, study.attached_plain
             FROM study JOIN patient ON patient.id = study.patient
             WHERE study.id = ?1 AND study.state = 0 AND patient.state = 0"
        }
        Level::Series => {
            "SELECT series.tenant, series.public_id, study.id, series.instances, 0, 1, series.instances,
                    series.stored_bytes, series.plain_bytes, series.attached_stored, series.attached_plain
             FROM series JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
             WHERE series.id = ?1 AND series.state = 0 AND study.state = 0 AND patient.state = 0"
        }
        Level::Instance => {
            "SELECT instance.tenant, instance.public_id, series.id, 0, 0, 0, 1, blob.stored_size, blob.plain_size,
                    (SELECT coalesce(sum(stored_size), 0) FROM attachment WHERE resource = instance.id),
                    (SELECT coalesce(sum(size), 0) FROM attachment WHERE resource = instance.id)
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
                        attached_stored: row.get(9)?,
                        attached_plain: row.get(10)?,
                    };
                    Ok((row.get(0)?, found))
                })
                .optional()
        })
        .doing("finding a resource")
}

const READING: &str = "reading a resource";

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
