//! The queue's log.

use std::time::Duration;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_storage::convert::lease::{
    encode_completion, encode_failure, encode_progress, encode_recorded_lease,
};
use tidemill_storage::convert::reference::{decode_standing, encode_reference};
use tidemill_storage::convert::rule;
use tidemill_storage::convert::selection::encode_selection;
use tidemill_storage::convert::shard::{decode_board, encode_claim, encode_fence};
use tidemill_storage::convert::task::{
    decode_appended_task, decode_depth, decode_group, decode_task, decode_task_count, encode_new_task,
};
use tidemill_store::task::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Group, Progress, QueueDepth, Queues,
    RecordedLease, Reference, Selection, Settled, Standing, Steered, Task, TaskCount, TaskState, TenantTasks,
};
use tidemill_store::{Result, TaskStore};

use super::{GrpcStore, call, call_at, found, limit, read, read_all};

/// The task of an answer.
fn one(message: Option<types::Task>) -> Result<Task> {
    read(rule::present("task", message).and_then(decode_task))
}

fn all(messages: Vec<types::Task>) -> Result<Vec<Task>> {
    read_all(messages, decode_task)
}

fn texts(ids: &[Id]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[async_trait]
impl TaskStore for GrpcStore {
    async fn append_tasks(
        &self,
        batches: Vec<TenantTasks>,
        now: Timestamp,
    ) -> Result<Vec<Vec<AppendedTask>>> {
        let batch = |batch: TenantTasks| api::TenantTasks {
            tenant: batch.tenant.to_string(),
            tasks: batch.tasks.into_iter().map(|task| encode_new_task(task, now)).collect(),
        };
        let request = api::AppendTasksRequest { batches: batches.into_iter().map(batch).collect() };
        let answer = call_at(now, self.tasks().append_tasks(request)).await?;
        let batch = |batch: api::AppendedTasks| read_all(batch.tasks, |task| decode_appended_task(&task));
        answer.batches.into_iter().map(batch).collect()
    }

    async fn claim_shards(&self, claim: Claim, now: Timestamp) -> Result<Board> {
        let board = call_at(now, self.tasks().claim_shards(encode_claim(claim, now))).await?;
        read(decode_board(board, now))
    }

    async fn record_leases(
        &self,
        fence: Fence,
        leases: Vec<RecordedLease>,
        given_back: Vec<Id>,
    ) -> Result<Vec<Id>> {
        let request = api::RecordLeasesRequest {
            fence: encode_fence(&fence),
            leases: leases.into_iter().map(encode_recorded_lease).collect(),
            given_back: texts(&given_back),
        };
        let answer = call(self.tasks().record_leases(request)).await?;
        read(rule::ids("gone", &answer.gone, usize::MAX))
    }

    async fn save_progress(&self, fence: Fence, progress: Vec<Progress>) -> Result<()> {
        let progress = progress.into_iter().map(encode_progress).collect();
        let request = api::SaveProgressRequest { fence: encode_fence(&fence), progress };
        call(self.tasks().save_progress(request)).await.map(|_| ())
    }

    async fn settle_tasks(
        &self,
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        let request = api::SettleTasksRequest {
            fence: encode_fence(&fence),
            completions: read_all(completions, |completion| encode_completion(completion, now))?,
            failures: failures.into_iter().map(encode_failure).collect(),
        };
        let answer = call_at(now, self.tasks().settle_tasks(request)).await?;
        Ok(Settled { accepted: answer.accepted, follow_ups: all(answer.follow_ups)? })
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        let request = api::DropTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
        one(call_at(now, self.tasks().drop_task(request)).await?.task)
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        let request = api::ReviveTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
        one(call_at(now, self.tasks().revive_task(request)).await?.task)
    }

    async fn prioritise_task(&self, tenant: &TenantName, id: Id, priority: Priority) -> Result<Task> {
        let request = api::MoveTaskRequest {
            tenant: tenant.to_string(),
            id: id.to_string(),
            priority: priority.number(),
        };
        one(call(self.tasks().move_task(request)).await?.task)
    }

    async fn steer_tasks(
        &self,
        tenant: &TenantName,
        selection: Selection,
        now: Timestamp,
    ) -> Result<Steered> {
        let request = encode_selection(tenant, selection);
        let answer = call_at(now, self.tasks().steer_tasks(request)).await?;
        Ok(Steered { tasks: read(rule::ids("ids", &answer.ids, usize::MAX))?, through: answer.through })
    }

    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
        let request = api::ReadTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
        let answer = found(call(self.tasks().read_task(request)).await)?;
        answer.map(|answer| one(answer.task)).transpose()
    }

    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>> {
        let request = api::PageTasksRequest {
            tenant: tenant.to_string(),
            state: state.map_or(0, TaskState::number),
            kind: kind.unwrap_or_default().into(),
            page_size: page.size as i32,
            page_token: page.token,
        };
        let answer = call(self.tasks().page_tasks(request)).await?;
        let items = read_all(answer.tasks, decode_task)?;
        Ok(Page { items, next_token: answer.next_page_token })
    }

    async fn queues(&self, shard: Shard) -> Result<Queues> {
        let request = api::ListQueuesRequest { shard: shard.number().into() };
        let answer = call(self.tasks().list_queues(request)).await?;
        Ok(Queues { depths: read_all(answer.queues, decode_depth)?, last_place: answer.last_place })
    }

    async fn depths(&self, shards: &[Shard]) -> Result<Vec<QueueDepth>> {
        let shards = shards.iter().map(|shard| shard.number().into()).collect();
        let answer = call(self.tasks().count_queues(api::CountQueuesRequest { shards })).await?;
        read_all(answer.queues, decode_depth)
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        most: u32,
    ) -> Result<Vec<Task>> {
        let request = api::LoadWaitingRequest {
            tenant: tenant.to_string(),
            priority: priority.number(),
            kind: kind.into(),
            after_place: after,
            limit: limit(most),
        };
        all(call(self.tasks().load_waiting(request)).await?.tasks)
    }

    async fn load_new(&self, shard: Shard, after: i64, most: u32) -> Result<Vec<Task>> {
        let shard = shard.number().into();
        let request = api::LoadNewRequest { shard, after_place: after, limit: limit(most) };
        all(call(self.tasks().load_new(request)).await?.tasks)
    }

    async fn load_tasks(&self, tasks: Vec<Id>) -> Result<Vec<Task>> {
        let request = api::LoadTasksRequest { ids: texts(&tasks) };
        all(call(self.tasks().load_tasks(request)).await?.tasks)
    }

    async fn find_tasks(
        &self,
        tenant: &TenantName,
        references: Vec<Reference>,
    ) -> Result<Vec<Option<Standing>>> {
        let tasks = references.into_iter().map(encode_reference).collect();
        let request = api::FindTasksRequest { tenant: tenant.to_string(), tasks };
        read_all(call(self.tasks().find_tasks(request)).await?.tasks, |found| decode_standing(&found))
    }

    async fn load_running(&self, shard: Shard, after: i64, most: u32) -> Result<Vec<(Task, Id)>> {
        let shard = shard.number().into();
        let request = api::LoadRunningRequest { shard, after_place: after, limit: limit(most) };
        let answer = call(self.tasks().load_running(request)).await?;
        let running =
            |running: api::RunningTask| Ok((one(running.task)?, read(rule::id("token", &running.token))?));
        answer.tasks.into_iter().map(running).collect()
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        let request = api::CountTasksRequest { tenant: tenant.to_string() };
        let answer = call(self.tasks().count_tasks(request)).await?;
        read_all(answer.counts, |message| decode_task_count(&message))
    }

    async fn group(&self, tenant: &TenantName, name: &str) -> Result<Option<Group>> {
        let request = api::ReadGroupRequest { tenant: tenant.to_string(), name: name.to_owned() };
        let Some(answer) = found(call(self.tasks().read_group(request)).await)? else { return Ok(None) };
        read(rule::present("group", answer.group).and_then(decode_group)).map(Some)
    }

    async fn page_groups(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>> {
        let request = api::PageGroupsRequest {
            tenant: tenant.to_string(),
            page_size: page.size as i32,
            page_token: page.token,
        };
        let answer = call(self.tasks().page_groups(request)).await?;
        Ok(Page { items: read_all(answer.groups, decode_group)?, next_token: answer.next_page_token })
    }

    async fn sweep(&self, keep: Duration, limit: u32, now: Timestamp) -> Result<u64> {
        self.store.sweep(keep, limit, now).await
    }
}
