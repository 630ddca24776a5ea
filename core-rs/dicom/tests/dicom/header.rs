//! The head of an instance in every encoding, whole and in pieces.

use crate::common::{
    self, FORMS, Form, Writer, bytes, data_set, file, file_as, identity, image, sequence, us,
};
use proptest::prelude::*;
use vna_dicom::{
    Budget, DicomError, HeaderReader, Instance, MAX_INDEXED_VALUE_BYTES, Progress, Tag, Vr,
    main_tags, read_file_meta, read_instance, tags,
};

/// Reads in pieces whose ends are `cuts`, then to the end.
fn in_pieces(
    mut reader: HeaderReader,
    data: &[u8],
    cuts: &[usize],
) -> Result<Instance, DicomError> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (data.len() + 1)).collect();
    ends.sort_unstable();
    for end in ends {
        match reader.advance(&data[..end], false)? {
            Progress::Done(instance) => return Ok(instance),
            Progress::NeedMore { at_least } => {
                assert!(at_least > end, "{at_least} bytes were there")
            }
        }
    }
    match reader.advance(data, true)? {
        Progress::Done(instance) => Ok(instance),
        Progress::NeedMore { .. } => panic!("nothing follows"),
    }
}

#[test]
fn identity_and_tags_are_read_in_every_encoding() {
    for form in FORMS {
        let file = file(&image(form, 3), form);
        let instance = read_instance(&file).expect("a whole phantom");
        let identity = &instance.identity;
        assert_eq!(identity.patient_id, "P1", "{form:?}");
        assert_eq!(identity.study_instance_uid, "1.2.3");
        assert_eq!(identity.series_instance_uid, "1.2.3.1");
        assert_eq!(identity.sop_instance_uid, "1.2.3.4");
        assert_eq!(identity.sop_class_uid, "1.2.840.10008.5.1.4.1.1.7");
        assert_eq!(identity.issuer_of_patient_id, "HOSP");
        assert_eq!(identity.accession_number, "A1");
        assert_eq!(identity.issuer_of_accession_number, "RIS");
        assert_eq!(instance.transfer_syntax_uid, form.uid());
        assert_eq!(instance.number_of_frames, 3);
        assert_eq!(instance.tag(tags::PATIENT_NAME), Some("Buc^Jérôme"));
        assert_eq!(instance.tag(tags::INSTANCE_NUMBER), Some("7"));
        assert_eq!(instance.tag(tags::NUMBER_OF_FRAMES), Some("3"));
        assert!(
            instance.tags.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "sorted, each once"
        );
        let indexed = |tag: &Tag| {
            vna_dicom::Level::ALL
                .iter()
                .any(|level| main_tags(*level).contains(tag))
        };
        assert!(
            instance.tags.iter().all(|(tag, _)| indexed(tag)),
            "{:?}",
            instance.tags
        );
        match instance.pixel_data {
            None => assert_eq!(form, Form::Deflated),
            Some(pixel_data) => {
                let start = usize::try_from(pixel_data.value_offset).expect("small");
                assert_eq!(pixel_data.length, Some(18));
                assert_eq!(&file[start..start + 18], &[7; 18]);
            }
        }
    }
}

#[test]
fn a_bare_data_set_reads_as_the_file_does() {
    for form in FORMS {
        let data = data_set(&image(form, 1), form);
        let instance =
            in_pieces(HeaderReader::for_data_set(form.uid()), &data, &[]).expect("whole");
        let of_file = read_instance(&file_as(form.uid(), &data)).expect("whole");
        assert_eq!(
            (instance.data_set_offset, instance.identity),
            (0, of_file.identity)
        );
        assert_eq!(instance.tags, of_file.tags);
        if form != Form::Deflated {
            // Without meta information the first element tells how the rest is encoded.
            assert_eq!(
                read_instance(&data).expect("guessed").transfer_syntax_uid,
                form.uid()
            );
        }
    }
}

#[test]
fn preamble_and_magic_may_be_missing() {
    let whole = file(&image(Form::Explicit, 1), Form::Explicit);
    let expected = read_instance(&whole).expect("whole");
    for start in [128, 132] {
        let instance = read_instance(&whole[start..]).expect("no preamble");
        assert_eq!(instance.identity, expected.identity);
        assert_eq!(
            instance.data_set_offset + start as u64,
            expected.data_set_offset
        );
    }
}

#[test]
fn magic_by_chance_inside_a_value_is_no_magic() {
    let mut elements = identity();
    elements.insert(1, bytes(Tag(0x0008, 0x0014), Vr::UI, vec![b'1'; 104]));
    elements[1].value = common::Value::Bytes([vec![b'1'; 102], b"DICM".to_vec()].concat());
    let mut data = data_set(&elements, Form::Explicit);
    let at = data
        .windows(4)
        .position(|four| four == b"DICM")
        .expect("it is there");
    assert_eq!(at, 128, "placed where the magic word is looked for");
    data.truncate(data.len());
    assert_eq!(
        read_instance(&data)
            .expect("a bare data set")
            .identity
            .patient_id,
        "P1"
    );
}

