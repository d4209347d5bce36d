//! Between priorities: a guaranteed share each, the rest strictly by priority.
//!
//! Every dispatch adds its share to the credit of each priority that could be served by it. A priority with a whole
//! credit is due and goes first (the most urgent of those due); if none is due, the most urgent one goes. Being
//! served costs one credit, and credit never falls below zero, so that being served out of turn is not paid for
//! later.
//!
//! Bound: a priority with share `s`, ready all the while, waits at most `ceil(1/s) + ceil(2k / (1 - S))` dispatches,
//! where `k` more urgent priorities have a share and `S` is the sum of those shares. With the defaults: 5 for normal,
//! 23 for background work.
//!
//! Source: deficit counters as in Shreedhar and Varghese, "Efficient Fair Queueing using Deficit Round Robin", 1996,
//! laid over strict priority.

use tidemill_kernel::Priority;

use crate::Shares;

/// One dispatch, in the unit of shares.
const WHOLE: u64 = 1_000_000;

/// The credits of the priorities, most urgent first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credits {
    shares: [u64; 3],
    credits: [u64; 3],
}

impl Credits {
    /// No credit yet. The shares are valid ones.
    pub(crate) fn new(shares: &Shares) -> Self {
        let millionths = |priority| (shares.of(priority) * WHOLE as f64).round() as u64;
        Self { shares: Priority::ALL.map(millionths), credits: [0; 3] }
    }

    /// Which of the ready priorities this dispatch goes to; `None` if none is ready.
    pub(crate) fn next(&mut self, ready: [bool; 3]) -> Option<usize> {
        let first = ready.into_iter().position(|is_ready| is_ready)?;
        for (lane, _) in ready.into_iter().enumerate().filter(|lane| lane.1) {
            self.credits[lane] += self.shares[lane];
        }
        let due = (0..3).find(|&lane| ready[lane] && self.credits[lane] >= WHOLE);
        let chosen = due.unwrap_or(first);
        self.credits[chosen] = self.credits[chosen].saturating_sub(WHOLE);
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shares in millionths as the counters hold them.
    fn bound(shares: [u64; 3], lane: usize) -> u64 {
        let urgent: u64 = shares[..lane].iter().sum();
        let rivals = shares[..lane].iter().filter(|&&share| share > 0).count() as u64;
        WHOLE.div_ceil(shares[lane]) + (2 * rivals * WHOLE).div_ceil(WHOLE - urgent)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn no_ready_priority_with_a_share_waits_beyond_the_bound(
            parts in [0_u32..100, 0_u32..100, 0_u32..100], rest in 1_u32..200,
            history in prop::collection::vec((any::<[bool; 3]>(), 1_usize..60), 1..12),
        ) {
            let sum = f64::from(parts.iter().sum::<u32>() + rest);
            let [interactive, normal, background] = parts.map(|part| f64::from(part) / sum);
            let mut credits = Credits::new(&Shares { interactive, normal, background });
            let mut waited = [0_u64; 3];
            for ready in history.into_iter().flat_map(|(ready, times)| std::iter::repeat_n(ready, times)) {
                let chosen = credits.next(ready);
                prop_assert!(chosen.map_or(ready == [false; 3], |lane| ready[lane]));
                for lane in 0..3 {
                    waited[lane] = if ready[lane] && chosen != Some(lane) { waited[lane] + 1 } else { 0 };
                    if credits.shares[lane] > 0 {
                        prop_assert!(waited[lane] < bound(credits.shares, lane));
                    }
                }
            }
        }
    }

    #[test]
    fn under_full_load_the_shares_are_exact_and_the_rest_is_the_most_urgent() {
        let mut credits = Credits::new(&Shares::default());
        let mut served = [0; 3];
        for _ in 0..10_000 {
            served[credits.next([true; 3]).unwrap()] += 1;
        }
        // Both are due at the last dispatch; the less urgent one comes next.
        assert_eq!(served, [7_501, 2_000, 499]);
        assert_eq!(credits.next([true; 3]), Some(2));
    }

    #[test]
    fn without_shares_only_priority_counts() {
        let mut credits = Credits::new(&Shares { interactive: 0.0, normal: 0.0, background: 0.0 });
        assert!((0..1_000).all(|_| credits.next([false, true, true]) == Some(1)));
        assert_eq!(credits.next([false; 3]), None);
    }
}
