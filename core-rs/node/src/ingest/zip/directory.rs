//! The directory of an archive: what it holds, and where.

use std::sync::Arc;

use vna_io::DiskFile;

use super::super::error::UploadError;
use super::{invalid, u16_at, u32_at, u64_at};
use crate::error::ArchiveError;

/// End of central directory record (§4.3.16), without its comment.
const END_BYTES: usize = 22;
const END: &[u8; 4] = b"PK\x05\x06";
/// A comment has at most 65,535 bytes.
const MAX_COMMENT: u64 = u16::MAX as u64;

/// Zip64 end of central directory locator (§4.3.15) and record (§4.3.14).
const LOCATOR_BYTES: usize = 20;
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const END_64_BYTES: usize = 56;
const END_64: &[u8; 4] = b"PK\x06\x06";

/// Central file header (§4.3.12), without name, extra field and comment.
const HEADER_BYTES: usize = 46;
const HEADER: &[u8; 4] = b"PK\x01\x02";

/// The extra field that holds sizes and offsets of 64 bits (§4.5.3).
const EXTRA_64: u16 = 1;

/// Stands where the number is in the extra field.
const IN_EXTRA: u32 = u32::MAX;

/// Bytes of the directory that are read at once.
const PIECE: usize = 64 << 10;

/// An archive whose directory was read.
pub(in super::super) struct Zip {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) entries: Vec<Found>,
}

/// One entry, as the directory describes it. The name stays in the file: it may have 64 KB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Where its local header is.
    pub(super) at: u64,
    /// Where it ends at the latest: the next entry, or the directory, begins there.
    pub(super) end: u64,
    pub(super) name_at: u64,
    pub(super) name_bytes: u16,
}

/// Where the directory is.
struct Directory {
    at: u64,
    bytes: u64,
    entries: u64,
    /// What to add to every offset: some archives have a program before them.
    shift: u64,
}

impl Zip {
    /// Reads the directory of an archive of at most `max_entries`.
    ///
    /// # Errors
    ///
    /// [`UploadError::Zip`], [`UploadError::Entries`], or what the disk says.
    pub(in super::super) fn open(
        file: Arc<dyn DiskFile>,
        max_entries: u64,
    ) -> Result<Self, ArchiveError> {
        let length = file.len().map_err(reading)?;
        let directory = find(&*file, length)?;
        if directory.entries > max_entries {
            return Err(UploadError::Entries { limit: max_entries }.into());
        }
        let mut entries = read(&*file, &directory)?;
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_unstable_by_key(|number| entries[*number].at);
        let mut end = directory.at;
        for number in order.into_iter().rev() {
            entries[number].end = end;
            end = entries[number].at;
        }
        Ok(Self { file, entries })
    }

