//! The timers of an association.

use super::policy::Policy;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Longest time between two looks at the clock. Timeouts are late by this much at most.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// The timers of an association. One sleep that comes round again and again looks at all of them, so that no timer
/// is touched while data flows.
pub(super) struct Clock {
    pub tick: Pin<Box<Sleep>>,
    pub tick_length: Duration,
    /// When ARTIM runs out, if it runs.
    pub artim: Option<Instant>,
    /// When the last message was complete.
    pub quiet_since: Instant,
    /// Since when, and from which byte on, the present message must make progress.
    pub progress_from: Option<(Instant, u64)>,
    /// Bytes received at the last tick.
    pub received_at_tick: u64,
}

impl Clock {
    pub fn new(policy: &Policy) -> Clock {
        let shortest = policy
            .artim_timeout
            .min(policy.idle_timeout)
            .min(policy.message_timeout);
        let tick_length = (shortest / 4).clamp(Duration::from_millis(5), LONGEST_TICK);
        Clock {
            tick: Box::pin(sleep(tick_length)),
            tick_length,
            artim: None,
            quiet_since: Instant::now(),
            progress_from: None,
            received_at_tick: 0,
        }
    }

    /// A message is complete.
    pub fn message_done(&mut self) {
        self.quiet_since = Instant::now();
        self.progress_from = None;
    }
}
