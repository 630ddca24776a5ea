//! Native frames: any order and subsampling in, interleaved little endian samples out.

use proptest::prelude::*;
use vna_codec::{
    CodecError, CodecSettings, Codecs, Colour, FrameFormat, Photometric, Sample, align_bits,
    interleave, separate, swap_words, ybr_full_to_rgb,
};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

fn format(rows: u32, columns: u32, photometric: Photometric) -> FrameFormat {
    FrameFormat {
        rows,
        columns,
        samples_per_pixel: if photometric.is_colour() { 3 } else { 1 },
        bits_allocated: 8,
        bits_stored: 8,
        sample: Sample::Unsigned,
        planar: false,
        photometric,
    }
}

fn decode(
    transfer_syntax_uid: &str,
    native: &[u8],
    format: &FrameFormat,
    colour: Colour,
) -> Result<(Vec<u8>, FrameFormat), CodecError> {
    let codecs = Codecs::new(CodecSettings::default());
    let mut lease = codecs.lease().unwrap();
    lease
        .input(native.len() as u64)
        .unwrap()
        .copy_from_slice(native);
    let decoded = lease.decode(transfer_syntax_uid, format, colour)?;
    Ok((decoded.samples.to_vec(), decoded.format))
}

/// PS3.3 §C.7.6.3.1.2, solved for red, green and blue.
fn rgb(y: f64, cb: f64, cr: f64) -> [f64; 3] {
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    let (red, blue) = (y + 1.402 * cr, y + 1.772 * cb);
    [red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue]
}

#[allow(clippy::cast_possible_truncation)] // clamped
fn rounded(values: [f64; 3]) -> [u8; 3] {
    values.map(|value| value.round().clamp(0.0, 255.0) as u8)
}

#[test]
fn every_ybr_full_pixel_becomes_the_nearest_rgb() {
    let all = |cr: u8| (0..=255).flat_map(move |y| (0..=255).map(move |cb| [y, cb, cr]));
    for cr in (0..=255).step_by(5) {
        let mut samples: Vec<u8> = all(cr).flatten().collect();
        assert!(ybr_full_to_rgb(
            &mut samples,
            &format(256, 256, Photometric::YbrFull)
        ));
        for (found, [y, cb, cr]) in samples.chunks_exact(3).zip(all(cr)) {
            for (found, exact) in found.iter().zip(rgb(y.into(), cb.into(), cr.into())) {
                let distance = f64::from(*found) - exact.clamp(0.0, 255.0);
                assert!(
                    distance.abs() < 0.500_001,
                    "{found} of {y} {cb} {cr} is {exact}"
                );
            }
        }
    }
}

#[test]
fn two_pixels_share_the_differences_of_4_2_2() {
    let native = [10, 20, 100, 200, 30, 40, 110, 120];
    let stored = format(2, 2, Photometric::YbrFull422);
    let full = [10, 100, 200, 20, 100, 200, 30, 110, 120, 40, 110, 120];
    let (found, as_stored) = decode(EXPLICIT, &native, &stored, Colour::AsStored).unwrap();
    assert_eq!(
        (&found[..], as_stored.photometric),
        (&full[..], Photometric::YbrFull)
    );
    let (found, as_rgb) = decode(EXPLICIT, &native, &stored, Colour::Rgb).unwrap();
    let expected = full
        .chunks_exact(3)
        .flat_map(|p| rounded(rgb(p[0].into(), p[1].into(), p[2].into())));
    assert_eq!(
        (found, as_rgb.photometric),
        (expected.collect(), Photometric::Rgb)
    );
    // Some writers say 4:2:2 and give every sample.
    let (found, _) = decode(EXPLICIT, &full, &stored, Colour::AsStored).unwrap();
    assert_eq!(found, full);
}

#[test]
fn partial_range_becomes_full_range() {
    let native = [16, 235, 128, 128];
    let stored = format(1, 2, Photometric::YbrPartial422);
    let (found, found_format) = decode(EXPLICIT, &native, &stored, Colour::AsStored).unwrap();
    assert_eq!(
        (&found[..], found_format.photometric),
        (&[0, 128, 128, 255, 128, 128][..], Photometric::YbrFull)
    );
    let (found, _) = decode(EXPLICIT, &native, &stored, Colour::Rgb).unwrap();
    assert_eq!(found, [0, 0, 0, 255, 255, 255]);
    // ITU-R BT.601: saturated red.
    let (found, _) = decode(EXPLICIT, &[81, 81, 90, 240], &stored, Colour::Rgb).unwrap();
    assert_eq!(found, [254, 0, 0].repeat(2));
}

#[test]
fn four_pixels_in_a_square_share_the_differences_of_4_2_0() {
    let stored = format(2, 4, Photometric::YbrPartial420);
    let native = [16, 126, 235, 16, 128, 128, 235, 235, 16, 16, 128, 128];
    let (found, _) = decode(EXPLICIT, &native, &stored, Colour::Rgb).unwrap();
    let grey = [0, 128, 255, 255, 255, 0, 0, 0];
    assert_eq!(found, grey.map(|value: u8| [value; 3]).concat());
}

