//! What a shard's owner relies on while others write: that he misses no place, and that a passed owner changes nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidemill_kernel::{Id, Shard, TenantName};

use super::concurrency::together;
use super::fixture::{
    Shared, append, append_one, at, attempt, claim, completion, create, ids, matched, name, query, settle,
    task, unfinished,
};
use crate::Error;
use crate::task::{Claim, Completion, Fence, Task};

/// Whoever reads on behind the last place he saw sees every task, however it came, while sixteen callers write.
pub async fn a_reader_that_goes_on_misses_no_task(store: Shared) {
    let acme = create(&store, "acme").await;
    let shard = Shard::of_tenant(&acme);
    let near = (0..).map(|number| name(&format!("n{number}"))).find(|name| Shard::of_tenant(name) == shard);
    let near = create(&store, near.unwrap().as_str()).await;
    store.put_query(&acme, query(1)).await.unwrap();
    let writers = Arc::new(AtomicU32::new(12));
    let seen = together(|caller| {
        let (store, writers) = (Arc::clone(&store), Arc::clone(&writers));
        let (acme, near) = (acme.clone(), near.clone());
        async move {
            if caller < 12 {
                write(&store, caller, &acme, &near).await;
                writers.fetch_sub(1, Ordering::SeqCst);
                return Vec::new();
            }
            let (mut seen, mut after) = (Vec::new(), shard.place(0));
            loop {
                // What was written before this is seen by the load after it.
                let is_last = writers.load(Ordering::SeqCst) == 0;
                let new = store.load_new(shard, after, 100).await.unwrap();
                assert!(new.is_sorted_by_key(|task| task.id.place()));
                assert!(new.iter().all(|task| task.id.place() > after));
                after = new.last().map_or(after, |task| task.id.place());
                seen.extend(new.iter().map(|task| task.id));
                if is_last && new.is_empty() {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let seen = seen.await;
    // Those that were ended to make others follow may have been seen or not.
    let all: Vec<Id> = ids(&unfinished(&store, &acme).await);
    assert_eq!(all.len(), 4 * 10 * 3 + 4 * 10 * 2 + 4 * 10);
    for seen in &seen[12..] {
        let seen: HashSet<_> = seen.iter().copied().collect();
        let missed = all.iter().filter(|id| !seen.contains(id)).count();
        assert_eq!(missed, 0, "of {} that were seen", seen.len());
    }
}

/// Ten steps: of plain tasks, of follow-ups, or of documents with matches.
async fn write(store: &Shared, caller: u128, acme: &TenantName, near: &TenantName) {
    for round in 0..10 {
        let tenant = if round % 2 == 0 { acme } else { near };
        match caller % 3 {
            0 => {
                append(store, tenant, vec![task(1), task(2), task(3)]).await;
            }
            1 => {
                let ended = append_one(store, tenant, task(4)).await;
                let follow_ups = vec![task(5), task(6)];
                let done = Completion { follow_ups, ..completion(attempt(ended, 1)) };
                assert_eq!(settle(store, vec![done], vec![], at(6)).await.follow_ups.len(), 2);
            }
            _ => {
                let row = matched(caller * 100 + round, &[(1, 1.0)]);
                store.append_documents(acme, vec![row], 1, at(5)).await.unwrap();
            }
        }
    }
}

/// Everybody takes the shard by force as soon as somebody else has ended a task, reads what is there and ends it, while
/// tasks come. An epoch has one owner, and what an owner does under his fence meets the tasks as he read them.
pub async fn owners_that_take_a_shard_from_each_other_end_each_task_once(store: Shared) {
    let acme = create(&store, "acme").await;
    let (writers, count) = (Arc::new(AtomicU32::new(4)), Arc::new(AtomicU32::new(0)));
    let outcome = together(|caller| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        let (writers, count) = (Arc::clone(&writers), Arc::clone(&count));
        async move {
            if caller < 4 {
                for number in 0..20 {
                    append(&store, &acme, vec![task(number), task(number)]).await;
                }
                writers.fetch_sub(1, Ordering::SeqCst);
                return (Vec::new(), Vec::new());
            }
            own(&store, &format!("o{caller}"), Shard::of_tenant(&acme), &writers, &count).await
        }
    });
    let outcome = outcome.await;
    let epochs: HashSet<i64> = outcome.iter().flat_map(|(epochs, _)| epochs.iter().copied()).collect();
    let taken: usize = outcome.iter().map(|(epochs, _)| epochs.len()).sum();
    assert_eq!(epochs.len(), taken, "an epoch had two owners");
    assert!((1..).take(taken).all(|epoch: i64| epochs.contains(&epoch)), "an epoch had no owner");
    let ended: Vec<Id> = outcome.into_iter().flat_map(|(_, ended)| ended).collect();
    let once: HashSet<&Id> = ended.iter().collect();
    assert_eq!((ended.len(), once.len()), (160, 160), "a task was ended twice or never");
    let counts = store.count_tasks(&acme).await.unwrap();
    assert_eq!((counts.len(), counts[0].count), (1, 160));
}

/// Takes the shard again and again until all is done; the epochs that it had and the tasks that it ended.
async fn own(
    store: &Shared,
    owner: &str,
    shard: Shard,
    writers: &AtomicU32,
    count: &AtomicU32,
) -> (Vec<i64>, Vec<Id>) {
    let (mut epochs, mut ended, mut seen, mut looks) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        let is_last = writers.load(Ordering::SeqCst) == 0;
        let board = store.claim_shards(claim(owner), at(5)).await.unwrap();
        let present = board.shards[usize::from(shard.number())].epoch;
        let now = count.load(Ordering::SeqCst);
        looks += 1;
        assert!(looks < 50_000, "the owners do not get on");
        if now == seen && looks % 20 != 0 && present > 0 {
            tokio::task::yield_now().await;
            continue;
        }
        seen = now;
        let asked = Claim { take: vec![(shard, present)], force: true, ..claim(owner) };
        let board = store.claim_shards(asked, at(5)).await.unwrap();
        let lease = &board.shards[usize::from(shard.number())];
        if (lease.owner.as_str(), lease.epoch) != (owner, present + 1) {
            continue;
        }
        epochs.push(lease.epoch);
        let fence = Fence(vec![(shard, lease.epoch)]);
        let tasks = store.load_new(shard, shard.place(0), 5).await.unwrap();
        if is_last && tasks.is_empty() {
            return (epochs, ended);
        }
        ended.extend(end(store, &fence, tasks, count).await);
    }
}

/// Ends tasks one after another, until all are or the shard is lost.
async fn end(store: &Shared, fence: &Fence, tasks: Vec<Task>, count: &AtomicU32) -> Vec<Id> {
    let mut ended = Vec::new();
    for task in tasks {
        let done = vec![completion(attempt(task.id, 1))];
        match store.settle_tasks(fence.clone(), done, vec![], at(6)).await {
            Ok(settled) => assert_eq!(settled.accepted, [true], "somebody else ended a task of the owner's"),
            Err(Error::Fenced { .. }) => break,
            Err(error) => panic!("{error}"),
        }
        count.fetch_add(1, Ordering::SeqCst);
        ended.push(task.id);
    }
    ended
}
