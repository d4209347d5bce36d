//! A scheduler's process: the engine with its clock, its calls under way and its streams, as `actor` and `worker` have them.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidemill_kernel::Timestamp;
use tidemill_proto::scheduling::v1::work_request::Message as Heard;

use super::calls::{Call, wall};
use super::plan::{MS, Micros, SECOND};
use super::world::{Happening, World};
use crate::engine::{Answer, Asks, Changed, Effect, Engine, Event, Question, SessionId, Shards, Source};

/// The pace of the engine's clock.
const TICK: Micros = 25 * MS;

/// A scheduler, in one run after the other.
pub(super) struct Node {
    /// Of this run.
    pub(super) name: String,
    pub(super) run: u32,
    /// None while it is away.
    pub(super) engine: Option<Engine>,
    pub(super) skew: i64,
    pub(super) is_paused: bool,
    pub(super) inbox: Vec<Happening>,
    pub(super) cut_until: Micros,
    /// Until when it reaches no other scheduler.
    pub(super) apart_until: Micros,
    /// How long it is away after a drain.
    pub(super) rest: Micros,
    calls: BTreeMap<u64, Call>,
    /// Calls of this run and of earlier ones that are on their way: the store executes them whatever became of the caller.
    on_way: BTreeMap<(u32, u64), Call>,
    next_call: u64,
    pub(super) sessions: SessionId,
    pub(super) pipes: BTreeMap<SessionId, u64>,
}

impl Node {
    pub(super) fn new(number: usize) -> Self {
        Self {
            name: format!("s{number}"),
            run: 0,
            engine: None,
            skew: 0,
            is_paused: false,
            inbox: Vec::new(),
            cut_until: 0,
            apart_until: 0,
            rest: 0,
            calls: BTreeMap::new(),
            on_way: BTreeMap::new(),
            next_call: 0,
            sessions: 0,
            pipes: BTreeMap::new(),
        }
    }

    fn address(number: usize) -> String {
        format!("s{number}")
    }

    pub(super) fn begin(&mut self, call: Call) -> u64 {
        self.next_call += 1;
        self.on_way.insert((self.run, self.next_call), call.clone());
        self.calls.insert(self.next_call, call);
        self.next_call
    }

    /// A call that comes to the store now.
    pub(super) fn under_way(&mut self, run: u32, number: u64) -> Option<Call> {
        self.on_way.remove(&(run, number))
    }

    /// A call whose caller waits for it still.
    pub(super) fn end(&mut self, number: u64) -> Option<Call> {
        self.calls.remove(&number)
    }

    /// What it holds although nothing is left to do.
    pub(super) fn left_over(&self) -> Vec<String> {
        let held = self.engine.as_ref().map(Engine::left_over).unwrap_or_default();
        held.into_iter().map(|what| format!("{} still has {what}", self.name)).collect()
    }
}

impl World {
    pub(super) fn start_node(&mut self, number: usize) {
        if self.nodes[number].engine.is_some() {
            return;
        }
        let seed = self.rng.random();
        let config = self.plan.config.clone();
        let config = match self.plan.mutant {
            Some(mutant) => mutant.config(config),
            None => config,
        };
        let node = &mut self.nodes[number];
        node.run += 1;
        node.name = format!("s{number}.{}", node.run);
        (node.is_paused, node.calls) = (false, BTreeMap::new());
        let (name, lease) = (node.name.clone(), config.shard_lease());
        let shards = Shards::new(name.clone(), Node::address(number), lease, false);
        node.engine = Some(Engine::new(config, name, shards, StdRng::seed_from_u64(seed)).unwrap());
        let run = node.run;
        self.say(|| format!("--- s{number}.{run} starts"));
        self.after(0, Happening::Tick { node: number, run });
    }

    /// Ends a scheduler's process at once.
    pub(super) fn end_node(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        (node.engine, node.calls, node.is_paused) = (None, BTreeMap::new(), false);
        node.inbox.clear();
        let pipes: Vec<u64> = std::mem::take(&mut node.pipes).into_values().collect();
        pipes.into_iter().for_each(|pipe| self.break_pipe(pipe));
        self.nodes[number].run += 1;
    }

