//! Overlay planes (PS3.3 §C.9.2): in elements of their own, or in bits of the pixel cells that values leave free.

use vna_codec::{Decoded, FrameFormat};
use vna_dicom::{DataSet, Tag, Value};

use crate::ImageError;
use crate::attributes::Attributes;

/// An overlay plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Overlay {
    /// Its group, 6000 to 601E.
    pub group: u16,
    rows: u32,
    columns: u32,
    /// Row and column of its upper left pixel in the image, counted from 0; it may be outside.
    origin: (i64, i64),
    /// The frames of the image that it is for, counted from 0, and how many planes it has.
    first_frame: usize,
    planes: usize,
    bits: Bits,
}

/// Where the bits of an overlay are.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Bits {
    /// In Overlay Data (60xx,3000), plane after plane without gaps.
    Data(Vec<u8>),
    /// In this bit of each pixel cell (PS3.3 §C.9.2, retired).
    Cell(u32),
    /// Nowhere: what is wrong with the overlay, and where.
    Broken(u16, &'static str),
}

impl Overlay {
    /// The overlays of a data set, in the order of their groups.
    pub fn read_all(data_set: &DataSet) -> Vec<Overlay> {
        let groups = (0x6000..=0x601E).step_by(2);
        groups
            .filter_map(|group| Overlay::read(data_set, group))
            .collect()
    }

    /// The overlay of a group, if there is one. What is wrong with it is an error only when it is to be shown.
    pub fn read(data_set: &DataSet, group: u16) -> Option<Overlay> {
        let number = |element| data_set.number(Tag(group, element));
        let data = data_set.get(Tag(group, OVERLAY_DATA));
        if number(ROWS).is_none() && data.is_none() {
            return None;
        }
        let bits = match data.map(|element| &element.value) {
            Some(Value::Bytes(bytes)) => Bits::Data(bytes.clone()),
            Some(_) => Bits::Broken(OVERLAY_DATA, "is not a string of bits"),
            None => match (number(BITS_ALLOCATED), number(BIT_POSITION)) {
                (Some(2..), Some(bit @ 0..64)) => Bits::Cell(bit),
                // The description of an overlay that is elsewhere, or nowhere.
                _ => return None,
            },
        };
        let origin = data_set.decimals(Tag(group, ORIGIN));
        #[allow(
            clippy::cast_possible_truncation,
            reason = "16-bit values, or farther away than any image reaches"
        )]
        let place = |index: usize| {
            let number = origin.get(index).map_or(1.0, |one| one.clamp(-1e9, 1e9));
            number as i64 - 1
        };
        let mut overlay = Overlay {
            group,
            rows: number(ROWS).unwrap_or(0),
            columns: number(COLUMNS).unwrap_or(0),
            origin: (place(0), place(1)),
            first_frame: at_least_one(number(IMAGE_FRAME_ORIGIN)) - 1,
            planes: at_least_one(number(NUMBER_OF_FRAMES)),
            bits,
        };
        overlay.check();
        Some(overlay)
    }

    /// Notes what is wrong with it.
    fn check(&mut self) {
        if let Bits::Data(bytes) = &self.bits {
            let pixels = u64::from(self.rows) * u64::from(self.columns);
            let wanted = pixels.saturating_mul(self.planes as u64);
            if (bytes.len() as u64).saturating_mul(8) < wanted {
                let problem = "has fewer bits than rows, columns and frames of the overlay say";
                self.bits = Bits::Broken(OVERLAY_DATA, problem);
            }
        }
    }

    /// The plane that is for frame `frame` of the image, counted from 0; `None` if there is none. A single plane without frame
    /// numbers is for all frames.
    fn plane(&self, frame: usize) -> Option<usize> {
        if self.planes == 1 && self.first_frame == 0 {
            return Some(0);
        }
        let plane = frame.checked_sub(self.first_frame)?;
        (plane < self.planes).then_some(plane)
    }

    /// Calls `set` with the index of each pixel of the image that the overlay sets in frame `frame`.
    ///
    /// # Errors
    ///
    /// [`ImageError::Table`] if it is broken.
    pub fn each(
        &self,
        frame: usize,
        decoded: &Decoded<'_>,
        mut set: impl FnMut(usize),
    ) -> Result<(), ImageError> {
        let format = &decoded.format;
        match &self.bits {
            Bits::Broken(element, problem) => Err(ImageError::Table {
                tag: Tag(self.group, *element),
                problem,
            }),
            Bits::Cell(bit) => {
                each_in_cells(decoded, *bit, set);
                Ok(())
            }
            Bits::Data(bytes) => {
                let Some(plane) = self.plane(frame) else {
                    return Ok(());
                };
                let first = plane as u64 * u64::from(self.rows) * u64::from(self.columns);
                let (rows, columns) = self.visible(format);
                for row in rows {
                    let line = first + row * u64::from(self.columns);
                    let y = row as i64 + self.origin.0;
                    for column in columns.clone() {
                        let bit = line + column;
                        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
                        if bytes
                            .get(byte)
                            .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
                        {
                            let x = column as i64 + self.origin.1;
                            let index = y * i64::from(format.columns) + x;
                            set(usize::try_from(index).unwrap_or(0));
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Rows and columns of the overlay that are on the image.
    fn visible(&self, format: &FrameFormat) -> (std::ops::Range<u64>, std::ops::Range<u64>) {
        let on = |origin: i64, own: u32, image: u32| {
            let from = (-origin).clamp(0, i64::from(own));
            let to = (i64::from(image) - origin).clamp(from, i64::from(own));
            from.unsigned_abs()..to.unsigned_abs()
        };
        (
            on(self.origin.0, self.rows, format.rows),
            on(self.origin.1, self.columns, format.columns),
        )
    }
}

/// Calls `set` with the index of each pixel in whose cell the bit is set.
fn each_in_cells(decoded: &Decoded<'_>, bit: u32, mut set: impl FnMut(usize)) {
    let format = &decoded.format;
    let width = usize::from(format.bits_allocated / 8);
    let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
    // Of a codestream only the values came out, not the cells.
    if format.samples_per_pixel != 1 || byte >= width {
        return;
    }
    let cells = decoded.samples.chunks_exact(width);
    for (index, cell) in cells.enumerate() {
        if cell[byte] >> (bit % 8) & 1 == 1 {
            set(index);
        }
    }
}

fn at_least_one(number: Option<u32>) -> usize {
    usize::try_from(number.unwrap_or(1).max(1)).unwrap_or(usize::MAX)
}

const NUMBER_OF_FRAMES: u16 = 0x0015;
const ROWS: u16 = 0x0010;
const COLUMNS: u16 = 0x0011;
const ORIGIN: u16 = 0x0050;
const IMAGE_FRAME_ORIGIN: u16 = 0x0051;
const BITS_ALLOCATED: u16 = 0x0100;
const BIT_POSITION: u16 = 0x0102;
const OVERLAY_DATA: u16 = 0x3000;
