//! A query becomes one SQL statement.

use super::candidates::{Sets, array};
use super::source::{Source, source, table};
use crate::matching::Matcher;
use crate::{
    HeaderKeys, IndexError, Key, LabelConstraint, Order, OrderAs, OrderBy, Query, metadata,
};
use rusqlite::ToSql;
use rusqlite::types::Value;
use rusqlite::vtab::array::Array;
use std::rc::Rc;
use vna_dicom::{Level, Tag, attribute_level, tags as t};

/// What a value must match.
pub(crate) struct Condition {
    pub(crate) tag: Tag,
    pub(crate) matcher: Matcher,
    pub(crate) source: Source,
}

/// Conditions on one resource of a level below that of the query.
pub(crate) struct Below {
    pub(crate) level: Level,
    pub(crate) keys: Vec<Condition>,
}

/// A query, taken apart.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) keys: Vec<Condition>,
    pub(crate) below: Option<Below>,
    pub(crate) headers: HeaderKeys,
}

/// Things that one key may ask for that are tried one after the other, such as texts with wildcards: each is compared
/// with each candidate. More are a mistake, or meant to keep the server busy.
const MAX_TRIES: usize = 1_000;

pub(crate) fn plan(query: &Query) -> Result<Plan, IndexError> {
    let mut plan = Plan::default();
    let mut lower: Vec<(Level, &Key, Matcher)> = Vec::new();
    for key in &query.keys {
        let matcher = checked(Matcher::new(key.tag, &key.value, query.case), || {
            key.tag.to_string()
        })?;
        if matcher == Matcher::Universal {
            continue;
        }
        let level = key_level(query.level, key.tag);
        if level > query.level {
            lower.push((level, key, matcher));
        } else if let Some(source) = source(query.level, key.tag) {
            let tag = key.tag;
            plan.keys.push(Condition {
                tag,
                matcher,
                source,
            });
        } else {
            plan.headers.own.push(key.clone());
        }
    }
    plan_below(query, lower, &mut plan);
    for (number, pattern) in &query.metadata {
        let name = || metadata::metadata_name(*number).into_owned();
        // Metadata are texts, whatever the archive knows them as.
        let matcher = checked(Matcher::new(METADATA, pattern, query.case), name)?;
        if matcher != Matcher::Universal || pattern.contains('*') {
            plan.keys.push(Condition {
                tag: METADATA,
                matcher: match matcher {
                    Matcher::Universal => Matcher::Present,
                    other => other,
                },
                source: Source::Metadata(*number),
            });
        }
    }
    Ok(plan)
}

/// Stands for metadata where a tag is asked for: no element has this one.
const METADATA: Tag = Tag(0xFFFF, 0xFFFF);

fn checked(matcher: Matcher, name: impl FnOnce() -> String) -> Result<Matcher, IndexError> {
    if matcher.tries() <= MAX_TRIES {
        return Ok(matcher);
    }
    Err(IndexError::BadQuery {
        problem: format!(
            "{} asks for {} values, of names, numbers, spans or with wildcards; it takes {MAX_TRIES}",
            name(),
            matcher.tries()
        ),
    })
}

/// The level of the resource that a key speaks of: the nearest, for a tag of several.
fn key_level(level: Level, tag: Tag) -> Level {
    if source(level, tag).is_some() {
        return level;
    }
    let lower = Level::ALL.into_iter().filter(|at| *at > level);
    let indexed = lower.clone().find(|at| source(*at, tag).is_some());
    indexed.unwrap_or_else(|| attribute_level(tag))
}

/// The keys of lower levels: one resource of the lowest must match them all.
fn plan_below(query: &Query, lower: Vec<(Level, &Key, Matcher)>, plan: &mut Plan) {
    let Some(level) = lower.iter().map(|(level, ..)| *level).max() else {
        return;
    };
    // The classes of a series are known without a look at its instances.
    if let [(_, key, matcher)] = lower.as_slice() {
        let classes = match query.level {
            Level::Series => Some(Source::SeriesClasses),
            Level::Study => Some(Source::SopClasses),
            _ => None,
        };
        if let Some(source) = classes.filter(|_| key.tag == t::SOP_CLASS_UID) {
            plan.keys.push(Condition {
                tag: key.tag,
                matcher: matcher.clone(),
                source,
            });
            return;
        }
    }
    let mut keys = Vec::new();
    let mut all_indexed = true;
    for (_, key, matcher) in &lower {
        match source(level, key.tag) {
            Some(source) => keys.push(Condition {
                tag: key.tag,
                matcher: matcher.clone(),
                source,
            }),
            None => all_indexed = false,
        }
    }
    if !all_indexed {
        let keys = lower.iter().map(|(_, key, _)| (*key).clone()).collect();
        plan.headers.below = Some((level, keys));
    }
    // Also where headers must be read: it leaves fewer of them.
    if !keys.is_empty() {
        plan.below = Some(Below { level, keys });
    }
}

pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Box<dyn ToSql>>,
}

impl Statement {
    fn value(&mut self, value: impl ToSql + 'static) -> String {
        self.values.push(Box::new(value));
        format!("?{}", self.values.len())
    }
}

/// The table of `at`, joined to that of the level below.
pub(crate) const fn join_above(at: Level) -> &'static str {
    match at {
        Level::Patient => " CROSS JOIN patient ON patient.id = study.patient",
        Level::Study => " CROSS JOIN study ON study.id = series.study",
        Level::Series | Level::Instance => " CROSS JOIN series ON series.id = instance.series",
    }
}

/// The table of `at`, joined to that of the level above.
pub(crate) const fn join_below(at: Level) -> &'static str {
    match at {
        Level::Patient | Level::Study => " CROSS JOIN study ON study.patient = patient.id",
        Level::Series => " CROSS JOIN series ON series.study = study.id",
        Level::Instance => " CROSS JOIN instance ON instance.series = series.id",
    }
}

