//! JPEG-LS whose surroundings, size or bits are not what they should be.

use vna_codec::{CodecError, Colour, EncodeOptions, FrameFormat, Photometric, Sample, codec};

const LOSSLESS: &str = "1.2.840.10008.1.2.4.80";
const NEAR_LOSSLESS: &str = "1.2.840.10008.1.2.4.81";

fn grey(bits_allocated: u16, bits_stored: u16, sample: Sample) -> FrameFormat {
    FrameFormat {
        rows: 13,
        columns: 19,
        samples_per_pixel: 1,
        bits_allocated,
        bits_stored,
        sample,
        planar: false,
        photometric: Photometric::Monochrome2,
    }
}

fn words(format: &FrameFormat, value: impl Fn(u16) -> u16) -> Vec<u8> {
    let count = u16::try_from(format.rows * format.columns).unwrap();
    (0..count)
        .flat_map(|index| value(index).to_le_bytes())
        .collect()
}

fn encode(uid: &str, samples: &[u8], format: &FrameFormat, near: u16) -> Vec<u8> {
    let codec = codec(uid).unwrap();
    let mut out = vec![0; usize::try_from(codec.max_encoded_bytes(format)).unwrap()];
    let options = EncodeOptions {
        near,
        ..EncodeOptions::default()
    };
    let (length, _) = codec.encode(samples, format, &options, &mut out).unwrap();
    out.truncate(length);
    out
}

fn decode(codestream: &[u8], format: &FrameFormat) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![0xEE; usize::try_from(format.frame_bytes().unwrap()).unwrap()];
    codec(LOSSLESS)
        .unwrap()
        .decode(codestream, format, Colour::Rgb, &mut out)?;
    Ok(out)
}

#[test]
fn what_writers_put_around_a_codestream_is_passed_over() {
    let format = grey(16, 12, Sample::Unsigned);
    let samples = words(&format, |index| index * 13 % 4096);
    let codestream = encode(LOSSLESS, &samples, &format, 0);
    let without_end = &codestream[..codestream.len() - 2];
    for (what, bytes) in [
        (
            "bytes before it",
            [&b"\x00\xFF\xD8"[..], &codestream].concat(),
        ),
        ("a pad byte", [&codestream[..], &[0]].concat()),
        ("no end", without_end.to_vec()),
    ] {
        assert!(
            decode(&bytes, &format).unwrap_or_else(|e| panic!("{what}: {e}")) == samples,
            "{what}"
        );
    }
}

#[test]
fn a_codestream_that_ends_too_early_is_an_error() {
    let format = grey(16, 12, Sample::Unsigned);
    let samples = words(&format, |index| index.wrapping_mul(1013) % 4096);
    let codestream = encode(LOSSLESS, &samples, &format, 0);
    for length in 0..codestream.len() - 10 {
        assert!(
            decode(&codestream[..length], &format).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn what_differs_from_the_data_set_is_refused() {
    let format = grey(16, 12, Sample::Unsigned);
    let codestream = encode(LOSSLESS, &words(&format, |index| index), &format, 0);
    for (what, wrong) in [
        ("Rows", FrameFormat { rows: 12, ..format }),
        (
            "Columns",
            FrameFormat {
                columns: 20,
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
        (
            "Bits Allocated",
            FrameFormat {
                bits_allocated: 8,
                bits_stored: 8,
                ..format
            },
        ),
    ] {
        match decode(&codestream, &wrong) {
            Err(CodecError::Mismatch { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn what_is_in_unused_bits_is_kept() {
    let format = grey(16, 12, Sample::Unsigned);
    let overlaid = words(&format, |index| (index * 5 % 4096) | ((index % 2) << 15));
    let codestream = encode(LOSSLESS, &overlaid, &format, 0);
    assert!(decode(&codestream, &format).unwrap() == overlaid);
}

#[test]
fn a_loss_never_turns_the_largest_signed_value_into_the_smallest() {
    for bits_stored in [12, 16] {
        let format = grey(16, bits_stored, Sample::Signed);
        let most = i16::MAX >> (16 - bits_stored);
        let samples = words(&format, |index| {
            let value = if index % 3 == 0 {
                most
            } else {
                most - 5 + i16::try_from(index % 5).unwrap()
            };
            value as u16
        });
        let found = decode(&encode(NEAR_LOSSLESS, &samples, &format, 3), &format).unwrap();
        for (found, expected) in found.chunks_exact(2).zip(samples.chunks_exact(2)) {
            let value = |bytes: &[u8]| i16::from_le_bytes([bytes[0], bytes[1]]);
            assert!(value(found).abs_diff(value(expected)) <= 3);
        }
    }
}

#[test]
fn too_little_room_for_the_codestream_is_told() {
    let format = grey(16, 16, Sample::Unsigned);
    let samples = words(&format, |index| index.wrapping_mul(40_503));
    for room in [0, 1, 20, 60, 200] {
        let mut out = vec![0; room];
        let options = EncodeOptions::default();
        let error = codec(LOSSLESS)
            .unwrap()
            .encode(&samples, &format, &options, &mut out)
            .unwrap_err();
        assert_eq!(error.code(), "codec.limit", "{room} bytes");
    }
}

#[test]
fn subsampled_components_are_not_called_broken() {
    let format = FrameFormat {
        samples_per_pixel: 3,
        photometric: Photometric::Rgb,
        ..grey(8, 8, Sample::Unsigned)
    };
    let samples = [7; 13 * 19 * 3];
    let mut codestream = encode(LOSSLESS, &samples, &format, 0);
    let frame = codestream
        .windows(2)
        .position(|two| two == [0xFF, 0xF7])
        .unwrap();
    assert_eq!(codestream[frame + 11], 0x11);
    codestream[frame + 11] = 0x22;
    assert_eq!(
        decode(&codestream, &format).unwrap_err().code(),
        "codec.unsupported"
    );
}

#[test]
fn a_palette_is_not_encoded_with_loss() {
    let format = FrameFormat {
        photometric: Photometric::PaletteColor,
        ..grey(8, 8, Sample::Unsigned)
    };
    let (samples, mut out) = ([0; 13 * 19], [0; 4096]);
    let options = EncodeOptions::default();
    let error = codec(NEAR_LOSSLESS)
        .unwrap()
        .encode(&samples, &format, &options, &mut out)
        .unwrap_err();
    assert_eq!(error.code(), "codec.unsupported");
}

#[test]
fn white_of_fewer_bits_than_were_encoded_with_loss_stays_white() {
    let encoded = grey(16, 16, Sample::Unsigned);
    let samples = words(&encoded, |index| {
        [4095, 4094, 4092, 3][usize::from(index % 4)]
    });
    let codestream = encode(NEAR_LOSSLESS, &samples, &encoded, 3);
    let decoded = decode(&codestream, &grey(16, 12, Sample::Unsigned)).unwrap();
    for (before, after) in samples.chunks_exact(2).zip(decoded.chunks_exact(2)) {
        let value = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
        assert!(value(after) <= 4095 && value(before).abs_diff(value(after)) <= 3);
    }
    let said_to_have_none = grey(16, 0, Sample::Unsigned);
    assert!(decode(&codestream, &said_to_have_none).is_ok());
    let all = decode(&codestream, &encoded).unwrap();
    let beyond = all.chunks_exact(2).any(|bytes| bytes[1] >= 0x10);
    assert!(beyond, "or this shows nothing");
}
