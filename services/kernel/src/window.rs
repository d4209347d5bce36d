//! Counts of two kinds of event over the recent past: a sliding window in ten slots.
//!
//! The window slides by whole slots, so it covers between nine and ten tenths of its length; in exchange it costs
//! ten counters however many events there are. A time before the last one seen counts as the last one.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Timestamp;

/// How many slots a window has.
pub(crate) const SLOTS: i64 = 10;

/// Two counters over the last `length`.
#[derive(Debug, Clone)]
pub(crate) struct SlidingCounts {
    slot_micros: i64,
    slots: VecDeque<(i64, [u64; 2])>,
    totals: [u64; 2],
}

impl SlidingCounts {
    /// An empty window of this length (at least ten microseconds).
    pub(crate) fn new(length: Duration) -> Self {
        let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        Self { slot_micros: (micros / SLOTS).max(1), slots: VecDeque::new(), totals: [0; 2] }
    }

    /// Counts one event of the given kind.
    pub(crate) fn add(&mut self, now: Timestamp, kind: usize) {
        let index = self.slide(now);
        if self.slots.back().is_none_or(|slot| slot.0 < index) {
            self.slots.push_back((index, [0; 2]));
        }
        if let Some((_, counts)) = self.slots.back_mut() {
            counts[kind] += 1;
            self.totals[kind] += 1;
        }
    }

    /// How many of each kind happened within the window that ends now.
    pub(crate) fn totals(&mut self, now: Timestamp) -> [u64; 2] {
        self.slide(now);
        self.totals
    }

    fn slide(&mut self, now: Timestamp) -> i64 {
        let newest = self.slots.back().map_or(i64::MIN, |slot| slot.0);
        let index = now.as_micros().div_euclid(self.slot_micros).max(newest);
        while let Some(&(oldest, counts)) = self.slots.front()
            && oldest <= index.saturating_sub(SLOTS)
        {
            self.slots.pop_front();
            self.totals = [self.totals[0] - counts[0], self.totals[1] - counts[1]];
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn totals_are_those_of_a_full_history(steps in prop::collection::vec((0_u32..400, 0_usize..2), 1..200)) {
            let mut window = SlidingCounts::new(Duration::from_micros(1_000));
            let (mut now, mut history) = (0_i64, Vec::new());
            for (advance, kind) in steps {
                now += i64::from(advance);
                window.add(Timestamp::from_micros(now), kind);
                history.push((now / 100, kind));
                let count = |kind| {
                    let recent = |event: &&(i64, usize)| event.1 == kind && event.0 > now / 100 - SLOTS;
                    history.iter().filter(recent).count() as u64
                };
                prop_assert_eq!(window.totals(Timestamp::from_micros(now)), [count(0), count(1)]);
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_counts_into_the_newest_slot() {
        let mut window = SlidingCounts::new(Duration::from_secs(1));
        window.add(Timestamp::from_micros(5_000_000), 0);
        window.add(Timestamp::from_micros(1_000_000), 1);
        assert_eq!(window.totals(Timestamp::from_micros(5_000_000)), [1, 1]);
        assert_eq!(window.totals(Timestamp::from_micros(6_000_000)), [0, 0]);
    }
}
