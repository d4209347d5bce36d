//! The ways that a call can take to the same service, and how they are timed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, Part, SystemClock};
use tidemill_kernel::{Clock, Id, TenantName, Tier};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::types::v1 as types;
use tidemill_store::tenant::Tenant;
use tidemill_store::{MemoryStore, TaskStore, TenantStore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

use crate::loopback;

/// The calls that are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// A task of about 300 bytes.
    Small,
    /// The same under a deadline.
    InTime,
    /// A task of 4 KiB.
    Large,
}

impl Call {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::InTime, Self::Large];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Small => "ReadTask, an answer of 300 bytes",
            Self::InTime => "ReadTask with a deadline of 30 s",
            Self::Large => "ReadTask, an answer of 4 KiB",
        }
    }
}

/// One way, ready to be timed.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    round: Round,
}

type Round = Box<dyn Fn(usize) -> BoxFuture<'static, Result<Vec<Duration>>>>;

impl Path {
    /// Times so many calls, one after the other.
    pub(crate) async fn round(&self, calls: usize) -> Result<Timings> {
        // As a task of the runtime, like any caller in a service; the main thread would add wake-ups of its own.
        let times = tokio::spawn((self.round)(calls)).await??;
        Timings::of(times).context("no call was made")
    }
}

/// What the calls of one round took.
#[derive(Debug)]
pub(crate) struct Timings {
    pub(crate) mean: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Timings {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        let mean = times.iter().sum::<Duration>().checked_div(u32::try_from(times.len()).ok()?)?;
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied();
        Some(Self { mean, p50: at(50)?, p99: at(99)? })
    }
}

/// The service with two tasks in it.
pub(crate) struct Ground {
    store: Arc<MemoryStore>,
    part: Part,
    asked: Asked,
    stop: CancellationToken,
    _guard: DropGuard,
}

/// What is asked for, and as whom.
#[derive(Clone)]
struct Asked {
    tenant: TenantName,
    small: Id,
    large: Id,
}

impl Asked {
    fn task(&self, call: Call) -> Id {
        match call {
            Call::Small | Call::InTime => self.small,
            Call::Large => self.large,
        }
    }
}

impl Ground {
    pub(crate) async fn new() -> Result<Self> {
        let store = Arc::new(MemoryStore::new("benchmark"));
        let tenant: TenantName = "acme".parse()?;
        let row = Tenant { name: tenant.clone(), tier: Tier::Pro, created_at: SystemClock.now() };
        store.create_tenant(row, None).await?;
        let (clock, rng) = (Arc::new(SystemClock), Arc::new(Mutex::new(seeded_rng())));
        let deps = tidemill_storage::Deps { store: store.clone(), clock, rng };
        let part = tidemill_storage::build(tidemill_storage::Config::default(), deps);
        let asked = fill(&part, tenant).await?;
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        Ok(Self { store, part, asked, stop, _guard: guard })
    }

    /// Every way to make the call, the cheapest first, loopback through all layers last.
    pub(crate) async fn paths(&self, call: Call) -> Result<Vec<Path>> {
        let wire = self.part.wire(ServerLimits::default());
        let across = loopback::across(&wire, &self.part.services, &self.stop).await?;
        let (store, asked) = (self.store.clone(), self.asked.clone());
        let alone = move |calls| -> BoxFuture<'static, _> {
            Box::pin(method(store.clone(), asked.clone(), call, calls))
        };
        let bare = self.part.routes.clone().prepare();
        Ok(vec![
            Path { name: "the store's method alone, no call", round: Box::new(alone) },
            self.path("in process, tonic bare", bare, call),
            self.path("in process, all layers", wire, call),
            self.path("loopback, tonic bare", self.channel().await?, call),
            self.path("loopback, all layers", across, call),
        ])
    }

    fn path<S>(&self, name: &'static str, service: S, call: Call) -> Path
    where
        S: GrpcService<Body> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<StdError>,
        S::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <S::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    {
        let asked = self.asked.clone();
        Path {
            name,
            round: Box::new(move |calls| Box::pin(ask(service.clone(), asked.clone(), call, calls))),
        }
    }

    /// A channel of tonic's own to a server of tonic's own, nothing of ours between.
    async fn channel(&self) -> Result<Channel> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_routes(self.part.routes.clone());
        tokio::spawn(server.serve_with_incoming_shutdown(incoming, self.stop.clone().cancelled_owned()));
        Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?)
    }
}

/// Stores what the calls ask for.
async fn fill(part: &Part, tenant: TenantName) -> Result<Asked> {
    let task =
        |bytes| types::NewTask { kind: "demo".into(), payload: "x".repeat(bytes), ..Default::default() };
    let batch = api::TenantTasks { tenant: tenant.to_string(), tasks: vec![task(200), task(4 << 10)] };
    let append = api::AppendTasksRequest { batches: vec![batch] };
    let mut tasks = TaskStoreServiceClient::new(part.wire(ServerLimits::default()));
    let appended = tasks.append_tasks(append).await?.into_inner().batches.remove(0).tasks;
    let id = |index: usize| Ok::<Id, anyhow::Error>(appended.get(index).context("no such task")?.id.parse()?);
    Ok(Asked { tenant, small: id(0)?, large: id(1)? })
}

/// The same work without a call: what the service itself does at most.
async fn method(store: Arc<MemoryStore>, asked: Asked, call: Call, calls: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(calls);
    let mut begun = Instant::now();
    for _ in 0..calls {
        store.task(&asked.tenant, asked.task(call)).await?.context("the task is gone")?;
        let now = Instant::now();
        times.push(now - begun);
        begun = now;
    }
    Ok(times)
}

/// The call, made as services make it: a context, written into a request.
async fn ask<S>(service: S, asked: Asked, call: Call, calls: usize) -> Result<Vec<Duration>>
where
    S: GrpcService<Body> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<StdError>,
    S::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let mut tasks = TaskStoreServiceClient::new(service);
    let mut context = Context::for_tenant(asked.tenant.clone());
    if let Call::InTime = call {
        // Far enough away for all rounds.
        context.deadline = Some(SystemClock.now() + Duration::from_secs(30));
    }
    let mut times = Vec::with_capacity(calls);
    let mut begun = Instant::now();
    for _ in 0..calls {
        let (tenant, id) = (asked.tenant.to_string(), asked.task(call).to_string());
        let request = context.request(api::ReadTaskRequest { tenant, id });
        tasks.read_task(request).await?.into_inner().task.context("the task is gone")?;
        let now = Instant::now();
        times.push(now - begun);
        begun = now;
    }
    Ok(times)
}
