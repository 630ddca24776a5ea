//! What a header says of how its frames look.

#![allow(
    clippy::cast_possible_truncation,
    reason = "values are cut off to the type before"
)]

use vna_codec::{Decoded, FrameFormat, Photometric, Sample};
use vna_dicom::{DataSet, tags};

use crate::attributes::Attributes;
use crate::options::{ClippedTo, Mode, RenderOptions, Window};
use crate::picture::{Picture, Pixels};
use crate::{ImageError, frame_format, tag};

/// What a header says of how its frames look: read once, it renders any frame of the instance.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageDescription {
    /// The frames as the header has them.
    pub format: FrameFormat,
    /// Number of Frames (0028,0008); 1 if it is missing or 0.
    pub frames: usize,
    slope: f64,
    intercept: f64,
    window: Option<Window>,
}

impl ImageDescription {
    /// Reads the header of an image. Its pixel data need not be there.
    ///
    /// # Errors
    ///
    /// [`ImageError::Format`] if there is no image, [`ImageError::Table`] if a look-up table or palette that
    /// the pixels need is broken.
    pub fn read(data_set: &DataSet) -> Result<Self, ImageError> {
        let frames = data_set.number(tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
        let decimal = |tag| data_set.decimal(tag);
        Ok(ImageDescription {
            format: frame_format(data_set)?,
            frames: usize::try_from(frames).unwrap_or(usize::MAX),
            slope: decimal(tag::RESCALE_SLOPE).unwrap_or(1.0),
            intercept: decimal(tag::RESCALE_INTERCEPT).unwrap_or(0.0),
            window: decimal(tag::WINDOW_CENTER)
                .zip(decimal(tag::WINDOW_WIDTH))
                .map(Window::from),
        })
    }

    /// The picture of frame `frame`, counted from 0, of which `decoded` are the samples.
    ///
    /// # Errors
    ///
    /// [`ImageError::NoSuchFrame`], [`ImageError::Samples`]; [`ImageError::Limit`] if the picture would be too large.
    pub fn render(
        &self,
        frame: usize,
        decoded: &Decoded<'_>,
        options: &RenderOptions<'_>,
    ) -> Result<Picture, ImageError> {
        let frames = self.frames;
        if frame >= frames {
            return Err(ImageError::NoSuchFrame { frame, frames });
        }
        let format = &decoded.format;
        let expected = format.frame_bytes()?;
        if (decoded.samples.len() as u64) < expected {
            let found = decoded.samples.len() as u64;
            return Err(ImageError::Samples { expected, found });
        }
        let values = values(decoded);
        let colour = format.samples_per_pixel == 3;
        let pixels = match options.mode {
            Mode::Clipped(ClippedTo::UInt8) if colour => Pixels::Rgb8(cast(&values, 0.0, 255.0)),
            Mode::Clipped(ClippedTo::UInt8) => Pixels::Gray8(cast(&values, 0.0, 255.0)),
            Mode::Clipped(ClippedTo::UInt16) if colour => {
                Pixels::Rgb16(values.iter().map(|v| *v as u16).collect())
            }
            Mode::Clipped(ClippedTo::UInt16) => {
                Pixels::Gray16(values.iter().map(|v| *v as u16).collect())
            }
            Mode::Clipped(ClippedTo::Int16) => {
                Pixels::SignedGray16(values.iter().map(|v| *v as i16).collect())
            }
            _ if colour => Pixels::Rgb8(cast(&values, 0.0, 255.0)),
            Mode::Preview => {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                self.gray(&values, low, high)
            }
            Mode::Rendered => {
                let window = options
                    .window
                    .or(self.window)
                    .unwrap_or((128.0, 256.0).into());
                let values: Vec<_> = values
                    .iter()
                    .map(|v| v * self.slope + self.intercept)
                    .collect();
                self.gray(
                    &values,
                    window.center - window.width / 2.0,
                    window.center + window.width / 2.0,
                )
            }
        };
        Ok(Picture {
            width: format.columns,
            height: format.rows,
            pixels,
        })
    }

    fn gray(&self, values: &[f64], low: f64, high: f64) -> Pixels {
        let inverted = self.format.photometric == Photometric::Monochrome1;
        let range = if high > low { high - low } else { 1.0 };
        let level = |v: &f64| {
            let unit = ((v - low) / range).clamp(0.0, 1.0);
            255.0 * if inverted { 1.0 - unit } else { unit }
        };
        Pixels::Gray8(values.iter().map(|v| level(v).round() as u8).collect())
    }
}

fn cast(values: &[f64], low: f64, high: f64) -> Vec<u8> {
    values.iter().map(|v| v.clamp(low, high) as u8).collect()
}

fn values(decoded: &Decoded<'_>) -> Vec<f64> {
    let format = &decoded.format;
    let unused = u32::from(format.bits_allocated - format.bits_stored);
    match (format.bits_allocated, format.sample) {
        (8, Sample::Signed) => decoded
            .samples
            .iter()
            .map(|b| f64::from(*b as i8))
            .collect(),
        (8, _) => decoded.samples.iter().map(|b| f64::from(*b)).collect(),
        (16, Sample::Signed) => decoded
            .samples
            .chunks_exact(2)
            .map(|b| f64::from((i16::from_le_bytes([b[0], b[1]]) << unused) >> unused))
            .collect(),
        (16, _) => decoded
            .samples
            .chunks_exact(2)
            .map(|b| f64::from((u16::from_le_bytes([b[0], b[1]]) << unused) >> unused))
            .collect(),
        _ => vec![0.0; decoded.samples.len()],
    }
}
