//! Writing: groups of records, one after the other, and the segments they go into.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Mutex, RwLock};
use vna_io::{DiskFile, Open};

use crate::error::StoreError;
use crate::format::{
    ALIGNMENT, Entry, FIRST_RECORD, Footer, Holds, RECORD_HEADER_BYTES, RecordHeader,
    SegmentHeader, VERSION, encode_index,
};
use crate::scan::{MAX_HEADER_BYTES, entry_of};
use crate::segments::{Contents, LiveCount, Segment, count_blobs};
use crate::shared::{Counters, Shared, is_full};
use crate::sites;
use crate::types::{Appended, BlobKey, Body, Digest, Encoding, Lsn, NewRecord, RecordKind};

/// What one slice of zeros holds. Larger amounts repeat it.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The first amount written ahead, in bytes; it doubles up to the bound of the options, so that a
/// log that takes a record a day does not write megabytes for it.
const FIRST_AHEAD_BYTES: u64 = 128 << 10;

/// What disks write at once, in bytes.
const BLOCK_BYTES: u64 = 4096;

/// A group of at least this many bytes ends with a block.
const LARGE_GROUP_BYTES: u64 = 32 * BLOCK_BYTES;

/// The one who appends.
pub struct Writer {
    /// The open segment. `None` after a failure, until another could be begun.
    pub tail: Option<Tail>,
    /// The position of the next record. Those of failed groups are not used again.
    pub next_lsn: Lsn,
    /// The last acknowledged record.
    pub committed: Lsn,
    /// The segment written last and where its acknowledged records end.
    pub previous: (u64, u64),
}

pub struct Tail {
    pub segment: Arc<Segment>,
    pub file: Arc<dyn DiskFile>,
    /// Where the next group goes, in bytes.
    pub end: u64,
    /// Up to here the file was filled with zeros; never before `end`.
    pub prefilled: u64,
    /// How much to fill next time, in bytes.
    pub ahead: u64,
}

impl Tail {
    pub fn new(segment: Arc<Segment>, file: Arc<dyn DiskFile>, end: u64, prefilled: u64) -> Tail {
        Tail {
            segment,
            file,
            end,
            prefilled: prefilled.max(end),
            ahead: FIRST_AHEAD_BYTES,
        }
    }
}

impl Writer {
    /// Appends a group: one write, one sync. See [`Log::append`](crate::Log::append).
    pub fn append(
        &mut self,
        shared: &Shared,
        records: &[NewRecord<'_>],
    ) -> Result<Vec<Appended>, StoreError> {
        let bytes: u64 = records.iter().map(record_bytes).sum();
        let tail = self.tail_with_room(shared, bytes, records.len())?;
        let padding = block_padding(tail.end + bytes, bytes);
        let growth = (tail.end + bytes + padding).saturating_sub(tail.prefilled);
        let needs_room = |record: &NewRecord<'_>| {
            !matches!(record.body, Body::None) && record.kind != RecordKind::NOTE_AGAIN
        };
        if growth > 0 && records.iter().any(needs_room) {
            shared.check_room(growth)?;
        }
        let (end, header) = (tail.end, tail.segment.header.clone());
        let mut group = Group::new(end, padding);
        group.encode(records, &header, self.next_lsn, self.committed, shared);
        // From here on the positions are used up, whatever happens.
        self.next_lsn += records.len() as u64;
        for record in records {
            if let Body::File(blob) = record.body {
                blob.set_referred();
            }
        }
        self.write(shared, &group)?;
        self.acknowledge(shared, &group);
        Ok(group.answers)
    }

    /// The open segment; a new one if there is none or it has no room for the group.
    fn tail_with_room(
        &mut self,
        shared: &Shared,
        bytes: u64,
        records: usize,
    ) -> Result<&mut Tail, StoreError> {
        let is_too_full = |tail: &Tail| {
            let listed = match &*tail.segment.contents.read() {
                Contents::Listed { entries, .. } => entries.len(),
                Contents::Sealed(_) => 0,
            };
            tail.end > FIRST_RECORD
                && (tail.end + bytes > shared.options.segment_bytes
                    || listed + records > shared.options.segment_records)
        };
        if self.tail.as_ref().is_some_and(is_too_full) {
            self.seal_tail(shared);
        }
        if self.tail.is_none() {
            self.begin(shared).map_err(|error| match is_full(&error) {
                true => shared.full(bytes),
                false => StoreError::GroupFailed(error),
            })?;
        }
        match &mut self.tail {
            Some(tail) => Ok(tail),
            None => Err(StoreError::GroupFailed(io::Error::other(
                "no segment is open",
            ))),
        }
    }

