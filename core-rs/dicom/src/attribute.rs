//! Which entity of the hierarchy an attribute describes.

use crate::{Level, Tag, main_tags};

/// The level of the entity that an attribute describes, by the modules of PS3.3 that are the same for all instances of
/// a patient, a study or a series; all that is in none of them, private elements too, describes an instance.
///
/// ```
/// # use vna_dicom::{attribute_level, Level, Tag};
/// assert_eq!(attribute_level(Tag(0x0010, 0x1010)), Level::Study); // Patient's Age: of the Patient Study module
/// assert_eq!(attribute_level(Tag(0x0028, 0x0010)), Level::Instance); // Rows
/// ```
#[must_use]
pub fn attribute_level(tag: Tag) -> Level {
    if tag.is_private() {
        return Level::Instance;
    }
    let indexed = Level::ALL
        .into_iter()
        .find(|level| main_tags(*level).binary_search(&tag).is_ok());
    if let Some(level) = indexed {
        return level;
    }
    for (level, table) in [
        (Level::Study, STUDY),
        (Level::Patient, PATIENT),
        (Level::Series, SERIES),
    ] {
        if table.binary_search(&tag.to_u32()).is_ok() {
            return level;
        }
    }
    Level::Instance
}

macro_rules! table {
    ($($number:literal)*) => { &[$($number),*] };
}

/// Patient and Clinical Trial Subject (PS3.3 C.7.1.1, C.7.1.3).
const PATIENT: &[u32] = table![
    0x0010_0021 0x0010_0022 0x0010_0024 0x0010_0032 0x0010_0033 0x0010_0034 0x0010_0035 0x0010_0212
    0x0010_0213 0x0010_0214 0x0010_0215 0x0010_0216 0x0010_0217 0x0010_0218 0x0010_0219 0x0010_0221
    0x0010_0222 0x0010_0223 0x0010_0229 0x0010_1001 0x0010_1002 0x0010_1005 0x0010_1060 0x0010_1100
    0x0010_2160 0x0010_2201 0x0010_2202 0x0010_2292 0x0010_2293 0x0010_2294 0x0010_2295 0x0010_2296
    0x0010_2297 0x0010_2298 0x0010_2299 0x0010_4000 0x0012_0010 0x0012_0020 0x0012_0021 0x0012_0030
    0x0012_0031 0x0012_0040 0x0012_0042 0x0012_0062 0x0012_0063 0x0012_0064 0x0012_0081 0x0012_0082
];

/// General Study, Patient Study and Clinical Trial Study (PS3.3 C.7.2).
const STUDY: &[u32] = table![
    0x0008_0051 0x0008_0096 0x0008_009C 0x0008_009D 0x0008_1032 0x0008_1048 0x0008_1049 0x0008_1060
    0x0008_1062 0x0008_1080 0x0008_1084 0x0008_1110 0x0010_1010 0x0010_1020 0x0010_1021 0x0010_1022
    0x0010_1023 0x0010_1024 0x0010_1030 0x0010_2000 0x0010_2110 0x0010_2180 0x0010_21A0 0x0010_21B0
    0x0010_21C0 0x0010_21D0 0x0010_2203 0x0012_0050 0x0012_0051 0x0012_0052 0x0012_0053 0x0012_0083
    0x0032_1033 0x0032_1034 0x0032_1064 0x0038_0010 0x0038_0014 0x0038_0060 0x0038_0062 0x0038_0064
    0x0038_0500
];

/// General Series, General Equipment, Frame of Reference and Clinical Trial Series (PS3.3 C.7.3, C.7.5.1, C.7.4.1).
const SERIES: &[u32] = table![
    0x0008_0064 0x0008_0068 0x0008_0081 0x0008_103F 0x0008_1040 0x0008_1041 0x0008_1050 0x0008_1052
    0x0008_1072 0x0008_1090 0x0008_1111 0x0012_0060 0x0012_0071 0x0012_0072 0x0018_1000 0x0018_1002
    0x0018_1020 0x0018_5100 0x0020_0052 0x0020_0060 0x0020_1040 0x0040_0241 0x0040_0242 0x0040_0243
    0x0040_0250 0x0040_0251 0x0040_0253 0x0040_0260
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword;

    #[test]
    fn the_tables_are_sorted_and_name_standard_attributes_once() {
        let mut all = Vec::new();
        for table in [PATIENT, STUDY, SERIES] {
            assert!(table.windows(2).all(|pair| pair[0] < pair[1]));
            all.extend_from_slice(table);
        }
        for number in &all {
            let tag = Tag::from_u32(*number);
            assert!(keyword(tag).is_some(), "{tag}");
            for level in Level::ALL {
                assert!(!main_tags(level).contains(&tag), "{tag} is indexed");
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn indexed_tags_have_the_level_that_keeps_them() {
        for level in Level::ALL {
            for tag in main_tags(level) {
                assert!(attribute_level(*tag) <= level, "{tag}");
            }
        }
        assert_eq!(attribute_level(Tag(0x0010, 0x0010)), Level::Patient);
        assert_eq!(attribute_level(Tag(0x0008, 0x103E)), Level::Series);
        assert_eq!(attribute_level(Tag(0x0009, 0x1001)), Level::Instance);
    }
}
