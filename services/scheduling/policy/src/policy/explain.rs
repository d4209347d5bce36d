//! Why a task does not run yet, and when it should.

use std::sync::Arc;
use std::time::Duration;

use tidemill_kernel::{Id, Timestamp};

use super::Policy;
use crate::candidate::Candidate;
use crate::limits::{Scope, Verdict};
use crate::tasks::{Due, State};
use crate::worker::{Lack, Worker, fits_nowhere};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The task.
    pub task: Candidate,
    /// Everything that keeps it from running; empty: it is next.
    pub reasons: Vec<Reason>,
    /// When it should start by the measured rate of dispatches; `None` if that is not known: nothing is dispatched, or
    /// something has to change first that time alone does not change.
    pub starts_in: Option<Duration>,
}

/// What keeps a task from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It runs already.
    Runs,
    /// It waits for its next attempt.
    Postponed,
    /// A limit holds it back.
    Limit {
        /// Which one.
        scope: Scope,
        /// In what way.
        verdict: Verdict,
    },
    /// Its tenant runs so many tasks as it may.
    TenantFull {
        /// How many run.
        running: u32,
        /// How many may.
        cap: u32,
    },
    /// Another task of its order key comes first.
    OrderKey {
        /// The key.
        key: Arc<str>,
        /// The task that comes first.
        first: Id,
        /// How many come before it in all.
        ahead: usize,
    },
    /// No worker that could run it has as much memory free as it needs.
    Memory {
        /// Bytes that it needs, as they are set aside.
        needed: u64,
        /// Bytes that are free at the worker that has most.
        free: u64,
        /// Whether a worker's memory is kept for it, or another one like it.
        is_kept: bool,
    },
    /// No worker that is known can run it; this is what the nearest lacks.
    NoWorker(Vec<Lack>),
    /// It is not its turn.
    Turn {
        /// How many tasks of its tenant and priority come first.
        ahead: usize,
        /// How many tenants of its priority take turns with its own.
        rivals: usize,
    },
}

impl Policy {
    /// Why a task does not run yet; `None` if it is not in memory. `workers`: all that are known.
    pub fn explain<'a>(
        &mut self,
        id: Id,
        workers: impl IntoIterator<Item = &'a Worker>,
        now: Timestamp,
    ) -> Option<Explanation> {
        self.advance(now);
        let slot = self.tasks.find(id)?;
        let task = self.candidate(slot)?;
        let state = self.tasks[slot].state();
        if let State::Running | State::Postponed = state {
            let reason = if state == State::Running { Reason::Runs } else { Reason::Postponed };
            return Some(Explanation { task, reasons: vec![reason], starts_in: None });
        }
        let mut reasons = self.limits_of(slot);
        reasons.extend(self.order_of(slot, state));
        let workers: Vec<&Worker> = workers.into_iter().collect();
        let lacks = fits_nowhere(&task.kind, task.traits.as_deref(), workers.iter().copied());
        reasons.extend(lacks.map(Reason::NoWorker));
        reasons.extend(self.memory_of(slot, &task, &workers));
        let (ahead, rivals) = self.turn_of(slot);
        if ahead > 0 || rivals > 0 {
            reasons.push(Reason::Turn { ahead, rivals });
        }
        let starts_in = self.estimate(slot, &reasons, ahead, rivals);
        Some(Explanation { task, reasons, starts_in })
    }

    fn limits_of(&self, slot: u32) -> Vec<Reason> {
        let (number, cost) = (self.tasks[slot].line(), self.tasks[slot].cost);
        let gates = self.line(number).gates.iter().map(|&gate| &self.gates[gate as usize]);
        let shut = gates.filter(|gate| gate.shut);
        let mut reasons: Vec<Reason> = shut
            .filter_map(|gate| {
                let verdict = gate.verdict_for(cost).or(gate.verdict())?;
                Some(Reason::Limit { scope: gate.scope.clone(), verdict })
            })
            .collect();
        let tenant = &self.tenants[self.tenant_at(number) as usize];
        if let Some(cap) = tenant.cap.filter(|cap| tenant.running >= *cap) {
            reasons.push(Reason::TenantFull { running: tenant.running, cap });
        }
        reasons
    }

    fn memory_of(&self, slot: u32, task: &Candidate, workers: &[&Worker]) -> Option<Reason> {
        let needed = task.traits.as_ref()?.reserved_memory();
        let suited =
            workers.iter().filter(|worker| worker.lacks(&task.kind, task.traits.as_deref()).is_empty());
        let free = suited.map(|worker| worker.free_memory).max().filter(|free| *free < needed)?;
        Some(Reason::Memory { needed, free, is_kept: self.is_kept_for(slot) })
    }

    fn order_of(&self, slot: u32, state: State) -> Option<Reason> {
        let task = &self.tasks[slot];
        let key = task.traits.as_ref()?.order_key.clone().filter(|_| state == State::Hidden)?;
        let tenant = self.tenant_at(task.line());
        let (first, ahead) = self.order_keys.ahead(tenant, &key, task.sequence)?;
        Some(Reason::OrderKey { key, first: self.tasks[first].id, ahead })
    }

    /// How many of its tenant and priority come first, and how many other tenants of its priority are ready.
    fn turn_of(&self, slot: u32) -> (usize, usize) {
        let due = self.tasks[slot].due(self.patience());
        let number = self.tasks[slot].line();
        let own = &self.bunches[self.line(number).bunch as usize];
        let of_tenant = self.tenants[own.tenant as usize].bunches.iter();
        let bunches =
            of_tenant.map(|&bunch| &self.bunches[bunch as usize]).filter(|bunch| bunch.lane == own.lane);
        let ahead = bunches.flat_map(|bunch| &bunch.lines).map(|&line| self.before(line, due)).sum();
        let others = self.bunches.iter().map(|entry| entry.1);
        let others =
            others.filter(|bunch| bunch.ready && bunch.lane == own.lane && bunch.tenant != own.tenant);
        let mut rivals: Vec<u32> = others.map(|bunch| bunch.tenant).collect();
        rivals.sort_unstable();
        rivals.dedup();
        (ahead, rivals.len())
    }

    fn before(&self, line: u32, due: Due) -> usize {
        self.line(line).iter().take_while(|&slot| self.tasks[slot].due(self.patience()) < due).count()
    }

    /// Its tenant's own rate says it best; without one, its fair part of all dispatches. What is shut until a moment
    /// starts no sooner.
    fn estimate(&self, slot: u32, reasons: &[Reason], ahead: usize, rivals: usize) -> Option<Duration> {
        let mut least = Duration::ZERO;
        for reason in reasons {
            match reason {
                Reason::Limit { verdict: Verdict::Paused, .. } | Reason::NoWorker(_) => return None,
                Reason::Limit { verdict, .. } => {
                    least = verdict.until().map_or(least, |until| least.max(until.since(self.now)));
                }
                _ => {}
            }
        }
        let tenant = &self.tenants[self.tenant_at(self.tasks[slot].line()) as usize];
        let own = tenant.meter.time_for(ahead + 1, self.now);
        let turn = own.or_else(|| self.meter.time_for((ahead + 1) * (rivals + 1), self.now))?;
        Some(turn.max(least))
    }
}
