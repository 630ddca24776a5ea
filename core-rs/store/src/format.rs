//! The bytes of a segment.
//!
//! ```text
//! 0                 segment header, at 512 a second copy
//! 1024              records, each at a multiple of 8: header of 88 bytes, for a blob that is not kept plain 24 more,
//!                   the caller's header, blob
//! (while open)      zeros written ahead, or nothing
//! (once sealed)     index: magic, then 48 bytes a record; footer of 64 bytes at the end of the file
//! ```
//!
//! Numbers are little endian. Checksums of records, index and footer start from the segment's
//! salt, those of records also from their offset: bytes of another segment, of another place or
//! inside a stored blob never pass for a record.

mod index;
mod record;
mod segment;

pub use index::{Entry, FOOTER_BYTES, Footer, decode_index, encode_index};
pub use record::{
    ALIGNMENT, Encoded, HEADER_BYTES_AT, Holds, RECORD_HEADER_BYTES, RecordHeader, RecordProblem,
};
pub use segment::{FIRST_RECORD, HEADER_SPACE, HeaderProblem, SegmentHeader};

/// The version of a segment whose blobs are all plain.
pub const VERSION: u32 = 1;
/// The version of a pack in which other forms of blobs were made or tried: who reads only plain ones refuses it.
pub const VERSION_ENCODED: u32 = 2;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// `N` bytes at `at`. Callers have checked the length of what they decode, which is constant.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
