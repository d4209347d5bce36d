//! Documents with their matches and tasks.

use tidemill_kernel::Shard;

use super::fixture::{
    Shared, append_one, at, create, document, id, keyed, match_task, matched, page, query, read, task,
    unmatched,
};
use crate::Error;
use crate::content::{Appended, Counts, Document, MatchedDocument};
use crate::task::{Task, TaskState};

fn appended(duplicate: bool, new_matches: u32) -> Appended {
    Appended { duplicate, new_matches }
}

/// Every field comes back; the store sets the time of ingestion.
pub async fn a_document_reads_back_as_it_was(store: Shared) {
    let acme = create(&store, "acme").await;
    let bare = Document {
        source: String::new(),
        external_id: String::new(),
        url: String::new(),
        title: String::new(),
        ..document(2)
    };
    let sent = Document { ingested_at: at(-1_000), ..document(1) };
    let rows = vec![unmatched(sent), unmatched(bare.clone())];
    assert_eq!(store.append_documents(&acme, rows, 0, at(5)).await.unwrap(), [appended(false, 0); 2]);
    let ids = [document(2).id, id(404), document(1).id, document(2).id];
    let mut read = store.documents(&acme, &ids).await.unwrap();
    read.sort_by_key(|row| row.id);
    assert_eq!(read, [document(1), bare]);
    assert!(store.documents(&acme, &[]).await.unwrap().is_empty());
}

/// Quotes, line ends, other scripts and emoji are kept; U+0000 becomes U+FFFD, also in tasks.
pub async fn any_text_reads_back_but_for_nul(store: Shared) {
    let acme = create(&store, "acme").await;
    let text = "\"quoted\" \\u0000 \\ 'single'\r\n\t{[]} 北京 e\u{301} 🎉 \u{1} \u{7f} \u{2028} %s ?1 $x :y";
    let odd = Document { title: text.to_owned(), body: text.repeat(50), ..document(1) };
    let nul = Document { body: "a\0b".to_owned(), ..document(2) };
    let rows = vec![unmatched(odd.clone()), unmatched(nul)];
    store.append_documents(&acme, rows, 0, at(5)).await.unwrap();
    assert_eq!(store.documents(&acme, &[odd.id]).await.unwrap(), [odd]);
    assert_eq!(store.documents(&acme, &[document(2).id]).await.unwrap()[0].body, "a\u{fffd}b");
    let mut odd = keyed(1, text);
    odd.payload = format!("{text}\0");
    let id = append_one(&store, &acme, odd).await;
    let read = read(&store, &acme, id).await.new;
    assert_eq!((read.key.as_str(), read.payload), (text, format!("{text}\u{fffd}")));
}

/// The first one stays as it is, also against another in the same batch.
pub async fn a_document_is_stored_once(store: Shared) {
    let acme = create(&store, "acme").await;
    let other = Document { title: "another title".to_owned(), ..document(1) };
    let rows = vec![unmatched(document(1)), unmatched(other.clone()), unmatched(document(2))];
    let outcome = store.append_documents(&acme, rows, 0, at(5)).await.unwrap();
    assert_eq!(outcome, [appended(false, 0), appended(true, 0), appended(false, 0)]);
    let rows = vec![unmatched(document(3)), unmatched(other)];
    let outcome = store.append_documents(&acme, rows, 0, at(6)).await.unwrap();
    assert_eq!(outcome, [appended(false, 0), appended(true, 0)]);
    assert_eq!(store.documents(&acme, &[document(1).id]).await.unwrap(), [document(1)]);
    assert_eq!(store.counts(&acme).await.unwrap().documents, 3);
    assert!(store.append_documents(&acme, vec![], 0, at(6)).await.unwrap().is_empty());
}

/// A match that is sent again, in the same batch or later, makes no second task.
pub async fn a_match_makes_one_task(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let mut again = matched(1, &[(1, 0.9)]);
    again.matches[0].task = task(5);
    let rows = vec![matched(1, &[(1, 0.5), (1, 0.7)]), again.clone()];
    let outcome = store.append_documents(&acme, rows, 1, at(5)).await.unwrap();
    assert_eq!(outcome, [appended(false, 1), appended(true, 0)]);
    let outcome = store.append_documents(&acme, vec![again], 1, at(6)).await.unwrap();
    assert_eq!(outcome, [appended(true, 0)]);

    let tasks = store.page_tasks(&acme, None, None, page(10)).await.unwrap().items;
    let id = tasks[0].id;
    assert_eq!((id.moment(), Shard::of_place(id.place())), (at(5), Shard::of_tenant(&acme)));
    assert_eq!(tasks, [Task::stored(id, matched(1, &[(1, 0.5)]).matches[0].task.clone(), acme.clone())]);
    let results = store.page_results(&acme, Some("q1"), page(10)).await.unwrap().items;
    assert_eq!(results.len(), 1);
    assert_eq!((results[0].score, results[0].matched_at), (0.5, at(5)));
}

