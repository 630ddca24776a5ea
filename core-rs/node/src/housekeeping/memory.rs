//! Memory that was freed and that the allocator keeps: it has a heap for every few threads, and what one of them needed
//! for a picture is not there for the next. Left alone, a server that shows pictures all day holds hundreds of MB.

use std::time::{Duration, Instant};

use vna_codec::{give_back_free_memory, memory_in_use};

/// How often to look: giving back costs some milliseconds, in which allocations wait.
const PERIOD: Duration = Duration::from_secs(10);

/// Less is not worth it: the next request would have it mapped again.
const WORTH_BYTES: u64 = 32 << 20;

/// Gives it back to the system when there may be much of it.
pub(super) struct FreeMemory {
    due: Instant,
    /// What is needed: the least that was held since it was last given back.
    needed_bytes: u64,
}

impl FreeMemory {
    pub fn new() -> Self {
        FreeMemory {
            due: Instant::now() + PERIOD,
            needed_bytes: 0,
        }
    }

    /// Gives back what is free if more is held than was needed.
    pub fn give_back(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + PERIOD;
        let held_bytes = || memory_in_use().map_or(0, |in_use| in_use.resident_bytes);
        let held = held_bytes();
        if held < self.needed_bytes + WORTH_BYTES {
            self.needed_bytes = self.needed_bytes.min(held);
            return;
        }
        give_back_free_memory();
        self.needed_bytes = held_bytes();
    }
}
