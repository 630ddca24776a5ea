//! `vna._core.Archive`: one open archive and the threads that serve it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use vna_codec::Codecs;
use vna_dicom::{Level, PublicId};
use vna_index::{ChangeType, ChangesRequest, Outcome as Became};
use vna_io::{Disk, RealDisk};
use vna_node::dimse::Server;
use vna_node::http::{Credentials, HttpServer};
use vna_node::{Answer, Archive, ArchiveError, RepairOptions, Settings, SpoolSettings, now_us};

use crate::completions::{Completions, Outcome};
use crate::errors::BoundaryError;
use crate::transcode::{CoreTranscoding, Source, parse_options};

/// Threads of the data plane. Associations wait for the disk most of the time; two keep a network of ten
/// gigabits busy, and each costs memory on a small machine.
const NETWORK_THREADS: usize = 2;

/// Threads that may wait for the disk on behalf of Python at a time.
pub(crate) const MAX_BLOCKING_THREADS: usize = 16;

/// Adds the class and the offline commands to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreArchive>()?;
    m.add_class::<CoreFile>()?;
    m.add_function(wrap_pyfunction!(check, m)?)?;
    m.add_function(wrap_pyfunction!(repair, m)?)?;
    m.add_function(wrap_pyfunction!(reindex, m)?)
}

/// Its methods stand here and in the files named after what they are for.
#[pyclass(frozen, name = "Archive", module = "vna._core")]
pub(crate) struct CoreArchive {
    /// `None` once stopped: its locks are free then.
    archive: RwLock<Option<Arc<Archive>>>,
    pub(crate) completions: Arc<Completions>,
    /// `None` once stopped.
    runtime: Mutex<Option<Runtime>>,
    pub(crate) handle: tokio::runtime::Handle,
    pub(crate) server: Mutex<Option<Server>>,
    pub(crate) http: Mutex<Option<HttpServer>>,
    /// Clients of HTTP whom Python has known.
    pub(crate) credentials: Arc<Credentials>,
    /// Places for searches.
    pub(crate) searches: Arc<Semaphore>,
}

#[pymethods]
impl CoreArchive {
    #[new]
    fn new(py: Python<'_>, settings_json: PyBackedBytes) -> PyResult<Self> {
        let completions = Completions::new()?;
        crate::log::install(&completions);
        let opened = py.detach(|| -> Result<_, BoundaryError> {
            let settings = parse_settings(&settings_json)?;
            let runtime = runtime()?;
            let archive = Arc::new(Archive::open(Arc::new(RealDisk), settings)?);
            archive.start_housekeeping()?;
            Ok((archive, runtime))
        });
        let (archive, runtime) = opened?;
        let handle = runtime.handle().clone();
        Ok(Self {
            archive: RwLock::new(Some(archive)),
            completions,
            runtime: Mutex::new(Some(runtime)),
            handle,
            server: Mutex::new(None),
            http: Mutex::new(None),
            credentials: Arc::default(),
            searches: Arc::new(Semaphore::new(crate::find::MAX_SEARCHES)),
        })
    }

