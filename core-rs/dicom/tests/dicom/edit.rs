//! Recipes applied to data sets and files, compared with a simple model of what they say.

use crate::data_sets::data_set;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use vna_dicom::edit::{EditError, EditedFile, Recipe, Scope};
use vna_dicom::{
    CharacterSet, DataElement, DataSet, DicomFile, EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Level, ReadAt, Tag, Value, Vr, tags,
};

const KEY: &str = "000102030405060708090a0b0c0d0e0f";
const REFERENCED_IMAGE_SEQUENCE: Tag = Tag(0x0008, 0x1140);
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);

fn recipe(json: serde_json::Value) -> Recipe {
    Recipe::from_json(json.to_string().as_bytes()).expect("a recipe")
}

fn refused(json: serde_json::Value) -> &'static str {
    let error = Recipe::from_json(json.to_string().as_bytes()).expect_err("is none");
    assert!(!error.to_string().is_empty());
    error.code()
}

fn applied(json: serde_json::Value, data_set: &DataSet, scope: &Scope) -> DataSet {
    let mut edited = data_set.clone();
    recipe(json).apply(&mut edited, scope).expect("applies");
    edited
}

fn text(tag: Tag, vr: Vr, value: &str) -> DataElement {
    DataElement::new(tag, vr, value.as_bytes())
}

/// An image of a series that refers to another one and to one of elsewhere.
fn image() -> DataSet {
    let reference = |uid: &str| {
        DataSet::from_iter([
            text(Tag(0x0008, 0x1150), Vr::UI, "1.2.840.10008.5.1.4.1.1.2"),
            text(REFERENCED_SOP_INSTANCE_UID, Vr::UI, uid),
        ])
    };
    DataSet::from_iter([
        text(tags::SPECIFIC_CHARACTER_SET, Vr::CS, "ISO_IR 100"),
        text(tags::SOP_CLASS_UID, Vr::UI, "1.2.840.10008.5.1.4.1.1.2"),
        text(tags::SOP_INSTANCE_UID, Vr::UI, "1.5.1.1.1"),
        text(tags::ACCESSION_NUMBER, Vr::SH, "A1"),
        DataElement::sequence(
            REFERENCED_IMAGE_SEQUENCE,
            vec![reference("1.5.1.1.2"), reference("1.6.1.1.1")],
        ),
        text(Tag(0x0009, 0x0010), Vr::LO, "ACME 1.1"),
        text(Tag(0x0009, 0x1001), Vr::LO, "private"),
        DataElement::new(tags::PATIENT_NAME, Vr::PN, *b"M\xFCller^Eva"),
        text(tags::PATIENT_ID, Vr::LO, "P1"),
        text(tags::STUDY_INSTANCE_UID, Vr::UI, "1.5"),
        text(tags::SERIES_INSTANCE_UID, Vr::UI, "1.5.1"),
        text(Tag(0x0020, 0x0052), Vr::UI, "1.5.9"),
    ])
}

fn scope() -> Scope {
    let mut scope = Scope::new();
    for (level, uid) in [
        (Level::Study, "1.5"),
        (Level::Series, "1.5.1"),
        (Level::Instance, "1.5.1.1.1"),
        (Level::Instance, "1.5.1.1.2"),
    ] {
        scope.add(level, uid).expect("there is room");
    }
    scope
}

fn text_of(data_set: &DataSet, tag: Tag) -> String {
    let terms = data_set
        .get(tags::SPECIFIC_CHARACTER_SET)
        .and_then(|element| element.text(&CharacterSet::default()));
    let charset = CharacterSet::from_terms(&terms.unwrap_or_default());
    let element = data_set.get(tag).expect("is there");
    element.text(&charset).expect("has a text")
}

fn items(data_set: &DataSet, tag: Tag) -> &[DataSet] {
    match &data_set.get(tag).expect("is there").value {
        Value::Items(items) => items,
        _ => panic!("{tag} is no sequence"),
    }
}

