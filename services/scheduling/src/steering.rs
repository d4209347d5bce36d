//! The steering side of the gRPC service: settings are checked, stored, and put in force by the owner of the tenant's
//! shard; what only the owner knows is asked of it, wherever it is.

pub(crate) mod explain;
pub(crate) mod limit;
mod limits;
pub(crate) mod scope;

use std::sync::Arc;

use prost::Message;
use tidemill_chassis::{Context, FaultExt, Wire};
use tidemill_kernel::{Fault, Id, TenantName};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::steering_service_client::SteeringServiceClient;
use tidemill_proto::scheduling::v1::steering_service_server::SteeringService;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::{Task, TaskState};
use tonic::{Request, Response, Status};

use crate::Deps;
use crate::actor::Handle;
use crate::config::SharedLimit;
use crate::dependencies;
use crate::engine::{Answer, Event, Question};
use crate::schedule::Times;

/// The most settings of one tenant.
const MOST: usize = 1_000;
/// Metadata key of a call that was passed on by another scheduler: it is not passed on again.
const PASSED_ON: &str = "tidemill-passed-on";

/// The service.
#[derive(Debug, Clone)]
pub struct Steering {
    deps: Deps,
    handle: Handle,
    /// Limits of all tenants together that the configuration sets.
    configured: Arc<[SharedLimit]>,
}

impl Steering {
    pub(crate) fn new(deps: Deps, handle: Handle, configured: &[SharedLimit]) -> Self {
        Self { deps, handle, configured: configured.into() }
    }

    async fn load(&self, tenant: Option<&TenantName>) -> Result<Vec<store::Setting>, Status> {
        let request = store::LoadSettingsRequest {
            tenant: tenant.map(ToString::to_string).unwrap_or_default(),
            shards: Vec::new(),
            of_all_tenants: tenant.is_none(),
        };
        Ok(self.deps.settings.clone().load_settings(request).await?.into_inner().settings)
    }

    /// Stores a setting, of all tenants together if none is named, and has it put in force.
    async fn put(
        &self,
        tenant: Option<&TenantName>,
        sort: store::SettingSort,
        name: String,
        value: Vec<u8>,
    ) -> Result<(), Status> {
        let known = self.load(tenant).await?;
        let is_new = !known.iter().any(|setting| setting.sort() == sort && setting.name == name);
        if is_new && known.len() >= MOST {
            let rule = format!("there are {MOST} limits, pauses and schedules already; remove some first");
            return Err(Fault::invalid("scope", rule).into_status());
        }
        let named = tenant.map(ToString::to_string).unwrap_or_default();
        let setting = store::Setting { tenant: named, sort: sort.into(), name, value, updated_at: None };
        let request = store::PutSettingRequest { setting: Some(setting) };
        self.deps.settings.clone().put_setting(request).await?;
        self.handle.tell(Event::SettingsChanged(tenant.cloned()));
        Ok(())
    }

    async fn drop(
        &self,
        tenant: Option<&TenantName>,
        sort: store::SettingSort,
        name: &str,
    ) -> Result<bool, Status> {
        let request = store::DropSettingRequest {
            tenant: tenant.map(ToString::to_string).unwrap_or_default(),
            sort: sort.into(),
            name: name.to_owned(),
        };
        let dropped = self.deps.settings.clone().drop_setting(request).await?.into_inner().dropped;
        self.handle.tell(Event::SettingsChanged(tenant.cloned()));
        Ok(dropped)
    }

    /// What a task still waits for, in words.
    async fn open_dependencies(
        &self,
        context: &Context,
        tenant: &TenantName,
        task: Option<&Task>,
    ) -> Result<Option<String>, Status> {
        let of = task.filter(|task| task.state() == TaskState::Waiting && task.attempt == 0);
        let options = of.and_then(|task| task.options.as_deref());
        let Some(options) = options.filter(|options| !options.depends_on.is_empty()) else { return Ok(None) };
        let tasks = options.depends_on.clone();
        let request = store::FindTasksRequest { tenant: tenant.to_string(), tasks };
        let found = self.deps.tasks.clone().find_tasks(context.request(request)).await?.into_inner().tasks;
        Ok(dependencies::words(&options.depends_on, &found, options.on_dependency_failure()))
    }

    /// The scheduler to pass a call on to; an error where there is none, or the call was passed on already.
    fn elsewhere(&self, address: &str, passed_on: bool) -> Result<SteeringServiceClient<Wire>, Status> {
        let wire = self.deps.peers.as_ref().filter(|_| !passed_on).and_then(|peers| peers.wire(address));
        let away = || {
            Fault::new(
                tidemill_kernel::ErrorKind::Unavailable,
                "the tenant's queue is changing hands; try again in a moment",
            )
            .into_status()
        };
        wire.map(SteeringServiceClient::new).ok_or_else(away)
    }
}

/// Reads whose call it is, and whether another scheduler passed it on.
fn caller<T>(request: &Request<T>) -> Result<(Context, TenantName, bool), Status> {
    let context = Context::of(request);
    let tenant = context.tenant()?.clone();
    Ok((context, tenant, request.metadata().contains_key(PASSED_ON)))
}

/// The same call, for another scheduler.
fn passed_on<T>(context: &Context, message: T) -> Request<T> {
    let mut request = context.request(message);
    request.metadata_mut().insert(PASSED_ON, tonic::metadata::MetadataValue::from_static("1"));
    request
}

