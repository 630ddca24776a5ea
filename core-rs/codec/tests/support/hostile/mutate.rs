//! What is done to a codestream that was whole.

use super::{Random, Seed};

/// Breaks it in one place.
pub fn mutate(bytes: &mut Vec<u8>, seed: &Seed, seeds: &[Vec<Seed>], random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.byte());
        return;
    }
    match random.below(12) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => flip(bytes, random),
        // The header is where lies are.
        2 => flip_below(bytes, 64, random),
        3 => set(bytes, random),
        4 => insert(bytes, random),
        5 => remove(bytes, random),
        6 => repeat(bytes, random),
        7 => {
            let seeds_of_one = random.choose(seeds);
            splice(bytes, random.choose(seeds_of_one), random);
        }
        8 => lie_about_the_frame(bytes, seed, random),
        9 | 10 => lie_in_a_segment(bytes, random),
        _ => move_a_segment(bytes, random),
    }
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    flip_below(bytes, bytes.len(), random);
}

fn flip_below(bytes: &mut [u8], end: usize, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(end.min(bytes.len()));
        bytes[at] ^= 1 << random.below(8);
    }
}

fn set(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(8)).min(bytes.len());
    let fill = *random.choose(&[0, 0xFF, 0x7F, 0x80]);
    let is_noise = random.one_in(2);
    for byte in &mut bytes[at..end] {
        *byte = if is_noise { random.byte() } else { fill };
    }
}

fn insert(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let noise: Vec<u8> = (0..=random.below(16)).map(|_| random.byte()).collect();
    bytes.splice(at..at, noise);
}

fn range(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(bytes.len());
    start..(start + 1 + random.below(64)).min(bytes.len())
}

fn remove(bytes: &mut Vec<u8>, random: &mut Random) {
    bytes.drain(range(bytes, random));
}

fn repeat(bytes: &mut Vec<u8>, random: &mut Random) {
    let piece = bytes[range(bytes, random)].to_vec();
    let times = *random.choose(&[1, 2, 50]);
    let at = random.below(bytes.len() + 1);
    bytes.splice(at..at, piece.repeat(times));
}

/// The begin of one, the end of another, perhaps of another codec.
fn splice(bytes: &mut Vec<u8>, other: &Seed, random: &mut Random) {
    bytes.truncate(random.below(bytes.len() + 1));
    bytes.extend(&other.codestream[random.below(other.codestream.len())..]);
}

/// Numbers that are true of the frame become others.
fn lie_about_the_frame(bytes: &mut [u8], seed: &Seed, random: &mut Random) {
    let format = &seed.format;
    let truths = [
        format.rows,
        format.columns,
        format.bits_stored.into(),
        format.samples_per_pixel.into(),
    ];
    let truth = *random.choose(&truths);
    let width = *random.choose(&[2, 4]);
    let big = truth.to_be_bytes();
    let little = truth.to_le_bytes();
    let places: Vec<usize> = (0..bytes.len().min(256).saturating_sub(width))
        .filter(|at| {
            let found = &bytes[*at..at + width];
            found == &big[4 - width..] || found == &little[..width]
        })
        .collect();
    if !places.is_empty() {
        let at = *random.choose(&places);
        write_extreme(&mut bytes[at..at + width], random);
    }
}

/// Where markers of JPEG, JPEG-LS and JPEG 2000 stand.
fn markers(bytes: &[u8]) -> Vec<usize> {
    let pairs = bytes.windows(2).enumerate();
    let found = pairs.filter(|(_, pair)| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF));
    found.map(|(at, _)| at).take(64).collect()
}

/// A number in a marker segment (or, without markers, in the header) becomes an extreme one.
fn lie_in_a_segment(bytes: &mut [u8], random: &mut Random) {
    let markers = markers(bytes);
    let start = if markers.is_empty() {
        0
    } else {
        *random.choose(&markers) + 1
    };
    let width = *random.choose(&[1, 2, 4]);
    let at = start + random.below(48);
    if at + width <= bytes.len() {
        write_extreme(&mut bytes[at..at + width], random);
    }
}

fn write_extreme(place: &mut [u8], random: &mut Random) {
    let number: u32 = match random.below(6) {
        0 => 0,
        1 => 1,
        2 => u32::MAX,
        3 => u32::MAX >> 1,
        4 => 1 << random.below(32),
        _ => u32::from(random.byte()),
    };
    let bytes = number.to_be_bytes();
    let width = place.len();
    // The most significant bytes of extremes that are all ones, else the least significant.
    let from = if number > u32::MAX >> 2 { 0 } else { 4 - width };
    place.copy_from_slice(&bytes[from..from + width]);
}

/// A segment goes to another place, goes away, or comes twice.
fn move_a_segment(bytes: &mut Vec<u8>, random: &mut Random) {
    let markers = markers(bytes);
    if markers.len() < 3 {
        return flip(bytes, random);
    }
    let index = random.below(markers.len() - 1);
    let range = markers[index]..markers[index + 1];
    let segment = bytes[range.clone()].to_vec();
    let target = *random.choose(&markers);
    match random.below(3) {
        0 => drop(bytes.drain(range)),
        1 => drop(bytes.splice(target..target, segment)),
        _ => {
            bytes.splice(target..target, segment);
            let range = if target <= range.start {
                range.start + range.len()..range.end + range.len()
            } else {
                range
            };
            bytes.drain(range);
        }
    }
}
