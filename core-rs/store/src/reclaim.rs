//! Giving space back: which packs hold what nobody wants, and dropping those that hold nothing else.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::append::{Writer, append_horizon};
use crate::blobs::{Sweep, remove_files, remove_forms};
use crate::error::StoreError;
use crate::format::{Entry, Holds};
use crate::handles::FileId;
use crate::horizon;
use crate::paths::{Paths, blob_name};
use crate::replay::load_entries;
use crate::segments::{LiveCount, Segment};
use crate::shared::{Counters, Shared};
use crate::sites;
use crate::types::{BlobKey, BlobRef, Encoding, Lsn, Place};

/// What is live, by segment.
pub type LiveCounts = HashMap<u64, LiveCount>;

pub fn set_live(shared: &Shared, counts: &LiveCounts) {
    let count = |id: u64| counts.get(&id).copied().unwrap_or_default();
    for segment in shared.segments.all() {
        // While a compaction is not finished the index may refer to either pack, and both hold the
        // same records.
        let twin = shared
            .segments
            .replacement_of(segment.id())
            .map(|replacement| replacement.id())
            .or_else(|| {
                shared
                    .segments
                    .get(segment.header.replaces)
                    .map(|old| old.id())
            });
        let (here, there) = (count(segment.id()), twin.map(count).unwrap_or_default());
        *segment.live.lock() = Some(LiveCount {
            records: here.records + there.records,
            bytes: here.bytes + there.bytes,
        });
    }
}

pub fn mark_dead(shared: &Shared, blobs: &[BlobRef]) {
    for blob in blobs {
        let id = shared.current_segment(blob.place.segment());
        let Some(segment) = shared.segments.get(id) else {
            continue;
        };
        // While it is compacted, both packs count: the one may yet become the other.
        let mut live = segment.live.lock();
        take_off(&mut live, blob);
        if let Some(replacement) = shared.segments.replacement_of(id) {
            take_off(&mut replacement.live.lock(), blob);
        }
    }
}

fn take_off(live: &mut Option<LiveCount>, blob: &BlobRef) {
    if let Some(live) = live {
        live.records = live.records.saturating_sub(1);
        if matches!(blob.place, Place::Segment { .. }) {
            live.bytes = live.bytes.saturating_sub(blob.stored_size);
        }
    }
}

/// Whether the deed at `lsn` can go with its segment `own`: the index has done all that it asks for,
/// and no older record is left that it would have to kill again when the index is built anew.
fn is_settled(shared: &Shared, own: &Segment, lsn: Lsn, settled: Lsn) -> bool {
    lsn <= settled
        && !shared.segments.all().iter().any(|other| {
            let is_older = other.id() != own.id() && other.header.first_lsn < lsn;
            is_older && other.may_hold_dead()
        })
}

/// Whether an entry is a deed: a record without a blob, and not one of the store's own.
fn is_deed(entry: &Entry) -> bool {
    entry.holds == Holds::Nothing && entry.kind != horizon::KIND
}

/// What of a pack goes and what stays.
pub struct Sorting {
    pub kept: Vec<Entry>,
    /// Large blobs whose record goes.
    pub files: Vec<BlobKey>,
    /// The last deed that goes; 0 if none does.
    pub last_deed: Lsn,
}

pub fn sort(
    shared: &Shared,
    segment: &Segment,
    entries: Vec<Entry>,
    settled: Lsn,
    is_live: &dyn Fn(&BlobKey) -> bool,
) -> Sorting {
    let mut sorting = Sorting {
        kept: Vec::new(),
        files: Vec::new(),
        last_deed: 0,
    };
    for entry in entries {
        if is_deed(&entry) {
            if is_settled(shared, segment, entry.lsn, settled) {
                sorting.last_deed = entry.lsn;
            } else {
                sorting.kept.push(entry);
            }
        } else if entry.holds != Holds::Nothing && is_live(&entry.key) {
            sorting.kept.push(entry);
        } else if entry.holds == Holds::File {
            sorting.files.push(entry.key);
        }
    }
    sorting
}

/// Prepares for the loss of deeds and of the records of large blobs: (8), (9).
pub fn prepare_loss(
    shared: &Shared,
    writer: &Mutex<Writer>,
    sorting: &Sorting,
) -> Result<(), StoreError> {
    if sorting.last_deed > shared.horizon() {
        append_horizon(&mut writer.lock(), shared, sorting.last_deed)?;
    }
    remove_files(shared, &sorting.files)?;
    Ok(())
}

