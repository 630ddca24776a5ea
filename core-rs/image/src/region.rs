//! A part of a picture.

use crate::ImageError;
use crate::options::Region;
use crate::picture::{Picture, Pixels};

impl Region {
    /// That part of a picture.
    ///
    /// # Errors
    ///
    /// [`ImageError::Request`] if nothing of it is inside of the picture.
    pub(crate) fn of(self, picture: &Picture) -> Result<Picture, ImageError> {
        let width = extent(self.x, self.width, picture.width)?;
        let height = extent(self.y, self.height, picture.height)?;
        let part = Part {
            region: self,
            line: picture.width as usize,
            width: width as usize,
            height: height as usize,
        };
        let pixels = match &picture.pixels {
            Pixels::Gray8(samples) => Pixels::Gray8(part.cut::<u8, 1>(samples)),
            Pixels::Gray16(samples) => Pixels::Gray16(part.cut::<u16, 1>(samples)),
            Pixels::SignedGray16(samples) => Pixels::SignedGray16(part.cut::<i16, 1>(samples)),
            Pixels::Rgb8(samples) => Pixels::Rgb8(part.cut::<u8, 3>(samples)),
            Pixels::Rgb16(samples) => Pixels::Rgb16(part.cut::<u16, 3>(samples)),
        };
        Ok(Picture {
            width,
            height,
            pixels,
        })
    }
}

/// How many pixels there are from `from` on: as many as asked for, or up to the edge.
fn extent(from: u32, asked: u32, all: u32) -> Result<u32, ImageError> {
    let left = all.saturating_sub(from);
    match (left, asked) {
        (0, _) => Err(ImageError::Request {
            problem: "the region is outside of the picture",
        }),
        (left, 0) => Ok(left),
        (left, asked) => Ok(left.min(asked)),
    }
}

/// A region that is inside of a picture whose rows have `line` pixels.
struct Part {
    region: Region,
    line: usize,
    width: usize,
    height: usize,
}

impl Part {
    /// The samples of the part, `N` of a pixel.
    fn cut<T: Copy, const N: usize>(&self, samples: &[T]) -> Vec<T> {
        let (x, y) = (self.region.x as usize, self.region.y as usize);
        let mut out = Vec::with_capacity(self.width * self.height * N);
        for row in 0..self.height {
            let row = match self.region.upside_down {
                true => self.height - 1 - row,
                false => row,
            };
            let at = ((y + row) * self.line + x) * N;
            let row = &samples[at..][..self.width * N];
            if self.region.mirrored {
                let pixels = row.chunks_exact(N).rev();
                pixels.for_each(|pixel| out.extend_from_slice(pixel));
            } else {
                out.extend_from_slice(row);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture {
            width: 4,
            height: 3,
            pixels: Pixels::Gray8((0..12).collect()),
        }
    }

    const ALL: Region = Region {
        x: 0,
        y: 0,
        width: 0,
        height: 0,
        mirrored: false,
        upside_down: false,
    };

    #[test]
    fn a_region_is_cut_out_mirrored_and_turned_upside_down() {
        assert_eq!(ALL.of(&picture()).unwrap(), picture());
        let part = Region {
            x: 1,
            y: 1,
            width: 2,
            ..ALL
        };
        let cut = |region: Region| region.of(&picture()).unwrap().pixels;
        assert_eq!(cut(part), Pixels::Gray8(vec![5, 6, 9, 10]));
        let mirrored = Region {
            mirrored: true,
            ..part
        };
        assert_eq!(cut(mirrored), Pixels::Gray8(vec![6, 5, 10, 9]));
        let turned = Region {
            upside_down: true,
            ..part
        };
        assert_eq!(cut(turned), Pixels::Gray8(vec![9, 10, 5, 6]));
    }

    #[test]
    fn colours_of_a_pixel_stay_together() {
        let picture = Picture {
            width: 2,
            height: 1,
            pixels: Pixels::Rgb8(vec![1, 2, 3, 4, 5, 6]),
        };
        let region = Region {
            mirrored: true,
            ..ALL
        };
        let pixels = region.of(&picture).unwrap().pixels;
        assert_eq!(pixels, Pixels::Rgb8(vec![4, 5, 6, 1, 2, 3]));
    }

    #[test]
    fn what_is_beyond_the_edge_is_left_out_and_nothing_is_an_error() {
        let wide = Region {
            x: 3,
            width: u32::MAX,
            ..ALL
        };
        assert_eq!(wide.of(&picture()).unwrap().width, 1);
        let outside = Region { x: 4, ..ALL };
        assert!(outside.of(&picture()).is_err());
    }
}
