//! A body of parts, written as it leaves: what is held of it is one piece, or a frame that had to be made.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::bulk::BulkParts;
use super::frames::FrameParts;
use super::instances::{InstanceParts, PartLength};
use super::multipart::{Boundary, PART_END};
use crate::archives::buffers::{Buffer, Buffers};
use crate::error::ArchiveError;
use crate::part10::Head;
use crate::pictures::{StoredFrame, blocking};
use crate::stored_file::StoredFile;
use crate::transcode::{Abandoned, Transcoded};

/// Bytes that are read and given at once. Several fit the second-level cache.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// One part, before it is written.
pub(super) struct Part {
    pub content_type: String,
    /// Where it is from; empty: not said.
    pub location: String,
    /// How long it is, if that is known.
    pub length: Option<u64>,
    pub body: Body,
}

impl Part {
    /// Its type, place and length, if that is known.
    pub fn outline(&self) -> Option<(String, String, u64)> {
        let length = self.length?;
        Some((self.content_type.clone(), self.location.clone(), length))
    }
}

/// What is in a part.
pub(super) enum Body {
    /// A stored file, and how it begins.
    File(Arc<StoredFile>, Head),
    /// One written anew.
    Transcoded(Box<Transcoded>),
    /// Bytes of a stored file.
    Stored(StoredFrame),
    /// Frames, one after the other; the first is at hand.
    Frames(VecDeque<FrameTurn>),
    /// At hand.
    Held(Bytes),
}

/// A frame that is opened when its turn has come.
pub(super) type FrameTurn = super::frames::Turn;

/// Where parts come from.
pub(super) enum Source {
    Instances(Box<InstanceParts>),
    Frames(Box<FrameParts>),
    Bulk(Box<BulkParts>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        match self {
            Source::Instances(parts) => parts.next().await,
            Source::Frames(parts) => parts.next().await,
            Source::Bulk(parts) => parts.next().await,
        }
    }

    /// The length of a body of all parts, if it is known now.
    async fn length(&mut self, boundary: &Boundary) -> Result<Option<u64>, ArchiveError> {
        let parts = match self {
            Source::Frames(parts) => parts.outline(),
            Source::Bulk(parts) => parts.outline().await?,
            Source::Instances(parts) => {
                let lengths = parts.lengths(boundary);
                let bytes = |lengths: Vec<PartLength>| -> u64 {
                    lengths.iter().map(|part| part.bytes).sum()
                };
                let end = boundary.end().len() as u64;
                return Ok(lengths.map(|lengths| bytes(lengths) + end));
            }
        };
        Ok(parts.map(|parts| outlined(boundary, &parts)))
    }
}

/// What is being given of a part.
enum Open {
    File { file: Arc<StoredFile>, at: u64 },
    Transcoded(Box<Transcoded>),
    Stored { frame: StoredFrame, at: u64 },
    Held(Bytes),
}

/// A body of several parts, or of the only one without a frame.
pub(super) struct PartsStream {
    source: Source,
    boundary: Option<Boundary>,
    buffers: Arc<Buffers>,
    abandoned: Abandoned,
    /// Text that comes before what is open.
    pending: Vec<u8>,
    open: Option<Open>,
    /// Frames of the same part that come next.
    turns: VecDeque<FrameTurn>,
    /// A part was begun and not ended.
    in_part: bool,
    is_over: bool,
    /// There was no first part.
    is_empty: bool,
    /// Bytes that are not wanted before those that are.
    skip: u64,
    /// Bytes that are wanted.
    left: u64,
    length: Option<u64>,
}

impl PartsStream {
    pub fn new(
        source: Source,
        boundary: Option<Boundary>,
        buffers: Arc<Buffers>,
        abandoned: Abandoned,
    ) -> Self {
        PartsStream {
            source,
            boundary,
            buffers,
            abandoned,
            pending: Vec::new(),
            open: None,
            turns: VecDeque::new(),
            in_part: false,
            is_over: false,
            is_empty: false,
            skip: 0,
            left: u64::MAX,
            length: None,
        }
    }

    /// Opens the first part, so that what fails at once does before anything was sent.
    ///
    /// # Errors
    ///
    /// As [`PartsStream::next`].
    pub async fn prepare(&mut self) -> Result<(), ArchiveError> {
        let length = match &self.boundary {
            Some(boundary) => self.source.length(boundary).await?,
            None => None,
        };
        let Some(part) = self.source.next().await? else {
            self.is_empty = true;
            return Ok(());
        };
        self.length = match &self.boundary {
            None => part.length,
            // Nothing but this one, as the request has it.
            Some(boundary) if length.is_none() && self.is_only() => {
                part.outline().map(|only| outlined(boundary, &[only]))
            }
            Some(_) => length,
        };
        self.begin(part).await
    }

