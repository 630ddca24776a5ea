//! What the writer remembers of recent rows.

use std::collections::HashMap;
use std::hash::Hash;

/// A map of bounded size that keeps what was used of late.
///
/// Two generations: when the young one is full it becomes the old one, and what was in the old one and not
/// asked for since goes. One look-up more than a map, and no list to maintain.
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Keeps `capacity` to twice `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Recent {
            young: HashMap::new(),
            old: HashMap::new(),
            capacity,
        }
    }

    pub(crate) fn get(&mut self, key: K) -> Option<&mut V>
    where
        K: Clone,
    {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key)?;
            self.insert(key.clone(), value);
        }
        self.young.get_mut(&key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut recent = Recent::new(10);
        for i in 0..1000 {
            recent.insert(i, i);
            assert_eq!(recent.get(0), Some(&mut 0), "at {i}");
            assert!(recent.young.len() + recent.old.len() <= 20);
        }
        assert_eq!(recent.get(999), Some(&mut 999));
        assert_eq!(recent.get(500), None);
    }
}
