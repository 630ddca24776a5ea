//! What goes into the index: entries of the log, and what became of each.

use crate::IndexError;
use vna_dicom::{Instance, Level, PublicId, Tag};

/// The position of a record in the log: it grows by one or more, and is never used twice. The first is 1;
/// 0 means "nothing yet".
pub type Lsn = u64;

/// The tenant of an archive that has not been divided.
pub const DEFAULT_TENANT: i64 = 1;

/// What an arrival does where an instance with its identifiers is already there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DuplicatePolicy {
    /// The first stays; other bytes are kept beside it for a while as a version that is not live.
    #[default]
    Never,
    /// The new one takes the place of the old one, even if the bytes are the same.
    Always,
    /// The new one takes the place of the old one if the bytes differ.
    IfChanged,
}

/// Where the bytes of an instance lie: what the archive knows of a blob.
///
/// Plain numbers, so that the index knows nothing of the store; `place_a` and `place_b` are the store's own
/// two numbers, such as segment and offset. A negative `place_a` says that the blob is a file of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlobRow {
    /// Which store of the archive.
    pub store: i64,
    /// The random key.
    pub key: [u8; 16],
    /// The larger unit that holds it, such as the segment; negative: a file of its own.
    pub place_a: i64,
    /// The position in that unit.
    pub place_b: i64,
    /// Bytes that it takes in the store.
    pub stored_size: u64,
    /// Bytes that it had when it arrived; that is what is read, unless another file took its place.
    pub plain_size: u64,
    /// How the stored bytes make the plain ones; 0: they are the same.
    pub encoding: i64,
    /// Digest of the bytes that arrived.
    pub digest: [u8; 16],
    /// 0: at hand.
    pub availability: i64,
}

/// How an instance arrived. Equal origins share one row.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Origin {
    /// The protocol, in the words of the REST interface: `DicomProtocol`, `RestApi`, `WebDav`, ...
    pub way_in: String,
    /// AE title of who sent it.
    pub calling_ae_title: String,
    /// AE title that it was sent to.
    pub called_ae_title: String,
    /// Address of who sent it.
    pub address: String,
    /// User that was logged in.
    pub user: String,
}

/// An instance arrived; its bytes are in the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Arrival {
    /// Position in the log.
    pub lsn: Lsn,
    /// Whose archive.
    pub tenant: i64,
    /// What was read from its head.
    pub instance: Instance,
    /// Bytes of the DICOM file that a client gets.
    pub file_size: u64,
    /// Where its bytes are.
    pub blob: BlobRow,
    /// How it came.
    pub origin: Origin,
    /// When it came, in microseconds of UTC.
    pub received_us: i64,
    /// What to do with a duplicate.
    pub policy: DuplicatePolicy,
    /// How long a version that is not live is kept, in microseconds.
    pub keep_versions_us: i64,
    /// What it was made of, if it was.
    pub derivation: Option<Box<Derivation>>,
}

/// A resource and all below it is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deletion {
    /// Position in the log.
    pub lsn: Lsn,
    /// Whose archive.
    pub tenant: i64,
    /// The level of the resource.
    pub level: Level,
    /// The resource.
    pub public_id: PublicId,
    /// When, in microseconds of UTC.
    pub at_us: i64,
    /// How long its rows, and with them its bytes, are kept so that it can be brought back, in microseconds.
    pub keep_us: i64,
}

/// What deletions kept goes now rather than later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// Position in the log.
    pub lsn: Lsn,
    /// The positions of the deletions; unknown ones, and those whose rows are gone, change nothing.
    pub deletions: Vec<Lsn>,
}

