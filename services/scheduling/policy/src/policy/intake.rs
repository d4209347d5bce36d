//! How tasks get their lines, and wait in them.

use std::sync::Arc;

use tidemill_kernel::TenantName;

use super::{Policy, Tenant, number};
use crate::bunch::{Bunch, Few};
use crate::candidate::Kind;
use crate::heap::Heap;
use crate::limits::Scope;
use crate::line::Line;
use crate::order_key::Joined;
use crate::queue::Queue;
use crate::shape::Form;
use crate::tasks::{State, Task};
use crate::traits::Traits;

impl Policy {
    /// The numbers of a tenant and a kind. A tenant that is new here gets its limits.
    pub(super) fn numbers(&mut self, tenant: &TenantName, kind: &Kind) -> (u32, u32) {
        let tenant = match self.names.number(tenant) {
            Some(number) => number,
            None => self.new_tenant(tenant),
        };
        (tenant, self.kinds.intern(kind))
    }

    fn new_tenant(&mut self, name: &TenantName) -> u32 {
        let number = self.names.intern(name);
        if self.tenants.len() <= number as usize {
            self.tenants.resize_with(number as usize + 1, Tenant::default);
        }
        self.tenants[number as usize] = Tenant::default();
        self.apply_limits(number, self.limits.get(name).copied().unwrap_or_default());
        number
    }

    /// The queue with these numbers, a new one if there is none.
    pub(super) fn queue_of(&mut self, lane: u8, tenant: u32, kind: u32) -> u32 {
        self.find_queue(lane, tenant, kind).unwrap_or_else(|| {
            let queue = number(&mut self.queues, Queue::new(lane, tenant, kind));
            self.tenants[tenant as usize].queues.push(queue);
            queue
        })
    }

    pub(super) fn find_queue(&self, lane: u8, tenant: u32, kind: u32) -> Option<u32> {
        let queues = &self.tenants.get(tenant as usize)?.queues;
        queues.iter().copied().find(|&queue| {
            let queue = &self.queues[queue as usize];
            queue.kind == kind && queue.lane == lane
        })
    }

    /// The line of a queue for tasks that ask for this.
    pub(super) fn line_of(&mut self, queue: u32, traits: Option<&Traits>) -> u32 {
        let Queue { tenant, kind, lane, .. } = self.queues[queue as usize];
        let (shape, key_set) = match traits {
            None => (self.plain_shape(kind), 0),
            Some(traits) => {
                let mut keys: Few = traits.keys.iter().map(|key| self.words.intern(key)).collect();
                keys.sort_unstable();
                keys.dedup();
                let form = self.form(kind, traits, &keys);
                (self.shape_of(form), self.key_sets.intern(&keys))
            }
        };
        let bunch = self.bunch_of(lane, tenant, shape);
        let is_timed = traits.is_some_and(|traits| traits.deadline.is_some());
        let found = match (key_set, is_timed) {
            (0, false) => self.bunches[bunch as usize].plain,
            _ => self.special_lines.get(&(bunch, key_set, is_timed)).copied(),
        };
        found.unwrap_or_else(|| self.new_line(bunch, queue, key_set, is_timed))
    }

    fn plain_shape(&mut self, kind: u32) -> u32 {
        let index = kind as usize;
        if let Some(shape) = self.plain_shapes.get(index).copied().flatten() {
            return shape;
        }
        let shape = self.shape_of(Form::plain(kind));
        if self.plain_shapes.len() <= index {
            self.plain_shapes.resize(index + 1, None);
        }
        self.plain_shapes[index] = Some(shape);
        shape
    }

    fn form(&mut self, kind: u32, traits: &Traits, keys: &[u32]) -> Form {
        let mut labels: Few = traits.labels.iter().map(|label| self.words.intern(label)).collect();
        labels.sort_unstable();
        labels.dedup();
        let zone = traits.required_zone().map(|zone| self.words.intern(zone));
        Form { kind, memory: traits.reserved_memory(), zone, labels, key_gates: self.gates_of_keys(keys) }
    }

    /// The gates of keys of all tenants together.
    pub(super) fn gates_of_keys(&self, keys: &[u32]) -> Few {
        if self.key_gates.is_empty() {
            return Few::new();
        }
        let mut gates: Few = keys.iter().filter_map(|key| self.key_gates.get(key)).copied().collect();
        gates.sort_unstable();
        gates
    }

