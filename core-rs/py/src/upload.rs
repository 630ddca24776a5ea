//! `vna._core.Upload`: a body that arrives in chunks; and files of this machine's disks.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use vna_dicom::Model;
use vna_node::http::RequestBody;
use vna_node::{Archive, Caller, Done, Head, Report, Store, StoreAnswer, StoreTelling, Upload};

use crate::archive::{CoreArchive, argument, parse};
use crate::completions::{Completions, Outcome, Promise};
use crate::errors::BoundaryError;
use crate::http::CoreExchange;

/// Chunks are put together up to this size before a thread takes them: a piece is then worth the way there.
const PIECE_BYTES: usize = 256 << 10;

/// JSON of an answer that crosses at once.
const JSON_BYTES: usize = 256 << 10;

/// What is taken of the body of a request at a time by the core alone: larger than what comes over a fast network between
/// two looks at it.
const TAKEN_BYTES: usize = 512 << 10;
const LINGER: Duration = Duration::from_millis(2);

/// What a body must bring in its time: who sends a byte now and then holds all that he sent before.
const LEAST_PROGRESS_BYTES: u64 = 1 << 10;

/// Archives that are unpacked, or bodies whose parts are joined, at a time. Each keeps a thread that may wait for the disk for as long as it takes, and
/// others need some of those too.
static UNPACKING: Semaphore = Semaphore::const_new(3);

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreUpload>()
}

#[pymethods]
impl CoreArchive {
    fn upload(
        &self,
        origin_json: PyBackedBytes,
        content_type: String,
        content_encoding: String,
        length: Option<u64>,
    ) -> PyResult<CoreUpload> {
        let caller: Caller = parse(&origin_json, "origin_json")?;
        let head = Head {
            content_type,
            content_encoding,
            length,
        };
        let archive = self.archive()?;
        let upload = Upload::begin(&archive, caller, &head).map_err(BoundaryError::from)?;
        Ok(self.arriving(&archive, Arriving::Upload(upload)))
    }

    /// Begins a Store request of DICOMweb for a study, or for any.
    fn store_web(
        &self,
        origin_json: PyBackedBytes,
        content_type: String,
        content_encoding: String,
        length: Option<u64>,
        study_instance_uid: Option<String>,
    ) -> PyResult<CoreUpload> {
        let caller: Caller = parse(&origin_json, "origin_json")?;
        let head = Head {
            content_type,
            content_encoding,
            length,
        };
        let archive = self.archive()?;
        let store = Store::begin(&archive, caller, &head, study_instance_uid)
            .map_err(BoundaryError::from)?;
        Ok(self.arriving(&archive, Arriving::Store(store)))
    }

    fn import_files(&self, paths: Vec<Vec<u8>>, origin_json: PyBackedBytes) -> PyResult<u64> {
        let caller: Caller = parse(&origin_json, "origin_json")?;
        let paths: Vec<PathBuf> = paths.into_iter().map(path).collect();
        let archive = self.archive()?;
        let (handle, promise) = self.completions.promise();
        self.handle.spawn_blocking(move || {
            vna_node::import_files(&archive, caller, &paths, whole_answer(promise));
        });
        Ok(handle)
    }

    fn import_entries(
        &self,
        archive_path: Vec<u8>,
        first: usize,
        count: usize,
        origin_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let caller: Caller = parse(&origin_json, "origin_json")?;
        let path = path(archive_path);
        let archive = self.archive()?;
        let (handle, promise) = self.completions.promise();
        self.handle.spawn_blocking(move || {
            let done = whole_answer(promise);
            vna_node::import_entries(&archive, caller, &path, first, count, done);
        });
        Ok(handle)
    }
}

impl CoreArchive {
    fn arriving(&self, archive: &Archive, arriving: Arriving) -> CoreUpload {
        CoreUpload {
            max_held_bytes: Upload::max_held_bytes(archive) + 2 * TAKEN_BYTES as u64,
            state: Arc::new(Mutex::new(State {
                piece: Vec::new(),
                arriving: Some(arriving),
                answer: None,
                received: 0,
                is_whole: false,
            })),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        }
    }
}

/// A body that arrives.
enum Arriving {
    Upload(Upload),
    Store(Store),
}

