//! What the control plane decided, as the data plane needs it.

use std::path::PathBuf;

use serde::Deserialize;
use vna_codec::CodecSettings;
use vna_dicom::{PrivateDictionaryError, PrivateElement, Tag, Vr, set_private_dictionary};

use vna_index::{UserNames, set_user_names};

use crate::arrival::Duplicates;
use crate::error::ArchiveError;
use crate::recompress::Method;

/// The settings of an archive's data plane; `vna/settings.py` documents each key.
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    /// Where the bytes are and how they are kept.
    pub storage: StorageSettings,
    /// Bounds in bytes (invariant 6).
    pub limits: LimitSettings,
    /// What an upload may hold.
    pub uploads: UploadSettings,
    /// Which private elements are known.
    pub dictionary: DictionarySettings,
    /// How metadata and attachments are named and changed.
    #[serde(default)]
    pub notes: NoteSettings,
    /// Where codecs run, and their bounds.
    #[serde(default)]
    pub codecs: CodecsSettings,
    /// What is indexed.
    #[serde(default)]
    pub index: IndexSettings,
    /// Memory and disk for pictures.
    #[serde(default)]
    pub pictures: PictureSettings,
    /// ZIP archives.
    #[serde(default)]
    pub archives: ArchiveSettings,
    /// What is common to all answers over HTTP.
    #[serde(default)]
    pub http: HttpFormSettings,
    /// Memory for what DICOMweb sends.
    #[serde(default)]
    pub dicomweb: DicomwebSettings,
    /// Certificates, and how safe is safe enough.
    #[serde(default)]
    pub tls: crate::tls::TlsSettings,
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
    /// The transfer syntax that instances are kept in; as they come if empty.
    #[serde(default)]
    pub ingest_transcoding: String,
    /// Whether that is for what comes uncompressed.
    #[serde(default)]
    pub ingest_transcoding_of_uncompressed: bool,
    /// Whether that is for what comes compressed.
    #[serde(default)]
    pub ingest_transcoding_of_compressed: bool,
    /// How stored files are recompressed; not at all without.
    #[serde(default, deserialize_with = "method")]
    pub recompress: Option<Method>,
    /// How old they are then.
    #[serde(default)]
    pub recompress_after_days: u32,
    /// What keeps it in check.
    #[serde(flatten)]
    pub keep: KeepSettings,
}

/// What of `[storage]` keeps an archive in check.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct KeepSettings {
    /// How long nothing must arrive below a resource until it is stable.
    pub stable_age_s: u32,
    /// Most bytes that live instances and kept versions take; 0: no bound.
    pub maximum_bytes: u64,
    /// Most patients; 0: no bound.
    pub maximum_patients: u64,
    /// What happens at a bound.
    pub maximum_mode: MaximumMode,
    /// Nothing is taken in, changed or deleted.
    pub read_only: bool,
}

/// What happens when something arrives that a bound has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaximumMode {
    /// The patients that received nothing for the longest time go.
    Recycle,
    /// It is refused.
    Reject,
}

impl Default for KeepSettings {
    /// As `vna/settings.py` has them.
    fn default() -> Self {
        Self {
            stable_age_s: 60,
            maximum_bytes: 0,
            maximum_patients: 0,
            maximum_mode: MaximumMode::Reject,
            read_only: false,
        }
    }
}

/// `[index]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IndexSettings {
    /// Tags of patients that are indexed beside those that every index has, by keyword or number.
    pub patient_tags: Vec<String>,
    /// Of studies.
    pub study_tags: Vec<String>,
    /// Of series.
    pub series_tags: Vec<String>,
    /// Of instances.
    pub instance_tags: Vec<String>,
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

/// `[dictionary]`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DictionarySettings {
    /// Private elements (PS3.5 §7.8).
    pub private: Vec<PrivateElementSettings>,
}

/// `[[dictionary.private]]`
#[derive(Clone, Debug, Deserialize)]
pub struct PrivateElementSettings {
    /// `gggg,00ee`; of the element number the last two digits count.
    pub tag: String,
    /// Its VR.
    pub vr: String,
    /// What clients call it.
    pub name: String,
    /// The private creator that reserves its block.
    pub creator: String,
}

impl DictionarySettings {
    /// Makes them the private elements that this process knows.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Dictionary`] if one is not right.
    pub fn install(&self) -> Result<(), ArchiveError> {
        let elements = self.private.iter().map(|element| {
            let problem = "has no tag of the form gggg,00ee, or a VR that is not two letters";
            let refused = || PrivateDictionaryError {
                name: element.name.clone(),
                problem,
            };
            Ok(PrivateElement {
                tag: Tag::parse(&element.tag).ok_or_else(refused)?,
                vr: Vr(element.vr.as_bytes().try_into().map_err(|_| refused())?),
                name: &element.name,
                creator: &element.creator,
            })
        });
        let elements: Vec<_> = elements
            .collect::<Result<_, _>>()
            .map_err(ArchiveError::Dictionary)?;
        set_private_dictionary(elements).map_err(ArchiveError::Dictionary)
    }
}

