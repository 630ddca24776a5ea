//! Tags that are indexed beside the usual ones, and rows that are written anew.

use pyo3::prelude::*;
use vna_dicom::{Level, Tag, extra_tags, main_tags};

use crate::archive::{CoreArchive, id_of, level_of};
use crate::upkeep::json;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(main_dicom_tags, m)?)
}

/// The tags that the index keeps of each level: its name, then its tags as text.
#[pyfunction]
fn main_dicom_tags() -> Vec<(&'static str, Vec<String>)> {
    let tags = |level| {
        let mut all: Vec<Tag> = main_tags(level).to_vec();
        all.extend(extra_tags(level));
        all.sort_unstable();
        all.into_iter()
            .map(|tag| format!("{:04x},{:04x}", tag.0, tag.1))
            .collect()
    };
    Level::ALL.map(|level| (level.as_str(), tags(level))).into()
}

#[pymethods]
impl CoreArchive {
    fn index_tags(&self) -> PyResult<u64> {
        Ok(self.spawn(|archive| json(&archive.index_tags()?))?)
    }

    #[pyo3(signature = (tag, level))]
    fn add_index_tag(&self, tag: String, level: Option<String>) -> PyResult<u64> {
        Ok(self.spawn(move |archive| {
            archive.add_index_tag(&tag, level.as_deref())?;
            Ok(Vec::new())
        })?)
    }

    #[pyo3(signature = (tag, level))]
    fn remove_index_tag(&self, tag: String, level: Option<String>) -> PyResult<u64> {
        Ok(self.spawn(move |archive| {
            archive.remove_index_tag(&tag, level.as_deref())?;
            Ok(Vec::new())
        })?)
    }

    fn fill_index_tags(&self, count: usize) -> PyResult<u64> {
        Ok(self.spawn(move |archive| json(&archive.fill_index_tags(count)?))?)
    }

    fn reconstruct(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        after: u64,
        only_this: bool,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        Ok(self.spawn(move |archive| {
            json(&archive.reconstruct(tenant, level, &id_of(level, &id)?, after, only_this)?)
        })?)
    }
}
