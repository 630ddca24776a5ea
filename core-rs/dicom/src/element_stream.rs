//! All elements of an input that is read in parts and not held, however damaged it is.

use crate::element::Window;
use crate::parts::Parts;
use crate::walk::{Sink, Step};
use crate::{DicomError, Element};

/// Gives the elements of a Part 10 file as its parts arrive: the same as [`crate::scan`] with all of it, in memory that
/// does not grow with the file.
///
/// After an error, what [`ElementStream::take`] gives is what stands before the fault. Offsets of a deflated data set
/// count in the inflated one, which is not kept.
///
/// ```
/// # use vna_dicom::{ElementStream, write_file_meta, FileMetaFields};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: "1.2.840.10008.1.2.1", ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x60\x00CS\x02\x00CT\x42\x00\x11\x00OB\x00\x00\x10\x27\x00\x00");
/// # file.extend([7; 10_000]);
/// let mut stream = ElementStream::for_file();
/// let (mut at, mut read, mut elements) = (0, 0, 0);
/// while at < file.len() {
///     let part = &file[at..file.len().min(at + 100)];
///     read += part.len();
///     stream.push(part)?;
///     elements += stream.take().len();
///     at = stream.skip(file.len() as u64) as usize;
/// }
/// stream.finish()?;
/// assert_eq!(elements, 2);
/// assert!(read < file.len(), "the document was stepped over");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
#[derive(Debug)]
pub struct ElementStream {
    parts: Parts<Batch>,
}

/// Elements that were not taken yet.
#[derive(Debug, Default)]
struct Batch(Vec<Element>);

impl Sink for Batch {
    fn visit(&mut self, element: &Element, _: Window<'_>) -> Result<Step, DicomError> {
        self.0.push(*element);
        Ok(Step::Into)
    }
}

impl ElementStream {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn for_file() -> Self {
        ElementStream {
            parts: Parts::of_file(Batch::default()),
        }
    }

    /// Takes the next part, which begins where [`ElementStream::skip`] said. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`crate::scan`].
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        self.parts.push(part)
    }

    /// The elements that were found since it was asked last, in the order of their bytes. Their number is bounded by
    /// the bytes of the parts between, inflated ones included.
    pub fn take(&mut self) -> Vec<Element> {
        std::mem::take(&mut self.parts.sink.0)
    }

    /// Steps over values, and returns the offset in the file that the next part begins at. `file_bytes` is how long the
    /// file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.parts.skip(file_bytes)
    }

    /// Whether the data set is at its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.parts.is_done()
    }

    /// All parts were given; there may be elements to take.
    ///
    /// # Errors
    ///
    /// As [`ElementStream::push`]; [`DicomError::Truncated`] if the file ends inside an element.
    pub fn finish(&mut self) -> Result<(), DicomError> {
        self.parts.finish()
    }

    /// As the File Meta Information says, else as the first element shows; empty before either is read.
    #[must_use]
    pub fn transfer_syntax_uid(&self) -> &str {
        self.parts.input.transfer_syntax_uid()
    }

    /// Where the data set begins; `None` before that is known.
    #[must_use]
    pub fn data_set_offset(&self) -> Option<u64> {
        self.parts
            .input
            .encoding()
            .map(|_| self.parts.input.data_set_offset())
    }

    /// Whether offsets count in the inflated data set rather than in the file.
    #[must_use]
    pub fn is_deflated(&self) -> bool {
        self.parts.input.is_deflated()
    }
}
