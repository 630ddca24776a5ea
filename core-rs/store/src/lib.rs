//! The log: the append-only, checksummed record of all that arrived, and large blobs beside it.
//!
//! What is appended goes into the open segment. A full segment gets an index at its end and is a
//! pack from then on; nothing is copied. Blobs that are too large to hold up the others are files of
//! their own, which a record refers to. Deletions are records too. `ARCHITECTURE.md` has the whole.
//!
//! What always holds, cited by number in the code:
//!
//! 1. A record is acknowledged only after its bytes, its segment's header and the segment's name
//!    are durable.
//! 2. Positions (LSNs) grow and are never used twice for acknowledged records, whatever was cut
//!    off, failed, or dropped: every segment's header states from where on they are used, and it is
//!    durable before older packs go.
//! 3. What opening finds is durable before it is handed out.
//! 4. The bytes of a group that failed are never taken for records: the segment ends before them,
//!    and the header of the next one says where.
//! 5. A reader gets the bytes of the blob that it asked for, or an error: keys are never used twice,
//!    and the record's key is compared first. A blob is never changed.
//! 6. A large blob is complete and durable under its final name before a record refers to it. A
//!    file that no record refers to is set aside, never adopted.
//! 7. A damaged record is an error of that record alone. Damage is told from a torn end by what
//!    comes later: records say what was durable when they were written.
//! 8. A deed stays in the log until no older record is left that it would have to kill again. When
//!    one is dropped, the log first says so durably ([`Log::horizon`]).
//! 9. The record of a large blob stays until its file is gone.
//! 10. A pack is removed only when its records are dead, or durable in the pack that replaces it
//!     and the index points there. When that is reported, the bytes are gone for good.
//! 11. A record is dead when the index has taken it and does not refer to its blob. A count alone is
//!     no evidence: the index is asked before a pack goes, and never about records that it does not
//!     cover.
//! 12. A blob may be kept in another form. Its key, digest and length stay those of its bytes; which form it is, and the
//!     digest of what is kept, are in its record. Who made the form has read the blob back from it before.

mod append;
mod blobs;
mod compact;
mod error;
mod format;
mod handles;
mod horizon;
mod keys;
mod log;
mod open;
mod options;
mod paths;
mod read;
mod reclaim;
mod recode;
mod replay;
mod salvage;
mod scan;
mod segments;
mod shared;
pub mod sites;
mod stats;
mod types;
mod verify;

pub use blobs::{FinishedBlob, LargeBlobWriter, Sweep, WrittenBytes};
pub use compact::{Compaction, Moved};
pub use error::{Damage, DamageKind, StoreError};
pub use log::Log;
pub use open::Recovery;
pub use options::LogOptions;
pub use read::BlobReader;
pub use reclaim::LiveCounts;
pub use recode::{Recoded, Recoder, Replacement, Untried};
pub use replay::Replayed;
pub use salvage::Aside;
pub use scan::MAX_HEADER_BYTES;
pub use segments::LiveCount;
pub use stats::{LogStats, SegmentInfo};
pub use types::{
    Appended, BlobKey, BlobRef, Body, Digest, Digester, Encoding, Lsn, NewRecord, Place, Record,
    RecordKind,
};
pub use verify::{Finding, Verified};
