//! Pools: workers that ask for the same kinds share one order.
//!
//! Workers that run `collect` and workers that run `analyze` are different resources. Each set of kinds that is asked
//! for has its own shares of priorities and its own fair order of tenants, over the same queues: a busy pool does not
//! disturb the fairness of a quiet one, and a tenant that uses much of one is not made to wait in the other. Within
//! a pool a tenant's kinds share one tag, so having many kinds brings no advantage.
//!
//! Few sets are in use at a time; beyond [`MAX_POOLS`] the one that was asked for longest ago is forgotten, which costs
//! nobody more than the bound of `fair`.

use crate::PolicyConfig;
use crate::fair::FairOrder;
use crate::shares::Credits;

/// How many pools are remembered.
pub(crate) const MAX_POOLS: usize = 64;

/// The order in which one set of kinds is served.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Ascending, each once.
    pub(crate) kinds: Vec<u32>,
    /// By lane: who has candidates of these kinds and is below its cap.
    pub(crate) orders: [FairOrder; 3],
    credits: Credits,
    used_at: u64,
}

impl Pool {
    /// Lane and tenant of the next dispatch; `None` if nobody is ready. The lane's credit is used up by asking.
    pub(crate) fn next(&mut self) -> Option<(u8, u32)> {
        let firsts = [0, 1, 2].map(|lane: usize| self.orders[lane].first());
        let lane = self.credits.next(firsts.map(|first| first.is_some()))?;
        Some((u8::try_from(lane).ok()?, firsts[lane]?))
    }
}

/// The pools that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pools: Vec<Pool>,
    asked: u64,
}

impl Pools {
    /// The index of the pool of these kinds, and whether it is new.
    pub(crate) fn index_of(&mut self, kinds: &[u32], config: &PolicyConfig) -> (usize, bool) {
        self.asked += 1;
        if let Some(index) = self.pools.iter().position(|pool| pool.kinds == kinds) {
            self.pools[index].used_at = self.asked;
            return (index, false);
        }
        if self.pools.len() >= MAX_POOLS
            && let Some(oldest) = (0..self.pools.len()).min_by_key(|&index| self.pools[index].used_at)
        {
            self.pools.swap_remove(oldest);
        }
        self.pools.push(Pool {
            kinds: kinds.to_vec(),
            orders: Default::default(),
            credits: Credits::new(&config.shares),
            used_at: self.asked,
        });
        (self.pools.len() - 1, true)
    }

    /// The pool with this index.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Pool> {
        self.pools.get_mut(index)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter()
    }

    /// All of them, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pool> {
        self.pools.iter_mut()
    }
}
