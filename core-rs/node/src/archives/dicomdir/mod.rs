//! The directory of a medium (PS3.3 Annex F, PS3.10 §8): records for patients, studies, series and instances.
//!
//! 1. Records are made while their instances are read; what waits until the end is in a spool.
//! 2. A record says what its instance says, in the character set of the instance. What must have a value and has none in the
//!    instance gets one that is no statement about the patient: numbers are counted, dates are those of another event of
//!    the same instance or of its arrival (as DCMTK's `--invent` does).

mod keys;
mod values;

use sha1::{Digest as _, Sha1};
use vna_dicom::{
    DataElement, DataSet, DataSetWriter, EXPLICIT_VR_LITTLE_ENDIAN, FileMetaFields, ReadAt, Tag,
    Value, Vr, write_file_meta,
};

use crate::error::ArchiveError;
use crate::transcode::{Spool, SpoolSettings};
use keys::{PATIENT_KEYS, RecordLevel, SERIES_KEYS, STUDY_KEYS};
pub(super) use values::{About, read_about};

const MEDIA_STORAGE_DIRECTORY: &str = "1.2.840.10008.1.3.10";
/// A label that tells people what made the medium; at most 16 characters.
const FILE_SET_ID: &[u8] = b"VNA_MEDIA";

const FILE_SET_ID_TAG: Tag = Tag(0x0004, 0x1130);
const FIRST_RECORD: Tag = Tag(0x0004, 0x1200);
const LAST_RECORD: Tag = Tag(0x0004, 0x1202);
const CONSISTENCY: Tag = Tag(0x0004, 0x1212);
const NEXT_RECORD: Tag = Tag(0x0004, 0x1400);
const IN_USE: Tag = Tag(0x0004, 0x1410);
const LOWER_RECORD: Tag = Tag(0x0004, 0x1420);
const RECORD_TYPE: Tag = Tag(0x0004, 0x1430);
const PRIVATE_RECORD_UID: Tag = Tag(0x0004, 0x1432);
const FILE_ID: Tag = Tag(0x0004, 0x1500);
const CLASS_IN_FILE: Tag = Tag(0x0004, 0x1510);
const INSTANCE_IN_FILE: Tag = Tag(0x0004, 0x1511);
const SYNTAX_IN_FILE: Tag = Tag(0x0004, 0x1512);

/// Where the two offsets of a record are: behind the header of its item come (0004,1400), (0004,1410) and (0004,1420), of
/// known lengths.
const NEXT_AT: usize = 8 + 8;
const LOWER_AT: usize = NEXT_AT + 4 + 10 + 8;

/// The directory of a medium, in the making.
pub(super) struct DicomDir {
    extended: bool,
    records: Spool,
    places: Vec<Place>,
    /// Numbers of the patient, study and series in work; a new one gets a record.
    above: [Option<i64>; 3],
    /// How many records each level has had below the one in work.
    counts: [u64; 4],
    uids: Sha1,
}

/// A record, as far as offsets go.
struct Place {
    level: RecordLevel,
    bytes: u32,
}

/// An instance on the medium.
pub(super) struct OnMedium<'a> {
    /// Numbers of its patient, study and series.
    pub above: [i64; 3],
    pub file_id: &'a [String; 2],
    /// UIDs of the file, which may not be those of what is stored: it may have been transcoded.
    pub sop_instance_uid: &'a str,
    pub transfer_syntax_uid: &'a str,
    pub sop_class_uid: &'a str,
}

impl DicomDir {
    /// An empty one; `extended` adds what viewers show beside what must be there.
    pub fn new(extended: bool, spool: &SpoolSettings) -> Self {
        DicomDir {
            extended,
            records: Spool::new(spool),
            places: Vec::new(),
            above: [None; 3],
            counts: [0; 4],
            uids: Sha1::new(),
        }
    }

