//! A store whose steps are timed, counted and traced, whichever database is behind it: adapters know nothing of that.
//! A span and a figure tell the whole step as its caller sees it, with the wait for its turn and for its commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidemill_chassis::clock::Stopwatch;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};
use tidemill_store::content::{
    Appended, Counts, Document, Found, Hit, MatchedDocument, Query, QuerySet, Source,
};
use tidemill_store::setting::{Setting, SettingSort};
use tidemill_store::task::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Group, Progress, QueueDepth, Queues,
    RecordedLease, Reference, Selection, Settled, Standing, Steered, Task, TaskCount, TaskState, TenantTasks,
};
use tidemill_store::tenant::{Key, Tenant};
use tidemill_store::{
    Connections, ContentStore, Error, Freshness, Position, Result, SettingStore, Store, TaskStore,
    TenantStore,
};
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use crate::metrics::Figures;

/// The store under measure.
pub(crate) struct Measured {
    store: Arc<dyn Store>,
    system: &'static str,
    figures: Arc<Figures>,
}

impl Measured {
    /// Measures this store; the `tenants` busiest tenants are counted one by one.
    pub(crate) fn over(store: Arc<dyn Store>, tenants: usize) -> Self {
        let (system, figures) = (store.system(), Arc::new(Figures::of(&store, tenants)));
        Self { store, system, figures }
    }

    async fn step<T>(&self, operation: &'static str, step: impl Future<Output = Result<T>>) -> Result<T> {
        let span = info_span!(
            "sql",
            otel.name = operation,
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            db.system.name = self.system,
            db.operation.name = operation,
        );
        let begun = Stopwatch::start();
        let outcome = step.instrument(span.clone()).await;
        let failed = outcome.as_ref().err().and_then(failure);
        self.figures.took(operation, begun.elapsed().as_secs_f64(), failed);
        if let Some(kind) = failed {
            span.record("error.type", kind);
            span.record("otel.status_code", "ERROR");
        }
        outcome
    }
}

/// The kind of an error that is the store's; a refusal of what was asked is none.
fn failure(error: &Error) -> Option<&'static str> {
    match error {
        Error::Full(_) => Some("full"),
        Error::Unavailable(_) => Some("unavailable"),
        Error::Internal(_) => Some("internal"),
        Error::NotFound { .. }
        | Error::Exists { .. }
        | Error::StaleQueries { .. }
        | Error::WrongState { .. }
        | Error::Fenced { .. }
        | Error::PageToken(_)
        | Error::Search { .. } => None,
    }
}

#[async_trait]
impl Store for Measured {
    fn reading(self: Arc<Self>, freshness: Freshness) -> Arc<dyn Store> {
        let store = Arc::clone(&self.store).reading(freshness);
        Arc::new(Self { store, system: self.system, figures: Arc::clone(&self.figures) })
    }

    async fn position(&self) -> Option<Position> {
        self.store.position().await
    }

    fn system(&self) -> &'static str {
        self.system
    }

    fn connections(&self) -> Vec<Connections> {
        self.store.connections()
    }
}

/// Implements a trait of the port: each step is the store's own, measured under its name, then looked at.
macro_rules! measure {
    ($port:ident { $(
        fn $name:ident($this:ident $(, $arg:ident: $type:ty)*) -> $out:ty
            $(, keep $kept:ident = $keep:expr)? $(, then |$done:ident| $look:expr)?;
    )* }) => {
        #[async_trait]
        impl $port for Measured {
            $(async fn $name(&self $(, $arg: $type)*) -> Result<$out> {
                let $this = self;
                $(let $kept = $keep;)?
                let outcome = $this.step(stringify!($name), $this.store.$name($($arg),*)).await;
                $(if let Ok($done) = &outcome { $look })?
                outcome
            })*
        }
    };
}

measure!(TenantStore {
    fn store_id(this) -> String;
    fn create_tenant(this, tenant: Tenant, key: Option<Key>) -> bool;
    fn tenants(this, names: &[TenantName]) -> Vec<Tenant>;
    fn page_tenants(this, page: PageRequest) -> Page<Tenant>;
    fn add_key(this, key: Key) -> ();
    fn find_key(this, hash: [u8; 32]) -> Option<(Key, Tenant)>;
});

