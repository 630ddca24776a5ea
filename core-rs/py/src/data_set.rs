//! Data sets as Python has them: a sequence of `(tag, VR, value)`, where a list holds items and a tuple fragments.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use vna_dicom::{DataElement, DataSet, DicomFile, MAX_DEPTH, Tag, Value, Vr};

use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(write_data_set, m)?)?;
    m.add_function(wrap_pyfunction!(write_file, m)?)?;
    m.add_function(wrap_pyfunction!(read_file, m)?)
}

/// Encodes a data set (PS3.5 §7).
#[pyfunction]
#[pyo3(signature = (elements, /, *, transfer_syntax_uid))]
fn write_data_set<'py>(
    py: Python<'py>,
    elements: &Bound<'py, PyAny>,
    transfer_syntax_uid: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let data_set = data_set_of(elements, 0)?;
    let written = py.detach(|| data_set.write(transfer_syntax_uid));
    Ok(PyBytes::new(py, &written.map_err(BoundaryError::from)?))
}

/// Encodes a PS3.10 file.
#[pyfunction]
#[pyo3(signature = (elements, /, *, transfer_syntax_uid, meta = None))]
fn write_file<'py>(
    py: Python<'py>,
    elements: &Bound<'py, PyAny>,
    transfer_syntax_uid: String,
    meta: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let file = DicomFile {
        transfer_syntax_uid,
        meta: meta.map_or(Ok(DataSet::new()), |meta| data_set_of(meta, 0))?,
        data_set: data_set_of(elements, 0)?,
    };
    let written = py.detach(|| file.write());
    Ok(PyBytes::new(py, &written.map_err(BoundaryError::from)?))
}

/// Transfer syntax, group 0002 and data set of a PS3.10 file.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn read_file<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
) -> PyResult<(String, Bound<'py, PyList>, Bound<'py, PyList>)> {
    let file = py.detach(|| DicomFile::read(&data));
    let file = file.map_err(BoundaryError::from)?;
    let meta = list_of(py, &file.meta)?;
    Ok((file.transfer_syntax_uid, meta, list_of(py, &file.data_set)?))
}

fn data_set_of(elements: &Bound<'_, PyAny>, depth: usize) -> PyResult<DataSet> {
    if depth > MAX_DEPTH {
        return Err(argument(&format!("sequences nested more than {MAX_DEPTH} deep")).into());
    }
    elements
        .try_iter()?
        .map(|element| element_of(&element?, depth))
        .collect()
}

fn element_of(element: &Bound<'_, PyAny>, depth: usize) -> PyResult<DataElement> {
    let (tag, vr, value): (u32, String, Bound<'_, PyAny>) = element.extract()?;
    let tag = Tag::from_u32(tag);
    let vr = match *vr.as_bytes() {
        [first, second] => Vr([first, second]),
        _ => return Err(argument(&format!("{tag} has the VR {vr:?}")).into()),
    };
    let value = if let Ok(items) = value.cast::<PyList>() {
        let items = items.iter().map(|item| data_set_of(&item, depth + 1));
        Value::Items(items.collect::<PyResult<_>>()?)
    } else if let Ok(fragments) = value.cast::<PyTuple>() {
        Value::Fragments(fragments.extract()?)
    } else {
        Value::Bytes(value.extract::<PyBackedBytes>()?.to_vec())
    };
    Ok(DataElement { tag, vr, value })
}

fn list_of<'py>(py: Python<'py>, data_set: &DataSet) -> PyResult<Bound<'py, PyList>> {
    let elements = data_set.elements().iter().map(|element| {
        let value = match &element.value {
            Value::Bytes(value) => PyBytes::new(py, value).into_any(),
            Value::Items(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| list_of(py, item))
                    .collect::<PyResult<_>>()?;
                PyList::new(py, items)?.into_any()
            }
            Value::Fragments(fragments) => {
                PyTuple::new(py, fragments.iter().map(|bytes| PyBytes::new(py, bytes)))?.into_any()
            }
            Value::BulkDataUri(uri) => uri.into_pyobject(py)?.into_any(),
            Value::Stored(_) => PyBytes::new(py, &[]).into_any(), // no whole data set has such ones
        };
        Ok((element.tag.to_u32(), element.vr.to_string(), value))
    });
    PyList::new(py, elements.collect::<PyResult<Vec<_>>>()?)
}

fn argument(found: &str) -> BoundaryError {
    BoundaryError::Argument(format!(
        "{found}; an element is (tag, VR of two letters, value)"
    ))
}
