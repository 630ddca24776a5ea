//! The listener: accepts connections within the limits, gives each a task, and ends them in good order.

use super::association::Task;
use super::counters::{Counters, Snapshot, count};
use super::policy::Policy;
use super::registry::Registry;
use super::service::Services;
use super::sink::InstanceSink;
use super::socket::Socket;
use super::spool::{LARGEST_SPOOL_BYTES, SMALLEST_SPOOL_BYTES, SpoolPool};
use super::stream::Stream;
use parking_lot::RwLock;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Pause after a failure to accept, such as a lack of file descriptors: it goes away when a connection ends, and
/// trying on would only take the processor from those.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long after its deadline the listener may take to end its tasks.
const END_GRACE: Duration = Duration::from_secs(1);

/// What is decided once.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Where received data sets wait, those of all associations.
    pub pool: SpoolPool,
    /// Objects above this many bytes are handed to the sink in parts as they arrive. Rounded down to a power of two,
    /// and to a quarter of the budget, but never below the smallest spool: what is handed on whole is not larger.
    pub stream_from_bytes: usize,
    /// TLS, if connections are to begin with it.
    pub tls: Option<Arc<crate::tls::Server>>,
}

/// What all tasks share.
pub(super) struct Common {
    policy: RwLock<Arc<Policy>>,
    pub counters: Arc<Counters>,
    associations: AtomicU64,
    pub pool: SpoolPool,
    pub spool_most_bytes: usize,
    tls: Option<Arc<crate::tls::Server>>,
}

impl Common {
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read())
    }

    /// The number of the next association, from 1 on.
    pub fn next_association(&self) -> u64 {
        self.associations.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A running DIMSE server.
pub struct Server {
    common: Arc<Common>,
    registry: Arc<Registry>,
    local_addr: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    listener: JoinHandle<()>,
}

impl Server {
    /// Begins to listen, on the threads of `handle`. Instances go to `sink`, other requests to `services`.
    ///
    /// # Errors
    ///
    /// What the system says to listening on the address.
    pub fn start<S: InstanceSink>(
        handle: &Handle,
        settings: &ServerSettings,
        policy: Policy,
        sink: Arc<S>,
        services: Arc<dyn Services>,
    ) -> io::Result<Server> {
        let listener = StdListener::bind(settings.address)?;
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let listener = {
            let _entered = handle.enter();
            TcpListener::from_std(listener)?
        };
        let most = settings
            .stream_from_bytes
            .min(settings.pool.budget_bytes() / 4)
            .clamp(SMALLEST_SPOOL_BYTES, LARGEST_SPOOL_BYTES);
        let common = Arc::new(Common {
            policy: RwLock::new(Arc::new(policy)),
            counters: Arc::default(),
            associations: AtomicU64::new(0),
            pool: settings.pool.clone(),
            spool_most_bytes: 1 << most.ilog2(),
            tls: settings.tls.clone(),
        });
        let registry = Arc::new(Registry::default());
        let (stop, stopped) = watch::channel(None);
        let accepting = Listening {
            common: Arc::clone(&common),
            registry: Arc::clone(&registry),
            sink,
            services,
            stop: stopped,
            tasks: JoinSet::new(),
        };
        let listener = handle.spawn(accepting.run(listener));
        Ok(Server {
            common,
            registry,
            local_addr,
            stop,
            listener,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many bytes of one object may wait; for associations that we request.
    #[must_use]
    pub fn spool_most_bytes(&self) -> usize {
        self.common.spool_most_bytes
    }

    /// Swaps the policy table. Connections that are open keep the one they began with.
    pub fn set_policy(&self, policy: Policy) {
        *self.common.policy.write() = Arc::new(policy);
    }

    /// What was counted, and what is held now.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        let (open_connections, open_associations) = self.registry.numbers();
        let pool = &self.common.pool;
        Snapshot {
            totals: self.common.counters.totals(),
            open_connections,
            open_associations,
            spool_used_bytes: pool.used_bytes(),
            spool_budget_bytes: pool.budget_bytes(),
            spool_idle_bytes: pool.idle_bytes(),
            spool_waits: pool.waits(),
        }
    }

    /// Ends in good order: messages that have begun are received and answered, associations between two messages are
    /// aborted, new ones are rejected as a temporary matter. What is not done after `deadline` is cut off.
    pub async fn stop(self, deadline: Duration) {
        self.stop.send_replace(Some(Instant::now() + deadline));
        let mut listener = self.listener;
        if timeout(deadline + END_GRACE, &mut listener).await.is_err() {
            listener.abort();
        }
    }
}

struct Listening<S: InstanceSink> {
    common: Arc<Common>,
    registry: Arc<Registry>,
    sink: Arc<S>,
    services: Arc<dyn Services>,
    stop: watch::Receiver<Option<Instant>>,
    tasks: JoinSet<()>,
}

impl<S: InstanceSink> Listening<S> {
    async fn run(mut self, listener: TcpListener) {
        let mut deadline = None;
        loop {
            if deadline.is_some() && self.registry.numbers().1 == 0 {
                break;
            }
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.accept(stream, address),
                    Err(_) => {
                        count(&self.common.counters.accept_errors);
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = self.tasks.join_next() => {
                    if ended.is_err() {
                        self.common.counters.ended("panic");
                    }
                    if self.tasks.is_empty() {
                        self.common.pool.trim();
                    }
                }
                changed = self.stop.changed(), if deadline.is_none() => {
                    // The sender gone means that the server was dropped: end at once.
                    deadline = if changed.is_ok() { *self.stop.borrow() } else { Some(Instant::now()) };
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
            }
        }
        drop(listener);
        self.tasks.shutdown().await;
    }

    fn accept(&mut self, stream: TcpStream, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        count(&self.common.counters.connections);
        let policy = self.common.policy();
        let (total, per_peer) = (policy.max_associations, policy.max_associations_per_peer);
        let Some(connection) = self.registry.connect(address.ip(), total, per_peer) else {
            count(&self.common.counters.connections_refused);
            return;
        };
        // An answer is one write, and the peer waits for it: it must not wait for more to come.
        let _ = stream.set_nodelay(true);
        let (common, sink) = (Arc::clone(&self.common), Arc::clone(&self.sink));
        let services = Arc::clone(&self.services);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Some(socket) = secure(&common, stream, policy.artim_timeout).await {
                let task = Task::new(common, sink, services, socket, address, connection, stop);
                task.run().await;
            }
        });
    }
}

/// Begins TLS, if that is wanted. ARTIM, which is about the time before the association request, holds for it too.
async fn secure(common: &Common, stream: TcpStream, patience: Duration) -> Option<Socket> {
    let Some(tls) = &common.tls else {
        return Some(Socket::new(Stream::Plain(stream)));
    };
    match timeout(patience, Stream::accept(stream, tls.config())).await {
        Ok(Ok(stream)) => Some(Socket::new(stream)),
        Ok(Err(problem)) => {
            let problem = problem.to_string();
            tracing::warn!(problem, "no TLS with who connected for DICOM");
            common.counters.ended("tls.handshake");
            None
        }
        Err(_) => {
            common.counters.ended("timeout.artim");
            None
        }
    }
}
