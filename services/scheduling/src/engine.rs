//! The scheduler as a state machine: events in, effects out. It holds the policy, the leases, the shards and the workers'
//! sessions; it reads no clock, calls no store and sends nothing itself.
//!
//! Invariants: a task is in the policy only after its commit, and only while its shard is owned; a lease lives here, and is
//! recorded in the store when it has lasted for a moment; whatever is written because of a decision made here
//! carries the epochs of its shards, so a scheduler that was overtaken changes nothing. What a lost answer hides
//! comes back by the audit.

mod answer;
mod audit;
mod bodies;
mod census;
mod changed;
mod clock;
mod dependents;
mod held;
mod intake;
mod record;
mod schedules;
mod session;
mod settings;
mod settle;
mod shards;
mod shared;
mod stored;
#[cfg(test)]
mod tests;
mod tick;
mod waited;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rand::rngs::StdRng;
use tidemill_kernel::backoff::Backoff;
use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};
use tidemill_policy::{Candidate, Overload, Policy, PolicyConfig, QueueKey, Refill, Scope, Share};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::Task;

pub(crate) use answer::{Answer, Load, Question, Refused, Submission};
pub(crate) use bodies::Bodies;
pub(crate) use census::Census;
pub(crate) use changed::{Changed, Source};
pub(crate) use dependents::Asked;
pub(crate) use held::{Held, Running};
pub(crate) use schedules::Firing;
pub(crate) use session::Session;
pub(crate) use settle::{Ended, Ending, Settlement};
pub(crate) use shards::{Epoch, Shards};
pub(crate) use shared::{Asks, Holding};
use words::Words;

use crate::config::Config;

/// Names one worker's stream.
pub(crate) type SessionId = u64;

/// Which shards a decision relied on.
pub(crate) type Fence = Vec<Epoch>;

/// What the engine hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// How all shards stand, as of a claim that was sent then; none if the store could not be asked.
    Board { board: Option<store::ClaimShardsResponse>, asked_at: Timestamp },
    /// What the store holds of a shard that was just taken.
    Loaded(Box<Loaded>),
    /// A shard could not be read.
    LoadFailed(Epoch),
    /// Tasks that were committed a moment ago by a call of this scheduler.
    Appended(Vec<Task>),
    /// There may be new tasks.
    Wake,
    /// New tasks of a shard, the last place that was read, and whether there are more.
    New { epoch: Epoch, tasks: Vec<Task>, through: i64, more: bool },
    /// The new tasks could not be read.
    NewFailed(Epoch),
    /// Tasks were changed by hand.
    Changed(Changed),
    /// What the store has of changed tasks; those that are not found are finished.
    ReadAgain { tasks: Vec<Id>, found: Vec<Task> },
    /// Changed tasks could not be read.
    ReadAgainFailed(Vec<Id>),
    /// How the tasks stand that others depend on; none if the store could not be asked.
    Found { asked: Asked, found: Option<Vec<store::FoundTask>> },
    /// A page of a queue.
    Refilled { epoch: Epoch, refill: Refill, tasks: Vec<Task>, through: i64, more: bool },
    /// A page could not be read.
    RefillFailed { epoch: Epoch, refill: Refill },
    /// How many tasks of each queue of a shard wait, as the store says.
    Audited { epoch: Epoch, queues: Vec<(QueueKey, usize)> },
    /// The settings of these shards' tenants, and those of all tenants together; by the number of the reading.
    Settings { reading: u64, epochs: Vec<Epoch>, settings: Vec<store::Setting> },
    /// A tenant's settings were changed through this scheduler; those of all tenants together if none is named.
    SettingsChanged(Option<TenantName>),
    /// Settings were changed through another scheduler.
    SettingsTold,
    /// The tasks of a schedule up to a moment were made, the last one with this id; none if they could not be.
    Fired { tenant: TenantName, name: String, done: Option<(Timestamp, String)> },
    /// Weights of tenants.
    Tenants(Vec<(TenantName, u32)>),
    /// The weights of these could not be read.
    TenantsFailed(Vec<TenantName>),
    /// A worker said hello.
    Joined { session: SessionId, hello: Box<api::Hello> },
    /// A worker takes more.
    Credits { session: SessionId, count: u32 },
    /// A worker takes fewer.
    Withdraw { session: SessionId, count: u32 },
    /// A worker sent results.
    Results { session: SessionId, results: api::Results },
    /// A worker is alive and runs these.
    Heartbeat { session: SessionId, beat: api::Heartbeat },
    /// A worker tells how far a task is.
    Progress { progress: api::Progress },
    /// A worker met a limit that holds for others too.
    CloseKey(api::CloseKey),
    /// A worker's stream ended: closed by the worker, or lost.
    Left { session: SessionId, lost: bool },
    /// Picked tasks whose bodies were read; those that are not there are finished.
    Fetched { session: SessionId, picked: Vec<Candidate>, tasks: Vec<Task> },
    /// The store could not be asked for bodies.
    FetchFailed { session: SessionId, picked: Vec<Candidate> },
    /// The store ended attempts.
    Settled { settlement: Settlement, accepted: Vec<bool>, follow_ups: Vec<Task> },
    /// The store could not be told of ended attempts.
    SettleFailed(Settlement),
    /// Leases are recorded, but for those of tasks that are gone, and others forgotten.
    Recorded { leases: Vec<(Id, Id)>, given_back: Vec<Id>, gone: Vec<Id> },
    /// Leases could not be recorded.
    RecordFailed { leases: Vec<(Id, Id)>, given_back: Vec<Id> },
    /// A shard that was owned at this epoch has another owner by now.
    Fenced(Epoch),
    /// What it may use of limits that others divide, by the number of the question; nothing if they did not answer.
    Shares { number: u64, shares: Vec<(Scope, Share)> },
    /// Time went by.
    Tick,
    /// Finish what runs, lease nothing more.
    Drain,
}

