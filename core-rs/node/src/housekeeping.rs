//! What runs beside the archive's work: rows of deleted resources, expired versions, dead bytes, recompression.
//!
//! Invariant (2) of ARCHITECTURE.md is kept here: bytes go only after the end of their rows is durable in
//! the index. What a crash leaves undone is found at the next start, since what is live is counted anew.

mod memory;
mod recompressing;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use vna_index::{FreedBlob, Index, NewFile, Relocation};
use vna_store::{BlobKey, BlobRef, Log, Moved, Place, Recoder, SegmentInfo, StoreError};

use crate::arrival::now_us;
use crate::entries::{LOCAL_STORE, file_column, freed_ref, inline_column};
use crate::error::ArchiveError;
use crate::notes::{Recorder, write_again};
use crate::pictures::ThumbnailCache;
use crate::recompress::is_instead;
use crate::replay::read_head_of;
use crate::stored_file::StoredFiles;
use crate::transcode::SpoolSettings;

use memory::FreeMemory;

pub use recompressing::{GivenUp, RecompressStep, ToRecompress};
pub(crate) use recompressing::{RecompressPolicy, given_up};

/// How often to look for work.
const PERIOD: Duration = Duration::from_millis(500);

/// The index's writer is held this long at a time: an arrival waits no longer for it.
const SLICE: Duration = Duration::from_millis(10);

/// How often expired versions are looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(60);

/// Versions given up in one transaction.
const EXPIRED_AT_ONCE: u64 = 1000;

/// How often packs are looked at.
const COMPACTION_PERIOD: Duration = Duration::from_secs(60);

/// A pack is rewritten when less than this part of it is live, in percent: rewriting costs what is live and
/// gains what is not, so at one half a byte is written for each that is won.
const COMPACT_BELOW_PERCENT: u64 = 50;

/// Blobs that lost their last row, until their bytes can go.
#[derive(Default)]
pub(crate) struct Trash(Mutex<Vec<FreedBlob>>);

impl Trash {
    pub(crate) fn put(&self, freed: impl IntoIterator<Item = FreedBlob>) {
        self.0.lock().extend(freed);
    }

    fn take(&self) -> Vec<FreedBlob> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// What became of a pack that was to be rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompactedPack {
    /// Its number, as in the name of its file.
    pub pack: String,
    /// Its bytes before.
    pub bytes_before: u64,
    /// Those of the pack in its place; 0 if nothing was left of it.
    pub bytes_after: u64,
    /// Why it could not be rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The thread that does it.
pub(crate) struct Housekeeping {
    keeper: Arc<Keeper>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Housekeeping {
    pub(crate) fn start(
        keeper: Arc<Keeper>,
        recompress: Option<RecompressPolicy>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let running = Arc::clone(&keeper);
        let thread = std::thread::Builder::new()
            .name("vna-keeper".into())
            .spawn(move || running.run(&stopped, recompress))?;
        Ok(Self {
            keeper,
            stop,
            thread,
        })
    }

    /// Ends the thread after the slice or pack that it is at: some ten milliseconds, or as long as a pack of the
    /// configured size takes to rewrite.
    pub(crate) fn stop(self) {
        self.keeper.stopping.store(true, Ordering::Release);
        drop(self.stop);
        // A panic there has been reported by its own hook.
        let _ = self.thread.join();
    }
}

/// One step at a time, each of which may be the last before a power cut.
pub(crate) struct Keeper {
    log: Arc<Log>,
    files: Arc<StoredFiles>,
    index: Arc<dyn Index>,
    trash: Arc<Trash>,
    recorder: Recorder,
    /// Deletions up to this log position are durable in the index, and all their blobs are marked dead: only
    /// their records may be forgotten. A deletion that still keeps what it took holds back all behind it.
    settled: AtomicU64,
    /// One at a time tidies up: what one took from the trash, the other must not take for settled.
    tidying: Mutex<()>,
    /// One at a time looks for packs to rewrite.
    compacting: Mutex<()>,
    /// Long work is to end soon.
    stopping: AtomicBool,
    /// Where encoded frames wait.
    spool: SpoolSettings,
    /// What is kept on the disk of blobs, and goes with them.
    thumbnails: Option<Arc<ThumbnailCache>>,
}

impl Keeper {
    pub(crate) fn new(
        files: Arc<StoredFiles>,
        index: Arc<dyn Index>,
        trash: Arc<Trash>,
        recorder: Recorder,
    ) -> Self {
        let settled = AtomicU64::new(0);
        Self {
            log: Arc::clone(files.log()),
            files,
            index,
            trash,
            recorder,
            settled,
            tidying: Mutex::default(),
            compacting: Mutex::default(),
            stopping: AtomicBool::new(false),
            spool: SpoolSettings::default(),
            thumbnails: None,
        }
    }

    /// Lets thumbnails go with their blobs.
    pub(crate) fn with_thumbnails(self, thumbnails: Arc<ThumbnailCache>) -> Self {
        Self {
            thumbnails: Some(thumbnails),
            ..self
        }
    }

