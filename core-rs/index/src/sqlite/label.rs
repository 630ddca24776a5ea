//! Labels: each is a record of the log, and the row its only reference.
//!
//! 1. A label's record stands behind the arrival of an instance of its resource whose record is still in the log: its
//!    ground. When the row of that instance goes, the label is told by [`unfounded`], and is recorded once more before
//!    the bytes of the instance go. A replay meets the resource before the label then, whatever a compaction took.
//! 2. A label goes with its resource: nothing of it is left for one that comes later under the same identity.

use super::delete::release;
use super::keys::candidates;
use super::read::Snapshot;
use super::resource::{self, Found};
use super::writer::Transaction;
use crate::error::Doing;
use crate::{BlobRow, FreedBlob, IndexError, Label, Labelling, Outcome, Unlabelling};
use rusqlite::{Connection, OptionalExtension, Row, params};
use vna_dicom::{Level, PublicId};

const READING: &str = "reading labels";

/// The public id of a label's resource, live or not.
const PUBLIC_ID: &str = "CASE label.level
    WHEN 0 THEN (SELECT public_id FROM patient WHERE id = label.resource)
    WHEN 1 THEN (SELECT public_id FROM study WHERE id = label.resource)
    WHEN 2 THEN (SELECT public_id FROM series WHERE id = label.resource)
    ELSE (SELECT public_id FROM instance WHERE id = label.resource) END";

impl Transaction<'_> {
    /// Gives a resource a label, or a label that it has another record.
    pub(crate) fn label(&mut self, labelling: &Labelling) -> Result<Outcome, IndexError> {
        const DOING: &str = "adding a label";
        let Labelling {
            label:
                Label {
                    tenant,
                    level,
                    label,
                    ..
                },
            blob,
            ..
        } = labelling;
        let found = self.labelled(&labelling.label)?;
        // All that is live has an instance.
        let ground = match found {
            Some(found) => ground(self.connection, *level, found.id)?,
            None => None,
        };
        let (Some(found), Some(ground)) = (found, ground) else {
            return Ok(Outcome::NotLabelled {
                freed: FreedBlob::from(blob),
            });
        };
        let freed = self.unlabel(found.id, label)?;
        let blob = self.insert_blob(blob)?;
        self.connection
            .prepare_cached(
                "INSERT INTO label (resource, tenant, level, label, blob, ground) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut statement| {
                statement.execute(params![found.id, tenant, *level as i64, label, blob, ground])
            })
            .doing(DOING)?;
        Ok(Outcome::Labelled { freed })
    }

    /// Takes a label from a resource.
    pub(crate) fn take_label(&mut self, unlabelling: &Unlabelling) -> Result<Outcome, IndexError> {
        let Some(found) = self.labelled(&unlabelling.label)? else {
            return Ok(Outcome::NotFound);
        };
        let freed = self.unlabel(found.id, &unlabelling.label.label)?;
        Ok(Outcome::Unlabelled { freed })
    }

    fn labelled(&self, label: &Label) -> Result<Option<Found>, IndexError> {
        let hash = self.hasher.public_id(label.tenant, &label.public_id);
        for id in candidates(self.connection, self.tail, hash)? {
            let (tenant, level) = (label.tenant, label.level);
            let found = resource::find(self.connection, tenant, level, id, &label.public_id)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Removes the row of a label, if there is one; its record is not needed any more.
    fn unlabel(&self, resource: i64, label: &str) -> Result<Option<FreedBlob>, IndexError> {
        const DOING: &str = "removing a label";
        let blob: Option<i64> = self
            .connection
            .prepare_cached("DELETE FROM label WHERE resource = ?1 AND label = ?2 RETURNING blob")
            .and_then(|mut statement| {
                statement
                    .query_row(params![resource, label], |row| row.get(0))
                    .optional()
            })
            .doing(DOING)?;
        let mut freed = Vec::new();
        if let Some(blob) = blob {
            release(self.connection, blob, &mut freed)?;
        }
        Ok(freed.pop())
    }
}

/// A live instance of a live resource.
fn ground(connection: &Connection, level: Level, id: i64) -> Result<Option<i64>, IndexError> {
    let sql = match level {
        Level::Patient => {
            "SELECT instance.id FROM study JOIN series ON series.study = study.id
                    JOIN instance ON instance.series = series.id
             WHERE study.patient = ?1 AND study.state = 0 AND series.state = 0 AND instance.state = 0 LIMIT 1"
        }
        Level::Study => {
            "SELECT instance.id FROM series JOIN instance ON instance.series = series.id
             WHERE series.study = ?1 AND series.state = 0 AND instance.state = 0 LIMIT 1"
        }
        Level::Series => "SELECT id FROM instance WHERE series = ?1 AND state = 0 LIMIT 1",
        Level::Instance => "SELECT id FROM instance WHERE id = ?1",
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![id], |row| row.get(0))
                .optional()
        })
        .doing("looking for an instance that a label can stand on")
}

/// The row of an instance goes: (1).
pub(crate) fn lose_ground(connection: &Connection, instance: i64) -> Result<(), IndexError> {
    connection
        .prepare_cached("UPDATE label SET ground = NULL WHERE ground = ?1")
        .and_then(|mut statement| statement.execute(params![instance]))
        .doing("noting that a label has lost its ground")?;
    Ok(())
}