/// What the engine wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Renew, take and give up shards.
    Claim(store::ClaimShardsRequest),
    /// Read what the store holds of a shard.
    Load(Epoch),
    /// Read new tasks of a shard after this place.
    LoadNew { epoch: Epoch, after: i64 },
    /// Tell the owner of a shard, at this address, that it has new tasks.
    WakeOwner { address: String },
    /// Tell the owner of changed tasks, at this address, of them; nobody knows where it is if that is empty.
    TellOwner { address: String, changed: Changed },
    /// Read tasks that were changed by hand.
    ReadAgain(Vec<Id>),
    /// Read how the tasks stand that others depend on.
    FindTasks(Asked),
    /// Read a page of a queue of a shard.
    Refill { epoch: Epoch, refill: Refill },
    /// Read how many tasks wait in each queue of these shards.
    Count(Vec<Epoch>),
    /// Read the settings of these shards' tenants, and those of all tenants together.
    LoadSettings { reading: u64, epochs: Vec<Epoch> },
    /// Tell the scheduler at this address that settings were changed.
    TellSettings { address: String },
    /// Make the tasks of a schedule whose time has come.
    Fire(Box<Firing>),
    /// Read the weights of these tenants.
    LoadTenants(Vec<TenantName>),
    /// Read the bodies of picked tasks.
    Fetch { session: SessionId, picked: Vec<Candidate> },
    /// Record leases, and forget those given back.
    Record { fence: Fence, leases: Vec<store::RecordedLease>, given_back: Vec<Id> },
    /// Note how far tasks are.
    SaveProgress { fence: Fence, progress: Vec<store::TaskProgress> },
    /// Tell the store of ended attempts.
    Settle(Settlement),
    /// Ask the scheduler at this address what may be used of the limits that it divides.
    AskShares { address: String, asks: Asks },
    /// Say something to a worker.
    Say { session: SessionId, message: Say },
}

/// What the store holds of a shard.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) epoch: Epoch,
    pub(crate) queues: Vec<QueueKey>,
    pub(crate) last_place: i64,
    pub(crate) running: Vec<Running>,
    pub(crate) settings: Vec<store::Setting>,
}

