//! STOW-RS (PS3.18 §10.5): the body of a Store request, as its bytes come.
//!
//! (1) What a part is its own Content-Type says: a PS3.10 file, metadata, or bulk data. Files go the way of every upload;
//!     metadata and bulk data are spooled, and instances are made of them when the body is whole.
//! (2) An instance is stored whole or not at all, and what is not stored is told by its UIDs where they could be read.
//! (3) What ends the whole request does not undo what was stored before: the answer tells both.

mod bulk;
mod join;
mod media;
mod part;
mod pictures;
mod pixels;
mod response;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use self::media::PartKind;
use self::part::Receiver;
pub use self::response::{StoreAnswer, StoreTelling};
use crate::archive::Archive;
use crate::arrival::Caller;
use crate::error::ArchiveError;
use crate::ingest::inflate::Inflater;
use crate::ingest::multipart::{Event, PartHeader, Splitter};
use crate::ingest::object::Ingest;
use crate::ingest::upload::transport;
use crate::ingest::{Head, UploadError};

/// Called once with what became of a Store request, perhaps on a committer thread: it must be quick.
pub type StoreTold = Box<dyn FnOnce(Result<StoreAnswer, Arc<ArchiveError>>) + Send>;

/// A Store request that arrives. Dropped unfinished, it leaves of what is not whole nothing.
pub struct Store {
    ingest: Arc<Ingest>,
    /// Takes off the Content-Encoding.
    transport: Option<Inflater>,
    body: Body,
    received: u64,
    is_over: bool,
}

struct Body {
    /// `None` if it is a single part.
    splitter: Option<Box<Splitter>>,
    receiver: Receiver,
}

impl Store {
    /// Begins to take a body for a study, or for any if none is named.
    ///
    /// # Errors
    ///
    /// What its head shows already: a media type that is not stored, more bytes than may come or than the disk has room
    /// for, an archive that takes nothing in.
    pub fn begin(
        archive: &Arc<Archive>,
        caller: Caller,
        head: &Head,
        study_instance_uid: Option<String>,
    ) -> Result<Self, ArchiveError> {
        archive.check_writable()?;
        let bounds = &archive.settings().uploads;
        let parts_are = media::parts_of(&head.content_type)?;
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
        let mut receiver = Receiver::new(&ingest, study_instance_uid, parts_are);
        if splitter.is_none() {
            receiver.begin(PartHeader {
                content_type: head.content_type.clone(),
                ..PartHeader::default()
            })?;
        }
        let splitter = splitter.map(Box::new);
        Ok(Store {
            ingest,
            transport,
            body: Body { splitter, receiver },
            received: 0,
            is_over: false,
        })
    }

    /// The most that any request holds in memory, beside the piece at hand and until its body is whole.
    #[must_use]
    pub fn max_held_bytes(archive: &Archive) -> u64 {
        Ingest::max_held_bytes(archive)
    }

    /// Takes the next piece. It may wait for the disk.
    pub fn push(&mut self, piece: Vec<u8>) {
        if self.is_over {
            return;
        }
        if let Err(error) = self.take(piece) {
            self.fail(error);
        }
    }

    /// Whether a body of this Content-Type brings files, as far as its parts do not say otherwise.
    pub(crate) fn is_of_files(content_type: &str) -> bool {
        media::parts_of(content_type) == Ok(Some(PartKind::File))
    }

    /// Whether a body has no more parts than are stored in no time.
    pub(crate) fn has_few_parts(&self, body: &[u8]) -> bool {
        const FEW: usize = 8;
        let splitter = self.body.splitter.as_ref();
        splitter.is_none_or(|splitter| splitter.delimiters(body).nth(FEW + 1).is_none())
    }

    /// Takes a body without Content-Encoding that came whole, and copies no file of it that may be held.
    pub(crate) fn push_whole(&mut self, body: &Bytes) {
        self.received += body.len() as u64;
        if let Err(error) = self.body.push_shared(body) {
            self.fail(error.into());
        }
    }

    /// Whether nothing more is wanted: something has ended it all, which [`finish`](Self::finish) tells.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether instances are to be made of metadata and bulk data, which takes time and memory.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.body.receiver.has_metadata()
    }

    /// The body is whole, or is not read to its end because it [`is_over`](Self::is_over): calls `told` when all that can
    /// be stored is safe, perhaps on a committer thread: it must be quick.
    ///
    /// It gets an error if nothing is stored and what is wrong is wrong with the request, not with an instance.
    pub fn finish(mut self, telling: StoreTelling, told: StoreTold) {
        let pending = Arc::clone(&self.ingest.pending);
        if !self.is_over {
            if let Err(error) = self.submit() {
                self.fail(error);
            }
        }
        let address = self.ingest.address().to_owned();
        // Nothing that is called from here on has the archive: its last owner must not be the committer.
        drop(self);
        pending.end(Box::new(move |outcomes| {
            let answer = StoreAnswer::of(outcomes, telling);
            if let Ok(answer) = &answer {
                answer.log_problem(&address);
            }
            told(answer);
        }));
    }

    fn fail(&mut self, error: Arc<ArchiveError>) {
        self.ingest.pending.fail(error);
        self.is_over = true;
    }

    fn take(&mut self, piece: Vec<u8>) -> Result<(), Arc<ArchiveError>> {
        self.ingest.pending.check()?;
        self.received += piece.len() as u64;
        let received = self.received;
        let body = &mut self.body;
        match &mut self.transport {
            None => body.push(Cow::Owned(piece))?,
            Some(inflater) => {
                inflater.push(&piece, received, &mut |made| body.push(Cow::Borrowed(made)))?;
            }
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<(), Arc<ArchiveError>> {
        if let Some(inflater) = self.transport.as_ref().filter(|_| self.received > 0) {
            inflater.finish().map_err(ArchiveError::from)?;
        }
        match &self.body.splitter {
            Some(splitter) => splitter.finish().map_err(ArchiveError::from)?,
            None => self.body.receiver.end()?,
        }
        self.body.receiver.join()
    }
}

impl Body {
    fn push(&mut self, piece: Cow<'_, [u8]>) -> Result<(), ArchiveError> {
        let receiver = &mut self.receiver;
        match &mut self.splitter {
            None => receiver.bytes(piece),
            Some(splitter) => splitter.push(&piece, |event| match event {
                Event::Begin(header) => receiver.begin(header),
                Event::Bytes(bytes) => receiver.bytes(Cow::Borrowed(bytes)),
                Event::End => receiver.end(),
            }),
        }
    }

    fn push_shared(&mut self, body: &Bytes) -> Result<(), ArchiveError> {
        let receiver = &mut self.receiver;
        let lies_in_body = |bytes: &[u8]| body.as_ptr_range().contains(&bytes.as_ptr());
        match &mut self.splitter {
            None => receiver.shared(body.clone()),
            Some(splitter) => splitter.push(body, |event| match event {
                Event::Begin(header) => receiver.begin(header),
                Event::Bytes(bytes) if lies_in_body(bytes) => {
                    receiver.shared(body.slice_ref(bytes))
                }
                Event::Bytes(bytes) => receiver.bytes(Cow::Borrowed(bytes)),
                Event::End => receiver.end(),
            }),
        }
    }
}
