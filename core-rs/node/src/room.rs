//! Bounds of bytes and patients: what there is room for, and who makes room.
//!
//! 1. Nothing is appended that a bound has no room for: what is on its way to the index counts as if it were there.
//! 2. Who makes room is deleted in the log before what needs the room is appended. A power cut between the two leaves an
//!    archive that has room, and whole patients only.
//! 3. Never goes: a protected patient, one that is spared, one of whom something is arriving; nobody goes in vain.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vna_dicom::{Level, PublicId};
use vna_index::{DuplicatePolicy, Index, OldPatient, Usage};
use vna_store::Lsn;

use crate::arrival::{ArrivalHeader, DeletionHeader, now_us};
use crate::committer::{Deed, File, Reply, Work};
use crate::error::ArchiveError;
use crate::settings::{KeepSettings, MaximumMode};

/// Patients that are looked for at once, beside those that are on their way: looking reads all of them.
const OLDEST_AT_ONCE: u64 = 256;

/// Looking in vain is not repeated before so many times as long as it took.
const VAIN_PAUSE: u32 = 20;

/// A patient of a tenant.
type Key = (i64, PublicId);

/// What a group of arrivals adds.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    bytes: u64,
    new_patients: HashSet<Key>,
    patients: HashSet<Key>,
}

/// A group that the index has not applied, as far as is known.
struct OnItsWay {
    last: Lsn,
    arriving: Arriving,
    leaving: Vec<OldPatient>,
}

/// What becomes of a group of arrivals.
pub(crate) struct Admitted {
    /// What there is room for, once the others are gone.
    pub(crate) group: Vec<Work>,
    pub(crate) arriving: Arriving,
    /// Who makes room.
    pub(crate) recycled: Vec<OldPatient>,
    /// What there is no room for.
    pub(crate) refused: Vec<(Reply, ArchiveError)>,
}

/// What is shared with those who say what recycling must spare.
#[derive(Default)]
pub(crate) struct Recycling {
    /// What must be spared is known.
    pub(crate) may_begin: AtomicBool,
    /// Held from the choice of who goes until that is in the log.
    pub(crate) deciding: Mutex<()>,
    /// The position in the log of the last of them.
    pub(crate) decided: AtomicU64,
}

/// The bounds of an archive, and what is known of what is in it.
pub(crate) struct Room {
    max_bytes: u64,
    max_patients: u64,
    mode: MaximumMode,
    index: Arc<dyn Index>,
    recycling: Arc<Recycling>,
    on_its_way: VecDeque<OnItsWay>,
    /// The next to go, if that still holds for them then.
    oldest: VecDeque<OldPatient>,
    vain_until: Option<Instant>,
}

/// The counts that a decision is about.
#[derive(Clone, Copy)]
struct Sums {
    bytes: u64,
    patients: u64,
}

/// One arrival, as far as bounds are about it.
struct Arrival {
    bytes: u64,
    is_new_patient: bool,
}

impl Room {
    /// The bounds of the settings; `None` if there are none.
    pub(crate) fn of(
        keep: &KeepSettings,
        index: Arc<dyn Index>,
        recycling: Arc<Recycling>,
    ) -> Option<Self> {
        let or_any = |bound| if bound == 0 { u64::MAX } else { bound };
        (keep.maximum_bytes > 0 || keep.maximum_patients > 0).then(|| Self {
            max_bytes: or_any(keep.maximum_bytes),
            max_patients: or_any(keep.maximum_patients),
            mode: keep.maximum_mode,
            index,
            recycling,
            on_its_way: VecDeque::new(),
            oldest: VecDeque::new(),
            vain_until: None,
        })
    }

    /// What is held while it is decided who goes.
    pub(crate) fn recycling(&self) -> Arc<Recycling> {
        Arc::clone(&self.recycling)
    }

    /// Decides what of a group is taken, and who goes for it.
    pub(crate) fn admit(&mut self, group: Vec<Work>) -> Admitted {
        let mut admitted = Admitted {
            group: Vec::with_capacity(group.len()),
            arriving: Arriving::default(),
            recycled: Vec::new(),
            refused: Vec::new(),
        };
        let mut sums = match self.sums() {
            Ok(sums) => sums,
            Err(error) => {
                let error = Arc::new(error);
                let refused = group
                    .into_iter()
                    .map(|work| (work.reply, ArchiveError::Shared(Arc::clone(&error))));
                admitted.refused = refused.collect();
                return admitted;
            }
        };
        let patients = group.iter().filter_map(|work| patient_of(&work.deed));
        admitted.arriving.patients = patients.collect();
        for work in group {
            match self.make_room(&work.deed, &mut sums, &mut admitted) {
                Ok(()) => admitted.group.push(work),
                Err(error) => admitted.refused.push((work.reply, error)),
            }
        }
        admitted
    }

