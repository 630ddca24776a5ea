//! Data element tags (PS3.5 §7.1.1).

use std::fmt;

/// A data element tag: group number, element number.
///
/// Orders as the standard orders a data set: by group, then by element. Displays as `(0028,0010)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tag(pub u16, pub u16);

impl Tag {
    /// The tag as one number, group in the upper half.
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        ((self.0 as u32) << 16) | self.1 as u32
    }

    /// The inverse of [`Tag::to_u32`].
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "takes the two halves apart"
    )]
    pub const fn from_u32(value: u32) -> Tag {
        Tag((value >> 16) as u16, value as u16)
    }

    /// Eight lower-case hexadecimal digits, such as `0020000d`.
    #[must_use]
    pub fn hex8(self) -> String {
        format!("{:08x}", self.to_u32())
    }

    /// Reads eight hexadecimal digits, or two groups of four split by `,` or `-`, in parentheses or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Tag> {
        let inner = text
            .strip_prefix('(')
            .and_then(|t| t.strip_suffix(')'))
            .unwrap_or(text);
        let hex = |part: &str, digits: usize| {
            (part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit()))
                .then(|| u32::from_str_radix(part, 16).ok())
                .flatten()
        };
        if let Some((group, element)) = inner.split_once([',', '-']) {
            return Some(Tag::from_u32((hex(group, 4)? << 16) | hex(element, 4)?));
        }
        hex(inner, 8).map(Tag::from_u32)
    }

    /// Whether the tag is private: its group number is odd (PS3.5 §7.8).
    #[must_use]
    pub const fn is_private(self) -> bool {
        self.0 & 1 == 1
    }

    /// Whether the element reserves a block of private tags: `(gggg,0010-00FF)`, odd group (PS3.5 §7.8.1).
    #[must_use]
    pub const fn is_private_creator(self) -> bool {
        self.is_private() && self.1 >= 0x0010 && self.1 <= 0x00FF
    }

    /// Whether the element is a (retired) group length, `(gggg,0000)` (PS3.5 §7.2).
    #[must_use]
    pub const fn is_group_length(self) -> bool {
        self.1 == 0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04X},{:04X})", self.0, self.1)
    }
}

/// Tags that the code of the archive names.
#[allow(
    missing_docs,
    reason = "each constant is the keyword of PS3.6 in upper case"
)]
pub mod tags {
    use super::Tag;

    pub const TRANSFER_SYNTAX_UID: Tag = Tag(0x0002, 0x0010);
    pub const MEDIA_STORAGE_SOP_CLASS_UID: Tag = Tag(0x0002, 0x0002);
    pub const MEDIA_STORAGE_SOP_INSTANCE_UID: Tag = Tag(0x0002, 0x0003);
    pub const IMPLEMENTATION_CLASS_UID: Tag = Tag(0x0002, 0x0012);
    pub const IMPLEMENTATION_VERSION_NAME: Tag = Tag(0x0002, 0x0013);
    pub const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
    pub const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
    pub const INSTANCE_CREATION_DATE: Tag = Tag(0x0008, 0x0012);
    pub const INSTANCE_CREATION_TIME: Tag = Tag(0x0008, 0x0013);
    pub const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
    pub const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
    pub const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
    pub const SERIES_DATE: Tag = Tag(0x0008, 0x0021);
    pub const STUDY_TIME: Tag = Tag(0x0008, 0x0030);
    pub const SERIES_TIME: Tag = Tag(0x0008, 0x0031);
    pub const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
    pub const ISSUER_OF_ACCESSION_NUMBER_SEQUENCE: Tag = Tag(0x0008, 0x0051);
    pub const MODALITY: Tag = Tag(0x0008, 0x0060);
    pub const MANUFACTURER: Tag = Tag(0x0008, 0x0070);
    pub const INSTITUTION_NAME: Tag = Tag(0x0008, 0x0080);
    pub const REFERRING_PHYSICIAN_NAME: Tag = Tag(0x0008, 0x0090);
    pub const TIMEZONE_OFFSET_FROM_UTC: Tag = Tag(0x0008, 0x0201);
    pub const STATION_NAME: Tag = Tag(0x0008, 0x1010);
    pub const STUDY_DESCRIPTION: Tag = Tag(0x0008, 0x1030);
    pub const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103E);
    pub const OPERATORS_NAME: Tag = Tag(0x0008, 0x1070);
    pub const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
    pub const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
    pub const ISSUER_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0021);
    pub const PATIENT_BIRTH_DATE: Tag = Tag(0x0010, 0x0030);
    pub const PATIENT_SEX: Tag = Tag(0x0010, 0x0040);
    pub const OTHER_PATIENT_IDS: Tag = Tag(0x0010, 0x1000);
    pub const BODY_PART_EXAMINED: Tag = Tag(0x0018, 0x0015);
    pub const PROTOCOL_NAME: Tag = Tag(0x0018, 0x1030);
    pub const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
    pub const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
    pub const STUDY_ID: Tag = Tag(0x0020, 0x0010);
    pub const SERIES_NUMBER: Tag = Tag(0x0020, 0x0011);
    pub const ACQUISITION_NUMBER: Tag = Tag(0x0020, 0x0012);
    pub const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
    pub const IMAGE_POSITION_PATIENT: Tag = Tag(0x0020, 0x0032);
    pub const IMAGE_ORIENTATION_PATIENT: Tag = Tag(0x0020, 0x0037);
    pub const TEMPORAL_POSITION_IDENTIFIER: Tag = Tag(0x0020, 0x0100);
    pub const IMAGE_COMMENTS: Tag = Tag(0x0020, 0x4000);
    pub const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
    pub const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
    pub const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
    pub const ROWS: Tag = Tag(0x0028, 0x0010);
    pub const COLUMNS: Tag = Tag(0x0028, 0x0011);
    pub const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
    pub const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
    pub const LOCAL_NAMESPACE_ENTITY_ID: Tag = Tag(0x0040, 0x0031);
    pub const UNIVERSAL_ENTITY_ID: Tag = Tag(0x0040, 0x0032);
    pub const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7FE0, 0x0001);
    pub const EXTENDED_OFFSET_TABLE_LENGTHS: Tag = Tag(0x7FE0, 0x0002);
    pub const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
    pub const DOUBLE_FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);
    pub const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
    pub const DATA_SET_TRAILING_PADDING: Tag = Tag(0xFFFC, 0xFFFC);
    pub const ITEM: Tag = Tag(0xFFFE, 0xE000);
    pub const ITEM_DELIMITATION_ITEM: Tag = Tag(0xFFFE, 0xE00D);
    pub const SEQUENCE_DELIMITATION_ITEM: Tag = Tag(0xFFFE, 0xE0DD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_prints_and_parses_in_every_usual_form() {
        let rows = Tag(0x0028, 0x0010);
        assert_eq!(rows.to_string(), "(0028,0010)");
        assert_eq!(rows.hex8(), "00280010");
        assert_eq!(Tag::from_u32(rows.to_u32()), rows);
        for text in ["00280010", "0028,0010", "0028-0010", "(0028,0010)"] {
            assert_eq!(Tag::parse(text), Some(rows), "{text}");
        }
        for text in [
            "",
            "0028001",
            "0028,00100",
            "002g0010",
            "+0280010",
            "(0028,0010",
        ] {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_odd_groups_are_private() {
        assert!(Tag(0x0009, 0x1001).is_private());
        assert!(Tag(0x0009, 0x0010).is_private_creator());
        assert!(!Tag(0x0009, 0x1001).is_private_creator());
        assert!(!Tag(0x0008, 0x0010).is_private_creator());
    }
}
