//! Overlay planes (PS3.3 §C.9.2).

use proptest::prelude::*;
use vna_dicom::{Tag, Vr, tags};
use vna_image::RenderOptions;

use crate::common::*;

fn shown() -> RenderOptions<'static> {
    RenderOptions {
        overlays: true,
        ..RenderOptions::default()
    }
}

/// An overlay of group 6000.
fn overlay(header: Header, rows: u16, columns: u16, origin: [i16; 2], bits: &[u8]) -> Header {
    let origin: Vec<u8> = origin.iter().flat_map(|one| one.to_le_bytes()).collect();
    header
        .us(Tag(0x6000, 0x0010), &[rows])
        .us(Tag(0x6000, 0x0011), &[columns])
        .bytes(Tag(0x6000, 0x0050), Vr::SS, &origin)
        .us(Tag(0x6000, 0x0100), &[1])
        .us(Tag(0x6000, 0x0102), &[0])
        .bytes(Tag(0x6000, 0x3000), Vr::OW, bits)
}

fn image() -> Header {
    gray(2, 4, 8, 8, false).window("128", "256")
}

#[test]
fn an_overlay_is_white_where_its_bits_are_set_and_hidden_unless_asked_for() {
    let header = overlay(image(), 2, 4, [1, 1], &[0b1001_0101, 0]);
    let white = [255, 0, 255, 0, 255, 0, 0, 255];
    assert_eq!(grays(&header, &[0; 8], &shown()), white);
    assert_eq!(grays(&header, &[0; 8], &RenderOptions::default()), [0; 8]);
    let inverted = header.cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1");
    assert_eq!(grays(&inverted, &[255; 8], &shown()), white);
}

#[test]
fn an_origin_may_be_outside_of_the_image() {
    let header = overlay(image(), 2, 2, [0, 4], &[0b1111, 0]);
    assert_eq!(
        grays(&header, &[0; 8], &shown()),
        [0, 0, 0, 255, 0, 0, 0, 0]
    );
    let header = overlay(image(), 2, 2, [-32768, 32767], &[0b1111, 0]);
    assert_eq!(grays(&header, &[0; 8], &shown()), [0; 8]);
}

#[test]
fn an_overlay_in_a_bit_of_the_cells_is_shown() {
    let header = gray(1, 3, 16, 12, false)
        .window("2048", "4096")
        .us(Tag(0x6002, 0x0010), &[1])
        .us(Tag(0x6002, 0x0011), &[3])
        .us(Tag(0x6002, 0x0100), &[16])
        .us(Tag(0x6002, 0x0102), &[13]);
    assert_eq!(
        grays(&header, &words(&[0x2000, 0x1000, 0x2FFF]), &shown()),
        [255, 0, 255]
    );
}

#[test]
fn each_frame_has_its_plane() {
    let header = overlay(row8(4), 1, 4, [1, 1], &[0b0010_0001])
        .text(tags::NUMBER_OF_FRAMES, Vr::IS, "3")
        .text(Tag(0x6000, 0x0015), Vr::IS, "2")
        .us(Tag(0x6000, 0x0051), &[2])
        .window("128", "256");
    let description = header.describe().expect("an image");
    let frame = |frame| {
        let decoded = decoded(&[0; 4], description.format);
        description
            .render(frame, &decoded, &shown())
            .expect("a picture")
            .pixels
    };
    use vna_image::Pixels::Gray8;
    assert_eq!(frame(0), Gray8(vec![0; 4]));
    assert_eq!(frame(1), Gray8(vec![255, 0, 0, 0]));
    assert_eq!(frame(2), Gray8(vec![0, 255, 0, 0]));
}

#[test]
fn an_overlay_with_too_few_bits_is_named_when_it_is_shown() {
    let header = overlay(image(), 65535, 65535, [1, 1], &[0xFF; 64]);
    let error = picture(&header, &[0; 8], &shown()).expect_err("too few");
    assert_eq!(
        error.to_string(),
        "(6000,3000): has fewer bits than rows, columns and frames of the overlay say"
    );
    assert!(picture(&header, &[0; 8], &RenderOptions::default()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_pixel_is_white_if_and_only_if_the_bit_over_it_is_set(
        rows in 1u16..6, columns in 1u16..6, y in -6i16..8, x in -6i16..8,
        bits in proptest::collection::vec(any::<u8>(), 4),
    ) {
        let header = overlay(image(), rows, columns, [y, x], &bits);
        let found = grays(&header, &[0; 8], &shown());
        for row in 0..2i16 {
            for column in 0..4i16 {
                let (r, c) = (row - (y - 1), column - (x - 1));
                let inside = (0..rows as i16).contains(&r) && (0..columns as i16).contains(&c);
                let set = inside && {
                    let bit = (r * columns as i16 + c) as usize;
                    bits[bit / 8] >> (bit % 8) & 1 == 1
                };
                prop_assert_eq!(found[(row * 4 + column) as usize] == 255, set);
            }
        }
    }
}
