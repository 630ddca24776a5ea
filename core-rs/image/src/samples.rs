//! Stored values of a decoded frame (PS3.5 §8.1.1), and what is made of each.

use std::borrow::Cow;

use vna_codec::{Decoded, FrameFormat, Sample};

use crate::ImageError;

/// Samples of a decoded frame, read as the header and the codec say.
pub(crate) struct Samples<'a> {
    words: Words<'a>,
    cell: Cell,
}

/// Samples by the bytes that they take.
enum Words<'a> {
    One(Cow<'a, [u8]>),
    Two(&'a [u8]),
    /// Three, four or eight.
    Wide(&'a [u8], usize),
    Float(&'a [u8]),
    Double(&'a [u8]),
}

/// Where in a pixel cell the value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    shift: u32,
    bits: u32,
    signed: bool,
}

impl Cell {
    fn index16(self, word: u16) -> u16 {
        (word >> self.shift) & self.mask16()
    }

    fn mask16(self) -> u16 {
        if self.bits >= 16 {
            u16::MAX
        } else {
            (1 << self.bits) - 1
        }
    }

    /// The bit that says a value is negative, 0 if values have no sign.
    fn sign16(self) -> u16 {
        if self.signed { 1 << (self.bits - 1) } else { 0 }
    }

    /// The value of the lower bits of a word.
    fn value(self, word: u64) -> i64 {
        let unused = 64 - self.bits;
        let high = (word >> self.shift) << unused;
        #[allow(
            clippy::cast_possible_wrap,
            reason = "64 bits unsigned are beyond any image; the lower half is right"
        )]
        if self.signed {
            (high as i64) >> unused
        } else {
            (high >> unused) as i64
        }
    }
}

impl<'a> Samples<'a> {
    /// The samples of `decoded`, of which the header has this High Bit (0028,0102).
    ///
    /// # Errors
    ///
    /// [`ImageError::Samples`] if there are fewer than the format says.
    pub fn new(decoded: &Decoded<'a>, high_bit: Option<u32>) -> Result<Self, ImageError> {
        let format = &decoded.format;
        let expected = format.frame_bytes()?;
        let found = decoded.samples.len() as u64;
        let Some(bytes) = usize::try_from(expected)
            .ok()
            .and_then(|length| decoded.samples.get(..length))
        else {
            return Err(ImageError::Samples { expected, found });
        };
        let words = match (format.bits_allocated, format.sample) {
            (32, Sample::Float) => Words::Float(bytes),
            (64, Sample::Float) => Words::Double(bytes),
            (1, _) => Words::One(Cow::Owned(unpacked(bytes, format))),
            (8, _) => Words::One(Cow::Borrowed(bytes)),
            (16, _) => Words::Two(bytes),
            (allocated, _) => Words::Wide(bytes, usize::from(allocated.div_ceil(8))),
        };
        let allocated = u32::from(format.bits_allocated.max(1));
        let bits = u32::from(format.bits_stored).clamp(1, allocated);
        let mut cell = Cell {
            shift: 0,
            bits,
            signed: format.sample == Sample::Signed && format.bits_allocated > 1,
        };
        let shift = high_bit.and_then(|high_bit| (high_bit + 1).checked_sub(bits));
        if let Some(shift @ 1..64) = shift {
            // Codecs give values, not cells, and there are headers whose High Bit is wrong: if the bits that would have
            // to be free are used and those that would have to be used are free, values are where they always are.
            let used = words.used_bits();
            let low = used & ((1 << shift) - 1) != 0;
            let high = used.checked_shr(bits).unwrap_or(0) != 0;
            if shift + bits <= allocated && (high || !low) {
                cell.shift = shift;
            }
        }
        Ok(Samples { words, cell })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.words {
            Words::One(bytes) => bytes.len(),
            Words::Two(bytes) => bytes.len() / 2,
            Words::Wide(bytes, width) => bytes.len() / width,
            Words::Float(bytes) => bytes.len() / 4,
            Words::Double(bytes) => bytes.len() / 8,
        }
    }

    /// Bits of a value: Bits Stored.
    pub fn bits(&self) -> u32 {
        self.cell.bits
    }

    /// The value that a pixel cell of this image has which is filled like `word`.
    pub fn value_of_word(&self, word: i64) -> f64 {
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "two's complement; values of more than 53 bits are no padding"
        )]
        let value = Cell {
            shift: 0,
            ..self.cell
        }
        .value(word as u64) as f64;
        value
    }

    /// The values that integers of this image can have; `None` for floating point numbers.
    pub fn possible(&self) -> Option<(f64, f64)> {
        if matches!(self.words, Words::Float(_) | Words::Double(_)) {
            return None;
        }
        let values = 2f64.powi(i32::try_from(self.cell.bits).unwrap_or(64));
        Some(if self.cell.signed {
            (-values / 2.0, values / 2.0 - 1.0)
        } else {
            (0.0, values - 1.0)
        })
    }

    /// The lowest and the highest value, of those not in `without`; `None` if there is none.
    pub fn range(&self, without: Option<(f64, f64)>) -> Option<(f64, f64)> {
        if let (Words::One(_) | Words::Two(_), None) = (&self.words, without) {
            let (low, high) = self.narrow_range();
            return Some((low, high));
        }
        let (low, high) = without.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        let mut range = (f64::INFINITY, f64::NEG_INFINITY);
        self.each(|value| {
            if value.is_finite() && !(low..=high).contains(&value) {
                range = (range.0.min(value), range.1.max(value));
            }
        });
        (range.0 <= range.1).then_some(range)
    }

    /// What `level` makes of each value.
    ///
    /// For values of at most 16 bits it is asked once for each value that can occur, so it may be slow; no pixel costs more than a look-up.
    pub fn map<T: Copy + Default>(&self, level: impl Fn(f64) -> T) -> Vec<T> {
        match &self.words {
            Words::One(bytes) => {
                let table = self.table(0..=self.cell.mask16(), level);
                let table: &[T; 256] = table.first_chunk().unwrap_or_else(|| unreachable!());
                let (shift, mask) = (self.cell.shift, self.cell.mask16().to_le_bytes()[0]);
                let indexes = bytes.iter().map(|byte| (byte >> shift) & mask);
                indexes.map(|index| table[usize::from(index)]).collect()
            }
            Words::Two(bytes) => {
                let mut table = self.table16(level);
                if self.cell.shift == 0 {
                    // Bits above the value count for nothing: words that differ in them alone have the same entry.
                    repeat(&mut table, usize::from(self.cell.mask16()) + 1);
                    return looked_up(bytes, &table, |word| word);
                }
                let cell = self.cell;
                looked_up(bytes, &table, |word| cell.index16(word))
            }
            _ => {
                let mut out = Vec::with_capacity(self.len());
                self.each(|value| out.push(level(value)));
                out
            }
        }
    }

    /// Calls `take` with each value.
    pub fn each(&self, mut take: impl FnMut(f64)) {
        let cell = self.cell;
        #[allow(
            clippy::cast_precision_loss,
            reason = "a picture does not show the 54th bit"
        )]
        let number = |word: u64| cell.value(word) as f64;
        match &self.words {
            Words::One(bytes) => bytes.iter().for_each(|byte| take(number(u64::from(*byte)))),
            Words::Two(bytes) => bytes.chunks_exact(2).for_each(|word| {
                take(number(u64::from(u16::from_le_bytes([word[0], word[1]]))));
            }),
            Words::Wide(bytes, width) => bytes.chunks_exact(*width).for_each(|word| {
                let mut bytes = [0; 8];
                bytes[..*width].copy_from_slice(word);
                take(number(u64::from_le_bytes(bytes)));
            }),
            Words::Float(bytes) => bytes.chunks_exact(4).for_each(|word| {
                let number = f32::from_le_bytes(word.try_into().unwrap_or_default());
                take(f64::from(number));
            }),
            Words::Double(bytes) => bytes.chunks_exact(8).for_each(|word| {
                take(f64::from_le_bytes(word.try_into().unwrap_or_default()));
            }),
        }
    }

    /// What `level` makes of each value that 16-bit samples have.
    fn table16<T: Copy + Default>(&self, level: impl Fn(f64) -> T) -> Vec<T> {
        // Finding the values that occur costs as much as some thousand of them.
        if self.cell.bits <= 12 {
            return self.table(0..=self.cell.mask16(), level);
        }
        let (low, high) = self.index_range();
        self.table(low..=high, level)
    }

    /// A table over all words, filled for values whose order (see `index_range`) is in `order`.
    fn table<T: Copy + Default>(
        &self,
        order: std::ops::RangeInclusive<u16>,
        level: impl Fn(f64) -> T,
    ) -> Vec<T> {
        let room = if matches!(self.words, Words::One(_)) {
            256
        } else {
            65536
        };
        let mut table = vec![T::default(); room];
        let aligned = Cell {
            shift: 0,
            ..self.cell
        };
        for place in order {
            let index = place ^ self.cell.sign16();
            #[allow(clippy::cast_precision_loss, reason = "at most 16 bits")]
            let value = aligned.value(u64::from(index)) as f64;
            table[usize::from(index)] = level(value);
        }
        table
    }

    fn narrow_range(&self) -> (f64, f64) {
        let (low, high) = self.index_range();
        let aligned = Cell {
            shift: 0,
            ..self.cell
        };
        #[allow(clippy::cast_precision_loss, reason = "at most 16 bits")]
        let value = |order: u16| aligned.value(u64::from(order ^ self.cell.sign16())) as f64;
        (value(low), value(high))
    }

    /// The lowest and highest of words of at most 16 bits, with the sign bit turned so that they stand in order.
    fn index_range(&self) -> (u16, u16) {
        let (cell, sign) = (self.cell, self.cell.sign16());
        let widen = |(low, high): (u16, u16), word: u16| {
            let place = cell.index16(word) ^ sign;
            (low.min(place), high.max(place))
        };
        let none = (u16::MAX, 0);
        let (low, high) = match &self.words {
            Words::One(bytes) => bytes.iter().map(|byte| u16::from(*byte)).fold(none, widen),
            Words::Two(bytes) => bytes
                .chunks_exact(2)
                .map(|word| u16::from_le_bytes([word[0], word[1]]))
                .fold(none, widen),
            _ => none,
        };
        (low.min(high), high)
    }
}