#[test]
fn new_uids_of_a_study_are_followed_by_references_within_it() {
    let uids = |key: &str| {
        let edited = applied(json!({"key": key, "level": "Study"}), &image(), &scope());
        let references: Vec<_> = items(&edited, REFERENCED_IMAGE_SEQUENCE)
            .iter()
            .map(|item| text_of(item, REFERENCED_SOP_INSTANCE_UID))
            .collect();
        assert_eq!(references[1], "1.6.1.1.1", "it is of another study");
        assert_eq!(text_of(&edited, tags::PATIENT_ID), "P1");
        assert_eq!(text_of(&edited, Tag(0x0020, 0x0052)), "1.5.9");
        let mut uids = vec![references[0].clone()];
        for tag in [
            tags::STUDY_INSTANCE_UID,
            tags::SERIES_INSTANCE_UID,
            tags::SOP_INSTANCE_UID,
        ] {
            uids.push(text_of(&edited, tag));
        }
        uids
    };
    let first = uids(KEY);
    assert!(first.iter().all(|uid| uid.starts_with("2.25.")));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(first, uids(KEY));
    assert_ne!(first, uids(&"0".repeat(32)));
    // The other image becomes what the first refers to.
    let mut other = image();
    other.insert(text(tags::SOP_INSTANCE_UID, Vr::UI, "1.5.1.1.2"));
    let other = applied(json!({"key": KEY, "level": "Study"}), &other, &scope());
    assert_eq!(text_of(&other, tags::SOP_INSTANCE_UID), first[0]);
}

#[test]
fn identifiers_below_the_level_that_is_asked_for_are_new_unless_they_are_kept() {
    let uids = |level: &str, keep: &[&str]| {
        let json = json!({"key": KEY, "level": level, "force": true, "keep": keep});
        let edited = applied(json, &image(), &scope());
        [
            tags::STUDY_INSTANCE_UID,
            tags::SERIES_INSTANCE_UID,
            tags::SOP_INSTANCE_UID,
        ]
        .map(|tag| text_of(&edited, tag).starts_with("2.25."))
    };
    assert_eq!(uids("Patient", &[]), [true, true, true]);
    assert_eq!(uids("Study", &[]), [true, true, true]);
    assert_eq!(uids("Series", &[]), [false, true, true]);
    assert_eq!(uids("Instance", &[]), [false, false, true]);
    assert_eq!(uids("Study", &["SeriesInstanceUID"]), [true, false, true]);
}

#[test]
fn references_follow_an_identifier_that_is_replaced() {
    let json = json!({"key": KEY, "level": "Series", "force": true,
        "replace": {"SOPInstanceUID": "1.7", "StudyInstanceUID": "1.8"}});
    let edited = applied(json, &image(), &scope());
    assert_eq!(text_of(&edited, tags::SOP_INSTANCE_UID), "1.7");
    let item = &items(&edited, REFERENCED_IMAGE_SEQUENCE)[0];
    assert_eq!(text_of(item, REFERENCED_SOP_INSTANCE_UID), "1.7");
}

#[test]
fn keeping_goes_before_replacing_and_that_before_removing() {
    let edited = applied(
        json!({"remove": ["PatientName", "AccessionNumber", "0020,0052"],
            "replace": {"PatientName": "A", "AccessionNumber": "B", "StudyDescription": "C"},
            "keep": ["AccessionNumber"]}),
        &image(),
        &Scope::new(),
    );
    assert_eq!(text_of(&edited, tags::PATIENT_NAME), "A");
    assert_eq!(text_of(&edited, tags::ACCESSION_NUMBER), "A1");
    assert_eq!(text_of(&edited, tags::STUDY_DESCRIPTION), "C");
    assert_eq!(edited.get(Tag(0x0020, 0x0052)), None);
}

#[test]
fn paths_lead_into_items_that_are_there() {
    let edited = applied(
        json!({"remove": ["ReferencedImageSequence[7].ReferencedSOPInstanceUID",
                "AccessionNumber[0].PatientID", "ReferencedImageSequence[1].0008,1150"],
            "replace": {"ReferencedImageSequence[*].PatientID": "all",
                "ReferencedImageSequence[0].PatientID": "one",
                "RequestAttributesSequence[0].PatientID": "nowhere"}}),
        &image(),
        &Scope::new(),
    );
    let found = items(&edited, REFERENCED_IMAGE_SEQUENCE);
    assert_eq!(text_of(&found[0], tags::PATIENT_ID), "one");
    assert_eq!(text_of(&found[1], tags::PATIENT_ID), "all");
    assert!(found[0].get(Tag(0x0008, 0x1150)).is_some());
    assert!(found[1].get(Tag(0x0008, 0x1150)).is_none());
    assert!(edited.get(Tag(0x0040, 0x0275)).is_none());
}

