//! Every place in this crate that syncs. A test shows for each that the log breaks without it.

use vna_io::SyncSite;

/// The bytes of a group, before it is acknowledged.
pub const GROUP: SyncSite = SyncSite("append.group");
/// The removal of what a group left that did not fit on the disk, before it is refused.
pub const CUT_OFF: SyncSite = SyncSite("append.cut_off");
/// The header of a new segment, before its name: it says where the segment before ends, which
/// positions are used up, and how far back the log is complete.
pub const SEGMENT_HEADER: SyncSite = SyncSite("segment.header");
/// The name of a new segment, before anything in it is acknowledged.
pub const SEGMENT_NAME: SyncSite = SyncSite("segment.name");
/// Index and footer of a sealed segment, so that opening need not scan it again.
pub const SEAL: SyncSite = SyncSite("segment.seal");
/// The tail found at opening: a killed process may have written it without a sync.
pub const RECOVERED_TAIL: SyncSite = SyncSite("open.tail");
/// The names found at opening: a killed process may have given them without a sync.
pub const RECOVERED_NAMES: SyncSite = SyncSite("open.names");
/// The bytes of a large blob, before it gets its final name.
pub const BLOB_BYTES: SyncSite = SyncSite("blob.bytes");
/// The final name of a large blob, before a record refers to it.
pub const BLOB_NAME: SyncSite = SyncSite("blob.name");
/// The removal of large blobs, before it is reported as done.
pub const BLOB_REMOVED: SyncSite = SyncSite("blob.removed");
/// A compacted pack, before it gets its final name.
pub const PACK_BYTES: SyncSite = SyncSite("compact.bytes");
/// The name of a compacted pack, before the index points into it.
pub const PACK_NAME: SyncSite = SyncSite("compact.name");
/// The removal of packs, before it is reported as done.
pub const PACK_REMOVED: SyncSite = SyncSite("reclaim.removed");

/// The copy of a damaged piece, before it gets its final name.
pub const ASIDE_BYTES: SyncSite = SyncSite("aside.bytes");
/// The name of the copy, before the piece may go.
pub const ASIDE_NAME: SyncSite = SyncSite("aside.name");

/// Those of a log that nothing was damaged in.
pub const ALL: [SyncSite; 13] = [
    GROUP,
    CUT_OFF,
    SEGMENT_HEADER,
    SEGMENT_NAME,
    SEAL,
    RECOVERED_TAIL,
    RECOVERED_NAMES,
    BLOB_BYTES,
    BLOB_NAME,
    BLOB_REMOVED,
    PACK_BYTES,
    PACK_NAME,
    PACK_REMOVED,
];
