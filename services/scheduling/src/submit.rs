//! Group commit across callers: the submissions that came while a call of the store was under way share the next one. None
//! waits for company here: with calls of their own a wait for those who were just answered took more than it gave; on a shared
//! stream it pays (`stream`).

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use tidemill_chassis::{FaultExt, Wire, Written, fault};
use tidemill_kernel::Id;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::{NewTask, Task, TaskState};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tonic::{Request, Status};
use tracing::{Instrument, Span};

use crate::actor::Handle;
use crate::engine::Event;

/// The most tasks of one call of the store.
const MOST: usize = 4_000;
/// About the most bytes of one.
const BYTES: usize = 8 << 20;
/// How many calls are under way at once: while one is made durable, the next gathers.
const AT_ONCE: usize = 2;
/// So many tasks are worth a call of their own while another one is under way.
const MANY: usize = 500;

/// What a caller gets: what became of his tasks, and what to read behind.
pub(crate) type Answer = Result<(Vec<store::AppendedTask>, Written), Status>;

/// One caller's tasks.
struct Submission {
    tenant: String,
    tasks: Vec<NewTask>,
    span: Span,
    answer: oneshot::Sender<Answer>,
}

/// The way to the group. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Submitter(mpsc::UnboundedSender<Submission>);

impl Submitter {
    /// Begins to gather; ends when the last way to it is gone.
    pub(crate) fn start(tasks: TaskStoreServiceClient<Wire>, handle: Handle) -> Self {
        let (sender, submissions) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(submissions));
        let turn = Arc::<Mutex<()>>::default();
        for _ in 0..AT_ONCE {
            let (waiting, turn) = (Arc::clone(&waiting), Arc::clone(&turn));
            let lane = Lane { tasks: tasks.clone(), handle: handle.clone(), waiting, turn };
            tokio::spawn(lane.run());
        }
        Self(sender)
    }

    /// Stores tasks of one tenant, all or none; answers when they are durable.
    pub(crate) async fn submit(&self, tenant: String, tasks: Vec<NewTask>, span: Span) -> Answer {
        let (answer, answered) = oneshot::channel();
        let stopping = || Status::unavailable("the scheduler is stopping; send the same again in a moment");
        self.0.send(Submission { tenant, tasks, span, answer }).map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

/// Takes turns with others at the submissions that wait.
struct Lane {
    tasks: TaskStoreServiceClient<Wire>,
    handle: Handle,
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<Submission>>>,
    /// The turn of small groups: one at a time, so that what waits meanwhile goes together.
    turn: Arc<Mutex<()>>,
}

impl Lane {
    async fn run(self) {
        loop {
            let mut waiting = self.waiting.lock().await;
            let Some(first) = waiting.recv().await else { return };
            let mut group = Group::of(first);
            let _turn = group.until_its_turn(&mut waiting, &self.turn).await;
            drop(waiting);
            self.store(group.submissions).await;
        }
    }

    /// Stores a group. If it is refused, each caller's tasks are stored alone, so that only the one at fault hears of it.
    async fn store(&self, group: Vec<Submission>) {
        match self.append(&group).await {
            Ok((appended, written)) => {
                for (submission, tasks) in group.into_iter().zip(appended) {
                    self.answer(submission, Ok((tasks, written.clone())));
                }
            }
            Err(fault) if group.len() > 1 && is_refusal(&fault) => {
                for submission in group {
                    let one = std::slice::from_ref(&submission);
                    let stored = self.append(one).await;
                    let first = |(appended, written): (Vec<Vec<_>>, _)| {
                        (appended.into_iter().next().unwrap_or_default(), written)
                    };
                    self.answer(submission, stored.map(first));
                }
            }
            Err(fault) => group.into_iter().for_each(|one| self.answer(one, Err(fault.clone()))),
        }
    }

    /// Stores a group in one step, each tenant's tasks together; what became of each caller's.
    async fn append(&self, group: &[Submission]) -> Result<(Vec<Vec<store::AppendedTask>>, Written), Status> {
        let mut batches: Vec<store::TenantTasks> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for one in group {
            let place = *places.entry(&one.tenant).or_insert(batches.len());
            if place == batches.len() {
                batches.push(store::TenantTasks { tenant: one.tenant.clone(), tasks: Vec::new() });
            }
            batches[place].tasks.extend(one.tasks.iter().cloned());
        }
        let span = group.first().map_or_else(Span::none, |first| first.span.clone());
        let request = Request::new(store::AppendTasksRequest { batches });
        let stored = self.tasks.clone().append_tasks(request).instrument(span).await;
        let answer = stored.map_err(|fault| if group.len() == 1 { of_the_caller(&fault) } else { fault })?;
        let written = Written::of(&answer);
        let mut appended: Vec<_> =
            answer.into_inner().batches.into_iter().map(|batch| batch.tasks.into_iter()).collect();
        let of = |one: &Submission| {
            let batch = places.get(one.tenant.as_str()).and_then(|place| appended.get_mut(*place));
            batch.map_or_else(Vec::new, |batch| batch.take(one.tasks.len()).collect())
        };
        Ok((group.iter().map(of).collect(), written))
    }

    /// Tells the engine of what was stored, then the caller.
    fn answer(&self, submission: Submission, stored: Answer) {
        if let Ok((appended, _)) = &stored {
            let new = submission.tasks.into_iter().zip(appended).filter(|(_, appended)| !appended.duplicate);
            let tasks: Vec<Task> =
                new.filter_map(|(task, appended)| waiting(&submission.tenant, task, &appended.id)).collect();
            if !tasks.is_empty() {
                self.handle.tell(Event::Appended(tasks));
            }
        }
        // A caller that has gone away needs no answer.
        let _ = submission.answer.send(stored);
    }
}

/// Submissions that share a call.
struct Group {
    submissions: Vec<Submission>,
    tasks: usize,
    bytes: usize,
}

impl Group {
    fn of(first: Submission) -> Self {
        let mut group = Self { submissions: Vec::new(), tasks: 0, bytes: 0 };
        group.push(first);
        group
    }

    fn push(&mut self, one: Submission) {
        self.tasks += one.tasks.len();
        self.bytes += one.tasks.iter().map(|task| 100 + task.payload.len()).sum::<usize>();
        self.submissions.push(one);
    }

    fn is_full(&self) -> bool {
        self.tasks >= MOST || self.bytes >= BYTES
    }

    /// Takes in what waits already.
    fn fill(&mut self, waiting: &mut mpsc::UnboundedReceiver<Submission>) {
        while !self.is_full() {
            let Ok(next) = waiting.try_recv() else { return };
            self.push(next);
        }
    }

    /// Grows until it is the turn of small groups, or until it is none.
    async fn until_its_turn(
        &mut self,
        waiting: &mut mpsc::UnboundedReceiver<Submission>,
        turn: &Arc<Mutex<()>>,
    ) -> Option<OwnedMutexGuard<()>> {
        let mut its_turn = pin!(Arc::clone(turn).lock_owned());
        loop {
            self.fill(waiting);
            if self.tasks >= MANY {
                return None;
            }
            tokio::select! {
                biased;
                turn = &mut its_turn => return Some(turn),
                Some(next) = waiting.recv() => self.push(next),
            }
        }
    }
}

/// A task that was just stored, as the store would tell of it.
pub(crate) fn waiting(tenant: &str, new: NewTask, id: &str) -> Option<Task> {
    let created_at = from_micros(id.parse::<Id>().ok()?.moment().as_micros());
    Some(Task {
        id: id.to_owned(),
        tenant: tenant.to_owned(),
        kind: new.kind,
        // Not said is normal, as the store has it.
        priority: if new.priority == 0 { 2 } else { new.priority },
        payload: new.payload,
        key: new.key,
        state: TaskState::Waiting.into(),
        max_attempts: if new.max_attempts == 0 { 5 } else { new.max_attempts },
        run_at: Some(new.run_at.unwrap_or(created_at)),
        created_at: Some(created_at),
        trace_parent: new.trace_parent,
        keep: new.keep,
        options: new.options,
        group: new.group,
        ..Task::default()
    })
}

/// A refusal of one caller's tasks, in the words of what he sent: he knows nothing of batches.
fn of_the_caller(status: &Status) -> Status {
    const OURS: &str = "batches[0].";
    let mut fault = fault::from_status(status);
    if fault.violations.is_empty() {
        return status.clone();
    }
    fault.message = fault.message.replacen(OURS, "", 1);
    for violation in &mut fault.violations {
        violation.field = violation.field.trim_start_matches(OURS).to_owned();
    }
    fault.into_status()
}

/// Whether the store refused what was sent, so that a part of it may be taken.
pub(crate) fn is_refusal(fault: &Status) -> bool {
    use tonic::Code::{AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, OutOfRange};
    matches!(fault.code(), AlreadyExists | FailedPrecondition | InvalidArgument | NotFound | OutOfRange)
}
