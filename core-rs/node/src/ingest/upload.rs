//! One body of an upload, whatever its form, as its bytes come.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::UploadError;
use super::inflate::Inflater;
use super::item::{Item, Packed, Whole};
use super::multipart::{Event, PartHeader, Splitter};
use super::object::Ingest;
use super::pending::Entry;
use super::report::{Form, Report};
use super::spool::Spool;
use super::unpack::{check_bounds, unpack};
use super::zip::Zip;
use crate::archive::Archive;
use crate::arrival::Caller;
use crate::error::ArchiveError;

/// Numbers for the entries of one archive, so that those of several in one form keep their order.
const NUMBERS_PER_PART: u64 = 1 << 32;

/// What a file of an upload may be besides DICOM.
const SENT: Packed = Packed {
    gzip: true,
    zip: true,
    zlib: false,
};

/// Called once with what became of an upload.
pub type Done = Box<dyn FnOnce(Result<Report, Arc<ArchiveError>>) + Send>;

/// What is known of a body before the first byte of it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Its Content-Type; empty if it is not said.
    pub content_type: String,
    /// Its Content-Encoding; empty if it is not said.
    pub content_encoding: String,
    /// Its Content-Length.
    pub length: Option<u64>,
}

/// A body that arrives. Dropped unfinished, it leaves of what is not whole nothing.
pub struct Upload {
    ingest: Arc<Ingest>,
    /// Takes off the Content-Encoding.
    transport: Option<Inflater>,
    body: Body,
    received: u64,
}

/// What the bytes are, once no Content-Encoding is around them.
struct Body {
    ingest: Arc<Ingest>,
    files: Files,
    /// Archives that are to be unpacked, each with the number of its part.
    archives: Vec<(Entry, Spool)>,
}

enum Files {
    /// A single file.
    Single(Option<Item>),
    /// Several files.
    Parts {
        splitter: Box<Splitter>,
        /// The part that arrives; `None` between parts and after what is wrong with one.
        part: Option<Part>,
        /// Parts so far.
        count: u64,
    },
}

struct Part {
    item: Item,
    entry: Entry,
    is_field: bool,
}

impl Upload {
    /// Begins to take a body.
    ///
    /// # Errors
    ///
    /// What its head shows already: a form that is not read, more bytes than may come or than the disk has room for.
    pub fn begin(
        archive: &Arc<Archive>,
        caller: Caller,
        head: &Head,
    ) -> Result<Self, ArchiveError> {
        archive.check_writable()?;
        let bounds = &archive.settings().uploads;
        let splitter = Splitter::for_type(&head.content_type).transpose()?;
        let transport = transport(&head.content_encoding, bounds.max_ratio)?;
        if let Some(length) = head.length {
            let limit = bounds.max_unpacked_bytes;
            if length > limit {
                return Err(UploadError::UnpackedBytes { limit }.into());
            }
            archive.log().check_room(length)?;
        }
        let ingest = Ingest::new(Arc::clone(archive), caller.tenant, caller.origin);
        let files = match splitter {
            Some(splitter) => Files::Parts {
                splitter: Box::new(splitter),
                part: None,
                count: 0,
            },
            None => Files::Single(Some(Item::new(&ingest, Entry::default(), SENT))),
        };
        Ok(Self {
            ingest: Arc::clone(&ingest),
            transport,
            body: Body {
                ingest,
                files,
                archives: Vec::new(),
            },
            received: 0,
        })
    }

    /// The most that any upload holds in memory, beside the piece at hand.
    #[must_use]
    pub fn max_held_bytes(archive: &Archive) -> u64 {
        Ingest::max_held_bytes(archive)
    }

    /// Takes the next piece. It may wait for the disk. After an error the upload is of no use.
    ///
    /// # Errors
    ///
    /// What ends the whole upload: the body is not of its form, a bound of the whole is passed, or the archive fails.
    pub fn push(&mut self, piece: Vec<u8>) -> Result<(), Arc<ArchiveError>> {
        self.ingest.pending.check()?;
        self.received += piece.len() as u64;
        let received = self.received;
        match &mut self.transport {
            None => self.body.push(Cow::Owned(piece), received)?,
            Some(inflater) => {
                let body = &mut self.body;
                inflater.push(&piece, received, &mut |made| {
                    body.push(Cow::Borrowed(made), received)
                })?;
            }
        }
        Ok(())
    }

    /// The body is whole: unpacks what had to be, and calls `done` when all of it is safe, perhaps on a committer
    /// thread: it must be quick. With `tell_all` a list also tells what was not stored, and why.
    ///
    /// It gets an error as [`push`](Self::push) does, and of a single file what is wrong with that.
    pub fn finish(self, tell_all: bool, done: Done) {
        let pending = Arc::clone(&self.ingest.pending);
        match self.submit().map(|form| form.telling(tell_all)) {
            Err(error) => done(Err(error)),
            // Nothing that is called from here on has the archive: its last owner must not be the committer.
            Ok(form) => pending.finish(Box::new(move |outcomes| {
                done(outcomes.and_then(|outcomes| Report::of(outcomes, form)));
            })),
        }
    }

