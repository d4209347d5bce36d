//! What goes wrong, and how the world notes it for the judge.

use rand::Rng;
use rand::rngs::StdRng;

use super::plan::{BUSY, MS, Micros, SECOND, Weather, pick};
use super::world::{Happening, World};
use crate::checker::Who;
use crate::engine::Event;

/// A fault of somebody, by number.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// A scheduler is asked to stop; it is started again after a while.
    Drain(usize, Micros),
    /// A scheduler dies; it is started again after a while.
    Kill(usize, Micros),
    /// A scheduler stands still.
    Pause(usize, Micros),
    /// A scheduler does not reach the store.
    Cut(usize, Micros),
    /// A scheduler and the others do not reach each other.
    Part(usize, Micros),
    /// A scheduler's clock is moved, in microseconds.
    Clock(usize, i64),
    /// A worker dies; another one comes in its place.
    KillHand(usize, Micros),
    /// A worker stands still.
    PauseHand(usize, Micros),
    /// A worker's stream to a scheduler breaks.
    Break(usize, usize),
    /// The store restarts: what is under way to it or from it is lost.
    Store(Micros),
    /// The store's clock is moved.
    StoreClock(i64),
    /// Calls to the store fail or are slow for a while, so many of a hundred.
    Noise(Micros, u32),
}

/// Draws the faults of a run.
pub(super) fn plan(rng: &mut StdRng, weather: Weather, nodes: usize, hands: usize) -> Vec<(Micros, Fault)> {
    let count = rng.random_range(0..6);
    let mut faults: Vec<(Micros, Fault)> = Vec::new();
    for _ in 0..count {
        let (node, hand) = (rng.random_range(0..nodes), rng.random_range(0..hands));
        let while_ = *pick(rng, &[50 * MS, 400 * MS, SECOND, 3 * SECOND, 8 * SECOND]);
        let step = *pick(rng, &[-20_000_000, -3_000_000, -100_000, 100_000, 3_000_000, 20_000_000]);
        let fault = match (weather, rng.random_range(0..12)) {
            (Weather::Crashes | Weather::Storm, 11) => Fault::Part(node, while_),
            (Weather::Calm, _) | (_, 0) => Fault::Drain(node, while_),
            (_, 1 | 2) => Fault::Kill(node, while_),
            (_, 3) => Fault::Pause(node, while_),
            (_, 4) => Fault::KillHand(hand, while_),
            (_, 5) => Fault::PauseHand(hand, while_),
            (Weather::Crashes, 6 | 7) | (_, 6) => Fault::Cut(node, while_),
            (Weather::Crashes, _) => Fault::Break(hand, node),
            (_, 7) => Fault::Clock(node, step),
            (_, 8) => Fault::Store(while_),
            (_, 9) => Fault::StoreClock(step / 10),
            (_, _) => Fault::Noise(while_, *pick(rng, &[5, 30])),
        };
        faults.push((rng.random_range(0..BUSY), fault));
    }
    faults
}

impl World {
    /// Does what a fault does, and plans its end.
    pub(super) fn strike(&mut self, fault: Fault) {
        self.say(|| format!("--- {fault:?}"));
        match fault {
            Fault::Drain(node, while_) => {
                self.nodes[node].rest = while_;
                let run = self.nodes[node].run;
                self.after(0, Happening::Hear { node, run, event: Event::Drain });
            }
            Fault::Kill(node, while_) => {
                self.note_node(node, 0);
                self.end_node(node);
                self.after(while_, Happening::StartNode { node });
            }
            Fault::Pause(node, while_) => {
                self.note_node(node, while_);
                if !self.nodes[node].is_paused {
                    self.nodes[node].is_paused = true;
                    self.after(while_, Happening::ResumeNode { node });
                }
            }
            Fault::Cut(node, while_) => {
                // What is under way notices within its time.
                self.note_node(node, while_ + SECOND);
                self.nodes[node].cut_until = self.now + while_;
            }
            Fault::Part(node, while_) => self.nodes[node].apart_until = self.now + while_,
            Fault::Clock(node, step) => {
                self.note_node(node, 5 * SECOND);
                self.nodes[node].skew += step;
            }
            Fault::KillHand(hand, while_) => {
                self.note(Who::Worker(self.hands[hand].name.clone()), 0);
                self.end_hand(hand);
                self.after(while_, Happening::StartHand { hand });
            }
            Fault::PauseHand(hand, while_) => {
                self.note(Who::Worker(self.hands[hand].name.clone()), while_);
                if !self.hands[hand].is_paused {
                    self.hands[hand].is_paused = true;
                    self.after(while_, Happening::ResumeHand { hand });
                }
            }
            Fault::Break(hand, node) => {
                self.note(Who::Worker(self.hands[hand].name.clone()), 0);
                if let Some(pipe) = self.hands[hand].links.get(&node).map(|link| link.pipe) {
                    self.break_pipe(pipe);
                }
            }
            Fault::Store(while_) => {
                self.note(Who::Everybody, while_ + SECOND);
                self.store.down_until = self.store.down_until.max(self.now + while_);
                self.store.restarts += 1;
            }
            Fault::StoreClock(step) => {
                self.note(Who::Everybody, 5 * SECOND);
                self.store.skew += step;
                self.store.is_skewed = true;
            }
            Fault::Noise(while_, percent) => {
                self.note(Who::Everybody, while_ + SECOND);
                self.noise = (self.now + while_, percent);
            }
        }
    }

    fn note_node(&mut self, node: usize, while_: Micros) {
        self.note(Who::Scheduler(self.nodes[node].name.clone()), while_);
    }

    /// Notes that somebody is disturbed from now on for so long.
    pub(super) fn note(&mut self, who: Who, while_: Micros) {
        let (from, until) = (self.moment(), self.moment() + std::time::Duration::from_micros(while_));
        self.history.events.push(crate::checker::Event::Disturbed { who, from, until });
    }
}
