//! Notes, read.

use super::answers::{BLOB_COLUMNS, blob};
use super::read::Snapshot;
use super::resource;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::{Attached, BlobRow, IndexError, Note, NoteContent, NoteId, RecordedNote, Subject};
use rusqlite::{Row, params};
use vna_dicom::{Level, PublicId};

const READING: &str = "reading notes";

const LABEL: i64 = 0;
const METADATA: i64 = 1;
const ATTACHMENT: i64 = 2;
const PROTECTION: i64 = 3;

/// The columns behind those of the blob.
const NOTE_COLUMNS: &str =
    "note.tenant, note.level, kind, number, name, revision, value, bytes, size, md5,
    stored_md5, note.blob, note.resource";

/// Columns of [`BLOB_COLUMNS`].
const BLOB_WIDTH: usize = 9;

/// The public id of a note's resource, live or not.
const PUBLIC_ID: &str = "CASE note.level
    WHEN 0 THEN (SELECT public_id FROM patient WHERE id = note.resource)
    WHEN 1 THEN (SELECT public_id FROM study WHERE id = note.resource)
    WHEN 2 THEN (SELECT public_id FROM series WHERE id = note.resource)
    ELSE (SELECT public_id FROM instance WHERE id = note.resource) END";

/// Kind, number and name in a row.
pub(crate) fn key(subject: &Subject) -> (i64, i64, &str) {
    match subject {
        Subject::Label(label) => (LABEL, 0, label),
        Subject::Metadata(number) => (METADATA, *number, ""),
        Subject::Attachment(number) => (ATTACHMENT, *number, ""),
        Subject::Protection => (PROTECTION, 0, ""),
    }
}

/// A value as text, and as it is if it is none that SQL takes for text.
pub(crate) fn value_columns(value: &[u8]) -> (Option<String>, Option<&[u8]>) {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => (Some(text.to_owned()), None),
        _ => {
            let shown = String::from_utf8_lossy(value).replace('\0', "\u{FFFD}");
            (Some(shown), Some(value))
        }
    }
}

/// Reads notes: those for which a statement behind `FROM note LEFT JOIN blob ...` gives rows, and that `keep` takes.
fn each(
    snapshot: &Snapshot<'_>,
    behind: &str,
    parameters: impl rusqlite::Params,
    mut keep: impl FnMut(RecordedNote, i64) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    let mut statement = snapshot
        .connection
        .prepare_cached(&format!(
            "SELECT {BLOB_COLUMNS}, {NOTE_COLUMNS}, {PUBLIC_ID}
             FROM note LEFT JOIN blob ON blob.id = note.blob {behind}"
        ))
        .doing(READING)?;
    let mut rows = statement.query(parameters).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        let resource = row.get(BLOB_WIDTH + 12).doing(READING)?;
        if !keep(recorded(row)?, resource)? {
            break;
        }
    }
    Ok(())
}

/// The notes of a live resource of one kind; `None` if it is not there.
fn of(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
    which: &str,
    (kind, number, name): (i64, i64, &str),
) -> Result<Option<Vec<RecordedNote>>, IndexError> {
    let Some(found) = snapshot.resolve(tenant, level, id)? else {
        return Ok(None);
    };
    let mut notes = Vec::new();
    let behind = format!("WHERE resource = ?1 AND kind = ?2 AND {which} ORDER BY number, name");
    each(
        snapshot,
        &behind,
        params![found.id, kind, number, name],
        |note, _| {
            notes.push(note);
            Ok(true)
        },
    )?;
    Ok(Some(notes))
}

/// One note; the outer `None` says that the resource is not there.
pub(crate) fn one(
    snapshot: &Snapshot<'_>,
    id: &NoteId,
) -> Result<Option<Option<RecordedNote>>, IndexError> {
    let which = "number = ?3 AND name = ?4";
    let found = of(
        snapshot,
        id.tenant,
        id.level,
        &id.public_id,
        which,
        key(&id.subject),
    )?;
    Ok(found.map(|mut notes| notes.pop()))
}

