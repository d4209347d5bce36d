//! The queue's log.

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_storage::convert::lease::{
    decode_lease, decode_running, encode_completion, encode_failure, encode_grant, encode_lease_ref,
};
use tidemill_storage::convert::task::{
    decode_appended_task, decode_depth, decode_task, decode_task_count, decode_waiting, encode_new_task,
};
use tidemill_storage::convert::{rule, time};
use tidemill_store::task::{
    AppendedTask, Completion, Failure, Grant, LeaseRef, NewTask, Queues, Running, Settled, Task, TaskCount,
    TaskState, Waiting,
};
use tidemill_store::{Result, TaskStore};

use super::{GrpcStore, call, call_at, found, ids, limit, read, read_all};

fn refs(leases: Vec<LeaseRef>) -> Vec<api::LeaseRef> {
    leases.into_iter().map(encode_lease_ref).collect()
}

fn all_waiting(messages: Vec<api::WaitingTask>) -> Result<Vec<Waiting>> {
    read_all(messages, decode_waiting)
}

/// The task of an answer.
fn one(message: Option<types::Task>) -> Result<Task> {
    read(rule::present("task", message).and_then(decode_task))
}

#[async_trait]
impl TaskStore for GrpcStore {
    async fn append_tasks(
        &self,
        tenant: &TenantName,
        tasks: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Vec<AppendedTask>> {
        if tasks.is_empty() {
            return self.nothing(tenant).await;
        }
        let ids = ids(tasks.iter());
        let tasks = tasks.into_iter().map(encode_new_task).collect();
        let request = api::AppendTasksRequest { tenant: tenant.to_string(), tasks };
        let answer = call_at(now, ids, self.tasks().append_tasks(request)).await?;
        read_all(answer.tasks, |message| decode_appended_task(&message))
    }

    async fn lease_tasks(
        &self,
        grants: Vec<Grant>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Task, Id)>> {
        let grants = grants.into_iter().map(encode_grant).collect();
        let request = api::LeaseTasksRequest { grants, expires_at: Some(time::encode(expires_at)) };
        let answer = call_at(now, Vec::new(), self.tasks().lease_tasks(request)).await?;
        read_all(answer.leases, |message| {
            let (task, token, until) = decode_lease(message)?;
            assert_eq!(until, expires_at);
            Ok((task, token))
        })
    }

    async fn settle_tasks(
        &self,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        let ids = ids(completions.iter().flat_map(|completion| &completion.follow_ups));
        let completions = read_all(completions, encode_completion)?;
        let failures = failures.into_iter().map(encode_failure).collect();
        let request = api::SettleTasksRequest { completions, failures };
        let answer = call_at(now, ids, self.tasks().settle_tasks(request)).await?;
        Ok(Settled { accepted: answer.accepted, follow_ups: all_waiting(answer.follow_ups)? })
    }

    async fn renew_leases(&self, leases: Vec<LeaseRef>, expires_at: Timestamp) -> Result<Vec<Id>> {
        let expires_at = Some(time::encode(expires_at));
        let request = api::RenewLeasesRequest { leases: refs(leases), expires_at };
        let answer = call(self.tasks().renew_leases(request)).await?;
        read(rule::ids("lost", &answer.lost, usize::MAX))
    }

    async fn release_leases(&self, leases: Vec<LeaseRef>, now: Timestamp) -> Result<Vec<Waiting>> {
        let request = api::ReleaseLeasesRequest { leases: refs(leases) };
        all_waiting(call_at(now, Vec::new(), self.tasks().release_leases(request)).await?.waiting)
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        let request = api::DropTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
        one(call_at(now, Vec::new(), self.tasks().drop_task(request)).await?.task)
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<(Task, Waiting)> {
        let request = api::ReviveTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
        let answer = call_at(now, Vec::new(), self.tasks().revive_task(request)).await?;
        let waiting = read(rule::present("waiting", answer.waiting).and_then(decode_waiting))?;
        Ok((one(answer.task)?, waiting))
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

    async fn queues(&self) -> Result<Queues> {
        let answer = call(self.tasks().list_queues(api::ListQueuesRequest {})).await?;
        let depths = read_all(answer.queues, decode_depth)?;
        Ok(Queues { depths, last_sequence: answer.last_sequence })
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        most: u32,
    ) -> Result<Vec<Waiting>> {
        let request = api::LoadWaitingRequest {
            tenant: tenant.to_string(),
            priority: priority.number(),
            kind: kind.into(),
            after_sequence: after,
            limit: limit(most),
        };
        all_waiting(call(self.tasks().load_waiting(request)).await?.tasks)
    }

    async fn load_new(&self, after: i64, most: u32) -> Result<Vec<Waiting>> {
        let request = api::LoadNewRequest { after_sequence: after, limit: limit(most) };
        all_waiting(call(self.tasks().load_new(request)).await?.tasks)
    }

    async fn load_running(&self, after: i64, most: u32) -> Result<Vec<Running>> {
        let request = api::LoadRunningRequest { after_sequence: after, limit: limit(most) };
        let answer = call(self.tasks().load_running(request)).await?;
        read_all(answer.tasks, decode_running)
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        let request = api::CountTasksRequest { tenant: tenant.to_string() };
        let answer = call(self.tasks().count_tasks(request)).await?;
        read_all(answer.counts, |message| decode_task_count(&message))
    }
}
