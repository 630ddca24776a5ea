//! The four levels of the information model (PS3.4 §C.6) and the tags that the index keeps of each.

use crate::Tag;
use std::fmt;

/// A level of the hierarchy, from the patient down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// All that belongs to one patient.
    Patient,
    /// One study of a patient.
    Study,
    /// One series of a study.
    Series,
    /// One SOP instance of a series.
    Instance,
}

impl Level {
    /// All levels, from the patient down.
    pub const ALL: [Level; 4] = [Level::Patient, Level::Study, Level::Series, Level::Instance];

    /// The name that REST answers use: `Patient`, `Study`, `Series`, `Instance`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Patient => "Patient",
            Level::Study => "Study",
            Level::Series => "Series",
            Level::Instance => "Instance",
        }
    }

    /// The name of the collection in REST paths: `patients`, `studies`, `series`, `instances`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Level::Patient => "patients",
            Level::Study => "studies",
            Level::Series => "series",
            Level::Instance => "instances",
        }
    }

    /// The level above.
    #[must_use]
    pub const fn parent(self) -> Option<Level> {
        match self {
            Level::Patient => None,
            Level::Study => Some(Level::Patient),
            Level::Series => Some(Level::Study),
            Level::Instance => Some(Level::Series),
        }
    }

    /// The level below.
    #[must_use]
    pub const fn child(self) -> Option<Level> {
        match self {
            Level::Patient => Some(Level::Study),
            Level::Study => Some(Level::Series),
            Level::Series => Some(Level::Instance),
            Level::Instance => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The tags that the index keeps at `level`, sorted: what clients call its main DICOM tags.
///
/// A tag may belong to two levels, such as (0008,0201) Timezone Offset From UTC.
#[must_use]
pub const fn main_tags(level: Level) -> &'static [Tag] {
    match level {
        Level::Patient => PATIENT,
        Level::Study => STUDY,
        Level::Series => SERIES,
        Level::Instance => INSTANCE,
    }
}

/// The tags of the module that describes `level`, sorted: Patient, General Study, General Series and SOP Common (PS3.3
/// §C.7.1.1, §C.7.2.1, §C.7.3.1, §C.12.1), with the attributes that clients of REST are used to.
#[must_use]
pub const fn module_tags(level: Level) -> &'static [Tag] {
    match level {
        Level::Patient => PATIENT_MODULE,
        Level::Study => STUDY_MODULE,
        Level::Series => SERIES_MODULE,
        Level::Instance => INSTANCE_MODULE,
    }
}

macro_rules! table {
    ($($group:literal $element:literal),* $(,)?) => { &[$(Tag($group, $element)),*] };
}

const PATIENT: &[Tag] =
    table![0x0010 0x0010, 0x0010 0x0020, 0x0010 0x0030, 0x0010 0x0040, 0x0010 0x1000];

const STUDY: &[Tag] = table![
    0x0008 0x0020, 0x0008 0x0030, 0x0008 0x0050, 0x0008 0x0080, 0x0008 0x0090, 0x0008 0x0201,
    0x0008 0x1030, 0x0020 0x000D, 0x0020 0x0010, 0x0032 0x1032, 0x0032 0x1060,
];

const SERIES: &[Tag] = table![
    0x0008 0x0021, 0x0008 0x0031, 0x0008 0x0060, 0x0008 0x0070, 0x0008 0x0201, 0x0008 0x1010,
    0x0008 0x103E, 0x0008 0x1070, 0x0018 0x0010, 0x0018 0x0015, 0x0018 0x0024, 0x0018 0x1030,
    0x0018 0x1090, 0x0018 0x1400, 0x0020 0x000E, 0x0020 0x0011, 0x0020 0x0037, 0x0020 0x0105,
    0x0020 0x1002, 0x0040 0x0244, 0x0040 0x0245, 0x0040 0x0254, 0x0040 0x0275, 0x0054 0x0081,
    0x0054 0x0101, 0x0054 0x1000,
];

const INSTANCE: &[Tag] = table![
    0x0008 0x0012, 0x0008 0x0013, 0x0008 0x0018, 0x0020 0x0012, 0x0020 0x0013, 0x0020 0x0032,
    0x0020 0x0037, 0x0020 0x0100, 0x0020 0x4000, 0x0028 0x0008, 0x0054 0x1330,
];

const PATIENT_MODULE: &[Tag] = table![
    0x0008 0x1120, 0x0010 0x0010, 0x0010 0x0020, 0x0010 0x0021, 0x0010 0x0024, 0x0010 0x0030, 0x0010 0x0032,
    0x0010 0x0040, 0x0010 0x1000, 0x0010 0x1001, 0x0010 0x1002, 0x0010 0x2160, 0x0010 0x2201, 0x0010 0x2202,
    0x0010 0x2292, 0x0010 0x2293, 0x0010 0x2294, 0x0010 0x2297, 0x0010 0x2298, 0x0010 0x2299, 0x0010 0x4000,
    0x0012 0x0062, 0x0012 0x0063, 0x0012 0x0064,
];

const STUDY_MODULE: &[Tag] = table![
    0x0008 0x0020, 0x0008 0x0030, 0x0008 0x0050, 0x0008 0x0051, 0x0008 0x0090, 0x0008 0x0096, 0x0008 0x1030,
    0x0008 0x1032, 0x0008 0x1048, 0x0008 0x1049, 0x0008 0x1060, 0x0008 0x1062, 0x0008 0x1110, 0x0020 0x000D,
    0x0020 0x0010, 0x0032 0x1034, 0x0040 0x1012,
];

const SERIES_MODULE: &[Tag] = table![
    0x0008 0x0021, 0x0008 0x0031, 0x0008 0x0060, 0x0008 0x103E, 0x0008 0x103F, 0x0008 0x1050, 0x0008 0x1052,
    0x0008 0x1070, 0x0008 0x1072, 0x0008 0x1111, 0x0008 0x1250, 0x0010 0x2210, 0x0018 0x0015, 0x0018 0x1030,
    0x0018 0x5100, 0x0020 0x000E, 0x0020 0x0011, 0x0020 0x0060, 0x0028 0x0108, 0x0028 0x0109, 0x0040 0x0244,
    0x0040 0x0245, 0x0040 0x0253, 0x0040 0x0254, 0x0040 0x0260, 0x0040 0x0275, 0x0040 0x0280,
];

const INSTANCE_MODULE: &[Tag] = table![
    0x0008 0x0005, 0x0008 0x0012, 0x0008 0x0013, 0x0008 0x0014, 0x0008 0x0016, 0x0008 0x0018, 0x0008 0x001A,
    0x0008 0x001B, 0x0008 0x0110, 0x0008 0x0201, 0x0018 0xA001, 0x0020 0x0013, 0x0028 0x0303, 0x0040 0xA390,
    0x0100 0x0410, 0x0100 0x0420, 0x0100 0x0424, 0x0100 0x0426, 0x0400 0x0500, 0x0400 0x0561, 0x4FFE 0x0001,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_have_the_sizes_that_clients_expect() {
        let sizes = Level::ALL.map(|level| main_tags(level).len());
        assert_eq!(sizes, [5, 11, 26, 11]);
        for level in Level::ALL {
            for tags in [main_tags(level), module_tags(level)] {
                assert!(tags.windows(2).all(|pair| pair[0] < pair[1]), "{level}");
            }
        }
    }

    #[test]
    fn parent_and_child_are_inverse() {
        for level in Level::ALL {
            assert_eq!(
                level.child().and_then(Level::parent).unwrap_or(level),
                level
            );
        }
    }
}
