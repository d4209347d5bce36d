//! Random histories of limits, order keys, deadlines and matching against a naive model that looks at every task.

mod rule;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use rule::Rule;
use step::{Asks, Step, step};

use super::*;
use crate::{Limit, OnFull, Rate, Traits, Verdict, Zone};

const TENANTS: usize = 3;
const KINDS: usize = 2;
const KEYS: u8 = 3;

fn key(number: u8) -> Arc<str> {
    format!("key-{number}").into()
}

/// Every scope that the steps name.
fn scopes() -> Vec<Scope> {
    let mut scopes = Vec::new();
    for number in 0..TENANTS {
        scopes.push(Scope::Tenant(tenant(number)));
        scopes.push(Scope::TenantKey(tenant(number), key(0)));
        scopes.push(Scope::TenantKey(tenant(number), key(1)));
    }
    for number in 0..KINDS {
        scopes.push(Scope::Kind(kind(number)));
        scopes.push(Scope::TenantKind(tenant(0), kind(number)));
        scopes.push(Scope::Queue(normal_queue(number)));
    }
    scopes.extend([Scope::Key(key(1)), Scope::Key(key(2))]);
    scopes
}

fn normal_queue(kind_number: usize) -> QueueKey {
    QueueKey { tenant: tenant(1), priority: Priority::Normal, kind: kind(kind_number) }
}

fn falls_under(candidate: &Candidate, scope: &Scope) -> bool {
    let has = |key: &Arc<str>| candidate.traits.as_ref().is_some_and(|traits| traits.keys.contains(key));
    match scope {
        Scope::Tenant(tenant) => candidate.tenant == *tenant,
        Scope::Kind(kind) => candidate.kind == *kind,
        Scope::TenantKind(tenant, kind) => candidate.tenant == *tenant && candidate.kind == *kind,
        Scope::TenantKey(tenant, key) => candidate.tenant == *tenant && has(key),
        Scope::Key(key) => has(key),
        Scope::Queue(queue) => candidate.queue() == *queue,
    }
}

struct World {
    policy: Policy,
    waiting: BTreeMap<i64, Candidate>,
    running: BTreeMap<i64, Candidate>,
    postponed: BTreeMap<i64, Candidate>,
    rules: Vec<(Scope, Rule)>,
    caps: [Option<u32>; TENANTS],
    expired: BTreeSet<i64>,
    last: i64,
    now: i64,
    picks: Vec<i64>,
}

/// No worker in these tests has more.
const MEMORY: u64 = 1_000;

impl World {
    fn new() -> Self {
        World {
            policy: policy(),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            postponed: BTreeMap::new(),
            rules: scopes().into_iter().map(|scope| (scope, Rule::default())).collect(),
            caps: [None; TENANTS],
            expired: BTreeSet::new(),
            last: 0,
            now: 0,
            picks: Vec::new(),
        }
    }

    fn moment(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    fn traits(&self, asks: Asks) -> Option<Arc<Traits>> {
        let traits = Traits {
            deadline: (asks.deadline == 0).then(|| self.moment() + Duration::from_millis(20)),
            keys: (0..KEYS).filter(|number| asks.keys & (1 << number) != 0).map(key).collect(),
            memory: asks.memory * 64,
            labels: asks.label.then(|| "gpu".into()).into_iter().collect(),
            affinity: None,
            zone: (asks.zone < 2).then(|| Zone { name: "a".into(), required: asks.zone == 0 }),
            order_key: (asks.order < 2).then(|| key(asks.order)),
        };
        (traits != Traits::default()).then(|| Arc::new(traits))
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Enqueue { tenant, kind, priority, cost, asks } => {
                self.last += 1;
                let traits = self.traits(asks);
                let new = candidate(self.last, tenant, Priority::ALL[priority], kind);
                let new = Candidate { cost, traits, ..new };
                assert_eq!(self.policy.enqueue(new.clone()), Enqueued::Queued);
                self.waiting.insert(self.last, new);
            }
            Step::Take { mask, slots, labels, memory, zone } => {
                let kinds: Vec<Kind> = (0..KINDS).filter(|kind| mask & (1 << kind) != 0).map(kind).collect();
                let labels = (labels == 1).then(|| "gpu".into()).into_iter().collect();
                let zone = [None, Some("a".into()), Some("b".into())][usize::from(zone)].clone();
                let free_memory = memory * 64;
                let recent = Vec::new();
                self.take(Worker { id: 0, kinds, slots, memory: MEMORY, free_memory, labels, zone, recent });
            }
            Step::Finish(index) => {
                if let Some(task) = take_nth(&mut self.running, index) {
                    assert!(self.policy.finished(task.id));
                }
            }
            Step::Return(index) => {
                if let Some(task) = take_nth(&mut self.running, index) {
                    assert!(self.policy.returned(task.id));
                    self.waiting.insert(task.sequence, task);
                }
            }
            Step::Postpone(index) => {
                if let Some(task) = take_nth(&mut self.running, index) {
                    assert!(self.policy.postponed(task.id));
                    self.postponed.insert(task.sequence, task);
                }
            }
            Step::Again(index) => {
                if let Some(task) = take_nth(&mut self.postponed, index) {
                    assert_eq!(self.policy.enqueue(task.clone()), Enqueued::Queued);
                    self.waiting.insert(task.sequence, task);
                }
            }
            Step::Remove(index) => {
                if let Some(task) = take_nth(&mut self.waiting, index) {
                    assert!(self.policy.remove(task.id));
                }
            }
            Step::Move(index, priority) => {
                if let Some(sequence) = self.waiting.keys().nth(index).copied() {
                    let task = self.waiting.get_mut(&sequence).unwrap();
                    task.priority = Priority::ALL[priority];
                    assert_eq!(self.policy.reprioritise(task.id, task.priority), Some(Enqueued::Queued));
                }
            }
            Step::Forget(number) if number < TENANTS => {
                let gone = tenant(number);
                for tasks in [&mut self.waiting, &mut self.running, &mut self.postponed] {
                    tasks.retain(|_, task| task.tenant != gone);
                }
                self.policy.forget_tenants(|name| *name == gone);
            }
            Step::Forget(_) => {}
            Step::Wait(micros) => self.now += micros,
            Step::Cap(number, concurrency) => {
                self.caps[number] = concurrency;
                self.policy.set_tenant(&tenant(number), TenantLimits { weight: 1, concurrency });
            }
            _ => self.apply_rule(step),
        }
        self.expire();
    }

