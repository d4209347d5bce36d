//! Storage, scheduling and one worker on wires without sockets; time is tokio's, which a test pauses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, Shutdown, Wire, sleep};
use tidemill_kernel::{Clock, Id, TenantName, Tier, Timestamp};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{GetTaskRequest, SubmitTasksRequest, WakeRequest};
use tidemill_proto::storage::v1::setting_store_service_client::SettingStoreServiceClient;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, NewTask, Task, TaskOptions, TaskState};
use tidemill_scheduling::Peers;
use tidemill_store::TenantStore;
use tidemill_store::memory::MemoryStore;
use tidemill_store::tenant::Tenant;
use tidemill_worker::{Attempt, Config as WorkerConfig, Done, Failed, Handler, Worker};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::flaky::Flaky;

/// A clock that follows tokio's, paused or not.
#[derive(Debug)]
struct Paced(Instant);

impl Clock for Paced {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000) + self.0.elapsed()
    }
}

/// Does what the payload says.
struct Obedient(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Handler for Obedient {
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
        self.0.lock().unwrap().push(attempt.task.payload.clone());
        match (attempt.task.payload.as_str(), attempt.task.attempt) {
            ("fail once", 1) => Err(Failed::for_now("not yet")),
            ("fail", _) => Err(Failed::for_good("never")),
            ("panic", 1) => panic!("a defect"),
            ("hang", _) => std::future::pending().await,
            ("much", _) | ("much once", 1) => Ok(Done { result: "x".repeat(300 << 10), ..Done::default() }),
            ("slow", _) => {
                sleep(Duration::from_secs(5)).await;
                Ok(Done::default())
            }
            ("fan", _) => Ok(Done { follow_ups: fan(), ..Done::default() }),
            ("circle", _) => {
                let circle = vec![after(task("", "one"), &["other"]), after(task("", "other"), &["one"])];
                Ok(Done { follow_ups: circle, ..Done::default() })
            }
            (payload, _) if payload.starts_with("spawn ") => {
                let left: u32 = payload["spawn ".len()..].parse().unwrap();
                let next = |left| NewTask {
                    group: attempt.task.group.clone(),
                    ..task(&format!("spawn {left}"), "")
                };
                Ok(Done {
                    follow_ups: left.checked_sub(1).map(next).into_iter().collect(),
                    ..Done::default()
                })
            }
            ("follow", _) => Ok(Done { follow_ups: vec![task("followed", "next")], ..Done::default() }),
            _ => Ok(Done { result: "\"done\"".into(), ..Done::default() }),
        }
    }
}

/// Three tasks and one that joins them.
fn fan() -> Vec<NewTask> {
    let parts = ["p1", "p2", "p3"];
    let joined = after(task("joined", ""), &parts);
    [joined].into_iter().chain(parts.map(|key| task("part", key))).collect()
}

/// The same task after others, by their keys.
pub(crate) fn after(task: NewTask, keys: &[&str]) -> NewTask {
    let on = |key: &&str| Dependency { task: Some(Named::Key((*key).to_owned())) };
    let options = TaskOptions { depends_on: keys.iter().map(on).collect(), ..TaskOptions::default() };
    NewTask { options: Some(Box::new(options)), ..task }
}

/// A task that does this.
pub(crate) fn task(payload: &str, key: &str) -> NewTask {
    NewTask { kind: "demo".into(), payload: payload.into(), key: key.into(), ..NewTask::default() }
}

pub(crate) struct Mesh {
    pub(crate) queue: SchedulingServiceClient<Wire>,
    pub(crate) workers: WorkerServiceClient<Wire>,
    pub(crate) context: Context,
    pub(crate) runs: Arc<Mutex<Vec<String>>>,
    pub(crate) shutdown: Shutdown,
    /// Calls of the scheduler to the store fail as this says.
    pub(crate) flaky: Flaky,
    pub(crate) neighbours: Arc<Neighbours>,
    deps: tidemill_scheduling::Deps,
    config: tidemill_scheduling::Config,
    store: Arc<MemoryStore>,
}

/// The schedulers, by address.
#[derive(Default)]
pub(crate) struct Neighbours(Mutex<HashMap<String, Wire>>);

impl Neighbours {
    /// One more; where it is reached.
    fn add(&self, wire: impl FnOnce(String) -> Wire) -> Wire {
        let address = format!("s{}", self.0.lock().unwrap().len());
        let wire = wire(address.clone());
        self.0.lock().unwrap().insert(address, wire.clone());
        wire
    }

    /// The way to the first one.
    pub(crate) fn first(&self) -> Wire {
        self.wire("s0").unwrap()
    }

    /// The queue as the scheduler that came as this one shows it.
    pub(crate) fn queue(&self, number: usize) -> SchedulingServiceClient<Wire> {
        SchedulingServiceClient::new(self.wire(&format!("s{number}")).unwrap())
    }
}

#[async_trait]
impl Peers for Neighbours {
    async fn wake(&self, address: &str) {
        let wire = self.wire(address).unwrap();
        WorkerServiceClient::new(wire).wake(WakeRequest::default()).await.unwrap();
    }

    async fn tell_changed(&self, address: &str, tasks: &[Id], are_cancelled: bool) -> Vec<Id> {
        let names = tasks.iter().map(ToString::to_string).collect();
        let (changed, cancelled) = if are_cancelled { (Vec::new(), names) } else { (names, Vec::new()) };
        let mut owner = WorkerServiceClient::new(self.wire(address).unwrap());
        let request = WakeRequest { changed, cancelled, ..WakeRequest::default() };
        let others = owner.wake(request).await.unwrap().into_inner().others;
        others.iter().map(|id| id.parse().unwrap()).collect()
    }

