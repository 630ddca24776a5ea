//! Lossless JPEG, read: one scan of all components.

use super::{CATEGORIES, UsePredictor, with_predictor};
use crate::CodecError;
use crate::jpeg::corrupt;
use crate::jpeg::header::{Header, TableSpec};

/// How many bits are looked up at once.
const LOOKUP: u32 = 12;
/// The longest code, and the most bits behind it.
const LONGEST: u32 = 16;

/// What a codestream says that its samples need.
pub(in crate::jpeg) struct Reader<'a> {
    data: &'a [u8],
    columns: usize,
    /// Of each component of a pixel.
    tables: Vec<Table>,
    predictor: u8,
    point_transform: u32,
    /// What the first sample of an interval is predicted to be.
    half: u16,
    restart_rows: usize,
}

impl<'a> Reader<'a> {
    /// `None` if it is not lossless, or has several scans or subsampled components: the library reads these.
    pub(in crate::jpeg) fn new(header: &'a Header<'_>) -> Result<Option<Self>, CodecError> {
        let scan = &header.first_scan;
        let ids = header.components.iter().map(|component| component.id);
        let simple = header.lossless
            && ids.eq(scan.components.iter().map(|(id, _)| *id))
            && (header.components.len() == 1
                || header
                    .components
                    .iter()
                    .all(|one| (one.horizontal, one.vertical) == (1, 1)));
        if !simple {
            return Ok(None);
        }
        let columns = usize::from(header.columns);
        let restart_rows = header.restart_interval.checked_div(columns).unwrap_or(0);
        let valid = (1..=7).contains(&scan.predictor)
            && (2..=16).contains(&header.precision)
            && scan.point_transform < header.precision
            && restart_rows * columns == header.restart_interval;
        if !valid {
            return Err(corrupt(
                "its scan header is not one of a lossless codestream".into(),
            ));
        }
        let table = |(_, table): &(u8, u8)| {
            let spec = header.tables.get(usize::from(*table)).copied().flatten();
            spec.ok_or_else(|| corrupt(format!("it has no Huffman table {table}")))
                .and_then(Table::new)
        };
        Ok(Some(Reader {
            data: &header.codestream[scan.data_at..],
            columns,
            tables: scan
                .components
                .iter()
                .map(table)
                .collect::<Result<_, _>>()?,
            predictor: scan.predictor,
            point_transform: scan.point_transform.into(),
            half: 1 << (header.precision - scan.point_transform - 1),
            restart_rows,
        }))
    }

    /// Decodes into rows of samples of `width` bytes, 1 or 2.
    pub(in crate::jpeg) fn decode(&self, width: usize, out: &mut [u8]) -> Result<(), CodecError> {
        let row = self.columns * self.tables.len();
        let (mut above, mut current, mut differences) = (vec![0; row], vec![0; row], vec![0; row]);
        let mut bits = Bits::new(self.data);
        for (index, out) in out.chunks_exact_mut((row * width).max(1)).enumerate() {
            let begins = match self.restart_rows {
                0 => index == 0,
                rows => index % rows == 0,
            };
            if begins && index > 0 {
                bits.restart((index / self.restart_rows - 1).to_le_bytes()[0] % 8)?;
            }
            bits.differences(&self.tables, &mut differences);
            if bits.is_exhausted() {
                return Err(corrupt(format!("it ends in row {index}")));
            }
            if bits.is_wrong {
                return Err(corrupt(format!("row {index} has a code that is none")));
            }
            if begins {
                self.restore_first(&differences, &mut current);
            } else {
                self.restore(&above, &differences, &mut current);
            }
            self.write(&current, width, out);
            std::mem::swap(&mut above, &mut current);
        }
        Ok(())
    }

    /// The first row of an interval: each sample from its left neighbour (§H.1.2.1).
    fn restore_first(&self, differences: &[u16], row: &mut [u16]) {
        let components = self.tables.len();
        for at in 0..row.len() {
            let left = at
                .checked_sub(components)
                .map_or(self.half, |left| row[left]);
            row[at] = left.wrapping_add(differences[at]);
        }
    }

    fn restore(&self, above: &[u16], differences: &[u16], row: &mut [u16]) {
        let components = self.tables.len().min(row.len());
        for ((sample, above), difference) in
            row.iter_mut().zip(above).zip(&differences[..components])
        {
            *sample = above.wrapping_add(*difference);
        }
        match components {
            1 => with_predictor(
                self.predictor,
                Restore::<1> {
                    above,
                    differences,
                    row,
                },
            ),
            3 => with_predictor(
                self.predictor,
                Restore::<3> {
                    above,
                    differences,
                    row,
                },
            ),
            _ => with_predictor(
                self.predictor,
                RestoreAny {
                    above,
                    differences,
                    row,
                    components,
                },
            ),
        }
    }

