//! What is read of the store: a shard when it is taken, new tasks, pages of queues, bodies.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{Id, Shard};
use tidemill_policy::{Candidate, QueueKey, Refill};
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::Task;
use tonic::Status;
use tracing::{debug, warn};

use super::{Performer, call};
use crate::convert;
use crate::engine::{Asked, Epoch, Event, Loaded, Running, SessionId};

/// How many rows are read at once.
const PAGE: usize = 1_000;
/// How long it rests before it asks again for what it could not read.
const REST: Duration = Duration::from_millis(200);

impl Performer {
    /// Everything of a shard: what runs, which queues there are, how far its log goes.
    pub(super) async fn load(&self, epoch: Epoch) -> Event {
        match self.try_load(epoch).await {
            Ok(event) => event,
            Err(fault) => {
                warn!(fault = fault.message(), shard = epoch.0.number(), "cannot read a shard: trying again");
                sleep(REST).await;
                Event::LoadFailed(epoch)
            }
        }
    }

    async fn try_load(&self, epoch: Epoch) -> Result<Event, Status> {
        let shard = u32::from(epoch.0.number());
        // The queues first: what runs later than that is in them.
        let found = call(self.deps.tasks.clone().list_queues(store::ListQueuesRequest { shard })).await?;
        let running = self.running(shard).await?;
        let queues = found.queues.iter().filter_map(convert::queue).collect();
        let settings = self.settings_of(&[epoch]).await?;
        let loaded = Loaded { epoch, queues, last_place: found.last_place, running, settings };
        Ok(Event::Loaded(Box::new(loaded)))
    }

    pub(super) async fn settings(&self, reading: u64, epochs: Vec<Epoch>) -> Option<Event> {
        let settings = self.settings_of(&epochs).await.ok()?;
        Some(Event::Settings { reading, epochs, settings })
    }

    /// The settings of the tenants of these shards, and those of all tenants together.
    async fn settings_of(&self, epochs: &[Epoch]) -> Result<Vec<store::Setting>, Status> {
        let shards = epochs.iter().map(|epoch| epoch.0.number().into()).collect();
        let request = store::LoadSettingsRequest { shards, of_all_tenants: true, ..Default::default() };
        Ok(call(self.deps.settings.clone().load_settings(request)).await?.settings)
    }

    async fn running(&self, shard: u32) -> Result<Vec<Running>, Status> {
        let (mut after_place, mut running) = (0, Vec::new());
        loop {
            let request = store::LoadRunningRequest { shard, after_place, limit: limit(PAGE) };
            let page = call(self.deps.tasks.clone().load_running(request)).await?.tasks;
            let last = page.last().and_then(|last| last.task.as_ref()).and_then(place);
            running.extend(page.into_iter().filter_map(convert::running));
            match last {
                Some(last) => after_place = last,
                None => return Ok(running),
            }
        }
    }

    pub(super) async fn load_new(&self, epoch: Epoch, after: i64) -> Event {
        let shard = epoch.0.number().into();
        let request = store::LoadNewRequest { shard, after_place: after, limit: limit(PAGE) };
        match call(self.deps.tasks.clone().load_new(request)).await {
            Ok(store::LoadNewResponse { tasks }) => {
                let through = tasks.last().and_then(place).unwrap_or(after);
                Event::New { epoch, more: !tasks.is_empty(), tasks, through }
            }
            Err(fault) => {
                debug!(fault = fault.message(), "cannot read new tasks");
                Event::NewFailed(epoch)
            }
        }
    }

    pub(super) async fn refill(&self, epoch: Epoch, refill: Refill) -> Event {
        let request = store::LoadWaitingRequest {
            tenant: refill.queue.tenant.to_string(),
            priority: refill.queue.priority.number(),
            kind: refill.queue.kind.as_str().to_owned(),
            after_place: refill.after,
            limit: limit(refill.room.min(PAGE)),
        };
        match call(self.deps.tasks.clone().load_waiting(request)).await {
            Ok(store::LoadWaitingResponse { tasks }) => {
                let through = tasks.last().and_then(place).unwrap_or(refill.after);
                Event::Refilled { epoch, refill, more: !tasks.is_empty(), tasks, through }
            }
            Err(fault) => {
                debug!(fault = fault.message(), "cannot read a queue");
                sleep(REST).await;
                Event::RefillFailed { epoch, refill }
            }
        }
    }

