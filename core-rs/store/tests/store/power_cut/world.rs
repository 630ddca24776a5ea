//! A log on a disk with power cuts, a small index beside it, and what both must agree on.
//!
//! The index of this model is perfect: it is durable the moment it changes. It keeps one live
//! arrival for each resource; an arrival's header is `arrival R`, and supersedes what R had; a
//! deletion's is `delete R`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vna_io::{CutDisk, Disk};
use vna_store::{
    BlobKey, BlobReader, BlobRef, Body, Digest, Encoding, LiveCount, Log, LogOptions, Lsn, Moved,
    NewRecord, Place, Recoded, Recoder, Record, RecordKind, Recovery, Replacement, Replayed,
    StoreError,
};

use crate::common::{bytes_of, tiny};

/// Another form of blobs: their bits flipped, and a byte more.
struct Flipped;

impl Flipped {
    fn plain(kept: &[u8]) -> Vec<u8> {
        kept[..kept.len() - 1].iter().map(|byte| !byte).collect()
    }
}

impl Recoder for Flipped {
    fn encoding(&self) -> Encoding {
        Encoding(7)
    }

    fn recode(
        &self,
        record: &Record<'_>,
        source: &BlobReader,
        into: &mut Replacement,
    ) -> Result<Recoded, StoreError> {
        let bytes = source.read_all()?;
        into.write(&bytes.iter().map(|byte| !byte).collect::<Vec<_>>())?;
        into.write(b"!")?;
        Ok(match record.lsn % 4 {
            0 => Recoded::Unchanged,
            1 => Recoded::Later,
            _ => Recoded::Replaced,
        })
    }
}

/// Why a workload ended early.
#[derive(Debug)]
pub enum Trouble {
    /// The power was cut or the process killed: what was planned.
    Stopped,
    /// A promise was broken.
    Violation(String),
}

pub type Outcome = Result<(), Trouble>;

fn violation<T>(message: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Violation(message.into()))
}

/// One record that was appended or tried.
#[derive(Clone, Debug, PartialEq)]
struct Fact {
    kind: RecordKind,
    header: Vec<u8>,
    bytes: Option<Vec<u8>>,
}