/// The statement of a query. Its first columns are the id and the public id, then come the values of `plan.keys`.
pub(crate) fn compile(query: &Query, plan: &Plan, sets: &Sets) -> Result<Statement, IndexError> {
    let level = query.level;
    let mut statement = Statement {
        sql: format!("SELECT {0}.id, {0}.public_id", table(level)),
        values: Vec::new(),
    };
    for key in &plan.keys {
        statement.sql.push_str(", ");
        let label = query.study_label.as_deref();
        statement
            .sql
            .push_str(&key.source.expression_in(level, label));
    }
    statement.sql.push_str(" FROM ");
    let dates = study_dates(query, plan);
    // Joined in the order in which it is written, from what is known to the rest.
    let first = match sets.smallest() {
        Some(driver) => {
            let ids = statement.value(array(sets.get(driver).unwrap_or(&[])));
            let table = table(driver);
            statement.sql.push_str(&format!(
                "rarray({ids}) AS chosen CROSS JOIN {table} ON {table}.id = chosen.value"
            ));
            driver
        }
        None if dates.is_some() => {
            statement.sql.push_str("study INDEXED BY study_by_date");
            Level::Study
        }
        None => {
            statement.sql.push_str(table(level));
            level
        }
    };
    for at in Level::ALL.into_iter().rev().filter(|at| *at < first) {
        statement.sql.push_str(join_above(at));
    }
    for at in Level::ALL
        .into_iter()
        .filter(|at| *at > first && *at <= level)
    {
        statement.sql.push_str(join_below(at));
    }
    let tenant = statement.value(query.tenant);
    statement
        .sql
        .push_str(&format!(" WHERE {}.tenant = {tenant}", table(first)));
    for at in Level::ALL.into_iter().filter(|at| *at <= level.max(first)) {
        statement
            .sql
            .push_str(&format!(" AND {}.state = 0", table(at)));
        if let Some(ids) = sets.get(at).filter(|_| Some(at) != sets.smallest()) {
            let ids = statement.value(array(ids));
            statement
                .sql
                .push_str(&format!(" AND {}.id IN rarray({ids})", table(at)));
        }
    }
    if let Some((low, high)) = dates {
        let (low, high) = (statement.value(low), statement.value(high));
        statement
            .sql
            .push_str(&format!(" AND study.study_date BETWEEN {low} AND {high}"));
    }
    conditions(query, &mut statement);
    let by_date = sets.smallest().is_none() && dates.is_some() && query.order.is_empty();
    order(query, by_date, &mut statement)?;
    Ok(statement)
}

/// The one span of days that the study must be in.
fn study_dates(query: &Query, plan: &Plan) -> Option<(i64, i64)> {
    if query.level < Level::Study {
        return None;
    }
    plan.keys
        .iter()
        .find_map(|key| match (key.tag, &key.matcher) {
            (t::STUDY_DATE, Matcher::Date(spans)) => {
                let low = spans.iter().map(|(low, _)| *low).min()?;
                let high = spans.iter().map(|(_, high)| *high).max()?;
                Some((low, high))
            }
            _ => None,
        })
}

fn conditions(query: &Query, statement: &mut Statement) {
    let id = format!("{}.id", table(query.level));
    if let Some(filter) = query
        .labels
        .as_ref()
        .filter(|filter| filter.constraint == LabelConstraint::None)
    {
        let mut any = format!("SELECT 1 FROM label WHERE label.resource = {id}");
        if !filter.labels.is_empty() {
            let labels = filter.labels.iter().cloned().map(Value::from).collect();
            let labels: Array = Rc::new(labels);
            let labels = statement.value(labels);
            any.push_str(&format!(" AND label IN rarray({labels})"));
        }
        statement.sql.push_str(&format!(" AND NOT EXISTS ({any})"));
    }
}

/// Ends the statement with a total order. Ties, and all without a criterion, are in the order of arrival; where an
/// index on dates is read, dates come first.
fn order(query: &Query, by_date: bool, statement: &mut Statement) -> Result<(), IndexError> {
    statement.sql.push_str(" ORDER BY ");
    if by_date {
        statement.sql.push_str("study.study_date, ");
        if query.level > Level::Study {
            statement.sql.push_str("study.id, ");
        }
    }
    for criterion in &query.order {
        let expression = order_expression(query.level, criterion)?;
        let direction = if criterion.descending { " DESC" } else { "" };
        statement.sql.push_str(&format!(
            "({expression}) IS NULL, ({expression}){direction}, "
        ));
    }
    statement
        .sql
        .push_str(&format!("{}.id", table(query.level)));
    Ok(())
}

fn order_expression(level: Level, criterion: &Order) -> Result<String, IndexError> {
    let text = match &criterion.by {
        OrderBy::LastUpdate if level == Level::Instance => {
            return Ok("instance.received_us".into());
        }
        OrderBy::LastUpdate => return Ok(format!("{}.last_update_us", table(level))),
        OrderBy::Metadata(number) => Source::Metadata(*number).expression(level),
        OrderBy::Tag(tag) => {
            let source = source(level, *tag).ok_or_else(|| IndexError::BadQuery {
                problem: format!(
                    "there is no order by {tag}: the index keeps no such tag of a {}",
                    level.as_str()
                ),
            })?;
            source.scalar(level, *tag)
        }
    };
    Ok(match criterion.compare_as {
        // As people order names: case and accents do not matter.
        OrderAs::Text => format!("vna_fold({text})"),
        OrderAs::Int => format!("CAST(({text}) AS INTEGER)"),
        OrderAs::Float => format!("CAST(({text}) AS REAL)"),
    })
}
