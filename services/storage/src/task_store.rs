//! `TaskStoreService`: the queue's durable log, for the scheduling service. Tenants are named in the messages.

use std::time::Duration;

use tidemill_chassis::Context;
use tidemill_proto::storage::v1::task_store_service_server::TaskStoreService;
use tidemill_proto::storage::v1::{
    AppendTasksRequest, AppendTasksResponse, AppendedTasks, ClaimShardsRequest, ClaimShardsResponse,
    CountQueuesRequest, CountQueuesResponse, CountTasksRequest, CountTasksResponse, DropTaskRequest,
    DropTaskResponse, FindTasksRequest, FindTasksResponse, ListQueuesRequest, ListQueuesResponse,
    LoadNewRequest, LoadNewResponse, LoadRunningRequest, LoadRunningResponse, LoadTasksRequest,
    LoadTasksResponse, LoadWaitingRequest, LoadWaitingResponse, MoveTaskRequest, MoveTaskResponse,
    PageGroupsRequest, PageGroupsResponse, PageTasksRequest, PageTasksResponse, ReadGroupRequest,
    ReadGroupResponse, ReadTaskRequest, ReadTaskResponse, RecordLeasesRequest, RecordLeasesResponse,
    ReviveTaskRequest, ReviveTaskResponse, RunningTask, SaveProgressRequest, SaveProgressResponse,
    SettleTasksRequest, SettleTasksResponse, SteerTasksRequest, SteerTasksResponse,
};
use tidemill_store as store;
use tidemill_store::task::AppendedTask;
use tonic::{Request, Response, Status};

use crate::convert::lease::{decode_completions, decode_failures, decode_progress, decode_recorded_leases};
use crate::convert::reference::{decode_references, encode_standing};
use crate::convert::rule;
use crate::convert::selection::decode_selection;
use crate::convert::shard::{decode_claim, decode_fence, decode_shard, encode_board};
use crate::convert::task::{
    Arrival, decode_batches, decode_state, encode_appended_task, encode_depth, encode_group, encode_task,
    encode_task_count,
};
use crate::{Deps, Error, Result};

/// The service, and how long it remembers keys.
pub struct Tasks(pub(crate) Deps, pub(crate) Duration);

impl Tasks {
    /// The service without a server around it, for a caller in the same process.
    pub fn over(deps: Deps, keep_keys: Duration) -> Self {
        Self(deps, keep_keys)
    }
}

#[tonic::async_trait]
impl TaskStoreService for Tasks {
    async fn append_tasks(
        &self,
        request: Request<AppendTasksRequest>,
    ) -> Result<Response<AppendTasksResponse>, Status> {
        let (request, now) = (request.into_inner(), self.0.now());
        let batches = decode_batches(request.batches, &Arrival { now, keep_keys: self.1 })?;
        let appended = self.0.store.append_tasks(batches, now).await.map_err(Error::Store)?;
        let batch = |tasks: Vec<AppendedTask>| AppendedTasks {
            tasks: tasks.into_iter().map(encode_appended_task).collect(),
        };
        let batches = appended.into_iter().map(batch).collect();
        Ok(self.0.written(AppendTasksResponse { batches }).await)
    }

    async fn claim_shards(
        &self,
        request: Request<ClaimShardsRequest>,
    ) -> Result<Response<ClaimShardsResponse>, Status> {
        let now = self.0.now();
        let claim = decode_claim(request.into_inner(), now)?;
        let board = self.0.store.claim_shards(claim, now).await.map_err(Error::Store)?;
        Ok(Response::new(encode_board(board, now)))
    }

    async fn record_leases(
        &self,
        request: Request<RecordLeasesRequest>,
    ) -> Result<Response<RecordLeasesResponse>, Status> {
        let request = request.into_inner();
        let (fence, leases) = (decode_fence(request.fence)?, decode_recorded_leases(request.leases)?);
        let given_back = rule::ids("given_back", &request.given_back, rule::MAX_LEASES)?;
        let gone = self.0.store.record_leases(fence, leases, given_back).await.map_err(Error::Store)?;
        Ok(Response::new(RecordLeasesResponse { gone: gone.iter().map(ToString::to_string).collect() }))
    }

    async fn save_progress(
        &self,
        request: Request<SaveProgressRequest>,
    ) -> Result<Response<SaveProgressResponse>, Status> {
        let request = request.into_inner();
        let (fence, progress) = (decode_fence(request.fence)?, decode_progress(request.progress)?);
        self.0.store.save_progress(fence, progress).await.map_err(Error::Store)?;
        Ok(Response::new(SaveProgressResponse {}))
    }

    async fn settle_tasks(
        &self,
        request: Request<SettleTasksRequest>,
    ) -> Result<Response<SettleTasksResponse>, Status> {
        let (request, now) = (request.into_inner(), self.0.now());
        let fence = decode_fence(request.fence)?;
        let completions = decode_completions(request.completions, &Arrival { now, keep_keys: self.1 })?;
        let failures = decode_failures(request.failures)?;
        let settled = self.0.store.settle_tasks(fence, completions, failures, now).await;
        let settled = settled.map_err(Error::Store)?;
        let follow_ups = settled.follow_ups.into_iter().map(encode_task).collect();
        Ok(Response::new(SettleTasksResponse { accepted: settled.accepted, follow_ups }))
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
        let task = Some(encode_task(revived.map_err(Error::Store)?));
        Ok(self.0.written(ReviveTaskResponse { task }).await)
    }

