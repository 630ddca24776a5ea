//! Memory that was freed and that the allocator keeps: it has a heap for every few threads, and what one of them needed
//! for a picture is not there for the next. Left alone, a server that shows pictures all day holds hundreds of MB.

use std::time::{Duration, Instant};

use vna_codec::{give_back_free_memory, hold_little_free_memory, memory_in_use};

/// How often to look: giving back costs some milliseconds, in which allocations wait.
const PERIOD: Duration = Duration::from_secs(10);

/// How often, at the least, if nothing came of it: what is held is in use then.
const LONGEST_PERIOD: Duration = Duration::from_secs(80);

/// Less is not worth it: the next request would have it mapped again.
const WORTH_BYTES: u64 = 32 << 20;

/// Gives it back to the system when there may be much of it.
pub(super) struct FreeMemory {
    period: Duration,
    due: Instant,
    /// The least that was ever held.
    needed_bytes: u64,
}

impl FreeMemory {
    /// From now on the allocator of this process holds little that is free.
    pub fn new(now: Instant) -> Self {
        hold_little_free_memory();
        FreeMemory {
            period: PERIOD,
            due: now + PERIOD,
            needed_bytes: held_bytes(),
        }
    }

    /// Gives back what is free if more is held than was needed once.
    pub fn give_back(&mut self, now: Instant) {
        if now < self.due {
            return;
        }
        let held = held_bytes();
        // Beside the least, not beside what was held after the last time: much of that may have been in use.
        let may_be_free = held >= self.needed_bytes + WORTH_BYTES;
        if may_be_free {
            give_back_free_memory();
        }
        let left = held_bytes();
        self.period = period_after(self.period, may_be_free, held.saturating_sub(left));
        self.needed_bytes = self.needed_bytes.min(left);
        self.due = now + self.period;
    }
}

/// When to look again after a look that gave back `given_bytes`, if it tried.
fn period_after(period: Duration, has_tried: bool, given_bytes: u64) -> Duration {
    match has_tried && given_bytes < WORTH_BYTES / 4 {
        true => (period * 2).min(LONGEST_PERIOD),
        false => PERIOD,
    }
}

/// What this process holds; nothing where the system does not say it.
fn held_bytes() -> u64 {
    memory_in_use().map_or(0, |in_use| in_use.resident_bytes)
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::process::Command;

    const USED_BYTES: usize = 48 << 20;

    fn written(pieces: usize, bytes: usize) -> Vec<Vec<u8>> {
        black_box((0..pieces).map(|_| vec![7; bytes]).collect())
    }

    /// Runs `work` on a thread, as requests are, and returns what is held after it.
    fn held_after(work: impl FnOnce() + Send) -> usize {
        std::thread::scope(|scope| scope.spawn(work).join().unwrap());
        usize::try_from(held_bytes()).unwrap()
    }

    #[test]
    fn what_is_in_use_is_asked_for_less_and_less_often() {
        let mut period = PERIOD;
        let mut next = |has_tried, given_bytes| {
            period = period_after(period, has_tried, given_bytes);
            period.as_secs()
        };
        assert_eq!([(); 4].map(|()| next(true, 0)), [20, 40, 80, 80]);
        assert_eq!(next(true, WORTH_BYTES), 10);
        assert_eq!(next(true, 0), 20);
        assert_eq!(next(false, 0), 10);
    }

    /// In a process of its own: what other tests allocate and free would count too.
    #[test]
    fn freed_memory_is_given_back() {
        let alone = "housekeeping::memory::tests::freed_memory_is_given_back_by_a_process_alone";
        let test = std::env::current_exe().unwrap();
        let words = ["--exact", alone, "--ignored", "--nocapture"];
        let done = Command::new(test).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "run by freed_memory_is_given_back"]
    fn freed_memory_is_given_back_by_a_process_alone() {
        let start = Instant::now();
        let mut memory = FreeMemory::new(start);
        let before = held_after(|| ());
        let held = held_after(|| {
            // From it glibc learns that it may keep as much, if it is left to learn.
            drop(written(1, 30 << 20));
            drop(written(USED_BYTES >> 20, 1 << 20));
        });
        assert!(held < before + USED_BYTES / 4, "{held} after {before}");

        // Something stays behind each piece, so that no end of a heap becomes free.
        let mut kept = Vec::new();
        let held = held_after(|| {
            let mut pieces = Vec::new();
            for _ in 0..USED_BYTES >> 16 {
                pieces.extend(written(1, 1 << 16));
                kept.extend(written(1, 100));
            }
        });
        assert!(held > before + USED_BYTES / 2, "{held} after {before}");
        memory.give_back(start + PERIOD / 2);
        assert!(held_after(|| ()) > before + USED_BYTES / 2);
        memory.give_back(start + PERIOD);
        let left = held_after(|| ());
        assert!(left < before + USED_BYTES / 4, "{left} after {before}");
        assert_eq!(kept.len(), USED_BYTES >> 16);
    }
}
