//! What can go wrong, named.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::types::{BlobKey, Lsn};

/// What is wrong with a piece of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// The record's header does not have the checksum that it states.
    Header,
    /// The blob's bytes do not have the digest that the record states.
    Body,
    /// The segment or file ends before the blob does.
    Truncated,
    /// The index at the end of a pack cannot be read; its records were looked for one by one.
    Index,
    /// The blob's own file is not there.
    FileMissing,
    /// Bytes that were acknowledged hold no valid record any more.
    Unreadable {
        /// The offset at which the next valid record starts.
        until: u64,
    },
}

/// A damaged piece of the log: it concerns its record alone, not the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// Where in it the record starts, in bytes.
    pub offset: u64,
    /// The record's position, where it is known.
    pub lsn: Option<Lsn>,
    /// The blob's key, where it is known.
    pub key: Option<BlobKey>,
    /// What is wrong.
    pub kind: DamageKind,
}

impl Damage {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self.kind {
            DamageKind::Header => "record.header_checksum",
            DamageKind::Body => "record.body_digest",
            DamageKind::Truncated => "record.truncated",
            DamageKind::Index => "pack.index_checksum",
            DamageKind::FileMissing => "blob.file_missing",
            DamageKind::Unreadable { .. } => "segment.unreadable",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage {
            segment,
            offset,
            lsn,
            key,
            kind,
        } = self;
        write!(f, "segment {segment:016x}, offset {offset}")?;
        if let Some(lsn) = lsn {
            write!(f, ", LSN {lsn}")?;
        }
        if let Some(key) = key {
            write!(f, ", blob {key}")?;
        }
        match kind {
            DamageKind::Header => write!(f, ": the record's header does not match its checksum"),
            DamageKind::Body => write!(f, ": the blob does not match its digest"),
            DamageKind::Truncated => write!(f, ": the blob goes on behind the end of its file"),
            DamageKind::Index => write!(f, ": the pack's index does not match its checksum"),
            DamageKind::FileMissing => write!(f, ": the blob's file is missing"),
            DamageKind::Unreadable { until } => {
                write!(
                    f,
                    ": no valid record where acknowledged ones were, up to offset {until}"
                )
            }
        }
    }
}

/// An error of the store.
#[derive(Debug)]
pub enum StoreError {
    /// The operating system refused; its message names operation and path.
    Io(io::Error),
    /// The group was not stored: writing or syncing it failed. Nothing of it will appear later.
    GroupFailed(io::Error),
    /// The disk has no room for what was to be stored. Deeds are still accepted.
    Full {
        /// Bytes that would have been written.
        needed: u64,
        /// Bytes that the disk has left.
        free: u64,
        /// Bytes of these that are kept back, so that deletions can be recorded.
        reserve: u64,
    },
    /// Another process, or another `Log` of this one, has the store open.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A record or blob is damaged.
    Damaged(Damage),
    /// There is no such segment or file: it was reclaimed, or compaction moved the blob since the
    /// reference was looked up. Look it up again.
    Gone {
        /// The blob.
        key: BlobKey,
        /// The segment that its record was in.
        segment: u64,
    },
    /// The record at that place belongs to another blob.
    OtherBlob {
        /// The blob that was asked for.
        wanted: BlobKey,
        /// The blob that is there.
        found: BlobKey,
        /// The segment.
        segment: u64,
        /// The offset of the record, in bytes.
        offset: u64,
    },
    /// A file was written by another version of this software.
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it states.
        found: u32,
    },
    /// A segment belongs to another log.
    Foreign {
        /// The segment's file.
        path: PathBuf,
    },
    /// Something is larger than the log takes.
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The largest that is taken, in bytes.
        limit: u64,
    },
    /// The record kind is one of the store's own.
    ReservedKind(u8),
    /// The segment cannot be compacted: it is not a pack, or there is none with this id.
    NotAPack {
        /// The segment.
        segment: u64,
    },
    /// The index has not taken all records of the pack yet: those without rows would be taken for
    /// dead. Let the index catch up first.
    NotCovered {
        /// The pack.
        segment: u64,
        /// Its last record.
        last_lsn: Lsn,
        /// What the index covers.
        covered: Lsn,
    },
}

impl StoreError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Io(_) => "store.io",
            StoreError::GroupFailed(_) => "store.group_failed",
            StoreError::Full { .. } => "store.full",
            StoreError::Locked { .. } => "store.locked",
            StoreError::Damaged(damage) => damage.code(),
            StoreError::Gone { .. } => "blob.gone",
            StoreError::OtherBlob { .. } => "blob.other",
            StoreError::Version { .. } => "segment.version",
            StoreError::Foreign { .. } => "segment.foreign",
            StoreError::TooLarge { .. } => "record.too_large",
            StoreError::ReservedKind(_) => "record.reserved_kind",
            StoreError::NotAPack { .. } => "segment.not_a_pack",
            StoreError::NotCovered { .. } => "segment.not_covered",
        }
    }

    /// The offset in bytes at which the error was found, where there is one.
    pub fn offset(&self) -> Option<u64> {
        match self {
            StoreError::Damaged(Damage { offset, .. }) | StoreError::OtherBlob { offset, .. } => {
                Some(*offset)
            }
            _ => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io(error) => write!(f, "{error}"),
            StoreError::GroupFailed(error) => write!(f, "the group was not stored: {error}"),
            StoreError::Full {
                needed,
                free,
                reserve,
            } => write!(
                f,
                "storage is full: {needed} bytes to write, {free} free, of which {reserve} are \
                 kept for deletions"
            ),
            StoreError::Locked { path } => write!(
                f,
                "{} is locked: another process has this store open; stop it first",
                path.display()
            ),
            StoreError::Damaged(damage) => write!(f, "{damage}"),
            StoreError::Gone { key, segment } => {
                write!(
                    f,
                    "blob {key} is no longer in segment {segment:016x}; look it up again"
                )
            }
            StoreError::OtherBlob {
                wanted,
                found,
                segment,
                offset,
            } => write!(
                f,
                "segment {segment:016x}, offset {offset}: found blob {found}, wanted {wanted}"
            ),
            StoreError::Version { path, found } => write!(
                f,
                "{}: format version {found}, this software reads version {}",
                path.display(),
                crate::format::VERSION
            ),
            StoreError::Foreign { path } => write!(
                f,
                "{} belongs to another log; move it out of this store",
                path.display()
            ),
            StoreError::TooLarge { what, bytes, limit } => {
                write!(f, "{what} has {bytes} bytes, the log takes at most {limit}")
            }
            StoreError::ReservedKind(kind) => {
                write!(f, "record kind {kind:#04x} is reserved, use one below 0xf0")
            }
            StoreError::NotAPack { segment } => {
                write!(f, "segment {segment:016x} is not a sealed pack of this log")
            }
            StoreError::NotCovered {
                segment,
                last_lsn,
                covered,
            } => write!(
                f,
                "segment {segment:016x} has records up to LSN {last_lsn}, the index covers \
                 {covered}; it has to catch up first"
            ),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io(error) | StoreError::GroupFailed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        StoreError::Io(error)
    }
}