/// `[notes]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NoteSettings {
    /// Whether who changes metadata or an attachment must name the revision that he has seen.
    pub check_revisions: bool,
    /// Names of types of metadata.
    pub metadata: Vec<NoteTypeSettings>,
    /// Names of types of attachments.
    pub attachments: Vec<NoteTypeSettings>,
}

/// `[[notes.metadata]]`, `[[notes.attachments]]`
#[derive(Clone, Debug, Deserialize)]
pub struct NoteTypeSettings {
    /// What clients call it.
    pub name: String,
    /// Its number.
    pub number: i64,
}

impl NoteSettings {
    /// Makes them the names that this process knows.
    pub fn install(&self) {
        let listed = |types: &[NoteTypeSettings]| {
            let types = types.iter();
            types.map(|one| (one.name.clone(), one.number)).collect()
        };
        set_user_names(UserNames {
            metadata: listed(&self.metadata),
            attachments: listed(&self.attachments),
        });
    }
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
pub struct LimitSettings {
    /// Received bytes that may wait in memory for their sync, over all ways in.
    pub spool_bytes: u64,
    /// SQLite's page cache, over all connections.
    pub index_cache_bytes: u64,
    /// Parts of recompressed files that are kept unpacked for their next reader.
    #[serde(default = "unpacked_cache_bytes")]
    pub unpacked_cache_bytes: u64,
}

/// As `vna/settings` has it.
fn unpacked_cache_bytes() -> u64 {
    64 << 20
}

/// A method of recompression by its name; none is named by nothing.
fn method<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Method>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match (name.as_str(), Method::parse(&name)) {
        ("", _) => Ok(None),
        (_, Some(method)) => Ok(Some(method)),
        (_, None) => Err(serde::de::Error::custom(format!(
            "storage.recompress: {name} is none of htj2k, jpeg-ls, j2k, rle and deflate"
        ))),
    }
}

/// `[pictures]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct PictureSettings {
    /// Bytes of pictures and arrays in the making, all requests together.
    pub memory_bytes: u64,
    /// Bytes of thumbnails that are kept on the disk; 0: none.
    pub thumbnail_cache_bytes: u64,
}

impl Default for PictureSettings {
    /// As `vna/settings` has them.
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            thumbnail_cache_bytes: 256 << 20,
        }
    }
}

/// `[archives]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ArchiveSettings {
    /// How much deflate tries, 1 to 9; 0: nothing is deflated.
    pub deflate_level: u32,
    /// Bytes of archives in the making, all requests together.
    pub memory_bytes: u64,
}

impl Default for ArchiveSettings {
    /// As `vna/settings` has them.
    fn default() -> Self {
        Self {
            deflate_level: 2,
            memory_bytes: 128 << 20,
        }
    }
}

/// `[http]`, as far as it is about what is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpFormSettings {
    /// Longest value that DICOM JSON and XML give in place.
    pub bulk_threshold_bytes: u64,
}

impl Default for HttpFormSettings {
    /// As `vna/settings` has them.
    fn default() -> Self {
        Self {
            bulk_threshold_bytes: vna_dicom::DEFAULT_BULK_THRESHOLD,
        }
    }
}

/// `[dicomweb]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct DicomwebSettings {
    /// Bytes of metadata of series and of frame tables that are kept in memory.
    pub cache_bytes: u64,
}

impl Default for DicomwebSettings {
    /// As `vna/settings` has them.
    fn default() -> Self {
        Self {
            cache_bytes: 48 << 20,
        }
    }
}

/// `[codecs]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CodecsSettings {
    /// The command that starts a process for codecs; without one they run in this process.
    pub helper_command: Option<Vec<String>>,
    /// How many frames are worked on at once; as many as there are processors if not said, or 0.
    pub parallel: Option<usize>,
    /// Most bytes of one frame, encoded or decoded.
    pub max_frame_bytes: Option<u64>,
    /// How long one frame may take, in seconds.
    pub frame_timeout_s: Option<u32>,
    /// Most bytes of all frames in work together.
    pub memory_bytes: Option<u64>,
    /// Bytes of frames that all transcodings hold in memory; more wait in files.
    pub held_bytes: Option<u64>,
}

impl CodecsSettings {
    /// As `vna-codec` takes them.
    #[must_use]
    pub fn to_codec_settings(&self) -> CodecSettings {
        let usual = CodecSettings::default();
        CodecSettings {
            helper_command: self.helper_command.clone(),
            parallel: self.parallel.filter(|n| *n > 0).unwrap_or(usual.parallel),
            max_frame_bytes: self.max_frame_bytes.unwrap_or(usual.max_frame_bytes),
            frame_timeout_s: self.frame_timeout_s.unwrap_or(usual.frame_timeout_s),
            memory_bytes: self.memory_bytes.unwrap_or(usual.memory_bytes),
            ..usual
        }
    }
}
