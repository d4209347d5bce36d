//! The analysis service: recipes run for whoever asks now, and for the queue's `analyze` tasks, locally or on a
//! language-model provider.
//!
//! Invariants:
//! - Stateless: documents come from the content store, results leave with the completion of their task; any number of
//!   processes may run side by side.
//! - What a recipe says is decided in [`recipe`] and [`text`], which know no gRPC and no queue; the shell around them
//!   decodes, fetches and encodes.
//! - What computes does so off the runtime's threads, at most one computation for each core at a time.
//! - A task that no retry can mend says so, and how to mend it; one that a provider asked to delay says until when.
//!
//! To add a recipe: see [`recipe`]. To add a provider: its adapter in `tidemill-llm`, its section in [`Config`], its
//! line in `providers` here.

mod analyst;
pub mod config;
pub mod convert;
pub mod error;
pub mod handler;
mod metrics;
pub mod recipe;
mod service;
pub mod text;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Background, Part, Wire};
use tidemill_kernel::{Clock, Id};
use tidemill_llm::{OpenAi, Pool, Provider};
use tidemill_proto::analysis::v1::analysis_service_server::{AnalysisServiceServer, SERVICE_NAME};
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_worker::{Handler, Schedulers, Worker};
use tokio::sync::watch;
use tonic::service::Routes;

pub use config::Config;
pub use error::{Error, Result};

use analyst::Analyst;
use handler::Analyzer;

/// What the service stands on.
#[derive(Clone)]
pub struct Deps {
    /// Where the documents are. The client's limits must let the largest document through.
    pub content: ContentStoreServiceClient<Wire>,
    /// Where the tasks come from.
    pub schedulers: Schedulers,
    /// How many tasks it takes at once from moment to moment; none for as many as are configured.
    pub slots: Option<watch::Receiver<u32>>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The part: one gRPC service, and the loop that runs `analyze` tasks. With a provider over HTTPS, the process must
/// have installed rustls' crypto provider before.
///
/// # Errors
/// [`Error::Config`] for settings that cannot work, [`Error::Provider`] for a provider's section.
pub fn build(config: Config, deps: Deps) -> Result<Part> {
    config.check()?;
    let members = providers(&config)?;
    let pool = Pool::new(members, Duration::from_millis(config.set_aside_ms), Arc::clone(&deps.clock));
    let provider = config.openai.is_some().then(|| Arc::new(pool) as Arc<dyn Provider>);
    Ok(assemble(&config, deps, provider))
}

/// The configured providers, most wanted first.
fn providers(config: &Config) -> Result<Vec<Arc<dyn Provider>>> {
    let openai = config.openai.clone().map(OpenAi::new).transpose()?;
    Ok(openai.into_iter().map(|provider| Arc::new(provider) as Arc<dyn Provider>).collect())
}

fn assemble(config: &Config, deps: Deps, provider: Option<Arc<dyn Provider>>) -> Part {
    let Deps { content, schedulers, slots, clock } = deps;
    let analyst = Arc::new(Analyst::new(provider));
    let service = service::Analyses { analyst: Arc::clone(&analyst), clock: Arc::clone(&clock) };
    let worker = Worker {
        name: format!("analysis-{}", Id::new(clock.now(), &mut seeded_rng())),
        config: config.worker.clone(),
        handlers: HashMap::from([(
            handler::KIND.to_owned(),
            Arc::new(Analyzer { analyst, content, clock }) as Arc<dyn Handler>,
        )]),
    };
    Part {
        name: "analysis",
        routes: Routes::new(AnalysisServiceServer::new(service)),
        services: vec![SERVICE_NAME],
        background: vec![Background::new("analyser", move |stop| {
            worker.run_resized(schedulers, slots, stop)
        })],
    }
}

#[cfg(test)]
mod tests;
