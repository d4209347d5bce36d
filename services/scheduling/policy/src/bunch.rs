//! A bunch: the lines of one tenant, priority and shape, and the sets of keys that tell them apart.

use hashbrown::HashMap;
use slab::Slab;
use smallvec::SmallVec;

use crate::heap::Heap;
use crate::tasks::Due;

/// A few numbers: up to four take no memory besides.
pub(crate) type Few = SmallVec<[u32; 4]>;

/// What one tenant has of a shape in a lane.
#[derive(Debug)]
pub(crate) struct Bunch {
    pub(crate) tenant: u32,
    pub(crate) shape: u32,
    /// 0 is the most urgent.
    pub(crate) lane: u8,
    /// Whether the pools count it as served next in its turn.
    pub(crate) ready: bool,
    /// Its gates of the tenant, of the tenant's kind, of the queue.
    pub(crate) gates: Few,
    /// How many of those are shut.
    pub(crate) shut: u32,
    /// How many of its lines have gates of their own.
    pub(crate) keyed: u32,
    pub(crate) lines: Few,
    /// The line of tasks without keys and deadlines.
    pub(crate) plain: Option<u32>,
    /// Lines in which something waits, by what is due first, unless they were found to be shut.
    pub(crate) open: Heap<Due>,
}

/// Sets of keys by number; 0 is the empty one.
#[derive(Debug)]
pub(crate) struct KeySets {
    sets: Slab<Box<[u32]>>,
    by_set: HashMap<Box<[u32]>, u32>,
}

impl Default for KeySets {
    fn default() -> Self {
        let mut sets = Self { sets: Slab::new(), by_set: HashMap::new() };
        sets.intern(&[]);
        sets
    }
}

impl KeySets {
    /// The number of a set; its keys are ascending, each once.
    pub(crate) fn intern(&mut self, keys: &[u32]) -> u32 {
        if let Some(&number) = self.by_set.get(keys) {
            return number;
        }
        let set: Box<[u32]> = keys.into();
        let number = u32::try_from(self.sets.insert(set.clone())).unwrap_or(u32::MAX);
        self.by_set.insert(set, number);
        number
    }

    /// The keys of a set.
    pub(crate) fn keys(&self, number: u32) -> &[u32] {
        self.sets.get(number as usize).map_or(&[], |set| set)
    }

    /// Forgets the sets that are not to be kept; the empty one stays.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let by_set = &mut self.by_set;
        self.sets.retain(|number, set| {
            let keep = number == 0 || u32::try_from(number).is_ok_and(&keep);
            if !keep {
                by_set.remove(set);
            }
            keep
        });
    }
}
