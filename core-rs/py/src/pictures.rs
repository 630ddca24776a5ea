//! Pictures, arrays and frames of stored instances, for Python.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vna_codec::Codecs;
use vna_dicom::{Level, PublicId};
use vna_node::{
    Archive, ArchiveError, ArrayRequest, IconRequest, LocalFile, MadeStream, PictureFile,
    PictureRequest, PictureSource, Pictures, ReportRequest, StoredFrame, ThumbnailRequest,
};

use crate::archive::{CoreArchive, CoreFile, id_of, level_of, parse};
use crate::completions::Completions;
use crate::errors::BoundaryError;

/// Pictures up to this length are given whole when they are made; others are read in pieces, so that the pace of a client
/// decides how much of them is there twice.
const WHOLE_BYTES: usize = 1 << 20;

/// Adds the classes and functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CorePicture>()?;
    m.add_class::<CoreStream>()?;
    m.add_class::<CoreFrame>()?;
    m.add_function(wrap_pyfunction!(render_file, m)?)?;
    m.add_function(wrap_pyfunction!(icon, m)?)?;
    m.add_function(wrap_pyfunction!(count_frames, m)?)
}

fn source(file: &CoreFile, state: Option<&CoreFile>) -> PictureSource {
    PictureSource {
        located: Arc::clone(&file.located),
        reader: Arc::clone(&file.reader),
        state: state.map(|state| Arc::clone(&state.reader)),
    }
}

