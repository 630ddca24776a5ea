//! Documents of reports: what they say, and that nothing else gets into them.

use proptest::prelude::*;
use vna_dicom::{DataElement, DataSet, Tag, Vr};
use vna_report::{MAX_ITEMS, MAX_LEVELS, ReportForm, document};

const ROOT: &str = "https://archive.example/dicom-web";
const FORMS: [ReportForm; 3] = [ReportForm::Html, ReportForm::Xml, ReportForm::Text];

const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const STUDY_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_UID: Tag = Tag(0x0020, 0x000E);
const RELATIONSHIP: Tag = Tag(0x0040, 0xA010);
const VALUE_TYPE: Tag = Tag(0x0040, 0xA040);
const CONCEPT_NAME: Tag = Tag(0x0040, 0xA043);
const TEXT_VALUE: Tag = Tag(0x0040, 0xA160);
const CONTENT: Tag = Tag(0x0040, 0xA730);
const EVIDENCE: Tag = Tag(0x0040, 0xA375);
const REFERENCED_SERIES: Tag = Tag(0x0008, 0x1115);
const REFERENCED_SOP: Tag = Tag(0x0008, 0x1199);
const INSTANCE_UID: Tag = Tag(0x0008, 0x1155);

fn set(elements: Vec<DataElement>) -> DataSet {
    elements.into_iter().collect()
}

fn text(tag: Tag, vr: Vr, value: &str) -> DataElement {
    DataElement::new(tag, vr, value.as_bytes())
}

fn code(tag: Tag, value: &str, meaning: &str) -> DataElement {
    let item = vec![
        text(Tag(0x0008, 0x0100), Vr::SH, value),
        text(Tag(0x0008, 0x0102), Vr::SH, "DCM"),
        text(Tag(0x0008, 0x0104), Vr::LO, meaning),
    ];
    DataElement::sequence(tag, vec![set(item)])
}

fn item(kind: &str, name: &str, more: Vec<DataElement>) -> DataSet {
    let mut all = vec![
        text(RELATIONSHIP, Vr::CS, "CONTAINS"),
        text(VALUE_TYPE, Vr::CS, kind),
        code(CONCEPT_NAME, "1", name),
    ];
    all.extend(more);
    set(all)
}

fn report(items: Vec<DataSet>, more: Vec<DataElement>) -> DataSet {
    let mut all = vec![
        text(CHARACTER_SET, Vr::CS, "ISO_IR 192"),
        text(PATIENT_NAME, Vr::PN, "Doe^Jane"),
        text(VALUE_TYPE, Vr::CS, "CONTAINER"),
        code(CONCEPT_NAME, "1", "Chest"),
        DataElement::sequence(CONTENT, items),
    ];
    all.extend(more);
    set(all)
}

fn number(name: &str, value: &str, unit: &str) -> DataSet {
    let unit = vec![
        text(Tag(0x0008, 0x0100), Vr::SH, unit),
        text(Tag(0x0008, 0x0102), Vr::SH, "UCUM"),
        text(Tag(0x0008, 0x0104), Vr::LO, "a unit"),
    ];
    let measured = vec![
        DataElement::sequence(Tag(0x0040, 0x08EA), vec![set(unit)]),
        text(Tag(0x0040, 0xA30A), Vr::DS, value),
    ];
    let measured = DataElement::sequence(Tag(0x0040, 0xA300), vec![set(measured)]);
    item("NUM", name, vec![measured])
}

fn image(uid: &str) -> DataSet {
    let reference = vec![
        text(INSTANCE_UID, Vr::UI, uid),
        text(Tag(0x0008, 0x1160), Vr::IS, "3"),
    ];
    item(
        "IMAGE",
        "Source",
        vec![DataElement::sequence(REFERENCED_SOP, vec![set(reference)])],
    )
}

fn evidence(study: &str, series: &str, uid: &str) -> DataElement {
    let instance = set(vec![text(INSTANCE_UID, Vr::UI, uid)]);
    let series = set(vec![
        text(SERIES_UID, Vr::UI, series),
        DataElement::sequence(REFERENCED_SOP, vec![instance]),
    ]);
    let study = set(vec![
        text(STUDY_UID, Vr::UI, study),
        DataElement::sequence(REFERENCED_SERIES, vec![series]),
    ]);
    DataElement::sequence(EVIDENCE, vec![study])
}

#[test]
fn a_report_is_read_from_its_head_to_its_last_measurement() {
    let finding = item(
        "TEXT",
        "Finding",
        vec![
            text(TEXT_VALUE, Vr::UT, "First line.\r\nÜber <3 mm."),
            DataElement::sequence(
                CONTENT,
                vec![number("Diameter", "2.5", "mm"), image("1.2.5")],
            ),
        ],
    );
    let section = item(
        "CONTAINER",
        "Lungs",
        vec![DataElement::sequence(CONTENT, vec![finding])],
    );
    let data_set = report(vec![section], vec![evidence("1.2.3", "1.2.4", "1.2.5")]);
    let url = format!("{ROOT}/studies/1.2.3/series/1.2.4/instances/1.2.5/frames/3/rendered");
    let plain = document(&data_set, ReportForm::Text, ROOT).unwrap();
    let expected = format!(
        "Chest\n=====\nPatient  Doe, Jane\n\nLungs\n-----\n\n  Finding: First line.\n      Über <3 mm.\n    \
         Diameter: 2.5 mm\n    Source: image, frame 3 {url}\n"
    );
    assert_eq!(plain, expected);
    let html = document(&data_set, ReportForm::Html, &format!("{ROOT}/")).unwrap();
    for said in [
        "<title>Chest</title>",
        "<th scope=\"row\">Patient</th><td>Doe, Jane</td>",
        "<h2 title=\"1, DCM\">Lungs</h2>",
        "First line.\nÜber &lt;3 mm.",
        "<span class=\"text\">2.5 mm</span>",
        &format!("<a href=\"{url}\" title=\"1.2.5\""),
    ] {
        assert!(html.contains(said), "{said}");
    }
    let xml = document(&data_set, ReportForm::Xml, &format!("{ROOT}/")).unwrap();
    assert_eq!(
        xml,
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{html}")
    );
}

