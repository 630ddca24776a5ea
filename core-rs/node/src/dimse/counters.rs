//! What the server counts, for `/metrics`.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that associations add to.
#[derive(Default)]
pub(super) struct Counters {
    pub connections: AtomicU64,
    pub connections_refused: AtomicU64,
    pub accept_errors: AtomicU64,
    pub accepted: AtomicU64,
    pub echoes: AtomicU64,
    pub requests: AtomicU64,
    pub stored: AtomicU64,
    pub refused: AtomicU64,
    pub streamed: AtomicU64,
    pub data_set_bytes: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    ended: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub fn rejected(&self, reason: &'static str) {
        *self.rejected.lock().entry(reason).or_default() += 1;
    }

    pub fn ended(&self, end: &'static str) {
        *self.ended.lock().entry(end).or_default() += 1;
    }

    pub fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            accept_errors: read(&self.accept_errors),
            accepted: read(&self.accepted),
            echoes: read(&self.echoes),
            requests: read(&self.requests),
            stored: read(&self.stored),
            refused: read(&self.refused),
            streamed: read(&self.streamed),
            data_set_bytes: read(&self.data_set_bytes),
            rejected: self
                .rejected
                .lock()
                .iter()
                .map(|(reason, count)| (*reason, *count))
                .collect(),
            ended: self
                .ended
                .lock()
                .iter()
                .map(|(end, count)| (*end, *count))
                .collect(),
        }
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What was counted since the server was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// TCP connections that were accepted.
    pub connections: u64,
    /// TCP connections closed at once because too many were open.
    pub connections_refused: u64,
    /// Failures to accept a connection, such as a lack of file descriptors.
    pub accept_errors: u64,
    /// Associations that were accepted.
    pub accepted: u64,
    /// C-ECHO requests answered.
    pub echoes: u64,
    /// Requests handed over to services.
    pub requests: u64,
    /// Instances answered with success or a warning.
    pub stored: u64,
    /// Instances answered with another status.
    pub refused: u64,
    /// Instances that were handed on in parts, among both.
    pub streamed: u64,
    /// Bytes of all data sets received.
    pub data_set_bytes: u64,
    /// Associations rejected, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Connections that ended, by how: `released`, `rejected`, `peer.aborted`, `peer.closed`, `timeout.artim`,
    /// `timeout.idle`, `timeout.message`, `stopped`, or a code of [`vna_ul::UlError`].
    pub ended: Vec<(&'static str, u64)>,
}

/// What the server holds now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Since the start.
    pub totals: Totals,
    /// Open TCP connections.
    pub open_connections: usize,
    /// Open associations.
    pub open_associations: usize,
    /// Bytes of the spool budget in use.
    pub spool_used_bytes: usize,
    /// The spool budget.
    pub spool_budget_bytes: usize,
    /// Bytes of buffers kept for reuse.
    pub spool_idle_bytes: usize,
    /// How often an association waited for the spool budget.
    pub spool_waits: u64,
}