fn refuse((field, rule): (&'static str, String)) -> Status {
    Fault::invalid(format!("schedule.{field}"), rule).into_status()
}

#[tonic::async_trait]
impl SteeringService for Steering {
    async fn put_limit(
        &self,
        request: Request<api::PutLimitRequest>,
    ) -> Result<Response<api::PutLimitResponse>, Status> {
        let (context, tenant, _) = caller(&request)?;
        self.set_limit(&context, &tenant, request.into_inner().limit).await
    }

    async fn list_limits(
        &self,
        request: Request<api::ListLimitsRequest>,
    ) -> Result<Response<api::ListLimitsResponse>, Status> {
        let (context, tenant, is_passed_on) = caller(&request)?;
        self.limits(&context, &tenant, is_passed_on).await
    }

    async fn remove_limit(
        &self,
        request: Request<api::RemoveLimitRequest>,
    ) -> Result<Response<api::RemoveLimitResponse>, Status> {
        let (context, tenant, _) = caller(&request)?;
        self.lift_limit(&context, &tenant, request.into_inner().scope).await
    }

    async fn pause_queue(
        &self,
        request: Request<api::PauseQueueRequest>,
    ) -> Result<Response<api::PauseQueueResponse>, Status> {
        let (_, tenant, _) = caller(&request)?;
        let scope = request.into_inner().scope.unwrap_or_default();
        let (_, name) = scope::decode(&tenant, Some(&scope)).map_err(FaultExt::into_status)?;
        self.put(Some(&tenant), store::SettingSort::Pause, name, scope.encode_to_vec()).await?;
        Ok(Response::new(api::PauseQueueResponse {}))
    }

    async fn resume_queue(
        &self,
        request: Request<api::ResumeQueueRequest>,
    ) -> Result<Response<api::ResumeQueueResponse>, Status> {
        let (_, tenant, _) = caller(&request)?;
        let scope = request.into_inner().scope;
        let (_, name) = scope::decode(&tenant, scope.as_ref()).map_err(FaultExt::into_status)?;
        self.drop(Some(&tenant), store::SettingSort::Pause, &name).await?;
        Ok(Response::new(api::ResumeQueueResponse {}))
    }

    async fn explain_task(
        &self,
        request: Request<api::ExplainTaskRequest>,
    ) -> Result<Response<api::ExplainTaskResponse>, Status> {
        let (context, tenant, is_passed_on) = caller(&request)?;
        let message = request.into_inner();
        let id: Id = message.id.parse().map_err(|fault: tidemill_kernel::id::ParseIdError| {
            Fault::invalid("id", fault.to_string()).into_status()
        })?;
        let read = store::ReadTaskRequest { tenant: tenant.to_string(), id: id.to_string() };
        let task = self.deps.tasks.clone().read_task(context.request(read)).await?.into_inner().task;
        let open = self.open_dependencies(&context, &tenant, task.as_ref()).await?;
        let explained = match self.handle.ask(Question::Explain(id)).await? {
            Answer::Explained(explained) => explained,
            Answer::Elsewhere(address) => {
                let mut owner = self.elsewhere(&address, is_passed_on)?;
                return owner.explain_task(passed_on(&context, message)).await;
            }
            _ => None,
        };
        let now = self.deps.clock.now();
        Ok(Response::new(explain::response(task.unwrap_or_default(), open, explained, now)))
    }

    async fn put_schedule(
        &self,
        request: Request<api::PutScheduleRequest>,
    ) -> Result<Response<api::PutScheduleResponse>, Status> {
        let (_, tenant, _) = caller(&request)?;
        let mut schedule = request.into_inner().schedule.unwrap_or_default();
        explain::check_schedule(&schedule).map_err(refuse)?;
        let times = Times::parse(&schedule.cron, &schedule.time_zone).map_err(refuse)?;
        (schedule.next_at, schedule.last_at, schedule.last_task_id) = (None, None, String::new());
        let name = schedule.name.clone();
        self.put(Some(&tenant), store::SettingSort::Schedule, name, schedule.encode_to_vec()).await?;
        schedule.next_at = times.next(self.deps.clock.now()).map(explain::time);
        Ok(Response::new(api::PutScheduleResponse { schedule: Some(schedule) }))
    }

    async fn list_schedules(
        &self,
        request: Request<api::ListSchedulesRequest>,
    ) -> Result<Response<api::ListSchedulesResponse>, Status> {
        let (_, tenant, _) = caller(&request)?;
        let settings = self.load(Some(&tenant)).await?;
        let schedules = explain::schedules(&settings, self.deps.clock.now());
        Ok(Response::new(api::ListSchedulesResponse { schedules }))
    }

    async fn remove_schedule(
        &self,
        request: Request<api::RemoveScheduleRequest>,
    ) -> Result<Response<api::RemoveScheduleResponse>, Status> {
        let (_, tenant, _) = caller(&request)?;
        let name = request.into_inner().name;
        self.drop(Some(&tenant), store::SettingSort::Schedule, &name).await?;
        self.drop(Some(&tenant), store::SettingSort::ScheduleState, &name).await?;
        Ok(Response::new(api::RemoveScheduleResponse {}))
    }
}
