//! Pixels to pictures: modality and VOI LUTs, colour, overlays, resize, PNG, JPEG, JP2 and GIF (PS3.3 §C.7.6, §C.11).

#![forbid(unsafe_code)]

mod array;
mod attributes;
mod cine;
mod colour;
mod description;
mod error;
mod format;
mod gif;
mod gif_source;
mod grayscale;
mod groups;
mod icc;
mod icon;
mod jp2;
mod lut;
mod options;
mod overlay;
mod palette;
mod picture;
mod presentation_state;
mod region;
mod render;
mod resize;
mod samples;
mod source;
mod tag;

pub use array::ElementType;
pub use cine::FrameTimes;
pub use description::ImageDescription;
pub use error::{FormatError, ImageError};
pub use format::frame_format;
pub use gif::GifFile;
pub use gif_source::GifFrames;
pub use icc::{ColourSpace, icc_profile};
pub use icon::icon;
pub use options::{
    ClippedTo, DEFAULT_MAX_PIXELS, Fallback, Mode, Region, RenderOptions, VoiFunction, Window,
};
pub use picture::{Picture, Pixels};
pub use presentation_state::PresentationState;
pub use source::{SourceImage, read_png};
