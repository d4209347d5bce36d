//! Groups that tasks wait for: how many ends are to be heard of before the store is asked again. Pure.
//!
//! The store's answer says how many tasks of a group are open. Tasks that come later make them more, ends fewer: before that many
//! ends were heard of, the group cannot have ended. An end that is counted twice, or is in the answer already, asks early, which
//! costs a question; one that was not heard of is found when the store is asked again after a while.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use tidemill_kernel::{Id, Shard};

/// A group of a tenant of the shard; two tenants' groups of one name are waited for together, which asks early at worst.
type Key = (Shard, String);

/// The groups that are waited for.
#[derive(Debug, Default)]
pub(super) struct Groups {
    waited: HashMap<Key, Waited>,
    /// How many ends were heard of while questions were under way, by the last one that was asked before.
    ended: HashMap<Key, BTreeMap<u64, i64>>,
    /// The last question that was asked before a task of an unknown group of the shard ended.
    any_ended: HashMap<Shard, u64>,
}

#[derive(Debug, Default)]
struct Waited {
    dependents: BTreeSet<Id>,
    /// How many ends are to be heard of at least; none left: each asks.
    left: i64,
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.waited.is_empty()
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waited.len() + self.ended.len() + self.any_ended.len()
    }

    /// A task waits for a group with so many open tasks, as the answer to a question says. Whether the store is to be asked again
    /// at once.
    pub(super) fn wait_for(&mut self, task: Id, group: &str, open: i64, question: u64) -> bool {
        let key = key(task, group);
        let heard: i64 =
            self.ended.get(&key).map_or(0, |ends| ends.range(question..).map(|(_, ends)| ends).sum());
        let is_unclear = self.any_ended.get(&key.0).is_some_and(|after| *after >= question);
        let waited = self.waited.entry(key).or_default();
        waited.dependents.insert(task);
        waited.left = open - heard;
        is_unclear || (heard > 0 && waited.left <= 0)
    }

    /// A task waits for these groups no more.
    pub(super) fn leave_all<'a>(&mut self, task: Id, groups: impl Iterator<Item = &'a String>) {
        groups.for_each(|group| self.leave(task, group));
    }

    fn leave(&mut self, task: Id, group: &str) {
        let key = key(task, group);
        if let Some(waited) = self.waited.get_mut(&key) {
            waited.dependents.remove(&task);
            if waited.dependents.is_empty() {
                self.waited.remove(&key);
            }
        }
    }

    /// A task of a group has ended; those about which the store is to be asked.
    pub(super) fn on_end(&mut self, task: Id, group: &str, last: Option<u64>) -> BTreeSet<Id> {
        let key = key(task, group);
        let decided = self.waited.get_mut(&key).and_then(|waited| {
            waited.left -= 1;
            (waited.left <= 0).then(|| waited.dependents.clone())
        });
        if let Some(last) = last {
            *self.ended.entry(key).or_default().entry(last).or_default() += 1;
        }
        decided.unwrap_or_default()
    }

    /// A task of a shard has ended, of whichever group; those about which the store is to be asked.
    pub(super) fn on_any_end(&mut self, shard: Shard, last: Option<u64>) -> BTreeSet<Id> {
        if let Some(last) = last {
            self.any_ended.insert(shard, last);
        }
        let of_shard = self.waited.iter().filter(|((of, _), _)| *of == shard);
        of_shard.flat_map(|(_, waited)| &waited.dependents).copied().collect()
    }

    /// Questions older than this one are under way no more.
    pub(super) fn forget_ends(&mut self, oldest: u64) {
        self.ended.retain(|_, ends| {
            *ends = ends.split_off(&oldest);
            !ends.is_empty()
        });
        self.any_ended.retain(|_, after| *after >= oldest);
    }
}

fn key(task: Id, group: &str) -> Key {
    (Shard::of_place(task.place()), group.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_kernel::Timestamp;

    use super::*;

    fn id(count: i64) -> Id {
        Id::placed(Timestamp::from_micros(1), Shard::all().next().unwrap().place(count))
    }

    proptest! {
        /// Whatever comes and ends, before and while the store is asked: once the group is empty it is asked, and no more often
        /// than things happen.
        #[test]
        fn the_end_of_a_group_is_never_missed(steps in prop::collection::vec(0_u8..4, 0..60)) {
            let (mut groups, mut open, mut answer) = (Groups::default(), 3_i64, None);
            let (mut is_due, mut asked) = (groups.wait_for(id(1), "g", open, 0), 0_u64);
            let mut drain = steps.iter().map(|step| Some(*step)).chain(std::iter::repeat_n(None, 200));
            loop {
                // A question is what the store sees when it is asked.
                if is_due && answer.is_none() {
                    (answer, is_due, asked) = (Some(open), false, asked + 1);
                }
                match drain.next() {
                    Some(Some(0)) => open += 1,
                    Some(Some(1) | None) if open > 0 => {
                        open -= 1;
                        is_due |= groups.on_end(id(2), "g", answer.map(|_| asked)).contains(&id(1));
                    }
                    Some(Some(2)) => is_due |= groups.on_any_end(Shard::of_place(id(1).place()), answer.map(|_| asked)).contains(&id(1)),
                    Some(_) => {
                        if let Some(seen) = answer.take() {
                            if seen == 0 {
                                groups.leave(id(1), "g");
                                groups.forget_ends(u64::MAX);
                                prop_assert_eq!(groups.len(), 0);
                                break;
                            }
                            is_due |= groups.wait_for(id(1), "g", seen, asked);
                            groups.forget_ends(u64::MAX);
                        }
                    }
                    None => prop_assert!(false, "{open} open, and it still waits"),
                }
            }
            prop_assert!(asked <= steps.len() as u64 + 10);
        }
    }

    #[test]
    fn a_group_of_a_thousand_is_asked_about_at_its_end() {
        let mut groups = Groups::default();
        assert!(!groups.wait_for(id(1), "g", 1_000, 1));
        for _ in 0..999 {
            assert!(groups.on_end(id(2), "g", None).is_empty());
            assert!(groups.on_end(id(2), "h", None).is_empty());
        }
        assert_eq!(groups.on_end(id(2), "g", None), [id(1)].into());
    }
}
