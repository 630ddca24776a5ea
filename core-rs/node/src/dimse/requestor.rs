//! An association that we request: opened, asked, released. Whoever lets go of it earlier aborts it.
//!
//! Every wait has an end: the peer has its timeout for each step.

use super::outgoing::SendingContext;
use super::peer_error::PeerError;
use super::peer_spec::{ContextSpec, PeerSpec};
use super::socket::{Read, Socket};
use super::stream::Stream;
use crate::tls::{Client, TlsProblem};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use vna_ul::command::{RESPONSE_BIT, element};
use vna_ul::{AssociateAc, Association, CommandSet, ContextResult, Indication, Received, State};

/// Names that are looked up at a time: each takes a thread for as long as a name server likes.
static LOOKUPS: Semaphore = Semaphore::const_new(4);

/// How long the end of an association is waited for at most: all that mattered was answered.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// A context that the peer accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NegotiatedContext {
    pub context_id: u8,
    pub sop_class_uid: String,
    pub transfer_syntax_uid: String,
}

impl NegotiatedContext {
    /// As instances are sent on it.
    pub fn for_sending(&self) -> SendingContext<'_> {
        SendingContext {
            context_id: self.context_id,
            sop_class_uid: &self.sop_class_uid,
            transfer_syntax_uid: &self.transfer_syntax_uid,
        }
    }
}

/// An open association that we requested.
pub(super) struct Requestor {
    pub association: Association,
    pub socket: Socket,
    pub contexts: Vec<NegotiatedContext>,
    pub answer: Box<AssociateAc>,
    /// How long the peer may take for each step.
    pub timeout: Duration,
    pub address: SocketAddr,
}

impl Requestor {
    /// Connects and associates.
    pub async fn open(spec: &PeerSpec, contexts: &[ContextSpec]) -> Result<Requestor, PeerError> {
        let patience = spec.timeout();
        let (stream, address) = connect(spec).await?;
        // A request is one write, and we wait for its answer.
        let _ = stream.set_nodelay(true);
        let request = spec.request(contexts);
        let mut requestor = Requestor {
            association: Association::requestor(request.clone()),
            socket: Socket::new(secure(spec, stream).await?),
            contexts: Vec::new(),
            answer: Box::new(AssociateAc {
                protocol_version: 1,
                called_ae_title: String::new(),
                calling_ae_title: String::new(),
                application_context: String::new(),
                contexts: Vec::new(),
                user: Default::default(),
            }),
            timeout: patience,
            address,
        };
        requestor.association.connected()?;
        let doing = "accept or reject the association";
        match requestor.next(doing, Instant::now() + patience).await? {
            Heard::Indication(Indication::Accepted(answer)) => requestor.answer = answer,
            Heard::Indication(Indication::Rejected(rejection)) => {
                return Err(PeerError::Rejected(rejection));
            }
            other => return Err(unexpected(&other)),
        }
        let answers = &requestor.answer.contexts;
        requestor.contexts = request
            .contexts
            .iter()
            .filter_map(|proposed| {
                let answer = answers.iter().find(|answer| {
                    answer.context_id == proposed.context_id
                        && answer.result == ContextResult::Acceptance
                        && proposed.transfer_syntaxes.contains(&answer.transfer_syntax)
                })?;
                Some(NegotiatedContext {
                    context_id: proposed.context_id,
                    sop_class_uid: proposed.abstract_syntax.clone(),
                    transfer_syntax_uid: answer.transfer_syntax.clone(),
                })
            })
            .collect();
        Ok(requestor)
    }

    /// Sends what the association has to send.
    pub async fn flush(&mut self, doing: &'static str) -> Result<(), PeerError> {
        let sent = self.socket.send_output(&mut self.association, self.timeout);
        sent.await
            .map_err(|error| PeerError::write(error, doing, self.timeout))
    }

    /// The next thing that the peer says, but for releases of its own, which end everything. Data sets are dropped: ask
    /// a [`super::peer`] that has them.
    async fn next(&mut self, doing: &'static str, until: Instant) -> Result<Heard, PeerError> {
        loop {
            while !self.socket.unread().is_empty() {
                let (used, received) = self.association.receive(self.socket.unread());
                let heard = match received {
                    None => None,
                    Some(Received::Data { last, .. }) => last.then_some(Heard::EndOfData),
                    Some(Received::Indication(indication)) => Some(Heard::Indication(indication)),
                };
                self.socket.consume(used);
                match heard {
                    None => {}
                    Some(Heard::Indication(indication)) => {
                        return self.judge(indication).await.map(Heard::Indication);
                    }
                    Some(heard) => return Ok(heard),
                }
            }
            self.flush(doing).await?;
            match self.socket.try_read(&mut []) {
                Read::Direct(_) => {}
                Read::Closed => {
                    self.association.transport_closed();
                    return Err(self.closed(doing));
                }
                Read::Empty => match timeout_at(until, self.readable()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(PeerError::Closed { doing }),
                    Err(_) => {
                        return Err(PeerError::TimedOut {
                            doing,
                            after: self.timeout,
                        });
                    }
                },
            }
        }
    }

    /// Waits until there is something to read.
    ///
    /// A PDU that came in part is acknowledged without delay: DCMTK writes its header first, and with Nagle's algorithm,
    /// which it leaves on, holds the rest back until that was acknowledged. It would be 40 ms for each response.
    pub async fn readable(&self) -> io::Result<()> {
        if self.association.receiving() {
            self.socket.acknowledge();
        }
        self.socket.readable().await
    }

