//! Streams of requests end when the gateway is to stop: their senders would otherwise keep it for as long as they like.
//!
//! They get a moment more, in which a service that stops too says so itself, and acknowledges what it has. What has an
//! end of its own, single calls and streams of answers only, is left alone: the server's grace bounds it.

use std::collections::HashSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Response};
use http_body::Frame;
use prost_reflect::DescriptorPool;
use tidemill_chassis::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

use crate::error::Error;

/// How long such a stream goes on.
const MOMENT: Duration = Duration::from_secs(1);

/// Which streams are ended, and when.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    stop: CancellationToken,
    /// The paths of the methods that take a stream.
    endless: HashSet<String>,
}

impl Drain {
    /// Ends streams of requests after this token is cancelled.
    pub(crate) fn new(pool: &DescriptorPool, stop: CancellationToken) -> Self {
        let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let streaming = methods.filter(prost_reflect::MethodDescriptor::is_client_streaming);
        let path = |method: prost_reflect::MethodDescriptor| {
            format!("/{}/{}", method.parent_service().full_name(), method.name())
        };
        Self { stop, endless: streaming.map(path).collect() }
    }

    /// Whether a gRPC method takes a stream.
    pub(crate) fn is_endless(&self, path: &str) -> bool {
        self.endless.contains(path)
    }

    /// Ends when such streams are to end.
    pub(crate) fn over(&self) -> BoxFuture<'static, ()> {
        let stop = self.stop.clone();
        Box::pin(async move {
            stop.cancelled().await;
            sleep(MOMENT).await;
        })
    }

    /// The answer to a stream, with an early end when that is due.
    pub(crate) async fn bound(&self, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
        let mut over = self.over();
        tokio::select! {
            answer = answer => answer.map(|body| Body::new(Bounded { body, over: Some(over) })),
            () = &mut over => Error::Stopping.into_status().into_http(),
        }
    }
}

/// A gRPC body that ends when it is due.
struct Bounded {
    body: Body,
    /// `None` once it has ended.
    over: Option<BoxFuture<'static, ()>>,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(over) = &mut self.over else { return Poll::Ready(None) };
        if over.poll_unpin(cx).is_pending() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.over = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(match Error::Stopping.into_status().add_header(&mut trailers) {
            Ok(()) => Some(Ok(Frame::trailers(trailers))),
            Err(fault) => Some(Err(fault)),
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tonic::Code;

    use super::*;

    fn drain() -> Drain {
        let pool = DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
        Drain::new(&pool, CancellationToken::new())
    }

    #[test]
    fn only_streams_of_requests_are_ended() {
        let drain = drain();
        assert!(drain.is_endless("/tidemill.ingestion.v1.IngestionService/PushDocuments"));
        assert!(drain.is_endless("/tidemill.scheduling.v1.WorkerService/Work"));
        assert!(!drain.is_endless("/tidemill.scheduling.v1.SchedulingService/WatchQueue"));
        assert!(!drain.is_endless("/tidemill.ingestion.v1.IngestionService/PushDocument"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_a_moment_after_the_signal_and_says_why() {
        let drain = drain();
        let silent = Response::new(Body::new(http_body_util::StreamBody::new(futures::stream::pending::<
            Result<Frame<Bytes>, Status>,
        >())));
        let answer = drain.bound(std::future::ready(silent)).await;
        let unanswered = drain.bound(std::future::pending());
        drain.stop.cancel();
        let begun = tokio::time::Instant::now();
        let trailers = answer.into_body().collect().await.unwrap().trailers().cloned().unwrap();
        assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::Unavailable);
        assert_eq!(begun.elapsed(), MOMENT);
        let refused = unanswered.await;
        assert_eq!(Status::from_header_map(refused.headers()).unwrap().code(), Code::Unavailable);
    }
}