/// Something happened to a resource that its change feed tells, such as that a study went quiet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Position in the log.
    pub lsn: Lsn,
    /// Whose archive.
    pub tenant: i64,
    /// What happened.
    pub change: ChangeType,
    /// The level of the resource.
    pub level: Level,
    /// The resource.
    pub public_id: PublicId,
    /// When, in microseconds of UTC.
    pub at_us: i64,
    /// It holds only if nothing arrived below the resource after this moment, in microseconds of UTC.
    pub as_of_us: Option<i64>,
    /// The record as a blob: it is needed as long as the feed has the change.
    pub blob: BlobRow,
}

/// What is noted of a resource beside its tags.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// It has a label.
    Label(String),
    /// Metadata of a type; see [`crate::metadata_name`].
    Metadata(i64),
    /// An attachment of a type; see [`crate::attachment_name`].
    Attachment(i64),
    /// A patient is protected from recycling.
    Protection,
}

/// Names a note: a resource has one of each subject at most. Notes of a resource and of what it is in, or what is in
/// it, have nothing to do with each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NoteId {
    /// Whose archive.
    pub tenant: i64,
    /// The level of the resource.
    pub level: Level,
    /// The resource.
    pub public_id: PublicId,
    /// What is noted of it.
    pub subject: Subject,
}

impl NoteId {
    /// The id of a label.
    #[must_use]
    pub fn label(tenant: i64, level: Level, public_id: PublicId, label: impl Into<String>) -> Self {
        NoteId {
            tenant,
            level,
            public_id,
            subject: Subject::Label(label.into()),
        }
    }
}

/// An attachment, as far as its bytes do not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Bytes that it has when read.
    pub size: u64,
    /// MD5 of them.
    pub md5: [u8; 16],
    /// If it is compressed, MD5 of what is stored.
    pub stored_md5: Option<[u8; 16]>,
}

/// What a note says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoteContent {
    /// That it is there.
    Nothing,
    /// The value of metadata.
    Value(Vec<u8>),
    /// The bytes of an attachment are those of the record.
    Bytes(Attached),
}

/// A note of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Its name.
    pub id: NoteId,
    /// How often it was changed since it was made.
    pub revision: u64,
    /// What it says.
    pub content: NoteContent,
}

/// A note and its record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedNote {
    /// The note.
    pub note: Note,
    /// The record as a blob; `None` if the arrival of its ground says it.
    pub blob: Option<BlobRow>,
}

/// A resource gets a note, in place of the one of the same name, or the one that it has is recorded once more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noting {
    /// Position in the log.
    pub lsn: Lsn,
    /// The note.
    pub note: Note,
    /// The record as a blob: it is needed as long as the resource has the note.
    pub blob: BlobRow,
    /// When, in microseconds of UTC.
    pub at_us: i64,
    /// It was there before: nothing has changed that the change feed tells.
    pub again: bool,
}

/// A resource loses a note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unnoting {
    /// Position in the log.
    pub lsn: Lsn,
    /// The note.
    pub id: NoteId,
    /// When, in microseconds of UTC.
    pub at_us: i64,
}

/// What an arrival was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Derivation {
    /// Whether it was anonymized; else it was modified.
    pub is_anonymized: bool,
    /// What its patient, study, series and instance were made of, as far as known.
    pub sources: [Option<PublicId>; 4],
}

/// One record of the log, as the index takes it.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    /// An instance arrived.
    Arrival(Box<Arrival>),
    /// A resource is deleted.
    Deletion(Deletion),
    /// What deletions kept goes now.
    Erasure(Erasure),
    /// A change to tell.
    Event(Box<Event>),
    /// A resource gets a note.
    Noting(Box<Noting>),
    /// A resource loses a note.
    Unnoting(Unnoting),
}

impl Entry {
    /// Its position in the log.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        match self {
            Entry::Arrival(arrival) => arrival.lsn,
            Entry::Deletion(deletion) => deletion.lsn,
            Entry::Erasure(erasure) => erasure.lsn,
            Entry::Event(event) => event.lsn,
            Entry::Noting(noting) => noting.lsn,
            Entry::Unnoting(unnoting) => unnoting.lsn,
        }
    }
}

