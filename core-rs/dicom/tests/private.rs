//! Private elements that the configuration names: their VRs in Implicit VR, their names, their sequences.
//!
//! The dictionary is one for the process, so all that needs it stands in one test.

#[path = "dicom/common.rs"]
#[allow(dead_code, reason = "made for other tests")]
mod common;

use common::{FORMS, Form, bytes, data_set, file, identity, sequence};
use vna_dicom::{
    DataElement, DataSet, DicomFile, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, Extent,
    PrivateElement, Tag, TagsForm, TagsOptions, TagsStream, Value, Vr, private_entry, reencode,
    scan, set_private_dictionary, tag_for_keyword, tags_json,
};

const ACME: &str = "ACME 1.1";

fn element(tag: Tag, vr: Vr, name: &'static str, creator: &'static str) -> PrivateElement<'static> {
    PrivateElement {
        tag,
        vr,
        name,
        creator,
    }
}

/// Private elements in a block that is not the first one, of a creator that is known and one that is not.
fn private() -> Vec<common::Item> {
    let inner = vec![
        bytes(Tag(0x0009, 0x0011), Vr::LO, "ACME 1.1"),
        bytes(Tag(0x0009, 0x1102), Vr::UN, 512_u16.to_le_bytes()),
    ];
    let nested = common::Item {
        // In UN, items are those of Implicit VR (PS3.5 §6.2.2).
        value: common::Value::Bytes(items(&inner)),
        ..bytes(Tag(0x0009, 0x1203), Vr::UN, [])
    };
    let mut elements = identity();
    elements.extend([
        bytes(Tag(0x0009, 0x0010), Vr::LO, "OTHER "),
        bytes(Tag(0x0009, 0x0012), Vr::LO, "ACME 1.1"),
        bytes(Tag(0x0009, 0x1002), Vr::UN, [7, 0]),
        bytes(Tag(0x0009, 0x1201), Vr::UN, "text"),
        bytes(Tag(0x0009, 0x1202), Vr::UN, 258_u16.to_le_bytes()),
        nested,
        bytes(Tag(0x0009, 0x1204), Vr::UN, "no items"),
        // The block is one of the data set around, not of the item.
        sequence(
            Tag(0x0040, 0xA730),
            vec![vec![bytes(Tag(0x0009, 0x1202), Vr::UN, [1, 0])]],
            true,
        ),
    ]);
    elements.sort_by_key(|element| element.tag);
    elements
}

fn items(inner: &[common::Item]) -> Vec<u8> {
    let item = data_set(inner, Form::Implicit);
    let mut out = b"\xFE\xFF\x00\xE0".to_vec();
    out.extend_from_slice(&u32::try_from(item.len()).expect("short").to_le_bytes());
    out.extend_from_slice(&item);
    out
}

#[test]
fn configured_private_elements_are_read_by_vr_and_shown_by_name() {
    let simplified = TagsOptions {
        form: TagsForm::Simplified,
        ..TagsOptions::default()
    };
    let files = FORMS.map(|form| (form, file(&private(), form)));
    let unknown = files.clone().map(|(_, file)| tags_json(&file, &simplified));
    assert_eq!(tag_for_keyword("AcmeCount"), None);

    set_private_dictionary([
        element(Tag(0x0009, 0x0001), Vr::LO, "AcmeText", ACME),
        element(Tag(0x0009, 0x1002), Vr::US, "AcmeCount", " ACME 1.1 "),
        element(Tag(0x0009, 0x0003), Vr::SQ, "AcmeSequence", ACME),
        element(Tag(0x0009, 0x0004), Vr::SQ, "AcmeWrong", ACME),
        element(Tag(0x0009, 0x0002), Vr::FD, "Elsewhere", "ELSEWHERE"),
    ])
    .expect("a dictionary");
    assert_eq!(tag_for_keyword("AcmeText"), Some(Tag(0x0009, 0x1001)));
    let entry = private_entry(Tag(0x0009, 0x4202), ACME).expect("there");
    assert_eq!((entry.vr, entry.keyword), (Vr::US, "AcmeCount"));
    assert_eq!(private_entry(Tag(0x0009, 0x4202), "OTHER"), None);

    for (form, file) in &files {
        check_vrs(*form, file);
        let json = tags_json(file, &simplified).expect("read");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["AcmeText"], "text", "{form:?}");
        assert_eq!(json["AcmeCount"], "258", "{form:?}");
        assert_eq!(json["AcmeSequence"][0]["AcmeCount"], "512", "{form:?}");
        assert_eq!(json.get("Elsewhere"), None);
        let full = tags_json(file, &TagsOptions::default()).expect("read");
        let full: serde_json::Value = serde_json::from_slice(&full).expect("JSON");
        let count = &full["0009,1202"];
        assert_eq!(count["Name"], "AcmeCount");
        assert_eq!(count["PrivateCreator"], ACME);
        assert_eq!(full["0009,1002"]["Name"], "Unknown Tag & Data");
        assert_eq!(full["0009,1204"]["Name"], "AcmeWrong");
        streams_agree(file, &simplified);
        rewritten_with_vrs(*form, file);
    }

    set_private_dictionary([]).expect("none");
    for ((_, file), before) in files.iter().zip(unknown) {
        assert_eq!(tags_json(file, &simplified), before);
    }
    assert_eq!(tag_for_keyword("AcmeText"), None);
}

