//! The Huffman codes of lossless JPEG (ISO/IEC 10918-1 Annexes C and K.2), and bits as they stand in a scan.

use super::CATEGORIES;
use crate::CodecError;

const LONGEST: usize = 16;

/// The codes of the categories.
pub(super) struct Codes {
    /// How many codes have 1 to 16 bits, as DHT says it.
    pub counts: [u8; LONGEST],
    /// The categories in the order of their codes.
    pub values: Vec<u8>,
    /// Code and length by category.
    codes: [(u16, u8); CATEGORIES],
}

impl Codes {
    /// The shortest codes for categories that occur so often, by Figures K.1 to K.3: none is all ones.
    pub(super) fn shortest(frequencies: &[u32; CATEGORIES]) -> Self {
        let lengths = code_lengths(frequencies);
        // A tree of 18 leaves can be 17 deep.
        let mut counts = [0u8; LONGEST + 2];
        for length in lengths.iter().filter(|length| **length > 0) {
            counts[*length] += 1;
        }
        while counts[LONGEST + 1] > 0 {
            // Two leaves at the bottom: one takes the place of their branch, the other goes below a shorter code.
            let shorter = (1..LONGEST)
                .rev()
                .find(|length| counts[*length] > 0)
                .unwrap_or(1);
            counts[LONGEST + 1] -= 2;
            counts[LONGEST] += 1;
            counts[shorter + 1] += 2;
            counts[shorter] -= 1;
        }
        // The longest is the one of all ones, which nothing has.
        if let Some(count) = counts.iter_mut().rev().find(|count| **count > 0) {
            *count -= 1;
        }
        let mut values: Vec<u8> = (0u8..)
            .zip(&lengths[..CATEGORIES])
            .filter(|(_, length)| **length > 0)
            .map(|(category, _)| category)
            .collect();
        values.sort_by_key(|category| lengths[usize::from(*category)]);
        let mut codes = [(0, 0); CATEGORIES];
        let (mut code, mut ordered) = (0u16, values.iter());
        for (length, count) in (1u8..).zip(&counts[1..=LONGEST]) {
            for category in ordered.by_ref().take((*count).into()) {
                codes[usize::from(*category)] = (code, length);
                code += 1;
            }
            code = code.wrapping_shl(1);
        }
        let mut by_length = [0; LONGEST];
        by_length.copy_from_slice(&counts[1..=LONGEST]);
        Codes {
            counts: by_length,
            values,
            codes,
        }
    }

    /// The bits of a difference and how many they are (Table H.2): its category, and which of the category it is.
    #[inline]
    pub(super) fn of(&self, difference: u16) -> (u32, u32) {
        let category = category(difference);
        let (code, length) = self.codes[category as usize];
        // Negative ones are counted from the other end. The category of 2^15 has no other value.
        let value = u32::from(difference.wrapping_sub(difference >> 15));
        let bits = if category == 16 { 0 } else { category };
        let code = u32::from(code) << bits;
        (code | (value & ((1 << bits) - 1)), u32::from(length) + bits)
    }
}

/// How many bits the magnitude of a difference has, which is modulo 2^16.
#[inline]
pub(super) fn category(difference: u16) -> u32 {
    16 - (difference as i16).unsigned_abs().leading_zeros()
}

/// How long the code of each category is, and behind them that of nothing, which is the longest (Figure K.1).
fn code_lengths(frequencies: &[u32; CATEGORIES]) -> [usize; CATEGORIES + 1] {
    // Each tree is its frequency and its leaves; the two rarest are joined until there is one.
    let leaves = frequencies
        .iter()
        .map(|frequency| u64::from(*frequency))
        .chain([1]);
    let mut trees: Vec<(u64, Vec<usize>)> = leaves
        .enumerate()
        .filter(|(_, frequency)| *frequency > 0)
        .map(|(leaf, frequency)| (frequency, vec![leaf]))
        .collect();
    let mut lengths = [0; CATEGORIES + 1];
    while trees.len() > 1 {
        // Of equal ones the last comes first, so that nothing gets the longest code.
        trees.sort_by_key(|(frequency, leaves)| {
            (*frequency, std::cmp::Reverse(leaves[leaves.len() - 1]))
        });
        let (rarest, leaves) = trees.remove(0);
        let (rare, others) = &mut trees[0];
        *rare += rarest;
        others.extend(leaves);
        others.sort_unstable();
        for leaf in others.iter() {
            lengths[*leaf] += 1;
        }
    }
    lengths
}

/// Bytes of a codestream, written one after the other into a buffer that may end.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    written: usize,
    bits: u64,
    /// How many of the lowest bits of `bits` are not written; less than 32 between calls.
    waiting: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Writer {
            out,
            written: 0,
            bits: 0,
            waiting: 0,
        }
    }

    pub(super) fn written(&self) -> usize {
        self.written
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let end = self.written + bytes.len();
        let limit = self.out.len() as u64;
        let place = self
            .out
            .get_mut(self.written..end)
            .ok_or(CodecError::Limit {
                what: "bytes of a JPEG codestream",
                found: end as u64,
                limit,
            })?;
        place.copy_from_slice(bytes);
        self.written = end;
        Ok(())
    }

    /// Up to 32 bits of entropy-coded data.
    #[inline]
    pub(super) fn put(&mut self, bits: u32, count: u32) -> Result<(), CodecError> {
        self.bits = self.bits << count | u64::from(bits);
        self.waiting += count;
        if self.waiting < 32 {
            return Ok(());
        }
        self.waiting -= 32;
        let word = ((self.bits >> self.waiting) & u64::from(u32::MAX)).to_be_bytes();
        let word = [word[4], word[5], word[6], word[7]];
        let inverted = !u32::from_be_bytes(word);
        let has_ff = inverted.wrapping_sub(0x0101_0101) & !inverted & 0x8080_8080 != 0;
        match self.out.get_mut(self.written..self.written + 4) {
            Some(place) if !has_ff => {
                place.copy_from_slice(&word);
                self.written += 4;
                Ok(())
            }
            _ => self.stuffed(&word),
        }
    }

    /// Entropy-coded bytes: a zero behind each FF, so that it is no marker.
    #[cold]
    fn stuffed(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        for byte in bytes {
            match byte {
                0xFF => self.bytes(&[0xFF, 0])?,
                byte => self.bytes(&[*byte])?,
            }
        }
        Ok(())
    }

    /// Fills the last byte with ones.
    pub(super) fn finish_bits(&mut self) -> Result<(), CodecError> {
        let fill = (8 - self.waiting % 8) % 8;
        let bits = self.bits << fill | ((1 << fill) - 1);
        let count = ((self.waiting + fill) / 8) as usize;
        (self.bits, self.waiting) = (0, 0);
        self.stuffed(&bits.to_be_bytes()[8 - count..])
    }
}
