//! Large objects over a socket: stored as they come, whatever they are, and given back byte for byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{self, Who};
use vna_dicom::{Level, TagsForm, TagsOptions};
use vna_io::{Disk, MemoryDisk};
use vna_node::dimse::{NoServices, Server, status};
use vna_node::{
    Archive, DEFAULT_TENANT, Duplicates, LimitSettings, Settings, StorageSettings, listen,
    stored_tags_json,
};
use vna_ul::command::element;
use vna_ul::{
    AssociateRq, Association, ContextProposal, DICOM_APPLICATION_CONTEXT, Indication, Received,
    StoreRequest, UserInformation,
};

const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const ENCAPSULATED_PDF: &str = "1.2.840.10008.5.1.4.1.1.104.1";
const CONTEXT: u8 = 1;
const WHO: Who = Who(1, 1, 1, 1);

/// What is larger than this is large to the archive. No power of two, so that the server rounds it.
const LARGE_OBJECT_BYTES: u64 = 900_000;

const POLICY: &str = r#"{"host": "127.0.0.1", "port": 0, "entities": [{"ae_title": "VNA", "tenant": 1, "label": null}], "check_called_ae_title": false,
    "calling_ae_titles": [], "hosts": [], "peers": [], "check_peer_host": false,
    "unknown_peers": ["echo", "store"], "served": [], "accepted_sop_classes": [], "rejected_sop_classes": [],
    "accept_unknown_sop_classes": false, "accepted_transfer_syntaxes": [], "preferred_transfer_syntaxes": [],
    "user_identity": "ignore",
    "query": {"relational": true, "date_time": false, "fuzzy": false, "timezone": true}, "max_pdu_bytes": 262144,
    "max_associations": 10, "max_associations_per_peer": 10, "artim_timeout_s": 60, "idle_timeout_s": 60,
    "message_timeout_s": 60}"#;

/// An archive with a listener, and an association with it.
struct Bench {
    archive: Arc<Archive>,
    runtime: tokio::runtime::Runtime,
    server: Server,
    stream: TcpStream,
    association: Association,
}

impl Bench {
    fn new() -> Bench {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let settings = Settings {
            storage: StorageSettings {
                root: PathBuf::from("/archive"),
                segment_bytes: 16 << 20,
                large_object_bytes: LARGE_OBJECT_BYTES,
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
            uploads: vna_node::UploadSettings::default(),
            dictionary: vna_node::DictionarySettings::default(),
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
        };
        let archive = Arc::new(Archive::open(disk, settings).expect("a new archive"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let server = listen(
            runtime.handle(),
            &archive,
            POLICY.as_bytes(),
            Arc::new(NoServices),
        )
        .expect("a free port");
        let mut association = Association::requestor(AssociateRq {
            protocol_version: 1,
            called_ae_title: "VNA".into(),
            calling_ae_title: "PDF01".into(),
            application_context: DICOM_APPLICATION_CONTEXT.into(),
            contexts: vec![ContextProposal {
                context_id: CONTEXT,
                abstract_syntax: ENCAPSULATED_PDF.into(),
                transfer_syntaxes: vec![EXPLICIT_VR_LITTLE_ENDIAN.into()],
            }],
            user: UserInformation {
                max_pdu_bytes: 16_384,
                ..UserInformation::default()
            },
        });
        association.connected().expect("a new association");
        let stream = TcpStream::connect(server.local_addr()).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a socket");
        let mut bench = Bench {
            archive,
            runtime,
            server,
            stream,
            association,
        };
        bench.send();
        assert!(matches!(bench.receive(), Indication::Accepted(_)));
        bench
    }

    fn send(&mut self) {
        let output = self.association.output();
        self.stream.write_all(output).expect("the server reads");
        let sent = output.len();
        self.association.output_sent(sent);
    }

    fn receive(&mut self) -> Indication {
        let mut unread = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("an answer");
            assert!(count > 0, "the server closed");
            unread.extend_from_slice(&bytes[..count]);
            while !unread.is_empty() {
                let (used, received) = self.association.receive(&unread);
                let indication = match received {
                    Some(Received::Indication(indication)) => Some(indication),
                    Some(Received::Data { .. }) | None => None,
                };
                unread.drain(..used);
                if let Some(indication) = indication {
                    return indication;
                }
            }
        }
    }

    /// Sends an instance and returns the status that answers it.
    fn store(&mut self, data_set: &[u8]) -> u16 {
        let request = StoreRequest {
            message_id: 1,
            affected_sop_class_uid: ENCAPSULATED_PDF.into(),
            affected_sop_instance_uid: WHO.sop_uid(),
            priority: 0,
            move_originator: None,
        };
        self.association
            .send_command(CONTEXT, &request.to_command())
            .expect("an open association");
        self.association
            .send_data_set(CONTEXT, data_set)
            .expect("an open association");
        self.send();
        match self.receive() {
            Indication::Command { command, .. } => command.us(element::STATUS).expect("a response"),
            other => panic!("{other:?}"),
        }
    }

    fn streamed(&self) -> u64 {
        self.server.counters().totals.streamed
    }

    /// The data set as it was stored: what follows the File Meta Information.
    fn stored(&self) -> Option<Vec<u8>> {
        let id = WHO.public_id(Level::Instance);
        let mut file = common::fetch(&self.archive, &id).expect("it is readable")?;
        let meta = vna_dicom::read_file_meta(&file).expect("a file");
        let at = meta.expect("meta information").data_set_offset;
        Some(file.split_off(usize::try_from(at).expect("small")))
    }

    /// The tags of the stored instance in the simplified form.
    fn tags(&self) -> String {
        let id = WHO.public_id(Level::Instance);
        let found = self.archive.open_file(DEFAULT_TENANT, &id);
        let (located, reader) = found.expect("it is readable").expect("it was stored");
        let options = TagsOptions {
            form: TagsForm::Simplified,
            ..TagsOptions::default()
        };
        let json = stored_tags_json(&located, &reader, &options).expect("whole");
        String::from_utf8(json).expect("JSON")
    }

    fn stop(self) {
        self.runtime
            .block_on(self.server.stop(Duration::from_secs(1)));
    }
}

/// The elements up to group 0020, then what `rest` has.
fn object(rest: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for (tag, vr, value) in [
        ([0x08, 0, 0x16, 0], b"UI", ENCAPSULATED_PDF.to_owned()),
        ([0x08, 0, 0x18, 0], b"UI", WHO.sop_uid()),
        ([0x10, 0, 0x20, 0], b"LO", WHO.patient_id()),
        ([0x20, 0, 0x0D, 0], b"UI", WHO.study_uid()),
        ([0x20, 0, 0x0E, 0], b"UI", WHO.series_uid()),
    ] {
        let pad = if vr == b"UI" { '\0' } else { ' ' };
        let mut value = value;
        if value.len() % 2 == 1 {
            value.push(pad);
        }
        data.extend(tag);
        data.extend(vr);
        data.extend(u16::try_from(value.len()).expect("short").to_le_bytes());
        data.extend(value.as_bytes());
    }
    data.extend_from_slice(rest);
    data
}

fn long_element(tag: [u8; 4], vr: &[u8; 2], length: u32) -> Vec<u8> {
    [&tag[..], vr, &[0, 0], &length.to_le_bytes()].concat()
}

/// An Encapsulated Document of `bytes`.
fn document(bytes: u32) -> Vec<u8> {
    let mut element = long_element([0x42, 0, 0x11, 0], b"OB", bytes);
    element.extend((0..bytes).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]));
    object(&element)
}

