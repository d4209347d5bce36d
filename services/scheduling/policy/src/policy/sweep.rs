//! Forgetting: lines, bunches, queues, shapes, gates and names that nothing refers to any more.
//!
//! They are left where they are when they become empty, because most are wanted again soon; when there are twice as many as
//! after the last sweep, all are looked through. So each costs what a few looks cost, and memory stays within twice of
//! what is in use.

use hashbrown::HashSet;

use super::Policy;
use crate::gate::Level;

/// No sweep below so many.
pub(super) const MINIMUM: usize = 1024;

impl Policy {
    /// Sweeps when enough has come together to be worth the walk. No number of a line, bunch, queue, shape or name may
    /// be held over this.
    pub(super) fn sweep_if_due(&mut self) {
        if self.size() >= self.sweep_at {
            self.sweep();
            self.sweep_at = MINIMUM.max(2 * self.size());
        }
    }

    fn size(&self) -> usize {
        let names = self.names.len().max(self.kinds.len()).max(self.words.len());
        names.max(self.lines.len()).max(self.queues.len()).max(self.gates.len())
    }

    fn sweep(&mut self) {
        self.sweep_lines();
        self.sweep_gates();
        self.sweep_bunches();
        self.sweep_queues();
        self.sweep_shapes();
        self.sweep_names();
    }

    fn sweep_lines(&mut self) {
        let idle = self.lines.iter().filter(|entry| entry.1.tasks == 0);
        let idle: Vec<u32> = idle.map(|entry| u32::try_from(entry.0).unwrap_or(u32::MAX)).collect();
        for number in idle {
            self.unplace(number);
            self.detach(number);
            let line = self.lines.remove(number as usize);
            let queue = &mut self.queues[line.queue as usize];
            queue.lines -= 1;
            queue.plain.take_if(|plain| *plain == number);
        }
        let used: HashSet<u32> = self.lines.iter().map(|entry| entry.1.key_set).collect();
        self.key_sets.retain(|number| used.contains(&number));
    }

    /// A gate that limits nothing is taken away, unless a shape is named after it.
    fn sweep_gates(&mut self) {
        let named: HashSet<u32> =
            self.shapes.iter().flat_map(|row| row.1.form.key_gates.iter().copied()).collect();
        for (_, gate) in &mut self.gates {
            gate.parked.retain(|row| !row.1.is_empty());
        }
        // Lines that stand at an open gate wait for those before them to pass.
        let idle = self.gates.iter().filter(|entry| entry.1.is_idle() && entry.1.parked.is_empty());
        let idle = idle.map(|entry| u32::try_from(entry.0).unwrap_or(u32::MAX));
        let idle: HashSet<u32> = idle.filter(|number| !named.contains(number)).collect();
        if idle.is_empty() {
            return;
        }
        let keep = |gate: &u32| !idle.contains(gate);
        let keep_few = |gate: &mut u32| !idle.contains(gate);
        self.rules.retain(|_, gate| keep(gate));
        self.key_gates.retain(|_, gate| keep(gate));
        self.timers.retain(|timer| keep(&timer.1));
        for (_, bunch) in &mut self.bunches {
            bunch.gates.retain(keep_few);
        }
        let shapes: Vec<u32> = self.shapes.iter().map(|row| row.0).collect();
        for shape in shapes {
            self.shapes[shape].gates.retain(keep_few);
        }
        for (_, line) in &mut self.lines {
            line.gates.retain(keep_few);
            let is_keyed = line.gates.iter().any(|&gate| self.gates[gate as usize].level() == Level::Line);
            if line.is_keyed != is_keyed {
                line.is_keyed = is_keyed;
                self.bunches[line.bunch as usize].keyed -= 1;
            }
        }
        for gate in idle {
            self.gates.remove(gate as usize);
        }
    }

    fn sweep_bunches(&mut self) {
        let idle = self.bunches.iter().filter(|entry| entry.1.lines.is_empty());
        let idle: HashSet<u32> = idle.map(|entry| u32::try_from(entry.0).unwrap_or(u32::MAX)).collect();
        for &number in &idle {
            let bunch = self.bunches.remove(number as usize);
            self.shapes[bunch.shape].bunches -= 1;
            self.tenants[bunch.tenant as usize].bunches.retain(|other| *other != number);
        }
        for (_, gate) in &mut self.gates {
            if gate.level() == Level::Bunch {
                gate.under.retain(|bunch| !idle.contains(bunch));
            }
        }
    }

    fn sweep_queues(&mut self) {
        let Self { queues, tenants, .. } = self;
        queues.retain(|number, queue| {
            let keep = queue.lines > 0 || !queue.is_spent();
            if !keep {
                tenants[queue.tenant as usize].queues.retain(|other| *other as usize != number);
            }
            keep
        });
    }

    fn sweep_shapes(&mut self) {
        let idle = self.shapes.iter().filter(|row| row.1.bunches == 0);
        let idle: HashSet<u32> = idle.map(|row| row.0).collect();
        for &shape in &idle {
            self.pools.drop_shape(shape);
            self.keeping.forget_shape(shape);
            self.shapes.remove(shape);
        }
        for plain in &mut self.plain_shapes {
            plain.take_if(|shape| idle.contains(shape));
        }
        for (_, gate) in &mut self.gates {
            if gate.level() == Level::Shape {
                gate.under.retain(|shape| !idle.contains(shape));
            }
        }
    }

    fn sweep_names(&mut self) {
        let mut kinds: HashSet<u32> = self.queues.iter().map(|entry| entry.1.kind).collect();
        kinds.extend(self.shapes.iter().map(|row| row.1.form.kind));
        kinds.extend(self.pools.iter().flat_map(|pool| pool.profile.kinds.iter().copied()));
        self.kinds.retain(|number| kinds.contains(&number));

        self.wanted = self
            .shapes
            .iter()
            .flat_map(|row| row.1.form.labels.iter().copied().chain(row.1.form.zone))
            .collect();
        let mut words = self.wanted.clone();
        words.extend(self.key_gates.keys());
        words.extend(self.lines.iter().flat_map(|entry| self.key_sets.keys(entry.1.key_set)));
        for pool in self.pools.iter() {
            words.extend(pool.profile.labels.iter().copied().chain(pool.profile.zone));
        }
        self.words.retain(|number| words.contains(&number));

        let tenants = &self.tenants;
        let is_used = |number: u32| !tenants[number as usize].queues.is_empty();
        let orders = || self.pools.iter().flat_map(|pool| &pool.orders);
        let is_remembered = |number: u32| orders().any(|order| order.remembers(number));
        self.names.retain(|number| is_used(number) || is_remembered(number));
    }
}
