//! The policy: which waiting candidates run next.
//!
//! Three orders, one inside the other: between priorities `shares`, between tenants `fair`, within a tenant the
//! oldest candidate of the kinds asked for. Each set of kinds asked for has its own (`pool`). Tenants at their cap are
//! in no order, so skipping them costs nothing; a dispatch takes `O(pools * kinds * log tenants)`.

mod forget;
pub(crate) mod inspect;
pub(crate) mod refill;

use std::collections::{HashMap, HashSet};

use tidemill_kernel::{Id, Priority, TenantName};

use crate::backlog::{Backlog, QueueNumber};
use crate::candidate::{Candidate, Enqueued, Kind};
use crate::config::{PolicyConfig, TenantLimits};
use crate::error::Error;
use crate::intern::Interner;
use crate::pool::Pools;
use crate::queue::{Offer, Queue};

/// Decides in memory; the store is the truth. Tell it of a change after the change is committed.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    limits: HashMap<TenantName, TenantLimits>,
    names: Interner<TenantName>,
    kinds: Interner<Kind>,
    /// By tenant number.
    tenants: Vec<Tenant>,
    backlog: Backlog,
    pools: Pools,
    /// Every candidate that waits or runs. Looked up only: no decision depends on its order.
    places: HashMap<Id, Place>,
    queued: usize,
    /// Unused names are swept out when there are so many tenants or kinds.
    sweep_at: usize,
}

/// A tenant that has something waiting, running or remembered.
#[derive(Debug, Default)]
struct Tenant {
    weight: u32,
    cap: Option<u32>,
    running: u32,
}

impl Tenant {
    fn is_open(&self) -> bool {
        self.cap.is_none_or(|cap| self.running < cap)
    }
}

/// Where a candidate is.
#[derive(Debug, Clone, Copy)]
struct Place {
    sequence: i64,
    tenant: u32,
    kind: u32,
    cost: u32,
    lane: u8,
    running: bool,
}

impl Place {
    fn queue(&self) -> QueueNumber {
        (self.lane, self.tenant, self.kind)
    }
}

/// No sweep below so many names.
const SWEEP_MINIMUM: usize = 1024;