    pub(super) fn shape_of(&mut self, form: Form) -> u32 {
        if let Some(shape) = self.shapes.find(&form) {
            return shape;
        }
        self.wanted.extend(form.labels.iter().copied().chain(form.zone));
        let mut gates = form.key_gates.clone();
        if !self.rules.is_empty()
            && let Some(kind) = self.kinds.name(form.kind)
        {
            gates.extend(self.rules.get(&Scope::Kind(kind.clone())).copied());
        }
        let shut = self.count_shut(&gates);
        let shape = self.shapes.add(form, gates.clone(), shut);
        for gate in gates {
            self.gates[gate as usize].under.push(shape);
        }
        self.pools.add_shape(shape, &mut self.shapes);
        shape
    }

    pub(super) fn bunch_of(&mut self, lane: u8, tenant: u32, shape: u32) -> u32 {
        let of_tenant = &self.tenants[tenant as usize].bunches;
        let found = of_tenant.iter().copied().find(|&bunch| {
            let bunch = &self.bunches[bunch as usize];
            bunch.shape == shape && bunch.lane == lane
        });
        found.unwrap_or_else(|| self.new_bunch(lane, tenant, shape))
    }

    fn new_bunch(&mut self, lane: u8, tenant: u32, shape: u32) -> u32 {
        let gates = self.gates_of_bunch(lane, tenant, self.shapes[shape].form.kind);
        let shut = self.count_shut(&gates);
        let bunch = Bunch {
            tenant,
            shape,
            lane,
            ready: false,
            gates: gates.clone(),
            shut,
            keyed: 0,
            lines: Few::new(),
            plain: None,
            open: Heap::default(),
        };
        let bunch = number(&mut self.bunches, bunch);
        for gate in gates {
            self.gates[gate as usize].under.push(bunch);
        }
        self.shapes[shape].bunches += 1;
        self.freshen(tenant);
        self.tenants[tenant as usize].bunches.push(bunch);
        bunch
    }

    fn gates_of_bunch(&self, lane: u8, tenant: u32, kind: u32) -> Few {
        let mut gates = Few::new();
        if !self.rules.is_empty()
            && let (Some(name), Some(queue)) = (self.names.name(tenant), self.key((lane, tenant, kind)))
        {
            let kind = Scope::TenantKind(name.clone(), queue.kind.clone());
            let scopes = [Scope::Tenant(name.clone()), kind, Scope::Queue(queue)];
            gates.extend(scopes.iter().filter_map(|scope| self.rules.get(scope).copied()));
        }
        gates
    }

    fn new_line(&mut self, bunch: u32, queue: u32, key_set: u32, is_timed: bool) -> u32 {
        let Bunch { tenant, shape, .. } = self.bunches[bunch as usize];
        let line = number(&mut self.lines, Line::new(tenant, bunch, queue, key_set, is_timed));
        if key_set == 0 && !is_timed && !self.shapes[shape].form.is_demanding() {
            self.queues[queue as usize].plain = Some(line);
        }
        self.queues[queue as usize].lines += 1;
        self.attach(line);
        line
    }

    /// Makes a line one of its bunch, and puts it behind the gates that its tasks have to pass.
    pub(super) fn attach(&mut self, number: u32) {
        let Line { bunch: bunch_number, key_set, .. } = *self.line(number);
        let is_timed = self.line(number).is_timed();
        let bunch = &self.bunches[bunch_number as usize];
        let mut gates = Few::from_slice(&self.shapes[bunch.shape].gates);
        gates.extend_from_slice(&bunch.gates);
        let shared = gates.len();
        if !self.rules.is_empty()
            && let Some(name) = self.names.name(bunch.tenant)
        {
            let keys = self.key_sets.keys(key_set).iter().filter_map(|&key| self.words.name(key));
            let scopes = keys.map(|key| Scope::TenantKey(name.clone(), Arc::clone(key)));
            gates.extend(scopes.filter_map(|scope| self.rules.get(&scope).copied()));
        }
        let is_keyed = gates.len() > shared;
        let bunch = &mut self.bunches[bunch_number as usize];
        bunch.lines.push(number);
        bunch.keyed += u32::from(is_keyed);
        if key_set == 0 && !is_timed {
            bunch.plain = Some(number);
        } else {
            self.special_lines.insert((bunch_number, key_set, is_timed), number);
        }
        let line = self.line_mut(number);
        (line.gates, line.is_keyed) = (gates, is_keyed);
    }

