//! Pixels of three samples as RGB of 8 bits (PS3.3 §C.7.6.3.1.2).

use vna_codec::{Decoded, Photometric};

use crate::ImageError;
use crate::samples::Samples;

/// The pixels of a decoded colour frame as RGB of 8 bits; of more bits the upper ones.
pub(crate) fn rgb8(decoded: &Decoded<'_>, samples: &Samples<'_>) -> Result<Vec<u8>, ImageError> {
    let format = &decoded.format;
    let mut pixels = if format.bits_allocated == 8 && samples.bits() == 8 {
        decoded.samples[..samples.len()].to_vec()
    } else {
        let bits = i32::try_from(samples.bits()).unwrap_or(64);
        // Colours have no sign; where a header says so, it is the words that count (PS3.3 §C.7.6.3.1.2).
        let whole = 2f64.powi(bits);
        let factor = if bits >= 8 {
            256.0 / whole
        } else {
            255.0 / (whole - 1.0)
        };
        samples.map(|value| {
            let value = if value < 0.0 { value + whole } else { value };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float beyond the type becomes its end"
            )]
            let byte = (value * factor) as u8;
            byte
        })
    };
    if format.samples_per_pixel == 4 {
        let pixels4 = pixels.chunks_exact(4);
        pixels = pixels4
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect();
    }
    match format.photometric {
        // The irreversible transform of JPEG 2000 is the one of JPEG.
        Photometric::YbrFull | Photometric::YbrFull422 | Photometric::YbrIct => {
            pixels.chunks_exact_mut(3).for_each(from_ybr_full);
        }
        Photometric::YbrPartial422 | Photometric::YbrPartial420 => {
            pixels.chunks_exact_mut(3).for_each(from_ybr_partial);
        }
        _ => {}
    }
    Ok(pixels)
}

/// Bits behind the point of the factors below.
const POINT: u32 = 16;
const HALF: i32 = 1 << (POINT - 1);

/// A factor, given in millionths, with its bits behind the point.
#[allow(clippy::cast_possible_truncation, reason = "below 3")]
const fn factor(millionths: i64) -> i32 {
    ((millionths * (1 << POINT) + 500_000) / 1_000_000) as i32
}

fn byte(fixed: i32) -> u8 {
    u8::try_from(((fixed + HALF) >> POINT).clamp(0, 255)).unwrap_or(0)
}

/// YBR_FULL: luminance and differences of 0 to 255.
fn from_ybr_full(pixel: &mut [u8]) {
    let [y, cb, cr] = [0, 1, 2].map(|i| i32::from(pixel[i]));
    let (y, cb, cr) = (y << POINT, cb - 128, cr - 128);
    pixel[0] = byte(y + factor(1_402_000) * cr);
    pixel[1] = byte(y - factor(344_136) * cb - factor(714_136) * cr);
    pixel[2] = byte(y + factor(1_772_000) * cb);
}

/// YBR_PARTIAL: luminance of 16 to 235, differences of 16 to 240.
fn from_ybr_partial(pixel: &mut [u8]) {
    let [y, cb, cr] = [0, 1, 2].map(|i| i32::from(pixel[i]));
    let (y, cb, cr) = ((y - 16) * factor(1_164_384), cb - 128, cr - 128);
    pixel[0] = byte(y + factor(1_596_027) * cr);
    pixel[1] = byte(y - factor(391_762) * cb - factor(812_968) * cr);
    pixel[2] = byte(y + factor(2_017_232) * cb);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ybr_full_becomes_rgb_by_the_formula_of_the_standard() {
        // PS3.3 §C.7.6.3.1.2: Y = .2990R + .5870G + .1140B, CB = -.1687R - .3313G + .5000B + 128, CR = .5R - .4187G - .0813B + 128.
        for y in (0..=255u8).step_by(15) {
            for cb in (0..=255u8).step_by(3) {
                for cr in (0..=255u8).step_by(5) {
                    let mut pixel = [y, cb, cr];
                    from_ybr_full(&mut pixel);
                    let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
                    let wanted = [
                        y + 1.402 * cr,
                        y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587,
                        y + 1.772 * cb,
                    ];
                    for (found, wanted) in pixel.iter().zip(wanted) {
                        let error = (f64::from(*found) - wanted.clamp(0.0, 255.0)).abs();
                        assert!(error <= 0.501, "{y} {cb} {cr}: {found} for {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn ybr_partial_reaches_black_and_white_at_16_and_235() {
        for (ybr, rgb) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([0, 128, 128], [0, 0, 0]),
            ([81, 90, 240], [254, 0, 0]),
        ] {
            let mut pixel = ybr;
            from_ybr_partial(&mut pixel);
            assert_eq!(pixel, rgb, "{ybr:?}");
        }
    }
}
