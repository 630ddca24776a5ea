//! One association, either side: the state machine with the coding of PDUs and messages around it.

use crate::associate::{AssociateAc, AssociateRq, ContextResult};
use crate::body::{Body, event_of};
use crate::command::CommandSet;
use crate::decoder::{Decoded, Decoder, Piece};
use crate::error::{UlError, UlErrorKind};
use crate::limits::{MAX_PDU_BYTES, MIN_PEER_PDU_BYTES};
use crate::message::{Assembler, MessagePart};
use crate::pdata::{self, Part};
use crate::pdu::{Abort, AbortSource, AssociateRj, PduKind, write_short_pdu};
use crate::state::{Action, Event, Impossible, Machine, Role, State, Step};
use std::ops::Range;

/// What came from the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Something to act on.
    Indication(Indication),
    /// The next bytes of the data set that the last command announced.
    Data {
        /// Presentation context.
        context_id: u8,
        /// Bytes of the input.
        bytes: &'a [u8],
        /// The data set is complete.
        last: bool,
    },
}

/// What the owner is to act on.
#[derive(Debug, PartialEq, Eq)]
pub enum Indication {
    /// An association is requested: [`Association::accept`] or [`Association::reject`] it.
    Associate(Box<AssociateRq>),
    /// An association was requested that the upper layer refused by itself; the answer is in the output.
    Refused(AssociateRj),
    /// Our request was accepted.
    Accepted(Box<AssociateAc>),
    /// Our request was rejected.
    Rejected(AssociateRj),
    /// A whole command set; its data set follows if it [has one](CommandSet::has_data_set).
    Command {
        /// Presentation context.
        context_id: u8,
        /// The command set.
        command: CommandSet,
    },
    /// The peer wants to release: answer with [`Association::respond_release`].
    Release,
    /// The peer answered our release.
    ReleaseConfirmed,
    /// The peer aborted; the association is over.
    Aborted(Abort),
    /// What the peer sent made us abort; the A-ABORT is in the output, the association is over.
    ProviderAborted(UlError),
}

/// What to do with the ARTIM timer (PS3.8 §9.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtimRequest {
    /// Start it, or start it again.
    Start,
    /// Stop it.
    Stop,
}

/// One association.
#[derive(Debug)]
pub struct Association {
    machine: Machine,
    decoder: Decoder,
    assembler: Assembler,
    peer_max_pdu_bytes: u32,
    /// Our request, until the connection is there to send it on.
    request: Option<Box<AssociateRq>>,
    output: Vec<u8>,
    artim: Option<ArtimRequest>,
    close: bool,
    /// The place in the byte stream is lost after an error: what comes is dropped unread.
    lost: bool,
}

impl Association {
    /// The acceptor of a connection that was just opened. Accepts P-DATA-TF up to `max_pdu_bytes`, which is brought
    /// into the range that the limits allow and is to be stated as Maximum Length Received.
    #[must_use]
    pub fn acceptor(max_pdu_bytes: u32) -> Association {
        let mut association = Association::new(Role::Acceptor, max_pdu_bytes);
        // Sta1 has an action for it, so it cannot fail.
        let _ = association.event(Event::TransportIndication, |_| ());
        association
    }

    /// The requestor; call [`Association::connected`] when the connection is open.
    #[must_use]
    pub fn requestor(request: AssociateRq) -> Association {
        let mut association = Association::new(Role::Requestor, request.user.max_pdu_bytes);
        association.request = Some(Box::new(request));
        let _ = association.event(Event::AssociateRequest, |_| ());
        association
    }

