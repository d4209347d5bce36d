//! What a kind of task asks of its owner: one function from an attempt to its outcome.

use async_trait::async_trait;
use tidemill_kernel::{ErrorKind, Timestamp};
use tidemill_proto::types::v1::{NewAnalysis, NewTask, Task};

/// Runs tasks of one kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt. Dropped when the attempt is cancelled, so nothing may be left half done at an `await`.
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed>;
}

/// One attempt of one task.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The task as it stands.
    pub task: Task,
}

/// A finished attempt: everything in it commits together, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// What the task returns; JSON by convention.
    pub result: String,
    /// The analysis of a match, if the task made one.
    pub analysis: Option<NewAnalysis>,
    /// Tasks of the same tenant that follow.
    pub follow_ups: Vec<NewTask>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What went wrong and how to mend it, for the reader of the dead letter.
    pub error: String,
    /// Whether another attempt can help.
    pub retryable: bool,
    /// Not before this moment, where it is known.
    pub not_before: Option<Timestamp>,
}

impl Failed {
    /// A failure that no retry mends.
    pub fn for_good(error: impl Into<String>) -> Self {
        Self { error: error.into(), retryable: false, not_before: None }
    }

    /// A failure that a retry may mend.
    pub fn for_now(error: impl Into<String>) -> Self {
        Self { error: error.into(), retryable: true, not_before: None }
    }

    /// A failed call: retried when the callee was away, full, late or broken, not when it refused the request.
    pub fn from_status(status: &tonic::Status) -> Self {
        let kind = ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2));
        let retryable = kind.is_transient() || matches!(kind, ErrorKind::Internal | ErrorKind::Cancelled);
        Self { error: status.message().to_owned(), retryable, not_before: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_is_not_retried_and_an_absent_callee_is() {
        assert!(!Failed::from_status(&tonic::Status::invalid_argument("no")).retryable);
        assert!(Failed::from_status(&tonic::Status::unavailable("away")).retryable);
        assert!(Failed::from_status(&tonic::Status::unknown("?")).retryable);
    }
}
