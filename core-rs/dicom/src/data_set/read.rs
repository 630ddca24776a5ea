//! Data sets in memory, read (PS3.5 §7, PS3.10 §7).

use super::{DataElement, DataSet, DicomFile, Value};
use crate::ambiguous::Pixels;
use crate::element::holds_fragments;
use crate::encode::{is_big, swap, swap_unit, without_padding};
use crate::scan::{Extent, Scan, scan, scan_data_set};
use crate::syntax::Encoding;
use crate::{DicomError, EXPLICIT_VR_LITTLE_ENDIAN, Element, Vr};

impl DataSet {
    /// Reads a data set that is encoded in `transfer_syntax_uid`, without File Meta Information before it.
    ///
    /// Of an element that stands twice the first counts. Where Implicit VR leaves a choice of VRs, the pixels decide
    /// (PS3.5 §A.1). UN of undefined length is SQ (PS3.5 §6.2.2).
    ///
    /// # Errors
    ///
    /// As [`scan_data_set`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use vna_dicom::{DataSet, EXPLICIT_VR_BIG_ENDIAN, Value, tags};
    /// let bytes = b"\x00\x28\x00\x10US\x00\x02\x02\x00";
    /// let data_set = DataSet::read(bytes, EXPLICIT_VR_BIG_ENDIAN)?;
    /// let rows = &data_set.get(tags::ROWS).expect("read").value;
    /// assert_eq!(rows, &Value::Bytes(512_u16.to_le_bytes().to_vec()));
    /// # Ok::<(), vna_dicom::DicomError>(())
    /// ```
    pub fn read(bytes: &[u8], transfer_syntax_uid: &str) -> Result<Self, DicomError> {
        scan_data_set(bytes, transfer_syntax_uid, 0, Extent::All).map(|scan| scan.to_data_set())
    }
}

impl DicomFile {
    /// Reads a whole Part 10 file: also one without preamble, without meta information, or deflated.
    ///
    /// # Errors
    ///
    /// As [`scan`].
    pub fn read(file: &[u8]) -> Result<Self, DicomError> {
        let scan = scan(file, Extent::All)?;
        let data_set = scan.to_data_set();
        let meta = match &scan.meta {
            Some(meta) => read_meta(file, meta.meta_offset, meta.data_set_offset)?,
            None => DataSet::new(),
        };
        Ok(DicomFile {
            transfer_syntax_uid: scan.transfer_syntax_uid,
            meta,
            data_set,
        })
    }
}

/// The elements of File Meta Information that goes from byte `start` of a file to byte `end`.
pub(crate) fn read_meta(file: &[u8], start: u64, end: u64) -> Result<DataSet, DicomError> {
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    let bytes = file.get(..end).unwrap_or(file);
    let scan = scan_data_set(bytes, EXPLICIT_VR_LITTLE_ENDIAN, start, Extent::All)?;
    Ok(scan.to_data_set())
}

impl Scan<'_> {
    /// The data set of a scan that has reported all elements, as [`DataSet::read`] has it.
    #[must_use]
    pub fn to_data_set(&self) -> DataSet {
        let mut reader = Reader {
            scan: self,
            next: 0,
        };
        let mut data_set = reader.data_set(0);
        if self.encoding == Encoding::ImplicitLittle {
            choose_vrs(&mut data_set);
        }
        data_set
    }
}

struct Reader<'a> {
    scan: &'a Scan<'a>,
    /// The next element of the scan.
    next: usize,
}

impl<'a> Reader<'a> {
    /// Reads the elements of one data set. Recursion goes as deep as the scan did, `MAX_DEPTH`.
    fn data_set(&mut self, depth: u16) -> DataSet {
        let mut elements = Vec::new();
        while let Some(element) = self.take(|next| next.depth == depth && !next.is_item()) {
            elements.push(self.element(element));
        }
        elements.into_iter().collect()
    }

    fn take(&mut self, belongs: impl Fn(&Element) -> bool) -> Option<&'a Element> {
        let next = self.scan.elements.get(self.next)?;
        let taken = belongs(next).then_some(next)?;
        self.next += 1;
        Some(taken)
    }

    fn element(&mut self, element: &Element) -> DataElement {
        let is_inner = |next: &Element| next.depth == element.depth + 1 && next.is_item();
        let inner = self.scan.elements.get(self.next).filter(|e| is_inner(e));
        let (vr, value) = match inner {
            Some(first) if first.vr == Vr::OB => {
                let mut fragments = Vec::new();
                while let Some(fragment) = self.take(is_inner) {
                    fragments.push(self.scan.value(fragment).to_vec());
                }
                (element.vr, Value::Fragments(fragments))
            }
            Some(_) => {
                let mut items = Vec::new();
                while let Some(item) = self.take(is_inner) {
                    items.push(self.data_set(item.depth));
                }
                (Vr::SQ, Value::Items(items))
            }
            None if element.vr == Vr::SQ => (Vr::SQ, Value::Items(Vec::new())),
            None if element.length().is_none() => nothing_inside(element),
            None => (element.vr, Value::Bytes(self.bytes(element))),
        };
        DataElement {
            tag: element.tag,
            vr,
            value,
        }
    }

    fn bytes(&self, element: &Element) -> Vec<u8> {
        let mut value = without_padding(element.vr, self.scan.value(element)).to_vec();
        if is_big(element.encoding, element.vr) {
            swap(&mut value, swap_unit(element.vr));
        }
        value
    }
}

/// Of undefined length, and the delimiter follows at once.
fn nothing_inside(element: &Element) -> (Vr, Value) {
    if holds_fragments(element.tag, element.vr) {
        (element.vr, Value::Fragments(Vec::new()))
    } else {
        (Vr::SQ, Value::Items(Vec::new()))
    }
}

/// Gives elements read from Implicit VR the VR that their pixels decide on.
pub(crate) fn choose_vrs(data_set: &mut DataSet) {
    choose_vrs_within(data_set, Pixels::default());
}

fn choose_vrs_within(data_set: &mut DataSet, around: Pixels) {
    let mut pixels = around;
    for element in &data_set.elements {
        if let Value::Bytes(value) = &element.value {
            pixels.note(element.tag, value);
        }
    }
    for element in &mut data_set.elements {
        match &mut element.value {
            Value::Items(items) => {
                for item in items {
                    choose_vrs_within(item, pixels);
                }
            }
            Value::Bytes(_) | Value::Stored(_) => {
                element.vr = pixels.choose(element.tag, element.vr);
            }
            Value::Fragments(_) | Value::BulkDataUri(_) => {}
        }
    }
}
