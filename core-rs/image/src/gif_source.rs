//! GIF files, of which DICOM images are made: each frame as it is seen.

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit};
use vna_codec::{CodecError, FrameFormat, Photometric, Sample};

/// What the reader takes for each pixel: three samples of what is seen, as much for what was seen before, an index.
const BYTES_PER_PIXEL: u64 = 7;

/// The frames of a GIF file, one after the other.
///
/// A frame may give a part of the picture only, and its transparent pixels leave what was there; what nothing ever was
/// drawn on is black. Transparent pixels of the first frame are shown as if they were not, as DICOM has no transparency
/// in images that are stored (PS3.3 §C.7.6.3.1.2, ARGB is retired).
pub struct GifFrames<'a> {
    decoder: Decoder<&'a [u8]>,
    /// Columns of the picture.
    columns: usize,
    /// Interleaved samples of what is seen.
    seen: Vec<u8>,
    indexes: Vec<u8>,
    /// What becomes of the frame that was seen last before the next is drawn.
    leaving: Option<Leaving>,
    is_first: bool,
}

/// The part of the picture that a frame gives.
#[derive(Clone, Copy)]
struct Place {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

enum Leaving {
    Cleared(Place),
    /// The picture as it was before.
    Restored(Vec<u8>),
}

impl<'a> GifFrames<'a> {
    /// Reads the head of a file.
    ///
    /// # Errors
    ///
    /// [`CodecError::Corrupt`] if it is no GIF, [`CodecError::Limit`] if its frames take more than `max_bytes` of memory,
    /// which is known before that is taken.
    pub fn open(file: &'a [u8], max_bytes: u64) -> Result<Self, CodecError> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::Indexed);
        options.check_frame_consistency(true);
        options.set_memory_limit(MemoryLimit::Unlimited); // it reads into the buffer of indexes
        let decoder = options.read_info(file).map_err(corrupt)?;
        let columns = usize::from(decoder.width());
        let pixels = columns * usize::from(decoder.height());
        let wanted = pixels as u64 * BYTES_PER_PIXEL;
        if pixels == 0 {
            return Err(broken("it has no pixels"));
        }
        if wanted > max_bytes {
            return Err(CodecError::Limit {
                what: "bytes of a frame",
                found: wanted,
                limit: max_bytes,
            });
        }
        Ok(GifFrames {
            decoder,
            columns,
            seen: vec![0; 3 * pixels],
            indexes: vec![0; pixels],
            leaving: None,
            is_first: true,
        })
    }

    /// What the samples of a frame are: red, green and blue, interleaved.
    #[must_use]
    pub fn format(&self) -> FrameFormat {
        FrameFormat {
            rows: self.decoder.height().into(),
            columns: self.decoder.width().into(),
            samples_per_pixel: 3,
            bits_allocated: 8,
            bits_stored: 8,
            sample: Sample::Unsigned,
            planar: false,
            photometric: Photometric::Rgb,
        }
    }

    /// Samples of the next frame; `None` behind the last.
    ///
    /// # Errors
    ///
    /// [`CodecError::Corrupt`] if it is damaged or cut off.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, CodecError> {
        match self.leaving.take() {
            Some(Leaving::Cleared(place)) => self.clear(place),
            Some(Leaving::Restored(before)) => self.seen = before,
            None => {}
        }
        let Some(frame) = self.decoder.next_frame_info().map_err(corrupt)? else {
            return Ok(None);
        };
        let place = Place {
            left: frame.left.into(),
            top: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let (dispose, transparent) = (frame.dispose, frame.transparent);
        let count = place.width * place.height;
        let room = self.indexes.get_mut(..count);
        let room = room.ok_or_else(|| broken("a frame is larger than the picture"))?;
        self.decoder.read_into_buffer(room).map_err(corrupt)?;
        self.leaving = match dispose {
            DisposalMethod::Background => Some(Leaving::Cleared(place)),
            DisposalMethod::Previous => Some(Leaving::Restored(self.seen.clone())),
            DisposalMethod::Any | DisposalMethod::Keep => None,
        };
        let is_first = std::mem::replace(&mut self.is_first, false);
        self.draw(place, transparent.filter(|_| !is_first))?;
        Ok(Some(&self.seen))
    }

    fn clear(&mut self, place: Place) {
        for row in place.top..place.top + place.height {
            let at = 3 * (row * self.columns + place.left);
            self.seen[at..at + 3 * place.width].fill(0);
        }
    }

