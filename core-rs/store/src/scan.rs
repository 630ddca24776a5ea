//! Reading records where no index says where they are.

use std::io;

use vna_io::DiskFile;

use crate::error::{Damage, DamageKind};
use crate::format::{
    ALIGNMENT, Entry, FIRST_RECORD, Holds, RECORD_HEADER_BYTES, RecordHeader, RecordProblem,
    SegmentHeader,
};
use crate::horizon;
use crate::types::{Digest, Digester, Lsn};

/// Longest caller's header that a record may have, in bytes. AE titles, addresses and times need
/// some hundred; the bound keeps what a damaged length can make us read small.
pub const MAX_HEADER_BYTES: usize = 64 << 10;

/// Bytes read at once where records follow each other closely.
const WINDOW_BYTES: usize = 256 << 10;

/// Reads a file through a window, so that small records do not cost a system call each.
pub struct Reader<'a> {
    file: &'a dyn DiskFile,
    window: Vec<u8>,
    at: u64,
}

impl<'a> Reader<'a> {
    pub fn new(file: &'a dyn DiskFile) -> Reader<'a> {
        Reader {
            file,
            window: Vec::new(),
            at: 0,
        }
    }

    /// `length` bytes from `offset`, fewer at the end of the file. At least `ahead` are read if any
    /// are.
    pub fn bytes(&mut self, offset: u64, length: usize, ahead: usize) -> io::Result<&[u8]> {
        let inside = |at: u64, window: &[u8]| {
            let start = usize::try_from(offset.checked_sub(at)?).ok()?;
            let end = start
                .checked_add(length)
                .filter(|end| *end <= window.len())?;
            Some(start..end)
        };
        if inside(self.at, &self.window).is_none() {
            self.window.resize(length.max(ahead), 0);
            let read = self.file.read_at(&mut self.window, offset)?;
            self.window.truncate(read);
            self.at = offset;
        }
        let range = inside(self.at, &self.window).unwrap_or(0..self.window.len().min(length));
        Ok(&self.window[range])
    }

    /// The record header at `offset`, and the caller's; `ahead` as for [`bytes`](Reader::bytes).
    pub fn record(
        &mut self,
        salt: &[u8; 16],
        offset: u64,
        ahead: usize,
    ) -> io::Result<Result<(RecordHeader, &[u8]), RecordProblem>> {
        let fixed = self.bytes(offset, RECORD_HEADER_BYTES, ahead)?;
        let Some(needed) = RecordHeader::claimed_bytes(fixed) else {
            return Ok(Err(RecordProblem::NoRecord));
        };
        let encoded_bytes = RecordHeader::claimed_encoded_bytes(fixed);
        if needed > RECORD_HEADER_BYTES + encoded_bytes + MAX_HEADER_BYTES {
            return Ok(Err(RecordProblem::Damaged));
        }
        let bytes = self.bytes(offset, needed, ahead)?;
        let header = RecordHeader::decode(bytes, salt, offset);
        let caller_at = RECORD_HEADER_BYTES + RecordHeader::claimed_encoded_bytes(bytes);
        Ok(header.map(|header| (header, &bytes[caller_at..])))
    }

    /// The digest of `length` bytes from `offset`; `None` if the file ends before.
    pub fn digest(&mut self, mut offset: u64, length: u64) -> io::Result<Option<Digest>> {
        let mut digester = Digester::new();
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(WINDOW_BYTES)
                .min(WINDOW_BYTES);
            let bytes = self.bytes(offset, wanted, wanted)?;
            if bytes.len() < wanted {
                return Ok(None);
            }
            if left == length && wanted as u64 == length {
                return Ok(Some(Digest::of(bytes)));
            }
            digester.update(bytes);
            offset += wanted as u64;
            left -= wanted as u64;
        }
        Ok(Some(digester.finish()))
    }
}

/// What to look for in a segment, and how far it can be trusted.
pub struct Scan<'a> {
    pub file: &'a dyn DiskFile,
    pub header: &'a SegmentHeader,
    /// Where to stop, in bytes.
    pub stop: u64,
    /// Every record before `stop` was acknowledged. Otherwise those at the end may be torn, which
    /// is no damage: nobody was told that they are stored.
    pub all_acknowledged: bool,
    /// Blobs of records up to here are not compared with their digests.
    pub known_good: Lsn,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    pub entries: Vec<Entry>,
    /// Where the records end, in bytes.
    pub end: u64,
    pub damages: Vec<Damage>,
    /// The largest horizon that a record states.
    pub horizon: Lsn,
    /// Behind the end there are bytes that are not zero.
    pub has_remains: bool,
}

