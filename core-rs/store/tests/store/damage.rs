//! Bytes that rot, vanish or belong to somebody else: a named error for what is concerned, and
//! everything else as before.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{self, Given, append, bytes_of, delete, tiny};
use vna_io::{Cut, CutDisk, Disk, MemoryDisk, Open, Survival};
use vna_store::sites;
use vna_store::{Damage, DamageKind, Log, LogOptions, Lsn, Recovery, Replayed, StoreError};

struct Ground {
    disk: Arc<MemoryDisk>,
}

impl Ground {
    fn new() -> Ground {
        Ground {
            disk: Arc::new(MemoryDisk::new()),
        }
    }

    fn open(&self) -> (Log, Recovery) {
        self.open_with(tiny())
    }

    fn open_with(&self, options: LogOptions) -> (Log, Recovery) {
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as Arc<dyn Disk>;
        Log::open(disk, Path::new("/store"), options).unwrap()
    }

    fn path(segment: u64) -> PathBuf {
        PathBuf::from(format!("/store/segments/{segment:016x}.seg"))
    }

    fn length(&self, segment: u64) -> u64 {
        self.disk
            .open(&Self::path(segment), Open::Read)
            .unwrap()
            .len()
            .unwrap()
    }

    /// Changes a byte of a segment.
    fn rot(&self, segment: u64, offset: u64) {
        let file = self.disk.open(&Self::path(segment), Open::Write).unwrap();
        let mut byte = [0];
        assert_eq!(file.read_at(&mut byte, offset).unwrap(), 1);
        byte[0] ^= 0x10;
        file.write_all_at(&[IoSlice::new(&byte)], offset).unwrap();
    }

    fn cut_short(&self, segment: u64, length: u64) {
        self.disk
            .open(&Self::path(segment), Open::Write)
            .unwrap()
            .set_len(length)
            .unwrap();
    }
}

/// Positions that are read, and what is damaged.
fn replay(log: &Log) -> (Vec<Lsn>, Vec<Damage>) {
    let (mut lsns, mut damages) = (Vec::new(), Vec::new());
    log.replay(1, |replayed| {
        match replayed {
            Replayed::Record(record) => lsns.push(record.lsn),
            Replayed::Damaged(damage) => damages.push(damage),
        }
        Ok::<(), StoreError>(())
    })
    .unwrap();
    (lsns, damages)
}

fn read(log: &Log, given: &Given) -> Result<Vec<u8>, &'static str> {
    let reader = log.open_blob(&given.blob).map_err(|error| error.code())?;
    reader.verify().map_err(|error| error.code())?;
    reader.read_all().map_err(|error| error.code())
}

fn findings(log: &Log) -> Vec<Damage> {
    let mut findings = Vec::new();
    log.verify(&|_| true, |finding| {
        findings.push(finding.damage);
        Ok::<(), StoreError>(())
    })
    .unwrap();
    findings
}

/// A sealed pack of four arrivals of 100 bytes.
fn pack(ground: &Ground) -> (Log, Vec<Given>, u64) {
    let (log, _) = ground.open();
    let given = append(&log, &[100, 100, 100, 100]);
    log.rotate().unwrap();
    let segment = given[0].blob.place.segment();
    (log, given, segment)
}

#[test]
fn a_rotten_blob_of_a_pack_is_an_error_of_that_blob_alone() {
    let ground = Ground::new();
    let (log, given, segment) = pack(&ground);
    ground.rot(segment, given[1].blob.place.offset() + 88 + 9 + 50);
    assert_eq!(read(&log, &given[1]), Err("record.body_digest"));
    for other in [0, 2, 3] {
        assert_eq!(read(&log, &given[other]).unwrap(), given[other].bytes);
    }
    let found = findings(&log);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].kind, found[0].lsn),
        (DamageKind::Body, Some(given[1].lsn))
    );
    assert_eq!(found[0].key, Some(given[1].blob.key));
    assert_eq!(
        replay(&log),
        (vec![1, 2, 3, 4], vec![]),
        "its header can still be read"
    );
    // Compaction copies no damage: it says so, and the pack stays.
    log.mark_dead(&[given[0].blob]);
    let is_live = |key: &_| *key != given[0].blob.key;
    let error = log
        .compact(segment, 0, Lsn::MAX, &is_live, &mut |_| {
            Ok::<(), StoreError>(())
        })
        .err()
        .unwrap();
    assert_eq!(error.code(), "record.body_digest");
    assert_eq!(error.offset(), Some(given[1].blob.place.offset()));
    assert_eq!(read(&log, &given[2]).unwrap(), given[2].bytes);
}

