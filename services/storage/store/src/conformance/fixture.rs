//! Plain rows for the cases: each differs from the others by a number.

use std::sync::Arc;

use tidemill_kernel::{Id, PageRequest, Priority, TenantName, Tier, Timestamp};

use crate::Store;
use crate::content::{Analysis, Document, MatchedDocument, NewMatch, Query, Source, SourceKind};
use crate::task::{Completion, Failure, Grant, LeaseRef, NewTask};
use crate::tenant::{Key, Tenant};

/// The store under test.
pub type Shared = Arc<dyn Store>;

/// A moment, in seconds after some morning.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000 + second * 1_000_000)
}

/// An id.
pub fn id(number: u128) -> Id {
    Id::from_bytes((0x0190_0000_0000_7000_8000_0000_0000_0000 + number).to_be_bytes())
}

/// A tenant's name.
pub fn name(text: &str) -> TenantName {
    text.parse().unwrap()
}

/// A tenant of the free tier.
pub fn tenant(text: &str) -> Tenant {
    Tenant { name: name(text), tier: Tier::Free, created_at: at(0) }
}

/// A key of a tenant.
pub fn key(of: &str, byte: u8) -> Key {
    Key { hash: [byte; 32], tenant: name(of), operator: false, created_at: at(0) }
}

/// Creates a tenant.
pub async fn create(store: &Shared, text: &str) -> TenantName {
    store.create_tenant(tenant(text), None).await.unwrap();
    name(text)
}

/// The first page of this size.
pub fn page(size: u32) -> PageRequest {
    PageRequest { size, token: String::new() }
}

/// The page behind a token.
pub fn next(size: u32, token: &str) -> PageRequest {
    assert!(!token.is_empty(), "there should be a next page");
    PageRequest { size, token: token.to_owned() }
}

/// A query named `q<number>`.
pub fn query(number: u128) -> Query {
    Query {
        id: id(1_000 + number),
        name: format!("q{number}"),
        expression: "solar OR wind".to_owned(),
        recipe: "brief@1".to_owned(),
        parameters: "{}".to_owned(),
        priority: Priority::Normal,
        created_at: at(1),
    }
}

/// A source named `s<number>`.
pub fn source(number: u128) -> Source {
    Source {
        id: id(2_000 + number),
        name: format!("s{number}"),
        kind: SourceKind::Feed,
        location: format!("https://example.org/{number}.xml"),
        created_at: at(1),
        collected_at: None,
        cursor: String::new(),
    }
}

/// A document titled `document <number>`, ingested at second 5.
pub fn document(number: u128) -> Document {
    Document {
        id: id(10_000 + number),
        source: "s1".to_owned(),
        external_id: format!("x{number}"),
        url: format!("https://example.org/{number}"),
        title: format!("document {number}"),
        body: "The turbine turns in the wind.".to_owned(),
        published_at: (number.is_multiple_of(2)).then(|| at(-60)),
        ingested_at: at(5),
    }
}

/// A document that no query selected.
pub fn unmatched(document: Document) -> MatchedDocument {
    MatchedDocument { document, matches: Vec::new() }
}

/// A document that queries selected, each with a score.
pub fn matched(number: u128, queries: &[(u128, f64)]) -> MatchedDocument {
    let matches = queries.iter().map(|&(of, score)| NewMatch {
        query_id: query(of).id,
        score,
        task: task(1_000_000 + number * 100 + of),
    });
    MatchedDocument { document: document(number), matches: matches.collect() }
}

/// The task that a fixture's match makes.
pub fn match_task(document: u128, query: u128) -> Id {
    task(1_000_000 + document * 100 + query).id
}

/// A task of kind `analyze` without a key.
pub fn task(number: u128) -> NewTask {
    NewTask {
        id: id(1_000_000_000 + number),
        kind: "analyze".to_owned(),
        priority: Priority::Normal,
        payload: format!("payload {number}"),
        key: String::new(),
        run_at: at(3),
        max_attempts: 3,
        trace_parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    }
}

/// A task with a key.
pub fn keyed(number: u128, key: &str) -> NewTask {
    NewTask { key: key.to_owned(), ..task(number) }
}

/// The grant of a fixture's task, token `t`.
pub fn grant(task: Id, token: u128) -> Grant {
    Grant { task, worker: "worker-1".to_owned(), token: id(9_000_000_000 + token) }
}

/// The lease that [`grant`] makes.
pub fn lease(task: Id, token: u128) -> LeaseRef {
    LeaseRef { task, token: grant(task, token).token }
}

/// A plain completion.
pub fn completion(lease: LeaseRef) -> Completion {
    Completion { lease, result: "done".to_owned(), analysis: None, follow_ups: Vec::new() }
}

/// A failure that ends its task.
pub fn failure(lease: LeaseRef) -> Failure {
    Failure { lease, error: "no luck".to_owned(), retry_at: None, only_if_expired: false }
}

/// An analysis, as stored at second 9.
pub fn analysis(output: &str) -> Analysis {
    Analysis {
        recipe: "brief@1".to_owned(),
        output: output.to_owned(),
        provider: "local".to_owned(),
        model: String::new(),
        input_tokens: 12,
        output_tokens: 3,
        created_at: at(9),
    }
}

/// Stores tasks at second 2.
pub async fn append(store: &Shared, tenant: &TenantName, tasks: Vec<NewTask>) {
    let appended = store.append_tasks(tenant, tasks, at(2)).await.unwrap();
    assert!(appended.iter().all(|row| !row.duplicate && row.sequence > 0));
}

/// Leases a task at second 4 for ten seconds under token `t`.
pub async fn start(store: &Shared, task: Id, token: u128) -> LeaseRef {
    let leased = store.lease_tasks(vec![grant(task, token)], at(14), at(4)).await.unwrap();
    assert_eq!(leased.len(), 1, "{task} should be leased");
    lease(task, token)
}
