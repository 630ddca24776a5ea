//! Which directory record an instance gets, and what it says of it (PS3.3 §F.5).

use vna_dicom::{Tag, tags as t};

/// The four levels of records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum RecordLevel {
    Patient,
    Study,
    Series,
    Instance,
}

/// When a key is there (PS3.5 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    /// Always, with a value.
    One,
    /// Always.
    Two,
    /// If the instance has a value.
    IfKnown,
    /// The same, if more is wanted than what must be there.
    IfWanted,
}

/// A key of a record.
pub(super) type Key = (Tag, Type);

use Type::{IfKnown, IfWanted, One, Two};

pub(super) const ACQUISITION_DATE: Tag = Tag(0x0008, 0x0022);
pub(super) const CONTENT_DATE: Tag = Tag(0x0008, 0x0023);
pub(super) const ACQUISITION_TIME: Tag = Tag(0x0008, 0x0032);
pub(super) const CONTENT_TIME: Tag = Tag(0x0008, 0x0033);
pub(super) const CONTENT_SEQUENCE: Tag = Tag(0x0040, 0xA730);
pub(super) const COMPLETION_FLAG: Tag = Tag(0x0040, 0xA491);
pub(super) const VERIFICATION_FLAG: Tag = Tag(0x0040, 0xA493);
pub(super) const CONTENT_LABEL: Tag = Tag(0x0070, 0x0080);
pub(super) const PRESENTATION_DATE: Tag = Tag(0x0070, 0x0082);
pub(super) const PRESENTATION_TIME: Tag = Tag(0x0070, 0x0083);
pub(super) const DOSE_SUMMATION_TYPE: Tag = Tag(0x3004, 0x000A);
pub(super) const STRUCTURE_SET_LABEL: Tag = Tag(0x3006, 0x0002);
pub(super) const RT_PLAN_LABEL: Tag = Tag(0x300A, 0x0002);
pub(super) const MIME_TYPE: Tag = Tag(0x0042, 0x0012);

pub(super) const VERIFYING_OBSERVERS: Tag = Tag(0x0040, 0xA073);
pub(super) const VERIFICATION_DATE_TIME: Tag = Tag(0x0040, 0xA030);
const CONCEPT_NAME: Tag = Tag(0x0040, 0xA043);
const HL7_INSTANCE_IDENTIFIER: Tag = Tag(0x0040, 0xE001);
const DOCUMENT_TITLE: Tag = Tag(0x0042, 0x0010);
const CONTENT_DESCRIPTION: Tag = Tag(0x0070, 0x0081);
const CONTENT_CREATOR: Tag = Tag(0x0070, 0x0084);
const REFERENCED_SERIES: Tag = Tag(0x0008, 0x1115);
const BLENDING_SEQUENCE: Tag = Tag(0x0070, 0x0402);

/// What nobody has to know and a viewer shows of the levels above instances.
#[rustfmt::skip]
pub(super) const PATIENT_KEYS: &[Key] = &[
    (t::PATIENT_NAME, Two), (t::PATIENT_ID, One),
    (t::PATIENT_BIRTH_DATE, IfWanted), (t::PATIENT_SEX, IfWanted),
];

#[rustfmt::skip]
pub(super) const STUDY_KEYS: &[Key] = &[
    (t::STUDY_DATE, One), (t::STUDY_TIME, One), (t::ACCESSION_NUMBER, Two),
    (t::STUDY_DESCRIPTION, Two), (t::STUDY_INSTANCE_UID, One), (t::STUDY_ID, One),
    (t::INSTITUTION_NAME, IfWanted), (t::REFERRING_PHYSICIAN_NAME, IfWanted),
];

#[rustfmt::skip]
pub(super) const SERIES_KEYS: &[Key] = &[
    (t::MODALITY, One), (t::SERIES_INSTANCE_UID, One), (t::SERIES_NUMBER, One),
    (t::SERIES_DATE, IfWanted), (t::SERIES_TIME, IfWanted), (t::SERIES_DESCRIPTION, IfWanted),
    (t::MANUFACTURER, IfWanted), (t::INSTITUTION_NAME, IfWanted), (t::BODY_PART_EXAMINED, IfWanted),
    (t::PROTOCOL_NAME, IfWanted), (Tag(0x0008, 0x1050), IfWanted),
];

