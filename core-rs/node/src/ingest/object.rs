//! One DICOM file on its way in: held as long as it is small, else streamed to a file of its own.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vna_dicom::{HeaderStream, Instance, read_file_meta, read_instance};
use vna_index::{Ids, Origin};
use vna_store::{Digest, LargeBlobWriter};

use super::error::UploadError;
use super::pending::{Entry, How, Pending, Told};
use crate::archive::Archive;
use crate::arriving::ArrivedBytes;
use crate::committer::Answer;
use crate::error::ArchiveError;
use crate::settings::UploadSettings;

/// Bytes of a streamed object that are written at once: large enough to go past the page cache.
const WRITE_BYTES: usize = 1 << 20;

/// Media Storage Directory Storage (PS3.4 §I.4): a DICOMDIR.
const MEDIA_STORAGE_DIRECTORY: &str = "1.2.840.10008.1.3.10";

/// Where the files of one upload go.
pub(crate) struct Ingest {
    pub(crate) archive: Arc<Archive>,
    tenant: i64,
    origin: Origin,
    pub(crate) pending: Arc<Pending>,
    entries: AtomicU64,
    unpacked: AtomicU64,
}

impl Ingest {
    /// The most that an upload holds in memory, beside the piece at hand: one object that arrives and others that
    /// wait for their sync.
    pub(crate) fn max_held_bytes(archive: &Archive) -> u64 {
        2 * archive.settings().storage.large_object_bytes
    }

    pub(crate) fn new(archive: Arc<Archive>, tenant: i64, origin: Origin) -> Arc<Self> {
        let pending = Pending::new(archive.settings().storage.large_object_bytes);
        Arc::new(Self {
            archive,
            tenant,
            origin,
            pending,
            entries: AtomicU64::new(0),
            unpacked: AtomicU64::new(0),
        })
    }

    /// The address of whoever sends them.
    pub(crate) fn address(&self) -> &str {
        &self.origin.address
    }

    pub(crate) fn bounds(&self) -> &UploadSettings {
        &self.archive.settings().uploads
    }

    /// Counts files before they are looked at.
    pub(crate) fn count_entries(&self, entries: u64) -> Result<(), UploadError> {
        let limit = self.bounds().max_entries;
        let before = self.entries.fetch_add(entries, Ordering::Relaxed);
        match before.saturating_add(entries) > limit {
            true => Err(UploadError::Entries { limit }),
            false => Ok(()),
        }
    }

    /// Counts bytes before they are kept.
    pub(crate) fn count_bytes(&self, bytes: u64) -> Result<(), UploadError> {
        let limit = self.bounds().max_unpacked_bytes;
        let before = self.unpacked.fetch_add(bytes, Ordering::Relaxed);
        match before.saturating_add(bytes) > limit {
            true => Err(UploadError::UnpackedBytes { limit }),
            false => Ok(()),
        }
    }

    /// Hands an instance to the committer, as it is to be kept, unless the very same is stored already.
    pub(crate) fn store(
        &self,
        entry: Entry,
        instance: Instance,
        arrived: ArrivedBytes,
    ) -> Result<(), ArchiveError> {
        let (instance, arrived) = self.archive.as_kept(instance, arrived);
        let digest = arrived.digest();
        if let Some(ids) = self.twin(&instance, digest, arrived.size())? {
            let how = How::Again;
            let subject = entry.subject;
            self.pending
                .tell(entry.number, Told::Stored { ids, how, subject });
            return Ok(());
        }
        let file = arrived.into_file(digest)?;
        let bytes = file.buffered_bytes();
        self.pending.enter(bytes);
        let pending = Arc::clone(&self.pending);
        // Without the archive: its last owner must not be the committer, which calls this.
        let reply = Box::new(move |answer: Answer| pending.leave(bytes, entry, answer));
        self.archive
            .store(instance, file, self.tenant, self.origin.clone(), reply);
        Ok(())
    }

    fn twin(
        &self,
        instance: &Instance,
        digest: Digest,
        size: u64,
    ) -> Result<Option<Ids>, ArchiveError> {
        self.archive
            .stored_twin(self.tenant, &instance.identity, digest, size)
    }
}

/// One file that arrives.
pub(crate) struct Object {
    ingest: Arc<Ingest>,
    size: u64,
    bytes: Bytes,
}

enum Bytes {
    Held(Vec<u8>),
    /// Held by whoever received them, until the archive has them.
    Shared(bytes::Bytes),
    Streamed(Box<Streamed>),
}

struct Streamed {
    head: HeaderStream,
    writer: LargeBlobWriter,
    /// What is not written yet.
    buffer: Vec<u8>,
}

impl Object {
    pub(crate) fn new(ingest: &Arc<Ingest>) -> Self {
        Self {
            ingest: Arc::clone(ingest),
            size: 0,
            bytes: Bytes::Held(Vec::new()),
        }
    }

