//! Values of tags that an operator wants to be indexed beside those of the levels ([`vna_dicom::extra_tags`]).
//!
//! 1. What arrives brings them. What was there before, or was being read when the list changed, is read again in the
//!    background: `extra_tag` has how far that is.
//! 2. Until a tag is complete, queries compare it with stored headers; from then on with the rows here. There is one list
//!    of complete tags a process, as there is one of wanted ones.
//! 3. Folded texts are candidates only: each value is compared.

use super::read::Snapshot;
use super::source::table;
use super::writer::Transaction;
use crate::error::Doing;
use crate::normal::fold;
use crate::{ExtraTag, IndexError, Unfilled};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use vna_dicom::{Instance, Level, Tag, extra_generation, extra_tags};

/// Bytes of a folded text; a longer value is always a candidate.
const MAX_SEARCH_BYTES: usize = 128;

/// Values of tags that are wanted no more, removed at a time.
const FORGET_ROWS: i64 = 2_000;

const DOING: &str = "keeping extra tags";

static ANY_COMPLETE: AtomicBool = AtomicBool::new(false);
static COMPLETE: RwLock<Vec<(Level, Tag)>> = RwLock::new(Vec::new());

/// Whether rows of `level` have all values of an extra tag: (2).
pub(crate) fn is_complete(level: Level, tag: Tag) -> bool {
    ANY_COMPLETE.load(Ordering::Acquire)
        && COMPLETE
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&(level, tag))
}

fn set_complete(all: Vec<(Level, Tag)>) {
    let mut complete = COMPLETE.write().unwrap_or_else(PoisonError::into_inner);
    ANY_COMPLETE.store(!all.is_empty(), Ordering::Release);
    *complete = all;
}

/// The levels whose extra tags the rows of a level keep.
const fn kept_by(level: Level) -> &'static [Level] {
    match level {
        Level::Patient => &[Level::Patient],
        Level::Study => &[Level::Patient, Level::Study],
        Level::Series => &[Level::Series],
        Level::Instance => &[Level::Instance],
    }
}

/// The extra tags that rows of a level keep.
fn wanted(level: Level) -> impl Iterator<Item = Tag> {
    let levels = kept_by(level).iter();
    levels.flat_map(|of| extra_tags(*of).iter().copied())
}

/// What is written of a row.
pub(crate) fn keep(
    connection: &Connection,
    level: Level,
    resource: i64,
    instance: &Instance,
) -> Result<(), IndexError> {
    for tag in wanted(level) {
        match instance.tag(tag).filter(|value| !value.is_empty()) {
            Some(value) => connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO extra_value (resource, tag, value, search) VALUES (?1, ?2, ?3, ?4)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![resource, tag.to_u32(), value, search(value)])
                })
                .doing(DOING)?,
            None => connection
                .prepare_cached("DELETE FROM extra_value WHERE resource = ?1 AND tag = ?2")
                .and_then(|mut statement| statement.execute(params![resource, tag.to_u32()]))
                .doing(DOING)?,
        };
    }
    Ok(())
}

/// The folded text of a value of one part.
fn search(value: &str) -> String {
    if value.contains(['\\', '=']) {
        return String::new();
    }
    let folded = fold(value.trim());
    if folded.len() > MAX_SEARCH_BYTES {
        return String::new();
    }
    folded
}

/// The values of a resource go with it.
pub(crate) fn forget(connection: &Connection, resource: i64) -> Result<(), IndexError> {
    connection
        .prepare_cached("DELETE FROM extra_value WHERE resource = ?1")
        .and_then(|mut statement| statement.execute(params![resource]))
        .doing(DOING)?;
    Ok(())
}

impl Transaction<'_> {
    /// An arrival whose head was read with another list of extra tags than the one in force: its rows are to be read
    /// again.
    pub(crate) fn note_extra_generation(&mut self, instance: &Instance) -> Result<(), IndexError> {
        if instance.extra_generation == extra_generation() {
            return Ok(());
        }
        let to = self.meta.next_id - 1;
        self.connection
            .execute("UPDATE extra_tag SET due_to = ?1", params![to])
            .doing(DOING)?;
        tell_complete(self.connection)
    }
}

/// Brings the table to the tags that are wanted: all resources are to be read again for new ones.
pub(crate) fn adopt(connection: &Connection, last_id: i64) -> Result<(), IndexError> {
    let known = states(connection)?;
    let is_wanted = |state: &State| wanted(state.level).any(|tag| tag == state.tag);
    for state in known.iter().filter(|state| !is_wanted(state)) {
        connection
            .execute(
                "DELETE FROM extra_tag WHERE level = ?1 AND tag = ?2",
                params![state.level as i64, state.tag.to_u32()],
            )
            .doing(DOING)?;
    }
    for level in Level::ALL {
        for tag in wanted(level) {
            connection
                .execute(
                    "INSERT OR IGNORE INTO extra_tag (level, tag, filled_to, due_to) VALUES (?1, ?2, 0, ?3)",
                    params![level as i64, tag.to_u32(), last_id],
                )
                .doing(DOING)?;
        }
    }
    tell_complete(connection)
}

/// How far a tag is for the rows of a level.
struct State {
    level: Level,
    tag: Tag,
    filled_to: i64,
    due_to: i64,
}

