//! Pixels to pictures: modality and VOI LUTs, colour, overlays, resize, PNG and JPEG (PS3.3 §C.7.6, §C.11).

#![forbid(unsafe_code)]

mod format;

pub use format::{FormatError, frame_format};
