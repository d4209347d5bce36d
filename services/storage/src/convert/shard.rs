//! Shards, their leases and fences.

use std::time::Duration;

use tidemill_kernel::{Shard, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::time::duration;
use tidemill_store::task::{Board, Claim, Fence, Scheduler, ShardLease};

use super::{rule, time};
use crate::error::Within;
use crate::{Error, Result};

/// A shard by its number.
pub fn decode_shard(field: &str, number: u32) -> Result<Shard> {
    let shard = u16::try_from(number).ok().and_then(Shard::new);
    let rule = || format!("is {number}; use 0 to {}", tidemill_kernel::shard::SHARDS - 1);
    shard.ok_or_else(|| Error::field(field, rule()))
}

/// The messages of a fence.
pub fn encode_fence(fence: &Fence) -> Vec<api::ShardEpoch> {
    encode_epochs(&fence.0)
}

/// The fence of messages; it names at least one shard, because what follows from no shard needs none.
pub fn decode_fence(messages: Vec<api::ShardEpoch>) -> Result<Fence> {
    if messages.is_empty() {
        return Err(Error::field("fence", "is empty; name the shards and epochs that this was decided for"));
    }
    Ok(Fence(decode_epochs("fence", messages)?))
}

/// The message of a claim that is made `now`.
pub fn encode_claim(claim: Claim, now: Timestamp) -> api::ClaimShardsRequest {
    api::ClaimShardsRequest {
        owner: claim.owner,
        address: claim.address,
        lease: Some(duration(claim.until.since(now))),
        renew: encode_epochs(&claim.renew),
        take: encode_epochs(&claim.take),
        leave: encode_epochs(&claim.leave),
        force: claim.force,
    }
}

/// The claim of a message.
pub fn decode_claim(message: api::ClaimShardsRequest, now: Timestamp) -> Result<Claim> {
    Ok(Claim {
        owner: rule::filled("owner", message.owner, rule::MAX_LABEL)?,
        address: rule::text("address", message.address, rule::MAX_LABEL)?,
        until: now + rule::present("lease", time::decode_length("lease", message.lease)?)?,
        renew: decode_epochs("renew", message.renew)?,
        take: decode_epochs("take", message.take)?,
        leave: decode_epochs("leave", message.leave)?,
        force: message.force,
    })
}

/// The message of how everything stands `now`.
pub fn encode_board(board: Board, now: Timestamp) -> api::ClaimShardsResponse {
    let shard = |lease: ShardLease| api::ShardLease {
        shard: lease.shard.number().into(),
        owner: lease.owner,
        address: lease.address,
        epoch: lease.epoch,
        left_over: Some(lease.until.since(now)).filter(|rest| *rest > Duration::ZERO).map(duration),
        left: lease.left,
    };
    let scheduler = |one: Scheduler| api::Scheduler { owner: one.owner, address: one.address };
    api::ClaimShardsResponse {
        shards: board.shards.into_iter().map(shard).collect(),
        schedulers: board.schedulers.into_iter().map(scheduler).collect(),
    }
}

/// How everything stood `now`. A shard that is not held any more is held until the epoch.
pub fn decode_board(message: api::ClaimShardsResponse, now: Timestamp) -> Result<Board> {
    let shard = |(index, lease): (usize, api::ShardLease)| {
        let until = time::decode_length("left_over", lease.left_over).within_item("shards", index)?;
        Ok(ShardLease {
            shard: decode_shard("shard", lease.shard).within_item("shards", index)?,
            owner: lease.owner,
            address: lease.address,
            epoch: lease.epoch,
            until: until.map_or_else(Timestamp::default, |rest| now + rest),
            left: lease.left,
        })
    };
    let scheduler = |one: api::Scheduler| Scheduler { owner: one.owner, address: one.address };
    Ok(Board {
        shards: message.shards.into_iter().enumerate().map(shard).collect::<Result<_>>()?,
        schedulers: message.schedulers.into_iter().map(scheduler).collect(),
    })
}

fn encode_epochs(epochs: &[(Shard, i64)]) -> Vec<api::ShardEpoch> {
    let one = |(shard, epoch): &(Shard, i64)| api::ShardEpoch { shard: shard.number().into(), epoch: *epoch };
    epochs.iter().map(one).collect()
}

fn decode_epochs(field: &str, messages: Vec<api::ShardEpoch>) -> Result<Vec<(Shard, i64)>> {
    rule::at_most(field, messages.len(), usize::from(tidemill_kernel::shard::SHARDS))?;
    let one = |(index, message): (usize, api::ShardEpoch)| {
        Ok((decode_shard("shard", message.shard).within_item(field, index)?, message.epoch))
    };
    messages.into_iter().enumerate().map(one).collect()
}
