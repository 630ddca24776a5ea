//! What the parts of an open log share.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vna_io::{Disk, DiskFile};

use crate::error::StoreError;
use crate::handles::{FileId, Handles};
use crate::keys::KeyMaker;
use crate::options::LogOptions;
use crate::paths::Paths;
use crate::segments::{Segment, Segments};
use crate::types::{BlobKey, Lsn};

pub struct Shared {
    pub disk: Arc<dyn Disk>,
    pub paths: Paths,
    pub options: LogOptions,
    pub keys: KeyMaker,
    pub log_id: [u8; 16],
    pub segments: Segments,
    pub handles: Handles,
    pub next_segment_id: AtomicU64,
    /// See [`Log::horizon`](crate::Log::horizon).
    pub horizon: AtomicU64,
    /// Large blobs that were begun since the log was opened: the sweep leaves them alone. `None`
    /// once it has run.
    pub fresh_blobs: Mutex<Option<HashSet<BlobKey>>>,
    /// Folders of large blobs whose names are known to be durable.
    pub durable_folders: Mutex<[bool; 256]>,
    /// Packs that were compacted and removed, with what replaced them: a caller may still mark
    /// blobs dead by where they were.
    pub moved: Mutex<HashMap<u64, u64>>,
    pub counters: Counters,
}

/// Counts since the log was opened.
#[derive(Default)]
pub struct Counters {
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub groups: AtomicU64,
    pub failed_groups: AtomicU64,
    pub refused_groups: AtomicU64,
    pub unsealed: AtomicU64,
    pub compacted_bytes: AtomicU64,
    pub reclaimed_bytes: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

impl Shared {
    pub fn take_segment_id(&self) -> u64 {
        self.next_segment_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The segment that holds what was in segment `id`.
    pub fn current_segment(&self, mut id: u64) -> u64 {
        let moved = self.moved.lock();
        while let Some(next) = moved.get(&id) {
            id = *next;
        }
        id
    }

    pub fn horizon(&self) -> Lsn {
        self.horizon.load(Ordering::Acquire)
    }

    /// A handle for reading a segment.
    pub fn segment_file(&self, segment: &Segment) -> io::Result<Arc<dyn DiskFile>> {
        self.handles
            .get(&*self.disk, FileId::Segment(segment.id()), &segment.path)
    }

    /// Refuses what would leave less than the reserve free.
    pub fn check_room(&self, needed: u64) -> Result<(), StoreError> {
        let free = self.disk.free_bytes(self.paths.root())?;
        let reserve = self.options.reserve_bytes;
        if free.saturating_sub(reserve) < needed {
            return Err(StoreError::Full {
                needed,
                free,
                reserve,
            });
        }
        Ok(())
    }

    /// The error for a write that the system refused for want of room.
    pub fn full(&self, needed: u64) -> StoreError {
        let free = self.disk.free_bytes(self.paths.root()).unwrap_or(0);
        StoreError::Full {
            needed,
            free,
            reserve: self.options.reserve_bytes,
        }
    }
}

/// Whether the system says that there is no room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
