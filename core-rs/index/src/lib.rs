//! Resources, matching and changes: SQLite behind one trait.
//!
//! The index is derived: the log of the store is the archive's one durable record, and the index can be
//! rebuilt from it. What this crate promises:
//!
//! 1. Entries are applied in the order of their log positions, a transaction each group, and the position
//!    that the index covers is part of the same transaction.
//! 2. What becomes of an entry depends on the entry and on the rows alone, never on the clock or on chance,
//!    so that replaying a tail gives the rows and change numbers that were lost.
//! 3. A change's `seq` follows from the log position of what caused it, so it is never reused, not even by
//!    an index that was rebuilt from a log that has since been compacted.
//! 4. A deleted resource is hidden by the transaction that takes its deletion; its rows go later, in slices, and not
//!    before the time that the deletion states. Until then they change nothing that anybody sees.
//! 5. Readers see one transaction's end, never its middle, and never hold up the writer.

#![deny(unsafe_code)]

mod bits;
mod error;
mod identity;
mod json;
mod matching;
mod metadata;
mod moments;
mod normal;
mod query;
mod shape;
mod similar;
mod sqlite;
mod time;
mod types;
mod values;

pub use error::IndexError;
pub use identity::public_ids;
pub use matching::{KeyMatcher, is_universal, is_well_formed, key_matches};
pub use metadata::{
    FIRST_OF_USERS, LAST_OF_USERS, UserNames, attachment_name, attachment_number, metadata_name,
    metadata_number, set_user_names, user_names,
};
pub use moments::{MomentKeys, offset_minutes, shift_date_time, shift_moment};
pub use query::{
    Answer, Case, Found, HeaderKeys, Key, LabelConstraint, LabelFilter, Match, Order, OrderAs,
    OrderBy, Query, Wanted,
};
pub use shape::{Content, Requested, Shape};
pub use sqlite::{Options, Rebuild, SqliteIndex};
pub use types::{
    Arrival, Attached, BlobOwner, BlobRow, ChangeType, ChangesRequest, DEFAULT_TENANT, Deleted,
    DeletedInstance, DeletedMark, Deletion, DeletionOf, Derivation, Due, DuplicatePolicy, Encoded,
    Entry, Erasure, Event, ExtraTag, FreedBlob, Ids, Located, Lsn, Maintenance, Member, NewFile,
    Note, NoteContent, NoteId, Noting, OldPatient, Origin, Outcome, OwnerState, Page, Picked,
    PickedFile, PickedInstance, PickedSeries, RecordedNote, Relocation, Statistics, Subject,
    UidPath, Unfilled, Unnoting, Usage,
};
pub use values::{InstanceUids, ValueRow, Values};

use std::collections::HashMap;
use std::time::Duration;
use vna_dicom::{Instance, Level, PublicId, Tag};

/// The index of an archive.
///
/// `apply`, `cover`, `maintain`, `expire_versions`, `relocate` and `checkpoint` write, and wait for each other; the
/// rest reads, and waits for nobody.
pub trait Index: Send + Sync {
    /// Takes the next entries of the log, in one transaction, and says what became of each.
    ///
    /// The transaction is consistent after a power cut but not synced: the log has the entries, and a tail
    /// that was lost is replayed from `covered_lsn() + 1`.
    ///
    /// # Errors
    ///
    /// [`IndexError::LsnOrder`] if an entry is not behind all before it; nothing is applied then.
    fn apply(&self, entries: &[Entry]) -> Result<Vec<Outcome>, IndexError>;

    /// Says that the log up to `lsn` held nothing more for the index, as when it ends with records that are not
    /// for it: the index then covers the end of the log, and nothing up to there is replayed. Never goes back: a
    /// position that is covered already changes nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::OutOfRange`] if no change number follows from the position; those of the engine.
    fn cover(&self, lsn: Lsn) -> Result<(), IndexError>;

