//! The upper layer state machine of PS3.8 §9.2, as data: Tables 9-1 to 9-10.

use Action::*;
use std::fmt;

/// The states of PS3.8 Tables 9-1 to 9-5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Idle.
    Sta1,
    /// Transport connection open, awaiting A-ASSOCIATE-RQ.
    Sta2,
    /// Awaiting the local user's A-ASSOCIATE response.
    Sta3,
    /// Awaiting the transport connection to open.
    Sta4,
    /// Awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ.
    Sta5,
    /// Association established, ready for data transfer.
    Sta6,
    /// Awaiting A-RELEASE-RP.
    Sta7,
    /// Awaiting the local user's A-RELEASE response.
    Sta8,
    /// Release collision, requestor side: awaiting the local user's A-RELEASE response.
    Sta9,
    /// Release collision, acceptor side: awaiting A-RELEASE-RP.
    Sta10,
    /// Release collision, requestor side: awaiting A-RELEASE-RP.
    Sta11,
    /// Release collision, acceptor side: awaiting the local user's A-RELEASE response.
    Sta12,
    /// Awaiting the transport connection to close; the association no longer exists.
    Sta13,
}

impl State {
    /// All states, in their order.
    pub const ALL: [State; 13] = {
        use State::*;
        [
            Sta1, Sta2, Sta3, Sta4, Sta5, Sta6, Sta7, Sta8, Sta9, Sta10, Sta11, Sta12, Sta13,
        ]
    };
}

/// The events of PS3.8 Table 9-10, in its order. A "request" or "response" is the local user's, a PDU came from the
/// peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// Evt1
    AssociateRequest,
    /// Evt2
    TransportConfirm,
    /// Evt3
    AssociateAcPdu,
    /// Evt4
    AssociateRjPdu,
    /// Evt5
    TransportIndication,
    /// Evt6
    AssociateRqPdu,
    /// Evt7
    AssociateResponseAccept,
    /// Evt8
    AssociateResponseReject,
    /// Evt9
    PDataRequest,
    /// Evt10
    PDataTfPdu,
    /// Evt11
    ReleaseRequest,
    /// Evt12
    ReleaseRqPdu,
    /// Evt13
    ReleaseRpPdu,
    /// Evt14
    ReleaseResponse,
    /// Evt15
    AbortRequest,
    /// Evt16
    AbortPdu,
    /// Evt17
    TransportClosed,
    /// Evt18
    ArtimExpired,
    /// Evt19
    InvalidPdu,
}

impl Event {
    /// Evt1 to Evt19.
    pub const ALL: [Event; 19] = {
        use Event::*;
        [
            AssociateRequest,
            TransportConfirm,
            AssociateAcPdu,
            AssociateRjPdu,
            TransportIndication,
            AssociateRqPdu,
            AssociateResponseAccept,
            AssociateResponseReject,
            PDataRequest,
            PDataTfPdu,
            ReleaseRequest,
            ReleaseRqPdu,
            ReleaseRpPdu,
            ReleaseResponse,
            AbortRequest,
            AbortPdu,
            TransportClosed,
            ArtimExpired,
            InvalidPdu,
        ]
    };
}

/// The actions of PS3.8 Tables 9-6 to 9-9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "what each does is the table in `Action::steps`")]
#[rustfmt::skip]
pub enum Action {
    Ae1, Ae2, Ae3, Ae4, Ae5, Ae6, Ae7, Ae8,
    Dt1, Dt2,
    Ar1, Ar2, Ar3, Ar4, Ar5, Ar6, Ar7, Ar8, Ar9, Ar10,
    Aa1, Aa2, Aa3, Aa4, Aa5, Aa6, Aa7, Aa8,
}

/// What an action consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the standard's phrases")]
pub enum Step {
    OpenTransport,
    AcceptTransport,
    CloseTransport,
    StartArtim,
    StopArtim,
    SendAssociateRq,
    SendAssociateAc,
    SendAssociateRj,
    SendPData,
    SendReleaseRq,
    SendReleaseRp,
    SendAbort,
    IndicateAssociate,
    ConfirmAssociateAccept,
    ConfirmAssociateReject,
    IndicatePData,
    IndicateRelease,
    ConfirmRelease,
    IndicateAbort,
    IndicateProviderAbort,
}

