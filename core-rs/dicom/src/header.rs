//! The head of an instance from a whole file or from a growing prefix of one.

use crate::deflate::Inflater;
use crate::element::Window;
use crate::head::Head;
use crate::meta::{self, Parsed};
use crate::syntax::{self, Encoding, TransferSyntax};
use crate::walk::{Outcome, Walker};
use crate::{DicomError, Element, FileMeta, Instance};

/// How far a [`HeaderReader`] is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once an instance and moved out at once"
)]
pub enum Progress {
    /// Call again when the prefix holds this many bytes, or is complete.
    NeedMore {
        /// Length of the prefix that the next step takes.
        at_least: usize,
    },
    /// All up to the pixel data, or to the end, is read.
    Done(Instance),
}

/// Reads the head of an instance from a growing prefix, without going back over what it has passed.
///
/// ```
/// # use vna_dicom::{HeaderReader, Progress, IMPLICIT_VR_LITTLE_ENDIAN};
/// # let data = [(0x0018u32, "1.2.3\0"), (0x0d_0020, "1.2\0"), (0x0e_0020, "1.2.4\0")];
/// # let data: Vec<u8> = data.iter().flat_map(|(t, v)| {
/// #     let tag = if *t == 0x18 { 0x0018_0008u32 } else { *t };
/// #     [&tag.to_le_bytes()[..], &(v.len() as u32).to_le_bytes(), v.as_bytes()].concat()
/// # }).collect();
/// let mut reader = HeaderReader::for_data_set(IMPLICIT_VR_LITTLE_ENDIAN);
/// let mut arrived = 0;
/// let instance = loop {
///     match reader.advance(&data[..arrived], arrived == data.len())? {
///         Progress::NeedMore { at_least } => arrived = at_least.min(data.len()),
///         Progress::Done(instance) => break instance,
///     }
/// };
/// assert_eq!(instance.identity.series_instance_uid, "1.2.4");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
#[derive(Debug)]
pub struct HeaderReader {
    state: State,
    head: Head,
    transfer_syntax_uid: String,
    sop_class_uid_of_meta: String,
    data_set_offset: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing is known but that a file begins.
    File,
    /// A data set without meta information: its first element tells the encoding.
    Guess,
    /// Within the data set.
    Plain(Walker),
    /// Within a deflated data set.
    Deflated(Walker, Box<Inflater>),
}

impl HeaderReader {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn for_file() -> Self {
        HeaderReader {
            state: State::File,
            head: Head::default(),
            transfer_syntax_uid: String::new(),
            sop_class_uid_of_meta: String::new(),
            data_set_offset: 0,
        }
    }

    /// For a bare data set, as C-STORE carries it.
    #[must_use]
    pub fn for_data_set(transfer_syntax_uid: &str) -> Self {
        let mut reader = HeaderReader::for_file();
        reader.begin(transfer_syntax_uid, 0);
        reader
    }

    /// Reads on. `prefix` begins at byte 0 of the input each time; `complete` says that nothing follows it.
    ///
    /// When the data set holds pixel data, the reader is done at its header: whether all of the value is there is
    /// said only if `complete`. After `Done` or an error the reader is spent.
    ///
    /// # Errors
    ///
    /// - [`DicomError::NotDicom`], [`DicomError::Meta`] if the input does not begin as a DICOM file.
    /// - [`DicomError::Truncated`] if `complete` and the input ends inside an element.
    /// - [`DicomError::MissingUid`], [`DicomError::BadUid`] if the identity is not whole.
    /// - [`DicomError::Budget`], and what breaks the encoding rules of PS3.5 §7.
    pub fn advance(&mut self, prefix: &[u8], complete: bool) -> Result<Progress, DicomError> {
        self.advance_with(prefix, complete, &mut |_| {})
    }

