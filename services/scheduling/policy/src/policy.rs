//! The policy: which waiting candidates run next.
//!
//! Three orders, one inside the other: between priorities `shares`, between tenants `fair`, within a tenant the earliest
//! deadline, then the oldest. Each profile of workers has its own (`pool`). Tenants that cannot run anything are in no
//! order, so skipping them costs nothing; a dispatch takes `O(shapes + log tenants)`.
//!
//! Bound on waiting: with `n` tenants ready in a priority and `q` the cost of what a tenant has before a task of its own,
//! a task of tenant `i` starts after at most `q + sum over j of (w_j/w_i * (q + c_i) + c_j)` of cost has been dispatched in
//! its priority, and one in at most `D` dispatches of its pool goes to that priority (`shares`). While tasks arrive more
//! slowly than the workers finish them, that bounds the time.

pub(crate) mod admission;
mod change;
mod dispatch;
pub(crate) mod explain;
pub(crate) mod inspect;
mod intake;
pub(crate) mod keeping;
mod moments;
pub(crate) mod refill;
mod rules;
mod standing;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use slab::Slab;
use tidemill_kernel::{Id, Priority, TenantName, Timestamp};

use crate::bunch::{Bunch, Few, KeySets};
use crate::candidate::{Candidate, Enqueued, Kind};
use crate::config::{PolicyConfig, TenantLimits};
use crate::error::Error;
use crate::gate::Gate;
use crate::intern::Interner;
use crate::limits::Scope;
use crate::line::Line;
use crate::meter::Meter;
use crate::order_key::OrderKeys;
use crate::pool::Pools;
use crate::queue::Queue;
use crate::shape::Shapes;
use crate::tasks::{State, Task, Tasks};

/// Decides in memory; the store is the truth. Tell it of a change after the change is committed.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    limits: HashMap<TenantName, TenantLimits>,
    quotas: HashMap<TenantName, usize>,
    names: Interner<TenantName>,
    kinds: Interner<Kind>,
    /// Keys, labels and zones.
    words: Interner<std::sync::Arc<str>>,
    /// Labels and zones that tasks require.
    wanted: HashSet<u32>,
    /// By tenant number.
    tenants: Vec<Tenant>,
    /// By kind number: the shape of its tasks that ask for nothing.
    plain_shapes: Vec<Option<u32>>,
    key_sets: KeySets,
    shapes: Shapes,
    queues: Slab<Queue>,
    bunches: Slab<Bunch>,
    lines: Slab<Line>,
    /// Lines with keys or deadlines: bunch, key set, whether by deadline.
    special_lines: HashMap<(u32, u32, bool), u32>,
    order_keys: OrderKeys,
    tasks: Tasks,
    pools: Pools,
    /// Memory of workers that is kept for what needs much.
    keeping: keeping::Keeping,
    gates: Slab<Gate>,
    rules: BTreeMap<Scope, u32>,
    /// By key: its gate for all tenants together.
    key_gates: HashMap<u32, u32>,
    /// When gates are to be judged again.
    timers: BTreeSet<(Timestamp, u32)>,
    /// Waiting tasks by deadline.
    deadlines: BTreeSet<(Timestamp, u32)>,
    expired: Vec<Candidate>,
    /// Queues that run low while the store has more, by lane.
    low: BTreeSet<(u8, u32)>,
    /// The latest moment that was told.
    now: Timestamp,
    queued: usize,
    /// Refills under way.
    asked: usize,
    /// Candidates left to the store, about.
    beyond: usize,
    /// Dispatches of all tenants.
    meter: Meter,
    /// Unused names and lines are swept out when there are so many.
    sweep_at: usize,
}

/// A tenant that has something waiting, running or remembered.
#[derive(Debug, Default)]
struct Tenant {
    weight: u32,
    cap: Option<u32>,
    running: u32,
    /// How many wait in memory.
    queued: u32,
    queues: Few,
    bunches: Few,
    /// Its dispatches.
    meter: Meter,
}

