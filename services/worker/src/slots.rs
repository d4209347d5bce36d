//! The attempts that run: spawned, finished, cancelled. Each ends in exactly one outcome or in its cancellation.

use std::collections::HashMap;
use std::sync::Arc;

use tidemill_chassis::telemetry::span;
use tidemill_proto::types::v1::{Completion, Failure, Lease};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::{Instrument, info_span};

use crate::handler::{Attempt, Done, Failed, Handler};

/// The outcome of one attempt, ready to be sent.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It succeeded.
    Completed(Completion),
    /// It failed.
    Failed(Failure),
}

/// A lease by task and token.
#[derive(Debug, Clone)]
struct Held {
    task: String,
    token: String,
}

/// The attempts that run.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    running: JoinSet<Result<Done, Failed>>,
    held: HashMap<Id, Held>,
    by_task: HashMap<String, AbortHandle>,
}

impl Slots {
    /// How many attempts run.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// The tasks of the attempts that run, or have ended and are not yet reported.
    pub(crate) fn tasks(&self) -> Vec<String> {
        self.held.values().map(|held| held.task.clone()).collect()
    }

    /// Starts an attempt. A lease without a task or of a kind that was never asked for fails at once.
    pub(crate) fn start(&mut self, lease: Lease, handlers: &HashMap<String, Arc<dyn Handler>>) {
        let Some(mut task) = lease.task else { return };
        let held = Held { task: task.id.clone(), token: lease.token };
        let handler = handlers.get(&task.kind).cloned();
        // The attempt belongs to the trace of whoever caused the task, and what it calls belongs to the attempt.
        let span = info_span!(
            "task",
            otel.name = format!("process {}", task.kind),
            otel.kind = "consumer",
            messaging.operation.type = "process",
            messaging.destination.name = task.kind,
            tidemill.task = task.id,
            tidemill.tenant = task.tenant,
        );
        if let Some(own) = span::begin(&span, Some(&task.trace_parent)) {
            task.trace_parent = own;
        }
        let attempt = async move {
            match handler {
                Some(handler) => handler.run(Attempt { task }).await,
                None => Err(Failed::for_now(format!("this worker does not run `{}` tasks", task.kind))),
            }
        };
        let handle = self.running.spawn(attempt.instrument(span));
        self.by_task.insert(held.task.clone(), handle.clone());
        self.held.insert(handle.id(), held);
    }

    /// Ends an attempt without an outcome.
    pub(crate) fn cancel(&mut self, task: &str) {
        if let Some(handle) = self.by_task.get(task) {
            handle.abort();
        }
    }

    /// Waits for the next attempt to end; pending for ever while none runs. None for a cancelled one.
    pub(crate) async fn next(&mut self) -> Option<Outcome> {
        match self.running.join_next_with_id().await {
            Some(ended) => self.outcome(ended),
            None => std::future::pending().await,
        }
    }

    /// Another attempt that has ended already.
    pub(crate) fn try_next(&mut self) -> Option<Option<Outcome>> {
        let ended = self.running.try_join_next_with_id()?;
        Some(self.outcome(ended))
    }

    fn outcome(&mut self, ended: Result<(Id, Result<Done, Failed>), JoinError>) -> Option<Outcome> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(fault) => fault.id(),
        };
        let Held { task, token } = self.held.remove(&id)?;
        // Another attempt of the same task may have begun since this one was cancelled.
        if self.by_task.get(&task).is_some_and(|handle| handle.id() == id) {
            self.by_task.remove(&task);
        }
        let result = match ended {
            Ok((_, result)) => result,
            Err(fault) if fault.is_cancelled() => return None,
            Err(_) => Err(Failed::for_now(
                "the handler met a defect of its own (it panicked); the worker's log says more",
            )),
        };
        Some(match result {
            Ok(Done { result, analysis, follow_ups }) => {
                Outcome::Completed(Completion { task_id: task, token, result, analysis, follow_ups })
            }
            Err(Failed { error, retryable, not_before }) => Outcome::Failed(Failure {
                task_id: task,
                token,
                error,
                retryable,
                not_before: not_before.map(|moment| tidemill_proto::time::from_micros(moment.as_micros())),
            }),
        })
    }
}
