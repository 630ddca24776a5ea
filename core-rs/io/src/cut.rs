//! A disk whose power can be cut.
//!
//! Every file keeps what is durable beside what readers see, and every folder the name changes that
//! no sync has covered. [`CutDisk::survive`] then builds a disk as it may look when the power
//! returns: each change that was not synced kept, dropped or torn at sector bounds, in any
//! combination. The model is harsher than most file systems and never kinder: a file's sync does
//! not make its name durable, and nothing is ordered but what a sync ordered.
//!
//! It assumes what databases on disks assume: a sector is written whole or not at all, and writing
//! one sector does not harm its neighbours.

mod content;
mod names;
mod random;

use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::memory::{read_only, refuse, to_index};
use crate::{Disk, DiskFile, Open, SyncSite};
use content::Content;
use names::{Entry, Names};
use random::Random;

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// Sectors kept as a sample of what was ever written: unwritten space may show them again.
const STALE_SECTORS: usize = 64;

/// Where the power is cut. Counting starts at 1 with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// At the n-th sync of a file or folder, which then has made nothing durable for certain.
    AtSync(u64),
    /// At the n-th change (write, length, name, sync), which may still have happened in part.
    AtOperation(u64),
}

/// What of the changes that were not synced is there when the power returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// All of them: every byte reached the disk in time.
    Everything,
    /// None of them.
    Nothing,
    /// What the seed decides: file by file all, none, those before some moment, a random set of the
    /// writes, or a random age of every sector; the same for names.
    Seeded(u64),
}

/// A file system in memory whose power can be cut; see the module. Clones share it.
///
/// # Examples
///
/// ```
/// # use std::{io::IoSlice, path::Path};
/// # use vna_io::{Cut, CutDisk, Disk, Open, Survival, SyncSite};
/// let disk = CutDisk::new();
/// let path = Path::new("/a");
/// let file = disk.open(path, Open::CreateNew)?;
/// disk.sync_dir(Path::new("/"), SyncSite("name"))?;
/// file.write_all_at(&[IoSlice::new(b"never synced")], 0)?;
/// let after = disk.survive(Survival::Nothing);
/// assert_eq!(after.open(path, Open::Read)?.len()?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct CutDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    contents: Vec<Content>,
    locked: Vec<bool>,
    names: Names,
    operations: u64,
    sync_log: Vec<SyncSite>,
    cut: Option<Cut>,
    kill_at: Option<u64>,
    stopped: Option<Stopped>,
    skipped: Option<SyncSite>,
    failing_sync: Option<u64>,
    failing_site: Option<SyncSite>,
    capacity: Option<u64>,
    stale: Vec<[u8; SECTOR_BYTES]>,
}

/// Why nothing works any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    Cut,
    Killed,
}

impl CutDisk {
    /// An empty disk that works until it is told otherwise.
    pub fn new() -> CutDisk {
        CutDisk::default()
    }

    /// Plans a power cut: that operation and every later one, reads too, fails.
    pub fn cut_at(&self, cut: Cut) {
        self.state.lock().cut = Some(cut);
    }

    /// Plans that the process is killed at the n-th change: it and everything later fails, and what
    /// was written is still there for [`after_kill`](CutDisk::after_kill).
    pub fn kill_at(&self, operation: u64) {
        self.state.lock().kill_at = Some(operation);
    }

    /// From now on the syncs of this site say "done" and do nothing. The mutation is inherited by
    /// the disks that [`survive`](CutDisk::survive) and [`after_kill`](CutDisk::after_kill) return.
    pub fn skip_syncs_at(&self, site: SyncSite) {
        self.state.lock().skipped = Some(site);
    }

    /// Makes the n-th sync (from 1, counted from the start) fail as a broken disk does: what it
    /// should have written may or may not be there, and no later sync writes it.
    pub fn fail_sync(&self, n: u64) {
        self.state.lock().failing_sync = Some(n);
    }

    /// Makes the next sync of this site fail, as [`fail_sync`](CutDisk::fail_sync) does.
    pub fn fail_next_sync_at(&self, site: SyncSite) {
        self.state.lock().failing_site = Some(site);
    }

    /// Bounds the sum of all file lengths. A write beyond it is done in part, then refused with
    /// [`ErrorKind::StorageFull`].
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Changes so far: writes, lengths, names and syncs.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// The site of every sync so far, in order; the n-th is what [`Cut::AtSync`] calls n.
    pub fn sync_log(&self) -> Vec<SyncSite> {
        self.state.lock().sync_log.clone()
    }

