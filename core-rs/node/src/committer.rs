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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vna_dicom::{Instance, Level, PublicId};
use vna_index::{
    ChangeType, Deletion, Entry, Erasure, Event, Index, IndexError, Noting, Outcome, Unnoting,
};
use vna_store::{Appended, BlobRef, Body, Digest, FinishedBlob, Log, Lsn, NewRecord, RecordKind};

use crate::arrival::{ArrivalHeader, DeletionHeader, ErasureHeader, EventHeader};
use crate::entries::{arrival_entry, blob_row, freed_by};
use crate::error::ArchiveError;
use crate::histogram::Histogram;
use crate::housekeeping::Trash;
use crate::note_header::NoteHeader;
use crate::notes::{NewNote, TakenNote, decide};
use crate::room::{self, Admitted, Room};

/// A group is cut here, so that the first of it does not wait for the last.
const MAX_GROUP_BYTES: u64 = 32 << 20;

/// A group is cut here too: so many small objects take about as long to index as a sync takes.
const MAX_GROUP_RECORDS: usize = 256;

/// How often a group is offered to an index that refuses it for a reason that may pass, and the pause between.
const APPLY_TRIES: usize = 20;
const APPLY_PAUSE: Duration = Duration::from_millis(500);

/// What became of a piece of work. A failure is shared by all of its group.
pub type Answer = Result<Outcome, Arc<ArchiveError>>;

/// Called once with what became of a piece of work, on a committer thread: it must be quick.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// A PS3.10 file on its way into the log.
pub enum File {
    /// Whole in memory.
    Memory {
        /// Its bytes, let go once they are in the log.
        bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
        /// Their digest, computed by whoever received them: the committer is one thread for all.
        digest: Digest,
    },
    /// Streamed to a file of its own, and synced.
    Large(FinishedBlob),
}

impl File {
    /// A file that is whole in memory.
    pub fn in_memory(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let digest = Digest::of(bytes.as_ref());
        Self::with_digest(bytes, digest)
    }

    /// The same, of which the digest is known.
    pub(crate) fn with_digest(
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        digest: Digest,
    ) -> Self {
        Self::Memory {
            bytes: Box::new(bytes),
            digest,
        }
    }

    /// Its length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            File::Memory { bytes, .. } => (**bytes).as_ref().len() as u64,
            File::Large(blob) => blob.size(),
        }
    }

    /// The digest of its bytes.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            File::Memory { digest, .. } => *digest,
            File::Large(blob) => blob.digest(),
        }
    }

    /// Bytes that wait in memory and go into the log: none of a file of its own.
    pub(crate) fn buffered_bytes(&self) -> u64 {
        match self {
            File::Memory { bytes, .. } => (**bytes).as_ref().len() as u64,
            File::Large(_) => 0,
        }
    }
}

/// What the log takes.
pub(crate) struct Work {
    pub(crate) deed: Deed,
    pub(crate) reply: Reply,
    since: Instant,
}

impl Work {
    /// A deed, and what is called with what became of it.
    pub(crate) fn new(deed: Deed, reply: Reply) -> Self {
        Self {
            deed,
            reply,
            since: Instant::now(),
        }
    }
}

/// What is to be recorded.
pub(crate) enum Deed {
    /// An instance arrived.
    Arrival {
        header: ArrivalHeader,
        instance: Box<Instance>,
        file: File,
    },
    /// A resource ends.
    Deletion {
        header: DeletionHeader,
        level: Level,
        public_id: PublicId,
    },
    /// What deletions kept goes now.
    Erasure(ErasureHeader),
    /// A resource gets a note, or the note that it has is recorded once more.
    Noting(Box<NewNote>),
    /// A resource loses a note.
    Unnoting(Box<TakenNote>),
    /// Something happened to a resource that the change feed tells.
    Event {
        header: EventHeader,
        change: ChangeType,
        level: Level,
        public_id: PublicId,
        /// What its record keeps.
        file: File,
    },
}

impl Deed {
    fn buffered_bytes(&self) -> u64 {
        match self {
            Deed::Arrival { file, .. } => file.buffered_bytes(),
            Deed::Noting(new) => new.file.buffered_bytes(),
            _ => 0,
        }
    }

