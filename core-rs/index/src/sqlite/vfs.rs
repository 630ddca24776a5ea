//! SQLite over a [`Disk`]: the real engine on a disk whose power can be cut.
//!
//! Production does not come here: on the real disk the index uses SQLite's own VFS, because an operator may open
//! the file with the `sqlite3` tool and must find its POSIX locks honoured. Locks and the shared memory of the
//! write-ahead log are those of this process alone.
//!
//! 1. A handle's memory is SQLite's; it holds one `Box<Handle>` from a successful `xOpen` to `xClose`, and SQLite
//!    calls nothing on it outside of that. A handle is used by one thread at a time (connections are not shared);
//!    what handles share is behind mutexes.
//! 2. A region of shared memory never moves and lives as long as any handle has the memory mapped.
//! 3. The VFS is registered until its [`Shim`] is dropped, which the owner does after the last connection.
//! 4. Like SQLite's own VFS for Unix, the first sync of a journal or write-ahead log that was made here syncs
//!    its folder too.

#![allow(
    unsafe_code,
    reason = "SQLite's VFS is an interface of C; this module alone implements it"
)]

use parking_lot::Mutex;
use rusqlite::ffi;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};
use vna_io::{Disk, DiskFile, MemoryDisk, Open, SyncSite};

/// Syncs of the database, its write-ahead log and its rollback journal, and of their folder.
const SYNC_DATABASE: SyncSite = SyncSite("index.database");
const SYNC_WAL: SyncSite = SyncSite("index.wal");
const SYNC_JOURNAL: SyncSite = SyncSite("index.journal");
const SYNC_FOLDER: SyncSite = SyncSite("index.folder");

/// Longest path that SQLite may hand us, in bytes.
const MAX_PATH: c_int = 4096;

/// The locks of the shared memory (SQLITE_SHM_NLOCK).
const SHM_LOCKS: usize = 8;

static NEXT_NAME: AtomicU64 = AtomicU64::new(0);

/// A VFS over a disk, registered until it is dropped.
pub(crate) struct Shim {
    name: CString,
    vfs: *mut ffi::sqlite3_vfs,
}

// SAFETY: `vfs` is only read after `register`, until `drop` takes it back; what it points to is shared by mutex.
unsafe impl Send for Shim {}
// SAFETY: as above; `&Shim` gives the name alone.
unsafe impl Sync for Shim {}

/// What the VFS knows; behind `pAppData`.
struct Shared {
    disk: Arc<dyn Disk>,
    /// Files that are open, by path.
    inodes: Mutex<HashMap<PathBuf, Weak<Inode>>>,
    default: *mut ffi::sqlite3_vfs,
}

/// What handles of one file share.
#[derive(Default)]
struct Inode {
    locks: Mutex<Locks>,
    shm: Mutex<Shm>,
}

/// Locks of the database file (SQLITE_LOCK_*).
#[derive(Default)]
struct Locks {
    /// Handles with a shared lock or more.
    shared: usize,
    /// The handle that has the reserved lock or more.
    reserved: Option<u64>,
    /// The handle that waits for the exclusive lock, or has it.
    pending: Option<u64>,
}

/// The index of the write-ahead log, in memory.
#[derive(Default)]
struct Shm {
    /// Boxed words: they never move, and are aligned as SQLite wants them.
    regions: Vec<Box<[u64]>>,
    mapped: usize,
    shared: [u32; SHM_LOCKS],
    exclusive: [bool; SHM_LOCKS],
}

struct Handle {
    file: Arc<dyn DiskFile>,
    disk: Arc<dyn Disk>,
    inode: Arc<Inode>,
    id: u64,
    path: Option<PathBuf>,
    site: SyncSite,
    delete_on_close: bool,
    sync_folder: bool,
    lock: c_int,
    shm_mapped: bool,
    shm_shared: u8,
    shm_exclusive: u8,
}

#[repr(C)]
struct RawFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

