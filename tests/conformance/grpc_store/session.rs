//! A session: it remembers what its writes were told, and reads behind it.
//!
//! Steps of workers tell nothing, because nobody waits to see them; after one, the session reads the latest until it is
//! told again.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tidemill_chassis::Wire;
use tidemill_chassis::reads::{CONSISTENCY, READ_AFTER, WRITTEN};
use tonic::body::Body;
use tower::Service;

const SILENT: [&str; 4] = ["/LeaseTasks", "/SettleTasks", "/RenewLeases", "/ReleaseLeases"];

/// What the session knows that it has written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Nothing,
    UpTo(String),
    Unknown,
}

/// Calls of one session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    inner: Wire,
    known: Arc<Mutex<Known>>,
}

impl Session {
    pub(super) fn over(wire: Wire) -> Wire {
        Wire::new(Self { inner: wire, known: Arc::new(Mutex::new(Known::Nothing)) })
    }
}

/// What is known after a call that began when `before` was known, ended when `now` was, and told this.
fn after(before: &Known, now: Known, told: Option<String>, is_silent: bool) -> Known {
    match told.map(Known::UpTo) {
        _ if is_silent => Known::Unknown,
        None => now,
        // It was told after all that was unknown before.
        Some(told) if now == *before && now == Known::Unknown => told,
        Some(told) => told.max(now),
    }
}

impl Service<Request<Body>> for Session {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx).map_err(|fault| unreachable!("a wire is always ready: {fault}"))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let before = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match &before {
            Known::Nothing => None,
            Known::UpTo(written) => request.headers_mut().insert(READ_AFTER, written.parse().unwrap()),
            Known::Unknown => request.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("latest")),
        };
        let is_silent = SILENT.iter().any(|step| request.uri().path().ends_with(step));
        let (known, answer) = (Arc::clone(&self.known), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await.unwrap();
            let told = answer.headers().get(WRITTEN).map(|text| text.to_str().unwrap().to_owned());
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            *known = after(&before, known.clone(), told, is_silent);
            Ok(answer)
        })
    }
}
