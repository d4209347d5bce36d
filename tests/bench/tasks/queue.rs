//! The queue under test: storage on SQLite and scheduling, composed as the binary does it, with a worker whose handler
//! does nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use futures::future::try_join_all;
use tempfile::TempDir;
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, Part, Shutdown, SystemClock, Wire};
use tidemill_kernel::{Clock, TenantName, Tier};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{GetQueueRequest, SubmitTasksRequest};
use tidemill_proto::storage::v1::setting_store_service_client::SettingStoreServiceClient;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_proto::types::v1::NewTask;
use tidemill_sqlite::{SqliteConfig, SqliteStore};
use tidemill_store::TenantStore;
use tidemill_store::tenant::Tenant;
use tidemill_tests::harness::poll;
use tidemill_worker::{Attempt, Config as WorkerConfig, Done, Failed, Handler, Worker};
use tokio::sync::mpsc;

use crate::{folder, loopback};

/// How many tasks the worker runs at once.
const SLOTS: u32 = 256;
/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(300);

/// How the parts reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wiring {
    /// Within the process.
    Process,
    /// Each behind a socket.
    Loopback,
}

/// A queue that runs.
pub(crate) struct Queue {
    scheduling: Wire,
    client: SchedulingServiceClient<Wire>,
    context: Context,
    store: Arc<SqliteStore>,
    shutdown: Shutdown,
    done: usize,
    started: mpsc::UnboundedReceiver<Instant>,
    handler: Arc<dyn Handler>,
    _folder: TempDir,
}

/// Does nothing, but tells when.
struct Idle(mpsc::UnboundedSender<Instant>);

#[async_trait]
impl Handler for Idle {
    async fn run(&self, _: Attempt) -> Result<Done, Failed> {
        let _ = self.0.send(Instant::now());
        Ok(Done::default())
    }
}

impl Queue {
    /// An empty queue in a fresh folder, without a worker.
    pub(crate) async fn start(wiring: Wiring) -> Result<Self> {
        let folder = folder::fresh()?;
        let config = SqliteConfig { path: folder.path().join("data"), ..SqliteConfig::default() };
        let store = Arc::new(SqliteStore::open(config).await?);
        let tenant: TenantName = "acme".parse()?;
        let row = Tenant { name: tenant.clone(), tier: Tier::Pro, created_at: SystemClock.now() };
        store.create_tenant(row, None).await?;
        let (shutdown, clock) = (Shutdown::default(), Arc::new(SystemClock));
        let rng = Arc::new(Mutex::new(seeded_rng()));
        let deps = tidemill_storage::Deps { store: store.clone(), clock: clock.clone(), rng };
        let storage = tidemill_storage::build(tidemill_storage::Config::default(), deps);
        let storage = wire(&storage, wiring, &shutdown).await?;
        let tasks = TaskStoreServiceClient::new(storage.clone());
        let deps = tidemill_scheduling::Deps {
            tasks,
            settings: SettingStoreServiceClient::new(storage.clone()),
            tenants: TenantStoreServiceClient::new(storage),
            peers: None,
            alone: true,
            address: String::new(),
            clock,
        };
        let part = tidemill_scheduling::build(tidemill_scheduling::Config::default(), deps)?;
        let scheduling = wire(&part, wiring, &shutdown).await?;
        part.background.into_iter().for_each(|background| shutdown.spawn_background(background));
        let (tell, started) = mpsc::unbounded_channel();
        let client = SchedulingServiceClient::new(scheduling.clone());
        let (context, handler) = (Context::for_tenant(tenant), Arc::new(Idle(tell)));
        Ok(Self { scheduling, client, context, store, shutdown, done: 0, started, handler, _folder: folder })
    }

    /// Lets a worker in.
    pub(crate) fn work(&self) {
        let handlers = HashMap::from([("demo".to_owned(), self.handler.clone())]);
        let worker = Worker { name: "w".into(), config: WorkerConfig::with_slots(SLOTS), handlers };
        let scheduler = WorkerServiceClient::new(self.scheduling.clone())
            .max_decoding_message_size(64 << 20)
            .max_encoding_message_size(64 << 20);
        self.shutdown.spawn("worker", worker.run(scheduler, self.shutdown.soft()));
    }

    /// Submits tasks in batches, one call after the other; how long until the last was acknowledged.
    pub(crate) async fn submit(&mut self, count: usize, batch: usize) -> Result<Duration> {
        let begun = Instant::now();
        for _ in 0..count / batch {
            let request = self.context.request(SubmitTasksRequest { tasks: vec![task(); batch] });
            self.client.submit_tasks(request).await?;
        }
        Ok(begun.elapsed())
    }

    /// The same while the worker runs; how long until the last was completed.
    pub(crate) async fn submit_and_wait(&mut self, count: usize, batch: usize) -> Result<Duration> {
        let begun = Instant::now();
        self.submit(count, batch).await?;
        self.until_done(count).await?;
        Ok(begun.elapsed())
    }

    /// Waits until so many more tasks are completed durably; for how long.
    pub(crate) async fn until_done(&mut self, count: usize) -> Result<Duration> {
        let begun = Instant::now();
        self.done += count;
        self.reach(self.done).await?;
        Ok(begun.elapsed())
    }

    async fn reach(&self, count: usize) -> Result<()> {
        let wanted = i64::try_from(count)?;
        let ask = || async {
            let request = self.context.request(GetQueueRequest {});
            let queue = self.client.clone().get_queue(request).await.ok()?.into_inner().queue?;
            let done: i64 = queue.priorities.iter().map(|row| row.succeeded).sum();
            (done >= wanted).then_some(())
        };
        poll::until("every task is done", LIMIT, ask).await
    }

    /// The median time from the call that submits a lone task to the start of its handler.
    pub(crate) async fn pickup(&mut self, count: usize) -> Result<Duration> {
        while self.started.try_recv().is_ok() {}
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            self.submit(1, 1).await?;
            let started = self.started.recv().await.context("the handler is gone")?;
            times.push(started.saturating_duration_since(begun));
            self.until_done(1).await?;
        }
        times.sort_unstable();
        times.get(count / 2).copied().context("no task was submitted")
    }

    /// Submits tasks one a call, by so many callers at once.
    pub(crate) async fn submit_one_by_one(&self, count: usize, callers: usize) -> Result<Duration> {
        let begun = Instant::now();
        let calls = (0..callers).map(|_| {
            let (mut client, context) = (self.client.clone(), self.context.clone());
            tokio::spawn(async move {
                for _ in 0..count / callers {
                    // Of a kind that no worker runs: submitting alone is measured.
                    let task = NewTask { kind: "later".into(), ..task() };
                    let request = SubmitTasksRequest { tasks: vec![task] };
                    client.submit_tasks(context.request(request)).await?;
                }
                Ok::<(), tonic::Status>(())
            })
        });
        for outcome in try_join_all(calls).await? {
            outcome?;
        }
        Ok(begun.elapsed())
    }

    /// Transactions since it was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.store.commits()
    }

    /// Ends it in good order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.shutdown.drain(Duration::from_secs(10)).await;
        self.store.close().await;
        Ok(())
    }
}

async fn wire(part: &Part, wiring: Wiring, shutdown: &Shutdown) -> Result<Wire> {
    let wire = part.wire(ServerLimits::default());
    match wiring {
        Wiring::Process => Ok(wire),
        Wiring::Loopback => loopback::across(&wire, &part.services, &shutdown.hard()).await,
    }
}

fn task() -> NewTask {
    NewTask { kind: "demo".into(), payload: "x".repeat(200), ..NewTask::default() }
}