    fn write(&self, row: &[u16], width: usize, out: &mut [u8]) {
        if width == 1 {
            for (byte, sample) in out.iter_mut().zip(row) {
                *byte = (sample << self.point_transform).to_le_bytes()[0];
            }
        } else {
            for (bytes, sample) in out.chunks_exact_mut(2).zip(row) {
                bytes.copy_from_slice(&(sample << self.point_transform).to_le_bytes());
            }
        }
    }
}

/// Restores the samples that have a left neighbour, of so many components.
struct Restore<'a, const COMPONENTS: usize> {
    above: &'a [u16],
    differences: &'a [u16],
    row: &'a mut [u16],
}

impl<const COMPONENTS: usize> UsePredictor for Restore<'_, COMPONENTS> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // modulo 2^16
    fn with(self, predict: impl Fn(i32, i32, i32) -> i32) {
        let mut left = [0u16; COMPONENTS];
        let mut corner = [0u16; COMPONENTS];
        left.copy_from_slice(&self.row[..COMPONENTS]);
        corner.copy_from_slice(&self.above[..COMPONENTS]);
        let pixels = self.row.chunks_exact_mut(COMPONENTS);
        let pixels = pixels.zip(self.above.chunks_exact(COMPONENTS));
        let pixels = pixels
            .zip(self.differences.chunks_exact(COMPONENTS))
            .skip(1);
        for ((pixel, above), difference) in pixels {
            for component in 0..COMPONENTS {
                let predicted = predict(
                    left[component].into(),
                    above[component].into(),
                    corner[component].into(),
                );
                left[component] = difference[component].wrapping_add(predicted as u16);
                corner[component] = above[component];
                pixel[component] = left[component];
            }
        }
    }
}

/// The same for a number of components that is not known.
struct RestoreAny<'a> {
    above: &'a [u16],
    differences: &'a [u16],
    row: &'a mut [u16],
    components: usize,
}

impl UsePredictor for RestoreAny<'_> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // modulo 2^16
    fn with(self, predict: impl Fn(i32, i32, i32) -> i32) {
        for at in self.components..self.row.len() {
            let left = at - self.components;
            let predicted = predict(
                self.row[left].into(),
                self.above[at].into(),
                self.above[left].into(),
            );
            self.row[at] = self.differences[at].wrapping_add(predicted as u16);
        }
    }
}

/// A Huffman table, ready to look up.
struct Table {
    /// By the next bits of the codestream.
    entries: Box<[Entry; 1 << LOOKUP]>,
    /// Codes longer than [`LOOKUP`]: their bits, length and category.
    long: Vec<(u32, u32, u32)>,
}

/// What begins with some bits.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Bits that are used up; none for a longer code.
    length: u8,
    /// Bits of the difference that follow.
    more: u8,
    /// The difference, if none follow.
    difference: u16,
}

impl Table {
    fn new(spec: TableSpec<'_>) -> Result<Self, CodecError> {
        let wrong = || corrupt("a Huffman table is none of differences".into());
        let mut entries = Box::new([Entry::default(); 1 << LOOKUP]);
        let mut long = Vec::new();
        let mut categories = spec.values.iter();
        let mut code = 0u32;
        for (length, count) in (1u32..).zip(spec.counts) {
            for category in categories.by_ref().take((*count).into()) {
                let category = u32::from(*category);
                if category as usize >= CATEGORIES || code >= 1 << length {
                    return Err(wrong());
                }
                if length > LOOKUP {
                    long.push((code, length, category));
                } else {
                    fill(&mut entries[..], code, length, category);
                }
                code += 1;
            }
            code <<= 1;
        }
        Ok(Table { entries, long })
    }
}

/// Sets all entries that begin with a code.
fn fill(entries: &mut [Entry], code: u32, length: u32, category: u32) {
    let rest = LOOKUP - length;
    let first = (code << rest) as usize;
    let behind = if category == 16 { 0 } else { category };
    for (bits, entry) in (0u32..).zip(&mut entries[first..first + (1 << rest)]) {
        *entry = if behind <= rest {
            let value = bits >> (rest - behind);
            Entry {
                length: small(length + behind),
                more: 0,
                difference: difference(category, value),
            }
        } else {
            Entry {
                length: small(length),
                more: small(behind),
                difference: 0,
            }
        };
    }
}

