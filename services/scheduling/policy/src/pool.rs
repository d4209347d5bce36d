//! Pools: workers that can run the same tasks share one order.
//!
//! Workers that run `collect` and workers that run `analyze` are different resources. Each set of kinds, labels and zone
//! that is asked for has its own shares of priorities and its own fair order of tenants, over the same lines: a busy pool
//! does not disturb the fairness of a quiet one, and a tenant that uses much of one is not made to wait in the other.
//! Within a pool a tenant's shapes share one tag, so having many kinds brings no advantage. Labels and zones that no task
//! requires do not count.
//!
//! Few sets are in use at a time; beyond [`MAX_POOLS`] the one that was asked for longest ago is forgotten, which costs
//! nobody more than the bound of `fair`.

use crate::PolicyConfig;
use crate::fair::{FairOrder, Turn};
use crate::policy::keeping::Room;
use crate::shape::{Form, Shapes};
use crate::shares::Credits;

/// How many pools are remembered.
pub(crate) const MAX_POOLS: usize = 64;

/// What the workers of a pool have in common; names by number, each list ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Profile {
    pub(crate) kinds: Vec<u32>,
    pub(crate) labels: Vec<u32>,
    pub(crate) zone: Option<u32>,
}

impl Profile {
    fn suits(&self, form: &Form) -> bool {
        self.kinds.binary_search(&form.kind).is_ok()
            && form.labels.iter().all(|label| self.labels.binary_search(label).is_ok())
            && form.zone.is_none_or(|zone| self.zone == Some(zone))
    }
}

/// The rank of all shapes that nothing can shut: a tenant stands in it once, however many kinds it has.
pub(crate) const SHARED: usize = 0;

/// The order in which the workers of one profile are served.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) profile: Profile,
    /// By lane: who has open lines of which rank.
    pub(crate) orders: [FairOrder; 3],
    pub(crate) credits: Credits,
    /// The shape of each rank but the shared one.
    shapes: Vec<Option<u32>>,
    /// The rank of each shape.
    ranks: Vec<Option<u32>>,
    /// Ranks whose shape is gone.
    free: Vec<u32>,
    used_at: u64,
}

impl Pool {
    /// Who is next in a lane, if a worker with this room asks. Adds to `passed` what was passed over for want of memory.
    pub(crate) fn next(
        &mut self,
        lane: usize,
        shapes: &Shapes,
        room: Room,
        passed: &mut Vec<u32>,
    ) -> Option<Turn> {
        let Self { orders, shapes: of_rank, .. } = self;
        let order = &mut orders[lane];
        if order.is_empty() {
            return None;
        }
        order.next(|rank| {
            let Some(number) = of_rank[rank] else { return true };
            let shape = &shapes[number];
            let can_serve = shape.can_serve(room.of(number));
            let is_news =
                || shape.shut == 0 && shape.passed_since.is_none() && room.is_taken(shape.form.memory);
            if !can_serve && is_news() && !passed.contains(&number) {
                passed.push(number);
            }
            can_serve
        })
    }

    /// Whether anything of a shape waits that may start.
    pub(crate) fn waits(&self, shape: u32) -> bool {
        self.rank(shape).is_some_and(|rank| self.orders.iter().any(|order| order.waits(rank)))
    }

    /// The rank of a shape; `None` if these workers cannot run it.
    pub(crate) fn rank(&self, shape: u32) -> Option<usize> {
        self.ranks.get(shape as usize).copied().flatten().map(|rank| rank as usize)
    }

    /// Charges the tenant whose turn it was; it has tasks of these shapes.
    pub(crate) fn serve(
        &mut self,
        lane: usize,
        turn: Turn,
        shapes: impl Iterator<Item = u32>,
        cost: u32,
        weight: u32,
    ) {
        let Self { orders, ranks, .. } = self;
        let ranks = shapes.filter_map(|shape| ranks.get(shape as usize).copied().flatten());
        orders[lane].serve(turn, ranks.map(|rank| rank as usize), cost, weight);
    }

    fn add(&mut self, shape: u32, is_free: bool) {
        let rank = if is_free { 0 } else { self.own_rank(shape) };
        if self.ranks.len() <= shape as usize {
            self.ranks.resize(shape as usize + 1, None);
        }
        self.ranks[shape as usize] = Some(rank);
    }

    fn own_rank(&mut self, shape: u32) -> u32 {
        let rank = self.free.pop().unwrap_or_else(|| {
            self.shapes.push(None);
            u32::try_from(self.shapes.len() - 1).unwrap_or(u32::MAX)
        });
        self.shapes[rank as usize] = Some(shape);
        rank
    }

    fn drop_shape(&mut self, shape: u32) {
        let rank = self.ranks.get_mut(shape as usize).and_then(Option::take);
        if let Some(rank) = rank.filter(|rank| *rank as usize != SHARED) {
            self.orders.iter_mut().for_each(|order| order.clear(rank as usize));
            self.free.push(rank);
        }
    }
}

/// The pools that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pools: Vec<Pool>,
    asked: u64,
}

impl Pools {
    /// The index of the pool of this profile, if it is remembered.
    pub(crate) fn find(&mut self, profile: &Profile) -> Option<usize> {
        self.asked += 1;
        let index = self.pools.iter().position(|pool| pool.profile == *profile)?;
        self.pools[index].used_at = self.asked;
        Some(index)
    }

    /// A new pool of this profile, and its index. Nobody is ready in it yet.
    pub(crate) fn add(&mut self, profile: &Profile, config: &PolicyConfig, shapes: &mut Shapes) -> usize {
        if self.pools.len() >= MAX_POOLS
            && let Some(oldest) = (0..self.pools.len()).min_by_key(|&index| self.pools[index].used_at)
        {
            let gone = self.pools.swap_remove(oldest);
            for (shape, _) in gone.ranks.iter().enumerate().filter(|rank| rank.1.is_some()) {
                shapes[u32::try_from(shape).unwrap_or(u32::MAX)].pools -= 1;
            }
        }
        let mut pool = Pool {
            profile: profile.clone(),
            orders: Default::default(),
            credits: Credits::new(&config.shares),
            shapes: vec![None],
            ranks: Vec::new(),
            free: Vec::new(),
            used_at: self.asked,
        };
        let suited: Vec<u32> =
            shapes.iter().filter(|row| profile.suits(&row.1.form)).map(|row| row.0).collect();
        for shape in suited {
            pool.add(shape, shapes[shape].is_free());
            shapes[shape].pools += 1;
        }
        self.pools.push(pool);
        self.pools.len() - 1
    }

    /// Tells every pool of a new shape.
    pub(crate) fn add_shape(&mut self, number: u32, shapes: &mut Shapes) {
        for pool in &mut self.pools {
            if pool.profile.suits(&shapes[number].form) {
                pool.add(number, shapes[number].is_free());
                shapes[number].pools += 1;
            }
        }
    }

    /// Gives a shape in which nobody is ready a rank of its own.
    pub(crate) fn part(&mut self, shape: u32) {
        for pool in &mut self.pools {
            if pool.rank(shape) == Some(SHARED) {
                pool.ranks[shape as usize] = Some(pool.own_rank(shape));
            }
        }
    }

    /// Forgets a shape of which nobody has anything.
    pub(crate) fn drop_shape(&mut self, number: u32) {
        self.pools.iter_mut().for_each(|pool| pool.drop_shape(number));
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
