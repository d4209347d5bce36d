//! Limits, pauses and closings: how they are set, and how they are put before what waits and runs already.

use std::sync::Arc;

use tidemill_kernel::{TenantName, Timestamp};

use super::{Policy, lane_of, number};
use crate::gate::Gate;
use crate::limits::{Limit, LimitStatus, LimitUse, OnFull, Scope, Share};
use crate::line::Line;
use crate::tasks::State;

impl Policy {
    /// Sets a limit; the default one lifts it. What runs already counts.
    pub fn set_limit(&mut self, scope: &Scope, limit: Limit, now: Timestamp) {
        self.advance(now);
        let number = self.gate_of(scope);
        let gate = &mut self.gates[number as usize];
        gate.set_limit(limit, self.now);
        gate.holders.clear();
        if limit.on_full == OnFull::ReplaceOldest && limit.concurrency.is_some() {
            let running = self.tasks.iter().filter(|row| row.1.state() == State::Running);
            let under = running.filter(|row| self.line(row.1.line()).gates.contains(&number));
            let holders = under.map(|row| row.0).collect();
            self.gates[number as usize].holders = holders;
        }
        self.judge(number);
    }

    /// Sets which part of a limit is used here, when several schedulers share it ([`crate::Division`]). What runs goes on, so
    /// that others may have what is given up only when it has ended.
    pub fn set_share(&mut self, scope: &Scope, share: Share, now: Timestamp) {
        self.advance(now);
        let gate = self.gate_of(scope);
        self.gates[gate as usize].set_share(share, self.now);
        self.judge(gate);
    }

    /// Lets nothing start before a moment: a provider said so. The latest word counts, also an earlier moment.
    pub fn close(&mut self, scope: &Scope, until: Timestamp, now: Timestamp) {
        self.advance(now);
        let gate = self.gate_of(scope);
        self.gates[gate as usize].close(until);
        self.judge(gate);
        self.note_all_low();
    }

    /// Lets nothing start until it is resumed.
    pub fn pause(&mut self, scope: &Scope) {
        let gate = self.gate_of(scope);
        self.gates[gate as usize].set_paused(true);
        self.judge(gate);
        self.note_all_low();
    }

    /// Ends a pause. False if there was none.
    pub fn resume(&mut self, scope: &Scope) -> bool {
        let Some(&gate) = self.rules.get(scope) else { return false };
        let was_paused = self.gates[gate as usize].set_paused(false);
        self.judge(gate);
        was_paused
    }

    /// How a limit stands; `None` if nothing was set for this scope. Walks over what waits.
    pub fn limit(&self, scope: &Scope) -> Option<LimitStatus> {
        let number = *self.rules.get(scope)?;
        let gate = self.gates.get(number as usize).filter(|gate| !gate.is_idle())?;
        let queued = self.under(number).map(|line| line.len()).sum();
        let verdict = gate.verdict().filter(|_| gate.shut);
        Some(LimitStatus {
            scope: scope.clone(),
            limit: gate.limit,
            share: gate.share,
            queued,
            running: gate.running,
            verdict,
            held_back: verdict.map_or(0, |_| queued),
        })
    }

    /// How a limit was used since this was asked last; `None` if none was set. Walks over what waits.
    pub fn take_use(&mut self, scope: &Scope) -> Option<LimitUse> {
        let number = *self.rules.get(scope)?;
        let used = self.gates.get_mut(number as usize)?.take_use();
        Some(LimitUse { queued: self.under(number).map(|line| line.len()).sum(), ..used })
    }

    /// How many tasks run under a limit.
    pub fn running_under(&self, scope: &Scope) -> u32 {
        let gate = self.rules.get(scope).and_then(|&number| self.gates.get(number as usize));
        gate.map_or(0, |gate| gate.running)
    }