/// Repeats the first `length` entries over all of a table.
fn repeat<T: Copy>(table: &mut [T], length: usize) {
    let (first, rest) = table.split_at_mut(length);
    for again in rest.chunks_exact_mut(length) {
        again.copy_from_slice(first);
    }
}

/// The entry of each 16-bit sample, of which `index` gives its place.
fn looked_up<T: Copy + Default>(bytes: &[u8], table: &[T], index: impl Fn(u16) -> u16) -> Vec<T> {
    const AT_ONCE: usize = 8;
    let table: &[T; 65536] = table.first_chunk().unwrap_or_else(|| unreachable!());
    let entry = |low: u8, high: u8| table[usize::from(index(u16::from_le_bytes([low, high])))];
    let mut out = vec![T::default(); bytes.len() / 2];
    let mut places = out.chunks_exact_mut(AT_ONCE);
    let mut words = bytes.chunks_exact(2 * AT_ONCE);
    // Of known lengths, so that nothing is checked for each sample.
    for (places, words) in places.by_ref().zip(words.by_ref()) {
        let places: &mut [T; AT_ONCE] = places.first_chunk_mut().unwrap_or_else(|| unreachable!());
        let words: &[u8; 2 * AT_ONCE] = words.first_chunk().unwrap_or_else(|| unreachable!());
        for at in 0..AT_ONCE {
            places[at] = entry(words[2 * at], words[2 * at + 1]);
        }
    }
    let rest = words.remainder().chunks_exact(2);
    for (place, word) in places.into_remainder().iter_mut().zip(rest) {
        *place = entry(word[0], word[1]);
    }
    out
}

impl Words<'_> {
    /// The bits that are set in any word.
    fn used_bits(&self) -> u64 {
        match self {
            Words::One(bytes) => bytes.iter().fold(0, |bits, byte| bits | u64::from(*byte)),
            Words::Two(bytes) => bytes.chunks_exact(2).fold(0, |bits, word| {
                bits | u64::from(u16::from_le_bytes([word[0], word[1]]))
            }),
            Words::Wide(bytes, width) => bytes.chunks_exact(*width).fold(0, |bits, word| {
                let mut bytes = [0; 8];
                bytes[..*width].copy_from_slice(word);
                bits | u64::from_le_bytes(bytes)
            }),
            Words::Float(_) | Words::Double(_) => 0,
        }
    }
}

/// One byte for each bit, least significant first (PS3.5 §8.1.1).
fn unpacked(bytes: &[u8], format: &FrameFormat) -> Vec<u8> {
    let pixels =
        u64::from(format.rows) * u64::from(format.columns) * u64::from(format.samples_per_pixel);
    let pixels = usize::try_from(pixels).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(bytes.len() * 8);
    for byte in bytes {
        out.extend((0..8).map(|bit| (byte >> bit) & 1));
    }
    out.truncate(pixels);
    out
}
