//! Random legal and illegal sequences: an association does with bytes what the state table does with events. That the
//! table is the standard's, `state_table.rs` shows cell by cell.

use crate::common::{VERIFICATION, answer, feed, request};
use proptest::collection::vec;
use proptest::prelude::*;
use vna_ul::state::{Action, Event, Machine, Role, State, Step};
use vna_ul::{
    Abort, AssociateRj, AssociateRq, Association, CommandSet, PduKind, pdata, pdu::PDU_HEADER_BYTES,
};

/// What happens to an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    Connected,
    Peer(Pdu),
    Accept,
    Reject,
    Send,
    Release,
    RespondRelease,
    Abort,
    ArtimExpires,
    Closed,
}

/// What the peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pdu {
    AssociateRq,
    AssociateRqOfAnotherVersion,
    AssociateAc,
    AssociateRj,
    PDataTf,
    ReleaseRq,
    ReleaseRp,
    Abort,
    Unknown,
}

impl Pdu {
    fn event(self) -> Event {
        match self {
            Pdu::AssociateRq | Pdu::AssociateRqOfAnotherVersion => Event::AssociateRqPdu,
            Pdu::AssociateAc => Event::AssociateAcPdu,
            Pdu::AssociateRj => Event::AssociateRjPdu,
            Pdu::PDataTf => Event::PDataTfPdu,
            Pdu::ReleaseRq => Event::ReleaseRqPdu,
            Pdu::ReleaseRp => Event::ReleaseRpPdu,
            Pdu::Abort => Event::AbortPdu,
            Pdu::Unknown => Event::InvalidPdu,
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Pdu::AssociateRq => request(0).write(&mut out).unwrap(),
            Pdu::AssociateRqOfAnotherVersion => AssociateRq {
                protocol_version: 2,
                ..request(0)
            }
            .write(&mut out)
            .unwrap(),
            Pdu::AssociateAc => answer(&request(0), 0).write(&mut out).unwrap(),
            Pdu::AssociateRj => AssociateRj::REFUSED.write(&mut out),
            Pdu::PDataTf => {
                let mut command = Vec::new();
                CommandSet::echo_request(1, VERIFICATION).write(&mut command);
                pdata::write(&mut out, 1, pdata::Part::Command, &command, 0);
            }
            Pdu::ReleaseRq => out.extend([PduKind::ReleaseRq as u8, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
            Pdu::ReleaseRp => out.extend([PduKind::ReleaseRp as u8, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
            Pdu::Abort => Abort::BY_USER.write(&mut out),
            Pdu::Unknown => out.extend([0x99, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        }
        out
    }
}

/// What is likely where the association is well, and all else.
fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        6 => Just(Peer(Pdu::AssociateRq)),
        1 => Just(Peer(Pdu::AssociateRqOfAnotherVersion)),
        4 => Just(Peer(Pdu::AssociateAc)),
        1 => Just(Peer(Pdu::AssociateRj)),
        8 => Just(Peer(Pdu::PDataTf)),
        3 => Just(Peer(Pdu::ReleaseRq)),
        3 => Just(Peer(Pdu::ReleaseRp)),
        1 => Just(Peer(Pdu::Abort)),
        1 => Just(Peer(Pdu::Unknown)),
        4 => Just(Connected),
        6 => Just(Accept),
        1 => Just(Reject),
        4 => Just(Send),
        3 => Just(Release),
        3 => Just(RespondRelease),
        1 => Just(Abort),
        1 => Just(ArtimExpires),
        1 => Just(Closed),
    ]
}

/// Kinds of the PDUs in the output, which is taken.
fn sent(association: &mut Association) -> Vec<u8> {
    let output = association.output().to_vec();
    association.output_sent(output.len());
    let (mut kinds, mut at) = (Vec::new(), 0);
    while let Some(header) = output.get(at..at + PDU_HEADER_BYTES) {
        kinds.push(header[0]);
        let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
        at += PDU_HEADER_BYTES + length as usize;
    }
    assert_eq!(at, output.len(), "whole PDUs");
    kinds
}

/// Kinds of the PDUs that these steps send.
fn sends(steps: &[Step]) -> Vec<u8> {
    let kind = |step: &Step| {
        Some(match step {
            Step::SendAssociateRq => PduKind::AssociateRq,
            Step::SendAssociateAc => PduKind::AssociateAc,
            Step::SendAssociateRj => PduKind::AssociateRj,
            Step::SendPData => PduKind::PDataTf,
            Step::SendReleaseRq => PduKind::ReleaseRq,
            Step::SendReleaseRp => PduKind::ReleaseRp,
            Step::SendAbort => PduKind::Abort,
            _ => return None,
        })
    };
    steps
        .iter()
        .filter_map(kind)
        .map(|kind| kind as u8)
        .collect()
}

/// An association and what the table says of it.
struct Pair {
    association: Association,
    machine: Machine,
    /// After an error of the peer nothing of what he sends is looked at.
    lost: bool,
    closes: bool,
}

impl Pair {
    fn new(role: Role) -> Pair {
        let mut machine = Machine::new(role);
        let (association, event) = match role {
            Role::Acceptor => (Association::acceptor(0), Event::TransportIndication),
            Role::Requestor => (Association::requestor(request(0)), Event::AssociateRequest),
        };
        machine.handle(event).unwrap();
        Pair {
            association,
            machine,
            lost: false,
            closes: false,
        }
    }

    /// Lets it happen to both. What the table has no action for is refused, if it is ours, or cannot happen.
    fn happens(&mut self, what: Happening, piece: usize) -> Result<(), TestCaseError> {
        let before = self.machine.state();
        let association = &mut self.association;
        let (event, done) = match what {
            Happening::Peer(_) if matches!(before, State::Sta1 | State::Sta4) => return Ok(()),
            Happening::Peer(pdu) => {
                feed(association, &pdu.bytes(), piece);
                if self.lost {
                    prop_assert_eq!(sent(association), [0_u8; 0]);
                    prop_assert_eq!(association.state(), before);
                    return Ok(());
                }
                (pdu.event(), true)
            }
            Happening::Connected => (Event::TransportConfirm, association.connected().is_ok()),
            Happening::Accept => {
                let answer = answer(&request(0), 0);
                let done = association.accept(&answer).is_ok();
                (Event::AssociateResponseAccept, done)
            }
            Happening::Reject => {
                let done = association.reject(AssociateRj::REFUSED).is_ok();
                (Event::AssociateResponseReject, done)
            }
            Happening::Send => {
                let command = CommandSet::echo_request(1, VERIFICATION);
                let done = association.send_command(1, &command).is_ok();
                (Event::PDataRequest, done)
            }
            Happening::Release => (Event::ReleaseRequest, association.release().is_ok()),
            Happening::RespondRelease => {
                let done = association.respond_release().is_ok();
                (Event::ReleaseResponse, done)
            }
            Happening::Abort => (Event::AbortRequest, association.abort().is_ok()),
            Happening::ArtimExpires => {
                association.artim_expired();
                (
                    Event::ArtimExpired,
                    self.machine.action(Event::ArtimExpired).is_some(),
                )
            }
            Happening::Closed => {
                association.transport_closed();
                self.closes = true;
                (
                    Event::TransportClosed,
                    self.machine.action(Event::TransportClosed).is_some(),
                )
            }
        };
        let refused =
            what == Happening::Peer(Pdu::AssociateRqOfAnotherVersion) && before == State::Sta2;
        let expected = if refused {
            self.machine.refuse_request().ok()
        } else {
            let handled = self.machine.handle(event).ok();
            self.lost |= matches!(what, Happening::Peer(_))
                && (event == Event::InvalidPdu
                    || handled
                        .is_some_and(|(action, _)| matches!(action, Action::Aa1 | Action::Aa8)));
            handled.map(|(_, steps)| steps)
        };
        let association = &mut self.association;
        prop_assert_eq!(done, expected.is_some(), "{:?} in {:?}", what, before);
        let steps = expected.unwrap_or_default();
        self.closes |= steps.contains(&Step::CloseTransport);
        prop_assert_eq!(
            sent(association),
            sends(steps),
            "{:?} in {:?}",
            what,
            before
        );
        prop_assert_eq!(
            association.state(),
            self.machine.state(),
            "{:?} in {:?}",
            what,
            before
        );
        prop_assert_eq!(
            association.wants_close(),
            self.closes,
            "{:?} in {:?}",
            what,
            before
        );
        Ok(())
    }
}

proptest! {
    #[test]
    fn an_association_follows_the_table_whatever_happens(
        acceptor in any::<bool>(),
        happenings in vec(happening(), 1..40),
        piece in prop::sample::select(vec![1, 5, 1 << 16]),
    ) {
        let role = if acceptor { Role::Acceptor } else { Role::Requestor };
        let mut pair = Pair::new(role);
        // So that most of the sequence is spent where there is something to do.
        let opening: &[Happening] = match role {
            Role::Acceptor => &[Happening::Peer(Pdu::AssociateRq), Happening::Accept],
            Role::Requestor => &[Happening::Connected, Happening::Peer(Pdu::AssociateAc)],
        };
        let skipped = if happenings.len() % 3 == 0 { 0 } else { opening.len() };
        for what in opening[..skipped].iter().chain(&happenings) {
            pair.happens(*what, piece)?;
        }
    }
}
