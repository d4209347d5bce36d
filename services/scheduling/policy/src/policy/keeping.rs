//! Memory kept for tasks that need much of it.
//!
//! A task is passed over by workers that have less memory free than it needs, and while smaller tasks keep coming none may ever have
//! as much. So a shape that was passed over first [`PATIENCE`] ago is given the next worker that asks and could hold it: what one of
//! its tasks needs is *kept* there. Of what is kept tasks of other shapes get nothing; what is free beyond it they may use, and those
//! that need no memory go on. That ends when a task of the shape has started, here or elsewhere; when none waits, or its limits let
//! none start, for as long; or when the worker has left.
//!
//! At most one worker is kept for the tasks of one kind, and a worker for one shape: of several shapes the one that was passed over
//! first. All other workers are served as if nothing were kept, and turns stay turns: when the memory is free, the shape is one
//! of those that can be served.
//!
//! Bound: a task that is the next of its shape may start on a worker after `PATIENCE`, plus the time until a worker that could hold it
//! asks and those that it ran then have ended; with others of its kind before it, after theirs.

use std::time::Duration;

use tidemill_kernel::Timestamp;

use super::Policy;
use crate::worker::Worker;

/// After so long a shape is not passed over any more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The shapes that were passed over, and what is kept for them.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    passed: Vec<u32>,
    kept: Vec<Kept>,
}

/// A worker of which memory is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    worker: u64,
    shape: u32,
    kind: u32,
    /// When one of the shape was found that may start but for its memory.
    seen_at: Timestamp,
}

/// What may be used of a worker's memory, and by which shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) free: u64,
    /// All that it has.
    total: u64,
    /// So much is for this shape.
    kept: Option<(u32, u64)>,
}

impl Room {
    /// What tasks of a shape may use.
    pub(crate) fn of(self, shape: u32) -> u64 {
        match self.kept {
            Some((own, bytes)) if own != shape => self.free.saturating_sub(bytes),
            _ => self.free,
        }
    }

    /// Whether nothing but what runs there keeps so much memory from being used.
    pub(crate) fn is_taken(self, memory: u64) -> bool {
        (self.free + 1..=self.total).contains(&memory)
    }
}

impl Keeping {
    /// A shape is no more.
    pub(crate) fn forget_shape(&mut self, shape: u32) {
        self.passed.retain(|other| *other != shape);
        self.kept.retain(|kept| kept.shape != shape);
    }

    /// Of how many workers memory is kept.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.kept.len()
    }

    /// Whether memory of this worker is kept.
    #[cfg(test)]
    pub(crate) fn of(&self, worker: u64) -> bool {
        self.of_worker(worker).is_some()
    }

    fn of_worker(&self, worker: u64) -> Option<Kept> {
        self.kept.iter().find(|kept| kept.worker == worker).copied()
    }
}

impl Policy {
    /// A worker is not there any more.
    pub fn worker_left(&mut self, worker: u64) {
        self.keeping.kept.retain(|kept| kept.worker != worker);
    }

    /// Whether memory of a worker is kept for tasks like this one.
    pub(super) fn is_kept_for(&self, slot: u32) -> bool {
        let shape = self.shape_at(slot);
        self.keeping.kept.iter().any(|kept| kept.shape == shape)
    }

    /// What a worker that asks may be given, after what is kept of it was looked over.
    pub(super) fn room_of(&mut self, pool: usize, worker: &Worker) -> Room {
        let room = Room { free: worker.free_memory, total: worker.memory, kept: None };
        if self.keeping.passed.is_empty() {
            return room;
        }
        self.look_over(pool);
        if self.keeping.of_worker(worker.id).is_none() {
            self.keep(pool, worker);
        }
        let kept = self.keeping.of_worker(worker.id);
        Room { kept: kept.map(|kept| (kept.shape, self.shapes[kept.shape].form.memory)), ..room }
    }

    /// Notes shapes that were passed over for want of memory.
    pub(super) fn note_passed(&mut self, passed: Vec<u32>) {
        for shape in passed {
            self.shapes[shape].passed_since = Some(self.now);
            self.keeping.passed.push(shape);
        }
    }

    /// A task that needs memory has been picked: nothing is kept for its shape any more.
    pub(super) fn note_room(&mut self, slot: u32, room: &mut Room) {
        let shape = self.shape_at(slot);
        room.free = room.free.saturating_sub(self.shapes[shape].form.memory);
        if self.shapes[shape].passed_since.take().is_some() {
            self.keeping.forget_shape(shape);
            room.kept.take_if(|kept| kept.0 == shape);
        }
    }

    /// Ends what has no reason any more, as far as workers of this pool are concerned.
    fn look_over(&mut self, pool: usize) {
        let Self { keeping: Keeping { passed, kept }, shapes, pools, now, .. } = self;
        let Some(pool) = pools.get_mut(pool) else { return };
        kept.retain_mut(|kept| {
            if pool.rank(kept.shape).is_none() {
                return true;
            }
            if pool.waits(kept.shape) && shapes[kept.shape].shut == 0 {
                kept.seen_at = *now;
            }
            let stays = now.since(kept.seen_at) < PATIENCE;
            if !stays {
                shapes[kept.shape].passed_since = None;
                passed.retain(|other| *other != kept.shape);
            }
            stays
        });
    }

    /// Keeps the worker for the shape that was passed over first, if one has waited long enough.
    fn keep(&mut self, pool: usize, worker: &Worker) {
        let Self { keeping, shapes, pools, now, .. } = self;
        let Some(pool) = pools.get_mut(pool) else { return };
        let Keeping { passed, kept } = keeping;
        let since = |shape: u32| shapes[shape].passed_since.unwrap_or(Timestamp::from_micros(i64::MAX));
        let due = passed.iter().copied().filter(|&shape| {
            let form = &shapes[shape].form;
            since(shape) <= *now - PATIENCE
                && form.memory <= worker.memory
                && shapes[shape].shut == 0
                && pool.waits(shape)
                && !kept.iter().any(|kept| kept.kind == form.kind)
        });
        if let Some(shape) = due.min_by_key(|&shape| (since(shape), shape)) {
            kept.push(Kept { worker: worker.id, shape, kind: shapes[shape].form.kind, seen_at: *now });
        }
    }

    fn shape_at(&self, slot: u32) -> u32 {
        self.bunches[self.line(self.tasks[slot].line()).bunch as usize].shape
    }
}
