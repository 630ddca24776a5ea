//! One entry of an archive, unpacked piece by piece.

use std::borrow::Cow;

use flate2::Crc;

use super::super::error::UploadError;
use super::super::inflate::Inflater;
use super::directory::{Found, Zip, read_exact};
use super::{invalid, u16_at};
use crate::error::ArchiveError;

/// Local file header (§4.3.7), without name and extra field.
const LOCAL_BYTES: usize = 30;
const LOCAL: &[u8; 4] = b"PK\x03\x04";

/// General purpose flags (§4.4.4): the entry is encrypted, is a patch, has its header masked.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Bytes of an entry that are read at once.
const PIECE: u64 = 1 << 20;

/// Bytes of a name that are read: what is told of it is shorter.
const MAX_NAME: u16 = 1024;

/// What takes the bytes of an entry, and how many packed ones they came of.
pub(in super::super) type Taker<'a> =
    &'a mut dyn FnMut(Cow<'_, [u8]>, u64) -> Result<(), ArchiveError>;

impl Zip {
    /// The name of an entry, for people.
    pub(in super::super) fn name(&self, number: usize) -> Result<String, ArchiveError> {
        let entry = &self.entries[number];
        let mut name = vec![0; entry.name_bytes.min(MAX_NAME).into()];
        read_exact(&*self.file, entry.name_at, &mut name)?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Whether an entry stands for a folder: its name ends with a slash (§4.4.17), and it has no bytes.
    pub(in super::super) fn is_folder(&self, number: usize) -> Result<bool, ArchiveError> {
        let entry = &self.entries[number];
        let Some(last) = entry.name_bytes.checked_sub(1) else {
            return Ok(false);
        };
        let mut end = [0];
        read_exact(&*self.file, entry.name_at + u64::from(last), &mut end)?;
        Ok(entry.size == 0 && matches!(end, [b'/' | b'\\']))
    }

    /// Gives the bytes of an entry to `taker`.
    ///
    /// # Errors
    ///
    /// [`UploadError::Zip`] if they are not what the directory says, [`UploadError::Unsupported`] for a method that is
    /// not read, what `taker` says, or what the disk says.
    pub(in super::super) fn read(
        &self,
        number: usize,
        max_ratio: u64,
        taker: Taker<'_>,
    ) -> Result<(), ArchiveError> {
        let entry = &self.entries[number];
        check_method(entry)?;
        let at = self.data_of(entry)?;
        let mut checked = Checked {
            entry,
            crc: Crc::new(),
            given: 0,
        };
        let mut inflater = (entry.method == DEFLATED).then(|| Inflater::deflate(max_ratio));
        let mut read = 0;
        while read < entry.packed {
            let count = PIECE.min(entry.packed - read);
            let mut piece = vec![0; usize::try_from(count).expect("a piece fits memory")];
            read_exact(&*self.file, at + read, &mut piece)?;
            read += count;
            match &mut inflater {
                None => checked.give(Cow::Owned(piece), read, taker)?,
                Some(inflater) => inflater
                    .push(&piece, read, &mut |made| {
                        checked.give(Cow::Borrowed(made), read, taker)
                    })
                    .map_err(of_entry)?,
            }
        }
        if let Some(inflater) = inflater {
            inflater
                .finish()
                .map_err(ArchiveError::from)
                .map_err(of_entry)?;
        }
        checked.finish()
    }

    /// Where the bytes of an entry begin. Its local header is only measured: what it says is in the directory too.
    fn data_of(&self, entry: &Found) -> Result<u64, ArchiveError> {
        let mut header = [0; LOCAL_BYTES];
        read_exact(&*self.file, entry.at, &mut header)?;
        if !header.starts_with(LOCAL) {
            return Err(invalid("ZIP entry has no header where the directory says").into());
        }
        let names = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let at = entry.at + LOCAL_BYTES as u64 + names;
        match at.checked_add(entry.packed) {
            Some(end) if end <= entry.end => Ok(at),
            _ => Err(UploadError::Zip {
                code: "zip.overlap",
                problem: "ZIP entry reaches into what follows it".into(),
            }
            .into()),
        }
    }
}

/// An entry's damage in the words of archives.
fn of_entry(error: ArchiveError) -> ArchiveError {
    match error {
        ArchiveError::Upload(UploadError::Gzip { offset, .. }) => invalid(format!(
            "ZIP entry is damaged near its packed byte {offset}"
        ))
        .into(),
        other => other,
    }
}

fn check_method(entry: &Found) -> Result<(), UploadError> {
    if entry.flags & ENCRYPTED != 0 {
        return Err(UploadError::Unsupported {
            code: "zip.encrypted",
            problem: "the ZIP entry is encrypted; send it without a password".into(),
        });
    }
    match entry.method {
        STORED if entry.packed != entry.size => Err(invalid(format!(
            "ZIP entry of {} bytes is stored in {}",
            entry.size, entry.packed
        ))),
        STORED | DEFLATED => Ok(()),
        other => Err(UploadError::Unsupported {
            code: "zip.method",
            problem: format!(
                "the ZIP entry is packed by method {other}; stored and deflated ones are read"
            ),
        }),
    }
}

/// Counts and sums what comes out of an entry.
struct Checked<'a> {
    entry: &'a Found,
    crc: Crc,
    given: u64,
}

impl Checked<'_> {
    fn give(
        &mut self,
        bytes: Cow<'_, [u8]>,
        packed: u64,
        taker: Taker<'_>,
    ) -> Result<(), ArchiveError> {
        self.given += bytes.len() as u64;
        if self.given > self.entry.size {
            return Err(self.other_size("more").into());
        }
        self.crc.update(&bytes);
        taker(bytes, packed)
    }

    fn finish(&self) -> Result<(), ArchiveError> {
        if self.given < self.entry.size {
            return Err(self.other_size("less").into());
        }
        match self.crc.sum() == self.entry.crc {
            true => Ok(()),
            false => Err(UploadError::Zip {
                code: "zip.checksum",
                problem: "the bytes of the ZIP entry do not have the sum they had".into(),
            }
            .into()),
        }
    }

    fn other_size(&self, how: &str) -> UploadError {
        invalid(format!(
            "ZIP entry has {how} than the {} bytes that the directory says",
            self.entry.size
        ))
    }
}
