//! How long it takes to open a store after a kill, and to read the whole log.
//!
//! `cargo run --release -p vna-store --example reopen -- FOLDER [OBJECTS [BYTES]]`. Opened twice: with
//! nothing known to be good, when the last segment is compared with its digests, and as after a
//! kill of a server whose index has kept up. The files are in the page cache, as they are then.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use vna_io::RealDisk;
use vna_store::{Body, Digest, Log, LogOptions, Lsn, NewRecord, RecordKind, Replayed, StoreError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: reopen FOLDER [OBJECTS [BYTES]]")?,
    );
    let objects: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let bytes: usize = arguments.next().map_or(Ok(3_200), |text| text.parse())?;
    let start = Instant::now();
    fill(&folder, objects, bytes)?;
    println!(
        "filled with {objects} objects of {bytes} bytes in {:.2?}",
        start.elapsed()
    );
    for known_good_lsn in [0, objects] {
        let start = Instant::now();
        let options = LogOptions {
            known_good_lsn,
            ..LogOptions::default()
        };
        let (log, recovery) = Log::open(Arc::new(RealDisk), &folder, options)?;
        let opened = start.elapsed();
        assert_eq!((recovery.last_lsn, recovery.damages.len()), (objects, 0));
        println!(
            "opened with LSN {known_good_lsn} known to be good in {opened:.2?}: {} segments, {} scanned",
            recovery.segments, recovery.scanned
        );
        for from in [1, objects] {
            let start = Instant::now();
            let mut count: Lsn = 0;
            log.replay(from, |replayed| {
                count += u64::from(matches!(replayed, Replayed::Record(_)));
                Ok::<(), StoreError>(())
            })?;
            assert_eq!(count, objects - from + 1);
            println!("replayed {count} records in {:.2?}", start.elapsed());
        }
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn fill(folder: &Path, objects: u64, bytes: usize) -> Result<(), StoreError> {
    let (log, _) = Log::open(Arc::new(RealDisk), folder, LogOptions::default())?;
    let object: Vec<u8> = (0..bytes).map(|at| at.to_le_bytes()[0] ^ 0x5A).collect();
    let parts = [&object[..]];
    let digest = Digest::of_parts(&parts);
    let body = Body::Bytes {
        parts: &parts,
        digest,
    };
    let kind = RecordKind::ARRIVAL;
    let record = NewRecord {
        kind,
        header: b"CT01 -> ARCHIVE, 10.0.0.17, as received",
        body,
    };
    let mut left = objects;
    while left > 0 {
        let group = vec![record; usize::try_from(left.min(2_000)).unwrap_or(1)];
        log.append(&group)?;
        left -= group.len() as u64;
    }
    Ok(())
}
