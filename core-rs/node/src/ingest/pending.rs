//! What of one upload or import is on its way to the disk, and what became of the rest.
//!
//! (1) At most so many bytes wait for their sync at a time; who brings more, waits. Room comes back by itself, since
//!     the committer answers all that it was given.
//! (2) Refusals have names and reasons, which whoever sends can make long and many: so many are kept, the rest is
//!     counted.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use vna_index::{Ids, Outcome};

use crate::committer::Answer;
use crate::error::ArchiveError;

/// Objects that wait for their sync at a time. More than a group has, so that the next one is there.
const MAX_OBJECTS: usize = 512;

/// Refusals that are told one by one.
const MAX_TOLD: u64 = 1000;

/// Characters of a name that are told.
const MAX_NAME: usize = 255;

/// One file of an upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Its place among the others.
    pub(crate) number: u64,
    /// Its name in the archive or form; empty if it has none.
    pub(crate) name: String,
    /// What it identifies itself as, where the answer is to tell.
    pub(crate) subject: Option<Box<Subject>>,
}

/// The UIDs of an instance, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) study_instance_uid: String,
    pub(crate) series_instance_uid: String,
    pub(crate) sop_class_uid: String,
    pub(crate) sop_instance_uid: String,
}

/// What became of one file.
#[derive(Debug)]
pub(crate) enum Told {
    /// It is in the archive.
    Stored {
        /// Where.
        ids: Ids,
        /// What the archive did.
        how: How,
        /// What it identifies itself as.
        subject: Option<Box<Subject>>,
    },
    /// It is not, and nobody wanted it to be.
    PassedOver {
        /// What it is called.
        name: Box<str>,
        /// Why.
        why: Arc<ArchiveError>,
    },
    /// It is not.
    Refused {
        /// What it is called.
        name: Box<str>,
        /// Why.
        why: Arc<ArchiveError>,
        /// What it identifies itself as.
        subject: Option<Box<Subject>>,
    },
    /// It is an archive of so many entries, which are to be imported one by one.
    Archive {
        /// How many.
        entries: u64,
    },
}

/// How a file came to be in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It is new.
    New,
    /// It is new, and one of its UIDs is live below another parent too.
    OtherParent,
    /// It was there already, with these bytes.
    Again,
    /// Its UID was there already with other bytes: kept beside what is live.
    BesideOther,
    /// Its UID was there already with other bytes, and this one is live now.
    InsteadOfOther,
}

impl How {
    fn of(outcome: &Outcome) -> Option<(Ids, Self)> {
        Some(match outcome {
            Outcome::Stored {
                ids,
                conflict: true,
            } => (*ids, Self::OtherParent),
            Outcome::Stored { ids, .. } => (*ids, Self::New),
            Outcome::AlreadyStored { ids, .. } => (*ids, Self::Again),
            Outcome::KeptAsVersion { ids, .. } => (*ids, Self::BesideOther),
            Outcome::Superseded {
                ids, freed: None, ..
            } => (*ids, Self::InsteadOfOther),
            // The same bytes took the place of themselves.
            Outcome::Superseded { ids, .. } => (*ids, Self::New),
            Outcome::Deleted { .. }
            | Outcome::Erased { .. }
            | Outcome::Recorded
            | Outcome::Noted { .. }
            | Outcome::NotNoted { .. }
            | Outcome::Unnoted { .. }
            | Outcome::NotRecorded { .. }
            | Outcome::NotFound => return None,
        })
    }
}

/// Called once with what became of all, perhaps on a committer thread: it must be quick.
pub(crate) type Done = Box<dyn FnOnce(Result<Outcomes, Arc<ArchiveError>>) + Send>;

/// The same, with what ended it all among the outcomes.
pub(crate) type Ended = Box<dyn FnOnce(Outcomes) + Send>;

#[derive(Default)]
struct State {
    bytes: u64,
    objects: usize,
    told: Vec<(u64, Told)>,
    refusals: u64,
    fatal: Option<Arc<ArchiveError>>,
    done: Option<Ended>,
}

/// Everything that became of the files of one upload.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// File by file, in their order.
    pub(crate) told: Vec<Told>,
    /// How many were refused or passed over, those included that are not told.
    pub(crate) not_stored: u64,
    /// What ended it all before its end.
    pub(crate) fatal: Option<Arc<ArchiveError>>,
}

