//! `vna._core.Transcoding`: a stored file in another transfer syntax, read from its beginning to its end. The same of files
//! that no archive has.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Deserialize;
use vna_codec::{Codecs, EncodeOptions};
use vna_node::{Abandoned, LocalFile, SpoolSettings, StoredFile, TranscodeOptions, Transcoded};

use crate::codec::{codecs, parse};
use crate::completions::Completions;
use crate::errors::BoundaryError;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Adds the class and the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreTranscoding>()?;
    m.add_function(wrap_pyfunction!(reencode, m)?)?;
    m.add_function(wrap_pyfunction!(transcode, m)?)?;
    m.add_function(wrap_pyfunction!(transcode_file, m)?)?;
    m.add_function(wrap_pyfunction!(can_transcode, m)?)
}

/// [`TranscodeOptions`] as Python writes them: what is left out has its default.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    quality: Option<u8>,
    near: Option<u16>,
    ratio: Option<f32>,
    allow_new_uid: bool,
    held_bytes: Option<u64>,
    folder: Option<PathBuf>,
    helper_command: Option<Vec<String>>,
}

pub(crate) fn parse_options(
    json: Option<&[u8]>,
    spool: SpoolSettings,
) -> Result<TranscodeOptions, BoundaryError> {
    let options: Options = json
        .map(|json| parse("options", json))
        .transpose()?
        .unwrap_or_default();
    let usual = EncodeOptions::default();
    let encode = EncodeOptions {
        quality: options.quality.unwrap_or(usual.quality),
        near: options.near.unwrap_or(usual.near),
        ratio: options.ratio.unwrap_or(usual.ratio),
    };
    let ratio_fits = encode.ratio >= 1.0 && encode.ratio.is_finite();
    if !(ratio_fits && (1..=100).contains(&encode.quality)) {
        let problem = "options: quality goes from 1 to 100, ratio begins at 1";
        return Err(BoundaryError::Argument(problem.to_owned()));
    }
    Ok(TranscodeOptions {
        encode,
        allow_new_uid: options.allow_new_uid,
        spool: match (options.held_bytes, options.folder) {
            (None, None) => spool,
            (held_bytes, folder) => SpoolSettings::new(
                held_bytes.unwrap_or(spool.memory_bytes()),
                folder.unwrap_or_else(std::env::temp_dir),
            ),
        },
        abandoned: Abandoned::default(),
    })
}

/// The command of helpers for files that no archive has; without one, codecs run in this process.
fn helper_command(json: Option<&[u8]>) -> Result<Option<Vec<String>>, BoundaryError> {
    let options: Option<Options> = json.map(|json| parse("options", json)).transpose()?;
    Ok(options.and_then(|options| options.helper_command))
}

/// What is transcoded, and how.
pub(crate) struct Source {
    pub reader: Arc<StoredFile>,
    pub transfer_syntax_uid: String,
    pub options: TranscodeOptions,
    pub codecs: Arc<Codecs>,
}

/// Its calls are made one after the other: each goes on where the one before ended.
#[pyclass(frozen, name = "Transcoding", module = "vna._core")]
pub(crate) struct CoreTranscoding {
    source: Arc<Source>,
    /// `None` before it is opened.
    state: Arc<Mutex<Option<Transcoded>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

impl CoreTranscoding {
    pub fn new(
        source: Source,
        completions: Arc<Completions>,
        handle: tokio::runtime::Handle,
    ) -> Self {
        Self {
            source: Arc::new(source),
            state: Arc::default(),
            completions,
            handle,
        }
    }
}

#[pymethods]
impl CoreTranscoding {
    /// Prepares all that is known before the first byte leaves; completes with `{"length": ..., "sop_instance_uid": ...}`.
    fn open(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (state, source) = (Arc::clone(&self.state), Arc::clone(&self.source));
        self.handle.spawn_blocking(move || {
            let reader = Arc::clone(&source.reader);
            let uid = &source.transfer_syntax_uid;
            let opened = Transcoded::new(reader, uid, &source.options, &source.codecs);
            promise.keep(opened.map_err(BoundaryError::from).map(|transcoded| {
                let opened = serde_json::json!({
                    "length": transcoded.length(),
                    "sop_instance_uid": transcoded.sop_instance_uid(),
                });
                *state.lock() = Some(transcoded);
                opened.to_string().into_bytes()
            }));
        });
        handle
    }

    /// Ends what compresses: nobody waits for it any more.
    fn abandon(&self) {
        self.source.options.abandoned.set();
    }

    /// Reads on; completes with fewer bytes than `length` only at the end.
    fn read(&self, length: usize) -> u64 {
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle.spawn_blocking(move || {
            let mut buffer = vec![0; length];
            promise.keep(match &mut *state.lock() {
                None => Err(BoundaryError::Argument("read comes before open".to_owned())),
                Some(transcoded) => match transcoded.read(&mut buffer) {
                    Ok(count) => {
                        buffer.truncate(count);
                        Ok(buffer)
                    }
                    Err(error) => Err(error.into()),
                },
            });
        });
        handle
    }
}

/// A PS3.10 file in another transfer syntax, if the way there takes no codec.
#[pyfunction]
#[pyo3(signature = (data, /, *, transfer_syntax_uid))]
fn reencode<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    transfer_syntax_uid: &str,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let file = py.detach(|| vna_dicom::reencode(&data, transfer_syntax_uid))?;
    Ok(PyBytes::new(py, &file))
}

/// A PS3.10 file in another transfer syntax.
#[pyfunction]
#[pyo3(signature = (data, /, *, transfer_syntax_uid, options_json = None))]
fn transcode<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    transfer_syntax_uid: &str,
    options_json: Option<&[u8]>,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let options = parse_options(options_json, SpoolSettings::default())?;
    let codecs = codecs(helper_command(options_json)?);
    let all = py.detach(|| -> Result<_, BoundaryError> {
        let file = LocalFile::Held(data.as_ref().into());
        let mut transcoded = Transcoded::of(file, transfer_syntax_uid, &options, codecs)?;
        let mut all = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = transcoded.read(&mut piece)?;
            if count == 0 {
                return Ok(all);
            }
            all.extend_from_slice(&piece[..count]);
        }
    })?;
    Ok(PyBytes::new(py, &all))
}

/// Writes a PS3.10 file in another transfer syntax to another file; gives what became of it as JSON.
#[pyfunction]
#[pyo3(signature = (source, target, /, *, transfer_syntax_uid, options_json = None))]
fn transcode_file(
    py: Python<'_>,
    source: PathBuf,
    target: PathBuf,
    transfer_syntax_uid: &str,
    options_json: Option<&[u8]>,
) -> Result<String, BoundaryError> {
    let options = parse_options(options_json, SpoolSettings::default())?;
    let codecs = codecs(helper_command(options_json)?);
    let done = py.detach(|| {
        vna_node::transcode_file(&source, &target, transfer_syntax_uid, &options, codecs)
    })?;
    Ok(serde_json::json!({
        "from": done.from,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "sop_instance_uid": done.new_sop_instance_uid,
    })
    .to_string())
}

/// Whether objects go from one transfer syntax to the other.
#[pyfunction]
fn can_transcode(stored_uid: &str, wanted_uid: &str) -> bool {
    vna_node::is_possible(stored_uid, wanted_uid)
}
