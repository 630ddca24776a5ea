//! Group commit: one sync for all that waits, one transaction behind it, then all answers.
//!
//! 1. An arrival or deletion is answered only after its log record is synced and its rows are committed.
//!    The rows' commit needs no sync of its own: the log has the record, and a tail that the index lost is
//!    replayed at start.
//! 2. Entries reach the index in the order of their log positions, whatever happened to one of them: when
//!    the index fails, nothing is appended any more, so it can never be skipped.
//!
//! Two threads, so that the next group's sync overlaps this group's transaction. The committer never waits
//! for company: it syncs what is there; what arrives meanwhile is the next group.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use vna_dicom::{Instance, Level, PublicId};
use vna_index::{Arrival, Deletion, Entry, Index, Outcome};
use vna_store::{Body, Log, NewRecord, RecordKind, StoreError};

use crate::archive::release;
use crate::arrival::{ArrivalHeader, DeletionHeader, RecordHeader};
use crate::blob_row;
use crate::error::ArchiveError;

/// A group is cut here, so that the first of it does not wait for the last.
const MAX_GROUP_BYTES: u64 = 32 << 20;

/// A group is cut here too: so many small objects take about as long to index as a sync takes.
const MAX_GROUP_RECORDS: usize = 256;

/// What became of a piece of work. A failure is shared by all of its group.
pub type Answer = Result<Outcome, Arc<ArchiveError>>;

/// Called once with what became of a piece of work, on a committer thread: it must be quick.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// What the log takes.
pub(crate) enum Work {
    /// An instance and its file.
    Store {
        header: ArrivalHeader,
        instance: Box<Instance>,
        body: Body,
        reply: Reply,
    },
    /// The end of a resource.
    Delete {
        header: DeletionHeader,
        level: Level,
        public_id: PublicId,
        reply: Reply,
    },
}

impl Work {
    fn bytes(&self) -> u64 {
        match self {
            Work::Store { body, .. } => body.buffered_bytes(),
            Work::Delete { .. } => 0,
        }
    }

    fn record(self) -> (RecordKind, Vec<u8>, Body, Pending) {
        match self {
            Work::Store { header, instance, body, reply } => {
                let text = RecordHeader::Arrival(header.clone()).to_bytes();
                (RecordKind::Arrival, text, body, Pending::Store { header, instance, reply })
            }
            Work::Delete { header, level, public_id, reply } => {
                let at_us = header.at_us;
                let tenant = header.tenant;
                let text = RecordHeader::Deletion(header).to_bytes();
                let pending = Pending::Delete { tenant, at_us, level, public_id, reply };
                (RecordKind::Deletion, text, Body::None, pending)
            }
        }
    }
}

/// Work whose record is in the log, or on its way there.
enum Pending {
    Store {
        header: ArrivalHeader,
        instance: Box<Instance>,
        reply: Reply,
    },
    Delete {
        tenant: i64,
        at_us: i64,
        level: Level,
        public_id: PublicId,
        reply: Reply,
    },
}

impl Pending {
    fn reply(self, answer: Answer) {
        match self {
            Pending::Store { reply, .. } | Pending::Delete { reply, .. } => reply(answer),
        }
    }
}

/// A synced group on its way to the index.
struct Group {
    entries: Vec<Entry>,
    replies: Vec<Reply>,
}

/// Counters for `/metrics`.
#[derive(Debug, Default)]
pub struct CommitCounters {
    /// Groups synced.
    pub groups: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Records refused, because the log or the index failed.
    pub failed: AtomicU64,
}

/// The two threads and the way to them.
pub(crate) struct Committer {
    queue: Mutex<Option<Sender<Work>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    behind: Arc<AtomicBool>,
    counters: Arc<CommitCounters>,
}

