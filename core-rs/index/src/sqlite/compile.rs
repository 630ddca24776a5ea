//! A query becomes one SQL statement.

use super::candidates::{Sets, array};
use crate::matching::Matcher;
use crate::{Key, LabelConstraint, Order, OrderAs, OrderBy, Query};
use rusqlite::ToSql;
use vna_dicom::{Level, Tag, main_tags, tags as t};

const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);

/// Where the value of a key is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Among the packed tags of a level; the patient's below patient level are those of the study.
    Packed(Level),
    /// The UID of a level.
    Uid(Level),
    /// (0010,0021).
    Issuer,
    /// (0008,0016).
    SopClass,
    /// Any series of the study.
    Modalities,
    /// Any instance of the study.
    SopClasses,
}

/// Where the index has the value that a key of a query at `level` is compared with.
fn source(level: Level, tag: Tag) -> Option<Source> {
    match tag {
        t::STUDY_INSTANCE_UID if level >= Level::Study => return Some(Source::Uid(Level::Study)),
        t::SERIES_INSTANCE_UID if level >= Level::Series => {
            return Some(Source::Uid(Level::Series));
        }
        t::SOP_INSTANCE_UID if level == Level::Instance => {
            return Some(Source::Uid(Level::Instance));
        }
        t::SOP_CLASS_UID if level == Level::Instance => return Some(Source::SopClass),
        t::ISSUER_OF_PATIENT_ID => return Some(Source::Issuer),
        MODALITIES_IN_STUDY if level >= Level::Study => return Some(Source::Modalities),
        // Not a key of this level, but often sent, and there is only one thing that it can mean.
        t::MODALITY if level == Level::Study => return Some(Source::Modalities),
        SOP_CLASSES_IN_STUDY if level >= Level::Study => return Some(Source::SopClasses),
        t::STUDY_INSTANCE_UID | t::SERIES_INSTANCE_UID | t::SOP_INSTANCE_UID => return None,
        _ => {}
    }
    let nearest = Level::ALL
        .into_iter()
        .rev()
        .filter(|at| *at <= level)
        .find(|at| main_tags(*at).contains(&tag))?;
    Some(Source::Packed(nearest))
}

/// A query, taken apart.
pub(crate) struct Plan {
    pub(crate) keys: Vec<(Tag, Matcher)>,
    pub(crate) sources: Vec<Source>,
    pub(crate) needs_headers: Vec<Key>,
}

pub(crate) fn plan(query: &Query) -> Plan {
    let mut plan = Plan {
        keys: Vec::new(),
        sources: Vec::new(),
        needs_headers: Vec::new(),
    };
    for key in &query.keys {
        let matcher = Matcher::new(key.tag, &key.value, query.case_sensitive_pn);
        if matcher == Matcher::Universal {
            continue;
        }
        match source(query.level, key.tag) {
            Some(source) => {
                plan.keys.push((key.tag, matcher));
                plan.sources.push(source);
            }
            None => plan.needs_headers.push(key.clone()),
        }
    }
    plan
}

fn table(level: Level) -> &'static str {
    match level {
        Level::Patient => "patient",
        Level::Study => "study",
        Level::Series => "series",
        Level::Instance => "instance",
    }
}

