//! JPEG (ISO/IEC 10918-1; PS3.5 §A.4.1 to §A.4.3, §8.2.1): lossy by libjpeg-turbo, lossless by our own code.
//!
//! All processes are decoded under each transfer syntax: writers exist that put lossless codestreams under the UID of
//! the baseline, or 8-bit ones under that of 12 bits.

mod alone;
mod ffi;
mod header;
mod lossless;
#[cfg(test)]
mod tests;

use crate::colour::{finish, interleaved};
use crate::native::{checked_length, sample_bytes};
use crate::widen::{extend_sign, fits_bits, narrow, widen, with_words};
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat, Photometric, Sample};
use ffi::{Parameters, colour_space};
use header::Header;
use lossless::{Lossless, Reader};

pub use alone::{JpegFile, jpeg_file};
pub(crate) use header::from_start_of_image;

/// A process of JPEG, as a transfer syntax names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Jpeg {
    /// Process 1: 8 bits, lossy. 1.2.840.10008.1.2.4.50.
    Baseline,
    /// Processes 2 and 4: 8 or 12 bits, lossy. 1.2.840.10008.1.2.4.51.
    Extended,
    /// Processes 6 to 12, retired: only decoded. 1.2.840.10008.1.2.4.53 and 1.2.840.10008.1.2.4.55.
    Progressive,
    /// Process 14, lossless. 1.2.840.10008.1.2.4.57.
    Lossless,
    /// Process 14 with first-order prediction. 1.2.840.10008.1.2.4.70.
    LosslessFirstOrder,
}

fn corrupt(reason: String) -> CodecError {
    CodecError::Corrupt {
        codec: "JPEG",
        reason,
    }
}

impl FrameCodec for Jpeg {
    fn name(&self) -> &'static str {
        "JPEG"
    }

    fn encodes(&self) -> bool {
        *self != Jpeg::Progressive
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        let length = checked_length(format.frame_bytes()?, out.len())?;
        let out = &mut out[..length];
        let header = Header::read(codestream, format.rows)?;
        check(&header, format)?;
        let colours = Colours::new(&header, format, colour);
        let precision = u16::from(header.precision);
        let parameters = Parameters {
            columns: header.columns.into(),
            rows: header.rows.into(),
            components: i32::from(format.samples_per_pixel),
            precision: precision.into(),
            jpeg_colour: colours.jpeg,
            sample_colour: colours.samples,
            memory: library_memory(format),
            scans: i32::try_from(header::MAX_SCANS).unwrap_or(i32::MAX),
            ..Parameters::default()
        };
        let width = if precision > 8 { 2 } else { 1 };
        let allocated = sample_bytes(format)?;
        widen(out, width, allocated, |samples| {
            match Reader::new(&header)? {
                Some(reader) => reader.decode(width, samples),
                None => with_words(samples, width, |samples| {
                    ffi::decode(&header.codestream, &parameters, samples)
                }),
            }
        })?;
        if format.sample == Sample::Signed {
            extend_sign(out, allocated, precision);
        }
        let mut found = FrameFormat {
            photometric: colours.photometric,
            ..*format
        };
        // Lossy values may go beyond Bits Stored; lossless ones have only unused bits there.
        if !header.lossless {
            found.bits_stored = found.bits_stored.max(precision);
        }
        Ok(finish(out, &found, colour))
    }

    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let length = checked_length(format.frame_bytes()?, samples.len())?;
        let samples = &samples[..length];
        match self {
            Jpeg::Baseline | Jpeg::Extended => self.encode_lossy(samples, format, options, out),
            Jpeg::Lossless | Jpeg::LosslessFirstOrder => self.encode_lossless(samples, format, out),
            Jpeg::Progressive => Err(unsupported(format, "progressive JPEG")),
        }
    }

    fn max_encoded_bytes(&self, format: &FrameFormat) -> u64 {
        let padded = FrameFormat {
            rows: format.rows.saturating_add(15),
            columns: format.columns.saturating_add(15),
            ..*format
        };
        // Noise at the best quality doubles: coefficients of 12 bits with codes of 16.
        let bytes = padded.frame_bytes().unwrap_or(u64::MAX / 4);
        bytes.saturating_mul(2).saturating_add(64 << 10)
    }
}

/// The codestream against the data set, before the library allocates anything.
fn check(header: &Header<'_>, format: &FrameFormat) -> Result<(), CodecError> {
    let pairs = [
        ("Rows", format.rows, header.rows.into()),
        ("Columns", format.columns, header.columns.into()),
        (
            "Samples per Pixel",
            format.samples_per_pixel.into(),
            u32::try_from(header.components.len()).unwrap_or(u32::MAX),
        ),
    ];
    for (what, expected, found) in pairs {
        if expected != found {
            return Err(CodecError::Mismatch {
                what,
                expected: expected.into(),
                found: found.into(),
            });
        }
    }
    if u16::from(header.precision) > format.bits_allocated {
        return Err(CodecError::Mismatch {
            what: "Bits Allocated",
            expected: format.bits_allocated.into(),
            found: header.precision.into(),
        });
    }
    if format.sample == Sample::Float {
        return Err(unsupported(format, "JPEG"));
    }
    Ok(())
}

fn unsupported(format: &FrameFormat, what: &str) -> CodecError {
    CodecError::Unsupported {
        what: format!(
            "{} {:?} samples of {} bits in {} as {what}",
            format.samples_per_pixel,
            format.sample,
            format.bits_stored,
            format.photometric.name()
        ),
    }
}

/// What the library may allocate: coefficients or differences of the whole image, and rows to work on.
fn library_memory(format: &FrameFormat) -> i64 {
    let samples =
        u64::from(format.rows) * u64::from(format.columns) * u64::from(format.samples_per_pixel);
    i64::try_from((16 << 20) + samples.saturating_mul(8)).unwrap_or(i64::MAX)
}