fn states(connection: &Connection) -> Result<Vec<State>, IndexError> {
    connection
        .prepare("SELECT level, tag, filled_to, due_to FROM extra_tag ORDER BY level, tag")
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    let level: usize = row.get(0)?;
                    Ok(State {
                        level: Level::ALL.get(level).copied().unwrap_or(Level::Instance),
                        tag: Tag::from_u32(row.get(1)?),
                        filled_to: row.get(2)?,
                        due_to: row.get(3)?,
                    })
                })?
                .collect()
        })
        .doing(DOING)
}

fn tell_complete(connection: &Connection) -> Result<(), IndexError> {
    let complete = |state: &State| state.filled_to >= state.due_to;
    let states = states(connection)?;
    set_complete(
        states
            .into_iter()
            .filter(complete)
            .map(|state| (state.level, state.tag))
            .collect(),
    );
    Ok(())
}

/// How far each extra tag is.
pub(crate) fn progress(snapshot: &Snapshot<'_>) -> Result<Vec<ExtraTag>, IndexError> {
    let mut all: Vec<ExtraTag> = Vec::new();
    for state in states(snapshot.connection)? {
        let levels = Level::ALL.into_iter();
        let own = levels
            .filter(|of| kept_by(state.level).contains(of))
            .find(|of| extra_tags(*of).contains(&state.tag));
        let Some(level) = own else { continue };
        // Ids of all levels are one sequence, so that they say how much of it is done.
        let due = u64::try_from(state.due_to.max(0)).unwrap_or(0);
        let filled = u64::try_from(state.filled_to.min(state.due_to).max(0)).unwrap_or(0);
        match all
            .iter_mut()
            .find(|known| (known.level, known.tag) == (level, state.tag))
        {
            Some(known) => {
                known.due += due;
                known.filled += filled;
            }
            None => all.push(ExtraTag {
                level,
                tag: state.tag,
                filled,
                due,
            }),
        }
    }
    Ok(all)
}

/// The next resources that are to be read again, at most `count`.
pub(crate) fn unfilled(
    snapshot: &Snapshot<'_>,
    count: usize,
) -> Result<Option<Unfilled>, IndexError> {
    let states = states(snapshot.connection)?;
    let Some(level) = states
        .iter()
        .find(|state| state.filled_to < state.due_to)
        .map(|state| state.level)
    else {
        return Ok(None);
    };
    let open = states
        .iter()
        .filter(|state| state.level == level && state.filled_to < state.due_to);
    let from = open.clone().map(|state| state.filled_to).min().unwrap_or(0);
    let due = open.map(|state| state.due_to).max().unwrap_or(0);
    let limit = i64::try_from(count).unwrap_or(i64::MAX);
    let ids: Vec<i64> = snapshot
        .connection
        .prepare_cached(&format!(
            "SELECT id FROM {} WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
            table(level)
        ))
        .and_then(|mut statement| {
            statement
                .query_map(params![from, due, limit], |row| row.get(0))?
                .collect()
        })
        .doing(DOING)?;
    let to = match ids.last() {
        Some(last) if ids.len() == count => *last,
        _ => due,
    };
    Ok(Some(Unfilled {
        level,
        ids,
        from,
        to,
    }))
}

/// Takes what was read again of rows of a level up to `to`.
pub(crate) fn fill(
    transaction: &mut Transaction<'_>,
    unfilled: &Unfilled,
    read: &[(i64, Instance)],
) -> Result<(), IndexError> {
    let Unfilled {
        level, from, to, ..
    } = unfilled;
    let exists = format!("SELECT 1 FROM {} WHERE id = ?1", table(*level));
    for (id, instance) in read {
        let is_there = transaction
            .connection
            .prepare_cached(&exists)
            .and_then(|mut statement| statement.exists(params![id]))
            .doing(DOING)?;
        // Heads that were read with an older list are read once more.
        if is_there && instance.extra_generation == extra_generation() {
            keep(transaction.connection, *level, *id, instance)?;
        }
    }
    if read
        .iter()
        .all(|(_, instance)| instance.extra_generation == extra_generation())
    {
        // A tag that is wanted since these were looked for begins before them.
        transaction
            .connection
            .execute(
                "UPDATE extra_tag SET filled_to = max(filled_to, ?2) WHERE level = ?1 AND filled_to >= ?3",
                params![*level as i64, to, from],
            )
            .doing(DOING)?;
    }
    Ok(())
}

/// Removes values of tags that are wanted no more; whether there may be more. Where there are none it costs a look-up for
/// each tag, however many values there are: it is part of all housekeeping.
pub(crate) fn forget_unwanted(transaction: &mut Transaction<'_>) -> Result<bool, IndexError> {
    let connection = transaction.connection;
    let unwanted: Option<u32> = connection
        .prepare_cached(
            "WITH RECURSIVE held (tag) AS (
                 SELECT min(tag) FROM extra_value
                 UNION ALL SELECT (SELECT min(tag) FROM extra_value WHERE tag > held.tag) FROM held
                 WHERE held.tag IS NOT NULL)
             SELECT tag FROM held WHERE tag IS NOT NULL AND tag NOT IN (SELECT tag FROM extra_tag) LIMIT 1",
        )
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .doing(DOING)?;
    let Some(tag) = unwanted else {
        return Ok(false);
    };
    connection
        .prepare_cached(
            "DELETE FROM extra_value WHERE (resource, tag) IN (
                 SELECT resource, tag FROM extra_value WHERE tag = ?1 LIMIT ?2)",
        )
        .and_then(|mut statement| statement.execute(params![tag, FORGET_ROWS]))
        .doing(DOING)?;
    Ok(true)
}

/// What a committed transaction made complete.
pub(crate) fn committed(connection: &Connection) -> Result<(), IndexError> {
    tell_complete(connection)
}
