//! `vna._core.Sending`: stored instances on their way to a remote node.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vna_node::dimse::{PeerSpec, SendFileError, Sending, send_file};

use crate::archive::CoreArchive;
use crate::completions::Completions;
use crate::errors::BoundaryError;

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreSending>()
}

/// A batch; let go of, it is cancelled.
#[pyclass(frozen, name = "Sending", module = "vna._core")]
pub(crate) struct CoreSending {
    sending: Sending,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreSending {
    /// How far it is, as JSON.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let json = py.detach(|| serde_json::to_vec(&self.sending.progress()));
        let json = json.map_err(|error| BoundaryError::Argument(error.to_string()))?;
        Ok(PyBytes::new(py, &json))
    }

    /// Completes when more than `seen` instances are done, or all that will be.
    fn wait(&self, seen: usize) -> u64 {
        let (handle, promise) = self.completions.promise();
        let waiting = self.sending.wait(seen);
        self.handle.spawn(async move {
            waiting.await;
            promise.keep(Ok(Vec::new()));
        });
        handle
    }

    /// Sends nothing more.
    fn cancel(&self) {
        self.sending.cancel();
    }
}

#[pymethods]
impl CoreArchive {
    fn send(
        &self,
        py: Python<'_>,
        batch_json: PyBackedBytes,
    ) -> Result<CoreSending, BoundaryError> {
        let archive = self.archive()?;
        let sending = py.detach(|| Sending::start(&self.handle, archive, &batch_json))?;
        Ok(CoreSending {
            sending,
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }

    fn send_file(
        &self,
        py: Python<'_>,
        spec_json: PyBackedBytes,
        file: PyBackedBytes,
    ) -> Result<u64, BoundaryError> {
        let archive = self.archive()?;
        let (spec, file) = py.detach(|| {
            let tls = &archive.settings().tls;
            (PeerSpec::read(&spec_json, tls), file.to_vec())
        });
        let spec = spec?;
        let (handle, promise) = self.completions.promise();
        self.handle.spawn(async move {
            promise.keep(match send_file(archive, &spec, file).await {
                Ok(sent) => Ok(serde_json::json!({
                    "sop_class_uid": sent.sop_class_uid,
                    "sop_instance_uid": sent.sop_instance_uid,
                    "status": sent.status,
                    "reason": sent.reason,
                })
                .to_string()
                .into_bytes()),
                Err(SendFileError::File(error)) => Err(error.into()),
                Err(SendFileError::Peer(error)) => Err(error.into()),
                Err(SendFileError::Unsendable(why)) => {
                    Err(BoundaryError::Unsendable(why.to_string()))
                }
            });
        });
        Ok(handle)
    }
}
