//! File input and output behind one trait: real, in memory, and with power cuts.
//!
//! Log, blobs and index reach the disk through [`Disk`] alone. Production uses [`RealDisk`];
//! [`MemoryDisk`] keeps everything in memory; [`CutDisk`] records writes and syncs so that a test
//! can cut the power at any of them and look at what a real disk might have kept.

mod cut;
mod direct;
mod memory;
mod real;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use cut::{Cut, CutDisk, SECTOR_BYTES, Survival};
pub use memory::MemoryDisk;
pub use real::{PathError, RealDisk};

/// How [`Disk::open`] treats a file that exists or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist; opened for reading only.
    Read,
    /// It must exist; opened for reading and writing.
    Write,
    /// It is made, and must not exist; opened for reading and writing.
    CreateNew,
    /// It is made if missing; opened for reading and writing.
    Create,
}

/// The name of one place in the code that syncs, such as `"append.group"`.
///
/// The real disk only puts it into its error messages. [`CutDisk`] lists the sites it met and can
/// ignore the syncs of one of them, so that a test can show that none of them is superfluous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncSite(pub &'static str);

impl std::fmt::Display for SyncSite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// The site of the syncs that [`Disk::create_dir_all`] makes.
pub const CREATE_DIR: SyncSite = SyncSite("disk.create_dir_all");

/// A file system, as far as an archive needs one.
///
/// What is written may be lost, torn or reordered by a power cut until the file's
/// [`sync_data`](DiskFile::sync_data) has returned; what is created, renamed or removed, until the
/// folder's [`sync_dir`](Disk::sync_dir) has. A rename between folders is durable when the new
/// folder is synced; the old name may come back until the old folder is synced as well.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file. A second handle to the same file sees what the first has written.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file a new name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; those who have it open read on.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes one folder, whose parent must exist; not durable until the parent is synced.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Whether something has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, folder: &Path, site: SyncSite) -> io::Result<()>;
    /// Bytes that can still be written below `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Whether its paths are those of the operating system, so that code which is not ours (SQLite's) can
    /// reach the same files without it.
    fn is_of_the_system(&self) -> bool {
        false
    }

    /// Makes a folder and its parents; their names are durable when this returns.
    ///
    /// # Errors
    ///
    /// Those of [`create_dir`](Disk::create_dir) and [`sync_dir`](Disk::sync_dir), but a parent
    /// that existed before and that we may not open is taken as durable.
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut at = path;
        while !at.as_os_str().is_empty() && !self.exists(at)? {
            missing.push(at);
            match at.parent() {
                Some(parent) => at = parent,
                None => break,
            }
        }
        // Each folder is synced before the next is made below it, so of those that exist only the
        // deepest can be one whose maker was killed between the two.
        if let Some(parent) = at.parent() {
            match self.sync_dir(folder_or_here(parent), CREATE_DIR) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                result => result?,
            }
        }
        for folder in missing.into_iter().rev() {
            match self.create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => result?,
            }
            if let Some(parent) = folder.parent() {
                self.sync_dir(folder_or_here(parent), CREATE_DIR)?;
            }
        }
        Ok(())
    }
}

/// The parent of a relative name of one component is the empty path, which cannot be opened.
fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

/// An open file. Positioned reads and writes: no cursor, so that threads can share it.
pub trait DiskFile: Send + Sync {
    /// Reads at `offset`; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The same if it need not wait for the disk; `None` if it would have to, or if that cannot be known.
    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let _ = (buffer, offset);
        Ok(None)
    }
    /// As [`DiskFile::read_at`], for what is not likely to be read again soon: it need not be kept in memory.
    fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }
    /// Says that these bytes are read soon: a disk gets many in little more time than one, if it knows of them. Waits for
    /// none of them, and is a hint only: what hinders it is told to who reads.
    fn will_read(&self, offset: u64, bytes: u64) {
        let _ = (offset, bytes);
    }
    /// Writes all of `parts`, one behind the other, from `offset` on; what lies between the old
    /// end of the file and `offset` reads as zeros.
    ///
    /// After an error some of the bytes may have been written.
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) to `length` bytes.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable (`fdatasync`).
    ///
    /// An error is final: the kernel may have dropped the dirty pages, so a later success says
    /// nothing about these bytes.
    fn sync_data(&self, site: SyncSite) -> io::Result<()>;
    /// Takes the exclusive lock on this file, or says that another handle has it, be it of this
    /// process or of another. The lock ends with the handle.
    fn try_lock(&self) -> io::Result<bool>;
}
