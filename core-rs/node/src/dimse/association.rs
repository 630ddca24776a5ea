//! One association, from the accepted connection to its end: reads, judges, answers, and keeps the time.

use super::clock::Clock;
use super::counters::count;
use super::incoming::Incoming;
use super::policy::{AcceptedContext, Policy};
use super::registry::Connection;
use super::server::Common;
use super::sink::{AssociationSummary, InstanceSink, Origin, ReceivedHeader, status};
use super::socket::{Read, Socket, WriteError};
use crate::archive::DEFAULT_TENANT;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use vna_ul::command::RESPONSE_BIT;
use vna_ul::{
    ArtimRequest, AssociateRj, AssociateRq, Association, CommandField, CommandSet, Indication,
    Received, State, StoreRequest,
};

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
    policy: Arc<Policy>,
    socket: Socket,
    address: SocketAddr,
    connection: Connection,
    association: Association,
    contexts: Vec<(AcceptedContext, Arc<str>)>,
    origin: Option<Arc<Origin>>,
    incoming: Incoming<S>,
    /// The command whose data set is being received, and its context.
    command: Option<(u8, CommandSet)>,
    clock: Clock,
    stop: watch::Receiver<Option<Instant>>,
    stopping: bool,
    /// The peer waits for acknowledgements; see [`HELD_BACK`].
    held_back: bool,
    /// How it ended; the connection may linger after.
    end: Option<&'static str>,
    stored: u64,
    refused: u64,
    bytes: u64,
}

enum Wake {
    Readable,
    Broken,
    Tick,
    Stop,
}

