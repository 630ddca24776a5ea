//! Compaction: a pack is written again without what is dead, or with its blobs in another form.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use vna_io::{DiskFile, Open};

use crate::append::Writer;
use crate::blobs::remove_forms;
use crate::error::{DamageKind, StoreError};
use crate::format::{
    Encoded, Entry, Footer, Holds, RecordHeader, SegmentHeader, VERSION_ENCODED, encode_index,
};
use crate::reclaim::{self, Sorting};
use crate::recode::{self, Recoded, Recoder};
use crate::replay::{damage_of, load_entries};
use crate::scan::{Reader, entry_of};
use crate::segments::{Contents, LiveCount, Segment, count_blobs};
use crate::shared::{Counters, Shared, is_full};
use crate::sites;
use crate::types::{BlobKey, Digester, Encoding, Lsn, Place};

/// What is copied at once, in bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// Blobs that `relocate` is told of at once.
const BATCH: usize = 1000;

/// A blob whose record has another place now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The blob.
    pub key: BlobKey,
    /// Where it was.
    pub from: Place,
    /// Where it is.
    pub to: Place,
    /// The form in which it is kept there.
    pub encoding: Encoding,
    /// Length in bytes of what is kept there.
    pub stored_size: u64,
}

/// What a compaction has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// The pack that replaces the old one; `None` if nothing was left of it.
    pub pack: Option<u64>,
    /// Records in the new pack.
    pub records: u64,
    /// Length of the old pack's records in bytes.
    pub bytes_before: u64,
    /// Length of the new pack's records in bytes.
    pub bytes_after: u64,
}

/// What is to be kept of a pack.
pub struct Plan<'a> {
    /// Deeds behind this stay.
    pub settled: Lsn,
    /// What the index has taken.
    pub covered: Lsn,
    /// Whether a blob is wanted.
    pub is_live: &'a dyn Fn(&BlobKey) -> bool,
    /// What gives blobs another form, if they are to have one.
    pub recoder: Option<&'a dyn Recoder>,
    /// Whether records that cannot be read are left out, rather than being a reason to leave the pack alone.
    pub is_to_mend: bool,
}

pub fn compact<E: From<StoreError>>(
    shared: &Arc<Shared>,
    writer: &Mutex<Writer>,
    id: u64,
    plan: &Plan<'_>,
    relocate: &mut dyn FnMut(&[Moved]) -> Result<(), E>,
) -> Result<Compaction, E> {
    let not_a_pack = StoreError::NotAPack { segment: id };
    let Some(old) = shared.segments.get(id) else {
        return Err(not_a_pack.into());
    };
    let is_ahead = |footer: &Footer| footer.last_lsn > plan.covered;
    if let Some(footer) = old.footer().filter(is_ahead) {
        return Err(StoreError::NotCovered {
            segment: id,
            last_lsn: footer.last_lsn,
            covered: plan.covered,
        }
        .into());
    }
    let new = match shared.segments.replacement_of(id) {
        Some(new) => new,
        None => match build(shared, writer, &old, plan)? {
            Some(new) => new,
            None => {
                return Ok(Compaction {
                    bytes_before: old.end(),
                    ..Compaction::default()
                });
            }
        },
    };
    let (entries, damages) = load_entries(shared, &new)?;
    if let Some(damage) = damages.first() {
        return Err(StoreError::Damaged(*damage).into()); // the old one may still be whole
    }
    let moves = moves(shared, &old, &new, &entries)?;
    for batch in moves.moved.chunks(BATCH) {
        relocate(batch)?;
    }
    remove_forms(shared, &moves.replaced)?;
    if let Some(live) = &mut *new.live.lock() {
        // Counted while rows still referred to the other form, if an opening finishes what another began.
        live.bytes = live.bytes.min(live_count(&entries).bytes);
    }
    shared.moved.lock().insert(id, new.id());
    reclaim::remove_segment(shared, &old)?;
    Ok(Compaction {
        pack: Some(new.id()),
        records: entries.len() as u64,
        bytes_before: old.end(),
        bytes_after: new.end(),
    })
}

/// What a compaction moves.
struct Moves {
    moved: Vec<Moved>,
    /// Large blobs in the forms that they had and have no more.
    replaced: Vec<(BlobKey, Encoding)>,
}

