//! Several schedulers over one store: one that is killed is followed by another, and those that come and go share.

use std::time::Duration;

use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{
    CancelTaskRequest, Credits, Hello, PrioritiseTaskRequest, RetryTaskRequest, WorkRequest, WorkResponse,
};
use tidemill_proto::types::v1::{NewTask, TaskState};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::mesh::{Mesh, task};

/// How many shards there are.
const ALL: usize = 16;

/// Somebody who only listens to which shards a scheduler has.
pub(crate) struct Listener {
    say: mpsc::Sender<WorkRequest>,
    hear: Streaming<WorkResponse>,
}

impl Listener {
    async fn to(workers: &WorkerServiceClient<tidemill_chassis::Wire>) -> Self {
        Self::of_kinds(workers, vec!["hand".into()]).await
    }

    /// One that would run these kinds.
    pub(crate) async fn of_kinds(
        workers: &WorkerServiceClient<tidemill_chassis::Wire>,
        kinds: Vec<String>,
    ) -> Self {
        let (say, said) = mpsc::channel(4);
        let hello = Hello { worker: "listener".into(), kinds, ..Hello::default() };
        say.send(WorkRequest { message: Some(Say::Hello(hello)) }).await.unwrap();
        let hear = workers.clone().work(ReceiverStream::new(said)).await.unwrap().into_inner();
        Self { say, hear }
    }

    /// Waits until it has so many shards, by its last word.
    pub(crate) async fn until(&mut self, count: usize) {
        let shards = async {
            loop {
                match self.hear.message().await.unwrap().unwrap().message {
                    Some(Hear::Shards(shards)) if shards.numbers.len() == count => return,
                    _ => {}
                }
            }
        };
        timeout(Duration::from_secs(60), shards)
            .await
            .unwrap_or_else(|_| panic!("it never had {count} shards"));
    }

    /// Asks for tasks.
    pub(crate) async fn give_credit(&self, count: u32) {
        self.say.send(WorkRequest { message: Some(Say::Credits(Credits { count })) }).await.unwrap();
    }

    /// The next thing it is told that is about tasks.
    pub(crate) async fn about_tasks(&mut self) -> Hear {
        loop {
            let said = self.hear.message().await.unwrap().unwrap().message;
            if let Some(said @ (Hear::Leases(_) | Hear::Cancel(_))) = said {
                return said;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_steered_through_any_scheduler_reaches_the_owner_at_once() {
    let mut mesh = Mesh::start().await;
    let mut first = Listener::to(&mesh.workers).await;
    first.until(ALL).await;
    let (workers, _second, _stop) = mesh.scheduler();
    let mut second = Listener::to(&workers).await;
    first.until(ALL / 2).await;
    second.until(ALL / 2).await;
    first.give_credit(1).await;
    second.give_credit(1).await;
    let by_hand = NewTask { kind: "hand".into(), ..task("", "") };
    let (id, _) = mesh.submit(vec![by_hand.clone()]).await.remove(0);
    // Less than an audit takes, by far.
    let soon = Duration::from_secs(2);
    let (mut owner, other) = tokio::select! {
        Hear::Leases(_) = first.about_tasks() => (first, mesh.neighbours.queue(1)),
        Hear::Leases(_) = second.about_tasks() => (second, mesh.neighbours.queue(0)),
    };
    let cancel = mesh.context.request(CancelTaskRequest { id: id.clone() });
    let cancelled = other.clone().cancel_task(cancel).await.unwrap().into_inner().task.unwrap();
    assert_eq!(cancelled.state(), TaskState::Cancelled, "the store has it");
    let Hear::Cancel(stopped) = timeout(soon, owner.about_tasks()).await.unwrap() else { panic!("a lease") };
    assert_eq!(stopped.task_ids, std::slice::from_ref(&id));
    let retry = mesh.context.request(RetryTaskRequest { id: id.clone() });
    other.clone().retry_task(retry).await.unwrap();
    owner.give_credit(1).await;
    let Hear::Leases(again) = timeout(soon, owner.about_tasks()).await.unwrap() else { panic!("a cancel") };
    assert_eq!(again.leases[0].task.as_ref().unwrap().id, id);
    let ids = mesh.submit(vec![by_hand.clone(), by_hand]).await;
    let prioritise = PrioritiseTaskRequest { id: ids[1].0.clone(), priority: 1 };
    other.clone().prioritise_task(mesh.context.request(prioritise)).await.unwrap();
    // The hint travels beside the answer.
    tidemill_chassis::sleep(Duration::from_millis(100)).await;
    owner.give_credit(1).await;
    let Hear::Leases(next) = timeout(soon, owner.about_tasks()).await.unwrap() else { panic!("a cancel") };
    let next = next.leases[0].task.as_ref().unwrap();
    assert_eq!((&next.id, next.priority), (&ids[1].0, 1), "it overtakes the older one");
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_killed_scheduler_have_another_owner_within_three_seconds() {
    let mesh = Mesh::start().await;
    let mut first = Listener::to(&mesh.workers).await;
    first.until(ALL).await;
    let (workers, second, _stop) = mesh.scheduler();
    let mut others = Listener::to(&workers).await;
    first.until(ALL / 2).await;
    others.until(ALL / 2).await;
    let killed_at = Instant::now();
    second.abort();
    first.until(ALL).await;
    let took = killed_at.elapsed();
    assert!(took <= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn schedulers_that_come_and_go_in_good_order_share_the_shards() {
    let mesh = Mesh::start().await;
    let mut first = Listener::to(&mesh.workers).await;
    first.until(ALL).await;
    let (second_workers, _second, _stop) = mesh.scheduler();
    let mut second = Listener::to(&second_workers).await;
    second.until(ALL / 2).await;
    let (third_workers, third, stop) = mesh.scheduler();
    let mut last = Listener::to(&third_workers).await;
    let part = async {
        loop {
            match last.hear.message().await.unwrap().unwrap().message {
                Some(Hear::Shards(shards)) if (5..=6).contains(&shards.numbers.len()) => return,
                _ => {}
            }
        }
    };
    timeout(Duration::from_secs(60), part).await.unwrap();
    stop.cancel();
    drop(last);
    timeout(Duration::from_secs(60), third).await.unwrap().unwrap();
    first.until(ALL / 2).await;
}
