//! The store in memory: plain maps behind one lock. It is the reference that databases are compared with, and serves
//! tests; simple and obviously right before fast. Nothing survives the process.
//!
//! Invariants: a step takes the lock once, checks everything that can refuse it, and only then changes anything.

mod content;
mod documents;
mod names;
mod results;
mod settings;
mod task;
mod tenant;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};

use crate::content::{Analysis, Document, Query, Source};
use crate::setting::{Setting, SettingSort};
use crate::task::{Group, RecordedLease, ShardLease, Task, TaskState};
use crate::tenant::{Key, Tenant};
use crate::{Error, Freshness, Result, Store};

/// The store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    id: String,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store that answers to this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn system(&self) -> &'static str {
        "memory"
    }

    fn reading(self: Arc<Self>, _: Freshness) -> Arc<dyn Store> {
        // Every read sees everything.
        self
    }
}

#[derive(Debug, Default)]
struct State {
    tenants: BTreeMap<TenantName, Content>,
    keys: HashMap<[u8; 32], Key>,
    settings: BTreeMap<(Option<TenantName>, SettingSort, String), Setting>,
    /// By their place in the log.
    tasks: BTreeMap<i64, Row>,
    /// Whose they are, and until when they are remembered at least.
    task_keys: HashMap<(TenantName, String), (Id, Timestamp)>,
    /// How many places were given.
    last_counts: BTreeMap<Shard, i64>,
    /// How many finished tasks there were that are not kept any more.
    removed: BTreeMap<(TenantName, Priority, TaskState), i64>,
    /// By tenant and name.
    groups: BTreeMap<(TenantName, String), Group>,
    /// Those that were ever held.
    shards: BTreeMap<Shard, ShardLease>,
    /// Addresses by owner, and until when each is believed alive.
    schedulers: BTreeMap<String, (String, Timestamp)>,
}

/// What one tenant has.
#[derive(Debug)]
struct Content {
    tenant: Tenant,
    query_version: i64,
    queries: BTreeMap<String, Query>,
    sources: BTreeMap<String, Source>,
    /// In the order of storing.
    documents: Vec<Document>,
    document_ids: HashMap<Id, usize>,
    /// In the order of storing.
    matches: BTreeMap<i64, Match>,
    /// By query and document.
    match_ids: HashMap<(Id, Id), i64>,
    last_match: i64,
}

#[derive(Debug)]
struct Match {
    query: Id,
    document: Id,
    score: f64,
    matched_at: Timestamp,
    /// Its task; none if the task's key was known.
    task: Option<Id>,
    analysis: Option<Analysis>,
}

#[derive(Debug)]
struct Row {
    /// As its ended attempts left it: never running. It has `finished_at` exactly if it is finished.
    task: Task,
    /// What was recorded of the attempt that runs.
    lease: Option<RecordedLease>,
}

impl State {
    fn content(&self, tenant: &TenantName) -> Option<&Content> {
        self.tenants.get(tenant)
    }

    fn content_mut(&mut self, tenant: &TenantName) -> Result<&mut Content> {
        self.tenants.get_mut(tenant).ok_or_else(|| no_tenant(tenant))
    }

    fn has_tenant(&self, tenant: &TenantName) -> Result<()> {
        self.content(tenant).map(|_| ()).ok_or_else(|| no_tenant(tenant))
    }
}

fn no_tenant(tenant: &TenantName) -> Error {
    Error::NotFound { what: "tenant", name: tenant.to_string() }
}
