//! What is encoded without loss comes back bit for bit, whatever the size, depth and sign.

use proptest::prelude::*;
use vna_codec::{
    CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat, Photometric, Sample, codec,
};

/// A frame and what it is.
#[derive(Debug, Clone)]
struct Frame {
    format: FrameFormat,
    samples: Vec<u8>,
}

/// Which frames a codec holds.
#[derive(Clone, Copy)]
struct Holds {
    bits_allocated: &'static [u16],
    least_bits: u16,
    most_bits: u16,
    float: bool,
}

const ANYTHING: Holds = Holds {
    bits_allocated: &[1, 8, 16, 32, 64],
    least_bits: 1,
    most_bits: 64,
    float: true,
};
const SIXTEEN: Holds = Holds {
    bits_allocated: &[8, 16],
    least_bits: 1,
    most_bits: 16,
    float: false,
};
const TWENTY: Holds = Holds {
    bits_allocated: &[1, 8, 16, 32],
    least_bits: 1,
    most_bits: 20,
    float: false,
};
const THIRTY_TWO: Holds = Holds {
    most_bits: 32,
    ..TWENTY
};

/// How smooth the pixels are: codecs take other ways for runs, ramps and noise.
#[derive(Debug, Clone, Copy)]
enum Texture {
    Flat,
    Ramp,
    Runs,
    Noise,
}

fn frames(holds: Holds) -> impl Strategy<Value = Frame> {
    let texture = prop_oneof![
        Just(Texture::Flat),
        Just(Texture::Ramp),
        Just(Texture::Runs),
        Just(Texture::Noise)
    ];
    let bits = prop::sample::select(holds.bits_allocated);
    let size = (1u32..70, 1u32..70);
    (
        size,
        bits,
        1u16..=64,
        any::<(bool, bool)>(),
        texture,
        any::<u64>(),
    )
        .prop_map(
            move |((rows, columns), bits_allocated, stored, (signed, three), texture, seed)| {
                let float = holds.float && bits_allocated >= 32 && seed % 2 == 0;
                let most = bits_allocated.min(holds.most_bits);
                let three = three && bits_allocated != 1 && bits_allocated != 64;
                let bits_stored = if float {
                    bits_allocated
                } else {
                    holds.least_bits.max(1 + stored % most)
                };
                let format = FrameFormat {
                    rows,
                    columns,
                    samples_per_pixel: if three { 3 } else { 1 },
                    bits_allocated,
                    bits_stored,
                    sample: match (float, signed && bits_allocated != 1) {
                        (true, _) => Sample::Float,
                        (false, true) => Sample::Signed,
                        (false, false) => Sample::Unsigned,
                    },
                    planar: false,
                    photometric: if three {
                        Photometric::Rgb
                    } else {
                        Photometric::Monochrome2
                    },
                };
                Frame {
                    samples: samples(&format, texture, seed),
                    format,
                }
            },
        )
}

fn samples(format: &FrameFormat, texture: Texture, seed: u64) -> Vec<u8> {
    let length = usize::try_from(format.frame_bytes().unwrap()).unwrap();
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    if format.bits_allocated == 1 {
        let mut bits: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[3]).collect();
        // Padding of the last byte is no pixel.
        let padding = length * 8 - (format.rows * format.columns) as usize;
        *bits.last_mut().unwrap() &= 0xFF >> padding;
        return bits;
    }
    let width = usize::from(format.bits_allocated / 8);
    let unused = 64 - u32::from(format.bits_stored);
    let mut value = random();
    let mut out = Vec::with_capacity(length);
    for index in 0..length / width {
        value = match texture {
            Texture::Flat => value,
            Texture::Ramp => value.wrapping_add(1 + index as u64 % 3),
            Texture::Runs if random() % 16 != 0 => value,
            Texture::Runs | Texture::Noise => random(),
        };
        let stored = match format.sample {
            Sample::Signed => ((value << unused) as i64 >> unused) as u64,
            _ => (value << unused) >> unused,
        };
        out.extend_from_slice(&stored.to_le_bytes()[..width]);
    }
    out
}

