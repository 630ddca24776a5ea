//! An input in parts that are not kept: only what a reader has not passed yet waits for the next part.
//!
//! 1. Held is at most what an element needs that is not whole: its header, and its value if that is wanted, which
//!    the reader bounds. What is stepped over is not held, and the input need not bring it.
//! 2. How the input is cut into parts does not change what is read.

use crate::element::Window;
use crate::{DicomError, HeaderReader, Instance};

/// How far a reader came with a window.
pub(crate) enum Fed<T> {
    /// It goes on once the input reaches to byte `to`; nothing before byte `from` is needed again.
    NeedMore { from: u64, to: u64 },
    /// It has what it wanted.
    Done(T),
}

/// What has arrived and was not passed.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// The bytes from `from` to `arrived`; empty if `from` is further.
    bytes: Vec<u8>,
    /// How many bytes of the input have arrived, or were skipped.
    arrived: u64,
    /// What the reader needs next.
    from: u64,
    /// How far the input must reach before the reader goes on.
    to: u64,
}

impl Unread {
    /// For an input whose first `offset` bytes are not given.
    pub fn from_offset(offset: u64) -> Self {
        Unread {
            arrived: offset,
            from: offset,
            to: offset,
            ..Unread::default()
        }
    }

    /// Gives the next part of the input to a reader.
    pub fn feed<T>(
        &mut self,
        mut part: &[u8],
        mut read: impl FnMut(Window<'_>) -> Result<Fed<T>, DicomError>,
    ) -> Result<Option<T>, DicomError> {
        while !part.is_empty() {
            let fed = if self.bytes.is_empty() {
                let passed = clamp(self.from.saturating_sub(self.arrived), part);
                self.arrived += passed as u64;
                part = &part[passed..];
                if part.is_empty() {
                    break;
                }
                // Nothing waits, so the part need not be copied.
                let fed = read(self.window_on(part))?;
                if let Fed::NeedMore { from, .. } = fed {
                    self.bytes
                        .extend_from_slice(&part[clamp(from - self.arrived, part)..]);
                }
                self.arrived += part.len() as u64;
                part = &[];
                fed
            } else {
                // Only what the element at hand lacks: behind it the part can be read in place again.
                let lacking = clamp(self.to.saturating_sub(self.arrived).max(1), part);
                let (now, later) = part.split_at(lacking);
                self.bytes.extend_from_slice(now);
                self.arrived += now.len() as u64;
                part = later;
                if self.arrived < self.to {
                    break;
                }
                let fed = read(self.window(false))?;
                if let Fed::NeedMore { from, .. } = fed {
                    let passed = clamp(from - self.base(), &self.bytes);
                    self.bytes.drain(..passed);
                }
                fed
            };
            match fed {
                Fed::NeedMore { from, to } => (self.from, self.to) = (from, to),
                Fed::Done(done) => {
                    self.arrived += part.len() as u64;
                    self.bytes = Vec::new();
                    return Ok(Some(done));
                }
            }
        }
        Ok(None)
    }

    /// Skips what the reader steps over, up to byte `end` at most, and returns where the input is to be read on.
    pub fn skip(&mut self, end: u64) -> u64 {
        if self.bytes.is_empty() {
            self.arrived = self.arrived.max(self.from.min(end));
        }
        self.arrived
    }

    /// Takes back what was skipped beyond the end of an input whose length was not known.
    pub fn end_at(&mut self, end: u64) {
        if self.bytes.is_empty() {
            self.arrived = self.arrived.min(end);
        }
    }

    /// Passes a part over that nobody reads.
    pub fn pass(&mut self, part: &[u8]) {
        self.arrived += part.len() as u64;
    }

    /// All that is left, when nothing follows.
    pub fn last(&self) -> Window<'_> {
        self.window(true)
    }

    /// How many bytes have arrived or were skipped.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    fn base(&self) -> u64 {
        self.arrived - self.bytes.len() as u64
    }

    fn window(&self, complete: bool) -> Window<'_> {
        Window {
            bytes: &self.bytes,
            base: self.base(),
            complete,
        }
    }

    fn window_on<'a>(&self, part: &'a [u8]) -> Window<'a> {
        Window {
            bytes: part,
            base: self.arrived,
            complete: false,
        }
    }
}

/// `count`, or as much as `bytes` has.
fn clamp(count: u64, bytes: &[u8]) -> usize {
    usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()))
}

/// Reads the head of an instance from parts as they arrive, and keeps none: memory does not grow with the input, nor
/// with the elements before its pixel data.
///
/// Held are the values that an [`Instance`] takes, at most [`crate::MAX_INDEXED_BYTES`], and at most one element that is
/// not whole: [`crate::MAX_INDEXED_VALUE_BYTES`] and a header. A deflated data set takes some 200 kB more.
///
/// ```
/// # use vna_dicom::{HeaderStream, write_file_meta, FileMetaFields};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: "1.2.840.10008.1.2.1", ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x18\x00UI\x06\x001.2.3\0\x20\x00\x0d\x00UI\x04\x001.2\0\x20\x00\x0e\x00UI\x06\x001.2.4\0");
/// let mut stream = HeaderStream::for_file();
/// for part in file.chunks(7) {
///     stream.push(part)?;
/// }
/// assert_eq!(stream.finish()?.identity.series_instance_uid, "1.2.4");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
#[derive(Debug)]
pub struct HeaderStream {
    reader: HeaderReader,
    unread: Unread,
    instance: Option<Instance>,
}

impl HeaderStream {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn for_file() -> Self {
        HeaderStream::of(HeaderReader::for_file())
    }

    /// For a bare data set, as C-STORE carries it.
    #[must_use]
    pub fn for_data_set(transfer_syntax_uid: &str) -> Self {
        HeaderStream::of(HeaderReader::for_data_set(transfer_syntax_uid))
    }

    fn of(reader: HeaderReader) -> Self {
        HeaderStream {
            reader,
            unread: Unread::default(),
            instance: None,
        }
    }

    /// Takes the next part. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`HeaderReader::advance`].
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        if self.instance.is_some() {
            self.unread.pass(part);
            return Ok(());
        }
        let reader = &mut self.reader;
        self.instance = self
            .unread
            .feed(part, |window| reader.run(window, &mut |_| {}))?;
        Ok(())
    }

    /// All parts were given.
    ///
    /// # Errors
    ///
    /// As [`HeaderReader::advance`]; [`DicomError::Truncated`] also if the pixel data is cut off.
    pub fn finish(mut self) -> Result<Instance, DicomError> {
        if let Some(instance) = self.instance {
            instance.check_length(self.unread.arrived())?;
            return Ok(instance);
        }
        let window = self.unread.last();
        match self.reader.run(window, &mut |_| {})? {
            Fed::Done(instance) => Ok(instance),
            // A complete input leaves nothing to wait for.
            Fed::NeedMore { from, to } => Err(DicomError::Truncated {
                what: "data set",
                offset: from,
                needed: to - from,
                available: window.end().saturating_sub(from),
            }),
        }
    }

    /// Bytes of parts that are held until the next one comes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.unread.held()
    }
}
