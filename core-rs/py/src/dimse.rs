//! DIMSE requests for Python: they wait in the queue of results like any other, and what they are answered with goes back
//! to the task of their association.

use std::future::Future;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use vna_dicom::PublicId;
use vna_node::dimse::{
    IdentityClaim, Origin, Over, Progress, Responder, Response, STORAGE_SOP_CLASSES,
    ServiceRequest, Services, TRANSFER_SYNTAXES, command_from_json, command_to_json,
};
use vna_node::{Archive, CFindOptions, DEFAULT_TENANT};

use crate::archive::parse;
use crate::completions::{Completions, Outcome};
use crate::errors::BoundaryError;

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreRequest>()?;
    m.add_function(wrap_pyfunction!(storage_sop_classes, m)?)?;
    m.add_function(wrap_pyfunction!(transfer_syntaxes, m)?)
}

/// The storage SOP classes of the standard.
#[pyfunction]
fn storage_sop_classes() -> Vec<&'static str> {
    STORAGE_SOP_CLASSES.iter().map(|(uid, _)| *uid).collect()
}

/// The transfer syntaxes of the standard that data sets are sent in.
#[pyfunction]
fn transfer_syntaxes() -> Vec<&'static str> {
    TRANSFER_SYNTAXES.to_vec()
}

/// Requests on their way to the loop, and what they need to be answered.
#[derive(Clone)]
pub(crate) struct Queue {
    /// Gone when the archive has stopped.
    pub archive: Weak<Archive>,
    pub completions: Arc<Completions>,
    pub handle: tokio::runtime::Handle,
    /// Places for searches.
    pub searches: Arc<Semaphore>,
}

impl Services for Queue {
    fn take(&self, request: ServiceRequest) {
        let command = command_to_json(&request.command);
        let responder = request.responder.clone();
        let origin = Arc::clone(&request.origin);
        self.hand_over(&origin, command, Answer::Response(responder), Some(request));
    }

    fn identify(&self, claim: IdentityClaim) {
        let IdentityClaim {
            origin,
            identity,
            answer,
        } = claim;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let command = json!({
            "Ask": "associate",
            "UserIdentityType": identity.identity_type,
            "User": text(&identity.primary),
            "Passcode": text(&identity.secondary),
        });
        let command = command.to_string().into_bytes();
        let answer = Answer::Identity(Mutex::new(Some(answer)));
        self.hand_over(&origin, command, answer, None);
    }
}

impl Queue {
    fn hand_over(
        &self,
        origin: &Origin,
        command: Vec<u8>,
        answer: Answer,
        request: Option<ServiceRequest>,
    ) {
        self.completions.hand_over_request(CoreRequest {
            association: origin.association,
            caller: caller_json(origin),
            command,
            answer,
            request: request.map(Arc::new),
            queue: self.clone(),
        });
    }
}

/// `vna.services.caller.Caller`.
fn caller_json(origin: &Origin) -> Vec<u8> {
    let caller = json!({
        "way_in": "dimse",
        "address": origin.remote_address.ip().to_string(),
        "tenant": origin.tenant,
        "label": origin.label,
        "user": origin.user,
        "calling_ae_title": origin.calling_ae_title,
        "called_ae_title": origin.called_ae_title,
    });
    caller.to_string().into_bytes()
}

/// How it is answered.
enum Answer {
    Response(Responder),
    Identity(Mutex<Option<oneshot::Sender<Option<String>>>>),
}

/// `vna/dimse/serving.py` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decision {
    accept: bool,
    #[serde(default)]
    user: String,
}

/// The sub-operations of a C-GET.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    instances: Vec<String>,
    #[serde(default = "default_tenant")]
    tenant: i64,
}

fn default_tenant() -> i64 {
    DEFAULT_TENANT
}

/// `vna._core.DimseRequest`: one request of a peer, and its answers.
#[pyclass(frozen, name = "DimseRequest", module = "vna._core")]
pub(crate) struct CoreRequest {
    /// Number of the association.
    #[pyo3(get)]
    association: u64,
    caller: Vec<u8>,
    command: Vec<u8>,
    answer: Answer,
    /// None if the association itself is asked about.
    request: Option<Arc<ServiceRequest>>,
    queue: Queue,
}

