//! Blocks of deflate (RFC 1951) that are made apart and stand behind each other.
//!
//! Each part of an entry is deflated by itself, so that several processors work on one entry. It begins without what was
//! before it and ends at a byte, which costs a thousandth of the size. A part that deflate makes no smaller is written as
//! what RFC 1951 §3.2.4 calls stored blocks.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::error::ArchiveError;

/// Most bytes of a stored block.
const STORED_BLOCK: usize = 0xFFFF;

/// What deflate must save to be worth the reader's time: one part in 32.
const WORTH: usize = 32;

/// Deflates `plain` at a level from 1 to 9; `None` if that saves next to nothing. The last part ends the stream.
pub(crate) fn deflate(
    plain: &[u8],
    level: u32,
    is_last: bool,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    let most = plain.len() - plain.len() / WORTH;
    let mut packed = Vec::with_capacity(most);
    let mut compress = Compress::new(Compression::new(level), false);
    let flush = if is_last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    loop {
        let at = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let before = packed.len();
        let status = compress.compress_vec(&plain[at..], &mut packed, flush);
        let status = status.map_err(|error| ArchiveError::Io {
            doing: "deflating an entry",
            source: std::io::Error::other(error),
        })?;
        let is_whole = compress.total_in() == plain.len() as u64;
        match status {
            Status::StreamEnd => return Ok(Some(packed)),
            // A flush is over once there is room left behind it.
            _ if is_whole && !is_last && packed.len() < packed.capacity() => {
                return Ok(Some(packed));
            }
            _ if packed.len() == packed.capacity() || packed.len() == before => return Ok(None),
            _ => {}
        }
    }
}

/// `plain` in stored blocks. The last part ends the stream.
pub(crate) fn store(plain: &[u8], is_last: bool) -> Vec<u8> {
    let blocks = plain.len().div_ceil(STORED_BLOCK).max(1);
    let mut out = Vec::with_capacity(plain.len() + 5 * blocks);
    let mut rest = plain;
    for block in 1..=blocks {
        let (piece, behind) = rest.split_at(rest.len().min(STORED_BLOCK));
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.push(u8::from(is_last && block == blocks));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(piece);
        rest = behind;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::DeflateDecoder;
    use proptest::prelude::*;
    use std::io::Read;

    fn packed(parts: &[Vec<u8>], stored: &[bool]) -> Vec<u8> {
        let mut all = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let is_last = number + 1 == parts.len();
            let wants_store = stored.get(number).copied().unwrap_or(false);
            let deflated = (!wants_store).then(|| deflate(part, 1, is_last).unwrap());
            all.extend(deflated.flatten().unwrap_or_else(|| store(part, is_last)));
        }
        all
    }

    fn inflated(packed: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut decoder = DeflateDecoder::new(packed);
        decoder.read_to_end(&mut all).unwrap();
        assert_eq!(decoder.total_in(), packed.len() as u64);
        all
    }

    proptest! {
        #[test]
        fn parts_behind_each_other_are_one_stream(
            parts in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..3000), 1..6),
            stored in proptest::collection::vec(any::<bool>(), 6),
        ) {
            prop_assert_eq!(inflated(&packed(&parts, &stored)), parts.concat());
        }
    }

    #[test]
    fn what_deflate_makes_no_smaller_is_stored() {
        let noise: Vec<u8> = (0_u32..200_000)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[1] ^ at.to_le_bytes()[0])
            .collect();
        let mut state = 0x9E37_79B9_u32;
        let noise: Vec<u8> = noise
            .iter()
            .map(|byte| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                byte ^ state.to_le_bytes()[2]
            })
            .collect();
        for is_last in [false, true] {
            assert_eq!(deflate(&noise, 1, is_last).unwrap(), None);
            assert!(deflate(&[0; 100_000], 1, is_last).unwrap().unwrap().len() < 1000);
        }
        assert_eq!(inflated(&store(&noise, true)), noise);
        assert!(inflated(&store(&[], true)).is_empty());
    }
}
