//! Associations that we request for Python; what comes on them goes to the archive.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::archive::Archive;
use crate::dimse::{Intake, Peer, PeerError, PeerSpec, Server};
use crate::sink::ArchiveSink;

/// Where no listener says it, objects larger than that are handed on in parts.
const SPOOL_MOST_BYTES: usize = 1 << 20;

/// A peer that can be asked.
///
/// # Errors
///
/// [`PeerError::Spec`].
pub fn peer(
    handle: &Handle,
    archive: &Arc<Archive>,
    server: Option<&Server>,
    spec_json: &[u8],
) -> Result<Peer, PeerError> {
    let spec = PeerSpec::read(spec_json, &archive.settings().tls)?;
    let intake = Intake {
        sink: Arc::new(ArchiveSink::new(Arc::clone(archive))),
        pool: archive.spools().clone(),
        spool_most_bytes: server.map_or(SPOOL_MOST_BYTES, Server::spool_most_bytes),
    };
    Ok(Peer::new(handle, spec, intake))
}
