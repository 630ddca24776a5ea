//! The SQLite engine.

mod answers;
mod arrive;
mod awaited;
mod cache;
mod candidates;
mod changes;
mod checkpoint;
mod compile;
mod connection;
mod counts;
mod delete;
mod deleted;
mod extra;
mod filter;
mod find;
mod functions;
mod keys;
mod maintain;
mod matched;
mod members;
mod note;
mod note_rows;
mod owners;
mod picked;
mod place;
mod read;
mod rebuild;
mod relocate;
mod resource;
mod retag;
mod room;
mod rows;
mod source;
mod tags;
mod terms;
mod values;
mod verify;
mod vfs;
mod write;
mod writer;

pub use rebuild::Rebuild;

use crate::bits::{Signed, Unsigned};
use crate::{
    Answer, BlobOwner, BlobRow, ChangesRequest, Deleted, DeletedInstance, DeletedMark, DeletionOf,
    Due, Encoded, Entry, ExtraTag, Found, FreedBlob, HeaderKeys, Index, IndexError, InstanceUids,
    Located, Lsn, Maintenance, Member, NoteId, OldPatient, Outcome, Page, Picked, Query,
    RecordedNote, Relocation, Requested, Shape, Statistics, Subject, UidPath, Unfilled, Usage,
    Values,
};
use checkpoint::Checkpointer;
use connection::Mode;
use filter::Filling;
use keys::Tail;
use parking_lot::Mutex;
use read::Readers;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use terms::TermTail;
use vfs::Shim;
use vna_dicom::{Instance, Level, PublicId, Tag};
use writer::Writer;

/// How much memory and disk an index may use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Pages that the writer keeps in memory, in bytes.
    pub writer_cache_bytes: u64,
    /// Pages that each reader keeps in memory, in bytes.
    pub reader_cache_bytes: u64,
    /// Reading connections that are kept open; more are opened while more readers read at once.
    pub readers: usize,
    /// How long the write-ahead log may grow before the writer itself shortens it, in bytes.
    pub wal_bytes: u64,
    /// Patients and studies from which on texts are also cut into grams, for wildcards at the beginning. Below,
    /// looking at all texts takes less than some 10 ms.
    pub grams_from: u64,
    /// Memory for the filter that spares most look-ups of new identifiers, in bytes: 3 for each of about three
    /// keys that an instance has on average. A smaller one spares fewer.
    pub key_filter_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            writer_cache_bytes: 24 << 20,
            reader_cache_bytes: 4 << 20,
            readers: 4,
            wal_bytes: 16 << 20,
            grams_from: 50_000,
            key_filter_bytes: 16 << 20,
        }
    }
}

/// An index in a SQLite file.
pub struct SqliteIndex {
    // Dropped in this order: the thread and the readers let go before the writer closes the file, and the shim
    // under all of them goes last.
    checkpointer: Option<Checkpointer>,
    filling: Mutex<FilterState>,
    max_filter_bytes: u64,
    readers: Readers,
    writer: Mutex<Writer>,
    covered: AtomicU64,
    _shim: Option<Shim>,
}

/// The filter before the table of keys.
struct FilterState {
    /// Resources that the filter was made for; it is made anew when there are twice as many.
    made_for: i64,
    filling: Option<Filling>,
}

/// Resources that the smallest filter has room for.
const MIN_FILTER_RESOURCES: i64 = 100_000;

/// Keys of a resource.
const KEYS_PER_RESOURCE: u64 = 2;

