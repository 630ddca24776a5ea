//! Native pixel data (PS3.5 §8.1): samples as they are, in one order.
//!
//! Who turns Explicit VR Big Endian: [`crate::Lease::decode`] turns samples of more than 8 bits. Whether samples
//! of up to 8 bits are turned depends on the VR that only the reader knows: in OW they stand in 16-bit words whose
//! bytes are swapped, in OB they do not. The reader swaps them by [`swap_words`] before it decodes.

use std::borrow::Cow;

use crate::colour::{finish, full_of_partial, rgb_of_full, rgb_of_partial};
use crate::{CodecError, Colour, FrameFormat, Photometric, Sample};

/// Writes the samples of a native frame into `out`: interleaved, little endian, every sample given.
/// Bytes beyond the frame are padding. YBR_PARTIAL_422 and YBR_PARTIAL_420 become YBR_FULL even as stored,
/// because no Photometric Interpretation says partial range with every sample given.
///
/// # Errors
///
/// [`CodecError::Mismatch`] if there are fewer bytes than the format says, [`CodecError::Unsupported`] if samples are
/// not of 1, 8, 16, 32 or 64 bits, or subsampled and not of 8.
pub(crate) fn decode(
    native: &[u8],
    format: &FrameFormat,
    colour: Colour,
    big_endian: bool,
    out: &mut [u8],
) -> Result<FrameFormat, CodecError> {
    let width = sample_bytes(format)?;
    let full = checked_length(format.frame_bytes()?, out.len())?;
    let stored = bytes_of(format.native_bits()?)?;
    // Some writers say 4:2:2 and give every sample.
    if stored < full && native.len() < full {
        return subsampled(
            with_length(native, stored)?,
            format,
            colour,
            &mut out[..full],
        );
    }
    let native = with_length(native, full)?;
    let native = match width {
        2.. if big_endian => Cow::Owned(reversed(native, format, width)),
        _ => Cow::Borrowed(native),
    };
    let out = &mut out[..full];
    let samples = usize::from(format.samples_per_pixel);
    if format.planar && samples > 1 && format.bits_allocated >= 8 {
        interleave(&native, samples, width, out);
    } else {
        out.copy_from_slice(&native);
    }
    Ok(finish(out, format, colour))
}

/// Whether samples come in Explicit VR Big Endian (PS3.5 §A.3). Padding is allowed.
pub(crate) fn is_big_endian(transfer_syntax_uid: &str) -> bool {
    transfer_syntax_uid.trim_end_matches(['\0', ' ']) == "1.2.840.10008.1.2.2"
}

/// Swaps the bytes of each 16-bit word: what 8-bit and 1-bit samples in OW of Explicit VR Big Endian need (PS3.5 §7.3).
pub fn swap_words(bytes: &mut [u8]) {
    for word in bytes.chunks_exact_mut(2) {
        word.swap(0, 1);
    }
}

/// Moves a frame of one-bit pixels to the beginning of its first byte: `first_bit` of it, counted from the
/// least significant, is the first pixel (PS3.5 §8.1.1). What is behind the frame's last pixel stays undefined.
pub fn align_bits(frame: &mut [u8], first_bit: u8) {
    let shift = u32::from(first_bit % 8);
    if shift == 0 {
        return;
    }
    for index in 0..frame.len() {
        let next = frame.get(index + 1).map_or(0, |next| u16::from(*next));
        let both = u16::from(frame[index]) | next << 8;
        frame[index] = (both >> shift).to_le_bytes()[0];
    }
}

/// Interleaved samples as one plane of each, `width` bytes a sample.
pub fn separate(interleaved: &[u8], samples: usize, width: usize, planes: &mut [u8]) {
    let plane = planes.len() / samples;
    for (sample, plane) in planes.chunks_exact_mut(plane.max(1)).enumerate() {
        let pixels = interleaved.chunks_exact(samples * width);
        for (place, pixel) in plane.chunks_exact_mut(width).zip(pixels) {
            place.copy_from_slice(&pixel[sample * width..][..width]);
        }
    }
}

/// One plane of each sample as interleaved samples, `width` bytes a sample.
pub fn interleave(planes: &[u8], samples: usize, width: usize, out: &mut [u8]) {
    let plane = planes.len() / samples;
    if (samples, width) == (3, 1) {
        let (red, rest) = planes.split_at(plane);
        let (green, blue) = rest.split_at(plane);
        let colours = red.iter().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in out.chunks_exact_mut(3).zip(colours) {
            pixel.copy_from_slice(&[*red, *green, *blue]);
        }
        return;
    }
    for (sample, plane) in planes.chunks_exact(plane.max(1)).enumerate() {
        let pixels = out.chunks_exact_mut(samples * width);
        for (value, pixel) in plane.chunks_exact(width).zip(pixels) {
            pixel[sample * width..][..width].copy_from_slice(value);
        }
    }
}

