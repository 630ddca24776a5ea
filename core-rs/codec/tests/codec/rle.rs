//! RLE (PS3.5 Annex G): what it writes, and what it forgives.

use proptest::prelude::*;
use vna_codec::{CodecError, Colour, EncodeOptions, FrameFormat, Photometric, Sample, codec};

const RLE: &str = "1.2.840.10008.1.2.5";

fn grey(rows: u32, columns: u32, bits: u16) -> FrameFormat {
    FrameFormat {
        rows,
        columns,
        samples_per_pixel: 1,
        bits_allocated: bits,
        bits_stored: bits,
        sample: Sample::Unsigned,
        planar: false,
        photometric: Photometric::Monochrome2,
    }
}

fn encode(samples: &[u8], format: &FrameFormat) -> Vec<u8> {
    let codec = codec(RLE).unwrap();
    let mut out = vec![0xEE; usize::try_from(codec.max_encoded_bytes(format)).unwrap()];
    let options = EncodeOptions::default();
    let (length, _) = codec.encode(samples, format, &options, &mut out).unwrap();
    out.truncate(length);
    out
}

fn decode(codestream: &[u8], format: &FrameFormat) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![0xEE; usize::try_from(format.frame_bytes().unwrap()).unwrap()];
    codec(RLE)
        .unwrap()
        .decode(codestream, format, Colour::Rgb, &mut out)?;
    Ok(out)
}

/// A frame of these segments.
fn frame(segments: &[&[u8]]) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[0] = u8::try_from(segments.len()).unwrap();
    let mut offset = 64;
    for (index, segment) in segments.iter().enumerate() {
        header[4 * (index + 1)..][..4]
            .copy_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
        offset += segment.len();
    }
    [header, segments.concat()].concat()
}

#[test]
fn a_frame_is_a_header_and_a_segment_of_each_byte() {
    let samples = [0x0102u16, 0x0102, 0x0102, 0x0304, 0x0506, 0x0708]
        .map(u16::to_le_bytes)
        .concat();
    let codestream = encode(&samples, &grey(2, 3, 16));
    let most_significant = [0xFE, 1, 2, 3, 5, 7]; // three times 1; then three as they are
    let least_significant = [0xFE, 2, 2, 4, 6, 8];
    assert_eq!(codestream, frame(&[&most_significant, &least_significant]));
}

#[test]
fn segments_have_an_even_length() {
    let codestream = encode(&[9, 9, 7, 1], &grey(1, 4, 8));
    assert_eq!(codestream, frame(&[&[3, 9, 9, 7, 1, 0]]));
}

#[test]
fn colours_have_a_segment_each_whatever_the_planar_configuration_says() {
    let format = FrameFormat {
        samples_per_pixel: 3,
        photometric: Photometric::Rgb,
        planar: true,
        ..grey(1, 3, 8)
    };
    let codestream = frame(&[&[0xFE, 1], &[0xFE, 2], &[0xFE, 3]]);
    assert_eq!(decode(&codestream, &format).unwrap(), [1, 2, 3].repeat(3));
}

#[test]
fn what_writers_do_wrong_is_forgiven_where_the_pixels_are_there() {
    let format = grey(2, 4, 8);
    let expected = [1, 1, 1, 1, 2, 3, 4, 5];
    for (what, segment) in [
        ("as it should be", &[0xFD, 1, 3, 2, 3, 4, 5][..]),
        ("a run over the end of a row", &[0xFE, 1, 4, 1, 2, 3, 4, 5]),
        (
            "a control byte that says nothing",
            &[128, 0xFD, 1, 128, 3, 2, 3, 4, 5],
        ),
        ("padding", &[0xFD, 1, 3, 2, 3, 4, 5, 0, 0, 0, 0]),
        (
            "a literal that says more than there is",
            &[0xFD, 1, 9, 2, 3, 4, 5],
        ),
        (
            "a run over the end of the frame",
            &[0xFD, 1, 2, 2, 3, 4, 0x90, 5],
        ),
        ("the last pixels lost", &[0xFD, 1, 3, 2, 3, 4, 5]),
    ] {
        assert_eq!(
            decode(&frame(&[segment]), &format).unwrap(),
            expected,
            "{what}"
        );
    }
    let lost = decode(&frame(&[&[0xFD, 1, 1, 2, 3]]), &format).unwrap();
    assert_eq!(lost, [1, 1, 1, 1, 2, 3, 3, 3], "the last pixel repeated");
}