impl Policy {
    /// A policy that knows nothing yet.
    pub fn new(config: PolicyConfig) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self {
            limits: HashMap::new(),
            names: Interner::default(),
            kinds: Interner::default(),
            tenants: Vec::new(),
            backlog: Backlog::new(config.window),
            pools: Pools::default(),
            places: HashMap::new(),
            queued: 0,
            sweep_at: SWEEP_MINIMUM,
            config,
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
        }
    }

    /// Takes in a candidate that may run now. One that is known changes nothing.
    pub fn enqueue(&mut self, candidate: Candidate) -> Enqueued {
        if self.places.contains_key(&candidate.id) {
            return Enqueued::Known;
        }
        let place = self.place(&candidate, false);
        self.offer(candidate.id, place)
    }

    /// Takes in a task that runs already: after a restart, what the store says is leased.
    pub fn started(&mut self, candidate: &Candidate) {
        self.remove(candidate.id);
        if !self.places.contains_key(&candidate.id) {
            let place = self.place(candidate, true);
            self.places.insert(candidate.id, place);
            self.count_running(place.tenant, 1);
        }
    }

    /// Picks at most `slots` candidates of these kinds, in the order in which they should run. They count as running.
    pub fn take(&mut self, kinds: &[Kind], slots: usize) -> Vec<Candidate> {
        let pool = self.pool(kinds);
        // `take_one` ends the iteration when nobody is ready.
        std::iter::from_fn(|| self.take_one(pool)).take(slots).collect()
    }

    /// A running task is over, whatever its end; so is one that the store would not lease. False if it was not
    /// running.
    pub fn finished(&mut self, id: Id) -> bool {
        let Some(place) = self.places.get(&id).copied().filter(|place| place.running) else { return false };
        self.places.remove(&id);
        self.count_running(place.tenant, -1);
        true
    }

    /// A running task waits again (its lease was given back or has expired): at its old place, which is the front of
    /// its queue. False if it was not running.
    pub fn returned(&mut self, id: Id) -> bool {
        let Some(place) = self.places.get(&id).copied().filter(|place| place.running) else { return false };
        self.places.remove(&id);
        self.count_running(place.tenant, -1);
        self.offer(id, Place { running: false, ..place });
        true
    }

    /// Takes a waiting candidate out (it was cancelled). False if it does not wait here.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some(place) = self.places.get(&id).copied().filter(|place| !place.running) else { return false };
        self.places.remove(&id);
        self.queued -= 1;
        self.update(place.queue(), |queue| queue.remove(place.sequence, id))
    }

    fn take_one(&mut self, pool: usize) -> Option<Candidate> {
        let pool = self.pools.get_mut(pool)?;
        let (lane, number) = pool.next()?;
        let (kind, id) = self.backlog.oldest(lane, number, &pool.kinds)?;
        let place = self.places.get_mut(&id)?;
        place.running = true;
        let place = *place;
        pool.orders[usize::from(lane)].serve(number, place.cost, self.tenants[number as usize].weight);
        self.queued -= 1;
        self.update(place.queue(), Queue::pop);
        self.count_running(number, 1);
        Some(Candidate {
            id,
            tenant: self.names.name(number)?.clone(),
            kind: self.kinds.name(kind)?.clone(),
            priority: Priority::ALL[usize::from(lane)],
            sequence: place.sequence,
            cost: place.cost,
        })
    }

    /// The index of the pool for these kinds; a new one learns what waits.
    fn pool(&mut self, kinds: &[Kind]) -> usize {
        self.sweep();
        let mut numbers: Vec<u32> = kinds.iter().map(|kind| self.kinds.intern(kind)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let (index, is_new) = self.pools.index_of(&numbers, &self.config);
        if is_new && let Some(pool) = self.pools.get_mut(index) {
            let of_pool = self.backlog.iter().filter(|row| numbers.binary_search(&row.0.2).is_ok());
            for ((lane, tenant, _), queue) in of_pool {
                if queue.len() > 0 && self.tenants[tenant as usize].is_open() {
                    pool.orders[usize::from(lane)].set_ready(tenant, true);
                }
            }
        }
        index
    }

    fn offer(&mut self, id: Id, place: Place) -> Enqueued {
        let window = self.config.window;
        let offer = self.update(place.queue(), |queue| queue.offer(place.sequence, id, window));
        if let Offer::Displaced(other) = &offer {
            self.places.remove(other);
            self.queued -= 1;
        }
        if offer == Offer::Deferred {
            return Enqueued::Deferred;
        }
        self.places.insert(id, place);
        self.queued += 1;
        Enqueued::Queued
    }

    /// Changes a queue and tells every pool of its kind.
    fn update<R>(&mut self, number: QueueNumber, change: impl FnOnce(&mut Queue) -> R) -> R {
        let answer = self.backlog.update(number, change);
        let (lane, tenant, kind) = number;
        let open = self.tenants[tenant as usize].is_open();
        for pool in self.pools.iter_mut().filter(|pool| pool.kinds.binary_search(&kind).is_ok()) {
            let ready = open && self.backlog.has_any(lane, tenant, &pool.kinds);
            pool.orders[usize::from(lane)].set_ready(tenant, ready);
        }
        answer
    }

    fn place(&mut self, candidate: &Candidate, running: bool) -> Place {
        let (tenant, kind) = self.numbers(&candidate.tenant, &candidate.kind);
        let (lane, sequence, cost) = (lane_of(candidate.priority), candidate.sequence, candidate.cost);
        Place { sequence, tenant, kind, cost, lane, running }
    }

    /// The numbers of a tenant and a kind. A tenant that is new here gets its limits.
    fn numbers(&mut self, tenant: &TenantName, kind: &Kind) -> (u32, u32) {
        if let (Some(tenant), Some(kind)) = (self.names.number(tenant), self.kinds.number(kind)) {
            return (tenant, kind);
        }
        self.sweep();
        let is_new = self.names.number(tenant).is_none();
        let number = self.names.intern(tenant);
        if is_new {
            if self.tenants.len() <= number as usize {
                self.tenants.push(Tenant::default());
            }
            self.apply_limits(number, self.limits.get(tenant).copied().unwrap_or_default());
        }
        (number, self.kinds.intern(kind))
    }

    fn apply_limits(&mut self, number: u32, limits: TenantLimits) {
        let tenant = &mut self.tenants[number as usize];
        tenant.weight = limits.weight.max(1);
        tenant.cap = limits.concurrency.or(self.config.default_concurrency);
        self.tell_pools(number);
    }

    fn count_running(&mut self, number: u32, change: i32) {
        let tenant = &mut self.tenants[number as usize];
        let was_open = tenant.is_open();
        tenant.running = tenant.running.saturating_add_signed(change);
        if tenant.is_open() != was_open {
            self.tell_pools(number);
        }
    }

    /// Tells every pool whether a tenant takes part.
    fn tell_pools(&mut self, tenant: u32) {
        let open = self.tenants[tenant as usize].is_open();
        for pool in self.pools.iter_mut() {
            for (lane, order) in (0_u8..).zip(&mut pool.orders) {
                order.set_ready(tenant, open && self.backlog.has_any(lane, tenant, &pool.kinds));
            }
        }
    }

    /// Forgets names that nothing refers to, when enough have come together to be worth the walk.
    fn sweep(&mut self) {
        if self.names.len().max(self.kinds.len()) < self.sweep_at {
            return;
        }
        let (mut tenants, mut kinds) = (HashSet::new(), HashSet::new());
        for place in self.places.values() {
            tenants.insert(place.tenant);
            kinds.insert(place.kind);
        }
        for ((_, tenant, kind), _) in self.backlog.iter() {
            tenants.insert(tenant);
            kinds.insert(kind);
        }
        kinds.extend(self.pools.iter().flat_map(|pool| &pool.kinds));
        let is_remembered =
            |number| self.pools.iter().any(|pool| pool.orders.iter().any(|order| order.knows(number)));
        self.kinds.retain(|number| kinds.contains(&number));
        self.names.retain(|number| tenants.contains(&number) || is_remembered(number));
        self.sweep_at = SWEEP_MINIMUM.max(2 * self.names.len().max(self.kinds.len()));
    }
}

fn lane_of(priority: Priority) -> u8 {
    match priority {
        Priority::Interactive => 0,
        Priority::Normal => 1,
        Priority::Background => 2,
    }
}

#[cfg(test)]
mod tests;
