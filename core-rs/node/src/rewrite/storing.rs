//! Instances written anew and stored, on all cores.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use vna_dicom::edit::{Recipe, Scope};
use vna_dicom::{Identity, Instance, Level, PublicId, ReadAt, read_instance};
use vna_index::{Ids, Outcome};
use vna_store::StoreError;

use super::made::{BurnedIn, Made, Rewritten};
use super::request::RewriteRequest;
use super::sources::Sources;
use crate::archive::Archive;
use crate::arrival::{ArrivalHeader, Caller, DerivationKind, DerivedFrom, Duplicates, now_us};
use crate::arriving::ArrivedBytes;
use crate::committer::Answer;
use crate::error::ArchiveError;
use crate::transcode::{TranscodeOptions, Transcoded};

/// Bytes of new instances that wait for their sync at a time, beside the one that each thread makes.
const WAITING_BYTES: u64 = 32 << 20;

/// A recipe and the instances that it is for.
pub struct Rewriting {
    caller: Caller,
    recipe: Recipe,
    overwrite: bool,
    options: TranscodeOptions,
    sources: Sources,
}

/// What became of one source.
struct Told {
    number: usize,
    source: PublicId,
    became: Result<Became, Arc<ArchiveError>>,
}

/// What one source was, and what it is now.
struct Became {
    was: Ids,
    is: Ids,
    status: &'static str,
    burned_in: BurnedIn,
}

impl Rewriting {
    /// Finds the instances that a request means.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Edit`] if the recipe is none, [`ArchiveError::Find`] if the request is none,
    /// [`ArchiveError::NotFound`] if a resource is not there; what the index says.
    pub fn open(
        archive: &Archive,
        caller: Caller,
        recipe: &[u8],
        request: &RewriteRequest,
    ) -> Result<Self, ArchiveError> {
        let recipe = Recipe::from_json(recipe)?;
        let sources = Sources::of(archive, caller.tenant, request, &recipe)?;
        let new_uid = !recipe.keeps(Level::Instance);
        let options = request.transcode_options(archive.spool_settings(), new_uid);
        Ok(Rewriting {
            caller,
            recipe,
            overwrite: request.overwrite,
            options,
            sources,
        })
    }

    /// How many instances there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.sources.instances.len()
    }

    /// Writes up to `count` instances anew, from number `position` on, and stores them. When it returns they are safe.
    /// None is begun once `patience` is over, but the first: what waits for its sync at the end is waited for, and
    /// meanwhile nothing is made, so few long steps are faster than many short ones.
    ///
    /// Gives, in their order, a JSON object of each: `From`, and either the ids of the new instance as an upload has
    /// them, those of what the source is in and `BurnedIn` (`YES`, `UNSAID` or null: whether the source has text in its
    /// pixels), or `Status` `Failure` with the `Code` and `Details` of what is wrong with it.
    ///
    /// # Errors
    ///
    /// What keeps all instances from being stored: [`ArchiveError::is_of_one_file`] says which are others.
    pub fn step(
        &self,
        archive: &Archive,
        position: usize,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, Arc<ArchiveError>> {
        let instances = self.sources.instances.get(position..).unwrap_or_default();
        let instances = &instances[..count.min(instances.len())];
        let (tell, told) = mpsc::channel();
        let step = Step {
            rewriting: self,
            archive,
            instances,
            next: AtomicUsize::new(0),
            until: Instant::now().checked_add(patience),
            room: Arc::default(),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(instances.len()) {
                let (tell, step) = (tell.clone(), &step);
                let name = "vna-rewrite".to_owned();
                let builder = std::thread::Builder::new().name(name);
                // Without another thread it only takes longer.
                let _ = builder.spawn_scoped(scope, move || step.run(tell));
            }
            step.run(tell);
        });
        let mut all: Vec<Told> = told.into_iter().collect();
        all.sort_by_key(|told| told.number);
        let mut answers = Vec::with_capacity(all.len());
        for told in all {
            answers.push(told.json()?);
        }
        Ok(Value::from(answers).to_string().into_bytes())
    }

    /// The file that an instance becomes; nothing is stored.
    ///
    /// # Errors
    ///
    /// As [`Rewritten::open`]; [`ArchiveError::NotFound`] if there is no such number, or the instance has gone.
    pub fn file(&self, archive: &Archive, number: usize) -> Result<Rewritten, ArchiveError> {
        let public_id = self.sources.instances.get(number).copied();
        let level = Level::Instance;
        let public_id = public_id.unwrap_or_else(|| PublicId::instance("", "", "", ""));
        let opened = archive.open_file(self.caller.tenant, &public_id)?;
        let (_, reader) = opened.ok_or(ArchiveError::NotFound { level, public_id })?;
        let Rewriting {
            recipe, options, ..
        } = self;
        let scope = &self.sources.scope;
        Rewritten::open(Arc::new(reader), recipe, scope, options, archive.codecs())
    }

    fn scope(&self) -> &Scope {
        &self.sources.scope
    }
}

