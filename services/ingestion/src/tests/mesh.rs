//! Ingestion with all that it stands on, each part with its loops running: storage in memory, scheduling, analysis.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Part, Shutdown, SystemClock, Wire, sleep};
use tidemill_kernel::Clock;
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::ingestion::v1::ingestion_service_client::IngestionServiceClient;
use tidemill_proto::ingestion::v1::{CreateSourceRequest, RunSourceRequest};
use tidemill_proto::scheduling::v1::GetTaskRequest;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::storage::v1::setting_store_service_client::SettingStoreServiceClient;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_proto::types::v1::{SourceKind, Task, TaskState};
use tidemill_store::MemoryStore;

use super::fixture::asked;
use crate::{Config, Deps, build};

pub(super) struct Mesh {
    pub(super) client: IngestionServiceClient<Wire>,
    pub(super) queue: SchedulingServiceClient<Wire>,
    pub(super) shutdown: Shutdown,
}

/// The wire to a part, with its loops begun.
fn run(part: Part, shutdown: &Shutdown) -> Wire {
    let wire = part.wire(ServerLimits::default());
    part.background.into_iter().for_each(|background| shutdown.spawn_background(background));
    wire
}

impl Mesh {
    pub(super) async fn start() -> Self {
        let store = Arc::new(MemoryStore::new("memory"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        tidemill_storage::ensure_default_tenant(&*store, &SystemClock, &mut seeded_rng()).await.unwrap();
        let (shutdown, rng) = (Shutdown::default(), Arc::new(Mutex::new(seeded_rng())));
        let deps = tidemill_storage::Deps { store, clock: Arc::clone(&clock), rng };
        let storage = run(tidemill_storage::build(Default::default(), deps), &shutdown);
        let content = ContentStoreServiceClient::new(storage.clone());
        let deps = tidemill_scheduling::Deps {
            tasks: TaskStoreServiceClient::new(storage.clone()),
            settings: SettingStoreServiceClient::new(storage.clone()),
            tenants: TenantStoreServiceClient::new(storage),
            peers: None,
            alone: true,
            address: String::new(),
            clock: Arc::clone(&clock),
        };
        let scheduling = run(tidemill_scheduling::build(Default::default(), deps).unwrap(), &shutdown);
        let (queue, workers) =
            (SchedulingServiceClient::new(scheduling.clone()), WorkerServiceClient::new(scheduling.clone()));
        let deps = tidemill_analysis::Deps {
            content: content.clone(),
            schedulers: scheduling.clone().into(),
            slots: None,
            clock: Arc::clone(&clock),
        };
        let analysis = run(tidemill_analysis::build(Default::default(), deps).unwrap(), &shutdown);
        let config = Config { private_feeds: true, ..Config::default() };
        let recipes = Some(AnalysisServiceClient::new(analysis));
        let schedulers = scheduling.into();
        let deps =
            Deps { content, scheduling: queue.clone(), schedulers, slots: None, workers, recipes, clock };
        let part = build(config, deps).unwrap();
        Self { client: IngestionServiceClient::new(run(part, &shutdown)), queue, shutdown }
    }

    /// Makes a source and runs it; its task when that has ended.
    pub(super) async fn collected(&self, name: &str, kind: SourceKind, location: &str) -> Task {
        self.source(name, kind, location).await;
        self.run(name).await
    }

    /// Makes a source.
    pub(super) async fn source(&self, name: &str, kind: SourceKind, location: &str) {
        let request = CreateSourceRequest { name: name.into(), kind: kind.into(), location: location.into() };
        self.client.clone().create_source(asked(request)).await.unwrap();
    }

    /// Runs a source; its task when that has ended.
    pub(super) async fn run(&self, name: &str) -> Task {
        let id = self.begin(name).await;
        self.ended(&id).await
    }

    /// Runs a source; the id of its task.
    pub(super) async fn begin(&self, name: &str) -> String {
        let request = asked(RunSourceRequest { name: name.into() });
        self.client.clone().run_source(request).await.unwrap().into_inner().task_id
    }

    /// The task when it has ended.
    pub(super) async fn ended(&self, id: &str) -> Task {
        for _ in 0..1_000 {
            let request = asked(GetTaskRequest { id: id.to_owned() });
            let task = self.queue.clone().get_task(request).await.unwrap().into_inner().task.unwrap();
            if !matches!(task.state(), TaskState::Waiting | TaskState::Running) {
                return task;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the task {id} never ended");
    }
}