impl Shim {
    /// Registers a VFS under a name of its own.
    pub(crate) fn register(disk: Arc<dyn Disk>) -> Shim {
        let number = NEXT_NAME.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("vna-{number}")).unwrap_or_default();
        // SAFETY: a null name asks for the default VFS, which lives for ever.
        let default = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        let shared = Box::new(Shared {
            disk,
            inodes: Mutex::default(),
            default,
        });
        let size = c_int::try_from(size_of::<RawFile>()).unwrap_or(c_int::MAX);
        // SAFETY: all zeros are a valid sqlite3_vfs: numbers, null pointers and absent functions.
        let mut vfs: ffi::sqlite3_vfs = unsafe { std::mem::zeroed() };
        vfs.iVersion = 2;
        vfs.szOsFile = size;
        vfs.mxPathname = MAX_PATH;
        vfs.zName = name.as_ptr();
        vfs.pAppData = Box::into_raw(shared).cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        vfs.xAccess = Some(access);
        vfs.xFullPathname = Some(full_pathname);
        vfs.xRandomness = Some(randomness);
        vfs.xSleep = Some(sleep);
        vfs.xCurrentTime = Some(current_time);
        vfs.xCurrentTimeInt64 = Some(current_time_int64);
        let vfs = Box::into_raw(Box::new(vfs));
        // SAFETY: `vfs` and its name stay where they are until `drop` unregisters it (3).
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        Shim { name, vfs }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.to_str().unwrap_or("")
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        // SAFETY: no connection uses the VFS any more (3); both boxes were made by `register`.
        unsafe {
            ffi::sqlite3_vfs_unregister(self.vfs);
            drop(Box::from_raw((*self.vfs).pAppData.cast::<Shared>()));
            drop(Box::from_raw(self.vfs));
        }
    }
}

/// SAFETY of the call: `vfs` is one that `register` made, still registered.
unsafe fn shared<'a>(vfs: *mut ffi::sqlite3_vfs) -> &'a Shared {
    // SAFETY: `register` put a Box<Shared> there, which lives as long as the VFS.
    unsafe { &*(*vfs).pAppData.cast::<Shared>() }
}

/// SAFETY of the call: `file` was opened by `open` and not closed, and no other reference to its handle lives.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: (1).
    unsafe { &mut *(*file.cast::<RawFile>()).handle }
}