    /// Why there is no connection any more.
    pub fn closed(&self, doing: &'static str) -> PeerError {
        match self.socket.fault() {
            None => PeerError::Closed { doing },
            Some(problem) => PeerError::Tls {
                problem: problem.to_owned(),
            },
        }
    }

    /// What ends the association is an error.
    pub async fn judge(&mut self, indication: Indication) -> Result<Indication, PeerError> {
        match indication {
            Indication::Aborted(abort) => Err(PeerError::Aborted(abort)),
            Indication::ProviderAborted(error) => {
                let _ = self.flush("take our abort").await;
                Err(PeerError::Protocol(error))
            }
            Indication::Release if self.association.state() == State::Sta8 => {
                let _ = self.association.respond_release();
                let _ = self.flush("take our answer to its release").await;
                Err(PeerError::Released)
            }
            Indication::Release => {
                // Both want to (PS3.8 §9.2.2, release collision): we answer, and wait on.
                let _ = self.association.respond_release();
                Ok(Indication::Release)
            }
            other => Ok(other),
        }
    }

    /// The response to the request `message_id`, which has no data set.
    pub async fn response(&mut self, message_id: u16) -> Result<CommandSet, PeerError> {
        let doing = "answer the request";
        let until = Instant::now() + self.timeout;
        let mut response = None;
        loop {
            match self.next(doing, until).await? {
                Heard::EndOfData => {}
                Heard::Indication(Indication::Command { command, .. }) => {
                    let answers = command.us(element::MESSAGE_ID_BEING_RESPONDED_TO);
                    if command.field_number() & RESPONSE_BIT == 0 || answers != Some(message_id) {
                        return Err(PeerError::Unexpected {
                            found: format!(
                                "command {:04X}H, message {answers:?}, where the response to message {message_id} is due",
                                command.field_number()
                            ),
                        });
                    }
                    let more = command.has_data_set();
                    response = Some(command);
                    if more {
                        continue;
                    }
                }
                other => return Err(unexpected(&other)),
            }
            if let Some(response) = response.take() {
                return Ok(response);
            }
        }
    }

    /// Releases the association. The peer has a while to confirm it; that it does not is its own loss.
    pub async fn release(mut self) -> Result<(), PeerError> {
        self.association.release()?;
        let doing = "confirm the release";
        self.timeout = self.timeout.min(RELEASE_PATIENCE);
        let until = Instant::now() + self.timeout;
        loop {
            match self.next(doing, until).await? {
                Heard::Indication(Indication::ReleaseConfirmed) => return Ok(()),
                Heard::Indication(Indication::Release | Indication::Command { .. })
                | Heard::EndOfData => {}
                other => return Err(unexpected(&other)),
            }
        }
    }
}

impl Drop for Requestor {
    /// Aborts what was not ended, as far as that can be said without waiting.
    fn drop(&mut self) {
        if self.association.abort().is_ok() {
            self.socket.send_parting(&mut self.association);
        }
    }
}

enum Heard {
    Indication(Indication),
    EndOfData,
}

fn unexpected(heard: &Heard) -> PeerError {
    let found = match heard {
        Heard::EndOfData => "a data set that nobody announced".to_owned(),
        Heard::Indication(indication) => format!("{indication:?}, which is not due now"),
    };
    PeerError::Unexpected { found }
}

/// Opens the TCP connection, to the first address of the host that accepts one.
async fn connect(spec: &PeerSpec) -> Result<(TcpStream, SocketAddr), PeerError> {
    let patience = spec.timeout();
    let unreachable = |source| PeerError::Unreachable {
        address: spec.address(),
        source: Arc::new(source),
    };
    let timed_out = |_| PeerError::TimedOut {
        doing: "accept the connection",
        after: patience,
    };
    let connecting = async {
        let addresses = look_up(spec).await.map_err(unreachable)?;
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => failed = error,
            }
        }
        Err(unreachable(failed))
    };
    timeout(patience, connecting).await.map_err(timed_out)?
}

/// Begins TLS, if that is wanted.
async fn secure(spec: &PeerSpec, stream: TcpStream) -> Result<Stream, PeerError> {
    let Some(tls) = &spec.tls else {
        return Ok(Stream::Plain(stream));
    };
    let problem = |TlsProblem(problem)| PeerError::Tls { problem };
    let (settings, verify_host_name) = (tls.over(&spec.tls_settings), tls.verify_host_name);
    let config = tokio::task::spawn_blocking(move || Client::config(&settings, verify_host_name))
        .await
        .map_err(|_| PeerError::NotOpen)?
        .map_err(problem)?;
    let patience = spec.timeout();
    match timeout(patience, Stream::connect(stream, config, &spec.host)).await {
        Ok(begun) => begun.map_err(problem),
        Err(_) => Err(PeerError::TimedOut {
            doing: "answer the TLS handshake",
            after: patience,
        }),
    }
}

async fn look_up(spec: &PeerSpec) -> io::Result<Vec<SocketAddr>> {
    let host = spec.host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, spec.port)]);
    }
    let place = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let (host, port) = (host.to_owned(), spec.port);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        Ok((host.as_str(), port).to_socket_addrs()?.collect())
    })
    .await?
}
