//! Queries: one statement, in a total order, each row compared with all keys.

use super::candidates;
use super::compile::{Below, Condition, Plan, compile, join_above, join_below, plan};
use super::matched;
use super::read::Snapshot;
use super::source::{in_view, table};
use super::write;
use crate::error::Doing;
use crate::json::Json;
use crate::{Answer, Found, HeaderKeys, IndexError, Page, Query, Shape};
use rusqlite::{Row, ToSql, params};
use std::collections::HashMap;
use std::ops::ControlFlow;
use vna_dicom::{Level, PublicId};

const DOING: &str = "answering a query";

/// A resource that matches.
struct Hit {
    id: i64,
    public_id: PublicId,
}

/// Hands each resource that matches to `visit`, in order, until it breaks.
fn each(
    snapshot: &Snapshot<'_>,
    query: &Query,
    plan: &Plan,
    mut visit: impl FnMut(Hit) -> Result<ControlFlow<()>, IndexError>,
) -> Result<(), IndexError> {
    let Some(sets) = candidates::sets(snapshot, query, plan)? else {
        return Ok(());
    };
    let compiled = compile(query, plan, &sets)?;
    let mut statement = snapshot
        .connection
        .prepare_cached(&compiled.sql)
        .doing(DOING)?;
    let values: Vec<&dyn ToSql> = compiled.values.iter().map(AsRef::as_ref).collect();
    let mut rows = statement.query(values.as_slice()).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        if !all_match(row, 2, &plan.keys)? {
            continue;
        }
        let hit = Hit {
            id: row.get(0).doing(DOING)?,
            public_id: PublicId(row.get(1).doing(DOING)?),
        };
        if let Some(below) = &plan.below {
            if !any_below(snapshot, query, hit.id, below)? {
                continue;
            }
        }
        if visit(hit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Whether the values from column `first` on match.
fn all_match(row: &Row<'_>, first: usize, keys: &[Condition]) -> Result<bool, IndexError> {
    for (i, key) in keys.iter().enumerate() {
        let value = key.source.value(row, first + i, key.tag)?;
        if !key.matcher.matches(value.as_deref()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a resource of a lower level matches all keys of it.
fn any_below(
    snapshot: &Snapshot<'_>,
    query: &Query,
    id: i64,
    below: &Below,
) -> Result<bool, IndexError> {
    let level = query.level;
    let mut sql = String::from("SELECT ");
    for (i, key) in below.keys.iter().enumerate() {
        sql.push_str(if i == 0 { "" } else { ", " });
        sql.push_str(&key.source.expression(below.level));
    }
    // From above, with what lies higher for the values that come from there.
    sql.push_str(&format!(" FROM {}", table(level)));
    for at in Level::ALL.into_iter().rev().filter(|at| *at < level) {
        sql.push_str(join_above(at));
    }
    let path = || {
        Level::ALL
            .into_iter()
            .filter(|at| *at > level && *at <= below.level)
    };
    for at in path() {
        sql.push_str(join_below(at));
    }
    sql.push_str(&format!(" WHERE {}.id = ?1", table(level)));
    for at in path() {
        sql.push_str(&format!(" AND {}.state = 0", table(at)));
    }
    // What is below is a study, or in one.
    sql.push_str(&in_view("study", query.study_label.as_deref()));
    let mut statement = snapshot.connection.prepare_cached(&sql).doing(DOING)?;
    let mut rows = statement.query(params![id]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        if all_match(row, 0, &below.keys)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What of the answer is asked for. Where headers decide what matches, all that may match.
fn page(query: &Query, plan: &Plan) -> Page {
    if plan.headers.is_empty() {
        query.page
    } else {
        Page::default()
    }
}

/// Hands the resources of the page to `visit`; says whether there are more.
fn hits(
    snapshot: &Snapshot<'_>,
    query: &Query,
    plan: &Plan,
    mut visit: impl FnMut(Hit) -> Result<(), IndexError>,
) -> Result<bool, IndexError> {
    let Page { since, limit } = page(query, plan);
    let (mut seen, mut more) = (0, false);
    each(snapshot, query, plan, |hit| {
        seen += 1;
        if seen <= since {
            return Ok(ControlFlow::Continue(()));
        }
        if limit > 0 && seen > since.saturating_add(limit) {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        visit(hit)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(more)
}

pub(crate) fn find(snapshot: &Snapshot<'_>, query: &Query) -> Result<Found, IndexError> {
    let plan = plan(query)?;
    let mut resources = Vec::new();
    let more = hits(snapshot, query, &plan, |hit| {
        resources.push(hit.id);
        Ok(())
    })?;
    Ok(Found {
        resources,
        more,
        headers: plan.headers,
    })
}

pub(crate) fn answer(snapshot: &Snapshot<'_>, query: &Query) -> Result<Answer, IndexError> {
    let found = find(snapshot, query)?;
    Ok(Answer {
        matches: matched::matches(snapshot, query, &found.resources)?,
        more: found.more,
        headers: found.headers,
    })
}

pub(crate) fn count(
    snapshot: &Snapshot<'_>,
    query: &Query,
) -> Result<(u64, HeaderKeys), IndexError> {
    let plan = plan(query)?;
    let unrestricted = plan.keys.is_empty()
        && plan.below.is_none()
        && query.parents.is_empty()
        && query.labels.is_none()
        && query.study_label.is_none();
    if unrestricted {
        let all = super::answers::statistics(snapshot, query.tenant)?;
        let count = match query.level {
            Level::Patient => all.patients,
            Level::Study => all.studies,
            Level::Series => all.series,
            Level::Instance => all.instances,
        };
        return Ok((count, plan.headers));
    }
    let mut count = 0;
    each(snapshot, query, &plan, |_| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((count, plan.headers))
}

/// The answer in JSON: ids, or objects of a shape; `None` where headers must be read first.
pub(crate) fn json(
    snapshot: &Snapshot<'_>,
    query: &Query,
    shape: Option<&Shape>,
) -> Result<Option<Vec<u8>>, IndexError> {
    let plan = plan(query)?;
    if !plan.headers.is_empty() {
        return Ok(None);
    }
    if let Some(shape) = shape {
        let mut ids = Vec::new();
        hits(snapshot, query, &plan, |hit| {
            ids.push(hit.id);
            Ok(())
        })?;
        let none = HashMap::new();
        return write::array(snapshot, query.level, &ids, shape, &none).map(Some);
    }
    let mut json = Json::new();
    json.open(b'[');
    hits(snapshot, query, &plan, |hit| {
        json.id(&hit.public_id);
        json.check_size()
    })?;
    json.close(b']');
    Ok(Some(json.finish()))
}
