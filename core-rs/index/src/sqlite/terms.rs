//! Texts of patients and studies to search by: sorted, for values and prefixes; cut into grams, for wildcards
//! inside.
//!
//! 1. Like keys (keys.rs), new terms stay in memory and go to the table `term` in sorted runs, so that a page
//!    is written once for many; the table has every patient and study up to `meta.termed_to`.
//! 2. `gram` has them up to `meta.grammed_to`; a query takes all behind that for candidates.
//! 3. What they give is a superset: the query compares each row's own values.
//!    All texts are folded, so that they can be found with and without case and accents.
//! 4. A study's name is left out where it is the patient's: who looks for studies by name looks for patients
//!    too, and takes their studies.
//!
//! Grams are three characters of an ASCII text and two of any other, for ideographic and phonetic names are
//! short; a token is the field and the code points.

use super::tags;
use super::writer::Transaction;
use crate::IndexError;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::normal::{fold, pn_groups};
use parking_lot::RwLock;
use rusqlite::{Connection, params};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
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

    /// The level of the resources that have the field.
    pub(crate) const fn level(self) -> Level {
        match self {
            Field::PatientName | Field::PatientId => Level::Patient,
            _ => Level::Study,
        }
    }
}

/// Bytes of a term. LO and PN groups have at most 64 characters (PS3.5 §6.2); longer values break the standard,
/// and a B-tree key must stay small.
const MAX_TERM_BYTES: usize = 256;

/// Terms in a run, of about 7,000 patients and studies. A query looks at twice as many in memory, in about a
/// millisecond; they take up to 100 bytes each.
const RUN_TERMS: usize = 32 * 1024;

/// Terms merged for each new one while a run is frozen, in percent; see keys.rs.
const MERGE_PERCENT: usize = 150;

/// Rows, or terms, of one step of maintenance.
const STEP: usize = 256;

/// Number of the field, text, resource.
pub(crate) type Term = (i64, String, i64);

/// Adds a text that is folded.
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

pub(crate) fn patient_terms(id: i64, patient_id: &str, packed: &[u8], terms: &mut Vec<Term>) {
    add(Field::PatientId, &fold(patient_id.trim()), id, terms);
    add_names(
        Field::PatientName,
        tags::find(packed, t::PATIENT_NAME).unwrap_or(""),
        id,
        terms,
    );
}