    async fn tell_settings(&self, address: &str) {
        let request = WakeRequest { settings: true, ..WakeRequest::default() };
        let _ = WorkerServiceClient::new(self.wire(address).unwrap()).wake(request).await;
    }

    fn wire(&self, address: &str) -> Option<Wire> {
        self.0.lock().unwrap().get(address).cloned()
    }
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        Self::with(tidemill_scheduling::Config::default()).await
    }

    /// One whose schedulers have this configuration.
    pub(crate) async fn with(config: tidemill_scheduling::Config) -> Self {
        let clock = Arc::new(Paced(Instant::now()));
        let store = Arc::new(MemoryStore::new("test"));
        let tenant: TenantName = "acme".parse().unwrap();
        let row = Tenant { name: tenant.clone(), tier: Tier::Pro, created_at: clock.now() };
        store.create_tenant(row, None).await.unwrap();
        let rng = Arc::new(Mutex::new(seeded_rng()));
        let deps = tidemill_storage::Deps { store: store.clone(), clock: clock.clone(), rng };
        let storage = tidemill_storage::build(Default::default(), deps).wire(ServerLimits::default());
        let flaky = Flaky::default();
        let storage = flaky.around(storage);
        let neighbours = Arc::new(Neighbours::default());
        let deps = tidemill_scheduling::Deps {
            tasks: TaskStoreServiceClient::new(storage.clone()),
            settings: SettingStoreServiceClient::new(storage.clone()),
            tenants: TenantStoreServiceClient::new(storage.clone()),
            peers: Some(Arc::clone(&neighbours) as Arc<dyn Peers>),
            alone: false,
            address: String::new(),
            clock,
        };
        let mut background = Vec::new();
        let wire = neighbours.add(|address| {
            let deps = tidemill_scheduling::Deps { address, ..deps.clone() };
            let mut part = tidemill_scheduling::build(config.clone(), deps).unwrap();
            background.append(&mut part.background);
            part.wire(ServerLimits::default())
        });
        let (shutdown, runs) = (Shutdown::default(), Arc::new(Mutex::new(Vec::new())));
        background.into_iter().for_each(|background| shutdown.spawn_background(background));
        let handler: Arc<dyn Handler> = Arc::new(Obedient(Arc::clone(&runs)));
        let handlers = HashMap::from([("demo".to_owned(), handler)]);
        let worker = Worker { name: "w".into(), config: WorkerConfig::with_slots(4), handlers };
        let workers = WorkerServiceClient::new(wire.clone());
        shutdown.spawn("worker", worker.run(workers.clone(), shutdown.soft()));
        let (queue, context) = (SchedulingServiceClient::new(wire), Context::for_tenant(tenant));
        Self { queue, workers, context, runs, shutdown, flaky, neighbours, deps, config, store }
    }

    /// One more scheduler over the same store; it runs until its end is asked for, or it is aborted: then nobody hears of
    /// it again, as if it were killed.
    pub(crate) fn scheduler(
        &self,
    ) -> (WorkerServiceClient<Wire>, tokio::task::JoinHandle<()>, CancellationToken) {
        let mut background = Vec::new();
        let wire = self.neighbours.add(|address| {
            let deps = tidemill_scheduling::Deps { address, ..self.deps.clone() };
            let mut part = tidemill_scheduling::build(self.config.clone(), deps).unwrap();
            background.append(&mut part.background);
            part.wire(ServerLimits::default())
        });
        let workers = WorkerServiceClient::new(wire);
        let stop = CancellationToken::new();
        let running: Vec<_> =
            background.into_iter().map(|background| (background.start)(stop.clone())).collect();
        let running = tokio::spawn(async move {
            futures::future::join_all(running).await;
        });
        (workers, running, stop)
    }

    /// One more tenant.
    pub(crate) async fn tenant(&self, name: &str) -> TenantName {
        let tenant: TenantName = name.parse().unwrap();
        let row = Tenant { name: tenant.clone(), tier: Tier::Pro, created_at: self.deps.clock.now() };
        self.store.create_tenant(row, None).await.unwrap();
        tenant
    }

    pub(crate) async fn submit(&mut self, tasks: Vec<NewTask>) -> Vec<(String, bool)> {
        let request = self.context.request(SubmitTasksRequest { tasks });
        let tasks = self.queue.submit_tasks(request).await.unwrap().into_inner().tasks;
        tasks.into_iter().map(|task| (task.id, task.duplicate)).collect()
    }

    pub(crate) async fn get(&mut self, id: &str) -> Task {
        let request = self.context.request(GetTaskRequest { id: id.to_owned() });
        self.queue.get_task(request).await.unwrap().into_inner().task.unwrap()
    }

    /// Returns once a task with this payload was begun.
    pub(crate) async fn until_run(&self, payload: &str) {
        for _ in 0..3_000 {
            if self.runs.lock().unwrap().iter().any(|run| run == payload) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("`{payload}` was never run");
    }

    /// The task once it is in this state.
    pub(crate) async fn reach(&mut self, id: &str, state: TaskState) -> Task {
        for _ in 0..3_000 {
            let task = self.get(id).await;
            if task.state == state as i32 {
                return task;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("task {id} never came to {state:?}: {:?}", self.get(id).await);
    }
}
