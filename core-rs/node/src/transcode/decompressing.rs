//! From encapsulated pixel data to native (PS3.5 §8.1, §A.4): frames are decoded while they leave.

use std::sync::Arc;

use vna_codec::{Codecs, Colour, FrameFormat};
use vna_dicom::{
    Encoding, NewPixelData, PixelStream, ReadAt, Revision, TransferSyntax, Vr, swap_byte_order,
};

use super::pipeline::Pipeline;
use super::{TranscodeOptions, TranscodeProblem, attributes, colour_of};
use crate::error::ArchiveError;
use crate::stored_image::StoredImage;

/// Decodes the first frame, which says what the header has to say, and prepares the others.
pub(super) fn decompress<S>(
    image: &Arc<StoredImage<S>>,
    to: &str,
    options: &TranscodeOptions,
    codecs: &Arc<Codecs>,
) -> Result<Revision<ArchiveError>, ArchiveError>
where
    S: ReadAt<Error = ArchiveError> + Send + Sync + 'static,
{
    let frames = image.frames.len();
    let target = TransferSyntax::from_uid(to).encoding;
    let colour = colour_of(&image.transfer_syntax_uid);
    let (first, format) = decode(image, 0, colour, codecs)?;
    let vr = if format.bits_allocated <= 8 && target != Encoding::ImplicitLittle {
        Vr::OB
    } else {
        Vr::OW
    };
    let swap_unit = match target {
        Encoding::ExplicitBig => vr.unit().unwrap_or(1),
        Encoding::ExplicitLittle | Encoding::ImplicitLittle => 1,
    };
    let frame_bits = format.native_bits()?;
    let bytes = u128::from(frame_bits) * frames as u128;
    let bytes = u64::try_from(bytes.div_ceil(8)).unwrap_or(u64::MAX);
    let length = bytes.checked_next_multiple_of(2).unwrap_or(u64::MAX);
    if length >= u64::from(u32::MAX) {
        return Err(ArchiveError::Transcode(TranscodeProblem::TooLong { bytes }));
    }
    let mut revision = attributes::revision(image, &format);
    attributes::note_former_loss(&mut revision, image, length);

    let parallel = codecs.settings().parallel;
    let (window, lent) = options.spool.window(frame_bits / 8, 2 * parallel);
    let window = (window, Some(lent));
    let (image, codecs) = (Arc::clone(image), Arc::clone(codecs));
    let pipeline = Pipeline::start(1, frames, parallel, window, move |index| {
        let (samples, found) = decode(&image, index, colour, &codecs)?;
        same(&format, &found, index)?;
        Ok(samples)
    })?;
    revision.pixel_data = Some(NewPixelData {
        vr,
        encapsulated: false,
        length,
        stream: Box::new(NativeStream {
            pipeline,
            joiner: BitJoiner::new(frame_bits),
            current: first,
            given: 0,
            swap_unit,
            left: length,
            joined: false,
        }),
    });
    Ok(revision)
}

fn decode<S: ReadAt<Error = ArchiveError>>(
    image: &StoredImage<S>,
    index: usize,
    colour: Colour,
    codecs: &Codecs,
) -> Result<(Vec<u8>, FrameFormat), ArchiveError> {
    let mut lease = codecs.lease()?;
    let decoded = image.decode_frame(index, colour, &mut lease)?;
    let length = usize::try_from(decoded.format.frame_bytes()?).unwrap_or(usize::MAX);
    let samples = &decoded.samples[..length.min(decoded.samples.len())];
    let format = attributes::with_stored_bits(&decoded.format, &image.format);
    Ok((samples.to_vec(), format))
}

/// Whether a frame is of the kind of the first.
pub(super) fn same(
    first: &FrameFormat,
    found: &FrameFormat,
    index: usize,
) -> Result<(), ArchiveError> {
    let what = if first.photometric != found.photometric {
        "photometric interpretation"
    } else if first.bits_allocated != found.bits_allocated || first.bits_stored < found.bits_stored
    {
        "number of bits"
    } else if first.sample != found.sample {
        "pixel representation"
    } else {
        return Ok(());
    };
    let frame = index + 1;
    Err(ArchiveError::Transcode(TranscodeProblem::FrameDiffers {
        frame,
        what,
    }))
}

/// The value of native pixel data, made frame by frame.
struct NativeStream {
    pipeline: Pipeline<Vec<u8>>,
    joiner: BitJoiner,
    /// The frame at hand, and how much of it was given.
    current: Vec<u8>,
    given: usize,
    /// Whether `current` went through the joiner.
    joined: bool,
    swap_unit: usize,
    /// Bytes still to be given, padding included.
    left: u64,
}

impl PixelStream<ArchiveError> for NativeStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() && self.left > 0 {
            if !self.joined {
                self.join();
            }
            let rest = &self.current[self.given..];
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            self.given += count;
            filled += count;
            self.left -= count as u64;
            if self.given < self.current.len() {
                continue;
            }
            match self.pipeline.next() {
                Some(frame) => {
                    self.current = frame?;
                    self.given = 0;
                    self.joined = false;
                }
                None if self.left > 0 && filled < buffer.len() => {
                    // The last bits, or padding to an even length (PS3.5 §8.1.1).
                    buffer[filled] = self.joiner.last.take().unwrap_or(0);
                    filled += 1;
                    self.left -= 1;
                    self.current.clear();
                    self.given = 0;
                }
                None => {}
            }
        }
        Ok(filled)
    }
}

impl NativeStream {
    fn join(&mut self) {
        self.joiner.join(&mut self.current);
        swap_byte_order(&mut self.current, self.swap_unit);
        self.joined = true;
    }
}

/// Joins frames that end within a byte: bits of the next one follow at once (PS3.5 §8.1.1).
struct BitJoiner {
    frame_bits: u64,
    /// Bits that wait for more: as many as `count` says, in `last`.
    last: Option<u8>,
    count: u32,
}

impl BitJoiner {
    fn new(frame_bits: u64) -> Self {
        BitJoiner {
            frame_bits,
            last: None,
            count: 0,
        }
    }

    /// Makes whole bytes of a frame and of the bits before it.
    fn join(&mut self, frame: &mut Vec<u8>) {
        if self.frame_bits % 8 == 0 {
            return;
        }
        let spare = self.frame_bits % 8;
        if let Some(last) = frame.last_mut() {
            *last &= (1 << spare) - 1;
        }
        let mut carry = u16::from(self.last.take().unwrap_or(0));
        let total = u64::from(self.count) + self.frame_bits;
        frame.push(0);
        for byte in frame.iter_mut() {
            carry |= u16::from(*byte) << self.count;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        let whole = usize::try_from(total / 8).unwrap_or(usize::MAX);
        self.count = u32::try_from(total % 8).unwrap_or(0);
        self.last = (self.count > 0).then(|| frame.get(whole).copied().unwrap_or(0));
        frame.truncate(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_single_bits_follow_each_other_without_a_gap() {
        // 3 frames of 5 bits: 10110, 01101, 11111, the first bit of each at the right.
        let mut joiner = BitJoiner::new(5);
        let mut out = Vec::new();
        for frame in [0b10110_u8, 0b01101, 0b11111] {
            let mut frame = vec![frame];
            joiner.join(&mut frame);
            out.extend(frame);
        }
        out.extend(joiner.last);
        assert_eq!(out, [0b1011_0110, 0b0111_1101]);
    }
}
