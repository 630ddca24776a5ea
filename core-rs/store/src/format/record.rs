//! The header of a record.

use super::{VERSION, array_at, u32_at, u64_at};
use crate::types::{BlobKey, BlobRef, Digest, Lsn, Place, RecordKind};

const RECORD_MAGIC: [u8; 4] = *b"VNAr";
/// Length of the fixed part, in bytes.
pub const RECORD_HEADER_BYTES: usize = 88;
/// Where in it the length of the caller's header stands.
pub const HEADER_BYTES_AT: usize = 64;
/// Records start at multiples of this, so that a search for the next one takes few steps.
pub const ALIGNMENT: u64 = 8;
/// The part that the checksum covers; it also covers the caller's header.
const CHECKED_BYTES: usize = 80;

/// Where the blob of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It has none.
    Nothing = 0,
    /// In the record.
    Blob = 1,
    /// In a file of its own.
    File = 2,
}

impl Holds {
    pub fn from_byte(byte: u8) -> Option<Holds> {
        [Holds::Nothing, Holds::Blob, Holds::File]
            .into_iter()
            .find(|holds| *holds as u8 == byte)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub kind: RecordKind,
    pub holds: Holds,
    pub lsn: Lsn,
    /// The last record of the group before: everything up to it was durable when this was written.
    pub committed: Lsn,
    /// Which record of its group this is, from 0.
    pub group_index: u32,
    pub key: BlobKey,
    pub digest: Digest,
    /// Length of the blob, here or in its file, in bytes.
    pub body_bytes: u64,
    /// Length of the caller's header, in bytes.
    pub header_bytes: u32,
    /// Zeros behind the record, in bytes, that let the next one begin with a block of the disk.
    pub padding: u32,
}

/// Why there is no valid record somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordProblem {
    /// The bytes do not begin as a record does.
    NoRecord,
    /// They do, but are not as they were written.
    Damaged,
}

impl RecordHeader {
    /// Length of the whole record with its blob and padding, in bytes; saturating, since the
    /// lengths may be claims.
    pub fn record_bytes(&self) -> u64 {
        let inline = if self.holds == Holds::Blob {
            self.body_bytes
        } else {
            0
        };
        self.body_at()
            .saturating_add(inline)
            .checked_next_multiple_of(ALIGNMENT)
            .and_then(|bytes| bytes.checked_add(u64::from(self.padding)))
            .unwrap_or(u64::MAX)
    }

