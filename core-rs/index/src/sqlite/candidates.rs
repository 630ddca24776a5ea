//! From keys to candidates: sets of resources outside of which nothing can match.
//!
//! A set is a superset of what its key matches; each row is compared afterwards.

use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::terms::{self, Field};
use crate::error::Doing;
use crate::matching::{Matcher, Pattern};
use crate::{IndexError, LabelConstraint, Query};
use rusqlite::types::Value;
use rusqlite::{params, vtab::array};
use std::rc::Rc;
use vna_dicom::{Level, Tag, tags as t};

/// Patients and studies without grams that a query takes for candidates; with more of them it looks at all terms.
const MAX_WITHOUT_GRAMS: i64 = 2_000;

/// For each level, the resources that may match; `None`: all may.
#[derive(Default)]
pub(crate) struct Sets {
    sets: [Option<Vec<i64>>; 4],
}

impl Sets {
    pub(crate) fn get(&self, level: Level) -> Option<&[i64]> {
        self.sets[level as usize].as_deref()
    }

    /// The level with the smallest set.
    pub(crate) fn smallest(&self) -> Option<Level> {
        Level::ALL
            .into_iter()
            .filter(|level| self.get(*level).is_some())
            .min_by_key(|level| self.get(*level).map_or(usize::MAX, <[i64]>::len))
    }

    fn restrict(&mut self, level: Level, mut ids: Vec<i64>) {
        ids.sort_unstable();
        ids.dedup();
        let slot = &mut self.sets[level as usize];
        *slot = Some(match slot.take() {
            None => ids,
            Some(before) => ids
                .into_iter()
                .filter(|id| before.binary_search(id).is_ok())
                .collect(),
        });
    }
}

/// A list of ids as a table of SQL.
pub(crate) fn array(ids: &[i64]) -> array::Array {
    Rc::new(ids.iter().map(|id| Value::from(*id)).collect())
}

/// The candidates of a query; `None` if a parent that it names is not there.
pub(crate) fn sets(
    snapshot: &Snapshot<'_>,
    query: &Query,
    keys: &[(Tag, Matcher)],
) -> Result<Option<Sets>, IndexError> {
    let mut sets = Sets::default();
    let mut parents: [Vec<i64>; 4] = Default::default();
    for (level, id) in &query.parents {
        if *level > query.level {
            let problem = format!(
                "a {} is not above a {}",
                level.as_str(),
                query.level.as_str()
            );
            return Err(IndexError::BadQuery { problem });
        }
        if let Some(found) = snapshot.resolve(query.tenant, *level, id)? {
            parents[*level as usize].push(found.id);
        }
    }
    for level in Level::ALL {
        let ids = std::mem::take(&mut parents[level as usize]);
        if !ids.is_empty() {
            sets.restrict(level, ids);
        } else if query.parents.iter().any(|(named, _)| *named == level) {
            return Ok(None);
        }
    }
    for (tag, matcher) in keys {
        by_key(snapshot, query, *tag, matcher, &mut sets)?;
    }
    if let Some(filter) = &query.labels {
        let labelled = |label: &str| -> Result<Vec<i64>, IndexError> {
            ids(
                snapshot,
                "SELECT resource FROM label WHERE tenant = ?1 AND label = ?2",
                params![query.tenant, label],
            )
        };
        match filter.constraint {
            LabelConstraint::All => {
                for label in &filter.labels {
                    sets.restrict(query.level, labelled(label)?);
                }
            }
            LabelConstraint::Any if !filter.labels.is_empty() => {
                let mut any = Vec::new();
                for label in &filter.labels {
                    any.extend(labelled(label)?);
                }
                sets.restrict(query.level, any);
            }
            LabelConstraint::Any | LabelConstraint::None => {} // the second is a condition; see find.rs
        }
    }
    Ok(Some(sets))
}

