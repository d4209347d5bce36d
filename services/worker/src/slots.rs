//! The attempts that run: spawned, finished, cancelled. Each ends in exactly one outcome or in its cancellation.

use std::collections::HashMap;
use std::sync::Arc;

use tidemill_chassis::telemetry::span;
use tidemill_proto::types::v1::{Completion, Failure, Lease, Task};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::handler::{Attempt, Done, Failed, Handler};
use crate::metrics::{Figures, Open};

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
#[derive(Debug)]
pub(crate) struct Slots {
    figures: Arc<Figures>,
    running: JoinSet<Result<Done, Failed>>,
    held: HashMap<Id, Held>,
    by_task: HashMap<String, AbortHandle>,
}

impl Slots {
    /// None run yet.
    pub(crate) fn new(figures: Arc<Figures>) -> Self {
        Self { figures, running: JoinSet::new(), held: HashMap::new(), by_task: HashMap::new() }
    }

    /// Tells that so many may run at once.
    pub(crate) fn open(&self, slots: u32) -> Open {
        self.figures.open(slots)
    }

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
        let span = attempt_span(&mut task);
        let running = self.figures.begin(&task.kind);
        let attempt = async move {
            let result = match handler {
                Some(handler) => handler.run(Attempt { task }).await,
                None => Err(Failed::for_now(format!("this worker does not run `{}` tasks", task.kind))),
            };
            if result.is_err() {
                Span::current().record("otel.status_code", "ERROR");
            }
            running.ended(result.is_ok());
            result
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
                kind: String::new(),
                task_id: task,
                token,
                error,
                retryable,
                not_before: not_before.map(|moment| tidemill_proto::time::from_micros(moment.as_micros())),
            }),
        })
    }
}

/// The span of an attempt. It belongs to the trace of whoever caused the task, to whom it is linked too, and what it calls
/// belongs to the attempt. Attributes follow OpenTelemetry's semantic conventions for messaging.
fn attempt_span(task: &mut Task) -> Span {
    let span = info_span!(
        "task",
        otel.name = format!("process {}", task.kind),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "tidemill",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = task.kind,
        messaging.message.id = task.id,
        tidemill.attempt = task.attempt,
        tidemill.tenant = task.tenant,
    );
    if let Some(own) = span::begin(&span, Some(&task.trace_parent)) {
        span::link(&span, &task.trace_parent);
        task.trace_parent = own;
    }
    span
}