/// What is on its way, and what became of the rest.
pub(crate) struct Pending {
    state: Mutex<State>,
    changed: Condvar,
    max_bytes: u64,
}

impl Pending {
    pub(crate) fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        })
    }

    /// Waits until there is room for `bytes`; one object alone always finds some.
    pub(crate) fn enter(&self, bytes: u64) {
        let mut state = self.state.lock();
        while state.objects > 0
            && (state.bytes + bytes > self.max_bytes || state.objects >= MAX_OBJECTS)
        {
            self.changed.wait(&mut state);
        }
        state.bytes += bytes;
        state.objects += 1;
    }

    /// Takes the answer for what [`enter`](Self::enter) let in.
    pub(crate) fn leave(&self, bytes: u64, entry: Entry, answer: Answer) {
        let told = answer.map(|outcome| How::of(&outcome));
        let mut state = self.state.lock();
        state.bytes -= bytes;
        state.objects -= 1;
        match told {
            Ok(Some((ids, how))) => {
                let subject = entry.subject;
                let told = Told::Stored { ids, how, subject };
                state.told.push((entry.number, told));
            }
            Ok(None) => {}
            Err(error) => state.refuse(entry, error),
        }
        let finished = state.take_finished();
        drop(state);
        self.changed.notify_all();
        call(finished);
    }

    /// Says what became of a file that never was on its way.
    pub(crate) fn tell(&self, number: u64, told: Told) {
        self.state.lock().told.push((number, told));
    }

    /// Says that a file is not stored.
    ///
    /// # Errors
    ///
    /// The error itself, if it is not about this file alone.
    pub(crate) fn refuse(
        &self,
        entry: Entry,
        error: ArchiveError,
    ) -> Result<(), Arc<ArchiveError>> {
        let error = Arc::new(error);
        let mut state = self.state.lock();
        state.refuse(entry, Arc::clone(&error));
        match &state.fatal {
            Some(fatal) => Err(Arc::clone(fatal)),
            None => Ok(()),
        }
    }

    /// Ends it all.
    pub(crate) fn fail(&self, error: Arc<ArchiveError>) {
        self.state.lock().fatal.get_or_insert(error);
    }

    /// What ended it all, if anything has.
    pub(crate) fn check(&self) -> Result<(), Arc<ArchiveError>> {
        match &self.state.lock().fatal {
            Some(fatal) => Err(Arc::clone(fatal)),
            None => Ok(()),
        }
    }

    /// Nothing more comes: `done` is called when nothing is on its way any more, with what became of all or with what
    /// ended it all. What was stored before stays stored.
    pub(crate) fn finish(&self, done: Done) {
        self.end(Box::new(|outcomes| {
            done(match outcomes.fatal {
                None => Ok(outcomes),
                Some(fatal) => Err(fatal),
            });
        }));
    }

    /// The same for who is to hear of what was stored before something ended it all.
    pub(crate) fn end(&self, done: Ended) {
        let mut state = self.state.lock();
        state.done = Some(done);
        let finished = state.take_finished();
        drop(state);
        call(finished);
    }
}

type Finished = (Ended, Outcomes);

fn call(finished: Option<Finished>) {
    if let Some((done, outcomes)) = finished {
        done(outcomes);
    }
}

impl State {
    fn take_finished(&mut self) -> Option<Finished> {
        if self.objects > 0 {
            return None;
        }
        let done = self.done.take()?;
        let mut told = std::mem::take(&mut self.told);
        told.sort_by_key(|(number, _)| *number);
        let outcomes = Outcomes {
            told: told.into_iter().map(|(_, told)| told).collect(),
            not_stored: self.refusals,
            fatal: self.fatal.clone(),
        };
        Some((done, outcomes))
    }

    fn refuse(&mut self, entry: Entry, why: Arc<ArchiveError>) {
        if !why.is_of_one_file() {
            self.fatal.get_or_insert(why);
            return;
        }
        self.refusals += 1;
        // Who names instances is to hear of each, and `uploads.max_entries` bounds them.
        if self.refusals > MAX_TOLD && entry.subject.is_none() {
            return; // (2)
        }
        let name = entry.name.chars().take(MAX_NAME).collect();
        let told = match &*why {
            ArchiveError::Upload(error) if error.is_passed_over() => Told::PassedOver { name, why },
            _ => Told::Refused {
                name,
                why,
                subject: entry.subject,
            },
        };
        self.told.push((entry.number, told));
    }
}
