//! Where what arrives waits until the archive has it: one buffer, drawn from a byte budget that all share.
//!
//! 1. The buffers that are out never have more bytes together than the budget; those kept for reuse never more than a
//!    quarter of it.
//! 2. A buffer is reused, but only its filled part can be read: no data set sees another one's bytes.
//! 3. Nobody waits for the budget while holding a part of it: a first part is waited for, more is tried for, and who
//!    does not get more hands on what it has. So the budget cannot deadlock.

use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smallest buffer: most objects that are not images fit, and 256 associations with one each take 4 MiB.
pub const SMALLEST_SPOOL_BYTES: usize = 16 << 10;

/// Largest buffer: above it doubling once more would risk taking a large part of any reasonable budget.
pub const LARGEST_SPOOL_BYTES: usize = 256 << 20;

/// The budget is counted in units, so that it fits the semaphore's 32 bits.
const UNIT_BYTES: usize = 4 << 10;

/// The shared byte budget, and the buffers that wait for reuse.
#[derive(Clone)]
pub struct SpoolPool {
    shared: Arc<Shared>,
}

struct Shared {
    permits: Arc<Semaphore>,
    budget_bytes: usize,
    idle: Mutex<Idle>,
    waiting: AtomicUsize,
    waits: AtomicU64,
}

/// Buffers for reuse; each is initialised over its whole length.
#[derive(Default)]
struct Idle {
    /// By the power of two that is their length.
    buffers: Vec<(u32, Vec<Vec<u8>>)>,
    bytes: usize,
}

impl SpoolPool {
    /// A pool of `budget_bytes`, at least [`SMALLEST_SPOOL_BYTES`].
    #[must_use]
    pub fn new(budget_bytes: usize) -> SpoolPool {
        let budget_bytes = budget_bytes.max(SMALLEST_SPOOL_BYTES);
        let units = (budget_bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            permits: Arc::new(Semaphore::new(units)),
            budget_bytes,
            idle: Mutex::default(),
            waiting: AtomicUsize::new(0),
            waits: AtomicU64::new(0),
        };
        SpoolPool {
            shared: Arc::new(shared),
        }
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub fn budget_bytes(&self) -> usize {
        self.shared.budget_bytes
    }

    /// What is out now, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        let free = self.shared.permits.available_permits() * UNIT_BYTES;
        self.shared.budget_bytes.saturating_sub(free)
    }

    /// What waits for reuse, in bytes.
    #[must_use]
    pub fn idle_bytes(&self) -> usize {
        self.shared.idle.lock().bytes
    }

    /// How often an association had to wait for its part.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.shared.waits.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for a part now.
    #[must_use]
    pub fn contended(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }

    /// Gives the buffers that wait for reuse back to the system.
    pub fn trim(&self) {
        *self.shared.idle.lock() = Idle::default();
    }

    /// A spool with room for `bytes`, if then half of the budget is still free: who can do without one leaves that much to
    /// those who cannot.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<Spool> {
        let length = length_for(bytes);
        if length < bytes || self.used_bytes() + length > self.shared.budget_bytes / 2 {
            return None;
        }
        let permits = Arc::clone(&self.shared.permits);
        let permit = permits.try_acquire_many_owned(units(length)).ok()?;
        Some(self.spool(length, Some(permit)))
    }

    /// A spool with room for `bytes` or more, or for as much as the budget has at all. Waits until it is there; the
    /// caller must not hold another spool meanwhile (3).
    pub async fn take(&self, bytes: usize) -> Spool {
        // The largest power of two in the budget, so that every spool can be had.
        let most = (self.shared.budget_bytes + 1).next_power_of_two() / 2;
        let length = length_for(bytes).min(most);
        let units = units(length);
        let permits = Arc::clone(&self.shared.permits);
        let permit = match Arc::clone(&permits).try_acquire_many_owned(units) {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.shared.waits.fetch_add(1, Ordering::Relaxed);
                let _waiting = Waiting::new(&self.shared.waiting);
                // It never closes, so this is a permit.
                permits.acquire_many_owned(units).await.ok()
            }
        };
        self.spool(length, permit)
    }

    fn spool(&self, length: usize, permit: Option<OwnedSemaphorePermit>) -> Spool {
        Spool {
            buffer: self.shared.buffer(length),
            filled: 0,
            prefix: 0,
            permit,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Counts a waiting association, also when its task is ended while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn length_for(bytes: usize) -> usize {
    bytes
        .clamp(SMALLEST_SPOOL_BYTES, LARGEST_SPOOL_BYTES)
        .next_power_of_two()
}

fn units(length: usize) -> u32 {
    u32::try_from(length / UNIT_BYTES).unwrap_or(u32::MAX)
}

impl Shared {
    fn buffer(&self, length: usize) -> Vec<u8> {
        let mut idle = self.idle.lock();
        let class = length.trailing_zeros();
        let kept = idle
            .buffers
            .iter_mut()
            .find(|(of, _)| *of == class)
            .and_then(|(_, buffers)| buffers.pop());
        match kept {
            Some(buffer) => {
                idle.bytes -= buffer.len();
                buffer
            }
            None => {
                drop(idle);
                vec![0; length]
            }
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let length = buffer.len();
        let mut idle = self.idle.lock();
        if !length.is_power_of_two() || idle.bytes + length > self.budget_bytes / 4 {
            return; // (1)
        }
        idle.bytes += length;
        let class = length.trailing_zeros();
        match idle.buffers.iter_mut().find(|(of, _)| *of == class) {
            Some((_, buffers)) => buffers.push(buffer),
            None => idle.buffers.push((class, vec![buffer])),
        }
    }
}

/// A buffer of a [`SpoolPool`], filled from its beginning. Reads as the bytes that were filled in.
///
/// Its part of the budget and its buffer go back when it is dropped.
pub struct Spool {
    /// Initialised over its whole length.
    buffer: Vec<u8>,
    filled: usize,
    prefix: usize,
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Spool {
    /// How many bytes at the beginning came from the sink rather than from the peer.
    #[must_use]
    pub fn prefix_bytes(&self) -> usize {
        self.prefix
    }

    /// The bytes that came from the peer.
    #[must_use]
    pub fn data_set(&self) -> &[u8] {
        &self.buffer[self.prefix..self.filled]
    }

    /// Makes what was filled so far the prefix.
    pub(super) fn end_prefix(&mut self) {
        self.prefix = self.filled;
    }

    /// Room behind what is filled. Its bytes are whatever was there before.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// The first `count` bytes of the room were written.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled = self.buffer.len().min(self.filled + count);
    }

    /// Appends as much of `bytes` as there is room for, and returns how much that was.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.fill(count);
        count
    }

    /// Doubles the buffer, up to `most` bytes, if the budget has as much now (3).
    pub(super) fn try_grow(&mut self, most: usize) -> bool {
        let (old, new) = (self.buffer.len(), self.buffer.len() * 2);
        if new > most.min(LARGEST_SPOOL_BYTES) {
            return false;
        }
        let Ok(more) = Arc::clone(&self.shared.permits).try_acquire_many_owned(units(new - old))
        else {
            return false;
        };
        let mut buffer = self.shared.buffer(new);
        buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        self.shared
            .give_back(std::mem::replace(&mut self.buffer, buffer));
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        true
    }

    /// The buffer for good, with what was filled; its part of the budget is free again, and it is not reused.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.truncate(self.filled);
        buffer
    }
}

impl Deref for Spool {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.filled] // (2)
    }
}