    /// Whether the power was cut.
    pub fn is_cut(&self) -> bool {
        self.state.lock().stopped == Some(Stopped::Cut)
    }

    /// Whether the process was killed.
    pub fn is_killed(&self) -> bool {
        self.state.lock().stopped == Some(Stopped::Killed)
    }

    /// The sum of all file lengths.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// The disk as it may look when the power returns. The same survival gives the same disk.
    pub fn survive(&self, survival: Survival) -> CutDisk {
        let state = self.state.lock();
        let seed = if let Survival::Seeded(seed) = survival {
            seed
        } else {
            0
        };
        let mut random = Random::new(seed);
        let contents: Vec<Content> = state
            .contents
            .iter()
            .map(|content| content.survive(survival, &mut random, &state.stale))
            .collect();
        CutDisk::from_state(State {
            locked: vec![false; contents.len()],
            contents,
            names: state.names.survive(survival, &mut random),
            skipped: state.skipped,
            capacity: state.capacity,
            stale: state.stale.clone(),
            ..State::default()
        })
    }

    /// The disk as the next process finds it when this one is killed: all that was written can be
    /// read, and what was not synced is still not durable. Handles of the old process lose their
    /// effect on it. Counts go on, and so does a cut or kill that is planned for later.
    pub fn after_kill(&self) -> CutDisk {
        let state = self.state.lock();
        CutDisk::from_state(State {
            locked: vec![false; state.contents.len()],
            contents: state.contents.clone(),
            names: state.names.clone(),
            operations: state.operations,
            sync_log: state.sync_log.clone(),
            cut: state.cut,
            kill_at: state.kill_at.filter(|at| *at > state.operations),
            failing_sync: state.failing_sync,
            skipped: state.skipped,
            capacity: state.capacity,
            stale: state.stale.clone(),
            ..State::default()
        })
    }

