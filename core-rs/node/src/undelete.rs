//! What was deleted is brought back, or goes before its time.
//!
//! To bring back is to store again: each instance whose bytes are still there arrives once more, with the origin that
//! it had and the policy "the first one stays", so that what came since stays; then the deletion keeps nothing any
//! more. A replay needs to know nothing of it, and a power cut leaves at worst a part brought back: the same request
//! again does the rest.

use std::sync::Arc;
use std::sync::mpsc;

use serde::Serialize;
use vna_dicom::{PublicId, keyword};
use vna_index::{
    Deleted, DeletedInstance, DeletedMark, NoteId, Outcome, Page, RecordedNote, moment,
};
use vna_store::{Digest, FinishedBlob, Log, Lsn, StoreError};

use crate::archive::Archive;
use crate::arrival::{ArrivalHeader, Duplicates, ErasureHeader};
use crate::committer::{Answer, Deed, File, Work};
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::notes::{Condition, once_more};
use crate::replay::read_head_of;
use crate::stored_file::StoredFile;

/// Instances that are on their way into the log at a time, and bytes of theirs in memory (one more may be begun).
const BATCH: u64 = 64;
const BATCH_BYTES: u64 = 8 << 20;

/// What of a large object is in memory at a time, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Deletions that one log record erases: its header is bounded.
const ERASED_AT_ONCE: usize = 1000;

/// Problems that a report names.
const MAX_NAMED: usize = 1000;

/// A deletion that can be taken back, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletedEntry {
    /// Names the deletion: its position in the log.
    pub deletion: u64,
    /// The public id of what was deleted.
    #[serde(rename = "ID")]
    pub id: String,
    /// `Patient`, `Study`, `Series` or `Instance`.
    #[serde(rename = "Type")]
    pub level: String,
    /// When, UTC.
    pub deleted: String,
    /// Until when it can be brought back, UTC.
    pub until: String,
    /// Instances in it.
    pub instances: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Main tags by name, of its level and of those above.
    pub main_dicom_tags: serde_json::Map<String, serde_json::Value>,
}

impl From<Deleted> for DeletedEntry {
    fn from(deleted: Deleted) -> Self {
        let tags = deleted.tags.into_iter().map(|(tag, value)| {
            let name = keyword(tag).map_or_else(|| tag.to_string(), str::to_owned);
            (name, value.into())
        });
        Self {
            deletion: deleted.deletion,
            id: deleted.public_id.to_string(),
            level: deleted.level.as_str().to_owned(),
            deleted: moment(deleted.deleted_us),
            until: moment(deleted.until_us),
            instances: deleted.instances,
            bytes: deleted.stored_bytes,
            main_dicom_tags: tags.collect(),
        }
    }
}

/// What became of a request to bring back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UndeleteReport {
    /// Instances that are live again.
    pub restored: u64,
    /// Instances that were there already, with the same bytes.
    pub present: u64,
    /// Instances kept as versions, since another one is live.
    pub versions: u64,
    /// Ids of which nothing can be brought back.
    pub unknown: Vec<String>,
    /// Instances that could not be brought back, each with the reason; their deletion keeps them until its time.
    pub problems: Vec<String>,
}

/// What became of a request to erase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EraseReport {
    /// Deletions that keep nothing any more.
    pub erased: u64,
    /// Ids that no deletion took as a whole; nothing of theirs was erased.
    pub unknown: Vec<String>,
}

/// What is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erased {
    /// All that was deleted.
    All,
    /// What was deleted of these resources.
    Of(Vec<PublicId>),
}

impl UndeleteReport {
    fn problem(&mut self, instance: &DeletedInstance, reason: impl std::fmt::Display) {
        if self.problems.len() < MAX_NAMED {
            let problem = format!("instance {}: {reason}", instance.public_id);
            self.problems.push(problem);
        }
    }

    fn lost_note(&mut self, id: &NoteId, reason: impl std::fmt::Display) {
        if self.problems.len() < MAX_NAMED {
            let NoteId {
                level,
                public_id,
                subject,
                ..
            } = id;
            let problem = format!("{} {public_id}: {subject:?}: {reason}", level.as_str());
            self.problems.push(problem);
        }
    }

    fn count(
        &mut self,
        instance: &DeletedInstance,
        answer: Answer,
    ) -> Result<(), Arc<ArchiveError>> {
        match answer? {
            Outcome::Stored { .. } | Outcome::Superseded { .. } => self.restored += 1,
            Outcome::AlreadyStored { .. } => self.present += 1,
            Outcome::KeptAsVersion { .. } => self.versions += 1,
            other => self.problem(instance, format_args!("it became {other:?}")),
        }
        Ok(())
    }
}

