//! Outlier ejection: an endpoint whose calls fail clearly more often than those of the others is left out for a while.
//! A breaker asks whether an endpoint works at all; this asks whether it is worse than its peers.
//!
//! - At once, when so many of its calls in a row failed that chance does not explain it, given how often its peers fail:
//!   so one that has fallen silent is left even where the policy does not look at latencies.
//! - Once an interval, when each endpoint that had enough calls is compared with all others together: it is an outlier if
//!   its share of failures is higher by a margin, and by more than chance explains (three standard errors in the
//!   two-proportion z-test).
//!
//! The pause grows with each ejection in a row. No more than a share of all endpoints is out at a time, those with an open
//! breaker included: where more would be, the least bad of the ejected are used again, and outliers that find no room are
//! used on ("panic" routing). An open breaker is not overruled: behind it nobody answers.
//!
//! Source: Envoy's outlier detection for failures in a row, gRPC's (proposal A50) for interval, volume, growing pause and
//! ceiling. Their success-rate rule (mean minus 1.9 standard deviations) cannot see one outlier among fewer than five,
//! since one of n values lies at most `sqrt(n - 1)` standard deviations off the mean (Samuelson's inequality); hence the
//! comparison with the others, which takes two.

use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::State;

use super::{Ending, Endpoint};

/// How many standard errors are no chance.
const SIGNIFICANT: f64 = 3.0;
/// How unlikely failures in a row are to be no chance; less than above, because each call is an occasion.
const CHANCE: f64 = 1e-6;

/// When an outlier is left out, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct EjectionConfig {
    /// Ejected at once after this many failures in a row, or more, if those of the others make them likely; 0 turns this
    /// rule off.
    pub consecutive_failures: u64,
    /// How often endpoints are compared.
    pub interval: Duration,
    /// How many calls an endpoint and its peers must have had in an interval to be compared.
    pub minimum_volume: u64,
    /// By how much an outlier's share of failures (0 to 1) is higher than that of the others at least.
    pub margin: f64,
    /// How long it is left out: this, times the number of its ejections in a row.
    pub pause: Duration,
    /// The longest that this becomes.
    pub longest_pause: Duration,
    /// The largest share (0 to 1) of all endpoints that is out at a time; 0 turns ejection off.
    pub max_share: f64,
}

impl Default for EjectionConfig {
    /// After 5 failures in a row; compared every 10 s from 20 calls on; out for 30 s times the ejections in a row, at most 5 min; at most half.
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            minimum_volume: 20,
            margin: 0.1,
            pause: Duration::from_secs(30),
            longest_pause: Duration::from_secs(300),
            max_share: 0.5,
        }
    }
}

/// What an endpoint did in the present interval, and whether it is out.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    succeeded: u64,
    failed: u64,
    in_row: u64,
    out_until: Option<Timestamp>,
    /// Ejections in a row: one more with each, one less with each interval that it passed.
    times: u32,
    /// The share of failures for which it was ejected.
    ratio: f64,
}

impl Record {
    /// Counts a call. Overload and callers that gave up say nothing here.
    pub(super) fn count(&mut self, ending: Ending) {
        match ending {
            Ending::Answered => {
                self.succeeded += 1;
                self.in_row = 0;
            }
            Ending::Faulty | Ending::Failed | Ending::TimedOut => {
                self.failed += 1;
                self.in_row += 1;
            }
            Ending::Overloaded | Ending::Abandoned => {}
        }
    }

    /// Whether it is ejected now.
    pub(super) fn is_ejected(&self, now: Timestamp) -> bool {
        self.out_until.is_some_and(|until| now < until)
    }

    /// Until when it is or was ejected last.
    pub(super) fn out_until(&self) -> Option<Timestamp> {
        self.out_until
    }
}

/// How many of so many endpoints may be out at a time.
fn room(max_share: f64, count: usize) -> usize {
    (max_share * count as f64) as usize
}

