//! What profiles decide.

use super::*;
use crate::tags;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const PET: &str = "1.2.840.10008.5.1.4.1.1.128";
const GSPS: &str = "1.2.840.10008.5.1.4.1.1.11.1";
const CONTENT: Tag = Tag(0x0040, 0xA730);
const GRAPHICS: Tag = Tag(0x0070, 0x0001);

fn profile(version: &str, options: &[&str]) -> Profile {
    let options: Vec<_> = options.iter().map(ToString::to_string).collect();
    Profile::new(version, &options).expect("is one")
}

fn action(profile: &Profile, sequences: &[Tag], tag: Tag, sop_class_uid: &str) -> Action {
    profile.action(&Place {
        sequences,
        tag,
        vr: dictionary_vr(tag),
        creator: None,
        sop_class_uid,
    })
}

#[test]
fn editions_are_known_by_name() {
    for edition in table::EDITIONS {
        profile(edition, &[]);
    }
    let error = Profile::new("2022a", &[]).expect_err("there is none");
    assert_eq!(error.code(), "edit.profile");
    assert!(error.to_string().contains("2023b"), "{error}");
}

#[test]
fn the_basic_profile_decides_by_the_type_of_the_attribute() {
    let basic = profile("2023b", &[]);
    for (keyword, class, expected) in [
        ("StudyDescription", CT, Action::Remove),
        ("PatientName", CT, Action::Dummy),
        ("PatientID", CT, Action::Dummy),
        ("PatientBirthDate", CT, Action::Empty),
        ("AccessionNumber", CT, Action::Empty),
        ("SOPInstanceUID", CT, Action::NewUid),
        ("ReferencedImageSequence", CT, Action::Keep),
        ("ReferencedSOPInstanceUID", CT, Action::NewUid),
        ("SeriesDate", CT, Action::Remove),
        ("SeriesDate", PET, Action::Dummy),
        ("SeriesDate", "1.2.3", Action::Dummy),
        ("AcquisitionDate", CT, Action::Remove),
        ("AcquisitionDate", PET, Action::Empty),
        ("ContentDate", CT, Action::Empty),
        ("InstitutionName", CT, Action::Remove),
        ("PresentationCreationDate", GSPS, Action::Dummy),
        ("PresentationCreationDate", CT, Action::Remove),
        ("Manufacturer", CT, Action::Keep),
        ("SOPClassUID", CT, Action::Keep),
        ("FrameOfReferenceUID", CT, Action::NewUid),
        ("VolumeFrameOfReferenceUID", CT, Action::NewUid),
        ("RetrieveURL", CT, Action::Remove),
    ] {
        let tag = crate::tag_for_keyword(keyword).expect("is one");
        assert_eq!(
            action(&basic, &[], tag, class),
            expected,
            "{keyword} {class}"
        );
    }
    for tag in [
        Tag(0x0009, 0x0010),
        Tag(0x0009, 0x1001),
        Tag(0x5000, 0x0005),
        Tag(0x6002, 0x3000),
        Tag(0x0008, 0x7777),
        Tag(0x0008, 0x0000),
        Tag(0xFFFC, 0xFFFC),
    ] {
        assert_eq!(action(&basic, &[], tag, CT), Action::Remove, "{tag}");
    }
}

#[test]
fn older_editions_have_fewer_rows() {
    let study_date = tags::STUDY_DATE;
    assert_eq!(
        action(&profile("2008", &[]), &[], study_date, CT),
        Action::Keep
    );
    assert_eq!(
        action(&profile("2017c", &[]), &[], study_date, CT),
        Action::Empty
    );
    let document = Tag(0x0042, 0x0011);
    assert_eq!(
        action(&profile("2021b", &[]), &[], document, CT),
        Action::Keep
    );
    assert_eq!(
        action(&profile("2023b", &[]), &[], document, CT),
        Action::Dummy
    );
}

