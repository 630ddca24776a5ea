//! The record that says how far back the log is complete.
//!
//! A deed (such as a deletion) is dropped from the log when nothing is left that it could kill. An
//! index restored from a copy that is older than the deed could then not be brought up to date by
//! replay, and would point at what is gone. So before deeds are dropped the log states the last of
//! them, durably: an index that covers less must be built anew.

use crate::types::{Lsn, RecordKind};

/// The kind of these records.
pub const KIND: RecordKind = RecordKind::FIRST_RESERVED;

/// The record's header.
pub fn header(horizon: Lsn) -> [u8; 8] {
    horizon.to_le_bytes()
}

/// What a record's header states.
pub fn read(header: &[u8]) -> Option<Lsn> {
    Some(u64::from_le_bytes(header.try_into().ok()?))
}
