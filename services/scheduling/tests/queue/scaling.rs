//! The advice on workers over two schedulers: each one's is for the whole.

use std::time::Duration;

use tidemill_chassis::{Context, sleep};
use tidemill_proto::scheduling::v1::scaling_service_client::ScalingServiceClient;
use tidemill_proto::scheduling::v1::{ComponentScaling, GetScalingRequest, SubmitTasksRequest};
use tidemill_proto::types::v1::NewTask;
use tidemill_scheduling::Peers;
use tokio::time::timeout;

use crate::mesh::{Mesh, task};
use crate::owners::Listener;

/// Tenants of many shards, and how many tasks each has.
const TENANTS: usize = 8;
const TASKS: usize = 10;

#[tokio::test(start_paused = true)]
async fn each_of_two_schedulers_advises_for_the_load_of_both() {
    let config = tidemill_scheduling::Config { lease_ms: 600_000, ..tidemill_scheduling::Config::default() };
    let mesh = Mesh::with(config).await;
    let kinds = vec!["hand".to_owned()];
    let mut first = Listener::of_kinds(&mesh.workers, kinds.clone()).await;
    first.until(16).await;
    let (workers, _second, _stop) = mesh.scheduler();
    let mut second = Listener::of_kinds(&workers, kinds).await;
    first.until(8).await;
    second.until(8).await;
    // So long that both have looked for the whole time over which rates are measured.
    sleep(Duration::from_secs(70)).await;
    for number in 0..TENANTS {
        let context = Context::for_tenant(mesh.tenant(&format!("tenant-{number}")).await);
        let tasks = vec![NewTask { kind: "hand".into(), ..task("", "") }; TASKS];
        mesh.queue.clone().submit_tasks(context.request(SubmitTasksRequest { tasks })).await.unwrap();
    }
    first.give_credit(60).await;
    second.give_credit(60).await;
    // What is given to a worker counts when its stream has been read.
    let _ = timeout(Duration::from_secs(11), async {
        loop {
            tokio::select! {
                _ = first.about_tasks() => {}
                _ = second.about_tasks() => {}
            }
        }
    })
    .await;
    let all = TENANTS * TASKS;
    let mut wanted = Vec::new();
    for scheduler in ["s0", "s1"] {
        let advice = advice(&mesh, scheduler).await;
        let waiting = u64::try_from(all).unwrap() - advice.running;
        assert_eq!(advice.waiting, waiting, "{scheduler}: {advice:?}");
        // Rates are over 60 to 65 s.
        let came = advice.arrivals_per_second * 60.0;
        assert!((0.9..=1.0).contains(&(came / 80.0)), "{scheduler}: {came} came: {advice:?}");
        assert!(advice.running > 60, "{scheduler}: one of them runs at most 60: {advice:?}");
        wanted.push((advice.running, advice.wanted_workers, advice.reason));
    }
    assert_eq!(wanted[0], wanted[1]);
}

/// What a scheduler says of the workers of all kinds that no other component runs.
async fn advice(mesh: &Mesh, scheduler: &str) -> ComponentScaling {
    let mut scaling = ScalingServiceClient::new(mesh.neighbours.wire(scheduler).unwrap());
    let components = scaling.get_scaling(GetScalingRequest {}).await.unwrap().into_inner().components;
    components.into_iter().find(|component| component.kinds.is_empty()).unwrap()
}
