//! Finished thumbnails on the disk.
//!
//! A cache, and nothing but that: what cannot be written or read back is rendered once more.
//!
//! 1. It takes no more bytes than it is given, and none of the last that the disk has.
//! 2. A file is found by the key of the blob that the picture is of, and by all that the picture depends on. Keys of blobs
//!    are never given twice, so nothing that was replaced or deleted can be found by who looks for what is there now.
//! 3. What is read was written by us, whole, for this name: else it is removed and counts as not there.
//! 4. When a blob goes, its thumbnails go.
//!
//! Files are of the generation in which they were last used, an eighth of the cache each. When the last generation is full,
//! a new one begins and the oldest goes. So much used files stay, without a record of when each was used.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vna_io::{Disk, Open};
use vna_store::{BlobKey, Digest};

use crate::settings::Settings;

/// Generations that there are at most.
const GENERATIONS: u64 = 8;

/// What files take on the disk is counted in blocks of so many bytes.
const BLOCK_BYTES: u64 = 4096;

/// Longest thumbnail that is kept.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The cache shrinks rather than grows if the disk has less room than this.
const LEAST_FREE_BYTES: u64 = 256 << 20;

/// What stands before a picture: the digest of its name and its bytes.
const HEAD_BYTES: usize = 16;

/// What a thumbnail is of, and how it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ThumbnailKey {
    /// The blob that it is of.
    pub blob: BlobKey,
    /// Digest of everything else that it depends on.
    pub made: Digest,
}

impl ThumbnailKey {
    fn name(&self, generation: u64) -> String {
        let made = u128::from_be_bytes(self.made.0);
        format!("{generation:012x}-{}-{made:032x}", self.blob)
    }
}

/// The generation and the blob that a name tells; `None` of a file that is not a finished thumbnail.
fn parse(name: &str) -> Option<(u64, BlobKey)> {
    let mut parts = name.split('-');
    let generation = u64::from_str_radix(parts.next()?, 16).ok()?;
    let blob = BlobKey::parse(parts.next()?)?;
    Some((generation, blob))
}

/// The folder of thumbnails.
pub(crate) struct ThumbnailCache {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    limit: u64,
    /// `None` until it was looked at.
    state: Mutex<Option<State>>,
    counters: Counters,
    names: AtomicU64,
}

/// Bytes of each generation.
#[derive(Default)]
struct State {
    generations: BTreeMap<u64, u64>,
}

impl State {
    fn newest(&self) -> u64 {
        self.generations.keys().next_back().copied().unwrap_or(0)
    }

    fn bytes(&self) -> u64 {
        self.generations.values().sum()
    }
}