#[test]
fn meta_information_is_read_back_as_written() {
    let file = file(&identity(), Form::Explicit);
    let meta = read_file_meta(&file).expect("valid").expect("present");
    assert_eq!(
        meta.media_storage_sop_class_uid,
        "1.2.840.10008.5.1.4.1.1.7"
    );
    assert_eq!(meta.media_storage_sop_instance_uid, "1.2.3.4");
    assert_eq!(meta.transfer_syntax_uid, Form::Explicit.uid());
    assert_eq!(meta.source_application_entity_title, "PHANTOM");
    assert_eq!(
        meta.implementation_class_uid,
        vna_dicom::IMPLEMENTATION_CLASS_UID
    );
    assert_eq!(meta.implementation_version_name, "VNA_0.1");
    // (0002,0000) counts from behind itself to the data set (PS3.10 §7.1).
    let group_length = u32::from_le_bytes(file[140..144].try_into().expect("four"));
    assert_eq!(u64::from(group_length) + 144, meta.data_set_offset);
    assert_eq!(meta.data_set_offset % 2, 0);
    assert_eq!(
        read_file_meta(&data_set(&identity(), Form::Implicit)),
        Ok(None)
    );
}

#[test]
fn absent_and_bad_identifiers_have_named_errors() {
    for tag in [
        tags::STUDY_INSTANCE_UID,
        tags::SERIES_INSTANCE_UID,
        tags::SOP_INSTANCE_UID,
    ] {
        let mut without = identity();
        without.retain(|element| element.tag != tag);
        assert_eq!(
            read_instance(&file(&without, Form::Implicit)),
            Err(DicomError::MissingUid { tag })
        );
        for (value, code) in [
            ("\0\0", "identity.missing_uid"),
            ("1.2|3.4", "identity.bad_uid"),
            ("1.2\\3.4", "identity.bad_uid"),
            ("1.2/../3", "identity.bad_uid"),
            (&"1".repeat(130), "identity.bad_uid"),
        ] {
            let mut bad = identity();
            for element in bad.iter_mut().filter(|element| element.tag == tag) {
                element.value = common::Value::Bytes(value.as_bytes().to_vec());
            }
            let error = read_instance(&file(&bad, Form::Explicit)).expect_err(value);
            assert_eq!(error.code(), code, "{value}");
        }
    }
    let mut without = identity();
    without.retain(|element| element.tag != tags::PATIENT_ID);
    assert_eq!(
        read_instance(&file(&without, Form::Explicit))
            .expect("allowed")
            .identity
            .patient_id,
        ""
    );
}

