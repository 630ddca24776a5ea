//! What an identifier must have at each level of an information model (PS3.4 §C.4.1.2, §C.6).

use serde::Deserialize;
use vna_dicom::{Level, Tag, tags as t};

use super::identifier::{Asks, Identifier};
use super::problem::IdentifierProblem;

/// An information model of PS3.4 §C.6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InformationModel {
    /// Patient Root.
    Patient,
    /// Study Root, in which the patient's attributes are the study's.
    #[default]
    Study,
    /// Patient/Study Only, retired.
    PatientStudy,
}

impl InformationModel {
    fn levels(self) -> &'static [Level] {
        match self {
            Self::Patient => &Level::ALL,
            Self::Study => &Level::ALL[1..],
            Self::PatientStudy => &Level::ALL[..2],
        }
    }

    /// The level of an identifier.
    pub(super) fn level(self, identifier: &Identifier) -> Result<Level, IdentifierProblem> {
        let level = identifier.level()?;
        if self.levels().contains(&level) {
            return Ok(level);
        }
        let levels = self.levels().iter().map(|level| word(*level));
        let text = format!(
            "Query/Retrieve Level is {}, which this information model has not; it has {}",
            word(level),
            levels.collect::<Vec<_>>().join(", ")
        );
        Err(IdentifierProblem::Mismatch(text))
    }

    /// Checks that the unique keys of all levels above have one value each, as a hierarchical search needs them.
    pub(super) fn check_hierarchical(
        self,
        identifier: &Identifier,
        level: Level,
    ) -> Result<(), IdentifierProblem> {
        for above in self.levels().iter().filter(|above| **above < level) {
            let tag = unique_key(*above);
            let value = identifier.value(tag);
            // The value itself stays out of the message, which is logged: it may be a patient's.
            let found = match value {
                "" => "nothing",
                value if value.contains('\\') => "several",
                value if tag == t::PATIENT_ID && value.contains(['*', '?']) => "a wildcard",
                _ => continue,
            };
            return Err(missing(tag, level, &format!("one value, found {found}")));
        }
        Ok(())
    }

    /// Checks that an identifier of C-MOVE or C-GET names what it wants: by unique keys, without wildcards. Any level's
    /// own unique key does, since it leaves nothing open; in a relational retrieve also one of a level above.
    pub(super) fn check_retrieve(
        self,
        identifier: &Identifier,
        level: Level,
        relational: bool,
    ) -> Result<(), IdentifierProblem> {
        let names =
            |at: Level| self.levels().contains(&at) && !identifier.value(unique_key(at)).is_empty();
        // Not in the standard, but what clients rely on: an order is retrieved by its number.
        let by_order = level == Level::Study && !identifier.value(t::ACCESSION_NUMBER).is_empty();
        let by_level_above = relational
            && Level::ALL
                .into_iter()
                .any(|above| above < level && names(above));
        if !names(level) && !by_order && !by_level_above {
            return Err(missing(
                unique_key(level),
                level,
                "a value, or several, found none",
            ));
        }
        for key in &identifier.keys {
            let is_wild = matches!(&key.asks, Asks::Value(value) if value.contains(['*', '?']));
            if is_wild && (key.tag == t::PATIENT_ID || key.tag == t::ACCESSION_NUMBER) {
                let text = format!("{} has a wildcard; what is retrieved is named", key.tag);
                return Err(IdentifierProblem::Mismatch(text));
            }
        }
        Ok(())
    }
}

fn missing(tag: Tag, level: Level, needs: &str) -> IdentifierProblem {
    let name = vna_dicom::keyword(tag).unwrap_or_default();
    IdentifierProblem::Mismatch(format!(
        "{tag} {name} needs {needs}, at level {}",
        word(level)
    ))
}

/// The unique key of a level (PS3.4 §C.6.1.1).
pub(super) const fn unique_key(level: Level) -> Tag {
    match level {
        Level::Patient => t::PATIENT_ID,
        Level::Study => t::STUDY_INSTANCE_UID,
        Level::Series => t::SERIES_INSTANCE_UID,
        Level::Instance => t::SOP_INSTANCE_UID,
    }
}

/// A level as Query/Retrieve Level has it.
pub(super) const fn word(level: Level) -> &'static str {
    match level {
        Level::Patient => "PATIENT",
        Level::Study => "STUDY",
        Level::Series => "SERIES",
        Level::Instance => "IMAGE",
    }
}