/// Where the blobs of `new` were in `old`.
fn moves(
    shared: &Shared,
    old: &Segment,
    new: &Segment,
    entries: &[Entry],
) -> Result<Moves, StoreError> {
    let (before, _) = load_entries(shared, old)?;
    let before: HashMap<Lsn, &Entry> = before.iter().map(|e| (e.lsn, e)).collect();
    let place = |segment: &Segment, holds, offset| {
        let segment = segment.id();
        match holds {
            Holds::File => Place::File { segment, offset },
            Holds::Blob | Holds::Nothing => Place::Segment { segment, offset },
        }
    };
    let moved = |entry: &Entry| {
        let from = place(old, entry.holds, before.get(&entry.lsn)?.offset);
        Some(Moved {
            key: entry.key,
            from,
            to: place(new, entry.holds, entry.offset),
            encoding: entry.encoding,
            stored_size: entry.body_bytes,
        })
    };
    let replaced = |entry: &Entry| {
        let before = before.get(&entry.lsn)?.encoding;
        (entry.holds == Holds::File && before != entry.encoding).then_some((entry.key, before))
    };
    let blobs = || entries.iter().filter(|e| e.holds != Holds::Nothing);
    Ok(Moves {
        moved: blobs().filter_map(moved).collect(),
        replaced: blobs().filter_map(replaced).collect(),
    })
}

/// Writes the new pack and takes it into the log; removes the old one at once if nothing is left.
fn build(
    shared: &Arc<Shared>,
    writer: &Mutex<Writer>,
    old: &Arc<Segment>,
    plan: &Plan<'_>,
) -> Result<Option<Arc<Segment>>, StoreError> {
    if old.footer().is_none() || writer.lock().tail.is_none() {
        return Err(StoreError::NotAPack { segment: old.id() });
    }
    let (entries, damages) = load_entries(shared, old)?;
    if let Some(damage) = damages.first().filter(|_| !plan.is_to_mend) {
        return Err(StoreError::Damaged(*damage));
    }
    let settled = plan.settled.min(plan.covered);
    let mut sorting = reclaim::sort(shared, old, entries, settled, plan.is_live);
    if plan.is_to_mend {
        sorting.kept = readable(shared, old, sorting.kept)?;
    }
    if sorting.kept.is_empty() && reclaim::may_go(shared, writer, old) {
        reclaim::prepare_loss(shared, writer, &sorting)?;
        reclaim::remove_segment(shared, old)?;
        return Ok(None);
    }
    reclaim::prepare_loss(shared, writer, &sorting)?;
    let id = shared.take_segment_id();
    let incoming = shared.paths.incoming_segment(id);
    let pack = match write_pack(shared, old, id, &sorting, plan.recoder) {
        Ok(pack) => pack,
        Err(error) => {
            drop(shared.disk.remove(&incoming));
            return Err(error);
        }
    };
    shared.disk.rename(&incoming, &pack.path)?;
    shared
        .disk
        .sync_dir(&shared.paths.segments(), sites::PACK_NAME)?; // (10)
    // Whoever marks a blob dead holds the old pack's count, sees the new pack or is seen here.
    let live = old.live.lock();
    if let (Some(now), Some(kept)) = (*live, &mut *pack.live.lock()) {
        let died = live_count(&sorting.kept).bytes.saturating_sub(now.bytes);
        kept.records = now.records;
        kept.bytes = kept.bytes.saturating_sub(died);
    }
    shared.segments.insert(Arc::clone(&pack));
    drop(live);
    Counters::add(&shared.counters.compacted_bytes, pack.end());
    Ok(Some(pack))
}

/// The entries whose records match their checksums.
fn readable(
    shared: &Shared,
    segment: &Segment,
    entries: Vec<Entry>,
) -> Result<Vec<Entry>, StoreError> {
    let file = shared.segment_file(segment)?;
    let mut reader = Reader::new(&*file);
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        let record = reader.record(&segment.header.salt, entry.offset, 0)?;
        let Some((header, _)) = record.ok().filter(|(header, _)| header.lsn == entry.lsn) else {
            continue;
        };
        if header.holds == Holds::Blob {
            let digest = reader.digest(entry.offset + header.body_at(), header.body_bytes)?;
            if digest != Some(header.stored_digest()) {
                continue;
            }
        }
        kept.push(entry);
    }
    Ok(kept)
}

fn live_count(entries: &[Entry]) -> LiveCount {
    LiveCount {
        records: count_blobs(entries),
        bytes: entries.iter().map(Entry::body_bytes_inline).sum(),
    }
}

