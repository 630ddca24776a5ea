//! One file of an upload, whatever its form: a DICOM file, gzip of one, or a ZIP archive; of a disk also what Orthanc
//! stored compressed.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::UploadError;
use super::inflate::{Inflater, is_zlib_behind_length};
use super::object::{Ingest, Object};
use super::pending::Entry;
use super::spool::Spool;
use crate::error::ArchiveError;

/// Bytes that tell which form it is: a preamble of any content, and `DICM` (PS3.10 §7.1).
const START: usize = 132;

/// Which forms an item may have besides DICOM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) gzip: bool,
    pub(super) zip: bool,
    /// As Orthanc stores files with StorageCompression.
    pub(super) zlib: bool,
}

/// A file that arrives.
pub(super) struct Item {
    ingest: Arc<Ingest>,
    entry: Entry,
    packed: Packed,
    form: Form,
}

enum Form {
    /// Too short to say.
    Start(Vec<u8>),
    Object(Object),
    Gzip(Box<(Inflater, Item)>),
    Zip(Spool),
}

/// What an item was, once it is whole.
pub(super) enum Whole {
    /// A DICOM file, which is on its way.
    Object,
    /// A ZIP archive, whose entries are still to be stored.
    Zip(Spool),
}

impl Item {
    pub(super) fn new(ingest: &Arc<Ingest>, entry: Entry, packed: Packed) -> Self {
        Self {
            ingest: Arc::clone(ingest),
            entry,
            packed,
            form: Form::Start(Vec::new()),
        }
    }

    /// Takes the next part. `packed` is how many bytes came in for it so far, as they were sent. After an error
    /// the item is of no use.
    pub(super) fn push(&mut self, part: Cow<'_, [u8]>, packed: u64) -> Result<(), ArchiveError> {
        match &mut self.form {
            Form::Start(start) if start.len() + part.len() < START => {
                start.extend_from_slice(&part);
                Ok(())
            }
            Form::Start(start) => {
                let start = std::mem::take(start);
                let first = match start.is_empty() {
                    true => part,
                    false => Cow::Owned([&start, &*part].concat()),
                };
                self.form = self.form_of(&first)?;
                self.feed(first, packed)
            }
            _ => self.feed(part, packed),
        }
    }

    fn feed(&mut self, part: Cow<'_, [u8]>, packed: u64) -> Result<(), ArchiveError> {
        match &mut self.form {
            Form::Start(_) => Ok(()),
            Form::Object(object) => object.push(part),
            Form::Zip(spool) => spool.write(&part),
            Form::Gzip(gzip) => {
                let (inflater, inner) = &mut **gzip;
                inflater.push(&part, packed, &mut |made| {
                    inner.push(Cow::Borrowed(made), packed)
                })
            }
        }
    }

    /// Whether it has turned out to be a ZIP archive.
    pub(super) fn is_archive(&self) -> bool {
        match &self.form {
            Form::Zip(_) => true,
            Form::Gzip(gzip) => gzip.1.is_archive(),
            Form::Start(_) | Form::Object(_) => false,
        }
    }

    /// All parts were given.
    pub(super) fn finish(mut self) -> Result<Whole, ArchiveError> {
        if let Form::Start(start) = &mut self.form {
            let start = std::mem::take(start);
            self.form = self.form_of(&start)?;
            let packed = start.len() as u64;
            self.feed(Cow::Owned(start), packed)?;
        }
        match self.form {
            Form::Start(_) => Err(UploadError::Empty.into()),
            Form::Object(object) => object.finish(self.entry).map(|()| Whole::Object),
            Form::Zip(spool) => Ok(Whole::Zip(spool)),
            Form::Gzip(gzip) => {
                let (inflater, inner) = *gzip;
                inflater.finish()?;
                inner.finish()
            }
        }
    }

    /// All parts were given, of what may not be an archive.
    pub(super) fn finish_object(self) -> Result<(), ArchiveError> {
        match self.finish()? {
            Whole::Object => Ok(()),
            Whole::Zip(_) => Err(nested("ZIP")),
        }
    }

    /// A stream and what comes out of it, which is not packed once more.
    fn inflated(&self, inflater: Inflater) -> Form {
        let packed = Packed {
            gzip: false,
            zlib: false,
            ..self.packed
        };
        let inner = Item::new(&self.ingest, self.entry.clone(), packed);
        Form::Gzip(Box::new((inflater, inner)))
    }

    fn form_of(&self, start: &[u8]) -> Result<Form, ArchiveError> {
        let max_ratio = self.ingest.bounds().max_ratio;
        // The preamble is free: a DICOM file may be a TIFF as well, and it may look like an archive.
        let is_dicom = start.get(128..START) == Some(b"DICM");
        Ok(match start {
            _ if is_dicom => Form::Object(Object::new(&self.ingest)),
            [0x1F, 0x8B, 8, ..] => {
                if !self.packed.gzip {
                    return Err(nested("gzip"));
                }
                self.inflated(Inflater::gzip(max_ratio))
            }
            _ if self.packed.zlib && is_zlib_behind_length(start) => {
                self.inflated(Inflater::zlib(max_ratio))
            }
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => {
                if !self.packed.zip {
                    return Err(nested("ZIP"));
                }
                Form::Zip(Spool::new(&self.ingest.archive)?)
            }
            _ => Form::Object(Object::new(&self.ingest)),
        })
    }
}

fn nested(form: &str) -> ArchiveError {
    UploadError::Unsupported {
        code: "archive.nested",
        problem: format!("{form} within an archive is not unpacked; send it by itself"),
    }
    .into()
}
