//! Notes: each is a record of the log, and the row its only reference.
//!
//! 1. A note's record stands behind the arrival of an instance of its resource whose record is still in the log: its
//!    ground. When the row of that instance goes, the note is told by [`unfounded`], and is recorded once more before
//!    the bytes of the instance go. A replay meets the resource before the note then, whatever a compaction took.
//! 2. A note goes with its resource: nothing of it is left for one that comes later under the same identity.
//! 3. A replay decides nothing: what a note says, its revision too, is what its record says.

use super::delete::release;
use super::keys::candidates;
use super::note_rows::{key, value_columns};
use super::resource::{self, Found};
use super::writer::{ChangeRow, Transaction, first_seq};
use crate::bits::Signed;
use crate::error::Doing;
use crate::metadata::{ANONYMIZED_FROM, FIRST_OF_USERS, MODIFIED_FROM};
use crate::{
    Arrival, ChangeType, FreedBlob, IndexError, Note, NoteContent, NoteId, Noting, Outcome,
    Subject, Unnoting,
};
use rusqlite::{Connection, OptionalExtension, params};
use vna_dicom::Level;

impl Transaction<'_> {
    /// Gives a resource a note, or a note that it has another record.
    pub(crate) fn note(&mut self, noting: &Noting) -> Result<Outcome, IndexError> {
        let Noting { note, blob, .. } = noting;
        let found = self.noted(&note.id)?;
        // All that is live has an instance.
        let ground = match found {
            Some(found) => ground(self.connection, note.id.level, found.id)?,
            None => None,
        };
        let (Some(found), Some(ground)) = (found, ground) else {
            return Ok(Outcome::NotNoted {
                freed: FreedBlob::from(blob),
            });
        };
        let freed = self.unnote(found, &note.id)?;
        let row = self.insert_blob(blob)?;
        self.insert_note(found.id, note, Some(row), ground)?;
        if let NoteContent::Bytes(attached) = &note.content {
            let (stored, plain) = (blob.stored_size.signed(), attached.size.signed());
            self.count_attached(note.id.tenant, note.id.level, found.id, (stored, plain))?;
        }
        if note.id.subject == Subject::Protection {
            self.protect(found.id, true)?;
        }
        if !noting.again {
            self.tell_noted(noting.lsn, &note.id, found.id, noting.at_us)?;
        }
        let revision = note.revision;
        Ok(Outcome::Noted { revision, freed })
    }

    /// Takes a note from a resource.
    pub(crate) fn take_note(&mut self, unnoting: &Unnoting) -> Result<Outcome, IndexError> {
        let Some(found) = self.noted(&unnoting.id)? else {
            return Ok(Outcome::NotFound);
        };
        let freed = self.unnote(found, &unnoting.id)?;
        if unnoting.id.subject == Subject::Protection {
            self.protect(found.id, false)?;
        }
        if freed.is_some() {
            self.tell_noted(unnoting.lsn, &unnoting.id, found.id, unnoting.at_us)?;
        }
        Ok(Outcome::Unnoted { freed })
    }

    /// Notes what an arrival was made of: of the instance, and of what is above it and was made for it.
    pub(crate) fn derived(
        &mut self,
        arrival: &Arrival,
        made: [Option<i64>; 4],
    ) -> Result<(), IndexError> {
        let Some(derivation) = &arrival.derivation else {
            return Ok(());
        };
        let number = match derivation.is_anonymized {
            true => ANONYMIZED_FROM,
            false => MODIFIED_FROM,
        };
        let Some(ground) = made[Level::Instance as usize] else {
            return Ok(());
        };
        for ((level, resource), source) in Level::ALL.into_iter().zip(made).zip(derivation.sources)
        {
            let (Some(resource), Some(source)) = (resource, source) else {
                continue;
            };
            let note = Note {
                id: NoteId {
                    tenant: arrival.tenant,
                    level,
                    public_id: source, // of no matter for the row
                    subject: Subject::Metadata(number),
                },
                revision: 0,
                content: NoteContent::Value(source.to_string().into_bytes()),
            };
            self.insert_note(resource, &note, None, ground)?;
        }
        Ok(())
    }

    fn noted(&self, id: &NoteId) -> Result<Option<Found>, IndexError> {
        let hash = self.hasher.public_id(id.tenant, &id.public_id);
        for candidate in candidates(self.connection, self.tail, hash)? {
            let (tenant, level) = (id.tenant, id.level);
            let found = resource::find(self.connection, tenant, level, candidate, &id.public_id)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Only what an arrival says can be there before: the same bytes have come once more, and were made of another now.
    fn insert_note(
        &self,
        resource: i64,
        note: &Note,
        blob: Option<i64>,
        ground: i64,
    ) -> Result<(), IndexError> {
        let (kind, number, name) = key(&note.id.subject);
        let (value, bytes) = match &note.content {
            NoteContent::Value(value) => value_columns(value),
            NoteContent::Nothing | NoteContent::Bytes(_) => (None, None),
        };
        let attached = match &note.content {
            NoteContent::Bytes(attached) => Some(*attached),
            NoteContent::Nothing | NoteContent::Value(_) => None,
        };
        let stored_md5 = attached.and_then(|attached| attached.stored_md5);
        self.connection
            .prepare_cached(
                "INSERT INTO note (resource, kind, number, name, tenant, level, revision, value, bytes, size, md5,
                                   stored_md5, blob, ground)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                 ON CONFLICT DO UPDATE SET value = excluded.value, ground = excluded.ground",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    resource,
                    kind,
                    number,
                    name,
                    note.id.tenant,
                    note.id.level as i64,
                    note.revision.signed(),
                    value,
                    bytes,
                    attached.map(|attached| attached.size.signed()),
                    attached.map(|attached| attached.md5),
                    stored_md5,
                    blob,
                    ground
                ])
            })
            .doing("adding a note")?;
        Ok(())
    }

    /// Removes the row of a note, if there is one; its record is not needed any more.
    fn unnote(&mut self, found: Found, id: &NoteId) -> Result<Option<FreedBlob>, IndexError> {
        const DOING: &str = "removing a note";
        let (kind, number, name) = key(&id.subject);
        let row: Option<(Option<i64>, Option<i64>)> = self
            .connection
            .prepare_cached(
                "DELETE FROM note WHERE resource = ?1 AND kind = ?2 AND number = ?3 AND name = ?4
                 RETURNING blob, size",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![found.id, kind, number, name], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()
            })
            .doing(DOING)?;
        let Some((Some(blob), size)) = row else {
            return Ok(None);
        };
        let mut freed = Vec::new();
        let stored = release(self.connection, blob, &mut freed)?;
        if let Some(size) = size {
            self.count_attached(id.tenant, id.level, found.id, (-stored, -size))?;
        }
        Ok(freed.pop())
    }

    /// Adds bytes of attachments (in the store, and when read) to the sums of a resource and of all above it.
    fn count_attached(
        &mut self,
        tenant: i64,
        level: Level,
        id: i64,
        (stored, plain): (i64, i64),
    ) -> Result<(), IndexError> {
        let mut at = Some((level, id));
        while let Some((level, id)) = at {
            let counts = match level {
                Level::Patient => Some(self.pending.patient(id)),
                Level::Study => Some(self.pending.study(id)),
                Level::Series => Some(self.pending.series(id)),
                Level::Instance => None, // summed when asked for
            };
            if let Some(counts) = counts {
                counts.attached_stored += stored;
                counts.attached_plain += plain;
            }
            at = match level.parent() {
                Some(above) => resource::row(self.connection, level, id)?
                    .map(|(_, found)| (above, found.parent)),
                None => None,
            };
        }
        let counts = self.pending.tenant(tenant);
        counts.attached_stored += stored;
        counts.attached_plain += plain;
        Ok(())
    }

    fn protect(&self, patient: i64, is_protected: bool) -> Result<(), IndexError> {
        self.connection
            .prepare_cached("UPDATE patient SET protected = ?2 WHERE id = ?1")
            .and_then(|mut statement| statement.execute(params![patient, is_protected]))
            .doing("protecting a patient")?;
        Ok(())
    }

    fn tell_noted(
        &mut self,
        lsn: crate::Lsn,
        id: &NoteId,
        resource: i64,
        at_us: i64,
    ) -> Result<(), IndexError> {
        let change = match id.subject {
            Subject::Metadata(_) => ChangeType::UpdatedMetadata,
            Subject::Attachment(_) => ChangeType::UpdatedAttachment,
            Subject::Label(_) | Subject::Protection => return Ok(()),
        };
        let row = ChangeRow {
            change,
            level: id.level,
            resource,
            at_us,
            blob: None, // it follows from the note's
        };
        self.tell(first_seq(lsn), id.tenant, row)
    }
}