    /// How many entries it has, folders included.
    pub(in super::super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What its entries say that they have, all together.
    pub(in super::super) fn unpacked_bytes(&self) -> u64 {
        self.entries
            .iter()
            .fold(0, |sum, entry| entry.size.saturating_add(sum))
    }
}

fn reading(error: std::io::Error) -> ArchiveError {
    UploadError::Source {
        problem: error.to_string(),
    }
    .into()
}

pub(super) fn read_exact(
    file: &dyn DiskFile,
    at: u64,
    buffer: &mut [u8],
) -> Result<(), ArchiveError> {
    match file.read_at(buffer, at).map_err(reading)? == buffer.len() {
        true => Ok(()),
        false => Err(invalid(format!(
            "ZIP archive ends within {} bytes at byte {at}",
            buffer.len()
        ))
        .into()),
    }
}

/// Finds the directory from the end of the file.
fn find(file: &dyn DiskFile, length: u64) -> Result<Directory, ArchiveError> {
    let from = length.saturating_sub(MAX_COMMENT + END_BYTES as u64);
    let mut tail = vec![0; usize::try_from(length - from).expect("a tail fits memory")];
    read_exact(file, from, &mut tail)?;
    let last = tail.len().checked_sub(END_BYTES);
    let at = last.and_then(|last| (0..=last).rev().find(|at| is_end(&tail, *at)));
    let Some(at) = at else {
        return Err(UploadError::Zip {
            code: "zip.truncated",
            problem: "ZIP archive without a directory at its end: it was cut off".into(),
        }
        .into());
    };
    let end = &tail[at..at + END_BYTES];
    let mut directory = Directory {
        entries: u16_at(end, 10).into(),
        bytes: u32_at(end, 12).into(),
        at: u32_at(end, 16).into(),
        shift: 0,
    };
    let mut disks = (u16_at(end, 4).into(), u16_at(end, 6).into());
    let mut behind = from + at as u64;
    if let Some(locator) = at.checked_sub(LOCATOR_BYTES).map(|start| &tail[start..at]) {
        if locator.starts_with(LOCATOR) {
            (directory, disks, behind) = find_64(file, u64_at(locator, 8), behind)?;
        }
    }
    if disks != (0, 0) {
        return Err(UploadError::Unsupported {
            code: "zip.split",
            problem: "a ZIP archive in several files; one in a single file is read".into(),
        }
        .into());
    }
    // The directory ends where its end record begins; if it says otherwise, something stands before the archive.
    let begins = behind.checked_sub(directory.bytes);
    let shift = begins.and_then(|begins| begins.checked_sub(directory.at));
    let Some(shift) = shift else {
        return Err(invalid("ZIP directory is longer than what is before its end").into());
    };
    directory.shift = shift;
    directory.at += shift;
    Ok(directory)
}

/// Whether an end record is at `at` whose comment ends where the file does.
fn is_end(tail: &[u8], at: usize) -> bool {
    tail[at..].starts_with(END) && at + END_BYTES + usize::from(u16_at(tail, at + 20)) == tail.len()
}

/// The record of archives that need 64 bits, which the locator says to be at `at`, before byte `before`.
fn find_64(
    file: &dyn DiskFile,
    at: u64,
    before: u64,
) -> Result<(Directory, (u32, u32), u64), ArchiveError> {
    let mut record = [0; END_64_BYTES];
    let standard = before
        .checked_sub((LOCATOR_BYTES + END_64_BYTES) as u64)
        .ok_or_else(|| invalid("ZIP64 record does not fit before its locator"))?;
    // Behind a program that stands before the archive, the locator's offset is too small; the record has this length
    // in every archive that is not encrypted.
    for at in [at, standard] {
        if at > standard {
            continue;
        }
        read_exact(file, at, &mut record)?;
        if record.starts_with(END_64) {
            let directory = Directory {
                entries: u64_at(&record, 32),
                bytes: u64_at(&record, 40),
                at: u64_at(&record, 48),
                shift: 0,
            };
            return Ok((directory, (u32_at(&record, 16), u32_at(&record, 20)), at));
        }
    }
    Err(invalid("ZIP64 record is not where its locator says").into())
}

fn read(file: &dyn DiskFile, directory: &Directory) -> Result<Vec<Found>, ArchiveError> {
    let mut cursor = Cursor {
        file,
        at: directory.at,
        end: directory.at + directory.bytes,
        piece: Vec::new(),
        from: 0,
    };
    let mut entries = Vec::new();
    while (entries.len() as u64) < directory.entries {
        let header: [u8; HEADER_BYTES] = cursor
            .take(HEADER_BYTES)?
            .try_into()
            .expect("as many as were asked for");
        if !header.starts_with(HEADER) {
            let number = entries.len();
            return Err(invalid(format!("ZIP directory: entry {number} has no header")).into());
        }
        let (name, extra, comment) = (
            u16_at(&header, 28),
            u16_at(&header, 30),
            u16_at(&header, 32),
        );
        let name_at = cursor.at;
        cursor.take(name.into())?;
        let mut entry = Found {
            flags: u16_at(&header, 8),
            method: u16_at(&header, 10),
            crc: u32_at(&header, 16),
            packed: u32_at(&header, 20).into(),
            size: u32_at(&header, 24).into(),
            at: u32_at(&header, 42).into(),
            end: 0,
            name_at,
            name_bytes: name,
        };
        entry.widen(cursor.take(extra.into())?)?;
        entry.at = entry
            .at
            .checked_add(directory.shift)
            .filter(|at| *at < directory.at)
            .ok_or_else(|| invalid("ZIP directory: an entry begins behind all entries"))?;
        cursor.take(comment.into())?;
        entries.push(entry);
    }
    Ok(entries)
}

impl Found {
    /// Takes from the extra field what has no room in the header: in this order, those that stand for it.
    fn widen(&mut self, extra: &[u8]) -> Result<(), UploadError> {
        let wide = [&mut self.size, &mut self.packed, &mut self.at];
        let mut lacking = wide
            .into_iter()
            .filter(|number| **number == u64::from(IN_EXTRA))
            .peekable();
        if lacking.peek().is_none() {
            return Ok(());
        }
        let mut rest = extra;
        while let [a, b, c, d, behind @ ..] = rest {
            let length = usize::from(u16::from_le_bytes([*c, *d])).min(behind.len());
            if u16::from_le_bytes([*a, *b]) == EXTRA_64 {
                for (number, bytes) in lacking.by_ref().zip(behind[..length].chunks_exact(8)) {
                    *number = u64_at(bytes, 0);
                }
            }
            rest = &behind[length..];
        }
        Ok(()) // where nothing stood for it, the number is what it says
    }
}

/// Reads the directory piece by piece.
struct Cursor<'a> {
    file: &'a dyn DiskFile,
    /// The next byte that is given.
    at: u64,
    /// Where the directory ends.
    end: u64,
    piece: Vec<u8>,
    /// Where `piece` begins in the file.
    from: u64,
}

impl Cursor<'_> {
    /// The next `count` bytes.
    fn take(&mut self, count: usize) -> Result<&[u8], ArchiveError> {
        let wanted = self.at + count as u64;
        if wanted > self.end {
            return Err(invalid("ZIP directory is shorter than its entries").into());
        }
        let has = self.at >= self.from && wanted <= self.from + self.piece.len() as u64;
        if !has {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.piece.resize(left.min(PIECE.max(count)), 0);
            self.from = self.at;
            read_exact(self.file, self.from, &mut self.piece)?;
        }
        let start = usize::try_from(self.at - self.from).expect("within a piece");
        self.at = wanted;
        Ok(&self.piece[start..start + count])
    }
}
