//! The tenants' side of the gRPC service: decode, ask the task store, wake the engine, encode.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use tidemill_chassis::telemetry::span;
use tidemill_chassis::{Context, FaultExt, Wire, Written};
use tidemill_kernel::{ErrorKind, Fault, Id, Priority, TenantName};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::scheduling_service_server::SchedulingService;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::time::{duration, length};
use tidemill_proto::types::v1::{NewTask, TaskState};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::info_span;

use crate::actor::Handle;
use crate::bulk::{Done, Wish};
use crate::engine::{Answer, Changed, Event, Question, Refused, Submission};
use crate::stream;
use crate::submit::{Submitter, is_refusal};
use crate::waits::Waits;

/// The shortest time between two messages of a watched queue.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);

/// The most tasks of one request.
const MOST_TASKS: usize = 1_000;

/// The service.
#[derive(Debug, Clone)]
pub struct Scheduling {
    tasks: TaskStoreServiceClient<Wire>,
    submitter: Submitter,
    handle: Handle,
    waits: Waits,
    /// Whether plain tasks may be refused too.
    is_guarded: bool,
}

impl Scheduling {
    pub(crate) fn new(
        tasks: TaskStoreServiceClient<Wire>,
        submitter: Submitter,
        handle: Handle,
        waits: Waits,
        is_guarded: bool,
    ) -> Self {
        Self { tasks, submitter, handle, waits, is_guarded }
    }

    /// Queues tasks of the caller's tenant, all or none.
    pub(crate) async fn queue_tasks(
        &self,
        context: &Context,
        mut tasks: Vec<NewTask>,
    ) -> crate::submit::Answer {
        let tenant = context.tenant()?.to_string();
        let span = info_span!(
            "send",
            otel.name = "send tasks",
            otel.kind = "producer",
            messaging.system = "tidemill",
            messaging.operation.name = "submit",
            messaging.operation.type = "send",
            messaging.destination.name = one_kind(&tasks),
            messaging.batch.message_count = tasks.len(),
            tidemill.tenant = tenant,
        );
        let own = span::begin(&span, context.trace_parent.as_deref());
        let context = Context { trace_parent: own.or(context.trace_parent.clone()), ..context.clone() };
        if let Some(trace_parent) = &context.trace_parent {
            tasks.iter_mut().for_each(|task| task.trace_parent.clone_from(trace_parent));
        }
        self.check_dependencies(&context, &tasks).await?;
        self.admit(&context, &tasks).await?;
        self.submitter.submit(tenant, tasks, span).await
    }

    /// Waits until the engine has ended.
    pub(crate) async fn ended(&self) {
        self.handle.ended().await;
    }

    /// The task store.
    pub(crate) fn tasks(&self) -> TaskStoreServiceClient<Wire> {
        self.tasks.clone()
    }

    /// Tells the engine something.
    pub(crate) fn tell(&self, event: Event) {
        self.handle.tell(event);
    }

    async fn queue(&self, context: &Context, tenant: &TenantName) -> Result<api::QueueState, Status> {
        let request = store::CountTasksRequest { tenant: tenant.to_string() };
        let counts = self.tasks.clone().count_tasks(context.request(request)).await?.into_inner().counts;
        let state = |priority: Priority| {
            let count = |state: TaskState| {
                let found =
                    counts.iter().find(|row| row.priority == priority.number() && row.state == state as i32);
                found.map_or(0, |row| row.count)
            };
            let waits = self.waits.quantiles(tenant, priority);
            api::PriorityState {
                priority: priority.number(),
                waiting: count(TaskState::Waiting),
                running: count(TaskState::Running),
                succeeded: count(TaskState::Succeeded),
                dead: count(TaskState::Dead),
                cancelled: count(TaskState::Cancelled),
                wait_p50: waits.map(|(median, _)| duration(median)),
                wait_p99: waits.map(|(_, worst)| duration(worst)),
            }
        };
        Ok(api::QueueState { priorities: Priority::ALL.into_iter().map(state).collect() })
    }

    /// Asks the owner of the tenant's queue whether these may come in, where a rule could refuse them. Another owner's rules
    /// hold for what reaches that owner.
    async fn admit(&self, context: &Context, tasks: &[NewTask]) -> Result<(), Status> {
        if !self.is_guarded && tasks.iter().all(|task| task.options.is_none()) {
            return Ok(());
        }
        let (tenant, tasks) = (context.tenant()?.clone(), tasks.to_vec());
        match self.handle.ask(Question::Admit(Submission { tenant: tenant.clone(), tasks })).await? {
            Answer::Refused(Refused::Full { why, retry_after }) => {
                let fault = Fault::new(ErrorKind::Exhausted, why);
                Err(fault.retry_after(retry_after).into_status())
            }
            Answer::Refused(Refused::Unfit(lack)) => {
                let rule = format!("cannot be run by any worker that is connected: of the nearest, {lack}");
                Err(Fault::invalid("tasks.options", rule).into_status())
            }
            Answer::Admitted { replaced } => {
                for id in replaced {
                    let request = store::DropTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
                    self.tasks.clone().drop_task(context.request(request)).await?;
                    self.handle.tell(Event::Changed(Changed::cancelled(vec![id])));
                }
                Ok(())
            }
            Answer::Limits(_)
            | Answer::Explained(_)
            | Answer::Elsewhere(_)
            | Answer::Others(_)
            | Answer::Divided(_)
            | Answer::Load(_) => Ok(()),
        }
    }

