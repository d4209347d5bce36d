//! Shards taken, kept and given up, and the schedulers that are there.

use std::time::Duration;

use tidemill_kernel::{Shard, Timestamp};

use super::fixture::{Shared, at, claim};
use crate::task::{Board, Claim, Scheduler, ShardLease};

fn shard(number: u16) -> Shard {
    Shard::new(number).unwrap()
}

fn held(number: u16, owner: &str, epoch: i64, until: Timestamp) -> ShardLease {
    let address = claim(owner).address;
    ShardLease { shard: shard(number), owner: owner.to_owned(), address, epoch, until, left: false }
}

async fn ask(store: &Shared, claim: Claim, second: i64) -> Board {
    store.claim_shards(claim, at(second)).await.unwrap()
}

async fn take(store: &Shared, owner: &str, shards: &[(u16, i64)], second: i64) -> Board {
    let take = shards.iter().map(|&(number, epoch)| (shard(number), epoch)).collect();
    ask(store, Claim { take, ..claim(owner) }, second).await
}

/// All of them, in order, also before anybody came; the scheduler that asks is one of those alive.
pub async fn a_board_has_all_shards(store: Shared) {
    let board = ask(&store, claim("a"), 1).await;
    let nobody = |shard| ShardLease {
        shard,
        owner: String::new(),
        address: String::new(),
        epoch: 0,
        until: Timestamp::default(),
        left: false,
    };
    assert_eq!(board.shards, Shard::all().map(nobody).collect::<Vec<_>>());
    let expected = Scheduler { owner: "a".to_owned(), address: "http://a:1".to_owned() };
    assert_eq!(board.schedulers, [expected]);
}

/// One takes it, the epoch rises; the other and whoever looked at another epoch are passed over.
pub async fn a_free_shard_is_taken_once(store: Shared) {
    let board = take(&store, "a", &[(3, 0), (15, 0), (4, 1)], 1).await;
    let mut expected = ask(&store, claim("a"), 1).await.shards;
    assert_eq!(board.shards, expected);
    (expected[3], expected[15]) = (held(3, "a", 1, at(100)), held(15, "a", 1, at(100)));
    assert_eq!(board.shards, expected);
    assert_eq!(board.shards[4].epoch, 0);
    let board = take(&store, "b", &[(3, 0), (15, 1), (0, 0), (4, -1)], 2).await;
    expected[0] = held(0, "b", 1, at(100));
    assert_eq!(board.shards, expected, "what is held cannot be taken, not even at its epoch");
    let again = take(&store, "a", &[(3, 1)], 3).await;
    assert_eq!(again.shards, expected, "nor by its owner");
}

/// At the end of its time, not before; who had it has lost it.
pub async fn a_shard_whose_time_is_over_can_be_taken(store: Shared) {
    take(&store, "a", &[(3, 0)], 1).await;
    let early = at(100) - Duration::from_micros(1);
    let try_it = || Claim { take: vec![(shard(3), 1)], until: at(300), ..claim("b") };
    let board = store.claim_shards(try_it(), early).await.unwrap();
    assert_eq!(board.shards[3], held(3, "a", 1, at(100)));
    let board = ask(&store, try_it(), 100).await;
    assert_eq!(board.shards[3], held(3, "b", 2, at(300)));
    let late = Claim { renew: vec![(shard(3), 1)], leave: vec![(shard(3), 1)], ..claim("a") };
    assert_eq!(ask(&store, Claim { until: at(400), ..late }, 101).await.shards[3], held(3, "b", 2, at(300)));
    let foreign = Claim { renew: vec![(shard(3), 2)], until: at(500), ..claim("a") };
    assert_eq!(ask(&store, foreign, 102).await.shards[3], held(3, "b", 2, at(300)));
    let foreign = Claim { leave: vec![(shard(3), 2)], until: at(500), ..claim("a") };
    assert_eq!(ask(&store, foreign, 103).await.shards[3], held(3, "b", 2, at(300)));
}

/// Its time and its owner's address are new, its epoch is not; also when its time was over and nobody took it.
pub async fn a_shard_is_renewed_by_its_owner(store: Shared) {
    take(&store, "a", &[(3, 0), (4, 0)], 1).await;
    let renew = vec![(shard(3), 1), (shard(4), 0), (shard(5), 0)];
    let address = "http://moved:2".to_owned();
    let board =
        ask(&store, Claim { renew, address: address.clone(), until: at(200), ..claim("a") }, 50).await;
    assert_eq!(board.shards[3], ShardLease { address: address.clone(), ..held(3, "a", 1, at(200)) });
    assert_eq!(board.shards[4], held(4, "a", 1, at(100)), "another epoch is passed over");
    assert_eq!((board.shards[5].epoch, board.shards[5].owner.as_str()), (0, ""));
    assert_eq!(board.schedulers, [Scheduler { owner: "a".to_owned(), address }]);
    let board = ask(&store, Claim { renew: vec![(shard(4), 1)], until: at(900), ..claim("a") }, 700).await;
    assert_eq!(board.shards[4], held(4, "a", 1, at(900)));
}

