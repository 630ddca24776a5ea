//! The policy table: who may associate, for what, and within which limits. Immutable; a new one is swapped in whole
//! and holds for associations that begin after it.

mod address;
mod negotiation;
mod pattern;

pub use address::{AddressRange, InvalidAddressRange};
pub use pattern::Pattern;

use super::services::{SERVICE_SOP_CLASSES, Service, ServiceSet};
use std::net::IpAddr;
use std::time::Duration;
use vna_ul::limits::MAX_PDU_BYTES;
use vna_ul::{AssociateRj, AssociateRq, DICOM_APPLICATION_CONTEXT};

/// What the control plane decided about associations.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Our application entities, at least one. Who calls none of them is taken to the first, unless that is checked.
    pub entities: Vec<Entity>,
    /// Reject associations that call another AE title.
    pub check_called_ae_title: bool,
    /// Who may associate; empty admits all. AE titles are compared without regard to case: peers do not agree on it.
    pub calling_ae_titles: Vec<String>,
    /// From where; empty admits all.
    pub hosts: Vec<AddressRange>,
    /// Peers that we know.
    pub peers: Vec<KnownPeer>,
    /// Who calls himself as a known peer is only taken for him if he calls from his host.
    pub check_peer_host: bool,
    /// What everybody else may do.
    pub unknown_peers: ServiceSet,
    /// SOP classes of services that somebody answers; Verification and storage classes need none.
    pub served: Vec<String>,
    /// What is stored; empty for all storage classes of the standard.
    pub accepted_sop_classes: Vec<Pattern>,
    /// What is not, though it were.
    pub rejected_sop_classes: Vec<Pattern>,
    /// Store SOP classes that are not known: private ones, and storage classes that the standard may get.
    pub accept_unknown_sop_classes: bool,
    /// How data sets that are stored may be encoded, among what the standard has; empty for all of that.
    pub accepted_transfer_syntaxes: Vec<Pattern>,
    /// Which are chosen first, if several are offered for a storage class.
    pub preferred_transfer_syntaxes: Vec<Pattern>,
    /// What becomes of a user identity.
    pub user_identity: UserIdentityRule,
    /// What C-FIND and retrieval can do beyond the baseline.
    pub query: QuerySupport,
    /// Our Maximum Length Received, in bytes; at most 1 MiB.
    pub max_pdu_bytes: u32,
    /// Associations at a time.
    pub max_associations: usize,
    /// Associations at a time from one address.
    pub max_associations_per_peer: usize,
    /// For the association request to come, and for the connection to be closed (PS3.8 §9.1.5).
    pub artim_timeout: Duration,
    /// Without a message, after which we abort.
    pub idle_timeout: Duration,
    /// Within which a started message must go on, and an answer of ours be taken.
    pub message_timeout: Duration,
}

/// An application entity of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Its AE title.
    pub ae_title: String,
    /// Whose part of the archive it stands for.
    pub tenant: i64,
    /// What of it is shown, and what instances that are sent to it get.
    pub label: Option<String>,
}

/// A peer that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// How it calls itself.
    pub ae_title: String,
    /// Where it calls from.
    pub addresses: Vec<AddressRange>,
    /// The same by names, which are looked up when it calls.
    pub host_names: Vec<String>,
    /// What it may do.
    pub services: ServiceSet,
}

/// What becomes of a user identity (PS3.7 §D.3.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserIdentityRule {
    /// It is not looked at, nor answered.
    Ignore,
    /// A user name, with passcode or without, must be one of a user; other types are not looked at.
    Check,
    /// The same, and there must be one.
    Require,
}

/// What the query/retrieve service classes can do beyond their baseline (PS3.4 §C.5.1.1, §C.5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub struct QuerySupport {
    /// Relational queries and retrieval.
    pub relational: bool,
    /// Combined matching of a date and its time.
    pub date_time: bool,
    /// Fuzzy matching of names.
    pub fuzzy: bool,
    /// Answers in the timezone that the query names.
    pub timezone: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            entities: vec![Entity {
                ae_title: "VNA".into(),
                tenant: vna_index::DEFAULT_TENANT,
                label: None,
            }],
            check_called_ae_title: false,
            calling_ae_titles: Vec::new(),
            hosts: Vec::new(),
            peers: Vec::new(),
            check_peer_host: false,
            unknown_peers: ServiceSet::from_iter([Service::Echo, Service::Store]),
            served: SERVICE_SOP_CLASSES
                .iter()
                .map(|(uid, _)| (*uid).to_owned())
                .collect(),
            accepted_sop_classes: Vec::new(),
            rejected_sop_classes: Vec::new(),
            accept_unknown_sop_classes: false,
            accepted_transfer_syntaxes: Vec::new(),
            preferred_transfer_syntaxes: Vec::new(),
            user_identity: UserIdentityRule::Ignore,
            query: QuerySupport::default(),
            max_pdu_bytes: MAX_PDU_BYTES,
            max_associations: 256,
            max_associations_per_peer: 64,
            artim_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            message_timeout: Duration::from_secs(60),
        }
    }
}