thread_local! {
    /// Pages in the write-ahead log after the last commit of this thread.
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

const PAGE_BYTES: u64 = 4096;

impl SqliteIndex {
    /// Opens an index that exists.
    ///
    /// # Errors
    ///
    /// [`IndexError::Missing`] and [`IndexError::Corrupt`] say that it has to be rebuilt from the log.
    pub fn open(path: &Path, options: Options) -> Result<SqliteIndex, IndexError> {
        Self::open_with(path, None, options, Mode::Write)
    }

    /// Opens an index, or makes an empty one where there is none.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] if what is there cannot be used.
    pub fn open_or_create(path: &Path, options: Options) -> Result<SqliteIndex, IndexError> {
        Self::open_with(path, None, options, Mode::Create)
    }

    /// As [`open_or_create`](Self::open_or_create), on another disk than the real one: every byte goes through
    /// `disk`. For tests; locks hold within this process only.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] if what is there cannot be used.
    pub fn open_or_create_on(
        disk: Arc<dyn vna_io::Disk>,
        path: &Path,
        options: Options,
    ) -> Result<SqliteIndex, IndexError> {
        Self::open_with(path, Some(Shim::register(disk)), options, Mode::Create)
    }

    fn open_with(
        path: &Path,
        shim: Option<Shim>,
        options: Options,
        mode: Mode,
    ) -> Result<SqliteIndex, IndexError> {
        let vfs = shim.as_ref().map(Shim::name);
        let connection = connection::open(path, vfs, mode, options.writer_cache_bytes)?;
        connection.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let tail = Arc::new(Tail::default());
        let terms = Arc::new(TermTail::default());
        let bulk = mode == Mode::Bulk;
        let run_keys = if bulk {
            keys::RUN_KEYS * 8
        } else {
            keys::RUN_KEYS
        };
        let mut writer = Writer::open(
            connection,
            Arc::clone(&tail),
            Arc::clone(&terms),
            run_keys,
            options.grams_from,
        )?;
        writer.transaction(|transaction| {
            extra::adopt(transaction.connection, transaction.meta.next_id - 1)
        })?;
        let checkpointer = match bulk {
            true => None,
            false => Some(Checkpointer::start(path, vfs, options.wal_bytes)?),
        };
        let readers = Readers::new(
            path.to_owned(),
            vfs.map(str::to_owned),
            options.reader_cache_bytes,
            options.readers,
            tail,
            terms,
            writer.hasher,
        );
        let covered = AtomicU64::new(writer.meta.covered);
        let filling = FilterState {
            made_for: 0,
            filling: None,
        };
        let index = SqliteIndex {
            filling: Mutex::new(filling),
            max_filter_bytes: options.key_filter_bytes,
            checkpointer,
            readers,
            writer: Mutex::new(writer),
            covered,
            _shim: shim,
        };
        if !bulk {
            index.refill(&index.writer.lock());
        }
        Ok(index)
    }

    /// Starts to fill a new filter if the table of keys has outgrown the one that there is. Holding the writer, so
    /// between two transactions: see filter.rs (2).
    ///
    /// Fails without a word: this runs behind a commit, which must not be reported as failed, and without a
    /// filter, or with an outgrown one, all goes on, only slower. The next try is at twice as many resources.
    fn refill(&self, writer: &Writer) {
        let mut state = self.filling.lock();
        let resources = writer.meta.next_id;
        if resources < state.made_for.saturating_mul(2) {
            return;
        }
        state.filling = None; // joins the one before
        let keys = resources.unsigned() * KEYS_PER_RESOURCE;
        state.filling = self.readers.fill_filter(keys, self.max_filter_bytes).ok();
        state.made_for = resources.max(MIN_FILTER_RESOURCES);
    }

    /// Runs `work` on the writer, then sees to the write-ahead log. Nothing behind `work` may fail: it has committed.
    fn write<T>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut writer = self.writer.lock();
        WAL_PAGES.set(0);
        let value = work(&mut writer)?;
        self.covered.store(writer.meta.covered, Ordering::Release);
        if self.checkpointer.is_some() {
            self.refill(&writer);
        }
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.committed(&writer.connection, WAL_PAGES.get() * PAGE_BYTES);
        }
        Ok(value)
    }
}

/// See [`crate::is_indexed`].
pub(crate) fn is_indexed(level: Level, tag: Tag) -> bool {
    source::source(level, tag).is_some()
}

