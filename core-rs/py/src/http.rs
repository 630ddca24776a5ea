//! HTTP requests for Python: an exchange waits in the queue of results like any other, and its body, its answer and
//! what the client does come back as calls that complete.

use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{StatusCode, Version};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use serde::Deserialize;
use vna_node::http::{
    Application, BodyWriter, Client, Exchange, HotPolicy, HttpServer, HttpSettings, RequestBody,
    Responder, header_map,
};
use vna_node::tls::{self, ClientCertificates, TlsSettings};
use vna_node::{Archive, ArchiveError};

use crate::archive::{CoreArchive, parse};
use crate::completions::Completions;
use crate::errors::BoundaryError;

/// Bytes of a body that go to Python at once, so that the way there does not show; and how long to wait for so many.
const PIECE_BYTES: usize = 256 << 10;
const LINGER: Duration = Duration::from_millis(10);

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreExchange>()
}

/// `vna/rest/server.py` writes it.
#[derive(Deserialize)]
struct Listener {
    max_connections: usize,
    head_timeout_s: f64,
    policy: HotPolicy,
    /// Connections begin with TLS.
    tls: bool,
    tls_client_certificates: ClientCertificates,
    /// Certificates and versions for it; those of the archive if it is not said.
    #[serde(default)]
    tls_settings: Option<TlsSettings>,
}

impl Listener {
    fn tls(&self, archive: &Archive) -> Result<Option<Arc<tls::Server>>, BoundaryError> {
        if !self.tls {
            return Ok(None);
        }
        let settings = self
            .tls_settings
            .as_ref()
            .unwrap_or(&archive.settings().tls);
        let server =
            tls::Server::new(settings, self.tls_client_certificates).map_err(ArchiveError::from)?;
        Ok(Some(Arc::new(server)))
    }
}

#[pymethods]
impl CoreArchive {
    /// Serves HTTP on listening sockets, which are taken over; completes when it was stopped and the last connection has
    /// ended.
    fn serve_http(
        &self,
        py: Python<'_>,
        sockets: Vec<i32>,
        listener_json: PyBackedBytes,
    ) -> PyResult<u64> {
        // SAFETY: the caller gives the descriptors away (`socket.detach`): nobody else closes them.
        let own = |fd| TcpListener::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let sockets = sockets.into_iter().map(own).collect();
        let listener: Listener = parse(&listener_json, "listener_json")?;
        let settings = HttpSettings {
            max_connections: listener.max_connections,
            head_timeout: Duration::try_from_secs_f64(listener.head_timeout_s)
                .map_err(|error| BoundaryError::Argument(format!("head_timeout_s: {error}")))?,
            tls: listener.tls(&*self.archive()?)?,
        };
        let policy = HotPolicy {
            credentials: Arc::clone(&self.credentials),
            ..listener.policy
        };
        let archive = self.archive()?;
        let (handle, promise) = self.completions.promise();
        let application = Queue {
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        };
        let started = py.detach(|| {
            let ended = move || promise.keep(Ok(Vec::new()));
            HttpServer::start(
                &self.handle,
                sockets,
                &settings,
                archive,
                policy,
                application,
                ended,
            )
        });
        *self.http.lock() = Some(started?);
        Ok(handle)
    }

    /// Sets whether requests must say whose they are; forgets those whom `remember_http` told.
    fn authenticate_http(&self, required: bool) {
        self.credentials.require(required);
    }

    /// Lets plain requests with this Authorization header be answered for a user of a tenant, for `time_s` seconds.
    fn remember_http(
        &self,
        authorization: &[u8],
        tenant: i64,
        user: &str,
        may_store: bool,
        time_s: f64,
    ) -> PyResult<()> {
        let time = Duration::try_from_secs_f64(time_s)
            .map_err(|error| BoundaryError::Argument(format!("time_s: {error}")))?;
        let client = Client {
            tenant,
            user: Some(user.into()),
            may_store,
        };
        self.credentials.remember(authorization, client, time);
        Ok(())
    }

    /// Accepts no more connections and requests.
    fn stop_http(&self) {
        if let Some(http) = self.http.lock().take() {
            http.stop();
        }
    }
}

/// Requests on their way to the loop.
struct Queue {
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

impl Application for Queue {
    fn take(&self, exchange: Exchange) {
        self.completions.hand_over(CoreExchange {
            body: exchange.body.clone(),
            state: Mutex::new(State::Unanswered(exchange.responder)),
            head: exchange.head,
            remote: (
                exchange.remote_address.ip().to_string(),
                exchange.remote_address.port(),
            ),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        });
    }
}

/// How far the answer is.
enum State {
    Unanswered(Responder),
    Begun(BodyWriter),
    Over,
}

/// `vna._core.Exchange`: one HTTP request and its answer.
#[pyclass(frozen, name = "Exchange", module = "vna._core")]
pub(crate) struct CoreExchange {
    head: hyper::http::request::Parts,
    remote: (String, u16),
    body: RequestBody,
    state: Mutex<State>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreExchange {
    #[getter]
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The path as it came, its escapes included.
    #[getter]
    fn raw_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.head.uri.path().as_bytes())
    }

