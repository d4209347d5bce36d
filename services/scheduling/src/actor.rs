//! The loop around the engine: events come in over one channel, effects go out as spawned calls whose answers come
//! back as events. The engine decides; nothing is decided here.

use std::collections::HashMap;
use std::time::Duration;

use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::Deps;
use crate::engine::{Answer, Effect, Engine, Event, Question, SessionId};
use crate::metrics::Figures;
use crate::perform::Performer;
use crate::submit::Submitter;
use crate::waits::Waits;

/// The pace of the engine's clock.
const TICK: Duration = Duration::from_millis(25);

/// After so many ticks the figures are told.
const TICKS: u32 = 40;

/// So many ticks into a drain it is told what it still waits for.
const LONG_DRAIN: u32 = 200;

/// The most events that are taken in before something is handed out.
const TURN: usize = 64;

/// Where a worker's messages go. Unbounded, and yet bounded: a worker is sent only what it gave credits for.
pub(crate) type Outbox = mpsc::UnboundedSender<Say>;

/// What the loop hears.
#[derive(Debug)]
pub(crate) enum Input {
    /// For the engine.
    Event(Event),
    /// A new stream: its outbox, then the engine's event.
    Join(SessionId, Outbox, Event),
    /// A question, and where its answer goes.
    Ask(Question, oneshot::Sender<Answer>),
}

/// The way to the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle(mpsc::UnboundedSender<Input>);

impl Handle {
    /// Tells the engine something. After the loop has ended, nothing.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.0.send(Input::Event(event));
    }

    /// Asks the engine something.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, Status> {
        let (answer, answered) = oneshot::channel();
        let stopping = || Status::unavailable("the scheduler is stopping; try again in a moment");
        self.0.send(Input::Ask(question, answer)).map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }

    /// Waits until the loop has ended.
    pub(crate) async fn ended(&self) {
        self.0.closed().await;
    }

    /// Brings a stream in.
    pub(crate) fn join(&self, session: SessionId, outbox: Outbox, event: Event) {
        let _ = self.0.send(Input::Join(session, outbox, event));
    }
}

/// The loop.
pub(crate) struct Actor {
    engine: Engine,
    inputs: mpsc::UnboundedReceiver<Input>,
    performer: Performer,
    outboxes: HashMap<SessionId, Outbox>,
    deps: Deps,
    waits: Waits,
    figures: Figures,
    ticks: u32,
    /// Since the drain began.
    drain_ticks: u32,
}

impl Actor {
    pub(crate) fn new(engine: Engine, deps: Deps, waits: Waits) -> (Self, Handle, Submitter) {
        let (sender, inputs) = mpsc::unbounded_channel();
        let handle = Handle(sender);
        let submitter = Submitter::start(deps.tasks.clone(), handle.clone());
        let performer = Performer {
            deps: deps.clone(),
            handle: handle.clone(),
            submitter: submitter.clone(),
            calls: TaskTracker::new(),
        };
        let actor = Self {
            engine,
            inputs,
            performer,
            outboxes: HashMap::new(),
            deps,
            waits,
            figures: Figures::new(),
            ticks: 0,
            drain_ticks: 0,
        };
        (actor, handle, submitter)
    }

    /// Runs until the token is cancelled, every worker has left and every shard was given up.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        info!("scheduling");
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut inputs = Vec::with_capacity(TURN);
        while !self.engine.is_drained() {
            tokio::select! {
                count = self.inputs.recv_many(&mut inputs, TURN) => {
                    if count == 0 {
                        break;
                    }
                    self.take(&mut inputs);
                }
                _ = ticks.tick() => self.tick(),
                () = stop.cancelled(), if !self.engine.is_draining() => self.step([Event::Drain]),
            }
        }
        // Leases that were given back and shards that were left: the store hears of them before the process ends.
        self.performer.finish().await;
    }

    fn tick(&mut self) {
        self.step([Event::Tick]);
        if self.engine.is_draining() {
            self.drain_ticks += 1;
            if self.drain_ticks == LONG_DRAIN {
                warn!(waits_for = self.engine.drains_after(), "the drain takes long");
            }
        }
        if self.ticks == 0 {
            self.figures.tell(&self.engine.census());
        }
        self.ticks = (self.ticks + 1) % TICKS;
    }

    /// Takes in what has come, then hands out once for all of it.
    fn take(&mut self, inputs: &mut Vec<Input>) {
        let mut events = Vec::with_capacity(inputs.len());
        for input in inputs.drain(..) {
            match input {
                Input::Event(event) => events.push(event),
                Input::Join(session, outbox, event) => {
                    self.outboxes.insert(session, outbox);
                    events.push(event);
                }
                Input::Ask(question, answer) => {
                    // What was said before is heard before.
                    self.step(std::mem::take(&mut events));
                    let _ = answer.send(self.engine.answer(question, self.deps.clock.now()));
                }
            }
        }
        self.step(events);
    }

    fn step(&mut self, events: impl IntoIterator<Item = Event>) {
        let now = self.deps.clock.now();
        let mut effects = Vec::new();
        for event in events {
            if let Event::Left { session, .. } = &event {
                self.outboxes.remove(session);
            }
            self.engine.hear(event, now, &mut effects);
        }
        self.engine.pump(now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Say { session, message } => self.say(session, message),
                effect => self.performer.perform(effect, now),
            }
        }
        let waits = self.engine.take_waits();
        if !waits.is_empty() {
            self.waits.note(&waits);
            waits.iter().for_each(|(_, priority, wait)| self.figures.waited(*priority, *wait));
        }
    }

    fn say(&self, session: SessionId, message: Say) {
        // A stream that has just ended is about to be reported as left.
        if self.outboxes.get(&session).is_some_and(|outbox| outbox.send(message).is_err()) {
            debug!(session, "a worker's stream ended while it was spoken to");
        }
    }
}
