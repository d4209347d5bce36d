//! How fast things happen: events per second over the last one to two windows, in integers.
//!
//! Two windows of a fixed length are counted: the present one and the one before. Exact over any span of that length, and
//! the same on every machine.

use std::time::Duration;

use tidemill_kernel::Timestamp;

/// The length of a window.
const WINDOW: i64 = 4_000_000;

/// A count of events.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    /// Where the present window began.
    start: i64,
    present: u32,
    before: u32,
}

impl Meter {
    /// Counts events.
    pub(crate) fn count(&mut self, events: u32, now: Timestamp) {
        self.roll(now);
        self.present = self.present.saturating_add(events);
    }

    /// How long so many events take at the measured rate; `None` if there were none of late.
    pub(crate) fn time_for(mut self, events: usize, now: Timestamp) -> Option<Duration> {
        self.roll(now);
        let seen = u64::from(self.present) + u64::from(self.before);
        if seen == 0 {
            return None;
        }
        let part = (now.as_micros() - self.start).clamp(1, WINDOW);
        let span = if self.before > 0 { WINDOW + part } else { part };
        let micros = u128::from(span.unsigned_abs()) * events as u128 / u128::from(seen);
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    fn roll(&mut self, now: Timestamp) {
        let past = now.as_micros().saturating_sub(self.start);
        let is_new = self.present == 0 && self.before == 0;
        if is_new || !(0..2 * WINDOW).contains(&past) {
            *self = Self { start: now.as_micros(), present: 0, before: 0 };
        } else if past >= WINDOW {
            *self = Self { start: self.start + WINDOW, present: 0, before: self.present };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_steady_rate_is_measured_to_within_one_event_a_window(gap in 1_000_i64..1_000_000, count in 9_i64..400) {
            let mut meter = Meter::default();
            let at = |number: i64| Timestamp::from_micros(1_000_000_000 + number * gap);
            (0..count).for_each(|number| meter.count(1, at(number)));
            let took = meter.time_for(1_000, at(count)).unwrap().as_micros() as f64;
            let error = took / (1_000.0 * gap as f64) - 1.0;
            // One event at the edge of the span, which is one window at least unless it has just begun.
            let seen = ((WINDOW / gap).min(count) as f64).max(1.0);
            prop_assert!(error.abs() <= 2.0 / seen, "{} of {}", error, 2.0 / seen);
        }
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut meter = Meter::default();
        meter.count(5, Timestamp::from_micros(0));
        assert!(meter.time_for(1, Timestamp::from_micros(WINDOW)).is_some());
        assert_eq!(meter.time_for(1, Timestamp::from_micros(2 * WINDOW)), None);
    }
}
