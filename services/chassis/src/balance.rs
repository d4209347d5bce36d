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
mod gauge;
mod outcome;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use http::{Request, Response};
use rand::Rng;
use rand::rngs::StdRng;
use tidemill_kernel::{Clock, ErrorKind, Fault, Timestamp};
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt};

use self::endpoints::{Ending, Endpoints, Member, Pick, Rules, Standing};
pub(crate) use self::outcome::judge;
use crate::discovery::{Address, Follow, Instances};
use crate::layers::{Answer, refuse};
use crate::{Context, FaultExt, SystemClock, clock};

/// Which endpoints the tries of one call have gone to, so that the next one goes elsewhere. Laid beside each try's request
/// by who makes several; clones are the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried(Arc<Mutex<Vec<u64>>>);

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

impl<S: Clone + Send + Sync + 'static> Balance<S> {
    /// Over the instances of the part `name` as they come and go. `connect` makes a connection when an instance comes,
    /// or `None` when its address cannot be used; each has a breaker of its own. Calls wait for the first word about
    /// the instances no longer than `patience`.
    pub fn new(
        name: &'static str,
        follow: Follow,
        connect: impl Fn(&Address) -> Option<S> + Send + Sync + 'static,
        rules: Rules,
        patience: Duration,
    ) -> Self {
        let mut rng = clock::seeded_rng();
        let endpoints = Endpoints::new(rules, rng.random());
        let known = Known { seen: None, endpoints, connections: BTreeMap::new(), rng };
        let (connect, known) = (Box::new(connect), Mutex::new(known));
        let shared = Arc::new(Shared { name, follow, connect, patience, known });
        gauge::report(name, Arc::downgrade(&shared));
        Self(shared)
    }
}

impl<S: Clone + Send + Sync + 'static> gauge::Knows for Shared<S> {
    fn standing(&self) -> Standing {
        self.lock().endpoints.standing(SystemClock.now())
    }
}

impl<S: Clone> Shared<S> {
    /// The endpoint for a call that begins now, with its address and a connection to it.
    fn pick(self: &Arc<Self>, request: &Request<Body>) -> Result<(Pending<S>, Address, S), Refusal> {
        let tried = request.extensions().get::<Tried>().cloned();
        let mut tried = tried.as_ref().map(|tried| tried.0.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = request.extensions().get::<Context>().and_then(|context| context.deadline);
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
        let before = tried.as_deref().map_or(&[][..], Vec::as_slice);
        let pick = endpoints.pick(now, rng, before).map_err(|until| self.all_failed(until, now))?;
        if let Some(tried) = &mut tried {
            tried.push(pick.serial());
        }
        let found = endpoints.key(&pick).and_then(|key| connections.get_key_value(key));
        let found = found.map(|(address, connection)| (address.clone(), connection.clone()));
        drop(known);
        let pending = Pending { shared: Arc::clone(self), pick: Some(pick), deadline };
        // Endpoints and connections have the same keys.
        found.map(|(address, connection)| (pending, address, connection)).ok_or(Refusal::Unknown)
    }

    /// Takes in the instances as they are now. Connections of those that left end with their last call.
    fn refresh(&self, known: &mut Known<S>, now: Timestamp) {
        known.seen = self.follow.current();
        let (mut before, mut members) = (std::mem::take(&mut known.connections), Vec::new());
        for instance in known.seen.iter().flat_map(|all| all.iter()) {
            let address = &instance.address;
            if let Some(connection) = before.remove(address).or_else(|| (self.connect)(address)) {
                known.connections.insert(address.clone(), connection);
                let (key, zone) = (address.clone(), instance.zone.clone());
                members.push(Member { key, zone, weight: instance.weight });
            }
        }
        known.endpoints.replace(members, now);
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

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let shared = &self.0;
        match shared.pick(&request) {
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
    match shared.pick(&request) {
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
            let (ending, fault) = outcome::explain(pending.shared.name, &address, &*error.into());
            pending.finish(ending);
            Ok(fault.into_status().into_http())
        }
    }
}

/// A call under way; one that is dropped counts as abandoned, or as timed out when its deadline has come.
struct Pending<S> {
    shared: Arc<Shared<S>>,
    pick: Option<Pick>,
    deadline: Option<Timestamp>,
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
        let is_late = self.deadline.is_some_and(|deadline| SystemClock.now() >= deadline);
        self.settle(if is_late { Ending::TimedOut } else { Ending::Abandoned });
    }
}
