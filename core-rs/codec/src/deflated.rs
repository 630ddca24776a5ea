//! Frames that are native data, deflated or in fragments as they are (PS3.5 §A.4.12, §A.4.11).

use libdeflater::{CompressionError, CompressionLvl, Compressor, DecompressionError, Decompressor};

use crate::colour::interleaved;
use crate::native::{self, checked_length};
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat};

/// Deflated Image Frame Compression, 1.2.840.10008.1.2.8.1: a raw deflate stream (RFC 1951) of each frame.
pub(crate) struct DeflatedFrame;

/// Of grey images the best levels make some hundredths less, and take twice as long and more.
const LEVEL: i32 = 2;
/// What the library keeps of a stream: tables of matches and codes.
const TABLE_BYTES: u64 = 4 << 20;

/// Encapsulated Uncompressed Explicit VR Little Endian, 1.2.840.10008.1.2.1.98.
pub(crate) struct UncompressedFrame;

impl FrameCodec for DeflatedFrame {
    fn name(&self) -> &'static str {
        "deflate"
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        let full = checked_length(format.frame_bytes()?, out.len())?;
        let stored = checked_length(format.native_bits()?.div_ceil(8), full)?;
        if stored == full && !format.planar {
            let found = inflate(codestream, &mut out[..full])?;
            expect_length(full, found)?;
            return Ok(crate::colour::finish(&mut out[..full], format, colour));
        }
        // Subsampled frames may come with every sample, see native::decode: there is room for either.
        let mut frame = vec![0; full];
        let found = inflate(codestream, &mut frame)?;
        expect_length(if found == full { full } else { stored }, found)?;
        native::decode(&frame[..found], format, colour, false, out)
    }

    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        _options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let length = checked_length(format.frame_bytes()?, samples.len())?;
        let level = CompressionLvl::new(LEVEL).expect("the library has this level");
        let mut deflate = Compressor::new(level);
        match deflate.deflate_compress(&samples[..length], out) {
            Ok(written) => Ok((written, interleaved(format))),
            Err(CompressionError::InsufficientSpace) => Err(CodecError::Limit {
                what: "bytes of a deflated frame",
                found: out.len() as u64 + 1,
                limit: out.len() as u64,
            }),
        }
    }

    fn work_bytes(&self, format: &FrameFormat) -> u64 {
        // Of decoding a copy of the frame.
        let frame = format.frame_bytes().unwrap_or(u64::MAX);
        frame.saturating_add(TABLE_BYTES)
    }
}

impl FrameCodec for UncompressedFrame {
    fn name(&self) -> &'static str {
        "uncompressed"
    }

    fn needs_helper(&self) -> bool {
        false
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        native::decode(codestream, format, colour, false, out)
    }

    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        _options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let length = checked_length(format.frame_bytes()?, samples.len().min(out.len()))?;
        out[..length].copy_from_slice(&samples[..length]);
        Ok((length, interleaved(format)))
    }
}

/// Inflates into `out`; gives how many bytes there were. More than `out` holds is an error before it is inflated.
fn inflate(codestream: &[u8], out: &mut [u8]) -> Result<usize, CodecError> {
    match Decompressor::new().deflate_decompress(codestream, out) {
        Ok(found) => Ok(found),
        Err(DecompressionError::BadData) => Err(corrupt("it is damaged, or ends too early".into())),
        Err(DecompressionError::InsufficientSpace) => Err(CodecError::Mismatch {
            what: "bytes of a frame",
            expected: out.len() as u64,
            found: out.len() as u64 + 1,
        }),
    }
}

fn expect_length(expected: usize, found: usize) -> Result<(), CodecError> {
    if expected == found {
        return Ok(());
    }
    Err(CodecError::Mismatch {
        what: "bytes of a frame",
        expected: expected as u64,
        found: found as u64,
    })
}

fn corrupt(reason: String) -> CodecError {
    CodecError::Corrupt {
        codec: "deflate",
        reason,
    }
}
