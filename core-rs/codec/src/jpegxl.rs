//! JPEG XL (ISO/IEC 18181-1; PS3.5 §8.2.15, §A.4.13), decoded: lossless, recompressed JPEG, and anything else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jxl_oxide::image::BitDepth;
use jxl_oxide::{AllocTracker, JxlImage, JxlThreadPool, Render};

use crate::native::checked_length;
use crate::widen::extend_sign;
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat, Photometric, Sample};

/// 1.2.840.10008.1.2.4.110 to 1.2.840.10008.1.2.4.112: the codestream tells which way it is coded.
pub(crate) struct JpegXl;

const NAME: &str = "JPEG XL";

/// Samples pass through floating point of 32 bits, as parts of the range: so many bits come back exactly.
const MAX_PRECISION: u16 = 20;

impl FrameCodec for JpegXl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encodes(&self) -> bool {
        false
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        _colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        if format.sample == Sample::Float || !matches!(format.bits_allocated, 8 | 16 | 32) {
            return Err(unsupported(format!(
                "JPEG XL of {:?} samples of {} bits",
                format.sample, format.bits_allocated
            )));
        }
        let length = checked_length(format.frame_bytes()?, out.len())?;
        let out = &mut out[..length];
        let limit = usize::try_from(self.work_bytes(format)).unwrap_or(usize::MAX);
        // It is Rust without unsafe code of its own, and says "impossible" by a panic.
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            decode_frame(codestream, format, limit, out)
        }));
        let precision = decoded.unwrap_or_else(|_| Err(corrupt("the decoder panicked")))?;
        if format.sample == Sample::Signed {
            // The format knows no sign: the bits are what the data set says.
            extend_sign(out, usize::from(format.bits_allocated / 8), precision);
        }
        Ok(FrameFormat {
            planar: false,
            bits_stored: format.bits_stored.max(precision),
            photometric: match format.samples_per_pixel {
                1 => format.photometric,
                _ => Photometric::Rgb, // the decoder gives it, whatever the codestream has
            },
            ..*format
        })
    }

    fn encode(
        &self,
        _samples: &[u8],
        _format: &FrameFormat,
        _options: &EncodeOptions,
        _out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        Err(unsupported("encoding JPEG XL".into()))
    }

    /// Several planes of numbers of 32 bits, for groups and their filters.
    fn work_bytes(&self, format: &FrameFormat) -> u64 {
        let pixels = u64::from(format.rows) * u64::from(format.columns);
        pixels.saturating_mul(3 * 20).saturating_add(64 << 20)
    }
}

/// Decodes the one frame of `codestream`; gives the bits of its samples.
fn decode_frame(
    codestream: &[u8],
    format: &FrameFormat,
    limit: usize,
    out: &mut [u8],
) -> Result<u16, CodecError> {
    let image = JxlImage::builder()
        .pool(JxlThreadPool::none())
        .alloc_tracker(AllocTracker::with_limit(limit))
        .read(codestream)
        .map_err(|error| corrupt(error.to_string()))?;
    same("rows", format.rows.into(), image.height().into())?;
    same("columns", format.columns.into(), image.width().into())?;
    let channels = image.pixel_format().channels() - usize::from(image.pixel_format().has_alpha());
    same(
        "samples of a pixel",
        format.samples_per_pixel.into(),
        channels as u64,
    )?;
    let precision = match image.image_header().metadata.bit_depth {
        BitDepth::IntegerSample { bits_per_sample } => u16::try_from(bits_per_sample),
        BitDepth::FloatSample { .. } => {
            return Err(unsupported("JPEG XL of floating point".into()));
        }
    };
    let precision = precision.unwrap_or(u16::MAX);
    if precision > format.bits_allocated {
        same(
            "bits of a sample",
            format.bits_allocated.into(),
            precision.into(),
        )?;
    }
    if precision > MAX_PRECISION {
        return Err(unsupported(format!("JPEG XL of {precision} bits a sample")));
    }
    if !image.is_loading_done() {
        return Err(corrupt("it ends too early"));
    }
    same("frames", 1, image.num_loaded_keyframes() as u64)?;
    let render = image.render_frame(0);
    let render = render.map_err(|error| corrupt(error.to_string()))?;
    match format.bits_allocated {
        8 => write_samples::<1>(&render, precision, format, out)?,
        16 => write_samples::<2>(&render, precision, format, out)?,
        _ => write_samples::<4>(&render, precision, format, out)?,
    }
    Ok(precision)
}

fn write_samples<const WIDTH: usize>(
    render: &Render,
    precision: u16,
    format: &FrameFormat,
    out: &mut [u8],
) -> Result<(), CodecError> {
    let mut stream = render.stream_no_alpha();
    same("columns", format.columns.into(), stream.width().into())?;
    same("rows", format.rows.into(), stream.height().into())?;
    same(
        "samples of a pixel",
        format.samples_per_pixel.into(),
        stream.channels().into(),
    )?;
    let most = f64::from((1u32 << precision) - 1);
    let mut line = vec![0f32; format.columns as usize * usize::from(format.samples_per_pixel)];
    for row in out.chunks_exact_mut(line.len() * WIDTH) {
        let written = stream.write_to_buffer(&mut line);
        same("samples of a row", line.len() as u64, written as u64)?;
        for (place, sample) in row.chunks_exact_mut(WIDTH).zip(&line) {
            let sample = (f64::from(*sample) * most + 0.5).clamp(0.0, most);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // clamped; no number becomes 0
            let sample = sample as u32;
            place.copy_from_slice(&sample.to_le_bytes()[..WIDTH]);
        }
    }
    Ok(())
}

fn same(what: &'static str, expected: u64, found: u64) -> Result<(), CodecError> {
    if expected != found {
        return Err(CodecError::Mismatch {
            what,
            expected,
            found,
        });
    }
    Ok(())
}

fn corrupt(reason: impl Into<String>) -> CodecError {
    CodecError::Corrupt {
        codec: NAME,
        reason: reason.into(),
    }
}

fn unsupported(what: String) -> CodecError {
    CodecError::Unsupported { what }
}
