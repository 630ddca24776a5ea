//! Work on an archive that no server has open: `vna reindex`, `vna check`, and what a server would do as well.

use std::sync::Arc;

use serde::Serialize;
use vna_dicom::PublicId;
use vna_index::Page;
use vna_io::Disk;
use vna_store::Log;

use crate::archive::{Archive, DEFAULT_TENANT};
use crate::entries::{LOCAL_STORE, blob_ref, file_column, inline_column};
use crate::error::ArchiveError;
use crate::ground::{Ground, rebuild_index};
use crate::housekeeping::{CompactedPack, live_keys};
use crate::settings::Settings;
use crate::undelete::{DeletedEntry, EraseReport, Erased, UndeleteReport};

/// Findings that a report names one by one; the rest is counted.
const MAX_NAMED: usize = 1000;

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
    /// Arrivals whose bytes a deletion had taken already.
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
            .map(|skipped| format!("log record {}: {}", skipped.lsn, skipped.reason))
            .collect(),
    })
}

/// What a check found.
#[derive(Debug, Default, Serialize)]
pub struct CheckReport {
    /// Log records read.
    pub records: u64,
    /// Bytes compared with their digests.
    pub bytes: u64,
    /// Rows compared with the log.
    pub rows: u64,
    /// What is wrong with stored instances.
    pub problems: Vec<String>,
    /// Damage to bytes that nobody needs any more.
    pub harmless: u64,
    /// Problems beyond those that are named.
    pub unnamed: u64,
}

impl CheckReport {
    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_NAMED {
            self.problems.push(text);
        } else {
            self.unnamed += 1;
        }
    }
}

/// Reads every stored byte and compares it with its digest, every row with the log, and the index with itself.
///
/// # Errors
///
/// [`ArchiveError::Locked`] while a server runs on the archive; what index and log say. Damage is no error
/// but part of the report.
pub fn check(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<CheckReport, ArchiveError> {
    let ground = Ground::open(disk, settings)?;
    let replayed = ground.catch_up(&mut |_| {})?;
    let mut report = CheckReport::default();
    for skipped in &replayed.skipped {
        report.problem(format!("log record {}: {}", skipped.lsn, skipped.reason));
    }
    for problem in ground.index.verify()? {
        report.problem(format!("index: {problem}"));
    }
    let segments = ground.log.segments();
    let mut live = std::collections::HashSet::new();
    for (done, info) in (0..).zip(&segments) {
        progress(done, segments.len() as u64);
        check_rows(&ground, info.segment, &mut report)?;
        live.extend(live_keys(&*ground.index, info.segment)?);
    }
    let verified = verify(&ground.log, &|key| live.contains(key), &mut report)?;
    progress(segments.len() as u64, segments.len() as u64);
    (report.records, report.bytes) = verified;
    Ok(report)
}

fn verify(
    log: &Log,
    is_live: &dyn Fn(&vna_store::BlobKey) -> bool,
    report: &mut CheckReport,
) -> Result<(u64, u64), ArchiveError> {
    let verified = log.verify(is_live, |finding| -> Result<(), ArchiveError> {
        match finding.is_live {
            true => report.problem(format!("{} ({})", finding.damage, finding.damage.code())),
            false => report.harmless += 1,
        }
        Ok(())
    })?;
    Ok((verified.records, verified.bytes))
}

/// Every row that points into a segment must find its blob there.
fn check_rows(ground: &Ground, segment: u64, report: &mut CheckReport) -> Result<(), ArchiveError> {
    for column in [inline_column(segment), file_column(segment)] {
        for row in ground.index.blobs_in(LOCAL_STORE, column)? {
            report.rows += 1;
            if let Err(error) = ground.log.open_blob(&blob_ref(&row)?) {
                report.problem(format!("a row points at a blob that is not there: {error}"));
            }
        }
    }
    Ok(())
}

/// What was deleted and can be brought back.
///
/// # Errors
///
/// [`ArchiveError::Locked`] while a server runs on the archive; what index and log say.
pub fn deleted(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    now_us: i64,
) -> Result<Vec<DeletedEntry>, ArchiveError> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let deleted = archive.deleted(DEFAULT_TENANT, now_us, Page::default());
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
    ids: &[PublicId],
    now_us: i64,
) -> Result<UndeleteReport, Arc<ArchiveError>> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let report = archive.undelete(DEFAULT_TENANT, ids, now_us);
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
    what: &Erased,
    now_us: i64,
) -> Result<EraseReport, Arc<ArchiveError>> {
    let archive = Archive::open(Arc::clone(disk), settings.clone())?;
    let report = archive.erase(DEFAULT_TENANT, what, now_us);
    archive.stop()?;
    report
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