/// SAFETY of the call: `name` is null or a C string that outlives the result.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(name) }.to_str().ok().map(Path::new)
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands us our VFS, a name or null, and szOsFile bytes for the file; a null method table tells
    // it not to close what failed to open.
    let (shared, path) = unsafe {
        (*file).pMethods = ptr::null();
        (shared(vfs), path(name))
    };
    let Some(opened) = open_handle(shared, path, flags) else {
        return ffi::SQLITE_CANTOPEN;
    };
    // SAFETY: as above; `out_flags` may be null.
    unsafe {
        let raw = file.cast::<RawFile>();
        (*raw).handle = Box::into_raw(Box::new(opened));
        (*raw).base.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

fn open_handle(shared: &Shared, path: Option<&Path>, flags: c_int) -> Option<Handle> {
    let has = |flag| flags & flag != 0;
    let id = NEXT_NAME.fetch_add(1, Ordering::Relaxed);
    let site = if has(ffi::SQLITE_OPEN_WAL) {
        SYNC_WAL
    } else if has(ffi::SQLITE_OPEN_MAIN_DB) {
        SYNC_DATABASE
    } else {
        SYNC_JOURNAL
    };
    let (disk, file, created): (Arc<dyn Disk>, _, _) = match path {
        // A temporary file belongs to nobody else and need not survive.
        None => {
            let disk = Arc::new(MemoryDisk::default());
            let file = disk.open(Path::new("/temporary"), Open::Create).ok()?;
            (disk, file, false)
        }
        Some(path) => {
            let created = !shared.disk.exists(path).ok()?;
            let how = if has(ffi::SQLITE_OPEN_EXCLUSIVE) {
                Open::CreateNew
            } else if has(ffi::SQLITE_OPEN_CREATE) {
                Open::Create
            } else if has(ffi::SQLITE_OPEN_READONLY) {
                Open::Read
            } else {
                Open::Write
            };
            (
                Arc::clone(&shared.disk),
                shared.disk.open(path, how).ok()?,
                created,
            )
        }
    };
    let inode = match path {
        None => Arc::default(),
        Some(path) => {
            let mut inodes = shared.inodes.lock();
            inodes.retain(|_, inode| inode.strong_count() > 0);
            match inodes.get(path).and_then(Weak::upgrade) {
                Some(inode) => inode,
                None => {
                    let inode = Arc::default();
                    inodes.insert(path.to_owned(), Arc::downgrade(&inode));
                    inode
                }
            }
        }
    };
    Some(Handle {
        file,
        disk,
        inode,
        id,
        path: path.map(Path::to_owned),
        site,
        delete_on_close: path.is_some() && has(ffi::SQLITE_OPEN_DELETEONCLOSE),
        sync_folder: created && site != SYNC_DATABASE,
        lock: ffi::SQLITE_LOCK_NONE,
        shm_mapped: false,
        shm_shared: 0,
        shm_exclusive: 0,
    })
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite hands us our VFS and a name.
    let (shared, path) = unsafe { (shared(vfs), path(name)) };
    let Some(path) = path else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    match shared.disk.remove(path) {
        Ok(()) if sync == 0 => ffi::SQLITE_OK,
        Ok(()) => match shared.disk.sync_dir(folder(path), SYNC_FOLDER) {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_IOERR_DIR_FSYNC,
        },
        Err(error) if error.kind() == ErrorKind::NotFound => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(_) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    result: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands us our VFS and a name.
    let (shared, path) = unsafe { (shared(vfs), path(name)) };
    let Some(path) = path else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    let Ok(mut there) = shared.disk.exists(path) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    // Like SQLite's own VFS: a journal without a byte is none.
    if there && flags == ffi::SQLITE_ACCESS_EXISTS {
        there = shared
            .disk
            .open(path, Open::Read)
            .and_then(|file| file.is_empty())
            .is_ok_and(|empty| !empty);
    }
    // SAFETY: SQLite hands us a place for the result.
    unsafe { *result = c_int::from(there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite hands us a C string, and `size` bytes for the result.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if usize::try_from(size).is_ok_and(|size| bytes.len() <= size) {
            ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
            ffi::SQLITE_OK
        } else {
            ffi::SQLITE_CANTOPEN
        }
    }
}

unsafe extern "C" fn randomness(
    vfs: *mut ffi::sqlite3_vfs,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: the default VFS lives for ever and has the function; the arguments are SQLite's.
    unsafe {
        let default = shared(vfs).default;
        (*default)
            .xRandomness
            .map_or(0, |call| call(default, size, out))
    }
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe {
        let default = shared(vfs).default;
        (*default)
            .xSleep
            .map_or(0, |call| call(default, microseconds))
    }
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe {
        let default = shared(vfs).default;
        (*default)
            .xCurrentTime
            .map_or(ffi::SQLITE_ERROR, |call| call(default, out))
    }
}

unsafe extern "C" fn current_time_int64(vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe {
        let default = shared(vfs).default;
        (*default)
            .xCurrentTimeInt64
            .map_or(ffi::SQLITE_ERROR, |call| call(default, out))
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: (1); the box goes back to Rust once, for SQLite closes once.
    let mut handle = unsafe { Box::from_raw((*file.cast::<RawFile>()).handle) };
    handle.unmap();
    handle.unlock(ffi::SQLITE_LOCK_NONE);
    if let Some(path) = handle.path.as_deref().filter(|_| handle.delete_on_close) {
        let _ = handle.disk.remove(path); // a temporary file: its name is of no use to anyone
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(size), Ok(offset)) = (usize::try_from(size), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: (1), and SQLite hands us `size` bytes to fill.
    let (handle, buffer) = unsafe {
        (
            handle(file),
            std::slice::from_raw_parts_mut(out.cast::<u8>(), size),
        )
    };
    match handle.file.read_at(buffer, offset) {
        Ok(count) if count == size => ffi::SQLITE_OK,
        Ok(count) => {
            buffer[count..].fill(0); // SQLite relies on it
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(size), Ok(offset)) = (usize::try_from(size), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: (1), and SQLite hands us `size` bytes.
    let (handle, bytes) = unsafe {
        (
            handle(file),
            std::slice::from_raw_parts(bytes.cast::<u8>(), size),
        )
    };
    match handle.file.write_all_at(&[IoSlice::new(bytes)], offset) {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) if error.kind() == ErrorKind::StorageFull => ffi::SQLITE_FULL,
        Err(_) => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: (1).
    let handle = unsafe { handle(file) };
    match u64::try_from(size).map(|size| handle.file.set_len(size)) {
        Ok(Ok(())) => ffi::SQLITE_OK,
        _ => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: (1).
    let handle = unsafe { handle(file) };
    if handle.file.sync_data(handle.site).is_err() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    if let Some(path) = handle.path.as_deref().filter(|_| handle.sync_folder) {
        if handle.disk.sync_dir(folder(path), SYNC_FOLDER).is_err() {
            return ffi::SQLITE_IOERR_DIR_FSYNC;
        }
        handle.sync_folder = false; // (4)
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: (1), and SQLite hands us a place for the result.
    let (handle, out) = unsafe { (handle(file), &mut *out) };
    match handle.file.len().map(i64::try_from) {
        Ok(Ok(length)) => {
            *out = length;
            ffi::SQLITE_OK
        }
        _ => ffi::SQLITE_IOERR_FSTAT,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: (1).
    if unsafe { handle(file) }.lock(level) {
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_BUSY
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: (1).
    unsafe { handle(file) }.unlock(level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: (1), and SQLite hands us a place for the result.
    unsafe { *out = c_int::from(handle(file).inode.locks.lock().reserved.is_some()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096 // what SQLite's own VFS says on Unix
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE // as on Unix: a write does not harm the bytes beside it
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let (Ok(region), Ok(size)) = (usize::try_from(region), usize::try_from(size)) else {
        return ffi::SQLITE_IOERR_SHMMAP;
    };
    // SAFETY: (1).
    let handle = unsafe { handle(file) };
    let mut shm = handle.inode.shm.lock();
    if !handle.shm_mapped {
        handle.shm_mapped = true;
        shm.mapped += 1;
    }
    while extend != 0 && shm.regions.len() <= region {
        shm.regions
            .push(vec![0; size.div_ceil(size_of::<u64>())].into_boxed_slice());
    }
    let start = shm
        .regions
        .get_mut(region)
        .map_or(ptr::null_mut(), |words| words.as_mut_ptr().cast());
    // SAFETY: SQLite hands us a place for the result; it stays valid by (2).
    unsafe { *out = start };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    n: c_int,
    flags: c_int,
) -> c_int {
    let (Ok(offset), Ok(n)) = (usize::try_from(offset), usize::try_from(n)) else {
        return ffi::SQLITE_IOERR_SHMLOCK;
    };
    if offset + n > SHM_LOCKS {
        return ffi::SQLITE_IOERR_SHMLOCK;
    }
    // SAFETY: (1).
    let handle = unsafe { handle(file) };
    let granted = if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        handle.shm_unlock(offset..offset + n);
        true
    } else {
        handle.shm_lock(offset..offset + n, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0)
    };
    if granted {
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_BUSY
    }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: (1). Taking the mutex orders as SQLite's own VFS does.
    drop(unsafe { handle(file) }.inode.shm.lock());
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: (1).
    unsafe { handle(file) }.unmap();
    ffi::SQLITE_OK
}

impl Handle {
    fn lock(&mut self, level: c_int) -> bool {
        if self.lock >= level {
            return true;
        }
        let mut locks = self.inode.locks.lock();
        let other = |holder: Option<u64>| holder.is_some_and(|id| id != self.id);
        if self.lock == ffi::SQLITE_LOCK_NONE {
            // Nobody new comes in once one waits for the file alone.
            if other(locks.pending) {
                return false;
            }
            locks.shared += 1;
            self.lock = ffi::SQLITE_LOCK_SHARED;
        }
        if level >= ffi::SQLITE_LOCK_RESERVED {
            if other(locks.reserved) {
                return false;
            }
            locks.reserved = Some(self.id);
            self.lock = self.lock.max(ffi::SQLITE_LOCK_RESERVED);
        }
        if level >= ffi::SQLITE_LOCK_PENDING {
            locks.pending = Some(self.id);
            self.lock = self.lock.max(ffi::SQLITE_LOCK_PENDING);
        }
        if level >= ffi::SQLITE_LOCK_EXCLUSIVE {
            if locks.shared > 1 {
                return false;
            }
            self.lock = ffi::SQLITE_LOCK_EXCLUSIVE;
        }
        true
    }

    fn unlock(&mut self, level: c_int) {
        if self.lock <= level {
            return;
        }
        let mut locks = self.inode.locks.lock();
        if locks.reserved == Some(self.id) {
            locks.reserved = None;
        }
        if locks.pending == Some(self.id) {
            locks.pending = None;
        }
        if level == ffi::SQLITE_LOCK_NONE {
            locks.shared -= 1;
        }
        self.lock = level;
    }

    /// All slots or none.
    fn shm_lock(&mut self, slots: std::ops::Range<usize>, exclusive: bool) -> bool {
        let mut shm = self.inode.shm.lock();
        for slot in slots.clone() {
            let own_shared = self.shm_shared >> slot & 1 == 1;
            let own_exclusive = self.shm_exclusive >> slot & 1 == 1;
            let others = shm.shared[slot] - u32::from(own_shared);
            if shm.exclusive[slot] && !own_exclusive || exclusive && others > 0 {
                return false;
            }
        }
        for slot in slots {
            let bit = 1u8 << slot;
            if exclusive {
                shm.exclusive[slot] = true;
                self.shm_exclusive |= bit;
            } else if self.shm_shared & bit == 0 {
                shm.shared[slot] += 1;
                self.shm_shared |= bit;
            }
        }
        true
    }

    fn shm_unlock(&mut self, slots: std::ops::Range<usize>) {
        let mut shm = self.inode.shm.lock();
        for slot in slots {
            let bit = 1u8 << slot;
            if self.shm_exclusive & bit != 0 {
                shm.exclusive[slot] = false;
                self.shm_exclusive &= !bit;
            }
            if self.shm_shared & bit != 0 {
                shm.shared[slot] -= 1;
                self.shm_shared &= !bit;
            }
        }
    }

    fn unmap(&mut self) {
        if !self.shm_mapped {
            return;
        }
        self.shm_unlock(0..SHM_LOCKS);
        self.shm_mapped = false;
        let mut shm = self.inode.shm.lock();
        shm.mapped -= 1;
        if shm.mapped == 0 {
            shm.regions = Vec::new(); // (2); who opens it next reads the log again
        }
    }
}