#[test]
fn what_is_hostile_stays_text() {
    let attack = "</li><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\u{1b}]0;x\u{7}";
    let data_set = report(
        vec![
            item("TEXT", attack, vec![text(TEXT_VALUE, Vr::UT, attack)]),
            item(
                "UIDREF",
                attack,
                vec![text(Tag(0x0040, 0xA124), Vr::UI, attack)],
            ),
            image(attack),
            image("1.2.5"),
        ],
        vec![
            text(Tag(0x0008, 0x1030), Vr::LO, attack),
            evidence("javascript:alert(3)//", "1.2", "1.2.5"),
            evidence("1.2", "1.2", attack),
        ],
    );
    for form in [ReportForm::Html, ReportForm::Xml] {
        let made = document(&data_set, form, ROOT).unwrap();
        assert!(made.contains("&lt;script&gt;"));
        for wrong in [
            "<script",
            "<img",
            "javascript:",
            "onerror='",
            "\u{1b}",
            "\u{7}",
        ] {
            assert!(!made.contains(wrong), "{wrong}");
        }
    }
    let plain = document(&data_set, ReportForm::Text, ROOT).unwrap();
    assert!(plain.contains("<script>") && !plain.contains('\u{1b}'));
}

#[test]
fn texts_are_read_in_their_character_set() {
    let mut latin = item("TEXT", "Befund", vec![]);
    latin.insert(DataElement::new(CHARACTER_SET, Vr::CS, *b"ISO_IR 100"));
    latin.insert(DataElement::new(TEXT_VALUE, Vr::UT, *b"unauff\xE4llig"));
    let made = document(&report(vec![latin], vec![]), ReportForm::Text, ROOT).unwrap();
    assert!(made.contains("Befund: unauffällig"));
}

#[test]
fn what_is_no_report_or_too_much_of_one_is_refused() {
    for form in FORMS {
        let none = document(&set(vec![text(PATIENT_NAME, Vr::PN, "Doe")]), form, ROOT);
        assert_eq!(none.unwrap_err().code(), "report.none");
    }
    let mut deep = item("TEXT", "end", vec![]);
    for _ in 0..MAX_LEVELS {
        deep = item(
            "CONTAINER",
            "",
            vec![DataElement::sequence(CONTENT, vec![deep])],
        );
    }
    let error = document(&report(vec![deep], vec![]), ReportForm::Html, ROOT).unwrap_err();
    assert_eq!(error.code(), "report.limit");
    let many = vec![set(vec![text(VALUE_TYPE, Vr::CS, "TEXT")]); MAX_ITEMS + 1];
    let error = document(&report(many, vec![]), ReportForm::Text, ROOT).unwrap_err();
    assert_eq!(error.code(), "report.limit");
    let long = text(TEXT_VALUE, Vr::UT, &"&".repeat(8 << 20));
    let long = item("TEXT", "long", vec![long]);
    let error = document(&report(vec![long], vec![]), ReportForm::Html, ROOT).unwrap_err();
    assert_eq!(error.code(), "report.limit");
}

/// Whether all elements of a document are closed in the order in which they were opened.
fn is_balanced(document: &str) -> bool {
    let mut open = Vec::new();
    for tag in document.split('<').skip(1) {
        let Some((tag, _)) = tag.split_once('>') else {
            return false;
        };
        let name = tag.split(' ').next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) if open.pop() != Some(name) => return false,
            None if !tag.ends_with(['/', '?']) && name != "!DOCTYPE" => open.push(name),
            _ => {}
        }
    }
    open.is_empty()
}

fn any_item() -> impl Strategy<Value = DataSet> {
    let kind = prop::sample::select(vec![
        "CONTAINER",
        "TEXT",
        "CODE",
        "NUM",
        "IMAGE",
        "PNAME",
        "DATETIME",
        "SCOORD",
        "TCOORD",
        "?",
    ]);
    let leaf = (kind, "\\PC{0,8}", any::<Vec<u8>>()).prop_map(|(kind, name, bytes)| {
        let tags = [
            0xA120, 0xA121, 0xA122, 0xA123, 0xA124, 0xA130, 0xA160, 0xDB73,
        ];
        let values = tags.map(|tag| DataElement::new(Tag(0x0040, tag), Vr::UT, bytes.clone()));
        let codes = [0xA168, 0xA300].map(|tag| code(Tag(0x0040, tag), "1", &name));
        item(kind, &name, values.into_iter().chain(codes).collect())
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(mut outer, items)| {
            outer.insert(DataElement::sequence(CONTENT, items));
            outer
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_content_makes_a_whole_document(items in prop::collection::vec(any_item(), 0..4)) {
        let data_set = report(items, vec![]);
        for form in FORMS {
            let made = document(&data_set, form, ROOT).unwrap();
            prop_assert!(made.chars().all(|it| !it.is_control() || it == '\n' || it == '\t'));
            prop_assert!(form == ReportForm::Text || is_balanced(&made));
        }
    }
}