/// Why an association is rejected: what the peer is told, and what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// The A-ASSOCIATE-RJ to answer with.
    pub rejection: AssociateRj,
    /// In `/metrics`.
    pub reason: &'static str,
}

impl Rejected {
    pub(super) const STOPPING: Rejected = Rejected {
        rejection: AssociateRj::CONGESTION,
        reason: "stopping",
    };
    pub(super) const LIMIT: Rejected = Rejected {
        rejection: AssociateRj::LOCAL_LIMIT,
        reason: "limit",
    };
    /// There is no reason for it but "none given" (PS3.8 §9.3.4).
    pub(super) const USER_IDENTITY: Rejected = Rejected {
        rejection: AssociateRj::REFUSED,
        reason: "user_identity",
    };
    pub(super) const PROTOCOL_VERSION: Rejected = Rejected {
        rejection: AssociateRj::PROTOCOL_VERSION,
        reason: "protocol_version",
    };
    const APPLICATION_CONTEXT: Rejected = Rejected {
        rejection: AssociateRj::APPLICATION_CONTEXT,
        reason: "application_context",
    };
    const CALLED_AE_TITLE: Rejected = Rejected {
        rejection: AssociateRj::CALLED_AE_TITLE,
        reason: "called_ae_title",
    };
    const CALLING_AE_TITLE: Rejected = Rejected {
        rejection: AssociateRj::CALLING_AE_TITLE,
        reason: "calling_ae_title",
    };
    const HOST: Rejected = Rejected {
        rejection: AssociateRj::REFUSED,
        reason: "host",
    };
}

/// What an association that is let in may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission<'a> {
    /// Whom it reaches.
    pub entity: &'a Entity,
    /// What the caller may do.
    pub services: ServiceSet,
}

impl Policy {
    /// Whether `request` from `address` is let in; else how it is rejected. `host_names` are those of
    /// [`Policy::host_names`] that mean the address.
    ///
    /// # Errors
    ///
    /// What to reject it with.
    pub fn admit(
        &self,
        request: &AssociateRq,
        address: IpAddr,
        host_names: &[&str],
    ) -> Result<Admission<'_>, Rejected> {
        if request.application_context != DICOM_APPLICATION_CONTEXT {
            return Err(Rejected::APPLICATION_CONTEXT);
        }
        let called = |entity: &&Entity| same(&entity.ae_title, &request.called_ae_title);
        let entity = match self.entities.iter().find(called) {
            Some(entity) => entity,
            None if self.check_called_ae_title => return Err(Rejected::CALLED_AE_TITLE),
            None => self.entities.first().ok_or(Rejected::CALLED_AE_TITLE)?,
        };
        let calling = &request.calling_ae_title;
        let titles = &self.calling_ae_titles;
        if !titles.is_empty() && !titles.iter().any(|title| same(title, calling)) {
            return Err(Rejected::CALLING_AE_TITLE);
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|range| range.contains(address)) {
            return Err(Rejected::HOST);
        }
        let known = self
            .called_so(calling)
            .find(|peer| !self.check_peer_host || peer.calls_from(address, host_names));
        let services = known.map_or(self.unknown_peers, |peer| peer.services);
        if services == ServiceSet::default() {
            return Err(Rejected::CALLING_AE_TITLE);
        }
        Ok(Admission { entity, services })
    }

    /// Names of hosts that must be looked up to know whether a caller is the peer that he says to be.
    #[must_use]
    pub fn host_names(&self, calling_ae_title: &str, address: IpAddr) -> Vec<&str> {
        let peers = || self.called_so(calling_ae_title);
        if !self.check_peer_host || peers().any(|peer| peer.calls_from(address, &[])) {
            return Vec::new();
        }
        peers()
            .flat_map(|peer| peer.host_names.iter().map(String::as_str))
            .collect()
    }

    fn called_so(&self, ae_title: &str) -> impl Iterator<Item = &KnownPeer> {
        self.peers
            .iter()
            .filter(move |peer| same(&peer.ae_title, ae_title))
    }
}

impl KnownPeer {
    fn calls_from(&self, address: IpAddr, host_names: &[&str]) -> bool {
        self.addresses.iter().any(|range| range.contains(address))
            || self
                .host_names
                .iter()
                .any(|name| host_names.contains(&name.as_str()))
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

#[cfg(test)]
mod tests;