    #[getter]
    fn query<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.head.uri.query().unwrap_or_default().as_bytes())
    }

    #[getter]
    fn http_version(&self) -> &'static str {
        if self.head.version == Version::HTTP_10 {
            "1.0"
        } else {
            "1.1"
        }
    }

    /// Names, in lower case, and values.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for (name, value) in &self.head.headers {
            let name = PyBytes::new(py, name.as_str().as_bytes());
            let value = PyBytes::new(py, value.as_bytes());
            list.append(PyTuple::new(py, [name, value])?)?;
        }
        Ok(list)
    }

    /// Address and port.
    #[getter]
    fn remote(&self) -> (&str, u16) {
        (&self.remote.0, self.remote.1)
    }

    #[getter]
    fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// The next piece of the body; empty at its end. The client gone is a ConnectionError.
    fn receive(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let body = self.body.clone();
        self.handle.spawn(async move {
            let piece = body.gather(PIECE_BYTES, LINGER).await;
            promise.keep(piece.map_err(|_| BoundaryError::ClientGone));
        });
        handle
    }

    /// Answers at once.
    fn respond(
        &self,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
        body: PyBackedBytes,
    ) -> PyResult<()> {
        let (status, headers) = checked(status, &headers)?;
        self.unanswered()?
            .respond(status, headers, Bytes::copy_from_slice(&body));
        self.body.close();
        Ok(())
    }

    /// Sends the head of an answer whose body is written in pieces.
    fn start(&self, status: u16, headers: Vec<(PyBackedBytes, PyBackedBytes)>) -> PyResult<()> {
        let (status, headers) = checked(status, &headers)?;
        let writer = self.unanswered()?.start(status, headers);
        *self.state.lock() = State::Begun(writer);
        Ok(())
    }

    /// Writes a piece; completes when there is room for the next one. The client gone is a ConnectionError.
    fn write(&self, piece: PyBackedBytes) -> PyResult<u64> {
        let writer = match &*self.state.lock() {
            State::Begun(writer) => writer.clone(),
            State::Unanswered(_) | State::Over => return Err(out_of_order("write").into()),
        };
        let piece = Bytes::copy_from_slice(&piece);
        let (handle, promise) = self.completions.promise();
        self.handle.spawn(async move {
            let written = writer.write(piece).await;
            promise.keep(match written {
                Ok(()) => Ok(Vec::new()),
                Err(_) => Err(BoundaryError::ClientGone),
            });
        });
        Ok(handle)
    }

    /// The body is whole.
    fn finish(&self) -> PyResult<()> {
        match std::mem::replace(&mut *self.state.lock(), State::Over) {
            State::Begun(writer) => {
                self.handle.spawn(writer.finish());
                self.body.close();
                Ok(())
            }
            State::Unanswered(_) | State::Over => Err(out_of_order("finish").into()),
        }
    }

    /// Whether the client went away without waiting for the answer.
    fn is_gone(&self) -> bool {
        match &*self.state.lock() {
            State::Unanswered(responder) => responder.is_gone(),
            State::Begun(_) | State::Over => false,
        }
    }

    /// Breaks the answer off: the connection is closed, so that nobody takes what was sent for the whole.
    fn abort(&self) {
        *self.state.lock() = State::Over;
        self.body.close();
    }
}

impl CoreExchange {
    /// What comes behind the head of the request.
    pub(crate) fn body(&self) -> &RequestBody {
        &self.body
    }

    /// Sends the head of an answer whose body the core writes.
    pub(crate) fn begin(
        &self,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> Result<BodyWriter, BoundaryError> {
        let (status, headers) = checked(status, &headers)?;
        let writer = self.unanswered()?.start(status, headers);
        self.body.close();
        Ok(writer)
    }

    fn unanswered(&self) -> Result<Responder, BoundaryError> {
        match std::mem::replace(&mut *self.state.lock(), State::Over) {
            State::Unanswered(responder) => Ok(responder),
            State::Begun(_) | State::Over => Err(out_of_order("a second answer")),
        }
    }
}

fn out_of_order(what: &str) -> BoundaryError {
    BoundaryError::Argument(format!("{what}: the answer is not at the place for it"))
}

fn checked(
    status: u16,
    headers: &[(PyBackedBytes, PyBackedBytes)],
) -> Result<(StatusCode, HeaderMap), BoundaryError> {
    let pairs = headers.iter().map(|(name, value)| (&name[..], &value[..]));
    let checked = StatusCode::from_u16(status).ok().zip(header_map(pairs));
    checked.ok_or_else(|| {
        BoundaryError::Argument("the answer has a status or header that HTTP has not".into())
    })
}