    fn apply_rule(&mut self, step: &Step) {
        let (now, moment) = (self.now, self.moment());
        match *step {
            Step::Limit(index, concurrency, rate) => {
                let rate = rate.map(|(per_second, burst)| Rate { per_second, burst });
                let limit = Limit { concurrency, rate, on_full: OnFull::Queue };
                let (scope, rule) = &mut self.rules[index];
                rule.set(limit, now);
                self.policy.set_limit(scope, limit, moment);
            }
            Step::Close(index, micros) => {
                let (scope, rule) = &mut self.rules[index];
                rule.closed_until = now + micros;
                self.policy.close(scope, Timestamp::from_micros(now + micros), moment);
            }
            Step::Pause(index) => {
                let (scope, rule) = &mut self.rules[index];
                rule.paused = true;
                self.policy.pause(scope);
            }
            Step::Resume(index) => {
                let (scope, rule) = &mut self.rules[index];
                assert_eq!(self.policy.resume(scope), std::mem::take(&mut rule.paused));
            }
            _ => {}
        }
    }

    /// What has passed its deadline comes out once and is gone.
    fn expire(&mut self) {
        let now = self.now;
        let dead = |task: &Candidate| {
            task.traits.as_ref().and_then(|traits| traits.deadline).is_some_and(|at| at.as_micros() <= now)
        };
        let due: Vec<i64> =
            self.waiting.values().filter(|task| dead(task)).map(|task| task.sequence).collect();
        let mut out: Vec<i64> = sequences(&self.policy.expired(self.moment()));
        out.sort_unstable();
        assert_eq!(out, due);
        for sequence in due {
            self.waiting.remove(&sequence);
            assert!(self.expired.insert(sequence));
        }
    }

    fn take(&mut self, worker: Worker) {
        let picked = self.policy.take(&worker, self.moment());
        let mut free = worker.free_memory;
        for pick in &picked {
            assert_eq!(self.waiting.get(&pick.sequence), Some(pick), "it does not wait");
            assert!(self.may_run(pick, &worker, free), "it may not run: {pick:?}");
            let likes = pick.traits.as_ref().is_some_and(|traits| worker.preference(traits) > 0);
            let first = self.first_alike(pick).map(|first| first.sequence);
            assert!(likes || first == Some(pick.sequence), "{first:?} is first in the line of {pick:?}");
            free -= memory_of(pick);
            let under: Vec<bool> = self.rules.iter().map(|(scope, _)| falls_under(pick, scope)).collect();
            for ((_, rule), _) in self.rules.iter_mut().zip(under).filter(|row| row.1) {
                rule.refill(self.now);
                rule.level -=
                    i128::from(pick.cost.max(1)) * i128::from(rule.limit.rate.is_some()) * 1_000_000;
            }
            self.picks.push(pick.sequence);
            let task = self.waiting.remove(&pick.sequence).unwrap();
            self.running.insert(pick.sequence, task);
        }
        if picked.len() < worker.slots {
            self.check_idle(&worker, free);
        }
    }

    /// A slot stays idle: then nothing can run, but behind tokens that a dearer task has reserved.
    fn check_idle(&mut self, worker: &Worker, free: u64) {
        let waiting: Vec<Candidate> = self.waiting.values().cloned().collect();
        for left in waiting {
            if self.may_run(&left, worker, free) {
                let scopes: Vec<Scope> = self
                    .rules
                    .iter()
                    .filter(|row| falls_under(&left, &row.0))
                    .map(|row| row.0.clone())
                    .collect();
                let reserved = scopes.iter().any(|scope| {
                    let status = self.policy.limit(scope);
                    status.is_some_and(|status| matches!(status.verdict, Some(Verdict::Rate { .. })))
                });
                assert!(
                    reserved || self.waits_for_dearer(&left),
                    "a slot stays idle while this could run: {left:?}"
                );
            }
        }
    }

