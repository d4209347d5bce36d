//! Windows over a store: random histories with a model store, refills that arrive late, failures and restarts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Refill;

const WINDOW: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Submit { tenant: usize, kind: usize, count: usize },
    Take(usize),
    Finish(usize),
    Return(usize),
    Cancel(usize),
    Ask,
    Deliver,
    Fail,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..2, 0_usize..2, 1_usize..6)
            .prop_map(|(tenant, kind, count)| Step::Submit { tenant, kind, count }),
        6 => (1_usize..4).prop_map(Step::Take),
        3 => (0_usize..50).prop_map(Step::Finish),
        3 => (0_usize..50).prop_map(Step::Return),
        1 => (0_usize..50).prop_map(Step::Cancel),
        6 => Just(Step::Ask),
        6 => Just(Step::Deliver),
        1 => Just(Step::Fail),
        1 => Just(Step::Restart),
    ]
}

/// What the store read for a refill, on its way to the policy.
struct Page {
    refill: Refill,
    candidates: Vec<Candidate>,
    through: i64,
    more: bool,
}

struct World {
    policy: Policy,
    /// The store: what is not over, and whether it runs.
    store: BTreeMap<i64, (Candidate, bool)>,
    pages: Vec<Page>,
    last: i64,
}

impl World {
    fn new() -> Self {
        World { policy: fresh(), store: BTreeMap::new(), pages: Vec::new(), last: 0 }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Submit { tenant, kind, count } => (0..count).for_each(|_| {
                self.last += 1;
                let new = candidate(self.last, tenant, Priority::Normal, kind);
                self.store.insert(self.last, (new.clone(), false));
                self.policy.enqueue(new);
            }),
            Step::Take(slots) => drop(self.take(slots)),
            Step::Finish(index) => {
                if let Some(sequence) = self.nth(index, true) {
                    self.store.remove(&sequence);
                    assert!(self.policy.finished(id(sequence)));
                }
            }
            Step::Return(index) => {
                if let Some(sequence) = self.nth(index, true) {
                    self.store.get_mut(&sequence).unwrap().1 = false;
                    assert!(self.policy.returned(id(sequence)));
                }
            }
            Step::Cancel(index) => {
                if let Some(sequence) = self.nth(index, false) {
                    self.store.remove(&sequence);
                    self.policy.remove(id(sequence));
                }
            }
            Step::Ask => drop(self.ask()),
            Step::Deliver => self.deliver(),
            Step::Fail => {
                if let Some(page) = self.pages.pop() {
                    self.policy.refill_failed(&page.refill);
                }
            }
            Step::Restart => self.restart(),
        }
        for (key, depth) in self.policy.depths() {
            assert!(depth <= 2 * WINDOW, "{key:?} holds {depth}");
        }
    }

    /// Reads the page at once and delivers it later: as stale as it can be.
    fn ask(&mut self) -> bool {
        let Some(refill) = self.policy.next_refill() else { return false };
        let after = |row: &&(Candidate, bool)| {
            !row.1 && row.0.queue() == refill.queue && row.0.sequence > refill.after
        };
        let mut candidates: Vec<_> = self.store.values().filter(after).map(|row| row.0.clone()).collect();
        let more = candidates.len() > refill.room;
        candidates.truncate(refill.room);
        let through = candidates.last().map_or(refill.after, |candidate| candidate.sequence);
        self.pages.push(Page { refill, candidates, through, more });
        true
    }

    fn deliver(&mut self) {
        if let Some(page) = self.pages.pop() {
            self.policy.refilled(&page.refill, page.candidates, page.through, page.more);
        }
    }

    fn restart(&mut self) {
        self.policy = fresh();
        self.pages.clear();
        for (candidate, running) in self.store.values() {
            if *running {
                self.policy.started(candidate);
            } else {
                self.policy.mark_truncated(&candidate.queue(), 0);
            }
        }
    }

    fn take(&mut self, slots: usize) -> usize {
        let picked = take(&mut self.policy, &[kind(0), kind(1)], slots);
        for pick in &picked {
            let mut waiting = self.store.values().filter(|row| !row.1 && row.0.queue() == pick.queue());
            let first = waiting.next().map(|row| row.0.sequence);
            match self.store.get_mut(&pick.sequence) {
                Some((_, running)) if !*running => {
                    assert_eq!(first, Some(pick.sequence), "the store has an older one");
                    *running = true;
                }
                Some(_) => panic!("{pick:?} is handed out twice"),
                // It was cancelled while its page was on its way: the store would not lease it.
                None => assert!(self.policy.finished(pick.id)),
            }
        }
        picked.len()
    }

    fn nth(&self, index: usize, running: bool) -> Option<i64> {
        let of_state: Vec<i64> =
            self.store.iter().filter(|row| row.1.1 == running).map(|row| *row.0).collect();
        of_state.get(index % of_state.len().max(1)).copied()
    }
}

