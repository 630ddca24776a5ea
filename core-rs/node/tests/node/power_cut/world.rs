//! An archive on a disk whose power can be cut, and what it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use vna_dicom::Level;
use vna_index::{ChangesRequest, Outcome, Page};
use vna_io::{CutDisk, Disk};
use vna_node::{
    Archive, DEFAULT_TENANT, Duplicates, LimitSettings, Method, Settings, StorageSettings,
    ToRecompress,
};

use crate::common::{self, Who};

mod keep;
mod notes;

/// Where the archive is on its disk.
const ROOT: &str = "/archive";

/// Why a workload ended early.
#[derive(Debug)]
pub enum Trouble {
    /// The planned cut.
    Stopped,
    /// A promise was broken.
    Violation(String),
}

pub type Done = Result<(), Trouble>;

/// What became of one instance, as far as answers tell.
#[derive(Clone, Debug, Default)]
struct Fate {
    /// What may be live: the acknowledged state, and with a request that was never answered also what it
    /// would have led to. `None` stands for "not there".
    may_be: BTreeSet<Option<Vec<u8>>>,
}

/// The model beside the archive.
pub struct World {
    pub disk: CutDisk,
    duplicates: Duplicates,
    archive: Option<Arc<Archive>>,
    fates: BTreeMap<Who, Fate>,
    undelete_hours: u32,
    /// The time of what was deleted has come.
    is_later: bool,
    /// What deletions took and can be brought back, the last one last.
    kept: BTreeMap<Who, Vec<Vec<u8>>>,
    /// What may be brought back: a request that was never answered decided it.
    unsure: BTreeMap<Who, Vec<Vec<u8>>>,
    notes: notes::Notes,
    keep: keep::Keep,
    /// The power was cut once.
    is_unsure: bool,
    /// Every change that a reader has seen.
    seen: BTreeMap<i64, String>,
}

/// Turns what a cut caused into `Stopped`, and everything else into a violation.
fn stopped_or<T, E: std::fmt::Display>(
    disk: &CutDisk,
    what: &str,
    result: Result<T, E>,
) -> Result<T, Trouble> {
    result.map_err(|error| match disk.is_cut() {
        true => Trouble::Stopped,
        false => Trouble::Violation(format!("{what}: {error}")),
    })
}

impl World {
    pub fn new(disk: CutDisk, duplicates: Duplicates) -> Self {
        let (fates, seen) = (BTreeMap::new(), BTreeMap::new());
        Self {
            disk,
            duplicates,
            archive: None,
            fates,
            undelete_hours: 0,
            is_later: false,
            kept: BTreeMap::new(),
            unsure: BTreeMap::new(),
            notes: notes::Notes::default(),
            keep: keep::Keep::default(),
            is_unsure: false,
            seen,
        }
    }

    /// What is deleted can be brought back for a day.
    pub fn with_grace(mut self) -> Self {
        self.undelete_hours = 24;
        self
    }

    /// The same expectations on another disk.
    pub fn on(&self, disk: CutDisk) -> Self {
        Self {
            disk,
            duplicates: self.duplicates,
            archive: None,
            fates: self.fates.clone(),
            undelete_hours: self.undelete_hours,
            is_later: self.is_later,
            kept: self.kept.clone(),
            unsure: self.unsure.clone(),
            notes: self.notes.clone(),
            keep: self.keep.clone(),
            is_unsure: true,
            seen: self.seen.clone(),
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            storage: StorageSettings {
                root: PathBuf::from(ROOT),
                segment_bytes: 12_000,
                large_object_bytes: 6_000,
                duplicates: self.duplicates,
                patient_issuers: false,
                keep: self.keep.settings(),
                duplicate_retention_days: 0,
                undelete_hours: self.undelete_hours,
                ingest_transcoding: String::new(),
                ingest_transcoding_of_uncompressed: true,
                ingest_transcoding_of_compressed: true,
                recompress: None,
                recompress_after_days: 0,
            },
            uploads: vna_node::UploadSettings::default(),
            dictionary: vna_node::DictionarySettings::default(),
            notes: Default::default(),
            tls: vna_node::tls::TlsSettings::default(),
            codecs: Default::default(),
            pictures: Default::default(),
            archives: Default::default(),
            index: Default::default(),
            http: Default::default(),
            dicomweb: Default::default(),
            limits: LimitSettings {
                spool_bytes: 1 << 20,
                index_cache_bytes: 1 << 20,
                unpacked_cache_bytes: 1 << 20,
            },
        }
    }

