//! A disk in memory: fast, without power cuts, gone with the process.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::{Disk, DiskFile, Open, SyncSite};

/// A file system that lives in memory. Clones share it. `/` and the working folder exist.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    names: Arc<Mutex<BTreeMap<PathBuf, Entry>>>,
}

#[derive(Clone)]
enum Entry {
    Folder,
    File(Arc<Content>),
}

#[derive(Default)]
struct Content {
    bytes: RwLock<Vec<u8>>,
    locked: AtomicBool,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }
}

/// An error of `kind` that names `path`.
pub(crate) fn refuse(kind: ErrorKind, operation: &str, path: &Path) -> io::Error {
    io::Error::new(
        kind,
        format!("cannot {operation} {}: {kind}", path.display()),
    )
}

/// Whether `path` is a folder that is always there.
pub(crate) fn is_root(path: &Path) -> bool {
    path == Path::new("/") || path == Path::new(".") || path.as_os_str().is_empty()
}

/// Whether both mean the same folder.
pub(crate) fn is_same_folder(a: &Path, b: &Path) -> bool {
    a == b || (is_root(a) && is_root(b))
}

fn is_folder(names: &BTreeMap<PathBuf, Entry>, path: &Path) -> bool {
    is_root(path) || matches!(names.get(path), Some(Entry::Folder))
}

fn check_parent(names: &BTreeMap<PathBuf, Entry>, path: &Path, operation: &str) -> io::Result<()> {
    if path.parent().is_some_and(|parent| is_folder(names, parent)) {
        Ok(())
    } else {
        Err(refuse(ErrorKind::NotFound, operation, path))
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut names = self.names.lock();
        let content = match names.get(path) {
            Some(Entry::Folder) => return Err(refuse(ErrorKind::IsADirectory, "open", path)),
            Some(Entry::File(_)) if how == Open::CreateNew => {
                return Err(refuse(ErrorKind::AlreadyExists, "make", path));
            }
            Some(Entry::File(content)) => Arc::clone(content),
            None if matches!(how, Open::Read | Open::Write) => {
                return Err(refuse(ErrorKind::NotFound, "open", path));
            }
            None => {
                check_parent(&names, path, "make")?;
                let content = Arc::new(Content::default());
                names.insert(path.to_path_buf(), Entry::File(Arc::clone(&content)));
                content
            }
        };
        Ok(Arc::new(MemoryFile {
            content,
            writable: how != Open::Read,
            holds_lock: AtomicBool::new(false),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        check_parent(&names, to, "rename to")?;
        if !matches!(names.get(from), Some(Entry::File(_))) {
            return Err(refuse(ErrorKind::NotFound, "rename", from));
        }
        if is_folder(&names, to) {
            return Err(refuse(ErrorKind::IsADirectory, "rename to", to));
        }
        if let Some(entry) = names.remove(from) {
            names.insert(to.to_path_buf(), entry);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        match names.get(path) {
            Some(Entry::File(_)) => {
                names.remove(path);
                Ok(())
            }
            Some(Entry::Folder) => Err(refuse(ErrorKind::IsADirectory, "remove", path)),
            None => Err(refuse(ErrorKind::NotFound, "remove", path)),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        check_parent(&names, path, "make folder")?;
        if is_root(path) || names.contains_key(path) {
            return Err(refuse(ErrorKind::AlreadyExists, "make folder", path));
        }
        names.insert(path.to_path_buf(), Entry::Folder);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = self.names.lock();
        if !is_folder(&names, folder) {
            return Err(refuse(ErrorKind::NotFound, "list", folder));
        }
        let children = names.keys().filter(|path| {
            path.parent()
                .is_some_and(|parent| is_same_folder(parent, folder))
        });
        Ok(children
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(is_root(path) || self.names.lock().contains_key(path))
    }

    fn sync_dir(&self, folder: &Path, _site: SyncSite) -> io::Result<()> {
        if is_folder(&self.names.lock(), folder) {
            Ok(())
        } else {
            Err(refuse(ErrorKind::NotFound, "sync folder", folder))
        }
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX / 2) // memory has no figure to offer; half, so that sums do not overflow
    }
}

struct MemoryFile {
    content: Arc<Content>,
    writable: bool,
    holds_lock: AtomicBool,
}

/// Copies what lies at `offset` of `bytes` into `buffer` and says how much that was.
pub(crate) fn copy_out(bytes: &[u8], buffer: &mut [u8], offset: u64) -> usize {
    let Some(rest) = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)) else {
        return 0;
    };
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    length
}

/// Writes `part` at `offset` of `bytes`, with zeros between if it starts behind the end.
pub(crate) fn copy_in(bytes: &mut Vec<u8>, part: &[u8], offset: usize) {
    let end = offset + part.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(part);
}

/// An offset or length that memory can hold.
pub(crate) fn to_index(value: u64) -> io::Result<usize> {
    usize::try_from(value)
        .map_err(|_| io::Error::new(ErrorKind::FileTooLarge, "offset does not fit into memory"))
}

pub(crate) fn read_only() -> io::Error {
    io::Error::new(
        ErrorKind::PermissionDenied,
        "file was opened for reading only",
    )
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_out(&self.content.bytes.read(), buffer, offset))
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        if !self.writable {
            return Err(read_only());
        }
        let mut bytes = self.content.bytes.write();
        let mut offset = to_index(offset)?;
        for part in parts {
            copy_in(&mut bytes, part, offset);
            offset += part.len();
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.bytes.read().len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if !self.writable {
            return Err(read_only());
        }
        self.content.bytes.write().resize(to_index(length)?, 0);
        Ok(())
    }

    fn sync_data(&self, _site: SyncSite) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        if self.holds_lock.load(Ordering::Acquire) {
            return Ok(true);
        }
        let taken = !self.content.locked.swap(true, Ordering::AcqRel);
        if taken {
            self.holds_lock.store(true, Ordering::Release);
        }
        Ok(taken)
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if *self.holds_lock.get_mut() {
            self.content.locked.store(false, Ordering::Release);
        }
    }
}
