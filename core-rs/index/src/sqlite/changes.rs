//! The change feed.
//!
//! A change's `seq` follows from the log position of its cause (`writer::first_seq`), so it grows with the order of
//! commits, has holes, and is the same after any replay. A row counts while its resource is live.

use super::answers::{BLOB_COLUMNS, blob};
use super::delete::release;
use super::read::Snapshot;
use super::resource;
use super::writer::Transaction;
use crate::error::Doing;
use crate::json::Json;
use crate::{BlobRow, ChangeType, ChangesRequest, FreedBlob, IndexError, time};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::collections::HashMap;
use vna_dicom::{Level, PublicId};

/// Rows removed at a time.
const FORGET_ROWS: i64 = 2_000;

struct Change {
    seq: i64,
    change: ChangeType,
    level: Level,
    public_id: PublicId,
    at_us: i64,
}

pub(crate) fn json(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    request: &ChangesRequest,
) -> Result<Vec<u8>, IndexError> {
    // Without a lower end, an upper end means "the newest up to it".
    let backwards = request.last || (request.to.is_some() && request.since.is_none());
    let limit = if request.last {
        1
    } else {
        usize::try_from(request.limit).unwrap_or(usize::MAX)
    };
    let (mut changes, mut done) = collect(snapshot, tenant, request, backwards, limit)?;
    if request.last {
        done = true;
    }
    if backwards {
        changes.reverse();
    }
    let mut json = Json::new();
    json.open(b'{');
    json.name("Changes").open(b'[');
    let mut date = (i64::MIN, String::new());
    for change in &changes {
        json.open(b'{');
        json.name("ChangeType").text(change.change.as_str());
        let second = change.at_us.div_euclid(1_000_000);
        if date.0 != second {
            date = (second, String::with_capacity(15));
            time::write_compact(change.at_us, &mut date.1);
        }
        json.name("Date").text(&date.1);
        json.name("ID").id(&change.public_id);
        json.name("Path")
            .path(change.level.plural(), &change.public_id);
        json.name("ResourceType").text(change.level.as_str());
        json.name("Seq").number(change.seq);
        json.close(b'}');
    }
    json.close(b']');
    json.name("Done").bool(done);
    match (changes.first(), changes.last()) {
        (Some(first), Some(last)) => {
            json.name("First").number(first.seq);
            json.name("Last").number(last.seq);
        }
        _ => json.name("Last").number(last_seq(snapshot, tenant)?),
    }
    json.close(b'}');
    Ok(json.finish())
}

/// The last number that was given out, whether its resource is still there or not.
fn last_seq(snapshot: &Snapshot<'_>, tenant: i64) -> Result<i64, IndexError> {
    let last: Option<i64> = snapshot
        .connection
        .prepare_cached("SELECT last_seq FROM tenant WHERE id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row(params![tenant], |row| row.get(0))
                .optional()
        })
        .doing("reading the last change number")?;
    Ok(last.unwrap_or(0))
}

/// The last number that was cleared.
fn cleared_seq(snapshot: &Snapshot<'_>, tenant: i64) -> Result<i64, IndexError> {
    let cleared: Option<i64> = snapshot
        .connection
        .prepare_cached("SELECT cleared_seq FROM tenant WHERE id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row(params![tenant], |row| row.get(0))
                .optional()
        })
        .doing("reading which changes were cleared")?;
    Ok(cleared.filter(|seq| *seq > 0).unwrap_or(i64::MIN))
}

/// Clears the feed of a tenant: its numbers go on behind the last.
pub(crate) fn clear(transaction: &mut Transaction<'_>, tenant: i64) -> Result<(), IndexError> {
    // So that the change is one of pages too; see `Writer::sync`.
    transaction.meta.syncs = transaction.meta.syncs.wrapping_add(1);
    transaction
        .connection
        .execute(
            "UPDATE tenant SET cleared_seq = last_seq WHERE id = ?1",
            params![tenant],
        )
        .doing("clearing the changes")?;
    Ok(())
}

/// Removes rows that were cleared; whether there may be more.
pub(crate) fn forget_cleared(
    transaction: &mut Transaction<'_>,
    freed: &mut Vec<FreedBlob>,
) -> Result<bool, IndexError> {
    const DOING: &str = "removing cleared changes";
    let connection = transaction.connection;
    let cleared: Option<(i64, i64)> = connection
        .prepare_cached("SELECT id, cleared_seq FROM tenant WHERE cleared_seq > 0 LIMIT 1")
        .and_then(|mut statement| {
            statement
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .doing(DOING)?;
    let Some((tenant, seq)) = cleared else {
        return Ok(false);
    };
    let removed = connection
        .prepare_cached(
            "DELETE FROM change WHERE seq IN (
                 SELECT seq FROM change WHERE seq <= ?2 AND tenant = ?1 ORDER BY seq LIMIT ?3) RETURNING blob",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![tenant, seq, FORGET_ROWS], |row| row.get(0))?
                .collect::<Result<Vec<Option<i64>>, _>>()
        })
        .doing(DOING)?;
    for blob in removed.iter().flatten() {
        release(connection, *blob, freed)?;
    }
    if removed.is_empty() {
        connection
            .prepare_cached("UPDATE tenant SET cleared_seq = 0 WHERE id = ?1")
            .and_then(|mut statement| statement.execute(params![tenant]))
            .doing(DOING)?;
    }
    Ok(true)
}