#[test]
fn a_rotten_record_header_of_a_pack_is_an_error_of_that_record_alone() {
    let ground = Ground::new();
    let (log, given, segment) = pack(&ground);
    drop(log);
    ground.rot(segment, given[2].blob.place.offset() + 20);
    let (log, recovery) = ground.open();
    assert_eq!(recovery.damages, [], "packs are not read at opening");
    assert_eq!(read(&log, &given[2]), Err("record.header_checksum"));
    assert_eq!(read(&log, &given[3]).unwrap(), given[3].bytes);
    let (lsns, damages) = replay(&log);
    assert_eq!(lsns, [1, 2, 4]);
    assert_eq!(
        (damages[0].kind, damages[0].lsn),
        (DamageKind::Header, Some(3))
    );
    assert_eq!(findings(&log).len(), 1);
}

#[test]
fn a_pack_with_a_rotten_index_or_footer_is_read_through() {
    for from_end in [1, 20, 40, 64, 65, 100, 200] {
        let ground = Ground::new();
        let (log, given, segment) = pack(&ground);
        append(&log, &[50]);
        drop(log);
        ground.rot(segment, ground.length(segment) - from_end);
        let (log, recovery) = ground.open();
        assert_eq!(recovery.damages, []);
        let (lsns, damages) = replay(&log);
        assert_eq!(lsns, [1, 2, 3, 4, 5], "{from_end} bytes from the end");
        assert!(
            damages
                .iter()
                .all(|damage| damage.kind == DamageKind::Index)
        );
        // Either the footer is not valid, and the index is written again, or the index is not.
        assert!(
            recovery.scanned == 2 || damages.len() == 1 || from_end <= 4,
            "{from_end}"
        );
        for given in &given {
            assert_eq!(read(&log, given).unwrap(), given.bytes);
        }
    }
}

#[test]
fn damage_to_acknowledged_records_of_the_open_segment_is_told_from_a_torn_end() {
    let ground = Ground::new();
    let (log, _) = ground.open();
    let given: Vec<Given> = (0..5).map(|_| append(&log, &[200]).remove(0)).collect();
    drop(log);
    let segment = given[0].blob.place.segment();
    ground.rot(segment, given[2].blob.place.offset() + 30);
    let (log, recovery) = ground.open();
    let until = given[3].blob.place.offset();
    assert_eq!(recovery.damages.len(), 1);
    assert_eq!(recovery.damages[0].kind, DamageKind::Unreadable { until });
    assert_eq!(recovery.damages[0].offset, given[2].blob.place.offset());
    assert_eq!(replay(&log).0, [1, 2, 4, 5]);
    let next = append(&log, &[10]).remove(0);
    assert_eq!(next.lsn, 6);
    log.rotate().unwrap();
    assert_eq!(
        findings(&log).len(),
        1,
        "the gap in the pack is still found"
    );
    assert_eq!(read(&log, &given[4]).unwrap(), given[4].bytes);
    assert_eq!(read(&log, &next).unwrap(), next.bytes);
}

