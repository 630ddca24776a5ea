//! How a picture is to be made.

use crate::PresentationState;

/// Which values a picture shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// The lowest stored value of the frame is black, the highest white, whatever windows the header has; colours as they
    /// are. MONOCHROME1 is inverted.
    Preview,
    /// As the header, or a presentation state, wants it displayed (PS3.4 §N.2).
    #[default]
    Rendered,
    /// Stored values, neither rescaled nor windowed, cut off at the ends of the type.
    Clipped(ClippedTo),
}

/// The type of [`Mode::Clipped`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClippedTo {
    /// 0 to 255.
    UInt8,
    /// 0 to 65535.
    UInt16,
    /// -32768 to 32767.
    Int16,
}

/// How a window maps values (VOI LUT Function (0028,1056), PS3.3 §C.11.2.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VoiFunction {
    /// PS3.3 §C.11.2.1.2.1.
    #[default]
    Linear,
    /// PS3.3 §C.11.2.1.3.2.
    LinearExact,
    /// PS3.3 §C.11.2.1.3.1.
    Sigmoid,
}

/// Window Center (0028,1050) and Window Width (0028,1051).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    /// Window Center, a value after the modality LUT.
    pub center: f64,
    /// Window Width.
    pub width: f64,
    /// What is between black and white.
    pub function: VoiFunction,
}

impl From<(f64, f64)> for Window {
    /// A linear window of (center, width).
    fn from((center, width): (f64, f64)) -> Self {
        Window {
            center,
            width,
            function: VoiFunction::Linear,
        }
    }
}

/// What is black and what is white in [`Mode::Rendered`] where nothing says so.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Fallback {
    /// As many values as Bits Stored allows, from 0 on and after the modality LUT; the standard leaves it open, and this is what
    /// clients of other servers know. Of more than 16 bits and of floating point numbers those of the frame.
    #[default]
    BitsStored,
    /// The lowest and highest values of the frame, without padding: something is seen of any image.
    FrameValues,
    /// These, the lower and the higher one, after the modality LUT: those of several frames, say.
    Values(f64, f64),
}

/// A rectangle of a picture in its own pixels, and whether it is shown mirrored (PS3.18 §8.3.5.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Column of the upper left pixel, counted from 0.
    pub x: u32,
    /// Row of it.
    pub y: u32,
    /// Columns; those beyond the edge are not there. 0: up to the edge.
    pub width: u32,
    /// Rows, likewise.
    pub height: u32,
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Whether above and below change places.
    pub upside_down: bool,
}

/// How a picture is to be made. `RenderOptions::default()` is the frame as its header wants it displayed, in its own size.
#[derive(Clone, Copy, Debug)]
pub struct RenderOptions<'a> {
    /// Which values it shows.
    pub mode: Mode,
    /// A window to use for [`Mode::Rendered`] in place of those of the header.
    pub window: Option<Window>,
    /// Which of the views of the header to use (PS3.3 §C.11.2.1): its windows, then its VOI LUTs, counted from 0. The first
    /// if there is no such view.
    pub view: usize,
    /// What is black and what is white where neither the options nor the header say so.
    pub fallback: Fallback,
    /// Most columns of the picture. The aspect ratio is kept, within `height` too.
    pub width: Option<u32>,
    /// Most rows of the picture.
    pub height: Option<u32>,
    /// The part of the picture to show: it, and not the whole, gets the size asked for.
    pub region: Option<Region>,
    /// Lines of text to write into the upper left corner of a picture of 8 bits.
    pub annotation: &'a [String],
    /// Whether a picture of another size is interpolated; if not, its pixels are the nearest ones.
    pub smooth: bool,
    /// Whether overlays (PS3.3 §C.9.2) are shown. Those that a presentation state activates always are.
    pub overlays: bool,
    /// Whether pixels that are not square (PS3.3 §C.7.6.3.1.7) are made so.
    pub square_pixels: bool,
    /// The presentation state to apply to [`Mode::Rendered`], if it refers to this frame.
    pub presentation_state: Option<&'a PresentationState>,
    /// Most pixels of the picture.
    pub max_pixels: u64,
}

/// Most pixels of a picture unless the options say otherwise: more than any detector has, and 200 MB in colour.
pub const DEFAULT_MAX_PIXELS: u64 = 1 << 26;

impl Default for RenderOptions<'_> {
    fn default() -> Self {
        RenderOptions {
            mode: Mode::default(),
            window: None,
            view: 0,
            fallback: Fallback::default(),
            width: None,
            height: None,
            region: None,
            annotation: &[],
            smooth: true,
            overlays: false,
            square_pixels: false,
            presentation_state: None,
            max_pixels: DEFAULT_MAX_PIXELS,
        }
    }
}