/// One call of [`Rewriting::step`].
struct Step<'a> {
    rewriting: &'a Rewriting,
    archive: &'a Archive,
    instances: &'a [PublicId],
    next: AtomicUsize,
    /// When no more are begun; `None` is never.
    until: Option<Instant>,
    room: Arc<Room>,
}

impl Step<'_> {
    fn run(&self, tell: Sender<Told>) {
        loop {
            let is_over = self.until.is_some_and(|until| Instant::now() >= until);
            if is_over && self.next.load(Ordering::Relaxed) > 0 {
                return;
            }
            // Whoever takes a number makes it: what was begun is without holes.
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = self.instances.get(number).copied() else {
                return;
            };
            let told = |became| Told {
                number,
                source,
                became,
            };
            if let Err(error) = self.one(number, source, &tell) {
                // The receiver is gone only if this call is over.
                let _ = tell.send(told(Err(Arc::new(error))));
            }
        }
    }

    /// Writes one instance anew and hands it to the committer, which tells what became of it.
    fn one(
        &self,
        number: usize,
        source: PublicId,
        tell: &Sender<Told>,
    ) -> Result<(), ArchiveError> {
        let Rewriting {
            caller,
            recipe,
            options,
            ..
        } = self.rewriting;
        let level = Level::Instance;
        let public_id = source;
        let opened = self.archive.open_file(caller.tenant, &source)?;
        let (_, reader) = opened.ok_or(ArchiveError::NotFound { level, public_id })?;
        let made = Made::of(Arc::new(reader), recipe, self.rewriting.scope())?;
        let (instance, bytes) = self.gather(&made, options)?;
        let (instance, bytes) = match made.transfer_syntax_uid {
            None => self.archive.as_kept(instance, bytes),
            Some(_) => (instance, bytes), // the transfer syntax that was asked for stays
        };
        let (was, burned_in) = (self.ids(&made.was), made.burned_in);
        let became = move |is, status| Became {
            was,
            is,
            status,
            burned_in,
        };
        let digest = bytes.digest();
        let size = bytes.size();
        let twin = self
            .archive
            .stored_twin(caller.tenant, &instance.identity, digest, size)?;
        if let Some(is) = twin {
            let became = Ok(became(is, "AlreadyStored"));
            let _ = tell.send(Told {
                number,
                source,
                became,
            });
            return Ok(());
        }
        let file = bytes.into_file(digest)?;
        let waiting = file.buffered_bytes();
        self.room.enter(waiting);
        let (tell, room) = (tell.clone(), Arc::clone(&self.room));
        let reply = Box::new(move |answer: Answer| {
            room.leave(waiting);
            let became = answer.and_then(|outcome| {
                let (is, status) = now(&outcome).ok_or_else(|| Arc::new(ArchiveError::Stopped))?;
                Ok(became(is, status))
            });
            let _ = tell.send(Told {
                number,
                source,
                became,
            });
        });
        let header = self.header(&was, &instance);
        self.archive.record_arrival(header, instance, file, reply);
        Ok(())
    }

    fn gather(
        &self,
        made: &Made,
        options: &TranscodeOptions,
    ) -> Result<(Instance, ArrivedBytes), ArchiveError> {
        let archive = self.archive;
        if let Some(uid) = &made.transfer_syntax_uid {
            let source = Arc::clone(&made.file);
            let mut transcoded = Transcoded::of(source, uid, options, archive.codecs())?;
            return archive.gather(|buffer| transcoded.read(buffer));
        }
        let size = made.file.size();
        if size > archive.settings().storage.large_object_bytes {
            let mut at = 0;
            return archive.gather(|buffer| {
                let count = made.file.read_at(buffer, at)?;
                at += count as u64;
                Ok(count)
            });
        }
        let mut held = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let count = made.file.read_at(&mut held, 0)?;
        held.truncate(count);
        Ok((read_instance(&held)?, ArrivedBytes::held(held)))
    }

    fn header(&self, was: &Ids, instance: &Instance) -> ArrivalHeader {
        let storage = &self.archive.settings().storage;
        let Caller { tenant, origin } = &self.rewriting.caller;
        ArrivalHeader {
            tenant: *tenant,
            at_us: now_us(),
            origin: origin.clone(),
            duplicates: match self.rewriting.overwrite {
                true => Duplicates::IfChanged,
                false => storage.duplicates,
            },
            patient_issuers: storage.patient_issuers,
            keep_versions_us: self.archive.keep_versions_us(),
            derived_from: Some(Box::new(self.derived_from(was, instance))),
        }
    }

    /// The ids that the index gives to what has an identity.
    fn ids(&self, identity: &Identity) -> Ids {
        let patient_issuers = self.archive.settings().storage.patient_issuers;
        let mut identity = Cow::Borrowed(identity);
        if !patient_issuers && !identity.issuer_of_patient_id.is_empty() {
            identity.to_mut().issuer_of_patient_id.clear();
        }
        vna_index::public_ids(&identity)
    }

    /// What the new instance was made of. What has the same identity as before is still itself.
    fn derived_from(&self, was: &Ids, instance: &Instance) -> DerivedFrom {
        let is = self.ids(&instance.identity);
        let other = |was: PublicId, is: PublicId| (was != is).then(|| was.to_string());
        DerivedFrom {
            kind: match self.rewriting.recipe.is_anonymization() {
                true => DerivationKind::Anonymized,
                false => DerivationKind::Modified,
            },
            patient: other(was.patient, is.patient),
            study: other(was.study, is.study),
            series: other(was.series, is.series),
            instance: other(was.instance, is.instance),
        }
    }
}

