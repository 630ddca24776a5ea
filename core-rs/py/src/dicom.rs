//! Functions of `vna-dicom` for Python: bytes in, positions and texts out. None keeps state.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList};
use vna_dicom::{
    CharacterSet, DicomError, Element, Encoding, Extent, HeaderReader, Instance, Progress, Tag,
    TagsForm, TagsOptions, Vr,
};

use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(scan, m)?)?;
    m.add_function(wrap_pyfunction!(scan_file, m)?)?;
    m.add_function(wrap_pyfunction!(scan_headers, m)?)?;
    m.add_function(wrap_pyfunction!(data_set, m)?)?;
    m.add_function(wrap_pyfunction!(read_instance, m)?)?;
    m.add_function(wrap_pyfunction!(frame_ranges, m)?)?;
    m.add_function(wrap_pyfunction!(decode_text, m)?)?;
    m.add_function(wrap_pyfunction!(tags_json, m)?)
}

/// Bytes of a row of [`scan`].
pub(crate) const ROW: usize = 24;

/// The elements of a Part 10 file as a packed table, `struct` format `<I2sHQIBBxx`: tag, VR (items have two NULs),
/// depth, value offset, length field (2**32 - 1: undefined), header length, encoding (0 implicit little endian, 1
/// explicit little endian, 2 explicit big endian). Offsets count in what `data_set` returns.
#[pyfunction]
#[pyo3(signature = (data, /, *, extent = "all"))]
fn scan<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    extent: &str,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let extent = parse_extent(extent)?;
    let table = py.detach(|| -> Result<_, DicomError> {
        Ok(table(&vna_dicom::scan(&data, extent)?.elements))
    })?;
    Ok(PyBytes::new(py, &table))
}

/// What a data set is made of in one call: the table of group 0002, that of the data set, and the inflated bytes that
/// its offsets count in if the data set is deflated.
#[pyfunction]
#[pyo3(signature = (data, /, *, extent = "all"))]
fn scan_file<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    extent: &str,
) -> Result<FileTables<'py>, BoundaryError> {
    let extent = parse_extent(extent)?;
    let (meta, elements, inflated) = py.detach(|| -> Result<_, DicomError> {
        let scan = vna_dicom::scan(&data, extent)?;
        let meta = match &scan.meta {
            Some(_) => table(&vna_dicom::meta_elements(&data)),
            None => Vec::new(),
        };
        let elements = table(&scan.elements);
        let inflated = match scan.data {
            Cow::Borrowed(_) => None,
            Cow::Owned(inflated) => Some(inflated),
        };
        Ok((meta, elements, inflated))
    })?;
    Ok((
        PyBytes::new(py, &meta),
        PyBytes::new(py, &elements),
        inflated.map(|bytes| PyBytes::new(py, &bytes)),
    ))
}

type FileTables<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
);

fn table(elements: &[Element]) -> Vec<u8> {
    let mut table = Vec::with_capacity(elements.len() * ROW);
    for element in elements {
        push_row(&mut table, element);
    }
    table
}

fn parse_extent(extent: &str) -> Result<Extent, BoundaryError> {
    match extent {
        "all" => Ok(Extent::All),
        "top_level" => Ok(Extent::TopLevel),
        "to_pixel_data" => Ok(Extent::ToPixelData),
        other => Err(BoundaryError::Argument(format!(
            "extent is {other:?}; 'all', 'top_level' and 'to_pixel_data' are known"
        ))),
    }
}

pub(crate) fn push_row(table: &mut Vec<u8>, element: &Element) {
    let encoding = match element.encoding {
        Encoding::ImplicitLittle => 0,
        Encoding::ExplicitLittle => 1,
        Encoding::ExplicitBig => 2,
    };
    table.extend_from_slice(&element.tag.to_u32().to_le_bytes());
    table.extend_from_slice(&element.vr.0);
    table.extend_from_slice(&element.depth.to_le_bytes());
    table.extend_from_slice(&element.value_offset.to_le_bytes());
    table.extend_from_slice(&element.raw_length.to_le_bytes());
    table.extend_from_slice(&[element.header_length, encoding, 0, 0]);
}

/// Reads the heads of many files on one thread: for each the number of top-level elements up to the pixel data and
/// the number of indexed tags. For the benchmark, which wants the work without building Python objects.
#[pyfunction]
fn scan_headers(
    py: Python<'_>,
    files: Vec<PyBackedBytes>,
) -> Result<Vec<(usize, usize)>, BoundaryError> {
    let counts = py.detach(|| {
        let mut elements: Vec<Element> = Vec::new();
        let mut one = |file: &PyBackedBytes| -> Result<_, DicomError> {
            elements.clear();
            let instance =
                vna_dicom::read_instance_with(file, &mut |element| elements.push(*element))?;
            Ok((elements.len(), instance.tags.len()))
        };
        files.iter().map(&mut one).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(counts)
}

/// The bytes that the offsets of `scan` count in: the file itself, or the inflated data set of a deflated one.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn data_set<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let scan = py.detach(|| vna_dicom::scan(&data, Extent::TopLevel))?;
    Ok(PyBytes::new(py, &scan.data))
}

/// Identity, indexed tags and the place of the pixel data. With `piece`, the file arrives in pieces of so many bytes.
#[pyfunction]
#[pyo3(signature = (data, /, *, piece = None))]
fn read_instance<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    piece: Option<usize>,
) -> Result<Bound<'py, PyDict>, BoundaryError> {
    let instance = py.detach(|| match piece {
        None => vna_dicom::read_instance(&data),
        Some(piece) => in_pieces(&data, piece.max(1)),
    })?;
    instance_dict(py, &instance).map_err(|error| BoundaryError::Argument(error.to_string()))
}

