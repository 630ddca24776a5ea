//! Associations that we request for Python; what comes on them goes to the archive.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::archive::Archive;
use crate::dimse::{Intake, Peer, PeerError, PeerSpec, Server, SpoolPool};
use crate::sink::ArchiveSink;

/// Spool of a peer where no listener has one to share; objects larger than a quarter of it are handed on in parts.
const SPOOL_BYTES: usize = 4 << 20;

/// A peer that can be asked. Instances that it sends wait in the spool of `server`, if there is one.
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
    let (pool, spool_most_bytes) = server.map_or_else(
        || (SpoolPool::new(SPOOL_BYTES), SPOOL_BYTES / 4),
        Server::spool,
    );
    let intake = Intake {
        sink: Arc::new(ArchiveSink::new(Arc::clone(archive))),
        pool,
        spool_most_bytes,
    };
    Ok(Peer::new(handle, spec, intake))
}