    /// Adds the record of an instance, and of those above it that have none yet. Instances of a series come behind each
    /// other, and so do series of a study and studies of a patient.
    ///
    /// # Errors
    ///
    /// Those of the spool; that a value cannot be written.
    pub fn add(&mut self, instance: &OnMedium<'_>, about: &About) -> Result<(), ArchiveError> {
        let levels = [
            (RecordLevel::Patient, "PATIENT", PATIENT_KEYS),
            (RecordLevel::Study, "STUDY", STUDY_KEYS),
            (RecordLevel::Series, "SERIES", SERIES_KEYS),
        ];
        for (at, (level, name, keys)) in levels.into_iter().enumerate() {
            if self.above[at] == Some(instance.above[at]) {
                continue;
            }
            self.above[at] = Some(instance.above[at]);
            self.above[at + 1..].fill(None);
            let count = self.count(at);
            let values = about.values(keys, self.extended, count);
            self.push(level, name, DataSet::new(), values)?;
        }
        let count = self.count(3);
        let record = about.record;
        let values = about.values(record.keys, self.extended, count);
        let [folder, file] = instance.file_id;
        let mut of_file = DataSet::from_iter([
            text(FILE_ID, Vr::CS, &format!("{folder}\\{file}")),
            text(CLASS_IN_FILE, Vr::UI, instance.sop_class_uid),
            text(INSTANCE_IN_FILE, Vr::UI, instance.sop_instance_uid),
            text(SYNTAX_IN_FILE, Vr::UI, instance.transfer_syntax_uid),
        ]);
        if record == &keys::PRIVATE {
            // Whose private type it is: that of the class itself (PS3.3 Table F.3-3).
            of_file.insert(text(PRIVATE_RECORD_UID, Vr::UI, instance.sop_class_uid));
        }
        self.uids.update(instance.sop_instance_uid);
        self.uids.update([0]);
        self.push(RecordLevel::Instance, record.name, of_file, values)
    }

    fn count(&mut self, level: usize) -> u64 {
        self.counts[level] += 1;
        self.counts[level + 1..].fill(0);
        self.counts[level]
    }

    fn push(
        &mut self,
        level: RecordLevel,
        name: &str,
        of_file: DataSet,
        values: DataSet,
    ) -> Result<(), ArchiveError> {
        let mut record = vec![0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0];
        let mut writer = DataSetWriter::new(&mut record, EXPLICIT_VR_LITTLE_ENDIAN);
        writer.bytes(NEXT_RECORD, Vr::UL, &[0; 4])?;
        writer.bytes(IN_USE, Vr::US, &[0xFF; 2])?;
        writer.bytes(LOWER_RECORD, Vr::UL, &[0; 4])?;
        writer.bytes(RECORD_TYPE, Vr::CS, name.as_bytes())?;
        for element in of_file.elements().iter().chain(values.elements()) {
            writer.element(element)?;
        }
        writer.finish();
        let bytes = u32::try_from(record.len()).map_err(|_| too_long())?;
        record[4..8].copy_from_slice(&(bytes - 8).to_le_bytes());
        self.records.append(&record)?;
        self.places.push(Place { level, bytes });
        Ok(())
    }

    /// The whole directory, to be read.
    ///
    /// # Errors
    ///
    /// That it is longer than its offsets can say.
    pub fn finish(self) -> Result<Finished, ArchiveError> {
        let records_bytes = u32::try_from(self.records.size()).map_err(|_| too_long())?;
        let head = |first: u32, last: u32| self.head(records_bytes, first, last);
        let begin = u32::try_from(head(0, 0)?.len()).map_err(|_| too_long())?;
        begin.checked_add(records_bytes).ok_or_else(too_long)?;

        let mut links = Vec::with_capacity(self.places.len());
        let mut end = begin + records_bytes;
        // From the last to the first: what comes next on each level is known then.
        let mut next_on = [0_u32; 4];
        let mut last = 0;
        for place in self.places.iter().rev() {
            let at = end - place.bytes;
            let level = place.level as usize;
            let lower = next_on.get(level + 1).copied().unwrap_or(0);
            links.push((next_on[level], lower));
            next_on[level] = at;
            next_on[level + 1..].fill(0);
            if level == 0 && last == 0 {
                last = at;
            }
            end = at;
        }
        links.reverse();
        Ok(Finished {
            head: Some(head(next_on[0], last)?),
            length: u64::from(begin) + u64::from(records_bytes),
            records: self.records,
            places: self.places,
            links,
            at: 0,
            read: 0,
        })
    }

