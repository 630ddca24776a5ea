//! `vna check --repair`: what is wrong is mended as far as that loses nothing.
//!
//! 1. Nothing is removed or rewritten before what it held is durable elsewhere: damaged bytes and an index that is to be
//!    replaced are copied to `log/quarantine/` first, where nothing reclaims them.
//! 2. An instance is given up only if [`RepairOptions::accept_loss`] says so, by a deletion in the log like any other, and
//!    is told by its UIDs in every case.
//! 3. Cut off anywhere, the archive is as good as before, and the same repair again does the rest.

mod notes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use vna_dicom::Level;
use vna_index::{BlobOwner, BlobRow, OwnerState, RecordedNote, moment};
use vna_io::{Disk, Open, SyncSite};
use vna_store::{
    BlobKey, BlobRef, Body, Damage, DamageKind, Log, Lsn, NewRecord, Place, RecordKind,
    Replayed as FromLog, StoreError,
};

use crate::arrival::{ArrivalHeader, DeletionHeader, Duplicates};
use crate::check::{BadRow, Survey, needs_repair};
use crate::entries::{LOCAL_STORE, blob_ref, file_column, inline_column};
use crate::error::ArchiveError;
use crate::ground::{
    Ground, INDEX_FILE, INDEX_FOLDER, LOG_FOLDER, lock, open_index, open_log, rebuild_index,
};
use crate::housekeeping::{Keeper, relocate};
use crate::notes::directly;
use crate::offline::{MAX_NAMED, Progress};
use crate::settings::Settings;
use crate::stored_file::StoredFiles;
use crate::undelete::copy_large;

/// The bytes of an index that is to be replaced, and of a report.
const SYNC_COPY: SyncSite = SyncSite("repair.copy");
/// Their names.
const SYNC_COPY_NAME: SyncSite = SyncSite("repair.copy_name");

/// What is copied at once, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// What may be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairOptions {
    /// Nothing: only say what would be done.
    pub dry_run: bool,
    /// Go on without instances whose bytes are lost.
    pub accept_loss: bool,
}

/// An instance whose bytes are lost, or a part of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostInstance {
    /// Its public id.
    pub id: String,
    /// (0008,0018).
    pub sop_instance_uid: String,
    /// (0020,000E).
    pub series_instance_uid: String,
    /// (0020,000D).
    pub study_instance_uid: String,
    /// `live`, `version` (kept for a while) or `deleted` (and could be brought back).
    pub state: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// The copy of what is left, below the log's folder.
    pub set_aside: Option<String>,
    /// Whether the archive goes on without it.
    pub given_up: bool,
}

/// What was found and done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RepairReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// What was found, as a check tells it.
    pub problems: Vec<String>,
    /// Problems beyond those that are named.
    pub unnamed: u64,
    /// What was done; after a dry run, what would be.
    pub done: Vec<String>,
    /// What is still wrong, and why.
    pub left: Vec<String>,
    /// Instances whose bytes are lost.
    pub lost: Vec<LostInstance>,
    /// Where this report is kept.
    pub report: Option<PathBuf>,
}

/// Mends an archive that no server has open.
///
/// # Errors
///
/// [`ArchiveError::Locked`] while a server runs on the archive; what index and log say that no repair helps against.
pub fn repair(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    options: RepairOptions,
    now_us: i64,
    progress: Progress<'_>,
) -> Result<RepairReport, ArchiveError> {
    let mut repair = Repair {
        disk,
        settings,
        options,
        now_us,
        report: RepairReport {
            dry_run: options.dry_run,
            ..RepairReport::default()
        },
        is_deed_lost: false,
    };
    repair.run(progress)?;
    repair.keep_report()?;
    Ok(repair.report)
}

struct Repair<'a> {
    disk: &'a Arc<dyn Disk>,
    settings: &'a Settings,
    options: RepairOptions,
    now_us: i64,
    report: RepairReport,
    /// The record of a deletion may be among what cannot be read.
    is_deed_lost: bool,
}

