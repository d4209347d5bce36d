//! Many callers over one stream: `tidemill-producer` against a real scheduler, over a line that is cut.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use http_body_util::{BodyExt, StreamBody};
use tidemill_chassis::context::TENANT;
use tidemill_chassis::{Wire, sleep};
use tidemill_producer::{Config, Error, Producer, SubmittedTask};
use tidemill_proto::types::v1::NewTask;
use tidemill_scheduling::Peers;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};

use crate::flaky::Breaks;
use crate::mesh::{Mesh, task};

fn config() -> Config {
    let mut config = Config::default();
    config.metadata.insert(TENANT, "acme".parse().unwrap());
    config
}

/// A line to one scheduler at a time; those that use it can be cut off.
#[derive(Debug, Clone)]
struct Line(Arc<Mutex<(Result<Wire, Status>, CancellationToken)>>);

impl Line {
    fn to(wire: Wire) -> Self {
        Self(Arc::new(Mutex::new((Ok(wire), CancellationToken::new()))))
    }

    /// What opens next goes there.
    fn redirect(&self, next: Result<Wire, Status>) {
        self.0.lock().unwrap().0 = next;
    }

    /// Cuts what is open; what opens next goes there.
    fn cut(&self, next: Result<Wire, Status>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap(), (next, CancellationToken::new()));
        before.1.cancel();
    }

    fn producer(&self) -> Producer {
        Producer::start(Wire::new(self.clone()), config())
    }
}

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = <Wire as Service<http::Request<Body>>>::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (wire, cut) = self.0.lock().unwrap().clone();
        Box::pin(async move {
            let answer = match wire {
                Ok(mut wire) => wire.call(request).await?,
                Err(status) => return Ok(status.into_http()),
            };
            Ok(answer.map(|body| {
                let frames = futures::stream::unfold(body, |mut body| async {
                    let frame = body.frame().await?;
                    Some((frame, body))
                });
                Body::new(StreamBody::new(frames.boxed().take_until(cut.cancelled_owned())))
            }))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_are_each_told_their_own_task() {
    let mut mesh = Mesh::start().await;
    let producer = Line::to(mesh.neighbours.first()).producer();
    let call = |number: usize| {
        let task = if number == 500 { task_of_no_kind() } else { task(&format!("n{number}"), "") };
        producer.submit(task)
    };
    let answers = join_all((0..1_000).map(call)).await;
    for (number, answer) in answers.into_iter().enumerate() {
        if number == 500 {
            let fault = answer.unwrap_err();
            assert!(matches!(&fault, Error::Refused { field, .. } if field == "kind"), "{fault}");
        } else {
            assert_eq!(mesh.get(&answer.unwrap().id).await.payload, format!("n{number}"));
        }
    }
    let first = producer.submit(task("once", "key")).await.unwrap();
    let second = producer.submit(task("once", "key")).await.unwrap();
    assert_eq!((first.duplicate, second.duplicate, first.id), (false, true, second.id));
}

fn task_of_no_kind() -> NewTask {
    NewTask { kind: "NO KIND".into(), ..task("", "") }
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_mended_without_a_task_twice_and_what_may_be_queued_is_said_to_be_so() {
    let mut mesh = Mesh::start().await;
    let line = Line::to(mesh.neighbours.first());
    let producer = line.producer();
    producer.submit(task("before", "")).await.unwrap();
    // The store has them, and its answer is under way when the line breaks.
    mesh.flaky.fail("AppendTasks", Breaks::Held, 1);
    let keyed = tokio::spawn(submit(&producer, task("keyed", "k")));
    let plain = tokio::spawn(submit(&producer, task("plain", "")));
    mesh.flaky.until_none_is_left().await;
    line.cut(Ok(mesh.neighbours.first()));
    mesh.flaky.release();
    let fault = plain.await.unwrap().unwrap_err();
    assert!(matches!(fault, Error::Lost(_)) && fault.to_string().contains("give tasks a key"), "{fault}");
    let keyed = keyed.await.unwrap().unwrap();
    assert_eq!(mesh.get(&keyed.id).await.payload, "keyed");
    mesh.until_run("keyed").await;
    assert_eq!(mesh.runs.lock().unwrap().iter().filter(|run| *run == "keyed").count(), 1);
}

fn submit(producer: &Producer, task: NewTask) -> impl Future<Output = Result<SubmittedTask, Error>> + use<> {
    let producer = producer.clone();
    async move { producer.submit(task).await }
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_stops_hands_its_callers_to_the_next_one() {
    let mesh = Mesh::start().await;
    let (_, _running, stop) = mesh.scheduler();
    let line = Line::to(mesh.neighbours.wire("s1").unwrap());
    let producer = line.producer();
    producer.submit(task("before", "")).await.unwrap();
    let calls: Vec<_> =
        (0..2_000).map(|number| tokio::spawn(submit(&producer, task(&format!("n{number}"), "")))).collect();
    tokio::task::yield_now().await;
    line.redirect(Ok(mesh.neighbours.first()));
    stop.cancel();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_mesh_that_is_away_is_waited_for_and_not_for_ever() {
    let mesh = Mesh::start().await;
    let away = Line::to(Wire::absent("scheduling"));
    let producer = away.producer();
    let early = tokio::spawn(submit(&producer, task("early", "")));
    sleep(Duration::from_secs(10)).await;
    assert!(!early.is_finished());
    away.cut(Ok(mesh.neighbours.first()));
    early.await.unwrap().unwrap();

    away.cut(Err(Status::unavailable("nobody is there")));
    let fault = producer.submit(task("late", "")).await.unwrap_err();
    assert!(matches!(fault, Error::Away(_)) && fault.to_string().contains("nobody is there"), "{fault}");
    away.cut(Err(Status::unauthenticated("the key is not known")));
    let fault = producer.submit(task("unknown", "")).await.unwrap_err();
    assert!(matches!(fault, Error::Away(_)) && fault.to_string().contains("the key is not known"), "{fault}");
    away.cut(Ok(mesh.neighbours.first()));
    producer.submit(task("at last", "")).await.unwrap();
}
