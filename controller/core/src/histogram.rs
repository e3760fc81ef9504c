//! Durations counted by size, for whoever watches over a server.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds, in milliseconds: from a write to a disk up to half an hour in a queue.
const BOUNDS: [u64; 16] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000, 300_000, 1_800_000];

/// How many durations there were of each size, and their sum. Shared by whoever measures and whoever shows it.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn add(&self, duration: Duration) {
        let size = BOUNDS.partition_point(|bound| Duration::from_millis(*bound) < duration);
        self.counts[size].fetch_add(1, Relaxed);
        self.micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// For each upper bound in seconds, how many were not longer; the last bound is infinite, so its count is that of all.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1000.0).chain([f64::INFINITY]);
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count.load(Relaxed);
            Some(*sum)
        });
        bounds.zip(counts)
    }

    /// The sum of all, in seconds.
    pub fn sum(&self) -> f64 {
        self.micros.load(Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_what_is_not_longer() {
        let histogram = Histogram::default();
        for millis in [1, 2, 3, 1_800_001] {
            histogram.add(Duration::from_millis(millis));
        }
        let buckets: Vec<(f64, u64)> = histogram.buckets().collect();
        assert_eq!(buckets[..4], [(0.001, 1), (0.002, 2), (0.005, 3), (0.01, 3)]);
        assert_eq!(buckets[15..], [(1800.0, 3), (f64::INFINITY, 4)]);
        assert!((histogram.sum() - 1_800.007).abs() < 1e-9);
    }
}