    /// As [`HeaderReader::advance`], and shows every top-level element to `observe`, pixel data included.
    ///
    /// # Errors
    ///
    /// As [`HeaderReader::advance`].
    pub fn advance_with(
        &mut self,
        prefix: &[u8],
        complete: bool,
        observe: &mut impl FnMut(&Element),
    ) -> Result<Progress, DicomError> {
        loop {
            let window = Window {
                bytes: prefix,
                base: 0,
                complete,
            };
            let outcome = match &mut self.state {
                State::File => match meta::parse(prefix, complete)? {
                    Parsed::NeedMore(at_least) => return Ok(Progress::NeedMore { at_least }),
                    Parsed::Absent => {
                        self.state = State::Guess;
                        continue;
                    }
                    Parsed::Meta(meta) => {
                        self.begin_after_meta(meta);
                        continue;
                    }
                },
                State::Guess => {
                    let at = usize::try_from(self.data_set_offset).unwrap_or(usize::MAX);
                    match prefix.get(at..at.saturating_add(8)) {
                        Some(first) => {
                            let uid = syntax::guess(first, at > 0)?;
                            self.begin(uid, self.data_set_offset);
                        }
                        None if complete => return Err(ends_early(prefix, self.data_set_offset)),
                        None => return Ok(Progress::NeedMore { at_least: at + 8 }),
                    }
                    continue;
                }
                State::Plain(walker) => walker.run(window, &mut self.head.with(observe))?,
                State::Deflated(walker, inflater) => {
                    inflater.run(walker, prefix, complete, &mut self.head.with(observe))?
                }
            };
            return match outcome {
                Outcome::NeedMore(at_least) => {
                    let at_least = usize::try_from(at_least).unwrap_or(usize::MAX);
                    Ok(Progress::NeedMore { at_least })
                }
                Outcome::End | Outcome::Stopped => self.finish(window).map(Progress::Done),
            };
        }
    }

    fn begin_after_meta(&mut self, meta: FileMeta) {
        self.sop_class_uid_of_meta = meta.media_storage_sop_class_uid;
        if meta.transfer_syntax_uid.is_empty() {
            self.data_set_offset = meta.data_set_offset;
            self.state = State::Guess;
        } else {
            self.begin(&meta.transfer_syntax_uid, meta.data_set_offset);
        }
    }

    fn begin(&mut self, transfer_syntax_uid: &str, offset: u64) {
        let syntax = TransferSyntax::from_uid(transfer_syntax_uid);
        transfer_syntax_uid.clone_into(&mut self.transfer_syntax_uid);
        self.data_set_offset = offset;
        self.state = if syntax.deflated {
            // Offsets of a deflated data set count from its own first byte.
            State::Deflated(
                Walker::new(0, syntax.encoding),
                Box::new(Inflater::new(offset)),
            )
        } else {
            State::Plain(Walker::new(offset, syntax.encoding))
        };
    }

    fn finish(&mut self, window: Window<'_>) -> Result<Instance, DicomError> {
        let deflated = matches!(self.state, State::Deflated(..));
        let mut instance = self.head.take_instance(&self.sop_class_uid_of_meta)?;
        instance.transfer_syntax_uid = self.transfer_syntax_uid.clone();
        instance.data_set_offset = self.data_set_offset;
        if deflated {
            instance.pixel_data = None;
        }
        if window.complete {
            instance.check_length(window.end())?;
        }
        Ok(instance)
    }

    /// How the elements are encoded, which may differ from what the transfer syntax says.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        match &self.state {
            State::File | State::Guess => None,
            State::Plain(walker) | State::Deflated(walker, _) => Some(walker.encoding()),
        }
    }
}

fn ends_early(prefix: &[u8], offset: u64) -> DicomError {
    if prefix.is_empty() {
        return DicomError::NotDicom {
            found: "an empty input",
        };
    }
    DicomError::Truncated {
        what: "data set",
        offset,
        needed: 8,
        available: (prefix.len() as u64).saturating_sub(offset),
    }
}

/// Reads the head of a whole Part 10 file: also one without preamble, without meta information, or deflated.
///
/// # Errors
///
/// As [`HeaderReader::advance`].
pub fn read_instance(file: &[u8]) -> Result<Instance, DicomError> {
    read_instance_with(file, &mut |_| {})
}

/// As [`read_instance`], and shows every top-level element up to the pixel data to `observe`.
///
/// # Errors
///
/// As [`HeaderReader::advance`].
pub fn read_instance_with(
    file: &[u8],
    observe: &mut impl FnMut(&Element),
) -> Result<Instance, DicomError> {
    match HeaderReader::for_file().advance_with(file, true, observe)? {
        Progress::Done(instance) => Ok(instance),
        // A complete input leaves nothing to wait for.
        Progress::NeedMore { at_least } => Err(DicomError::Truncated {
            what: "data set",
            offset: 0,
            needed: at_least as u64,
            available: file.len() as u64,
        }),
    }
}
