//! From samples to a picture.

use vna_codec::Decoded;

use crate::ImageError;
use crate::colour::rgb8;
use crate::description::ImageDescription;
use crate::grayscale::{Pipeline, Voi, level};
use crate::options::{ClippedTo, Fallback, Mode, RenderOptions};
use crate::picture::{Picture, Pixels};
use crate::presentation_state::{annotate, present};
use crate::resize::{resized, wanted_size};
use crate::samples::Samples;

/// The picture of a frame, or of a part of it.
pub(crate) fn render(
    description: &ImageDescription,
    frame: usize,
    decoded: &Decoded<'_>,
    samples: &Samples<'_>,
    options: &RenderOptions<'_>,
) -> Result<Picture, ImageError> {
    let mut picture = match options.region {
        None => render_whole(description, frame, decoded, samples, options)?,
        Some(region) => {
            let in_own_size = RenderOptions {
                width: None,
                height: None,
                ..*options
            };
            let whole = render_whole(description, frame, decoded, samples, &in_own_size)?;
            let part = region.of(&whole)?;
            // Pixels were made square, if that is asked for, when the whole was made.
            let size = wanted_size((part.width, part.height), 1.0, options)?;
            resized(part, size, options.smooth)?
        }
    };
    annotate(&mut picture, options.annotation)?;
    Ok(picture)
}

fn render_whole(
    description: &ImageDescription,
    frame: usize,
    decoded: &Decoded<'_>,
    samples: &Samples<'_>,
    options: &RenderOptions<'_>,
) -> Result<Picture, ImageError> {
    if let (Mode::Rendered, Some(state)) = (options.mode, options.presentation_state) {
        if state.refers_to(&description.sop_instance_uid, frame) {
            return present(state, description, frame, decoded, samples, options);
        }
    }
    let (columns, rows) = (decoded.format.columns, decoded.format.rows);
    let aspect = description.pixel_aspect(frame);
    // Before anything is made: whether it may be that large.
    let size = wanted_size((columns, rows), aspect, options)?;
    let mut pixels = match options.mode {
        Mode::Clipped(to) => clipped(samples, decoded, to)?,
        Mode::Preview => preview(description, decoded, samples)?,
        Mode::Rendered => rendered(description, frame, decoded, samples, options)?,
    };
    if options.overlays {
        for overlay in &description.overlays {
            overlay.each(frame, decoded, |index| pixels.whiten(index))?;
        }
    }
    let picture = Picture {
        width: columns,
        height: rows,
        pixels,
    };
    resized(picture, size, options.smooth)
}

/// Stored values, cut off at the ends of a type.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "that is what is asked for"
)]
fn clipped(
    samples: &Samples<'_>,
    decoded: &Decoded<'_>,
    to: ClippedTo,
) -> Result<Pixels, ImageError> {
    if decoded.format.samples_per_pixel != 1 {
        return Err(ImageError::Request {
            problem: "the image has colours, and only gray values can be clipped",
        });
    }
    // A float beyond the type becomes its end.
    Ok(match to {
        ClippedTo::UInt8 => Pixels::Gray8(samples.map(|value| value as u8)),
        ClippedTo::UInt16 => Pixels::Gray16(samples.map(|value| value as u16)),
        ClippedTo::Int16 => Pixels::SignedGray16(samples.map(|value| value as i16)),
    })
}

/// The lowest value black, the highest white.
fn preview(
    description: &ImageDescription,
    decoded: &Decoded<'_>,
    samples: &Samples<'_>,
) -> Result<Pixels, ImageError> {
    if decoded.format.samples_per_pixel != 1 {
        return rgb8(decoded, description.high_bit).map(Pixels::Rgb8);
    }
    if let (Some(palette), true) = (&description.palette, description.is_palette_color()) {
        let colours = samples.map(|value| palette.colour(value));
        return Ok(Pixels::Rgb8(colours.into_flattened()));
    }
    let (low, high) = samples.range(None).unwrap_or((0.0, 0.0));
    let voi = Voi::Range(low, high);
    let inverted = description.is_monochrome1();
    Ok(Pixels::Gray8(samples.map(|value| {
        let level = level(voi.unit(value));
        if inverted { 255 - level } else { level }
    })))
}

/// As the header wants it displayed.
fn rendered(
    description: &ImageDescription,
    frame: usize,
    decoded: &Decoded<'_>,
    samples: &Samples<'_>,
    options: &RenderOptions<'_>,
) -> Result<Pixels, ImageError> {
    if decoded.format.samples_per_pixel != 1 || description.is_palette_color() {
        return preview(description, decoded, samples);
    }
    let padding = description.padding(samples);
    let modality = description.groups.modality(frame);
    let views = description.groups.views(frame);
    let view = views.get(options.view).or(views.first());
    let voi = match (options.window, view) {
        (Some(window), _) => Voi::Window(window),
        (None, Some(view)) => view.clone()?,
        (None, None) => match (options.fallback, description.possible_values()) {
            (Fallback::Values(low, high), _) => Voi::Range(low, high),
            (Fallback::BitsStored, Some(window)) => Voi::Window(window),
            (Fallback::BitsStored, None) | (Fallback::FrameValues, _) => {
                let range = samples.range(padding).unwrap_or((0.0, 0.0));
                let (low, high) = modality.range(range);
                Voi::Range(low, high)
            }
        },
    };
    let pipeline = Pipeline {
        modality,
        voi: &voi,
        presentation: &description.presentation,
        padding,
    };
    // Values of a supplemental palette are coloured, those below it are gray (PS3.3 §C.8.16.2.1.1.1).
    if let Some(palette) = &description.palette {
        #[allow(clippy::cast_precision_loss, reason = "16-bit values")]
        let first = palette.first as f64;
        let colours = samples.map(|value| {
            if value >= first {
                palette.colour(value)
            } else {
                [pipeline.level(value); 3]
            }
        });
        return Ok(Pixels::Rgb8(colours.into_flattened()));
    }
    Ok(Pixels::Gray8(samples.map(|value| pipeline.level(value))))
}
