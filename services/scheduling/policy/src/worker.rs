//! Workers as the policy sees them, and what a task finds missing in one.

use std::sync::Arc;

use crate::candidate::Kind;
use crate::traits::Traits;

/// A worker that asks for tasks, or one that is known of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Worker {
    /// Which one it is, among all that ask.
    pub id: u64,
    /// What it can run.
    pub kinds: Vec<Kind>,
    /// How many tasks it takes now.
    pub slots: usize,
    /// Its memory for tasks in bytes.
    pub memory: u64,
    /// How much of that is free.
    pub free_memory: u64,
    /// What it offers.
    pub labels: Vec<Arc<str>>,
    /// Where it is.
    pub zone: Option<Arc<str>>,
    /// The affinities of the tasks that it ran of late.
    pub recent: Vec<Arc<str>>,
}

/// What keeps a task from a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// It does not run tasks of this kind.
    Kind(Kind),
    /// It does not have these labels.
    Labels(Vec<Arc<str>>),
    /// It is not in this zone.
    Zone(Arc<str>),
    /// Its memory is too small.
    Memory {
        /// Bytes that the task needs, as they are set aside.
        needed: u64,
        /// Bytes that the worker has.
        has: u64,
    },
}

impl Worker {
    /// A worker of these kinds without limits of memory.
    pub fn of_kinds(kinds: &[Kind], slots: usize) -> Self {
        let (memory, free_memory) = (u64::MAX, u64::MAX);
        Self { kinds: kinds.to_vec(), slots, memory, free_memory, ..Self::default() }
    }

    /// What keeps a task from this worker even when it is idle; empty: nothing.
    pub fn lacks(&self, kind: &Kind, traits: Option<&Traits>) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if !self.kinds.contains(kind) {
            lacks.push(Lack::Kind(kind.clone()));
        }
        let Some(traits) = traits else { return lacks };
        let missing: Vec<_> =
            traits.labels.iter().filter(|label| !self.labels.contains(label)).cloned().collect();
        if !missing.is_empty() {
            lacks.push(Lack::Labels(missing));
        }
        if let Some(zone) = traits.required_zone().filter(|zone| self.zone.as_ref() != Some(zone)) {
            lacks.push(Lack::Zone(zone.clone()));
        }
        let needed = traits.reserved_memory();
        if needed > self.memory {
            lacks.push(Lack::Memory { needed, has: self.memory });
        }
        lacks
    }

    /// How well a task suits this worker; 0: no better than any.
    pub(crate) fn preference(&self, traits: &Traits) -> u32 {
        let is_warm = traits.affinity.as_ref().is_some_and(|affinity| self.recent.contains(affinity));
        let is_near =
            traits.zone.as_ref().is_some_and(|zone| !zone.required && self.zone.as_ref() == Some(&zone.name));
        2 * u32::from(is_warm) + u32::from(is_near)
    }
}

/// Whether none of the workers that are known could ever run a task: then what the one that comes nearest lacks.
/// `None` if one could, or if no worker is known at all.
pub fn fits_nowhere<'a>(
    kind: &Kind,
    traits: Option<&Traits>,
    workers: impl IntoIterator<Item = &'a Worker>,
) -> Option<Vec<Lack>> {
    let lacks = workers.into_iter().map(|worker| worker.lacks(kind, traits));
    lacks.min_by_key(Vec::len).filter(|lacks| !lacks.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_no_worker_can_run_says_what_the_nearest_lacks() {
        let kind = Kind::new("analyze");
        let small = Worker { memory: 1 << 30, ..Worker::of_kinds(std::slice::from_ref(&kind), 1) };
        let other = Worker::of_kinds(&[Kind::new("collect")], 1);
        let needs = Traits { memory: 2 << 30, labels: vec!["gpu".into()], ..Traits::default() };
        let gpu = Worker { labels: vec!["gpu".into()], ..small.clone() };
        let memory = Lack::Memory { needed: 2 << 30, has: 1 << 30 };
        let workers = [other, small, gpu];
        assert_eq!(fits_nowhere(&kind, Some(&needs), &workers[..2]).map(|lacks| lacks.len()), Some(2));
        assert_eq!(fits_nowhere(&kind, Some(&needs), &workers), Some(vec![memory]));
        assert_eq!(fits_nowhere(&kind, None, &workers), None);
        assert_eq!(fits_nowhere(&kind, Some(&needs), []), None, "nobody is known yet");
    }
}