    /// Has the scheduler that runs a task hear of its change, after the store has it. Where the store's answer is lost, the
    /// change may have been made: the task is looked at.
    fn steered<T>(
        &self,
        id: Id,
        answer: Result<Response<T>, Status>,
        changed: fn(Vec<Id>) -> Changed,
    ) -> Result<Response<T>, Status> {
        match &answer {
            Ok(_) => self.handle.tell(Event::Changed(changed(vec![id]))),
            Err(fault) if is_refusal(fault) => {}
            Err(_) => self.handle.tell(Event::Changed(Changed::otherwise(vec![id]))),
        }
        answer
    }
}

#[tonic::async_trait]
impl SchedulingService for Scheduling {
    async fn submit_tasks(
        &self,
        request: Request<api::SubmitTasksRequest>,
    ) -> Result<Response<api::SubmitTasksResponse>, Status> {
        let context = Context::of(&request);
        let tasks = request.into_inner().tasks;
        if !(1..=MOST_TASKS).contains(&tasks.len()) {
            let rule = format!("has {} items; send 1 to {MOST_TASKS} at once", tasks.len());
            return Err(Fault::invalid("tasks", rule).into_status());
        }
        let (appended, written) = self.queue_tasks(&context, tasks).await?;
        Ok(written.on(api::SubmitTasksResponse { tasks: appended.into_iter().map(submitted).collect() }))
    }

    type SubmitTaskStreamStream =
        Pin<Box<dyn Stream<Item = Result<api::SubmitTaskStreamResponse, Status>> + Send>>;

