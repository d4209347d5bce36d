//! `TaskStoreService`: the queue's durable log, for the scheduling service. Tenants are named in the messages.

use tidemill_chassis::Context;
use tidemill_proto::storage::v1::task_store_service_server::TaskStoreService;
use tidemill_proto::storage::v1::{
    AppendTasksRequest, AppendTasksResponse, CountTasksRequest, CountTasksResponse, DropTaskRequest,
    DropTaskResponse, LeaseTasksRequest, LeaseTasksResponse, ListQueuesRequest, ListQueuesResponse,
    LoadNewRequest, LoadNewResponse, LoadRunningRequest, LoadRunningResponse, LoadWaitingRequest,
    LoadWaitingResponse, PageTasksRequest, PageTasksResponse, ReadTaskRequest, ReadTaskResponse,
    ReleaseLeasesRequest, ReleaseLeasesResponse, RenewLeasesRequest, RenewLeasesResponse, ReviveTaskRequest,
    ReviveTaskResponse, SettleTasksRequest, SettleTasksResponse,
};
use tidemill_store as store;
use tonic::{Request, Response, Status};

use crate::convert::lease::{
    decode_completions, decode_failures, decode_grants, decode_lease_refs, encode_lease, encode_running,
};
use crate::convert::task::{
    decode_new_tasks, decode_state, encode_appended_task, encode_depth, encode_task, encode_task_count,
    encode_waiting,
};
use crate::convert::{rule, time};
use crate::{Deps, Error, Result};

/// The service.
pub(crate) struct Tasks(pub(crate) Deps);

#[tonic::async_trait]
impl TaskStoreService for Tasks {
    async fn append_tasks(
        &self,
        request: Request<AppendTasksRequest>,
    ) -> Result<Response<AppendTasksResponse>, Status> {
        let (request, now) = (request.into_inner(), self.0.now());
        let tenant = rule::tenant("tenant", &request.tenant)?;
        rule::batch("tasks", request.tasks.len())?;
        let tasks = decode_new_tasks("tasks", request.tasks, now, &|| self.0.new_id())?;
        let appended = self.0.store.append_tasks(&tenant, tasks, now).await.map_err(Error::Store)?;
        let tasks = appended.into_iter().map(encode_appended_task).collect();
        Ok(self.0.written(AppendTasksResponse { tasks }).await)
    }

    async fn lease_tasks(
        &self,
        request: Request<LeaseTasksRequest>,
    ) -> Result<Response<LeaseTasksResponse>, Status> {
        let request = request.into_inner();
        let grants = decode_grants(request.grants)?;
        let expires_at = time::decode_required("expires_at", request.expires_at)?;
        let leased = self.0.store.lease_tasks(grants, expires_at, self.0.now()).await;
        let leased = leased.map_err(Error::Store)?.into_iter();
        let leases = leased.map(|(task, token)| encode_lease(task, token, expires_at)).collect();
        Ok(Response::new(LeaseTasksResponse { leases }))
    }

    async fn settle_tasks(
        &self,
        request: Request<SettleTasksRequest>,
    ) -> Result<Response<SettleTasksResponse>, Status> {
        let (request, now) = (request.into_inner(), self.0.now());
        let completions = decode_completions(request.completions, now, &|| self.0.new_id())?;
        let failures = decode_failures(request.failures)?;
        let settled = self.0.store.settle_tasks(completions, failures, now).await.map_err(Error::Store)?;
        let follow_ups = settled.follow_ups.into_iter().map(encode_waiting).collect();
        Ok(Response::new(SettleTasksResponse { accepted: settled.accepted, follow_ups }))
    }

    async fn renew_leases(
        &self,
        request: Request<RenewLeasesRequest>,
    ) -> Result<Response<RenewLeasesResponse>, Status> {
        let request = request.into_inner();
        let leases = decode_lease_refs(&request.leases)?;
        let expires_at = time::decode_required("expires_at", request.expires_at)?;
        let lost = self.0.store.renew_leases(leases, expires_at).await.map_err(Error::Store)?;
        Ok(Response::new(RenewLeasesResponse { lost: lost.iter().map(ToString::to_string).collect() }))
    }

    async fn release_leases(
        &self,
        request: Request<ReleaseLeasesRequest>,
    ) -> Result<Response<ReleaseLeasesResponse>, Status> {
        let leases = decode_lease_refs(&request.into_inner().leases)?;
        let waiting = self.0.store.release_leases(leases, self.0.now()).await.map_err(Error::Store)?;
        Ok(Response::new(ReleaseLeasesResponse {
            waiting: waiting.into_iter().map(encode_waiting).collect(),
        }))
    }

