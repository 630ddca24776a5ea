//! One open archive: log, index and the committer between them.
//!
//! Cites the invariants of ARCHITECTURE.md:
//! (1) answered after the sync and the commit, kept by the committer;
//! (2) bytes go after a synced commit of the rows' end, kept by `housekeeping`;
//! (4) the tail of the log that the index does not cover is replayed at open.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use vna_codec::Codecs;
use vna_dicom::{Identity, Instance, Level, PublicId, read_instance};
use vna_index::{Ids, Index, Located, Origin};
use vna_io::{Disk, DiskFile};
use vna_store::{Digest, Log, StoreError};

use crate::archives::Archives;
use crate::arrival::{ArrivalHeader, DeletionHeader, Duplicates, now_us};
use crate::arriving::check_ingest_transcoding;
use crate::attachments::Md5s;
use crate::committer::{Answer, CommitCounters, Committer, Deed, File, Reply, Work};
use crate::dimse::SpoolPool;
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::events::Teller;
use crate::ground::Ground;
use crate::histogram::Histogram;
use crate::housekeeping::{
    CompactedPack, GivenUp, Housekeeping, Keeper, RecompressPolicy, RecompressStep, ToRecompress,
    Trash, given_up,
};
use crate::notes;
use crate::pictures::{Pictures, ThumbnailCache};
use crate::replay::Replayed;
use crate::room::{Recycling, Room};
use crate::settings::{Settings, StorageSettings};
use crate::stored_file::{StoredFile, StoredFiles};
use crate::transcode::SpoolSettings;
use crate::web::Web;

/// Bytes of frames that all transcodings hold in memory unless the settings say otherwise.
const HELD_BYTES: u64 = 64 << 20;

/// The tenant of an archive that has not been divided.
pub const DEFAULT_TENANT: i64 = vna_index::DEFAULT_TENANT;

/// Between two looks whether the index has taken what was appended.
const SPARING_PAUSE: Duration = Duration::from_millis(1);

const US_PER_HOUR: i64 = 3600 * 1_000_000;
const US_PER_DAY: i64 = 24 * US_PER_HOUR;

/// An open archive. Dropping it without [`Archive::stop`] loses nothing that was answered.
pub struct Archive {
    disk: Arc<dyn Disk>,
    settings: Settings,
    log: Arc<Log>,
    index: Arc<dyn Index>,
    pictures: Arc<Pictures>,
    archives: Arc<Archives>,
    web: Web,
    files: Arc<StoredFiles>,
    spool: SpoolSettings,
    spools: SpoolPool,
    pub(crate) committer: Arc<Committer>,
    pub(crate) keeper: Arc<Keeper>,
    housekeeping: Mutex<Option<Housekeeping>>,
    teller: Mutex<Option<Teller>>,
    recycling: Arc<Recycling>,
    /// From the whole of a C-STORE request to its answer.
    pub(crate) c_stores: Histogram,
    /// Requests over HTTP that were answered without the application.
    pub(crate) plain_requests: Histogram,
    replayed: Replayed,
    /// Of files of instances.
    pub(crate) md5s: Md5s,
    /// Holds the lock that refuses a second opener.
    _lock: Arc<dyn DiskFile>,
}

