//! Which part of an image is displayed, and which way up (PS3.3 §C.10.4, §C.10.6).

use vna_dicom::{DataSet, Tag};

use crate::ImageError;
use crate::attributes::Attributes;
use crate::groups::ratio;
use crate::tag;

/// An item of Displayed Area Selection Sequence.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct DisplayedArea {
    /// Column and row of a corner, counted from 1; it may be outside of the image.
    corner: (i64, i64),
    /// Of the corner opposite to it.
    opposite: (i64, i64),
    /// Height of a pixel by its width.
    pub aspect: Option<f64>,
    /// Presentation Pixel Magnification Ratio, of Presentation Size Mode MAGNIFY.
    pub magnification: Option<f64>,
}

impl DisplayedArea {
    pub fn read(item: &DataSet) -> Option<Self> {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a float beyond the type becomes its end"
        )]
        let corner = |tag| -> Option<(i64, i64)> {
            let place = item.decimals(tag);
            let &[column, row] = place.first_chunk()?;
            Some((column as i64, row as i64))
        };
        let magnified = item.text(PRESENTATION_SIZE_MODE).as_deref() == Some("MAGNIFY");
        let magnification = item.decimal(PRESENTATION_PIXEL_MAGNIFICATION_RATIO);
        Some(DisplayedArea {
            corner: corner(TOP_LEFT_HAND_CORNER)?,
            opposite: corner(BOTTOM_RIGHT_HAND_CORNER)?,
            aspect: ratio(&item.decimals(tag::PRESENTATION_PIXEL_SPACING))
                .or_else(|| ratio(&item.decimals(PRESENTATION_PIXEL_ASPECT_RATIO))),
            magnification: magnification.filter(|ratio| magnified && *ratio > 0.0),
        })
    }

    /// The part of the image, before it is turned.
    ///
    /// The corners are told by what they are after turning, so the first need not be the upper left one.
    pub fn part(&self) -> Result<Part, ImageError> {
        let extent = |a: i64, b: i64| {
            let (from, to) = (a.min(b), a.max(b));
            let length = u32::try_from(to.saturating_sub(from).saturating_add(1));
            (from.saturating_sub(1), length)
        };
        let (x, width) = extent(self.corner.0, self.opposite.0);
        let (y, height) = extent(self.corner.1, self.opposite.1);
        let (Ok(width), Ok(height)) = (width, height) else {
            return Err(ImageError::Table {
                tag: TOP_LEFT_HAND_CORNER,
                problem: "is too far from the other corner",
            });
        };
        Ok(Part {
            x,
            y,
            width,
            height,
        })
    }
}

/// A rectangle of an image; it may reach over its edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Column of the upper left pixel, counted from 0.
    pub x: i64,
    /// Row of it.
    pub y: i64,
    pub width: u32,
    pub height: u32,
}

impl Part {
    /// Copies the part out of an image of `columns` columns, with `each` samples a pixel; what is outside is black.
    pub fn cut<T: Copy + Default>(&self, pixels: &[T], columns: u32, each: usize) -> Vec<T> {
        let columns = columns as usize;
        let line = columns * each;
        let rows = pixels.len().checked_div(line).unwrap_or(0);
        let (width, height) = (self.width as usize, self.height as usize);
        let mut out = vec![T::default(); width * height * each];
        // What of the part is in the image, as columns and rows of the part.
        let inside = |origin: i64, own: usize, image: usize| {
            let (own, image) = (own as i64, image as i64);
            let from = origin.saturating_neg().clamp(0, own);
            let to = image.saturating_sub(origin).clamp(from, own);
            (index(from), index(to))
        };
        let (left, right) = inside(self.x, width, columns);
        let (top, bottom) = inside(self.y, height, rows);
        if left == right {
            return out;
        }
        for row in top..bottom {
            let (x, y) = (index(self.x + left as i64), index(self.y + row as i64));
            let from = &pixels[y * line + x * each..][..(right - left) * each];
            let to = (row * width + left) * each;
            out[to..][..from.len()].copy_from_slice(from);
        }
        out
    }
}

fn index(place: i64) -> usize {
    usize::try_from(place).unwrap_or(0)
}

/// How a displayed area is turned: clockwise, and then flipped (PS3.3 §C.10.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Orientation {
    quarters: u32,
    flipped: bool,
}

impl Orientation {
    pub fn read(data_set: &DataSet) -> Self {
        Orientation {
            quarters: data_set.number(IMAGE_ROTATION).unwrap_or(0) / 90 % 4,
            flipped: data_set.text(IMAGE_HORIZONTAL_FLIP).as_deref() == Some("Y"),
        }
    }

    /// Whether rows become columns.
    pub fn swaps(self) -> bool {
        self.quarters % 2 == 1
    }

    /// Where a place in a picture of `width` to `height` goes.
    pub fn place(self, (x, y): (f64, f64), (width, height): (f64, f64)) -> (f64, f64) {
        let (x, y) = match self.quarters {
            0 => (x, y),
            1 => (height - y, x),
            2 => (width - x, height - y),
            _ => (y, width - x),
        };
        match self.flipped {
            true if self.swaps() => (height - x, y),
            true => (width - x, y),
            false => (x, y),
        }
    }

    /// Turns the pixels of a picture of `width` to `height`, `each` samples a pixel.
    pub fn turn<T: Copy>(self, pixels: Vec<T>, (width, height): (u32, u32), each: usize) -> Vec<T> {
        if self == Orientation::default() {
            return pixels;
        }
        let (width, height) = (width as usize, height as usize);
        let (new_width, new_height) = if self.swaps() {
            (height, width)
        } else {
            (width, height)
        };
        let mut out = Vec::with_capacity(pixels.len());
        for y in 0..new_height {
            for x in 0..new_width {
                let x = if self.flipped { new_width - 1 - x } else { x };
                let (from_x, from_y) = match self.quarters {
                    0 => (x, y),
                    1 => (y, height - 1 - x),
                    2 => (width - 1 - x, height - 1 - y),
                    _ => (width - 1 - y, x),
                };
                out.extend_from_slice(&pixels[(from_y * width + from_x) * each..][..each]);
            }
        }
        out
    }
}

const TOP_LEFT_HAND_CORNER: Tag = Tag(0x0070, 0x0052);
const BOTTOM_RIGHT_HAND_CORNER: Tag = Tag(0x0070, 0x0053);
const PRESENTATION_SIZE_MODE: Tag = Tag(0x0070, 0x0100);
const PRESENTATION_PIXEL_ASPECT_RATIO: Tag = Tag(0x0070, 0x0102);
const PRESENTATION_PIXEL_MAGNIFICATION_RATIO: Tag = Tag(0x0070, 0x0103);
const IMAGE_HORIZONTAL_FLIP: Tag = Tag(0x0070, 0x0041);
const IMAGE_ROTATION: Tag = Tag(0x0070, 0x0042);
