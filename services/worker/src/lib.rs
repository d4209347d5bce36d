//! The lease loop for whoever runs tasks: opens a `Work` stream to every scheduler, takes leases as slots are free, runs each
//! on its kind's [`Handler`], sends results in batches, renews leases, drains on request, connects again by itself.
//!
//! Invariants:
//! - Knows nothing of what any kind of task does.
//! - Never runs more attempts than it has slots, and keeps no more unanswered results than a bound.
//! - A lost stream ends nothing that its scheduler, or the next owner of the shard, goes on to lease.
//! - Decisions are `pool`'s and `balance`'s, both free of I/O; `work` carries them out, `runners` runs the attempts.
//!
//! To serve a kind of task: implement [`Handler`], then [`Worker::run`] with it under the kind's name.

mod attempt;
mod balance;
pub mod config;
pub mod error;
pub mod handler;
mod metrics;
mod outbox;
mod pool;
mod report;
mod runners;
pub mod schedulers;
#[cfg(test)]
mod tests;
mod vitals;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use error::Error;
pub use handler::{Attempt, Done, Failed, Handler};
pub use schedulers::Schedulers;

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
    /// A worker of this name, which must be unique, that runs nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), config: Config::default(), handlers: HashMap::new() }
    }

    /// Runs this kind of task too.
    pub fn kind(mut self, kind: impl Into<String>, handler: Arc<dyn Handler>) -> Self {
        self.handlers.insert(kind.into(), handler);
        self
    }

    /// Takes as much at once as this says.
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Works until the token is cancelled and what runs then has finished. A scheduler that is away is tried again,
    /// with growing pauses.
    pub async fn run(self, schedulers: impl Into<Schedulers>, stop: CancellationToken) {
        let (_keep, slots) = watch::channel(self.config.slots);
        work::work(self, schedulers.into(), slots, stop).await;
    }

    /// The same, with as many slots as `slots` says from moment to moment, where it says any.
    pub async fn run_resized(
        self,
        schedulers: impl Into<Schedulers>,
        slots: Option<watch::Receiver<u32>>,
        stop: CancellationToken,
    ) {
        match slots {
            Some(slots) => work::work(self, schedulers.into(), slots, stop).await,
            None => self.run(schedulers, stop).await,
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> = self.handlers.keys().collect();
        f.debug_struct("Worker").field("name", &self.name).field("kinds", &kinds).finish_non_exhaustive()
    }
}
