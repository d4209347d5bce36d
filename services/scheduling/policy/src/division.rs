//! The division of one limit among the schedulers whose tasks fall under it: who may use how much of it now.
//!
//! One scheduler at a time divides a limit. Every other one tells it, again and again, which shards it runs, what it may use,
//! what it does use, and what it wants, and is told what it may use from then on. The divider keeps one *claim* a scheduler: the
//! shards that it named last, and the most that it may be using. All claims together never exceed the limit.
//!
//! Nothing here ends by a clock. What a scheduler was granted is bound to the shards that it named: it may start tasks of
//! these alone, while it holds their leases. So a claim ends when other owners, at later epochs, have named all of its
//! shards, and with that told what runs of them; until then it is kept, whether its scheduler is dead, stands still, or
//! cannot be reached. A divider that has just begun knows too little to give anything away: it leaves everybody what he
//! has until each shard was named by an owner.
//!
//! What the schedulers have to keep, so that the claims are true: (1) an answer counts only for the last question, and a
//! question only for the divider that it was meant for, not for the one that begins in its place; (2) nothing
//! starts while a shard is run that no answered question named; (3) with a shard goes, from what may be used, what runs of
//! it; (4) who has lost all the shards that an answer was for may use nothing.
//!
//! What is free goes to whoever asks for it; when more is wanted than there is, each gets the same (max-min fairness), and
//! what does not divide goes around. A limit may change: what was claimed under the old one stays claimed. Who is the only owner of all shards has the whole limit, whatever it wants.

mod fair;

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_kernel::{Shard, Timestamp, shard::SHARDS};

use crate::limits::{Limit, Rate, Share};

/// After so long, what does not divide goes to the next.
const TURN: Duration = Duration::from_secs(5);
/// Who has not been heard of for so long wants nothing.
const SILENT: Duration = Duration::from_secs(3);
/// Into so many parts a rate is divided, at most.
const PARTS: u64 = 240;

/// What a scheduler tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The scheduler, by a name that no other run of any scheduler has.
    pub owner: String,
    /// Rises with every question of this scheduler.
    pub number: u64,
    /// The shards that it runs, all of them, with their epochs.
    pub shards: Vec<(Shard, i64)>,
    /// What it may use.
    pub holds: Share,
    /// How many of its tasks run; more than it may use when it has taken a shard over, or was told to use less.
    pub running: u32,
    /// What it would use if it could.
    pub wants: Share,
}

/// Amounts that are divided: slots of a concurrency, parts of a rate.
type Units = [u64; 2];

/// What one scheduler may be using.
#[derive(Debug)]
struct Claim {
    owner: String,
    number: u64,
    /// Those that it named last and that nobody else has named since, by epoch.
    shards: BTreeMap<Shard, i64>,
    most: Share,
    wants: Units,
    granted: Share,
    heard_at: Timestamp,
    /// What it named once and does not name any more, until the next owner does.
    is_left: bool,
}

/// The state of the division of one limit, from one divider's beginning to its end.
#[derive(Debug, Default)]
pub struct Division {
    claims: Vec<Claim>,
    /// The latest epoch of each shard that was named.
    epochs: BTreeMap<Shard, i64>,
}

impl Division {
    /// Answers a scheduler: what it may use from now on. An old question gets nothing.
    pub fn ask(&mut self, ask: &Ask, limit: Limit, now: Timestamp) -> Share {
        let before = self.claims.iter().find(|claim| !claim.is_left && claim.owner == ask.owner);
        if let Some(before) = before.filter(|before| before.number >= ask.number) {
            return if before.number == ask.number { before.granted } else { Share::NONE };
        }
        let shards: BTreeMap<Shard, i64> =
            ask.shards.iter().copied().filter(|named| self.is_new(*named)).collect();
        self.replace(&ask.owner, &shards);
        if shards.is_empty() {
            return Share::NONE;
        }
        let whole = whole(limit);
        let within = |share: Share| [0, 1].map(|unit| units(share, limit)[unit].min(whole[unit]));
        let holds = within(ask.holds);
        let mine = Claim {
            owner: ask.owner.clone(),
            number: ask.number,
            shards,
            most: Share { concurrency: ask.holds.concurrency.max(ask.running), rate: ask.holds.rate },
            wants: within(ask.wants),
            granted: Share::NONE,
            heard_at: now,
            is_left: false,
        };
        let place =
            self.claims.iter().position(|claim| claim.owner > mine.owner).unwrap_or(self.claims.len());
        self.claims.insert(place, mine);
        let granted = self.grant(place, holds, limit, now);
        let share = share(granted, limit);
        let mine = &mut self.claims[place];
        mine.most = mine.most.most(share);
        mine.granted = share;
        share
    }