/// The packed tags of a level in a statement at `level`: those of the patient come with the study below it.
fn tags_column(query: Level, of: Level) -> &'static str {
    match of {
        Level::Patient if query == Level::Patient => "patient.tags",
        Level::Patient | Level::Study => "study.tags",
        Level::Series => "series.tags",
        Level::Instance => "instance.tags",
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

/// Columns: the id; for each level down to the query's its public id; its tags and its UID; the issuer; the SOP
/// class.
fn columns(level: Level) -> String {
    let mut columns = format!("{}.id", table(level));
    let path = || Level::ALL.into_iter().filter(move |at| *at <= level);
    for at in path() {
        columns.push_str(&format!(", {}.public_id", table(at)));
    }
    for at in path() {
        columns.push_str(&format!(", {}", tags_column(level, at)));
    }
    for at in path() {
        columns.push_str(match at {
            Level::Patient => ", ''",
            Level::Study => ", study.study_uid",
            Level::Series => ", series.series_uid",
            Level::Instance => ", instance.sop_uid",
        });
    }
    columns.push_str(", patient.issuer");
    if level == Level::Instance {
        columns.push_str(", (SELECT text FROM word WHERE word.id = instance.sop_class)");
    }
    columns
}

pub(crate) fn compile(query: &Query, plan: &Plan, sets: &Sets) -> Statement {
    let level = query.level;
    let mut statement = Statement {
        sql: format!("SELECT {} FROM ", columns(level)),
        values: Vec::new(),
    };
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
        statement.sql.push_str(match at {
            Level::Patient => " CROSS JOIN patient ON patient.id = study.patient",
            Level::Study => " CROSS JOIN study ON study.id = series.study",
            _ => " CROSS JOIN series ON series.id = instance.series",
        });
    }
    for at in Level::ALL
        .into_iter()
        .filter(|at| *at > first && *at <= level)
    {
        statement.sql.push_str(match at {
            Level::Patient | Level::Study => " CROSS JOIN study ON study.patient = patient.id",
            Level::Series => " CROSS JOIN series ON series.study = study.id",
            Level::Instance => " CROSS JOIN instance ON instance.series = series.id",
        });
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
    order(query, by_date, &mut statement);
    statement
}

/// The one span of days that the study must be in.
fn study_dates(query: &Query, plan: &Plan) -> Option<(i64, i64)> {
    if query.level < Level::Study {
        return None;
    }
    plan.keys
        .iter()
        .find_map(|(tag, matcher)| match (*tag, matcher) {
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
        for (i, label) in filter.labels.iter().enumerate() {
            let value = statement.value(label.clone());
            any.push_str(&format!(
                "{}{value}",
                if i == 0 { " AND label IN (" } else { ", " }
            ));
        }
        any.push_str(if filter.labels.is_empty() { "" } else { ")" });
        statement.sql.push_str(&format!(" AND NOT EXISTS ({any})"));
    }
    for (number, pattern) in &query.metadata {
        let number = statement.value(*number);
        // GLOB has our wildcards and one more, `[`, which is taken for itself here.
        let pattern = statement.value(pattern.replace('[', "[[]"));
        statement.sql.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM metadata WHERE metadata.resource = {id}
                          AND metadata.type = {number} AND metadata.value GLOB {pattern})"
        ));
    }
}

/// Ends the statement with a total order. Ties, and all without a criterion, are in the order of arrival; where an
/// index on dates is read, dates come first.
fn order(query: &Query, by_date: bool, statement: &mut Statement) {
    statement.sql.push_str(" ORDER BY ");
    if by_date {
        statement.sql.push_str("study.study_date, ");
        if query.level > Level::Study {
            statement.sql.push_str("study.id, ");
        }
    }
    for criterion in &query.order {
        let expression = order_expression(query.level, criterion, statement);
        let direction = if criterion.descending { " DESC" } else { "" };
        statement.sql.push_str(&format!(
            "({expression}) IS NULL, ({expression}){direction}, "
        ));
    }
    statement
        .sql
        .push_str(&format!("{}.id", table(query.level)));
}

fn order_expression(level: Level, criterion: &Order, statement: &mut Statement) -> String {
    let text = match &criterion.by {
        OrderBy::LastUpdate if level == Level::Instance => return "instance.received_us".into(),
        OrderBy::LastUpdate => return format!("{}.last_update_us", table(level)),
        OrderBy::Metadata(number) => {
            let number = statement.value(*number);
            format!(
                "SELECT value FROM metadata WHERE resource = {}.id AND type = {number}",
                table(level)
            )
        }
        OrderBy::Tag(tag) => match source(level, *tag) {
            Some(Source::Packed(at)) => {
                let number = statement.value(i64::from(tag.to_u32()));
                format!("vna_tag({}, {number})", tags_column(level, at))
            }
            Some(Source::Uid(Level::Study)) => "study.study_uid".into(),
            Some(Source::Uid(Level::Series)) => "series.series_uid".into(),
            Some(Source::Uid(_)) => "instance.sop_uid".into(),
            Some(Source::Issuer) => "patient.issuer".into(),
            Some(Source::SopClass) => {
                "SELECT text FROM word WHERE word.id = instance.sop_class".into()
            }
            Some(Source::Modalities | Source::SopClasses) | None => "NULL".into(),
        },
    };
    match criterion.compare_as {
        OrderAs::Text => text,
        OrderAs::Int => format!("CAST(({text}) AS INTEGER)"),
        OrderAs::Float => format!("CAST(({text}) AS REAL)"),
    }
}
