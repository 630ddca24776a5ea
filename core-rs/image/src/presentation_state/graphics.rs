//! Graphic annotations and the layers that they are in (PS3.3 §C.10.5, §C.10.7).

use vna_dicom::{DataSet, Tag};

use super::draw::{Canvas, Ink, rgb_of_cielab};
use crate::ImageError;
use crate::attributes::Attributes;

/// An item of Graphic Annotation Sequence.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Annotation {
    pub layer: String,
    graphics: Vec<Graphic>,
    texts: Vec<Text>,
}

/// What coordinates are counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Units {
    /// Pixels of the image, from its upper left corner.
    Pixel,
    /// Parts of the displayed area.
    Display,
}

/// An item of Graphic Object Sequence.
#[derive(Clone, PartialEq, Debug)]
struct Graphic {
    units: Units,
    shape: Shape,
    filled: bool,
    points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Point,
    Polyline,
    Interpolated,
    Circle,
    Ellipse,
}

/// An item of Text Object Sequence.
#[derive(Clone, PartialEq, Debug)]
struct Text {
    text: String,
    /// The upper left corner of its box, or else its anchor.
    place: (Units, (f64, f64)),
}

impl Annotation {
    pub fn read(item: &DataSet) -> Result<Self, ImageError> {
        let graphics = item.items(GRAPHIC_OBJECT_SEQUENCE).iter();
        let texts = item.items(TEXT_OBJECT_SEQUENCE).iter();
        Ok(Annotation {
            layer: item.text(GRAPHIC_LAYER).unwrap_or_default(),
            graphics: graphics.map(Graphic::read).collect::<Result<_, _>>()?,
            texts: texts.filter_map(Text::read).collect(),
        })
    }

    /// Draws it; `place` says where in the picture a place is.
    pub fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        ink: Ink,
        place: impl Fn(Units, (f64, f64)) -> (f64, f64),
    ) -> Result<(), ImageError> {
        for graphic in &self.graphics {
            graphic.draw(canvas, ink, |point| place(graphic.units, point))?;
        }
        for text in &self.texts {
            let (units, corner) = text.place;
            canvas.text(&text.text, place(units, corner), ink)?;
        }
        Ok(())
    }
}

impl Graphic {
    fn read(item: &DataSet) -> Result<Self, ImageError> {
        let numbers = item.decimals(GRAPHIC_DATA);
        let points = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let points: Vec<_> = points.collect();
        let broken = |tag, problem| Err(ImageError::Table { tag, problem });
        let (shape, needed) = match item.text(GRAPHIC_TYPE).as_deref() {
            Some("POINT") => (Shape::Point, 1),
            Some("POLYLINE") => (Shape::Polyline, 2),
            Some("INTERPOLATED") => (Shape::Interpolated, 2),
            Some("CIRCLE") => (Shape::Circle, 2),
            Some("ELLIPSE") => (Shape::Ellipse, 4),
            _ => return broken(GRAPHIC_TYPE, "is none that the standard knows"),
        };
        if points.len() < needed {
            return broken(GRAPHIC_DATA, "has too few points for its graphic");
        }
        Ok(Graphic {
            units: units(item, GRAPHIC_ANNOTATION_UNITS),
            shape,
            filled: item.text(GRAPHIC_FILLED).as_deref() == Some("Y"),
            points,
        })
    }

    fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        ink: Ink,
        place: impl Fn((f64, f64)) -> (f64, f64),
    ) -> Result<(), ImageError> {
        let points = &self.points;
        let line = match self.shape {
            Shape::Point => {
                return points
                    .iter()
                    .try_for_each(|point| canvas.point(place(*point), ink));
            }
            Shape::Polyline => points.clone(),
            Shape::Interpolated => interpolated(points),
            Shape::Circle => {
                let (center, edge) = (points[0], points[1]);
                let radius = (edge.0 - center.0).hypot(edge.1 - center.1);
                ellipse(center, (radius, 0.0), (0.0, radius))
            }
            Shape::Ellipse => {
                // The ends of the major axis, then of the minor one.
                let middle = |a: (f64, f64), b: (f64, f64)| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
                let half = |a: (f64, f64), b: (f64, f64)| ((b.0 - a.0) / 2.0, (b.1 - a.1) / 2.0);
                ellipse(
                    middle(points[0], points[1]),
                    half(points[0], points[1]),
                    half(points[2], points[3]),
                )
            }
        };
        let line: Vec<_> = line.into_iter().map(place).collect();
        if self.filled {
            canvas.area(&line, ink)?;
        }
        canvas.polyline(&line, ink)
    }
}

/// A closed line around an ellipse with these half axes.
fn ellipse(center: (f64, f64), major: (f64, f64), minor: (f64, f64)) -> Vec<(f64, f64)> {
    // A chord of a circle of a thousand pixels is then 0.04 pixels away from it.
    const SIDES: u32 = 360;
    (0..=SIDES)
        .map(|side| {
            let (sine, cosine) =
                (f64::from(side) / f64::from(SIDES) * std::f64::consts::TAU).sin_cos();
            (
                center.0 + major.0 * cosine + minor.0 * sine,
                center.1 + major.1 * cosine + minor.1 * sine,
            )
        })
        .collect()
}