/// What the components of a codestream are, and what they become.
struct Colours {
    jpeg: i32,
    samples: i32,
    photometric: Photometric,
}

impl Colours {
    fn new(header: &Header<'_>, format: &FrameFormat, colour: Colour) -> Self {
        let unchanged = |space, photometric| Colours {
            jpeg: space,
            samples: space,
            photometric,
        };
        match header.components.len() {
            3 => match (header.is_ycbcr(format.photometric), header.lossless) {
                (false, _) => unchanged(colour_space::RGB, Photometric::Rgb),
                // The library converts no colours of lossless codestreams: `finish` does.
                (true, true) => unchanged(colour_space::RGB, Photometric::YbrFull),
                (true, false) if colour == Colour::AsStored => {
                    unchanged(colour_space::YCBCR, Photometric::YbrFull)
                }
                (true, false) => Colours {
                    jpeg: colour_space::YCBCR,
                    samples: colour_space::RGB,
                    photometric: Photometric::Rgb,
                },
            },
            4 => unchanged(colour_space::CMYK, format.photometric),
            _ => unchanged(colour_space::GRAYSCALE, format.photometric),
        }
    }
}

impl Jpeg {
    fn encode_lossy(
        self,
        samples: &[u8],
        format: &FrameFormat,
        options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let (parameters, found) = self.lossy(format, options)?;
        let width = if parameters.precision > 8 { 2 } else { 1 };
        // Unused bits must not reach the library, which has tables for the used ones only.
        let samples = narrow(samples, sample_bytes(format)?, width, format.bits_stored);
        let written = ffi::encode(&samples, &parameters, out)?;
        Ok((written, found))
    }

    fn encode_lossless(
        self,
        samples: &[u8],
        format: &FrameFormat,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let found = interleaved(format);
        let lossless = lossless(samples, &found)?;
        let width = if lossless.precision > 8 { 2 } else { 1 };
        let samples = narrow(
            samples,
            sample_bytes(format)?,
            width,
            lossless.precision.into(),
        );
        let written = match self {
            Jpeg::LosslessFirstOrder => lossless.encode(&samples, out)?,
            _ => lossless
                .with_best_predictor(&samples)
                .encode(&samples, out)?,
        };
        Ok((written, found))
    }

    /// How samples are encoded with loss, and what they are then (PS3.5 Table 8.2.1-1).
    fn lossy(
        self,
        format: &FrameFormat,
        options: &EncodeOptions,
    ) -> Result<(Parameters, FrameFormat), CodecError> {
        let precision: u16 = match (self, format.bits_stored) {
            (_, 1..=8) => 8,
            (Jpeg::Extended, 9..=12) => 12,
            _ => return Err(unsupported(format, "lossy JPEG")),
        };
        use Photometric::{Monochrome1, Monochrome2, Rgb, YbrFull, YbrFull422};
        let (sample_colour, jpeg_colour, photometric) =
            match (format.samples_per_pixel, format.photometric) {
                (1, Monochrome1 | Monochrome2) => (
                    colour_space::GRAYSCALE,
                    colour_space::GRAYSCALE,
                    format.photometric,
                ),
                (3, Rgb) => (colour_space::RGB, colour_space::YCBCR, YbrFull422),
                (3, YbrFull | YbrFull422) => (colour_space::YCBCR, colour_space::YCBCR, YbrFull422),
                _ => return Err(unsupported(format, "lossy JPEG")),
            };
        if format.sample != Sample::Unsigned || !matches!(format.bits_allocated, 8 | 16) {
            return Err(unsupported(format, "lossy JPEG"));
        }
        let parameters = Parameters {
            precision: precision.into(),
            quality: options.quality.clamp(1, 100).into(),
            subsampling_h: if format.samples_per_pixel == 3 { 2 } else { 1 },
            sample_colour,
            jpeg_colour,
            ..dimensions(format)
        };
        let found = FrameFormat {
            bits_allocated: precision.next_multiple_of(8),
            bits_stored: precision,
            photometric,
            planar: false,
            ..*format
        };
        Ok((parameters, found))
    }
}

/// How samples are encoded without loss: with first-order prediction.
fn lossless(samples: &[u8], format: &FrameFormat) -> Result<Lossless, CodecError> {
    let refused = || unsupported(format, "lossless JPEG");
    let allocated = format.bits_allocated;
    if !matches!((format.samples_per_pixel, allocated), (1 | 3, 8 | 16))
        || format.sample == Sample::Float
    {
        return Err(refused());
    }
    let precision = match format.sample {
        // Differences are modulo 2^16: from 0 to -1 is one step only if all 16 bits are there.
        Sample::Signed => allocated,
        _ if fits_bits(samples, format) => format.bits_stored.max(2),
        // What is in unused bits is kept.
        _ => allocated,
    };
    Ok(Lossless {
        rows: u16::try_from(format.rows).map_err(|_| refused())?,
        columns: u16::try_from(format.columns).map_err(|_| refused())?,
        components: u8::try_from(format.samples_per_pixel).map_err(|_| refused())?,
        precision: u8::try_from(precision).map_err(|_| refused())?,
        predictor: 1,
        point_transform: 0,
        restart_rows: 0,
        rgb: format.photometric == Photometric::Rgb,
    })
}

fn dimensions(format: &FrameFormat) -> Parameters {
    Parameters {
        columns: format.columns,
        rows: format.rows,
        components: format.samples_per_pixel.into(),
        subsampling_h: 1,
        subsampling_v: 1,
        memory: library_memory(format),
        ..Parameters::default()
    }
}
