//! The metadata of one resource.

use vna_dicom::{Level, PublicId};
use vna_index::{NoteContent, NoteId, RecordedNote, Subject, metadata_name, metadata_number};

use super::problem::{FindProblem, Wrong, shown};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::note_header::hex;
use crate::notes::{Revision, md5_of, not_there, revision_of};

/// What is told of metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MetadataForm {
    /// Values too, rather than a list of what there is.
    pub expand: bool,
    /// Numbers rather than names.
    pub numeric: bool,
}

fn all(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Vec<(i64, String)>, ArchiveError> {
    let found = archive.index().metadata(tenant, level, id)?;
    found.ok_or(ArchiveError::NotFound {
        level,
        public_id: *id,
    })
}

/// The metadata of a resource in JSON.
///
/// # Errors
///
/// [`ArchiveError::NotFound`] if there is no such resource.
pub fn metadata_json(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    form: MetadataForm,
) -> Result<Vec<u8>, ArchiveError> {
    let all = all(archive, tenant, level, id)?;
    let name = |number: i64| match form.numeric {
        true => number.to_string(),
        false => metadata_name(number).into_owned(),
    };
    let json = if form.expand {
        let pairs = all
            .into_iter()
            .map(|(number, value)| (name(number), value.into()));
        serde_json::Value::Object(pairs.collect())
    } else if form.numeric {
        all.into_iter().map(|(number, _)| number).collect()
    } else {
        all.into_iter().map(|(number, _)| name(number)).collect()
    };
    Ok(json.to_string().into_bytes())
}

/// One value of the metadata of a resource.
///
/// # Errors
///
/// Those of [`metadata_entry`].
pub fn metadata_value(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    name: &str,
) -> Result<Vec<u8>, ArchiveError> {
    metadata_entry(archive, tenant, level, id, name).map(|(_, value)| value)
}

/// One value of the metadata of a resource, and its revision. What the archive itself notes has none but the first.
///
/// # Errors
///
/// [`ArchiveError::NotFound`] if there is no such resource, [`ArchiveError::Find`] if no metadata has this name,
/// [`ArchiveError::NoNote`] if the resource has none of that type.
pub fn metadata_entry(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    name: &str,
) -> Result<(Revision, Vec<u8>), ArchiveError> {
    let number = metadata_number(name).ok_or_else(|| {
        let text = format!("{} is no type of metadata", shown(name));
        FindProblem::new(Wrong::Metadata, text)
    })?;
    let id = NoteId {
        tenant,
        level,
        public_id: *id,
        subject: Subject::Metadata(number),
    };
    if let Some(RecordedNote { note, .. }) = archive.note(&id)? {
        let revision = revision_of(&note);
        if let NoteContent::Value(value) = note.content {
            return Ok((revision, value));
        }
    }
    let all = all(archive, tenant, level, &id.public_id)?;
    let value = all.into_iter().find(|(known, _)| *known == number);
    let (_, value) = value.ok_or_else(|| not_there(&id))?;
    let revision = Revision {
        number: 0,
        md5: hex(&md5_of(value.as_bytes())),
    };
    Ok((revision, value.into_bytes()))
}
