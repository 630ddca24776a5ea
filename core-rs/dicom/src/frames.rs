//! Where each frame of the pixel data lies (PS3.5 §8, §A.4).
//!
//! (1) A frame is given only where something says so: its size, an offset table that points at fragments, or
//!     the markers of its codestream. A table that contradicts the fragments or their markers is not used.
//! (2) Where nothing says so the answer is an error: a guess would show one frame's bytes as another's.

use crate::charset::CharacterSet;
use crate::syntax::Encoding;
use crate::{
    Budget, DataSet, DicomError, FrameProblem, MAX_FRAMES, PixelData, ReadAt, Value, tags,
};
use std::ops::Range;

mod codestream;
mod encapsulated;

pub use encapsulated::Fragment;

/// The frames of one instance, by their positions in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FrameTable {
    /// One after the other, all of one size.
    Native {
        /// Where the first begins.
        offset: u64,
        /// Bits of a frame. Frames of one-bit pixels follow each other without padding (PS3.5 §8.1.1).
        frame_bits: u64,
        /// How many there are.
        number_of_frames: u32,
    },
    /// In fragments.
    Encapsulated {
        /// All fragments in the order of the file.
        fragments: Vec<Fragment>,
        /// For each frame the number of its first fragment; it ends where the next begins.
        first_fragments: Vec<u32>,
    },
}

impl FrameTable {
    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            FrameTable::Native {
                number_of_frames, ..
            } => *number_of_frames as usize,
            FrameTable::Encapsulated {
                first_fragments, ..
            } => first_fragments.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The byte ranges of frame `index`, counted from 0: one, or one for each fragment. Empty beyond the last.
    ///
    /// Of frames that do not begin at a byte's boundary the bytes that hold any bit of the frame are given;
    /// see [`FrameTable::first_bit`].
    #[must_use]
    pub fn ranges(&self, index: usize) -> Vec<Range<u64>> {
        if index >= self.len() {
            return Vec::new();
        }
        match self {
            FrameTable::Native {
                offset, frame_bits, ..
            } => {
                let first = index as u64 * frame_bits;
                let range = offset + first / 8..offset + (first + frame_bits).div_ceil(8);
                vec![range]
            }
            FrameTable::Encapsulated {
                fragments,
                first_fragments,
            } => {
                let first = first_fragments[index] as usize;
                let end = first_fragments
                    .get(index + 1)
                    .map_or(fragments.len(), |end| *end as usize);
                fragments[first..end].iter().map(Fragment::range).collect()
            }
        }
    }

    /// The bit of the first byte of [`FrameTable::ranges`] that frame `index` begins at, least significant first.
    #[must_use]
    pub fn first_bit(&self, index: usize) -> u8 {
        match self {
            FrameTable::Native { frame_bits, .. } => {
                u8::try_from(index as u64 * frame_bits % 8).unwrap_or_default()
            }
            FrameTable::Encapsulated { .. } => 0,
        }
    }
}

/// Finds the frames of a whole Part 10 file. It takes no identity; nothing is decoded.
///
/// # Errors
///
/// As [`crate::ImageFile::read`].
pub fn frame_table(file: &[u8]) -> Result<FrameTable, DicomError> {
    crate::ImageFile::read(&file).map(|image| image.frames)
}

/// Finds the frames of pixel data behind a header; `encoding` is that of the element.
pub(crate) fn find_frames<S: ReadAt>(
    source: &S,
    header: &DataSet,
    pixel_data: &PixelData,
    encoding: Encoding,
    transfer_syntax_uid: &str,
) -> Result<FrameTable, S::Error> {
    let attributes = Attributes::of(header);
    if attributes.number_of_frames as usize > MAX_FRAMES {
        return Err(DicomError::Budget {
            budget: Budget::Frames,
            offset: pixel_data.element_offset,
        }
        .into());
    }
    let Some(length) = pixel_data.length else {
        return encapsulated::frame_table(
            source,
            encoding,
            &attributes,
            pixel_data,
            transfer_syntax_uid,
        );
    };
    let (offset, size) = (pixel_data.value_offset, source.size());
    if offset + length > size {
        return Err(DicomError::Truncated {
            what: "pixel data",
            offset,
            needed: length,
            available: size.saturating_sub(offset),
        }
        .into());
    }
    Ok(native(&attributes, pixel_data, length)?)
}

