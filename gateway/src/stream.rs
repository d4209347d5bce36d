//! A stream of answers as an HTTP body: server-sent events, or one JSON text a line. Items go out as they come; a
//! failure after the head has gone is the last item.
//!
//! Source: WHATWG HTML §9.2 (server-sent events); the NDJSON convention.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tidemill_chassis::sleep;
use tidemill_proto::Route;
use tonic::body::Body;

use crate::answer::Answer;
use crate::error::Error;
use crate::media::Format;
use crate::status;

/// What went wrong with the stream of requests, for the end of the stream of answers.
pub(crate) type Fault = Arc<OnceLock<Error>>;

/// The answers of one call on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) answer: Answer,
    pub(crate) route: &'static Route,
    pub(crate) format: Format,
    /// After this long a silence, events carry a comment, so that nobody on the way closes the connection.
    pub(crate) keep_alive: Duration,
    /// What was wrong with the requests, if anything was.
    pub(crate) fault: Fault,
}

impl Outgoing {
    /// The body; dropping it ends the call.
    pub(crate) fn into_body(self) -> Body {
        let chunks = stream::unfold(Some(self), |state| async {
            let mut outgoing = state?;
            let (chunk, more) = outgoing.chunk().await?;
            Some((Ok::<_, Infallible>(Frame::data(chunk)), more.then_some(outgoing)))
        });
        Body::new(StreamBody::new(chunks))
    }

    /// The next bytes, and whether more can follow.
    async fn chunk(&mut self) -> Option<(Bytes, bool)> {
        let keep_alive = self.keep_alive;
        let next = match self.format {
            Format::Lines => self.answer.next().await,
            Format::Events => tokio::select! {
                next = self.answer.next() => next,
                () = sleep(keep_alive) => return Some((Bytes::from_static(b": keep-alive\n\n"), true)),
            },
        };
        let error = match next {
            Some(Ok(message)) => match (self.route.decode)(message) {
                Ok(json) => return Some((item(self.format, json), true)),
                Err(fault) => Error::Defect(fault.to_string()),
            },
            Some(Err(error)) => error,
            None => self.fault.get()?.clone(),
        };
        Some((failure(self.format, error), false))
    }
}

/// One answer. JSON texts hold no line ends of their own.
fn item(format: Format, mut json: String) -> Bytes {
    match format {
        Format::Lines => {
            json.push('\n');
            json.into()
        }
        Format::Events => format!("data: {json}\n\n").into(),
    }
}

/// The last item of a stream that failed.
fn failure(format: Format, error: Error) -> Bytes {
    let status = status::json(&error.into_status());
    match format {
        Format::Lines => format!("{}\n", serde_json::json!({ "error": status })).into(),
        Format::Events => format!("event: error\ndata: {status}\n\n").into(),
    }
}
