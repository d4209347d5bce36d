//! What can go wrong between a request and its answer, and what can be done about it.

use std::fmt;
use std::time::Duration;

use tidemill_kernel::{ErrorKind, Fault};

use crate::{Reason, Refusal, Usage};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The provider answered with a refusal.
    #[error("provider {provider}: {refusal}")]
    Refused {
        /// The provider's configured name.
        provider: String,
        /// What it said.
        refusal: Refusal,
    },
    /// No connection, or one that broke before an answer began.
    #[error("provider {provider} cannot be reached: {message}; check its base_url and the network")]
    Unreachable {
        /// The provider's configured name.
        provider: String,
        /// What the connection said.
        message: String,
    },
    /// A time limit passed.
    #[error("provider {provider}: {phase} within {limit:?}; raise the limit or use a faster model")]
    Timeout {
        /// The provider's configured name.
        provider: String,
        /// What was waited for.
        phase: Phase,
        /// How long.
        limit: Duration,
        /// What was spent up to then, estimated.
        usage: Usage,
    },
    /// An answer that broke off; what came of it must not be taken for whole.
    #[error("provider {provider}: the answer broke off: {message}; try again")]
    Cut {
        /// The provider's configured name.
        provider: String,
        /// What was seen.
        message: String,
        /// What was spent up to then, estimated unless the provider had counted.
        usage: Usage,
    },
    /// An answer in a shape that is not the protocol's.
    #[error(
        "provider {provider} answered in an unknown shape: {message}; check that base_url speaks the protocol"
    )]
    Malformed {
        /// The provider's configured name.
        provider: String,
        /// What was wrong with it.
        message: String,
    },
    /// A configuration that cannot work.
    #[error("provider {provider}: {field} {message}")]
    Config {
        /// The provider's configured name.
        provider: String,
        /// The field at fault.
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Every provider rests, is set aside or has an open breaker; or none is configured.
    #[error("no provider can be tried now{}; wait for one to recover, or configure another", told(.because))]
    NoneAvailable {
        /// When the first of them may be tried again.
        retry_after: Option<Duration>,
        /// Why one of them was set aside.
        because: Option<String>,
    },
}

fn told(because: &Option<String>) -> String {
    because.as_ref().map(|because| format!(": {because}")).unwrap_or_default()
}

/// What a timeout was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The whole answer.
    Whole,
    /// A stream's first token.
    FirstToken,
    /// A stream's next chunk.
    NextChunk,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "no whole answer",
            Self::FirstToken => "no first token",
            Self::NextChunk => "no further chunk",
        })
    }
}

impl Error {
    /// The kind that crosses a service boundary.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { refusal, .. } => refusal.reason.kind(),
            Self::Unreachable { .. } | Self::Cut { .. } | Self::NoneAvailable { .. } => {
                ErrorKind::Unavailable
            }
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Malformed { .. } => ErrorKind::Internal,
            Self::Config { .. } => ErrorKind::Unsupported,
        }
    }

    /// Whether the same request to the same provider can succeed later with nothing changed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.retryable,
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Cut { .. }
            | Self::Malformed { .. }
            | Self::NoneAvailable { .. } => true,
            Self::Config { .. } => false,
        }
    }

    /// Whether another provider may answer the same request: everything but a fault of the request itself.
    pub fn another_may_answer(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => {
                !matches!(refusal.reason, Reason::Invalid | Reason::ContextTooLong | Reason::ContentFiltered)
            }
            Self::NoneAvailable { .. } => false,
            _ => true,
        }
    }

    /// Whether the provider is of no use to anybody until somebody acts: its key or its credit is at fault.
    pub fn sets_aside(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => {
                matches!(refusal.reason, Reason::BadKey | Reason::Forbidden | Reason::QuotaSpent)
            }
            Self::Config { .. } => true,
            _ => false,
        }
    }

    /// How long the provider wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { refusal, .. } => refusal.retry_after,
            Self::NoneAvailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What was spent in spite of the failure.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Cut { usage, .. } | Self::Timeout { usage, .. } => Some(*usage),
            _ => None,
        }
    }

    /// The failure as it crosses a service boundary.
    pub fn fault(&self) -> Fault {
        Fault { retry_after: self.retry_after(), ..Fault::new(self.kind(), self.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_request_is_not_taken_elsewhere_and_a_bad_key_is() {
        let refused = |reason| Error::Refused {
            provider: "p".into(),
            refusal: Refusal { reason, message: "no".into(), retry_after: None, retryable: false },
        };
        for reason in [Reason::Invalid, Reason::ContextTooLong, Reason::ContentFiltered] {
            assert!(!refused(reason).another_may_answer() && !refused(reason).sets_aside());
        }
        for reason in [Reason::BadKey, Reason::Forbidden, Reason::QuotaSpent] {
            assert!(refused(reason).another_may_answer() && refused(reason).sets_aside());
        }
    }

    #[test]
    fn the_fault_carries_kind_wait_and_message() {
        let wait = Some(Duration::from_secs(3));
        let because = Some("its key is wrong".to_owned());
        let fault = Error::NoneAvailable { retry_after: wait, because }.fault();
        assert_eq!((fault.kind, fault.retry_after), (ErrorKind::Unavailable, wait));
        assert_eq!(
            fault.message,
            "no provider can be tried now: its key is wrong; wait for one to recover, or configure another"
        );
    }
}
