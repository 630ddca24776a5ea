//! Palettes (PS3.3 §C.7.6.3.1.5, §C.7.9).

use proptest::prelude::*;
use vna_dicom::{Tag, Vr, tags};
use vna_image::RenderOptions;

use crate::common::*;

const DESCRIPTORS: [Tag; 3] = [
    Tag(0x0028, 0x1101),
    Tag(0x0028, 0x1102),
    Tag(0x0028, 0x1103),
];
const DATA: [Tag; 3] = [
    Tag(0x0028, 0x1201),
    Tag(0x0028, 0x1202),
    Tag(0x0028, 0x1203),
];
const SEGMENTED: [Tag; 3] = [
    Tag(0x0028, 0x1221),
    Tag(0x0028, 0x1222),
    Tag(0x0028, 0x1223),
];

/// A header whose three channels have the same table, in one of the two kinds of elements.
fn palette(header: Header, descriptor: &[u16; 3], tags_of: [Tag; 3], data: &[u8]) -> Header {
    let mut header = header.cs(tags::PHOTOMETRIC_INTERPRETATION, "PALETTE COLOR");
    for (descriptor_tag, data_tag) in DESCRIPTORS.into_iter().zip(tags_of) {
        header = header
            .us(descriptor_tag, descriptor)
            .bytes(data_tag, Vr::OW, data);
    }
    header
}

fn reds(header: &Header, samples: &[u8]) -> Vec<u8> {
    let colours = colours(header, samples, &RenderOptions::default());
    colours.into_iter().map(|colour| colour[0]).collect()
}

#[test]
fn entries_of_8_and_16_bits_become_8_bits() {
    let header = |bits, data: &[u8]| palette(row8(3), &[3, 0, bits], DATA, data);
    assert_eq!(reds(&header(8, &[10, 20, 30, 0]), &[2, 0, 1]), [30, 10, 20]);
    assert_eq!(
        reds(&header(16, &words(&[0x1000, 0x2080, 0xFFFF])), &[2, 0, 1]),
        [255, 16, 32]
    );
    // Bytes in words, though it says 16 bits.
    assert_eq!(
        reds(&header(16, &words(&[0, 100, 255])), &[2, 0, 1]),
        [255, 0, 100]
    );
    // Bytes one after the other, though it says 16 bits.
    assert_eq!(
        reds(&header(16, &[10, 20, 30, 0]), &[2, 0, 1]),
        [30, 10, 20]
    );
    // Words of 16 bits, though it says 8.
    assert_eq!(
        reds(&header(8, &words(&[0x1000, 0x2080, 0xFFFF])), &[2, 0, 1]),
        [255, 16, 32]
    );
}

#[test]
fn values_beside_a_palette_get_its_ends() {
    let header = palette(row8(4), &[2, 5, 8], DATA, &[10, 20]);
    assert_eq!(reds(&header, &[0, 5, 6, 255]), [10, 10, 20, 20]);
    let signed = palette(row16(3, 16, true), &[2, 0xFFFF, 8], DATA, &[10, 20]);
    assert_eq!(reds(&signed, &words(&[0x8000, 0xFFFF, 0])), [10, 10, 20]);
}

#[test]
fn a_descriptor_of_0_entries_has_65536() {
    let entries: Vec<u16> = (0..=65535).collect();
    let header = palette(row16(2, 16, false), &[0, 0, 16], DATA, &words(&entries));
    assert_eq!(reds(&header, &words(&[0x1200, 0xFFFF])), [0x12, 0xFF]);
}

#[test]
fn segments_of_all_three_types_are_expanded() {
    // Two entries, a line to 100 over four, and both once more from the beginning.
    let segments = [0, 2, 10, 20, 1, 4, 100, 2, 2, 0, 0, 0, 0];
    let expanded = [10, 20, 40, 60, 80, 100, 10, 20, 40, 60, 80, 100];
    let header = palette(row8(12), &[12, 0, 8], SEGMENTED, &segments);
    let indexes: Vec<u8> = (0..12).collect();
    assert_eq!(reds(&header, &indexes), expanded);
    // In words: the offset of the line is 8 bytes, its least significant half first (PS3.3 §C.7.9.2.3).
    let segments = words(&[0, 2, 0x1000, 0x2000, 1, 2, 0x4000, 2, 1, 8, 0]);
    let header = palette(row8(6), &[6, 0, 16], SEGMENTED, &segments);
    assert_eq!(
        reds(&header, &[0, 1, 2, 3, 4, 5]),
        [0x10, 0x20, 0x30, 0x40, 0x40, 0x40]
    );
}

#[test]
fn segments_that_overrun_are_named() {
    for (segments, problem) in [
        (&[0u8, 9, 1, 2][..], "ends inside a segment"),
        (&[0, 2, 1, 2], "ends before its last entry"),
        (&[1, 2, 1], "begins with a linear segment"),
        (&[0, 1, 1, 7, 1, 1], "has a segment of unknown type"),
        (&[0, 0, 0, 0], "has a segment without entries"),
        (
            &[0, 1, 1, 1, 255, 9],
            "has more entries than its descriptor says",
        ),
        (
            &[0, 1, 1, 2, 1, 3, 0, 0, 0],
            "an indirect segment points to another",
        ),
        (
            &[0, 1, 1, 2, 1, 255, 255, 255, 255],
            "ends before its last entry",
        ),
    ] {
        let header = palette(row8(1), &[8, 0, 8], SEGMENTED, segments);
        let error = header.describe().expect_err(problem);
        assert_eq!(error.to_string(), format!("(0028,1221): {problem}"));
    }
    let odd = palette(
        row8(1),
        &[8, 0, 16],
        SEGMENTED,
        &words(&[0, 1, 1, 2, 1, 3, 0]),
    );
    let error = odd.describe().expect_err("odd");
    assert_eq!(
        error.to_string(),
        "(0028,1221): an indirect segment points into a number"
    );
}

#[test]
fn a_palette_image_without_a_palette_is_named() {
    let header = row8(1).cs(tags::PHOTOMETRIC_INTERPRETATION, "PALETTE COLOR");
    assert_eq!(header.describe().expect_err("none").code(), "image.table");
    let empty = palette(row8(1), &[8, 0, 8], DATA, &[]);
    let error = empty.describe().expect_err("none");
    assert_eq!(
        error.to_string(),
        "(0028,1201): is missing, and segmented data too"
    );
}

#[test]
fn a_supplemental_palette_colours_what_is_in_it_and_leaves_the_rest_gray() {
    // PS3.3 §C.8.16.2.1.1.1.
    let header = palette(row8(4), &[2, 200, 8], DATA, &[10, 20])
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2")
        .cs(Tag(0x0008, 0x9205), "COLOR")
        .bytes(DATA[2], Vr::OW, &[90, 91])
        .window("128", "256");
    let found = colours(&header, &[7, 199, 200, 201], &RenderOptions::default());
    assert_eq!(found, [[7; 3], [199; 3], [10, 10, 90], [20, 20, 91]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_segments_expand_to_the_entries_said_or_are_refused(
        segments in proptest::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..64),
        entries in 1u16..400,
        words in any::<bool>(),
    ) {
        let bits = if words { 16 } else { 8 };
        let header = palette(row8(1), &[entries, 0, bits], SEGMENTED, &segments);
        match header.describe() {
            Ok(_) => prop_assert_eq!(colours(&header, &[0], &RenderOptions::default()).len(), 1),
            Err(error) => prop_assert_eq!(error.code(), "image.table"),
        }
    }
}
