//! Whose the blobs are, when some of them are lost.

use super::answers::{BLOB_COLUMNS, blob};
use super::read::Snapshot;
use super::writer::{DELETED, LIVE};
use crate::error::Doing;
use crate::types::{BlobOwner, Origin, OwnerState};
use crate::{BlobRow, IndexError};
use rusqlite::Row;
use vna_dicom::PublicId;

const DOING: &str = "looking for the instances of blobs";

/// The instances whose blobs `is_wanted` names. No index leads from a blob to its instance: this reads all of them.
pub(crate) fn owners(
    snapshot: &Snapshot<'_>,
    is_wanted: &dyn Fn(&BlobRow) -> bool,
) -> Result<Vec<BlobOwner>, IndexError> {
    let mut statement = snapshot
        .connection
        .prepare(&format!(
            "SELECT {BLOB_COLUMNS}, instance.tenant, max(instance.state, series.state, study.state, patient.state),
                    instance.state, instance.public_id, sop_uid, series_uid, study_uid, issuer, way_in, calling_ae,
                    called_ae, address, user
             FROM instance JOIN blob ON blob.id = instance.blob JOIN series ON series.id = instance.series
                  JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
                  JOIN origin ON origin.id = instance.origin"
        ))
        .doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    let mut owners = Vec::new();
    while let Some(row) = rows.next().doing(DOING)? {
        let found = blob(row).doing(DOING)?;
        if is_wanted(&found) {
            owners.push(owner(row, found).doing(DOING)?);
        }
    }
    Ok(owners)
}

fn owner(row: &Row<'_>, blob: BlobRow) -> Result<BlobOwner, rusqlite::Error> {
    let (most, own): (i64, i64) = (row.get(10)?, row.get(11)?);
    Ok(BlobOwner {
        blob,
        tenant: row.get(9)?,
        state: match (most, own) {
            (DELETED, _) => OwnerState::Deleted,
            (_, LIVE) => OwnerState::Live,
            _ => OwnerState::Version,
        },
        public_id: PublicId(row.get(12)?),
        sop_instance_uid: row.get(13)?,
        series_instance_uid: row.get(14)?,
        study_instance_uid: row.get(15)?,
        issuer_of_patient_id: row.get(16)?,
        origin: Origin {
            way_in: row.get(17)?,
            calling_ae_title: row.get(18)?,
            called_ae_title: row.get(19)?,
            address: row.get(20)?,
            user: row.get(21)?,
        },
    })
}
