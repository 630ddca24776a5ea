//! Queries: one statement a page, in a total order, each row compared with all keys.

use super::candidates::{self, Sets, array};
use super::read::Snapshot;
use super::resource;
use super::tags::{self, Tags};
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::json::Json;
use crate::matching::Matcher;
use crate::{
    Answer, IndexError, Key, LabelConstraint, Match, Order, OrderAs, OrderBy, Query, View,
};
use rusqlite::{Row, ToSql, params};
use std::ops::ControlFlow;
use vna_dicom::{Level, PublicId, Tag, main_tags, tags as t};

const DOING: &str = "answering a query";

const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);

/// Where the value of a key is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
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
struct Plan {
    keys: Vec<(Tag, Matcher)>,
    sources: Vec<Source>,
    needs_headers: Vec<Key>,
}

fn plan(query: &Query) -> Plan {
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

struct Statement {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
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

fn compile(query: &Query, plan: &Plan, sets: &Sets) -> Statement {
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

/// A row of the statement.
struct Found<'r> {
    row: &'r Row<'r>,
    level: Level,
}

impl<'r> Found<'r> {
    fn depth(&self) -> usize {
        self.level as usize + 1
    }

    fn id(&self) -> Result<i64, IndexError> {
        self.row.get(0).doing(DOING)
    }

    fn ids(&self) -> Result<Vec<PublicId>, IndexError> {
        (0..self.depth())
            .map(|at| resource::public_id(self.row, 1 + at))
            .collect()
    }

    fn packed(&self, of: Level) -> Result<&'r [u8], IndexError> {
        resource::packed(self.row, 1 + self.depth() + of as usize)
    }

    fn uid(&self, of: Level) -> Result<&'r str, IndexError> {
        resource::text(self.row, 1 + 2 * self.depth() + of as usize)
    }

    fn issuer(&self) -> Result<&'r str, IndexError> {
        resource::text(self.row, 1 + 3 * self.depth())
    }

    fn matches(
        &self,
        snapshot: &Snapshot<'_>,
        tag: Tag,
        matcher: &Matcher,
        source: Source,
    ) -> Result<bool, IndexError> {
        Ok(match source {
            Source::Packed(level) => matcher.matches(tags::find(self.packed(level)?, tag)),
            Source::Uid(level) => matcher.matches(Some(self.uid(level)?)),
            Source::Issuer => {
                matcher.matches(Some(self.issuer()?).filter(|issuer| !issuer.is_empty()))
            }
            Source::SopClass => {
                matcher.matches(Some(resource::text(self.row, 2 + 3 * self.depth())?))
            }
            Source::Modalities => {
                let all = below_study(snapshot, self.study_id(snapshot)?, MODALITIES_SQL)?;
                all.iter().any(|one| matcher.matches(Some(one)))
            }
            Source::SopClasses => {
                let all = below_study(snapshot, self.study_id(snapshot)?, SOP_CLASSES_SQL)?;
                all.iter().any(|one| matcher.matches(Some(one)))
            }
        })
    }

    fn study_id(&self, snapshot: &Snapshot<'_>) -> Result<i64, IndexError> {
        let id = self.id()?;
        let sql = match self.level {
            Level::Patient | Level::Study => return Ok(id),
            Level::Series => "SELECT study FROM series WHERE id = ?1",
            Level::Instance => {
                "SELECT study FROM instance JOIN series ON series.id = instance.series WHERE instance.id = ?1"
            }
        };
        snapshot
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params![id], |row| row.get(0)))
            .doing(DOING)
    }

    fn tags(&self) -> Result<Vec<(Tag, String)>, IndexError> {
        let mut all = Vec::new();
        let lowest = if self.level == Level::Patient {
            Level::Patient
        } else {
            Level::Study
        };
        for level in Level::ALL
            .into_iter()
            .filter(|level| *level >= lowest && *level <= self.level)
        {
            for item in Tags::new(self.packed(level)?) {
                let (tag, value) = item?;
                // A tag of two levels is told of the lower one.
                all.retain(|(before, _)| *before != tag);
                all.push((tag, value.to_owned()));
            }
            if let Some(tag) = super::place::own_uid(level) {
                all.push((tag, self.uid(level)?.to_owned()));
            }
        }
        if !self.issuer()?.is_empty() {
            all.push((t::ISSUER_OF_PATIENT_ID, self.issuer()?.to_owned()));
        }
        if self.level == Level::Instance {
            all.push((
                t::SOP_CLASS_UID,
                resource::text(self.row, 2 + 3 * self.depth())?.to_owned(),
            ));
        }
        all.sort_unstable_by_key(|(tag, _)| *tag);
        Ok(all)
    }
}

const MODALITIES_SQL: &str = "SELECT DISTINCT modality FROM series WHERE study = ?1 AND state = 0 AND modality <> '' ORDER BY 1";
const SOP_CLASSES_SQL: &str =
    "SELECT DISTINCT word.text FROM series JOIN series_class ON series_class.series = series.id
    JOIN word ON word.id = series_class.sop_class WHERE series.study = ?1 AND state = 0 ORDER BY 1";
const SOP_CLASSES_OF_SERIES_SQL: &str = "SELECT word.text FROM series_class
    JOIN word ON word.id = series_class.sop_class WHERE series_class.series = ?1 ORDER BY 1";