    fn completion_fd(&self) -> i32 {
        self.completions.fd()
    }

    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.completions.drain(py)
    }

    fn open_file(
        &self,
        py: Python<'_>,
        tenant: i64,
        public_id: &str,
    ) -> PyResult<Option<CoreFile>> {
        let Ok(id) = public_id.parse::<PublicId>() else {
            return Ok(None);
        };
        let archive = self.archive()?;
        let opened = py.detach(|| archive.open_file(tenant, &id));
        Ok(opened
            .map_err(BoundaryError::from)?
            .map(|(located, reader)| CoreFile {
                digest: hex(&reader.digest().0),
                reader: Arc::new(reader),
                size: located.file_size,
                transfer_syntax_uid: located.transfer_syntax_uid.clone(),
                located: Arc::new(located),
                codecs: Arc::clone(archive.codecs()),
                spool: archive.spool_settings(),
                completions: Arc::clone(&self.completions),
                handle: self.handle.clone(),
            }))
    }

    fn delete(&self, tenant: i64, level: &str, public_id: &str) -> PyResult<u64> {
        let level = level_of(level)?;
        let archive = self.archive()?;
        let (handle, promise) = self.completions.promise();
        match public_id.parse::<PublicId>() {
            Err(_) => promise.keep(Err(no_id(level, public_id))),
            Ok(id) => {
                let reply = move |answer: Answer| {
                    let deleted = |outcome| deletion(level, id, &outcome);
                    promise.keep(answer.map_err(BoundaryError::from).and_then(deleted));
                };
                archive.delete(tenant, level, id, Box::new(reply));
            }
        }
        Ok(handle)
    }

    #[pyo3(signature = (tenant, since, to, limit, types, last))]
    fn changes(
        &self,
        tenant: i64,
        since: Option<i64>,
        to: Option<i64>,
        limit: u64,
        types: Vec<String>,
        last: bool,
    ) -> PyResult<u64> {
        let types = types
            .iter()
            .map(|name| {
                ChangeType::from_name(name).ok_or_else(|| {
                    argument("type", name, "a change type, such as NewInstance").into()
                })
            })
            .collect::<PyResult<_>>()?;
        let request = ChangesRequest {
            since,
            to,
            limit,
            types,
            last,
        };
        let handle = self.spawn(move |archive| {
            let json = archive.index().changes_json(tenant, &request);
            Ok(json.map_err(ArchiveError::from)?)
        })?;
        Ok(handle)
    }

    fn statistics<'py>(&self, py: Python<'py>, tenant: i64) -> PyResult<Bound<'py, PyBytes>> {
        let archive = self.archive()?;
        let json = py.detach(|| archive.index().statistics_json(tenant));
        let json = json.map_err(|error| BoundaryError::from(ArchiveError::from(error)))?;
        Ok(PyBytes::new(py, &json))
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let archive = self.archive()?;
        let text = py.detach(|| {
            let counters = self.server.lock().as_ref().map(Server::counters);
            vna_node::metrics_text(&archive, counters.as_ref())
        });
        Ok(PyBytes::new(
            py,
            text.map_err(BoundaryError::from)?.as_bytes(),
        ))
    }

    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let archive = self.archive()?;
        let json = py.detach(|| {
            let listening = self.server.lock().is_some();
            vna_node::health_json(&archive, listening)
        });
        Ok(PyBytes::new(py, &json))
    }

    fn listen(&self, py: Python<'_>, policy_json: PyBackedBytes) -> PyResult<(String, u16)> {
        let started = py.detach(|| -> Result<_, BoundaryError> {
            let mut server = self.server.lock();
            if server.is_some() {
                return Err(argument(
                    "listen",
                    "a second call",
                    "one listener an archive",
                ));
            }
            let archive = self.archive()?;
            let services = Arc::new(crate::dimse::Queue {
                archive: Arc::downgrade(&archive),
                completions: Arc::clone(&self.completions),
                handle: self.handle.clone(),
                searches: Arc::clone(&self.searches),
            });
            let started = vna_node::listen(&self.handle, &archive, &policy_json, services)?;
            let address = started.local_addr();
            *server = Some(started);
            Ok(address)
        });
        let address = started?;
        Ok((address.ip().to_string(), address.port()))
    }

    fn set_policy(&self, py: Python<'_>, policy_json: PyBackedBytes) -> PyResult<()> {
        let policy = vna_node::parse_policy(&policy_json).map_err(BoundaryError::from)?;
        py.detach(|| {
            if let Some(server) = &*self.server.lock() {
                server.set_policy(policy);
            }
        });
        Ok(())
    }

    /// Refuses new associations, finishes what was accepted, ends the threads. Again: does nothing.
    fn stop(&self, py: Python<'_>, deadline_s: f64) -> PyResult<()> {
        let deadline = std::time::Duration::try_from_secs_f64(deadline_s).map_err(|_| {
            argument(
                "deadline_s",
                &deadline_s.to_string(),
                "seconds, not negative",
            )
        })?;
        py.detach(|| -> Result<(), BoundaryError> {
            let (server, runtime) = (self.server.lock().take(), self.runtime.lock().take());
            let Some(runtime) = runtime else {
                return Ok(());
            };
            let end = Instant::now() + deadline;
            if let Some(server) = server {
                runtime.block_on(server.stop(deadline));
            }
            let archive = self.archive.write().take();
            let stopped = archive.map_or(Ok(()), |archive| archive.stop());
            runtime.shutdown_timeout(end.saturating_duration_since(Instant::now()));
            Ok(stopped?)
        })?;
        Ok(())
    }
}

impl CoreArchive {
    /// Runs `work` on a thread that may wait for the disk; its result completes the handle.
    pub(crate) fn spawn(
        &self,
        work: impl FnOnce(&Archive) -> Outcome + Send + 'static,
    ) -> Result<u64, BoundaryError> {
        let archive = self.archive()?;
        let (handle, promise) = self.completions.promise();
        self.handle
            .spawn_blocking(move || promise.keep(work(&archive)));
        Ok(handle)
    }

    pub(crate) fn archive(&self) -> Result<Arc<Archive>, BoundaryError> {
        self.archive.read().clone().ok_or(BoundaryError::Stopped)
    }
}

