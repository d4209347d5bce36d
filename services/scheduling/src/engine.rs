//! The scheduler as a state machine: events in, effects out. It holds the policy, the leases and the workers'
//! sessions; it reads no clock, calls no store and sends nothing itself.
//!
//! Invariants: a task is handed to a worker only after the store committed its lease; the policy hears of a change
//! only after its commit; what the store refuses is forgotten here, because the store is the truth. What a lost answer
//! or a race hides from it comes back: a running task nobody holds by the sweep, a waiting one by the audit.

mod audit;
mod census;
mod held;
mod intake;
mod session;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::rngs::StdRng;
use tidemill_kernel::backoff::Backoff;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_policy::{Candidate, Kind, Policy, PolicyConfig, QueueKey, Refill, TenantLimits};
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::scheduling::v1::{Credits, Drain, Results};
use tidemill_proto::types::v1::{Completion, Lease};

pub(crate) use census::Census;
pub(crate) use held::{Held, Settling};
pub(crate) use session::Session;
pub(crate) use settle::{Ending, Settlement};

use crate::config::Config;

/// Names one worker's stream.
pub(crate) type SessionId = u64;

/// A waiting task with the moment from which it may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) candidate: Candidate,
    pub(crate) run_at: Timestamp,
}

/// One lease that the store is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) candidate: Candidate,
    pub(crate) token: Id,
    pub(crate) worker: String,
}

/// What the engine hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// At the start: the queues that have waiting tasks and the end of the log.
    Queues { queues: Vec<QueueKey>, last_sequence: i64 },
    /// All tasks that the store says are running; none if it could not be asked.
    Running(Vec<Held>),
    /// How many tasks of each queue wait, as the store says.
    Audited(Vec<(QueueKey, usize)>),
    /// There may be new tasks.
    Wake,
    /// New tasks, the last place that was read, and whether there are more.
    New { tasks: Vec<Waiting>, through: i64, more: bool },
    /// The new tasks could not be read.
    NewFailed,
    /// A task that waits again at its old place.
    Revived(Waiting),
    /// A page of a queue.
    Refilled { refill: Refill, tasks: Vec<Waiting>, through: i64, more: bool },
    /// A page could not be read.
    RefillFailed(Refill),
    /// Weights of tenants.
    Tenants(Vec<(TenantName, u32)>),
    /// The weights of these could not be read.
    TenantsFailed(Vec<TenantName>),
    /// A worker said hello.
    Joined { session: SessionId, worker: String, kinds: Vec<Kind> },
    /// A worker takes more.
    Credits { session: SessionId, credits: Credits },
    /// A worker sent results.
    Results { session: SessionId, results: Results },
    /// A worker is alive and runs these.
    Heartbeat { session: SessionId, tasks: Vec<Id> },
    /// A worker's stream ended.
    Left { session: SessionId },
    /// The store made these leases of those that were asked for.
    Leased { session: SessionId, grants: Vec<Grant>, leases: Vec<Lease>, until: Timestamp },
    /// The store could not be asked for leases.
    LeaseFailed { session: SessionId, grants: Vec<Grant> },
    /// The store ended attempts.
    Settled { settlement: Settlement, accepted: Vec<bool> },
    /// The store could not be told of ended attempts.
    SettleFailed(Settlement),
    /// Leases were renewed until then, but for the lost ones.
    Renewed { leases: Vec<(Id, Id)>, lost: Vec<Id>, until: Timestamp },
    /// These leases were given back.
    Released(Vec<(Id, Id)>),
    /// The store could not be told that these leases are given back.
    ReleaseFailed(Vec<(Id, Id)>),
    /// A task was cancelled.
    Cancelled(Id),
    /// Time went by.
    Tick,
    /// Finish what runs, lease nothing more.
    Drain,
}

/// What the engine wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask the store for leases.
    Lease { session: SessionId, grants: Vec<Grant>, until: Timestamp },
    /// Tell the store of ended attempts.
    Settle(Settlement),
    /// Ask the store to move the end of leases.
    Renew { leases: Vec<(Id, Id)>, until: Timestamp },
    /// Give leases back to the store.
    Release(Vec<(Id, Id)>),
    /// Read new tasks after this place.
    LoadNew { after: i64 },
    /// Read a page of a queue.
    Refill(Refill),
    /// Read the running tasks.
    LoadRunning,
    /// Read how many tasks wait in each queue.
    CountWaiting,
    /// Read the weights of these tenants.
    LoadTenants(Vec<TenantName>),
    /// Say something to a worker.
    Say { session: SessionId, message: Say },
}