/// A smooth line through points (Catmull and Rom): the standard leaves open which (PS3.3 §C.10.5.1.2).
fn interpolated(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const STEPS: u32 = 8;
    let at = |index: usize| points[index.min(points.len() - 1)];
    let mut line = vec![points[0]];
    for index in 0..points.len() - 1 {
        let (p0, p1) = (at(index.saturating_sub(1)), at(index));
        let (p2, p3) = (at(index + 1), at(index + 2));
        for step in 1..=STEPS {
            let t = f64::from(step) / f64::from(STEPS);
            let curve = |p0: f64, p1: f64, p2: f64, p3: f64| {
                0.5 * (2.0 * p1
                    + (p2 - p0) * t
                    + (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) * t * t
                    + (3.0 * p1 - p0 - 3.0 * p2 + p3) * t * t * t)
            };
            line.push((curve(p0.0, p1.0, p2.0, p3.0), curve(p0.1, p1.1, p2.1, p3.1)));
        }
    }
    line
}

impl Text {
    fn read(item: &DataSet) -> Option<Self> {
        let point = |tag| -> Option<(f64, f64)> {
            let numbers = item.decimals(tag);
            let &[x, y] = numbers.first_chunk()?;
            Some((x, y))
        };
        let corner = point(BOUNDING_BOX_TOP_LEFT_HAND_CORNER);
        let corner = corner.map(|corner| (units(item, BOUNDING_BOX_ANNOTATION_UNITS), corner));
        let anchor = point(ANCHOR_POINT);
        let anchor = anchor.map(|anchor| (units(item, ANCHOR_POINT_ANNOTATION_UNITS), anchor));
        Some(Text {
            text: item.text(UNFORMATTED_TEXT_VALUE)?,
            place: corner.or(anchor)?,
        })
    }
}

fn units(item: &DataSet, tag: Tag) -> Units {
    match item.text(tag).as_deref() {
        Some("DISPLAY") => Units::Display,
        _ => Units::Pixel,
    }
}

/// The layers of a presentation state: Graphic Layer Sequence.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Layers(Vec<Layer>);

#[derive(Clone, PartialEq, Debug)]
struct Layer {
    name: String,
    order: f64,
    ink: Ink,
}

impl Layers {
    pub fn read(data_set: &DataSet) -> Self {
        let items = data_set.items(GRAPHIC_LAYER_SEQUENCE).iter();
        let layers = items.filter_map(|item| {
            let level = item.number(RECOMMENDED_DISPLAY_GRAYSCALE_VALUE);
            let gray = level.map(|level| u8::try_from(level >> 8).unwrap_or(u8::MAX));
            let lab = rgb_of_cielab(&item.decimals(RECOMMENDED_DISPLAY_CIELAB_VALUE));
            Some(Layer {
                name: item.text(GRAPHIC_LAYER)?,
                order: item.decimal(GRAPHIC_LAYER_ORDER).unwrap_or(0.0),
                ink: Ink {
                    gray: gray.unwrap_or(u8::MAX),
                    rgb: lab.unwrap_or([gray.unwrap_or(u8::MAX); 3]),
                },
            })
        });
        Layers(layers.collect())
    }

    /// How a layer is drawn; white if it is not described.
    pub fn ink(&self, name: &str) -> Ink {
        let layer = self.0.iter().find(|layer| layer.name == name);
        layer.map_or(Ink::WHITE, |layer| layer.ink)
    }

    /// Things in layers, those of the lowest layer first.
    pub fn in_order<T>(&self, mut things: Vec<T>, layer: impl Fn(&T) -> &str) -> Vec<T> {
        let order = |thing: &T| {
            let found = self.0.iter().find(|one| one.name == layer(thing));
            found.map_or(f64::INFINITY, |layer| layer.order)
        };
        things.sort_by(|a, b| order(a).total_cmp(&order(b)));
        things
    }
}

const GRAPHIC_LAYER: Tag = Tag(0x0070, 0x0002);
const BOUNDING_BOX_ANNOTATION_UNITS: Tag = Tag(0x0070, 0x0003);
const ANCHOR_POINT_ANNOTATION_UNITS: Tag = Tag(0x0070, 0x0004);
const GRAPHIC_ANNOTATION_UNITS: Tag = Tag(0x0070, 0x0005);
const UNFORMATTED_TEXT_VALUE: Tag = Tag(0x0070, 0x0006);
const TEXT_OBJECT_SEQUENCE: Tag = Tag(0x0070, 0x0008);
const GRAPHIC_OBJECT_SEQUENCE: Tag = Tag(0x0070, 0x0009);
const BOUNDING_BOX_TOP_LEFT_HAND_CORNER: Tag = Tag(0x0070, 0x0010);
const ANCHOR_POINT: Tag = Tag(0x0070, 0x0014);
const GRAPHIC_DATA: Tag = Tag(0x0070, 0x0022);
const GRAPHIC_TYPE: Tag = Tag(0x0070, 0x0023);
const GRAPHIC_FILLED: Tag = Tag(0x0070, 0x0024);
const GRAPHIC_LAYER_SEQUENCE: Tag = Tag(0x0070, 0x0060);
const GRAPHIC_LAYER_ORDER: Tag = Tag(0x0070, 0x0062);
const RECOMMENDED_DISPLAY_GRAYSCALE_VALUE: Tag = Tag(0x0070, 0x0066);
const RECOMMENDED_DISPLAY_CIELAB_VALUE: Tag = Tag(0x0070, 0x0401);
