//! The value of encapsulated pixel data, written from encoded frames (PS3.5 §A.4).

use vna_dicom::{DataElement, PixelStream, ReadAt, Vr, tags};

use super::spool::{Spool, SpoolSettings};
use crate::error::ArchiveError;

/// An item's header: its tag and a length.
const ITEM_BYTES: u64 = 8;

/// Frames that are encoded, each one fragment.
pub(super) struct EncodedFrames {
    spool: Spool,
    lengths: Vec<u32>,
}

impl EncodedFrames {
    pub fn new(settings: &SpoolSettings) -> Self {
        EncodedFrames {
            spool: Spool::new(settings),
            lengths: Vec::new(),
        }
    }

    pub fn append(&mut self, codestream: &[u8]) -> Result<(), ArchiveError> {
        let length = u32::try_from(codestream.len())
            .ok()
            .filter(|length| *length < u32::MAX - 1)
            .ok_or(ArchiveError::Codec(vna_codec::CodecError::Limit {
                what: "bytes of a frame",
                found: codestream.len() as u64,
                limit: u64::from(u32::MAX - 2),
            }))?;
        self.lengths.push(length);
        self.spool.append(codestream)
    }

    /// Bytes of all codestreams, without padding.
    pub fn bytes(&self) -> u64 {
        self.spool.size()
    }

    /// Where each frame's item begins, counted from the first one's.
    fn offsets(&self) -> impl Iterator<Item = u64> {
        self.lengths.iter().scan(0, |next, length| {
            let offset = *next;
            *next += ITEM_BYTES + padded(*length);
            Some(offset)
        })
    }

    /// The Basic Offset Table; empty if it cannot hold the offsets.
    fn basic_offset_table(&self) -> Vec<u8> {
        let offsets: Option<Vec<_>> = self.offsets().map(|at| u32::try_from(at).ok()).collect();
        let offsets = offsets.unwrap_or_default();
        offsets.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// The Extended Offset Table and its lengths, which take over beyond 2^32 (PS3.3 §C.7.6.3.1.8).
    pub fn extended_offset_table(&self) -> Option<[DataElement; 2]> {
        self.offsets()
            .any(|offset| offset > u32::MAX.into())
            .then(|| {
                let offsets: Vec<_> = self.offsets().flat_map(u64::to_le_bytes).collect();
                let lengths = self.lengths.iter().map(|length| u64::from(*length));
                let lengths: Vec<_> = lengths.flat_map(u64::to_le_bytes).collect();
                [
                    DataElement::new(tags::EXTENDED_OFFSET_TABLE, Vr::OV, offsets),
                    DataElement::new(tags::EXTENDED_OFFSET_TABLE_LENGTHS, Vr::OV, lengths),
                ]
            })
    }

    /// The value of the pixel data.
    pub fn into_stream(self) -> EncapsulatedStream {
        let table = self.basic_offset_table();
        // Bounded by 4 bytes for each of `MAX_FRAMES`.
        let mut pending = item(u32::try_from(table.len()).unwrap_or_default());
        pending.extend_from_slice(&table);
        let frames: u64 = self.lengths.iter().map(|length| padded(*length)).sum();
        let items = self.lengths.len() as u64 + 1;
        EncapsulatedStream {
            length: pending.len() as u64 + frames + items * ITEM_BYTES,
            frames: self,
            pending,
            given: 0,
            next: 0,
            at: 0,
            left: 0,
        }
    }
}

fn padded(length: u32) -> u64 {
    u64::from(length) + u64::from(length % 2)
}

fn item(length: u32) -> Vec<u8> {
    delimiter(tags::ITEM, length)
}

fn delimiter(tag: vna_dicom::Tag, length: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(8);
    header.extend_from_slice(&tag.0.to_le_bytes());
    header.extend_from_slice(&tag.1.to_le_bytes());
    header.extend_from_slice(&length.to_le_bytes());
    header
}

/// Offset table, frames, delimiter.
pub(super) struct EncapsulatedStream {
    /// Bytes of all of it.
    pub length: u64,
    frames: EncodedFrames,
    /// What is written and not read from the spool, and how much of it was given.
    pending: Vec<u8>,
    given: usize,
    /// The frame whose item comes next.
    next: usize,
    /// Where the spool is read next, and how much of the frame at hand is left there.
    at: u64,
    left: u64,
}

impl PixelStream<ArchiveError> for EncapsulatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let free = &mut buffer[filled..];
            if self.given < self.pending.len() {
                let rest = &self.pending[self.given..];
                let count = rest.len().min(free.len());
                free[..count].copy_from_slice(&rest[..count]);
                self.given += count;
                filled += count;
            } else if self.left > 0 {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let wanted = left.min(free.len());
                let count = self.frames.spool.read_at(&mut free[..wanted], self.at)?;
                if count == 0 {
                    break; // the file was cut behind our back; the reader tells
                }
                self.at += count as u64;
                self.left -= count as u64;
                filled += count;
            } else if !self.go_on() {
                break;
            }
        }
        Ok(filled)
    }
}

