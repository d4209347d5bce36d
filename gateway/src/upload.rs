//! A body of JSON lines as a stream of gRPC messages. Pulled by the service, so that a slow one slows the sender down
//! and at most one line and one chunk are in memory. The stream of requests ends well at the first line that is not a
//! message, so that everything before it is taken; the fault is kept for the end of the answer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Map, Value};
use tonic::Status;
use tonic::body::Body;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::frame;
use crate::json::Source;
use crate::lines::{Line, Lines, TooLong};
use crate::stream::Fault;
use crate::transcode;

/// Lines on their way in.
pub(crate) struct Upload {
    pub(crate) body: Body,
    pub(crate) endpoint: Arc<Endpoint>,
    /// Fields that every message has besides its line.
    pub(crate) params: Map<String, Value>,
    /// The longest line, in bytes.
    pub(crate) limit: usize,
    /// Where the fault of the first wrong line goes.
    pub(crate) fault: Fault,
    /// When the stream is to end, however much is to come.
    pub(crate) over: BoxFuture<'static, ()>,
}

impl Upload {
    /// The body of the gRPC call.
    pub(crate) fn into_frames(self) -> Body {
        let lines = Lines::new(self.limit);
        let frames = stream::unfold((self, lines, false), |(mut upload, mut lines, mut ended)| async move {
            let frames = upload.next(&mut lines, &mut ended).await?;
            Some((frames.map(Frame::data), (upload, lines, ended)))
        });
        Body::new(StreamBody::new(frames))
    }

    /// The messages of the lines that are there, waiting for at least one.
    async fn next(&mut self, lines: &mut Lines, ended: &mut bool) -> Option<Result<Bytes, Status>> {
        let mut frames = BytesMut::new();
        while !*ended {
            *ended = !self.take(lines, &mut frames);
            if !frames.is_empty() || *ended {
                break;
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = &mut self.over => {
                    *ended = true;
                    let _ = self.fault.set(Error::Stopping);
                    continue;
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        lines.push(&data);
                    }
                }
                Some(Err(status)) => {
                    *ended = true;
                    return Some(Err(status));
                }
                None => {
                    *ended = true;
                    let last = lines.finish();
                    self.put(last, &mut frames);
                }
            }
        }
        (!frames.is_empty()).then(|| Ok(frames.freeze()))
    }

    /// Moves every whole line into frames; false at the first wrong one.
    fn take(&self, lines: &mut Lines, frames: &mut BytesMut) -> bool {
        loop {
            let line = lines.next();
            if matches!(line, Ok(None)) {
                return true;
            }
            if !self.put(line, frames) {
                return false;
            }
        }
    }

    /// Appends a line's message; false, and the fault is kept, when it has none.
    fn put(&self, line: Result<Option<Line>, TooLong>, frames: &mut BytesMut) -> bool {
        let error = match line {
            Ok(None) => return true,
            Ok(Some(Line { number, text })) => {
                match transcode::message(&self.endpoint, &self.params, &text, Source::Line(0)) {
                    Ok(message) => {
                        frame::put(frames, &message);
                        return true;
                    }
                    Err(fault) => Error::Line { line: number, fault },
                }
            }
            Err(TooLong(line)) => Error::LineTooLong { line, limit: self.limit },
        };
        // The first fault ends the stream, so there is no second one to lose.
        let _ = self.fault.set(error);
        false
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use prost::Message;
    use prost_reflect::DescriptorPool;
    use tidemill_proto::ingestion::v1::PushDocumentsRequest;

    use super::*;
    use crate::access::Catalogue;
    use crate::frame::Decoder;
    use crate::router::Found;

    /// The titles that reach the service, and whether the stream of requests ended well.
    async fn uploaded(chunks: &[Result<&'static str, &'static str>]) -> (Vec<String>, bool) {
        let pool = DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
        let router = crate::endpoint::router(tidemill_proto::ROUTES, &pool, &Catalogue::new(&pool)).unwrap();
        let Found::Route(endpoint, _) = router.find("POST", "/v1/documents:stream") else {
            panic!("no route")
        };
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| match chunk {
                Ok(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
                Err(fault) => Err(Status::cancelled(*fault)),
            })
            .collect();
        let upload = Upload {
            body: Body::new(StreamBody::new(stream::iter(chunks))),
            endpoint: Arc::clone(endpoint),
            params: Map::new(),
            limit: 100,
            fault: Fault::default(),
            over: Box::pin(std::future::pending()),
        };
        let (mut frames, mut decoder, mut titles) = (upload.into_frames(), Decoder::new(100), Vec::new());
        let mut well = true;
        while let Some(frame) = frames.frame().await {
            let Ok(frame) = frame else {
                well = false;
                continue;
            };
            decoder.push(&frame.into_data().unwrap());
            while let Some(message) = decoder.next().unwrap() {
                titles.push(PushDocumentsRequest::decode(message).unwrap().document.unwrap().title);
            }
        }
        (titles, well)
    }

    #[tokio::test]
    async fn a_sender_that_breaks_off_is_told_from_one_that_ends() {
        let whole = uploaded(&[Ok("{\"title\":\"a\"}\n{\"ti"), Ok("tle\":\"b\"}")]).await;
        assert_eq!(whole, (vec!["a".to_owned(), "b".to_owned()], true));
        // What came last looks like a whole line, but nobody said that it is.
        let broken = uploaded(&[Ok("{\"title\":\"a\"}\n{\"title\":\"b\"}"), Err("gone")]).await;
        assert_eq!(broken, (vec!["a".to_owned()], false));
    }

    #[tokio::test]
    async fn nothing_after_a_wrong_line_is_sent() {
        let seen =
            uploaded(&[Ok("{\"title\":\"a\"}\n[]\n{\"title\":\"c\"}\n"), Ok("{\"title\":\"d\"}\n")]).await;
        assert_eq!(seen, (vec!["a".to_owned()], true));
    }
}
