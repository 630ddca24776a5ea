//! Data sets in memory, written (PS3.5 §7, PS3.10 §7).

use super::{DataElement, DataSet, DicomFile, StoredValue, Value};
use crate::deflate::deflate;
use crate::element::{UNDEFINED, is_pixel_data};
use crate::encode::{
    belongs_into_data_set, is_big, padded_length, padding, push_header, push_item, shows_by_length,
    swap, swap_unit, u32_bytes, written_vr,
};
use crate::meta::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, push_preamble};
use crate::syntax::{Encoding, TransferSyntax, is_uncompressed};
use crate::{Budget, DicomError, EncodeProblem, MAX_DEPTH, Tag, Vr, tags};

impl DataSet {
    /// Encodes the data set, without File Meta Information before it.
    ///
    /// Sequences and items have defined lengths, but for private sequences in Implicit VR, which nothing else would show to
    /// be sequences. Values are padded to even length, and those that their VR's length
    /// field cannot hold become UN (PS3.5 §6.2.2). Group lengths, which are retired, are left out.
    ///
    /// # Errors
    ///
    /// - [`DicomError::Unencodable`] if a value is elsewhere, is longer than 4 GiB, is encapsulated in a transfer syntax
    ///   of native pixel data, or if its group has no place in a data set.
    /// - [`DicomError::Budget`] if sequences are nested deeper than [`MAX_DEPTH`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use vna_dicom::{DataElement, DataSet, EXPLICIT_VR_LITTLE_ENDIAN, Value, Vr, tags};
    /// let modality = DataElement { tag: tags::MODALITY, vr: Vr::CS, value: Value::Bytes(b"OPT".to_vec()) };
    /// let data_set = DataSet::from_iter([modality]);
    /// let bytes = data_set.write(EXPLICIT_VR_LITTLE_ENDIAN)?;
    /// assert_eq!(bytes, b"\x08\x00\x60\x00CS\x04\x00OPT ");
    /// # Ok::<(), vna_dicom::DicomError>(())
    /// ```
    pub fn write(&self, transfer_syntax_uid: &str) -> Result<Vec<u8>, DicomError> {
        let mut out = Vec::new();
        self.write_to(&mut out, transfer_syntax_uid)?;
        Ok(out)
    }

    /// As [`DataSet::write`], behind what `out` holds.
    ///
    /// # Errors
    ///
    /// As [`DataSet::write`]; `out` then holds a part of it.
    pub fn write_to(&self, out: &mut Vec<u8>, transfer_syntax_uid: &str) -> Result<(), DicomError> {
        let syntax = TransferSyntax::from_uid(transfer_syntax_uid);
        let native = is_uncompressed(transfer_syntax_uid);
        if !syntax.deflated {
            return Writer::new(out, syntax.encoding, native).data_set(self, 0);
        }
        let mut plain = Vec::new();
        Writer::new(&mut plain, syntax.encoding, native).data_set(self, 0)?;
        deflate(out, &plain);
        Ok(())
    }
}

impl DicomFile {
    /// Encodes the file: preamble, File Meta Information, and the data set in `transfer_syntax_uid` (PS3.10 §7.1).
    ///
    /// The File Meta Information is `meta` with the transfer syntax and the UIDs of the data set, and with our
    /// implementation if it names none.
    ///
    /// # Errors
    ///
    /// As [`DataSet::write`].
    pub fn write(&self) -> Result<Vec<u8>, DicomError> {
        let mut meta = self.meta.clone();
        for (tag, source) in [
            (tags::MEDIA_STORAGE_SOP_CLASS_UID, tags::SOP_CLASS_UID),
            (tags::MEDIA_STORAGE_SOP_INSTANCE_UID, tags::SOP_INSTANCE_UID),
        ] {
            let found = self.data_set.get(source).map(|element| &element.value);
            if let Some(Value::Bytes(uid)) = found.filter(|value| !value.is_empty()) {
                meta.insert(DataElement::new(tag, Vr::UI, uid.clone()));
            }
        }
        let mut out = write_meta(&meta, &self.transfer_syntax_uid, &[0; 128])?;
        self.data_set
            .write_to(&mut out, &self.transfer_syntax_uid)?;
        Ok(out)
    }
}