fn write_pack(
    shared: &Arc<Shared>,
    old: &Segment,
    id: u64,
    sorting: &Sorting,
    recoder: Option<&dyn Recoder>,
) -> Result<Arc<Segment>, StoreError> {
    let header = SegmentHeader {
        version: recoder.map_or(old.header.version, |_| VERSION_ENCODED),
        id,
        salt: shared.keys.make(),
        replaces: old.id(),
        horizon: shared.horizon(),
        ..old.header.clone()
    };
    let room = live_count(&sorting.kept).bytes;
    shared.check_room(room)?;
    let source = shared.segment_file(old)?;
    let file = shared
        .disk
        .open(&shared.paths.incoming_segment(id), Open::CreateNew)?;
    let mut copy = Copy {
        shared,
        recoder,
        new_files: Vec::new(),
        old,
        header: &header,
        reader: Reader::new(&*source),
        out: Output {
            file: &*file,
            buffer: Vec::new(),
            at: 0,
        },
        throttle: Throttle::new(shared.options.compaction_bytes_per_s),
        entries: Vec::with_capacity(sorting.kept.len()),
    };
    let written = copy.run(&sorting.kept).and_then(|footer| {
        file.sync_data(sites::PACK_BYTES)?; // (10)
        Ok(footer)
    });
    let footer = match written {
        Ok(footer) => footer,
        Err(error) => {
            drop(remove_forms(shared, &copy.new_files)); // else the next opening does it
            return Err(match error {
                StoreError::Io(error) if is_full(&error) => shared.full(room),
                error => error,
            });
        }
    };
    let live = live_count(&copy.entries);
    Ok(Arc::new(Segment {
        path: shared.paths.segment(id),
        contents: RwLock::new(Contents::Sealed(footer)),
        live: Mutex::new(old.live.lock().map(|_| live)),
        header,
    }))
}

/// What becomes of a blob.
enum Form {
    /// It is copied.
    AsItIs,
    /// It is copied, and not tried in this form again.
    Tried,
    /// It is kept so from now on; the bytes are empty if they have a file of their own.
    Replaced(Encoded, u64, Vec<u8>),
}

struct Copy<'a> {
    shared: &'a Arc<Shared>,
    recoder: Option<&'a dyn Recoder>,
    /// Files that no record refers to before the pack has its name.
    new_files: Vec<(BlobKey, Encoding)>,
    old: &'a Segment,
    header: &'a SegmentHeader,
    reader: Reader<'a>,
    out: Output<'a>,
    throttle: Throttle,
    entries: Vec<Entry>,
}

