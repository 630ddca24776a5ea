//! Pixel data by transfer syntax: one frame in, one frame out (PS3.5 §8, §A.4).
//!
//! 1. A codec gets bytes and parameters, and buffers that its caller owns: it can run in another process.
//! 2. What a codestream says of itself is checked against the header's format and the limits before anything is
//!    allocated for it.
//! 3. Samples are little endian, interleaved by pixel, each in the bytes of Bits Allocated; one-bit pixels are packed,
//!    least significant bit first.

mod budget;
mod codec;
mod codecs;
mod colour;
mod counts;
mod deflated;
mod error;
mod format;
mod isolation;
mod jpeg;
mod jpeg2000;
mod jpegls;
mod jpegxl;
mod media_type;
mod memory;
mod native;
mod rle;
mod syntax;
mod task;
mod widen;

pub use codec::{Colour, EncodeOptions, FrameCodec};
pub use codecs::{CodecSettings, Codecs, Decoded, Lease};
pub use colour::ybr_full_to_rgb;
pub use counts::CodecCounts;
pub use error::CodecError;
pub use format::{FrameFormat, Photometric, Sample};
pub use isolation::run_helper;
pub use jpeg::{JpegFile, jpeg_file};
pub use media_type::{OCTET_STREAM, frame_media_type, media_type_syntaxes};
pub use memory::{MemoryInUse, give_back_free_memory, hold_little_free_memory, memory_in_use};
pub use native::{align_bits, interleave, separate, swap_words};
pub use syntax::{Compression, PIXEL_SYNTAXES, PixelSyntax, codec, pixel_syntax};

/// What the tests of misbehaving helpers are made of.
#[doc(hidden)]
pub mod testing {
    pub use crate::isolation::{Work, run_helper_with};
    pub use crate::task::{Action, Done, Task};
}

/// Most bytes of one frame unless the settings say otherwise. The largest single frames are whole radiographs of
/// mammography tomosynthesis (70 MB) and undivided slide levels.
pub const DEFAULT_MAX_FRAME_BYTES: u64 = 256 << 20;

/// Most bytes of all frames in work together unless the settings say otherwise.
pub const DEFAULT_MEMORY_BYTES: u64 = 2 << 30;
