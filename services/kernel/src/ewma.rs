//! Peak-EWMA: a latency estimate that believes bad news at once and good news slowly.
//!
//! An exponentially weighted moving average whose weight depends on the time between samples, not on their number:
//! a sample `x` after a gap `d` gives `e * w + x * (1 - w)` with `w = exp(-d / decay)`; a sample above the estimate
//! replaces it. Between samples the estimate decays towards zero, so that an endpoint that was once slow is tried
//! again. Reading changes nothing, so how often a balancer looks does not bend the estimate.
//!
//! Source: Finagle's `PeakEwma` load metric (Twitter, 2015). Failures are recorded as a penalty latency at least,
//! since an endpoint that fails fast must not look attractive (as linkerd's load biaser does).

use std::time::Duration;

use crate::Timestamp;

/// The least estimate, in nanoseconds: keeps the number of pending calls telling when latency has decayed away.
const FLOOR_NANOS: f64 = 1_000.0;

/// The latency estimate of one endpoint.
#[derive(Debug, Clone)]
pub struct PeakEwma {
    decay_nanos: f64,
    nanos: f64,
    stamp: Timestamp,
}

impl PeakEwma {
    /// An estimate that starts at `initial` and forgets with the time constant `decay` (10 s is a good value).
    pub fn new(initial: Duration, decay: Duration, now: Timestamp) -> Self {
        Self { decay_nanos: nanos(decay).max(1.0), nanos: nanos(initial), stamp: now }
    }

    /// Takes in the latency of a call that ended now.
    pub fn record(&mut self, now: Timestamp, latency: Duration) {
        let sample = nanos(latency);
        self.nanos = if sample > self.nanos {
            sample
        } else {
            let weight = self.weight(now);
            self.nanos * weight + sample * (1.0 - weight)
        };
        self.stamp = self.stamp.max(now);
    }

    /// Takes in a call that failed now: it counts as `penalty`, or as its latency if that is more.
    pub fn record_failure(&mut self, now: Timestamp, latency: Duration, penalty: Duration) {
        self.record(now, latency.max(penalty));
    }

    /// The estimated latency of a call, decayed up to now; never below a microsecond.
    pub fn estimate(&self, now: Timestamp) -> Duration {
        // A float to integer cast saturates, so that no estimate can overflow.
        Duration::from_nanos(self.decayed(now).round() as u64)
    }

    /// The cost of sending one more call here: the estimate times the calls that would then be pending, in
    /// nanoseconds. Smaller is better.
    pub fn load(&self, now: Timestamp, pending: usize) -> f64 {
        self.decayed(now) * (pending as f64 + 1.0)
    }

    fn decayed(&self, now: Timestamp) -> f64 {
        (self.nanos * self.weight(now)).max(FLOOR_NANOS)
    }

    fn weight(&self, now: Timestamp) -> f64 {
        (-nanos(now.since(self.stamp)) / self.decay_nanos).exp()
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    proptest! {
        /// After the last peak `p` at `t0`, with samples `x_i` at `t_i`, the estimate at the last sample is
        /// `p exp(-(tn - t0)) + sum of x_i (1 - exp(-(t_i - t_{i-1}))) exp(-(tn - t_i))`, times in units of decay.
        #[test]
        fn the_estimate_is_the_weighted_sum_since_the_last_peak(
            samples in prop::collection::vec((0_u64..5_000_000, 1_000_u64..1_000_000), 1..60),
        ) {
            let mut ewma = PeakEwma::new(micros(50_000), DECAY, Timestamp::default());
            let mut since_peak = vec![(0.0, 50_000.0)];
            let (mut now, mut estimate) = (Timestamp::default(), 50_000.0);
            for (gap, latency) in samples {
                now = now + micros(gap);
                ewma.record(now, micros(latency));
                let (at, value) = (now.as_micros() as f64 / 1e7, latency as f64);
                if value > estimate {
                    since_peak.clear();
                }
                since_peak.push((at, value));
                let decayed = |from: f64| (from - at).exp();
                estimate = since_peak[0].1 * decayed(since_peak[0].0);
                for pair in since_peak.windows(2) {
                    estimate += pair[1].1 * (1.0 - (pair[0].0 - pair[1].0).exp()) * decayed(pair[1].0);
                }
                let got = ewma.estimate(now).as_secs_f64() * 1e6;
                prop_assert!((got - estimate).abs() <= estimate * 1e-6, "{} instead of {}", got, estimate);
            }
        }

        #[test]
        fn a_peak_is_believed_at_once_and_fades_by_e_in_one_decay(peak in 100_000_u64..10_000_000) {
            let mut ewma = PeakEwma::new(micros(1_000), DECAY, Timestamp::default());
            let now = Timestamp::from_micros(1_000);
            ewma.record(now, micros(peak));
            prop_assert_eq!(ewma.estimate(now).as_micros(), u128::from(peak));
            let later = ewma.estimate(now + DECAY).as_secs_f64() * 1e6;
            prop_assert!((later * std::f64::consts::E - peak as f64).abs() < 0.01 * peak as f64);
        }
    }

    #[test]
    fn pending_calls_and_failures_make_an_endpoint_costly() {
        let now = Timestamp::from_micros(1);
        let mut ewma = PeakEwma::new(micros(1_000), DECAY, now);
        assert!((ewma.load(now, 3) - 4.0 * ewma.load(now, 0)).abs() < 1e-6);
        ewma.record_failure(now, micros(10), micros(5_000));
        assert_eq!(ewma.estimate(now), micros(5_000));
        let idle = now + DECAY * 1_000;
        assert!(ewma.load(idle, 1) > ewma.load(idle, 0), "pending calls tell even when latency is forgotten");
    }
}
