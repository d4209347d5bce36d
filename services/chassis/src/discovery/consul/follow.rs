//! The loop that follows one service: asks, tells followers what changed, waits after failures. It ends when nobody
//! follows any more.

use std::time::Duration;

use rand::rngs::StdRng;
use tidemill_consul::{Answer, Error, ServiceEntry, ServiceWatch};
use tidemill_kernel::backoff::{Backoff, Jitter};
use tidemill_kernel::{Clock, Timestamp};
use tokio::sync::watch;
use tracing::{info, warn};

use super::known::Known;
use crate::clock::seeded_rng;
use crate::discovery::{Address, Instance, Instances};
use crate::{SystemClock, sleep};

/// After a failed question. Short at first, so that a restart of Consul is followed by the next answer at once.
const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(3), jitter: Jitter::Equal };
/// After an answer: many changes at a time are told as a few.
const BREATH: Duration = Duration::from_millis(20);
/// After many answers that come at once and say nothing new, as from something in between that does not wait.
const LONG_BREATH: Duration = Duration::from_millis(500);

/// The state of the loop.
pub(super) struct Following {
    name: String,
    watch: ServiceWatch,
    known: Known,
    sender: watch::Sender<Option<Instances>>,
    rng: StdRng,
    failures: u32,
    breath: Duration,
}

impl Following {
    pub(super) fn new(
        name: String,
        watch: ServiceWatch,
        known: Known,
        sender: watch::Sender<Option<Instances>>,
    ) -> Self {
        Self { name, watch, known, sender, rng: seeded_rng(), failures: 0, breath: BREATH }
    }

    /// Runs until nobody follows.
    pub(super) async fn run(mut self) {
        loop {
            let asked = SystemClock.now();
            let answer = tokio::select! {
                () = self.sender.closed() => return,
                () = moment(self.known.settles_at()) => None,
                answer = self.watch.next() => Some(answer),
            };
            let now = SystemClock.now();
            let pause = match answer {
                None => {
                    self.known.settle(now);
                    self.tell();
                    Duration::ZERO
                }
                Some(Ok(answer)) => self.answered(answer, now, now.since(asked)),
                Some(Err(fault)) => self.failed(&fault),
            };
            tokio::select! {
                () = self.sender.closed() => return,
                () = sleep(pause) => {}
            }
        }
    }

    fn answered(&mut self, answer: Answer, now: Timestamp, took: Duration) -> Duration {
        if self.failures > 0 {
            info!(service = self.name, "Consul answers again");
        }
        self.failures = 0;
        let instances = answer.entries.iter().filter_map(|entry| instance(&self.name, entry)).collect();
        self.known.answered(instances, answer.is_rewound, now);
        let is_news = self.tell();
        self.breath = breath(self.breath, is_news, took);
        self.breath
    }

    fn failed(&mut self, fault: &Error) -> Duration {
        if self.failures == 0 {
            warn!(service = self.name, %fault, "cannot follow a service: what was known last goes on being used");
        }
        self.known.away();
        self.failures = self.failures.saturating_add(1);
        BACKOFF.delay(self.failures, &mut self.rng)
    }

    /// Tells the followers; returns whether there was anything to tell.
    fn tell(&self) -> bool {
        let instances = self.known.instances();
        self.sender.send_if_modified(|told| {
            if *told == instances {
                return false;
            }
            let addresses = instances.iter().flat_map(|all| all.iter()).map(|one| one.address.to_string());
            info!(service = self.name, instances = ?addresses.collect::<Vec<_>>(), "the instances of a service changed");
            *told = instances;
            true
        })
    }
}

/// How long to wait after an answer that took so long and brought news, or did not.
fn breath(last: Duration, is_news: bool, took: Duration) -> Duration {
    if is_news || took > Duration::from_secs(1) { BREATH } else { (last * 2).min(LONG_BREATH) }
}

/// Waits for a moment; for ever, if there is none.
async fn moment(at: Option<Timestamp>) {
    match at {
        Some(at) => sleep(at.since(SystemClock.now())).await,
        None => std::future::pending().await,
    }
}

/// An entry of the catalog as an instance; one whose address cannot be one is left out.
fn instance(name: &str, entry: &ServiceEntry) -> Option<Instance> {
    let service = &entry.service;
    match Address::of(entry.host(), service.port) {
        Ok(address) => Some(Instance {
            address,
            zone: service.meta.get("zone").cloned(),
            weight: service.weights.passing,
            meta: service.meta.clone(),
        }),
        Err(fault) => {
            warn!(service = name, id = service.id, %fault, "an instance in Consul has no usable address");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_wait_is_asked_less_and_less_and_news_change_that() {
        let at_once = Duration::from_millis(1);
        let mut pause = BREATH;
        let mut total = Duration::ZERO;
        for _ in 0..100 {
            pause = breath(pause, false, at_once);
            total += pause;
        }
        assert_eq!(pause, LONG_BREATH);
        assert!(total > Duration::from_secs(40));
        assert_eq!(breath(pause, true, at_once), BREATH);
        assert_eq!(breath(pause, false, Duration::from_secs(30)), BREATH);
    }
}
