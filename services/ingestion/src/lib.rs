//! The ingestion service: documents in, matched against standing queries.
//!
//! Invariants:
//! - A document is acknowledged only after it, its matches and their analysis tasks are durable, in one step of the
//!   store; sending it again changes nothing.
//! - What is stored was matched against the query set of that moment: the store refuses what was not.
//! - A stop of the process loses nothing and waits for nobody: what was taken is stored and acknowledged, nothing more
//!   is taken, and the client is told to push again.
//! - Memory is bounded: a stream is pulled only as fast as the store takes it, a source is read ahead by a few
//!   documents, compiled queries are kept for so many tenants.
//! - [`query`], [`matcher`], [`text`], [`document`], [`folder`] and [`feed::parse`] are pure or plain I/O; they know
//!   no gRPC.
//!
//! To add a kind of source: its number in `types.proto`, its reader as a module, one arm in `collect.rs` and one in
//! `convert.rs`.

mod batch;
mod collect;
pub mod config;
mod convert;
pub mod document;
pub mod error;
pub mod feed;
pub mod folder;
pub mod matcher;
mod metrics;
mod pipeline;
mod push;
mod queries;
pub mod query;
pub mod reader;
mod report;
mod service;
#[cfg(test)]
mod tests;
pub mod text;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Background, Part, Wire};
use tidemill_kernel::{Clock, Id};
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::ingestion::v1::ingestion_service_server::{IngestionServiceServer, SERVICE_NAME};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_worker::{Handler, Schedulers, Worker};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

pub use config::Config;
pub use error::Error;

use batch::Bounds;
use collect::{COLLECT, Collector};
use feed::fetch::{FetchOptions, Fetcher};
use pipeline::Pipeline;
use push::Push;
use service::Ingestion;

/// The largest message to and from the store: a batch of documents, or all queries of a tenant.
const STORE_MESSAGE: usize = 64 << 20;

/// What the service stands on.
#[derive(Clone)]
pub struct Deps {
    /// Where documents, queries and sources are kept.
    pub content: ContentStoreServiceClient<Wire>,
    /// Where `collect` tasks go.
    pub scheduling: SchedulingServiceClient<Wire>,
    /// Where `collect` tasks come from.
    pub schedulers: Schedulers,
    /// How many `collect` tasks it takes at once from moment to moment; none for as many as are configured.
    pub slots: Option<watch::Receiver<u32>>,
    /// Who is told of new analysis tasks.
    pub workers: WorkerServiceClient<Wire>,
    /// Who checks the recipes of queries before they are stored; without it an unknown one shows only when its tasks
    /// fail.
    pub recipes: Option<AnalysisServiceClient<Wire>>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The part: one gRPC service and the worker that collects sources.
///
/// # Errors
/// [`Error::Config`] for settings that cannot work, [`Error::Fetch`] where no feed could ever be fetched: the system
/// offers no TLS roots.
pub fn build(config: Config, deps: Deps) -> Result<Part, Error> {
    config.check()?;
    let Deps { content, scheduling, schedulers, slots, workers, recipes, clock } = deps;
    let content = content.max_decoding_message_size(STORE_MESSAGE).max_encoding_message_size(STORE_MESSAGE);
    let pipeline = Arc::new(Pipeline::new(content.clone(), workers, config.cached_tenants));
    let name = format!("collector-{}", Id::new(clock.now(), &mut seeded_rng()));
    let collector = collector(&config, content.clone(), Arc::clone(&pipeline), clock)?;
    let worker = Worker {
        name,
        config: tidemill_worker::Config::with_slots(config.collectors),
        handlers: HashMap::from([(COLLECT.to_owned(), Arc::new(collector) as Arc<dyn Handler>)]),
    };
    let stopping = CancellationToken::new();
    let push = Push::new(pipeline, &config, stopping.clone());
    let service = Ingestion { content, scheduling, recipes, push, local_sources: config.local_sources };
    let server = IngestionServiceServer::new(service).max_decoding_message_size(config.max_message_bytes);
    Ok(Part {
        name: "ingestion",
        routes: Routes::new(server),
        services: vec![SERVICE_NAME],
        background: vec![
            Background::new("collector", move |stop| worker.run_resized(schedulers, slots, stop)),
            // Only loops hear of the stop, and a push that goes on must hear of it too.
            Background::new("pushes", move |stop| async move {
                stop.cancelled().await;
                stopping.cancel();
            }),
        ],
    })
}

fn collector(
    config: &Config,
    content: ContentStoreServiceClient<Wire>,
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
) -> Result<Collector, Error> {
    // The process' choice stands if it made one; a client cannot be built without.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fetch = FetchOptions { allow_private: config.private_feeds, ..FetchOptions::default() };
    Ok(Collector {
        content,
        pipeline,
        fetcher: Fetcher::new(fetch.clone())?,
        fetch,
        limits: config.document.clone(),
        bounds: Bounds { items: config.batch_documents, bytes: config.batch_bytes },
        local_sources: config.local_sources,
        clock,
    })
}