#[pymethods]
impl CoreArchive {
    /// The picture of a frame, to be made.
    #[pyo3(signature = (file, request_json, presentation_state = None))]
    fn picture(
        &self,
        file: &CoreFile,
        request_json: PyBackedBytes,
        presentation_state: Option<&CoreFile>,
    ) -> PyResult<CorePicture> {
        let request: PictureRequest = parse(&request_json, "request_json")?;
        Ok(CorePicture {
            pictures: Arc::clone(self.archive()?.pictures()),
            source: source(file, presentation_state),
            request,
            made: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }

    /// A small picture of an instance, whole.
    fn thumbnail(&self, file: &CoreFile, request_json: PyBackedBytes) -> PyResult<u64> {
        let request: ThumbnailRequest = parse(&request_json, "request_json")?;
        let pictures = Arc::clone(self.archive()?.pictures());
        let source = source(file, None);
        let (handle, promise) = self.completions.promise();
        self.handle.spawn(async move {
            let made = pictures.thumbnail(source, request).await;
            promise.keep(made.map_err(Into::into));
        });
        Ok(handle)
    }

    /// The document of a report, whole.
    fn report(&self, file: &CoreFile, request_json: PyBackedBytes) -> PyResult<u64> {
        let request: ReportRequest = parse(&request_json, "request_json")?;
        let pictures = Arc::clone(self.archive()?.pictures());
        let reader = Arc::clone(&file.reader);
        let (handle, promise) = self.completions.promise();
        self.handle.spawn(async move {
            let made = pictures.report(reader, request).await;
            promise.keep(made.map_err(Into::into));
        });
        Ok(handle)
    }

    /// Frames of an instance, counted from 0, or all of them, as an animated picture, to be made.
    #[pyo3(signature = (file, request_json, frames = None, presentation_state = None))]
    fn animation(
        &self,
        file: &CoreFile,
        request_json: PyBackedBytes,
        frames: Option<Vec<u64>>,
        presentation_state: Option<&CoreFile>,
    ) -> PyResult<CoreStream> {
        let request: PictureRequest = parse(&request_json, "request_json")?;
        let source = source(file, presentation_state);
        self.stream(Origin::Animation(source, Box::new(request), frames))
    }

    /// Frames of an instance as an array, to be made.
    fn array(&self, file: &CoreFile, request_json: PyBackedBytes) -> PyResult<CoreStream> {
        let request: ArrayRequest = parse(&request_json, "request_json")?;
        self.stream(Origin::Instance(source(file, None), request))
    }

    /// All frames of a series as an array, to be made.
    fn series_array(
        &self,
        tenant: i64,
        public_id: &str,
        request_json: PyBackedBytes,
    ) -> PyResult<CoreStream> {
        let request: ArrayRequest = parse(&request_json, "request_json")?;
        let series = id_of(Level::Series, public_id)?;
        let archive = Arc::downgrade(&self.archive()?);
        self.stream(Origin::Series(archive, tenant, series, request))
    }

    /// A frame of an instance as it is stored.
    fn stored_frame(&self, file: &CoreFile, frame: u64) -> PyResult<CoreFrame> {
        Ok(CoreFrame {
            pictures: Arc::clone(self.archive()?.pictures()),
            source: source(file, None),
            frame,
            opened: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }

    fn ordered_slices(&self, tenant: i64, public_id: &str) -> PyResult<u64> {
        let id = public_id.to_owned();
        let handle = self.search(move |archive| {
            let id = id_of(Level::Series, &id)?;
            Ok(vna_node::ordered_slices(archive, tenant, &id)?.to_json())
        })?;
        Ok(handle)
    }

    /// The public id of the instance that stands for a resource.
    fn representative(&self, tenant: i64, level: &str, public_id: &str) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.search(move |archive| {
            let id = id_of(level, &id)?;
            let found = vna_node::representative(archive, tenant, level, &id)?;
            Ok(found.to_string().into_bytes())
        })?;
        Ok(handle)
    }
}

impl CoreArchive {
    fn stream(&self, origin: Origin) -> PyResult<CoreStream> {
        Ok(CoreStream {
            pictures: Arc::clone(self.archive()?.pictures()),
            origin: Mutex::new(Some(origin)),
            opened: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }
}

/// `vna._core.Picture`: the picture of a frame.
#[pyclass(frozen, name = "Picture", module = "vna._core")]
pub(crate) struct CorePicture {
    pictures: Arc<Pictures>,
    source: PictureSource,
    request: PictureRequest,
    /// One that is read in pieces; with it goes the memory that it holds.
    made: Arc<Mutex<Option<PictureFile>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CorePicture {
    /// Makes it; completes with all of it, or with nothing if it is long: then it is read.
    fn make(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let pictures = Arc::clone(&self.pictures);
        let (source, request) = (self.source.clone(), self.request.clone());
        let made = Arc::clone(&self.made);
        self.handle.spawn(async move {
            let file = pictures.picture(source, request).await;
            promise.keep(file.map_err(BoundaryError::from).map(|file| {
                if file.bytes().len() <= WHOLE_BYTES {
                    return file.into_bytes();
                }
                *made.lock() = Some(file);
                Vec::new()
            }));
        });
        handle
    }

    /// How long it is, once it was made and is to be read.
    #[getter]
    fn length(&self) -> usize {
        let made = self.made.lock();
        made.as_ref().map_or(0, |file| file.bytes().len())
    }

    /// Bytes of it, fewer at its end.
    fn read<'py>(&self, py: Python<'py>, offset: usize, length: usize) -> Bound<'py, PyBytes> {
        let made = self.made.lock();
        let rest = made.as_ref().and_then(|file| file.bytes().get(offset..));
        let rest = rest.unwrap_or_default();
        PyBytes::new(py, &rest[..length.min(rest.len())])
    }
}

/// What a stream is made from.
enum Origin {
    Instance(PictureSource, ArrayRequest),
    Animation(PictureSource, Box<PictureRequest>, Option<Vec<u64>>),
    Series(std::sync::Weak<Archive>, i64, PublicId, ArrayRequest),
    Gzip(StoredFrame),
}

impl Origin {
    async fn open(self, pictures: &Arc<Pictures>) -> Result<MadeStream, ArchiveError> {
        match self {
            Origin::Instance(source, request) => pictures.instance_array(source, request).await,
            Origin::Animation(source, request, frames) => {
                pictures.animation(source, *request, frames).await
            }
            Origin::Series(archive, tenant, series, request) => {
                let archive = archive.upgrade().ok_or(ArchiveError::Stopped)?;
                pictures
                    .series_array(archive, tenant, series, request)
                    .await
            }
            Origin::Gzip(frame) => Ok(frame.gzip()),
        }
    }
}

/// `vna._core.Stream`: bytes that are made while they are read. Its calls are made one after the other.
#[pyclass(frozen, name = "Stream", module = "vna._core")]
pub(crate) struct CoreStream {
    pictures: Arc<Pictures>,
    origin: Mutex<Option<Origin>>,
    opened: Arc<Mutex<Option<MadeStream>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreStream {
    /// Completes with `{"length": ...}`, null if that is known only at the end.
    fn open(&self) -> PyResult<u64> {
        let origin = self.origin.lock().take().ok_or_else(|| {
            BoundaryError::Argument("open comes once, before the first read".to_owned())
        })?;
        let (handle, promise) = self.completions.promise();
        let (pictures, opened) = (Arc::clone(&self.pictures), Arc::clone(&self.opened));
        self.handle.spawn(async move {
            let stream = origin.open(&pictures).await;
            promise.keep(stream.map_err(BoundaryError::from).map(|stream| {
                let length = serde_json::json!({ "length": stream.length() });
                *opened.lock() = Some(stream);
                length.to_string().into_bytes()
            }));
        });
        Ok(handle)
    }

    /// Reads on; completes with fewer bytes than `length` only at the end.
    fn read(&self, length: usize) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (pictures, opened) = (Arc::clone(&self.pictures), Arc::clone(&self.opened));
        self.handle.spawn(async move {
            let read = pictures.on_a_place(move || match &mut *opened.lock() {
                Some(stream) => stream.read(length).map(Some),
                None => Ok(None),
            });
            promise.keep(match read.await {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => Err(BoundaryError::Argument("read comes before open".to_owned())),
                Err(error) => Err(error.into()),
            });
        });
        handle
    }
}

/// `vna._core.Frame`: a frame as it is stored.
#[pyclass(frozen, name = "Frame", module = "vna._core")]
pub(crate) struct CoreFrame {
    pictures: Arc<Pictures>,
    source: PictureSource,
    frame: u64,
    opened: Arc<Mutex<Option<StoredFrame>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[pymethods]
impl CoreFrame {
    /// Finds it; completes with `{"length": ...}`.
    fn open(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let pictures = Arc::clone(&self.pictures);
        let (source, frame) = (self.source.clone(), self.frame);
        let opened = Arc::clone(&self.opened);
        self.handle.spawn(async move {
            let found = pictures.stored_frame(source, frame).await;
            promise.keep(found.map_err(BoundaryError::from).map(|found| {
                let length = serde_json::json!({ "length": found.length() });
                *opened.lock() = Some(found);
                length.to_string().into_bytes()
            }));
        });
        handle
    }

    /// Bytes of it, fewer at its end.
    fn read(&self, offset: u64, length: usize) -> PyResult<u64> {
        let frame = self.opened()?;
        let (handle, promise) = self.completions.promise();
        self.handle.spawn_blocking(move || {
            promise.keep(frame.read(offset, length).map_err(Into::into));
        });
        Ok(handle)
    }

    /// The frame, compressed with gzip.
    fn gzip(&self) -> PyResult<CoreStream> {
        Ok(CoreStream {
            pictures: Arc::clone(&self.pictures),
            origin: Mutex::new(Some(Origin::Gzip(self.opened()?))),
            opened: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }
}

impl CoreFrame {
    fn opened(&self) -> Result<StoredFrame, BoundaryError> {
        let opened = self.opened.lock().clone();
        opened.ok_or_else(|| BoundaryError::Argument("open comes first".to_owned()))
    }
}

/// The picture of a frame of a file that is no part of an archive.
#[pyfunction]
#[pyo3(signature = (path, request_json, presentation_state = None))]
fn render_file<'py>(
    py: Python<'py>,
    path: PathBuf,
    request_json: PyBackedBytes,
    presentation_state: Option<PathBuf>,
) -> PyResult<Bound<'py, PyBytes>> {
    let request: PictureRequest = parse(&request_json, "request_json")?;
    let picture = py.detach(|| {
        let state = presentation_state
            .as_deref()
            .map(LocalFile::open)
            .transpose()?;
        let codecs = Codecs::new(vna_codec::CodecSettings::default());
        vna_node::render_object(LocalFile::open(&path)?, state.as_ref(), request, &codecs)
    });
    Ok(PyBytes::new(py, &picture.map_err(BoundaryError::from)?))
}

/// A picture of what is no image.
#[pyfunction]
fn icon(py: Python<'_>, request_json: PyBackedBytes) -> PyResult<Bound<'_, PyBytes>> {
    let request: IconRequest = parse(&request_json, "request_json")?;
    let made = py.detach(|| vna_node::icon(&request));
    Ok(PyBytes::new(py, &made.map_err(BoundaryError::from)?))
}

/// How many frames the image in a file has.
#[pyfunction]
#[pyo3(signature = (path, /))]
fn count_frames(py: Python<'_>, path: PathBuf) -> PyResult<u64> {
    let counted = py.detach(|| vna_node::count_frames(LocalFile::open(&path)?));
    Ok(counted.map_err(BoundaryError::from)?)
}
