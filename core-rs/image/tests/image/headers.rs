//! Headers that are wrong, as they occur in the field.

use vna_codec::{FrameFormat, Photometric, Sample};
use vna_dicom::{DataElement, Tag, Vr, tags};
use vna_image::{FormatError, ImageError, frame_format};

use crate::common::*;

fn format(header: &Header) -> FrameFormat {
    frame_format(&header.0).expect("a format")
}

#[test]
fn a_complete_header_is_taken_as_it_is() {
    let header = gray(512, 256, 16, 12, true);
    let format = format(&header);
    assert_eq!((format.rows, format.columns), (512, 256));
    assert_eq!((format.bits_allocated, format.bits_stored), (16, 12));
    assert_eq!(format.sample, Sample::Signed);
    assert_eq!(format.photometric, Photometric::Monochrome2);
}

#[test]
fn bits_stored_that_are_missing_or_impossible_are_all_bits_allocated() {
    for header in [
        row16(4, 12, false).without(BITS_STORED),
        row16(4, 12, false).us(BITS_STORED, &[0]),
        row16(4, 12, false).us(BITS_STORED, &[17]),
    ] {
        assert_eq!(format(&header).bits_stored, 16);
    }
}

#[test]
fn bits_allocated_that_are_missing_follow_from_bits_stored_or_the_kind_of_pixel_data() {
    let header = row16(4, 12, false).without(tags::BITS_ALLOCATED);
    assert_eq!(format(&header).bits_allocated, 16);
    let header = header.without(BITS_STORED);
    assert_eq!(
        frame_format(&header.0),
        Err(FormatError::Missing {
            tag: tags::BITS_ALLOCATED
        })
    );
    let floats = header.bytes(tags::FLOAT_PIXEL_DATA, Vr::OF, &[0; 4]);
    let format = format(&floats);
    assert_eq!((format.bits_allocated, format.sample), (32, Sample::Float));
}

#[test]
fn samples_per_pixel_and_photometric_interpretation_are_brought_together() {
    let photometric = tags::PHOTOMETRIC_INTERPRETATION;
    let samples = tags::SAMPLES_PER_PIXEL;
    for (header, expected) in [
        (row8(4).without(photometric), (1, Photometric::Monochrome2)),
        (
            row8(4).cs(photometric, "RGB").without(samples),
            (3, Photometric::Rgb),
        ),
        (row8(4).us(samples, &[3]), (3, Photometric::Rgb)),
        (
            row8(4).us(samples, &[3]).without(photometric),
            (3, Photometric::Rgb),
        ),
        (
            row8(4).us(samples, &[3]).cs(photometric, "YBR_FULL"),
            (3, Photometric::YbrFull),
        ),
        (
            row8(4).us(samples, &[3]).cs(photometric, "PALETTE COLOR"),
            (3, Photometric::Rgb),
        ),
        (
            row8(4).cs(photometric, "RGB"),
            (1, Photometric::Monochrome2),
        ),
        (
            row8(4).cs(photometric, "monochrome1 "),
            (1, Photometric::Monochrome1),
        ),
        (
            row8(4).cs(photometric, "MONOCHROME"),
            (1, Photometric::Monochrome2),
        ),
        (
            row8(4)
                .without(photometric)
                .us(Tag(0x0028, 0x1101), &[1, 0, 8]),
            (1, Photometric::PaletteColor),
        ),
    ] {
        let format = format(&header);
        assert_eq!((format.samples_per_pixel, format.photometric), expected);
    }
}

#[test]
fn what_cannot_be_put_right_is_named() {
    for (header, message) in [
        (row8(4).without(tags::ROWS), "(0028,0010) is missing"),
        (row8(4).us(tags::COLUMNS, &[0]), "(0028,0011) cannot be 0"),
        (
            row8(4).us(tags::BITS_ALLOCATED, &[12]),
            "(0028,0100) cannot be 12",
        ),
        (
            row8(4).us(tags::SAMPLES_PER_PIXEL, &[2]),
            "(0028,0002) cannot be 2",
        ),
        (
            row8(4).cs(tags::PHOTOMETRIC_INTERPRETATION, "HSV"),
            "(0028,0004) cannot be HSV",
        ),
    ] {
        let error = header.describe().expect_err("no image");
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("image.format", message)
        );
    }
}

#[test]
fn a_number_of_frames_that_is_missing_empty_or_0_is_one_frame() {
    for (text, frames) in [(None, 1), (Some(""), 1), (Some("0"), 1), (Some("7 "), 7)] {
        let mut header = row8(4);
        if let Some(text) = text {
            header = header.text(tags::NUMBER_OF_FRAMES, Vr::IS, text);
        }
        assert_eq!(header.describe().expect("an image").frames, frames);
    }
}

#[test]
fn numbers_in_an_unknown_vr_are_read_as_the_dictionary_has_them() {
    let mut header = row8(4);
    let rows = DataElement::new(tags::ROWS, Vr::UN, words(&[1]));
    header.0.insert(rows);
    assert_eq!(format(&header).rows, 1);
}

#[test]
fn a_frame_that_is_not_there_and_samples_that_are_too_few_are_named() {
    let description = row8(4).describe().expect("an image");
    let render = |frame, samples: &[u8]| {
        let decoded = decoded(samples, description.format);
        description.render(frame, &decoded, &Default::default())
    };
    assert_eq!(
        render(1, &[0; 4]),
        Err(ImageError::NoSuchFrame {
            frame: 1,
            frames: 1
        })
    );
    assert_eq!(
        render(0, &[0; 3]),
        Err(ImageError::Samples {
            expected: 4,
            found: 3
        })
    );
}
