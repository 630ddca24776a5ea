//! Finding or making the patient, study and series of an arrival.

use super::cache::Recent;
use super::extra;
use super::keys::{KeyKind, candidates};
use super::tags;
use super::terms;
use super::writer::Transaction;
use crate::bits::Signed;
use crate::error::Doing;
use crate::identity::qualified_patient_id;
use crate::{Arrival, IndexError};
use parking_lot::Mutex;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;
use vna_dicom::{Identity, Instance, Level, PublicId, Tag, main_tags, tags as t};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Series (studies, patients) that the writer knows without asking. A modality sends one series at a time, so
/// this covers thousands of associations; an entry is about 300 bytes.
const RECENT: usize = 2048;

/// A patient row, as far as arrivals need it.
pub(crate) struct PatientEntry {
    pub(crate) id: i64,
    pub(crate) public_id: PublicId,
}

pub(crate) struct StudyEntry {
    pub(crate) id: i64,
    pub(crate) public_id: PublicId,
    pub(crate) conflict: bool,
}

/// A series and all above it.
pub(crate) struct SeriesEntry {
    pub(crate) id: i64,
    pub(crate) public_id: PublicId,
    pub(crate) conflict: bool,
    pub(crate) study: Arc<StudyEntry>,
    pub(crate) patient: Arc<PatientEntry>,
    /// SOP classes (`word`) that are noted for it.
    pub(crate) classes: Mutex<Vec<i64>>,
}

/// Which of the resources above an instance were made for it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Made {
    pub(crate) patient: bool,
    pub(crate) study: bool,
    pub(crate) series: bool,
}

type Cached<V> = Recent<u128, ([String; 4], Arc<V>)>;

/// Recent rows by their identifiers. The map's key is a hash with a secret seed; the identifiers beside the value
/// settle what it leaves open.
pub(crate) struct Places {
    patients: Cached<PatientEntry>,
    studies: Cached<StudyEntry>,
    series: Cached<SeriesEntry>,
    seed: u64,
    buffer: Vec<u8>,
}

impl Places {
    pub(crate) fn new(seed: u64) -> Self {
        Places {
            patients: Recent::new(RECENT),
            studies: Recent::new(RECENT),
            series: Recent::new(RECENT),
            seed,
            buffer: Vec::new(),
        }
    }

    /// Forgets all; needed when rows were deleted or a transaction failed.
    pub(crate) fn clear(&mut self) {
        self.patients.clear();
        self.studies.clear();
        self.series.clear();
    }

    fn hash(&mut self, tenant: i64, parts: [&str; 4]) -> u128 {
        self.buffer.clear();
        self.buffer.extend_from_slice(&tenant.to_le_bytes());
        for part in parts {
            self.buffer.extend_from_slice(part.as_bytes());
            self.buffer.push(0);
        }
        xxh3_128_with_seed(&self.buffer, self.seed)
    }
}

fn same(stored: &[String; 4], asked: [&str; 4]) -> bool {
    stored.iter().zip(asked).all(|(a, b)| a == b)
}

fn cached<V>(map: &mut Cached<V>, hash: u128, parts: [&str; 4]) -> Option<Arc<V>> {
    map.get(hash)
        .filter(|(stored, _)| same(stored, parts))
        .map(|(_, value)| Arc::clone(value))
}

/// Finds the series of an arrival, or makes it and what is missing above it.
pub(crate) fn place(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
) -> Result<(Arc<SeriesEntry>, Made), IndexError> {
    let identity = &arrival.instance.identity;
    let parts = [
        identity.issuer_of_patient_id.as_str(),
        identity.patient_id.as_str(),
        identity.study_instance_uid.as_str(),
        identity.series_instance_uid.as_str(),
    ];
    let hash = transaction.places.hash(arrival.tenant, parts);
    if let Some(series) = cached(&mut transaction.places.series, hash, parts) {
        return Ok((series, Made::default()));
    }
    let mut made = Made::default();
    let patient = patient(transaction, arrival, &mut made)?;
    let study = study(transaction, arrival, &patient, &mut made)?;
    let series = Arc::new(series(transaction, arrival, patient, study, &mut made)?);
    let entry = (parts.map(str::to_owned), Arc::clone(&series));
    transaction.places.series.insert(hash, entry);
    Ok((series, made))
}

