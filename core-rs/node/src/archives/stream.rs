//! An archive on its way: units are begun ahead, and given in their order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Crc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::dicomdir::{self, About, DicomDir, OnMedium};
use super::names::file_id;
use super::plan::{Names, Plan};
use super::unit::{self, Data, Instance, Made, UNIT_BYTES};
use super::zip::{Ahead, Method, Sizes, ZipWriter};
use super::{Archives, MakingProblem, Request};
use crate::archive::Archive;
use crate::error::ArchiveError;

/// Instances that are located at a time.
const PAGE: usize = 256;

/// Bytes of each directory that are held; the others wait in a file without a name.
const HELD_DIRECTORY: u64 = 4 << 20;

/// How long an archive waits for the memory that others have.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How far an archive is; read by whoever likes.
#[derive(Debug, Default)]
pub struct Progress {
    /// Instances that it will hold.
    pub instances: AtomicU64,
    /// Bytes of their files.
    pub bytes: AtomicU64,
    /// Instances whose bytes were given.
    pub done: AtomicU64,
    /// Bytes of the archive that were given.
    pub given: AtomicU64,
    /// Instances that there was no way to transcode, and that are in it as they are stored.
    pub left: AtomicU64,
}

/// An archive that is made while it is read, from its beginning to its end. Dropped, it begins no more work.
pub struct Making {
    archives: Arc<Archives>,
    work: Arc<unit::Making>,
    progress: Arc<Progress>,
    plan: Plan,
    /// The next instance: of which series, and which of it.
    next: (usize, usize),
    /// Instances that are located, and how much of the first was begun.
    located: VecDeque<Arc<Instance>>,
    begun: u64,
    ahead: VecDeque<Unit>,
    /// What is in the budget whatever others do.
    own: Option<OwnedSemaphorePermit>,
    zip: ZipWriter,
    entry: Option<Entry>,
    medium: Option<Medium>,
    out: VecDeque<Bytes>,
    end: End,
    last_received_us: i64,
}