impl Told {
    fn json(self) -> Result<Value, Arc<ArchiveError>> {
        let source = self.source.to_string();
        match self.became {
            Ok(Became {
                was,
                is,
                status,
                burned_in,
            }) => Ok(json!({
                "BurnedIn": burned_in.told(),
                "From": source,
                "FromPatient": was.patient.to_string(),
                "FromStudy": was.study.to_string(),
                "FromSeries": was.series.to_string(),
                "ID": is.instance.to_string(),
                "ParentPatient": is.patient.to_string(),
                "ParentStudy": is.study.to_string(),
                "ParentSeries": is.series.to_string(),
                "Path": format!("/instances/{}", is.instance),
                "Status": status,
            })),
            Err(error) if is_of_one_instance(&error) => Ok(json!({
                "From": source,
                "Status": "Failure",
                "Code": error.code(),
                "Details": error.to_string(),
            })),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says nothing of the other instances.
fn is_of_one_instance(error: &ArchiveError) -> bool {
    error.is_of_one_file()
        || matches!(
            error,
            ArchiveError::Edit(_)
                | ArchiveError::NotFound { .. }
                | ArchiveError::Transcode(_)
                | ArchiveError::Codec(_)
                | ArchiveError::Image(_)
        )
        || matches!(
            error,
            ArchiveError::Store(
                StoreError::Damaged(_) | StoreError::Gone { .. } | StoreError::OtherBlob { .. }
            )
        )
}

/// Where an instance is now, and what clients are told of it.
fn now(outcome: &Outcome) -> Option<(Ids, &'static str)> {
    match outcome {
        Outcome::Stored { ids, .. } | Outcome::Superseded { ids, .. } => Some((*ids, "Success")),
        Outcome::AlreadyStored { ids, .. } | Outcome::KeptAsVersion { ids, .. } => {
            Some((*ids, "AlreadyStored"))
        }
        _ => None,
    }
}

/// Room for what waits for its sync.
#[derive(Default)]
struct Room {
    waiting: Mutex<u64>,
    left: Condvar,
}

impl Room {
    /// Waits until there is room. One alone always finds it.
    fn enter(&self, bytes: u64) {
        let mut waiting = self.waiting.lock();
        while *waiting > 0 && *waiting + bytes > WAITING_BYTES {
            self.left.wait(&mut waiting);
        }
        *waiting += bytes;
    }

    fn leave(&self, bytes: u64) {
        *self.waiting.lock() -= bytes;
        self.left.notify_all();
    }
}
