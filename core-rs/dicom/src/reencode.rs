//! From one uncompressed transfer syntax to another, leaving long values where they are (PS3.5 §A.1, §A.2, §A.3, §A.5).
//!
//! What leaves is a list of parts: headers and short values written anew, then extents of the input.
//!
//! 1. Held are one piece of the input and what is written for it. Neither long values nor the number of elements make it
//!    more.
//! 2. The input is walked once before anything leaves, so that a fault in it is known before the first byte is given, and
//!    with it the length of the output.
//! 3. With a revision, elements of the outermost data set change on the way, and pixel data comes from its own stream.
//! 4. An input whose elements are all encoded as they shall be is not written anew: its data set is one extent.

mod body;
mod deflating;
mod inflating;
mod revision;
mod rewriter;
mod survey;

use crate::data_set::{read_meta, write_meta};
use crate::meta::{MetaReader, PREAMBLE, Parsed};
use crate::syntax::{Encoding, TransferSyntax, is_uncompressed};
use crate::{DataElement, DataSet, DicomError, FileMeta, MAX_INFLATED_BYTES, Vr, tags};
use body::Body;
use deflating::Deflating;
use inflating::DataSetBytes;
use revision::Edits;
pub use revision::{NewPixelData, PixelStream, Revision};
use rewriter::Reencoder;
use std::fmt;
use std::sync::Arc;
use survey::{Survey, survey};

/// Bytes that are read at once: few heads are longer.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

/// Bytes that can be read at any position: a stored blob, or bytes in memory.
pub trait ReadAt {
    /// Why they cannot be read.
    type Error: From<DicomError>;

    /// How many there are.
    fn size(&self) -> u64;

    /// Reads at `offset`; fewer bytes than `buffer` takes only at the end.
    ///
    /// # Errors
    ///
    /// What keeps the bytes from being read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Self::Error>;

