//! Who runs which shard: leases of shards, fenced by an epoch that rises with every change of hands.

use tidemill_kernel::{Shard, Timestamp};

/// The shards and epochs that a decision relies on. A step under a fence is refused whole with
/// [`crate::Error::Fenced`], which names one of them, if one of the shards has another epoch by now; it does not matter
/// whether somebody still holds it. That the fence has the shards of all tasks that the step names is its caller's care.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fence(pub Vec<(Shard, i64)>);

/// What a scheduler asks for, all at once, each shard once. What the present epochs do not allow is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Names one run of one scheduler; not empty.
    pub owner: String,
    /// Where it is reached; may be empty.
    pub address: String,
    /// Until when it is believed alive, and holds what it has.
    pub until: Timestamp,
    /// Shards that it holds at these epochs and keeps, also if their time is over and nobody has taken them.
    pub renew: Vec<(Shard, i64)>,
    /// Shards that had these epochs when it looked, and that it takes if nobody holds them, or their time is over
    /// (`until <= now`). The epoch rises by one.
    pub take: Vec<(Shard, i64)>,
    /// Shards that it holds at these epochs and gives up: nobody holds them since `now`. The epoch stays.
    pub leave: Vec<(Shard, i64)>,
    /// Takes shards even if their time is not over: for a store that no other process can open.
    pub force: bool,
}

/// How one shard stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLease {
    /// The shard.
    pub shard: Shard,
    /// Who holds it; empty for nobody.
    pub owner: String,
    /// Where he is reached; may be empty.
    pub address: String,
    /// How often it has changed hands; 0 for never.
    pub epoch: i64,
    /// Until when it is held; once it is given up, since when it is not; the Unix epoch for one never held.
    pub until: Timestamp,
    /// Whether its last owner gave it up, so that nothing of it runs; false again when it is taken.
    pub left: bool,
}

/// A scheduler that is believed alive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scheduler {
    /// Its run.
    pub owner: String,
    /// Where it is reached; may be empty.
    pub address: String,
}

/// How everything stands after a claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Board {
    /// All shards, in order.
    pub shards: Vec<ShardLease>,
    /// The schedulers whose time is not over (`until > now` of their last claim), by owner. One that leaves says so with
    /// an `until` that is over.
    pub schedulers: Vec<Scheduler>,
}
