//! Lines, areas and letters on a picture.

use super::font;
use super::shutter::crossings;
use crate::ImageError;
use crate::picture::{Picture, Pixels};

/// What is drawn with: a gray on gray pictures, a colour on others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ink {
    pub gray: u8,
    pub rgb: [u8; 3],
}

impl Ink {
    pub const WHITE: Ink = Ink {
        gray: u8::MAX,
        rgb: [u8::MAX; 3],
    };

    /// Inks a stretch of pixels.
    pub fn fill(self, pixels: &mut Pixels, range: std::ops::Range<usize>) {
        match pixels {
            Pixels::Gray8(samples) => samples[range].fill(self.gray),
            Pixels::Rgb8(samples) => samples[3 * range.start..3 * range.end]
                .chunks_exact_mut(3)
                .for_each(|pixel| pixel.copy_from_slice(&self.rgb)),
            // Presentation states make pictures of 8 bits.
            Pixels::Gray16(_) | Pixels::SignedGray16(_) | Pixels::Rgb16(_) => {}
        }
    }
}

/// The colour of a CIELab value as DICOM writes it, three words (PS3.3 §C.10.7.1.1): sRGB, the white of D50 white.
pub(crate) fn rgb_of_cielab(words: &[f64]) -> Option<[u8; 3]> {
    let &[l, a, b] = words.first_chunk()?;
    let (l, a, b) = (
        l / 65535.0 * 100.0,
        a / 65535.0 * 255.0 - 128.0,
        b / 65535.0 * 255.0 - 128.0,
    );
    let fy = (l + 16.0) / 116.0;
    let inverse = |f: f64| match f.powi(3) {
        cube if cube > 0.008_856 => cube,
        _ => (116.0 * f - 16.0) / 903.3,
    };
    let x = 0.9642 * inverse(fy + a / 500.0);
    let y = inverse(fy);
    let z = 0.8249 * inverse(fy - b / 200.0);
    // Bradford-adapted from D50 to the primaries of sRGB.
    let linear = [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_142 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ];
    Some(linear.map(|value: f64| {
        let value = value.clamp(0.0, 1.0);
        let curved = if value <= 0.003_130_8 {
            12.92 * value
        } else {
            1.055 * value.powf(1.0 / 2.4) - 0.055
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 255"
        )]
        let byte = (curved * 255.0).round() as u8;
        byte
    }))
}

/// A picture that is drawn on. What is outside of it is left out.
pub(crate) struct Canvas<'a> {
    picture: &'a mut Picture,
    /// Pixels that may still be inked: a presentation state may hold a graphic for each of its bytes.
    ink_left: u64,
}

impl<'a> Canvas<'a> {
    pub fn new(picture: &'a mut Picture) -> Self {
        let pixels = u64::from(picture.width) * u64::from(picture.height);
        Canvas {
            ink_left: 16 * pixels + 1_000_000,
            picture,
        }
    }

    fn size(&self) -> (f64, f64) {
        (self.picture.width.into(), self.picture.height.into())
    }

    /// Pixels of a row from one column to before another.
    fn row(&mut self, row: i64, from: i64, to: i64, ink: Ink) -> Result<(), ImageError> {
        self.ink_left = self.ink_left.checked_sub(1).ok_or(TOO_MUCH)?;
        let (width, height) = (
            i64::from(self.picture.width),
            i64::from(self.picture.height),
        );
        let (from, to) = (from.clamp(0, width), to.clamp(0, width));
        if !(0..height).contains(&row) || from >= to {
            return Ok(());
        }
        self.ink_left = self
            .ink_left
            .checked_sub(to.abs_diff(from))
            .ok_or(TOO_MUCH)?;
        let index = |column: i64| usize::try_from(row * width + column).unwrap_or(0);
        ink.fill(&mut self.picture.pixels, index(from)..index(to));
        Ok(())
    }

    /// A mark of a size that is seen.
    pub fn point(&mut self, (x, y): (f64, f64), ink: Ink) -> Result<(), ImageError> {
        let arm = (self.size().0.min(self.size().1) / 100.0).clamp(2.0, 20.0);
        self.line((x - arm, y), (x + arm, y), ink)?;
        self.line((x, y - arm), (x, y + arm), ink)
    }

    /// A straight line, one pixel wide.
    pub fn line(&mut self, a: (f64, f64), b: (f64, f64), ink: Ink) -> Result<(), ImageError> {
        let Some((a, b)) = clipped(a, b, self.size()) else {
            return Ok(());
        };
        let steps = (b.0 - a.0).abs().max((b.1 - a.1).abs()).ceil().max(1.0);
        let mut step = 0.0;
        while step <= steps {
            let part = step / steps;
            let x = pixel(a.0 + (b.0 - a.0) * part);
            let y = pixel(a.1 + (b.1 - a.1) * part);
            self.row(y, x, x + 1, ink)?;
            step += 1.0;
        }
        Ok(())
    }