fn small(count: u32) -> u8 {
    count.to_le_bytes()[0]
}

/// The difference of a category that has these bits (Table H.2).
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // below 2^16
fn difference(category: u32, bits: u32) -> u16 {
    match category {
        0 => 0,
        16 => 0x8000,
        _ if bits >> (category - 1) == 1 => bits as u16,
        _ => (bits as u16).wrapping_sub(((1u32 << category) - 1) as u16),
    }
}

/// The bits of entropy-coded data.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the highest on.
    bits: u64,
    /// How many they are.
    count: u32,
    /// How many of the last are not in the data, but zeros behind it.
    made_up: u32,
    is_wrong: bool,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Bits {
            data,
            at: 0,
            bits: 0,
            count: 0,
            made_up: 0,
            is_wrong: false,
        }
    }

    /// Whether bits were used that are not in the data.
    fn is_exhausted(&self) -> bool {
        self.count < self.made_up
    }

    /// The differences of a row; it goes on to its end behind what is wrong.
    fn differences(&mut self, tables: &[Table], row: &mut [u16]) {
        match tables {
            [table] => row
                .iter_mut()
                .for_each(|difference| *difference = self.next(table)),
            [first, second, third] => {
                for pixel in row.chunks_exact_mut(3) {
                    pixel[0] = self.next(first);
                    pixel[1] = self.next(second);
                    pixel[2] = self.next(third);
                }
            }
            tables => {
                for pixel in row.chunks_exact_mut(tables.len().max(1)) {
                    for (difference, table) in pixel.iter_mut().zip(tables) {
                        *difference = self.next(table);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn next(&mut self, table: &Table) -> u16 {
        if self.count < 32 {
            self.refill();
        }
        let entry = table.entries[(self.bits >> (64 - LOOKUP)) as usize];
        if entry.length == 0 {
            return self.next_long(table);
        }
        self.skip(entry.length.into());
        if entry.more == 0 {
            return entry.difference;
        }
        let value = self.take(entry.more.into());
        difference(entry.more.into(), value)
    }

    #[cold]
    fn next_long(&mut self, table: &Table) -> u16 {
        let found = table
            .long
            .iter()
            .find(|(code, length, _)| self.bits >> (64 - length) == u64::from(*code));
        let Some((_, length, category)) = found else {
            self.is_wrong = true;
            self.skip(LONGEST);
            return 0;
        };
        self.skip(*length);
        let behind = if *category == 16 { 0 } else { *category };
        let value = if behind == 0 { 0 } else { self.take(behind) };
        difference(*category, value)
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.bits <<= count;
        self.count -= count;
    }

    /// 1 to 16 bits.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // below 2^16
    fn take(&mut self, count: u32) -> u32 {
        let value = self.bits >> (64 - count);
        self.skip(count);
        value as u32
    }

    /// Makes them at least 32.
    #[inline(always)]
    fn refill(&mut self) {
        if let Some(word) = self.data.get(self.at..self.at + 4) {
            let word = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
            let inverted = !word;
            if inverted.wrapping_sub(0x0101_0101) & !inverted & 0x8080_8080 == 0 {
                self.bits |= u64::from(word) << (32 - self.count);
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        self.refill_bytes();
    }

    /// The same where a byte is FF: data if a zero follows, else a marker that ends it.
    #[cold]
    fn refill_bytes(&mut self) {
        while self.count < 32 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.made_up += 32;
                    self.count += 32;
                    return;
                }
                (Some(byte), _) => {
                    self.at += 1;
                    *byte
                }
            };
            self.bits |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Goes on behind restart marker `number`, 0 to 7. What stands before it is padding.
    fn restart(&mut self, number: u8) -> Result<(), CodecError> {
        let rest = &self.data[self.at.min(self.data.len())..];
        let marker = rest
            .windows(2)
            .position(|two| two[0] == 0xFF && !matches!(two[1], 0 | 0xFF));
        match marker.map(|at| (at, rest[at + 1])) {
            Some((at, found)) if found == 0xD0 + number => {
                *self = Bits {
                    at: self.at + at + 2,
                    ..Bits::new(self.data)
                };
                Ok(())
            }
            _ => Err(corrupt(format!(
                "it has no restart marker {number} where it should"
            ))),
        }
    }
}