/// Preamble, `DICM` and File Meta Information with that transfer syntax; what `meta` lacks and PS3.10 §7.1 demands is
/// added, where it can be known.
pub(crate) fn write_meta(
    meta: &DataSet,
    transfer_syntax_uid: &str,
    preamble: &[u8; 128],
) -> Result<Vec<u8>, DicomError> {
    let mut meta = meta.clone();
    let ours = [
        (Tag(0x0002, 0x0001), Vr::OB, &[0, 1][..]),
        (
            tags::IMPLEMENTATION_CLASS_UID,
            Vr::UI,
            IMPLEMENTATION_CLASS_UID.as_bytes(),
        ),
        (
            tags::IMPLEMENTATION_VERSION_NAME,
            Vr::SH,
            IMPLEMENTATION_VERSION_NAME.as_bytes(),
        ),
    ];
    // A version without the implementation that it is of would be a lie.
    let named = meta.get(tags::IMPLEMENTATION_CLASS_UID).is_some();
    for (tag, vr, value) in ours.into_iter().take(if named { 1 } else { 3 }) {
        if meta.get(tag).is_none() {
            meta.insert(DataElement::new(tag, vr, value.to_vec()));
        }
    }
    let uid = transfer_syntax_uid.as_bytes().to_vec();
    meta.insert(DataElement::new(tags::TRANSFER_SYNTAX_UID, Vr::UI, uid));

    let mut out = Vec::with_capacity(512);
    push_preamble(&mut out, preamble);
    let group_length_at = out.len();
    let mut writer = Writer::new(&mut out, Encoding::ExplicitLittle, true);
    writer.element(Tag(0x0002, 0x0000), Vr::UL, &Value::Bytes(vec![0; 4]), 0)?;
    let body = writer.out.len();
    for element in &meta.elements {
        if element.tag.0 == 0x0002 && !element.tag.is_group_length() {
            writer.element(element.tag, element.vr, &element.value, 0)?;
        }
    }
    let length = padded_length(tags::TRANSFER_SYNTAX_UID, (out.len() - body) as u64)?;
    out[group_length_at + 8..body].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

/// A part of what is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// These bytes.
    Written(Vec<u8>),
    /// Bytes of the file that the data set was read from.
    Stored(StoredValue),
}

impl Piece {
    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        match self {
            Piece::Written(bytes) => bytes.len() as u64,
            Piece::Stored(value) => value.length,
        }
    }
}

/// Encodes a data set as the file is encoded that its [`Value::Stored`] are in. Not deflated, whatever the transfer syntax
/// says.
pub(crate) fn write_pieces(
    data_set: &DataSet,
    transfer_syntax_uid: &str,
) -> Result<Vec<Piece>, DicomError> {
    let encoding = TransferSyntax::from_uid(transfer_syntax_uid).encoding;
    let mut out = Vec::with_capacity(4096);
    let native = is_uncompressed(transfer_syntax_uid);
    let mut writer = Writer::new(&mut out, encoding, native);
    writer.stored = Some(Vec::new());
    writer.data_set(data_set, 0)?;
    let stored = writer.stored.take().unwrap_or_default();
    let mut pieces = Vec::with_capacity(2 * stored.len() + 1);
    let mut from = 0;
    for (at, value) in stored {
        pieces.push(Piece::Written(out[from..at].to_vec()));
        pieces.push(Piece::Stored(value));
        from = at;
    }
    out.drain(..from);
    pieces.push(Piece::Written(out));
    Ok(pieces)
}

/// Appends an element in `encoding`; pixel data in fragments has no place in it.
pub(crate) fn write_element(
    out: &mut Vec<u8>,
    encoding: Encoding,
    element: &DataElement,
) -> Result<(), DicomError> {
    Writer::new(out, encoding, true).element(element.tag, element.vr, &element.value, 0)
}

/// Writes a data set element by element, behind what a buffer holds: for answers that are made of single values.
///
/// The caller writes each tag once, in their order (PS3.5 §7.1).
///
/// ```
/// # use vna_dicom::{DataSetWriter, EXPLICIT_VR_LITTLE_ENDIAN, Vr, tags};
/// let mut out = Vec::new();
/// let mut writer = DataSetWriter::new(&mut out, EXPLICIT_VR_LITTLE_ENDIAN);
/// writer.bytes(tags::MODALITY, Vr::CS, b"OPT")?;
/// writer.finish();
/// assert_eq!(out, b"\x08\x00\x60\x00CS\x04\x00OPT ");
/// # Ok::<(), vna_dicom::DicomError>(())
/// ```
pub struct DataSetWriter<'a> {
    writer: Writer<'a>,
    start: usize,
    deflated: bool,
}