    /// Whether something waits that this scheduler's part of a limit holds back, as far as that is in memory.
    pub fn is_short(&self, scope: &Scope) -> bool {
        let Some(&number) = self.rules.get(scope) else { return false };
        let is_shut = self.gates.get(number as usize).is_some_and(|gate| gate.shut && gate.is_divided());
        is_shut && self.under(number).any(|line| line.len() > 0)
    }

    /// Its lines.
    fn under(&self, gate: u32) -> impl Iterator<Item = &Line> {
        self.lines.iter().map(|entry| entry.1).filter(move |line| line.gates.contains(&gate))
    }

    /// How a limit stands, with what waits and runs of one tenant alone.
    pub fn limit_of(&self, scope: &Scope, tenant: &TenantName) -> Option<LimitStatus> {
        let (status, gate) = (self.limit(scope)?, *self.rules.get(scope)?);
        let tenant = self.names.number(tenant);
        let of_tenant = || self.under(gate).filter(|line| Some(line.tenant) == tenant);
        let queued = of_tenant().map(|line| line.len()).sum();
        let held_back = status.verdict.map_or(0, |_| queued);
        Some(LimitStatus { queued, running: of_tenant().map(|line| line.running).sum(), held_back, ..status })
    }

    /// How every limit stands, by scope.
    pub fn limits(&self) -> impl Iterator<Item = LimitStatus> {
        self.rules.keys().filter_map(|scope| self.limit(scope))
    }

    /// The gate of a scope, a new one if there is none.
    fn gate_of(&mut self, scope: &Scope) -> u32 {
        if let Some(&gate) = self.rules.get(scope) {
            return gate;
        }
        self.sweep_if_due();
        let gate = number(&mut self.gates, Gate::new(scope.clone(), self.now));
        self.rules.insert(scope.clone(), gate);
        self.put_before(gate, scope);
        gate
    }

    /// Puts a new gate before what is there already.
    fn put_before(&mut self, gate: u32, scope: &Scope) {
        match scope {
            Scope::Kind(kind) => {
                if let Some(kind) = self.kinds.number(kind) {
                    self.put_before_kind(gate, kind);
                }
            }
            Scope::Key(key) => self.put_before_key(gate, key),
            Scope::Tenant(tenant) => self.put_before_bunches(gate, self.names.number(tenant), None, None),
            Scope::TenantKind(tenant, kind) => {
                if let Some(kind) = self.kinds.number(kind) {
                    self.put_before_bunches(gate, self.names.number(tenant), Some(kind), None);
                }
            }
            Scope::Queue(queue) => {
                if let Some(kind) = self.kinds.number(&queue.kind) {
                    let lane = Some(lane_of(queue.priority));
                    self.put_before_bunches(gate, self.names.number(&queue.tenant), Some(kind), lane);
                }
            }
            Scope::TenantKey(tenant, key) => {
                if let (Some(tenant), Some(key)) = (self.names.number(tenant), self.words.number(key)) {
                    self.put_before_lines(gate, tenant, key);
                }
            }
        }
    }

    fn put_before_kind(&mut self, gate: u32, kind: u32) {
        let shapes = self.shapes.iter().filter(|row| row.1.form.kind == kind);
        let shapes: Vec<u32> = shapes.map(|row| row.0).collect();
        for &shape in &shapes {
            self.put_before_shape(gate, shape);
        }
        self.gates[gate as usize].under = shapes;
        let Self { gates, lines, bunches, shapes, .. } = self;
        for (_, line) in lines.iter_mut() {
            if shapes[bunches[line.bunch as usize].shape].form.kind == kind {
                line.gates.push(gate);
                gates[gate as usize].running += line.running;
            }
        }
    }

    /// A shape that nothing could shut shares a rank with others; from now on it has its own.
    fn put_before_shape(&mut self, gate: u32, shape: u32) {
        let mut ready = Vec::new();
        if self.shapes[shape].is_free() {
            let bunches = self.bunches.iter().filter(|entry| entry.1.shape == shape && entry.1.ready);
            ready = bunches.map(|entry| u32::try_from(entry.0).unwrap_or(u32::MAX)).collect();
            ready.iter().for_each(|&bunch| self.set_ready(bunch, false));
            self.pools.part(shape);
        }
        self.shapes[shape].gates.push(gate);
        ready.iter().for_each(|&bunch| self.set_ready(bunch, true));
    }