#[test]
fn options_keep_what_their_columns_say() {
    for (option, keyword, expected) in [
        ("RetainUIDs", "SOPInstanceUID", Action::Keep),
        ("RetainDeviceIdentity", "StationName", Action::Keep),
        ("RetainDeviceIdentity", "RetrieveAETitle", Action::Clean),
        ("RetainInstitutionIdentity", "InstitutionName", Action::Keep),
        ("RetainPatientCharacteristics", "PatientAge", Action::Keep),
        ("RetainPatientCharacteristics", "Allergies", Action::Remove),
        ("RetainLongitudinalFullDates", "StudyDate", Action::Keep),
        (
            "RetainLongitudinalModifiedDates",
            "StudyDate",
            Action::Clean,
        ),
        (
            "RetainLongitudinalModifiedDates",
            "PatientBirthDate",
            Action::Empty,
        ),
        ("CleanGraphics", "GraphicAnnotationSequence", Action::Clean),
        ("CleanStructuredContent", "ContentSequence", Action::Clean),
        ("CleanStructuredContent", "StudyDescription", Action::Remove),
    ] {
        let tag = crate::tag_for_keyword(keyword).expect("is one");
        let with = profile("2023b", &[option]);
        assert_eq!(action(&with, &[], tag, CT), expected, "{option} {keyword}");
    }
    let both = profile(
        "2023b",
        &["RetainDeviceIdentity", "RetainLongitudinalModifiedDates"],
    );
    let calibration = Tag(0x0018, 0x1200);
    assert_eq!(action(&both, &[], calibration, CT), Action::Clean);
}

#[test]
fn of_a_sequence_that_is_made_up_the_shape_is_left() {
    let basic = profile("2023b", &[]);
    let cleaned = profile("2023b", &["CleanStructuredContent", "CleanGraphics"]);
    for (sequence, keyword, made_up, clean) in [
        (CONTENT, "ValueType", Action::Keep, Action::Keep),
        (CONTENT, "TextValue", Action::Dummy, Action::Dummy),
        (CONTENT, "PersonName", Action::Dummy, Action::Dummy),
        (CONTENT, "NumericValue", Action::Dummy, Action::Keep),
        (CONTENT, "CodeValue", Action::Dummy, Action::Keep),
        (CONTENT, "CodeMeaning", Action::Dummy, Action::Keep),
        (CONTENT, "ConceptCodeSequence", Action::Keep, Action::Keep),
        (CONTENT, "ReferencedSOPClassUID", Action::Keep, Action::Keep),
        (
            CONTENT,
            "ReferencedSOPInstanceUID",
            Action::NewUid,
            Action::NewUid,
        ),
        (
            GRAPHICS,
            "UnformattedTextValue",
            Action::Dummy,
            Action::Dummy,
        ),
        (GRAPHICS, "GraphicData", Action::Dummy, Action::Keep),
        (GRAPHICS, "GraphicType", Action::Keep, Action::Keep),
    ] {
        let tag = crate::tag_for_keyword(keyword).expect("is one");
        assert_eq!(action(&basic, &[sequence], tag, CT), made_up, "{keyword}");
        assert_eq!(action(&cleaned, &[sequence], tag, CT), clean, "{keyword}");
    }
}

#[test]
fn what_stays_has_nothing_behind_a_nul_and_no_hidden_items() {
    let basic = profile("2023b", &[]);
    let place = |tag| Place {
        sequences: &[],
        tag,
        vr: dictionary_vr(tag),
        creator: None,
        sop_class_uid: CT,
    };
    let mut value = Value::Bytes(b"GE\0DOE^JOHN".to_vec());
    assert!(basic.keep(&place(tags::MANUFACTURER), &mut value));
    assert_eq!(value, Value::Bytes(b"GE".to_vec()));
    let mut items = Value::Bytes(b"\xFE\xFF\x00\xE0".to_vec());
    assert!(!basic.keep(&place(Tag(0x0008, 0x1140)), &mut items));
}