/// The public ids of an instance and of all above it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    /// The patient.
    pub patient: PublicId,
    /// The study.
    pub study: PublicId,
    /// The series.
    pub series: PublicId,
    /// The instance.
    pub instance: PublicId,
}

/// A blob that no row needs any more; its bytes may go once [`crate::Index::checkpoint`] has returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreedBlob {
    /// Which store of the archive.
    pub store: i64,
    /// The random key.
    pub key: [u8; 16],
    /// See [`BlobRow::place_a`].
    pub place_a: i64,
    /// See [`BlobRow::place_b`].
    pub place_b: i64,
    /// Bytes that it takes in the store.
    pub stored_size: u64,
}

impl From<&BlobRow> for FreedBlob {
    fn from(blob: &BlobRow) -> Self {
        let BlobRow {
            store,
            key,
            place_a,
            place_b,
            stored_size,
            ..
        } = *blob;
        FreedBlob {
            store,
            key,
            place_a,
            place_b,
            stored_size,
        }
    }
}

/// What became of an [`Entry`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A new instance is live.
    Stored {
        /// Where.
        ids: Ids,
        /// Its SOP, series or study instance UID is also live below another parent.
        conflict: bool,
    },
    /// The same bytes were there before; the new blob is not needed.
    AlreadyStored {
        /// Where.
        ids: Ids,
        /// The blob that just arrived.
        freed: FreedBlob,
    },
    /// Other bytes for a live instance: kept beside it as a version that is not live.
    KeptAsVersion {
        /// Where the live one is.
        ids: Ids,
        /// The number of the kept version.
        version: i64,
        /// When it goes, in microseconds of UTC.
        expires_us: i64,
        /// The blob that just arrived, if the same bytes were kept before.
        freed: Option<FreedBlob>,
    },
    /// The new instance took the place of the live one.
    Superseded {
        /// Where.
        ids: Ids,
        /// The number of the version that is live now.
        version: i64,
        /// Its SOP, series or study instance UID is also live below another parent.
        conflict: bool,
        /// The former blob, if the bytes were the same; else it is kept as a version for a while.
        freed: Option<FreedBlob>,
    },
    /// The resource is hidden; when its time has come, [`crate::Index::maintain`] removes its rows and tells its
    /// blobs.
    Deleted {
        /// The nearest resource above that still exists.
        remaining_ancestor: Option<(Level, PublicId)>,
        /// Instances that were live below it.
        instances: u64,
    },
    /// What deletions kept may go now.
    Erased {
        /// How many of the deletions still kept something.
        deletions: u64,
    },
    /// The change was written.
    Recorded,
    /// The resource of an event is not there (any more).
    NotRecorded {
        /// The record that just arrived.
        freed: FreedBlob,
    },
    /// The resource has the note.
    Noted {
        /// How often it was changed since it was made.
        revision: u64,
        /// The former record of the note, if it had one.
        freed: Option<FreedBlob>,
    },
    /// The resource that was to get a note is not there (any more).
    NotNoted {
        /// The record that just arrived.
        freed: FreedBlob,
    },
    /// The resource does not have the note (any more).
    Unnoted {
        /// The record of the note, if it had one.
        freed: Option<FreedBlob>,
    },
    /// The resource of a deletion is not there (any more).
    NotFound,
}

/// The types of the change feed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names are those of the REST interface")]
pub enum ChangeType {
    NewInstance,
    NewSeries,
    NewStudy,
    NewPatient,
    StablePatient,
    StableStudy,
    StableSeries,
    CompletedSeries,
    ModifiedPatient,
    ModifiedStudy,
    ModifiedSeries,
    AnonymizedPatient,
    AnonymizedStudy,
    AnonymizedSeries,
    UpdatedAttachment,
    UpdatedMetadata,
}

