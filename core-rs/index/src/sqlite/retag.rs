//! What rows say of a resource, written anew from the head of one of its instances.
//!
//! 1. What a row was found by stays a hint that leads to it: terms and keys are candidates, and each row is compared.
//! 2. New terms and keys of rows that are in the tables already go there at once: a start would not read them again.

use super::extra;
use super::keys::KeyKind;
use super::place::{expected_instances, pack_level, pack_study, study_moment};
use super::terms;
use super::writer::Transaction;
use crate::IndexError;
use crate::error::Doing;
use rusqlite::{OptionalExtension, params};
use vna_dicom::{Instance, Level, Tag};

const DOING: &str = "writing the tags of a resource anew";

impl Transaction<'_> {
    /// Writes the tags of the resource `id` of `level`, and those above it are left alone.
    pub(crate) fn retag(
        &mut self,
        level: Level,
        id: i64,
        instance: &Instance,
    ) -> Result<(), IndexError> {
        match level {
            Level::Patient => self.retag_patient(id, instance)?,
            Level::Study => self.retag_study(id, instance)?,
            Level::Series => self.retag_series(id, instance)?,
            Level::Instance => self.retag_instance(id, instance)?,
        }
        extra::keep(self.connection, level, id, instance)
    }

    fn retag_patient(&mut self, id: i64, instance: &Instance) -> Result<(), IndexError> {
        // Studies that came with the former name are found by it through their patient: see terms.rs (4).
        let mut found = terms::of_patient(self.connection, id)?;
        pack_level(instance, Level::Patient, &mut self.packed);
        let patient_id: Option<String> = self
            .connection
            .prepare_cached(
                "UPDATE patient SET tags = ?2 WHERE id = ?1 AND tags <> ?2 RETURNING patient_id",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![id, self.packed], |row| row.get(0))
                    .optional()
            })
            .doing(DOING)?;
        let Some(patient_id) = patient_id else {
            return Ok(());
        };
        terms::patient_terms(id, &patient_id, &self.packed, &mut found);
        terms::add_to_table(self.connection, &found)
    }

    fn retag_study(&mut self, id: i64, instance: &Instance) -> Result<(), IndexError> {
        let identity = &instance.identity;
        pack_study(instance, &mut self.packed);
        let (date, time) = study_moment(instance);
        let tenant: Option<i64> = self
            .connection
            .prepare_cached(
                "UPDATE study SET tags = ?2, study_date = ?3, study_time = ?4, accession = ?5, accession_issuer = ?6
                 WHERE id = ?1 AND (tags <> ?2 OR accession <> ?5 OR accession_issuer <> ?6) RETURNING tenant",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![
                            id,
                            self.packed,
                            date,
                            time,
                            identity.accession_number,
                            identity.issuer_of_accession_number
                        ],
                        |row| row.get(0),
                    )
                    .optional()
            })
            .doing(DOING)?;
        let Some(tenant) = tenant else {
            return Ok(());
        };
        if !identity.accession_number.is_empty() {
            let kind = KeyKind::Accession;
            let hash = self.hasher.text(tenant, kind, &identity.accession_number);
            self.tail.put(self.connection, hash, id)?;
        }
        let mut found = Vec::new();
        // Also where it is the patient's: more candidates, no other answer.
        terms::study_terms(
            id,
            &identity.accession_number,
            &self.packed,
            false,
            &mut found,
        );
        terms::add_to_table(self.connection, &found)
    }

    fn retag_series(&mut self, id: i64, instance: &Instance) -> Result<(), IndexError> {
        pack_level(instance, Level::Series, &mut self.packed);
        self.connection
            .prepare_cached(
                "UPDATE series SET tags = ?2, modality = ?3, expected = ?4 WHERE id = ?1 AND tags <> ?2",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    id,
                    self.packed,
                    instance.tag(Tag(0x0008, 0x0060)).unwrap_or(""),
                    expected_instances(instance),
                ])
            })
            .doing(DOING)?;
        Ok(())
    }

    fn retag_instance(&mut self, id: i64, instance: &Instance) -> Result<(), IndexError> {
        pack_level(instance, Level::Instance, &mut self.packed);
        self.connection
            .prepare_cached(
                "UPDATE instance SET tags = ?2, index_in_series = ?3, frames = ?4 WHERE id = ?1 AND tags <> ?2",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    id,
                    self.packed,
                    super::arrive::index_in_series(instance),
                    instance.number_of_frames,
                ])
            })
            .doing(DOING)?;
        Ok(())
    }
}
