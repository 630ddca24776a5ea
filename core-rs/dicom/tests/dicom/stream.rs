//! The head of an instance from parts that are not kept.

use crate::common::{self, FORMS, Form, bytes, data_set, file, file_as, identity, image, sequence};
use proptest::prelude::*;
use vna_dicom::{
    DicomError, Element, ElementStream, HeaderStream, Instance, MAX_INDEXED_BYTES,
    MAX_INDEXED_VALUE_BYTES, Tag, Vr, read_instance, scan_damaged, tags,
};

/// The header of an element, which may be held beside its value.
const HEADER_BYTES: usize = 12;

fn stream_of(mut stream: HeaderStream, parts: &[&[u8]]) -> Result<Instance, DicomError> {
    for part in parts {
        stream.push(part)?;
        assert!(
            stream.held_bytes() <= MAX_INDEXED_VALUE_BYTES + HEADER_BYTES,
            "{} bytes are held",
            stream.held_bytes()
        );
    }
    stream.finish()
}

fn parts<'a>(data: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (data.len() + 1)).collect();
    ends.push(data.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut parts = Vec::new();
    for end in ends {
        parts.push(&data[start..end]);
        start = end;
    }
    parts
}

/// An image with what makes a head long: a document, many items, and a value as long as the index takes.
fn long_head(form: Form, pixels: bool) -> Vec<common::Item> {
    let items = vec![vec![bytes(Tag(0x0008, 0x1150), Vr::UI, "1.2\0")]; 40];
    let mut elements = image(form, 2);
    if !pixels {
        elements.retain(|element| element.tag < tags::PIXEL_DATA);
    }
    let comments = vec![b'c'; MAX_INDEXED_VALUE_BYTES];
    elements.insert(
        6,
        sequence(Tag(0x0008, 0x1140), items.clone(), form == Form::Big),
    );
    let at = elements
        .iter()
        .position(|element| element.tag > tags::IMAGE_COMMENTS)
        .expect("the image");
    elements.insert(at, bytes(tags::IMAGE_COMMENTS, Vr::LT, comments));
    let document = bytes(Tag(0x0042, 0x0011), Vr::OB, vec![0x25; 100_000]);
    let at = elements
        .iter()
        .position(|element| element.tag > document.tag)
        .unwrap_or(elements.len());
    elements.insert(at, document);
    elements.insert(at, sequence(Tag(0x0040, 0xA730), items, false));
    elements
}

