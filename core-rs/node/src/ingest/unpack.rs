//! From the entries of a ZIP archive to the committer.

use std::ops::Range;
use std::sync::Arc;

use super::error::UploadError;
use super::item::{Item, Packed};
use super::object::Ingest;
use super::pending::Entry;
use super::zip::Zip;
use crate::error::ArchiveError;

/// What the entries of an archive may be besides DICOM: archives in archives are how bombs are built.
const IN_ARCHIVE: Packed = Packed {
    gzip: true,
    zip: false,
    zlib: false,
};

/// Refuses an archive whose directory says that it has more than an upload may.
pub(super) fn check_bounds(ingest: &Ingest, zip: &Zip) -> Result<(), UploadError> {
    let limit = ingest.bounds().max_unpacked_bytes;
    match zip.unpacked_bytes() > limit {
        true => Err(UploadError::UnpackedBytes { limit }),
        false => Ok(()),
    }
}

/// Stores entries of an archive; their numbers begin with `first`.
///
/// # Errors
///
/// What ends the whole upload. What is wrong with one entry is told of that entry.
pub(super) fn unpack(
    ingest: &Arc<Ingest>,
    zip: &Zip,
    range: Range<usize>,
    first: u64,
) -> Result<(), Arc<ArchiveError>> {
    for number in range {
        ingest.pending.check()?;
        let mut entry = Entry {
            number: first + number as u64,
            ..Entry::default()
        };
        let stored = store(ingest, zip, number, &mut entry);
        if let Err(error) = stored {
            ingest.pending.refuse(entry, error)?;
        }
    }
    Ok(())
}

fn store(
    ingest: &Arc<Ingest>,
    zip: &Zip,
    number: usize,
    entry: &mut Entry,
) -> Result<(), ArchiveError> {
    entry.name = zip.name(number)?;
    if zip.is_folder(number)? {
        return Ok(());
    }
    let mut item = Item::new(ingest, entry.clone(), IN_ARCHIVE);
    zip.read(number, ingest.bounds().max_ratio, &mut |bytes, packed| {
        item.push(bytes, packed)
    })?;
    item.finish_object()
}
