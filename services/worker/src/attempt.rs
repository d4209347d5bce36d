//! One attempt as something to be run: its handler, its span, its figures, its panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tidemill_chassis::telemetry::span;
use tidemill_proto::types::v1::Task;
use tokio::sync::mpsc::UnboundedSender;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::handler::{Attempt, Done, Failed, Handler};
use crate::metrics::Figures;
use crate::pool::{Job, Ran, Ticket};
use crate::report::{Report, Reports};
use crate::runners::{End, Work};

/// What every attempt of a worker needs.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) figures: Arc<Figures>,
    pub(crate) reports: UnboundedSender<Report>,
}

impl Workshop {
    /// An attempt of its own. Without a handler it fails: the kind was never asked for.
    pub(crate) fn single(&self, job: Job, handler: Option<Arc<dyn Handler>>) -> (Option<Ticket>, Work) {
        let (ticket, mut attempt) = self.attempt(job);
        let span = attempt_span(&mut attempt.task, 1);
        let running = self.figures.begin(&attempt.task.kind);
        let work = async move {
            let result = match handler {
                Some(handler) => {
                    let run = AssertUnwindSafe(handler.run(attempt)).catch_unwind();
                    run.await.unwrap_or_else(|_| Err(panicked()))
                }
                None => {
                    let kind = attempt.task.kind;
                    Err(Failed::for_now(format!("this worker does not run `{kind}` tasks")))
                }
            };
            if result.is_err() {
                Span::current().record("otel.status_code", "ERROR");
            }
            running.ended(result.is_ok());
            End::One(Ran::Ended(ticket, result))
        };
        (Some(ticket), Box::pin(work.instrument(span)))
    }

    /// Similar attempts as one, which cannot be stopped singly.
    pub(crate) fn batch(&self, jobs: Vec<Job>, handler: Arc<dyn Handler>) -> (Option<Ticket>, Work) {
        let (tickets, mut attempts): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| self.attempt(job)).unzip();
        let count = attempts.len();
        let span = attempts.first_mut().map(|first| attempt_span(&mut first.task, count));
        let kind = attempts.first().map_or("", |first| first.task.kind.as_str());
        let running: Vec<_> = attempts.iter().map(|_| self.figures.begin(kind)).collect();
        let work = async move {
            let run = AssertUnwindSafe(handler.run_batch(attempts)).catch_unwind();
            let mut results = run.await.unwrap_or_else(|_| vec![Err(panicked()); count]);
            results.resize(count, Err(Failed::for_now("the handler of the batch said nothing of this task")));
            let end =
                |((ticket, running), result): ((Ticket, crate::metrics::Running), Result<Done, Failed>)| {
                    running.ended(result.is_ok());
                    Ran::Ended(ticket, result)
                };
            End::Many(tickets.into_iter().zip(running).zip(results).map(end).collect())
        };
        (None, Box::pin(work.instrument(span.unwrap_or_else(Span::none))))
    }

    fn attempt(&self, Job { ticket, task, checkpoint }: Job) -> (Ticket, Attempt) {
        (ticket, Attempt { task: *task, checkpoint, reports: Reports::of(ticket, self.reports.clone()) })
    }
}

fn panicked() -> Failed {
    Failed::for_now("the handler met a defect of its own (it panicked); the worker's log says more")
}

/// The span of an attempt, or of several as one. It belongs to the trace of whoever caused the task, to whom it is linked too,
/// and what it calls belongs to the attempt. Attributes follow OpenTelemetry's semantic conventions for messaging.
fn attempt_span(task: &mut Task, count: usize) -> Span {
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
        messaging.batch.message_count = (count > 1).then_some(count),
        tidemill.attempt = task.attempt,
        tidemill.tenant = task.tenant,
    );
    if let Some(own) = span::begin(&span, Some(&task.trace_parent)) {
        span::link(&span, &task.trace_parent);
        task.trace_parent = own;
    }
    span
}
