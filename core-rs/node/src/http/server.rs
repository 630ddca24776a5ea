//! Accepting connections, handing requests on, and ending in good order.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::body::Content;
use super::exchange::{Application, Exchange, RequestBody, Responder};
use super::hot::{Hot, HotPolicy};
use crate::archive::Archive;
use crate::tls;

/// Pause after a failure to accept, such as a lack of file descriptors: it goes away when a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is decided once.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Connections at a time.
    pub max_connections: usize,
    /// How long a client may take to send the head of its next request.
    pub head_timeout: Duration,
    /// TLS, if connections are to begin with it.
    pub tls: Option<Arc<tls::Server>>,
}

/// A running HTTP listener.
pub struct HttpServer {
    stop: watch::Sender<bool>,
}

impl HttpServer {
    /// Begins to answer connections of `listeners`, on the threads of `handle`. `ended` is called when it was stopped and
    /// the last connection has ended.
    ///
    /// # Errors
    ///
    /// What the system says to the listeners.
    pub fn start<A: Application>(
        handle: &Handle,
        listeners: Vec<StdListener>,
        settings: &HttpSettings,
        archive: Arc<Archive>,
        policy: HotPolicy,
        application: A,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<HttpServer> {
        let mut accepting = Vec::with_capacity(listeners.len());
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let _entered = handle.enter();
            accepting.push(TcpListener::from_std(listener)?);
        }
        let (stop, stopped) = watch::channel(false);
        let serving = Arc::new(Serving {
            hot: Hot::new(archive, policy),
            application,
            stopped: stopped.clone(),
        });
        let places = Arc::new(Semaphore::new(settings.max_connections));
        let mut running = JoinSet::new();
        for listener in accepting {
            let (serving, places) = (Arc::clone(&serving), Arc::clone(&places));
            let run = run(listener, settings.clone(), serving, places, stopped.clone());
            running.spawn_on(run, handle);
        }
        drop(serving);
        handle.spawn(async move {
            while running.join_next().await.is_some() {}
            ended();
        });
        Ok(HttpServer { stop })
    }

    /// Accepts no more connections and no more requests; those that run are answered.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

struct Serving<A> {
    hot: Hot,
    application: A,
    /// Whether no more requests are accepted.
    stopped: watch::Receiver<bool>,
}

async fn run<A: Application>(
    listener: TcpListener,
    settings: HttpSettings,
    serving: Arc<Serving<A>>,
    places: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            (place, accepted) = accept => match accepted {
                Ok((stream, address)) => {
                    let serving = Arc::clone(&serving);
                    let (http, stopped) = (http.clone(), stopped.clone());
                    let (tls, patience) = (settings.tls.clone(), settings.head_timeout);
                    // An answer is a write or two, and the client waits for them: they must not wait for more to come.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(async move {
                        match tls {
                            None => connection(http, stream, address, serving, stopped).await,
                            Some(tls) => {
                                if let Some(stream) = secure(&tls, stream, patience).await {
                                    connection(http, stream, address, serving, stopped).await;
                                }
                            }
                        }
                        drop(place);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => if connections.is_empty() {
                serving.hot.rest();
            },
            // The sender gone means that the server was dropped.
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Begins TLS.
async fn secure(
    tls: &tls::Server,
    stream: TcpStream,
    patience: Duration,
) -> Option<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(tls.config()).accept(stream);
    match timeout(patience, accepting).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            let problem = error.to_string();
            tracing::info!(problem, "no TLS with who connected for HTTP");
            None
        }
        Err(_) => None,
    }
}

async fn connection<A: Application>(
    http: http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    serving: Arc<Serving<A>>,
    mut stopped: watch::Receiver<bool>,
) {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let service = service_fn(move |request| {
        let serving = Arc::clone(&serving);
        async move { serving.answer(request, address).await }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a connection ended is the client's affair: what failed of ours was told where it failed.
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

impl<A: Application> Serving<A> {
    async fn answer(
        &self,
        request: Request<Incoming>,
        remote_address: SocketAddr,
    ) -> Result<Response<Content>, NoAnswer> {
        let (head, body) = request.into_parts();
        let started = Instant::now();
        if let Some(mut answer) = self.hot.answer(&head).await {
            self.hot.share(&head, &mut answer);
            self.hot.answered(started.elapsed());
            return Ok(answer);
        }
        let body = RequestBody::new(body);
        let stopped = self.stopped.clone();
        let stored = self.hot.store(&head, &body, remote_address, stopped).await;
        if let Some(mut answer) = stored {
            self.hot.share(&head, &mut answer);
            return Ok(answer);
        }
        let (sender, answer) = oneshot::channel();
        self.application.take(Exchange {
            head,
            remote_address,
            body,
            responder: Responder { answer: sender },
        });
        answer.await.map_err(|_| NoAnswer)
    }
}

/// The application let go of a request: closing the connection tells the client.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request was dropped without an answer")
    }
}

impl std::error::Error for NoAnswer {}