fn ids(
    snapshot: &Snapshot<'_>,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<i64>, IndexError> {
    snapshot
        .connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(values, |row| row.get(0))?.collect())
        .doing("looking for candidates")
}

fn by_key(
    snapshot: &Snapshot<'_>,
    query: &Query,
    tag: Tag,
    matcher: &Matcher,
    sets: &mut Sets,
) -> Result<(), IndexError> {
    let by_hash = |kind, texts: &[String]| -> Result<Vec<i64>, IndexError> {
        let mut found = Vec::new();
        for text in texts {
            let hash = snapshot.hasher.text(query.tenant, kind, text);
            found.extend(candidates(snapshot.connection, snapshot.tail, hash)?);
        }
        Ok(found)
    };
    match (tag, matcher) {
        (t::STUDY_INSTANCE_UID, Matcher::OneOf(uids)) => {
            sets.restrict(Level::Study, by_hash(KeyKind::StudyUid, uids)?);
        }
        (t::SERIES_INSTANCE_UID, Matcher::OneOf(uids)) => {
            sets.restrict(Level::Series, by_hash(KeyKind::SeriesUid, uids)?);
        }
        (t::SOP_INSTANCE_UID, Matcher::OneOf(uids)) => {
            sets.restrict(Level::Instance, by_hash(KeyKind::SopUid, uids)?);
        }
        (t::PATIENT_ID | t::ACCESSION_NUMBER, Matcher::WholeText(patterns)) => {
            let (level, kind, field) = match tag {
                t::PATIENT_ID => (Level::Patient, KeyKind::PatientId, Field::PatientId),
                _ => (Level::Study, KeyKind::Accession, Field::AccessionNumber),
            };
            let exact: Option<Vec<String>> = patterns.iter().map(Pattern::exact).collect();
            match exact {
                Some(texts) => sets.restrict(level, by_hash(kind, &texts)?),
                None => {
                    if let Some(found) = search(snapshot, field, patterns)? {
                        sets.restrict(level, found);
                    }
                }
            }
        }
        (t::STUDY_DESCRIPTION, Matcher::Text(patterns)) => {
            if let Some(found) = search(snapshot, Field::StudyDescription, patterns)? {
                sets.restrict(Level::Study, found);
            }
        }
        (t::STUDY_ID, Matcher::Text(patterns)) => {
            if let Some(found) = search(snapshot, Field::StudyId, patterns)? {
                sets.restrict(Level::Study, found);
            }
        }
        (
            t::PATIENT_NAME | t::REFERRING_PHYSICIAN_NAME,
            Matcher::Name {
                names,
                case_sensitive,
            },
        ) => {
            let mut patterns = Vec::new();
            for name in names {
                let Some(group) = name.groups.iter().flatten().next() else {
                    return Ok(());
                };
                if *case_sensitive && group.has_question_mark() {
                    return Ok(()); // one character may be two when it is folded, or none
                }
                patterns.push(group.folded());
            }
            by_name(snapshot, query, tag, &patterns, sets)?;
        }
        _ => {}
    }
    Ok(())
}

fn by_name(
    snapshot: &Snapshot<'_>,
    query: &Query,
    tag: Tag,
    patterns: &[Pattern],
    sets: &mut Sets,
) -> Result<(), IndexError> {
    if tag == t::REFERRING_PHYSICIAN_NAME {
        if let Some(found) = search(snapshot, Field::ReferringPhysicianName, patterns)? {
            sets.restrict(Level::Study, found);
        }
        return Ok(());
    }
    let Some(patients) = search(snapshot, Field::PatientName, patterns)? else {
        return Ok(());
    };
    if query.level == Level::Patient {
        sets.restrict(Level::Patient, patients);
        return Ok(());
    }
    // Studies of these patients, and those that came with another name: see terms.rs (4).
    let Some(mut studies) = search(snapshot, Field::StudyPatientName, patterns)? else {
        return Ok(());
    };
    studies.extend(ids(
        snapshot,
        "SELECT study.id FROM rarray(?1) AS chosen CROSS JOIN study ON study.patient = chosen.value",
        params![array(&patients)],
    )?);
    sets.restrict(Level::Study, studies);
    Ok(())
}

