//! Large blobs: files of their own.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vna_io::{DiskFile, Open};

use crate::error::StoreError;
use crate::handles::FileId;
use crate::shared::{Shared, is_full};
use crate::sites;
use crate::types::{BlobKey, Digest, Digester, Encoding};

/// Writes one large blob. Dropped before [`finish`](LargeBlobWriter::finish), it leaves nothing.
pub struct LargeBlobWriter {
    shared: Arc<Shared>,
    file: Arc<dyn DiskFile>,
    key: BlobKey,
    size: u64,
    digester: Digester,
    is_finished: bool,
}

impl LargeBlobWriter {
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<LargeBlobWriter, StoreError> {
        let key = BlobKey(shared.keys.make());
        let file = shared
            .disk
            .open(&shared.paths.incoming_blob(&key), Open::CreateNew)?;
        if let Some(fresh) = &mut *shared.fresh_blobs.lock() {
            fresh.insert(key);
        }
        let (shared, digester) = (Arc::clone(shared), Digester::new());
        Ok(LargeBlobWriter {
            shared,
            file,
            key,
            size: 0,
            digester,
            is_finished: false,
        })
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if they would not leave the reserve free, or the system's refusal. The
    /// writer is of no use afterwards.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        self.shared.check_room(length)?;
        self.file
            .write_all_at(&[IoSlice::new(bytes)], self.size)
            .map_err(|error| match is_full(&error) {
                true => self.shared.full(length),
                false => StoreError::Io(error),
            })?;
        self.digester.update(bytes);
        self.size += length;
        Ok(())
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes so far, to be read while they are not a blob yet.
    pub fn written(&self) -> WrittenBytes {
        WrittenBytes {
            file: Arc::clone(&self.file),
            size: self.size,
        }
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        self.digester.finish()
    }

    /// Makes the blob durable under its final name. It counts when a record refers to it.
    ///
    /// # Errors
    ///
    /// The system's refusal; the blob is then removed, or found and set aside at the next opening.
    pub fn finish(mut self) -> Result<FinishedBlob, StoreError> {
        let Shared { disk, paths, .. } = &*self.shared;
        self.file.sync_data(sites::BLOB_BYTES)?; // (6)
        let folder = paths.blob_folder(&self.key);
        let number = usize::from(self.key.0[0]);
        if !self.shared.durable_folders.lock()[number] {
            disk.create_dir_all(&folder)?;
            self.shared.durable_folders.lock()[number] = true;
        }
        let path = paths.blob(&self.key, Encoding::PLAIN);
        disk.rename(&paths.incoming_blob(&self.key), &path)?;
        self.is_finished = true; // from here on the file has its final name, whatever follows
        let blob = FinishedBlob {
            shared: Arc::clone(&self.shared),
            key: self.key,
            size: self.size,
            digest: self.digester.finish(),
            is_referred: AtomicBool::new(false),
        };
        disk.sync_dir(&folder, sites::BLOB_NAME)?; // (6)
        Ok(blob)
    }
}

impl Drop for LargeBlobWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // If this fails, the next opening removes it.
            drop(
                self.shared
                    .disk
                    .remove(&self.shared.paths.incoming_blob(&self.key)),
            );
            forget(&self.shared, &self.key);
        }
    }
}

/// What was written of a large blob that is not finished. They can be read also when it is given up meanwhile.
#[derive(Clone)]
pub struct WrittenBytes {
    file: Arc<dyn DiskFile>,
    size: u64,
}

impl WrittenBytes {
    /// How many there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads at `offset`; fewer bytes than `buffer` takes only at the end.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut count = 0;
        while count < wanted {
            match self
                .file
                .read_at(&mut buffer[count..wanted], offset + count as u64)?
            {
                0 => break,
                read => count += read,
            }
        }
        Ok(count)
    }
}

/// A large blob that is durable, and that no record refers to yet. Dropped without having been
/// appended, it is removed.
pub struct FinishedBlob {
    shared: Arc<Shared>,
    key: BlobKey,
    size: u64,
    digest: Digest,
    is_referred: AtomicBool,
}

impl FinishedBlob {
    /// Its name.
    pub fn key(&self) -> BlobKey {
        self.key
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A record that refers to it may be durable: it is no longer ours to remove.
    pub(crate) fn set_referred(&self) {
        self.is_referred.store(true, Ordering::Release);
    }
}

impl Drop for FinishedBlob {
    fn drop(&mut self) {
        if !*self.is_referred.get_mut() {
            let path = self.shared.paths.blob(&self.key, Encoding::PLAIN);
            drop(self.shared.disk.remove(&path));
            forget(&self.shared, &self.key);
        }
    }
}

fn forget(shared: &Shared, key: &BlobKey) {
    if let Some(fresh) = &mut *shared.fresh_blobs.lock() {
        fresh.remove(key);
    }
}

/// Removes the files of large blobs, in whatever form they are kept, durably. Those that are gone already are no error.
pub fn remove_files(shared: &Shared, keys: &[BlobKey]) -> Result<usize, StoreError> {
    let mut forms = Vec::new();
    for key in keys {
        let path = |encoding| shared.paths.blob(key, encoding);
        let is_there = |encoding: &Encoding| {
            // The plain one is asked for in every case: its folder is synced also if it is gone.
            *encoding == Encoding::PLAIN || shared.disk.exists(&path(*encoding)).unwrap_or(true)
        };
        forms.extend(
            Encoding::all()
                .filter(is_there)
                .map(|encoding| (*key, encoding)),
        );
    }
    remove_forms(shared, &forms)
}

/// Removes files of large blobs, durably. Those that are gone already are no error.
pub fn remove_forms(shared: &Shared, forms: &[(BlobKey, Encoding)]) -> Result<usize, StoreError> {
    let mut folders = std::collections::BTreeMap::new();
    let mut removed = 0;
    for (key, encoding) in forms {
        let result = shared.disk.remove(&shared.paths.blob(key, *encoding));
        shared.handles.forget(FileId::Blob(*key, *encoding));
        match result {
            Ok(()) => {
                removed += 1;
                folders.insert(key.0[0], key);
            }
            // Its folder is synced all the same: a killed process may have removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if shared.disk.exists(&shared.paths.blob_folder(key))? {
                    folders.insert(key.0[0], key);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    for key in folders.values() {
        shared
            .disk
            .sync_dir(&shared.paths.blob_folder(key), sites::BLOB_REMOVED)?;
    }
    Ok(removed)
}

/// What [`Log::sweep`](crate::Log::sweep) found among the files of large blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Files looked at.
    pub files: usize,
    /// Blobs that the log knows and nobody wants: removed.
    pub removed: Vec<BlobKey>,
    /// Files that no record of the log refers to: moved to `quarantine/`.
    pub quarantined: Vec<String>,
}
