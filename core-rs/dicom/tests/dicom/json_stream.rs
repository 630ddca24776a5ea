//! The tags from parts of a file are those of the whole file.

use crate::common::{self, FORMS, Form, bytes, file, identity, image, sequence};
use proptest::prelude::*;
use vna_dicom::{Tag, TagsForm, TagsOptions, TagsStream, Vr, tags, tags_json};

/// Reads a file in parts of `size` bytes, and says how many were read.
fn streamed(
    file: &[u8],
    size: usize,
    options: &TagsOptions<'_>,
) -> Result<(Vec<u8>, usize), vna_dicom::DicomError> {
    let mut stream = TagsStream::new(options);
    let (mut at, mut read) = (0, 0);
    while !stream.is_done() && at < file.len() {
        let part = &file[at..file.len().min(at + size)];
        read += part.len();
        stream.push(part)?;
        at = usize::try_from(stream.skip(file.len() as u64)).expect("small");
    }
    Ok((stream.finish()?, read))
}

/// An image with nested and long values, texts and numbers around the limits.
fn phantom(form: Form, text: usize, numbers: usize) -> Vec<common::Item> {
    let mut elements = image(form, 2);
    let inner = vec![
        bytes(Tag(0x0008, 0x0104), Vr::LO, "meaning "),
        bytes(Tag(0x0040, 0xA160), Vr::UT, vec![b'x'; text * 2]),
    ];
    let private = [
        bytes(Tag(0x0009, 0x0010), Vr::LO, "ACME 1.1"),
        bytes(Tag(0x0009, 0x1001), Vr::OB, vec![1; 9000]),
        bytes(Tag(0x0009, 0x1002), Vr::FD, vec![0; numbers * 8]),
    ];
    elements.extend(private);
    elements.push(sequence(
        Tag(0x0040, 0xA730),
        vec![inner; 3],
        form == Form::Big,
    ));
    elements.push(bytes(tags::IMAGE_COMMENTS, Vr::LT, vec![b'y'; text * 2]));
    elements.sort_by_key(|element| element.tag);
    elements
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn parts_give_the_tags_of_the_whole_file(
        form in prop::sample::select(FORMS.to_vec()),
        shape in prop::sample::select(vec![TagsForm::Full, TagsForm::Short, TagsForm::Simplified]),
        (text, numbers) in (0_usize..2000, 0_usize..400),
        (size, longest_value) in (1_usize..5000, prop::sample::select(vec![0, 7, 8, 256, usize::MAX])),
        (whole, ignore) in any::<(bool, bool)>(),
        cut in prop::option::of(any::<usize>()),
    ) {
        let ignored = [tags::IMAGE_COMMENTS, Tag(0x0009, 0x1001)];
        let options = TagsOptions {
            form: shape,
            longest_value,
            ignore_length: if ignore { &ignored } else { &[] },
            whole,
            only: None,
        };
        let mut file = file(&phantom(form, text, numbers), form);
        if let Some(cut) = cut {
            file.truncate(400 + cut % file.len().saturating_sub(400).max(1));
        }
        let parts = streamed(&file, size, &options).map(|(json, _)| json);
        match tags_json(&file, &options) {
            Ok(json) => prop_assert_eq!(parts.map(String::from_utf8), Ok(String::from_utf8(json))),
            Err(error) => prop_assert_eq!(parts.expect_err("cut off").code(), error.code()),
        }
    }
}

#[test]
fn long_values_are_stepped_over_and_not_read() {
    let mut elements = identity();
    elements.push(bytes(Tag(0x0042, 0x0011), Vr::OB, vec![0x25; 5_000_000]));
    elements.push(bytes(Tag(0x0042, 0x0012), Vr::LO, "application/pdf "));
    let file = file(&elements, Form::Explicit);
    let options = TagsOptions::default();
    let (json, read) = streamed(&file, 4096, &options).expect("read");
    assert_eq!(json, tags_json(&file, &options).expect("read"));
    assert!(read < 20_000, "{read}");
}

#[test]
fn more_than_may_be_held_is_refused_by_name() {
    let mut elements = identity();
    let document = Tag(0x0042, 0x0011);
    elements.push(bytes(document, Vr::OB, vec![0x25; 100]));
    let mut file = file(&elements, Form::Explicit);
    let at = file.len() - 104;
    file[at..at + 4].copy_from_slice(&0x1000_0000_u32.to_le_bytes());
    let options = TagsOptions {
        ignore_length: &[document],
        ..TagsOptions::default()
    };
    let error = streamed(&file, 4096, &options).expect_err("256 MiB");
    assert_eq!(error.code(), "budget.tags");
}
