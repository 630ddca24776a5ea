//! A large population of headers without pixel data, for the growth of an index.
//!
//! It comes in blocks of 5,000 instances, and every block has the same make-up: 400 studies, 250 of
//! them of new patients and 150 of patients seen before (some return often, most never), 1,000
//! series, the sizes of both heavily skewed. So a block sent to a large archive is the same work as
//! one sent to a small archive, but for what the archive already holds; 200 blocks are 50,000
//! patients, 80,000 studies, 200,000 series and 1,000,000 instances. UIDs are random, dates spread
//! over sixteen years in no order, names Latin (ASCII and ISO_IR 100) and CJK (ISO_IR 192).

use crate::element::{DataSet, Identity, Object};
use crate::names::{Charset, patient_name};
use crate::objects::{CT_IMAGE, EXPLICIT_LITTLE_ENDIAN};
use crate::pdu::Offer;
use crate::random::{Random, Stream, mix, uid};

pub const BLOCK_INSTANCES: u64 = 5_000;
const BLOCK_SERIES: u64 = 1_000;
const BLOCK_STUDIES: u64 = 400;
const BLOCK_NEW_PATIENTS: u64 = 250;

/// Modality, SOP class, how many of a hundred studies.
const MODALITIES: [(&str, &str, usize); 7] = [
    ("CT", CT_IMAGE, 30),
    ("MR", "1.2.840.10008.5.1.4.1.1.4", 20),
    ("DX", "1.2.840.10008.5.1.4.1.1.1.1", 20),
    ("US", "1.2.840.10008.5.1.4.1.1.6.1", 12),
    ("CR", "1.2.840.10008.5.1.4.1.1.1", 8),
    ("MG", "1.2.840.10008.5.1.4.1.1.1.2", 6),
    ("PT", "1.2.840.10008.5.1.4.1.1.128", 4),
];
const DESCRIPTIONS: [&str; 12] = [
    "Thorax routine",
    "Abdomen with contrast",
    "Head without contrast",
    "Knee left",
    "Knee right",
    "Lumbar spine",
    "Whole body",
    "Follow-up lung nodule",
    "Pelvis",
    "Mammography screening",
    "Ankle after trauma",
    "Liver four phases",
];

/// The patients, studies and series of a seed.
pub struct Population {
    seed: u64,
}

/// A study as its instances carry it.
pub struct Study {
    pub patient_id: String,
    pub patient_name: String,
    pub charset: Charset,
    pub birth_date: String,
    pub sex: &'static str,
    pub study_instance_uid: String,
    pub study_date: String,
    pub study_time: String,
    pub accession_number: String,
    pub study_id: String,
    pub description: &'static str,
    pub modality: usize,
    /// Index of the first series in the whole population, and instances of each series.
    pub first_series: u64,
    pub series_sizes: Vec<u64>,
    /// Index of the first instance in the whole population.
    pub first_instance: u64,
}

impl Study {
    pub fn instances(&self) -> u64 {
        self.series_sizes.iter().sum()
    }

    pub fn modality_name(&self) -> &'static str {
        MODALITIES[self.modality].0
    }
}

impl Population {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The presentation contexts of all SOP classes in the population.
    pub fn offers(&self) -> Vec<Offer> {
        MODALITIES
            .iter()
            .map(|(_, sop_class, _)| (*sop_class, EXPLICIT_LITTLE_ENDIAN))
            .collect()
    }

