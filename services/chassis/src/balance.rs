//! Spreads calls over the endpoints of one part, and answers always: what goes wrong on the way becomes UNAVAILABLE
//! (or DEADLINE_EXCEEDED) with a message that names the part and the address.
//!
//! The endpoints are the instances that discovery tells. A change of theirs is taken in by the next call, so that there
//! is no task to run: connections to new ones are made lazily, those to instances that left end with their last call,
//! and what is known of those that stay is kept.
//!
//! A call counts as pending until the head of its answer is there. A call that is dropped before says nothing against
//! its endpoint but how long it had taken already.

pub mod endpoints;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use rand::rngs::StdRng;
use tidemill_kernel::breaker::BreakerConfig;
use tidemill_kernel::{Clock, ErrorKind, Fault, Timestamp};
use tonic::body::Body;
use tonic::{Code, TimeoutExpired};
use tower::{BoxError, Service, ServiceExt};

use self::endpoints::{Ending, Endpoints, Pick};
use crate::discovery::{Address, Follow, Instances};
use crate::layers::{Answer, refuse};
use crate::{FaultExt, SystemClock, clock};

/// A balanced service over connections `S`. Clones share what is known of the endpoints.
#[derive(Debug)]
pub struct Balance<S>(Arc<Shared<S>>);

/// Makes a connection; `None` when the address cannot be used.
type Connect<S> = Box<dyn Fn(&Address) -> Option<S> + Send + Sync>;

struct Shared<S> {
    name: &'static str,
    follow: Follow,
    connect: Connect<S>,
    patience: Duration,
    known: Mutex<Known<S>>,
}

/// What is known of the endpoints, as of the set of instances that was seen last.
struct Known<S> {
    seen: Option<Instances>,
    endpoints: Endpoints<Address>,
    connections: BTreeMap<Address, S>,
    rng: StdRng,
}

impl<S: Clone> Balance<S> {
    /// Over the instances of the part `name` as they come and go. `connect` makes a connection when an instance comes,
    /// or `None` when its address cannot be used; each has a breaker of its own. Calls wait for the first word about
    /// the instances no longer than `patience`.
    pub fn new(
        name: &'static str,
        follow: Follow,
        connect: impl Fn(&Address) -> Option<S> + Send + Sync + 'static,
        breaker: BreakerConfig,
        patience: Duration,
    ) -> Self {
        let known = Known {
            seen: None,
            endpoints: Endpoints::new(breaker),
            connections: BTreeMap::new(),
            rng: clock::seeded_rng(),
        };
        let (connect, known) = (Box::new(connect), Mutex::new(known));
        Self(Arc::new(Shared { name, follow, connect, patience, known }))
    }
}

impl<S: Clone> Shared<S> {
    /// The endpoint for a call that begins now, with its address and a connection to it.
    fn pick(self: &Arc<Self>) -> Result<(Pending<S>, Address, S), Refusal> {
        let now = SystemClock.now();
        let mut known = self.lock();
        if self.follow.differs(known.seen.as_ref()) {
            self.refresh(&mut known, now);
        }
        if known.seen.is_none() {
            return Err(Refusal::Unknown);
        }
        if known.endpoints.is_empty() {
            let message =
                format!("the {} service has no instance: check that one runs and is healthy", self.name);
            return Err(Refusal::Fault(Fault::new(ErrorKind::Unavailable, message)));
        }
        let Known { endpoints, rng, connections, .. } = &mut *known;
        let pick = endpoints.pick(now, rng).map_err(|until| self.all_failed(until, now))?;
        let found = endpoints.key(&pick).and_then(|key| connections.get_key_value(key));
        let found = found.map(|(address, connection)| (address.clone(), connection.clone()));
        drop(known);
        let pending = Pending { shared: Arc::clone(self), pick: Some(pick) };
        // Endpoints and connections have the same keys.
        found.map(|(address, connection)| (pending, address, connection)).ok_or(Refusal::Unknown)
    }

    /// Takes in the instances as they are now. Connections of those that left end with their last call.
    fn refresh(&self, known: &mut Known<S>, now: Timestamp) {
        known.seen = self.follow.current();
        let mut before = std::mem::take(&mut known.connections);
        for instance in known.seen.iter().flat_map(|all| all.iter()) {
            let address = &instance.address;
            if let Some(connection) = before.remove(address).or_else(|| (self.connect)(address)) {
                known.connections.insert(address.clone(), connection);
            }
        }
        known.endpoints.replace(known.connections.keys().cloned(), now);
    }

    fn all_failed(&self, until: Timestamp, now: Timestamp) -> Refusal {
        let message = format!(
            "every address of the {} service failed lately: check that it runs; it will be tried again",
            self.name
        );
        Refusal::Fault(Fault::new(ErrorKind::Unavailable, message).retry_after(until.since(now)))
    }

    /// What is said when nothing is known about the instances in time.
    fn unheard_of(&self) -> Fault {
        let message = format!(
            "it is not known where the {} service is: discovery has not answered yet; check that it can be reached",
            self.name
        );
        Fault::new(ErrorKind::Unavailable, message)
    }

    /// What is known; a panic elsewhere leaves estimates, never a broken invariant.
    fn lock(&self) -> MutexGuard<'_, Known<S>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("follow", &self.follow)
            .finish_non_exhaustive()
    }
}

/// Why there is no endpoint for a call.
enum Refusal {
    /// Nothing has been heard of the instances yet.
    Unknown,
    /// There is none, or none that works.
    Fault(Fault),
}

impl<S> Clone for Balance<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
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
        let shared = &self.0;
        match shared.pick() {
            Ok(picked) => Box::pin(send(picked, request)),
            Err(Refusal::Fault(fault)) => refuse(fault.into_status()),
            Err(Refusal::Unknown) => Box::pin(wait_and_send(Arc::clone(shared), request)),
        }
    }
}

/// Sends a call that came before the first word about the instances.
async fn wait_and_send<S>(
    shared: Arc<Shared<S>>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let mut follow = shared.follow.clone();
    // Nothing is done with what it says but to look again.
    let _ = tokio::time::timeout(shared.patience, follow.known()).await;
    match shared.pick() {
        Ok(picked) => send(picked, request).await,
        Err(Refusal::Fault(fault)) => Ok(fault.into_status().into_http()),
        Err(Refusal::Unknown) => Ok(shared.unheard_of().into_status().into_http()),
    }
}

/// Sends a call over the connection that was picked for it.
async fn send<S>(
    (pending, address, connection): (Pending<S>, Address, S),
    request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    match connection.oneshot(request).await {
        Ok(response) => {
            pending.finish(judge(&response));
            Ok(response)
        }
        Err(error) => {
            let (ending, fault) = explain(pending.shared.name, &address, &*error.into());
            pending.finish(ending);
            Ok(fault.into_status().into_http())
        }
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
struct Pending<S> {
    shared: Arc<Shared<S>>,
    pick: Option<Pick>,
}

impl<S> Pending<S> {
    fn finish(mut self, ending: Ending) {
        self.settle(ending);
    }

    fn settle(&mut self, ending: Ending) {
        if let Some(pick) = self.pick.take() {
            let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.endpoints.finish(pick, SystemClock.now(), ending);
        }
    }
}

impl<S> Drop for Pending<S> {
    fn drop(&mut self) {
        self.settle(Ending::Abandoned);
    }
}
