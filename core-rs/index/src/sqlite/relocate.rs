//! Blobs that were moved, or are kept in another form: rows and counters follow.

use rusqlite::{OptionalExtension, Row, params};

use super::writer::{LIVE, SUPERSEDED, Transaction, number};
use crate::bits::Signed;
use crate::error::Doing;
use crate::{IndexError, NewFile, Relocation};

const DOING: &str = "relocating blobs";

/// Lets the row of a blob follow it, if it is where it was; tells whether.
pub(crate) fn relocate(
    transaction: &mut Transaction<'_>,
    moved: &Relocation,
) -> Result<bool, IndexError> {
    let connection = transaction.connection;
    let row: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT id, stored_size FROM blob WHERE store = ?1 AND place_a = ?2 AND place_b = ?3 AND key = ?4",
        )
        .and_then(|mut statement| {
            let (from_a, from_b) = moved.from;
            statement
                .query_row(params![moved.store, from_a, from_b, moved.key], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
        })
        .doing(DOING)?;
    let Some((id, before)) = row else {
        return Ok(false);
    };
    let stored = moved.stored_size.signed();
    connection
        .prepare_cached(
            "UPDATE blob SET place_a = ?2, place_b = ?3, stored_size = ?4, encoding = ?5 WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![id, moved.to.0, moved.to.1, stored, moved.encoding])
        })
        .doing(DOING)?;
    if stored != before {
        count(transaction, id, stored - before)?;
    }
    if let Some(file) = &moved.file {
        replace_file(transaction, id, file)?;
    }
    Ok(true)
}

/// Lets the instances of a blob tell what its file is now.
fn replace_file(
    transaction: &mut Transaction<'_>,
    blob: i64,
    file: &NewFile,
) -> Result<(), IndexError> {
    let syntax = transaction.word(&file.transfer_syntax_uid)?;
    let pixel_offset = match file.pixel_data_offset {
        Some(offset) => Some(number(offset, "pixel data offset")?),
        None => None,
    };
    let (size, offset) = (file.size.signed(), file.data_set_offset.signed());
    transaction
        .connection
        .prepare_cached(
            "UPDATE instance SET syntax = ?2, file_size = ?3, data_set_offset = ?4, pixel_offset = ?5
             WHERE blob = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![blob, syntax, size, offset, pixel_offset])
        })
        .doing(DOING)?;
    Ok(())
}

/// An instance and what lies above it, each with its state.
struct Above {
    tenant: i64,
    state: i64,
    series: (i64, i64),
    study: (i64, i64),
    patient: (i64, i64),
}

fn above(row: &Row<'_>) -> Result<Above, rusqlite::Error> {
    Ok(Above {
        tenant: row.get(0)?,
        state: row.get(1)?,
        series: (row.get(2)?, row.get(3)?),
        study: (row.get(4)?, row.get(5)?),
        patient: (row.get(6)?, row.get(7)?),
    })
}

/// Adds the difference to every counter in which the blob is counted. What is deleted counts no more in what it was in.
fn count(transaction: &mut Transaction<'_>, blob: i64, difference: i64) -> Result<(), IndexError> {
    let found: Vec<Above> = transaction
        .connection
        .prepare_cached(
            "SELECT instance.tenant, instance.state, series.id, series.state, study.id, study.state, patient.id,
                    patient.state
             FROM instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study
                  JOIN patient ON patient.id = study.patient WHERE instance.blob = ?1",
        )
        .and_then(|mut statement| statement.query_map(params![blob], above)?.collect())
        .doing(DOING)?;
    let pending = &mut transaction.pending;
    for above in found {
        if above.state == SUPERSEDED {
            pending.tenant(above.tenant).version_bytes += difference;
        }
        if above.state != LIVE {
            continue;
        }
        let levels = [above.series, above.study, above.patient];
        // As many levels as are not below what was deleted, and the tenant above them all.
        let counted = levels
            .iter()
            .take_while(|(_, state)| *state == LIVE)
            .count();
        pending.series(above.series.0).stored_bytes += difference;
        if counted >= 1 {
            pending.study(above.study.0).stored_bytes += difference;
        }
        if counted >= 2 {
            pending.patient(above.patient.0).stored_bytes += difference;
        }
        if counted >= 3 {
            pending.tenant(above.tenant).stored_bytes += difference;
        }
    }
    Ok(())
}
