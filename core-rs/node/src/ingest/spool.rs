//! A body that has to be whole before it can be read: a file without a name in the archive's folder.
//!
//! (1) The name is removed as soon as the file is open, so the system frees its space when nobody has it open any
//!     more, however the process ends.
//! (2) A crash between the two leaves a name, which the next opening removes.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vna_io::{Disk, DiskFile, Open};

use crate::archive::Archive;
use crate::error::ArchiveError;

const FOLDER: &str = "uploads";

/// A file that is written once, then read.
pub(crate) struct Spool {
    archive: Arc<Archive>,
    file: Arc<dyn DiskFile>,
    size: u64,
}

impl Spool {
    pub(super) fn new(archive: &Arc<Archive>) -> Result<Self, ArchiveError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let folder = folder(&archive.settings().storage.root);
        let disk = archive.disk();
        let name = folder.join(format!("{}.zip", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let doing = |source| ArchiveError::Io {
            doing: "making a file for an upload",
            source,
        };
        disk.create_dir_all(&folder).map_err(doing)?;
        let file = disk.open(&name, Open::CreateNew).map_err(doing)?;
        disk.remove(&name).map_err(doing)?; // (1)
        Ok(Self {
            archive: Arc::clone(archive),
            file,
            size: 0,
        })
    }

    pub(super) fn write(&mut self, part: &[u8]) -> Result<(), ArchiveError> {
        self.archive.log().check_room(part.len() as u64)?;
        self.file
            .write_all_at(&[IoSlice::new(part)], self.size)
            .map_err(|source| ArchiveError::Io {
                doing: "writing an upload to the disk",
                source,
            })?;
        self.size += part.len() as u64;
        Ok(())
    }

    pub(super) fn into_file(self) -> Arc<dyn DiskFile> {
        self.file
    }
}

fn folder(root: &Path) -> PathBuf {
    root.join(FOLDER)
}

/// Removes what a crash left (2).
pub(crate) fn sweep(disk: &dyn Disk, root: &Path) -> std::io::Result<()> {
    let folder = folder(root);
    if !disk.exists(&folder)? {
        return Ok(());
    }
    for name in disk.list(&folder)? {
        disk.remove(&folder.join(name))?;
    }
    Ok(())
}
