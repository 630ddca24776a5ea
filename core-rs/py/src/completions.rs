//! The way back to Python: results wait in a queue, and an eventfd tells the loop to fetch them.
//!
//! No Rust thread ever waits for the GIL: attaching from a foreign thread costs milliseconds beside
//! busy Python threads, so a worker leaves its result here and goes on, and the asyncio loop, which
//! holds the GIL anyway, drains a batch at a time.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use rustix::event::{EventfdFlags, eventfd};

use crate::dimse::CoreRequest;
use crate::errors::BoundaryError;
use crate::http::CoreExchange;

/// A result, as a worker thread leaves it: finished bytes, or why there are none.
pub type Outcome = Result<Vec<u8>, BoundaryError>;

/// The handle of a line for the log.
const LOG_LINE: u64 = 0;

/// The handle of an HTTP request.
const EXCHANGE: u64 = 1;

/// The handle of a DIMSE request.
const REQUEST: u64 = 2;

/// What waits for Python.
enum Waiting {
    Result(u64, Outcome),
    Request(Box<CoreRequest>),
    Exchange(Box<CoreExchange>),
}

/// The queue and its eventfd.
pub struct Completions {
    fd: OwnedFd,
    waiting: Mutex<Vec<Waiting>>,
    next_handle: AtomicU64,
}

/// A promise to finish one call: dropped unfinished, it still answers, with an error.
pub struct Promise {
    completions: Arc<Completions>,
    handle: u64,
    kept: bool,
}

impl Completions {
    /// An empty queue.
    pub fn new() -> PyResult<Arc<Self>> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|error| PyOSError::new_err(format!("cannot make an eventfd: {error}")))?;
        Ok(Arc::new(Self {
            fd,
            waiting: Mutex::new(Vec::new()),
            next_handle: AtomicU64::new(REQUEST + 1),
        }))
    }

    /// The descriptor that is readable while results wait.
    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// A promise and the handle that Python knows it by.
    pub fn promise(self: &Arc<Self>) -> (u64, Promise) {
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        let promise = Promise {
            completions: Arc::clone(self),
            handle,
            kept: false,
        };
        (handle, promise)
    }

    /// All that waits: `(handle, ok, value or exception)` for results, and log lines, HTTP and DIMSE requests under
    /// handles of their own.
    pub fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut count = [0_u8; 8];
        // Read before the queue is taken: a result that comes in between rings again.
        let _ = rustix::io::read(&self.fd, &mut count);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let list = PyList::empty(py);
        for one in waiting {
            let (handle, ok, value) = match one {
                Waiting::Result(handle, Ok(bytes)) => {
                    (handle, true, PyBytes::new(py, &bytes).into_any())
                }
                Waiting::Result(handle, Err(error)) => {
                    let error = PyErr::from(error).into_value(py).into_bound(py);
                    (handle, false, error.into_any())
                }
                Waiting::Exchange(exchange) => {
                    (EXCHANGE, true, Bound::new(py, *exchange)?.into_any())
                }
                Waiting::Request(request) => (REQUEST, true, Bound::new(py, *request)?.into_any()),
            };
            list.append((handle, ok, value))?;
        }
        for line in crate::log::take() {
            list.append((LOG_LINE, true, PyBytes::new(py, &line)))?;
        }
        Ok(list)
    }

    /// Leaves an HTTP request for Python.
    pub(crate) fn hand_over(&self, exchange: CoreExchange) {
        self.push(Waiting::Exchange(Box::new(exchange)));
    }

    /// Leaves a DIMSE request for Python.
    pub(crate) fn hand_over_request(&self, request: CoreRequest) {
        self.push(Waiting::Request(Box::new(request)));
    }

    fn finish(&self, handle: u64, outcome: Outcome) {
        self.push(Waiting::Result(handle, outcome));
    }

    fn push(&self, one: Waiting) {
        let first = {
            let mut waiting = self.waiting.lock();
            waiting.push(one);
            waiting.len() == 1
        };
        if first {
            self.ring();
        }
    }

    /// Wakes the loop.
    pub fn ring(&self) {
        // Fails only when the counter is at its maximum: then the loop is awake anyway.
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }
}

impl Promise {
    /// Leaves the result for Python.
    pub fn keep(mut self, outcome: Outcome) {
        self.kept = true;
        self.completions.finish(self.handle, outcome);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.completions
                .finish(self.handle, Err(BoundaryError::Stopped));
        }
    }
}