impl ChangeType {
    /// All types, by their stored number.
    pub const ALL: [ChangeType; 16] = [
        ChangeType::NewInstance,
        ChangeType::NewSeries,
        ChangeType::NewStudy,
        ChangeType::NewPatient,
        ChangeType::StablePatient,
        ChangeType::StableStudy,
        ChangeType::StableSeries,
        ChangeType::CompletedSeries,
        ChangeType::ModifiedPatient,
        ChangeType::ModifiedStudy,
        ChangeType::ModifiedSeries,
        ChangeType::AnonymizedPatient,
        ChangeType::AnonymizedStudy,
        ChangeType::AnonymizedSeries,
        ChangeType::UpdatedAttachment,
        ChangeType::UpdatedMetadata,
    ];

    /// The name that the REST interface uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeType::NewInstance => "NewInstance",
            ChangeType::NewSeries => "NewSeries",
            ChangeType::NewStudy => "NewStudy",
            ChangeType::NewPatient => "NewPatient",
            ChangeType::StablePatient => "StablePatient",
            ChangeType::StableStudy => "StableStudy",
            ChangeType::StableSeries => "StableSeries",
            ChangeType::CompletedSeries => "CompletedSeries",
            ChangeType::ModifiedPatient => "ModifiedPatient",
            ChangeType::ModifiedStudy => "ModifiedStudy",
            ChangeType::ModifiedSeries => "ModifiedSeries",
            ChangeType::AnonymizedPatient => "AnonymizedPatient",
            ChangeType::AnonymizedStudy => "AnonymizedStudy",
            ChangeType::AnonymizedSeries => "AnonymizedSeries",
            ChangeType::UpdatedAttachment => "UpdatedAttachment",
            ChangeType::UpdatedMetadata => "UpdatedMetadata",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ChangeType> {
        Self::ALL.into_iter().find(|change| change.as_str() == name)
    }

    /// The number that the index stores.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    pub(crate) fn from_number(number: i64) -> Result<ChangeType, IndexError> {
        usize::try_from(number)
            .ok()
            .and_then(|at| Self::ALL.get(at).copied())
            .ok_or(IndexError::BadRow {
                table: "change",
                column: "type",
                found: number.to_string(),
            })
    }
}

/// A tag that is indexed beside those of its level, and how far it is: complete if `filled` is `due`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtraTag {
    /// Of the resources that have it.
    pub level: Level,
    /// The tag.
    pub tag: Tag,
    /// What has been read again for it.
    pub filled: u64,
    /// What is to be read again for it.
    pub due: u64,
}

/// Resources whose first instances are to be read again for extra tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfilled {
    /// Of the resources.
    pub level: Level,
    /// Their numbers.
    pub ids: Vec<i64>,
    /// These are all behind this number
    pub from: i64,
    /// and up to this one.
    pub to: i64,
}

/// A change that is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Whose archive.
    pub tenant: i64,
    /// The change.
    pub change: ChangeType,
    /// The level of the resource.
    pub level: Level,
    /// The resource.
    pub public_id: PublicId,
    /// See [`Event::as_of_us`].
    pub as_of_us: Option<i64>,
}

/// How much there is, as far as bounds are about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// The position in the log up to which this counts.
    pub covered: Lsn,
    /// Patients.
    pub patients: u64,
    /// Bytes that live instances, their attachments and kept versions take in the store.
    pub bytes: u64,
}

/// A patient that may go to make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OldPatient {
    /// Its row: another patient of the same identity has another.
    pub row: i64,
    /// Whose archive.
    pub tenant: i64,
    /// The patient.
    pub public_id: PublicId,
    /// When it received something last, in microseconds of UTC.
    pub last_update_us: i64,
    /// Bytes that its live instances and their attachments take in the store.
    pub stored_bytes: u64,
}