fn patient(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
    made: &mut Made,
) -> Result<Arc<PatientEntry>, IndexError> {
    const DOING: &str = "finding a patient";
    let identity = &arrival.instance.identity;
    let (issuer, patient_id) = (
        identity.issuer_of_patient_id.as_str(),
        identity.patient_id.as_str(),
    );
    let parts = [issuer, patient_id, "", ""];
    let place = transaction.places.hash(arrival.tenant, parts);
    if let Some(patient) = cached(&mut transaction.places.patients, place, parts) {
        return Ok(patient);
    }
    let hash = transaction
        .hasher
        .text(arrival.tenant, KeyKind::PatientId, patient_id);
    let mut found = None;
    for id in candidates(transaction.connection, transaction.tail, hash)? {
        found = transaction
            .connection
            .prepare_cached(
                "SELECT id, public_id FROM patient
                 WHERE id = ?1 AND state = 0 AND tenant = ?2 AND issuer = ?3 AND patient_id = ?4",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![id, arrival.tenant, issuer, patient_id], |row| {
                        Ok(PatientEntry {
                            id: row.get(0)?,
                            public_id: PublicId(row.get(1)?),
                        })
                    })
                    .optional()
            })
            .doing(DOING)?;
        if found.is_some() {
            break;
        }
    }
    let patient = match found {
        Some(patient) => patient,
        None => {
            made.patient = true;
            new_patient(transaction, arrival, hash)?
        }
    };
    let patient = Arc::new(patient);
    let entry = (parts.map(str::to_owned), Arc::clone(&patient));
    transaction.places.patients.insert(place, entry);
    Ok(patient)
}

fn new_patient(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
    hash: i64,
) -> Result<PatientEntry, IndexError> {
    let identity = &arrival.instance.identity;
    let id = transaction.new_id();
    let qualified = qualified_patient_id(&identity.patient_id, &identity.issuer_of_patient_id);
    let public_id = PublicId::patient(&qualified);
    pack_level(&arrival.instance, Level::Patient, &mut transaction.packed);
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO patient (id, tenant, issuer, patient_id, public_id, created_lsn, last_update_us, tags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                arrival.tenant,
                identity.issuer_of_patient_id,
                identity.patient_id,
                public_id.0,
                arrival.lsn.signed(),
                arrival.received_us,
                transaction.packed,
            ])
        })
        .doing("adding a patient")?;
    transaction.add_key(hash, id);
    transaction.add_key(transaction.hasher.public_id(arrival.tenant, &public_id), id);
    transaction.new_terms += transaction.terms.insert(|terms| {
        terms::patient_terms(id, &identity.patient_id, &transaction.packed, terms);
    });
    extra::keep(
        transaction.connection,
        Level::Patient,
        id,
        &arrival.instance,
    )?;
    transaction.pending.tenant(arrival.tenant).patients += 1;
    Ok(PatientEntry { id, public_id })
}

fn study(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
    patient: &PatientEntry,
    made: &mut Made,
) -> Result<Arc<StudyEntry>, IndexError> {
    const DOING: &str = "finding a study";
    let identity = &arrival.instance.identity;
    let uid = identity.study_instance_uid.as_str();
    let parts = [
        identity.issuer_of_patient_id.as_str(),
        identity.patient_id.as_str(),
        uid,
        "",
    ];
    let place = transaction.places.hash(arrival.tenant, parts);
    if let Some(study) = cached(&mut transaction.places.studies, place, parts) {
        return Ok(study);
    }
    let hash = transaction
        .hasher
        .text(arrival.tenant, KeyKind::StudyUid, uid);
    let (mut found, mut conflict) = (None, false);
    for id in candidates(transaction.connection, transaction.tail, hash)? {
        let row: Option<(i64, [u8; 20], bool)> = transaction
            .connection
            .prepare_cached(
                "SELECT study.patient, study.public_id, study.conflict
                 FROM study JOIN patient ON patient.id = study.patient
                 WHERE study.id = ?1 AND study.state = 0 AND patient.state = 0
                   AND study.tenant = ?2 AND study_uid = ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![id, arrival.tenant, uid], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()
            })
            .doing(DOING)?;
        match row {
            Some((parent, public_id, conflict)) if parent == patient.id => {
                found = Some(StudyEntry {
                    id,
                    public_id: PublicId(public_id),
                    conflict,
                });
                break;
            }
            Some(_) => conflict = true,
            None => {}
        }
    }
    let study = match found {
        Some(study) => study,
        None => {
            made.study = true;
            new_study(transaction, arrival, patient, hash, conflict, made.patient)?
        }
    };
    let study = Arc::new(study);
    let entry = (parts.map(str::to_owned), Arc::clone(&study));
    transaction.places.studies.insert(place, entry);
    Ok(study)
}

