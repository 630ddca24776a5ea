//! GIF: pictures of at most 256 colours each, one after the other (GIF89a).

use std::borrow::Cow;

use gif::{Encoder, EncodingError, Frame, Repeat};

use crate::ImageError;
use crate::picture::{Picture, Pixels};

/// The quantiser learns from so many pixels or, of pictures with ten times as many and more, from every tenth, which its
/// authors name as the balance of time and likeness.
const LEARNED_PIXELS: usize = 100_000;
const LARGEST_STEP: usize = 10;

/// Browsers show frames of less than 20 ms as if they had 100.
const LEAST_DELAY: u16 = 2;

/// A GIF file that is written frame by frame.
///
/// Gray has a palette of all 256 grays and loses nothing; neither does a picture of at most 256 colours. Of more colours
/// those are taken that are most like them, for each picture anew.
pub struct GifFile {
    encoder: Encoder<Vec<u8>>,
    width: u16,
    height: u16,
    has_grays: bool,
}

impl GifFile {
    /// Begins a file for pictures like this one, which is not written yet; one that `is_animated` is shown over and over.
    ///
    /// # Errors
    ///
    /// [`ImageError::Encode`] if it has more columns or rows than GIF allows.
    pub fn new(like: &Picture, is_animated: bool) -> Result<Self, ImageError> {
        let side = |pixels: u32| {
            u16::try_from(pixels).map_err(|_| ImageError::Encode {
                problem: format!("GIF has at most {} rows and columns", u16::MAX),
            })
        };
        let (width, height) = (side(like.width)?, side(like.height)?);
        let has_grays = matches!(like.pixels, Pixels::Gray8(_));
        let palette = if has_grays { grays() } else { Vec::new() };
        let mut encoder = Encoder::new(Vec::new(), width, height, &palette).map_err(failed)?;
        if is_animated {
            encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        }
        Ok(GifFile {
            encoder,
            width,
            height,
            has_grays,
        })
    }

    /// Adds a picture, which is seen for so many hundredths of a second.
    ///
    /// # Errors
    ///
    /// [`ImageError::Encode`] if it has another size than the first, or samples of 16 bits.
    pub fn push(&mut self, picture: &Picture, hundredths: u16) -> Result<(), ImageError> {
        let (width, height) = (self.width, self.height);
        if (picture.width, picture.height) != (width.into(), height.into()) {
            return Err(ImageError::Encode {
                problem: "pictures of several sizes are no animation".to_owned(),
            });
        }
        let frame = match &picture.pixels {
            Pixels::Gray8(samples) => Frame {
                width,
                height,
                palette: (!self.has_grays).then(grays),
                buffer: Cow::Borrowed(samples),
                ..Frame::default()
            },
            Pixels::Rgb8(samples) => {
                let step = (samples.len() / 3 / LEARNED_PIXELS).clamp(1, LARGEST_STEP);
                let step = i32::try_from(step).unwrap_or(1);
                Frame::from_rgb_speed(width, height, samples, step)
            }
            Pixels::Gray16(_) | Pixels::SignedGray16(_) | Pixels::Rgb16(_) => {
                return Err(ImageError::Encode {
                    problem: "GIF has 8 bits, the picture has 16".to_owned(),
                });
            }
        };
        let frame = Frame {
            delay: hundredths.max(LEAST_DELAY),
            ..frame
        };
        self.encoder.write_frame(&frame).map_err(failed)
    }

    /// What was written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.encoder.get_mut())
    }

    /// What was written since the last [`GifFile::take`], and the end of the file.
    ///
    /// # Errors
    ///
    /// [`ImageError::Encode`].
    pub fn finish(self) -> Result<Vec<u8>, ImageError> {
        self.encoder
            .into_inner()
            .map_err(|error| ImageError::Encode {
                problem: error.to_string(),
            })
    }
}

impl Picture {
    /// A GIF file of this picture.
    ///
    /// # Errors
    ///
    /// As [`GifFile::new`] and [`GifFile::push`].
    pub fn to_gif(&self) -> Result<Vec<u8>, ImageError> {
        let mut file = GifFile::new(self, false)?;
        file.push(self, 0)?;
        file.finish()
    }
}

