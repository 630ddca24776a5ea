//! Reading stored instances again, for storage commitment.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_node::{Reference, verify_instance};

use crate::archive::{CoreArchive, parse};

#[pymethods]
impl CoreArchive {
    /// Compares stored instances with their digests: gives a list of verdicts in the order of the references.
    fn verify_instances(&self, tenant: i64, references_json: PyBackedBytes) -> PyResult<u64> {
        let references: Vec<Reference> = parse(&references_json, "references_json")?;
        let handle = self.spawn(move |archive| {
            let mut verdicts = Vec::with_capacity(references.len());
            for reference in &references {
                verdicts.push(verify_instance(archive, tenant, reference)?);
            }
            Ok(serde_json::to_vec(&verdicts).unwrap_or_default())
        })?;
        Ok(handle)
    }
}
