//! Palettes (PS3.3 §C.7.6.3.1.5, §C.7.6.3.1.6, §C.7.9).

use vna_dicom::{DataSet, Tag};

use crate::ImageError;
use crate::attributes::Attributes;
use crate::lut::{Descriptor, Lut};

/// A palette color look-up table. What it says of alpha is left out: pictures have none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Palette {
    /// The value that the first entry is for.
    pub first: i64,
    /// Red, green and blue, at least one of them.
    pub colours: Vec<[u8; 3]>,
}

impl Palette {
    /// The palette of a data set, `None` if it has no descriptor of one.
    ///
    /// # Errors
    ///
    /// [`ImageError::Table`] if it is broken.
    pub fn read(data_set: &DataSet, signed: Option<bool>) -> Result<Option<Self>, ImageError> {
        if data_set.get(DESCRIPTORS[0]).is_none() {
            return Ok(None);
        }
        let channel = |index: usize| -> Result<Lut, ImageError> {
            let descriptor = Descriptor::read(data_set, DESCRIPTORS[index], signed)?;
            if let Some(bytes) = data_set.bytes(DATA[index]) {
                return Lut::new(descriptor, bytes, DATA[index]);
            }
            let tag = SEGMENTED[index];
            let bytes = data_set.bytes(tag).ok_or(ImageError::Table {
                tag: DATA[index],
                problem: "is missing, and segmented data too",
            })?;
            segmented(descriptor, bytes, tag)
        };
        let mut channels = [channel(0)?, channel(1)?, channel(2)?];
        // Entries of 16 bits that are all below 256 are bytes that were put into words.
        let is_byte = |lut: &Lut| lut.entries.iter().all(|entry| *entry < 256);
        if channels.iter().all(|lut| lut.bits == 16 && is_byte(lut)) {
            channels.iter_mut().for_each(|lut| lut.bits = 8);
        }
        let entries = channels.iter().map(|lut| lut.entries.len()).max();
        let colour = |index: usize| {
            channels.each_ref().map(|lut| {
                let entry = lut.entries[index.min(lut.entries.len() - 1)];
                to_8_bits(entry, lut.bits)
            })
        };
        Ok(Some(Palette {
            first: channels[0].first,
            colours: (0..entries.unwrap_or(1)).map(colour).collect(),
        }))
    }

    /// The colour of a value: below the first the first, above the last the last.
    pub fn colour(&self, value: f64) -> [u8; 3] {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a float beyond the type becomes its end, one that is none 0"
        )]
        let value = value.round() as i64;
        let index = usize::try_from(value.saturating_sub(self.first)).unwrap_or(0);
        self.colours[index.min(self.colours.len() - 1)]
    }

    /// The colour of a gray of 0 to 1, all grays over all entries (PS3.4 §N.2.2: pseudo-colour).
    pub fn colour_of_unit(&self, unit: f64) -> [u8; 3] {
        let last = self.colours.len() - 1;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "at most 65536 entries; a float beyond the type becomes its end"
        )]
        let index = (unit * last as f64).round() as usize;
        self.colours[index.min(last)]
    }
}

/// The upper eight of `bits` bits; fewer are stretched.
fn to_8_bits(entry: u16, bits: u32) -> u8 {
    let byte = match bits {
        8.. => entry >> (bits - 8),
        _ => entry * 255 / ((1 << bits) - 1),
    };
    u8::try_from(byte).unwrap_or(u8::MAX)
}

/// Expands segmented data (PS3.3 §C.7.9.2). Its numbers are bytes where entries are of 8 bits, words else.
fn segmented(descriptor: Descriptor, bytes: &[u8], tag: Tag) -> Result<Lut, ImageError> {
    let width = if descriptor.bits == 8 { 1 } else { 2 };
    let mut expansion = Expansion {
        numbers: bytes
            .chunks_exact(width)
            .map(|number| match *number {
                [low, high] => u16::from_le_bytes([low, high]),
                _ => u16::from(number[0]),
            })
            .collect(),
        width,
        entries: Vec::new(),
        room: descriptor.entries,
        tag,
    };
    let mut at = 0;
    // What is behind the last entry is padding.
    while expansion.entries.len() < descriptor.entries {
        at = expansion.segment(at, true)?;
    }
    Ok(Lut::of(descriptor, expansion.entries))
}