    /// All before the first record.
    fn head(&self, records_bytes: u32, first: u32, last: u32) -> Result<Vec<u8>, ArchiveError> {
        let uid = uid_of(&self.uids);
        let mut out = write_file_meta(&FileMetaFields {
            media_storage_sop_class_uid: MEDIA_STORAGE_DIRECTORY,
            media_storage_sop_instance_uid: &uid,
            transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN,
            source_application_entity_title: "",
        });
        let mut writer = DataSetWriter::new(&mut out, EXPLICIT_VR_LITTLE_ENDIAN);
        writer.bytes(FILE_SET_ID_TAG, Vr::CS, FILE_SET_ID)?;
        writer.bytes(FIRST_RECORD, Vr::UL, &first.to_le_bytes())?;
        writer.bytes(LAST_RECORD, Vr::UL, &last.to_le_bytes())?;
        writer.bytes(CONSISTENCY, Vr::US, &[0; 2])?;
        writer.finish();
        out.extend_from_slice(&[0x04, 0x00, 0x20, 0x12, b'S', b'Q', 0, 0]); // (0004,1220)
        out.extend_from_slice(&records_bytes.to_le_bytes());
        Ok(out)
    }
}

/// A name-based UUID (PS3.5 §B.2) of the instances: the directory of the same files is the same instance.
fn uid_of(uids: &Sha1) -> String {
    let hash = uids.clone().finalize();
    let first: [u8; 16] = hash.first_chunk().copied().unwrap_or_default();
    let (version, variant) = (0xF << 76, 0b11 << 62);
    let uuid = u128::from_be_bytes(first) & !(version | variant) | 5 << 76 | 0b10 << 62;
    format!("2.25.{uuid}")
}

fn text(tag: Tag, vr: Vr, value: &str) -> DataElement {
    DataElement {
        tag,
        vr,
        value: Value::Bytes(value.as_bytes().to_vec()),
    }
}

fn too_long() -> ArchiveError {
    ArchiveError::Making(super::MakingProblem::DirectoryTooLong)
}

/// A directory that is complete.
pub(super) struct Finished {
    head: Option<Vec<u8>>,
    pub length: u64,
    records: Spool,
    places: Vec<Place>,
    /// Of each record, where the next of its level and the first below it are.
    links: Vec<(u32, u32)>,
    /// The next record, and where it is in the spool.
    at: usize,
    read: u64,
}

impl Finished {
    /// Whether all was read.
    pub fn is_over(&self) -> bool {
        self.head.is_none() && self.at == self.places.len()
    }

    /// Reads on, about `enough` bytes; empty at the end.
    ///
    /// # Errors
    ///
    /// Those of the spool.
    pub fn read(&mut self, enough: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut out = self.head.take().unwrap_or_default();
        while out.len() < enough && self.at < self.places.len() {
            let bytes = self.places[self.at].bytes as usize;
            let begin = out.len();
            out.resize(begin + bytes, 0);
            let record = &mut out[begin..];
            self.records.read_at(record, self.read)?;
            let (next, lower) = self.links[self.at];
            record[NEXT_AT..NEXT_AT + 4].copy_from_slice(&next.to_le_bytes());
            record[LOWER_AT..LOWER_AT + 4].copy_from_slice(&lower.to_le_bytes());
            self.read += bytes as u64;
            self.at += 1;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
