//! Attempts ended: results, analyses, follow-ups and failures.

use super::fixture::{
    Shared, analysis, append, at, completion, create, document, failure, id, keyed, lease, match_task,
    matched, page, query, start, task,
};
use crate::Error;
use crate::content::{Analysis, Counts};
use crate::task::{Completion, Failure, Task, TaskState};

/// A wrong token, a waiting task, an unknown one and a second try change nothing.
pub async fn a_completion_counts_once_and_under_its_token_only(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), task(2)]).await;
    let held = start(&store, task(1).id, 1).await;
    let wrong = [lease(task(1).id, 2), lease(task(2).id, 1), lease(id(404), 1)].map(completion);
    let settled = store.settle_tasks(wrong.to_vec(), vec![], at(6)).await.unwrap();
    assert_eq!((settled.accepted, settled.follow_ups.len()), (vec![false; 3], 0));
    assert_eq!(store.task(&acme, task(1).id).await.unwrap().unwrap().state, TaskState::Running);

    let settled = store.settle_tasks(vec![completion(held)], vec![], at(7)).await.unwrap();
    assert_eq!(settled.accepted, [true]);
    let other = Completion { result: "again".to_owned(), ..completion(held) };
    let settled = store.settle_tasks(vec![other], vec![failure(held)], at(8)).await.unwrap();
    assert_eq!(settled.accepted, [false, false]);
    let expected = Task {
        state: TaskState::Succeeded,
        attempt: 1,
        started_at: Some(at(4)),
        finished_at: Some(at(7)),
        worker: "worker-1".to_owned(),
        result: "done".to_owned(),
        ..Task::stored(task(1), acme.clone(), at(2))
    };
    assert_eq!(store.task(&acme, task(1).id).await.unwrap(), Some(expected));
}

/// With a time it waits again, without one it is dead.
pub async fn a_failure_retries_or_ends(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), task(2)]).await;
    let (first, second) = (start(&store, task(1).id, 1).await, start(&store, task(2).id, 2).await);
    let retry = Failure { retry_at: Some(at(50)), ..failure(first) };
    let settled = store.settle_tasks(vec![], vec![retry.clone(), failure(second)], at(7)).await.unwrap();
    assert_eq!(settled.accepted, [true, true]);
    let mut waits = Task {
        attempt: 1,
        started_at: Some(at(4)),
        worker: "worker-1".to_owned(),
        error: "no luck".to_owned(),
        ..Task::stored(task(1), acme.clone(), at(2))
    };
    waits.new.run_at = at(50);
    assert_eq!(store.task(&acme, task(1).id).await.unwrap(), Some(waits));
    let dead = store.task(&acme, task(2).id).await.unwrap().unwrap();
    assert_eq!(
        (dead.state, dead.finished_at, dead.error.as_str()),
        (TaskState::Dead, Some(at(7)), "no luck")
    );
    assert_eq!(store.settle_tasks(vec![], vec![retry], at(8)).await.unwrap().accepted, [false]);
    start(&store, task(1).id, 3).await;
    assert_eq!(store.load_running(0, 10).await.unwrap()[0].attempt, 2);
}

/// A lease that was renewed meanwhile is left alone.
pub async fn an_expired_lease_is_taken_back_without_racing_its_renewal(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), task(2)]).await;
    let (first, second) = (start(&store, task(1).id, 1).await, start(&store, task(2).id, 2).await);
    let reclaim = |lease| Failure { retry_at: Some(at(40)), only_if_expired: true, ..failure(lease) };
    let settled = store.settle_tasks(vec![], vec![reclaim(first)], at(13)).await.unwrap();
    assert_eq!(settled.accepted, [false]);
    store.renew_leases(vec![second], at(34)).await.unwrap();
    let settled = store.settle_tasks(vec![], vec![reclaim(first), reclaim(second)], at(14)).await.unwrap();
    assert_eq!(settled.accepted, [true, false]);
    assert_eq!(store.renew_leases(vec![first, second], at(60)).await.unwrap(), [task(1).id]);
}

/// Late is not wrong: nobody else has the task.
pub async fn an_ended_lease_still_counts_until_it_is_taken_back(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1)]).await;
    let held = start(&store, task(1).id, 1).await;
    assert_eq!(store.settle_tasks(vec![completion(held)], vec![], at(999)).await.unwrap().accepted, [true]);
}

async fn analyzed(store: &Shared, token: u128, output: &str) -> Vec<bool> {
    let held = lease(match_task(1, 1), token);
    let analysis = Analysis { created_at: at(-500), ..analysis(output) };
    let analysis = Some((query(1).id, document(1).id, analysis));
    let settled = store.settle_tasks(vec![Completion { analysis, ..completion(held) }], vec![], at(9)).await;
    settled.unwrap().accepted
}

