//! One suite for every disk that a log lives on.

mod evidence;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{self, Given, arrival, bytes_of, delete, records_of, tiny};
use vna_io::{Disk, MemoryDisk, RealDisk};
use vna_store::{
    BlobKey, BlobRef, Body, Damage, Digest, LiveCount, Log, LogOptions, Lsn, MAX_HEADER_BYTES,
    NewRecord, RecordKind, StoreError,
};

/// A disk and a folder on it that a test has for itself.
struct Ground {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl Ground {
    fn open(&self) -> Log {
        self.open_with(tiny()).0
    }

    fn open_with(&self, options: LogOptions) -> (Log, vna_store::Recovery) {
        Log::open(Arc::clone(&self.disk), &self.root, options).unwrap()
    }
}

fn what_is_appended_is_read_back(ground: &Ground) {
    let log = ground.open();
    let sizes = [0, 1, 7, 8, 9, 511, 512, 513, 3_000, 70_000, 700_000];
    let mut given = Vec::new();
    for group in sizes.chunks(3) {
        given.extend(common::append(&log, group));
    }
    for given in &given {
        assert_eq!(
            log.open_blob(&given.blob).unwrap().read_all().unwrap(),
            given.bytes
        );
        log.open_blob(&given.blob).unwrap().verify().unwrap();
        let mut buffer = vec![0; 100];
        let read = log.read(&given.blob, 5, &mut buffer).unwrap();
        let expected = given.bytes.get(5..).unwrap_or_default();
        assert_eq!(buffer[..read], expected[..expected.len().min(100)]);
        assert_eq!(log.read(&given.blob, u64::MAX, &mut buffer).unwrap(), 0);
    }
    assert!(
        log.segments().len() > 1,
        "the sizes must fill several segments"
    );
    let lsns: Vec<u64> = given.iter().map(|given| given.lsn).collect();
    assert_eq!(lsns, (1..=sizes.len() as u64).collect::<Vec<_>>());
}

fn a_large_group_ends_with_a_block_of_the_disk(ground: &Ground) {
    let options = LogOptions {
        segment_bytes: 1 << 20,
        ..tiny()
    };
    let (log, _) = ground.open_with(options.clone());
    let mut given = common::append(&log, &[100, 100_001, 40_000]);
    given.extend(common::append(&log, &[200_003]));
    given.extend(common::append(&log, &[50]));
    let starts = [3, 4].map(|at: usize| given[at].blob.place.offset());
    assert_eq!(starts.map(|start| start % 4096), [0, 0]);
    log.rotate().unwrap();
    drop(log);
    let (log, recovery) = ground.open_with(options);
    assert_eq!(recovery.damages, []);
    assert_eq!(records_of(&log, 1).len(), 5);
    let verified = log.verify(&|_| true, |_| Ok::<(), StoreError>(()));
    assert_eq!(verified.unwrap().findings, 0);
    // Compaction leaves the padding out.
    log.set_live(&count_live(&[given[1].blob, given[4].blob]));
    let live = [given[1].blob.key, given[4].blob.key];
    let pack = log.segments()[0].segment;
    let mut places = Vec::new();
    let done = log.compact(pack, 0, Lsn::MAX, &|key| live.contains(key), &mut |moves| {
        places.extend(moves.iter().map(|moved| moved.to));
        Ok::<(), StoreError>(())
    });
    assert_eq!(done.unwrap().records, 2);
    for (place, given) in places.iter().zip([&given[1], &given[4]]) {
        let blob = BlobRef {
            place: *place,
            ..given.blob
        };
        assert_eq!(
            log.open_blob(&blob).unwrap().read_all().unwrap(),
            given.bytes
        );
    }
    let end = log.segments()[0].bytes;
    assert!(end < 1024 + 100_001 + 50 + 400, "{end}");
}

fn a_reopened_log_has_every_record_in_order(ground: &Ground) {
    let mut expected = Vec::new();
    for round in 0..4 {
        let (log, recovery) = ground.open_with(tiny());
        assert_eq!(recovery.damages, []);
        assert_eq!(recovery.last_lsn, expected.len() as u64);
        assert_eq!(records_of(&log, 1), expected);
        for size in [10, 3_000, 900] {
            let given = common::append(&log, &[size]).remove(0);
            expected.push((
                given.lsn,
                RecordKind::ARRIVAL,
                given.header,
                Some(given.blob),
            ));
            let header = format!("delete {round} {size}");
            let lsn = delete(&log, header.as_bytes());
            expected.push((lsn, RecordKind::DELETE, header.into_bytes(), None));
        }
        assert_eq!(records_of(&log, 1), expected);
        assert_eq!(records_of(&log, 5), expected[4.min(expected.len())..]);
        assert_eq!(records_of(&log, 1_000), []);
    }
    let log = ground.open();
    for (_, _, _, blob) in expected.iter().filter(|record| record.3.is_some()) {
        log.open_blob(&blob.unwrap()).unwrap().verify().unwrap();
    }
}

fn one_opener_at_a_time(ground: &Ground) {
    let log = ground.open();
    let second = Log::open(Arc::clone(&ground.disk), &ground.root, tiny());
    assert_eq!(second.err().unwrap().code(), "store.locked");
    drop(log);
    ground.open();
}

fn a_reader_never_gets_another_blob(ground: &Ground) {
    let log = ground.open();
    let given = common::append(&log, &[100, 100]);
    let (a, b) = (given[0].blob, given[1].blob);
    let code = |blob: &BlobRef| log.open_blob(blob).err().unwrap().code();
    assert_eq!(code(&BlobRef { key: b.key, ..a }), "blob.other");
    assert_eq!(
        code(&BlobRef {
            place: b.place,
            ..a
        }),
        "blob.other"
    );
    assert_eq!(
        code(&BlobRef {
            digest: b.digest,
            ..a
        }),
        "blob.other"
    );
    assert_eq!(code(&BlobRef { size: 99, ..a }), "record.header_checksum");
    let vna_store::Place::Segment { segment, offset } = a.place else {
        panic!()
    };
    let at = |segment, offset| vna_store::Place::Segment { segment, offset };
    assert_eq!(
        code(&BlobRef {
            place: at(segment, offset + 8),
            ..a
        }),
        "record.header_checksum"
    );
    assert_eq!(
        code(&BlobRef {
            place: at(segment, 1 << 60),
            ..a
        }),
        "record.header_checksum"
    );
    assert_eq!(
        code(&BlobRef {
            place: at(segment + 77, offset),
            ..a
        }),
        "blob.gone"
    );
    let file = vna_store::Place::File { segment, offset };
    assert_eq!(code(&BlobRef { place: file, ..a }), "blob.gone");
}

fn what_the_log_does_not_take_is_refused(ground: &Ground) {
    let log = ground.open();
    let code = |record: NewRecord<'_>| log.append(&[record]).err().unwrap().code();
    let none = NewRecord {
        kind: RecordKind::DELETE,
        header: b"",
        body: Body::None,
    };
    assert_eq!(
        code(NewRecord {
            kind: RecordKind(0xF0),
            ..none
        }),
        "record.reserved_kind"
    );
    let header = vec![0; vna_store::MAX_HEADER_BYTES + 1];
    assert_eq!(
        code(NewRecord {
            header: &header,
            ..none
        }),
        "record.too_large"
    );
    let big = vec![0; usize::try_from(log.options().max_inline_bytes()).unwrap() + 1];
    let parts = [&big[..]];
    let body = Body::Bytes {
        parts: &parts,
        digest: Digest::default(),
    };
    assert_eq!(code(NewRecord { body, ..none }), "record.too_large");
    assert_eq!(log.append(&[]).unwrap(), []);
    assert_eq!(log.last_lsn(), 0);
    log.append(&[NewRecord {
        header: &header[1..],
        ..none
    }])
    .unwrap();
}

fn large_blobs_are_files_of_their_own(ground: &Ground) {
    let bytes = bytes_of(9, 200_000);
    let blob = {
        let log = ground.open();
        let given = common::append_large(&log, &bytes);
        assert_eq!(
            log.open_blob(&given.blob).unwrap().read_all().unwrap(),
            bytes
        );
        // One that is dropped before it is finished, and one before it is appended.
        log.new_large_blob().unwrap().write(b"half").unwrap();
        let mut writer = log.new_large_blob().unwrap();
        writer.write(b"whole").unwrap();
        drop(writer.finish().unwrap());
        assert_eq!(
            ground.disk.list(&ground.root.join("incoming")).unwrap(),
            Vec::<String>::new()
        );
        given.blob
    };
    let log = ground.open();
    assert_eq!(records_of(&log, 1)[0].3, Some(blob));
    log.open_blob(&blob).unwrap().verify().unwrap();
    let sweep = log.sweep(&|key, _| *key == blob.key).unwrap();
    assert_eq!(
        (sweep.files, sweep.removed, sweep.quarantined),
        (1, vec![], vec![])
    );

    let reader = log.open_blob(&blob).unwrap();
    assert_eq!(log.remove_files(&[blob.key]).unwrap(), 1);
    assert_eq!(log.remove_files(&[blob.key]).unwrap(), 0);
    assert_eq!(log.open_blob(&blob).err().unwrap().code(), "blob.gone");
    assert_eq!(reader.read_all().unwrap(), bytes, "an open reader reads on");
}

fn files_that_nobody_wants_are_swept(ground: &Ground) {
    let (wanted, dead) = {
        let log = ground.open();
        let wanted = common::append_large(&log, b"wanted").blob;
        (wanted, common::append_large(&log, b"dead").blob)
    };
    let stranger = BlobKey([0xAB; 16]);
    let folder = ground.root.join("blobs/ab");
    ground.disk.create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{stranger}.blob"));
    ground.disk.open(&path, vna_io::Open::CreateNew).unwrap();
    let unfinished = ground.root.join("incoming/x.part");
    ground
        .disk
        .open(&unfinished, vna_io::Open::CreateNew)
        .unwrap();

    let (log, recovery) = ground.open_with(tiny());
    assert_eq!(recovery.unfinished_removed, 1);
    let fresh = common::append_large(&log, b"fresh").blob;
    let sweep = log.sweep(&|key, _| *key == wanted.key).unwrap();
    assert_eq!(sweep.removed, [dead.key]);
    assert_eq!(sweep.quarantined, [format!("{stranger}.blob")]);
    assert!(
        ground
            .disk
            .exists(&ground.root.join(format!("quarantine/{stranger}.blob")))
            .unwrap()
    );
    for blob in [wanted, fresh] {
        log.open_blob(&blob).unwrap().verify().unwrap();
    }
}

/// The live blobs by segment, as the index would count them.
fn count_live(blobs: &[BlobRef]) -> HashMap<u64, LiveCount> {
    let mut counts: HashMap<u64, LiveCount> = HashMap::new();
    for blob in blobs {
        let count = counts.entry(blob.place.segment()).or_default();
        count.records += 1;
        if matches!(blob.place, vna_store::Place::Segment { .. }) {
            count.bytes += blob.size;
        }
    }
    counts
}

/// Drops what the counts call dead, for an index that agrees and covers all.
fn drop_dead(log: &Log, settled: Lsn) -> Vec<u64> {
    let nothing = |_| Ok::<bool, StoreError>(false);
    log.drop_dead(settled, Lsn::MAX, &nothing).unwrap()
}

fn dead_packs_are_dropped_and_their_deeds_with_them(ground: &Ground) {
    let log = ground.open();
    let first = common::append(&log, &[1000, 1000]);
    log.rotate().unwrap();
    let second = common::append(&log, &[1000]);
    delete(&log, b"first");
    let deed = log.last_lsn();
    log.rotate().unwrap();
    let third = common::append(&log, &[1000]);
    log.rotate().unwrap();
    let packs: Vec<u64> = log.segments().iter().map(|info| info.segment).collect();

    log.mark_dead(&[second[0].blob, first[0].blob]);
    // The first pack still holds what the deed kills, so the deed has to stay.
    assert_eq!(drop_dead(&log, deed), []);
    log.mark_dead(&[first[1].blob]);
    let reader = log.open_blob(&first[0].blob).unwrap();
    assert_eq!(
        drop_dead(&log, deed - 1),
        [packs[0]],
        "the deed is not settled"
    );
    assert_eq!(log.horizon(), 0);
    assert_eq!(drop_dead(&log, deed), [packs[1]]);
    assert_eq!(log.horizon(), deed);
    assert_eq!(
        reader.read_all().unwrap(),
        first[0].bytes,
        "an open reader reads on"
    );
    assert_eq!(
        log.open_blob(&first[0].blob).err().unwrap().code(),
        "blob.gone"
    );
    log.open_blob(&third[0].blob).unwrap().verify().unwrap();
    assert_eq!(
        log.live(packs[2]),
        Some(LiveCount {
            records: 1,
            bytes: 1000
        })
    );
    drop(log);

    let (log, recovery) = ground.open_with(tiny());
    assert_eq!(recovery.horizon, deed);
    let left: Vec<u64> = records_of(&log, 1).iter().map(|record| record.0).collect();
    assert_eq!(left, [third[0].lsn]);
    assert!(log.stats().next_lsn > deed);
    log.mark_dead(&[third[0].blob]);
    assert_eq!(drop_dead(&log, deed), [], "nobody has said what is live");
    log.set_live(&count_live(&[]));
    assert_eq!(drop_dead(&log, deed), [packs[2]]);
}

fn what_no_group_can_take_is_told_before(ground: &Ground) {
    let log = ground.open();
    let limit = tiny().max_inline_bytes();
    log.check(limit, MAX_HEADER_BYTES).unwrap();
    let size = usize::try_from(limit).unwrap();
    for (body, header) in [(size + 1, 0), (0, MAX_HEADER_BYTES + 1)] {
        let told = log.check(body as u64, header).err().unwrap();
        assert_eq!(told.code(), "record.too_large");
        let (body, header) = (vec![0; body], vec![0; header]);
        let parts: &[&[u8]] = &[&body];
        let record = NewRecord {
            kind: RecordKind::ARRIVAL,
            header: &header,
            body: Body::Bytes {
                parts,
                digest: Digest::of_parts(parts),
            },
        };
        let refused = log.append(&[record]).err().unwrap();
        assert_eq!(refused.to_string(), told.to_string());
    }
    assert_eq!(log.last_lsn(), 0);
}

fn compaction_keeps_order_and_what_is_live(ground: &Ground) {
    let log = ground.open();
    let given = common::append(&log, &[400, 500, 0, 600, 700]);
    let large = common::append_large(&log, b"a large one");
    let dead_large = common::append_large(&log, b"a dead one");
    delete(&log, b"deed");
    let deed = log.last_lsn();
    log.rotate().unwrap();
    let pack = log.segments()[0].segment;
    let mut wanted: HashMap<BlobKey, (BlobRef, Vec<u8>)> = HashMap::new();
    for given in [&given[0], &given[2], &given[4], &large] {
        wanted.insert(given.blob.key, (given.blob, given.bytes.clone()));
    }
    let blobs: Vec<BlobRef> = wanted.values().map(|(blob, _)| *blob).collect();
    log.set_live(&count_live(&blobs));
    let before: Vec<_> = records_of(&log, 1);

    let keys: Vec<BlobKey> = wanted.keys().copied().collect();
    // The first try is cut off when the index is told: both packs are there, and readable.
    let refused = log.compact(pack, 0, Lsn::MAX, &|key| keys.contains(key), &mut |_| {
        Err(StoreError::ReservedKind(1))
    });
    assert_eq!(refused.err().unwrap().code(), "record.reserved_kind");
    for (blob, bytes) in wanted.values() {
        assert_eq!(log.open_blob(blob).unwrap().read_all().unwrap(), *bytes);
    }
    log.mark_dead(&[given[4].blob]);
    drop(log);
    let (log, recovery) = ground.open_with(tiny());
    assert_eq!(recovery.unfinished_compactions.len(), 1);
    assert_eq!(recovery.unfinished_compactions[0].0, pack);

    let mut relocate = |moves: &[vna_store::Moved]| {
        for moved in moves {
            let (blob, _) = wanted.get_mut(&moved.key).unwrap();
            assert_eq!(blob.place, moved.from);
            blob.place = moved.to;
        }
        Ok::<(), StoreError>(())
    };
    let done = log
        .compact(pack, 0, Lsn::MAX, &|key| keys.contains(key), &mut relocate)
        .unwrap();
    assert_eq!(done.pack, Some(recovery.unfinished_compactions[0].1));
    assert_eq!(done.records, 5, "four blobs and a deed");
    assert!(done.bytes_after < done.bytes_before);
    let kept: Vec<u64> = [&given[0], &given[2], &given[4], &large]
        .map(|g| g.lsn)
        .to_vec();
    let check = |log: &Log| {
        for (blob, bytes) in wanted.values() {
            let reader = log.open_blob(blob).unwrap();
            assert_eq!(reader.read_all().unwrap(), *bytes);
            reader.verify().unwrap();
        }
        let after = records_of(log, 1);
        let lsns: Vec<u64> = after.iter().map(|record| record.0).collect();
        assert_eq!(lsns, [&kept[..], &[deed]].concat());
        for record in &after {
            let old = before.iter().find(|old| old.0 == record.0).unwrap();
            assert_eq!((&record.1, &record.2), (&old.1, &old.2));
        }
        assert_eq!(
            log.open_blob(&given[1].blob).err().unwrap().code(),
            "blob.gone"
        );
        assert_eq!(
            log.open_blob(&dead_large.blob).err().unwrap().code(),
            "blob.gone"
        );
    };
    check(&log);
    drop(log);
    check(&ground.open());
}

fn verify_reads_everything(ground: &Ground) {
    let log = ground.open();
    common::append(&log, &[100, 3000, 20]);
    let large = common::append_large(&log, &bytes_of(4, 5000));
    delete(&log, b"x");
    let mut findings: Vec<Damage> = Vec::new();
    let verified = log
        .verify(&|_| true, |finding| {
            findings.push(finding.damage);
            Ok::<(), StoreError>(())
        })
        .unwrap();
    assert_eq!(
        (verified.records, verified.bytes, findings.len()),
        (5, 8120, 0)
    );
    log.remove_files(&[large.blob.key]).unwrap();
    let count = |is_live: bool| {
        log.verify(&|_| is_live, |_| Ok::<(), StoreError>(()))
            .unwrap()
            .findings
    };
    assert_eq!(
        (count(true), count(false)),
        (1, 0),
        "only a wanted file is missed"
    );
}

fn readers_and_the_writer_do_not_wait_for_each_other(ground: &Ground) {
    let log = Arc::new(ground.open());
    let given: Vec<Given> = (0..20).flat_map(|_| common::append(&log, &[700])).collect();
    std::thread::scope(|scope| {
        for part in given.chunks(5) {
            let log = Arc::clone(&log);
            scope.spawn(move || {
                for given in part.iter().cycle().take(200) {
                    assert_eq!(
                        log.open_blob(&given.blob).unwrap().read_all().unwrap(),
                        given.bytes
                    );
                }
            });
        }
        for _ in 0..50 {
            common::append(&log, &[500]);
        }
    });
    assert_eq!(records_of(&log, 1).len(), 70);
    assert!(log.stats().open_files <= log.options().open_files);
}

fn an_arrival_can_hold_any_header(ground: &Ground) {
    let log = ground.open();
    let long = bytes_of(1, vna_store::MAX_HEADER_BYTES);
    let given = arrival(&log, &long, &[b"a", b"", b"bc"]);
    assert_eq!(given.bytes, b"abc");
    log.rotate().unwrap();
    assert_eq!(records_of(&log, 1)[0].2, long);
    assert_eq!(
        log.open_blob(&given.blob).unwrap().read_all().unwrap(),
        b"abc"
    );
}

fn suite(make: impl Fn(&str) -> Ground) {
    type Test = fn(&Ground);
    let tests: [(&str, Test); 17] = [
        ("read_back", what_is_appended_is_read_back),
        ("blocks", a_large_group_ends_with_a_block_of_the_disk),
        ("reopen", a_reopened_log_has_every_record_in_order),
        ("lock", one_opener_at_a_time),
        ("key", a_reader_never_gets_another_blob),
        ("refuse", what_the_log_does_not_take_is_refused),
        ("large", large_blobs_are_files_of_their_own),
        ("sweep", files_that_nobody_wants_are_swept),
        ("drop", dead_packs_are_dropped_and_their_deeds_with_them),
        ("compact", compaction_keeps_order_and_what_is_live),
        (
            "counts",
            evidence::a_pack_that_the_index_refers_to_is_not_dropped_whatever_the_counts_say,
        ),
        (
            "either",
            evidence::a_pack_that_is_being_replaced_is_kept_for_references_to_either,
        ),
        (
            "covered",
            evidence::packs_that_the_index_does_not_cover_stay_as_they_are,
        ),
        ("sizes", what_no_group_can_take_is_told_before),
        ("verify", verify_reads_everything),
        ("threads", readers_and_the_writer_do_not_wait_for_each_other),
        ("header", an_arrival_can_hold_any_header),
    ];
    for (name, test) in tests {
        eprintln!("{name}");
        test(&make(name));
    }
}

#[test]
fn the_log_in_memory() {
    suite(|_| Ground {
        disk: Arc::new(MemoryDisk::new()),
        root: PathBuf::from("/store"),
    });
}

#[test]
fn the_log_on_a_disk_with_power_cuts() {
    let root = Path::new("/store").to_path_buf();
    suite(|_| Ground {
        disk: Arc::new(vna_io::CutDisk::new()),
        root: root.clone(),
    });
}

#[test]
fn the_log_in_a_folder() {
    let base = std::env::temp_dir().join(format!("vna-store-{}", std::process::id()));
    suite(|name| Ground {
        disk: Arc::new(RealDisk),
        root: base.join(name),
    });
    std::fs::remove_dir_all(base).unwrap();
}
