//! `vna._core.Reencoding`: a stored file in another transfer syntax, read from its beginning to its end.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vna_dicom::Reencoded;
use vna_node::{StoredBlob, StoredFile};

use crate::completions::Completions;
use crate::errors::BoundaryError;

/// Adds the class and the function to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreReencoding>()?;
    m.add_function(wrap_pyfunction!(reencode, m)?)
}

/// Its calls are made one after the other: each goes on where the one before ended.
#[pyclass(frozen, name = "Reencoding", module = "vna._core")]
pub(crate) struct CoreReencoding {
    reader: Arc<StoredFile>,
    transfer_syntax_uid: String,
    /// `None` before it is opened.
    state: Arc<Mutex<Option<Reencoded<StoredBlob>>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

impl CoreReencoding {
    pub fn new(
        reader: Arc<StoredFile>,
        transfer_syntax_uid: String,
        completions: Arc<Completions>,
        handle: tokio::runtime::Handle,
    ) -> Self {
        Self {
            reader,
            transfer_syntax_uid,
            state: Arc::default(),
            completions,
            handle,
        }
    }
}

#[pymethods]
impl CoreReencoding {
    /// Walks through the file; completes with `{"length": ...}`, null if that is known only at the end.
    fn open(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (state, reader) = (Arc::clone(&self.state), Arc::clone(&self.reader));
        let transfer_syntax_uid = self.transfer_syntax_uid.clone();
        self.handle.spawn_blocking(move || {
            let opened = vna_node::reencode_stored(reader, &transfer_syntax_uid);
            promise.keep(opened.map_err(BoundaryError::from).map(|reencoded| {
                let length = serde_json::json!({ "length": reencoded.length() });
                *state.lock() = Some(reencoded);
                length.to_string().into_bytes()
            }));
        });
        handle
    }

    /// Reads on; completes with fewer bytes than `length` only at the end.
    fn read(&self, length: usize) -> u64 {
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle.spawn_blocking(move || {
            let mut buffer = vec![0; length];
            promise.keep(match &mut *state.lock() {
                None => Err(BoundaryError::Argument("read comes before open".to_owned())),
                Some(reencoded) => match reencoded.read(&mut buffer) {
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

/// A PS3.10 file in another transfer syntax.
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
