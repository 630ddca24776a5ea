//! Files written anew by a recipe.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vna_dicom::edit::{EditError, EditedFile, Recipe, Scope};
use vna_dicom::{Level, ReadAt};
use vna_node::ArchiveError;

use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(rewrite_file, m)?)
}

/// The PS3.10 file that a recipe makes of one.
#[pyfunction]
#[pyo3(signature = (recipe, file, /, *, scope = Vec::new()))]
fn rewrite_file<'py>(
    py: Python<'py>,
    recipe: &str,
    file: PyBackedBytes,
    scope: Vec<(String, String)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let made = py.detach(|| rewritten(recipe, &file, &scope));
    Ok(PyBytes::new(
        py,
        &made.map_err(|error| BoundaryError::from(ArchiveError::from(error)))?,
    ))
}

fn rewritten(recipe: &str, file: &[u8], uids: &[(String, String)]) -> Result<Vec<u8>, EditError> {
    let recipe = Recipe::from_json(recipe.as_bytes())?;
    let mut scope = Scope::new();
    for (level, uid) in uids {
        let known = Level::ALL.into_iter().find(|known| known.as_str() == level);
        let level = known.ok_or_else(|| EditError::Recipe {
            problem: format!("scope: {level:?} is no level; Patient, Study, Series, Instance are"),
        })?;
        scope.add(level, uid)?;
    }
    let mut edited = EditedFile::read(&file)?;
    recipe.apply(&mut edited.data_set, &scope)?;
    let made = edited.into_made(file, !recipe.is_anonymization())?;
    let mut bytes = vec![0; usize::try_from(made.size()).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match made.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