/// What a frame table depends on.
#[derive(Debug, Default)]
struct Attributes {
    rows: u64,
    columns: u64,
    samples_per_pixel: u64,
    bits_allocated: u64,
    number_of_frames: u32,
    subsampled: bool,
    extended_offsets: Vec<u8>,
    extended_lengths: Vec<u8>,
}

impl Attributes {
    fn of(header: &DataSet) -> Self {
        let text = |tag| {
            let element = header.get(tag)?;
            element.text(&CharacterSet::default())
        };
        let number = |tag| {
            let text = text(tag).unwrap_or_default();
            let first = text.split('\\').next().unwrap_or_default();
            first.trim().parse::<u64>().unwrap_or(0)
        };
        // 8 bytes a frame; what is longer is no table.
        let table = |tag| match header.get(tag).map(|element| &element.value) {
            Some(Value::Bytes(table)) if table.len() <= MAX_FRAMES * 8 => table.clone(),
            _ => Vec::new(),
        };
        let photometric = text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        Attributes {
            rows: number(tags::ROWS),
            columns: number(tags::COLUMNS),
            samples_per_pixel: number(tags::SAMPLES_PER_PIXEL),
            bits_allocated: number(tags::BITS_ALLOCATED),
            number_of_frames: u32::try_from(number(tags::NUMBER_OF_FRAMES)).unwrap_or(u32::MAX),
            subsampled: matches!(photometric.as_str(), "YBR_FULL_422" | "YBR_PARTIAL_422"),
            extended_offsets: table(tags::EXTENDED_OFFSET_TABLE),
            extended_lengths: table(tags::EXTENDED_OFFSET_TABLE_LENGTHS),
        }
    }

    /// Number of Frames; an image without that element has one (PS3.3 C.7.6.6).
    fn frames(&self) -> u64 {
        u64::from(self.number_of_frames.max(1))
    }
}

/// Frames of one size: `length` bytes of them begin at the value of `pixel_data`.
fn native(
    attributes: &Attributes,
    pixel_data: &PixelData,
    length: u64,
) -> Result<FrameTable, DicomError> {
    let error = |problem| DicomError::Frames {
        problem,
        offset: pixel_data.element_offset,
    };
    let bits_allocated = match pixel_data.tag {
        tags::FLOAT_PIXEL_DATA => 32,
        tags::DOUBLE_FLOAT_PIXEL_DATA => 64,
        _ => attributes.bits_allocated,
    };
    let samples_per_pixel = attributes.samples_per_pixel.max(1); // absent in float images of one sample
    for (tag, value) in [
        (tags::ROWS, attributes.rows),
        (tags::COLUMNS, attributes.columns),
        (tags::BITS_ALLOCATED, bits_allocated),
    ] {
        if value == 0 {
            return Err(error(FrameProblem::MissingAttribute(tag)));
        }
    }
    // Each factor is below 2^32, most are below 2^16; a product beyond 2^64 is longer than any file.
    let pixels = attributes.rows.checked_mul(attributes.columns);
    let bits = |samples: u64| pixels?.checked_mul(samples)?.checked_mul(bits_allocated);
    let bytes = |bits: u64| Some(bits.checked_mul(attributes.frames())?.div_ceil(8));
    let too_short = |needed: Option<u64>| {
        error(FrameProblem::TooShort {
            needed: needed.unwrap_or(u64::MAX),
            available: length,
        })
    };
    let full = bits(samples_per_pixel).ok_or_else(|| too_short(None))?;
    let needed = bytes(full).ok_or_else(|| too_short(None))?;
    // 4:2:2 stores two samples a pixel (PS3.3 C.7.6.3.1.2); some writers say so and store three.
    let halved =
        attributes.subsampled && samples_per_pixel == 3 && !(needed..=needed + 1).contains(&length);
    let frame_bits = if halved {
        bits(2).ok_or_else(|| too_short(None))?
    } else {
        full
    };
    match bytes(frame_bits) {
        Some(needed) if needed <= length => Ok(FrameTable::Native {
            offset: pixel_data.value_offset,
            frame_bits,
            number_of_frames: attributes.number_of_frames.max(1),
        }),
        needed => Err(too_short(needed)),
    }
}
