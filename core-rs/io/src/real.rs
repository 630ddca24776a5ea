//! The operating system's files.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FlockOperation, fadvise};
use rustix::io::{Errno, ReadWriteFlags};

use crate::direct::Direct;
use crate::{Disk, DiskFile, Open, SyncSite};

/// Slices that one `pwritev` takes (`IOV_MAX` of Linux and the BSDs).
const MAX_SLICES: usize = 1024;

/// What was tried on which file, and what the system answered. It travels inside an
/// [`io::Error`] of the same kind.
#[derive(Debug)]
pub struct PathError {
    /// What was tried, such as "write 3200 bytes at 8192 to".
    pub operation: String,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PathError {
            operation,
            path,
            source,
        } = self;
        write!(f, "cannot {operation} {}: {source}", path.display())
    }
}

impl std::error::Error for PathError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Adds operation and path to an error. The operation is a closure: it is formatted on error only.
fn explain(source: io::Error, operation: impl FnOnce() -> String, path: &Path) -> io::Error {
    let kind = source.kind();
    let (operation, path) = (operation(), path.to_path_buf());
    io::Error::new(
        kind,
        PathError {
            operation,
            path,
            source,
        },
    )
}

/// The disk of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn is_of_the_system(&self) -> bool {
        true
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new(); // std sets O_CLOEXEC
        options.read(true);
        match how {
            Open::Read => &mut options,
            Open::Write => options.write(true),
            Open::CreateNew => options.write(true).create_new(true),
            Open::Create => options.write(true).create(true).truncate(false),
        };
        let file = options
            .open(path)
            .map_err(|e| explain(e, || "open".into(), path))?;
        Ok(Arc::new(RealFile {
            file,
            direct: Direct::default(),
            path: path.to_path_buf(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
            .map_err(|e| explain(e, || format!("rename {} to", from.display()), to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path).map_err(|e| explain(e, || "remove".into(), path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path).map_err(|e| explain(e, || "make folder".into(), path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                // Every name that the archive gives is ASCII; what is not is not ours.
                if let Ok(name) = entry?.file_name().into_string() {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().map_err(|e| explain(e, || "list".into(), folder))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
            .map_err(|e| explain(e, || "look for".into(), path))
    }

    fn sync_dir(&self, folder: &Path, site: SyncSite) -> io::Result<()> {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(|e| explain(e, || format!("sync ({site}) folder"), folder))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)
            .map_err(|e| explain(e.into(), || "ask for free space below".into(), path))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct RealFile {
    file: File,
    direct: Direct,
    path: PathBuf,
}

impl RealFile {
    /// Whole blocks of a large write past the page cache, the rest through it.
    fn write_parts(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let Some((start, end)) = self.direct.write(&self.file, parts, offset)? else {
            return self.write_slices(parts, offset);
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let before = usize::try_from(start - offset).unwrap_or(usize::MAX);
        let behind = usize::try_from(end - offset).unwrap_or(usize::MAX);
        self.write_slices(&between(parts, 0, before), offset)?;
        self.write_slices(&between(parts, behind, length), end)
    }

    fn write_slices(&self, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        if let [part] = parts {
            return self.file.write_all_at(part, offset);
        }
        let mut owned = parts.to_vec();
        let mut left = &mut owned[..];
        IoSlice::advance_slices(&mut left, 0); // drops empty slices in front
        while !left.is_empty() {
            let batch = &left[..left.len().min(MAX_SLICES)];
            match rustix::io::pwritev(&self.file, batch, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut left, written);
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Bytes `from` to `to` of `parts`, one behind the other.
fn between<'a>(parts: &'a [IoSlice<'_>], from: usize, to: usize) -> Vec<IoSlice<'a>> {
    let mut at = 0;
    let mut slices = Vec::new();
    for part in parts {
        let (start, end) = (from.max(at), to.min(at + part.len()));
        if start < end {
            slices.push(IoSlice::new(&part[start - at..end - at]));
        }
        at += part.len();
    }
    slices
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let what = || format!("read {} bytes at {offset} of", buffer.len());
                    return Err(explain(error, what, &self.path));
                }
            }
        }
        Ok(done)
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let wanted = buffer.len();
        let mut parts = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut parts, offset, ReadWriteFlags::NOWAIT) {
            // Of what the cache has only a part of, or not at all, or of a file system that cannot tell.
            Ok(read) if read < wanted => Ok(None),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Ok(read) => Ok(Some(read)),
            Err(error) => {
                let what = || format!("read {wanted} bytes at {offset} of");
                Err(explain(error.into(), what, &self.path))
            }
        }
    }

    fn will_read(&self, offset: u64, bytes: u64) {
        let bytes = NonZeroU64::new(bytes).filter(|_| offset.checked_add(bytes).is_some());
        if let Some(bytes) = bytes {
            let _ = fadvise(&self.file, offset, Some(bytes), Advice::WillNeed);
        }
    }

    fn read_once_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if !Direct::is_worth_reading(buffer.len()) {
            return self.read_at(buffer, offset);
        }
        // Whether the cache has it is not asked: a kernel that is asked begins to read it into the cache.
        match self.direct.read(&self.file, buffer, offset) {
            Ok(Some(read)) => Ok(read),
            Ok(None) => self.read_at(buffer, offset),
            Err(error) => {
                let what = || format!("read {} bytes at {offset} of", buffer.len());
                Err(explain(error, what, &self.path))
            }
        }
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.write_parts(parts, offset).map_err(|e| {
            let bytes: usize = parts.iter().map(|part| part.len()).sum();
            explain(
                e,
                || format!("write {bytes} bytes at {offset} to"),
                &self.path,
            )
        })
    }

    fn len(&self) -> io::Result<u64> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(|e| explain(e, || "get the length of".into(), &self.path))?
            .len())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let what = || format!("set the length to {length} of");
        self.file
            .set_len(length)
            .map_err(|e| explain(e, what, &self.path))
    }

    fn sync_data(&self, site: SyncSite) -> io::Result<()> {
        self.file
            .sync_data()
            .map_err(|e| explain(e, || format!("sync ({site})"), &self.path))
    }

    fn try_lock(&self) -> io::Result<bool> {
        // flock belongs to the open file, so a second opener is refused within one process too,
        // and the lock of a killed process is gone with it.
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(explain(error.into(), || "lock".into(), &self.path)),
        }
    }
}