/// An instance takes the place of another one of the same identity, and its labels.
pub(crate) fn inherit(connection: &Connection, from: i64, heir: i64) -> Result<(), IndexError> {
    connection
        .prepare_cached("UPDATE label SET resource = ?2 WHERE resource = ?1")
        .and_then(|mut statement| statement.execute(params![from, heir]))
        .doing("handing labels on")?;
    Ok(())
}

/// The labels of a live resource, sorted.
pub(crate) fn of(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Option<Vec<String>>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let labels = snapshot
        .connection
        .prepare_cached("SELECT label FROM label WHERE resource = ?1 ORDER BY label")
        .and_then(|mut statement| {
            statement
                .query_map(params![found.id], |row| row.get(0))?
                .collect::<Result<_, _>>()
        })
        .doing(READING)?;
    Ok(Some(labels))
}

/// The labels that live resources of a tenant have, sorted.
pub(crate) fn all(snapshot: &Snapshot<'_>, tenant: i64) -> Result<Vec<String>, IndexError> {
    // Each step finds the next name, however many have it.
    let mut next = snapshot
        .connection
        .prepare_cached("SELECT min(label) FROM label WHERE tenant = ?1 AND label > ?2")
        .doing(READING)?;
    let mut having = snapshot
        .connection
        .prepare_cached("SELECT level, resource FROM label WHERE tenant = ?1 AND label = ?2")
        .doing(READING)?;
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let label: Option<String> = next
            .query_row(params![tenant, after], |row| row.get(0))
            .doing(READING)?;
        let Some(label) = label else {
            return Ok(all);
        };
        let mut rows = having.query(params![tenant, label]).doing(READING)?;
        while let Some(row) = rows.next().doing(READING)? {
            let level = level_of(row.get(0).doing(READING)?)?;
            if resource::row(snapshot.connection, level, row.get(1).doing(READING)?)?.is_some() {
                all.push(label.clone());
                break;
            }
        }
        after = label;
    }
}

/// Labels of live resources that have lost their ground, at most `limit`: (1).
pub(crate) fn unfounded(snapshot: &Snapshot<'_>, limit: usize) -> Result<Vec<Label>, IndexError> {
    let mut statement = snapshot
        .connection
        .prepare_cached(&format!(
            "SELECT tenant, level, label, {PUBLIC_ID}, resource FROM label WHERE ground IS NULL"
        ))
        .doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        let label = label(row)?;
        let id = row.get(4).doing(READING)?;
        // Those of what is deleted go with its rows.
        if resource::row(snapshot.connection, label.level, id)?.is_some() {
            found.push(label);
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// The labels whose records `is_wanted` names.
pub(crate) fn owners(
    snapshot: &Snapshot<'_>,
    is_wanted: &dyn Fn(&BlobRow) -> bool,
) -> Result<Vec<Label>, IndexError> {
    use super::answers::{BLOB_COLUMNS, blob};
    let mut statement = snapshot
        .connection
        .prepare(&format!(
            "SELECT {BLOB_COLUMNS}, label.tenant, label.level, label, {PUBLIC_ID}, resource
             FROM label JOIN blob ON blob.id = label.blob"
        ))
        .doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    let mut owners = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        if is_wanted(&blob(row).doing(READING)?) {
            owners.push(label_at(row, 9)?);
        }
    }
    Ok(owners)
}

/// The labels of what a deletion took.
pub(crate) fn deleted(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    deletion: i64,
) -> Result<Vec<Label>, IndexError> {
    let mut statement = snapshot
        .connection
        .prepare_cached(&format!(
            "WITH RECURSIVE tree (id) AS (
                 SELECT resource FROM purge WHERE lsn = ?2
                 UNION SELECT study.id FROM tree JOIN study ON study.patient = tree.id
                 UNION SELECT series.id FROM tree JOIN series ON series.study = tree.id
                 UNION SELECT instance.id FROM tree JOIN instance ON instance.series = tree.id)
             SELECT label.tenant, label.level, label, {PUBLIC_ID} FROM tree JOIN label ON label.resource = tree.id
             WHERE label.tenant = ?1"
        ))
        .doing(READING)?;
    let mut rows = statement.query(params![tenant, deletion]).doing(READING)?;
    let mut labels = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        labels.push(label(row)?);
    }
    Ok(labels)
}

fn label(row: &Row<'_>) -> Result<Label, IndexError> {
    label_at(row, 0)
}

fn label_at(row: &Row<'_>, at: usize) -> Result<Label, IndexError> {
    Ok(Label {
        tenant: row.get(at).doing(READING)?,
        level: level_of(row.get(at + 1).doing(READING)?)?,
        label: row.get(at + 2).doing(READING)?,
        public_id: PublicId(row.get(at + 3).doing(READING)?),
    })
}

fn level_of(number: i64) -> Result<Level, IndexError> {
    usize::try_from(number)
        .ok()
        .and_then(|at| Level::ALL.get(at).copied())
        .ok_or_else(|| IndexError::BadRow {
            table: "label",
            column: "level",
            found: number.to_string(),
        })
}