    /// Whether a queue takes in a candidate at this place; if not, it is left to the store.
    pub(super) fn admits(&mut self, number: u32, sequence: i64) -> bool {
        let has_room = self.has_room(number);
        let queue = &mut self.queues[number as usize];
        if queue.admit(sequence, has_room) {
            return true;
        }
        self.beyond += 1;
        self.note_low(number);
        false
    }

    /// Takes in a task, which is in no order yet.
    pub(super) fn add(&mut self, task: Task) -> u32 {
        self.line_mut(task.line()).tasks += 1;
        self.tasks.insert(task)
    }

    /// Forgets a task that neither waits nor runs.
    pub(super) fn forget(&mut self, slot: u32) {
        self.leave_order(slot);
        let Some(task) = self.tasks.remove(slot) else { return };
        let line = &mut self.lines[task.line() as usize];
        line.tasks -= 1;
        // Without a page on its way there is nothing to note.
        if self.asked > 0 {
            let queue = line.queue as usize;
            self.queues[queue].note_over(task.sequence);
        }
    }

    /// A task that is known waits from now on.
    pub(super) fn wait(&mut self, slot: u32) {
        let task = &mut self.tasks[slot];
        task.set_state(State::Waiting);
        if let Some(deadline) = task.deadline() {
            self.deadlines.insert((deadline, slot));
        }
        let (sequence, line) = (task.sequence, task.line());
        let number = self.lines[line as usize].queue;
        let queue = &mut self.queues[number as usize];
        queue.enter(sequence);
        self.tenants[queue.tenant as usize].queued += 1;
        self.queued += 1;
        if queue.low {
            self.note_low(number);
        }
        if self.join_order(slot) {
            self.insert_in_line(slot);
        }
    }

    /// A waiting task does not wait any more. Its state is the caller's to set.
    pub(super) fn unwait(&mut self, slot: u32) {
        let task = &self.tasks[slot];
        if let Some(deadline) = task.deadline() {
            self.deadlines.remove(&(deadline, slot));
        }
        let (state, sequence, number) = (task.state(), task.sequence, task.line());
        let line = &mut self.lines[number as usize];
        let queue_number = line.queue;
        let queue = &mut self.queues[queue_number as usize];
        queue.len -= 1;
        self.tenants[queue.tenant as usize].queued -= 1;
        self.queued -= 1;
        if state == State::Hidden {
            queue.hidden.remove(&(sequence, slot));
        } else {
            self.remove_from_line(slot);
        }
        self.note_low(queue_number);
    }

    /// Takes its place in the group of its order key. Whether it may stand in its line.
    pub(super) fn join_order(&mut self, slot: u32) -> bool {
        let task = &self.tasks[slot];
        let Some(key) = task.traits.as_ref().and_then(|traits| traits.order_key.clone()) else { return true };
        let tenant = self.tenant_at(task.line());
        match self.order_keys.join(tenant, &key, slot, &self.tasks) {
            Joined::First => true,
            Joined::Behind => {
                self.hide(slot);
                false
            }
            Joined::Before(other) => {
                if self.tasks[other].state() == State::Waiting {
                    self.remove_from_line(other);
                    self.hide(other);
                }
                true
            }
        }
    }

    /// A postponed task is not to be seen anyway.
    fn hide(&mut self, slot: u32) {
        if self.tasks[slot].state() != State::Waiting {
            return;
        }
        self.tasks[slot].set_state(State::Hidden);
        let queue = self.queue_at(slot) as usize;
        self.queues[queue].hidden.insert((self.tasks[slot].sequence, slot));
    }

    /// Gives up its order key; the next of the group takes its place in its line.
    fn leave_order(&mut self, slot: u32) {
        let task = &self.tasks[slot];
        let Some(key) = task.traits.as_ref().and_then(|traits| traits.order_key.clone()) else { return };
        let tenant = self.tenant_at(task.line());
        let next = self.order_keys.leave(tenant, &key, slot, task.sequence);
        if let Some(next) = next.filter(|&next| self.tasks[next].state() == State::Hidden) {
            self.tasks[next].set_state(State::Waiting);
            let queue = self.queue_at(next) as usize;
            self.queues[queue].hidden.remove(&(self.tasks[next].sequence, next));
            self.insert_in_line(next);
        }
    }
}
