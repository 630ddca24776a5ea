//! Opening: what a power cut, a kill or a failed disk left behind becomes a log again.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::{Mutex, RwLock};
use vna_io::{Disk, DiskFile, Open};

use crate::append::{Tail, Writer, seal};
use crate::error::{Damage, StoreError};
use crate::format::{
    FIRST_RECORD, FOOTER_BYTES, Footer, HEADER_SPACE, HeaderProblem, SegmentHeader,
};
use crate::handles::Handles;
use crate::keys::KeyMaker;
use crate::options::LogOptions;
use crate::paths::Paths;
use crate::replay;
use crate::scan::{Found, Scan};
use crate::segments::{Contents, Segment, Segments};
use crate::shared::{Counters, Shared};
use crate::sites;
use crate::types::Lsn;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The position of the last record; 0 if the log is empty.
    pub last_lsn: Lsn,
    /// An index that covers less than this must be built anew; see [`Log::horizon`](crate::Log::horizon).
    pub horizon: Lsn,
    /// Segments, the open one included.
    pub segments: usize,
    /// Segments that had no valid index at their end, and were read through.
    pub scanned: usize,
    /// Bytes at the end of the log that held no acknowledged record, and were cut off.
    pub remains_bytes: u64,
    /// Acknowledged records that cannot be read.
    pub damages: Vec<Damage>,
    /// The caller's [`known_good_lsn`](LogOptions::known_good_lsn) lies behind the end of the log:
    /// acknowledged records are missing from here on.
    pub lost_from: Option<Lsn>,
    /// Unfinished files in `incoming/` that were removed.
    pub unfinished_removed: usize,
    /// Segment files without a readable header, moved to `quarantine/`.
    pub quarantined: Vec<String>,
    /// Packs whose compaction is to be finished, with the pack that replaces each: call
    /// [`Log::compact`](crate::Log::compact) for the first of each pair.
    pub unfinished_compactions: Vec<(u64, u64)>,
}

pub struct Opened {
    pub shared: Arc<Shared>,
    pub writer: Writer,
    pub lock: Arc<dyn DiskFile>,
    pub recovery: Recovery,
}

pub fn open(disk: Arc<dyn Disk>, root: &Path, options: LogOptions) -> Result<Opened, StoreError> {
    let paths = Paths::new(root);
    for folder in [paths.segments(), paths.blobs(), paths.incoming()] {
        disk.create_dir_all(&folder)?;
    }
    let lock = disk.open(&paths.lock(), Open::Create)?;
    if !lock.try_lock()? {
        return Err(StoreError::Locked { path: paths.lock() });
    }
    let mut recovery = Recovery::default();
    for name in disk.list(&paths.incoming())? {
        disk.remove(&paths.incoming().join(name))?;
        recovery.unfinished_removed += 1;
    }
    // A killed process may have named a segment or pack, or removed one, without a sync.
    disk.sync_dir(&paths.segments(), sites::RECOVERED_NAMES)?;

    let candidates = read_headers(&*disk, &paths, &mut recovery)?;
    let keys = KeyMaker::new(options.seed);
    let log_id = candidates
        .found
        .first()
        .map_or_else(|| keys.make(), |found| found.header.log);
    let shared = Arc::new(Shared {
        handles: Handles::new(options.open_files),
        paths,
        options,
        keys,
        log_id,
        segments: Segments::default(),
        next_segment_id: AtomicU64::new(candidates.last_id + 1),
        horizon: AtomicU64::new(0),
        fresh_blobs: Mutex::new(Some(HashSet::new())),
        durable_folders: Mutex::new([false; 256]),
        moved: Mutex::default(),
        counters: Counters::default(),
        disk,
    });
    let writer = Opening {
        shared: &shared,
        recovery: &mut recovery,
    }
    .run(candidates.found)?;
    Ok(Opened {
        shared,
        writer,
        lock,
        recovery,
    })
}

/// A segment file with a header.
struct Candidate {
    header: SegmentHeader,
    bytes: u64,
    state: State,
}

/// A pack is closed again at once: there may be more of them than files may be open.
enum State {
    Sealed(Footer),
    Unsealed(Arc<dyn DiskFile>),
}

struct Candidates {
    found: Vec<Candidate>,
    last_id: u64,
}

