//! A call's way: there, back, and what its caller does when it fails.

use rand::Rng;
use tonic::Status;

use super::super::plan::{MS, Micros, SECOND};
use super::super::world::{Happening, World};
use super::{Call, Reply, recorded};
use crate::convert;
use crate::engine::{Changed, Event};

impl Call {
    /// What the engine hears when a call has failed, and what is asked again after how long.
    fn failed(self, fault: &Status) -> (Vec<Event>, Option<(Micros, Self)>) {
        let only = |event: Event| (vec![event], None);
        match self {
            Self::Claim(_, asked_at) => only(Event::Board { board: None, asked_at }),
            Self::Queues(epoch) | Self::Running { epoch, .. } => only(Event::LoadFailed(epoch)),
            Self::New(epoch, _) => only(Event::NewFailed(epoch)),
            Self::Refill(epoch, refill) => only(Event::RefillFailed { epoch, refill }),
            Self::Tenants(names) => only(Event::TenantsFailed(names)),
            Self::ReadAgain(tasks) => only(Event::ReadAgainFailed(tasks)),
            Self::Find(asked) => only(Event::Found { asked, found: None }),
            Self::Fetch(session, picked) => only(Event::FetchFailed { session, picked }),
            Self::Record(fence, leases, given_back) => {
                let failed = Event::RecordFailed { leases: recorded(&leases), given_back };
                (convert::fenced(fault, &fence).into_iter().chain([failed]).collect(), None)
            }
            Self::Progress(fence, _) => (convert::fenced(fault, &fence).into_iter().collect(), None),
            Self::Settle(settlement, tries) => match convert::fenced(fault, &settlement.fence) {
                Some(fenced) => (vec![fenced, Event::SettleFailed(settlement)], None),
                None if tries < 5 => (Vec::new(), Some((SECOND, Self::Settle(settlement, tries + 1)))),
                None => only(Event::SettleFailed(settlement)),
            },
            // The store may have done it.
            Self::Cancel { task, .. } | Self::Revive { task, .. } => {
                only(Event::Changed(Changed::otherwise(task.parse().into_iter().collect())))
            }
            Self::Count(_) | Self::Append { .. } => (Vec::new(), None),
        }
    }

    /// How long the caller waits.
    fn patience(&self) -> Micros {
        if matches!(self, Self::Claim(..)) { SECOND } else { 10 * SECOND }
    }
}

impl World {
    /// Sends a call to the store.
    pub(in crate::simulation) fn call(&mut self, node: usize, call: Call) {
        let (run, patience) = (self.nodes[node].run, call.patience());
        if let Call::Settle(settlement, _) = &call
            && settlement.fence.is_empty()
        {
            self.tell_engine(node, Event::SettleFailed(settlement.clone()));
            return;
        }
        let number = self.nodes[node].begin(call);
        let late = Status::deadline_exceeded("the store did not answer");
        self.after(patience, Happening::Answer { node, run, call: number, answer: Box::new(Err(late)) });
        let (delay, restarts) = (self.call_delay(), self.store.restarts);
        if self.is_lost(node) {
            self.fail(node, run, number, delay);
        } else {
            self.after(delay, Happening::Call { node, run, call: number, restarts });
        }
    }

    /// A call is executed, even if its caller does not wait for it any more; and its answer may get lost.
    pub(in crate::simulation) fn at_store(&mut self, node: usize, run: u32, number: u64, restarts: u32) {
        let Some(call) = self.nodes[node].under_way(run, number) else { return };
        let delay = self.call_delay();
        if self.now < self.store.down_until || restarts != self.store.restarts {
            self.fail(node, run, number, delay);
            return;
        }
        let answer = match self.plan.mutant {
            Some(mutant) => {
                let answer = self.store.execute(&mutant.asks(call), self.now, self.plan.page);
                answer.map(|reply| mutant.hears(reply))
            }
            None => self.store.execute(&call, self.now, self.plan.page),
        };
        if self.is_lost(node) {
            self.fail(node, run, number, delay);
        } else {
            self.after(delay, Happening::Answer { node, run, call: number, answer: Box::new(answer) });
        }
    }

    /// The caller notices soon that its connection broke, or only when its patience is over.
    fn fail(&mut self, node: usize, run: u32, call: u64, delay: Micros) {
        if self.rng.random_bool(0.8) {
            let answer = Box::new(Err(Status::unavailable("the line is cut")));
            self.after(delay, Happening::Answer { node, run, call, answer });
        }
    }

    fn is_lost(&mut self, node: usize) -> bool {
        let is_noisy = self.now < self.noise.0 && self.rng.random_ratio(self.noise.1, 100);
        is_noisy || self.now < self.nodes[node].cut_until
    }

    fn call_delay(&mut self) -> Micros {
        let is_slow = self.now < self.noise.0 && self.rng.random_bool(0.05);
        if is_slow { self.rng.random_range(20 * MS..3 * SECOND) } else { self.delay() }
    }

    pub(in crate::simulation) fn answered(
        &mut self,
        node: usize,
        run: u32,
        number: u64,
        answer: Result<Reply, Status>,
    ) {
        if self.nodes[node].run != run {
            return;
        }
        let Some(call) = self.nodes[node].end(number) else { return };
        match answer {
            Ok(Reply::Events(events)) => events.into_iter().for_each(|event| self.tell_engine(node, event)),
            Ok(Reply::Next(next)) => self.call(node, next),
            Ok(Reply::Stored(stored)) => self.stored(node, call, &stored),
            Err(fault) => {
                self.say(|| format!("s{node}: {fault:?} for {call:?}").chars().take(300).collect());
                let (events, again) = call.failed(&fault);
                events.into_iter().for_each(|event| self.tell_engine(node, event));
                if let Some((pause, call)) = again {
                    self.after(pause, Happening::Ask { node, run, call });
                }
            }
        }
    }
}
