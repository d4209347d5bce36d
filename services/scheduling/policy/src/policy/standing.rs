//! Where lines and bunches stand: among what may be served, or at what keeps them from it.
//!
//! Shapes and bunches are shut and opened as a whole. A line looks at its own gates when its turn has come, and is parked
//! at one that is shut. When that opens, one line of each bunch is woken, the one that is due first; whenever a line under
//! an open gate has moved, the next one is. So there is always one in the order that is due no later than those that are
//! parked at an open gate, and a gate that opens for one task costs one line's way, however many stand at it.

use super::Policy;
use crate::gate::Level;
use crate::line::{Line, Standing};
use crate::pool::SHARED;
use crate::queue::Queue;
use crate::tasks::Due;

impl Policy {
    pub(super) fn insert_in_line(&mut self, slot: u32) {
        let number = self.tasks[slot].line();
        let line = &mut self.lines[number as usize];
        line.insert(slot, &self.tasks);
        if matches!(line.standing, Standing::Parked(_)) {
            self.queues[line.queue as usize].parked += 1;
        }
        self.settle_line(number);
    }

    /// Takes a task out of its line. Parked lines count by what waits in them.
    pub(super) fn remove_from_line(&mut self, slot: u32) {
        let number = self.tasks[slot].line();
        let line = &mut self.lines[number as usize];
        if line.remove(slot, &self.tasks) && matches!(line.standing, Standing::Parked(_)) {
            self.queues[line.queue as usize].parked -= 1;
        }
        self.settle_line(number);
    }

    /// Puts a line where it belongs after its first task may have changed.
    pub(super) fn settle_line(&mut self, number: u32) {
        let line = &self.lines[number as usize];
        let first = line.first();
        // With nothing to compare it with, it does not matter when the next one is due, and looking costs.
        if first.is_some() && line.standing == Standing::Open && self.is_lone(line) {
            return;
        }
        let due = first.map(|slot| self.tasks[slot].due(self.patience()));
        match (line.standing, due) {
            (Standing::Empty, None) => return,
            (Standing::Empty, Some(due)) => self.open_line(number, due),
            (Standing::Open, Some(due)) if due == line.due => {}
            (Standing::Open, Some(due)) => {
                let (at, bunch) = (line.at, line.bunch as usize);
                let Self { bunches, lines, .. } = self;
                bunches[bunch].open.rekey(at, due, &mut |item, at| lines[item as usize].at = at);
                lines[number as usize].due = due;
            }
            (Standing::Open, None) => self.unplace(number),
            (Standing::Parked(_), None) => self.unplace(number),
            (Standing::Parked(gate), Some(due)) => {
                self.unplace(number);
                // It may be due before all others that stand there now.
                match self.gates[gate as usize].shut {
                    true => self.park_line(number, gate, due),
                    false => self.open_line(number, due),
                }
            }
        }
        if self.lines[number as usize].is_keyed {
            self.wake_after(number);
        }
    }

    /// Whether it is the only line of its tenant that may be served, and has no gates of its own.
    fn is_lone(&self, line: &Line) -> bool {
        let bunches = &self.tenants[line.tenant as usize].bunches;
        bunches.len() == 1 && !line.is_keyed && self.bunches[line.bunch as usize].open.len() == 1
    }

    /// Looks again when lines are due that may have been the only one of their tenant.
    pub(super) fn freshen(&mut self, tenant: u32) {
        let Self { tenants, bunches, lines, tasks, config, .. } = self;
        let patience = i64::try_from(config.patience.as_micros()).unwrap_or(i64::MAX);
        for &bunch in &tenants[tenant as usize].bunches {
            let open = &mut bunches[bunch as usize].open;
            if let (1, Some((_, number))) = (open.len(), open.first())
                && let Some(slot) = lines[number as usize].first()
            {
                let due = tasks[slot].due(patience);
                lines[number as usize].due = due;
                open.rekey(0, due, &mut |item, at| lines[item as usize].at = at);
            }
        }
    }

    fn open_line(&mut self, number: u32, due: Due) {
        self.freshen(self.lines[number as usize].tenant);
        let Self { bunches, lines, .. } = self;
        let line = &mut lines[number as usize];
        (line.standing, line.due) = (Standing::Open, due);
        let bunch = line.bunch;
        bunches[bunch as usize].open.push(due, number, &mut |item, at| lines[item as usize].at = at);
        self.refresh(bunch);
    }

    fn park_line(&mut self, number: u32, gate: u32, due: Due) {
        let Self { gates, lines, queues, .. } = self;
        let line = &mut lines[number as usize];
        (line.standing, line.due) = (Standing::Parked(gate), due);
        queues[line.queue as usize].parked += line.len();
        let heap = gates[gate as usize].parked_mut(line.bunch);
        heap.push(due, number, &mut |item, at| lines[item as usize].at = at);
    }

    /// Takes a line out of where it stands.
    pub(super) fn unplace(&mut self, number: u32) {
        let Self { gates, bunches, lines, queues, .. } = self;
        let line = &mut lines[number as usize];
        let (standing, at, bunch) = (line.standing, line.at, line.bunch);
        line.standing = Standing::Empty;
        match standing {
            Standing::Empty => {}
            Standing::Open => {
                bunches[bunch as usize].open.remove(at, &mut |item, at| lines[item as usize].at = at);
                self.refresh(bunch);
            }
            Standing::Parked(gate) => {
                let queue = &mut queues[line.queue as usize];
                queue.parked -= line.len().min(queue.parked);
                let heap = gates[gate as usize].parked_mut(bunch);
                heap.remove(at, &mut |item, at| lines[item as usize].at = at);
            }
        }
    }

