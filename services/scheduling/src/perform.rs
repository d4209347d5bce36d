//! Carries the engine's effects out: each a call to the store in a task of its own, its answer an event.

use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{ErrorKind, Id, Tier};
use tidemill_policy::Refill;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::Tenant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::warn;

use crate::Deps;
use crate::actor::{Handle, pause};
use crate::convert;
use crate::engine::{Effect, Ending, Event, Grant, SessionId, Settlement};

/// How many rows are read at once.
const PAGE: usize = 1_000;
/// How often the end of an attempt is told to a store that is away, with a second between.
const SETTLE_TRIES: u32 = 5;
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
            let queues = self.deps.tasks.clone().list_queues(store::ListQueuesRequest {}).await;
            match queues.map(tonic::Response::into_inner) {
                Ok(found) => {
                    let queues: Vec<_> = found.queues.iter().filter_map(convert::queue).collect();
                    let names = queues.iter().map(|queue| queue.tenant.clone()).collect();
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
            Effect::Settle(settlement) => vec![self.settle(settlement).await],
            Effect::Renew { leases, until } => self.renew(leases, until).await.into_iter().collect(),
            Effect::Release(leases) => vec![self.release(leases).await],
            Effect::LoadNew { after } => vec![self.load_new(after).await],
            Effect::Refill(refill) => vec![self.refill(refill).await],
            Effect::LoadRunning => self.load_running().await.unwrap_or_default(),
            Effect::LoadTenants(names) => self.load_tenants(names).await.into_iter().collect(),
            Effect::Say { .. } => Vec::new(),
        }
    }

    async fn lease(
        &self,
        session: SessionId,
        grants: Vec<Grant>,
        until: tidemill_kernel::Timestamp,
    ) -> Event {
        let grant = |grant: &Grant| store::Grant {
            task_id: grant.candidate.id.to_string(),
            worker: grant.worker.clone(),
            token: grant.token.to_string(),
        };
        let request = store::LeaseTasksRequest {
            grants: grants.iter().map(grant).collect(),
            expires_at: Some(from_micros(until.as_micros())),
        };
        match self.deps.tasks.clone().lease_tasks(request).await {
            Ok(answer) => Event::Leased { session, grants, leases: answer.into_inner().leases, until },
            Err(fault) => {
                warn!(fault = fault.message(), "cannot lease");
                sleep(Duration::from_millis(200)).await;
                Event::LeaseFailed { session, grants }
            }
        }
    }

    /// Tells the store of endings until it has heard. One that it refuses must not hold up the others: they are told
    /// one by one then, and the refused result becomes the task's last error.
    async fn settle(&self, settlement: Settlement) -> Event {
        match self.try_settle(&settlement).await {
            Ok(accepted) => Event::Settled { settlement, accepted },
            Err(fault) if kind(&fault) == ErrorKind::Invalid => {
                let mut accepted = Vec::with_capacity(settlement.endings.len());
                for ending in &settlement.endings {
                    accepted.push(self.settle_one(settlement.session, ending.clone()).await);
                }
                Event::Settled { settlement, accepted }
            }
            Err(fault) => {
                warn!(fault = fault.message(), "cannot store results: their tasks will be run again");
                Event::SettleFailed(settlement)
            }
        }
    }

    async fn settle_one(&self, session: Option<SessionId>, ending: (Id, Id, Ending)) -> bool {
        let (task, token, _) = ending;
        let one = Settlement { session, endings: vec![ending] };
        let fault = match self.try_settle(&one).await {
            Ok(accepted) => return accepted == [true],
            Err(fault) => fault,
        };
        let error = format!("the worker's result was refused: {}", fault.message());
        let dead = Ending::Failed { error, retry_at: None, only_if_expired: false };
        let _ = self.try_settle(&Settlement { session, endings: vec![(task, token, dead)] }).await;
        false
    }

    async fn try_settle(&self, settlement: &Settlement) -> Result<Vec<bool>, Status> {
        let (request, places) = convert::settlement(settlement);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.deps.tasks.clone().settle_tasks(request.clone()).await {
                Ok(answer) => {
                    let accepted = answer.into_inner().accepted;
                    return Ok(places.iter().map(|place| accepted.get(*place) == Some(&true)).collect());
                }
                Err(fault) if kind(&fault) == ErrorKind::Invalid || tries == SETTLE_TRIES => {
                    return Err(fault);
                }
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn renew(&self, leases: Vec<(Id, Id)>, until: tidemill_kernel::Timestamp) -> Option<Event> {
        let request = store::RenewLeasesRequest {
            leases: refs(&leases),
            expires_at: Some(from_micros(until.as_micros())),
        };
        let answer = self.deps.tasks.clone().renew_leases(request).await.ok()?.into_inner();
        let lost = answer.lost.iter().filter_map(|task| task.parse().ok()).collect();
        Some(Event::Renewed { leases, lost, until })
    }

    /// Leases that could not be given back run out by themselves; until then the sweep keeps them in mind.
    async fn release(&self, leases: Vec<(Id, Id)>) -> Event {
        let tasks = leases.iter().map(|(task, _)| *task).collect();
        let _ = self
            .deps
            .tasks
            .clone()
            .release_leases(store::ReleaseLeasesRequest { leases: refs(&leases) })
            .await;
        Event::Released(tasks)
    }

    async fn load_new(&self, after: i64) -> Event {
        let request = store::LoadNewRequest { after_sequence: after, limit: limit(PAGE) };
        match self.deps.tasks.clone().load_new(request).await {
            Ok(answer) => {
                let tasks = answer.into_inner().tasks;
                let (through, more) = (tasks.last().map_or(after, |task| task.sequence), tasks.len() >= PAGE);
                Event::New { tasks: tasks.into_iter().filter_map(convert::waiting).collect(), through, more }
            }
            Err(_) => Event::NewFailed,
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
        match self.deps.tasks.clone().load_waiting(request).await {
            Ok(answer) => {
                let tasks = answer.into_inner().tasks;
                let (through, more) =
                    (tasks.last().map_or(refill.after, |task| task.sequence), tasks.len() >= room);
                Event::Refilled {
                    refill,
                    tasks: tasks.into_iter().filter_map(convert::waiting).collect(),
                    through,
                    more,
                }
            }
            Err(_) => {
                sleep(Duration::from_millis(200)).await;
                Event::RefillFailed(refill)
            }
        }
    }

    async fn load_running(&self) -> Result<Vec<Event>, Status> {
        let (mut after, mut events) = (0, Vec::new());
        loop {
            let request = store::LoadRunningRequest { after_sequence: after, limit: limit(PAGE) };
            let page = self.deps.tasks.clone().load_running(request).await?.into_inner().tasks;
            let more = page.len() >= PAGE;
            after = page.last().and_then(|last| last.task.as_ref()).map_or(after, |task| task.sequence);
            events.push(Event::Running(page.into_iter().filter_map(convert::held).collect()));
            if !more {
                return Ok(events);
            }
        }
    }

    async fn load_tenants(&self, names: Vec<tidemill_kernel::TenantName>) -> Option<Event> {
        let request = store::GetTenantsRequest { names: names.iter().map(ToString::to_string).collect() };
        let answer = self.deps.tenants.clone().get_tenants(request).await.ok()?.into_inner();
        let weight = |tenant: Tenant| {
            let tier = Tier::from_number(tenant.tier).unwrap_or_default();
            Some((tenant.name.parse().ok()?, tier.weight()))
        };
        Some(Event::Tenants(answer.tenants.into_iter().filter_map(weight).collect()))
    }
}

fn kind(status: &Status) -> ErrorKind {
    ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2))
}

fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

fn refs(leases: &[(Id, Id)]) -> Vec<store::LeaseRef> {
    let lease =
        |(task, token): &(Id, Id)| store::LeaseRef { task_id: task.to_string(), token: token.to_string() };
    leases.iter().map(lease).collect()
}