    fn new(role: Role, max_pdu_bytes: u32) -> Association {
        let max_pdu_bytes = match max_pdu_bytes {
            0 => MAX_PDU_BYTES,
            max => max.clamp(MIN_PEER_PDU_BYTES, MAX_PDU_BYTES),
        };
        Association {
            machine: Machine::new(role),
            decoder: Decoder::new(max_pdu_bytes),
            assembler: Assembler::new([]),
            peer_max_pdu_bytes: 0,
            request: None,
            output: Vec::new(),
            artim: None,
            close: false,
            lost: false,
        }
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> State {
        self.machine.state()
    }

    /// Bytes to send to the peer.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `count` bytes of the output were sent.
    pub fn output_sent(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// What to do with the ARTIM timer since the last call.
    pub fn artim(&mut self) -> Option<ArtimRequest> {
        self.artim.take()
    }

    /// Whether the connection is to be closed once the output is sent.
    #[must_use]
    pub fn wants_close(&self) -> bool {
        self.close
    }

    /// The peer's Maximum Length Received; 0 for no limit.
    #[must_use]
    pub fn peer_max_pdu_bytes(&self) -> u32 {
        self.peer_max_pdu_bytes
    }

    /// Whether something has begun to arrive and is not complete: a PDU or a message.
    #[must_use]
    pub fn receiving(&self) -> bool {
        self.assembler.in_message() || !self.decoder.between_pdus()
    }

    /// Takes bytes from the peer. Returns how many were used up and what they meant; `None` means that all of
    /// `input` was used and more is needed. Errors become [`Indication::ProviderAborted`].
    pub fn receive<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Received<'a>>) {
        let mut used = 0;
        while !self.lost {
            match self.receive_one(&input[used..]) {
                Ok((more, Progress::Received(received))) => return (used + more, Some(received)),
                Ok((more, Progress::Go)) => used += more,
                Ok((_, Progress::NeedInput)) => return (input.len(), None),
                Err(error) => return (input.len(), self.fail(error).map(Received::Indication)),
            }
        }
        (input.len(), None)
    }

    /// How many of the next bytes from the peer are of the present data set and nothing else: they may be read from
    /// the socket straight to where they belong, and are then told by [`Association::took_direct`].
    #[must_use]
    pub fn direct_bytes(&self) -> usize {
        if self.lost || !self.assembler.in_data_set() || self.machine.state() != State::Sta6 {
            return 0;
        }
        self.decoder.direct_bytes()
    }

    /// `count` bytes that [`Association::direct_bytes`] announced were read. Says whether the data set is complete,
    /// or what is wrong behind them.
    pub fn took_direct(&mut self, count: usize) -> Option<Received<'static>> {
        let taken = self
            .decoder
            .took_direct(count)
            .and_then(|piece| match piece {
                Some(piece) => self.piece(piece),
                None => Ok(Progress::Go),
            });
        match taken {
            Ok(Progress::Received(received)) => Some(received),
            Ok(_) => None,
            Err(error) => self.fail(error).map(Received::Indication),
        }
    }

    /// The connection that [`Association::requestor`] asked for is open: sends the request.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`], or what cannot be encoded in the request.
    pub fn connected(&mut self) -> Result<(), UlError> {
        let mut pdu = Vec::new();
        if let Some(request) = &self.request {
            request.write(&mut pdu)?;
        }
        self.local(
            "transport connect confirmation",
            Event::TransportConfirm,
            |out| out.append(&mut pdu),
        )
    }

    /// Accepts the association.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`], or what cannot be encoded in the answer.
    pub fn accept(&mut self, answer: &AssociateAc) -> Result<(), UlError> {
        let mut pdu = Vec::new();
        answer.write(&mut pdu)?;
        self.local(
            "A-ASSOCIATE response",
            Event::AssociateResponseAccept,
            |out| out.append(&mut pdu),
        )?;
        self.assembler = Assembler::new(accepted_contexts(answer));
        Ok(())
    }

    /// Rejects the association.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`].
    pub fn reject(&mut self, rejection: AssociateRj) -> Result<(), UlError> {
        self.local(
            "A-ASSOCIATE response",
            Event::AssociateResponseReject,
            |out| rejection.write(out),
        )
    }

    /// Sends a command set.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`].
    pub fn send_command(&mut self, context_id: u8, command: &CommandSet) -> Result<(), UlError> {
        let mut bytes = Vec::with_capacity(256);
        command.write(&mut bytes);
        self.send(context_id, Part::Command, &bytes)
    }

    /// Cuts the next `length` bytes of the data set that belongs to the command sent last, so that they can be sent
    /// from where they are behind the output: the headers before each fragment, and which of the bytes it has. The
    /// data set is complete with them if `ends` says so; else `length` is even.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`].
    pub fn data_set_fragments(
        &mut self,
        context_id: u8,
        length: usize,
        ends: bool,
    ) -> Result<impl Iterator<Item = (pdata::FragmentHeaders, Range<usize>)> + use<>, UlError> {
        self.local("P-DATA request", Event::PDataRequest, |_| ())?;
        let peer_max = self.peer_max_pdu_bytes; // (4)
        Ok(pdata::fragments(
            context_id,
            Part::DataSet,
            length,
            ends,
            peer_max,
        ))
    }

