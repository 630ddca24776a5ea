//! PDU headers, and the PDUs of fixed length (PS3.8 §9.3.4, §9.3.6 to §9.3.8).

use crate::error::{UlError, UlErrorKind};
use crate::limits::MAX_ASSOCIATE_BYTES;
use std::fmt;

/// Bytes of a PDU header: type (1), reserved (1), length (4, big endian).
pub const PDU_HEADER_BYTES: usize = 6;

/// The PDU types of PS3.8 §9.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the standard")]
#[repr(u8)]
pub enum PduKind {
    AssociateRq = 0x01,
    AssociateAc = 0x02,
    AssociateRj = 0x03,
    PDataTf = 0x04,
    ReleaseRq = 0x05,
    ReleaseRp = 0x06,
    Abort = 0x07,
}

impl PduKind {
    /// All types, in the order of their numbers.
    pub const ALL: [PduKind; 7] = [
        PduKind::AssociateRq,
        PduKind::AssociateAc,
        PduKind::AssociateRj,
        PduKind::PDataTf,
        PduKind::ReleaseRq,
        PduKind::ReleaseRp,
        PduKind::Abort,
    ];
}

impl fmt::Display for PduKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PduKind::AssociateRq => "A-ASSOCIATE-RQ",
            PduKind::AssociateAc => "A-ASSOCIATE-AC",
            PduKind::AssociateRj => "A-ASSOCIATE-RJ",
            PduKind::PDataTf => "P-DATA-TF",
            PduKind::ReleaseRq => "A-RELEASE-RQ",
            PduKind::ReleaseRp => "A-RELEASE-RP",
            PduKind::Abort => "A-ABORT",
        })
    }
}

/// A PDU header whose length was checked against what its type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PduHeader {
    /// The type.
    pub kind: PduKind,
    /// Bytes that follow the header.
    pub length: u32,
}

impl PduHeader {
    /// Reads a header; `max_pdu_bytes` is our own Maximum Length Received.
    ///
    /// # Errors
    ///
    /// [`UlErrorKind::UnrecognizedPdu`], [`UlErrorKind::PduTooLong`] and, for the PDUs of four bytes,
    /// [`UlErrorKind::PduLength`].
    pub fn read(header: [u8; PDU_HEADER_BYTES], max_pdu_bytes: u32) -> Result<PduHeader, UlError> {
        let [pdu_type, _, length @ ..] = header;
        let length = u32::from_be_bytes(length);
        let Some(kind) = PduKind::ALL
            .into_iter()
            .find(|kind| *kind as u8 == pdu_type)
        else {
            return Err(UlErrorKind::UnrecognizedPdu { pdu_type }.into());
        };
        let limit = match kind {
            PduKind::PDataTf => max_pdu_bytes,
            PduKind::AssociateRq | PduKind::AssociateAc => MAX_ASSOCIATE_BYTES,
            PduKind::AssociateRj | PduKind::ReleaseRq | PduKind::ReleaseRp | PduKind::Abort => {
                if length != 4 {
                    return Err(UlErrorKind::PduLength {
                        pdu: kind,
                        length,
                        expected: 4,
                    }
                    .into());
                }
                4
            }
        };
        if length > limit {
            return Err(UlErrorKind::PduTooLong {
                pdu: kind,
                length,
                limit,
            }
            .into());
        }
        Ok(PduHeader { kind, length })
    }

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PDU_HEADER_BYTES] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.kind as u8, 0, a, b, c, d]
    }
}

/// Writes one of the PDUs of four bytes.
pub(crate) fn write_short_pdu(out: &mut Vec<u8>, kind: PduKind, body: [u8; 4]) {
    out.extend_from_slice(&PduHeader { kind, length: 4 }.to_bytes());
    out.extend_from_slice(&body);
}

