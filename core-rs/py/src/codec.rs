//! Frames decoded and encoded for scripts and tests; the archive's own pictures and transcoding never come this way.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::{Deserialize, Serialize};
use vna_codec::{
    CodecError, CodecSettings, Codecs, Colour, Compression, EncodeOptions, FrameFormat,
    PIXEL_SYNTAXES, Photometric, Sample, codec,
};
use vna_dicom::ReadAt;
use vna_node::{ArchiveError, StoredImage};

use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(decode_frames, m)?)?;
    m.add_function(wrap_pyfunction!(decode_frame, m)?)?;
    m.add_function(wrap_pyfunction!(encode_frame, m)?)?;
    m.add_function(wrap_pyfunction!(number_of_frames, m)?)?;
    m.add_function(wrap_pyfunction!(pixel_syntaxes, m)?)?;
    m.add_function(wrap_pyfunction!(frame_media_type, m)?)?;
    m.add_function(wrap_pyfunction!(media_type_syntaxes, m)?)?;
    m.add_function(wrap_pyfunction!(codec_helper, m)?)
}

/// The media type of frames in a transfer syntax.
#[pyfunction]
fn frame_media_type(transfer_syntax_uid: &str) -> &'static str {
    vna_codec::frame_media_type(transfer_syntax_uid)
}

/// The transfer syntaxes that a media type of pixel data is for, the one first that is meant where none is said.
#[pyfunction]
fn media_type_syntaxes(media_type: &str) -> Vec<&'static str> {
    vna_codec::media_type_syntaxes(media_type).to_vec()
}

/// Makes this process a helper of an archive's, until that has no more frames. Ends it.
#[pyfunction]
fn codec_helper(py: Python<'_>) {
    std::process::exit(py.detach(vna_codec::run_helper));
}

/// Codecs outside of any archive: in this process, or in helpers that the command starts. The first command stays.
pub(crate) fn codecs(helper_command: Option<Vec<String>>) -> &'static Arc<Codecs> {
    static HERE: OnceLock<Arc<Codecs>> = OnceLock::new();
    static IN_HELPERS: OnceLock<Arc<Codecs>> = OnceLock::new();
    let place = if helper_command.is_some() {
        &IN_HELPERS
    } else {
        &HERE
    };
    place.get_or_init(|| {
        Arc::new(Codecs::new(CodecSettings {
            helper_command,
            ..CodecSettings::default()
        }))
    })
}

/// [`FrameFormat`] as Python writes and reads it.
#[derive(Serialize, Deserialize)]
struct Format {
    rows: u32,
    columns: u32,
    samples_per_pixel: u16,
    bits_allocated: u16,
    bits_stored: u16,
    sample: SampleName,
    #[serde(default)]
    planar: bool,
    photometric: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SampleName {
    Unsigned,
    Signed,
    Float,
}

impl From<&FrameFormat> for Format {
    fn from(format: &FrameFormat) -> Self {
        Format {
            rows: format.rows,
            columns: format.columns,
            samples_per_pixel: format.samples_per_pixel,
            bits_allocated: format.bits_allocated,
            bits_stored: format.bits_stored,
            sample: match format.sample {
                Sample::Unsigned => SampleName::Unsigned,
                Sample::Signed => SampleName::Signed,
                Sample::Float => SampleName::Float,
            },
            planar: format.planar,
            photometric: format.photometric.name().to_owned(),
        }
    }
}

fn parse_format(json: &[u8]) -> Result<FrameFormat, BoundaryError> {
    let format: Format = parse("format", json)?;
    let photometric = Photometric::parse(&format.photometric).ok_or_else(|| {
        BoundaryError::Argument(format!(
            "{:?} is no Photometric Interpretation",
            format.photometric
        ))
    })?;
    Ok(FrameFormat {
        rows: format.rows,
        columns: format.columns,
        samples_per_pixel: format.samples_per_pixel,
        bits_allocated: format.bits_allocated,
        bits_stored: format.bits_stored,
        sample: match format.sample {
            SampleName::Unsigned => Sample::Unsigned,
            SampleName::Signed => Sample::Signed,
            SampleName::Float => Sample::Float,
        },
        planar: format.planar,
        photometric,
    })
}

fn write_format(format: &FrameFormat) -> Vec<u8> {
    to_json(&Format::from(format))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default() // numbers and names always can be written
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(
    what: &str,
    json: &'a [u8],
) -> Result<T, BoundaryError> {
    serde_json::from_slice(json)
        .map_err(|error| BoundaryError::Argument(format!("{what} is not as described: {error}")))
}

/// [`EncodeOptions`] as Python writes them: what is left out has its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    quality: Option<u8>,
    near: Option<u16>,
    ratio: Option<f32>,
}

impl From<Options> for EncodeOptions {
    fn from(options: Options) -> Self {
        let usual = EncodeOptions::default();
        EncodeOptions {
            quality: options.quality.unwrap_or(usual.quality),
            near: options.near.unwrap_or(usual.near),
            ratio: options.ratio.unwrap_or(usual.ratio),
        }
    }
}

fn parse_colour(colour: &str) -> Result<Colour, BoundaryError> {
    match colour {
        "rgb" => Ok(Colour::Rgb),
        "stored" => Ok(Colour::AsStored),
        other => Err(BoundaryError::Argument(format!(
            "colour is {other:?}; 'rgb' and 'stored' are known"
        ))),
    }
}

/// Bytes of a decoded or encoded frame, and its format as JSON.
type Frame<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// A Part 10 file in memory.
struct InMemory<'a>(&'a [u8]);