    async fn move_task(
        &self,
        request: Request<MoveTaskRequest>,
    ) -> Result<Response<MoveTaskResponse>, Status> {
        let request = request.into_inner();
        let (tenant, id) = (rule::tenant("tenant", &request.tenant)?, rule::id("id", &request.id)?);
        let priority = rule::given_priority("priority", request.priority)?;
        let moved = self.0.store.prioritise_task(&tenant, id, priority).await;
        let task = Some(encode_task(moved.map_err(Error::Store)?));
        Ok(self.0.written(MoveTaskResponse { task }).await)
    }

    async fn steer_tasks(
        &self,
        request: Request<SteerTasksRequest>,
    ) -> Result<Response<SteerTasksResponse>, Status> {
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let selection = decode_selection(request)?;
        let steered = self.0.store.steer_tasks(&tenant, selection, self.0.now()).await;
        let steered = steered.map_err(Error::Store)?;
        let ids = steered.tasks.iter().map(ToString::to_string).collect();
        Ok(self.0.written(SteerTasksResponse { ids, through: steered.through }).await)
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
        request: Request<ListQueuesRequest>,
    ) -> Result<Response<ListQueuesResponse>, Status> {
        let shard = decode_shard("shard", request.into_inner().shard)?;
        let queues = self.0.store.queues(shard).await.map_err(Error::Store)?;
        let last_place = queues.last_place;
        let queues = queues.depths.into_iter().map(encode_depth).collect();
        Ok(Response::new(ListQueuesResponse { queues, last_place }))
    }

    async fn count_queues(
        &self,
        request: Request<CountQueuesRequest>,
    ) -> Result<Response<CountQueuesResponse>, Status> {
        let shards = request.into_inner().shards.into_iter().map(|shard| decode_shard("shards", shard));
        let shards = shards.collect::<Result<Vec<_>, _>>()?;
        let depths = self.0.store.depths(&shards).await.map_err(Error::Store)?;
        let queues = depths.into_iter().map(encode_depth).collect();
        Ok(Response::new(CountQueuesResponse { queues }))
    }

    async fn load_waiting(
        &self,
        request: Request<LoadWaitingRequest>,
    ) -> Result<Response<LoadWaitingResponse>, Status> {
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let (priority, limit) =
            (rule::priority("priority", request.priority)?, rule::limit("limit", request.limit)?);
        let after = request.after_place;
        let waiting = self.0.store.load_waiting(&tenant, priority, &request.kind, after, limit).await;
        let tasks = waiting.map_err(Error::Store)?.into_iter().map(encode_task).collect();
        Ok(Response::new(LoadWaitingResponse { tasks }))
    }

    async fn load_new(&self, request: Request<LoadNewRequest>) -> Result<Response<LoadNewResponse>, Status> {
        let request = request.into_inner();
        let (shard, limit) = (decode_shard("shard", request.shard)?, rule::limit("limit", request.limit)?);
        let new = self.0.store.load_new(shard, request.after_place, limit).await.map_err(Error::Store)?;
        Ok(Response::new(LoadNewResponse { tasks: new.into_iter().map(encode_task).collect() }))
    }

    async fn load_tasks(
        &self,
        request: Request<LoadTasksRequest>,
    ) -> Result<Response<LoadTasksResponse>, Status> {
        let ids = rule::ids("ids", &request.into_inner().ids, rule::MAX_LEASES)?;
        let tasks = self.0.store.load_tasks(ids).await.map_err(Error::Store)?;
        Ok(Response::new(LoadTasksResponse { tasks: tasks.into_iter().map(encode_task).collect() }))
    }

    async fn find_tasks(
        &self,
        request: Request<FindTasksRequest>,
    ) -> Result<Response<FindTasksResponse>, Status> {
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let references = decode_references("tasks", request.tasks)?;
        let found = self.0.store.find_tasks(&tenant, references).await.map_err(Error::Store)?;
        Ok(Response::new(FindTasksResponse { tasks: found.into_iter().map(encode_standing).collect() }))
    }

    async fn load_running(
        &self,
        request: Request<LoadRunningRequest>,
    ) -> Result<Response<LoadRunningResponse>, Status> {
        let request = request.into_inner();
        let (shard, limit) = (decode_shard("shard", request.shard)?, rule::limit("limit", request.limit)?);
        let running = self.0.store.load_running(shard, request.after_place, limit).await;
        let running = running.map_err(Error::Store)?.into_iter();
        let tasks = running
            .map(|(task, token)| RunningTask { task: Some(encode_task(task)), token: token.to_string() });
        Ok(Response::new(LoadRunningResponse { tasks: tasks.collect() }))
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

    async fn read_group(
        &self,
        request: Request<ReadGroupRequest>,
    ) -> Result<Response<ReadGroupResponse>, Status> {
        let request = request.into_inner();
        let (tenant, name) = (rule::tenant("tenant", &request.tenant)?, rule::group("name", request.name)?);
        let found = self.0.store.group(&tenant, &name).await.map_err(Error::Store)?;
        let group = found.ok_or(Error::Store(store::Error::NotFound { what: "group", name }))?;
        Ok(Response::new(ReadGroupResponse { group: Some(encode_group(group)) }))
    }

    async fn page_groups(
        &self,
        request: Request<PageGroupsRequest>,
    ) -> Result<Response<PageGroupsResponse>, Status> {
        let reading = self.0.reading(&Context::of(&request))?;
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let page = rule::page(request.page_size, request.page_token)?;
        let page = reading.page_groups(&tenant, page).await.map_err(Error::Store)?.map(encode_group);
        Ok(Response::new(PageGroupsResponse { groups: page.items, next_page_token: page.next_token }))
    }
}