    /// The blob that comes with it.
    fn file(&self) -> Option<&File> {
        match self {
            Deed::Arrival { file, .. } | Deed::Event { file, .. } => Some(file),
            Deed::Noting(new) => Some(&new.file),
            Deed::Deletion { .. } | Deed::Erasure(_) | Deed::Unnoting(_) => None,
        }
    }

    /// Whether what becomes of it depends on what the index has when its turn comes.
    fn is_open(&self) -> bool {
        match self {
            Deed::Noting(new) => new.condition.is_some(),
            Deed::Unnoting(taken) => taken.condition.is_some(),
            Deed::Arrival { .. }
            | Deed::Deletion { .. }
            | Deed::Erasure(_)
            | Deed::Event { .. } => false,
        }
    }

    /// Whether it keeps what there is, rather than changing anything that a client sees.
    fn is_upkeep(&self) -> bool {
        matches!(self, Deed::Noting(new) if new.again)
    }

    fn kind(&self) -> RecordKind {
        match self {
            Deed::Arrival { .. } => RecordKind::ARRIVAL,
            Deed::Deletion { .. } => RecordKind::DELETE,
            Deed::Erasure(_) => RecordKind::ERASE,
            Deed::Noting(new) if new.again => RecordKind::NOTE_AGAIN,
            Deed::Noting(_) => RecordKind::NOTE,
            Deed::Unnoting(_) => RecordKind::UNNOTE,
            Deed::Event { .. } => RecordKind::EVENT,
        }
    }

    fn header(&self) -> Vec<u8> {
        match self {
            Deed::Arrival { header, .. } => header.to_bytes(),
            Deed::Deletion { header, .. } => header.to_bytes(),
            Deed::Erasure(header) => header.to_bytes(),
            Deed::Noting(new) => NoteHeader::of_note(&new.note, new.at_us).to_bytes(),
            Deed::Unnoting(taken) => NoteHeader::of(&taken.id, taken.at_us).to_bytes(),
            Deed::Event { header, .. } => header.to_bytes(),
        }
    }

    /// What the index is told, once the record has its position. The file's bytes are let go.
    fn into_entry(self, appended: &Appended) -> Result<Entry, ArchiveError> {
        let lsn = appended.lsn;
        match self {
            Deed::Arrival {
                header, instance, ..
            } => Ok(arrival_entry(
                lsn,
                header,
                *instance,
                needed_blob(appended)?,
            )),
            Deed::Deletion {
                header,
                level,
                public_id,
            } => Ok(Entry::Deletion(Deletion {
                lsn,
                tenant: header.tenant,
                level,
                public_id,
                at_us: header.at_us,
                keep_us: header.keep_us,
            })),
            Deed::Erasure(header) => Ok(Entry::Erasure(Erasure {
                lsn,
                deletions: header.deletions,
            })),
            Deed::Noting(new) => Ok(Entry::Noting(Box::new(Noting {
                lsn,
                note: new.note,
                blob: blob_row(needed_blob(appended)?),
                at_us: new.at_us,
                again: new.again,
            }))),
            Deed::Unnoting(taken) => Ok(Entry::Unnoting(Unnoting {
                lsn,
                id: taken.id,
                at_us: taken.at_us,
            })),
            Deed::Event {
                header,
                change,
                level,
                public_id,
                ..
            } => Ok(Entry::Event(Box::new(Event {
                lsn,
                tenant: header.tenant,
                change,
                level,
                public_id,
                at_us: header.at_us,
                as_of_us: header.as_of_us,
                blob: blob_row(needed_blob(appended)?),
            }))),
        }
    }
}

fn needed_blob(appended: &Appended) -> Result<&BlobRef, ArchiveError> {
    appended.blob.as_ref().ok_or_else(|| ArchiveError::Record {
        lsn: appended.lsn,
        problem: "the log gave it no blob".into(),
    })
}

/// What the thread of the index gets.
enum Synced {
    Group(Group),
    /// To be answered when all before it is in the index.
    Barrier(SyncSender<()>),
}

/// A synced group on its way to the index.
struct Group {
    entries: Vec<Entry>,
    replies: Vec<(Reply, Instant)>,
}

