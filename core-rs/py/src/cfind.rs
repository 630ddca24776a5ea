//! Identifiers of C-FIND, C-MOVE and C-GET, and worklists.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_node::{CFind, CFindOptions, RetrieveOptions, instances_json};

use crate::archive::{CoreArchive, parse};

#[pymethods]
impl CoreArchive {
    fn c_find(
        &self,
        identifier: PyBackedBytes,
        transfer_syntax_uid: String,
        options_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let options: CFindOptions = parse(&options_json, "options_json")?;
        let handle = self.search(move |archive| {
            let mut find = CFind::open(archive, &identifier, &transfer_syntax_uid, &options)?;
            let mut out = Vec::new();
            while let Some(page) = find.next_page(archive)? {
                for answer in page.answers() {
                    let length = u32::try_from(answer.len()).unwrap_or(u32::MAX);
                    out.extend_from_slice(&length.to_le_bytes());
                    out.extend_from_slice(answer);
                }
            }
            Ok(out)
        })?;
        Ok(handle)
    }

    fn select_instances(
        &self,
        identifier: PyBackedBytes,
        transfer_syntax_uid: String,
        options_json: PyBackedBytes,
    ) -> PyResult<u64> {
        let options: RetrieveOptions = parse(&options_json, "options_json")?;
        let handle = self.search(move |archive| {
            let selected =
                vna_node::select_instances(archive, &identifier, &transfer_syntax_uid, &options)?;
            Ok(instances_json(&selected))
        })?;
        Ok(handle)
    }

    fn match_data_sets(
        &self,
        identifier: PyBackedBytes,
        transfer_syntax_uid: String,
        items: Vec<PyBackedBytes>,
        answer_transfer_syntax_uid: String,
    ) -> PyResult<u64> {
        let handle = self.search(move |_| {
            let answers = vna_node::match_data_sets(
                &identifier,
                &transfer_syntax_uid,
                &items,
                &answer_transfer_syntax_uid,
            );
            Ok(answers?)
        })?;
        Ok(handle)
    }
}
