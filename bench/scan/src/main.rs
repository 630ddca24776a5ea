//! Times `vna-dicom` and `dicom-object` on the headers of one pack file, on one thread, and prints JSON.
//!
//! The pack is what `bench_scan.py` writes: for each header its length as a 32-bit little-endian number, then its
//! bytes. Both readers give every top-level element with tag, VR and length and the indexed tags as text; what they
//! give is compared before anything is timed.

use dicom_core::header::{HasLength, Header};
use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use std::hint::black_box;
use std::time::Instant;
use vna_dicom::{Element, Level, Tag, Vr, main_tags, read_instance_with, tags};

/// What is read of one header.
#[derive(Default, PartialEq, Debug)]
struct Found {
    /// Tag and VR of every top-level element, sorted.
    elements: Vec<(Tag, String)>,
    /// The indexed tags.
    indexed: Vec<(Tag, String)>,
}

fn main() {
    let path = std::env::args()
        .nth(1)
        .expect("usage: vna-bench-scan PACK [ROUNDS]");
    let rounds: usize = std::env::args()
        .nth(2)
        .map_or(3, |text| text.parse().expect("ROUNDS is a number"));
    let pack = std::fs::read(&path).expect("the pack can be read");
    let headers = split(&pack);
    let indexed = indexed_tags();
    for header in &headers {
        assert_eq!(
            ours(header),
            theirs(header, &indexed),
            "both readers find the same"
        );
    }
    let mut elements = Vec::new();
    let mut ours_s = f64::INFINITY;
    let mut theirs_s = f64::INFINITY;
    for _ in 0..rounds {
        ours_s = ours_s.min(timed(|| {
            for header in &headers {
                elements.clear();
                let instance = read_instance_with(header, &mut |element| elements.push(*element));
                black_box((&elements, instance.expect("it was read before")));
            }
        }));
        theirs_s = theirs_s.min(timed(|| {
            for header in &headers {
                black_box(read_as_dicom_object(header, &indexed));
            }
        }));
    }
    println!(
        "{{\"headers\": {}, \"bytes\": {}, \"vna_dicom_s\": {ours_s:.6}, \"dicom_object_s\": {theirs_s:.6}}}",
        headers.len(),
        pack.len(),
    );
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn split(mut pack: &[u8]) -> Vec<&[u8]> {
    let mut headers = Vec::new();
    while let Some((length, rest)) = pack.split_first_chunk::<4>() {
        let (header, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        headers.push(header);
        pack = rest;
    }
    headers
}

fn indexed_tags() -> Vec<Tag> {
    let mut all: Vec<Tag> = Level::ALL
        .into_iter()
        .flat_map(|level| main_tags(level).to_vec())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn ours(header: &[u8]) -> Found {
    let mut found = Found::default();
    let mut take = |element: &Element| {
        let vr = if element.vr == Vr::SS {
            "US".to_owned()
        } else {
            element.vr.to_string()
        };
        found.elements.push((element.tag, vr));
    };
    let instance =
        read_instance_with(header, &mut take).expect("a header of the benchmark can be read");
    found.elements.retain(|(tag, _)| *tag != tags::PIXEL_DATA);
    found.elements.sort();
    found.indexed = instance.tags;
    found
}

/// Reads up to the pixel data, which `dicom-object` is told to leave out.
fn open(header: &[u8]) -> DefaultDicomObject {
    OpenFileOptions::new()
        .read_preamble(ReadPreamble::Always)
        .read_until(dicom_core::Tag(0x7FE0, 0x0010))
        .from_reader(header)
        .expect("a header of the benchmark can be read")
}

/// The work that is timed: every element looked at, the indexed ones as text.
fn read_as_dicom_object(header: &[u8], indexed: &[Tag]) -> (usize, Vec<(Tag, String)>) {
    let object = open(header);
    let mut elements = 0;
    for element in object.iter() {
        black_box((element.tag(), element.vr(), element.length()));
        elements += 1;
    }
    (elements, indexed_of(&object, indexed))
}

fn indexed_of(object: &DefaultDicomObject, indexed: &[Tag]) -> Vec<(Tag, String)> {
    let text = |tag: &Tag| {
        let element = object.element_opt(dicom_core::Tag(tag.0, tag.1)).ok()??;
        Some((*tag, element.to_str().ok()?.into_owned()))
    };
    indexed.iter().filter_map(text).collect()
}

fn theirs(header: &[u8], indexed: &[Tag]) -> Found {
    let object = open(header);
    let elements = object.iter().map(|element| {
        let tag = element.tag();
        // In implicit VR "US or SS" becomes SS where Pixel Representation says so; a scan leaves it at US.
        let vr = if element.vr() == dicom_core::VR::SS {
            "US"
        } else {
            element.vr().to_string()
        };
        (Tag(tag.0, tag.1), vr.to_owned())
    });
    let mut elements: Vec<_> = elements.collect();
    elements.sort();
    let trimmed = |text: &str| {
        text.split('\\')
            .map(|value| value.trim_matches([' ', '\0']))
            .collect::<Vec<_>>()
            .join("\\")
    };
    let indexed = indexed_of(&object, indexed)
        .iter()
        .map(|(tag, text)| (*tag, trimmed(text)))
        .collect();
    Found { elements, indexed }
}
