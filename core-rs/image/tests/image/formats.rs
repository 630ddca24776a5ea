//! The forms that pictures are written in, and arrays.

use vna_dicom::{Tag, Vr, tags};
use vna_image::{ClippedTo, ElementType, Mode, Picture, Pixels, RenderOptions};

use crate::common::*;

fn png(picture: &Picture) -> (png::OutputInfo, Vec<u8>) {
    let file = picture.to_png(None).expect("a file");
    let decoder = png::Decoder::new(std::io::Cursor::new(file));
    let mut reader = decoder.read_info().expect("a PNG file");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut bytes).expect("its pixels");
    (info, bytes)
}

#[test]
fn png_gives_back_gray_of_8_and_16_bits_and_colours() {
    let pixels = [
        (Pixels::Gray8(vec![0, 1, 254, 255]), vec![0, 1, 254, 255]),
        (
            Pixels::Gray16(vec![0, 258, 1, 65535]),
            vec![0, 0, 1, 2, 0, 1, 255, 255],
        ),
        (
            Pixels::SignedGray16(vec![0, -1, -32768, 2]),
            vec![0, 0, 255, 255, 128, 0, 0, 2],
        ),
        (Pixels::Rgb8((0..12).collect()), (0..12).collect()),
        (
            Pixels::Rgb16((0..12).collect()),
            (0..12).flat_map(|value| [0, value]).collect(),
        ),
    ];
    for (pixels, bytes) in pixels {
        let picture = Picture {
            width: 2,
            height: 2,
            pixels,
        };
        let (info, found) = png(&picture);
        assert_eq!((info.width, info.height), (2, 2));
        assert_eq!(info.bit_depth as u16, picture.pixels.bits());
        assert_eq!(found, bytes);
    }
}

#[test]
fn a_portable_arbitrary_map_says_what_it_holds() {
    let picture = Picture {
        width: 2,
        height: 1,
        pixels: Pixels::Gray16(vec![1, 258]),
    };
    assert_eq!(
        picture.to_pam(),
        b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 65535\nTUPLTYPE GRAYSCALE\nENDHDR\n\x00\x01\x01\x02"
    );
    let picture = Picture {
        width: 1,
        height: 1,
        pixels: Pixels::Rgb8(vec![1, 2, 3]),
    };
    assert_eq!(
        picture.to_pam(),
        b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n\x01\x02\x03"
    );
}

#[test]
fn jpeg_is_a_jpeg_file_of_8_bits_only() {
    let gray = Picture {
        width: 16,
        height: 8,
        pixels: Pixels::Gray8(vec![100; 128]),
    };
    let file = gray.to_jpeg(90, None).expect("a file");
    assert!(file.starts_with(&[0xFF, 0xD8]) && file.ends_with(&[0xFF, 0xD9]));
    let colour = Picture {
        width: 16,
        height: 8,
        pixels: Pixels::Rgb8(vec![100; 384]),
    };
    assert!(
        colour
            .to_jpeg(0, None)
            .expect("a file")
            .starts_with(&[0xFF, 0xD8])
    );
    let deep = Picture {
        width: 1,
        height: 1,
        pixels: Pixels::Gray16(vec![1]),
    };
    assert_eq!(
        deep.to_jpeg(90, None).expect_err("16 bits").code(),
        "image.encode"
    );
}

#[test]
fn clipped_values_are_cut_off_at_the_ends_of_the_type() {
    let samples = [0x8000, 0xFFFF, 0, 300];
    let clipped = |to| {
        let options = RenderOptions {
            mode: Mode::Clipped(to),
            ..RenderOptions::default()
        };
        // Neither the slope nor the window count.
        let header = row16(4, 16, true).ds(RESCALE_SLOPE, "2").window("0", "10");
        picture(&header, &words(&samples), &options)
            .expect("a picture")
            .pixels
    };
    assert_eq!(clipped(ClippedTo::UInt8), Pixels::Gray8(vec![0, 0, 0, 255]));
    assert_eq!(
        clipped(ClippedTo::UInt16),
        Pixels::Gray16(vec![0, 0, 0, 300])
    );
    assert_eq!(
        clipped(ClippedTo::Int16),
        Pixels::SignedGray16(vec![-32768, -1, 0, 300])
    );
}

#[test]
fn colours_are_not_clipped() {
    let header = row8(1)
        .us(tags::SAMPLES_PER_PIXEL, &[3])
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "RGB");
    let mode = Mode::Clipped(ClippedTo::UInt8);
    let options = RenderOptions {
        mode,
        ..RenderOptions::default()
    };
    let error = picture(&header, &[1, 2, 3], &options).expect_err("colours");
    assert_eq!(error.code(), "image.request");
}

#[test]
fn arrays_have_the_smallest_type_and_rescaled_ones_are_floats() {
    let array = |header: &Header, samples: &[u8], rescale| {
        let description = header.describe().expect("an image");
        let mut out = Vec::new();
        let frame = decoded(samples, description.format);
        let element = description
            .array(0, &frame, rescale, &mut out)
            .expect("an array");
        assert_eq!(element, description.array_type(rescale).0);
        (element, out)
    };
    let header = row16(2, 12, true)
        .ds(RESCALE_SLOPE, "0.5")
        .ds(RESCALE_INTERCEPT, "-1");
    let samples = words(&[0x0FFF, 0x0002]); // -1 and 2 in 12 bits
    assert_eq!(
        array(&header, &samples, false),
        (ElementType::I2, words(&[0xFFFF, 2]))
    );
    let floats = [-1.5f32, 0.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(array(&header, &samples, true), (ElementType::F4, floats));
    let bits = gray(1, 4, 1, 1, false);
    assert_eq!(
        array(&bits, &[0b0101], false),
        (ElementType::U1, vec![1, 0, 1, 0])
    );
    let colour = row8(1)
        .us(tags::SAMPLES_PER_PIXEL, &[3])
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "RGB");
    assert_eq!(
        array(&colour, &[1, 2, 3], true),
        (ElementType::U1, vec![1, 2, 3])
    );
    let palette = row8(2)
        .cs(tags::PHOTOMETRIC_INTERPRETATION, "PALETTE COLOR")
        .us(Tag(0x0028, 0x1101), &[2, 0, 8])
        .us(Tag(0x0028, 0x1102), &[2, 0, 8])
        .us(Tag(0x0028, 0x1103), &[2, 0, 8])
        .bytes(Tag(0x0028, 0x1201), Vr::OW, &[1, 2])
        .bytes(Tag(0x0028, 0x1202), Vr::OW, &[3, 4])
        .bytes(Tag(0x0028, 0x1203), Vr::OW, &[5, 6]);
    assert_eq!(
        array(&palette, &[1, 0], false),
        (ElementType::U1, vec![2, 4, 6, 1, 3, 5])
    );
}