    /// The studies of block `block`, in the order in which they are sent.
    pub fn studies(&self, block: u64) -> Vec<Study> {
        let mut random = Random::new(self.seed, Stream::Block, block);
        let mut sizes = skewed_sizes(BLOCK_INSTANCES, BLOCK_SERIES, 0.9);
        let mut series_counts = skewed_sizes(BLOCK_SERIES, BLOCK_STUDIES, 0.7);
        let mut is_new: Vec<bool> = (0..BLOCK_STUDIES).map(|i| i < BLOCK_NEW_PATIENTS).collect();
        random.shuffle(&mut sizes);
        random.shuffle(&mut series_counts);
        random.shuffle(&mut is_new);
        let mut patients = block * BLOCK_NEW_PATIENTS;
        let mut first_series = block * BLOCK_SERIES;
        let mut first_instance = block * BLOCK_INSTANCES;
        let mut sizes = sizes.into_iter();
        let mut studies = Vec::new();
        for (number, (new, series)) in is_new.into_iter().zip(series_counts).enumerate() {
            let patient = if new {
                patients += 1;
                patients - 1
            } else {
                let known = usize::try_from(patients.max(1)).expect("a count of patients");
                random.skewed_below(known) as u64
            };
            let index = block * BLOCK_STUDIES + number as u64;
            let series_sizes = sizes
                .by_ref()
                .take(usize::try_from(series).expect("small"))
                .collect();
            let mut study = self.study(index, patient);
            (study.first_series, study.first_instance) = (first_series, first_instance);
            study.series_sizes = series_sizes;
            first_series += series;
            first_instance += study.instances();
            studies.push(study);
        }
        studies
    }

    /// Calls `visit` with the objects `first..first + count`.
    pub fn each(&self, first: u64, count: u64, mut visit: impl FnMut(Object)) {
        let wanted = first..first + count;
        for block in first / BLOCK_INSTANCES..wanted.end.div_ceil(BLOCK_INSTANCES) {
            for study in self.studies(block) {
                let mut index = study.first_instance;
                for (series, &size) in study.series_sizes.iter().enumerate() {
                    for number in 0..size {
                        if wanted.contains(&index) {
                            visit(self.object(&study, series as u64, number, index));
                        }
                        index += 1;
                    }
                }
            }
        }
    }

    fn study(&self, index: u64, patient: u64) -> Study {
        let mut person = Random::new(self.seed, Stream::Patient, patient);
        let (patient_name, charset) = patient_name(&mut person);
        let birth_date = date(&mut person, 1930, 90);
        let sex = if person.percent(51) { "F" } else { "M" };
        let mut random = Random::new(self.seed, Stream::Study, index);
        let mut draw = random.below(100);
        let modality = MODALITIES
            .iter()
            .position(|&(_, _, percent)| match draw.checked_sub(percent) {
                Some(rest) => {
                    draw = rest;
                    false
                }
                None => true,
            })
            .expect("the shares add up to a hundred");
        Study {
            // The factor is coprime to 10^8, so no two of 10^8 patients share an id.
            patient_id: format!("P{:08}", (patient * 48_271_993 + self.seed) % 100_000_000),
            patient_name,
            charset,
            birth_date,
            sex,
            study_instance_uid: uid(self.seed, Stream::Study, index),
            study_date: date(&mut random, 2010, 16),
            study_time: format!(
                "{:02}{:02}{:02}",
                random.below(24),
                random.below(60),
                random.below(60)
            ),
            accession_number: format!("A{:011}", mix(self.seed, index) % 100_000_000_000),
            study_id: format!("{}", random.below(100_000)),
            description: DESCRIPTIONS[random.skewed_below(DESCRIPTIONS.len())],
            modality,
            first_series: 0,
            series_sizes: Vec::new(),
            first_instance: 0,
        }
    }

