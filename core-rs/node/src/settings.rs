//! What the control plane decided, as the data plane needs it.

use std::path::PathBuf;

use serde::Deserialize;

use crate::arrival::Duplicates;

/// The settings of an archive's data plane; `vna/settings.py` documents each key.
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    /// Where the bytes are and how they are kept.
    pub storage: StorageSettings,
    /// Bounds in bytes (invariant 6).
    pub limits: LimitSettings,
    /// What an upload may hold.
    pub uploads: UploadSettings,
}

/// `[storage]`
#[derive(Clone, Debug, Deserialize)]
pub struct StorageSettings {
    /// The archive's folder.
    pub root: PathBuf,
    /// A log segment is sealed at this length.
    pub segment_bytes: u64,
    /// Objects from this length on get a file of their own.
    pub large_object_bytes: u64,
    /// What happens to an instance that is here already.
    pub duplicates: Duplicates,
    /// Whether Issuer of Patient ID tells patients of one PatientID apart.
    pub patient_issuers: bool,
    /// How long the bytes that a duplicate lost against are kept.
    pub duplicate_retention_days: u32,
    /// How long what was deleted can be brought back.
    pub undelete_hours: u32,
}

/// `[uploads]`
#[derive(Clone, Debug, Deserialize)]
pub struct UploadSettings {
    /// Entries of an archive.
    pub max_entries: u64,
    /// Bytes of one object, unpacked.
    pub max_object_bytes: u64,
    /// Bytes of all objects of one upload, unpacked.
    pub max_unpacked_bytes: u64,
    /// Unpacked bytes for each packed one.
    pub max_ratio: u64,
}

impl Default for UploadSettings {
    /// As `vna/settings.py` has them.
    fn default() -> Self {
        Self {
            max_entries: 200_000,
            max_object_bytes: 8 << 30,
            max_unpacked_bytes: 256 << 30,
            max_ratio: 600,
        }
    }
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
pub struct LimitSettings {
    /// Received bytes that may wait in memory for their sync, over all ways in.
    pub spool_bytes: u64,
    /// SQLite's page cache, over all connections.
    pub index_cache_bytes: u64,
}