/// All elements of a file that is read in parts of `size` bytes, and what ended them.
fn elements_of(file: &[u8], size: usize) -> (Vec<Element>, Option<DicomError>) {
    let mut stream = ElementStream::for_file();
    let (mut elements, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let result = stream.push(&file[at..file.len().min(at + size)]);
        elements.append(&mut stream.take());
        if let Err(error) = result {
            return (elements, Some(error));
        }
        at = usize::try_from(stream.skip(file.len() as u64)).expect("within the file");
    }
    let error = stream.finish().err();
    elements.append(&mut stream.take());
    (elements, error)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn elements_in_parts_are_at_least_those_of_the_whole_however_damaged(
        form in prop::sample::select(FORMS.to_vec()),
        size in 1_usize..3000,
        end in any::<usize>(),
        damage in prop::option::of((any::<usize>(), any::<u8>())),
        is_cut in any::<bool>(),
    ) {
        let mut input = file(&long_head(form, true), form);
        if let Some((at, value)) = damage {
            let at = at % input.len();
            input[at] = value;
        }
        if is_cut {
            input.truncate(end % (input.len() + 1));
        }
        let found = elements_of(&input, size);
        match scan_damaged(&input) {
            Ok((scan, None)) => prop_assert_eq!(found, (scan.elements, None)),
            // In parts nobody knows yet that a sequence goes on behind the end: its items are read.
            Ok((scan, Some(_))) => {
                prop_assert!(found.0.starts_with(&scan.elements));
                prop_assert!(found.1.is_some());
            }
            Err(error) => prop_assert_eq!(found, (Vec::new(), Some(error))),
        }
    }

    #[test]
    fn parts_give_what_the_whole_gives(
        form in prop::sample::select(FORMS.to_vec()),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
        bare in any::<bool>(),
        pixels in any::<bool>(),
    ) {
        let data = data_set(&long_head(form, pixels), form);
        let input = if bare { data } else { file_as(form.uid(), &data) };
        let stream = || if bare { HeaderStream::for_data_set(form.uid()) } else { HeaderStream::for_file() };
        let whole = stream_of(stream(), &[&input]);
        prop_assert!(whole.is_ok(), "{:?}", whole);
        if !bare {
            prop_assert_eq!(&whole, &read_instance(&input));
        }
        prop_assert_eq!(stream_of(stream(), &parts(&input, &cuts)), whole);
    }

    #[test]
    fn small_parts_of_one_size_give_what_the_whole_gives(
        form in prop::sample::select(FORMS.to_vec()),
        size in 1_usize..50,
        pixels in any::<bool>(),
    ) {
        let input = file(&long_head(form, pixels), form);
        let parts: Vec<&[u8]> = input.chunks(size).collect();
        prop_assert_eq!(stream_of(HeaderStream::for_file(), &parts), read_instance(&input));
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_refused_in_parts_as_it_is_whole(
        form in prop::sample::select(FORMS.to_vec()),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        end in any::<usize>(),
        damage in prop::option::of((any::<usize>(), any::<u8>())),
        pixels in any::<bool>(),
    ) {
        let mut elements = identity();
        elements.insert(3, sequence(Tag(0x0008, 0x1140), vec![identity()], end % 2 == 0));
        if pixels {
            elements = image(form, 3);
        }
        let mut input = file(&elements, form);
        input.truncate(end % (input.len() + 1));
        if let (Some((at, byte)), false) = (damage, input.is_empty()) {
            let at = at % input.len();
            input[at] = byte;
        }
        // Which fault is named may differ, as the parts come before it is known where the input ends.
        let streamed = stream_of(HeaderStream::for_file(), &parts(&input, &cuts));
        prop_assert_eq!(streamed.ok(), read_instance(&input).ok());
    }
}

#[test]
fn a_head_of_any_size_passes_without_being_held() {
    for form in [Form::Implicit, Form::Explicit, Form::Big] {
        let mut elements = identity();
        elements.push(bytes(
            Tag(0x0042, 0x0011),
            Vr::OB,
            vec![7; 3 * MAX_INDEXED_VALUE_BYTES],
        ));
        let items = vec![vec![bytes(Tag(0x0008, 0x1150), Vr::UI, "1.2\0")]; 60_000];
        elements.push(sequence(Tag(0x0070, 0x0001), items, form == Form::Explicit));
        let input = file(&elements, form);
        for size in [100, 4096, 1 << 20] {
            let mut stream = HeaderStream::for_file();
            for part in input.chunks(size) {
                stream.push(part).expect("whole");
                assert!(stream.held_bytes() <= 200, "{}", stream.held_bytes());
            }
            let streamed = stream.finish();
            assert_eq!(streamed, read_instance(&input));
            assert_eq!(streamed.expect("read").pixel_data, None);
        }
    }
}

#[test]
fn a_stream_that_ends_early_is_refused_wherever_it_ends() {
    let whole = file(&long_head(Form::Explicit, true), Form::Explicit);
    let pixel_data = read_instance(&whole)
        .expect("whole")
        .pixel_data
        .expect("there");
    let end = usize::try_from(pixel_data.value_offset).expect("small") + 11;
    for end in [end, end - 40, end - 50_000, end - 101_000, 200, 140] {
        let parts: Vec<&[u8]> = whole[..end].chunks(1000).collect();
        let error = stream_of(HeaderStream::for_file(), &parts).expect_err("cut off");
        assert_eq!(error.code(), "header.truncated", "{end} bytes");
    }
}

#[test]
fn long_values_are_taken_until_they_are_too_many() {
    let long = vec![b'x'; MAX_INDEXED_VALUE_BYTES];
    let texts = [
        tags::STUDY_DESCRIPTION,
        Tag(0x0008, 0x103E),
        Tag(0x0010, 0x4000),
        tags::IMAGE_COMMENTS,
    ];
    let mut elements = identity();
    elements.extend(texts.map(|tag| bytes(tag, Vr::LT, &long)));
    elements.sort_by_key(|element| element.tag);
    let input = file(&elements, Form::Implicit);
    let instance = read_instance(&input).expect("read");
    let taken: usize = instance.tags.iter().map(|(_, text)| text.len()).sum();
    assert!(taken <= MAX_INDEXED_BYTES, "{taken}");
    assert!(
        taken > 2 * MAX_INDEXED_VALUE_BYTES,
        "{taken}: a few may be long"
    );
}

#[test]
fn private_meta_information_is_stepped_over_and_a_long_uid_in_it_is_refused() {
    let data = data_set(&identity(), Form::Explicit);
    let mut input = file_as(Form::Explicit.uid(), &[]);
    input.extend_from_slice(b"\x02\x00\x02\x01OB\x00\x00");
    input.extend_from_slice(&300_000_u32.to_le_bytes());
    input.resize(input.len() + 300_000, 1);
    let before = input.clone();
    input.extend_from_slice(&data);
    let parts: Vec<&[u8]> = input.chunks(5_000).collect();
    let streamed = stream_of(HeaderStream::for_file(), &parts);
    assert_eq!(streamed, read_instance(&input));
    assert!(streamed.is_ok());

    let cut: Vec<&[u8]> = before[..before.len() - 1].chunks(5_000).collect();
    let error = stream_of(HeaderStream::for_file(), &cut).expect_err("cut off");
    assert_eq!(error.code(), "header.truncated");

    let mut long = file_as(Form::Explicit.uid(), &[]);
    long.extend_from_slice(b"\x02\x00\x03\x00UN\x00\x00");
    long.extend_from_slice(&300_000_u32.to_le_bytes());
    let error = stream_of(HeaderStream::for_file(), &[&long]).expect_err("too long");
    assert_eq!(error.code(), "budget.identifier");
}
