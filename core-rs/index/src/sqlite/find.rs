//! Queries: one statement a page, in a total order, each row compared with all keys.

use super::candidates;
use super::compile::{Plan, Source, compile, plan};
use super::read::Snapshot;
use super::resource;
use super::tags::{self, Tags};
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::json::Json;
use crate::matching::Matcher;
use crate::{Answer, IndexError, Key, Match, Query, View};
use rusqlite::{Row, ToSql, params};
use std::ops::ControlFlow;
use vna_dicom::{Level, PublicId, Tag, tags as t};

const DOING: &str = "answering a query";

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