    fn submit(self) -> Result<Form, Arc<ArchiveError>> {
        let Self {
            ingest,
            transport,
            mut body,
            received,
        } = self;
        if let Some(inflater) = transport.filter(|_| received > 0) {
            inflater.finish().map_err(ArchiveError::from)?;
        }
        body.finish()?;
        let is_form = matches!(body.files, Files::Parts { .. });
        let form = match (is_form, body.archives.is_empty()) {
            (true, _) => Form::Parts,
            (false, true) => Form::Single,
            (false, false) => Form::Archive,
        };
        for (entry, spool) in body.archives {
            unpack_spool(&ingest, entry, spool, is_form)?;
        }
        Ok(form)
    }

    /// Whether the body is to be unpacked when it is whole, which takes its time.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        let is_zip = matches!(&self.body.files, Files::Single(Some(item)) if item.is_archive());
        is_zip || !self.body.archives.is_empty()
    }
}

/// What takes a Content-Encoding off; `None` if there is none.
pub(crate) fn transport(encoding: &str, max_ratio: u64) -> Result<Option<Inflater>, UploadError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Inflater::gzip(max_ratio))),
        other => Err(UploadError::Unsupported {
            code: "media_type.unsupported",
            problem: format!("Content-Encoding {other} is not read; gzip is"),
        }),
    }
}

fn unpack_spool(
    ingest: &Arc<Ingest>,
    entry: Entry,
    spool: Spool,
    is_form: bool,
) -> Result<(), Arc<ArchiveError>> {
    let open = || -> Result<Zip, ArchiveError> {
        let zip = Zip::open(spool.into_file(), ingest.bounds().max_entries)?;
        check_bounds(ingest, &zip)?;
        ingest.count_entries(zip.len() as u64)?;
        Ok(zip)
    };
    match open() {
        Ok(zip) => unpack(ingest, &zip, 0..zip.len(), entry.number),
        // In a form it is one file among others.
        Err(error) if is_form => ingest.pending.refuse(entry, error),
        Err(error) => Err(error.into()),
    }
}

impl Body {
    fn push(&mut self, piece: Cow<'_, [u8]>, packed: u64) -> Result<(), ArchiveError> {
        let Self {
            ingest,
            files,
            archives,
        } = self;
        match files {
            Files::Single(Some(item)) => item.push(piece, packed),
            Files::Single(None) => Ok(()),
            Files::Parts {
                splitter,
                part,
                count,
            } => splitter.push(&piece, |event| match event {
                Event::Begin(header) => {
                    ingest.count_entries(1)?;
                    let number = *count * NUMBERS_PER_PART;
                    *count += 1;
                    *part = Part::begin(ingest, number, header)?;
                    Ok(())
                }
                Event::Bytes(bytes) => match part {
                    None => Ok(()),
                    Some(open) => match open.item.push(Cow::Borrowed(bytes), packed) {
                        Ok(()) => Ok(()),
                        Err(error) => Part::refuse(part, ingest, error),
                    },
                },
                Event::End => Part::end(part, ingest, archives),
            }),
        }
    }

    fn finish(&mut self) -> Result<(), ArchiveError> {
        match &mut self.files {
            Files::Parts { splitter, .. } => Ok(splitter.finish()?),
            Files::Single(item) => {
                if let Some(item) = item.take() {
                    match item.finish()? {
                        Whole::Object => {}
                        Whole::Zip(spool) => self.archives.push((Entry::default(), spool)),
                    }
                }
                Ok(())
            }
        }
    }
}

impl Part {
    /// `None` if it is refused by its header.
    fn begin(
        ingest: &Arc<Ingest>,
        number: u64,
        header: PartHeader,
    ) -> Result<Option<Self>, ArchiveError> {
        let entry = Entry {
            number,
            name: header.name,
            subject: None,
        };
        let mut part = Some(Self {
            item: Item::new(ingest, entry.clone(), SENT),
            entry,
            is_field: header.is_field,
        });
        if !matches!(
            header.transfer_encoding.as_str(),
            "" | "binary" | "8bit" | "7bit"
        ) {
            let error = UploadError::Unsupported {
                code: "multipart.encoding",
                problem: format!(
                    "Content-Transfer-Encoding {} is not read; binary is",
                    header.transfer_encoding
                ),
            };
            Self::refuse(&mut part, ingest, error.into())?;
        }
        Ok(part)
    }

    /// Tells what is wrong with the open part, and leaves the rest of it unread.
    fn refuse(
        part: &mut Option<Self>,
        ingest: &Ingest,
        error: ArchiveError,
    ) -> Result<(), ArchiveError> {
        let Some(Self {
            entry, is_field, ..
        }) = part.take()
        else {
            return Ok(());
        };
        // Forms have buttons and texts beside their files.
        if is_field && error.is_of_one_file() {
            return Ok(());
        }
        let refused = ingest.pending.refuse(entry, error);
        refused.map_err(ArchiveError::Shared)
    }

    fn end(
        part: &mut Option<Self>,
        ingest: &Arc<Ingest>,
        archives: &mut Vec<(Entry, Spool)>,
    ) -> Result<(), ArchiveError> {
        let Some(Self {
            item,
            entry,
            is_field,
        }) = part.take()
        else {
            return Ok(());
        };
        match item.finish() {
            Ok(Whole::Object) => Ok(()),
            Ok(Whole::Zip(spool)) => {
                archives.push((entry, spool));
                Ok(())
            }
            Err(error) if is_field && error.is_of_one_file() => Ok(()),
            Err(error) => {
                let refused = ingest.pending.refuse(entry, error);
                refused.map_err(ArchiveError::Shared)
            }
        }
    }
}
