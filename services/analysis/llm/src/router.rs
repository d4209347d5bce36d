//! Whom to try, and in which order: pure, over what is known of each provider.
//!
//! First form: the configured order, with those that cannot be used now behind those that can.

use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::{Breaker, BreakerConfig, Decision, Outcome, Permit, State};

use crate::{Error, Request};

/// What is known of one provider.
#[derive(Debug, Clone)]
pub struct ProviderState {
    breaker: Breaker,
    /// It asked to be left alone until then.
    resting_until: Option<Timestamp>,
    /// Its key or credit is at fault: of no use until its operator acts (a restart or a new configuration).
    set_aside: bool,
}

impl Default for ProviderState {
    fn default() -> Self {
        Self { breaker: Breaker::new(BreakerConfig::default()), resting_until: None, set_aside: false }
    }
}

impl ProviderState {
    /// Whether a request may be sent now.
    ///
    /// # Errors
    /// The time until asking again makes sense; `None` if only an operator can help.
    pub fn allow(&mut self, now: Timestamp) -> Result<Permit, Option<Duration>> {
        if self.set_aside {
            return Err(None);
        }
        if let Some(until) = self.resting_until.filter(|until| now < *until) {
            return Err(Some(until.since(now)));
        }
        match self.breaker.allow(now) {
            Decision::Allow(permit) => Ok(permit),
            Decision::Refuse(until) => Err(Some(until.since(now))),
        }
    }

    /// Takes in how a permitted request ended.
    pub fn record(&mut self, now: Timestamp, permit: Permit, error: Option<&Error>) {
        let outcome = match error {
            Some(error) if error.another_may_answer() => Outcome::Failure,
            _ => Outcome::Success,
        };
        self.breaker.record(now, permit, outcome);
        self.set_aside |= error.is_some_and(Error::sets_aside);
        if let Some(wait) = error.and_then(Error::retry_after) {
            self.resting_until = self.resting_until.max(Some(now + wait));
        }
    }

    /// Gives a permit back for a request whose answer nobody waited for.
    pub fn forget(&mut self, now: Timestamp, permit: Permit) {
        self.breaker.record(now, permit, Outcome::Neutral);
    }

    /// 0: ready; 1: on trial; 2: not now; 3: not before an operator acts.
    fn rank(&self, now: Timestamp) -> u8 {
        if self.set_aside {
            return 3;
        }
        if self.resting_until.is_some_and(|until| now < until) {
            return 2;
        }
        match self.breaker.state(now) {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        }
    }
}

/// The indices of `states` in the order to try. Every provider is listed; within a rank the configured order stands.
pub fn order(states: &[ProviderState], _request: &Request, now: Timestamp) -> Vec<usize> {
    let mut order: Vec<usize> = (0..states.len()).collect();
    order.sort_by_key(|&index| states[index].rank(now));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reason, Refusal};

    fn refused(reason: Reason, retry_after: Option<Duration>) -> Error {
        let refusal = Refusal { reason, message: "no".into(), retry_after, retryable: true };
        Error::Refused { provider: "p".into(), refusal }
    }

    fn fail(state: &mut ProviderState, now: Timestamp, error: &Error) {
        let permit = state.allow(now).unwrap();
        state.record(now, permit, Some(error));
    }

    #[test]
    fn the_configured_order_stands_until_something_fails() {
        let now = Timestamp::from_micros(0);
        let mut states = vec![ProviderState::default(); 4];
        let request = Request::of("x");
        assert_eq!(order(&states, &request, now), [0, 1, 2, 3]);

        fail(&mut states[0], now, &refused(Reason::BadKey, None));
        fail(&mut states[1], now, &refused(Reason::RateLimited, Some(Duration::from_secs(2))));
        assert_eq!(order(&states, &request, now), [2, 3, 1, 0]);
        assert_eq!(states[1].allow(now), Err(Some(Duration::from_secs(2))));
        assert_eq!(states[0].allow(now), Err(None));
        assert_eq!(order(&states, &request, now + Duration::from_secs(2)), [1, 2, 3, 0]);
    }

    #[test]
    fn five_failures_open_the_breaker_and_faults_of_requests_do_not() {
        let now = Timestamp::from_micros(0);
        let mut states = vec![ProviderState::default(); 2];
        for _ in 0..5 {
            fail(&mut states[0], now, &refused(Reason::Invalid, None));
            fail(&mut states[1], now, &refused(Reason::Overloaded, None));
        }
        assert!(states[0].allow(now).is_ok());
        assert!(states[1].allow(now).is_err());
        let later = now + Duration::from_secs(60);
        assert!(states[1].allow(later).is_ok(), "one probe after the pause");
        assert_eq!(order(&states, &Request::of("x"), later), [0, 1]);
    }
}
