//! What stands for what is no image: a sheet of paper with a word on it.

use crate::ImageError;
use crate::picture::{Picture, Pixels};
use crate::presentation_state::{Canvas, Ink, LETTER_COLUMNS, LETTER_ROWS};

/// Sides of an icon at least and at most: all of it is seen, and it is made in no time.
const LEAST: u32 = 16;
const MOST: u32 = 1024;

const GROUND: u8 = 0x28;
const PAPER: u8 = 0xD8;
const FOLD: u8 = 0x90;
const PRINT: u8 = 0x20;

/// A square icon with a word of a few letters; `side` is what it should measure.
///
/// # Errors
///
/// [`ImageError::Request`] if the word is too long to be drawn.
pub fn icon(word: &str, side: u32) -> Result<Picture, ImageError> {
    let side = side.clamp(LEAST, MOST);
    let count = (side as usize).pow(2);
    let mut picture = Picture {
        width: side,
        height: side,
        pixels: Pixels::Gray8(vec![GROUND; count]),
    };
    let mut canvas = Canvas::new(&mut picture);
    let at = |part: f64| f64::from(side) * part;
    let (left, right, top, bottom, fold) = (at(0.18), at(0.82), at(0.08), at(0.92), at(0.2));
    let sheet = [
        (left, top),
        (right - fold, top),
        (right, top + fold),
        (right, bottom),
        (left, bottom),
        (left, top),
    ];
    let corner = [
        (right - fold, top),
        (right, top + fold),
        (right - fold, top + fold),
        (right - fold, top),
    ];
    canvas.area(&sheet, gray(PAPER))?;
    canvas.area(&corner, gray(FOLD))?;
    let letters = i64::try_from(word.chars().count()).unwrap_or(i64::MAX);
    let columns = letters
        .saturating_mul(LETTER_COLUMNS + 1)
        .saturating_sub(1)
        .max(1);
    let room = i64::from(side * 56 / 100);
    let scale = (room / columns).min(i64::from(side / 32)).max(1);
    let x = (i64::from(side) - columns.saturating_mul(scale)) / 2;
    let y = i64::from(side * 55 / 100) - LETTER_ROWS * scale / 2;
    canvas.word(word, (x, y), scale, gray(PRINT))?;
    Ok(picture)
}

fn gray(gray: u8) -> Ink {
    Ink {
        gray,
        rgb: [gray; 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_in_every_size() {
        for side in [0, 16, 100, 256, 4096] {
            let icons = ["SR", "PDF", "AUDIO"].map(|word| icon(word, side).unwrap());
            assert!(icons[0] != icons[1] && icons[1] != icons[2]);
            let measured = side.clamp(LEAST, MOST);
            assert_eq!((icons[0].width, icons[0].height), (measured, measured));
        }
        assert!(icon(&"W".repeat(1 << 20), 100).is_err());
    }
}
