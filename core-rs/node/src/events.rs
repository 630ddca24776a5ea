//! Events: what happens to resources after they arrived and is told by the change feed, kept in the log.
//!
//! The record of an event lives as long as its row of the feed, and that as long as the resource. Its number follows
//! from its position in the log, as that of any change (invariant 5).

use std::sync::Arc;

use vna_dicom::{Level, PublicId};
use vna_index::{ChangeType, Outcome};

use crate::archive::Archive;
use crate::arrival::EventHeader;
use crate::committer::{Deed, File};
use crate::error::ArchiveError;

impl Archive {
    /// Lets the change feed tell that something happened to a resource; when this returns it is durable.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if the resource is not there; what log and index say.
    pub fn tell(
        &self,
        tenant: i64,
        change: ChangeType,
        level: Level,
        public_id: PublicId,
    ) -> Result<(), Arc<ArchiveError>> {
        match self.record(Deed::Event {
            header: EventHeader::new(tenant, change, level, &public_id),
            change,
            level,
            public_id,
            file: File::in_memory(change.as_str()),
        })? {
            Outcome::Recorded => Ok(()),
            _ => Err(Arc::new(ArchiveError::NotFound { level, public_id })),
        }
    }
}
