//! Memory for the pictures that are being made, all requests together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::PictureProblem;
use crate::error::ArchiveError;

/// Bytes that one permit stands for: a semaphore of Tokio lends fewer than 2^32 of them at once.
const UNIT_BYTES: u64 = 4 << 10;

/// How long a request waits for the others to give back what they hold.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A budget of bytes. Who wants much waits until it is there, and those behind him wait too, so that he gets it.
pub(crate) struct Room {
    units: Arc<Semaphore>,
    total: u64,
    waits: AtomicU64,
}

/// Bytes lent; dropped, they are free again.
pub(crate) type Lent = OwnedSemaphorePermit;

/// Gives back all but `bytes` of what was lent.
pub(crate) fn keep(lent: &mut Lent, bytes: u64) {
    let units = usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX);
    drop(lent.split(lent.num_permits().saturating_sub(units)));
}

impl Room {
    pub fn new(total: u64) -> Self {
        let units = usize::try_from(total / UNIT_BYTES).unwrap_or(usize::MAX);
        Room {
            units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            total,
            waits: AtomicU64::new(0),
        }
    }

    /// Lends `bytes` if they are free now.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::TooLarge`] if it is more than there is at all.
    pub fn try_lend(&self, bytes: u64) -> Result<Option<Lent>, ArchiveError> {
        let units = self.units(bytes)?;
        Ok(Arc::clone(&self.units).try_acquire_many_owned(units).ok())
    }

    /// Lends `bytes` as soon as they are free.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::TooLarge`], [`PictureProblem::Busy`].
    pub async fn lend(&self, bytes: u64) -> Result<Lent, ArchiveError> {
        let units = self.units(bytes)?;
        self.waits.fetch_add(1, Ordering::Relaxed);
        let lent = Arc::clone(&self.units).acquire_many_owned(units);
        match tokio::time::timeout(MAX_WAIT, lent).await {
            Ok(Ok(lent)) => Ok(lent),
            _ => Err(PictureProblem::Busy.into()),
        }
    }

    fn units(&self, bytes: u64) -> Result<u32, ArchiveError> {
        let too_large = PictureProblem::TooLarge {
            needed: bytes,
            total: self.total,
        };
        u32::try_from(bytes.div_ceil(UNIT_BYTES))
            .ok()
            .filter(|_| bytes <= self.total)
            .ok_or_else(|| too_large.into())
    }

    /// Bytes that there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are lent.
    pub fn used(&self) -> u64 {
        let free = self.units.available_permits() as u64 * UNIT_BYTES;
        self.total.saturating_sub(free)
    }

    /// Times that a request had to wait.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_wants_much_waits_for_it() {
        let room = Room::new(1 << 20);
        let first = room.try_lend(700 << 10).unwrap().unwrap();
        assert_eq!(room.used(), 700 << 10);
        assert!(room.try_lend(700 << 10).unwrap().is_none());
        let second = room.lend(700 << 10);
        tokio::pin!(second);
        let waited = tokio::time::timeout(Duration::from_millis(5), &mut second).await;
        assert!(waited.is_err());
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(room.waits(), 1);
        drop(second);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn what_is_not_needed_any_more_is_given_back() {
        let room = Room::new(1 << 20);
        let mut lent = room.try_lend(1 << 20).unwrap().unwrap();
        keep(&mut lent, 5000);
        assert_eq!(room.used(), 8192);
    }

    #[test]
    fn more_than_there_is_at_all_is_refused() {
        let room = Room::new(1 << 20);
        let refused = room.try_lend((1 << 20) + 1).unwrap_err();
        assert_eq!(refused.code(), "picture.too_large");
    }
}