/// `vna._core.File`: a stored object, held open.
#[pyclass(frozen, name = "File", module = "vna._core")]
pub(crate) struct CoreFile {
    pub(crate) reader: Arc<vna_node::StoredFile>,
    pub(crate) located: Arc<vna_index::Located>,
    #[pyo3(get)]
    size: u64,
    #[pyo3(get)]
    digest: String,
    #[pyo3(get)]
    transfer_syntax_uid: String,
    codecs: Arc<Codecs>,
    spool: SpoolSettings,
    pub(crate) completions: Arc<Completions>,
    pub(crate) handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreFile {
    #[getter]
    fn sop_class_uid(&self) -> &str {
        &self.located.sop_class_uid
    }

    #[getter]
    fn frames(&self) -> u64 {
        vna_node::promised_frames(&self.located)
    }

    /// The time of Last-Modified; `None` while there is none.
    fn modified_s(&self) -> Option<i64> {
        let located = &self.located;
        vna_node::web::modified_s(located.received_us, located.blob.encoding, now_us())
    }

    #[pyo3(signature = (transfer_syntax_uid, options_json = None))]
    fn transcode(
        &self,
        transfer_syntax_uid: String,
        options_json: Option<&[u8]>,
    ) -> Result<CoreTranscoding, BoundaryError> {
        let source = Source {
            reader: Arc::clone(&self.reader),
            transfer_syntax_uid,
            options: parse_options(options_json, self.spool.clone())?,
            codecs: Arc::clone(&self.codecs),
        };
        let completions = Arc::clone(&self.completions);
        Ok(CoreTranscoding::new(
            source,
            completions,
            self.handle.clone(),
        ))
    }

    #[pyo3(signature = (offset, length, swap_unit = 1))]
    fn read(&self, offset: u64, length: usize, swap_unit: usize) -> u64 {
        let (handle, promise) = self.completions.promise();
        let reader = Arc::clone(&self.reader);
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.handle.spawn_blocking(move || {
            let mut buffer = vec![0; length.min(left)];
            promise.keep(match reader.read_at(&mut buffer, offset) {
                Ok(read) => {
                    buffer.truncate(read);
                    vna_dicom::swap_byte_order(&mut buffer, swap_unit);
                    Ok(buffer)
                }
                Err(error) => Err(error.into()),
            });
        });
        handle
    }
}

/// Reads every stored object and holds it against its digest and the index.
#[pyfunction]
fn check<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    progress: Py<PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut failed = None;
    let report = py.detach(|| {
        vna_node::check(&disk, &settings, &mut |done, all| {
            tell(&progress, done, all, &mut failed)
        })
    });
    answer(py, report, failed)
}

/// Mends what is wrong, as far as that loses nothing.
#[pyfunction]
fn repair<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    dry_run: bool,
    accept_loss: bool,
    progress: Py<PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = RepairOptions {
        dry_run,
        accept_loss,
    };
    let mut failed = None;
    let report = py.detach(|| {
        vna_node::repair(&disk, &settings, options, now_us(), &mut |done, all| {
            tell(&progress, done, all, &mut failed)
        })
    });
    answer(py, report, failed)
}

/// Builds the index anew from the log alone.
#[pyfunction]
fn reindex<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    progress: Py<PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut failed = None;
    let report = py.detach(|| {
        vna_node::reindex(&disk, &settings, &mut |done, all| {
            tell(&progress, done, all, &mut failed)
        })
    });
    answer(py, report, failed)
}

/// Calls `progress`; what it raises is kept for the end, since the work itself goes on.
pub(crate) fn tell(progress: &Py<PyAny>, done: u64, all: u64, failed: &mut Option<PyErr>) {
    if failed.is_none() {
        *failed = Python::attach(|py| progress.call1(py, (done, all)).err());
    }
}

pub(crate) fn answer<'py>(
    py: Python<'py>,
    report: Result<impl serde::Serialize, ArchiveError>,
    failed: Option<PyErr>,
) -> PyResult<Bound<'py, PyBytes>> {
    let report = report.map_err(BoundaryError::from)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let json = serde_json::to_vec(&report)
        .map_err(|error| BoundaryError::Argument(format!("a report without JSON form: {error}")))?;
    Ok(PyBytes::new(py, &json))
}

fn runtime() -> Result<Runtime, BoundaryError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("vna-node")
        .enable_all()
        .build()
        .map_err(|source| {
            ArchiveError::Io {
                doing: "starting the data plane's threads",
                source,
            }
            .into()
        })
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    json: &[u8],
    name: &str,
) -> Result<T, BoundaryError> {
    serde_json::from_slice(json)
        .map_err(|error| BoundaryError::Argument(format!("{name}: {error}")))
}

pub(crate) fn parse_settings(json: &[u8]) -> Result<Settings, BoundaryError> {
    parse(json, "settings_json")
}

pub(crate) fn argument(name: &str, found: &str, right: &str) -> BoundaryError {
    BoundaryError::Argument(format!("{name} is {found:?}; it must be {right}"))
}

pub(crate) fn level_of(name: &str) -> Result<Level, BoundaryError> {
    vna_node::level_named(name)
        .ok_or_else(|| argument("level", name, "patients, studies, series or instances"))
}

pub(crate) fn id_of(level: Level, public_id: &str) -> Result<PublicId, BoundaryError> {
    public_id.parse().map_err(|_| no_id(level, public_id))
}

/// What cannot be a public id names no resource: that is the same answer for a client.
fn no_id(level: Level, public_id: &str) -> BoundaryError {
    BoundaryError::NoSuchId {
        level,
        text: public_id.chars().take(64).collect(),
    }
}

pub(crate) fn not_found(level: Level, public_id: PublicId) -> BoundaryError {
    ArchiveError::NotFound { level, public_id }.into()
}

fn deletion(level: Level, id: PublicId, outcome: &Became) -> Outcome {
    match outcome {
        Became::Deleted {
            remaining_ancestor, ..
        } => Ok(vna_index::deletion_json(*remaining_ancestor)),
        _ => Err(not_found(level, id)),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