#[test]
fn planes_are_interleaved() {
    let planar = FrameFormat {
        planar: true,
        ..format(1, 4, Photometric::Rgb)
    };
    let (found, found_format) = decode(EXPLICIT, b"rrrrggggbbbb", &planar, Colour::Rgb).unwrap();
    assert_eq!(
        (&found[..], found_format.planar),
        (&b"rgbrgbrgbrgb"[..], false)
    );
    let wide = FrameFormat {
        bits_allocated: 16,
        bits_stored: 16,
        rows: 1,
        columns: 2,
        ..planar
    };
    let (found, _) = decode(EXPLICIT, b"rRrRgGgGbBbB", &wide, Colour::Rgb).unwrap();
    assert_eq!(found, b"rRgGbBrRgGbB");
}

#[test]
fn big_endian_words_are_turned_and_bytes_are_not() {
    let words = FrameFormat {
        bits_allocated: 16,
        bits_stored: 16,
        ..format(1, 2, Photometric::Monochrome2)
    };
    let (found, _) = decode(BIG_ENDIAN, &[1, 2, 3, 4], &words, Colour::Rgb).unwrap();
    assert_eq!(found, [2, 1, 4, 3]);
    // 32-bit integers in OW are two words, the less significant first (PS3.5 §8.1.1).
    let long = FrameFormat {
        bits_allocated: 32,
        bits_stored: 32,
        ..format(1, 1, Photometric::Monochrome2)
    };
    let (found, _) = decode(BIG_ENDIAN, &[3, 4, 1, 2], &long, Colour::Rgb).unwrap();
    assert_eq!(found, [4, 3, 2, 1]);
    let float = FrameFormat {
        sample: Sample::Float,
        ..long
    };
    let (found, _) = decode(BIG_ENDIAN, &1.5f32.to_be_bytes(), &float, Colour::Rgb).unwrap();
    assert_eq!(found, 1.5f32.to_le_bytes());
    let double = FrameFormat {
        bits_allocated: 64,
        bits_stored: 64,
        ..float
    };
    let (found, _) = decode(BIG_ENDIAN, &(-2.5f64).to_be_bytes(), &double, Colour::Rgb).unwrap();
    assert_eq!(found, (-2.5f64).to_le_bytes());
    let mut bytes = *b"badcfe";
    swap_words(&mut bytes);
    let (found, _) = decode(
        BIG_ENDIAN,
        &bytes,
        &format(1, 6, Photometric::Monochrome2),
        Colour::Rgb,
    )
    .unwrap();
    assert_eq!(found, b"abcdef");
}

#[test]
fn too_few_bytes_are_told_and_more_are_padding() {
    let stored = format(3, 3, Photometric::Monochrome2);
    assert_eq!(
        decode(EXPLICIT, &[0; 8], &stored, Colour::Rgb).unwrap_err(),
        CodecError::Mismatch {
            what: "bytes of a frame",
            expected: 9,
            found: 8
        }
    );
    assert_eq!(
        decode(EXPLICIT, &[7; 10], &stored, Colour::Rgb).unwrap().0,
        [7; 9]
    );
    let odd = FrameFormat {
        bits_allocated: 12,
        ..stored
    };
    assert_eq!(
        decode(EXPLICIT, &[0; 99], &odd, Colour::Rgb)
            .unwrap_err()
            .code(),
        "codec.unsupported"
    );
}

proptest! {
    #[test]
    fn a_frame_of_bits_begins_wherever_the_one_before_ended(
        bits in prop::collection::vec(any::<bool>(), 1..200),
        frame_bits in 1usize..40,
    ) {
        let mut packed = vec![0u8; bits.len().div_ceil(8)];
        for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            packed[index / 8] |= 1 << (index % 8);
        }
        for (number, expected) in bits.chunks_exact(frame_bits).enumerate() {
            let first = number * frame_bits;
            let mut frame = packed[first / 8..(first + frame_bits).div_ceil(8)].to_vec();
            align_bits(&mut frame, u8::try_from(first % 8).unwrap());
            let found: Vec<bool> = (0..frame_bits).map(|bit| frame[bit / 8] >> (bit % 8) & 1 == 1).collect();
            prop_assert_eq!(&found[..], expected);
        }
    }

    #[test]
    fn planes_and_pixels_are_turned_into_each_other(
        pixels in 1usize..50, samples in 1usize..5, width in prop::sample::select(vec![1usize, 2, 4]), seed in any::<u8>(),
    ) {
        let bytes: Vec<u8> = (0..pixels * samples * width).map(|index| (index * 7).to_le_bytes()[0] ^ seed).collect();
        let mut planes = vec![0; bytes.len()];
        separate(&bytes, samples, width, &mut planes);
        prop_assert_eq!(&planes[..width], &bytes[..width]);
        prop_assert_eq!(&planes[planes.len() - width..], &bytes[bytes.len() - width..]);
        let mut back = vec![0; bytes.len()];
        interleave(&planes, samples, width, &mut back);
        prop_assert_eq!(back, bytes);
    }
}
