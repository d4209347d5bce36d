//! The workers' side of the gRPC service: each stream's messages become the engine's events, the engine's words become
//! the stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::Stream;
use tidemill_chassis::FaultExt;
use tidemill_kernel::{Fault, Id};
use tidemill_proto::scheduling::v1::work_request::Message as Heard;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::scheduling::v1::worker_service_server::WorkerService;
use tidemill_proto::scheduling::v1::{
    DivideLimitsRequest, DivideLimitsResponse, Hello, WakeRequest, WakeResponse, WorkRequest, WorkResponse,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use crate::actor::Handle;
use crate::engine::{Answer, Changed, Event, Question, SessionId, Source};
use crate::scaling::board::{Board, Chair};
use crate::sharing;

/// The service.
#[derive(Debug)]
pub struct Workers {
    handle: Handle,
    sessions: Arc<AtomicU64>,
    board: Board,
}

impl Workers {
    pub(crate) fn new(handle: Handle, board: Board) -> Self {
        Self { handle, sessions: Arc::default(), board }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<WorkResponse, Status>> + Send>>;

    async fn work(
        &self,
        request: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let mut requests = request.into_inner();
        let hello = match requests.message().await?.and_then(|first| first.message) {
            Some(Heard::Hello(hello)) => check(hello)?,
            _ => {
                return Err(
                    Fault::invalid("message", "the first message of a stream must be `hello`").into_status()
                );
            }
        };
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let (outbox, words) = mpsc::unbounded_channel();
        debug!(session, worker = hello.worker, kinds = ?hello.kinds, "a worker came");
        let chair = self.board.join(&hello);
        self.handle.join(session, outbox, Event::Joined { session, hello: Box::new(hello) });
        tokio::spawn(listen(self.handle.clone(), session, requests, Arc::clone(&chair)));
        let words =
            Words { words: UnboundedReceiverStream::new(words), handle: self.handle.clone(), session };
        Ok(Response::new(Box::pin(words.map(move |message| {
            chair.said(&message);
            Ok(WorkResponse { message: Some(message) })
        }))))
    }

    async fn wake(&self, request: Request<WakeRequest>) -> Result<Response<WakeResponse>, Status> {
        let WakeRequest { changed, cancelled, settings } = request.into_inner();
        if settings {
            self.handle.tell(Event::SettingsTold);
            return Ok(Response::new(WakeResponse::default()));
        }
        if changed.is_empty() && cancelled.is_empty() {
            self.handle.tell(Event::Wake);
            return Ok(Response::new(WakeResponse::default()));
        }
        let read = |ids: Vec<String>| ids.iter().filter_map(|id| id.parse().ok()).collect();
        let (changed, cancelled): (Vec<Id>, Vec<Id>) = (read(changed), read(cancelled));
        for (tasks, are_cancelled) in [(changed.clone(), false), (cancelled.clone(), true)] {
            self.handle.tell(Event::Changed(Changed { tasks, are_cancelled, from: Source::Peer }));
        }
        let all = changed.into_iter().chain(cancelled).collect();
        let others = match self.handle.ask(Question::Others(all)).await? {
            Answer::Others(others) => others.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        Ok(Response::new(WakeResponse { others }))
    }

    async fn divide_limits(
        &self,
        request: Request<DivideLimitsRequest>,
    ) -> Result<Response<DivideLimitsResponse>, Status> {
        let asks = sharing::decode(request.into_inner());
        let shares = match self.handle.ask(Question::Divide(asks)).await? {
            Answer::Divided(shares) => shares,
            _ => Vec::new(),
        };
        Ok(Response::new(sharing::response(&shares)))
    }
}

/// What a worker is told. A worker that stops listening has left, even if it goes on talking: leases for its credits
/// would never reach it.
struct Words {
    words: UnboundedReceiverStream<Say>,
    handle: Handle,
    session: SessionId,
}

impl Stream for Words {
    type Item = Say;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Say>> {
        Pin::new(&mut self.words).poll_next(cx)
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.handle.tell(Event::Left { session: self.session, lost: true });
    }
}

/// Passes a worker's messages on until its stream ends: closed by the worker, who is done then, or lost.
async fn listen(handle: Handle, session: SessionId, mut requests: Streaming<WorkRequest>, chair: Arc<Chair>) {
    let lost = loop {
        let message = match requests.message().await {
            Ok(Some(request)) => request.message,
            Ok(None) => break false,
            Err(_) => break true,
        };
        if let Some(message) = &message {
            chair.heard(message);
        }
        match message {
            Some(Heard::Credits(credits)) => handle.tell(Event::Credits { session, count: credits.count }),
            Some(Heard::Withdraw(back)) => handle.tell(Event::Withdraw { session, count: back.count }),
            Some(Heard::Results(results)) => handle.tell(Event::Results { session, results }),
            Some(Heard::Heartbeat(beat)) => handle.tell(Event::Heartbeat { session, beat }),
            Some(Heard::Progress(progress)) => handle.tell(Event::Progress { progress }),
            Some(Heard::CloseKey(close)) => handle.tell(Event::CloseKey(close)),
            Some(Heard::Hello(_)) | None => {
                debug!(session, "a message without a meaning here was passed over");
            }
        }
    };
    handle.tell(Event::Left { session, lost });
}

fn check(hello: Hello) -> Result<Hello, Status> {
    let fault = if hello.worker.is_empty() || hello.worker.len() > 128 {
        Fault::invalid("hello.worker", "must be 1 to 128 bytes")
    } else if hello.kinds.is_empty() || hello.kinds.len() > 64 {
        Fault::invalid("hello.kinds", "name 1 to 64 kinds of task")
    } else {
        return Ok(hello);
    };
    Err(fault.into_status())
}