    fn write(&mut self, shared: &Shared, group: &Group<'_>) -> Result<(), StoreError> {
        let Some(tail) = &mut self.tail else {
            return Err(StoreError::GroupFailed(io::Error::other(
                "no segment is open",
            )));
        };
        let written = tail.file.write_all_at(&group.slices(), tail.end);
        if let Err(error) = written {
            Counters::add(&shared.counters.refused_groups, 1);
            // Parts of the group are there; cut off durably, or a power cut could bring them back (4).
            let cut_off = || {
                tail.file.set_len(tail.end)?;
                tail.file.sync_data(sites::CUT_OFF)
            };
            if is_full(&error) && cut_off().is_ok() {
                tail.prefilled = tail.end;
                return Err(shared.full(group.bytes));
            }
            self.abandon_tail(shared);
            return Err(StoreError::GroupFailed(error));
        }
        prefill(shared, tail, group.bytes);
        // A failed sync leaves the group's bytes in a state that nobody knows: (4).
        if let Err(error) = tail.file.sync_data(sites::GROUP) {
            Counters::add(&shared.counters.failed_groups, 1);
            self.abandon_tail(shared);
            return Err(match is_full(&error) {
                true => shared.full(group.bytes),
                false => StoreError::GroupFailed(error),
            });
        }
        Ok(())
    }

    fn acknowledge(&mut self, shared: &Shared, group: &Group<'_>) {
        let Some(tail) = &mut self.tail else { return };
        tail.end += group.bytes;
        tail.prefilled = tail.prefilled.max(tail.end);
        self.previous = (tail.segment.id(), tail.end);
        if let Contents::Listed { entries, end } = &mut *tail.segment.contents.write() {
            entries.extend_from_slice(&group.entries);
            *end = tail.end;
        }
        if let Some(live) = &mut *tail.segment.live.lock() {
            for entry in &group.entries {
                live.records += u64::from(entry.holds != Holds::Nothing);
                live.bytes += entry.body_bytes_inline();
            }
        }
        self.committed = group
            .entries
            .last()
            .map_or(self.committed, |entry| entry.lsn);
        Counters::add(&shared.counters.groups, 1);
        Counters::add(&shared.counters.records, group.entries.len() as u64);
        Counters::add(&shared.counters.bytes, group.bytes);
    }

    /// Ends the open segment where its acknowledged records end, and begins another, whose header
    /// says so. If that fails too, the next group tries again.
    fn abandon_tail(&mut self, shared: &Shared) {
        // No index is written: a file whose sync failed is not written to again.
        self.tail = None;
        Counters::add(&shared.counters.unsealed, 1);
        drop(self.begin(shared));
    }

    /// Makes a pack of the open segment. If that fails, its entries stay in memory, and the next
    /// opening seals it: its records are durable without.
    pub fn seal_tail(&mut self, shared: &Shared) {
        let Some(tail) = self.tail.take() else { return };
        if seal(&tail.segment, &*tail.file, shared.horizon()).is_err() {
            Counters::add(&shared.counters.unsealed, 1);
        }
    }

    /// Begins a segment.
    pub fn begin(&mut self, shared: &Shared) -> io::Result<()> {
        let id = shared.take_segment_id();
        let header = SegmentHeader {
            version: VERSION,
            id,
            log: shared.log_id,
            salt: shared.keys.make(),
            first_lsn: self.next_lsn,
            previous_segment: self.previous.0,
            previous_end: self.previous.1,
            previous_sealed: shared
                .segments
                .get(self.previous.0)
                .is_some_and(|previous| previous.footer().is_some()),
            committed: self.committed,
            replaces: 0,
            horizon: shared.horizon(),
        };
        let path = shared.paths.segment(id);
        let file = shared.disk.open(&path, Open::CreateNew)?;
        let prepare = || {
            file.write_all_at(&[IoSlice::new(&header.encode())], 0)?;
            file.sync_data(sites::SEGMENT_HEADER)?;
            shared
                .disk
                .sync_dir(&shared.paths.segments(), sites::SEGMENT_NAME)
        };
        if let Err(error) = prepare() {
            // If it stays, it is an empty segment, which does no harm.
            drop(shared.disk.remove(&path));
            return Err(error);
        }
        let contents = Contents::Listed {
            entries: Vec::new(),
            end: FIRST_RECORD,
        };
        let segment = Arc::new(Segment {
            header,
            path,
            contents: RwLock::new(contents),
            live: Mutex::new(Some(LiveCount::default())),
        });
        shared.segments.insert(Arc::clone(&segment));
        self.previous = (id, FIRST_RECORD);
        self.tail = Some(Tail::new(segment, file, FIRST_RECORD, FIRST_RECORD));
        Ok(())
    }
}

