//! The lease loop against a scheduler that follows a script, in tokio's paused time.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::Stream;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Background, Part};
use tidemill_proto::scheduling::v1::work_request::Message as Heard;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::scheduling::v1::worker_service_server::{
    SERVICE_NAME, WorkerService, WorkerServiceServer,
};
use tidemill_proto::scheduling::v1::{
    Cancel, DivideLimitsRequest, DivideLimitsResponse, Leases, Outcome, Outcomes, WakeRequest, WakeResponse,
    Welcome, WorkRequest, WorkResponse,
};
use tidemill_proto::time::duration;
use tidemill_proto::types::v1::{Lease, Task};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use tidemill_chassis::Wire;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;

use super::*;

/// A task, and the longest pause before a scheduler is tried again.
const TASK: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// One stream as the scheduler has it.
struct Peer {
    heard: Streaming<WorkRequest>,
    say: mpsc::Sender<Result<WorkResponse, Status>>,
}

impl Peer {
    async fn say(&self, message: Say) {
        self.say.send(Ok(WorkResponse { message: Some(message) })).await.unwrap();
    }

    async fn welcome(&self) {
        self.say(Say::Welcome(Welcome {
            lease_duration: Some(duration(Duration::from_secs(10))),
            ..Welcome::default()
        }))
        .await;
    }

    /// The next message that is no heartbeat and takes no credits back; none when the stream has ended.
    async fn hear(&mut self) -> Option<Heard> {
        let message = async {
            loop {
                match self.heard.message().await.ok()??.message {
                    Some(Heard::Heartbeat(_) | Heard::Withdraw(_)) => {}
                    message => return message,
                }
            }
        };
        timeout(Duration::from_secs(60), message).await.unwrap()
    }

    async fn lease(&self, task: &str, token: &str) {
        let task = Task { id: task.into(), kind: "demo".into(), ..Task::default() };
        let lease = Lease { task: Some(Box::new(task)), token: token.into(), ..Lease::default() };
        self.say(Say::Leases(Leases { leases: vec![lease], batches: Vec::new() })).await;
    }
}

/// Hands each stream to the test; without a test that takes them, it never answers.
struct Scheduler(mpsc::Sender<Peer>);

#[tonic::async_trait]
impl WorkerService for Scheduler {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<WorkResponse, Status>> + Send>>;

    async fn work(
        &self,
        request: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let (say, said) = mpsc::channel(16);
        self.0
            .send(Peer { heard: request.into_inner(), say })
            .await
            .map_err(|_| Status::unavailable("gone"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }

    async fn wake(&self, _: Request<WakeRequest>) -> Result<Response<WakeResponse>, Status> {
        Ok(Response::new(WakeResponse::default()))
    }

    async fn divide_limits(
        &self,
        _: Request<DivideLimitsRequest>,
    ) -> Result<Response<DivideLimitsResponse>, Status> {
        Ok(Response::new(DivideLimitsResponse::default()))
    }
}

/// A scheduler, and the streams that it is opened, at most `room` ahead of the test.
fn scheduler(room: usize) -> (WorkerServiceClient<Wire>, mpsc::Receiver<Peer>) {
    let (peers, opened) = mpsc::channel(room);
    let part = Part {
        name: "scheduling",
        routes: Routes::new(WorkerServiceServer::new(Scheduler(peers))),
        services: vec![SERVICE_NAME],
        background: Vec::<Background>::new(),
    };
    (WorkerServiceClient::new(part.wire(ServerLimits::default())), opened)
}

/// Runs until it is let go, and notes who was dropped half way.
struct Patient {
    begun: Arc<Semaphore>,
    go: Arc<Semaphore>,
    dropped: Arc<Mutex<usize>>,
}

struct Note(Arc<Mutex<usize>>, bool);

impl Drop for Note {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += usize::from(!self.1);
    }
}

#[async_trait]
impl Handler for Patient {
    async fn run(&self, _: Attempt) -> Result<Done, Failed> {
        let mut note = Note(Arc::clone(&self.dropped), false);
        self.begun.add_permits(1);
        self.go.acquire().await.unwrap().forget();
        note.1 = true;
        Ok(Done::default())
    }
}

struct Bench {
    opened: mpsc::Receiver<Peer>,
    begun: Arc<Semaphore>,
    go: Arc<Semaphore>,
    dropped: Arc<Mutex<usize>>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

fn bench(room: usize) -> Bench {
    let (client, opened) = scheduler(room);
    let (go, dropped) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(0)));
    let begun = Arc::new(Semaphore::new(0));
    let handler =
        Arc::new(Patient { begun: Arc::clone(&begun), go: Arc::clone(&go), dropped: Arc::clone(&dropped) });
    let handlers = HashMap::from([("demo".to_owned(), handler as Arc<dyn Handler>)]);
    let worker = Worker { name: "w".into(), config: Config::with_slots(4), handlers };
    let stop = CancellationToken::new();
    let running = tokio::spawn(worker.run(client, stop.clone()));
    Bench { opened, begun, go, dropped, stop, running }
}

