//! JPEG 2000 as it occurs in the field: in files, with wrong headers, cut off, and made to take memory.

use vna_codec::{CodecError, Colour, EncodeOptions, FrameFormat, Photometric, Sample, codec};

const LOSSLESS: &str = "1.2.840.10008.1.2.4.90";
const LOSSY: &str = "1.2.840.10008.1.2.4.91";
const HIGH_THROUGHPUT: &str = "1.2.840.10008.1.2.4.201";
const BY_RESOLUTION: &str = "1.2.840.10008.1.2.4.202";
const HIGH_THROUGHPUT_LOSSY: &str = "1.2.840.10008.1.2.4.203";

macro_rules! data {
    ($name:literal) => {
        &include_bytes!(concat!("../data/", $name))[..]
    };
}

fn format(rows: u32, columns: u32, bits_stored: u16, sample: Sample) -> FrameFormat {
    FrameFormat {
        rows,
        columns,
        samples_per_pixel: 1,
        bits_allocated: bits_stored.next_multiple_of(8),
        bits_stored,
        sample,
        planar: false,
        photometric: Photometric::Monochrome2,
    }
}

fn rgb(rows: u32, columns: u32) -> FrameFormat {
    FrameFormat {
        samples_per_pixel: 3,
        photometric: Photometric::Rgb,
        ..format(rows, columns, 8, Sample::Unsigned)
    }
}

/// A slope with waves, in the range of Bits Stored.
fn samples(format: &FrameFormat) -> Vec<u8> {
    let mut samples = Vec::new();
    let range = 1i64 << format.bits_stored;
    for pixel in 0..i64::from(format.rows * format.columns) {
        let (x, y) = (
            pixel % i64::from(format.columns),
            pixel / i64::from(format.columns),
        );
        for sample in 0..i64::from(format.samples_per_pixel) {
            let value = (x * (3 + sample) + y * 5 + x * y / 7 % 4) * range / 1024 % range;
            let value = value - i64::from(format.sample == Sample::Signed) * range / 2;
            samples
                .extend_from_slice(&value.to_le_bytes()[..usize::from(format.bits_allocated / 8)]);
        }
    }
    samples
}

fn encode(uid: &str, samples: &[u8], format: &FrameFormat, ratio: f32) -> (Vec<u8>, FrameFormat) {
    let codec = codec(uid).unwrap();
    let mut out = vec![0; usize::try_from(codec.max_encoded_bytes(format)).unwrap()];
    let options = EncodeOptions {
        ratio,
        ..EncodeOptions::default()
    };
    let (length, format) = codec.encode(samples, format, &options, &mut out).unwrap();
    out.truncate(length);
    (out, format)
}

fn decode_as(
    uid: &str,
    codestream: &[u8],
    format: &FrameFormat,
    colour: Colour,
) -> Result<(Vec<u8>, FrameFormat), CodecError> {
    let mut out = vec![0x5A; usize::try_from(format.frame_bytes().unwrap()).unwrap()];
    let format = codec(uid)
        .unwrap()
        .decode(codestream, format, colour, &mut out)?;
    Ok((out, format))
}

fn decode(
    uid: &str,
    codestream: &[u8],
    format: &FrameFormat,
) -> Result<(Vec<u8>, FrameFormat), CodecError> {
    decode_as(uid, codestream, format, Colour::Rgb)
}

fn words(samples: &[u8]) -> impl Iterator<Item = i16> {
    let words = samples.chunks_exact(2);
    words.map(|word| i16::from_le_bytes([word[0], word[1]]))
}

#[test]
fn tiles_and_layers_of_another_encoder_are_decoded_exactly() {
    let grey = format(40, 50, 8, Sample::Unsigned);
    let (found, found_format) = decode(LOSSLESS, data!("tiles.j2k"), &grey).unwrap();
    assert_eq!(found_format, grey);
    let expected = (0..40u32)
        .flat_map(|y| (0..50u32).map(move |x| u8::try_from((x * 37 + y * 101) % 256).unwrap()));
    assert!(expected.eq(found));

    let (found, found_format) = decode(LOSSLESS, data!("layers.jp2"), &rgb(24, 32)).unwrap();
    assert_eq!(found_format, rgb(24, 32));
    let expected = (0..24u32).flat_map(|y| {
        (0..32u32).flat_map(move |x| {
            [x * 7 + y, y * 9 + 20, 200 - x * 3 - y * 2].map(|sample| u8::try_from(sample).unwrap())
        })
    });
    assert!(expected.eq(found));
}

