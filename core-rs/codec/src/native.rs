//! Native pixel data (PS3.5 §8.1): samples as they are, in one order.

use crate::{CodecError, FrameFormat};

/// Writes the samples of a native frame into `out`, interleaved.
///
/// # Errors
///
/// [`CodecError::Mismatch`] if there are not as many bytes as the format says.
pub fn interleave(
    native: &[u8],
    format: &FrameFormat,
    out: &mut [u8],
) -> Result<FrameFormat, CodecError> {
    let expected = format.native_bits()?.div_ceil(8);
    let (Ok(length), true) = (usize::try_from(expected), native.len() as u64 >= expected) else {
        return Err(CodecError::Mismatch {
            what: "bytes of a frame",
            expected,
            found: native.len() as u64,
        });
    };
    let samples = usize::from(format.samples_per_pixel);
    let width = usize::from(format.bits_allocated / 8);
    if !format.planar || samples == 1 || width == 0 {
        out[..length].copy_from_slice(&native[..length]);
    } else {
        let plane = length / samples;
        for (index, pixel) in out[..length].chunks_exact_mut(width * samples).enumerate() {
            for (sample, place) in pixel.chunks_exact_mut(width).enumerate() {
                let at = sample * plane + index * width;
                place.copy_from_slice(&native[at..at + width]);
            }
        }
    }
    Ok(FrameFormat {
        planar: false,
        ..*format
    })
}
