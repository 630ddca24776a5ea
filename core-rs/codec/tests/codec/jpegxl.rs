//! JPEG XL of another encoder is decoded, broken JPEG XL is an error.

use vna_codec::{CodecError, Colour, FrameFormat, Photometric, Sample, codec};

macro_rules! data {
    ($name:literal) => {
        &include_bytes!(concat!("../data/", $name))[..]
    };
}

fn format(rows: u32, columns: u32, samples_per_pixel: u16, bits: u16) -> FrameFormat {
    FrameFormat {
        rows,
        columns,
        samples_per_pixel,
        bits_allocated: bits,
        bits_stored: bits,
        sample: Sample::Unsigned,
        planar: false,
        photometric: match samples_per_pixel {
            1 => Photometric::Monochrome2,
            _ => Photometric::Rgb,
        },
    }
}

fn decode(
    transfer_syntax_uid: &str,
    codestream: &[u8],
    format: &FrameFormat,
) -> Result<(Vec<u8>, FrameFormat), CodecError> {
    let mut out = vec![0x5A; usize::try_from(format.frame_bytes().unwrap()).unwrap()];
    let codec = codec(transfer_syntax_uid).unwrap();
    let format = codec.decode(codestream, format, Colour::Rgb, &mut out)?;
    Ok((out, format))
}

/// Samples by a formula of column, row and sample.
fn samples(format: &FrameFormat, formula: fn(u32, u32) -> [u32; 3]) -> Vec<u8> {
    let bytes = usize::from(format.bits_allocated / 8);
    let mut samples = Vec::new();
    for row in 0..format.rows {
        for column in 0..format.columns {
            for sample in &formula(column, row)[..format.samples_per_pixel.into()] {
                samples.extend_from_slice(&sample.to_le_bytes()[..bytes]);
            }
        }
    }
    samples
}

fn furthest(one: &[u8], other: &[u8]) -> u8 {
    let pairs = one.iter().zip(other);
    pairs
        .map(|(one, other)| one.abs_diff(*other))
        .max()
        .unwrap()
}

#[test]
fn lossless_jpeg_xl_is_decoded_exactly() {
    let grey = format(11, 17, 1, 16);
    let expected = samples(&grey, |x, y| {
        [(x * x * 3 + y * y * 7 + x * y) * 13 % 4096, 0, 0]
    });
    let (found, found_format) =
        decode("1.2.840.10008.1.2.4.110", data!("gray_16.jxl"), &grey).unwrap();
    assert_eq!(found_format, grey);
    assert!(found == expected);

    let rgb = format(11, 17, 3, 8);
    let expected = samples(&rgb, |x, y| {
        [x * 15 + y * 3, x * 5 + y * 20, 255 - x * 14].map(|sample| sample % 256)
    });
    let (found, found_format) =
        decode("1.2.840.10008.1.2.4.110", data!("rgb_8.jxl"), &rgb).unwrap();
    assert_eq!(found_format, rgb);
    assert!(found == expected);
}

#[test]
fn a_recompressed_jpeg_is_decoded_as_the_jpeg() {
    let stored = FrameFormat {
        photometric: Photometric::YbrFull422,
        ..format(24, 32, 3, 8)
    };
    let (jpeg, _) = decode("1.2.840.10008.1.2.4.50", data!("rgb.jpg"), &stored).unwrap();
    let (found, found_format) = decode(
        "1.2.840.10008.1.2.4.111",
        data!("rgb_recompressed.jxl"),
        &stored,
    )
    .unwrap();
    assert_eq!(found_format, format(24, 32, 3, 8));
    // The two decoders round and interpolate differences of colour in their own ways.
    assert!(furthest(&found, &jpeg) <= 4, "{}", furthest(&found, &jpeg));
}

#[test]
fn lossy_jpeg_xl_comes_near() {
    let stored = FrameFormat {
        photometric: Photometric::Xyb,
        ..format(24, 32, 3, 8)
    };
    let expected = samples(&stored, |x, y| {
        [x * 7 + y, y * 9 + 20, 200 - x * 3 - y * 2].map(|sample| sample % 256)
    });
    let (found, found_format) =
        decode("1.2.840.10008.1.2.4.112", data!("rgb_lossy.jxl"), &stored).unwrap();
    assert_eq!(found_format, format(24, 32, 3, 8));
    assert!(
        furthest(&found, &expected) <= 24,
        "{}",
        furthest(&found, &expected)
    );
}

#[test]
fn jpeg_xl_that_ends_early_or_is_something_else_is_an_error() {
    let grey = format(11, 17, 1, 16);
    let codestream = data!("gray_16.jxl");
    for length in 0..codestream.len() {
        assert!(
            decode("1.2.840.10008.1.2.4.110", &codestream[..length], &grey).is_err(),
            "{length}"
        );
    }
    for (wrong, what) in [
        (FrameFormat { rows: 12, ..grey }, "rows"),
        (
            FrameFormat {
                columns: 16,
                ..grey
            },
            "columns",
        ),
        (format(11, 17, 3, 16), "samples of a pixel"),
        (format(11, 17, 1, 8), "bits of a sample"),
    ] {
        let error = decode("1.2.840.10008.1.2.4.110", codestream, &wrong).unwrap_err();
        assert!(
            matches!(error, CodecError::Mismatch { what: found, .. } if found == what),
            "{error}"
        );
    }
}

#[test]
fn jpeg_xl_is_not_encoded() {
    let codec = codec("1.2.840.10008.1.2.4.112").unwrap();
    assert!(!codec.encodes());
    let encoded = codec.encode(&[0], &format(1, 1, 1, 8), &Default::default(), &mut [0; 64]);
    assert!(matches!(encoded, Err(CodecError::Unsupported { .. })));
}
