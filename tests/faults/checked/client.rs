//! The clients: each submits under keys, asks again elsewhere until it is answered, says some things twice, cancels a few.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidemill_chassis::discovery::Address;
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::Id;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::{CancelTaskRequest, SubmitTasksRequest, SubmittedTask};
use tidemill_proto::time::duration;
use tidemill_proto::types::v1::{NewTask, RetryPolicy, TaskOptions};
use tidemill_scheduling::checker::{Event, Moment, Queue};
use tidemill_tests::harness::poll;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::TENANTS;
use super::log::Log;

/// What has to be done.
pub(crate) const KINDS: [&str; 2] = ["a", "b"];
/// How long a client waits for an answer before it asks another scheduler.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it goes on asking.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A scheduler as tenants see it.
pub(crate) type Scheduling = SchedulingServiceClient<Wire>;

/// How tasks are tried again: soon.
pub(crate) fn options() -> Option<Box<TaskOptions>> {
    let retry = RetryPolicy {
        initial: Some(duration(Duration::from_millis(100))),
        maximum: Some(duration(Duration::from_secs(2))),
        final_kinds: Vec::new(),
    };
    Some(Box::new(TaskOptions { retry: Some(retry), ..TaskOptions::default() }))
}

/// One call: tasks of one tenant under keys, and when it was asked the first time.
#[derive(Clone)]
struct Submission {
    tenant: &'static str,
    tasks: Vec<NewTask>,
    asked: Moment,
}

/// A client at work.
pub(crate) struct Client {
    number: u64,
    schedulers: Vec<Scheduling>,
    log: Arc<Log>,
    rng: StdRng,
    /// What was acknowledged and is to be said once more.
    again: VecDeque<Submission>,
}

/// The clients' side of these schedulers.
pub(crate) fn connect(addresses: &[Address]) -> Result<Vec<Scheduling>> {
    let most = 64 << 20;
    let one =
        |address| Ok(Scheduling::new(super::wire("scheduling", address)?).max_decoding_message_size(most));
    addresses.iter().map(one).collect()
}

/// What makes a call this tenant's.
pub(crate) fn context(tenant: &str) -> Result<Context> {
    Ok(Context::for_tenant(tenant.parse()?))
}

/// An answer in time, or the fault.
pub(crate) async fn in_time<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded("no answer in time");
    Ok(timeout(PATIENCE, call).await.map_err(late)??.into_inner())
}

impl Client {
    /// A client that knows these schedulers.
    pub(crate) fn new(number: u64, seed: u64, addresses: &[Address], log: Arc<Log>) -> Result<Self> {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(31) ^ number);
        Ok(Self { number, schedulers: connect(addresses)?, log, rng, again: VecDeque::new() })
    }

    /// Submits until it is told to stop.
    pub(crate) async fn work(mut self, stop: CancellationToken) -> Result<()> {
        for count in 0.. {
            if stop.is_cancelled() {
                break;
            }
            let submission = match self.rng.random_bool(0.1).then(|| self.again.pop_front()).flatten() {
                Some(old) => old,
                None => self.draw(count),
            };
            let first = self.rng.random_range(0..self.schedulers.len());
            let ids = if self.rng.random_bool(0.15) {
                // The same at once, to both.
                let both = (self.submit(&submission, first), self.submit(&submission, first + 1));
                let (one, other) = tokio::try_join!(both.0, both.1)?;
                self.note(&submission, &other);
                one
            } else {
                self.submit(&submission, first).await?
            };
            self.note(&submission, &ids);
            if self.rng.random_bool(0.05)
                && let Some(id) = ids.first()
            {
                self.cancel(submission.tenant, *id).await?;
            } else if self.rng.random_bool(0.2) {
                self.again.push_back(submission);
            }
            poll::pass(Duration::from_millis(self.rng.random_range(20..160))).await;
        }
        Ok(())
    }

    fn draw(&mut self, count: u64) -> Submission {
        let rng = &mut self.rng;
        let (priority, kind) = ([1, 2, 2, 3][rng.random_range(0..4)], KINDS[rng.random_range(0..2)]);
        let max_attempts = [1, 3, 5, 50][rng.random_range(0..4)];
        let task = |place: usize| NewTask {
            kind: kind.to_owned(),
            priority,
            key: format!("{}-{count}-{place}", self.number),
            max_attempts,
            options: options(),
            ..NewTask::default()
        };
        let tasks = (0..[1, 1, 1, 2, 4, 10][rng.random_range(0..6)]).map(task).collect();
        Submission { tenant: TENANTS[rng.random_range(0..TENANTS.len())], tasks, asked: self.log.now() }
    }

    /// Asks until it is answered, the schedulers in turn.
    async fn submit(&self, submission: &Submission, first: usize) -> Result<Vec<Id>> {
        let context = context(submission.tenant)?;
        let turn = AtomicUsize::new(first);
        let ask = || async {
            let turn = turn.fetch_add(1, Ordering::Relaxed) % self.schedulers.len();
            let mut scheduler = self.schedulers[turn].clone();
            let request = context.request(SubmitTasksRequest { tasks: submission.tasks.clone() });
            match in_time(scheduler.submit_tasks(request)).await {
                Ok(answer) => Some(Ok(answer.tasks)),
                Err(fault) if fault.code() == Code::InvalidArgument => Some(Err(fault)),
                // Told that it may not have happened: under a key the same again is right, whatever did.
                Err(_) => None,
            }
        };
        let tasks: Vec<SubmittedTask> = poll::until("a scheduler takes the tasks", LIMIT, ask).await??;
        ensure!(tasks.len() == submission.tasks.len(), "{} answers", tasks.len());
        tasks.iter().map(|task| Ok(task.id.parse()?)).collect()
    }

    fn note(&self, submission: &Submission, ids: &[Id]) {
        for (task, id) in submission.tasks.iter().zip(ids) {
            let (tenant, kind) = (submission.tenant.to_owned(), task.kind.clone());
            self.log.note(Event::Submitted {
                task: *id,
                queue: Queue { tenant, priority: task.priority, kind },
                key: task.key.clone(),
                asked: submission.asked,
                at: self.log.now(),
                delayed: false,
                max_attempts: u32::try_from(task.max_attempts).unwrap_or_default(),
            });
        }
    }

    /// Asks once: whether it happened is seen at the end.
    async fn cancel(&mut self, tenant: &str, task: Id) -> Result<()> {
        self.log.note(Event::Steered { task, at: self.log.now() });
        let scheduler = self.rng.random_range(0..self.schedulers.len());
        let request = context(tenant)?.request(CancelTaskRequest { id: task.to_string() });
        let _ = in_time(self.schedulers[scheduler].cancel_task(request)).await;
        Ok(())
    }
}