impl AsRef<[u8]> for Spool {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for SpoolPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (used, budget) = (self.used_bytes(), self.budget_bytes());
        write!(f, "SpoolPool({used} of {budget} bytes)")
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({} bytes)", self.filled)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.shared.give_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    /// The spool, if it is there without waiting.
    fn take_now(pool: &SpoolPool, bytes: usize) -> Option<Spool> {
        let mut take = Box::pin(pool.take(bytes));
        match take.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(spool) => Some(spool),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back() {
        let pool = SpoolPool::new(64 << 10);
        let spools: Vec<_> = std::iter::from_fn(|| take_now(&pool, 1)).take(10).collect();
        assert_eq!(spools.len(), 4);
        assert_eq!(pool.used_bytes(), 64 << 10);
        assert_eq!(pool.waits(), 1);
        assert!(!pool.contended(), "who gave up waiting does not count");
        drop(spools);
        assert_eq!(pool.used_bytes(), 0);
        assert_eq!(pool.idle_bytes(), 16 << 10, "a quarter is kept");
        pool.trim();
        assert_eq!(pool.idle_bytes(), 0);
    }

    #[test]
    fn who_does_not_wait_leaves_half_of_the_budget_to_those_who_do() {
        let pool = SpoolPool::new(64 << 10);
        let spool = pool.try_take(20 << 10).unwrap();
        assert_eq!(spool.buffer.len(), 32 << 10);
        assert!(pool.try_take(1).is_none());
        assert!(take_now(&pool, 32 << 10).is_some());
        drop(spool);
        assert!(pool.try_take(LARGEST_SPOOL_BYTES + 1).is_none());
        assert_eq!((pool.used_bytes(), pool.waits()), (0, 0));
    }

    #[test]
    fn a_spool_larger_than_the_budget_gets_what_there_is() {
        let pool = SpoolPool::new(100 << 10);
        assert_eq!(take_now(&pool, 1 << 20).unwrap().room().len(), 64 << 10);
        let pool = SpoolPool::new(128 << 10);
        assert_eq!(take_now(&pool, 1 << 20).unwrap().room().len(), 128 << 10);
    }

    #[test]
    fn growing_keeps_the_bytes_and_stops_at_the_budget() {
        let pool = SpoolPool::new(64 << 10);
        let mut spool = take_now(&pool, 1).unwrap();
        assert_eq!(spool.append(b"meta"), 4);
        spool.end_prefix();
        assert_eq!(spool.append(&vec![7; 20 << 10]), (16 << 10) - 4);
        assert!(
            !spool.try_grow(16 << 10),
            "not above the bound that is asked for"
        );
        assert!(spool.try_grow(1 << 20));
        assert_eq!(spool.append(&[8; 100]), 100);
        assert_eq!(&spool[..4], b"meta");
        assert_eq!(spool.data_set().len(), (16 << 10) - 4 + 100);
        assert_eq!(pool.used_bytes(), 32 << 10);
        assert!(spool.try_grow(1 << 20));
        assert!(!spool.try_grow(1 << 20), "the budget is used up");
        assert_eq!(spool.into_vec().len(), (16 << 10) + 100);
        assert_eq!(pool.used_bytes(), 0);
    }

    #[test]
    fn a_reused_buffer_shows_nothing_of_its_past() {
        let pool = SpoolPool::new(1 << 20);
        let mut spool = take_now(&pool, 1).unwrap();
        spool.append(b"a name that nobody else may read");
        drop(spool);
        let mut spool = take_now(&pool, 1).unwrap();
        assert_eq!(pool.idle_bytes(), 0, "it is the same buffer");
        assert!(spool.is_empty() && spool.data_set().is_empty());
        spool.append(b"x");
        assert_eq!(&spool[..], b"x");
    }
}
