//! A tap on the line between a worker and a scheduler: notes what is said in both directions, and can cut it.
//!
//! It writes the lease's token and the scheduler before the payload of each task, so that the handler can say under which lease
//! it ran. A cut loses what is on its way; to the scheduler it is a broken stream, not one that the worker closed.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, Stream};
use tidemill_chassis::discovery::Address;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Part, Wire};
use tidemill_kernel::Id;
use tidemill_proto::scheduling::v1::work_request::Message as Said;
use tidemill_proto::scheduling::v1::work_response::Message as Heard;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::worker_service_server::{
    SERVICE_NAME, WorkerService, WorkerServiceServer,
};
use tidemill_proto::scheduling::v1::{
    DivideLimitsRequest, DivideLimitsResponse, Results, WakeRequest, WakeResponse, WorkRequest, WorkResponse,
};
use tidemill_scheduling::checker::{Ending, Event};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::log::Log;

/// The line of one worker to one scheduler.
#[derive(Clone)]
pub(crate) struct Tap {
    scheduler: Address,
    client: WorkerServiceClient<Wire>,
    log: Arc<Log>,
    /// Cancelled when the streams that are open now are cut.
    cut: Arc<Mutex<CancellationToken>>,
}

/// One stream: the results that were sent over it and have no outcome yet, by task.
#[derive(Clone)]
struct Line {
    tap: Tap,
    cut: CancellationToken,
    sent: Arc<Mutex<HashMap<String, Vec<Id>>>>,
}

impl Tap {
    /// A tap on the wire to this scheduler.
    pub(crate) fn on(scheduler: Address, wire: Wire, log: Arc<Log>) -> Self {
        Self { scheduler, client: WorkerServiceClient::new(wire), log, cut: Arc::default() }
    }

    /// How a worker reaches the scheduler through it.
    pub(crate) fn wire(&self) -> Wire {
        let routes = Routes::new(WorkerServiceServer::new(self.clone()));
        let part = Part { name: "tap", routes, services: vec![SERVICE_NAME], background: Vec::new() };
        part.wire(ServerLimits::default())
    }

    /// Cuts the streams that are open.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *lock(&self.cut)).cancel();
    }
}

#[tonic::async_trait]
impl WorkerService for Tap {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<WorkResponse, Status>> + Send>>;

    async fn work(
        &self,
        request: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let line = Line { tap: self.clone(), cut: lock(&self.cut).clone(), sent: Arc::default() };
        let cut = line.cut.clone();
        let said = line.clone().said(request.into_inner());
        let mut client = self.client.clone();
        let answer = tokio::select! {
            answer = client.work(said) => answer?,
            () = cut.cancelled() => return Err(Status::unavailable("the line is cut")),
        };
        Ok(Response::new(Box::pin(line.heard(answer.into_inner()))))
    }

    async fn wake(&self, request: Request<WakeRequest>) -> Result<Response<WakeResponse>, Status> {
        self.client.clone().wake(request).await
    }

    async fn divide_limits(
        &self,
        request: Request<DivideLimitsRequest>,
    ) -> Result<Response<DivideLimitsResponse>, Status> {
        self.client.clone().divide_limits(request).await
    }
}

impl Line {
    /// What the worker says.
    fn said(self, said: Streaming<WorkRequest>) -> impl Stream<Item = WorkRequest> + Send + 'static {
        stream::unfold((said, self), |(mut said, line)| async move {
            Some((line.hear_worker(&mut said).await?, (said, line)))
        })
    }

    /// What the scheduler says, until the line is cut.
    fn heard(
        self,
        heard: Streaming<WorkResponse>,
    ) -> impl Stream<Item = Result<WorkResponse, Status>> + Send + 'static {
        stream::unfold((Some(heard), self), |(heard, line)| async move {
            let mut heard = heard?;
            match line.hear_scheduler(&mut heard).await {
                Ok(response) => Some((Ok(response?), (Some(heard), line))),
                Err(fault) => Some((Err(fault), (None, line))),
            }
        })
    }

    /// The worker's next message; none when it has closed its side. A broken line says nothing any more.
    async fn hear_worker(&self, said: &mut Streaming<WorkRequest>) -> Option<WorkRequest> {
        let next = tokio::select! {
            next = said.message() => next,
            () = self.cut.cancelled() => std::future::pending().await,
        };
        match next {
            Ok(request) => {
                if let Some(Said::Results(results)) = request.as_ref()?.message.as_ref() {
                    self.note_results(results);
                }
                request
            }
            Err(_) => std::future::pending().await,
        }
    }

    /// The scheduler's next message; none when it has closed the stream.
    async fn hear_scheduler(
        &self,
        heard: &mut Streaming<WorkResponse>,
    ) -> Result<Option<WorkResponse>, Status> {
        let mut response = tokio::select! {
            next = heard.message() => next?,
            () = self.cut.cancelled() => return Err(Status::unavailable("the line is cut")),
        };
        match response.as_mut().and_then(|response| response.message.as_mut()) {
            Some(Heard::Leases(leases)) => {
                for lease in &mut leases.leases {
                    if let Some(task) = &mut lease.task {
                        task.payload = format!("{} {} {}", lease.token, self.tap.scheduler, task.payload);
                    }
                }
            }
            Some(Heard::Cancel(cancel)) => {
                let named = cancel.attempts.iter().map(|attempt| &attempt.task_id);
                let mut sent = lock(&self.sent);
                named.chain(&cancel.task_ids).for_each(|task| _ = sent.remove(task));
            }
            Some(Heard::Outcomes(outcomes)) => {
                for outcome in &outcomes.outcomes {
                    let tokens = lock(&self.sent).remove(&outcome.task_id).unwrap_or_default();
                    // It names the task alone: of two attempts whose results were sent it may mean either.
                    if let ([token], false) = (&tokens[..], outcome.moved && !outcome.accepted) {
                        let (token, accepted, at) = (*token, outcome.accepted, self.tap.log.now());
                        self.tap.log.note(Event::Answered { token, accepted, at });
                    }
                }
            }
            _ => {}
        }
        Ok(response)
    }

    fn note_results(&self, results: &Results) {
        let completions = results.completions.iter().map(|one| {
            let follow_ups = u32::try_from(one.follow_ups.len()).unwrap_or(u32::MAX);
            (&one.task_id, &one.token, Ending::Completed(follow_ups))
        });
        let failures = results.failures.iter().map(|one| (&one.task_id, &one.token, Ending::Failed));
        let snoozes = results.snoozes.iter().map(|one| (&one.task_id, &one.token, Ending::Snoozed));
        for (task, token, ending) in completions.chain(failures).chain(snoozes) {
            let Ok(token) = token.parse() else { continue };
            lock(&self.sent).entry(task.clone()).or_default().push(token);
            self.tap.log.note(Event::Sent { token, ending });
        }
    }
}

/// No holder of a lock of this file can leave what it guards half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
