//! The metadata of one resource.

use vna_dicom::{Level, PublicId};
use vna_index::{metadata_name, metadata_number};

use super::problem::{FindProblem, Wrong, shown};
use crate::archive::Archive;
use crate::error::ArchiveError;

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
/// [`ArchiveError::NotFound`] if there is no such resource, [`ArchiveError::Find`] if it has no such metadata.
pub fn metadata_value(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    name: &str,
) -> Result<Vec<u8>, ArchiveError> {
    let all = all(archive, tenant, level, id)?;
    let number = metadata_number(name);
    let value = all
        .into_iter()
        .find(|(known, _)| Some(*known) == number)
        .map(|(_, value)| value.into_bytes());
    value.ok_or_else(|| {
        let text = format!("the {} has no metadata {}", level.as_str(), shown(name));
        FindProblem::new(Wrong::Metadata, text).into()
    })
}
