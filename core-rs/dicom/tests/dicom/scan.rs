//! The full scan: what was written is found, and what breaks the rules has a named error.

use crate::common::{
    self, FORMS, Form, Item, Value, Writer, bytes, data_set, deflate, file, file_as, identity,
    sequence,
};
use proptest::prelude::*;
use vna_dicom::{
    DicomError, Element, Encoding, Extent, MAX_DEPTH, Scan, Tag, TagsOptions, Vr, frame_table,
    read_instance, scan, tags, tags_json,
};

/// What a scan reports of `elements`: depth, tag, and the bytes of values.
fn expected(elements: &[Item], depth: u16, out: &mut Vec<(u16, Tag, Option<Vec<u8>>)>) {
    for element in elements {
        match &element.value {
            Value::Bytes(value) => out.push((depth, element.tag, Some(value.clone()))),
            Value::Sequence(items, _) => {
                out.push((depth, element.tag, None));
                for item in items {
                    out.push((depth + 1, tags::ITEM, None));
                    expected(item, depth + 1, out);
                }
            }
            Value::Fragments(fragments) => {
                out.push((depth, element.tag, None));
                out.extend(
                    fragments
                        .iter()
                        .map(|bytes| (depth + 1, tags::ITEM, Some(bytes.clone()))),
                );
            }
        }
    }
}

fn found(scan: &Scan<'_>) -> Vec<(u16, Tag, Option<Vec<u8>>)> {
    let opaque = |element: &Element| {
        element.length().is_some() && element.vr != Vr::SQ && element.vr != Vr([0, 0])
    };
    let one = |element: &Element| {
        (
            element.depth,
            element.tag,
            opaque(element).then(|| scan.value(element).to_vec()),
        )
    };
    scan.elements.iter().map(one).collect()
}

