//! A filter before the table of keys: most identifiers that arrive are new, and no page has to be read to know it.
//!
//! 1. A filter that is in use has every hash that the table has by any committed or running transaction: the
//!    writer adds a hash before its row. It may have more, of rows that went.
//! 2. A filter is filled by a thread of its own that reads the table. It is made known to the writer between two
//!    transactions and before the reader's snapshot begins, so each row is either in the snapshot or added by the
//!    writer.

use super::connection::{self, Mode};
use super::keys::Tail;
use crate::IndexError;
use crate::bits::Unsigned;
use crate::error::Doing;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Bits for each key. With four bits set in one word, about 2 % of unknown keys seem known.
const BITS_PER_KEY: u64 = 12;

/// Keys that the smallest filter is made for.
const MIN_KEYS: u64 = 256 * 1024;

/// Rows between two looks at whether to stop.
const STRIDE: u64 = 4096;

/// A set of hashes that may say "perhaps" too often, but never "no" wrongly.
pub(crate) struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    /// A filter for that many keys and as many again, within a bound.
    pub(crate) fn new(keys: u64, max_bytes: u64) -> Filter {
        let wanted = keys.max(MIN_KEYS).saturating_mul(2 * BITS_PER_KEY) / 64;
        let words = wanted.min((max_bytes / 8).max(1));
        Filter {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn place(&self, hash: i64) -> (usize, u64) {
        let hash = hash.unsigned();
        // The table's hashes are mixed well: the upper half chooses the word, the lower the bits.
        let words = self.words.len() as u64;
        let word = ((hash >> 32) * words) >> 32;
        let bits = (0..4).fold(0u64, |bits, i| bits | 1 << (hash >> (6 * i) & 63));
        (usize::try_from(word).unwrap_or(0), bits)
    }

    pub(crate) fn insert(&self, hash: i64) {
        let (word, bits) = self.place(hash);
        self.words[word].fetch_or(bits, Ordering::Relaxed);
    }

    pub(crate) fn may_contain(&self, hash: i64) -> bool {
        let (word, bits) = self.place(hash);
        self.words[word].load(Ordering::Relaxed) & bits == bits
    }
}

/// The thread that fills a filter.
pub(crate) struct Filling {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filling {
    /// Starts to fill a filter for a table of about `keys` rows, which the tail hands to the writer at once (2).
    pub(crate) fn start(
        path: PathBuf,
        vfs: Option<String>,
        tail: Arc<Tail>,
        keys: u64,
        max_bytes: u64,
    ) -> Result<Filling, IndexError> {
        let filter = Arc::new(Filter::new(keys, max_bytes));
        tail.fill(Arc::clone(&filter));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("vna-key-filter".into())
            .spawn({
                let tail = Arc::clone(&tail);
                move || {
                    let filled = fill(&path, vfs.as_deref(), &filter, &stopped);
                    // Without a filter all goes on, only slower.
                    tail.filled(filled.is_ok_and(|all| all).then_some(filter));
                }
            })
            .map_err(|source| {
                tail.filled(None);
                IndexError::Io {
                    doing: "starting the key filter thread",
                    source,
                }
            })?;
        Ok(Filling {
            stop,
            thread: Some(thread),
        })
    }
}

/// Adds all hashes of the table; false if it was stopped before.
fn fill(
    path: &std::path::Path,
    vfs: Option<&str>,
    filter: &Filter,
    stop: &AtomicBool,
) -> Result<bool, IndexError> {
    const DOING: &str = "filling the key filter";
    let connection = connection::open(path, vfs, Mode::Read, 1 << 20)?;
    let mut statement = connection.prepare("SELECT hash FROM key").doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    let mut count = 0u64;
    while let Some(row) = rows.next().doing(DOING)? {
        filter.insert(row.get(0).doing(DOING)?);
        count += 1;
        if count % STRIDE == 0 && stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Signed;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn what_was_added_may_be_there_and_little_else() {
        let filter = Filter::new(MIN_KEYS, u64::MAX);
        let hash = |i: u64| xxh3_64(&i.to_le_bytes()).signed();
        for i in 0..2 * MIN_KEYS {
            filter.insert(hash(i));
        }
        assert!((0..2 * MIN_KEYS).all(|i| filter.may_contain(hash(i))));
        let wrong = (0..100_000)
            .filter(|i| filter.may_contain(hash((1 << 40) + i)))
            .count();
        assert!(wrong < 4_000, "{wrong} of 100,000 unknown keys seem known");
    }

    #[test]
    fn a_filter_that_is_too_small_says_perhaps() {
        let filter = Filter::new(1 << 30, 64);
        for i in 0..10_000u64 {
            filter.insert(xxh3_64(&i.to_le_bytes()).signed());
        }
        assert!((0..10_000u64).all(|i| filter.may_contain(xxh3_64(&i.to_le_bytes()).signed())));
    }
}
