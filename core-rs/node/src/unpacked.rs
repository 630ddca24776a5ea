//! Parts of recompressed files that were unpacked last, a bounded number of bytes of them: whoever reads a file piece
//! by piece decodes each frame once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vna_store::{BlobKey, BlobRef, Encoding};

use crate::recompress::Container;

/// See the module. A part that alone is longer than the bound stays until the next one comes.
pub(crate) struct Unpacked {
    limit: u64,
    kept: Mutex<Kept>,
    /// Parts that were found here.
    pub hits: AtomicU64,
    /// Parts that had to be unpacked.
    pub misses: AtomicU64,
}

#[derive(Default)]
struct Kept {
    found: HashMap<Id, (Found, u64)>,
    bytes: u64,
    clock: u64,
}

/// A part of a blob in one form; `None` for its table.
type Id = (BlobKey, Encoding, Option<usize>);

#[derive(Clone)]
enum Found {
    Part(Arc<Vec<u8>>),
    Container(Arc<Container>),
}

impl Found {
    fn bytes(&self) -> u64 {
        match self {
            Found::Part(bytes) => bytes.capacity() as u64,
            Found::Container(container) => container.memory(),
        }
    }
}

impl Unpacked {
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub fn part(&self, blob: &BlobRef, index: usize) -> Option<Arc<Vec<u8>>> {
        match self.get((blob.key, blob.encoding, Some(index)))? {
            Found::Part(bytes) => Some(bytes),
            Found::Container(_) => None,
        }
    }

    pub fn keep_part(&self, blob: &BlobRef, index: usize, bytes: Vec<u8>) -> Arc<Vec<u8>> {
        let bytes = Arc::new(bytes);
        let id = (blob.key, blob.encoding, Some(index));
        self.keep(id, Found::Part(Arc::clone(&bytes)));
        bytes
    }

    pub fn container(&self, blob: &BlobRef) -> Option<Arc<Container>> {
        match self.get((blob.key, blob.encoding, None))? {
            Found::Container(container) => Some(container),
            Found::Part(_) => None,
        }
    }

    pub fn keep_container(&self, blob: &BlobRef, container: &Arc<Container>) {
        let id = (blob.key, blob.encoding, None);
        self.keep(id, Found::Container(Arc::clone(container)));
    }

    /// Bytes that are kept now.
    pub fn bytes(&self) -> u64 {
        self.kept.lock().bytes
    }

    fn get(&self, id: Id) -> Option<Found> {
        let mut kept = self.kept.lock();
        kept.clock += 1;
        let now = kept.clock;
        let found = kept.found.get_mut(&id).map(|(found, used)| {
            *used = now;
            found.clone()
        });
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn keep(&self, id: Id, found: Found) {
        let mut kept = self.kept.lock();
        let bytes = found.bytes();
        while kept.bytes + bytes > self.limit && !kept.found.is_empty() {
            let oldest = kept.found.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            kept.remove(&oldest);
        }
        kept.remove(&id);
        let now = kept.clock;
        kept.bytes += bytes;
        kept.found.insert(id, (found, now));
    }
}

impl Kept {
    fn remove(&mut self, id: &Id) {
        if let Some((found, _)) = self.found.remove(id) {
            self.bytes -= found.bytes();
        }
    }
}