impl EncapsulatedStream {
    /// Prepares what follows; false at the end.
    fn go_on(&mut self) -> bool {
        let lengths = &self.frames.lengths;
        self.pending.clear();
        self.given = 0;
        let before = self.next.checked_sub(1).and_then(|at| lengths.get(at));
        if before.is_some_and(|length| length % 2 == 1) {
            self.pending.push(0); // fragments have even lengths
        }
        match lengths.get(self.next) {
            Some(length) => {
                self.pending
                    .extend(item(u32::try_from(padded(*length)).unwrap_or_default()));
                self.left = u64::from(*length);
            }
            None if self.next == lengths.len() => {
                let end = delimiter(tags::SEQUENCE_DELIMITATION_ITEM, 0);
                self.pending.extend(end);
            }
            None => return false,
        }
        self.next += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stand_padded_behind_their_offset_table() {
        for memory_bytes in [0, 4, 100] {
            let settings = SpoolSettings::new(memory_bytes, std::env::temp_dir());
            let mut frames = EncodedFrames::new(&settings);
            frames.append(b"abc").expect("room");
            frames.append(b"defg").expect("room");
            let mut stream = frames.into_stream();
            let (mut all, mut buffer) = (Vec::new(), [0; 5]);
            loop {
                let count = stream.read(&mut buffer).expect("read");
                all.extend_from_slice(&buffer[..count]);
                if count < buffer.len() {
                    break;
                }
            }
            let expected = b"\xFE\xFF\x00\xE0\x08\0\0\0\0\0\0\0\x0C\0\0\0\
                \xFE\xFF\x00\xE0\x04\0\0\0abc\0\xFE\xFF\x00\xE0\x04\0\0\0defg\xFE\xFF\xDD\xE0\0\0\0\0";
            assert_eq!(all, expected);
            assert_eq!(stream.length, expected.len() as u64);
        }
    }

    #[test]
    fn beyond_32_bits_an_extended_offset_table_takes_over() {
        let mut frames = EncodedFrames::new(&SpoolSettings::default());
        frames.lengths = vec![u32::MAX - 3, 7, 9];
        let [offsets, lengths] = frames
            .extended_offset_table()
            .expect("offsets beyond 32 bits");
        let numbers = |element: DataElement| match element.value {
            vna_dicom::Value::Bytes(bytes) => bytes
                .chunks_exact(8)
                .map(|number| u64::from_le_bytes(number.try_into().expect("8 bytes")))
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(numbers(offsets), [0, 0x1_0000_0004, 0x1_0000_0014]);
        assert_eq!(numbers(lengths), [0xFFFF_FFFC, 7, 9]);
        assert!(frames.basic_offset_table().is_empty());
    }
}
