//! The queue under faults, in simulated time: several engines over the store in memory, workers that speak the worker
//! protocol, clients, and a network between them that delays, loses and repeats. One seed, one run, to the last event.
//!
//! Everything here stands in for something real: [`calls`] for `perform`, [`node`] for `actor` and `worker`, [`hand`] for
//! a worker of any language (written after the page of the protocol), [`client`] for `submit` and `service`. What is under
//! test is the engine with its policy, and what the store's port promises; engines with a fault ([`mutants`]) test the judge.
//! It is a test module of this crate, because the engine is nobody else's business: outside, only the judge of its
//! histories is known (`checker`).
//!
//! A failing run prints its seed; `TIDEMILL_SEED=n` runs that one alone, and tells what happened in it; `TIDEMILL_SEED=n..m`
//! runs those from `n` to before `m`, and names all that failed.

mod calls;
mod client;
mod faults;
mod hand;
mod mutants;
mod node;
mod plan;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checker::{self, Broken};
use plan::{Plan, Weather};
use world::World;

/// How many seeds run, of each weather: enough to meet what is rare, within a minute; with `TIDEMILL_SLOW=1` many more, in about
/// five minutes on two cores. An optimised build runs several thousand in that time (`TIDEMILL_SEED=0..9000`).
const SEEDS: u64 = 60;
const SEEDS_IF_SLOW: u64 = 400;

/// What went wrong in one run; empty for nothing.
fn run(plan: Plan) -> Vec<String> {
    let mut world = World::new(plan);
    let mut faults = world.run();
    let rules = world.plan.rules();
    faults.extend(checker::check(&world.history, &rules).iter().map(ToString::to_string));
    faults
}

/// What a seed is in a weather.
type Planned = fn(u64, Weather) -> Plan;

/// Runs all seeds of a weather, on as many threads as there are processors.
fn runs(plan: Planned, weather: Weather) {
    let asked = std::env::var("TIDEMILL_SEED").unwrap_or_default();
    if let Ok(seed) = asked.parse() {
        assert_eq!(run(plan(seed, weather)), Vec::<String>::new(), "seed {seed}, {weather:?}");
        return;
    }
    let slow = std::env::var("TIDEMILL_SLOW").is_ok_and(|slow| slow == "1");
    // A cap that is shared makes a run long.
    let each = if slow { SEEDS_IF_SLOW } else { SEEDS };
    let usual = (0..if plan(0, weather).config.limits.is_empty() { each } else { each / 2 }, 8);
    let range = asked.split_once("..").map(|(from, to)| from.parse().unwrap()..to.parse().unwrap());
    let (seeds, shown) = range.map_or(usual, |range| (range, usize::MAX));
    let count = seeds.end - seeds.start;
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed: Vec<String> = std::thread::scope(|scope| {
        let mut each = Vec::new();
        for thread in 0..threads {
            let own = seeds.clone().filter(move |seed| seed % threads == thread);
            each.push(
                scope.spawn(move || own.filter_map(|seed| fault(plan, seed, weather)).collect::<Vec<_>>()),
            );
        }
        each.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let (bad, first) = (failed.len(), failed[..failed.len().min(shown)].join("\n"));
    assert!(failed.is_empty(), "{bad} of {count} seeds failed; the first:\n{first}");
}

/// What went wrong with a seed, and how to see it again.
fn fault(plan: Planned, seed: u64, weather: Weather) -> Option<String> {
    let faults = catch_unwind(AssertUnwindSafe(|| run(plan(seed, weather))))
        .unwrap_or_else(|_| vec!["a panic".to_owned()]);
    let first = faults.iter().take(3).cloned().collect::<Vec<_>>().join("\n    ");
    (!faults.is_empty())
        .then(|| format!("TIDEMILL_SEED={seed} {weather:?}: {} faults:\n    {first}", faults.len()))
}

#[test]
fn in_calm_weather_order_caps_and_single_holders_are_exact() {
    runs(Plan::new, Weather::Calm);
}

#[test]
fn schedulers_and_workers_that_come_go_stop_and_die_lose_nothing_and_repeat_nothing_without_need() {
    runs(Plan::new, Weather::Crashes);
}

#[test]
fn with_a_store_that_fails_and_clocks_that_jump_nothing_is_lost_and_nothing_counts_twice() {
    runs(Plan::new, Weather::Storm);
}

#[test]
fn a_cap_of_all_tenants_holds_across_schedulers_that_come_and_go() {
    runs(Plan::shared, Weather::Calm);
}

#[test]
fn a_cap_of_all_tenants_holds_while_schedulers_die_stand_still_and_lose_each_other() {
    runs(Plan::shared, Weather::Crashes);
}

#[test]
fn a_cap_of_all_tenants_holds_in_storms() {
    runs(Plan::shared, Weather::Storm);
}

#[test]
fn tenants_with_a_backlog_are_served_by_their_weights() {
    let mut world = World::new(Plan::backlog(1));
    assert_eq!(world.run(), Vec::<String>::new());
    let rules = world.plan.rules();
    assert_eq!(checker::check(&world.history, &rules), []);
    // The same run judged by other weights: the rule has something to look at.
    let weights = rules.weights.iter().map(|(name, weight)| (name.clone(), 21 - weight)).collect();
    let wrong = checker::check(&world.history, &checker::Rules { weights, ..rules });
    assert!(wrong.iter().any(|violation| violation.broken == Broken::Unfair));
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..4 {
        let history = || {
            let mut world = World::new(Plan::new(seed, Weather::Storm));
            let _ = world.run();
            world.history
        };
        assert!(history() == history(), "seed {seed}");
    }
}