    /// Whether a task of its line comes before it and costs more tokens.
    fn waits_for_dearer(&self, left: &Candidate) -> bool {
        self.first_alike(left).is_some_and(|first| first.sequence != left.sequence && first.cost > left.cost)
    }

    /// The first of those that stand in the same line.
    fn first_alike(&self, wanted: &Candidate) -> Option<&Candidate> {
        let form = |task: &Candidate| {
            let traits = task.traits.as_deref().cloned().unwrap_or_default();
            let zone = traits.zone.filter(|zone| zone.required);
            (task.queue(), traits.keys, traits.memory, traits.labels, zone, traits.deadline.is_some())
        };
        let alike = self.waiting.values().filter(|other| form(other) == form(wanted) && self.leads(other));
        let due =
            |task: &&Candidate| (task.traits.as_ref().and_then(|traits| traits.deadline), task.sequence);
        alike.min_by_key(due)
    }

    fn may_run(&mut self, wanted: &Candidate, worker: &Worker, free: u64) -> bool {
        let lacks = worker.lacks(&wanted.kind, wanted.traits.as_deref());
        if !lacks.is_empty() || memory_of(wanted) > free || !self.leads(wanted) {
            return false;
        }
        let number = (0..TENANTS).find(|&number| tenant(number) == wanted.tenant).unwrap();
        let of_tenant = self.running.values().filter(|other| other.tenant == wanted.tenant).count();
        if self.caps[number].is_some_and(|cap| of_tenant >= cap as usize) {
            return false;
        }
        let now = self.now;
        let Self { rules, running, .. } = self;
        rules.iter_mut().filter(|row| falls_under(wanted, &row.0)).all(|(scope, rule)| {
            let running = running.values().filter(|other| falls_under(other, scope)).count();
            rule.allows(wanted.cost, running, now)
        })
    }

    /// Whether no other task of its order key comes before it.
    fn leads(&self, wanted: &Candidate) -> bool {
        let key = |task: &Candidate| task.traits.as_ref().and_then(|traits| traits.order_key.clone());
        let Some(own) = key(wanted) else { return true };
        let same = |other: &&Candidate| other.tenant == wanted.tenant && key(other).as_ref() == Some(&own);
        !self.running.values().any(|other| same(&other))
            && !self
                .waiting
                .values()
                .chain(self.postponed.values())
                .any(|other| same(&other) && other.sequence < wanted.sequence)
    }

    fn check(&mut self) {
        assert_eq!(self.policy.len(), self.waiting.len());
        for (scope, _) in &self.rules {
            let running = self.running.values().filter(|other| falls_under(other, scope)).count();
            if let Some(status) = self.policy.limit(scope) {
                assert_eq!(status.running as usize, running, "{scope:?}");
            }
        }
    }
}

fn memory_of(task: &Candidate) -> u64 {
    task.traits.as_ref().map_or(0, |traits| traits.reserved_memory())
}

fn take_nth(tasks: &mut BTreeMap<i64, Candidate>, index: usize) -> Option<Candidate> {
    let sequence = *tasks.keys().nth(index % tasks.len().max(1))?;
    tasks.remove(&sequence)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn no_limit_is_exceeded_no_order_is_broken_and_nothing_that_could_run_waits_for_what_cannot(
        steps in prop::collection::vec(step(), 1..120), sweeps: bool,
    ) {
        let mut world = World::new();
        for step in &steps {
            if sweeps {
                world.policy.sweep_at = 0;
            }
            world.apply(step);
            world.check();
        }
        for index in 0..world.rules.len() {
            world.apply(&Step::Resume(index));
            world.apply(&Step::Limit(index, None, None));
        }
        (0..TENANTS).for_each(|number| world.apply(&Step::Cap(number, None)));
        world.apply(&Step::Wait(100_000));
        // Nothing is left when everything is allowed: order keys let one through at a time.
        while !world.postponed.is_empty() {
            world.apply(&Step::Again(0));
        }
        while !world.waiting.is_empty() {
            while !world.running.is_empty() {
                world.apply(&Step::Finish(0));
            }
            let before = world.waiting.len();
            let kinds = (0..KINDS).map(kind).collect::<Vec<_>>();
            let worker = Worker { labels: vec!["gpu".into()], zone: Some("a".into()), ..Worker::of_kinds(&kinds, 1_000) };
            world.take(worker);
            prop_assert!(world.waiting.len() < before, "left behind: {:?}", world.waiting);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_same_history_of_limits_gives_the_same_decisions(steps in prop::collection::vec(step(), 1..120)) {
        let (mut one, mut other) = (World::new(), World::new());
        for step in &steps {
            one.apply(step);
            other.apply(step);
        }
        prop_assert_eq!(one.picks, other.picks);
    }
}