    /// The deletions of these patients are in the log up to this position.
    pub(crate) fn is_recycling(&mut self, last: Lsn, leaving: Vec<OldPatient>) {
        self.on_its_way.push_back(OnItsWay {
            last,
            arriving: Arriving::default(),
            leaving,
        });
    }

    /// These arrivals are in the log up to this position.
    pub(crate) fn is_arriving(&mut self, last: Lsn, arriving: Arriving) {
        self.on_its_way.push_back(OnItsWay {
            last,
            arriving,
            leaving: Vec::new(),
        });
    }

    /// What there will be once all that is on its way has arrived: (1).
    fn sums(&mut self) -> Result<Sums, ArchiveError> {
        let Usage {
            covered,
            mut patients,
            mut bytes,
        } = self.index.usage()?;
        while self
            .on_its_way
            .front()
            .is_some_and(|group| group.last <= covered)
        {
            self.on_its_way.pop_front();
        }
        for group in &self.on_its_way {
            bytes += group.arriving.bytes;
            patients += group.arriving.new_patients.len() as u64;
            for old in &group.leaving {
                bytes = bytes.saturating_sub(old.stored_bytes);
                patients = patients.saturating_sub(1);
            }
        }
        Ok(Sums { bytes, patients })
    }

    fn make_room(
        &mut self,
        deed: &Deed,
        sums: &mut Sums,
        admitted: &mut Admitted,
    ) -> Result<(), ArchiveError> {
        let Deed::Arrival {
            header,
            instance,
            file,
        } = deed
        else {
            return Ok(()); // groups are of one kind
        };
        let Some(patient) = patient_of(deed) else {
            return Ok(());
        };
        let arrival = Arrival {
            bytes: file.bytes(),
            is_new_patient: self.is_new(patient, &admitted.arriving)?,
        };
        if !self.fits(*sums, &arrival) {
            if self.is_there(header, instance, file)? {
                return Ok(()); // its bytes go as soon as they have come
            }
            let leaving = self.choose(*sums, &arrival, admitted)?;
            for old in &leaving {
                sums.bytes = sums.bytes.saturating_sub(old.stored_bytes);
                sums.patients = sums.patients.saturating_sub(1);
            }
            admitted.recycled.extend(leaving);
        }
        sums.bytes += arrival.bytes;
        admitted.arriving.bytes += arrival.bytes;
        if arrival.is_new_patient {
            sums.patients += 1;
            admitted.arriving.new_patients.insert(patient);
        }
        Ok(())
    }

    fn fits(&self, sums: Sums, arrival: &Arrival) -> bool {
        sums.bytes.saturating_add(arrival.bytes) <= self.max_bytes
            && sums.patients + u64::from(arrival.is_new_patient) <= self.max_patients
    }

    /// Whether an arrival makes a patient.
    fn is_new(&self, patient: Key, group: &Arriving) -> Result<bool, ArchiveError> {
        let is_coming = |arriving: &Arriving| arriving.new_patients.contains(&patient);
        if is_coming(group) {
            return Ok(false);
        }
        for one in self.on_its_way.iter().rev() {
            if is_coming(&one.arriving) {
                return Ok(false);
            }
            if one.leaving.iter().any(|old| key_of(old) == patient) {
                return Ok(true);
            }
        }
        Ok(!self.index.has_patient(patient.0, &patient.1)?)
    }

    /// Whether the same bytes are there already, and stay.
    fn is_there(
        &self,
        header: &ArrivalHeader,
        instance: &vna_dicom::Instance,
        file: &File,
    ) -> Result<bool, ArchiveError> {
        if DuplicatePolicy::from(header.duplicates) == DuplicatePolicy::Always {
            return Ok(false);
        }
        let ids = vna_index::public_ids(&header.identity(instance));
        let found = self.index.locate(header.tenant, &ids.instance)?;
        Ok(found.is_some_and(|live| {
            live.blob.digest == file.digest().0 && live.blob.plain_size == file.bytes()
        }))
    }

