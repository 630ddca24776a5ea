//! Texts of patients and studies to search by: sorted, for values and prefixes; cut into grams, for wildcards
//! inside.
//!
//! 1. `term` has every patient and study up to `meta.termed_to`, `gram` up to `meta.grammed_to`. A query looks at
//!    the rows behind that itself.
//! 2. What they give is a superset: the query compares each row's own values.
//! 3. A study's name is left out of `term` where it is the patient's: who looks for studies by name looks for
//!    patients too, and takes their studies.
//!
//! Grams are three characters of an ASCII text and two of any other, for ideographic and phonetic names are
//! short; a token is the field and the code points.

use super::tags;
use super::writer::Transaction;
use crate::IndexError;
use crate::error::Doing;
use crate::normal::{fold, pn_groups};
use rusqlite::{Connection, params};
use std::fmt::Write;
use vna_dicom::{Level, Tag, tags as t};

/// What a term is the value of. The numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Field {
    PatientName = 1,
    PatientId = 2,
    /// Of a study, where it differs from the patient's.
    StudyPatientName = 3,
    StudyDescription = 4,
    ReferringPhysicianName = 5,
    AccessionNumber = 6,
    StudyId = 7,
}

impl Field {
    pub(crate) const fn number(self) -> i64 {
        self as i64
    }

    /// Where resources are noted whose value of the field is too long for a term.
    pub(crate) const fn long(self) -> i64 {
        self as i64 + 100
    }

    /// Whether the values are names of persons, which are folded; all others are kept as they are.
    pub(crate) const fn is_name(self) -> bool {
        matches!(
            self,
            Field::PatientName | Field::StudyPatientName | Field::ReferringPhysicianName
        )
    }
}

/// Bytes of a term. LO and PN groups have at most 64 characters (PS3.5 §6.2); longer values break the standard,
/// and a B-tree key must stay small.
const MAX_TERM_BYTES: usize = 256;

/// Patients and studies behind `termed_to` that a query is ready to look at; beyond it, ingest does some of the
/// work itself.
const MAX_BACKLOG: i64 = 1024;

/// Patients and studies from which on grams are made: below, looking at all terms takes less than 10 ms.
pub(crate) const GRAMS_FROM: i64 = 50_000;

/// Rows of one step.
const STEP: usize = 256;

type Term = (i64, String, i64);

fn add(field: Field, text: &str, id: i64, terms: &mut Vec<Term>) {
    if text.is_empty() {
        return;
    }
    if text.len() > MAX_TERM_BYTES {
        terms.push((field.long(), String::new(), id));
    } else {
        terms.push((field.number(), text.to_owned(), id));
    }
}

fn add_names(field: Field, value: &str, id: i64, terms: &mut Vec<Term>) {
    for name in value.split('\\') {
        for group in pn_groups(name, fold) {
            add(field, &group, id, terms);
        }
    }
}

fn patient_terms(id: i64, patient_id: &str, packed: &[u8], terms: &mut Vec<Term>) {
    add(Field::PatientId, patient_id, id, terms);
    add_names(
        Field::PatientName,
        tags::find(packed, t::PATIENT_NAME).unwrap_or(""),
        id,
        terms,
    );
}

fn study_terms(id: i64, accession: &str, packed: &[u8], patient: &[u8], terms: &mut Vec<Term>) {
    let name = |packed| tags::find(packed, t::PATIENT_NAME).unwrap_or("").to_owned();
    if name(packed) != name(patient) {
        add_names(Field::StudyPatientName, &name(packed), id, terms);
    }
    let value = |tag: Tag| tags::find(packed, tag).unwrap_or("");
    add(
        Field::StudyDescription,
        value(t::STUDY_DESCRIPTION),
        id,
        terms,
    );
    add_names(
        Field::ReferringPhysicianName,
        value(t::REFERRING_PHYSICIAN_NAME),
        id,
        terms,
    );
    add(Field::AccessionNumber, accession, id, terms);
    add(Field::StudyId, value(t::STUDY_ID), id, terms);
}

const PATIENT_SQL: &str = "SELECT id, patient_id, tags FROM patient";
const STUDY_SQL: &str = "SELECT study.id, study.accession, study.tags, patient.tags
                         FROM study JOIN patient ON patient.id = study.patient";

