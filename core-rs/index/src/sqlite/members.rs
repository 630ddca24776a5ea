//! What archives are made of: the instances of a resource by their numbers, and where those lie, whatever became of them.

use super::answers::{LOCATED_COLUMNS, located, located_sql};
use super::candidates::array;
use super::compile::{join_above, join_below};
use super::read::Snapshot;
use super::source::table;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::{IndexError, Located, Member};
use rusqlite::params;
use vna_dicom::Level;

/// The live instances of a live resource, series by series, in the order of their index and of arrival.
pub(crate) fn members(
    snapshot: &Snapshot<'_>,
    level: Level,
    id: i64,
) -> Result<Vec<Member>, IndexError> {
    const DOING: &str = "listing the instances of a resource";
    let own = table(level);
    let mut sql = format!(
        "SELECT patient.id, study.id, series.id, instance.id, instance.index_in_series,
                instance.file_size
         FROM (SELECT ?1 AS value) AS chosen CROSS JOIN {own} ON {own}.id = chosen.value"
    );
    let above = Level::ALL.into_iter().rev().filter(|at| *at < level);
    let below = Level::ALL.into_iter().filter(|at| *at > level);
    above.for_each(|at| sql.push_str(join_above(at)));
    below.for_each(|at| sql.push_str(join_below(at)));
    sql.push_str(
        " WHERE patient.state = 0 AND study.state = 0 AND series.state = 0 AND instance.state = 0
          ORDER BY study.id, series.id, instance.index_in_series, instance.id",
    );
    snapshot
        .connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_map(params![id], |row| {
                    Ok(Member {
                        patient: row.get(0)?,
                        study: row.get(1)?,
                        series: row.get(2)?,
                        instance: row.get(3)?,
                        index: row.get(4)?,
                        file_size: row.get::<_, i64>(5)?.unsigned(),
                    })
                })?
                .collect()
        })
        .doing(DOING)
}

/// Where the bytes of instances are, of those that still have a row.
pub(crate) fn locate_members(
    snapshot: &Snapshot<'_>,
    instances: &[i64],
) -> Result<Vec<(i64, Located)>, IndexError> {
    let sql = located_sql(
        "(SELECT value AS id FROM rarray(?1)) AS chosen",
        ", chosen.id",
    );
    snapshot
        .connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_map(params![array(instances)], |row| {
                    Ok((row.get(LOCATED_COLUMNS)?, located(row)?))
                })?
                .collect()
        })
        .doing("locating the instances of an archive")
}
