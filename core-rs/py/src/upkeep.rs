//! What keeps an archive in order: what was deleted is brought back or erased, packs are rewritten. On an open archive
//! as methods, on one that no server has open as functions.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vna_dicom::PublicId;
use vna_index::Page;
use vna_io::{Disk, RealDisk};
use vna_node::{ArchiveError, Erased, ToRecompress, now_us};

use crate::archive::{CoreArchive, answer, parse_settings};
use crate::completions::Outcome;
use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(compact, m)?)?;
    m.add_function(wrap_pyfunction!(deleted, m)?)?;
    m.add_function(wrap_pyfunction!(erase, m)?)?;
    m.add_function(wrap_pyfunction!(given_up, m)?)?;
    m.add_function(wrap_pyfunction!(recompress, m)?)?;
    m.add_function(wrap_pyfunction!(undelete, m)?)
}

#[pymethods]
impl CoreArchive {
    fn deleted(&self, tenant: i64, since: u64, limit: u64) -> PyResult<u64> {
        let page = Page { since, limit };
        let handle =
            self.spawn(move |archive| json(&archive.deleted(tenant, now_us(), page)?))?;
        Ok(handle)
    }

    fn undelete(&self, tenant: i64, ids: Vec<String>) -> PyResult<u64> {
        let handle = self.spawn(move |archive| {
            let (ids, unknown) = public_ids(ids);
            let mut report = archive.undelete(tenant, &ids, now_us())?;
            report.unknown.extend(unknown);
            json(&report)
        })?;
        Ok(handle)
    }

    #[pyo3(signature = (tenant, ids))]
    fn erase(&self, tenant: i64, ids: Option<Vec<String>>) -> PyResult<u64> {
        let handle = self.spawn(move |archive| {
            let (what, unknown) = erased(ids);
            let mut report = archive.erase(tenant, &what, now_us())?;
            report.unknown.extend(unknown);
            json(&report)
        })?;
        Ok(handle)
    }

    fn compact(&self, below_percent: u64) -> PyResult<u64> {
        let handle = self.spawn(move |archive| json(&archive.compact(below_percent, now_us())?))?;
        Ok(handle)
    }

    fn given_up(&self) -> PyResult<u64> {
        let handle = self.spawn(move |archive| json(&archive.given_up()?))?;
        Ok(handle)
    }

    fn recompress(&self, wanted_json: &[u8]) -> PyResult<u64> {
        let wanted = to_recompress(wanted_json)?;
        let handle = self.spawn(move |archive| json(&archive.recompress(&wanted, now_us())?))?;
        Ok(handle)
    }
}

/// What was deleted and can be brought back.
#[pyfunction]
fn deleted<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    tenant: i64,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let found = py.detach(|| vna_node::deleted(&disk(), &settings, tenant, now_us()));
    answer(py, found, None)
}

/// Brings back what was deleted.
#[pyfunction]
fn undelete<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    tenant: i64,
    ids: Vec<String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let (ids, unknown) = public_ids(ids);
    let report = py.detach(|| vna_node::undelete(&disk(), &settings, tenant, &ids, now_us()));
    let mut report = report.map_err(BoundaryError::from)?;
    report.unknown.extend(unknown);
    answer(py, Ok(report), None)
}

/// Erases what deletions keep.
#[pyfunction]
#[pyo3(signature = (settings_json, tenant, ids))]
fn erase<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    tenant: i64,
    ids: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let (what, unknown) = erased(ids);
    let report = py.detach(|| vna_node::erase(&disk(), &settings, tenant, &what, now_us()));
    let mut report = report.map_err(BoundaryError::from)?;
    report.unknown.extend(unknown);
    answer(py, Ok(report), None)
}

/// Rewrites packs without what is dead.
#[pyfunction]
fn compact<'py>(
    py: Python<'py>,
    settings_json: PyBackedBytes,
    below_percent: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let done = py.detach(|| vna_node::compact(&disk(), &settings, below_percent, now_us()));
    answer(py, done, None)
}

/// What took the place of originals that were given up.
#[pyfunction]
fn given_up<'py>(py: Python<'py>, settings_json: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
    let settings = parse_settings(&settings_json)?;
    let found = py.detach(|| vna_node::given_up(&disk(), &settings));
    answer(py, found, None)
}

/// Recompresses stored files; `each` gets every step, and ends it with an exception.
#[pyfunction]
fn recompress(
    py: Python<'_>,
    settings_json: PyBackedBytes,
    wanted_json: PyBackedBytes,
    each: Py<PyAny>,
) -> PyResult<()> {
    let settings = parse_settings(&settings_json)?;
    let wanted = to_recompress(&wanted_json)?;
    let mut failed = None;
    let done = py.detach(|| {
        vna_node::recompress(&disk(), &settings, &wanted, now_us(), &mut |step| {
            let told = json(step).map_err(|_| ArchiveError::Stopped)?;
            let told = Python::attach(|py| each.call1(py, (PyBytes::new(py, &told),)).map(drop));
            told.map_err(|error| {
                failed = Some(error);
                ArchiveError::Stopped
            })
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(done.map_err(BoundaryError::from)?),
    }
}

fn to_recompress(json: &[u8]) -> Result<ToRecompress, BoundaryError> {
    let wanted: ToRecompress =
        serde_json::from_slice(json).map_err(|error| BoundaryError::Argument(error.to_string()))?;
    let checked = wanted.check();
    checked.map_err(|problem| BoundaryError::Argument(problem.to_owned()))?;
    Ok(wanted)
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// The public ids, and the texts that are none: those name nothing.
fn public_ids(texts: Vec<String>) -> (Vec<PublicId>, Vec<String>) {
    let (mut ids, mut unknown) = (Vec::new(), Vec::new());
    for text in texts {
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(_) => unknown.push(text.chars().take(64).collect()),
        }
    }
    (ids, unknown)
}

fn erased(ids: Option<Vec<String>>) -> (Erased, Vec<String>) {
    match ids.map(public_ids) {
        None => (Erased::All, Vec::new()),
        Some((ids, unknown)) => (Erased::Of(ids), unknown),
    }
}

pub(crate) fn json(report: &impl serde::Serialize) -> Outcome {
    serde_json::to_vec(report)
        .map_err(|error| BoundaryError::Argument(format!("a report without JSON form: {error}")))
}
