//! A frame as a presentation state wants it displayed (PS3.4 §N.2).

use vna_codec::Decoded;

use super::area::{DisplayedArea, Part};
use super::draw::Canvas;
use super::graphics::Units;
use super::{PresentationState, of_frame};
use crate::ImageError;
use crate::colour::rgb8;
use crate::description::ImageDescription;
use crate::grayscale::{Pipeline, Voi};
use crate::options::RenderOptions;
use crate::picture::{Picture, Pixels};
use crate::resize::{resized, wanted_size};
use crate::samples::Samples;

/// The picture of a frame that the presentation state refers to.
pub(crate) fn present(
    state: &PresentationState,
    description: &ImageDescription,
    frame: usize,
    decoded: &Decoded<'_>,
    samples: &Samples<'_>,
    options: &RenderOptions<'_>,
) -> Result<Picture, ImageError> {
    let image = (decoded.format.columns, decoded.format.rows);
    let uid = description.sop_instance_uid.as_str();
    let area = of_frame(&state.areas, uid, frame).next();
    let part = match area {
        Some(area) => area.part()?,
        None => Part {
            x: 0,
            y: 0,
            width: image.0,
            height: image.1,
        },
    };
    let turned = match state.orientation.swaps() {
        true => (part.height, part.width),
        false => (part.width, part.height),
    };
    let aspect = area.and_then(|area| area.aspect);
    let aspect = aspect.unwrap_or_else(|| description.pixel_aspect(frame));
    let aspect = if state.orientation.swaps() {
        1.0 / aspect
    } else {
        aspect
    };
    // The part itself is made before it is resized, so it is bounded too.
    wanted_size(
        (part.width, part.height),
        1.0,
        &RenderOptions {
            max_pixels: options.max_pixels,
            ..RenderOptions::default()
        },
    )?;
    let size = wanted_size(turned, aspect, &magnified(area, turned, options))?;

    let mut pixels = values(state, description, frame, decoded, samples, options)?;
    cover(state, frame, decoded, &mut pixels)?;
    overlay(state, description, frame, decoded, &mut pixels)?;
    let picture = Picture {
        width: turned.0,
        height: turned.1,
        pixels: turn(state, &part, image.0, pixels),
    };
    let mut picture = resized(picture, size, options.smooth)?;
    annotate(state, uid, frame, &part, turned, &mut picture)?;
    Ok(picture)
}

/// The options, with the size that a displayed area asks for if the options do not.
fn magnified<'a>(
    area: Option<&DisplayedArea>,
    turned: (u32, u32),
    options: &RenderOptions<'a>,
) -> RenderOptions<'a> {
    let magnification = area.and_then(|area| area.magnification);
    let mut options = *options;
    if let (Some(ratio), None, None) = (magnification, options.width, options.height) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float beyond the type becomes its end, and then is too large"
        )]
        let width = (f64::from(turned.0) * ratio).round() as u32;
        options.width = Some(width.max(1));
    }
    options
}

/// Grays or colours of all pixels of the frame.
fn values(
    state: &PresentationState,
    description: &ImageDescription,
    frame: usize,
    decoded: &Decoded<'_>,
    samples: &Samples<'_>,
    options: &RenderOptions<'_>,
) -> Result<Pixels, ImageError> {
    if decoded.format.samples_per_pixel != 1 {
        return rgb8(decoded, description.high_bit).map(Pixels::Rgb8);
    }
    if let (Some(palette), true) = (&description.palette, description.is_palette_color()) {
        let colours = samples.map(|value| palette.colour(value));
        return Ok(Pixels::Rgb8(colours.into_flattened()));
    }
    let uid = description.sop_instance_uid.as_str();
    let padding = description.padding(samples);
    let view = of_frame(&state.vois, uid, frame).next();
    let voi = match (options.window, view) {
        (Some(window), _) => Voi::Window(window),
        (None, Some(view)) => view.clone()?,
        (None, None) => {
            let of_frame = || samples.range(padding).unwrap_or((0.0, 0.0));
            let possible = samples.possible().unwrap_or_else(of_frame);
            let (low, high) = state.modality.range(possible);
            Voi::Range(low, high)
        }
    };
    let pipeline = Pipeline {
        modality: &state.modality,
        voi: &voi,
        // Says all that Photometric Interpretation would say (PS3.3 §C.11.6).
        presentation: &state.presentation,
        padding,
    };
    Ok(match &state.palette {
        Some(palette) => {
            let colours = samples.map(|value| palette.colour_of_unit(pipeline.unit(value)));
            Pixels::Rgb8(colours.into_flattened())
        }
        None => Pixels::Gray8(samples.map(|value| pipeline.level(value))),
    })
}