fn encode(
    codec: &dyn FrameCodec,
    frame: &Frame,
    options: &EncodeOptions,
) -> (Vec<u8>, FrameFormat) {
    let room = usize::try_from(codec.max_encoded_bytes(&frame.format)).unwrap();
    let mut codestream = vec![0xA5; room];
    let (length, format) = codec
        .encode(&frame.samples, &frame.format, options, &mut codestream)
        .unwrap();
    codestream.truncate(length);
    (codestream, format)
}

fn decode(
    codec: &dyn FrameCodec,
    codestream: &[u8],
    format: &FrameFormat,
    colour: Colour,
) -> Result<(Vec<u8>, FrameFormat), CodecError> {
    // One byte more at the front, so that samples of 16 bits are not aligned.
    let mut out = vec![0x5A; usize::try_from(format.frame_bytes().unwrap()).unwrap() + 1];
    let format = codec.decode(codestream, format, colour, &mut out[1..])?;
    out.remove(0);
    Ok((out, format))
}

fn comes_back(transfer_syntax_uid: &str, frame: &Frame) {
    let codec = codec(transfer_syntax_uid).unwrap();
    let (codestream, encoded) = encode(codec, frame, &EncodeOptions::default());
    let photometric = frame.format.photometric;
    assert_eq!(
        FrameFormat {
            photometric,
            ..encoded
        },
        frame.format
    );
    let (samples, decoded) = decode(codec, &codestream, &encoded, Colour::AsStored).unwrap();
    assert_eq!(decoded, frame.format);
    assert!(samples == frame.samples, "samples differ");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn rle_comes_back(frame in frames(Holds { bits_allocated: &[8, 16, 32], ..ANYTHING })) {
        comes_back("1.2.840.10008.1.2.5", &frame);
    }

    #[test]
    fn deflated_frames_come_back(frame in frames(ANYTHING)) {
        comes_back("1.2.840.10008.1.2.8.1", &frame);
    }

    #[test]
    fn uncompressed_frames_come_back(frame in frames(ANYTHING)) {
        comes_back("1.2.840.10008.1.2.1.98", &frame);
    }

    #[test]
    fn lossless_jpeg_comes_back(frame in frames(SIXTEEN)) {
        comes_back("1.2.840.10008.1.2.4.57", &frame);
        comes_back("1.2.840.10008.1.2.4.70", &frame);
    }

    #[test]
    fn lossless_jpeg_2000_comes_back(frame in frames(TWENTY)) {
        comes_back("1.2.840.10008.1.2.4.90", &frame);
    }

    #[test]
    fn lossless_high_throughput_jpeg_2000_comes_back(frame in frames(THIRTY_TWO)) {
        comes_back("1.2.840.10008.1.2.4.201", &frame);
        comes_back("1.2.840.10008.1.2.4.202", &frame);
    }

    #[test]
    fn lossless_jpeg_ls_comes_back(frame in frames(SIXTEEN)) {
        comes_back("1.2.840.10008.1.2.4.80", &frame);
    }

    #[test]
    fn near_lossless_jpeg_ls_comes_near(frame in frames(SIXTEEN), near in 0u16..=8) {
        let codec = codec("1.2.840.10008.1.2.4.81").unwrap();
        let options = EncodeOptions { near, ..EncodeOptions::default() };
        let (codestream, encoded) = encode(codec, &frame, &options);
        let (samples, decoded) = decode(codec, &codestream, &encoded, Colour::AsStored).unwrap();
        prop_assert_eq!(decoded, frame.format);
        let furthest = values(&frame.format, &samples)
            .zip(values(&frame.format, &frame.samples))
            .map(|(found, expected)| (found - expected).unsigned_abs())
            .max();
        prop_assert!(furthest <= Some(near.into()), "{furthest:?} from the samples");
    }
}

/// Samples of 8 or 16 bits as numbers.
fn values<'a>(format: &FrameFormat, samples: &'a [u8]) -> impl Iterator<Item = i32> + 'a {
    let width = usize::from(format.bits_allocated / 8);
    let signed = format.sample == Sample::Signed;
    samples
        .chunks_exact(width)
        .map(move |sample| match (sample, signed) {
            (&[byte], false) => byte.into(),
            (&[byte], true) => (byte as i8).into(),
            (bytes, false) => u16::from_le_bytes([bytes[0], bytes[1]]).into(),
            (bytes, true) => i16::from_le_bytes([bytes[0], bytes[1]]).into(),
        })
}