/// What the archive holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Patients.
    pub patients: u64,
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Live instances.
    pub instances: u64,
    /// Bytes that the live instances take in the store.
    pub stored_bytes: u64,
    /// Bytes of the live instances when read.
    pub plain_bytes: u64,
    /// Versions that are kept but not live.
    pub versions: u64,
    /// Bytes that those take in the store.
    pub version_bytes: u64,
    /// Bytes that attachments of users take in the store.
    pub attached_stored_bytes: u64,
    /// Bytes of those when read.
    pub attached_plain_bytes: u64,
}

/// Blobs that are kept in certain encodings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    /// How many.
    pub blobs: u64,
    /// Bytes of them when they arrived.
    pub plain_bytes: u64,
    /// Bytes that they take in the store.
    pub stored_bytes: u64,
}

/// Where the bytes of a live instance are, and what a reader needs to serve them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// Its public id.
    pub instance: PublicId,
    /// Its blob.
    pub blob: BlobRow,
    /// Bytes of the DICOM file.
    pub file_size: u64,
    /// (0008,0018).
    pub sop_instance_uid: String,
    /// (0008,0016).
    pub sop_class_uid: String,
    /// (0002,0010).
    pub transfer_syntax_uid: String,
    /// Where the data set begins in the plain bytes.
    pub data_set_offset: u64,
    /// Where the pixel data element begins in the plain bytes, if there is one.
    pub pixel_data_offset: Option<u64>,
    /// (0028,0008), 1 if absent.
    pub number_of_frames: u32,
    /// When it was received, in microseconds of UTC.
    pub received_us: i64,
}

/// An instance and what it is in, by their numbers, which are never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its patient.
    pub patient: i64,
    /// Its study.
    pub study: i64,
    /// Its series.
    pub series: i64,
    /// Itself.
    pub instance: i64,
    /// Its index in the series, if it has one.
    pub index: Option<i64>,
    /// Bytes of its file.
    pub file_size: u64,
}

/// UIDs of a study, of a series of it, and of an instance of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UidPath<'a> {
    /// (0020,000D).
    pub study: &'a str,
    /// (0020,000E), if not all of the study is meant.
    pub series: Option<&'a str>,
    /// (0008,0018), if not all of the series is meant.
    pub instance: Option<&'a str>,
}

/// What UIDs name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Picked {
    /// Its instances, series by series.
    pub instances: Vec<PickedInstance>,
    /// Its series, in the same order.
    pub series: Vec<PickedSeries>,
    /// Transfer syntaxes of its instances, by number.
    pub syntaxes: Vec<(i64, String)>,
    /// Of the instance that is named, if it is one.
    pub file: Option<PickedFile>,
}

/// An instance, by numbers: as long as none of them is another one, it is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PickedInstance {
    /// Its own, never used twice.
    pub instance: i64,
    /// Its series.
    pub series: i64,
    /// Its blob's row.
    pub blob: i64,
    /// Its transfer syntax.
    pub syntax: i64,
    /// Bytes of its file.
    pub file_size: u64,
    /// See [`Located::data_set_offset`].
    pub data_set_offset: u64,
    /// Bytes of its SOP Instance UID.
    pub uid_bytes: u32,
}

/// What more is said of an instance that is named itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PickedFile {
    /// When it arrived, in microseconds since 1970.
    pub received_us: i64,
    /// How the stored bytes make its file; see [`BlobRow::encoding`].
    pub encoding: i64,
}

/// A series of what UIDs name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PickedSeries {
    /// Its number.
    pub series: i64,
    /// (0020,000D) of its study.
    pub study_instance_uid: String,
    /// (0020,000E).
    pub series_instance_uid: String,
}

/// A deletion whose resource can still be brought back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// The deletion's position in the log.
    pub deletion: Lsn,
    /// The level of what was deleted: the resource that the deletion named, or what it left empty above.
    pub level: Level,
    /// What was deleted.
    pub public_id: PublicId,
    /// When, in microseconds of UTC.
    pub deleted_us: i64,
    /// Until when it can be brought back, in microseconds of UTC.
    pub until_us: i64,
    /// Instances that were live below it.
    pub instances: u64,
    /// Bytes that those take in the store.
    pub stored_bytes: u64,
    /// Main tags of the resource and of all above it, sorted by tag.
    pub tags: Vec<(Tag, String)>,
}

