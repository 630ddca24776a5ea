//! `vna._core.Peer`: an association that we request, and on which Python asks.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde_json::json;
use vna_node::dimse::{
    Message, Opened, Peer, PeerError, Server, command_from_json, command_to_json,
};

use crate::archive::{CoreArchive, argument};
use crate::completions::Completions;
use crate::errors::BoundaryError;

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CorePeer>()
}

/// Let go of, its association is aborted.
#[pyclass(frozen, name = "Peer", module = "vna._core")]
pub(crate) struct CorePeer {
    peer: Peer,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

impl CorePeer {
    /// Completes when what was asked is done, with what `encode` makes of it.
    fn spawn<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, PeerError>> + Send + 'static,
        encode: impl FnOnce(T) -> Vec<u8> + Send + 'static,
    ) -> u64 {
        let (handle, promise) = self.completions.promise();
        self.handle.spawn(async move {
            promise.keep(asked.await.map(encode).map_err(BoundaryError::from));
        });
        handle
    }
}

#[pymethods]
impl CorePeer {
    /// Connects and associates; completes with what the peer agreed to.
    fn open(&self) -> u64 {
        self.spawn(self.peer.open(), |opened| opened_json(&opened))
    }

    /// Sends a request or a response; completes when the peer took it.
    #[pyo3(signature = (sop_class_uid, command_json, data_set = None))]
    fn request(
        &self,
        sop_class_uid: String,
        command_json: PyBackedBytes,
        data_set: Option<PyBackedBytes>,
    ) -> Result<u64, BoundaryError> {
        let command = command_from_json(&command_json).map_err(BoundaryError::Argument)?;
        let data_set = data_set.map(|bytes| bytes.to_vec());
        let asked = self.peer.request(sop_class_uid, command, data_set);
        Ok(self.spawn(asked, |requested| {
            json!({ "message_id": requested.message_id, "context_id": requested.context_id })
                .to_string()
                .into_bytes()
        }))
    }

    /// The next message of the peer's: its command as a line of JSON, then its data set.
    fn response(&self, timeout_s: f64) -> Result<u64, BoundaryError> {
        let patience = Duration::try_from_secs_f64(timeout_s)
            .map_err(|_| argument("timeout_s", &timeout_s.to_string(), "seconds, not negative"))?;
        Ok(self.spawn(self.peer.response(patience), message_bytes))
    }

    /// Sends a C-CANCEL for the request of that number.
    fn cancel(&self, message_id: u16) -> u64 {
        self.spawn(self.peer.cancel(message_id), |()| Vec::new())
    }

    /// Releases the association.
    fn release(&self) -> u64 {
        self.spawn(self.peer.release(), |()| Vec::new())
    }

    /// Ends the association at once.
    fn abort(&self) -> u64 {
        self.peer.abort();
        self.spawn(std::future::ready(Ok(())), |()| Vec::new())
    }

    /// What the peer sent by C-STORE: how many instances were stored and refused, and their bytes.
    fn received<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let tally = self.peer.tally();
        let json =
            json!({ "stored": tally.stored, "refused": tally.refused, "bytes": tally.bytes });
        PyBytes::new(py, json.to_string().as_bytes())
    }
}

#[pymethods]
impl CoreArchive {
    fn peer(&self, py: Python<'_>, spec_json: PyBackedBytes) -> Result<CorePeer, BoundaryError> {
        let archive = self.archive()?;
        let peer = py.detach(|| {
            let server = self.server.lock();
            let server: Option<&Server> = server.as_ref();
            vna_node::peer(&self.handle, &archive, server, &spec_json)
        })?;
        Ok(CorePeer {
            peer,
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }
}

fn opened_json(opened: &Opened) -> Vec<u8> {
    let user = &opened.answer.user;
    let contexts = opened.contexts.iter().map(|context| {
        json!({
            "context_id": context.context_id,
            "sop_class_uid": context.sop_class_uid,
            "transfer_syntax_uid": context.transfer_syntax_uid,
        })
    });
    let roles = user.roles.iter().map(
        |role| json!({ "sop_class_uid": role.sop_class_uid, "scu": role.scu, "scp": role.scp }),
    );
    let extended = user
        .extended
        .iter()
        .map(|item| (item.sop_class_uid.clone(), json!(item.information)));
    json!({
        "contexts": contexts.collect::<Vec<_>>(),
        "max_pdu_bytes": user.max_pdu_bytes,
        "implementation_class_uid": user.implementation_class_uid,
        "implementation_version_name": user.implementation_version_name,
        "roles": roles.collect::<Vec<_>>(),
        "extended": extended.collect::<serde_json::Map<_, _>>(),
        "user_identity_confirmed": user.user_identity_response.is_some(),
    })
    .to_string()
    .into_bytes()
}

fn message_bytes(message: Message) -> Vec<u8> {
    let mut line = command_to_json(&message.command);
    // What the context says is put into the same object: `}` gives way to it.
    line.pop();
    let context = json!({
        "ContextID": message.context_id,
        "TransferSyntaxUID": message.transfer_syntax_uid,
    })
    .to_string();
    if line.len() > 1 {
        line.push(b',');
    }
    line.extend_from_slice(&context.as_bytes()[1..]);
    line.push(b'\n');
    line.extend_from_slice(&message.data_set);
    line
}
