//! What commits with a completion: its analysis and the tasks that follow.

use tidemill_kernel::{Id, Shard};

use super::fixture::{
    Shared, analysis, append, append_at, append_one, at, attempt, completion, create, document, keyed,
    match_task, matched, page, query, read, settle, succeed, task, unfinished, unknown,
};
use crate::content::{Analysis, Counts};
use crate::task::{Completion, Task, TaskState};

async fn analyzed(store: &Shared, task: Id, output: &str) -> Vec<bool> {
    let analysis = Analysis { created_at: at(-500), ..analysis(output) };
    let analysis = Some((query(1).id, document(1).id, analysis));
    settle(store, vec![Completion { analysis, ..completion(attempt(task, 1)) }], vec![], at(9)).await.accepted
}

/// One of an attempt that does not count is not stored.
pub async fn an_analysis_commits_with_its_task(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let rows = vec![matched(1, &[(1, 1.0)]), matched(2, &[(1, 0.5)])];
    store.append_documents(&acme, rows, 1, at(5)).await.unwrap();
    let task = match_task(&store, &acme, 1, 1).await.unwrap().id;
    assert_eq!(analyzed(&store, unknown(&acme), r#"{"unknown":true}"#).await, [false]);
    assert_eq!(store.counts(&acme).await.unwrap().analyses, 0);
    assert_eq!(analyzed(&store, task, r#"{"good":true}"#).await, [true]);
    assert_eq!(analyzed(&store, task, r#"{"twice":true}"#).await, [false]);
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
    let mut settled = Vec::new();
    for (number, id) in (1..).zip(append(&store, &acme, (1..=3).map(task).collect()).await) {
        let analysis = Some((query(1).id, document(1).id, analysis(&format!("{{\"from\":{number}}}"))));
        settled.push(Completion { analysis, ..completion(attempt(id, 1)) });
    }
    let last = settled.pop().unwrap();
    assert_eq!(settle(&store, settled, vec![], at(9)).await.accepted, [true, true]);
    assert_eq!(settle(&store, vec![last], vec![], at(10)).await.accepted, [true]);
    let found = store.page_results(&acme, Some("q1"), page(10)).await.unwrap().items;
    assert_eq!(found[0].analysis, Some(analysis("{\"from\":1}")));
    assert_eq!(store.counts(&acme).await.unwrap().analyses, 1);
}

/// Whether the query was removed or the document never matched: no analysis is stored.
pub async fn a_completion_counts_although_its_match_is_gone(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.append_documents(&acme, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    let task = match_task(&store, &acme, 1, 1).await.unwrap().id;
    store.remove_query(&acme, "q1", at(6)).await.unwrap();
    store.revive_task(&acme, task, at(6)).await.unwrap();
    assert_eq!(analyzed(&store, task, "{}").await, [true]);
    let task = read(&store, &acme, task).await;
    assert_eq!((task.state, task.result.as_str()), (TaskState::Succeeded, "done"));
    assert_eq!(store.counts(&acme).await.unwrap().analyses, 0);
}

/// They obey the rules of an append; those of an attempt that does not count are not made.
pub async fn follow_ups_commit_with_their_task(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![task(1), keyed(2, "taken")]).await;
    let vain = Completion { follow_ups: vec![task(15)], ..completion(attempt(unknown(&acme), 1)) };
    let odd = crate::task::NewTask { payload: "a\0b".to_owned(), options: vec![1, 0], ..task(11) };
    let follow_ups = vec![odd.clone(), keyed(12, "taken"), keyed(13, "k"), keyed(14, "k")];
    let done = Completion { follow_ups, ..completion(attempt(stored[0], 1)) };
    let settled = settle(&store, vec![vain, done], vec![], at(7)).await;
    assert_eq!(settled.accepted, [false, true]);
    let [first, second] = &settled.follow_ups[..] else { panic!("{settled:?}") };
    assert_eq!(first.created_at(), at(7));
    let clean = crate::task::NewTask { payload: "a\u{fffd}b".to_owned(), ..odd };
    assert_eq!(*first, Task::stored(first.id, clean, acme.clone()));
    assert_eq!(*second, Task::stored(second.id, keyed(13, "k"), acme.clone()));
    assert!(stored[1].place() < first.id.place() && first.id.place() < second.id.place());
    assert_eq!(unfinished(&store, &acme).await[1..], settled.follow_ups);
    assert_eq!(store.page_tasks(&acme, None, None, page(10)).await.unwrap().items.len(), 4);
    let again = append_at(&store, &acme, vec![keyed(16, "k")], at(8)).await;
    assert_eq!((again[0].id, again[0].duplicate), (second.id, true));
    assert_eq!(read(&store, &acme, first.id).await, *first);
}

/// Each of its own tenant, all in the order of their places; one key among several completions is taken once.
pub async fn follow_ups_of_several_tenants_come_in_order(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "default").await);
    let mine = append(&store, &acme, vec![task(1), task(2)]).await;
    let other = append_one(&store, &beta, task(3)).await;
    let done = |id, numbers: [u128; 2]| Completion {
        follow_ups: numbers.map(|number| keyed(number, &format!("k{}", number % 10))).to_vec(),
        ..completion(attempt(id, 1))
    };
    let completions = vec![done(mine[0], [11, 12]), done(other, [21, 22]), done(mine[1], [32, 33])];
    let settled = settle(&store, completions, vec![], at(7)).await;
    assert_eq!(settled.accepted, [true; 3]);
    assert!(settled.follow_ups.is_sorted_by_key(|task| task.id.place()));
    let all = [
        (&acme, &["payload 11", "payload 12", "payload 33"][..]),
        (&beta, &["payload 21", "payload 22"][..]),
    ];
    for (tenant, payloads) in all {
        let made: Vec<Task> =
            settled.follow_ups.iter().filter(|task| task.tenant == *tenant).cloned().collect();
        assert_eq!(made.iter().map(|task| task.new.payload.as_str()).collect::<Vec<_>>(), payloads);
        assert!(made.iter().all(|task| Shard::of_place(task.id.place()) == Shard::of_tenant(tenant)));
        assert_eq!(unfinished(&store, tenant).await, made);
    }
    succeed(&store, settled.follow_ups[0].id, at(9)).await;
}
