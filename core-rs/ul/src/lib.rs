//! DICOM upper layer (PS3.8) and DIMSE messages (PS3.7): bytes in, events out; no sockets, no clock.
//!
//! [`Association`] is the whole protocol of one association, for either side. Its owner feeds it the bytes that
//! arrive and gets [`Indication`]s; it calls `accept`, `send_command`, `release`... and writes the bytes that
//! [`Association::output`] holds. Time is the owner's too: the association only *asks* for the ARTIM timer
//! ([`Association::artim`]) and for the connection to be closed ([`Association::wants_close`]).
//!
//! The layers below are public for tools and tests: [`state`] (the state table of PS3.8 §9.2 as data), [`pdu`] and
//! [`associate`] (PDU encoding), [`decoder`] (the byte stream cut into PDUs and PDV fragments), [`message`]
//! (fragments joined to DIMSE messages), [`command`] (command sets).
//!
//! Invariants, cited by number in the code:
//!
//! 1. No allocation is sized by a length from the wire. What is kept grows with the bytes that arrived, up to the
//!    budgets in [`limits`].
//! 2. Data set bytes are never kept here: they are handed on as slices of the caller's input, or the caller reads
//!    them from its socket straight to where they belong ([`Association::direct_bytes`]).
//! 3. Any input, of any length and in any cut, ends in an indication or a named error, never in a panic.
//! 4. Nothing is sent that is longer than the peer's Maximum Length Received (PS3.8 §D.1).

#![forbid(unsafe_code)]

pub mod associate;
pub mod association;
mod body;
pub mod command;
pub mod decoder;
mod error;
pub mod limits;
pub mod message;
pub mod pdata;
pub mod pdu;
mod read;
pub mod state;
mod store_request;
pub mod user_information;

pub use associate::{
    AssociateAc, AssociateRq, ContextAnswer, ContextProposal, ContextResult,
    DICOM_APPLICATION_CONTEXT,
};
pub use association::{ArtimRequest, Association, Indication, Received};
pub use command::{CommandField, CommandSet};
pub use error::{UlError, UlErrorKind};
pub use pdu::{Abort, AbortSource, AssociateRj, PduKind};
pub use state::{Action, Event, Machine, Role, State};
pub use store_request::StoreRequest;
pub use user_information::{
    CommonExtendedNegotiation, ExtendedNegotiation, RoleSelection, UserIdentity, UserInformation,
};
