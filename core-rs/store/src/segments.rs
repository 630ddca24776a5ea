//! The segments of a log, as they are known while it is open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::format::{Entry, Footer, Holds, SegmentHeader};
use crate::types::Lsn;

/// What of a segment is still wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCount {
    /// Records whose blob is wanted.
    pub records: u64,
    /// Bytes of these blobs that lie in the segment (not in files of their own).
    pub bytes: u64,
}

/// What a segment holds.
pub enum Contents {
    /// It has no index at its end: it is open, or its end failed. Its entries are in memory.
    Listed { entries: Vec<Entry>, end: u64 },
    /// It is a pack.
    Sealed(Footer),
}

pub struct Segment {
    pub header: SegmentHeader,
    pub path: PathBuf,
    pub contents: RwLock<Contents>,
    /// `None` until the caller has said what is live.
    pub live: Mutex<Option<LiveCount>>,
}

impl Segment {
    pub fn id(&self) -> u64 {
        self.header.id
    }

    /// Where its records end, in bytes.
    pub fn end(&self) -> u64 {
        match &*self.contents.read() {
            Contents::Listed { end, .. } => *end,
            Contents::Sealed(footer) => footer.index_at,
        }
    }

    pub fn footer(&self) -> Option<Footer> {
        match &*self.contents.read() {
            Contents::Listed { .. } => None,
            Contents::Sealed(footer) => Some(footer.clone()),
        }
    }

    /// The position of its last record; that of the last acknowledged one before if it has none.
    pub fn last_lsn(&self) -> Lsn {
        let before = self.header.committed;
        match &*self.contents.read() {
            Contents::Listed { entries, .. } => entries.last().map_or(before, |entry| entry.lsn),
            Contents::Sealed(footer) => footer.last_lsn,
        }
    }

    /// How many of its records have a blob.
    pub fn blobs(&self) -> u64 {
        match &*self.contents.read() {
            Contents::Listed { entries, .. } => count_blobs(entries),
            Contents::Sealed(footer) => footer.blobs,
        }
    }

    /// Whether it may hold blobs that nobody wants; true if that is not known.
    pub fn may_hold_dead(&self) -> bool {
        let blobs = self.blobs();
        blobs > 0 && self.live.lock().is_none_or(|live| live.records < blobs)
    }
}

pub fn count_blobs(entries: &[Entry]) -> u64 {
    entries
        .iter()
        .filter(|entry| entry.holds != Holds::Nothing)
        .count() as u64
}

/// All segments, by id.
#[derive(Default)]
pub struct Segments(RwLock<BTreeMap<u64, Arc<Segment>>>);

impl Segments {
    pub fn get(&self, id: u64) -> Option<Arc<Segment>> {
        self.0.read().get(&id).cloned()
    }

    pub fn insert(&self, segment: Arc<Segment>) {
        self.0.write().insert(segment.id(), segment);
    }

    pub fn remove(&self, id: u64) {
        self.0.write().remove(&id);
    }

    /// The highest id.
    pub fn last_id(&self) -> u64 {
        self.0.read().keys().next_back().copied().unwrap_or(0)
    }

    /// All of them, by id.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().values().cloned().collect()
    }

    /// Those that hold the log, in the order of their records: a pack that was compacted and not
    /// yet removed gives way to the one that replaces it.
    pub fn in_order(&self) -> Vec<Arc<Segment>> {
        let all = self.all();
        let replaced: BTreeSet<u64> = all.iter().map(|segment| segment.header.replaces).collect();
        let mut left: Vec<_> = all
            .into_iter()
            .filter(|segment| !replaced.contains(&segment.id()))
            .collect();
        left.sort_by_key(|segment| (segment.header.first_lsn, segment.id()));
        left
    }

    /// The pack that replaces this one.
    pub fn replacement_of(&self, id: u64) -> Option<Arc<Segment>> {
        let segments = self.0.read();
        segments
            .values()
            .find(|segment| segment.header.replaces == id && id != 0)
            .cloned()
    }
}