    /// The same if it need not wait; `None` if it would have to, or if nobody can tell.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](ReadAt::read_at).
    fn read_cached_at(&self, _: &mut [u8], _: u64) -> Result<Option<usize>, Self::Error> {
        Ok(None)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for &S {
    type Error = S::Error;

    fn size(&self) -> u64 {
        S::size(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, S::Error> {
        S::read_at(self, buffer, offset)
    }

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> Result<Option<usize>, S::Error> {
        S::read_cached_at(self, buffer, at)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for Arc<S> {
    type Error = S::Error;

    fn size(&self) -> u64 {
        S::size(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, S::Error> {
        S::read_at(self, buffer, offset)
    }

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> Result<Option<usize>, S::Error> {
        S::read_cached_at(self, buffer, at)
    }
}

impl ReadAt for [u8] {
    type Error = DicomError;

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DicomError> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A Part 10 file on its way into another transfer syntax, read from its beginning to its end.
///
/// The File Meta Information keeps what it says, but for the transfer syntax. Sequences and items get undefined lengths,
/// group lengths are left out, and values that their VR's length field cannot hold become UN (PS3.5 §6.2.2).
///
/// ```
/// # use vna_dicom::{EXPLICIT_VR_LITTLE_ENDIAN, FileMetaFields, IMPLICIT_VR_LITTLE_ENDIAN, Reencoded, write_file_meta};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN, ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x60\x00CS\x02\x00CT\x42\x00\x11\x00OB\x00\x00\x10\x27\x00\x00");
/// # file.extend([7; 10_000]);
/// let mut reencoded = Reencoded::new(file.as_slice(), IMPLICIT_VR_LITTLE_ENDIAN)?;
/// let mut out = Vec::new();
/// let mut buffer = [0; 4096];
/// loop {
///     let count = reencoded.read(&mut buffer)?;
///     if count == 0 {
///         break;
///     }
///     out.extend_from_slice(&buffer[..count]);
/// }
/// assert_eq!(reencoded.length(), Some(out.len() as u64));
/// assert_eq!(&out[out.len() - 10_008..][..8], b"\x42\x00\x11\x00\x10\x27\x00\x00");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
pub struct Reencoded<S: ReadAt> {
    source: S,
    /// Preamble and File Meta Information.
    meta: Vec<u8>,
    meta_given: usize,
    body: Body<S::Error>,
    deflating: Option<Box<Deflating>>,
    length: Option<u64>,
}

/// What stands before a data set.
pub(crate) struct Opened {
    pub meta: Option<FileMeta>,
    pub transfer_syntax_uid: String,
    pub data_set_offset: u64,
    /// The beginning of the file, up to the data set at least.
    beginning: Vec<u8>,
}

impl Opened {
    /// The beginning of the file, up to the data set at least.
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// The beginning of the data set, as far as it was read.
    pub fn data_set_beginning(&self) -> &[u8] {
        let at = usize::try_from(self.data_set_offset).unwrap_or(usize::MAX);
        self.beginning.get(at..).unwrap_or_default()
    }
}

impl<S: ReadAt> Reencoded<S> {
    /// Opens a Part 10 file to be read in `transfer_syntax_uid`. In the one that it has, it is read as it is.
    ///
    /// # Errors
    ///
    /// - [`DicomError::Transcode`] if the way there takes a codec.
    /// - [`DicomError::Unencodable`] if pixel data is encapsulated although the transfer syntax says that it is not.
    /// - As [`crate::scan`] of the whole file; what `source` says.
    pub fn new(source: S, transfer_syntax_uid: &str) -> Result<Self, S::Error> {
        Self::open(source, transfer_syntax_uid, true)
    }

    /// Opens the data set of a Part 10 file alone, without preamble and File Meta Information, as messages have it
    /// (PS3.7 §6.3.1).
    ///
    /// # Errors
    ///
    /// As [`Reencoded::new`].
    pub fn data_set(source: S, transfer_syntax_uid: &str) -> Result<Self, S::Error> {
        Self::open(source, transfer_syntax_uid, false)
    }

    fn open(source: S, transfer_syntax_uid: &str, with_meta: bool) -> Result<Self, S::Error> {
        let opened = open(&source)?;
        let from = crate::public_id::strip(&opened.transfer_syntax_uid);
        let to = crate::public_id::strip(transfer_syntax_uid);
        if from == to {
            let begin = if with_meta { 0 } else { opened.data_set_offset };
            let length = Some(source.size().saturating_sub(begin));
            return Ok(Self::of(
                source,
                Vec::new(),
                Body::stored(begin),
                None,
                length,
            ));
        }
        if !is_uncompressed(from) || !is_uncompressed(to) {
            return Err(transcode(from, to).into());
        }
        Self::rewritten(source, &opened, to, Edits::none(), None, with_meta)
    }

    /// Opens a Part 10 file to be read in `transfer_syntax_uid` with other elements, and with pixel data that the caller
    /// has brought into that transfer syntax. `with_meta` as in [`Reencoded::new`], else as [`Reencoded::data_set`].
    ///
    /// # Errors
    ///
    /// As [`Reencoded::new`], but for [`DicomError::Transcode`]; [`DicomError::Unencodable`] if the transfer syntax cannot
    /// hold the new elements or pixel data of that length.
    pub fn revised(
        source: S,
        transfer_syntax_uid: &str,
        revision: Revision<S::Error>,
        with_meta: bool,
    ) -> Result<Self, S::Error> {
        let opened = open(&source)?;
        let to = crate::public_id::strip(transfer_syntax_uid);
        let (edits, pixels) = revision.into_parts()?;
        Self::rewritten(source, &opened, to, edits, pixels, with_meta)
    }

    fn rewritten(
        source: S,
        opened: &Opened,
        to: &str,
        edits: Arc<Edits>,
        pixels: Option<Box<dyn PixelStream<S::Error>>>,
        with_meta: bool,
    ) -> Result<Self, S::Error> {
        let syntax = TransferSyntax::from_uid(&opened.transfer_syntax_uid);
        let target = TransferSyntax::from_uid(to);
        let bytes = || DataSetBytes::new(opened.data_set_offset, syntax.deflated);
        let begin = bytes().start();
        let form = Rewriting {
            from: syntax.encoding,
            to: target.encoding,
            edits,
        };
        let survey = survey(&source, bytes(), &form)?;
        let meta = if with_meta {
            file_meta(opened, &survey, &form.edits, to)?
        } else {
            Vec::new()
        };
        let body = if survey.uniform {
            Body::unchanged(bytes(), begin)
        } else {
            Body::rewritten(bytes(), Reencoder::new(begin, &form, survey.pixels), pixels)
        };
        let deflating = target.deflated.then(Box::default);
        let length = (!target.deflated).then_some(meta.len() as u64 + survey.length);
        Ok(Self::of(source, meta, body, deflating, length))
    }

    fn of(
        source: S,
        meta: Vec<u8>,
        body: Body<S::Error>,
        deflating: Option<Box<Deflating>>,
        length: Option<u64>,
    ) -> Self {
        Reencoded {
            source,
            meta,
            meta_given: 0,
            body,
            deflating,
            length,
        }
    }

    /// How long the file is in its new encoding; `None` if that is deflated, which is known only at the end.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Reads on; fewer bytes than `buffer` takes only at the end, where it is 0.
    ///
    /// # Errors
    ///
    /// What `source` says; as [`Reencoded::new`] if its bytes are not those that they were.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, S::Error> {
        let rest = &self.meta[self.meta_given..];
        let mut filled = rest.len().min(buffer.len());
        buffer[..filled].copy_from_slice(&rest[..filled]);
        self.meta_given += filled;
        while filled < buffer.len() {
            let free = &mut buffer[filled..];
            let count = match &mut self.deflating {
                None => self.body.read(&self.source, free)?,
                Some(deflating) => deflating.read(&mut self.body, &self.source, free)?,
            };
            if count == 0 {
                break;
            }
            filled += count;
        }
        Ok(filled)
    }
}

impl<S: ReadAt> fmt::Debug for Reencoded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reencoded")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// From which encoding into which, and what changes on the way.
struct Rewriting {
    from: Encoding,
    to: Encoding,
    edits: Arc<Edits>,
}

/// A whole Part 10 file in another transfer syntax, in memory; see [`Reencoded`].
///
/// # Errors
///
/// As [`Reencoded::new`]; [`DicomError::Budget`] if a deflated one inflates to more than [`MAX_INFLATED_BYTES`].
pub fn reencode(file: &[u8], transfer_syntax_uid: &str) -> Result<Vec<u8>, DicomError> {
    let mut reencoded = Reencoded::new(file, transfer_syntax_uid)?;
    let limit = MAX_INFLATED_BYTES + 4 * file.len() as u64;
    if let Some(length) = reencoded.length().filter(|length| *length > limit) {
        return Err(DicomError::Budget {
            budget: crate::Budget::Inflated,
            offset: length,
        });
    }
    let mut out = Vec::new();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = reencoded.read(&mut buffer)?;
        if count == 0 {
            return Ok(out);
        }
        out.extend_from_slice(&buffer[..count]);
    }
}

/// The transfer syntax of a Part 10 file: as the File Meta Information says, else as the first element shows.
///
/// # Errors
///
/// As [`crate::scan`], but for what lies behind the beginning of the data set; what `source` says.
pub fn transfer_syntax_uid<S: ReadAt>(source: &S) -> Result<String, S::Error> {
    Ok(open(source)?.transfer_syntax_uid)
}

pub(crate) fn open<S: ReadAt>(source: &S) -> Result<Opened, S::Error> {
    let size = source.size();
    let mut reader = MetaReader::default();
    let mut beginning = Vec::new();
    let mut wanted = PIECE_BYTES as u64;
    let meta = loop {
        extend(source, &mut beginning, wanted)?;
        let window = crate::element::Window {
            bytes: &beginning,
            base: 0,
            complete: beginning.len() as u64 == size,
        };
        match reader.run(window)? {
            // Bounded by `MAX_META_BYTES` and the longest field.
            Parsed::NeedMore(at_least) if !window.complete => wanted = at_least,
            Parsed::NeedMore(_) | Parsed::Absent => break None,
            Parsed::Meta(meta) => break Some(meta),
        }
    };
    let (declared, data_set_offset) = meta.as_ref().map_or(("", 0), |meta| {
        (meta.transfer_syntax_uid.as_str(), meta.data_set_offset)
    });
    extend(source, &mut beginning, data_set_offset + 8)?;
    let transfer_syntax_uid = match declared {
        "" => crate::scan::guess(&beginning, data_set_offset)?.to_owned(),
        declared => declared.to_owned(),
    };
    Ok(Opened {
        meta,
        transfer_syntax_uid,
        data_set_offset,
        beginning,
    })
}

/// Reads on until `beginning` has `wanted` bytes, or all.
fn extend<S: ReadAt>(source: &S, beginning: &mut Vec<u8>, wanted: u64) -> Result<(), S::Error> {
    let have = beginning.len();
    let wanted = usize::try_from(wanted.min(source.size())).unwrap_or(usize::MAX);
    if wanted > have {
        beginning.resize(wanted, 0);
        let count = source.read_at(&mut beginning[have..], have as u64)?;
        beginning.truncate(have + count);
    }
    Ok(())
}

/// Preamble and File Meta Information as they are, with another transfer syntax, and with the UIDs of the data set where
/// those change or nothing is there.
fn file_meta(
    opened: &Opened,
    survey: &Survey,
    edits: &Edits,
    to: &str,
) -> Result<Vec<u8>, DicomError> {
    let beginning = opened.beginning.as_slice();
    let mut kept = match &opened.meta {
        Some(meta) => read_meta(beginning, meta.meta_offset, meta.data_set_offset)?,
        None => DataSet::new(),
    };
    for (tag, of, uid) in [
        (
            tags::MEDIA_STORAGE_SOP_CLASS_UID,
            tags::SOP_CLASS_UID,
            &survey.sop_class_uid,
        ),
        (
            tags::MEDIA_STORAGE_SOP_INSTANCE_UID,
            tags::SOP_INSTANCE_UID,
            &survey.sop_instance_uid,
        ),
    ] {
        if !uid.is_empty() && (opened.meta.is_none() || edits.change(of)) {
            kept.insert(DataElement::new(tag, Vr::UI, uid.as_slice()));
        }
    }
    let preamble = beginning
        .first_chunk()
        .filter(|_| {
            let meta = opened.meta.as_ref();
            meta.is_some_and(|meta| meta.meta_offset == PREAMBLE as u64 + 4)
        })
        .unwrap_or(&[0; PREAMBLE]);
    write_meta(&kept, to, preamble)
}

fn transcode(from: &str, to: &str) -> DicomError {
    DicomError::Transcode {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}
