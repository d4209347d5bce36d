//! The worker manager: how many workers each component should have, and whoever acts on it.
//!
//! Workers' streams note what passes over them (`board`), other schedulers tell what passed over theirs (`tally`), the store says what
//! waits (`gather`); so the advice of each scheduler is for the whole. `demand` says what the load needs, `steady` what is asked for,
//! both pure. Who acts on it: nobody (the advice is read by `GetScaling`), the workers of this process by their slots
//! ([`Pool`]), KEDA by its own protocol (`keda`).
//!
//! To add a component: a table in `[scheduling.scaling.components]`. To add an actuator: follow `Advices`.

pub(crate) mod board;
pub mod config;
pub(crate) mod demand;
mod gather;
pub(crate) mod keda;
pub(crate) mod measure;
pub(crate) mod service;
pub(crate) mod steady;
pub(crate) mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{Clock, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use config::{Component, ScalingConfig};

use demand::{Load, Reason, want};
pub(crate) use gather::Gather;
use measure::{Sample, Window};
use steady::{Effect, Seen, Steady};

/// How often the load is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Over how long rates are measured.
const WINDOW: Duration = Duration::from_secs(60);

/// What one component should have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Advice {
    pub(crate) component: Component,
    pub(crate) load: Load,
    /// How many workers it should have.
    pub(crate) workers: u32,
    pub(crate) reason: Reason,
    pub(crate) effect: Effect,
}

/// The advice by component, as it changes.
pub(crate) type Advices = watch::Receiver<Arc<BTreeMap<String, Advice>>>;

/// Workers of this process: they get as many slots as the advised number of workers has together.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The component that they are.
    pub component: String,
    /// How many tasks they run at once.
    pub slots: watch::Sender<u32>,
}

/// The manager as a state machine.
#[derive(Debug)]
struct Manager {
    config: ScalingConfig,
    window: Window,
    states: BTreeMap<String, Steady>,
}

impl Manager {
    fn new(config: ScalingConfig) -> Self {
        Self { config, window: Window::new(WINDOW), states: BTreeMap::new() }
    }

    /// One step: the counts now; the advice from now on.
    fn step(&mut self, sample: Sample, now: Timestamp) -> BTreeMap<String, Advice> {
        self.window.push(now, sample);
        let rules = self.config.rules();
        let mut advices = BTreeMap::new();
        for (name, component) in &self.config.components {
            let load = self.window.load(|kind| self.config.runs(component, kind));
            let goal = self.config.goal(component);
            let (wanted, reason) = want(&load, &goal);
            let seen = Seen { workers: load.workers, wait: load.wait(), wait_goal: goal.wait.as_secs_f64() };
            let state = self.states.entry(name.clone()).or_default();
            let workers = state.step(wanted, seen, &rules, now);
            let effect = state.effect();
            advices
                .insert(name.clone(), Advice { component: component.clone(), load, workers, reason, effect });
        }
        advices
    }
}

/// Looks at the load until it is told to stop, tells what it advises and sets the slots of this process' workers.
pub(crate) async fn manage(
    config: ScalingConfig,
    gather: Gather,
    pools: Vec<Pool>,
    clock: Arc<dyn Clock>,
    tell: watch::Sender<Arc<BTreeMap<String, Advice>>>,
    stop: CancellationToken,
) {
    let mut manager = Manager::new(config);
    loop {
        let (sample, schedulers) = gather.sample().await;
        let advices = manager.step(sample, clock.now());
        note(&tell.borrow(), &advices);
        for pool in &pools {
            if let Some(advice) = advices.get(&pool.component) {
                resize(pool, advice, schedulers);
            }
        }
        tell.send_replace(Arc::new(advices));
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Gives the workers of this process the slots of as many workers as are advised, at least one; its part of them where there
/// are other schedulers, whose processes have workers of their own.
fn resize(pool: &Pool, advice: &Advice, schedulers: u32) {
    let all = advice.workers.saturating_mul(advice.component.slots);
    let slots = all.div_ceil(schedulers.max(1)).max(1);
    pool.slots.send_if_modified(|now| std::mem::replace(now, slots) != slots);
}

fn note(before: &BTreeMap<String, Advice>, after: &BTreeMap<String, Advice>) {
    for (component, advice) in after {
        let Some(old) = before.get(component) else { continue };
        if old.workers != advice.workers {
            let (from, to, reason) = (old.workers, advice.workers, advice.reason);
            info!(
                component,
                from,
                to,
                ?reason,
                load_factor = advice.load.factor(),
                "another number of workers"
            );
        }
        if old.effect != advice.effect && matches!(advice.effect, Effect::NoWorkers | Effect::None) {
            warn!(component, workers = advice.load.workers, effect = ?advice.effect, "more workers did not help");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::measure::{Counts, Seat};
    use super::*;

    /// A model of a queue: tasks of a fixed time come at a fixed rate; workers come as they are advised.
    fn run(rate: u64, seconds_each: u64, rounds: u64, obeyed: bool) -> (Manager, BTreeMap<String, Advice>) {
        let mut manager = Manager::new(ScalingConfig::default());
        let (mut advices, mut counts) = (BTreeMap::new(), Counts::default());
        let mut workers = 1;
        for round in 0..rounds {
            let slots = u64::from(workers) * 4;
            counts.waiting += rate * 5;
            let done = (slots * 5 / seconds_each).min(counts.waiting);
            counts.waiting -= done;
            counts.started += done;
            counts.ended += done;
            counts.running = (done * seconds_each / 5).min(slots);
            let seat = Seat { kinds: vec!["collect".into()], slots: 4, ..Seat::default() };
            let seats = vec![seat; workers as usize];
            let sample = Sample { kinds: BTreeMap::from([("collect".into(), counts)]), workers: seats };
            let now = Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(5 * round);
            advices = manager.step(sample, now);
            if obeyed {
                workers = advices["collectors"].workers;
            }
        }
        (manager, advices)
    }

    #[test]
    fn a_queue_that_grows_gets_the_workers_that_it_needs_and_keeps_them() {
        // Eight tasks a second of one second each: eight slots are busy, at 70% that takes three workers of four slots.
        let (_, advices) = run(8, 1, 400, true);
        let advice = &advices["collectors"];
        assert_eq!((advice.workers, advice.load.waiting), (3, 0), "{advice:?}");
        assert!((advice.load.factor() - 8.0 / 12.0).abs() < 0.01);
        assert_eq!(advices["analysers"].workers, 1);
        assert_eq!(advices["analysers"].reason, Reason::Idle);
    }

    #[test]
    fn workers_that_do_not_come_are_noticed() {
        let (_, advices) = run(8, 1, 40, false);
        assert_eq!(advices["collectors"].effect, Effect::NoWorkers);
    }

    #[test]
    fn the_slots_of_this_process_follow_the_advice() {
        let (_, advices) = run(8, 1, 400, true);
        let (slots, told) = watch::channel(4);
        let pool = Pool { component: "collectors".into(), slots };
        resize(&pool, &advices["collectors"], 1);
        assert_eq!(*told.borrow(), 12);
        resize(&pool, &advices["collectors"], 5);
        assert_eq!(*told.borrow(), 3, "with those of four others it is enough");
        assert!(told.has_changed().unwrap());
    }
}