    /// The patients that make room for an arrival: (3).
    fn choose(
        &mut self,
        mut sums: Sums,
        arrival: &Arrival,
        admitted: &Admitted,
    ) -> Result<Vec<OldPatient>, ArchiveError> {
        if arrival.bytes > self.max_bytes {
            return Err(self.full("the object alone is larger"));
        }
        if self.mode == MaximumMode::Reject {
            return Err(self.full("storage.maximum_mode is reject"));
        }
        if !self.recycling.may_begin.load(Ordering::Acquire) {
            return Err(self.full("what recycling must spare is not known yet"));
        }
        let mut leaving = Vec::new();
        let mut spared = Vec::new();
        let now_us = now_us();
        let mut may_look = true;
        while !self.fits(sums, arrival) {
            let Some(old) = self.next_oldest(now_us, &mut may_look, &leaving, admitted)? else {
                break;
            };
            if self.is_arriving_of(&old, admitted) {
                spared.push(old);
                continue;
            }
            sums.bytes = sums.bytes.saturating_sub(old.stored_bytes);
            sums.patients = sums.patients.saturating_sub(1);
            leaving.push(old);
        }
        let is_enough = self.fits(sums, arrival);
        if !is_enough {
            spared.extend(std::mem::take(&mut leaving)); // in vain
        }
        spared.sort_unstable_by_key(|old| (old.last_update_us, old.row));
        for old in spared.into_iter().rev() {
            self.oldest.push_front(old);
        }
        match is_enough {
            true => Ok(leaving),
            false => Err(self.full("no other patient may make enough room")),
        }
    }

    /// The next patient who may go; looks for more at most once.
    fn next_oldest(
        &mut self,
        now_us: i64,
        may_look: &mut bool,
        leaving: &[OldPatient],
        admitted: &Admitted,
    ) -> Result<Option<OldPatient>, ArchiveError> {
        loop {
            while let Some(old) = self.oldest.pop_front() {
                if self.index.is_still_old(&old, now_us)? {
                    return Ok(Some(old));
                }
            }
            let is_vain = self.vain_until.is_some_and(|until| Instant::now() < until);
            if !std::mem::replace(may_look, false) || is_vain {
                return Ok(None);
            }
            let gone: HashSet<i64> = (self.on_its_way.iter())
                .flat_map(|group| &group.leaving)
                .chain(&admitted.recycled)
                .chain(leaving)
                .map(|old| old.row)
                .collect();
            let limit = OLDEST_AT_ONCE + (gone.len() + admitted.arriving.patients.len()) as u64;
            let started = Instant::now();
            let found = self.index.oldest_patients(limit, now_us)?;
            self.oldest = found
                .into_iter()
                .filter(|old| !gone.contains(&old.row))
                .collect();
            let took: Duration = started.elapsed();
            self.vain_until = self
                .oldest
                .is_empty()
                .then(|| Instant::now() + took * VAIN_PAUSE);
        }
    }

    fn is_arriving_of(&self, old: &OldPatient, admitted: &Admitted) -> bool {
        let key = key_of(old);
        let groups = self.on_its_way.iter().map(|group| &group.arriving);
        groups
            .chain([&admitted.arriving])
            .any(|arriving| arriving.patients.contains(&key))
    }

    fn full(&self, why: &str) -> ArchiveError {
        let shown = |bound: u64| match bound {
            u64::MAX => "0".to_owned(),
            bound => bound.to_string(),
        };
        ArchiveError::Room {
            problem: format!(
                "storage.maximum_bytes is {}, storage.maximum_patients is {}, and there is no room: {why}",
                shown(self.max_bytes),
                shown(self.max_patients)
            ),
        }
    }
}

fn key_of(old: &OldPatient) -> Key {
    (old.tenant, old.public_id)
}

fn patient_of(deed: &Deed) -> Option<Key> {
    match deed {
        Deed::Arrival {
            header, instance, ..
        } => {
            let ids = vna_index::public_ids(&header.identity(instance));
            Some((header.tenant, ids.patient))
        }
        _ => None,
    }
}

/// The deletion of a patient who makes room: nothing is kept of it, since then there would be none.
pub(crate) fn recycling(old: &OldPatient) -> Work {
    let (tenant, public_id) = key_of(old);
    let deed = Deed::Deletion {
        header: DeletionHeader {
            tenant,
            at_us: now_us(),
            level: Level::Patient.as_str().to_owned(),
            public_id: public_id.to_string(),
            keep_us: 0,
        },
        level: Level::Patient,
        public_id,
    };
    let patient = public_id.to_string();
    let bytes = old.stored_bytes;
    Work::new(
        deed,
        Box::new(move |answer| match answer {
            Ok(_) => tracing::info!(patient, bytes, "patient recycled to make room"),
            Err(error) => tracing::error!(patient, code = error.code(), "not recycled: {error}"),
        }),
    )
}
