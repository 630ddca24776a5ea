//! One association, from the accepted connection to its end: reads, judges, answers, and keeps the time.

mod admission;
mod requesting;
mod requests;

use super::clock::Clock;
use super::contexts::Contexts;
use super::policy::{Policy, Rejected};
use super::receiving::Receiving;
use super::registry::Connection;
use super::server::Common;
use super::service::{Report, Reports, Running, Said, Services};
use super::sink::{AssociationSummary, InstanceSink};
use super::socket::{Read, Socket, WriteError};
use requesting::Awaited;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use vna_ul::{ArtimRequest, Association, Indication, Received, State};

/// A started message must bring this many bytes within the message timeout: what the slowest modem line does in a
/// second, so that only who holds the association on purpose falls below.
const LEAST_PROGRESS_BYTES: u64 = 1 << 10;

/// A wait inside a message that suggests a delayed acknowledgement, which takes 40 ms at least.
///
/// A peer that leaves Nagle's algorithm on, as DCMTK does by default, holds the end of each write back until all before
/// it is acknowledged, and we have nothing to send that would carry the acknowledgement. Such a peer is acknowledged
/// without delay from then on; others are not, for it doubles the cost of receiving.
const HELD_BACK: Duration = Duration::from_millis(30);

/// What a task needs.
pub(super) struct Task<S: InstanceSink> {
    common: Arc<Common>,
    sink: Arc<S>,
    services: Arc<dyn Services>,
    policy: Arc<Policy>,
    socket: Socket,
    address: SocketAddr,
    connection: Connection,
    association: Association,
    contexts: Contexts,
    receiving: Receiving<S>,
    /// The request that somebody else answers.
    running: Option<Running>,
    /// What is to be sent to the peer that he does not wait for.
    reports: Reports,
    /// Message ID of the last request of ours, and those that are to be answered.
    message_id: u16,
    awaited: Vec<Awaited>,
    /// Who waits until what is in the output was sent.
    when_sent: Vec<oneshot::Sender<()>>,
    clock: Clock,
    stop: watch::Receiver<Option<Instant>>,
    stopping: bool,
    /// The peer waits for acknowledgements; see [`HELD_BACK`].
    held_back: bool,
    /// How it ended; the connection may linger after.
    end: Option<&'static str>,
}

enum Wake {
    Readable,
    Said(Said),
    Report(Report),
    Broken,
    Tick,
    Stop,
}

impl<S: InstanceSink> Task<S> {
    pub fn new(
        common: Arc<Common>,
        sink: Arc<S>,
        services: Arc<dyn Services>,
        socket: Socket,
        address: SocketAddr,
        connection: Connection,
        stop: watch::Receiver<Option<Instant>>,
    ) -> Task<S> {
        let policy = common.policy();
        let stopping = stop.borrow().is_some();
        let receiving = Receiving::new(
            Arc::clone(&sink),
            common.pool.clone(),
            common.spool_most_bytes,
            Arc::clone(&common.counters),
        );
        Task {
            association: Association::acceptor(policy.max_pdu_bytes),
            clock: Clock::new(&policy),
            socket,
            stopping,
            held_back: false,
            common,
            sink,
            services,
            policy,
            address,
            connection,
            contexts: Contexts::default(),
            receiving,
            running: None,
            reports: Reports::default(),
            message_id: 0,
            awaited: Vec::new(),
            when_sent: Vec::new(),
            stop,
            end: None,
        }
    }

    /// Serves the association until its connection is to be closed.
    pub async fn run(mut self) {
        while self.step().await {}
        if self.association.transport_closed() {
            self.ended("peer.closed");
        }
        self.ended("no_request");
    }

    /// Handles what has been read, answers, and reads again. False when the connection is to be closed.
    async fn step(&mut self) -> bool {
        self.handle_unread().await;
        if let Some(said) = self.running.as_mut().and_then(Running::try_next) {
            self.act_on(said).await;
        }
        let sent = self
            .socket
            .send_output(&mut self.association, self.policy.message_timeout)
            .await;
        if let Err(error) = sent {
            self.ended(end_of(&error));
            return false;
        }
        for sent in self.when_sent.drain(..) {
            let _ = sent.send(());
        }
        match self.association.artim() {
            Some(ArtimRequest::Start) => {
                self.clock.artim = Some(Instant::now() + self.policy.artim_timeout)
            }
            Some(ArtimRequest::Stop) => self.clock.artim = None,
            None => {}
        }
        if self.association.wants_close() || (self.stopping && self.stop_if_quiet().await) {
            return false;
        }
        self.read().await
    }

    /// Handles all bytes in the read buffer.
    async fn handle_unread(&mut self) {
        while !self.socket.unread().is_empty() {
            let (used, received) = self.association.receive(self.socket.unread());
            match received {
                None => self.socket.consume(used),
                Some(Received::Data { bytes, last, .. }) => {
                    self.receiving.append(bytes).await;
                    self.socket.consume(used);
                    if last {
                        self.data_set_complete().await;
                    }
                }
                Some(Received::Indication(indication)) => {
                    self.socket.consume(used);
                    self.handle(indication).await;
                }
            }
        }
    }

    /// Reads, to the place of the data set if one is being received. False when the peer has closed.
    async fn read(&mut self) -> bool {
        // Data that is always there must not keep other associations of this thread from running.
        tokio::task::consume_budget().await;
        let room = self.receiving.room(self.association.direct_bytes());
        match self.socket.try_read(room) {
            Read::Direct(0) => true,
            Read::Direct(count) => {
                self.receiving.fill(count);
                match self.association.took_direct(count) {
                    Some(Received::Data { last: true, .. }) => self.data_set_complete().await,
                    Some(Received::Data { last: false, .. }) | None => {}
                    Some(Received::Indication(indication)) => self.handle(indication).await,
                }
                true
            }
            Read::Closed => false,
            Read::Empty => self.wait().await,
        }
    }

