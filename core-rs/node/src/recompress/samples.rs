//! The bytes of a native frame as samples that codecs take, and back.
//!
//! All of Bits Allocated counts, whatever Bits Stored says: overlays and other things in the high bits come back. What
//! the codec gets are unsigned distances from the lowest sample, in as few bits as they need; so sign, offset and
//! unused bits cost nothing.

use vna_codec::{FrameFormat, Photometric, Sample};

/// What the frames of a file are, and how their bytes lie in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    pub rows: u32,
    pub columns: u32,
    /// 1 or 3.
    pub samples_per_pixel: u8,
    /// Of a sample: 1 or 2.
    pub sample_bytes: u8,
    pub big_endian: bool,
    /// All samples of a colour stand together.
    pub planar: bool,
    /// Three samples are luminance and two colour differences, not red, green and blue.
    pub ybr: bool,
}

/// What a frame's samples were before they became distances.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The lowest sample.
    pub lowest: u16,
    /// Bits that the distances take.
    pub bits: u8,
}

impl Layout {
    pub fn frame_bytes(&self) -> Option<u64> {
        let pixels = u64::from(self.rows).checked_mul(u64::from(self.columns))?;
        pixels.checked_mul(u64::from(self.samples_per_pixel) * u64::from(self.sample_bytes))
    }

    /// What the codec is told.
    pub fn format(&self, bits: u8) -> FrameFormat {
        FrameFormat {
            rows: self.rows,
            columns: self.columns,
            samples_per_pixel: self.samples_per_pixel.into(),
            bits_allocated: u16::from(self.sample_bytes) * 8,
            bits_stored: bits.into(),
            sample: Sample::Unsigned,
            planar: false,
            photometric: match (self.samples_per_pixel, self.ybr) {
                (1, _) => Photometric::Monochrome2,
                (_, true) => Photometric::YbrFull,
                (_, false) => Photometric::Rgb,
            },
        }
    }

    /// Where in the file's frame each sample of the codec's order is, in samples.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let samples = usize::from(self.samples_per_pixel);
        let pixels = self.rows as usize * self.columns as usize;
        let planar = self.planar;
        (0..pixels * samples).map(move |at| match planar {
            true => at % samples * pixels + at / samples,
            false => at,
        })
    }

    fn is_in_order(&self) -> bool {
        !self.planar || self.samples_per_pixel == 1
    }

    /// Fills `out` with what the codec gets of a native frame of the same length.
    pub fn to_samples(self, native: &[u8], out: &mut [u8]) -> Range {
        if self.sample_bytes == 1 {
            match self.is_in_order() {
                true => out.copy_from_slice(native),
                false => self
                    .places()
                    .zip(out.iter_mut())
                    .for_each(|(place, sample)| *sample = native[place]),
            }
            return Range { lowest: 0, bits: 8 };
        }
        let read = match self.big_endian {
            true => u16::from_be_bytes,
            false => u16::from_le_bytes,
        };
        let words = || native.chunks_exact(2).map(|word| read([word[0], word[1]]));
        let lowest = words().min().unwrap_or(0);
        let highest = words().max().unwrap_or(0);
        // As two's complement the range may be narrower: a signed image around zero has both ends of the unsigned one.
        let flip = |word: u16| word ^ 0x8000;
        let signed_lowest = words().map(flip).min().unwrap_or(0);
        let signed_highest = words().map(flip).max().unwrap_or(0);
        let lowest = match signed_highest - signed_lowest < highest - lowest {
            true => flip(signed_lowest),
            false => lowest,
        };
        let mut all = 0;
        if self.is_in_order() {
            for (word, sample) in words().zip(out.chunks_exact_mut(2)) {
                let distance = word.wrapping_sub(lowest);
                all |= distance;
                sample.copy_from_slice(&distance.to_le_bytes());
            }
        } else {
            for (place, sample) in self.places().zip(out.chunks_exact_mut(2)) {
                let word = read([native[place * 2], native[place * 2 + 1]]);
                let distance = word.wrapping_sub(lowest);
                all |= distance;
                sample.copy_from_slice(&distance.to_le_bytes());
            }
        }
        // Below nine bits codecs may take samples for bytes.
        let bits = u8::try_from(16 - all.leading_zeros()).unwrap_or(16).max(9);
        Range { lowest, bits }
    }

    /// Appends the native frame that [`Layout::to_samples`] was given to `out`.
    pub fn to_native(self, samples: &[u8], lowest: u16, out: &mut Vec<u8>) {
        if self.sample_bytes == 1 {
            if self.is_in_order() {
                out.extend_from_slice(samples);
                return;
            }
            let start = out.len();
            out.resize(start + samples.len(), 0);
            for (place, sample) in self.places().zip(samples) {
                out[start + place] = *sample;
            }
            return;
        }
        let write = match self.big_endian {
            true => u16::to_be_bytes,
            false => u16::to_le_bytes,
        };
        let word =
            |sample: &[u8]| write(u16::from_le_bytes([sample[0], sample[1]]).wrapping_add(lowest));
        if self.is_in_order() {
            if lowest == 0 && !self.big_endian {
                out.extend_from_slice(samples);
            } else {
                out.extend(samples.chunks_exact(2).flat_map(word));
            }
            return;
        }
        let start = out.len();
        out.resize(start + samples.len(), 0);
        for (place, sample) in self.places().zip(samples.chunks_exact(2)) {
            let at = start + place * 2;
            out[at..at + 2].copy_from_slice(&word(sample));
        }
    }
}
