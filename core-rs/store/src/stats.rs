//! Figures about a log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::segments::LiveCount;
use crate::shared::Shared;
use crate::types::Lsn;

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its id.
    pub segment: u64,
    /// Whether it is a pack.
    pub is_sealed: bool,
    /// No record in it is older.
    pub first_lsn: Lsn,
    /// Its last record; the last acknowledged one before it if it has none.
    pub last_lsn: Lsn,
    /// Length of its records in bytes.
    pub bytes: u64,
    /// Records that have a blob.
    pub blobs: u64,
    /// The pack that takes its place: it is being compacted, or was when the process ended.
    pub replaced_by: Option<u64>,
    /// What of it is live; `None` until [`Log::set_live`](crate::Log::set_live).
    pub live: Option<LiveCount>,
}

/// Figures of an open log; counts are since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// The position that the next record gets.
    pub next_lsn: Lsn,
    /// See [`Log::horizon`](crate::Log::horizon).
    pub horizon: Lsn,
    /// Segments, the open one included.
    pub segments: usize,
    /// Length of all records in bytes.
    pub bytes: u64,
    /// Of these, blobs that are live, as far as known.
    pub live_bytes: u64,
    /// Length of the open segment's records in bytes; 0 if none is open.
    pub open_bytes: u64,
    /// Files open for reading.
    pub open_files: usize,
    /// Records appended.
    pub appended_records: u64,
    /// Bytes appended.
    pub appended_bytes: u64,
    /// Groups appended, each with one sync.
    pub groups: u64,
    /// Groups whose sync failed.
    pub failed_groups: u64,
    /// Groups whose write was refused.
    pub refused_groups: u64,
    /// Segments that could not be sealed; the next opening does it.
    pub unsealed: u64,
    /// Bytes copied by compaction.
    pub compacted_bytes: u64,
    /// Bytes of packs removed.
    pub reclaimed_bytes: u64,
}

pub fn stats(shared: &Shared, next_lsn: Lsn, open_bytes: u64) -> LogStats {
    let all = shared.segments.all();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &shared.counters;
    LogStats {
        next_lsn,
        horizon: shared.horizon(),
        segments: all.len(),
        bytes: all.iter().map(|segment| segment.end()).sum(),
        live_bytes: all
            .iter()
            .filter_map(|s| s.live.lock().map(|live| live.bytes))
            .sum(),
        open_bytes,
        open_files: shared.handles.len(),
        appended_records: read(&counters.records),
        appended_bytes: read(&counters.bytes),
        groups: read(&counters.groups),
        failed_groups: read(&counters.failed_groups),
        refused_groups: read(&counters.refused_groups),
        unsealed: read(&counters.unsealed),
        compacted_bytes: read(&counters.compacted_bytes),
        reclaimed_bytes: read(&counters.reclaimed_bytes),
    }
}

pub fn segments(shared: &Shared) -> Vec<SegmentInfo> {
    let info = |segment: &crate::segments::Segment| SegmentInfo {
        segment: segment.id(),
        is_sealed: segment.footer().is_some(),
        first_lsn: segment.header.first_lsn,
        last_lsn: segment.last_lsn(),
        bytes: segment.end(),
        blobs: segment.blobs(),
        replaced_by: shared
            .segments
            .replacement_of(segment.id())
            .map(|replacement| replacement.id()),
        live: *segment.live.lock(),
    };
    let mut all = shared.segments.all();
    all.sort_by_key(|segment| (segment.header.first_lsn, segment.id()));
    all.iter().map(|segment| info(segment)).collect()
}
