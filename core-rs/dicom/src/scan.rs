//! All elements of a file at once, by position.

use crate::deflate::Inflater;
use crate::element::{Window, is_pixel_data};
use crate::meta::{MetaReader, Parsed};
use crate::syntax::{self, Encoding, TransferSyntax};
use crate::walk::{Outcome, Sink, Step, Walker};
use crate::{DicomError, Element, FileMeta};
use std::borrow::Cow;

/// How much of a data set a scan reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// The elements of the data set itself; sequences of defined length are stepped over.
    TopLevel,
    /// All elements, items and fragments, at every depth.
    All,
    /// The same up to the pixel data: its element is the last.
    ToPixelData,
}

/// The elements of a file in the order of their bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan<'a> {
    /// The File Meta Information, if the file has one.
    pub meta: Option<FileMeta>,
    /// As the File Meta Information says, else as the first element shows.
    pub transfer_syntax_uid: String,
    /// How the data set is really encoded; some writers declare another VR form than they use.
    pub encoding: Encoding,
    /// What offsets of `elements` point into: the file, or the inflated data set.
    pub data: Cow<'a, [u8]>,
    /// Where the data set begins in `data`.
    pub data_set_offset: u64,
    /// The elements. Those of an item follow it with its depth; delimiters are left out.
    pub elements: Vec<Element>,
}

impl Scan<'_> {
    /// The bytes of an element's value. Of undefined length: all up to the end of `data`.
    #[must_use]
    pub fn value(&self, element: &Element) -> &[u8] {
        let start = usize::try_from(element.value_offset).unwrap_or(usize::MAX);
        let rest = self.data.get(start..).unwrap_or_default();
        let length = element
            .length()
            .and_then(|length| usize::try_from(length).ok());
        length.and_then(|length| rest.get(..length)).unwrap_or(rest)
    }
}

/// Scans a whole Part 10 file: also one without preamble, without meta information, or deflated.
///
/// # Errors
///
/// As [`crate::read_instance`], but the data set needs no identity. With [`Extent::ToPixelData`] a value of
/// pixel data that is cut off is no error: it was not asked for.
pub fn scan(file: &[u8], extent: Extent) -> Result<Scan<'_>, DicomError> {
    let Opened {
        meta,
        transfer_syntax_uid,
        data_set_offset,
    } = open(file)?;
    let scan = scan_data_set(file, &transfer_syntax_uid, data_set_offset, extent)?;
    Ok(Scan { meta, ..scan })
}

/// What can be read of a file that may be damaged, and what ended the reading.
///
/// # Errors
///
/// As [`scan`], but only for what stands before the data set: behind it an error is a part of the answer.
pub fn scan_damaged(file: &[u8]) -> Result<(Scan<'_>, Option<DicomError>), DicomError> {
    let Opened {
        meta,
        transfer_syntax_uid,
        data_set_offset,
    } = open(file)?;
    let (scan, error) = scan_so_far(file, &transfer_syntax_uid, data_set_offset, Extent::All);
    Ok((Scan { meta, ..scan }, error))
}

/// The beginning of a file, before its data set.
pub(crate) struct Opened {
    pub meta: Option<FileMeta>,
    pub transfer_syntax_uid: String,
    pub data_set_offset: u64,
}

/// Reads the File Meta Information of a whole file, or does without.
pub(crate) fn open(file: &[u8]) -> Result<Opened, DicomError> {
    let meta = match MetaReader::default().run(Window::whole(file))? {
        Parsed::Meta(meta) => Some(meta),
        Parsed::Absent | Parsed::NeedMore(_) => None,
    };
    let (declared, data_set_offset) = match &meta {
        Some(meta) => (meta.transfer_syntax_uid.as_str(), meta.data_set_offset),
        None => ("", 0),
    };
    let transfer_syntax_uid = if declared.is_empty() {
        guess(file, data_set_offset)?
    } else {
        declared
    }
    .to_owned();
    Ok(Opened {
        meta,
        transfer_syntax_uid,
        data_set_offset,
    })
}

/// Scans a data set that begins at byte `offset` of `data` and is encoded in `transfer_syntax_uid`.
///
/// # Errors
///
/// As [`scan`].
pub fn scan_data_set<'a>(
    data: &'a [u8],
    transfer_syntax_uid: &str,
    offset: u64,
    extent: Extent,
) -> Result<Scan<'a>, DicomError> {
    match scan_so_far(data, transfer_syntax_uid, offset, extent) {
        (scan, None) => Ok(scan),
        (_, Some(error)) => Err(error),
    }
}

fn scan_so_far<'a>(
    data: &'a [u8],
    transfer_syntax_uid: &str,
    offset: u64,
    extent: Extent,
) -> (Scan<'a>, Option<DicomError>) {
    let syntax = TransferSyntax::from_uid(transfer_syntax_uid);
    let mut list = List {
        extent,
        elements: Vec::new(),
    };
    let mut walker = Walker::new(if syntax.deflated { 0 } else { offset }, syntax.encoding);
    let (data, outcome) = if syntax.deflated {
        let mut inflater = Inflater::keeping(offset);
        let outcome = inflater.run(&mut walker, Window::whole(data), &mut list);
        (Cow::Owned(inflater.into_inflated()), outcome)
    } else {
        let outcome = walker.run(Window::whole(data), &mut list);
        (Cow::Borrowed(data), outcome)
    };
    debug_assert!(
        !matches!(outcome, Ok(Outcome::NeedMore(_))),
        "a complete input leaves nothing to wait for"
    );
    let scan = Scan {
        meta: None,
        transfer_syntax_uid: transfer_syntax_uid.to_owned(),
        encoding: walker.encoding(),
        data,
        data_set_offset: if syntax.deflated { 0 } else { offset },
        elements: list.elements,
    };
    (scan, outcome.err())
}

pub(crate) fn guess(file: &[u8], offset: u64) -> Result<&'static str, DicomError> {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|at| file.get(at..))
        .unwrap_or_default();
    match rest.get(..8) {
        Some(first) => syntax::guess(first, offset > 0),
        None if rest.is_empty() && offset > 0 => Ok(syntax::IMPLICIT_VR_LITTLE_ENDIAN),
        None if rest.is_empty() => Err(DicomError::NotDicom {
            found: "an empty input",
        }),
        None => Err(DicomError::Truncated {
            what: "data set",
            offset,
            needed: 8,
            available: rest.len() as u64,
        }),
    }
}

struct List {
    extent: Extent,
    elements: Vec<Element>,
}

impl Sink for List {
    fn visit(&mut self, element: &Element, _: Window<'_>) -> Result<Step, DicomError> {
        // Grows with the elements that were read, at 32 bytes for at least 8 of input; `MAX_ELEMENTS` bounds it.
        self.elements.push(*element);
        Ok(match self.extent {
            Extent::TopLevel => Step::Over,
            Extent::ToPixelData if element.depth == 0 && is_pixel_data(element.tag) => Step::Stop,
            Extent::All | Extent::ToPixelData => Step::Into,
        })
    }
}
