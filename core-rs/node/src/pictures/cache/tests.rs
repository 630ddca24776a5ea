use std::path::Path;

use vna_io::{CutDisk, MemoryDisk};

use super::*;

const FOLDER: &str = "/archive/cache/thumbnails";

fn key(number: u8) -> ThumbnailKey {
    ThumbnailKey {
        blob: BlobKey([number; 16]),
        made: Digest([7; 16]),
    }
}

fn cache(disk: &Arc<dyn Disk>, limit: u64) -> ThumbnailCache {
    ThumbnailCache::new(Arc::clone(disk), FOLDER.into(), limit)
}

fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::default())
}

fn files(disk: &Arc<dyn Disk>) -> Vec<String> {
    let mut names = disk.list(Path::new(FOLDER)).unwrap();
    names.sort();
    names
}

#[test]
fn what_was_put_is_found_by_its_key_alone_and_after_a_restart() {
    let disk = memory();
    let first = cache(&disk, 1 << 20);
    first.put(&key(1), b"picture");
    assert_eq!(first.get(&key(1)).as_deref(), Some(&b"picture"[..]));
    assert_eq!(first.get(&key(2)), None);
    let other = ThumbnailKey {
        made: Digest([8; 16]),
        ..key(1)
    };
    assert_eq!(first.get(&other), None);
    let second = cache(&disk, 1 << 20);
    assert_eq!(second.get(&key(1)).as_deref(), Some(&b"picture"[..]));
    assert_eq!(second.bytes(), BLOCK_BYTES);
}

#[test]
fn it_never_takes_more_than_its_limit_and_what_is_used_stays() {
    let disk = memory();
    let limit = 32 * BLOCK_BYTES;
    let cache = cache(&disk, limit);
    for number in 0..200 {
        cache.put(&key(number), &[number; 100]);
        assert!(cache.get(&key(0)).is_some(), "after {number}");
        assert!(files(&disk).len() <= 32);
        assert!(cache.bytes() <= limit);
    }
    assert!(cache.get(&key(199)).is_some());
    assert_eq!(cache.get(&key(1)), None);
}

#[test]
fn a_damaged_file_is_removed_and_counts_as_not_there() {
    let disk = memory();
    let cache = cache(&disk, 1 << 20);
    cache.put(&key(1), b"picture");
    let path = Path::new(FOLDER).join(&files(&disk)[0]);
    let file = disk.open(&path, Open::Write).unwrap();
    file.write_all_at(&[IoSlice::new(b"P")], HEAD_BYTES as u64)
        .unwrap();
    assert_eq!(cache.get(&key(1)), None);
    assert_eq!(files(&disk), Vec::<String>::new());
    assert_eq!(cache.counters().failures.load(Ordering::Relaxed), 1);
    for length in 0..HEAD_BYTES + 7 {
        cache.put(&key(1), b"picture");
        let file = disk.open(&path, Open::Write).unwrap();
        file.set_len(length as u64).unwrap();
        assert_eq!(cache.get(&key(1)), None, "cut at {length}");
    }
}

#[test]
fn a_file_under_the_name_of_another_is_not_given() {
    let disk = memory();
    let cache = cache(&disk, 1 << 20);
    cache.put(&key(1), b"picture");
    let other = Path::new(FOLDER).join(key(2).name(0));
    disk.rename(&Path::new(FOLDER).join(key(1).name(0)), &other)
        .unwrap();
    assert_eq!(cache.get(&key(2)), None);
}

#[test]
fn what_a_blob_left_goes_with_it() {
    let disk = memory();
    let cache = cache(&disk, 1 << 20);
    cache.put(&key(1), b"one");
    cache.put(&key(2), b"two");
    cache.forget(&[key(1).blob, key(3).blob]);
    assert_eq!(cache.get(&key(1)), None);
    assert_eq!(cache.get(&key(2)).as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_smaller_limit_than_before_holds_at_once() {
    let disk = memory();
    let first = cache(&disk, 1 << 20);
    for number in 0..20 {
        first.put(&key(number), &[number; 100]);
    }
    let second = cache(&disk, 4 * BLOCK_BYTES);
    second.get(&key(0));
    assert!(second.bytes() <= 4 * BLOCK_BYTES);
    assert!(files(&disk).len() <= 4);
}

#[test]
fn a_disk_without_room_is_left_alone() {
    let disk = CutDisk::new();
    disk.set_capacity(Some(LEAST_FREE_BYTES + 8 * BLOCK_BYTES));
    let disk: Arc<dyn Disk> = Arc::new(disk);
    disk.create_dir_all(Path::new(FOLDER)).unwrap();
    let cache = cache(&disk, 1 << 30);
    for number in 0..40 {
        cache.put(&key(number), &[number; 4000]);
        assert!(disk.free_bytes(Path::new(FOLDER)).unwrap() >= LEAST_FREE_BYTES);
    }
}

#[test]
fn without_bytes_it_keeps_nothing_and_makes_no_folder() {
    let disk = memory();
    let cache = cache(&disk, 0);
    cache.put(&key(1), b"one");
    assert_eq!(cache.get(&key(1)), None);
    assert!(!disk.exists(Path::new(FOLDER)).unwrap());
}
