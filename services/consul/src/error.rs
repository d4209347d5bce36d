//! What can go wrong, each with what to do about it.

use std::time::Duration;

/// A call that did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be used.
    #[error("the setting `{setting}` of the Consul client cannot be used: {reason}")]
    Config {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// An argument cannot be sent.
    #[error("{what} cannot be sent to Consul: {reason}")]
    Argument {
        /// What it is.
        what: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The agent cannot be connected to, or the connection broke.
    #[error(
        "the Consul agent at {address} cannot be reached: {reason}; check that it runs and that the address is right"
    )]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time.
    #[error(
        "the Consul agent at {address} did not answer {request} within {after:?}; check its load and the network"
    )]
    Timeout {
        /// Where it is.
        address: String,
        /// Method and path.
        request: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The ACL system refused.
    #[error(
        "Consul denied {request}: {message}; give the token a policy that allows it, or set the right token"
    )]
    Denied {
        /// Method and path.
        request: String,
        /// Consul's own words.
        message: String,
    },
    /// The request was wrong in Consul's eyes.
    #[error("Consul refused {request} with status {status}: {message}; check the values that were sent")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status, 4xx.
        status: u16,
        /// Consul's own words.
        message: String,
    },
    /// Consul could not do it now: no leader, an overload, or a fault of its own.
    #[error(
        "Consul failed {request} with status {status}: {message}; try again later, or see the agent's log"
    )]
    Failed {
        /// Method and path.
        request: String,
        /// The HTTP status, 429 or 5xx.
        status: u16,
        /// Consul's own words.
        message: String,
    },
    /// The answer is not one of Consul's.
    #[error(
        "the answer to {request} is not what Consul's API promises: {reason}; check that the address is that of a Consul agent"
    )]
    Answer {
        /// Method and path.
        request: String,
        /// Where it departs.
        reason: String,
    },
}

impl Error {
    /// Whether the same call can succeed later without anything being changed by the caller.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Failed { .. })
    }
}