fn read_headers(
    disk: &dyn Disk,
    paths: &Paths,
    recovery: &mut Recovery,
) -> Result<Candidates, StoreError> {
    let names = disk.list(&paths.segments())?;
    let mut ids: Vec<u64> = names
        .iter()
        .filter_map(|name| Paths::parse_segment(name))
        .collect();
    ids.sort_unstable();
    let mut candidates = Candidates {
        found: Vec::new(),
        last_id: ids
            .last()
            .copied()
            .max(last_quarantined(disk, paths)?)
            .unwrap_or(0),
    };
    for id in ids {
        let path = paths.segment(id);
        let file = disk.open(&path, Open::Write)?;
        let bytes = file.len()?;
        let mut first = [0; HEADER_SPACE];
        let read = file.read_at(&mut first, 0)?;
        match SegmentHeader::decode(&first[..read]) {
            Ok(header) if header.id == id => {
                let state = match read_footer(&*file, &header.salt, bytes)? {
                    Some(footer) => State::Sealed(footer),
                    None => State::Unsealed(file),
                };
                candidates.found.push(Candidate {
                    header,
                    bytes,
                    state,
                });
            }
            Err(HeaderProblem::Version(found)) => return Err(StoreError::Version { path, found }),
            // The header is durable before the name is, and the name before anything in the
            // segment is acknowledged: what has no header never counted. If it holds something
            // all the same, a human should see it.
            Err(HeaderProblem::Blank) if bytes <= FIRST_RECORD => disk.remove(&path)?,
            Ok(_) | Err(HeaderProblem::Blank | HeaderProblem::Damaged) => {
                disk.create_dir_all(&paths.quarantine())?;
                let name = format!("{id:016x}.seg");
                disk.rename(&path, &paths.quarantine().join(&name))?;
                recovery.quarantined.push(name);
            }
        }
    }
    for candidate in &candidates.found {
        if candidate.header.log != candidates.found[0].header.log {
            return Err(StoreError::Foreign {
                path: paths.segment(candidate.header.id),
            });
        }
    }
    Ok(candidates)
}

/// The highest id of a segment that was moved away: rows may still refer to it, so no other may get it.
fn last_quarantined(disk: &dyn Disk, paths: &Paths) -> io::Result<Option<u64>> {
    let folder = paths.quarantine();
    if !disk.exists(&folder)? {
        return Ok(None);
    }
    let names = disk.list(&folder)?;
    Ok(names
        .iter()
        .filter_map(|name| Paths::parse_segment(name))
        .max())
}

fn read_footer(
    file: &dyn DiskFile,
    salt: &[u8; 16],
    file_bytes: u64,
) -> io::Result<Option<Footer>> {
    let Some(at) = file_bytes.checked_sub(FOOTER_BYTES as u64) else {
        return Ok(None);
    };
    let mut last = [0; FOOTER_BYTES];
    let read = file.read_at(&mut last, at)?;
    Ok((read == FOOTER_BYTES)
        .then(|| Footer::decode(&last, salt, file_bytes))
        .flatten())
}

struct Opening<'a> {
    shared: &'a Arc<Shared>,
    recovery: &'a mut Recovery,
}