/// The state.
#[derive(Debug)]
pub(crate) struct Engine {
    config: Config,
    policy: Policy,
    backoff: Backoff,
    rng: StdRng,
    sessions: BTreeMap<SessionId, Session>,
    held: HashMap<Id, Held>,
    /// Tasks whose time has not come, by that time.
    delayed: BTreeMap<(Timestamp, i64, Id), Candidate>,
    due: HashMap<Id, (Timestamp, i64)>,
    tenants: HashSet<TenantName>,
    /// Tenants whose weight is still to be read.
    unweighed: Vec<TenantName>,
    /// The last place of the log that was read.
    read_through: i64,
    /// Whether new tasks are being read, and whether to read again after that.
    reading: Option<bool>,
    /// While running tasks are read: the tokens of attempts that ended since, which the answer may still name.
    sweeping: Option<HashSet<Id>>,
    /// How many requests for leases are under way.
    leasing: usize,
    next_sweep: Timestamp,
    next_read: Timestamp,
    next_count: Timestamp,
    next_audit: Timestamp,
    /// Waiting tasks by priority that the store had besides those in memory when it was asked last.
    beyond: [usize; 3],
    draining: bool,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub(crate) fn new(config: Config, rng: StdRng) -> Result<Self, tidemill_policy::Error> {
        let policy = Policy::new(PolicyConfig {
            window: config.window,
            default_concurrency: config.tenant_concurrency,
            ..PolicyConfig::default()
        })?;
        Ok(Self {
            config,
            policy,
            backoff: Backoff::default(),
            rng,
            sessions: BTreeMap::new(),
            held: HashMap::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            tenants: HashSet::new(),
            unweighed: Vec::new(),
            read_through: 0,
            reading: None,
            sweeping: None,
            leasing: 0,
            next_sweep: Timestamp::default(),
            next_read: Timestamp::default(),
            next_count: Timestamp::default(),
            next_audit: Timestamp::default(),
            beyond: [0; 3],
            draining: false,
        })
    }

    /// Whether a drained scheduler may end: no worker is left, and no lease is on its way to one that has gone.
    pub(crate) fn is_drained(&self) -> bool {
        self.draining && self.sessions.is_empty() && self.leasing == 0
    }

    /// One step: takes in the event, decides, says what is to be done.
    pub(crate) fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Queues { queues, last_sequence } => self.on_queues(&queues, last_sequence, now),
            Event::Running(running) => self.on_running(running),
            Event::Audited(queues) => self.on_audited(&queues, now),
            Event::Wake => self.read_new(&mut effects, now),
            Event::New { tasks, through, more } => self.on_new(tasks, through, more, now, &mut effects),
            Event::NewFailed => self.reading = None,
            Event::Revived(waiting) => self.on_revived(waiting, now, &mut effects),
            Event::Refilled { refill, tasks, through, more } => {
                self.on_refilled(&refill, tasks, through, more, now)
            }
            Event::RefillFailed(refill) => self.policy.refill_failed(&refill),
            Event::Tenants(weights) => self.on_tenants(weights),
            Event::TenantsFailed(names) => self.unweighed.extend(names),
            Event::Joined { session, worker, kinds } => self.on_joined(session, worker, kinds, &mut effects),
            Event::Credits { session, credits } => self.on_credits(session, &credits),
            Event::Results { session, results } => self.on_results(session, results, now, &mut effects),
            Event::Heartbeat { session, tasks } => self.on_heartbeat(session, &tasks, now, &mut effects),
            Event::Left { session } => self.on_left(session, &mut effects),
            Event::Leased { session, grants, leases, until } => {
                self.on_leased(session, grants, leases, until, &mut effects);
            }
            Event::LeaseFailed { session, grants } => self.on_lease_failed(session, &grants),
            Event::Settled { settlement, accepted } => {
                self.on_settled(settlement, &accepted, now, &mut effects)
            }
            Event::SettleFailed(settlement) => self.on_settle_failed(settlement, &mut effects),
            Event::Renewed { leases, lost, until } => self.on_renewed(&leases, &lost, until, &mut effects),
            Event::Released(leases) => self.on_released(&leases),
            Event::ReleaseFailed(leases) => self.on_release_failed(&leases),
            Event::Cancelled(task) => self.on_cancelled(task, &mut effects),
            Event::Tick => self.on_tick(now, &mut effects),
            Event::Drain => self.on_drain(&mut effects),
        }
        self.pump(now, &mut effects);
        effects
    }

    fn on_tenants(&mut self, weights: Vec<(TenantName, u32)>) {
        for (tenant, weight) in weights {
            let limits = TenantLimits { weight, concurrency: self.config.tenant_concurrency };
            self.policy.set_tenant(&tenant, limits);
        }
    }

    /// Time's work: tasks that are due, leases that ended, a look for what hints have missed.
    fn on_tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.wake_due(now);
        self.expire(now, effects);
        if now >= self.next_read {
            self.read_new(effects, now);
            if !self.unweighed.is_empty() {
                effects.push(Effect::LoadTenants(std::mem::take(&mut self.unweighed)));
            }
        }
        if now >= self.next_sweep {
            self.sweep(now, effects);
        }
        if now >= self.next_count {
            self.next_count = now + audit::COUNT_EVERY;
            effects.push(Effect::CountWaiting);
        }
    }

    fn on_drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = true;
        for session in self.sessions.keys() {
            effects.push(Effect::Say { session: *session, message: Say::Drain(Drain {}) });
        }
    }

    /// Gives workers what they have credits for, and asks for what runs low.
    fn pump(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.draining {
            self.grant(now, effects);
        }
        while let Some(refill) = self.policy.next_refill() {
            effects.push(Effect::Refill(refill));
        }
    }
}

/// The task and token of a completion, if both can be read.
fn ids(completion: &Completion) -> Option<(Id, Id)> {
    Some((completion.task_id.parse().ok()?, completion.token.parse().ok()?))
}