/// A type of record for instances.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct RecordType {
    pub name: &'static str,
    pub keys: &'static [Key],
}

const fn record(name: &'static str, keys: &'static [Key]) -> RecordType {
    RecordType { name, keys }
}

const NUMBER: Key = (t::INSTANCE_NUMBER, One);

#[rustfmt::skip]
pub(super) static IMAGE: RecordType = record("IMAGE", &[
    (t::IMAGE_TYPE, IfWanted), (CONTENT_DATE, IfWanted), (CONTENT_TIME, IfWanted),
    NUMBER, (t::IMAGE_POSITION_PATIENT, IfWanted), (t::IMAGE_ORIENTATION_PATIENT, IfWanted),
    (Tag(0x0020, 0x0052), IfWanted), (t::NUMBER_OF_FRAMES, IfWanted), (t::ROWS, IfWanted), (t::COLUMNS, IfWanted),
]);

static RT_DOSE: RecordType = record("RT DOSE", &[NUMBER, (DOSE_SUMMATION_TYPE, One)]);

#[rustfmt::skip]
static RT_STRUCTURE_SET: RecordType = record("RT STRUCTURE SET", &[
    NUMBER, (STRUCTURE_SET_LABEL, One), (Tag(0x3006, 0x0008), Two), (Tag(0x3006, 0x0009), Two),
]);

#[rustfmt::skip]
static RT_PLAN: RecordType = record("RT PLAN", &[
    NUMBER, (RT_PLAN_LABEL, One), (Tag(0x300A, 0x0006), Two), (Tag(0x300A, 0x0007), Two),
]);

#[rustfmt::skip]
static RT_TREAT_RECORD: RecordType = record("RT TREAT RECORD", &[
    NUMBER, (Tag(0x3008, 0x0250), Two), (Tag(0x3008, 0x0251), Two),
]);

#[rustfmt::skip]
static PRESENTATION: RecordType = record("PRESENTATION", &[
    (PRESENTATION_DATE, One), (PRESENTATION_TIME, One), NUMBER, (CONTENT_LABEL, One),
    (CONTENT_DESCRIPTION, Two), (CONTENT_CREATOR, Two), (REFERENCED_SERIES, IfKnown), (BLENDING_SEQUENCE, IfKnown),
]);

const CONTENT: &[Key] = &[(CONTENT_DATE, One), (CONTENT_TIME, One), NUMBER];
static WAVEFORM: RecordType = record("WAVEFORM", CONTENT);
static RAW_DATA: RecordType = record("RAW DATA", CONTENT);
static SURFACE_SCAN: RecordType = record("SURFACE SCAN", CONTENT);

#[rustfmt::skip]
static SR_DOCUMENT: RecordType = record("SR DOCUMENT", &[
    (CONTENT_DATE, One), (CONTENT_TIME, One), NUMBER, (VERIFICATION_DATE_TIME, IfKnown), (CONCEPT_NAME, One),
    (COMPLETION_FLAG, One), (VERIFICATION_FLAG, One), (CONTENT_SEQUENCE, IfKnown),
]);

#[rustfmt::skip]
static KEY_OBJECT_DOC: RecordType = record("KEY OBJECT DOC", &[
    (CONTENT_DATE, One), (CONTENT_TIME, One), NUMBER, (CONCEPT_NAME, One), (CONTENT_SEQUENCE, IfKnown),
]);

#[rustfmt::skip]
static SPECTROSCOPY: RecordType = record("SPECTROSCOPY", &[
    (t::IMAGE_TYPE, One), (CONTENT_DATE, One), (CONTENT_TIME, One), NUMBER, (Tag(0x0008, 0x9092), IfKnown),
    (t::NUMBER_OF_FRAMES, One), (t::ROWS, One), (t::COLUMNS, One), (Tag(0x0028, 0x9001), One), (Tag(0x0028, 0x9002), One),
]);