/// Up to `limit` changes, and whether there are no more.
fn collect(
    snapshot: &Snapshot<'_>,
    tenant: i64,
    request: &ChangesRequest,
    backwards: bool,
    limit: usize,
) -> Result<(Vec<Change>, bool), IndexError> {
    const DOING: &str = "reading changes";
    // Most changes are of instances: these are looked up by the statement itself.
    let mut sql = String::from(
        "SELECT seq, type, level, resource, at_us, instance.public_id, instance.series
         FROM change LEFT JOIN instance ON level = 3 AND instance.id = resource AND instance.state = 0
         WHERE change.tenant = ? AND seq > ? AND seq <= ?",
    );
    let (since, to) = if request.last {
        (i64::MIN, i64::MAX)
    } else {
        (
            request.since.unwrap_or(i64::MIN),
            request.to.unwrap_or(i64::MAX),
        )
    };
    let since = since.max(cleared_seq(snapshot, tenant)?);
    let mut values = vec![Value::from(tenant), Value::from(since), Value::from(to)];
    if !request.types.is_empty() {
        // Known to be of the partial index, so that SQLite may use it.
        if !request.types.contains(&ChangeType::NewInstance) {
            sql.push_str(" AND type > 0");
        }
        sql.push_str(" AND type IN (");
        for (i, change) in request.types.iter().enumerate() {
            sql.push_str(if i == 0 { "?" } else { ", ?" });
            values.push(Value::from(change.number()));
        }
        sql.push(')');
    }
    sql.push_str(if backwards {
        " ORDER BY seq DESC"
    } else {
        " ORDER BY seq"
    });
    let mut statement = snapshot.connection.prepare_cached(&sql).doing(DOING)?;
    let mut rows = statement.query(params_from_iter(values)).doing(DOING)?;
    let mut live = Live {
        connection: snapshot.connection,
        parents: HashMap::new(),
    };
    let mut changes = Vec::new();
    while let Some(row) = rows.next().doing(DOING)? {
        let level: i64 = row.get(2).doing(DOING)?;
        let level = usize::try_from(level)
            .ok()
            .and_then(|at| Level::ALL.get(at).copied())
            .ok_or_else(|| IndexError::BadRow {
                table: "change",
                column: "level",
                found: level.to_string(),
            })?;
        let public_id = match level {
            Level::Instance => match row.get(6).doing(DOING)? {
                Some(series) => live
                    .public_id(Level::Series, series)?
                    .map(|_| resource::public_id(row, 5))
                    .transpose()?,
                None => None,
            },
            level => live.public_id(level, row.get(3).doing(DOING)?)?,
        };
        let Some(public_id) = public_id else {
            continue; // deleted
        };
        if changes.len() >= limit {
            return Ok((changes, false));
        }
        changes.push(Change {
            seq: row.get(0).doing(DOING)?,
            change: ChangeType::from_number(row.get(1).doing(DOING)?)?,
            level,
            public_id,
            at_us: row.get(4).doing(DOING)?,
        });
    }
    Ok((changes, true))
}

/// Whether there is an event whose record `is_wanted` names.
pub(crate) fn has_told(
    snapshot: &Snapshot<'_>,
    is_wanted: &dyn Fn(&BlobRow) -> bool,
) -> Result<bool, IndexError> {
    const DOING: &str = "looking for the events of blobs";
    let mut statement = snapshot
        .connection
        .prepare(&format!(
            "SELECT {BLOB_COLUMNS} FROM change JOIN blob ON blob.id = change.blob WHERE change.blob IS NOT NULL"
        ))
        .doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        if is_wanted(&blob(row).doing(DOING)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks for patients, studies and series that are live, and remembers them: most changes of a page are of instances of
/// the same few series.
struct Live<'a> {
    connection: &'a Connection,
    parents: HashMap<(Level, i64), Option<PublicId>>,
}

impl Live<'_> {
    /// The public id of a resource; `None` if it, or one that it is in, is not live.
    fn public_id(&mut self, level: Level, id: i64) -> Result<Option<PublicId>, IndexError> {
        if let Some(known) = self.parents.get(&(level, id)) {
            return Ok(*known);
        }
        let (sql, above) = match level {
            Level::Patient => (
                "SELECT public_id, 0 FROM patient WHERE id = ?1 AND state = 0",
                None,
            ),
            Level::Study => (
                "SELECT public_id, patient FROM study WHERE id = ?1 AND state = 0",
                Some(Level::Patient),
            ),
            Level::Series | Level::Instance => (
                "SELECT public_id, study FROM series WHERE id = ?1 AND state = 0",
                Some(Level::Study),
            ),
        };
        let row: Option<(PublicId, i64)> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement
                    .query_row(params![id], |row| Ok((PublicId(row.get(0)?), row.get(1)?)))
                    .optional()
            })
            .doing("reading the resource of a change")?;
        let found = match (row, above) {
            (Some((public_id, parent)), Some(above)) => {
                self.public_id(above, parent)?.map(|_| public_id)
            }
            (row, _) => row.map(|(public_id, _)| public_id),
        };
        if level != Level::Instance {
            self.parents.insert((level, id), found);
        }
        Ok(found)
    }
}
