//! What a header says of how its frames look.

use vna_codec::{Decoded, FrameFormat, Photometric, Sample};
use vna_dicom::{DataSet, Tag, tags};

use crate::attributes::Attributes;
use crate::grayscale::{Modality, Presentation, Voi};
use crate::groups::Groups;
use crate::options::{RenderOptions, Window};
use crate::overlay::Overlay;
use crate::palette::Palette;
use crate::picture::Picture;
use crate::samples::Samples;
use crate::{ImageError, frame_format, render, tag};

/// What a header says of how its frames look: read once, it renders any frame of the instance.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageDescription {
    /// The frames as the header has them.
    pub format: FrameFormat,
    /// Number of Frames (0028,0008); 1 if it is missing, empty or 0.
    pub frames: usize,
    /// SOP Instance UID (0008,0018), by which presentation states refer to it.
    pub sop_instance_uid: String,
    /// High Bit (0028,0102).
    pub(crate) high_bit: Option<u32>,
    pub(crate) groups: Groups,
    pub(crate) presentation: Presentation,
    /// Pixel Padding Value (0028,0120) to Pixel Padding Range Limit (0028,0121), as words of the pixel data.
    padding: Option<(i64, i64)>,
    pub(crate) palette: Option<Palette>,
    pub(crate) overlays: Vec<Overlay>,
}

