//! What a kind of task asks of its owner: one function from an attempt to its outcome.

use async_trait::async_trait;
use tidemill_kernel::{ErrorKind, Timestamp};
use tidemill_proto::types::v1::{NewAnalysis, NewTask, Task};

use crate::report::Reports;

/// Runs tasks of one kind.
///
/// A worker of one's own is a handler and the scheduler's address:
///
/// ```no_run
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use tidemill_worker::{Attempt, Done, Failed, Handler, Schedulers, Worker};
/// use tokio_util::sync::CancellationToken;
///
/// struct Thumbnails;
///
/// #[async_trait]
/// impl Handler for Thumbnails {
///     async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
///         let from: usize = attempt.checkpoint_text().parse().unwrap_or(0);
///         for page in from..10 {
///             // ... draw it ...
///             attempt.progress(10.0 * page as f32, format!("{page} of 10 pages"));
///             attempt.save(page.to_string());
///         }
///         Ok(Done::with("{\"pages\": 10}"))
///     }
/// }
///
/// # async fn serve(stop: CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::new("thumbnails-1").kind("thumbnail", Arc::new(Thumbnails));
/// worker.run(Schedulers::at(&["localhost:7402".parse()?])?, stop).await;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt. Dropped when the attempt is cancelled, so nothing may be left half done at an `await`. A panic
    /// is a failure that a retry may mend.
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed>;

    /// Whether similar tasks that come together are to be run as one, by [`Handler::run_batch`].
    fn takes_batches(&self) -> bool {
        false
    }

    /// Runs similar tasks (same kind, same affinity) as one, and returns as many outcomes in their order. Not dropped when
    /// one of them is cancelled: its outcome no longer counts.
    async fn run_batch(&self, attempts: Vec<Attempt>) -> Vec<Result<Done, Failed>> {
        let mut outcomes = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            outcomes.push(self.run(attempt).await);
        }
        outcomes
    }
}

/// One attempt of one task, and the way to tell of it while it runs.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// The task as it stands.
    pub task: Task,
    /// What an earlier attempt saved; empty for a fresh start.
    pub checkpoint: Vec<u8>,
    pub(crate) reports: Reports,
}

impl From<Task> for Attempt {
    /// An attempt that nobody follows, for tests of handlers.
    fn from(task: Task) -> Self {
        Self { task, ..Self::default() }
    }
}

impl Attempt {
    /// The checkpoint as text; empty when there is none, or it is not text.
    pub fn checkpoint_text(&self) -> &str {
        std::str::from_utf8(&self.checkpoint).unwrap_or_default()
    }

    /// Says how far it has come, from 0 to 100 percent, with a note for people (at most 1 KiB). Cheap: what is said more
    /// often than it is sent is sent once.
    pub fn progress(&self, percent: f32, note: impl Into<String>) {
        self.reports.progress(percent, note.into());
    }

    /// Saves from where the next attempt can go on if this one fails, at most 64 KiB.
    pub fn save(&self, checkpoint: impl Into<Vec<u8>>) {
        self.reports.save(checkpoint.into());
    }

    /// Lets no task of the same tenant under this key start before the moment: a limit was met that holds for them too.
    pub fn close_key(&self, key: impl Into<String>, until: Timestamp, reason: impl Into<String>) {
        self.reports.close_key(key.into(), until, reason.into());
    }
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

impl Done {
    /// Done with this result and nothing else.
    pub fn with(result: impl Into<String>) -> Self {
        Self { result: result.into(), ..Self::default() }
    }
}

/// A failed attempt, or one that was put off.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What went wrong and how to mend it, for the reader of the dead letter.
    pub error: String,
    /// Whether another attempt can help.
    pub retryable: bool,
    /// Not before this moment, where it is known.
    pub not_before: Option<Timestamp>,
    /// The kind of the error, which the task may name as one that no retry mends; may be empty.
    pub kind: String,
    /// Put off until `not_before`, which must be known: none of the task's attempts is spent.
    pub snoozed: bool,
}

impl Failed {
    /// A failure that no retry mends.
    pub fn for_good(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }

    /// A failure that a retry may mend.
    pub fn for_now(error: impl Into<String>) -> Self {
        Self { error: error.into(), retryable: true, ..Self::default() }
    }

    /// Not now: the task waits until this moment, and none of its attempts is spent.
    pub fn snooze(until: Timestamp, reason: impl Into<String>) -> Self {
        Self { not_before: Some(until), snoozed: true, ..Self::for_now(reason) }
    }

    /// A failed call: retried when the callee was away, full, late or broken, not when it refused the request.
    pub fn from_status(status: &tonic::Status) -> Self {
        let kind = ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2));
        let retryable = kind.is_transient() || matches!(kind, ErrorKind::Internal | ErrorKind::Cancelled);
        Self { error: status.message().to_owned(), retryable, ..Self::default() }
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
