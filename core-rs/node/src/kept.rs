//! What was read or made before and may be needed again, a bounded number of bytes of it (invariant 6 of ARCHITECTURE.md).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Values by keys that are given to nothing else: a value is true as long as it is kept. When there is no room, what was
/// not used for longest goes.
pub(crate) struct Kept<K, V> {
    limit: u64,
    most: u64,
    state: Mutex<State<K, V>>,
    hits: AtomicU64,
}

struct State<K, V> {
    found: HashMap<K, Entry<V>>,
    bytes: u64,
    clock: u64,
}

struct Entry<V> {
    value: V,
    bytes: u64,
    used: u64,
}

impl<K: Hash + Eq + Copy, V: Clone> Kept<K, V> {
    /// Keeps values of so many bytes, none of more than a quarter of it.
    pub fn new(limit: u64) -> Self {
        Self::with_most(limit, limit / 4)
    }

    /// Keeps values of so many bytes, each of `most` at most.
    pub fn with_most(limit: u64, most: u64) -> Self {
        Kept {
            limit,
            most,
            state: Mutex::new(State {
                found: HashMap::new(),
                bytes: 0,
                clock: 0,
            }),
            hits: AtomicU64::new(0),
        }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Most bytes of a value that is kept.
    pub fn most(&self) -> u64 {
        self.most
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut state = self.state.lock();
        state.clock += 1;
        let now = state.clock;
        let entry = state.found.get_mut(key)?;
        entry.used = now;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry.value.clone())
    }

    /// Keeps a value of `bytes`, if it is not too long.
    pub fn keep(&self, key: K, value: V, bytes: u64) {
        if bytes > self.most() {
            return;
        }
        let mut state = self.state.lock();
        state.remove(&key);
        while state.bytes + bytes > self.limit {
            let oldest = state.found.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            state.remove(&oldest);
        }
        state.clock += 1;
        let used = state.clock;
        state.bytes += bytes;
        state.found.insert(key, Entry { value, bytes, used });
    }
}

impl<K: Hash + Eq, V> State<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.found.remove(key) {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let kept = Kept::new(40);
        for key in 0..4 {
            kept.keep(key, key, 10);
        }
        assert_eq!(kept.get(&0), Some(0));
        kept.keep(4, 4, 10);
        let there: Vec<i32> = (0..5).filter(|key| kept.get(key).is_some()).collect();
        assert_eq!(there, [0, 2, 3, 4]);
        assert_eq!(kept.bytes(), 40);
        kept.keep(5, 5, 11);
        assert_eq!(kept.get(&5), None, "more than a quarter");
        kept.keep(4, 7, 1);
        assert_eq!((kept.get(&4), kept.bytes()), (Some(7), 31));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let kept = Kept::new(0);
        kept.keep(1, 1, 1);
        assert_eq!((kept.get(&1), kept.bytes()), (None, 0));
    }
}
