//! Order keys: tasks of one tenant with the same order key run one at a time, in the order of their places.
//!
//! Only the first of a group stands in a line, the others are hidden behind it: so a group of a million costs what one
//! task costs. The first keeps its place while it waits, runs, or is postponed until another attempt.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::tasks::{State, Tasks};

/// The groups of all tenants.
#[derive(Debug, Default)]
pub(crate) struct OrderKeys {
    groups: HashMap<(u32, Arc<str>), Group>,
}

#[derive(Debug, Default)]
struct Group {
    first: Option<u32>,
    /// By place.
    behind: BTreeMap<i64, u32>,
}

/// Where a task stands in its group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It is the first.
    First,
    /// It is behind the first.
    Behind,
    /// It is the first instead of this one, which waits behind it now.
    Before(u32),
}

impl OrderKeys {
    /// Takes in a task that waits, or runs already.
    pub(crate) fn join(&mut self, tenant: u32, key: &Arc<str>, slot: u32, tasks: &Tasks) -> Joined {
        let group = self.groups.entry((tenant, key.clone())).or_default();
        let task = &tasks[slot];
        match group.first {
            None => {
                group.first = Some(slot);
                Joined::First
            }
            Some(first) if first == slot => Joined::First,
            Some(first) => {
                let runs = task.state() == State::Running;
                let other = &tasks[first];
                if other.state() != State::Running && (runs || task.sequence < other.sequence) {
                    group.behind.remove(&task.sequence);
                    group.behind.insert(other.sequence, first);
                    group.first = Some(slot);
                    Joined::Before(first)
                } else if runs {
                    // Two run at once, by another scheduler's doing: the group goes on when the one that leads ends.
                    Joined::First
                } else {
                    group.behind.insert(task.sequence, slot);
                    Joined::Behind
                }
            }
        }
    }

    /// Takes a task out; returns the one that is the first now, if it has become so by that.
    pub(crate) fn leave(&mut self, tenant: u32, key: &Arc<str>, slot: u32, sequence: i64) -> Option<u32> {
        let name = (tenant, key.clone());
        let group = self.groups.get_mut(&name)?;
        if group.first != Some(slot) {
            if group.behind.get(&sequence) == Some(&slot) {
                group.behind.remove(&sequence);
            }
            return None;
        }
        group.first = group.behind.pop_first().map(|entry| entry.1);
        if group.first.is_none() {
            self.groups.remove(&name);
            return None;
        }
        group.first
    }

    /// The first of a group, and how many of it come before this place.
    pub(crate) fn ahead(&self, tenant: u32, key: &Arc<str>, sequence: i64) -> Option<(u32, usize)> {
        let group = self.groups.get(&(tenant, key.clone()))?;
        Some((group.first?, 1 + group.behind.range(..sequence).count()))
    }
}
