//! Codestreams that our own encoding does not make: other predictors, restart markers, headers that are wrong.

use super::ffi::{self, Parameters, colour_space};
use super::lossless::Lossless;
use super::{Jpeg, dimensions};
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat, Photometric, Sample};

const COLUMNS: u32 = 23;
const ROWS: u32 = 17;

fn grey(bits_allocated: u16, bits_stored: u16) -> FrameFormat {
    FrameFormat {
        rows: ROWS,
        columns: COLUMNS,
        samples_per_pixel: 1,
        bits_allocated,
        bits_stored,
        sample: Sample::Unsigned,
        planar: false,
        photometric: Photometric::Monochrome2,
    }
}

fn colour(photometric: Photometric) -> FrameFormat {
    FrameFormat {
        samples_per_pixel: 3,
        photometric,
        ..grey(8, 8)
    }
}

/// Something between a ramp and noise, of all the bits stored.
fn samples(format: &FrameFormat) -> Vec<u8> {
    let width = usize::from(format.bits_allocated / 8);
    let count = usize::try_from(format.frame_bytes().unwrap()).unwrap() / width;
    let mask = u32::MAX >> (32 - format.bits_stored);
    let sample = |index: usize| {
        let index = u32::try_from(index).unwrap();
        (index * 37 + index.wrapping_mul(2_654_435_761) % 11) & mask
    };
    (0..count)
        .flat_map(|index| sample(index).to_le_bytes()[..width].to_vec())
        .collect()
}

fn decode(
    codestream: &[u8],
    format: &FrameFormat,
    colour: Colour,
) -> Result<(Vec<u8>, FrameFormat), CodecError> {
    let mut out = vec![0; usize::try_from(format.frame_bytes().unwrap()).unwrap()];
    let found = Jpeg::Baseline.decode(codestream, format, colour, &mut out)?;
    Ok((out, found))
}

fn encode(codec: Jpeg, format: &FrameFormat) -> (Vec<u8>, FrameFormat) {
    let mut out = vec![0; usize::try_from(codec.max_encoded_bytes(format)).unwrap()];
    let (length, found) = codec
        .encode(
            &samples(format),
            format,
            &EncodeOptions::default(),
            &mut out,
        )
        .unwrap();
    out.truncate(length);
    (out, found)
}

/// A lossless codestream as `change` wants it.
fn lossless(format: &FrameFormat, change: impl FnOnce(&mut Lossless)) -> Vec<u8> {
    let mut lossless = super::lossless(&samples(format), format).unwrap();
    change(&mut lossless);
    let mut out = vec![0; 64 << 10];
    let length = lossless.encode(&samples(format), &mut out).unwrap();
    out.truncate(length);
    out
}

/// Where a marker is.
fn position(codestream: &[u8], marker: u8) -> usize {
    codestream
        .windows(2)
        .position(|two| two == [0xFF, marker])
        .unwrap()
}

#[test]
fn every_predictor_and_restart_interval_is_decoded_exactly() {
    for format in [
        grey(8, 8),
        grey(16, 12),
        grey(16, 16),
        grey(8, 2),
        colour(Photometric::Rgb),
    ] {
        for predictor in 1..=7 {
            for restart_rows in [0, 1, 4] {
                let codestream = lossless(&format, |lossless| {
                    lossless.predictor = predictor;
                    lossless.restart_rows = restart_rows;
                });
                let restarts = codestream.windows(2).any(|two| two == [0xFF, 0xD0]);
                assert_eq!(restarts, restart_rows > 0);
                let (found, _) = decode(&codestream, &format, Colour::Rgb).unwrap();
                assert!(
                    found == samples(&format),
                    "{format:?}, predictor {predictor}"
                );
            }
        }
    }
}

#[test]
fn a_point_transform_leaves_the_low_bits_away() {
    let format = grey(16, 12);
    let codestream = lossless(&format, |lossless| lossless.point_transform = 3);
    let (found, _) = decode(&codestream, &format, Colour::Rgb).unwrap();
    let expected = samples(&format);
    for (found, expected) in found.chunks_exact(2).zip(expected.chunks_exact(2)) {
        assert_eq!(found, [expected[0] & !7, expected[1]]);
    }
}

