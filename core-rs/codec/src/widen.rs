//! Samples between the words of Bits Allocated and the bytes or 16-bit words that libraries work on.

use std::borrow::Cow;

use crate::{CodecError, FrameFormat, Sample};

/// Lets `decode` write samples of `width` bytes and makes them samples of `allocated` bytes, in place: they are written
/// at the end of `out` and move to its beginning.
pub(crate) fn widen(
    out: &mut [u8],
    width: usize,
    allocated: usize,
    decode: impl FnOnce(&mut [u8]) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let samples = out.len() / allocated;
    let start = out.len() - samples * width;
    decode(&mut out[start..])?;
    if start == 0 {
        return Ok(());
    }
    // What is read is never before what is written: the distance shrinks to nothing at the last sample.
    for index in 0..samples {
        let mut wide = [0; 8];
        let from = start + index * width;
        wide[..width].copy_from_slice(&out[from..from + width]);
        out[index * allocated..][..allocated].copy_from_slice(&wide[..allocated]);
    }
    Ok(())
}

/// Gives `decode` memory that is aligned for words of `width` bytes: `samples` itself, or a copy of what was written.
pub(crate) fn with_words(
    samples: &mut [u8],
    width: usize,
    decode: impl FnOnce(&mut [u8]) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    if width == 1 || samples.as_ptr().cast::<u16>().is_aligned() {
        return decode(samples);
    }
    let mut words = vec![0; samples.len() + 1];
    let start = usize::from(!words.as_ptr().cast::<u16>().is_aligned());
    let words = &mut words[start..][..samples.len()];
    decode(words)?;
    samples.copy_from_slice(words);
    Ok(())
}

/// Makes the sign of values in two's complement of `bits` that of all their bytes.
pub(crate) fn extend_sign(samples: &mut [u8], allocated: usize, bits: u16) {
    let unused = (8 * allocated).saturating_sub(bits.into());
    if unused == 0 {
        return;
    }
    match allocated {
        1 => {
            for sample in samples {
                *sample = ((*sample << unused) as i8 >> unused) as u8;
            }
        }
        2 => {
            for sample in samples.chunks_exact_mut(2) {
                let value = i16::from_le_bytes([sample[0], sample[1]]);
                sample.copy_from_slice(&((value << unused) >> unused).to_le_bytes());
            }
        }
        _ => {
            for sample in samples.chunks_exact_mut(4) {
                let value = i32::from_le_bytes([sample[0], sample[1], sample[2], sample[3]]);
                sample.copy_from_slice(&((value << unused) >> unused).to_le_bytes());
            }
        }
    }
}

/// Whether all samples, of 8 or 16 bits allocated, are values of Bits Stored with nothing in the bits beyond but their
/// sign.
pub(crate) fn fits_bits(samples: &[u8], format: &FrameFormat) -> bool {
    let Some(unused) = format.bits_allocated.checked_sub(format.bits_stored) else {
        return true;
    };
    let signed = format.sample == Sample::Signed;
    // Of a signed value that fits, the bits from the sign on are equal: such bits are zero in the value xor its sign.
    if format.bits_allocated == 8 {
        let any = samples.iter().fold(0, |any, sample| {
            let sign = if signed {
                (*sample as i8 >> 7) as u8
            } else {
                0
            };
            any | (sample ^ sign)
        });
        return u16::from(any) >> (8 - unused - u16::from(signed)) == 0;
    }
    let any = samples.chunks_exact(2).fold(0, |any, sample| {
        let value = u16::from_le_bytes([sample[0], sample[1]]);
        let sign = if signed {
            (value as i16 >> 15) as u16
        } else {
            0
        };
        any | (value ^ sign)
    });
    u32::from(any) >> (16 - unused - u16::from(signed)) == 0
}

/// Samples of `allocated` bytes as words of `width` bytes with `bits` bits, aligned for them. Copies only if it must.
pub(crate) fn narrow(samples: &[u8], allocated: usize, width: usize, bits: u16) -> Narrowed<'_> {
    let bits = u32::from(bits);
    if width == 1 {
        let mask = u8::MAX >> (8 - bits.clamp(1, 8));
        let unchanged =
            allocated == 1 && samples.iter().fold(0, |any, sample| any | sample) & !mask == 0;
        return Narrowed(
            if unchanged {
                Cow::Borrowed(samples)
            } else {
                let masked = samples
                    .chunks_exact(allocated)
                    .map(|sample| sample[0] & mask);
                Cow::Owned(masked.collect())
            },
            0,
        );
    }
    let mask = u16::MAX >> (16 - bits.clamp(1, 16));
    let word = |sample: &[u8]| match *sample {
        [low] => u16::from(low),
        [low, high, ..] => u16::from_le_bytes([low, high]),
        [] => 0,
    };
    let aligned = samples.as_ptr().cast::<u16>().is_aligned();
    let any = || {
        samples
            .chunks_exact(2)
            .fold(0, |any, sample| any | word(sample))
    };
    if allocated == 2 && aligned && any() & !mask == 0 {
        return Narrowed(Cow::Borrowed(samples), 0);
    }
    let count = samples.len() / allocated;
    let mut words = vec![0; 2 * count + 1];
    let start = usize::from(!words.as_ptr().cast::<u16>().is_aligned());
    for (place, sample) in words[start..]
        .chunks_exact_mut(2)
        .zip(samples.chunks_exact(allocated))
    {
        place.copy_from_slice(&(word(sample) & mask).to_le_bytes());
    }
    words.truncate(start + 2 * count);
    Narrowed(Cow::Owned(words), start)
}

/// See [`narrow`].
pub(crate) struct Narrowed<'a>(Cow<'a, [u8]>, usize);

impl std::ops::Deref for Narrowed<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[self.1..]
    }
}
