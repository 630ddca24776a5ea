//! The bytes of one file: what is durable, what readers see, and every state between, by sector.

use std::collections::BTreeMap;

use super::random::Random;
use super::{SECTOR_BYTES, Survival};
use crate::memory::{copy_in, copy_out};

#[derive(Clone, Default)]
pub struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were changed since they were last durable.
    sectors: BTreeMap<usize, Sector>,
    /// Lengths since the length was last durable, with the operation that set them.
    lengths: Vec<(u64, usize)>,
}

#[derive(Clone, Default)]
struct Sector {
    /// Every state it had since it was last durable, with the operation that made it.
    versions: Vec<(u64, Vec<u8>)>,
    /// Whether the next sync writes it. After a failed sync it does not: the kernel has marked the
    /// page clean, though nobody knows whether it was written.
    dirty: bool,
}

/// How the unsynced changes of one file fare.
enum Fate {
    All,
    None,
    /// Those up to an operation.
    Before(u64),
    /// Those whose operation, mixed with this salt, is even.
    Some(u64),
    /// Every sector on its own.
    Torn,
}

impl Fate {
    fn choose(survival: Survival, random: &mut Random, operations: &[u64]) -> Fate {
        match survival {
            Survival::Everything => Fate::All,
            Survival::Nothing => Fate::None,
            Survival::Seeded(_) => match random.below(6) {
                0 => Fate::All,
                1 => Fate::None,
                2 if !operations.is_empty() => {
                    Fate::Before(operations[random.below(operations.len())])
                }
                3 => Fate::Some(random.next()),
                _ => Fate::Torn,
            },
        }
    }

    /// How many of the states made by `operations` came to pass: 0 is the durable one.
    fn state(&self, operations: impl ExactSizeIterator<Item = u64>, random: &mut Random) -> usize {
        match self {
            Fate::All => operations.len(),
            Fate::None => 0,
            Fate::Before(last) => operations.filter(|operation| operation <= last).count(),
            Fate::Some(salt) => {
                let kept = |operation| Random::new(salt ^ operation).coin();
                let last = operations
                    .enumerate()
                    .filter(|(_, operation)| kept(*operation))
                    .last();
                last.map_or(0, |(index, _)| index + 1)
            }
            Fate::Torn => random.below(operations.len() + 1),
        }
    }
}

impl Content {
    pub fn len(&self) -> usize {
        self.current.len()
    }

    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        copy_out(&self.current, buffer, offset)
    }

    pub fn write(&mut self, part: &[u8], offset: usize, operation: u64) {
        let old_length = self.current.len();
        copy_in(&mut self.current, part, offset);
        if self.current.len() != old_length {
            self.lengths.push((operation, self.current.len()));
        }
        self.remember(offset, offset + part.len(), operation);
    }

    pub fn set_len(&mut self, length: usize, operation: u64) {
        let old_length = self.current.len();
        self.current.resize(length, 0);
        if length != old_length {
            self.lengths.push((operation, length));
        }
        if length < old_length {
            // What is behind the new end reads as zeros if the file grows again.
            self.remember(length, old_length, operation);
        }
    }

    /// Keeps the present state of the sectors that hold bytes `start..end`.
    fn remember(&mut self, start: usize, end: usize, operation: u64) {
        for index in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let mut bytes = vec![0; SECTOR_BYTES];
            copy_out(&self.current, &mut bytes, (index * SECTOR_BYTES) as u64);
            let sector = self.sectors.entry(index).or_default();
            sector.versions.push((operation, bytes));
            sector.dirty = true;
        }
    }

    pub fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        self.lengths.clear();
        let (current, durable) = (&self.current, &mut self.durable);
        self.sectors.retain(|index, sector| {
            let start = index * SECTOR_BYTES;
            if sector.dirty && start < current.len() {
                let end = current.len().min(start + SECTOR_BYTES);
                durable[start..end].copy_from_slice(&current[start..end]);
            }
            !sector.dirty && start < current.len()
        });
    }

    pub fn fail_sync(&mut self) {
        for sector in self.sectors.values_mut() {
            sector.dirty = false;
        }
    }

    /// The file when the power returns: all of it is durable then.
    pub fn survive(
        &self,
        survival: Survival,
        random: &mut Random,
        stale: &[[u8; SECTOR_BYTES]],
    ) -> Content {
        let mut operations: Vec<u64> = self
            .lengths
            .iter()
            .map(|(operation, _)| *operation)
            .collect();
        let of_sectors = self.sectors.values().flat_map(|sector| &sector.versions);
        operations.extend(of_sectors.map(|(operation, _)| *operation));
        let fate = Fate::choose(survival, random, &operations);

        let state = fate.state(self.lengths.iter().map(|(operation, _)| *operation), random);
        let length = state
            .checked_sub(1)
            .map_or(self.durable.len(), |last| self.lengths[last].1);
        let mut bytes = self.durable.clone();
        bytes.resize(length, 0);
        // Space that the file got but never wrote may show what lay there before.
        let shows_stale = matches!(survival, Survival::Seeded(_)) && random.below(3) == 0;
        if shows_stale && !stale.is_empty() {
            let first = self.durable.len().next_multiple_of(SECTOR_BYTES);
            for start in (first..length).step_by(SECTOR_BYTES) {
                let old = &stale[random.below(stale.len())];
                let end = length.min(start + SECTOR_BYTES);
                bytes[start..end].copy_from_slice(&old[..end - start]);
            }
        }
        for (index, sector) in &self.sectors {
            let made_by = sector.versions.iter().map(|(operation, _)| *operation);
            let state = fate.state(made_by, random);
            let start = index * SECTOR_BYTES;
            if let Some(last) = state.checked_sub(1).filter(|_| start < length) {
                let end = length.min(start + SECTOR_BYTES);
                bytes[start..end].copy_from_slice(&sector.versions[last].1[..end - start]);
            }
        }
        Content {
            durable: bytes.clone(),
            current: bytes,
            ..Content::default()
        }
    }
}
