//! Made-up instances, and calls that wait.

use std::sync::Arc;
use std::sync::mpsc;

use vna_dicom::{FileMetaFields, Level, PublicId, write_file_meta};
use vna_index::{Origin, Outcome};
use vna_node::{Archive, ArchiveError, DEFAULT_TENANT};

const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// Which instance: patient, study, series and instance number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who(pub u8, pub u8, pub u8, pub u8);

impl Who {
    pub fn patient_id(self) -> String {
        format!("P{}", self.0)
    }

    pub fn study_uid(self) -> String {
        format!("1.2.{}.{}", self.0, self.1)
    }

    pub fn series_uid(self) -> String {
        format!("1.2.{}.{}.{}", self.0, self.1, self.2)
    }

    pub fn sop_uid(self) -> String {
        format!("1.2.{}.{}.{}.{}", self.0, self.1, self.2, self.3)
    }

    pub fn public_id(self, level: Level) -> PublicId {
        let (patient, study, series) = (self.patient_id(), self.study_uid(), self.series_uid());
        match level {
            Level::Patient => PublicId::patient(&patient),
            Level::Study => PublicId::study(&patient, &study),
            Level::Series => PublicId::series(&patient, &study, &series),
            Level::Instance => PublicId::instance(&patient, &study, &series, &self.sop_uid()),
        }
    }
}

/// A PS3.10 file of `who` whose pixel data has `bytes` bytes that depend on `version`.
pub fn file(who: Who, version: u32, bytes: usize) -> Vec<u8> {
    let mut file = write_file_meta(&FileMetaFields {
        media_storage_sop_class_uid: SECONDARY_CAPTURE,
        media_storage_sop_instance_uid: &who.sop_uid(),
        transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN,
        source_application_entity_title: "",
    });
    element(&mut file, 0x0008_0016, b"UI", SECONDARY_CAPTURE.as_bytes());
    element(&mut file, 0x0008_0018, b"UI", who.sop_uid().as_bytes());
    element(
        &mut file,
        0x0010_0010,
        b"PN",
        format!("Name^{}", who.0).as_bytes(),
    );
    element(&mut file, 0x0010_0020, b"LO", who.patient_id().as_bytes());
    element(&mut file, 0x0020_000D, b"UI", who.study_uid().as_bytes());
    element(&mut file, 0x0020_000E, b"UI", who.series_uid().as_bytes());
    let pixels: Vec<u8> = (version..)
        .map(|at| at.wrapping_mul(31).to_le_bytes()[0])
        .take(bytes + bytes % 2)
        .collect();
    element(&mut file, 0x7FE0_0010, b"OW", &pixels);
    file
}

fn element(file: &mut Vec<u8>, tag: u32, vr: &[u8; 2], value: &[u8]) {
    let (group, number) = ((tag >> 16) as u16, (tag & 0xFFFF) as u16);
    let length = value.len() + value.len() % 2;
    file.extend(group.to_le_bytes());
    file.extend(number.to_le_bytes());
    file.extend(vr);
    if vr == b"OW" {
        file.extend([0, 0]);
        file.extend(u32::try_from(length).unwrap().to_le_bytes());
    } else {
        file.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
    file.extend(value);
    let pad = if vr == b"UI" { 0 } else { b' ' };
    file.resize(file.len() + value.len() % 2, pad);
}

/// Stores a file and waits for the answer.
pub fn store(archive: &Archive, file: Vec<u8>) -> Result<Outcome, Arc<ArchiveError>> {
    let (reply, answer) = mpsc::channel();
    let reply = Box::new(move |answer| drop(reply.send(answer)));
    archive.store_file(file, DEFAULT_TENANT, Origin::default(), reply);
    answer
        .recv()
        .unwrap_or_else(|_| Err(Arc::new(ArchiveError::Stopped)))
}

/// Deletes a resource and waits for the answer.
pub fn delete(archive: &Archive, level: Level, id: PublicId) -> Result<Outcome, Arc<ArchiveError>> {
    let (reply, answer) = mpsc::channel();
    let reply = Box::new(move |answer| drop(reply.send(answer)));
    archive.delete(DEFAULT_TENANT, level, id, reply);
    answer
        .recv()
        .unwrap_or_else(|_| Err(Arc::new(ArchiveError::Stopped)))
}

/// The file of a live instance, or `None`.
pub fn fetch(archive: &Archive, id: &PublicId) -> Result<Option<Vec<u8>>, ArchiveError> {
    match archive.open_file(DEFAULT_TENANT, id)? {
        Some((_, reader)) => Ok(Some(reader.read_all()?)),
        None => Ok(None),
    }
}