    /// Opens the archive and checks all that was promised.
    pub fn open(&mut self) -> Done {
        self.archive = None;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let archive = stopped_or(&self.disk, "opening", Archive::open(disk, self.settings()))?;
        if let Some(skipped) = archive.replayed().skipped.first() {
            return Err(Trouble::Violation(format!(
                "record {} skipped: {}",
                skipped.lsn, skipped.reason
            )));
        }
        archive.start_recycling();
        self.archive = Some(Arc::new(archive));
        self.check()
    }

    fn archive(&self) -> &Arc<Archive> {
        self.archive.as_ref().expect("the archive is open")
    }

    /// Stores an instance and holds the answer against the model.
    pub fn store(&mut self, who: Who, version: u32, bytes: usize) -> Done {
        self.arrives(who);
        let leaving = self.make_room(who);
        let file = common::file(who, version, bytes);
        let fate = self.fates.entry(who).or_insert_with(Fate::absent);
        let after: BTreeSet<Option<Vec<u8>>> = fate
            .may_be
            .iter()
            .map(|before| match (before, self.duplicates) {
                (Some(before), Duplicates::Never) => Some(before.clone()),
                _ => Some(file.clone()),
            })
            .collect();
        let before = std::mem::replace(&mut fate.may_be, after.clone());
        let answer = common::store(self.archive(), file);
        if answer.is_err() {
            // Never answered as stored: both are right.
            self.fates.entry(who).or_default().may_be.extend(before);
        }
        let answer = stopped_or(&self.disk, "storing", answer)?;
        for gone in leaving {
            self.fates.insert(gone, Fate::absent());
        }
        self.notes_after_deletion();
        match answer {
            Outcome::Stored { .. }
            | Outcome::AlreadyStored { .. }
            | Outcome::KeptAsVersion { .. }
            | Outcome::Superseded { .. } => Ok(()),
            other => Err(Trouble::Violation(format!("storing became {other:?}"))),
        }
    }

    /// Stores what the disk will refuse: a failure that is no cut, after which nothing may be there of it
    /// but what was there before.
    pub fn store_refused(&mut self, who: Who, version: u32, bytes: usize) -> Done {
        let file = common::file(who, version, bytes);
        match common::store(self.archive(), file) {
            Err(_) if self.disk.is_cut() => Err(Trouble::Stopped),
            Err(_) => Ok(()),
            Ok(outcome) => Err(Trouble::Violation(format!(
                "a refused store became {outcome:?}"
            ))),
        }
    }

    /// Stores instances of patient `patient` until the disk refuses one, of which nothing may be there then.
    pub fn fill(&mut self, patient: u8, bytes: usize) -> Done {
        for number in 1..=u8::MAX {
            let who = Who(patient, 1, 1, number);
            let file = common::file(who, 1, bytes);
            match common::store(self.archive(), file.clone()) {
                Ok(_) => self.fates.insert(
                    who,
                    Fate {
                        may_be: BTreeSet::from([Some(file)]),
                    },
                ),
                Err(_) if self.disk.is_cut() => return Err(Trouble::Stopped),
                Err(_) => {
                    self.fates.insert(who, Fate::absent());
                    return Ok(());
                }
            };
        }
        Err(Trouble::Violation("the disk is never full".into()))
    }