    fn from_state(state: State) -> CutDisk {
        CutDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl State {
    fn check_power(&self) -> io::Result<()> {
        match self.stopped {
            None => Ok(()),
            Some(Stopped::Cut) => Err(io::Error::other("the power is cut")),
            Some(Stopped::Killed) => Err(io::Error::other("the process is killed")),
        }
    }

    /// Does one change. The one at which the power is cut takes place (nothing of it is durable, so
    /// it may be kept, dropped or torn), but its caller does not hear of it.
    fn change<T>(&mut self, work: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        self.check_power()?;
        self.operations += 1;
        let result = work(self, self.operations);
        if self.cut == Some(Cut::AtOperation(self.operations)) {
            self.stopped = Some(Stopped::Cut);
        } else if self.kill_at == Some(self.operations) {
            self.stopped = Some(Stopped::Killed);
        }
        self.check_power()?;
        result
    }

    /// Does one sync with `make_durable`, or does not, as planned.
    fn sync(
        &mut self,
        site: SyncSite,
        make_durable: impl FnOnce(&mut State),
        fail: impl FnOnce(&mut State),
    ) -> io::Result<()> {
        self.check_power()?;
        self.operations += 1;
        self.sync_log.push(site);
        let count = self.sync_log.len() as u64;
        let cut_here = [Cut::AtSync(count), Cut::AtOperation(self.operations)];
        if self.cut.is_some_and(|cut| cut_here.contains(&cut)) {
            self.stopped = Some(Stopped::Cut);
        } else if self.kill_at == Some(self.operations) {
            self.stopped = Some(Stopped::Killed);
        }
        self.check_power()?;
        let fails_here = self
            .failing_site
            .take_if(|failing| *failing == site)
            .is_some();
        if self.failing_sync == Some(count) || fails_here {
            fail(self);
            return Err(io::Error::other(format!(
                "cannot sync ({site}): injected failure"
            )));
        }
        if self.skipped != Some(site) {
            make_durable(self);
        }
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        self.names
            .files()
            .map(|file| self.contents[file].len() as u64)
            .sum()
    }

    fn free_bytes(&self) -> u64 {
        self.capacity
            .unwrap_or(u64::MAX / 2)
            .saturating_sub(self.used_bytes())
    }

    /// Writes `part`, or as much of it as the capacity leaves room for.
    fn write(&mut self, file: usize, part: &[u8], offset: usize, operation: u64) -> io::Result<()> {
        let growth = (offset + part.len()).saturating_sub(self.contents[file].len());
        let missing = (growth as u64).saturating_sub(self.free_bytes());
        let fits = part
            .len()
            .saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
        if fits > 0 {
            self.contents[file].write(&part[..fits], offset, operation);
        }
        for sector in part.chunks_exact(SECTOR_BYTES).take(2) {
            let slot = usize::try_from(operation).unwrap_or(0) % STALE_SECTORS;
            let mut kept = [0; SECTOR_BYTES];
            kept.copy_from_slice(sector);
            match self.stale.get_mut(slot) {
                Some(old) => *old = kept,
                None => self.stale.push(kept),
            }
        }
        if missing > 0 {
            return Err(io::Error::new(
                ErrorKind::StorageFull,
                "the disk's set capacity is used",
            ));
        }
        Ok(())
    }
}

impl Disk for CutDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.check_power()?;
        let file = match state.names.get(path) {
            Some(Entry::Folder) => return Err(refuse(ErrorKind::IsADirectory, "open", path)),
            Some(Entry::File(_)) if how == Open::CreateNew => {
                return Err(refuse(ErrorKind::AlreadyExists, "make", path));
            }
            Some(Entry::File(file)) => file,
            None if matches!(how, Open::Read | Open::Write) => {
                return Err(refuse(ErrorKind::NotFound, "open", path));
            }
            None => state.change(|state, operation| {
                state.names.check_parent(path, "make")?;
                let file = state.contents.len();
                state.contents.push(Content::default());
                state.locked.push(false);
                state.names.link(path, Entry::File(file), operation);
                Ok(file)
            })?,
        };
        Ok(Arc::new(CutFile {
            state: Arc::clone(&self.state),
            file,
            writable: how != Open::Read,
            holds_lock: Mutex::new(false),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state
            .lock()
            .change(|state, operation| state.names.rename(from, to, operation))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state
            .lock()
            .change(|state, operation| state.names.unlink(path, operation))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.state.lock().change(|state, operation| {
            state.names.check_parent(path, "make folder")?;
            if state.names.get(path).is_some() {
                return Err(refuse(ErrorKind::AlreadyExists, "make folder", path));
            }
            state.names.link(path, Entry::Folder, operation);
            Ok(())
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.check_power()?;
        state.names.list(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.names.get(path).is_some())
    }

    fn sync_dir(&self, folder: &Path, site: SyncSite) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check_power()?;
        state.names.list(folder)?; // it must exist
        // After a failed sync of a folder its changes stay what they were: not durable.
        state.sync(site, |state| state.names.sync(folder), |_| ())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.free_bytes())
    }
}

struct CutFile {
    state: Arc<Mutex<State>>,
    file: usize,
    writable: bool,
    holds_lock: Mutex<bool>,
}

impl CutFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(read_only())
        }
    }
}

impl DiskFile for CutFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.contents[self.file].read(buffer, offset))
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let offset = to_index(offset)?;
        // One call is one write, however many parts it has: they are joined before they are kept.
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.state
            .lock()
            .change(|state, operation| state.write(self.file, &bytes, offset, operation))
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.contents[self.file].len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        let length = to_index(length)?;
        self.state.lock().change(|state, operation| {
            let growth = length.saturating_sub(state.contents[self.file].len());
            if growth as u64 > state.free_bytes() {
                return Err(io::Error::new(
                    ErrorKind::StorageFull,
                    "set capacity is used",
                ));
            }
            state.contents[self.file].set_len(length, operation);
            Ok(())
        })
    }

    fn sync_data(&self, site: SyncSite) -> io::Result<()> {
        let file = self.file;
        self.state.lock().sync(
            site,
            |state| state.contents[file].sync(),
            |state| state.contents[file].fail_sync(),
        )
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.state.lock();
        state.check_power()?;
        let mut holds_lock = self.holds_lock.lock();
        if !*holds_lock && !state.locked[self.file] {
            state.locked[self.file] = true;
            *holds_lock = true;
        }
        Ok(*holds_lock)
    }
}

impl Drop for CutFile {
    fn drop(&mut self) {
        if *self.holds_lock.get_mut() {
            self.state.lock().locked[self.file] = false;
        }
    }
}
