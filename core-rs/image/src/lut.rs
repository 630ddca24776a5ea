//! Look-up tables of modality, VOI and presentation LUT sequences and palettes (PS3.3 §C.11.1.1, §C.7.6.3.1.5).

use vna_dicom::{DataSet, Tag};

use crate::ImageError;
use crate::attributes::Attributes;

/// A look-up table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lut {
    /// The value that the first entry is for.
    pub first: i64,
    /// Bits of an entry, 1 to 16.
    pub bits: u32,
    /// The entries, at least one.
    pub entries: Vec<u16>,
}

/// What a LUT Descriptor says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Descriptor {
    /// Number of entries, 1 to 65536.
    pub entries: usize,
    /// The value that the first entry is for.
    pub first: i64,
    /// Bits of an entry as the descriptor has them.
    pub bits: u32,
}

impl Descriptor {
    /// Reads the three values of a descriptor; `signed` says whether what goes into the table has a sign, if that is known.
    ///
    /// The second value has the VR of what goes in. Where a writer or an implicit VR made it the other one all the same, what
    /// goes in decides: a US of the upper half is a negative value, an SS below 0 one of the upper half.
    pub fn read(data_set: &DataSet, tag: Tag, signed: Option<bool>) -> Result<Self, ImageError> {
        let table = |problem| ImageError::Table { tag, problem };
        let values = data_set.decimals(tag);
        let &[entries, first, bits] = values.first_chunk().ok_or(table("has not three values"))?;
        #[allow(clippy::cast_possible_truncation, reason = "16-bit values")]
        let (entries, first, bits) = (entries as i64, first as i64, bits as i64);
        // As SS the number of entries may look negative; 0 stands for 65536.
        let entries = match entries & 0xFFFF {
            0 => 65536,
            entries => usize::try_from(entries).unwrap_or(65536),
        };
        let first = match signed {
            Some(true) if (32768..65536).contains(&first) => first - 65536,
            Some(false) if first < 0 => first & 0xFFFF,
            _ => first,
        };
        Ok(Descriptor {
            entries,
            first,
            bits: u32::try_from(bits).unwrap_or(0),
        })
    }
}

impl Lut {
    /// Reads the LUT Descriptor (0028,3002) and LUT Data (0028,3006) of an item.
    pub fn read(item: &DataSet, signed: Option<bool>) -> Result<Self, ImageError> {
        let descriptor = Descriptor::read(item, LUT_DESCRIPTOR, signed)?;
        let bytes = item.bytes(LUT_DATA).unwrap_or_default();
        Lut::new(descriptor, bytes, LUT_DATA)
    }

    /// The table of `descriptor` with the entries that `bytes`, the value of `tag`, has.
    ///
    /// Entries are words; where there are only bytes for it, each entry is a byte. Bits of an entry that cannot be, or are
    /// fewer than an entry has, are taken from the entries.
    pub fn new(mut descriptor: Descriptor, bytes: &[u8], tag: Tag) -> Result<Self, ImageError> {
        let count = descriptor.entries;
        let entries: Vec<u16> = if bytes.len() >= 2 * count {
            let words = bytes.chunks_exact(2).take(count);
            words.map(|w| u16::from_le_bytes([w[0], w[1]])).collect()
        } else if bytes.len() >= count {
            descriptor.bits = descriptor.bits.min(8);
            bytes.iter().take(count).map(|b| u16::from(*b)).collect()
        } else {
            return Err(ImageError::Table {
                tag,
                problem: "has fewer entries than its descriptor says",
            });
        };
        Ok(Lut::of(descriptor, entries))
    }

    /// The table of `descriptor` with these entries.
    pub fn of(descriptor: Descriptor, entries: Vec<u16>) -> Self {
        let largest = entries.iter().copied().max().unwrap_or(0);
        let needed = (16 - largest.leading_zeros()).max(1);
        let bits = match descriptor.bits {
            bits @ 1..=16 if bits >= needed => bits,
            _ => needed.max(8),
        };
        Lut {
            first: descriptor.first,
            bits,
            entries,
        }
    }

    /// The entry for a value: below the first the first, above the last the last (PS3.3 §C.11.1.1.1).
    pub fn entry(&self, value: f64) -> u16 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a float beyond the type becomes its largest, one that is none 0"
        )]
        let value = value.round() as i64;
        let last = self.entries.len() - 1;
        let index = usize::try_from(value.saturating_sub(self.first)).unwrap_or(0);
        self.entries[index.min(last)]
    }

    /// The largest number that an entry can be.
    pub fn largest(&self) -> f64 {
        f64::from((1u32 << self.bits) - 1)
    }
}

pub(crate) const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
pub(crate) const LUT_DATA: Tag = Tag(0x0028, 0x3006);