impl Committer {
    /// Starts both threads.
    pub(crate) fn start(log: Arc<Log>, index: Arc<dyn Index>) -> std::io::Result<Self> {
        let behind = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(CommitCounters::default());
        let (queue, work) = mpsc::channel();
        // One group waits while one is applied: more would only put off the answers.
        let (groups, synced) = mpsc::sync_channel(1);
        let appending = {
            let (log, behind, counters) = (Arc::clone(&log), Arc::clone(&behind), Arc::clone(&counters));
            std::thread::Builder::new()
                .name("vna-log".into())
                .spawn(move || append_groups(&log, &work, &groups, &behind, &counters))?
        };
        let applying = {
            let (behind, counters) = (Arc::clone(&behind), Arc::clone(&counters));
            std::thread::Builder::new()
                .name("vna-index".into())
                .spawn(move || apply_groups(&log, &*index, &synced, &behind, &counters))?
        };
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            threads: Mutex::new(vec![appending, applying]),
            behind,
            counters,
        })
    }

    /// Hands over work; its reply is called in any case.
    pub(crate) fn submit(&self, work: Work) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match &*queue {
            Some(queue) => queue.send(work).err().map(|unsent| unsent.0),
            None => Some(work),
        };
        drop(queue);
        if let Some(work) = refused {
            let (_, _, _, pending) = work.record();
            pending.reply(Err(Arc::new(ArchiveError::Stopped)));
        }
    }

    /// Whether the index failed and is behind the log.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> &CommitCounters {
        &self.counters
    }

    /// Finishes what was handed over, then ends both threads.
    pub(crate) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic there has been reported by its own hook, and its replies dropped.
            let _ = thread.join();
        }
    }
}

/// What waits now, up to a group's bounds; `None` when nobody can hand over work any more.
fn next_group(work: &Receiver<Work>) -> Option<Vec<Work>> {
    let first = work.recv().ok()?;
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while group.len() < MAX_GROUP_RECORDS && bytes < MAX_GROUP_BYTES {
        let Ok(next) = work.try_recv() else { break };
        bytes += next.bytes();
        group.push(next);
    }
    Some(group)
}

fn append_groups(
    log: &Log,
    work: &Receiver<Work>,
    groups: &SyncSender<Group>,
    behind: &AtomicBool,
    counters: &CommitCounters,
) {
    while let Some(group) = next_group(work) {
        let mut headers = Vec::with_capacity(group.len());
        let mut pending = Vec::with_capacity(group.len());
        for work in group {
            let (kind, header, body, waiting) = work.record();
            headers.push((kind, header, body));
            pending.push(waiting);
        }
        if behind.load(Ordering::Acquire) {
            fail(pending, ArchiveError::Behind, counters); // (2)
            continue;
        }
        let records: Vec<NewRecord<'_>> = headers
            .iter_mut()
            .map(|(kind, header, body)| NewRecord {
                kind: *kind,
                header,
                body: std::mem::replace(body, Body::None),
            })
            .collect();
        match append(log, records) {
            Ok(appended) => {
                counters.groups.fetch_add(1, Ordering::Relaxed);
                counters.records.fetch_add(appended.len() as u64, Ordering::Relaxed);
                let group = pending
                    .into_iter()
                    .zip(appended)
                    .map(|(pending, appended)| entry(pending, &appended))
                    .unzip();
                let (entries, replies) = group;
                if groups.send(Group { entries, replies }).is_err() {
                    return; // the index thread is gone, and with it every reply of the group
                }
            }
            Err(error) => fail(pending, error.into(), counters),
        }
    }
}

fn entry(pending: Pending, appended: &Appended) -> (Entry, Reply) {
    match pending {
        Pending::Store { header, instance, reply } => {
            let entry = arrival_entry(appended.lsn, header, *instance, appended.blob.as_ref());
            (entry, reply)
        }
        Pending::Delete { tenant, at_us, level, public_id, reply } => {
            let lsn = appended.lsn;
            (Entry::Deletion(Deletion { lsn, tenant, level, public_id, at_us }), reply)
        }
    }
}

fn fail(pending: Vec<Pending>, error: ArchiveError, counters: &CommitCounters) {
    counters.failed.fetch_add(pending.len() as u64, Ordering::Relaxed);
    let error = Arc::new(error);
    for pending in pending {
        pending.reply(Err(Arc::clone(&error)));
    }
}

fn apply_groups(
    log: &Log,
    index: &dyn Index,
    synced: &Receiver<Group>,
    behind: &AtomicBool,
    counters: &CommitCounters,
) {
    while let Ok(Group { entries, replies }) = synced.recv() {
        let outcomes = if behind.load(Ordering::Acquire) {
            Err(ArchiveError::Behind) // (2)
        } else {
            index.apply(&entries).map_err(ArchiveError::from)
        };
        match outcomes {
            Ok(outcomes) => {
                for (outcome, reply) in outcomes.into_iter().zip(replies) {
                    release(log, &outcome);
                    reply(Ok(outcome));
                }
            }
            Err(error) => {
                behind.store(true, Ordering::Release);
                counters.failed.fetch_add(entries.len() as u64, Ordering::Relaxed);
                let error = Arc::new(error);
                for reply in replies {
                    reply(Err(Arc::clone(&error)));
                }
            }
        }
    }
}
