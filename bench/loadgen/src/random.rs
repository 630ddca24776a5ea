//! Deterministic numbers: the same seed gives the same objects on every machine and in every run,
//! so that a benchmark can say what the server must hold without asking it.

/// Spreads `value` over 64 bits under `seed` (the finaliser of SplitMix64).
pub fn mix(seed: u64, value: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xD134_2543_DE82_EF95)
        .wrapping_add(value.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What a number is drawn for. Streams keep, say, study 7 and patient 7 independent.
#[derive(Clone, Copy)]
pub enum Stream {
    Pixels = 1,
    Patient,
    Study,
    Series,
    Instance,
    Block,
}

/// A sequence of numbers.
pub struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    /// The sequence that belongs to item `index` of `stream`.
    pub fn new(seed: u64, stream: Stream, index: u64) -> Self {
        Self {
            seed: mix(mix(seed, stream as u64), index),
            drawn: 0,
        }
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.seed, self.drawn)
    }

    /// A number below `bound`, all equally likely.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// A number below `bound` that prefers the small ones: few are drawn often, most seldom.
    pub fn skewed_below(&mut self, bound: usize) -> usize {
        let first = self.below(bound);
        self.below(first + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// A UID of 44 characters under root 2.25 (PS3.5 §B.2). UIDs of neighbours share no prefix beyond
/// the root, so they reach an index in random order.
pub fn uid(seed: u64, stream: Stream, index: u64) -> String {
    const SMALLEST_39_DIGITS: u128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;
    let mut random = Random::new(seed, stream, index);
    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
    let number = SMALLEST_39_DIGITS + bits % (u128::MAX - SMALLEST_39_DIGITS);
    format!("2.25.{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn uids_have_one_length_and_do_not_repeat() {
        let uids: HashSet<String> = (0..10_000).map(|i| uid(1, Stream::Study, i)).collect();
        assert_eq!(uids.len(), 10_000);
        assert!(uids.iter().all(|uid| uid.len() == 44));
        assert!(!uids.contains(&uid(2, Stream::Study, 0)));
        assert!(!uids.contains(&uid(1, Stream::Series, 0)));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(3, Stream::Block, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
