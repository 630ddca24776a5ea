//! From keys to candidates: sets of resources outside of which nothing can match.
//!
//! A set is a superset of what its key matches; each row is compared afterwards.

use super::compile::{Below, Condition, Plan, join_above};
use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::source::{Source, table};
use super::terms::{self, Field};
use crate::error::Doing;
use crate::matching::{Matcher, Pattern, Texts};
use crate::{IndexError, LabelConstraint, Query};
use rusqlite::types::Value;
use rusqlite::{params, vtab::array};
use std::collections::BTreeSet;
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
    plan: &Plan,
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
    for Condition {
        tag,
        matcher,
        source,
    } in &plan.keys
    {
        by_key(snapshot, query, (*tag, *source), matcher, &mut sets)?;
    }
    if let Some(below) = &plan.below {
        by_uid_below(snapshot, query, below, &mut sets)?;
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
            LabelConstraint::Any | LabelConstraint::None => {} // the second is a condition; see compile.rs
        }
    }
    if let Some(label) = &query.study_label {
        // Resources have ids of one sequence: what is no study is none of the table's.
        let (level, sql) = match query.level {
            Level::Patient => (
                Level::Patient,
                "SELECT study.patient FROM label JOIN study ON study.id = label.resource
                 WHERE label.tenant = ?1 AND label = ?2 AND study.state = 0",
            ),
            _ => (
                Level::Study,
                "SELECT study.id FROM label JOIN study ON study.id = label.resource
                 WHERE label.tenant = ?1 AND label = ?2",
            ),
        };
        let within = ids(snapshot, sql, params![query.tenant, label])?;
        sets.restrict(level, within);
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
    (tag, source): (Tag, Source),
    matcher: &Matcher,
    sets: &mut Sets,
) -> Result<(), IndexError> {
    let by_hash = |kind, texts: &BTreeSet<String>| -> Result<Vec<i64>, IndexError> {
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
        (t::PATIENT_ID | t::ACCESSION_NUMBER, Matcher::WholeText(texts)) => {
            let (level, kind, field) = match tag {
                t::PATIENT_ID => (Level::Patient, KeyKind::PatientId, Field::PatientId),
                _ => (Level::Study, KeyKind::Accession, Field::AccessionNumber),
            };
            match texts.exact() {
                Some(texts) => sets.restrict(level, by_hash(kind, texts)?),
                None => {
                    if let Some(found) = search(snapshot, field, &texts.prefilter())? {
                        sets.restrict(level, found);
                    }
                }
            }
        }
        (t::STUDY_DESCRIPTION, Matcher::Text(texts)) => {
            if let Some(found) = search(snapshot, Field::StudyDescription, &texts.prefilter())? {
                sets.restrict(Level::Study, found);
            }
        }
        (t::STUDY_ID, Matcher::Text(texts)) => {
            if let Some(found) = search(snapshot, Field::StudyId, &texts.prefilter())? {
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
                patterns.push(match case_sensitive {
                    true => group.folded_loosely(),
                    false => group.folded(),
                });
            }
            by_name(snapshot, query, tag, &Texts::folded(patterns), sets)?;
        }
        _ => by_extra(snapshot, query, (tag, source), matcher, sets)?,
    }
    Ok(())
}