/// What is to become of the instances that are concerned.
#[derive(Default)]
struct Plan {
    /// Live, and only their record is damaged: they are stored again.
    to_restore: Vec<BlobOwner>,
    /// Live and lost.
    to_give_up: Vec<BlobOwner>,
    /// Notes whose records are damaged or gone.
    notes: Vec<RecordedNote>,
    /// The log has what rows point past.
    is_contradicted: bool,
}

/// Damaged pieces, each with the name of its copy.
#[derive(Default)]
struct Asides(Vec<(Damage, String)>);

impl Asides {
    /// The copy of what a row points at.
    fn of(&self, blob: &BlobRow) -> Option<String> {
        let place = Place::from_columns(blob.place_a, blob.place_b)?;
        let is_it = |damage: &Damage| {
            let is_around = match damage.kind {
                DamageKind::Unreadable { until } => {
                    (damage.offset..until).contains(&place.offset())
                }
                _ => false,
            };
            damage.key == Some(BlobKey(blob.key)) || damage.segment == place.segment() && is_around
        };
        let found = self.0.iter().find(|(damage, _)| is_it(damage));
        found.map(|(_, name)| name.clone())
    }
}

impl Repair<'_> {
    fn run(&mut self, progress: Progress<'_>) -> Result<(), ArchiveError> {
        let (ground, survey) = match self.survey(progress) {
            Ok(found) => found,
            Err(error) if needs_repair(&error) => {
                let problem = format!("{error} ({})", error.code());
                self.report.problems.push(problem);
                let is_mended = match error {
                    ArchiveError::LogTooShort { covered, .. } => self.without_the_end(covered)?,
                    _ => self.rebuild("it cannot be used")?,
                };
                if !is_mended {
                    return Ok(());
                }
                self.survey(progress)?
            }
            Err(error) => return Err(error),
        };
        self.mend(ground, survey)
    }

    fn survey(&self, progress: Progress<'_>) -> Result<(Ground, Survey), ArchiveError> {
        let ground = Ground::open(self.disk, self.settings)?;
        let replayed = ground.catch_up(&mut |_| {})?;
        let survey = Survey::take(&ground, &replayed, progress)?;
        Ok((ground, survey))
    }

    /// Says that something was or would be done, and whether to do it.
    fn does(&mut self, what: String) -> bool {
        self.report.done.push(what);
        !self.options.dry_run
    }

    /// The log ends before what the index covers. Goes on behind it, if that loses nothing or may; false if not.
    fn without_the_end(&mut self, covered: Lsn) -> Result<bool, ArchiveError> {
        let _lock = lock(&**self.disk, &self.settings.storage.root)?;
        let index = open_index(self.disk, self.settings)?;
        let (log, _) = open_log(self.disk, self.settings, covered)?;
        let mut gone = HashMap::new();
        for (column, _, _) in index.live_by_unit(LOCAL_STORE)? {
            for row in index.blobs_in(LOCAL_STORE, column)? {
                if let Err(error) = find(&log, &row) {
                    gone.insert(BlobKey(row.key), error.to_string());
                }
            }
        }
        let owners = index.owners(&|row| gone.contains_key(&BlobKey(row.key)))?;
        let files = Arc::new(StoredFiles::new(Arc::clone(&log), self.settings));
        let plan = self.sort(&files, owners, &gone, &Asides::default())?;
        if !plan.to_give_up.is_empty() && !self.options.accept_loss {
            self.report.left.push(format!(
                "the end of the log is missing, and with it {}: bring it back from a copy, or go on without \
                 with --accept-loss",
                counted(plan.to_give_up.len())
            ));
            return Ok(false);
        }
        if !self.does(format!("the log goes on behind record {covered}")) {
            return Ok(false);
        }
        for info in log.segments().iter().filter(|info| !info.is_sealed) {
            let (lsn, key, until) = (None, None, u64::MAX);
            self.set_aside(
                &log,
                &[Damage {
                    segment: info.segment,
                    offset: info.bytes,
                    lsn,
                    key,
                    kind: DamageKind::Unreadable { until },
                }],
            )?;
        }
        // Positions that were given away stay so, since the numbers of changes follow from them (invariant 5).
        let header = format!("{{\"at_us\":{},\"repaired\":true}}", self.now_us);
        log.append(&[NewRecord {
            kind: RecordKind::REMARK,
            header: header.as_bytes(),
            body: Body::None,
        }])?;
        self.restore(&files, &plan.to_restore)?;
        let notes = index.note_owners(&|row| gone.contains_key(&BlobKey(row.key)))?;
        self.restore_notes(&files, notes)?;
        // Those that are lost are told once, when the archive is open.
        self.report.lost.clear();
        self.is_deed_lost = true;
        Ok(true)
    }

    /// Copies the index aside and builds it anew; false if this is a dry run.
    fn rebuild(&mut self, why: &str) -> Result<bool, ArchiveError> {
        let folder = self.quarantine();
        let folder = folder.join(format!("index-{}", moment(self.now_us)));
        let what = format!(
            "the index is built anew from the log, since {why}; the old one is kept in {}",
            folder.display()
        );
        if !self.does(what) {
            return Ok(false);
        }
        let index = self.settings.storage.root.join(INDEX_FOLDER);
        for suffix in ["", "-wal", "-journal"] {
            let name = format!("{INDEX_FILE}{suffix}");
            if self.exists(&index.join(&name))? {
                self.copy(&index.join(&name), &folder, &name)?; // (1)
            }
        }
        let (replayed, _) = rebuild_index(self.disk, self.settings, &mut |_, _| {})?;
        for skipped in &replayed.skipped {
            self.report.problems.push(skipped.to_string());
        }
        Ok(true)
    }

    fn mend(&mut self, ground: Ground, survey: Survey) -> Result<(), ArchiveError> {
        let Survey {
            report,
            is_index_unsound,
            bad_rows,
            damages,
            live,
        } = survey;
        self.report.problems.extend(report.problems);
        self.report.unnamed += report.unnamed;
        let asides = self.set_aside(&ground.log, &damages)?;
        let plan = self.plan(&ground, &bad_rows, &damages, &live, &asides)?;
        self.is_deed_lost |= is_pack_gone(&ground, &bad_rows)?;
        self.restore(&ground.files, &plan.to_restore)?;
        self.restore_notes(&ground.files, plan.notes)?;
        self.give_up(&ground.log, &plan.to_give_up)?;
        let is_lossy = !plan.to_give_up.is_empty() && !self.options.accept_loss;
        if !is_index_unsound && !plan.is_contradicted {
            return self.mend_packs(&ground, &damages);
        }
        if is_lossy {
            self.report.left.push(
                "the index contradicts itself or the log; it is not built anew, since lost instances would vanish with it"
                    .into(),
            );
            return self.mend_packs(&ground, &damages);
        }
        drop(ground);
        if !self.rebuild("it contradicts itself or the log")? {
            return Ok(());
        }
        let ground = Ground::open(self.disk, self.settings)?;
        self.mend_packs(&ground, &damages)
    }

    /// Copies what is damaged: (1).
    fn set_aside(&mut self, log: &Log, damages: &[Damage]) -> Result<Asides, ArchiveError> {
        let mut asides = Asides::default();
        for damage in damages.iter().filter(|_| !self.options.dry_run) {
            let Some(aside) = log.set_aside(damage)? else {
                continue;
            };
            self.report.done.push(format!(
                "{} bytes of segment {:016x} at offset {} are kept as {LOG_FOLDER}/{}",
                aside.bytes, damage.segment, damage.offset, aside.name
            ));
            asides.0.push((*damage, aside.name));
        }
        Ok(asides)
    }

    fn plan(
        &mut self,
        ground: &Ground,
        bad_rows: &[BadRow],
        damages: &[Damage],
        live: &HashSet<BlobKey>,
        asides: &Asides,
    ) -> Result<Plan, ArchiveError> {
        let mut reasons: HashMap<BlobKey, String> = HashMap::new();
        for damage in damages {
            let key = damage.key.filter(|key| live.contains(key));
            reasons.extend(key.map(|key| (key, damage.to_string())));
        }
        for row in bad_rows {
            let key = BlobKey(row.blob.key);
            reasons.entry(key).or_insert_with(|| row.reason.clone());
        }
        if reasons.is_empty() {
            return Ok(Plan::default());
        }
        let elsewhere = found_in_log(ground, bad_rows)?;
        let is_concerned = |row: &BlobRow| reasons.contains_key(&BlobKey(row.key));
        let mut owners = ground.index.owners(&is_concerned)?;
        let concerned = owners.len();
        owners.retain(|owner| !elsewhere.contains(&BlobKey(owner.blob.key)));
        let is_contradicted = owners.len() < concerned;
        let is_lost = |row: &BlobRow| is_concerned(row) && !elsewhere.contains(&BlobKey(row.key));
        let notes = ground.index.note_owners(&is_lost)?;
        let misled = ground.index.note_owners(&is_concerned)?.len() - notes.len();
        let plan = self.sort(&ground.files, owners, &reasons, asides)?;
        Ok(Plan {
            notes,
            // An event whose record is damaged leaves the feed with the index that knows it.
            is_contradicted: is_contradicted
                || misled > 0
                || ground.index.has_told(&is_concerned)?,
            ..plan
        })
    }

    /// Sorts instances whose blobs are not where they should be, and tells of those that are lost.
    fn sort(
        &mut self,
        files: &Arc<StoredFiles>,
        owners: Vec<BlobOwner>,
        reasons: &HashMap<BlobKey, String>,
        asides: &Asides,
    ) -> Result<Plan, ArchiveError> {
        let mut plan = Plan::default();
        for owner in owners {
            let is_live = owner.state == OwnerState::Live;
            if is_live && is_whole(files, &blob_ref(&owner.blob)?)? {
                plan.to_restore.push(owner);
                continue;
            }
            self.report.lost.push(LostInstance {
                id: owner.public_id.to_string(),
                sop_instance_uid: owner.sop_instance_uid.clone(),
                series_instance_uid: owner.series_instance_uid.clone(),
                study_instance_uid: owner.study_instance_uid.clone(),
                state: match owner.state {
                    OwnerState::Live => "live",
                    OwnerState::Version => "version",
                    OwnerState::Deleted => "deleted",
                },
                reason: reasons
                    .get(&BlobKey(owner.blob.key))
                    .cloned()
                    .unwrap_or_default(),
                set_aside: asides.of(&owner.blob),
                given_up: false,
            });
            if is_live {
                plan.to_give_up.push(owner);
            }
        }
        Ok(plan)
    }

    /// Stores instances again, in place of the rows that lead to damaged records.
    fn restore(
        &mut self,
        files: &Arc<StoredFiles>,
        owners: &[BlobOwner],
    ) -> Result<(), ArchiveError> {
        let what = "of which only the record is damaged: stored again";
        if owners.is_empty() || !self.does(format!("{} {what}", counted(owners.len()))) {
            return Ok(());
        }
        for owner in owners {
            let header = ArrivalHeader {
                tenant: owner.tenant,
                at_us: self.now_us,
                origin: owner.origin.clone(),
                // In the place of the same bytes.
                duplicates: Duplicates::Always,
                patient_issuers: !owner.issuer_of_patient_id.is_empty(),
                keep_versions_us: 0,
                derived_from: None, // what is noted of it stays
            };
            append_again(files, &blob_ref(&owner.blob)?, &header.to_bytes())?;
        }
        Ok(())
    }

    /// Deletes lost instances, if that is accepted: (2).
    fn give_up(&mut self, log: &Log, owners: &[BlobOwner]) -> Result<(), ArchiveError> {
        if owners.is_empty() {
            return Ok(());
        }
        if !self.options.accept_loss {
            self.report.left.push(format!(
                "{} lost: to be stored again from the source or a copy, or given up with \
                 --accept-loss",
                counted(owners.len())
            ));
            return Ok(());
        }
        if !self.does(format!(
            "{} lost and given up: deleted",
            counted(owners.len())
        )) {
            return Ok(());
        }
        for owner in owners {
            let header = DeletionHeader {
                tenant: owner.tenant,
                at_us: self.now_us,
                level: Level::Instance.as_str().to_owned(),
                public_id: owner.public_id.to_string(),
                keep_us: 0, // nothing is there to be brought back
            };
            log.append(&[NewRecord {
                kind: RecordKind::DELETE,
                header: &header.to_bytes(),
                body: Body::None,
            }])?;
        }
        for lost in &mut self.report.lost {
            lost.given_up |= lost.state == "live";
        }
        Ok(())
    }

    /// Lets the index take what was appended, then writes packs again without what cannot be read.
    fn mend_packs(&mut self, ground: &Ground, damages: &[Damage]) -> Result<(), ArchiveError> {
        self.is_deed_lost |= damages.iter().any(may_be_a_deed);
        if self.options.dry_run {
            self.mend_packs_dry(damages);
            return Ok(());
        }
        ground.catch_up(&mut |_| {})?;
        let (files, index) = (Arc::clone(&ground.files), Arc::clone(&ground.index));
        let recorder = directly(Arc::clone(&ground.log), Arc::clone(&index));
        let keeper = Keeper::new(files, index, Arc::default(), recorder);
        keeper.expire(self.now_us)?;
        keeper.tidy(self.now_us)?; // the rows of what was given up
        for segment in segments_of(damages) {
            self.mend_pack(ground, segment, damages)?;
        }
        if self.is_deed_lost {
            self.make_deletions_final(&keeper)?;
        }
        ground.index.checkpoint()?;
        Ok(())
    }

    fn mend_packs_dry(&mut self, damages: &[Damage]) {
        for segment in segments_of(damages) {
            let count = damages.iter().filter(|d| d.segment == segment).count();
            self.report.done.push(format!(
                "{count} damaged pieces of segment {segment:016x} are set aside, and if nothing needs them, the rest \
                 is written again"
            ));
        }
    }

    fn mend_pack(
        &mut self,
        ground: &Ground,
        segment: u64,
        damages: &[Damage],
    ) -> Result<(), ArchiveError> {
        let info = |log: &Log| log.segments().into_iter().find(|i| i.segment == segment);
        let in_pack = damages_of_records(ground, segment, damages)?;
        let Some(found) = info(&ground.log).filter(|_| !in_pack.is_empty()) else {
            return Ok(()); // nothing of it was needed any more, or only files of their own are damaged
        };
        let needed = unreadable_rows(ground, segment, &in_pack)?;
        if needed > 0 {
            self.report.left.push(format!(
                "segment {segment:016x} is left as it is, for it holds {needed} instances or attachments lost and not \
                 given up"
            ));
            return Ok(());
        }
        if !found.is_sealed {
            ground.log.rotate()?;
        }
        ground.index.checkpoint()?;
        let (covered, index) = (ground.index.covered_lsn(), &*ground.index);
        let mended = ground.log.mend(segment, covered, &mut |moved| {
            relocate(index, &ground.files, moved)
        })?;
        self.report.done.push(format!(
            "segment {segment:016x} is written again without what cannot be read: {} records, {} bytes",
            mended.records, mended.bytes_after
        ));
        Ok(())
    }

    /// A deletion that cannot be read would be missing when the index is built anew: what it deleted is reclaimed now.
    fn make_deletions_final(&mut self, keeper: &Keeper) -> Result<(), ArchiveError> {
        self.report.done.push(
            "packs are rewritten without what was deleted, since the record of a deletion may be lost"
                .into(),
        );
        for pack in keeper.compact_now(100, self.now_us)? {
            if let Some(problem) = pack.problem {
                let left = format!("pack {} could not be rewritten: {problem}", pack.pack);
                self.report.left.push(left);
            }
        }
        Ok(())
    }

    fn quarantine(&self) -> PathBuf {
        self.settings
            .storage
            .root
            .join(LOG_FOLDER)
            .join("quarantine")
    }

    /// Keeps what was found and done beside what was set aside.
    fn keep_report(&mut self) -> Result<(), ArchiveError> {
        let report = &mut self.report;
        for texts in [&mut report.problems, &mut report.done, &mut report.left] {
            report.unnamed += texts.len().saturating_sub(MAX_NAMED) as u64;
            texts.truncate(MAX_NAMED);
        }
        if self.options.dry_run || self.report.problems.is_empty() && self.report.done.is_empty() {
            return Ok(());
        }
        let name = format!("repair-{}.json", moment(self.now_us));
        let folder = self.quarantine();
        self.report.report = Some(folder.join(&name));
        let json = serde_json::to_vec_pretty(&self.report).unwrap_or_default();
        self.write(&folder, &name, &mut |at, buffer: &mut Vec<u8>| {
            let rest = usize::try_from(at).ok().and_then(|at| json.get(at..));
            buffer.extend_from_slice(rest.unwrap_or_default());
            Ok(())
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, ArchiveError> {
        self.disk
            .exists(path)
            .map_err(io_error("looking for the index"))
    }

    fn copy(&self, from: &Path, folder: &Path, name: &str) -> Result<(), ArchiveError> {
        let source = self
            .disk
            .open(from, Open::Read)
            .map_err(io_error("reading the old index"))?;
        self.write(folder, name, &mut |at, buffer| {
            buffer.resize(CHUNK_BYTES, 0);
            let read = source.read_at(buffer, at)?;
            buffer.truncate(read);
            Ok(())
        })
    }

    /// Writes a file durably; `next` gives the bytes from an offset on, none at the end.
    fn write(
        &self,
        folder: &Path,
        name: &str,
        next: &mut dyn FnMut(u64, &mut Vec<u8>) -> std::io::Result<()>,
    ) -> Result<(), ArchiveError> {
        let written = (|| {
            self.disk.create_dir_all(folder)?;
            let target = self.disk.open(&folder.join(name), Open::Create)?;
            target.set_len(0)?;
            let (mut at, mut buffer) = (0, Vec::new());
            loop {
                buffer.clear();
                next(at, &mut buffer)?;
                if buffer.is_empty() {
                    break;
                }
                target.write_all_at(&[IoSlice::new(&buffer)], at)?;
                at += buffer.len() as u64;
            }
            target.sync_data(SYNC_COPY)?;
            self.disk.sync_dir(folder, SYNC_COPY_NAME)
        })();
        written.map_err(io_error("keeping a copy in the quarantine"))
    }
}

/// Whether the bytes of a blob are good, though its record is not.
fn is_whole(files: &Arc<StoredFiles>, blob: &BlobRef) -> Result<bool, ArchiveError> {
    match blob.place {
        Place::Segment { .. } => Ok(files.log().salvage(blob, &preambles)?.is_some()),
        Place::File { .. } => match files.open(blob).and_then(|file| file.verify()) {
            Ok(()) => Ok(true),
            Err(ArchiveError::Store(StoreError::Damaged(_) | StoreError::Gone { .. })) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// Where a DICOM file may begin: `DICM` stands behind 128 bytes of preamble (PS3.10 §7.1).
fn preambles(bytes: &[u8]) -> Vec<usize> {
    let magic = bytes.windows(4).enumerate();
    let magic = magic.filter(|(_, window)| window == b"DICM");
    magic.filter_map(|(at, _)| at.checked_sub(128)).collect()
}

/// A number of instances, in words.
fn counted(instances: usize) -> String {
    let plural = if instances == 1 { "" } else { "s" };
    format!("{instances} instance{plural}")
}

fn io_error(doing: &'static str) -> impl Fn(std::io::Error) -> ArchiveError {
    move |source| ArchiveError::Io { doing, source }
}

/// Whether rows point into a segment that is not there: its deeds are lost, too.
fn is_pack_gone(ground: &Ground, bad_rows: &[BadRow]) -> Result<bool, ArchiveError> {
    let segments: HashSet<u64> = ground.log.segments().iter().map(|i| i.segment).collect();
    for row in bad_rows {
        if !segments.contains(&blob_ref(&row.blob)?.place.segment()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Damage without the key of a blob: a deed may be lost with it.
fn may_be_a_deed(damage: &Damage) -> bool {
    damage.key.is_none() && damage.kind != DamageKind::Index
}

/// Finds the blob of a row, and its record.
fn find(log: &Log, row: &BlobRow) -> Result<(), ArchiveError> {
    let blob = blob_ref(row)?;
    log.open_blob(&blob)?;
    Ok(log.check_record(&blob)?)
}

/// Appends an arrival of the same bytes once more.
fn append_again(
    files: &Arc<StoredFiles>,
    blob: &BlobRef,
    header: &[u8],
) -> Result<(), ArchiveError> {
    let (log, kind) = (files.log(), RecordKind::ARRIVAL);
    match blob.place {
        Place::File { .. } => {
            let file = copy_large(log, &files.open(blob)?)?;
            let body = Body::File(&file);
            log.append(&[NewRecord { kind, header, body }])?;
        }
        Place::Segment { .. } => {
            if let Some(bytes) = log.salvage(blob, &preambles)? {
                let digest = blob.digest;
                let parts: &[&[u8]] = &[&bytes];
                let body = Body::Bytes { parts, digest };
                log.append(&[NewRecord { kind, header, body }])?;
            }
        }
    }
    Ok(())
}

fn segments_of(damages: &[Damage]) -> BTreeSet<u64> {
    damages.iter().map(|damage| damage.segment).collect()
}

/// Damage to the records of a segment: that of the files that they refer to is none of it.
fn damages_of_records<'a>(
    ground: &Ground,
    segment: u64,
    damages: &'a [Damage],
) -> Result<Vec<&'a Damage>, ArchiveError> {
    let rows = ground.index.blobs_in(LOCAL_STORE, file_column(segment))?;
    let files: HashSet<BlobKey> = rows.iter().map(|row| BlobKey(row.key)).collect();
    let is_of_file = |damage: &Damage| match damage.kind {
        DamageKind::Body | DamageKind::Truncated => {
            damage.key.is_some_and(|key| files.contains(&key))
        }
        DamageKind::FileMissing => true,
        DamageKind::Header | DamageKind::Index | DamageKind::Unreadable { .. } => false,
    };
    let here = damages.iter().filter(|damage| damage.segment == segment);
    Ok(here.filter(|damage| !is_of_file(damage)).collect())
}

/// How many rows need what cannot be read of a pack: it would be gone when the pack is written again.
fn unreadable_rows(
    ground: &Ground,
    segment: u64,
    damages: &[&Damage],
) -> Result<usize, ArchiveError> {
    let damaged: HashSet<BlobKey> = damages.iter().filter_map(|damage| damage.key).collect();
    let mut needed = 0;
    for column in [inline_column(segment), file_column(segment)] {
        for row in ground.index.blobs_in(LOCAL_STORE, column)? {
            let is_bad = damaged.contains(&BlobKey(row.key))
                || ground.log.check_record(&blob_ref(&row)?).is_err();
            needed += usize::from(is_bad);
        }
    }
    Ok(needed)
}

/// The blobs of bad rows that the log has all the same, in another place than the rows say.
fn found_in_log(ground: &Ground, bad_rows: &[BadRow]) -> Result<HashSet<BlobKey>, ArchiveError> {
    let wanted: HashSet<BlobKey> = bad_rows.iter().map(|row| BlobKey(row.blob.key)).collect();
    let mut found = HashSet::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    ground.log.replay(1, |item| -> Result<(), ArchiveError> {
        if let FromLog::Record(record) = item
            && let Some(blob) = record.blob.filter(|blob| wanted.contains(&blob.key))
        {
            match ground.log.open_blob(&blob) {
                Ok(_) => drop(found.insert(blob.key)),
                Err(StoreError::Damaged(_) | StoreError::Gone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })?;
    Ok(found)
}
