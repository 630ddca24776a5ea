//! What DICOMweb moves. Into an archive: the bodies of Store requests (PS3.18 §10.5), in `store`. Out of it: metadata,
//! instances, frames and bulk data (§10.4), written as they leave.
//!
//! 1. What an answer holds is decided when it begins ([`Selection`]). An instance that is deleted meanwhile is still given
//!    while its bytes are there; an answer that cannot be completed breaks its connection rather than lacking a part.
//! 2. What is held of an answer does not grow with it: a piece, a frame that had to be made, the numbers of its instances.
//! 3. The first byte leaves as soon as the first part is there, and what fails until then is told with a status.

mod answer;
mod bulk;
mod documents;
mod frames;
mod instances;
mod metadata;
mod multipart;
mod parts;
mod query;
mod selection;
mod store;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use serde::Deserialize;

pub use answer::Answer;
pub use query::{SearchAnswer, SearchOptions, SearchTarget, WebSearch, search};
pub use selection::{Selection, modified_s};
pub use store::{Store, StoreAnswer, StoreTelling, StoreTold};
use vna_store::Digest;

use crate::archives::buffers::Buffers;
use crate::settings::Settings;

/// Which part of the memory that is kept frame tables may take.
const TABLES_PART: u64 = 4;

/// What all answers of an archive have in common.
pub struct Web {
    sidecars: Arc<metadata::Shared>,
    tables: frames::FrameTables,
    buffers: Arc<Buffers>,
    bulk_threshold: u64,
    /// Of this process alone: who made it up cannot end a part of an answer.
    keys: [RandomState; 2],
}

/// What is kept now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "named after the metrics that they are")]
pub struct WebCounters {
    pub metadata_hits: u64,
    pub metadata_cache_bytes: u64,
    pub metadata_cache_budget_bytes: u64,
    pub frame_table_hits: u64,
    pub frame_table_cache_bytes: u64,
    pub frame_table_cache_budget_bytes: u64,
}

impl Web {
    pub(crate) fn new(settings: &Settings) -> Self {
        let cache_bytes = settings.dicomweb.cache_bytes;
        let for_tables = cache_bytes / TABLES_PART;
        Web {
            sidecars: Arc::new(metadata::Shared::new(cache_bytes - for_tables)),
            tables: frames::FrameTables::new(for_tables),
            buffers: Buffers::new(parts::PIECE_BYTES),
            bulk_threshold: settings.http.bulk_threshold_bytes,
            keys: [RandomState::new(), RandomState::new()],
        }
    }

    /// A hash that nobody can foresee.
    fn keyed(&self, of: impl Hash) -> u128 {
        let [first, second] = &self.keys;
        u128::from(first.hash_one(&of)) << 64 | u128::from(second.hash_one(&of))
    }

    /// What is kept now.
    pub fn counters(&self) -> WebCounters {
        let (metadata, texts) = (&self.sidecars.kept, &self.sidecars.texts);
        WebCounters {
            metadata_hits: metadata.hits(),
            metadata_cache_bytes: metadata.bytes() + texts.bytes(),
            metadata_cache_budget_bytes: metadata.limit() + texts.limit(),
            frame_table_hits: self.tables.hits(),
            frame_table_cache_bytes: self.tables.bytes(),
            frame_table_cache_budget_bytes: self.tables.limit(),
        }
    }
}

/// How what is stored in one transfer syntax is given.
#[derive(Clone, Debug, Deserialize, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The transfer syntax that it is brought into; as it is stored without.
    #[serde(default)]
    pub transfer_syntax: Option<String>,
    /// What its part is called.
    pub content_type: String,
    /// Whether it may be compressed with loss, which makes another instance.
    #[serde(default)]
    pub may_lose: bool,
}

/// What is wanted of a [`Selection`].
#[derive(Clone, Debug, Deserialize, Hash)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The instances themselves.
    Instances,
    /// Frames of the one instance, counted from 1.
    Frames(Vec<u64>),
    /// Their headers in DICOM JSON, or in XML if they are parts.
    Metadata,
    /// All values that metadata gives by a URI.
    BulkData,
    /// Their pixel data.
    PixelData,
}

/// An answer, as it is asked for. `vna/rest/dicomweb` writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What.
    pub what: What,
    /// The address of the service, without a slash at its end.
    pub root: String,
    /// Whether it is a body of parts; else one thing without a frame.
    #[serde(default)]
    pub multipart: bool,
    /// By the transfer syntax that things are stored in. What has none is left out.
    #[serde(default)]
    pub forms: HashMap<String, Form>,
    /// Whether metadata leaves as a gzip file.
    #[serde(default)]
    pub gzip: bool,
}

/// What is known of an answer before it is prepared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outline {
    /// What stands between its parts; the same for the same answer, so that it has ranges.
    pub boundary: Option<String>,
    /// Its entity tag (RFC 9110 §8.8.3): weak if something is written anew, since a later version may write other bytes.
    pub etag: String,
}

impl Outline {
    /// Of an answer about a selection.
    #[must_use]
    pub fn of(selection: &Selection, wanted: &Wanted) -> Self {
        let web = selection.archive().web();
        let version = selection.version().0;
        let of = (version, &wanted.what, &wanted.root);
        let boundary = wanted.multipart.then(|| format!("{:032x}", web.keyed(of)));
        let mut forms: Vec<_> = wanted.forms.iter().collect();
        forms.sort_unstable();
        // What writes the beginning of files is named in it.
        let is_written = matches!(wanted.what, What::Instances) && selection.may_lack_beginning();
        let writer = is_written.then_some(vna_dicom::IMPLEMENTATION_VERSION_NAME);
        let of = format!(
            "{:?} {} {boundary:?} {forms:?} {} {writer:?}",
            wanted.what, wanted.root, wanted.gzip
        );
        let digest = u128::from_be_bytes(Digest::of_parts(&[&version, of.as_bytes()]).0);
        let is_made = forms.iter().any(|(_, form)| form.transfer_syntax.is_some());
        let weak = if is_made { "W/" } else { "" };
        let etag = format!("{weak}\"{digest:032x}\"");
        Outline { boundary, etag }
    }
}
