//! Several providers as one: each request walks the router's order until somebody answers.
//!
//! Nothing is waited for here: a provider that asks for patience is passed over, and when all do, the error says how
//! long to wait. A stream moves to the next provider only while nothing of it was shown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tidemill_kernel::Clock;
use tidemill_kernel::breaker::Permit;
use tracing::warn;

use crate::metrics::Measured;
use crate::router::{NotNow, ProviderState, order};
use crate::{Completion, Delta, DeltaStream, Error, Provider, Request};

/// Providers in the order of preference, and what is known of each.
pub struct Pool {
    members: Vec<Arc<dyn Provider>>,
    states: Arc<Mutex<Vec<ProviderState>>>,
    clock: Arc<dyn Clock>,
}

impl Pool {
    /// A pool of these, most wanted first. One whose key or credit is at fault is left alone for `set_aside`.
    pub fn new(members: Vec<Arc<dyn Provider>>, set_aside: Duration, clock: Arc<dyn Clock>) -> Self {
        let states = Arc::new(Mutex::new(vec![ProviderState::new(set_aside); members.len()]));
        let members = members.into_iter().map(Measured::over).collect();
        Self { members, states, clock }
    }

    fn order(&self, request: &Request) -> Vec<usize> {
        order(&lock(&self.states), request, self.clock.now())
    }

    fn attempt(&self, index: usize) -> Result<Attempt, NotNow> {
        let permit = lock(&self.states)[index].allow(self.clock.now())?;
        let (states, clock) = (Arc::clone(&self.states), Arc::clone(&self.clock));
        let provider = self.members[index].name().to_owned();
        Ok(Attempt { index, provider, permit: Some(permit), states, clock })
    }
}

/// Answers a request from the first provider of the pool that can, in the router's order.
///
/// # Errors
/// The last provider's error, or at once one that no other provider can mend; [`Error::NoneAvailable`] if none may be
/// tried now.
pub async fn complete_with_fallback(pool: &Pool, request: &Request) -> Result<Completion, Error> {
    let mut failure = Failure::default();
    for index in pool.order(request) {
        let mut attempt = match pool.attempt(index) {
            Ok(attempt) => attempt,
            Err(not_now) => {
                failure.passed_over(not_now);
                continue;
            }
        };
        let result = pool.members[index].complete(request).await;
        attempt.record(result.as_ref().map(|answer| answer.rest));
        match result {
            Err(error) if error.another_may_answer() => failure.failed(error),
            answer => return answer,
        }
    }
    Err(failure.into_error())
}

#[async_trait]
impl Provider for Pool {
    fn name(&self) -> &str {
        "pool"
    }

    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        complete_with_fallback(self, request).await
    }

    async fn stream(&self, request: &Request) -> Result<DeltaStream, Error> {
        let mut failure = Failure::default();
        for index in self.order(request) {
            let mut attempt = match self.attempt(index) {
                Ok(attempt) => attempt,
                Err(not_now) => {
                    failure.passed_over(not_now);
                    continue;
                }
            };
            match open(self.members[index].as_ref(), request).await {
                Ok(stream) => return Ok(attempt.watch(stream)),
                Err(error) => {
                    attempt.record(Err(&error));
                    if !error.another_may_answer() {
                        return Err(error);
                    }
                    failure.failed(error);
                }
            }
        }
        Err(failure.into_error())
    }
}

/// Opens a stream and waits for its first item, so that a failure before it can still go elsewhere.
async fn open(provider: &dyn Provider, request: &Request) -> Result<DeltaStream, Error> {
    let mut stream = provider.stream(request).await?;
    match stream.next().await {
        Some(Err(error)) => Err(error),
        first => Ok(futures::stream::iter(first).chain(stream).boxed()),
    }
}

/// A permitted request; gives its permit back even if it is dropped half way.
struct Attempt {
    index: usize,
    provider: String,
    permit: Option<Permit>,
    states: Arc<Mutex<Vec<ProviderState>>>,
    clock: Arc<dyn Clock>,
}

impl Attempt {
    fn record(&mut self, ended: Result<Option<Duration>, &Error>) {
        let Some(permit) = self.permit.take() else { return };
        let set_aside = lock(&self.states)[self.index].record(self.clock.now(), permit, ended);
        if let (true, Err(error)) = (set_aside, ended) {
            warn!(provider = self.provider, %error, "the provider is set aside for a while");
        }
    }

    /// The stream, with its end recorded.
    fn watch(mut self, stream: DeltaStream) -> DeltaStream {
        stream
            .inspect(move |item| match item {
                Ok(Delta::Done { rest, .. }) => self.record(Ok(*rest)),
                Err(error) => self.record(Err(error)),
                Ok(Delta::Text(_)) => {}
            })
            .boxed()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            lock(&self.states)[self.index].forget(self.clock.now(), permit);
        }
    }
}

/// What to say when nobody answered: the last error, else the shortest wait, and why one was set aside.
#[derive(Default)]
struct Failure {
    last: Option<Error>,
    wait: Option<Duration>,
    because: Option<String>,
}

impl Failure {
    fn passed_over(&mut self, not_now: NotNow) {
        self.wait = [self.wait, Some(not_now.wait)].into_iter().flatten().min();
        self.because = self.because.take().or(not_now.because);
    }

    fn failed(&mut self, error: Error) {
        self.last = Some(error);
    }

    fn into_error(self) -> Error {
        self.last.unwrap_or(Error::NoneAvailable { retry_after: self.wait, because: self.because })
    }
}

/// The states stay whole whatever a panicking holder did: every change is one call.
fn lock(states: &Mutex<Vec<ProviderState>>) -> std::sync::MutexGuard<'_, Vec<ProviderState>> {
    states.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
