//! The power-cut disk is itself held to its model: what it must keep, and what it must be able to
//! lose, since a disk that loses nothing proves nothing.

use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use vna_io::{Cut, CutDisk, Disk, DiskFile, Open, SECTOR_BYTES, Survival, SyncSite};

const A: SyncSite = SyncSite("a");
const B: SyncSite = SyncSite("b");
const SEEDS: u64 = 400;

fn root() -> &'static Path {
    Path::new("/")
}

fn write(file: &dyn DiskFile, bytes: &[u8], offset: u64) {
    file.write_all_at(&[IoSlice::new(bytes)], offset).unwrap();
}

fn content(disk: &CutDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), Open::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// A disk with the durable file `/f` of `sectors` sectors of ones.
fn disk_with_file(sectors: usize) -> (CutDisk, Arc<dyn DiskFile>) {
    let disk = CutDisk::new();
    let file = disk.open(Path::new("/f"), Open::CreateNew).unwrap();
    write(&*file, &vec![1; sectors * SECTOR_BYTES], 0);
    file.sync_data(A).unwrap();
    disk.sync_dir(root(), A).unwrap();
    (disk, file)
}

/// Everything that can be left of `path`, over many seeds.
fn outcomes(disk: &CutDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS)
        .map(|seed| content(&disk.survive(Survival::Seeded(seed)), path))
        .collect()
}

#[test]
fn what_was_synced_survives_every_seed() {
    let (disk, _file) = disk_with_file(3);
    assert_eq!(
        outcomes(&disk, "/f"),
        BTreeSet::from([Some(vec![1; 3 * SECTOR_BYTES])])
    );
}

#[test]
fn an_unsynced_write_is_kept_dropped_or_torn_at_sectors() {
    let (disk, file) = disk_with_file(2);
    write(&*file, &[2; 2 * SECTOR_BYTES], 0);
    let sector = |byte| vec![byte; SECTOR_BYTES];
    let mut expected = BTreeSet::new();
    for (first, second) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        expected.insert(Some([sector(first), sector(second)].concat()));
    }
    assert_eq!(outcomes(&disk, "/f"), expected);
    let everything = content(&disk.survive(Survival::Everything), "/f");
    assert_eq!(everything, Some(vec![2; 2 * SECTOR_BYTES]));
    let nothing = content(&disk.survive(Survival::Nothing), "/f");
    assert_eq!(nothing, Some(vec![1; 2 * SECTOR_BYTES]));
}

#[test]
fn unsynced_writes_are_reordered() {
    let (disk, file) = disk_with_file(2);
    write(&*file, b"first", 0);
    write(&*file, b"second", SECTOR_BYTES as u64);
    assert!(outcomes(&disk, "/f").into_iter().flatten().any(|bytes| {
        !bytes.starts_with(b"first") && bytes[SECTOR_BYTES..].starts_with(b"second")
    }));
}

#[test]
fn an_unsynced_length_may_come_without_its_bytes() {
    let (disk, file) = disk_with_file(1);
    write(&*file, &[2; SECTOR_BYTES], SECTOR_BYTES as u64);
    write(&*file, &[3; SECTOR_BYTES], 2 * SECTOR_BYTES as u64);
    let outcomes: Vec<Vec<u8>> = outcomes(&disk, "/f").into_iter().flatten().collect();
    for sectors in 1..=3 {
        assert!(
            outcomes
                .iter()
                .any(|bytes| bytes.len() == sectors * SECTOR_BYTES)
        );
    }
    let second = |bytes: &Vec<u8>| bytes.get(SECTOR_BYTES).copied();
    assert!(
        outcomes.iter().any(|bytes| second(bytes) == Some(0)),
        "a hole"
    );
    assert!(
        outcomes.iter().any(|bytes| second(bytes) == Some(1)),
        "what lay there before"
    );
}

#[test]
fn a_name_is_durable_only_when_its_folder_is_synced() {
    let disk = CutDisk::new();
    let file = disk.open(Path::new("/f"), Open::CreateNew).unwrap();
    write(&*file, b"x", 0);
    file.sync_data(A).unwrap();
    assert_eq!(
        outcomes(&disk, "/f"),
        BTreeSet::from([None, Some(b"x".to_vec())])
    );
    disk.sync_dir(root(), A).unwrap();
    assert_eq!(outcomes(&disk, "/f"), BTreeSet::from([Some(b"x".to_vec())]));
    disk.remove(Path::new("/f")).unwrap();
    assert_eq!(
        outcomes(&disk, "/f"),
        BTreeSet::from([None, Some(b"x".to_vec())])
    );
}

#[test]
fn a_rename_never_loses_the_file_and_may_keep_both_names() {
    let (disk, _file) = disk_with_file(1);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.rename(Path::new("/f"), Path::new("/d/g")).unwrap();
    let names = |disk: &CutDisk| {
        (0..SEEDS)
            .map(|seed| {
                let after = disk.survive(Survival::Seeded(seed));
                (
                    content(&after, "/f").is_some(),
                    content(&after, "/d/g").is_some(),
                )
            })
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        names(&disk),
        BTreeSet::from([(true, false), (true, true), (false, true)])
    );
    disk.sync_dir(Path::new("/d"), A).unwrap();
    assert_eq!(names(&disk), BTreeSet::from([(true, true), (false, true)]));
    disk.sync_dir(root(), A).unwrap();
    assert_eq!(names(&disk), BTreeSet::from([(false, true)]));
}