#[test]
fn a_long_indexed_value_is_left_out_but_a_long_identifier_is_refused() {
    let long = vec![b'x'; MAX_INDEXED_VALUE_BYTES + 2];
    let mut elements = identity();
    elements.push(bytes(tags::IMAGE_COMMENTS, Vr::LT, &long));
    let instance =
        read_instance(&file(&elements, Form::Implicit)).expect("comments are no identifier");
    assert_eq!(instance.tag(tags::IMAGE_COMMENTS), None);
    let mut elements = identity();
    elements.retain(|element| element.tag != tags::PATIENT_ID);
    elements.push(bytes(tags::PATIENT_ID, Vr::LO, &long));
    let error = read_instance(&file(&elements, Form::Implicit)).expect_err("too long");
    assert!(
        matches!(
            error,
            DicomError::Budget {
                budget: Budget::Identifier,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn of_an_element_that_stands_twice_the_first_counts() {
    let twice = bytes(tags::PATIENT_ID, Vr::LO, "P2");
    let early = bytes(Tag(0x0008, 0x0014), Vr::UI, "1.2\0");
    for behind in [
        vec![twice.clone()],
        vec![early, twice.clone()],
        vec![twice.clone(), twice],
    ] {
        let mut elements = identity();
        elements.extend(behind);
        let instance = read_instance(&file(&elements, Form::Explicit)).expect("read");
        assert_eq!(instance.identity.patient_id, "P1");
        assert!(
            instance.tags.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "each once"
        );
    }
}

#[test]
fn identifiers_behind_the_pixel_data_are_found() {
    for form in [Form::Implicit, Form::Explicit, Form::Big] {
        let mut elements = image(form, 1);
        let at = elements
            .iter()
            .position(|e| e.tag == tags::SERIES_INSTANCE_UID)
            .expect("there");
        let series = elements.remove(at);
        elements.push(series);
        let instance = read_instance(&file(&elements, form)).expect("unsorted, but whole");
        assert_eq!(instance.identity.series_instance_uid, "1.2.3.1");
        assert_eq!(instance.pixel_data.expect("there").length, Some(6));
    }
}

#[test]
fn pixel_data_that_is_cut_off_is_an_error_once_the_input_is_complete() {
    let whole = file(&image(Form::Explicit, 4), Form::Explicit);
    let pixel_data = read_instance(&whole)
        .expect("whole")
        .pixel_data
        .expect("there");
    let end = usize::try_from(pixel_data.value_offset).expect("small") + 23;
    let error = read_instance(&whole[..end]).expect_err("one byte short");
    assert_eq!(
        (error.code(), error.offset()),
        ("header.truncated", Some(pixel_data.value_offset))
    );
    // A stream is done before its pixel data arrives.
    let head = &whole[..usize::try_from(pixel_data.value_offset).expect("small")];
    let Ok(Progress::Done(instance)) = HeaderReader::for_file().advance(head, false) else {
        panic!("the head is whole");
    };
    assert!(instance.check_length(whole.len() as u64).is_ok());
    assert_eq!(instance.check_length(end as u64), Err(error));
}

#[test]
fn binary_numbers_among_the_indexed_tags_are_decimal_in_both_byte_orders() {
    for form in [Form::Implicit, Form::Explicit, Form::Big] {
        let mut elements = identity();
        elements.push(us(form, Tag(0x0054, 0x0081), 300)); // Number of Slices
        let instance = read_instance(&file(&elements, form)).expect("read");
        assert_eq!(instance.tag(Tag(0x0054, 0x0081)), Some("300"));
    }
}

#[test]
fn nested_identifiers_are_not_taken_for_those_of_the_instance() {
    let referenced = vec![
        bytes(tags::SOP_INSTANCE_UID, Vr::UI, "9.9\0"),
        bytes(tags::PATIENT_ID, Vr::LO, "ZZ"),
    ];
    for (form, defined) in [
        (Form::Implicit, true),
        (Form::Implicit, false),
        (Form::Explicit, false),
        (Form::Big, false),
    ] {
        let mut elements = identity();
        elements.insert(
            2,
            sequence(Tag(0x0008, 0x1140), vec![referenced.clone()], defined),
        );
        let instance = read_instance(&file(&elements, form)).expect("read");
        assert_eq!(instance.identity.sop_instance_uid, "1.2.3.4");
        assert_eq!(instance.identity.patient_id, "P1");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_give_what_the_whole_gives(
        form in prop::sample::select(FORMS.to_vec()),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        bare in any::<bool>(),
    ) {
        let data = data_set(&image(form, 2), form);
        let (reader, input) = if bare {
            (HeaderReader::for_data_set(form.uid()), data)
        } else {
            (HeaderReader::for_file(), file_as(form.uid(), &data))
        };
        let whole = in_pieces(reader, &input, &[]);
        prop_assert!(whole.is_ok());
        let reader = if bare { HeaderReader::for_data_set(form.uid()) } else { HeaderReader::for_file() };
        prop_assert_eq!(in_pieces(reader, &input, &cuts), whole);
    }

    #[test]
    fn byte_by_byte_gives_what_the_whole_gives(form in prop::sample::select(FORMS.to_vec())) {
        let input = file(&image(form, 2), form);
        let cuts: Vec<usize> = (0..input.len()).collect();
        prop_assert_eq!(in_pieces(HeaderReader::for_file(), &input, &cuts), read_instance(&input));
    }
}

#[test]
fn explicit_vr_inside_un_of_undefined_length_is_seen_in_pieces_too() {
    for inner_form in [Form::Implicit, Form::Explicit] {
        let mut writer = Writer::new(Form::Explicit);
        writer.header(Tag(0x0008, 0x2112), Vr::UN, u32::MAX);
        let mut inner = Writer::new(inner_form);
        inner.tag(tags::ITEM);
        inner.out.extend_from_slice(&u32::MAX.to_le_bytes());
        inner.element(&bytes(Tag(0x0008, 0x1150), Vr::UI, "1.2\0"));
        for tag in [
            tags::ITEM_DELIMITATION_ITEM,
            tags::SEQUENCE_DELIMITATION_ITEM,
        ] {
            inner.tag(tag);
            inner.out.extend_from_slice(&[0; 4]);
        }
        writer.out.append(&mut inner.out);
        let mut all = Writer::new(Form::Explicit);
        all.items(&identity()[..7]);
        all.out.append(&mut writer.out);
        all.items(&identity()[7..]);
        let input = file_as(Form::Explicit.uid(), &all.out);
        let whole = read_instance(&input).expect("whole");
        let cuts: Vec<usize> = (0..input.len()).collect();
        assert_eq!(
            in_pieces(HeaderReader::for_file(), &input, &cuts),
            Ok(whole)
        );
    }
}
