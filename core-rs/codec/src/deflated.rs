//! Frames that are native data, deflated or in fragments as they are (PS3.5 §A.4.12, §A.4.11).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::colour::interleaved;
use crate::native::{self, checked_length};
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat};

/// Deflated Image Frame Compression, 1.2.840.10008.1.2.8.1: a raw deflate stream (RFC 1951) of each frame.
pub(crate) struct DeflatedFrame;

/// Of grey images of 12 bits the best levels make a fifteenth less, and take five times as long.
const LEVEL: Compression = Compression::new(3);

/// Encapsulated Uncompressed Explicit VR Little Endian, 1.2.840.10008.1.2.1.98.
pub(crate) struct UncompressedFrame;

impl FrameCodec for DeflatedFrame {
    fn name(&self) -> &'static str {
        "deflate"
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
        let mut deflate = Compress::new(LEVEL, false);
        let status = deflate.compress(&samples[..length], out, FlushCompress::Finish);
        match status {
            Ok(Status::StreamEnd) => Ok((written(deflate.total_out()), interleaved(format))),
            Ok(_) => Err(CodecError::Limit {
                what: "bytes of a deflated frame",
                found: out.len() as u64 + 1,
                limit: out.len() as u64,
            }),
            Err(error) => Err(corrupt(error.to_string())),
        }
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
    let mut inflate = Decompress::new(false);
    let status = inflate
        .decompress(codestream, out, FlushDecompress::Finish)
        .map_err(|error| corrupt(error.to_string()))?;
    let found = written(inflate.total_out());
    if status == Status::StreamEnd {
        return Ok(found);
    }
    if found < out.len() {
        return Err(corrupt(format!("it ends after {found} bytes of samples")));
    }
    Err(CodecError::Mismatch {
        what: "bytes of a frame",
        expected: found as u64,
        found: found as u64 + 1,
    })
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

/// What was written into a buffer fits memory.
fn written(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn corrupt(reason: String) -> CodecError {
    CodecError::Corrupt {
        codec: "deflate",
        reason,
    }
}