/// Bytes of a sample; 1 for one-bit samples, which are copied as the bytes that they are packed in.
pub(crate) fn sample_bytes(format: &FrameFormat) -> Result<usize, CodecError> {
    match (format.sample, format.bits_allocated) {
        (Sample::Float, 32) => Ok(4),
        (Sample::Float, 64) => Ok(8),
        (Sample::Float, _) => Err(unsupported(format)),
        (_, 1 | 8) => Ok(1),
        (_, 16) => Ok(2),
        (_, 32) => Ok(4),
        (_, 64) => Ok(8),
        _ => Err(unsupported(format)),
    }
}

fn unsupported(format: &FrameFormat) -> CodecError {
    CodecError::Unsupported {
        what: format!(
            "{} samples of {} bits in {}",
            format.samples_per_pixel,
            format.bits_allocated,
            format.photometric.name()
        ),
    }
}

/// `length` as memory has it, if a buffer of `room` bytes holds it.
pub(crate) fn checked_length(length: u64, room: usize) -> Result<usize, CodecError> {
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= room)
        .ok_or(CodecError::Limit {
            what: "bytes of a frame",
            found: length,
            limit: room as u64,
        })
}

fn bytes_of(bits: u64) -> Result<usize, CodecError> {
    checked_length(bits.div_ceil(8), usize::MAX)
}

fn with_length(native: &[u8], length: usize) -> Result<&[u8], CodecError> {
    native.get(..length).ok_or(CodecError::Mismatch {
        what: "bytes of a frame",
        expected: length as u64,
        found: native.len() as u64,
    })
}

/// Samples of big endian data. Integers stand in 16-bit words, the least significant first (PS3.5 §8.1.1), and only
/// the words are big endian; floating point values are big endian as a whole (PS3.5 §6.2, OF and OD).
fn reversed(native: &[u8], format: &FrameFormat, width: usize) -> Vec<u8> {
    let mut samples = native.to_vec();
    let unit = if format.sample == Sample::Float {
        width
    } else {
        2
    };
    for sample in samples.chunks_exact_mut(unit) {
        sample.reverse();
    }
    samples
}

/// Gives every pixel its own differences: two or four pixels in a row have the same (PS3.3 §C.7.6.3.1.2).
fn subsampled(
    native: &[u8],
    format: &FrameFormat,
    colour: Colour,
    out: &mut [u8],
) -> Result<FrameFormat, CodecError> {
    if format.bits_allocated != 8 || format.samples_per_pixel != 3 {
        return Err(unsupported(format));
    }
    let rgb = colour == Colour::Rgb;
    match (format.photometric, rgb) {
        (Photometric::YbrFull422, true) => expand_422(native, out, rgb_of_full),
        (Photometric::YbrFull422, false) => expand_422(native, out, |pixel| pixel),
        (Photometric::YbrPartial422, true) => expand_422(native, out, rgb_of_partial),
        (Photometric::YbrPartial422, false) => expand_422(native, out, full_of_partial),
        (Photometric::YbrPartial420, true) => expand_420(native, format, out, rgb_of_partial),
        (Photometric::YbrPartial420, false) => expand_420(native, format, out, full_of_partial),
        _ => return Err(unsupported(format)),
    }
    Ok(FrameFormat {
        planar: false,
        photometric: if rgb {
            Photometric::Rgb
        } else {
            Photometric::YbrFull
        },
        ..*format
    })
}

/// Groups of two pixels: Y Y CB CR.
fn expand_422(native: &[u8], out: &mut [u8], convert: impl Fn([u8; 3]) -> [u8; 3]) {
    for (group, pixels) in native.chunks_exact(4).zip(out.chunks_mut(6)) {
        let [first, second, cb, cr] = [group[0], group[1], group[2], group[3]];
        pixels[..3].copy_from_slice(&convert([first, cb, cr]));
        if let Some(pixel) = pixels.get_mut(3..6) {
            pixel.copy_from_slice(&convert([second, cb, cr]));
        }
    }
    // An odd number of pixels is against the standard; the last one then has its Y and CB only.
    if let ([y, cb, ..], [.., a, b, c]) = (native.chunks_exact(4).remainder(), out) {
        [*a, *b, *c] = convert([*y, *cb, 128]);
    }
}

/// Groups of four pixels in a square: Y Y of a row, Y Y of the next, CB CR.
fn expand_420(
    native: &[u8],
    format: &FrameFormat,
    out: &mut [u8],
    convert: impl Fn([u8; 3]) -> [u8; 3],
) {
    let columns = format.columns as usize;
    let groups = native
        .chunks_exact(6)
        .chain(std::iter::once(&[128; 6][..]).cycle());
    let mut groups = groups.into_iter();
    for rows in out.chunks_mut(2 * 3 * columns) {
        for column in (0..columns).step_by(2) {
            let group = groups.next().unwrap_or(&[128; 6]);
            for (index, y) in group[..4].iter().enumerate() {
                let (row, column) = (index / 2, column + index % 2);
                let at = 3 * (row * columns + column);
                if let (true, Some(pixel)) = (column < columns, rows.get_mut(at..at + 3)) {
                    pixel.copy_from_slice(&convert([*y, group[4], group[5]]));
                }
            }
        }
    }
}