#[test]
fn a_text_that_the_character_set_lacks_brings_all_texts_into_utf_8() {
    let name = |name: &str| {
        applied(
            json!({"replace": {"StudyDescription": name}}),
            &image(),
            &scope(),
        )
    };
    let latin = name("Schädel");
    assert_eq!(text_of(&latin, tags::SPECIFIC_CHARACTER_SET), "ISO_IR 100");
    assert_eq!(text_of(&latin, tags::STUDY_DESCRIPTION), "Schädel");
    let utf_8 = name("頭部");
    assert_eq!(text_of(&utf_8, tags::SPECIFIC_CHARACTER_SET), "ISO_IR 192");
    assert_eq!(text_of(&utf_8, tags::STUDY_DESCRIPTION), "頭部");
    assert_eq!(text_of(&utf_8, tags::PATIENT_NAME), "Müller^Eva");
    let nested = applied(
        json!({"replace": {"ReferencedImageSequence[0].PatientName": "山田"}}),
        &image(),
        &scope(),
    );
    let item = &items(&nested, REFERENCED_IMAGE_SEQUENCE)[0];
    assert_eq!(text_of(item, tags::PATIENT_NAME), "山田");
    assert_eq!(text_of(&nested, tags::SPECIFIC_CHARACTER_SET), "ISO_IR 100");
}

#[test]
fn a_character_set_that_is_asked_for_is_what_the_texts_are_written_in() {
    let asked = |terms: &str| {
        let json = json!({"replace": {"SpecificCharacterSet": terms}});
        applied(json, &image(), &Scope::new())
    };
    for (terms, found) in [
        ("ISO_IR 192", "ISO_IR 192"),
        ("ISO_IR 148", "ISO_IR 148"),
        ("ISO_IR 144", "ISO_IR 192"), // Cyrillic has no ü
    ] {
        let edited = asked(terms);
        assert_eq!(text_of(&edited, tags::SPECIFIC_CHARACTER_SET), found);
        assert_eq!(text_of(&edited, tags::PATIENT_NAME), "Müller^Eva");
    }
    let removed = applied(
        json!({"remove": ["SpecificCharacterSet"]}),
        &image(),
        &scope(),
    );
    assert_eq!(text_of(&removed, tags::PATIENT_NAME), "Müller^Eva");
    let json = json!({"remove": ["SpecificCharacterSet", "PatientName"]});
    let twice = applied(json, &image(), &scope());
    assert_eq!(twice.get(tags::PATIENT_NAME), None);
}

#[test]
fn private_attributes_go_with_their_creators() {
    let gone = applied(json!({"remove_private": true}), &image(), &Scope::new());
    assert!(
        gone.elements()
            .iter()
            .all(|element| !element.tag.is_private())
    );
    let kept = applied(
        json!({"remove_private": true, "keep": ["0009,1001"]}),
        &image(),
        &Scope::new(),
    );
    assert_eq!(text_of(&kept, Tag(0x0009, 0x0010)), "ACME 1.1");
    assert_eq!(text_of(&kept, Tag(0x0009, 0x1001)), "private");
}

#[test]
fn private_attributes_stay_where_that_is_asked_for_whatever_the_profile_says() {
    let json = |keep_private: bool| json!({"key": KEY, "keep_private": keep_private, "profile": {"version": "2023b"}});
    let kept = applied(json(true), &image(), &scope());
    assert_eq!(text_of(&kept, Tag(0x0009, 0x0010)), "ACME 1.1");
    assert_eq!(text_of(&kept, Tag(0x0009, 0x1001)), "private");
    assert!(
        kept.get(tags::ACCESSION_NUMBER)
            .is_none_or(|element| element.value.is_empty())
    );
    let gone = applied(json(false), &image(), &scope());
    assert!(
        gone.elements()
            .iter()
            .all(|element| !element.tag.is_private())
    );
}

