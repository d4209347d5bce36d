//! The port of the store: what Tidemill asks of any database, as traits over plain rows, with an in-memory store and
//! the conformance suite that defines the port.
//!
//! Invariants:
//! - No SQL, no gRPC, no protobuf here; adapters know this crate, this crate knows no adapter.
//! - One method is one atomic step of the domain: it happens whole and durably before it returns, or not at all.
//! - `now` is a parameter. The store never reads a clock.
//! - Documents, queries, sources, matches belong to one tenant; keys of every table lead with it.
//! - Pages go on behind the last item shown ([`token`]), so that later items neither repeat nor hide others; they are
//!   bounded in bytes too ([`page`]).
//! - A task's result counts once: ending it takes it out of the queue in the same step. The token of its lease is
//!   checked by the owner of its shard, the owner by the shard's epoch ([`task::Fence`]).
//!
//! To add a step: a method in one of the traits below with its rows beside it, cases in the conformance suite, then each
//! adapter's native SQL until the suite passes.

#[cfg(feature = "conformance")]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test suite, though not this crate's own")]
pub mod conformance;
pub mod content;
pub mod error;
pub mod freshness;
pub mod memory;
pub mod page;
pub mod schema;
pub mod search;
pub mod setting;
pub mod task;
pub mod tenant;
pub mod text;
pub mod token;

use std::sync::Arc;

use async_trait::async_trait;

pub use content::ContentStore;
pub use error::{Error, Result};
pub use freshness::{Freshness, Position};
pub use memory::MemoryStore;
pub use setting::SettingStore;
pub use task::TaskStore;
pub use tenant::TenantStore;

/// Everything that a store does.
///
/// Reads see everything that was acknowledged before they began. Those that show things to people (pages, searches,
/// counts, documents) may see a little less through [`Store::reading`], where a store has copies that answer them.
#[async_trait]
pub trait Store: TenantStore + ContentStore + TaskStore + SettingStore {
    /// The same store, whose pages, searches, counts and documents need to be no fresher than this.
    fn reading(self: Arc<Self>, freshness: Freshness) -> Arc<dyn Store>;

    /// A place behind everything that this store has acknowledged; none where every read sees all of it anyway.
    async fn position(&self) -> Option<Position> {
        None
    }

    /// What is behind it, by the names that OpenTelemetry has for databases (`db.system.name`).
    fn system(&self) -> &'static str;

    /// Its connections, by pool; none where it keeps no pools.
    fn connections(&self) -> Vec<Connections> {
        Vec::new()
    }
}

/// The connections of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// The pool's name.
    pub pool: &'static str,
    /// How many wait for work.
    pub idle: usize,
    /// How many work.
    pub used: usize,
}
