//! Work that was put off.

use super::writer::Transaction;
use super::{changes, delete, extra, terms};
use crate::{IndexError, Maintenance};
use std::time::{Duration, Instant};

/// A slice of work, so that ingest never waits long behind it.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// The share of each ingest transaction in the work that was put off.
pub(crate) fn keep_up(transaction: &mut Transaction<'_>) -> Result<(), IndexError> {
    terms::keep_up(transaction)
}

/// One slice: deleted rows first, they hold bytes that the disk may need; then texts to search by.
pub(crate) fn slice(
    transaction: &mut Transaction<'_>,
    deadline: Instant,
    now_us: i64,
) -> Result<Maintenance, IndexError> {
    let mut done = Maintenance::default();
    done.more = delete::purge(transaction, deadline, now_us, &mut done.freed)?;
    while !done.more {
        match terms::step(transaction)? {
            terms::Step::Done => {
                done.more = extra::forget_unwanted(transaction)?
                    || changes::forget_cleared(transaction, &mut done.freed)?;
                return Ok(done);
            }
            terms::Step::Again => done.more = Instant::now() >= deadline,
            terms::Step::Commit => done.more = true,
        }
    }
    Ok(done)
}
