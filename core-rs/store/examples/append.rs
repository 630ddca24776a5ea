//! How many records a second the log makes durable, against appending the same bytes to a file and
//! syncing it.
//!
//! `cargo run --release -p vna-store --example append -- FOLDER [SECONDS]`. For each size and group, both
//! take turns in the same run, several times; the best round of each is printed, since others may
//! use the machine. A group is one sync.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vna_io::RealDisk;
use vna_store::{Body, Digest, Log, LogOptions, NewRecord, RecordKind};

const ROUNDS: u32 = 3;

/// Bytes of one object, and objects of one group.
const CASES: [(usize, usize); 7] = [
    (3_200, 1),
    (3_200, 4),
    (3_200, 16),
    (526_000, 1),
    (526_000, 2),
    (526_000, 4),
    (2_000_000, 1),
];

/// Bytes of objects that might get a file of their own.
const LARGE: [usize; 4] = [1 << 20, 2 << 20, 4 << 20, 8 << 20];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: append FOLDER [SECONDS]")?);
    let seconds: f64 = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    let time = Duration::from_secs_f64(seconds);
    std::fs::create_dir_all(&folder)?;
    println!(
        "{:>9} {:>6} {:>12} {:>12} {:>12} {:>8}",
        "bytes", "group", "file/s", "zeroed/s", "log/s", "MB/s"
    );
    for (bytes, group) in CASES {
        let object: Vec<u8> = (0..bytes).map(|at| at.to_le_bytes()[0] ^ 0x5A).collect();
        let (mut file, mut zeroed, mut log) = (0.0_f64, 0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            file = file.max(append_to_file(&folder, &object, group, time, false)?);
            zeroed = zeroed.max(append_to_file(&folder, &object, group, time, true)?);
            log = log.max(append_to_log(&folder, &object, group, time)?);
        }
        let rate = log * to_f64(bytes) / 1e6;
        println!("{bytes:>9} {group:>6} {file:>12.0} {zeroed:>12.0} {log:>12.0} {rate:>8.0}");
    }
    println!("{:>9} {:>12} {:>12}", "bytes", "in log/s", "own file/s");
    for bytes in LARGE {
        let object: Vec<u8> = (0..bytes).map(|at| at.to_le_bytes()[0] ^ 0x5A).collect();
        let (mut log, mut file) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            log = log.max(append_to_log(&folder, &object, 1, time)?);
            file = file.max(store_as_files(&folder, &object, time)?);
        }
        println!("{bytes:>9} {log:>12.0} {file:>12.0}");
    }
    Ok(())
}

/// Objects a second that get files of their own, with a record each.
fn store_as_files(
    folder: &Path,
    object: &[u8],
    time: Duration,
) -> Result<f64, Box<dyn std::error::Error>> {
    let root = folder.join("log");
    let (log, _) = Log::open(Arc::new(RealDisk), &root, LogOptions::default())?;
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        let mut writer = log.new_large_blob()?;
        for part in object.chunks(1 << 20) {
            writer.write(part)?;
        }
        let blob = writer.finish()?;
        let body = Body::File(&blob);
        let kind = RecordKind::ARRIVAL;
        let header = b"CT01 -> ARCHIVE, 10.0.0.17, as received";
        log.append(&[NewRecord { kind, header, body }])?;
        count += 1;
    }
    let rate = to_f64(count) / start.elapsed().as_secs_f64();
    drop(log);
    std::fs::remove_dir_all(root)?;
    Ok(rate)
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Objects a second that are appended to one file, which grows, or was filled with zeros before.
fn append_to_file(
    folder: &Path,
    object: &[u8],
    group: usize,
    time: Duration,
    is_zeroed: bool,
) -> io::Result<f64> {
    let path = folder.join("plain");
    let file = File::create(&path)?;
    let zeroed: u64 = 256 << 20;
    if is_zeroed {
        let zeros = vec![0; 1 << 20];
        for at in (0..zeroed).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
    }
    let bytes: Vec<u8> = object.repeat(group);
    let start = Instant::now();
    let (mut at, mut count) = (0, 0);
    while start.elapsed() < time && (!is_zeroed || at + (bytes.len() as u64) < zeroed) {
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += bytes.len() as u64;
        count += group;
    }
    let rate = to_f64(count) / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Objects a second that are appended to a log, everything included.
fn append_to_log(
    folder: &Path,
    object: &[u8],
    group: usize,
    time: Duration,
) -> Result<f64, Box<dyn std::error::Error>> {
    let root = folder.join("log");
    let (log, _) = Log::open(Arc::new(RealDisk), &root, LogOptions::default())?;
    let parts = [object];
    let start = Instant::now();
    let mut count = 0;
    let mut last = None;
    while start.elapsed() < time {
        let records: Vec<NewRecord<'_>> = (0..group)
            .map(|_| NewRecord {
                kind: RecordKind::ARRIVAL,
                header: b"CT01 -> ARCHIVE, 10.0.0.17, as received",
                body: Body::Bytes {
                    parts: &parts,
                    digest: Digest::of_parts(&parts),
                },
            })
            .collect();
        last = log.append(&records)?.pop();
        count += group;
    }
    let rate = to_f64(count) / start.elapsed().as_secs_f64();
    let blob = last
        .and_then(|appended| appended.blob)
        .ok_or("nothing was appended")?;
    assert!(
        log.open_blob(&blob)?.read_all()? == object,
        "what is measured must be right"
    );
    drop(log);
    std::fs::remove_dir_all(root)?;
    Ok(rate)
}
