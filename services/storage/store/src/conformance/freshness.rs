//! Reads of a wanted freshness: whatever a view may miss, it does not miss what it was asked to see.

use crate::Freshness;

use super::fixture::{Shared, append, create, page, query, task};

/// A read behind a position sees all that was acknowledged before the position was taken.
pub async fn a_read_sees_what_was_acknowledged_before_its_position(store: Shared) {
    let acme = create(&store, "acme").await;
    for round in 1..=10_u128 {
        store.put_query(&acme, query(round)).await.unwrap();
        append(&store, &acme, vec![task(round)]).await;
        let mut views = vec![store.clone().reading(Freshness::Latest)];
        if let Some(position) = store.position().await {
            views.push(store.clone().reading(Freshness::After(position)));
        }
        for view in views {
            let queries = view.page_queries(&acme, page(50)).await.unwrap().items.len();
            assert_eq!(queries as u128, round);
            let tasks = view.page_tasks(&acme, None, None, page(50)).await.unwrap().items.len();
            assert_eq!(tasks as u128, round);
            assert_eq!(view.counts(&acme).await.unwrap().queries, i64::try_from(round).unwrap());
        }
    }
    let view = store.clone().reading(Freshness::Recent);
    view.put_query(&acme, query(11)).await.unwrap();
    assert!(store.source(&acme, "none").await.unwrap().is_none());
    assert_eq!(
        store.load_queries(&acme, None).await.unwrap().version,
        11,
        "writes by a view are the store's"
    );
    let id = append(&view, &acme, vec![task(11)]).await[0];
    assert!(store.task(&acme, id).await.unwrap().is_some());
}