#[test]
fn the_sign_of_the_data_set_is_that_of_the_samples() {
    for uid in [LOSSLESS, HIGH_THROUGHPUT] {
        // Two's complement of 13 bits, coded as if it were unsigned.
        let unsigned = format(20, 30, 13, Sample::Unsigned);
        let signed = format(20, 30, 13, Sample::Signed);
        let (codestream, _) = encode(uid, &samples(&unsigned), &unsigned, 1.0);
        let (found, found_format) = decode(uid, &codestream, &signed).unwrap();
        assert_eq!(found_format, signed);
        assert!(words(&found).eq(words(&samples(&unsigned)).map(|word| word << 3 >> 3)));

        // And the other way round.
        let (codestream, _) = encode(uid, &samples(&signed), &signed, 1.0);
        let (found, found_format) = decode(uid, &codestream, &unsigned).unwrap();
        assert_eq!(found_format, unsigned);
        assert!(words(&found).eq(words(&samples(&signed)).map(|word| word & 0x1FFF)));
    }
}

#[test]
fn a_codestream_of_more_or_fewer_bits_than_bits_stored_is_decoded() {
    let written = format(20, 30, 12, Sample::Unsigned);
    let (codestream, _) = encode(LOSSLESS, &samples(&written), &written, 1.0);
    for (said, found) in [(10, 12), (16, 16)] {
        let said = FrameFormat {
            bits_stored: said,
            ..written
        };
        let (decoded, decoded_format) = decode(LOSSLESS, &codestream, &said).unwrap();
        assert_eq!(decoded_format.bits_stored, found);
        assert!(decoded == samples(&written));
    }
    let narrow = format(20, 30, 8, Sample::Unsigned);
    let error = decode(LOSSLESS, &codestream, &narrow).unwrap_err();
    assert!(
        matches!(error, CodecError::Mismatch { found: 12, .. }),
        "{error}"
    );
}

#[test]
fn what_stands_beyond_bits_stored_is_kept() {
    let said = format(9, 11, 12, Sample::Unsigned);
    let mut samples = samples(&said);
    samples[1] |= 0x80; // an overlay
    for uid in [LOSSLESS, BY_RESOLUTION] {
        let (codestream, encoded) = encode(uid, &samples, &said, 1.0);
        assert_eq!(encoded.bits_stored, 16);
        assert!(decode(uid, &codestream, &said).unwrap().0 == samples);
    }
}

#[test]
fn the_colour_transform_is_told_and_undone_whatever_the_header_says() {
    let written = rgb(30, 40);
    for (uid, transform) in [
        (LOSSLESS, Photometric::YbrRct),
        (LOSSY, Photometric::YbrIct),
        (HIGH_THROUGHPUT, Photometric::YbrRct),
        (BY_RESOLUTION, Photometric::YbrRct),
        (HIGH_THROUGHPUT_LOSSY, Photometric::YbrIct),
    ] {
        let (codestream, encoded) = encode(uid, &samples(&written), &written, 4.0);
        assert_eq!(encoded.photometric, transform);
        let (expected, _) = decode(uid, &codestream, &encoded).unwrap();
        for photometric in [
            Photometric::Rgb,
            Photometric::YbrFull422,
            Photometric::YbrIct,
        ] {
            let said = FrameFormat {
                photometric,
                ..written
            };
            let (found, found_format) = decode(uid, &codestream, &said).unwrap();
            assert_eq!(found_format.photometric, Photometric::Rgb);
            assert!(found == expected);
        }
    }
}

