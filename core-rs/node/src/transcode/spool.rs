//! Bytes that have to be kept until they are read: the first in memory, the others in a file without a name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use vna_dicom::ReadAt;

use crate::error::ArchiveError;

/// Where bytes are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpoolSettings {
    /// Most bytes in memory.
    pub memory_bytes: u64,
    /// Where a file is made for the others.
    pub folder: PathBuf,
}

impl Default for SpoolSettings {
    /// 16 MiB, and the system's folder for temporary files.
    fn default() -> Self {
        SpoolSettings {
            memory_bytes: 16 << 20,
            folder: std::env::temp_dir(),
        }
    }
}

/// Bytes that are written once, then read at any position. The file has no name, so the system frees its space however
/// the process ends.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    held: Vec<u8>,
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
            file: None,
            in_file: 0,
        }
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] if the disk does not take them.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        if self.file.is_none() && self.size() + bytes.len() as u64 <= self.settings.memory_bytes {
            self.held.extend_from_slice(bytes);
            return Ok(());
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
        self.in_file += bytes.len() as u64;
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
