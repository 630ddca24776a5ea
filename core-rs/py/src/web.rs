//! Searches of DICOMweb.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_node::{ArchiveError, SearchAnswer, SearchOptions, SearchTarget, WebSearch};

use crate::archive::{CoreArchive, level_of, parse};

#[pymethods]
impl CoreArchive {
    #[pyo3(signature = (level, study, series, query, options_json))]
    fn web_search(
        &self,
        level: &str,
        study: Option<String>,
        series: Option<String>,
        query: String,
        options_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let target = SearchTarget {
            level: level_of(level)?,
            study,
            series,
        };
        let options: SearchOptions = parse(&options_json, "options_json")?;
        let handle = self.search(move |archive| {
            let asked = WebSearch::read(target, &query).map_err(ArchiveError::from)?;
            Ok(framed(vna_node::web_search(archive, &asked, &options)?))
        })?;
        Ok(handle)
    }
}

/// The length of what is told of an answer, four bytes, least significant first; that in JSON; the answer.
fn framed(answer: SearchAnswer) -> Vec<u8> {
    let told = serde_json::json!({"results": answer.results, "warnings": answer.warnings});
    let told = told.to_string();
    let length = u32::try_from(told.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(4 + told.len() + answer.body.len());
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(told.as_bytes());
    framed.extend_from_slice(&answer.body);
    framed
}
