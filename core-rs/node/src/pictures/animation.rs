//! Frames of an image one after the other: an animated GIF, made a frame at a time while it is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::IntoIter;

use vna_image::{FrameTimes, GifFile, ImageError};

use super::problem::PictureProblem;
use super::render::{Frame, PictureSource};
use super::request::PictureRequest;
use super::room::Lent;
use super::stream::{MadeStream, Maker};
use super::{Pictures, blocking};
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;

/// Some minutes of a film.
const MAX_FRAMES: usize = 4096;

/// Pixels of all frames, decoded or shown: 2,048 of 512 by 512. It is processor time, not memory, that they bound.
const MAX_PIXELS: u64 = 1 << 29;

struct Animation {
    pictures: Arc<Pictures>,
    frame: Frame<StoredBlob>,
    request: PictureRequest,
    frames: IntoIter<u64>,
    /// Frames whose values are still to be looked at, and the lowest and highest of the others: black and white of each
    /// by itself would flicker.
    unmeasured: IntoIter<u64>,
    values: Option<(f64, f64)>,
    times: FrameTimes,
    clock: Clock,
    /// From the first frame on, until its end was written.
    file: Option<GifFile>,
    _lent: Lent,
}

/// Hundredths of a second, of times that have milliseconds: what is rounded off one frame is added to the next.
#[derive(Default)]
struct Clock {
    milliseconds: f64,
    hundredths: f64,
}

impl Clock {
    fn tick(&mut self, milliseconds: f64) -> u16 {
        self.milliseconds += milliseconds;
        let now = (self.milliseconds / 10.0).round();
        let shown = now - self.hundredths;
        self.hundredths = now;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from floating point saturates"
        )]
        let shown = shown as u16;
        shown
    }
}

impl Maker for Animation {
    fn length(&self) -> Option<u64> {
        None
    }

    fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        if let Some(frame) = self.unmeasured.next() {
            self.measure(frame)?;
            return Ok(true);
        }
        let Some(frame) = self.frames.next() else {
            let Some(file) = self.file.take() else {
                return Ok(false);
            };
            out.extend(file.finish().map_err(PictureProblem::from)?);
            return Ok(true);
        };
        self.frame.change(PictureRequest {
            frame,
            ..self.request.clone()
        })?;
        let picture = self.frame.picture(&self.pictures.codecs)?;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = GifFile::new(&picture, true).map_err(PictureProblem::from)?;
                self.file.insert(file)
            }
        };
        let index = usize::try_from(frame).unwrap_or(usize::MAX);
        let shown = self.clock.tick(self.times.milliseconds(index));
        file.push(&picture, shown).map_err(PictureProblem::from)?;
        out.extend(file.take());
        self.pictures.rendered.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

impl Animation {
    /// Looks at the values of a frame; all frames are shown by those of all.
    fn measure(&mut self, frame: u64) -> Result<(), ArchiveError> {
        if let Some((low, high)) = self.frame.own_values(frame, &self.pictures.codecs)? {
            let (lowest, highest) = self.values.unwrap_or((low, high));
            let values = (lowest.min(low), highest.max(high));
            self.frame.shade(values.0, values.1);
            self.values = Some(values);
        }
        Ok(())
    }
}

impl Pictures {
    /// Frames of an image, counted from 0, or all of them if none are named, as a GIF file that shows them over and over.
    ///
    /// # Errors
    ///
    /// As [`Pictures::picture`]; [`ImageError::Limit`] if there are too many.
    pub async fn animation(
        self: &Arc<Self>,
        source: PictureSource,
        request: PictureRequest,
        frames: Option<Vec<u64>>,
    ) -> Result<MadeStream, ArchiveError> {
        let first = PictureRequest {
            frame: frames
                .as_ref()
                .and_then(|it| it.first())
                .map_or(0, |it| *it),
            ..request.clone()
        };
        let place = self.place().await?;
        let opened = blocking(move || {
            let frame = Frame::open(&source, first);
            drop(place);
            frame
        });
        let frame = opened.await?;
        let count = match &frames {
            Some(frames) => frames.len() as u64,
            None => frame.opened().frames(),
        };
        check(&frame, count)?;
        let frames = frames.unwrap_or_else(|| (0..count).collect());
        let bytes = frame.bytes();
        let lent = match self.room.try_lend(bytes)? {
            Some(lent) => lent,
            None => self.room.lend(bytes).await?,
        };
        // Of 8 bits the values that there may be are what is looked at everywhere.
        let is_deep = frame.opened().image.format.bits_stored > 8;
        let request = PictureRequest {
            own_values: request.own_values && is_deep,
            ..request
        };
        let unmeasured = match request.own_values && !request.has_window() {
            true => frames.clone(),
            false => Vec::new(),
        };
        let times = FrameTimes::read(&frame.opened().image.data_set);
        Ok(MadeStream::new(Animation {
            pictures: Arc::clone(self),
            frame,
            request,
            frames: frames.into_iter(),
            unmeasured: unmeasured.into_iter(),
            values: None,
            times,
            clock: Clock::default(),
            file: None,
            _lent: lent,
        }))
    }
}

/// Refuses what would take too long.
fn check(frame: &Frame<StoredBlob>, count: u64) -> Result<(), PictureProblem> {
    let limit = |what, found, limit| match found > limit {
        true => Err(PictureProblem::from(ImageError::Limit {
            what,
            found,
            limit,
        })),
        false => Ok(()),
    };
    limit("frames of an animation", count, MAX_FRAMES as u64)?;
    let (columns, rows) = frame.size();
    let shown = columns.saturating_mul(rows);
    let pixels = shown.max(frame.opened().pixels()).saturating_mul(count);
    limit("pixels of an animation", pixels, MAX_PIXELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rounded_off_one_frame_is_added_to_the_next() {
        let mut clock = Clock::default();
        let shown: Vec<_> = (0..6).map(|_| clock.tick(100.0 / 3.0)).collect();
        assert_eq!(shown, [3, 4, 3, 3, 4, 3]);
        assert_eq!(clock.tick(1e9), u16::MAX);
    }
}