    async fn submit_task_stream(
        &self,
        request: Request<Streaming<api::SubmitTaskStreamRequest>>,
    ) -> Result<Response<Self::SubmitTaskStreamStream>, Status> {
        // The stream outlives the deadline of the call that opened it.
        let context = Context { deadline: None, ..Context::of(&request) };
        context.tenant()?;
        let (answers, acknowledged) = mpsc::channel(stream::UNREAD);
        tokio::spawn(self.clone().take_in_stream(context, request.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(acknowledged))))
    }

    async fn get_task(
        &self,
        request: Request<api::GetTaskRequest>,
    ) -> Result<Response<api::GetTaskResponse>, Status> {
        let context = Context::of(&request);
        let tenant = context.tenant()?.to_string();
        let request = store::ReadTaskRequest { tenant, id: id(request.into_inner().id)?.to_string() };
        let task = self.tasks.clone().read_task(context.request(request)).await?.into_inner().task;
        Ok(Response::new(api::GetTaskResponse { task }))
    }

    async fn list_tasks(
        &self,
        request: Request<api::ListTasksRequest>,
    ) -> Result<Response<api::ListTasksResponse>, Status> {
        let context = Context::of(&request);
        let tenant = context.tenant()?.to_string();
        let api::ListTasksRequest { state, kind, page_size, page_token } = request.into_inner();
        let request = store::PageTasksRequest { tenant, state, kind, page_size, page_token };
        let page = self.tasks.clone().page_tasks(context.request(request)).await?.into_inner();
        Ok(Response::new(api::ListTasksResponse { tasks: page.tasks, next_page_token: page.next_page_token }))
    }

    async fn cancel_task(
        &self,
        request: Request<api::CancelTaskRequest>,
    ) -> Result<Response<api::CancelTaskResponse>, Status> {
        let context = Context::of(&request);
        let tenant = context.tenant()?.to_string();
        let id = id(request.into_inner().id)?;
        let request = store::DropTaskRequest { tenant, id: id.to_string() };
        let answer = self.tasks.clone().drop_task(context.request(request)).await;
        let answer = self.steered(id, answer, Changed::cancelled)?;
        Ok(Written::of(&answer).on(api::CancelTaskResponse { task: answer.into_inner().task }))
    }

    async fn retry_task(
        &self,
        request: Request<api::RetryTaskRequest>,
    ) -> Result<Response<api::RetryTaskResponse>, Status> {
        let context = Context::of(&request);
        let tenant = context.tenant()?.to_string();
        let id = id(request.into_inner().id)?;
        let request = store::ReviveTaskRequest { tenant, id: id.to_string() };
        let answer = self.tasks.clone().revive_task(context.request(request)).await;
        let answer = self.steered(id, answer, Changed::otherwise)?;
        Ok(Written::of(&answer).on(api::RetryTaskResponse { task: answer.into_inner().task }))
    }

    async fn prioritise_task(
        &self,
        request: Request<api::PrioritiseTaskRequest>,
    ) -> Result<Response<api::PrioritiseTaskResponse>, Status> {
        let context = Context::of(&request);
        let tenant = context.tenant()?.to_string();
        let message = request.into_inner();
        let id = id(message.id)?;
        let priority = message.priority;
        let request = store::MoveTaskRequest { tenant, id: id.to_string(), priority };
        let answer = self.tasks.clone().move_task(context.request(request)).await;
        let answer = self.steered(id, answer, Changed::otherwise)?;
        Ok(Written::of(&answer).on(api::PrioritiseTaskResponse { task: answer.into_inner().task }))
    }

    async fn cancel_tasks(
        &self,
        request: Request<api::CancelTasksRequest>,
    ) -> Result<Response<api::CancelTasksResponse>, Status> {
        let context = Context::of(&request);
        let api::CancelTasksRequest { filter, dry_run: is_dry, page_token } = request.into_inner();
        let wish = Wish { steering: store::Steering::Cancel, filter, is_dry, page_token };
        let Done { count, next_page_token, written } = self.steer(&context, wish).await?;
        Ok(written.on(api::CancelTasksResponse { count, next_page_token }))
    }

    async fn retry_tasks(
        &self,
        request: Request<api::RetryTasksRequest>,
    ) -> Result<Response<api::RetryTasksResponse>, Status> {
        let context = Context::of(&request);
        let api::RetryTasksRequest { filter, dry_run: is_dry, page_token } = request.into_inner();
        let wish = Wish { steering: store::Steering::Revive, filter, is_dry, page_token };
        let Done { count, next_page_token, written } = self.steer(&context, wish).await?;
        Ok(written.on(api::RetryTasksResponse { count, next_page_token }))
    }

    async fn get_queue(
        &self,
        request: Request<api::GetQueueRequest>,
    ) -> Result<Response<api::GetQueueResponse>, Status> {
        let context = Context::of(&request);
        let queue = self.queue(&context, context.tenant()?).await?;
        Ok(Response::new(api::GetQueueResponse { queue: Some(queue) }))
    }

    type WatchQueueStream = Pin<Box<dyn Stream<Item = Result<api::WatchQueueResponse, Status>> + Send>>;

    async fn watch_queue(
        &self,
        request: Request<api::WatchQueueRequest>,
    ) -> Result<Response<Self::WatchQueueStream>, Status> {
        // The stream outlives the deadline of the call that opened it.
        let context = Context { deadline: None, ..Context::of(&request) };
        let tenant = context.tenant()?.clone();
        let every =
            request.into_inner().interval.as_ref().map_or(Duration::from_secs(1), length).max(SHORTEST_WATCH);
        let look = move |service: Self| {
            let (context, tenant) = (context.clone(), tenant.clone());
            async move {
                let queue = Some(service.queue(&context, &tenant).await?);
                Ok((api::WatchQueueResponse { queue }, false))
            }
        };
        Ok(Response::new(Box::pin(self.watch(every, look))))
    }

    async fn get_group(
        &self,
        request: Request<api::GetGroupRequest>,
    ) -> Result<Response<api::GetGroupResponse>, Status> {
        let context = Context::of(&request);
        let group = self.group(&context, context.tenant()?, &request.into_inner().name).await?;
        Ok(Response::new(api::GetGroupResponse { group: Some(group) }))
    }

    async fn list_groups(
        &self,
        request: Request<api::ListGroupsRequest>,
    ) -> Result<Response<api::ListGroupsResponse>, Status> {
        let context = Context::of(&request);
        let tenant = context.tenant()?.to_string();
        let api::ListGroupsRequest { page_size, page_token } = request.into_inner();
        let request = store::PageGroupsRequest { tenant, page_size, page_token };
        let page = self.tasks.clone().page_groups(context.request(request)).await?.into_inner();
        let store::PageGroupsResponse { groups, next_page_token } = page;
        Ok(Response::new(api::ListGroupsResponse { groups, next_page_token }))
    }

    type WatchGroupStream = Pin<Box<dyn Stream<Item = Result<api::WatchGroupResponse, Status>> + Send>>;

    async fn watch_group(
        &self,
        request: Request<api::WatchGroupRequest>,
    ) -> Result<Response<Self::WatchGroupStream>, Status> {
        // The stream outlives the deadline of the call that opened it.
        let context = Context { deadline: None, ..Context::of(&request) };
        let (tenant, name) = (context.tenant()?.clone(), request.into_inner().name);
        Ok(Response::new(Box::pin(self.watch_to_its_end(context, tenant, name))))
    }
}

/// What the caller is told of a task.
pub(crate) fn submitted(task: store::AppendedTask) -> api::SubmittedTask {
    api::SubmittedTask { id: task.id, duplicate: task.duplicate }
}

/// The kind of these tasks, if they are all of one.
fn one_kind(tasks: &[NewTask]) -> Option<&str> {
    let first = tasks.first()?.kind.as_str();
    tasks.iter().all(|task| task.kind == first).then_some(first)
}

fn id(text: String) -> Result<Id, Status> {
    text.parse().map_err(|fault: tidemill_kernel::id::ParseIdError| {
        Fault::invalid("id", fault.to_string()).into_status()
    })
}
