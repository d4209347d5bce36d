//! A quantile of the recent latencies: what all but a few calls take.
//!
//! Two histograms of bounded size take turns: one is filled for a window, then it is read for a window while the other
//! one is filled. Until a whole window has enough in it, the one being filled is read. Values are kept to about six per
//! cent, upwards.
//!
//! Source: G. Tene's HdrHistogram and its interval recorder.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Timestamp;

/// The longest latency that is told apart, in microseconds; longer ones count as this.
const LONGEST: u64 = 3_600_000_000;

/// The latencies of the last whole window, and those since.
#[derive(Debug, Clone)]
pub struct SlidingQuantile {
    window: Duration,
    minimum: u64,
    turns_at: Option<Timestamp>,
    /// The one that is filled and the one that is read.
    histograms: Option<[Histogram<u32>; 2]>,
}

impl SlidingQuantile {
    /// An empty one that tells nothing from fewer than `minimum` latencies.
    pub fn new(window: Duration, minimum: u64) -> Self {
        // One significant digit: 16 steps or more between a value and its double. These are legal bounds.
        let histograms = Histogram::new_with_max(LONGEST, 1).ok().map(|empty| [empty.clone(), empty]);
        Self { window, minimum: minimum.max(1), turns_at: None, histograms }
    }

    /// Takes in the latency of a call that ended now.
    pub fn record(&mut self, now: Timestamp, latency: Duration) {
        self.turn(now);
        if let Some([filled, _]) = &mut self.histograms {
            filled.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST).min(LONGEST));
        }
    }

    /// What a share `quantile` (0 to 1) of the recent calls took at most; none if too little is known.
    pub fn value(&mut self, now: Timestamp, quantile: f64) -> Option<Duration> {
        self.turn(now);
        let [filled, whole] = self.histograms.as_ref()?;
        let enough = |histogram: &&Histogram<u32>| histogram.len() >= self.minimum;
        let histogram = Some(whole).filter(enough).or(Some(filled).filter(enough))?;
        Some(Duration::from_micros(histogram.value_at_quantile(quantile)))
    }

    fn turn(&mut self, now: Timestamp) {
        let turns_at = *self.turns_at.get_or_insert(now + self.window);
        if now < turns_at {
            return;
        }
        self.turns_at = Some(now + self.window);
        if let Some([filled, whole]) = &mut self.histograms {
            std::mem::swap(filled, whole);
            filled.reset();
            // Two windows have gone by: what is read would be older than one.
            if now >= turns_at + self.window {
                whole.reset();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default() + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn it_is_the_nearest_rank_of_the_sorted_latencies(
            mut latencies in prop::collection::vec(1_u64..10_000_000, 1..300), percent in 1_usize..=100,
        ) {
            let mut seen = SlidingQuantile::new(WINDOW, 1);
            latencies.iter().for_each(|&micros| seen.record(at(0), Duration::from_micros(micros)));
            latencies.sort_unstable();
            // In floats, as there: 56 per cent of 25 are a little more than 14.
            let rank = (percent as f64 / 100.0 * latencies.len() as f64).ceil() as usize;
            let exact = latencies[rank.clamp(1, latencies.len()) - 1] as f64;
            // Both while it is filled and once it is whole.
            for second in [0, 10] {
                let value = seen.value(at(second), percent as f64 / 100.0).unwrap().as_micros() as f64;
                prop_assert!(exact <= value && value <= exact * 1.07 + 1.0, "{value} for {exact}");
            }
        }
    }

    #[test]
    fn what_is_older_than_two_windows_is_forgotten_and_little_tells_nothing() {
        let mut seen = SlidingQuantile::new(WINDOW, 10);
        for call in 0..10 {
            assert_eq!(seen.value(at(0), 0.5), None, "after {call} calls");
            seen.record(at(0), Duration::from_millis(8));
        }
        assert!(seen.value(at(0), 0.5).is_some());
        seen.record(at(10), Duration::from_secs(1));
        assert!(
            seen.value(at(19), 0.99).is_some_and(|value| value < Duration::from_millis(9)),
            "the whole window"
        );
        assert_eq!(seen.value(at(20), 0.5), None, "one call in the last whole window is too little");
        assert_eq!(seen.value(at(500), 0.5), None);
    }
}
