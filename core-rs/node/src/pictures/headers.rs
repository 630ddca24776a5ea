//! Headers of images whose pictures were asked for last, a bounded number of bytes of them: whoever goes through the
//! frames of an image has its header read once.
//!
//! What a blob gives never changes in one form, so what is kept of it is true as long as it is kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vna_dicom::FrameTable;
use vna_image::ImageDescription;
use vna_store::{BlobKey, BlobRef, Encoding};

use crate::stored_image::ImageHeader;

/// A header takes about so much more memory than bytes of the file: each element is on its own.
const PARSED_FACTOR: u64 = 6;

/// What a header takes at least, and a frame or fragment of a table.
const LEAST_BYTES: u64 = 2 << 10;
const PLACE_BYTES: u64 = 32;

/// What is known of an image without reading it.
#[derive(Clone)]
pub(super) struct Known {
    pub header: Arc<ImageHeader>,
    pub description: Arc<ImageDescription>,
}

/// See the module.
pub(super) struct Headers {
    limit: u64,
    kept: Mutex<Kept>,
    pub hits: AtomicU64,
}

#[derive(Default)]
struct Kept {
    found: HashMap<Id, Entry>,
    bytes: u64,
    clock: u64,
}

type Id = (BlobKey, Encoding);

struct Entry {
    known: Known,
    bytes: u64,
    used: u64,
}

impl Headers {
    /// A cache of so many bytes.
    pub fn new(limit: u64) -> Self {
        Headers {
            limit,
            kept: Mutex::default(),
            hits: AtomicU64::new(0),
        }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn bytes(&self) -> u64 {
        self.kept.lock().bytes
    }

    pub fn get(&self, blob: &BlobRef) -> Option<Known> {
        let mut kept = self.kept.lock();
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.found.get_mut(&(blob.key, blob.encoding))?;
        entry.used = now;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry.known.clone())
    }

    /// Keeps what was read of a blob, unless it alone would take a large part of all there is.
    pub fn keep(&self, blob: &BlobRef, known: Known) {
        let bytes = cost(&known.header);
        if bytes > self.limit / 4 {
            return;
        }
        let mut kept = self.kept.lock();
        let id = (blob.key, blob.encoding);
        kept.remove(id);
        while kept.bytes + bytes > self.limit {
            let oldest = kept.found.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            kept.remove(oldest);
        }
        let used = kept.clock;
        kept.bytes += bytes;
        kept.found.insert(id, Entry { known, bytes, used });
    }
}

impl Kept {
    fn remove(&mut self, id: Id) {
        if let Some(entry) = self.found.remove(&id) {
            self.bytes -= entry.bytes;
        }
    }
}

/// Bytes that a header takes, roughly and rather too many.
fn cost(header: &ImageHeader) -> u64 {
    let places = match &header.frames {
        FrameTable::Native { .. } => 0,
        FrameTable::Encapsulated { fragments, .. } => header.frames.len() + fragments.len(),
    };
    let parsed = header.pixel_data.value_offset.saturating_mul(PARSED_FACTOR);
    parsed.saturating_add(LEAST_BYTES + PLACE_BYTES * places as u64)
}