pub fn drop_dead<E: From<StoreError>>(
    shared: &Shared,
    writer: &Mutex<Writer>,
    settled: Lsn,
    covered: Lsn,
    is_live: &dyn Fn(u64) -> Result<bool, E>,
) -> Result<Vec<u64>, E> {
    let settled = settled.min(covered);
    let mut dropped = Vec::new();
    for segment in shared.segments.in_order() {
        let is_dead = segment.live.lock().is_some_and(|live| live.records == 0);
        let may_go = || segment.last_lsn() <= covered && may_go(shared, writer, &segment);
        if !is_dead || !may_go() || is_referred_to(shared, &segment, is_live)? {
            continue;
        }
        let (entries, damages) = load_entries(shared, &segment)?;
        let sorting = sort(shared, &segment, entries, settled, &|_| false);
        if sorting.kept.is_empty() && damages.is_empty() {
            prepare_loss(shared, writer, &sorting)?;
            remove_segment(shared, &segment)?;
            dropped.push(segment.id());
        }
    }
    Ok(dropped)
}

/// Whether the index refers to a pack, or to the one that it replaces while both are there.
fn is_referred_to<E>(
    shared: &Shared,
    segment: &Segment,
    is_live: &dyn Fn(u64) -> Result<bool, E>,
) -> Result<bool, E> {
    let replaced = segment.header.replaces;
    Ok(is_live(segment.id())? || (shared.segments.get(replaced).is_some() && is_live(replaced)?))
}

/// Whether the log can do without this segment: it is a pack, the open segment carries on its
/// positions and the horizon, no segment that lacks its end relies on it to know where that is, and
/// there is a segment with a higher id, so that its own is not given again after the next opening.
pub fn may_go(shared: &Shared, writer: &Mutex<Writer>, segment: &Segment) -> bool {
    let before = shared.segments.get(segment.header.previous_segment);
    segment.footer().is_some()
        && shared.segments.last_id() > segment.id()
        && writer.lock().tail.is_some()
        && shared.segments.replacement_of(segment.id()).is_none()
        && before.is_none_or(|before| before.footer().is_some())
}

/// Removes a pack, durably. Readers that have it open read on.
pub fn remove_segment(shared: &Shared, segment: &Segment) -> Result<(), StoreError> {
    shared.segments.remove(segment.id());
    shared.disk.remove(&segment.path)?;
    shared.handles.forget(FileId::Segment(segment.id()));
    shared
        .disk
        .sync_dir(&shared.paths.segments(), sites::PACK_REMOVED)?;
    Counters::add(&shared.counters.reclaimed_bytes, segment.end());
    Ok(())
}

pub fn sweep(
    shared: &Shared,
    is_live: &dyn Fn(&BlobKey, Encoding) -> bool,
) -> Result<Sweep, StoreError> {
    let segments = shared.segments.all();
    let is_moving = segments
        .iter()
        .any(|segment| shared.segments.replacement_of(segment.id()).is_some());
    let is_wanted = |key: &BlobKey, encoding| {
        // While a compaction is not finished, rows refer to one form and are to refer to the other.
        is_live(key, encoding) || is_moving && Encoding::all().any(|form| is_live(key, form))
    };
    let mut sweep = Sweep::default();
    let is_fresh = |key: &BlobKey| {
        // None: it has run before, and would not know which blobs are on their way.
        shared
            .fresh_blobs
            .lock()
            .as_ref()
            .is_none_or(|fresh| fresh.contains(key))
    };
    let mut unwanted = Vec::new();
    for folder in shared.disk.list(&shared.paths.blobs())? {
        let is_ours = folder.len() == 2 && folder.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_ours {
            continue;
        }
        for name in shared.disk.list(&shared.paths.blobs().join(folder))? {
            let Some((key, encoding)) = Paths::parse_blob(&name) else {
                continue;
            };
            sweep.files += 1;
            // In this order: a blob may become live, but not fresh, meanwhile.
            if !is_fresh(&key) && !is_wanted(&key, encoding) {
                unwanted.push((key, encoding));
            }
        }
    }
    if !unwanted.is_empty() {
        let known = keys_of_files(shared)?;
        let (dead, strange): (Vec<_>, Vec<_>) = unwanted
            .into_iter()
            .partition(|(key, _)| known.contains(key));
        remove_forms(shared, &dead)?;
        sweep.removed = dead.into_iter().map(|(key, _)| key).collect();
        for (key, encoding) in strange {
            shared.disk.create_dir_all(&shared.paths.quarantine())?;
            let name = blob_name(&key, encoding);
            shared.disk.rename(
                &shared.paths.blob(&key, encoding),
                &shared.paths.quarantine().join(&name),
            )?;
            sweep.quarantined.push(name);
        }
    }
    *shared.fresh_blobs.lock() = None;
    Ok(sweep)
}

/// The keys of all large blobs that the log knows.
fn keys_of_files(shared: &Shared) -> Result<HashSet<BlobKey>, StoreError> {
    let mut keys = HashSet::new();
    for segment in shared.segments.all() {
        let (entries, _) = load_entries(shared, &segment)?;
        keys.extend(
            entries
                .iter()
                .filter(|e| e.holds == Holds::File)
                .map(|e| e.key),
        );
    }
    Ok(keys)
}
