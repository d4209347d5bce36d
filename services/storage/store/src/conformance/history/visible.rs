//! What a store shows, as text that can be compared: places in the log left out.

use std::fmt::Debug;

use tidemill_kernel::{Page, PageRequest, Priority, TenantName};

use crate::conformance::fixture::{Shared, document, name, page};
use crate::task::{AppendedTask, Settled, TaskState, Waiting};
use crate::{Error, Result};

pub(super) fn waiting(rows: Vec<Waiting>) -> String {
    let rows: Vec<Waiting> = rows.into_iter().map(|row| Waiting { sequence: 0, ..row }).collect();
    format!("{rows:?}")
}

pub(super) fn settled(settled: Result<Settled>) -> String {
    format!("{:?}", settled.map(|settled| (settled.accepted, waiting(settled.follow_ups))))
}

pub(super) fn appended(rows: Result<Vec<AppendedTask>>) -> String {
    let plain = |row: AppendedTask| (row.id, row.duplicate, row.sequence > 0);
    format!("{:?}", rows.map(|rows| rows.into_iter().map(plain).collect::<Vec<_>>()))
}

/// Everything that can be read, a line each.
pub(super) async fn everything(store: &Shared) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(format!("{:?}", store.page_tenants(page(9)).await.unwrap().items));
    for tenant in ["t0", "t1", "t2"].map(name) {
        content(store, &tenant, &mut lines).await;
        tasks(store, &tenant, &mut lines).await;
    }
    let mut queues = store.queues().await.unwrap();
    queues.depths.sort();
    lines.push(format!("{:?}", queues.depths));
    let new = store.load_new(0, 1_000).await.unwrap();
    assert!(new.iter().all(|row| row.sequence <= queues.last_sequence));
    assert!(new.is_sorted_by_key(|row| row.sequence));
    lines.push(waiting(new));
    for row in store.load_running(0, 1_000).await.unwrap() {
        lines.push(format!("{:?} {} {:?} {}", row.waiting.id, row.token, row.expires_at, row.attempt));
    }
    lines
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
    for state in TaskState::ALL.map(Some).into_iter().chain([None]) {
        lines.push(all(async |page| store.page_tasks(tenant, state, None, page).await).await);
        lines.push(all(async |page| store.page_tasks(tenant, state, Some("analyze"), page).await).await);
    }
    for priority in Priority::ALL {
        lines.push(waiting(store.load_waiting(tenant, priority, "analyze", 0, 1_000).await.unwrap()));
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