impl Bench {
    /// The next stream, up to its first credits.
    async fn joined(&mut self) -> Peer {
        let mut peer = self.opened.recv().await.unwrap();
        assert!(matches!(peer.hear().await, Some(Heard::Hello(_))));
        peer.welcome().await;
        let Some(Heard::Credits(credits)) = peer.hear().await else { panic!("no credits") };
        assert_eq!(credits.count, 4);
        peer
    }
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_was_there_is_looked_for_again_at_once_however_often_it_went() {
    let mut bench = bench(1);
    let begun = Instant::now();
    for _ in 0..20 {
        let peer = bench.joined().await;
        peer.say.send(Err(Status::unavailable("restarting"))).await.unwrap();
    }
    let peer = bench.joined().await;
    assert!(begun.elapsed() <= Duration::from_secs(20), "{:?}", begun.elapsed());
    bench.stop.cancel();
    bench.running.await.unwrap();
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_stays_away_is_asked_four_times_a_minute() {
    let mut bench = bench(1);
    let mut asked = Vec::new();
    for _ in 0..12 {
        let peer = bench.opened.recv().await.unwrap();
        asked.push(Instant::now());
        peer.say.send(Err(Status::unavailable("away"))).await.unwrap();
    }
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE + Duration::from_millis(1)), "{pauses:?}");
    assert!(pauses[10] >= LONGEST_PAUSE / 2, "{pauses:?}");
    bench.stop.cancel();
    bench.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_runs_and_waits_for_the_word_that_it_counts() {
    let mut bench = bench(1);
    let mut peer = bench.joined().await;
    peer.lease(TASK, "a").await;
    bench.begun.acquire().await.unwrap().forget();
    bench.stop.cancel();
    assert!(timeout(Duration::from_secs(60), &mut bench.running).await.is_err(), "it runs still");
    bench.go.add_permits(1);
    let Some(Heard::Results(results)) = peer.hear().await else { panic!("no results") };
    assert_eq!(results.completions[0].task_id, TASK);
    peer.say(Say::Outcomes(Outcomes {
        outcomes: vec![Outcome { task_id: TASK.into(), accepted: true, moved: false }],
    }))
    .await;
    bench.running.await.unwrap();
    assert!(peer.hear().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_ever_for_a_scheduler_that_says_nothing() {
    let mut bench = bench(1);
    let mut peer = bench.joined().await;
    peer.lease(TASK, "a").await;
    bench.go.add_permits(1);
    assert!(matches!(peer.hear().await, Some(Heard::Results(_))));
    bench.stop.cancel();
    let begun = Instant::now();
    timeout(Duration::from_secs(60), bench.running).await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5, "heartbeats in between do not begin the wait anew");
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_never_answers_does_not_hold_up_the_end() {
    let bench = bench(1);
    // The first stream fills the room, so that the next is opened and not answered.
    let (client, _opened) = scheduler(1);
    let worker = Worker { name: "w".into(), config: Config::default(), handlers: HashMap::new() };
    let _first = client.clone().work(ReceiverStream::new(mpsc::channel(1).1)).await.unwrap();
    let running = tokio::spawn(worker.run(client, bench.stop.clone()));
    tokio::task::yield_now().await;
    bench.stop.cancel();
    timeout(Duration::from_secs(60), running).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_of_a_task_can_be_cancelled_as_the_first_one_was() {
    let mut bench = bench(1);
    let mut peer = bench.joined().await;
    let cancel = || Say::Cancel(Cancel { task_ids: vec![TASK.into()], attempts: Vec::new() });
    peer.lease(TASK, "a").await;
    bench.begun.acquire().await.unwrap().forget();
    peer.say(cancel()).await;
    peer.lease(TASK, "b").await;
    assert!(matches!(peer.hear().await, Some(Heard::Credits(credits)) if credits.count == 1));
    bench.begun.acquire().await.unwrap().forget();
    peer.say(cancel()).await;
    assert!(matches!(peer.hear().await, Some(Heard::Credits(credits)) if credits.count == 1));
    assert_eq!(*bench.dropped.lock().unwrap(), 2);
    bench.stop.cancel();
    bench.running.await.unwrap();
}

/// Ends at once.
struct Idle;

#[async_trait]
impl Handler for Idle {
    async fn run(&self, _: Attempt) -> Result<Done, Failed> {
        Ok(Done::default())
    }
}

/// A figure, not a verdict: `cargo test --release -p tidemill-worker --lib -- --ignored --nocapture throughput`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure"]
async fn throughput_of_tasks_that_do_nothing() {
    let (client, mut opened) = scheduler(1);
    let worker = Worker::new("w").kind("demo", Arc::new(Idle)).config(Config::with_slots(2_048));
    let stop = CancellationToken::new();
    let running = tokio::spawn(worker.run(client, stop.clone()));
    let mut peer = opened.recv().await.unwrap();
    let (begun, mut place, mut done) = (std::time::Instant::now(), 0_u64, 0);
    peer.welcome().await;
    while done < 3_000_000 {
        match peer.hear().await.unwrap() {
            Heard::Credits(credits) => {
                let lease = |_| {
                    place += 1;
                    let id = format!("01890a5d-ac96-774b-8000-{place:012x}");
                    let task = Task { id, kind: "demo".into(), tenant: "acme".into(), ..Task::default() };
                    Lease { task: Some(Box::new(task)), token: TASK.into(), ..Lease::default() }
                };
                let leases = (0..credits.count).map(lease).collect();
                peer.say(Say::Leases(Leases { leases, batches: Vec::new() })).await;
            }
            Heard::Results(results) => {
                done += results.completions.len();
                let outcome = |task_id| Outcome { task_id, accepted: true, moved: false };
                let outcomes = results.completions.into_iter().map(|one| outcome(one.task_id)).collect();
                peer.say(Say::Outcomes(Outcomes { outcomes })).await;
            }
            _ => {}
        }
    }
    println!(
        "{:.0} tasks/s with the scheduler's side in the same process",
        done as f64 / begun.elapsed().as_secs_f64()
    );
    stop.cancel();
    drop(peer);
    running.await.unwrap();
}
