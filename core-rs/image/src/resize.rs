//! Pictures in another size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::ImageError;
use crate::options::RenderOptions;
use crate::picture::{Picture, Pixels, bytes_of};

/// The size that a picture of `width` columns and `height` rows gets: pixels made square if that is asked for, then as large as
/// fits into the size asked for. A bound of 0 is none.
///
/// # Errors
///
/// [`ImageError::Limit`] if that is more than the options allow.
pub(crate) fn wanted_size(
    (width, height): (u32, u32),
    pixel_aspect: f64,
    options: &RenderOptions<'_>,
) -> Result<(u32, u32), ImageError> {
    let (mut w, mut h) = (f64::from(width), f64::from(height));
    if options.square_pixels {
        // Nothing is lost: the side that has too few pixels gets more.
        if pixel_aspect > 1.0 {
            h *= pixel_aspect;
        } else {
            w /= pixel_aspect;
        }
    }
    let bound = |bound: Option<u32>| bound.filter(|bound| *bound > 0).map(f64::from);
    let scales = [
        bound(options.width).map(|bound| bound / w),
        bound(options.height).map(|bound| bound / h),
    ];
    let scale = scales.into_iter().flatten().reduce(f64::min).unwrap_or(1.0);
    let (w, h) = ((w * scale).round().max(1.0), (h * scale).round().max(1.0));
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "compared with the limit before; a float beyond the type becomes its end"
    )]
    if w * h > options.max_pixels as f64 {
        Err(ImageError::Limit {
            what: "pixels of a picture",
            found: (w * h) as u64,
            limit: options.max_pixels,
        })
    } else {
        Ok((w as u32, h as u32))
    }
}

/// The picture in another size: smooth means interpolated, and averaged where it gets smaller.
pub(crate) fn resized(
    picture: Picture,
    (width, height): (u32, u32),
    smooth: bool,
) -> Result<Picture, ImageError> {
    let from = (picture.width, picture.height);
    let to = (width, height);
    if from == to {
        return Ok(picture);
    }
    let pixels = if smooth {
        smoothed(&picture.pixels, from, to)?
    } else {
        nearest(&picture.pixels, from, to)
    };
    Ok(Picture {
        width,
        height,
        pixels,
    })
}

/// Of each pixel that pixel of the source in which its middle is.
fn nearest(pixels: &Pixels, from: (u32, u32), to: (u32, u32)) -> Pixels {
    fn pick<T: Copy>(samples: &[T], each: usize, from: (u32, u32), to: (u32, u32)) -> Vec<T> {
        let places = |from: u32, to: u32| {
            let (from, to) = (u64::from(from), u64::from(to));
            let place = move |index| (2 * index + 1) * from / (2 * to);
            (0..to).map(move |index| usize::try_from(place(index)).unwrap_or(0))
        };
        let columns: Vec<_> = places(from.0, to.0).collect();
        let line = usize::try_from(from.0).unwrap_or(0) * each;
        let rows = usize::try_from(to.1).unwrap_or(0);
        let mut out = Vec::with_capacity(columns.len() * each * rows);
        for row in places(from.1, to.1) {
            let row = &samples[row * line..][..line];
            for column in &columns {
                out.extend_from_slice(&row[column * each..][..each]);
            }
        }
        out
    }
    match pixels {
        Pixels::Gray8(samples) => Pixels::Gray8(pick(samples, 1, from, to)),
        Pixels::Gray16(samples) => Pixels::Gray16(pick(samples, 1, from, to)),
        Pixels::SignedGray16(samples) => Pixels::SignedGray16(pick(samples, 1, from, to)),
        Pixels::Rgb8(samples) => Pixels::Rgb8(pick(samples, 3, from, to)),
        Pixels::Rgb16(samples) => Pixels::Rgb16(pick(samples, 3, from, to)),
    }
}

fn smoothed(pixels: &Pixels, from: (u32, u32), to: (u32, u32)) -> Result<Pixels, ImageError> {
    let resize = |bytes: &[u8], pixel_type| resize_bytes(bytes, from, to, pixel_type);
    Ok(match pixels {
        Pixels::Gray8(samples) => Pixels::Gray8(resize(samples, PixelType::U8)?),
        Pixels::Rgb8(samples) => Pixels::Rgb8(resize(samples, PixelType::U8x3)?),
        Pixels::Gray16(samples) => {
            let bytes = resize(&bytes_of(samples, u16::to_ne_bytes), PixelType::U16)?;
            Pixels::Gray16(words(&bytes).collect())
        }
        Pixels::Rgb16(samples) => {
            let bytes = resize(&bytes_of(samples, u16::to_ne_bytes), PixelType::U16x3)?;
            Pixels::Rgb16(words(&bytes).collect())
        }
        Pixels::SignedGray16(samples) => {
            // Turned so that the lowest is 0.
            let turn = |word: [u8; 2]| (u16::from_ne_bytes(word) ^ 0x8000).to_ne_bytes();
            let bytes = bytes_of(samples, |sample| turn(sample.to_ne_bytes()));
            let bytes = resize(&bytes, PixelType::U16)?;
            let back = words(&bytes).map(|word| i16::from_ne_bytes(turn(word.to_ne_bytes())));
            Pixels::SignedGray16(back.collect())
        }
    })
}

fn resize_bytes(
    bytes: &[u8],
    from: (u32, u32),
    to: (u32, u32),
    pixel_type: PixelType,
) -> Result<Vec<u8>, ImageError> {
    let failed = |problem: &'static str| ImageError::Request { problem };
    let source = ImageRef::new(from.0, from.1, bytes, pixel_type)
        .map_err(|_| failed("the picture has no pixels to resize"))?;
    let mut target = Image::new(to.0, to.1, pixel_type);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new()
        .resize(&source, &mut target, &options)
        .map_err(|_| failed("the picture cannot be resized to that"))?;
    Ok(target.into_vec())
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes
        .chunks_exact(2)
        .map(|word| u16::from_ne_bytes([word[0], word[1]]))
}