/// A unit that is being worked on.
struct Unit {
    instance: Arc<Instance>,
    made: Task,
    /// `None` for the one that each archive has.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Work that is let go of with its result.
struct Task(JoinHandle<Result<Made, ArchiveError>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The entry whose parts are given.
struct Entry {
    crc: Crc,
    packed: u64,
    plain: u64,
    about: Option<About>,
    transcoded: Option<unit::TranscodedUids>,
    is_left: bool,
}

/// The directory of a medium, before and after all instances are in it.
struct Medium {
    directory: Option<DicomDir>,
    files: u64,
}

/// How far the end is.
enum End {
    Instances,
    DicomDir(Box<dicomdir::Finished>, Entry),
    Directory(u64),
    Over,
}

impl Making {
    /// Begins an archive. It waits for the disk.
    ///
    /// # Errors
    ///
    /// [`MakingProblem::NoSuchResource`], [`MakingProblem::Busy`]; what the index says.
    pub async fn begin(
        archive: Arc<Archive>,
        tenant: i64,
        request: Request,
        progress: Arc<Progress>,
    ) -> Result<Self, ArchiveError> {
        let archives = Arc::clone(archive.archives());
        let spool = archive.spool_settings().with_memory(HELD_DIRECTORY);
        let work = Arc::new(unit::Making {
            archive: Arc::downgrade(&archive),
            buffers: Arc::clone(&archives.buffers),
            level: request.deflate_level.unwrap_or(archives.level).min(9),
            media: request.media,
            transcoding: request.transcoding.clone(),
        });
        let medium = request.media.then(|| Medium {
            directory: Some(DicomDir::new(request.extended, &spool)),
            files: 0,
        });
        let plan = blocking(move || Plan::of(archive.index(), tenant, &request)).await?;
        // Of what is not there that is told first.
        let own = Arc::clone(&archives.budget).acquire_owned();
        let own = match tokio::time::timeout(MAX_WAIT, own).await {
            Ok(Ok(own)) => own,
            _ => return Err(ArchiveError::Making(MakingProblem::Busy)),
        };
        progress.instances.store(plan.instances, Ordering::Relaxed);
        progress.bytes.store(plan.bytes, Ordering::Relaxed);
        archives.made.fetch_add(1, Ordering::Relaxed);
        Ok(Making {
            archives,
            work,
            progress,
            plan,
            next: (0, 0),
            located: VecDeque::new(),
            begun: 0,
            ahead: VecDeque::new(),
            own: Some(own),
            zip: ZipWriter::new(&spool),
            entry: None,
            medium,
            out: VecDeque::new(),
            end: End::Instances,
            last_received_us: 0,
        })
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`MakingProblem::InstanceGone`], [`MakingProblem::DirectoryTooLong`]; what store, codecs and spools say. The archive
    /// is spent then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                self.progress
                    .given
                    .fetch_add(bytes.len() as u64, Ordering::Relaxed);
                return Ok(Some(bytes));
            }
            if matches!(self.end, End::Over) {
                return Ok(None);
            }
            self.step().await?;
        }
    }

    async fn step(&mut self) -> Result<(), ArchiveError> {
        if matches!(self.end, End::Instances) {
            self.begin_ahead().await?;
            let Some(unit) = self.ahead.pop_front() else {
                return self.end_instances();
            };
            return self.take(unit).await;
        }
        // At most a megabyte of what is in memory or a local file: it takes no longer than to say so.
        self.give_end()
    }

    /// Begins units as far as there is memory for them.
    async fn begin_ahead(&mut self) -> Result<(), ArchiveError> {
        while self.ahead.len() < self.archives.ahead {
            let permit = if self.ahead.is_empty() {
                None
            } else {
                match Arc::clone(&self.archives.budget).try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_) => break,
                }
            };
            let Some((instance, offset)) = self.next_unit().await? else {
                break;
            };
            let (work, of) = (Arc::clone(&self.work), Arc::clone(&instance));
            let places = Arc::clone(&self.archives.places);
            let made = tokio::spawn(async move {
                let place = places.acquire_owned().await;
                blocking(move || {
                    let made = work.unit(&of, offset);
                    drop(place);
                    made
                })
                .await
            });
            self.ahead.push_back(Unit {
                instance,
                made: Task(made),
                _permit: permit,
            });
        }
        Ok(())
    }

    /// The next part of an instance.
    async fn next_unit(&mut self) -> Result<Option<(Arc<Instance>, u64)>, ArchiveError> {
        if self.located.is_empty() {
            self.locate().await?;
        }
        let Some(instance) = self.located.front() else {
            return Ok(None);
        };
        let (instance, offset) = (Arc::clone(instance), self.begun);
        self.begun += UNIT_BYTES as u64;
        // What is transcoded is read on when its turn comes.
        if self.work.is_one_unit(&instance) || self.begun >= instance.located.file_size {
            self.located.pop_front();
            self.begun = 0;
        }
        Ok(Some((instance, offset)))
    }

    /// Finds out where the next instances are.
    async fn locate(&mut self) -> Result<(), ArchiveError> {
        let mut wanted = Vec::new();
        let mut named = Vec::new();
        while let Some(series) = self.plan.series.get(self.next.0) {
            let left = series.instances.len() - self.next.1;
            let count = left.min(PAGE - wanted.len());
            let end = self.next.1 + count;
            for at in self.next.1..end {
                let name = match &mut self.medium {
                    None => series.names.of(at),
                    Some(medium) => {
                        medium.files += 1;
                        file_id(medium.files - 1).join("/")
                    }
                };
                named.push((series.instances[at], name, series.above));
            }
            wanted.extend_from_slice(&series.instances[self.next.1..end]);
            self.next.1 = end;
            if count < left {
                break;
            }
            self.next = (self.next.0 + 1, 0);
            // What was begun is not needed again.
            if let Some(over) = self.plan.series.get_mut(self.next.0 - 1) {
                over.instances = Vec::new();
                over.names = Names::default();
            }
            if wanted.len() == PAGE {
                break;
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let archive = self.work.archive.upgrade().ok_or(ArchiveError::Stopped)?;
        let found = blocking(move || Ok(archive.index().locate_members(&wanted)?)).await?;
        let mut found: std::collections::HashMap<_, _> = found.into_iter().collect();
        for (number, name, above) in named {
            let located = found
                .remove(&number)
                .ok_or(ArchiveError::Making(MakingProblem::RowGone))?;
            let instance = Instance::new(number, located, name, above);
            self.located.push_back(Arc::new(instance));
        }
        Ok(())
    }

    /// Gives a unit, and what is left of a file that was transcoded.
    async fn take(&mut self, mut unit: Unit) -> Result<(), ArchiveError> {
        let mut made = joined((&mut unit.made.0).await)?;
        let rest = made.rest.take();
        self.give(&unit.instance, made)?;
        if let Some(rest) = rest {
            // The parts come one after the other; the units behind them are worked on meanwhile.
            self.read_on(&unit.instance, rest);
        }
        Ok(())
    }

    fn read_on(&mut self, instance: &Arc<Instance>, rest: Box<unit::Rest>) {
        let (work, places) = (Arc::clone(&self.work), Arc::clone(&self.archives.places));
        let made = tokio::spawn(async move {
            let place = places.acquire_owned().await;
            blocking(move || {
                let made = work.read_on(rest, false);
                drop(place);
                made
            })
            .await
        });
        self.ahead.push_front(Unit {
            instance: Arc::clone(instance),
            made: Task(made),
            _permit: None,
        });
    }

    /// Puts the bytes of a unit where they are given from.
    fn give(&mut self, instance: &Arc<Instance>, made: Made) -> Result<(), ArchiveError> {
        let Made {
            data,
            crc,
            method,
            is_whole,
            about,
            transcoded,
            is_last,
            is_left,
            ..
        } = made;
        let packed = data.bytes().len() as u64;
        let received_us = instance.located.received_us;
        let mut entry = match self.entry.take() {
            Some(entry) => entry,
            None => {
                let ahead = match (is_whole, &transcoded) {
                    (true, _) => Ahead::Sizes(Sizes {
                        crc: crc.sum(),
                        packed,
                        plain: u64::from(crc.amount()),
                    }),
                    (false, Some(transcoded)) => Ahead::About(transcoded.length),
                    (false, None) => Ahead::About(Some(instance.located.file_size)),
                };
                let name = instance.name.clone();
                let head = self.zip.begin(name, method, received_us, ahead);
                self.out.push_back(head.into());
                Entry {
                    about,
                    transcoded,
                    is_left,
                    ..Entry::default()
                }
            }
        };
        entry.crc.combine(&crc);
        entry.packed += packed;
        entry.plain += u64::from(crc.amount());
        self.zip.passed(data.bytes().len());
        self.out.push_back(match data {
            Data::Read(buffer) => Bytes::from_owner(buffer),
            Data::Written(bytes) => bytes.into(),
        });
        if !is_last {
            self.entry = Some(entry);
            return Ok(());
        }
        let tail = self.zip.end(entry.sizes())?;
        if !tail.is_empty() {
            self.out.push_back(tail.into());
        }
        self.last_received_us = self.last_received_us.max(received_us);
        self.progress.done.fetch_add(1, Ordering::Relaxed);
        self.progress
            .left
            .fetch_add(u64::from(entry.is_left), Ordering::Relaxed);
        self.list(instance, &entry)
    }

    /// Adds the record of an instance to the directory of the medium.
    fn list(&mut self, instance: &Instance, entry: &Entry) -> Result<(), ArchiveError> {
        let directory = self
            .medium
            .as_mut()
            .and_then(|medium| medium.directory.as_mut());
        let (Some(directory), Some(about)) = (directory, &entry.about) else {
            return Ok(());
        };
        let located = &instance.located;
        let (mut syntax, mut uid) = (&located.transfer_syntax_uid, &located.sop_instance_uid);
        if let Some(transcoded) = &entry.transcoded {
            syntax = &transcoded.transfer_syntax_uid;
            uid = transcoded.sop_instance_uid.as_ref().unwrap_or(uid);
        }
        let (folder, file) = instance.name.split_once('/').unwrap_or_default();
        let of_file = OnMedium {
            above: instance.above,
            file_id: &[folder.to_owned(), file.to_owned()],
            sop_instance_uid: uid,
            transfer_syntax_uid: syntax,
            sop_class_uid: &located.sop_class_uid,
        };
        directory.add(&of_file, about)
    }

    fn end_instances(&mut self) -> Result<(), ArchiveError> {
        let directory = self
            .medium
            .as_mut()
            .and_then(|medium| medium.directory.take());
        let Some(directory) = directory else {
            self.end = End::Directory(0);
            return Ok(());
        };
        let finished = directory.finish()?;
        let ahead = Ahead::About(Some(finished.length));
        let name = "DICOMDIR".to_owned();
        let head = self
            .zip
            .begin(name, Method::Deflated, self.last_received_us, ahead);
        self.out.push_back(head.into());
        self.end = End::DicomDir(Box::new(finished), Entry::default());
        Ok(())
    }

    fn give_end(&mut self) -> Result<(), ArchiveError> {
        match std::mem::replace(&mut self.end, End::Over) {
            End::DicomDir(mut finished, mut entry) => {
                let plain = finished.read(UNIT_BYTES)?;
                let is_last = finished.is_over();
                let packed = super::deflate::deflate(&plain, self.work.level.max(1), is_last)?;
                let packed = packed.unwrap_or_else(|| super::deflate::store(&plain, is_last));
                let mut crc = Crc::new();
                crc.update(&plain);
                entry.crc.combine(&crc);
                entry.plain += plain.len() as u64;
                entry.packed += packed.len() as u64;
                self.zip.passed(packed.len());
                self.out.push_back(packed.into());
                if is_last {
                    let tail = self.zip.end(entry.sizes())?;
                    self.out.push_back(tail.into());
                    self.end = End::Directory(0);
                } else {
                    self.end = End::DicomDir(finished, entry);
                }
            }
            End::Directory(at) if at < self.zip.directory_bytes() => {
                let piece = self.zip.directory(at, UNIT_BYTES)?;
                self.end = End::Directory(at + piece.len() as u64);
                self.out.push_back(piece.into());
            }
            End::Directory(_) => {
                self.out.push_back(self.zip.trailer().into());
                self.own = None;
            }
            End::Instances | End::Over => {}
        }
        Ok(())
    }
}

impl Default for Entry {
    fn default() -> Self {
        Entry {
            crc: Crc::new(),
            packed: 0,
            plain: 0,
            about: None,
            transcoded: None,
            is_left: false,
        }
    }
}

impl Entry {
    fn sizes(&self) -> Sizes {
        Sizes {
            crc: self.crc.sum(),
            packed: self.packed,
            plain: self.plain,
        }
    }
}

/// Runs `work` on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(
    ended: Result<Result<T, ArchiveError>, tokio::task::JoinError>,
) -> Result<T, ArchiveError> {
    match ended {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ArchiveError::Stopped),
        },
    }
}
