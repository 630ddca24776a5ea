//! JPEG 2000 and High-Throughput JPEG 2000 (ISO/IEC 15444-1, 15444-15; PS3.5 §8.2.4, §A.4.4, §A.4.8).

mod header;
mod openjpeg;
mod openjph;
mod rows;

use crate::colour::finish;
use crate::native::checked_length;
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat, Photometric, Sample};
use header::Header;
use rows::{RowWriter, Samples};

/// A way of JPEG 2000, as a transfer syntax names it. All decode whatever a codestream says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Jpeg2000 {
    /// Only reversible. 1.2.840.10008.1.2.4.90.
    Lossless,
    /// Encodes irreversibly. 1.2.840.10008.1.2.4.91.
    Lossy,
    /// Part 2, decoded as far as its frames stand alone. 1.2.840.10008.1.2.4.92 and 1.2.840.10008.1.2.4.93.
    MultiComponent,
    /// High-Throughput, only reversible. 1.2.840.10008.1.2.4.201.
    HighThroughputLossless,
    /// The same by resolutions. 1.2.840.10008.1.2.4.202.
    HighThroughputByResolution,
    /// High-Throughput, encodes irreversibly. 1.2.840.10008.1.2.4.203.
    HighThroughput,
}

/// What becomes of the bits of samples.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Compression {
    /// All are kept.
    Reversible,
    /// The codestream has so many times fewer bytes than the samples.
    Irreversible { ratio: f32 },
}

impl FrameCodec for Jpeg2000 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encodes(&self) -> bool {
        *self != Jpeg2000::MultiComponent
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        let codestream = header::codestream(codestream)?;
        let header = header::read(codestream)?;
        let precision = check(&header, format)?;
        let length = checked_length(format.frame_bytes()?, out.len())?;
        let out = &mut out[..length];
        let mut rows = RowWriter::new(&header, format, out);
        let codestream = header.completed(codestream);
        if header.high_throughput {
            openjph::decode(&codestream, &header, &mut rows)?;
        } else {
            openjpeg::decode(&codestream, &header, &mut rows)?;
        }
        rows.finish()?;
        let decoded = FrameFormat {
            planar: false,
            bits_stored: format.bits_stored.max(precision),
            photometric: photometric(&header, format.photometric),
            ..*format
        };
        Ok(finish(out, &decoded, colour))
    }

    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let ratio = options.ratio;
        let (compression, most_bits) = match self {
            Jpeg2000::Lossless => (Compression::Reversible, openjpeg::MAX_PRECISION),
            Jpeg2000::Lossy => (Compression::Irreversible { ratio }, openjpeg::MAX_PRECISION),
            Jpeg2000::HighThroughputLossless | Jpeg2000::HighThroughputByResolution => {
                (Compression::Reversible, openjph::MAX_PRECISION)
            }
            Jpeg2000::HighThroughput => {
                (Compression::Irreversible { ratio }, openjph::MAX_PRECISION)
            }
            Jpeg2000::MultiComponent => {
                return Err(unsupported(
                    "encoding JPEG 2000 of several components".into(),
                ));
            }
        };
        check_samples(format)?;
        let samples = Samples::new(samples, format)?;
        if samples.precision > most_bits {
            let what = format!("JPEG 2000 of {} bits a sample", samples.precision);
            return Err(unsupported(what));
        }
        // Differences of one or two bits are longer than these.
        let colour_transform =
            format.samples_per_pixel == 3 && is_rgb(format.photometric) && samples.precision > 2;
        let length = match self {
            Jpeg2000::HighThroughputLossless
            | Jpeg2000::HighThroughputByResolution
            | Jpeg2000::HighThroughput => {
                let by_resolution = *self == Jpeg2000::HighThroughputByResolution;
                openjph::encode(&samples, colour_transform, compression, by_resolution, out)?
            }
            _ => openjpeg::encode(&samples, colour_transform, compression, out)?,
        };
        let photometric = match (colour_transform, compression) {
            (true, Compression::Reversible) => Photometric::YbrRct,
            (true, Compression::Irreversible { .. }) => Photometric::YbrIct,
            (false, _) => format.photometric,
        };
        let encoded = FrameFormat {
            planar: false,
            bits_stored: samples.precision.into(),
            photometric,
            ..*format
        };
        Ok((length, encoded))
    }

    /// Two numbers of 32 bits for every sample, what is coded of it, and what [`header`] allows for tiles and precincts.
    fn work_bytes(&self, format: &FrameFormat) -> u64 {
        let pixels = u64::from(format.rows) * u64::from(format.columns);
        let samples = pixels.saturating_mul(format.samples_per_pixel.into());
        samples.saturating_mul(24).saturating_add(64 << 20)
    }
}