#[test]
fn what_the_index_covers_is_never_taken_for_a_torn_end() {
    let ground = Ground::new();
    let (log, _) = ground.open();
    let given: Vec<Given> = (0..3).map(|_| append(&log, &[200]).remove(0)).collect();
    drop(log);
    let segment = given[0].blob.place.segment();
    ground.rot(segment, given[2].blob.place.offset() + 30);
    let options = LogOptions {
        known_good_lsn: 3,
        ..tiny()
    };
    let (log, recovery) = ground.open_with(options);
    assert_eq!(recovery.lost_from, Some(3));
    assert_eq!(
        append(&log, &[10])[0].lsn,
        4,
        "position 3 is not used again"
    );
}

#[test]
fn a_torn_end_is_cut_off_and_its_positions_are_free() {
    let ground = Ground::new();
    let (log, _) = ground.open();
    let given: Vec<Given> = (0..3).map(|_| append(&log, &[200]).remove(0)).collect();
    drop(log);
    let segment = given[0].blob.place.segment();
    let torn = given[2].blob.place.offset();
    ground.rot(segment, torn + 200);
    let (log, recovery) = ground.open();
    assert_eq!((recovery.damages, recovery.lost_from), (vec![], None));
    assert!(recovery.remains_bytes > 200);
    assert_eq!(ground.length(segment), torn);
    assert_eq!(read(&log, &given[2]), Err("record.header_checksum"));
    assert_eq!(append(&log, &[10])[0].lsn, 3);
}

#[test]
fn zeros_written_ahead_are_never_records() {
    let ground = Ground::new();
    let options = LogOptions {
        prefill_ahead_bytes: 4 << 10,
        ..tiny()
    };
    let (log, _) = ground.open_with(options.clone());
    let given = append(&log, &[100]).remove(0);
    let segment = given.blob.place.segment();
    let end = given.blob.place.offset() + log.segments()[0].bytes - 1024;
    assert!(
        ground.length(segment) > end + 1_000,
        "there are zeros ahead"
    );
    drop(log);
    let (log, recovery) = ground.open_with(options.clone());
    assert_eq!((recovery.remains_bytes, recovery.last_lsn), (0, 1));
    let before = ground.length(segment);
    append(&log, &[100]);
    assert_eq!(
        ground.length(segment),
        before,
        "they are used, not written again"
    );
    log.rotate().unwrap();
    assert!(ground.length(segment) < before, "a pack does not keep them");
    assert_eq!(replay(&log).0, [1, 2]);
}

#[test]
fn a_segment_header_has_two_copies() {
    for (rotten, expected) in [(vec![30], 4), (vec![512 + 30], 4), (vec![30, 512 + 30], 0)] {
        let ground = Ground::new();
        let (log, _, segment) = pack(&ground);
        drop(log);
        rotten
            .iter()
            .for_each(|offset| ground.rot(segment, *offset));
        let (log, recovery) = ground.open();
        assert_eq!(replay(&log).0.len(), expected);
        assert_eq!(recovery.quarantined.len(), usize::from(expected == 0));
        assert!(
            append(&log, &[10])[0].lsn > 4,
            "positions are not used again"
        );
    }
}

#[test]
fn files_of_another_version_or_log_are_refused_and_strangers_ignored() {
    let ground = Ground::new();
    let (log, _, segment) = pack(&ground);
    drop(log);
    let mut header = vec![0; 1024];
    let file = ground
        .disk
        .open(&Ground::path(segment), Open::Write)
        .unwrap();
    file.read_at(&mut header, 0).unwrap();

    let stranger = ground
        .disk
        .open(Path::new("/store/segments/notes.txt"), Open::Create)
        .unwrap();
    stranger.write_all_at(&[IoSlice::new(b"hello")], 0).unwrap();
    drop(ground.open());

    let refused = |change: &dyn Fn(&mut [u8])| {
        let mut changed = header.clone();
        for copy in [0, 512] {
            let copy = &mut changed[copy..copy + 128];
            change(copy);
            let crc = crc32c::crc32c(&copy[..124]);
            copy[124..].copy_from_slice(&crc.to_le_bytes());
        }
        file.write_all_at(&[IoSlice::new(&changed)], 0).unwrap();
        let disk: Arc<dyn Disk> = Arc::clone(&ground.disk) as Arc<dyn Disk>;
        Log::open(disk, Path::new("/store"), tiny()).err().unwrap()
    };
    let version = refused(&|copy| copy[8] = 9);
    assert_eq!(version.code(), "segment.version");
    assert!(
        version.to_string().contains("format version 9"),
        "{version}"
    );
    assert_eq!(refused(&|copy| copy[24] ^= 1).code(), "segment.foreign");
}

