//! What a peer can do wrong, by name, and which A-ABORT answers it.

use crate::pdu::{Abort, PduKind};
use crate::state::State;
use std::fmt;

/// An error in what a peer sent, or in what we were asked to send.
///
/// `offset` counts from the first byte after the PDU header, in a command set from its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UlError {
    /// What is wrong.
    pub kind: UlErrorKind,
    /// Where, if it has a place.
    pub offset: Option<usize>,
}

/// The kinds of [`UlError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the message prints")]
pub enum UlErrorKind {
    /// The PDU type is not one of 01H to 07H (PS3.8 §9.3.1).
    UnrecognizedPdu { pdu_type: u8 },
    /// A PDU that the state table does not allow now (PS3.8 Table 9-10).
    UnexpectedPdu { pdu: PduKind, state: State },
    /// A PDU longer than we announced to accept.
    PduTooLong {
        pdu: PduKind,
        length: u32,
        limit: u32,
    },
    /// A PDU of fixed length with another length.
    PduLength {
        pdu: PduKind,
        length: u32,
        expected: u32,
    },
    /// A field or item ends behind the bytes that contain it.
    Truncated {
        what: &'static str,
        needed: usize,
        left: usize,
    },
    /// An item that its PDU must contain is missing, or appears twice.
    ItemCount {
        what: &'static str,
        found: usize,
        expected: &'static str,
    },
    /// A UID of no or more than 64 characters, or with others than printable ASCII.
    InvalidUid { what: &'static str },
    /// An AE title with control characters, a backslash or bytes outside of ASCII (PS3.5 §6.2, VR AE).
    InvalidAeTitle { what: &'static str },
    /// A presentation context id that is even (PS3.8 §9.3.2.2 allows odd ones only).
    EvenContextId { context_id: u8 },
    /// A presentation context id that appears twice.
    DuplicateContextId { context_id: u8 },
    /// More of something than the budget allows.
    TooMany { what: &'static str, limit: usize },
    /// A Maximum Length Received in which no message fits.
    MaximumLengthTooSmall { length: u32 },
    /// A PDV whose length disagrees with its PDU.
    PdvLength { length: u32, left: u32 },
    /// A PDV on a presentation context that was not accepted.
    UnknownContext { context_id: u8 },
    /// A PDV of another context before the message was complete (PS3.8 §E.2 allows one message at a time).
    InterleavedContexts { context_id: u8, expected: u8 },
    /// A data set fragment where a command must come, or the reverse.
    UnexpectedFragment {
        context_id: u8,
        found: &'static str,
        expected: &'static str,
    },
    /// A command set over [`crate::limits::MAX_COMMAND_BYTES`].
    CommandTooLong { limit: usize },
    /// A command element that ends behind its command set.
    CommandTruncated { needed: usize, left: usize },
    /// An element in a command set that is not of group 0000.
    CommandGroup { group: u16, element: u16 },
    /// A command element that appears twice.
    CommandDuplicate { element: u16 },
    /// A command element whose value does not fit its VR.
    CommandValue { element: u16, why: &'static str },
    /// A command element that this command needs.
    CommandMissing { element: u16, command: u16 },
    /// Something too long to be encoded in its length field.
    Unencodable {
        what: &'static str,
        length: usize,
        limit: usize,
    },
    /// A local request that the state table does not allow now.
    WrongState { event: &'static str, state: State },
}

impl UlErrorKind {
    /// The error at `offset`.
    #[must_use]
    pub fn at(self, offset: usize) -> UlError {
        UlError {
            kind: self,
            offset: Some(offset),
        }
    }
}

impl From<UlErrorKind> for UlError {
    fn from(kind: UlErrorKind) -> UlError {
        UlError { kind, offset: None }
    }
}

impl UlError {
    /// A stable name for programs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        use UlErrorKind::*;
        match self.kind {
            UnrecognizedPdu { .. } => "pdu.unrecognized",
            UnexpectedPdu { .. } => "pdu.unexpected",
            PduTooLong { .. } => "pdu.too_long",
            PduLength { .. } => "pdu.length",
            Truncated { .. } => "pdu.truncated",
            ItemCount { .. } => "pdu.item_count",
            InvalidUid { .. } => "pdu.uid",
            InvalidAeTitle { .. } => "pdu.ae_title",
            EvenContextId { .. } => "context.even_id",
            DuplicateContextId { .. } => "context.duplicate_id",
            TooMany { .. } => "pdu.too_many",
            MaximumLengthTooSmall { .. } => "pdu.maximum_length",
            PdvLength { .. } => "pdv.length",
            UnknownContext { .. } => "pdv.unknown_context",
            InterleavedContexts { .. } => "pdv.interleaved",
            UnexpectedFragment { .. } => "pdv.unexpected_fragment",
            CommandTooLong { .. } => "command.too_long",
            CommandTruncated { .. } => "command.truncated",
            CommandGroup { .. } => "command.group",
            CommandDuplicate { .. } => "command.duplicate",
            CommandValue { .. } => "command.value",
            CommandMissing { .. } => "command.missing",
            Unencodable { .. } => "pdu.unencodable",
            WrongState { .. } => "association.state",
        }
    }

    /// The A-ABORT that answers this error (PS3.8 §9.3.8).
    ///
    /// What breaks the upper layer protocol is an abort of the service provider with its reason; a command set that
    /// breaks PS3.7 passed the upper layer in good order, so there the service user aborts.
    #[must_use]
    pub fn abort(&self) -> Abort {
        use UlErrorKind::*;
        match self.kind {
            UnrecognizedPdu { .. } => Abort::UNRECOGNIZED_PDU,
            UnexpectedPdu { .. } => Abort::UNEXPECTED_PDU,
            InterleavedContexts { .. } | UnexpectedFragment { .. } => Abort::UNEXPECTED_PARAMETER,
            PduTooLong { .. }
            | PduLength { .. }
            | Truncated { .. }
            | ItemCount { .. }
            | InvalidUid { .. }
            | InvalidAeTitle { .. }
            | EvenContextId { .. }
            | DuplicateContextId { .. }
            | TooMany { .. }
            | MaximumLengthTooSmall { .. }
            | PdvLength { .. }
            | UnknownContext { .. } => Abort::INVALID_PARAMETER,
            CommandTooLong { .. }
            | CommandTruncated { .. }
            | CommandGroup { .. }
            | CommandDuplicate { .. }
            | CommandValue { .. }
            | CommandMissing { .. }
            | Unencodable { .. }
            | WrongState { .. } => Abort::BY_USER,
        }
    }
}

impl fmt::Display for UlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match self.offset {
            Some(offset) => write!(f, ", at byte {offset}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for UlErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use UlErrorKind::*;
        match self {
            UnrecognizedPdu { pdu_type } => {
                write!(f, "PDU type {pdu_type:02X}H, the standard has 01H to 07H")
            }
            UnexpectedPdu { pdu, state } => write!(f, "{pdu} is not allowed in {state:?}"),
            PduTooLong { pdu, length, limit } => {
                write!(
                    f,
                    "{pdu} announces {length} bytes, at most {limit} are accepted"
                )
            }
            PduLength {
                pdu,
                length,
                expected,
            } => write!(f, "{pdu} announces {length} bytes, it has {expected}"),
            Truncated { what, needed, left } => {
                write!(f, "{what} needs {needed} bytes, {left} left")
            }
            ItemCount {
                what,
                found,
                expected,
            } => write!(f, "found {found} of {what}, expected {expected}"),
            InvalidUid { what } => write!(f, "{what} is not a UID of 1 to 64 printable characters"),
            InvalidAeTitle { what } => write!(f, "{what} has characters that VR AE does not allow"),
            EvenContextId { context_id } => write!(
                f,
                "presentation context id {context_id} is even, only odd ones are allowed"
            ),
            DuplicateContextId { context_id } => {
                write!(f, "presentation context id {context_id} appears twice")
            }
            TooMany { what, limit } => write!(f, "more than {limit} {what}"),
            MaximumLengthTooSmall { length } => {
                write!(
                    f,
                    "Maximum Length Received is {length}, a fragment needs at least 8"
                )
            }
            PdvLength { length, left } => {
                write!(
                    f,
                    "presentation data value announces {length} bytes, its PDU has {left} left"
                )
            }
            UnknownContext { context_id } => {
                write!(f, "presentation context {context_id} was not accepted")
            }
            InterleavedContexts {
                context_id,
                expected,
            } => {
                write!(
                    f,
                    "fragment on context {context_id} inside a message on context {expected}"
                )
            }
            UnexpectedFragment {
                context_id,
                found,
                expected,
            } => {
                write!(
                    f,
                    "context {context_id} brought a {found} fragment, expected a {expected} fragment"
                )
            }
            CommandTooLong { limit } => write!(f, "command set is longer than {limit} bytes"),
            CommandTruncated { needed, left } => {
                write!(f, "command element needs {needed} bytes, {left} left")
            }
            CommandGroup { group, element } => {
                write!(
                    f,
                    "command set has element ({group:04X},{element:04X}), only group 0000 is allowed"
                )
            }
            CommandDuplicate { element } => {
                write!(f, "command element (0000,{element:04X}) appears twice")
            }
            CommandValue { element, why } => {
                write!(f, "command element (0000,{element:04X}): {why}")
            }
            CommandMissing { element, command } => {
                write!(
                    f,
                    "command {command:04X}H lacks element (0000,{element:04X})"
                )
            }
            Unencodable {
                what,
                length,
                limit,
            } => write!(f, "{what} has {length} bytes, its field holds {limit}"),
            WrongState { event, state } => write!(f, "{event} is not possible in {state:?}"),
        }
    }
}

impl std::error::Error for UlError {}