    fn is_only(&self) -> bool {
        match &self.source {
            Source::Instances(parts) => parts.is_one(),
            Source::Frames(parts) => parts.is_one(),
            Source::Bulk(_) => false,
        }
    }

    /// Whether it is one part that is stored, of which nothing but a piece is ever held.
    pub fn is_one_stored(&self) -> bool {
        let is_stored = matches!(self.open, Some(Open::File { .. } | Open::Stored { .. }));
        is_stored && self.turns.is_empty() && (self.boundary.is_none() || self.is_only())
    }

    /// How long the whole is, if that is known; it is once it was prepared.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it has no part at all, which is known once it was prepared: a multipart body has one at least (RFC 2046
    /// §5.1.1).
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Gives only bytes `first` to `end` of it; its length must be known.
    pub fn restrict(&mut self, first: u64, end: u64) {
        self.skip = first;
        self.left = end.saturating_sub(first);
        self.leave_out();
    }

    /// Leaves parts out that are before what is wanted, so that none of them is opened.
    fn leave_out(&mut self) {
        let (Source::Instances(parts), Some(boundary)) = (&mut self.source, &self.boundary) else {
            return;
        };
        let lengths = parts.lengths(boundary).unwrap_or_default();
        let mut before = 0;
        let is_before = |part: &&PartLength| {
            let end = before + part.bytes;
            let is_before = end <= self.skip;
            before = if is_before { end } else { before };
            is_before
        };
        let count = lengths.iter().take_while(is_before).count();
        if count > 0 {
            parts.go_to(lengths.get(count).map_or(usize::MAX, |part| part.index));
            self.skip -= before;
            (self.open, self.in_part) = (None, false);
            self.pending.clear();
        }
    }

    async fn begin(&mut self, part: Part) -> Result<(), ArchiveError> {
        if let Some(boundary) = &self.boundary {
            let head = boundary.part(&part.content_type, &part.location, part.length);
            self.pending.extend(head);
        }
        self.in_part = true;
        match part.body {
            Body::File(file, head) => {
                self.pending.extend(head.written);
                let at = head.instead_of;
                self.open = Some(Open::File { file, at });
            }
            Body::Transcoded(transcoded) => self.open = Some(Open::Transcoded(transcoded)),
            Body::Stored(frame) => self.open = Some(Open::Stored { frame, at: 0 }),
            Body::Held(bytes) => self.open = Some(Open::Held(bytes)),
            Body::Frames(turns) => {
                self.turns = turns;
                self.take_turn().await?;
            }
        }
        Ok(())
    }