#[test]
fn what_writers_put_around_a_codestream_is_passed_over() {
    let format = grey(16, 12);
    let (codestream, _) = encode(Jpeg::Lossless, &format);
    let without_end = &codestream[..codestream.len() - 2];
    for (what, bytes) in [
        (
            "bytes before it",
            [&b"\x00\x01garbage\xFF\xD8"[..], &codestream].concat(),
        ),
        ("an odd pad byte", [&codestream[..], &[0]].concat()),
        ("pad bytes", [&codestream[..], &[0xFF; 9]].concat()),
        ("no end", without_end.to_vec()),
        ("no end, but a pad byte", [without_end, &[0]].concat()),
    ] {
        let (found, _) =
            decode(&bytes, &format, Colour::Rgb).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(found == samples(&format), "{what}");
    }
}

#[test]
fn a_codestream_that_ends_too_early_is_an_error() {
    for codec in [Jpeg::Lossless, Jpeg::Baseline] {
        let format = grey(8, 8);
        let (codestream, _) = encode(codec, &format);
        for length in 0..codestream.len() - 8 {
            let found = decode(&codestream[..length], &format, Colour::Rgb);
            assert!(
                found.is_err(),
                "{codec:?}: {length} of {} bytes",
                codestream.len()
            );
        }
    }
}

#[test]
fn a_codestream_with_fewer_bits_than_are_stored_is_widened() {
    let eight = grey(8, 8);
    let sixteen = grey(16, 12);
    let (codestream, _) = encode(Jpeg::Lossless, &eight);
    let (found, format) = decode(&codestream, &sixteen, Colour::Rgb).unwrap();
    let expected: Vec<u8> = samples(&eight)
        .iter()
        .flat_map(|sample| [*sample, 0])
        .collect();
    assert_eq!((found, format), (expected, sixteen));
}

#[test]
fn a_codestream_with_more_bits_than_are_allocated_is_refused() {
    let (codestream, _) = encode(Jpeg::Lossless, &grey(16, 12));
    let error = decode(&codestream, &grey(8, 8), Colour::Rgb).unwrap_err();
    assert_eq!(
        error,
        CodecError::Mismatch {
            what: "Bits Allocated",
            expected: 8,
            found: 12
        }
    );
}

#[test]
fn signed_samples_get_the_sign_that_the_codestream_has_no_bits_for() {
    let unsigned = grey(16, 12);
    let codestream = lossless(&unsigned, |_| ());
    let signed = FrameFormat {
        sample: Sample::Signed,
        ..unsigned
    };
    let (found, _) = decode(&codestream, &signed, Colour::Rgb).unwrap();
    for (found, stored) in found
        .chunks_exact(2)
        .zip(samples(&unsigned).chunks_exact(2))
    {
        let stored = i16::from_le_bytes([stored[0], stored[1]]);
        let value = if stored >= 2048 {
            stored - 4096
        } else {
            stored
        };
        assert_eq!(i16::from_le_bytes([found[0], found[1]]), value);
    }
}