#[test]
fn colours_that_were_not_transformed_are_those_of_the_data_set() {
    let stored = FrameFormat {
        photometric: Photometric::YbrFull,
        ..rgb(30, 40)
    };
    for uid in [LOSSLESS, HIGH_THROUGHPUT] {
        let (codestream, encoded) = encode(uid, &samples(&stored), &stored, 1.0);
        assert_eq!(encoded, stored);
        let (found, found_format) = decode_as(uid, &codestream, &stored, Colour::AsStored).unwrap();
        assert_eq!(found_format, stored);
        assert!(found == samples(&stored));
        let (found, found_format) = decode(uid, &codestream, &stored).unwrap();
        assert_eq!(found_format.photometric, Photometric::Rgb);
        assert!(found != samples(&stored));
    }
}

#[test]
fn a_lossy_codestream_has_the_ratio_that_is_asked_for() {
    let grey = format(200, 180, 12, Sample::Unsigned);
    let samples: Vec<u8> = samples(&grey)
        .chunks_exact(2)
        .enumerate()
        .flat_map(|(index, word)| [word[0] ^ u8::try_from(index * index % 13).unwrap(), word[1]])
        .collect();
    for uid in [LOSSY, HIGH_THROUGHPUT_LOSSY] {
        for ratio in [5.0, 10.0] {
            let (codestream, _) = encode(uid, &samples, &grey, ratio);
            let found = 200.0 * 180.0 * 1.5 / codestream.len() as f32;
            assert!(
                (0.8..1.25).contains(&(found / ratio)),
                "{uid}: {found} for {ratio}"
            );
            let (decoded, _) = decode(uid, &codestream, &grey).unwrap();
            let furthest = words(&decoded)
                .zip(words(&samples))
                .map(|(one, other)| one.abs_diff(other));
            assert!(furthest.max() < Some(128));
        }
    }
}

#[test]
fn black_and_white_stay_what_they_are_when_they_are_lossy() {
    let stripes = rgb(64, 64);
    let stripe = |index: usize| if index / 3 % 64 / 5 % 2 == 0 { 255 } else { 0 };
    let samples: Vec<u8> = (0..64 * 64 * 3).map(stripe).collect();
    for uid in [LOSSY, HIGH_THROUGHPUT_LOSSY] {
        let (codestream, encoded) = encode(uid, &samples, &stripes, 12.0);
        let (decoded, _) = decode(uid, &codestream, &encoded).unwrap();
        let pairs = decoded.iter().zip(&samples);
        let furthest = pairs.map(|(one, other)| one.abs_diff(*other)).max();
        assert!(furthest < Some(100), "{uid}: {furthest:?}");
    }
}

#[test]
fn a_codestream_by_resolution_has_a_thumbnail_and_the_lengths_of_all_tile_parts() {
    let grey = format(300, 2200, 8, Sample::Unsigned);
    let (codestream, _) = encode(BY_RESOLUTION, &samples(&grey), &grey, 1.0);
    let segment = |marker: u8| {
        let at = codestream
            .windows(2)
            .position(|bytes| *bytes == [0xFF, marker])
            .unwrap();
        let length = usize::from(u16::from_be_bytes([codestream[at + 2], codestream[at + 3]]));
        &codestream[at + 4..at + 2 + length]
    };
    let cod = segment(0x52);
    assert_eq!(cod[1], 2, "RPCL");
    let levels = cod[5];
    assert!(2200u32.div_ceil(1 << levels) <= 64);
    // TLM: an index, a style, then for each tile-part a length of 4 bytes at the end of its entry.
    let tlm = segment(0x55);
    let size = (tlm.len() - 2) / (usize::from(levels) + 1);
    let lengths = tlm[2..]
        .chunks_exact(size)
        .map(|entry| u32::from_be_bytes(*entry.last_chunk().unwrap()));
    let mut at = codestream
        .windows(2)
        .position(|bytes| bytes == [0xFF, 0x90])
        .unwrap();
    for length in lengths {
        assert_eq!(codestream[at..at + 2], [0xFF, 0x90]);
        at += length as usize;
    }
    assert_eq!(codestream[at..], [0xFF, 0xD9]);
}

