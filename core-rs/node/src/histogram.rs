//! How long things take, counted without locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the classes, in microseconds; what takes longer is in one more.
pub const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 10_000_000,
];

/// Durations, by class.
#[derive(Debug, Default)]
pub struct Histogram {
    classes: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_US.partition_point(|bound| *bound < us);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Those up to each of the bounds and all, and the sum of all in microseconds.
    pub fn snapshot(&self) -> ([u64; BOUNDS_US.len() + 1], u64) {
        let mut all = 0;
        let counts = std::array::from_fn(|class| {
            all += self.classes[class].load(Ordering::Relaxed);
            all
        });
        (counts, self.sum_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_class_that_it_fits() {
        let histogram = Histogram::default();
        for us in [100, 101, 3_000_000, u64::MAX / 1_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        histogram.record(Duration::from_secs(3_600));
        let (counts, sum_us) = histogram.snapshot();
        assert_eq!((counts[0], counts[1]), (1, 2));
        assert_eq!(counts[BOUNDS_US.len() - 1], 3);
        assert_eq!(counts[BOUNDS_US.len()], 5, "the last class has all");
        assert!(sum_us >= 3_603_000_201);
    }
}