    async fn drop_task(
        &self,
        request: Request<DropTaskRequest>,
    ) -> Result<Response<DropTaskResponse>, Status> {
        let request = request.into_inner();
        let (tenant, id) = (rule::tenant("tenant", &request.tenant)?, rule::id("id", &request.id)?);
        let task = self.0.store.cancel_task(&tenant, id, self.0.now()).await.map_err(Error::Store)?;
        Ok(self.0.written(DropTaskResponse { task: Some(encode_task(task)) }).await)
    }

    async fn revive_task(
        &self,
        request: Request<ReviveTaskRequest>,
    ) -> Result<Response<ReviveTaskResponse>, Status> {
        let request = request.into_inner();
        let (tenant, id) = (rule::tenant("tenant", &request.tenant)?, rule::id("id", &request.id)?);
        let revived = self.0.store.revive_task(&tenant, id, self.0.now()).await;
        let (task, waiting) = revived.map_err(Error::Store)?;
        let (task, waiting) = (Some(encode_task(task)), Some(encode_waiting(waiting)));
        Ok(self.0.written(ReviveTaskResponse { task, waiting }).await)
    }

    async fn read_task(
        &self,
        request: Request<ReadTaskRequest>,
    ) -> Result<Response<ReadTaskResponse>, Status> {
        let request = request.into_inner();
        let (tenant, id) = (rule::tenant("tenant", &request.tenant)?, rule::id("id", &request.id)?);
        let found = self.0.store.task(&tenant, id).await.map_err(Error::Store)?;
        let absent = || Error::Store(store::Error::NotFound { what: "task", name: id.to_string() });
        Ok(Response::new(ReadTaskResponse { task: Some(encode_task(found.ok_or_else(absent)?)) }))
    }

    async fn page_tasks(
        &self,
        request: Request<PageTasksRequest>,
    ) -> Result<Response<PageTasksResponse>, Status> {
        let reading = self.0.reading(&Context::of(&request))?;
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let state = decode_state("state", request.state)?;
        let kind = (!request.kind.is_empty()).then_some(request.kind.as_str());
        let page = rule::page(request.page_size, request.page_token)?;
        let page = reading.page_tasks(&tenant, state, kind, page).await.map_err(Error::Store)?;
        let page = page.map(encode_task);
        Ok(Response::new(PageTasksResponse { tasks: page.items, next_page_token: page.next_token }))
    }

    async fn list_queues(
        &self,
        _: Request<ListQueuesRequest>,
    ) -> Result<Response<ListQueuesResponse>, Status> {
        let queues = self.0.store.queues().await.map_err(Error::Store)?;
        let last_sequence = queues.last_sequence;
        let queues = queues.depths.into_iter().map(encode_depth).collect();
        Ok(Response::new(ListQueuesResponse { queues, last_sequence }))
    }

    async fn load_waiting(
        &self,
        request: Request<LoadWaitingRequest>,
    ) -> Result<Response<LoadWaitingResponse>, Status> {
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let (priority, limit) =
            (rule::priority("priority", request.priority)?, rule::limit("limit", request.limit)?);
        let after = request.after_sequence;
        let waiting = self.0.store.load_waiting(&tenant, priority, &request.kind, after, limit).await;
        let tasks = waiting.map_err(Error::Store)?.into_iter().map(encode_waiting).collect();
        Ok(Response::new(LoadWaitingResponse { tasks }))
    }

    async fn load_new(&self, request: Request<LoadNewRequest>) -> Result<Response<LoadNewResponse>, Status> {
        let request = request.into_inner();
        let limit = rule::limit("limit", request.limit)?;
        let waiting = self.0.store.load_new(request.after_sequence, limit).await.map_err(Error::Store)?;
        Ok(Response::new(LoadNewResponse { tasks: waiting.into_iter().map(encode_waiting).collect() }))
    }

    async fn load_running(
        &self,
        request: Request<LoadRunningRequest>,
    ) -> Result<Response<LoadRunningResponse>, Status> {
        let request = request.into_inner();
        let limit = rule::limit("limit", request.limit)?;
        let running = self.0.store.load_running(request.after_sequence, limit).await.map_err(Error::Store)?;
        Ok(Response::new(LoadRunningResponse { tasks: running.into_iter().map(encode_running).collect() }))
    }

    async fn count_tasks(
        &self,
        request: Request<CountTasksRequest>,
    ) -> Result<Response<CountTasksResponse>, Status> {
        let reading = self.0.reading(&Context::of(&request))?;
        let tenant = rule::tenant("tenant", &request.into_inner().tenant)?;
        let counts = reading.count_tasks(&tenant).await.map_err(Error::Store)?;
        Ok(Response::new(CountTasksResponse { counts: counts.into_iter().map(encode_task_count).collect() }))
    }
}