/// What became of it.
enum Answering {
    Report(Report),
    Store(StoreAnswer),
}

/// How to tell it.
enum Telling {
    /// As clients of Orthanc read it, with what was not stored or without.
    Report(bool),
    Store(StoreTelling),
}

type Answered = Box<dyn FnOnce(Result<Answering, BoundaryError>) + Send>;

impl Arriving {
    fn push(&mut self, piece: Vec<u8>) -> Result<(), BoundaryError> {
        match self {
            Self::Upload(upload) => Ok(upload.push(piece)?),
            Self::Store(store) => {
                store.push(piece);
                Ok(())
            }
        }
    }

    /// Whether the rest of the body is for nobody.
    fn is_over(&self) -> bool {
        matches!(self, Self::Store(store) if store.is_over())
    }

    /// Whether it takes its time when it is whole.
    fn is_slow(&self) -> bool {
        match self {
            Self::Upload(upload) => upload.is_archive(),
            Self::Store(store) => store.is_joined(),
        }
    }

    fn finish(self, telling: Telling, answered: Answered) {
        match (self, telling) {
            (Self::Upload(upload), Telling::Report(tell_all)) => {
                let done = Box::new(move |report: Result<Report, _>| {
                    answered(report.map(Answering::Report).map_err(BoundaryError::from));
                });
                upload.finish(tell_all, done);
            }
            (Self::Store(store), Telling::Store(telling)) => {
                let told = Box::new(move |answer: Result<StoreAnswer, _>| {
                    answered(answer.map(Answering::Store).map_err(BoundaryError::from));
                });
                store.finish(telling, told);
            }
            _ => answered(Err(argument("finish", "another kind of body", "its own"))),
        }
    }
}

impl Answering {
    fn is_short(&self) -> bool {
        match self {
            Self::Report(report) => report.is_short(),
            Self::Store(answer) => answer.is_short(),
        }
    }

    fn is_given(&self) -> bool {
        match self {
            Self::Report(report) => report.is_given(),
            Self::Store(answer) => answer.is_given(),
        }
    }

    fn not_stored(&self) -> u64 {
        match self {
            Self::Report(report) => report.not_stored(),
            Self::Store(answer) => answer.not_stored(),
        }
    }

    fn next_part(&mut self) -> Vec<u8> {
        match self {
            Self::Report(report) => report.next_json(JSON_BYTES),
            Self::Store(answer) => answer.next_part(JSON_BYTES),
        }
    }
}

fn path(bytes: Vec<u8>) -> PathBuf {
    std::ffi::OsString::from_vec(bytes).into()
}

/// Answers with all of a report at once: for batches, which are small.
fn whole_answer(promise: Promise) -> Done {
    Box::new(move |report| {
        let json = |mut report: Report| report.next_json(usize::MAX);
        promise.keep(report.map(json).map_err(BoundaryError::from));
    })
}

/// `vna._core.Upload`.
#[pyclass(frozen, name = "Upload", module = "vna._core")]
pub(crate) struct CoreUpload {
    /// The most that it holds in memory.
    #[pyo3(get)]
    max_held_bytes: u64,
    state: Arc<Mutex<State>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

struct State {
    /// What no thread has taken yet.
    piece: Vec<u8>,
    /// `None` while a thread works on it, after an error and after the end.
    arriving: Option<Arriving>,
    answer: Option<Answering>,
    /// Bytes that were taken from requests.
    received: u64,
    /// Whether nothing more comes of such a request.
    is_whole: bool,
}

#[pymethods]
impl CoreUpload {
    /// Takes the next chunk; a handle if the next one must wait for it.
    fn push(&self, chunk: PyBackedBytes) -> PyResult<Option<u64>> {
        let mut state = self.state.lock();
        if state.arriving.is_none() {
            return Err(not_now("push").into());
        }
        state.piece.extend_from_slice(&chunk);
        if state.piece.len() < PIECE_BYTES {
            return Ok(None);
        }
        let piece = std::mem::take(&mut state.piece);
        let arriving = state.arriving.take();
        drop(state);
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle.spawn_blocking(move || {
            let mut arriving = arriving.expect("looked at above");
            let pushed = arriving.push(piece);
            if pushed.is_ok() {
                state.lock().arriving = Some(arriving);
            }
            promise.keep(pushed.map(|()| Vec::new()));
        });
        Ok(Some(handle))
    }

