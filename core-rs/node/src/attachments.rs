//! Attachments: bytes that users give to resources, and the files of instances served in the same way.
//!
//! An attachment is a note whose record keeps its bytes, plain or compressed; a long one is streamed to a file of its
//! own. The form of compressed bytes is that of clients of Orthanc: the length in 8 bytes, then a zlib stream.

mod content;
mod writing;

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use vna_dicom::{Level, PublicId};
use vna_index::{
    Attached, FIRST_OF_USERS, LAST_OF_USERS, Note, NoteContent, NoteId, RecordedNote, Subject,
    attachment_name, attachment_number,
};
use vna_store::StoreError;

use crate::archive::Archive;
use crate::entries::blob_ref;
use crate::error::ArchiveError;
use crate::find::{FindProblem, Wrong, shown};
use crate::note_header::hex;
use crate::notes::{Condition, NewNote, Revision, not_found, not_there, revision_of};
use crate::stored_file::StoredFile;

pub use content::AttachmentReader;
pub(crate) use content::Md5Cache;
use content::md5_of_file;
pub use writing::AttachmentWriter;

/// The type of the file of an instance.
const DICOM: i64 = 1;

/// What is read or written at a time, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// An attachment as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachmentInfo {
    /// MD5 of what is stored.
    #[serde(rename = "CompressedMD5")]
    pub compressed_md5: String,
    /// Bytes that are stored.
    pub compressed_size: u64,
    /// Its type.
    pub content_type: i64,
    /// MD5 of what it is.
    #[serde(rename = "UncompressedMD5")]
    pub uncompressed_md5: String,
    /// Bytes that it has.
    pub uncompressed_size: u64,
    /// Its name in the store.
    pub uuid: String,
}

/// An attachment, held open: what is reclaimed or moved meanwhile can still be read.
pub struct OpenedAttachment {
    /// What clients see of it.
    pub info: AttachmentInfo,
    /// How often it was changed since it was made.
    pub revision: u64,
    /// Whether what is stored is compressed.
    pub is_compressed: bool,
    /// Its bytes.
    pub reader: AttachmentReader,
}

/// A type of attachments or metadata that is given by name or number, as a request writes it.
///
/// # Errors
///
/// [`ArchiveError::Find`] if it is none.
fn numbered(name: &str, number: Option<i64>) -> Result<i64, ArchiveError> {
    number.ok_or_else(|| {
        let text = format!("{} is no type of metadata or attachments", shown(name));
        FindProblem::new(Wrong::Metadata, text).into()
    })
}

/// The type of a note that a request wants to change.
///
/// # Errors
///
/// [`ArchiveError::SystemNote`] if it is the archive's; [`ArchiveError::Find`] if it is none.
pub(crate) fn changeable(name: &str, number: Option<i64>) -> Result<i64, ArchiveError> {
    let digits = name.strip_prefix('-').unwrap_or(name);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = match (number, is_number) {
        (None, true) => -1, // beyond all types
        _ => numbered(name, number)?,
    };
    match (FIRST_OF_USERS..=LAST_OF_USERS).contains(&number) {
        true => Ok(number),
        false => Err(ArchiveError::SystemNote {
            problem: format!(
                "{} is no type of users; they have those from {FIRST_OF_USERS} to {LAST_OF_USERS}",
                shown(name)
            ),
        }),
    }
}

impl Archive {
    /// The attachments of a resource, by type, sorted; of an instance its file is the first.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if there is no such resource; what the index says.
    pub fn attachments(
        &self,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
    ) -> Result<Vec<(i64, String)>, ArchiveError> {
        let found = self.index().attachments(tenant, level, public_id)?;
        let found = found.ok_or(ArchiveError::NotFound {
            level,
            public_id: *public_id,
        })?;
        let own = (level == Level::Instance).then_some(DICOM);
        let users = found
            .iter()
            .filter_map(|found| match found.note.id.subject {
                Subject::Attachment(number) => Some(number),
                _ => None,
            });
        let all = own.into_iter().chain(users);
        Ok(all
            .map(|number| (number, attachment_name(number).into_owned()))
            .collect())
    }

    /// Opens an attachment, which is given by name or number.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] and [`ArchiveError::NoNote`] if it is not there, [`ArchiveError::Find`] if there is no
    /// such type; what log and index say.
    pub fn open_attachment(
        &self,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
        name: &str,
    ) -> Result<OpenedAttachment, ArchiveError> {
        let number = numbered(name, attachment_number(name))?;
        let id = NoteId {
            tenant,
            level,
            public_id: *public_id,
            subject: Subject::Attachment(number),
        };
        if level == Level::Instance && number == DICOM {
            let (_, file) = self
                .open_file(tenant, public_id)?
                .ok_or_else(|| not_found(&id))?;
            return self.opened_file(file);
        }
        // A compaction may move the bytes between the two steps; the row then says where to.
        for _ in 0..3 {
            let found = self.note(&id)?.ok_or_else(|| not_there(&id))?;
            match self.opened(&id, found) {
                Err(ArchiveError::Store(StoreError::Gone { .. })) => {}
                opened => return opened,
            }
        }
        let found = self.note(&id)?.ok_or_else(|| not_there(&id))?;
        self.opened(&id, found)
    }

    fn opened(&self, id: &NoteId, found: RecordedNote) -> Result<OpenedAttachment, ArchiveError> {
        let RecordedNote { note, blob } = found;
        let (NoteContent::Bytes(attached), Some(blob)) = (note.content, blob) else {
            return Err(not_there(id));
        };
        let file = self.files().open(&blob_ref(&blob)?)?;
        let number = match id.subject {
            Subject::Attachment(number) => number,
            _ => 0,
        };
        Ok(opened(number, note.revision, attached, file))
    }