/// Counters for `/metrics`.
#[derive(Debug, Default)]
pub struct CommitCounters {
    /// Groups synced.
    pub groups: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Instances that came again with other bytes.
    pub duplicates: AtomicU64,
    /// Instances of which a UID is live under two parents.
    pub conflicts: AtomicU64,
    /// Records refused, because the log or the index failed.
    pub failed: AtomicU64,
    /// Arrivals refused, because a bound has no room for them.
    pub without_room: AtomicU64,
    /// Patients deleted to make room.
    pub recycled: AtomicU64,
    /// From the hand-over of a record to its answer.
    pub latency: Histogram,
}

/// The two threads and the way to them.
pub(crate) struct Committer {
    queue: Mutex<Option<Sender<Work>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    behind: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
    counters: Arc<CommitCounters>,
    read_only: bool,
}

impl Committer {
    /// Starts both threads. Arrivals are taken as far as there is room.
    pub(crate) fn start(
        log: Arc<Log>,
        index: Arc<dyn Index>,
        trash: Arc<Trash>,
        room: Option<Room>,
        read_only: bool,
    ) -> std::io::Result<Self> {
        let behind = Arc::new(AtomicBool::new(false));
        let stopping = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(CommitCounters::default());
        let (queue, work) = mpsc::channel();
        // One group waits while one is applied: more would only put off the answers.
        let (groups, synced) = mpsc::sync_channel(1);
        let appending = {
            let (behind, counters) = (Arc::clone(&behind), Arc::clone(&counters));
            let index = Arc::clone(&index);
            std::thread::Builder::new()
                .name("vna-log".into())
                .spawn(move || {
                    append_groups(&log, &*index, work, &groups, room, &behind, &counters)
                })?
        };
        let applying = {
            let (behind, counters) = (Arc::clone(&behind), Arc::clone(&counters));
            let ending = Arc::clone(&stopping);
            std::thread::Builder::new()
                .name("vna-index".into())
                .spawn(move || {
                    apply_groups(&*index, &trash, &synced, &behind, &ending, &counters)
                })?
        };
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            threads: Mutex::new(vec![appending, applying]),
            behind,
            stopping,
            counters,
            read_only,
        })
    }

    /// Hands over work; its reply is called in any case.
    pub(crate) fn submit(&self, work: Work) {
        if self.read_only && !work.deed.is_upkeep() {
            (work.reply)(Err(Arc::new(ArchiveError::ReadOnly)));
            return;
        }
        let queue = self.queue.lock();
        let (refused, reason) = match &*queue {
            // The thread behind it ended in a panic.
            Some(queue) => (
                queue.send(work).err().map(|unsent| unsent.0),
                ArchiveError::Behind,
            ),
            None => (Some(work), ArchiveError::Stopped),
        };
        drop(queue);
        if let Some(work) = refused {
            (work.reply)(Err(Arc::new(reason)));
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
        self.stopping.store(true, Ordering::Release);
        self.queue.lock().take();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A panic there has been reported by its own hook, and its replies dropped.
            let _ = thread.join();
        }
    }
}

/// The work that waits, in groups.
struct Groups {
    work: Receiver<Work>,
    /// Taken from the queue, and not of the group that it would have ended.
    next: Option<Work>,
}

impl Groups {
    /// What waits now, up to a group's bounds; `None` when nobody can hand over work any more.
    ///
    /// Deletions have groups of their own: on a full disk those may use the room that is kept for them.
    fn next(&mut self) -> Option<Vec<Work>> {
        let first = match self.next.take() {
            Some(work) => work,
            None => self.work.recv().ok()?,
        };
        let kind = first.deed.kind();
        let mut bytes = first.deed.buffered_bytes();
        let mut group = vec![first];
        while group.len() < MAX_GROUP_RECORDS && bytes < MAX_GROUP_BYTES {
            let Ok(work) = self.work.try_recv() else {
                break;
            };
            if work.deed.kind() != kind {
                self.next = Some(work);
                break;
            }
            bytes += work.deed.buffered_bytes();
            group.push(work);
        }
        Some(group)
    }
}

