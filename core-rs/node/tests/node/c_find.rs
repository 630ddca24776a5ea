//! C-FIND without a network: pages, limits, warnings.

use std::path::PathBuf;
use std::sync::Arc;

use crate::common::{self, Who, file, store};
use vna_dicom::{DataElement, DataSet, EXPLICIT_VR_LITTLE_ENDIAN, Level, Tag, Vr, tags};
use vna_io::{Disk, MemoryDisk};
use vna_node::{
    Archive, ArchiveError, CFind, CFindOptions, DictionarySettings, Duplicates, LimitSettings,
    Settings, StorageSettings, UploadSettings, find_status, match_data_sets,
};

const LEVEL: Tag = Tag(0x0008, 0x0052);
const STUDIES: u8 = 7;

/// An archive in memory, or on another disk that holds no more than is needed.
pub fn settings() -> Settings {
    Settings {
        storage: StorageSettings {
            root: PathBuf::from("/archive"),
            segment_bytes: 16 << 20,
            large_object_bytes: 1 << 20,
            duplicates: Duplicates::Never,
            patient_issuers: false,
            keep: vna_node::KeepSettings::default(),
            duplicate_retention_days: 0,
            undelete_hours: 0,
            ingest_transcoding: String::new(),
            ingest_transcoding_of_uncompressed: true,
            ingest_transcoding_of_compressed: true,
            recompress: None,
            recompress_after_days: 0,
        },
        uploads: UploadSettings::default(),
        dictionary: DictionarySettings::default(),
        notes: Default::default(),
        tls: vna_node::tls::TlsSettings::default(),
        codecs: Default::default(),
        pictures: Default::default(),
        archives: Default::default(),
        index: Default::default(),
        http: Default::default(),
        dicomweb: Default::default(),
        limits: LimitSettings {
            spool_bytes: 8 << 20,
            index_cache_bytes: 1 << 20,
            unpacked_cache_bytes: 1 << 20,
        },
    }
}

/// Seven studies of one patient, the last of two instances.
fn archive() -> Archive {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let archive = Archive::open(disk, settings()).expect("opens");
    let studies = (1..=STUDIES).map(|study| Who(1, study, 1, 1));
    for who in studies.chain([Who(1, STUDIES, 1, 2)]) {
        store(&archive, file(who, 1, 8)).expect("is stored");
    }
    archive
}

fn identifier(level: &str, keys: &[(Tag, Vr, &str)]) -> Vec<u8> {
    let level = DataElement::new(LEVEL, Vr::CS, level);
    let keys = keys
        .iter()
        .map(|(tag, vr, value)| DataElement::new(*tag, *vr, *value));
    let data_set: DataSet = keys.chain([level]).collect();
    data_set
        .write(EXPLICIT_VR_LITTLE_ENDIAN)
        .expect("is an identifier")
}

fn open(
    archive: &Archive,
    identifier: &[u8],
    options: &CFindOptions,
) -> Result<CFind, ArchiveError> {
    CFind::open(archive, identifier, EXPLICIT_VR_LITTLE_ENDIAN, options)
}

/// The answers, and whether there were more than the limit.
fn all(archive: &Archive, mut find: CFind) -> (Vec<DataSet>, bool) {
    let mut answers = Vec::new();
    while let Some(page) = find.next_page(archive).expect("a page") {
        for answer in page.answers() {
            answers.push(DataSet::read(answer, EXPLICIT_VR_LITTLE_ENDIAN).expect("a data set"));
        }
    }
    (answers, find.is_limited())
}

#[test]
fn more_than_the_limit_is_told() {
    let archive = archive();
    let keys = identifier("STUDY", &[(tags::STUDY_INSTANCE_UID, Vr::UI, "")]);
    for (limit, given, is_limited) in [(0, 7, false), (1, 1, true), (6, 6, true), (7, 7, false)] {
        let options = CFindOptions {
            limit,
            ..CFindOptions::default()
        };
        let find = open(&archive, &keys, &options).expect("opens");
        let (answers, limited) = all(&archive, find);
        assert_eq!(
            (answers.len(), limited),
            (given, is_limited),
            "limit {limit}"
        );
    }
}

#[test]
fn keys_that_are_not_supported_are_warned_of() {
    let archive = archive();
    let study = (tags::STUDY_INSTANCE_UID, Vr::UI, "");
    let unsupported = |keys: &[(Tag, Vr, &str)], warn: bool| {
        let options = CFindOptions {
            unsupported_warning: warn,
            ..CFindOptions::default()
        };
        let find = open(&archive, &identifier("STUDY", keys), &options).expect("opens");
        find.unsupported_optional_keys()
    };
    assert!(!unsupported(&[study], true));
    assert!(!unsupported(&[study, (tags::ROWS, Vr::US, "")], true));
    // Of several series of a study none is the one.
    let series = [study, (tags::SERIES_INSTANCE_UID, Vr::UI, "")];
    assert!(unsupported(&series, true));
    assert!(!unsupported(&series, false));
    assert!(unsupported(
        &[study, (tags::PIXEL_DATA, Vr::OW, "xx")],
        true
    ));
}

#[test]
fn what_was_deleted_between_two_pages_is_not_told() {
    let archive = archive();
    let keys = identifier("STUDY", &[(tags::STUDY_INSTANCE_UID, Vr::UI, "")]);
    let find = open(&archive, &keys, &CFindOptions::default()).expect("opens");
    common::delete(
        &archive,
        Level::Study,
        Who(1, 3, 1, 1).public_id(Level::Study),
    )
    .expect("goes");
    let (answers, _) = all(&archive, find);
    assert_eq!(answers.len(), 6);
}

#[test]
fn each_refusal_has_its_status() {
    let archive = archive();
    let status = |identifier: &[u8]| match open(&archive, identifier, &CFindOptions::default()) {
        Ok(_) => 0,
        Err(error) => find_status(&error),
    };
    assert_eq!(status(&identifier("STUDY", &[])), 0);
    assert_eq!(status(&identifier("PATIENT", &[])), 0xA900);
    assert_eq!(status(&identifier("SERIES", &[])), 0xA900);
    assert_eq!(status(&identifier("STUDY", &[])[..11]), 0xC000);
    assert_eq!(status(&vec![0; 5 << 20]), 0xA700);
}

#[test]
fn data_sets_are_matched_without_an_archive() {
    let item = |name: &str| {
        let name = DataElement::new(tags::PATIENT_NAME, Vr::PN, name);
        let id = DataElement::new(tags::PATIENT_ID, Vr::LO, "1");
        DataSet::from_iter([name, id])
            .write(EXPLICIT_VR_LITTLE_ENDIAN)
            .expect("is one")
    };
    let asked = DataSet::from_iter([DataElement::new(tags::PATIENT_NAME, Vr::PN, "roe*")]);
    let asked = asked
        .write(EXPLICIT_VR_LITTLE_ENDIAN)
        .expect("is an identifier");
    let items = [item("Doe^John"), item("Roe^Jane")];
    let uid = EXPLICIT_VR_LITTLE_ENDIAN;
    let found = match_data_sets(&asked, uid, &items, uid).expect("matches");
    let answer = b"\x10\x00\x10\x00PN\x08\x00Roe^Jane";
    assert_eq!(found[..8], [1, 0, 0, 0, 16, 0, 0, 0]);
    assert_eq!(&found[8..], answer);
}