    /// Parks the lines at the head of a bunch that have a gate of their own which is shut.
    pub(super) fn park_shut(&mut self, bunch: u32) {
        while let Some((due, number)) = self.bunches[bunch as usize].open.first() {
            let line = &self.lines[number as usize];
            if !line.is_keyed {
                return;
            }
            let shut = line.gates.iter().copied().find(|&gate| {
                let gate = &self.gates[gate as usize];
                gate.shut && gate.level() == Level::Line
            });
            let Some(gate) = shut else { return };
            let queue = line.queue;
            self.unplace(number);
            self.park_line(number, gate, due);
            self.wake_after(number);
            self.note_low(queue);
        }
    }

    /// A line has moved: lets the next one that stands at an open gate of it take its part.
    pub(super) fn wake_after(&mut self, number: u32) {
        let bunch = self.lines[number as usize].bunch;
        for index in 0..self.lines[number as usize].gates.len() {
            let gate = self.lines[number as usize].gates[index];
            if !self.gates[gate as usize].shut {
                self.wake_first(gate, bunch);
            }
        }
    }

    fn wake_first(&mut self, gate: u32, bunch: u32) {
        let parked = self.gates[gate as usize].parked.iter().find(|row| row.0 == bunch);
        if let Some((due, number)) = parked.and_then(|row| row.1.first()) {
            self.unplace(number);
            self.open_line(number, due);
        }
    }

    /// How long after it was made a task without a deadline is due, in microseconds.
    pub(super) fn patience(&self) -> i64 {
        i64::try_from(self.config.patience.as_micros()).unwrap_or(i64::MAX)
    }

    /// Carries out what a gate's judgement has changed.
    pub(super) fn apply(&mut self, number: u32) {
        let gate = &self.gates[number as usize];
        let (shut, level) = (gate.shut, gate.level());
        let change = if shut { 1 } else { -1 };
        match level {
            Level::Shape => {
                for &shape in &gate.under {
                    let count = &mut self.shapes[shape].shut;
                    *count = count.saturating_add_signed(change);
                }
            }
            Level::Bunch => {
                for index in 0..gate.under.len() {
                    let bunch = self.gates[number as usize].under[index];
                    let count = &mut self.bunches[bunch as usize].shut;
                    *count = count.saturating_add_signed(change);
                    self.refresh(bunch);
                }
            }
            Level::Line if !shut => {
                for index in 0..gate.parked.len() {
                    let bunch = self.gates[number as usize].parked[index].0;
                    self.wake_first(number, bunch);
                }
            }
            Level::Line => {}
        }
    }

    /// Tells the pools whether a bunch takes part.
    pub(super) fn refresh(&mut self, number: u32) {
        let bunch = &self.bunches[number as usize];
        let is_open = self.tenants[bunch.tenant as usize].is_open();
        let ready = is_open && bunch.shut == 0 && !bunch.open.is_empty();
        if bunch.ready == ready {
            return;
        }
        self.set_ready(number, ready);
    }

    pub(super) fn set_ready(&mut self, number: u32, ready: bool) {
        let Self { pools, bunches, tenants, .. } = self;
        bunches[number as usize].ready = ready;
        let bunch = &bunches[number as usize];
        let others = &tenants[bunch.tenant as usize].bunches;
        for pool in pools.iter_mut() {
            let Some(rank) = pool.rank(bunch.shape) else { continue };
            let shares = |other: &u32| {
                let other = &bunches[*other as usize];
                other.ready && other.lane == bunch.lane && pool.rank(other.shape) == Some(SHARED)
            };
            let ready = ready || (rank == SHARED && others.iter().any(shares));
            pool.orders[usize::from(bunch.lane)].set_ready(rank, bunch.tenant, ready);
        }
    }

    pub(super) fn refresh_tenant(&mut self, tenant: u32) {
        for index in 0..self.tenants[tenant as usize].bunches.len() {
            self.refresh(self.tenants[tenant as usize].bunches[index]);
        }
    }

    pub(super) fn count_shut(&self, gates: &[u32]) -> u32 {
        let shut = gates.iter().filter(|&&gate| self.gates[gate as usize].shut).count();
        u32::try_from(shut).unwrap_or(u32::MAX)
    }

    /// How many of a queue wait for nothing but a free slot.
    pub(super) fn movable(&self, number: u32) -> usize {
        let queue = &self.queues[number as usize];
        let mut stuck = queue.parked + queue.hidden.len();
        for &bunch in &self.tenants[queue.tenant as usize].bunches {
            let bunch = &self.bunches[bunch as usize];
            let shape = &self.shapes[bunch.shape];
            if bunch.lane == queue.lane && shape.form.kind == queue.kind && shape.is_stuck() {
                let open = bunch.lines.iter().map(|&line| self.line(line));
                let open = open.filter(|line| line.standing == Standing::Open);
                stuck += open.map(|line| line.len()).sum::<usize>();
            }
        }
        queue.len.saturating_sub(stuck)
    }

    pub(super) fn has_room(&self, number: u32) -> bool {
        let (window, len) = (self.config.window, self.queues[number as usize].len);
        len < window || (len < window + self.config.blocked_window && self.movable(number) < window)
    }

    /// Notes whether a queue is to be refilled: what may move has come down to half a window.
    pub(super) fn note_low(&mut self, number: u32) {
        let queue = &self.queues[number as usize];
        let (window, most) = (self.config.window, self.config.window + self.config.blocked_window);
        let low = queue.may_ask() && queue.len < most && self.movable(number) <= window / 2;
        let queue: &mut Queue = &mut self.queues[number as usize];
        if low != queue.low {
            queue.low = low;
            if low {
                self.low.insert((queue.lane, number));
            } else {
                self.low.remove(&(queue.lane, number));
            }
        }
    }
}