impl ReadAt for InMemory<'_> {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        Ok(self.0.read_at(buffer, offset)?)
    }
}

type Image<'a> = StoredImage<InMemory<'a>>;

/// Decodes frame `index` into `out`.
fn decode_into(
    image: &Image<'_>,
    index: usize,
    colour: Colour,
    codecs: &Codecs,
    out: &mut [u8],
) -> Result<FrameFormat, ArchiveError> {
    let mut lease = codecs.lease()?;
    image.decode_frame_into(index, colour, &mut lease, out)
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// How many frames a Part 10 file has.
#[pyfunction]
#[pyo3(signature = (file, /))]
fn number_of_frames(py: Python<'_>, file: PyBackedBytes) -> Result<usize, BoundaryError> {
    let image = py.detach(|| Image::read(InMemory(&file)))?;
    Ok(image.frames.len())
}

/// The frames of a Part 10 file, decoded: all, or those with these numbers, counted from 0.
#[pyfunction]
#[pyo3(signature = (file, /, *, frames = None, colour = "rgb", parallel = None, helper_command = None))]
fn decode_frames<'py>(
    py: Python<'py>,
    file: PyBackedBytes,
    frames: Option<Vec<usize>>,
    colour: &str,
    parallel: Option<usize>,
    helper_command: Option<Vec<String>>,
) -> PyResult<Vec<Frame<'py>>> {
    let colour = parse_colour(colour)?;
    let codecs = codecs(helper_command);
    let image = py
        .detach(|| Image::read(InMemory(&file)))
        .map_err(BoundaryError::from)?;
    let count = image.frames.len();
    let frames = frames.unwrap_or_else(|| (0..count).collect());
    if let Some(beyond) = frames.iter().find(|index| **index >= count) {
        let problem = format!("frame {beyond} of {count}, counted from 0");
        return Err(BoundaryError::Argument(problem).into());
    }
    let parallel = parallel.unwrap_or(codecs.settings().parallel).max(1);
    let mut decoded = Vec::new();
    // As many at once as are worked on: memory is asked for when the frames before it are known to be there.
    for wave in frames.chunks(parallel) {
        let places = wave.iter().map(|_| new_frame(py, &image.format, codecs));
        let mut places: Vec<Bound<'py, PyBytes>> = places.collect::<PyResult<_>>()?;
        let mut slices: Vec<&mut [u8]> = places.iter_mut().map(|place| fill(place)).collect();
        let formats = py.detach(|| decode_wave(&image, wave, colour, codecs, &mut slices));
        for (samples, format) in places.into_iter().zip(formats) {
            let format = format.map_err(BoundaryError::from)?;
            let format = PyBytes::new(py, &write_format(&format));
            decoded.push((samples, format));
        }
    }
    Ok(decoded)
}

fn decode_wave(
    image: &Image<'_>,
    frames: &[usize],
    colour: Colour,
    codecs: &Codecs,
    places: &mut [&mut [u8]],
) -> Vec<Result<FrameFormat, ArchiveError>> {
    if let ([index], [place]) = (frames, &mut *places) {
        return vec![decode_into(image, *index, colour, codecs, place)];
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = frames
            .iter()
            .zip(places)
            .map(|(index, place)| scope.spawn(|| decode_into(image, *index, colour, codecs, place)))
            .collect();
        let joined = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| {
                let reason = "panicked".to_owned();
                Err(CodecError::Helper { reason }.into())
            })
        });
        joined.collect()
    })
}

