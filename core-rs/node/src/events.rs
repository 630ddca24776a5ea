//! Events: what happens to resources after they arrived and is told by the change feed, kept in the log.
//!
//! The record of an event lives as long as its row of the feed, and that as long as the resource. Its number follows
//! from its position in the log, as that of any change (invariant 5).
//!
//! A thread tells of resources that went quiet and of series that are complete. The index knows which are awaited, so
//! a start goes on where the process ended; what it is told is a record, so that nothing is told twice.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use vna_dicom::{Level, PublicId};
use vna_index::{ChangeType, Due, Index, Outcome};

use crate::archive::Archive;
use crate::arrival::{EventHeader, now_us};
use crate::committer::{Committer, Deed, File, Work};
use crate::error::ArchiveError;
use crate::housekeeping::report;

/// How often to look for what is due: Stable changes may be late by it, beside their age.
const PERIOD: Duration = Duration::from_millis(200);

/// Changes that are looked at in one transaction.
const AT_ONCE: u64 = 500;

impl Archive {
    /// Lets the change feed tell that something happened to a resource; when this returns it is durable.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if the resource is not there; what log and index say.
    pub fn tell(
        &self,
        tenant: i64,
        change: ChangeType,
        level: Level,
        public_id: PublicId,
    ) -> Result<(), Arc<ArchiveError>> {
        match self.record(Deed::Event {
            header: EventHeader::new(tenant, change, level, &public_id),
            change,
            level,
            public_id,
            file: File::in_memory(change.as_str()),
        })? {
            Outcome::Recorded => Ok(()),
            _ => Err(Arc::new(ArchiveError::NotFound { level, public_id })),
        }
    }

    /// Makes a patient, study or series stable now, which the feed tells, or lets it await that anew. Gives whether that
    /// changed anything: an instance is always stable.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if the resource is not there; what log and index say.
    pub fn set_stable(
        &self,
        tenant: i64,
        level: Level,
        public_id: PublicId,
        stable: bool,
    ) -> Result<bool, Arc<ArchiveError>> {
        let not_found = || Arc::new(ArchiveError::NotFound { level, public_id });
        let is_stable = self.index().is_stable(tenant, level, &public_id);
        let is_stable = is_stable
            .map_err(|error| Arc::new(error.into()))?
            .ok_or_else(not_found)?;
        let change = match level {
            Level::Patient => ChangeType::StablePatient,
            Level::Study => ChangeType::StableStudy,
            Level::Series => ChangeType::StableSeries,
            Level::Instance => return Ok(false),
        };
        if is_stable == stable {
            return Ok(false);
        }
        if stable {
            self.tell(tenant, change, level, public_id)?;
        } else {
            let unsettled = self.index().unsettle(tenant, level, &public_id, now_us());
            unsettled
                .map_err(|error| Arc::new(error.into()))?
                .ok_or_else(not_found)?;
        }
        Ok(true)
    }

    /// Tells what is due as of `now_us`: of resources that went quiet, of series that are complete.
    ///
    /// # Errors
    ///
    /// What index and log say; the rest is told the next time.
    pub fn tell_due(&self, now_us: i64) -> Result<(), ArchiveError> {
        let age_us = i64::from(self.settings().storage.keep.stable_age_s) * 1_000_000;
        tell_due(self.index(), &self.committer, now_us - age_us)
    }
}

fn tell_due(index: &dyn Index, committer: &Committer, before_us: i64) -> Result<(), ArchiveError> {
    while index
        .next_awaited()?
        .is_some_and(|since_us| since_us <= before_us)
    {
        // Each round tells or puts off all that it looks at, so there is an end.
        let due = index.due_changes(before_us, AT_ONCE)?;
        let (reply, answers) = mpsc::channel();
        for due in due {
            let reply = reply.clone();
            committer.submit(Work::new(
                deed(&due),
                Box::new(move |answer| drop(reply.send(answer))),
            ));
        }
        drop(reply);
        for answer in answers {
            answer.map_err(ArchiveError::Shared)?;
        }
    }
    Ok(())
}

fn deed(due: &Due) -> Deed {
    let header = EventHeader::new(due.tenant, due.change, due.level, &due.public_id);
    Deed::Event {
        header: EventHeader {
            as_of_us: due.as_of_us,
            ..header
        },
        change: due.change,
        level: due.level,
        public_id: due.public_id,
        file: File::in_memory(due.change.as_str()),
    }
}

/// The thread that tells what is due.
pub(crate) struct Teller {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Teller {
    pub(crate) fn start(
        index: Arc<dyn Index>,
        committer: Arc<Committer>,
        stable_age_s: u32,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("vna-teller".into())
            .spawn(move || run(&*index, &committer, stable_age_s, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread once what it has handed over is answered.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A panic there has been reported by its own hook.
        let _ = self.thread.join();
    }
}

fn run(index: &dyn Index, committer: &Committer, stable_age_s: u32, stopped: &Receiver<()>) {
    let age_us = i64::from(stable_age_s) * 1_000_000;
    while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        if !committer.is_behind() {
            report(tell_due(index, committer, now_us() - age_us));
        }
    }
}