    /// Takes about `most` bytes of the body of a request, or what there is left of it: `received` and `is_whole` tell how
    /// far it came. The client gone is a ConnectionError, and one that stalls for `timeout_s` a RequestTimeout.
    fn take(&self, exchange: &CoreExchange, most: u64, timeout_s: f64) -> PyResult<u64> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|error| BoundaryError::Argument(format!("timeout_s: {error}")))?;
        let Some(arriving) = self.state.lock().arriving.take() else {
            return Err(not_now("take").into());
        };
        let (handle, promise) = self.completions.promise();
        let (state, body) = (Arc::clone(&self.state), exchange.body().clone());
        self.handle.spawn(async move {
            promise.keep(match take(arriving, &body, most, timeout).await {
                Err(error) => Err(error),
                Ok(taken) => {
                    let mut state = state.lock();
                    state.received += taken.bytes;
                    state.is_whole = taken.is_whole;
                    state.arriving = Some(taken.arriving);
                    Ok(Vec::new())
                }
            });
        });
        Ok(handle)
    }

    /// Bytes that were taken from requests.
    #[getter]
    fn received(&self) -> u64 {
        self.state.lock().received
    }

    /// Whether such a request has no more, or no more is wanted of it.
    #[getter]
    fn is_whole(&self) -> bool {
        self.state.lock().is_whole
    }

    /// Whether the rest of the body is for nobody: `finish` says why.
    #[getter]
    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.arriving.as_ref().is_some_and(Arriving::is_over)
    }

    /// The body is whole. Completes with the first part of the answer, which with `tell_all` lists also what was
    /// not stored.
    fn finish(&self, tell_all: bool) -> PyResult<u64> {
        self.end(Telling::Report(tell_all))
    }

    /// The body of a Store request is whole, or over. Completes with the first part of the answer, in XML or JSON.
    fn finish_web(&self, xml: bool, studies_url: String) -> PyResult<u64> {
        let model = if xml { Model::Xml } else { Model::Json };
        self.end(Telling::Store(StoreTelling { model, studies_url }))
    }

    /// Completes with the next part of the answer; empty at its end.
    fn next_json(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle
            .spawn_blocking(move || promise.keep(next_part(&state)));
        handle
    }

    /// Whether the answer goes on.
    #[getter]
    fn has_more(&self) -> bool {
        let state = self.state.lock();
        let answer = state.answer.as_ref();
        answer.is_some_and(|answer| !answer.is_given())
    }

    /// How many files of it were not stored.
    #[getter]
    fn not_stored(&self) -> u64 {
        let state = self.state.lock();
        state.answer.as_ref().map_or(0, Answering::not_stored)
    }

    /// The HTTP status of a Store request, the first thing that went wrong in words, and where what was stored is found.
    #[getter]
    fn outcome(&self) -> (u16, String, Option<String>) {
        match &self.state.lock().answer {
            Some(Answering::Store(answer)) => (
                answer.status(),
                answer.problem().to_owned(),
                answer.location(),
            ),
            Some(Answering::Report(_)) | None => (200, String::new(), None),
        }
    }
}

impl CoreUpload {
    fn end(&self, telling: Telling) -> PyResult<u64> {
        let (piece, arriving) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.piece), state.arriving.take())
        };
        let Some(arriving) = arriving else {
            return Err(not_now("finish").into());
        };
        let (handle, promise) = self.completions.promise();
        let (state, threads) = (Arc::clone(&self.state), self.handle.clone());
        self.handle.spawn(async move {
            let permit = match arriving.is_slow() {
                true => UNPACKING.acquire().await.ok(),
                false => None,
            };
            let work = threads.clone();
            threads.spawn_blocking(move || {
                let answer = Answer {
                    state,
                    promise,
                    threads: work,
                };
                finish(arriving, piece, telling, answer);
                drop(permit);
            });
        });
        Ok(handle)
    }
}

