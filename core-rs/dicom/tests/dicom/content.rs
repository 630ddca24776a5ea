//! One place of a data set, found in a file that is read in parts.

use crate::common::{self, FORMS, Form, bytes, file, file_as, sequence};
use proptest::prelude::*;
use vna_dicom::{
    Content, ContentStream, DicomError, ElementPath, MAX_DEPTH, ParsePathError, Tag, Vr,
    swap_byte_order, tags,
};

fn find(file: &[u8], path: &str, size: usize, hold: bool) -> Result<Option<Content>, DicomError> {
    let mut stream = ContentStream::new(path.parse().expect("a path"), hold);
    let mut at = 0;
    while !stream.is_done() && at < file.len() {
        stream.push(&file[at..file.len().min(at + size)])?;
        at = usize::try_from(stream.skip(file.len() as u64)).expect("small");
    }
    stream.finish()
}

/// A sequence with an empty item, a nested one and a long value; private elements; pixel data.
fn phantom(form: Form, defined: bool) -> Vec<common::Item> {
    let number = |n: u16| {
        if form == Form::Big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let inner = vec![bytes(Tag(0x0040, 0xA160), Vr::UT, vec![b'x'; 300])];
    let items = vec![
        vec![],
        vec![
            bytes(Tag(0x0008, 0x1155), Vr::UI, "1.2\0"),
            sequence(Tag(0x0040, 0xA730), vec![vec![], inner], !defined),
        ],
    ];
    vec![
        bytes(Tag(0x0008, 0x0060), Vr::CS, "CT"),
        sequence(Tag(0x0008, 0x1110), vec![], defined),
        sequence(Tag(0x0008, 0x1140), items, defined),
        bytes(Tag(0x0010, 0x4000), Vr::LT, ""),
        bytes(Tag(0x0028, 0x0010), Vr::US, number(512)),
        bytes(tags::PIXEL_DATA, Vr::OW, number(7).repeat(500)),
        bytes(Tag(0xFFFC, 0xFFFC), Vr::OB, [0; 4]),
    ]
}

const TOP: [u32; 7] = [
    0x0008_0060,
    0x0008_1110,
    0x0008_1140,
    0x0010_4000,
    0x0028_0010,
    0x7FE0_0010,
    0xFFFC_FFFC,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_place_is_found_however_the_file_is_cut(
        form in prop::sample::select(FORMS.to_vec()),
        defined: bool,
        size in 1_usize..700,
        hold: bool,
    ) {
        let file = file(&phantom(form, defined), form);
        let deflated = form == Form::Deflated;
        let at = |path: &str| find(&file, path, size, hold || deflated).expect("readable");
        let elements = |tags: &[u32]| {
            Some(Content::Elements(tags.iter().copied().map(Tag::from_u32).collect()))
        };
        let value = |path: &str| {
            let (Some(Content::Value(place)) | Some(Content::NativePixelData(place))) = at(path) else {
                panic!("{path}: {:?}", at(path));
            };
            let mut value = match place.held {
                Some(value) => value,
                None => {
                    let from = usize::try_from(place.offset).expect("small");
                    file[from..][..usize::try_from(place.length).expect("small")].to_vec()
                }
            };
            assert_eq!(value.len() as u64, place.length);
            swap_byte_order(&mut value, place.swap_unit);
            value
        };
        prop_assert_eq!(at(""), elements(&TOP));
        prop_assert_eq!(at("0008-1110"), Some(Content::Items(0)));
        prop_assert_eq!(at("0008-1140"), Some(Content::Items(2)));
        prop_assert_eq!(at("0008-1140/0"), elements(&[]));
        prop_assert_eq!(at("00081140/1/"), elements(&[0x0008_1155, 0x0040_A730]));
        prop_assert_eq!(at("00081140/1/0040a730"), Some(Content::Items(2)));
        prop_assert_eq!(at("00081140/1/0040a730/1"), elements(&[0x0040_A160]));
        prop_assert_eq!(value("00081140/1/0040a730/1/TextValue"), vec![b'x'; 300]);
        prop_assert_eq!(value("00081140/1/00081155"), b"1.2\0");
        prop_assert_eq!(value("Modality"), b"CT");
        prop_assert_eq!(value("PatientComments"), b"");
        prop_assert_eq!(value("Rows"), [0, 2]);
        prop_assert_eq!(value("7fe00010"), [7, 0].repeat(500));
        prop_assert_eq!(value("7fe00010/0"), [7, 0].repeat(500));
        prop_assert_eq!(value("fffcfffc"), [0; 4]);
        for path in [
            "0010-0010", "0008-1140/2", "0008-1140/0/00081155", "0008-1140/1/00080060", "0008-1110/0",
            "Modality/0", "Modality/0/Modality", "7fe00010/1", "7fe00010/0/00080060", "0002-0010",
            "00081140/1/0040a730/0/TextValue", "00081140/1/0040a730/2",
        ] {
            prop_assert_eq!(at(path), None, "{}", path);
        }
    }
}

#[test]
fn fragments_are_counted_and_found() {
    let mut data = common::data_set(&[bytes(Tag(0x0008, 0x0060), Vr::CS, "CT")], Form::Explicit);
    data.extend(b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF");
    for fragment in [&b""[..], b"abcd", b"ef"] {
        data.extend(b"\xFE\xFF\x00\xE0");
        data.extend(u32::try_from(fragment.len()).unwrap().to_le_bytes());
        data.extend(fragment);
    }
    data.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    let file = file_as("1.2.840.10008.1.2.4.50", &data);
    for (size, hold) in [(1, true), (9, false), (10_000, true)] {
        let at = |path| find(&file, path, size, hold).expect("readable");
        assert_eq!(at("7fe0-0010"), Some(Content::Fragments(3)));
        let Some(Content::Value(place)) = at("7fe0-0010/1") else {
            panic!("a fragment has a value");
        };
        assert_eq!(
            &file[usize::try_from(place.offset).unwrap()..][..4],
            b"abcd"
        );
        assert_eq!((place.length, place.swap_unit), (4, 1));
        assert_eq!(place.held.as_deref(), hold.then_some(&b"abcd"[..]));
        assert_eq!(at("7fe0-0010/3"), None);
        assert_eq!(at("7fe0-0010/1/0010-0010"), None);
    }
}

#[test]
fn what_is_cut_off_before_the_place_is_an_error() {
    let file = file(&phantom(Form::Explicit, true), Form::Explicit);
    for (length, path) in [(file.len() - 2, ""), (400, ""), (400, "00081140")] {
        let error = find(&file[..length], path, 100, false).expect_err(path);
        assert_eq!(error.code(), "header.truncated");
    }
    // Before the end nobody looks.
    assert!(find(&file[..file.len() - 2], "Modality", 100, false).is_ok());
}

#[test]
fn paths_are_read_in_every_usual_form() {
    let path = |text: &str| text.parse::<ElementPath>();
    for text in [
        "/0008-1140/0/ReferencedSOPInstanceUID",
        "00081140//0/0008,1155/",
    ] {
        assert_eq!(path(text).unwrap().to_string(), "/00081140/0/00081155");
    }
    assert_eq!(path(""), Ok(ElementPath::default()));
    assert!(matches!(
        path("patientname"),
        Err(ParsePathError::Tag { .. })
    ));
    assert!(matches!(
        path("0010-0010/+1"),
        Err(ParsePathError::Number { .. })
    ));
    assert!(matches!(
        path("0010-0010/x"),
        Err(ParsePathError::Number { .. })
    ));
    assert!(matches!(
        path("0010-0010/99999999999999999999"),
        Err(ParsePathError::Number { .. })
    ));
    assert!(path(&"00081140/0/".repeat(MAX_DEPTH)).is_ok());
    assert_eq!(
        path(&"00081140/0/".repeat(MAX_DEPTH + 2)),
        Err(ParsePathError::TooDeep)
    );
}