impl Opening<'_> {
    fn run(&mut self, candidates: Vec<Candidate>) -> Result<Writer, StoreError> {
        let successors: HashMap<u64, SegmentHeader> = candidates
            .iter()
            .map(|candidate| (candidate.header.previous_segment, candidate.header.clone()))
            .collect();
        let newest = candidates.iter().rev().find(|c| c.header.replaces == 0);
        let newest = newest.map(|candidate| candidate.header.id);
        let mut horizon = 0;
        let mut writer = Writer {
            tail: None,
            next_lsn: 1,
            committed: 0,
            previous: (0, 0),
        };
        for candidate in candidates {
            let is_newest = Some(candidate.header.id) == newest;
            let successor = successors.get(&candidate.header.id);
            let (segment, tail) = self.admit(candidate, is_newest, successor, &mut horizon)?;
            let last = segment.last_lsn();
            writer.next_lsn = writer.next_lsn.max(last + 1).max(segment.header.first_lsn);
            writer.committed = writer.committed.max(last).max(segment.header.committed);
            if is_newest {
                writer.previous = (segment.id(), segment.end());
                writer.tail = tail;
            }
            self.shared.segments.insert(segment);
        }
        self.finish(&mut writer, horizon)?;
        Ok(writer)
    }

    /// Takes a segment into the log: reads it through if it has no index.
    fn admit(
        &mut self,
        candidate: Candidate,
        is_newest: bool,
        successor: Option<&SegmentHeader>,
        horizon: &mut Lsn,
    ) -> Result<(Arc<Segment>, Option<Tail>), StoreError> {
        let Candidate {
            header,
            bytes,
            state,
        } = candidate;
        *horizon = (*horizon).max(header.horizon);
        let path = self.shared.paths.segment(header.id);
        let make = |header, contents| {
            let (path, contents) = (path.clone(), RwLock::new(contents));
            Arc::new(Segment {
                header,
                path,
                contents,
                live: Mutex::new(None),
            })
        };
        let file = match state {
            State::Unsealed(file) => file,
            State::Sealed(footer) => {
                let is_certain =
                    header.replaces != 0 || successor.is_some_and(|next| next.previous_sealed);
                let confirmed = match is_certain {
                    true => None,
                    false => self.confirm(&path, &footer)?,
                };
                match confirmed {
                    Some(unsealed) => unsealed,
                    None => {
                        *horizon = (*horizon).max(footer.horizon);
                        return Ok((make(header, Contents::Sealed(footer)), None));
                    }
                }
            }
        };
        // Where its acknowledged records end, as the segment begun after it says.
        let acknowledged_end = successor.map(|next| next.previous_end);
        let found = Scan {
            file: &*file,
            header: &header,
            stop: acknowledged_end.unwrap_or(bytes),
            all_acknowledged: acknowledged_end.is_some() || header.replaces != 0,
            known_good: self.shared.options.known_good_lsn,
        }
        .run()?;
        self.recovery.scanned += 1;
        *horizon = (*horizon).max(found.horizon);
        let Found {
            entries,
            end,
            damages,
            has_remains,
            ..
        } = found;
        self.recovery.damages.extend(damages);
        let segment = make(header, Contents::Listed { entries, end });
        let is_short = self.shared.options.known_good_lsn > segment.last_lsn();
        if is_newest && is_short && has_remains {
            // Acknowledged records, damaged and not torn: what is left of them stays as it is.
            return Ok((segment, None));
        }
        if is_newest {
            let tail = self.continue_at(&segment, file, bytes, end, has_remains)?;
            return Ok((segment, Some(tail)));
        }
        if seal(&segment, &*file, found.horizon).is_err() {
            // A full or broken disk: the entries stay in memory, the records can be read.
            Counters::add(&self.shared.counters.unsealed, 1);
        }
        Ok((segment, None))
    }

    /// The footer may have reached the disk before the index, when the power was cut or the sync
    /// failed; or neither, when the process was killed. Returns the file if it is no pack.
    fn confirm(
        &self,
        path: &Path,
        footer: &Footer,
    ) -> Result<Option<Arc<dyn DiskFile>>, StoreError> {
        let file = self.shared.disk.open(path, Open::Write)?;
        if replay::read_index(&*file, footer)?.is_none() {
            return Ok(Some(file));
        }
        file.sync_data(sites::SEAL)?;
        Ok(None)
    }

    /// Makes the newest segment ready for more.
    fn continue_at(
        &mut self,
        segment: &Arc<Segment>,
        file: Arc<dyn DiskFile>,
        bytes: u64,
        end: u64,
        has_remains: bool,
    ) -> Result<Tail, StoreError> {
        let mut prefilled = bytes;
        if has_remains {
            // Torn records: gone before anything new is written over part of them.
            self.recovery.remains_bytes = bytes.saturating_sub(end);
            file.set_len(end)?;
            prefilled = end;
        }
        // What a killed process wrote without a sync must not be handed out before it is durable,
        // or the index would cover records that a power cut can still take (3). Written again, and
        // not only synced: if that process died of a failed sync, the kernel holds pages that it
        // takes for written.
        write_again(&*file, self.first_uncertain(segment), end)?;
        file.sync_data(sites::RECOVERED_TAIL)?;
        Ok(Tail::new(Arc::clone(segment), file, end, prefilled))
    }

    /// Where in the newest segment the bytes start of which nobody knows that they are durable.
    fn first_uncertain(&self, segment: &Segment) -> u64 {
        let known_good = self.shared.options.known_good_lsn;
        match &*segment.contents.read() {
            Contents::Sealed(footer) => footer.index_at,
            Contents::Listed { entries, end } => {
                match entries.partition_point(|entry| entry.lsn <= known_good) {
                    0 => 0, // not even the segment's header
                    known => entries.get(known).map_or(*end, |entry| entry.offset),
                }
            }
        }
    }

    fn finish(&mut self, writer: &mut Writer, horizon: Lsn) -> Result<(), StoreError> {
        let known_good = self.shared.options.known_good_lsn;
        if known_good >= writer.next_lsn {
            self.recovery.lost_from = Some(writer.next_lsn);
            writer.next_lsn = known_good + 1;
        }
        self.shared
            .horizon
            .fetch_max(horizon, std::sync::atomic::Ordering::AcqRel);
        if writer.tail.is_none() && self.recovery.lost_from.is_none() {
            // On a full disk the log can still be read; the first append tries again. Where acknowledged records are
            // missing nothing is begun: a new segment would state that their positions are used, and the next
            // opening would miss nothing.
            drop(writer.begin(self.shared));
        }
        let segments = self.shared.segments.all();
        for segment in &segments {
            let replaced = segment.header.replaces;
            if replaced != 0 && self.shared.segments.get(replaced).is_some() {
                self.recovery
                    .unfinished_compactions
                    .push((replaced, segment.id()));
            }
        }
        self.recovery.segments = segments.len();
        self.recovery.last_lsn = writer.committed;
        self.recovery.horizon = horizon;
        Ok(())
    }
}

/// Writes the bytes `from..to` of a file over themselves.
fn write_again(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at)
            .unwrap_or(buffer.len())
            .min(buffer.len());
        let read = file.read_at(&mut buffer[..length], at)?;
        if read == 0 {
            break;
        }
        file.write_all_at(&[IoSlice::new(&buffer[..read])], at)?;
        at += read as u64;
    }
    Ok(())
}