#[test]
fn private_attributes_are_found_and_made_in_the_block_of_their_creator() {
    let edit = |creator: &str| {
        let json = json!({"private_creator": creator, "replace": {"0009,1001": "new"}});
        applied(json, &image(), &Scope::new())
    };
    let same = edit("ACME 1.1");
    assert_eq!(text_of(&same, Tag(0x0009, 0x1001)), "new");
    let other = edit("OTHER");
    assert_eq!(text_of(&other, Tag(0x0009, 0x1001)), "private");
    assert_eq!(text_of(&other, Tag(0x0009, 0x0011)), "OTHER");
    let made = other.get(Tag(0x0009, 0x1101)).expect("is made");
    assert_eq!(made.value, Value::Bytes(b"new".to_vec()));
}

#[test]
fn what_was_there_is_told_if_that_is_asked_for() {
    let edited = applied(
        json!({"key": KEY, "level": "Instance", "remove": ["AccessionNumber"],
            "replace": {"PatientName": "頭^A", "StudyDescription": "new"},
            "original_attributes": {"at": "20260102030405", "system": "VNA", "reason": "CORRECT"}}),
        &image(),
        &scope(),
    );
    let told = &items(&edited, Tag(0x0400, 0x0561))[0];
    assert_eq!(text_of(told, Tag(0x0400, 0x0565)), "CORRECT");
    let old = &items(told, Tag(0x0400, 0x0550))[0];
    let found: Vec<_> = old.elements().iter().map(|element| element.tag).collect();
    assert_eq!(
        found,
        [
            tags::SOP_INSTANCE_UID,
            tags::ACCESSION_NUMBER,
            REFERENCED_IMAGE_SEQUENCE,
            tags::PATIENT_NAME
        ]
    );
    // In the character set that the data set has now.
    let name = old.get(tags::PATIENT_NAME).expect("is told");
    assert_eq!(name.value, Value::Bytes("Müller^Eva".into()));
}

#[test]
fn recipes_that_cannot_be_meant_are_refused() {
    for (json, code) in [
        (json!([]), "edit.recipe"),
        (json!({"foo": 1}), "edit.recipe"),
        (json!({"key": "12"}), "edit.recipe"),
        (json!({"new_uids": ["Study"]}), "edit.recipe"),
        (json!({"level": "Frame"}), "edit.recipe"),
        (json!({"replace": {"PatientID": "x"}}), "edit.force"),
        (json!({"keep": ["StudyInstanceUID"]}), "edit.force"),
        (json!({"remove": ["SOPInstanceUID"]}), "edit.force"),
        (
            json!({"remove": ["SOPInstanceUID"], "force": true}),
            "edit.needed",
        ),
        (
            json!({"replace": {"SOPInstanceUID": "abc"}, "force": true}),
            "edit.value",
        ),
        (
            json!({"replace": {"SOPInstanceUID": ""}, "force": true}),
            "edit.value",
        ),
        (json!({"replace": {"Foo": "x"}}), "edit.tag"),
        (json!({"replace": {"Rows": 1}}), "edit.type"),
        (
            json!({"remove": ["ReferencedImageSequence.PatientID"]}),
            "edit.path",
        ),
        (
            json!({"profile": {"version": "1999"}, "key": KEY}),
            "edit.profile",
        ),
        (json!({"remove": [1]}), "edit.recipe"),
    ] {
        assert_eq!(refused(json.clone()), code, "{json}");
    }
    let nested = json!({"remove": ["ReferencedImageSequence[0].SOPInstanceUID"]});
    assert!(Recipe::from_json(nested.to_string().as_bytes()).is_ok());
}

#[test]
fn a_value_that_the_data_set_gives_another_vr_is_refused_when_it_is_applied() {
    let recipe = recipe(json!({"replace": {"0009,1001": "x"}}));
    let mut data_set = DataSet::from_iter([DataElement::new(Tag(0x0009, 0x1001), Vr::US, [1, 0])]);
    let error = recipe
        .apply(&mut data_set, &Scope::new())
        .expect_err("is no number");
    assert!(matches!(error, EditError::Value { .. }));
}