/// Compares the endpoints, if it is time, and ejects outliers, the worst first.
pub(super) fn review<K>(
    config: &EjectionConfig,
    reviewed_at: &mut Option<Timestamp>,
    all: &mut [Endpoint<K>],
    now: Timestamp,
) {
    let due = *reviewed_at.get_or_insert(now + config.interval);
    if now < due || config.max_share <= 0.0 {
        return;
    }
    *reviewed_at = Some(now + config.interval);
    let counts = |endpoint: &Endpoint<K>| (endpoint.record.failed, endpoint.record.succeeded);
    let (failed, succeeded) = all.iter().map(counts).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let mut outliers: Vec<(f64, usize)> = Vec::new();
    for (index, endpoint) in all.iter_mut().enumerate() {
        let own = counts(endpoint);
        let others = (failed - own.0, succeeded - own.1);
        if is_outlier(config, own, others) {
            outliers.push((own.0 as f64 / (own.0 + own.1) as f64, index));
        } else if own.0 + own.1 >= config.minimum_volume {
            endpoint.record.times = endpoint.record.times.saturating_sub(1);
        }
        (endpoint.record.failed, endpoint.record.succeeded) = (0, 0);
    }
    outliers.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (ratio, index) in outliers {
        eject(config, all, index, ratio, now);
    }
}

/// Ejects an endpoint at once, if so many of its last calls failed in a row that one like the others would hardly have.
pub(super) fn notice<K>(config: &EjectionConfig, all: &mut [Endpoint<K>], index: usize, now: Timestamp) {
    let (in_row, is_out) = (all[index].record.in_row, all[index].record.is_ejected(now));
    if config.consecutive_failures == 0 || in_row < config.consecutive_failures || is_out {
        return;
    }
    let others =
        all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, endpoint)| &endpoint.record);
    let (failed, succeeded) =
        others.fold((0, 0), |sum, record| (sum.0 + record.failed, sum.1 + record.succeeded));
    // How likely an endpoint like the others fails so often in a row; by Laplace's rule, since little may be known.
    let share = (failed + 1) as f64 / (failed + succeeded + 2) as f64;
    if share.powf(in_row as f64) <= CHANCE {
        eject(config, all, index, 1.0, now);
    }
}

/// Ejects an endpoint for such a share of failures, if there is room for one more.
fn eject<K>(config: &EjectionConfig, all: &mut [Endpoint<K>], index: usize, ratio: f64, now: Timestamp) {
    let is_out = |endpoint: &&Endpoint<K>| {
        endpoint.record.is_ejected(now) || endpoint.breaker.state(now) != State::Closed
    };
    // One that is out already takes no more room.
    if !is_out(&&all[index]) && all.iter().filter(is_out).count() >= room(config.max_share, all.len()) {
        return;
    }
    let record = &mut all[index].record;
    record.times += 1;
    record.in_row = 0;
    record.ratio = ratio;
    record.out_until = Some(now + config.pause.saturating_mul(record.times).min(config.longest_pause));
}

/// Whether these (failed, succeeded) are clearly worse than those.
fn is_outlier(config: &EjectionConfig, own: (u64, u64), others: (u64, u64)) -> bool {
    let volume = |(failed, succeeded): (u64, u64)| failed + succeeded;
    if volume(own).min(volume(others)) < config.minimum_volume.max(1) {
        return false;
    }
    let [n, m] = [own, others].map(|counts| volume(counts) as f64);
    let difference = own.0 as f64 / n - others.0 as f64 / m;
    let pooled = (own.0 + others.0) as f64 / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    difference > 0.0 && difference >= config.margin && difference >= SIGNIFICANT * error
}

/// Puts the least bad of the ejected back among the candidates while too many endpoints are out.
pub(super) fn readmit<K>(
    max_share: f64,
    all: &[Endpoint<K>],
    candidates: &mut Vec<usize>,
    mut ejected: Vec<usize>,
) {
    let out = all.len() - candidates.len();
    let too_many = out.saturating_sub(room(max_share, all.len())).min(ejected.len());
    ejected.sort_by(|&one, &other| all[one].record.ratio.total_cmp(&all[other].record.ratio));
    candidates.extend(&ejected[..too_many]);
}

#[cfg(test)]
mod tests;
