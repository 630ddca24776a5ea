//! Open files for reading, a bounded number of them.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use vna_io::{Disk, DiskFile, Open};

use crate::types::{BlobKey, Encoding};

/// What an open file holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileId {
    Segment(u64),
    Blob(BlobKey, Encoding),
}

/// The files read last. Readers hold a handle of their own, so closing one here takes nothing from
/// them, and removing a file leaves them reading.
pub struct Handles {
    limit: usize,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    open: HashMap<FileId, (Arc<dyn DiskFile>, u64)>,
    clock: u64,
}

impl Handles {
    pub fn new(limit: usize) -> Handles {
        Handles {
            limit: limit.max(1),
            files: Mutex::default(),
        }
    }

    /// The open file, opened at `path` if it is not yet.
    pub fn get(&self, disk: &dyn Disk, id: FileId, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        {
            let mut files = self.files.lock();
            files.clock += 1;
            let now = files.clock;
            if let Some((file, used)) = files.open.get_mut(&id) {
                *used = now;
                return Ok(Arc::clone(file));
            }
        }
        // Opened without the lock: a slow disk must not stop the readers of files that are open.
        let file = disk.open(path, Open::Read)?;
        self.keep(id, &file);
        // Removed while we opened it? Then `forget` may have come before us, and the cache would
        // keep alive what is reported as gone.
        if !disk.exists(path)? {
            self.forget(id);
        }
        Ok(file)
    }

    fn keep(&self, id: FileId, file: &Arc<dyn DiskFile>) {
        let mut files = self.files.lock();
        if files.open.len() >= self.limit {
            let oldest = files
                .open
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(id, _)| *id);
            oldest.and_then(|id| files.open.remove(&id));
        }
        let now = files.clock;
        files.open.insert(id, (Arc::clone(file), now));
    }

    /// Forgets a file that was removed.
    pub fn forget(&self, id: FileId) {
        self.files.lock().open.remove(&id);
    }

    pub fn len(&self) -> usize {
        self.files.lock().open.len()
    }
}
