//! Data sets in memory: written and read in every uncompressed transfer syntax.

use crate::common::FORMS;
use crate::data_sets::data_set;
use proptest::collection::vec;
use proptest::prelude::*;
use vna_dicom::{
    DataElement, DataSet, DicomFile, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN, MAX_DEPTH, Tag, Value, Vr, tags,
};

fn file(data_set: DataSet, transfer_syntax_uid: &str) -> DicomFile {
    DicomFile {
        transfer_syntax_uid: transfer_syntax_uid.to_owned(),
        meta: DataSet::new(),
        data_set,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_as_it_was(
        data_set in data_set(),
        form in prop::sample::select(FORMS.to_vec()),
    ) {
        let bytes = data_set.write(form.uid()).expect("written");
        prop_assert_eq!(bytes.len() % 2, 0);
        let read = DataSet::read(&bytes, form.uid()).expect("read");
        let values = |set: &DataSet| set.write(IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
        prop_assert_eq!(values(&read), values(&data_set));
        if values(&data_set).len() <= 0xFFFE {
            prop_assert_eq!(&read, &data_set); // else a value too long for its VR became UN
        }

        let file = file(data_set, form.uid()).write().expect("written");
        let read = DicomFile::read(&file).expect("read");
        prop_assert_eq!(&read.transfer_syntax_uid, form.uid());
        prop_assert_eq!(read.write().expect("written"), file);
    }

    #[test]
    fn what_is_damaged_is_refused_by_name_or_written_again(
        data_set in data_set(),
        form in prop::sample::select(FORMS.to_vec()),
        damage in vec((any::<usize>(), any::<u8>()), 1..4),
        cut in any::<usize>(),
    ) {
        let mut bytes = data_set.write(form.uid()).expect("written");
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
        }
        bytes.truncate(cut % (bytes.len() + 1));
        if let Ok(read) = DataSet::read(&bytes, form.uid()) {
            match read.write(EXPLICIT_VR_LITTLE_ENDIAN) {
                Ok(written) => {
                    let again = DataSet::read(&written, EXPLICIT_VR_LITTLE_ENDIAN).expect("read");
                    prop_assert_eq!(again.write(EXPLICIT_VR_LITTLE_ENDIAN), Ok(written));
                }
                Err(error) => prop_assert!(error.code().starts_with("value."), "{}", error),
            }
        }
    }
}

fn one(tag: Tag, vr: Vr, value: impl Into<Vec<u8>>) -> DataSet {
    DataSet::from_iter([DataElement::new(tag, vr, value)])
}

#[test]
fn values_are_padded_as_their_vr_says() {
    let texts = DataSet::from_iter([
        DataElement::new(tags::SOP_INSTANCE_UID, Vr::UI, "1.2"),
        DataElement::new(tags::MODALITY, Vr::CS, "CTX"),
        DataElement::new(Tag(0x0042, 0x0011), Vr::OB, "%"),
    ]);
    let written = texts.write(EXPLICIT_VR_LITTLE_ENDIAN).expect("written");
    assert_eq!(
        written,
        b"\x08\x00\x18\x00UI\x04\x001.2\0\x08\x00\x60\x00CS\x04\x00CTX \x42\x00\x11\x00OB\0\0\x02\0\0\0%\0"
    );
}

#[test]
fn a_value_too_long_for_its_length_field_becomes_un_in_little_endian() {
    let numbers: Vec<u8> = (0..0x8000_u16).flat_map(u16::to_le_bytes).collect();
    let long = one(tags::ROWS, Vr::US, numbers.clone());
    for uid in [EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN] {
        let written = long.write(uid).expect("written");
        assert_eq!(&written[4..8], b"UN\0\0");
        assert_eq!(&written[12..], numbers);
    }
    let written = long.write(IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
    assert_eq!(DataSet::read(&written, IMPLICIT_VR_LITTLE_ENDIAN), Ok(long));
    let fits = one(tags::ROWS, Vr::US, vec![1; 0xFFFE]);
    let written = fits.write(EXPLICIT_VR_BIG_ENDIAN).expect("written");
    assert_eq!(&written[4..8], b"US\xFF\xFE");
}

#[test]
fn what_cannot_be_encoded_is_refused_by_name() {
    let fragments = DataElement {
        tag: tags::PIXEL_DATA,
        vr: Vr::OB,
        value: Value::Fragments(vec![vec![], vec![1, 2, 3]]),
    };
    let compressed = DataSet::from_iter([fragments.clone()]);
    let error = compressed
        .write(EXPLICIT_VR_LITTLE_ENDIAN)
        .expect_err("native");
    assert_eq!(error.code(), "value.encapsulated");
    let jpeg = "1.2.840.10008.1.2.4.70";
    let read = DataSet::read(&compressed.write(jpeg).expect("written"), jpeg).expect("read");
    let Some(Value::Fragments(read)) = read.get(tags::PIXEL_DATA).map(|e| &e.value) else {
        panic!("{read:?}");
    };
    assert_eq!(read, &[vec![], vec![1, 2, 3, 0]]);

    let elsewhere = DataSet::from_iter([DataElement {
        value: Value::BulkDataUri("bulk/1".to_owned()),
        ..fragments
    }]);
    let error = elsewhere.write(jpeg).expect_err("elsewhere");
    assert_eq!(error.code(), "value.elsewhere");

    for tag in [tags::ITEM, tags::TRANSFER_SYNTAX_UID, Tag(0x0000, 0x0100)] {
        let error = one(tag, Vr::UN, *b"12").write(jpeg).expect_err("group");
        assert_eq!(error.code(), "value.group");
    }

    let mut nested = DataSet::new();
    for _ in 0..=MAX_DEPTH {
        nested = DataSet::from_iter([DataElement::sequence(Tag(0x0040, 0xA730), vec![nested])]);
    }
    let error = nested.write(jpeg).expect_err("deep");
    assert_eq!(error.code(), "budget.depth");
}

#[test]
fn of_an_element_that_comes_twice_the_first_counts() {
    let twice = [("A", 0x0010), ("B", 0x0008), ("C", 0x0010)];
    let set = DataSet::from_iter(
        twice.map(|(text, group)| DataElement::new(Tag(group, 0x0010), Vr::LO, text)),
    );
    let values: Vec<_> = set.elements().iter().map(|e| e.value.clone()).collect();
    assert_eq!(
        values,
        [Value::Bytes(b"B".to_vec()), Value::Bytes(b"A".to_vec())]
    );
}

#[test]
fn group_lengths_are_left_out() {
    let mut set = one(Tag(0x0008, 0x0000), Vr::UL, [8, 0, 0, 0]);
    set.insert(DataElement::new(tags::MODALITY, Vr::CS, "CT"));
    let written = set.write(IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
    assert_eq!(written, b"\x08\x00\x60\x00\x02\x00\x00\x00CT");
}

#[test]
fn the_pixels_decide_where_implicit_vr_leaves_a_choice() {
    let image = |signed: u16, bits: u16| {
        let words = [
            (Tag(0x0018, 0x9810), 7),
            (tags::BITS_ALLOCATED, bits),
            (tags::PIXEL_REPRESENTATION, signed),
        ];
        let mut image = DataSet::from_iter(
            words.map(|(tag, number)| DataElement::new(tag, Vr::US, number.to_le_bytes())),
        );
        image.insert(DataElement::new(
            Tag(0x0028, 0x1101),
            Vr::US,
            [0, 1, 0, 0, 16, 0],
        ));
        let icon = image.clone();
        image.insert(DataElement::sequence(Tag(0x0008, 0x1140), vec![icon]));
        image.insert(DataElement::new(tags::PIXEL_DATA, Vr::OW, [1, 2]));
        let written = image.write(IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
        DataSet::read(&written, IMPLICIT_VR_LITTLE_ENDIAN).expect("read")
    };
    let vr = |set: &DataSet, tag| set.get(tag).expect("there").vr;
    for (signed, number) in [(0, Vr::US), (1, Vr::SS)] {
        for (bits, pixels) in [(1, Vr::OB), (8, Vr::OB), (16, Vr::OW)] {
            let image = image(signed, bits);
            assert_eq!(vr(&image, Tag(0x0018, 0x9810)), number);
            assert_eq!(vr(&image, Tag(0x0028, 0x1101)), number);
            assert_eq!(vr(&image, tags::PIXEL_DATA), pixels);
            let Some(Value::Items(icons)) = image.get(Tag(0x0008, 0x1140)).map(|e| &e.value) else {
                panic!("{image:?}");
            };
            assert_eq!(vr(&icons[0], Tag(0x0018, 0x9810)), number);
        }
    }
}

#[test]
fn a_file_names_its_data_set_and_keeps_what_else_its_meta_says() {
    let mut written = file(
        one(tags::SOP_INSTANCE_UID, Vr::UI, "1.2.3"),
        EXPLICIT_VR_BIG_ENDIAN,
    );
    let note = DataElement::new(Tag(0x0002, 0x0016), Vr::AE, "PHANTOM");
    written.meta.insert(note.clone());
    written.meta.insert(DataElement::new(
        tags::MEDIA_STORAGE_SOP_INSTANCE_UID,
        Vr::UI,
        "9.9",
    ));
    let read = DicomFile::read(&written.write().expect("written")).expect("read");
    assert_eq!(read.meta.get(note.tag), Some(&note));
    let named = read
        .meta
        .get(tags::MEDIA_STORAGE_SOP_INSTANCE_UID)
        .expect("there");
    assert_eq!(named.value, Value::Bytes(b"1.2.3".to_vec()));
    let length = read
        .meta
        .get(Tag(0x0002, 0x0000))
        .expect("the one group length that lives on");
    assert_eq!(length.vr, Vr::UL);
}

#[test]
fn a_private_sequence_shows_itself_where_no_vr_does() {
    let private = Tag(0x0009, 0x1001);
    for items in [vec![], vec![one(tags::MODALITY, Vr::CS, "CT")]] {
        let set = DataSet::from_iter([DataElement::sequence(private, items)]);
        let written = set.write(IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
        assert_eq!(
            DataSet::read(&written, IMPLICIT_VR_LITTLE_ENDIAN),
            Ok(set.clone())
        );
        let file = file(set.clone(), EXPLICIT_VR_LITTLE_ENDIAN);
        let file = file.write().expect("written");
        let file = vna_dicom::reencode(&file, IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
        assert_eq!(DicomFile::read(&file).expect("read").data_set, set);
    }
}
