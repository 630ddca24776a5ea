//! What the archive learns from the head of an instance.

use crate::{DicomError, PublicId, Tag, Vr};

/// The identifiers that place an instance in the hierarchy: UTF-8, padding stripped, empty if absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// (0010,0020); may be empty.
    pub patient_id: String,
    /// (0020,000D); never empty in an [`Instance`].
    pub study_instance_uid: String,
    /// (0020,000E); never empty in an [`Instance`].
    pub series_instance_uid: String,
    /// (0008,0018); never empty in an [`Instance`].
    pub sop_instance_uid: String,
    /// (0008,0016), or else what the File Meta Information says.
    pub sop_class_uid: String,
    /// (0010,0021).
    pub issuer_of_patient_id: String,
    /// (0008,0050).
    pub accession_number: String,
    /// The Local Namespace Entity ID, or else the Universal Entity ID, of (0008,0051).
    pub issuer_of_accession_number: String,
}

impl Identity {
    /// The public ids of patient, study, series and instance.
    #[must_use]
    pub fn public_ids(&self) -> [PublicId; 4] {
        let (patient, study, series) = (
            &self.patient_id,
            &self.study_instance_uid,
            &self.series_instance_uid,
        );
        [
            PublicId::patient(patient),
            PublicId::study(patient, study),
            PublicId::series(patient, study, series),
            PublicId::instance(patient, study, series, &self.sop_instance_uid),
        ]
    }
}

/// The head of an instance: identity, indexed tags, and where the pixel data lies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Instance {
    /// Its place in the hierarchy.
    pub identity: Identity,
    /// (0002,0010); of a file without meta header, the syntax that its first element shows.
    pub transfer_syntax_uid: String,
    /// The elements of [`crate::main_tags`] and [`crate::extra_tags`] that are present, sequences left out, sorted by tag: decoded to
    /// UTF-8, padding trimmed, values joined by `\`, binary numbers in decimal.
    ///
    /// A value of more than [`crate::MAX_INDEXED_VALUE_BYTES`] is left out: no search key is that long.
    pub tags: Vec<(Tag, String)>,
    /// Where the data set begins in the input.
    pub data_set_offset: u64,
    /// Where the pixel data lies in the input; `None` if there is none, or if the data set is deflated.
    pub pixel_data: Option<PixelData>,
    /// (0028,0008), 1 if absent.
    pub number_of_frames: u32,
    /// The list of [`crate::extra_tags`] that was in force when the head was begun: see [`crate::extra_generation`].
    pub extra_generation: u64,
}

impl Instance {
    /// The value of an indexed tag.
    #[must_use]
    pub fn tag(&self, tag: Tag) -> Option<&str> {
        let at = self.tags.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        Some(&self.tags[at].1)
    }

    /// Checks that native pixel data ends within an input of `input_bytes`, which a [`crate::HeaderReader`] that was
    /// done before all of it arrived could not.
    ///
    /// # Errors
    ///
    /// [`DicomError::Truncated`] if it does not.
    pub fn check_length(&self, input_bytes: u64) -> Result<(), DicomError> {
        match &self.pixel_data {
            Some(PixelData {
                length: Some(length),
                value_offset,
                ..
            }) if value_offset + length > input_bytes => Err(DicomError::Truncated {
                what: "pixel data",
                offset: *value_offset,
                needed: *length,
                available: input_bytes.saturating_sub(*value_offset),
            }),
            _ => Ok(()),
        }
    }
}

/// The pixel data element: Pixel Data, Float Pixel Data or Double Float Pixel Data. Offsets count from the
/// start of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PixelData {
    /// The element.
    pub tag: Tag,
    /// Its VR; in implicit VR the one of the dictionary.
    pub vr: Vr,
    /// Where its header begins.
    pub element_offset: u64,
    /// Where its value begins: in encapsulated pixel data, the item of the Basic Offset Table.
    pub value_offset: u64,
    /// Bytes of its value; `None` if undefined, which is encapsulated pixel data (PS3.5 §A.4).
    pub length: Option<u64>,
}