    pub fn polyline(&mut self, points: &[(f64, f64)], ink: Ink) -> Result<(), ImageError> {
        points
            .windows(2)
            .try_for_each(|ends| self.line(ends[0], ends[1], ink))
    }

    /// The area inside of a closed line.
    pub fn area(&mut self, points: &[(f64, f64)], ink: Ink) -> Result<(), ImageError> {
        let vertices: Vec<_> = points.iter().map(|(x, y)| [*y, *x]).collect();
        let rows = vertices.iter().map(|vertex| vertex[0]);
        let (top, bottom) = rows.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), row| {
            (low.min(row), high.max(row))
        });
        let height = self.size().1;
        let last = pixel(bottom.clamp(-1.0, height));
        for row in pixel(top.clamp(-1.0, height))..=last {
            // Each row looks at each side.
            let sides = vertices.len() as u64;
            self.ink_left = self.ink_left.checked_sub(sides).ok_or(TOO_MUCH)?;
            #[allow(clippy::cast_precision_loss, reason = "a row of the picture")]
            let middle = row as f64 + 0.5;
            for ends in crossings(&vertices, middle).chunks_exact(2) {
                let (from, to) = (
                    pixel((ends[0] + 0.5).floor()),
                    pixel((ends[1] + 0.5).floor()),
                );
                self.row(row, from, to, ink)?;
            }
        }
        Ok(())
    }

    /// Lines of text, the first with its upper left corner at a place.
    pub fn text(&mut self, text: &str, (x, y): (f64, f64), ink: Ink) -> Result<(), ImageError> {
        if !(x.is_finite() && y.is_finite()) {
            return Ok(());
        }
        let scale = pixel((self.size().0.min(self.size().1) / 400.0).clamp(1.0, 16.0));
        let (left, top) = (pixel(x), pixel(y));
        let lines = text.lines().map(|line| line.trim_end());
        for (line, number) in lines.zip(0i64..) {
            let y = top + number * scale * (font::ROWS + 2);
            self.word(line, (left, y), scale, ink)?;
        }
        Ok(())
    }

    /// Letters in a row, each of their pixels `scale` wide.
    pub fn word(
        &mut self,
        word: &str,
        (left, top): (i64, i64),
        scale: i64,
        ink: Ink,
    ) -> Result<(), ImageError> {
        for (letter, place) in word.chars().zip(0i64..) {
            let x = left + place * scale * (font::COLUMNS + 1);
            self.letter(letter, (x, top), scale, ink)?;
        }
        Ok(())
    }

    fn letter(
        &mut self,
        letter: char,
        (x, y): (i64, i64),
        scale: i64,
        ink: Ink,
    ) -> Result<(), ImageError> {
        for (bits, column) in font::columns(letter).into_iter().zip(0i64..) {
            for row in (0..font::ROWS).filter(|row| bits >> row & 1 == 1) {
                for line in 0..scale {
                    let from = x + column * scale;
                    self.row(y + row * scale + line, from, from + scale, ink)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes lines of text into the upper left corner, white with a black shadow.
pub(crate) fn annotate(picture: &mut Picture, lines: &[String]) -> Result<(), ImageError> {
    if lines.is_empty() {
        return Ok(());
    }
    let text = lines.join("\n");
    let mut canvas = Canvas::new(picture);
    canvas.text(&text, (5.0, 5.0), Ink::default())?;
    canvas.text(&text, (4.0, 4.0), Ink::WHITE)
}

/// The pixel that a coordinate is in.
fn pixel(coordinate: f64) -> i64 {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "far outside is outside, and so is what is no number"
    )]
    let pixel = coordinate.clamp(-1e9, 1e9).floor() as i64;
    pixel
}

/// The part of a line that is on a picture or at most a pixel beside it (Liang and Barsky); `None` if nothing is.
fn clipped(
    a: (f64, f64),
    b: (f64, f64),
    (width, height): (f64, f64),
) -> Option<((f64, f64), (f64, f64))> {
    if ![a.0, a.1, b.0, b.1].iter().all(|place| place.is_finite()) {
        return None;
    }
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let (mut from, mut to) = (0.0f64, 1.0f64);
    for (direction, room) in [
        (-dx, a.0 + 1.0),
        (dx, width + 1.0 - a.0),
        (-dy, a.1 + 1.0),
        (dy, height + 1.0 - a.1),
    ] {
        if direction == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if direction < 0.0 {
            from = from.max(room / direction);
        } else {
            to = to.min(room / direction);
        }
    }
    let place = |part: f64| (a.0 + dx * part, a.1 + dy * part);
    (from <= to).then(|| (place(from), place(to)))
}

const TOO_MUCH: ImageError = ImageError::Request {
    problem: "the presentation state has more graphics than can be drawn on the picture",
};
