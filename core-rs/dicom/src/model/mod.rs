//! A data set as the web has it, both ways: the DICOM JSON Model (PS3.18 Annex F) and the Native DICOM Model in XML
//! (PS3.19 Annex A.1).
//!
//! Both are written from the elements of a scan or of a [`DataSet`] by one walk (`walk`), which decides what is given in
//! place and what by a URI, and read into a [`DataSet`] by one builder (`build`), so that they cannot differ in more than
//! their syntax. Texts are UTF-8 in both, so Specific Character Set (0008,0005) is ISO_IR 192 wherever it stands; group
//! lengths are left out (PS3.18 §F.2.2).
//!
//! **URIs of bulk data** are the prefix that the caller gives, then the path to the element: tags of eight lower-case
//! hexadecimal digits and, between two tags, the number of an item from 0 on: `/00081140/0/00420011`. [`ElementPath`]
//! reads what is behind the prefix.
//!
//! [`ElementPath`]: crate::ElementPath

mod build;
mod json;
mod json_read;
mod lexer;
mod problem;
mod row;
mod value;
mod walk;
mod xml;
mod xml_read;

pub use problem::ModelProblem;
pub use row::{RowValue, write_row};

use crate::element::is_pixel_data;
use crate::partial::{Keep, PartialScan};
use crate::text::effective_vr;
use crate::{DataSet, DicomError, Element, Extent, Scan, Tag, Vr, scan};
use build::Builder;
use json::JsonWriter;
use std::ops::Range;
use walk::Walk;
use xml::XmlWriter;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// The DICOM JSON Model, `application/dicom+json`.
    Json,
    /// The Native DICOM Model, `application/dicom+xml`.
    Xml,
}

/// What to write of a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelOptions<'a> {
    /// Longest value in bytes that is given in place, where its VR allows a URI instead; up to 16 bytes always are.
    /// Fragments of encapsulated pixel data have no form in place.
    pub bulk_threshold: u64,
    /// What URIs begin with.
    pub bulk_uri: &'a str,
    /// Whether a document (0042,0011) has a URI however short it is: it is what its object is about.
    pub documents_by_uri: bool,
    /// Also what stands behind the pixel data, and the pixel data in place if it is short. Else its URI is the last.
    pub whole: bool,
}

/// What is given in place unless somebody says otherwise: codes, texts and curves of a header, no image.
pub const DEFAULT_BULK_THRESHOLD: u64 = 1024;

const ENCAPSULATED_DOCUMENT: Tag = Tag(0x0042, 0x0011);

/// A URI is longer than this, and how other elements are read depends on some values of two bytes.
const ALWAYS_IN_PLACE: u64 = 16;

impl Default for ModelOptions<'_> {
    fn default() -> Self {
        ModelOptions {
            bulk_threshold: DEFAULT_BULK_THRESHOLD,
            bulk_uri: "",
            documents_by_uri: false,
            whole: true,
        }
    }
}

impl ModelOptions<'_> {
    /// Whether a value of that VR and length is given by a URI (PS3.18 §F.2.2 names the VRs that may be).
    fn is_bulk(&self, tag: Tag, vr: Vr, length: u64) -> bool {
        if self.documents_by_uri && tag == ENCAPSULATED_DOCUMENT && length > 0 {
            return may_be_bulk(vr);
        }
        length > self.bulk_threshold.max(ALWAYS_IN_PLACE) && may_be_bulk(vr)
    }

    /// Whether the element is pixel data that nobody asked for: its value then is not looked at, however short.
    fn ends_at(&self, tag: Tag, depth: usize) -> bool {
        !self.whole && depth == 0 && is_pixel_data(tag)
    }
}

fn may_be_bulk(vr: Vr) -> bool {
    !matches!(
        &vr.0,
        b"AE"
            | b"AS"
            | b"AT"
            | b"CS"
            | b"DA"
            | b"DT"
            | b"LO"
            | b"PN"
            | b"SH"
            | b"TM"
            | b"UI"
            | b"UR"
    )
}

/// Writes the data set of a whole Part 10 file, without its File Meta Information.
///
/// An element that stands twice is given once, as it stands first.
///
/// # Errors
///
/// As [`crate::scan`].
pub fn write_model(
    file: &[u8],
    model: Model,
    options: &ModelOptions<'_>,
) -> Result<Vec<u8>, DicomError> {
    let extent = if options.whole {
        Extent::All
    } else {
        Extent::ToPixelData
    };
    Ok(write_scan(&scan(file, extent)?, model, options))
}

/// The same of a scan that has reported nested elements.
#[must_use]
pub fn write_scan(scan: &Scan<'_>, model: Model, options: &ModelOptions<'_>) -> Vec<u8> {
    // About what an element takes; a few bytes of input make one.
    let capacity = scan.elements.len() * 64;
    match model {
        Model::Json => Walk::new(JsonWriter::new(capacity), options).scan(scan),
        Model::Xml => Walk::new(XmlWriter::new(capacity), options).scan(scan),
    }
}