/// The attachments of a live resource, sorted by type.
pub(crate) fn attachments(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Option<Vec<RecordedNote>>, IndexError> {
    of(
        snapshot,
        tenant,
        level,
        id,
        "number >= ?3 AND name = ?4",
        (ATTACHMENT, 0, ""),
    )
}

/// The labels of a live resource, sorted.
pub(crate) fn labels(
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
pub(crate) fn all_labels(snapshot: &Snapshot<'_>, tenant: i64) -> Result<Vec<String>, IndexError> {
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

/// Notes of live resources that have lost their ground, at most `limit`.
pub(crate) fn unfounded(
    snapshot: &Snapshot<'_>,
    limit: usize,
) -> Result<Vec<RecordedNote>, IndexError> {
    let mut found = Vec::new();
    each(
        snapshot,
        "WHERE ground IS NULL",
        [],
        |recorded, resource| {
            // Those of what is deleted go with its rows.
            let level = recorded.note.id.level;
            if resource::row(snapshot.connection, level, resource)?.is_some() {
                found.push(recorded);
            }
            Ok(found.len() < limit)
        },
    )?;
    Ok(found)
}

/// The notes whose records `is_wanted` names.
pub(crate) fn owners(
    snapshot: &Snapshot<'_>,
    is_wanted: &dyn Fn(&BlobRow) -> bool,
) -> Result<Vec<RecordedNote>, IndexError> {
    let mut owners = Vec::new();
    each(
        snapshot,
        "WHERE note.blob IS NOT NULL",
        [],
        |recorded, _| {
            if recorded.blob.as_ref().is_some_and(is_wanted) {
                owners.push(recorded);
            }
            Ok(true)
        },
    )?;
    Ok(owners)
}

/// The notes of what a deletion took; of kept versions none that only the archive makes.
pub(crate) fn deleted(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    deletion: i64,
) -> Result<Vec<RecordedNote>, IndexError> {
    let behind = "WHERE note.tenant = ?1 AND note.resource IN (
        WITH RECURSIVE tree (id) AS (
            SELECT resource FROM purge WHERE lsn = ?2
            UNION SELECT study.id FROM tree JOIN study ON study.patient = tree.id
            UNION SELECT series.id FROM tree JOIN series ON series.study = tree.id
            UNION SELECT instance.id FROM tree JOIN instance ON instance.series = tree.id)
        SELECT id FROM tree)
        AND NOT (kind = 1 AND number < 1024 AND note.level = 3 AND EXISTS (
            SELECT 1 FROM instance LEFT JOIN purge ON purge.resource = instance.id
            WHERE instance.id = note.resource AND (state = 1 OR was = 1)))";
    let mut notes = Vec::new();
    each(
        snapshot,
        behind,
        params![tenant, deletion],
        |recorded, _| {
            notes.push(recorded);
            Ok(true)
        },
    )?;
    Ok(notes)
}

fn recorded(row: &Row<'_>) -> Result<RecordedNote, IndexError> {
    let at = |column: usize| BLOB_WIDTH + column;
    let number: i64 = row.get(at(3)).doing(READING)?;
    let (subject, content) = match row.get(at(2)).doing(READING)? {
        LABEL => {
            let label = row.get(at(4)).doing(READING)?;
            (Subject::Label(label), NoteContent::Nothing)
        }
        METADATA => {
            let bytes: Option<Vec<u8>> = row.get(at(7)).doing(READING)?;
            let value = match bytes {
                Some(bytes) => bytes,
                None => row.get::<_, String>(at(6)).doing(READING)?.into_bytes(),
            };
            (Subject::Metadata(number), NoteContent::Value(value))
        }
        ATTACHMENT => {
            let attached = Attached {
                size: row.get::<_, i64>(at(8)).doing(READING)?.unsigned(),
                md5: row.get(at(9)).doing(READING)?,
                stored_md5: row.get(at(10)).doing(READING)?,
            };
            (Subject::Attachment(number), NoteContent::Bytes(attached))
        }
        PROTECTION => (Subject::Protection, NoteContent::Nothing),
        other => {
            return Err(IndexError::BadRow {
                table: "note",
                column: "kind",
                found: other.to_string(),
            });
        }
    };
    let has_blob = row.get::<_, Option<i64>>(at(11)).doing(READING)?.is_some();
    let blob = match has_blob {
        true => Some(blob(row).doing(READING)?),
        false => None,
    };
    Ok(RecordedNote {
        note: Note {
            id: NoteId {
                tenant: row.get(at(0)).doing(READING)?,
                level: level_of(row.get(at(1)).doing(READING)?)?,
                public_id: PublicId(row.get(at(13)).doing(READING)?),
                subject,
            },
            revision: row.get::<_, i64>(at(5)).doing(READING)?.unsigned(),
            content,
        },
        blob,
    })
}

fn level_of(number: i64) -> Result<Level, IndexError> {
    usize::try_from(number)
        .ok()
        .and_then(|at| Level::ALL.get(at).copied())
        .ok_or_else(|| IndexError::BadRow {
            table: "note",
            column: "level",
            found: number.to_string(),
        })
}
