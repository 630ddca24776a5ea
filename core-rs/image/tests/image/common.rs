//! Headers and frames for tests.

use vna_codec::{Decoded, FrameFormat};
use vna_dicom::{DataElement, DataSet, Tag, Vr, tags};
use vna_image::{ImageDescription, ImageError, Picture, Pixels, RenderOptions};

pub const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
pub const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
pub const VOI_LUT_FUNCTION: Tag = Tag(0x0028, 0x1056);
pub const RESCALE_INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub const RESCALE_SLOPE: Tag = Tag(0x0028, 0x1053);
pub const MODALITY_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3000);
pub const VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3010);
pub const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
pub const LUT_DATA: Tag = Tag(0x0028, 0x3006);
pub const PRESENTATION_LUT_SHAPE: Tag = Tag(0x2050, 0x0020);
pub const PIXEL_PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
pub const PIXEL_PADDING_RANGE_LIMIT: Tag = Tag(0x0028, 0x0121);
pub const SHARED_FUNCTIONAL_GROUPS_SEQUENCE: Tag = Tag(0x5200, 0x9229);
pub const PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE: Tag = Tag(0x5200, 0x9230);

pub fn words(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A data set that is written like a header is read.
#[derive(Clone, Default)]
pub struct Header(pub DataSet);

impl Header {
    pub fn us(mut self, tag: Tag, values: &[u16]) -> Self {
        self.0.insert(DataElement::new(tag, Vr::US, words(values)));
        self
    }

    pub fn text(mut self, tag: Tag, vr: Vr, text: &str) -> Self {
        self.0.insert(DataElement::new(tag, vr, text));
        self
    }

    pub fn ds(self, tag: Tag, text: &str) -> Self {
        self.text(tag, Vr::DS, text)
    }

    pub fn cs(self, tag: Tag, text: &str) -> Self {
        self.text(tag, Vr::CS, text)
    }

    pub fn bytes(mut self, tag: Tag, vr: Vr, bytes: &[u8]) -> Self {
        self.0.insert(DataElement::new(tag, vr, bytes));
        self
    }

    pub fn floats(self, tag: Tag, values: &[f32]) -> Self {
        let bytes: Vec<_> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(tag, Vr::FL, &bytes)
    }

    pub fn sq(mut self, tag: Tag, items: Vec<Header>) -> Self {
        let items = items.into_iter().map(|item| item.0).collect();
        self.0.insert(DataElement::sequence(tag, items));
        self
    }

    pub fn window(self, center: &str, width: &str) -> Self {
        self.ds(WINDOW_CENTER, center).ds(WINDOW_WIDTH, width)
    }

    pub fn without(mut self, tag: Tag) -> Self {
        self.0.remove(tag);
        self
    }

    pub fn describe(&self) -> Result<ImageDescription, ImageError> {
        ImageDescription::read(&self.0)
    }
}

/// A header of `rows` and `columns`, MONOCHROME2.
pub fn gray(
    rows: u16,
    columns: u16,
    bits_allocated: u16,
    bits_stored: u16,
    signed: bool,
) -> Header {
    Header::default()
        .us(tags::SAMPLES_PER_PIXEL, &[1])
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2")
        .us(tags::ROWS, &[rows])
        .us(tags::COLUMNS, &[columns])
        .us(tags::BITS_ALLOCATED, &[bits_allocated])
        .us(BITS_STORED, &[bits_stored])
        .us(HIGH_BIT, &[bits_stored - 1])
        .us(tags::PIXEL_REPRESENTATION, &[u16::from(signed)])
        .text(tags::SOP_INSTANCE_UID, Vr::UI, "1.2.3")
}

/// A header of one row of that many pixels of 8 bits.
pub fn row8(columns: u16) -> Header {
    gray(1, columns, 8, 8, false)
}

/// A header of one row of that many pixels of 16 bits.
pub fn row16(columns: u16, bits_stored: u16, signed: bool) -> Header {
    gray(1, columns, 16, bits_stored, signed)
}

pub fn decoded(samples: &[u8], format: FrameFormat) -> Decoded<'_> {
    Decoded { samples, format }
}

/// The picture of the only frame.
pub fn picture(
    header: &Header,
    samples: &[u8],
    options: &RenderOptions<'_>,
) -> Result<Picture, ImageError> {
    let description = header.describe()?;
    description.render(0, &decoded(samples, description.format), options)
}

/// Its gray pixels.
pub fn grays(header: &Header, samples: &[u8], options: &RenderOptions<'_>) -> Vec<u8> {
    match picture(header, samples, options).expect("a picture").pixels {
        Pixels::Gray8(pixels) => pixels,
        other => panic!("not gray: {other:?}"),
    }
}

/// Its colours.
pub fn colours(header: &Header, samples: &[u8], options: &RenderOptions<'_>) -> Vec<[u8; 3]> {
    match picture(header, samples, options).expect("a picture").pixels {
        Pixels::Rgb8(pixels) => pixels.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect(),
        other => panic!("not coloured: {other:?}"),
    }
}
