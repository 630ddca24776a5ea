//! Bytes that have to be kept until they are read: the first in memory, the others in a file without a name.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use vna_dicom::ReadAt;

use crate::error::ArchiveError;

/// Asked before so many bytes are written to a file.
type CheckRoom = dyn Fn(u64) -> Result<(), ArchiveError> + Send + Sync;

/// Where bytes are kept. Clones share the memory: it is for all transcodings together (invariant 6 of ARCHITECTURE.md).
#[derive(Clone)]
pub struct SpoolSettings {
    memory: Arc<Memory>,
    folder: PathBuf,
    check_room: Option<Arc<CheckRoom>>,
}

/// Bytes in memory.
#[derive(Debug)]
struct Memory {
    limit: u64,
    taken: AtomicU64,
}

/// A part of the memory; dropped, others can have it.
#[derive(Debug)]
pub(super) struct Lent {
    memory: Arc<Memory>,
    bytes: u64,
}

impl SpoolSettings {
    /// At most so many bytes in memory, the others in files in `folder`.
    #[must_use]
    pub fn new(memory_bytes: u64, folder: PathBuf) -> Self {
        let memory = Memory {
            limit: memory_bytes,
            taken: AtomicU64::new(0),
        };
        SpoolSettings {
            memory: Arc::new(memory),
            folder,
            check_room: None,
        }
    }

    /// The same with memory of its own.
    #[must_use]
    pub fn with_memory(self, memory_bytes: u64) -> Self {
        let memory = SpoolSettings::new(memory_bytes, PathBuf::new()).memory;
        SpoolSettings { memory, ..self }
    }

    /// Asks before a file grows whether there is room: what it says is why not.
    #[must_use]
    pub fn with_check(
        self,
        check_room: impl Fn(u64) -> Result<(), ArchiveError> + Send + Sync + 'static,
    ) -> Self {
        let check_room: Option<Arc<CheckRoom>> = Some(Arc::new(check_room));
        SpoolSettings { check_room, ..self }
    }

    /// Most bytes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.limit
    }

    /// Bytes that are in memory now.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.memory.taken.load(Ordering::Relaxed)
    }

    /// How many frames of this length may be in work ahead, at most `most` and one in any case, with the memory for them.
    pub(super) fn window(&self, frame_bytes: u64, most: usize) -> (usize, Lent) {
        let (mut frames, mut lent) = (most.max(1), Lent::none(&self.memory));
        loop {
            let bytes = frame_bytes.saturating_mul(frames as u64);
            if lent.grow(bytes) || frames == 1 {
                return (frames, lent); // without one it could not go on
            }
            frames /= 2;
        }
    }
}

impl Lent {
    fn none(memory: &Arc<Memory>) -> Lent {
        let memory = Arc::clone(memory);
        Lent { memory, bytes: 0 }
    }

    /// Takes so many bytes more, if there are.
    fn grow(&mut self, bytes: u64) -> bool {
        let Memory { limit, taken } = &*self.memory;
        let more = |taken: u64| taken.checked_add(bytes).filter(|sum| sum <= limit);
        let is_taken = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        if is_taken.is_ok() {
            self.bytes += bytes;
        }
        is_taken.is_ok()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl fmt::Debug for SpoolSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolSettings")
            .field("memory", &self.memory)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Default for SpoolSettings {
    /// 16 MiB, and the system's folder for temporary files.
    fn default() -> Self {
        SpoolSettings::new(16 << 20, std::env::temp_dir())
    }
}

/// Bytes that are written once, then read at any position. The file has no name, so the system frees its space however
/// the process ends.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    held: Vec<u8>,
    lent: Lent,
    /// What is behind `held`.
    file: Option<File>,
    in_file: u64,
}

impl Spool {
    /// An empty one.
    #[must_use]
    pub fn new(settings: &SpoolSettings) -> Self {
        Spool {
            settings: settings.clone(),
            held: Vec::new(),
            lent: Lent::none(&settings.memory),
            file: None,
            in_file: 0,
        }
    }

