//! A store that does not hear, or is not heard: no task is lost by it.

use std::time::Duration;

use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::{Credits, Hello, WorkRequest, WorkResponse};
use tidemill_proto::types::v1::{NewTask, Task, TaskState};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::flaky::Breaks;
use crate::mesh::{Mesh, task};

/// A worker of `raw` tasks that does nothing by itself.
struct Hand {
    say: mpsc::Sender<WorkRequest>,
    hear: Streaming<WorkResponse>,
}

impl Hand {
    async fn join(mesh: &Mesh, credits: u32) -> Self {
        let (say, said) = mpsc::channel(16);
        let hello = Hello { worker: "hand".into(), kinds: vec!["raw".into()], ..Hello::default() };
        for message in [Say::Hello(hello), Say::Credits(Credits { count: credits })] {
            say.send(WorkRequest { message: Some(message) }).await.unwrap();
        }
        let hear = mesh.workers.clone().work(ReceiverStream::new(said)).await.unwrap().into_inner();
        Self { say, hear }
    }

    /// Closes its side, and waits until the scheduler has closed the other.
    async fn leave(self) {
        let Self { say, mut hear } = self;
        drop(say);
        while let Ok(Some(_)) = timeout(Duration::from_secs(60), hear.message()).await.unwrap() {}
    }

    /// The first task that it is given.
    async fn task(&mut self) -> Task {
        let leases = async {
            loop {
                if let Some(Hear::Leases(leases)) = self.hear.message().await.unwrap().unwrap().message {
                    return leases.leases;
                }
            }
        };
        let leases = timeout(Duration::from_secs(60), leases).await.unwrap();
        *leases.into_iter().next().unwrap().task.unwrap()
    }
}

fn raw() -> NewTask {
    NewTask { kind: "raw".into(), ..task("", "") }
}

#[tokio::test(start_paused = true)]
async fn leases_given_back_do_not_count_as_attempts() {
    let mut mesh = Mesh::start().await;
    mesh.submit(vec![raw()]).await;
    let mut first = Hand::join(&mesh, 1).await;
    assert_eq!(first.task().await.attempt, 1);
    first.leave().await;
    assert_eq!(Hand::join(&mesh, 1).await.task().await.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_worker_that_was_lost_ends_and_its_task_is_run_again() {
    let mut mesh = Mesh::start().await;
    let ids = mesh.submit(vec![raw()]).await;
    let mut first = Hand::join(&mesh, 1).await;
    assert_eq!(first.task().await.attempt, 1);
    // What is not recorded at the first try is recorded at the next.
    mesh.flaky.fail("/RecordLeases", Breaks::Before, 1);
    mesh.reach(&ids[0].0, TaskState::Running).await;
    drop(first.hear);
    let again = Hand::join(&mesh, 1).await.task().await;
    assert_eq!((again.id.as_str(), again.attempt, mesh.flaky.left()), (ids[0].0.as_str(), 2, 0));
    assert!(again.error.contains("the lease ended"), "{}", again.error);
    drop(first.say);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_stored_although_the_call_broke_is_tried_again() {
    let mut mesh = Mesh::start().await;
    mesh.flaky.fail("/SettleTasks", Breaks::After, 1);
    let ids = mesh.submit(vec![task("fail once", "")]).await;
    assert_eq!(mesh.reach(&ids[0].0, TaskState::Succeeded).await.attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn results_that_could_not_be_stored_are_made_again() {
    let mut mesh = Mesh::start().await;
    mesh.flaky.fail("/SettleTasks", Breaks::Before, 5);
    let ids = mesh.submit(vec![task("work", "")]).await;
    let done = mesh.reach(&ids[0].0, TaskState::Succeeded).await;
    assert_eq!((done.attempt, mesh.flaky.left()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_the_store_refuses_fails_its_task_alone() {
    let mut mesh = Mesh::start().await;
    let ids = mesh.submit(vec![task("much", ""), task("work", ""), task("work", "")]).await;
    let dead = mesh.reach(&ids[0].0, TaskState::Dead).await;
    assert!(dead.error.contains("refused") && dead.error.contains("result"), "{}", dead.error);
    for (id, _) in &ids[1..] {
        assert_eq!(mesh.reach(id, TaskState::Succeeded).await.attempt, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_could_not_be_stored_leaves_its_task_to_be_run_again() {
    let mut mesh = Mesh::start().await;
    // The batch and then the result are refused by the store itself; the third call is the dead letter.
    mesh.flaky.pass("/SettleTasks", 2);
    mesh.flaky.fail("/SettleTasks", Breaks::Before, 5);
    let ids = mesh.submit(vec![task("much once", "")]).await;
    let done = mesh.reach(&ids[0].0, TaskState::Succeeded).await;
    assert_eq!((done.attempt, mesh.flaky.left()), (2, 0));
}
