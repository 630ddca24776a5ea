//! Work on an archive that no server has open: `vna reindex`, and what a server would do as well.

use std::sync::Arc;

use serde::Serialize;
use vna_dicom::PublicId;
use vna_index::Page;
use vna_io::Disk;

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::ground::rebuild_index;
use crate::housekeeping::{CompactedPack, GivenUp, RecompressStep, ToRecompress};
use crate::settings::Settings;
use crate::undelete::{DeletedEntry, EraseReport, Erased, UndeleteReport};

/// Findings that a report names one by one; the rest is counted.
pub(crate) const MAX_NAMED: usize = 1000;

/// Called with how far the work is, and where it will end.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// What a rebuild of the index did.
#[derive(Debug, Serialize)]
pub struct ReindexReport {
    /// Log records applied.
    pub records: u64,
    /// Patients, studies, series and instances that the index then had.
    pub patients: u64,
    /// See `patients`.
    pub studies: u64,
    /// See `patients`.
    pub series: u64,
    /// See `patients`.
    pub instances: u64,
    /// Arrivals and attachments whose bytes a deletion had taken already.
    pub gone: u64,
    /// Records that could not be applied, each with its reason.
    pub skipped: Vec<String>,
}

/// Builds the index anew from the log alone (invariant 4 of ARCHITECTURE.md).
///
/// # Errors
///
/// [`ArchiveError::Locked`] while a server runs on the archive; what index and log say.
pub fn reindex(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<ReindexReport, ArchiveError> {
    let (replayed, held) = rebuild_index(disk, settings, progress)?;
    Ok(ReindexReport {
        records: replayed.records,
        patients: held.patients,
        studies: held.studies,
        series: held.series,
        instances: held.instances,
        gone: replayed.gone,
        skipped: replayed
            .skipped
            .iter()
            .take(MAX_NAMED)
            .map(ToString::to_string)
            .collect(),
    })
}

/// What was deleted and can be brought back.
///
/// # Errors
///
/// [`ArchiveError::Locked`] while a server runs on the archive; what index and log say.
pub fn deleted(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    tenant: i64,
    now_us: i64,
) -> Result<Vec<DeletedEntry>, ArchiveError> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let deleted = archive.deleted(tenant, now_us, Page::default());
    archive.stop()?;
    deleted
}

/// Brings back what was deleted of these resources.
///
/// # Errors
///
/// Those of [`deleted`] and of [`Archive::undelete`].
pub fn undelete(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    tenant: i64,
    ids: &[PublicId],
    now_us: i64,
) -> Result<UndeleteReport, Arc<ArchiveError>> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let report = archive.undelete(tenant, ids, now_us);
    archive.stop()?;
    report
}

/// Erases what deletions keep, and gives its space back as far as whole packs and large objects hold it.
///
/// # Errors
///
/// Those of [`deleted`] and of [`Archive::erase`].
pub fn erase(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    tenant: i64,
    what: &Erased,
    now_us: i64,
) -> Result<EraseReport, Arc<ArchiveError>> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let report = archive.erase(tenant, what, now_us);
    archive.stop()?;
    report
}

/// Recompresses stored files, step by step; `each` is told of every step.
///
/// # Errors
///
/// Those of [`deleted`], and what `each` returns. That a pack cannot be rewritten is part of its step.
pub fn recompress(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    wanted: &ToRecompress,
    now_us: i64,
    each: &mut dyn FnMut(&RecompressStep) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let mut wanted = wanted.clone();
    let done = loop {
        let step = archive.recompress(&wanted, now_us);
        let told = step.and_then(|step| each(&step).map(|()| step.next));
        match told {
            Ok(Some(next)) => wanted.after = next,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    archive.stop()?;
    done
}

/// What is held in the place of originals that were given up.
///
/// # Errors
///
/// Those of [`deleted`].
pub fn given_up(disk: &Arc<dyn Disk>, settings: &Settings) -> Result<GivenUp, ArchiveError> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let found = archive.given_up();
    archive.stop()?;
    found
}

/// Rewrites the packs of which less than `below_percent` is live; 100: all that hold dead bytes.
///
/// # Errors
///
/// Those of [`deleted`]. That a pack cannot be rewritten is no error but part of the report.
pub fn compact(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    below_percent: u64,
    now_us: i64,
) -> Result<Vec<CompactedPack>, ArchiveError> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let done = archive.compact(below_percent, now_us);
    archive.stop()?;
    done
}
