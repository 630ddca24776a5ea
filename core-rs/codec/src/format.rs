//! What the samples of a frame are (PS3.3 §C.7.6.3).

use crate::CodecError;

/// How the samples of a pixel are understood (PS3.3 §C.7.6.3.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Photometric {
    /// The lowest value is white.
    Monochrome1,
    /// The lowest value is black.
    Monochrome2,
    /// Indexes into a palette.
    PaletteColor,
    /// Red, green, blue.
    Rgb,
    /// Luminance and two colour differences, full range.
    YbrFull,
    /// The same with the differences given for every second pixel of a row.
    YbrFull422,
    /// Partial range, differences given for every second pixel of a row.
    YbrPartial422,
    /// Partial range, differences given for every second pixel of a row and every second row.
    YbrPartial420,
    /// The irreversible transform of JPEG 2000.
    YbrIct,
    /// The reversible transform of JPEG 2000.
    YbrRct,
    /// The XYB colour space of JPEG XL.
    Xyb,
}

impl Photometric {
    /// By the value of Photometric Interpretation (0028,0004), padding allowed. `None` if it is none of these.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Some(match value.trim_matches([' ', '\0']) {
            "MONOCHROME1" => Self::Monochrome1,
            "MONOCHROME2" => Self::Monochrome2,
            "PALETTE COLOR" => Self::PaletteColor,
            "RGB" => Self::Rgb,
            "YBR_FULL" => Self::YbrFull,
            "YBR_FULL_422" => Self::YbrFull422,
            "YBR_PARTIAL_422" => Self::YbrPartial422,
            "YBR_PARTIAL_420" => Self::YbrPartial420,
            "YBR_ICT" => Self::YbrIct,
            "YBR_RCT" => Self::YbrRct,
            "XYB" => Self::Xyb,
            _ => return None,
        })
    }

    /// The value of Photometric Interpretation (0028,0004).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Monochrome1 => "MONOCHROME1",
            Self::Monochrome2 => "MONOCHROME2",
            Self::PaletteColor => "PALETTE COLOR",
            Self::Rgb => "RGB",
            Self::YbrFull => "YBR_FULL",
            Self::YbrFull422 => "YBR_FULL_422",
            Self::YbrPartial422 => "YBR_PARTIAL_422",
            Self::YbrPartial420 => "YBR_PARTIAL_420",
            Self::YbrIct => "YBR_ICT",
            Self::YbrRct => "YBR_RCT",
            Self::Xyb => "XYB",
        }
    }

    /// Whether it has three samples a pixel.
    #[must_use]
    pub fn is_colour(self) -> bool {
        !matches!(
            self,
            Self::Monochrome1 | Self::Monochrome2 | Self::PaletteColor
        )
    }
}

/// How the bits of a sample are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sample {
    /// An unsigned integer.
    Unsigned,
    /// An integer in two's complement.
    Signed,
    /// IEEE 754: of 32 bits in Float Pixel Data, of 64 in Double Float Pixel Data (PS3.3 §C.7.6.24, §C.7.6.25).
    Float,
}

/// What a data set says of its frames, or what a decoded frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FrameFormat {
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Samples per Pixel (0028,0002): 1 or 3, in retired objects 4.
    pub samples_per_pixel: u16,
    /// Bits Allocated (0028,0100): 1 or a multiple of 8.
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101).
    pub bits_stored: u16,
    /// Pixel Representation (0028,0103), or that it is Float Pixel Data.
    pub sample: Sample,
    /// Whether all samples of a colour stand together: Planar Configuration (0028,0006) of 1.
    pub planar: bool,
    /// Photometric Interpretation (0028,0004).
    pub photometric: Photometric,
}

impl FrameFormat {
    /// Bits of one frame as native pixel data has it, without padding; YBR_FULL_422 and the partial ones have two
    /// samples a pixel there (PS3.3 §C.7.6.3.1.2).
    ///
    /// # Errors
    ///
    /// [`CodecError::Limit`] if the product is beyond 64 bits.
    pub fn native_bits(&self) -> Result<u64, CodecError> {
        let halves = match self.photometric {
            Photometric::YbrFull422 | Photometric::YbrPartial422 => 4,
            Photometric::YbrPartial420 => 3,
            _ => u64::from(self.samples_per_pixel) * 2,
        };
        let pixels = u64::from(self.rows) * u64::from(self.columns);
        pixels
            .checked_mul(halves)
            .and_then(|samples| samples.checked_mul(u64::from(self.bits_allocated)))
            .map(|bits| bits / 2)
            .ok_or(CodecError::Limit {
                what: "bytes of a frame",
                found: u64::MAX,
                limit: u64::MAX / 8,
            })
    }

    /// Bytes of one frame with all samples given: what [`crate::Lease::decode`] gives.
    ///
    /// # Errors
    ///
    /// [`CodecError::Limit`] if the product is beyond 64 bits.
    pub fn frame_bytes(&self) -> Result<u64, CodecError> {
        let full = FrameFormat {
            photometric: Photometric::Rgb,
            ..*self
        };
        full.native_bits().map(|bits| bits.div_ceil(8))
    }

    /// Whether there can be samples of this format at all, so that someone could encode them (PS3.5 §8.1.1).
    ///
    /// # Errors
    ///
    /// [`CodecError::Unsupported`] names what contradicts itself.
    pub(crate) fn check(&self) -> Result<(), CodecError> {
        let refused = |what: String| Err(CodecError::Unsupported { what });
        let (stored, allocated) = (self.bits_stored, self.bits_allocated);
        if !matches!(allocated, 1 | 8 | 16 | 32 | 64) || !(1..=allocated).contains(&stored) {
            return refused(format!("samples of {stored} bits in {allocated}"));
        }
        if self.sample == Sample::Float && allocated < 32 {
            return refused(format!("floating point of {allocated} bits"));
        }
        if self.rows == 0 || self.columns == 0 {
            return refused(format!("frames of {} by {}", self.rows, self.columns));
        }
        let is_subsampled = matches!(
            self.photometric,
            Photometric::YbrFull422 | Photometric::YbrPartial422 | Photometric::YbrPartial420
        );
        if self.samples_per_pixel == 0 || (is_subsampled && self.samples_per_pixel != 3) {
            let (samples, name) = (self.samples_per_pixel, self.photometric.name());
            return refused(format!("{samples} samples a pixel in {name}"));
        }
        Ok(())
    }
}
