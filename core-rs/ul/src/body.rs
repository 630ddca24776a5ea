//! PDUs other than P-DATA-TF, decoded.

use crate::associate::{AssociateAc, AssociateRq};
use crate::error::UlError;
use crate::pdu::{Abort, AssociateRj, PduKind};
use crate::state::Event;

/// A PDU other than P-DATA-TF, decoded.
pub(crate) enum Body {
    AssociateRq(Box<AssociateRq>),
    AssociateAc(Box<AssociateAc>),
    AssociateRj(AssociateRj),
    ReleaseRq,
    ReleaseRp,
    Abort(Abort),
}

impl Body {
    pub fn read(kind: PduKind, bytes: &[u8]) -> Result<Body, UlError> {
        let four = bytes.first_chunk::<4>().copied().unwrap_or_default();
        Ok(match kind {
            PduKind::AssociateRq => Body::AssociateRq(Box::new(AssociateRq::read(bytes)?)),
            PduKind::AssociateAc => Body::AssociateAc(Box::new(AssociateAc::read(bytes)?)),
            PduKind::AssociateRj => Body::AssociateRj(AssociateRj::from_body(four)),
            PduKind::ReleaseRq => Body::ReleaseRq,
            PduKind::ReleaseRp => Body::ReleaseRp,
            // The decoder hands out P-DATA-TF in pieces, never as a body.
            PduKind::PDataTf | PduKind::Abort => Body::Abort(Abort::from_body(four)),
        })
    }

    pub fn kind(&self) -> PduKind {
        match self {
            Body::AssociateRq(_) => PduKind::AssociateRq,
            Body::AssociateAc(_) => PduKind::AssociateAc,
            Body::AssociateRj(_) => PduKind::AssociateRj,
            Body::ReleaseRq => PduKind::ReleaseRq,
            Body::ReleaseRp => PduKind::ReleaseRp,
            Body::Abort(_) => PduKind::Abort,
        }
    }
}

/// The event that the arrival of such a PDU is.
pub(crate) fn event_of(kind: PduKind) -> Event {
    match kind {
        PduKind::AssociateRq => Event::AssociateRqPdu,
        PduKind::AssociateAc => Event::AssociateAcPdu,
        PduKind::AssociateRj => Event::AssociateRjPdu,
        PduKind::PDataTf => Event::PDataTfPdu,
        PduKind::ReleaseRq => Event::ReleaseRqPdu,
        PduKind::ReleaseRp => Event::ReleaseRpPdu,
        PduKind::Abort => Event::AbortPdu,
    }
}
