//! Adaptive concurrency: how many calls a service takes on at once, found from how long they take.
//!
//! Additive increase, multiplicative decrease on a latency target. While at least half of the limit is in use,
//! - an answer within half of the target raises the limit by one (it grows by half in one round of calls),
//! - an answer within the target raises it by one a round,
//! - a call that took longer cuts it to three quarters, once a round: what began before the cut says nothing about it.
//!
//! While less than half is in use nothing moves, since latency then says nothing about the limit: a service that is
//! little used stays where it is, at the ceiling where it began, however slow its calls are.
//!
//! A target and not a gradient: calls of one service differ by orders of magnitude (a lookup, a batch of documents), and
//! a baseline learned from their mix moves with the mix; in a lasting overload it learns the overload.
//!
//! Source: D. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
//! Networks", 1989; slow start and one cut a round after V. Jacobson, "Congestion Avoidance and Control", 1988; no
//! growth of an unused limit after RFC 7661; for requests instead of packets: Netflix, "Performance Under Load", 2018.

use std::time::Duration;

use crate::Timestamp;

/// What a call that took too long leaves of the limit.
const CUT: f64 = 0.75;

/// The bounds of an [`AdaptiveLimit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitConfig {
    /// The limit never falls below (at least 1).
    pub floor: usize,
    /// The limit never rises above, and begins there.
    pub ceiling: usize,
    /// What a call may take; none: the limit stays at the ceiling.
    pub target: Option<Duration>,
}

/// A call that was let in. Hand it back when it has ended.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Slot {
    begun: Timestamp,
    /// Whether at least half of the limit was in use.
    telling: bool,
}

/// What a call's duration says about the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// It was answered by the service's own work: quick is good news, slow is bad news.
    Answered,
    /// It ended otherwise (refused, given up): quick says nothing, slow is bad news.
    Ended,
    /// It says nothing: it waited for its caller, as a stream does.
    Ignored,
}

/// The calls under way and how many there may be.
#[derive(Debug, Clone)]
pub struct AdaptiveLimit {
    config: LimitConfig,
    limit: f64,
    in_flight: usize,
    cut_at: Option<Timestamp>,
}

impl AdaptiveLimit {
    /// A limit at its ceiling with nothing under way.
    pub fn new(config: LimitConfig) -> Self {
        let ceiling = config.ceiling.max(1);
        let config = LimitConfig { ceiling, floor: config.floor.clamp(1, ceiling), ..config };
        Self { config, limit: ceiling as f64, in_flight: 0, cut_at: None }
    }

    /// Lets a call in, unless there are as many as there may be.
    pub fn enter(&mut self, now: Timestamp) -> Option<Slot> {
        if self.in_flight >= self.limit() {
            return None;
        }
        self.in_flight += 1;
        Some(Slot { begun: now, telling: self.in_flight * 2 >= self.limit() })
    }

