//! Why a remote node did not do what it was asked for.

use super::socket::WriteError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use vna_ul::{Abort, AbortSource, AssociateRj, UlError};

/// Why a remote node did not do what it was asked for, or could not be asked.
#[derive(Debug, Clone)]
pub enum PeerError {
    /// What it was to be asked with is wrong.
    Spec {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Nobody accepts a connection there.
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// It did not go on in time.
    TimedOut {
        /// What it was to do.
        doing: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// It rejected the association.
    Rejected(AssociateRj),
    /// It aborted the association.
    Aborted(Abort),
    /// It closed the connection, or the network did.
    Closed {
        /// What it was to do.
        doing: &'static str,
    },
    /// It released the association while something was asked.
    Released,
    /// There is no TLS with it.
    Tls {
        /// Whose fault it is, and what it is.
        problem: String,
    },
    /// It broke the rules; we aborted.
    Protocol(UlError),
    /// It answered something else than was asked.
    Unexpected {
        /// What came.
        found: String,
    },
    /// A data set of it is longer than is held.
    DataSetTooLong {
        /// How long it may be.
        limit: usize,
    },
    /// It accepted no context for what was to be asked.
    ContextRefused {
        /// The abstract syntax.
        sop_class_uid: String,
    },
    /// We have ended the association, or not begun it.
    NotOpen,
}

impl PeerError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spec { .. } => "request.bad",
            Self::Unreachable { .. } => "peer.unreachable",
            Self::TimedOut { .. } => "peer.timeout",
            Self::Rejected(_) => "association.rejected",
            Self::Aborted(_) => "association.aborted",
            Self::Closed { .. } => "peer.closed",
            Self::Released => "peer.released",
            Self::Tls { .. } => "peer.tls",
            Self::Protocol(error) => error.code(),
            Self::Unexpected { .. } => "peer.unexpected",
            Self::DataSetTooLong { .. } => "peer.data_set",
            Self::ContextRefused { .. } => "context.refused",
            Self::NotOpen => "association.not_open",
        }
    }

    /// Whether it may go well if it is tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.result == 2,
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Aborted(_)
            | Self::Closed { .. }
            | Self::Released => true,
            Self::Spec { .. }
            | Self::Tls { .. }
            | Self::Protocol(_)
            | Self::Unexpected { .. }
            | Self::DataSetTooLong { .. }
            | Self::ContextRefused { .. }
            | Self::NotOpen => false,
        }
    }

    pub(super) fn write(error: WriteError, doing: &'static str, patience: Duration) -> PeerError {
        match error {
            WriteError::Closed => PeerError::Closed { doing },
            WriteError::TimedOut => PeerError::TimedOut {
                doing,
                after: patience,
            },
        }
    }
}

impl From<UlError> for PeerError {
    fn from(error: UlError) -> PeerError {
        PeerError::Protocol(error)
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec { problem } => f.write_str(problem),
            Self::Unreachable { address, source } => write!(f, "{address}: {source}"),
            Self::TimedOut { doing, after } => {
                write!(
                    f,
                    "the peer did not {doing} within {} s",
                    after.as_secs_f64()
                )
            }
            Self::Rejected(rejection) => write_rejection(f, *rejection),
            Self::Aborted(abort) => write_abort(f, *abort),
            Self::Closed { doing } => {
                write!(f, "the connection was closed before the peer did {doing}")
            }
            Self::Released => f.write_str("the peer released the association before it answered"),
            Self::Tls { problem } => write!(f, "TLS: {problem}"),
            Self::Protocol(error) => write!(f, "what the peer sent is against the rules: {error}"),
            Self::Unexpected { found } => write!(f, "the peer sent {found}"),
            Self::DataSetTooLong { limit } => write!(
                f,
                "the peer sent a data set of more than {limit} bytes where none is that long"
            ),
            Self::ContextRefused { sop_class_uid } => write!(
                f,
                "the peer accepts no presentation context for {sop_class_uid}"
            ),
            Self::NotOpen => f.write_str("the association is not open"),
        }
    }
}

impl std::error::Error for PeerError {}

/// PS3.8 Table 9-21.
fn write_rejection(f: &mut fmt::Formatter<'_>, rejection: AssociateRj) -> fmt::Result {
    let AssociateRj {
        result,
        source,
        reason,
    } = rejection;
    let why = match (source, reason) {
        (1, 1) => "no reason given",
        (1, 2) => "application context name not supported",
        (1, 3) => "calling AE title not recognized",
        (1, 7) => "called AE title not recognized",
        (2, 1) => "no reason given",
        (2, 2) => "protocol version not supported",
        (3, 1) => "temporary congestion",
        (3, 2) => "local limit exceeded",
        _ => "a reason that the standard does not name",
    };
    let how = if result == 2 { "for now" } else { "for good" };
    write!(
        f,
        "the peer rejected the association {how}: {why} (source {source}, reason {reason})"
    )
}

/// PS3.8 Table 9-26.
fn write_abort(f: &mut fmt::Formatter<'_>, abort: Abort) -> fmt::Result {
    let why = match (abort.source, abort.reason) {
        (AbortSource::ServiceUser, _) => "its application did",
        (AbortSource::ServiceProvider, 0) => "no reason given",
        (AbortSource::ServiceProvider, 1) => "unrecognized PDU",
        (AbortSource::ServiceProvider, 2) => "unexpected PDU",
        (AbortSource::ServiceProvider, 4) => "unrecognized PDU parameter",
        (AbortSource::ServiceProvider, 5) => "unexpected PDU parameter",
        (AbortSource::ServiceProvider, 6) => "invalid PDU parameter value",
        _ => "a reason that the standard does not name",
    };
    let (source, reason) = (abort_source(abort), abort.reason);
    write!(
        f,
        "the peer aborted the association: {why} (source {source}, reason {reason})"
    )
}

/// The number of who aborted.
#[must_use]
pub fn abort_source(abort: Abort) -> u8 {
    match abort.source {
        AbortSource::ServiceUser => 0,
        AbortSource::ServiceProvider => 2,
        AbortSource::Reserved(source) => source,
    }
}
