//! Who of several endpoints that work gets a call.
//!
//! Sources: [`Policy::P2c`], M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001, over
//! Finagle's peak EWMA; the rounds, nginx's smooth weighted round robin: each takes a step of its weight, the
//! foremost is chosen and set back by the sum of all steps, so that the calls of a heavy one are spread over the round.

use std::time::Duration;

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};
use tidemill_kernel::{Timestamp, p2c};

use super::{Endpoint, share};

/// How one of several is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The better of two picked at random, by peak-EWMA latency times pending calls. Failures count as latency.
    #[default]
    P2c,
    /// The one with the fewest pending calls.
    LeastRequests,
    /// One after the other, whatever they weigh.
    RoundRobin,
    /// One after the other, each as often as its weight says.
    Weighted,
}

impl Policy {
    /// Chooses one of the candidates, which are indices of `all`; none if there is none.
    pub(super) fn choose<K>(
        self,
        all: &mut [Endpoint<K>],
        candidates: &mut Vec<usize>,
        slow_start: Duration,
        now: Timestamp,
        rng: &mut impl RngCore,
    ) -> Option<usize> {
        let ramp = |endpoint: &Endpoint<K>| share::ramp(endpoint.in_use_since(), slow_start, now);
        let whole = |endpoint: &Endpoint<K>| f64::from(endpoint.member.weight) * ramp(endpoint);
        match self {
            Self::P2c => {
                share::thin(candidates, |index| whole(&all[index]), rng);
                let load = |place: usize| {
                    let endpoint: &Endpoint<K> = &all[candidates[place]];
                    endpoint.latency.load(now, endpoint.pending)
                };
                p2c::pick_by(candidates.len(), load, rng).map(|place| candidates[place])
            }
            Self::LeastRequests => {
                share::thin(candidates, |index| whole(&all[index]), rng);
                least(candidates, |index| all[index].pending as f64, rng)
            }
            Self::RoundRobin => foremost(all, candidates, ramp),
            Self::Weighted => foremost(all, candidates, whole),
        }
    }
}

/// The candidate of the least value; one of them at random if there are several.
fn least(candidates: &[usize], value: impl Fn(usize) -> f64, rng: &mut impl RngCore) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut ties = 1_u32;
    for &index in candidates {
        let found = value(index);
        match best {
            Some((_, least)) if found > least => {}
            Some((_, least)) if found == least => {
                // The n-th of equals takes over with probability 1/n, so each has the same chance.
                ties += 1;
                if rng.random_ratio(1, ties) {
                    best = Some((index, found));
                }
            }
            _ => (best, ties) = (Some((index, found)), 1),
        }
    }
    best.map(|(index, _)| index)
}

/// Lets every candidate take its step and chooses the foremost.
fn foremost<K>(
    all: &mut [Endpoint<K>],
    candidates: &[usize],
    step: impl Fn(&Endpoint<K>) -> f64,
) -> Option<usize> {
    let mut round = 0.0;
    for &index in candidates {
        let step = step(&all[index]);
        all[index].turn += step;
        round += step;
    }
    let order = |index: usize| (all[index].turn, all[index].rank);
    let chosen = candidates.iter().copied().max_by(|&one, &other| {
        let (one, other) = (order(one), order(other));
        one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
    })?;
    all[chosen].turn -= round;
    Some(chosen)
}

/// Who of equals comes first in a round: another order for each seed, so that many clients do not go round in step. The
/// last mixing steps of MurmurHash3.
pub(super) fn rank(seed: u64, serial: u64) -> u64 {
    let mut bits = seed ^ serial.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for factor in [0xFF51_AFD7_ED55_8CCD, 0xC4CE_B9FE_1A85_EC53] {
        bits = (bits ^ (bits >> 33)).wrapping_mul(factor);
    }
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests;
