//! The power is cut at every sync and at every change; the log keeps its promises, and without any
//! single one of its syncs it does not.

mod world;

use vna_io::{Cut, CutDisk, Survival, SyncSite};
use world::{Outcome, Trouble, World};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

type Workload = fn(&mut World) -> Outcome;

/// Everything that a log does, once.
fn everything(world: &mut World) -> Outcome {
    world.open()?;
    world.store(&[(1, 900), (2, 10), (3, 0)])?;
    world.store(&[(4, 3_000)])?;
    world.store_large(5, 4_000)?;
    world.delete(2)?;
    world.store(&[(6, 2_500), (1, 800)])?; // 1 is superseded
    world.store(&[(7, 2_900)])?; // the next segment
    world.store_on_broken_disk(&[(8, 700), (9, 10)])?;
    world.store(&[(8, 710)])?;
    world.give_up_large(false)?;
    world.give_up_large(true)?;
    world.delete(5)?;
    world.remove_files()?;
    world.compact()?;
    world.restart()?;
    world.store(&[(10, 600)])?;
    world.fill_disk(4)?;
    world.store_large(11, 100)?;
    world.rotate()?;
    world.store(&[(6, 5), (7, 6)])?;
    world.kill()?;
    world.delete(1)?;
    world.delete(3)?;
    world.rotate()?;
    world.store(&[(12, 100)])?;
    world.compact()?;
    world.drop_dead()?;
    world.store(&[(13, 7_000)])?;
    world.store(&[(14, 7_000), (15, 400)])?;
    world.delete(13)?;
    world.delete(11)?;
    world.rotate()?;
    world.drop_dead()?;
    world.store(&[(16, 10)])
}

/// Arrivals and deletions of everything, until packs are dropped whole with their deeds.
fn churn(world: &mut World) -> Outcome {
    world.open()?;
    for round in 0..4 {
        world.store(&[(1, 1_500), (2, 1_500)])?;
        world.store(&[(3 + round, 3_000)])?;
        world.store_large(20, 600)?;
        world.delete(1)?;
        world.delete(3 + round)?;
        world.rotate()?;
        world.drop_dead()?;
        if round == 2 {
            world.kill()?;
        }
    }
    world.compact()?;
    world.store(&[(30, 10)])
}

/// Blobs get another form, in packs and in files of their own, between arrivals and deletions.
fn recoded(world: &mut World) -> Outcome {
    world.open()?;
    world.store(&[(1, 900), (2, 10), (3, 0), (4, 1_000)])?;
    world.store_large(5, 700)?;
    world.store_large(6, 800)?;
    world.store_large(7, 900)?;
    world.delete(4)?;
    world.rotate()?;
    world.recode()?;
    world.restart()?;
    world.store(&[(1, 300), (8, 400)])?; // of what has another form one is superseded
    world.delete(6)?;
    world.remove_files()?;
    world.rotate()?;
    world.recode()?;
    world.compact()?;
    world.delete(7)?;
    world.kill()?;
    world.remove_files()?;
    world.compact()?;
    world.drop_dead()?;
    world.store(&[(9, 10)])
}

/// What the seed decides.
fn random_steps(world: &mut World, seed: u64, steps: u64) -> Outcome {
    let mut random = Random(seed);
    world.open()?;
    for _ in 0..steps {
        let live = world.resources();
        let pick = |random: &mut Random| match live.len() as u64 {
            0 => 1,
            count => live[usize::try_from(random.below(count)).unwrap()],
        };
        let size = |random: &mut Random| usize::try_from(random.below(2_500)).unwrap();
        match random.below(25) {
            0..=8 => {
                let count = 1 + random.below(4);
                let group: Vec<(u64, usize)> = (0..count)
                    .map(|_| (random.below(30), size(&mut random)))
                    .collect();
                world.store(&group)?;
            }
            9..=12 => world.delete(pick(&mut random))?,
            13 => world.store_large(random.below(30), size(&mut random))?,
            14 => world.rotate()?,
            15 | 16 => world.compact()?,
            17 => world.drop_dead()?,
            18 => world.remove_files()?,
            19 => world.store_on_broken_disk(&[(random.below(30), 100), (31, 200)])?,
            20 => world.fill_disk(pick(&mut random))?,
            21 => world.give_up_large(random.below(2) == 0)?,
            22 => world.restart()?,
            23 => world.recode()?,
            _ => world.kill()?,
        }
    }
    Ok(())
}