/// The same of a data set in memory. What it has by URI keeps its URI.
#[must_use]
pub fn write_data_set(data_set: &DataSet, model: Model, options: &ModelOptions<'_>) -> Vec<u8> {
    match model {
        Model::Json => Walk::new(JsonWriter::new(0), options).data_set(data_set),
        Model::Xml => Walk::new(XmlWriter::new(0), options).data_set(data_set),
    }
}

/// Reads a data set from one of the models. Its texts are UTF-8: Specific Character Set says so where it was there, and
/// is added where a text needs it.
///
/// # Errors
///
/// [`DicomError::Model`] tells what is wrong and at which element; [`DicomError::Budget`] if there is more of it, or
/// deeper, than a data set may have.
pub fn read_model(text: &[u8], model: Model) -> Result<DataSet, DicomError> {
    match model {
        Model::Json => json_read::read(text),
        Model::Xml => xml_read::read(text),
    }
}

/// The same with File Meta Information among it, as some clients of STOW-RS send it though group 0002 has no place there:
/// its elements, then the data set.
///
/// # Errors
///
/// As [`read_model`].
pub fn read_model_with_meta(text: &[u8], model: Model) -> Result<(DataSet, DataSet), DicomError> {
    let builder = Builder::with_meta();
    let whole = match model {
        Model::Json => json_read::read_with(text, builder),
        Model::Xml => xml_read::read_with(text, builder),
    }?;
    let (meta, data_set): (Vec<_>, Vec<_>) = whole
        .into_iter()
        .partition(|element| element.tag.0 == 0x0002);
    Ok((DataSet::from_iter(meta), DataSet::from_iter(data_set)))
}

/// Where each object of an array of DICOM JSON is in its text, so that what is wrong with one is not wrong with all; one
/// object alone is also taken. Looks at brackets and strings only.
///
/// # Errors
///
/// [`DicomError::Model`] if the text is no array of objects.
pub fn json_extents(text: &[u8]) -> Result<Vec<Range<usize>>, DicomError> {
    json_read::extents(text)
}

/// Reads an array of data sets from DICOM JSON, as DICOMweb sends several; one alone is also taken.
///
/// # Errors
///
/// As [`read_model`].
pub fn read_json_list(text: &[u8]) -> Result<Vec<DataSet>, DicomError> {
    json_read::read_list(text)
}

/// Writes a model from the parts of a file: long values are stepped over, not held.
///
/// ```
/// # use vna_dicom::{Model, ModelOptions, ModelStream, write_model, write_file_meta, FileMetaFields};
/// # let mut file = write_file_meta(&FileMetaFields {
/// #     transfer_syntax_uid: "1.2.840.10008.1.2.1", ..FileMetaFields::default() });
/// # file.extend(b"\x08\x00\x60\x00CS\x02\x00CT\x42\x00\x11\x00OB\x00\x00\x10\x27\x00\x00");
/// # file.extend([7; 10_000]);
/// let options = ModelOptions { bulk_uri: "../bulk", ..ModelOptions::default() };
/// let mut stream = ModelStream::new(Model::Json, &options);
/// let (mut at, mut read) = (0, 0);
/// while !stream.is_done() && at < file.len() {
///     let part = &file[at..file.len().min(at + 100)];
///     read += part.len();
///     stream.push(part)?;
///     at = stream.skip(file.len() as u64) as usize;
/// }
/// let json = stream.finish()?;
/// assert_eq!(json, write_model(&file, Model::Json, &options)?);
/// assert!(json.ends_with(br#""00420011":{"vr":"OB","BulkDataURI":"../bulk/00420011"}}"#));
/// assert!(read < file.len(), "the document was stepped over");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
#[derive(Debug)]
pub struct ModelStream<'a> {
    model: Model,
    scan: PartialScan<&'a ModelOptions<'a>>,
}

impl<'a> ModelStream<'a> {
    /// For a Part 10 file, with or without preamble and meta information.
    #[must_use]
    pub fn new(model: Model, options: &'a ModelOptions<'a>) -> Self {
        ModelStream {
            model,
            scan: PartialScan::new(options),
        }
    }

    /// Takes the next part. After an error the stream is spent.
    ///
    /// # Errors
    ///
    /// As [`crate::scan`]; [`crate::Budget::Tags`] if there is more to give in place than may be held.
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        self.scan.push(part)
    }

    /// Whether nothing more is needed of the file.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.scan.is_done()
    }

    /// Steps over what is not needed, and returns the offset in the file that the next part begins at. `file_bytes` is
    /// how long the file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.scan.skip(file_bytes)
    }

    /// Writes the model, once all parts were given.
    ///
    /// # Errors
    ///
    /// As [`ModelStream::push`]; [`DicomError::Truncated`] if the file ends inside an element.
    pub fn finish(self) -> Result<Vec<u8>, DicomError> {
        let (scan, options) = self.scan.finish()?;
        Ok(write_scan(&scan, self.model, options))
    }
}

impl Keep for &ModelOptions<'_> {
    fn value(&self, element: &Element, length: u64) -> bool {
        !self.ends_at(element.tag, element.depth.into())
            && !self.is_bulk(element.tag, effective_vr(element.tag, element.vr), length)
    }

    fn whole(&self) -> bool {
        self.whole
    }
}
