//! Single elements of a file against the whole of it.

use crate::common::{FORMS, Form, bytes, file, image, sequence};
use proptest::prelude::*;
use vna_dicom::{
    Extent, SelectStream, Selected, Tag, TagsForm, TagsOptions, Vr, scan, tags, tags_json,
};

/// Reads elements of a file in parts of `step` bytes; also how many bytes were read.
fn select(file: &[u8], wanted: &[Tag], step: usize) -> (Selected, usize) {
    let mut stream = SelectStream::new(wanted);
    let (mut at, mut read) = (0, 0);
    while !stream.is_done() && at < file.len() {
        let part = &file[at..file.len().min(at + step)];
        read += part.len();
        stream.push(part).expect("reads");
        at = usize::try_from(stream.skip(file.len() as u64)).expect("within the file");
    }
    (stream.finish().expect("is whole"), read)
}

/// A file with what is needed beside pixel data of some length.
fn phantom(form: Form) -> Vec<u8> {
    let mut elements = image(form, 2);
    elements.extend([
        bytes(Tag(0x0009, 0x0010), Vr::LO, "ACME 1.1"),
        bytes(Tag(0x0009, 0x1001), Vr::OB, vec![1; 9000]),
        bytes(Tag(0x0009, 0x1002), Vr::LO, "private "),
        sequence(
            Tag(0x0040, 0x0275),
            vec![
                vec![bytes(Tag(0x0008, 0x0104), Vr::LO, "one ")],
                vec![bytes(Tag(0x0008, 0x0104), Vr::LO, "two ")],
            ],
            form == Form::Big,
        ),
    ]);
    elements.sort_by_key(|element| element.tag);
    elements.dedup_by_key(|element| element.tag);
    file(&elements, form)
}

#[test]
fn selected_elements_are_those_of_the_whole_file() {
    for form in FORMS {
        let file = phantom(form);
        let all: Vec<Tag> = scan(&file, Extent::All)
            .expect("scans")
            .elements
            .iter()
            .filter(|element| element.depth == 0 && element.tag < Tag(0x7FE0, 0x0010))
            .map(|element| element.tag)
            .collect();
        assert!(all.len() > 12);
        for shape in [TagsForm::Full, TagsForm::Short] {
            let options = TagsOptions {
                form: shape,
                longest_value: usize::MAX,
                ..TagsOptions::default()
            };
            let whole = tags_json(&file, &options).expect("writes");
            let whole: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
            let (selected, _) = select(&file, &all, 333);
            for tag in &all {
                let json = selected
                    .json(*tag, shape)
                    .unwrap_or_else(|| panic!("no {tag} {form:?}"));
                let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
                let name = format!("{:04x},{:04x}", tag.0, tag.1);
                assert_eq!(json, whole[&name], "{form:?} {shape:?} {tag}");
            }
        }
    }
}

#[test]
fn texts_are_decoded_and_absent_elements_are_none() {
    let file = phantom(Form::Explicit);
    let wanted = [
        tags::PATIENT_NAME,
        Tag(0x0009, 0x1001),
        Tag(0x0009, 0x1002),
        Tag(0x0010, 0x1010),
    ];
    for step in [1, 50, 100_000] {
        let (selected, _) = select(&file, &wanted, step);
        let text = |tag| selected.text(tag);
        assert_eq!(text(wanted[0]), Some((Vr::PN, "Buc^Jérôme".into())));
        assert_eq!(text(wanted[1]), None, "bytes are no text");
        assert_eq!(text(wanted[2]), Some((Vr::LO, "private".into())));
        assert_eq!(
            (text(wanted[3]), selected.json(wanted[3], TagsForm::Full)),
            (None, None)
        );
    }
    // In implicit VR nobody knows what a private element is, so printable text counts as such.
    let (selected, _) = select(&phantom(Form::Implicit), &wanted, 100);
    assert_eq!(selected.text(wanted[2]), Some((Vr::UN, "private".into())));
    assert_eq!(selected.text(wanted[1]), None);
}

#[test]
fn a_file_is_read_no_further_than_the_last_element_and_long_values_are_stepped_over() {
    let file = phantom(Form::Explicit);
    let (selected, read) = select(&file, &[Tag(0x0009, 0x1002)], 100);
    assert!(selected.text(Tag(0x0009, 0x1002)).is_some());
    assert!(read < 2000, "{read}");
    let (_, read) = select(&file, &[Tag(0x0008, 0x0005)], 100);
    assert!(read < 600, "{read}");
}

proptest! {
    #[test]
    fn any_bytes_end_in_elements_or_an_error(
        mut noise in prop::collection::vec(any::<u8>(), 0..600),
        at in any::<usize>(),
        step in 1usize..700,
    ) {
        let mut file = phantom(Form::Explicit);
        let at = at % file.len();
        file.splice(at..at, noise.drain(..));
        let wanted = [tags::PATIENT_NAME, Tag(0x0040, 0x0275), Tag(0x0040, 0xA730)];
        let mut stream = SelectStream::new(&wanted);
        let mut offset = 0;
        while !stream.is_done() && offset < file.len() {
            if stream.push(&file[offset..file.len().min(offset + step)]).is_err() {
                return Ok(());
            }
            offset = usize::try_from(stream.skip(file.len() as u64)).expect("within the file");
        }
        if let Ok(selected) = stream.finish() {
            for tag in wanted {
                if let Some(json) = selected.json(tag, TagsForm::Simplified) {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
                }
            }
        }
    }
}
