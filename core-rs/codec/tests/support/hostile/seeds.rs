//! Codestreams that are whole: of every codec and every kind of frame that it takes.

use vna_codec::{Colour, EncodeOptions, FrameFormat, PIXEL_SYNTAXES, Photometric, Sample, codec};

use super::Random;

/// A whole codestream.
pub struct Seed {
    pub syntax: &'static str,
    pub codestream: Vec<u8>,
    pub format: FrameFormat,
}

/// Sizes of frames: small, so that there are many cases in a second, and odd.
const SIZES: [(u32, u32); 5] = [(1, 1), (5, 7), (16, 16), (33, 18), (40, 64)];

/// Another encoder's codestream: its transfer syntax, size, bits and samples per pixel.
type Other = (&'static str, &'static [u8], (u32, u32), u16, u16);

macro_rules! other {
    ($syntax:literal, $name:literal, $size:expr, $bits:literal, $samples:literal) => {
        (
            concat!("1.2.840.10008.1.2.4.", $syntax),
            include_bytes!(concat!("../../data/", $name)),
            $size,
            $bits,
            $samples,
        )
    };
}

/// What no encoder of ours makes.
const OTHERS: &[Other] = &[
    other!("51", "extended_12.jpg", (17, 23), 12, 1),
    other!("53", "spectral_12.jpg", (17, 23), 12, 1),
    other!("55", "progressive_12.jpg", (17, 23), 12, 1),
    other!("55", "progressive_8.jpg", (17, 23), 8, 1),
    other!("57", "lossless_6_rgb.jpg", (17, 23), 8, 3),
    other!("50", "rgb.jpg", (24, 32), 8, 3),
    other!("80", "line.jls", (17, 23), 8, 3),
    other!("80", "sample.jls", (17, 23), 8, 3),
    other!("80", "none.jls", (17, 23), 8, 3),
    other!("90", "tiles.j2k", (40, 50), 8, 1),
    other!("90", "layers.jp2", (24, 32), 8, 3),
    other!("110", "gray_16.jxl", (11, 17), 16, 1),
    other!("110", "rgb_8.jxl", (11, 17), 8, 3),
    other!("111", "rgb_recompressed.jxl", (24, 32), 8, 3),
    other!("112", "rgb_lossy.jxl", (24, 32), 8, 3),
];

/// Syntaxes that are only decoded, and those of which codestreams will do.
const LIKE: &[(&str, &str)] = &[
    ("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.90"),
    ("1.2.840.10008.1.2.4.93", "1.2.840.10008.1.2.4.91"),
];

/// All of them by transfer syntax; every one that has a codec has some.
pub fn seeds() -> Vec<Vec<Seed>> {
    let mut random = Random::new(1);
    let with_codec = PIXEL_SYNTAXES
        .iter()
        .filter(|known| codec(known.uid).is_some());
    let seeds: Vec<_> = with_codec
        .map(|known| seeds_of(known.uid, &mut random))
        .collect();
    seeds.iter().flatten().for_each(check);
    seeds
}

fn seeds_of(syntax: &'static str, random: &mut Random) -> Vec<Seed> {
    let others = OTHERS.iter().filter(|(uid, ..)| *uid == syntax);
    let mut seeds: Vec<_> = others
        .map(|(_, codestream, size, bits, samples)| Seed {
            syntax,
            codestream: codestream.to_vec(),
            format: format(*size, *bits, *samples, Sample::Unsigned),
        })
        .collect();
    let like = LIKE.iter().find(|(uid, _)| *uid == syntax);
    let encoder = like.map_or(syntax, |(_, like)| *like);
    for format in formats() {
        let seed = encoded(encoder, format, random);
        seeds.extend(seed.map(|seed| Seed { syntax, ..seed }));
    }
    assert!(!seeds.is_empty(), "no codestream of {syntax}");
    seeds
}

fn formats() -> Vec<FrameFormat> {
    let mut formats = Vec::new();
    for size in SIZES {
        for (bits, sample) in [
            (1, Sample::Unsigned),
            (8, Sample::Unsigned),
            (12, Sample::Signed),
            (16, Sample::Unsigned),
            (32, Sample::Float),
        ] {
            formats.push(format(size, bits, 1, sample));
        }
        formats.push(format(size, 8, 3, Sample::Unsigned));
        formats.push(format(size, 16, 3, Sample::Unsigned));
    }
    formats
}

fn format((rows, columns): (u32, u32), bits: u16, samples: u16, sample: Sample) -> FrameFormat {
    FrameFormat {
        rows,
        columns,
        samples_per_pixel: samples,
        bits_allocated: if bits == 1 {
            1
        } else {
            bits.next_multiple_of(8)
        },
        bits_stored: bits,
        sample,
        planar: false,
        photometric: if samples == 3 {
            Photometric::Rgb
        } else {
            Photometric::Monochrome2
        },
    }
}

/// What the codec makes of a frame of noise on a ramp; nothing if it does not take such frames.
fn encoded(syntax: &'static str, format: FrameFormat, random: &mut Random) -> Option<Seed> {
    let codec = codec(syntax)?;
    let width = usize::from(format.bits_allocated.div_ceil(8));
    let length = usize::try_from(format.frame_bytes().ok()?).ok()?;
    let mask = 0xFFFF >> (16 - format.bits_stored.min(16));
    let mut samples = Vec::with_capacity(length + 8);
    for index in 0..length / width {
        let value = (index as u64 * 3 + (random.next() & 15)) & mask;
        samples.extend(&value.to_le_bytes()[..width]);
    }
    let room = codec.max_encoded_bytes(&format);
    let mut codestream = vec![0; usize::try_from(room).ok()?];
    let options = EncodeOptions::default();
    let (length, encoded) = codec
        .encode(&samples, &format, &options, &mut codestream)
        .ok()?;
    codestream.truncate(length);
    let format = encoded;
    Some(Seed {
        syntax,
        codestream,
        format,
    })
}

/// What is to be broken is whole.
fn check(seed: &Seed) {
    let codec = codec(seed.syntax).expect("a codec");
    let mut out =
        vec![0; usize::try_from(seed.format.frame_bytes().expect("small")).expect("small")];
    if let Err(error) = codec.decode(&seed.codestream, &seed.format, Colour::Rgb, &mut out) {
        panic!("{} of {:?}: {error}", seed.syntax, seed.format);
    }
}