    fn object(&self, study: &Study, series: u64, number: u64, index: u64) -> Object {
        let (modality, sop_class_uid, _) = MODALITIES[study.modality];
        let identity = Identity {
            patient_id: study.patient_id.clone(),
            study_instance_uid: study.study_instance_uid.clone(),
            series_instance_uid: uid(self.seed, Stream::Series, study.first_series + series),
            sop_instance_uid: uid(self.seed, Stream::Instance, index),
        };
        let mut set = DataSet::default();
        set.text((0x0008, 0x0005), "CS", study.charset.defined_term())
            .text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY")
            .text((0x0008, 0x0012), "DA", &study.study_date)
            .text((0x0008, 0x0016), "UI", sop_class_uid)
            .text((0x0008, 0x0018), "UI", &identity.sop_instance_uid)
            .text((0x0008, 0x0020), "DA", &study.study_date)
            .text((0x0008, 0x0021), "DA", &study.study_date)
            .text((0x0008, 0x0030), "TM", &study.study_time)
            .text((0x0008, 0x0031), "TM", &study.study_time)
            .text((0x0008, 0x0050), "SH", &study.accession_number)
            .text((0x0008, 0x0060), "CS", modality)
            .text((0x0008, 0x0070), "LO", "Generated")
            .text((0x0008, 0x0080), "LO", "University Hospital North")
            .text((0x0008, 0x0090), "PN", "Referring^Physician^^Dr.")
            .text((0x0008, 0x1010), "SH", "STATION1")
            .text((0x0008, 0x1030), "LO", study.description)
            .text((0x0008, 0x103E), "LO", &format!("Series {}", series + 1))
            .text((0x0008, 0x1070), "PN", "Operator^Name")
            .raw(
                (0x0010, 0x0010),
                "PN",
                &study.charset.encode(&study.patient_name),
            )
            .text((0x0010, 0x0020), "LO", &study.patient_id)
            .text((0x0010, 0x0030), "DA", &study.birth_date)
            .text((0x0010, 0x0040), "CS", study.sex)
            .text((0x0018, 0x0015), "CS", "CHEST")
            .text((0x0018, 0x1030), "LO", "1_Routine")
            .text((0x0020, 0x000D), "UI", &identity.study_instance_uid)
            .text((0x0020, 0x000E), "UI", &identity.series_instance_uid)
            .text((0x0020, 0x0010), "SH", &study.study_id)
            .text((0x0020, 0x0011), "IS", &(series + 1).to_string())
            .text((0x0020, 0x0012), "IS", "1")
            .text((0x0020, 0x0013), "IS", &(number + 1).to_string())
            .text((0x0020, 0x0032), "DS", &format!("-172.5\\-172.5\\{number}"))
            .text((0x0020, 0x0037), "DS", "1\\0\\0\\0\\1\\0")
            .text((0x0040, 0x0254), "LO", study.description);
        Object {
            sop_class_uid,
            transfer_syntax_uid: EXPLICIT_LITTLE_ENDIAN,
            identity,
            head: set.into_bytes(),
            tail: None,
        }
    }
}

fn date(random: &mut Random, first_year: usize, years: usize) -> String {
    let (year, month, day) = (random.below(years), random.below(12), random.below(28));
    format!("{:04}{:02}{:02}", first_year + year, month + 1, day + 1)
}

/// `total` things in `parts` parts of at least one each, the part of rank r getting a share of the
/// rest in proportion to r to the power of `-exponent`.
fn skewed_sizes(total: u64, parts: u64, exponent: f64) -> Vec<u64> {
    #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let weights: Vec<f64> = (1..=parts)
        .map(|rank| (rank as f64).powf(-exponent))
        .collect();
    let sum: f64 = weights.iter().sum();
    #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let rest = (total - parts) as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to a few thousand"
    )]
    let mut sizes: Vec<u64> = weights
        .iter()
        .map(|w| 1 + (rest * w / sum) as u64)
        .collect();
    sizes[0] += total - sizes.iter().sum::<u64>();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_population_has_the_announced_size() {
        let population = Population::new(5);
        let (mut patients, mut ids) = (HashSet::new(), HashSet::new());
        let (mut studies, mut series, mut instances) = (0, 0, 0);
        for block in 0..200 {
            for study in population.studies(block) {
                assert_eq!(
                    (study.first_series, study.first_instance),
                    (series, instances)
                );
                studies += 1;
                series += study.series_sizes.len() as u64;
                instances += study.instances();
                ids.insert(study.study_instance_uid);
                patients.insert(study.patient_id);
            }
        }
        assert_eq!((patients.len(), ids.len()), (50_000, 80_000));
        assert_eq!((studies, series, instances), (80_000, 200_000, 1_000_000));
    }

    #[test]
    fn a_range_is_the_same_however_it_is_cut() {
        let population = Population::new(5);
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        population.each(4_900, 300, |object| whole.push(object.head));
        for first in (4_900..5_200).step_by(50) {
            population.each(first, 50, |object| parts.push(object.head));
        }
        assert_eq!(whole.len(), 300);
        assert!(whole == parts);
    }

    #[test]
    fn sizes_are_skewed_and_add_up() {
        let sizes = skewed_sizes(5_000, 1_000, 0.9);
        assert_eq!(sizes.iter().sum::<u64>(), 5_000);
        assert!(sizes[0] > 200 && sizes[999] == 1);
    }
}