#[test]
fn what_is_not_a_frame_is_an_error() {
    let format = grey(4, 4, 8);
    let whole = frame(&[&[0xF1, 7]]);
    assert_eq!(decode(&whole, &format).unwrap(), [7; 16]);
    for length in 0..64 {
        assert_eq!(
            decode(&whole[..length], &format).unwrap_err().code(),
            "codec.corrupt"
        );
    }
    let more_than_a_row_lost = frame(&[&[0xF6, 7]]);
    assert_eq!(
        decode(&more_than_a_row_lost, &format).unwrap_err().code(),
        "codec.corrupt"
    );
    let two_segments = frame(&[&[0xF1, 7], &[0xF1, 7]]);
    assert_eq!(
        decode(&two_segments, &format).unwrap_err(),
        CodecError::Mismatch {
            what: "segments of an RLE frame",
            expected: 1,
            found: 2
        }
    );
    for offset in [0u32, 63, 67, u32::MAX] {
        let mut codestream = whole.clone();
        codestream[4..8].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(
            decode(&codestream, &format).unwrap_err().code(),
            "codec.corrupt",
            "{offset}"
        );
    }
    let backwards = [
        &frame(&[&[0xF1, 7], &[0xF1, 7]])[..4],
        &[66, 0, 0, 0, 64, 0, 0, 0],
        &[0; 60],
    ]
    .concat();
    let format = grey(4, 4, 16);
    assert_eq!(
        decode(&backwards, &format).unwrap_err().code(),
        "codec.corrupt"
    );
}

#[test]
fn one_bit_pixels_are_read_but_not_written() {
    let format = grey(2, 12, 1);
    assert_eq!(
        decode(&frame(&[&[0xFE, 0x5A]]), &format).unwrap(),
        [0x5A; 3]
    );
    let options = EncodeOptions::default();
    let error = codec(RLE)
        .unwrap()
        .encode(&[0; 3], &format, &options, &mut [0; 99])
        .unwrap_err();
    assert_eq!(error.code(), "codec.unsupported");
}

/// Bytes of the shortest possible encoding of a row, by trying all of them.
fn shortest(row: &[u8]) -> usize {
    let mut best = vec![0; row.len() + 1];
    for start in (0..row.len()).rev() {
        let most = (row.len() - start).min(128);
        let equal = row[start..][..most]
            .iter()
            .take_while(|byte| **byte == row[start])
            .count();
        let literal = (1..=most).map(|length| 1 + length + best[start + length]);
        let run = (2..=equal).map(|length| 2 + best[start + length]);
        best[start] = literal.chain(run).min().unwrap();
    }
    best[0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_encoding_of_a_row_of_128_bytes_is_shorter(row in prop::collection::vec((0u8..3, 1usize..4), 1..43)) {
        let row: Vec<u8> = row.into_iter().flat_map(|(byte, count)| vec![byte; count]).collect();
        let codestream = encode(&row, &grey(1, u32::try_from(row.len()).unwrap(), 8));
        prop_assert_eq!(codestream.len() - 64, shortest(&row).next_multiple_of(2));
    }

    #[test]
    fn rows_of_any_length_come_back(
        row in prop::collection::vec((any::<u8>(), prop_oneof![1usize..4, 100usize..300]), 1..90),
        samples_per_pixel in prop_oneof![Just(1u16), Just(3)],
        bits in prop_oneof![Just(8u16), Just(16)],
        rows in 1u32..4,
    ) {
        let row: Vec<u8> = row.into_iter().flat_map(|(byte, count)| vec![byte; count]).collect();
        let pixel = usize::from(samples_per_pixel * bits / 8);
        let columns = row.len().div_ceil(pixel);
        let samples: Vec<u8> = row.iter().copied().cycle().take(columns * pixel * rows as usize).collect();
        let photometric = if samples_per_pixel == 3 { Photometric::Rgb } else { Photometric::Monochrome2 };
        let format = FrameFormat { samples_per_pixel, photometric, ..grey(rows, u32::try_from(columns).unwrap(), bits) };
        prop_assert!(decode(&encode(&samples, &format), &format).unwrap() == samples);
    }
}
