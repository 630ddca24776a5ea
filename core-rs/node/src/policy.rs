//! The policy table as the control plane writes it, and the listener that it describes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::runtime::Handle;

use crate::archive::Archive;
use crate::dimse::{AddressRange, Policy, Server, ServerSettings};
use crate::error::ArchiveError;
use crate::sink::ArchiveSink;

/// `vna/dimse/policy.py` writes it.
#[derive(Debug, Deserialize)]
struct PolicyTable {
    host: String,
    port: u16,
    ae_title: String,
    check_called_ae_title: bool,
    calling_ae_titles: Vec<String>,
    hosts: Vec<String>,
    accept_private_sop_classes: bool,
    max_pdu_bytes: u32,
    max_associations: usize,
    max_associations_per_peer: usize,
    artim_timeout_s: f64,
    idle_timeout_s: f64,
    message_timeout_s: f64,
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
) -> Result<Server, ArchiveError> {
    let table = read(policy_json)?;
    let limits = &archive.settings().limits;
    let large = archive.settings().storage.large_object_bytes;
    let settings = ServerSettings {
        address: table.address()?,
        spool_budget_bytes: usize::try_from(limits.spool_bytes).unwrap_or(usize::MAX),
        stream_from_bytes: usize::try_from(large).unwrap_or(usize::MAX),
    };
    let sink = Arc::new(ArchiveSink::new(Arc::clone(archive)));
    Server::start(handle, &settings, table.policy()?, sink).map_err(|source| ArchiveError::Io {
        doing: "listening for DICOM associations",
        source,
    })
}

fn read(json: &[u8]) -> Result<PolicyTable, ArchiveError> {
    serde_json::from_slice(json).map_err(|error| policy_error(error.to_string()))
}

fn policy_error(problem: String) -> ArchiveError {
    ArchiveError::Policy { problem }
}

impl PolicyTable {
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
        let seconds = |name, value| {
            Duration::try_from_secs_f64(value)
                .map_err(|error| policy_error(format!("{name} is {value}: {error}")))
        };
        Ok(Policy {
            ae_title: self.ae_title,
            check_called_ae_title: self.check_called_ae_title,
            calling_ae_titles: self.calling_ae_titles,
            hosts,
            accept_private_sop_classes: self.accept_private_sop_classes,
            max_pdu_bytes: self.max_pdu_bytes,
            max_associations: self.max_associations,
            max_associations_per_peer: self.max_associations_per_peer,
            artim_timeout: seconds("artim_timeout_s", self.artim_timeout_s)?,
            idle_timeout: seconds("idle_timeout_s", self.idle_timeout_s)?,
            message_timeout: seconds("message_timeout_s", self.message_timeout_s)?,
        })
    }
}
