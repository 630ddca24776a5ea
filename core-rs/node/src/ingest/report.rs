//! What became of an upload, as clients read it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::UploadError;
use super::pending::{How, Outcomes, Told};
use crate::error::ArchiveError;
use vna_index::Ids;

/// The answer to an upload.
#[derive(Debug)]
pub struct Report {
    outcomes: Outcomes,
    form: Form,
    /// Of `outcomes`, how many were written.
    written: usize,
}

/// What was uploaded, which says how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A single file: an object, or what is wrong with it.
    Single,
    /// Parts of a form: a list of all, or what is wrong with the first if there is nothing else to tell.
    Parts,
    /// A ZIP archive: a list of what is stored, since clients of Orthanc look for the `ID` of each.
    Archive,
    /// A list of all.
    All,
}

impl Form {
    /// The form in which everything is told, where it is a list and that is wanted.
    pub(super) fn telling(self, all: bool) -> Self {
        match self {
            Self::Parts | Self::Archive if all => Self::All,
            form => form,
        }
    }
}

impl Report {
    /// Of an upload.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if that is all there is to tell.
    pub(super) fn of(outcomes: Outcomes, form: Form) -> Result<Self, Arc<ArchiveError>> {
        let must_have_some = match form {
            Form::Single | Form::Parts => true,
            Form::Archive | Form::All => false,
        };
        let is_good = |told: &Told| match told {
            Told::Stored { .. } | Told::Archive { .. } => true,
            Told::PassedOver { .. } => form != Form::Single,
            Told::Refused { .. } => false,
        };
        if must_have_some && !outcomes.told.iter().any(is_good) {
            return Err(match outcomes.told.into_iter().next() {
                Some(Told::Refused { why, .. } | Told::PassedOver { why, .. }) => why,
                _ => ArchiveError::from(UploadError::Empty).into(),
            });
        }
        Ok(Self {
            outcomes,
            form,
            written: 0,
        })
    }

    /// Whether its JSON is written in no time.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.outcomes.told.len() <= 1
    }

    /// Whether all of its JSON was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.written > self.outcomes.told.len() || self.form == Form::Single && self.written > 0
    }

    /// How many files were not stored.
    #[must_use]
    pub fn not_stored(&self) -> u64 {
        self.outcomes.not_stored
    }

    /// The next part of the JSON, somewhat over `bytes` at most; empty when all was given.
    pub fn next_json(&mut self, bytes: usize) -> Vec<u8> {
        let told = &self.outcomes.told;
        if self.form == Form::Single {
            let text = match told.get(self.written) {
                Some(told) => json_of(told).to_string(),
                None => String::new(),
            };
            self.written += 1;
            return text.into_bytes();
        }
        if self.written > told.len() {
            return Vec::new();
        }
        let mut out = Vec::new();
        let mut is_first = self.written == 0;
        if is_first {
            out.push(b'[');
            // What is not listed must not leave a comma.
            self.outcomes
                .told
                .retain(|told| self.form != Form::Archive || matches!(told, Told::Stored { .. }));
        }
        let told = &self.outcomes.told;
        while let Some(next) = told.get(self.written) {
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            out.extend_from_slice(json_of(next).to_string().as_bytes());
            self.written += 1;
            if out.len() >= bytes {
                return out;
            }
        }
        self.written += 1;
        out.push(b']');
        out
    }
}

fn json_of(told: &Told) -> Value {
    match told {
        Told::Stored { ids, how, .. } => stored(ids, *how),
        Told::PassedOver { name, why } => not_stored("Skipped", name, why),
        Told::Refused { name, why, .. } => not_stored("Failure", name, why),
        Told::Archive { entries } => json!({ "Entries": entries, "Status": "Archive" }),
    }
}

fn not_stored(status: &str, name: &str, why: &ArchiveError) -> Value {
    json!({
        "Code": why.code(),
        "Details": why.to_string(),
        "Name": name,
        "Status": status,
    })
}

fn stored(ids: &Ids, how: How) -> Value {
    let Ids {
        patient,
        study,
        series,
        instance,
    } = ids;
    // Clients know two answers: a version that lost against the live one is "already stored" too.
    let status = match how {
        How::New | How::OtherParent | How::InsteadOfOther => "Success",
        How::Again | How::BesideOther => "AlreadyStored",
    };
    let mut answer = json!({
        "ID": instance.to_string(),
        "ParentPatient": patient.to_string(),
        "ParentSeries": series.to_string(),
        "ParentStudy": study.to_string(),
        "Path": format!("/instances/{instance}"),
        "Status": status,
    });
    // What somebody should look into: the same UID with other bytes, or below another parent.
    match how {
        How::New | How::Again => {}
        How::OtherParent => answer["Conflict"] = "Parent".into(),
        How::BesideOther | How::InsteadOfOther => answer["Conflict"] = "Content".into(),
    }
    answer
}