fn new_study(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
    patient: &PatientEntry,
    hash: i64,
    conflict: bool,
    made_patient: bool,
) -> Result<StudyEntry, IndexError> {
    let instance = &arrival.instance;
    let identity = &instance.identity;
    let id = transaction.new_id();
    let qualified = qualified_patient_id(&identity.patient_id, &identity.issuer_of_patient_id);
    let public_id = PublicId::study(&qualified, &identity.study_instance_uid);
    pack_study(instance, &mut transaction.packed);
    let (study_date, study_time) = study_moment(instance);
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO study (id, tenant, conflict, patient, study_uid, public_id, study_date, study_time,
                                accession, accession_issuer, created_lsn, last_update_us, tags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                arrival.tenant,
                conflict,
                patient.id,
                identity.study_instance_uid,
                public_id.0,
                study_date,
                study_time,
                identity.accession_number,
                identity.issuer_of_accession_number,
                arrival.lsn.signed(),
                arrival.received_us,
                transaction.packed,
            ])
        })
        .doing("adding a study")?;
    transaction.add_key(hash, id);
    transaction.add_key(transaction.hasher.public_id(arrival.tenant, &public_id), id);
    if !identity.accession_number.is_empty() {
        let hash = transaction.hasher.text(
            arrival.tenant,
            KeyKind::Accession,
            &identity.accession_number,
        );
        transaction.add_key(hash, id);
    }
    let same_name = made_patient || !name_differs(transaction, patient.id, arrival)?;
    transaction.new_terms += transaction.terms.insert(|terms| {
        terms::study_terms(
            id,
            &identity.accession_number,
            &transaction.packed,
            same_name,
            terms,
        );
    });
    extra::keep(transaction.connection, Level::Study, id, instance)?;
    transaction.pending.tenant(arrival.tenant).studies += 1;
    transaction.pending.patient(patient.id).studies += 1;
    Ok(StudyEntry {
        id,
        public_id,
        conflict,
    })
}

/// Whether the name that came with a study is not the one of the patient's row.
fn name_differs(
    transaction: &Transaction<'_>,
    patient: i64,
    arrival: &Arrival,
) -> Result<bool, IndexError> {
    let packed: Vec<u8> = transaction
        .connection
        .prepare_cached("SELECT tags FROM patient WHERE id = ?1")
        .and_then(|mut statement| statement.query_row(params![patient], |row| row.get(0)))
        .doing("comparing names")?;
    let stored = tags::find(&packed, t::PATIENT_NAME).unwrap_or("");
    Ok(stored != arrival.instance.tag(t::PATIENT_NAME).unwrap_or(""))
}

fn series(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
    patient: Arc<PatientEntry>,
    study: Arc<StudyEntry>,
    made: &mut Made,
) -> Result<SeriesEntry, IndexError> {
    const DOING: &str = "finding a series";
    let uid = arrival.instance.identity.series_instance_uid.as_str();
    let hash = transaction
        .hasher
        .text(arrival.tenant, KeyKind::SeriesUid, uid);
    let mut elsewhere = false;
    for id in candidates(transaction.connection, transaction.tail, hash)? {
        let row: Option<(i64, [u8; 20], bool)> = transaction
            .connection
            .prepare_cached(
                "SELECT series.study, series.public_id, series.conflict
                 FROM series JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
                 WHERE series.id = ?1 AND series.state = 0 AND study.state = 0 AND patient.state = 0
                   AND series.tenant = ?2 AND series_uid = ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![id, arrival.tenant, uid], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()
            })
            .doing(DOING)?;
        match row {
            Some((parent, public_id, conflict)) if parent == study.id => {
                let classes = series_classes(transaction, id)?;
                let public_id = PublicId(public_id);
                return Ok(SeriesEntry {
                    id,
                    public_id,
                    conflict,
                    study,
                    patient,
                    classes,
                });
            }
            Some(_) => elsewhere = true,
            None => {}
        }
    }
    made.series = true;
    new_series(transaction, arrival, patient, study, hash, elsewhere)
}

fn series_classes(
    transaction: &Transaction<'_>,
    series: i64,
) -> Result<Mutex<Vec<i64>>, IndexError> {
    transaction
        .connection
        .prepare_cached("SELECT sop_class FROM series_class WHERE series = ?1")
        .and_then(|mut statement| {
            statement
                .query_map(params![series], |row| row.get(0))?
                .collect::<Result<Vec<i64>, _>>()
        })
        .map(Mutex::new)
        .doing("reading the SOP classes of a series")
}