fn in_pieces(data: &[u8], piece: usize) -> Result<Instance, DicomError> {
    let mut reader = HeaderReader::for_file();
    let mut arrived = 0;
    loop {
        arrived = (arrived + piece).min(data.len());
        match reader.advance(&data[..arrived], arrived == data.len())? {
            Progress::Done(instance) => return Ok(instance),
            Progress::NeedMore { .. } => {}
        }
    }
}

fn instance_dict<'py>(py: Python<'py>, instance: &Instance) -> PyResult<Bound<'py, PyDict>> {
    let identity = &instance.identity;
    let dict = PyDict::new(py);
    dict.set_item("patient_id", &identity.patient_id)?;
    dict.set_item("study_instance_uid", &identity.study_instance_uid)?;
    dict.set_item("series_instance_uid", &identity.series_instance_uid)?;
    dict.set_item("sop_instance_uid", &identity.sop_instance_uid)?;
    dict.set_item("sop_class_uid", &identity.sop_class_uid)?;
    dict.set_item("issuer_of_patient_id", &identity.issuer_of_patient_id)?;
    dict.set_item("accession_number", &identity.accession_number)?;
    dict.set_item(
        "issuer_of_accession_number",
        &identity.issuer_of_accession_number,
    )?;
    dict.set_item("transfer_syntax_uid", &instance.transfer_syntax_uid)?;
    dict.set_item("data_set_offset", instance.data_set_offset)?;
    dict.set_item("number_of_frames", instance.number_of_frames)?;
    let tags = PyDict::new(py);
    for (tag, value) in &instance.tags {
        tags.set_item(tag.to_u32(), value)?;
    }
    dict.set_item("tags", tags)?;
    let public_ids = identity.public_ids().map(|id| id.to_string());
    dict.set_item("public_ids", PyList::new(py, public_ids)?)?;
    let pixel_data = instance.pixel_data.map(|found| {
        (
            found.tag.to_u32(),
            found.vr.to_string(),
            found.element_offset,
            found.value_offset,
            found.length,
        )
    });
    dict.set_item("pixel_data", pixel_data)?;
    Ok(dict)
}

/// The byte ranges of each frame in a Part 10 file: one for native pixel data, one a fragment for encapsulated.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn frame_ranges(
    py: Python<'_>,
    data: PyBackedBytes,
) -> Result<Vec<Vec<(u64, u64)>>, BoundaryError> {
    let frames = py.detach(|| -> Result<_, DicomError> {
        let table = vna_dicom::frame_table(&data)?;
        let ranges = |frame| {
            table
                .ranges(frame)
                .into_iter()
                .map(|range| (range.start, range.end))
                .collect()
        };
        Ok((0..table.len()).map(ranges).collect())
    })?;
    Ok(frames)
}

/// The text of a value of VR `vr`, written in the character sets of Specific Character Set `terms`.
#[pyfunction]
#[pyo3(signature = (value, /, *, terms, vr))]
fn decode_text(value: PyBackedBytes, terms: &str, vr: &str) -> Result<String, BoundaryError> {
    let vr = match *vr.as_bytes() {
        [first, second] => Vr([first, second]),
        _ => {
            return Err(BoundaryError::Argument(format!(
                "vr is {vr:?}; it takes two letters, such as 'PN'"
            )));
        }
    };
    Ok(CharacterSet::from_terms(terms)
        .decode(&value, vr)
        .into_owned())
}

/// The tags of a Part 10 file as JSON, in the form `full`, `short` or `simplify` of the REST interface.
#[pyfunction]
#[pyo3(signature = (data, form, /, *, ignore_length = vec![], whole = false))]
fn tags_json<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    form: &str,
    ignore_length: Vec<u32>,
    whole: bool,
) -> Result<Bound<'py, PyBytes>, BoundaryError> {
    let form = match form {
        "full" => TagsForm::Full,
        "short" => TagsForm::Short,
        "simplify" => TagsForm::Simplified,
        other => {
            return Err(BoundaryError::Argument(format!(
                "form is {other:?}; 'full', 'short' and 'simplify' are known"
            )));
        }
    };
    let ignore_length: Vec<Tag> = ignore_length.into_iter().map(Tag::from_u32).collect();
    let options = TagsOptions {
        form,
        ignore_length: &ignore_length,
        whole,
        ..TagsOptions::default()
    };
    let json = py.detach(|| vna_dicom::tags_json(&data, &options))?;
    Ok(PyBytes::new(py, &json))
}