impl Copy<'_> {
    fn run(&mut self, kept: &[Entry]) -> Result<Footer, StoreError> {
        self.out.put(&self.header.encode())?;
        let at_once = self.recoder.map_or(1, Recoder::parallel).max(1);
        for entries in kept.chunks(at_once) {
            for (entry, form) in entries.iter().zip(self.forms(entries)?) {
                self.record(entry, form)?;
            }
        }
        let index_at = self.out.end();
        let (index, index_digest) = encode_index(&self.entries);
        let footer = Footer {
            index_at,
            records: self.entries.len() as u64,
            last_lsn: self
                .entries
                .last()
                .map_or(self.header.committed, |entry| entry.lsn),
            blobs: count_blobs(&self.entries),
            horizon: self.header.horizon,
            index_digest,
        };
        self.out.put(&index)?;
        self.out.put(&footer.encode(&self.header.salt))?;
        self.out.flush()?;
        Ok(footer)
    }

    /// What becomes of the blobs of these records.
    fn forms(&mut self, entries: &[Entry]) -> Result<Vec<Form>, StoreError> {
        let Some(recoder) = self.recoder else {
            return Ok(entries.iter().map(|_| Form::AsItIs).collect());
        };
        let (shared, old) = (self.shared, self.old);
        let one = |entry: &Entry| recode(shared, old, entry, recoder);
        // Large ones one after the other: each may be as large as memory.
        let has_file = entries.iter().any(|entry| entry.holds == Holds::File);
        let forms: Vec<_> = match entries {
            entries if has_file || entries.len() == 1 => entries.iter().map(one).collect(),
            entries => std::thread::scope(|scope| {
                let running: Vec<_> = entries
                    .iter()
                    .map(|entry| scope.spawn(|| one(entry)))
                    .collect();
                let ended = running.into_iter().map(|thread| {
                    let panicked = || StoreError::Io(io::Error::other("a thread panicked"));
                    thread.join().unwrap_or_else(|_| Err(panicked()))
                });
                ended.collect()
            }),
        };
        for (entry, form) in entries.iter().zip(&forms) {
            if let (Ok(Form::Replaced(..)), Holds::File) = (form, entry.holds) {
                self.new_files.push((entry.key, recoder.encoding()));
            }
        }
        forms.into_iter().collect()
    }

    /// Copies one record; what does not match its checksums is not copied but reported.
    fn record(&mut self, entry: &Entry, form: Form) -> Result<(), StoreError> {
        let damaged = |kind| StoreError::Damaged(damage_of(self.old, entry, kind));
        let salt = &self.old.header.salt;
        let record = self.reader.record(salt, entry.offset, CHUNK_BYTES)?;
        let found = record.ok().filter(|(header, _)| header.lsn == entry.lsn);
        let Some((before, caller)) = found else {
            return Err(damaged(DamageKind::Header));
        };
        let mut header = RecordHeader {
            padding: 0,
            ..before.clone()
        };
        match (&form, self.recoder) {
            (Form::Tried, Some(recoder)) => header.tried = recoder.encoding(),
            (Form::Replaced(encoded, size, _), _) => {
                header.encoded = Some(*encoded);
                header.body_bytes = *size;
                header.tried = Encoding::PLAIN;
            }
            _ => {}
        }
        let offset = self.out.end();
        let mut head = Vec::new();
        header.encode(caller, &self.header.salt, offset, &mut head);
        self.out.put(&head)?;
        if let (Form::Replaced(_, _, bytes), Holds::Blob) = (&form, header.holds) {
            self.out.put(bytes)?;
            self.throttle.moved(bytes.len());
        } else if header.holds == Holds::Blob {
            let start = entry.offset + before.body_at();
            let mut digester = Digester::new();
            let mut done = 0;
            while done < before.body_bytes {
                let left = before.body_bytes - done;
                let wanted = usize::try_from(left)
                    .unwrap_or(CHUNK_BYTES)
                    .min(CHUNK_BYTES);
                let bytes = self.reader.bytes(start + done, wanted, wanted)?;
                if bytes.len() < wanted {
                    return Err(damaged(DamageKind::Truncated));
                }
                digester.update(bytes);
                self.out.put(bytes)?;
                self.throttle.moved(wanted);
                done += wanted as u64;
            }
            if digester.finish() != before.stored_digest() {
                return Err(damaged(DamageKind::Body));
            }
        }
        let padding = header.record_bytes() - (self.out.end() - offset);
        self.out
            .put(&[0; 8][..usize::try_from(padding).unwrap_or(0)])?;
        self.throttle.moved(head.len());
        self.entries.push(entry_of(&header, offset));
        Ok(())
    }
}

/// Asks for another form of one blob. A record that cannot be read is copied, which tells what is wrong with it.
fn recode(
    shared: &Arc<Shared>,
    old: &Segment,
    entry: &Entry,
    recoder: &dyn Recoder,
) -> Result<Form, StoreError> {
    let Some(attempt) = recode::attempt(shared, old, entry, recoder)? else {
        return Ok(Form::AsItIs);
    };
    match attempt.became {
        Recoded::Replaced => {
            let encoding = recoder.encoding();
            let (size, digest, bytes) = attempt.into.finish(encoding)?;
            let encoded = Encoded {
                encoding,
                plain_bytes: attempt.blob.size,
                digest,
            };
            Ok(Form::Replaced(encoded, size, bytes))
        }
        Recoded::Unchanged => {
            attempt.into.give_up();
            Ok(Form::Tried)
        }
        Recoded::Later => {
            attempt.into.give_up();
            Ok(Form::AsItIs)
        }
    }
}

/// Collects small writes.
struct Output<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    /// Where the buffer goes, in bytes.
    at: u64,
}

impl Output<'_> {
    fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file
            .write_all_at(&[IoSlice::new(&self.buffer)], self.at)?;
        self.at = self.end();
        self.buffer.clear();
        Ok(())
    }
}

/// Slows the copying down to a rate.
struct Throttle {
    bytes_per_s: Option<u64>,
    since: Instant,
    bytes: u64,
}

impl Throttle {
    fn new(bytes_per_s: Option<u64>) -> Throttle {
        let bytes_per_s = bytes_per_s.map(|rate| rate.max(1));
        Throttle {
            bytes_per_s,
            since: Instant::now(),
            bytes: 0,
        }
    }

    fn moved(&mut self, bytes: usize) {
        let Some(rate) = self.bytes_per_s else { return };
        self.bytes += bytes as u64;
        let due = Duration::from_micros(self.bytes.saturating_mul(1_000_000) / rate);
        let ahead = due.saturating_sub(self.since.elapsed());
        if ahead > Duration::from_millis(2) {
            std::thread::sleep(ahead);
        }
    }
}
