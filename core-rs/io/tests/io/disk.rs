//! One suite for every disk: what log, blobs and index rely on.

use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};
use vna_io::{CutDisk, Disk, DiskFile, MemoryDisk, Open, RealDisk, SyncSite};

const SITE: SyncSite = SyncSite("test");

fn write(file: &dyn DiskFile, bytes: &[u8], offset: u64) {
    file.write_all_at(&[IoSlice::new(bytes)], offset).unwrap();
}

fn read(file: &dyn DiskFile, length: usize, offset: u64) -> Vec<u8> {
    let mut buffer = vec![0xEE; length];
    let read = file.read_at(&mut buffer, offset).unwrap();
    buffer.truncate(read);
    buffer
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn files_are_read_as_written(disk: &dyn Disk, root: &Path) {
    let path = root.join("a");
    assert_eq!(kind(disk.open(&path, Open::Read)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&path, Open::Write)), ErrorKind::NotFound);
    let file = disk.open(&path, Open::CreateNew).unwrap();
    assert_eq!(
        kind(disk.open(&path, Open::CreateNew)),
        ErrorKind::AlreadyExists
    );
    assert!(file.is_empty().unwrap());

    // More slices than one system call takes, empty ones among them.
    let slice = |n: u32| n.to_le_bytes()[..(n % 4) as usize].to_vec();
    let slices: Vec<Vec<u8>> = (0..3000).map(slice).collect();
    let parts: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    file.write_all_at(&parts, 10).unwrap();
    let expected = [vec![0; 10], slices.concat()].concat();
    assert_eq!(file.len().unwrap(), expected.len() as u64);
    let second = disk.open(&path, Open::Read).unwrap();
    assert_eq!(read(&*second, expected.len() + 5, 0), expected);
    assert_eq!(read(&*second, 4, 9), expected[9..13]);
    assert_eq!(read(&*second, 4, 1 << 40), b"");
    second.write_all_at(&[IoSlice::new(b"x")], 0).unwrap_err();

    file.set_len(20).unwrap();
    file.set_len(30).unwrap();
    assert_eq!(read(&*second, 100, 0), [&expected[..20], &[0; 10]].concat());
    file.sync_data(SITE).unwrap();
    assert_eq!(disk.open(&path, Open::Create).unwrap().len().unwrap(), 30);
}

fn names_move_and_open_files_outlive_them(disk: &dyn Disk, root: &Path) {
    let folder = root.join("x/y/z");
    disk.create_dir_all(&folder).unwrap();
    disk.create_dir_all(&folder).unwrap();
    assert!(disk.exists(&root.join("x/y")).unwrap());
    assert_eq!(kind(disk.create_dir(&folder)), ErrorKind::AlreadyExists);
    assert_eq!(
        kind(disk.create_dir(&root.join("no/parent"))),
        ErrorKind::NotFound
    );

    let (a, b) = (folder.join("a"), root.join("x/b"));
    let old = disk.open(&b, Open::CreateNew).unwrap();
    write(&*old, b"old", 0);
    write(&*disk.open(&a, Open::CreateNew).unwrap(), b"new", 0);
    disk.rename(&a, &b).unwrap();
    disk.sync_dir(&root.join("x"), SITE).unwrap();
    assert_eq!(read(&*old, 9, 0), b"old");
    assert_eq!(read(&*disk.open(&b, Open::Read).unwrap(), 9, 0), b"new");
    assert!(!disk.exists(&a).unwrap());
    assert_eq!(kind(disk.rename(&a, &b)), ErrorKind::NotFound);
    let mut names = disk.list(&root.join("x")).unwrap();
    names.sort();
    assert_eq!(names, ["b", "y"]);
    assert_eq!(disk.list(&folder).unwrap(), Vec::<String>::new());

    let reader = disk.open(&b, Open::Read).unwrap();
    disk.remove(&b).unwrap();
    assert_eq!(kind(disk.remove(&b)), ErrorKind::NotFound);
    assert_eq!(read(&*reader, 9, 0), b"new");
    assert_eq!(kind(disk.list(&root.join("absent"))), ErrorKind::NotFound);
    assert_eq!(
        kind(disk.sync_dir(&root.join("absent"), SITE)),
        ErrorKind::NotFound
    );
    assert!(disk.free_bytes(root).unwrap() > 0);
}

