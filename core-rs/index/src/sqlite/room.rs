//! What a bounded archive must know: how much there is, and which patients may make room.

use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::writer::Transaction;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::{IndexError, OldPatient, Usage};
use rusqlite::{OptionalExtension, Row, params};
use vna_dicom::PublicId;

/// What there is, and up to where of the log it counts: of one snapshot.
pub(crate) fn usage(snapshot: &Snapshot<'_>) -> Result<Usage, IndexError> {
    snapshot
        .connection
        .prepare_cached(
            "SELECT (SELECT covered_lsn FROM meta), coalesce(sum(patients), 0),
                    coalesce(sum(stored_bytes + attached_stored + version_bytes), 0) FROM tenant",
        )
        .and_then(|mut statement| {
            statement.query_row([], |row| {
                Ok(Usage {
                    covered: row.get::<_, i64>(0)?.unsigned(),
                    patients: row.get::<_, i64>(1)?.unsigned(),
                    bytes: row.get::<_, i64>(2)?.unsigned(),
                })
            })
        })
        .doing("counting what there is")
}

const MAY_GO: &str = "state = 0 AND protected = 0
    AND NOT EXISTS (SELECT 1 FROM spared WHERE spared.patient = patient.id AND spared.until_us > ?2)";

/// The patients that may make room, those first that received nothing for the longest time.
pub(crate) fn oldest(
    snapshot: &Snapshot<'_>,
    limit: u64,
    now_us: i64,
) -> Result<Vec<OldPatient>, IndexError> {
    // This reads all patients. No index keeps their order, since every arrival would change it: whoever asks takes many
    // at a time, and looks again at each before it goes.
    let sql = format!(
        "SELECT id, tenant, public_id, last_update_us, stored_bytes + attached_stored FROM patient WHERE {MAY_GO}
         ORDER BY last_update_us, id LIMIT ?1"
    );
    snapshot
        .connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement
                .query_map(params![limit, now_us], old_patient)?
                .collect()
        })
        .doing("looking for the oldest patients")
}

fn old_patient(row: &Row<'_>) -> Result<OldPatient, rusqlite::Error> {
    Ok(OldPatient {
        row: row.get(0)?,
        tenant: row.get(1)?,
        public_id: PublicId(row.get(2)?),
        last_update_us: row.get(3)?,
        stored_bytes: row.get::<_, i64>(4)?.unsigned(),
    })
}

/// Whether a patient may still make room, and nothing arrived or was deleted since.
pub(crate) fn is_still_old(
    snapshot: &Snapshot<'_>,
    patient: &OldPatient,
    now_us: i64,
) -> Result<bool, IndexError> {
    let sql = format!(
        "SELECT id, tenant, public_id, last_update_us, stored_bytes + attached_stored FROM patient WHERE id = ?1 AND {MAY_GO}"
    );
    let found = snapshot
        .connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![patient.row, now_us], old_patient)
                .optional()
        })
        .doing("looking at an old patient again")?;
    Ok(found.as_ref() == Some(patient))
}

/// Lets recycling spare the patients of instances, by tenant, SOP Instance UID and until when; says how many were found.
pub(crate) fn spare(
    transaction: &mut Transaction<'_>,
    instances: &[(i64, String, i64)],
) -> Result<u64, IndexError> {
    const DOING: &str = "sparing patients";
    let connection = transaction.connection;
    let mut found = 0;
    for (tenant, uid, until_us) in instances {
        let hash = transaction.hasher.text(*tenant, KeyKind::SopUid, uid);
        for id in candidates(connection, transaction.tail, hash)? {
            found += connection
                .prepare_cached(
                    "INSERT INTO spared (patient, until_us)
                     SELECT study.patient, ?4 FROM instance JOIN series ON series.id = instance.series
                         JOIN study ON study.id = series.study
                     WHERE instance.id = ?1 AND instance.tenant = ?2 AND sop_uid = ?3
                     ON CONFLICT (patient) DO UPDATE SET until_us = max(until_us, ?4)",
                )
                .and_then(|mut statement| statement.execute(params![id, tenant, uid, until_us]))
                .doing(DOING)? as u64;
        }
    }
    Ok(found)
}
