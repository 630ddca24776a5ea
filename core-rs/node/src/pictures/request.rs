//! Which picture is wanted.

use serde::Deserialize;
use vna_image::{ClippedTo, ColourSpace, Mode, Region, VoiFunction};

/// Which values a picture shows; see [`Mode`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of Mode")]
pub enum PictureMode {
    Preview,
    #[default]
    Rendered,
    UInt8,
    UInt16,
    Int16,
}

impl PictureMode {
    /// Its name, as requests have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PictureMode::Preview => "preview",
            PictureMode::Rendered => "rendered",
            PictureMode::UInt8 => "uint8",
            PictureMode::UInt16 => "uint16",
            PictureMode::Int16 => "int16",
        }
    }

    pub(super) fn to_mode(self) -> Mode {
        match self {
            PictureMode::Preview => Mode::Preview,
            PictureMode::Rendered => Mode::Rendered,
            PictureMode::UInt8 => Mode::Clipped(ClippedTo::UInt8),
            PictureMode::UInt16 => Mode::Clipped(ClippedTo::UInt16),
            PictureMode::Int16 => Mode::Clipped(ClippedTo::Int16),
        }
    }
}

/// The file format of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "their names")]
pub enum PictureForm {
    #[default]
    Png,
    Jpeg,
    Jp2,
    Gif,
    Pam,
}

/// Which colours a picture has that carries a colour profile; see [`ColourSpace`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of ColourSpace")]
pub enum PictureColours {
    Own,
    Srgb,
    AdobeRgb,
    RommRgb,
}

impl PictureColours {
    pub(super) fn to_space(self) -> ColourSpace {
        match self {
            PictureColours::Own => ColourSpace::Own,
            PictureColours::Srgb => ColourSpace::Srgb,
            PictureColours::AdobeRgb => ColourSpace::AdobeRgb,
            PictureColours::RommRgb => ColourSpace::RommRgb,
        }
    }
}

/// How a window maps values; see [`VoiFunction`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of VoiFunction")]
pub enum WindowFunction {
    Linear,
    LinearExact,
    Sigmoid,
}

impl WindowFunction {
    pub(super) fn to_function(self) -> VoiFunction {
        match self {
            WindowFunction::Linear => VoiFunction::Linear,
            WindowFunction::LinearExact => VoiFunction::LinearExact,
            WindowFunction::Sigmoid => VoiFunction::Sigmoid,
        }
    }
}

/// A part of a picture: column and row of its first pixel, columns and rows; negative ones show it mirrored or upside
/// down, 0 is up to the edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub struct PictureRegion(u32, u32, i32, i32);

impl PictureRegion {
    pub(super) fn to_region(self) -> Region {
        let PictureRegion(x, y, width, height) = self;
        Region {
            x,
            y,
            width: width.unsigned_abs(),
            height: height.unsigned_abs(),
            mirrored: width < 0,
            upside_down: height < 0,
        }
    }
}

/// Which picture of an instance is wanted.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PictureRequest {
    /// The frame, counted from 0.
    pub frame: u64,
    /// Which values.
    pub mode: PictureMode,
    /// Window Center; the header's if not said.
    pub window_center: Option<f64>,
    /// Window Width; the header's if not said.
    pub window_width: Option<f64>,
    /// What is between black and white of the window; the header's if not said.
    pub window_function: Option<WindowFunction>,
    /// The part to show, which gets the size asked for.
    pub region: Option<PictureRegion>,
    /// Lines of text to write into a corner of it.
    pub annotation: Vec<String>,
    /// Most columns; 0 is as if not said.
    pub width: u32,
    /// Most rows; 0 is as if not said.
    pub height: u32,
    /// Whether another size is interpolated.
    pub smooth: bool,
    /// Whether overlays are shown.
    pub overlays: bool,
    /// Whether black and white are the lowest and highest values of the frame where nothing says so.
    pub own_values: bool,
    /// The file format.
    pub form: PictureForm,
    /// Of a JPEG file, 1 to 100.
    pub quality: u8,
    /// In which colours it is, which its file then says where it can; as they come, without saying it, if not said.
    pub colours: Option<PictureColours>,
}

impl PictureRequest {
    /// Whether it says something of the window.
    pub(super) fn has_window(&self) -> bool {
        self.window_center.is_some()
            || self.window_width.is_some()
            || self.window_function.is_some()
    }
}

impl Default for PictureRequest {
    fn default() -> Self {
        PictureRequest {
            frame: 0,
            mode: PictureMode::default(),
            window_center: None,
            window_width: None,
            window_function: None,
            region: None,
            annotation: Vec::new(),
            width: 0,
            height: 0,
            smooth: true,
            overlays: false,
            own_values: false,
            form: PictureForm::default(),
            quality: 90,
            colours: None,
        }
    }
}
