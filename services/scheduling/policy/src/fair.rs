//! Between tenants: start-time fair queueing by weight.
//!
//! Each tenant that is ready has a start tag in virtual time. The least tag is served; that sets virtual time to it
//! and moves it on by `cost / weight`. A tenant that becomes ready starts at virtual time, or at its old tag if that is
//! still ahead: what it did not use is not saved up, what it had in advance is not forgotten. When nobody is ready,
//! virtual time moves past all tags and everything is forgotten.
//!
//! Tenants stand in *ranks*, one for each shape of task: a rank that cannot be served (its kind is at its cap, no memory
//! is free for it) is passed over as a whole, whatever the number of tenants in it. A tenant stands in every rank in
//! which it has work, with one tag for all. A rank that comes back after it was passed over starts at virtual time.
//!
//! Bound: over any run of dispatches in which `f` and `g` are ready throughout,
//! `|W_f/w_f - W_g/w_g| <= c_f/w_f + c_g/w_g`, with `W` the cost served, `w` the weight and `c` the greatest cost of one
//! task. A tag never leads virtual time by more than `c/w`, so no past makes anybody wait for longer than that.
//!
//! Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queuing", SIGCOMM 1996. Tags are integers in units of 2^-30, so
//! that every machine decides alike; among equal tags the lower tenant number goes first.

use crate::heap::Heap;

/// Virtual time in units of 2^-30 of a cost over a weight.
type Tag = u64;

/// One cost over a weight of one.
const UNIT: u64 = 1 << 30;

/// Virtual time begins anew here: a single task adds at most half of what is left.
const REBASE_AT: Tag = 1 << 62;

/// Weights count up to here, so that the least cost over the greatest weight is still told apart (0.1 % of it).
pub(crate) const MAX_WEIGHT: u32 = 1 << 20;

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

/// Who is served next; tenants and ranks by number.
#[derive(Debug, Default)]
pub(crate) struct FairOrder {
    virtual_time: Tag,
    /// The greatest tag that was given.
    latest: Tag,
    /// By tenant: where it starts next. Nothing is remembered of it if that is not after virtual time.
    tags: Vec<Tag>,
    ranks: Vec<Rank>,
    /// Entries in all ranks.
    ready: usize,
}

/// The tenants that have work of one shape.
#[derive(Debug, Default)]
struct Rank {
    heap: Heap<Tag>,
    /// By tenant: its position in the heap.
    at: Vec<u32>,
    /// Tags below this count as this: they were passed over.
    floor: Tag,
    passed_over: bool,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) tenant: u32,
    start: Tag,
}

impl FairOrder {
    /// Whether any rank has a tenant in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready == 0
    }

    /// Whether anybody stands in a rank.
    pub(crate) fn waits(&self, rank: usize) -> bool {
        self.ranks.get(rank).is_some_and(|rank| !rank.heap.is_empty())
    }

    /// Who is next among the ranks that can be served now.
    pub(crate) fn next(&mut self, mut can_serve: impl FnMut(usize) -> bool) -> Option<Turn> {
        let mut best: Option<(Tag, u32)> = None;
        for (number, rank) in self.ranks.iter_mut().enumerate() {
            let Some((tag, tenant)) = rank.heap.first() else { continue };
            if !can_serve(number) {
                rank.passed_over = true;
                continue;
            }
            if std::mem::take(&mut rank.passed_over) {
                rank.floor = self.virtual_time;
            }
            let first = (tag.max(rank.floor), tenant);
            best = Some(best.map_or(first, |best| best.min(first)));
        }
        best.map(|(start, tenant)| Turn { tenant, start })
    }

    /// Lets a tenant take part in a rank, or not.
    pub(crate) fn set_ready(&mut self, rank: usize, tenant: u32, ready: bool) {
        if self.ranks.len() <= rank {
            self.ranks.resize_with(rank + 1, Rank::default);
        }
        let index = tenant as usize;
        let Rank { heap, at, .. } = &mut self.ranks[rank];
        let position = at.get(index).copied().unwrap_or(NOWHERE);
        if (position != NOWHERE) == ready {
            return;
        }
        if at.len() <= index {
            at.resize(index + 1, NOWHERE);
        }
        if ready {
            let tag = self.tags.get(index).map_or(self.virtual_time, |tag| self.virtual_time.max(*tag));
            heap.push(tag, tenant, &mut |item, position| at[item as usize] = position);
            self.ready += 1;
        } else {
            heap.remove(position, &mut |item, position| at[item as usize] = position);
            at[index] = NOWHERE;
            self.ready -= 1;
            if self.ready == 0 {
                self.virtual_time = self.latest.max(self.virtual_time);
            }
        }
    }

    /// Charges the tenant whose turn it was for a task of this cost; it stands in these ranks.
    pub(crate) fn serve(&mut self, turn: Turn, ranks: impl Iterator<Item = usize>, cost: u32, weight: u32) {
        self.virtual_time = self.virtual_time.max(turn.start);
        let tag =
            turn.start + (u64::from(cost.max(1)) * UNIT).div_ceil(u64::from(weight.clamp(1, MAX_WEIGHT)));
        self.latest = self.latest.max(tag);
        let index = turn.tenant as usize;
        if self.tags.len() <= index {
            self.tags.resize(index + 1, 0);
        }
        self.tags[index] = tag;
        for rank in ranks {
            let Some(Rank { heap, at, .. }) = self.ranks.get_mut(rank) else { continue };
            let position = at.get(index).copied().unwrap_or(NOWHERE);
            heap.rekey(position, tag, &mut |item, position| at[item as usize] = position);
        }
        if self.virtual_time >= REBASE_AT {
            self.rebase();
        }
    }

    /// Whether a tenant has had something in advance.
    pub(crate) fn remembers(&self, tenant: u32) -> bool {
        self.tags.get(tenant as usize).is_some_and(|tag| *tag > self.virtual_time)
    }

    /// Forgets a rank in which nobody stands; its number may be given to another shape.
    pub(crate) fn clear(&mut self, rank: usize) {
        if let Some(rank) = self.ranks.get_mut(rank).filter(|rank| rank.heap.is_empty()) {
            *rank = Rank::default();
        }
    }

    fn rebase(&mut self) {
        let base = std::mem::take(&mut self.virtual_time);
        self.latest = self.latest.saturating_sub(base);
        for tag in &mut self.tags {
            *tag = tag.saturating_sub(base);
        }
        for Rank { heap, at, floor, .. } in &mut self.ranks {
            *floor = floor.saturating_sub(base);
            heap.map_keys(|tag| tag.saturating_sub(base), &mut |item, position| at[item as usize] = position);
        }
    }
}

#[cfg(test)]
mod tests;
