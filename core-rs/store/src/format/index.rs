//! The index and the footer that make a segment a pack.

use xxhash_rust::xxh3::xxh3_64;

use super::{Holds, array_at, u32_at, u64_at};
use crate::types::{BlobKey, Encoding, Lsn, RecordKind};

const INDEX_MAGIC: [u8; 8] = *b"VNAindex";
const FOOTER_MAGIC: [u8; 8] = *b"VNAfootr";
const ENTRY_BYTES: usize = 48;
/// Length of the footer, in bytes.
pub const FOOTER_BYTES: usize = 64;

/// One record, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: BlobKey,
    pub lsn: Lsn,
    /// Where the record starts, in bytes.
    pub offset: u64,
    /// Length of the blob as it is kept, in bytes.
    pub body_bytes: u64,
    pub header_bytes: u32,
    pub kind: RecordKind,
    pub holds: Holds,
    /// The form in which the blob is kept.
    pub encoding: Encoding,
    /// The form that was tried and not worth it; see [`RecordHeader`](super::RecordHeader).
    pub tried: Encoding,
}

impl Entry {
    /// Length of the blob as it is kept if it is in the record, in bytes.
    pub fn body_bytes_inline(&self) -> u64 {
        if self.holds == Holds::Blob {
            self.body_bytes
        } else {
            0
        }
    }
}

/// The last bytes of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where the index starts and the records end, in bytes.
    pub index_at: u64,
    pub records: u64,
    /// The last record; the segment's `committed` if it has none.
    pub last_lsn: Lsn,
    /// Records that have a blob.
    pub blobs: u64,
    /// The largest horizon that the segment states; see [`Log::horizon`](crate::Log::horizon).
    pub horizon: Lsn,
    /// XXH3-64 of the index.
    pub index_digest: u64,
}

impl Footer {
    /// Length of the index, in bytes; `None` if the count is a lie.
    pub fn index_bytes(&self) -> Option<u64> {
        let entries = self.records.checked_mul(ENTRY_BYTES as u64)?;
        entries.checked_add(INDEX_MAGIC.len() as u64)
    }

    pub fn encode(&self, salt: &[u8; 16]) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[0..8].copy_from_slice(&FOOTER_MAGIC);
        bytes[8..16].copy_from_slice(&self.index_at.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.records.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.last_lsn.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.blobs.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.horizon.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.index_digest.to_le_bytes());
        let crc = checksum(&bytes, salt);
        bytes[56..60].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the footer of a file of `file_bytes`; `None` if it has none that is valid.
    pub fn decode(bytes: &[u8; FOOTER_BYTES], salt: &[u8; 16], file_bytes: u64) -> Option<Footer> {
        if !bytes.starts_with(&FOOTER_MAGIC) || checksum(bytes, salt) != u32_at(bytes, 56) {
            return None;
        }
        let footer = Footer {
            index_at: u64_at(bytes, 8),
            records: u64_at(bytes, 16),
            last_lsn: u64_at(bytes, 24),
            blobs: u64_at(bytes, 32),
            horizon: u64_at(bytes, 40),
            index_digest: u64_at(bytes, 48),
        };
        let end = footer.index_at.checked_add(footer.index_bytes()?)?;
        (end.checked_add(FOOTER_BYTES as u64)? == file_bytes).then_some(footer)
    }
}

fn checksum(footer: &[u8; FOOTER_BYTES], salt: &[u8; 16]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(salt), &footer[..56])
}

/// The index of `entries`, which are in the order of their offsets, and its XXH3-64.
pub fn encode_index(entries: &[Entry]) -> (Vec<u8>, u64) {
    let mut bytes = Vec::with_capacity(INDEX_MAGIC.len() + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&INDEX_MAGIC);
    for entry in entries {
        bytes.extend_from_slice(&entry.key.0);
        bytes.extend_from_slice(&entry.lsn.to_le_bytes());
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.body_bytes.to_le_bytes());
        bytes.extend_from_slice(&entry.header_bytes.to_le_bytes());
        let (kind, holds) = (entry.kind.0, entry.holds as u8);
        bytes.extend_from_slice(&[kind, holds, entry.encoding.0, entry.tried.0]);
    }
    let digest = xxh3_64(&bytes);
    (bytes, digest)
}

/// The entries of an index; `None` if it does not have the digest that its footer states.
pub fn decode_index(bytes: &[u8], digest: u64) -> Option<Vec<Entry>> {
    if !bytes.starts_with(&INDEX_MAGIC) || xxh3_64(bytes) != digest {
        return None;
    }
    bytes[INDEX_MAGIC.len()..]
        .chunks_exact(ENTRY_BYTES)
        .map(decode_entry)
        .collect()
}

fn decode_entry(bytes: &[u8]) -> Option<Entry> {
    Some(Entry {
        key: BlobKey(array_at(bytes, 0)),
        lsn: u64_at(bytes, 16),
        offset: u64_at(bytes, 24),
        body_bytes: u64_at(bytes, 32),
        header_bytes: u32_at(bytes, 40),
        kind: RecordKind(bytes[44]),
        holds: Holds::from_byte(bytes[45])?,
        encoding: Encoding(bytes[46]),
        tried: Encoding(bytes[47]),
    })
}
