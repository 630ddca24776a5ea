//! Shutters: what of an image is not displayed (PS3.3 §C.7.6.11, §C.7.6.15, §C.11.12).

use vna_dicom::{DataSet, Tag};

use super::draw::{Ink, rgb_of_cielab};
use crate::attributes::Attributes;

/// The shutter of a presentation state. Several shapes leave what all of them leave.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Shutter {
    shapes: Vec<Shape>,
    /// What is displayed where it covers the image.
    pub ink: Ink,
    /// The overlay group of a bitmap that covers where its bits are set.
    pub bitmap: Option<u16>,
}

/// What a shape leaves, in columns and rows counted from 1.
#[derive(Clone, PartialEq, Debug)]
enum Shape {
    Rectangle {
        left: f64,
        right: f64,
        upper: f64,
        lower: f64,
    },
    Circle {
        row: f64,
        column: f64,
        radius: f64,
    },
    /// Vertices as row, column.
    Polygon(Vec<[f64; 2]>),
}

impl Shutter {
    pub fn read(data_set: &DataSet) -> Self {
        let names = data_set.text(SHUTTER_SHAPE).unwrap_or_default();
        let shapes = names
            .split('\\')
            .filter_map(|name| Shape::read(name.trim(), data_set));
        let is_bitmap = names.split('\\').any(|name| name.trim() == "BITMAP");
        let group = data_set.number(SHUTTER_OVERLAY_GROUP).filter(|_| is_bitmap);
        let level = data_set.number(SHUTTER_PRESENTATION_VALUE).unwrap_or(0);
        let gray = u8::try_from(level >> 8).unwrap_or(u8::MAX);
        let lab = data_set.decimals(SHUTTER_PRESENTATION_COLOR_CIELAB_VALUE);
        Shutter {
            shapes: shapes.collect(),
            ink: Ink {
                gray,
                rgb: rgb_of_cielab(&lab).unwrap_or([gray; 3]),
            },
            bitmap: group.and_then(|group| u16::try_from(group).ok()),
        }
    }

    /// Calls `cover` with each stretch of pixels that shapes cover, as indexes into an image of that size.
    pub fn each_covered(
        &self,
        columns: u32,
        rows: u32,
        mut cover: impl FnMut(std::ops::Range<usize>),
    ) {
        let width = columns as usize;
        for row in 0..rows as usize {
            let line = row * width;
            for shape in &self.shapes {
                let mut done = 0;
                for visible in shape.visible(row as f64 + 1.0) {
                    let (from, to) = columns_of(visible, width);
                    let from = from.max(done);
                    if from > done {
                        cover(line + done..line + from);
                    }
                    done = to.max(done);
                }
                if done < width {
                    cover(line + done..line + width);
                }
            }
        }
    }
}

/// The columns, counted from 0, whose numbers counted from 1 are in a range: the first, and the one behind the last.
fn columns_of((from, to): (f64, f64), width: usize) -> (usize, usize) {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float beyond the type becomes its end, one that is none 0"
    )]
    let (from, to) = ((from.ceil() - 1.0) as usize, to.floor() as usize);
    (from.min(width), to.min(width))
}

impl Shape {
    fn read(name: &str, data_set: &DataSet) -> Option<Self> {
        let decimal = |tag| data_set.decimal(tag);
        Some(match name {
            "RECTANGULAR" => Shape::Rectangle {
                left: decimal(SHUTTER_LEFT_VERTICAL_EDGE)?,
                right: decimal(SHUTTER_RIGHT_VERTICAL_EDGE)?,
                upper: decimal(SHUTTER_UPPER_HORIZONTAL_EDGE)?,
                lower: decimal(SHUTTER_LOWER_HORIZONTAL_EDGE)?,
            },
            "CIRCULAR" => {
                let center = data_set.decimals(CENTER_OF_CIRCULAR_SHUTTER);
                let &[row, column] = center.first_chunk()?;
                let radius = decimal(RADIUS_OF_CIRCULAR_SHUTTER)?;
                Shape::Circle {
                    row,
                    column,
                    radius,
                }
            }
            "POLYGONAL" => {
                let vertices = data_set.decimals(VERTICES_OF_THE_POLYGONAL_SHUTTER);
                let pairs = vertices.chunks_exact(2);
                let vertices: Vec<_> = pairs.map(|pair| [pair[0], pair[1]]).collect();
                // Each row of the image is compared with each side.
                (3..=MAX_VERTICES)
                    .contains(&vertices.len())
                    .then_some(Shape::Polygon(vertices))?
            }
            _ => return None,
        })
    }

    /// The ranges of columns of a row that it leaves, in ascending order.
    fn visible(&self, row: f64) -> Vec<(f64, f64)> {
        match self {
            Shape::Rectangle {
                left,
                right,
                upper,
                lower,
            } => {
                let inside = row >= *upper && row <= *lower && left <= right;
                inside.then_some((*left, *right)).into_iter().collect()
            }
            Shape::Circle {
                row: center,
                column,
                radius,
            } => {
                let half = (radius * radius - (row - center) * (row - center)).sqrt();
                let range = half.is_finite().then_some((column - half, column + half));
                range.into_iter().collect()
            }
            Shape::Polygon(vertices) => crossings(vertices, row)
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
        }
    }
}

/// Where the sides of a polygon cross a row, in ascending order, always an even number.
pub(crate) fn crossings(vertices: &[[f64; 2]], row: f64) -> Vec<f64> {
    let next = vertices.iter().cycle().skip(1);
    let sides = vertices.iter().zip(next);
    let mut columns: Vec<f64> = sides
        .filter(|(a, b)| (a[0] <= row) != (b[0] <= row))
        .map(|(a, b)| a[1] + (row - a[0]) / (b[0] - a[0]) * (b[1] - a[1]))
        .collect();
    columns.sort_by(f64::total_cmp);
    columns
}

/// Vertices are an IS in one value of at most 64 KiB: these are more than any frame around an image needs.
const MAX_VERTICES: usize = 4096;

const SHUTTER_SHAPE: Tag = Tag(0x0018, 0x1600);
const SHUTTER_LEFT_VERTICAL_EDGE: Tag = Tag(0x0018, 0x1602);
const SHUTTER_RIGHT_VERTICAL_EDGE: Tag = Tag(0x0018, 0x1604);
const SHUTTER_UPPER_HORIZONTAL_EDGE: Tag = Tag(0x0018, 0x1606);
const SHUTTER_LOWER_HORIZONTAL_EDGE: Tag = Tag(0x0018, 0x1608);
const CENTER_OF_CIRCULAR_SHUTTER: Tag = Tag(0x0018, 0x1610);
const RADIUS_OF_CIRCULAR_SHUTTER: Tag = Tag(0x0018, 0x1612);
const VERTICES_OF_THE_POLYGONAL_SHUTTER: Tag = Tag(0x0018, 0x1620);
const SHUTTER_PRESENTATION_VALUE: Tag = Tag(0x0018, 0x1622);
const SHUTTER_OVERLAY_GROUP: Tag = Tag(0x0018, 0x1623);
const SHUTTER_PRESENTATION_COLOR_CIELAB_VALUE: Tag = Tag(0x0018, 0x1624);
