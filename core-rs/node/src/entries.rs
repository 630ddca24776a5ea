//! From log records to index entries and back: the store's words and the index's.

use vna_dicom::Instance;
use vna_index::{Arrival, BlobRow, Entry, FreedBlob, Outcome};
use vna_store::{BlobKey, BlobRef, Digest, Encoding, Lsn, Place};

use crate::arrival::ArrivalHeader;
use crate::error::ArchiveError;
use crate::recompress::file_bytes;

/// The store of a single-node archive.
pub(crate) const LOCAL_STORE: i64 = 0;

/// The column by which the index finds the blobs that are in a segment.
pub(crate) fn inline_column(segment: u64) -> i64 {
    Place::Segment { segment, offset: 0 }.to_columns().0
}

/// The column by which the index finds the blobs that have files of their own and their records in a segment.
pub(crate) fn file_column(segment: u64) -> i64 {
    Place::File { segment, offset: 0 }.to_columns().0
}

/// The entry of an arrival whose record has its position.
pub(crate) fn arrival_entry(
    lsn: Lsn,
    header: ArrivalHeader,
    mut instance: Instance,
    blob: &BlobRef,
) -> Entry {
    if !header.patient_issuers {
        // Clients compute public ids from PatientID and UIDs alone, so unless the operator wants issuers told
        // apart, the issuer is no part of the identity.
        instance.identity.issuer_of_patient_id.clear();
    }
    Entry::Arrival(Box::new(Arrival {
        lsn,
        tenant: header.tenant,
        instance,
        file_size: file_bytes(blob),
        blob: blob_row(blob),
        origin: header.origin,
        received_us: header.at_us,
        policy: header.duplicates.into(),
        keep_versions_us: header.keep_versions_us,
        derivation: header.derived_from.map(|from| Box::new(from.derivation())),
    }))
}

pub(crate) fn blob_row(blob: &BlobRef) -> BlobRow {
    let (place_a, place_b) = blob.place.to_columns();
    BlobRow {
        store: LOCAL_STORE,
        key: blob.key.0,
        place_a,
        place_b,
        stored_size: blob.stored_size,
        plain_size: blob.size,
        encoding: blob.encoding.0.into(),
        digest: blob.digest.0,
        availability: 0,
    }
}

/// Where the store has the blob of a row.
///
/// # Errors
///
/// [`ArchiveError::Row`] if the row's place is none that the store writes.
pub(crate) fn blob_ref(row: &BlobRow) -> Result<BlobRef, ArchiveError> {
    let bad_row = || ArchiveError::Row {
        place: (row.place_a, row.place_b),
    };
    let place = Place::from_columns(row.place_a, row.place_b).ok_or_else(bad_row)?;
    let encoding = u8::try_from(row.encoding).map_err(|_| bad_row())?;
    Ok(BlobRef {
        key: BlobKey(row.key),
        place,
        size: row.plain_size,
        digest: Digest(row.digest),
        encoding: Encoding(encoding),
        stored_size: row.stored_size,
    })
}

/// A blob that no row needs, as the store knows it.
///
/// # Errors
///
/// As [`blob_ref`].
pub(crate) fn freed_ref(freed: &FreedBlob) -> Result<BlobRef, ArchiveError> {
    blob_ref(&BlobRow {
        store: freed.store,
        key: freed.key,
        place_a: freed.place_a,
        place_b: freed.place_b,
        stored_size: freed.stored_size,
        ..BlobRow::default()
    })
}

/// The blob that an outcome leaves without a row.
pub(crate) fn freed_by(outcome: &Outcome) -> Option<FreedBlob> {
    match outcome {
        Outcome::AlreadyStored { freed, .. } => Some(freed.clone()),
        Outcome::Superseded { freed, .. }
        | Outcome::Noted { freed, .. }
        | Outcome::Unnoted { freed } => freed.clone(),
        Outcome::NotNoted { freed } | Outcome::NotRecorded { freed } => Some(freed.clone()),
        Outcome::Stored { .. }
        | Outcome::KeptAsVersion { .. }
        | Outcome::Deleted { .. }
        | Outcome::Erased { .. }
        | Outcome::Recorded
        | Outcome::NotFound => None,
    }
}