/// Elements of the dictionary, so that implicit VR knows them too.
fn element() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![
        (
            Just((Tag(0x0010, 0x0010), Vr::PN)),
            prop::collection::vec(any::<u8>(), 0..40)
        ),
        (
            Just((Tag(0x0018, 0x9073), Vr::FD)),
            prop::collection::vec(any::<u8>(), 8..=8)
        ),
        (
            Just((Tag(0x0028, 0x0010), Vr::US)),
            prop::collection::vec(any::<u8>(), 0..5)
        ),
        (
            Just((Tag(0x0008, 0x0119), Vr::UC)),
            prop::collection::vec(any::<u8>(), 0..70_000)
        ),
        (
            Just((Tag(0x0042, 0x0011), Vr::OB)),
            prop::collection::vec(any::<u8>(), 0..300)
        ),
    ]
    .prop_map(|((tag, vr), value)| bytes(tag, vr, value));
    leaf.prop_recursive(5, 40, 4, |inner| {
        let items = prop::collection::vec(prop::collection::vec(inner, 0..4), 0..4);
        (items, any::<bool>())
            .prop_map(|(items, defined)| sequence(Tag(0x0008, 0x1115), items, defined))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_written_is_found(
        elements in prop::collection::vec(element(), 1..5),
        form in prop::sample::select(FORMS.to_vec()),
        fragments in prop::option::of(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)),
    ) {
        let mut all = identity();
        all.extend(elements);
        if let Some(fragments) = fragments {
            all.push(Item { tag: tags::PIXEL_DATA, vr: Vr::OB, value: Value::Fragments(fragments) });
        }
        let file = file(&all, form);
        let scanned = scan(&file, Extent::All).expect("a whole phantom");
        let mut wanted = Vec::new();
        expected(&all, 0, &mut wanted);
        prop_assert_eq!(found(&scanned), wanted);
        let top: Vec<Element> = scanned.elements.iter().copied().filter(|element| element.depth == 0).collect();
        prop_assert_eq!(scan(&file, Extent::TopLevel).expect("whole").elements, top);
        serde_json::from_slice::<serde_json::Value>(&tags_json(&file, &TagsOptions::default()).expect("whole"))
            .expect("valid JSON");
    }

    /// Mutations may be accepted or refused, but nothing panics, hangs or reads what is not there.
    #[test]
    fn mutated_files_never_panic(
        form in prop::sample::select(FORMS.to_vec()),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        copy in prop::option::of((any::<prop::sample::Index>(), 0usize..64)),
    ) {
        let mut elements = common::image(form, 2);
        elements.insert(9, sequence(Tag(0x0008, 0x1140), vec![identity(), vec![]], false));
        let mut file = file(&elements, form);
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        if let Some((at, length)) = copy {
            let at = at.index(file.len());
            let end = (at + length).min(file.len());
            file.extend_from_within(at..end);
        }
        file.truncate(cut.index(file.len() * 2).max(1).min(file.len()));
        for extent in [Extent::TopLevel, Extent::All, Extent::ToPixelData] {
            if let Ok(scanned) = scan(&file, extent) {
                for element in &scanned.elements {
                    let end = element.length().map_or(element.value_offset, |length| element.value_offset + length);
                    let stop = extent == Extent::ToPixelData && element.tag.0 == 0x7FE0;
                    prop_assert!(end <= scanned.data.len() as u64 || stop);
                }
            }
        }
        if let Err(error) = read_instance(&file) {
            prop_assert!(!error.to_string().is_empty() && error.code().contains('.'));
        }
        let _ = frame_table(&file);
        if let Ok(json) = tags_json(&file, &TagsOptions { whole: true, ..TagsOptions::default() }) {
            serde_json::from_slice::<serde_json::Value>(&json).expect("valid JSON");
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), meta in any::<bool>()) {
        let input = if meta { file_as(Form::Explicit.uid(), &bytes) } else { bytes };
        let _ = (read_instance(&input), scan(&input, Extent::All), frame_table(&input));
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused_or_ends_between_elements() {
    for form in [Form::Implicit, Form::Explicit, Form::Big] {
        let mut elements = identity();
        elements.push(sequence(Tag(0x0040, 0x0275), vec![identity()], false));
        let whole = file(&elements, form);
        let complete = scan(&whole, Extent::All).expect("whole");
        let ends: Vec<u64> = complete
            .elements
            .iter()
            .filter(|element| element.depth == 0)
            .filter_map(|element| Some(element.value_offset + element.length()?))
            .chain([whole.len() as u64])
            .collect();
        for cut in usize::try_from(complete.data_set_offset).expect("small") + 8..whole.len() {
            let accepted = scan(&whole[..cut], Extent::All).is_ok();
            // Fewer than 8 bytes behind an element are padding.
            let allowed = ends
                .iter()
                .any(|end| (*end..*end + 8).contains(&(cut as u64)));
            assert_eq!(accepted, allowed, "{form:?} cut at {cut}");
        }
    }
}

fn nested(depth: usize, defined: bool) -> Vec<u8> {
    let mut elements = identity();
    let mut inner = vec![bytes(tags::PATIENT_ID, Vr::LO, "P9")];
    for _ in 0..depth {
        inner = vec![sequence(Tag(0x0008, 0x1115), vec![inner], defined)];
    }
    elements.append(&mut inner);
    file(&elements, Form::Implicit)
}

#[test]
fn nesting_has_a_limit() {
    for defined in [true, false] {
        assert!(scan(&nested(MAX_DEPTH - 1, defined), Extent::All).is_ok());
        let error = scan(&nested(MAX_DEPTH + 1, defined), Extent::All).expect_err("too deep");
        assert_eq!(error.code(), "budget.depth");
    }
}

#[test]
fn ten_thousand_levels_are_refused_without_recursion() {
    let mut writer = Writer::new(Form::Implicit);
    for _ in 0..10_000 {
        writer.header(Tag(0x0008, 0x1115), Vr::SQ, u32::MAX);
        writer.tag(tags::ITEM);
        writer.out.extend_from_slice(&u32::MAX.to_le_bytes());
    }
    let file = file_as(Form::Implicit.uid(), &writer.out);
    for error in [
        scan(&file, Extent::All).map(drop),
        read_instance(&file).map(drop),
    ] {
        assert_eq!(error.expect_err("too deep").code(), "budget.depth");
    }
}

#[test]
fn a_length_of_four_gigabytes_costs_nothing_and_is_refused() {
    let mut writer = Writer::new(Form::Explicit);
    writer.items(&identity());
    let offset = writer.out.len();
    writer.header(Tag(0x0042, 0x0011), Vr::OB, u32::MAX - 1);
    let file = file_as(Form::Explicit.uid(), &writer.out);
    let error = scan(&file, Extent::All).expect_err("it is not there");
    assert_eq!(error.code(), "header.truncated");
    assert_eq!(
        error.offset(),
        Some((file.len() - writer.out.len() + offset) as u64)
    );
}

#[test]
fn deflate_bombs_are_refused_before_they_grow() {
    let mut writer = Writer::new(Form::Deflated);
    writer.items(&identity());
    writer.header(Tag(0x0042, 0x0011), Vr::OB, 64 << 20);
    writer.out.resize(writer.out.len() + (64 << 20), 0);
    let bomb = file_as(Form::Deflated.uid(), &deflate(&writer.out));
    for result in [
        read_instance(&bomb).map(drop),
        scan(&bomb, Extent::All).map(drop),
    ] {
        let error = result.expect_err("a bomb");
        assert_eq!(error.code(), "budget.inflate_ratio");
        assert!(error.offset().expect("it has one") < 8 << 20, "{error}");
    }
    let broken = file_as(Form::Deflated.uid(), &[0xFF; 40]);
    assert_eq!(
        read_instance(&broken)
            .expect_err("no deflate stream")
            .code(),
        "deflate.invalid"
    );
}

#[test]
fn an_unknown_sequence_of_undefined_length_is_one_without_items_too() {
    let mut writer = Writer::new(Form::Implicit);
    writer.items(&identity());
    writer.header(Tag(0x0171, 0x6C5D), Vr::UN, u32::MAX);
    writer.tag(tags::SEQUENCE_DELIMITATION_ITEM);
    writer.out.extend_from_slice(&[0; 4]);
    let file = file_as(Form::Implicit.uid(), &writer.out);
    let json = tags_json(&file, &TagsOptions::default()).expect("read");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["0171,6c5d"]["Type"], "Sequence");
    assert_eq!(json["0171,6c5d"]["Value"], serde_json::json!([]));
}

#[test]
fn unknown_sequences_of_undefined_length_hold_implicit_little_endian() {
    for form in [Form::Explicit, Form::Big] {
        let mut writer = Writer::new(form);
        writer.items(&identity());
        writer.header(Tag(0x0029, 0x1010), Vr::UN, u32::MAX);
        let mut inner = Writer::new(Form::Implicit); // CP-246: whatever is around it
        inner.tag(tags::ITEM);
        inner.out.extend_from_slice(&u32::MAX.to_le_bytes());
        inner.element(&bytes(tags::PATIENT_ID, Vr::LO, "IN"));
        for tag in [
            tags::ITEM_DELIMITATION_ITEM,
            tags::SEQUENCE_DELIMITATION_ITEM,
        ] {
            inner.tag(tag);
            inner.out.extend_from_slice(&[0; 4]);
        }
        writer.out.append(&mut inner.out);
        writer.element(&bytes(Tag(0x0040, 0x0254), Vr::LO, "after "));
        let file = file_as(form.uid(), &writer.out);
        let scanned = scan(&file, Extent::All).expect("CP-246");
        let nested = scanned
            .elements
            .iter()
            .find(|element| element.depth == 1 && element.tag == tags::PATIENT_ID);
        let nested = nested.expect("the element inside");
        assert_eq!(nested.encoding, Encoding::ImplicitLittle);
        assert_eq!(scanned.value(nested), b"IN");
        let last = scanned.elements.last().expect("many");
        assert_eq!(
            (last.tag, scanned.value(last)),
            (Tag(0x0040, 0x0254), &b"after "[..])
        );
        let json = tags_json(&file, &TagsOptions::default()).expect("read");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["0029,1010"]["Type"], "Sequence");
        assert_eq!(json["0029,1010"]["Value"][0]["0010,0020"]["Value"], "IN");
    }
}

