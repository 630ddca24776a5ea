//! Labels of resources.

use pyo3::prelude::*;
use vna_index::NoteId;
use vna_node::ArchiveError;

use crate::archive::{CoreArchive, id_of, level_of};
use crate::completions::Outcome;
use crate::errors::BoundaryError;

#[pymethods]
impl CoreArchive {
    fn labels(&self, tenant: i64, level: &str, public_id: &str) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            list(&archive.labels(tenant, level, &id)?)
        })?;
        Ok(handle)
    }

    fn all_labels(&self, tenant: i64) -> PyResult<u64> {
        let handle = self.spawn(move |archive| {
            let labels = archive.index().all_labels(tenant);
            list(&labels.map_err(ArchiveError::from)?)
        })?;
        Ok(handle)
    }

    fn put_label(&self, tenant: i64, level: &str, public_id: &str, label: String) -> PyResult<u64> {
        let named = named(tenant, level, public_id, label)?;
        let handle = self.spawn(move |archive| {
            archive.put_label(&named()?)?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }

    fn take_label(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        label: String,
    ) -> PyResult<u64> {
        let named = named(tenant, level, public_id, label)?;
        let handle = self.spawn(move |archive| {
            archive.take_label(&named()?)?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }
}

/// The label that a request names; that there is no such resource is told later, like all that is wrong with it.
fn named(
    tenant: i64,
    level: &str,
    public_id: &str,
    label: String,
) -> Result<impl FnOnce() -> Result<NoteId, BoundaryError> + Send + 'static, BoundaryError> {
    let level = level_of(level)?;
    let id = public_id.to_owned();
    Ok(move || Ok(NoteId::label(tenant, level, id_of(level, &id)?, label)))
}

fn list(labels: &[String]) -> Outcome {
    serde_json::to_vec(labels)
        .map_err(|error| BoundaryError::Argument(format!("labels without JSON form: {error}")))
}
