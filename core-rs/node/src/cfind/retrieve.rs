//! What the identifier of a C-MOVE or C-GET names (PS3.4 §C.4.2.1.4).

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use vna_dicom::Level;
use vna_index::{InstanceUids, Query};

use super::identifier::{Asks, Identifier};
use super::model::{InformationModel, unique_key};
use crate::archive::{Archive, DEFAULT_TENANT};
use crate::error::ArchiveError;
use crate::find::MAX_SEARCH;

/// What is agreed on for a retrieve.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrieveOptions {
    /// Whose archive.
    pub tenant: i64,
    /// Only of studies that have this label.
    pub label: Option<String>,
    /// The information model of the SOP class.
    pub model: InformationModel,
    /// Unique keys of levels above may stand for those of the level (PS3.4 §C.4.2.2.2).
    pub relational: bool,
}

impl Default for RetrieveOptions {
    fn default() -> Self {
        RetrieveOptions {
            tenant: DEFAULT_TENANT,
            label: None,
            model: InformationModel::default(),
            relational: false,
        }
    }
}

/// The instances that an identifier names, in the order of their resources and of arrival.
///
/// Of each level the unique key counts, which may be a list; at study level also Accession Number, as clients expect.
/// Other keys mean nothing in a retrieve.
///
/// # Errors
///
/// [`ArchiveError::Identifier`] if it names nothing, or not as its level has to; else what the index says.
pub fn select_instances(
    archive: &Archive,
    identifier: &[u8],
    transfer_syntax_uid: &str,
    options: &RetrieveOptions,
) -> Result<Vec<InstanceUids>, ArchiveError> {
    let identifier = Identifier::read(identifier, transfer_syntax_uid)?;
    let level = options.model.level(&identifier)?;
    options
        .model
        .check_retrieve(&identifier, level, options.relational)?;
    let mut query = Query::all(options.tenant, level);
    query.until = Some(Instant::now() + MAX_SEARCH);
    query.study_label.clone_from(&options.label);
    let unique = Level::ALL
        .into_iter()
        .filter(|at| *at <= level)
        .map(unique_key);
    let by_order = (level == Level::Study).then_some(vna_dicom::tags::ACCESSION_NUMBER);
    for tag in unique.chain(by_order) {
        if let Some(Asks::Value(value)) = identifier.key(tag).map(|key| &key.asks) {
            query = query.key(tag, value);
        }
    }
    let found = archive.index().find(&query)?;
    let label = options.label.as_deref();
    Ok(archive.index().instances(level, &found.resources, label)?)
}

/// The instances as JSON, for Python.
#[must_use]
pub fn instances_json(instances: &[InstanceUids]) -> Vec<u8> {
    let all = instances.iter().map(|instance| {
        json!({
            "ID": instance.public_id.to_string(),
            "SOPClassUID": instance.sop_class_uid,
            "SOPInstanceUID": instance.sop_instance_uid,
            "TransferSyntaxUID": instance.transfer_syntax_uid,
            "SeriesInstanceUID": instance.series_instance_uid,
            "StudyInstanceUID": instance.study_instance_uid,
        })
    });
    serde_json::Value::from_iter(all).to_string().into_bytes()
}