    /// The bodies of picked tasks.
    pub(super) async fn fetch(&self, session: SessionId, picked: Vec<Candidate>) -> Event {
        match self.unfinished(picked.iter().map(|candidate| candidate.id), |task| task).await {
            Ok(tasks) => Event::Fetched { session, picked, tasks },
            Err(fault) => {
                warn!(fault = fault.message(), "cannot read tasks to hand out");
                sleep(REST).await;
                Event::FetchFailed { session, picked }
            }
        }
    }

    /// Tasks that were changed by hand, without what may be large.
    pub(super) async fn read_again(&self, tasks: Vec<Id>) -> Event {
        let light = |task| Task { payload: String::new(), checkpoint: Vec::new(), ..task };
        match self.unfinished(tasks.iter().copied(), light).await {
            Ok(found) => Event::ReadAgain { tasks, found },
            Err(fault) => {
                warn!(fault = fault.message(), "cannot read tasks that were changed by hand: trying again");
                sleep(REST).await;
                Event::ReadAgainFailed(tasks)
            }
        }
    }

    /// How the tasks stand that others depend on.
    pub(super) async fn find_tasks(&self, asked: Asked) -> Event {
        let (tenant, tasks) = (asked.tenant.to_string(), asked.references.clone());
        match call(self.deps.tasks.clone().find_tasks(store::FindTasksRequest { tenant, tasks })).await {
            Ok(answer) => Event::Found { asked, found: Some(answer.tasks) },
            Err(fault) => {
                warn!(fault = fault.message(), "cannot read what tasks depend on: trying again");
                sleep(REST).await;
                Event::Found { asked, found: None }
            }
        }
    }

    /// Those of these tasks that are not finished, in as many calls as their size takes.
    async fn unfinished(
        &self,
        ids: impl Iterator<Item = Id>,
        take: impl Fn(Task) -> Task,
    ) -> Result<Vec<Task>, Status> {
        let mut missing: Vec<String> = ids.map(|id| id.to_string()).collect();
        let mut tasks: Vec<Task> = Vec::with_capacity(missing.len());
        while !missing.is_empty() {
            let request = store::LoadTasksRequest { ids: missing.clone() };
            let found = call(self.deps.tasks.clone().load_tasks(request)).await?.tasks;
            if found.is_empty() {
                break;
            }
            let ids: HashSet<&str> = found.iter().map(|task| task.id.as_str()).collect();
            missing.retain(|id| !ids.contains(id.as_str()));
            tasks.extend(found.into_iter().map(&take));
        }
        Ok(tasks)
    }

    /// How many tasks wait, by shard.
    pub(super) async fn count(&self, epochs: Vec<Epoch>) -> Vec<Event> {
        let shards = epochs.iter().map(|epoch| epoch.0.number().into()).collect();
        let request = store::CountQueuesRequest { shards };
        let Ok(answer) = call(self.deps.tasks.clone().count_queues(request)).await else { return Vec::new() };
        let mut counts: HashMap<Shard, Vec<(QueueKey, usize)>> = HashMap::new();
        for depth in &answer.queues {
            if let Some(queue) = convert::queue(depth) {
                let of_shard = counts.entry(Shard::of_tenant(&queue.tenant)).or_default();
                of_shard.push((queue, usize::try_from(depth.waiting).unwrap_or_default()));
            }
        }
        let audited =
            |epoch: Epoch| Event::Audited { epoch, queues: counts.remove(&epoch.0).unwrap_or_default() };
        epochs.into_iter().map(audited).collect()
    }
}

fn place(task: &Task) -> Option<i64> {
    Some(task.id.parse::<tidemill_kernel::Id>().ok()?.place())
}

fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