/// Writes index and footer behind the records of a segment.
pub fn seal(segment: &Segment, file: &dyn DiskFile, horizon: Lsn) -> io::Result<()> {
    let (index, footer) = match &*segment.contents.read() {
        Contents::Sealed(_) => return Ok(()),
        Contents::Listed { entries, end } => {
            let (index, index_digest) = encode_index(entries);
            let footer = Footer {
                index_at: *end,
                records: entries.len() as u64,
                last_lsn: entries
                    .last()
                    .map_or(segment.header.committed, |entry| entry.lsn),
                blobs: count_blobs(entries),
                horizon,
                index_digest,
            };
            (index, footer)
        }
    };
    let last = footer.encode(&segment.header.salt);
    // The footer is found from the end of the file, so zeros written ahead go.
    file.set_len(footer.index_at)?;
    file.write_all_at(
        &[IoSlice::new(&index), IoSlice::new(&last)],
        footer.index_at,
    )?;
    file.sync_data(sites::SEAL)?;
    *segment.contents.write() = Contents::Sealed(footer);
    Ok(())
}

/// Fills the space behind a small group with zeros, as part of the same sync, so that the syncs of
/// the groups to come need not extend the file. Failure costs speed alone.
fn prefill(shared: &Shared, tail: &mut Tail, group_bytes: u64) {
    let options = &shared.options;
    let from = tail.end + group_bytes;
    if from <= tail.prefilled || group_bytes > options.prefill_group_bytes {
        return;
    }
    let ahead = tail.ahead.min(options.prefill_ahead_bytes);
    let to = (from + ahead).min(options.segment_bytes);
    if to <= from || shared.check_room(to - from).is_err() {
        return;
    }
    // Piece by piece: a large write would go past the page cache, and each small group behind it would
    // then wait for its first block to be read back.
    let mut at = from;
    while at < to {
        let piece = usize::try_from(to - at)
            .unwrap_or(usize::MAX)
            .min(ZEROS.len());
        if tail
            .file
            .write_all_at(&[IoSlice::new(&ZEROS[..piece])], at)
            .is_err()
        {
            return;
        }
        at += piece as u64;
    }
    tail.prefilled = to;
    tail.ahead = ahead * 2;
}

/// Refuses a record whose header, or whose blob that goes into the log, is too large for it.
pub fn check_sizes(
    shared: &Shared,
    body_bytes: u64,
    header_bytes: usize,
) -> Result<(), StoreError> {
    let refuse_above = |what, bytes, limit| match bytes > limit {
        true => Err(StoreError::TooLarge { what, bytes, limit }),
        false => Ok(()),
    };
    let header = header_bytes as u64;
    refuse_above("record header", header, MAX_HEADER_BYTES as u64)?;
    refuse_above("blob", body_bytes, shared.options.max_inline_bytes())
}

