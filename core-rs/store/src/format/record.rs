//! The header of a record.

use super::{VERSION, VERSION_ENCODED, array_at, u32_at, u64_at};
use crate::types::{BlobKey, BlobRef, Digest, Encoding, Lsn, Place, RecordKind};

const RECORD_MAGIC: [u8; 4] = *b"VNAr";
/// Length of the fixed part, in bytes.
pub const RECORD_HEADER_BYTES: usize = 88;
/// Where in it the length of the caller's header stands.
pub const HEADER_BYTES_AT: usize = 64;
/// Records start at multiples of this, so that a search for the next one takes few steps.
pub const ALIGNMENT: u64 = 8;
/// The part that the checksum covers; it also covers the caller's header.
const CHECKED_BYTES: usize = 80;
/// Length of what stands behind it for a blob that is not kept plain, in bytes.
const ENCODED_BYTES: usize = 24;
/// Where in it the encoding stands.
const ENCODING_AT: usize = 7;

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

/// The other form in which a blob is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Which, not [`Encoding::PLAIN`].
    pub encoding: Encoding,
    /// Length of the blob itself, in bytes.
    pub plain_bytes: u64,
    /// The digest of what is kept.
    pub digest: Digest,
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
    /// The digest of the blob, in whatever form it is kept.
    pub digest: Digest,
    /// Length of the blob as it is kept, here or in its file, in bytes.
    pub body_bytes: u64,
    /// Length of the caller's header, in bytes.
    pub header_bytes: u32,
    /// Zeros behind the record, in bytes, that let the next one begin with a block of the disk.
    pub padding: u32,
    /// If the blob is not kept plain.
    pub encoded: Option<Encoded>,
    /// The form that was tried and not worth it, [`Encoding::PLAIN`] for none: it is not tried again.
    pub tried: Encoding,
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
        RECORD_HEADER_BYTES as u64 + self.encoded_bytes() + u64::from(self.header_bytes)
    }

    fn encoded_bytes(&self) -> u64 {
        self.encoded.map_or(0, |_| ENCODED_BYTES as u64)
    }

    /// The form in which the blob is kept.
    pub fn encoding(&self) -> Encoding {
        self.encoded.map_or(Encoding::PLAIN, |e| e.encoding)
    }

    /// The digest of what is kept.
    pub fn stored_digest(&self) -> Digest {
        self.encoded.map_or(self.digest, |e| e.digest)
    }

    /// Length of the blob itself, in bytes.
    pub fn plain_bytes(&self) -> u64 {
        self.encoded.map_or(self.body_bytes, |e| e.plain_bytes)
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
            size: self.plain_bytes(),
            digest: self.digest,
            encoding: self.encoding(),
            stored_size: self.body_bytes,
        })
    }

    /// Appends the header and the caller's to `out`.
    pub fn encode(&self, caller: &[u8], salt: &[u8; 16], offset: u64, out: &mut Vec<u8>) {
        let mut fixed = [0; RECORD_HEADER_BYTES];
        fixed[0..4].copy_from_slice(&RECORD_MAGIC);
        let is_plain = self.encoded.is_none() && self.tried == Encoding::PLAIN;
        let version = if is_plain { VERSION } else { VERSION_ENCODED };
        fixed[4] = version.to_le_bytes()[0];
        fixed[5] = self.kind.0;
        fixed[6] = self.holds as u8;
        fixed[ENCODING_AT] = self.encoding().0;
        fixed[8..16].copy_from_slice(&self.lsn.to_le_bytes());
        fixed[16..24].copy_from_slice(&self.committed.to_le_bytes());
        fixed[24..40].copy_from_slice(&self.key.0);
        fixed[40..56].copy_from_slice(&self.digest.0);
        fixed[56..64].copy_from_slice(&self.body_bytes.to_le_bytes());
        fixed[64..68].copy_from_slice(&self.header_bytes.to_le_bytes());
        fixed[68..72].copy_from_slice(&self.group_index.to_le_bytes());
        fixed[72..76].copy_from_slice(&self.padding.to_le_bytes());
        fixed[76] = self.tried.0;
        let mut rest = Vec::with_capacity(ENCODED_BYTES + caller.len());
        if let Some(encoded) = &self.encoded {
            rest.extend_from_slice(&encoded.plain_bytes.to_le_bytes());
            rest.extend_from_slice(&encoded.digest.0);
        }
        rest.extend_from_slice(caller);
        let crc = checksum(&fixed, &rest, salt, offset);
        fixed[80..84].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(&rest);
    }

    /// How many bytes [`decode`](RecordHeader::decode) needs, if `fixed` begins a record. The
    /// answer is a claim until `decode` has checked it.
    pub fn claimed_bytes(fixed: &[u8]) -> Option<usize> {
        let begins = fixed.len() >= RECORD_HEADER_BYTES && fixed.starts_with(&RECORD_MAGIC);
        let header_bytes = begins.then(|| u32_at(fixed, HEADER_BYTES_AT))?;
        let encoded_bytes = Self::claimed_encoded_bytes(fixed);
        usize::try_from(header_bytes)
            .ok()?
            .checked_add(RECORD_HEADER_BYTES + encoded_bytes)
    }

    /// What stands between the fixed part and the caller's header of a record that begins with `fixed`, in bytes.
    pub fn claimed_encoded_bytes(fixed: &[u8]) -> usize {
        let is_plain = fixed
            .get(ENCODING_AT)
            .is_none_or(|byte| *byte == Encoding::PLAIN.0);
        if is_plain { 0 } else { ENCODED_BYTES }
    }

    /// Reads a record's header from `bytes`, which begin with it and hold it and the caller's
    /// header whole.
    pub fn decode(
        bytes: &[u8],
        salt: &[u8; 16],
        offset: u64,
    ) -> Result<RecordHeader, RecordProblem> {
        let needed = Self::claimed_bytes(bytes).ok_or(RecordProblem::NoRecord)?;
        let rest = bytes
            .get(RECORD_HEADER_BYTES..needed)
            .ok_or(RecordProblem::Damaged)?;
        let holds = Holds::from_byte(bytes[6]).ok_or(RecordProblem::Damaged)?;
        let version = u32::from(bytes[4]);
        if ![VERSION, VERSION_ENCODED].contains(&version)
            || checksum(bytes, rest, salt, offset) != u32_at(bytes, 80)
        {
            return Err(RecordProblem::Damaged);
        }
        let encoding = Encoding(bytes[ENCODING_AT]);
        let encoded = (encoding != Encoding::PLAIN).then(|| Encoded {
            encoding,
            plain_bytes: u64_at(rest, 0),
            digest: Digest(array_at(rest, 8)),
        });
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
            encoded,
            tried: Encoding(bytes[76]),
        })
    }
}

