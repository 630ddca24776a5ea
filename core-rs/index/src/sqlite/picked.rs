//! What the UIDs of a path name: instances by their numbers, and what decides what is answered of them.

use super::compile::{join_above, join_below};
use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use super::source::table;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::{IndexError, Picked, PickedInstance, PickedSeries, UidPath};
use rusqlite::params;
use vna_dicom::Level;

const DOING: &str = "finding what UIDs name";

/// The live instances of what a path of UIDs names, series by series, in the order of their index and of arrival.
pub(crate) fn pick(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    path: &UidPath<'_>,
) -> Result<Picked, IndexError> {
    let (level, kind, uid) = match (path.series, path.instance) {
        (None, _) => (Level::Study, KeyKind::StudyUid, path.study),
        (Some(series), None) => (Level::Series, KeyKind::SeriesUid, series),
        (Some(_), Some(instance)) => (Level::Instance, KeyKind::SopUid, instance),
    };
    let sql = statement(level);
    let mut picked = Picked::default();
    let hash = snapshot.hasher.text(tenant, kind, uid);
    let mut found = candidates(snapshot.connection, snapshot.tail, hash)?;
    found.sort_unstable();
    found.dedup();
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
    Ok(picked)
}

/// The statement for a candidate of `level`, which may be another resource of the same hash.
fn statement(level: Level) -> String {
    let own = table(level);
    let mut sql = format!(
        "SELECT instance.id, series.id, instance.blob, instance.syntax, instance.file_size,
                study.study_uid, series.series_uid
         FROM (SELECT ?1 AS value) AS chosen CROSS JOIN {own} ON {own}.id = chosen.value"
    );
    let above = Level::ALL.into_iter().rev().filter(|at| *at < level);
    let below = Level::ALL.into_iter().filter(|at| *at > level);
    above.for_each(|at| sql.push_str(join_above(at)));
    below.for_each(|at| sql.push_str(join_below(at)));
    sql.push_str(
        " WHERE patient.state = 0 AND study.state = 0 AND series.state = 0 AND instance.state = 0
            AND patient.tenant = ?2 AND study.study_uid = ?3
            AND (?4 = '' OR series.series_uid = ?4) AND (?5 = '' OR instance.sop_uid = ?5)
          ORDER BY series.id, instance.index_in_series, instance.id",
    );
    sql
}
