//! The scheduling service: a durable, fair task queue over the task store.
//!
//! Invariants:
//! - A task is acknowledged only after its commit, and its result counts once. The store is the truth; memory is a window
//!   on it. Leases live here and are recorded when they last; each shard has one scheduler, fenced by an epoch.
//! - Decisions are `tidemill-policy`'s and the `engine`'s, both free of I/O; `actor` carries them out.
//! - No SQL, no store insides, no other service is known here.
//!
//! To add an rpc: its message in `proto/tidemill/scheduling/v1`, a method in [`service`] that decodes, asks the task
//! store, wakes the engine. To add a rule of order: in `tidemill-policy`.

mod actor;
mod bulk;
#[cfg(any(test, feature = "checker"))]
pub mod checker;
pub mod config;
mod convert;
mod dependencies;
mod engine;
pub mod error;
mod metrics;
mod partition;
pub mod peers;
mod perform;
mod progress;
pub mod scaling;
mod schedule;
pub mod service;
mod sharing;
#[cfg(test)]
mod simulation;
pub mod steering;
mod stream;
mod submit;
mod waits;
pub mod worker;

use std::sync::Arc;

use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Background, Part, Wire};
use tidemill_kernel::{Clock, Id};
use tidemill_proto::keda::external_scaler_server as keda_server;
use tidemill_proto::scheduling::v1::scaling_service_server as scaling_server;
use tidemill_proto::scheduling::v1::scheduling_service_server as scheduling_server;
use tidemill_proto::scheduling::v1::steering_service_server as steering_server;
use tidemill_proto::scheduling::v1::tally_service_server as tally_server;
use tidemill_proto::scheduling::v1::worker_service_server as worker_server;
use tidemill_proto::storage::v1::setting_store_service_client::SettingStoreServiceClient;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tokio::sync::watch;
use tonic::service::Routes;

pub use config::Config;
pub use error::Error;
pub use peers::Peers;
pub use scaling::Pool;

/// The largest message between this service and its neighbours, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// What the service stands on.
#[derive(Clone)]
pub struct Deps {
    /// The durable log.
    pub tasks: TaskStoreServiceClient<Wire>,
    /// What tenants set for their queues.
    pub settings: SettingStoreServiceClient<Wire>,
    /// Where tenants' weights come from.
    pub tenants: TenantStoreServiceClient<Wire>,
    /// How other schedulers are reached that have this one's tenants; none where there are no others.
    pub peers: Option<Arc<dyn Peers>>,
    /// Whether no other process can open the store, so that shards are taken without waiting.
    pub alone: bool,
    /// Where other schedulers reach this one; may be empty.
    pub address: String,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The part: its gRPC services, the loop that runs the engine, and the one that watches the load.
///
/// # Errors
/// [`Error::Config`] for settings that cannot work.
pub fn build(config: Config, deps: Deps) -> Result<Part, Error> {
    build_with(config, deps, Vec::new())
}

/// The same, with workers of this process whose slots follow the load.
///
/// # Errors
/// As for [`build`].
pub fn build_with(config: Config, deps: Deps, pools: Vec<Pool>) -> Result<Part, Error> {
    config.check()?;
    let (scaling, clock) = (config.scaling.clone(), deps.clock.clone());
    let board = scaling::board::Board::default();
    let (advise, advised) = watch::channel(Arc::default());
    let tasks = deps.tasks.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
    let deps = Deps { tasks, ..deps };
    let waits = waits::Waits::default();
    let is_guarded = config.max_queued.is_some() || config.tenant_max_queued.is_some();
    let limits = config.limits.clone();
    let mut rng = seeded_rng();
    let name = Id::new(deps.clock.now(), &mut rng).to_string();
    let shards = engine::Shards::new(name.clone(), deps.address.clone(), config.shard_lease(), deps.alone);
    let engine = engine::Engine::new(config, name, shards, rng)?;
    let (actor, handle, submitter) = actor::Actor::new(engine, deps.clone(), waits.clone());
    let (tasks, peers) = (deps.tasks.clone(), deps.peers.clone());
    let gather = scaling::Gather { board: board.clone(), tasks, handle: handle.clone(), peers };
    let manage = |stop| scaling::manage(scaling, gather, pools, clock, advise, stop);
    let tallies = scaling::tally::Tallies { board: board.clone(), handle: handle.clone() };
    let steering = steering::Steering::new(deps.clone(), handle.clone(), &limits);
    let steering = steering_server::SteeringServiceServer::new(steering);
    let scheduling = service::Scheduling::new(deps.tasks, submitter, handle.clone(), waits, is_guarded);
    let scheduling = scheduling_server::SchedulingServiceServer::new(scheduling);
    let worker = worker_server::WorkerServiceServer::new(worker::Workers::new(handle, board));
    let routes = Routes::new(scheduling.max_decoding_message_size(MAX_MESSAGE))
        .add_service(steering.max_decoding_message_size(MAX_MESSAGE))
        .add_service(worker.max_decoding_message_size(MAX_MESSAGE))
        .add_service(scaling_server::ScalingServiceServer::new(scaling::service::Scaling(advised.clone())))
        .add_service(tally_server::TallyServiceServer::new(tallies))
        .add_service(keda_server::ExternalScalerServer::new(scaling::keda::Keda(advised)));
    Ok(Part {
        name: "scheduling",
        routes,
        services: vec![
            scheduling_server::SERVICE_NAME,
            steering_server::SERVICE_NAME,
            worker_server::SERVICE_NAME,
            scaling_server::SERVICE_NAME,
            tally_server::SERVICE_NAME,
            keda_server::SERVICE_NAME,
        ],
        background: vec![
            Background::new("scheduler", |stop| actor.run(stop)),
            Background::new("scaling", manage),
        ],
    })
}
