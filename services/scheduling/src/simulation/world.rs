//! The agenda of a run, the network, and who takes part. Whatever is random is drawn from the seed, in the order of the
//! agenda, so that a seed is one run.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidemill_proto::scheduling::v1::work_request::Message as Heard;
use tidemill_proto::scheduling::v1::work_response::Message as Say;

use super::calls::{Call, Store};
use super::client::Clients;
use super::faults::Fault;
use super::hand::Hand;
use super::node::Node;
use super::plan::{BUSY, MS, Micros, Plan, SECOND, Weather};
use crate::checker::{History, Moment};
use crate::engine::{Asks, Event, SessionId};

/// When everything must have come to rest. The longest that is waited for: an audit, after a call that timed out.
const LIMIT: Micros = 400 * SECOND;

/// How long it is watched after everything has ended: longer than a call is waited for.
const QUIET: Micros = 11 * SECOND;

/// What happens next.
#[derive(Debug)]
pub(super) enum Happening {
    /// A scheduler's clock ticks.
    Tick {
        node: usize,
        run: u32,
    },
    /// A scheduler is started.
    StartNode {
        node: usize,
    },
    /// A scheduler goes on.
    ResumeNode {
        node: usize,
    },
    /// A scheduler hears something.
    Hear {
        node: usize,
        run: u32,
        event: Event,
    },
    /// A call of a scheduler comes to the store.
    Call {
        node: usize,
        run: u32,
        call: u64,
        restarts: u32,
    },
    /// The answer comes back, or the caller gives up.
    Answer {
        node: usize,
        run: u32,
        call: u64,
        answer: Box<Result<super::calls::Reply, tonic::Status>>,
    },
    /// A call of a client comes to a scheduler.
    Ask {
        node: usize,
        run: u32,
        call: Call,
    },
    /// A scheduler is asked by another one about limits.
    Divide {
        node: usize,
        run: u32,
        from: usize,
        from_run: u32,
        asks: Asks,
    },
    /// A worker says something.
    FromHand {
        pipe: u64,
        message: Option<Heard>,
    },
    /// A worker is told something.
    ToHand {
        pipe: u64,
        message: Say,
    },
    /// One end of a pipe notices that it is broken.
    BrokenAtNode {
        node: usize,
        run: u32,
        session: SessionId,
    },
    BrokenAtHand {
        hand: usize,
        run: u32,
        pipe: u64,
    },
    /// A worker looks after itself.
    Look {
        hand: usize,
        run: u32,
    },
    /// An attempt ends.
    Done {
        hand: usize,
        run: u32,
        token: tidemill_kernel::Id,
    },
    StartHand {
        hand: usize,
    },
    ResumeHand {
        hand: usize,
    },
    /// A client asks, for the first time or again.
    Submit {
        index: usize,
        tries: u32,
    },
    /// A client was answered; none: he gives up.
    Told {
        index: usize,
        tries: u32,
        told: Option<Vec<(String, bool)>>,
    },
    /// A client cancels a task of his, or puts it back.
    Steer {
        index: usize,
        revive: bool,
    },
    Strike(Fault),
}