/// What happened in the cache since the start.
#[derive(Default)]
pub(crate) struct Counters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub evicted: AtomicU64,
    /// Files that were damaged, or could not be read, written or removed.
    pub failures: AtomicU64,
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl ThumbnailCache {
    /// The cache of an archive, below its folder.
    pub fn of_archive(disk: &Arc<dyn Disk>, settings: &Settings) -> Self {
        let folder = settings.storage.root.join("cache").join("thumbnails");
        let limit = settings.pictures.thumbnail_cache_bytes;
        Self::new(Arc::clone(disk), folder, limit)
    }

    /// A cache in `folder` of at most `limit` bytes; 0: none. Nothing is read or made before its first use.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf, limit: u64) -> Self {
        ThumbnailCache {
            disk,
            folder,
            limit,
            state: Mutex::default(),
            counters: Counters::default(),
            names: AtomicU64::new(0),
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that it takes, as far as it was looked at.
    pub fn bytes(&self) -> u64 {
        self.state.lock().as_ref().map_or(0, State::bytes)
    }

    /// The picture of this key, if it is there.
    pub fn get(&self, key: &ThumbnailKey) -> Option<Vec<u8>> {
        if self.limit == 0 {
            return None;
        }
        let (newest, oldest) = {
            let mut state = self.state.lock();
            let state = self.opened(&mut state)?;
            let oldest = state.generations.keys().next().copied();
            (state.newest(), oldest.unwrap_or(0))
        };
        for generation in (oldest..=newest).rev() {
            let Some(picture) = self.read(key, generation) else {
                continue;
            };
            if generation != newest {
                self.renew(key, (generation, newest), picture.len() as u64);
            }
            count(&self.counters.hits, 1);
            return Some(picture);
        }
        count(&self.counters.misses, 1);
        None
    }

    fn read(&self, key: &ThumbnailKey, generation: u64) -> Option<Vec<u8>> {
        let path = self.folder.join(key.name(generation));
        match self.read_file(key, &path) {
            Ok(picture) => Some(picture),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => {
                count(&self.counters.failures, 1);
                let _ = self.disk.remove(&path);
                None
            }
        }
    }

    fn read_file(&self, key: &ThumbnailKey, path: &std::path::Path) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path, Open::Read)?;
        let length = file.len()?;
        if length > MAX_FILE_BYTES + HEAD_BYTES as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        let Some((head, picture)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if Digest(*head) != digest(key, picture) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(bytes.split_off(HEAD_BYTES))
    }

    /// Moves a file that was used into the last generation.
    fn renew(&self, key: &ThumbnailKey, (from, to): (u64, u64), length: u64) {
        let old = self.folder.join(key.name(from));
        let new = self.folder.join(key.name(to));
        if self.disk.rename(&old, &new).is_err() {
            return; // another request was faster
        }
        let bytes = on_disk(length);
        let mut state = self.state.lock();
        if let Some(state) = &mut *state {
            if let Some(left) = state.generations.get_mut(&from) {
                *left = left.saturating_sub(bytes);
            }
            *state.generations.entry(to).or_default() += bytes;
        }
    }

    /// Keeps a picture.
    pub fn put(&self, key: &ThumbnailKey, picture: &[u8]) {
        let bytes = on_disk(picture.len() as u64);
        if self.limit == 0 || picture.len() as u64 > MAX_FILE_BYTES || bytes > self.limit / 2 {
            return;
        }
        let free = self.disk.free_bytes(&self.folder);
        if free.is_ok_and(|free| free < LEAST_FREE_BYTES.saturating_add(bytes)) {
            self.shrink();
            return;
        }
        let Some(generation) = self.make_room(bytes) else {
            return;
        };
        if let Err(error) = self.write(key, generation, picture) {
            count(&self.counters.failures, 1);
            tracing::warn!(error = %error, "a thumbnail cannot be kept");
            if error.kind() == io::ErrorKind::StorageFull {
                self.shrink();
            }
        }
    }

    fn write(&self, key: &ThumbnailKey, generation: u64, picture: &[u8]) -> io::Result<()> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("new.{number}"));
        let head = digest(key, picture).0;
        let write = || {
            let file = self.disk.open(&unfinished, Open::Create)?;
            file.set_len(0)?;
            file.write_all_at(&[IoSlice::new(&head), IoSlice::new(picture)], 0)?;
            // Not synced: what a power cut leaves of it is known by its digest.
            let name = self.folder.join(key.name(generation));
            self.disk.rename(&unfinished, &name)
        };
        let written = write();
        if written.is_err() {
            let _ = self.disk.remove(&unfinished);
        }
        written
    }

    /// Makes room for `bytes` in the last generation, or in a new one, and counts them.
    fn make_room(&self, bytes: u64) -> Option<u64> {
        let mut locked = self.state.lock();
        let state = self.opened(&mut locked)?;
        let newest = state.newest();
        let held = state.generations.get(&newest).copied().unwrap_or(0);
        let share = self.limit / GENERATIONS;
        let generation = if held > 0 && held + bytes > share {
            newest + 1
        } else {
            newest
        };
        *state.generations.entry(generation).or_default() += bytes;
        while state.bytes() > self.limit || state.generations.len() as u64 > GENERATIONS {
            if !self.evict(state) {
                break;
            }
        }
        Some(generation)
    }

    /// Removes the oldest generation, if it is not the only one.
    fn evict(&self, state: &mut State) -> bool {
        let Some((oldest, _)) = state.generations.first_key_value() else {
            return false;
        };
        let oldest = *oldest;
        if oldest == state.newest() {
            return false;
        }
        state.generations.remove(&oldest);
        self.remove(|generation, _| generation <= oldest);
        true
    }

    /// Gives up half of what is kept, for the disk has no room.
    fn shrink(&self) {
        let mut locked = self.state.lock();
        let Some(state) = self.opened(&mut locked) else {
            return;
        };
        let newest = state.newest();
        state.generations.entry(newest + 1).or_default();
        let wanted = state.bytes() / 2;
        while state.bytes() > wanted && self.evict(state) {}
    }

    /// Removes the thumbnails of blobs that are gone.
    pub fn forget(&self, blobs: &[BlobKey]) {
        if self.limit == 0 || blobs.is_empty() || !self.disk.exists(&self.folder).unwrap_or(false) {
            return;
        }
        let gone: HashSet<&BlobKey> = blobs.iter().collect();
        // What they took stays counted until their generation goes.
        self.remove(|_, blob| gone.contains(blob));
    }

    fn remove(&self, is_meant: impl Fn(u64, &BlobKey) -> bool) {
        let Ok(names) = self.disk.list(&self.folder) else {
            count(&self.counters.failures, 1);
            return;
        };
        for name in names {
            if parse(&name).is_some_and(|(generation, blob)| is_meant(generation, &blob)) {
                match self.disk.remove(&self.folder.join(&name)) {
                    Ok(()) => count(&self.counters.evicted, 1),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => count(&self.counters.failures, 1),
                }
            }
        }
    }

    /// What is in the folder; looked at once, when it is used for the first time.
    fn opened<'a>(&self, state: &'a mut Option<State>) -> Option<&'a mut State> {
        if state.is_none() {
            match self.look() {
                Ok(found) => *state = Some(found),
                Err(error) => {
                    count(&self.counters.failures, 1);
                    tracing::warn!(error = %error, "thumbnails cannot be kept");
                }
            }
        }
        state.as_mut()
    }

    fn look(&self) -> io::Result<State> {
        self.disk.create_dir_all(&self.folder)?;
        let mut state = State::default();
        for name in self.disk.list(&self.folder)? {
            let path = self.folder.join(&name);
            let Some((generation, _)) = parse(&name) else {
                let _ = self.disk.remove(&path); // half written, or none of ours
                continue;
            };
            let length = self
                .disk
                .open(&path, Open::Read)
                .and_then(|file| file.len());
            let bytes = on_disk(length.unwrap_or(0));
            *state.generations.entry(generation).or_default() += bytes;
        }
        // A smaller limit than before holds at once.
        if state.bytes() > self.limit {
            let next = state.newest() + 1;
            state.generations.insert(next, 0);
            while state.bytes() > self.limit && self.evict(&mut state) {}
        }
        Ok(state)
    }
}

fn on_disk(length: u64) -> u64 {
    (length + HEAD_BYTES as u64).next_multiple_of(BLOCK_BYTES)
}

fn digest(key: &ThumbnailKey, picture: &[u8]) -> Digest {
    Digest::of_parts(&[&key.blob.0, &key.made.0, picture])
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
