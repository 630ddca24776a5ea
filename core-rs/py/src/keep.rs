//! What keeps an archive in check: events, stability, what recycling spares, how much is logged.

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

    fn set_stable(&self, tenant: i64, level: &str, public_id: &str, stable: bool) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let changed = archive.set_stable(tenant, level, id_of(level, &id)?, stable)?;
            Ok(changed.to_string().into_bytes())
        })?;
        Ok(handle)
    }

    fn spare(&self, instances: Vec<(i64, String, i64)>) -> PyResult<u64> {
        let handle = self.spawn(move |archive| {
            let found = archive.spare(&instances)?;
            Ok(found.to_string().into_bytes())
        })?;
        Ok(handle)
    }

    fn start_recycling(&self) -> PyResult<()> {
        self.archive()?.start_recycling();
        Ok(())
    }

    #[staticmethod]
    fn set_log_level(level: &str) -> PyResult<()> {
        let known = crate::log::set_level(level);
        known.ok_or_else(|| argument("level", level, "info, debug or trace").into())
    }
}