measure!(ContentStore {
    fn append_documents(
        this, tenant: &TenantName, documents: Vec<MatchedDocument>, query_version: i64, now: Timestamp
    ) -> Vec<Appended>, then |appended| {
        let tasks = appended.iter().map(|one| u64::from(one.new_matches)).sum();
        this.figures.tasks.add(tenant.as_str(), tasks);
    };
    fn documents(this, tenant: &TenantName, ids: &[Id]) -> Vec<Document>;
    fn put_query(this, tenant: &TenantName, query: Query) -> Query;
    fn load_queries(this, tenant: &TenantName, known_version: Option<i64>) -> QuerySet;
    fn page_queries(this, tenant: &TenantName, page: PageRequest) -> Page<Query>;
    fn remove_query(this, tenant: &TenantName, name: &str, now: Timestamp) -> ();
    fn put_source(this, tenant: &TenantName, source: Source) -> Source;
    fn source(this, tenant: &TenantName, name: &str) -> Option<Source>;
    fn page_sources(this, tenant: &TenantName, page: PageRequest) -> Page<Source>;
    fn remove_source(this, tenant: &TenantName, name: &str) -> ();
    fn save_cursor(this, tenant: &TenantName, name: &str, cursor: &str, at: Timestamp) -> ();
    fn page_results(this, tenant: &TenantName, query: Option<&str>, page: PageRequest) -> Page<Found>;
    fn search_documents(this, tenant: &TenantName, text: &str, page: PageRequest) -> Page<Hit>;
    fn counts(this, tenant: &TenantName) -> Counts;
});

measure!(TaskStore {
    fn append_tasks(
        this, batches: Vec<TenantTasks>, now: Timestamp
    ) -> Vec<Vec<AppendedTask>>, keep tenants = tenants(&batches), then |appended| {
        for (tenant, tasks) in tenants.iter().zip(appended) {
            let new = tasks.iter().filter(|task| !task.duplicate).count();
            this.figures.tasks.add(tenant.as_str(), u64::try_from(new).unwrap_or(0));
        }
    };
    fn claim_shards(this, claim: Claim, now: Timestamp) -> Board;
    fn record_leases(this, fence: Fence, leases: Vec<RecordedLease>, given_back: Vec<Id>) -> Vec<Id>;
    fn save_progress(this, fence: Fence, progress: Vec<Progress>) -> ();
    fn settle_tasks(
        this, fence: Fence, completions: Vec<Completion>, failures: Vec<Failure>, now: Timestamp
    ) -> Settled, then |settled| {
        settled.follow_ups.iter().for_each(|task| this.figures.tasks.add(task.tenant.as_str(), 1));
    };
    fn cancel_task(this, tenant: &TenantName, id: Id, now: Timestamp) -> Task;
    fn revive_task(this, tenant: &TenantName, id: Id, now: Timestamp) -> Task;
    fn steer_tasks(this, tenant: &TenantName, selection: Selection, now: Timestamp) -> Steered;
    fn prioritise_task(this, tenant: &TenantName, id: Id, priority: Priority) -> Task;
    fn task(this, tenant: &TenantName, id: Id) -> Option<Task>;
    fn find_tasks(this, tenant: &TenantName, references: Vec<Reference>) -> Vec<Option<Standing>>;
    fn page_tasks(
        this, tenant: &TenantName, state: Option<TaskState>, kind: Option<&str>, page: PageRequest
    ) -> Page<Task>;
    fn queues(this, shard: Shard) -> Queues;
    fn depths(this, shards: &[Shard]) -> Vec<QueueDepth>;
    fn load_waiting(
        this, tenant: &TenantName, priority: Priority, kind: &str, after: i64, limit: u32
    ) -> Vec<Task>;
    fn load_new(this, shard: Shard, after: i64, limit: u32) -> Vec<Task>;
    fn load_tasks(this, tasks: Vec<Id>) -> Vec<Task>;
    fn load_running(this, shard: Shard, after: i64, limit: u32) -> Vec<(Task, Id)>;
    fn count_tasks(this, tenant: &TenantName) -> Vec<TaskCount>;
    fn group(this, tenant: &TenantName, name: &str) -> Option<Group>;
    fn page_groups(this, tenant: &TenantName, page: PageRequest) -> Page<Group>;
    fn sweep(this, keep: Duration, limit: u32, now: Timestamp) -> u64;
});

measure!(SettingStore {
    fn put_setting(this, tenant: Option<&TenantName>, setting: Setting) -> ();
    fn drop_setting(this, tenant: Option<&TenantName>, sort: SettingSort, name: &str) -> bool;
    fn settings(this, tenant: Option<&TenantName>) -> Vec<Setting>;
    fn shard_settings(this, shards: &[Shard]) -> Vec<(TenantName, Setting)>;
});

fn tenants(batches: &[TenantTasks]) -> Vec<TenantName> {
    batches.iter().map(|batch| batch.tenant.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_store_count_as_its_failures() {
        assert_eq!(failure(&Error::Full("disk".into())), Some("full"));
        assert_eq!(failure(&Error::NotFound { what: "task", name: "x".into() }), None);
    }
}
