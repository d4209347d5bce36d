//! The bodies of waiting tasks, as far as they fit: what is here needs no read when its turn comes.

use hashbrown::HashMap;
use tidemill_kernel::Id;
use tidemill_proto::types::v1::Task;

/// What a task takes besides its texts.
const OVERHEAD: usize = 600;
/// What the name of a task takes that it depends on.
const NAME: usize = 100;

/// Tasks by id, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct Bodies {
    tasks: HashMap<Id, Box<Task>>,
    bytes: usize,
    budget: usize,
}

impl Bodies {
    /// Holds tasks up to so many bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self { tasks: HashMap::new(), bytes: 0, budget }
    }

    /// Keeps a task if it fits.
    pub(super) fn keep(&mut self, id: Id, task: Box<Task>) {
        self.keep_within(self.budget, id, task);
    }

    /// Keeps a task whose turn is far, if that leaves half of the room to others.
    pub(super) fn keep_for_later(&mut self, id: Id, task: Box<Task>) {
        self.keep_within(self.budget / 2, id, task);
    }

    fn keep_within(&mut self, budget: usize, id: Id, task: Box<Task>) {
        let size = size(&task);
        if self.bytes + size > budget {
            return;
        }
        self.bytes += size;
        if let Some(old) = self.tasks.insert(id, task) {
            self.bytes -= self::size(&old);
        }
    }

    /// Takes a task out.
    pub(super) fn take(&mut self, id: Id) -> Option<Box<Task>> {
        let task = self.tasks.remove(&id)?;
        self.bytes -= size(&task);
        Some(task)
    }

    /// A task that is kept.
    pub(super) fn get(&self, id: Id) -> Option<&Task> {
        self.tasks.get(&id).map(Box::as_ref)
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Drops those that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(Id) -> bool) {
        let bytes = &mut self.bytes;
        self.tasks.retain(|id, task| {
            let stays = keep(*id);
            if !stays {
                *bytes -= size(task);
            }
            stays
        });
    }
}

fn size(task: &Task) -> usize {
    let names = task.options.as_ref().map_or(0, |options| options.depends_on.len());
    OVERHEAD + NAME * names + task.payload.len() + task.key.len() + task.error.len() + task.checkpoint.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_holds_whatever_comes_and_goes() {
        let id = |byte| Id::from_bytes([byte; 16]);
        let task = || Box::new(Task { payload: "x".repeat(400), ..Task::default() });
        let mut bodies = Bodies::new(2_500);
        (0..4).for_each(|n| bodies.keep(id(n), task()));
        assert_eq!((bodies.tasks.len(), bodies.bytes), (2, 2_000));
        bodies.keep(id(0), Box::default());
        assert_eq!(bodies.bytes, 2_000, "one more did not fit, even in place of another");
        assert!(bodies.take(id(0)).is_some() && bodies.take(id(0)).is_none());
        bodies.keep(id(3), task());
        bodies.retain(|one| one == id(3));
        assert_eq!((bodies.tasks.len(), bodies.bytes), (1, 1_000));
        bodies.keep_for_later(id(4), task());
        assert_eq!(bodies.tasks.len(), 1, "half of the room is for those whose turn is near");
        bodies.take(id(3));
        bodies.keep_for_later(id(4), task());
        assert_eq!(bodies.tasks.len(), 1);
    }
}