/// A worker's stream to a scheduler.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) hand: usize,
    pub(super) hand_run: u32,
    pub(super) node: usize,
    pub(super) node_run: u32,
    pub(super) session: SessionId,
    is_open: bool,
    /// When the last message arrives at either end: nothing overtakes another on one stream.
    at_node: Micros,
    at_hand: Micros,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: Micros,
    agenda: BTreeMap<(Micros, u64), Happening>,
    planned: u64,
    pub(super) rng: StdRng,
    pub(super) store: Store,
    pub(super) nodes: Vec<Node>,
    pub(super) hands: Vec<Hand>,
    pub(super) pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    pub(super) clients: Clients,
    pub(super) history: History,
    /// Until when so many of a hundred calls of the store fail.
    pub(super) noise: (Micros, u32),
    /// When everything must have come to rest.
    pub(super) limit: Micros,
    /// Whether it tells what happens.
    pub(super) talks: bool,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let store = Store::new(&plan.tenants);
        let mut world = Self {
            now: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            rng: StdRng::seed_from_u64(plan.seed ^ 0x5eed),
            nodes: (0..plan.schedulers).map(Node::new).collect(),
            hands: (0..plan.workers).map(|number| Hand::new(number, plan.workers)).collect(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            clients: Clients::new(plan.submissions.len()),
            history: History::default(),
            noise: (0, 0),
            limit: LIMIT,
            talks: std::env::var("TIDEMILL_SEED").is_ok_and(|seed| seed.parse::<u64>().is_ok()),
            store,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for node in 0..self.plan.schedulers {
            let at = if node == 0 { 0 } else { self.rng.random_range(0..BUSY / 2) };
            self.after(at, Happening::StartNode { node });
        }
        (0..self.plan.workers).for_each(|hand| self.after(0, Happening::StartHand { hand }));
        for (index, submission) in self.plan.submissions.clone().iter().enumerate() {
            self.after(submission.at, Happening::Submit { index, tries: 0 });
        }
        for (at, fault) in self.plan.faults.clone() {
            self.after(at, Happening::Strike(fault));
        }
    }

    /// Runs until everything rests; says what is left over then, as faults.
    pub(super) fn run(&mut self) -> Vec<String> {
        let mut look = BUSY + 2 * SECOND;
        let mut quiet_since = None;
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.now = self.now.max(at);
            self.happen(happening);
            if self.now < look {
                continue;
            }
            look = self.now + SECOND;
            match quiet_since {
                Some(since) if self.now > since + QUIET => break,
                None if self.clients.are_done() && self.store.is_done() => quiet_since = Some(self.now),
                _ if self.now > self.limit => break,
                None => self.mend(),
                Some(_) => {}
            }
        }
        self.history.events.extend(self.store.found());
        if quiet_since.is_some() { self.left_over() } else { vec!["it did not come to rest".to_owned()] }
    }

    /// Plans something.
    pub(super) fn after(&mut self, delay: Micros, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((self.now + delay, self.planned), happening);
    }

    fn happen(&mut self, happening: Happening) {
        let Some(happening) = self.awake(happening) else { return };
        match happening {
            Happening::Tick { node, run } => self.tick(node, run),
            Happening::StartNode { node } => self.start_node(node),
            Happening::ResumeNode { node } => self.resume_node(node),
            Happening::Hear { node, run, event } => {
                if self.nodes[node].run == run {
                    self.tell_engine(node, event);
                }
            }
            Happening::Call { node, run, call, restarts } => self.at_store(node, run, call, restarts),
            Happening::Answer { node, run, call, answer } => self.answered(node, run, call, *answer),
            Happening::Ask { node, run, call } => {
                if self.nodes[node].run == run && self.nodes[node].engine.is_some() {
                    self.call(node, call);
                }
            }
            Happening::Divide { node, run, from, from_run, asks } => {
                self.divide(node, run, (from, from_run), asks);
            }
            Happening::FromHand { pipe, message } => self.hear_hand(pipe, message),
            Happening::ToHand { pipe, message } => self.at_hand(pipe, message),
            Happening::BrokenAtNode { node, run, session } => self.broken_at_node(node, run, session),
            Happening::BrokenAtHand { hand, run, pipe } => self.broken_at_hand(hand, run, pipe),
            Happening::Look { hand, run } => self.look(hand, run),
            Happening::Done { hand, run, token } => self.done(hand, run, token),
            Happening::StartHand { hand } => self.start_hand(hand),
            Happening::ResumeHand { hand } => self.resume_hand(hand),
            Happening::Submit { index, tries } => self.submit(index, tries),
            Happening::Told { index, tries, told } => self.told(index, tries, told),
            Happening::Steer { index, revive } => self.steer(index, revive),
            Happening::Strike(fault) => self.strike(fault),
        }
    }

    /// What comes to somebody who stands still waits there.
    fn awake(&mut self, happening: Happening) -> Option<Happening> {
        let (node, hand) = match &happening {
            Happening::Tick { node, .. }
            | Happening::Hear { node, .. }
            | Happening::Answer { node, .. }
            | Happening::Ask { node, .. }
            | Happening::Divide { node, .. }
            | Happening::BrokenAtNode { node, .. } => (Some(*node), None),
            Happening::FromHand { pipe, .. } => (self.pipes.get(pipe).map(|pipe| pipe.node), None),
            Happening::ToHand { pipe, .. } => (None, self.pipes.get(pipe).map(|pipe| pipe.hand)),
            Happening::Look { hand, .. }
            | Happening::Done { hand, .. }
            | Happening::BrokenAtHand { hand, .. } => (None, Some(*hand)),
            _ => (None, None),
        };
        if let Some(node) = node.filter(|node| self.nodes[*node].is_paused) {
            self.nodes[node].inbox.push(happening);
            return None;
        }
        if let Some(hand) = hand.filter(|hand| self.hands[*hand].is_paused) {
            self.hands[hand].inbox.push(happening);
            return None;
        }
        Some(happening)
    }

    /// Lets all that waited happen now, in its order.
    pub(super) fn catch_up(&mut self, inbox: Vec<Happening>) {
        for happening in inbox {
            self.after(0, happening);
        }
    }

    /// How long the next message takes.
    pub(super) fn delay(&mut self) -> Micros {
        let usual = self.plan.delay;
        let spread = if self.plan.is_smooth || self.rng.random_bool(0.95) { usual } else { 30 * MS };
        self.rng.random_range(usual / 4..=spread)
    }

    pub(super) fn moment(&self) -> Moment {
        Moment::from_micros(self.now)
    }

    /// Tells whoever looks at one seed what happens.
    pub(super) fn say(&self, text: impl FnOnce() -> String) {
        if self.talks {
            println!("{:>10.3} ms  {}", self.now as f64 / 1_000.0, text());
        }
    }

    /// Opens a stream.
    pub(super) fn open_pipe(&mut self, hand: usize, node: usize) -> u64 {
        self.next_pipe += 1;
        let (hand_run, node_run) = (self.hands[hand].run, self.nodes[node].run);
        self.nodes[node].sessions += 1;
        let session = self.nodes[node].sessions;
        let (now, id) = (self.now, self.next_pipe);
        let pipe =
            Pipe { hand, hand_run, node, node_run, session, is_open: true, at_node: now, at_hand: now };
        self.pipes.insert(id, pipe);
        self.nodes[node].pipes.insert(session, id);
        id
    }

    /// Says something to a scheduler; none closes the stream.
    pub(super) fn send_to_node(&mut self, id: u64, message: Option<Heard>) {
        let delay = self.delay();
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_open) else { return };
        pipe.at_node = pipe.at_node.max(self.now + delay);
        let wait = pipe.at_node - self.now;
        self.after(wait, Happening::FromHand { pipe: id, message });
    }

    /// Says something to a worker.
    pub(super) fn send_to_hand(&mut self, id: u64, message: Say) {
        let delay = self.delay();
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_open) else { return };
        pipe.at_hand = pipe.at_hand.max(self.now + delay);
        let wait = pipe.at_hand - self.now;
        self.after(wait, Happening::ToHand { pipe: id, message });
    }

    /// Ends a stream by a fault: what is on its way is lost, and each end notices for itself.
    pub(super) fn break_pipe(&mut self, id: u64) {
        let (first, second) = (self.delay(), self.delay());
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_open) else { return };
        pipe.is_open = false;
        let Pipe { hand, hand_run, node, node_run, session, .. } = *pipe;
        self.after(first, Happening::BrokenAtNode { node, run: node_run, session });
        self.after(second, Happening::BrokenAtHand { hand, run: hand_run, pipe: id });
    }

    /// The stream, if it is open and both its ends are those that opened it.
    pub(super) fn pipe(&self, id: u64) -> Option<&Pipe> {
        let pipe = self.pipes.get(&id).filter(|pipe| pipe.is_open)?;
        let same = self.nodes[pipe.node].run == pipe.node_run && self.hands[pipe.hand].run == pipe.hand_run;
        same.then_some(pipe)
    }

    /// The stream, as far as what was said by it arrives at the scheduler that it was opened to: a worker that closed it, and
    /// ended before the scheduler heard of that, has closed it all the same.
    pub(super) fn to_node(&self, id: u64) -> Option<&Pipe> {
        let pipe = self.pipes.get(&id).filter(|pipe| pipe.is_open)?;
        (self.nodes[pipe.node].run == pipe.node_run).then_some(pipe)
    }

    /// Whether faults may still be about.
    pub(super) fn is_stormy(&self) -> bool {
        self.plan.weather == Weather::Storm && self.now < BUSY
    }

    /// What is held by anybody although there is nothing left to do.
    fn left_over(&self) -> Vec<String> {
        let mut left: Vec<String> = self.nodes.iter().flat_map(Node::left_over).collect();
        for (pipe, link) in self.hands.iter().flat_map(Hand::links) {
            let Some(pipe) = self.pipe(pipe) else { continue };
            let known = self.nodes[pipe.node].engine.as_ref().and_then(|engine| engine.credits(pipe.session));
            if known.is_some_and(|known| known != link.credits) {
                let (has, node) = (link.credits, &self.nodes[pipe.node].name);
                left.push(format!("a worker has {has} credits at {node}, which knows of {known:?}"));
            }
        }
        left
    }
}