    /// Lines with the key become lines of another shape.
    fn put_before_key(&mut self, gate: u32, key: &Arc<str>) {
        let key = self.words.intern(key);
        self.key_gates.insert(key, gate);
        let lines = self.lines.iter().filter(|entry| self.key_sets.keys(entry.1.key_set).contains(&key));
        let lines: Vec<u32> = lines.map(|entry| u32::try_from(entry.0).unwrap_or(u32::MAX)).collect();
        for line in lines {
            self.reshape(line);
            self.gates[gate as usize].running += self.line(line).running;
        }
    }

    fn reshape(&mut self, number: u32) {
        self.unplace(number);
        // It may have stood there for others.
        self.wake_after(number);
        self.detach(number);
        let bunch = &self.bunches[self.line(number).bunch as usize];
        let (lane, tenant) = (bunch.lane, bunch.tenant);
        let mut form = self.shapes[bunch.shape].form.clone();
        form.key_gates = self.gates_of_keys(self.key_sets.keys(self.line(number).key_set));
        let shape = self.shape_of(form);
        self.line_mut(number).bunch = self.bunch_of(lane, tenant, shape);
        self.attach(number);
        self.settle_line(number);
    }

    fn put_before_bunches(&mut self, gate: u32, tenant: Option<u32>, kind: Option<u32>, lane: Option<u8>) {
        let Some(tenant) = tenant else { return };
        for index in 0..self.tenants[tenant as usize].bunches.len() {
            let number = self.tenants[tenant as usize].bunches[index];
            let bunch = &mut self.bunches[number as usize];
            if kind.is_some_and(|kind| self.shapes[bunch.shape].form.kind != kind)
                || lane.is_some_and(|lane| bunch.lane != lane)
            {
                continue;
            }
            bunch.gates.push(gate);
            self.gates[gate as usize].under.push(number);
            for &line in &bunch.lines {
                let line = &mut self.lines[line as usize];
                line.gates.push(gate);
                self.gates[gate as usize].running += line.running;
            }
        }
    }

    fn put_before_lines(&mut self, gate: u32, tenant: u32, key: u32) {
        let mut unsure = Vec::new();
        let Self { gates, lines, bunches, tenants, key_sets, .. } = self;
        for &number in &tenants[tenant as usize].bunches {
            let bunch = &mut bunches[number as usize];
            for &number in &bunch.lines {
                let line = &mut lines[number as usize];
                if key_sets.keys(line.key_set).contains(&key) {
                    line.gates.push(gate);
                    unsure.push(number);
                    bunch.keyed += u32::from(!std::mem::replace(&mut line.is_keyed, true));
                    gates[gate as usize].running += line.running;
                }
            }
        }
        unsure.into_iter().for_each(|line| self.settle_line(line));
    }

    /// Takes a line that stands nowhere out of its bunch.
    pub(super) fn detach(&mut self, number: u32) {
        let line = &self.lines[number as usize];
        let bunch = &mut self.bunches[line.bunch as usize];
        bunch.lines.retain(|other| *other != number);
        bunch.keyed -= u32::from(line.is_keyed);
        if bunch.plain == Some(number) {
            bunch.plain = None;
        }
        self.special_lines.remove(&(line.bunch, line.key_set, line.is_timed()));
    }

    /// Something was shut for long: queues may have to look further.
    fn note_all_low(&mut self) {
        let may_ask = self.queues.iter().filter(|entry| entry.1.may_ask());
        let numbers: Vec<usize> = may_ask.map(|entry| entry.0).collect();
        for number in numbers {
            self.note_low(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
}
