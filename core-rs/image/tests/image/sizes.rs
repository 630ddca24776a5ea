//! Pictures in other sizes, and pixels that are not square.

use proptest::prelude::*;
use vna_dicom::{Tag, Vr, tags};
use vna_image::{ClippedTo, Mode, Pixels, RenderOptions};

use crate::common::*;

fn size(header: &Header, pixels: usize, options: &RenderOptions<'_>) -> (u32, u32) {
    let picture = picture(header, &vec![0; pixels], options).expect("a picture");
    let samples = usize::from(picture.pixels.samples());
    let length = match &picture.pixels {
        Pixels::Gray8(samples) | Pixels::Rgb8(samples) => samples.len(),
        _ => panic!("not of 8 bits"),
    };
    assert_eq!(
        length,
        picture.width as usize * picture.height as usize * samples
    );
    (picture.width, picture.height)
}

fn fit(width: u32, height: u32) -> RenderOptions<'static> {
    RenderOptions {
        width: Some(width),
        height: Some(height),
        ..RenderOptions::default()
    }
}

#[test]
fn a_picture_fits_into_the_size_asked_for_and_keeps_its_shape() {
    let header = gray(20, 40, 8, 8, false);
    for (options, expected) in [
        (fit(0, 0), (40, 20)),
        (fit(80, 0), (80, 40)),
        (fit(0, 10), (20, 10)),
        (fit(80, 10), (20, 10)),
        (fit(10, 1000), (10, 5)),
        (fit(1, 1), (1, 1)),
    ] {
        assert_eq!(size(&header, 800, &options), expected);
    }
}

#[test]
fn the_nearest_pixel_is_the_one_that_the_middle_is_in() {
    let header = row8(4).window("128", "256");
    let nearest = |width| RenderOptions {
        smooth: false,
        ..fit(width, 1000)
    };
    let found = picture(&header, &[10, 20, 30, 40], &nearest(7)).expect("a picture");
    let row = [10, 10, 20, 30, 30, 40, 40];
    assert_eq!(found.pixels, Pixels::Gray8(row.repeat(2)));
    assert_eq!(grays(&header, &[10, 20, 30, 40], &nearest(2)), [20, 40]);
}

#[test]
fn smooth_pictures_are_averaged_when_they_get_smaller() {
    let header = gray(2, 4, 8, 8, false).window("128", "256");
    let samples = [0, 200, 0, 200, 200, 0, 200, 0];
    assert!(
        grays(&header, &samples, &fit(2, 1))
            .iter()
            .all(|gray| (90..=110).contains(gray))
    );
}

#[test]
fn values_with_sign_and_of_16_bits_are_resized_too() {
    let header = row16(2, 16, true);
    let options = RenderOptions {
        mode: Mode::Clipped(ClippedTo::Int16),
        ..fit(1, 1)
    };
    let found = picture(&header, &words(&[0xFF38, 100]), &options).expect("a picture"); // -200, 100
    assert_eq!(found.pixels, Pixels::SignedGray16(vec![-50]));
    let options = RenderOptions {
        mode: Mode::Clipped(ClippedTo::UInt16),
        ..fit(1, 1)
    };
    let found = picture(&row16(2, 16, false), &words(&[60000, 40000]), &options);
    assert_eq!(
        found.expect("a picture").pixels,
        Pixels::Gray16(vec![50000])
    );
}

#[test]
fn pixels_are_made_square_by_the_spacing_or_else_by_the_ratio() {
    let square = RenderOptions {
        square_pixels: true,
        ..RenderOptions::default()
    };
    let header = gray(10, 10, 8, 8, false);
    let spaced = header.clone().ds(Tag(0x0028, 0x0030), "0.8\\0.4");
    assert_eq!(size(&spaced, 100, &square), (10, 20));
    assert_eq!(size(&spaced, 100, &RenderOptions::default()), (10, 10));
    let both = spaced.text(Tag(0x0028, 0x0034), Vr::IS, "1\\3");
    assert_eq!(size(&both, 100, &square), (10, 20));
    let ratio = header.clone().text(Tag(0x0028, 0x0034), Vr::IS, "1\\3");
    assert_eq!(size(&ratio, 100, &square), (30, 10));
    let imager = header.clone().ds(Tag(0x0018, 0x1164), "0.1\\0.2");
    assert_eq!(size(&imager, 100, &square), (20, 10));
    let measures = Header::default().ds(Tag(0x0028, 0x0030), "3\\1");
    let measures = Header::default().sq(Tag(0x0028, 0x9110), vec![measures]);
    let grouped = header
        .clone()
        .sq(SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![measures]);
    assert_eq!(size(&grouped, 100, &square), (10, 30));
    for text in ["0\\1", "1", "-1\\1", "1\\100000", "a\\b"] {
        let header = header.clone().text(Tag(0x0028, 0x0034), Vr::IS, text);
        assert_eq!(size(&header, 100, &square), (10, 10));
    }
}

#[test]
fn a_picture_that_is_too_large_is_refused_before_it_is_made() {
    for options in [
        fit(1 << 20, 1 << 20),
        fit(u32::MAX, 0),
        RenderOptions {
            max_pixels: 7,
            ..fit(0, 0)
        },
    ] {
        let error = picture(&gray(4, 2, 8, 8, false), &[0; 8], &options).expect_err("too large");
        assert_eq!(error.code(), "image.limit");
    }
    // A line of 65535 pixels, asked for a hundred rows high.
    let error = picture(&row8(65535), &[0; 65535], &fit(0, 100)).expect_err("too large");
    assert_eq!(error.code(), "image.limit");
}

#[test]
fn colours_are_resized_as_they_are() {
    let header = row8(2)
        .us(tags::SAMPLES_PER_PIXEL, &[3])
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "RGB");
    let options = RenderOptions {
        smooth: false,
        ..fit(4, 0)
    };
    let found = colours(&header, &[1, 2, 3, 4, 5, 6], &options);
    assert_eq!(found[..4], [[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_side_is_longer_than_asked_for_and_one_is_as_long(
        rows in 1u16..60, columns in 1u16..60, width in 1u32..100, height in 1u32..100, smooth in any::<bool>(),
    ) {
        let pixels = usize::from(rows) * usize::from(columns);
        let options = RenderOptions { smooth, ..fit(width, height) };
        let (w, h) = size(&gray(rows, columns, 8, 8, false), pixels, &options);
        prop_assert!(w <= width && h <= height && (w == width || h == height));
    }
}
