//! The breaker against a naive model that keeps every event, and its rules one by one.

use proptest::prelude::*;

use super::*;

const PAUSE: i64 = 60;

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// Allows and records one call at once; tells whether it was allowed.
fn call(breaker: &mut Breaker, now: Timestamp, outcome: Outcome) -> bool {
    match breaker.allow(now) {
        Decision::Allow(permit) => {
            breaker.record(now, permit, outcome);
            true
        }
        Decision::Refuse(_) => false,
    }
}

/// The same rules told from the full history of one closed or half-open period.
struct Model {
    config: BreakerConfig,
    /// Outcomes since it closed, or since it became half-open, with their second.
    history: Vec<(i64, Outcome)>,
    open_until: Option<i64>,
    probing: bool,
    /// Probes that failed one after the other.
    reopened: u32,
}

impl Model {
    fn call(&mut self, now: i64, outcome: Outcome) -> bool {
        if let Some(until) = self.open_until {
            if now < until {
                return false;
            }
            (self.open_until, self.probing, self.history) = (None, true, Vec::new());
        }
        self.history.push((now, outcome));
        if outcome == Outcome::Failure && (self.probing || self.too_many(now)) {
            self.reopened = if self.probing { self.reopened + 1 } else { 0 };
            let longest = self.config.longest_pause.as_secs() as i64;
            self.open_until = Some(now + (PAUSE << self.reopened).min(longest));
        }
        let succeeded = self.history.iter().filter(|event| event.1 == Outcome::Success).count();
        if self.probing && succeeded == self.config.probes as usize {
            (self.probing, self.history) = (false, Vec::new());
        }
        true
    }

    fn too_many(&self, now: i64) -> bool {
        let telling = self.history.iter().filter(|event| event.1 != Outcome::Neutral);
        let in_row = telling.clone().rev().take_while(|event| event.1 == Outcome::Failure).count();
        let recent: Vec<_> = telling.filter(|event| event.0 > now - 10).collect();
        let failed = recent.iter().filter(|event| event.1 == Outcome::Failure).count();
        in_row >= self.config.consecutive_failures as usize
            || (recent.len() as u64 >= self.config.minimum_volume
                && failed as f64 / recent.len() as f64 >= self.config.failure_ratio)
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => Just(Outcome::Success), 4 => Just(Outcome::Failure), 1 => Just(Outcome::Neutral)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn it_decides_as_the_naive_model(
        consecutive_failures in 3_u32..7, minimum_volume in 4_u64..12, probes in 1_u32..4,
        longest in 1_u64..5,
        steps in prop::collection::vec((prop_oneof![9 => 0_i64..3, 1 => 30_i64..250], outcomes()), 1..150),
    ) {
        let longest_pause = Duration::from_secs(longest * PAUSE as u64);
        let config = BreakerConfig {
            consecutive_failures, minimum_volume, probes, longest_pause, failure_ratio: 0.75, ..BreakerConfig::default()
        };
        let mut breaker = Breaker::new(config.clone());
        let mut model = Model { config, history: Vec::new(), open_until: None, probing: false, reopened: 0 };
        let mut now = 0;
        for (advance, outcome) in steps {
            now += advance;
            prop_assert_eq!(call(&mut breaker, second(now), outcome), model.call(now, outcome), "at {}", now);
        }
    }
}

fn opened_at(now: Timestamp, probes: u32) -> Breaker {
    let mut breaker = Breaker::new(BreakerConfig { probes, ..BreakerConfig::default() });
    for _ in 0..5 {
        assert!(call(&mut breaker, now, Outcome::Failure));
    }
    assert_eq!(breaker.state(now), State::Open);
    breaker
}

#[test]
fn it_refuses_until_the_pause_is_over_and_says_when() {
    let mut breaker = opened_at(second(0), 1);
    assert_eq!(breaker.allow(second(PAUSE - 1)), Decision::Refuse(second(PAUSE)));
    assert_eq!(breaker.state(second(PAUSE)), State::HalfOpen);
    assert!(call(&mut breaker, second(PAUSE), Outcome::Success));
    assert_eq!(breaker.state(second(PAUSE)), State::Closed);
}

#[test]
fn only_so_many_probes_are_under_way_and_lost_ones_are_replaced() {
    let mut breaker = opened_at(second(0), 2);
    let now = second(PAUSE);
    assert!(matches!(breaker.allow(now), Decision::Allow(_)));
    assert!(matches!(breaker.allow(now), Decision::Allow(_)));
    assert_eq!(breaker.allow(now), Decision::Refuse(second(2 * PAUSE)));
    assert!(call(&mut breaker, second(2 * PAUSE), Outcome::Success));
    assert!(call(&mut breaker, second(2 * PAUSE), Outcome::Success));
    assert_eq!(breaker.state(second(2 * PAUSE)), State::Closed);
}

#[test]
fn a_neutral_probe_gives_its_place_back() {
    let mut breaker = opened_at(second(0), 1);
    assert!(call(&mut breaker, second(PAUSE), Outcome::Neutral));
    assert!(call(&mut breaker, second(PAUSE), Outcome::Failure));
    assert_eq!(breaker.state(second(2 * PAUSE - 1)), State::Open);
}

#[test]
fn outcomes_of_calls_from_before_are_ignored() {
    let mut breaker = Breaker::new(BreakerConfig::default());
    let Decision::Allow(early) = breaker.allow(second(0)) else { panic!("closed") };
    for _ in 0..5 {
        call(&mut breaker, second(0), Outcome::Failure);
    }
    let Decision::Allow(probe) = breaker.allow(second(PAUSE)) else { panic!("half-open") };
    breaker.record(second(PAUSE), early, Outcome::Success);
    assert_eq!(breaker.state(second(PAUSE)), State::HalfOpen);
    breaker.record(second(PAUSE), probe, Outcome::Success);
    breaker.record(second(PAUSE), early, Outcome::Failure);
    assert_eq!(breaker.state(second(PAUSE)), State::Closed);
}

#[test]
fn each_failed_probe_doubles_the_pause_up_to_the_longest_and_closing_resets_it() {
    let longest_pause = Duration::from_secs(3 * PAUSE as u64);
    let mut breaker = Breaker::new(BreakerConfig { longest_pause, ..BreakerConfig::default() });
    let mut now = 0;
    for round in 0..2 {
        for _ in 0..5 {
            assert!(call(&mut breaker, second(now), Outcome::Failure), "round {round}");
        }
        for pause in [PAUSE, 2 * PAUSE, 3 * PAUSE, 3 * PAUSE] {
            assert_eq!(breaker.allow(second(now)), Decision::Refuse(second(now + pause)));
            now += pause;
            assert!(call(&mut breaker, second(now), Outcome::Failure));
        }
        now += 3 * PAUSE;
        assert!(call(&mut breaker, second(now), Outcome::Success));
    }
}