impl Archive {
    /// What was deleted and can be brought back, the last deletion first.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn deleted(
        &self,
        tenant: i64,
        now_us: i64,
        page: Page,
    ) -> Result<Vec<DeletedEntry>, ArchiveError> {
        let deleted = self.index().deleted(tenant, now_us, page)?;
        Ok(deleted.into_iter().map(DeletedEntry::from).collect())
    }

    /// Brings back what was deleted of these resources: a resource that was deleted, one below it, or all that was
    /// deleted below a live one. What was deleted last becomes live; what was deleted before it under the same
    /// identity becomes a kept version.
    ///
    /// # Errors
    ///
    /// What log and index say. What was answered until then is there; the same request again does the rest.
    pub fn undelete(
        &self,
        tenant: i64,
        ids: &[PublicId],
        now_us: i64,
    ) -> Result<UndeleteReport, Arc<ArchiveError>> {
        let mut report = UndeleteReport::default();
        for id in ids {
            let deletions = self
                .index()
                .deletions_of(tenant, id, now_us)
                .map_err(shared)?;
            if deletions.is_empty() {
                report.unknown.push(id.to_string());
            }
            for found in deletions {
                let problems = report.problems.len();
                let notes = self.index().deleted_notes(tenant, found.deletion);
                let notes = notes.map_err(shared)?;
                self.bring_back(tenant, id, found.deletion, now_us, &mut report)?;
                self.note_again(notes, &mut report)?;
                if found.is_whole && report.problems.len() == problems {
                    self.erase_deletions(&[found.deletion], now_us)?;
                }
            }
        }
        Ok(report)
    }

    /// Stores again what a deletion took of a resource, a batch at a time.
    fn bring_back(
        &self,
        tenant: i64,
        id: &PublicId,
        deletion: Lsn,
        now_us: i64,
        report: &mut UndeleteReport,
    ) -> Result<(), Arc<ArchiveError>> {
        let mut mark = DeletedMark::default();
        loop {
            let page = self
                .index()
                .deleted_instances(tenant, id, deletion, mark, BATCH, now_us)
                .map_err(shared)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            mark = last.mark;
            let (mut waiting, mut bytes) = (Vec::new(), 0);
            for instance in &page {
                match self.store_again(tenant, instance, now_us) {
                    Ok(answer) => waiting.push((instance, answer)),
                    Err(error) if is_of_the_instance(&error) => report.problem(instance, error),
                    Err(error) => return Err(shared(error)),
                }
                bytes += instance.blob.stored_size;
                if bytes >= BATCH_BYTES {
                    collect(&mut waiting, report)?;
                    bytes = 0;
                }
            }
            collect(&mut waiting, report)?;
        }
    }

    /// Gives what is there again the notes that it had. What was noted since stays.
    fn note_again(
        &self,
        notes: Vec<RecordedNote>,
        report: &mut UndeleteReport,
    ) -> Result<(), Arc<ArchiveError>> {
        for recorded in notes {
            let id = recorded.note.id.clone();
            let mut new = match once_more(self.files(), recorded) {
                Ok(Deed::Noting(new)) => new,
                Ok(_) => continue,
                Err(error) if is_of_the_instance(&error) => {
                    report.lost_note(&id, error);
                    continue;
                }
                Err(error) => return Err(shared(error)),
            };
            (new.again, new.condition) = (false, Some(Condition::Absent));
            match self.put_note(*new) {
                Err(error)
                    if !matches!(
                        *error,
                        // What was not brought back stays without.
                        ArchiveError::NotFound { .. } | ArchiveError::Revision { .. }
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Hands an instance to the committer as it had arrived.
    fn store_again(
        &self,
        tenant: i64,
        deleted: &DeletedInstance,
        now_us: i64,
    ) -> Result<mpsc::Receiver<Answer>, ArchiveError> {
        let reader = self.open_deleted(tenant, deleted, now_us)?;
        let instance = read_head_of(&reader, reader.size())?;
        let file = self.copy(&reader)?;
        let header = ArrivalHeader {
            tenant,
            at_us: now_us,
            origin: deleted.origin.clone(),
            duplicates: Duplicates::Never,
            patient_issuers: !deleted.issuer_of_patient_id.is_empty(),
            keep_versions_us: self.keep_versions_us(),
            derived_from: None, // that is among its notes
        };
        let (reply, answer) = mpsc::channel();
        let reply = move |answer| drop(reply.send(answer));
        self.record_arrival(header, instance, file, Box::new(reply));
        Ok(answer)
    }

    /// Opens the bytes of a deleted instance; a compaction may move them meanwhile, and the row then says where to.
    fn open_deleted(
        &self,
        tenant: i64,
        deleted: &DeletedInstance,
        now_us: i64,
    ) -> Result<StoredFile, ArchiveError> {
        let mut blob = deleted.blob.clone();
        for _ in 0..3 {
            match self.files().open(&blob_ref(&blob)?) {
                Err(ArchiveError::Store(StoreError::Gone { .. })) => {}
                opened => return opened,
            }
            let id = &deleted.public_id;
            for found in self.index().deletions_of(tenant, id, now_us)? {
                let again = self.index().deleted_instances(
                    tenant,
                    id,
                    found.deletion,
                    DeletedMark::default(),
                    u64::MAX,
                    now_us,
                )?;
                if let Some(again) = again.iter().find(|again| again.blob.key == blob.key) {
                    blob = again.blob.clone();
                }
            }
        }
        self.files().open(&blob_ref(&blob)?)
    }

    /// The same bytes once more. They are compared with their digest: damage must not get a digest of its own.
    fn copy(&self, reader: &StoredFile) -> Result<File, ArchiveError> {
        if reader.size() <= self.settings().storage.large_object_bytes {
            let bytes = reader.read_all()?;
            if Digest::of(&bytes) != reader.digest() {
                reader.verify()?; // tells what is wrong
            }
            return Ok(File::in_memory(bytes));
        }
        Ok(File::Large(copy_large(self.log(), reader)?))
    }

    /// Ends the time of deletions: what they took goes now, and its bytes with the next tidying up.
    ///
    /// # Errors
    ///
    /// What log and index say.
    pub fn erase(
        &self,
        tenant: i64,
        what: &Erased,
        now_us: i64,
    ) -> Result<EraseReport, Arc<ArchiveError>> {
        let mut report = EraseReport::default();
        let deletions: Vec<Lsn> = match what {
            Erased::All => {
                let all = self.index().deleted(tenant, now_us, Page::default());
                let all = all.map_err(shared)?.into_iter();
                all.map(|deleted| deleted.deletion).collect()
            }
            Erased::Of(ids) => {
                let mut deletions = Vec::new();
                for id in ids {
                    let found = self.index().deletions_of(tenant, id, now_us);
                    let found = found.map_err(shared)?;
                    // What a deletion took besides is not what was asked for.
                    let whole: Vec<Lsn> = found
                        .iter()
                        .filter(|found| found.is_whole)
                        .map(|found| found.deletion)
                        .collect();
                    if whole.is_empty() {
                        report.unknown.push(id.to_string());
                    }
                    deletions.extend(whole);
                }
                deletions.sort_unstable();
                deletions.dedup();
                deletions
            }
        };
        for some in deletions.chunks(ERASED_AT_ONCE) {
            report.erased += self.erase_deletions(some, now_us)?;
        }
        self.keeper.tidy(now_us).map_err(shared)?;
        Ok(report)
    }

    fn erase_deletions(&self, deletions: &[Lsn], now_us: i64) -> Result<u64, Arc<ArchiveError>> {
        let (reply, answer) = mpsc::channel();
        let header = ErasureHeader {
            at_us: now_us,
            deletions: deletions.to_vec(),
        };
        self.committer.submit(Work::new(
            Deed::Erasure(header),
            Box::new(move |answer| drop(reply.send(answer))),
        ));
        match answer.recv().unwrap_or_else(|_| Err(stopped()))? {
            Outcome::Erased { deletions } => Ok(deletions),
            _ => Ok(0),
        }
    }
}

/// Copies a blob into a new file of its own. It is compared with its digest, as all copies are.
pub(crate) fn copy_large(log: &Log, reader: &StoredFile) -> Result<FinishedBlob, ArchiveError> {
    let mut writer = log.new_large_blob()?;
    let mut piece = vec![0; PIECE_BYTES];
    while writer.size() < reader.size() {
        let read = reader.read_at(&mut piece, writer.size())?;
        writer.write(&piece[..read])?;
    }
    let blob = writer.finish()?;
    if blob.digest() != reader.digest() {
        reader.verify()?; // tells what is wrong
    }
    Ok(blob)
}

/// Waits for the answers to all that is on its way.
fn collect(
    waiting: &mut Vec<(&DeletedInstance, mpsc::Receiver<Answer>)>,
    report: &mut UndeleteReport,
) -> Result<(), Arc<ArchiveError>> {
    for (instance, answer) in waiting.drain(..) {
        let answer = answer.recv().unwrap_or_else(|_| Err(stopped()));
        report.count(instance, answer)?;
    }
    Ok(())
}

fn stopped() -> Arc<ArchiveError> {
    Arc::new(ArchiveError::Stopped)
}

fn shared(error: impl Into<ArchiveError>) -> Arc<ArchiveError> {
    Arc::new(error.into())
}

/// Whether only this instance is concerned, so that the others go on.
fn is_of_the_instance(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Dicom(_)
            | ArchiveError::Row { .. }
            | ArchiveError::Store(
                StoreError::Damaged(_) | StoreError::OtherBlob { .. } | StoreError::Gone { .. }
            )
    )
}
