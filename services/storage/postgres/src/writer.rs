//! Steps as transactions: run, committed, tried again when they lost against another or lost their connection.
//!
//! A commit whose answer got lost with the connection is not guessed at and not tried again: the caller is told that
//! the store does not answer, and sends the same again, as the port's steps allow.

mod lanes;
mod step;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection};
use tidemill_kernel::backoff::{Backoff, Jitter};
use tidemill_store::{Error, Result};

pub(crate) use lanes::Lanes;
pub(crate) use step::{Statement, Step};

use crate::database::Database;
use crate::error::{is_contended, is_lost};
use crate::ledger::{self, FOLD_AFTER};

/// How long a step waits before it is tried again: long enough for the other one to end.
const AGAIN: Backoff =
    Backoff { base: Duration::from_millis(5), cap: Duration::from_millis(500), jitter: Jitter::Full };

/// A step of the port that writes.
#[async_trait]
pub(crate) trait Write: Sized + Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// About how large its rows are.
    fn bytes(&self) -> usize {
        0
    }

    /// Runs the calls: an output for each, in order, or an error of one of them. More than one come only if the step
    /// has [`Lanes`]; running them together must do what running them in turn does. It may be run again.
    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Self::Output>>;

    /// The same by one statement that commits by itself: one round trip instead of three. None, and nothing done, if it
    /// takes more than that. It adds no changes to the step.
    async fn run_at_once(_calls: &[Self], _step: &mut Step<'_>) -> Option<Outcome<Vec<Self::Output>>> {
        None
    }
}

/// What a step gives.
pub(crate) type Outcome<T> = std::result::Result<T, Stop>;

/// Why a step was not taken.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It may not be: the caller's error.
    Refused(Error),
    /// The database failed before the commit; nothing of it stays.
    Failed(sqlx::Error),
    /// The connection was lost while it was committed.
    Unknown(sqlx::Error),
}

impl Stop {
    /// The same of a statement that commits: when the connection was lost, it may have been committed.
    fn at_commit(self) -> Self {
        match self {
            Self::Failed(error) if is_lost(&error) => Self::Unknown(error),
            stop => stop,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl Database {
    /// Runs one step and answers when it is durable.
    pub(crate) async fn write<W: Write>(self: &Arc<Self>, call: W) -> Result<W::Output> {
        let outputs = self.transact(&[call]).await?;
        outputs.into_iter().next().ok_or_else(|| Error::Internal("a step gave no answer".to_owned()))
    }

    /// Runs calls in one transaction.
    pub(crate) async fn transact<W: Write>(self: &Arc<Self>, calls: &[W]) -> Result<Vec<W::Output>> {
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match Box::pin(self.attempt(calls)).await {
                Ok(outputs) => return Ok(outputs),
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Failed(error)) => error,
                Err(Stop::Unknown(error)) => {
                    self.forget_tenants();
                    let fault = self.settings.server.failed(&error);
                    return Err(Error::Unavailable(format!(
                        "{fault} (at the commit, which may have happened)"
                    )));
                }
            };
            let lost = is_lost(&error);
            if lost {
                self.forget_tenants();
            }
            if !(lost || is_contended(&error)) || tried >= self.settings.tries {
                return Err(self.settings.server.failed(&error));
            }
            tracing::debug!(%error, tried, "a step is tried again");
            self.pause(tried).await;
        }
    }

    async fn attempt<W: Write>(self: &Arc<Self>, calls: &[W]) -> Outcome<Vec<W::Output>> {
        let mut taken = self.acquire().await?;
        let outcome = self.attempt_on(&mut taken.connection, calls).await;
        match &outcome {
            Ok(_) => self.keep(taken),
            Err(Stop::Refused(_)) => {}
            Err(Stop::Failed(_) | Stop::Unknown(_)) => self.let_go(),
        }
        outcome
    }

    async fn attempt_on<W: Write>(
        self: &Arc<Self>,
        connection: &mut PgConnection,
        calls: &[W],
    ) -> Outcome<Vec<W::Output>> {
        // A pooler that shares connections could give each message of a statement another one.
        if self.settings.persistent {
            let mut step = Step::new(connection, self);
            if let Some(outcome) = W::run_at_once(calls, &mut step).await {
                let changes = step.counted;
                return outcome.inspect(|_| self.committed(changes)).map_err(Stop::at_commit);
            }
        }
        let mut transaction = connection.begin_with(self.settings.begin_write()).await?;
        let mut step = Step::new(&mut transaction, self);
        let done = match W::run(calls, &mut step).await {
            Ok(outputs) => step.save_changes().await.map(|changes| (outputs, changes)),
            Err(stop) => Err(stop),
        };
        match done {
            Ok((outputs, changes)) => {
                transaction.commit().await.map_err(|error| Stop::Failed(error).at_commit())?;
                self.committed(changes);
                Ok(outputs)
            }
            Err(stop) => {
                // Its locks go now, not when the connection is used next.
                let _ = transaction.rollback().await;
                Err(stop)
            }
        }
    }

    fn committed(self: &Arc<Self>, changes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if self.unfolded.fetch_add(changes, Ordering::Relaxed) + changes > FOLD_AFTER {
            self.unfolded.store(0, Ordering::Relaxed);
            let database = Arc::clone(self);
            tokio::spawn(async move { ledger::fold(&database).await });
        }
    }

    #[expect(clippy::disallowed_methods, reason = "what is waited for is another program's transaction")]
    async fn pause(&self, tried: u32) {
        let delay = AGAIN.delay(tried, &mut *self.jitter.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::time::sleep(delay).await;
    }
}