/// What was taken of a request.
struct Taken {
    arriving: Arriving,
    bytes: u64,
    is_whole: bool,
}

/// Gives the body on piece by piece: the next one comes while a thread takes the last.
async fn take(
    arriving: Arriving,
    body: &RequestBody,
    most: u64,
    timeout: Duration,
) -> Result<Taken, BoundaryError> {
    let mut pushing: Option<JoinHandle<Result<Arriving, BoundaryError>>> = None;
    let (mut idle, mut bytes) = (Some(arriving), 0);
    let (mut deadline, mut progress) = (Instant::now() + timeout, 0);
    loop {
        let gathering = tokio::time::timeout_at(deadline.into(), body.gather(TAKEN_BYTES, LINGER));
        tokio::pin!(gathering);
        // Who sends nothing more is told at once what is wrong with what he sent.
        let piece = loop {
            let Some(handle) = &mut pushing else {
                break gathering.await;
            };
            tokio::select! {
                piece = &mut gathering => break piece,
                pushed = handle => {
                    pushing = None;
                    let arriving = pushed.map_err(|_| BoundaryError::Stopped)??;
                    if arriving.is_over() {
                        return Ok(Taken { arriving, bytes, is_whole: true });
                    }
                    idle = Some(arriving);
                }
            }
        };
        let piece = match piece {
            Ok(piece) => piece.map_err(|_| BoundaryError::ClientGone)?,
            Err(_) => {
                return Err(BoundaryError::Stalled {
                    bytes: progress,
                    timeout_s: timeout.as_secs_f64(),
                    least: LEAST_PROGRESS_BYTES,
                });
            }
        };
        let waited = Instant::now();
        let mut arriving = match pushing.take() {
            Some(pushing) => pushing.await.map_err(|_| BoundaryError::Stopped)??,
            None => match idle.take() {
                Some(arriving) => arriving,
                None => return Err(BoundaryError::Stopped),
            },
        };
        // What we took to store the last piece is not the sender's time.
        deadline += waited.elapsed();
        if piece.is_empty() || arriving.is_over() {
            return Ok(Taken {
                arriving,
                bytes,
                is_whole: true,
            });
        }
        let length = piece.len() as u64;
        bytes += length;
        progress += length;
        if progress >= LEAST_PROGRESS_BYTES {
            (deadline, progress) = (Instant::now() + timeout, 0);
        }
        let is_last = bytes >= most;
        let push = move || {
            arriving.push(piece)?;
            Ok(arriving)
        };
        let handle = tokio::task::spawn_blocking(push);
        if is_last {
            let arriving = handle.await.map_err(|_| BoundaryError::Stopped)??;
            let is_whole = arriving.is_over();
            return Ok(Taken {
                arriving,
                bytes,
                is_whole,
            });
        }
        pushing = Some(handle);
    }
}

/// Where the answer goes.
struct Answer {
    state: Arc<Mutex<State>>,
    promise: Promise,
    threads: tokio::runtime::Handle,
}

fn finish(mut arriving: Arriving, piece: Vec<u8>, telling: Telling, answer: Answer) {
    if !piece.is_empty() {
        if let Err(error) = arriving.push(piece) {
            answer.promise.keep(Err(error));
            return;
        }
    }
    let answered = Box::new(
        move |answering: Result<Answering, BoundaryError>| match answering {
            Err(error) => answer.promise.keep(Err(error)),
            Ok(answering) => answer.give(answering),
        },
    );
    arriving.finish(telling, answered);
}

impl Answer {
    fn give(self, answering: Answering) {
        let is_short = answering.is_short();
        self.state.lock().answer = Some(answering);
        let threads = self.threads.clone();
        let give = move || self.promise.keep(next_part(&self.state));
        match is_short {
            true => give(),
            // A committer thread calls this, and must not write a long list.
            false => drop(threads.spawn_blocking(give)),
        }
    }
}

fn next_part(state: &Mutex<State>) -> Outcome {
    let mut state = state.lock();
    let answer = state.answer.as_mut().ok_or_else(|| not_now("next_json"))?;
    Ok(answer.next_part())
}

fn not_now(what: &str) -> BoundaryError {
    argument(what, "a call out of turn", "one call after the other")
}