/// A deletion that took (parts of) a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeletionOf {
    /// The deletion's position in the log.
    pub deletion: Lsn,
    /// It took nothing else that was live.
    pub is_whole: bool,
}

/// Where a reader of deleted instances is: behind which one. The current ones come before the kept versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeletedMark {
    pub(crate) is_version: bool,
    pub(crate) id: i64,
}

/// An instance that was deleted and can be brought back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedInstance {
    /// Its place in the order of reading.
    pub mark: DeletedMark,
    /// Its public id.
    pub public_id: PublicId,
    /// Its blob.
    pub blob: BlobRow,
    /// How it had come.
    pub origin: Origin,
    /// Issuer of Patient ID that is part of the patient's identity; empty: none.
    pub issuer_of_patient_id: String,
}

/// What became of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnerState {
    /// It is there.
    Live,
    /// It lost against another of its identity, and is kept for a while.
    Version,
    /// It was deleted, by itself or with what it is in, and its row is still there.
    Deleted,
}

/// An instance, as the owner of its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobOwner {
    /// Its blob.
    pub blob: BlobRow,
    /// Whose archive.
    pub tenant: i64,
    /// What became of it.
    pub state: OwnerState,
    /// Its public id.
    pub public_id: PublicId,
    /// (0008,0018).
    pub sop_instance_uid: String,
    /// (0020,000E).
    pub series_instance_uid: String,
    /// (0020,000D).
    pub study_instance_uid: String,
    /// Issuer of Patient ID that is part of the patient's identity; empty: none.
    pub issuer_of_patient_id: String,
    /// How it came.
    pub origin: Origin,
}

/// A part of a list. `limit` 0: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// How many to leave out first.
    pub since: u64,
    /// How many to give; 0: all.
    pub limit: u64,
}

/// What to tell of the change feed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangesRequest {
    /// After this `seq`.
    pub since: Option<i64>,
    /// Up to and with this `seq`; without `since`, newest first.
    pub to: Option<i64>,
    /// How many at most. 0: none, an answer that tells `Done` and `Last` alone, as Orthanc 1.12.7 was observed to
    /// answer; for resources, where it means all, see [`Page`].
    pub limit: u64,
    /// Only of these types; empty: of all.
    pub types: Vec<ChangeType>,
    /// Only the last one.
    pub last: bool,
}

/// A blob moved within its store: compaction rewrote what held it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relocation {
    /// Which store of the archive.
    pub store: i64,
    /// The random key.
    pub key: [u8; 16],
    /// Old `place_a` and `place_b`.
    pub from: (i64, i64),
    /// New `place_a` and `place_b`.
    pub to: (i64, i64),
    /// See [`BlobRow::stored_size`].
    pub stored_size: u64,
    /// See [`BlobRow::encoding`].
    pub encoding: i64,
    /// If a client gets another file now: what that is.
    pub file: Option<NewFile>,
}

/// A DICOM file that takes the place of what was received: the same instance in another transfer syntax.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewFile {
    /// See [`Located::file_size`].
    pub size: u64,
    /// See [`Located::transfer_syntax_uid`].
    pub transfer_syntax_uid: String,
    /// See [`Located::data_set_offset`].
    pub data_set_offset: u64,
    /// See [`Located::pixel_data_offset`].
    pub pixel_data_offset: Option<u64>,
}

/// What one call of [`crate::Index::maintain`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maintenance {
    /// Work is left; call again soon.
    pub more: bool,
    /// Blobs whose last row went.
    pub freed: Vec<FreedBlob>,
}
