//! The policy table as the control plane writes it, and the listener that it describes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::runtime::Handle;

use crate::archive::Archive;
use crate::dimse::{
    AddressRange, Entity, KnownPeer, Pattern, Policy, QuerySupport, Server, ServerSettings,
    Service, Services, UserIdentityRule,
};
use crate::error::ArchiveError;
use crate::sink::ArchiveSink;
use crate::tls::{self, ClientCertificates};

/// `vna/dimse/policy.py` writes it.
#[derive(Debug, Deserialize)]
struct PolicyTable {
    host: String,
    port: u16,
    entities: Vec<EntityRow>,
    check_called_ae_title: bool,
    calling_ae_titles: Vec<String>,
    hosts: Vec<String>,
    peers: Vec<PeerRow>,
    check_peer_host: bool,
    unknown_peers: Vec<Service>,
    served: Vec<String>,
    accepted_sop_classes: Vec<String>,
    rejected_sop_classes: Vec<String>,
    accept_unknown_sop_classes: bool,
    accepted_transfer_syntaxes: Vec<String>,
    preferred_transfer_syntaxes: Vec<String>,
    user_identity: UserIdentityRule,
    query: QuerySupport,
    max_pdu_bytes: u32,
    max_associations: usize,
    max_associations_per_peer: usize,
    artim_timeout_s: f64,
    idle_timeout_s: f64,
    message_timeout_s: f64,
    /// Connections begin with TLS.
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    tls_client_certificates: ClientCertificates,
}

#[derive(Debug, Deserialize)]
struct EntityRow {
    ae_title: String,
    tenant: i64,
    label: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PeerRow {
    ae_title: String,
    /// Addresses, networks and names.
    hosts: Vec<String>,
    services: Vec<Service>,
}

/// Reads a policy table.
///
/// # Errors
///
/// [`ArchiveError::Policy`] says what is wrong with it.
pub fn parse_policy(json: &[u8]) -> Result<Policy, ArchiveError> {
    read(json)?.policy()
}

/// Starts the DICOM listener that a policy table describes.
///
/// # Errors
///
/// [`ArchiveError::Policy`]; [`ArchiveError::Io`] if the address cannot be listened on.
pub fn listen(
    handle: &Handle,
    archive: &Arc<Archive>,
    policy_json: &[u8],
    services: Arc<dyn Services>,
) -> Result<Server, ArchiveError> {
    let table = read(policy_json)?;
    let large = archive.settings().storage.large_object_bytes;
    let settings = ServerSettings {
        address: table.address()?,
        pool: archive.spools().clone(),
        stream_from_bytes: usize::try_from(large).unwrap_or(usize::MAX),
        tls: table.tls(archive)?,
    };
    let sink = Arc::new(ArchiveSink::new(Arc::clone(archive)));
    Server::start(handle, &settings, table.policy()?, sink, services).map_err(|source| {
        ArchiveError::Io {
            doing: "listening for DICOM associations",
            source,
        }
    })
}

fn read(json: &[u8]) -> Result<PolicyTable, ArchiveError> {
    serde_json::from_slice(json).map_err(|error| policy_error(error.to_string()))
}

fn policy_error(problem: String) -> ArchiveError {
    ArchiveError::Policy { problem }
}

impl PolicyTable {
    fn tls(&self, archive: &Archive) -> Result<Option<Arc<tls::Server>>, ArchiveError> {
        if !self.tls {
            return Ok(None);
        }
        let server = tls::Server::new(&archive.settings().tls, self.tls_client_certificates)?;
        Ok(Some(Arc::new(server)))
    }

    fn address(&self) -> Result<SocketAddr, ArchiveError> {
        let found = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|source| ArchiveError::Io {
                doing: "looking up dicom.host",
                source,
            })?
            .next();
        found.ok_or_else(|| policy_error(format!("host {:?} has no address", self.host)))
    }

    fn policy(self) -> Result<Policy, ArchiveError> {
        let hosts = self
            .hosts
            .iter()
            .map(|host| {
                host.parse::<AddressRange>()
                    .map_err(|error| policy_error(error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        if self.entities.is_empty() {
            return Err(policy_error("there is no AE title of ours".into()));
        }
        let seconds = |name, value| {
            Duration::try_from_secs_f64(value)
                .map_err(|error| policy_error(format!("{name} is {value}: {error}")))
        };
        Ok(Policy {
            entities: self.entities.into_iter().map(Entity::from).collect(),
            check_called_ae_title: self.check_called_ae_title,
            calling_ae_titles: self.calling_ae_titles,
            hosts,
            peers: self.peers.into_iter().map(KnownPeer::from).collect(),
            check_peer_host: self.check_peer_host,
            unknown_peers: self.unknown_peers.into_iter().collect(),
            served: self.served,
            accepted_sop_classes: patterns(&self.accepted_sop_classes),
            rejected_sop_classes: patterns(&self.rejected_sop_classes),
            accept_unknown_sop_classes: self.accept_unknown_sop_classes,
            accepted_transfer_syntaxes: patterns(&self.accepted_transfer_syntaxes),
            preferred_transfer_syntaxes: patterns(&self.preferred_transfer_syntaxes),
            user_identity: self.user_identity,
            query: self.query,
            max_pdu_bytes: self.max_pdu_bytes,
            max_associations: self.max_associations,
            max_associations_per_peer: self.max_associations_per_peer,
            artim_timeout: seconds("artim_timeout_s", self.artim_timeout_s)?,
            idle_timeout: seconds("idle_timeout_s", self.idle_timeout_s)?,
            message_timeout: seconds("message_timeout_s", self.message_timeout_s)?,
        })
    }
}

fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts
        .iter()
        .map(|text| Pattern::from(text.as_str()))
        .collect()
}

impl From<EntityRow> for Entity {
    fn from(row: EntityRow) -> Entity {
        Entity {
            ae_title: row.ae_title,
            tenant: row.tenant,
            label: row.label,
        }
    }
}

impl From<PeerRow> for KnownPeer {
    fn from(row: PeerRow) -> KnownPeer {
        let (mut addresses, mut host_names) = (Vec::new(), Vec::new());
        for host in row.hosts {
            match host.parse::<AddressRange>() {
                Ok(range) => addresses.push(range),
                Err(_) => host_names.push(host),
            }
        }
        KnownPeer {
            ae_title: row.ae_title,
            addresses,
            host_names,
            services: row.services.into_iter().collect(),
        }
    }
}