    /// Where in the record the blob starts, in bytes.
    pub fn body_at(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.header_bytes)
    }

    /// The record that must lie before this one: the one of the same group, or the last of the
    /// group before.
    pub fn previous(&self) -> Lsn {
        if self.group_index == 0 {
            self.committed
        } else {
            self.lsn.saturating_sub(1)
        }
    }

    pub fn blob(&self, segment: u64, offset: u64) -> Option<BlobRef> {
        let place = match self.holds {
            Holds::Nothing => return None,
            Holds::Blob => Place::Segment { segment, offset },
            Holds::File => Place::File { segment, offset },
        };
        Some(BlobRef {
            key: self.key,
            place,
            size: self.body_bytes,
            digest: self.digest,
        })
    }

    /// Appends the header and the caller's to `out`.
    pub fn encode(&self, caller: &[u8], salt: &[u8; 16], offset: u64, out: &mut Vec<u8>) {
        let mut fixed = [0; RECORD_HEADER_BYTES];
        fixed[0..4].copy_from_slice(&RECORD_MAGIC);
        fixed[4] = VERSION.to_le_bytes()[0];
        fixed[5] = self.kind.0;
        fixed[6] = self.holds as u8;
        fixed[8..16].copy_from_slice(&self.lsn.to_le_bytes());
        fixed[16..24].copy_from_slice(&self.committed.to_le_bytes());
        fixed[24..40].copy_from_slice(&self.key.0);
        fixed[40..56].copy_from_slice(&self.digest.0);
        fixed[56..64].copy_from_slice(&self.body_bytes.to_le_bytes());
        fixed[64..68].copy_from_slice(&self.header_bytes.to_le_bytes());
        fixed[68..72].copy_from_slice(&self.group_index.to_le_bytes());
        fixed[72..76].copy_from_slice(&self.padding.to_le_bytes());
        let crc = checksum(&fixed, caller, salt, offset);
        fixed[80..84].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(caller);
    }

    /// How many bytes [`decode`](RecordHeader::decode) needs, if `fixed` begins a record. The
    /// answer is a claim until `decode` has checked it.
    pub fn claimed_bytes(fixed: &[u8]) -> Option<usize> {
        let begins = fixed.len() >= RECORD_HEADER_BYTES && fixed.starts_with(&RECORD_MAGIC);
        let header_bytes = begins.then(|| u32_at(fixed, HEADER_BYTES_AT))?;
        usize::try_from(header_bytes)
            .ok()?
            .checked_add(RECORD_HEADER_BYTES)
    }

    /// Reads a record's header from `bytes`, which begin with it and hold it and the caller's
    /// header whole.
    pub fn decode(
        bytes: &[u8],
        salt: &[u8; 16],
        offset: u64,
    ) -> Result<RecordHeader, RecordProblem> {
        let needed = Self::claimed_bytes(bytes).ok_or(RecordProblem::NoRecord)?;
        let caller = bytes
            .get(RECORD_HEADER_BYTES..needed)
            .ok_or(RecordProblem::Damaged)?;
        let holds = Holds::from_byte(bytes[6]).ok_or(RecordProblem::Damaged)?;
        if bytes[4] != VERSION.to_le_bytes()[0]
            || checksum(bytes, caller, salt, offset) != u32_at(bytes, 80)
        {
            return Err(RecordProblem::Damaged);
        }
        Ok(RecordHeader {
            kind: RecordKind(bytes[5]),
            holds,
            lsn: u64_at(bytes, 8),
            committed: u64_at(bytes, 16),
            group_index: u32_at(bytes, 68),
            key: BlobKey(array_at(bytes, 24)),
            digest: Digest(array_at(bytes, 40)),
            body_bytes: u64_at(bytes, 56),
            header_bytes: u32_at(bytes, 64),
            padding: u32_at(bytes, 72),
        })
    }
}

fn checksum(fixed: &[u8], caller: &[u8], salt: &[u8; 16], offset: u64) -> u32 {
    let crc = crc32c::crc32c(salt);
    let crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &fixed[..CHECKED_BYTES]);
    crc32c::crc32c_append(crc, caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        RecordHeader {
            kind: RecordKind(7),
            holds: Holds::Blob,
            lsn: 11,
            committed: 9,
            group_index: 1,
            key: BlobKey([3; 16]),
            digest: Digest([4; 16]),
            body_bytes: 21,
            header_bytes: 5,
            padding: 16,
        }
    }

    #[test]
    fn a_header_is_read_as_written_and_only_there() {
        let mut bytes = Vec::new();
        header().encode(b"hello", &[1; 16], 1024, &mut bytes);
        assert_eq!(RecordHeader::decode(&bytes, &[1; 16], 1024), Ok(header()));
        assert_eq!(header().record_bytes(), 136);
        assert_eq!(header().previous(), 10);
        let elsewhere = RecordHeader::decode(&bytes, &[1; 16], 1032);
        assert_eq!(elsewhere, Err(RecordProblem::Damaged));
        let of_another_segment = RecordHeader::decode(&bytes, &[2; 16], 1024);
        assert_eq!(of_another_segment, Err(RecordProblem::Damaged));
        assert_eq!(
            RecordHeader::decode(&[0; 200], &[1; 16], 1024),
            Err(RecordProblem::NoRecord)
        );
    }

    #[test]
    fn every_changed_bit_and_every_truncation_is_found() {
        let mut bytes = Vec::new();
        header().encode(b"hello", &[1; 16], 1024, &mut bytes);
        for length in 0..bytes.len() {
            RecordHeader::decode(&bytes[..length], &[1; 16], 1024).unwrap_err();
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let is_filler = (84 * 8..88 * 8).contains(&bit); // behind the checksum, always zero
            let decoded = RecordHeader::decode(&changed, &[1; 16], 1024);
            assert_eq!(decoded.is_ok(), is_filler, "bit {bit}");
        }
    }
}
