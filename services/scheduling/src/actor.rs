//! The loop around the engine: events come in over one channel, effects go out as spawned calls whose answers come
//! back as events. The engine decides; nothing is decided here.

use std::collections::HashMap;
use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use crate::Deps;
use crate::engine::{Effect, Engine, Event, SessionId};
use crate::metrics::Figures;
use crate::perform::Performer;
use crate::waits::Waits;

/// The pace of the engine's clock.
const TICK: Duration = Duration::from_millis(50);

/// After so many ticks the figures are told.
const TICKS: u32 = 20;

/// Where a worker's messages go. Unbounded, and yet bounded: a worker is sent only what it gave credits for.
pub(crate) type Outbox = mpsc::UnboundedSender<Say>;

/// What the loop hears.
#[derive(Debug)]
pub(crate) enum Input {
    /// For the engine.
    Event(Event),
    /// A new stream: its outbox, then the engine's event.
    Join(SessionId, Outbox, Event),
}

/// The way to the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle(mpsc::UnboundedSender<Input>);

impl Handle {
    /// Tells the engine something. After the loop has ended, nothing.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.0.send(Input::Event(event));
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
}

impl Actor {
    pub(crate) fn new(engine: Engine, deps: Deps, waits: Waits) -> (Self, Handle) {
        let (sender, inputs) = mpsc::unbounded_channel();
        let handle = Handle(sender);
        let performer = Performer { deps: deps.clone(), handle: handle.clone(), calls: TaskTracker::new() };
        let actor = Self {
            engine,
            inputs,
            performer,
            outboxes: HashMap::new(),
            deps,
            waits,
            figures: Figures::new(),
            ticks: 0,
        };
        (actor, handle)
    }

    /// Runs until the token is cancelled and every worker has left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        if !self.performer.load(&stop).await {
            return;
        }
        info!("scheduling");
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut draining = false;
        while !self.engine.is_drained() {
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                _ = ticks.tick() => self.tick(),
                () = stop.cancelled(), if !draining => {
                    draining = true;
                    self.step(Event::Drain);
                }
            }
        }
        // Workers gave back what they held; the store hears of it before the process ends.
        self.performer.finish().await;
    }

    fn tick(&mut self) {
        self.step(Event::Tick);
        if self.ticks == 0 {
            self.figures.tell(&self.engine.census());
        }
        self.ticks = (self.ticks + 1) % TICKS;
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.step(event),
            Input::Join(session, outbox, event) => {
                self.outboxes.insert(session, outbox);
                self.step(event);
            }
        }
    }

    fn step(&mut self, event: Event) {
        if let Event::Left { session } = &event {
            self.outboxes.remove(session);
        }
        if let Event::Leased { leases, .. } = &event {
            for task in leases.iter().filter_map(|lease| lease.task.as_ref()) {
                if let Some((priority, wait)) = self.waits.note(task) {
                    self.figures.waited(priority, wait);
                }
            }
        }
        for effect in self.engine.handle(event, self.deps.clock.now()) {
            match effect {
                Effect::Say { session, message } => self.say(session, message),
                effect => self.performer.perform(effect),
            }
        }
    }

    fn say(&self, session: SessionId, message: Say) {
        // A stream that has just ended is about to be reported as left.
        if self.outboxes.get(&session).is_some_and(|outbox| outbox.send(message).is_err()) {
            debug!(session, "a worker's stream ended while it was spoken to");
        }
    }
}

/// Waits for a while, or less if the process is to stop. False then.
pub(crate) async fn pause(length: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = sleep(length) => true,
        () = stop.cancelled() => false,
    }
}
