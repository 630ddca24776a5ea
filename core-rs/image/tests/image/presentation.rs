//! Presentation states (PS3.4 §N.2).

use vna_dicom::{Tag, Vr, tags};
use vna_image::{ImageError, Pixels, PresentationState, RenderOptions};

use crate::common::*;

const GRAYSCALE: &str = "1.2.840.10008.5.1.4.1.1.11.1";
const PSEUDO_COLOR: &str = "1.2.840.10008.5.1.4.1.1.11.3";
const REFERENCED_IMAGE_SEQUENCE: Tag = Tag(0x0008, 0x1140);
const SOFTCOPY_VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3110);

fn reference(uid: &str, frames: Option<&str>) -> Header {
    let header = Header::default().text(Tag(0x0008, 0x1155), Vr::UI, uid);
    match frames {
        Some(frames) => header.text(Tag(0x0008, 0x1160), Vr::IS, frames),
        None => header,
    }
}

/// A presentation state of the image of these tests.
fn state(sop_class: &str) -> Header {
    let images = vec![reference("1.2.3", None)];
    let series = Header::default().sq(REFERENCED_IMAGE_SEQUENCE, images);
    Header::default()
        .text(tags::SOP_CLASS_UID, Vr::UI, sop_class)
        .sq(Tag(0x0008, 0x1115), vec![series])
}

/// One that changes no gray of 8 bits.
fn plain() -> Header {
    let voi = Header::default().window("128", "256");
    state(GRAYSCALE).sq(SOFTCOPY_VOI_LUT_SEQUENCE, vec![voi])
}

fn read(header: &Header) -> PresentationState {
    PresentationState::read(&header.0).expect("a presentation state")
}

fn presented(image: &Header, samples: &[u8], state: &Header) -> Vec<u8> {
    let state = read(state);
    let options = RenderOptions {
        presentation_state: Some(&state),
        ..RenderOptions::default()
    };
    grays(image, samples, &options)
}

