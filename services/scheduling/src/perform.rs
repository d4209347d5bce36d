//! Carries the engine's effects out: each a call to the store in a task of its own, its answer an event.

mod attempts;

use std::collections::BTreeSet;
use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{ErrorKind, TenantName, Tier};
use tidemill_policy::Refill;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::Tenant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Response, Status};
use tracing::{debug, warn};

use crate::Deps;
use crate::actor::{Handle, pause};
use crate::convert;
use crate::engine::{Effect, Event, Held};

/// How many rows are read at once.
const PAGE: usize = 1_000;
/// How long the store may take for one call: without an answer nothing that waits for it would ever be mended.
const CALL: Duration = Duration::from_secs(30);
/// How long a stopping scheduler waits for its last calls.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Calls the store.
#[derive(Debug, Clone)]
pub(crate) struct Performer {
    pub(crate) deps: Deps,
    pub(crate) handle: Handle,
    pub(crate) calls: TaskTracker,
}

impl Performer {
    /// Reads what the store holds, before anything is handed out; tries until the store is there. False when the
    /// process is to stop.
    pub(crate) async fn load(&self, stop: &CancellationToken) -> bool {
        loop {
            match call(self.deps.tasks.clone().list_queues(store::ListQueuesRequest {})).await {
                Ok(found) => {
                    let queues: Vec<_> = found.queues.iter().filter_map(convert::queue).collect();
                    let names: BTreeSet<_> = queues.iter().map(|queue| queue.tenant.clone()).collect();
                    let names = names.into_iter().collect();
                    self.perform(Effect::LoadTenants(names));
                    self.handle.tell(Event::Queues { queues, last_sequence: found.last_sequence });
                    return true;
                }
                Err(fault) => warn!(fault = fault.message(), "the store is away: waiting for it"),
            }
            if !pause(Duration::from_millis(500), stop).await {
                return false;
            }
        }
    }

    /// Waits for what was begun, so that the store hears of leases that are given back.
    pub(crate) async fn finish(&self) {
        self.calls.close();
        tokio::select! {
            () = self.calls.wait() => {}
            () = sleep(LAST_CALLS) => warn!("the store did not answer in time"),
        }
    }

    /// Begins an effect.
    pub(crate) fn perform(&self, effect: Effect) {
        let this = self.clone();
        self.calls.spawn(async move {
            for event in this.answer(effect).await {
                this.handle.tell(event);
            }
        });
    }

    async fn answer(&self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Lease { session, grants, until } => vec![self.lease(session, grants, until).await],
            Effect::Settle(settlement) => self.settle(settlement).await,
            Effect::Renew { leases, until } => self.renew(leases, until).await.into_iter().collect(),
            Effect::Release(leases) => vec![self.release(leases).await],
            Effect::LoadNew { after } => vec![self.load_new(after).await],
            Effect::Refill(refill) => vec![self.refill(refill).await],
            Effect::LoadRunning => vec![self.load_running().await],
            Effect::CountWaiting => self.count_waiting().await.into_iter().collect(),
            Effect::LoadTenants(names) => vec![self.load_tenants(names).await],
            Effect::Say { .. } => Vec::new(),
        }
    }

    async fn load_new(&self, after: i64) -> Event {
        let request = store::LoadNewRequest { after_sequence: after, limit: limit(PAGE) };
        match call(self.deps.tasks.clone().load_new(request)).await {
            Ok(store::LoadNewResponse { tasks }) => {
                let (through, more) = (tasks.last().map_or(after, |task| task.sequence), tasks.len() >= PAGE);
                Event::New { tasks: tasks.into_iter().filter_map(convert::waiting).collect(), through, more }
            }
            Err(fault) => {
                debug!(fault = fault.message(), "cannot read new tasks");
                Event::NewFailed
            }
        }
    }

    async fn refill(&self, refill: Refill) -> Event {
        let room = refill.room.min(PAGE);
        let request = store::LoadWaitingRequest {
            tenant: refill.queue.tenant.to_string(),
            priority: refill.queue.priority.number(),
            kind: refill.queue.kind.as_str().to_owned(),
            after_sequence: refill.after,
            limit: limit(room),
        };
        match call(self.deps.tasks.clone().load_waiting(request)).await {
            Ok(store::LoadWaitingResponse { tasks }) => {
                let (through, more) =
                    (tasks.last().map_or(refill.after, |task| task.sequence), tasks.len() >= room);
                Event::Refilled {
                    refill,
                    tasks: tasks.into_iter().filter_map(convert::waiting).collect(),
                    through,
                    more,
                }
            }
            Err(fault) => {
                debug!(fault = fault.message(), "cannot read a queue");
                sleep(Duration::from_millis(200)).await;
                Event::RefillFailed(refill)
            }
        }
    }

    /// All that run, or nothing if the store is away: the next sweep asks again.
    async fn load_running(&self) -> Event {
        let running = self.running().await.inspect_err(|fault| {
            debug!(fault = fault.message(), "cannot read the running tasks");
        });
        Event::Running(running.unwrap_or_default())
    }

    async fn running(&self) -> Result<Vec<Held>, Status> {
        let (mut after, mut running) = (0, Vec::new());
        loop {
            let request = store::LoadRunningRequest { after_sequence: after, limit: limit(PAGE) };
            let page = call(self.deps.tasks.clone().load_running(request)).await?.tasks;
            let more = page.len() >= PAGE;
            after = page.last().and_then(|last| last.task.as_ref()).map_or(after, |task| task.sequence);
            running.extend(page.into_iter().filter_map(convert::held));
            if !more {
                return Ok(running);
            }
        }
    }

    async fn count_waiting(&self) -> Option<Event> {
        let queues =
            call(self.deps.tasks.clone().list_queues(store::ListQueuesRequest {})).await.ok()?.queues;
        let count = |depth: &store::QueueDepth| {
            Some((convert::queue(depth)?, usize::try_from(depth.waiting).unwrap_or_default()))
        };
        Some(Event::Audited(queues.iter().filter_map(count).collect()))
    }

    async fn load_tenants(&self, names: Vec<TenantName>) -> Event {
        let request = store::GetTenantsRequest { names: names.iter().map(ToString::to_string).collect() };
        let weight = |tenant: Tenant| {
            let tier = Tier::from_number(tenant.tier).unwrap_or_default();
            Some((tenant.name.parse().ok()?, tier.weight()))
        };
        match call(self.deps.tenants.clone().get_tenants(request)).await {
            Ok(answer) => Event::Tenants(answer.tenants.into_iter().filter_map(weight).collect()),
            Err(fault) => {
                debug!(fault = fault.message(), "cannot read the weights of tenants");
                Event::TenantsFailed(names)
            }
        }
    }
}

/// One call of the store, within its time.
async fn call<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(CALL, answer).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("the store did not answer within {CALL:?}"))),
    }
}

fn kind(status: &Status) -> ErrorKind {
    ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2))
}

fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
