//! Leases of shards in memory.

use tidemill_kernel::{Shard, Timestamp};

use crate::memory::State;
use crate::task::{Board, Claim, Fence, Scheduler, ShardLease};
use crate::{Error, Result};

impl State {
    pub(super) fn check_fence(&self, fence: &Fence) -> Result<()> {
        match fence.0.iter().find(|(shard, epoch)| self.shard(*shard).epoch != *epoch) {
            Some((shard, epoch)) => Err(Error::Fenced { shard: shard.number(), epoch: *epoch }),
            None => Ok(()),
        }
    }

    pub(super) fn claim(&mut self, claim: Claim, now: Timestamp) -> Board {
        let Claim { owner, address, until, renew, take, leave, force } = claim;
        let holds = |lease: &ShardLease, epoch: i64| lease.owner == owner && lease.epoch == epoch;
        for (shard, epoch) in renew {
            let lease = self.shard(shard);
            if holds(&lease, epoch) {
                self.shards.insert(shard, ShardLease { address: address.clone(), until, ..lease });
            }
        }
        for (shard, epoch) in take {
            let lease = self.shard(shard);
            let free = lease.owner.is_empty() || lease.until <= now || force;
            if free && lease.epoch == epoch {
                let (owner, address) = (owner.clone(), address.clone());
                let taken = ShardLease { shard, owner, address, epoch: epoch + 1, until, left: false };
                self.shards.insert(shard, taken);
            }
        }
        for (shard, epoch) in leave {
            if holds(&self.shard(shard), epoch) {
                self.shards.insert(shard, ShardLease { epoch, until: now, left: true, ..never_held(shard) });
            }
        }
        self.schedulers.insert(owner.clone(), (address, until));
        self.schedulers.retain(|_, (_, until)| *until > now);
        let schedulers = self.schedulers.iter();
        let schedulers = schedulers
            .map(|(owner, (address, _))| Scheduler { owner: owner.clone(), address: address.clone() });
        Board {
            shards: Shard::all().map(|shard| self.shard(shard)).collect(),
            schedulers: schedulers.collect(),
        }
    }

    fn shard(&self, shard: Shard) -> ShardLease {
        self.shards.get(&shard).cloned().unwrap_or_else(|| never_held(shard))
    }
}

fn never_held(shard: Shard) -> ShardLease {
    ShardLease {
        shard,
        owner: String::new(),
        address: String::new(),
        epoch: 0,
        until: Timestamp::default(),
        left: false,
    }
}
