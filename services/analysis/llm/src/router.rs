//! Whom to try, and in which order: pure, over what is known of each provider.
//!
//! First form: the configured order, with those that cannot be used now behind those that can.

use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::{Breaker, BreakerConfig, Decision, Outcome, Permit, State};

use crate::{Error, Request};

/// How long a provider whose key or credit is at fault is left alone, unless its operator says otherwise.
pub const SET_ASIDE: Duration = Duration::from_secs(300);

/// When to come back while one request finds out whether a provider is of use again: about as long as an answer takes.
const PROBE: Duration = Duration::from_secs(10);

/// What is known of one provider.
#[derive(Debug, Clone)]
pub struct ProviderState {
    breaker: Breaker,
    /// It asked to be left alone until then.
    resting_until: Option<Timestamp>,
    /// Its key or credit is at fault.
    aside: Option<Aside>,
    set_aside: Duration,
}

/// Of no use until somebody acts; one request finds out whether somebody did.
#[derive(Debug, Clone)]
struct Aside {
    until: Timestamp,
    /// The one request is under way.
    probing: bool,
    because: String,
}

/// Why no request may be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotNow {
    /// The time until asking again makes sense.
    pub wait: Duration,
    /// Why the provider was set aside, if it was.
    pub because: Option<String>,
}

impl Default for ProviderState {
    fn default() -> Self {
        Self::new(SET_ASIDE)
    }
}

impl ProviderState {
    /// Nothing is known yet; a fault of key or credit sets it aside for this long.
    pub fn new(set_aside: Duration) -> Self {
        let breaker = Breaker::new(BreakerConfig::default());
        Self { breaker, resting_until: None, aside: None, set_aside }
    }

    /// Whether a request may be sent now. After a time aside only one is, until its outcome is known.
    ///
    /// # Errors
    /// [`NotNow`] says when to ask again.
    pub fn allow(&mut self, now: Timestamp) -> Result<Permit, NotNow> {
        if let Some(aside) = self.aside.as_ref().filter(|aside| now < aside.until) {
            let wait = aside.until.since(now);
            let wait = if aside.probing { wait.min(PROBE) } else { wait };
            return Err(NotNow { wait, because: Some(aside.because.clone()) });
        }
        let later = |until: Timestamp| NotNow { wait: until.since(now), because: None };
        if let Some(until) = self.resting_until.filter(|until| now < *until) {
            return Err(later(until));
        }
        match self.breaker.allow(now) {
            Decision::Allow(permit) => {
                if let Some(aside) = &mut self.aside {
                    (aside.until, aside.probing) = (now + self.set_aside, true);
                }
                Ok(permit)
            }
            Decision::Refuse(until) => Err(later(until)),
        }
    }

    /// Takes in how a permitted request ended: with its error, or with the rest that the answer asks for. True if the
    /// provider is set aside for it, once for all requests that were under way.
    pub fn record(
        &mut self,
        now: Timestamp,
        permit: Permit,
        ended: Result<Option<Duration>, &Error>,
    ) -> bool {
        let outcome = match ended {
            Err(error) if error.another_may_answer() => Outcome::Failure,
            _ => Outcome::Success,
        };
        self.breaker.record(now, permit, outcome);
        let wait = ended.unwrap_or_else(Error::retry_after);
        self.resting_until = self.resting_until.max(wait.map(|wait| now + wait));
        match ended {
            Err(error) if error.sets_aside() => {
                let is_news = self.aside.as_ref().is_none_or(|aside| aside.probing);
                let (until, because) = (now + self.set_aside, error.to_string());
                self.aside = Some(Aside { until, probing: false, because });
                return is_news;
            }
            Err(error) if error.another_may_answer() => self.end_probe(now),
            // Its key was taken, whatever it said of the request.
            _ => self.aside = None,
        }
        false
    }

    /// Gives a permit back for a request whose answer nobody waited for.
    pub fn forget(&mut self, now: Timestamp, permit: Permit) {
        self.breaker.record(now, permit, Outcome::Neutral);
        self.end_probe(now);
    }

    /// The one request told nothing: another one may be sent.
    fn end_probe(&mut self, now: Timestamp) {
        if let Some(aside) = self.aside.as_mut().filter(|aside| aside.probing) {
            (aside.until, aside.probing) = (now, false);
        }
    }

    /// 0: ready; 1: on trial; 2: not now; 3: set aside.
    fn rank(&self, now: Timestamp) -> u8 {
        if let Some(aside) = &self.aside {
            return if now < aside.until { 3 } else { 1 };
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
        let _ = state.record(now, permit, Err(error));
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
        let rest = NotNow { wait: Duration::from_secs(2), because: None };
        assert_eq!(states[1].allow(now).unwrap_err(), rest);
        let aside = states[0].allow(now).unwrap_err();
        assert_eq!(aside.wait, SET_ASIDE);
        assert!(aside.because.is_some_and(|because| because.contains("set a valid api_key")));
        assert_eq!(order(&states, &request, now + Duration::from_secs(2)), [1, 2, 3, 0]);
    }

    #[test]
    fn a_provider_set_aside_is_tried_again_by_one_request_at_a_time() {
        let mut now = Timestamp::from_micros(0);
        let mut state = ProviderState::new(Duration::from_secs(60));
        let bad_key = refused(Reason::BadKey, None);
        let under_way = [state.allow(now).unwrap(), state.allow(now).unwrap()];
        let news = under_way.map(|permit| state.record(now, permit, Err(&bad_key)));
        assert_eq!(news, [true, false], "said once");

        for _ in 0..3 {
            assert_eq!(state.allow(now).unwrap_err().wait, Duration::from_secs(60));
            now = now + Duration::from_secs(60);
            let probe = state.allow(now).unwrap();
            assert_eq!(state.allow(now).unwrap_err().wait, PROBE, "the others wait for it, and not longer");
            assert!(state.record(now, probe, Err(&bad_key)), "said again");
        }
        now = now + Duration::from_secs(60);
        let probe = state.allow(now).unwrap();
        state.forget(now, probe);
        let probe = state.allow(now).unwrap();
        assert!(!state.record(now, probe, Ok(None)));
        assert!(state.allow(now).is_ok() && state.allow(now).is_ok());
    }

    #[test]
    fn an_answer_that_used_up_a_limit_lets_the_provider_rest() {
        let now = Timestamp::from_micros(0);
        let mut states = vec![ProviderState::default(); 2];
        let permit = states[0].allow(now).unwrap();
        let wait = Duration::from_secs(9);
        assert!(!states[0].record(now, permit, Ok(Some(wait))));
        assert_eq!(states[0].allow(now).unwrap_err(), NotNow { wait, because: None });
        assert_eq!(order(&states, &Request::of("x"), now), [1, 0]);
        assert!(states[0].allow(now + wait).is_ok());
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