    /// An empty one that shares memory and folder with this one.
    #[must_use]
    pub fn another(&self) -> Self {
        Spool::new(&self.settings)
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// What the check for room says; [`ArchiveError::Io`] if the disk does not take them.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let length = bytes.len() as u64;
        if self.file.is_none() && self.lent.grow(length) {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        if let Some(check_room) = &self.settings.check_room {
            check_room(length)?;
        }
        let failed = |source| ArchiveError::Io {
            doing: "writing frames to a temporary file",
            source,
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = unnamed(&self.settings.folder).map_err(failed)?;
                self.file.insert(file)
            }
        };
        file.write_all_at(bytes, self.in_file).map_err(failed)?;
        self.in_file += length;
        Ok(())
    }
}

impl ReadAt for Spool {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.held.len() as u64 + self.in_file
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        let held = usize::try_from(offset)
            .ok()
            .and_then(|at| self.held.get(at..))
            .unwrap_or_default();
        let filled = held.len().min(buffer.len());
        buffer[..filled].copy_from_slice(&held[..filled]);
        let Some(file) = self.file.as_ref().filter(|_| filled < buffer.len()) else {
            return Ok(filled);
        };
        let rest = &mut buffer[filled..];
        let at = (offset + filled as u64).saturating_sub(self.held.len() as u64);
        let left = usize::try_from(self.in_file.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = rest.len().min(left);
        file.read_exact_at(&mut rest[..wanted], at)
            .map_err(|source| ArchiveError::Io {
                doing: "reading frames from a temporary file",
                source,
            })?;
        Ok(filled + wanted)
    }
}

fn unnamed(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => return Ok(file.into()),
        // File systems that cannot do it say one of these.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
        }
        Err(error) => return Err(error.into()),
    }
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = folder.join(format!(".vna-frames-{}-{number}", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&name)?;
    std::fs::remove_file(&name)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use vna_store::StoreError;

    use super::*;

    #[test]
    fn memory_is_one_for_all_and_what_finds_none_goes_to_a_file() {
        let settings = SpoolSettings::new(10, std::env::temp_dir());
        let (mut one, mut other) = (Spool::new(&settings), Spool::new(&settings.clone()));
        one.append(b"1234567").unwrap();
        other.append(b"abcd").unwrap(); // does not fit beside it
        other.append(b"e").unwrap();
        assert_eq!(settings.used_bytes(), 7);
        let mut found = [0; 5];
        assert_eq!(other.read_at(&mut found, 0).unwrap(), 5);
        assert_eq!(&found, b"abcde");
        drop(one);
        assert_eq!(settings.used_bytes(), 0);
    }

    #[test]
    fn frames_ahead_take_of_the_same_memory() {
        let settings = SpoolSettings::new(10, std::env::temp_dir());
        let (frames, lent) = settings.window(2, 4);
        assert_eq!((frames, settings.used_bytes()), (4, 8));
        let (fewer, _none) = settings.window(2, 4);
        assert_eq!((fewer, settings.used_bytes()), (1, 10));
        let (one, _none) = settings.window(50, 4);
        assert_eq!((one, settings.used_bytes()), (1, 10));
        drop(lent);
        assert_eq!(settings.used_bytes(), 2);
    }

    #[test]
    fn what_has_no_room_is_refused_before_it_is_written() {
        let full = |needed| {
            let (free, reserve) = (64, 64);
            Err(StoreError::Full {
                needed,
                free,
                reserve,
            }
            .into())
        };
        let settings = SpoolSettings::new(4, std::env::temp_dir()).with_check(full);
        let mut spool = Spool::new(&settings);
        spool.append(b"1234").unwrap();
        let refused = spool.append(b"5").unwrap_err();
        assert_eq!(refused.code(), "store.full");
        assert_eq!(spool.size(), 4);
    }
}
