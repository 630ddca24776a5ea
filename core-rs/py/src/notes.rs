//! Metadata, attachments and protection of resources.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vna_dicom::Level;
use vna_node::{Archive, AttachmentWriter, Condition, OpenedAttachment, Revision};

use crate::archive::{CoreArchive, argument, id_of, level_of};
use crate::completions::{Completions, Outcome};
use crate::errors::BoundaryError;

/// Chunks are put together up to this size before a thread takes them.
const PIECE_BYTES: usize = 256 << 10;

/// Adds the classes to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<CoreAttachment>()?;
    m.add_class::<CoreNewAttachment>()
}

/// Number and MD5 of a revision that a client names.
type Named = Option<(u64, String)>;

fn condition(archive: &Archive, named: Named) -> Condition {
    Condition::Revision {
        must_be: archive.settings().notes.check_revisions,
        named: named.map(|(number, md5)| Revision { number, md5 }),
    }
}

fn revision(revision: &Revision) -> Outcome {
    Ok(format!("{}-{}", revision.number, revision.md5).into_bytes())
}

#[pymethods]
impl CoreArchive {
    fn metadata_entry(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: String,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            let (revision, value) = vna_node::metadata_entry(archive, tenant, level, &id, &name)?;
            let mut entry = format!("{}-{}\n", revision.number, revision.md5).into_bytes();
            entry.extend(value);
            Ok(entry)
        })?;
        Ok(handle)
    }

    fn put_metadata(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: String,
        value: PyBackedBytes,
        named: Named,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let of = (tenant, level, id_of(level, &id)?);
            let condition = condition(archive, named);
            revision(&archive.put_metadata(of, &name, value.to_vec(), condition)?)
        })?;
        Ok(handle)
    }

    fn take_metadata(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: String,
        named: Named,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let of = (tenant, level, id_of(level, &id)?);
            archive.take_metadata(of, &name, condition(archive, named))?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }

    fn is_protected(&self, tenant: i64, public_id: &str) -> PyResult<u64> {
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(Level::Patient, &id)?;
            let found = archive.index().is_protected(tenant, &id);
            let found = found.map_err(vna_node::ArchiveError::from)?;
            let is_protected = found.ok_or(vna_node::ArchiveError::NotFound {
                level: Level::Patient,
                public_id: id,
            })?;
            Ok(vec![b'0' + u8::from(is_protected)])
        })?;
        Ok(handle)
    }

    fn protect(&self, tenant: i64, public_id: &str, is_protected: bool) -> PyResult<u64> {
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(Level::Patient, &id)?;
            archive.protect(tenant, &id, is_protected)?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }

    fn attachments(&self, tenant: i64, level: &str, public_id: &str) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let id = id_of(level, &id)?;
            let all = archive.attachments(tenant, level, &id)?;
            serde_json::to_vec(&all)
                .map_err(|error| BoundaryError::Argument(format!("no JSON: {error}")))
        })?;
        Ok(handle)
    }

    fn attachment(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: String,
    ) -> PyResult<CoreAttachment> {
        Ok(CoreAttachment {
            archive: self.archive()?,
            of: Arc::new(Of {
                tenant,
                level: level_of(level)?,
                id: public_id.to_owned(),
                name,
            }),
            opened: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }

    fn new_attachment(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: String,
        named: Named,
    ) -> PyResult<CoreNewAttachment> {
        let archive = self.archive()?;
        Ok(CoreNewAttachment {
            max_held_bytes: archive.settings().storage.large_object_bytes + 2 * PIECE_BYTES as u64,
            of: Arc::new(Of {
                tenant,
                level: level_of(level)?,
                id: public_id.to_owned(),
                name,
            }),
            condition: condition(&archive, named),
            archive,
            state: Arc::default(),
            completions: Arc::clone(&self.completions),
            handle: self.handle.clone(),
        })
    }

    fn take_attachment(
        &self,
        tenant: i64,
        level: &str,
        public_id: &str,
        name: String,
        named: Named,
    ) -> PyResult<u64> {
        let level = level_of(level)?;
        let id = public_id.to_owned();
        let handle = self.spawn(move |archive| {
            let of = (tenant, level, id_of(level, &id)?);
            archive.take_attachment(of, &name, condition(archive, named))?;
            Ok(Vec::new())
        })?;
        Ok(handle)
    }
}

/// Which attachment.
struct Of {
    tenant: i64,
    level: Level,
    id: String,
    name: String,
}

/// `vna._core.Attachment`.
#[pyclass(frozen, name = "Attachment", module = "vna._core")]
pub(crate) struct CoreAttachment {
    archive: Arc<Archive>,
    of: Arc<Of>,
    opened: Arc<Mutex<Option<Arc<OpenedAttachment>>>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

impl CoreAttachment {
    fn spawn(&self, work: impl FnOnce(&Arc<Archive>, &Of) -> Outcome + Send + 'static) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (archive, of) = (Arc::clone(&self.archive), Arc::clone(&self.of));
        self.handle
            .spawn_blocking(move || promise.keep(work(&archive, &of)));
        handle
    }
}

#[pymethods]
impl CoreAttachment {
    /// Opens it, and completes with what it is in JSON.
    fn open(&self) -> u64 {
        let slot = Arc::clone(&self.opened);
        self.spawn(move |archive, of| {
            let id = id_of(of.level, &of.id)?;
            let opened = archive.open_attachment(of.tenant, of.level, &id, &of.name)?;
            let told = serde_json::json!({
                "Info": opened.info,
                "Revision": opened.revision,
                "IsCompressed": opened.is_compressed,
            });
            *slot.lock() = Some(Arc::new(opened));
            Ok(told.to_string().into_bytes())
        })
    }

    /// Reads of what it is, or of what is stored.
    fn read(&self, offset: u64, length: usize, stored: bool) -> PyResult<u64> {
        let Some(opened) = self.opened.lock().clone() else {
            return Err(argument("read", "a call out of turn", "open first").into());
        };
        Ok(self.spawn(move |_, _| {
            let size = match stored {
                true => opened.info.compressed_size,
                false => opened.info.uncompressed_size,
            };
            let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut buffer = vec![0; length.min(left)];
            let read = match stored {
                true => opened.reader.read_stored_at(&mut buffer, offset)?,
                false => opened.reader.read_at(&mut buffer, offset)?,
            };
            buffer.truncate(read);
            Ok(buffer)
        }))
    }

    /// Compares it with its MD5.
    fn verify(&self) -> u64 {
        self.spawn(|archive, of| {
            let id = id_of(of.level, &of.id)?;
            archive.verify_attachment(of.tenant, of.level, &id, &of.name)?;
            Ok(Vec::new())
        })
    }

    /// Stores it compressed, or plain.
    fn recompress(&self, is_compressed: bool) -> u64 {
        self.spawn(move |archive, of| {
            let id = id_of(of.level, &of.id)?;
            archive.recompress_attachment(of.tenant, of.level, &id, &of.name, is_compressed)?;
            Ok(Vec::new())
        })
    }
}

/// `vna._core.NewAttachment`.
#[pyclass(frozen, name = "NewAttachment", module = "vna._core")]
pub(crate) struct CoreNewAttachment {
    /// The most that it holds in memory.
    #[pyo3(get)]
    max_held_bytes: u64,
    archive: Arc<Archive>,
    of: Arc<Of>,
    condition: Condition,
    state: Arc<Mutex<State>>,
    completions: Arc<Completions>,
    handle: tokio::runtime::Handle,
}

#[derive(Default)]
struct State {
    /// What no thread has taken yet.
    piece: Vec<u8>,
    /// `None` while a thread works on it, after an error and after the end.
    writer: Option<AttachmentWriter>,
}

impl CoreNewAttachment {
    fn spawn(
        &self,
        piece: Vec<u8>,
        work: impl FnOnce(AttachmentWriter, &Mutex<State>) -> Outcome + Send + 'static,
    ) -> PyResult<u64> {
        let Some(mut writer) = self.state.lock().writer.take() else {
            return Err(argument("push", "a call out of turn", "one call after the other").into());
        };
        let (handle, promise) = self.completions.promise();
        let state = Arc::clone(&self.state);
        self.handle.spawn_blocking(move || {
            let written = writer.write(&piece).map_err(BoundaryError::from);
            promise.keep(written.and_then(|()| work(writer, &state)));
        });
        Ok(handle)
    }
}

#[pymethods]
impl CoreNewAttachment {
    /// Looks whether it can be attached, before any of it is there.
    fn begin(&self) -> u64 {
        let (handle, promise) = self.completions.promise();
        let (archive, of) = (Arc::clone(&self.archive), Arc::clone(&self.of));
        let (state, condition) = (Arc::clone(&self.state), self.condition.clone());
        self.handle.spawn_blocking(move || {
            let begin = || -> Outcome {
                let id = id_of(of.level, &of.id)?;
                let writer =
                    archive.new_attachment(of.tenant, of.level, &id, &of.name, condition)?;
                state.lock().writer = Some(writer);
                Ok(Vec::new())
            };
            promise.keep(begin());
        });
        handle
    }

    /// Takes the next chunk; a handle if the next one must wait for it.
    fn push(&self, chunk: PyBackedBytes) -> PyResult<Option<u64>> {
        let piece = {
            let mut state = self.state.lock();
            state.piece.extend_from_slice(&chunk);
            if state.piece.len() < PIECE_BYTES {
                return Ok(None);
            }
            std::mem::take(&mut state.piece)
        };
        self.spawn(piece, |writer, state| {
            state.lock().writer = Some(writer);
            Ok(Vec::new())
        })
        .map(Some)
    }

    /// It is whole; completes with its revision.
    fn finish(&self) -> PyResult<u64> {
        let piece = std::mem::take(&mut self.state.lock().piece);
        self.spawn(piece, |writer, _| revision(&writer.finish()?))
    }
}
