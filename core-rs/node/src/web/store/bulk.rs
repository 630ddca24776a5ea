//! Bulk data of a Store request: spooled, and found by the URIs that metadata has in its place.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use vna_dicom::ReadAt;

use crate::error::ArchiveError;
use crate::ingest::multipart::PartHeader;
use crate::ingest::pending::Entry;
use crate::transcode::{Spool, SpoolSettings};

/// One part.
pub(super) struct BulkPart {
    /// Content-Location and Content-ID, as far as they are there.
    names: [String; 2],
    pub content_type: String,
    /// Where in the spool.
    pub offset: u64,
    pub length: u64,
    number: u64,
    used: Cell<bool>,
}

impl BulkPart {
    pub fn new(header: PartHeader, offset: u64, number: u64) -> Self {
        BulkPart {
            names: [header.location, header.content_id],
            content_type: header.content_type,
            offset,
            length: 0,
            number,
            used: Cell::new(false),
        }
    }

    pub fn extent(&self) -> (u64, u64) {
        (self.offset, self.length)
    }

    /// For telling what became of it.
    pub fn entry(&self) -> Entry {
        Entry {
            number: self.number,
            name: self.names[0].clone(),
            subject: None,
        }
    }
}

/// All parts.
pub(super) struct BulkData {
    spool: Spool,
    parts: Vec<BulkPart>,
}

impl BulkData {
    pub fn new(settings: &SpoolSettings) -> Self {
        BulkData {
            spool: Spool::new(settings),
            parts: Vec::new(),
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.spool.size()
    }

    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.spool.append(bytes)
    }

    pub fn push(&mut self, part: BulkPart) {
        self.parts.push(part);
    }

    /// All of it is there.
    pub fn found_by_uri(self) -> BulkByUri {
        let mut by_uri: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, part) in self.parts.iter().enumerate() {
            for name in part.names.iter().filter(|name| !name.is_empty()) {
                by_uri.entry(plain(name).to_owned()).or_default().push(at);
            }
        }
        BulkByUri {
            spool: Arc::new(self.spool),
            parts: self.parts,
            by_uri,
        }
    }
}

/// All parts, by what names them.
pub(super) struct BulkByUri {
    pub spool: Arc<Spool>,
    parts: Vec<BulkPart>,
    by_uri: HashMap<String, Vec<usize>>,
}

impl BulkByUri {
    /// The parts of that URI, in the order in which they came: several are the frames of an image.
    pub fn parts_of(&self, uri: &str) -> Vec<&BulkPart> {
        let found = self.by_uri.get(plain(uri));
        let found = found.map(Vec::as_slice).unwrap_or_default();
        found.iter().map(|at| self.part(*at)).collect()
    }

    /// The part of the frame of that number, counted from 1, of the image of that URI: `URI/1`, or `URI/frames/1`.
    pub fn frame(&self, uri: &str, number: u32) -> Option<&BulkPart> {
        let uri = plain(uri).trim_end_matches('/');
        let found = [format!("{uri}/{number}"), format!("{uri}/frames/{number}")];
        let found = found.iter().find_map(|name| self.by_uri.get(name))?;
        found.first().map(|at| self.part(*at))
    }

    fn part(&self, at: usize) -> &BulkPart {
        let part = &self.parts[at];
        part.used.set(true);
        part
    }

    /// What no metadata refers to.
    pub fn unused(&self) -> impl Iterator<Item = &BulkPart> {
        self.parts.iter().filter(|part| !part.used.get())
    }

    /// The first bytes of a part.
    pub fn beginning(&self, part: &BulkPart, most: u64) -> Result<Vec<u8>, ArchiveError> {
        let wanted = usize::try_from(part.length.min(most)).unwrap_or(0);
        let mut bytes = vec![0; wanted];
        let read = self.spool.read_at(&mut bytes, part.offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// A URI without what mail programs put around it (RFC 3986 Appendix C).
fn plain(uri: &str) -> &str {
    uri.trim()
        .trim_start_matches('<')
        .trim_end_matches('>')
        .trim()
}