/// How long a task waited until its first attempt began.
pub(crate) type Wait = (TenantName, Priority, Duration);

/// The state.
#[derive(Debug)]
pub(crate) struct Engine {
    config: Config,
    name: String,
    policy: Policy,
    backoff: Backoff,
    rng: StdRng,
    shards: Shards,
    sessions: BTreeMap<SessionId, Session>,
    held: HashMap<Id, Held>,
    bodies: Bodies,
    words: Words,
    records: record::Records,
    /// Tasks whose time has not come, by that time.
    delayed: BTreeMap<(Timestamp, i64, Id), Candidate>,
    due: HashMap<Id, (Timestamp, i64)>,
    /// Tasks that wait for others.
    dependents: dependents::Dependents,
    /// Tasks that were changed by hand, until they are read again.
    changed: BTreeMap<Id, changed::Reading>,
    settings: BTreeMap<TenantName, settings::InForce>,
    shared: shared::Shared,
    schedules: BTreeMap<TenantName, BTreeMap<String, schedules::Armed>>,
    tenants: HashSet<TenantName>,
    /// Tenants whose weight is still to be read.
    unweighed: Vec<TenantName>,
    /// How many picked tasks are on their way to a worker.
    fetching: usize,
    /// How often a task's worker was lost while it ran it.
    losses: HashMap<Id, u32>,
    /// When it heard something last.
    heard_at: Option<Timestamp>,
    waits: Vec<Wait>,
    next_read: Timestamp,
    next_expiry: Timestamp,
    next_count: Timestamp,
    next_audit: Timestamp,
    /// Waiting tasks by priority that the store had besides those in memory when it was asked last.
    beyond: HashMap<Shard, [usize; 3]>,
    draining: bool,
}

