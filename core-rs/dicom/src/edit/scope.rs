//! Which UIDs belong to the instances that are written anew together.

use super::EditError;
use crate::Level;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Most UIDs of one scope. Studies of a million instances exist in pathology research; each UID takes some 30 bytes.
pub const MAX_SCOPE: usize = 8_000_000;

/// The UIDs of all studies, series and instances that are written anew together: references to them follow, wherever
/// they stand.
///
/// Kept are 128 bits of each, hashed with two keys that nobody knows, so that a scope is small and nobody can make a UID
/// that passes for another.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    uids: HashMap<u128, Level>,
    hashers: (RandomState, RandomState),
}

impl Scope {
    /// An empty scope: no reference follows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the UID of a study, a series or an instance in.
    ///
    /// # Errors
    ///
    /// [`EditError::Scope`] if there are more than [`MAX_SCOPE`].
    pub fn add(&mut self, level: Level, uid: &str) -> Result<(), EditError> {
        let print = self.print(uid);
        // Of a UID that stands for two things the one that is further up counts: it is in more references.
        let known = self.uids.entry(print).or_insert(level);
        *known = level.min(*known);
        if self.uids.len() > MAX_SCOPE {
            return Err(EditError::Scope);
        }
        Ok(())
    }

    /// What a UID of the scope is of; `None` if it is of something else.
    #[must_use]
    pub fn level_of(&self, uid: &str) -> Option<Level> {
        self.uids.get(&self.print(uid)).copied()
    }

    /// How many UIDs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.uids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    fn print(&self, uid: &str) -> u128 {
        let (low, high) = &self.hashers;
        u128::from(high.hash_one(uid)) << 64 | u128::from(low.hash_one(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_knows_what_its_uids_are_of() {
        let mut scope = Scope::new();
        for (level, uid) in [
            (Level::Instance, "1.2.1.1"),
            (Level::Study, "1.2"),
            (Level::Series, "1.2"),
        ] {
            scope.add(level, uid).expect("there is room");
        }
        assert_eq!(scope.level_of("1.2"), Some(Level::Study));
        assert_eq!(scope.level_of("1.2.1.1"), Some(Level::Instance));
        assert_eq!(scope.level_of("1.2.1"), None);
        assert_eq!(scope.len(), 2);
    }
}
