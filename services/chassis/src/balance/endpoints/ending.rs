//! What the end of a call says about the endpoint that had it.

use tidemill_kernel::breaker::{Outcome, State};

/// How a call ended, as far as it speaks about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It answered, be it with a refusal.
    Answered,
    /// It answered with a defect of its own: nobody knows yet whether the endpoint's or the request's.
    Faulty,
    /// It is overloaded and said so: works, but is no good choice now.
    Overloaded,
    /// It cannot be reached or does not work.
    Failed,
    /// It did not answer by the caller's deadline.
    TimedOut,
    /// The caller gave up first.
    Abandoned,
}

impl Ending {
    /// What it means for a breaker in this state. A deadline may be the caller's haste, but a probe that runs into it
    /// has not shown that the endpoint works.
    pub(super) fn outcome(self, state: State) -> Outcome {
        match self {
            Self::Answered | Self::Faulty => Outcome::Success,
            Self::Failed => Outcome::Failure,
            Self::TimedOut if state == State::HalfOpen => Outcome::Failure,
            Self::TimedOut | Self::Overloaded | Self::Abandoned => Outcome::Neutral,
        }
    }
}