/// Rows of the picture of an image of 4 columns and 3 rows, 0 to 11 times ten.
fn rows_of(state: &Header) -> Vec<Vec<u8>> {
    let samples: Vec<u8> = (0..12).map(|index| index * 10).collect();
    let state = read(state);
    let options = RenderOptions {
        presentation_state: Some(&state),
        ..RenderOptions::default()
    };
    let picture = picture(&gray(3, 4, 8, 8, false), &samples, &options).expect("a picture");
    let Pixels::Gray8(pixels) = picture.pixels else {
        panic!("not gray")
    };
    pixels
        .chunks(picture.width as usize)
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn its_luts_take_the_place_of_those_of_the_image() {
    // PS3.4 §N.2.1: what it does not say is identity, also MONOCHROME1 (PS3.3 §C.11.6).
    let image = row8(2)
        .ds(RESCALE_SLOPE, "2")
        .window("5", "1")
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1");
    assert_eq!(presented(&image, &[10, 250], &plain()), [10, 250]);
    assert_eq!(presented(&image, &[10, 250], &state(GRAYSCALE)), [10, 250]);
    let inverse = plain().cs(PRESENTATION_LUT_SHAPE, "INVERSE");
    assert_eq!(presented(&image, &[10, 250], &inverse), [245, 5]);
    let rescaled = plain().ds(RESCALE_SLOPE, "1").ds(RESCALE_INTERCEPT, "5");
    assert_eq!(presented(&image, &[10, 250], &rescaled), [15, 255]);
}

#[test]
fn it_is_for_the_images_and_frames_that_it_refers_to() {
    let images = vec![reference("1.2.3", Some("2\\3")), reference("1.2.4", None)];
    let series = Header::default().sq(REFERENCED_IMAGE_SEQUENCE, images);
    let state = read(&plain().sq(Tag(0x0008, 0x1115), vec![series]));
    let refers = |uid, frame| state.refers_to(uid, frame);
    assert_eq!(
        [0, 1, 2, 3].map(|frame| refers("1.2.3", frame)),
        [false, true, true, false]
    );
    assert!(refers("1.2.4", 9) && !refers("1.2.5", 0));
    // Others are rendered as their header says.
    let options = RenderOptions {
        presentation_state: Some(&state),
        ..RenderOptions::default()
    };
    assert_eq!(grays(&row8(1).window("5", "1"), &[7], &options), [255]);
}

#[test]
fn a_voi_lut_is_for_the_images_that_its_item_refers_to() {
    let voi = |center: &str, references: Vec<Header>| {
        let item = Header::default().window(center, "1");
        if references.is_empty() {
            item
        } else {
            item.sq(REFERENCED_IMAGE_SEQUENCE, references)
        }
    };
    let items = vec![
        voi("9", vec![reference("1.2.9", None)]),
        voi("5", vec![reference("1.2.3", None)]),
    ];
    let state = state(GRAYSCALE).sq(SOFTCOPY_VOI_LUT_SEQUENCE, items);
    assert_eq!(presented(&row8(3), &[4, 5, 9], &state), [0, 255, 255]);
}

#[test]
fn an_image_is_turned_clockwise_and_then_flipped() {
    // PS3.3 §C.10.6.
    let turned = |rotation, flip| {
        plain()
            .us(Tag(0x0070, 0x0042), &[rotation])
            .cs(Tag(0x0070, 0x0041), flip)
    };
    assert_eq!(
        rows_of(&turned(0, "N")),
        [[0, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 110]]
    );
    assert_eq!(
        rows_of(&turned(90, "N")),
        [[80, 40, 0], [90, 50, 10], [100, 60, 20], [110, 70, 30]]
    );
    assert_eq!(rows_of(&turned(180, "N"))[0], [110, 100, 90, 80]);
    assert_eq!(rows_of(&turned(270, "N"))[0], [30, 70, 110]);
    assert_eq!(rows_of(&turned(0, "Y"))[0], [30, 20, 10, 0]);
    assert_eq!(rows_of(&turned(90, "Y"))[0], [0, 40, 80]);
}

#[test]
fn a_displayed_area_is_cut_out_and_may_reach_over_the_edges() {
    let corners = |columns_and_rows: [i32; 4]| {
        let bytes = |pair: &[i32]| {
            pair.iter()
                .flat_map(|one| one.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        Header::default()
            .bytes(Tag(0x0070, 0x0052), Vr::SL, &bytes(&columns_and_rows[..2]))
            .bytes(Tag(0x0070, 0x0053), Vr::SL, &bytes(&columns_and_rows[2..]))
    };
    let area = |area: Header| plain().sq(Tag(0x0070, 0x005A), vec![area]);
    assert_eq!(rows_of(&area(corners([2, 1, 3, 2]))), [[10, 20], [50, 60]]);
    assert_eq!(rows_of(&area(corners([4, 3, 5, 4]))), [[110, 0], [0, 0]]);
    assert_eq!(rows_of(&area(corners([0, 0, 1, 1]))), [[0, 0], [0, 0]]);
    // Turned by 180 degrees, the first corner is the lower right one.
    let turned = area(corners([3, 2, 2, 1])).us(Tag(0x0070, 0x0042), &[180]);
    assert_eq!(rows_of(&turned), [[60, 50], [20, 10]]);
    let magnified = corners([2, 1, 2, 1])
        .cs(Tag(0x0070, 0x0100), "MAGNIFY")
        .floats(Tag(0x0070, 0x0103), &[3.0]);
    assert_eq!(rows_of(&area(magnified)), [[10; 3]; 3]);
    let huge = read(&area(corners([i32::MIN, 1, i32::MAX, i32::MAX])));
    let options = RenderOptions {
        presentation_state: Some(&huge),
        ..RenderOptions::default()
    };
    let error = picture(&row8(1), &[1], &options).expect_err("too large");
    assert!(
        matches!(error, ImageError::Table { .. } | ImageError::Limit { .. }),
        "{error}"
    );
}

#[test]
fn shutters_leave_what_all_of_them_leave() {
    // PS3.3 §C.7.6.11: edges are columns and rows counted from 1.
    let is = |header: Header, tag, text: &str| header.text(tag, Vr::IS, text);
    let mut state = plain()
        .cs(Tag(0x0018, 0x1600), "RECTANGULAR")
        .us(Tag(0x0018, 0x1622), &[0xC800]);
    for (element, edge) in [(0x1602, "2"), (0x1604, "3"), (0x1606, "1"), (0x1608, "2")] {
        state = is(state, Tag(0x0018, element), edge);
    }
    assert_eq!(
        rows_of(&state),
        [[200, 10, 20, 200], [200, 50, 60, 200], [200; 4]]
    );
    let both = is(
        state.cs(Tag(0x0018, 0x1600), "RECTANGULAR\\CIRCULAR"),
        Tag(0x0018, 0x1610),
        "1\\2",
    );
    let both = is(both, Tag(0x0018, 0x1612), "1");
    assert_eq!(
        rows_of(&both),
        [[200, 10, 20, 200], [200, 50, 200, 200], [200; 4]]
    );
    let polygon = plain().cs(Tag(0x0018, 0x1600), "POLYGONAL");
    let polygon =
        is(polygon, Tag(0x0018, 0x1620), "0\\1\\0\\2\\9\\2\\9\\1").us(Tag(0x0018, 0x1622), &[0]);
    assert_eq!(
        rows_of(&polygon),
        [[0, 10, 0, 0], [40, 50, 0, 0], [80, 90, 0, 0]]
    );
}

/// An overlay of one row of four pixels in a group.
fn overlay(header: Header, group: u16, bits: u8) -> Header {
    header
        .us(Tag(group, 0x0010), &[1])
        .us(Tag(group, 0x0011), &[4])
        .bytes(Tag(group, 0x3000), Vr::OW, &[bits, 0])
}

#[test]
fn overlays_are_shown_if_they_are_active_and_cover_if_they_are_a_shutter() {
    let layer = Header::default()
        .cs(Tag(0x0070, 0x0002), "ONE")
        .us(Tag(0x0070, 0x0066), &[0x8000]);
    let state = overlay(plain(), 0x6000, 0b0011)
        .cs(Tag(0x6000, 0x1001), "ONE")
        .sq(Tag(0x0070, 0x0060), vec![layer]);
    assert_eq!(rows_of(&state)[0], [128, 128, 20, 30]);
    assert_eq!(
        rows_of(&overlay(plain(), 0x6000, 0b0011))[0],
        [0, 10, 20, 30]
    );
    let shutter = overlay(plain(), 0x6004, 0b1100)
        .cs(Tag(0x0018, 0x1600), "BITMAP")
        .us(Tag(0x0018, 0x1623), &[0x6004])
        .us(Tag(0x0018, 0x1622), &[0x0A00]);
    assert_eq!(rows_of(&shutter)[0], [0, 10, 10, 10]);
    // An overlay of the image.
    let image = overlay(row8(4), 0x6002, 0b0101);
    let active = plain().cs(Tag(0x6002, 0x1001), "TWO");
    assert_eq!(presented(&image, &[1, 2, 3, 4], &active), [255, 2, 255, 4]);
}

fn graphic(kind: &str, units: &str, filled: &str, data: &[f32]) -> Header {
    let object = Header::default()
        .cs(Tag(0x0070, 0x0005), units)
        .cs(Tag(0x0070, 0x0023), kind)
        .cs(Tag(0x0070, 0x0024), filled)
        .floats(Tag(0x0070, 0x0022), data);
    let annotation = Header::default()
        .cs(Tag(0x0070, 0x0002), "L")
        .sq(Tag(0x0070, 0x0009), vec![object]);
    plain().sq(Tag(0x0070, 0x0001), vec![annotation])
}

#[test]
fn graphics_are_drawn_where_they_say() {
    // PS3.3 §C.10.5.1.2: 0\0 is the corner of the first pixel.
    let line = graphic("POLYLINE", "PIXEL", "N", &[0.5, 1.5, 2.5, 1.5]);
    assert_eq!(
        rows_of(&line),
        [[0, 10, 20, 30], [255, 255, 255, 70], [80, 90, 100, 110]]
    );
    let display = graphic("POLYLINE", "DISPLAY", "N", &[0.9, 0.1, 0.9, 0.9]);
    assert_eq!(
        rows_of(&display),
        [[0, 10, 20, 255], [40, 50, 60, 255], [80, 90, 100, 255]]
    );
    let turned =
        graphic("POLYLINE", "PIXEL", "N", &[0.5, 0.5, 0.5, 2.5]).us(Tag(0x0070, 0x0042), &[90]);
    assert_eq!(rows_of(&turned)[0], [255, 255, 255]);
    let filled = graphic(
        "POLYLINE",
        "PIXEL",
        "Y",
        &[0.2, 0.2, 2.8, 0.2, 2.8, 2.8, 0.2, 2.8, 0.2, 0.2],
    );
    assert_eq!(
        rows_of(&filled),
        [
            [255, 255, 255, 30],
            [255, 255, 255, 70],
            [255, 255, 255, 110]
        ]
    );
}

#[test]
fn circles_and_ellipses_have_their_radius() {
    let image = gray(41, 41, 8, 8, false);
    let lit = |state: &Header| -> Vec<(f64, f64)> {
        let pixels = presented(&image, &[0; 41 * 41], state);
        let lit = pixels.iter().enumerate().filter(|(_, gray)| **gray == 255);
        lit.map(|(index, _)| ((index % 41) as f64 - 20.0, (index / 41) as f64 - 20.0))
            .collect()
    };
    let circle = lit(&graphic("CIRCLE", "PIXEL", "N", &[20.5, 20.5, 35.5, 20.5]));
    assert!(circle.len() > 60 && circle.iter().all(|(x, y)| (x.hypot(*y) - 15.0).abs() < 1.0));
    let axes = [5.5, 20.5, 35.5, 20.5, 20.5, 14.5, 20.5, 26.5];
    let ellipse = lit(&graphic("ELLIPSE", "PIXEL", "N", &axes));
    assert!(
        ellipse.len() > 40
            && ellipse
                .iter()
                .all(|(x, y)| ((x / 15.0).hypot(y / 6.0) - 1.0).abs() < 0.2)
    );
    let point = lit(&graphic("POINT", "PIXEL", "N", &[20.5, 20.5]));
    assert!(point.contains(&(0.0, 0.0)) && point.iter().all(|(x, y)| x.hypot(*y) < 4.0));
}

#[test]
fn texts_are_drawn_at_their_corner() {
    let text = Header::default()
        .text(Tag(0x0070, 0x0006), Vr::ST, "I")
        .cs(Tag(0x0070, 0x0003), "PIXEL")
        .floats(Tag(0x0070, 0x0010), &[2.0, 1.0]);
    let annotation = Header::default()
        .cs(Tag(0x0070, 0x0002), "L")
        .sq(Tag(0x0070, 0x0008), vec![text]);
    let state = plain().sq(Tag(0x0070, 0x0001), vec![annotation]);
    let pixels = presented(&gray(9, 8, 8, 8, false), &[0; 72], &state);
    let rows: Vec<String> = pixels
        .chunks(8)
        .map(|row| {
            row.iter()
                .map(|gray| if *gray == 255 { '#' } else { '.' })
                .collect()
        })
        .collect();
    let bar = "....#...";
    assert_eq!(
        rows,
        [
            "........", "...###..", bar, bar, bar, bar, bar, "...###..", "........"
        ]
    );
}

#[test]
fn a_pseudo_color_state_makes_colours_of_grays() {
    let mut state = state(PSEUDO_COLOR).sq(
        SOFTCOPY_VOI_LUT_SEQUENCE,
        vec![Header::default().window("128", "256")],
    );
    for (channel, middle) in [(0u16, 2), (1, 3), (2, 4)] {
        state = state.us(Tag(0x0028, 0x1101 + channel), &[3, 0, 8]).bytes(
            Tag(0x0028, 0x1201 + channel),
            Vr::OW,
            &[1, middle, 3, 0],
        );
    }
    let state = read(&state);
    let options = RenderOptions {
        presentation_state: Some(&state),
        ..RenderOptions::default()
    };
    let found = colours(&row8(3), &[0, 128, 255], &options);
    assert_eq!(found, [[1, 1, 1], [2, 3, 4], [3, 3, 3]]);
}

#[test]
fn what_is_no_presentation_state_or_broken_is_named() {
    let error = PresentationState::read(&row8(1).0).expect_err("an image");
    assert_eq!(error.code(), "image.request");
    let few = graphic("ELLIPSE", "PIXEL", "N", &[1.0, 2.0]);
    let error = PresentationState::read(&few.0).expect_err("too few points");
    assert_eq!(
        error.to_string(),
        "(0070,0022): has too few points for its graphic"
    );
    let unknown = graphic("SPIRAL", "PIXEL", "N", &[1.0, 2.0]);
    assert_eq!(
        PresentationState::read(&unknown.0)
            .expect_err("unknown")
            .code(),
        "image.table"
    );
}

#[test]
fn more_graphics_than_a_picture_has_room_for_are_refused() {
    let points: Vec<f32> = (0..400_000u32)
        .map(|index| (index % 4 / 2 * 255) as f32)
        .collect();
    let state = read(&graphic("POLYLINE", "PIXEL", "N", &points));
    let options = RenderOptions {
        presentation_state: Some(&state),
        ..RenderOptions::default()
    };
    let error =
        picture(&gray(256, 256, 8, 8, false), &vec![0; 65536], &options).expect_err("too much");
    assert_eq!(error.code(), "image.request");
}