/// Refuses records that the log does not take.
pub fn check(shared: &Shared, records: &[NewRecord<'_>]) -> Result<(), StoreError> {
    for record in records {
        if record.kind.0 >= RecordKind::FIRST_RESERVED.0 {
            return Err(StoreError::ReservedKind(record.kind.0));
        }
        check_sizes(shared, inline_bytes(&record.body), record.header.len())?;
    }
    Ok(())
}

/// Length of the blob, in bytes.
fn body_bytes(body: &Body<'_>) -> u64 {
    match body {
        Body::None => 0,
        Body::Bytes { parts, .. } => parts.iter().map(|part| part.len() as u64).sum(),
        Body::File(blob) => blob.size(),
    }
}

/// Length of the blob if it goes into the log, in bytes.
fn inline_bytes(body: &Body<'_>) -> u64 {
    match body {
        Body::Bytes { .. } => body_bytes(body),
        Body::None | Body::File(_) => 0,
    }
}

/// Length of the record, in bytes.
fn record_bytes(record: &NewRecord<'_>) -> u64 {
    let bytes = (RECORD_HEADER_BYTES + record.header.len()) as u64 + inline_bytes(&record.body);
    bytes.next_multiple_of(ALIGNMENT)
}

/// Zeros to put behind a group of `bytes` that would end at `end`. A large group ends with a block of
/// the disk, so that the next one begins with one: the disk writes it without reading or writing
/// again what is before. At most a block for 32, so little space is lost.
fn block_padding(end: u64, bytes: u64) -> u64 {
    if bytes < LARGE_GROUP_BYTES {
        return 0;
    }
    end.next_multiple_of(BLOCK_BYTES) - end
}

/// A group as it will be written.
struct Group<'a> {
    /// Where it goes, in bytes.
    start: u64,
    /// Zeros behind its last record.
    block_padding: u64,
    /// The headers of all records.
    headers: Vec<u8>,
    pieces: Vec<Piece<'a>>,
    entries: Vec<Entry>,
    answers: Vec<Appended>,
    bytes: u64,
}

/// One record of it.
struct Piece<'a> {
    /// Where in `headers` its header is.
    header: Range<usize>,
    body: &'a [&'a [u8]],
    padding: usize,
}

impl<'a> Group<'a> {
    fn new(start: u64, block_padding: u64) -> Group<'a> {
        Group {
            start,
            block_padding,
            headers: Vec::new(),
            pieces: Vec::new(),
            entries: Vec::new(),
            answers: Vec::new(),
            bytes: 0,
        }
    }

    fn encode(
        &mut self,
        records: &[NewRecord<'a>],
        segment: &SegmentHeader,
        first_lsn: Lsn,
        committed: Lsn,
        shared: &Shared,
    ) {
        for (index, (record, lsn)) in (0_u32..).zip(records.iter().zip(first_lsn..)) {
            let (holds, key, digest) = match record.body {
                Body::None => (Holds::Nothing, BlobKey([0; 16]), Digest::default()),
                Body::Bytes { digest, .. } => (Holds::Blob, BlobKey(shared.keys.make()), digest),
                Body::File(blob) => (Holds::File, blob.key(), blob.digest()),
            };
            let header = RecordHeader {
                kind: record.kind,
                holds,
                lsn,
                committed,
                group_index: index,
                key,
                digest,
                body_bytes: body_bytes(&record.body),
                // `check` has bounded it.
                header_bytes: u32::try_from(record.header.len()).unwrap_or(u32::MAX),
                encoded: None,
                tried: Encoding::PLAIN,
                padding: match lsn == first_lsn + (records.len() as u64 - 1) {
                    true => u32::try_from(self.block_padding).unwrap_or(0), // less than a block
                    false => 0,
                },
            };
            let offset = self.start + self.bytes;
            let start = self.headers.len();
            header.encode(record.header, &segment.salt, offset, &mut self.headers);
            let body: &[&[u8]] = if let Body::Bytes { parts, .. } = record.body {
                parts
            } else {
                &[]
            };
            let written = (self.headers.len() - start) as u64
                + if holds == Holds::Blob {
                    header.body_bytes
                } else {
                    0
                };
            self.pieces.push(Piece {
                header: start..self.headers.len(),
                body,
                padding: usize::try_from(header.record_bytes() - written).unwrap_or(0),
            });
            self.entries.push(entry_of(&header, offset));
            self.answers.push(Appended {
                lsn,
                blob: header.blob(segment.id, offset),
            });
            self.bytes += header.record_bytes();
        }
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(self.pieces.len() * 4);
        for piece in &self.pieces {
            slices.push(IoSlice::new(&self.headers[piece.header.clone()]));
            slices.extend(piece.body.iter().map(|part| IoSlice::new(part)));
            slices.push(IoSlice::new(&ZEROS[..piece.padding]));
        }
        slices
    }
}

/// Appends the store's own record that states the horizon.
pub fn append_horizon(
    writer: &mut Writer,
    shared: &Shared,
    horizon: Lsn,
) -> Result<Lsn, StoreError> {
    let header = crate::horizon::header(horizon);
    let record = NewRecord {
        kind: crate::horizon::KIND,
        header: &header,
        body: Body::None,
    };
    let appended = writer.append(shared, &[record])?;
    shared.horizon.fetch_max(horizon, Ordering::AcqRel);
    Ok(appended.first().map_or(0, |appended| appended.lsn))
}
