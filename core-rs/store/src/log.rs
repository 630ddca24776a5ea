//! The log as its users see it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use vna_io::{Disk, DiskFile};

use crate::append::{self, Writer};
use crate::blobs::{self, LargeBlobWriter, Sweep};
use crate::compact::{self, Compaction, Moved, Plan};
use crate::error::{Damage, StoreError};
use crate::open::{self, Recovery};
use crate::options::LogOptions;
use crate::read::{self, BlobReader};
use crate::reclaim::{self, LiveCounts};
use crate::recode::{self, Recoder, Untried};
use crate::replay::{self, Replayed};
use crate::salvage::{self, Aside};
use crate::segments::LiveCount;
use crate::shared::Shared;
use crate::stats::{self, LogStats, SegmentInfo};
use crate::types::{Appended, BlobKey, BlobRef, Encoding, Lsn, NewRecord, Place, RecordKind};
use crate::verify::{self, Finding, Verified};

/// The log of a store. It can be used from many threads; one appends at a time.
pub struct Log {
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
    /// One at a time drops or compacts packs.
    maintenance: Mutex<()>,
    /// Keeps others out for as long as the log is open.
    _lock: Arc<dyn DiskFile>,
}

impl Log {
    /// Opens the store below `root`, or makes one there.
    ///
    /// Segments without an index at their end (the open one, as a rule) are read through; records
    /// behind [`LogOptions::known_good_lsn`] are compared with their digests.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] if it is open already, [`StoreError::Version`] or
    /// [`StoreError::Foreign`] for a segment that is not ours, or the system's refusal. Damaged
    /// records are no error: [`Recovery::damages`] lists them.
    pub fn open(
        disk: Arc<dyn Disk>,
        root: &Path,
        options: LogOptions,
    ) -> Result<(Log, Recovery), StoreError> {
        let opened = open::open(disk, root, options)?;
        let log = Log {
            shared: opened.shared,
            writer: Mutex::new(opened.writer),
            maintenance: Mutex::new(()),
            _lock: opened.lock,
        };
        Ok((log, opened.recovery))
    }

    /// The settings it was opened with.
    pub fn options(&self) -> &LogOptions {
        &self.shared.options
    }