impl ImageDescription {
    /// Reads the header of an image. Its pixel data need not be there. Beside what [`frame_format`] puts right:
    ///
    /// - Number of Frames missing, empty or 0: one frame.
    /// - High Bit is believed only where it is above Bits Stored - 1, the cell has room, and samples have such bits set.
    /// - Rescale Slope of 0: 1. Windows narrower than the standard allows: the narrowest.
    /// - Broken VOI LUTs and overlays are errors only when they are used.
    /// - MONOCHROME1 and Presentation LUT Shape INVERSE say the same and may each stand alone; IDENTITY does not
    ///   undo MONOCHROME1.
    ///
    /// # Errors
    ///
    /// [`ImageError::Format`] if there is no image, [`ImageError::Table`] if a modality LUT, presentation LUT or palette that the
    /// pixels need is broken.
    pub fn read(data_set: &DataSet) -> Result<Self, ImageError> {
        let format = frame_format(data_set)?;
        let signed = Some(format.sample == Sample::Signed);
        let frames = data_set.number(tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
        let coloured = match format.photometric {
            Photometric::PaletteColor => true,
            // A supplemental palette (PS3.3 §C.8.16.2.1.1.1).
            Photometric::Monochrome2 => matches!(
                data_set.text(PIXEL_PRESENTATION).as_deref(),
                Some("COLOR" | "MIXED")
            ),
            _ => false,
        };
        let palette = if coloured {
            Palette::read(data_set, signed)?
        } else {
            None
        };
        if palette.is_none() && format.photometric == Photometric::PaletteColor {
            return Err(ImageError::Table {
                tag: tag::RED_PALETTE_DESCRIPTOR,
                problem: "is missing, and PALETTE COLOR needs it",
            });
        }
        let presentation = Presentation::read(data_set)?;
        Ok(ImageDescription {
            format,
            frames: usize::try_from(frames).unwrap_or(usize::MAX),
            sop_instance_uid: data_set.text(tags::SOP_INSTANCE_UID).unwrap_or_default(),
            high_bit: data_set.number(HIGH_BIT).filter(|bit| *bit < 64),
            groups: Groups::read(data_set, signed)?,
            presentation: match (format.photometric, presentation) {
                (Photometric::Monochrome1, Presentation::Identity) => Presentation::Inverse,
                (_, presentation) => presentation,
            },
            padding: padding(data_set),
            palette,
            overlays: Overlay::read_all(data_set),
        })
    }

    /// The window that frame `frame` is displayed with if none is asked for; a client that changes only its
    /// center or width begins from it.
    ///
    /// Without a window in the header it is that of [`crate::Fallback::BitsStored`].
    #[must_use]
    pub fn window(&self, frame: usize) -> Window {
        let views = self.groups.views(frame).iter().flatten();
        let mut windows = views.filter_map(|view| match view {
            Voi::Window(window) => Some(*window),
            _ => None,
        });
        let window = windows.next().or_else(|| self.possible_values());
        window.unwrap_or(Window::from((128.0, 256.0)))
    }

    /// The window over as many values as Bits Stored allows, from 0 on; `None` for more than 16 bits and floating point numbers,
    /// where no frame has values all over it.
    pub(crate) fn possible_values(&self) -> Option<Window> {
        let bits = i32::from(self.format.bits_stored);
        let values = 2f64.powi(bits);
        (bits <= 16 && self.format.sample != Sample::Float)
            .then(|| Window::from((values / 2.0, values)))
    }

    /// Whether the header says what is black and what is white in frame `frame`: a window or a VOI LUT.
    #[must_use]
    pub fn has_voi(&self, frame: usize) -> bool {
        !self.groups.views(frame).is_empty()
    }

    /// The lowest and the highest value of a frame of grays, of which `decoded` are the samples: without padding, after the
    /// modality LUT. `None` if it has none or colours, or if the header says what is black and what is white.
    ///
    /// # Errors
    ///
    /// [`ImageError::NoSuchFrame`], [`ImageError::Samples`].
    pub fn own_values(
        &self,
        frame: usize,
        decoded: &Decoded<'_>,
    ) -> Result<Option<(f64, f64)>, ImageError> {
        let samples = self.samples(frame, decoded)?;
        let has_colours = decoded.format.samples_per_pixel != 1 || self.is_palette_color();
        let has_none = has_colours || self.has_voi(frame);
        let range = samples.range(self.padding(&samples));
        let displayed = |range| self.groups.modality(frame).range(range);
        Ok(range.filter(|_| !has_none).map(displayed))
    }

    /// What displayed values are made of stored ones: Rescale Slope and Rescale Intercept of frame `frame`. `None` if a
    /// table does that.
    #[must_use]
    pub fn rescale(&self, frame: usize) -> Option<(f64, f64)> {
        match self.groups.modality(frame) {
            Modality::Linear { slope, intercept } => Some((*slope, *intercept)),
            Modality::Table(_) => None,
        }
    }

    /// Height of a pixel of frame `frame` by its width (PS3.3 §C.7.6.3.1.7).
    #[must_use]
    pub fn pixel_aspect(&self, frame: usize) -> f64 {
        self.groups.aspect(frame)
    }

    /// The picture of frame `frame`, counted from 0, of which `decoded` are the samples.
    ///
    /// # Errors
    ///
    /// [`ImageError::NoSuchFrame`], [`ImageError::Samples`]; [`ImageError::Limit`] if the picture would be too large,
    /// [`ImageError::Table`] if a VOI LUT or overlay that it needs is broken, [`ImageError::Request`] if
    /// clipped values of colours are asked for.
    pub fn render(
        &self,
        frame: usize,
        decoded: &Decoded<'_>,
        options: &RenderOptions<'_>,
    ) -> Result<Picture, ImageError> {
        let samples = self.samples(frame, decoded)?;
        render::render(self, frame, decoded, &samples, options)
    }

    pub(crate) fn samples<'a>(
        &self,
        frame: usize,
        decoded: &Decoded<'a>,
    ) -> Result<Samples<'a>, ImageError> {
        let frames = self.frames;
        if frame >= frames {
            return Err(ImageError::NoSuchFrame { frame, frames });
        }
        Samples::new(decoded, self.high_bit)
    }

    pub(crate) fn is_palette_color(&self) -> bool {
        self.format.photometric == Photometric::PaletteColor
    }

    pub(crate) fn is_monochrome1(&self) -> bool {
        self.format.photometric == Photometric::Monochrome1
    }

    /// Stored values that are padding.
    pub(crate) fn padding(&self, samples: &Samples<'_>) -> Option<(f64, f64)> {
        let (value, limit) = self.padding?;
        let (a, b) = (samples.value_of_word(value), samples.value_of_word(limit));
        Some((a.min(b), a.max(b)))
    }
}

/// Pixel Padding Value and the end of its range; both are words whatever VR a writer gave them (PS3.3 §C.7.5.1.1.2).
fn padding(data_set: &DataSet) -> Option<(i64, i64)> {
    #[allow(clippy::cast_possible_truncation, reason = "16-bit values")]
    let word = |tag| data_set.decimal(tag).map(|value| value as i64);
    let value = word(PIXEL_PADDING_VALUE)?;
    Some((value, word(PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value)))
}

const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
const PIXEL_PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
const PIXEL_PADDING_RANGE_LIMIT: Tag = Tag(0x0028, 0x0121);
const PIXEL_PRESENTATION: Tag = Tag(0x0008, 0x9205);
