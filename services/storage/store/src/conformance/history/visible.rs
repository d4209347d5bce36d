//! What a store shows, as text that can be compared: tasks by their numbers instead of their places.

use std::fmt::Debug;

use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName};

use super::world::World;
use crate::Error;
use crate::conformance::fixture::{Shared, document, name, page};
use crate::task::TaskState;

/// Everything that can be read, a line each.
pub(super) async fn everything(world: &World) -> Vec<String> {
    let store = &world.store;
    let mut lines = Vec::new();
    lines.push(format!("{:?}", store.page_tenants(page(9)).await.unwrap().items));
    for tenant in ["t0", "t1", "t2"].map(name) {
        content(store, &tenant, &mut lines).await;
        tasks(store, &tenant, &mut lines).await;
        let named = world.references();
        lines.push(format!("{:?}", store.find_tasks(&tenant, named).await.unwrap()));
        shard(store, Shard::of_tenant(&tenant), &mut lines).await;
    }
    lines.iter().map(|line| world.plain(line)).collect()
}

async fn shard(store: &Shared, shard: Shard, lines: &mut Vec<String>) {
    let mut queues = store.queues(shard).await.unwrap();
    queues.depths.sort();
    lines.push(format!("{:?}", queues.depths));
    let new = store.load_new(shard, shard.place(0), 1_000).await.unwrap();
    assert!(new.iter().all(|task| task.id.place() <= queues.last_place));
    assert!(new.is_sorted_by_key(|task| task.id.place()));
    let ids: Vec<Id> = new.iter().map(|task| task.id).collect();
    let mut loaded = store.load_tasks(ids).await.unwrap();
    loaded.sort_by_key(|task| task.id.place());
    assert_eq!(loaded, new);
    lines.push(format!("{new:#?}"));
    let running = store.load_running(shard, shard.place(0), 1_000).await.unwrap();
    lines.extend(running.iter().map(|(task, token)| format!("{} under {token}: {task:?}", task.id)));
}

async fn content(store: &Shared, tenant: &TenantName, lines: &mut Vec<String>) {
    lines.push(format!("{tenant}: {:?}", store.counts(tenant).await.unwrap()));
    lines.push(format!("{:?}", store.load_queries(tenant, None).await.unwrap().version));
    lines.push(all(async |page| store.page_queries(tenant, page).await).await);
    lines.push(all(async |page| store.page_sources(tenant, page).await).await);
    lines.push(all(async |page| store.page_results(tenant, None, page).await).await);
    for query in ["q0", "q1", "q2"] {
        match store.page_results(tenant, Some(query), page(1)).await {
            Ok(_) => lines.push(all(async |page| store.page_results(tenant, Some(query), page).await).await),
            Err(error) => lines.push(error.to_string()),
        }
    }
    let ids: Vec<_> = (0..8).map(|number| document(number).id).collect();
    let mut documents = store.documents(tenant, &ids).await.unwrap();
    documents.sort_by_key(|row| row.id);
    lines.push(format!("{documents:?}"));
    let hits = async |page| {
        let page = store.search_documents(tenant, "turbine wind*", page).await?;
        Ok(page.map(|hit| hit.document))
    };
    lines.push(all(hits).await);
}

async fn tasks(store: &Shared, tenant: &TenantName, lines: &mut Vec<String>) {
    lines.push(format!("{:?}", store.count_tasks(tenant).await.unwrap()));
    lines.push(all(async |page| store.page_groups(tenant, page).await).await);
    for group in ["g", "h"] {
        lines.push(format!("{:?}", store.group(tenant, group).await.unwrap()));
    }
    for state in TaskState::ALL.map(Some).into_iter().chain([None]) {
        lines.push(all(async |page| store.page_tasks(tenant, state, None, page).await).await);
        lines.push(all(async |page| store.page_tasks(tenant, state, Some("analyze"), page).await).await);
    }
    let first = Shard::of_tenant(tenant).place(0);
    for priority in Priority::ALL {
        let waiting = store.load_waiting(tenant, priority, "analyze", first, 1_000).await.unwrap();
        lines.push(format!("{waiting:?}"));
    }
}

/// All pages of a listing, two items each, as one text.
async fn all<T: Debug>(read: impl AsyncFn(PageRequest) -> Result<Page<T>, Error>) -> String {
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let page = read(PageRequest { size: 2, token }).await.unwrap();
        items.extend(page.items);
        token = page.next_token;
        if token.is_empty() {
            return format!("{items:#?}");
        }
    }
}
