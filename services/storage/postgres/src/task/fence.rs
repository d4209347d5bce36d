//! What a step relies on: each shard still at the epoch that its caller knew, until the step is committed.
//!
//! A fenced step shares a lock, and whoever lets shards change hands takes it alone, so that nobody takes a shard while a
//! step under its fence is under way. The epochs are read once the lock is had (`fence_holds` in the migrations).

use tidemill_kernel::Shard;
use tidemill_store::Error;
use tidemill_store::task::Fence;

use crate::writer::{Outcome, Step};

/// The beginning of a fenced statement: `fence` says in `holds` whether all of the fence does. Takes `$1` and `$2`.
macro_rules! fenced {
    () => {
        "WITH fence AS MATERIALIZED (SELECT fence_holds($1::integer[], $2::bigint[]) AS holds)"
    };
}
pub(super) use fenced;

/// The shards and epochs of several fences, each pair once, in order.
#[derive(Debug, Default)]
pub(super) struct Fences {
    pub(super) shards: Vec<i32>,
    pub(super) epochs: Vec<i64>,
}

impl Fences {
    pub(super) fn of<'a>(fences: impl Iterator<Item = &'a Fence>) -> Self {
        let mut pairs: Vec<(Shard, i64)> = fences.flat_map(|fence| fence.0.iter().copied()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let (shards, epochs) =
            pairs.into_iter().map(|(shard, epoch)| (i32::from(shard.number()), epoch)).unzip();
        Self { shards, epochs }
    }

    /// Checks them for the rest of the transaction.
    pub(super) async fn check(&self, step: &mut Step<'_>) -> Outcome<()> {
        if self.shards.is_empty() {
            return Ok(());
        }
        let check = sqlx::query_as::<_, (bool,)>(concat!(fenced!(), " SELECT holds FROM fence"));
        let held = step.row(check.bind(&self.shards).bind(&self.epochs)).await?;
        if held == Some((true,)) { Ok(()) } else { Err(self.broken(step).await?.into()) }
    }

    /// Names one of the shards that have moved on.
    pub(super) async fn broken(&self, step: &mut Step<'_>) -> Outcome<Error> {
        let moved = sqlx::query_as::<_, (i32, i64)>(
            "SELECT f.shard, f.epoch FROM unnest($1::integer[], $2::bigint[]) AS f (shard, epoch)
             WHERE NOT EXISTS (SELECT FROM shards s WHERE s.shard = f.shard AND s.epoch = f.epoch) LIMIT 1",
        );
        let moved = step.row(moved.bind(&self.shards).bind(&self.epochs)).await?;
        let (shard, epoch) = moved.unwrap_or_default();
        Ok(Error::Fenced { shard: u16::try_from(shard).unwrap_or_default(), epoch })
    }
}
