//! Which service a SOP class belongs to, and which requests it takes (PS3.4, PS3.7 §7.5).

use serde::Deserialize;
use vna_ul::CommandField;

/// Verification SOP Class (PS3.4 §A.4).
pub const VERIFICATION: &str = "1.2.840.10008.1.1";

/// Storage Commitment Push Model SOP Class (PS3.4 §J.3).
pub const STORAGE_COMMITMENT: &str = "1.2.840.10008.1.20.1";

/// What an association can be used for, and what a caller may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Verification (PS3.4 §A).
    Echo,
    /// Storage (PS3.4 §B).
    Store,
    /// Query (PS3.4 §C.4.1).
    Find,
    /// Modality Worklist (PS3.4 §K).
    Worklist,
    /// Retrieval to a third party (PS3.4 §C.4.2).
    Move,
    /// Retrieval on the same association (PS3.4 §C.4.3).
    Get,
    /// Storage Commitment (PS3.4 §J).
    Commitment,
    /// Modality Performed Procedure Step (PS3.4 §F.7).
    Mpps,
}

/// SOP classes of services other than storage; those of the Patient/Study Only root are retired, and still asked for.
#[rustfmt::skip]
pub const SERVICE_SOP_CLASSES: [(&str, Service); 13] = [
    (VERIFICATION, Service::Echo),
    ("1.2.840.10008.5.1.4.1.2.1.1", Service::Find),
    ("1.2.840.10008.5.1.4.1.2.1.2", Service::Move),
    ("1.2.840.10008.5.1.4.1.2.1.3", Service::Get),
    ("1.2.840.10008.5.1.4.1.2.2.1", Service::Find),
    ("1.2.840.10008.5.1.4.1.2.2.2", Service::Move),
    ("1.2.840.10008.5.1.4.1.2.2.3", Service::Get),
    ("1.2.840.10008.5.1.4.1.2.3.1", Service::Find),
    ("1.2.840.10008.5.1.4.1.2.3.2", Service::Move),
    ("1.2.840.10008.5.1.4.1.2.3.3", Service::Get),
    ("1.2.840.10008.5.1.4.31", Service::Worklist),
    (STORAGE_COMMITMENT, Service::Commitment),
    ("1.2.840.10008.3.1.2.3.3", Service::Mpps),
];

impl Service {
    /// The service of a SOP class that is not one of storage.
    #[must_use]
    pub fn of(sop_class_uid: &str) -> Option<Service> {
        let mut known = SERVICE_SOP_CLASSES.iter();
        known
            .find(|(uid, _)| *uid == sop_class_uid)
            .map(|&(_, service)| service)
    }

    /// Whether requests of this kind belong to the service.
    #[must_use]
    pub fn takes(self, field: CommandField) -> bool {
        match self {
            Service::Echo => field == CommandField::CEchoRq,
            Service::Store => field == CommandField::CStoreRq,
            Service::Find | Service::Worklist => field == CommandField::CFindRq,
            Service::Move => field == CommandField::CMoveRq,
            Service::Get => field == CommandField::CGetRq,
            // The report comes from a peer that is SCP, on an association that it requested (PS3.4 §J.3.3).
            Service::Commitment => {
                matches!(
                    field,
                    CommandField::NActionRq | CommandField::NEventReportRq
                )
            }
            Service::Mpps => matches!(field, CommandField::NCreateRq | CommandField::NSetRq),
        }
    }
}

/// A set of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceSet(u8);

impl ServiceSet {
    /// Whether `service` is in it.
    #[must_use]
    pub fn has(self, service: Service) -> bool {
        self.0 & (1 << service as u8) != 0
    }
}

impl FromIterator<Service> for ServiceSet {
    fn from_iter<I: IntoIterator<Item = Service>>(services: I) -> ServiceSet {
        let bits = services.into_iter().map(|service| 1 << service as u8);
        ServiceSet(bits.fold(0, |set, bit: u8| set | bit))
    }
}
