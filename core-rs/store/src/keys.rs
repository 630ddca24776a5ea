//! Names and salts that nothing else has.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Makes 16 bytes at a time that were not made before, here or elsewhere.
pub struct KeyMaker {
    source: Source,
    counter: AtomicU64,
}

enum Source {
    /// Two keyed hashes of the counter; the system gives the keys (SipHash is a pseudorandom
    /// function, so two of them give 128 bits that cannot be told from random ones).
    System(RandomState, RandomState),
    Seed(u64),
}

impl KeyMaker {
    pub fn new(seed: Option<u64>) -> KeyMaker {
        let source = match seed {
            Some(seed) => Source::Seed(seed),
            None => Source::System(RandomState::new(), RandomState::new()),
        };
        KeyMaker {
            source,
            counter: AtomicU64::new(0),
        }
    }

    pub fn make(&self) -> [u8; 16] {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        match &self.source {
            Source::System(high, low) => {
                let (high, low) = (high.hash_one(count), low.hash_one(count));
                (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
            }
            Source::Seed(seed) => xxh3_128_with_seed(&count.to_le_bytes(), *seed).to_be_bytes(),
        }
    }
}