#[test]
fn a_large_blob_that_lost_bytes_says_so() {
    let ground = Ground::new();
    let (log, _) = ground.open();
    let bytes = bytes_of(3, 10_000);
    let given = common::append_large(&log, &bytes);
    let key = given.blob.key;
    let path = PathBuf::from(format!("/store/blobs/{:02x}/{key}.blob", key.0[0]));
    let file = ground.disk.open(&path, Open::Write).unwrap();
    file.write_all_at(&[IoSlice::new(&[!bytes[7_000]])], 7_000)
        .unwrap();
    assert_eq!(read(&log, &given), Err("record.body_digest"));
    file.set_len(9_999).unwrap();
    assert_eq!(read(&log, &given), Err("record.truncated"));
    ground.disk.remove(&path).unwrap();
    assert_eq!(
        findings(&log)[0].kind,
        DamageKind::Truncated,
        "an open handle is still read"
    );
    drop(log);
    let (log, _) = ground.open();
    assert_eq!(read(&log, &given), Err("blob.gone"));
    assert_eq!(findings(&log)[0].kind, DamageKind::FileMissing);
}

#[test]
fn a_pack_that_was_cut_short_loses_what_is_behind() {
    let ground = Ground::new();
    let (log, given, segment) = pack(&ground);
    delete(&log, b"x");
    drop(log);
    ground.cut_short(segment, given[3].blob.place.offset() + 20);
    let (log, recovery) = ground.open();
    assert_eq!(recovery.damages.len(), 1);
    assert_eq!(recovery.damages[0].offset, given[3].blob.place.offset());
    assert_eq!(replay(&log).0, [1, 2, 3, 5]);
    assert_eq!(read(&log, &given[3]), Err("record.header_checksum"));
    assert_eq!(read(&log, &given[2]).unwrap(), given[2].bytes);
}

#[test]
fn no_byte_of_a_pack_can_change_what_is_read() {
    let length = {
        let ground = Ground::new();
        let (_, _, segment) = pack(&ground);
        ground.length(segment)
    };
    for offset in (0..length).step_by(3) {
        let ground = Ground::new();
        let (log, given, segment) = pack(&ground);
        drop(log);
        ground.rot(segment, offset);
        let (log, _) = ground.open();
        for given in &given {
            if let Ok(bytes) = read(&log, given) {
                assert_eq!(bytes, given.bytes, "byte {offset}");
            }
        }
        let (lsns, damages) = replay(&log);
        let is_whole = lsns == [1, 2, 3, 4];
        let is_one_short = lsns.len() == 3 && damages.len() == 1;
        assert!(
            is_whole || is_one_short,
            "byte {offset}: {lsns:?}, {damages:?}"
        );
    }
}