#[test]
fn folders_made_with_their_parents_are_durable() {
    let disk = CutDisk::new();
    disk.create_dir_all(Path::new("/a/b/c")).unwrap();
    assert!(
        disk.survive(Survival::Nothing)
            .exists(Path::new("/a/b/c"))
            .unwrap()
    );
    // A process killed before its sync leaves a folder that exists and is not durable.
    disk.create_dir(Path::new("/a/b/d")).unwrap();
    let disk = disk.after_kill();
    disk.create_dir_all(Path::new("/a/b/d")).unwrap();
    assert!(
        disk.survive(Survival::Nothing)
            .exists(Path::new("/a/b/d"))
            .unwrap()
    );
}

#[test]
fn a_cut_stops_everything_from_its_operation_on() {
    for n in 1..=6 {
        let disk = CutDisk::new();
        disk.cut_at(Cut::AtOperation(n));
        let run = || -> std::io::Result<()> {
            let file = disk.open(Path::new("/f"), Open::CreateNew)?;
            file.write_all_at(&[IoSlice::new(b"x")], 0)?;
            file.set_len(5)?;
            file.sync_data(A)?;
            disk.sync_dir(root(), B)?;
            disk.rename(Path::new("/f"), Path::new("/g"))
        };
        run().unwrap_err();
        assert_eq!((disk.operations(), disk.is_cut()), (n, true));
        disk.exists(Path::new("/f")).unwrap_err();
        if n == 6 {
            assert_eq!(disk.sync_log(), [A, B]);
        }
    }
}

#[test]
fn the_sync_at_which_the_power_is_cut_has_made_nothing_durable() {
    let (disk, file) = disk_with_file(1);
    disk.cut_at(Cut::AtSync(3));
    write(&*file, &[2], 0);
    file.sync_data(A).unwrap_err();
    let first: BTreeSet<u8> = outcomes(&disk, "/f")
        .into_iter()
        .map(|bytes| bytes.unwrap()[0])
        .collect();
    assert_eq!(first, BTreeSet::from([1, 2]));
}

#[test]
fn a_skipped_sync_says_done_and_does_nothing() {
    let (disk, file) = disk_with_file(1);
    disk.skip_syncs_at(B);
    write(&*file, &[2], 0);
    file.sync_data(B).unwrap();
    assert_eq!(
        content(&disk.survive(Survival::Nothing), "/f").unwrap()[0],
        1
    );
    file.sync_data(A).unwrap();
    assert_eq!(
        content(&disk.survive(Survival::Nothing), "/f").unwrap()[0],
        2
    );
}

#[test]
fn no_later_sync_repairs_a_failed_one() {
    let (disk, file) = disk_with_file(2);
    disk.fail_sync(3);
    write(&*file, &[2], 0);
    file.sync_data(A).unwrap_err();
    assert_eq!(
        content(&disk, "/f").unwrap()[0],
        2,
        "readers see the page cache"
    );
    write(&*file, &[3], SECTOR_BYTES as u64);
    file.sync_data(A).unwrap();
    let seen: BTreeSet<(u8, u8)> = outcomes(&disk, "/f")
        .into_iter()
        .map(|bytes| bytes.map(|b| (b[0], b[SECTOR_BYTES])).unwrap())
        .collect();
    assert_eq!(seen, BTreeSet::from([(1, 3), (2, 3)]));
    write(&*file, &[4], 0);
    disk.fail_next_sync_at(B);
    file.sync_data(A).unwrap();
    file.sync_data(B).unwrap_err();
    file.sync_data(B).unwrap();
    assert_eq!(
        content(&disk.survive(Survival::Nothing), "/f").unwrap()[0],
        4
    );
}

#[test]
fn a_killed_process_leaves_its_writes_readable_and_not_durable() {
    let (disk, file) = disk_with_file(1);
    assert!(file.try_lock().unwrap());
    write(&*file, &[2], 0);
    let next = disk.after_kill();
    assert_eq!(content(&next, "/f").unwrap()[0], 2);
    assert_eq!(
        content(&next.survive(Survival::Nothing), "/f").unwrap()[0],
        1
    );
    let reopened = next.open(Path::new("/f"), Open::Write).unwrap();
    assert!(reopened.try_lock().unwrap());
    reopened.sync_data(A).unwrap();
    assert_eq!(
        content(&next.survive(Survival::Nothing), "/f").unwrap()[0],
        2
    );
}

#[test]
fn a_full_disk_takes_part_of_a_write() {
    let (disk, file) = disk_with_file(1);
    disk.set_capacity(Some(2 * SECTOR_BYTES as u64));
    assert_eq!(disk.free_bytes(root()).unwrap(), SECTOR_BYTES as u64);
    let bytes = [5; 2 * SECTOR_BYTES];
    let error = file
        .write_all_at(&[IoSlice::new(&bytes)], SECTOR_BYTES as u64)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 2 * SECTOR_BYTES as u64);
    file.set_len(SECTOR_BYTES as u64).unwrap();
    write(&*file, &[5; SECTOR_BYTES], SECTOR_BYTES as u64);
}
