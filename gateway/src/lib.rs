//! The gateway: HTTP and JSON to gRPC, gRPC passed through, authentication and limits, all on one port.
//!
//! Invariants:
//! - No rpc is known by hand: routes, requests and rights come from the contracts' descriptors and generated code.
//! - Services behind it see the tenant and the rights that a credential gave, never those that a caller claimed.
//! - A failed call is never answered as a good one: the status of a service decides the status of the answer, and a
//!   stream that fails after its head has gone ends in an item that says so.
//! - In open mode every caller that reaches the port is an operator, so web pages are kept out (see `origin`).
//! - Memory per request is bounded by the limits in [`Config`].
//!
//! To add a route: annotate the rpc with `google.api.http`. To add a way to call (gRPC-Web, a dashboard): one more file
//! like `passthrough` and one more branch in `service`.

mod access;
mod answer;
mod auth;
mod config;
mod drain;
mod endpoint;
mod error;
mod fields;
mod frame;
mod json;
mod lines;
mod media;
mod metrics;
mod openapi;
mod origin;
mod page;
mod params;
mod passthrough;
mod ready;
mod reply;
mod rest;
mod router;
mod service;
mod status;
mod stream;
mod template;
mod trace;
mod transcode;
mod upload;
mod welcome;

use std::fmt;
use std::sync::Arc;

use prost_reflect::DescriptorPool;
use rand::rngs::StdRng;
use tidemill_chassis::{Switchboard, Wire};
use tidemill_kernel::tenant::ParseTenantNameError;
use tidemill_kernel::{Clock, ErrorKind};
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tokio_util::sync::CancellationToken;

pub use config::{Auth, Config};
pub use router::RouteConflict;
pub use service::Gateway;
pub use template::TemplateError;

/// What the gateway stands on.
pub struct Deps {
    /// The wires to all services by their full names, health and reflection included.
    pub switchboard: Switchboard,
    /// Who knows whose a key is.
    pub keys: TenantStoreServiceClient<Wire>,
    /// The present moment, for deadlines.
    pub clock: Arc<dyn Clock>,
    /// Gives new traces their ids.
    pub rng: StdRng,
    /// Cancelled when the gateway is to stop.
    pub stop: CancellationToken,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").field("switchboard", &self.switchboard).finish_non_exhaustive()
    }
}

/// The gateway cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The configured default tenant is no tenant's name.
    #[error("gateway.default_tenant: {0}")]
    DefaultTenant(ParseTenantNameError),
    /// The contracts lack something that a route needs.
    #[error("the contracts compiled into this program are not usable: {0}")]
    Descriptor(String),
    /// A `google.api.http` annotation has a template outside the subset.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Two `google.api.http` annotations collide.
    #[error(transparent)]
    Conflict(#[from] RouteConflict),
}

impl BuildError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::DefaultTenant(_) => ErrorKind::Invalid,
            Self::Descriptor(_) | Self::Template(_) | Self::Conflict(_) => ErrorKind::Internal,
        }
    }
}

/// The gateway for these services, ready for `tidemill_chassis::server::serve`.
pub fn build(config: Config, deps: Deps) -> Result<Gateway, BuildError> {
    let pool = DescriptorPool::decode(tidemill_proto::DESCRIPTORS)
        .map_err(|fault| BuildError::Descriptor(fault.to_string()))?;
    let catalogue = access::Catalogue::new(&pool);
    Ok(Gateway::new(service::Shared {
        router: endpoint::router(tidemill_proto::ROUTES, &pool, &catalogue)?,
        authenticator: auth::Authenticator::new(&config, deps.keys)?,
        switchboard: deps.switchboard,
        traces: trace::Traces::new(deps.rng),
        welcome: welcome::text(tidemill_proto::ROUTES),
        openapi: openapi::text(tidemill_proto::ROUTES, &pool)?,
        clock: deps.clock,
        drain: drain::Drain::new(&pool, deps.stop),
        figures: metrics::Figures::new(),
        catalogue,
        config,
    }))
}
