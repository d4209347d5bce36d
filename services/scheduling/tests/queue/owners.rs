//! Several schedulers over one store: one that is killed is followed by another, and those that come and go share.

use std::time::Duration;

use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{Hello, WorkRequest, WorkResponse};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::mesh::Mesh;

/// How many shards there are.
const ALL: usize = 16;

/// Somebody who only listens to which shards a scheduler has.
struct Listener {
    _say: mpsc::Sender<WorkRequest>,
    hear: Streaming<WorkResponse>,
}

impl Listener {
    async fn to(workers: &WorkerServiceClient<tidemill_chassis::Wire>) -> Self {
        let (say, said) = mpsc::channel(4);
        let hello = Hello { worker: "listener".into(), kinds: vec!["none".into()], ..Hello::default() };
        say.send(WorkRequest { message: Some(Say::Hello(hello)) }).await.unwrap();
        let hear = workers.clone().work(ReceiverStream::new(said)).await.unwrap().into_inner();
        Self { _say: say, hear }
    }

    /// Waits until it has so many shards, by its last word.
    async fn until(&mut self, count: usize) {
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