    /// The file of an instance; its MD5 is computed when it is first asked for.
    fn opened_file(&self, file: StoredFile) -> Result<OpenedAttachment, ArchiveError> {
        let key = (file.digest().0, file.size());
        // Let go of before the file is read: the lock is wanted again for what is computed.
        let known = self.md5s.lock().get(&key);
        let md5 = match known {
            Some(md5) => md5,
            None => {
                let md5 = md5_of_file(&file)?;
                self.md5s.lock().put(key, md5);
                md5
            }
        };
        let attached = Attached {
            size: file.size(),
            md5,
            stored_md5: None,
        };
        Ok(opened(DICOM, 0, attached, file))
    }

    /// Begins to attach something to a resource, under a type that is given by name or number.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::SystemNote`] or [`ArchiveError::Find`] if users have no such type, [`ArchiveError::NotFound`] if
    /// the resource is not there; [`ArchiveError::Revision`] if the condition does not hold already now.
    pub fn new_attachment(
        self: &Arc<Self>,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
        name: &str,
        condition: Condition,
    ) -> Result<AttachmentWriter, ArchiveError> {
        let number = changeable(name, attachment_number(name))?;
        let id = NoteId {
            tenant,
            level,
            public_id: *public_id,
            subject: Subject::Attachment(number),
        };
        let current = self.note(&id)?.map(|found| revision_of(&found.note));
        condition.check(&id, current.as_ref())?;
        Ok(AttachmentWriter::new(Arc::clone(self), id, condition))
    }

    /// Compresses what is stored of an attachment, or stores it plain again. The file of an instance stays as it is:
    /// how received files are kept is the archive's own matter.
    ///
    /// # Errors
    ///
    /// Those of [`open_attachment`](Self::open_attachment) and of [`put_metadata`](Self::put_metadata).
    pub fn recompress_attachment(
        self: &Arc<Self>,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
        name: &str,
        is_compressed: bool,
    ) -> Result<(), Arc<ArchiveError>> {
        let opened = self.open_attachment(tenant, level, public_id, name)?;
        let number = opened.info.content_type;
        if opened.is_compressed == is_compressed || number < FIRST_OF_USERS {
            return Ok(());
        }
        let id = NoteId {
            tenant,
            level,
            public_id: *public_id,
            subject: Subject::Attachment(number),
        };
        let named = Revision {
            number: opened.revision,
            md5: opened.info.uncompressed_md5.clone(),
        };
        let condition = Condition::Revision {
            must_be: true,
            named: Some(named),
        };
        let mut writer = AttachmentWriter::new(Arc::clone(self), id, condition);
        if is_compressed {
            writer.compress(opened.info.uncompressed_size);
        }
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        loop {
            let read = opened.reader.read_at(&mut piece, at)?;
            if read == 0 {
                break;
            }
            writer.write(&piece[..read])?;
            at += read as u64;
        }
        writer.finish()?;
        Ok(())
    }

    /// Reads an attachment whole, as it is and as it is stored, and compares both with their MD5; what is stored also
    /// with its digest.
    ///
    /// # Errors
    ///
    /// Those of [`open_attachment`](Self::open_attachment); of what is not what it was, that it is damaged.
    pub fn verify_attachment(
        &self,
        tenant: i64,
        level: Level,
        public_id: &PublicId,
        name: &str,
    ) -> Result<(), ArchiveError> {
        self.open_attachment(tenant, level, public_id, name)?
            .verify()
    }

    /// Records an attachment whose bytes are written.
    pub(crate) fn attach(
        &self,
        id: NoteId,
        attached: Attached,
        file: crate::committer::File,
        condition: Condition,
    ) -> Result<Revision, Arc<ArchiveError>> {
        self.put_note(NewNote {
            note: Note {
                id,
                revision: 0,
                content: NoteContent::Bytes(attached),
            },
            file,
            at_us: 0,
            again: false,
            condition: Some(condition),
        })
    }
}

fn opened(number: i64, revision: u64, attached: Attached, file: StoredFile) -> OpenedAttachment {
    let Attached {
        size,
        md5,
        stored_md5,
    } = attached;
    let info = AttachmentInfo {
        compressed_md5: hex(&stored_md5.unwrap_or(md5)),
        compressed_size: file.size(),
        content_type: number,
        uncompressed_md5: hex(&md5),
        uncompressed_size: size,
        uuid: uuid(&file.blob().key.0),
    };
    let is_compressed = stored_md5.is_some();
    OpenedAttachment {
        info,
        revision,
        is_compressed,
        reader: AttachmentReader::new(file, size, is_compressed),
    }
}

/// A blob key in the form of a UUID.
fn uuid(key: &[u8; 16]) -> String {
    let hex = hex(key);
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

impl OpenedAttachment {
    fn verify(&self) -> Result<(), ArchiveError> {
        self.reader.verify_stored()?;
        let stored = self.reader.md5(true)?;
        let read = self.reader.md5(false)?;
        let AttachmentInfo {
            compressed_md5,
            uncompressed_md5,
            ..
        } = &self.info;
        match stored == *compressed_md5 && read == *uncompressed_md5 {
            true => Ok(()),
            false => Err(ArchiveError::BadAttachment {
                problem: format!(
                    "its MD5 is {read} (stored: {stored}), and was {uncompressed_md5} (stored: {compressed_md5})"
                ),
            }),
        }
    }
}

/// MD5 sums of files by their digests.
pub(crate) type Md5s = Mutex<Md5Cache>;
