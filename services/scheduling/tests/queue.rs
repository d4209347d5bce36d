//! The queue end to end in one process: submitted by a tenant, run by a worker, over the store in memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, in its fixtures too")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, Shutdown, SystemClock, Wire, sleep};
use tidemill_kernel::{Clock, Tier};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{
    CancelTaskRequest, GetTaskRequest, RetryTaskRequest, SubmitTasksRequest,
};
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_proto::types::v1::{NewTask, Task, TaskState};
use tidemill_store::TenantStore;
use tidemill_store::memory::MemoryStore;
use tidemill_store::tenant::Tenant;
use tidemill_worker::{Attempt, Config as WorkerConfig, Done, Failed, Handler, Worker};

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
            ("follow", _) => Ok(Done { follow_ups: vec![task("followed", "next")], ..Done::default() }),
            _ => Ok(Done { result: "\"done\"".into(), ..Done::default() }),
        }
    }
}

fn task(payload: &str, key: &str) -> NewTask {
    NewTask { kind: "demo".into(), payload: payload.into(), key: key.into(), ..NewTask::default() }
}

struct Mesh {
    queue: SchedulingServiceClient<Wire>,
    context: Context,
    runs: Arc<Mutex<Vec<String>>>,
    shutdown: Shutdown,
}

impl Mesh {
    async fn start() -> Self {
        let store = Arc::new(MemoryStore::new("test"));
        let tenant: tidemill_kernel::TenantName = "acme".parse().unwrap();
        let row = Tenant { name: tenant.clone(), tier: Tier::Pro, created_at: SystemClock.now() };
        store.create_tenant(row, None).await.unwrap();
        let rng = Arc::new(Mutex::new(seeded_rng()));
        let deps = tidemill_storage::Deps { store, clock: Arc::new(SystemClock), rng };
        let storage = tidemill_storage::build(Default::default(), deps).wire(ServerLimits::default());
        let deps = tidemill_scheduling::Deps {
            tasks: TaskStoreServiceClient::new(storage.clone()),
            tenants: TenantStoreServiceClient::new(storage),
            clock: Arc::new(SystemClock),
        };
        let part = tidemill_scheduling::build(Default::default(), deps).unwrap();
        let wire = part.wire(ServerLimits::default());
        let (shutdown, runs) = (Shutdown::default(), Arc::new(Mutex::new(Vec::new())));
        part.background.into_iter().for_each(|background| shutdown.spawn_background(background));
        let handler: Arc<dyn Handler> = Arc::new(Obedient(Arc::clone(&runs)));
        let handlers = HashMap::from([("demo".to_owned(), handler)]);
        let worker = Worker { name: "w".into(), config: WorkerConfig { slots: 4 }, handlers };
        shutdown.spawn(worker.run(WorkerServiceClient::new(wire.clone()), shutdown.soft()));
        Self {
            queue: SchedulingServiceClient::new(wire),
            context: Context::for_tenant(tenant),
            runs,
            shutdown,
        }
    }

    async fn submit(&mut self, tasks: Vec<NewTask>) -> Vec<(String, bool)> {
        let request = self.context.request(SubmitTasksRequest { tasks });
        let tasks = self.queue.submit_tasks(request).await.unwrap().into_inner().tasks;
        tasks.into_iter().map(|task| (task.id, task.duplicate)).collect()
    }

    /// The task once it is in this state.
    async fn reach(&mut self, id: &str, state: TaskState) -> Task {
        for _ in 0..500 {
            let request = self.context.request(GetTaskRequest { id: id.to_owned() });
            let task = self.queue.get_task(request).await.unwrap().into_inner().task.unwrap();
            if task.state == state as i32 {
                return task;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("task {id} never came to {state:?}");
    }
}

#[tokio::test]
async fn a_submitted_task_is_run_once_and_its_key_makes_no_second_one() {
    let mut mesh = Mesh::start().await;
    let first = mesh.submit(vec![task("work", "k")]).await;
    assert_eq!(mesh.submit(vec![task("work", "k")]).await, [(first[0].0.clone(), true)]);
    let done = mesh.reach(&first[0].0, TaskState::Succeeded).await;
    assert_eq!((done.result.as_str(), done.attempt, done.worker.as_str()), ("\"done\"", 1, "w"));
    assert_eq!(*mesh.runs.lock().unwrap(), ["work"]);
}

#[tokio::test]
async fn a_failure_is_tried_again_and_a_hopeless_one_is_a_dead_letter_until_it_is_revived() {
    let mut mesh = Mesh::start().await;
    let ids = mesh.submit(vec![task("fail once", ""), task("fail", ""), task("panic", "")]).await;
    assert_eq!(mesh.reach(&ids[0].0, TaskState::Succeeded).await.attempt, 2);
    let dead = mesh.reach(&ids[1].0, TaskState::Dead).await;
    assert_eq!((dead.error.as_str(), dead.attempt), ("never", 1));
    assert_eq!(mesh.reach(&ids[2].0, TaskState::Succeeded).await.attempt, 2);
    let request = mesh.context.request(RetryTaskRequest { id: ids[1].0.clone() });
    mesh.queue.retry_task(request).await.unwrap();
    mesh.reach(&ids[1].0, TaskState::Dead).await;
    assert_eq!(mesh.runs.lock().unwrap().iter().filter(|payload| *payload == "fail").count(), 2);
}

#[tokio::test]
async fn a_follow_up_runs_and_a_cancelled_attempt_frees_its_slot() {
    let mut mesh = Mesh::start().await;
    let hanging: Vec<_> = (0..4).map(|_| task("hang", "")).collect();
    let hanging = mesh.submit(hanging).await;
    for (id, _) in &hanging {
        mesh.reach(id, TaskState::Running).await;
    }
    let follow = mesh.submit(vec![task("follow", "")]).await;
    for (id, _) in hanging {
        let request = mesh.context.request(CancelTaskRequest { id });
        mesh.queue.cancel_task(request).await.unwrap();
    }
    mesh.reach(&follow[0].0, TaskState::Succeeded).await;
    let next = mesh.submit(vec![task("followed", "next")]).await;
    assert!(next[0].1, "the follow-up's key is known");
    mesh.reach(&next[0].0, TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_drained_mesh_finishes_what_runs_and_ends() {
    let mut mesh = Mesh::start().await;
    let ids = mesh.submit((0..100).map(|_| task("work", "")).collect()).await;
    mesh.reach(&ids[99].0, TaskState::Succeeded).await;
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
}