pub(crate) fn study_terms(
    id: i64,
    accession: &str,
    packed: &[u8],
    same_name: bool,
    terms: &mut Vec<Term>,
) {
    let value = |tag: Tag| tags::find(packed, tag).unwrap_or("");
    if !same_name {
        add_names(Field::StudyPatientName, value(t::PATIENT_NAME), id, terms);
    }
    add(Field::AccessionNumber, &fold(accession.trim()), id, terms);
    add_names(
        Field::ReferringPhysicianName,
        value(t::REFERRING_PHYSICIAN_NAME),
        id,
        terms,
    );
    for (field, tag) in [
        (Field::StudyDescription, t::STUDY_DESCRIPTION),
        (Field::StudyId, t::STUDY_ID),
    ] {
        for one in value(tag).split('\\') {
            add(field, &fold(one.trim()), id, terms);
        }
    }
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
            _ => {
                let name = |packed| tags::find(packed, t::PATIENT_NAME).unwrap_or("");
                let same_name = name(packed) == name(row.get_ref(3)?.as_blob()?);
                study_terms(id, text, packed, same_name, terms);
            }
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

/// The terms that are not in the table yet, shared by writer and readers.
#[derive(Default)]
pub(crate) struct TermTail {
    runs: RwLock<Runs>,
    epoch: AtomicU64,
}

#[derive(Default)]
struct Runs {
    active: Vec<Term>,
    /// Sorted; the resource is 0 where it went before its turn.
    frozen: Vec<Term>,
    merged: usize,
    frozen_to: i64,
}

impl TermTail {
    fn is_empty(&self) -> bool {
        let runs = self.runs.read();
        runs.active.is_empty() && runs.frozen.is_empty()
    }

    /// Whether the frozen run waits for its commit only.
    fn is_merged(&self) -> bool {
        let runs = self.runs.read();
        !runs.frozen.is_empty() && runs.merged == runs.frozen.len()
    }

    /// Changes whenever terms left memory.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Adds terms of a new resource; gives how many there are now.
    pub(crate) fn insert(&self, make: impl FnOnce(&mut Vec<Term>)) -> usize {
        let mut runs = self.runs.write();
        let before = runs.active.len();
        make(&mut runs.active);
        runs.active.len() - before
    }

    /// Takes back the newest terms, those of a transaction that failed.
    pub(crate) fn retract(&self, count: usize) {
        let mut runs = self.runs.write();
        let keep = runs.active.len().saturating_sub(count);
        runs.active.truncate(keep);
    }

    /// Adds the resources in memory with a term of `field` that is `wanted`, or too long to tell.
    pub(crate) fn find(&self, field: Field, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<i64>) {
        let runs = self.runs.read();
        for (number, value, id) in runs.active.iter().chain(&runs.frozen) {
            if *id != 0 && (*number == field.long() || (*number == field.number() && wanted(value)))
            {
                found.push(*id);
            }
        }
    }

    fn forget(&self, id: i64) {
        let mut runs = self.runs.write();
        let Runs { active, frozen, .. } = &mut *runs;
        for term in active.iter_mut().chain(frozen).filter(|term| term.2 == id) {
            term.2 = 0;
        }
    }

    /// Merges a share of the frozen run within the writer's transaction; `all` takes what there is, however few.
    ///
    /// Gives what `meta.termed_to` becomes if the run is complete with this transaction.
    fn merge(
        &self,
        connection: &Connection,
        share: usize,
        last_id: i64,
        all: bool,
    ) -> Result<Option<i64>, IndexError> {
        const DOING: &str = "merging terms";
        let mut runs = self.runs.write();
        if runs.frozen.is_empty() {
            if runs.active.len() < if all { 1 } else { RUN_TERMS } {
                return Ok(None);
            }
            runs.frozen = std::mem::take(&mut runs.active);
            runs.frozen.sort_unstable();
            runs.merged = 0;
            runs.frozen_to = last_id;
        }
        drop(runs);
        let runs = self.runs.read();
        let from = runs.merged;
        let to = runs.frozen.len().min(from + share);
        let mut statement = connection
            .prepare_cached(
                "INSERT OR IGNORE INTO term (field, value, resource) VALUES (?1, ?2, ?3)",
            )
            .doing(DOING)?;
        for (field, value, id) in runs.frozen[from..to].iter().filter(|term| term.2 != 0) {
            statement.execute(params![field, value, id]).doing(DOING)?;
        }
        let complete = to == runs.frozen.len();
        let frozen_to = runs.frozen_to;
        drop(runs);
        self.runs.write().merged = to;
        Ok(complete.then_some(frozen_to))
    }

    /// Ends a transaction; see `keys::Tail::settle`.
    pub(crate) fn settle(&self, failed: Option<i64>) {
        let mut runs = self.runs.write();
        if let Some(last_id) = failed {
            runs.merged = 0;
            runs.frozen_to = runs.frozen_to.min(last_id); // ids behind it are given out again
        } else if !runs.frozen.is_empty() && runs.merged == runs.frozen.len() {
            runs.frozen = Vec::new();
            runs.merged = 0;
            drop(runs);
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Reads the terms of all patients and studies behind `termed_to` into memory (1).
pub(crate) fn load(
    connection: &Connection,
    tail: &TermTail,
    termed_to: i64,
) -> Result<(), IndexError> {
    const DOING: &str = "loading texts to search by";
    let mut terms = Vec::new();
    let condition = "WHERE patient.id > ?1";
    read(
        connection,
        Level::Patient,
        condition,
        params![termed_to],
        &mut terms,
    )
    .doing(DOING)?;
    let condition = "WHERE study.id > ?1";
    read(
        connection,
        Level::Study,
        condition,
        params![termed_to],
        &mut terms,
    )
    .doing(DOING)?;
    tail.insert(|active| active.append(&mut terms));
    Ok(())
}

/// Part of each ingest transaction: a little more than came in, while there is a run to merge.
pub(crate) fn keep_up(transaction: &mut Transaction<'_>) -> Result<(), IndexError> {
    let share = transaction.new_terms * MERGE_PERCENT / 100 + 1;
    merge(transaction, share, false)
}

fn merge(transaction: &mut Transaction<'_>, share: usize, all: bool) -> Result<(), IndexError> {
    let last_id = transaction.meta.next_id - 1;
    let to = transaction
        .terms
        .merge(transaction.connection, share, last_id, all)?;
    if let Some(to) = to {
        transaction.meta.termed_to = to;
    }
    Ok(())
}

/// One step of the work that was put off, with all terms that are in memory; says whether there may be more.
///
/// A run that this completes leaves memory with the commit, so a step ends there.
pub(crate) fn step(transaction: &mut Transaction<'_>) -> Result<Step, IndexError> {
    if !transaction.terms.is_empty() {
        let before = transaction.meta.termed_to;
        merge(transaction, STEP, true)?;
        let complete = transaction.meta.termed_to != before || transaction.terms.is_merged();
        return Ok(if complete { Step::Commit } else { Step::Again });
    }
    transaction.meta.termed_to = transaction.meta.next_id - 1;
    if transaction.meta.grammed_to < transaction.meta.termed_to && wants_grams(transaction)? {
        fill_grams(transaction, STEP)?;
        if transaction.meta.grammed_to < transaction.meta.termed_to {
            return Ok(Step::Again);
        }
    }
    Ok(Step::Done)
}

/// The terms that the row of a patient has now.
pub(crate) fn of_patient(connection: &Connection, id: i64) -> Result<Vec<Term>, IndexError> {
    let mut terms = Vec::new();
    let (level, condition) = (Level::Patient, "WHERE patient.id = ?1");
    read(connection, level, condition, params![id], &mut terms).doing("reading terms")?;
    Ok(terms)
}

/// Adds terms of rows whose own are in the table, or will be.
pub(crate) fn add_to_table(connection: &Connection, terms: &[Term]) -> Result<(), IndexError> {
    const DOING: &str = "adding terms";
    let mut grams = String::new();
    for (field, value, id) in terms {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO term (field, value, resource) VALUES (?1, ?2, ?3)",
            )
            .and_then(|mut statement| statement.execute(params![field, value, id]))
            .doing(DOING)?;
        write_grams(*field, value, &mut grams);
    }
    let Some((_, _, id)) = terms.first() else {
        return Ok(());
    };
    // Those behind have their turn.
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO gram (rowid, grams) SELECT ?1, ?2 WHERE ?1 <= (SELECT grammed_to FROM meta)",
        )
        .and_then(|mut statement| statement.execute(params![id, grams]))
        .doing(DOING)?;
    Ok(())
}

/// What comes after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// There is more to do, in this transaction if there is time.
    Again,
    /// There is more to do after a commit.
    Commit,
    /// There is nothing left.
    Done,
}

fn wants_grams(transaction: &Transaction<'_>) -> Result<bool, IndexError> {
    let rows: i64 = transaction
        .connection
        .prepare_cached("SELECT coalesce(sum(patients + studies), 0) FROM tenant")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .doing("counting patients and studies")?;
    Ok(rows.unsigned() >= transaction.grams_from)
}

/// Removes the terms of a patient or study whose row is still there.
pub(crate) fn remove(
    connection: &Connection,
    tail: &TermTail,
    level: Level,
    id: i64,
) -> Result<(), IndexError> {
    const DOING: &str = "removing terms";
    tail.forget(id);
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
