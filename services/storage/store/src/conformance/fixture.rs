//! Plain rows for the cases: each differs from the others by a number.

use std::sync::Arc;
use std::time::Duration;

use tidemill_kernel::{Id, PageRequest, Priority, Shard, TenantName, Tier, Timestamp};

use crate::Store;
use crate::content::{Analysis, Document, MatchedDocument, NewMatch, Query, Source, SourceKind};
use crate::task::{
    AppendedTask, Attempt, Claim, Completion, Failure, Fence, NewTask, RecordedLease, Settled, Task,
    TenantTasks,
};
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

/// The task that a fixture's match has made; none if there is no such task, or it is not kept.
pub async fn match_task(store: &Shared, tenant: &TenantName, document: u128, query: u128) -> Option<Task> {
    let payload = matched(document, &[(query, 0.0)]).matches.remove(0).task.payload;
    let tasks = store.page_tasks(tenant, None, None, page(10_000)).await.unwrap();
    assert!(tasks.next_token.is_empty());
    tasks.items.into_iter().find(|task| task.new.payload == payload)
}

/// A task of kind `analyze` without a key.
pub fn task(number: u128) -> NewTask {
    NewTask {
        kind: "analyze".to_owned(),
        priority: Priority::Normal,
        payload: format!("payload {number}"),
        key: String::new(),
        key_until: Timestamp::default(),
        unique: false,
        run_at: at(3),
        max_attempts: 3,
        trace_parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        keep: None,
        // Bytes that a service between can read, too: a `TaskOptions` with a cost, or none.
        options: Vec::new(),
        group: String::new(),
    }
}

/// A task with a key, which is remembered until second 1000.
pub fn keyed(number: u128, key: &str) -> NewTask {
    NewTask { key: key.to_owned(), key_until: at(1_000), ..task(number) }
}

/// The id of a task that no store has: a place far behind all.
pub fn unknown(tenant: &TenantName) -> Id {
    Id::placed(at(2), Shard::of_tenant(tenant).place(1 << 40))
}

/// The id of another moment at the same place: that of no task.
pub fn moved(id: Id) -> Id {
    Id::placed(id.moment() + Duration::from_micros(1), id.place())
}

/// The attempt of this number, started at second 4, whose lease was not recorded.
pub fn attempt(task: Id, number: u32) -> Attempt {
    Attempt { task, number, worker: "worker-1".to_owned(), started_at: at(4), recorded: false }
}

/// The lease of a first attempt, token `t`.
pub fn lease(task: Id, token: u128) -> RecordedLease {
    RecordedLease {
        attempt: Attempt { recorded: true, ..attempt(task, 1) },
        token: id(9_000_000_000 + token),
    }
}

/// A plain completion.
pub fn completion(attempt: Attempt) -> Completion {
    Completion { attempt, result: "done".to_owned(), analysis: None, follow_ups: Vec::new() }
}

/// A failure that ends its task.
pub fn failure(attempt: Attempt) -> Failure {
    Failure { attempt, error: "no luck".to_owned(), retry_at: None }
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

/// A claim that asks for nothing and lasts until second 100.
pub fn claim(owner: &str) -> Claim {
    Claim {
        owner: owner.to_owned(),
        address: format!("http://{owner}:1"),
        until: at(100),
        renew: Vec::new(),
        take: Vec::new(),
        leave: Vec::new(),
        force: false,
    }
}

/// Stores tasks of one tenant.
pub async fn append_at(
    store: &Shared,
    tenant: &TenantName,
    tasks: Vec<NewTask>,
    now: Timestamp,
) -> Vec<AppendedTask> {
    let count = tasks.len();
    let batch = TenantTasks { tenant: tenant.clone(), tasks };
    let mut appended = store.append_tasks(vec![batch], now).await.unwrap();
    assert_eq!((appended.len(), appended[0].len()), (1, count));
    appended.remove(0)
}

/// Stores tasks at second 2, none of them known; their ids.
pub async fn append(store: &Shared, tenant: &TenantName, tasks: Vec<NewTask>) -> Vec<Id> {
    let appended = append_at(store, tenant, tasks, at(2)).await;
    assert!(appended.iter().all(|row| !row.duplicate));
    appended.into_iter().map(|row| row.id).collect()
}

/// Stores a task at second 2.
pub async fn append_one(store: &Shared, tenant: &TenantName, task: NewTask) -> Id {
    append(store, tenant, vec![task]).await.remove(0)
}

/// Records the lease of a task's first attempt under token `t`.
pub async fn record(store: &Shared, task: Id, token: u128) -> Attempt {
    let lease = lease(task, token);
    let vain = store.record_leases(Fence::default(), vec![lease.clone()], vec![]).await.unwrap();
    assert!(vain.is_empty(), "{task} should run");
    lease.attempt
}

/// Ends attempts under no fence.
pub async fn settle(
    store: &Shared,
    completions: Vec<Completion>,
    failures: Vec<Failure>,
    now: Timestamp,
) -> Settled {
    store.settle_tasks(Fence::default(), completions, failures, now).await.unwrap()
}

/// Ends the first attempt of a task, with success, at this moment.
pub async fn succeed(store: &Shared, task: Id, now: Timestamp) {
    let settled = settle(store, vec![completion(attempt(task, 1))], vec![], now).await;
    assert_eq!(settled.accepted, [true]);
}

/// The task as it stands.
pub async fn read(store: &Shared, tenant: &TenantName, id: Id) -> Task {
    store.task(tenant, id).await.unwrap().unwrap()
}

/// The unfinished tasks of a tenant's shard.
pub async fn unfinished(store: &Shared, tenant: &TenantName) -> Vec<Task> {
    let shard = Shard::of_tenant(tenant);
    store.load_new(shard, shard.place(0), 10_000).await.unwrap()
}

/// The tasks of a tenant's shard whose leases are recorded, with the tokens.
pub async fn running(store: &Shared, tenant: &TenantName) -> Vec<(Task, Id)> {
    let shard = Shard::of_tenant(tenant);
    store.load_running(shard, shard.place(0), 10_000).await.unwrap()
}

/// The ids of tasks.
pub fn ids(tasks: &[Task]) -> Vec<Id> {
    tasks.iter().map(|task| task.id).collect()
}
