//! Bytes that are made while they leave: read by Python, or sent to a client of HTTP. An archive, an answer of DICOMweb.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pyo3::pybacked::PyBackedBytes;
use tokio::sync::{Mutex, watch};
use vna_node::web::Answer;
use vna_node::{ArchiveError, Making};

use crate::completions::Completions;
use crate::errors::BoundaryError;
use crate::http::CoreExchange;

/// How long a client may take nothing before it is broken off: it holds memory that others wait for.
const STALLED: Duration = Duration::from_secs(300);

/// What gives bytes piece by piece.
pub(crate) trait Pieces: Send + 'static {
    /// The next ones; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ArchiveError>> + Send;
}

impl Pieces for Answer {
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ArchiveError>> + Send {
        Answer::next(self)
    }
}

impl Pieces for Making {
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ArchiveError>> + Send {
        Making::next(self)
    }
}

/// The place of one: `None` before it is begun, and once it is over.
pub(crate) type Place<P> = Arc<Mutex<Option<P>>>;

/// One that leaves. Its calls are made one after the other; `close` comes at any time.
pub(crate) struct Leaving<P: Pieces> {
    place: Place<P>,
    stop: watch::Sender<bool>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

impl<P: Pieces> Leaving<P> {
    /// Nothing yet.
    pub fn new(completions: &Arc<Completions>, handle: &tokio::runtime::Handle) -> Self {
        Self {
            place: Arc::default(),
            stop: watch::channel(false).0,
            completions: Arc::clone(completions),
            handle: handle.clone(),
        }
    }

    /// Where it will be.
    pub fn place(&self) -> Place<P> {
        Arc::clone(&self.place)
    }

    /// Runs work until it is done or this is closed.
    pub fn run(
        &self,
        work: impl Future<Output = Result<Vec<u8>, BoundaryError>> + Send + 'static,
    ) -> u64 {
        let (handle, promise) = self.completions.promise();
        let mut stopped = self.stop.subscribe();
        let place = self.place();
        self.handle.spawn(async move {
            let done = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => Err(BoundaryError::Stopped),
                done = work => done,
            };
            if done.is_err() {
                *place.lock().await = None; // with it goes what is worked on
            }
            promise.keep(done);
        });
        handle
    }

    /// Completes with the next bytes; nothing at the end.
    pub fn read(&self) -> u64 {
        let place = self.place();
        self.run(async move {
            let mut place = place.lock().await;
            Ok(next(&mut place).await?.map_or(Vec::new(), Into::into))
        })
    }

    /// Answers an HTTP request with it; completes at its end. The client gone is a ConnectionError; after any error the
    /// connection is broken off, so that nobody takes what was sent for the whole.
    pub fn respond(
        &self,
        exchange: &CoreExchange,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> Result<u64, BoundaryError> {
        let writer = exchange.begin(status, headers)?;
        let place = self.place();
        Ok(self.run(async move {
            let mut place = place.lock().await;
            while let Some(piece) = next(&mut place).await? {
                let written = tokio::time::timeout(STALLED, writer.write(piece)).await;
                if !matches!(written, Ok(Ok(()))) {
                    return Err(BoundaryError::ClientGone);
                }
            }
            writer.finish().await;
            Ok(Vec::new())
        }))
    }

    /// Ends it, whatever it is at.
    pub fn close(&self) {
        if self.stop.send_replace(true) {
            return; // it was closed before
        }
        // A call that runs lets go of it first; without one nobody else would.
        let place = self.place();
        self.handle.spawn(async move { *place.lock().await = None });
    }
}

impl<P: Pieces> Drop for Leaving<P> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The next bytes of what is at a place; at its end it is over.
pub(crate) async fn next<P: Pieces>(place: &mut Option<P>) -> Result<Option<Bytes>, BoundaryError> {
    let Some(open) = place else {
        let problem = "what is read was not begun, or is over".to_owned();
        return Err(BoundaryError::Argument(problem));
    };
    let piece = open.next().await?;
    if piece.is_none() {
        *place = None;
    }
    Ok(piece)
}
