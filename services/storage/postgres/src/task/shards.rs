//! Shards claimed. Who gets what is decided where the rows are (`claim_shards` in the migrations): a claim that lets shards
//! change hands keeps every fenced step waiting, so it is one statement.

use async_trait::async_trait;
use sqlx::{FromRow, query_as};
use tidemill_kernel::{Shard, Timestamp};
use tidemill_store::task::{Board, Claim, Scheduler, ShardLease};
use tidemill_store::text::clean;

use crate::writer::{Outcome, Step, Write};

/// One scheduler's claim.
pub(super) struct ClaimShards {
    claim: Claim,
    now: Timestamp,
}

impl ClaimShards {
    pub(super) fn new(claim: Claim, now: Timestamp) -> Self {
        let claim = Claim { owner: clean(claim.owner), address: clean(claim.address), ..claim };
        Self { claim, now }
    }

    async fn claim(&self, step: &mut Step<'_>) -> Outcome<Board> {
        let Claim { owner, address, until, renew, take, leave, force } = &self.claim;
        let mut claim = query_as::<_, BoardRow>(
            "SELECT * FROM claim_shards($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(owner)
        .bind(address)
        .bind(until.as_micros())
        .bind(self.now.as_micros());
        for named in [renew, take, leave] {
            let (shards, epochs): (Vec<i32>, Vec<i64>) =
                named.iter().map(|(shard, epoch)| (i32::from(shard.number()), *epoch)).unzip();
            claim = claim.bind(shards).bind(epochs);
        }
        let mut board = Board::default();
        step.rows(claim.bind(*force)).await?.into_iter().for_each(|row| row.put_on(&mut board));
        Ok(board)
    }
}

/// A shard, or a scheduler.
#[derive(FromRow)]
struct BoardRow {
    shard: i32,
    epoch: i64,
    owner: String,
    address: String,
    until: i64,
    has_left: bool,
}

impl BoardRow {
    fn put_on(self, board: &mut Board) {
        let Self { epoch, owner, address, has_left: left, .. } = self;
        let until = Timestamp::from_micros(self.until);
        match u16::try_from(self.shard).ok().and_then(Shard::new) {
            Some(shard) => board.shards.push(ShardLease { shard, owner, address, epoch, until, left }),
            None => board.schedulers.push(Scheduler { owner, address }),
        }
    }
}

#[async_trait]
impl Write for ClaimShards {
    type Output = Board;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Board>> {
        let mut boards = Vec::with_capacity(calls.len());
        for call in calls {
            boards.push(call.claim(step).await?);
        }
        Ok(boards)
    }

    async fn run_at_once(calls: &[Self], step: &mut Step<'_>) -> Option<Outcome<Vec<Board>>> {
        if calls.len() == 1 { Some(Self::run(calls, step).await) } else { None }
    }
}
