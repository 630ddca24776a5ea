//! Jobs that write instances anew, until the power is cut: in place, into another study, out of one. Behind the cut a job
//! goes on as `vna.services.modifying` does, from where it last wrote down how far it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vna_dicom::{Level, PublicId};
use vna_index::{NoteId, Origin, Page, Subject};
use vna_io::{Cut, CutDisk, Disk, Survival};
use vna_node::{
    Archive, ArchiveError, Caller, Condition, DEFAULT_TENANT, Duplicates, RewriteRequest,
    Rewriting, now_us,
};

use super::world::World;
use crate::common::{self, Who};

/// Instances that are written anew at a time.
const AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// What there is, by what it is of: files of instances, and notes.
type State = BTreeMap<String, Vec<u8>>;

/// The power was cut, or something is wrong.
enum Ended {
    Cut,
    Wrong(String),
}

type Done<T = ()> = Result<T, Ended>;

/// One thing that becomes of an archive.
enum Act {
    Store(Who, usize),
    Note(Level, Who, &'static str),
    Change(Change),
    Delete(Level, Who),
    Tidy,
}

/// A job that writes instances anew.
struct Change {
    recipe: Value,
    instances: Vec<Who>,
    /// Results take the place of their sources.
    in_place: bool,
    /// Sources are deleted once all results are stored.
    deletes_sources: bool,
}

/// How far the job of the act at hand has written down to be.
#[derive(Clone, Default)]
struct Saved {
    position: usize,
    made: BTreeSet<String>,
}

struct Worker {
    disk: CutDisk,
    archive: Option<Arc<Archive>>,
    saved: Saved,
}

impl Worker {
    fn new(disk: CutDisk, saved: Saved) -> Self {
        Self {
            disk,
            archive: None,
            saved,
        }
    }

    fn ended<T>(&self, doing: &str, result: Result<T, impl std::fmt::Display>) -> Done<T> {
        result.map_err(|error| match self.disk.is_cut() {
            true => Ended::Cut,
            false => Ended::Wrong(format!("{doing}: {error}")),
        })
    }

    fn open(&mut self) -> Done {
        self.archive = None;
        let settings = World::new(self.disk.clone(), Duplicates::Always).settings();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let archive = self.ended("opening", Archive::open(disk, settings))?;
        if let Some(skipped) = archive.replayed().skipped.first() {
            return Err(Ended::Wrong(skipped.to_string()));
        }
        self.archive = Some(Arc::new(archive));
        Ok(())
    }

    fn lose_index(&mut self) -> Done {
        self.archive = None;
        let folder = Path::new("/archive/index");
        for name in self.ended("listing", self.disk.list(folder))? {
            self.ended("removing", self.disk.remove(&folder.join(name)))?;
        }
        self.open()
    }

    fn archive(&self) -> &Arc<Archive> {
        self.archive.as_ref().expect("it is open")
    }

    /// Everything that there is.
    fn state(&self, acts: &[Act]) -> Done<State> {
        let archive = self.archive();
        let ids = archive
            .index()
            .list_json(DEFAULT_TENANT, Level::Instance, Page::default(), None);
        let ids: Vec<String> =
            serde_json::from_slice(&self.ended("listing", ids)?).expect("a list");
        let mut state = State::new();
        for id in ids {
            let public_id: PublicId = id.parse().expect("an id");
            let file = self.ended("reading", common::fetch(archive, &public_id))?;
            state.insert(id, file.unwrap_or_default());
        }
        for act in acts {
            let Act::Note(level, who, _) = act else {
                continue;
            };
            let id = NoteId {
                tenant: DEFAULT_TENANT,
                level: *level,
                public_id: who.public_id(*level),
                subject: Subject::Metadata(1024),
            };
            if let Ok(Some(found)) = archive.note(&id) {
                let said = format!("{:?}", found.note.content);
                state.insert(format!("note of {level} {}", id.public_id), said.into());
            }
        }
        Ok(state)
    }

    fn act(&mut self, act: &Act) -> Done {
        match act {
            Act::Store(who, bytes) => {
                let file = common::file(*who, 1, *bytes);
                let stored = common::store(self.archive(), file);
                self.ended("storing", stored).map(drop)
            }
            Act::Note(level, who, text) => {
                let of = (DEFAULT_TENANT, *level, who.public_id(*level));
                let condition = Condition::Revision {
                    must_be: false,
                    named: None,
                };
                let put = (self.archive()).put_metadata(of, "1024", (*text).into(), condition);
                self.ended("noting", put).map(drop)
            }
            Act::Change(change) => self.change(change),
            Act::Delete(level, who) => self.delete(*level, who.public_id(*level)),
            Act::Tidy => {
                let archive = self.archive();
                self.ended("tidying", archive.tidy(now_us()))?;
                self.ended("compacting", archive.compact(100, now_us()))
                    .map(drop)
            }
        }
    }

