//! Pictures and values that requests bring along, for data sets that are made of them.

use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use vna_codec::{CodecError, Codecs, Colour, FrameFormat, jpeg_file};
use vna_image::{SourceImage, read_png};
use vna_node::ArchiveError;

use crate::archive::CoreArchive;
use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(decode_base64, m)?)
}

/// The bytes of a text in Base64; `None` if it is none.
#[pyfunction]
#[pyo3(signature = (text, /))]
fn decode_base64<'py>(py: Python<'py>, text: PyBackedStr) -> Option<Bound<'py, PyBytes>> {
    let bytes = py.detach(|| vna_dicom::decode_base64(text.as_bytes()))?;
    Some(PyBytes::new(py, &bytes))
}

#[pymethods]
impl CoreArchive {
    /// What a PNG or JPEG file is, as JSON in a line; behind it its samples, or with `encapsulated` nothing.
    #[pyo3(signature = (file, /, *, encapsulated = false))]
    fn read_image(
        &self,
        py: Python<'_>,
        file: PyBackedBytes,
        encapsulated: bool,
    ) -> Result<u64, BoundaryError> {
        let file = py.detach(|| file.to_vec());
        self.spawn(move |archive| {
            Ok(if encapsulated {
                let jpeg = jpeg_file(&file).map_err(ArchiveError::from)?;
                described(&jpeg.format, jpeg.transfer_syntax_uid, &[])
            } else {
                let image = read_image(&file, archive.codecs()).map_err(ArchiveError::from)?;
                described(&image.format, None, &image.samples)
            })
        })
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";

fn read_image(file: &[u8], codecs: &Codecs) -> Result<SourceImage, CodecError> {
    let limit = codecs.settings().max_frame_bytes;
    if file.starts_with(PNG) {
        return read_png(file, limit);
    }
    let jpeg = jpeg_file(file)?;
    let mut lease = codecs.lease()?;
    lease.input(file.len() as u64)?.copy_from_slice(file);
    // Any JPEG codec reads every process.
    let uid = jpeg.transfer_syntax_uid.unwrap_or("1.2.840.10008.1.2.4.50");
    let decoded = lease.decode(uid, &jpeg.format, Colour::Rgb)?;
    Ok(SourceImage {
        format: decoded.format,
        samples: decoded.samples.to_vec(),
        pictures: 1,
    })
}

fn described(format: &FrameFormat, transfer_syntax_uid: Option<&str>, samples: &[u8]) -> Vec<u8> {
    let json = serde_json::json!({
        "Rows": format.rows,
        "Columns": format.columns,
        "SamplesPerPixel": format.samples_per_pixel,
        "BitsAllocated": format.bits_allocated,
        "BitsStored": format.bits_stored,
        "PhotometricInterpretation": format.photometric.name(),
        "TransferSyntaxUID": transfer_syntax_uid,
    });
    let mut out = json.to_string().into_bytes();
    out.push(b'\n');
    out.extend_from_slice(samples);
    out
}