/// About `bytes` of sequence items, and then pixel data if that is asked for.
fn many_items(bytes: usize, pixel_data: bool) -> Vec<u8> {
    let item = b"\xFE\xFF\x00\xE0\x10\x00\x00\x00\x08\x00\x50\x11UI\x08\x001.2.840\0";
    let mut rest = long_element([0x06, 0x30, 0x39, 0], b"SQ", u32::MAX);
    for _ in 0..bytes / item.len() {
        rest.extend_from_slice(item);
    }
    rest.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    if pixel_data {
        rest.extend(long_element([0xE0, 0x7F, 0x10, 0], b"OW", 1000));
        rest.extend([9; 1000]);
    }
    object(&rest)
}

#[test]
fn large_objects_without_pixel_data_or_far_from_it_are_stored_as_they_come() {
    for object in [
        document(20 << 20),
        many_items(40 << 20, true),
        many_items(3 << 20, false),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.store(&object), status::SUCCESS);
        assert_eq!(bench.streamed(), 1);
        assert!(bench.stored().expect("it was stored") == object);
        bench.stop();
    }
}

#[test]
fn a_large_object_that_is_cut_off_is_refused_wherever_it_ends() {
    let mut bench = Bench::new();
    for (object, missing) in [
        (document(5 << 20), 1),
        (document(5 << 20), 4 << 20),
        (many_items(5 << 20, true), 1),
        (many_items(5 << 20, true), 1500),
        (many_items(5 << 20, false), 3 << 20),
    ] {
        let cut = &object[..object.len() - missing];
        assert_eq!(
            bench.store(cut),
            status::CANNOT_UNDERSTAND,
            "{missing} missing"
        );
        assert!(bench.stored().is_none());
    }
    assert_eq!(bench.streamed(), 5);
    assert_eq!(
        bench.store(&document(100)),
        status::SUCCESS,
        "the association goes on"
    );
    bench.stop();
}

#[test]
fn the_tags_of_large_objects_are_given_without_their_long_values() {
    let mut bench = Bench::new();
    assert_eq!(bench.store(&document(20 << 20)), status::SUCCESS);
    assert_eq!(
        bench.tags(),
        format!(
            r#"{{"SOPClassUID":"{ENCAPSULATED_PDF}","SOPInstanceUID":"{}","PatientID":"{}","StudyInstanceUID":"{}","SeriesInstanceUID":"{}","EncapsulatedDocument":null}}"#,
            WHO.sop_uid(),
            WHO.patient_id(),
            WHO.study_uid(),
            WHO.series_uid()
        )
    );
    bench.stop();
}

#[test]
fn what_is_large_to_the_archive_has_a_file_of_its_own_whichever_way_it_comes() {
    for (bytes, streamed) in [(500_000, 0), (600_000, 1), (890_000, 1), (1_000_000, 1)] {
        let mut bench = Bench::new();
        let object = document(bytes);
        assert_eq!(bench.store(&object), status::SUCCESS);
        // 900,000 rounded down to a power of two: above it nothing is held whole.
        assert_eq!(bench.streamed(), streamed, "{bytes} bytes");
        assert!(bench.stored().expect("it was stored") == object);
        bench.stop();
    }
}
