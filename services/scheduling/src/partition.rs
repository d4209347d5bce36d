//! The work partitioner: similar tasks (same kind, same affinity: recipe, provider, document set) that were picked together become
//! batches, which a worker takes whole. Pure.
//!
//! Invariants: every task is in one batch, once; a batch has one kind and one affinity and is no larger than the bound; batches
//! stand in the order of their first tasks, and tasks keep their order within a batch: what was picked first goes first. A task
//! without an affinity is a batch of its own.

use std::collections::HashMap;
use std::hash::Hash;

/// Brings similar tasks together: the tasks in their new order, and the sizes of the batches. `likeness` says what a task has in
/// common with others, none for nothing.
pub(crate) fn partition<T, K: Eq + Hash>(
    tasks: Vec<T>,
    most: usize,
    likeness: impl Fn(&T) -> Option<K>,
) -> (Vec<T>, Vec<u32>) {
    let most = most.max(1);
    let mut batches: Vec<Vec<T>> = Vec::new();
    // The batch of each likeness that has room.
    let mut open: HashMap<K, usize> = HashMap::new();
    for task in tasks {
        let likeness = likeness(&task);
        let index = likeness.as_ref().and_then(|likeness| open.get(likeness).copied());
        let index = index.filter(|index| batches.get(*index).is_some_and(|batch| batch.len() < most));
        match (index.and_then(|index| batches.get_mut(index)), likeness) {
            (Some(batch), _) => batch.push(task),
            (None, likeness) => {
                if let Some(likeness) = likeness {
                    open.insert(likeness, batches.len());
                }
                batches.push(vec![task]);
            }
        }
    }
    let sizes = batches.iter().map(|batch| u32::try_from(batch.len()).unwrap_or(u32::MAX)).collect();
    (batches.into_iter().flatten().collect(), sizes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_are_alike_bounded_complete_and_in_order(
            affinities in prop::collection::vec(prop::option::of(0_u8..4), 0..80),
            most in 1_usize..10,
        ) {
            let tasks: Vec<(usize, Option<u8>)> = affinities.into_iter().enumerate().collect();
            let (ordered, sizes) = partition(tasks.clone(), most, |(_, affinity)| *affinity);
            let mut sorted = ordered.clone();
            sorted.sort_unstable();
            prop_assert_eq!(&sorted, &tasks, "each task is there once");
            let (mut rest, mut firsts) = (&ordered[..], Vec::new());
            let mut full: HashMap<u8, usize> = HashMap::new();
            for size in sizes {
                let (batch, after) = rest.split_at(size as usize);
                rest = after;
                prop_assert!(batch.len() <= most && batch.is_sorted());
                prop_assert!(batch.iter().all(|(_, affinity)| *affinity == batch[0].1));
                prop_assert!(batch[0].1.is_some() || batch.len() == 1);
                if let Some(affinity) = batch[0].1 {
                    // Only the last batch of a likeness may have room.
                    let before = full.insert(affinity, batch.len());
                    prop_assert!(before.is_none_or(|before| before == most));
                }
                firsts.push(batch[0].0);
            }
            prop_assert!(rest.is_empty() && firsts.is_sorted());
        }
    }

    #[test]
    fn without_likeness_nothing_moves() {
        let (tasks, sizes) = partition(vec![3, 1, 2], 10, |_| None::<u8>);
        assert_eq!((tasks, sizes), (vec![3, 1, 2], vec![1, 1, 1]));
    }
}