impl Scan<'_> {
    /// Finds the valid records.
    ///
    /// Where there is none, the search goes on: a later record which shows that this place was
    /// acknowledged makes it damage. If there is no such record, the log ends here.
    pub fn run(&self) -> io::Result<Found> {
        let mut reader = Reader::new(self.file);
        let mut found = Found {
            horizon: self.header.horizon,
            ..Found::default()
        };
        let mut offset = FIRST_RECORD;
        let mut last = self.header.committed;
        let mut is_chained = self.header.replaces == 0;
        while offset < self.stop {
            if let Some(header) = self.accept(&mut reader, offset, last, is_chained)? {
                if header.kind == horizon::KIND {
                    found.horizon = found.horizon.max(self.stated_horizon(&mut reader, offset)?);
                }
                found.entries.push(entry_of(&header, offset));
                offset += header.record_bytes();
                last = header.lsn;
                is_chained = self.header.replaces == 0;
                continue;
            }
            let Some(next) = self.next_proof(&mut reader, offset, last)? else {
                break;
            };
            found.damages.push(self.unreadable(offset, next));
            offset = next;
            is_chained = false;
        }
        if self.all_acknowledged && self.header.replaces == 0 && offset < self.stop {
            // Left as it is: somebody may still get something out of it.
            found.damages.push(self.unreadable(offset, self.stop));
            offset = self.stop;
        }
        found.end = offset;
        found.has_remains = self.has_remains(&mut reader, offset)?;
        Ok(found)
    }

    fn unreadable(&self, offset: u64, until: u64) -> Damage {
        let kind = DamageKind::Unreadable { until };
        Damage {
            segment: self.header.id,
            offset,
            lsn: None,
            key: None,
            kind,
        }
    }

    /// The record at `offset` if it is valid and follows the record `last`.
    fn accept(
        &self,
        reader: &mut Reader<'_>,
        offset: u64,
        last: Lsn,
        is_chained: bool,
    ) -> io::Result<Option<RecordHeader>> {
        let Some(header) = self.valid_header(reader, offset, last)? else {
            return Ok(None);
        };
        if is_chained && header.previous() != last {
            return Ok(None);
        }
        let is_trusted = self.all_acknowledged || header.lsn <= self.known_good;
        if header.holds == Holds::Blob && !is_trusted {
            let digest = reader.digest(offset + header.body_at(), header.body_bytes)?;
            if digest != Some(header.stored_digest()) {
                return Ok(None);
            }
        }
        Ok(Some(header))
    }

    fn valid_header(
        &self,
        reader: &mut Reader<'_>,
        offset: u64,
        last: Lsn,
    ) -> io::Result<Option<RecordHeader>> {
        let record = reader.record(&self.header.salt, offset, WINDOW_BYTES)?;
        let fits = |header: &RecordHeader| {
            offset
                .checked_add(header.record_bytes())
                .is_some_and(|end| end <= self.stop)
        };
        Ok(record
            .ok()
            .map(|(header, _)| header)
            .filter(|h| h.lsn > last && fits(h)))
    }

    fn stated_horizon(&self, reader: &mut Reader<'_>, offset: u64) -> io::Result<Lsn> {
        let record = reader.record(&self.header.salt, offset, WINDOW_BYTES)?;
        Ok(record
            .ok()
            .and_then(|(_, bytes)| horizon::read(bytes))
            .unwrap_or(0))
    }

    /// The first valid record behind `offset` which shows that what is at `offset` was
    /// acknowledged: its group was begun after a later group than `last`'s was durable.
    fn next_proof(
        &self,
        reader: &mut Reader<'_>,
        offset: u64,
        last: Lsn,
    ) -> io::Result<Option<u64>> {
        let mut at = offset + ALIGNMENT;
        while at < self.stop {
            let Some(candidate) = next_nonzero(reader, at, self.stop)? else {
                break;
            };
            if let Some(header) = self.valid_header(reader, candidate, last)? {
                let is_proof = self.all_acknowledged
                    || header.committed > last
                    || header.lsn <= self.known_good;
                if is_proof {
                    return Ok(Some(candidate));
                }
            }
            at = candidate + ALIGNMENT;
        }
        Ok(None)
    }

    fn has_remains(&self, reader: &mut Reader<'_>, end: u64) -> io::Result<bool> {
        Ok(!self.all_acknowledged && next_nonzero(reader, end, self.file.len()?)?.is_some())
    }
}

/// The first place from `at` on, a multiple of [`ALIGNMENT`], that does not hold zeros.
fn next_nonzero(reader: &mut Reader<'_>, at: u64, stop: u64) -> io::Result<Option<u64>> {
    let mut at = at;
    while at < stop {
        let left = usize::try_from(stop - at)
            .unwrap_or(WINDOW_BYTES)
            .min(WINDOW_BYTES);
        let in_window = reader.bytes(at, 1, WINDOW_BYTES)?.len();
        if in_window == 0 {
            break;
        }
        let bytes = reader.rest_of_window(at, left);
        let step = usize::try_from(ALIGNMENT).unwrap_or(8);
        if let Some(index) = bytes
            .chunks(step)
            .position(|c| c.iter().any(|byte| *byte != 0))
        {
            return Ok(Some(at + (index * step) as u64));
        }
        at += (bytes.len() as u64).next_multiple_of(ALIGNMENT);
    }
    Ok(None)
}

impl Reader<'_> {
    /// What the window holds from `offset` on, which is in it; at most `length` bytes.
    fn rest_of_window(&self, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from(offset - self.at)
            .unwrap_or(0)
            .min(self.window.len());
        let end = self.window.len().min(start + length);
        &self.window[start..end]
    }
}

pub fn entry_of(header: &RecordHeader, offset: u64) -> Entry {
    Entry {
        key: header.key,
        lsn: header.lsn,
        offset,
        body_bytes: header.body_bytes,
        header_bytes: header.header_bytes,
        kind: header.kind,
        holds: header.holds,
        encoding: header.encoding(),
        tried: header.tried,
    }
}