/// A live instance of a live resource.
fn ground(connection: &Connection, level: Level, id: i64) -> Result<Option<i64>, IndexError> {
    let sql = match level {
        Level::Patient => {
            "SELECT instance.id FROM study JOIN series ON series.study = study.id
                    JOIN instance ON instance.series = series.id
             WHERE study.patient = ?1 AND study.state = 0 AND series.state = 0 AND instance.state = 0 LIMIT 1"
        }
        Level::Study => {
            "SELECT instance.id FROM series JOIN instance ON instance.series = series.id
             WHERE series.study = ?1 AND series.state = 0 AND instance.state = 0 LIMIT 1"
        }
        Level::Series => "SELECT id FROM instance WHERE series = ?1 AND state = 0 LIMIT 1",
        Level::Instance => "SELECT id FROM instance WHERE id = ?1",
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![id], |row| row.get(0))
                .optional()
        })
        .doing("looking for an instance that a note can stand on")
}

/// The row of an instance goes: (1).
pub(crate) fn lose_ground(connection: &Connection, instance: i64) -> Result<(), IndexError> {
    connection
        .prepare_cached("UPDATE note SET ground = NULL WHERE ground = ?1")
        .and_then(|mut statement| statement.execute(params![instance]))
        .doing("noting that a note has lost its ground")?;
    Ok(())
}

/// An instance takes the place of another one of the same identity, and what users have noted of it. What the archive
/// itself has noted is of the other file, unless it is the `same`.
pub(crate) fn inherit(
    connection: &Connection,
    from: i64,
    heir: i64,
    same: bool,
) -> Result<(), IndexError> {
    connection
        .prepare_cached(
            "UPDATE note SET resource = ?2 WHERE resource = ?1 AND (kind <> 1 OR number >= ?3 OR ?4)",
        )
        .and_then(|mut statement| statement.execute(params![from, heir, FIRST_OF_USERS, same]))
        .doing("handing notes on")?;
    Ok(())
}

/// Removes the notes of a resource whose rows go: (2).
pub(crate) fn remove_all(
    connection: &Connection,
    resource: i64,
    freed: &mut Vec<FreedBlob>,
) -> Result<(), IndexError> {
    let blobs = connection
        .prepare_cached("DELETE FROM note WHERE resource = ?1 RETURNING blob")
        .and_then(|mut statement| {
            statement
                .query_map(params![resource], |row| row.get(0))?
                .collect::<Result<Vec<Option<i64>>, _>>()
        })
        .doing("removing the notes of a resource")?;
    for blob in blobs.into_iter().flatten() {
        release(connection, blob, freed)?;
    }
    Ok(())
}