    /// Deletes a resource with all below it.
    pub fn delete(&mut self, level: Level, of: Who) -> Done {
        let below: Vec<Who> = self
            .fates
            .keys()
            .copied()
            .filter(|who| who.public_id(level) == of.public_id(level))
            .collect();
        let mut before = Vec::new();
        for who in &below {
            let fate = self.fates.entry(*who).or_default();
            before.push(std::mem::replace(fate, Fate::absent()));
        }
        let answer = common::delete(self.archive(), level, of.public_id(level));
        if answer.is_ok() {
            self.notes_after_deletion();
        }
        if self.undelete_hours > 0 {
            let taken = match answer.is_ok() {
                true => &mut self.kept,
                false => &mut self.unsure,
            };
            for (who, before) in below.iter().zip(&before) {
                let found = before.may_be.iter().flatten().cloned();
                taken.entry(*who).or_default().extend(found);
            }
        }
        if answer.is_err() {
            for (who, before) in below.iter().zip(before) {
                self.fates
                    .entry(*who)
                    .or_default()
                    .may_be
                    .extend(before.may_be);
            }
        }
        stopped_or(&self.disk, "deleting", answer).map(|_| ())
    }

    fn now_us(&self) -> i64 {
        vna_node::now_us() + i64::from(self.is_later) * 25 * 3600 * 1_000_000
    }

    /// Who was deleted below a resource, and can be or may be brought back.
    fn deleted_below(&self, level: Level, of: Who) -> BTreeSet<Who> {
        let deleted = self.kept.keys().chain(self.unsure.keys()).copied();
        deleted
            .filter(|who| who.public_id(level) == of.public_id(level))
            .collect()
    }

    /// Brings back what was deleted of a resource, and holds the answer against the model.
    pub fn undelete(&mut self, level: Level, of: Who) -> Done {
        let mut wanted = BTreeMap::new();
        for who in self.deleted_below(level, of) {
            self.arrives(who);
            let kept = self.kept.remove(&who).unwrap_or_default();
            let unsure = self.unsure.remove(&who).unwrap_or_default();
            let contents = [kept.clone(), unsure.clone()].concat();
            let fate = self.fates.entry(who).or_default();
            // What is live stays. What was deleted last comes back, and unless that is known, any of them.
            let absent_before = fate.may_be.remove(&None);
            wanted.insert(who, (absent_before, contents));
            if absent_before {
                let last = kept.last().cloned().filter(|_| !self.is_later);
                fate.may_be.extend(unsure.into_iter().map(Some));
                fate.may_be.insert(last);
            }
        }
        let ids = [of.public_id(level)];
        let answer = self.archive().undelete(DEFAULT_TENANT, &ids, self.now_us());
        if answer.is_err() {
            // Any part of it may have been done.
            for (who, (absent_before, contents)) in wanted {
                let fate = self.fates.entry(who).or_default();
                fate.may_be.extend(absent_before.then_some(None));
                self.unsure.insert(who, contents);
            }
        }
        self.notes_after_undeletion(answer.is_ok());
        let report = stopped_or(&self.disk, "undeleting", answer)?;
        match report.problems.first() {
            Some(problem) => Err(Trouble::Violation(format!("undelete: {problem}"))),
            None => self.check(),
        }
    }

    /// Ends the time in which a resource can be brought back.
    pub fn erase(&mut self, level: Level, of: Who) -> Done {
        let mut erased = BTreeMap::new();
        for who in self.deleted_below(level, of) {
            erased.insert(who, self.kept.remove(&who).unwrap_or_default());
        }
        let what = vna_node::Erased::Of(vec![of.public_id(level)]);
        let answer = self.archive().erase(DEFAULT_TENANT, &what, self.now_us());
        if answer.is_err() {
            for (who, contents) in erased {
                self.unsure.entry(who).or_default().extend(contents);
            }
        }
        self.notes_after_erasure();
        let report = stopped_or(&self.disk, "erasing", answer)?;
        match report.unknown.first() {
            Some(id) => Err(Trouble::Violation(format!("{id} was not erased"))),
            None => self.check(),
        }
    }

    /// The time of all that was deleted has come.
    pub fn a_day_later(&mut self) -> Done {
        self.is_later = true;
        self.notes_after_erasure();
        self.tidy()
    }