impl Action {
    /// What the action does and where it leads (PS3.8 Tables 9-6 to 9-9). The two actions with a choice have their
    /// second outcome in [`Action::otherwise`].
    #[must_use]
    pub fn outcome(self) -> (&'static [Step], State) {
        use State::*;
        use Step::*;
        match self {
            Ae1 => (&[OpenTransport], Sta4),
            Ae2 => (&[SendAssociateRq], Sta5),
            Ae3 => (&[ConfirmAssociateAccept], Sta6),
            Ae4 => (&[ConfirmAssociateReject, CloseTransport], Sta1),
            Ae5 => (&[AcceptTransport, StartArtim], Sta2),
            Ae6 => (&[StopArtim, IndicateAssociate], Sta3),
            Ae7 => (&[SendAssociateAc], Sta6),
            Ae8 => (&[SendAssociateRj, StartArtim], Sta13),
            Dt1 => (&[SendPData], Sta6),
            Dt2 => (&[IndicatePData], Sta6),
            Ar1 => (&[SendReleaseRq], Sta7),
            Ar2 => (&[IndicateRelease], Sta8),
            Ar3 => (&[ConfirmRelease, CloseTransport], Sta1),
            Ar4 => (&[SendReleaseRp, StartArtim], Sta13),
            Ar5 => (&[StopArtim], Sta1),
            Ar6 => (&[IndicatePData], Sta7),
            Ar7 => (&[SendPData], Sta8),
            Ar8 => (&[IndicateRelease], Sta9),
            Ar9 => (&[SendReleaseRp], Sta11),
            Ar10 => (&[ConfirmRelease], Sta12),
            Aa1 => (&[SendAbort, StartArtim], Sta13),
            Aa2 => (&[StopArtim, CloseTransport], Sta1),
            Aa3 => (&[IndicateAbort, CloseTransport], Sta1),
            Aa4 => (&[IndicateProviderAbort], Sta1),
            Aa5 => (&[StopArtim], Sta1),
            Aa6 => (&[], Sta13),
            Aa7 => (&[SendAbort], Sta13),
            Aa8 => (&[SendAbort, IndicateProviderAbort, StartArtim], Sta13),
        }
    }

    /// The second outcome of AE-6 (the service provider refuses the request) and of AR-8 (we are the acceptor).
    #[must_use]
    pub fn otherwise(self) -> Option<(&'static [Step], State)> {
        use Step::*;
        match self {
            Ae6 => Some((&[StopArtim, SendAssociateRj, StartArtim], State::Sta13)),
            Ar8 => Some((&[IndicateRelease], State::Sta10)),
            _ => None,
        }
    }
}

const fn a(action: Action) -> Option<Action> {
    Some(action)
}
const NO: Option<Action> = None;

