//! The power is cut at every sync of log and index together, and what was promised still holds: invariants 1
//! to 5 of ARCHITECTURE.md.
//!
//! The log's own syncs are shown to be needed, one by one, in `vna-store`; here the index's are.

mod changes;
mod lives;
mod notes;
mod world;

use crate::common::Who;
use lives::{
    A, B, C, D, life, life_that_becomes_quiet, life_with_bounds, life_with_grace,
    life_with_recompression,
};
use vna_dicom::Level;
use vna_io::{Cut, CutDisk, Survival, SyncSite};
use vna_node::Duplicates;
use world::{Done, Trouble, World};

/// A workload and its policy.
#[derive(Clone, Copy)]
struct Plan {
    life: fn(&mut World) -> Done,
    duplicates: Duplicates,
    has_grace: bool,
    /// Most patients; 0: any number.
    patients: u64,
}

impl Plan {
    fn world(self, disk: CutDisk) -> World {
        let world = World::new(disk, self.duplicates).with_patients(self.patients);
        match self.has_grace {
            true => world.with_grace(),
            false => world,
        }
    }
}

fn plan(duplicates: Duplicates) -> Plan {
    Plan {
        life,
        duplicates,
        has_grace: false,
        patients: 0,
    }
}

fn plan_with_grace(duplicates: Duplicates) -> Plan {
    Plan {
        life: life_with_grace,
        duplicates,
        has_grace: true,
        patients: 0,
    }
}

/// Runs the workload until the planned cut. `None` if it ended before.
fn run(plan: Plan, skipped: Option<SyncSite>, cut: Cut) -> Result<Option<World>, String> {
    let disk = CutDisk::new();
    if let Some(site) = skipped {
        disk.skip_syncs_at(site);
    }
    disk.cut_at(cut);
    let mut world = plan.world(disk);
    match (plan.life)(&mut world) {
        Ok(()) => Ok(None),
        Err(Trouble::Stopped) => Ok(Some(world)),
        Err(Trouble::Violation(problem)) => Err(format!("before {cut:?}: {problem}")),
    }
}

/// The power returns: the archive opens and holds what it must; so it does when its index is lost, and after a
/// second cut in the middle of a little more work.
fn recover(world: &World, survival: Survival, second_cut: u64) -> Result<(), String> {
    let explain = |what: &str, trouble: Trouble| match trouble {
        Trouble::Stopped => format!("{what}: stopped without a plan"),
        Trouble::Violation(problem) => format!("{what}: {problem}"),
    };
    let mut after = world.on(world.disk.survive(survival));
    after
        .open()
        .map_err(|trouble| explain("recovery", trouble))?;

    let mut undeleted = after.on(world.disk.survive(survival));
    undeleted
        .open()
        .and_then(|()| undeleted.undelete_all())
        .map_err(|trouble| explain("undelete after recovery", trouble))?;

    let disk = world.disk.survive(survival);
    let mut rebuilt = after.on(disk);
    rebuilt
        .open()
        .and_then(|()| rebuilt.lose_index())
        .and_then(|()| match survival {
            Survival::Nothing => rebuilt.reindex(), // reading every byte for all of them takes minutes
            _ => Ok(()),
        })
        .and_then(|()| rebuilt.undelete_all())
        .map_err(|t| explain("reindex", t))?;

    let disk = world.disk.survive(survival);
    disk.cut_at(Cut::AtSync(second_cut));
    let mut again = after.on(disk);
    let more = |world: &mut World| {
        world.open()?;
        world.store(Who(9, 1, 1, 1), 1, 300)?;
        world.delete(Level::Instance, B)?;
        world.checkpoint()
    };
    match more(&mut again) {
        Ok(()) => Ok(()),
        Err(Trouble::Violation(problem)) => Err(format!("work after recovery: {problem}")),
        Err(Trouble::Stopped) => {
            let mut last = again.on(again.disk.survive(Survival::Seeded(second_cut)));
            last.open()
                .map_err(|trouble| explain("second recovery", trouble))
        }
    }
}

fn cut_everywhere(plan: Plan, skipped: Option<SyncSite>, seeds: u64) -> Result<u64, String> {
    cut_at_every(1, plan, skipped, seeds)
}

