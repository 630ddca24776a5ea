//! `vna._core.Making`: a ZIP archive or medium, made while it is read, written to a file, or sent to a client of HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use serde::Deserialize;
use vna_node::{
    Archive, ArchiveError, ArchiveRequest, Making, MakingProblem, Progress, TranscodeOptions,
    Transcoding,
};

use crate::archive::{CoreArchive, level_of, parse};
use crate::errors::BoundaryError;
use crate::http::CoreExchange;
use crate::leaving::{Leaving, next};

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
            begin: Mutex::new(Some((archive, tenant, request))),
            making: Leaving::new(&self.completions, &self.handle),
            progress: Arc::default(),
        })
    }
}

/// Its calls are made one after the other; `close` and what it tells of itself come at any time.
#[pyclass(frozen, name = "Making", module = "vna._core")]
pub(crate) struct CoreMaking {
    begin: Mutex<Option<(Arc<Archive>, i64, ArchiveRequest)>>,
    making: Leaving<Making>,
    progress: Arc<Progress>,
}

#[pymethods]
impl CoreMaking {
    /// Finds out what it will hold.
    fn open(&self) -> PyResult<u64> {
        let begin = self.begin.lock().take();
        let (archive, tenant, request) =
            begin.ok_or_else(|| BoundaryError::Argument("open comes once".to_owned()))?;
        let progress = Arc::clone(&self.progress);
        let making = self.making.place();
        Ok(self.making.run(async move {
            let begun = Making::begin(archive, tenant, request, progress).await?;
            *making.lock().await = Some(begun);
            Ok(Vec::new())
        }))
    }

    /// The next bytes; nothing at the end.
    fn read(&self) -> u64 {
        self.making.read()
    }

    /// Answers an HTTP request with it; completes at its end.
    fn respond(
        &self,
        exchange: &CoreExchange,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<u64> {
        Ok(self.making.respond(exchange, status, headers)?)
    }

    /// Writes it to a new file, of `most` bytes at most.
    fn write(&self, path: PathBuf, most: u64) -> u64 {
        let making = self.making.place();
        self.making.run(async move {
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
        self.making.close();
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, BoundaryError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| BoundaryError::Stopped)??)
}