    /// Takes in how a call ended that had been let in.
    pub fn leave(&mut self, slot: Slot, now: Timestamp, sample: Sample) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(target) = self.config.target else { return };
        if !slot.telling || sample == Sample::Ignored {
            return;
        }
        let took = now.since(slot.begun);
        if took > target {
            if self.cut_at.is_none_or(|cut| slot.begun >= cut) {
                self.limit = (self.limit * CUT).max(self.config.floor as f64);
                self.cut_at = Some(now);
            }
        } else if sample == Sample::Answered {
            let growth = if took <= target / 2 { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + growth).min(self.config.ceiling as f64);
        }
    }

    /// How many calls there may be at once.
    pub fn limit(&self) -> usize {
        // A cast from float saturates; the limit lies between floor and ceiling.
        self.limit as usize
    }

    /// How many there are.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    fn limit(floor: usize, ceiling: usize) -> AdaptiveLimit {
        AdaptiveLimit::new(LimitConfig { floor, ceiling, target: Some(TARGET) })
    }

    /// As many calls as are let in, which share the service: each takes `cost` for every call under way.
    fn round(limit: &mut AdaptiveLimit, now: &mut Timestamp, offered: usize, cost: Duration) -> usize {
        let slots: Vec<Slot> = (0..offered).map_while(|_| limit.enter(*now)).collect();
        *now = *now + cost * slots.len() as u32;
        let entered = slots.len();
        slots.into_iter().for_each(|slot| limit.leave(slot, *now, Sample::Answered));
        entered
    }

    proptest! {
        /// Under overload the time of a call settles between three quarters of the target and the target, whatever a
        /// call costs: the limit settles in `[0.75, 1] * target / cost`, give or take one call.
        #[test]
        fn an_overloaded_service_settles_where_its_calls_take_the_target(cost_micros in 200_u64..5_000) {
            let cost = Duration::from_micros(cost_micros);
            let (mut limit, mut now) = (limit(1, 1_000), Timestamp::default());
            for _ in 0..40 {
                round(&mut limit, &mut now, 5_000, cost);
            }
            let settled = TARGET.as_secs_f64() / cost.as_secs_f64();
            for _ in 0..200 {
                let entered = round(&mut limit, &mut now, 5_000, cost) as f64;
                prop_assert!(entered >= 0.75 * settled - 2.0 && entered <= settled + 2.0, "{entered} of {settled}");
            }
        }

        /// The model: who is under way, and the rules of the module's doc one by one.
        #[test]
        fn it_keeps_its_bounds_and_moves_only_as_it_says(
            floor in 1_usize..8, extra in 0_usize..30,
            steps in prop::collection::vec((any::<bool>(), 0_u64..80_000, 0_usize..3), 1..300),
        ) {
            let ceiling = floor + extra;
            let mut limit = limit(floor, ceiling);
            let (mut now, mut under_way, mut last_cut) = (Timestamp::default(), Vec::new(), None);
            for (enters, advance, kind) in steps {
                let before = limit.limit;
                if enters {
                    let room = under_way.len() < limit.limit();
                    let slot = limit.enter(now);
                    prop_assert_eq!(slot.is_some(), room);
                    under_way.extend(slot.map(|slot| (slot, now, (under_way.len() + 1) * 2 >= limit.limit())));
                } else if !under_way.is_empty() {
                    now = now + Duration::from_micros(advance);
                    let (slot, begun, telling) = under_way.remove(0);
                    let sample = [Sample::Answered, Sample::Ended, Sample::Ignored][kind];
                    limit.leave(slot, now, sample);
                    let slow = now.since(begun) > TARGET;
                    let fell = limit.limit < before;
                    prop_assert!(!fell || (slow && telling && sample != Sample::Ignored));
                    prop_assert!(limit.limit <= before || (!slow && telling && sample == Sample::Answered));
                    prop_assert!(!fell || last_cut.is_none_or(|cut| begun >= cut), "two cuts in one round");
                    if fell {
                        last_cut = Some(now);
                    }
                }
                prop_assert_eq!(limit.in_flight(), under_way.len());
                prop_assert!(floor <= limit.limit() && limit.limit() <= ceiling);
            }
        }
    }

    #[test]
    fn a_service_that_is_little_used_is_never_cut_however_slow() {
        let (mut limit, mut now) = (limit(1, 100), Timestamp::default());
        for _ in 0..50 {
            assert_eq!(round(&mut limit, &mut now, 49, Duration::from_secs(1)), 49);
        }
        assert_eq!(limit.limit(), 100);
    }

    #[test]
    fn after_an_overload_the_limit_grows_by_half_with_each_round() {
        let (mut limit, mut now) = (limit(10, 1_000), Timestamp::default());
        for _ in 0..40 {
            round(&mut limit, &mut now, 1_000, Duration::from_secs(1));
        }
        assert_eq!(limit.limit(), 10);
        for _ in 0..8 {
            let before = limit.limit();
            round(&mut limit, &mut now, 1_000, Duration::from_nanos(1));
            assert!(limit.limit() * 2 >= before * 3, "from {before} to {}", limit.limit());
        }
    }

    #[test]
    fn without_a_target_the_ceiling_stands() {
        let mut limit = AdaptiveLimit::new(LimitConfig { floor: 1, ceiling: 3, target: None });
        let mut now = Timestamp::default();
        for _ in 0..9 {
            assert_eq!(round(&mut limit, &mut now, 9, Duration::from_secs(100)), 3);
        }
    }
}
