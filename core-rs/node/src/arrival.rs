//! How an instance arrived: what the log keeps beside its bytes, so that the index can be rebuilt
//! from the log alone (invariant 4).

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vna_dicom::{Identity, Instance, Level, PublicId};
use vna_index::{ChangeType, Derivation, DuplicatePolicy, Origin};

use crate::find::level_named;

/// Who brought an instance, and by which way in: [`vna_index::Origin`] as the log spells it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Origin")]
struct OriginFields {
    #[serde(default)]
    way_in: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    calling_ae_title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    called_ae_title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
}

/// The header of an arrival's log record; the record's blob is the PS3.10 file. JSON, because a record must
/// stay readable for as long as the images it describes, by programs that know fewer or more of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalHeader {
    /// Whose archive it came to.
    pub tenant: i64,
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// Who brought it.
    #[serde(with = "OriginFields")]
    pub origin: Origin,
    /// The duplicate policy in force: the decision is a function of it and of what came before, so
    /// a replay decides alike even after the configuration changed.
    pub duplicates: Duplicates,
    /// Whether Issuer of Patient ID was part of a patient's identity.
    #[serde(default)]
    pub patient_issuers: bool,
    /// How long the losing version of a duplicate is kept, in microseconds.
    pub keep_versions_us: i64,
    /// What it was made of, if the archive has made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<Box<DerivedFrom>>,
}

/// How the archive has made an instance of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DerivationKind {
    /// Tags were changed.
    Modified,
    /// It was de-identified.
    Anonymized,
}

/// What an instance was made of: the public ids of the sources of its patient, study, series and of itself, as far as
/// known. What of these its arrival makes is shown as `ModifiedFrom` or `AnonymizedFrom` of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedFrom {
    /// How it was made.
    pub kind: DerivationKind,
    /// Of which patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Of which study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<String>,
    /// Of which series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Of which instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl DerivedFrom {
    /// As the index takes it; a source that is no public id is left out.
    pub(crate) fn derivation(&self) -> Derivation {
        let sources = [&self.patient, &self.study, &self.series, &self.instance];
        Derivation {
            is_anonymized: self.kind == DerivationKind::Anonymized,
            sources: sources.map(|source| source.as_ref()?.parse().ok()),
        }
    }
}

/// Who asks, as the control plane writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Caller {
    /// Whose archive.
    #[serde(default = "default_tenant")]
    pub tenant: i64,
    /// By which way, and who.
    #[serde(flatten, with = "OriginFields")]
    pub origin: Origin,
}

/// Who does not say whose archive is meant means this one.
pub(crate) fn default_tenant() -> i64 {
    vna_index::DEFAULT_TENANT
}

/// What happens to an instance whose identity is here already, as settings and log spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// The first one stays.
    Never,
    /// The last one stays.
    Always,
    /// The last one stays if its bytes differ.
    IfChanged,
}

/// The header of a deletion's log record: a resource was deleted, with all below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionHeader {
    /// Whose archive it was in.
    pub tenant: i64,
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// `patient`, `study`, `series` or `instance`.
    pub level: String,
    /// The resource's public id.
    pub public_id: String,
    /// How long what was deleted can be brought back, in microseconds. Older records have none: it went at once.
    #[serde(default)]
    pub keep_us: i64,
}

/// The header of an erasure's log record: what deletions kept goes now. It kills nothing that they had not killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureHeader {
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// The log positions of the deletions.
    pub deletions: Vec<u64>,
}

/// The header of an event's log record: the change feed tells that something happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHeader {
    /// Whose archive the resource is in.
    pub tenant: i64,
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// What happened, as the feed names it: `ModifiedStudy`, ...
    pub change: String,
    /// `patient`, `study`, `series` or `instance`.
    pub level: String,
    /// The resource's public id.
    pub public_id: String,
    /// It holds only if nothing arrived after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of_us: Option<i64>,
}

impl From<Duplicates> for DuplicatePolicy {
    fn from(duplicates: Duplicates) -> Self {
        match duplicates {
            Duplicates::Never => DuplicatePolicy::Never,
            Duplicates::Always => DuplicatePolicy::Always,
            Duplicates::IfChanged => DuplicatePolicy::IfChanged,
        }
    }
}

impl ArrivalHeader {
    /// The identity under which the index knows an instance that arrives so.
    pub(crate) fn identity<'i>(&self, instance: &'i Instance) -> Cow<'i, Identity> {
        // Clients compute public ids from PatientID and UIDs alone, so unless the operator wants issuers told
        // apart, the issuer is no part of the identity.
        let mut identity = Cow::Borrowed(&instance.identity);
        if !self.patient_issuers && !identity.issuer_of_patient_id.is_empty() {
            identity.to_mut().issuer_of_patient_id.clear();
        }
        identity
    }

    /// The bytes that the log keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and strings have a JSON form")
    }
}

impl DeletionHeader {
    /// The bytes that the log keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and strings have a JSON form")
    }

    /// The resource that was deleted, or `None` if the header does not name one.
    pub fn resource(&self) -> Option<(Level, PublicId)> {
        Some((level_named(&self.level)?, self.public_id.parse().ok()?))
    }
}

impl EventHeader {
    pub(crate) fn new(tenant: i64, change: ChangeType, level: Level, id: &PublicId) -> Self {
        Self {
            tenant,
            at_us: now_us(),
            change: change.as_str().to_owned(),
            level: level.as_str().to_owned(),
            public_id: id.to_string(),
            as_of_us: None,
        }
    }

    /// The resource, or `None` if the header does not name one.
    pub fn resource(&self) -> Option<(Level, PublicId)> {
        Some((level_named(&self.level)?, self.public_id.parse().ok()?))
    }

    /// What happened, or `None` if this release does not know it.
    pub fn change(&self) -> Option<ChangeType> {
        ChangeType::from_name(&self.change)
    }

    /// The bytes that the log keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and strings have a JSON form")
    }
}

impl ErasureHeader {
    /// The bytes that the log keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers have a JSON form")
    }
}

/// UTC now, in microseconds since 1970.
pub fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}