    pub(super) fn resume_node(&mut self, number: usize) {
        if std::mem::take(&mut self.nodes[number].is_paused) {
            let mut inbox = std::mem::take(&mut self.nodes[number].inbox);
            if self.rng.random_bool(0.5) {
                // Its clock ticks before it hears what has come meanwhile, or after.
                inbox.sort_by_key(|happening| !matches!(happening, Happening::Tick { .. }));
            }
            self.say(|| format!("--- s{number} goes on"));
            self.catch_up(inbox);
        }
    }

    pub(super) fn tick(&mut self, number: usize, run: u32) {
        if self.nodes[number].run != run || self.nodes[number].engine.is_none() {
            return;
        }
        self.tell_engine(number, Event::Tick);
        self.after(TICK, Happening::Tick { node: number, run });
    }

    /// Tells the engine something, and does what it wants done.
    pub(super) fn tell_engine(&mut self, number: usize, event: Event) {
        let now = self.clock_of(number);
        let heard = (self.talks && !matches!(event, Event::Tick)).then(|| format!("{event:?}"));
        let Some(engine) = &mut self.nodes[number].engine else { return };
        let mut effects = Vec::new();
        engine.hear(event, now, &mut effects);
        engine.pump(now, &mut effects);
        let is_drained = engine.is_drained();
        if let Some(heard) = heard {
            self.say(|| format!("  s{number} hears {heard:.400}"));
        }
        for effect in &effects {
            self.say(|| format!("  s{number} wants {:.400}", format!("{effect:?}")));
        }
        for effect in effects {
            self.perform(number, effect, now);
        }
        if is_drained && self.nodes[number].engine.is_some() {
            let rest = self.nodes[number].rest;
            self.say(|| format!("--- s{number} is drained"));
            self.end_node(number);
            self.after(rest, Happening::StartNode { node: number });
        }
    }

    fn clock_of(&self, number: usize) -> Timestamp {
        wall(self.now, self.nodes[number].skew)
    }

    fn perform(&mut self, number: usize, effect: Effect, now: Timestamp) {
        let call = match effect {
            Effect::Claim(claim) => Call::Claim(claim, now),
            Effect::Load(epoch) => Call::Queues(epoch),
            Effect::LoadNew { epoch, after } => Call::New(epoch, after),
            Effect::Refill { epoch, refill } => Call::Refill(epoch, refill),
            Effect::Count(epochs) => {
                epochs.into_iter().for_each(|epoch| self.call(number, Call::Count(epoch)));
                return;
            }
            Effect::LoadTenants(names) => Call::Tenants(names),
            Effect::Fetch { session, picked } => Call::Fetch(session, picked),
            Effect::Record { fence, leases, given_back } => Call::Record(fence, leases, given_back),
            Effect::SaveProgress { fence, progress } => Call::Progress(fence, progress),
            Effect::Settle(settlement) => Call::Settle(settlement, 1),
            Effect::Say { session, message } => {
                if let Some(pipe) = self.nodes[number].pipes.get(&session).copied() {
                    self.send_to_hand(pipe, message);
                }
                return;
            }
            Effect::WakeOwner { address } => return self.wake(&address),
            Effect::TellOwner { address, changed } => return self.tell_owner(number, &address, changed),
            Effect::AskShares { address, asks } => return self.ask_shares(number, &address, asks),
            Effect::ReadAgain(tasks) => Call::ReadAgain(tasks),
            Effect::FindTasks(asked) => Call::Find(asked),
            // Nobody here has settings.
            Effect::LoadSettings { .. } | Effect::TellSettings { .. } | Effect::Fire(_) => return,
        };
        self.call(number, call);
    }

    /// A hint from one scheduler to another, which may get lost.
    fn wake(&mut self, address: &str) {
        let Some(node) = (0..self.nodes.len()).find(|node| Node::address(*node) == address) else { return };
        let (delay, run) = (self.delay(), self.nodes[node].run);
        if !self.is_stormy() || self.rng.random_bool(0.8) {
            self.after(delay, Happening::Hear { node, run, event: Event::Wake });
        }
    }

