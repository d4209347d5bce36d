//! Spreads calls over the endpoints of one part, and answers always: what goes wrong on the way becomes UNAVAILABLE
//! (or DEADLINE_EXCEEDED) with a message that names the part and the address.
//!
//! A call counts as pending until the head of its answer is there. A call that is dropped before says nothing against
//! its endpoint but how long it had taken already.

pub mod endpoints;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use rand::rngs::StdRng;
use tidemill_kernel::breaker::BreakerConfig;
use tidemill_kernel::{Clock, ErrorKind, Fault};
use tonic::body::Body;
use tonic::{Code, TimeoutExpired};
use tower::{BoxError, Service, ServiceExt};

use self::endpoints::{Ending, Endpoints, Pick};
use crate::discovery::fixed::Address;
use crate::layers::{Answer, refuse};
use crate::{FaultExt, SystemClock, clock};

/// A balanced service over connections `S`. Clones share what is known of the endpoints.
#[derive(Debug)]
pub struct Balance<S> {
    name: &'static str,
    connections: Arc<[(Address, S)]>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    endpoints: Endpoints,
    rng: StdRng,
}

impl<S> Balance<S> {
    /// Over these connections of the part `name`; each endpoint gets a breaker of its own.
    pub fn new(name: &'static str, connections: Vec<(Address, S)>, breaker: &BreakerConfig) -> Self {
        let endpoints = Endpoints::new(connections.len(), breaker, SystemClock.now());
        let known = Arc::new(Mutex::new(Known { endpoints, rng: clock::seeded_rng() }));
        Self { name, connections: connections.into(), known }
    }

    fn pick(&self) -> Result<Pending, Fault> {
        let now = SystemClock.now();
        let mut known = lock(&self.known);
        let Known { endpoints, rng } = &mut *known;
        match endpoints.pick(now, rng) {
            Ok(pick) => Ok(Pending { known: Arc::clone(&self.known), pick: Some(pick) }),
            Err(until) => {
                let message = format!(
                    "every address of the {} service failed lately: check that it runs; it will be tried again",
                    self.name
                );
                Err(Fault::new(ErrorKind::Unavailable, message).retry_after(until.since(now)))
            }
        }
    }
}

impl<S> Clone for Balance<S> {
    fn clone(&self) -> Self {
        Self { name: self.name, connections: Arc::clone(&self.connections), known: Arc::clone(&self.known) }
    }
}

impl<S> Service<Request<Body>> for Balance<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let pending = match self.pick() {
            Ok(pending) => pending,
            Err(fault) => return refuse(fault.into_status()),
        };
        let name = self.name;
        let Some((address, connection)) = pending.index().and_then(|index| self.connections.get(index))
        else {
            let fault = Fault::new(ErrorKind::Unavailable, format!("the {name} service has no address"));
            return refuse(fault.into_status());
        };
        let (address, connection) = (address.clone(), connection.clone());
        Box::pin(async move {
            match connection.oneshot(request).await {
                Ok(response) => {
                    pending.finish(judge(&response));
                    Ok(response)
                }
                Err(error) => {
                    let (ending, fault) = explain(name, &address, &*error.into());
                    pending.finish(ending);
                    Ok(fault.into_status().into_http())
                }
            }
        })
    }
}

/// What an answer says about who gave it. Only a status without a message (trailers-only) is looked at.
pub(crate) fn judge<B>(response: &Response<B>) -> Ending {
    let code = response.headers().get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()));
    match (code, response.status()) {
        (Some(Code::Unavailable), _)
        // A proxy in between that finds nobody behind it.
        | (None, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => {
            Ending::Failed
        }
        (Some(Code::ResourceExhausted), _) => Ending::Overloaded,
        _ => Ending::Answered,
    }
}

/// A failed connection or exchange as what it means for the endpoint and for the caller.
fn explain(name: &str, address: &Address, error: &(dyn StdError + 'static)) -> (Ending, Fault) {
    let chain: Vec<_> = iter::successors(Some(error), |&error| error.source()).collect();
    if chain.iter().any(|error| error.is::<TimeoutExpired>()) {
        let message = format!("the {name} service at {address} did not answer before the caller's deadline");
        return (Ending::Abandoned, Fault::new(ErrorKind::Timeout, message));
    }
    let mut reasons: Vec<String> = chain.iter().map(ToString::to_string).collect();
    reasons.dedup();
    let reasons = reasons.join(": ");
    let message = format!(
        "cannot reach the {name} service at {address}: {reasons}; check that it runs and that the address is right"
    );
    (Ending::Failed, Fault::new(ErrorKind::Unavailable, message))
}

/// A call under way; one that is dropped counts as abandoned.
struct Pending {
    known: Arc<Mutex<Known>>,
    pick: Option<Pick>,
}

impl Pending {
    fn index(&self) -> Option<usize> {
        self.pick.as_ref().map(|pick| pick.index)
    }

    fn finish(mut self, ending: Ending) {
        self.settle(ending);
    }

    fn settle(&mut self, ending: Ending) {
        if let Some(pick) = self.pick.take() {
            lock(&self.known).endpoints.finish(pick, SystemClock.now(), ending);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.settle(Ending::Abandoned);
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.pick).finish()
    }
}

/// The guarded value; a panic elsewhere leaves estimates, never a broken invariant.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
