//! A made-up archive: 50,000 patients, 80,000 studies, 200,000 series, 1,000,000 instances, skewed as real ones are.

use vna_dicom::{Identity, Instance, PixelData, Tag, Vr};
use vna_index::{Arrival, BlobRow, DEFAULT_TENANT, DuplicatePolicy, Entry, Lsn, Origin};

pub const PATIENTS: u64 = 50_000;
pub const STUDIES: u64 = 80_000;
pub const SERIES: u64 = 200_000;
pub const INSTANCES: u64 = 1_000_000;

/// SplitMix64: the same population in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small numbers often, large ones seldom.
    fn skewed(&mut self, bound: u64) -> u64 {
        let a = self.below(bound);
        a * self.below(bound) / bound
    }
}

/// A mix of the number and a constant, so that neighbours have nothing in common.
fn scatter(number: u64, salt: u64) -> u64 {
    Random(number.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ salt).next()
}

fn uid(number: u64, salt: u64) -> String {
    format!(
        "1.2.826.0.1.3680043.8.498.{}{}",
        scatter(number, salt),
        scatter(number, salt ^ 0xFFFF) % 1_000_000
    )
}

const FAMILIES: [&str; 24] = [
    "Smith",
    "Müller",
    "Garcia",
    "Ivanova",
    "Nguyen",
    "Rossi",
    "Dubois",
    "Jensen",
    "Kowalski",
    "Silva",
    "Yilmaz",
    "Andersson",
    "Novák",
    "Papadopoulos",
    "O'Brien",
    "van den Berg",
    "Horváth",
    "Popescu",
    "Schmidt",
    "Brown",
    "Martin",
    "López",
    "Haddad",
    "Cohen",
];
const SYLLABLES: [&str; 16] = [
    "an", "be", "ca", "do", "el", "fi", "gu", "ha", "is", "jo", "ka", "lu", "ma", "ni", "or", "pe",
];
const CJK_FAMILIES: [(&str, &str, &str); 8] = [
    ("Yamada", "山田", "やまだ"),
    ("Sato", "佐藤", "さとう"),
    ("Suzuki", "鈴木", "すずき"),
    ("Tanaka", "田中", "たなか"),
    ("Wang", "王", "ワン"),
    ("Zhang", "張", "チャン"),
    ("Kim", "金", "キム"),
    ("Hong", "洪", "ホン"),
];
const CJK_GIVEN: [(&str, &str, &str); 8] = [
    ("Tarou", "太郎", "たろう"),
    ("Hanako", "花子", "はなこ"),
    ("Ichirou", "一郎", "いちろう"),
    ("Xiaodong", "小東", "シャオドン"),
    ("Gildong", "吉洞", "ギルドン"),
    ("Misaki", "美咲", "みさき"),
    ("Kenji", "健二", "けんじ"),
    ("Meiling", "美玲", "メイリン"),
];

pub fn patient_id(patient: u64) -> String {
    format!("PID{:08}", scatter(patient, 1) % 100_000_000)
}

pub fn patient_name(patient: u64) -> String {
    let mut random = Random(scatter(patient, 2));
    if random.below(5) == 0 {
        let family = CJK_FAMILIES[pick(&mut random, CJK_FAMILIES.len())];
        let given = CJK_GIVEN[pick(&mut random, CJK_GIVEN.len())];
        let serial = random.below(1000);
        return format!(
            "{}^{}{serial}={}^{}={}^{}",
            family.0, given.0, family.1, given.1, family.2, given.2
        );
    }
    let mut syllables = |count: u64| -> String {
        (0..count)
            .map(|_| SYLLABLES[pick(&mut random, SYLLABLES.len())])
            .collect()
    };
    let (tail, given) = (syllables(2), syllables(3));
    let family = FAMILIES[pick(&mut random, FAMILIES.len())];
    format!("{family}{tail}^{given}")
}

fn pick(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(length as u64)).expect("small")
}

pub fn study_date(study: u64) -> u64 {
    let day = scatter(study, 3) % (15 * 336);
    (2010 + day / 336) * 10_000 + (1 + day / 28 % 12) * 100 + 1 + day % 28
}

/// Which patient a study is of, which study a series is of: each has one, further ones are skewed.
fn parent(child: u64, parents: u64, salt: u64) -> u64 {
    if child < parents {
        child
    } else {
        Random(scatter(child, salt)).skewed(parents)
    }
}

/// The order of arrival: studies in random order, the series of a study and their instances together.
pub struct Arrivals {
    /// Series in the order of arrival, with how many instances.
    series: Vec<(u32, u32)>,
    study_of: Vec<u32>,
    at: usize,
    within: u32,
    lsn: Lsn,
}

impl Arrivals {
    pub fn new() -> Arrivals {
        let narrow = |number: u64| u32::try_from(number).expect("small");
        let study_of: Vec<u32> = (0..SERIES)
            .map(|series| narrow(parent(series, STUDIES, 5)))
            .collect();
        // One instance each, the rest skewed: most series have few, some have hundreds.
        let mut counts = vec![1u32; usize::try_from(SERIES).expect("small")];
        let mut random = Random(7);
        let mut left = INSTANCES - SERIES;
        while left > 0 {
            let series = usize::try_from(random.skewed(SERIES)).expect("small");
            let more = (1 + random.skewed(120)).min(left);
            counts[series] += narrow(more);
            left -= more;
        }
        let mut series: Vec<(u32, u32)> = (0..).zip(counts).collect();
        series.sort_by_key(|(series, _)| {
            let study = study_of[usize::try_from(*series).expect("small")];
            (scatter(u64::from(study), 11), *series)
        });
        Arrivals {
            series,
            study_of,
            at: 0,
            within: 0,
            lsn: 0,
        }
    }

