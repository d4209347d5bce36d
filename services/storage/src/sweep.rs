//! Removes finished tasks and keys whose time is over, a little at a time.

use std::time::Duration;

use tidemill_chassis::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::Deps;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);
/// How much it removes at once: a step that takes milliseconds.
const BATCH: u32 = 1_000;
/// How long it rests between two batches, so that others get their turn.
const REST: Duration = Duration::from_millis(20);

/// The loop.
pub(crate) struct Sweeper {
    pub(crate) deps: Deps,
    /// How long finished tasks are kept that do not say otherwise.
    pub(crate) keep: Duration,
}

impl Sweeper {
    /// Runs until the token is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(EVERY)).await.is_some() {
            if stop.run_until_cancelled(self.sweep()).await.is_none() {
                return;
            }
        }
    }

    /// Removes everything whose time is over now.
    async fn sweep(&self) {
        let mut removed = 0;
        loop {
            match self.deps.store.sweep(self.keep, BATCH, self.deps.now()).await {
                Ok(count) => {
                    removed += count;
                    if count < u64::from(BATCH) {
                        break;
                    }
                }
                Err(fault) => {
                    debug!(%fault, "could not remove what is kept no longer; it is tried again later");
                    break;
                }
            }
            sleep(REST).await;
        }
        if removed > 0 {
            info!(removed, "removed tasks and keys that are kept no longer");
        }
    }
}
