//! A service's answer as it comes: messages one by one, then its status. A call of one message is a stream of one.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tidemill_chassis::reads::WRITTEN;
use tidemill_chassis::{Context, Switchboard};
use tidemill_kernel::Timestamp;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::error::Error;
use crate::frame::{self, Decoder, FrameError, LIMIT};

/// The messages of an answer, then how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    decoder: Decoder,
    status: Option<Status>,
    ended: bool,
    /// What a write tells its session.
    written: Option<HeaderValue>,
}

/// Calls a service with these frames. A refusal in the answer's head is already an error here.
pub(crate) async fn call(
    switchboard: &Switchboard,
    grpc_path: &'static str,
    context: &Context,
    now: Timestamp,
    frames: Body,
) -> Result<Answer, Error> {
    let mut request = Request::new(frames);
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = http::Uri::from_static(grpc_path);
    let mut metadata = MetadataMap::new();
    context.write(&mut metadata, now);
    let mut headers = metadata.into_headers();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    *request.headers_mut() = headers;
    let Ok(response) = switchboard.clone().oneshot(request).await;
    Answer::new(response)
}

impl Answer {
    fn new(mut response: Response<Body>) -> Result<Self, Error> {
        let status = Status::from_header_map(response.headers());
        if let Some(status) = status.as_ref().filter(|status| status.code() != Code::Ok) {
            return Err(status.clone().into());
        }
        if response.status() != http::StatusCode::OK && status.is_none() {
            let message = format!("something on the way to the service answered HTTP {}", response.status());
            return Err(Status::unavailable(message).into());
        }
        let encoding = HeaderName::from_static("grpc-encoding");
        if response.headers().get(encoding).is_some_and(|value| value != "identity") {
            return Err(FrameError::Compressed.into());
        }
        let written = response.headers_mut().remove(WRITTEN);
        Ok(Self { body: response.into_body(), decoder: Decoder::new(LIMIT), status, ended: false, written })
    }

    /// What the answer's head says was written, for whoever reads behind it.
    pub(crate) fn take_written(&mut self) -> Option<HeaderValue> {
        self.written.take()
    }

    /// The next message; nothing after the end; an error once when the call failed. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.decoder.next() {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) if self.ended => return None,
                Ok(None) => {}
                Err(_) if self.ended => return None,
                Err(fault) => return Some(Err(self.fail(fault.into()))),
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.decoder.push(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.status = Status::from_header_map(&trailers).or(self.status.take());
                    }
                },
                Some(Err(status)) => return Some(Err(self.fail(status.into()))),
                None => {
                    self.ended = true;
                    return self.outcome().err().map(Err);
                }
            }
        }
    }

    /// The one message of a call that has one.
    pub(crate) async fn only(mut self) -> Result<Bytes, Error> {
        let mut only = None;
        while let Some(message) = self.next().await {
            if only.replace(message?).is_some() {
                return Err(Error::Defect("a service answered twice".to_owned()));
            }
        }
        only.ok_or_else(|| Error::Defect("a service said OK without an answer".to_owned()))
    }

    fn fail(&mut self, error: Error) -> Error {
        self.ended = true;
        error
    }

    fn outcome(&mut self) -> Result<(), Error> {
        match self.status.take() {
            Some(status) if status.code() != Code::Ok => Err(status.into()),
            Some(_) => Ok(self.decoder.finish()?),
            None => Err(Status::unavailable("the answer broke off before it was whole: try again").into()),
        }
    }
}

/// The frames of a request of one message.
pub(crate) fn one_frame(message: &[u8]) -> Body {
    Body::new(http_body_util::Full::new(frame::one(message)))
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http::HeaderMap;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn trailers(code: &'static str) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        Frame::trailers(trailers)
    }

    fn data(message: &[u8]) -> Frame<Bytes> {
        Frame::data(frame::one(message))
    }

    fn answer(frames: Vec<Frame<Bytes>>) -> Answer {
        let frames = stream::iter(frames.into_iter().map(Ok::<_, Status>));
        Answer::new(Response::new(Body::new(StreamBody::new(frames)))).unwrap()
    }

    #[tokio::test]
    async fn messages_come_before_the_failure_and_the_failure_once() {
        let mut answer = answer(vec![data(b"a"), data(b"b"), trailers("5")]);
        assert_eq!(answer.next().await.unwrap().unwrap(), "a");
        assert_eq!(answer.next().await.unwrap().unwrap(), "b");
        assert_eq!(answer.next().await.unwrap().unwrap_err().http_status(), 404);
        assert!(answer.next().await.is_none());
    }

    #[tokio::test]
    async fn an_answer_without_a_status_is_never_taken_for_a_whole_one() {
        let said = answer(vec![data(b"a")]).only().await.unwrap_err();
        assert_eq!(said.http_status(), 503);
        assert_eq!(answer(vec![data(b"a"), trailers("0")]).only().await.unwrap(), "a");
        assert_eq!(answer(vec![trailers("0")]).only().await.unwrap_err().http_status(), 500);
        assert_eq!(answer(vec![data(b"a"), trailers("13")]).only().await.unwrap_err().http_status(), 500);
        let cut = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]));
        assert_eq!(answer(vec![cut, trailers("0")]).only().await.unwrap_err().http_status(), 500);
    }

    #[test]
    fn a_head_that_says_no_is_an_error_at_once() {
        let refused = Status::not_found("gone").into_http();
        assert_eq!(Answer::new(refused).unwrap_err().to_string(), "gone");
        let mut proxy = Response::new(Body::empty());
        *proxy.status_mut() = http::StatusCode::BAD_GATEWAY;
        assert_eq!(Answer::new(proxy).unwrap_err().http_status(), 503);
    }
}
