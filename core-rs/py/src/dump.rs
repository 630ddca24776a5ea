//! What `vna dump` shows: all elements of a file, as far as it can be read, and their names.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use vna_dicom::{DicomError, EXPLICIT_VR_LITTLE_ENDIAN, Element, Extent, Scan, Tag};

use crate::dicom::{ROW, push_row};
use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(scan_damaged, m)?)?;
    m.add_function(wrap_pyfunction!(keyword, m)?)?;
    m.add_function(wrap_pyfunction!(tag_for_keyword, m)?)
}

/// The elements before the first fault, those of the File Meta Information apart, and the fault.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn scan_damaged<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
) -> Result<Bound<'py, PyDict>, BoundaryError> {
    let found = py.detach(|| -> Result<_, DicomError> {
        let (scan, error) = vna_dicom::scan_damaged(&data)?;
        let elements = table(&scan.elements);
        Ok((meta_table(&data, &scan), elements, scan, error))
    })?;
    found_dict(py, found).map_err(|error| BoundaryError::Argument(error.to_string()))
}

fn found_dict<'py>(
    py: Python<'py>,
    (meta, elements, scan, error): (Vec<u8>, Vec<u8>, Scan<'_>, Option<DicomError>),
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("meta", PyBytes::new(py, &meta))?;
    dict.set_item("elements", PyBytes::new(py, &elements))?;
    dict.set_item("transfer_syntax_uid", &scan.transfer_syntax_uid)?;
    dict.set_item("data_set_offset", scan.data_set_offset)?;
    // Only what is not in the file is handed over: the inflated bytes of a deflated data set.
    let inflated = match &scan.data {
        std::borrow::Cow::Borrowed(_) => None,
        std::borrow::Cow::Owned(inflated) => Some(PyBytes::new(py, inflated)),
    };
    dict.set_item("inflated", inflated)?;
    let error = error.map(|error| (error.to_string(), error.code(), error.offset()));
    dict.set_item("error", error)?;
    Ok(dict)
}

/// The elements of group 0002. They were read once to find the data set, so they are whole.
fn meta_table(file: &[u8], scan: &Scan<'_>) -> Vec<u8> {
    let Some(meta) = &scan.meta else {
        return Vec::new();
    };
    let end = usize::try_from(meta.data_set_offset).unwrap_or(usize::MAX);
    let bytes = file.get(..end).unwrap_or(file);
    vna_dicom::scan_data_set(
        bytes,
        EXPLICIT_VR_LITTLE_ENDIAN,
        meta.meta_offset,
        Extent::All,
    )
    .map_or_else(|_| Vec::new(), |scan| table(&scan.elements))
}

fn table(elements: &[Element]) -> Vec<u8> {
    let mut table = Vec::with_capacity(elements.len() * ROW);
    for element in elements {
        push_row(&mut table, element);
    }
    table
}

/// The keyword of a standard data element (PS3.6).
#[pyfunction]
#[pyo3(signature = (tag, /))]
fn keyword(tag: u32) -> Option<&'static str> {
    vna_dicom::keyword(Tag::from_u32(tag))
}

/// The tag of a keyword (PS3.6).
#[pyfunction]
#[pyo3(signature = (keyword, /))]
fn tag_for_keyword(keyword: &str) -> Option<u32> {
    vna_dicom::tag_for_keyword(keyword).map(Tag::to_u32)
}
