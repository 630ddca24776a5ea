//! Pixels of three samples as RGB of 8 bits (PS3.3 §C.7.6.3.1.2).

use vna_codec::{Decoded, Photometric, ybr_full_to_rgb};

use crate::ImageError;
use crate::samples::Samples;

/// Calls `take` with the frame as RGB: codecs give that when they are asked to, and what they were not asked for is done here.
pub(crate) fn with_rgb<T>(decoded: &Decoded<'_>, take: impl FnOnce(&Decoded<'_>) -> T) -> T {
    let mut format = decoded.format;
    // The irreversible transform of JPEG 2000 is the transform of YBR_FULL.
    let is_ybr = matches!(
        format.photometric,
        Photometric::YbrFull | Photometric::YbrFull422 | Photometric::YbrIct
    );
    if !is_ybr {
        return take(decoded);
    }
    let mut samples = decoded.samples.to_vec();
    ybr_full_to_rgb(&mut samples, &format);
    format.photometric = Photometric::Rgb;
    let samples = &samples;
    take(&Decoded { samples, format })
}

/// The pixels of a decoded colour frame as RGB of 8 bits; of more bits the upper ones.
pub(crate) fn rgb8(decoded: &Decoded<'_>, high_bit: Option<u32>) -> Result<Vec<u8>, ImageError> {
    with_rgb(decoded, |decoded| {
        let samples = Samples::new(decoded, high_bit)?;
        let pixels = bytes(decoded, &samples);
        Ok(match decoded.format.samples_per_pixel {
            // Of what is behind the three nobody knows what it is.
            4 => {
                let pixels = pixels.chunks_exact(4);
                pixels.flat_map(|p| [p[0], p[1], p[2]]).collect()
            }
            _ => pixels,
        })
    })
}

fn bytes(decoded: &Decoded<'_>, samples: &Samples<'_>) -> Vec<u8> {
    if decoded.format.bits_allocated == 8 && samples.bits() == 8 {
        return decoded.samples[..samples.len()].to_vec();
    }
    let bits = i32::try_from(samples.bits()).unwrap_or(64);
    // Colours have no sign; where a header says so, the words count.
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
}
