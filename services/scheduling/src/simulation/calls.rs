//! Calls to the store, as `perform` and `submit` make them: there and back over a network that may lose either way, to a
//! store that may be away. Each step takes place at one moment.

mod found;
mod travel;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill_kernel::{Clock, Id, TenantName, Tier, Timestamp};
use tidemill_policy::{Candidate, QueueKey, Refill};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::storage::v1::task_store_service_server::TaskStoreService;
use tidemill_proto::types::v1::{NewTask, Task};
use tidemill_storage::task_store::Tasks;
use tidemill_store::TenantStore;
use tidemill_store::memory::MemoryStore;
use tidemill_store::tenant::Tenant;
use tonic::{Request, Response, Status};

use super::plan::Micros;
use crate::convert;
use crate::engine::{Asked, Changed, Epoch, Event, Fence, Loaded, Running, SessionId, Settlement};

/// The wall clock when a run begins.
const EPOCH: i64 = 1_800_000_000_000_000;

/// A call under way.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Claim(api::ClaimShardsRequest, Timestamp),
    Queues(Epoch),
    Running {
        epoch: Epoch,
        queues: Vec<QueueKey>,
        last_place: i64,
        after: i64,
        found: Vec<(Task, Id)>,
    },
    New(Epoch, i64),
    Refill(Epoch, Refill),
    Count(Epoch),
    Tenants(Vec<TenantName>),
    Fetch(SessionId, Vec<Candidate>),
    ReadAgain(Vec<Id>),
    Find(Asked),
    Record(Fence, Vec<api::RecordedLease>, Vec<Id>),
    Progress(Fence, Vec<api::TaskProgress>),
    Settle(Settlement, u32),
    /// Of a client: which of them, how often he asked, what he asks.
    Append {
        index: usize,
        tries: u32,
        tenant: String,
        tasks: Vec<NewTask>,
    },
    Cancel {
        tenant: String,
        task: String,
    },
    Revive {
        tenant: String,
        task: String,
    },
}

/// What comes of a call.
#[derive(Debug)]
pub(super) enum Reply {
    /// Events for the engine.
    Events(Vec<Event>),
    /// Another call.
    Next(Call),
    /// A client's tasks are stored.
    Stored(Vec<api::AppendedTask>),
}

/// A clock that is put to the time of whoever looks at it.
#[derive(Debug, Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// The store, its service and its clock.
pub(super) struct Store {
    memory: Arc<MemoryStore>,
    service: Tasks,
    clock: Arc<Hands>,
    tenants: Vec<(TenantName, i32)>,
    pub(super) skew: i64,
    pub(super) is_skewed: bool,
    pub(super) down_until: Micros,
    /// What was under way when it restarted is lost.
    pub(super) restarts: u32,
}

/// A moment as somebody with a wrong clock sees it.
pub(super) fn wall(now: Micros, skew: i64) -> Timestamp {
    Timestamp::from_micros(EPOCH + i64::try_from(now).unwrap() + skew)
}

/// The store in memory never waits.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}