/// Runs a workload up to a planned stop. `None` if it ended before.
fn run(
    work: &dyn Fn(&mut World) -> Outcome,
    skipped: Option<SyncSite>,
    plan: impl Fn(&CutDisk),
) -> Result<Option<World>, String> {
    let disk = CutDisk::new();
    if let Some(site) = skipped {
        disk.skip_syncs_at(site);
    }
    plan(&disk);
    let mut world = World::new(disk);
    match work(&mut world) {
        Ok(()) => Ok(None),
        Err(Trouble::Stopped) => Ok(Some(world)),
        Err(Trouble::Violation(message)) => Err(message),
    }
}

/// Checks what is left after a cut: at once; after a second cut in the middle of recovery; and
/// after some work on it and a third cut.
fn check_survivor(world: &World, survival: Survival, salt: u64) -> Result<(), String> {
    let mut random = Random(salt);
    let explain = |what: &str, trouble| match trouble {
        Trouble::Stopped => Err(format!("{what}: stopped without a plan")),
        Trouble::Violation(message) => Err(format!("{what}: {message}")),
    };
    let mut disk = world.disk.survive(survival);
    if random.below(3) == 0 {
        disk.cut_at(Cut::AtOperation(1 + random.below(12)));
        let mut interrupted = world.on(disk.clone());
        match interrupted.open() {
            Err(Trouble::Stopped) => {
                // What it took over is what the next one must take over as well.
                let next = interrupted
                    .disk
                    .survive(Survival::Seeded(random.below(1 << 40)));
                return finish(interrupted.on(next), &mut random, explain);
            }
            Err(trouble) => return explain("recovery that was to be cut", trouble),
            Ok(()) => disk = world.disk.survive(survival),
        }
    }
    finish(world.on(disk), &mut random, explain)
}

fn finish(
    mut world: World,
    random: &mut Random,
    explain: impl Fn(&str, Trouble) -> Result<(), String>,
) -> Result<(), String> {
    if let Err(trouble) = world.open() {
        return explain("recovery", trouble);
    }
    let more = |world: &mut World| {
        world.store(&[(40, 300), (41, 20)])?;
        world.delete(40)
    };
    if let Err(trouble) = more(&mut world) {
        return explain("work after recovery", trouble);
    }
    let last = world.disk.survive(Survival::Seeded(random.below(1 << 40)));
    match world.on(last).open() {
        Ok(()) => Ok(()),
        Err(trouble) => explain("recovery after the last cut", trouble),
    }
}

/// The survivals to look at after each cut.
fn survivals(seeds: u64, salt: u64) -> Vec<Survival> {
    let seeded = (0..seeds).map(|seed| Survival::Seeded(seed ^ (salt << 20)));
    [Survival::Everything, Survival::Nothing]
        .into_iter()
        .chain(seeded)
        .collect()
}

/// Cuts the power at each planned place in turn, until the workload gets through.
fn cut_everywhere(
    work: &dyn Fn(&mut World) -> Outcome,
    skipped: Option<SyncSite>,
    plan: fn(u64) -> Cut,
    seeds: u64,
) -> Result<u64, String> {
    for n in 1.. {
        let stopped = run(work, skipped, |disk| disk.cut_at(plan(n)));
        let Some(world) = stopped.map_err(|e| format!("{:?}: {e}", plan(n)))? else {
            return Ok(n - 1);
        };
        for survival in survivals(seeds, n) {
            check_survivor(&world, survival, n * 1_000 + seeds)
                .map_err(|e| format!("{:?}, {survival:?}: {e}", plan(n)))?;
        }
    }
    Ok(0)
}