const LABELS_SQL: &str = "SELECT label FROM label WHERE resource = ?1 ORDER BY 1";

fn below_study(snapshot: &Snapshot<'_>, id: i64, sql: &str) -> Result<Vec<String>, IndexError> {
    snapshot
        .connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_map(params![id], |row| row.get(0))?
                .collect()
        })
        .doing(DOING)
}

/// Hands each resource that matches to `visit`, in order, until it breaks.
fn each(
    snapshot: &Snapshot<'_>,
    query: &Query,
    plan: &Plan,
    mut visit: impl FnMut(&Found<'_>) -> Result<ControlFlow<()>, IndexError>,
) -> Result<(), IndexError> {
    let Some(sets) = candidates::sets(snapshot, query, &plan.keys)? else {
        return Ok(());
    };
    let compiled = compile(query, plan, &sets);
    let mut statement = snapshot
        .connection
        .prepare_cached(&compiled.sql)
        .doing(DOING)?;
    let values: Vec<&dyn ToSql> = compiled.values.iter().map(AsRef::as_ref).collect();
    let mut rows = statement.query(values.as_slice()).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        let found = Found {
            row,
            level: query.level,
        };
        let mut all = true;
        for ((tag, matcher), source) in plan.keys.iter().zip(&plan.sources) {
            if !found.matches(snapshot, *tag, matcher, *source)? {
                all = false;
                break;
            }
        }
        if all && visit(&found)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The page of a query: hands its resources to `visit`; says whether there are more.
fn page(
    snapshot: &Snapshot<'_>,
    query: &Query,
    plan: &Plan,
    mut visit: impl FnMut(&Found<'_>) -> Result<(), IndexError>,
) -> Result<bool, IndexError> {
    let (since, limit) = (query.page.since, query.page.limit);
    let (mut seen, mut more) = (0, false);
    each(snapshot, query, plan, |found| {
        seen += 1;
        if seen <= since {
            return Ok(ControlFlow::Continue(()));
        }
        if limit > 0 && seen > since.saturating_add(limit) {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        visit(found)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(more)
}

pub(crate) fn answer(snapshot: &Snapshot<'_>, query: &Query) -> Result<Answer, IndexError> {
    let plan = plan(query);
    let mut matches = Vec::new();
    let more = page(snapshot, query, &plan, |found| {
        let mut one = Match {
            ids: found.ids()?,
            tags: found.tags()?,
            ..Match::default()
        };
        let id = found.id()?;
        if query.wanted.counts {
            count_below(snapshot, query.level, id, &mut one)?;
        }
        if query.wanted.classes && query.level == Level::Study {
            one.modalities = below_study(snapshot, id, MODALITIES_SQL)?;
            one.sop_classes = below_study(snapshot, id, SOP_CLASSES_SQL)?;
        } else if query.wanted.classes && query.level == Level::Series {
            one.sop_classes = below_study(snapshot, id, SOP_CLASSES_OF_SERIES_SQL)?;
        }
        if query.wanted.labels {
            one.labels = below_study(snapshot, id, LABELS_SQL)?;
        }
        matches.push(one);
        Ok(())
    })?;
    Ok(Answer {
        matches,
        more,
        needs_headers: plan.needs_headers,
    })
}

fn count_below(
    snapshot: &Snapshot<'_>,
    level: Level,
    id: i64,
    into: &mut Match,
) -> Result<(), IndexError> {
    let Some((_, found)) = resource::row(snapshot.connection, level, id)? else {
        return Ok(());
    };
    into.studies = (level == Level::Patient).then_some(found.studies.unsigned());
    into.series = (level <= Level::Study).then_some(found.series.unsigned());
    into.instances = (level <= Level::Series).then_some(found.instances.unsigned());
    Ok(())
}

pub(crate) fn count(snapshot: &Snapshot<'_>, query: &Query) -> Result<(u64, Vec<Key>), IndexError> {
    let plan = plan(query);
    let unrestricted = plan.keys.is_empty()
        && query.parents.is_empty()
        && query.labels.is_none()
        && query.metadata.is_empty();
    if unrestricted {
        let all = super::answers::statistics(snapshot, query.tenant)?;
        let count = match query.level {
            Level::Patient => all.patients,
            Level::Study => all.studies,
            Level::Series => all.series,
            Level::Instance => all.instances,
        };
        return Ok((count, plan.needs_headers));
    }
    let mut count = 0;
    each(snapshot, query, &plan, |_| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((count, plan.needs_headers))
}

pub(crate) fn json(
    snapshot: &Snapshot<'_>,
    query: &Query,
    expand: bool,
    view: View,
) -> Result<(Vec<u8>, Vec<Key>), IndexError> {
    let plan = plan(query);
    let mut json = Json::new();
    json.open(b'[');
    page(snapshot, query, &plan, |found| {
        if expand {
            resource::write(
                snapshot.connection,
                query.level,
                found.id()?,
                view,
                &mut json,
            )
        } else {
            json.display(resource::public_id(found.row, found.depth())?);
            Ok(())
        }
    })?;
    json.close(b']');
    Ok((json.finish(), plan.needs_headers))
}