fn read(
    connection: &Connection,
    level: Level,
    condition: &str,
    values: impl rusqlite::Params,
    terms: &mut Vec<Term>,
) -> Result<Vec<i64>, rusqlite::Error> {
    let sql = match level {
        Level::Patient => PATIENT_SQL,
        _ => STUDY_SQL,
    };
    let mut statement = connection.prepare_cached(&format!("{sql} {condition}"))?;
    let mut rows = statement.query(values)?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let (text, packed) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?);
        match level {
            Level::Patient => patient_terms(id, text, packed, terms),
            _ => study_terms(id, text, packed, row.get_ref(3)?.as_blob()?, terms),
        }
        ids.push(id);
    }
    Ok(ids)
}

/// The terms of the next `count` patients and studies after `from`, and the id up to which that is all.
fn next(
    connection: &Connection,
    from: i64,
    count: usize,
    last_id: i64,
) -> Result<(Vec<Term>, i64, usize), IndexError> {
    const DOING: &str = "reading texts to search by";
    let limit = i64::try_from(count).unwrap_or(i64::MAX);
    let mut terms = Vec::new();
    let order = "WHERE patient.id > ?1 ORDER BY patient.id LIMIT ?2";
    let mut ids = read(
        connection,
        Level::Patient,
        order,
        params![from, limit],
        &mut terms,
    )
    .doing(DOING)?;
    let order = "WHERE study.id > ?1 ORDER BY study.id LIMIT ?2";
    let studies = read(
        connection,
        Level::Study,
        order,
        params![from, limit],
        &mut terms,
    )
    .doing(DOING)?;
    // Each of the two may end early for its limit: up to the smaller end, nothing is missing.
    let end = |ids: &[i64]| {
        if ids.len() < count {
            last_id
        } else {
            ids.last().copied().unwrap_or(last_id)
        }
    };
    let to = end(&ids).min(end(&studies));
    ids.extend(studies);
    terms.retain(|(_, _, id)| *id <= to);
    Ok((terms, to, ids.iter().filter(|id| **id <= to).count()))
}

/// Adds the next `count` patients and studies to `term`; says how many there were.
fn fill_terms(transaction: &mut Transaction<'_>, count: usize) -> Result<usize, IndexError> {
    const DOING: &str = "adding terms";
    let meta = &mut transaction.meta;
    let (mut terms, to, rows) = next(
        transaction.connection,
        meta.termed_to,
        count,
        meta.next_id - 1,
    )?;
    terms.sort_unstable(); // neighbours share a page
    let mut statement = transaction
        .connection
        .prepare_cached("INSERT OR IGNORE INTO term (field, value, resource) VALUES (?1, ?2, ?3)")
        .doing(DOING)?;
    for (field, value, id) in &terms {
        statement.execute(params![field, value, id]).doing(DOING)?;
    }
    meta.termed_to = to;
    transaction.backlog -= i64::try_from(rows).unwrap_or(0);
    Ok(rows)
}

/// Adds the next `count` patients and studies to `gram`.
fn fill_grams(transaction: &mut Transaction<'_>, count: usize) -> Result<usize, IndexError> {
    const DOING: &str = "adding grams";
    let meta = &mut transaction.meta;
    let (mut terms, to, rows) = next(
        transaction.connection,
        meta.grammed_to,
        count,
        meta.next_id - 1,
    )?;
    terms.sort_unstable_by_key(|(_, _, id)| *id);
    let mut statement = transaction
        .connection
        .prepare_cached("INSERT INTO gram (rowid, grams) VALUES (?1, ?2)")
        .doing(DOING)?;
    for document in terms.chunk_by(|a, b| a.2 == b.2) {
        let mut tokens = String::new();
        for (field, value, _) in document {
            write_grams(*field, value, &mut tokens);
        }
        if !tokens.is_empty() {
            statement
                .execute(params![document[0].2, tokens])
                .doing(DOING)?;
        }
    }
    meta.grammed_to = to;
    Ok(rows)
}

fn write_grams(field: i64, text: &str, tokens: &mut String) {
    let width = if text.is_ascii() { 3 } else { 2 };
    let characters: Vec<char> = text.chars().collect();
    for gram in characters.windows(width) {
        write_token(field, gram, tokens);
        tokens.push(' ');
    }
}