    /// Appends a group of records: one write, one sync. When this returns, all of them are durable.
    ///
    /// # Errors
    ///
    /// Nothing of the group is stored then, and its positions are not used again.
    ///
    /// - [`StoreError::Full`]: no room. A group without blobs may use the reserve, so deletions go
    ///   on, and one of [`RecordKind::NOTE_AGAIN`]; put them into groups of their own.
    /// - [`StoreError::GroupFailed`]: a write or sync failed. The segment ends before the group, and
    ///   the next says so, so that the group does not come back; only if the disk refuses that as
    ///   well, and the process then ends, may the next opening find the group.
    /// - [`StoreError::TooLarge`], [`StoreError::ReservedKind`]: nothing was written. One such
    ///   record fails its whole group, so [`check`](Log::check) it before it joins one.
    pub fn append(&self, records: &[NewRecord<'_>]) -> Result<Vec<Appended>, StoreError> {
        append::check(&self.shared, records)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.writer.lock().append(&self.shared, records)
    }

    /// Refuses a record that no group can take: `header_bytes` of [`NewRecord::header`] and, if its
    /// blob goes into the log, `body_bytes` of it (0 for a blob that has its own file, or none).
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`].
    pub fn check(&self, body_bytes: u64, header_bytes: usize) -> Result<(), StoreError> {
        append::check_sizes(&self.shared, body_bytes, header_bytes)
    }

    /// Seals the open segment, if it has records, and begins another: everything stored so far is
    /// in packs then.
    ///
    /// # Errors
    ///
    /// The system's refusal to begin another; the next append tries again.
    pub fn rotate(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let has_records = writer
            .tail
            .as_ref()
            .is_none_or(|tail| tail.end > crate::format::FIRST_RECORD);
        if has_records {
            writer.seal_tail(&self.shared);
            writer.begin(&self.shared)?;
        }
        Ok(())
    }

    /// Begins a blob with a file of its own.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn new_large_blob(&self) -> Result<LargeBlobWriter, StoreError> {
        LargeBlobWriter::new(&self.shared)
    }

    /// Opens a blob for reading, after checking that the record there is its own.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] if it was reclaimed or moved: look the reference up again.
    /// [`StoreError::OtherBlob`], [`StoreError::Damaged`], or the system's refusal.
    pub fn open_blob(&self, blob: &BlobRef) -> Result<BlobReader, StoreError> {
        BlobReader::open(&self.shared, blob)
    }

    /// Says that the first bytes of a blob are read soon: see [`DiskFile::will_read`](vna_io::DiskFile::will_read).
    pub fn will_read(&self, blob: &BlobRef, bytes: u64) {
        read::will_read(&self.shared, blob, bytes);
    }

    /// Compares the record of a blob with the reference, also that of one with a file of its own, which can be read
    /// without: an index that is built anew finds the blob by its record alone.
    ///
    /// # Errors
    ///
    /// Those of [`open_blob`](Log::open_blob).
    pub fn check_record(&self, blob: &BlobRef) -> Result<(), StoreError> {
        read::record_of(&self.shared, blob).map(|_| ())
    }

    /// Reads at `offset` of a blob; fewer bytes than asked only at its end.
    ///
    /// # Errors
    ///
    /// Those of [`open_blob`](Log::open_blob) and [`BlobReader::read_at`].
    pub fn read(
        &self,
        blob: &BlobRef,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, StoreError> {
        self.open_blob(blob)?.read_at(buffer, offset)
    }

    /// The blob `key` whose record is at `place`, as the record says.
    ///
    /// # Errors
    ///
    /// Those of [`open_blob`](Log::open_blob).
    pub fn blob_at(&self, key: BlobKey, place: Place) -> Result<BlobRef, StoreError> {
        read::blob_at(&self.shared, key, place)
    }

    /// The same reader, which knows the digest of what is kept, if need be from the record.
    ///
    /// # Errors
    ///
    /// Those of [`open_blob`](Log::open_blob).
    pub fn with_stored_digest(&self, reader: BlobReader) -> Result<BlobReader, StoreError> {
        if reader.stored_digest().is_some() {
            return Ok(reader);
        }
        let (_, header) = read::record_of(&self.shared, reader.blob())?;
        Ok(reader.with_digest(header.stored_digest()))
    }

    /// Gives `each` every record from the position `from` on, in order: those stored before the
    /// call, and perhaps some that are appended meanwhile.
    ///
    /// A record whose blob was deleted may still come; its own file may be gone then. The deed that
    /// killed it follows. `each` must not drop or compact packs.
    ///
    /// # Errors
    ///
    /// What `each` returns, or the system's refusal. Damage is not an error but given to `each`.
    pub fn replay<E: From<StoreError>>(
        &self,
        from: Lsn,
        each: impl FnMut(Replayed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        replay::replay(&self.shared, &self.maintenance, from, each)
    }

    /// The position of the last record that is stored.
    pub fn last_lsn(&self) -> Lsn {
        self.writer.lock().committed
    }

    /// Deeds (deletions) up to this position may be missing from the log, since nothing is left
    /// that they could kill. An index that covers less must be built anew from the first record.
    pub fn horizon(&self) -> Lsn {
        self.shared.horizon()
    }

    /// States what is live: by segment of the record, how many blobs and bytes the index refers to.
    /// Segments that are not named have none. To be called when the index has caught up, before the
    /// first append; until then nothing is dropped.
    pub fn set_live(&self, counts: &LiveCounts) {
        reclaim::set_live(&self.shared, counts);
    }

    /// States that these blobs are not wanted any more. Their bytes go when their pack is dropped
    /// or compacted; those in files of their own when [`remove_files`](Log::remove_files) is called.
    pub fn mark_dead(&self, blobs: &[BlobRef]) {
        reclaim::mark_dead(&self.shared, blobs);
    }

    /// Removes the files of large blobs. When this returns, the removal is durable.
    ///
    /// # Errors
    ///
    /// The system's refusal. Files that are gone are no error.
    pub fn remove_files(&self, keys: &[BlobKey]) -> Result<usize, StoreError> {
        blobs::remove_files(&self.shared, keys)
    }

    /// Drops the packs without a live blob, and returns their ids. When this returns, their bytes
    /// are gone for good.
    ///
    /// Deeds (deletions) go with their pack if they are not behind `settled`, the position up to
    /// which the index durably covers the log and has marked dead all that the deeds kill, and if
    /// no older pack holds anything dead.
    ///
    /// `covered` is the position up to which the index has taken the log. Records behind it have no
    /// rows yet and would look dead: a pack that has any is left alone, and no deed behind it goes.
    ///
    /// The counts of [`set_live`](Log::set_live) and [`mark_dead`](Log::mark_dead) only say which
    /// packs to look at. Before one goes, `is_live` is asked whether the index refers to anything
    /// whose record is in this segment, files of their own included; if so, the pack stays. That the
    /// index refers to nothing must be durable there.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Log::append), what `is_live` returns, or the system's refusal. Packs
    /// before the one that failed may be gone.
    pub fn drop_dead<E: From<StoreError>>(
        &self,
        settled: Lsn,
        covered: Lsn,
        is_live: &dyn Fn(u64) -> Result<bool, E>,
    ) -> Result<Vec<u64>, E> {
        let _one = self.maintenance.lock();
        reclaim::drop_dead(&self.shared, &self.writer, settled, covered, is_live)
    }

    /// Rewrites a pack without what is dead, or finishes a compaction that was interrupted.
    ///
    /// The steps: the live records are copied into a new pack; it is synced, named, its name
    /// synced; `relocate` is told, in batches, where the blobs are now, and must return only when
    /// the index has committed that with a sync; then the old pack is removed. Cut off between, both
    /// packs are there at the next opening ([`Recovery::unfinished_compactions`]) and either may be
    /// referred to; calling this again finishes it. `settled` as for [`drop_dead`](Log::drop_dead).
    ///
    /// `covered` is the position up to which the index has taken the log, read before what
    /// `is_live` answers from: records behind it have no rows yet and would look dead.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotAPack`]; [`StoreError::NotCovered`] for a pack with records behind
    /// `covered`, of which nothing is done then; [`StoreError::Damaged`] for a live record that cannot be copied
    /// (the pack then stays); [`StoreError::Full`]; what `relocate` returns; the system's refusal.
    pub fn compact<E: From<StoreError>>(
        &self,
        segment: u64,
        settled: Lsn,
        covered: Lsn,
        is_live: &dyn Fn(&BlobKey) -> bool,
        relocate: &mut dyn FnMut(&[Moved]) -> Result<(), E>,
    ) -> Result<Compaction, E> {
        let plan = Plan {
            settled,
            covered,
            is_live,
            recoder: None,
            is_to_mend: false,
        };
        let _one = self.maintenance.lock();
        compact::compact(&self.shared, &self.writer, segment, &plan, relocate)
    }