    fn draw(&mut self, place: Place, transparent: Option<u8>) -> Result<(), CodecError> {
        let palette = self.decoder.palette().map_err(corrupt)?;
        let rows = self.indexes.chunks_exact(place.width.max(1));
        for (row, indexes) in rows.take(place.height).enumerate() {
            let at = 3 * ((place.top + row) * self.columns + place.left);
            let seen = &mut self.seen[at..at + 3 * place.width];
            for (pixel, index) in seen.chunks_exact_mut(3).zip(indexes) {
                if Some(*index) == transparent {
                    continue;
                }
                let at = 3 * usize::from(*index);
                let colour = palette.get(at..at + 3);
                pixel.copy_from_slice(colour.ok_or_else(|| broken("its palette is too short"))?);
            }
        }
        Ok(())
    }
}

fn corrupt(error: DecodingError) -> CodecError {
    broken(&error.to_string())
}

fn broken(reason: &str) -> CodecError {
    CodecError::Corrupt {
        codec: "GIF",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gif::{Encoder, Frame};
    use std::borrow::Cow;

    const PALETTE: [u8; 12] = [0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9];

    fn frame(place: (u16, u16, u16, u16), indexes: &[u8], dispose: DisposalMethod) -> Frame<'_> {
        Frame {
            left: place.0,
            top: place.1,
            width: place.2,
            height: place.3,
            transparent: Some(3),
            dispose,
            buffer: Cow::Borrowed(indexes),
            ..Frame::default()
        }
    }

    fn gif(columns: u16, rows: u16, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), columns, rows, &PALETTE).unwrap();
        for frame in frames {
            encoder.write_frame(frame).unwrap();
        }
        encoder.into_inner().unwrap()
    }

    /// Red samples of all frames.
    fn reds(file: &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
        let mut frames = GifFrames::open(file, 1 << 20)?;
        let mut found = Vec::new();
        while let Some(samples) = frames.next_frame()? {
            found.push(samples.iter().step_by(3).copied().collect());
        }
        Ok(found)
    }

    #[test]
    fn frames_are_what_is_seen() {
        use DisposalMethod::{Background, Keep, Previous};
        let file = gif(
            3,
            1,
            &[
                frame((0, 0, 3, 1), &[1, 3, 1], Keep), // transparent, and first
                frame((1, 0, 1, 1), &[0], Previous),
                frame((0, 0, 2, 1), &[0, 3], Background),
                frame((2, 0, 1, 1), &[3], Keep),
            ],
        );
        let expected = [[255, 9, 255], [255, 0, 255], [0, 9, 255], [0, 0, 255]];
        assert_eq!(reds(&file).unwrap(), expected);
    }

    #[test]
    fn an_interlaced_frame_has_its_rows_in_order() {
        let mut whole = frame(
            (0, 0, 1, 8),
            &[0, 1, 0, 1, 0, 1, 0, 1],
            DisposalMethod::Keep,
        );
        let plain = reds(&gif(1, 8, &[whole.clone()])).unwrap();
        // Every eighth row, then those between: 0, 4, 2, 6, 1, 3, 5, 7.
        whole.interlaced = true;
        whole.buffer = Cow::Borrowed(&[0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(reds(&gif(1, 8, &[whole])).unwrap(), plain);
    }

    #[test]
    fn damaged_and_cut_off_files_are_refused() {
        let pixels: Vec<u8> = (0..64).map(|at| at % 3).collect();
        let two = [
            frame((0, 0, 8, 8), &pixels, DisposalMethod::Keep),
            frame((0, 0, 8, 8), &pixels, DisposalMethod::Keep),
        ];
        let whole = gif(8, 8, &two);
        assert_eq!(reds(&whole).unwrap().len(), 2);
        for end in 0..whole.len() - 1 {
            assert!(reds(&whole[..end]).is_err(), "{end} bytes");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x55, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                let _ = reds(&damaged); // whatever it is, it ends
            }
        }
    }

    #[test]
    fn a_size_that_is_claimed_takes_no_memory_beyond_the_limit() {
        let mut file = gif(1, 1, &[frame((0, 0, 1, 1), &[1], DisposalMethod::Keep)]);
        file[6..10].fill(0xFF);
        let error = GifFrames::open(&file, 1 << 20).err().expect("too large");
        assert_eq!(error.code(), "codec.limit");
        file[6..10].fill(0);
        assert!(GifFrames::open(&file, 1 << 20).is_err());
    }
}
