//! `vna._core.Upload`: a body that arrives in chunks; and files of this machine's disks.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tokio::sync::Semaphore;
use vna_node::{Caller, Done, Head, Report, Upload};

use crate::archive::{CoreArchive, argument, parse};
use crate::completions::{Completions, Outcome, Promise};
use crate::errors::BoundaryError;

/// Chunks are put together up to this size before a thread takes them: a piece is then worth the way there.
const PIECE_BYTES: usize = 256 << 10;

/// JSON of an answer that crosses at once.
const JSON_BYTES: usize = 256 << 10;

/// Archives that are unpacked at a time. Each keeps a thread that may wait for the disk for as long as it takes, and
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
        Ok(CoreUpload {
            max_held_bytes: Upload::max_held_bytes(&archive) + 2 * PIECE_BYTES as u64,
            state: Arc::new(Mutex::new(State {
                piece: Vec::new(),
                upload: Some(upload),
                report: None,
            })),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
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
    upload: Option<Upload>,
    report: Option<Report>,
}

#[pymethods]
impl CoreUpload {
    /// Takes the next chunk; a handle if the next one must wait for it.
    fn push(&self, chunk: PyBackedBytes) -> PyResult<Option<u64>> {
        let mut state = self.state.lock();
        if state.upload.is_none() {
            return Err(not_now("push").into());
        }
        state.piece.extend_from_slice(&chunk);
        if state.piece.len() < PIECE_BYTES {
            return Ok(None);
        }
        let piece = std::mem::take(&mut state.piece);
        let upload = state.upload.take();
        drop(state);
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle.spawn_blocking(move || {
            promise.keep(push(upload, piece, &state).map(|()| Vec::new()));
        });
        Ok(Some(handle))
    }

    /// The body is whole. Completes with the first part of the answer, which with `tell_all` lists also what was
    /// not stored.
    fn finish(&self, tell_all: bool) -> PyResult<u64> {
        let (piece, upload) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.piece), state.upload.take())
        };
        let Some(upload) = upload else {
            return Err(not_now("finish").into());
        };
        let (handle, promise) = self.completions.promise();
        let (state, threads) = (Arc::clone(&self.state), self.handle.clone());
        self.handle.spawn(async move {
            let permit = match upload.is_archive() {
                true => UNPACKING.acquire().await.ok(),
                false => None,
            };
            let work = threads.clone();
            threads.spawn_blocking(move || {
                finish(
                    upload,
                    piece,
                    tell_all,
                    Answer {
                        state,
                        promise,
                        threads: work,
                    },
                );
                drop(permit);
            });
        });
        Ok(handle)
    }

    /// Completes with the next part of the answer; empty at its end.
    fn next_json(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle
            .spawn_blocking(move || promise.keep(next_json(&state)));
        handle
    }

    /// Whether the answer goes on.
    #[getter]
    fn has_more(&self) -> bool {
        let state = self.state.lock();
        state
            .report
            .as_ref()
            .is_some_and(|report| !report.is_given())
    }

    /// How many files of it were not stored.
    #[getter]
    fn not_stored(&self) -> u64 {
        let state = self.state.lock();
        state.report.as_ref().map_or(0, Report::not_stored)
    }
}

fn push(upload: Option<Upload>, piece: Vec<u8>, state: &Mutex<State>) -> Result<(), BoundaryError> {
    let mut upload = upload.ok_or_else(|| not_now("push"))?;
    upload.push(piece)?;
    state.lock().upload = Some(upload);
    Ok(())
}

/// Where the answer goes.
struct Answer {
    state: Arc<Mutex<State>>,
    promise: Promise,
    threads: tokio::runtime::Handle,
}

fn finish(mut upload: Upload, piece: Vec<u8>, tell_all: bool, answer: Answer) {
    if !piece.is_empty() {
        if let Err(error) = upload.push(piece) {
            answer.promise.keep(Err(error.into()));
            return;
        }
    }
    let done = Box::new(move |report: Result<Report, _>| match report {
        Err(error) => answer.promise.keep(Err(BoundaryError::from(error))),
        Ok(report) => answer.give(report),
    });
    upload.finish(tell_all, done);
}

impl Answer {
    fn give(self, report: Report) {
        let is_short = report.is_short();
        self.state.lock().report = Some(report);
        let threads = self.threads.clone();
        let give = move || self.promise.keep(next_json(&self.state));
        match is_short {
            true => give(),
            // A committer thread calls this, and must not write a long list.
            false => drop(threads.spawn_blocking(give)),
        }
    }
}

fn next_json(state: &Mutex<State>) -> Outcome {
    let mut state = state.lock();
    let report = state.report.as_mut().ok_or_else(|| not_now("next_json"))?;
    Ok(report.next_json(JSON_BYTES))
}

fn not_now(what: &str) -> BoundaryError {
    argument(what, "a call out of turn", "one call after the other")
}
