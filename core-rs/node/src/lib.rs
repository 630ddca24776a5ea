//! The data plane: sockets, ingest, group commit.

mod archive;
mod archives;
mod arrival;
mod arriving;
mod attachments;
mod cfind;
mod check;
mod committer;
pub mod dimse;
mod entries;
mod error;
mod events;
mod find;
mod forms;
mod ground;
mod histogram;
mod housekeeping;
pub mod http;
mod index_tags;
mod ingest;
mod kept;
mod labels;
mod note_header;
mod notes;
mod offline;
mod part10;
mod pictures;
mod policy;
mod recompress;
mod reencode;
mod repair;
mod replay;
mod requesting;
mod rewrite;
mod room;
mod settings;
mod sink;
mod status;
mod stored_file;
mod stored_image;
pub mod tls;
mod transcode;
mod undelete;
mod unpacked;
mod verify;
pub mod web;

pub use archive::{Archive, DEFAULT_TENANT};
pub use archives::{
    ArchiveCounters, Archives, Making, MakingProblem, Progress, Request as ArchiveRequest,
    Transcoding,
};
pub use arrival::{Caller, DerivationKind, DerivedFrom, Duplicates, now_us};
pub use attachments::{AttachmentInfo, AttachmentReader, AttachmentWriter, OpenedAttachment};
pub use cfind::{
    AnswerPage, CFind, CFindOptions, IdentifierProblem, InformationModel, RetrieveOptions,
    find_status, instances_json, match_data_sets, select_instances,
};
pub use check::{CheckReport, check};
pub use committer::{Answer, CommitCounters, File, Reply};
pub use error::ArchiveError;
pub use find::{
    BulkContent, FindProblem, ListOptions, MAX_SEARCH, MetadataForm, Wrong, bulk_content_json,
    count_json, find_json, level_named, list_json, metadata_entry, metadata_json, metadata_value,
    related_json, tag_named,
};
pub use forms::{TagsOf, TagsRequest, stored_content, stored_model, stored_tags_json, tags_json};
pub use histogram::Histogram;
pub use housekeeping::{CompactedPack, GivenUp, RecompressStep, ToRecompress};
pub use index_tags::{IndexTag, NamedTag, Reconstructed};
pub use ingest::{Done, Head, Refusal, Report, Upload, UploadError, import_entries, import_files};
pub use labels::{MAX_LABEL_BYTES, check_label};
pub use notes::{Condition, Revision, md5_of};
pub use offline::{
    ReindexReport, compact, deleted, erase, given_up, recompress, reindex, undelete,
};
pub use pictures::{
    ArrayForm, ArrayRequest, IconRequest, MadeStream, OrderedSlices, PictureColours,
    PictureCounters, PictureFile, PictureForm, PictureMode, PictureProblem, PictureRequest,
    PictureSource, Pictures, ReportRequest, Slice, StoredFrame, ThumbnailRequest, count_frames,
    icon, ordered_slices, promised_frames, render_object, representative,
};
pub use policy::{listen, parse_policy};
pub use recompress::Method;
pub use reencode::StoredBlob;
pub use repair::{LostInstance, RepairOptions, RepairReport, repair};
pub use replay::{Replayed, Skipped};
pub use requesting::peer;
pub use rewrite::{BurnedIn, RewriteRequest, Rewriting, Rewritten};
pub use settings::{
    ArchiveSettings, DicomwebSettings, DictionarySettings, HttpFormSettings, KeepSettings,
    LimitSettings, MaximumMode, NoteSettings, NoteTypeSettings, PictureSettings,
    PrivateElementSettings, Settings, StorageSettings, UploadSettings,
};
pub use sink::ArchiveSink;
pub use status::{health_json, metrics_text};
pub use stored_file::{StoredFile, StoredFiles};
pub use stored_image::StoredImage;
pub use transcode::{
    Abandoned, LocalFile, SpoolSettings, TranscodeOptions, TranscodeProblem, Transcoded,
    TranscodedFile, is_possible, transcode_file,
};

pub use undelete::{DeletedEntry, EraseReport, Erased, UndeleteReport};
pub use verify::{Reference, Verdict, verify_instance};
pub use web::{
    SearchAnswer, SearchOptions, SearchTarget, Store, StoreAnswer, StoreTelling, StoreTold,
    WebSearch, search as web_search,
};