struct Expansion {
    numbers: Vec<u16>,
    /// Bytes of a number.
    width: usize,
    entries: Vec<u16>,
    /// How many entries there are to be.
    room: usize,
    tag: Tag,
}

impl Expansion {
    /// Expands the segment at number `at`, gives where the next one is.
    fn segment(&mut self, at: usize, indirect_allowed: bool) -> Result<usize, ImageError> {
        let length = usize::from(self.number(at + 1)?);
        match self.number(at)? {
            0 => self.discrete(at + 2, length),
            1 => self.linear(at + 2, length),
            2 if indirect_allowed => self.indirect(at + 2, length),
            2 => Err(self.broken("an indirect segment points to another")),
            _ => Err(self.broken("has a segment of unknown type")),
        }
    }

    fn discrete(&mut self, at: usize, length: usize) -> Result<usize, ImageError> {
        let Some(numbers) = self.numbers.get(at..at + length) else {
            return Err(self.broken("ends inside a segment"));
        };
        self.entries.extend_from_slice(numbers);
        self.bounded(at + length, length)
    }

    /// From the last entry on a straight line to the number given, which is reached (PS3.3 §C.7.9.2.2).
    fn linear(&mut self, at: usize, length: usize) -> Result<usize, ImageError> {
        let end = i64::from(self.number(at)?);
        let Some(start) = self.entries.last().copied().map(i64::from) else {
            return Err(self.broken("begins with a linear segment"));
        };
        let steps = i64::try_from(length).unwrap_or(1).max(1);
        self.entries.extend((1..=length).map(|step| {
            let step = i64::try_from(step).unwrap_or(0);
            let part = ((end - start) * step * 2 + steps).div_euclid(steps * 2);
            u16::try_from(start + part).unwrap_or(u16::MAX)
        }));
        self.bounded(at + 1, length)
    }

    /// Segments that stand elsewhere, by byte offset (PS3.3 §C.7.9.2.3).
    fn indirect(&mut self, at: usize, count: usize) -> Result<usize, ImageError> {
        let halves = if self.width == 1 { 4 } else { 2 };
        let mut offset = 0usize;
        for half in (0..halves).rev() {
            offset = (offset << (8 * self.width)) | usize::from(self.number(at + half)?);
        }
        if offset % self.width != 0 {
            return Err(self.broken("an indirect segment points into a number"));
        }
        let mut from = offset / self.width;
        for _ in 0..count {
            from = self.segment(from, false)?;
        }
        self.bounded(at + halves, count)
    }

    fn number(&self, at: usize) -> Result<u16, ImageError> {
        let number = self.numbers.get(at).copied();
        number.ok_or_else(|| self.broken("ends before its last entry"))
    }

    /// `next`, unless the segment added nothing (a loop would not end) or there are more entries than the descriptor says.
    fn bounded(&self, next: usize, added: usize) -> Result<usize, ImageError> {
        if added == 0 {
            return Err(self.broken("has a segment without entries"));
        }
        if self.entries.len() > self.room {
            return Err(self.broken("has more entries than its descriptor says"));
        }
        Ok(next)
    }

    fn broken(&self, problem: &'static str) -> ImageError {
        ImageError::Table {
            tag: self.tag,
            problem,
        }
    }
}

const DESCRIPTORS: [Tag; 3] = [
    Tag(0x0028, 0x1101),
    Tag(0x0028, 0x1102),
    Tag(0x0028, 0x1103),
];
const DATA: [Tag; 3] = [
    Tag(0x0028, 0x1201),
    Tag(0x0028, 0x1202),
    Tag(0x0028, 0x1203),
];
const SEGMENTED: [Tag; 3] = [
    Tag(0x0028, 0x1221),
    Tag(0x0028, 0x1222),
    Tag(0x0028, 0x1223),
];