    /// What may be in use at this moment, at most.
    pub fn in_use(&self, limit: Limit) -> Share {
        share(self.sum(|_| true, limit), limit)
    }

    /// Whether an owner has named each shard.
    pub fn knows_all(&self) -> bool {
        self.epochs.len() == usize::from(SHARDS)
    }

    fn is_new(&self, (shard, epoch): (Shard, i64)) -> bool {
        self.epochs.get(&shard).is_none_or(|known| *known <= epoch)
    }

    /// Takes these shards for this owner's: they leave the claims of others, and what it named before and does not name now
    /// stays claimed as it was until somebody names it.
    fn replace(&mut self, owner: &str, shards: &BTreeMap<Shard, i64>) {
        self.epochs.extend(shards);
        for claim in &mut self.claims {
            if claim.owner == owner && !claim.is_left {
                (claim.is_left, claim.wants) = (true, [0; 2]);
                claim.shards.retain(|shard, _| !shards.contains_key(shard));
            } else {
                claim.shards.retain(|shard, epoch| shards.get(shard).is_none_or(|later| later <= epoch));
            }
        }
        self.claims.retain(|claim| !claim.shards.is_empty());
    }

    /// What the claim at this place is given.
    fn grant(&self, place: usize, holds: Units, limit: Limit, now: Timestamp) -> Units {
        let whole = whole(limit);
        if !self.knows_all() {
            return [0, 1].map(|unit| holds[unit].min(whole[unit]));
        }
        if self.claims.len() == 1 {
            return whole;
        }
        let is_heard = |claim: &Claim| !claim.is_left && now.since(claim.heard_at) < SILENT;
        let turn = now.as_micros().unsigned_abs() / TURN.as_micros() as u64;
        let others = self.sum(|index| index != place, limit);
        [0, 1].map(|unit| {
            let wants = self.claims.iter().map(|claim| if is_heard(claim) { claim.wants[unit] } else { 0 });
            let fair = fair::part(&wants.collect::<Vec<_>>(), whole[unit], turn, place);
            // What others may be using is not there yet; what it has it may keep.
            fair.min(whole[unit].saturating_sub(others[unit]).max(holds[unit]))
        })
    }

    fn sum(&self, which: impl Fn(usize) -> bool, limit: Limit) -> Units {
        let claims = self.claims.iter().enumerate().filter(|(index, _)| which(*index));
        let most = claims.map(|(_, claim)| units(claim.most, limit));
        most.fold([0, 0], |sum, most| [0, 1].map(|unit| sum[unit].saturating_add(most[unit])))
    }
}

/// What there is to be divided.
fn whole(limit: Limit) -> Units {
    [limit.concurrency.map_or(0, u64::from), limit.rate.map_or(0, parts)]
}

/// Into how many parts a rate is divided: each of them gains something and holds something, because a bucket without a
/// bottom lets a task in before it has gained anything.
fn parts(rate: Rate) -> u64 {
    rate.per_second.min(rate.burst).min(PARTS)
}

/// How many units of a limit a share takes, rounded up; more than there are if the limit was higher.
fn units(share: Share, limit: Limit) -> Units {
    let slots = limit.concurrency.map_or(0, |_| share.concurrency.into());
    let (part, Some(whole)) = (share.rate, limit.rate) else { return [slots, 0] };
    let count = parts(whole);
    let of = |part: u64, whole: u64| {
        let exact = (u128::from(part) * u128::from(count)).div_ceil(u128::from(whole.max(1)));
        u64::try_from(exact).unwrap_or(u64::MAX)
    };
    [slots, of(part.per_second, whole.per_second).max(of(part.burst, whole.burst))]
}

/// What so many units of a limit come to, rounded down.
fn share([slots, parts_of]: Units, limit: Limit) -> Share {
    let of = |whole: u64, count: u64| {
        let exact = u128::from(whole) * u128::from(parts_of.min(count)) / u128::from(count.max(1));
        u64::try_from(exact).unwrap_or(whole)
    };
    let rate = limit.rate.map(|rate| {
        let count = parts(rate);
        Rate { per_second: of(rate.per_second, count), burst: of(rate.burst, count) }
    });
    Share { concurrency: u32::try_from(slots).unwrap_or(u32::MAX), rate: rate.unwrap_or(Share::NONE.rate) }
}

#[cfg(test)]
mod tests;
