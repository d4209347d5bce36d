//! Standing queries.

use tidemill_kernel::Priority;

use super::fixture::{
    Shared, analysis, at, attempt, completion, create, id, match_task, matched, next, page, query, read,
    record, running, settle,
};
use crate::Error;
use crate::content::{Counts, Query, QuerySet};
use crate::task::{Completion, TaskState};

/// The same content is returned as it stands; another under the name, or a taken id, is refused.
pub async fn a_query_is_put_once_and_raises_the_version(store: Shared) {
    let acme = create(&store, "acme").await;
    assert_eq!(store.load_queries(&acme, None).await.unwrap().version, 0);
    assert_eq!(store.put_query(&acme, query(1)).await.unwrap(), query(1));
    assert_eq!(store.load_queries(&acme, None).await.unwrap().version, 1);
    let again = Query { id: id(7), created_at: at(50), ..query(1) };
    assert_eq!(store.put_query(&acme, again).await.unwrap(), query(1));
    assert_eq!(store.load_queries(&acme, None).await.unwrap().version, 1);

    let different = [
        Query { expression: "coal".to_owned(), ..query(1) },
        Query { recipe: "summarize@1".to_owned(), ..query(1) },
        Query { parameters: r#"{"a":1}"#.to_owned(), ..query(1) },
        Query { priority: Priority::Interactive, ..query(1) },
        Query { name: "other".to_owned(), ..query(1) },
    ];
    for other in different {
        let refused = store.put_query(&acme, other).await;
        assert!(matches!(refused, Err(Error::Exists { what: "query", .. })), "{refused:?}");
    }
    assert_eq!(store.load_queries(&acme, None).await.unwrap().queries, Some(vec![query(1)]));
}

/// The version that the caller has spares the queries; any other brings them.
pub async fn a_query_set_is_sent_unless_it_is_known(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.put_query(&acme, query(2)).await.unwrap();
    let all = store.load_queries(&acme, Some(1)).await.unwrap();
    let mut queries = all.queries.unwrap();
    queries.sort_by(|left, right| left.name.cmp(&right.name));
    assert_eq!((all.version, queries), (2, vec![query(1), query(2)]));
    let known = store.load_queries(&acme, Some(2)).await.unwrap();
    assert_eq!(known, QuerySet { version: 2, queries: None });
    store.remove_query(&acme, "q1", at(8)).await.unwrap();
    assert_eq!(store.load_queries(&acme, Some(2)).await.unwrap().queries, Some(vec![query(2)]));
}

/// Pages are in the order of names.
pub async fn queries_page_by_name_while_others_are_added(store: Shared) {
    let acme = create(&store, "acme").await;
    for number in [5, 1, 3, 7] {
        store.put_query(&acme, query(number)).await.unwrap();
    }
    let first = store.page_queries(&acme, page(2)).await.unwrap();
    assert_eq!(first.items, [query(1), query(3)]);
    store.put_query(&acme, query(2)).await.unwrap();
    store.put_query(&acme, query(6)).await.unwrap();
    store.remove_query(&acme, "q3", at(8)).await.unwrap();
    let second = store.page_queries(&acme, next(2, &first.next_token)).await.unwrap();
    assert_eq!(second.items, [query(5), query(6)]);
    let third = store.page_queries(&acme, next(2, &second.next_token)).await.unwrap();
    assert_eq!((third.items, third.next_token), (vec![query(7)], String::new()));
}

/// Matches and analyses go; unfinished tasks are cancelled, finished ones and other queries' stay.
pub async fn removing_a_query_removes_what_hangs_on_it(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.put_query(&acme, query(2)).await.unwrap();
    let documents = vec![matched(1, &[(1, 1.0), (2, 1.0)]), matched(2, &[(1, 1.0)]), matched(3, &[(1, 1.0)])];
    store.append_documents(&acme, documents, 2, at(5)).await.unwrap();
    let mut tasks = Vec::new();
    for (document, query) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
        tasks.push(match_task(&store, &acme, document, query).await.unwrap().id);
    }
    let done = attempt(tasks[0], 1);
    let analysis = Some((query(1).id, super::fixture::document(1).id, analysis("{}")));
    let settled = settle(&store, vec![Completion { analysis, ..completion(done) }], vec![], at(6)).await;
    assert_eq!(settled.accepted, [true]);
    let held = record(&store, tasks[1], 2).await;

    store.remove_query(&acme, "q1", at(8)).await.unwrap();
    let expected = Counts { documents: 3, queries: 1, sources: 0, matches: 1, analyses: 0 };
    assert_eq!(store.counts(&acme).await.unwrap(), expected);
    assert_eq!(store.load_queries(&acme, None).await.unwrap().version, 3);
    let states = [TaskState::Succeeded, TaskState::Cancelled, TaskState::Cancelled, TaskState::Waiting];
    for (task, state) in tasks.iter().zip(states) {
        let row = read(&store, &acme, *task).await;
        assert_eq!(row.state, state);
        if state == TaskState::Cancelled {
            assert_eq!(row.finished_at, Some(at(8)));
        }
    }
    assert!(running(&store, &acme).await.is_empty());
    assert_eq!(settle(&store, vec![completion(held)], vec![], at(9)).await.accepted, [false]);
    assert_eq!(read(&store, &acme, tasks[1]).await.worker, "worker-1", "as with any cancelled task");
    assert_eq!(
        store.count_tasks(&acme).await.unwrap().iter().map(|row| row.count).collect::<Vec<_>>(),
        [1, 1, 2]
    );
    let results = store.page_results(&acme, None, page(10)).await.unwrap();
    assert_eq!(results.items.iter().map(|found| found.query.as_str()).collect::<Vec<_>>(), ["q2"]);
    let refused = store.remove_query(&acme, "q1", at(9)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "query", .. })), "{refused:?}");
}

/// A query of the same name that comes later has no past.
pub async fn a_removed_name_starts_anew(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.append_documents(&acme, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    store.remove_query(&acme, "q1", at(6)).await.unwrap();
    let anew = Query { id: id(77), expression: "coal".to_owned(), ..query(1) };
    assert_eq!(store.put_query(&acme, anew.clone()).await.unwrap(), anew);
    assert!(store.page_results(&acme, Some("q1"), page(10)).await.unwrap().items.is_empty());
    assert_eq!(store.load_queries(&acme, None).await.unwrap().version, 3);
}
