//! The scheduling service: a durable, fair task queue over the task store.
//!
//! Invariants:
//! - A task is acknowledged only after its commit, handed out only after its lease's commit, and its result counts
//!   once, under its lease's token. The store is the truth; memory is a window on it.
//! - Decisions are `tidemill-policy`'s and the `engine`'s, both free of I/O; `actor` carries them out.
//! - No SQL, no store insides, no other service is known here.
//!
//! To add an rpc: its message in `proto/tidemill/scheduling/v1`, a method in [`service`] that decodes, asks the task
//! store, wakes the engine. To add a rule of order: in `tidemill-policy`.

mod actor;
pub mod config;
mod convert;
mod engine;
pub mod error;
mod metrics;
mod perform;
pub mod service;
mod waits;
pub mod worker;

use std::sync::Arc;

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Background, Part, Wire};
use tidemill_kernel::Clock;
use tidemill_proto::scheduling::v1::scheduling_service_server as scheduling_server;
use tidemill_proto::scheduling::v1::worker_service_server as worker_server;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tonic::service::Routes;

pub use config::Config;
pub use error::Error;

/// The largest message between this service and its neighbours, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// What the service stands on.
#[derive(Clone)]
pub struct Deps {
    /// The durable log.
    pub tasks: TaskStoreServiceClient<Wire>,
    /// Where tenants' weights come from.
    pub tenants: TenantStoreServiceClient<Wire>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The part: two gRPC services and the loop that runs the engine.
///
/// # Errors
/// [`Error::Config`] for settings that cannot work.
pub fn build(config: Config, deps: Deps) -> Result<Part, Error> {
    config.check()?;
    let tasks = deps.tasks.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
    let deps = Deps { tasks, ..deps };
    let waits = waits::Waits::default();
    let engine = engine::Engine::new(config, seeded_rng())?;
    let (actor, handle) = actor::Actor::new(engine, deps.clone(), waits.clone());
    let scheduling = service::Scheduling::new(deps.tasks, handle.clone(), waits);
    let scheduling = scheduling_server::SchedulingServiceServer::new(scheduling);
    let worker = worker_server::WorkerServiceServer::new(worker::Workers::new(handle));
    let routes = Routes::new(scheduling.max_decoding_message_size(MAX_MESSAGE))
        .add_service(worker.max_decoding_message_size(MAX_MESSAGE));
    Ok(Part {
        name: "scheduling",
        routes,
        services: vec![scheduling_server::SERVICE_NAME, worker_server::SERVICE_NAME],
        background: vec![Background::new("scheduler", |stop| actor.run(stop))],
    })
}
