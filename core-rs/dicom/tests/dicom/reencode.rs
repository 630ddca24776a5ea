//! From each uncompressed transfer syntax to each other.

use crate::common::{self, FORMS, Form, Item, bytes, file, file_as, identity, image, sequence, us};
use crate::data_sets::data_set;
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use vna_dicom::{
    DataElement, DataSet, DicomError, DicomFile, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN, ReadAt, Reencoded, Tag, Value, Vr, read_file_meta, reencode, tags,
};

/// Reads all in parts of `size` bytes.
fn read_all<S: ReadAt>(reencoded: &mut Reencoded<S>, size: usize) -> Result<Vec<u8>, S::Error> {
    let mut out = Vec::new();
    let mut buffer = vec![0; size];
    loop {
        let count = reencoded.read(&mut buffer)?;
        out.extend_from_slice(&buffer[..count]);
        if count < size {
            assert_eq!(reencoded.read(&mut buffer)?, 0, "fewer only at the end");
            return Ok(out);
        }
    }
}

/// What a data set holds, whatever VRs it was read with: depths, tags, and values without padding.
fn values(data_set: &DataSet) -> Vec<(usize, Tag, Vec<u8>)> {
    fn push(data_set: &DataSet, depth: usize, found: &mut Vec<(usize, Tag, Vec<u8>)>) {
        for element in data_set.elements() {
            let (tag, mut bytes) = (element.tag, Vec::new());
            if let Value::Bytes(value) = &element.value {
                let end = value.iter().rposition(|byte| !matches!(byte, b' ' | 0));
                bytes.extend_from_slice(&value[..end.map_or(0, |last| last + 1)]);
            }
            if !tag.is_group_length() {
                found.push((depth, tag, bytes));
            }
            if let Value::Items(items) = &element.value {
                for item in items {
                    found.push((depth, tags::ITEM, Vec::new()));
                    push(item, depth + 1, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    push(data_set, 0, &mut found);
    found
}

fn file_of(data_set: DataSet, form: Form) -> Vec<u8> {
    let file = DicomFile {
        transfer_syntax_uid: form.uid().to_owned(),
        meta: DataSet::from_iter([DataElement::new(Tag(0x0002, 0x0016), Vr::AE, "PHANTOM")]),
        data_set,
    };
    file.write().expect("written")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_leaves_holds_what_came(
        mut data_set in data_set(),
        from in prop::sample::select(FORMS.to_vec()),
        to in prop::sample::select(FORMS.to_vec()),
        size in prop_oneof![1_usize..40, Just(100_000)],
    ) {
        data_set.insert(DataElement::new(tags::MODALITY, Vr::CS, "CT"));
        let file = file_of(data_set, from);
        let mut reencoded = Reencoded::new(file.as_slice(), to.uid()).expect("opened");
        let length = reencoded.length();
        let out = read_all(&mut reencoded, size).expect("read");
        if from == to {
            prop_assert_eq!(&out, &file);
        }
        if to != Form::Deflated || from == to {
            prop_assert_eq!(length, Some(out.len() as u64));
        }
        prop_assert_eq!(out.len() % 2, 0);
        prop_assert_eq!(&reencode(&file, to.uid()).expect("whole"), &out);
        let mut bare = Reencoded::data_set(file.as_slice(), to.uid()).expect("opened");
        let bare_length = bare.length();
        let bare = read_all(&mut bare, size).expect("read");
        let begin = read_file_meta(&out).expect("meta").expect("written").data_set_offset;
        prop_assert_eq!(&bare, &out[usize::try_from(begin).expect("in memory")..]);
        prop_assert_eq!(bare_length, length.map(|_| bare.len() as u64));

        let (before, after) = (DicomFile::read(&file).expect("read"), DicomFile::read(&out).expect("read"));
        prop_assert_eq!(&after.transfer_syntax_uid, to.uid());
        prop_assert_eq!(values(&after.data_set), values(&before.data_set));
        if from != Form::Implicit && to != Form::Implicit {
            prop_assert_eq!(&after.data_set, &before.data_set);
        }
        let kept = |file: &DicomFile| -> Vec<DataElement> {
            let elements = file.meta.elements().iter().cloned();
            elements.filter(|e| e.tag != tags::TRANSFER_SYNTAX_UID && e.tag.1 != 0).collect()
        };
        prop_assert_eq!(kept(&after), kept(&before));
    }

    #[test]
    fn what_is_damaged_is_refused_by_name_or_holds_what_came(
        data_set in data_set(),
        from in prop::sample::select(FORMS.to_vec()),
        to in prop::sample::select(FORMS.to_vec()),
        damage in vec((any::<usize>(), any::<u8>()), 0..4),
        cut in any::<usize>(),
    ) {
        let mut file = file_of(data_set, from);
        for (at, byte) in damage {
            let at = 132 + at % (file.len() - 132);
            file[at] = byte;
        }
        file.truncate(132 + cut % (file.len() - 131));
        let whole = DicomFile::read(&file);
        match reencode(&file, to.uid()) {
            Ok(out) if out == file => {} // it is, or by the damage became, what is asked for
            Ok(out) => {
                let whole = whole.expect("what is written anew was read whole");
                let after = DicomFile::read(&out).expect("what is written can be read");
                prop_assert_eq!(values(&after.data_set), values(&whole.data_set));
            }
            Err(error) => {
                let code = error.code();
                prop_assert!(
                    whole.is_err() || code.starts_with("value.") || code == "transcode.unsupported",
                    "{}: {}", code, error
                );
            }
        }
    }
}

/// Sequences of every form, private elements, what is retired and what is not allowed but seen.
fn odd_image(form: Form) -> Vec<Item> {
    let inner = vec![bytes(Tag(0x0008, 0x0104), Vr::LO, "meaning ")];
    let mut elements = image(form, 40);
    elements.extend([
        sequence(Tag(0x0008, 0x1140), vec![inner.clone(), vec![]], true),
        sequence(Tag(0x0008, 0x1199), vec![inner.clone(); 3], false),
        sequence(
            Tag(0x0040, 0xA730),
            vec![vec![sequence(Tag(0x0040, 0xA730), vec![inner], true)]],
            false,
        ),
        sequence(Tag(0x0040, 0xA043), vec![], true),
        sequence(Tag(0x0040, 0xA168), vec![], false),
        bytes(Tag(0x0009, 0x0010), Vr::LO, "ACME 1.1"),
        bytes(Tag(0x0009, 0x1001), Vr::UN, [1, 2, 3, 4]),
        bytes(Tag(0x0042, 0x0011), Vr::OB, vec![0x25; 300_000]),
    ]);
    elements.sort_by_key(|element| element.tag);
    elements.insert(0, bytes(Tag(0x0008, 0x0000), Vr::UL, [9, 9, 9, 9]));
    // Out of order, and one twice.
    elements.push(bytes(tags::PATIENT_ID, Vr::LO, "P2"));
    elements
}

#[test]
fn every_form_of_sequence_and_what_is_tolerated_goes_through() {
    for from in FORMS {
        let file = file(&odd_image(from), from);
        let before = DicomFile::read(&file).expect("read");
        for to in FORMS.into_iter().filter(|to| *to != from) {
            let out = reencode(&file, to.uid()).expect("written");
            let after = DicomFile::read(&out).expect("read");
            assert_eq!(
                values(&after.data_set),
                values(&before.data_set),
                "{from:?} {to:?}"
            );
            let scan = vna_dicom::scan(&out, vna_dicom::Extent::TopLevel).expect("read");
            let ids = scan.elements.iter().filter(|e| e.tag == tags::PATIENT_ID);
            assert_eq!(ids.count(), 2, "nothing is lost");
            let unchanged = matches!(
                (from, to),
                (Form::Explicit, Form::Deflated) | (Form::Deflated, Form::Explicit)
            );
            let lengths = scan.elements.iter().filter(|e| e.tag.is_group_length());
            assert_eq!(lengths.count(), usize::from(unchanged), "{from:?} {to:?}");
        }
    }
}

#[test]
fn deflating_leaves_the_data_set_byte_for_byte() {
    let explicit = file(&odd_image(Form::Explicit), Form::Explicit);
    let deflated = reencode(&explicit, Form::Deflated.uid()).expect("written");
    assert!(deflated.len() < explicit.len() / 10);
    assert_eq!(reencode(&deflated, EXPLICIT_VR_LITTLE_ENDIAN), Ok(explicit));
}

#[test]
fn un_of_undefined_length_becomes_a_sequence() {
    // Its value is that of Implicit VR, whatever is around it (PS3.5 §6.2.2).
    let mut data = common::data_set(&identity(), Form::Explicit);
    data.extend_from_slice(b"\x21\x00\x10\x10UN\0\0\xFF\xFF\xFF\xFF");
    data.extend_from_slice(b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF");
    data.extend_from_slice(b"\x28\x00\x10\x00\x02\0\0\0\x00\x02");
    data.extend_from_slice(b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0");
    let file = file_as(EXPLICIT_VR_LITTLE_ENDIAN, &data);
    let rows = DataElement::new(tags::ROWS, Vr::US, 512_u16.to_le_bytes());
    let expected = Value::Items(vec![DataSet::from_iter([rows])]);
    for to in [Form::Implicit, Form::Big] {
        let out = reencode(&file, to.uid()).expect("written");
        let read = DicomFile::read(&out).expect("read");
        let private = read.data_set.get(Tag(0x0021, 0x1010)).expect("there");
        assert_eq!(private.value, expected, "{to:?}");
    }
}

#[test]
fn the_pixels_decide_on_vrs_even_if_they_speak_later() {
    let signed = vec![
        bytes(Tag(0x0018, 0x9810), Vr::US, [0xFE, 0xFF]),
        us(Form::Implicit, tags::BITS_ALLOCATED, 8),
        us(Form::Implicit, tags::PIXEL_REPRESENTATION, 1),
        bytes(Tag(0x0028, 0x3006), Vr::OW, [1, 2]),
        bytes(tags::PIXEL_DATA, Vr::OW, vec![7; 10_001]),
    ];
    let file = file(&signed, Form::Implicit);
    for to in [EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN] {
        let read = DicomFile::read(&reencode(&file, to).expect("written")).expect("read");
        let vrs: Vec<_> = read
            .data_set
            .elements()
            .iter()
            .map(|e| e.vr.to_string())
            .collect();
        assert_eq!(vrs, ["SS", "US", "US", "OW", "OB"]);
        let pixels = read.data_set.get(tags::PIXEL_DATA).expect("there");
        let mut padded = vec![7; 10_001];
        padded.push(0);
        assert_eq!(pixels.value, Value::Bytes(padded), "odd lengths are padded");
    }
}

/// A source that notes what is read of it.
struct Watched<'a> {
    bytes: &'a [u8],
    read: Cell<usize>,
    longest: Cell<usize>,
    places: RefCell<Vec<u64>>,
}

impl ReadAt for &Watched<'_> {
    type Error = DicomError;

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DicomError> {
        let count = self.bytes.read_at(buffer, offset)?;
        self.read.set(self.read.get() + count);
        self.longest.set(self.longest.get().max(buffer.len()));
        self.places.borrow_mut().push(offset);
        Ok(count)
    }
}

#[test]
fn long_values_stay_where_they_are_until_they_leave() {
    let mut elements = identity();
    elements.push(bytes(Tag(0x0042, 0x0011), Vr::OB, vec![0x25; 5_000_000]));
    elements.push(bytes(Tag(0x0042, 0x0012), Vr::LO, "application/pdf "));
    let file = file(&elements, Form::Explicit);
    let watched = Watched {
        bytes: &file,
        read: Cell::new(0),
        longest: Cell::new(0),
        places: RefCell::default(),
    };
    let mut reencoded = Reencoded::new(&watched, IMPLICIT_VR_LITTLE_ENDIAN).expect("opened");
    assert!(watched.read.get() < 200_000, "{}", watched.read.get());
    let out = read_all(&mut reencoded, 10_000).expect("read");
    assert!(watched.longest.get() <= 64 << 10);
    assert!(watched.read.get() < file.len() + 400_000);
    assert_eq!(reencode(&file, IMPLICIT_VR_LITTLE_ENDIAN), Ok(out));
    assert!(!watched.places.borrow().is_empty());
}

#[test]
fn what_takes_a_codec_is_refused_by_name() {
    let jpeg = "1.2.840.10008.1.2.4.70";
    let native = file(&image(Form::Explicit, 1), Form::Explicit);
    assert_eq!(
        reencode(&native, jpeg).expect_err("codec").code(),
        "transcode.unsupported"
    );
    let compressed = file_as(jpeg, &common::data_set(&identity(), Form::Explicit));
    let error = reencode(&compressed, IMPLICIT_VR_LITTLE_ENDIAN).expect_err("codec");
    assert_eq!(error.code(), "transcode.unsupported");
    assert!(error.to_string().contains(jpeg), "{error}");
    assert_eq!(reencode(&compressed, &format!("{jpeg}\0")), Ok(compressed));

    // It says that it is native, and is not.
    let mut elements = identity();
    elements.push(Item {
        tag: tags::PIXEL_DATA,
        vr: Vr::OB,
        value: common::Value::Fragments(vec![vec![], vec![1, 2]]),
    });
    let lying = file(&elements, Form::Explicit);
    let error = reencode(&lying, IMPLICIT_VR_LITTLE_ENDIAN).expect_err("encapsulated");
    assert_eq!(error.code(), "value.encapsulated");
}

#[test]
fn a_data_set_cannot_pass_for_file_meta_information() {
    // With the group length gone, the UID would stand where group 0002 is read.
    let elements = [
        bytes(Tag(0x0008, 0x0000), Vr::UL, [0, 0, 0, 0]),
        bytes(tags::TRANSFER_SYNTAX_UID, Vr::UI, "1.2\0"),
    ];
    let file = file(&elements, Form::Explicit);
    let error = reencode(&file, IMPLICIT_VR_LITTLE_ENDIAN).expect_err("group 0002");
    assert_eq!(error.code(), "value.group");
}

#[test]
fn a_file_without_meta_information_gets_one() {
    let bare = common::data_set(&image(Form::Explicit, 1), Form::Explicit);
    let out = reencode(&bare, IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
    let meta = read_file_meta(&out).expect("read").expect("there");
    assert_eq!(meta.media_storage_sop_instance_uid, "1.2.3.4");
    assert_eq!(meta.transfer_syntax_uid, IMPLICIT_VR_LITTLE_ENDIAN);
    assert!(!meta.implementation_class_uid.is_empty());
    let read = DicomFile::read(&out).expect("read").data_set;
    assert_eq!(
        values(&read),
        values(&DicomFile::read(&bare).expect("read").data_set)
    );
}

#[test]
fn the_preamble_stays_what_it_is() {
    let mut tiff = file(&identity(), Form::Explicit);
    tiff[..4].copy_from_slice(b"II\x2A\0");
    let out = reencode(&tiff, IMPLICIT_VR_LITTLE_ENDIAN).expect("written");
    assert_eq!(out[..132], tiff[..132]);
}

#[test]
fn what_inflates_to_very_much_is_refused_before_anything_leaves() {
    let mut plain = common::data_set(&identity(), Form::Explicit);
    let zeros = 64_u32 << 20;
    plain.extend_from_slice(b"\x42\x00\x11\x00OB\0\0");
    plain.extend_from_slice(&zeros.to_le_bytes());
    plain.resize(plain.len() + zeros as usize, 0);
    let bomb = file_as(Form::Deflated.uid(), &common::deflate(&plain));
    let error = Reencoded::new(bomb.as_slice(), EXPLICIT_VR_LITTLE_ENDIAN).expect_err("bomb");
    assert_eq!(error.code(), "budget.inflate_ratio");
}