fn checksum(fixed: &[u8], rest: &[u8], salt: &[u8; 16], offset: u64) -> u32 {
    let crc = crc32c::crc32c(salt);
    let crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &fixed[..CHECKED_BYTES]);
    crc32c::crc32c_append(crc, rest)
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
            encoded: None,
            tried: Encoding::PLAIN,
        }
    }

    fn encoded() -> RecordHeader {
        let encoded = Some(Encoded {
            encoding: Encoding(3),
            plain_bytes: 90,
            digest: Digest([5; 16]),
        });
        RecordHeader {
            encoded,
            tried: Encoding(2),
            ..header()
        }
    }

    #[test]
    fn a_header_is_read_as_written_and_only_there() {
        let mut bytes = Vec::new();
        header().encode(b"hello", &[1; 16], 1024, &mut bytes);
        assert_eq!(RecordHeader::decode(&bytes, &[1; 16], 1024), Ok(header()));
        let (mut other, salt) = (Vec::new(), [1; 16]);
        encoded().encode(b"hello", &salt, 1024, &mut other);
        assert_eq!(RecordHeader::decode(&other, &salt, 1024), Ok(encoded()));
        assert_eq!(encoded().body_at(), other.len() as u64);
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
        for header in [header(), encoded()] {
            every_change_is_found(&header);
        }
    }

    fn every_change_is_found(header: &RecordHeader) {
        let mut bytes = Vec::new();
        header.encode(b"hello", &[1; 16], 1024, &mut bytes);
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
