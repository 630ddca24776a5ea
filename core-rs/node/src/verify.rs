//! Stored instances read again and compared with their digests: what storage commitment answers for.

use serde::{Deserialize, Serialize};
use vna_dicom::PublicId;

use crate::archive::Archive;
use crate::error::ArchiveError;

/// An instance as a peer names it: an item of Referenced SOP Sequence (0008,1199).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reference {
    /// (0008,1150).
    #[serde(rename = "SOPClassUID")]
    pub sop_class_uid: String,
    /// (0008,1155).
    #[serde(rename = "SOPInstanceUID")]
    pub sop_instance_uid: String,
}

/// What reading it again showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is stored, and its bytes are those that were received.
    Intact,
    /// There is no such instance.
    Missing,
    /// It is stored with another SOP class.
    OtherClass,
    /// Its bytes cannot be read, or are not those that were received.
    Damaged,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Type")]
    level: String,
}

/// Reads an instance of `tenant` from its first byte to its last.
///
/// Where a SOP Instance UID is stored under two parents, all that have it must be intact.
///
/// # Errors
///
/// The index cannot be read. What is wrong with the bytes is a [`Verdict`], and goes to the log.
pub fn verify_instance(
    archive: &Archive,
    tenant: i64,
    reference: &Reference,
) -> Result<Verdict, ArchiveError> {
    let found = archive
        .index()
        .lookup_json(tenant, &reference.sop_instance_uid)?;
    let found: Vec<Named> = serde_json::from_slice(&found).unwrap_or_default();
    let instances = found.iter().filter(|each| each.level == "Instance");
    let mut verdict = Verdict::Missing;
    for id in instances.filter_map(|each| each.id.parse::<PublicId>().ok()) {
        let (located, reader) = match archive.open_file(tenant, &id) {
            Ok(Some(opened)) => opened,
            Ok(None) => continue, // deleted meanwhile
            Err(error) => return damaged(&reference.sop_instance_uid, error),
        };
        if located.sop_class_uid != reference.sop_class_uid {
            return Ok(Verdict::OtherClass);
        }
        if let Err(error) = reader.verify() {
            return damaged(&reference.sop_instance_uid, error);
        }
        verdict = Verdict::Intact;
    }
    Ok(verdict)
}

/// What keeps the bytes from being read is a verdict; anything else is an error.
fn damaged(sop_instance_uid: &str, error: ArchiveError) -> Result<Verdict, ArchiveError> {
    let ArchiveError::Store(error) = error else {
        return Err(error);
    };
    tracing::error!(sop_instance_uid, %error, "a stored instance cannot be vouched for");
    Ok(Verdict::Damaged)
}
