//! File input and output behind one trait: real, in memory, and with power cuts.
//!
//! Log, blobs and index reach the disk through [`Disk`] alone. Production uses [`RealDisk`];
//! [`MemoryDisk`] keeps everything in memory; [`CutDisk`] records writes and syncs so that a test
//! can cut the power at any of them and look at what a real disk might have kept.

mod cut;
mod memory;
mod real;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use cut::{Cut, CutDisk, Survival};
pub use memory::MemoryDisk;
pub use real::RealDisk;

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

/// A file system, as far as an archive needs one.
///
/// What is written may be lost, torn or reordered by a power cut until the file's
/// [`sync_data`](DiskFile::sync_data) has returned; what is created, renamed or removed, until the
/// folder's [`sync_dir`](Disk::sync_dir) has.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file a new name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; those who have it open read on.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and its parents; each new name is durable when this returns.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Whether something has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that can still be written below `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Positioned reads and writes: no cursor, so that threads can share it.
pub trait DiskFile: Send + Sync {
    /// Reads at `offset`; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `parts`, one behind the other, from `offset` on.
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
    fn sync_data(&self) -> io::Result<()>;
    /// Takes the exclusive lock on this file, or says that another process has it.
    fn try_lock(&self) -> io::Result<bool>;
}