fn a_lock_refuses_a_second_opener(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let first = disk.open(&path, Open::Create).unwrap();
    let second = disk.open(&path, Open::Create).unwrap();
    assert!(first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    assert!(first.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
}

fn suite(make: impl Fn(&str) -> (Arc<dyn Disk>, PathBuf)) {
    type Test = fn(&dyn Disk, &Path);
    let tests: [(&str, Test); 3] = [
        ("files", files_are_read_as_written),
        ("names", names_move_and_open_files_outlive_them),
        ("lock", a_lock_refuses_a_second_opener),
    ];
    for (name, test) in tests {
        let (disk, root) = make(name);
        test(&*disk, &root);
    }
}

#[test]
fn the_memory_disk_behaves() {
    suite(|name| {
        let disk = MemoryDisk::new();
        let root = Path::new("/").join(name);
        disk.create_dir_all(&root).unwrap();
        (Arc::new(disk), root)
    });
}

#[test]
fn the_cut_disk_behaves() {
    suite(|name| {
        let disk = CutDisk::new();
        let root = Path::new("/").join(name);
        disk.create_dir_all(&root).unwrap();
        (Arc::new(disk), root)
    });
}

#[test]
fn the_real_disk_behaves() {
    let base = std::env::temp_dir().join(format!("vna-io-{}", std::process::id()));
    suite(|name| {
        let root = base.join(name);
        RealDisk.create_dir_all(&root).unwrap();
        (Arc::new(RealDisk), root)
    });
    std::fs::remove_dir_all(base).unwrap();
}

#[test]
fn an_error_of_the_real_disk_names_operation_and_path() {
    let error = RealDisk
        .open(Path::new("/no/such/file"), Open::Read)
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot open /no/such/file: "),
        "{message}"
    );
}

#[test]
fn what_will_be_read_is_fetched_before_it_is_read() {
    const FROM: u64 = 8 << 10;
    let path = std::env::temp_dir().join(format!("vna-io-ahead-{}", std::process::id()));
    let is_cached = |file: &dyn DiskFile| {
        let mut buffer = [0; 16 << 10];
        file.read_cached_at(&mut buffer, FROM).unwrap().is_some()
    };
    // A kernel that is asked whether it has something begins to fetch it, so each try is of a new file.
    let is_fetched = |patience_ms: u64| {
        let file = RealDisk.open(&path, Open::CreateNew).unwrap();
        write(&*file, &[7; 64 << 10], 0);
        file.sync_data(SITE).unwrap();
        let can_tell = is_cached(&*file); // not every file system can
        let system = std::fs::File::open(&path).unwrap();
        fadvise(&system, 0, None, Advice::DontNeed).unwrap();
        file.will_read(FROM, 16 << 10);
        std::thread::sleep(std::time::Duration::from_millis(patience_ms));
        let is_fetched = is_cached(&*file) || !can_tell;
        std::fs::remove_file(&path).unwrap();
        is_fetched
    };
    assert!([1, 10, 100, 1_000, 5_000].into_iter().any(is_fetched));
}

#[test]
fn there_is_no_harm_in_telling_of_what_is_not_there() {
    let path = std::env::temp_dir().join(format!("vna-io-hint-{}", std::process::id()));
    let file = RealDisk.open(&path, Open::CreateNew).unwrap();
    write(&*file, b"all", 0);
    for (offset, bytes) in [(0, 0), (1 << 40, 512), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        file.will_read(offset, bytes);
    }
    assert_eq!(read(&*file, 9, 0), b"all");
    std::fs::remove_file(path).unwrap();
}