#[rustfmt::skip]
const IDENTIFIED_CONTENT: &[Key] = &[
    (CONTENT_DATE, One), (CONTENT_TIME, One), NUMBER, (CONTENT_LABEL, One), (CONTENT_DESCRIPTION, Two), (CONTENT_CREATOR, Two),
];
static REGISTRATION: RecordType = record("REGISTRATION", IDENTIFIED_CONTENT);
static FIDUCIAL: RecordType = record("FIDUCIAL", IDENTIFIED_CONTENT);
static VALUE_MAP: RecordType = record("VALUE MAP", IDENTIFIED_CONTENT);
static MEASUREMENT: RecordType = record("MEASUREMENT", IDENTIFIED_CONTENT);
static SURFACE: RecordType = record("SURFACE", IDENTIFIED_CONTENT);
static TRACT: RecordType = record("TRACT", IDENTIFIED_CONTENT);
static ANNOTATION: RecordType = record("ANNOTATION", IDENTIFIED_CONTENT);

#[rustfmt::skip]
static ENCAP_DOC: RecordType = record("ENCAP DOC", &[
    (CONTENT_DATE, Two), (CONTENT_TIME, Two), NUMBER, (CONCEPT_NAME, Two), (HL7_INSTANCE_IDENTIFIER, IfKnown),
    (DOCUMENT_TITLE, Two), (MIME_TYPE, One),
]);

static STEREOMETRIC: RecordType = record("STEREOMETRIC", &[]);
static PLAN: RecordType = record("PLAN", &[]);

#[rustfmt::skip]
static ASSESSMENT: RecordType = record("ASSESSMENT", &[
    (t::INSTANCE_CREATION_DATE, One), (t::INSTANCE_CREATION_TIME, Two), NUMBER,
]);

#[rustfmt::skip]
static RADIOTHERAPY: RecordType = record("RADIOTHERAPY", &[
    NUMBER, (Tag(0x3010, 0x0033), IfKnown), (Tag(0x3010, 0x0034), IfKnown),
    (CONTENT_DESCRIPTION, Two), (CONTENT_CREATOR, Two),
]);

/// What no other type of the standard is for (PS3.3 §F.6.1); `PRIVATE_UID` says whose it is.
pub(super) static PRIVATE: RecordType = record("PRIVATE", &[]);

const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

/// SOP classes below `STORAGE` that are no images, by the beginning of what follows it, the longer ones first.
#[rustfmt::skip]
static CLASSES: &[(&str, &RecordType)] = &[
    ("104.", &ENCAP_DOC),
    ("11.", &PRESENTATION),
    ("131", &PRESENTATION),
    ("9.100.", &PRESENTATION),
    ("9.", &WAVEFORM),
    ("4.2", &SPECTROSCOPY),
    ("481.23", &IMAGE), ("481.24", &IMAGE), // enhanced RT images
    ("481.10", &RADIOTHERAPY), ("481.11", &RADIOTHERAPY), ("481.12", &RADIOTHERAPY), ("481.13", &RADIOTHERAPY),
    ("481.14", &RADIOTHERAPY), ("481.15", &RADIOTHERAPY), ("481.16", &RADIOTHERAPY), ("481.17", &RADIOTHERAPY),
    ("481.18", &RADIOTHERAPY), ("481.19", &RADIOTHERAPY), ("481.20", &RADIOTHERAPY), ("481.21", &RADIOTHERAPY),
    ("481.22", &RADIOTHERAPY), ("481.25", &RADIOTHERAPY),
    ("481.2", &RT_DOSE),
    ("481.3", &RT_STRUCTURE_SET),
    ("481.4", &RT_TREAT_RECORD), ("481.6", &RT_TREAT_RECORD), ("481.7", &RT_TREAT_RECORD), ("481.9", &RT_TREAT_RECORD),
    ("481.5", &RT_PLAN), ("481.8", &RT_PLAN),
    ("66.1", &REGISTRATION), ("66.3", &REGISTRATION),
    ("66.2", &FIDUCIAL),
    ("66.5", &SURFACE),
    ("66.6", &TRACT),
    ("66.4", &IMAGE), ("66.7", &IMAGE), ("66.8", &IMAGE), // segmentations
    ("66", &RAW_DATA),
    ("67", &VALUE_MAP),
    ("68.", &SURFACE_SCAN),
    ("77.1.5.3", &STEREOMETRIC),
    ("78.6", &SR_DOCUMENT), ("79.1", &SR_DOCUMENT),
    ("78.", &MEASUREMENT), ("80.1", &MEASUREMENT),
    ("88.59", &KEY_OBJECT_DOC),
    ("88.", &SR_DOCUMENT),
    ("90.1", &ASSESSMENT),
    ("91.1", &ANNOTATION),
    // Protocols, their approvals and inventories have no type of record.
    ("200.", &PRIVATE), ("201.", &PRIVATE),
];