fn write_token(field: i64, gram: &[char], tokens: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(tokens, "f{field}");
    for character in gram {
        let _ = write!(tokens, "x{:x}", u32::from(*character));
    }
}

/// The full-text expression that holds for every text of `field` that contains all of `pieces`; `None` if they are
/// too short to say anything.
pub(crate) fn gram_expression(field: Field, pieces: &[String]) -> Option<String> {
    let mut expression = String::new();
    for piece in pieces {
        let characters: Vec<char> = piece.chars().collect();
        let grams = |width: usize| -> Option<String> {
            let mut tokens: Vec<String> = characters
                .windows(width)
                .map(|gram| {
                    let mut token = String::new();
                    write_token(field.number(), gram, &mut token);
                    token
                })
                .collect();
            tokens.sort_unstable();
            tokens.dedup();
            tokens.truncate(MAX_GRAMS);
            (!tokens.is_empty()).then(|| tokens.join(" AND "))
        };
        // An ASCII piece may be part of an ASCII text or of another one.
        let part = match (piece.is_ascii(), grams(3), grams(2)) {
            (true, Some(three), Some(two)) => format!("(({three}) OR ({two}))"),
            (false, _, Some(two)) => format!("({two})"),
            _ => continue,
        };
        if !expression.is_empty() {
            expression.push_str(" AND ");
        }
        expression.push_str(&part);
    }
    (!expression.is_empty()).then_some(expression)
}

/// Grams of one piece that are looked up: more make the candidates hardly fewer.
const MAX_GRAMS: usize = 12;

/// How many patients and studies `term` lacks.
pub(crate) fn backlog(connection: &Connection, termed_to: i64) -> Result<i64, IndexError> {
    connection
        .query_row(
            "SELECT (SELECT count(*) FROM patient WHERE id > ?1) + (SELECT count(*) FROM study WHERE id > ?1)",
            params![termed_to],
            |row| row.get(0),
        )
        .doing("counting texts to search by")
}

/// Part of each ingest transaction: nothing, unless the backlog is large; then a little more than came in.
pub(crate) fn keep_up(transaction: &mut Transaction<'_>) -> Result<(), IndexError> {
    let new = usize::try_from(transaction.new_rows).unwrap_or(0);
    if transaction.backlog > MAX_BACKLOG && new > 0 {
        fill_terms(transaction, new + new / 4 + 1)?;
    }
    Ok(())
}

/// One step of the work that was put off; says whether there may be more.
pub(crate) fn step(transaction: &mut Transaction<'_>) -> Result<bool, IndexError> {
    if transaction.meta.termed_to < transaction.meta.next_id - 1 {
        fill_terms(transaction, STEP)?;
        return Ok(true);
    }
    if transaction.meta.grammed_to < transaction.meta.termed_to
        && wants_grams(transaction.connection)?
    {
        fill_grams(transaction, STEP)?;
        return Ok(transaction.meta.grammed_to < transaction.meta.termed_to);
    }
    Ok(false)
}

fn wants_grams(connection: &Connection) -> Result<bool, IndexError> {
    let rows: i64 = connection
        .prepare_cached("SELECT coalesce(sum(patients + studies), 0) FROM tenant")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .doing("counting patients and studies")?;
    Ok(rows >= GRAMS_FROM)
}

/// Removes the terms of a patient or study whose row is still there.
pub(crate) fn remove(connection: &Connection, level: Level, id: i64) -> Result<(), IndexError> {
    const DOING: &str = "removing terms";
    let mut terms = Vec::new();
    let condition = match level {
        Level::Patient => "WHERE patient.id = ?1",
        _ => "WHERE study.id = ?1",
    };
    read(connection, level, condition, params![id], &mut terms).doing(DOING)?;
    for (field, value, id) in &terms {
        connection
            .prepare_cached("DELETE FROM term WHERE field = ?1 AND value = ?2 AND resource = ?3")
            .and_then(|mut statement| statement.execute(params![field, value, id]))
            .doing(DOING)?;
    }
    connection
        .prepare_cached("DELETE FROM gram WHERE rowid = ?1")
        .and_then(|mut statement| statement.execute(params![id]))
        .doing(DOING)?;
    Ok(())
}
