//! The DICOM JSON Model and the Native DICOM Model: written, read, and refused by name.

use crate::common::{self, FORMS, Form, bytes, file, image, sequence};
use proptest::collection::vec;
use proptest::prelude::*;
use vna_dicom::{
    DataElement, DataSet, DicomError, DicomFile, EXPLICIT_VR_LITTLE_ENDIAN, MAX_DEPTH, Model,
    ModelOptions, ModelStream, Tag, Value, Vr, read_json_list, read_model, tags, write_data_set,
    write_model,
};

const MODELS: [Model; 2] = [Model::Json, Model::Xml];

fn in_place() -> ModelOptions<'static> {
    ModelOptions {
        bulk_threshold: u64::MAX,
        ..ModelOptions::default()
    }
}

fn written(data_set: &DataSet, model: Model) -> Vec<u8> {
    write_data_set(data_set, model, &in_place())
}

/// Text as it is after a reader has trimmed it, without what XML cannot say.
fn text(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_map(|text| text.trim_matches([' ', '\0']).to_owned())
}

fn texts(pattern: &'static str) -> impl Strategy<Value = Vec<u8>> {
    vec(text(pattern), 1..4).prop_map(|texts| {
        // One empty value is no value.
        texts.join("\\").into_bytes()
    })
}

/// An element and a value that both models can give whole, in the form that reading gives it back.
fn element() -> impl Strategy<Value = DataElement> {
    let text_of = |tag: u32, vr: Vr, text: &'static str| {
        texts(text).prop_map(move |value| DataElement::new(Tag::from_u32(tag), vr, value))
    };
    let single = |tag: u32, vr: Vr, pattern: &'static str| {
        pattern.prop_map(move |text: String| {
            let text = text.trim_end_matches([' ', '\0']);
            DataElement::new(Tag::from_u32(tag), vr, text)
        })
    };
    let binary = |tag: u32, vr: Vr, unit: usize| {
        vec(any::<u8>(), 0..32).prop_map(move |mut value| {
            value.truncate(value.len() / unit * unit);
            DataElement::new(Tag::from_u32(tag), vr, value)
        })
    };
    // Bits that make NaN are not told apart, nor are they read back.
    let floats = vec(any::<f64>().prop_filter("a number", |n| !n.is_nan()), 0..4);
    prop_oneof![
        text_of(0x0010_0020, Vr::LO, "[a-zA-Zé東\u{1F600}&<>\"'\t ]{0,9}"),
        text_of(0x0008_0060, Vr::CS, "[A-Z_ ]{0,6}"),
        text_of(
            0x0010_0010,
            Vr::PN,
            "[A-Zä^]{0,3}[a-z](\\^[a-z]){0,4}(=[山東]){0,2}"
        ),
        text_of(
            0x0018_0050,
            Vr::DS,
            "-?[1-9][0-9]{0,5}(\\.[0-9]{1,4})?(e-?[1-9])?"
        ),
        text_of(0x0020_0013, Vr::IS, "-?[1-9][0-9]{0,8}"),
        text_of(0x0008_0018, Vr::UI, "[1-9]{1,4}(\\.[1-9]){0,3}"),
        single(0x0020_4000, Vr::LT, "[a-zé \\\\\n\r\t&\"]{0,12}"),
        single(0x0040_A160, Vr::UT, "(\\PC){0,12}"),
        binary(0x0028_0010, Vr::US, 2),
        binary(0x0018_6020, Vr::SL, 4),
        binary(0x0028_0009, Vr::AT, 4),
        binary(0x0008_0119, Vr::UC, 1).prop_map(|mut element| {
            element.value = Value::Bytes(b"A\\\\B".to_vec());
            element
        }),
        binary(0x7FE0_0001, Vr::OV, 8),
        binary(0x0072_0082, Vr::SV, 8),
        binary(0x0072_0083, Vr::UV, 8),
        binary(0x6000_3000, Vr::OW, 2),
        binary(0x0009_1001, Vr::UN, 1),
        floats.prop_map(|numbers| {
            let value: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            DataElement::new(Tag(0x0018, 0x6044), Vr::FD, value)
        }),
        vec(
            prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::INFINITE,
            0..4
        )
        .prop_map(|numbers| {
            let value: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            DataElement::new(Tag(0x0018, 0x605A), Vr::FL, value)
        }),
        Just(DataElement::new(
            Tag(0x0009, 0x0010),
            Vr::LO,
            "ACME \"1.0\""
        )),
        Just(DataElement::new(
            tags::SPECIFIC_CHARACTER_SET,
            Vr::CS,
            "ISO_IR 192"
        )),
    ]
}