/// PS3.8 Table 9-10: a row for each event, a column for each state. Empty cells cannot happen.
#[rustfmt::skip]
const TRANSITIONS: [[Option<Action>; 13]; 19] = [
    //         Sta1    Sta2    Sta3    Sta4    Sta5    Sta6    Sta7    Sta8    Sta9    Sta10    Sta11   Sta12   Sta13
    /* Evt1 */ [a(Ae1), NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,      NO,     NO,     NO],
    /* Evt2 */ [NO,     NO,     NO,     a(Ae2), NO,     NO,     NO,     NO,     NO,     NO,      NO,     NO,     NO],
    /* Evt3 */ [NO,     a(Aa1), a(Aa8), NO,     a(Ae3), a(Aa8), a(Aa8), a(Aa8), a(Aa8), a(Aa8),  a(Aa8), a(Aa8), a(Aa6)],
    /* Evt4 */ [NO,     a(Aa1), a(Aa8), NO,     a(Ae4), a(Aa8), a(Aa8), a(Aa8), a(Aa8), a(Aa8),  a(Aa8), a(Aa8), a(Aa6)],
    /* Evt5 */ [a(Ae5), NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,      NO,     NO,     NO],
    /* Evt6 */ [NO,     a(Ae6), a(Aa8), NO,     a(Aa8), a(Aa8), a(Aa8), a(Aa8), a(Aa8), a(Aa8),  a(Aa8), a(Aa8), a(Aa7)],
    /* Evt7 */ [NO,     NO,     a(Ae7), NO,     NO,     NO,     NO,     NO,     NO,     NO,      NO,     NO,     NO],
    /* Evt8 */ [NO,     NO,     a(Ae8), NO,     NO,     NO,     NO,     NO,     NO,     NO,      NO,     NO,     NO],
    /* Evt9 */ [NO,     NO,     NO,     NO,     NO,     a(Dt1), NO,     a(Ar7), NO,     NO,      NO,     NO,     NO],
    /* Evt10*/ [NO,     a(Aa1), a(Aa8), NO,     a(Aa8), a(Dt2), a(Ar6), a(Aa8), a(Aa8), a(Aa8),  a(Aa8), a(Aa8), a(Aa6)],
    /* Evt11*/ [NO,     NO,     NO,     NO,     NO,     a(Ar1), NO,     NO,     NO,     NO,      NO,     NO,     NO],
    /* Evt12*/ [NO,     a(Aa1), a(Aa8), NO,     a(Aa8), a(Ar2), a(Ar8), a(Aa8), a(Aa8), a(Aa8),  a(Aa8), a(Aa8), a(Aa6)],
    /* Evt13*/ [NO,     a(Aa1), a(Aa8), NO,     a(Aa8), a(Aa8), a(Ar3), a(Aa8), a(Aa8), a(Ar10), a(Ar3), a(Aa8), a(Aa6)],
    /* Evt14*/ [NO,     NO,     NO,     NO,     NO,     NO,     NO,     a(Ar4), a(Ar9), NO,      NO,     a(Ar4), NO],
    /* Evt15*/ [NO,     NO,     a(Aa1), a(Aa2), a(Aa1), a(Aa1), a(Aa1), a(Aa1), a(Aa1), a(Aa1),  a(Aa1), a(Aa1), NO],
    /* Evt16*/ [NO,     a(Aa2), a(Aa3), NO,     a(Aa3), a(Aa3), a(Aa3), a(Aa3), a(Aa3), a(Aa3),  a(Aa3), a(Aa3), a(Aa2)],
    /* Evt17*/ [NO,     a(Aa5), a(Aa4), a(Aa4), a(Aa4), a(Aa4), a(Aa4), a(Aa4), a(Aa4), a(Aa4),  a(Aa4), a(Aa4), a(Ar5)],
    /* Evt18*/ [NO,     a(Aa2), NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,      NO,     NO,     a(Aa2)],
    /* Evt19*/ [NO,     a(Aa1), a(Aa8), NO,     a(Aa8), a(Aa8), a(Aa8), a(Aa8), a(Aa8), a(Aa8),  a(Aa8), a(Aa8), a(Aa7)],
];

/// What to do on `event` in `state`; `None` if the event cannot happen there.
#[must_use]
pub fn action(event: Event, state: State) -> Option<Action> {
    TRANSITIONS[event as usize][state as usize]
}

/// Which side of the association we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We asked for the association.
    Requestor,
    /// We were asked.
    Acceptor,
}

/// An event happened where the table has an empty cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impossible {
    /// The event.
    pub event: Event,
    /// The state, which stays as it is.
    pub state: State,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot happen in {:?} (PS3.8 Table 9-10)",
            self.event, self.state
        )
    }
}

impl std::error::Error for Impossible {}

/// The state of one association.
#[derive(Debug, Clone)]
pub struct Machine {
    state: State,
    role: Role,
}

impl Machine {
    /// A machine in Sta1.
    #[must_use]
    pub fn new(role: Role) -> Machine {
        Machine {
            state: State::Sta1,
            role,
        }
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The side we are.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What would be done on `event` now.
    #[must_use]
    pub fn action(&self, event: Event) -> Option<Action> {
        action(event, self.state)
    }

    /// Moves on and says what to do. An A-ASSOCIATE-RQ counts as acceptable to the service provider; see
    /// [`Machine::refuse_request`].
    ///
    /// # Errors
    ///
    /// [`Impossible`] where the table has an empty cell.
    pub fn handle(&mut self, event: Event) -> Result<(Action, &'static [Step]), Impossible> {
        let action = self.action(event).ok_or(Impossible {
            event,
            state: self.state,
        })?;
        let (steps, next) = match (action, self.role) {
            (Ar8, Role::Acceptor) => action.otherwise().unwrap_or_else(|| action.outcome()),
            _ => action.outcome(),
        };
        self.state = next;
        Ok((action, steps))
    }

    /// The other outcome of AE-6: an A-ASSOCIATE-RQ came that the service provider refuses.
    ///
    /// # Errors
    ///
    /// [`Impossible`] if AE-6 is not what the state table has for it.
    pub fn refuse_request(&mut self) -> Result<&'static [Step], Impossible> {
        let event = Event::AssociateRqPdu;
        match self
            .action(event)
            .filter(|&action| action == Ae6)
            .and_then(Action::otherwise)
        {
            Some((steps, next)) => {
                self.state = next;
                Ok(steps)
            }
            None => Err(Impossible {
                event,
                state: self.state,
            }),
        }
    }
}