    fn delete(&self, level: Level, public_id: PublicId) -> Done {
        match common::delete(self.archive(), level, public_id) {
            Err(error) if matches!(*error, ArchiveError::NotFound { .. }) => Ok(()),
            answer => self.ended("deleting", answer).map(drop),
        }
    }

    /// The job, from where it was saved.
    fn change(&mut self, change: &Change) -> Done {
        let archive = Arc::clone(self.archive());
        let ids = change
            .instances
            .iter()
            .map(|who| who.public_id(Level::Instance));
        let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        let request = json!({"instances": ids, "overwrite": change.in_place}).to_string();
        let request = RewriteRequest::from_json(request.as_bytes()).expect("a request");
        let caller = Caller {
            tenant: DEFAULT_TENANT,
            origin: Origin::default(),
        };
        let recipe = change.recipe.to_string();
        let opened = Rewriting::open(&archive, caller, recipe.as_bytes(), &request);
        let rewriting = self.ended("the recipe", opened)?;
        while self.saved.position < ids.len() {
            let step = rewriting.step(&archive, self.saved.position, AT_ONCE, PATIENCE);
            let told: Vec<Value> =
                serde_json::from_slice(&self.ended("writing anew", step)?).expect("a list");
            for one in &told {
                if one["Status"] == "Failure" {
                    return match self.disk.is_cut() {
                        true => Err(Ended::Cut),
                        false => Err(Ended::Wrong(one.to_string())),
                    };
                }
                let id = one["ID"].as_str().unwrap_or_default();
                self.saved.made.insert(id.to_owned());
            }
            self.saved.position += told.len();
        }
        if change.deletes_sources {
            for id in ids.iter().filter(|id| !self.saved.made.contains(*id)) {
                self.delete(Level::Instance, id.parse().expect("an id"))?;
            }
        }
        Ok(())
    }
}

fn changing(recipe: Value, instances: &[Who], in_place: bool, deletes_sources: bool) -> Act {
    let mut recipe = recipe;
    recipe["key"] = "5a".repeat(32).into();
    Act::Change(Change {
        recipe,
        instances: instances.to_vec(),
        in_place,
        deletes_sources,
    })
}

/// Studies that are modified in place and into new ones, merged, split and deleted.
fn life() -> Vec<Act> {
    let first = [
        Who(1, 1, 1, 1),
        Who(1, 1, 1, 2),
        Who(1, 1, 1, 3),
        Who(1, 1, 2, 1),
    ];
    let (other, merged) = (
        [Who(1, 2, 1, 1), Who(1, 2, 1, 2)],
        [Who(2, 1, 1, 1), Who(2, 1, 1, 2)],
    );
    let was = json!({"at": "20260101000000", "system": "VNA", "reason": "CORRECT"});
    let uids = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"];
    let in_place = json!({"level": "Study", "force": true, "keep": uids, "original_attributes": was,
        "replace": {"PatientName": "Another^Name", "StudyDescription": "longer than it was"}});
    let modified = json!({"level": "Study", "force": true, "replace": {"PatientID": "P7"}});
    let merge = json!({"level": "Series", "force": true, "original_attributes": was,
        "replace": {"PatientID": "P1", "StudyInstanceUID": Who(1, 1, 1, 1).study_uid()}});
    let split = json!({"level": "Series", "force": true, "original_attributes": was,
        "replace": {"StudyInstanceUID": "1.2.99"}});
    let mut acts = vec![
        Act::Store(first[0], 500),
        Act::Store(first[1], 700),
        Act::Store(first[2], 5_000),
        Act::Store(first[3], 8_000), // in a file of its own
        Act::Note(Level::Study, first[0], "of the study"),
        Act::Note(Level::Instance, first[1], "of the instance"),
        Act::Store(other[0], 300),
        Act::Store(other[1], 7_000),
        Act::Store(merged[0], 400),
        Act::Store(merged[1], 9_000),
        Act::Note(Level::Study, merged[0], "goes with its study"),
    ];
    acts.extend([
        changing(in_place, &first, true, false),
        changing(modified, &other, false, false),
        Act::Tidy,
        changing(merge, &merged, false, true),
        changing(split, &[first[2], first[3]], false, true),
        Act::Tidy,
        Act::Delete(Level::Study, other[0]),
        Act::Delete(Level::Instance, first[0]),
        Act::Tidy,
    ]);
    acts
}

/// What is wrong with a state in the middle of an act; `None`: nothing.
fn problem(act: &Act, before: &State, now: &State, after: &State) -> Option<String> {
    let ids: BTreeSet<&String> = before
        .keys()
        .chain(now.keys())
        .chain(after.keys())
        .collect();
    for id in &ids {
        let found = now.get(*id);
        if found != before.get(*id) && found != after.get(*id) {
            let length = found.map(Vec::len);
            return Some(format!(
                "{id} is neither as before nor as after: {length:?} bytes"
            ));
        }
    }
    let Act::Change(Change {
        deletes_sources: true,
        ..
    }) = act
    else {
        return None;
    };
    let is_lost = |id: &&String| before.contains_key(*id) && !now.contains_key(*id);
    let is_missing = |id: &&String| after.contains_key(*id) && !now.contains_key(*id);
    match (
        ids.iter().copied().find(is_lost),
        ids.iter().copied().find(is_missing),
    ) {
        (Some(lost), Some(missing)) => Some(format!("{lost} went before {missing} was there")),
        _ => None,
    }
}

fn differs(now: &State, expected: &State) -> Option<String> {
    let ids: BTreeSet<&String> = now.keys().chain(expected.keys()).collect();
    let wrong = ids
        .into_iter()
        .find(|id| now.get(*id) != expected.get(*id))?;
    let lengths = (
        now.get(wrong).map(Vec::len),
        expected.get(wrong).map(Vec::len),
    );
    Some(format!("{wrong} has and should have {lengths:?} bytes"))
}

/// Runs the life; gives the states behind each act as far as it came, and what the last job had saved.
fn run(worker: &mut Worker, acts: &[Act]) -> (Vec<State>, Done) {
    let mut states = Vec::new();
    let done = worker.open().and_then(|()| {
        for act in acts {
            worker.saved = Saved::default();
            worker.act(act)?;
            states.push(worker.state(acts)?);
        }
        Ok(())
    });
    (states, done)
}

/// The power returns: everything is as it was before the act or is behind it, and the act comes to its end.
fn recover(
    cut: &Worker,
    survival: Survival,
    saved: Saved,
    act: &Act,
    (before, after): (&State, &State),
    acts: &[Act],
) -> Result<(), String> {
    let wrong = |ended: Ended| match ended {
        Ended::Cut => "cut without a plan".to_owned(),
        Ended::Wrong(problem) => problem,
    };
    let mut worker = Worker::new(cut.disk.survive(survival), saved);
    worker.open().map_err(wrong)?;
    let now = worker.state(acts).map_err(wrong)?;
    if let Some(problem) = problem(act, before, &now, after) {
        return Err(problem);
    }
    worker.act(act).map_err(wrong)?;
    let now = worker.state(acts).map_err(wrong)?;
    if let Some(problem) = differs(&now, after) {
        return Err(format!("gone on with: {problem}"));
    }
    worker.lose_index().map_err(wrong)?;
    let now = worker.state(acts).map_err(wrong)?;
    differs(&now, after).map_or(Ok(()), |problem| Err(format!("rebuilt: {problem}")))
}

/// Cuts the life at one sync of `stride`; gives how many there are.
pub fn cut_everywhere(stride: usize) -> Result<u64, String> {
    let acts = life();
    let mut whole = Worker::new(CutDisk::new(), Saved::default());
    let (states, done) = run(&mut whole, &acts);
    if let Err(Ended::Wrong(problem)) = done {
        return Err(problem);
    }
    let nothing = State::new();
    for n in (1..).step_by(stride) {
        let disk = CutDisk::new();
        disk.cut_at(Cut::AtSync(n));
        let mut worker = Worker::new(disk, Saved::default());
        let (reached, done) = run(&mut worker, &acts);
        match done {
            Ok(()) => return Ok(n - 1),
            Err(Ended::Wrong(problem)) => return Err(format!("before sync {n}: {problem}")),
            Err(Ended::Cut) => {}
        }
        let at = reached.len();
        let before = at.checked_sub(1).map_or(&nothing, |before| &states[before]);
        for survival in [Survival::Everything, Survival::Nothing] {
            // What the job wrote down last may be long ago, unless it had begun to delete.
            let is_deleting = matches!(&acts[at], Act::Change(change)
                if worker.saved.position == change.instances.len() && change.deletes_sources);
            let saved = match is_deleting || n % 4 == 1 {
                true => worker.saved.clone(),
                false => Saved::default(),
            };
            recover(
                &worker,
                survival,
                saved,
                &acts[at],
                (before, &states[at]),
                &acts,
            )
            .map_err(|problem| format!("sync {n}, {survival:?}, act {at}: {problem}"))?;
        }
    }
    Ok(0)
}
