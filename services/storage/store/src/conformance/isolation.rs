//! Tenants are apart: no method of one reads or changes what another has.

use tidemill_kernel::{Id, Priority, Shard, TenantName};

use super::fixture::{
    Shared, analysis, append_one, at, attempt, completion, create, document, key, keyed, match_task, matched,
    name, page, query, read, settle, source, task,
};
use crate::Error;
use crate::content::Counts;
use crate::task::{Completion, TaskState, TenantTasks};

/// A tenant with one of everything, and its task.
async fn furnish(store: &Shared, text: &str) -> (TenantName, Id) {
    let tenant = create(store, text).await;
    store.put_query(&tenant, query(1)).await.unwrap();
    store.put_source(&tenant, source(1)).await.unwrap();
    store.append_documents(&tenant, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    let id = append_one(store, &tenant, task(1)).await;
    (tenant, id)
}

async fn is_empty(store: &Shared, tenant: &TenantName, foreign: Id) {
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
    assert_eq!(store.task(tenant, foreign).await.unwrap(), None);
    assert!(store.page_tasks(tenant, None, None, page(9)).await.unwrap().items.is_empty());
    let first = Shard::of_tenant(tenant).place(0);
    assert!(store.load_waiting(tenant, Priority::Normal, "analyze", first, 9).await.unwrap().is_empty());
    assert!(store.count_tasks(tenant).await.unwrap().is_empty());
}

/// Another tenant of the same shard.
fn neighbour(tenant: &TenantName) -> TenantName {
    let mut names = (0..).map(|number| name(&format!("n{number}")));
    names.find(|other| Shard::of_tenant(other) == Shard::of_tenant(tenant)).unwrap()
}

/// Reading, in another shard and in the same.
pub async fn a_tenant_never_sees_another(store: Shared) {
    let (acme, id) = furnish(&store, "acme").await;
    for other in [neighbour(&acme), name("beta")] {
        create(&store, other.as_str()).await;
        is_empty(&store, &other, id).await;
    }
}

/// Writing.
pub async fn a_tenant_cannot_change_another(store: Shared) {
    let (acme, id) = furnish(&store, "acme").await;
    let beta = create(&store, neighbour(&acme).as_str()).await;
    let expected = store.counts(&acme).await.unwrap();
    let refusals = [
        store.remove_query(&beta, "q1", at(8)).await,
        store.remove_source(&beta, "s1").await,
        store.save_cursor(&beta, "s1", "x", at(8)).await,
        store.cancel_task(&beta, id, at(8)).await.map(|_| ()),
        store.revive_task(&beta, id, at(8)).await.map(|_| ()),
        store.append_documents(&beta, vec![matched(2, &[(1, 1.0)])], 0, at(8)).await.map(|_| ()),
    ];
    for refused in refusals {
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    }
    // A task of one tenant cannot bring an analysis for a match of another.
    let held = attempt(append_one(&store, &beta, task(50)).await, 1);
    let foreign = Some((query(1).id, document(1).id, analysis("{}")));
    let settled = Completion { analysis: foreign, ..completion(held) };
    assert_eq!(settle(&store, vec![settled], vec![], at(9)).await.accepted, [true]);

    assert_eq!(store.counts(&acme).await.unwrap(), expected);
    assert_eq!(store.page_results(&acme, Some("q1"), page(9)).await.unwrap().items[0].analysis, None);
    assert_eq!(store.source(&acme, "s1").await.unwrap(), Some(source(1)));
    assert_eq!(match_task(&store, &acme, 1, 1).await.unwrap().state, TaskState::Waiting);
    assert_eq!(read(&store, &acme, id).await.state, TaskState::Waiting);
    assert_eq!(store.counts(&beta).await.unwrap(), Counts::default());
}

/// It is no error to ask, and one to store.
pub async fn an_unknown_tenant_reads_as_empty_and_cannot_write(store: Shared) {
    let nobody = name("nobody");
    let (_, id) = furnish(&store, "acme").await;
    let tasks = |tasks| vec![TenantTasks { tenant: nobody.clone(), tasks }];
    is_empty(&store, &nobody, id).await;
    let refusals = [
        store.put_query(&nobody, query(1)).await.map(|_| ()),
        store.put_source(&nobody, source(1)).await.map(|_| ()),
        store.append_documents(&nobody, vec![], 0, at(1)).await.map(|_| ()),
        store.append_tasks(tasks(vec![task(1)]), at(1)).await.map(|_| ()),
        store.append_tasks(tasks(vec![]), at(1)).await.map(|_| ()),
        store.add_key(key("nobody", 1)).await,
        store.remove_query(&nobody, "q1", at(1)).await,
        store.remove_source(&nobody, "s1").await,
        store.save_cursor(&nobody, "s1", "", at(1)).await,
    ];
    for refused in refusals {
        assert!(matches!(refused, Err(Error::NotFound { what: "tenant", .. })), "{refused:?}");
    }
    is_empty(&store, &nobody, id).await;
}

/// The same documents, names and keys, each their own.
pub async fn two_tenants_may_have_the_same(store: Shared) {
    let (acme, _) = furnish(&store, "acme").await;
    let beta = create(&store, "beta").await;
    store.put_query(&beta, query(1)).await.unwrap();
    store.put_source(&beta, source(1)).await.unwrap();
    let mut row = matched(1, &[(1, 0.25)]);
    row.matches[0].task = keyed(60, "k");
    append_one(&store, &acme, keyed(61, "k")).await;
    let outcome = store.append_documents(&beta, vec![row], 1, at(5)).await.unwrap();
    assert!(!outcome[0].duplicate && outcome[0].new_matches == 1);
    store.remove_query(&acme, "q1", at(8)).await.unwrap();
    let found = store.page_results(&beta, Some("q1"), page(9)).await.unwrap().items;
    assert_eq!((found.len(), found[0].score), (1, 0.25));
    let tasks = store.page_tasks(&beta, None, None, page(9)).await.unwrap().items;
    assert_eq!((tasks.len(), &tasks[0].new, tasks[0].state), (1, &keyed(60, "k"), TaskState::Waiting));
    assert_eq!(store.search_documents(&beta, "wind", page(9)).await.unwrap().items.len(), 1);
}
