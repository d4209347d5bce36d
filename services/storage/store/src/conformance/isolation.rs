//! Tenants are apart: no method of one reads or changes what another has.

use tidemill_kernel::{Priority, TenantName};

use super::fixture::{
    Shared, analysis, append, at, completion, create, document, key, match_task, matched, name, page, query,
    source, start, task,
};
use crate::Error;
use crate::content::Counts;
use crate::task::{Completion, TaskState};

/// A tenant with one of everything.
async fn furnish(store: &Shared, text: &str) -> TenantName {
    let tenant = create(store, text).await;
    store.put_query(&tenant, query(1)).await.unwrap();
    store.put_source(&tenant, source(1)).await.unwrap();
    store.append_documents(&tenant, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    append(store, &tenant, vec![task(1)]).await;
    tenant
}

async fn is_empty(store: &Shared, tenant: &TenantName) {
    assert!(store.documents(tenant, &[document(1).id]).await.unwrap().is_empty());
    let set = store.load_queries(tenant, None).await.unwrap();
    assert_eq!((set.version, set.queries), (0, Some(vec![])));
    assert!(store.page_queries(tenant, page(9)).await.unwrap().items.is_empty());
    assert_eq!(store.source(tenant, "s1").await.unwrap(), None);
    assert!(store.page_sources(tenant, page(9)).await.unwrap().items.is_empty());
    assert!(store.page_results(tenant, None, page(9)).await.unwrap().items.is_empty());
    let refused = store.page_results(tenant, Some("q1"), page(9)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "query", .. })), "{refused:?}");
    assert!(store.search_documents(tenant, "wind", page(9)).await.unwrap().items.is_empty());
    assert_eq!(store.counts(tenant).await.unwrap(), Counts::default());
    assert_eq!(store.task(tenant, task(1).id).await.unwrap(), None);
    assert!(store.page_tasks(tenant, None, None, page(9)).await.unwrap().items.is_empty());
    assert!(store.load_waiting(tenant, Priority::Normal, "analyze", 0, 9).await.unwrap().is_empty());
    assert!(store.count_tasks(tenant).await.unwrap().is_empty());
}

/// Reading.
pub async fn a_tenant_never_sees_another(store: Shared) {
    furnish(&store, "acme").await;
    let beta = create(&store, "beta").await;
    is_empty(&store, &beta).await;
}

/// Writing.
pub async fn a_tenant_cannot_change_another(store: Shared) {
    let acme = furnish(&store, "acme").await;
    let beta = create(&store, "beta").await;
    let expected = store.counts(&acme).await.unwrap();
    let refusals = [
        store.remove_query(&beta, "q1", at(8)).await,
        store.remove_source(&beta, "s1").await,
        store.save_cursor(&beta, "s1", "x", at(8)).await,
        store.cancel_task(&beta, task(1).id, at(8)).await.map(|_| ()),
        store.revive_task(&beta, task(1).id, at(8)).await.map(|_| ()),
        store.append_documents(&beta, vec![matched(2, &[(1, 1.0)])], 0, at(8)).await.map(|_| ()),
    ];
    for refused in refusals {
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    }
    // A task of one tenant cannot bring an analysis for a match of another.
    append(&store, &beta, vec![task(50)]).await;
    let held = start(&store, task(50).id, 50).await;
    let foreign = Some((query(1).id, document(1).id, analysis("{}")));
    let settled =
        store.settle_tasks(vec![Completion { analysis: foreign, ..completion(held) }], vec![], at(9)).await;
    assert_eq!(settled.unwrap().accepted, [true]);

    assert_eq!(store.counts(&acme).await.unwrap(), expected);
    assert_eq!(store.page_results(&acme, Some("q1"), page(9)).await.unwrap().items[0].analysis, None);
    assert_eq!(store.source(&acme, "s1").await.unwrap(), Some(source(1)));
    assert_eq!(store.task(&acme, match_task(1, 1)).await.unwrap().unwrap().state, TaskState::Waiting);
    assert_eq!(store.counts(&beta).await.unwrap(), Counts::default());
}

/// It is no error to ask, and one to store.
pub async fn an_unknown_tenant_reads_as_empty_and_cannot_write(store: Shared) {
    let nobody = name("nobody");
    is_empty(&store, &nobody).await;
    let refusals = [
        store.put_query(&nobody, query(1)).await.map(|_| ()),
        store.put_source(&nobody, source(1)).await.map(|_| ()),
        store.append_documents(&nobody, vec![], 0, at(1)).await.map(|_| ()),
        store.append_tasks(&nobody, vec![task(1)], at(1)).await.map(|_| ()),
        store.append_tasks(&nobody, vec![], at(1)).await.map(|_| ()),
        store.add_key(key("nobody", 1)).await,
        store.remove_query(&nobody, "q1", at(1)).await,
        store.remove_source(&nobody, "s1").await,
        store.save_cursor(&nobody, "s1", "", at(1)).await,
    ];
    for refused in refusals {
        assert!(matches!(refused, Err(Error::NotFound { what: "tenant", .. })), "{refused:?}");
    }
    is_empty(&store, &nobody).await;
}

/// The same documents, names and keys, each their own.
pub async fn two_tenants_may_have_the_same(store: Shared) {
    let acme = furnish(&store, "acme").await;
    let beta = create(&store, "beta").await;
    store.put_query(&beta, query(1)).await.unwrap();
    store.put_source(&beta, source(1)).await.unwrap();
    let mut row = matched(1, &[(1, 0.25)]);
    row.matches[0].task = super::fixture::keyed(60, "k");
    let mine = super::fixture::keyed(61, "k");
    append(&store, &acme, vec![mine]).await;
    let outcome = store.append_documents(&beta, vec![row], 1, at(5)).await.unwrap();
    assert!(!outcome[0].duplicate && outcome[0].new_matches == 1);
    store.remove_query(&acme, "q1", at(8)).await.unwrap();
    let found = store.page_results(&beta, Some("q1"), page(9)).await.unwrap().items;
    assert_eq!((found.len(), found[0].score), (1, 0.25));
    assert_eq!(store.task(&beta, task(60).id).await.unwrap().unwrap().state, TaskState::Waiting);
    assert_eq!(store.search_documents(&beta, "wind", page(9)).await.unwrap().items.len(), 1);
}
