//! `vna._core.Making`: a ZIP archive or medium, made while it is read, written to a file, or sent to a client of HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::sync::watch;
use vna_node::{
    Archive, ArchiveError, ArchiveRequest, Making, MakingProblem, Progress, TranscodeOptions,
    Transcoding,
};

use crate::archive::{CoreArchive, level_of, parse};
use crate::completions::Completions;
use crate::errors::BoundaryError;
use crate::http::CoreExchange;

/// How long a client may take nothing before his archive is broken off: it holds memory that others wait for.
const STALLED: Duration = Duration::from_secs(300);

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreMaking>()
}

/// `vna/services/archives.py` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    resources: Vec<String>,
    level: Option<String>,
    media: bool,
    extended: bool,
    utf8: bool,
    transcode: Option<String>,
    lossy_quality: u8,
}

impl Asked {
    fn request(self, archive: &Archive) -> Result<ArchiveRequest, BoundaryError> {
        let level = self.level.as_deref().map(level_of).transpose()?;
        let mut options = TranscodeOptions {
            // Who names a lossy transfer syntax asks for the instances that come of it.
            allow_new_uid: true,
            spool: archive.spool_settings(),
            ..TranscodeOptions::default()
        };
        options.encode.quality = self.lossy_quality;
        Ok(ArchiveRequest {
            resources: self.resources,
            level,
            media: self.media,
            extended: self.extended,
            utf8: self.utf8,
            deflate_level: None,
            transcoding: self.transcode.map(|transfer_syntax_uid| Transcoding {
                transfer_syntax_uid,
                options,
            }),
        })
    }
}

#[pymethods]
impl CoreArchive {
    /// A ZIP archive, to be made.
    fn zip(&self, tenant: i64, request_json: PyBackedBytes) -> PyResult<CoreMaking> {
        let asked: Asked = parse(&request_json, "request_json")?;
        let archive = self.archive()?;
        let request = asked.request(&archive)?;
        Ok(CoreMaking {
            begin: parking_lot::Mutex::new(Some((archive, tenant, request))),
            making: Arc::default(),
            progress: Arc::default(),
            stop: watch::channel(false).0,
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }
}

/// Its calls are made one after the other; `close` and what it tells of itself come at any time.
#[pyclass(frozen, name = "Making", module = "vna._core")]
pub(crate) struct CoreMaking {
    begin: parking_lot::Mutex<Option<(Arc<Archive>, i64, ArchiveRequest)>>,
    /// `None` before it is opened, and once it is over.
    making: Arc<Mutex<Option<Making>>>,
    progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreMaking {
    /// Finds out what it will hold.
    fn open(&self) -> PyResult<u64> {
        let begin = self.begin.lock().take();
        let (archive, tenant, request) =
            begin.ok_or_else(|| BoundaryError::Argument("open comes once".to_owned()))?;
        let progress = Arc::clone(&self.progress);
        let making = Arc::clone(&self.making);
        Ok(self.run(async move {
            let begun = Making::begin(archive, tenant, request, progress).await?;
            *making.lock().await = Some(begun);
            Ok(Vec::new())
        }))
    }

    /// The next bytes; nothing at the end.
    fn read(&self) -> u64 {
        let making = Arc::clone(&self.making);
        self.run(async move {
            let mut making = making.lock().await;
            Ok(next(&mut making).await?.map_or(Vec::new(), Into::into))
        })
    }

    /// Answers an HTTP request with it; completes at its end. The client gone is a ConnectionError; after any error the
    /// connection is broken off, so that nobody takes what was sent for the whole.
    fn respond(
        &self,
        exchange: &CoreExchange,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<u64> {
        let writer = exchange.begin(status, headers)?;
        let making = Arc::clone(&self.making);
        Ok(self.run(async move {
            let mut making = making.lock().await;
            while let Some(piece) = next(&mut making).await? {
                let written = tokio::time::timeout(STALLED, writer.write(piece)).await;
                if !matches!(written, Ok(Ok(()))) {
                    return Err(BoundaryError::ClientGone);
                }
            }
            writer.finish().await;
            Ok(Vec::new())
        }))
    }

    /// Writes it to a new file, of `most` bytes at most.
    fn write(&self, path: PathBuf, most: u64) -> u64 {
        let making = Arc::clone(&self.making);
        self.run(async move {
            let mut making = making.lock().await;
            let failed = |source| ArchiveError::Io {
                doing: "writing an archive",
                source,
            };
            let open = move || std::fs::File::create_new(path).map_err(failed);
            let mut file = blocking(open).await?;
            let mut written = 0_u64;
            while let Some(piece) = next(&mut making).await? {
                written += piece.len() as u64;
                if written > most {
                    return Err(ArchiveError::Making(MakingProblem::TooLong { most }).into());
                }
                file = blocking(move || {
                    std::io::Write::write_all(&mut file, &piece).map_err(failed)?;
                    Ok(file)
                })
                .await?;
            }
            Ok(Vec::new())
        })
    }

    /// Ends it, whatever it is at.
    fn close(&self) {
        if self.stop.send_replace(true) {
            return; // it was closed before
        }
        // A call that runs lets go of it first; without one nobody else would.
        let making = Arc::clone(&self.making);
        self.handle
            .spawn(async move { *making.lock().await = None });
    }

    /// Instances and bytes of their files that it will hold; instances in it, bytes of it, and how many instances there was
    /// no way to transcode.
    #[getter]
    fn progress(&self) -> (u64, u64, u64, u64, u64) {
        let Progress {
            instances,
            bytes,
            done,
            given,
            left,
        } = &*self.progress;
        let [instances, bytes, done, given, left] =
            [instances, bytes, done, given, left].map(|number| number.load(Ordering::Relaxed));
        (instances, bytes, done, given, left)
    }
}

impl CoreMaking {
    /// Runs work until it is done or the archive is closed.
    fn run(
        &self,
        work: impl Future<Output = Result<Vec<u8>, BoundaryError>> + Send + 'static,
    ) -> u64 {
        let (handle, promise) = self.completions.promise();
        let mut stopped = self.stop.subscribe();
        let making = Arc::clone(&self.making);
        self.handle.spawn(async move {
            let done = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => Err(BoundaryError::Stopped),
                done = work => done,
            };
            if done.is_err() {
                *making.lock().await = None; // with it goes what is worked on
            }
            promise.keep(done);
        });
        handle
    }
}

impl Drop for CoreMaking {
    fn drop(&mut self) {
        self.close();
    }
}

async fn next(making: &mut Option<Making>) -> Result<Option<bytes::Bytes>, BoundaryError> {
    let Some(open) = making else {
        return Err(BoundaryError::Argument(
            "the archive was not opened, or is over".to_owned(),
        ));
    };
    let piece = open.next().await?;
    if piece.is_none() {
        *making = None;
    }
    Ok(piece)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, BoundaryError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| BoundaryError::Stopped)??)
}
