//! Start, drain, stop. A soft shutdown lets what runs finish within a grace time; a hard one ends it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{Background, sleep};

/// The two tokens of a process and the tasks that watch them.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
    /// How many of each name run.
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Shutdown {
    /// Cancelled when the process is to drain.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Cancelled when the process is to end at once.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Runs a future until it ends by itself or the process is to end at once. Its name is told when it is waited for in vain.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, name: &'static str, future: F) {
        let this = self.clone();
        this.count(name, |running| running + 1);
        self.tracker.spawn(async move {
            tokio::select! {
                () = future => {}
                () = this.hard.cancelled() => {}
            }
            this.count(name, |running| running - 1);
        });
    }

    /// Runs a part's loop.
    pub fn spawn_background(&self, background: Background) {
        self.spawn(background.name, (background.start)(self.soft()));
    }

    fn count(&self, name: &'static str, change: impl Fn(usize) -> usize) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(name).or_default();
        *count = change(*count);
    }

    /// The names of what runs.
    fn running(&self) -> Vec<&'static str> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().filter(|(_, count)| **count > 0).map(|(name, _)| *name).collect()
    }

    /// Begins the drain.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Drains: waits for everything to end by itself, for at most `grace`; then ends the rest. Returns whether
    /// everything ended by itself.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.begin();
        self.tracker.close();
        let ended = tokio::select! {
            () = self.tracker.wait() => !self.hard.is_cancelled(),
            () = sleep(grace) => false,
            () = self.hard.cancelled() => false,
        };
        if !ended {
            warn!(running = self.running().join(", "), "the grace time is over: ending what still runs");
            self.hard.cancel();
            self.tracker.wait().await;
        }
        ended
    }

    /// Lets Ctrl-C and SIGTERM begin the drain once `leave` is done, and the second of them end everything at once. From
    /// the return on, no signal is missed. Must be called within a tokio runtime; fails when the system refuses a handler.
    pub fn on_signals(&self, leave: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let (mut interrupts, mut terminates) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let shutdown = self.clone();
        let mut next = async move || {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminates.recv() => {}
            }
        };
        tokio::spawn(async move {
            next().await;
            info!("stopping: finishing what runs (once more to stop at once)");
            let begin = async {
                leave.await;
                shutdown.begin();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = next() => {}
                () = begin => {}
            }
            shutdown.begin();
            shutdown.hard.cancel();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_what_runs() {
        let shutdown = Shutdown::default();
        let soft = shutdown.soft();
        shutdown.spawn_background(Background::new("loop", |soft: CancellationToken| async move {
            soft.cancelled().await;
            sleep(Duration::from_secs(3)).await;
        }));
        let begun = Instant::now();
        assert!(shutdown.drain(Duration::from_secs(10)).await);
        assert_eq!(begun.elapsed().as_secs(), 3);
        assert!(soft.is_cancelled() && !shutdown.hard().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_longer_than_the_grace_time_is_ended() {
        let shutdown = Shutdown::default();
        shutdown.spawn("short", async {});
        shutdown.spawn("endless", pending());
        tokio::task::yield_now().await;
        assert_eq!(shutdown.running(), ["endless"]);
        let begun = Instant::now();
        assert!(!shutdown.drain(Duration::from_secs(10)).await);
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert!(shutdown.tracker.is_empty() && shutdown.running().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hard_stop_ends_a_drain_at_once() {
        let shutdown = Shutdown::default();
        shutdown.spawn("endless", pending());
        let hard = shutdown.hard();
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            hard.cancel();
        });
        let begun = Instant::now();
        assert!(!shutdown.drain(Duration::from_secs(10)).await);
        assert_eq!(begun.elapsed().as_secs(), 1);
    }
}
