//! Offsets of directories of any shape.

use proptest::prelude::*;
use vna_dicom::{CharacterSet, Extent, scan};

use super::*;

const ITEM: Tag = Tag(0xFFFE, 0xE000);

/// A record as it was read: where, its type, next, lower.
type Read = (u32, String, u32, u32);

fn directory(shape: &[Vec<Vec<usize>>]) -> (Vec<u8>, Vec<Read>) {
    let mut directory = DicomDir::new(false, &SpoolSettings::default());
    let about = About::empty();
    let mut number = 0;
    for (patient, studies) in shape.iter().enumerate() {
        for (study, series) in studies.iter().enumerate() {
            for (one, instances) in series.iter().enumerate() {
                for _ in 0..*instances {
                    number += 1;
                    let instance = OnMedium {
                        // Numbers below others are never those of another parent, as in the index.
                        above: [
                            patient,
                            patient * 10 + study,
                            (patient * 10 + study) * 10 + one,
                        ]
                        .map(|n| n as i64),
                        file_id: &["IMAGES".to_owned(), format!("IM{number}")],
                        sop_instance_uid: &format!("1.2.{number}"),
                        transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN,
                        sop_class_uid: "1.2.840.10008.5.1.4.1.1.7",
                    };
                    directory.add(&instance, &about).unwrap();
                }
            }
        }
    }
    let mut finished = directory.finish().unwrap();
    let mut file = Vec::new();
    loop {
        let piece = finished.read(700).unwrap();
        if piece.is_empty() {
            break;
        }
        file.extend(piece);
    }
    assert_eq!(file.len() as u64, finished.length);
    let records = read(&file);
    (file, records)
}

fn read(file: &[u8]) -> Vec<Read> {
    let scan = scan(file, Extent::All).unwrap();
    let mut records = Vec::new();
    for element in &scan.elements {
        let value = || scan.value(element);
        let number = || u32::from_le_bytes(value().try_into().unwrap());
        match element.tag {
            ITEM => records.push((
                u32::try_from(element.offset()).unwrap(),
                String::new(),
                0,
                0,
            )),
            NEXT_RECORD => records.last_mut().unwrap().2 = number(),
            LOWER_RECORD => records.last_mut().unwrap().3 = number(),
            RECORD_TYPE => {
                let name = String::from_utf8(value().to_vec()).unwrap();
                records.last_mut().unwrap().1 = name.trim().to_owned();
            }
            _ => {}
        }
    }
    records
}

/// Walks the records as a reader does; gives the number of instances below each patient, study and series.
fn walk(records: &[Read], first: u32, level: usize) -> usize {
    let names = ["PATIENT", "STUDY", "SERIES", "IMAGE"];
    let (mut at, mut found) = (first, 0);
    while at != 0 {
        let (_, name, next, lower) = records
            .iter()
            .find(|(place, ..)| *place == at)
            .expect("a record");
        assert_eq!(name, names[level]);
        found += if level == 3 {
            1
        } else {
            walk(records, *lower, level + 1)
        };
        at = *next;
    }
    found
}

proptest! {
    #[test]
    fn every_instance_is_reached_over_the_offsets(
        shape in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(0_usize..3, 0..3), 0..3), 0..4),
    ) {
        let (file, records) = directory(&shape);
        let all: usize = shape.iter().flatten().flatten().sum();
        let scan = vna_dicom::DicomFile::read(&file).unwrap();
        let number = |tag| {
            let text = scan.data_set.get(tag).unwrap().text(&CharacterSet::default()).unwrap();
            text.parse::<u32>().unwrap()
        };
        prop_assert_eq!(walk(&records, number(FIRST_RECORD), 0), all);
        let last = records.iter().rev().find(|(_, name, ..)| name == "PATIENT");
        prop_assert_eq!(number(LAST_RECORD), last.map_or(0, |(at, ..)| *at));
    }
}
