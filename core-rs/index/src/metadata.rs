//! Metadata types: values that the archive knows of a resource beside its tags.

use std::borrow::Cow;
use vna_dicom::{Level, main_tags};

pub(crate) const INDEX_IN_SERIES: i64 = 1;
pub(crate) const RECEPTION_DATE: i64 = 2;
pub(crate) const REMOTE_AET: i64 = 3;
pub(crate) const EXPECTED_NUMBER_OF_INSTANCES: i64 = 4;
pub(crate) const MODIFIED_FROM: i64 = 5;
pub(crate) const ANONYMIZED_FROM: i64 = 6;
pub(crate) const LAST_UPDATE: i64 = 7;
pub(crate) const ORIGIN: i64 = 8;
pub(crate) const TRANSFER_SYNTAX: i64 = 9;
pub(crate) const SOP_CLASS_UID: i64 = 10;
pub(crate) const REMOTE_IP: i64 = 11;
pub(crate) const CALLED_AET: i64 = 12;
pub(crate) const HTTP_USERNAME: i64 = 13;
pub(crate) const PIXEL_DATA_OFFSET: i64 = 14;
pub(crate) const MAIN_DICOM_TAGS_SIGNATURE: i64 = 15;
pub(crate) const PIXEL_DATA_VR: i64 = 17;

/// Names by number, from 1 on.
const NAMES: [&str; 17] = [
    "IndexInSeries",
    "ReceptionDate",
    "RemoteAET",
    "ExpectedNumberOfInstances",
    "ModifiedFrom",
    "AnonymizedFrom",
    "LastUpdate",
    "Origin",
    "TransferSyntax",
    "SopClassUid",
    "RemoteIP",
    "CalledAET",
    "HttpUsername",
    "PixelDataOffset",
    "MainDicomTagsSignature",
    "MainDicomSequences",
    "PixelDataVR",
];

/// The highest number of a metadata type.
const MAX_NUMBER: i64 = 65_535;

/// The name of a metadata type, or else its number.
#[must_use]
pub fn metadata_name(number: i64) -> Cow<'static, str> {
    name(number).map_or_else(|| Cow::Owned(number.to_string()), Cow::Borrowed)
}

/// The name of a metadata type that has one.
pub(crate) fn name(number: i64) -> Option<&'static str> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.get(at).copied()
}

/// The number of a metadata type that is given by name or number.
#[must_use]
pub fn metadata_number(name: &str) -> Option<i64> {
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return i64::try_from(at + 1).ok();
    }
    name.parse()
        .ok()
        .filter(|number| (0..=MAX_NUMBER).contains(number))
}

/// The tags that the index keeps of a level, as the metadata says it.
pub(crate) fn signature(level: Level) -> String {
    let tags: Vec<String> = main_tags(level)
        .iter()
        .map(|tag| format!("{:04x},{:04x}", tag.0, tag.1))
        .collect();
    tags.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_numbers_that_clients_know_and_back() {
        assert_eq!(metadata_number("LastUpdate"), Some(LAST_UPDATE));
        assert_eq!(metadata_number("9"), Some(TRANSFER_SYNTAX));
        assert_eq!(name(PIXEL_DATA_OFFSET), Some("PixelDataOffset"));
        for number in 1..=17 {
            assert_eq!(name(number).and_then(metadata_number), Some(number));
        }
        for unknown in ["", "Foo", "-1", "65536", "1.5"] {
            assert_eq!(metadata_number(unknown), None, "{unknown}");
        }
        assert_eq!((name(0), name(18)), (None, None));
    }
}
