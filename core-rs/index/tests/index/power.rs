//! SQLite on other disks: in memory, and with the power cut at every sync.

use crate::suite;
use crate::suite::world::{NOW_US, arrival, json};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vna_dicom::Level;
use vna_index::{
    DEFAULT_TENANT, Deletion, DuplicatePolicy, Entry, Index, IndexError, Lsn, Options, Page,
    Rebuild, SqliteIndex,
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

suite::everything! { crate::power::in_memory }

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
                    let list =
                        index.list_json(DEFAULT_TENANT, Level::Instance, Page::default(), None);
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
                index
                    .maintain(Duration::from_millis(2), NOW_US)
                    .expect("maintains");
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
                keep_us: 0,
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
            let list = index.list_json(
                DEFAULT_TENANT,
                level,
                Page::default(),
                Some(&vna_index::Shape::whole()),
            );
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
        index.maintain(Duration::from_millis(1), NOW_US)?;
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
        .maintain(Duration::from_millis(50), NOW_US)
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

/// Cuts at every sync and sometimes between, on all processors; gives how many disks were checked, or what does not
/// hold.
fn cut_everywhere(skipped: Option<SyncSite>) -> Result<usize, String> {
    let reference = reference();
    let whole = fresh_disk();
    run(&whole, &mut 0).expect("runs with power");
    let (syncs, operations) = (whole.sync_log().len() as u64, whole.operations());
    let cuts = (1..=syncs)
        .map(Cut::AtSync)
        .chain((0..120).map(|i| Cut::AtOperation(1 + i * operations / 120)));
    let left = Mutex::new(cuts);
    let work = || {
        let mut checked = 0;
        loop {
            let Some(cut) = left.lock().next() else {
                return Ok(checked);
            };
            match cut_once(cut, skipped, &reference) {
                Ok(more) => checked += more,
                Err(problem) => {
                    left.lock().by_ref().for_each(drop);
                    return Err(problem);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|ended| ended.expect("no panic")).sum()
    })
}

/// Cuts once; gives how many of the disks that may be left were checked.
fn cut_once(
    cut: Cut,
    skipped: Option<SyncSite>,
    reference: &[(Lsn, Value)],
) -> Result<usize, String> {
    let disk = fresh_disk();
    if let Some(site) = skipped {
        disk.skip_syncs_at(site);
    }
    disk.cut_at(cut);
    let mut promised = 0;
    // The thread that checkpoints makes the count of syncs vary: a late cut may not come.
    if run(&disk, &mut promised).is_ok() {
        return Ok(0);
    }
    let survivals = [
        Survival::Nothing,
        Survival::Everything,
        Survival::Seeded(1),
        Survival::Seeded(2),
    ];
    for survival in survivals {
        check_after(disk.survive(survival), promised, reference)
            .map_err(|problem| format!("{cut:?}, {survival:?}: {problem}"))?;
    }
    Ok(survivals.len())
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

/// The rollback journal is synced too, but only while the file is made: the schema goes in before the database is
/// switched to its write-ahead log. What it guards is an empty database, which may be lost, so there is no harm
/// to be shown without these syncs; what has to be shown is that they do not occur later.
#[test]
fn the_rollback_journal_is_synced_only_while_the_file_is_made() {
    let journal = |disk: &CutDisk| {
        let log = disk.sync_log();
        log.iter()
            .filter(|site| **site == SyncSite("index.journal"))
            .count()
    };
    let disk = fresh_disk();
    let open = || {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        SqliteIndex::open_or_create_on(disk, Path::new(PATH), options()).expect("opens")
    };
    drop(open());
    let making = journal(&disk);
    assert!(making > 0, "{:?}", disk.sync_log());
    assert_eq!(open().checkpoint().expect("checkpoints"), 0);
    run(&disk, &mut 0).expect("runs");
    assert!(disk.sync_log().contains(&SyncSite("index.wal")));
    assert_eq!(journal(&disk), making);
}

#[test]
fn a_purge_that_a_full_disk_stops_tells_what_it_freed() {
    const INSTANCES: u64 = 4000;
    let disk = fresh_disk();
    let index =
        SqliteIndex::open_or_create_on(Arc::new(disk.clone()), Path::new(PATH), Options::default())
            .expect("opens");
    let entries: Vec<Entry> = (1..=INSTANCES)
        .map(|i| instance(1, 1, i).entry(i))
        .collect();
    index.apply(&entries).expect("applies");
    let deletion = Deletion {
        lsn: INSTANCES + 1,
        tenant: DEFAULT_TENANT,
        level: Level::Patient,
        public_id: instance(1, 1, 1).id(Level::Patient),
        at_us: suite::world::NOW_US,
        keep_us: 0,
    };
    index.apply(&[Entry::Deletion(deletion)]).expect("applies");
    let (mut freed, mut stopped, mut room) = (Vec::new(), 0, disk.used_bytes());
    loop {
        room += 64 << 10;
        disk.set_capacity(Some(room));
        // Time enough for all of it: if more is left, a slice has failed.
        match index.maintain(Duration::from_secs(60), NOW_US) {
            Ok(done) => {
                freed.extend(done.freed);
                if !done.more {
                    break;
                }
                stopped += 1;
            }
            Err(error) => assert!(matches!(error, IndexError::Full), "{error}"),
        }
    }
    assert!(stopped > 0, "no slice failed behind one that had committed");
    freed.sort_by_key(|blob| blob.key);
    freed.dedup();
    assert_eq!(freed.len() as u64, INSTANCES, "each blob is told");
    assert_eq!(index.live_by_unit(1).expect("counts"), []);
}

/// What the new index covers, so that it can be told from the old one, which shows the same.
const REBUILT_LSN: Lsn = 1000;

/// Enough pages that the last group changes only some of them.
fn long_history() -> Vec<Vec<Entry>> {
    let entries: Vec<Entry> = (1..=300)
        .map(|i| instance(i % 9, i % 30, i).entry(i))
        .collect();
    let mut groups: Vec<_> = entries.chunks(60).map(<[Entry]>::to_vec).collect();
    let deletion = Deletion {
        lsn: 301,
        tenant: DEFAULT_TENANT,
        level: Level::Instance,
        public_id: instance(1, 1, 1).id(Level::Instance),
        at_us: suite::world::NOW_US,
        keep_us: 0,
    };
    groups.push(vec![
        Entry::Deletion(deletion),
        instance(2, 2, 302).entry(302),
    ]);
    groups
}

/// The disk of a process that was killed: the database has all groups but the last, its write-ahead log that one.
fn with_old_index() -> CutDisk {
    let disk = fresh_disk();
    let unbounded = Options {
        wal_bytes: 1 << 30,
        ..options()
    };
    let groups = long_history();
    let (first, second) = groups.split_at(groups.len() - 1);
    let open = || {
        SqliteIndex::open_or_create_on(Arc::new(disk.clone()), Path::new(PATH), unbounded)
            .expect("opens")
    };
    let feed = |index: &SqliteIndex, groups: &[Vec<Entry>]| {
        for group in groups {
            index.apply(group).expect("applies");
            while index
                .maintain(Duration::from_secs(1), NOW_US)
                .expect("maintains")
                .more
            {}
        }
    };
    feed(&open(), first); // closed in good order, which empties the write-ahead log
    let index = open();
    feed(&index, second);
    index.checkpoint().expect("checkpoints");
    disk.survive(Survival::Everything)
}

/// Builds the index anew; whether it was said to be in its place.
fn rebuild(disk: &CutDisk) -> Result<bool, IndexError> {
    let rebuild = Rebuild::begin_on(Arc::new(disk.clone()), Path::new(PATH), options(), 0)?;
    for group in long_history() {
        rebuild.apply(&group)?;
    }
    rebuild.cover(REBUILT_LSN)?;
    rebuild.finish()?;
    Ok(true)
}

/// The old index, the new one or none: which, or what does not hold.
fn index_after(disk: CutDisk, old: &(Lsn, Value)) -> Result<Option<Lsn>, String> {
    if !disk.exists(Path::new(PATH)).expect("looks") {
        return Ok(None);
    }
    let index = SqliteIndex::open_or_create_on(Arc::new(disk), Path::new(PATH), options())
        .map_err(|error| format!("does not open: {error}"))?;
    let problems = index.verify().map_err(|error| error.to_string())?;
    if !problems.is_empty() {
        return Err(format!("contradicts itself: {problems:?}"));
    }
    let covered = index.covered_lsn();
    if covered != old.0 && covered != REBUILT_LSN {
        return Err(format!("covers {covered}: neither the old nor the new one"));
    }
    if dump(&index) != old.1 {
        return Err(format!("shows other rows than those of {covered}"));
    }
    Ok(Some(covered))
}

/// Cuts and kills a rebuild everywhere; how often the old index, the new one and none was there.
fn cut_rebuild_everywhere(
    skipped: Option<SyncSite>,
    first_seed: u64,
) -> Result<[usize; 3], String> {
    let base = with_old_index();
    let old = {
        let disk: Arc<dyn Disk> = Arc::new(base.survive(Survival::Everything));
        let index = SqliteIndex::open_or_create_on(disk, Path::new(PATH), options());
        let index = index.expect("opens");
        (index.covered_lsn(), dump(&index))
    };
    assert_eq!(old.0, 302);
    let whole = base.survive(Survival::Everything);
    rebuild(&whole).expect("runs with power");
    let (syncs, operations) = (whole.sync_log().len() as u64, whole.operations());
    let tail = operations.saturating_sub(20)..=operations + 1;
    let mut seen = [0; 3];
    let mut check = |disk: CutDisk, finished: bool, told: &str| {
        let found = index_after(disk, &old).map_err(|problem| format!("{told}: {problem}"))?;
        if finished && found != Some(REBUILT_LSN) {
            return Err(format!("{told}: it was finished, and {found:?} is there"));
        }
        seen[match found {
            Some(REBUILT_LSN) => 1,
            Some(_) => 0,
            None => 2,
        }] += 1;
        Ok(())
    };
    // The many ways in which names may survive need many seeds; before the tail no name but the new one's changes.
    let cuts = (1..=syncs)
        .map(Cut::AtSync)
        .chain((0..12).map(|i| Cut::AtOperation(1 + i * operations / 12)))
        .map(|cut| (cut, 1))
        .chain(tail.clone().map(|at| (Cut::AtOperation(at), 30)));
    for (cut, seeds) in cuts {
        let disk = base.survive(Survival::Everything);
        if let Some(site) = skipped {
            disk.skip_syncs_at(site);
        }
        disk.cut_at(cut);
        let finished = rebuild(&disk).unwrap_or(false);
        let seeds = (1..=seeds).map(|seed| Survival::Seeded(first_seed + seed));
        for survival in [Survival::Nothing, Survival::Everything]
            .into_iter()
            .chain(seeds)
        {
            let told = format!("{cut:?}, {survival:?}");
            check(disk.survive(survival), finished, &told)?;
        }
    }
    for operation in tail {
        let disk = base.survive(Survival::Everything);
        disk.kill_at(operation);
        let finished = rebuild(&disk).unwrap_or(false);
        if disk.is_killed() {
            let told = format!("killed at {operation}");
            check(disk.after_kill(), finished, &told)?;
        }
    }
    Ok(seen)
}

#[test]
fn a_rebuild_cut_anywhere_leaves_the_old_index_the_new_one_or_none() {
    let [old, new, none] = cut_rebuild_everywhere(None, 0).expect("holds at every cut");
    assert!(old > 50 && new > 5 && none > 5, "{old} {new} {none}");
}

/// But for `index.rebuilt`: SQLite happens to sync the whole file when it switches it to a write-ahead log. That is
/// its way of working and no promise, so the new index is synced by us as well.
#[test]
fn each_sync_of_names_in_a_rebuild_is_needed() {
    for site in ["index.old_gone", "index.old_log_gone", "index.rebuilt_name"] {
        // Which names a cut takes is drawn; one draw in some hundred shows nothing.
        let shown =
            (0..4).any(|round| cut_rebuild_everywhere(Some(SyncSite(site)), 1000 * round).is_err());
        assert!(shown, "without {site} nothing went wrong");
    }
}