    async fn take_turn(&mut self) -> Result<(), ArchiveError> {
        if let Some(turn) = self.turns.pop_front() {
            self.open = Some(match turn.open().await? {
                Body::Held(bytes) => Open::Held(bytes),
                Body::Stored(frame) => Open::Stored { frame, at: 0 },
                // A frame is no file, and no list of frames.
                Body::File(..) | Body::Transcoded(_) | Body::Frames(_) => {
                    return Err(ArchiveError::Stopped);
                }
            });
        }
        Ok(())
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// What store, codecs and scanner say.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        while self.left > 0 {
            let Some(mut piece) = self.piece().await? else {
                return Ok(None);
            };
            let unwanted = self.skip.min(piece.len() as u64);
            self.skip -= unwanted;
            let _ = piece.split_to(usize::try_from(unwanted).unwrap_or(usize::MAX));
            piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                self.left -= piece.len() as u64;
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        loop {
            self.pass_over();
            match self.open.take() {
                Some(Open::Held(mut bytes)) => {
                    if !self.pending.is_empty() {
                        self.open = Some(Open::Held(bytes));
                        return Ok(Some(std::mem::take(&mut self.pending).into()));
                    }
                    let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                    if !bytes.is_empty() {
                        self.open = Some(Open::Held(bytes));
                    }
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                Some(mut open) => {
                    let lead = std::mem::take(&mut self.pending);
                    let mut buffer = self.buffers.take(PIECE_BYTES);
                    // A thread that may wait costs more than what it does, if there is nothing to wait for.
                    if let Some(is_over) = read_cached(&mut open, &lead, &mut buffer)? {
                        self.open = (!is_over).then_some(open);
                        return Ok(Some(Bytes::from_owner(buffer)));
                    }
                    let (piece, open) = blocking(move || read(open, &lead, buffer)).await?;
                    self.open = open;
                    if let Some(piece) = piece {
                        return Ok(Some(piece));
                    }
                }
                None if !self.turns.is_empty() => self.take_turn().await?,
                None if self.is_over => {
                    let rest = std::mem::take(&mut self.pending);
                    return Ok((!rest.is_empty()).then(|| rest.into()));
                }
                None => self.go_on().await?,
            }
        }
    }

    /// Ends the part, and begins the next one.
    async fn go_on(&mut self) -> Result<(), ArchiveError> {
        if std::mem::take(&mut self.in_part) && self.boundary.is_some() {
            self.pending.extend_from_slice(PART_END);
        }
        match self.source.next().await? {
            Some(part) => self.begin(part).await,
            None => {
                if let Some(boundary) = &self.boundary {
                    self.pending.extend(boundary.end());
                }
                self.is_over = true;
                Ok(())
            }
        }
    }

    /// Goes past bytes that are not wanted without reading them.
    fn pass_over(&mut self) {
        let before = self.pending.len() as u64;
        let (at, end) = match &mut self.open {
            Some(Open::File { file, at }) => {
                let end = file.size();
                (at, end)
            }
            Some(Open::Stored { frame, at }) => {
                let end = frame.length();
                (at, end)
            }
            _ => return,
        };
        if self.skip > before {
            let passed = (self.skip - before).min(end - *at);
            *at += passed;
            self.skip -= passed;
        }
    }
}

/// Tells who compresses that nobody waits any more.
impl Drop for PartsStream {
    fn drop(&mut self) {
        self.abandoned.set();
    }
}

/// The length of a body of these parts.
fn outlined(boundary: &Boundary, parts: &[(String, String, u64)]) -> u64 {
    let part = |(content_type, location, length): &(String, String, u64)| {
        let head = boundary.part(content_type, location, Some(*length));
        head.len() as u64 + length + PART_END.len() as u64
    };
    parts.iter().map(part).sum::<u64>() + boundary.end().len() as u64
}

/// Reads the next piece, `lead` at its beginning, if it need not wait; tells whether it is the last one.
fn read_cached(
    open: &mut Open,
    lead: &[u8],
    buffer: &mut Buffer,
) -> Result<Option<bool>, ArchiveError> {
    let bytes = buffer.bytes_mut();
    let Some((before, room)) = bytes.split_at_mut_checked(lead.len()) else {
        return Ok(None);
    };
    let (read, at, end) = match open {
        Open::File { file, at } => {
            let end = file.size();
            (file.read_cached_at(room, *at)?, at, end)
        }
        Open::Stored { frame, at } => {
            let end = frame.length();
            (frame.read_cached_into(*at, room)?, at, end)
        }
        Open::Transcoded(_) | Open::Held(_) => return Ok(None),
    };
    let Some(read) = read.filter(|read| *read > 0) else {
        return Ok(None);
    };
    before.copy_from_slice(lead);
    *at += read as u64;
    let is_over = *at >= end;
    buffer.truncate(lead.len() + read);
    Ok(Some(is_over))
}

/// The next piece, `lead` at its beginning, and what is left. Nothing at the end.
fn read(
    open: Open,
    lead: &[u8],
    mut buffer: Buffer,
) -> Result<(Option<Bytes>, Option<Open>), ArchiveError> {
    let bytes = buffer.bytes_mut();
    let (before, room) = bytes.split_at_mut(lead.len().min(bytes.len()));
    before.copy_from_slice(&lead[..before.len()]);
    let (filled, open) = match open {
        Open::File { file, at } => {
            let read = file.read_at(room, at)?;
            let at = at + read as u64;
            let is_over = at >= file.size() || read == 0;
            if is_over && at < file.size() {
                return Err(cut_off());
            }
            (read, (!is_over).then_some(Open::File { file, at }))
        }
        Open::Stored { frame, at } => {
            let read = frame.read_into(at, room)?;
            let at = at + read as u64;
            let is_over = at >= frame.length();
            (read, (!is_over).then_some(Open::Stored { frame, at }))
        }
        Open::Transcoded(mut transcoded) => {
            let read = transcoded.read(room)?;
            let is_over = read < room.len();
            (read, (!is_over).then_some(Open::Transcoded(transcoded)))
        }
        Open::Held(_) => (0, Some(open)),
    };
    let length = before.len() + filled;
    buffer.truncate(length);
    Ok(((length > 0).then(|| Bytes::from_owner(buffer)), open))
}

fn cut_off() -> ArchiveError {
    ArchiveError::Io {
        doing: "reading a stored file",
        source: std::io::ErrorKind::UnexpectedEof.into(),
    }
}