fn cut_at_every(
    stride: usize,
    plan: Plan,
    skipped: Option<SyncSite>,
    seeds: u64,
) -> Result<u64, String> {
    for n in (1..).step_by(stride) {
        let cut = Cut::AtSync(n);
        let Some(world) = run(plan, skipped, cut)? else {
            return Ok(n - 1);
        };
        let seeded = (0..seeds).map(|seed| Survival::Seeded(seed ^ (n << 20)));
        let survivals = [Survival::Everything, Survival::Nothing]
            .into_iter()
            .chain(seeded);
        for (second_cut, survival) in (1..).zip(survivals) {
            recover(&world, survival, second_cut)
                .map_err(|problem| format!("{cut:?}, {survival:?}: {problem}"))?;
        }
    }
    Ok(0)
}

/// Random survivals of each cut, beside that of all and of nothing.
fn seeds(usual: u64) -> u64 {
    let wanted = std::env::var("VNA_POWER_CUT_SEEDS").ok();
    wanted.map_or(usual, |text| text.parse().expect("a number"))
}

/// Workloads that resemble others are cut at one sync of so many; a long run cuts them at each.
fn stride(usual: usize) -> usize {
    match std::env::var_os("VNA_POWER_CUT_SEEDS") {
        Some(_) => 1,
        None => usual,
    }
}

/// Cuts a life of arrivals and deletions.
fn cut_life(duplicates: Duplicates) {
    let syncs = cut_everywhere(plan(duplicates), None, seeds(1))
        .unwrap_or_else(|problem| panic!("{problem}"));
    assert!(
        syncs > 20,
        "{syncs} syncs are too few to have met all sites"
    );
    println!("cut at {syncs} syncs");
}

#[test]
fn what_was_answered_holds_after_a_power_cut_at_any_sync() {
    cut_life(Duplicates::Never);
}

#[test]
fn what_was_answered_holds_after_a_power_cut_if_duplicates_take_places() {
    cut_life(Duplicates::Always);
}

#[test]
fn what_was_answered_holds_after_a_power_cut_if_duplicates_with_other_bytes_take_places() {
    cut_life(Duplicates::IfChanged);
}

#[test]
fn what_was_deleted_comes_back_or_stays_away_after_a_power_cut_at_any_sync() {
    for duplicates in [Duplicates::Never, Duplicates::Always] {
        let syncs = cut_at_every(stride(2), plan_with_grace(duplicates), None, seeds(0))
            .unwrap_or_else(|problem| panic!("{duplicates:?}: {problem}"));
        assert!(syncs > 20, "{syncs} syncs are too few");
        println!("{duplicates:?}: cut at {syncs} syncs");
    }
}

/// Cuts a workload that notes something.
fn cut_notes(life: fn(&mut World) -> Done, duplicates: Duplicates, has_grace: bool) {
    let plan = Plan {
        life,
        duplicates,
        has_grace,
        patients: 0,
    };
    let syncs = cut_at_every(stride(7), plan, None, 0)
        .unwrap_or_else(|problem| panic!("{duplicates:?}: {problem}"));
    assert!(syncs > 20, "{syncs} syncs are too few");
    println!("{duplicates:?}: {syncs} syncs");
}

#[test]
fn labels_hold_after_a_power_cut_at_any_sync() {
    cut_notes(notes::life_with_labels, Duplicates::Always, false);
    cut_notes(notes::life_with_labels_and_grace, Duplicates::Never, true);
}

#[test]
fn metadata_and_attachments_hold_after_a_power_cut_at_any_sync() {
    let (life, life_with_grace) = (
        notes::life_with_metadata_and_attachments,
        notes::life_with_metadata_attachments_and_grace,
    );
    cut_notes(life, Duplicates::Always, false);
    cut_notes(life_with_grace, Duplicates::Never, true);
}

#[test]
fn jobs_that_write_instances_anew_lose_nothing_in_a_power_cut_at_any_sync() {
    let syncs = changes::cut_everywhere(stride(5)).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(syncs > 20, "{syncs} syncs are too few");
    println!("cut at {syncs} syncs");
}

#[test]
fn recompression_loses_nothing_in_a_power_cut_at_any_sync() {
    let plan = Plan {
        life: life_with_recompression,
        ..plan(Duplicates::Always)
    };
    let syncs =
        cut_at_every(stride(2), plan, None, 0).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(syncs > 20, "{syncs} syncs are too few");
    println!("cut at {syncs} syncs");
}