    /// A hint of one scheduler to another that names tasks; one that gets lost is told again.
    fn tell_owner(&mut self, from: usize, address: &str, changed: Changed) {
        let delay = self.delay();
        let is_heard = !self.is_stormy() || self.rng.random_bool(0.8);
        let to = (0..self.nodes.len()).find(|node| Node::address(*node) == address);
        if let Some(node) = to.filter(|node| self.is_reachable(*node) && is_heard) {
            let (run, event) = (self.nodes[node].run, Changed { from: Source::Peer, ..changed });
            self.after(delay, Happening::Hear { node, run, event: Event::Changed(event) });
        } else if let Some(again) = changed.clone().again(changed.tasks) {
            let run = self.nodes[from].run;
            self.after(SECOND, Happening::Hear { node: from, run, event: Event::Changed(again) });
        }
    }

    /// A question of one scheduler to another about limits, which may get lost, and its answer, which may too.
    fn ask_shares(&mut self, from: usize, address: &str, asks: Asks) {
        let (run, number) = (self.nodes[from].run, asks.number);
        let nothing = Event::Shares { number, shares: Vec::new() };
        self.after(SECOND, Happening::Hear { node: from, run, event: nothing });
        let delay = self.delay();
        let to = (0..self.nodes.len()).find(|node| Node::address(*node) == address);
        if let Some(node) = to.filter(|to| !self.is_apart(from, *to)) {
            let to_run = self.nodes[node].run;
            self.after(delay, Happening::Divide { node, run: to_run, from, from_run: run, asks });
        }
    }

    pub(super) fn divide(&mut self, node: usize, run: u32, (from, from_run): (usize, u32), asks: Asks) {
        let (now, number) = (self.clock_of(node), asks.number);
        if self.nodes[node].run != run {
            return;
        }
        let Some(engine) = &mut self.nodes[node].engine else { return };
        let Answer::Divided(mut shares) = engine.answer(Question::Divide(asks), now) else { return };
        if let Some(mutant) = self.plan.mutant {
            shares.iter_mut().for_each(|(_, share)| *share = mutant.share(*share));
        }
        self.say(|| format!("  s{node} tells s{from} to use {shares:?}"));
        let delay = self.delay();
        if !self.is_apart(from, node) {
            let event = Event::Shares { number, shares };
            self.after(delay, Happening::Hear { node: from, run: from_run, event });
        }
    }

    /// Whether what one scheduler says to another gets lost.
    fn is_apart(&mut self, one: usize, other: usize) -> bool {
        let are_apart = [one, other].iter().any(|node| self.now < self.nodes[*node].apart_until);
        are_apart || (self.is_stormy() && self.rng.random_bool(0.1))
    }

    /// A worker's message comes to its scheduler; none: it has closed its stream.
    pub(super) fn hear_hand(&mut self, pipe: u64, message: Option<Heard>) {
        let Some((node, session)) = self.to_node(pipe).map(|pipe| (pipe.node, pipe.session)) else { return };
        let mut event = match message {
            Some(Heard::Hello(hello)) => Event::Joined { session, hello: Box::new(hello) },
            Some(Heard::Credits(credits)) => Event::Credits { session, count: credits.count },
            Some(Heard::Withdraw(back)) => Event::Withdraw { session, count: back.count },
            Some(Heard::Results(results)) => Event::Results { session, results },
            Some(Heard::Heartbeat(beat)) => Event::Heartbeat { session, beat },
            Some(Heard::Progress(progress)) => Event::Progress { progress },
            Some(Heard::CloseKey(_)) => return,
            None => {
                self.nodes[node].pipes.remove(&session);
                self.pipes.remove(&pipe);
                Event::Left { session, lost: false }
            }
        };
        if let Some(mutant) = self.plan.mutant {
            mutant.hears_worker(&mut event);
        }
        self.tell_engine(node, event);
    }

    pub(super) fn broken_at_node(&mut self, node: usize, run: u32, session: SessionId) {
        if self.nodes[node].run == run {
            self.nodes[node].pipes.remove(&session);
            self.tell_engine(node, Event::Left { session, lost: true });
        }
    }

    /// Whether a scheduler answers a call to open a stream.
    pub(super) fn is_reachable(&self, number: usize) -> bool {
        self.nodes[number].engine.is_some()
    }
}