/// Kills the process at every change; the next one works a little; then the power is cut.
fn kill_everywhere(
    work: &dyn Fn(&mut World) -> Outcome,
    skipped: Option<SyncSite>,
    seeds: u64,
) -> Result<u64, String> {
    for n in 1.. {
        let stopped = run(work, skipped, |disk| disk.kill_at(n));
        let Some(world) = stopped.map_err(|e| format!("killed at {n}: {e}"))? else {
            return Ok(n - 1);
        };
        for does_work in [false, true] {
            let mut next = world.on(world.disk.after_kill());
            let mut go_on = || {
                next.open()?;
                if does_work {
                    next.store(&[(50, 30)])
                } else {
                    Ok(())
                }
            };
            if let Err(trouble) = go_on() {
                return Err(format!("after the kill at {n}: {trouble:?}"));
            }
            for survival in survivals(seeds, n) {
                check_survivor(&next, survival, n)
                    .map_err(|e| format!("killed at {n}, {survival:?}: {e}"))?;
            }
        }
    }
    Ok(0)
}

/// Cuts and kills in random workloads, as many as `VNA_POWER_CUT_SEEDS` says.
#[test]
#[ignore = "takes minutes; for make test-crash"]
fn nothing_acknowledged_is_lost_in_many_random_workloads() {
    let seeds = std::env::var("VNA_POWER_CUT_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    for seed in 1_000..1_000 + seeds.unwrap_or(50) {
        let work = |world: &mut World| random_steps(world, seed, 60);
        cut_everywhere(&work, None, Cut::AtSync, 6)
            .and_then(|_| cut_everywhere(&work, None, Cut::AtOperation, 3))
            .and_then(|_| kill_everywhere(&work, None, 1))
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

const WORKLOADS: [(&str, Workload); 3] = [
    ("everything", everything),
    ("churn", churn),
    ("recoded", recoded),
];

#[test]
fn the_workloads_meet_every_sync() {
    for (name, work) in WORKLOADS {
        let mut world = World::new(CutDisk::new());
        work(&mut world).unwrap_or_else(|trouble| panic!("{name}: {trouble:?}"));
        let met = world.disk.sync_log();
        println!(
            "{name}: {} changes, {} syncs",
            world.disk.operations(),
            met.len()
        );
        if name == "everything" {
            for site in vna_store::sites::ALL {
                assert!(met.contains(&site), "{site} is not met");
            }
        }
        for site in met {
            let is_listed = vna_store::sites::ALL.contains(&site) || site == vna_io::CREATE_DIR;
            assert!(is_listed, "{site} is not listed");
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut_at_any_sync() {
    for (name, work) in WORKLOADS {
        let syncs = cut_everywhere(&work, None, Cut::AtSync, 24);
        println!(
            "{name}: cut at {} syncs",
            syncs.unwrap_or_else(|e| panic!("{name}: {e}"))
        );
    }
    for seed in 0..30 {
        let work = |world: &mut World| random_steps(world, seed, 40);
        cut_everywhere(&work, None, Cut::AtSync, 4).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut_at_any_change() {
    for (name, work) in WORKLOADS {
        let changes = cut_everywhere(&work, None, Cut::AtOperation, 6);
        println!(
            "{name}: cut at {} changes",
            changes.unwrap_or_else(|e| panic!("{name}: {e}"))
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_a_kill_comes_before_the_cut() {
    for (name, work) in WORKLOADS {
        let kills = kill_everywhere(&work, None, 2);
        println!(
            "{name}: killed at {} changes",
            kills.unwrap_or_else(|e| panic!("{name}: {e}"))
        );
    }
}

#[test]
fn no_sync_is_superfluous() {
    let sites = vna_store::sites::ALL
        .into_iter()
        .chain([vna_io::CREATE_DIR]);
    let mut superfluous = Vec::new();
    for site in sites {
        let breaks = WORKLOADS.iter().find_map(|(name, work)| {
            let by_cut = cut_everywhere(&work, Some(site), Cut::AtSync, 12).err();
            let found = by_cut.or_else(|| kill_everywhere(&work, Some(site), 3).err())?;
            Some(format!("{name}: {found}"))
        });
        match breaks {
            Some(how) => println!("without {site}: {how}"),
            None => superfluous.push(site),
        }
    }
    assert!(
        superfluous.is_empty(),
        "nothing breaks without {superfluous:?}"
    );
}