const NAME: &str = "JPEG 2000";

fn corrupt(reason: impl Into<String>) -> CodecError {
    CodecError::Corrupt {
        codec: NAME,
        reason: reason.into(),
    }
}

fn unsupported(what: String) -> CodecError {
    CodecError::Unsupported { what }
}

/// Whether the components are what the data set says; gives the most bits that one has.
fn check(header: &Header, format: &FrameFormat) -> Result<u16, CodecError> {
    check_samples(format)?;
    let same = |what, expected: u64, found: u64| {
        let mismatch = CodecError::Mismatch {
            what,
            expected,
            found,
        };
        if expected == found {
            Ok(())
        } else {
            Err(mismatch)
        }
    };
    let (columns, rows) = header.size();
    same("rows", format.rows.into(), rows.into())?;
    same("columns", format.columns.into(), columns.into())?;
    let components = header.components.len() as u64;
    same(
        "samples of a pixel",
        format.samples_per_pixel.into(),
        components,
    )?;
    let precisions = header
        .components
        .iter()
        .map(|component| component.precision.into());
    let precision = precisions.max().unwrap_or(0);
    if precision > format.bits_allocated {
        same(
            "bits of a sample",
            format.bits_allocated.into(),
            precision.into(),
        )?;
    }
    Ok(precision)
}

/// Whether they are integers of bits that this codec has.
fn check_samples(format: &FrameFormat) -> Result<(), CodecError> {
    let bits = format.bits_allocated;
    let one_bit = bits == 1 && format.samples_per_pixel == 1 && format.sample == Sample::Unsigned;
    if format.sample == Sample::Float || !(one_bit || matches!(bits, 8 | 16 | 32)) {
        return Err(unsupported(format!(
            "JPEG 2000 of {:?} samples of {bits} bits",
            format.sample
        )));
    }
    if !matches!(format.samples_per_pixel, 1 | 3 | 4) || format.rows == 0 || format.columns == 0 {
        return Err(unsupported(format!(
            "JPEG 2000 of {} rows, {} columns and {} samples a pixel",
            format.rows, format.columns, format.samples_per_pixel
        )));
    }
    Ok(())
}

/// Photometric Interpretations of what is red, green and blue when it is decoded.
fn is_rgb(photometric: Photometric) -> bool {
    use Photometric::{Rgb, YbrIct, YbrRct};
    matches!(photometric, Rgb | YbrRct | YbrIct)
}

/// What the decoded samples are, whatever the data set says.
fn photometric(header: &Header, said: Photometric) -> Photometric {
    let [first, rest @ ..] = header.components.as_slice() else {
        return said;
    };
    let differences = rest.len() == 2 && rest.iter().all(|other| other.every != first.every);
    match said {
        _ if rest.len() != 2 => said,
        // The transform was undone; devices forget to say that there is one.
        _ if header.colour_transform => Photometric::Rgb,
        Photometric::YbrPartial422 | Photometric::YbrPartial420 => said,
        Photometric::YbrFull | Photometric::YbrFull422 => Photometric::YbrFull,
        _ if differences => Photometric::YbrFull,
        _ => Photometric::Rgb,
    }
}
