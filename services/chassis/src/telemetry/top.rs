//! Counts by name of which only the largest are told one by one, so that a figure by tenant stays small however many
//! tenants there are. The others share one count.
//!
//! Every told count only grows, so that rates can be taken from it: what was counted for a name before it was told under
//! its own stays in the shared count. A name takes another's place when it has more than twice as much, so that near
//! equals do not take turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// The name of the shared count.
pub const OTHER: &str = "other";

/// How many names are known at most; the smallest that are not told are forgotten first.
const KNOWN: usize = 10_000;

/// Counts by name.
#[derive(Debug)]
pub struct TopCounts {
    limit: usize,
    known: usize,
    counts: HashMap<String, Count>,
    /// The names that are told; at most `limit`.
    told: Vec<String>,
    other: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// Everything that was counted.
    all: u64,
    /// What was counted under the own name.
    own: u64,
    is_told: bool,
}

impl TopCounts {
    /// No counts yet; the largest `limit` will be told one by one.
    pub fn new(limit: usize) -> Self {
        Self::knowing(limit, KNOWN)
    }

    fn knowing(limit: usize, known: usize) -> Self {
        Self { limit, known: known.max(2 * limit), counts: HashMap::new(), told: Vec::new(), other: 0 }
    }

    /// Counts `more` for a name.
    pub fn add(&mut self, name: &str, more: u64) {
        if let Some(count) = self.counts.get_mut(name) {
            count.all += more;
            if count.is_told {
                count.own += more;
                return;
            }
            let all = count.all;
            return self.unnamed(name, all, more);
        }
        if self.counts.len() >= self.known {
            self.forget();
        }
        self.counts.insert(name.to_owned(), Count { all: more, ..Count::default() });
        self.unnamed(name, more, more);
    }

    /// What is told: names with their counts, then what the others have together.
    pub fn told(&self) -> impl Iterator<Item = (&str, u64)> {
        let own = self.told.iter().filter_map(|name| Some((name.as_str(), self.counts.get(name)?.own)));
        own.chain((self.other > 0).then_some((OTHER, self.other)))
    }

    /// Counts for a name that is not told, which is told from now on if there is room or it has enough.
    fn unnamed(&mut self, name: &str, all: u64, more: u64) {
        if self.told.len() < self.limit {
            self.told.push(name.to_owned());
            if let Some(count) = self.counts.get_mut(name) {
                *count = Count { own: count.own + more, is_told: true, ..*count };
            }
            return;
        }
        self.other += more;
        let size = |name: &String| self.counts.get(name).map_or(0, |count| count.all);
        let Some(smallest) = (0..self.told.len()).min_by_key(|&index| size(&self.told[index])) else {
            return;
        };
        if all > size(&self.told[smallest]).saturating_mul(2) {
            let gone = std::mem::replace(&mut self.told[smallest], name.to_owned());
            self.counts.entry(gone).and_modify(|count| count.is_told = false);
            self.counts.entry(name.to_owned()).and_modify(|count| count.is_told = true);
        }
    }

    /// Forgets the smaller half of those that are not told.
    fn forget(&mut self) {
        let mut sizes: Vec<u64> =
            self.counts.values().filter(|count| !count.is_told).map(|count| count.all).collect();
        sizes.sort_unstable();
        let Some(&middle) = sizes.get(sizes.len() / 2) else { return };
        self.counts.retain(|_, count| count.is_told || count.all > middle);
    }
}

/// A counter whose only attribute is the name, told for the largest.
#[derive(Debug, Clone)]
pub struct TopCounter(Arc<Mutex<TopCounts>>);

impl TopCounter {
    /// A counter of this name, which tells the `limit` largest by the attribute `key`.
    pub fn new(
        meter: &Meter,
        name: &'static str,
        description: &'static str,
        key: &'static str,
        limit: usize,
    ) -> Self {
        let counter = Self(Arc::new(Mutex::new(TopCounts::new(limit))));
        let counts = counter.clone();
        let _observed = meter
            .u64_observable_counter(name)
            .with_description(description)
            .with_callback(move |instrument| {
                for (name, count) in counts.lock().told() {
                    instrument.observe(count, &[KeyValue::new(key, name.to_owned())]);
                }
            })
            .build();
        counter
    }

    /// Counts `more` for a name.
    pub fn add(&self, name: &str, more: u64) {
        if more > 0 {
            self.lock().add(name, more);
        }
    }

    fn lock(&self) -> MutexGuard<'_, TopCounts> {
        // At worst one addition is half done, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(counts: &TopCounts) -> HashMap<String, u64> {
        counts.told().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn a_busy_name_takes_the_place_of_a_quiet_one_and_no_count_is_lost() {
        let mut counts = TopCounts::new(2);
        for (name, more) in [("a", 5), ("b", 1), ("c", 2), ("c", 1)] {
            counts.add(name, more);
        }
        assert_eq!(told(&counts), [("a".into(), 5), ("c".into(), 0), (OTHER.into(), 3)].into());
        counts.add("c", 4);
        counts.add("b", 1);
        assert_eq!(told(&counts), [("a".into(), 5), ("c".into(), 4), (OTHER.into(), 4)].into());
    }

    #[test]
    fn none_is_told_alone_where_none_may_be() {
        let mut counts = TopCounts::new(0);
        counts.add("a", 2);
        assert_eq!(told(&counts), [(OTHER.into(), 2)].into());
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let mut counts = TopCounts::knowing(2, 100);
        for number in 0..10_000 {
            counts.add(&number.to_string(), 1 + number % 7);
        }
        assert!(counts.counts.len() <= 100);
        counts.add("busy", 1_000);
        assert!(told(&counts).contains_key("busy"));
    }

    proptest! {
        /// Against plain sums: nothing is lost while all names are known, what is told only grows, and there is never
        /// more of it than asked for.
        #[test]
        fn told_counts_grow_and_sum_up(
            limit in 0..4_usize, additions in proptest::collection::vec((0..12_u8, 1..50_u64), 0..200),
        ) {
            let mut counts = TopCounts::new(limit);
            let (mut all, mut seen) = (0, HashMap::<String, u64>::new());
            let mut sums = HashMap::<u8, u64>::new();
            for (name, more) in additions {
                counts.add(&name.to_string(), more);
                *sums.entry(name).or_default() += more;
                all += more;
                let now = told(&counts);
                prop_assert!(now.len() <= limit + 1);
                for (name, count) in now {
                    let before = seen.insert(name, count).unwrap_or(0);
                    prop_assert!(count >= before);
                }
                let gone: u64 = counts.counts.values().filter(|count| !count.is_told).map(|count| count.own).sum();
                prop_assert_eq!(counts.told().map(|(_, count)| count).sum::<u64>() + gone, all);
            }
            // Who has more than twice as much as everybody else is told.
            if let Some((name, most)) = sums.iter().max_by_key(|(_, sum)| **sum)
                && limit > 0 && *most > 2 * sums.iter().filter(|(other, _)| *other != name).map(|(_, sum)| *sum).max().unwrap_or(0)
            {
                let smaller = sums.values().filter(|sum| *sum == most).count();
                prop_assert!(smaller > 1 || told(&counts).contains_key(&name.to_string()));
            }
        }
    }
}
