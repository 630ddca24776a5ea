//! What the UIDs of a path name: instances by their numbers, and what decides what is answered of them.

use super::compile::{join_above, join_below};
use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::source::table;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::{IndexError, Picked, PickedFile, PickedInstance, PickedSeries, UidPath};
use rusqlite::{OptionalExtension, Row, params};
use vna_dicom::Level;

const DOING: &str = "finding what UIDs name";

/// The live instances of what a path of UIDs names, series by series, in the order of their index and of arrival.
pub(crate) fn pick(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    path: &UidPath<'_>,
) -> Result<Picked, IndexError> {
    let (level, found) = named(snapshot, tenant, path)?;
    let sql = statement(level);
    let mut picked = Picked::default();
    for id in found {
        let mut statement = snapshot.connection.prepare_cached(&sql).doing(DOING)?;
        let mut rows = statement
            .query(params![
                id,
                tenant,
                path.study,
                path.series.unwrap_or_default(),
                path.instance.unwrap_or_default()
            ])
            .doing(DOING)?;
        while let Some(row) = rows.next().doing(DOING)? {
            let instance = PickedInstance {
                instance: row.get(0).doing(DOING)?,
                series: row.get(1).doing(DOING)?,
                blob: row.get(2).doing(DOING)?,
                syntax: row.get(3).doing(DOING)?,
                file_size: row.get::<_, i64>(4).doing(DOING)?.unsigned(),
                data_set_offset: row.get::<_, i64>(7).doing(DOING)?.unsigned(),
                uid_bytes: row.get(8).doing(DOING)?,
            };
            let is_new = |last: &PickedSeries| last.series != instance.series;
            if picked.series.last().is_none_or(is_new) {
                picked.series.push(PickedSeries {
                    series: instance.series,
                    study_instance_uid: row.get(5).doing(DOING)?,
                    series_instance_uid: row.get(6).doing(DOING)?,
                });
            }
            picked.instances.push(instance);
        }
    }
    for instance in &picked.instances {
        if picked.syntaxes.iter().any(|(id, _)| *id == instance.syntax) {
            continue;
        }
        let text = snapshot
            .connection
            .prepare_cached("SELECT text FROM word WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([instance.syntax], |row| row.get(0)))
            .doing(DOING)?;
        picked.syntaxes.push((instance.syntax, text));
    }
    if let (Level::Instance, [one]) = (level, picked.instances.as_slice()) {
        picked.file = snapshot
            .connection
            .prepare_cached(
                "SELECT instance.received_us, blob.encoding FROM instance JOIN blob ON blob.id = instance.blob
                 WHERE instance.id = ?1",
            )
            .and_then(|mut statement| statement.query_row([one.instance], file).optional())
            .doing(DOING)?;
    }
    Ok(picked)
}

fn file(row: &Row<'_>) -> Result<PickedFile, rusqlite::Error> {
    Ok(PickedFile {
        received_us: row.get(0)?,
        encoding: row.get(1)?,
    })
}

/// Whether a path names something that was deleted, itself or with what it was in, and that can still be brought back.
/// What is live besides does not matter.
pub(crate) fn was_deleted(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    path: &UidPath<'_>,
    now_us: i64,
) -> Result<bool, IndexError> {
    const DOING: &str = "finding what was deleted of what UIDs name";
    let (level, found) = named(snapshot, tenant, path)?;
    let sql = deleted_statement(level);
    for id in found {
        let mut statement = snapshot.connection.prepare_cached(&sql).doing(DOING)?;
        let is_deleted = statement
            .exists(params![
                id,
                tenant,
                path.study,
                path.series.unwrap_or_default(),
                path.instance.unwrap_or_default(),
                now_us
            ])
            .doing(DOING)?;
        if is_deleted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The level of what a path names, and the numbers of resources whose UID may be that of it, whatever their state.
fn named(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    path: &UidPath<'_>,
) -> Result<(Level, Vec<i64>), IndexError> {
    let (level, kind, uid) = match (path.series, path.instance) {
        (None, _) => (Level::Study, KeyKind::StudyUid, path.study),
        (Some(series), None) => (Level::Series, KeyKind::SeriesUid, series),
        (Some(_), Some(instance)) => (Level::Instance, KeyKind::SopUid, instance),
    };
    let hash = snapshot.hasher.text(tenant, kind, uid);
    let mut found = candidates(snapshot.connection, snapshot.tail, hash)?;
    found.sort_unstable();
    found.dedup();
    Ok((level, found))
}

/// The statement that says of a candidate of `level` whether it is what is named, and has an entry of a deletion that is
/// not due: an entry is of what was deleted, and hides all below.
fn deleted_statement(level: Level) -> String {
    let mut sql = from(level);
    let above = Level::ALL.into_iter().filter(|at| *at <= level);
    let ids: Vec<String> = above.map(|at| format!("{}.id", table(at))).collect();
    let uids = match level {
        Level::Patient | Level::Study => "",
        Level::Series => " AND series.series_uid = ?4",
        Level::Instance => " AND series.series_uid = ?4 AND instance.sop_uid = ?5",
    };
    sql.insert_str(0, "SELECT 1");
    sql.push_str(&format!(
        " CROSS JOIN purge ON purge.resource IN ({})
          WHERE patient.tenant = ?2 AND study.study_uid = ?3{uids} AND purge.due_us > ?6",
        ids.join(", ")
    ));
    sql
}

/// A candidate of `level`, and what it is in.
fn from(level: Level) -> String {
    let own = table(level);
    let mut sql =
        format!(" FROM (SELECT ?1 AS value) AS chosen CROSS JOIN {own} ON {own}.id = chosen.value");
    let above = Level::ALL.into_iter().rev().filter(|at| *at < level);
    above.for_each(|at| sql.push_str(join_above(at)));
    sql
}

/// The statement for a candidate of `level`, which may be another resource of the same hash.
fn statement(level: Level) -> String {
    let mut sql =
        "SELECT instance.id, series.id, instance.blob, instance.syntax, instance.file_size,
                study.study_uid, series.series_uid, instance.data_set_offset,
                length(CAST(instance.sop_uid AS BLOB))"
            .to_owned();
    sql.push_str(&from(level));
    let below = Level::ALL.into_iter().filter(|at| *at > level);
    below.for_each(|at| sql.push_str(join_below(at)));
    sql.push_str(
        " WHERE patient.state = 0 AND study.state = 0 AND series.state = 0 AND instance.state = 0
            AND patient.tenant = ?2 AND study.study_uid = ?3
            AND (?4 = '' OR series.series_uid = ?4) AND (?5 = '' OR instance.sop_uid = ?5)
          ORDER BY series.id, instance.index_in_series, instance.id",
    );
    sql
}