impl Index for SqliteIndex {
    fn apply(&self, entries: &[Entry]) -> Result<Vec<Outcome>, IndexError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|writer| writer.apply(entries))
    }

    fn cover(&self, lsn: Lsn) -> Result<(), IndexError> {
        self.write(|writer| writer.cover(lsn))
    }

    fn covered_lsn(&self) -> Lsn {
        self.covered.load(Ordering::Acquire)
    }

    fn checkpoint(&self) -> Result<Lsn, IndexError> {
        self.write(Writer::sync)
    }

    fn maintain(&self, budget: Duration, now_us: i64) -> Result<Maintenance, IndexError> {
        let end = Instant::now() + budget;
        let mut done = Maintenance::default();
        loop {
            let deadline = end.min(Instant::now() + maintain::SLICE);
            let slice = match self.write(|writer| {
                writer.transaction(|transaction| maintain::slice(transaction, deadline, now_us))
            }) {
                Ok(slice) => slice,
                // The slices before have committed, and their blobs are told only once. What stopped this one
                // stops the first of the next call too, if it is still there.
                Err(_) if !done.freed.is_empty() => {
                    done.more = true;
                    return Ok(done);
                }
                Err(error) => return Err(error),
            };
            done.freed.extend(slice.freed);
            done.more = slice.more;
            if !done.more || Instant::now() >= end {
                return Ok(done);
            }
        }
    }

    fn adopt_extra_tags(&self) -> Result<(), IndexError> {
        self.write(|writer| {
            writer.transaction(|transaction| {
                extra::adopt(transaction.connection, transaction.meta.next_id - 1)
            })
        })
    }

    fn extra_tags(&self) -> Result<Vec<ExtraTag>, IndexError> {
        self.readers.read(extra::progress)
    }

    fn unfilled(&self, count: usize) -> Result<Option<Unfilled>, IndexError> {
        self.readers
            .read(|snapshot| extra::unfilled(snapshot, count))
    }

    fn fill(&self, unfilled: &Unfilled, read: &[(i64, Instance)]) -> Result<(), IndexError> {
        self.write(|writer| {
            writer.transaction(|transaction| extra::fill(transaction, unfilled, read))?;
            extra::committed(&writer.connection)
        })
    }

    fn clear_changes(&self, tenant: i64) -> Result<(), IndexError> {
        self.write(|writer| writer.synced(|transaction| changes::clear(transaction, tenant)))
    }

    fn retag(&self, level: Level, read: &[(i64, Instance)]) -> Result<(), IndexError> {
        self.write(|writer| {
            writer.transaction(|transaction| {
                for (id, instance) in read {
                    transaction.retag(level, *id, instance)?;
                }
                Ok(())
            })
        })
    }

    fn oldest_deletion(&self) -> Result<Option<Lsn>, IndexError> {
        self.readers.read(deleted::oldest)
    }

    fn deleted(&self, tenant: i64, now_us: i64, page: Page) -> Result<Vec<Deleted>, IndexError> {
        self.readers
            .read(|snapshot| deleted::list(snapshot, tenant, now_us, page))
    }

    fn deletions_of(
        &self,
        tenant: i64,
        id: &PublicId,
        now_us: i64,
    ) -> Result<Vec<DeletionOf>, IndexError> {
        self.readers
            .read(|snapshot| deleted::deletions_of(snapshot, tenant, id, now_us))
    }

    fn deleted_instances(
        &self,
        tenant: i64,
        id: &PublicId,
        deletion: Lsn,
        after: DeletedMark,
        limit: u64,
        now_us: i64,
    ) -> Result<Vec<DeletedInstance>, IndexError> {
        self.readers.read(|snapshot| {
            deleted::instances(snapshot, tenant, id, deletion, after, limit, now_us)
        })
    }

    fn expire_versions(&self, now_us: i64, limit: u64) -> Result<Vec<FreedBlob>, IndexError> {
        self.write(|writer| {
            writer.transaction(|transaction| delete::expire(transaction, now_us, limit))
        })
    }

    fn relocate(&self, moves: &[Relocation]) -> Result<u64, IndexError> {
        self.write(|writer| {
            writer.synced(|transaction| {
                transaction.meta.syncs = transaction.meta.syncs.wrapping_add(1);
                let mut changed = 0;
                for moved in moves {
                    changed += u64::from(relocate::relocate(transaction, moved)?);
                }
                Ok(changed)
            })
        })
    }

    fn blobs_in(&self, store: i64, place_a: i64) -> Result<Vec<BlobRow>, IndexError> {
        self.readers
            .read(|snapshot| answers::blobs_in(snapshot, store, place_a))
    }

    fn live_by_unit(&self, store: i64) -> Result<Vec<(i64, u64, u64)>, IndexError> {
        self.readers
            .read(|snapshot| answers::live_by_unit(snapshot, store))
    }

    fn encoded_from(&self, encoding: i64) -> Result<Encoded, IndexError> {
        self.readers
            .read(|snapshot| answers::encoded_from(snapshot, encoding))
    }

    fn owners(&self, is_wanted: &dyn Fn(&BlobRow) -> bool) -> Result<Vec<BlobOwner>, IndexError> {
        self.readers
            .read(|snapshot| owners::owners(snapshot, is_wanted))
    }

    fn verify(&self) -> Result<Vec<String>, IndexError> {
        self.readers.read(verify::problems)
    }

    fn statistics(&self, tenant: i64) -> Result<Statistics, IndexError> {
        self.readers
            .read(|snapshot| answers::statistics(snapshot, tenant))
    }

    fn totals(&self) -> Result<Statistics, IndexError> {
        self.readers.read(answers::totals)
    }

    fn statistics_json(&self, tenant: i64) -> Result<Vec<u8>, IndexError> {
        self.readers
            .read(|snapshot| answers::statistics_json(snapshot, tenant))
    }

    fn resource_statistics_json(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<u8>>, IndexError> {
        self.readers
            .read(|snapshot| answers::resource_statistics(snapshot, tenant, level, id))
    }

    fn resource_json(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        shape: &Shape,
    ) -> Result<Option<Vec<u8>>, IndexError> {
        self.readers
            .read(|snapshot| answers::single(snapshot, tenant, level, id, shape))
    }

    fn list_json(
        &self,
        tenant: i64,
        level: Level,
        page: Page,
        shape: Option<&Shape>,
    ) -> Result<Vec<u8>, IndexError> {
        self.readers
            .read(|snapshot| answers::list(snapshot, tenant, level, page, shape))
    }

    fn related_json(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        related: Level,
        shape: Option<&Shape>,
    ) -> Result<Option<Vec<u8>>, IndexError> {
        self.readers
            .read(|snapshot| answers::related(snapshot, tenant, level, id, related, shape))
    }

    fn metadata(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<(i64, String)>>, IndexError> {
        self.readers
            .read(|snapshot| answers::metadata(snapshot, tenant, level, id))
    }

    fn labels(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<String>>, IndexError> {
        self.readers
            .read(|snapshot| note_rows::labels(snapshot, tenant, level, id))
    }

    fn all_labels(&self, tenant: i64) -> Result<Vec<String>, IndexError> {
        self.readers
            .read(|snapshot| note_rows::all_labels(snapshot, tenant))
    }

    fn note(&self, id: &NoteId) -> Result<Option<Option<RecordedNote>>, IndexError> {
        self.readers.read(|snapshot| note_rows::one(snapshot, id))
    }

    fn attachments(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<RecordedNote>>, IndexError> {
        self.readers
            .read(|snapshot| note_rows::attachments(snapshot, tenant, level, id))
    }

    fn next_awaited(&self) -> Result<Option<i64>, IndexError> {
        self.readers.read(awaited::next)
    }

    fn due_changes(&self, before_us: i64, limit: u64) -> Result<Vec<Due>, IndexError> {
        self.write(|writer| {
            writer.transaction(|transaction| awaited::due(transaction, before_us, limit))
        })
    }

    fn is_stable(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<bool>, IndexError> {
        self.readers
            .read(|snapshot| awaited::is_stable(snapshot, tenant, level, id))
    }

    fn unsettle(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        now_us: i64,
    ) -> Result<Option<()>, IndexError> {
        self.write(|writer| {
            writer.synced(|transaction| {
                transaction.meta.syncs = transaction.meta.syncs.wrapping_add(1);
                awaited::unsettle(transaction, tenant, level, id, now_us)
            })
        })
    }

    fn usage(&self) -> Result<Usage, IndexError> {
        self.readers.read(room::usage)
    }

    fn oldest_patients(&self, limit: u64, now_us: i64) -> Result<Vec<OldPatient>, IndexError> {
        self.readers
            .read(|snapshot| room::oldest(snapshot, limit, now_us))
    }

    fn is_still_old(&self, patient: &OldPatient, now_us: i64) -> Result<bool, IndexError> {
        self.readers
            .read(|snapshot| room::is_still_old(snapshot, patient, now_us))
    }

    fn has_patient(&self, tenant: i64, patient: &PublicId) -> Result<bool, IndexError> {
        if !self.readers.may_know(tenant, patient) {
            return Ok(false);
        }
        self.readers
            .read(|snapshot| Ok(snapshot.resolve(tenant, Level::Patient, patient)?.is_some()))
    }

    fn spare(&self, instances: &[(i64, String, i64)]) -> Result<u64, IndexError> {
        self.write(|writer| writer.transaction(|transaction| room::spare(transaction, instances)))
    }

    fn has_told(&self, is_wanted: &dyn Fn(&BlobRow) -> bool) -> Result<bool, IndexError> {
        self.readers
            .read(|snapshot| changes::has_told(snapshot, is_wanted))
    }

    fn is_protected(&self, tenant: i64, patient: &PublicId) -> Result<Option<bool>, IndexError> {
        let id = NoteId {
            tenant,
            level: Level::Patient,
            public_id: *patient,
            subject: Subject::Protection,
        };
        Ok(self.note(&id)?.map(|note| note.is_some()))
    }

    fn unfounded_notes(&self, limit: usize) -> Result<Vec<RecordedNote>, IndexError> {
        self.readers
            .read(|snapshot| note_rows::unfounded(snapshot, limit))
    }

    fn note_owners(
        &self,
        is_wanted: &dyn Fn(&BlobRow) -> bool,
    ) -> Result<Vec<RecordedNote>, IndexError> {
        self.readers
            .read(|snapshot| note_rows::owners(snapshot, is_wanted))
    }

    fn deleted_notes(&self, tenant: i64, deletion: Lsn) -> Result<Vec<RecordedNote>, IndexError> {
        self.readers
            .read(|snapshot| note_rows::deleted(snapshot, tenant, deletion.signed()))
    }

    fn changes_json(&self, tenant: i64, request: &ChangesRequest) -> Result<Vec<u8>, IndexError> {
        self.readers
            .read(|snapshot| changes::json(snapshot, tenant, request))
    }

    fn lookup_json(&self, tenant: i64, identifier: &str) -> Result<Vec<u8>, IndexError> {
        self.readers
            .read(|snapshot| answers::lookup(snapshot, tenant, identifier))
    }

    fn locate(&self, tenant: i64, instance: &PublicId) -> Result<Option<Located>, IndexError> {
        if !self.readers.may_know(tenant, instance) {
            return Ok(None);
        }
        self.readers
            .read(|snapshot| answers::locate(snapshot, tenant, instance))
    }

    fn locate_below(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        page: Page,
    ) -> Result<Option<Vec<Located>>, IndexError> {
        self.readers
            .read(|snapshot| answers::locate_below(snapshot, tenant, level, id, page))
    }

    fn members(&self, level: Level, id: i64) -> Result<Vec<Member>, IndexError> {
        self.readers
            .read(|snapshot| members::members(snapshot, level, id))
    }

    fn locate_members(&self, instances: &[i64]) -> Result<Vec<(i64, Located)>, IndexError> {
        self.readers
            .read(|snapshot| members::locate_members(snapshot, instances))
    }

    fn pick(&self, tenant: i64, path: &UidPath<'_>) -> Result<Picked, IndexError> {
        self.readers
            .read(|snapshot| picked::pick(snapshot, tenant, path))
    }

    fn was_deleted(
        &self,
        tenant: i64,
        path: &UidPath<'_>,
        now_us: i64,
    ) -> Result<bool, IndexError> {
        self.readers
            .read(|snapshot| picked::was_deleted(snapshot, tenant, path, now_us))
    }

    fn number(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        at: Level,
    ) -> Result<Option<i64>, IndexError> {
        self.readers
            .read(|snapshot| answers::number(snapshot, tenant, level, id, at))
    }

    fn first_instances(
        &self,
        level: Level,
        ids: &[i64],
        study_label: Option<&str>,
    ) -> Result<Vec<(i64, Located)>, IndexError> {
        self.readers
            .read(|snapshot| answers::first_instances(snapshot, level, ids, study_label))
    }

    fn first_instances_below(
        &self,
        above: (Level, i64),
        at: Level,
        after: i64,
        limit: u64,
        study_label: Option<&str>,
    ) -> Result<Vec<(i64, Located)>, IndexError> {
        self.readers.read(|snapshot| {
            answers::first_instances_below(snapshot, above, at, after, limit, study_label)
        })
    }

    fn values(
        &self,
        level: Level,
        ids: &[i64],
        tags: &[Tag],
        study_label: Option<&str>,
    ) -> Result<Values, IndexError> {
        self.readers
            .read(|snapshot| values::values(snapshot, level, ids, tags, study_label))
    }

    fn instances(
        &self,
        level: Level,
        ids: &[i64],
        study_label: Option<&str>,
    ) -> Result<Vec<InstanceUids>, IndexError> {
        self.readers
            .read(|snapshot| values::instances(snapshot, level, ids, study_label))
    }

    fn find(&self, query: &Query) -> Result<Found, IndexError> {
        self.readers
            .read_until(query.until, |snapshot| find::find(snapshot, query))
    }

    fn query(&self, query: &Query) -> Result<Answer, IndexError> {
        self.readers
            .read_until(query.until, |snapshot| find::answer(snapshot, query))
    }

    fn count(&self, query: &Query) -> Result<(u64, HeaderKeys), IndexError> {
        self.readers
            .read_until(query.until, |snapshot| find::count(snapshot, query))
    }

    fn query_json(
        &self,
        query: &Query,
        shape: Option<&Shape>,
    ) -> Result<Option<Vec<u8>>, IndexError> {
        self.readers
            .read_until(query.until, |snapshot| find::json(snapshot, query, shape))
    }

    fn write_json(
        &self,
        level: Level,
        ids: &[i64],
        shape: Option<&Shape>,
        from_headers: &HashMap<i64, Vec<Requested>>,
    ) -> Result<Vec<u8>, IndexError> {
        self.readers.read(|snapshot| match shape {
            Some(shape) => write::array(snapshot, level, ids, shape, from_headers),
            None => write::ids(snapshot, level, ids),
        })
    }
}