fn grays() -> Vec<u8> {
    (0..=u8::MAX).flat_map(|gray| [gray; 3]).collect()
}

fn failed(error: EncodingError) -> ImageError {
    ImageError::Encode {
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gif::{ColorOutput, DecodeOptions};

    fn decoded(file: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        let mut decoder = options.read_info(file).expect("a GIF");
        let mut found = Vec::new();
        while let Some(frame) = decoder.read_next_frame().expect("a frame") {
            let rgb = frame
                .buffer
                .chunks_exact(4)
                .flat_map(|it| [it[0], it[1], it[2]]);
            found.push((frame.delay, rgb.collect()));
        }
        found
    }

    fn picture(width: u32, height: u32, pixels: Pixels) -> Picture {
        Picture {
            width,
            height,
            pixels,
        }
    }

    #[test]
    fn all_grays_are_kept() {
        let grays: Vec<u8> = (0..=255).collect();
        let file = picture(16, 16, Pixels::Gray8(grays.clone()))
            .to_gif()
            .unwrap();
        let rgb: Vec<u8> = grays.iter().flat_map(|gray| [*gray; 3]).collect();
        assert_eq!(decoded(&file), [(LEAST_DELAY, rgb)]);
    }

    #[test]
    fn up_to_256_colours_are_kept_and_more_are_nearly() {
        let few: Vec<u8> = (0..=255)
            .flat_map(|at: u8| [at, at ^ 0x55, 255 - at])
            .collect();
        let file = picture(16, 16, Pixels::Rgb8(few.clone())).to_gif().unwrap();
        assert_eq!(decoded(&file)[0].1, few);
        let row = |y: u8| (0..64u8).flat_map(move |x| [4 * x, 4 * y, 128]);
        let many: Vec<u8> = (0..64).flat_map(row).collect();
        let file = picture(64, 64, Pixels::Rgb8(many.clone()))
            .to_gif()
            .unwrap();
        let found = &decoded(&file)[0].1;
        let far = many
            .iter()
            .zip(found)
            .map(|(a, b)| u64::from(a.abs_diff(*b)));
        let mean = far.sum::<u64>() / many.len() as u64;
        assert!(mean < 8, "{mean}");
    }

    #[test]
    fn frames_come_one_after_the_other_and_go_on_for_ever() {
        let grey = |level: u8| picture(3, 2, Pixels::Gray8(vec![level; 6]));
        let red = picture(3, 2, Pixels::Rgb8([255, 0, 0].repeat(6)));
        let mut file = GifFile::new(&grey(0), true).unwrap();
        let mut bytes = Vec::new();
        for (picture, delay) in [(&grey(9), 7), (&red, 300), (&grey(200), 4)] {
            file.push(picture, delay).unwrap();
            bytes.extend(file.take());
        }
        bytes.extend(file.finish().unwrap());
        let found = decoded(&bytes);
        let seen: Vec<_> = found
            .iter()
            .map(|(delay, rgb)| (*delay, rgb[..3].to_vec()))
            .collect();
        let expected = [(7, vec![9; 3]), (300, vec![255, 0, 0]), (4, vec![200; 3])];
        assert_eq!(seen, expected);
        assert!(bytes.windows(11).any(|it| it == b"NETSCAPE2.0"));
    }

    #[test]
    fn what_gif_does_not_have_is_refused() {
        let wide = picture(65_536, 1, Pixels::Gray8(vec![0; 65_536]));
        assert_eq!(wide.to_gif().unwrap_err().code(), "image.encode");
        let deep = picture(1, 1, Pixels::Gray16(vec![0]));
        assert_eq!(deep.to_gif().unwrap_err().code(), "image.encode");
        let mut file = GifFile::new(&picture(1, 1, Pixels::Gray8(vec![0])), true).unwrap();
        let other = picture(2, 1, Pixels::Gray8(vec![0; 2]));
        assert!(file.push(&other, 5).is_err());
    }
}