#[test]
fn dimensions_that_differ_from_the_data_set_are_refused() {
    let format = grey(8, 8);
    let (codestream, _) = encode(Jpeg::Lossless, &format);
    for (what, wrong) in [
        (
            "Rows",
            FrameFormat {
                rows: ROWS + 1,
                ..format
            },
        ),
        (
            "Columns",
            FrameFormat {
                columns: COLUMNS - 1,
                ..format
            },
        ),
        (
            "Samples per Pixel",
            FrameFormat {
                samples_per_pixel: 3,
                ..format
            },
        ),
    ] {
        match decode(&codestream, &wrong, Colour::Rgb) {
            Err(CodecError::Mismatch { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn rows_that_come_behind_the_scan_are_taken_from_the_data_set() {
    let format = grey(8, 8);
    let (mut codestream, _) = encode(Jpeg::Baseline, &format);
    let (expected, _) = decode(&codestream, &format, Colour::Rgb).unwrap();
    let rows = position(&codestream, 0xC0) + 5;
    assert_eq!(codestream[rows..rows + 2], [0, ROWS.to_le_bytes()[0]]);
    codestream[rows + 1] = 0;
    let end = codestream.len() - 2;
    codestream.splice(end..end, [0xFF, 0xDC, 0, 4, 0, ROWS.to_le_bytes()[0]]);
    let (found, _) = decode(&codestream, &format, Colour::Rgb).unwrap();
    assert!(found == expected);
}

/// The mean difference of samples.
fn distance(one: &[u8], other: &[u8]) -> u64 {
    assert_eq!(one.len(), other.len());
    let sum: u64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum / one.len() as u64
}

/// A picture that survives subsampling: one strong colour.
fn flat_rgb() -> (FrameFormat, Vec<u8>) {
    let format = colour(Photometric::Rgb);
    let pixels = (ROWS * COLUMNS) as usize;
    (format, [200, 30, 90].repeat(pixels))
}

#[test]
fn colours_come_back_whatever_the_data_set_calls_them() {
    let (format, rgb) = flat_rgb();
    let mut out = vec![0; usize::try_from(Jpeg::Baseline.max_encoded_bytes(&format)).unwrap()];
    let options = EncodeOptions::default();
    let (length, encoded) = Jpeg::Baseline
        .encode(&rgb, &format, &options, &mut out)
        .unwrap();
    assert_eq!(encoded.photometric, Photometric::YbrFull422);
    for label in [
        Photometric::YbrFull422,
        Photometric::YbrFull,
        Photometric::Rgb,
    ] {
        let labelled = FrameFormat {
            photometric: label,
            ..encoded
        };
        let (found, format) = decode(&out[..length], &labelled, Colour::Rgb).unwrap();
        assert_eq!(format.photometric, Photometric::Rgb);
        assert!(distance(&found, &rgb) <= 2, "{label:?}");
        let (found, format) = decode(&out[..length], &labelled, Colour::AsStored).unwrap();
        assert_eq!(format.photometric, Photometric::YbrFull);
        // Y, CB and CR of the colour by PS3.3 §C.7.6.3.1.2.
        assert!(
            distance(&found, &[88, 129, 208].repeat(rgb.len() / 3)) <= 2,
            "{label:?}"
        );
    }
}

#[test]
fn rgb_components_are_known_by_their_marker_or_their_names() {
    let (format, rgb) = flat_rgb();
    let parameters = Parameters {
        precision: 8,
        quality: 95,
        subsampling_h: 1,
        subsampling_v: 1,
        sample_colour: colour_space::RGB,
        jpeg_colour: colour_space::RGB,
        ..dimensions(&format)
    };
    let mut out = vec![0; 64 << 10];
    let length = ffi::encode(&rgb, &parameters, &mut out).unwrap();
    let with_marker = &out[..length];
    let adobe = position(with_marker, 0xEE);
    let mut by_names = with_marker.to_vec();
    by_names.drain(adobe..adobe + 16);
    for codestream in [with_marker, &by_names] {
        let labelled = colour(Photometric::YbrFull422);
        let (found, format) = decode(codestream, &labelled, Colour::AsStored).unwrap();
        assert_eq!(format.photometric, Photometric::Rgb);
        assert!(distance(&found, &rgb) <= 2);
    }
    // Without either the data set is believed.
    let mut nameless = by_names;
    for (index, at) in [10, 13, 16].into_iter().enumerate() {
        let id = index.to_le_bytes()[0] + 1;
        let frame = position(&nameless, 0xC0);
        nameless[frame + at] = id;
        let scan = position(&nameless, 0xDA);
        nameless[scan + 5 + 2 * index] = id;
    }
    let (_, format) = decode(&nameless, &colour(Photometric::Rgb), Colour::AsStored).unwrap();
    assert_eq!(format.photometric, Photometric::Rgb);
    let (_, format) = decode(&nameless, &colour(Photometric::YbrFull), Colour::AsStored).unwrap();
    assert_eq!(format.photometric, Photometric::YbrFull);
}

#[test]
fn lossless_components_are_what_the_data_set_says() {
    let (codestream, _) = encode(Jpeg::Lossless, &colour(Photometric::YbrFull));
    let ybr = colour(Photometric::YbrFull);
    let (found, format) = decode(&codestream, &ybr, Colour::AsStored).unwrap();
    assert_eq!((found, format), (samples(&ybr), ybr));
    let (mut expected, format) = (samples(&ybr), ybr);
    assert!(crate::ybr_full_to_rgb(&mut expected, &format));
    let (found, format) = decode(&codestream, &ybr, Colour::Rgb).unwrap();
    assert_eq!((found, format.photometric), (expected, Photometric::Rgb));
}

#[test]
fn twelve_bits_come_near_and_say_that_they_are_twelve() {
    let format = FrameFormat {
        rows: 64,
        columns: 64,
        ..grey(16, 10)
    };
    let ramp: Vec<u8> = (0u16..4096)
        .flat_map(|index| (index / 4).to_le_bytes())
        .collect();
    let mut out = vec![0; 64 << 10];
    let options = EncodeOptions {
        quality: 100,
        ..EncodeOptions::default()
    };
    let (length, encoded) = Jpeg::Extended
        .encode(&ramp, &format, &options, &mut out)
        .unwrap();
    assert_eq!((encoded.bits_allocated, encoded.bits_stored), (16, 12));
    let (found, decoded) = decode(&out[..length], &format, Colour::Rgb).unwrap();
    assert_eq!(decoded.bits_stored, 12);
    for (found, expected) in found.chunks_exact(2).zip(ramp.chunks_exact(2)) {
        let value = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
        assert!(value(found).abs_diff(value(expected)) <= 8);
    }
}

#[test]
fn unused_bits_do_not_reach_a_lossy_encoder() {
    let format = grey(16, 12);
    let clean = samples(&format);
    let overlaid: Vec<u8> = clean
        .chunks_exact(2)
        .flat_map(|two| [two[0], two[1] | 0xF0])
        .collect();
    let encoded = [clean, overlaid].map(|samples| {
        let mut out = vec![0; 64 << 10];
        let options = EncodeOptions::default();
        let (length, _) = Jpeg::Extended
            .encode(&samples, &format, &options, &mut out)
            .unwrap();
        out.truncate(length);
        out
    });
    assert!(encoded[0] == encoded[1]);
}

#[test]
fn what_a_transfer_syntax_cannot_hold_is_refused() {
    let signed = FrameFormat {
        sample: Sample::Signed,
        ..grey(8, 8)
    };
    let palette = FrameFormat {
        photometric: Photometric::PaletteColor,
        ..grey(8, 8)
    };
    for (codec, format) in [
        (Jpeg::Baseline, grey(16, 12)),
        (Jpeg::Extended, grey(16, 16)),
        (Jpeg::Baseline, signed),
        (Jpeg::Baseline, palette),
        (Jpeg::Lossless, grey(32, 32)),
        (Jpeg::Progressive, grey(8, 8)),
    ] {
        let mut out = vec![0; 64 << 10];
        let samples = vec![0; usize::try_from(format.frame_bytes().unwrap()).unwrap()];
        let error = codec
            .encode(&samples, &format, &EncodeOptions::default(), &mut out)
            .unwrap_err();
        assert_eq!(error.code(), "codec.unsupported", "{codec:?} of {format:?}");
    }
}

#[test]
fn too_little_room_for_the_codestream_is_told() {
    let format = grey(16, 16);
    for room in [0, 1, 100, 200] {
        let mut out = vec![0; room];
        let options = EncodeOptions::default();
        let error = Jpeg::Lossless
            .encode(&samples(&format), &format, &options, &mut out)
            .unwrap_err();
        assert_eq!(error.code(), "codec.limit", "{room} bytes");
    }
}

#[test]
fn the_predictor_is_the_one_that_codes_shortest() {
    let format = FrameFormat {
        rows: 64,
        columns: 64,
        ..grey(8, 8)
    };
    // Columns that have little to do with each other, rows that differ little: the sample above predicts best.
    let sample = |at: u32| (at % 64 * 97 + at.wrapping_mul(2_654_435_761) % 3).to_le_bytes()[0];
    let samples: Vec<u8> = (0..64 * 64).map(sample).collect();
    let lengths = [Jpeg::Lossless, Jpeg::LosslessFirstOrder].map(|codec| {
        let mut out = vec![0; 64 << 10];
        let options = EncodeOptions::default();
        let (length, _) = codec.encode(&samples, &format, &options, &mut out).unwrap();
        let scan = position(&out, 0xDA);
        (length, out[scan + 7])
    });
    let [(best, predictor), (first_order, first)] = lengths;
    assert_eq!((predictor, first), (2, 1));
    assert!(best * 2 < first_order, "{best} and {first_order} bytes");
}

#[test]
fn damage_between_restart_markers_is_an_error() {
    let format = grey(16, 12);
    let codestream = lossless(&format, |lossless| lossless.restart_rows = 1);
    let marker = position(&codestream, 0xD3);
    for (what, change) in [("another marker", Some(0xD4)), ("no marker", None)] {
        let mut damaged = codestream.clone();
        match change {
            Some(marker_code) => damaged[marker + 1] = marker_code,
            None => drop(damaged.drain(marker..marker + 2)),
        }
        let error = decode(&damaged, &format, Colour::Rgb).unwrap_err();
        assert_eq!(error.code(), "codec.corrupt", "{what}");
    }
}

#[test]
fn tables_that_are_none_of_differences_are_refused() {
    let format = grey(8, 8);
    let (codestream, _) = encode(Jpeg::LosslessFirstOrder, &format);
    let table = position(&codestream, 0xC4) + 5;
    let (mut many, mut large) = (codestream.clone(), codestream);
    many[table] = 3; // three codes of one bit
    large[table + 16] = 17;
    for damaged in [many, large] {
        let error = decode(&damaged, &format, Colour::Rgb).unwrap_err();
        assert_eq!(error.code(), "codec.corrupt");
    }
}
