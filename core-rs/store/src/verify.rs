//! Reading everything, to find damage before somebody needs what is damaged.

use parking_lot::Mutex;

use crate::error::{Damage, DamageKind, StoreError};
use crate::format::{FIRST_RECORD, Holds};
use crate::read::BlobReader;
use crate::replay::{damage_of, load_entries, walk};
use crate::scan::Reader;
use crate::segments::Segment;
use crate::shared::Shared;
use crate::types::BlobKey;

/// Something wrong with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, and where.
    pub damage: Damage,
    /// Whether a wanted blob is concerned; damage to the others costs nothing.
    pub is_live: bool,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Bytes of blobs.
    pub bytes: u64,
    /// Findings.
    pub findings: u64,
}

pub fn verify<E: From<StoreError>>(
    shared: &Shared,
    maintenance: &Mutex<()>,
    is_live: &dyn Fn(&BlobKey) -> bool,
    mut each: impl FnMut(Finding) -> Result<(), E>,
) -> Result<Verified, E> {
    let mut verified = Verified::default();
    walk(shared, maintenance, 1, |segment, _| {
        let damages = verify_segment(shared, segment, is_live, &mut verified)?;
        for damage in damages {
            // Where the key is not known, it may be a wanted one.
            let is_live = damage.key.is_none_or(|key| is_live(&key));
            verified.findings += 1;
            each(Finding { damage, is_live })?;
        }
        Ok::<(), E>(())
    })?;
    Ok(verified)
}

fn verify_segment(
    shared: &Shared,
    segment: &Segment,
    is_live: &dyn Fn(&BlobKey) -> bool,
    verified: &mut Verified,
) -> Result<Vec<Damage>, StoreError> {
    let (entries, mut damages) = load_entries(shared, segment)?;
    let file = shared.segment_file(segment)?;
    let mut reader = Reader::new(&*file);
    // Where the next record starts; `None` if only the index knows.
    let mut expected = damages.is_empty().then_some(FIRST_RECORD);
    for entry in &entries {
        if let Some(offset) = expected.filter(|expected| *expected != entry.offset) {
            let kind = DamageKind::Unreadable {
                until: entry.offset,
            };
            let (lsn, key) = (None, None);
            damages.push(Damage {
                segment: segment.id(),
                offset,
                lsn,
                key,
                kind,
            });
        }
        verified.records += 1;
        let record = reader.record(&segment.header.salt, entry.offset, 0)?;
        let Some((header, _)) = record.ok().filter(|(header, _)| header.lsn == entry.lsn) else {
            damages.push(damage_of(segment, entry, DamageKind::Header));
            expected = None;
            continue;
        };
        expected = Some(entry.offset + header.record_bytes());
        if entry.holds == Holds::Blob {
            verified.bytes += header.body_bytes;
            let digest = reader.digest(entry.offset + header.body_at(), header.body_bytes)?;
            if digest != Some(header.stored_digest()) {
                let is_short = digest.is_none();
                let kind = if is_short {
                    DamageKind::Truncated
                } else {
                    DamageKind::Body
                };
                damages.push(damage_of(segment, entry, kind));
            }
        }
        let blob = header.blob(segment.id(), entry.offset);
        if let Some(blob) = blob.filter(|_| entry.holds == Holds::File && is_live(&entry.key)) {
            verified.bytes += blob.stored_size;
            let digest = header.stored_digest();
            let opened = BlobReader::open(shared, &blob);
            match opened.and_then(|file| file.with_digest(digest).verify()) {
                Ok(()) => {}
                Err(StoreError::Damaged(damage)) => {
                    damages.push(damage_of(segment, entry, damage.kind));
                }
                Err(StoreError::Gone { .. }) => {
                    damages.push(damage_of(segment, entry, DamageKind::FileMissing));
                }
                Err(error) => return Err(error),
            }
        }
    }
    if let Some(offset) = expected.filter(|expected| *expected < segment.end()) {
        // The pack was cut short, and sealed where its successor says that it ended.
        let kind = DamageKind::Unreadable {
            until: segment.end(),
        };
        let (lsn, key) = (None, None);
        damages.push(Damage {
            segment: segment.id(),
            offset,
            lsn,
            key,
            kind,
        });
    }
    Ok(damages)
}
