//! What became of frames, for the operator.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of frames since the start, and what is in use now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CodecCounts {
    /// Frames decoded.
    pub decoded: u64,
    /// Frames encoded.
    pub encoded: u64,
    /// Frames that a codec refused, with the reason.
    pub refused: u64,
    /// Frames lost because their helper ended or answered nonsense.
    pub crashed: u64,
    /// Frames lost because they took too long.
    pub timed_out: u64,
    /// Frames that no helper could be started for.
    pub not_started: u64,
    /// Helpers started.
    pub helpers_started: u64,
    /// Helpers running.
    pub helpers: u64,
    /// Bytes that frames in work have of the budget.
    pub used_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// Bytes that helpers at rest keep for their next frame.
    pub idle_bytes: u64,
}

/// The numbers behind [`CodecCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) decoded: AtomicU64,
    pub(crate) encoded: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) crashed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) not_started: AtomicU64,
    helpers_started: AtomicU64,
    helpers_ended: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn helper_started(&self) {
        count(&self.helpers_started);
    }

    pub(crate) fn helper_ended(&self) {
        count(&self.helpers_ended);
    }

    /// All of it, but for the memory.
    pub(crate) fn read(&self) -> CodecCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Ended ones first: a helper is counted as started before it ends.
        let ended = read(&self.helpers_ended);
        let started = read(&self.helpers_started);
        CodecCounts {
            decoded: read(&self.decoded),
            encoded: read(&self.encoded),
            refused: read(&self.refused),
            crashed: read(&self.crashed),
            timed_out: read(&self.timed_out),
            not_started: read(&self.not_started),
            helpers_started: started,
            helpers: started.saturating_sub(ended),
            ..CodecCounts::default()
        }
    }
}