    /// The position up to which the log was applied or [covered](Self::cover); 0 for an empty index.
    fn covered_lsn(&self) -> Lsn;

    /// Makes all that was applied durable and gives the position up to which it is; afterwards no power cut
    /// takes the index back behind it.
    fn checkpoint(&self) -> Result<Lsn, IndexError>;

    /// Does work that was put off (rows of deleted resources whose time has come, search keys) for about `budget`.
    ///
    /// The caller calls it when idle, and again soon as long as it says `more`.
    fn maintain(&self, budget: Duration, now_us: i64) -> Result<Maintenance, IndexError>;

    /// Brings the index to the list of [`vna_dicom::extra_tags`] in force: resources that came before a tag was wanted
    /// are [`unfilled`](Self::unfilled).
    fn adopt_extra_tags(&self) -> Result<(), IndexError>;

    /// How far each of the extra tags is.
    fn extra_tags(&self) -> Result<Vec<ExtraTag>, IndexError>;

    /// The next resources, at most `count`, whose first instances are to be read again for extra tags; `None` if all
    /// tags are complete, so that queries need not look into headers for them.
    fn unfilled(&self, count: usize) -> Result<Option<Unfilled>, IndexError>;

    /// Takes what was [`read`](Self::first_instances) again of these resources, those that are not live left out.
    fn fill(&self, unfilled: &Unfilled, read: &[(i64, Instance)]) -> Result<(), IndexError>;

    /// Clears the change feed of a tenant, with a sync; numbers go on. An index that is built anew tells what it finds
    /// in the log once more.
    fn clear_changes(&self, tenant: i64) -> Result<(), IndexError>;

    /// Writes the tags of resources of a level anew, each from the head of one of its instances.
    fn retag(&self, level: Level, read: &[(i64, Instance)]) -> Result<(), IndexError>;

    /// The first deletion whose rows are not all gone: the log must keep its record, or what it deleted would be
    /// back in an index that is built anew.
    fn oldest_deletion(&self) -> Result<Option<Lsn>, IndexError>;

    /// What was deleted and can be brought back, the last deletion first.
    fn deleted(&self, tenant: i64, now_us: i64, page: Page) -> Result<Vec<Deleted>, IndexError>;

    /// The deletions, the last one first, that took the resource of this public id, something below it, or something
    /// that it is part of, and of which this can be brought back.
    fn deletions_of(
        &self,
        tenant: i64,
        id: &PublicId,
        now_us: i64,
    ) -> Result<Vec<DeletionOf>, IndexError>;

    /// What of the resource `id` a deletion took: its instances, the current ones first, at most `limit` of them
    /// behind `after`.
    fn deleted_instances(
        &self,
        tenant: i64,
        id: &PublicId,
        deletion: Lsn,
        after: DeletedMark,
        limit: u64,
        now_us: i64,
    ) -> Result<Vec<DeletedInstance>, IndexError>;

    /// Forgets kept versions whose time has come, at most `limit` of them; gives their blobs.
    fn expire_versions(&self, now_us: i64, limit: u64) -> Result<Vec<FreedBlob>, IndexError>;

    /// Points rows at the new places of blobs and commits with a sync. A blob that is not where `from` says,
    /// or has another key, is left alone. Gives how many rows were changed.
    fn relocate(&self, moves: &[Relocation]) -> Result<u64, IndexError>;

    /// The blobs in one unit of a store (segment, pack) that rows point at, in the order of their places.
    fn blobs_in(&self, store: i64, place_a: i64) -> Result<Vec<BlobRow>, IndexError>;

    /// What rows point at in each unit of a store, in one snapshot: `place_a`, blobs and the bytes that they take
    /// in the store, in the order of `place_a`. Units without such a blob are not named. Blobs of resources that
    /// are deleted but whose rows still exist count. Takes a look at every blob row.
    fn live_by_unit(&self, store: i64) -> Result<Vec<(i64, u64, u64)>, IndexError>;

