//! Cases of pixel data that someone broke on purpose. A case is a number: everything about it follows from that.

mod mutate;
mod random;
mod seeds;

pub use random::Random;
pub use seeds::{Seed, seeds};

use vna_codec::{Colour, EncodeOptions, FrameFormat, Photometric, Sample};

/// A codestream, and what a data set says of it.
#[derive(Clone)]
pub struct Case {
    pub syntax: &'static str,
    pub codestream: Vec<u8>,
    pub format: FrameFormat,
    pub colour: Colour,
    pub options: EncodeOptions,
}

/// Longest codestream of a case.
const MAX_BYTES: usize = 64 << 10;

impl Case {
    /// The case of this number.
    pub fn new(number: u64, seeds: &[Vec<Seed>]) -> Self {
        let mut random = Random::new(number);
        let seeds_of_one = random.choose(seeds);
        let seed = random.choose(seeds_of_one);
        let mut codestream = seed.codestream.clone();
        let mut format = seed.format;
        // Some are whole, with a data set that lies; most are broken, some in several places.
        let lies = random.one_in(4);
        let count = *random.choose(&[1, 1, 1, 1, 2, 3, 5]) - usize::from(lies);
        for _ in 0..count {
            mutate::mutate(&mut codestream, seed, seeds, &mut random);
            codestream.truncate(MAX_BYTES);
        }
        if lies {
            lie(&mut format, &mut random);
        }
        Case {
            syntax: seed.syntax,
            codestream,
            format,
            colour: if random.one_in(2) {
                Colour::Rgb
            } else {
                Colour::AsStored
            },
            options: EncodeOptions::default(),
        }
    }

    /// The case of this number whose bytes are samples that someone wants encoded, of a format that may be any.
    pub fn to_encode(number: u64, seeds: &[Vec<Seed>]) -> Self {
        let mut random = Random::new(!number);
        let seeds_of_one = random.choose(seeds);
        let seed = random.choose(seeds_of_one);
        let mut format = seed.format;
        lie(&mut format, &mut random);
        let length = usize::try_from(format.frame_bytes().unwrap_or(0)).unwrap_or(0);
        let mut length = length.min(MAX_BYTES);
        if random.one_in(8) {
            length = random.below(2 * length + 2);
        }
        let mask = *random.choose(&[0xFF, 0x0F, 0x01]);
        let samples = (0..length).map(|_| random.byte() & mask).collect();
        Case {
            syntax: seed.syntax,
            codestream: samples,
            format,
            colour: Colour::AsStored,
            options: EncodeOptions {
                quality: random.byte(),
                near: *random.choose(&[0, 1, 3, 255, u16::MAX]),
                ratio: *random.choose(&[10.0, 0.0, -1.0, 1e30, f32::NAN, f32::INFINITY]),
            },
        }
    }
}

/// Lets the data set say something else.
fn lie(format: &mut FrameFormat, random: &mut Random) {
    for _ in 0..=random.below(2) {
        match random.below(8) {
            0 => format.rows = size(format.rows.max(1), random),
            1 => format.columns = size(format.columns.max(1), random),
            2 => format.samples_per_pixel = *random.choose(&[0, 1, 2, 3, 4, 5, 255]),
            3 => format.bits_allocated = *random.choose(&[0, 1, 7, 8, 12, 16, 24, 32, 64, 65535]),
            4 => format.bits_stored = *random.choose(&[0, 1, 7, 8, 9, 12, 15, 16, 17, 32, 65535]),
            5 => {
                format.sample = *random.choose(&[Sample::Unsigned, Sample::Signed, Sample::Float]);
            }
            6 => format.planar = !format.planar,
            _ => {
                format.photometric = *random.choose(&[
                    Photometric::Monochrome1,
                    Photometric::Monochrome2,
                    Photometric::PaletteColor,
                    Photometric::Rgb,
                    Photometric::YbrFull,
                    Photometric::YbrFull422,
                    Photometric::YbrPartial422,
                    Photometric::YbrPartial420,
                    Photometric::YbrIct,
                    Photometric::YbrRct,
                    Photometric::Xyb,
                ]);
            }
        }
    }
}

fn size(size: u32, random: &mut Random) -> u32 {
    *random.choose(&[
        0,
        1,
        2,
        size - 1,
        size + 1,
        size.saturating_mul(2),
        100,
        65_535,
    ])
}
