//! Limits of all tenants together over two schedulers: each limit is divided by one of them, and holds for both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemill_chassis::Context;
use tidemill_proto::scheduling::v1::steering_service_client::SteeringServiceClient;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::{ExplainTaskRequest, ListLimitsRequest, SubmitTasksRequest};
use tidemill_proto::types::v1::NewTask;
use tidemill_scheduling::Config;
use tidemill_scheduling::config::SharedLimit;
use tokio::time::timeout;

use crate::mesh::{Mesh, task};
use crate::owners::Listener;

/// How many limits there are, each of a kind: enough that either scheduler divides some that the other one needs.
const KINDS: usize = 12;
/// Tenants of many shards.
const TENANTS: usize = 8;

fn kind(number: usize) -> String {
    format!("kind-{number}")
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_all_tenants_counts_once_for_two_schedulers_and_says_why_a_task_waits() {
    let limit = |number| SharedLimit { kind: kind(number), concurrency: Some(1), ..SharedLimit::default() };
    let config = Config { limits: (0..KINDS).map(limit).collect(), lease_ms: 60_000, ..Config::default() };
    let mut mesh = Mesh::with(config).await;
    let kinds: Vec<String> = (0..KINDS).map(kind).collect();
    let mut first = Listener::of_kinds(&mesh.workers, kinds.clone()).await;
    first.until(16).await;
    let (workers, _second, _stop) = mesh.scheduler();
    let mut second = Listener::of_kinds(&workers, kinds.clone()).await;
    first.until(8).await;
    second.until(8).await;
    let mut ids = BTreeSet::new();
    for number in 0..TENANTS {
        let context = Context::for_tenant(mesh.tenant(&format!("tenant-{number}")).await);
        let tasks = kinds.iter().map(|kind| NewTask { kind: kind.clone(), ..task("", "") }).collect();
        let request = context.request(SubmitTasksRequest { tasks });
        let tasks = mesh.queue.submit_tasks(request).await.unwrap().into_inner().tasks;
        ids = tasks.into_iter().map(|task| task.id).collect();
        mesh.context = context;
    }
    first.give_credit(100).await;
    second.give_credit(100).await;
    let mut given: BTreeMap<String, u32> = BTreeMap::new();
    // Longer than it takes for what does not divide to go around.
    let _ = timeout(Duration::from_secs(20), async {
        loop {
            let said = tokio::select! {
                said = first.about_tasks() => said,
                said = second.about_tasks() => said,
            };
            let Hear::Leases(leases) = said else { panic!("{said:?}") };
            for lease in leases.leases {
                let task = lease.task.unwrap();
                ids.remove(&task.id);
                *given.entry(task.kind).or_default() += 1;
            }
        }
    })
    .await;
    assert_eq!(given, kinds.into_iter().map(|kind| (kind, 1)).collect(), "one of each kind runs");

    let mut steering = SteeringServiceClient::new(mesh.neighbours.first());
    let limits = mesh.context.request(ListLimitsRequest {});
    let limits = steering.list_limits(limits).await.unwrap().into_inner().limits;
    assert_eq!(limits.len(), KINDS);
    assert!(limits.iter().all(|state| state.limit.as_ref().unwrap().scope.as_ref().unwrap().all_tenants));
    let explain = mesh.context.request(ExplainTaskRequest { id: ids.pop_first().unwrap() });
    let explained = steering.explain_task(explain).await.unwrap().into_inner();
    let why = explained.reasons.join("; ");
    assert!(why.contains("of all tenants") && why.contains("held back"), "{why}");
}
