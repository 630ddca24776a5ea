//! The server over real sockets: a sink that remembers, a requestor that keeps to the rules, and peers that do not.

mod hostile;
mod negotiating;
mod peer;
mod requesting;
mod requests;
mod serving;

use super::*;
use parking_lot::Mutex;
use peer::Peer;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// What precedes each data set in the spool.
const PREFIX: &[u8] = b"prefix:";

/// Remembers what it is given.
struct MemorySink {
    stored: Mutex<Vec<Stored>>,
    summaries: Mutex<Vec<AssociationSummary>>,
    /// The status to answer with.
    status: AtomicU16,
    /// The status to refuse a stream with; 0 opens it.
    refuse_stream: AtomicU16,
    /// Each instance takes one before it is answered.
    gate: Semaphore,
    waiting: AtomicUsize,
    given_up: Arc<AtomicUsize>,
}

/// An instance, prefix included.
#[derive(Clone)]
struct Stored {
    header: ReceivedHeader,
    bytes: Vec<u8>,
    parts: usize,
}

impl Default for MemorySink {
    fn default() -> MemorySink {
        MemorySink {
            stored: Mutex::default(),
            summaries: Mutex::default(),
            status: AtomicU16::new(status::SUCCESS),
            refuse_stream: AtomicU16::new(0),
            gate: Semaphore::new(1_000_000),
            waiting: AtomicUsize::new(0),
            given_up: Arc::default(),
        }
    }
}

/// Parts of an instance; shares the list with its sink.
struct MemoryStream {
    sink: Arc<MemorySink>,
    instance: Option<Stored>,
}

/// The sink as the server wants it.
#[derive(Clone, Default)]
struct TestSink(Arc<MemorySink>);

impl MemorySink {
    async fn keep(&self, instance: Stored) -> u16 {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let status = self.status.load(Ordering::SeqCst);
        if status == status::SUCCESS {
            self.stored.lock().push(instance);
        }
        status
    }
}

impl InstanceSink for TestSink {
    type Stream = MemoryStream;

    fn prefix(&self, _header: &ReceivedHeader, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
    }

    async fn store(&self, received: ReceivedDataSet) -> u16 {
        assert_eq!(received.spool.prefix_bytes(), PREFIX.len());
        assert_eq!(received.spool.data_set(), &received.spool[PREFIX.len()..]);
        let instance = Stored {
            header: received.header,
            bytes: received.spool.to_vec(),
            parts: 0,
        };
        // The spool is held until the instance is kept, as a store would.
        let status = self.0.keep(instance).await;
        drop(received.spool);
        status
    }

    async fn open_stream(&self, header: ReceivedHeader) -> Result<MemoryStream, u16> {
        match self.0.refuse_stream.load(Ordering::SeqCst) {
            0 => Ok(MemoryStream {
                sink: Arc::clone(&self.0),
                instance: Some(Stored {
                    header,
                    bytes: Vec::new(),
                    parts: 0,
                }),
            }),
            status => Err(status),
        }
    }

    fn association_ended(&self, summary: AssociationSummary) {
        self.0.summaries.lock().push(summary);
    }
}

impl InstanceStream for MemoryStream {
    async fn write(&mut self, part: Spool) -> Result<(), u16> {
        if let Some(instance) = &mut self.instance {
            instance.bytes.extend_from_slice(&part);
            instance.parts += 1;
        }
        Ok(())
    }

    async fn finish(mut self) -> u16 {
        match self.instance.take() {
            Some(instance) => Arc::clone(&self.sink).keep(instance).await,
            None => status::CANNOT_UNDERSTAND,
        }
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        if self.instance.is_some() {
            self.sink.given_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Keeps requests for a test to answer.
struct TestServices {
    requests: mpsc::Sender<ServiceRequest>,
    claims: mpsc::Sender<IdentityClaim>,
}

impl Services for TestServices {
    fn take(&self, request: ServiceRequest) {
        self.requests.send(request).unwrap();
    }

    fn identify(&self, claim: IdentityClaim) {
        self.claims.send(claim).unwrap();
    }
}

/// A server, what it stores, and what it was asked.
struct Bench {
    runtime: Runtime,
    server: Option<Server>,
    sink: Arc<MemorySink>,
    address: SocketAddr,
    requests: mpsc::Receiver<ServiceRequest>,
    claims: mpsc::Receiver<IdentityClaim>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Policy::default(), 64 << 20, 8 << 20)
    }

    fn with(policy: Policy, spool_budget_bytes: usize, stream_from_bytes: usize) -> Bench {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let sink = TestSink::default();
        let settings = ServerSettings {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            pool: SpoolPool::new(spool_budget_bytes),
            stream_from_bytes,
            tls: None,
        };
        let (requests_in, requests) = mpsc::channel();
        let (claims_in, claims) = mpsc::channel();
        let services = Arc::new(TestServices {
            requests: requests_in,
            claims: claims_in,
        });
        let store = Arc::new(sink.clone());
        let server = Server::start(runtime.handle(), &settings, policy, store, services).unwrap();
        let address = server.local_addr();
        Bench {
            runtime,
            server: Some(server),
            sink: sink.0,
            address,
            requests,
            claims,
        }
    }

    /// The next request that was handed over.
    fn request(&self) -> ServiceRequest {
        self.requests.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn peer(&self) -> Peer {
        Peer::associate(self.address)
    }

    fn stored(&self) -> Vec<Stored> {
        self.sink.stored.lock().clone()
    }

    /// How many connections ended in this way.
    fn ended(&self, end: &str) -> u64 {
        let totals = self.server().counters().totals;
        totals
            .ended
            .iter()
            .find(|(name, _)| *name == end)
            .map_or(0, |(_, count)| *count)
    }

    fn stop(&mut self, deadline: Duration) -> Duration {
        let started = Instant::now();
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.stop(deadline));
        started.elapsed()
    }
}

/// Timeouts that a test can wait for.
fn impatient() -> Policy {
    Policy {
        artim_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        message_timeout: Duration::from_millis(300),
        ..Policy::default()
    }
}

/// Waits until `done` holds.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that tell where they are.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from((i / 3 + i * 7 + seed) % 251).unwrap())
        .collect()
}