    pub fn next(&mut self) -> Option<Entry> {
        let (series, count) = *self.series.get(self.at)?;
        let number = self.within;
        self.within += 1;
        if self.within == count {
            self.within = 0;
            self.at += 1;
        }
        self.lsn += 1;
        let study = self.study_of[usize::try_from(series).expect("small")];
        Some(entry(self.lsn, study.into(), series.into(), number.into()))
    }

    pub fn take(&mut self, count: u64) -> Vec<Entry> {
        (0..count).map_while(|_| self.next()).collect()
    }
}

pub fn patient_of(study: u64) -> u64 {
    parent(study, PATIENTS, 4)
}

fn entry(lsn: Lsn, study: u64, series: u64, number: u64) -> Entry {
    let patient = patient_of(study);
    let identity = Identity {
        patient_id: patient_id(patient),
        study_instance_uid: uid(study, 20),
        series_instance_uid: uid(series, 30),
        sop_instance_uid: uid(lsn, 40),
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        accession_number: format!("ACC{:09}", scatter(study, 50) % 1_000_000_000),
        ..Identity::default()
    };
    let modality =
        ["CT", "MR", "CR", "US", "DX"][usize::try_from(scatter(study, 6) % 5).expect("small")];
    let date = study_date(study).to_string();
    let time = format!(
        "{:02}{:02}{:02}",
        scatter(study, 8) % 24,
        scatter(study, 9) % 60,
        series % 60
    );
    let mut tags: Vec<(Tag, String)> = vec![
        (Tag(0x0008, 0x0012), date.clone()),
        (Tag(0x0008, 0x0013), time.clone()),
        (Tag(0x0008, 0x0018), identity.sop_instance_uid.clone()),
        (Tag(0x0008, 0x0020), date.clone()),
        (Tag(0x0008, 0x0021), date),
        (Tag(0x0008, 0x0030), time.clone()),
        (Tag(0x0008, 0x0031), time),
        (Tag(0x0008, 0x0050), identity.accession_number.clone()),
        (Tag(0x0008, 0x0060), modality.into()),
        (Tag(0x0008, 0x0070), "ACME MEDICAL SYSTEMS".into()),
        (Tag(0x0008, 0x0080), "General Hospital".into()),
        (
            Tag(0x0008, 0x0090),
            format!("Referrer{}^Jane", scatter(study, 12) % 300),
        ),
        (Tag(0x0008, 0x1010), format!("STATION{}", study % 9)),
        (
            Tag(0x0008, 0x1030),
            format!(
                "{modality} examination protocol {}",
                scatter(study, 13) % 200
            ),
        ),
        (Tag(0x0008, 0x103E), format!("series {}", series % 40)),
        (Tag(0x0010, 0x0010), patient_name(patient)),
        (Tag(0x0010, 0x0020), identity.patient_id.clone()),
        (
            Tag(0x0010, 0x0030),
            format!(
                "19{:02}0{}1{}",
                patient % 100,
                1 + patient % 9,
                patient % 10
            ),
        ),
        (
            Tag(0x0010, 0x0040),
            if patient % 2 == 0 { "F" } else { "M" }.into(),
        ),
        (Tag(0x0018, 0x0015), "CHEST".into()),
        (Tag(0x0020, 0x000D), identity.study_instance_uid.clone()),
        (Tag(0x0020, 0x000E), identity.series_instance_uid.clone()),
        (Tag(0x0020, 0x0010), format!("{}", study % 10_000)),
        (Tag(0x0020, 0x0011), format!("{}", series % 20)),
        (Tag(0x0020, 0x0012), "1".into()),
        (Tag(0x0020, 0x0013), (number + 1).to_string()),
        (
            Tag(0x0020, 0x0032),
            format!("-118.125\\-143.344\\{}.6875", number),
        ),
        (
            Tag(0x0020, 0x0037),
            "1.00000\\-0.00000\\0.00000\\-0.00000\\1.00000\\0.00000".into(),
        ),
    ];
    tags.sort_by_key(|(tag, _)| *tag);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&scatter(lsn, 60).to_le_bytes());
    key[8..].copy_from_slice(&scatter(lsn, 61).to_le_bytes());
    Entry::Arrival(Box::new(Arrival {
        lsn,
        tenant: DEFAULT_TENANT,
        instance: Instance {
            identity,
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            tags,
            data_set_offset: 400,
            pixel_data: Some(PixelData {
                tag: Tag(0x7FE0, 0x0010),
                vr: Vr::OW,
                element_offset: 2000,
                value_offset: 2012,
                length: Some(524_288),
            }),
            number_of_frames: 1,
            extra_generation: 0,
        },
        file_size: 526_300,
        blob: BlobRow {
            store: 1,
            key,
            place_a: i64::try_from(lsn / 500).expect("small"),
            place_b: i64::try_from(lsn % 500).expect("small") * 526_400,
            stored_size: 526_300,
            plain_size: 526_300,
            encoding: 0,
            digest: key,
            availability: 0,
        },
        origin: Origin {
            way_in: "DicomProtocol".into(),
            calling_ae_title: format!("MODALITY{}", study % 20),
            called_ae_title: "VNA".into(),
            address: "192.0.2.7".into(),
            ..Origin::default()
        },
        received_us: 1_795_348_551_000_000 + i64::try_from(lsn).expect("small") * 100,
        policy: DuplicatePolicy::Never,
        keep_versions_us: 0,
        derivation: None,
    }))
}

/// One new series of a new study and patient, of `count` instances.
pub fn plain_series(lsn: Lsn, series: u64, count: u64) -> Vec<Entry> {
    (0..count)
        .map(|i| entry(lsn + i, STUDIES + series, SERIES + series, i))
        .collect()
}