impl Tenant {
    fn is_open(&self) -> bool {
        self.cap.is_none_or(|cap| self.running < cap)
    }
}

impl Policy {
    /// A policy that knows nothing yet.
    pub fn new(config: PolicyConfig) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self {
            config,
            limits: HashMap::new(),
            quotas: HashMap::new(),
            names: Interner::default(),
            kinds: Interner::default(),
            words: Interner::default(),
            wanted: HashSet::new(),
            tenants: Vec::new(),
            plain_shapes: Vec::new(),
            key_sets: KeySets::default(),
            shapes: Shapes::default(),
            queues: Slab::new(),
            bunches: Slab::new(),
            lines: Slab::new(),
            special_lines: HashMap::new(),
            order_keys: OrderKeys::default(),
            tasks: Tasks::default(),
            pools: Pools::default(),
            keeping: keeping::Keeping::default(),
            gates: Slab::new(),
            rules: BTreeMap::new(),
            key_gates: HashMap::new(),
            timers: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            expired: Vec::new(),
            low: BTreeSet::new(),
            now: Timestamp::default(),
            queued: 0,
            asked: 0,
            beyond: 0,
            meter: Meter::default(),
            sweep_at: sweep::MINIMUM,
        })
    }

    /// Sets what a tenant may use, from the next pick on. Default limits take no memory.
    pub fn set_tenant(&mut self, name: &TenantName, limits: TenantLimits) {
        if limits == TenantLimits::default() {
            self.limits.remove(name);
        } else {
            self.limits.insert(name.clone(), limits);
        }
        if let Some(number) = self.names.number(name) {
            self.apply_limits(number, limits);
            self.refresh_tenant(number);
        }
    }

    /// Takes in a candidate that may run now. One that is known changes nothing, unless it was postponed: then it waits
    /// again, in the queue of the priority that it has now.
    pub fn enqueue(&mut self, candidate: Candidate) -> Enqueued {
        if let Some(slot) = self.tasks.find(candidate.id) {
            if self.tasks[slot].state() != State::Postponed {
                return Enqueued::Known;
            }
            if self.queues[self.queue_at(slot) as usize].lane == lane_of(candidate.priority) {
                return self.wait_again(slot);
            }
            self.forget(slot);
        }
        self.sweep_if_due();
        let lane = lane_of(candidate.priority);
        let (tenant, kind) = self.numbers(&candidate.tenant, &candidate.kind);
        let queue = self.queue_of(lane, tenant, kind);
        if !self.admits(queue, candidate.sequence) {
            return Enqueued::Deferred;
        }
        let Candidate { id, sequence, cost, traits, .. } = candidate;
        let line = match (self.queues[queue as usize].plain, &traits) {
            (Some(plain), None) => plain,
            _ => self.line_of(queue, traits.as_deref()),
        };
        let slot = self.add(Task::new(id, sequence, cost, traits, line));
        self.wait(slot);
        self.trim(queue);
        Enqueued::Queued
    }

    /// Takes in a task that runs already: after a restart, what the store says is leased.
    pub fn started(&mut self, candidate: &Candidate) {
        self.remove(candidate.id);
        if self.tasks.find(candidate.id).is_none() {
            let slot = self.take_in(candidate, State::Running);
            self.count_start(slot);
        }
    }

    /// A running task is over, whatever its end; so is one that the store would not lease. False if it was not
    /// running.
    pub fn finished(&mut self, id: Id) -> bool {
        let Some(slot) = self.running_slot(id) else { return false };
        self.count_end(slot);
        self.forget(slot);
        true
    }

    /// A running task waits again (its lease was given back or has expired): at its old place, which is the front of
    /// its line. False if it was not running.
    pub fn returned(&mut self, id: Id) -> bool {
        let Some(slot) = self.running_slot(id) else { return false };
        self.count_end(slot);
        self.wait_again(slot);
        true
    }

    /// A running task will be tried again later (enqueue it then): it does not count as running any more, but goes on
    /// holding its order key, so that later ones of the key stay behind it. False if it was not running.
    pub fn postponed(&mut self, id: Id) -> bool {
        let Some(slot) = self.running_slot(id) else { return false };
        self.count_end(slot);
        self.tasks[slot].set_state(State::Postponed);
        true
    }

    /// Takes in a task that is to be tried again later: after a restart, what the store says is delayed and has an order
    /// key. One that is known changes nothing.
    pub fn hold(&mut self, candidate: &Candidate) {
        if self.tasks.find(candidate.id).is_none() {
            self.take_in(candidate, State::Postponed);
        }
    }

    /// Takes out a candidate that waits or is postponed (it was cancelled). False if it does not wait here.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some(slot) = self.tasks.find(id) else { return false };
        match self.tasks[slot].state() {
            State::Running => return false,
            State::Waiting | State::Hidden => self.unwait(slot),
            State::Postponed => {}
        }
        self.forget(slot);
        true
    }

    fn running_slot(&self, id: Id) -> Option<u32> {
        self.tasks.find(id).filter(|&slot| self.tasks[slot].state() == State::Running)
    }

    /// Puts a task that does not wait back in its queue, or leaves it to the store.
    fn wait_again(&mut self, slot: u32) -> Enqueued {
        let queue = self.line(self.tasks[slot].line()).queue;
        if self.admits(queue, self.tasks[slot].sequence) {
            self.wait(slot);
            self.trim(queue);
            return Enqueued::Queued;
        }
        self.forget(slot);
        Enqueued::Deferred
    }

    fn take_in(&mut self, candidate: &Candidate, state: State) -> u32 {
        self.sweep_if_due();
        let Candidate { id, sequence, cost, .. } = *candidate;
        let (tenant, kind) = self.numbers(&candidate.tenant, &candidate.kind);
        let queue = self.queue_of(lane_of(candidate.priority), tenant, kind);
        let line = self.line_of(queue, candidate.traits.as_deref());
        let mut task = Task::new(id, sequence, cost, candidate.traits.clone(), line);
        task.set_state(state);
        let slot = self.add(task);
        self.join_order(slot);
        slot
    }

    fn apply_limits(&mut self, number: u32, limits: TenantLimits) {
        let tenant = &mut self.tenants[number as usize];
        tenant.weight = limits.weight.max(1);
        tenant.cap = limits.concurrency.or(self.config.default_concurrency);
    }

    fn line(&self, number: u32) -> &Line {
        &self.lines[number as usize]
    }

    fn line_mut(&mut self, number: u32) -> &mut Line {
        &mut self.lines[number as usize]
    }

    /// The queue of a task.
    fn queue_at(&self, slot: u32) -> u32 {
        self.line(self.tasks[slot].line()).queue
    }

    /// The tenant of a line.
    fn tenant_at(&self, line: u32) -> u32 {
        self.line(line).tenant
    }

    /// A task with the names that belong to it.
    fn candidate(&self, slot: u32) -> Option<Candidate> {
        let task = &self.tasks[slot];
        let queue = &self.queues[self.queue_at(slot) as usize];
        Some(Candidate {
            id: task.id,
            tenant: self.names.name(queue.tenant)?.clone(),
            kind: self.kinds.name(queue.kind)?.clone(),
            priority: Priority::ALL[usize::from(queue.lane)],
            sequence: task.sequence,
            cost: task.cost,
            traits: task.traits.clone(),
        })
    }
}

fn lane_of(priority: Priority) -> u8 {
    match priority {
        Priority::Interactive => 0,
        Priority::Normal => 1,
        Priority::Background => 2,
    }
}

/// The number of a new entry of a slab. Four billion do not fit into memory.
fn number<T>(slab: &mut Slab<T>, entry: T) -> u32 {
    u32::try_from(slab.insert(entry)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
