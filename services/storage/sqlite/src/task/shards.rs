//! Leases of shards.

use rusqlite::params;
use serde::Deserialize;
use tidemill_kernel::{Shard, Timestamp};
use tidemill_store::task::{Board, Claim, Fence, Scheduler, ShardLease};
use tidemill_store::{Error, Result};

use crate::error::failed;
use crate::statement::query;
use crate::writer::{Step, Write};

/// Refuses a step whose decisions are out of date.
pub(super) fn check(fence: &Fence, step: &Step<'_>) -> Result<()> {
    match fence.0.iter().find(|(shard, epoch)| step.memo.tasks.epoch(*shard) != *epoch) {
        Some((shard, epoch)) => Err(Error::Fenced { shard: shard.number(), epoch: *epoch }),
        None => Ok(()),
    }
}

/// Renews, takes and gives up shards.
pub(super) struct ClaimShards {
    pub(super) claim: Claim,
    pub(super) now: Timestamp,
}

impl Write for ClaimShards {
    type Output = Board;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Board>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

impl ClaimShards {
    fn run_one(&self, step: &mut Step<'_>) -> Result<Board> {
        let mut shards = read(step)?;
        for lease in &mut shards {
            if self.changes(lease) {
                save(lease, step)?;
            }
        }
        let Claim { owner, address, until, .. } = &self.claim;
        let mut alive = step.prepare(
            "INSERT INTO schedulers (owner, address, until) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET address = excluded.address, until = excluded.until",
        )?;
        alive.execute(params![owner, address, until.as_micros()]).map_err(failed)?;
        step.execute(query("DELETE FROM schedulers WHERE until <= ?1").bind(self.now))?;
        let schedulers = query("SELECT json_array(owner, address) FROM schedulers ORDER BY owner");
        let schedulers: Vec<(String, String)> = step.rows(schedulers)?;
        let scheduler = |(owner, address)| Scheduler { owner, address };
        Ok(Board { shards, schedulers: schedulers.into_iter().map(scheduler).collect() })
    }

    /// Whether the claim changes how the shard stands, and makes it so.
    fn changes(&self, lease: &mut ShardLease) -> bool {
        let Self { claim, now } = self;
        let named = |shards: &[(Shard, i64)]| shards.contains(&(lease.shard, lease.epoch));
        let (renew, take, leave) = (named(&claim.renew), named(&claim.take), named(&claim.leave));
        let (is_mine, is_free) = (lease.owner == claim.owner, lease.owner.is_empty() || lease.until <= *now);
        let epoch = if take && (is_free || claim.force) {
            lease.epoch + 1
        } else if is_mine && (renew || leave) {
            lease.epoch
        } else {
            return false;
        };
        let shard = lease.shard;
        *lease = if leave {
            let (owner, address) = (String::new(), String::new());
            ShardLease { shard, owner, address, epoch, until: *now, left: true }
        } else {
            let (owner, address) = (claim.owner.clone(), claim.address.clone());
            ShardLease { shard, owner, address, epoch, until: claim.until, left: false }
        };
        true
    }
}

#[derive(Deserialize)]
struct ShardRow(u16, String, String, i64, Timestamp, i64);

fn read(step: &Step<'_>) -> Result<Vec<ShardLease>> {
    let rows =
        query("SELECT json_array(shard, owner, address, epoch, until, is_left) FROM shards ORDER BY shard");
    let lease = |ShardRow(number, owner, address, epoch, until, left)| {
        let shard = Shard::new(number);
        let shard = shard.ok_or_else(|| Error::Internal(format!("{number} is no shard")))?;
        Ok(ShardLease { shard, owner, address, epoch, until, left: left != 0 })
    };
    step.rows(rows)?.into_iter().map(lease).collect()
}

fn save(lease: &ShardLease, step: &mut Step<'_>) -> Result<()> {
    let ShardLease { shard, owner, address, epoch, until, left } = lease;
    let mut save = step.prepare(
        "UPDATE shards SET owner = ?2, address = ?3, epoch = ?4, until = ?5, is_left = ?6 WHERE shard = ?1",
    )?;
    save.execute(params![shard.number(), owner, address, epoch, until.as_micros(), left]).map_err(failed)?;
    step.memo.tasks.set_epoch(*shard, *epoch);
    Ok(())
}
