//! What can be set.

use crate::types::Lsn;

/// Settings of a [`Log`](crate::Log). The defaults are for a server; tests take tiny segments.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A segment is sealed before it grows beyond this, in bytes.
    pub segment_bytes: u64,
    /// A segment is sealed when it has this many records. Their index is kept in memory until then,
    /// at 48 bytes each.
    pub segment_records: usize,
    /// Free space that arrivals leave alone, in bytes, so that deletions and the index still have
    /// room on a full disk.
    pub reserve_bytes: u64,
    /// Blobs larger than this, in bytes, should get a file of their own: copying them through the
    /// log would hold up the others. The caller decides by it; the log takes up to
    /// [`max_inline_bytes`](LogOptions::max_inline_bytes).
    pub large_blob_bytes: u64,
    /// Groups up to this size, in bytes, are written into space that was filled with zeros before:
    /// a sync that need not extend the file takes half the time. 0 turns it off.
    pub prefill_group_bytes: u64,
    /// The most that is filled with zeros ahead, in bytes.
    pub prefill_ahead_bytes: u64,
    /// Open files kept for reading, at most.
    pub open_files: usize,
    /// Bytes that compaction reads and writes per second, at most; `None` for no bound.
    pub compaction_bytes_per_s: Option<u64>,
    /// The caller knows that records up to this position are durable and were valid (the index
    /// covers them): opening does not compare their blobs with their digests again.
    pub known_good_lsn: Lsn,
    /// Makes keys and salts repeatable, for tests; `None` draws them from the system.
    pub seed: Option<u64>,
}

impl LogOptions {
    /// The largest blob that the log takes inline, in bytes.
    pub fn max_inline_bytes(&self) -> u64 {
        self.segment_bytes.max(self.large_blob_bytes)
    }
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 256 << 20,
            segment_records: 1 << 17,
            reserve_bytes: 64 << 20,
            large_blob_bytes: 8 << 20,
            prefill_group_bytes: 128 << 10,
            prefill_ahead_bytes: 4 << 20,
            open_files: 256,
            compaction_bytes_per_s: Some(64 << 20),
            known_good_lsn: 0,
            seed: None,
        }
    }
}
