//! Limits of all tenants together over two schedulers: each limit is divided by one of them, and holds for both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemill_chassis::{Context, Wire, sleep};
use tidemill_proto::scheduling::v1::steering_service_client::SteeringServiceClient;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::{
    ExplainTaskRequest, Limit, ListLimitsRequest, PutLimitRequest, RemoveLimitRequest, Scope,
    SubmitTasksRequest,
};
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

/// Both schedulers, with workers that would run everything.
async fn two(mesh: &Mesh, kinds: &[String]) -> (Listener, Listener, impl Sized + use<>) {
    let mut first = Listener::of_kinds(&mesh.workers, kinds.to_vec()).await;
    first.until(16).await;
    let (workers, running, stop) = mesh.scheduler();
    let mut second = Listener::of_kinds(&workers, kinds.to_vec()).await;
    first.until(8).await;
    second.until(8).await;
    (first, second, (running, stop))
}

/// How many tasks both are given in so long.
async fn given(first: &mut Listener, second: &mut Listener, seconds: u64) -> usize {
    let mut given = 0;
    let _ = timeout(Duration::from_secs(seconds), async {
        loop {
            let said = tokio::select! {
                said = first.about_tasks() => said,
                said = second.about_tasks() => said,
            };
            let Hear::Leases(leases) = said else { panic!("{said:?}") };
            given += leases.leases.len();
        }
    })
    .await;
    given
}

fn of_all(concurrency: Option<u32>, per_second: Option<u64>) -> Limit {
    let scope = Scope { kind: kind(0), all_tenants: true, ..Scope::default() };
    Limit { scope: Some(scope), concurrency, per_second, ..Limit::default() }
}

#[tokio::test(start_paused = true)]
async fn the_operator_changes_a_limit_of_all_tenants_while_two_schedulers_run() {
    let configured = SharedLimit { kind: kind(0), concurrency: Some(2), ..SharedLimit::default() };
    let config = Config { limits: vec![configured], lease_ms: 600_000, ..Config::default() };
    let mesh = Mesh::with(config).await;
    let (mut first, mut second, _running) = two(&mesh, &[kind(0)]).await;
    let mut contexts = Vec::new();
    for number in 0..TENANTS {
        let context = Context::for_tenant(mesh.tenant(&format!("tenant-{number}")).await);
        let tasks = vec![NewTask { kind: kind(0), ..task("", "") }; 20];
        mesh.queue.clone().submit_tasks(context.request(SubmitTasksRequest { tasks })).await.unwrap();
        contexts.push(context);
    }
    first.give_credit(1_000).await;
    second.give_credit(1_000).await;
    assert_eq!(given(&mut first, &mut second, 20).await, 2, "the configuration's");

    let operator = Context { operator: true, ..contexts[0].clone() };
    // Through either scheduler; it is heard at once, in far less time than all settings are read again.
    let steering = |number: usize| {
        let wire: Wire = tidemill_scheduling::Peers::wire(&*mesh.neighbours, &format!("s{number}")).unwrap();
        SteeringServiceClient::new(wire)
    };
    let put = |number, limit: Limit| {
        let request = operator.request(PutLimitRequest { limit: Some(limit) });
        async move { steering(number).put_limit(request).await.unwrap() }
    };
    put(0, of_all(Some(7), None)).await;
    assert_eq!(given(&mut first, &mut second, 8).await, 5, "seven in all");
    put(1, of_all(Some(3), None)).await;
    assert_eq!(given(&mut first, &mut second, 20).await, 0, "more run than may");
    put(1, of_all(Some(9), Some(1_000))).await;
    assert_eq!(given(&mut first, &mut second, 8).await, 2, "with a rate, too");
    let limits = mesh.context.request(ListLimitsRequest {});
    let limits = steering(0).list_limits(limits).await.unwrap().into_inner().limits;
    assert_eq!(limits.len(), 1);
    let listed = limits[0].limit.clone().unwrap();
    assert_eq!((listed, limits[0].configured), (of_all(Some(9), Some(1_000)), false));

    let remove = RemoveLimitRequest { scope: of_all(None, None).scope };
    steering(0).remove_limit(operator.request(remove.clone())).await.unwrap();
    assert_eq!(given(&mut first, &mut second, 20).await, 0, "the configuration's two");
    let limits = mesh.context.request(ListLimitsRequest {});
    let limits = steering(1).list_limits(limits).await.unwrap().into_inner().limits;
    assert_eq!((limits[0].limit.as_ref().unwrap().concurrency, limits[0].configured), (Some(2), true));
    let refused = steering(0).remove_limit(operator.request(remove)).await.unwrap_err();
    assert!(refused.message().contains("[[scheduling.limits]]"), "{refused}");

    // One of another kind, where there was none.
    let other = Scope { kind: kind(1), all_tenants: true, ..Scope::default() };
    put(0, Limit { scope: Some(other.clone()), concurrency: Some(1), ..Limit::default() }).await;
    sleep(Duration::from_secs(1)).await;
    let limits = mesh.context.request(ListLimitsRequest {});
    let limits = steering(1).list_limits(limits).await.unwrap().into_inner().limits;
    assert_eq!(limits.len(), 2);
    let remove = RemoveLimitRequest { scope: Some(other) };
    steering(1).remove_limit(operator.request(remove)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn limits_of_all_tenants_are_the_operators_alone() {
    let mesh = Mesh::start().await;
    let mut steering = SteeringServiceClient::new(mesh.neighbours.first());
    let put = || PutLimitRequest { limit: Some(of_all(Some(1), None)) };
    let refused = steering.put_limit(mesh.context.request(put())).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert!(refused.message().contains("--operator"), "{refused}");
    let remove = RemoveLimitRequest { scope: of_all(None, None).scope };
    let refused = steering.remove_limit(mesh.context.request(remove)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let operator = Context { operator: true, ..mesh.context.clone() };
    steering.put_limit(operator.request(put())).await.unwrap();
    let everything =
        Limit { scope: Some(Scope { all_tenants: true, ..Scope::default() }), ..of_all(Some(1), None) };
    let request = operator.request(PutLimitRequest { limit: Some(everything) });
    let refused = steering.put_limit(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
