//! Notes as the log keeps them: the header of the record, beside the blob that is what the note says.

use serde::{Deserialize, Serialize};
use vna_index::{Attached, Note, NoteContent, NoteId, Subject};

use crate::find::level_named;

/// The header of a note's log record, of one that was given and of one that was taken. One of `label`, `metadata`,
/// `attachment` and `protected` says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NoteHeader {
    /// Whose archive the resource is in.
    pub tenant: i64,
    /// UTC, microseconds since 1970.
    pub at_us: i64,
    /// `patient`, `study`, `series` or `instance`.
    pub level: String,
    /// The resource's public id.
    pub public_id: String,
    /// The label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The type of the metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<i64>,
    /// The type of the attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<i64>,
    /// It is protected from recycling.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// How often it was changed since it was made.
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// Bytes of the attachment when read.
    #[serde(skip_serializing_if = "is_zero")]
    pub size: u64,
    /// MD5 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// MD5 of what is stored, if that is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_md5: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl NoteHeader {
    /// Of a note that is taken.
    pub(crate) fn of(id: &NoteId, at_us: i64) -> Self {
        let mut header = Self {
            tenant: id.tenant,
            at_us,
            level: id.level.as_str().to_owned(),
            public_id: id.public_id.to_string(),
            ..Self::default()
        };
        match &id.subject {
            Subject::Label(label) => header.label = Some(label.clone()),
            Subject::Metadata(number) => header.metadata = Some(*number),
            Subject::Attachment(number) => header.attachment = Some(*number),
            Subject::Protection => header.protected = true,
        }
        header
    }

    /// Of a note that is given.
    pub(crate) fn of_note(note: &Note, at_us: i64) -> Self {
        let mut header = Self::of(&note.id, at_us);
        header.revision = note.revision;
        if let NoteContent::Bytes(attached) = &note.content {
            header.size = attached.size;
            header.md5 = Some(hex(&attached.md5));
            header.stored_md5 = attached.stored_md5.as_ref().map(hex);
        }
        header
    }

    /// The bytes that the log keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and strings have a JSON form")
    }

    /// The note that it is about, or `None` if it names none.
    pub fn id(&self) -> Option<NoteId> {
        let subject = match (&self.label, self.metadata, self.attachment, self.protected) {
            (Some(label), None, None, false) => Subject::Label(label.clone()),
            (None, Some(number), None, false) => Subject::Metadata(number),
            (None, None, Some(number), false) => Subject::Attachment(number),
            (None, None, None, true) => Subject::Protection,
            _ => return None,
        };
        Some(NoteId {
            tenant: self.tenant,
            level: level_named(&self.level)?,
            public_id: self.public_id.parse().ok()?,
            subject,
        })
    }

    /// The note, of which `value` gives the metadata; `None` if it is not whole.
    pub(crate) fn note<E>(
        &self,
        value: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Option<Note>, E> {
        let Some(id) = self.id() else {
            return Ok(None);
        };
        let content = match id.subject {
            Subject::Label(_) | Subject::Protection => NoteContent::Nothing,
            Subject::Metadata(_) => NoteContent::Value(value()?),
            Subject::Attachment(_) => {
                let stored_md5 = self.stored_md5.as_deref().map(md5_of);
                let (Some(md5), None | Some(Some(_))) =
                    (self.md5.as_deref().and_then(md5_of), stored_md5)
                else {
                    return Ok(None);
                };
                NoteContent::Bytes(Attached {
                    size: self.size,
                    md5,
                    stored_md5: stored_md5.flatten(),
                })
            }
        };
        let revision = self.revision;
        Ok(Some(Note {
            id,
            revision,
            content,
        }))
    }
}

/// A digest in hexadecimal digits.
pub(crate) fn hex(digest: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*digest))
}

fn md5_of(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    Some(value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vna_dicom::{Level, PublicId};

    fn note(subject: Subject, content: NoteContent) -> Note {
        Note {
            id: NoteId {
                tenant: 7,
                level: Level::Study,
                public_id: PublicId::study("P", "1.2"),
                subject,
            },
            revision: 3,
            content,
        }
    }

    #[test]
    fn what_a_header_says_of_a_note_is_read_back() {
        let attached = Attached {
            size: 5,
            md5: [0xAB; 16],
            stored_md5: Some([1; 16]),
        };
        for (subject, content) in [
            (Subject::Label("a".into()), NoteContent::Nothing),
            (Subject::Metadata(1024), NoteContent::Value(b"v".to_vec())),
            (Subject::Attachment(1025), NoteContent::Bytes(attached)),
            (Subject::Protection, NoteContent::Nothing),
        ] {
            let note = note(subject, content);
            let bytes = NoteHeader::of_note(&note, 9).to_bytes();
            let header: NoteHeader = serde_json::from_slice(&bytes).expect("is JSON");
            let read = header.note(|| Ok::<_, ()>(b"v".to_vec()));
            assert_eq!(read, Ok(Some(note)));
        }
    }

    #[test]
    fn a_header_of_a_label_is_that_of_earlier_releases() {
        let text = format!(
            r#"{{"tenant":7,"at_us":9,"level":"study","public_id":"{}","label":"a"}}"#,
            PublicId::study("P", "1.2")
        );
        let header: NoteHeader = serde_json::from_str(&text).expect("is JSON");
        let mut expected = note(Subject::Label("a".into()), NoteContent::Nothing);
        expected.revision = 0;
        assert_eq!(header.note(|| Err(())), Ok(Some(expected)));
    }

    #[test]
    fn a_header_of_nothing_or_of_two_things_is_none() {
        let id = note(Subject::Protection, NoteContent::Nothing).id;
        let header = NoteHeader::of(&id, 1);
        let nothing = NoteHeader {
            protected: false,
            ..header.clone()
        };
        let two = NoteHeader {
            metadata: Some(1),
            ..header
        };
        assert_eq!((nothing.id(), two.id()), (None, None));
    }
}
