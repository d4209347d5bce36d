//! A heap whose items know where they are, so that any of them can be moved or taken out.
//!
//! Four children a node: half the depth of a binary heap, and the children lie side by side in memory. Equal keys go by
//! item number, so that every machine decides alike. The position of an item is kept by the caller: it is told of every
//! change through `place(item, position)`.
//!
//! Source: D. B. Johnson, "Priority queues with update and finding minimum spanning trees", 1975 (d-ary heaps).

use smallvec::SmallVec;

const CHILDREN: usize = 4;

/// Items by key, the least first.
#[derive(Debug)]
pub(crate) struct Heap<K> {
    /// One lies in the heap itself: most have no more.
    entries: SmallVec<[(K, u32); 1]>,
}

impl<K> Default for Heap<K> {
    fn default() -> Self {
        Self { entries: SmallVec::new() }
    }
}

impl<K: Copy + Ord> Heap<K> {
    /// The least key with its item.
    pub(crate) fn first(&self) -> Option<(K, u32)> {
        self.entries.first().copied()
    }

    /// How many items are in it.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The key at a position.
    #[cfg(test)]
    pub(crate) fn key(&self, at: u32) -> Option<K> {
        self.entries.get(at as usize).map(|entry| entry.0)
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All items, in no order that means anything.
    #[cfg(test)]
    pub(crate) fn items(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.1)
    }

    /// Puts an item in.
    pub(crate) fn push(&mut self, key: K, item: u32, place: &mut impl FnMut(u32, u32)) {
        self.entries.push((key, item));
        self.rise(self.entries.len() - 1, place);
    }

    /// Takes out the item at a position.
    pub(crate) fn remove(&mut self, at: u32, place: &mut impl FnMut(u32, u32)) {
        let at = at as usize;
        if at >= self.entries.len() {
            return;
        }
        self.entries.swap_remove(at);
        if at < self.entries.len() {
            self.settle(at, place);
        }
    }

    /// Gives the item at a position another key.
    pub(crate) fn rekey(&mut self, at: u32, key: K, place: &mut impl FnMut(u32, u32)) {
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.0 = key;
            self.settle(at as usize, place);
        }
    }

    /// Changes every key at once.
    pub(crate) fn map_keys(&mut self, change: impl Fn(K) -> K, place: &mut impl FnMut(u32, u32)) {
        for entry in &mut self.entries {
            entry.0 = change(entry.0);
        }
        // A sorted row is a heap.
        self.entries.sort_unstable();
        for (position, entry) in (0_u32..).zip(self.entries.iter()) {
            place(entry.1, position);
        }
    }

    fn settle(&mut self, at: usize, place: &mut impl FnMut(u32, u32)) {
        if at > 0 && self.entries[at] < self.entries[(at - 1) / CHILDREN] {
            self.rise(at, place);
        } else {
            self.sink(at, place);
        }
    }

    fn rise(&mut self, mut at: usize, place: &mut impl FnMut(u32, u32)) {
        let entries = self.entries.as_mut_slice();
        let entry = entries[at];
        while at > 0 {
            let parent = (at - 1) / CHILDREN;
            if entries[parent] <= entry {
                break;
            }
            put(entries, at, entries[parent], place);
            at = parent;
        }
        put(entries, at, entry, place);
    }

    fn sink(&mut self, mut at: usize, place: &mut impl FnMut(u32, u32)) {
        let entries = self.entries.as_mut_slice();
        let entry = entries[at];
        loop {
            let first = at * CHILDREN + 1;
            let last = (first + CHILDREN).min(entries.len());
            let Some(least) = (first..last).min_by_key(|&child| entries[child]) else { break };
            if entry <= entries[least] {
                break;
            }
            put(entries, at, entries[least], place);
            at = least;
        }
        put(entries, at, entry, place);
    }
}

fn put<K: Copy>(entries: &mut [(K, u32)], at: usize, entry: (K, u32), place: &mut impl FnMut(u32, u32)) {
    entries[at] = entry;
    // Items are numbered in 32 bits, so positions fit.
    place(entry.1, u32::try_from(at).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        /// The naive model is a map from item to key that is searched.
        #[test]
        fn it_behaves_as_a_map_that_is_searched(
            steps in prop::collection::vec((0_u8..4, 0_u32..12, 0_u8..9), 1..200),
        ) {
            let (mut heap, mut at) = (Heap::default(), [u32::MAX; 12]);
            let mut model: BTreeMap<u32, u8> = BTreeMap::new();
            for (step, item, key) in steps {
                let mut place = |item: u32, position| at[item as usize] = position;
                match (step, model.contains_key(&item)) {
                    (0, true) => {
                        let position = at[item as usize];
                        heap.remove(position, &mut |item, position| at[item as usize] = position);
                        model.remove(&item);
                    }
                    (1, true) => {
                        let position = at[item as usize];
                        heap.rekey(position, key, &mut |item, position| at[item as usize] = position);
                        model.insert(item, key);
                    }
                    (2, _) => {
                        heap.map_keys(|key| key / 2, &mut place);
                        model.values_mut().for_each(|key| *key /= 2);
                    }
                    (_, false) => {
                        heap.push(key, item, &mut place);
                        model.insert(item, key);
                    }
                    _ => {}
                }
                let least = model.iter().map(|(&item, &key)| (key, item)).min();
                prop_assert_eq!(heap.first(), least);
                prop_assert_eq!(heap.items().count(), model.len());
                for (&item, &key) in &model {
                    prop_assert_eq!(heap.key(at[item as usize]), Some(key));
                    prop_assert_eq!(heap.entries[at[item as usize] as usize].1, item);
                }
            }
        }
    }
}