/// Nobody holds it, and it says so until somebody takes it.
pub async fn a_shard_given_up_is_free_at_once(store: Shared) {
    take(&store, "a", &[(3, 0), (4, 0)], 1).await;
    let leave = vec![(shard(3), 1), (shard(4), 7), (shard(5), 0)];
    let board = ask(&store, Claim { leave, ..claim("a") }, 50).await;
    let free =
        ShardLease { owner: String::new(), address: String::new(), left: true, ..held(3, "a", 1, at(50)) };
    assert_eq!(board.shards[3], free);
    assert_eq!(board.shards[4], held(4, "a", 1, at(100)), "another epoch is passed over");
    assert!(!board.shards[5].left, "it was never held");
    let board = ask(&store, Claim { renew: vec![(shard(3), 1)], ..claim("a") }, 51).await;
    assert_eq!(board.shards[3], free, "what was given up cannot be renewed");
    let board = take(&store, "b", &[(3, 1)], 52).await;
    assert_eq!(board.shards[3], held(3, "b", 2, at(100)));
    let back = Claim { leave: vec![(shard(3), 2)], until: at(52), ..claim("b") };
    ask(&store, back, 53).await;
    let board = take(&store, "a", &[(3, 2)], 54).await;
    assert_eq!(board.shards[3], held(3, "a", 3, at(100)));
}

/// Though its time is not over, but not at another epoch.
pub async fn a_shard_can_be_taken_by_force(store: Shared) {
    take(&store, "a", &[(3, 0), (4, 0)], 1).await;
    let take = vec![(shard(3), 1), (shard(4), 0), (shard(5), 0)];
    let board = ask(&store, Claim { take, force: true, ..claim("b") }, 2).await;
    assert_eq!(board.shards[3], held(3, "b", 2, at(100)));
    assert_eq!(board.shards[4], held(4, "a", 1, at(100)));
    assert_eq!(board.shards[5], held(5, "b", 1, at(100)));
}

/// Renewed, taken and given up in one step, of which one part does not hinder another.
pub async fn a_claim_is_one_step(store: Shared) {
    take(&store, "a", &[(0, 0), (1, 0), (2, 0)], 1).await;
    take(&store, "b", &[(3, 0), (4, 0)], 1).await;
    let both = Claim {
        until: at(200),
        renew: vec![(shard(0), 1), (shard(1), 9)],
        take: vec![(shard(3), 1), (shard(5), 0), (shard(6), 0)],
        leave: vec![(shard(2), 1), (shard(4), 1)],
        ..claim("a")
    };
    let board = ask(&store, both, 60).await;
    assert_eq!(board.shards[..2], [held(0, "a", 1, at(200)), held(1, "a", 1, at(100))]);
    assert!(board.shards[2].left && board.shards[2].owner.is_empty());
    assert_eq!(board.shards[3..5], [held(3, "b", 1, at(100)), held(4, "b", 1, at(100))]);
    assert_eq!(board.shards[5..7], [held(5, "a", 1, at(200)), held(6, "a", 1, at(200))]);
}

/// By owner, each once, until its time is over or it has said good-bye.
pub async fn schedulers_are_listed_while_they_are_alive(store: Shared) {
    let until = |owner: &str, second| Claim { until: at(second), ..claim(owner) };
    let alive = |board: Board| board.schedulers.into_iter().map(|row| row.owner).collect::<Vec<_>>();
    ask(&store, until("c", 30), 1).await;
    ask(&store, until("a", 20), 2).await;
    assert_eq!(alive(ask(&store, until("b", 40), 3).await), ["a", "b", "c"]);
    assert_eq!(alive(ask(&store, until("b", 40), 20).await), ["b", "c"]);
    let anew = Claim { address: "http://anew:9".to_owned(), ..until("c", 60) };
    let board = ask(&store, anew, 21).await;
    assert_eq!(board.schedulers[1].address, "http://anew:9");
    assert_eq!(alive(board), ["b", "c"]);
    assert_eq!(alive(ask(&store, until("b", 22), 22).await), ["c"]);
    assert_eq!(alive(ask(&store, until("d", 70), 60).await), ["d"]);
}
