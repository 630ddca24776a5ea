//! What ingest and queries cost as the index grows to 1,000,000 instances.
//!
//! `cargo run --release -p vna-index --example growth [FOLDER [CACHE_MIB]]`. Headers only: no bytes of instances are
//! stored. Transactions are of 16 to 256 arrivals; a batch is 5,000 of them.

mod population;
mod queries;

use population::{Arrivals, INSTANCES, Random, plain_series};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vna_index::{Entry, Index, Options, Outcome, SqliteIndex};

const BATCH: u64 = 5_000;

/// The median needs several batches: single ones meet a checkpoint or none.
const BATCHES: usize = 9;

fn main() {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("vna-growth");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the index");
    let path = folder.join("index.db");
    let mut options = Options::default();
    if let Some(mebibytes) = std::env::args()
        .nth(2)
        .and_then(|text| text.parse::<u64>().ok())
    {
        options.writer_cache_bytes = mebibytes << 20;
    }
    let index = SqliteIndex::open_or_create(&path, options).expect("opens");
    let mut arrivals = Arrivals::new();
    let mut sizes = Random(99);
    let mut done = 0;
    let mut base = None;
    for point in [10_000, 100_000, INSTANCES - BATCH * BATCHES as u64] {
        let start = Instant::now();
        let mut spent = Duration::ZERO;
        let before = done;
        while done < point {
            let batch = arrivals.take(BATCH.min(point - done));
            done += batch.len() as u64;
            spent += apply(&index, &mut sizes, &batch).0;
        }
        println!(
            "grew from {before} to {done} in {:.1} s, {:.0} instances/s in apply",
            start.elapsed().as_secs_f64(),
            (done - before) as f64 / spent.as_secs_f64()
        );
        let (mut times, mut cpu) = (Vec::new(), Duration::ZERO);
        let mut worst = Duration::ZERO;
        for _ in 0..BATCHES {
            let batch = arrivals.take(BATCH);
            done += batch.len() as u64;
            let (time, longest, busy) = apply(&index, &mut sizes, &batch);
            times.push(time);
            cpu += busy;
            worst = worst.max(longest);
        }
        times.sort();
        let median = times[BATCHES / 2];
        let base = *base.get_or_insert(median);
        println!(
            "at {point}: batch of {BATCH}: median {:.1} ms (mean {:.1} ms of CPU, min {:.1}, max {:.1}), ratio {:.2}, \
             longest transaction {:.1} ms",
            ms(median),
            ms(cpu) / BATCHES as f64,
            ms(times[0]),
            ms(times[BATCHES - 1]),
            median.as_secs_f64() / base.as_secs_f64(),
            ms(worst)
        );
    }
    new_series(&index);
    let start = Instant::now();
    while index
        .maintain(Duration::from_secs(1), i64::MAX)
        .expect("maintains")
        .more
    {}
    println!(
        "search texts after ingest: {:.1} s",
        start.elapsed().as_secs_f64()
    );
    index.checkpoint().expect("checkpoints");
    queries::warm(&index);
    let size = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len()) >> 20;
    println!(
        "index.db {} MiB, index.db-wal {} MiB, {}",
        size("index.db"),
        size("index.db-wal"),
        memory()
    );
    drop(index);
    let start = Instant::now();
    let index = SqliteIndex::open(&path, Options::default()).expect("opens");
    println!("opened in {:.0} ms", ms(start.elapsed()));
    drop(index);
    queries::cold(&path);
    let _ = std::fs::remove_dir_all(&folder);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// CPU time of this thread, as Linux counts it.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(
        text.split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0),
    )
}

/// Applies a batch in transactions of random size; the time in all, of the longest, and of the CPU.
fn apply(
    index: &dyn Index,
    sizes: &mut Random,
    mut batch: &[Entry],
) -> (Duration, Duration, Duration) {
    let (mut spent, mut longest, mut busy) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    while !batch.is_empty() {
        let size = usize::try_from(16 + sizes.below(241))
            .expect("small")
            .min(batch.len());
        let (group, rest) = batch.split_at(size);
        batch = rest;
        let (start, cpu) = (Instant::now(), thread_cpu());
        let outcomes = index.apply(group).expect("applies");
        let time = start.elapsed();
        busy += thread_cpu().saturating_sub(cpu);
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Stored { .. })),
            "all are new"
        );
        spent += time;
        longest = longest.max(time);
    }
    (spent, longest, busy)
}

/// The rate for new series of 200, in groups of 50.
fn new_series(index: &dyn Index) {
    let mut lsn = index.covered_lsn() + 1;
    let mut spent = Duration::ZERO;
    let series = 100;
    for number in 0..series {
        let entries = plain_series(lsn, number, 200);
        lsn += 200;
        for group in entries.chunks(50) {
            let start = Instant::now();
            index.apply(group).expect("applies");
            spent += start.elapsed();
        }
    }
    println!(
        "new series of 200 at 1,000,000: {:.0} instances/s",
        (series * 200) as f64 / spent.as_secs_f64()
    );
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or("VmRSS unknown");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