#[test]
fn items_may_not_outgrow_their_sequence() {
    let mut writer = Writer::new(Form::Implicit);
    writer.items(&identity());
    writer.header(Tag(0x0008, 0x1115), Vr::SQ, 16);
    writer.tag(tags::ITEM);
    writer.out.extend_from_slice(&100u32.to_le_bytes());
    writer.out.resize(writer.out.len() + 100, 0);
    let error =
        scan(&file_as(Form::Implicit.uid(), &writer.out), Extent::All).expect_err("too long");
    assert!(
        matches!(
            error,
            DicomError::BeyondParent {
                tag: tags::ITEM,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_declared_encoding_that_the_first_element_contradicts_is_not_used() {
    for (declared, real) in [
        (Form::Implicit, Form::Explicit),
        (Form::Explicit, Form::Implicit),
    ] {
        let file = file_as(declared.uid(), &data_set(&identity(), real));
        let instance = read_instance(&file).expect("read as it is");
        assert_eq!(
            instance.identity.patient_id, "P1",
            "{declared:?} declared, {real:?} found"
        );
    }
}

#[test]
fn trailing_zeros_and_odd_lengths_are_read() {
    for form in [Form::Implicit, Form::Explicit] {
        let mut elements = identity();
        elements.push(bytes(Tag(0x0040, 0x0254), Vr::LO, "odd"));
        let mut file = file(&elements, form);
        let count = scan(&file, Extent::All).expect("odd").elements.len();
        file.resize(file.len() + 300, 0);
        let scanned = scan(&file, Extent::All).expect("padded");
        assert_eq!(scanned.elements.len(), count);
        assert_eq!(scanned.value(&scanned.elements[count - 1]), b"odd");
    }
}