/// Covers what shutters cover.
fn cover(
    state: &PresentationState,
    frame: usize,
    decoded: &Decoded<'_>,
    pixels: &mut Pixels,
) -> Result<(), ImageError> {
    let (columns, rows) = (decoded.format.columns, decoded.format.rows);
    let ink = state.shutter.ink;
    state
        .shutter
        .each_covered(columns, rows, |range| ink.fill(pixels, range));
    let bitmap = state.overlays.iter();
    for bitmap in bitmap.filter(|overlay| Some(overlay.group) == state.shutter.bitmap) {
        bitmap.each(frame, decoded, |index| ink.fill(pixels, index..index + 1))?;
    }
    Ok(())
}

/// Shows the active overlays: of a group that the presentation state has its own, else the image's.
fn overlay(
    state: &PresentationState,
    description: &ImageDescription,
    frame: usize,
    decoded: &Decoded<'_>,
    pixels: &mut Pixels,
) -> Result<(), ImageError> {
    let active = state.active_overlays.iter().collect();
    for (group, layer) in state.layers.in_order(active, |(_, layer)| layer) {
        let ink = state.layers.ink(layer);
        let all = state.overlays.iter().chain(&description.overlays);
        if let Some(overlay) = all.into_iter().find(|overlay| overlay.group == *group) {
            overlay.each(frame, decoded, |index| ink.fill(pixels, index..index + 1))?;
        }
    }
    Ok(())
}

fn turn(state: &PresentationState, part: &Part, columns: u32, pixels: Pixels) -> Pixels {
    let size = (part.width, part.height);
    match pixels {
        Pixels::Gray8(samples) => {
            let samples = part.cut(&samples, columns, 1);
            Pixels::Gray8(state.orientation.turn(samples, size, 1))
        }
        Pixels::Rgb8(samples) => {
            let samples = part.cut(&samples, columns, 3);
            Pixels::Rgb8(state.orientation.turn(samples, size, 3))
        }
        other => other,
    }
}

/// Draws graphics and texts, in the size of the finished picture.
fn annotate(
    state: &PresentationState,
    uid: &str,
    frame: usize,
    part: &Part,
    turned: (u32, u32),
    picture: &mut Picture,
) -> Result<(), ImageError> {
    let annotations = of_frame(&state.annotations, uid, frame).collect();
    let annotations = state
        .layers
        .in_order(annotations, |annotation| &annotation.layer);
    let (width, height) = (f64::from(picture.width), f64::from(picture.height));
    let scale = (width / f64::from(turned.0), height / f64::from(turned.1));
    let mut canvas = Canvas::new(picture);
    #[allow(clippy::cast_precision_loss, reason = "a column and a row of an image")]
    let origin = (part.x as f64, part.y as f64);
    for annotation in annotations {
        let ink = state.layers.ink(&annotation.layer);
        annotation.draw(&mut canvas, ink, |units, (x, y)| match units {
            Units::Display => (x * width, y * height),
            Units::Pixel => {
                let inside = (x - origin.0, y - origin.1);
                let size = (f64::from(part.width), f64::from(part.height));
                let (x, y) = state.orientation.place(inside, size);
                (x * scale.0, y * scale.1)
            }
        })?;
    }
    Ok(())
}
