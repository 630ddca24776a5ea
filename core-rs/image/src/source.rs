//! Pictures in files of other kinds, of which DICOM images are made.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};
use vna_codec::{CodecError, FrameFormat, Photometric, Sample};

/// A picture as the pixel data of an image has it: samples in little endian, interleaved, without padding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceImage {
    /// What the samples are.
    pub format: FrameFormat,
    /// The samples.
    pub samples: Vec<u8>,
    /// How many pictures the file has: these are the samples of the first.
    pub pictures: u32,
}

/// What the reader of PNG may take for itself beside the picture: rows in work and the pieces of a palette or a text.
const READER_BYTES: usize = 64 << 20;

/// Reads a PNG file.
///
/// Palettes and fewer than 8 bits become samples of 8 bits; what is transparent is shown as if it were not, as DICOM has
/// no transparency in images that are stored (PS3.3 §C.7.6.3.1.2, ARGB is retired).
///
/// # Errors
///
/// [`CodecError::Corrupt`] if it is no PNG, is cut off or damaged, [`CodecError::Limit`] if it is more than `max_bytes`
/// of samples, which is known before memory is taken for them.
pub fn read_png(bytes: &[u8], max_bytes: u64) -> Result<SourceImage, CodecError> {
    let limits = Limits {
        bytes: READER_BYTES,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let (rows, columns) = (reader.info().height, reader.info().width);
    let animation = reader.info().animation_control;
    let pictures = animation.map_or(1, |animation| animation.num_frames);
    let (colour, depth) = reader.output_color_type();
    let bits: u16 = if depth == BitDepth::Sixteen { 16 } else { 8 };
    let (channels, samples_per_pixel) = match colour {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (2, 1),
        ColorType::Rgb | ColorType::Indexed => (3, 3),
        ColorType::Rgba => (4, 3),
    };
    let format = FrameFormat {
        rows,
        columns,
        samples_per_pixel,
        bits_allocated: bits,
        bits_stored: bits,
        sample: Sample::Unsigned,
        planar: false,
        photometric: match samples_per_pixel {
            1 => Photometric::Monochrome2,
            _ => Photometric::Rgb,
        },
    };
    let limit = |found| CodecError::Limit {
        what: "bytes of a frame",
        found,
        limit: max_bytes,
    };
    let length = reader.output_buffer_size().unwrap_or(usize::MAX);
    let wanted = (length as u64).max(format.frame_bytes()?);
    if wanted > max_bytes {
        return Err(limit(wanted));
    }
    let mut samples = vec![0; length];
    reader.next_frame(&mut samples).map_err(corrupt)?;
    let width = usize::from(bits / 8);
    drop_alpha(
        &mut samples,
        channels * width,
        usize::from(samples_per_pixel) * width,
    );
    if width == 2 {
        for pair in samples.chunks_exact_mut(2) {
            pair.swap(0, 1); // PNG is big endian
        }
    }
    Ok(SourceImage {
        format,
        samples,
        pictures,
    })
}

/// Keeps the first `kept` of `pixel` bytes of each pixel.
fn drop_alpha(samples: &mut Vec<u8>, pixel: usize, kept: usize) {
    if pixel == kept {
        return;
    }
    let count = samples.len() / pixel;
    for index in 0..count {
        samples.copy_within(index * pixel..index * pixel + kept, index * kept);
    }
    samples.truncate(count * kept);
}

fn corrupt(error: DecodingError) -> CodecError {
    CodecError::Corrupt {
        codec: "PNG",
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use png::Encoder;

    fn png(colour: ColorType, depth: BitDepth, columns: u32, rows: u32, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, columns, rows);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == ColorType::Indexed {
            encoder.set_palette(vec![1, 2, 3, 250, 251, 252]);
        }
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(data).expect("data");
        writer.finish().expect("the end");
        out
    }

    #[test]
    fn every_kind_of_png_becomes_gray_or_rgb() {
        use BitDepth::{Eight, One, Sixteen};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        for (file, samples_per_pixel, bits, expected) in [
            (png(Grayscale, Eight, 2, 1, &[7, 9]), 1, 8, vec![7, 9]),
            (
                png(Grayscale, One, 2, 1, &[0b0100_0000]),
                1,
                8,
                vec![0, 255],
            ),
            (
                png(Grayscale, Sixteen, 1, 2, &[1, 2, 3, 4]),
                1,
                16,
                vec![2, 1, 4, 3],
            ),
            (
                png(GrayscaleAlpha, Eight, 2, 1, &[7, 0, 9, 255]),
                1,
                8,
                vec![7, 9],
            ),
            (
                png(Indexed, One, 2, 1, &[0b0100_0000]),
                3,
                8,
                vec![1, 2, 3, 250, 251, 252],
            ),
            (png(Rgb, Eight, 1, 1, &[1, 2, 3]), 3, 8, vec![1, 2, 3]),
            (
                png(Rgba, Eight, 1, 2, &[1, 2, 3, 0, 5, 6, 7, 9]),
                3,
                8,
                vec![1, 2, 3, 5, 6, 7],
            ),
            (
                png(Rgba, Sixteen, 1, 1, &[0, 1, 0, 2, 0, 3, 9, 9]),
                3,
                16,
                vec![1, 0, 2, 0, 3, 0],
            ),
        ] {
            let read = read_png(&file, 1 << 20).expect("is one");
            assert_eq!(read.format.samples_per_pixel, samples_per_pixel);
            assert_eq!(read.format.bits_allocated, bits);
            assert_eq!(read.samples, expected);
            assert_eq!(read.format.frame_bytes(), Ok(read.samples.len() as u64));
        }
    }

    #[test]
    fn damaged_and_cut_off_files_are_refused() {
        let whole = png(ColorType::Rgb, BitDepth::Eight, 3, 2, &[5; 18]);
        for end in 0..whole.len() - 12 {
            assert!(read_png(&whole[..end], 1 << 20).is_err(), "{end} bytes");
        }
        for at in 0..whole.len() - 12 {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let _ = read_png(&damaged, 1 << 20); // whatever it is, it ends
        }
    }

    #[test]
    fn a_size_that_is_claimed_takes_no_memory_beyond_the_limit() {
        let mut file = png(ColorType::Grayscale, BitDepth::Eight, 3, 2, &[5; 6]);
        file[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
        let crc = crc32(&file[12..29]);
        file[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = read_png(&file, 1 << 20).expect_err("too large");
        assert!(
            ["codec.limit", "codec.corrupt"].contains(&error.code()),
            "{error}"
        );
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
