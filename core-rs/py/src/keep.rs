//! What keeps an archive in check: events.

use pyo3::prelude::*;
use vna_index::ChangeType;

use crate::archive::{CoreArchive, argument, id_of, level_of};

#[pymethods]
impl CoreArchive {
    fn tell(&self, tenant: i64, change: &str, level: &str, public_id: &str) -> PyResult<u64> {
        let level = level_of(level)?;
        let change = ChangeType::from_name(change)
            .ok_or_else(|| argument("change", change, "a change type, such as ModifiedStudy"))?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            archive.tell(tenant, change, level, id_of(level, &id)?)?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }
}
