//! What `vna dump` shows: all elements of a file, as far as it can be read, and their names.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vna_dicom::{
    DicomError, Element, ElementStream, MAX_INFLATED_BYTES, MAX_META_BYTES, meta_elements,
};

use crate::dicom::{ROW, push_row};

/// Read at once: most heads are shorter.
const PART_BYTES: usize = 64 << 10;

/// Elements handed over at once, more or less.
const BATCH: usize = 4096;

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<ElementReader>()
}

/// The elements of a file, a batch at a time, and their values. Nothing of the file is held but the data set of a
/// deflated one, within its budget.
#[pyclass(frozen, module = "vna._core")]
struct ElementReader {
    file: File,
    file_bytes: u64,
    meta: Vec<u8>,
    transfer_syntax_uid: String,
    data_set_offset: Option<u64>,
    inflated: Option<Vec<u8>>,
    walk: Mutex<Walk>,
}

/// How far the elements were read.
struct Walk {
    stream: ElementStream,
    /// Elements that were read and not yet handed over.
    waiting: VecDeque<Element>,
    /// What ended the reading.
    error: Option<DicomError>,
    is_over: bool,
}

impl Walk {
    /// The next batch of elements; none at the end.
    fn next(&mut self, file: &File, file_bytes: u64) -> io::Result<Vec<u8>> {
        while self.waiting.len() < BATCH && !self.is_over {
            self.read_on(file, file_bytes)?;
        }
        let batch = self.waiting.len().min(BATCH);
        Ok(table(self.waiting.drain(..batch)))
    }

    /// Reads the next part.
    fn read_on(&mut self, file: &File, file_bytes: u64) -> io::Result<()> {
        let mut part = vec![0; PART_BYTES];
        let at = self.stream.skip(file_bytes);
        let read = read_up_to(file, &mut part, at)?;
        let result = match read {
            0 => self.stream.finish(),
            _ => self.stream.push(&part[..read]),
        };
        self.error = result.err();
        self.is_over = read == 0 || self.error.is_some() || self.stream.is_done();
        self.waiting.extend(self.stream.take());
        Ok(())
    }

    /// Reads a deflated data set whole, and returns it: its values are wanted, and only the whole can be inflated.
    fn inflate(&mut self, file: &File, file_bytes: u64) -> io::Result<Vec<u8>> {
        // What does not fit here is over the budget when it is inflated, too.
        let wanted = file_bytes.min(2 * MAX_INFLATED_BYTES);
        let bytes = read_at(file, 0, wanted)?;
        self.is_over = true;
        let scanned = vna_dicom::scan_damaged(&bytes);
        let (elements, data, error) = match scanned {
            Ok((scan, error)) => (scan.elements, scan.data.into_owned(), error),
            Err(error) => (Vec::new(), Vec::new(), Some(error)),
        };
        self.waiting = elements.into();
        self.error = error;
        Ok(data)
    }
}

#[pymethods]
impl ElementReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(py.detach(|| Self::open(&path))?)
    }

    /// The elements of group 0002, a table as of `scan`; offsets count in the file.
    fn meta<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.meta)
    }

    #[getter]
    fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    #[getter]
    fn transfer_syntax_uid(&self) -> &str {
        &self.transfer_syntax_uid
    }

    #[getter]
    fn data_set_offset(&self) -> Option<u64> {
        self.data_set_offset
    }

    #[getter]
    fn is_deflated(&self) -> bool {
        self.inflated.is_some()
    }

    /// What ended the reading: message, code, offset.
    #[getter]
    fn error(&self) -> Option<(String, &'static str, Option<u64>)> {
        let walk = self.walk.lock();
        let error = walk.error.as_ref()?;
        Some((error.to_string(), error.code(), error.offset()))
    }

    /// The next elements, a table; empty at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let table = py.detach(|| self.walk.lock().next(&self.file, self.file_bytes))?;
        Ok(PyBytes::new(py, &table))
    }

    /// Bytes of the data set, fewer at its end.
    fn value<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        if let Some(inflated) = &self.inflated {
            let rest = usize::try_from(offset)
                .ok()
                .and_then(|at| inflated.get(at..))
                .unwrap_or_default();
            return Ok(PyBytes::new(py, &rest[..length.min(rest.len())]));
        }
        self.file_value(py, offset, length)
    }

    /// Bytes of the file, fewer at its end.
    fn file_value<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let length = self.file_bytes.saturating_sub(offset).min(length as u64);
        let bytes = py.detach(|| read_at(&self.file, offset, length))?;
        Ok(PyBytes::new(py, &bytes))
    }
}

impl ElementReader {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut walk = Walk {
            stream: ElementStream::for_file(),
            waiting: VecDeque::new(),
            error: None,
            is_over: false,
        };
        while walk.stream.data_set_offset().is_none() && !walk.is_over {
            walk.read_on(&file, file_bytes)?;
        }
        let data_set_offset = walk.stream.data_set_offset();
        let head = data_set_offset.unwrap_or(MAX_META_BYTES as u64);
        let head = read_at(&file, 0, head.min(file_bytes))?;
        let inflated = match walk.stream.is_deflated() {
            true => Some(walk.inflate(&file, file_bytes)?),
            false => None,
        };
        Ok(Self {
            file,
            file_bytes,
            meta: table(meta_elements(&head)),
            transfer_syntax_uid: walk.stream.transfer_syntax_uid().to_owned(),
            data_set_offset,
            inflated,
            walk: Mutex::new(walk),
        })
    }
}

/// `length` bytes from `offset`, which the caller has compared with the length of the file.
fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = read_up_to(file, &mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills the buffer from `offset` on as far as the file goes.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn table(elements: impl IntoIterator<Item = Element>) -> Vec<u8> {
    let mut table = Vec::with_capacity(BATCH * ROW);
    for element in elements {
        push_row(&mut table, &element);
    }
    table
}