impl Engine {
    /// An engine that knows nothing yet. `name` is unique among all runs of all schedulers.
    pub(crate) fn new(
        config: Config,
        name: String,
        shards: Shards,
        rng: StdRng,
    ) -> Result<Self, tidemill_policy::Error> {
        let policy = Policy::new(PolicyConfig {
            shares: config.shares.into(),
            window: config.window,
            default_concurrency: config.tenant_concurrency,
            overload: Overload {
                tenant_queued: config.tenant_max_queued,
                queued: config.max_queued,
                ..Overload::default()
            },
            ..PolicyConfig::default()
        })?;
        let engine = Self {
            bodies: Bodies::new(config.memory_bytes),
            config,
            name,
            policy,
            backoff: Backoff::default(),
            rng,
            shards,
            sessions: BTreeMap::new(),
            held: HashMap::new(),
            words: Words::default(),
            records: record::Records::default(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            dependents: dependents::Dependents::default(),
            changed: BTreeMap::new(),
            settings: BTreeMap::new(),
            shared: shared::Shared::default(),
            schedules: BTreeMap::new(),
            tenants: HashSet::new(),
            unweighed: Vec::new(),
            fetching: 0,
            losses: HashMap::new(),
            heard_at: None,
            waits: Vec::new(),
            next_read: Timestamp::default(),
            next_expiry: Timestamp::default(),
            next_count: Timestamp::default(),
            next_audit: Timestamp::default(),
            beyond: HashMap::new(),
            draining: false,
        };
        Ok(engine.begin_shared())
    }

    /// Whether a drained scheduler may end: no worker is left, nothing is on its way to one, and every shard was given up.
    pub(crate) fn is_drained(&self) -> bool {
        self.draining && self.sessions.is_empty() && self.fetching == 0 && self.shards.is_empty()
    }

    /// What a drain waits for, as a text.
    pub(crate) fn drains_after(&self) -> String {
        let workers: Vec<&str> = self.sessions.values().map(Session::worker).collect();
        let unwritten = self.records.unwritten(&self.held).len();
        format!(
            "{} tasks run, {} are on their way, {unwritten} shards have something to be written, {} shards are held; workers: {}",
            self.held.len(),
            self.fetching,
            self.shards.count(),
            workers.join(", ")
        )
    }

    /// Whether it was told to finish.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// The waits of the tasks that were handed out since this was asked last.
    pub(crate) fn take_waits(&mut self) -> Vec<Wait> {
        std::mem::take(&mut self.waits)
    }

    /// Takes in an event without handing anything out; [`Self::pump`] after several.
    pub(crate) fn hear(&mut self, event: Event, now: Timestamp, effects: &mut Vec<Effect>) {
        self.keep_time(now);
        match event {
            Event::Board { board, asked_at } => self.on_board(board, asked_at, now, effects),
            Event::Loaded(loaded) => self.on_loaded(*loaded, now, effects),
            Event::LoadFailed(epoch) => self.on_load_failed(epoch, effects),
            Event::Appended(tasks) => self.on_appended(tasks, now, effects),
            Event::Wake => self.read_all(now, effects),
            Event::New { epoch, tasks, through, more } => {
                self.on_new(epoch, tasks, through, more, now, effects);
            }
            Event::NewFailed(epoch) => self.on_new_failed(epoch),
            Event::Changed(changed) => self.on_changed(changed, effects),
            Event::ReadAgain { tasks, found } => self.on_read_again(&tasks, found, now, effects),
            Event::ReadAgainFailed(tasks) => self.on_read_again_failed(&tasks, effects),
            Event::Found { asked, found } => self.on_found(&asked, found.as_deref(), now, effects),
            Event::Refilled { epoch, refill, tasks, through, more } => {
                self.on_refilled(epoch, &refill, tasks, through, more, now);
            }
            Event::RefillFailed { epoch, refill } => self.on_refill_failed(epoch, &refill),
            Event::Audited { epoch, queues } => self.on_audited(epoch, &queues, now),
            Event::Settings { reading, epochs, settings } => {
                self.on_settings(reading, &epochs, settings, now, effects);
            }
            Event::SettingsChanged(tenant) => self.on_settings_changed(tenant.as_ref(), effects),
            Event::SettingsTold => self.load_settings(effects),
            Event::Fired { tenant, name, done } => self.on_fired(&tenant, &name, done),
            Event::Tenants(weights) => self.on_tenants(weights),
            Event::TenantsFailed(names) => self.unweighed.extend(names),
            Event::Joined { session, hello } => self.on_joined(session, *hello, now, effects),
            Event::Credits { session, count } => self.on_credits(session, count),
            Event::Withdraw { session, count } => self.on_withdraw(session, count, effects),
            Event::Results { session, results } => self.on_results(session, results, now, effects),
            Event::Heartbeat { session, beat } => self.on_heartbeat(session, beat, now, effects),
            Event::Progress { progress } => self.on_progress(progress),
            Event::CloseKey(close) => self.on_close_key(close, now),
            Event::Left { session, lost } => self.on_left(session, lost, now, effects),
            Event::Fetched { session, picked, tasks } => {
                self.on_fetched(session, picked, tasks, now, effects);
            }
            Event::FetchFailed { session, picked } => self.on_fetch_failed(session, &picked, effects),
            Event::Settled { settlement, accepted, follow_ups } => {
                self.on_settled(settlement, &accepted, follow_ups, now, effects);
            }
            Event::SettleFailed(settlement) => self.on_settle_failed(settlement, effects),
            Event::Recorded { leases, given_back, gone } => {
                self.on_recorded(&leases, &given_back, &gone, now, effects);
            }
            Event::RecordFailed { leases, given_back } => self.on_record_failed(&leases, given_back),
            Event::Fenced(epoch) => self.on_fenced(epoch, now, effects),
            Event::Shares { number, shares } => self.on_shares(number, &shares, now),
            Event::Tick => self.on_tick(now, effects),
            Event::Drain => self.on_drain(effects),
        }
    }

    /// Gives workers what they have credits for, and asks for what runs low.
    pub(crate) fn pump(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.draining {
            self.grant(now, effects);
        }
        self.ask_dependencies(now, effects);
        self.refill(effects);
    }
}