impl<'a> DataSetWriter<'a> {
    /// Begins a data set at the end of `out`.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>, transfer_syntax_uid: &str) -> Self {
        let syntax = TransferSyntax::from_uid(transfer_syntax_uid);
        DataSetWriter {
            start: out.len(),
            writer: Writer::new(out, syntax.encoding, is_uncompressed(transfer_syntax_uid)),
            deflated: syntax.deflated,
        }
    }

    /// Appends an element whose value is no sequence; see [`Value::Bytes`].
    ///
    /// # Errors
    ///
    /// [`DicomError::Unencodable`] if the value is longer than 4 GiB.
    pub fn bytes(&mut self, tag: Tag, vr: Vr, value: &[u8]) -> Result<(), DicomError> {
        self.writer.bytes(tag, vr, value)
    }

    /// Appends an element.
    ///
    /// # Errors
    ///
    /// As [`DataSet::write`].
    pub fn element(&mut self, element: &DataElement) -> Result<(), DicomError> {
        self.writer
            .element(element.tag, element.vr, &element.value, 0)
    }

    /// Ends the data set, which is deflated now if its transfer syntax says so.
    pub fn finish(self) {
        if self.deflated {
            let plain = self.writer.out.split_off(self.start);
            deflate(self.writer.out, &plain);
        }
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    encoding: Encoding,
    /// Whether there is no place for encapsulated pixel data.
    native: bool,
    /// Values that are to be put in, and where; `None` if there is no file to take them from.
    stored: Option<Vec<(usize, StoredValue)>>,
    /// Bytes of them.
    stored_bytes: u64,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<u8>, encoding: Encoding, native: bool) -> Self {
        Writer {
            out,
            encoding,
            native,
            stored: None,
            stored_bytes: 0,
        }
    }

    fn data_set(&mut self, data_set: &DataSet, depth: usize) -> Result<(), DicomError> {
        if depth > MAX_DEPTH {
            return Err(DicomError::Budget {
                budget: Budget::Depth,
                offset: self.out.len() as u64,
            });
        }
        for element in &data_set.elements {
            if !belongs_into_data_set(element.tag) {
                return Err(unencodable(element.tag, EncodeProblem::Group));
            }
            if !element.tag.is_group_length() {
                self.element(element.tag, element.vr, &element.value, depth)?;
            }
        }
        Ok(())
    }

    fn element(&mut self, tag: Tag, vr: Vr, value: &Value, depth: usize) -> Result<(), DicomError> {
        match value {
            Value::Bytes(value) => self.bytes(tag, vr, value),
            Value::Items(items) => self.items(tag, items, depth),
            Value::Fragments(_) if self.native => {
                Err(unencodable(tag, EncodeProblem::Encapsulated))
            }
            Value::Fragments(fragments) => self.fragments(tag, vr, fragments),
            Value::BulkDataUri(_) => Err(unencodable(tag, EncodeProblem::Elsewhere)),
            Value::Stored(value) => self.stored(tag, vr, value),
        }
    }

    fn stored(&mut self, tag: Tag, vr: Vr, value: &StoredValue) -> Result<(), DicomError> {
        let Some(stored) = &mut self.stored else {
            return Err(unencodable(tag, EncodeProblem::Elsewhere));
        };
        let length = if value.encapsulated {
            UNDEFINED
        } else {
            padded_length(tag, value.length)?
        };
        let vr = written_vr(self.encoding, vr, length);
        push_header(self.out, self.encoding, tag, vr, length);
        stored.push((self.out.len(), *value));
        self.stored_bytes += value.length;
        if value.length % 2 == 1 {
            self.out.push(padding(vr));
        }
        Ok(())
    }

    fn bytes(&mut self, tag: Tag, vr: Vr, value: &[u8]) -> Result<(), DicomError> {
        let length = padded_length(tag, value.len() as u64)?;
        let written = written_vr(self.encoding, vr, length);
        push_header(self.out, self.encoding, tag, written, length);
        let start = self.out.len();
        self.out.extend_from_slice(value);
        if value.len() % 2 == 1 {
            self.out.push(padding(vr));
        }
        if is_big(self.encoding, written) {
            swap(&mut self.out[start..], swap_unit(vr));
        }
        Ok(())
    }

    fn items(&mut self, tag: Tag, items: &[DataSet], depth: usize) -> Result<(), DicomError> {
        let is_open = shows_by_length(self.encoding, tag);
        let length = if is_open { UNDEFINED } else { 0 };
        push_header(self.out, self.encoding, tag, Vr::SQ, length);
        let start = self.position();
        for item in items {
            push_item(self.out, self.encoding, tags::ITEM, 0);
            let start = self.position();
            self.data_set(item, depth + 1)?;
            self.close(tag, start)?;
        }
        if is_open {
            let end = tags::SEQUENCE_DELIMITATION_ITEM;
            push_item(self.out, self.encoding, end, 0);
            return Ok(());
        }
        self.close(tag, start)
    }

    /// How many bytes were written, and how many are to be put in.
    fn position(&self) -> (usize, u64) {
        (self.out.len(), self.stored_bytes)
    }

    /// Fills the length in that stands before `start`.
    fn close(&mut self, tag: Tag, (start, stored): (usize, u64)) -> Result<(), DicomError> {
        let written = (self.out.len() - start) as u64;
        let length = padded_length(tag, written + self.stored_bytes - stored)?;
        self.out[start - 4..start].copy_from_slice(&u32_bytes(self.encoding, length));
        Ok(())
    }

    fn fragments(&mut self, tag: Tag, vr: Vr, fragments: &[Vec<u8>]) -> Result<(), DicomError> {
        let vr = if is_pixel_data(tag) { Vr::OB } else { vr };
        push_header(self.out, self.encoding, tag, vr, UNDEFINED);
        for fragment in fragments {
            let length = padded_length(tag, fragment.len() as u64)?;
            push_item(self.out, self.encoding, tags::ITEM, length);
            self.out.extend_from_slice(fragment);
            if fragment.len() % 2 == 1 {
                self.out.push(0);
            }
        }
        push_item(self.out, self.encoding, tags::SEQUENCE_DELIMITATION_ITEM, 0);
        Ok(())
    }
}

fn unencodable(tag: Tag, problem: EncodeProblem) -> DicomError {
    DicomError::Unencodable { tag, problem }
}
