//! The header of a segment.

use super::{VERSION, VERSION_ENCODED, array_at, u32_at, u64_at};
use crate::types::Lsn;

const MAGIC: [u8; 8] = *b"VNAsegmt";
const HEADER_BYTES: usize = 128;
/// The copies are in sectors of their own.
const COPY_AT: usize = 512;
/// What both copies take, in bytes.
pub const HEADER_SPACE: usize = 2 * COPY_AT;
/// Where the first record starts, in bytes.
pub const FIRST_RECORD: u64 = HEADER_SPACE as u64;

/// What a segment says about itself and the segment before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// [`VERSION`], or [`VERSION_ENCODED`] if other forms than the plain one may be in it.
    pub version: u32,
    pub id: u64,
    /// The log it belongs to.
    pub log: [u8; 16],
    /// Where its checksums start from.
    pub salt: [u8; 16],
    /// No record in it is older, and none outside of it between this and its last.
    pub first_lsn: Lsn,
    /// The segment that was written before; 0 if none.
    pub previous_segment: u64,
    /// Where the acknowledged records of that segment end, in bytes.
    pub previous_end: u64,
    /// Whether that segment had become a pack, durably, when this one was begun.
    pub previous_sealed: bool,
    /// The last acknowledged record before this segment.
    pub committed: Lsn,
    /// The pack that this one replaces (it was compacted); 0 if none.
    pub replaces: u64,
    /// Deeds up to here may be missing from the log; see [`Log::horizon`](crate::Log::horizon).
    pub horizon: Lsn,
}

/// Why a segment's header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderProblem {
    /// All bytes are zero or missing: the file was made, and nothing written.
    Blank,
    /// Neither copy has its checksum.
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    /// Both copies and the space up to the first record.
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = [0; HEADER_BYTES];
        copy[0..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&self.version.to_le_bytes());
        copy[16..24].copy_from_slice(&self.id.to_le_bytes());
        copy[24..40].copy_from_slice(&self.log);
        copy[40..56].copy_from_slice(&self.salt);
        copy[56..64].copy_from_slice(&self.first_lsn.to_le_bytes());
        copy[64..72].copy_from_slice(&self.previous_segment.to_le_bytes());
        copy[72..80].copy_from_slice(&self.previous_end.to_le_bytes());
        copy[80..88].copy_from_slice(&self.committed.to_le_bytes());
        copy[88..96].copy_from_slice(&self.replaces.to_le_bytes());
        copy[96..104].copy_from_slice(&self.horizon.to_le_bytes());
        copy[104] = u8::from(self.previous_sealed);
        let crc = crc32c::crc32c(&copy[..124]);
        copy[124..].copy_from_slice(&crc.to_le_bytes());
        let mut bytes = vec![0; HEADER_SPACE];
        bytes[..HEADER_BYTES].copy_from_slice(&copy);
        bytes[COPY_AT..COPY_AT + HEADER_BYTES].copy_from_slice(&copy);
        bytes
    }

    /// Reads the header from the first bytes of a file, as many as there are up to
    /// [`FIRST_RECORD`].
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderProblem> {
        let copies = [0, COPY_AT].map(|at| bytes.get(at..at + HEADER_BYTES));
        for copy in copies.into_iter().flatten() {
            if copy.starts_with(&MAGIC) && crc32c::crc32c(&copy[..124]) == u32_at(copy, 124) {
                return Self::decode_copy(copy);
            }
        }
        if bytes.iter().all(|byte| *byte == 0) {
            Err(HeaderProblem::Blank)
        } else {
            Err(HeaderProblem::Damaged)
        }
    }

    fn decode_copy(copy: &[u8]) -> Result<SegmentHeader, HeaderProblem> {
        let version = u32_at(copy, 8);
        if ![VERSION, VERSION_ENCODED].contains(&version) {
            return Err(HeaderProblem::Version(version));
        }
        Ok(SegmentHeader {
            version,
            id: u64_at(copy, 16),
            log: array_at(copy, 24),
            salt: array_at(copy, 40),
            first_lsn: u64_at(copy, 56),
            previous_segment: u64_at(copy, 64),
            previous_end: u64_at(copy, 72),
            previous_sealed: copy[104] != 0,
            committed: u64_at(copy, 80),
            replaces: u64_at(copy, 88),
            horizon: u64_at(copy, 96),
        })
    }
}
