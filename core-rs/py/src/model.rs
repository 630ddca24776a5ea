//! DICOM JSON and XML for Python: PS3.10 files and bare data sets, in and out.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vna_dicom::{
    DataSet, DicomError, DicomFile, EXPLICIT_VR_LITTLE_ENDIAN, Extent, Model, ModelOptions, Value,
};

use crate::errors::BoundaryError;

/// Longest data set, and longest JSON of one, that is turned into the other: what services exchange are identifiers,
/// worklist items and attribute lists, never images.
const MAX_DATA_SET_BYTES: usize = 4 << 20;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(dicom_json, m)?)?;
    m.add_function(wrap_pyfunction!(dicom_xml, m)?)?;
    m.add_function(wrap_pyfunction!(file_from_json, m)?)?;
    m.add_function(wrap_pyfunction!(file_from_xml, m)?)?;
    m.add_function(wrap_pyfunction!(data_set_to_json, m)?)?;
    m.add_function(wrap_pyfunction!(data_set_from_json, m)?)
}

/// The data set of a PS3.10 file in the DICOM JSON Model (PS3.18 Annex F).
#[pyfunction]
#[pyo3(signature = (data, /, *, bulk_threshold = Some(1024), bulk_uri = "", whole = true))]
fn dicom_json<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    bulk_threshold: Option<u64>,
    bulk_uri: &str,
    whole: bool,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    written(py, Model::Json, &data, bulk_threshold, bulk_uri, whole)
}

/// The same in the Native DICOM Model (PS3.19 Annex A.1).
#[pyfunction]
#[pyo3(signature = (data, /, *, bulk_threshold = Some(1024), bulk_uri = "", whole = true))]
fn dicom_xml<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    bulk_threshold: Option<u64>,
    bulk_uri: &str,
    whole: bool,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    written(py, Model::Xml, &data, bulk_threshold, bulk_uri, whole)
}

fn written<'py>(
    py: Python<'py>,
    model: Model,
    data: &[u8],
    bulk_threshold: Option<u64>,
    bulk_uri: &str,
    whole: bool,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let options = ModelOptions {
        bulk_threshold: bulk_threshold.unwrap_or(u64::MAX),
        bulk_uri,
        documents_by_uri: false,
        whole,
    };
    let text = py.detach(|| vna_dicom::write_model(data, model, &options))?;
    Ok(PyBytes::new(py, &text))
}

/// A PS3.10 file in Explicit VR Little Endian from DICOM JSON. `bulk_data` has the values of its URIs.
#[pyfunction]
#[pyo3(signature = (text, /, *, bulk_data = None))]
fn file_from_json<'py>(
    py: Python<'py>,
    text: PyBackedBytes,
    bulk_data: Option<HashMap<String, PyBackedBytes>>,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    read(py, Model::Json, &text, &bulk_data.unwrap_or_default())
}

/// The same from DICOM XML.
#[pyfunction]
#[pyo3(signature = (text, /, *, bulk_data = None))]
fn file_from_xml<'py>(
    py: Python<'py>,
    text: PyBackedBytes,
    bulk_data: Option<HashMap<String, PyBackedBytes>>,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    read(py, Model::Xml, &text, &bulk_data.unwrap_or_default())
}

/// A bare data set, as DIMSE messages have it, in the DICOM JSON Model with all values in place.
#[pyfunction]
#[pyo3(signature = (data, transfer_syntax_uid, /))]
fn data_set_to_json<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    transfer_syntax_uid: &str,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    check_length("data", &data)?;
    let options = ModelOptions {
        bulk_threshold: u64::MAX,
        ..ModelOptions::default()
    };
    let text = py.detach(|| -> Result<_, DicomError> {
        let scan = vna_dicom::scan_data_set(&data, transfer_syntax_uid, 0, Extent::All)?;
        Ok(vna_dicom::write_scan(&scan, Model::Json, &options))
    })?;
    Ok(PyBytes::new(py, &text))
}

/// A bare data set in `transfer_syntax_uid` from DICOM JSON.
#[pyfunction]
#[pyo3(signature = (text, transfer_syntax_uid, /))]
fn data_set_from_json<'py>(
    py: Python<'py>,
    text: PyBackedBytes,
    transfer_syntax_uid: &str,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    check_length("text", &text)?;
    let data = py.detach(|| {
        vna_dicom::read_model(&text, Model::Json)
            .and_then(|data_set| data_set.write(transfer_syntax_uid))
    })?;
    Ok(PyBytes::new(py, &data))
}

fn check_length(name: &str, bytes: &[u8]) -> Result<(), BoundaryError> {
    if bytes.len() <= MAX_DATA_SET_BYTES {
        return Ok(());
    }
    Err(BoundaryError::Argument(format!(
        "{name} has {} bytes; a data set of a message may have {MAX_DATA_SET_BYTES}",
        bytes.len()
    )))
}

fn read<'py>(
    py: Python<'py>,
    model: Model,
    text: &[u8],
    bulk_data: &HashMap<String, PyBackedBytes>,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let file = py.detach(|| -> Result<_, DicomError> {
        let mut data_set = vna_dicom::read_model(text, model)?;
        resolve(&mut data_set, bulk_data);
        let file = DicomFile {
            transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            meta: DataSet::new(),
            data_set,
        };
        file.write()
    })?;
    Ok(PyBytes::new(py, &file))
}

/// Puts bulk data in the place of its URIs; a URI that is not there stays.
fn resolve(data_set: &mut DataSet, bulk_data: &HashMap<String, PyBackedBytes>) {
    for (_, _, value) in data_set.elements_mut() {
        match value {
            Value::BulkDataUri(uri) => {
                if let Some(bytes) = bulk_data.get(uri) {
                    *value = Value::Bytes(bytes.to_vec());
                }
            }
            Value::Items(items) => items.iter_mut().for_each(|item| resolve(item, bulk_data)),
            Value::Bytes(_) | Value::Fragments(_) | Value::Stored(_) => {}
        }
    }
}