/// What is in the quarantine, by name.
fn quarantined(disk: &dyn Disk) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new("/store/quarantine");
    let mut found: Vec<_> = disk
        .list(folder)
        .unwrap_or_default()
        .into_iter()
        .map(|name| {
            let file = disk.open(&folder.join(&name), Open::Read).unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read_at(&mut bytes, 0).unwrap();
            (name, bytes)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn what_is_damaged_is_set_aside_once_and_the_pack_written_again_without() {
    let ground = Ground::new();
    let (log, given, segment) = pack(&ground);
    let offset = given[1].blob.place.offset();
    ground.rot(segment, offset + 88 + 9 + 50);
    let found = findings(&log);
    let aside = log.set_aside(&found[0]).unwrap().unwrap();
    assert_eq!(
        aside.name,
        format!("quarantine/{segment:016x}-{offset}.piece")
    );
    assert_eq!(log.set_aside(&found[0]).unwrap(), Some(aside.clone()));
    let copies = quarantined(&*ground.disk);
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].1.len() as u64, aside.bytes);
    let damaged = |copy: &[u8]| {
        let differ = copy.iter().zip(&given[1].bytes).filter(|(a, b)| a != b);
        copy.len() == given[1].bytes.len() && differ.count() == 1
    };
    let length = given[1].bytes.len();
    assert!(copies[0].1.windows(length).any(damaged));

    let mut moved = Vec::new();
    let mended = log.mend(segment, Lsn::MAX, &mut |some| {
        moved.extend_from_slice(some);
        Ok::<(), StoreError>(())
    });
    assert_eq!(mended.unwrap().records, 3);
    assert_eq!(moved.len(), 3);
    assert_eq!(findings(&log), []);
    for moved in moved {
        let given = given.iter().find(|given| given.blob.key == moved.key);
        let given = given.unwrap();
        let blob = vna_store::BlobRef {
            place: moved.to,
            ..given.blob
        };
        let found = log.open_blob(&blob).unwrap().read_all().unwrap();
        assert_eq!(found, given.bytes);
    }
    assert_eq!(replay(&log).0, [1, 3, 4], "positions stay as they were");
}

#[test]
fn a_copy_in_the_quarantine_survives_a_power_cut_and_needs_both_its_syncs() {
    for skipped in [None, Some(sites::ASIDE_BYTES), Some(sites::ASIDE_NAME)] {
        let disk = CutDisk::new();
        let open = || Log::open(Arc::new(disk.clone()), Path::new("/store"), tiny()).unwrap();
        let (log, _) = open();
        let given = append(&log, &[100, 100]);
        log.rotate().unwrap();
        let segment = given[0].blob.place.segment();
        let file = disk.open(&Ground::path(segment), Open::Write).unwrap();
        let at = given[0].blob.place.offset() + 150;
        file.write_all_at(&[IoSlice::new(b"rot")], at).unwrap();
        file.sync_data(sites::SEAL).unwrap();
        if let Some(site) = skipped {
            disk.skip_syncs_at(site);
        }
        let aside = log.set_aside(&findings(&log)[0]).unwrap().unwrap();
        disk.cut_at(Cut::AtOperation(disk.operations() + 1));
        drop(log.append(&[]));
        let after = disk.survive(Survival::Nothing);
        let copies = quarantined(&after);
        let is_kept = copies.len() == 1
            && copies[0].1.len() as u64 == aside.bytes
            && copies[0].1.iter().any(|byte| *byte != 0);
        assert_eq!(is_kept, skipped.is_none(), "without {skipped:?}");
    }
}

#[test]
fn a_log_whose_end_is_missing_says_so_at_every_opening() {
    let ground = Ground::new();
    let (log, given, _) = pack(&ground);
    let last = append(&log, &[100]).remove(0);
    drop(log);
    let options = LogOptions {
        known_good_lsn: last.lsn,
        ..tiny()
    };
    let damaged = last.blob.place.offset() + 20;
    ground.rot(last.blob.place.segment(), damaged);
    for _ in 0..2 {
        let (log, recovery) = ground.open_with(options.clone());
        assert_eq!(recovery.lost_from, Some(last.lsn));
        // Its bytes are left where they are: only its header is damaged.
        let salvaged = log.salvage(&last.blob, &|_| Vec::new()).unwrap();
        assert_eq!(salvaged, Some(last.bytes.clone()));
    }
    ground
        .disk
        .remove(&Ground::path(last.blob.place.segment()))
        .unwrap();
    for _ in 0..2 {
        let (log, recovery) = ground.open_with(options.clone());
        assert_eq!(recovery.lost_from, Some(last.lsn));
        assert_eq!(read(&log, &given[0]).unwrap(), given[0].bytes);
    }
    let (log, _) = ground.open_with(options);
    assert!(
        append(&log, &[10])[0].lsn > last.lsn,
        "positions are not used again"
    );
}
