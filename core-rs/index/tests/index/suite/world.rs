//! Made-up arrivals for the suite.

use vna_dicom::{Identity, Instance, Level, PublicId, Tag, main_tags};
use vna_index::{
    Arrival, BlobRow, DEFAULT_TENANT, Deletion, DuplicatePolicy, Entry, Index, Lsn, Origin, Outcome,
};

/// 2026-11-22 11:55:51 UTC.
pub const NOW_US: i64 = 1_795_348_551_000_000;
pub const SECOND_US: i64 = 1_000_000;

/// An arrival with readable settings; the log position is set when it is applied.
#[derive(Clone)]
pub struct Made(pub Arrival);

pub fn arrival(patient: &str, study: &str, series: &str, sop: &str) -> Made {
    let identity = Identity {
        patient_id: patient.into(),
        study_instance_uid: study.into(),
        series_instance_uid: series.into(),
        sop_instance_uid: sop.into(),
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        ..Identity::default()
    };
    let made = Made(Arrival {
        lsn: 0,
        tenant: DEFAULT_TENANT,
        instance: Instance {
            identity,
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            number_of_frames: 1,
            extra_generation: 0,
            ..Instance::default()
        },
        file_size: 1000,
        blob: BlobRow {
            store: 1,
            key: [0; 16],
            place_a: 1,
            place_b: 0,
            stored_size: 1000,
            plain_size: 1000,
            encoding: 0,
            digest: digest(&format!("{patient}|{study}|{series}|{sop}")),
            availability: 0,
        },
        origin: Origin {
            way_in: "RestApi".into(),
            address: "127.0.0.1".into(),
            ..Origin::default()
        },
        received_us: NOW_US,
        policy: DuplicatePolicy::Never,
        keep_versions_us: 3600 * SECOND_US,
        derivation: None,
    });
    made.tag(0x0010, 0x0020, patient)
        .tag(0x0020, 0x000D, study)
        .tag(0x0020, 0x000E, series)
        .tag(0x0008, 0x0018, sop)
}

/// A stand-in for a digest: 16 bytes of the text's FNV hash.
fn digest(text: &str) -> [u8; 16] {
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&hash.to_le_bytes());
    digest
}

impl Made {
    pub fn tag(mut self, group: u16, element: u16, value: &str) -> Made {
        let tag = Tag(group, element);
        assert!(
            Level::ALL
                .iter()
                .any(|level| main_tags(*level).contains(&tag)),
            "{tag} is not indexed"
        );
        let tags = &mut self.0.instance.tags;
        match tags.binary_search_by_key(&tag, |(tag, _)| *tag) {
            Ok(at) => tags[at].1 = value.into(),
            Err(at) => tags.insert(at, (tag, value.into())),
        }
        if tag == Tag(0x0008, 0x0050) {
            self.0.instance.identity.accession_number = value.into();
        }
        self
    }

    pub fn name(self, name: &str) -> Made {
        self.tag(0x0010, 0x0010, name)
    }

    pub fn number(self, number: i64) -> Made {
        self.tag(0x0020, 0x0013, &number.to_string())
    }

    pub fn issuer(mut self, issuer: &str) -> Made {
        self.0.instance.identity.issuer_of_patient_id = issuer.into();
        self
    }

    pub fn bytes(mut self, content: &str, size: u64) -> Made {
        self.0.blob.digest = digest(content);
        self.0.blob.stored_size = size;
        self.0.blob.plain_size = size;
        self.0.file_size = size;
        self
    }

    pub fn policy(mut self, policy: DuplicatePolicy) -> Made {
        self.0.policy = policy;
        self
    }

    pub fn tenant(mut self, tenant: i64) -> Made {
        self.0.tenant = tenant;
        self
    }

    pub fn at(mut self, us: i64) -> Made {
        self.0.received_us = us;
        self
    }

    pub fn id(&self, level: Level) -> PublicId {
        let ids = vna_index::public_ids(&self.0.instance.identity);
        match level {
            Level::Patient => ids.patient,
            Level::Study => ids.study,
            Level::Series => ids.series,
            Level::Instance => ids.instance,
        }
    }

    pub fn entry(mut self, lsn: Lsn) -> Entry {
        self.0.lsn = lsn;
        self.0.blob.key[..8].copy_from_slice(&lsn.to_be_bytes());
        self.0.blob.place_b = i64::try_from(lsn).expect("small") * 1000;
        Entry::Arrival(Box::new(self.0))
    }
}

/// Applies entries one after the other at the next log positions.
pub struct Feed<'i> {
    pub index: &'i dyn Index,
    pub lsn: Lsn,
}

impl<'i> Feed<'i> {
    pub fn new(index: &'i dyn Index) -> Self {
        Feed {
            index,
            lsn: index.covered_lsn(),
        }
    }

    pub fn put(&mut self, made: &Made) -> Outcome {
        self.lsn += 1;
        let mut outcomes = self
            .index
            .apply(&[made.clone().entry(self.lsn)])
            .expect("applies");
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    pub fn delete(&mut self, level: Level, id: PublicId) -> Outcome {
        self.lsn += 1;
        let deletion = Deletion {
            lsn: self.lsn,
            tenant: DEFAULT_TENANT,
            level,
            public_id: id,
            at_us: NOW_US,
            keep_us: 0,
        };
        self.index
            .apply(&[Entry::Deletion(deletion)])
            .expect("applies")
            .remove(0)
    }
}

/// Reads JSON that the index wrote.
pub fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).expect("the index writes valid JSON")
}

pub fn resource(index: &dyn Index, level: Level, id: &PublicId) -> Option<serde_json::Value> {
    index
        .resource_json(DEFAULT_TENANT, level, id, &vna_index::Shape::whole())
        .expect("reads")
        .map(|bytes| json(&bytes))
}