impl<S: InstanceSink> Task<S> {
    pub fn new(
        common: Arc<Common>,
        sink: Arc<S>,
        stream: TcpStream,
        address: SocketAddr,
        connection: Connection,
        stop: watch::Receiver<Option<Instant>>,
    ) -> Task<S> {
        let policy = common.policy();
        let stopping = stop.borrow().is_some();
        let incoming = Incoming::new(
            Arc::clone(&sink),
            common.pool.clone(),
            common.spool_most_bytes,
        );
        Task {
            association: Association::acceptor(policy.max_pdu_bytes),
            clock: Clock::new(&policy),
            socket: Socket::new(stream),
            stopping,
            held_back: false,
            common,
            sink,
            policy,
            address,
            connection,
            contexts: Vec::new(),
            origin: None,
            incoming,
            command: None,
            stop,
            end: None,
            stored: 0,
            refused: 0,
            bytes: 0,
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
        let sent = self
            .socket
            .send_output(&mut self.association, self.policy.message_timeout)
            .await;
        if let Err(error) = sent {
            self.ended(match error {
                WriteError::Closed => "peer.closed",
                WriteError::TimedOut => "timeout.message",
            });
            return false;
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
                    self.incoming.append(bytes).await;
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
        let room = self.incoming.room(self.association.direct_bytes());
        match self.socket.try_read(room) {
            Read::Direct(0) => true,
            Read::Direct(count) => {
                self.incoming.fill(count);
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
            () = self.clock.tick.as_mut() => Wake::Tick,
            _ = self.stop.changed(), if !self.stopping => Wake::Stop,
        };
        match wake {
            Wake::Readable => {
                self.held_back |= in_message && since.elapsed() >= HELD_BACK;
                true
            }
            Wake::Broken => false,
            Wake::Stop => {
                self.stopping = true;
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
                self.incoming.yield_budget().await;
            }
        } else if now - self.clock.quiet_since >= self.policy.idle_timeout {
            return self.abort("timeout.idle");
        }
        self.clock.received_at_tick = received;
    }

    fn in_message(&self) -> bool {
        self.association.receiving() || self.incoming.expects()
    }

    /// While the server ends: between two messages the association is aborted. True when the connection may close.
    async fn stop_if_quiet(&mut self) -> bool {
        match self.association.state() {
            State::Sta6 if !self.in_message() => {
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
        self.incoming.give_up();
        self.command = None;
        self.connection.dissociate();
        self.common.counters.ended(end);
        if let Some(origin) = self.origin.take() {
            self.sink.association_ended(AssociationSummary {
                origin,
                end,
                stored: self.stored,
                refused: self.refused,
                bytes: self.bytes,
            });
        }
    }

    async fn handle(&mut self, indication: Indication) {
        match indication {
            Indication::Associate(request) => self.associate(&request),
            Indication::Refused(rejection) => self.rejected(rejection),
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

    fn associate(&mut self, request: &AssociateRq) {
        let policy = Arc::clone(&self.policy);
        let admitted = if self.stopping {
            Err(AssociateRj::CONGESTION)
        } else {
            policy.admit(request, self.address.ip()).and_then(|()| {
                let counted = self
                    .connection
                    .associate(policy.max_associations, policy.max_associations_per_peer);
                if counted {
                    Ok(())
                } else {
                    Err(AssociateRj::LOCAL_LIMIT)
                }
            })
        };
        if let Err(rejection) = admitted {
            let _ = self.association.reject(rejection);
            return self.rejected(rejection);
        }
        let (answer, accepted) = policy.negotiate(request);
        if let Err(error) = self.association.accept(&answer) {
            self.abort(error.code());
            return;
        }
        self.contexts = accepted
            .into_iter()
            .map(|context| {
                let transfer_syntax = Arc::from(context.transfer_syntax.as_str());
                (context, transfer_syntax)
            })
            .collect();
        self.origin = Some(Arc::new(Origin {
            calling_ae_title: request.calling_ae_title.clone(),
            called_ae_title: request.called_ae_title.clone(),
            remote_address: self.address,
            association: self
                .common
                .counters
                .accepted
                .fetch_add(1, Ordering::Relaxed)
                + 1,
            tenant: DEFAULT_TENANT,
            label: None,
        }));
        self.clock.message_done();
    }

    fn rejected(&mut self, rejection: AssociateRj) {
        self.common.counters.rejected(match rejection {
            AssociateRj::APPLICATION_CONTEXT => "application_context",
            AssociateRj::CALLING_AE_TITLE => "calling_ae_title",
            AssociateRj::CALLED_AE_TITLE => "called_ae_title",
            AssociateRj::PROTOCOL_VERSION => "protocol_version",
            AssociateRj::CONGESTION => "stopping",
            AssociateRj::LOCAL_LIMIT => "limit",
            _ => "host",
        });
        self.ended("rejected");
    }

    async fn handle_command(&mut self, context_id: u8, command: CommandSet) {
        let context = self
            .contexts
            .iter()
            .find(|(context, _)| context.context_id == context_id);
        let verification = context.is_some_and(|(context, _)| context.is_verification());
        let answer = match command.field() {
            // Nothing that runs can be cancelled, and C-CANCEL has no response (PS3.7 §9.3.2.3).
            Some(CommandField::CCancelRq) => return self.clock.message_done(),
            Some(CommandField::CEchoRq) if verification => {
                count(&self.common.counters.echoes);
                status::SUCCESS
            }
            Some(CommandField::CStoreRq) => match self.store_header(context_id, &command) {
                Ok(header) => {
                    self.incoming.begin(header).await;
                    self.command = Some((context_id, command));
                    return;
                }
                Err(status) => status,
            },
            // We asked nothing, so this peer has lost count of its messages.
            _ if command.field_number() & RESPONSE_BIT != 0 => {
                return self.abort("command.unexpected_response");
            }
            _ => status::UNRECOGNIZED_OPERATION,
        };
        if command.has_data_set() {
            self.incoming.drop_next(answer);
            self.command = Some((context_id, command));
        } else {
            self.answer(context_id, &command, answer);
        }
    }

    /// What is known of the instance that a C-STORE request announces; else the status to refuse it with.
    fn store_header(&self, context_id: u8, command: &CommandSet) -> Result<ReceivedHeader, u16> {
        let request = StoreRequest::from_command(command).map_err(|_| status::CANNOT_UNDERSTAND)?;
        let context = self
            .contexts
            .iter()
            .find(|(context, _)| context.context_id == context_id);
        // Another SOP class than the context's was not negotiated, whatever the policy would say to it.
        let (_, transfer_syntax) = context
            .filter(|(context, _)| {
                !context.is_verification()
                    && context.abstract_syntax == request.affected_sop_class_uid
            })
            .ok_or(status::SOP_CLASS_NOT_SUPPORTED)?;
        let origin = self.origin.as_ref().ok_or(status::OUT_OF_RESOURCES)?;
        Ok(ReceivedHeader {
            origin: Arc::clone(origin),
            transfer_syntax_uid: Arc::clone(transfer_syntax),
            affected_sop_class_uid: request.affected_sop_class_uid,
            affected_sop_instance_uid: request.affected_sop_instance_uid,
            move_originator: request.move_originator,
        })
    }

    async fn data_set_complete(&mut self) {
        let finished = self.incoming.finish().await;
        let Some((context_id, command)) = self.command.take() else {
            return;
        };
        let counters = &self.common.counters;
        counters
            .data_set_bytes
            .fetch_add(finished.bytes, Ordering::Relaxed);
        self.bytes += finished.bytes;
        if command.field() == Some(CommandField::CStoreRq) {
            // Warnings (Bxxx) mean that it was stored all the same (PS3.7 §C).
            if finished.status == status::SUCCESS || finished.status & 0xF000 == 0xB000 {
                self.stored += 1;
                count(&counters.stored);
            } else {
                self.refused += 1;
                count(&counters.refused);
            }
            if finished.streamed {
                count(&counters.streamed);
            }
        }
        self.answer(context_id, &command, finished.status);
    }

    fn answer(&mut self, context_id: u8, command: &CommandSet, status: u16) {
        // It is not possible only after an abort, when nobody waits for an answer.
        let _ = self
            .association
            .send_command(context_id, &command.response(status));
        self.clock.message_done();
    }
}
