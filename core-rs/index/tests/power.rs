//! SQLite on other disks: in memory, and with the power cut at every sync.

mod suite;

use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use suite::world::{VIEW, arrival, json};
use vna_dicom::Level;
use vna_index::{
    DEFAULT_TENANT, Deletion, DuplicatePolicy, Entry, Index, Lsn, Options, Page, SqliteIndex,
};
use vna_io::{Cut, CutDisk, Disk, MemoryDisk, Survival, SyncSite};

const PATH: &str = "/data/index.db";

/// A small write-ahead log, so that checkpoints happen.
fn options() -> Options {
    Options {
        wal_bytes: 96 << 10,
        grams_from: 0,
        ..Options::default()
    }
}

struct Held(SqliteIndex);

impl Held {
    fn index(&self) -> &dyn Index {
        &self.0
    }
}

fn in_memory() -> Held {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    disk.create_dir_all(Path::new("/data")).expect("a folder");
    Held(SqliteIndex::open_or_create_on(disk, Path::new(PATH), options()).expect("opens"))
}

suite::everything! { crate::in_memory }

fn instance(patient: u64, study: u64, number: u64) -> suite::world::Made {
    let study_uid = format!("1.{patient}.{study}");
    arrival(
        &format!("P{patient}"),
        &study_uid,
        &format!("{study_uid}.1"),
        &format!("{study_uid}.1.{number}"),
    )
    .name("Smith^John")
    .tag(0x0008, 0x1030, "Chest CT")
}

#[test]
fn readers_see_whole_transactions_while_one_writes_and_checkpoints() {
    let held = in_memory();
    let index = &held.0;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    // Each transaction adds ten instances.
                    let list = index.list_json(
                        DEFAULT_TENANT,
                        Level::Instance,
                        Page::default(),
                        false,
                        VIEW,
                    );
                    let count = json(&list.expect("lists"))
                        .as_array()
                        .expect("a list")
                        .len();
                    assert_eq!(count % 10, 0, "a transaction is seen whole");
                    assert!(count >= last, "time runs forward");
                    last = count;
                    let id = instance(1, 1, 10).id(Level::Instance);
                    let found = index.locate(DEFAULT_TENANT, &id).expect("reads").is_some();
                    assert!(found || count == 0, "what was seen stays");
                }
            });
        }
        for group in 0..200u64 {
            let entries: Vec<Entry> = (1..=10)
                .map(|i| instance(1, 1 + group / 20, group * 10 + i).entry(group * 10 + i))
                .collect();
            index.apply(&entries).expect("applies");
            if group % 25 == 0 {
                index.checkpoint().expect("checkpoints");
                index.maintain(Duration::from_millis(2)).expect("maintains");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(index.verify().expect("checks"), Vec::<String>::new());
}

/// A history: arrivals, versions, superseding, deletions; in groups as they are applied.
fn history() -> Vec<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut lsn: Lsn = 0;
    for round in 0..6u64 {
        for i in 0..4 {
            lsn += 1;
            entries.push(instance(round % 3, round, i).entry(lsn));
        }
        lsn += 1;
        let policy = if round % 2 == 0 {
            DuplicatePolicy::Never
        } else {
            DuplicatePolicy::Always
        };
        entries.push(
            instance(round % 3, round, 0)
                .bytes("other", 77)
                .policy(policy)
                .entry(lsn),
        );
        if round % 2 == 1 {
            lsn += 1;
            let (level, made) = match round {
                1 => (Level::Instance, instance(0, 0, 1)),
                3 => (Level::Study, instance(1, 1, 0)),
                _ => (Level::Patient, instance(2, 2, 0)),
            };
            entries.push(Entry::Deletion(Deletion {
                lsn,
                tenant: DEFAULT_TENANT,
                level,
                public_id: made.id(level),
                at_us: suite::world::NOW_US,
            }));
        }
    }
    entries.chunks(3).map(<[Entry]>::to_vec).collect()
}

/// All that a client can see.
fn dump(index: &dyn Index) -> Value {
    let levels: Vec<Value> = Level::ALL
        .into_iter()
        .map(|level| {
            let list = index.list_json(DEFAULT_TENANT, level, Page::default(), true, VIEW);
            json(&list.expect("lists"))
        })
        .collect();
    let statistics = json(&index.statistics_json(DEFAULT_TENANT).expect("reads"));
    let changes = index
        .changes_json(DEFAULT_TENANT, &suite::changes::all())
        .expect("reads");
    json!([levels, statistics, json(&changes)])
}