/// A document that exists can get matches of queries that came later.
pub async fn a_new_query_matches_documents_that_are_there(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.append_documents(&acme, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    store.put_query(&acme, query(2)).await.unwrap();
    let rows = vec![matched(1, &[(1, 1.0), (2, 1.0)]), matched(2, &[(2, 1.0)])];
    let outcome = store.append_documents(&acme, rows, 2, at(6)).await.unwrap();
    assert_eq!(outcome, [appended(true, 1), appended(false, 1)]);
    let expected = Counts { documents: 2, queries: 2, sources: 0, matches: 3, analyses: 0 };
    assert_eq!(store.counts(&acme).await.unwrap(), expected);
    let made = match_task(&store, &acme, 1, 2).await.unwrap();
    assert_eq!((made.state, made.created_at()), (TaskState::Waiting, at(6)));
}

/// Documents that were matched against another set of queries are refused, and nothing of them is stored.
pub async fn stale_queries_are_refused(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    for given in [0, 2, -1] {
        let refused = store.append_documents(&acme, vec![matched(1, &[(1, 1.0)])], given, at(5)).await;
        let Err(Error::StaleQueries { given: named, present: 1 }) = refused else { panic!("{refused:?}") };
        assert_eq!(named, given);
    }
    assert_eq!(store.counts(&acme).await.unwrap(), Counts { queries: 1, ..Counts::default() });
    assert_eq!(match_task(&store, &acme, 1, 1).await, None);
}

/// All or nothing.
pub async fn an_unknown_query_refuses_the_whole_batch(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let rows = vec![matched(1, &[(1, 1.0)]), matched(2, &[(9, 1.0)])];
    let refused = store.append_documents(&acme, rows, 1, at(5)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "query", .. })), "{refused:?}");
    assert_eq!(store.counts(&acme).await.unwrap(), Counts { queries: 1, ..Counts::default() });
    assert!(store.count_tasks(&acme).await.unwrap().is_empty());
}

/// The match is new, its task is not: removing the query leaves the other's task alone.
pub async fn a_task_that_is_known_by_key_is_not_made_again(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let known = append_one(&store, &acme, keyed(1, "k")).await;
    let mut row = matched(1, &[(1, 1.0)]);
    row.matches[0].task.key = "k".to_owned();
    row.matches[0].task.key_until = at(2_000);
    assert_eq!(store.append_documents(&acme, vec![row], 1, at(5)).await.unwrap(), [appended(false, 1)]);
    assert_eq!(match_task(&store, &acme, 1, 1).await, None);
    store.remove_query(&acme, "q1", at(6)).await.unwrap();
    assert_eq!(read(&store, &acme, known).await.state, TaskState::Waiting);
}

/// Large batches are one step, and sending one again in other company stores only what is new.
pub async fn a_batch_of_a_thousand_is_one_step(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.put_query(&acme, query(2)).await.unwrap();
    let rows = |numbers: std::ops::Range<u128>| -> Vec<MatchedDocument> {
        numbers.map(|number| matched(number, &[(1, 0.5), (2, 0.25)])).collect()
    };
    let outcome = store.append_documents(&acme, rows(0..1_000), 2, at(5)).await.unwrap();
    assert_eq!(outcome, vec![appended(false, 2); 1_000]);
    let outcome = store.append_documents(&acme, rows(500..1_500), 2, at(6)).await.unwrap();
    assert_eq!(outcome[..500], vec![appended(true, 0); 500]);
    assert_eq!(outcome[500..], vec![appended(false, 2); 500]);
    let expected = Counts { documents: 1_500, queries: 2, sources: 0, matches: 3_000, analyses: 0 };
    assert_eq!(store.counts(&acme).await.unwrap(), expected);
    let queues = store.queues(Shard::of_tenant(&acme)).await.unwrap();
    assert_eq!(queues.depths.iter().map(|depth| depth.waiting).sum::<i64>(), 3_000);
}