    /// Lets encoded frames wait there.
    pub(crate) fn with_spool(self, spool: SpoolSettings) -> Self {
        Self { spool, ..self }
    }

    fn run(&self, stopped: &Receiver<()>, recompress: Option<RecompressPolicy>) {
        let mut looked_at = HashMap::new();
        let mut expiry_due = Instant::now();
        let mut compaction_due = Instant::now() + COMPACTION_PERIOD;
        let mut free_memory = FreeMemory::new(Instant::now());
        loop {
            report(self.tidy(now_us()));
            if Instant::now() >= expiry_due {
                report(self.expire(now_us()));
                expiry_due = Instant::now() + EXPIRY_PERIOD;
            }
            if Instant::now() >= compaction_due {
                report(self.compact());
                compaction_due = Instant::now() + COMPACTION_PERIOD;
            }
            if let Some(policy) = &recompress {
                report(self.recompress_aged(policy, &mut looked_at, now_us()));
            }
            self.files.codecs().give_back_idle();
            free_memory.give_back(Instant::now());
            match stopped.recv_timeout(PERIOD) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Removes the rows of deleted resources whose time has come, then the bytes that nobody needs.
    pub(crate) fn tidy(&self, now_us: i64) -> Result<(), ArchiveError> {
        let _one = self.tidying.lock();
        // What is applied while this runs counts the next time: its rows may not all be gone by then.
        let applied = self.index.covered_lsn();
        loop {
            let slice = self.index.maintain(SLICE, now_us)?;
            self.trash.put(slice.freed);
            if self.stopping.load(Ordering::Acquire) {
                return Ok(()); // the next start counts anew what is live
            }
            if !slice.more {
                break;
            }
            // Whoever waits for the index's writer goes first.
            std::thread::yield_now();
        }
        let freed = self.trash.take();
        if freed.is_empty() {
            return Ok(());
        }
        // In this order: notes that stood on what is in `freed` are known by now.
        let prepared = write_again(&*self.index, &self.files, &self.recorder)
            .and_then(|()| self.forget_rows(&freed));
        let blobs = match prepared {
            Ok(blobs) => blobs,
            Err(error) => {
                // Not marked dead: they must not be lost, or their deletions would seem settled.
                self.trash.put(freed);
                return Err(error);
            }
        };
        self.log.mark_dead(&blobs);
        if let Some(thumbnails) = &self.thumbnails {
            thumbnails.forget(&blobs.iter().map(|blob| blob.key).collect::<Vec<_>>());
        }
        let kept = self.index.oldest_deletion()?.unwrap_or(u64::MAX);
        let settled = applied.min(kept.saturating_sub(1));
        self.settled.store(settled, Ordering::Release);
        let files: Vec<BlobKey> = blobs
            .iter()
            .filter(|blob| matches!(blob.place, Place::File { .. }))
            .map(|blob| blob.key)
            .collect();
        if !files.is_empty() {
            self.log.remove_files(&files)?;
        }
        self.drop_dead()
    }

    /// Makes the end of the rows durable, after which the bytes may go (2).
    fn forget_rows(&self, freed: &[FreedBlob]) -> Result<Vec<BlobRef>, ArchiveError> {
        self.index.checkpoint()?;
        freed.iter().map(freed_ref).collect()
    }

    fn drop_dead(&self) -> Result<(), ArchiveError> {
        let covered = self.index.covered_lsn();
        let settled = self.settled.load(Ordering::Acquire);
        self.log
            .drop_dead(settled, covered, &|segment| self.refers_to(segment))?;
        Ok(())
    }

    /// Whether rows point at anything in a pack that seems dead; that none does is durable then (2).
    fn refers_to(&self, segment: u64) -> Result<bool, ArchiveError> {
        if live_keys(&*self.index, segment)?.is_empty() {
            self.index.checkpoint()?;
            return Ok(false);
        }
        tracing::warn!(segment, "a pack that seemed dead is still referred to");
        Ok(true)
    }

    pub(crate) fn expire(&self, now_us: i64) -> Result<(), ArchiveError> {
        loop {
            let freed = self.index.expire_versions(now_us, EXPIRED_AT_ONCE)?;
            let more = freed.len() as u64 >= EXPIRED_AT_ONCE;
            self.trash.put(freed);
            if !more {
                return Ok(());
            }
        }
    }

    /// Rewrites what holds dead bytes now: packs of which less than `below_percent` is live, and the open segment,
    /// which is sealed for it. With 100, any dead byte is reason enough.
    pub(crate) fn compact_now(
        &self,
        below_percent: u64,
        now_us: i64,
    ) -> Result<Vec<CompactedPack>, ArchiveError> {
        self.expire(now_us)?;
        self.tidy(now_us)?;
        let _one = self.compacting.lock();
        let wanted = |info: &SegmentInfo| {
            let holds_dead = info.live.filter(|live| live.records < info.blobs);
            holds_dead.is_some_and(|live| {
                below_percent >= 100 || live.bytes * 100 < info.bytes * below_percent
            })
        };
        if self
            .log
            .segments()
            .iter()
            .any(|i| !i.is_sealed && wanted(i))
        {
            self.log.rotate()?;
            self.drop_dead()?;
        }
        let mut done = Vec::new();
        for info in self.log.segments() {
            if self.stopping.load(Ordering::Acquire) {
                break;
            }
            if !info.is_sealed || !wanted(&info) {
                continue;
            }
            let (after, problem) = match self.compact_pack(&info, None) {
                Ok(after) => (after, None),
                Err(error) => (Some(info.bytes), Some(error.to_string())),
            };
            done.push(CompactedPack {
                pack: format!("{:016x}", info.segment),
                bytes_before: info.bytes,
                bytes_after: after.unwrap_or(info.bytes),
                problem,
            });
        }
        Ok(done)
    }

    /// Rewrites the packs that are mostly dead. One that cannot be rewritten does not keep the others.
    pub(crate) fn compact(&self) -> Result<(), ArchiveError> {
        let _one = self.compacting.lock();
        self.drop_dead()?; // those that a crash left
        for info in self.log.segments() {
            if self.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            let Some(live) = info.live.filter(|_| info.is_sealed) else {
                continue;
            };
            if live.bytes * 100 < info.bytes * COMPACT_BELOW_PERCENT && live.records < info.blobs {
                report(self.compact_pack(&info, None).map(|_| ()));
            }
        }
        Ok(())
    }

    /// Rewrites one pack without what is dead, and in another form if there is a recoder; or finishes a compaction that
    /// was interrupted.
    ///
    /// A pack with records that the index has not applied yet is left for later: they have no rows, and would be
    /// taken for dead. Else gives how many bytes the new one has.
    pub(crate) fn compact_pack(
        &self,
        pack: &SegmentInfo,
        recoder: Option<&dyn Recoder>,
    ) -> Result<Option<u64>, ArchiveError> {
        let segment = pack.segment;
        let covered = self.index.covered_lsn();
        if pack.last_lsn > covered {
            return Ok(None);
        }
        self.index.checkpoint()?;
        let settled = self.settled.load(Ordering::Acquire);
        let live = live_keys(&*self.index, segment)?;
        // In this order: notes that stood on what is not live are known by now.
        write_again(&*self.index, &self.files, &self.recorder)?;
        let is_live = |key: &BlobKey| live.contains(key);
        let relocate = &mut |moved: &[Moved]| relocate(&*self.index, &self.files, moved);
        let log = &self.log;
        let done = match recoder {
            None => log.compact(segment, settled, covered, &is_live, relocate)?,
            Some(recoder) => log.recode(segment, settled, covered, &is_live, recoder, relocate)?,
        };
        Ok(Some(done.bytes_after))
    }
}

/// Says what went wrong; the work is tried again the next time.
pub(crate) fn report(done: Result<(), ArchiveError>) {
    if let Err(error) = done {
        tracing::error!(code = error.code(), "housekeeping failed: {error}");
    }
}

/// Lets rows follow blobs that were moved.
pub(crate) fn relocate(
    index: &dyn Index,
    files: &Arc<StoredFiles>,
    moved: &[Moved],
) -> Result<(), ArchiveError> {
    let moves: Result<Vec<Relocation>, _> =
        moved.iter().map(|moved| relocation(files, moved)).collect();
    index.relocate(&moves?)?;
    Ok(())
}

fn relocation(files: &Arc<StoredFiles>, moved: &Moved) -> Result<Relocation, ArchiveError> {
    Ok(Relocation {
        store: LOCAL_STORE,
        key: moved.key.0,
        from: moved.from.to_columns(),
        to: moved.to.to_columns(),
        stored_size: moved.stored_size,
        encoding: moved.encoding.0.into(),
        file: match is_instead(moved.encoding) {
            true => new_file(files, moved)?,
            false => None,
        },
    })
}

/// What the file is that took the place of what was received; `None` if it was damaged since, which its row knew before.
fn new_file(files: &Arc<StoredFiles>, moved: &Moved) -> Result<Option<NewFile>, ArchiveError> {
    let read = || {
        let file = files.open(&files.log().blob_at(moved.key, moved.to)?)?;
        Ok((file.size(), read_head_of(&file, file.size())?))
    };
    match read() {
        Ok((size, head)) => Ok(Some(NewFile {
            size,
            transfer_syntax_uid: head.transfer_syntax_uid,
            data_set_offset: head.data_set_offset,
            pixel_data_offset: head.pixel_data.map(|pixel_data| pixel_data.element_offset),
        })),
        Err(
            ArchiveError::Dicom(_)
            | ArchiveError::Store(StoreError::Damaged(_) | StoreError::Gone { .. }),
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The keys of the blobs whose records are in `segment` and that rows point at.
pub(crate) fn live_keys(index: &dyn Index, segment: u64) -> Result<HashSet<BlobKey>, ArchiveError> {
    let mut keys = HashSet::new();
    for column in [inline_column(segment), file_column(segment)] {
        let rows = index.blobs_in(LOCAL_STORE, column)?;
        keys.extend(rows.into_iter().map(|row| BlobKey(row.key)));
    }
    Ok(keys)
}