#[test]
fn a_codestream_that_ends_early_is_an_error_and_one_without_eoc_is_not() {
    let grey = format(64, 64, 12, Sample::Unsigned);
    for uid in [LOSSLESS, LOSSY, HIGH_THROUGHPUT, BY_RESOLUTION] {
        let (codestream, _) = encode(uid, &samples(&grey), &grey, 10.0);
        let whole = decode(uid, &codestream, &grey).unwrap();
        for length in (0..codestream.len() - 2)
            .step_by(7)
            .chain([codestream.len() - 3])
        {
            assert!(
                decode(uid, &codestream[..length], &grey).is_err(),
                "{uid}: {length}"
            );
        }
        let without_eoc = &codestream[..codestream.len() - 2];
        assert!(decode(uid, without_eoc, &grey) == Ok(whole.clone()));
        // Fragments are padded to an even length.
        assert_eq!(
            decode(uid, &[&codestream[..], &[0]].concat(), &grey),
            Ok(whole)
        );
    }
    // Its last tile-part says that it goes to the end: without EOC nobody knows where that is.
    let (mut codestream, _) = encode(LOSSLESS, &samples(&grey), &grey, 1.0);
    let at = codestream
        .windows(2)
        .position(|bytes| bytes == [0xFF, 0x90])
        .unwrap();
    codestream[at + 6..at + 10].fill(0);
    assert!(decode(LOSSLESS, &codestream, &grey).is_ok());
    codestream.truncate(codestream.len() - 40);
    assert!(decode(LOSSLESS, &codestream, &grey).is_err());
}

#[test]
fn another_size_or_number_of_samples_than_that_of_the_data_set_is_an_error() {
    let grey = format(16, 24, 8, Sample::Unsigned);
    let (codestream, _) = encode(LOSSLESS, &samples(&grey), &grey, 1.0);
    for (said, what) in [
        (
            FrameFormat {
                rows: 24,
                columns: 16,
                ..grey
            },
            "rows",
        ),
        (
            FrameFormat {
                columns: 12,
                ..grey
            },
            "columns",
        ),
        (rgb(16, 24), "samples of a pixel"),
    ] {
        let error = decode(LOSSLESS, &codestream, &said).unwrap_err();
        assert!(
            matches!(error, CodecError::Mismatch { what: found, .. } if found == what),
            "{error}"
        );
    }
}

#[test]
fn headers_that_ask_for_much_memory_are_refused_before_it_is_taken() {
    let grey = format(64, 64, 8, Sample::Unsigned);
    let (codestream, _) = encode(LOSSLESS, &samples(&grey), &grey, 1.0);
    // SIZ begins at byte 2; its tiles are one by one pixel.
    let mut tiles = codestream.clone();
    for at in [24, 28] {
        tiles[at..at + 4].copy_from_slice(&1u32.to_be_bytes());
    }
    // COD says 65535 layers.
    let mut layers = codestream.clone();
    let cod = codestream
        .windows(2)
        .position(|bytes| bytes == [0xFF, 0x52])
        .unwrap();
    layers[cod + 6..cod + 8].fill(0xFF);
    for (bomb, what) in [(tiles, "tiles"), (layers, "packets")] {
        let error = decode(LOSSLESS, &bomb, &grey).unwrap_err();
        assert!(
            matches!(error, CodecError::Limit { what: found, .. } if found == what),
            "{error}"
        );
    }
}

#[test]
fn a_codestream_that_does_not_fit_is_refused_and_what_is_always_enough_is_enough() {
    for uid in [LOSSLESS, HIGH_THROUGHPUT] {
        let codec = codec(uid).unwrap();
        let grey = format(50, 50, 16, Sample::Unsigned);
        let options = EncodeOptions::default();
        let error = codec
            .encode(&samples(&grey), &grey, &options, &mut [0; 100])
            .unwrap_err();
        assert!(
            matches!(error, CodecError::Limit { limit: 100, .. }),
            "{error}"
        );
        let error = codec
            .encode(&[0; 4999], &grey, &options, &mut [0; 9999])
            .unwrap_err();
        assert!(matches!(error, CodecError::Limit { .. }), "{error}");
    }
}
