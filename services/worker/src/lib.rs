//! The lease loop for whoever runs tasks: opens the scheduler's `Work` stream, takes leases as slots are free, runs
//! each on its kind's [`Handler`], sends results in batches, renews leases, drains on request, reconnects by itself.
//!
//! Invariants:
//! - Knows nothing of what any kind of task does.
//! - Never holds more leases than it has slots, and buffers no more results than it holds leases.
//! - A lost stream ends what runs: its leases are gone, so its results would be refused.
//!
//! To serve a kind of task: implement [`Handler`], then [`Worker::run`] with it under the kind's name.

pub mod config;
pub mod error;
pub mod handler;
mod metrics;
mod session;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Wire, sleep};
use tidemill_kernel::backoff::Backoff;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use config::Config;
pub use error::Error;
pub use handler::{Attempt, Done, Failed, Handler};

/// The longest pause before a scheduler that is away is tried again: when it is back, its queue must not wait long.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A stateless process' side of the queue.
#[derive(Clone)]
pub struct Worker {
    /// Unique among workers.
    pub name: String,
    /// How much it takes at once.
    pub config: Config,
    /// What runs each kind of task.
    pub handlers: HashMap<String, Arc<dyn Handler>>,
}

impl Worker {
    /// Works until the token is cancelled and what runs then has finished. A scheduler that is away is tried again,
    /// with growing pauses.
    pub async fn run(self, scheduler: WorkerServiceClient<Wire>, stop: CancellationToken) {
        let backoff = Backoff { cap: LONGEST_PAUSE, ..Backoff::default() };
        let mut rng = seeded_rng();
        let figures = metrics::Figures::of(self.handlers.keys());
        let mut failures = 0;
        while !stop.is_cancelled() {
            let mut welcomed = false;
            let outcome = session::work(&self, scheduler.clone(), &figures, &stop, &mut welcomed).await;
            if welcomed {
                failures = 0;
            }
            match outcome {
                Ok(session::End::Drained) if stop.is_cancelled() => break,
                Ok(end) => debug!(worker = self.name, ?end, "the scheduler ended the stream"),
                Err(fault) if failures == 0 => warn!(worker = self.name, %fault, "lost the scheduler"),
                Err(fault) => debug!(worker = self.name, %fault, "the scheduler is still away"),
            }
            failures += 1;
            let pause = backoff.delay(failures, &mut rng);
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        info!(worker = self.name, "drained");
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> = self.handlers.keys().collect();
        f.debug_struct("Worker").field("name", &self.name).field("kinds", &kinds).finish_non_exhaustive()
    }
}
