//! The DIMSE server: C-ECHO and C-STORE entirely in Rust; other requests are handed over ([`Services`]).
//!
//! A task per association reads its socket, drives [`vna_ul::Association`] and hands finished data sets to an
//! [`InstanceSink`]. Data set bytes go from the socket to their place in a [`Spool`] with one copy less: once the
//! header of a fragment is known, the rest of it is read there directly. The spool begins with what the sink wants
//! before the data set, so that the finished buffer is the file.
//!
//! Invariants, cited by number in the code of this module:
//!
//! 1. Memory is bounded: data sets by the shared spool budget, everything else by the number of connections, each with
//!    one read buffer, what [`vna_ul::limits`] allows, and one request of 4 MiB at most that is being served.
//! 2. An association that cannot get its part of the budget does not read its socket. A peer that stalls while others
//!    wait has its part handed on to the sink.
//! 3. A C-STORE is answered with what the sink says, after it said so; never before.
//! 4. Every connection ends: ARTIM, idle and message timeouts cover all its states.

mod association;
mod clock;
mod command_json;
mod contexts;
mod counters;
mod finding;
mod getting;
mod incoming;
mod outgoing;
mod peer;
mod peer_error;
mod peer_spec;
mod policy;
mod receiving;
mod registry;
mod requestor;
mod sending;
mod server;
mod service;
mod services;
mod sink;
mod socket;
mod spool;
mod storage_sop_classes;
mod stream;
mod transfer_syntaxes;

pub use command_json::{command_from_json, command_to_json};
pub use contexts::{AcceptedContext, Contexts};
pub use counters::{Snapshot, Totals};
pub use finding::{FindEnd, Found, find};
pub use getting::{Got, get};
pub use outgoing::{
    OpenError, OutgoingInstance, PieceBuffers, SendingContext, Unsendable, choose_context,
};
pub use peer::{Intake, Message, Opened, OpenedContext, Peer, Requested};
pub use peer_error::{PeerError, abort_source};
pub use peer_spec::{ContextSpec, PeerSpec, UserSpec};
pub use policy::{
    AddressRange, Admission, Entity, InvalidAddressRange, KnownPeer, Pattern, Policy, QuerySupport,
    Rejected, UserIdentityRule,
};
pub use receiving::Tally;
pub use sending::{
    Failure, MoveOriginator, SendBatch, SendFileError, SendProgress, Sending, SentFile, send_file,
};
pub use server::{Server, ServerSettings};
pub use service::{
    IdentityClaim, NoServices, Over, Progress, Reporter, Responder, Response, ServiceRequest,
    Services,
};
pub use services::{SERVICE_SOP_CLASSES, STORAGE_COMMITMENT, Service, ServiceSet, VERIFICATION};
pub use sink::{
    AssociationSummary, InstanceSink, InstanceStream, Origin, ReceivedDataSet, ReceivedHeader,
    status,
};
pub use spool::{Spool, SpoolPool};
pub use storage_sop_classes::{STORAGE_SOP_CLASSES, is_storage_sop_class};
pub use transfer_syntaxes::TRANSFER_SYNTAXES;

#[cfg(test)]
mod tests;
