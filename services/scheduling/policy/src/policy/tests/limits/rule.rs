//! The naive model of one limit.

use crate::{Limit, Rate};

/// One limit, in exact tokens.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) limit: Limit,
    pub(super) closed_until: i64,
    pub(super) paused: bool,
    /// Millionths of tokens.
    pub(super) level: i128,
    stamp: i64,
}

impl Rule {
    pub(super) fn refill(&mut self, now: i64) {
        if let Some(rate) = self.limit.rate {
            let gain = i128::from(now - self.stamp) * i128::from(rate.per_second);
            self.level = (self.level + gain).min(i128::from(rate.burst) * 1_000_000);
        }
        self.stamp = now;
    }

    pub(super) fn set(&mut self, limit: Limit, now: i64) {
        self.refill(now);
        let was_new = self.limit.rate.is_none();
        self.limit = limit;
        if let Some(rate) = limit.rate {
            let full = i128::from(rate.burst) * 1_000_000;
            self.level = if was_new { full } else { self.level.min(full) };
        }
    }

    fn needs(rate: Rate, cost: u32) -> i128 {
        i128::from(u64::from(cost.max(1)).min(rate.burst)) * 1_000_000
    }

    pub(super) fn allows(&mut self, cost: u32, running: usize, now: i64) -> bool {
        self.refill(now);
        let has_tokens = self.limit.rate.is_none_or(|rate| {
            self.level >= Self::needs(rate, cost) && (rate.per_second > 0 || rate.burst > 0)
        });
        let below_cap = self.limit.concurrency.is_none_or(|cap| running < cap as usize);
        !self.paused && self.closed_until <= now && has_tokens && below_cap
    }
}