/// Resources with a value of the field that one of the patterns matches, and a few more; `None` if the patterns
/// hold no text to search for.
fn search(
    snapshot: &Snapshot<'_>,
    field: Field,
    patterns: &[Pattern],
) -> Result<Option<Vec<i64>>, IndexError> {
    if patterns.iter().any(|pattern| pattern.pieces().is_empty()) {
        return Ok(None);
    }
    let mut found = ids(
        snapshot,
        "SELECT resource FROM term WHERE field = ?1 AND value = ''",
        params![field.long()],
    )?;
    for pattern in patterns {
        let prefix = pattern.prefix();
        if let Some(text) = pattern.exact() {
            found.extend(ids(
                snapshot,
                "SELECT resource FROM term WHERE field = ?1 AND value = ?2",
                params![field.number(), text],
            )?);
        } else if prefix.is_empty() {
            inside(snapshot, field, pattern, &mut found)?;
        } else {
            let sql =
                "SELECT value, resource FROM term WHERE field = ?1 AND value >= ?2 AND value <= ?3";
            // No text that begins with the prefix comes after this one.
            let end = format!("{prefix}\u{10FFFF}\u{10FFFF}");
            scan(
                snapshot,
                sql,
                params![field.number(), prefix, end],
                pattern,
                &mut found,
            )?;
        }
    }
    let wanted = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    snapshot.terms.find(field, &wanted, &mut found);
    Ok(Some(found))
}

fn scan(
    snapshot: &Snapshot<'_>,
    sql: &str,
    values: impl rusqlite::Params,
    pattern: &Pattern,
    found: &mut Vec<i64>,
) -> Result<(), IndexError> {
    const DOING: &str = "searching texts";
    let mut statement = snapshot.connection.prepare_cached(sql).doing(DOING)?;
    let mut rows = statement.query(values).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        let value = row.get_ref(0).doing(DOING)?.as_str().unwrap_or("");
        if pattern.matches(value) {
            found.push(row.get(1).doing(DOING)?);
        }
    }
    Ok(())
}

/// A pattern that begins with a wildcard: by grams if there are any and they are nearly complete, else by looking
/// at all terms of the field.
fn inside(
    snapshot: &Snapshot<'_>,
    field: Field,
    pattern: &Pattern,
    found: &mut Vec<i64>,
) -> Result<(), IndexError> {
    let pieces = pattern.pieces();
    let grammed_to: i64 = snapshot
        .connection
        .prepare_cached("SELECT grammed_to FROM meta")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .doing("reading the state of the index")?;
    if let Some(expression) = terms::gram_expression(field, &pieces).filter(|_| grammed_to > 0) {
        let sql = match field.level() {
            Level::Patient => "SELECT id FROM patient WHERE id > ?1 LIMIT ?2",
            _ => "SELECT id FROM study WHERE id > ?1 LIMIT ?2",
        };
        let without = ids(snapshot, sql, params![grammed_to, MAX_WITHOUT_GRAMS + 1])?;
        if i64::try_from(without.len()).is_ok_and(|count| count <= MAX_WITHOUT_GRAMS) {
            found.extend(without);
            found.extend(ids(
                snapshot,
                "SELECT rowid FROM gram WHERE gram MATCH ?1",
                params![expression],
            )?);
            return Ok(());
        }
    }
    let longest = pieces
        .iter()
        .max_by_key(|piece| piece.len())
        .map_or("", String::as_str);
    let sql = "SELECT value, resource FROM term WHERE field = ?1 AND instr(value, ?2) > 0";
    scan(
        snapshot,
        sql,
        params![field.number(), longest],
        pattern,
        found,
    )
}