fn new_series(
    transaction: &mut Transaction<'_>,
    arrival: &Arrival,
    patient: Arc<PatientEntry>,
    study: Arc<StudyEntry>,
    hash: i64,
    conflict: bool,
) -> Result<SeriesEntry, IndexError> {
    let instance = &arrival.instance;
    let identity = &instance.identity;
    let id = transaction.new_id();
    let qualified = qualified_patient_id(&identity.patient_id, &identity.issuer_of_patient_id);
    let public_id = PublicId::series(
        &qualified,
        &identity.study_instance_uid,
        &identity.series_instance_uid,
    );
    pack_level(&arrival.instance, Level::Series, &mut transaction.packed);
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO series (id, tenant, conflict, study, series_uid, public_id, modality, expected,
                                 created_lsn, last_update_us, tags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                arrival.tenant,
                conflict,
                study.id,
                identity.series_instance_uid,
                public_id.0,
                instance.tag(Tag(0x0008, 0x0060)).unwrap_or(""),
                expected_instances(instance),
                arrival.lsn.signed(),
                arrival.received_us,
                transaction.packed,
            ])
        })
        .doing("adding a series")?;
    transaction.add_key(hash, id);
    transaction.add_key(transaction.hasher.public_id(arrival.tenant, &public_id), id);
    extra::keep(transaction.connection, Level::Series, id, instance)?;
    transaction.pending.tenant(arrival.tenant).series += 1;
    transaction.pending.patient(patient.id).series += 1;
    transaction.pending.study(study.id).series += 1;
    let classes = Mutex::default();
    Ok(SeriesEntry {
        id,
        public_id,
        conflict,
        study,
        patient,
        classes,
    })
}

/// How many instances the first of a series announces: in space and time, or else in phases of the heart.
pub(crate) fn expected_instances(instance: &Instance) -> Option<i64> {
    let number = |group, element| -> Option<i64> {
        let value = instance.tag(Tag(group, element))?.trim().parse().ok()?;
        (value > 0).then_some(value)
    };
    let product = |a: Option<i64>, b: Option<i64>| a?.checked_mul(b?);
    let images_in_acquisition = number(0x0020, 0x1002);
    let temporal_positions = number(0x0020, 0x0105);
    let (slices, time_slices) = (number(0x0054, 0x0081), number(0x0054, 0x0101));
    product(images_in_acquisition, temporal_positions)
        .or_else(|| product(slices, time_slices))
        .or_else(|| number(0x0018, 0x1090))
}

/// Packs the tags that a study keeps: its own and the patient's, as they came with it.
pub(crate) fn pack_study(instance: &Instance, into: &mut Vec<u8>) {
    let keep = main_tags(Level::Study);
    let patient_tags = main_tags(Level::Patient);
    tags::pack(
        instance
            .tags
            .iter()
            .filter(|(tag, _)| {
                *tag != t::STUDY_INSTANCE_UID
                    && (keep.binary_search(tag).is_ok() || patient_tags.binary_search(tag).is_ok())
            })
            .map(|(tag, value)| (*tag, value.as_str())),
        into,
    );
}

/// Study Date as yyyymmdd and Study Time as microseconds of the day.
pub(crate) fn study_moment(instance: &Instance) -> (Option<i64>, Option<i64>) {
    let date = instance.tag(Tag(0x0008, 0x0020));
    let time = instance.tag(Tag(0x0008, 0x0030));
    (
        date.and_then(crate::normal::date),
        time.and_then(crate::normal::time_us),
    )
}

/// Packs the tags that a level keeps, but for the UID that has a column.
pub(crate) fn pack_level(instance: &Instance, level: Level, into: &mut Vec<u8>) {
    let keep = main_tags(level);
    let own = own_uid(level);
    tags::pack(
        instance
            .tags
            .iter()
            .filter(|(tag, _)| Some(*tag) != own && keep.binary_search(tag).is_ok())
            .map(|(tag, value)| (*tag, value.as_str())),
        into,
    );
}

/// The UID of a level, which rows hold in a column of its own.
pub(crate) const fn own_uid(level: Level) -> Option<Tag> {
    match level {
        Level::Patient => None,
        Level::Study => Some(t::STUDY_INSTANCE_UID),
        Level::Series => Some(t::SERIES_INSTANCE_UID),
        Level::Instance => Some(t::SOP_INSTANCE_UID),
    }
}

/// The identifiers that must not be empty.
pub(crate) fn check_identity(identity: &Identity, lsn: u64) -> Result<(), IndexError> {
    for (name, value) in [
        ("StudyInstanceUID", &identity.study_instance_uid),
        ("SeriesInstanceUID", &identity.series_instance_uid),
        ("SOPInstanceUID", &identity.sop_instance_uid),
    ] {
        if value.is_empty() {
            return Err(IndexError::EmptyUid { lsn, name });
        }
    }
    Ok(())
}