/// A-ASSOCIATE-RJ (PS3.8 §9.3.4, Table 9-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AssociateRj {
    /// 1 permanent, 2 transient.
    pub result: u8,
    /// 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
    pub source: u8,
    /// Meaning depends on `source`.
    pub reason: u8,
}

impl AssociateRj {
    /// Permanent, service user, no reason given.
    pub const REFUSED: AssociateRj = AssociateRj {
        result: 1,
        source: 1,
        reason: 1,
    };
    /// The application context name is not supported.
    pub const APPLICATION_CONTEXT: AssociateRj = AssociateRj {
        result: 1,
        source: 1,
        reason: 2,
    };
    /// The calling AE title is not recognized.
    pub const CALLING_AE_TITLE: AssociateRj = AssociateRj {
        result: 1,
        source: 1,
        reason: 3,
    };
    /// The called AE title is not recognized.
    pub const CALLED_AE_TITLE: AssociateRj = AssociateRj {
        result: 1,
        source: 1,
        reason: 7,
    };
    /// The protocol version is not supported.
    pub const PROTOCOL_VERSION: AssociateRj = AssociateRj {
        result: 1,
        source: 2,
        reason: 2,
    };
    /// Temporary congestion: try again.
    pub const CONGESTION: AssociateRj = AssociateRj {
        result: 2,
        source: 3,
        reason: 1,
    };
    /// Local limit exceeded: try again when fewer associations are open.
    pub const LOCAL_LIMIT: AssociateRj = AssociateRj {
        result: 2,
        source: 3,
        reason: 2,
    };

    /// Appends the PDU.
    pub fn write(self, out: &mut Vec<u8>) {
        write_short_pdu(
            out,
            PduKind::AssociateRj,
            [0, self.result, self.source, self.reason],
        );
    }

    /// Reads the four bytes behind the PDU header.
    #[must_use]
    pub fn from_body([_, result, source, reason]: [u8; 4]) -> AssociateRj {
        AssociateRj {
            result,
            source,
            reason,
        }
    }
}

/// Who aborts (PS3.8 §9.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AbortSource {
    /// 0: the application.
    ServiceUser,
    /// 2: the upper layer.
    ServiceProvider,
    /// Any other number.
    Reserved(u8),
}

/// A-ABORT (PS3.8 §9.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Abort {
    /// Who aborts.
    pub source: AbortSource,
    /// Why, if the source is the service provider; else not significant.
    pub reason: u8,
}

impl Abort {
    /// By the application.
    pub const BY_USER: Abort = Abort {
        source: AbortSource::ServiceUser,
        reason: 0,
    };
    /// Unrecognized PDU.
    pub const UNRECOGNIZED_PDU: Abort = Abort {
        source: AbortSource::ServiceProvider,
        reason: 1,
    };
    /// Unexpected PDU.
    pub const UNEXPECTED_PDU: Abort = Abort {
        source: AbortSource::ServiceProvider,
        reason: 2,
    };
    /// Unexpected PDU parameter.
    pub const UNEXPECTED_PARAMETER: Abort = Abort {
        source: AbortSource::ServiceProvider,
        reason: 5,
    };
    /// Invalid PDU parameter value.
    pub const INVALID_PARAMETER: Abort = Abort {
        source: AbortSource::ServiceProvider,
        reason: 6,
    };

    /// Appends the PDU.
    pub fn write(self, out: &mut Vec<u8>) {
        let source = match self.source {
            AbortSource::ServiceUser => 0,
            AbortSource::ServiceProvider => 2,
            AbortSource::Reserved(source) => source,
        };
        write_short_pdu(out, PduKind::Abort, [0, 0, source, self.reason]);
    }

    /// Reads the four bytes behind the PDU header.
    #[must_use]
    pub fn from_body([_, _, source, reason]: [u8; 4]) -> Abort {
        let source = match source {
            0 => AbortSource::ServiceUser,
            2 => AbortSource::ServiceProvider,
            other => AbortSource::Reserved(other),
        };
        Abort { source, reason }
    }
}