fn data_set() -> impl Strategy<Value = DataSet> {
    let leaf = vec(element(), 0..8).prop_map(DataSet::from_iter);
    leaf.prop_recursive(3, 40, 3, |item| {
        (vec(element(), 0..8), vec(item, 0..3)).prop_map(|(mut elements, items)| {
            elements.push(DataElement::sequence(Tag(0x0008, 0x1140), items));
            DataSet::from_iter(elements)
        })
    })
    // Texts are in UTF-8, as a reader of any model would have to say.
    .prop_map(|mut data_set| {
        data_set.insert(DataElement::new(
            tags::SPECIFIC_CHARACTER_SET,
            Vr::CS,
            "ISO_IR 192",
        ));
        data_set
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_data_set_survives_either_model(data_set in data_set()) {
        for model in MODELS {
            let text = written(&data_set, model);
            let read = read_model(&text, model).expect("read");
            prop_assert_eq!(&read, &data_set, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn a_file_in_any_encoding_gives_what_its_data_set_gives(
        data_set in data_set(),
        form in prop::sample::select(FORMS.to_vec()),
    ) {
        let file = DicomFile {
            transfer_syntax_uid: form.uid().to_owned(),
            data_set,
            meta: DataSet::new(),
        };
        let encoded = file.write().expect("written");
        for model in MODELS {
            let of_file = write_model(&encoded, model, &in_place()).expect("a data set");
            let read = DicomFile::read(&encoded).expect("a data set");
            let of_data_set = written(&read.data_set, model);
            prop_assert_eq!(
                String::from_utf8(of_file).expect("UTF-8"),
                String::from_utf8(of_data_set).expect("UTF-8")
            );
        }
    }

    #[test]
    fn json_is_what_other_readers_read_and_xml_is_well_formed(data_set in data_set()) {
        let json = written(&data_set, Model::Json);
        let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        prop_assert_eq!(value.as_object().map(serde_json::Map::len), Some(data_set.elements().len()));
        let xml = written(&data_set, Model::Xml);
        let mut reader = quick_xml::Reader::from_reader(&xml[..]);
        while reader.read_event().expect("well-formed") != quick_xml::events::Event::Eof {}
    }

    #[test]
    fn parts_of_a_file_give_what_the_whole_gives(
        form in prop::sample::select(FORMS.to_vec()),
        model in prop::sample::select(MODELS.to_vec()),
        (size, bulk_threshold) in (1_usize..3000, prop::sample::select(vec![0_u64, 8, 300, 5000])),
        whole: bool,
        cut in prop::option::of(any::<usize>()),
    ) {
        let mut file = file(&phantom(form), form);
        if let Some(cut) = cut {
            file.truncate(cut % file.len());
        }
        let options = ModelOptions {
            bulk_threshold,
            bulk_uri: "http://a/b",
            documents_by_uri: false,
            whole,
        };
        let expected = write_model(&file, model, &options);
        // What is cut off is said of the innermost that a part shows.
        let code = |error: DicomError| error.code();
        prop_assert_eq!(streamed(&file, size, model, &options).map_err(code), expected.map_err(code));
    }

    #[test]
    fn no_text_at_all_is_read_without_end(
        text in "[\\[\\]{}:,\"0-9A-Fnul. ]{0,40}|<?[A-Za-z<>/&;#=\"!?\\[\\] -]{0,40}",
        damage in vec((any::<usize>(), any::<u8>()), 0..4),
        data_set in data_set(),
    ) {
        for model in MODELS {
            let _ = read_model(text.as_bytes(), model);
            let mut text = written(&data_set, model);
            for (at, byte) in &damage {
                let at = at % text.len();
                text[at] = *byte;
            }
            // Whatever it has become: read, or refused by name.
            if let Err(error) = read_model(&text, model) {
                prop_assert!(error.code().starts_with("model."), "{}", error.code());
            }
        }
    }
}

/// An image with values above and below any threshold, in sequences too.
fn phantom(form: Form) -> Vec<common::Item> {
    let mut elements = image(form, 2);
    let inner = vec![
        bytes(Tag(0x0008, 0x0104), Vr::LO, "meaning "),
        bytes(Tag(0x0042, 0x0011), Vr::OB, vec![b'x'; 400]),
    ];
    elements.push(bytes(Tag(0x0009, 0x0010), Vr::LO, "ACME 1.1"));
    elements.push(bytes(Tag(0x0009, 0x1001), Vr::OB, vec![1; 9000]));
    elements.push(bytes(Tag(0x0009, 0x1002), Vr::LO, vec![b'y'; 600]));
    elements.push(sequence(
        Tag(0x0040, 0xA730),
        vec![inner; 3],
        form == Form::Big,
    ));
    elements.push(bytes(Tag(0xFFFC, 0xFFFC), Vr::OB, vec![0; 4]));
    elements.sort_by_key(|element| element.tag);
    elements
}

fn streamed(
    file: &[u8],
    size: usize,
    model: Model,
    options: &ModelOptions<'_>,
) -> Result<Vec<u8>, DicomError> {
    let mut stream = ModelStream::new(model, options);
    let mut at = 0;
    while !stream.is_done() && at < file.len() {
        stream.push(&file[at..file.len().min(at + size)])?;
        at = usize::try_from(stream.skip(file.len() as u64)).expect("small");
    }
    stream.finish()
}

/// A file of these elements in Explicit VR Little Endian.
fn file_of(elements: Vec<DataElement>) -> Vec<u8> {
    let file = DicomFile {
        transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        meta: DataSet::new(),
        data_set: DataSet::from_iter(elements),
    };
    file.write().expect("written")
}

fn json_of(elements: Vec<DataElement>) -> serde_json::Value {
    let json = write_model(&file_of(elements), Model::Json, &ModelOptions::default());
    serde_json::from_slice(&json.expect("a data set")).expect("JSON")
}

#[test]
fn values_have_the_types_of_the_standard() {
    let json = json_of(vec![
        DataElement::new(Tag(0x0008, 0x0005), Vr::CS, "ISO_IR 100"),
        DataElement::new(Tag(0x0008, 0x0008), Vr::CS, "ORIGINAL\\\\AXIAL"),
        DataElement::new(Tag(0x0008, 0x0018), Vr::UI, "1.2.3"),
        DataElement::new(Tag(0x0010, 0x0010), Vr::PN, b"M\xFCller^A==P\\\\B".to_vec()),
        DataElement::new(Tag(0x0010, 0x0020), Vr::LO, ""),
        DataElement::new(Tag(0x0018, 0x0050), Vr::DS, "0.50\\+1\\1,5\\1e400"),
        DataElement::new(Tag(0x0018, 0x6020), Vr::SL, (-3_i32).to_le_bytes()),
        DataElement::new(
            Tag(0x0018, 0x6044),
            Vr::FD,
            [f64::NAN, 0.1, f64::NEG_INFINITY]
                .map(f64::to_le_bytes)
                .concat(),
        ),
        DataElement::new(Tag(0x0018, 0x605A), Vr::FL, 0.1_f32.to_le_bytes()),
        DataElement::new(Tag(0x0020, 0x0013), Vr::IS, "+007\\1.5"),
        DataElement::new(Tag(0x0028, 0x0009), Vr::AT, [0x18, 0, 0x63, 0x10]),
        DataElement::new(Tag(0x0042, 0x0011), Vr::OB, [1, 2, 3]),
        DataElement::new(Tag(0x0042, 0x0012), Vr::LO, "a\\b"),
        DataElement::new(
            Tag(0x0072, 0x0082),
            Vr::SV,
            [i64::MIN, 5].map(i64::to_le_bytes).concat(),
        ),
        DataElement::sequence(Tag(0x0008, 0x1140), vec![]),
        DataElement::sequence(
            Tag(0x0008, 0x1115),
            vec![
                DataSet::new(),
                DataSet::from_iter([DataElement::new(Tag(0x0009, 0x1001), Vr::UN, [0; 2000])]),
            ],
        ),
    ]);
    assert_eq!(
        json,
        serde_json::json!({
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00080008": {"vr": "CS", "Value": ["ORIGINAL", null, "AXIAL"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3"]},
            "00081115": {"vr": "SQ", "Value": [
                {},
                {"00091001": {"vr": "UN", "BulkDataURI": "/00081115/1/00091001"}},
            ]},
            "00081140": {"vr": "SQ"},
            "00100010": {"vr": "PN", "Value": [
                {"Alphabetic": "Müller^A", "Phonetic": "P"}, null, {"Alphabetic": "B"},
            ]},
            "00100020": {"vr": "LO"},
            "00180050": {"vr": "DS", "Value": [0.5, 1, "1,5", "1e400"]},
            "00186020": {"vr": "SL", "Value": [-3]},
            "00186044": {"vr": "FD", "Value": ["NaN", 0.1, "-Infinity"]},
            "0018605A": {"vr": "FL", "Value": [0.100_000_001_490_116_12]},
            "00200013": {"vr": "IS", "Value": [7, "1.5"]},
            "00280009": {"vr": "AT", "Value": ["00181063"]},
            "00420011": {"vr": "OB", "InlineBinary": "AQIDAA=="},
            "00420012": {"vr": "LO", "Value": ["a", "b"]},
            "00720082": {"vr": "SV", "Value": ["-9223372036854775808", 5]},
        })
    );
}

#[test]
fn fragments_have_a_uri_whatever_the_threshold() {
    let fragments = Value::Fragments(vec![vec![], vec![1; 10]]);
    let element = DataElement {
        tag: tags::PIXEL_DATA,
        vr: Vr::OB,
        value: fragments,
    };
    let file = DicomFile {
        transfer_syntax_uid: "1.2.840.10008.1.2.4.50".to_owned(),
        meta: DataSet::new(),
        data_set: DataSet::from_iter([
            element,
            DataElement::new(Tag(0xFFFC, 0xFFFC), Vr::OB, [0; 2]),
        ]),
    };
    let file = file.write().expect("written");
    let options = ModelOptions {
        bulk_threshold: u64::MAX,
        bulk_uri: "x",
        documents_by_uri: false,
        whole: true,
    };
    let json = write_model(&file, Model::Json, &options).expect("a data set");
    assert_eq!(
        String::from_utf8_lossy(&json),
        r#"{"7FE00010":{"vr":"OB","BulkDataURI":"x/7fe00010"},"FFFCFFFC":{"vr":"OB","InlineBinary":"AAA="}}"#
    );
    assert_eq!(
        streamed(&file, 7, Model::Json, &options).as_ref(),
        Ok(&json)
    );
    let json = write_model(
        &file,
        Model::Json,
        &ModelOptions {
            whole: false,
            ..options
        },
    );
    assert!(json.expect("a data set").ends_with(b"x/7fe00010\"}}"));
}

#[test]
fn private_elements_are_named_by_their_creator_in_xml() {
    let elements = vec![
        DataElement::new(Tag(0x0009, 0x0010), Vr::LO, "ACME"),
        DataElement::new(Tag(0x0009, 0x0011), Vr::LO, "ACME"),
        DataElement::new(Tag(0x0009, 0x1000), Vr::LO, "no group length"),
        DataElement::new(Tag(0x0009, 0x1001), Vr::LO, "a"),
        DataElement::new(Tag(0x0009, 0x1101), Vr::LO, "b"),
        DataElement::new(Tag(0x0009, 0x1201), Vr::LO, "nobody's"),
    ];
    let xml = write_model(&file_of(elements.clone()), Model::Xml, &in_place()).expect("written");
    let text = String::from_utf8_lossy(&xml);
    for found in [
        r#"<DicomAttribute tag="00090010" vr="LO"><Value number="1">ACME</Value>"#,
        r#"tag="00090001" vr="LO" privateCreator="ACME"><Value number="1">a<"#,
        r#"tag="00091101" vr="LO" privateCreator="ACME"><Value number="1">b<"#,
        r#"tag="00091201" vr="LO"><Value number="1">nobody's<"#,
    ] {
        assert!(text.contains(found), "{found} in {text}");
    }
    assert_eq!(
        read_model(&xml, Model::Xml),
        Ok(DataSet::from_iter(elements))
    );
}

fn native(inner: &str) -> String {
    format!("<NativeDicomModel>{inner}</NativeDicomModel>")
}

#[test]
fn a_creator_without_block_gets_one() {
    let attribute = |creator: &str, element: u8| {
        format!(r#"<DicomAttribute tag="000900{element:02X}" vr="LO" privateCreator="{creator}"/>"#)
    };
    let xml = native(&(attribute("A", 1) + &attribute("B", 1) + &attribute("A", 2)));
    let read = read_model(xml.as_bytes(), Model::Xml).expect("read");
    let tags: Vec<u16> = read
        .elements()
        .iter()
        .map(|element| element.tag.1)
        .collect();
    assert_eq!(tags, [0x0010, 0x0011, 0x1001, 0x1002, 0x1101]);
    let full: String = (0..=0xF0).map(|n| attribute(&n.to_string(), 1)).collect();
    let error = read_model(native(&full).as_bytes(), Model::Xml).expect_err("full");
    assert_eq!(error.code(), "model.block");
}

#[test]
fn json_is_read_as_others_write_it() {
    let read = |json: &str| read_model(json.as_bytes(), Model::Json).expect(json);
    // `Value` before `vr`, members of nobody, names of one group or none, numbers as strings and the other way round.
    let read = read(
        "\u{FEFF}{\"00100010\": {\"Value\": [{\"Ideographic\": \"山\", \"Alphabetic\": null}, {}, \"A^B\"], \"vr\": \"PN\"},
          \"00081140\": {\"Value\": [{\"00081155\": {\"vr\": \"UI\", \"Value\": [\"1.2\"]}}, {}, null], \"vr\": \"SQ\"},
          \"00280010\": {\"vr\": \"US\", \"Value\": [\"512\", 1.0, 2e0], \"x\": [{\"y\": [true, false, null]}]},
          \"00200013\": {\"vr\": \"IS\", \"Value\": [1.0, \"x\", null]},
          \"00180050\": {\"vr\": \"DS\", \"Value\": [0.10, 0.30000000000000004]},
          \"00186044\": {\"vr\": \"FD\", \"Value\": [NaN, -Infinity, \"inf\"]},
          \"00080000\": {\"vr\": \"UL\", \"Value\": [4]},
          \"00280009\": {\"vr\": \"AT\", \"Value\": [\"0018106a\"]},
          \"7fe00010\": {\"vr\": \"OW\", \"BulkDataURI\": \"http://x\"},
          \"00280011\": {\"vr\": \"US\", \"Value\": [null]}}",
    );
    let expected = DataSet::from_iter([
        DataElement::new(tags::SPECIFIC_CHARACTER_SET, Vr::CS, "ISO_IR 192"),
        DataElement::sequence(
            Tag(0x0008, 0x1140),
            vec![
                DataSet::from_iter([DataElement::new(Tag(0x0008, 0x1155), Vr::UI, "1.2")]),
                DataSet::new(),
                DataSet::new(),
            ],
        ),
        DataElement::new(Tag(0x0010, 0x0010), Vr::PN, "=山\\\\A^B"),
        DataElement::new(Tag(0x0018, 0x0050), Vr::DS, "0.10\\0.30000000000000"),
        DataElement::new(
            Tag(0x0018, 0x6044),
            Vr::FD,
            [f64::NAN, f64::NEG_INFINITY, f64::INFINITY]
                .map(f64::to_le_bytes)
                .concat(),
        ),
        DataElement::new(Tag(0x0020, 0x0013), Vr::IS, "1\\x\\"),
        DataElement::new(Tag(0x0028, 0x0009), Vr::AT, [0x18, 0, 0x6A, 0x10]),
        DataElement::new(Tag(0x0028, 0x0010), Vr::US, [0, 2, 1, 0, 2, 0]),
        DataElement::new(Tag(0x0028, 0x0011), Vr::US, []),
        DataElement {
            tag: tags::PIXEL_DATA,
            vr: Vr::OW,
            value: Value::BulkDataUri("http://x".to_owned()),
        },
    ]);
    assert_eq!(read, expected);
    let list = read_json_list(br#"[{}, {"00100020": {"vr": "LO"}}]"#).expect("a list");
    assert_eq!(
        list.iter()
            .map(|one| one.elements().len())
            .collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(read_json_list(b"{}").expect("one").len(), 1);
    assert_eq!(read_json_list(b" [ ] ").expect("none").len(), 0);
}

#[test]
fn xml_is_read_as_others_write_it() {
    let xml = "<?xml version='1.0' encoding='ISO-8859-1'?>\n<!-- a comment -->\n<n:NativeDicomModel xmlns:n='x'>
        <n:DicomAttribute tag='00100020' vr='LO'><Value number='3'>M\u{FC}&amp;&#x41;<![CDATA[<b>]]></Value></n:DicomAttribute>
        <DicomAttribute tag='00100010' vr='PN'><PersonName><Alphabetic><GivenName>B</GivenName></Alphabetic></PersonName></DicomAttribute>
        <DicomAttribute tag='00280010' vr='US'><Value number='1'> 512 </Value><Value number='2'>1</Value></DicomAttribute>
        <DicomAttribute tag='00420011' vr='OB'><InlineBinary>AQ ID\n</InlineBinary></DicomAttribute>
        <DicomAttribute tag='7FE00010' vr='OW'><BulkData uuid='5'/></DicomAttribute>
        </n:NativeDicomModel>\n";
    let latin: Vec<u8> = xml
        .chars()
        .map(|c| u8::try_from(u32::from(c)).expect("Latin 1"))
        .collect();
    let expected = DataSet::from_iter([
        DataElement::new(tags::SPECIFIC_CHARACTER_SET, Vr::CS, "ISO_IR 192"),
        DataElement::new(Tag(0x0010, 0x0010), Vr::PN, "^B"),
        DataElement::new(Tag(0x0010, 0x0020), Vr::LO, "\\\\Mü&A<b>"),
        DataElement::new(Tag(0x0028, 0x0010), Vr::US, [0, 2, 1, 0]),
        DataElement::new(Tag(0x0042, 0x0011), Vr::OB, [1, 2, 3]),
        DataElement {
            tag: tags::PIXEL_DATA,
            vr: Vr::OW,
            value: Value::BulkDataUri("urn:uuid:5".to_owned()),
        },
    ]);
    assert_eq!(read_model(&latin, Model::Xml), Ok(expected));
}

#[test]
fn what_is_wrong_with_json_is_named_with_its_place() {
    for (json, code, message) in [
        (
            "",
            "model.syntax",
            "byte 0: the '{' of a data set should stand here",
        ),
        (
            "[]",
            "model.syntax",
            "byte 0: the '{' of a data set should stand here",
        ),
        ("{} x", "model.syntax", "byte 3: the end should stand here"),
        (
            r#"{"PatientID": {}}"#,
            "model.tag",
            "byte 14: \"PatientID\" is no tag; eight hexadecimal digits are",
        ),
        (
            r#"{"00020010": {"vr": "UI"}}"#,
            "model.tag",
            "/00020010 at byte 13: a data set has no attribute of this group",
        ),
        (
            r#"{"00100020": {}}"#,
            "model.vr",
            "/00100020 at byte 13: the attribute has no VR",
        ),
        (
            r#"{"00100020": {"vr": "XX"}}"#,
            "model.vr",
            "/00100020 at byte 14: \"XX\" is no VR of PS3.5",
        ),
        (
            r#"{"00100020": {"vr": "LO", "Value": ["a", 1]}}"#,
            "model.value",
            "/00100020 at byte 41: the value is none of VR LO",
        ),
        (
            r#"{"00280010": {"vr": "US", "Value": [65536]}}"#,
            "model.value",
            "/00280010 at byte 36: the value is none of VR US",
        ),
        (
            r#"{"00280010": {"vr": "US", "Value": [1, null]}}"#,
            "model.value",
            "/00280010 at byte 39: an empty value among others, which VR US cannot have",
        ),
        (
            r#"{"00204000": {"vr": "LT", "Value": ["a", "b"]}}"#,
            "model.value",
            "/00204000 at byte 41: VR LT has one value only",
        ),
        (
            r#"{"7FE00010": {"vr": "OW", "Value": [1]}}"#,
            "model.value",
            "/7FE00010 at byte 36: VR OW is given as InlineBinary or bulk data, not as values",
        ),
        (
            r#"{"7FE00010": {"vr": "OW", "InlineBinary": "a"}}"#,
            "model.value",
            "/7FE00010 at byte 42: the binary value is no Base64",
        ),
        (
            r#"{"00100020": {"vr": "LO"}, "00100020": {"vr": "LO"}}"#,
            "model.twice",
            "/00100020 at byte 52: the attribute stands twice in its data set",
        ),
        (
            r#"{"00100020": {"vr": "LO", "Value": [], "BulkDataURI": ""}}"#,
            "model.twice",
            "/00100020 at byte 39: the attribute has two values, or the same member twice",
        ),
        (
            r#"{"00081140": {"vr": "SQ", "Value": [{}, {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "a", "b": "c"}]}}]}}"#,
            "model.value",
            "/00081140/1/00100010 at byte 101: a person name has the groups Alphabetic, Ideographic and Phonetic, no other",
        ),
        (
            r#"{"00081140": {"vr": "SQ", "Value": [1]}}"#,
            "model.value",
            "/00081140 at byte 36: the value is none of VR SQ",
        ),
        (
            r#"{"00100020": {"vr": "LO", "Value": ["a"#,
            "model.syntax",
            "/00100020 at byte 38: the end of a string should stand here",
        ),
        (
            r#"{"00100020": {"vr": "LO", "Value": [true]}}"#,
            "model.syntax",
            "/00100020 at byte 36: a string, a number, an object or null should stand here",
        ),
    ] {
        let error = read_model(json.as_bytes(), Model::Json).expect_err(json);
        assert_eq!(
            (error.code(), &*error.to_string()),
            (code, message),
            "{json}"
        );
    }
    let error = read_model(b"{\"\xFF", Model::Json).expect_err("no UTF-8");
    assert_eq!((error.code(), error.offset()), ("model.utf8", Some(2)));
}

#[test]
fn what_is_wrong_with_xml_is_named() {
    let attribute = |vr: &str, inner: &str| {
        native(&format!(
            r#"<DicomAttribute tag="00100020" vr="{vr}">{inner}</DicomAttribute>"#
        ))
    };
    let laughs = r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>"#;
    for (xml, code) in [
        (String::new(), "model.syntax"),
        ("<a/>".to_owned(), "model.syntax"),
        (native("<a>"), "model.syntax"),
        (native("") + "<a/>", "model.syntax"),
        (native("text"), "model.syntax"),
        (native("<Item/>"), "model.syntax"),
        (
            laughs.to_owned() + &attribute("LO", "<Value>&b;</Value>"),
            "model.doctype",
        ),
        (attribute("LO", "<Value>&b;</Value>"), "model.syntax"),
        (attribute("LO", "<Value>a</Valeu>"), "model.syntax"),
        (attribute("LO", "<PersonName/>"), "model.value"),
        (
            attribute("PN", "<PersonName><a/></PersonName>"),
            "model.value",
        ),
        (attribute("SQ", "<Value>1</Value>"), "model.value"),
        (attribute("SQ", "<Item number='2'/>"), "model.number"),
        (
            attribute("LO", "<Value number='2'/><Value number='2'/>"),
            "model.number",
        ),
        (attribute("LO", "<Value number='0'/>"), "model.number"),
        (
            attribute("LO", "<Value number='99999999999999'/>"),
            "budget.elements",
        ),
        (
            attribute("LO", "<Value/><BulkData uri='x'/>"),
            "model.twice",
        ),
        (attribute("OB", "<BulkData/>"), "model.syntax"),
        (
            attribute("OB", "<InlineBinary>?</InlineBinary>"),
            "model.value",
        ),
        (native("<DicomAttribute tag='00100020'/>"), "model.vr"),
        (native("<DicomAttribute vr='LO'/>"), "model.tag"),
    ] {
        let error = read_model(xml.as_bytes(), Model::Xml).expect_err(&xml);
        assert_eq!(error.code(), code, "{xml}: {error}");
    }
}

#[test]
fn nesting_is_read_as_deep_as_a_data_set_goes_and_no_deeper() {
    let json = |depth: usize| {
        r#"{"00081140":{"vr":"SQ","Value":["#.repeat(depth) + "{}" + &"]}}".repeat(depth)
    };
    let xml = |depth: usize| {
        native(
            &(r#"<DicomAttribute tag="00081140" vr="SQ"><Item number="1">"#.repeat(depth)
                + &"</Item></DicomAttribute>".repeat(depth)),
        )
    };
    for (model, text) in [
        (Model::Json, &json as &dyn Fn(usize) -> String),
        (Model::Xml, &xml),
    ] {
        let read = read_model(text(MAX_DEPTH).as_bytes(), model);
        assert_eq!(written(&read.expect("allowed"), model).len(), {
            let again = read_model(text(MAX_DEPTH).as_bytes(), model).expect("allowed");
            written(&again, model).len()
        });
        let error = read_model(text(MAX_DEPTH + 1).as_bytes(), model).expect_err("too deep");
        assert_eq!(error.code(), "budget.depth");
        let error = read_model(text(50_000).as_bytes(), model).expect_err("too deep");
        assert_eq!(error.code(), "budget.depth");
    }
}

#[test]
fn many_small_things_are_counted() {
    let items =
        r#"{"00081140":{"vr":"SQ","Value":["#.to_owned() + &"{},".repeat(9_000_000) + "{}]}}";
    let error = read_model(items.as_bytes(), Model::Json).expect_err("too many");
    assert_eq!(error.code(), "budget.tags");
    let waiting =
        r#"{"00280010":{"Value":[1"#.to_owned() + &",1".repeat(3_000_000) + r#"],"vr":"US"}}"#;
    let error = read_model(waiting.as_bytes(), Model::Json).expect_err("too many");
    assert_eq!(error.code(), "budget.tags");
}

#[test]
fn elements_in_any_order_are_sorted_at_once() {
    let descending: Vec<String> = (0..200_000_u32)
        .rev()
        .map(|n| {
            format!(
                "\"{:08X}\":{{\"vr\":\"LO\"}}",
                0x0008_0001 + n * 3 % 0x0400_0000
            )
        })
        .filter(|text| !text.contains("FFFE"))
        .collect();
    let read = read_model(
        format!("{{{}}}", descending.join(",")).as_bytes(),
        Model::Json,
    );
    let read = read.expect("read");
    assert!(read.elements().is_sorted_by_key(|element| element.tag));
}
