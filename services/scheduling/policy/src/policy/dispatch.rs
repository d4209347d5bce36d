//! Picking: a worker's pool, the priority, the tenant, the line, the task.

use tidemill_kernel::Timestamp;

use super::Policy;
use super::keeping::Room;
use crate::candidate::Candidate;
use crate::fair::Turn;
use crate::pool::Profile;
use crate::tasks::{Due, State};
use crate::worker::Worker;

/// What a lane would give next.
#[derive(Debug, Clone, Copy)]
struct Choice {
    turn: Turn,
    line: u32,
}

impl Policy {
    /// Picks at most `worker.slots` candidates that this worker can run now, in the order in which they should run. They
    /// count as running. `now` never goes back: an earlier one counts as the latest that was told.
    pub fn take(&mut self, worker: &Worker, now: Timestamp) -> Vec<Candidate> {
        let mut picked = Vec::new();
        self.take_into(worker, now, &mut picked);
        picked
    }

    /// As [`Policy::take`]; adds to `picked`.
    pub fn take_into(&mut self, worker: &Worker, now: Timestamp, picked: &mut Vec<Candidate>) {
        self.advance(now);
        self.sweep_if_due();
        let pool = self.pool_for(worker);
        let (mut room, mut passed) = (self.room_of(pool, worker), Vec::new());
        for _ in 0..worker.slots {
            let Some(slot) = self.pick(pool, worker, room, &mut passed) else { break };
            if self.tasks[slot].traits.as_ref().is_some_and(|traits| traits.memory > 0) {
                self.note_room(slot, &mut room);
            }
            picked.extend(self.candidate(slot));
        }
        self.note_passed(passed);
    }

    fn pick(&mut self, pool: usize, worker: &Worker, room: Room, passed: &mut Vec<u32>) -> Option<u32> {
        loop {
            let choices = [0, 1, 2].map(|lane| self.choice(pool, lane, room, passed));
            // A lane's credit is used up only if a task of it starts.
            let mut credits = self.pools.get_mut(pool)?.credits;
            let lane = credits.next(choices.map(|choice| choice.is_some()))?;
            let choice = choices[lane]?;
            let slot = self.line(choice.line).choose(worker, &self.tasks)?;
            if self.has_tokens(choice.line, slot) {
                self.pools.get_mut(pool)?.credits = credits;
                self.start(pool, lane, choice, slot);
                return Some(slot);
            }
            // A gate has shut, so the next round finds another choice or none.
        }
    }

    /// The line that is next in a lane; `None` if nobody is ready.
    fn choice(&mut self, pool: usize, lane: usize, room: Room, passed: &mut Vec<u32>) -> Option<Choice> {
        loop {
            let turn = self.pools.get_mut(pool)?.next(lane, &self.shapes, room, passed)?;
            if let Some(line) = self.first_line(pool, lane, turn.tenant, room) {
                return Some(Choice { turn, line });
            }
            // All of its lines were found shut, so it is not ready any more.
        }
    }

    /// The line of a tenant that is due first.
    fn first_line(&mut self, pool: usize, lane: usize, tenant: u32, room: Room) -> Option<u32> {
        let mut best: Option<(Due, u32)> = None;
        for index in 0..self.tenants[tenant as usize].bunches.len() {
            let number = self.tenants[tenant as usize].bunches[index];
            let bunch = &self.bunches[number as usize];
            if !bunch.ready
                || usize::from(bunch.lane) != lane
                || !self.shapes[bunch.shape].can_serve(room.of(bunch.shape))
                || self.pools.get_mut(pool)?.rank(bunch.shape).is_none()
            {
                continue;
            }
            if bunch.keyed > 0 {
                self.park_shut(number);
            }
            let first = self.bunches[number as usize].open.first();
            best = [best, first].into_iter().flatten().min();
        }
        best.map(|(_, line)| line)
    }