impl Store {
    pub(super) fn new(tenants: &[(String, i32)]) -> Self {
        let (memory, clock) = (Arc::new(MemoryStore::new("simulated")), Arc::new(Hands::default()));
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(1)));
        let store: Arc<dyn tidemill_store::Store> = memory.clone();
        let deps = tidemill_storage::Deps { store, clock: clock.clone(), rng };
        let tenants: Vec<(TenantName, i32)> =
            tenants.iter().map(|(name, tier)| (name.parse().unwrap(), *tier)).collect();
        for (name, tier) in &tenants {
            let tier = Tier::from_number(*tier).unwrap();
            let row = Tenant { name: name.clone(), tier, created_at: wall(0, 0) };
            at_once(memory.create_tenant(row, None)).unwrap();
        }
        let service = Tasks::over(deps, Duration::from_secs(86_400));
        Self { memory, service, clock, tenants, skew: 0, is_skewed: false, down_until: 0, restarts: 0 }
    }

    /// Does what a call asks for.
    fn execute(&self, call: &Call, now: Micros, page: i32) -> Result<Reply, Status> {
        self.clock.0.store(wall(now, self.skew).as_micros(), Ordering::Relaxed);
        let events = |event: Event| Ok(Reply::Events(vec![event]));
        match call.clone() {
            Call::Claim(claim, asked_at) => {
                let board = Some(ask(self.service.claim_shards(Request::new(claim)))?);
                events(Event::Board { board, asked_at })
            }
            Call::Queues(epoch) => {
                let found = ask(self.service.list_queues(Request::new(queues(epoch))))?;
                let queues = found.queues.iter().filter_map(convert::queue).collect();
                let last_place = found.last_place;
                Ok(Reply::Next(Call::Running { epoch, queues, last_place, after: 0, found: Vec::new() }))
            }
            Call::Running { epoch, queues, last_place, after, mut found } => {
                let shard = epoch.0.number().into();
                let request = api::LoadRunningRequest { shard, after_place: after, limit: page };
                let tasks = ask(self.service.load_running(Request::new(request)))?.tasks;
                let Some(after) = tasks.last().and_then(|last| last.task.as_ref()).map(place) else {
                    let running = found.into_iter().map(|(task, token)| Running { task, token }).collect();
                    let loaded = Loaded { epoch, queues, last_place, running, settings: Vec::new() };
                    return events(Event::Loaded(Box::new(loaded)));
                };
                found.extend(tasks.into_iter().filter_map(convert::running).map(|one| (one.task, one.token)));
                Ok(Reply::Next(Call::Running { epoch, queues, last_place, after, found }))
            }
            Call::New(epoch, after) => {
                let shard = epoch.0.number().into();
                let request = api::LoadNewRequest { shard, after_place: after, limit: page };
                let tasks = ask(self.service.load_new(Request::new(request)))?.tasks;
                let through = tasks.last().map_or(after, place);
                events(Event::New { epoch, more: !tasks.is_empty(), tasks, through })
            }
            Call::Refill(epoch, refill) => {
                let request = api::LoadWaitingRequest {
                    tenant: refill.queue.tenant.to_string(),
                    priority: refill.queue.priority.number(),
                    kind: refill.queue.kind.as_str().to_owned(),
                    after_place: refill.after,
                    limit: i32::try_from(refill.room).unwrap().min(page),
                };
                let tasks = ask(self.service.load_waiting(Request::new(request)))?.tasks;
                let through = tasks.last().map_or(refill.after, place);
                events(Event::Refilled { epoch, refill, more: !tasks.is_empty(), tasks, through })
            }
            Call::Count(epoch) => {
                let found = ask(self.service.list_queues(Request::new(queues(epoch))))?.queues;
                let count = |depth: &api::QueueDepth| {
                    Some((convert::queue(depth)?, usize::try_from(depth.waiting).unwrap()))
                };
                events(Event::Audited { epoch, queues: found.iter().filter_map(count).collect() })
            }
            other => self.execute_more(other),
        }
    }

    fn execute_more(&self, call: Call) -> Result<Reply, Status> {
        let events = |event: Event| Ok(Reply::Events(vec![event]));
        match call {
            Call::Tenants(names) => {
                let weight = |name: &TenantName| {
                    let (_, tier) = self.tenants.iter().find(|(known, _)| known == name)?;
                    Some((name.clone(), Tier::from_number(*tier)?.weight()))
                };
                events(Event::Tenants(names.iter().filter_map(weight).collect()))
            }
            Call::Fetch(session, picked) => {
                let ids = picked.iter().map(|candidate| candidate.id.to_string()).collect();
                let request = Request::new(api::LoadTasksRequest { ids });
                let tasks = ask(self.service.load_tasks(request))?.tasks;
                events(Event::Fetched { session, picked, tasks })
            }
            Call::Record(fence, leases, given_back) => {
                let request = api::RecordLeasesRequest {
                    fence: convert::fence(&fence),
                    leases: leases.clone(),
                    given_back: given_back.iter().map(ToString::to_string).collect(),
                };
                let gone = ask(self.service.record_leases(Request::new(request)))?.gone;
                let gone = gone.iter().map(|task| task.parse().unwrap()).collect();
                events(Event::Recorded { leases: recorded(&leases), given_back, gone })
            }
            Call::Progress(fence, progress) => {
                let request = api::SaveProgressRequest { fence: convert::fence(&fence), progress };
                ask(self.service.save_progress(Request::new(request)))?;
                Ok(Reply::Events(Vec::new()))
            }
            Call::Settle(settlement, _) => {
                let (request, places) = convert::settlement(&settlement);
                let answer = ask(self.service.settle_tasks(Request::new(request)))?;
                let accepted = places.iter().map(|place| answer.accepted[*place]).collect();
                events(Event::Settled { settlement, accepted, follow_ups: answer.follow_ups })
            }
            Call::Append { tenant, tasks, .. } => {
                let request = api::AppendTasksRequest { batches: vec![api::TenantTasks { tenant, tasks }] };
                let mut batches = ask(self.service.append_tasks(Request::new(request)))?.batches;
                Ok(Reply::Stored(batches.remove(0).tasks))
            }
            Call::Cancel { tenant, task } => {
                let request = api::DropTaskRequest { tenant, id: task.clone() };
                ask(self.service.drop_task(Request::new(request)))?;
                events(Event::Changed(Changed::cancelled(vec![task.parse().unwrap()])))
            }
            Call::Revive { tenant, task } => {
                let request = api::ReviveTaskRequest { tenant, id: task.clone() };
                ask(self.service.revive_task(Request::new(request)))?;
                events(Event::Changed(Changed::otherwise(vec![task.parse().unwrap()])))
            }
            Call::ReadAgain(tasks) => {
                let ids = tasks.iter().map(ToString::to_string).collect();
                let found = ask(self.service.load_tasks(Request::new(api::LoadTasksRequest { ids })))?.tasks;
                events(Event::ReadAgain { tasks, found })
            }
            Call::Find(asked) => {
                let (tenant, tasks) = (asked.tenant.to_string(), asked.references.clone());
                let request = Request::new(api::FindTasksRequest { tenant, tasks });
                let found = Some(ask(self.service.find_tasks(request))?.tasks);
                events(Event::Found { asked, found })
            }
            other => unreachable!("{other:?}"),
        }
    }
}

fn ask<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    at_once(answer).map(Response::into_inner)
}

fn queues(epoch: Epoch) -> api::ListQueuesRequest {
    api::ListQueuesRequest { shard: epoch.0.number().into() }
}

fn place(task: &Task) -> i64 {
    task.id.parse::<Id>().unwrap().place()
}

fn recorded(leases: &[api::RecordedLease]) -> Vec<(Id, Id)> {
    let ids = |lease: &api::RecordedLease| {
        let task = &lease.attempt.as_ref().unwrap().task_id;
        (task.parse().unwrap(), lease.token.parse().unwrap())
    };
    leases.iter().map(ids).collect()
}
