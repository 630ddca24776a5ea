//! Files of this machine's disks into an archive. Which ones is for others to say.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vna_io::{Disk, Open, RealDisk};

use super::error::UploadError;
use super::item::{Item, Packed};
use super::object::Ingest;
use super::pending::{Entry, Told};
use super::report::{Form, Report};
use super::unpack::{check_bounds, unpack};
use super::upload::Done;
use super::zip::Zip;
use crate::archive::Archive;
use crate::arrival::Caller;
use crate::error::ArchiveError;

/// Bytes of a file that are read at once; most files have fewer.
const PIECE: u64 = 1 << 20;

/// Archives are not spooled: they are read where they are.
const ON_DISK: Packed = Packed {
    gzip: true,
    zip: false,
    zlib: true,
};

/// Stores files, and says of each what became of it, in their order. A ZIP archive is only counted: its entries are
/// for [`import_entries`], so that several threads can share them.
///
/// `done` gets an error if something keeps all files from being stored. What is wrong with one file is told of that
/// file.
pub fn import_files(archive: &Arc<Archive>, caller: Caller, paths: &[PathBuf], done: Done) {
    let ingest = Ingest::new(Arc::clone(archive), caller.tenant, caller.origin);
    let submitted = submit_files(&ingest, paths);
    finish(ingest, submitted, done);
}

/// Stores `count` entries of the ZIP archive at `path`, from entry `first` on, and says of each what became of it;
/// folders are no entries to speak of.
///
/// `done` gets an error if something is wrong with the archive itself, or keeps all of it from being stored.
pub fn import_entries(
    archive: &Arc<Archive>,
    caller: Caller,
    path: &Path,
    first: usize,
    count: usize,
    done: Done,
) {
    let ingest = Ingest::new(Arc::clone(archive), caller.tenant, caller.origin);
    let submitted = submit_entries(&ingest, path, first, count);
    finish(ingest, submitted, done);
}

fn finish(ingest: Arc<Ingest>, submitted: Result<(), Arc<ArchiveError>>, done: Done) {
    let pending = Arc::clone(&ingest.pending);
    // Nothing that is called from here on has the archive: its last owner must not be the committer.
    drop(ingest);
    match submitted {
        Err(error) => done(Err(error)),
        Ok(()) => pending.finish(Box::new(move |outcomes| {
            done(outcomes.and_then(|outcomes| Report::of(outcomes, Form::All)));
        })),
    }
}

fn submit_files(ingest: &Arc<Ingest>, paths: &[PathBuf]) -> Result<(), Arc<ArchiveError>> {
    for (number, path) in (0..).zip(paths) {
        ingest.pending.check()?;
        let entry = Entry {
            number,
            name: path.to_string_lossy().into_owned(),
            subject: None,
        };
        if let Err(error) = import_file(ingest, &entry, path) {
            ingest.pending.refuse(entry, error)?;
        }
    }
    Ok(())
}

fn submit_entries(
    ingest: &Arc<Ingest>,
    path: &Path,
    first: usize,
    count: usize,
) -> Result<(), Arc<ArchiveError>> {
    let zip = open_zip(ingest, path)?;
    let end = first.saturating_add(count).min(zip.len());
    unpack(ingest, &zip, first.min(end)..end, 0)
}

fn open_zip(ingest: &Ingest, path: &Path) -> Result<Zip, ArchiveError> {
    let file = RealDisk.open(path, Open::Read).map_err(unreadable)?;
    let zip = Zip::open(file, ingest.bounds().max_entries)?;
    check_bounds(ingest, &zip)?;
    Ok(zip)
}

fn import_file(ingest: &Arc<Ingest>, entry: &Entry, path: &Path) -> Result<(), ArchiveError> {
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        // A pipe would keep us waiting, a device would never end.
        return Err(UploadError::Source {
            problem: "no regular file".into(),
        }
        .into());
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut item = Item::new(ingest, entry.clone(), ON_DISK);
    let mut read = 0;
    loop {
        // The length only says how much to read at once: a file may grow or shrink meanwhile.
        let count = about.len().saturating_sub(read).clamp(1, PIECE);
        let mut piece = Vec::new();
        (&mut file)
            .take(count)
            .read_to_end(&mut piece)
            .map_err(unreadable)?;
        if read == 0 && is_zip(&piece) {
            let entries = open_zip(ingest, path)?.len() as u64;
            ingest.pending.tell(entry.number, Told::Archive { entries });
            return Ok(());
        }
        if piece.is_empty() {
            break;
        }
        read += piece.len() as u64;
        item.push(Cow::Owned(piece), read)?;
    }
    item.finish_object()
}

fn is_zip(start: &[u8]) -> bool {
    let is_archive = start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06");
    is_archive && start.get(128..132) != Some(b"DICM")
}

fn unreadable(error: io::Error) -> ArchiveError {
    UploadError::Source {
        problem: error.to_string(),
    }
    .into()
}
