//! The standing queries of each tenant, compiled once and kept until the store says that they have changed.
//!
//! Nobody tells this cache of a change: the store refuses documents that were matched against another version of the
//! set, and only then is the set read again. So every instance of the service is right without talking to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidemill_chassis::telemetry::metrics::CacheFigures;
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::TenantName;
use tidemill_proto::storage::v1::LoadQueriesRequest;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::types::v1 as types;
use tokio::task::spawn_blocking;
use tonic::Status;
use tracing::warn;

use crate::Error;
use crate::matcher::Matcher;
use crate::query::Query;

/// All standing queries of a tenant at one version.
#[derive(Debug)]
pub(crate) struct QuerySet {
    /// The store's version of the set.
    pub(crate) version: i64,
    /// Answers with indices into `queries`.
    pub(crate) matcher: Matcher<usize>,
    /// The queries, in no order.
    pub(crate) queries: Vec<types::Query>,
}

impl QuerySet {
    /// Compiles the set. A query that this program cannot read (a later one wrote it) selects nothing.
    fn compile(version: i64, queries: Vec<types::Query>) -> Self {
        let parsed = queries.iter().enumerate().filter_map(|(index, query)| {
            Query::parse(&query.expression)
                .inspect_err(|fault| warn!(query = query.name, %fault, "a stored query cannot be read"))
                .ok()
                .map(|parsed| (index, parsed))
        });
        Self { version, matcher: Matcher::build(parsed), queries }
    }
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Queries {
    content: ContentStoreServiceClient<Wire>,
    kept: Mutex<Kept>,
    figures: CacheFigures,
}

impl Queries {
    /// An empty cache for this many tenants.
    pub(crate) fn new(content: ContentStoreServiceClient<Wire>, tenants: usize) -> Self {
        let kept = Mutex::new(Kept { bound: tenants.max(1), ..Kept::default() });
        Self { content, kept, figures: CacheFigures::of("queries") }
    }

    /// The tenant's queries as last seen; read from the store the first time.
    pub(crate) async fn current(&self, context: &Context) -> Result<Arc<QuerySet>, Status> {
        let kept = self.kept().get(context.tenant()?);
        self.figures.asked(kept.is_some());
        match kept {
            Some(set) => Ok(set),
            None => self.load(context, -1).await?.ok_or_else(|| {
                Status::internal(
                    "the store sent no queries although none were known; both must be of one version",
                )
            }),
        }
    }

    /// The tenant's queries as they are now, after the store called `known` stale.
    pub(crate) async fn reload(
        &self,
        context: &Context,
        known: &Arc<QuerySet>,
    ) -> Result<Arc<QuerySet>, Status> {
        // Another call may have been quicker.
        if let Some(set) = self.kept().get(context.tenant()?).filter(|set| set.version != known.version) {
            return Ok(set);
        }
        Ok(self.load(context, known.version).await?.unwrap_or_else(|| Arc::clone(known)))
    }

    /// Reads and keeps the set; none if it is still at the known version.
    async fn load(&self, context: &Context, known_version: i64) -> Result<Option<Arc<QuerySet>>, Status> {
        let tenant = context.tenant()?.clone();
        let request = context.request(LoadQueriesRequest { known_version });
        let loaded = self.content.clone().load_queries(request).await?.into_inner();
        if loaded.version == known_version {
            return Ok(None);
        }
        let set = spawn_blocking(move || QuerySet::compile(loaded.version, loaded.queries)).await;
        let set = Arc::new(set.map_err(|_| Error::Stopped("compiling the queries"))?);
        self.kept().put(tenant, Arc::clone(&set));
        Ok(Some(set))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Whole after every call, whoever panicked beside it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sets that are kept: at most `bound`, those used last.
#[derive(Debug, Default)]
struct Kept {
    bound: usize,
    /// Counts uses; a set's stamp is the count when it was used last.
    uses: u64,
    sets: HashMap<TenantName, (u64, Arc<QuerySet>)>,
}

impl Kept {
    fn get(&mut self, tenant: &TenantName) -> Option<Arc<QuerySet>> {
        self.uses += 1;
        let (stamp, set) = self.sets.get_mut(tenant)?;
        *stamp = self.uses;
        Some(Arc::clone(set))
    }

    fn put(&mut self, tenant: TenantName, set: Arc<QuerySet>) {
        self.uses += 1;
        if self.sets.len() >= self.bound && !self.sets.contains_key(&tenant) {
            let oldest = self.sets.iter().min_by_key(|(_, (stamp, _))| *stamp).map(|(name, _)| name.clone());
            oldest.map(|name| self.sets.remove(&name));
        }
        self.sets.insert(tenant, (self.uses, set));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_used_longest_ago_makes_room() {
        let mut kept = Kept { bound: 2, ..Kept::default() };
        let names: Vec<TenantName> = ["a", "b", "c"].iter().map(|name| name.parse().unwrap()).collect();
        let set = Arc::new(QuerySet::compile(1, Vec::new()));
        kept.put(names[0].clone(), Arc::clone(&set));
        kept.put(names[1].clone(), Arc::clone(&set));
        assert!(kept.get(&names[0]).is_some());
        kept.put(names[2].clone(), set);
        assert!(kept.get(&names[1]).is_none());
        assert!(kept.get(&names[0]).is_some() && kept.get(&names[2]).is_some());
    }

    #[test]
    fn a_query_that_cannot_be_read_leaves_the_others_working() {
        let query =
            |expression: &str| types::Query { expression: expression.into(), ..types::Query::default() };
        let set = QuerySet::compile(3, vec![query("("), query("rust")]);
        let text = crate::matcher::DocumentText { title: "Rust", body: "", source: "" };
        let hits = set.matcher.matches(text, &mut crate::matcher::Scratch::default());
        assert_eq!(hits.iter().map(|hit| hit.query).collect::<Vec<_>>(), [1]);
    }
}