    /// Brings back whatever can be: what was kept must come back, what was erased must not.
    pub fn undelete_all(&mut self) -> Done {
        let all: BTreeSet<Who> = self.fates.keys().copied().collect();
        for who in all {
            self.undelete(Level::Patient, who)?;
        }
        Ok(())
    }

    /// Rewrites all packs that hold dead bytes.
    pub fn compact(&mut self) -> Done {
        let done = self.archive().compact(100, self.now_us());
        let packs = stopped_or(&self.disk, "compacting", done)?;
        match packs.into_iter().find_map(|pack| pack.problem) {
            Some(_) if self.disk.is_cut() => Err(Trouble::Stopped),
            Some(problem) => Err(Trouble::Violation(format!("compacting: {problem}"))),
            None => self.check(),
        }
    }

    /// Recompresses all that can be.
    pub fn recompress(&mut self, method: Method) -> Done {
        let mut wanted = ToRecompress {
            method,
            older_than_days: 0,
            dry_run: false,
            give_up_originals: false,
            lossy: false,
            after: 0,
        };
        loop {
            let step = self.archive().recompress(&wanted, self.now_us());
            let step = stopped_or(&self.disk, "recompressing", step)?;
            match (step.problem, step.next) {
                (Some(_), _) if self.disk.is_cut() => return Err(Trouble::Stopped),
                (Some(problem), _) => {
                    return Err(Trouble::Violation(format!("recompressing: {problem}")));
                }
                (None, Some(next)) => wanted.after = next,
                (None, None) => return self.check(),
            }
        }
    }

    /// Lets background work run to its end.
    pub fn tidy(&mut self) -> Done {
        let tidied = self.archive().tidy(self.now_us());
        stopped_or(&self.disk, "tidying", tidied)?;
        self.check()
    }

    /// Makes the index durable, which writes its pages back.
    pub fn checkpoint(&mut self) -> Done {
        let done = self.archive().index().checkpoint();
        stopped_or(&self.disk, "checkpoint", done).map(|_| ())
    }

    /// Stops in order, and starts again.
    pub fn restart(&mut self) -> Done {
        let stopped = self.archive().stop();
        stopped_or(&self.disk, "stopping", stopped)?;
        self.open()
    }

    /// Deletes the index, so that the next opening builds it from the log alone.
    pub fn lose_index(&mut self) -> Done {
        self.archive = None;
        let folder = Path::new(ROOT).join("index");
        let names = stopped_or(&self.disk, "listing the index", self.disk.list(&folder))?;
        for name in names {
            let removed = self.disk.remove(&folder.join(name));
            stopped_or(&self.disk, "removing the index", removed)?;
        }
        self.open()
    }

    /// Builds the index anew beside the old one, as `vna reindex` does, then reads every byte as `vna check` does.
    pub fn reindex(&mut self) -> Done {
        self.archive = None;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let rebuilt = vna_node::reindex(&disk, &self.settings(), &mut |_, _| {});
        stopped_or(&self.disk, "reindex", rebuilt)?;
        let checked = vna_node::check(&disk, &self.settings(), &mut |_, _| {});
        let report = stopped_or(&self.disk, "check", checked)?;
        match report.problems.first() {
            None => self.open(),
            Some(problem) => Err(Trouble::Violation(format!("check found: {problem}"))),
        }
    }

    /// Holds everything that the archive shows against the model.
    pub fn check(&mut self) -> Done {
        self.check_instances()?;
        self.check_notes()?;
        self.check_bounds()?;
        self.check_changes()
    }