#[test]
fn what_is_quiet_is_told_once_after_a_power_cut_at_any_sync() {
    let plan = Plan {
        life: life_that_becomes_quiet,
        ..plan(Duplicates::Never)
    };
    let syncs =
        cut_at_every(stride(2), plan, None, 0).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(syncs > 20, "{syncs} syncs are too few");
    println!("cut at {syncs} syncs");
}

#[test]
fn whoever_makes_room_goes_as_a_whole_in_a_power_cut_at_any_sync() {
    for life in [life_with_bounds, notes::life_with_bounds_and_notes] {
        let plan = Plan {
            life,
            patients: 2,
            ..plan(Duplicates::Always)
        };
        let syncs =
            cut_at_every(stride(5), plan, None, 0).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(syncs > 20, "{syncs} syncs are too few");
        println!("{syncs} syncs");
    }
}

#[test]
fn a_failed_sync_is_answered_and_what_it_left_never_appears() {
    let mut world = World::new(CutDisk::new(), Duplicates::Never);
    let life = |world: &mut World| {
        world.open()?;
        world.store(A, 1, 500)?;
        world.disk.fail_next_sync_at(vna_store::sites::GROUP);
        world.store_refused(B, 1, 900)?;
        world.check()?;
        world.store(C, 1, 300)?;
        world.restart()?;
        world.disk.fail_next_sync_at(vna_store::sites::GROUP);
        world.store_refused(D, 1, 900)?;
        world.lose_index()?;
        world.store(B, 2, 100)
    };
    life(&mut world).unwrap();
    let mut after = world.on(world.disk.survive(Survival::Everything));
    after.open().unwrap();
}

#[test]
fn a_full_disk_refuses_arrivals_and_takes_deletions() {
    const RESERVE: u64 = 64 << 20; // what the log keeps back by default
    let disk = CutDisk::new();
    let mut world = World::new(disk.clone(), Duplicates::Never);
    let life = |world: &mut World| {
        world.open()?;
        world.store(A, 1, 500)?;
        world.store(B, 1, 2_000)?;
        world.store(Who(1, 1, 1, 3), 1, 2_000)?;
        world.label(Level::Study, A, "kept")?;
        disk.set_capacity(Some(disk.used_bytes() + RESERVE + 20_000));
        world.fill(7, 4_000)?;
        world.fill(8, 9_000)?; // with files of their own
        world.check()?;
        world.delete(Level::Instance, A)?;
        world.delete(Level::Instance, B)?;
        world.tidy()?; // records the label once more, though there is no room for arrivals
        world.lose_index()?;
        disk.set_capacity(None);
        world.store(C, 1, 4_000)?;
        world.tidy()?;
        world.lose_index()
    };
    life(&mut world).unwrap();
}

/// The sites whose loss the log cannot make good: without them SQLite's file itself breaks. That of the index's
/// folder is not among them: an index whose name is lost is built anew.
const NEEDED_BY_THE_INDEX: [SyncSite; 2] = [SyncSite("index.database"), SyncSite("index.wal")];

#[test]
fn without_a_sync_of_the_index_a_power_cut_breaks_it() {
    for site in NEEDED_BY_THE_INDEX {
        let kept = cut_everywhere(plan(Duplicates::Always), Some(site), 6);
        assert!(kept.is_err(), "{site} seems to be superfluous");
        println!("without {site}: {}", kept.unwrap_err());
    }
}

#[test]
fn duplicates_that_a_replay_freed_do_not_take_live_instances_with_them() {
    let mut world = World::new(CutDisk::new(), Duplicates::Never);
    let life = |world: &mut World| {
        world.open()?;
        for number in 1..4 {
            world.store(Who(4, 1, 1, number), 1, 1_500)?;
        }
        // More of them than there are live instances in the pack, and in all a smaller part of its bytes.
        for _ in 0..4 {
            world.store(Who(4, 1, 1, 1), 1, 1_500)?;
        }
        for number in 5..12 {
            world.store(Who(4, 1, 1, number), 1, 3_000)?; // seals the pack
        }
        world.lose_index()?;
        world.tidy()?;
        world.restart()?;
        world.tidy()
    };
    life(&mut world).unwrap();
}