    /// Takes the next part. After an error the object is of no use.
    pub(crate) fn push(&mut self, part: Cow<'_, [u8]>) -> Result<(), ArchiveError> {
        self.count(part.len())?;
        let large = self.large_bytes();
        if let Bytes::Shared(shared) = &self.bytes {
            self.bytes = Bytes::Held(shared.to_vec());
        }
        match &mut self.bytes {
            Bytes::Held(held) if self.size <= large && held.is_empty() => *held = part.into_owned(),
            Bytes::Held(held) if self.size <= large => held.extend_from_slice(&part),
            Bytes::Held(held) => {
                let held = std::mem::take(held);
                self.bytes = Bytes::Streamed(Box::new(self.stream(held, &part)?));
            }
            Bytes::Streamed(streamed) => streamed.push(&part)?,
            Bytes::Shared(_) => unreachable!("it is held now"),
        }
        Ok(())
    }

    /// The same for a part that need not be copied, which the whole file mostly is.
    pub(crate) fn push_shared(&mut self, part: bytes::Bytes) -> Result<(), ArchiveError> {
        if self.size > 0 || part.len() as u64 > self.large_bytes() {
            return self.push(Cow::Borrowed(&part));
        }
        self.count(part.len())?;
        self.bytes = Bytes::Shared(part);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        self.size += bytes as u64;
        let limit = self.ingest.bounds().max_object_bytes;
        if self.size > limit {
            return Err(UploadError::ObjectBytes { limit }.into());
        }
        Ok(self.ingest.count_bytes(bytes as u64)?)
    }

    fn large_bytes(&self) -> u64 {
        self.ingest.archive.settings().storage.large_object_bytes
    }

    /// Begins a file of its own with what was held and what comes now.
    fn stream(&self, held: Vec<u8>, part: &[u8]) -> Result<Streamed, ArchiveError> {
        let mut streamed = Streamed {
            head: HeaderStream::for_file(),
            writer: self.ingest.archive.log().new_large_blob()?,
            buffer: Vec::new(),
        };
        let begun = streamed.push(&held).and_then(|()| streamed.push(part));
        begun.map_err(|error| known(error, &held))?;
        Ok(streamed)
    }

    /// All parts were given: hands the file to the archive.
    pub(super) fn finish(mut self, entry: Entry) -> Result<(), ArchiveError> {
        let (instance, arrived) = self.whole()?;
        self.ingest.store(entry, instance, arrived)
    }

    /// All parts were given: what the file says of itself, and its bytes.
    pub(crate) fn whole(&mut self) -> Result<(Instance, ArrivedBytes), ArchiveError> {
        if self.size == 0 {
            return Err(UploadError::Empty.into());
        }
        match &mut self.bytes {
            Bytes::Held(bytes) => {
                let instance = read_instance(bytes).map_err(|error| known(error.into(), bytes))?;
                Ok((instance, ArrivedBytes::held(std::mem::take(bytes))))
            }
            Bytes::Shared(bytes) => {
                let instance = read_instance(bytes).map_err(|error| known(error.into(), bytes))?;
                Ok((instance, ArrivedBytes::held(std::mem::take(bytes))))
            }
            Bytes::Streamed(_) => {
                let Bytes::Streamed(streamed) =
                    std::mem::replace(&mut self.bytes, Bytes::Held(Vec::new()))
                else {
                    unreachable!("looked at a line above");
                };
                let Streamed {
                    head,
                    mut writer,
                    buffer,
                } = *streamed;
                let instance = head.finish()?;
                writer.write(&buffer)?;
                Ok((instance, ArrivedBytes::Written(Box::new(writer))))
            }
        }
    }

    /// The SOP class and instance that the File Meta Information of what came so far names, if it is still held.
    pub(crate) fn media_storage_uids(&self) -> Option<(String, String)> {
        let held: &[u8] = match &self.bytes {
            Bytes::Held(held) => held,
            Bytes::Shared(shared) => shared,
            Bytes::Streamed(_) => return None,
        };
        let meta = read_file_meta(held).ok()??;
        let uids = (
            meta.media_storage_sop_class_uid,
            meta.media_storage_sop_instance_uid,
        );
        (!uids.1.is_empty()).then_some(uids)
    }
}

impl Streamed {
    fn push(&mut self, part: &[u8]) -> Result<(), ArchiveError> {
        self.head.push(part)?;
        if self.buffer.is_empty() && part.len() >= WRITE_BYTES {
            return Ok(self.writer.write(part)?);
        }
        self.buffer.extend_from_slice(part);
        if self.buffer.len() >= WRITE_BYTES {
            self.writer.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// What is wrong with a file that begins with `start`, if it turns out to be something that we know.
fn known(error: ArchiveError, start: &[u8]) -> ArchiveError {
    match (error, read_file_meta(start)) {
        (ArchiveError::Dicom(_), Ok(Some(meta)))
            if meta.media_storage_sop_class_uid == MEDIA_STORAGE_DIRECTORY =>
        {
            UploadError::Directory.into()
        }
        (error, _) => error,
    }
}
