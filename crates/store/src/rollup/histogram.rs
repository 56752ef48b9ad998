//! Fixed buckets of durations. Fixed, so that histograms of any rows add up exactly; log-like, so that a few columns
//! reach from a millisecond to minutes with an error that stays below half of the value.

/// Upper bounds in milliseconds, inclusive; one more bucket takes what is longer.
pub const BOUNDS_MS: [u64; BUCKETS - 1] = [
    1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 500, 700, 1_000, 1_500, 2_000, 3_000, 4_500, 7_000, 10_000,
    15_000, 22_000, 33_000, 60_000, 120_000,
];

/// How many buckets there are.
pub const BUCKETS: usize = 28;

/// How many durations fell into each bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram(pub [i64; BUCKETS]);

impl Histogram {
    /// Counts one duration.
    pub fn count(&mut self, micros: u64) {
        let bucket = BOUNDS_MS.partition_point(|bound| bound * 1000 < micros);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// How many durations were counted.
    pub fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// The duration in milliseconds below which `share` (0 to 1) of them lie, drawn straight between a bucket's
    /// bounds; the last bucket answers its lower bound. `None` if nothing was counted.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52, and the answer is an estimate")]
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let total = self.total();
        if total <= 0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * total as f64;
        let mut below = 0.0;
        for (bucket, &count) in self.0.iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                let lower = if bucket == 0 { 0 } else { BOUNDS_MS[bucket - 1] } as f64;
                let upper = BOUNDS_MS.get(bucket).map_or(lower, |&bound| bound as f64);
                return Some(lower + (upper - lower) * ((wanted - below) / count).clamp(0.0, 1.0));
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_with_it() {
        let mut histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 120_000_000, 120_000_001] {
            histogram.count(micros);
        }
        assert_eq!((histogram.0[0], histogram.0[1], histogram.0[26], histogram.0[27]), (2, 1, 1, 1));
        assert_eq!(histogram.total(), 5);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(Histogram::default().quantile_ms(0.5), None);
        let mut histogram = Histogram::default();
        for _ in 0..100 {
            histogram.count(60_000);
        }
        let median = histogram.quantile_ms(0.5).unwrap();
        assert!((50.0..=75.0).contains(&median), "{median}");
        histogram.count(500_000_000);
        assert_eq!(histogram.quantile_ms(1.0), Some(120_000.0));
    }
}
