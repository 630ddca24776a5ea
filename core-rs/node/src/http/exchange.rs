//! One request on its way to the application, and the way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::body::{Content, Written, next_frame};

/// Answers requests.
pub trait Application: Send + Sync + 'static {
    /// Takes a request; the answer may come from anywhere, at any time. An exchange that is dropped without an answer
    /// closes the connection.
    fn take(&self, exchange: Exchange);
}

/// The client has closed the connection, or broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone;

/// A request and its unsent answer.
pub struct Exchange {
    /// Method, target, version and headers.
    pub head: Parts,
    /// Who asks.
    pub remote_address: SocketAddr,
    /// What comes behind the head.
    pub body: RequestBody,
    /// Where the answer goes.
    pub responder: Responder,
}

/// The body of a request, read a piece at a time. Nothing is read from the client before it is asked for.
#[derive(Clone)]
pub struct RequestBody {
    shared: Arc<Shared>,
    is_empty: bool,
}

struct Shared {
    /// `None` once closed.
    incoming: Mutex<Option<Arriving>>,
    closed: Notify,
}

struct Arriving {
    /// What was read, and is to be read again.
    again: Option<Bytes>,
    rest: Incoming,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self {
            is_empty: incoming.is_end_stream(),
            shared: Arc::new(Shared {
                incoming: Mutex::new(Some(Arriving {
                    again: None,
                    rest: incoming,
                })),
                closed: Notify::new(),
            }),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ClientGone`] if the rest will not come, or was given up by [`RequestBody::close`].
    pub async fn next(&self) -> Result<Option<Bytes>, ClientGone> {
        let mut incoming = self.shared.incoming.lock().await;
        loop {
            let body = incoming.as_mut().ok_or(ClientGone)?;
            if let Some(again) = body.again.take() {
                return Ok(Some(again));
            }
            let frame = tokio::select! {
                frame = next_frame(&mut body.rest) => frame,
                () = self.shared.closed.notified() => {
                    *incoming = None;
                    return Err(ClientGone);
                }
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => {
                    *incoming = None; // it would say that it has ended, if it were asked again
                    return Err(ClientGone);
                }
                // Trailers have no data.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        if !data.is_empty() {
                            return Ok(Some(data));
                        }
                    }
                }
            }
        }
    }

    /// The next bytes, put together from what comes close behind one another: up to somewhat more than `enough`, or
    /// what came within `linger` of the first. Empty at the end.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn gather(&self, enough: usize, linger: Duration) -> Result<Vec<u8>, ClientGone> {
        let Some(first) = self.next().await? else {
            return Ok(Vec::new());
        };
        let mut gathered = Vec::from(first);
        let waited = tokio::time::sleep(linger);
        tokio::pin!(waited);
        while gathered.len() < enough && !self.has_ended().await {
            tokio::select! {
                biased;
                piece = self.next() => match piece {
                    Ok(Some(piece)) => gathered.extend_from_slice(&piece),
                    // Told again to who asks for more.
                    Ok(None) | Err(ClientGone) => break,
                },
                () = &mut waited => break,
            }
        }
        Ok(gathered)
    }

    async fn has_ended(&self) -> bool {
        let incoming = self.shared.incoming.lock().await;
        let has_ended = |body: &Arriving| body.again.is_none() && body.rest.is_end_stream();
        incoming.as_ref().is_none_or(has_ended)
    }

    /// Puts back all that was read: who asks next reads it again.
    pub(super) async fn put_back(&self, bytes: Bytes) {
        if let Some(body) = self.shared.incoming.lock().await.as_mut() {
            body.again = (!bytes.is_empty()).then_some(bytes);
        }
    }

    /// Gives the rest up: the connection would wait for it even behind the answer.
    pub fn close(&self) {
        self.shared.closed.notify_one();
        if let Ok(mut incoming) = self.shared.incoming.try_lock() {
            *incoming = None;
        }
    }
}

/// Where the answer of one request goes.
pub struct Responder {
    pub(super) answer: oneshot::Sender<Response<Content>>,
}

impl Responder {
    /// Sends a whole answer. If the client is gone, it goes nowhere.
    pub fn respond(self, status: StatusCode, headers: HeaderMap, body: Bytes) {
        let _ = self
            .answer
            .send(response(status, headers, Content::whole(body)));
    }

    /// Sends the head of an answer whose body is written in pieces.
    #[must_use]
    pub fn start(self, status: StatusCode, headers: HeaderMap) -> BodyWriter {
        let (writer, content) = BodyWriter::new();
        let _ = self.answer.send(response(status, headers, content));
        writer
    }

    /// Whether the client has gone away without waiting for the answer.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// Returns once the client has gone away without waiting for the answer.
    pub async fn closed(&mut self) {
        self.answer.closed().await;
    }
}

/// Writes the body of an answer. Dropped before [`BodyWriter::finish`] it breaks the connection off: nothing else tells
/// the client that the body is not whole.
#[derive(Clone)]
pub struct BodyWriter {
    writer: mpsc::Sender<Written>,
}

impl BodyWriter {
    /// A writer, and the body that it writes.
    pub(super) fn new() -> (Self, Content) {
        // One piece on its way while the next one is made.
        let (writer, written) = mpsc::channel(1);
        (BodyWriter { writer }, Content::Written(written))
    }

    /// Writes a piece; returns when there is room for the next one.
    ///
    /// # Errors
    ///
    /// [`ClientGone`] if nobody reads any more.
    pub async fn write(&self, piece: Bytes) -> Result<(), ClientGone> {
        let sent = self.writer.send(Written::Piece(piece)).await;
        sent.map_err(|_| ClientGone)
    }

    /// The body is whole.
    pub async fn finish(self) {
        let _ = self.writer.send(Written::End).await;
    }
}

pub(super) fn response(
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Headers from names and values; `None` if one of them is none that HTTP has.
#[must_use]
pub fn header_map<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name).ok()?;
        map.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(map)
}
