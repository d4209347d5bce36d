//! An ingestion service with a real storage service below it and a scheduler that is away.

use std::sync::{Arc, Mutex};

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, SystemClock, Wire};
use tidemill_kernel::{Clock, PageRequest, TenantName};
use tidemill_proto::ingestion::v1::ingestion_service_client::IngestionServiceClient;
use tidemill_proto::ingestion::v1::{CreateQueryRequest, NewDocument};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::types::v1::{Query, Task};
use tidemill_store::{ContentStore, MemoryStore};
use tidemill_worker::{Attempt, Done, Failed, Handler};
use tonic::Request;

use crate::collect::Collector;
use crate::feed::fetch::{FetchOptions, Fetcher};
use crate::pipeline::Pipeline;
use crate::{Config, Deps, build, collector};

/// The service, and a second one over the same store: two instances that do not know of each other.
pub(super) struct Fixture {
    pub(super) client: IngestionServiceClient<Wire>,
    pub(super) other: IngestionServiceClient<Wire>,
    pub(super) content: ContentStoreServiceClient<Wire>,
    pub(super) config: Config,
    pub(super) store: Arc<MemoryStore>,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with(Config { private_feeds: true, ..Config::default() }).await
    }

    pub(super) async fn with(config: Config) -> Self {
        let store = Arc::new(MemoryStore::new("memory"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        tidemill_storage::ensure_default_tenant(&*store, &SystemClock, &mut seeded_rng()).await.unwrap();
        let deps = tidemill_storage::Deps {
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&clock),
            rng: Arc::new(Mutex::new(seeded_rng())),
        };
        let storage = tidemill_storage::build(tidemill_storage::Config::default(), deps);
        let content = ContentStoreServiceClient::new(storage.wire(ServerLimits::default()));
        let service = || {
            let deps = Deps {
                content: content.clone(),
                scheduling: SchedulingServiceClient::new(Wire::absent("scheduling")),
                workers: WorkerServiceClient::new(Wire::absent("scheduling")),
                schedulers: Wire::absent("scheduling").into(),
                slots: None,
                recipes: None,
                clock: Arc::clone(&clock),
            };
            let part = build(config.clone(), deps).unwrap();
            IngestionServiceClient::new(part.wire(ServerLimits::default()))
        };
        let (client, other) = (service(), service());
        Self { client, other, content, config, store }
    }

    /// The URLs of all documents with this word.
    pub(super) async fn urls(&self, word: &str) -> Vec<String> {
        let (tenant, page) = (TenantName::DEFAULT.parse().unwrap(), PageRequest::first());
        let found = self.store.search_documents(&tenant, word, page).await.unwrap().items;
        found.into_iter().map(|hit| hit.document.url).collect()
    }

    /// Makes a standing query through the other instance.
    pub(super) async fn query(&self, name: &str, expression: &str) -> Query {
        let request = CreateQueryRequest {
            name: name.into(),
            expression: expression.into(),
            ..CreateQueryRequest::default()
        };
        self.other.clone().create_query(asked(request)).await.unwrap().into_inner().query.unwrap()
    }

    /// Runs a `collect` task for this source; its result as JSON.
    pub(super) async fn collect(&self, source: &str) -> Result<serde_json::Value, Failed> {
        let fetch = FetchOptions { allow_private: self.config.private_feeds, ..FetchOptions::default() };
        self.collect_with(source, fetch).await
    }

    /// The same with these limits for feeds.
    pub(super) async fn collect_with(
        &self,
        source: &str,
        fetch: FetchOptions,
    ) -> Result<serde_json::Value, Failed> {
        let workers = WorkerServiceClient::new(Wire::absent("scheduling"));
        let pipeline = Arc::new(Pipeline::new(self.content.clone(), workers, 8));
        let collector =
            collector(&self.config, self.content.clone(), pipeline, Arc::new(SystemClock)).unwrap();
        let collector = Collector { fetcher: Fetcher::new(fetch.clone()).unwrap(), fetch, ..collector };
        let task = Task {
            tenant: TenantName::DEFAULT.into(),
            payload: format!(r#"{{"source":"{source}"}}"#),
            ..Task::default()
        };
        let Done { result, .. } = collector.run(Attempt::from(task)).await?;
        Ok(serde_json::from_str(&result).unwrap())
    }
}

/// A request of the default tenant.
pub(super) fn asked<T>(message: T) -> Request<T> {
    Context { operator: true, ..asking() }.request(message)
}

/// The context of a caller who is no operator.
pub(super) fn asking() -> Context {
    Context::for_tenant(TenantName::DEFAULT.parse().unwrap())
}

/// A plain document.
pub(super) fn text(title: &str, body: &str) -> NewDocument {
    NewDocument { title: title.into(), body: body.into(), ..NewDocument::default() }
}