#[pymethods]
impl CoreRequest {
    #[getter]
    fn caller<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.caller)
    }

    #[getter]
    fn sop_class_uid(&self) -> &str {
        let request = self.request.as_ref();
        request.map_or("", |request| &request.context.sop_class_uid)
    }

    #[getter]
    fn transfer_syntax_uid(&self) -> &str {
        let request = self.request.as_ref();
        request.map_or("", |request| &request.context.transfer_syntax_uid)
    }

    #[getter]
    fn command<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.command)
    }

    #[getter]
    fn data_set<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let request = self.request.as_ref();
        PyBytes::new(py, request.map_or(&[][..], |request| &request.data_set))
    }

    #[getter]
    fn extended<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let request = self.request.as_ref();
        PyBytes::new(
            py,
            request.map_or(&[][..], |request| &request.context.extended),
        )
    }

    /// One more pending response; completes when the peer took it.
    #[pyo3(signature = (command_json, data_set = None))]
    fn respond(
        &self,
        command_json: PyBackedBytes,
        data_set: Option<PyBackedBytes>,
    ) -> PyResult<u64> {
        Ok(self.send(&command_json, data_set, false)?)
    }

    /// The last response, or the decision about the association.
    #[pyo3(signature = (command_json, data_set = None))]
    fn finish(
        &self,
        command_json: PyBackedBytes,
        data_set: Option<PyBackedBytes>,
    ) -> PyResult<u64> {
        match &self.answer {
            Answer::Response(_) => Ok(self.send(&command_json, data_set, true)?),
            Answer::Identity(answer) => {
                let decision: Decision = parse(&command_json, "command_json")?;
                let user = decision.accept.then_some(decision.user);
                let answer = answer.lock().take();
                let answered = answer.is_some_and(|answer| answer.send(user).is_ok());
                let over = if answered { Ok(()) } else { Err(Over) };
                Ok(self.complete(async move { said(over) }))
            }
        }
    }

    /// Completes with `cancel` or `ended` when the request is not to be served any more.
    fn cancelled(&self) -> PyResult<u64> {
        let interrupted = self.responder()?.interrupted();
        let (handle, promise) = self.queue.completions.promise();
        self.queue.handle.spawn(async move {
            let said: &[u8] = match interrupted.await {
                Progress::Cancelled => b"cancel",
                Progress::Running | Progress::Ended => b"ended",
            };
            promise.keep(Ok(said.to_vec()));
        });
        Ok(handle)
    }

    /// Sends an N-EVENT-REPORT to the peer, also after the last response; completes with the response.
    fn report(&self, command_json: PyBackedBytes, data_set: PyBackedBytes) -> PyResult<u64> {
        let command = command_from_json(&command_json).map_err(BoundaryError::Argument)?;
        let reported = self.request()?.reporter.report(command, data_set.to_vec());
        Ok(self.complete(async move {
            let response = reported.await;
            let response = response.map_err(|Over| BoundaryError::AssociationOver)?;
            Ok(command_to_json(&response))
        }))
    }

    /// Answers the C-FIND of this request; only the last response is still to be given.
    fn find(&self, options_json: PyBackedBytes) -> PyResult<u64> {
        let options: CFindOptions = parse(&options_json, "options_json")?;
        let (request, archive) = (self.request()?, self.archive()?);
        let searches = Arc::clone(&self.queue.searches);
        Ok(self.complete(async move {
            let found = vna_node::dimse::find(archive, &request, options, searches).await?;
            json_of(&found)
        }))
    }

    /// Sends instances to the peer as C-GET has it, with pending responses.
    fn store(&self, batch_json: PyBackedBytes) -> PyResult<u64> {
        let batch: Batch = parse(&batch_json, "batch_json")?;
        let ids = batch.instances.iter().map(|id| {
            id.parse::<PublicId>()
                .map_err(|_| BoundaryError::Argument(format!("{id:?} is no public id")))
        });
        let ids = ids.collect::<Result<_, _>>()?;
        let (request, archive) = (self.request()?, self.archive()?);
        Ok(self.complete(async move {
            let got = vna_node::dimse::get(archive, &request, batch.tenant, ids).await;
            json_of(&got.map_err(|Over| BoundaryError::AssociationOver)?)
        }))
    }
}

fn json_of(report: &impl serde::Serialize) -> Outcome {
    serde_json::to_vec(report)
        .map_err(|error| BoundaryError::Argument(format!("a report without JSON form: {error}")))
}

impl CoreRequest {
    fn request(&self) -> Result<Arc<ServiceRequest>, BoundaryError> {
        self.responder()?;
        self.request.clone().ok_or(BoundaryError::Stopped)
    }

    fn archive(&self) -> Result<Arc<Archive>, BoundaryError> {
        self.queue.archive.upgrade().ok_or(BoundaryError::Stopped)
    }

    fn responder(&self) -> Result<&Responder, BoundaryError> {
        match &self.answer {
            Answer::Response(responder) => Ok(responder),
            Answer::Identity(_) => Err(BoundaryError::Argument(
                "an association that is asked about is answered with finish".into(),
            )),
        }
    }

    fn send(
        &self,
        command_json: &[u8],
        data_set: Option<PyBackedBytes>,
        last: bool,
    ) -> Result<u64, BoundaryError> {
        let response = Response {
            command: command_from_json(command_json).map_err(BoundaryError::Argument)?,
            data_set: data_set.map(|data_set| data_set.to_vec()),
        };
        let taken = self.responder()?.begin_response(response, last);
        Ok(self.complete(async move { said(taken.await) }))
    }

    /// A handle that completes with the outcome of `work`.
    fn complete(&self, work: impl Future<Output = Outcome> + Send + 'static) -> u64 {
        let (handle, promise) = self.queue.completions.promise();
        self.queue.handle.spawn(async move {
            promise.keep(work.await);
        });
        handle
    }
}

/// What a handle of something that was said completes with.
fn said(taken: Result<(), Over>) -> Outcome {
    match taken {
        Ok(()) => Ok(Vec::new()),
        Err(Over) => Err(BoundaryError::AssociationOver),
    }
}
