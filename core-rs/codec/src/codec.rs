//! The one trait of all codecs.

use crate::{CodecError, FrameFormat};

/// What becomes of colours when a frame is decoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Colour {
    /// As the codestream has them, subsampled ones with every sample given: YBR_FULL stays YBR_FULL.
    AsStored,
    /// RGB, whatever the codestream has.
    #[default]
    Rgb,
}

/// How a frame is encoded.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EncodeOptions {
    /// For lossy JPEG: 1 to 100.
    pub quality: u8,
    /// For JPEG-LS near-lossless: the largest difference of a sample; 0 is lossless.
    pub near: u16,
    /// For lossy JPEG 2000 and HTJ2K: the compression ratio that is aimed at.
    pub ratio: f32,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        EncodeOptions {
            quality: 90,
            near: 2,
            ratio: 10.0,
        }
    }
}

/// One codec: a frame's codestream and its samples, one way or the other. It may be called from several threads at once.
pub trait FrameCodec: Sync {
    /// What [`CodecError::Corrupt`] calls it.
    fn name(&self) -> &'static str;

    /// Whether it encodes too: [`FrameCodec::encode`] of one that does not is always [`CodecError::Unsupported`].
    fn encodes(&self) -> bool {
        true
    }

    /// Decodes the codestream of one frame into `out`, which has room for [`FrameFormat::frame_bytes`] of `format`.
    /// Gives what was written: interleaved samples of the rows, columns and samples per pixel of `format`; bits stored, sign
    /// and bits allocated follow `format` too where the codestream can be read so, and what differs is told
    /// in the result. Headers that are wrong in the field are forgiven where the codestream leaves no doubt.
    ///
    /// # Errors
    ///
    /// [`CodecError::Corrupt`], [`CodecError::Mismatch`], [`CodecError::Unsupported`]: `out` is then undefined.
    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError>;

    /// Encodes the samples of one frame (interleaved, as [`FrameCodec::decode`] gives them) into `out`; gives how many bytes
    /// were written and what Photometric Interpretation and bits the codestream has.
    ///
    /// # Errors
    ///
    /// [`CodecError::Unsupported`] if the transfer syntax cannot hold such samples (PS3.5 §8.2), [`CodecError::Limit`] if
    /// `out` is too small: [`FrameCodec::max_encoded_bytes`] is always enough.
    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError>;

    /// Room that is enough for the codestream of any frame of this format.
    fn max_encoded_bytes(&self, format: &FrameFormat) -> u64 {
        // Noise grows by less than a half in every one of these codecs; the rest is for headers.
        format
            .frame_bytes()
            .map_or(u64::MAX, |bytes| bytes + bytes / 2 + (64 << 10))
    }

    /// Whether it runs in a helper process: everything but our own code without `unsafe`, whose memory and time follow from
    /// the length of what it gets.
    fn needs_helper(&self) -> bool {
        true
    }

    /// Most bytes that it may allocate for itself while it works on a frame of this format; a helper gets no more.
    fn work_bytes(&self, format: &FrameFormat) -> u64 {
        if !self.needs_helper() {
            return format.frame_bytes().unwrap_or(u64::MAX); // a copy of the frame
        }
        // The codecs of JPEG 2000 and JPEG XL hold one or two numbers of 32 bits for every sample, and the codestream.
        let pixels = u64::from(format.rows) * u64::from(format.columns);
        let samples = pixels.saturating_mul(format.samples_per_pixel.into());
        samples.saturating_mul(12).saturating_add(24 << 20)
    }
}