fn append_groups(
    log: &Log,
    index: &dyn Index,
    work: Receiver<Work>,
    synced: &SyncSender<Synced>,
    mut room: Option<Room>,
    behind: &AtomicBool,
    counters: &CommitCounters,
) {
    let _fails_if_i_panic = BehindOnPanic(behind);
    let appending = Appending {
        log,
        synced,
        behind,
        counters,
    };
    let mut groups = Groups { work, next: None };
    while let Some(mut group) = groups.next() {
        if group.iter().any(|work| work.deed.is_open()) {
            if !is_taken(synced) {
                return; // the index thread is gone, and with it every reply of the group
            }
            group = decide(index, group);
            if group.is_empty() {
                continue;
            }
        }
        let is_arriving = matches!(group[0].deed, Deed::Arrival { .. });
        let done = match &mut room {
            Some(room) if is_arriving => appending.within(room, group),
            _ => appending.append(group).map(|_| ()),
        };
        if done.is_err() {
            return;
        }
    }
}

/// The index thread is gone, and with it every reply that was handed to it.
struct IndexGone;

/// What the first thread works with.
struct Appending<'a> {
    log: &'a Log,
    synced: &'a SyncSender<Synced>,
    behind: &'a AtomicBool,
    counters: &'a CommitCounters,
}

impl Appending<'_> {
    /// Appends a group and hands it on. Gives the position of its last record, if it could be appended.
    fn append(&self, group: Vec<Work>) -> Result<Option<Lsn>, IndexGone> {
        let counters = self.counters;
        let (deeds, replies): (Vec<Deed>, Vec<(Reply, Instant)>) = group
            .into_iter()
            .map(|work| (work.deed, (work.reply, work.since)))
            .unzip();
        let appended = if self.behind.load(Ordering::Acquire) {
            Err(ArchiveError::Behind) // (2)
        } else {
            append(self.log, deeds)
        };
        match appended {
            Ok(entries) => {
                counters.groups.fetch_add(1, Ordering::Relaxed);
                let records = entries.len() as u64;
                counters.records.fetch_add(records, Ordering::Relaxed);
                let last = entries.last().map(Entry::lsn);
                let sent = self.synced.send(Synced::Group(Group { entries, replies }));
                sent.map(|()| last).map_err(|_| IndexGone)
            }
            Err(error) => {
                fail(replies, error, counters);
                Ok(None)
            }
        }
    }

    /// Appends what of a group there is room for, behind the deletions that make it.
    fn within(&self, room: &mut Room, group: Vec<Work>) -> Result<(), IndexGone> {
        let recycling = room.recycling();
        let deciding = recycling.deciding.lock();
        let Admitted {
            group,
            refused,
            recycled,
            arriving,
        } = room.admit(group);
        for (reply, error) in refused {
            self.counters.without_room.fetch_add(1, Ordering::Relaxed);
            reply(Err(Arc::new(error)));
        }
        if !recycled.is_empty() {
            let deletions = recycled.iter().map(room::recycling).collect();
            let Some(last) = self.append(deletions)? else {
                let error = || ArchiveError::Room {
                    problem: "the log took no deletions that would make room".into(),
                };
                for work in group {
                    (work.reply)(Err(Arc::new(error())));
                }
                return Ok(());
            };
            let patients = recycled.len() as u64;
            self.counters
                .recycled
                .fetch_add(patients, Ordering::Relaxed);
            recycling.decided.store(last, Ordering::Release);
            room.is_recycling(last, recycled);
        }
        drop(deciding);
        if group.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.append(group)? {
            room.is_arriving(last, arriving);
        }
        Ok(())
    }
}

/// Returns when the index has taken all that was appended, or failed to; false if its thread is gone.
fn is_taken(synced: &SyncSender<Synced>) -> bool {
    let (reply, taken) = mpsc::sync_channel(1);
    synced.send(Synced::Barrier(reply)).is_ok() && taken.recv().is_ok()
}

/// Appends deeds, one write and one sync, and gives what the index is to be told.
pub(crate) fn append(log: &Log, deeds: Vec<Deed>) -> Result<Vec<Entry>, ArchiveError> {
    let headers: Vec<Vec<u8>> = deeds.iter().map(Deed::header).collect();
    let parts: Vec<[&[u8]; 1]> = deeds
        .iter()
        .map(|deed| match deed.file() {
            Some(File::Memory { bytes, .. }) => [(**bytes).as_ref()],
            Some(File::Large(_)) | None => [[].as_slice()],
        })
        .collect();
    let records: Vec<NewRecord<'_>> = deeds
        .iter()
        .zip(&headers)
        .zip(&parts)
        .map(|((deed, header), parts)| NewRecord {
            kind: deed.kind(),
            header,
            body: match deed.file() {
                Some(File::Memory { digest, .. }) => Body::Bytes {
                    parts,
                    digest: *digest,
                },
                Some(File::Large(blob)) => Body::File(blob),
                None => Body::None,
            },
        })
        .collect();
    let appended = log.append(&records)?;
    deeds
        .into_iter()
        .zip(&appended)
        .map(|(deed, at)| deed.into_entry(at))
        .collect()
}