fn fresh() -> Policy {
    Policy::new(PolicyConfig { window: WINDOW, blocked_window: WINDOW, ..PolicyConfig::default() }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn every_task_of_the_store_is_handed_out_once_in_order_within_the_window(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.apply(step));
        while !world.pages.is_empty() {
            world.deliver();
        }
        // What is left is worked off by refills alone; every round hands out or loads something.
        loop {
            let asked = world.ask();
            world.deliver();
            let taken = world.take(100);
            while world.nth(0, true).is_some() {
                world.apply(&Step::Finish(0));
            }
            if !asked && taken == 0 {
                break;
            }
        }
        prop_assert!(world.store.is_empty(), "left behind: {:?}", world.store.keys());
    }
}

#[test]
fn a_queue_that_runs_low_asks_once_from_where_the_window_ends() {
    let mut policy = fresh();
    let answers: Vec<_> = (1..=5).map(|sequence| policy.enqueue(normal(sequence, 0))).collect();
    assert_eq!(answers[2..], [Enqueued::Queued, Enqueued::Deferred, Enqueued::Deferred]);
    assert_eq!(policy.next_refill(), None, "the window is full");
    take(&mut policy, &[kind(0)], 2);
    let refill = policy.next_refill().unwrap();
    assert_eq!((refill.after, refill.room), (3, 2));
    assert_eq!(policy.next_refill(), None, "it is under way");
    policy.refill_failed(&refill);
    let refill = policy.next_refill().unwrap();
    policy.refilled(&refill, vec![normal(4, 0), normal(5, 0)], 5, false);
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 9)), [3, 4, 5]);
    assert_eq!((policy.next_refill(), policy.is_empty()), (None, true));
}

#[test]
fn a_page_that_no_longer_joins_on_is_dropped_and_read_again() {
    let mut policy = fresh();
    for sequence in 1..=7 {
        policy.started(&normal(sequence, 0));
    }
    policy.mark_truncated(&normal(7, 0).queue(), 7);
    let refill = policy.next_refill().unwrap();
    // Seven come back while the page is read, more than twice the window: it ends at the third now.
    for sequence in 1..=7 {
        assert!(policy.returned(id(sequence)));
    }
    policy.refilled(&refill, vec![normal(8, 0)], 8, false);
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 9)), [1, 2, 3]);
    let refill = policy.next_refill().unwrap();
    assert_eq!(refill.after, 3, "the others were left to the store");
    let page = [4, 5, 6, 7, 8].map(|sequence| normal(sequence, 0)).to_vec();
    policy.refilled(&refill, page, 8, false);
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 9)), [4, 5, 6, 7, 8]);
}

#[test]
fn a_page_does_not_bring_back_what_was_over_before_it_arrived() {
    let mut policy = fresh();
    // The store hears of leases late: a page may name what runs here.
    policy.started(&normal(2, 0));
    policy.mark_truncated(&normal(2, 0).queue(), 0);
    let refill = policy.next_refill().unwrap();
    assert!(policy.finished(id(2)));
    let page = [1, 2, 3].map(|sequence| normal(sequence, 0)).to_vec();
    policy.refilled(&refill, page, 3, false);
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 9)), [1, 3]);
}

#[test]
fn what_is_held_back_does_not_hide_what_the_store_has_behind_it() {
    let mut policy = fresh();
    let key: std::sync::Arc<str> = "closed".into();
    let traits = crate::Traits { keys: vec![key.clone()], ..Default::default() };
    let traits = Some(std::sync::Arc::new(traits));
    let closed = |sequence| Candidate { traits: traits.clone(), ..normal(sequence, 0) };
    let scope = Scope::TenantKey(tenant(0), key);
    policy.close(&scope, Timestamp::from_micros(100), Timestamp::default());
    for sequence in 1..=4 {
        policy.enqueue(closed(sequence));
    }
    assert_eq!(policy.enqueue(normal(5, 0)), Enqueued::Deferred, "the window is full");
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 9)), []);
    let refill = policy.next_refill().unwrap();
    assert_eq!((refill.after, refill.room), (3, 3));
    policy.refilled(&refill, vec![closed(4), normal(5, 0)], 5, false);
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 9)), [5]);
    assert_eq!(policy.next_moment(), Some(Timestamp::from_micros(100)));
    let worker = Worker::of_kinds(&[kind(0)], 9);
    assert_eq!(sequences(&policy.take(&worker, Timestamp::from_micros(100))), [1, 2, 3, 4]);
}
