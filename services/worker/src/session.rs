//! One `Work` stream from hello to its end.

use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::{Wire, sleep};
use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{Credits, Heartbeat, Hello, Results, WorkRequest};
use tidemill_proto::time::length;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::Worker;
use crate::metrics::{Figures, Open};
use crate::slots::{Outcome, Slots};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything that ran has finished and its results were taken.
    Drained,
    /// The scheduler closed the stream.
    Closed,
}

/// How long the outcomes of the last results are waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Works over one stream until it is drained, closed or lost. Says whether the scheduler took the worker in.
pub(crate) async fn work(
    worker: &Worker,
    mut scheduler: WorkerServiceClient<Wire>,
    figures: &Arc<Figures>,
    stop: &CancellationToken,
    welcomed: &mut bool,
) -> Result<End, Status> {
    let (say, said) = mpsc::channel(64);
    send(
        &say,
        Say::Hello(Hello {
            worker: worker.name.clone(),
            kinds: worker.handlers.keys().cloned().collect(),
            slots: worker.config.slots,
            ..Hello::default()
        }),
    )
    .await?;
    let mut hear = tokio::select! {
        opened = scheduler.work(ReceiverStream::new(said)) => opened?.into_inner(),
        // Nothing was leased yet.
        () = stop.cancelled() => return Ok(End::Drained),
    };
    let slots = Slots::new(Arc::clone(figures));
    let mut session = Session { worker, say, slots, unanswered: 0, draining: false, open: None };
    let mut beats = interval(Duration::from_secs(3));
    let mut last_words = None;
    loop {
        if session.draining && session.slots.len() == 0 {
            if session.unanswered == 0 {
                return Ok(End::Drained);
            }
            last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
        }
        tokio::select! {
            heard = hear.next() => match heard.transpose()? {
                Some(response) => if let Some(message) = response.message {
                    if let Hear::Welcome(welcome) = &message {
                        *welcomed = true;
                        if let Some(lease) = &welcome.lease_duration {
                            beats = interval(length(lease) / 3);
                        }
                    }
                    session.hear(message).await?;
                },
                None => return Ok(End::Closed),
            },
            ended = session.slots.next() => session.report(ended).await?,
            _ = beats.tick() => session.beat().await?,
            () = stop.cancelled(), if !session.draining => {
                info!(worker = worker.name, running = session.slots.len(), "draining");
                session.draining = true;
            }
            () = until(last_words), if last_words.is_some() => {
                warn!(
                    worker = worker.name, results = session.unanswered,
                    "the scheduler did not confirm the last results; unless it has them, their tasks are run again"
                );
                return Ok(End::Drained);
            }
        }
    }
}

/// Waits until this moment; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep(moment.saturating_duration_since(Instant::now())).await,
        None => std::future::pending().await,
    }
}

/// Ticks at this pace, the first time after one period.
fn interval(period: Duration) -> tokio::time::Interval {
    let period = period.max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The state of one stream.
struct Session<'a> {
    worker: &'a Worker,
    say: mpsc::Sender<WorkRequest>,
    slots: Slots,
    /// Results that were sent and not yet answered.
    unanswered: usize,
    draining: bool,
    /// What tells of its slots while the scheduler may fill them.
    open: Option<Open>,
}

impl Session<'_> {
    async fn hear(&mut self, message: Hear) -> Result<(), Status> {
        match message {
            Hear::Welcome(_) => {
                if !self.draining {
                    self.open = Some(self.slots.open(self.worker.config.slots));
                    send(&self.say, Say::Credits(Credits { count: self.worker.config.slots })).await?;
                }
            }
            Hear::Leases(leases) => {
                for lease in leases.leases {
                    self.slots.start(lease, &self.worker.handlers);
                }
            }
            Hear::Outcomes(outcomes) => {
                self.unanswered = self.unanswered.saturating_sub(outcomes.outcomes.len());
                for refused in outcomes.outcomes.iter().filter(|outcome| !outcome.accepted) {
                    debug!(task = refused.task_id, "the result came too late: the lease was over");
                }
            }
            Hear::Cancel(cancel) => cancel.task_ids.iter().for_each(|task| self.slots.cancel(task)),
            Hear::Drain(_) => self.draining = true,
            Hear::Shards(_) | Hear::Withdrawn(_) => {}
        }
        Ok(())
    }

    /// Keeps the leases of what runs.
    async fn beat(&self) -> Result<(), Status> {
        send(&self.say, Say::Heartbeat(Heartbeat { task_ids: self.slots.tasks(), ..Heartbeat::default() }))
            .await
    }

    /// Sends what has ended, all of it in one message, and asks for as many tasks again.
    async fn report(&mut self, first: Option<Outcome>) -> Result<(), Status> {
        let mut results = Results::default();
        let mut freed = 0;
        let mut ended = Some(first);
        while let Some(outcome) = ended {
            freed += 1;
            match outcome {
                Some(Outcome::Completed(completion)) => results.completions.push(completion),
                Some(Outcome::Failed(failure)) => results.failures.push(failure),
                None => {}
            }
            ended = self.slots.try_next();
        }
        let count = results.completions.len() + results.failures.len();
        if count > 0 {
            self.unanswered += count;
            send(&self.say, Say::Results(results)).await?;
        }
        if !self.draining {
            send(&self.say, Say::Credits(Credits { count: freed })).await?;
        }
        Ok(())
    }
}

async fn send(say: &mpsc::Sender<WorkRequest>, message: Say) -> Result<(), Status> {
    let request = WorkRequest { message: Some(message) };
    say.send(request).await.map_err(|_| Status::unavailable("the scheduler closed the stream"))
}