fn fail(replies: Vec<(Reply, Instant)>, error: ArchiveError, counters: &CommitCounters) {
    counters
        .failed
        .fetch_add(replies.len() as u64, Ordering::Relaxed);
    let error = Arc::new(error);
    for (reply, _) in replies {
        reply(Err(Arc::clone(&error)));
    }
}

/// A thread that ends in a panic takes the archive's readiness with it.
struct BehindOnPanic<'a>(&'a AtomicBool);

impl Drop for BehindOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

fn apply_groups(
    index: &dyn Index,
    trash: &Trash,
    synced: &Receiver<Synced>,
    behind: &AtomicBool,
    stopping: &AtomicBool,
    counters: &CommitCounters,
) {
    let _fails_if_i_panic = BehindOnPanic(behind);
    while let Ok(synced) = synced.recv() {
        let Group { entries, replies } = match synced {
            Synced::Group(group) => group,
            Synced::Barrier(reply) => {
                let _ = reply.send(()); // its sender waits for nothing else
                continue;
            }
        };
        let outcomes = if behind.load(Ordering::Acquire) {
            Err(ArchiveError::Behind) // (2)
        } else {
            apply(index, &entries, stopping).map_err(ArchiveError::from)
        };
        match outcomes {
            Ok(outcomes) => {
                for ((entry, outcome), (reply, since)) in entries.iter().zip(outcomes).zip(replies)
                {
                    trash.put(freed_by(&outcome));
                    tell(entry, &outcome, counters);
                    reply(Ok(outcome));
                    counters.latency.record(since.elapsed());
                }
            }
            Err(error) => {
                behind.store(true, Ordering::Release);
                tracing::error!(
                    code = error.code(),
                    "the index cannot follow the log: {error}"
                );
                fail(replies, error, counters);
            }
        }
    }
}

/// Applies a group. What passes (a full disk, a lock that an operator's shell holds) is waited for: the next group
/// must not overtake this one, and its bytes are safe.
fn apply(
    index: &dyn Index,
    entries: &[Entry],
    stopping: &AtomicBool,
) -> Result<Vec<Outcome>, IndexError> {
    for _ in 0..APPLY_TRIES {
        match index.apply(entries) {
            Err(error) if error.may_pass() && !stopping.load(Ordering::Acquire) => {
                std::thread::sleep(APPLY_PAUSE);
            }
            done => return done,
        }
    }
    index.apply(entries)
}

/// Says what somebody should look into: other bytes under a known identity, a UID under two parents.
fn tell(entry: &Entry, outcome: &Outcome, counters: &CommitCounters) {
    let Entry::Arrival(arrival) = entry else {
        return;
    };
    let identity = &arrival.instance.identity;
    let calling_ae_title = &arrival.origin.calling_ae_title;
    match outcome {
        Outcome::KeptAsVersion {
            version,
            expires_us,
            ..
        } => {
            counters.duplicates.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                sop_instance_uid = identity.sop_instance_uid,
                calling_ae_title,
                version,
                expires_us,
                "an instance came again with other bytes: kept beside the live one"
            );
        }
        Outcome::Superseded {
            version,
            freed: None,
            ..
        } => {
            counters.duplicates.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                sop_instance_uid = identity.sop_instance_uid,
                calling_ae_title,
                version,
                "an instance came again with other bytes: live now"
            );
        }
        _ => {}
    }
    if let Outcome::Stored { conflict: true, .. } | Outcome::Superseded { conflict: true, .. } =
        outcome
    {
        counters.conflicts.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            sop_instance_uid = identity.sop_instance_uid,
            study_instance_uid = identity.study_instance_uid,
            calling_ae_title,
            "a UID is live under two parents"
        );
    }
}