/// Applies the history from where the index is; what `checkpoint` said last.
fn run(disk: &CutDisk, promised: &mut Lsn) -> Result<(), vna_index::IndexError> {
    let index = SqliteIndex::open_or_create_on(Arc::new(disk.clone()), Path::new(PATH), options())?;
    for (i, group) in history().iter().enumerate() {
        index.apply(group)?;
        index.maintain(Duration::from_millis(1))?;
        if i % 4 == 3 {
            *promised = index.checkpoint()?;
        }
    }
    *promised = index.checkpoint()?;
    Ok(())
}

/// What is seen after each group, by the position that it covers.
fn reference() -> Vec<(Lsn, Value)> {
    let held = in_memory();
    let mut seen = vec![(0, dump(held.index()))];
    for group in history() {
        held.0.apply(&group).expect("applies");
        seen.push((held.0.covered_lsn(), dump(held.index())));
    }
    seen
}

fn fresh_disk() -> CutDisk {
    let disk = CutDisk::new();
    disk.create_dir_all(Path::new("/data")).expect("a folder");
    disk
}

/// Recovers, checks, replays the tail; an error says what does not hold.
fn check_after(disk: CutDisk, promised: Lsn, reference: &[(Lsn, Value)]) -> Result<(), String> {
    let opened = SqliteIndex::open_or_create_on(Arc::new(disk), Path::new(PATH), options());
    let index = match opened {
        Ok(index) => index,
        // Before anything was promised the caller builds the index anew; nothing is lost.
        Err(error) if promised == 0 && error.needs_reindex() => return Ok(()),
        Err(error) => return Err(format!("does not open: {error}")),
    };
    let problems = index
        .verify()
        .map_err(|error| format!("cannot be checked: {error}"))?;
    if !problems.is_empty() {
        return Err(format!("contradicts itself: {problems:?}"));
    }
    let covered = index.covered_lsn();
    if covered < promised {
        return Err(format!("covers {covered}, {promised} was promised"));
    }
    let Some((_, before)) = reference.iter().find(|(lsn, _)| *lsn == covered) else {
        return Err(format!(
            "covers {covered}, which is inside of a transaction"
        ));
    };
    if dump(&index) != *before {
        return Err(format!("shows other rows than those of {covered}"));
    }
    for group in history().iter().filter(|group| group[0].lsn() > covered) {
        index
            .apply(group)
            .map_err(|error| format!("does not take the tail: {error}"))?;
    }
    while index
        .maintain(Duration::from_millis(50))
        .map_err(|error| error.to_string())?
        .more
    {}
    if dump(&index) != reference[reference.len() - 1].1 {
        return Err("shows other rows after the tail".into());
    }
    match index.verify() {
        Ok(problems) if problems.is_empty() => Ok(()),
        other => Err(format!("contradicts itself after the tail: {other:?}")),
    }
}

/// Cuts at every n-th sync and sometimes between; the first thing that does not hold.
fn cut_everywhere(skipped: Option<SyncSite>) -> Result<usize, String> {
    let reference = reference();
    let whole = fresh_disk();
    run(&whole, &mut 0).expect("runs with power");
    let (syncs, operations) = (whole.sync_log().len() as u64, whole.operations());
    let cuts = (1..=syncs)
        .map(Cut::AtSync)
        .chain((0..120).map(|i| Cut::AtOperation(1 + i * operations / 120)));
    let mut checked = 0;
    for cut in cuts {
        let disk = fresh_disk();
        if let Some(site) = skipped {
            disk.skip_syncs_at(site);
        }
        disk.cut_at(cut);
        let mut promised = 0;
        // The thread that checkpoints makes the count of syncs vary: a late cut may not come.
        if run(&disk, &mut promised).is_ok() {
            continue;
        }
        for survival in [
            Survival::Nothing,
            Survival::Everything,
            Survival::Seeded(1),
            Survival::Seeded(2),
        ] {
            check_after(disk.survive(survival), promised, &reference)
                .map_err(|problem| format!("{cut:?}, {survival:?}: {problem}"))?;
            checked += 1;
        }
    }
    Ok(checked)
}

#[test]
fn no_power_cut_takes_back_what_was_promised_or_mixes_transactions() {
    let checked = cut_everywhere(None).expect("holds at every cut");
    assert!(checked > 150, "{checked}");
}

#[test]
fn each_kind_of_sync_is_needed() {
    for site in ["index.wal", "index.database"] {
        let problem = cut_everywhere(Some(SyncSite(site)));
        assert!(
            problem.is_err(),
            "without {site} nothing went wrong in {problem:?} checks"
        );
    }
}
