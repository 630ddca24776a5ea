//! Files that no archive has: in memory, or anywhere on a disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vna_codec::Codecs;
use vna_dicom::ReadAt;

use super::{TranscodeOptions, Transcoded};
use crate::error::ArchiveError;

/// Bytes that are written at once.
const PIECE_BYTES: usize = 1 << 20;

/// A Part 10 file that no archive has.
#[derive(Clone, Debug)]
pub enum LocalFile {
    /// In memory.
    Held(Arc<[u8]>),
    /// On a disk, with its length when it was opened.
    OnDisk(Arc<File>, u64),
}

impl LocalFile {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`].
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let opened = File::open(path).and_then(|file| {
            let length = file.metadata()?.len();
            Ok(LocalFile::OnDisk(Arc::new(file), length))
        });
        opened.map_err(failed("reading it"))
    }
}

impl ReadAt for LocalFile {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::OnDisk(_, length) => *length,
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        let file = match self {
            Self::Held(bytes) => return Ok(bytes[..].read_at(buffer, offset)?),
            Self::OnDisk(file, _) => file,
        };
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("reading it")(error)),
            }
        }
        Ok(filled)
    }
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TranscodedFile {
    /// The transfer syntax that it was in.
    pub from: String,
    /// Bytes of it.
    pub bytes_before: u64,
    /// Bytes of what was written.
    pub bytes_after: u64,
    /// The SOP Instance UID that compression with loss gave.
    pub new_sop_instance_uid: Option<String>,
}

/// Writes a file in another transfer syntax to `target`, which appears when it is whole.
///
/// # Errors
///
/// As [`Transcoded::of`]; [`ArchiveError::Io`]. `target` is then as it was.
pub fn transcode_file(
    source: &Path,
    target: &Path,
    transfer_syntax_uid: &str,
    options: &TranscodeOptions,
    codecs: &Arc<Codecs>,
) -> Result<TranscodedFile, ArchiveError> {
    let source = LocalFile::open(source)?;
    let from = vna_dicom::transfer_syntax_uid(&source)?;
    let bytes_before = source.size();
    let mut transcoded = Transcoded::of(source, transfer_syntax_uid, options, codecs)?;
    let mut partial = Partial::beside(target)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes_after = 0;
    loop {
        let count = transcoded.read(&mut piece)?;
        if count == 0 {
            break;
        }
        let written = partial.file.write_all(&piece[..count]);
        written.map_err(failed("writing the new file"))?;
        bytes_after += count as u64;
    }
    partial.finish(target)?;
    Ok(TranscodedFile {
        from,
        bytes_before,
        bytes_after,
        new_sop_instance_uid: transcoded.sop_instance_uid().map(str::to_owned),
    })
}

/// A file that is removed if it does not become whole.
struct Partial {
    file: File,
    path: PathBuf,
    whole: bool,
}

impl Partial {
    fn beside(target: &Path) -> Result<Self, ArchiveError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(&path);
        Ok(Partial {
            file: file.map_err(failed("writing the new file"))?,
            path,
            whole: false,
        })
    }

    fn finish(mut self, target: &Path) -> Result<(), ArchiveError> {
        let renamed = self
            .file
            .sync_data()
            .and_then(|()| std::fs::rename(&self.path, target));
        renamed.map_err(failed("writing the new file"))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> ArchiveError {
    move |source| ArchiveError::Io { doing, source }
}