/// Bytes for the samples of one frame, all zero.
fn new_frame<'py>(
    py: Python<'py>,
    format: &FrameFormat,
    codecs: &Codecs,
) -> PyResult<Bound<'py, PyBytes>> {
    let length = format.frame_bytes().map_err(boundary)?;
    let limit = codecs.settings().max_frame_bytes;
    if length > limit {
        return Err(boundary(CodecError::Limit {
            what: "bytes of a frame",
            found: length,
            limit,
        })
        .into());
    }
    PyBytes::new_with(py, place(length), |_| Ok(()))
}

/// The bytes of an object that was just made and that nobody else knows.
fn fill<'a>(bytes: &'a mut Bound<'_, PyBytes>) -> &'a mut [u8] {
    let length = bytes.as_bytes().len();
    // SAFETY: `new_frame` made it, initialised, and it is not yet given to anybody: writing to it is what the C API
    // allows at this time. It is borrowed for as long as the slice lives.
    unsafe {
        let start = pyo3::ffi::PyBytes_AsString(bytes.as_ptr());
        std::slice::from_raw_parts_mut(start.cast(), length)
    }
}

fn boundary(error: CodecError) -> BoundaryError {
    ArchiveError::Codec(error).into()
}

/// The samples of a codestream that stands alone, or of a native frame.
#[pyfunction]
#[pyo3(signature = (codestream, format_json, /, *, transfer_syntax_uid, colour = "rgb", helper_command = None))]
fn decode_frame<'py>(
    py: Python<'py>,
    codestream: PyBackedBytes,
    format_json: PyBackedBytes,
    transfer_syntax_uid: &str,
    colour: &str,
    helper_command: Option<Vec<String>>,
) -> PyResult<Frame<'py>> {
    let codecs = codecs(helper_command);
    let colour = parse_colour(colour)?;
    let format = parse_format(&format_json)?;
    let mut samples = new_frame(py, &format, codecs)?;
    let out = fill(&mut samples);
    let format = py.detach(|| -> Result<_, CodecError> {
        let mut lease = codecs.lease()?;
        lease
            .input(codestream.len() as u64)?
            .copy_from_slice(&codestream);
        lease.decode_into(transfer_syntax_uid, &format, colour, out)
    });
    let format = write_format(&format.map_err(boundary)?);
    Ok((samples, PyBytes::new(py, &format)))
}

/// The codestream of one frame, from interleaved samples.
#[pyfunction]
#[pyo3(signature = (samples, format_json, /, *, transfer_syntax_uid, options_json = None, helper_command = None))]
fn encode_frame<'py>(
    py: Python<'py>,
    samples: PyBackedBytes,
    format_json: PyBackedBytes,
    transfer_syntax_uid: &str,
    options_json: Option<PyBackedBytes>,
    helper_command: Option<Vec<String>>,
) -> PyResult<Frame<'py>> {
    let codecs = codecs(helper_command);
    let format = parse_format(&format_json)?;
    let options = match &options_json {
        Some(json) => parse::<Options>("options", json)?.into(),
        None => EncodeOptions::default(),
    };
    let encoded = py.detach(|| -> Result<_, CodecError> {
        let expected = format.frame_bytes()?;
        if samples.len() as u64 != expected {
            return Err(CodecError::Mismatch {
                what: "bytes of a frame",
                expected,
                found: samples.len() as u64,
            });
        }
        let mut lease = codecs.lease()?;
        lease.input(expected)?.copy_from_slice(&samples);
        let (codestream, format) = lease.encode(transfer_syntax_uid, &format, &options)?;
        Ok((codestream.to_vec(), format))
    });
    let (codestream, format) = encoded.map_err(boundary)?;
    Ok((
        PyBytes::new(py, &codestream),
        PyBytes::new(py, &write_format(&format)),
    ))
}

/// Every transfer syntax that holds images, as JSON.
#[pyfunction]
fn pixel_syntaxes(py: Python<'_>) -> Bound<'_, PyBytes> {
    let syntaxes: Vec<_> = PIXEL_SYNTAXES
        .iter()
        .map(|syntax| {
            let native = syntax.compression == Compression::None;
            let codec = codec(syntax.uid);
            serde_json::json!({
                "uid": syntax.uid,
                "name": syntax.name,
                "compression": match syntax.compression {
                    Compression::None => "none",
                    Compression::Lossless => "lossless",
                    Compression::Lossy => "lossy",
                    Compression::Video => "video",
                },
                "decodes": native || codec.is_some(),
                "encodes": native || codec.is_some_and(vna_codec::FrameCodec::encodes),
            })
        })
        .collect();
    PyBytes::new(py, &to_json(&syntaxes))
}
