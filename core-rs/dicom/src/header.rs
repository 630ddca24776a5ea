//! The head of an instance from a whole file or from a growing prefix of one.

use crate::element::Window;
use crate::head::Head;
use crate::input::Input;
use crate::stream::Fed;
use crate::syntax::Encoding;
use crate::walk::Outcome;
use crate::{DicomError, Element, Instance};

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
    input: Input,
    head: Head,
}

impl HeaderReader {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn for_file() -> Self {
        HeaderReader {
            input: Input::file(),
            head: Head::default(),
        }
    }

    /// For a bare data set, as C-STORE carries it.
    #[must_use]
    pub fn for_data_set(transfer_syntax_uid: &str) -> Self {
        HeaderReader {
            input: Input::data_set(transfer_syntax_uid),
            head: Head::default(),
        }
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
        let window = Window {
            bytes: prefix,
            base: 0,
            complete,
        };
        Ok(match self.run(window, observe)? {
            Fed::Done(instance) => Progress::Done(instance),
            Fed::NeedMore { to, .. } => Progress::NeedMore {
                at_least: usize::try_from(to).unwrap_or(usize::MAX),
            },
        })
    }

    /// Reads on in a window that holds all from [`Input::position`] on that is there.
    pub(crate) fn run(
        &mut self,
        window: Window<'_>,
        observe: &mut impl FnMut(&Element),
    ) -> Result<Fed<Instance>, DicomError> {
        match self.input.run(window, &mut self.head.with(observe))? {
            Outcome::NeedMore(to) => Ok(Fed::NeedMore {
                from: self.input.position(),
                to,
            }),
            Outcome::End | Outcome::Stopped => self.finish(window).map(Fed::Done),
        }
    }

    fn finish(&mut self, window: Window<'_>) -> Result<Instance, DicomError> {
        let input = &self.input;
        let mut instance = self.head.take_instance(input.sop_class_uid_of_meta())?;
        instance.transfer_syntax_uid = input.transfer_syntax_uid().to_owned();
        instance.data_set_offset = input.data_set_offset();
        if input.is_deflated() {
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
        self.input.encoding()
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