    /// Waits for bytes, the clock or the end of the server. False when the connection is broken.
    async fn wait(&mut self) -> bool {
        let in_message = self.in_message();
        if in_message && self.held_back {
            self.socket.acknowledge();
        }
        let since = Instant::now();
        let wake = tokio::select! {
            biased;
            readable = self.socket.readable() => if readable.is_ok() { Wake::Readable } else { Wake::Broken },
            said = next_said(&mut self.running) => Wake::Said(said),
            report = self.reports.next(), if self.awaited.is_empty() && self.end.is_none() => Wake::Report(report),
            () = self.clock.tick.as_mut() => Wake::Tick,
            _ = self.stop.changed(), if !self.stopping => Wake::Stop,
        };
        match wake {
            Wake::Readable => {
                self.held_back |= in_message && since.elapsed() >= HELD_BACK;
                true
            }
            Wake::Said(said) => {
                self.act_on(said).await;
                true
            }
            Wake::Report(report) => {
                self.send_report(report);
                true
            }
            Wake::Broken => false,
            Wake::Stop => {
                self.stopping = true;
                // It ends with what is done.
                if let Some(running) = &self.running {
                    running.cancel();
                }
                true
            }
            Wake::Tick => {
                self.tick().await;
                true
            }
        }
    }

    /// Looks at all timers.
    async fn tick(&mut self) {
        let now = Instant::now();
        self.clock.tick.as_mut().reset(now + self.clock.tick_length);
        if self.clock.artim.is_some_and(|at| at <= now) {
            self.clock.artim = None;
            self.association.artim_expired();
            self.ended("timeout.artim");
            return;
        }
        if self.association.state() != State::Sta6 {
            return;
        }
        let received = self.socket.received();
        if self.in_message() {
            let (since, from) = *self.clock.progress_from.get_or_insert((now, received));
            if now - since >= self.policy.message_timeout {
                if received - from < LEAST_PROGRESS_BYTES {
                    return self.abort("timeout.message");
                }
                self.clock.progress_from = Some((now, received));
            }
            if received == self.clock.received_at_tick {
                self.receiving.yield_budget().await;
            }
        } else if let Some(awaited) = self.awaited.first() {
            if now - awaited.since >= self.policy.idle_timeout {
                return self.abort("timeout.response");
            }
        } else if self.running.is_some() {
            // The peer waits for us.
        } else if now - self.clock.quiet_since >= self.policy.idle_timeout {
            return self.abort("timeout.idle");
        }
        self.clock.received_at_tick = received;
    }

    fn in_message(&self) -> bool {
        self.association.receiving() || self.receiving.expects()
    }

    /// While the server ends: between two messages the association is aborted. True when the connection may close.
    async fn stop_if_quiet(&mut self) -> bool {
        match self.association.state() {
            State::Sta6 if !self.in_message() && self.running.is_none() => {
                let _ = self.association.abort();
                let _ = self
                    .socket
                    .send_output(&mut self.association, self.policy.message_timeout)
                    .await;
                self.ended("stopped");
                true
            }
            State::Sta13 => true,
            _ => false,
        }
    }

    fn abort(&mut self, end: &'static str) {
        // Only in Sta6, where it is possible.
        let _ = self.association.abort();
        self.ended(end);
    }

    /// The association is over. The first reason counts.
    fn ended(&mut self, end: &'static str) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        // Who serves, or waits for his answer to be taken, learns that nobody is there.
        self.running = None;
        self.reports = Reports::default();
        self.awaited.clear();
        self.when_sent.clear();
        self.connection.dissociate();
        self.common.counters.ended(end);
        if let Some(origin) = self.receiving.end() {
            let tally = self.receiving.tally;
            if !matches!(end, "released" | "peer.closed" | "stopped") {
                tracing::info!(
                    end,
                    association = origin.association,
                    calling_ae_title = origin.calling_ae_title,
                    address = %origin.remote_address,
                    stored = tally.stored,
                    "association broken off"
                );
            }
            self.sink.association_ended(AssociationSummary {
                origin,
                end,
                stored: tally.stored,
                refused: tally.refused,
                bytes: tally.bytes,
            });
        }
    }

    async fn handle(&mut self, indication: Indication) {
        match indication {
            Indication::Associate(request) => self.associate(&request).await,
            Indication::Refused(_) => self.rejected(Rejected::PROTOCOL_VERSION),
            Indication::Command {
                context_id,
                command,
            } => self.handle_command(context_id, command).await,
            Indication::Release => {
                let _ = self.association.respond_release();
                self.ended("released");
            }
            Indication::Aborted(_) => self.ended("peer.aborted"),
            Indication::ProviderAborted(error) => self.ended(error.code()),
            // Said to requestors only.
            Indication::Accepted(_) | Indication::Rejected(_) | Indication::ReleaseConfirmed => {}
        }
    }
}

/// How an association ends whose peer takes nothing more.
fn end_of(error: &WriteError) -> &'static str {
    match error {
        WriteError::Closed => "peer.closed",
        WriteError::TimedOut => "timeout.message",
    }
}

/// What the one who serves says next; never, if there is none.
async fn next_said(running: &mut Option<Running>) -> Said {
    match running {
        Some(running) => running.next().await,
        None => std::future::pending().await,
    }
}