    /// Whether every rate that a task stands under has enough for it. The first that has not is shut until it has.
    fn has_tokens(&mut self, line: u32, slot: u32) -> bool {
        let cost = self.tasks[slot].cost;
        for index in 0..self.line(line).gates.len() {
            let gate = self.line(line).gates[index];
            if !self.gates[gate as usize].reserve(cost, self.now) {
                self.judge(gate);
                return false;
            }
        }
        true
    }

    fn start(&mut self, pool: usize, lane: usize, choice: Choice, slot: u32) {
        let (tenant, cost) = (choice.turn.tenant, self.tasks[slot].cost);
        let Self { pools, tenants, bunches, meter, now, .. } = self;
        let state = &mut tenants[tenant as usize];
        state.meter.count(1, *now);
        meter.count(1, *now);
        if let Some(pool) = pools.get_mut(pool) {
            let bunches = state.bunches.iter().map(|&bunch| &bunches[bunch as usize]);
            let shapes = bunches.filter(|bunch| usize::from(bunch.lane) == lane).map(|bunch| bunch.shape);
            pool.serve(lane, choice.turn, shapes, cost, state.weight);
        }
        self.line_mut(choice.line).note_choice(slot);
        self.unwait(slot);
        self.tasks[slot].set_state(State::Running);
        self.count_start(slot);
    }

    /// Counts a task that has begun to run.
    pub(super) fn count_start(&mut self, slot: u32) {
        let (number, cost) = (self.tasks[slot].line(), self.tasks[slot].cost);
        self.line_mut(number).running += 1;
        for index in 0..self.line(number).gates.len() {
            let gate = self.line(number).gates[index];
            self.gates[gate as usize].enter(slot, cost, self.now);
            self.judge(gate);
        }
        let tenant = self.tenant_at(number);
        let state = &mut self.tenants[tenant as usize];
        state.running += 1;
        if state.cap.is_some_and(|cap| state.running >= cap) {
            self.refresh_tenant(tenant);
        }
    }

    /// Counts a task that runs no longer.
    pub(super) fn count_end(&mut self, slot: u32) {
        let number = self.tasks[slot].line();
        let line = self.line_mut(number);
        line.running = line.running.saturating_sub(1);
        for index in 0..self.line(number).gates.len() {
            let gate = self.line(number).gates[index];
            self.gates[gate as usize].leave(slot);
            self.judge(gate);
        }
        let tenant = self.tenant_at(number);
        let state = &mut self.tenants[tenant as usize];
        state.running = state.running.saturating_sub(1);
        if state.cap.is_some() {
            self.refresh_tenant(tenant);
        }
    }

    /// The index of the pool for this worker; a new one learns what waits.
    fn pool_for(&mut self, worker: &Worker) -> usize {
        let mut kinds: Vec<u32> = worker.kinds.iter().map(|kind| self.kinds.intern(kind)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        // What no task asks for has no number.
        let mut labels: Vec<u32> =
            worker.labels.iter().filter_map(|label| self.words.number(label)).collect();
        labels.retain(|label| self.wanted.contains(label));
        labels.sort_unstable();
        labels.dedup();
        let zone = worker.zone.as_ref().and_then(|zone| self.words.number(zone));
        let zone = zone.filter(|zone| self.wanted.contains(zone));
        let profile = Profile { kinds, labels, zone };
        if let Some(index) = self.pools.find(&profile) {
            return index;
        }
        let index = self.pools.add(&profile, &self.config, &mut self.shapes);
        let Self { pools, bunches, .. } = self;
        if let Some(pool) = pools.get_mut(index) {
            for (_, bunch) in bunches.iter().filter(|bunch| bunch.1.ready) {
                if let Some(rank) = pool.rank(bunch.shape) {
                    pool.orders[usize::from(bunch.lane)].set_ready(rank, bunch.tenant, true);
                }
            }
        }
        index
    }
}