    /// Sends the whole data set that belongs to the command sent last. To send it without copying it, ask for
    /// [`Association::data_set_fragments`].
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`].
    pub fn send_data_set(&mut self, context_id: u8, bytes: &[u8]) -> Result<(), UlError> {
        self.send(context_id, Part::DataSet, bytes)
    }

    fn send(&mut self, context_id: u8, part: Part, bytes: &[u8]) -> Result<(), UlError> {
        let peer_max = self.peer_max_pdu_bytes; // (4)
        self.local("P-DATA request", Event::PDataRequest, |out| {
            pdata::write(out, context_id, part, bytes, peer_max)
        })
    }

    /// Asks to release the association.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`].
    pub fn release(&mut self) -> Result<(), UlError> {
        self.local("A-RELEASE request", Event::ReleaseRequest, |out| {
            write_short_pdu(out, PduKind::ReleaseRq, [0; 4])
        })
    }

    /// Answers the peer's release.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`].
    pub fn respond_release(&mut self) -> Result<(), UlError> {
        self.local("A-RELEASE response", Event::ReleaseResponse, |out| {
            write_short_pdu(out, PduKind::ReleaseRp, [0; 4])
        })
    }

    /// Aborts, as the application.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::WrongState`] when there is no association to abort.
    pub fn abort(&mut self) -> Result<(), UlError> {
        self.local("A-ABORT request", Event::AbortRequest, |out| {
            Abort::BY_USER.write(out)
        })
    }

    /// The ARTIM timer ran out. It is ignored where none runs, for a timer can fire while it is being stopped.
    pub fn artim_expired(&mut self) {
        let _ = self.event(Event::ArtimExpired, |_| ());
    }

    /// The connection is closed. Returns whether that cut off an association (A-P-ABORT).
    pub fn transport_closed(&mut self) -> bool {
        self.close = true;
        matches!(self.event(Event::TransportClosed, |_| ()), Ok(Action::Aa4))
    }

    fn local(
        &mut self,
        what: &'static str,
        event: Event,
        write: impl FnMut(&mut Vec<u8>),
    ) -> Result<(), UlError> {
        match self.event(event, write) {
            Ok(_) => Ok(()),
            Err(Impossible { state, .. }) => {
                Err(UlErrorKind::WrongState { event: what, state }.into())
            }
        }
    }

    fn event(
        &mut self,
        event: Event,
        write: impl FnMut(&mut Vec<u8>),
    ) -> Result<Action, Impossible> {
        let (action, steps) = self.machine.handle(event)?;
        self.run(steps, write);
        Ok(action)
    }

    /// Does the steps of an action; `write` appends the PDU that the action sends.
    fn run(&mut self, steps: &[Step], mut write: impl FnMut(&mut Vec<u8>)) {
        for step in steps {
            match step {
                Step::StartArtim => self.artim = Some(ArtimRequest::Start),
                Step::StopArtim => self.artim = Some(ArtimRequest::Stop),
                Step::CloseTransport => self.close = true,
                Step::SendAssociateRq
                | Step::SendAssociateAc
                | Step::SendAssociateRj
                | Step::SendPData
                | Step::SendReleaseRq
                | Step::SendReleaseRp
                | Step::SendAbort => write(&mut self.output),
                // The owner opened or will open the connection; indications are what `receive` returns.
                Step::OpenTransport
                | Step::AcceptTransport
                | Step::IndicateAssociate
                | Step::ConfirmAssociateAccept
                | Step::ConfirmAssociateReject
                | Step::IndicatePData
                | Step::IndicateRelease
                | Step::ConfirmRelease
                | Step::IndicateAbort
                | Step::IndicateProviderAbort => {}
            }
        }
    }

    /// Aborts because of what the peer sent.
    ///
    /// In Sta2 the table has AA-1, "service-user source". There is no service user yet, and source 0 has no reason
    /// field, so the peer would not learn what is wrong: the A-ABORT names us and the reason there too.
    fn fail(&mut self, error: UlError) -> Option<Indication> {
        self.lost = true;
        let abort = error.abort();
        let event = match abort.source {
            AbortSource::ServiceUser => Event::AbortRequest,
            _ => Event::InvalidPdu,
        };
        let had_association = !matches!(self.machine.state(), State::Sta1 | State::Sta13);
        let _ = self.event(event, |out| abort.write(out));
        had_association.then_some(Indication::ProviderAborted(error))
    }

    fn receive_one<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Progress<'a>), UlError> {
        let (used, decoded) = self.decoder.next(input)?;
        let progress = match decoded {
            None => Progress::NeedInput,
            Some(Decoded::Header(kind)) => self.header(kind)?,
            Some(Decoded::Piece(piece)) => self.piece(piece)?,
            Some(Decoded::Body(kind, body)) => {
                let body = Body::read(kind, body)?;
                self.body(body)?
            }
        };
        Ok((used, progress))
    }

    /// Judges a PDU by its header, so that a wrong one is not waited for.
    fn header<'a>(&mut self, kind: PduKind) -> Result<Progress<'a>, UlError> {
        let (event, state) = (event_of(kind), self.machine.state());
        match self.machine.action(event) {
            // After the end of the association everything is ignored (AA-6), but for a new request (AA-7).
            None | Some(Action::Aa1 | Action::Aa8) if state != State::Sta13 => {
                Err(UlErrorKind::UnexpectedPdu { pdu: kind, state }.into())
            }
            Some(_) if kind == PduKind::PDataTf => {
                // DT-2 and AR-6 stay in their state; the pieces that follow are the indication.
                let _ = self.machine.handle(event);
                Ok(Progress::Go)
            }
            _ => Ok(Progress::Go),
        }
    }

    fn piece<'a>(&mut self, piece: Piece<'a>) -> Result<Progress<'a>, UlError> {
        // What is left of a PDU after we aborted inside it is dropped.
        if !matches!(self.machine.state(), State::Sta6 | State::Sta7) {
            return Ok(Progress::Go);
        }
        Ok(match self.assembler.accept(piece)? {
            MessagePart::Nothing => Progress::Go,
            MessagePart::Command {
                context_id,
                command,
            } => Progress::indicate(Indication::Command {
                context_id,
                command,
            }),
            MessagePart::Data {
                context_id,
                bytes,
                last,
            } => Progress::Received(Received::Data {
                context_id,
                bytes,
                last,
            }),
        })
    }

    fn body<'a>(&mut self, body: Body) -> Result<Progress<'a>, UlError> {
        let event = event_of(body.kind());
        if let Body::AssociateRq(request) = &body {
            // Only bit 0 is tested (PS3.8 §9.3.2); the service provider itself refuses other versions.
            let other_version = request.protocol_version & 1 == 0;
            if other_version && self.machine.action(event) == Some(Action::Ae6) {
                if let Ok(steps) = self.machine.refuse_request() {
                    self.run(steps, |out| AssociateRj::PROTOCOL_VERSION.write(out));
                }
                return Ok(Progress::indicate(Indication::Refused(
                    AssociateRj::PROTOCOL_VERSION,
                )));
            }
        }
        let state = self.machine.state();
        let action = self
            .event(event, |out| Abort::UNEXPECTED_PDU.write(out))
            .map_err(|Impossible { .. }| UlErrorKind::UnexpectedPdu {
                pdu: body.kind(),
                state,
            })?;
        if matches!(action, Action::Aa6 | Action::Aa7) {
            return Ok(Progress::Go);
        }
        Ok(Progress::indicate(match body {
            Body::AssociateRq(request) => {
                self.peer_max_pdu_bytes = request.user.max_pdu_bytes;
                Indication::Associate(request)
            }
            Body::AssociateAc(answer) => {
                self.peer_max_pdu_bytes = answer.user.max_pdu_bytes;
                let request = self.request.take();
                let proposed = |id: &u8| {
                    request
                        .as_ref()
                        .is_some_and(|r| r.contexts.iter().any(|c| c.context_id == *id))
                };
                self.assembler = Assembler::new(accepted_contexts(&answer).filter(proposed));
                Indication::Accepted(answer)
            }
            Body::AssociateRj(rejection) => Indication::Rejected(rejection),
            Body::ReleaseRq => Indication::Release,
            Body::ReleaseRp => Indication::ReleaseConfirmed,
            Body::Abort(abort) => Indication::Aborted(abort),
        }))
    }
}

enum Progress<'a> {
    NeedInput,
    Go,
    Received(Received<'a>),
}

impl<'a> Progress<'a> {
    fn indicate(indication: Indication) -> Progress<'a> {
        Progress::Received(Received::Indication(indication))
    }
}

fn accepted_contexts(answer: &AssociateAc) -> impl Iterator<Item = u8> + '_ {
    answer
        .contexts
        .iter()
        .filter(|c| c.result == ContextResult::Acceptance)
        .map(|c| c.context_id)
}