    /// Rewrites a pack as [`compact`](Log::compact) does, and gives its blobs another form where `recoder` does so.
    ///
    /// # Errors
    ///
    /// Those of [`compact`](Log::compact), and what `recoder` returns.
    pub fn recode<E: From<StoreError>>(
        &self,
        segment: u64,
        settled: Lsn,
        covered: Lsn,
        is_live: &dyn Fn(&BlobKey) -> bool,
        recoder: &dyn Recoder,
        relocate: &mut dyn FnMut(&[Moved]) -> Result<(), E>,
    ) -> Result<Compaction, E> {
        let plan = Plan {
            settled,
            covered,
            is_live,
            recoder: Some(recoder),
            is_to_mend: false,
        };
        let _one = self.maintenance.lock();
        compact::compact(&self.shared, &self.writer, segment, &plan, relocate)
    }

    /// What of a pack was not tried in a form yet.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn untried(
        &self,
        segment: u64,
        kind: RecordKind,
        encoding: Encoding,
    ) -> Result<Untried, StoreError> {
        recode::untried(&self.shared, segment, kind, encoding)
    }

    /// Lets `recoder` write some blobs of a pack, spread evenly over it, in its form, and keeps none of it: an estimate. At
    /// most `most` of them, each kept in at most `longest` bytes.
    ///
    /// # Errors
    ///
    /// The system's refusal, and what `recoder` returns.
    pub fn recode_sample(
        &self,
        segment: u64,
        recoder: &dyn Recoder,
        most: usize,
        longest: u64,
    ) -> Result<(), StoreError> {
        let _one = self.maintenance.lock();
        recode::sample(&self.shared, segment, recoder, most, longest)
    }

    /// Rewrites a pack without the records that cannot be read, and with an index that can; nothing else is left out.
    /// What is damaged must have been set aside before, and no row may refer to it any more.
    ///
    /// The steps, `covered` and `relocate` are those of [`compact`](Log::compact).
    ///
    /// # Errors
    ///
    /// Those of [`compact`](Log::compact), but for damage.
    pub fn mend<E: From<StoreError>>(
        &self,
        segment: u64,
        covered: Lsn,
        relocate: &mut dyn FnMut(&[Moved]) -> Result<(), E>,
    ) -> Result<Compaction, E> {
        let plan = Plan {
            settled: 0,
            covered,
            is_live: &|_| true,
            recoder: None,
            is_to_mend: true,
        };
        let _one = self.maintenance.lock();
        compact::compact(&self.shared, &self.writer, segment, &plan, relocate)
    }

    /// Copies the bytes of a damaged piece to `quarantine/`. When this returns, the copy is durable. `None` if nothing is
    /// left of the piece, or if it is a pack's index, which can be made of the records again.
    ///
    /// # Errors
    ///
    /// The system's refusal; the piece is where it was.
    pub fn set_aside(&self, damage: &Damage) -> Result<Option<Aside>, StoreError> {
        salvage::set_aside(&self.shared, damage)
    }

    /// Copies the record of a blob, or the file that it has of its own, as [`set_aside`](Log::set_aside) does.
    ///
    /// # Errors
    ///
    /// Those of [`set_aside`](Log::set_aside).
    pub fn set_aside_blob(&self, blob: &BlobRef) -> Result<Option<Aside>, StoreError> {
        salvage::set_aside_blob(&self.shared, blob)
    }

    /// The bytes of a blob in the log whose record's header cannot be read, as long as they match the digest that the
    /// reference states: the header is damaged, the blob is not. `None` if it is, or if nothing says where it starts.
    /// `guess` is asked last: where, in the first bytes of the record, a blob of the caller's kind may begin.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn salvage(
        &self,
        blob: &BlobRef,
        guess: &dyn Fn(&[u8]) -> Vec<usize>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        salvage::salvage(&self.shared, blob, guess)
    }

    /// Looks for files of large blobs that nobody wants, once after opening, when the index has
    /// caught up, and for those in a form in which they are not wanted. Blobs begun since the log was opened are left
    /// alone.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn sweep(&self, is_live: &dyn Fn(&BlobKey, Encoding) -> bool) -> Result<Sweep, StoreError> {
        let _one = self.maintenance.lock();
        reclaim::sweep(&self.shared, is_live)
    }

    /// Reads everything and compares it with its checksums. `is_live` tells whether a blob is
    /// wanted: the files of those that are not may be missing.
    ///
    /// # Errors
    ///
    /// What `each` returns, or the system's refusal. Damage is not an error but given to `each`.
    pub fn verify<E: From<StoreError>>(
        &self,
        is_live: &dyn Fn(&BlobKey) -> bool,
        each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<Verified, E> {
        verify::verify(&self.shared, &self.maintenance, is_live, each)
    }

    /// All segments, in the order of their records; a pack whose compaction is not finished before
    /// the one that takes its place.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        stats::segments(&self.shared)
    }

    /// What of a segment is live; `None` if that is not known or there is no such segment.
    pub fn live(&self, segment: u64) -> Option<LiveCount> {
        *self.shared.segments.get(segment)?.live.lock()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> LogStats {
        let (next_lsn, tail_end) = {
            let writer = self.writer.lock();
            (
                writer.next_lsn,
                writer.tail.as_ref().map_or(0, |tail| tail.end),
            )
        };
        stats::stats(&self.shared, next_lsn, tail_end)
    }

    /// Bytes that can still be stored, without the reserve.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn room_bytes(&self) -> Result<u64, StoreError> {
        let free = self.shared.disk.free_bytes(self.shared.paths.root())?;
        Ok(free.saturating_sub(self.shared.options.reserve_bytes))
    }

    /// Refuses what would leave less than the reserve free.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], or the system's refusal.
    pub fn check_room(&self, needed: u64) -> Result<(), StoreError> {
        self.shared.check_room(needed)
    }

    /// Groups synced since the log was opened.
    pub fn groups(&self) -> u64 {
        self.shared.counters.groups.load(Ordering::Relaxed)
    }
}
