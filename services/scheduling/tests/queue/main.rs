//! The queue end to end in one process, in paused time: submitted by a tenant, run by a worker, over the store in memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, in its fixtures too")]

mod bulk;
mod dependencies;
mod faults;
mod flaky;
mod groups;
mod limits;
mod mesh;
mod owners;
mod producer;
mod scaling;
mod stream;

use std::time::Duration;

use tidemill_proto::scheduling::v1::{CancelTaskRequest, RetryTaskRequest, WatchQueueRequest};
use tidemill_proto::types::v1::TaskState;

use mesh::{Mesh, task};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_submitted_task_is_run_once_and_its_key_makes_no_second_one() {
    let mut mesh = Mesh::start().await;
    let first = mesh.submit(vec![task("work", "k")]).await;
    assert_eq!(mesh.submit(vec![task("work", "k")]).await, [(first[0].0.clone(), true)]);
    let done = mesh.reach(&first[0].0, TaskState::Succeeded).await;
    assert_eq!((done.result.as_str(), done.attempt, done.worker.as_str()), ("\"done\"", 1, "w"));
    assert_eq!(*mesh.runs.lock().unwrap(), ["work"]);
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
async fn a_drained_mesh_finishes_what_runs_and_ends() {
    let mut mesh = Mesh::start().await;
    let ids = mesh.submit((0..100).map(|_| task("work", "")).collect()).await;
    mesh.reach(&ids[99].0, TaskState::Succeeded).await;
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
}

#[tokio::test(start_paused = true)]
async fn a_watched_queue_ends_with_the_scheduler_and_says_so() {
    let mut mesh = Mesh::start().await;
    let request = mesh.context.request(WatchQueueRequest::default());
    let mut watched = mesh.queue.watch_queue(request).await.unwrap().into_inner();
    assert!(watched.message().await.unwrap().is_some());
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
    let end = timeout(Duration::from_secs(60), watched.message()).await.unwrap().unwrap_err();
    assert!(end.message().contains("stopping"), "{end}");
}