impl Fact {
    /// The resource that it is about.
    fn resource(&self) -> u64 {
        let header = std::str::from_utf8(&self.header).unwrap();
        header.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[derive(Clone, Debug)]
struct Live {
    lsn: Lsn,
    blob: BlobRef,
    bytes: Vec<u8>,
}

/// What must hold, whatever happens to the disk.
#[derive(Clone, Default)]
struct Model {
    /// Acknowledged records that have not been reclaimed. Nothing else may be in the log, but what
    /// is in flight.
    acknowledged: BTreeMap<Lsn, Fact>,
    /// A group that was neither acknowledged nor refused when everything stopped.
    in_flight: BTreeMap<Lsn, Fact>,
    /// The index: the live arrival of each resource.
    live: BTreeMap<u64, Live>,
    /// Files whose removal was reported as done.
    gone: BTreeSet<PathBuf>,
    /// Large blobs that are dead and not removed yet.
    dead_files: Vec<BlobKey>,
    last_lsn: Lsn,
    /// Segments whose end failed since the log was opened: they have no index until it is again.
    abandoned: u64,
}

pub struct World {
    pub disk: CutDisk,
    log: Option<Log>,
    model: Model,
    next_number: u64,
    /// How often the log was opened: every process draws other keys, and every run the same.
    openings: u64,
}

const ROOT: &str = "/store";

impl World {
    /// A new store on an empty disk. Not opened yet, so that a cut can be planned before.
    pub fn new(disk: CutDisk) -> World {
        World {
            disk,
            log: None,
            model: Model::default(),
            next_number: 1,
            openings: 0,
        }
    }

    /// The same promises, held by another disk: the one that survived.
    pub fn on(&self, disk: CutDisk) -> World {
        disk.set_capacity(None);
        let model = self.model.clone();
        World {
            disk,
            log: None,
            model,
            next_number: self.next_number + 1_000,
            openings: self.openings,
        }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().expect("the log is open")
    }

    fn has_stopped(&self) -> bool {
        self.disk.is_cut() || self.disk.is_killed()
    }

    /// An error is what was planned, or it breaks a promise.
    fn must<T>(&self, what: &str, result: Result<T, StoreError>) -> Result<T, Trouble> {
        match result {
            Ok(value) => Ok(value),
            Err(_) if self.has_stopped() => Err(Trouble::Stopped),
            Err(error) => violation(format!("{what}: {error}")),
        }
    }

    /// Opens the log and checks every promise.
    pub fn open(&mut self) -> Outcome {
        self.log = None;
        self.openings += 1;
        let options = LogOptions {
            seed: Some(self.openings),
            ..tiny()
        };
        let opened = Log::open(Arc::new(self.disk.clone()), Path::new(ROOT), options);
        let (log, recovery) = self.must("open", opened)?;
        self.log = Some(log);
        self.check_recovery(&recovery)?;
        self.reconcile(recovery.horizon)?;
        self.check_blobs()?;
        self.model.abandoned = 0;
        let counts = self.live_counts();
        self.log().set_live(&counts);
        for (old, _) in recovery.unfinished_compactions {
            self.compact_segment(old)?;
        }
        self.check_counts()?;
        self.sweep()
    }

    /// What the index refers to, by segment.
    fn live_counts(&self) -> HashMap<u64, LiveCount> {
        let mut counts: HashMap<u64, LiveCount> = HashMap::new();
        for live in self.model.live.values() {
            let count = counts.entry(live.blob.place.segment()).or_default();
            count.records += 1;
            let is_inline = matches!(live.blob.place, Place::Segment { .. });
            count.bytes += if is_inline { live.blob.stored_size } else { 0 };
        }
        counts
    }

    /// The log counts as the index does.
    fn check_counts(&self) -> Outcome {
        let mut counts = self.live_counts();
        for info in self.log().segments() {
            let expected = counts.remove(&info.segment).unwrap_or_default();
            let counted = info.live.unwrap_or_default();
            // The bytes of a pack of which an opening finished the other form are those of the form before: at most a byte
            // less for each blob, which the form of these tests adds.
            let is_as_expected = match self.is_recoded(info.segment) {
                true => {
                    counted.records == expected.records
                        && counted.bytes + counted.records >= expected.bytes
                }
                false => counted == expected,
            };
            if info.replaced_by.is_none() && !is_as_expected {
                return violation(format!("{info:?} should have {expected:?}"));
            }
        }
        match counts.is_empty() {
            true => Ok(()),
            false => violation(format!("rows point into {counts:?}")),
        }
    }

    fn is_recoded(&self, segment: u64) -> bool {
        let mut live = self.model.live.values();
        live.any(|live| {
            live.blob.place.segment() == segment && live.blob.encoding != Encoding::PLAIN
        })
    }

    fn check_recovery(&self, recovery: &Recovery) -> Outcome {
        if !recovery.damages.is_empty() || recovery.lost_from.is_some() {
            return violation(format!("damage: {recovery:?}"));
        }
        if recovery.scanned as u64 > 1 + self.model.abandoned {
            return violation(format!("{} segments had no index", recovery.scanned));
        }
        let next = self.log().stats().next_lsn;
        if next <= self.model.last_lsn {
            return violation(format!("next LSN {next} after {}", self.model.last_lsn));
        }
        for path in &self.model.gone {
            let exists = self.disk.exists(path).map_err(StoreError::Io);
            if self.must("exists", exists)? {
                return violation(format!("{} came back", path.display()));
            }
        }
        Ok(())
    }

    /// Compares the log with what must be in it, and takes over what was in flight and is there.
    fn reconcile(&mut self, horizon: Lsn) -> Outcome {
        let present = self.present()?;
        let mut rebuilt: BTreeMap<u64, Lsn> = BTreeMap::new();
        for (lsn, (fact, blob)) in &present {
            let known = self.model.acknowledged.get(lsn);
            match (known, self.model.in_flight.get(lsn)) {
                (Some(known), _) if known == fact => {}
                (None, Some(tried)) if tried == fact => {
                    let (fact, blob) = (fact.clone(), *blob);
                    self.acknowledge(*lsn, fact, blob);
                }
                _ => return violation(format!("LSN {lsn} holds {:?}", fact.header)),
            }
            match fact.kind {
                RecordKind::ARRIVAL => rebuilt.insert(fact.resource(), *lsn),
                _ => rebuilt.remove(&fact.resource()),
            };
        }
        self.model.in_flight.clear(); // what is not there now must never be
        self.forget_absent(&present, horizon)?;
        let live: BTreeMap<u64, Lsn> = self
            .model
            .live
            .iter()
            .map(|(resource, live)| (*resource, live.lsn))
            .collect();
        if rebuilt != live {
            return violation(format!("reindex gives {rebuilt:?}, the index has {live:?}"));
        }
        Ok(())
    }

    /// What is acknowledged and absent must be dead, or a deed behind the horizon.
    fn forget_absent(&mut self, present: &Present, horizon: Lsn) -> Outcome {
        let absent: Vec<Lsn> = self
            .model
            .acknowledged
            .keys()
            .filter(|lsn| !present.contains_key(lsn))
            .copied()
            .collect();
        for lsn in absent {
            let is_live = self.model.live.values().any(|live| live.lsn == lsn);
            let fact = self.model.acknowledged.remove(&lsn);
            let is_deed = fact.is_some_and(|fact| fact.kind == RecordKind::DELETE);
            if is_live || (is_deed && lsn > horizon) {
                return violation(format!("LSN {lsn} is lost, horizon {horizon}"));
            }
        }
        Ok(())
    }

    /// Every record in the log, with its bytes where it has some that can be read.
    fn present(&self) -> Result<Present, Trouble> {
        let mut found: Vec<(Lsn, RecordKind, Vec<u8>, Option<BlobRef>)> = Vec::new();
        let replayed = self.log().replay(1, |replayed| {
            match replayed {
                Replayed::Record(r) => found.push((r.lsn, r.kind, r.header.to_vec(), r.blob)),
                Replayed::Damaged(damage) => return Err(StoreError::Damaged(damage)),
            }
            Ok(())
        });
        self.must("replay", replayed)?;
        let mut present = Present::new();
        let mut last = 0;
        for (lsn, kind, header, blob) in found {
            if lsn <= last {
                return violation(format!("LSN {lsn} after {last}"));
            }
            last = lsn;
            let bytes = match blob {
                None => None,
                Some(blob) => self.bytes_of_present(lsn, &blob)?,
            };
            present.insert(
                lsn,
                (
                    Fact {
                        kind,
                        header,
                        bytes,
                    },
                    blob,
                ),
            );
        }
        Ok(present)
    }

    fn bytes_of_present(&self, lsn: Lsn, blob: &BlobRef) -> Result<Option<Vec<u8>>, Trouble> {
        let read = self.read(blob);
        match read {
            Ok(bytes) if Digest::of(&bytes) != blob.digest => {
                violation(format!("LSN {lsn}: bytes without their digest"))
            }
            Ok(bytes) => Ok(Some(bytes)),
            // The file of a dead blob goes before its record does.
            Err(StoreError::Gone { .. }) if self.is_dead(lsn) => Ok(self
                .model
                .acknowledged
                .get(&lsn)
                .and_then(|fact| fact.bytes.clone())),
            Err(error) => self.must(&format!("read LSN {lsn}"), Err(error)),
        }
    }

    /// The bytes of a blob, whatever form it has.
    fn read(&self, blob: &BlobRef) -> Result<Vec<u8>, StoreError> {
        let reader = self.log().open_blob(blob)?;
        reader.verify()?;
        let kept = reader.read_all()?;
        Ok(match blob.encoding {
            Encoding::PLAIN => kept,
            _ => Flipped::plain(&kept),
        })
    }

    fn is_dead(&self, lsn: Lsn) -> bool {
        self.model.acknowledged.contains_key(&lsn)
            && !self.model.live.values().any(|live| live.lsn == lsn)
    }

    /// Every live blob is read by the reference that the index has.
    fn check_blobs(&self) -> Outcome {
        for live in self.model.live.values() {
            let read = self.read(&live.blob);
            if self.must(&format!("blob of LSN {}", live.lsn), read)? != live.bytes {
                return violation(format!("LSN {}: other bytes", live.lsn));
            }
        }
        Ok(())
    }

    /// Takes a record into the index.
    fn acknowledge(&mut self, lsn: Lsn, fact: Fact, blob: Option<BlobRef>) {
        let resource = fact.resource();
        let killed = match (fact.kind, blob) {
            (RecordKind::ARRIVAL, Some(blob)) => {
                let bytes = fact.bytes.clone().unwrap_or_default();
                self.model.live.insert(resource, Live { lsn, blob, bytes })
            }
            _ => self.model.live.remove(&resource),
        };
        if let Some(killed) = killed {
            self.log().mark_dead(&[killed.blob]);
            if matches!(killed.blob.place, Place::File { .. }) {
                self.model.dead_files.push(killed.blob.key);
            }
        }
        self.model.acknowledged.insert(lsn, fact);
        self.model.last_lsn = self.model.last_lsn.max(lsn);
    }

    fn sweep(&mut self) -> Outcome {
        let live: BTreeSet<BlobKey> = self.model.live.values().map(|live| live.blob.key).collect();
        let swept = self.log().sweep(&|key, _| live.contains(key));
        let swept = self.must("sweep", swept)?;
        for key in swept.removed {
            self.model.gone.insert(path_of(&key));
        }
        Ok(())
    }

    /// Appends a group. `refused` tells whether it must be.
    fn append(&mut self, facts: Vec<Fact>, refused: bool) -> Outcome {
        let parts: Vec<[&[u8]; 1]> = facts
            .iter()
            .map(|fact| [fact.bytes.as_deref().unwrap_or_default()])
            .collect();
        let body = |fact: &Fact, parts| match fact.bytes {
            Some(_) => Body::Bytes {
                parts,
                digest: Digest::of_parts(parts),
            },
            None => Body::None,
        };
        let records: Vec<NewRecord<'_>> = facts
            .iter()
            .zip(&parts)
            .map(|(fact, parts)| NewRecord {
                kind: fact.kind,
                header: &fact.header,
                body: body(fact, parts),
            })
            .collect();
        let first = self.log().stats().next_lsn;
        self.model.in_flight = (first..).zip(facts.iter().cloned()).collect();
        let appended = self.log().append(&records);
        self.settle(appended, refused, facts)
    }

    /// Draws the conclusion from an append.
    fn settle(
        &mut self,
        appended: Result<Vec<vna_store::Appended>, StoreError>,
        refused: bool,
        facts: Vec<Fact>,
    ) -> Outcome {
        match appended {
            Ok(_) if refused => violation("a group was acknowledged that could not be stored"),
            Ok(appended) => {
                self.model.in_flight.clear();
                for (appended, fact) in appended.iter().zip(facts) {
                    self.acknowledge(appended.lsn, fact, appended.blob);
                }
                Ok(())
            }
            Err(_) if self.has_stopped() => Err(Trouble::Stopped),
            Err(_) if refused => {
                // It was answered as failed: it must never be seen.
                self.model.in_flight.clear();
                Ok(())
            }
            Err(error) => violation(format!("append: {error}")),
        }
    }

    fn arrival(&mut self, resource: u64, size: usize) -> Fact {
        self.next_number += 1;
        let bytes = bytes_of(self.next_number, size);
        let header = format!("arrival {resource} {}", self.next_number).into_bytes();
        Fact {
            kind: RecordKind::ARRIVAL,
            header,
            bytes: Some(bytes),
        }
    }

    fn deletion(resource: u64) -> Fact {
        let header = format!("delete {resource}").into_bytes();
        Fact {
            kind: RecordKind::DELETE,
            header,
            bytes: None,
        }
    }

    /// Arrivals in one group: (resource, size).
    pub fn store(&mut self, arrivals: &[(u64, usize)]) -> Outcome {
        let facts = arrivals
            .iter()
            .map(|(resource, size)| self.arrival(*resource, *size));
        let facts = facts.collect();
        self.append(facts, false)
    }

    pub fn delete(&mut self, resource: u64) -> Outcome {
        self.append(vec![Self::deletion(resource)], false)
    }

    pub fn store_large(&mut self, resource: u64, size: usize) -> Outcome {
        let fact = self.arrival(resource, size);
        let bytes = fact.bytes.clone().unwrap_or_default();
        let write = || {
            let mut writer = self.log().new_large_blob()?;
            for part in bytes.chunks(1_500) {
                writer.write(part)?;
            }
            writer.finish()
        };
        let written = write();
        let blob = self.must("large blob", written)?;
        let first = self.log().stats().next_lsn;
        self.model.in_flight = BTreeMap::from([(first, fact.clone())]);
        let (kind, header, body) = (fact.kind, &fact.header[..], Body::File(&blob));
        let appended = self.log().append(&[NewRecord { kind, header, body }]);
        self.settle(appended, false, vec![fact])
    }

    /// Begins a large blob and gives it up: half written, or finished without a record.
    pub fn give_up_large(&mut self, is_finished: bool) -> Outcome {
        let write = || {
            let mut writer = self.log().new_large_blob()?;
            writer.write(&bytes_of(self.next_number, 700))?;
            if is_finished {
                // As after a kill between the two: the file stays, without a record.
                std::mem::forget(writer.finish()?);
            }
            Ok(())
        };
        let written = write();
        self.must("large blob", written)
    }

    /// Removes the files of dead large blobs.
    pub fn remove_files(&mut self) -> Outcome {
        let keys = self.model.dead_files.clone();
        let removed = self.log().remove_files(&keys);
        self.must("remove files", removed)?;
        self.model.dead_files.clear();
        self.model.gone.extend(keys.iter().map(path_of));
        Ok(())
    }

    /// A group whose sync fails.
    pub fn store_on_broken_disk(&mut self, arrivals: &[(u64, usize)]) -> Outcome {
        self.disk.fail_next_sync_at(vna_store::sites::GROUP);
        let facts = arrivals
            .iter()
            .map(|(resource, size)| self.arrival(*resource, *size));
        let facts = facts.collect();
        self.model.abandoned += 1;
        self.append(facts, true)
    }

    /// Arrivals on a full disk are refused; a deletion goes into the reserve. Where the reserve is
    /// used up too, a group is refused that was written in part, and the log goes on when there is
    /// room again.
    pub fn fill_disk(&mut self, resource: u64) -> Outcome {
        let reserve = tiny().reserve_bytes;
        self.disk
            .set_capacity(Some(self.disk.used_bytes() + reserve));
        let arrival = self.arrival(resource, 5_000);
        self.append(vec![arrival], true)?;
        self.append(vec![Self::deletion(resource)], false)?;
        self.disk.set_capacity(Some(self.disk.used_bytes() + 300));
        let deletions = (0..30).map(|_| Self::deletion(resource)).collect();
        self.model.abandoned += 1; // if it needs another segment: there is no room for an index
        self.append(deletions, true)?;
        self.disk.set_capacity(None);
        Ok(())
    }

    pub fn rotate(&mut self) -> Outcome {
        let rotated = self.log().rotate();
        self.must("rotate", rotated)
    }

    /// Compacts every pack that holds something dead.
    pub fn compact(&mut self) -> Outcome {
        for info in self.log().segments() {
            let has_dead = info.live.is_some_and(|live| live.records < info.blobs);
            if info.is_sealed && has_dead {
                self.compact_segment(info.segment)?;
            }
        }
        Ok(())
    }

    /// Gives the blobs of every pack another form, but of one that ends with a record of the store's own, which no index
    /// covers before something arrives.
    pub fn recode(&mut self) -> Outcome {
        for info in self.log().segments().iter().filter(|i| i.is_sealed) {
            if info.last_lsn <= self.model.last_lsn {
                self.rewrite(info.segment, Some(&Flipped))?;
            }
        }
        Ok(())
    }

    fn compact_segment(&mut self, segment: u64) -> Outcome {
        self.rewrite(segment, None)
    }

    fn rewrite(&mut self, segment: u64, recoder: Option<&dyn Recoder>) -> Outcome {
        let settled = self.model.last_lsn;
        let live: BTreeSet<BlobKey> = self.model.live.values().map(|live| live.blob.key).collect();
        let log = self.log.take().expect("the log is open");
        let is_live = |key: &BlobKey| live.contains(key);
        let relocate = &mut |moves: &[Moved]| {
            for moved in moves {
                self.relocate(moved);
            }
            Ok::<(), StoreError>(())
        };
        let compacted = match recoder {
            None => log.compact(segment, settled, settled, &is_live, relocate),
            Some(recoder) => log.recode(segment, settled, settled, &is_live, recoder, relocate),
        };
        self.log = Some(log);
        self.must("compact", compacted)?;
        self.check_counts()?;
        self.note_removed(segment)
    }

    fn relocate(&mut self, moved: &Moved) {
        for live in self.model.live.values_mut() {
            if live.blob.key == moved.key && live.blob.place == moved.from {
                live.blob.place = moved.to;
                live.blob.encoding = moved.encoding;
                live.blob.stored_size = moved.stored_size;
            }
        }
    }

    pub fn drop_dead(&mut self) -> Outcome {
        let live = self.model.live.values();
        let live: BTreeSet<u64> = live.map(|live| live.blob.place.segment()).collect();
        let is_live = |segment| Ok::<bool, StoreError>(live.contains(&segment));
        let covered = self.model.last_lsn;
        let dropped = self.log().drop_dead(covered, covered, &is_live);
        for segment in self.must("drop", dropped)? {
            self.note_removed(segment)?;
        }
        Ok(())
    }

    /// A pack was removed: its file and what is not in the log any more must not come back.
    fn note_removed(&mut self, segment: u64) -> Outcome {
        self.model
            .gone
            .insert(Path::new(ROOT).join(format!("segments/{segment:016x}.seg")));
        let present = self.present()?;
        self.forget_absent(&present, self.log().horizon())
    }

    /// Ends the process in good order, and starts it again.
    pub fn restart(&mut self) -> Outcome {
        self.log = None;
        self.open()
    }

    /// Kills the process where it is, and starts it again.
    pub fn kill(&mut self) -> Outcome {
        self.log = None;
        self.disk = self.disk.after_kill();
        self.open()
    }

    /// Resources that have a live arrival.
    pub fn resources(&self) -> Vec<u64> {
        self.model.live.keys().copied().collect()
    }
}

type Present = BTreeMap<Lsn, (Fact, Option<BlobRef>)>;

fn path_of(key: &BlobKey) -> PathBuf {
    Path::new(ROOT).join(format!("blobs/{:02x}/{key}.blob", key.0[0]))
}
