//! Colour spaces of samples (PS3.3 §C.7.6.3.1.2).

use crate::{Colour, FrameFormat, Photometric};

/// The format with interleaved samples, each given.
pub(crate) fn interleaved(format: &FrameFormat) -> FrameFormat {
    FrameFormat {
        planar: false,
        photometric: match format.photometric {
            Photometric::YbrFull422 => Photometric::YbrFull,
            photometric => photometric,
        },
        ..*format
    }
}

/// Turns interleaved YBR_FULL samples into RGB where that is asked for, in place, and gives the format of what is there
/// then. `format` may say YBR_FULL_422 where a codec gave every sample: such samples are YBR_FULL.
pub(crate) fn finish(samples: &mut [u8], format: &FrameFormat, colour: Colour) -> FrameFormat {
    let mut format = interleaved(format);
    if colour == Colour::Rgb
        && format.photometric == Photometric::YbrFull
        && ybr_full_to_rgb(samples, &format)
    {
        format.photometric = Photometric::Rgb;
    }
    format
}

/// Turns interleaved YBR_FULL samples of 8 or 16 bits into RGB, in place. False if they are of another size.
pub fn ybr_full_to_rgb(samples: &mut [u8], format: &FrameFormat) -> bool {
    if format.samples_per_pixel != 3 {
        return false;
    }
    match format.bits_allocated {
        8 if format.bits_stored == 8 => {
            for pixel in samples.chunks_exact_mut(3) {
                pixel.copy_from_slice(&rgb_of_full([pixel[0], pixel[1], pixel[2]]));
            }
        }
        8 | 16 => wide_to_rgb(samples, format),
        _ => return false,
    }
    true
}

/// Twenty binary places: the error is far below what separates any two results.
const PLACES: u32 = 20;
const HALF: i32 = 1 << (PLACES - 1);

/// The inverse of the transform of PS3.3 §C.7.6.3.1.2, rounded to the nearest.
#[inline]
pub(crate) fn rgb_of_full([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let y = (i32::from(y) << PLACES) + HALF;
    from_differences(y, i32::from(cb) - 128, i32::from(cr) - 128)
}

/// `y` in fixed point, rounding included.
#[inline]
fn from_differences(y: i32, cb: i32, cr: i32) -> [u8; 3] {
    [
        clamp(y + RED_OF_CR * cr),
        clamp(y - GREEN_OF_CB * cb - GREEN_OF_CR * cr),
        clamp(y + BLUE_OF_CB * cb),
    ]
}

// 2 (1 - 0.299), 2 (1 - 0.114), and what they take from green: 0.114 · 1.772 / 0.587, 0.299 · 1.402 / 0.587.
const RED_OF_CR: i32 = fixed(1.402);
const BLUE_OF_CB: i32 = fixed(1.772);
const GREEN_OF_CB: i32 = fixed(0.114 * 1.772 / 0.587);
const GREEN_OF_CR: i32 = fixed(0.299 * 1.402 / 0.587);

#[allow(clippy::cast_possible_truncation)] // below 2^21
const fn fixed(value: f64) -> i32 {
    (value * (1 << PLACES) as f64 + 0.5) as i32
}

#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
fn clamp(fixed: i32) -> u8 {
    (fixed >> PLACES).clamp(0, 255) as u8
}

/// Partial range: Y is 16 to 235, the differences are 16 to 240 (ITU-R BT.601).
#[inline]
pub(crate) fn full_of_partial([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let chroma =
        |value: u8| clamp((i32::from(value) - 128) * fixed(255.0 / 224.0) + (128 << PLACES) + HALF);
    let y = (i32::from(y) - 16) * fixed(255.0 / 219.0) + HALF;
    [clamp(y), chroma(cb), chroma(cr)]
}

/// The same as [`full_of_partial`] and [`rgb_of_full`], with one rounding.
#[inline]
pub(crate) fn rgb_of_partial([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let y = (i32::from(y) - 16) * fixed(255.0 / 219.0) + HALF;
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    let part = |coefficient: f64| fixed(coefficient * 255.0 / 224.0);
    [
        clamp(y + part(1.402) * cr),
        clamp(y - part(0.114 * 1.772 / 0.587) * cb - part(0.299 * 1.402 / 0.587) * cr),
        clamp(y + part(1.772) * cb),
    ]
}

/// Samples of more than 8 bits: differences are counted from half of the range of Bits Stored.
fn wide_to_rgb(samples: &mut [u8], format: &FrameFormat) {
    let width = usize::from(format.bits_allocated / 8);
    let bits = u32::from(format.bits_stored.clamp(1, format.bits_allocated));
    let (middle, most) = (1i64 << (bits - 1), (1i64 << bits) - 1);
    for pixel in samples.chunks_exact_mut(3 * width) {
        let read = |index: usize| match width {
            1 => i64::from(pixel[index]),
            _ => i64::from(u16::from_le_bytes([pixel[2 * index], pixel[2 * index + 1]])),
        };
        let y = (read(0) << PLACES) + i64::from(HALF);
        let (cb, cr) = (read(1) - middle, read(2) - middle);
        let rgb = [
            y + i64::from(RED_OF_CR) * cr,
            y - i64::from(GREEN_OF_CB) * cb - i64::from(GREEN_OF_CR) * cr,
            y + i64::from(BLUE_OF_CB) * cb,
        ];
        for (place, value) in pixel.chunks_exact_mut(width).zip(rgb) {
            let value = (value >> PLACES).clamp(0, most).to_le_bytes();
            place.copy_from_slice(&value[..width]);
        }
    }
}