    /// What rows point at in encodings from `encoding` on. Takes a look at every blob row.
    fn encoded_from(&self, encoding: i64) -> Result<Encoded, IndexError>;

    /// The instances whose blobs `is_wanted` names, whatever became of them. Takes a look at every instance.
    fn owners(&self, is_wanted: &dyn Fn(&BlobRow) -> bool) -> Result<Vec<BlobOwner>, IndexError>;

    /// Looks for contradictions: in the engine's pages, and between counters and rows. Empty: all is well. Takes
    /// minutes on a large archive.
    fn verify(&self) -> Result<Vec<String>, IndexError>;

    /// What a tenant's archive holds; takes the same short time however much that is.
    fn statistics(&self, tenant: i64) -> Result<Statistics, IndexError>;

    /// What the archives of all tenants hold together.
    fn totals(&self) -> Result<Statistics, IndexError>;

    /// The statistics as `GET /statistics` answers them.
    fn statistics_json(&self, tenant: i64) -> Result<Vec<u8>, IndexError>;

    /// The statistics of one resource as `GET /{level}/{id}/statistics` answers them.
    fn resource_statistics_json(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<u8>>, IndexError>;

    /// A resource as `GET /{level}/{id}` answers it; `None` if there is none.
    fn resource_json(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        shape: &Shape,
    ) -> Result<Option<Vec<u8>>, IndexError>;

    /// The resources of a level as `GET /{level}` answers them: objects of a shape, or ids.
    ///
    /// # Errors
    ///
    /// [`IndexError::BadQuery`] if the answer would be too long.
    fn list_json(
        &self,
        tenant: i64,
        level: Level,
        page: Page,
        shape: Option<&Shape>,
    ) -> Result<Vec<u8>, IndexError>;

    /// The resources of `related` level above or below a resource: above, one object; below, a list of objects or,
    /// without a shape, of ids. `None` if the resource is not there.
    fn related_json(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        related: Level,
        shape: Option<&Shape>,
    ) -> Result<Option<Vec<u8>>, IndexError>;

    /// The metadata of a resource, sorted by number; see [`metadata_name`].
    fn metadata(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<(i64, String)>>, IndexError>;

    /// The labels of a resource, sorted; `None` if it is not there.
    fn labels(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<String>>, IndexError>;

    /// The labels that a tenant's resources have, of all levels, sorted.
    fn all_labels(&self, tenant: i64) -> Result<Vec<String>, IndexError>;

    /// One note of a resource; the outer `None` says that the resource is not there.
    fn note(&self, id: &NoteId) -> Result<Option<Option<RecordedNote>>, IndexError>;

    /// What users have attached to a resource, sorted by type; `None` if it is not there.
    fn attachments(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<Vec<RecordedNote>>, IndexError>;

    /// Whether a patient is protected from recycling; `None` if it is not there.
    fn is_protected(&self, tenant: i64, patient: &PublicId) -> Result<Option<bool>, IndexError>;

    /// Notes whose records a rebuild would meet too early, since no instance that arrived before them may be left by
    /// then: at most `limit` of them. Their records must be written again before bytes go that rows need no more.
    fn unfounded_notes(&self, limit: usize) -> Result<Vec<RecordedNote>, IndexError>;

    /// The notes whose records `is_wanted` names.
    fn note_owners(
        &self,
        is_wanted: &dyn Fn(&BlobRow) -> bool,
    ) -> Result<Vec<RecordedNote>, IndexError>;

    /// The least `since_us` of the changes that are awaited: none is due whose time of quiet is not over since then.
    fn next_awaited(&self) -> Result<Option<i64>, IndexError>;

    /// Changes that are to be told: of series that have all that they announced, and of resources below which nothing
    /// arrived after `before_us`. At most `limit` are looked at; fewer may be due. They stay so until they are told.
    fn due_changes(&self, before_us: i64, limit: u64) -> Result<Vec<Due>, IndexError>;

    /// Whether a resource is stable: its Stable change was told after the last arrival. `None` if it is not there.
    fn is_stable(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
    ) -> Result<Option<bool>, IndexError>;

    /// Lets a patient, study or series be stable no more, as if something had arrived at `now_us`; durable when this
    /// returns. `None` if it is not there. The log does not know it: a rebuilt index has it as stable.
    fn unsettle(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        now_us: i64,
    ) -> Result<Option<()>, IndexError>;

    /// How much there is in all tenants, with the position up to which that counts.
    fn usage(&self) -> Result<Usage, IndexError>;

    /// Patients that may go to make room as of `now_us`: not protected, not spared; those first that received nothing
    /// for the longest time.
    fn oldest_patients(&self, limit: u64, now_us: i64) -> Result<Vec<OldPatient>, IndexError>;

    /// Whether that is still so of one of them, and nothing of it came or went.
    fn is_still_old(&self, patient: &OldPatient, now_us: i64) -> Result<bool, IndexError>;

    /// Whether a tenant has a patient.
    fn has_patient(&self, tenant: i64, patient: &PublicId) -> Result<bool, IndexError>;

    /// Lets [`oldest_patients`](Index::oldest_patients) spare the patients of instances, given by tenant, SOP Instance UID
    /// and until when at least. The log does not know it: whoever spares them does so again at every start.
    fn spare(&self, instances: &[(i64, String, i64)]) -> Result<u64, IndexError>;

    /// Whether the change feed has an event of which `is_wanted` names the record.
    fn has_told(&self, is_wanted: &dyn Fn(&BlobRow) -> bool) -> Result<bool, IndexError>;

    /// The notes of what a deletion took, as long as it can be brought back.
    fn deleted_notes(&self, tenant: i64, deletion: Lsn) -> Result<Vec<RecordedNote>, IndexError>;

    /// The change feed as `GET /changes` answers it.
    fn changes_json(&self, tenant: i64, request: &ChangesRequest) -> Result<Vec<u8>, IndexError>;

    /// The resources that have this identifier, as `POST /tools/lookup` answers them.
    fn lookup_json(&self, tenant: i64, identifier: &str) -> Result<Vec<u8>, IndexError>;

    /// Where the bytes of a live instance are.
    fn locate(&self, tenant: i64, instance: &PublicId) -> Result<Option<Located>, IndexError>;

    /// Where the bytes of the live instances below a resource are, in the order of arrival; `None` if the
    /// resource is not there.
    fn locate_below(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        page: Page,
    ) -> Result<Option<Vec<Located>>, IndexError>;

    /// The live instances below the resource of a number, series by series, in the order of their index in the series;
    /// none if the resource is not live.
    fn members(&self, level: Level, id: i64) -> Result<Vec<Member>, IndexError>;

    /// Where the bytes of the instances of these numbers are, in any order: also of those that were deleted since, as
    /// long as they have a row.
    fn locate_members(&self, instances: &[i64]) -> Result<Vec<(i64, Located)>, IndexError>;

    /// The live instances of the studies, series or instance that UIDs name, series by series, in the order of their index
    /// in the series; none if nothing is there. A UID may have come under two parents, and then both are named.
    fn pick(&self, tenant: i64, path: &UidPath<'_>) -> Result<Picked, IndexError>;

    /// Whether what UIDs name was deleted, itself or with what it was in, and can still be brought back. It may be there
    /// all the same, if it came again.
    fn was_deleted(&self, tenant: i64, path: &UidPath<'_>, now_us: i64)
    -> Result<bool, IndexError>;

    /// The number of a resource, or of the one at level `at` that it is in. Numbers are never used twice.
    fn number(
        &self,
        tenant: i64,
        level: Level,
        id: &PublicId,
        at: Level,
    ) -> Result<Option<i64>, IndexError>;

    /// Of each resource that is live its number and its first live instance, in the order of arrival; in a view
    /// ([`Query::study_label`]) the first that is in it.
    fn first_instances(
        &self,
        level: Level,
        ids: &[i64],
        study_label: Option<&str>,
    ) -> Result<Vec<(i64, Located)>, IndexError>;

    /// The same for the resources of level `at` under one of a higher level: at most `limit` of them, those with
    /// numbers behind `after`, in the order of their numbers.
    fn first_instances_below(
        &self,
        above: (Level, i64),
        at: Level,
        after: i64,
        limit: u64,
        study_label: Option<&str>,
    ) -> Result<Vec<(i64, Located)>, IndexError>;

    /// The values of `tags` of the resources of these numbers, in that order, those that are not live left out. In a
    /// view ([`Query::study_label`]) patients count what is in it.
    fn values(
        &self,
        level: Level,
        ids: &[i64],
        tags: &[Tag],
        study_label: Option<&str>,
    ) -> Result<Values, IndexError>;

    /// The instances in the resources of these numbers, in that order and the order of arrival, without those that are
    /// not live, nor in a view ([`Query::study_label`]) those of other studies.
    fn instances(
        &self,
        level: Level,
        ids: &[i64],
        study_label: Option<&str>,
    ) -> Result<Vec<InstanceUids>, IndexError>;

    /// The resources that match a query, a page of them.
    ///
    /// # Errors
    ///
    /// [`IndexError::BadQuery`] if it asks for what cannot be answered as asked, [`IndexError::Deadline`] if its time
    /// is over.
    fn find(&self, query: &Query) -> Result<Found, IndexError>;

    /// Answers a query, a page of it; errors as [`find`](Self::find).
    fn query(&self, query: &Query) -> Result<Answer, IndexError>;

    /// How many resources match, as far as the index can say; errors as [`find`](Self::find).
    fn count(&self, query: &Query) -> Result<(u64, HeaderKeys), IndexError>;

    /// A page of a query: objects of a shape, or ids. `None` if headers must be read to say what matches; errors as
    /// [`find`](Self::find).
    fn query_json(
        &self,
        query: &Query,
        shape: Option<&Shape>,
    ) -> Result<Option<Vec<u8>>, IndexError>;

    /// Resources by their numbers, in that order, those that are not live left out: objects of a shape, or ids; with
    /// values for `RequestedTags` of those that the index does not keep.
    ///
    /// # Errors
    ///
    /// [`IndexError::BadQuery`] if the answer would be too long.
    fn write_json(
        &self,
        level: Level,
        ids: &[i64],
        shape: Option<&Shape>,
        from_headers: &HashMap<i64, Vec<Requested>>,
    ) -> Result<Vec<u8>, IndexError>;
}

/// Whether the index has the value of a tag for a resource of a level.
#[must_use]
pub fn is_indexed(level: Level, tag: Tag) -> bool {
    sqlite::is_indexed(level, tag)
}

/// Microseconds of UTC as the REST interface writes a moment: `yyyymmddThhmmss`.
#[must_use]
pub fn moment(us: i64) -> String {
    let mut text = String::new();
    time::write_compact(us, &mut text);
    text
}

/// The answer of `DELETE /{level}/{id}` for an [`Outcome::Deleted`].
#[must_use]
pub fn deletion_json(remaining_ancestor: Option<(Level, PublicId)>) -> Vec<u8> {
    let mut json = json::Json::new();
    json.open(b'{');
    json.name("RemainingAncestor");
    match remaining_ancestor {
        None => json.null(),
        Some((level, id)) => {
            json.open(b'{');
            json.name("ID").display(id);
            json.name("Path")
                .display(format_args!("/{}/{id}", level.plural()));
            json.name("Type").text(level.as_str());
            json.close(b'}');
        }
    }
    json.close(b'}');
    json.finish()
}
