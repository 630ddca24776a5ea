//! Stability and bounds in the model: what may have been told how often, who makes room for whom.

use std::collections::{BTreeMap, BTreeSet};

use vna_dicom::Level;
use vna_node::{DEFAULT_TENANT, KeepSettings, MaximumMode};

use super::{Done, Fate, Trouble, World, stopped_or};
use crate::common::Who;

const ABOVE: [Level; 3] = [Level::Patient, Level::Study, Level::Series];

/// A resource, as its Stable change names it.
type Told = String;

/// What is known of stability and bounds.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    max_patients: u64,
    /// What goes or may go: of each patient all or nothing.
    leaving: Vec<Who>,
    /// Arrivals so far, and which was the last of each patient.
    arrivals: u64,
    last: BTreeMap<u8, u64>,
    /// How often each may have been told to be quiet at most, since it was that often begun to be told.
    most: BTreeMap<Told, u32>,
    /// Those that something may have arrived below since they were told last.
    awaiting: BTreeSet<Told>,
}

impl Keep {
    pub fn settings(&self) -> KeepSettings {
        KeepSettings {
            maximum_patients: self.max_patients,
            maximum_mode: MaximumMode::Recycle,
            ..KeepSettings::default()
        }
    }
}

fn told(level: Level, who: Who) -> Told {
    format!("\"Stable{}\" \"{}\"", level.as_str(), who.public_id(level))
}

impl World {
    /// There is room for so many patients, and the oldest makes room for the next.
    pub fn with_patients(mut self, most: u64) -> Self {
        self.keep.max_patients = most;
        self
    }

    /// Something is about to arrive: what is above it can be told to be quiet once more.
    pub fn arrives(&mut self, who: Who) {
        for level in ABOVE {
            self.keep.awaiting.insert(told(level, who));
        }
    }

    /// Notes who may go when something arrives for which there is no room, and gives what goes for certain once it has
    /// arrived: all of the patient who received nothing for the longest time.
    pub(super) fn make_room(&mut self, who: Who) -> Vec<Who> {
        if self.keep.max_patients == 0 {
            return Vec::new();
        }
        self.keep.arrivals += 1;
        let is_there = |fate: &Fate| fate.may_be.iter().any(Option::is_some);
        let present: BTreeSet<u8> = (self.fates.iter())
            .filter(|(_, fate)| is_there(fate))
            .map(|(who, _)| who.0)
            .collect();
        let is_full = present.len() as u64 >= self.keep.max_patients && !present.contains(&who.0);
        let last = |patient: &u8| self.keep.last.get(patient).copied();
        let is_free = |patient: &u8| !self.is_protected(*patient).0;
        let oldest = (present.iter().copied().filter(is_free))
            .min_by_key(last)
            .filter(|_| is_full);
        let may_be_free = |patient: &u8| !self.is_protected(*patient).1;
        // What was on its way when the power was cut may have arrived or not, and then anybody may be the oldest.
        let may_go: BTreeSet<u8> = match self.is_unsure {
            true => (present.iter().copied().filter(may_be_free))
                .filter(|_| is_full)
                .collect(),
            false => oldest.into_iter().collect(),
        };
        self.keep.last.insert(who.0, self.keep.arrivals);
        let leaving: Vec<Who> = (self.fates.iter())
            .filter(|(who, fate)| may_go.contains(&who.0) && is_there(fate))
            .map(|(who, _)| *who)
            .collect();
        for who in &leaving {
            let fate = self.fates.entry(*who).or_default();
            fate.may_be.insert(None);
        }
        self.keep.leaving.clone_from(&leaving);
        match self.is_unsure {
            true => Vec::new(),
            false => leaving,
        }
    }

    /// A minute passes in which nothing arrives, and all that is quiet is told.
    pub fn a_quiet_minute(&mut self) -> Done {
        for resource in std::mem::take(&mut self.keep.awaiting) {
            *self.keep.most.entry(resource).or_default() += 1;
        }
        let done = self.archive().tell_due(self.now_us() + 61_000_000);
        stopped_or(&self.disk, "telling what is quiet", done)?;
        self.check()?;
        let live: Vec<Who> = (self.fates.iter())
            .filter(|(_, fate)| !fate.may_be.contains(&None))
            .map(|(who, _)| *who)
            .collect();
        for who in live {
            for level in ABOVE {
                let stable = (self.archive().index()).is_stable(
                    DEFAULT_TENANT,
                    level,
                    &who.public_id(level),
                );
                if stopped_or(&self.disk, "asking for stability", stable)? != Some(true) {
                    return Err(Trouble::Violation(format!(
                        "{who:?}: {level} is not stable"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Nothing was told more often than it became quiet.
    pub(super) fn check_quiet(&self, quiet: &BTreeMap<Told, u32>) -> Done {
        for (resource, times) in quiet {
            let most = self.keep.most.get(resource).copied().unwrap_or(0);
            if *times > most {
                return Err(Trouble::Violation(format!(
                    "{resource} was told {times} times, and became quiet {most} times"
                )));
            }
        }
        Ok(())
    }

    /// What is there is within the bounds, and of those who made room nothing is there, or all.
    pub(super) fn check_bounds(&mut self) -> Done {
        let usage = self.archive().index().usage();
        let usage = stopped_or(&self.disk, "counting", usage)?;
        if self.keep.max_patients > 0 && usage.patients > self.keep.max_patients {
            let problem = format!("{} patients are too many", usage.patients);
            return Err(Trouble::Violation(problem));
        }
        let mut went = BTreeMap::new();
        for who in std::mem::take(&mut self.keep.leaving) {
            let is_gone = self
                .fates
                .get(&who)
                .is_none_or(|fate| fate.may_be.contains(&None));
            if *went.entry(who.0).or_insert(is_gone) != is_gone {
                let problem = format!("patient {} went in part", who.0);
                return Err(Trouble::Violation(problem));
            }
        }
        Ok(())
    }
}