/// The type of record for instances of a SOP class; `is_image` says what one of a class that nobody knows is.
pub(super) fn record_type(sop_class_uid: &str, is_image: bool) -> &'static RecordType {
    let is_delivery = [
        "1.2.840.10008.5.1.4.34.7",
        "1.2.840.10008.5.1.4.34.10",
        "1.2.840.10008.5.1.4.34.1",
    ];
    if is_delivery.contains(&sop_class_uid) {
        return &PLAN;
    }
    let Some(class) = sop_class_uid.strip_prefix(STORAGE) else {
        return if is_image { &IMAGE } else { &PRIVATE };
    };
    let of_class = |(beginning, _): &&(&str, &RecordType)| {
        let rest = class.strip_prefix(beginning);
        rest.is_some_and(|rest| {
            beginning.ends_with('.') || rest.is_empty() || rest.starts_with('.')
        })
    };
    match CLASSES.iter().find(of_class) {
        Some((_, found)) => found,
        None => &IMAGE,
    }
}

/// All tags that records take from an instance, for its type and the levels above it.
pub(super) fn wanted(record: &RecordType) -> Vec<Tag> {
    let levels = [PATIENT_KEYS, STUDY_KEYS, SERIES_KEYS, record.keys];
    let keys = levels.into_iter().flatten().map(|(tag, _)| *tag);
    let substitutes = [
        VERIFYING_OBSERVERS,
        t::SPECIFIC_CHARACTER_SET,
        t::SOP_CLASS_UID,
        t::SOP_INSTANCE_UID,
        t::SERIES_DATE,
        t::SERIES_TIME,
        ACQUISITION_DATE,
        ACQUISITION_TIME,
        CONTENT_DATE,
        CONTENT_TIME,
    ];
    keys.chain(substitutes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_type_of_record() {
        for (class, name) in [
            ("2", "IMAGE"),
            ("4", "IMAGE"),
            ("4.1", "IMAGE"),
            ("4.2", "SPECTROSCOPY"),
            ("481.1", "IMAGE"),
            ("481.2", "RT DOSE"),
            ("481.23", "IMAGE"),
            ("481.3", "RT STRUCTURE SET"),
            ("481.5", "RT PLAN"),
            ("481.8", "RT PLAN"),
            ("481.9", "RT TREAT RECORD"),
            ("481.10", "RADIOTHERAPY"),
            ("11.1", "PRESENTATION"),
            ("9.1.1", "WAVEFORM"),
            ("9.100.1", "PRESENTATION"),
            ("9", "IMAGE"),
            ("88.11", "SR DOCUMENT"),
            ("88.59", "KEY OBJECT DOC"),
            ("66", "RAW DATA"),
            ("66.1", "REGISTRATION"),
            ("66.4", "IMAGE"),
            ("67", "VALUE MAP"),
            ("104.1", "ENCAP DOC"),
            ("91.1", "ANNOTATION"),
            ("77.1.6", "IMAGE"),
            ("30", "IMAGE"),
        ] {
            assert_eq!(
                record_type(&format!("{STORAGE}{class}"), false).name,
                name,
                "{class}"
            );
        }
        assert_eq!(record_type("1.3.12.2.1107.5.9.1", false).name, "PRIVATE");
        assert_eq!(record_type("1.3.12.2.1107.5.9.1", true).name, "IMAGE");
    }
}