    fn check_instances(&mut self) -> Done {
        let archive = self.archive.as_ref().expect("the archive is open");
        let mut live = BTreeSet::new();
        for (who, fate) in &mut self.fates {
            let id = who.public_id(Level::Instance);
            let found = stopped_or(&self.disk, "reading", common::fetch(archive, &id))?;
            if !fate.may_be.contains(&found) {
                return Err(Trouble::Violation(format!(
                    "{who:?} has {}, which is none of the {} that it may be",
                    describe(&found),
                    fate.may_be.len()
                )));
            }
            live.extend(found.is_some().then(|| id.to_string()));
            // What is seen stays: a second look, or a second cut, must not show the other one.
            fate.may_be = BTreeSet::from([found]);
        }
        let listed = self.list(Level::Instance)?;
        if listed != live {
            return Err(Trouble::Violation(format!(
                "listed {listed:?}, live {live:?}"
            )));
        }
        self.check_parents(&live)
    }

    fn check_parents(&self, live: &BTreeSet<String>) -> Done {
        for level in [Level::Patient, Level::Study, Level::Series] {
            let of_live = self
                .fates
                .keys()
                .filter(|who| live.contains(&who.public_id(Level::Instance).to_string()));
            let expected: BTreeSet<String> = of_live
                .map(|who| who.public_id(level).to_string())
                .collect();
            let listed = self.list(level)?;
            if listed != expected {
                return Err(Trouble::Violation(format!(
                    "{level}: listed {listed:?}, expected {expected:?}"
                )));
            }
        }
        let held = self.archive().index().statistics(DEFAULT_TENANT);
        let held = stopped_or(&self.disk, "counting", held)?;
        match held.instances == live.len() as u64 {
            true => Ok(()),
            false => Err(Trouble::Violation(format!(
                "{} counted, {} live",
                held.instances,
                live.len()
            ))),
        }
    }

    fn list(&self, level: Level) -> Result<BTreeSet<String>, Trouble> {
        let json = self
            .archive()
            .index()
            .list_json(DEFAULT_TENANT, level, Page::default(), None);
        let json = stopped_or(&self.disk, "listing", json)?;
        serde_json::from_slice(&json).map_err(|error| Trouble::Violation(error.to_string()))
    }

    /// Numbers of changes grow, and one that was seen is never seen with another content (invariant 5).
    fn check_changes(&mut self) -> Done {
        let request = ChangesRequest {
            limit: 1_000_000,
            ..ChangesRequest::default()
        };
        let json = self
            .archive()
            .index()
            .changes_json(DEFAULT_TENANT, &request);
        let json = stopped_or(&self.disk, "reading changes", json)?;
        let feed: Value =
            serde_json::from_slice(&json).map_err(|error| Trouble::Violation(error.to_string()))?;
        let mut last = 0;
        let mut present = BTreeSet::new();
        let mut quiet = BTreeMap::new();
        for change in feed["Changes"].as_array().into_iter().flatten() {
            let seq = change["Seq"].as_i64().unwrap_or(0);
            let content = format!("{} {}", change["ChangeType"], change["ID"]);
            if seq <= last {
                return Err(Trouble::Violation(format!("change {seq} follows {last}")));
            }
            last = seq;
            present.insert(content.clone());
            if content.starts_with("\"Stable") {
                *quiet.entry(content.clone()).or_insert(0_u32) += 1;
            }
            match self.seen.insert(seq, content.clone()) {
                Some(before) if before != content => {
                    return Err(Trouble::Violation(format!(
                        "change {seq} was {before}, is {content}"
                    )));
                }
                _ => {}
            }
        }
        self.check_quiet(&quiet)?;
        self.check_feed_is_whole(&present)
    }

    /// Every live instance has told of its arrival.
    fn check_feed_is_whole(&self, present: &BTreeSet<String>) -> Done {
        for (who, fate) in &self.fates {
            let id = who.public_id(Level::Instance);
            let told = format!("\"NewInstance\" \"{id}\"");
            if !fate.may_be.contains(&None) && !present.contains(&told) {
                return Err(Trouble::Violation(format!("no change tells of {who:?}")));
            }
        }
        Ok(())
    }
}

impl Fate {
    fn absent() -> Self {
        Self {
            may_be: BTreeSet::from([None]),
        }
    }
}

fn describe(found: &Option<Vec<u8>>) -> String {
    match found {
        None => "nothing".into(),
        Some(bytes) => format!("{} bytes", bytes.len()),
    }
}
