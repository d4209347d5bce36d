//! Results: matches with documents and analyses.

use tidemill_kernel::{Page, PageRequest, TenantName};

use super::fixture::{Shared, at, create, document, matched, next, page, query};
use crate::Error;
use crate::content::{Document, Found};

fn numbers(page: &Page<Found>) -> Vec<u128> {
    let number = |found: &Found| (0..100).find(|number| document(*number).id == found.document.id);
    page.items.iter().filter_map(number).collect()
}

async fn read(store: &Shared, tenant: &TenantName, query: Option<&str>, page: PageRequest) -> Page<Found> {
    store.page_results(tenant, query, page).await.unwrap()
}

/// Equal scores in the order of storing.
pub async fn results_of_a_query_are_best_first(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.put_query(&acme, query(2)).await.unwrap();
    let rows = vec![
        matched(1, &[(1, 0.5)]),
        matched(2, &[(1, 2.0), (2, 9.0)]),
        matched(3, &[(1, 0.5)]),
        matched(4, &[(1, -1.0)]),
        matched(5, &[(1, f64::NAN)]),
    ];
    store.append_documents(&acme, rows, 2, at(5)).await.unwrap();
    let found = read(&store, &acme, Some("q1"), page(10)).await;
    assert_eq!(numbers(&found), [2, 1, 3, 5, 4]);
    let expected = Found {
        query: "q1".to_owned(),
        document: Document { body: String::new(), ..document(2) },
        score: 2.0,
        matched_at: at(5),
        analysis: None,
    };
    assert_eq!(found.items[0], expected);
    assert_eq!(numbers(&read(&store, &acme, Some("q2"), page(10)).await), [2]);
}

/// Equal times with the last stored first; a clock that goes back does not matter.
pub async fn results_of_all_queries_are_newest_first(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    store.put_query(&acme, query(2)).await.unwrap();
    let early = vec![matched(1, &[(1, 0.5), (2, 0.1)]), matched(2, &[(2, 3.0)])];
    store.append_documents(&acme, vec![matched(3, &[(1, 0.1)])], 2, at(20)).await.unwrap();
    store.append_documents(&acme, early, 2, at(10)).await.unwrap();
    let found = read(&store, &acme, None, page(10)).await;
    let seen: Vec<(&str, i64)> = found
        .items
        .iter()
        .map(|found| (found.query.as_str(), found.matched_at.since(at(0)).as_secs().cast_signed()))
        .collect();
    assert_eq!(numbers(&found), [3, 2, 1, 1]);
    assert_eq!(seen, [("q1", 20), ("q2", 10), ("q2", 10), ("q1", 10)]);
}

/// Each result of before comes once, whatever is added between two pages.
pub async fn results_page_by_key_while_others_are_added(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let rows = (0..6).map(|number| matched(number, &[(1, if number < 4 { 1.0 } else { 0.5 })]));
    store.append_documents(&acme, rows.collect(), 1, at(5)).await.unwrap();

    let best = read(&store, &acme, Some("q1"), page(2)).await;
    let newest = read(&store, &acme, None, page(2)).await;
    assert_eq!((numbers(&best), numbers(&newest)), (vec![0, 1], vec![5, 4]));
    let more = vec![matched(50, &[(1, 2.0)]), matched(51, &[(1, 1.0)]), matched(52, &[(1, 0.1)])];
    store.append_documents(&acme, more, 1, at(6)).await.unwrap();

    let best = read(&store, &acme, Some("q1"), next(3, &best.next_token)).await;
    assert_eq!(numbers(&best), [2, 3, 51]);
    let best = read(&store, &acme, Some("q1"), next(3, &best.next_token)).await;
    assert_eq!((numbers(&best), best.next_token), (vec![4, 5, 52], String::new()));
    let newest = read(&store, &acme, None, next(3, &newest.next_token)).await;
    assert_eq!(numbers(&newest), [3, 2, 1]);
    let newest = read(&store, &acme, None, next(3, &newest.next_token)).await;
    assert_eq!((numbers(&newest), newest.next_token), (vec![0], String::new()));
}

/// It is told from a query that selected nothing.
pub async fn an_unknown_query_has_no_results(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    assert!(read(&store, &acme, Some("q1"), page(5)).await.items.is_empty());
    let refused = store.page_results(&acme, Some("q2"), page(5)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "query", .. })), "{refused:?}");
}