#[test]
fn sequences_that_came_as_unknown_are_looked_into() {
    let item = b"\xFE\xFF\x00\xE0\x12\0\0\0\x08\x00\x55\x11\x0A\0\0\x001.5.1.1.2\0";
    let mut unknown = image();
    unknown.insert(DataElement::new(REFERENCED_IMAGE_SEQUENCE, Vr::UN, *item));
    let file = DicomFile {
        transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        data_set: unknown,
        ..DicomFile::default()
    };
    let file = file.write().expect("encodes");
    let edited = EditedFile::read(&file.as_slice()).expect("reads");
    let edited = applied(
        json!({"key": KEY, "level": "Study"}),
        &edited.data_set,
        &scope(),
    );
    let uid = text_of(
        &items(&edited, REFERENCED_IMAGE_SEQUENCE)[0],
        REFERENCED_SOP_INSTANCE_UID,
    );
    assert!(uid.starts_with("2.25."));
}

#[test]
fn elements_that_no_data_set_has_are_left_out() {
    let mut odd = image();
    odd.insert(text(Tag(0x0002, 0x0016), Vr::AE, "STRAY"));
    odd.insert(DataElement::new(Tag(0x0010, 0x0000), Vr::UL, [0; 4]));
    let edited = applied(json!({}), &odd, &Scope::new());
    assert_eq!(edited, image());
}

fn whole<S: ReadAt>(made: &S) -> Vec<u8>
where
    S::Error: std::fmt::Debug,
{
    let mut bytes = vec![0; usize::try_from(made.size()).expect("fits")];
    let count = made.read_at(&mut bytes, 0).expect("reads");
    assert_eq!(count, bytes.len());
    bytes
}

/// By tag, for what is no sequence and not of group 0008 or 0009, whose elements depend on each other.
fn plain(data_set: &DataSet) -> BTreeMap<Tag, DataElement> {
    let elements = data_set.elements().iter().cloned();
    elements
        .filter(|element| element.tag.0 > 0x0009)
        .map(|element| (element.tag, element))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_file_that_nothing_is_done_to_says_what_it_said(data_set in data_set(), form in 0..3_usize, at in any::<u64>()) {
        let uid = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN][form];
        let mut data_set = data_set;
        data_set.insert(text(tags::SOP_INSTANCE_UID, Vr::UI, "1.2.3"));
        let file = DicomFile { transfer_syntax_uid: uid.to_owned(), data_set, ..DicomFile::default() };
        let file = file.write().expect("encodes");
        let edited = EditedFile::read(&file.as_slice()).expect("reads");
        let made = edited.into_made(file.as_slice(), true).expect("encodes");
        let bytes = whole(&made);
        let (before, after) = (DicomFile::read(&file).expect("reads"), DicomFile::read(&bytes).expect("reads"));
        prop_assert_eq!(before.data_set, after.data_set);
        let at = at % made.size();
        let mut part = vec![0; 5000];
        let count = made.read_at(&mut part, at).expect("reads");
        let start = usize::try_from(at).expect("fits");
        prop_assert_eq!(&part[..count], &bytes[start..(start + 5000).min(bytes.len())]);
    }

    #[test]
    fn attributes_are_removed_and_replaced_as_a_map_would(data_set in data_set(), removed in any::<u64>(), replaced in any::<u64>()) {
        let tags: Vec<Tag> = plain(&data_set).into_keys().collect();
        let chosen = |bits: u64| tags.iter().enumerate().filter(move |(at, _)| bits >> (at % 64) & 1 == 1).map(|(_, tag)| *tag);
        let vrs = [Vr::LO, Vr::SH, Vr::PN, Vr::CS, Vr::LT];
        let replaced: Vec<Tag> = chosen(replaced).filter(|tag| vrs.contains(&vna_dicom::dictionary_vr(*tag))).collect();
        let removed: Vec<Tag> = chosen(removed).collect();
        let json = json!({
            "remove": removed.iter().map(Tag::to_string).filter(|tag| tag != "(0010,0020)").collect::<Vec<_>>(),
            "replace": replaced.iter().filter(|tag| **tag != tags::PATIENT_ID).map(|tag| (tag.to_string(), json!("NEW"))).collect::<serde_json::Map<_, _>>(),
        });
        let edited = applied(json, &data_set, &Scope::new());
        let mut model = plain(&data_set);
        for tag in removed.iter().filter(|tag| **tag != tags::PATIENT_ID) {
            model.remove(tag);
        }
        for tag in replaced.iter().filter(|tag| **tag != tags::PATIENT_ID) {
            model.insert(*tag, text(*tag, vna_dicom::dictionary_vr(*tag), "NEW"));
        }
        prop_assert_eq!(plain(&edited), model);
    }
}