fn check_vrs(form: Form, file: &[u8]) {
    let scan = scan(file, Extent::All).expect("read");
    let vrs: Vec<_> = scan
        .elements
        .iter()
        .filter(|element| element.tag.0 == 0x0009 && element.tag.1 >= 0x1000)
        .map(|element| (element.depth, element.tag.1, element.vr.to_string()))
        .collect();
    let expected = [
        (0, 0x1002, "UN"),
        (0, 0x1201, "LO"),
        (0, 0x1202, "US"),
        (0, 0x1203, "SQ"),
        (1, 0x1102, "US"),
        (0, 0x1204, "UN"),
        (1, 0x1202, "UN"),
    ];
    assert_eq!(
        vrs,
        expected.map(|(depth, tag, vr)| (depth, tag, vr.to_owned())),
        "{form:?}"
    );
}

/// However the file is cut, it is read the same.
fn streams_agree(file: &[u8], options: &TagsOptions<'_>) {
    for size in [1, 7, 100] {
        let mut stream = TagsStream::new(options);
        for part in file.chunks(size) {
            stream.push(part).expect("read");
        }
        assert_eq!(stream.finish(), tags_json(file, options));
    }
}

/// In explicit VR they get their VRs, and their bytes in its order.
fn rewritten_with_vrs(form: Form, file: &[u8]) {
    for to in [EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN] {
        if form.uid() == to {
            continue;
        }
        let out = reencode(file, to).expect("written");
        let read = DicomFile::read(&out).expect("read").data_set;
        let count = DataElement::new(Tag(0x0009, 0x1202), Vr::US, 258_u16.to_le_bytes());
        assert_eq!(read.get(count.tag), Some(&count), "{form:?}");
        let inner = DataSet::from_iter([
            DataElement::new(Tag(0x0009, 0x0011), Vr::LO, ACME),
            DataElement::new(Tag(0x0009, 0x1102), Vr::US, 512_u16.to_le_bytes()),
        ]);
        let nested = read.get(Tag(0x0009, 0x1203)).expect("there");
        assert_eq!(
            (nested.vr, &nested.value),
            (Vr::SQ, &Value::Items(vec![inner]))
        );
    }
}

#[test]
fn a_dictionary_that_contradicts_itself_or_the_standard_is_refused() {
    let good = element(Tag(0x0011, 0x0001), Vr::LO, "Good", ACME);
    for (bad, problem) in [
        (
            PrivateElement {
                tag: Tag(0x0010, 0x0001),
                ..good
            },
            "even group",
        ),
        (
            PrivateElement {
                vr: Vr(*b"ZZ"),
                ..good
            },
            "VR",
        ),
        (PrivateElement { name: "", ..good }, "name"),
        (
            PrivateElement {
                creator: " ",
                ..good
            },
            "creator",
        ),
        (
            PrivateElement {
                name: "PatientName",
                ..good
            },
            "PS3.6",
        ),
        (
            PrivateElement {
                tag: Tag(0x0011, 0x0002),
                ..good
            },
            "two elements",
        ),
        (
            PrivateElement {
                name: "Other",
                tag: Tag(0x0011, 0x1001),
                ..good
            },
            "another one",
        ),
    ] {
        let error = set_private_dictionary([good, bad]).expect_err(problem);
        assert!(error.to_string().contains(problem), "{error}");
    }
}