impl Archive {
    /// Opens the archive in `settings.storage.root`, which is made if missing, and lets the index catch
    /// up with the log.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Locked`] if another process has it open; else what log or index say.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<Self, ArchiveError> {
        check_ingest_transcoding(&settings.storage)?;
        let ground = Ground::open(&disk, &settings)?;
        let replayed = ground.catch_up(&mut |_| {})?;
        let Ground {
            lock,
            index,
            log,
            files,
            ..
        } = ground;
        let trash = Arc::new(Trash::default());
        let keep = &settings.storage.keep;
        let recycling = Arc::new(Recycling::default());
        let room = Room::of(keep, Arc::clone(&index), Arc::clone(&recycling));
        let committer = Committer::start(
            Arc::clone(&log),
            Arc::clone(&index),
            Arc::clone(&trash),
            room,
            keep.read_only,
        )
        .map_err(|source| ArchiveError::Io {
            doing: "starting the committer",
            source,
        })?;
        let committer = Arc::new(committer);
        let recorder = notes::through(Arc::clone(&committer));
        let thumbnails = Arc::new(ThumbnailCache::of_archive(&disk, &settings));
        let spool = spool_settings(&settings, &log);
        let keeper = Keeper::new(Arc::clone(&files), Arc::clone(&index), trash, recorder)
            .with_thumbnails(Arc::clone(&thumbnails))
            .with_spool(spool.clone());
        let keeper = Arc::new(keeper);
        let housekeeping = Mutex::new(None);
        let codecs = Arc::clone(files.codecs());
        let memory_bytes = settings.pictures.memory_bytes;
        let pictures = Arc::new(Pictures::new(codecs, thumbnails, memory_bytes));
        let archives = Arc::new(Archives::new(&settings.archives));
        let web = Web::new(&settings);
        let spool_bytes = settings.limits.spool_bytes;
        let spools = SpoolPool::new(usize::try_from(spool_bytes).unwrap_or(usize::MAX));
        Ok(Self {
            disk,
            settings,
            log,
            index,
            pictures,
            archives,
            web,
            files,
            spool,
            spools,
            committer,
            keeper,
            housekeeping,
            teller: Mutex::new(None),
            recycling,
            c_stores: Histogram::default(),
            plain_requests: Histogram::default(),
            replayed,
            md5s: Md5s::default(),
            _lock: lock,
        })
    }

    /// Lets recycling begin. Until then arrivals that need room are refused: whoever calls this has
    /// [spared](Self::spare) what must not go.
    pub fn start_recycling(&self) {
        self.recycling.may_begin.store(true, Ordering::Release);
    }

    /// Lets recycling spare the patients of instances, given by tenant, SOP Instance UID and until when at least. What goes
    /// all the same, since that was decided before, has gone when this returns. Gives how many of them were there.
    ///
    /// # Errors
    ///
    /// What the index says; [`ArchiveError::Behind`].
    pub fn spare(&self, instances: &[(i64, String, i64)]) -> Result<u64, ArchiveError> {
        let found = self.index.spare(instances)?;
        drop(self.recycling.deciding.lock());
        let decided = self.recycling.decided.load(Ordering::Acquire);
        while self.index.covered_lsn() < decided {
            if self.committer.is_behind() {
                return Err(ArchiveError::Behind);
            }
            std::thread::sleep(SPARING_PAUSE);
        }
        Ok(found)
    }

    /// Refuses if nothing may be taken in, before anything is received in vain.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::ReadOnly`].
    pub fn check_writable(&self) -> Result<(), ArchiveError> {
        match self.settings.storage.keep.read_only {
            true => Err(ArchiveError::ReadOnly),
            false => Ok(()),
        }
    }

    /// Begins to tidy up in the background, and to tell what went quiet, until [`Archive::stop`].
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] if the system gives no thread.
    pub fn start_housekeeping(&self) -> Result<(), ArchiveError> {
        let mut housekeeping = self.housekeeping.lock();
        if housekeeping.is_none() {
            let storage = &self.settings.storage;
            let policy = storage.recompress.map(|method| RecompressPolicy {
                method,
                age_us: i64::from(storage.recompress_after_days) * US_PER_DAY,
            });
            let started = Housekeeping::start(Arc::clone(&self.keeper), policy);
            *housekeeping = Some(started.map_err(|source| ArchiveError::Io {
                doing: "starting the housekeeping",
                source,
            })?);
        }
        let mut teller = self.teller.lock();
        let keep = &self.settings.storage.keep;
        if teller.is_none() && !keep.read_only {
            let (index, committer) = (Arc::clone(&self.index), Arc::clone(&self.committer));
            let started = Teller::start(index, committer, keep.stable_age_s);
            *teller = Some(started.map_err(|source| ArchiveError::Io {
                doing: "starting to tell what went quiet",
                source,
            })?);
        }
        Ok(())
    }

    /// Tidies up once, as of `now_us`: rows of deleted resources whose time has come, expired versions, dead bytes,
    /// packs that are mostly dead.
    ///
    /// # Errors
    ///
    /// What index and log say; the rest is done the next time.
    pub fn tidy(&self, now_us: i64) -> Result<(), ArchiveError> {
        self.keeper.expire(now_us)?;
        self.keeper.tidy(now_us)?;
        self.keeper.compact()
    }

    /// Rewrites now what holds dead bytes: packs of which less than `below_percent` is live, or with 100 all that
    /// hold any. What has expired by `now_us` counts as dead.
    ///
    /// # Errors
    ///
    /// What index and log say. That a pack cannot be rewritten is no error but part of the answer.
    pub fn compact(
        &self,
        below_percent: u64,
        now_us: i64,
    ) -> Result<Vec<CompactedPack>, ArchiveError> {
        self.keeper.compact_now(below_percent, now_us)
    }

    /// Recompresses stored files, one pack of them.
    ///
    /// # Errors
    ///
    /// What index and log say. That a pack cannot be rewritten is no error but part of the answer.
    pub fn recompress(
        &self,
        wanted: &ToRecompress,
        now_us: i64,
    ) -> Result<RecompressStep, ArchiveError> {
        self.keeper.recompress_step(wanted, now_us)
    }

    /// What is held in the place of originals that were given up. Takes a look at every blob row.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn given_up(&self) -> Result<GivenUp, ArchiveError> {
        given_up(&*self.index)
    }

    /// Stores a PS3.10 file that is whole in memory. `reply` is called once it is safe, or with the reason.
    ///
    /// A large one is written to a file of its own, on this thread.
    pub fn store_file(&self, file: Vec<u8>, tenant: i64, origin: Origin, reply: Reply) {
        match self.prepare(file) {
            Ok((instance, file)) => self.store(instance, file, tenant, origin, reply),
            Err(error) => reply(Err(Arc::new(error))),
        }
    }

    fn prepare(&self, file: Vec<u8>) -> Result<(Instance, File), ArchiveError> {
        let instance = read_instance(&file)?;
        if file.len() as u64 <= self.settings.storage.large_object_bytes {
            return Ok((instance, File::in_memory(file)));
        }
        let mut writer = self.log.new_large_blob()?;
        writer.write(&file)?;
        Ok((instance, File::Large(writer.finish()?)))
    }

    /// Stores an instance whose head is known. `file` is its PS3.10 file.
    pub fn store(&self, instance: Instance, file: File, tenant: i64, origin: Origin, reply: Reply) {
        let storage = &self.settings.storage;
        let header = ArrivalHeader {
            tenant,
            at_us: now_us(),
            origin,
            duplicates: storage.duplicates,
            patient_issuers: storage.patient_issuers,
            keep_versions_us: self.keep_versions_us(),
            derived_from: None,
        };
        self.record_arrival(header, instance, file, reply);
    }

    /// Where an instance of this identity is live with these very bytes, if it is: then it need not be written again.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub(crate) fn stored_twin(
        &self,
        tenant: i64,
        identity: &Identity,
        digest: Digest,
        size: u64,
    ) -> Result<Option<Ids>, ArchiveError> {
        let StorageSettings {
            duplicates,
            patient_issuers,
            ..
        } = &self.settings.storage;
        if *duplicates == Duplicates::Always {
            return Ok(None);
        }
        let mut identity = Cow::Borrowed(identity);
        if !patient_issuers && !identity.issuer_of_patient_id.is_empty() {
            identity.to_mut().issuer_of_patient_id.clear();
        }
        let ids = vna_index::public_ids(&identity);
        let live = self.index.locate(tenant, &ids.instance)?;
        let is_same = |live: &Located| {
            live.blob.digest == digest.0
                && live.blob.plain_size == size
                && live.sop_instance_uid == identity.sop_instance_uid
        };
        Ok(live.is_some_and(|live| is_same(&live)).then_some(ids))
    }

    /// How long the losing version of a duplicate is kept.
    pub(crate) fn keep_versions_us(&self) -> i64 {
        i64::from(self.settings.storage.duplicate_retention_days) * US_PER_DAY
    }

    pub(crate) fn record_arrival(
        &self,
        header: ArrivalHeader,
        instance: Instance,
        file: File,
        reply: Reply,
    ) {
        // One that no group can take must not fail a group of others.
        let takes = self
            .log
            .check(file.buffered_bytes(), header.to_bytes().len());
        if let Err(error) = takes {
            reply(Err(Arc::new(error.into())));
            return;
        }
        let deed = Deed::Arrival {
            header,
            instance: Box::new(instance),
            file,
        };
        self.committer.submit(Work::new(deed, reply));
    }

    /// Records a deed and waits for what becomes of it.
    pub(crate) fn record(&self, deed: Deed) -> Answer {
        let (reply, answer) = mpsc::channel();
        let reply = Box::new(move |answer| drop(reply.send(answer)));
        self.committer.submit(Work::new(deed, reply));
        answer
            .recv()
            .unwrap_or_else(|_| Err(Arc::new(ArchiveError::Stopped)))
    }

    /// Deletes a resource and all below it. It can be brought back for as long as `storage.undelete_hours` says.
    pub fn delete(&self, tenant: i64, level: Level, public_id: PublicId, reply: Reply) {
        let header = DeletionHeader {
            tenant,
            at_us: now_us(),
            level: level.as_str().to_owned(),
            public_id: public_id.to_string(),
            keep_us: i64::from(self.settings.storage.undelete_hours) * US_PER_HOUR,
        };
        let deed = Deed::Deletion {
            header,
            level,
            public_id,
        };
        self.committer.submit(Work::new(deed, reply));
    }

    /// Says that the first bytes of a file are read soon: who reads many one after the other does not wait for each.
    pub(crate) fn will_read(&self, located: &Located, bytes: u64) {
        if let Ok(blob) = blob_ref(&located.blob) {
            self.log.will_read(&blob, bytes);
        }
    }

    /// Opens the file of a live instance: what it is now is what the reader gives, whatever happens to
    /// the instance meanwhile. `None` if there is no such instance.
    pub fn open_file(
        &self,
        tenant: i64,
        public_id: &PublicId,
    ) -> Result<Option<(Located, StoredFile)>, ArchiveError> {
        // A compaction may move the bytes between the two steps; the row then says where to.
        for _ in 0..3 {
            let Some(located) = self.index.locate(tenant, public_id)? else {
                return Ok(None);
            };
            match self.files.open(&blob_ref(&located.blob)?) {
                Ok(reader) => return Ok(Some((located, reader))),
                Err(ArchiveError::Store(StoreError::Gone { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(located) = self.index.locate(tenant, public_id)? else {
            return Ok(None);
        };
        let reader = self.files.open(&blob_ref(&located.blob)?)?;
        Ok(Some((located, reader)))
    }

    /// Opens the file of an instance that was located by its number, also of one that was deleted since. `None` if its bytes
    /// are gone, or others are in their place.
    ///
    /// # Errors
    ///
    /// What index and store say.
    pub(crate) fn open_member(
        &self,
        number: i64,
        located: &Located,
    ) -> Result<Option<StoredFile>, ArchiveError> {
        // A compaction may have moved the bytes since they were located; the row then says where to.
        let mut blob = located.blob.clone();
        for _ in 0..3 {
            match self.files.open(&blob_ref(&blob)?) {
                Err(ArchiveError::Store(StoreError::Gone { .. })) => {}
                opened => return opened.map(Some),
            }
            match self.index.locate_members(&[number])?.pop() {
                Some((_, located)) if located.blob.digest == blob.digest => blob = located.blob,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The index, for reading.
    pub fn index(&self) -> &dyn Index {
        &*self.index
    }

    /// The log, for reading and for large blobs.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Stored files by their blobs, for reading.
    pub fn files(&self) -> &Arc<StoredFiles> {
        &self.files
    }

    /// All codecs, with bounded memory.
    pub fn codecs(&self) -> &Arc<Codecs> {
        self.files.codecs()
    }

    /// Where encoded frames wait until they leave: in memory as far as `[codecs]` allows, then on the archive's disk.
    pub fn spool_settings(&self) -> SpoolSettings {
        self.spool.clone()
    }

    /// What makes pictures of its frames.
    pub fn pictures(&self) -> &Arc<Pictures> {
        &self.pictures
    }

    /// What makes ZIP archives of it.
    pub fn archives(&self) -> &Arc<Archives> {
        &self.archives
    }

    /// Where what arrives waits in memory, whichever way it comes.
    pub(crate) fn spools(&self) -> &SpoolPool {
        &self.spools
    }

    /// What DICOMweb sends of it.
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// The disk that it is on.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The settings that it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the index had to catch up with when it was opened.
    pub fn replayed(&self) -> &Replayed {
        &self.replayed
    }

    /// Whether arrivals can be stored.
    pub fn is_ready(&self) -> bool {
        !self.committer.is_behind()
    }

    /// Counters of the group commit.
    pub fn commits(&self) -> &CommitCounters {
        self.committer.counters()
    }

    /// Finishes what was handed over, makes the index durable, and ends the threads.
    ///
    /// # Errors
    ///
    /// What the index says; it then catches up at the next opening.
    pub fn stop(&self) -> Result<(), ArchiveError> {
        self.end_threads();
        self.index.checkpoint()?;
        Ok(())
    }

    fn end_threads(&self) {
        if let Some(housekeeping) = self.housekeeping.lock().take() {
            housekeeping.stop();
        }
        if let Some(teller) = self.teller.lock().take() {
            teller.stop();
        }
        self.committer.stop();
    }
}

/// Files of the spool leave the disk what the log keeps back: deletions need it.
fn spool_settings(settings: &Settings, log: &Arc<Log>) -> SpoolSettings {
    let memory_bytes = settings.codecs.held_bytes.unwrap_or(HELD_BYTES);
    let log = Arc::downgrade(log); // a transcoding may outlive the archive, whose lock the log has
    let check = move |bytes| match log.upgrade() {
        Some(log) => Ok(log.check_room(bytes)?),
        None => Err(ArchiveError::Stopped),
    };
    SpoolSettings::new(memory_bytes, settings.storage.root.clone()).with_check(check)
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.end_threads(); // they hold log and index, and with them the locks
    }
}
