//! `vna check`: everything that is stored is read and compared.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use vna_index::{BlobRow, IndexError};
use vna_io::Disk;
use vna_store::{BlobKey, Damage, Log, Place};

use crate::entries::{LOCAL_STORE, blob_ref};
use crate::error::ArchiveError;
use crate::ground::{Ground, lock, open_log};
use crate::housekeeping::live_keys;
use crate::offline::{MAX_NAMED, Progress};
use crate::replay::Replayed;
use crate::settings::Settings;

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
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
    pub(crate) fn problem(&mut self, text: String) {
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
/// but part of the report, also if it keeps index or log from being opened together.
pub fn check(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<CheckReport, ArchiveError> {
    let surveyed = Ground::open(disk, settings).and_then(|ground| {
        let replayed = ground.catch_up(&mut |_| {})?;
        Survey::take(&ground, &replayed, progress)
    });
    match surveyed {
        Ok(survey) => Ok(survey.report),
        Err(error) if needs_repair(&error) => {
            let mut report = CheckReport::default();
            report.problem(format!("{error} ({})", error.code()));
            let _lock = lock(&**disk, &settings.storage.root)?;
            let (log, _) = open_log(disk, settings, 0)?;
            let everything = |_: &BlobKey| true;
            let verified = verify(&log, &everything, &mut report, &mut Vec::new())?;
            (report.records, report.bytes) = verified;
            Ok(report)
        }
        Err(error) => Err(error),
    }
}

/// Whether index and log cannot be used together as they are, and something can be done about it.
pub(crate) fn needs_repair(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::LogTooShort { .. }
        | ArchiveError::IndexTooOld { .. }
        | ArchiveError::Row { .. } => true,
        ArchiveError::Index(error) => is_damage(error),
        _ => false,
    }
}

fn is_damage(error: &IndexError) -> bool {
    match error {
        IndexError::Corrupt { .. }
        | IndexError::Missing { .. }
        | IndexError::BadRow { .. }
        | IndexError::LsnOrder { .. }
        | IndexError::OutOfRange { .. } => true,
        IndexError::Engine { .. } => !error.may_pass(),
        IndexError::SchemaTooNew { .. }
        | IndexError::EmptyUid { .. }
        | IndexError::BadQuery { .. }
        | IndexError::Deadline
        | IndexError::Full
        | IndexError::Io { .. }
        | IndexError::Broken => false,
    }
}

/// A row that leads to no blob.
#[derive(Debug)]
pub(crate) struct BadRow {
    pub blob: BlobRow,
    pub reason: String,
}

/// What is wrong with an archive whose index and log are open.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub report: CheckReport,
    /// The index contradicts itself.
    pub is_index_unsound: bool,
    pub bad_rows: Vec<BadRow>,
    /// All damage to the log, of what nobody needs any more as well.
    pub damages: Vec<Damage>,
    /// The blobs that rows need.
    pub live: HashSet<BlobKey>,
}

impl Survey {
    /// Looks at everything.
    pub fn take(
        ground: &Ground,
        replayed: &Replayed,
        progress: Progress<'_>,
    ) -> Result<Self, ArchiveError> {
        let mut survey = Self::default();
        for skipped in &replayed.skipped {
            survey.report.problem(skipped.to_string());
        }
        for name in &ground.recovery.quarantined {
            let problem = format!("segment without a readable header, moved to quarantine/{name}");
            survey.report.problem(problem);
        }
        for problem in ground.index.verify()? {
            survey.is_index_unsound = true;
            survey.report.problem(format!("index: {problem}"));
        }
        let columns = ground.index.live_by_unit(LOCAL_STORE)?;
        for (done, (column, _, _)) in (0..).zip(&columns) {
            progress(done, columns.len() as u64);
            survey.rows(ground, *column)?;
        }
        for info in ground.log.segments() {
            survey.live.extend(live_keys(&*ground.index, info.segment)?);
        }
        let Self {
            report,
            damages,
            live,
            ..
        } = &mut survey;
        let verified = verify(&ground.log, &|key| live.contains(key), report, damages)?;
        (report.records, report.bytes) = verified;
        progress(columns.len() as u64, columns.len() as u64);
        Ok(survey)
    }

    /// Every row must find its blob, also one that points into a segment that is not there.
    fn rows(&mut self, ground: &Ground, column: i64) -> Result<(), ArchiveError> {
        for blob in ground.index.blobs_in(LOCAL_STORE, column)? {
            self.report.rows += 1;
            let found = blob_ref(&blob)?;
            let opened = ground.log.open_blob(&found);
            let opened = match found.place {
                // A file of its own is opened without its record, which a rebuild needs all the same.
                Place::File { .. } => opened.and_then(|_| ground.log.check_record(&found)),
                Place::Segment { .. } => opened.map(|_| ()),
            };
            if let Err(error) = opened {
                let reason = error.to_string();
                let problem = format!("a row points at a blob that is not there: {reason}");
                self.report.problem(problem);
                self.bad_rows.push(BadRow { blob, reason });
            }
        }
        Ok(())
    }
}

fn verify(
    log: &Log,
    is_live: &dyn Fn(&BlobKey) -> bool,
    report: &mut CheckReport,
    damages: &mut Vec<Damage>,
) -> Result<(u64, u64), ArchiveError> {
    let verified = log.verify(is_live, |finding| -> Result<(), ArchiveError> {
        match finding.is_live {
            true => report.problem(format!("{} ({})", finding.damage, finding.damage.code())),
            false => report.harmless += 1,
        }
        damages.push(finding.damage);
        Ok(())
    })?;
    Ok((verified.records, verified.bytes))
}