/// Resources with a text of an extra tag that is asked for.
fn by_extra(
    snapshot: &Snapshot<'_>,
    query: &Query,
    (tag, source): (Tag, Source),
    matcher: &Matcher,
    sets: &mut Sets,
) -> Result<(), IndexError> {
    let Source::Extra(of, _) = source else {
        return Ok(());
    };
    let texts = match matcher {
        Matcher::Text(texts) | Matcher::WholeText(texts) => texts.prefilter(),
        _ => return Ok(()),
    };
    let (exact, wild) = texts.parts();
    let is_vague = |pattern: &Pattern| pattern.prefix().is_empty();
    if exact.contains("") || wild.iter().any(is_vague) {
        return Ok(());
    }
    let tag = tag.to_u32();
    let sql = "SELECT resource FROM extra_value WHERE tag = ?1 AND search = ?2";
    let mut found = ids(snapshot, sql, params![tag, ""])?;
    for text in exact {
        found.extend(ids(snapshot, sql, params![tag, text])?);
    }
    for pattern in wild {
        let prefix = pattern.prefix();
        let end = format!("{prefix}\u{10FFFF}\u{10FFFF}");
        let sql = "SELECT search, resource FROM extra_value WHERE tag = ?1 AND search >= ?2 AND search <= ?3";
        scan(
            snapshot,
            sql,
            params![tag, prefix, end],
            pattern,
            &mut found,
        )?;
    }
    // Those of a patient are kept for its studies too, as they came with each.
    let row = match of {
        Level::Patient => query.level.min(Level::Study),
        _ => of,
    };
    sets.restrict(row, found);
    Ok(())
}

/// Resources above what has a UID that is asked for.
fn by_uid_below(
    snapshot: &Snapshot<'_>,
    query: &Query,
    below: &Below,
    sets: &mut Sets,
) -> Result<(), IndexError> {
    for Condition { tag, matcher, .. } in &below.keys {
        let (level, kind) = match *tag {
            t::STUDY_INSTANCE_UID => (Level::Study, KeyKind::StudyUid),
            t::SERIES_INSTANCE_UID => (Level::Series, KeyKind::SeriesUid),
            t::SOP_INSTANCE_UID => (Level::Instance, KeyKind::SopUid),
            _ => continue,
        };
        let Matcher::OneOf(uids) = matcher else {
            continue;
        };
        let mut found = Vec::new();
        for uid in uids {
            let hash = snapshot.hasher.text(query.tenant, kind, uid);
            found.extend(candidates(snapshot.connection, snapshot.tail, hash)?);
        }
        let mut sql = format!(
            "SELECT {0}.id FROM rarray(?1) AS chosen CROSS JOIN {1} ON {1}.id = chosen.value",
            table(query.level),
            table(level)
        );
        for at in Level::ALL.into_iter().rev() {
            if at < level && at >= query.level {
                sql.push_str(join_above(at));
            }
        }
        sets.restrict(query.level, ids(snapshot, &sql, params![array(&found)])?);
    }
    Ok(())
}

fn by_name(
    snapshot: &Snapshot<'_>,
    query: &Query,
    tag: Tag,
    names: &Texts,
    sets: &mut Sets,
) -> Result<(), IndexError> {
    if tag == t::REFERRING_PHYSICIAN_NAME {
        if let Some(found) = search(snapshot, Field::ReferringPhysicianName, names)? {
            sets.restrict(Level::Study, found);
        }
        return Ok(());
    }
    let Some(patients) = search(snapshot, Field::PatientName, names)? else {
        return Ok(());
    };
    if query.level == Level::Patient {
        sets.restrict(Level::Patient, patients);
        return Ok(());
    }
    // Studies of these patients, and those that came with another name: see terms.rs (4).
    let Some(mut studies) = search(snapshot, Field::StudyPatientName, names)? else {
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

/// Resources with a value of the field that one of the texts matches, and a few more; `None` if a text holds nothing
/// to search for.
fn search(
    snapshot: &Snapshot<'_>,
    field: Field,
    texts: &Texts,
) -> Result<Option<Vec<i64>>, IndexError> {
    let (exact, wild) = texts.parts();
    if exact.contains("") || wild.iter().any(|pattern| pattern.pieces().is_empty()) {
        return Ok(None);
    }
    let mut found = ids(
        snapshot,
        "SELECT resource FROM term WHERE field = ?1 AND value = ''",
        params![field.long()],
    )?;
    for text in exact {
        found.extend(ids(
            snapshot,
            "SELECT resource FROM term WHERE field = ?1 AND value = ?2",
            params![field.number(), text],
        )?);
    }
    for pattern in wild {
        let prefix = pattern.prefix();
        if prefix.is_empty() {
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
    snapshot
        .terms
        .find(field, &|text| texts.has(text), &mut found);
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