/// Under a stale token it is not stored.
pub async fn an_analysis_commits_with_its_task(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store
        .append_documents(&acme, vec![matched(1, &[(1, 1.0)]), matched(2, &[(1, 0.5)])], 1, at(5))
        .await
        .unwrap();
    start(&store, match_task(1, 1), 1).await;
    assert_eq!(analyzed(&store, 2, r#"{"stale":true}"#).await, [false]);
    assert_eq!(store.counts(&acme).await.unwrap().analyses, 0);
    assert_eq!(analyzed(&store, 1, r#"{"good":true}"#).await, [true]);
    assert_eq!(analyzed(&store, 1, r#"{"twice":true}"#).await, [false]);
    let found = store.page_results(&acme, Some("q1"), page(10)).await.unwrap().items;
    assert_eq!(found[0].analysis, Some(analysis(r#"{"good":true}"#)));
    assert_eq!(found[1].analysis, None);
    let expected = Counts { documents: 2, queries: 1, sources: 0, matches: 2, analyses: 1 };
    assert_eq!(store.counts(&acme).await.unwrap(), expected);
}

/// The first one stays, also against another in the same batch.
pub async fn a_match_has_one_analysis(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.append_documents(&acme, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    append(&store, &acme, vec![task(1), task(2), task(3)]).await;
    let mut settled = Vec::new();
    for number in 1..=3 {
        let held = start(&store, task(number).id, number).await;
        let analysis = Some((query(1).id, document(1).id, analysis(&format!("{{\"from\":{number}}}"))));
        settled.push(Completion { analysis, ..completion(held) });
    }
    let last = settled.pop().unwrap();
    assert_eq!(store.settle_tasks(settled, vec![], at(9)).await.unwrap().accepted, [true, true]);
    assert_eq!(store.settle_tasks(vec![last], vec![], at(10)).await.unwrap().accepted, [true]);
    let found = store.page_results(&acme, Some("q1"), page(10)).await.unwrap().items;
    assert_eq!(found[0].analysis, Some(analysis("{\"from\":1}")));
    assert_eq!(store.counts(&acme).await.unwrap().analyses, 1);
}

/// Whether the query was removed or the document never matched: no analysis is stored.
pub async fn a_completion_counts_although_its_match_is_gone(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.append_documents(&acme, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    store.remove_query(&acme, "q1", at(6)).await.unwrap();
    store.revive_task(&acme, match_task(1, 1), at(6)).await.unwrap();
    start(&store, match_task(1, 1), 1).await;
    assert_eq!(analyzed(&store, 1, "{}").await, [true]);
    let task = store.task(&acme, match_task(1, 1)).await.unwrap().unwrap();
    assert_eq!((task.state, task.result.as_str()), (TaskState::Succeeded, "done"));
    assert_eq!(store.counts(&acme).await.unwrap().analyses, 0);
}

/// Follow-ups obey the rules of an append; those of a refused completion are not made.
pub async fn follow_ups_commit_with_their_task(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), keyed(2, "taken")]).await;
    let held = start(&store, task(1).id, 1).await;
    let follow_ups = vec![task(11), keyed(12, "taken"), keyed(13, "k"), keyed(14, "k")];
    let stale = Completion { follow_ups: vec![task(15)], ..completion(lease(task(2).id, 9)) };
    let done = Completion { follow_ups, ..completion(held) };
    let settled = store.settle_tasks(vec![stale, done], vec![], at(7)).await.unwrap();
    assert_eq!(settled.accepted, [false, true]);
    assert_eq!(settled.follow_ups.iter().map(|row| row.id).collect::<Vec<_>>(), [task(11).id, task(13).id]);
    let waiting = store.load_new(0, 10).await.unwrap();
    assert_eq!(waiting[1..], settled.follow_ups);
    let made = store.task(&acme, task(11).id).await.unwrap();
    assert_eq!(made, Some(Task::stored(task(11), acme.clone(), at(7))));
    for number in [12, 14, 15] {
        assert_eq!(store.task(&acme, task(number).id).await.unwrap(), None);
    }
}

/// A follow-up that cannot be made leaves every attempt as it was.
pub async fn a_settle_is_all_or_nothing(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    append(&store, &acme, vec![task(1), task(2)]).await;
    append(&store, &beta, vec![task(3)]).await;
    let (first, second) = (start(&store, task(1).id, 1).await, start(&store, task(2).id, 2).await);
    let bad = Completion { follow_ups: vec![task(4), task(3)], ..completion(second) };
    let refused = store.settle_tasks(vec![completion(first), bad], vec![], at(7)).await;
    assert!(matches!(refused, Err(Error::Exists { what: "task", .. })), "{refused:?}");
    assert_eq!(store.load_running(0, 10).await.unwrap().len(), 2);
    assert_eq!(store.task(&acme, task(4).id).await.unwrap(), None);
    assert_eq!(store.settle_tasks(vec![completion(first)], vec![], at(8)).await.unwrap().accepted, [true]);
}

/// Completions are looked at before failures.
pub async fn one_attempt_settled_twice_in_a_batch_counts_once(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), task(2)]).await;
    let (first, second) = (start(&store, task(1).id, 1).await, start(&store, task(2).id, 2).await);
    let done = |lease| Completion { follow_ups: vec![task(9)], ..completion(lease) };
    let failures = vec![failure(first), failure(second), failure(second)];
    let settled = store.settle_tasks(vec![done(first), done(first)], failures, at(7)).await.unwrap();
    assert_eq!(settled.accepted, [true, false, false, true, false]);
    assert_eq!(settled.follow_ups.len(), 1);
    let state = async |number| store.task(&acme, task(number).id).await.unwrap().unwrap().state;
    assert_eq!([state(1).await, state(2).await], [TaskState::Succeeded, TaskState::Dead]);
}
