//! Tasks that need much memory beside many that need little.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::keeping::PATIENCE;
use super::*;
use crate::{Limit, Reason, Traits};

/// What each worker has.
const MEMORY: u64 = 1_024;
/// How long small tasks run at most, in ticks of 100 ms.
const LONGEST: u64 = 30;
/// How many tasks a worker takes at once.
const SLOTS: usize = 12;

fn at(tick: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000) + Duration::from_millis(tick * 100)
}

fn traits(memory: u64) -> Traits {
    Traits { memory, ..Traits::default() }
}

fn needing(sequence: i64, tenant_number: usize, memory: u64) -> Candidate {
    let traits = (memory > 0).then(|| Arc::new(traits(memory)));
    Candidate { traits, ..normal(sequence, tenant_number) }
}

/// Workers, what runs on them until when, and what waits.
struct World {
    policy: Policy,
    running: Vec<BTreeMap<i64, (u64, u64)>>,
    waiting: BTreeMap<i64, u64>,
    started: BTreeMap<i64, u64>,
    last: i64,
}

impl World {
    fn new(workers: usize) -> Self {
        let (waiting, started) = (BTreeMap::new(), BTreeMap::new());
        Self { policy: policy(), running: vec![BTreeMap::new(); workers], waiting, started, last: 0 }
    }

    fn submit(&mut self, tenant: usize, memory: u64) -> i64 {
        self.last += 1;
        assert_eq!(self.policy.enqueue(needing(self.last, tenant, memory)), Enqueued::Queued);
        self.waiting.insert(self.last, traits(memory).reserved_memory());
        self.last
    }

    fn free(&self, worker: usize) -> u64 {
        MEMORY - self.running[worker].values().map(|task| task.0).sum::<u64>()
    }

    fn worker(&self, number: usize) -> Worker {
        let slots = SLOTS - self.running[number].len();
        let (id, free_memory) = (number as u64 + 1, self.free(number));
        Worker { id, memory: MEMORY, free_memory, ..Worker::of_kinds(&[kind(0)], slots) }
    }

    /// Ends what is over, and gives the workers what they take.
    fn tick(&mut self, tick: u64, length: impl Fn(i64) -> u64) {
        for number in 0..self.running.len() {
            let over = self.running[number].extract_if(.., |_, task| task.1 <= tick);
            over.for_each(|(sequence, _)| assert!(self.policy.finished(id(sequence))));
        }
        for number in 0..self.running.len() {
            let worker = self.worker(number);
            if worker.slots == 0 {
                continue;
            }
            for pick in self.policy.take(&worker, at(tick)) {
                let memory = self.waiting.remove(&pick.sequence).unwrap();
                self.running[number].insert(pick.sequence, (memory, tick + length(pick.sequence)));
                self.started.insert(pick.sequence, tick);
            }
            let free = self.free(number);
            // Work-conserving, but for the one worker of which memory is kept.
            let is_idle = self.running[number].len() < SLOTS;
            let fits = self.waiting.values().find(|memory| **memory <= free);
            let is_kept = self.policy.keeping.of(number as u64 + 1);
            assert!(!is_idle || fits.is_none() || is_kept && fits != Some(&0), "worker {number}: {fits:?}");
        }
        assert!(self.policy.keeping.count() <= 1, "one worker for a kind");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn one_big_task_among_small_ones_without_end_starts_within_the_bound(
        workers in 1_usize..4, big in 600..=MEMORY, from in 0_u64..40, whose in 0_usize..3,
        sizes in prop::collection::vec(0_u64..400, 1..20), lengths in prop::collection::vec(1..=LONGEST, 1..20),
    ) {
        let mut world = World::new(workers);
        let pick = |list: &[u64], index: i64| list[usize::try_from(index).unwrap() % list.len()];
        let mut wanted = None;
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap() / 100;
        // It is passed over at once or fits; then what runs ends, and its turn comes among what needs no memory.
        let bound = from + patience + 2 * LONGEST + 20;
        for tick in 0..=bound {
            while world.waiting.len() < 40 {
                let size = pick(&sizes, world.last);
                world.submit(usize::try_from(world.last).unwrap() % 3, size);
            }
            if tick == from {
                wanted = Some(world.submit(whose, big));
            }
            world.tick(tick, |sequence| pick(&lengths, sequence));
        }
        let started = wanted.and_then(|wanted| world.started.get(&wanted));
        prop_assert!(started.is_some(), "it waits since {from}, at {bound}");
    }
}

/// Two small tasks run at a time, and never end together.
fn staggered(sequence: i64) -> u64 {
    if sequence == 1 { 1 } else { 2 }
}

/// A worker that runs small tasks all the time, and a big one that was passed over for so many ticks.
fn passed_over(ticks: u64) -> (World, i64) {
    let mut world = World::new(1);
    for _ in 0..200 {
        world.submit(0, 512);
    }
    world.tick(0, staggered);
    let big = world.submit(1, 1_000);
    (1..=ticks).for_each(|tick| world.tick(tick, staggered));
    (world, big)
}

#[test]
fn memory_is_kept_when_it_was_passed_over_long_enough_and_the_task_says_so() {
    let (mut world, big) = passed_over(100);
    let is_kept = |world: &mut World, tick| {
        let workers = [world.worker(0)];
        let reason = world.policy.explain(id(big), &workers, at(tick)).unwrap().reasons.remove(0);
        let Reason::Memory { needed, free, is_kept } = reason else { panic!("{reason:?}") };
        assert_eq!((needed, free), (1_024, world.free(0)));
        is_kept
    };
    assert!(!is_kept(&mut world, 100));
    world.tick(101, staggered);
    assert!(is_kept(&mut world, 101));
    assert_eq!(world.free(0), 512);
    world.tick(102, staggered);
    assert_eq!((world.started.get(&big), world.policy.keeping.count()), (Some(&102), 0));
}

#[test]
fn nothing_is_kept_for_a_task_that_is_gone_or_shut_or_at_a_worker_that_left() {
    let (mut world, big) = passed_over(101);
    assert_eq!(world.policy.keeping.count(), 1);
    world.policy.worker_left(1);
    assert_eq!(world.policy.keeping.count(), 0);
    assert_eq!(world.policy.take(&world.worker(0), at(101)), []);
    assert_eq!(world.policy.keeping.count(), 1, "it asks again");
    assert!(world.policy.remove(id(big)));
    assert_eq!(world.policy.take(&world.worker(0), at(200)), []);
    assert_eq!(world.policy.take(&world.worker(0), at(201)).len(), 1, "it is gone");
    assert_eq!(world.policy.keeping.count(), 0);

    let (mut world, _) = passed_over(101);
    let none = Limit { concurrency: Some(0), ..Limit::default() };
    world.policy.set_limit(&Scope::Kind(kind(0)), none, at(101));
    world.policy.take(&world.worker(0), at(300));
    assert_eq!(world.policy.keeping.count(), 0, "its kind is shut");
}
